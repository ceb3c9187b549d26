//! Two connections wired back to back in memory: what succeeds, what fails and how, and what the wire shows.

mod windows;

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;
use crate::crypto::certificate::{self, Generated};
use crate::endpoint::config::{
    Algorithms, Authentication, Encryption, EndpointConfig, EndpointRole, ListenerIp, ListenerPort,
    WindowsMethod,
};
use crate::wire::frame::put_frame;

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

// What succeeds

#[test]
fn a_login_passes_through_the_documented_states() {
    let pair = Pair::connected(endpoints());
    assert!(pair.both_online());
    assert_eq!(
        pair.states(Side::Initiator),
        [
            "WAIT LOGIN NEGOTIATE",
            "ONE ISC",
            "WAIT VALIDATION",
            "WAIT ARBITRATION",
            "ONLINE"
        ]
    );
    assert_eq!(
        pair.states(Side::Acceptor),
        [
            "WAIT LOGIN NEGOTIATE",
            "ONE ASC",
            "WAIT ISC Confirm",
            "WAIT VALIDATION",
            "WAIT ARBITRATION",
            "ONLINE"
        ]
    );
    let text = "Login to Database Mirroring: 'peer_login_300' by CERTIFICATE. [CLIENT: 10.0.0.1:50000]";
    assert_eq!(pair.log(Side::Acceptor), [(28046, text.to_owned())]);
    assert_eq!(pair.log(Side::Initiator), []);
}

#[test]
fn both_sides_know_each_other_afterwards() {
    let pair = Pair::connected(endpoints());
    let logged_in = pair.acceptor.logged_in().expect("online");
    assert_eq!(logged_in.peer.arbitration_id, Guid::from_bytes([1; 16]));
    assert_eq!(logged_in.peer.server_name, "HOST_1");
    assert_eq!(logged_in.peer.role, EndpointRole::All);
    assert_eq!(logged_in.peer.address, Some("TCP://host1:7022".parse().unwrap()));
    assert_eq!(logged_in.encryption, EncryptionInUse::Aes);
    let row = pair.acceptor.row();
    assert_eq!((row.state, row.login_state, row.encryption_algorithm), (4, 12, 2));
    assert_eq!(row.peer_certificate_id, Some(300));
    assert_eq!(row.principal_name.as_deref(), Some("peer_login_300"));
    assert_eq!(row.authentication_method, Some("CERTIFICATE"));
    assert!(row.is_accept && row.remote_user_name.is_none());
    assert!(row.connect_time.is_some() && row.login_time.is_some());
    let far = pair.initiator.row();
    assert_eq!(
        (far.total_bytes_sent, far.total_fragments_sent),
        (row.total_bytes_received, row.total_fragments_received)
    );
    assert_eq!(far.peer_arbitration_id, Some(Guid::from_bytes([2; 16])));
    assert_ne!(far.connection_id, row.connection_id);
}

#[test]
fn messages_arrive_in_order_and_only_sealed_ones_are_hidden() {
    use Encryption::{Disabled, Required, Supported};
    let aes = Algorithms::Aes;
    for (encryptions, in_use) in [
        ((Disabled, Disabled), EncryptionInUse::None),
        ((Disabled, Supported(aes)), EncryptionInUse::None),
        ((Supported(aes), Supported(aes)), EncryptionInUse::Aes),
        (
            (Required(aes), Required(Algorithms::AesRc4)),
            EncryptionInUse::Aes,
        ),
        (
            (Supported(Algorithms::AesRc4), Required(Algorithms::Rc4)),
            EncryptionInUse::Rc4,
        ),
    ] {
        let mut pair = Pair::connected(with_encryption(encryptions.0, encryptions.1));
        assert!(pair.both_online());
        assert_eq!(pair.initiator.logged_in().unwrap().encryption, in_use);
        let now = pair.now;
        for text in ["first message", "second message"] {
            pair.initiator.send(now, text.as_bytes());
            pair.acceptor.send(now, text.as_bytes());
        }
        pair.run(|_, _, bytes| bytes);
        for side in [Side::Initiator, Side::Acceptor] {
            assert_eq!(
                pair.messages(side),
                [b"first message".to_vec(), b"second message".to_vec()]
            );
            let shows = pair.sent(side).iter().any(|bytes| contains(bytes, b"message"));
            assert_eq!(shows, in_use == EncryptionInUse::None, "{encryptions:?}");
        }
    }
}

