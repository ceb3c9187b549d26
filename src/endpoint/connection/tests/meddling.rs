//! Somebody in the middle who rewrites, repeats, drops and reorders.

use super::*;

/// SUPPORTED on both sides would encrypt; someone between makes each believe that the other says DISABLED.
#[test]
fn a_downgraded_offer_is_detected_although_nothing_is_encrypted() {
    let supported = Encryption::Supported(Algorithms::Aes);
    let mut pair = Pair::new(with_encryption(supported, supported));
    pair.initiator.on_connected(pair.now);
    pair.run(|_, number, bytes| match number {
        0 => rewrite(&bytes, |payload| {
            payload.truncate(3);
            payload.extend_from_slice(&[0, 0, 0]);
        }),
        _ => bytes,
    });
    assert_eq!(pair.error(Side::Acceptor), 28038);
    assert!(!pair.initiator.is_online());
}

/// In place of the token a reject arrives: the acceptor waits for Windows, the initiator for an answer, in vain.
#[test]
fn a_forged_reject_completes_no_login() {
    let (mut a, mut b) = endpoints();
    let certificate_first = |c: &str| Authentication::CertificateThenWindows(c.into(), WindowsMethod::Ntlm);
    a.config.authentication = certificate_first("HOST_1_cert");
    b.config.authentication = certificate_first("HOST_2_cert");
    let mut pair = Pair::new((a, b));
    pair.initiator.on_connected(pair.now);
    pair.run(|side, number, bytes| match (side, number) {
        (Side::Initiator, 1) => {
            let mut forged = Vec::new();
            put_frame(&mut forged, FrameType::REJECT, 1, &[]);
            put_frame(&mut forged, FrameType::TOKEN, 2, &bytes[HEADER_BYTES..]);
            forged
        }
        _ => bytes,
    });
    assert_eq!(
        pair.error(Side::Acceptor),
        28031,
        "the certificate is no longer on offer"
    );
    assert_eq!(
        pair.error(Side::Initiator),
        28031,
        "nor does the initiator offer it again"
    );
}

#[test]
fn a_damaged_token_or_confirmation_ends_the_login() {
    let victims = [
        (Side::Initiator, 1),
        (Side::Acceptor, 1),
        (Side::Initiator, 2),
        (Side::Initiator, 3),
        (Side::Acceptor, 2),
    ];
    for (victim, victim_number) in victims {
        let mut pair = Pair::new(endpoints());
        pair.initiator.on_connected(pair.now);
        pair.run(
            |side, number, bytes| match (side, number) == (victim, victim_number) {
                true => rewrite(&bytes, |payload| *payload.last_mut().unwrap() ^= 1),
                false => bytes,
            },
        );
        let other = if victim == Side::Initiator {
            Side::Acceptor
        } else {
            Side::Initiator
        };
        assert_eq!(pair.error(other), 28038, "{victim:?} {victim_number}");
    }
}

/// In clear somebody on the way can bend what is said after the login was proved, too.
#[test]
fn an_arbitration_that_cannot_be_read_has_numbers_of_its_own() {
    type Bend = fn(&mut Vec<u8>);
    let bends: [(FrameType, Bend, u32); 5] = [
        (FrameType::ARBITRATION_REQUEST, |p| p.truncate(9), 28042),
        (FrameType::ARBITRATION_REQUEST, |p| p.push(0), 28042),
        (FrameType::ARBITRATION_REQUEST, Vec::clear, 28042),
        // The role follows the id and the name.
        (
            FrameType::ARBITRATION_REQUEST,
            |p| {
                let role = 16 + 2 + usize::from(p[17]);
                p[role] = 9;
            },
            28042,
        ),
        (FrameType::ARBITRATION_RESPONSE, |p| p.push(0), 28043),
    ];
    for (kind, bend, number) in bends {
        for (victim, other) in [
            (Side::Initiator, Side::Acceptor),
            (Side::Acceptor, Side::Initiator),
        ] {
            let mut pair = Pair::new(with_encryption(Encryption::Disabled, Encryption::Disabled));
            pair.initiator.on_connected(pair.now);
            pair.run(|side, _, bytes| match side == victim && bytes[4] == kind.0 {
                true => rewrite(&bytes, bend),
                false => bytes,
            });
            assert_eq!(pair.error(other), number, "{kind} of the {victim:?}");
            assert_eq!(
                pair.failure(other).subclass(),
                AuditSubclass::MessageFormatError,
                "{number}"
            );
        }
    }
}

