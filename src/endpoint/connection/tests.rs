//! Two connections wired back to back in memory: what succeeds, what fails and how, and what the wire shows.

mod arbitration;
mod certificates;
mod deadlines;
mod determinism;
mod incompatible;
mod logins;
mod meddling;
mod refusals;
mod rows;
mod windows;

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use self::rows::Rows;
use super::*;
use crate::crypto::certificate::{self, Generated};
use crate::endpoint::config::{
    Algorithms, Authentication, Encryption, EndpointConfig, EndpointRole, EndpointState, ListenerIp,
    ListenerPort, WindowsMethod,
};
use crate::types::{EncryptionInUse, LoginAudit, WallTime};
use crate::wire::frame::{FLAG_SEALED, FrameHeader, HEADER_BYTES, PREAMBLE_BYTES, put_frame};

const START: i64 = 1_767_225_600;
const YEAR: i64 = 365 * 24 * 3600;

fn at(millis: u64) -> Now {
    Now {
        at: Timestamp::from_millis(millis),
        wall: WallTime::from_unix_millis((START + 1_000) * 1_000 + millis as i64),
    }
}

fn certificate(seed: u8, subject: &str, from: i64, to: i64) -> Generated {
    certificate::generate(
        &[seed; 32],
        subject,
        WallTime::from_unix_secs(from),
        WallTime::from_unix_secs(to),
    )
    .expect("generated")
}

fn good(seed: u8) -> Generated {
    certificate(seed, &format!("HOST_{seed}"), START, START + YEAR)
}

fn trust(id: i64, der: &[u8]) -> TrustedCertificate {
    TrustedCertificate {
        certificate_id: id,
        name: format!("peer_cert_{id}"),
        der: der.to_vec(),
        owner_user: format!("peer_user_{id}"),
        login: Some(format!("peer_login_{id}")),
        connect: true,
    }
}

fn local(id: u8, own: Generated, trusted: &[Vec<u8>]) -> LocalEndpoint {
    let own_name = format!("HOST_{id}_cert");
    LocalEndpoint {
        config: EndpointConfig {
            name: "Mirroring".into(),
            state: EndpointState::Started,
            port: ListenerPort::try_from(7022).unwrap(),
            ip: ListenerIp::All,
            authentication: Authentication::Certificate(own_name.clone()),
            encryption: Encryption::default(),
            role: EndpointRole::All,
        },
        arbitration_id: Guid::from_bytes([id; 16]),
        server_name: format!("HOST_{id}"),
        version: 2016,
        address: Some(format!("TCP://host{id}:7022").parse().unwrap()),
        own_certificate: Some(OwnCertificate {
            name: own_name,
            der: own.der,
            private_key_pkcs8: Some(own.private_key_pkcs8),
        }),
        master_key_open: true,
        fips_mode: false,
        trusted: (0..).zip(trusted).map(|(i, der)| trust(300 + i, der)).collect(),
        windows: WindowsSide {
            account: "LocalSystem".into(),
            ..WindowsSide::default()
        },
    }
}

/// Two endpoints that trust each other: the initiator's, the acceptor's.
fn endpoints() -> (LocalEndpoint, LocalEndpoint) {
    let (a, b) = (good(1), good(2));
    (
        local(1, a.clone(), std::slice::from_ref(&b.der)),
        local(2, b, std::slice::from_ref(&a.der)),
    )
}

struct Pair {
    initiator: Connection,
    acceptor: Connection,
    /// Everything sent, by whom.
    wire: Vec<(Side, Vec<u8>)>,
    /// Everything else, by whom.
    seen: Vec<(Side, ConnectionOutput)>,
    rows: Rows,
    now: Now,
}

impl Pair {
    fn new((a, b): (LocalEndpoint, LocalEndpoint)) -> Self {
        Self::seeded((a, b), 1)
    }

    fn seeded((a, b): (LocalEndpoint, LocalEndpoint), seed: u8) -> Self {
        let now = at(0);
        let far = |text: &str| text.to_owned();
        Pair {
            initiator: Connection::initiate(
                ConnectionId(1),
                Arc::new(a),
                far("TCP://b:7022"),
                [seed; 32],
                now,
            ),
            acceptor: Connection::accept(
                ConnectionId(2),
                Arc::new(b),
                far("10.0.0.1:50000"),
                [seed + 100; 32],
                now,
            ),
            wire: Vec::new(),
            seen: Vec::new(),
            rows: Rows::default(),
            now,
        }
    }

    fn connected(endpoints: (LocalEndpoint, LocalEndpoint)) -> Self {
        let mut pair = Self::new(endpoints);
        pair.connect();
        pair
    }

    fn connect(&mut self) {
        self.initiator.on_connected(self.now);
        self.run(|_, _, bytes| bytes);
    }

    fn side(&mut self, side: Side) -> &mut Connection {
        match side {
            Side::Initiator => &mut self.initiator,
            Side::Acceptor => &mut self.acceptor,
        }
    }