#[test]
fn a_login_survives_any_fragmentation() {
    let mut pair = Pair::new(endpoints());
    let now = pair.now;
    pair.initiator.on_connected(now);
    for _ in 0..20 {
        for (side, other) in [
            (Side::Initiator, Side::Acceptor),
            (Side::Acceptor, Side::Initiator),
        ] {
            while let Some(output) = pair.side(side).poll() {
                match output {
                    ConnectionOutput::Send(bytes) => {
                        bytes
                            .iter()
                            .for_each(|byte| pair.side(other).receive(now, &[*byte]));
                    }
                    ConnectionOutput::Arbitrate(_) => {
                        pair.side(side).resolve_arbitration(now, ArbitrationVerdict::Keep);
                    }
                    _ => {}
                }
            }
        }
    }
    assert!(pair.both_online());
}

#[test]
fn the_largest_message_fits_and_a_larger_one_ends_the_connection() {
    let mut pair = Pair::connected(endpoints());
    let now = pair.now;
    pair.initiator.send(now, &vec![7; MESSAGE_BYTES_MAX]);
    pair.run(|_, _, bytes| bytes);
    assert_eq!(pair.messages(Side::Acceptor)[0].len(), MESSAGE_BYTES_MAX);
    pair.initiator.send(now, &vec![7; MESSAGE_BYTES_MAX + 1]);
    pair.run(|_, _, bytes| bytes);
    assert_eq!(pair.error(Side::Initiator), 28040);
}

// What is not compatible

#[test]
fn incompatible_endpoints_part_without_a_word() {
    let (a, mut b) = endpoints();
    b.config.authentication = Authentication::Windows(WindowsMethod::Negotiate);
    let encryption = |i, a| with_encryption(i, a);
    let cases = [
        (a, b),
        encryption(Encryption::Disabled, Encryption::default()),
        encryption(Encryption::default(), Encryption::Disabled),
        encryption(
            Encryption::Supported(Algorithms::Aes),
            Encryption::Supported(Algorithms::Rc4),
        ),
    ];
    for case in cases {
        let pair = Pair::connected(case);
        assert_eq!(pair.error(Side::Acceptor), 28027);
        assert_eq!(
            pair.failure(Side::Acceptor).subclass(),
            AuditSubclass::NegotiateFailure
        );
        assert_eq!(pair.error(Side::Initiator), 28028, "it only sees the end");
        assert!(pair.sent(Side::Acceptor).is_empty());
        let log = pair.log(Side::Acceptor);
        assert_eq!(log[0].0, 28047);
        assert!(
            log[0].1.contains("Error 28027") && log[0].1.contains("10.0.0.1"),
            "{log:?}"
        );
        assert_eq!(pair.log(Side::Initiator)[0].0, 9642);
    }
}

#[test]
fn windows_needs_a_domain_account() {
    let (mut a, mut b) = endpoints();
    a.config.authentication = Authentication::Windows(WindowsMethod::Ntlm);
    b.config.authentication = Authentication::Windows(WindowsMethod::Negotiate);
    let pair = Pair::connected((a, b));
    let error = &pair.failure(Side::Initiator).error;
    assert_eq!(error.number, 28031);
    assert!(
        error.text.contains("LocalSystem is nobody on the network"),
        "{error}"
    );
    assert_eq!(pair.error(Side::Acceptor), 28031);
}

#[test]
fn rc4_is_carried_out_with_a_warning_and_not_in_fips_mode() {
    let rc4 = Encryption::Required(Algorithms::Rc4);
    let pair = Pair::connected(with_encryption(rc4, rc4));
    assert!(pair.both_online());
    for side in [Side::Initiator, Side::Acceptor] {
        let warned = pair.log(side).iter().any(|(number, _)| *number == 33128);
        assert!(warned, "{side:?} {:?}", pair.log(side));
    }
    let pair = Pair::connected(endpoints());
    assert!(
        pair.log(Side::Acceptor)
            .iter()
            .all(|(number, _)| *number != 33128)
    );
    // Either side's mode is enough; the other's peer only goes away.
    for (initiator, acceptor, errors) in [(true, false, (28078, 28028)), (false, true, (28028, 28078))] {
        let (mut a, mut b) = with_encryption(rc4, rc4);
        (a.fips_mode, b.fips_mode) = (initiator, acceptor);
        let (_, seen) = refused((a, b));
        assert_eq!(seen, errors);
    }
    let (mut a, b) = endpoints();
    a.fips_mode = true;
    assert!(Pair::connected((a, b)).both_online(), "AES is welcome");
}