/// A share of the key agreement that yields a key anybody can guess.
#[test]
fn a_key_share_that_is_none_is_named() {
    for (victim, other) in [
        (Side::Initiator, Side::Acceptor),
        (Side::Acceptor, Side::Initiator),
    ] {
        let mut pair = Pair::new(endpoints());
        pair.initiator.on_connected(pair.now);
        pair.run(|side, number, bytes| match (side, number) == (victim, 1) {
            true => rewrite(&bytes, |payload| {
                // X25519, 32 bytes.
                let head = [0x00, 0x1d, 0x00, 0x20];
                let at = payload
                    .windows(4)
                    .position(|w| w == head)
                    .expect("it has a share")
                    + 4;
                payload[at..at + 32].fill(0);
            }),
            false => bytes,
        });
        assert_eq!(pair.error(other), 28059, "{victim:?}");
        assert_eq!(
            pair.failure(other).subclass(),
            AuditSubclass::AuthenticationFailure
        );
    }
}

/// The bytes of three messages from the initiator.
fn three_sent(encryption: Encryption) -> (Pair, Vec<Vec<u8>>) {
    let mut pair = Pair::connected(with_encryption(encryption, encryption));
    let now = pair.now;
    for text in ["one", "two", "three"] {
        pair.initiator.send(now, text.as_bytes());
    }
    let mut sealed = Vec::new();
    while let Some(output) = pair.initiator.poll() {
        if let ConnectionOutput::Send(bytes) = output {
            sealed.push(bytes);
        }
    }
    (pair, sealed)
}

fn renumber(bytes: &[u8], sequence: u64, drop: usize) -> Vec<u8> {
    let header = FrameHeader {
        kind: FrameType(bytes[4]),
        flags: FLAG_SEALED,
        sequence,
        length: (bytes.len() - HEADER_BYTES - drop) as u32,
    };
    let mut out = header.bytes(&[]).to_vec();
    out.extend_from_slice(&bytes[HEADER_BYTES..bytes.len() - drop]);
    out
}

#[test]
fn tampered_replayed_dropped_reordered_and_cut_records_are_detected() {
    let sequence = |bytes: &[u8]| u64::from_be_bytes(bytes[6..14].try_into().unwrap());
    type Attack = fn(&[Vec<u8>], u64) -> Vec<Vec<u8>>;
    let attacks: [(&str, Attack); 7] = [
        ("tampered", |s, _| {
            let mut bytes = s[0].clone();
            bytes[HEADER_BYTES] ^= 1;
            vec![bytes]
        }),
        ("replayed", |s, _| vec![s[0].clone(), s[0].clone()]),
        ("replayed under the next number", |s, n| {
            vec![s[0].clone(), renumber(&s[0], n + 1, 0)]
        }),
        ("dropped", |s, _| vec![s[1].clone()]),
        ("reordered", |s, _| vec![s[1].clone(), s[0].clone()]),
        ("reordered and renumbered", |s, n| vec![renumber(&s[1], n, 0)]),
        ("cut short", |s, n| vec![renumber(&s[0], n, 1)]),
    ];
    for algorithms in [Algorithms::Aes, Algorithms::Rc4] {
        for (name, attack) in attacks {
            let (mut pair, sealed) = three_sent(Encryption::Required(algorithms));
            let now = pair.now;
            for bytes in attack(&sealed, sequence(&sealed[0])) {
                pair.acceptor.receive(now, &bytes);
            }
            pair.run(|_, _, bytes| bytes);
            assert_eq!(pair.error(Side::Acceptor), 28061, "{algorithms:?} {name}");
            assert_eq!(pair.log(Side::Acceptor).last().unwrap().0, 9642, "{name}");
            assert!(pair.messages(Side::Acceptor).len() <= 1, "{name}");
        }
    }
}

