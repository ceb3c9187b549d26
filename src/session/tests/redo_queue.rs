//! The limit of the redo queue: the mirror is sent no more than it, commits wait, and all goes on as redo does.

use super::harness::{A, B, Trio};
use crate::log::LogRecord;
use crate::session::Command;
use crate::types::{MirroringState, Safety};

const PM: usize = 0;
const MB: u64 = 1024 * 1024;
/// Four of them are less than one megabyte, five are more.
const BLOCK_BYTES: usize = 4 * 56_000;

/// A session with a limit of one megabyte and a mirror whose redo stands still.
fn limited(with_witness: bool) -> Trio {
    let mut trio = Trio::started(with_witness);
    trio.command(A, Command::RedoQueue { megabytes: Some(1) });
    trio.calm();
    assert_eq!(trio.sides[A].done.last(), Some(&Ok(())));
    trio.sides[B].redo_held = true;
    trio
}

fn commit_large(trio: &mut Trio, of: usize) {
    let table = "x".repeat(BLOCK_BYTES / 4);
    let records = vec![LogRecord::CreateTable { table }; 4];
    trio.append_with(of, records);
    trio.drain();
}

fn redo_queue(trio: &Trio) -> u64 {
    let log = &trio.sides[B].log;
    log.hardened().bytes_since(log.redone())
}

#[test]
fn at_the_limit_commits_wait_until_the_mirror_has_redone_some() {
    let mut trio = limited(true);
    for _ in 0..8 {
        commit_large(&mut trio, A);
        assert!(redo_queue(&trio) <= MB);
    }
    assert_eq!(trio.acknowledged(), 4);
    assert_eq!(trio.partner(A).state(), Some(MirroringState::Synchronized));
    assert!(trio.partner(A).waits_for_window(&trio.sides[A].log));
    trio.sides[B].redo_held = false;
    assert!(trio.finish_task(B), "one block is redone");
    trio.sides[B].redo_held = true;
    trio.drain();
    assert_eq!(trio.acknowledged(), 5);
    trio.sides[B].redo_held = false;
    trio.drain();
    assert_eq!(trio.acknowledged(), 8);
    trio.assert_healthy();
}

#[test]
fn without_a_limit_nothing_waits_and_taking_it_away_lets_all_go_on() {
    let mut trio = limited(false);
    for _ in 0..8 {
        commit_large(&mut trio, A);
    }
    assert_eq!(trio.acknowledged(), 4);
    trio.command(A, Command::RedoQueue { megabytes: None });
    trio.drain();
    assert_eq!(trio.acknowledged(), 8);
    assert!(redo_queue(&trio) > MB);
    // A limit below what is queued already stops what comes next.
    trio.command(A, Command::RedoQueue { megabytes: Some(1) });
    trio.drain();
    commit_large(&mut trio, A);
    assert_eq!(trio.acknowledged(), 8);
    trio.sides[B].redo_held = false;
    trio.drain();
    assert_eq!(trio.acknowledged(), 9);
    trio.assert_healthy();
}

#[test]
fn commits_that_do_not_wait_for_the_mirror_do_not_wait_for_its_redo() {
    let mut trio = limited(false);
    trio.command(A, Command::Safety { safety: Safety::Off });
    trio.drain();
    for _ in 0..8 {
        commit_large(&mut trio, A);
        assert!(redo_queue(&trio) <= MB);
    }
    assert_eq!(trio.acknowledged(), 8);
    trio.sides[B].redo_held = false;
    trio.drain();
    assert_eq!(trio.sides[B].log.redone(), trio.sides[A].log.hardened());
}

#[test]
fn a_mirror_that_is_lost_at_the_limit_releases_the_commits() {
    let mut trio = limited(false);
    for _ in 0..8 {
        commit_large(&mut trio, A);
    }
    trio.cut(PM, 0);
    trio.drain();
    assert_eq!(trio.acknowledged(), 8, "the principal goes on exposed");
    trio.connect(PM);
    trio.drain();
    assert!(redo_queue(&trio) <= MB, "the limit holds for the backlog, too");
    assert_eq!(trio.partner(B).state(), Some(MirroringState::Synchronizing));
    trio.sides[B].redo_held = false;
    trio.calm();
    assert_eq!(trio.partner(B).state(), Some(MirroringState::Synchronized));
    trio.assert_healthy();
}

#[test]
fn a_failover_at_the_limit_waits_for_redo() {
    let mut trio = limited(false);
    for _ in 0..6 {
        commit_large(&mut trio, A);
    }
    trio.command(A, Command::Failover);
    trio.drain();
    assert_eq!(trio.partner(A).state(), Some(MirroringState::PendingFailover));
    trio.sides[B].redo_held = false;
    trio.calm();
    assert_eq!(trio.partner(B).role_sequence(), 2);
    trio.assert_healthy();
    // It is a setting of the session, so the new principal keeps to it.
    assert_eq!(trio.partner(B).record().redo_queue_mb, Some(1));
    trio.sides[A].redo_held = true;
    for _ in 0..8 {
        commit_large(&mut trio, B);
    }
    // The two that waited when the clients were cut off are in doubt.
    assert_eq!(trio.acknowledged(), 4 + 4);
}

#[test]
fn the_limit_is_the_principals_to_set_and_lasts() {
    let mut trio = Trio::started(true);
    for megabytes in [0, -1, i64::from(i32::MAX) + 1, i64::MAX] {
        let megabytes = Some(megabytes);
        trio.command(A, Command::RedoQueue { megabytes });
        assert_eq!(trio.sides[A].done.last(), Some(&Err(1425)));
    }
    trio.command(B, Command::RedoQueue { megabytes: Some(7) });
    assert_eq!(trio.sides[B].done.last(), Some(&Err(1470)));
    // Without its mirror it is recorded here and told when they meet again.
    trio.cut(PM, 0);
    trio.drain();
    let megabytes = Some(i64::from(i32::MAX));
    trio.command(A, Command::RedoQueue { megabytes });
    trio.drain();
    assert_eq!(trio.sides[A].done.last(), Some(&Ok(())));
    assert_eq!(trio.partner(B).record().redo_queue_mb, None);
    trio.calm();
    for of in [A, B] {
        trio.crash(of, 0);
        trio.restart(of);
        trio.calm();
        assert_eq!(trio.partner(of).record().redo_queue_mb, Some(i32::MAX as u32));
    }
    trio.assert_healthy();
}