#[test]
fn the_second_method_is_tried_when_the_first_cannot_be_carried_out() {
    let (mut a, mut b) = endpoints();
    let windows_first = |c: &str| Authentication::WindowsThenCertificate(WindowsMethod::Negotiate, c.into());
    a.config.authentication = windows_first("HOST_1_cert");
    b.config.authentication = windows_first("HOST_2_cert");
    let pair = Pair::connected((a.clone(), b.clone()));
    assert!(pair.both_online());
    // The initiator cannot begin with Windows, says so and waits until the acceptor has noticed.
    let states = pair.states(Side::Initiator);
    assert_eq!(
        states[1..4],
        ["WAIT REJECT", "TWO ISC", "WAIT VALIDATION"],
        "{states:?}"
    );
    let states = pair.states(Side::Acceptor);
    assert_eq!(
        states[1..4],
        ["ONE ASC", "TWO ASC", "WAIT ISC Confirm"],
        "{states:?}"
    );
    assert_eq!(pair.log(Side::Initiator)[0].0, 9642);
    let (number, text) = &pair.log(Side::Acceptor)[0];
    assert_eq!(*number, 28047);
    assert!(text.contains("Error 28031"), "{text}");
    assert_eq!(pair.log(Side::Acceptor)[1].0, 28046);
    // The acceptor's certificate is missing: it rejects, and Windows is no way out.
    b.config.authentication = Authentication::CertificateThenWindows("gone".into(), WindowsMethod::Negotiate);
    b.own_certificate = None;
    let pair = Pair::connected((a, b));
    assert_eq!(pair.error(Side::Initiator), 28031);
    let states = pair.states(Side::Initiator);
    assert_eq!(states[1..3], ["ONE ISC", "ERROR"], "{states:?}");
}

#[test]
fn an_endpoint_that_is_not_started_shakes_no_hands() {
    for state in [EndpointState::Stopped, EndpointState::Disabled] {
        let (a, mut b) = endpoints();
        b.config.state = state;
        let pair = Pair::connected((a, b));
        assert_eq!(
            (pair.error(Side::Acceptor), pair.error(Side::Initiator)),
            (9666, 28028)
        );
        let (mut a, b) = endpoints();
        a.config.state = state;
        let pair = Pair::connected((a, b));
        assert_eq!(pair.error(Side::Initiator), 9666);
    }
}

// The checklist of certificate authentication

/// Runs a login that must fail; the numbers are (initiator, acceptor).
fn refused(endpoints: (LocalEndpoint, LocalEndpoint)) -> (Pair, (u32, u32)) {
    let pair = Pair::connected(endpoints);
    let numbers = (pair.error(Side::Initiator), pair.error(Side::Acceptor));
    (pair, numbers)
}

#[test]
fn own_certificate_missing_or_out_of_date_or_its_key_closed() {
    let (mut a, b) = endpoints();
    a.own_certificate = None;
    let (pair, numbers) = refused((a, b));
    assert_eq!(numbers, (28036, 28031));
    assert!(pair.failure(Side::Initiator).error.text.contains("9762"));

    let (mut a, b) = endpoints();
    a.master_key_open = false;
    let (pair, numbers) = refused((a, b));
    assert_eq!(numbers.0, 28037);
    assert!(pair.failure(Side::Initiator).error.text.contains("15581"));

    for (from, to, code) in [
        (START - YEAR, START, "28023"),
        (START + YEAR, START + 2 * YEAR, "28022"),
    ] {
        let own = certificate(1, "HOST_1", from, to);
        let (_, mut b) = endpoints();
        b.trusted = vec![trust(300, &own.der)];
        let (pair, numbers) = refused((local(1, own, &[good(2).der]), b));
        assert_eq!(numbers.0, 28036);
        assert!(pair.failure(Side::Initiator).error.text.contains(code));
    }

    let (a, mut b) = endpoints();
    b.own_certificate = None;
    assert_eq!(refused((a, b)).1, (28028, 28036));
}

#[test]
fn a_private_key_of_another_certificate_is_not_usable() {
    let (mut a, b) = endpoints();
    let own = a.own_certificate.as_mut().unwrap();
    own.private_key_pkcs8 = Some(good(9).private_key_pkcs8);
    assert_eq!(refused((a, b)).1.0, 28037);
}

