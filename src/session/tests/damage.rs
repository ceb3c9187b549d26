//! A principal whose disk lost hardened log: it does not serve, the mirror is not cut back to it but takes over.

use super::harness::{A, B, Trio};
use crate::session::Command;
use crate::types::PartnerRole;

const PM: usize = 0;
const PW: usize = 1;
const MW: usize = 2;

#[test]
fn a_log_that_ends_before_the_recorded_failover_lsn_is_not_served() {
    let mut trio = Trio::started(false);
    trio.append(A);
    trio.append(A);
    trio.drain();
    // Writes the record, and with it the failover LSN.
    trio.command(A, Command::Timeout { seconds: 20 });
    trio.drain();
    trio.crash(A, 0);
    trio.rot(A, 1);
    trio.restart(A);
    assert!(!trio.partner(A).is_serving());
    assert!(trio.sides[A].logged.iter().any(|line| line.number == 9003));
    trio.calm();
    trio.assert_healthy();
    assert_eq!(trio.partner(B).role(), PartnerRole::Principal);
    assert_eq!(trio.acknowledged(), 2);
}

#[test]
fn a_mirror_that_holds_more_of_the_principals_log_takes_over_instead_of_being_cut_back() {
    let mut trio = Trio::started(true);
    trio.append(A);
    trio.append(A);
    trio.drain();
    // Without the witness the mirror does not take over by itself.
    trio.cut(MW, 0);
    trio.drain();
    trio.crash(A, 0);
    trio.rot(A, 1);
    trio.drain();
    trio.restart(A);
    trio.connect(PM);
    trio.drain();
    assert!(trio.sides[A].logged.iter().any(|line| line.number == 9003));
    assert_eq!(trio.partner(B).role(), PartnerRole::Principal);
    assert!(trio.partner(B).is_serving());
    trio.calm();
    trio.assert_healthy();
    assert_eq!(trio.acknowledged(), 2);
}

#[test]
fn handing_over_is_tried_again_when_it_was_interrupted() {
    let mut trio = Trio::started(true);
    trio.append(A);
    trio.append(A);
    trio.drain();
    trio.cut(MW, 0);
    trio.drain();
    trio.crash(A, 0);
    trio.rot(A, 1);
    trio.drain();
    for moves in 1..8 {
        trio.restart(A);
        trio.connect(PM);
        for _ in 0..moves {
            trio.advance();
        }
        trio.cut(PM, 0);
        trio.drain();
        assert!(!trio.partner(A).is_serving());
    }
    trio.calm();
    trio.assert_healthy();
    assert_eq!(trio.partner(B).role(), PartnerRole::Principal);
}

/// The witness confirms the role of a principal that lost log without knowing it. What it writes then is not what the
/// mirror holds: neither copy may be cut back to the other in silence.
#[test]
fn logs_that_differ_where_one_principal_wrote_both_are_not_joined() {
    let mut trio = Trio::started(true);
    trio.append(A);
    trio.append(A);
    trio.drain();
    trio.cut(MW, 0);
    trio.drain();
    trio.crash(A, 0);
    trio.rot(A, 1);
    trio.drain();
    trio.restart(A);
    trio.expect_loss();
    trio.connect(PW);
    trio.drain();
    assert!(trio.partner(A).is_serving());
    trio.append(A);
    trio.drain();
    trio.connect(PM);
    trio.drain();
    assert!(trio.sides[A].logged.iter().any(|line| line.number == 41951));
    assert_eq!(trio.partner(B).role(), PartnerRole::Mirror);
    let (a, b) = (&trio.sides[A].log, &trio.sides[B].log);
    assert_ne!(a.blocks(), b.blocks());
    assert_eq!(
        (a.blocks().len(), b.blocks().len()),
        (2, 2),
        "nothing was cut back"
    );
}