/// What ENCRYPTION = DISABLED asks for: accidents are noticed, whoever mends check value and number is not.
#[test]
fn a_clear_connection_notices_accidents_and_no_attacker() {
    let clear = || three_sent(Encryption::Disabled);
    let (mut pair, sent) = clear();
    let mut damaged = sent[0].clone();
    damaged[HEADER_BYTES] ^= 1;
    pair.acceptor.receive(pair.now, &damaged);
    pair.run(|_, _, bytes| bytes);
    assert_eq!(pair.error(Side::Acceptor), 28040);

    let (mut pair, sent) = clear();
    for _ in 0..2 {
        pair.acceptor.receive(pair.now, &sent[0]);
    }
    pair.run(|_, _, bytes| bytes);
    assert_eq!(pair.error(Side::Acceptor), 28040);

    let (mut pair, sent) = clear();
    let sequence = u64::from_be_bytes(sent[0][6..14].try_into().unwrap());
    let mut forged = Vec::new();
    put_frame(&mut forged, FrameType::SESSION, sequence, b"two");
    put_frame(&mut forged, FrameType::SESSION, sequence + 1, b"two");
    pair.acceptor.receive(pair.now, &forged);
    pair.run(|_, _, bytes| bytes);
    assert_eq!(pair.messages(Side::Acceptor), [b"two".to_vec(), b"two".to_vec()]);
}

#[test]
fn a_clear_frame_on_an_encrypted_connection_is_refused_and_the_reverse() {
    let (mut pair, sealed) = three_sent(Encryption::default());
    let sequence = u64::from_be_bytes(sealed[0][6..14].try_into().unwrap());
    let mut clear = Vec::new();
    put_frame(&mut clear, FrameType::SESSION, sequence, b"inject");
    pair.acceptor.receive(pair.now, &clear);
    pair.run(|_, _, bytes| bytes);
    assert_eq!(pair.error(Side::Acceptor), 28044);
    assert!(pair.messages(Side::Acceptor).is_empty());

    let mut pair = Pair::connected(with_encryption(Encryption::Disabled, Encryption::Disabled));
    let next = pair.initiator.next_sequence;
    pair.acceptor.receive(pair.now, &renumber(&sealed[0], next, 0));
    pair.run(|_, _, bytes| bytes);
    assert_eq!(pair.error(Side::Acceptor), 28044);
}

#[test]
fn foreign_programs_and_oversize_frames_are_named_and_get_no_answer() {
    let (_, b) = endpoints();
    let b = Arc::new(b);
    let mut oversize = Protocol::Mirroring.preamble().to_vec();
    let header = FrameHeader {
        kind: FrameType::NEGOTIATE_OFFER,
        flags: 0,
        sequence: 0,
        length: LOGIN_PAYLOAD_BYTES_MAX as u32 + 1,
    };
    oversize.extend_from_slice(&header.bytes(&[]));
    let mut early = Protocol::Mirroring.preamble().to_vec();
    put_frame(&mut early, FrameType::SESSION, 0, b"no login");
    let mut wrong_state = Protocol::Mirroring.preamble().to_vec();
    put_frame(&mut wrong_state, FrameType::ACCEPTED, 0, &[0; 32]);
    let cases: [(&[u8], u32, &str); 6] = [
        (b"GET / HTTP/1.1\r\nHost: b\r\n\r\n", 9757, "HTTP"),
        (&[0x16, 0x03, 0x01, 0x00, 0xf4, 1, 0, 0, 0xf0], 9757, "TLS"),
        (&[0x12, 0x01, 0x00, 0x2f, 0, 0, 1, 0, 0], 9757, "TDS"),
        (&oversize, 28040, "longer than"),
        (&early, 28040, "unexpected session message"),
        (&wrong_state, 28029, "accepted"),
    ];
    for (bytes, number, word) in cases {
        let mut connection = Connection::accept(ConnectionId(2), Arc::clone(&b), "x".into(), [1; 32], at(0));
        connection.receive(at(0), bytes);
        let outputs: Vec<_> = std::iter::from_fn(|| connection.poll()).collect();
        assert!(!outputs.iter().any(|o| matches!(o, ConnectionOutput::Send(_))));
        let Some(ConnectionOutput::Fail(failure)) = outputs.last() else {
            panic!("{outputs:?}")
        };
        assert_eq!(failure.error.number, number);
        assert!(failure.error.text.contains(word), "{}", failure.error);
        connection.receive(at(1), bytes);
        assert_eq!(connection.poll(), None, "nothing follows the end");
        assert_eq!(connection.row().state, 5);
    }
}
