//! Every number and state a login can end in, how it is provoked, and that the refused caller cannot tell them apart.

use std::collections::BTreeSet;

use super::*;
use crate::endpoint::error::OWN_CERTIFICATE_BYTES_MAX;
use crate::error::manual::{self, AREAS};

/// One way to fail a login.
struct Refusal {
    number: u32,
    state: u8,
    /// Which side says so.
    by: Side,
    subclass: AuditSubclass,
    provoke: fn() -> Pair,
}

/// Numbers of the handshake that are raised elsewhere, and where that is tested.
const ELSEWHERE: &[(u32, &str)] = &[
    (28039, "windows: a_token_of_another_package_is_named"),
    (
        28042,
        "meddling: an_arbitration_that_cannot_be_read_has_numbers_of_its_own",
    ),
    (
        28043,
        "meddling: an_arbitration_that_cannot_be_read_has_numbers_of_its_own",
    ),
    (28046, "an_audit_is_complete"),
    (28047, "an_audit_is_complete"),
    (28048, "an_audit_is_complete"),
    (28059, "a_key_share_that_is_none_is_named"),
    (
        28077,
        "instance::ddl::tests::failure_map: an instance in FIPS mode says so",
    ),
    (
        28070,
        "windows: a_token_sent_back_and_a_bad_confirmation_have_numbers_of_their_own",
    ),
    (
        28079,
        "windows: a_token_sent_back_and_a_bad_confirmation_have_numbers_of_their_own",
    ),
    (28190, "scenario security/windows_local_system"),
    (28191, "scenario security/windows_network_service"),
    (28080, "tests/security/symptoms.rs: no_endpoint_of_ones_own"),
];

/// Likewise for states of a number that has several.
const STATES_ELSEWHERE: &[((u32, u8), &str)] = &[
    ((28031, 68), "scenario security/windows_account_disabled_ntlm"),
    (
        (28035, 91),
        "endpoint::auth::certificate: what_is_no_certificate_is_named",
    ),
];

fn changed(change: impl FnOnce(&mut LocalEndpoint, &mut LocalEndpoint)) -> Pair {
    let (mut a, mut b) = endpoints();
    change(&mut a, &mut b);
    Pair::connected((a, b))
}

/// The initiator's own certificate is changed.
fn own(change: impl FnOnce(&mut OwnCertificate)) -> Pair {
    changed(|a, _| change(a.own_certificate.as_mut().expect("it has one")))
}

fn meddled(victim: Side, number: usize, change: fn(&[u8]) -> Vec<u8>) -> Pair {
    let mut pair = Pair::new(endpoints());
    pair.initiator.on_connected(pair.now);
    pair.run(|side, n, bytes| match (side, n) == (victim, number) {
        true => change(&bytes),
        false => bytes,
    });
    pair
}

fn acceptor_gets(bytes: &[u8]) -> Pair {
    let mut pair = Pair::new(endpoints());
    pair.acceptor.receive(pair.now, bytes);
    pair.run(|_, _, bytes| bytes);
    pair
}

fn damage_last(bytes: &[u8]) -> Vec<u8> {
    rewrite(bytes, |payload| {
        if let Some(last) = payload.last_mut() {
            *last ^= 1;
        }
    })
}

fn frame(kind: FrameType, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Protocol::Mirroring.preamble().to_vec();
    put_frame(&mut bytes, kind, 0, payload);
    bytes
}

/// An empty reject with these flags and this sequence number, and a right check value.
fn frame_with(flags: u8, sequence: u64) -> Vec<u8> {
    let mut bytes = Protocol::Mirroring.preamble().to_vec();
    let header = FrameHeader {
        kind: FrameType::REJECT,
        flags,
        sequence,
        length: 0,
    };
    bytes.extend_from_slice(&header.bytes(&[]));
    bytes
}

