//! Every message in every state where it does not belong, and every honest one bent: refused at once, without a word.

use mirrorlab::endpoint::config::WindowsMethod;
use mirrorlab::types::Guid;
use mirrorlab::wire::frame::{
    FLAG_SEALED, FrameHeader, FrameType, HEADER_BYTES, LOGIN_PAYLOAD_BYTES_MAX, PREAMBLE_BYTES, Protocol,
    put_frame,
};
use mirrorlab::wire::login::{AlgorithmCode, Arbitration, AuthMethod, LevelCode, LoginMessage, Offer};

use crate::foe::{Foe, Plan};
use crate::rig::{Rig, with_trio, with_windows};

/// The attacker's own messages in a whole login: offer, tokens, validation, and, sealed, request and response.
#[derive(Clone, Copy)]
struct Login {
    tokens: usize,
}

/// By certificate, and by NTLM.
const TWO_TOKENS: Login = Login { tokens: 2 };
const KERBEROS: Login = Login { tokens: 1 };

impl Login {
    fn messages(self) -> usize {
        self.sealed() + 2
    }

    /// From this message on everything is sealed.
    fn sealed(self) -> usize {
        self.tokens + 2
    }

    /// What belongs in the place of a message that is in clear.
    fn belongs(self, step: usize) -> Option<FrameType> {
        match step {
            0 => Some(FrameType::NEGOTIATE_OFFER),
            _ if step <= self.tokens => Some(FrameType::TOKEN),
            _ if step < self.sealed() => Some(FrameType::VALIDATION),
            _ => None,
        }
    }
}

/// A well-formed payload of every kind, and of some kinds that do not exist.
fn kinds() -> Vec<(FrameType, Vec<u8>)> {
    let offer = Offer {
        methods: vec![AuthMethod::CERTIFICATE],
        level: LevelCode::REQUIRED,
        algorithms: vec![AlgorithmCode::AES],
    };
    let request = Arbitration {
        arbitration_id: Guid::from_bytes([7; 16]),
        server_name: "FOE".into(),
        role: 3,
        address: None,
        version: 2022,
    };
    let messages = [
        LoginMessage::Offer(offer.clone()),
        LoginMessage::Answer(offer),
        LoginMessage::Token(vec![1, 2, 3]),
        LoginMessage::Reject,
        LoginMessage::Confirm(0),
        LoginMessage::Validation([1; 32]),
        LoginMessage::Accepted([1; 32]),
        LoginMessage::ArbitrationRequest(request),
        LoginMessage::ArbitrationResponse,
    ];
    let login = messages.iter().map(|m| (m.kind(), m.payload()));
    let others = [0, 10, 16, 17, 32, 33, 34, 35, 36, 255].map(|kind| (FrameType(kind), Vec::new()));
    login.chain(others).collect()
}

/// In the place of message `step`: a frame of its own, numbered as it should be.
fn frame(step: usize, kind: FrameType, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    if step == 0 {
        bytes.extend_from_slice(&Protocol::Mirroring.preamble());
    }
    put_frame(&mut bytes, kind, step as u64, payload);
    bytes
}

async fn out_of_order(rig: &Rig, make: impl Fn() -> Foe, login: Login) {
    for step in 0..login.messages() {
        for (kind, payload) in kinds() {
            if login.belongs(step) == Some(kind) {
                continue;
            }
            let what = format!("{kind} in place of message {step}");
            let since = rig.world.now();
            let bytes = frame(step, kind, &payload);
            let report = rig
                .attack(make(), Plan::until(step, move |_| bytes.clone()))
                .await;
            report.assert_refused(&what);
            let number = match kind {
                _ if step >= login.sealed() => 28044,
                FrameType::REJECT if step > 0 => 28031,
                FrameType(1..=9) => 28029,
                _ => 28040,
            };
            rig.assert_named(since, &report, number);
        }
        rig.assert_served().await;
    }
}

#[test]
fn no_message_is_taken_out_of_order_by_a_certificate_login() {
    with_trio(async |rig| out_of_order(rig, || rig.insider(), TWO_TOKENS).await);
}

#[test]
fn no_message_is_taken_out_of_order_by_an_ntlm_login() {
    with_windows("NTLM", async |rig| {
        out_of_order(rig, || rig.windows(WindowsMethod::Ntlm), TWO_TOKENS).await;
    });
}

#[test]
fn no_message_is_taken_out_of_order_by_a_kerberos_login() {
    with_windows("KERBEROS", async |rig| {
        out_of_order(rig, || rig.windows(WindowsMethod::Kerberos), KERBEROS).await;
    });
}

