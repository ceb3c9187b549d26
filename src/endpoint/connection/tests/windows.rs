//! Windows logins: who waits for whom in which state, what the domain controller decides, and how the second method comes in.

use rand_chacha::ChaCha20Rng;

use super::*;
use crate::domain::{AccountName, Controller, Directory, LogonSession};
use crate::endpoint::auth::service_principal_name;

/// A domain with two service accounts, whose controller answers at once, never, or not yet.
struct Domain {
    directory: Directory,
    controller: Controller,
    rng: ChaCha20Rng,
    is_down: bool,
    asked: Vec<Side>,
}

fn service(id: u8) -> AccountName {
    AccountName::new("LAB", format!("sql_{id}"))
}

impl Domain {
    fn new() -> Self {
        let mut rng = ChaCha20Rng::from_seed([7; 32]);
        let mut directory = Directory::default();
        directory.add_domain("LAB", "lab.example", &mut rng).unwrap();
        for id in 1..=2 {
            let computer = AccountName::computer("LAB", &format!("host{id}"));
            for name in [service(id), computer] {
                directory.add_account(&name, &name.to_string()).unwrap();
            }
            let spn = service_principal_name(&format!("host{id}.lab.example"), 7022);
            directory.add_spn(&spn, &service(id)).unwrap();
        }
        Domain {
            directory,
            controller: Controller::new("LAB"),
            rng,
            is_down: false,
            asked: Vec::new(),
        }
    }

    fn session(&self, id: u8) -> LogonSession {
        let credentials = |name: &AccountName| self.directory.credentials(name).unwrap();
        let computer = AccountName::computer("LAB", &format!("host{id}"));
        LogonSession::new(credentials(&service(id)), credentials(&computer))
    }

    /// Both endpoints authenticate by `method`; the acceptor knows the initiator's account.
    fn endpoints(&self, method: WindowsMethod) -> (LocalEndpoint, LocalEndpoint) {
        let (mut a, mut b) = endpoints();
        for (id, side) in [(1, &mut a), (2, &mut b)] {
            side.config.authentication = Authentication::Windows(method);
            let peer = self.directory.account(&service(3 - id)).unwrap();
            side.windows = WindowsSide {
                account: service(id).to_string(),
                session: Some(self.session(id)),
                dns_suffix: "lab.example".into(),
                logins: vec![WindowsLogin {
                    name: peer.name().to_string(),
                    sid: peer.sid().to_bytes().to_vec(),
                    connect: true,
                }],
            };
        }
        (a, b)
    }

    fn login(&mut self, (a, b): (LocalEndpoint, LocalEndpoint)) -> Pair {
        let now = at(0);
        let mut pair = Pair {
            initiator: Connection::initiate(
                ConnectionId(1),
                Arc::new(a),
                "TCP://host2:7022".into(),
                [1; 32],
                now,
            ),
            acceptor: Connection::accept(
                ConnectionId(2),
                Arc::new(b),
                "10.0.0.1:50000".into(),
                [2; 32],
                now,
            ),
            wire: Vec::new(),
            seen: Vec::new(),
            rows: Rows::default(),
            now,
        };
        pair.connect();
        while self.answer(&mut pair) {
            pair.run(|_, _, bytes| bytes);
        }
        pair
    }

    /// Answers what was asked last, if that was not answered. Whether there was anything.
    fn answer(&mut self, pair: &mut Pair) -> bool {
        let mut questions = pair.seen.iter().filter_map(|(side, output)| match output {
            ConnectionOutput::AskController(request) => Some((*side, request.clone())),
            _ => None,
        });
        let Some((side, request)) = questions.nth(self.asked.len()) else {
            return false;
        };
        self.asked.push(side);
        let now = pair.now;
        if self.is_down {
            pair.side(side).on_controller(now, Err(NoController));
        } else {
            let answer = self
                .controller
                .answer(&mut self.directory, &request, now.wall, &mut self.rng);
            pair.side(side).on_controller(now, Ok(&answer));
        }
        true
    }
}