fn own_dates(from: i64, to: i64) -> Pair {
    let own = certificate(1, "HOST_1", from, to);
    let (_, mut b) = endpoints();
    b.trusted = vec![trust(300, &own.der)];
    Pair::connected((local(1, own, &[good(2).der]), b))
}

/// The initiator's certificate has expired by the clock of the acceptor alone.
fn expired_for_the_acceptor() -> Pair {
    let (mut a, mut b) = endpoints();
    let own = certificate(1, "HOST_1", START, START + 2_000);
    b.trusted = vec![trust(300, &own.der)];
    if let Some(certificate) = a.own_certificate.as_mut() {
        certificate.der = own.der;
    }
    let mut pair = Pair::new((a, b));
    pair.initiator.on_connected(pair.now);
    let late = at(1_000 * 1_000 + 1_000);
    pair.acceptor.login_deadline = late.at + LOGIN_DEADLINE;
    for _ in 0..4 {
        while let Some(output) = pair.initiator.poll() {
            if let ConnectionOutput::Send(bytes) = output {
                pair.acceptor.receive(late, &bytes);
            }
        }
        while let Some(output) = pair.acceptor.poll() {
            match output {
                ConnectionOutput::Send(bytes) => {
                    pair.wire.push((Side::Acceptor, bytes.clone()));
                    pair.initiator.receive(at(0), &bytes);
                }
                other => pair.seen.push((Side::Acceptor, other)),
            }
        }
    }
    pair
}

fn stalled() -> Pair {
    let mut pair = Pair::new(endpoints());
    pair.now = at(LOGIN_DEADLINE.as_millis() as u64 + 1);
    pair.acceptor.wake(pair.now);
    pair.run(|_, _, bytes| bytes);
    pair
}

