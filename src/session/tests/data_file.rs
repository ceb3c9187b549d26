//! The data file of a copy fails: a mirror suspends the session for good, a principal does not.

use super::harness::{A, B, Trio};
use super::moves::at_every_move;
use crate::session::{Command, PartnerInput};
use crate::types::{MirroringState, PartnerRole};

const PM: usize = 0;

fn told(trio: &Trio, of: usize, number: u32, what: &str) -> usize {
    let said = trio.sides[of].logged.iter();
    said.filter(|line| line.number == number && line.text.contains(what))
        .count()
}

fn assert_suspended(trio: &Trio) {
    for side in [A, B] {
        let state = trio.partner(side).state();
        assert_eq!(state, Some(MirroringState::Suspended), "{:#?}", trio.last_steps());
    }
}

#[test]
fn a_mirror_suspends_until_resume_and_both_say_why() {
    for with_witness in [false, true] {
        let mut trio = Trio::started(with_witness);
        trio.input(B, PartnerInput::DataFileFailed);
        trio.input(B, PartnerInput::DataFileFailed);
        trio.drain();
        assert_suspended(&trio);
        assert_eq!(
            (
                told(&trio, B, 1454, "error 823"),
                told(&trio, A, 1453, "error 823")
            ),
            (1, 1)
        );
        // The principal goes on, and nobody resumes by himself.
        trio.append(A);
        trio.calm();
        assert_eq!(trio.acknowledged(), 1);
        trio.cut(PM, 0);
        trio.calm();
        trio.crash(B, 0);
        trio.calm();
        assert_suspended(&trio);
        assert_eq!(told(&trio, A, 1453, ""), 1);
        assert!(trio.restore_to_full());
        trio.assert_healthy();
        // The disk is still ill.
        trio.input(B, PartnerInput::DataFileFailed);
        trio.drain();
        assert_suspended(&trio);
        assert_eq!(told(&trio, A, 1453, "error 823"), 2);
    }
}

#[test]
fn a_principal_goes_on_as_it_is() {
    let mut trio = Trio::started(true);
    trio.trace.clear();
    trio.input(A, PartnerInput::DataFileFailed);
    trio.append(A);
    trio.drain();
    trio.assert_healthy();
    assert_eq!(trio.acknowledged(), 1);
    assert!(
        !trio.trace.iter().any(|line| line.contains("State")),
        "{:#?}",
        trio.trace
    );
}

/// At every message and every write of a repair: what the repair suspended, it does not resume any more.
#[test]
fn a_failure_during_a_page_repair_lasts() {
    let points = at_every_move(
        || {
            let mut trio = Trio::started(true);
            trio.damage_page(B);
            trio
        },
        |mut trio| {
            trio.input(B, PartnerInput::DataFileFailed);
            trio.calm();
            assert_suspended(&trio);
            assert_eq!(told(&trio, B, 1454, "error 823"), 1, "{:#?}", trio.last_steps());
            assert!(trio.restore_to_full());
            trio.calm();
            trio.assert_healthy();
        },
    );
    assert!(points > 15, "{points}");
}

/// At every message and every write of a failover: it happens or it does not, and no copy is left that takes over later.
#[test]
fn a_failure_in_a_failover_leaves_one_principal() {
    let (mut points, mut suspended, mut swapped) = (0, 0, 0);
    for lost in [false, true] {
        for of in [A, B] {
            points += at_every_move(
                || {
                    let mut trio = Trio::started(true);
                    trio.append(A);
                    match lost {
                        false => trio.command(A, Command::Failover),
                        true => trio.crash(A, usize::MAX),
                    }
                    trio
                },
                |mut trio| {
                    trio.input(of, PartnerInput::DataFileFailed);
                    trio.drain();
                    trio.calm();
                    suspended += usize::from(trio.partner(A).state() == Some(MirroringState::Suspended));
                    swapped += usize::from(trio.partner(B).role() == PartnerRole::Principal);
                    assert!(trio.restore_to_full());
                    trio.calm();
                    trio.assert_healthy();
                },
            );
        }
    }
    assert!(
        suspended > 0 && suspended < points && swapped > 0 && swapped < points,
        "{suspended} suspended and {swapped} swapped of {points}"
    );
}

