//! A copy that lost its role to an automatic failover and has log of its own that is still to be rolled back: service is
//! not forced there (1406). Source: documented, *MSSQLSERVER_1406*.

use super::harness::{A, B, Trio};
use crate::session::Command;
use crate::types::{MirroringState, PartnerRole};

const PM: usize = 0;
const PW: usize = 1;
const MW: usize = 2;

/// alpha has committed what beta, which took over, has never had; it has become the mirror, and was cut off before it heard
/// from where its log is replaced.
fn cut_off_before_the_rollback() -> Trio {
    let mut trio = Trio::started(true);
    trio.append(A);
    trio.drain();
    trio.append(A);
    while trio.finish_task(A) {}
    trio.cut(PM, 0);
    trio.cut(PW, 0);
    trio.drain();
    assert!(trio.partner(B).is_serving());
    assert!(trio.sides[A].log.hardened() > trio.sides[B].log.end());
    trio.connect(PM);
    while trio.partner(A).role() == PartnerRole::Principal {
        assert!(trio.advance(), "{:#?}", trio.last_steps());
    }
    trio.cut(PM, 0);
    trio.cut(MW, 0);
    trio.drain();
    trio
}

fn force(trio: &mut Trio) -> Result<(), u32> {
    // Nothing but the copy is in the way: the witness is there, and does not see the principal.
    trio.connect(PW);
    trio.drain();
    trio.command(A, Command::ForceService);
    trio.drain();
    *trio.sides[A].done.last().expect("an answer")
}

#[test]
fn service_is_not_forced_on_a_copy_that_is_to_be_rolled_back() {
    for restarted in [false, true] {
        let mut trio = cut_off_before_the_rollback();
        if restarted {
            trio.crash(A, 0);
            trio.restart(A);
        }
        assert_eq!(force(&mut trio), Err(1406), "restarted: {restarted}");
        assert_eq!(trio.partner(A).role(), PartnerRole::Mirror);
        assert!(!trio.partner(A).is_serving());
        trio.calm();
        trio.assert_healthy();
        assert_eq!(trio.partner(B).role(), PartnerRole::Principal);
    }
}

#[test]
fn service_is_forced_again_once_it_was_rolled_back() {
    let mut trio = cut_off_before_the_rollback();
    trio.connect(PM);
    while trio.partner(A).state() != Some(MirroringState::Synchronizing) {
        assert!(trio.advance(), "{:#?}", trio.last_steps());
    }
    assert!(trio.sides[A].log.end() <= trio.sides[B].log.end());
    trio.cut(PM, 0);
    trio.drain();
    assert_eq!(force(&mut trio), Ok(()), "{:#?}", trio.last_steps());
    assert_eq!(trio.partner(A).role(), PartnerRole::Principal);
    assert!(trio.partner(A).is_serving());
    trio.calm();
    assert!(trio.restore_to_full());
    trio.assert_healthy();
}
