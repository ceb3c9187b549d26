//! Damaged pages: who asks for them when, and what an interruption at every message and write leaves.

use super::harness::{A, B, Trio, W};
use super::moves::at_every_move;
use crate::session::{Command, PartnerInput};
use crate::types::{MirroringState, PageError, PageKey};
use crate::wire::mirroring::{Body, Message};
use crate::wire::pages::PageMessage;

const PM: usize = 0;

fn state(trio: &Trio, of: usize) -> Option<MirroringState> {
    trio.partner(of).state()
}

fn says(trio: &Trio, what: &str) -> bool {
    trio.trace.iter().any(|line| line.contains(what))
}

fn started() -> Trio {
    let mut trio = Trio::started(true);
    trio.append(A);
    trio.drain();
    trio.trace.clear();
    trio
}

#[test]
fn a_page_of_the_principal_is_fetched_and_the_session_stays_as_it_is() {
    let mut trio = started();
    trio.damage_page(A);
    trio.append(A);
    assert!(trio.partner(A).has_damaged_pages());
    trio.drain();
    trio.assert_healthy();
    assert!(
        says(&trio, "PageRequested") && !says(&trio, "State"),
        "{:#?}",
        trio.trace
    );
    assert_eq!(trio.acknowledged(), 2);
}

#[test]
fn the_mirror_sends_the_page_only_when_it_has_redone_what_was_asked_for() {
    let mut trio = started();
    trio.append(A);
    // The block is hardened on the principal, and on its way to the mirror.
    trio.finish_task(A);
    trio.damage_page(A);
    while trio.deliver(PM, 1) {}
    assert!(says(&trio, "beta <- alpha: Page(Request"), "{:#?}", trio.trace);
    assert!(!says(&trio, "PageSent"));
    // Hardened is not enough.
    trio.finish_task(B);
    assert!(!says(&trio, "PageSent"));
    trio.drain();
    assert!(says(&trio, "PageSent"));
    trio.assert_healthy();
}

#[test]
fn a_principal_waits_until_the_session_is_synchronized() {
    let mut trio = started();
    trio.cut(PM, 0);
    trio.drain();
    trio.damage_page(A);
    trio.drain();
    assert!(!says(&trio, "PageRequested"));
    trio.connect(PM);
    trio.drain();
    let at = |what: &str| trio.trace.iter().rposition(|line| line.contains(what));
    assert!(at("to: Synchronized") < at("PageRequested"), "{:#?}", trio.trace);
    trio.assert_healthy();
}

#[test]
fn a_mirror_suspends_the_session_and_has_it_resumed() {
    let mut trio = started();
    trio.damage_page(B);
    while state(&trio, A) != Some(MirroringState::Suspended) {
        assert!(trio.advance(), "{:#?}", trio.trace);
    }
    // Commits do not wait for it meanwhile.
    trio.append(A);
    trio.drain();
    assert!(trio.sides[B].logged.iter().any(|line| line.number == 1454));
    trio.assert_healthy();
    assert_eq!(trio.acknowledged(), 2);
}

/// How often the principal said that its partner suspended the session for an error.
fn told_of_error(trio: &Trio) -> usize {
    let of_partner = |line: &&crate::error::SqlError| line.number == 1453 && line.text.contains("error 824");
    trio.sides[A].logged.iter().filter(of_partner).count()
}

/// Also if the link is lost at any message or write in between: then it hears of it when they meet again.
#[test]
fn the_principal_says_once_that_the_mirror_suspended_for_an_error() {
    let points = at_every_move(
        || {
            let mut trio = started();
            trio.damage_page(B);
            trio
        },
        |mut trio| {
            trio.cut(PM, 0);
            trio.calm();
            trio.assert_healthy();
            let suspensions = trio.sides[B]
                .logged
                .iter()
                .filter(|line| line.number == 1454)
                .count();
            assert_eq!(told_of_error(&trio), suspensions, "{:#?}", trio.trace);
        },
    );
    assert!(points > 15, "{points}");
}

