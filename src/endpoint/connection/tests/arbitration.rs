//! Arbitration, and an owner who ends it.

use super::*;

#[test]
fn arbitration_closes_the_new_or_the_old() {
    let mut pair = Pair::new(endpoints());
    let now = pair.now;
    pair.initiator.on_connected(now);
    let mut asked = false;
    for _ in 0..10 {
        while let Some(output) = pair.initiator.poll() {
            match output {
                ConnectionOutput::Send(bytes) => pair.acceptor.receive(now, &bytes),
                ConnectionOutput::Arbitrate(peer) => {
                    asked = true;
                    assert_eq!(peer.server_name, "HOST_2");
                    pair.initiator
                        .resolve_arbitration(now, ArbitrationVerdict::LostToOlder);
                }
                other => pair.seen.push((Side::Initiator, other)),
            }
        }
        while let Some(output) = pair.acceptor.poll() {
            if let ConnectionOutput::Send(bytes) = output {
                pair.initiator.receive(now, &bytes);
            }
        }
    }
    assert!(asked);
    assert_eq!(pair.error(Side::Initiator), 28032);
    assert!(pair.log(Side::Initiator).is_empty(), "nothing is wrong");
    pair.acceptor.on_closed(now, ClosedBy::Peer);
    pair.run(|_, _, bytes| bytes);
    assert_eq!(pair.error(Side::Acceptor), 28028, "the initiator uses another");
    assert!(pair.log(Side::Acceptor).is_empty(), "nothing is wrong");

    let mut pair = Pair::connected(endpoints());
    pair.acceptor.lose_arbitration(now);
    pair.run(|_, _, bytes| bytes);
    assert_eq!(pair.error(Side::Acceptor), 28033);
    assert_eq!(pair.error(Side::Initiator), 0, "closed by the peer");
}

#[test]
fn a_verdict_nobody_asked_for_changes_nothing() {
    let mut pair = Pair::new(endpoints());
    let now = pair.now;
    pair.acceptor
        .resolve_arbitration(now, ArbitrationVerdict::LostToOlder);
    pair.initiator.resolve_arbitration(now, ArbitrationVerdict::Keep);
    pair.connect();
    pair.acceptor
        .resolve_arbitration(now, ArbitrationVerdict::LostToOlder);
    assert!(pair.both_online());
}

#[test]
fn the_owner_can_end_it_at_any_time() {
    let stopped = || Some(msg::STOPPED_LISTENING.error());
    let mut pair = Pair::connected(endpoints());
    pair.acceptor.close(pair.now, stopped());
    pair.run(|_, _, bytes| bytes);
    assert_eq!(
        (pair.error(Side::Acceptor), pair.error(Side::Initiator)),
        (9691, 0)
    );
    let mut pair = Pair::new(endpoints());
    pair.acceptor.close(pair.now, stopped());
    pair.acceptor.close(pair.now, stopped());
    pair.run(|_, _, bytes| bytes);
    assert_eq!(pair.error(Side::Acceptor), 9691);
    assert!(pair.log(Side::Acceptor).is_empty());
}