fn refused(trio: &mut Trio, command: Command) -> Option<u32> {
    trio.command(A, command);
    trio.calm();
    trio.sides[A].done.last().expect("it is answered").err()
}

/// What the disk can never take is no disk that may be well again: RESUME is refused for as long as the mirror runs.
#[test]
fn after_redo_failed_for_good_a_resume_is_refused() {
    for with_witness in [false, true] {
        let mut trio = Trio::started(with_witness);
        trio.input(B, PartnerInput::DataFileLost);
        trio.input(B, PartnerInput::DataFileLost);
        trio.input(B, PartnerInput::DataFileFailed);
        trio.drain();
        assert_suspended(&trio);
        assert_eq!(
            (
                told(&trio, B, 1454, "error 3313"),
                told(&trio, A, 1453, "error 3313")
            ),
            (1, 1)
        );
        assert_eq!(told(&trio, B, 3313, ""), 1);
        assert_eq!(refused(&mut trio, Command::Resume), Some(1462));
        // Neither a new link nor a SUSPEND of an operator makes the file well, nor does a crash of the principal.
        trio.cut(PM, 0);
        trio.calm();
        assert_eq!(refused(&mut trio, Command::Resume), Some(1462));
        for side in [A, B] {
            trio.command(side, Command::Suspend);
            trio.calm();
            assert_eq!(trio.sides[side].done.last(), Some(&Ok(())), "{side}");
            assert_eq!(refused(&mut trio, Command::Resume), Some(1462), "{side}");
        }
        trio.crash(A, 0);
        trio.calm();
        assert_eq!(refused(&mut trio, Command::Resume), Some(1462));
        assert_suspended(&trio);
        // A mirror that starts again has opened the file, or the copy is suspect.
        trio.crash(B, 0);
        trio.calm();
        assert_eq!(refused(&mut trio, Command::Resume), None);
        trio.assert_healthy();
    }
}

/// First the disk refused writes, so that the session is suspended already; then the file turns out to be lost.
#[test]
fn a_failure_that_lasts_is_told_after_one_that_may_pass() {
    let mut trio = Trio::started(true);
    trio.input(B, PartnerInput::DataFileFailed);
    trio.drain();
    trio.input(B, PartnerInput::DataFileLost);
    trio.drain();
    assert_eq!(
        (
            told(&trio, A, 1453, "error 823"),
            told(&trio, A, 1453, "error 3313")
        ),
        (1, 1)
    );
    assert_eq!(refused(&mut trio, Command::Resume), Some(1462));
}

/// At every message and every write of a RESUME: it is refused, or the session is suspended again and the next one is.
#[test]
fn a_file_that_is_lost_during_a_resume_leaves_the_session_suspended() {
    let mut refusals = 0;
    let points = at_every_move(
        || {
            let mut trio = Trio::started(true);
            trio.command(A, Command::Suspend);
            trio.calm();
            trio.command(A, Command::Resume);
            trio
        },
        |mut trio| {
            trio.input(B, PartnerInput::DataFileLost);
            trio.calm();
            assert_suspended(&trio);
            refusals += usize::from(trio.sides[A].done.last() == Some(&Err(1462)));
            assert_eq!(refused(&mut trio, Command::Resume), Some(1462));
        },
    );
    assert!(refusals > 0 && refusals < points, "{refusals} of {points}");
}

/// The principal does not miss it, and a repair that has its pages does not resume.
#[test]
fn what_is_lost_is_the_mirrors_and_no_repair_ends_it() {
    let mut trio = Trio::started(true);
    trio.input(A, PartnerInput::DataFileLost);
    trio.drain();
    trio.assert_healthy();
    trio.damage_page(B);
    trio.advance();
    trio.input(B, PartnerInput::DataFileLost);
    trio.calm();
    assert_suspended(&trio);
    assert_eq!(refused(&mut trio, Command::Resume), Some(1462));
}