#[test]
fn a_page_with_a_bad_sector_is_repaired_and_the_error_is_823() {
    let mut trio = started();
    trio.damage_by(B, PageKey::of("t", 1), PageError::Unreadable);
    trio.drain();
    trio.assert_healthy();
    let told = |of: usize, number: u32, what: &str| {
        let lines = trio.sides[of].logged.iter();
        lines
            .filter(|e| e.number == number && e.text.contains(what))
            .count()
    };
    assert_eq!((told(B, 1454, "error 823"), told(A, 1453, "error 823")), (1, 1));
    assert_eq!(told(B, 1454, "error 824"), 0);
    assert!(says(&trio, "ResumedByRepair"), "{:#?}", trio.trace);
}

#[test]
fn a_suspend_of_an_operator_is_no_error_of_the_mirror() {
    let mut trio = started();
    trio.command(B, Command::Suspend);
    trio.drain();
    assert_suspended(&trio);
    assert!(!trio.sides[A].logged.iter().any(|line| line.number == 1453));
}

fn assert_suspended(trio: &Trio) {
    for side in [A, B] {
        let suspended = Some(MirroringState::Suspended);
        assert_eq!(state(trio, side), suspended, "{:#?}", trio.last_steps());
    }
}

/// SUSPEND on either partner, before and after every message and every write of a repair.
#[test]
fn a_suspend_during_the_repair_lasts() {
    let (mut points, mut repaired) = (0, 0);
    for of in [A, B] {
        points += at_every_move(
            || {
                let mut trio = started();
                trio.damage_page(B);
                trio
            },
            |mut trio| {
                trio.command(of, Command::Suspend);
                trio.drain();
                assert_eq!(trio.sides[of].done.last(), Some(&Ok(())), "{:#?}", trio.trace);
                assert_suspended(&trio);
                repaired += usize::from(!trio.partner(B).has_damaged_pages());
                // Nor does it end when the partners meet anew.
                trio.cut(PM, 0);
                trio.calm();
                assert_suspended(&trio);
                assert!(trio.restore_to_full());
                trio.drain();
                trio.assert_healthy();
            },
        );
    }
    assert!(
        points > 40 && repaired > 0 && repaired < points,
        "{repaired} of {points}"
    );
}

/// The link or a partner is lost at every message and write that follows a SUSPEND on the mirror, given as the repair ends
/// its own.
#[test]
fn a_suspend_that_meets_the_resumption_outlives_the_link_and_the_partners() {
    let mut points = 0;
    for fault in 0..4 {
        points += at_every_move(
            || {
                let mut trio = started();
                trio.damage_page(B);
                while !says(&trio, "beta <- alpha: Resume ") {
                    assert!(trio.advance(), "{:#?}", trio.trace);
                }
                trio.command(B, Command::Suspend);
                trio.finish_task(B);
                trio
            },
            |mut trio| {
                match fault {
                    0 => trio.cut(PM, 0),
                    1 => trio.cut(PM, usize::MAX),
                    2 => trio.crash(A, 0),
                    _ => trio.crash(B, 0),
                }
                trio.drain();
                trio.calm();
                assert_suspended(&trio);
                assert!(trio.restore_to_full());
                trio.calm();
                trio.assert_healthy();
            },
        );
    }
    assert!(points > 10, "{points} points");
}

#[test]
fn a_suspend_at_the_same_moment_lasts() {
    let mut trio = started();
    // Both record a suspension before either hears of the other's.
    trio.damage_page(B);
    trio.command(A, Command::Suspend);
    trio.drain();
    assert_suspended(&trio);
    assert_eq!(trio.sides[A].done.last(), Some(&Ok(())));
    assert!(!says(&trio, "ResumedByRepair"), "{:#?}", trio.trace);
    assert!(trio.restore_to_full());
    trio.drain();
    trio.assert_healthy();
}

/// As above, and the link is lost or the principal begins anew at every message and write that follows.
#[test]
fn a_suspend_at_the_same_moment_outlives_the_link_and_a_restart() {
    let mut points = 0;
    for fault in 0..3 {
        points += at_every_move(
            || {
                let mut trio = started();
                trio.damage_page(B);
                trio.command(A, Command::Suspend);
                trio.finish_task(A);
                trio
            },
            |mut trio| {
                match fault {
                    0 => trio.cut(PM, 0),
                    1 => trio.crash(A, 0),
                    _ => {
                        trio.finish_task(B);
                        trio.crash(A, usize::MAX);
                    }
                }
                trio.drain();
                trio.calm();
                assert_suspended(&trio);
                assert!(!says(&trio, "ResumedByRepair"), "{:#?}", trio.trace);
                assert!(trio.restore_to_full());
                trio.calm();
                trio.assert_healthy();
            },
        );
    }
    assert!(points > 20, "{points} points");
}