    /// Carries outputs until both sides are silent. `meddle` sees each send with its number on its side.
    fn run(&mut self, mut meddle: impl FnMut(Side, usize, Vec<u8>) -> Vec<u8>) {
        let now = self.now;
        loop {
            let mut is_quiet = true;
            for (side, other) in [
                (Side::Initiator, Side::Acceptor),
                (Side::Acceptor, Side::Initiator),
            ] {
                while let Some(output) = self.side(side).poll() {
                    is_quiet = false;
                    self.rows.observe(self.initiator.row());
                    self.rows.observe(self.acceptor.row());
                    match output {
                        ConnectionOutput::Send(bytes) => {
                            let number = self.wire.iter().filter(|(by, _)| *by == side).count();
                            self.wire.push((side, bytes.clone()));
                            let bytes = meddle(side, number, bytes);
                            self.side(other).receive(now, &bytes);
                        }
                        ConnectionOutput::Arbitrate(_) => {
                            self.side(side).resolve_arbitration(now, ArbitrationVerdict::Keep);
                        }
                        ConnectionOutput::Fail(failure) => {
                            if failure.by == ClosedBy::Local {
                                self.side(other).on_closed(now, ClosedBy::Peer);
                            }
                            self.seen.push((side, ConnectionOutput::Fail(failure)));
                        }
                        ConnectionOutput::Close { by, error } => {
                            if by == ClosedBy::Local || by == ClosedBy::Timeout {
                                self.side(other).on_closed(now, ClosedBy::Peer);
                            }
                            self.seen.push((side, ConnectionOutput::Close { by, error }));
                        }
                        other => self.seen.push((side, other)),
                    }
                }
            }
            if is_quiet {
                return;
            }
        }
    }

    fn both_online(&self) -> bool {
        self.initiator.is_online() && self.acceptor.is_online()
    }

    fn error(&self, side: Side) -> u32 {
        self.seen
            .iter()
            .find_map(|(by, output)| match output {
                ConnectionOutput::Fail(failure) if *by == side => Some(failure.error.number),
                ConnectionOutput::Close { error, .. } if *by == side => {
                    Some(error.as_ref().map_or(0, |e| e.number))
                }
                _ => None,
            })
            .unwrap_or_else(|| panic!("{side:?} has not ended"))
    }

    fn failure(&self, side: Side) -> &LoginFailure {
        self.seen
            .iter()
            .find_map(|(by, output)| match output {
                ConnectionOutput::Fail(failure) if *by == side => Some(failure),
                _ => None,
            })
            .unwrap_or_else(|| panic!("{side:?} has not failed"))
    }

    fn log(&self, side: Side) -> Vec<(u32, String)> {
        let of = |(by, output): &(Side, ConnectionOutput)| match output {
            ConnectionOutput::ErrorLog(e) if *by == side => Some((e.number, e.text.clone())),
            _ => None,
        };
        self.seen.iter().filter_map(of).collect()
    }

    fn messages(&self, side: Side) -> Vec<Vec<u8>> {
        let of = |(by, output): &(Side, ConnectionOutput)| match output {
            ConnectionOutput::Message(message) if *by == side => Some(message.clone()),
            _ => None,
        };
        self.seen.iter().filter_map(of).collect()
    }

    fn sent(&self, side: Side) -> Vec<&[u8]> {
        let sent = self.wire.iter().filter(|(by, _)| *by == side);
        sent.map(|(_, bytes)| bytes.as_slice()).collect()
    }

    fn states(&self, side: Side) -> Vec<String> {
        let of = |(by, output): &(Side, ConnectionOutput)| match output {
            ConnectionOutput::Emit(Event::Endpoint(EndpointEvent::LoginState { state, .. }))
                if *by == side =>
            {
                Some(state.clone())
            }
            _ => None,
        };
        self.seen.iter().filter_map(of).collect()
    }
}

fn with_encryption(initiator: Encryption, acceptor: Encryption) -> (LocalEndpoint, LocalEndpoint) {
    let (mut a, mut b) = endpoints();
    a.config.encryption = initiator;
    b.config.encryption = acceptor;
    (a, b)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Runs a login that must fail; the numbers are (initiator, acceptor).
fn refused(endpoints: (LocalEndpoint, LocalEndpoint)) -> (Pair, (u32, u32)) {
    let pair = Pair::connected(endpoints);
    let numbers = (pair.error(Side::Initiator), pair.error(Side::Acceptor));
    (pair, numbers)
}

/// Rewrites a clear frame's payload and its check value, as an attacker would.
fn rewrite(bytes: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let preamble = if bytes.starts_with(&Protocol::Mirroring.preamble()) {
        PREAMBLE_BYTES
    } else {
        0
    };
    let header = &bytes[preamble..preamble + HEADER_BYTES];
    let sequence = u64::from_be_bytes(header[6..14].try_into().unwrap());
    let mut payload = bytes[preamble + HEADER_BYTES..].to_vec();
    change(&mut payload);
    let mut out = bytes[..preamble].to_vec();
    put_frame(&mut out, FrameType(header[4]), sequence, &payload);
    out
}