#[test]
fn peer_certificate_not_imported() {
    let (a, mut b) = endpoints();
    b.trusted = vec![trust(300, &good(7).der)];
    let (pair, numbers) = refused((a, b));
    assert_eq!(numbers, (28028, 28035));
    let failure = pair.failure(Side::Acceptor);
    assert!(
        failure.error.text.contains("certificate not found"),
        "{}",
        failure.error
    );
    assert_eq!(failure.subclass(), AuditSubclass::AuthorizationFailure);
    assert_eq!(pair.log(Side::Acceptor)[0].0, 28047);
    // The initiator checks the acceptor alike.
    let (mut a, b) = endpoints();
    a.trusted.clear();
    assert_eq!(refused((a, b)).1, (28035, 28028));
}

/// Both certificates expire while the clocks run: sessions that are up stay, new logins fail.
#[test]
fn certificates_expire_by_the_clock() {
    let (mut a, mut b) = endpoints();
    let own = certificate(1, "HOST_1", START, START + 2_000);
    a.own_certificate.as_mut().unwrap().der = own.der.clone();
    b.trusted = vec![trust(300, &own.der)];
    let mut pair = Pair::connected((a.clone(), b.clone()));
    assert!(pair.both_online());
    let late = at(1_000 * 1_000 + 1_000);
    pair.now = late;
    pair.initiator.send(late, b"still here");
    pair.run(|_, _, bytes| bytes);
    assert_eq!(pair.messages(Side::Acceptor).len(), 1);
    // The initiator's own clock is behind, so that only the acceptor sees the expiry.
    let mut pair = Pair::new((a, b));
    pair.initiator.on_connected(pair.now);
    pair.acceptor.login_deadline = late.at + LOGIN_DEADLINE;
    for _ in 0..4 {
        while let Some(output) = pair.initiator.poll() {
            if let ConnectionOutput::Send(bytes) = output {
                pair.acceptor.receive(late, &bytes);
            }
        }
        while let Some(output) = pair.acceptor.poll() {
            match output {
                ConnectionOutput::Send(bytes) => pair.initiator.receive(at(0), &bytes),
                other => pair.seen.push((Side::Acceptor, other)),
            }
        }
    }
    let error = &pair.failure(Side::Acceptor).error;
    assert_eq!(error.number, 28035);
    assert!(error.text.contains("expired at"), "{error}");
}

#[test]
fn a_namesake_with_other_bytes_is_told_apart() {
    let (a, mut b) = endpoints();
    // Same subject and serial number (same seed), other dates: other bytes.
    let namesake = certificate(1, "HOST_1", START, START + YEAR + 1);
    b.trusted = vec![trust(300, &namesake.der)];
    assert_eq!(refused((a, b)).1, (28028, 28045));
}

#[test]
fn login_missing_or_without_connect() {
    for (login, connect, user) in [
        (Some("peer_login"), false, "peer_login"),
        (None, true, "peer_user_300"),
    ] {
        let (a, mut b) = endpoints();
        b.trusted[0].login = login.map(str::to_owned);
        b.trusted[0].connect = connect;
        let (pair, numbers) = refused((a, b));
        assert_eq!(numbers, (28028, 28034));
        let log = pair.log(Side::Acceptor);
        assert_eq!(log[0].0, 28048, "the user is known");
        assert!(log[0].1.contains(user) && log[0].1.contains("28034"), "{log:?}");
        assert_eq!(pair.failure(Side::Acceptor).user.as_deref(), Some(user));
    }
}

/// Whatever the reason, the acceptor has sent as many frames of the same lengths, and then nothing.
#[test]
fn a_refused_peer_learns_no_reason() {
    let sent_lengths = |change: fn(&mut LocalEndpoint)| {
        let (a, mut b) = endpoints();
        change(&mut b);
        let (pair, _) = refused((a, b));
        assert_eq!(pair.failure(Side::Initiator).error.number, 28028);
        pair.sent(Side::Acceptor)
            .iter()
            .map(|bytes| bytes.len())
            .collect::<Vec<_>>()
    };
    let not_imported = sent_lengths(|b| b.trusted.clear());
    let no_connect = sent_lengths(|b| b.trusted[0].connect = false);
    let no_login = sent_lengths(|b| b.trusted[0].login = None);
    let expired = sent_lengths(|b| b.trusted[0].der = certificate(1, "HOST_1", START, START + 9).der);
    assert_eq!(not_imported.len(), 2, "an answer and one token");
    assert_eq!(no_connect, not_imported);
    assert_eq!(no_login, not_imported);
    assert_eq!(expired, not_imported);
}

// Meddling

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

// Deadlines

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

// Arbitration

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

// Determinism

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

// Anything at all

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

mod refusals;