#[test]
fn by_ntlm_the_acceptor_asks_and_confirms() {
    let mut domain = Domain::new();
    let endpoints = domain.endpoints(WindowsMethod::Ntlm);
    let pair = domain.login(endpoints);
    assert!(pair.both_online(), "{:?}", pair.seen);
    assert_eq!(domain.asked, [Side::Acceptor]);
    assert_eq!(
        pair.states(Side::Initiator),
        [
            "WAIT LOGIN NEGOTIATE",
            "ONE ISC",
            "WAIT ASC Confirm",
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
            "ONE ASC",
            "WAIT VALIDATION",
            "WAIT ARBITRATION",
            "ONLINE"
        ]
    );
    let row = pair.acceptor.row();
    assert_eq!(row.authentication_method, Some("NTLM"));
    assert_eq!(row.principal_name.as_deref(), Some("LAB\\sql_1"));
    assert_eq!(row.remote_user_name.as_deref(), Some("LAB\\sql_1"));
    assert_eq!(row.peer_certificate_id, None);
}

#[test]
fn by_kerberos_the_initiator_asks_before_it_speaks() {
    let mut domain = Domain::new();
    let endpoints = domain.endpoints(WindowsMethod::Negotiate);
    let pair = domain.login(endpoints);
    assert!(pair.both_online(), "{:?}", pair.seen);
    assert!(domain.asked.iter().all(|side| *side == Side::Initiator));
    assert_eq!(pair.acceptor.row().authentication_method, Some("KERBEROS"));
    let row = pair.initiator.row();
    assert_eq!(row.authentication_method, Some("KERBEROS"));
    assert_eq!(
        row.principal_name.as_deref(),
        Some("MSSQLSvc/host2.lab.example:7022")
    );
    assert_eq!(row.remote_user_name, None);
}

#[test]
fn an_account_without_a_login_or_without_connect_is_named_in_the_refusal() {
    let mut domain = Domain::new();
    let (a, mut b) = domain.endpoints(WindowsMethod::Ntlm);
    b.windows.logins.clear();
    let pair = domain.login((a, b));
    let failure = pair.failure(Side::Acceptor);
    assert_eq!(failure.error.number, 9752);
    assert_eq!(failure.subclass(), AuditSubclass::AuthorizationFailure);
    assert_eq!(pair.log(Side::Acceptor)[0].0, 28048);
    assert_eq!(pair.error(Side::Initiator), 28028);

    let mut domain = Domain::new();
    let (a, mut b) = domain.endpoints(WindowsMethod::Ntlm);
    b.windows.logins[0].connect = false;
    let pair = domain.login((a, b));
    assert_eq!(pair.error(Side::Acceptor), 28034);
    assert_eq!(pair.log(Side::Acceptor)[0].0, 28048);
}

#[test]
fn a_failed_authentication_leads_to_the_second_method_and_a_failed_authorization_does_not() {
    let both = |domain: &Domain| {
        let (mut a, mut b) = domain.endpoints(WindowsMethod::Ntlm);
        for (id, side) in [(1, &mut a), (2, &mut b)] {
            side.config.authentication =
                Authentication::WindowsThenCertificate(WindowsMethod::Ntlm, format!("HOST_{id}_cert"));
        }
        (a, b)
    };
    let mut domain = Domain::new();
    domain.is_down = true;
    let endpoints = both(&domain);
    let pair = domain.login(endpoints);
    assert!(pair.both_online(), "{:?}", pair.seen);
    assert_eq!(pair.acceptor.row().authentication_method, Some("CERTIFICATE"));
    assert_eq!(pair.acceptor.row().remote_user_name, None);
    let states = pair.states(Side::Initiator);
    assert_eq!(
        states[1..4],
        ["ONE ISC", "WAIT ASC Confirm", "TWO ISC"],
        "{states:?}"
    );
    let (number, text) = &pair.log(Side::Acceptor)[0];
    assert_eq!(*number, 28047);
    assert!(text.contains("0x80090311"), "{text}");

    let mut domain = Domain::new();
    let (a, mut b) = both(&domain);
    b.windows.logins[0].connect = false;
    let pair = domain.login((a, b));
    assert_eq!(pair.error(Side::Acceptor), 28034);
    assert!(!pair.states(Side::Acceptor).contains(&"TWO ASC".to_owned()));
}

fn is_method_failure(output: &ConnectionOutput) -> bool {
    matches!(
        output,
        ConnectionOutput::Emit(Event::Endpoint(EndpointEvent::MethodFailed { .. }))
    )
}

