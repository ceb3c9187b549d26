//! Flow control: what may be on its way to a mirror that confirms nothing, and that all of it arrives in order after.
//!
//! The send queue waits at the principal as log that is there anyway; the window bounds what travels. The redo queue of the
//! mirror has a limit of its own (`redo_queue`). Source: ours.

use super::harness::{A, B, Trio};
use crate::session::Command;
use crate::types::{MirroringState, Safety};

const PM: usize = 0;
const COMMITS: usize = 300;
const WINDOW: usize = 64;

/// Commits that the principal hardens while nothing reaches the mirror.
fn committed_into_silence(safety: Safety) -> Trio {
    let mut trio = Trio::started(false);
    if safety == Safety::Off {
        trio.command(A, Command::Safety { safety });
        trio.drain();
    }
    for _ in 0..COMMITS {
        trio.append(A);
        while trio.finish_task(A) {}
    }
    trio
}

fn in_flight(trio: &Trio) -> usize {
    let partner = trio.partner(A);
    let unconfirmed = trio.sides[A].log.blocks_from(partner.peer_hardened);
    unconfirmed
        .iter()
        .filter(|block| block.start() < partner.sent)
        .count()
}

#[test]
fn no_more_travels_than_the_window_holds_and_the_rest_follows() {
    let mut trio = committed_into_silence(Safety::Full);
    assert_eq!(in_flight(&trio), WINDOW);
    assert_eq!(trio.acknowledged(), 0);
    // Each confirmation lets as much follow as it confirms, never more.
    while trio.deliver(PM, 1) || trio.finish_task(B) || trio.deliver(PM, 0) || trio.finish_task(A) {
        assert!(in_flight(&trio) <= WINDOW);
    }
    assert_eq!(trio.sides[B].log.hardened(), trio.sides[A].log.hardened());
    assert_eq!(trio.acknowledged(), COMMITS);
    assert_eq!(trio.partner(A).state(), Some(MirroringState::Synchronized));
    trio.assert_healthy();
}

#[test]
fn with_safety_off_a_full_window_holds_no_commit_back() {
    let mut trio = committed_into_silence(Safety::Off);
    assert_eq!(in_flight(&trio), WINDOW);
    assert_eq!(trio.acknowledged(), COMMITS);
    trio.drain();
    assert_eq!(trio.sides[B].log.hardened(), trio.sides[A].log.hardened());
}

#[test]
fn what_did_not_fit_the_window_is_sent_after_the_link_came_back() {
    let mut trio = committed_into_silence(Safety::Full);
    trio.cut(PM, 10);
    trio.drain();
    assert_eq!(trio.acknowledged(), COMMITS, "the principal goes on exposed");
    trio.connect(PM);
    trio.drain();
    assert_eq!(trio.sides[B].log.hardened(), trio.sides[A].log.hardened());
    assert_eq!(trio.partner(B).state(), Some(MirroringState::Synchronized));
    trio.assert_healthy();
}