#[test]
fn a_page_that_neither_has_fails_and_resume_comes_upon_it_again() {
    let mut trio = started();
    trio.damage_same_page();
    trio.drain();
    for side in [A, B] {
        assert_eq!(
            state(&trio, side),
            Some(MirroringState::Suspended),
            "{:#?}",
            trio.trace
        );
    }
    let failures = |trio: &Trio| trio.trace.iter().filter(|line| line.contains(": Failed")).count();
    let before = failures(&trio);
    assert!(before >= 1, "{:#?}", trio.trace);
    trio.command(A, Command::Resume);
    trio.drain();
    assert!(failures(&trio) > before, "{:#?}", trio.trace);
    assert_eq!(state(&trio, A), Some(MirroringState::Suspended));
    assert_eq!(trio.sides[A].done.last(), Some(&Ok(())));
}

#[test]
fn rows_that_the_page_cannot_hold_are_refused() {
    for rows in [
        vec![(64, 1)],
        vec![(-1, 1)],
        vec![(2, 1), (1, 1)],
        vec![(1, 1), (1, 1)],
    ] {
        let mut trio = started();
        trio.damage_page(A);
        let partner = trio.partner(A);
        let (request, lsn) = (1, trio.sides[A].log.redone());
        let message = Message {
            session: partner.record().session,
            role_sequence: partner.role_sequence(),
            link: partner.my_link,
            body: Body::Page(PageMessage::Image { request, lsn, rows }),
        };
        trio.input(A, PartnerInput::FromPartner(message));
        assert!(says(&trio, "repair of t 0..63: Failed"), "{:#?}", trio.trace);
        assert!(trio.sides[A].logged.iter().any(|line| line.number == 1434));
        trio.drain();
        assert!(trio.partner(A).has_damaged_pages());
        // The next statement that wants the page has it asked for again.
        let page = PageKey::of("t", 0);
        trio.input(A, PartnerInput::PageWanted { page });
        trio.drain();
        trio.assert_healthy();
    }
}

#[test]
fn service_cannot_be_forced_on_a_mirror_whose_pages_are_damaged() {
    let mut trio = started();
    trio.damage_page(B);
    while !says(&trio, "alpha <- beta: Page(Request") {
        assert!(trio.advance(), "{:#?}", trio.trace);
    }
    trio.crash(A, 0);
    trio.drain();
    trio.command(B, Command::ForceService);
    assert_eq!(trio.sides[B].done.last(), Some(&Err(1455)), "{:#?}", trio.trace);
    trio.restart(A);
    trio.calm();
    trio.assert_healthy();
}

#[test]
fn a_failover_under_way_goes_on_and_the_new_principal_asks_for_the_page() {
    let mut trio = started();
    trio.crash(A, 0);
    while trio.deliver(PM, 1) {}
    trio.damage_page(B);
    trio.drain();
    assert!(trio.partner(B).is_serving(), "{:#?}", trio.trace);
    assert!(trio.partner(B).has_damaged_pages());
    trio.calm();
    assert!(says(&trio, "alpha <- beta: Page(Request"), "{:#?}", trio.trace);
    trio.assert_healthy();
}

/// A cut of the link, or a crash of any of the three, at every message and every write of a repair.
#[test]
fn an_interrupted_repair_is_begun_again() {
    let mut points = 0;
    for damaged in [A, B] {
        for fault in 0..6 {
            points += at_every_move(
                || {
                    let mut trio = started();
                    trio.append(A);
                    trio.damage_page(damaged);
                    trio
                },
                |mut trio| {
                    match fault {
                        0 => trio.cut(PM, 0),
                        1 => trio.cut(PM, usize::MAX),
                        2 => trio.crash(A, 0),
                        3 => trio.crash(B, 0),
                        4 => trio.crash(B, usize::MAX),
                        _ => trio.crash(W, 0),
                    }
                    trio.drain();
                    trio.calm();
                    // A restart of the mirror forgets that the suspension was its own.
                    assert!(trio.restore_to_full());
                    trio.calm();
                    trio.assert_healthy();
                },
            );
        }
    }
    assert!(points > 100, "{points} points");
}
