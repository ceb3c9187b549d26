//! A SUSPEND given while nobody knows how the RESUME before it ended.

use super::harness::{A, B, Trio};
use crate::session::Command;
use crate::types::{MirroringState, PartnerRole};

const PM: usize = 0;
const MW: usize = 2;

/// The link or the principal is lost at every message and write of a RESUME; then the mirror is told to suspend.
#[test]
fn a_suspend_behind_a_resume_that_was_cut_off_lasts() {
    let mut points = 0;
    for with_witness in [true, false] {
        for fault in 0..4 {
            for moves in 0.. {
                let mut trio = Trio::started(with_witness);
                trio.command(A, Command::Suspend);
                trio.drain();
                trio.command(A, Command::Resume);
                if !(0..moves).all(|_| trio.advance()) {
                    break;
                }
                points += 1;
                match fault {
                    0 => trio.cut(PM, 0),
                    1 => trio.cut(PM, usize::MAX),
                    2 => trio.crash(A, 0),
                    _ => trio.crash(A, usize::MAX),
                }
                trio.command(B, Command::Suspend);
                trio.drain();
                assert_eq!(
                    trio.sides[B].done.last(),
                    Some(&Ok(())),
                    "{:#?}",
                    trio.last_steps()
                );
                trio.calm();
                for side in [A, B] {
                    let state = trio.partner(side).state();
                    assert_eq!(state, Some(MirroringState::Suspended), "{:#?}", trio.last_steps());
                }
                assert!(trio.restore_to_full());
                trio.calm();
                trio.assert_healthy();
            }
        }
    }
    assert!(points > 40, "{points} points");
}

/// A forced service suspends by itself, but one that waits for its witness may never come.
#[test]
fn a_suspend_does_not_lean_on_a_forced_service_that_was_not_granted() {
    let mut trio = Trio::started(true);
    trio.command(A, Command::Suspend);
    trio.drain();
    trio.crash(A, 0);
    trio.drain();
    trio.command(B, Command::ForceService);
    assert!(trio.finish_task(B), "the claim is recorded");
    trio.cut(MW, 0);
    trio.drain();
    assert_eq!(trio.sides[B].done.last(), Some(&Err(1421)));
    trio.command(B, Command::Suspend);
    trio.drain();
    assert_eq!(
        trio.sides[B].done.last(),
        Some(&Err(1404)),
        "{:#?}",
        trio.last_steps()
    );
}

/// A start that was under way when the mirror was told to suspend is of the RESUME before it.
#[test]
fn a_start_of_an_older_resume_changes_nothing() {
    let mut trio = Trio::started(false);
    trio.command(A, Command::Suspend);
    trio.drain();
    trio.command(A, Command::Resume);
    assert!(trio.deliver(PM, B), "the mirror is asked where its log stands");
    assert!(trio.deliver(PM, A), "the principal hears it");
    assert!(
        trio.finish_task(A),
        "it records the resumption, and sends its start"
    );
    trio.command(B, Command::Suspend);
    assert!(trio.finish_task(B), "the suspension is recorded");
    assert!(trio.deliver(PM, B), "the start arrives");
    assert!(!trio.finish_task(B), "{:#?}", trio.last_steps());
    trio.calm();
    for side in [A, B] {
        assert_eq!(trio.partner(side).state(), Some(MirroringState::Suspended));
    }
    assert!(trio.restore_to_full());
    trio.calm();
    trio.assert_healthy();
}

/// SUSPEND on the new principal while the old one is away does not make its failover a forced service: what the old one
/// holds beyond it is still to be rolled back.
#[test]
fn an_old_principal_says_how_its_role_was_taken_though_the_session_was_suspended_since() {
    let mut trio = Trio::started(true);
    trio.crash(A, 0);
    trio.drain();
    assert_eq!(trio.partner(B).role(), PartnerRole::Principal);
    trio.command(B, Command::Suspend);
    trio.drain();
    assert_eq!(trio.sides[B].done, [Ok(())]);
    trio.restart(A);
    trio.connect(PM);
    trio.drain();
    assert_eq!(trio.partner(A).role(), PartnerRole::Mirror);
    assert_eq!(trio.partner(A).state(), Some(MirroringState::Suspended));
    let why: Vec<&String> = trio.sides[A]
        .logged
        .iter()
        .filter(|l| l.number == 1480)
        .map(|l| &l.text)
        .collect();
    assert!(
        why.last().is_some_and(|text| text.contains("Automatic Failover")),
        "{why:?}"
    );
    assert!(trio.partner(A).record().reverting);
}