const REFUSALS: &[Refusal] = {
    use AuditSubclass::{
        AuthenticationFailure as Method, AuthorizationFailure as Authorization, LoginProtocolError as Order,
        MessageFormatError as Format, NegotiateFailure as Negotiate,
    };
    const fn refusal(
        number: u32,
        state: u8,
        by: Side,
        subclass: AuditSubclass,
        provoke: fn() -> Pair,
    ) -> Refusal {
        Refusal {
            number,
            state,
            by,
            subclass,
            provoke,
        }
    }
    use Side::{Acceptor, Initiator};
    &[
        refusal(28078, 1, Acceptor, Negotiate, || {
            let rc4 = Encryption::Required(Algorithms::Rc4);
            let (a, mut b) = with_encryption(rc4, rc4);
            b.fips_mode = true;
            Pair::connected((a, b))
        }),
        refusal(9666, 1, Acceptor, Order, || {
            changed(|_, b| b.config.state = EndpointState::Disabled)
        }),
        refusal(9757, 1, Acceptor, Format, || acceptor_gets(b"GET / HTTP/1.1\r\n")),
        refusal(9757, 2, Acceptor, Format, || {
            let mut bytes = Protocol::Mirroring.preamble();
            bytes[7] = 9;
            acceptor_gets(&bytes)
        }),
        refusal(9760, 1, Acceptor, Order, stalled),
        refusal(28027, 21, Acceptor, Negotiate, || {
            changed(|_, b| b.config.authentication = Authentication::Windows(WindowsMethod::Negotiate))
        }),
        refusal(28027, 22, Acceptor, Negotiate, || {
            let only = |algorithm| Encryption::Supported(algorithm);
            Pair::connected(with_encryption(only(Algorithms::Aes), only(Algorithms::Rc4)))
        }),
        refusal(28027, 23, Acceptor, Negotiate, || {
            Pair::connected(with_encryption(Encryption::Disabled, Encryption::default()))
        }),
        refusal(28028, 1, Initiator, Order, || changed(|_, b| b.trusted.clear())),
        refusal(28028, 2, Acceptor, Order, || {
            let mut pair = Pair::new(endpoints());
            pair.initiator.on_connected(pair.now);
            pair.until_arbitration();
            pair.acceptor.on_closed(pair.now, ClosedBy::Peer);
            pair.run(|_, _, bytes| bytes);
            pair
        }),
        refusal(28029, 1, Acceptor, Order, || {
            acceptor_gets(&frame(FrameType::REJECT, &[]))
        }),
        refusal(28031, 66, Initiator, Method, || {
            changed(|a, b| {
                a.config.authentication = Authentication::Windows(WindowsMethod::Ntlm);
                b.config.authentication = Authentication::Windows(WindowsMethod::Ntlm);
            })
        }),
        refusal(28031, 67, Acceptor, Method, || {
            changed(|a, _| a.own_certificate = None)
        }),
        refusal(28032, 1, Acceptor, Order, || {
            let mut pair = Pair::new(endpoints());
            pair.initiator.on_connected(pair.now);
            pair.until_arbitration();
            pair.acceptor
                .resolve_arbitration(pair.now, ArbitrationVerdict::LostToOlder);
            pair.run(|_, _, bytes| bytes);
            pair
        }),
        refusal(28032, 2, Acceptor, Authorization, || {
            let mut pair = Pair::new(endpoints());
            pair.initiator.on_connected(pair.now);
            pair.until_arbitration();
            pair.acceptor
                .resolve_arbitration(pair.now, ArbitrationVerdict::NameTaken);
            pair.run(|_, _, bytes| bytes);
            pair
        }),
        refusal(28033, 1, Acceptor, Order, || {
            let mut pair = Pair::new(endpoints());
            pair.acceptor.lose_arbitration(pair.now);
            pair.run(|_, _, bytes| bytes);
            pair
        }),
        refusal(28034, 84, Acceptor, Authorization, || {
            changed(|_, b| b.trusted[0].connect = false)
        }),
        refusal(28034, 84, Acceptor, Authorization, || {
            changed(|_, b| b.trusted[0].login = None)
        }),
        refusal(28035, 89, Acceptor, Authorization, || {
            changed(|_, b| b.trusted.clear())
        }),
        refusal(28035, 90, Acceptor, Authorization, expired_for_the_acceptor),
        refusal(28036, 82, Initiator, Method, || {
            own(|certificate| certificate.private_key_pkcs8 = None)
        }),
        refusal(28036, 86, Initiator, Method, || {
            own(|certificate| certificate.der = b"not a certificate".to_vec())
        }),
        refusal(28036, 87, Initiator, Method, || {
            own(|certificate| certificate.der.resize(OWN_CERTIFICATE_BYTES_MAX + 1, 0))
        }),
        refusal(28036, 83, Initiator, Method, || {
            changed(|a, _| a.own_certificate = None)
        }),
        refusal(28036, 85, Initiator, Method, || own_dates(START - YEAR, START)),
        refusal(28037, 88, Initiator, Method, || {
            changed(|a, _| a.master_key_open = false)
        }),
        refusal(28038, 93, Acceptor, Method, || {
            meddled(Side::Initiator, 2, damage_last)
        }),
        refusal(28038, 94, Acceptor, Method, || {
            meddled(Side::Initiator, 3, damage_last)
        }),
        refusal(28040, 1, Acceptor, Format, || {
            let mut bytes = Protocol::Mirroring.preamble().to_vec();
            let header = FrameHeader {
                kind: FrameType::TOKEN,
                flags: 0,
                sequence: 0,
                length: u32::MAX,
            };
            bytes.extend_from_slice(&header.bytes(&[]));
            acceptor_gets(&bytes)
        }),
        refusal(28040, 2, Acceptor, Format, || acceptor_gets(&frame_with(0x40, 0))),
        refusal(28040, 3, Acceptor, Format, || acceptor_gets(&frame_with(0, 1))),
        refusal(28040, 5, Acceptor, Format, || {
            acceptor_gets(&frame(FrameType::NEGOTIATE_OFFER, &[0xff; 3]))
        }),
        refusal(28040, 6, Acceptor, Format, || {
            acceptor_gets(&frame(FrameType::SESSION, b"too early"))
        }),
        refusal(28040, 4, Acceptor, Format, || {
            meddled(Side::Initiator, 1, |bytes| {
                let mut bytes = bytes.to_vec();
                if let Some(last) = bytes.last_mut() {
                    *last ^= 1;
                }
                bytes
            })
        }),
        refusal(28044, 1, Acceptor, Format, || {
            meddled(Side::Initiator, 1, |bytes| {
                let mut bytes = bytes.to_vec();
                bytes[5] |= FLAG_SEALED;
                let header = FrameHeader {
                    kind: FrameType::TOKEN,
                    flags: FLAG_SEALED,
                    sequence: 1,
                    length: (bytes.len() - HEADER_BYTES) as u32,
                };
                let payload = bytes.split_off(HEADER_BYTES);
                [header.bytes(&payload).to_vec(), payload].concat()
            })
        }),
        refusal(28045, 1, Acceptor, Authorization, || {
            changed(|_, b| {
                let namesake = certificate(1, "HOST_1", START, START + YEAR + 1);
                b.trusted = vec![trust(300, &namesake.der)];
            })
        }),
        refusal(28061, 1, Acceptor, Format, || {
            meddled(Side::Initiator, 4, |bytes| {
                let mut bytes = bytes.to_vec();
                if let Some(last) = bytes.last_mut() {
                    *last ^= 1;
                }
                bytes
            })
        }),
    ]
};

