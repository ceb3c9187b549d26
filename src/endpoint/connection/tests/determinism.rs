//! Same seeds, same bytes; and arbitrary bytes in every state.

use super::*;

fn digest(seed: u8) -> [u8; 32] {
    let mut pair = Pair::seeded(endpoints(), seed);
    pair.connect();
    assert!(pair.both_online());
    digest_of(&pair)
}

fn digest_of(pair: &Pair) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (side, bytes) in &pair.wire {
        hash.update([*side as u8]);
        hash.update(bytes);
    }
    hash.finalize().into()
}

#[test]
fn same_seeds_same_bytes_alone_interleaved_and_on_threads() {
    let alone = [digest(1), digest(2)];
    assert_ne!(alone[0], alone[1]);
    assert_eq!(digest(1), alone[0]);

    let mut pairs = [1, 2].map(|seed| Pair::seeded(endpoints(), seed));
    let now = at(0);
    pairs.iter_mut().for_each(|pair| pair.initiator.on_connected(now));
    for _ in 0..30 {
        for pair in &mut pairs {
            for (side, other) in [
                (Side::Initiator, Side::Acceptor),
                (Side::Acceptor, Side::Initiator),
            ] {
                match pair.side(side).poll() {
                    Some(ConnectionOutput::Send(bytes)) => {
                        pair.wire.push((side, bytes.clone()));
                        pair.side(other).receive(now, &bytes);
                    }
                    Some(ConnectionOutput::Arbitrate(_)) => {
                        pair.side(side).resolve_arbitration(now, ArbitrationVerdict::Keep);
                    }
                    _ => {}
                }
            }
        }
    }
    let per_side = |pair: &Pair| [Side::Initiator, Side::Acceptor].map(|s| pair.sent(s).concat());
    for (seed, pair) in (1..).zip(&pairs) {
        assert!(pair.both_online());
        let mut reference = Pair::seeded(endpoints(), seed);
        reference.connect();
        assert_eq!(per_side(pair), per_side(&reference));
    }

    let on_threads: Vec<[u8; 32]> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6u8).map(|i| scope.spawn(move || digest(1 + i % 2))).collect();
        threads.into_iter().map(|t| t.join().expect("no panic")).collect()
    });
    for (i, digest) in on_threads.iter().enumerate() {
        assert_eq!(*digest, alone[i % 2]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A login is run up to some point, then arbitrary bytes arrive in place of the peer's, framed or not.
    #[test]
    fn no_bytes_panic_in_any_state(
        delivered in 0usize..12,
        side in prop::bool::ANY,
        framed in prop::bool::ANY,
        kind in 0u8..20,
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        encrypted in prop::bool::ANY,
    ) {
        let encryption = if encrypted { Encryption::default() } else { Encryption::Disabled };
        let mut pair = Pair::new(with_encryption(encryption, encryption));
        pair.initiator.on_connected(pair.now);
        let mut count = 0;
        pair.run(|_, _, bytes| {
            count += 1;
            if count <= delivered { bytes } else { Vec::new() }
        });
        let (side, other) = match side {
            true => (Side::Initiator, Side::Acceptor),
            false => (Side::Acceptor, Side::Initiator),
        };
        let received = pair.side(side).facts.frames_received;
        let mut noise = Vec::new();
        if framed {
            if received == 0 {
                noise.extend_from_slice(&Protocol::Mirroring.preamble());
            }
            put_frame(&mut noise, FrameType(kind), received, &bytes);
        } else {
            noise = bytes;
        }
        let now = pair.now;
        pair.side(side).receive(now, &noise);
        prop_assert!(pair.side(side).decoder.buffered() <= noise.len());
        pair.side(other).receive(now, &noise);
        pair.run(|_, _, bytes| bytes);
        pair.side(side).wake(at(60_000));
        prop_assert!(pair.side(side).is_over() || pair.side(side).next_deadline().is_some());
    }
}
