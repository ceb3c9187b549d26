//! Deadlines: of the login, and of the partner.

use super::*;

#[test]
fn a_staller_meets_the_login_deadline_at_every_step() {
    for delivered in 0..7 {
        let mut pair = Pair::new(endpoints());
        pair.initiator.on_connected(pair.now);
        let mut count = 0;
        pair.run(|_, _, bytes| {
            count += 1;
            if count <= delivered { bytes } else { Vec::new() }
        });
        for side in [Side::Initiator, Side::Acceptor] {
            let connection = pair.side(side);
            if connection.is_online() {
                continue;
            }
            assert_eq!(
                connection.next_deadline(),
                Some((at(20_000).at, LOGIN_DEADLINE_NAME))
            );
            connection.wake(at(19_999));
            assert!(!connection.is_over());
            connection.wake(at(20_000));
            let last = std::iter::from_fn(|| connection.poll()).last();
            let Some(ConnectionOutput::Fail(failure)) = last else {
                panic!("{delivered}: {last:?}")
            };
            assert_eq!((failure.error.number, failure.by), (9760, ClosedBy::Timeout));
            assert_eq!(connection.next_deadline(), None);
        }
    }
}

#[test]
fn pings_keep_a_connection_and_silence_ends_it() {
    let mut pair = Pair::connected(endpoints());
    for second in 1..=60 {
        pair.now = at(second * 1_000);
        for side in [Side::Initiator, Side::Acceptor] {
            assert_eq!(pair.side(side).next_deadline(), Some((pair.now.at, PING_NAME)));
            let now = pair.now;
            pair.side(side).wake(now);
        }
        pair.run(|_, _, bytes| bytes);
    }
    assert!(pair.both_online());
    assert!(
        pair.seen
            .iter()
            .all(|(_, o)| !matches!(o, ConnectionOutput::Message(_)))
    );
    pair.acceptor.set_timeout(Duration::from_secs(5));
    // From here on the acceptor hears nothing: T and one ping later it gives up.
    for millis in [61_000, 62_000, 63_000, 64_000, 65_000] {
        pair.acceptor.wake(at(millis));
    }
    assert_eq!(
        pair.acceptor.next_deadline(),
        Some((at(66_000).at, PARTNER_TIMEOUT_NAME))
    );
    pair.acceptor.wake(at(65_999));
    assert!(pair.acceptor.is_online());
    pair.acceptor.wake(at(66_000));
    let last = std::iter::from_fn(|| pair.acceptor.poll()).last();
    assert_eq!(
        last,
        Some(ConnectionOutput::Close {
            by: ClosedBy::Timeout,
            error: None
        })
    );
}