#[test]
fn by_certificate_first_windows_comes_second_on_either_sides_failure() {
    for broken in [Side::Initiator, Side::Acceptor] {
        let mut domain = Domain::new();
        let (mut a, mut b) = domain.endpoints(WindowsMethod::Kerberos);
        for (id, side) in [(1, &mut a), (2, &mut b)] {
            side.config.authentication =
                Authentication::CertificateThenWindows(format!("HOST_{id}_cert"), WindowsMethod::Kerberos);
        }
        match broken {
            Side::Initiator => a.own_certificate = None,
            Side::Acceptor => b.own_certificate = None,
        }
        let pair = domain.login((a, b));
        assert!(pair.both_online(), "{broken:?}: {:?}", pair.seen);
        assert_eq!(pair.initiator.row().authentication_method, Some("KERBEROS"));
        let waits = pair.states(Side::Initiator).contains(&"WAIT REJECT".to_owned());
        assert_eq!(waits, broken == Side::Initiator);
        for side in [Side::Initiator, Side::Acceptor] {
            let failures = pair
                .seen
                .iter()
                .filter(|(by, output)| *by == side && is_method_failure(output));
            assert_eq!(failures.count(), 1, "{side:?}");
        }
    }
}

#[test]
fn a_token_sent_back_and_a_bad_confirmation_have_numbers_of_their_own() {
    let mut domain = Domain::new();
    let endpoints = domain.endpoints(WindowsMethod::Ntlm);
    let mut pair = Pair::new(endpoints);
    pair.initiator.on_connected(pair.now);
    let mut first = Vec::new();
    pair.run(|side, number, bytes| match (side, number) {
        (Side::Initiator, 1) => {
            first = bytes.clone();
            bytes
        }
        // In place of the acceptor's challenge, the initiator's own token.
        (Side::Acceptor, 1) => first.clone(),
        _ => bytes,
    });
    assert_eq!(pair.error(Side::Initiator), 28079);

    let endpoints = domain.endpoints(WindowsMethod::Ntlm);
    let mut pair = Pair::new(endpoints);
    pair.initiator.on_connected(pair.now);
    pair.run(|side, number, bytes| match (side, number) {
        (Side::Acceptor, 2) => {
            let mut forged = Vec::new();
            put_frame(&mut forged, FrameType::CONFIRM, 2, &0x8009_030C_u32.to_be_bytes());
            forged
        }
        _ => bytes,
    });
    domain.answer(&mut pair);
    pair.run(|side, number, bytes| match (side, number) {
        (Side::Acceptor, 2) => {
            let mut forged = Vec::new();
            put_frame(&mut forged, FrameType::CONFIRM, 2, &0x8009_030C_u32.to_be_bytes());
            forged
        }
        _ => bytes,
    });
    assert_eq!(pair.error(Side::Initiator), 28070);
}

#[test]
fn a_token_of_another_package_is_named() {
    let domain = Domain::new();
    let mut pair = Pair::new(domain.endpoints(WindowsMethod::Ntlm));
    pair.initiator.on_connected(pair.now);
    pair.run(|side, number, bytes| match (side, number) {
        // Behind the token's length and first byte the envelope names the package: NTLM becomes Kerberos.
        (Side::Initiator, 1) => rewrite(&bytes, |payload| payload[3] ^= 3),
        _ => bytes,
    });
    assert_eq!(pair.error(Side::Acceptor), 28039);
    assert_eq!(
        pair.failure(Side::Acceptor).subclass(),
        AuditSubclass::AuthenticationFailure
    );
}

/// Whoever is waited for, the login deadline ends the wait.
#[test]
fn a_controller_that_never_answers_does_not_hold_a_login() {
    for method in [WindowsMethod::Ntlm, WindowsMethod::Kerberos] {
        let domain = Domain::new();
        let mut pair = Pair::new(domain.endpoints(method));
        pair.connect();
        let side = match method {
            WindowsMethod::Ntlm => Side::Acceptor,
            _ => Side::Initiator,
        };
        pair.now = at(LOGIN_DEADLINE.as_millis() as u64);
        let now = pair.now;
        pair.side(side).wake(now);
        pair.run(|_, _, bytes| bytes);
        assert_eq!(pair.error(side), 9760);
        pair.side(side).on_controller(now, Err(NoController));
        assert!(pair.side(side).poll().is_none(), "it is over");
    }
}