impl Pair {
    /// Carries frames until the acceptor asks for a verdict, which is left to the caller.
    fn until_arbitration(&mut self) {
        let now = self.now;
        for _ in 0..8 {
            while let Some(output) = self.initiator.poll() {
                if let ConnectionOutput::Send(bytes) = output {
                    self.acceptor.receive(now, &bytes);
                }
            }
            while let Some(output) = self.acceptor.poll() {
                match output {
                    ConnectionOutput::Send(bytes) => self.initiator.receive(now, &bytes),
                    ConnectionOutput::Arbitrate(_) => return,
                    other => self.seen.push((Side::Acceptor, other)),
                }
            }
        }
        panic!("nobody asked for a verdict");
    }
}

#[test]
fn every_refusal_has_its_number_state_and_subclass() {
    for refusal in REFUSALS {
        let pair = (refusal.provoke)();
        let failure = pair.failure(refusal.by);
        let what = format!("{} state {}", refusal.number, refusal.state);
        assert_eq!(
            (failure.error.number, failure.error.state),
            (refusal.number, refusal.state),
            "{}",
            failure.error
        );
        assert_eq!(failure.subclass(), refusal.subclass, "{what}");
        let (_, entry) = manual::entry(refusal.number).expect("every number has its entry");
        let listed = entry.states.iter().any(|(state, _)| *state == refusal.state);
        assert!(listed || refusal.state == 1, "the manual does not list {what}");
    }
}

/// A number of the handshake without a way to provoke it would be a number nobody has seen.
#[test]
fn every_number_of_the_handshake_is_provoked() {
    let provoked: BTreeSet<u32> = REFUSALS.iter().map(|r| r.number).collect();
    let area = AREAS.iter().find(|a| a.name == "handshake").expect("it is there");
    let missing: Vec<u32> = area
        .entries
        .iter()
        .filter(|e| e.not_raised.is_none())
        .map(|e| e.number)
        .filter(|n| !provoked.contains(n) && ELSEWHERE.iter().all(|(other, _)| other != n))
        .collect();
    assert!(
        missing.is_empty(),
        "nothing provokes {missing:?}: add each to REFUSALS here, or to ELSEWHERE with the test that does"
    );
    let states = area
        .entries
        .iter()
        .flat_map(|e| e.states.iter().map(|(state, _)| (e.number, *state)));
    let missing: Vec<(u32, u8)> = states
        .filter(|one| REFUSALS.iter().all(|r| (r.number, r.state) != *one))
        .filter(|one| STATES_ELSEWHERE.iter().all(|(other, _)| other != one))
        .collect();
    assert!(missing.is_empty(), "nothing provokes these states: {missing:?}");
}