/// A way to bend an honest message, and the number it is refused with in clear and sealed.
type Bend = (&'static str, fn(&mut Vec<u8>, usize), u32, u32);

/// Rewrites the header at `at`, and the check value with it.
fn rewrite(bytes: &mut [u8], at: usize, change: impl Fn(&mut FrameHeader)) {
    let header = bytes[at..].first_chunk::<HEADER_BYTES>().expect("a header");
    let (mut header, _) = FrameHeader::parse(header);
    change(&mut header);
    let header = header.bytes(&bytes[at + HEADER_BYTES..]);
    bytes[at..at + HEADER_BYTES].copy_from_slice(&header);
}

const BENDS: [Bend; 12] = [
    (
        "a length of 4 GiB",
        |b, at| rewrite(b, at, |h| h.length = u32::MAX),
        28040,
        28040,
    ),
    (
        "a length just above the limit",
        |b, at| rewrite(b, at, |h| h.length = LOGIN_PAYLOAD_BYTES_MAX as u32 + 1),
        28040,
        28040,
    ),
    (
        "a length that is one off, not mended",
        |b, at| {
            let length = (b.len() - at - HEADER_BYTES - 1) as u32;
            b[at..at + 4].copy_from_slice(&length.to_be_bytes());
        },
        28040,
        28040,
    ),
    (
        "the end cut off, length and check value mended",
        |b, at| {
            b.pop();
            let length = (b.len() - at - HEADER_BYTES) as u32;
            rewrite(b, at, |h| h.length = length);
        },
        0,
        28061,
    ),
    (
        "a byte more, length and check value mended",
        |b, at| {
            b.push(0);
            let length = (b.len() - at - HEADER_BYTES) as u32;
            rewrite(b, at, |h| h.length = length);
        },
        28040,
        28061,
    ),
    (
        "a wrong check value",
        |b, at| b[at + HEADER_BYTES - 1] ^= 1,
        28040,
        28040,
    ),
    (
        "an unknown flag",
        |b, at| rewrite(b, at, |h| h.flags |= 0x40),
        28040,
        28040,
    ),
    (
        "the flag of a seal the other way round",
        |b, at| rewrite(b, at, |h| h.flags ^= FLAG_SEALED),
        28044,
        28044,
    ),
    (
        "a number left out",
        |b, at| rewrite(b, at, |h| h.sequence += 1),
        28040,
        28061,
    ),
    (
        "the highest number",
        |b, at| rewrite(b, at, |h| h.sequence = u64::MAX),
        28040,
        28061,
    ),
    (
        "another kind",
        |b, at| rewrite(b, at, |h| h.kind = FrameType(99)),
        28040,
        28061,
    ),
    (
        "another program's words",
        |b, at| {
            b.truncate(at);
            b.extend_from_slice(b"GET / HTTP/1.1\r\nHost: beta\r\n\r\n");
        },
        28040,
        28040,
    ),
];

async fn bent(rig: &Rig, make: impl Fn() -> Foe, login: Login) {
    for step in 0..login.messages() {
        for (what, bend, clear, sealed) in BENDS {
            let what = format!("{what} in message {step}");
            let since = rig.world.now();
            let at = if step == 0 { PREAMBLE_BYTES } else { 0 };
            let bent = move |honest: &[u8]| {
                let mut bytes = honest.to_vec();
                bend(&mut bytes, at);
                bytes
            };
            let report = rig.attack(make(), Plan::until(step, bent)).await;
            report.assert_refused(&what);
            match if step >= login.sealed() { sealed } else { clear } {
                // What a message is that lost its end depends on the message.
                0 => assert!(
                    rig.log("beta", since).iter().any(|l| l.contains(&report.from)),
                    "{what}"
                ),
                number => rig.assert_named(since, &report, number),
            }
        }
        rig.assert_served().await;
    }
}

#[test]
fn no_bent_message_is_taken_in_any_state_of_a_certificate_login() {
    with_trio(async |rig| bent(rig, || rig.insider(), TWO_TOKENS).await);
}

#[test]
fn no_bent_message_is_taken_in_any_state_of_an_ntlm_login() {
    with_windows("NTLM", async |rig| {
        bent(rig, || rig.windows(WindowsMethod::Ntlm), TWO_TOKENS).await;
    });
}

#[test]
fn no_bent_message_is_taken_in_any_state_of_a_kerberos_login() {
    with_windows("KERBEROS", async |rig| {
        bent(rig, || rig.windows(WindowsMethod::Kerberos), KERBEROS).await;
    });
}

async fn twice(rig: &Rig, make: impl Fn() -> Foe, login: Login) {
    for step in 0..login.messages() {
        let since = rig.world.now();
        let twice = |honest: &[u8]| {
            let frame = honest
                .strip_prefix(&Protocol::Mirroring.preamble())
                .unwrap_or(honest);
            [honest, frame].concat()
        };
        let report = rig.attack(make(), Plan::until(step, twice)).await;
        assert_ne!(report.end, "open", "{step}: {report:?}");
        assert!(report.since_deed.as_secs() < 1, "{step}: {report:?}");
        let number = if step + 1 >= login.sealed() { 28061 } else { 28040 };
        rig.assert_named(since, &report, number);
    }
}

#[test]
fn a_message_that_comes_twice_ends_the_login() {
    with_trio(async |rig| twice(rig, || rig.insider(), TWO_TOKENS).await);
    with_windows("NTLM", async |rig| {
        twice(rig, || rig.windows(WindowsMethod::Ntlm), TWO_TOKENS).await;
    });
    with_windows("KERBEROS", async |rig| {
        twice(rig, || rig.windows(WindowsMethod::Kerberos), KERBEROS).await;
    });
}

#[test]
fn garbage_where_a_token_belongs_ends_the_login() {
    with_trio(async |rig| {
        for step in [1, 2] {
            for garbage in [
                &b""[..],
                b"\x16\x03\x01\xff\xff",
                &[0; 16 << 10],
                b"NTLMSSP\0\x01\0\0\0",
            ] {
                let since = rig.world.now();
                let token = LoginMessage::Token(garbage.to_vec());
                let bytes = frame(step, token.kind(), &token.payload());
                let report = rig
                    .attack(rig.insider(), Plan::until(step, move |_| bytes.clone()))
                    .await;
                assert_ne!(report.end, "open", "{step}: {report:?}");
                assert!(report.since_deed.as_secs() < 1, "{step}: {garbage:?}: {report:?}");
                assert_eq!(report.heard_after, 0, "{step}: not even TLS's alert");
                rig.assert_named(since, &report, 28038);
            }
        }
    });
}