/// Whatever the reason, the refused caller has seen what an accepted one sees up to there, byte for byte, and then the end.
#[test]
fn a_refused_caller_cannot_tell_reasons_apart() {
    let accepted = Pair::connected(endpoints());
    let (config, accepted) = (&accepted.acceptor.local.config, accepted.sent(Side::Acceptor));
    let mut compared = 0;
    for refusal in REFUSALS.iter().filter(|r| r.by == Side::Acceptor) {
        let pair = (refusal.provoke)();
        let sent = pair.sent(Side::Acceptor);
        let what = format!("{} state {}", refusal.number, refusal.state);
        // Another configuration makes another offer, which is no secret; it is refused without a word or fails at the peer.
        if pair.acceptor.local.config == *config {
            assert!(sent.len() < accepted.len(), "{what}");
            assert_eq!(sent, accepted[..sent.len()], "{what}");
            compared += sent.len();
        } else {
            assert!(sent.is_empty(), "{what}");
        }
        let last = pair.seen.iter().rev().find(|(side, _)| *side == Side::Acceptor);
        assert!(
            matches!(last, Some((_, ConnectionOutput::Fail(_)))),
            "{what}: something follows the end: {last:?}"
        );
    }
    assert!(compared > 10, "{compared}");
}

#[test]
fn an_audit_is_complete() {
    let audits = |pair: &Pair, side: Side| -> Vec<LoginAudit> {
        let of = |(by, output): &(Side, ConnectionOutput)| match output {
            ConnectionOutput::Emit(Event::Endpoint(EndpointEvent::AuditLogin { audit, .. }))
                if *by == side =>
            {
                Some((**audit).clone())
            }
            _ => None,
        };
        pair.seen.iter().filter_map(of).collect()
    };
    let pair = Pair::connected(endpoints());
    assert_eq!(pair.log(Side::Acceptor)[0].0, 28046);
    for (side, role) in [(Side::Acceptor, "target"), (Side::Initiator, "initiator")] {
        let [audit] = &audits(&pair, side)[..] else {
            panic!("one event a login");
        };
        assert_eq!((audit.subclass, audit.number), (1, 28046));
        assert_eq!(audit.role, role);
        assert_eq!(audit.login_state, "ONLINE");
        assert_eq!(audit.method.as_deref(), Some("CERTIFICATE"));
    }
    let pair = changed(|_, b| b.trusted[0].connect = false);
    let [audit] = &audits(&pair, Side::Acceptor)[..] else {
        panic!("one event a login");
    };
    assert_eq!((audit.subclass, audit.number, audit.state), (6, 28034, 84));
    assert_eq!(audit.connect_string, "10.0.0.1:50000");
    assert_eq!(audit.local_methods, "CERTIFICATE");
    assert_eq!(audit.remote_methods.as_deref(), Some("CERTIFICATE"));
    assert_eq!(audit.login_state, "WAIT VALIDATION");
    assert_eq!(audit.user.as_deref(), Some("peer_login_300"));
    let (number, text) = &pair.log(Side::Acceptor)[0];
    assert_eq!(*number, 28048);
    assert!(text.contains("Error 28034, State 84"), "{text}");
    // Nobody is known yet when a foreign program calls.
    let pair = acceptor_gets(b"GET / HTTP/1.1\r\n");
    let [audit] = &audits(&pair, Side::Acceptor)[..] else {
        panic!("one event a login");
    };
    assert_eq!((audit.subclass, audit.number), (3, 9757));
    assert_eq!(
        (&audit.user, &audit.remote_methods, &audit.method),
        (&None, &None, &None)
    );
    assert_eq!(pair.log(Side::Acceptor)[0].0, 28047);
}
