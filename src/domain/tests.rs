//! Whole exchanges between two ends and a domain controller, and what each end sees of everything that can go wrong.

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::types::WallTime;

/// What a test sees of one end.
type Outcome = Result<Done, WindowsFailure>;

const START: WallTime = WallTime::from_unix_secs(1_767_225_600);

/// Two domains, a service account on each of two systems of the first, and one of the second.
struct Lab {
    directory: Directory,
    alpha: LogonSession,
    beta: LogonSession,
    spn: &'static str,
    rng: ChaCha20Rng,
    /// Which end reaches the controller.
    initiator_reaches: bool,
    acceptor_reaches: bool,
}

fn alpha() -> AccountName {
    AccountName::new("ADVENTURE", "AlphaSvc")
}

fn beta() -> AccountName {
    AccountName::new("ADVENTURE", "BetaSvc")
}

fn foreign() -> AccountName {
    AccountName::new("CONTOSO", "Foreign")
}

const SPN: &str = "MSSQLSvc/beta.adventure-works.com:5022";

impl Lab {
    fn new() -> Self {
        let mut rng = ChaCha20Rng::from_seed([9; 32]);
        let mut directory = Directory::default();
        directory
            .add_domain("ADVENTURE", "adventure-works.com", &mut rng)
            .expect("new");
        directory
            .add_domain("CONTOSO", "contoso.com", &mut rng)
            .expect("new");
        for account in [alpha(), beta(), foreign()] {
            directory.add_account(&account, "Pass§word").expect("new");
        }
        for computer in ["alpha", "beta"] {
            let account = AccountName::computer("ADVENTURE", computer);
            directory.add_account(&account, computer).expect("new");
        }
        directory.add_spn(SPN, &beta()).expect("registered");
        let session = |service: &AccountName, computer: &str| {
            LogonSession::new(
                directory.credentials(service).expect("there"),
                directory
                    .credentials(&AccountName::computer("ADVENTURE", computer))
                    .expect("there"),
            )
        };
        let (alpha, beta) = (session(&alpha(), "alpha"), session(&beta(), "beta"));
        Lab {
            alpha,
            beta,
            directory,
            spn: SPN,
            rng,
            initiator_reaches: true,
            acceptor_reaches: true,
        }
    }

    fn ask(&mut self, request: &[u8], reaches: bool, now: WallTime) -> Result<Vec<u8>, NoController> {
        if !reaches {
            return Err(NoController);
        }
        let mut controller = Controller::new("ADVENTURE");
        Ok(controller.answer(&mut self.directory, request, now, &mut self.rng))
    }

    /// Runs one exchange to its end on both sides: initiator's outcome, acceptor's.
    fn run(&mut self, protocol: WindowsProtocol) -> (Outcome, Option<Outcome>) {
        self.run_at(protocol, protocol, START, START)
    }

    /// With the methods and the clocks of both ends; the controller's clock shows `START`.
    fn run_at(
        &mut self,
        initiates: WindowsProtocol,
        accepts: WindowsProtocol,
        initiator_clock: WallTime,
        acceptor_clock: WallTime,
    ) -> (Outcome, Option<Outcome>) {
        let mut acceptor = Acceptor::new(accepts, &self.beta, [2; 32]);
        let (mut initiator, mut step) =
            Initiator::start(initiates, &self.alpha, self.spn, [1; 32], initiator_clock);
        let (mut first, mut second) = (None, None);
        loop {
            let token = match step {
                Step::AskController(request) => {
                    let answer = self.ask(&request, self.initiator_reaches, START);
                    step = initiator.answered(answer.as_deref().map_err(|e| *e), initiator_clock);
                    continue;
                }
                Step::Token(token) => token,
                Step::Failed(failure) => return (Err(failure), second),
                Step::Done(done) => {
                    let token = done.token.clone();
                    first = Some(done);
                    match token {
                        Some(token) => token,
                        None => return (Ok(first.expect("just set")), second),
                    }
                }
            };
            let mut reply = acceptor.token(&token, acceptor_clock);
            while let Step::AskController(request) = reply {
                let answer = self.ask(&request, self.acceptor_reaches, START);
                reply = acceptor.answered(answer.as_deref().map_err(|e| *e), acceptor_clock);
            }
            let back = match reply {
                Step::Token(token) => Some(token),
                Step::Done(done) => {
                    let token = done.token.clone();
                    second = Some(Ok(done));
                    token
                }
                Step::Failed(failure) => {
                    second = Some(Err(failure));
                    None
                }
                Step::AskController(_) => unreachable!("answered above"),
            };
            match (back, &first) {
                (Some(token), _) => step = initiator.token(&token, initiator_clock),
                (None, Some(done)) => return (Ok(done.clone()), second),
                (None, None) => return (Err(WindowsFailure::Unexpected("silence")), second),
            }
        }
    }

    fn expect_ok(&mut self, protocol: WindowsProtocol) -> Package {
        match self.run(protocol) {
            (Ok(initiator), Some(Ok(acceptor))) => {
                assert_eq!(initiator.secret, acceptor.secret);
                assert_eq!(initiator.package, acceptor.package);
                assert_eq!(initiator.peer, None);
                let peer = acceptor.peer.expect("the acceptor learns who it is");
                assert_eq!(&peer.account, &self.alpha.service().account);
                assert_eq!(
                    self.directory.account(&peer.account).map(Account::sid),
                    Some(peer.sid)
                );
                acceptor.package
            }
            other => panic!("{other:?}"),
        }
    }

    fn acceptor_failure(&mut self, protocol: WindowsProtocol) -> WindowsFailure {
        match self.run(protocol).1 {
            Some(Err(failure)) => failure,
            other => panic!("{other:?}"),
        }
    }

    /// A session of `account` on the initiator's system with the password it has now.
    fn restart_alpha_as(&mut self, account: &AccountName) {
        let service = self.directory.credentials(account).expect("there");
        self.alpha = LogonSession::new(service, self.alpha.computer().clone());
    }
}

mod ntlm_exchange {
    use super::*;

    const NTLM: WindowsProtocol = WindowsProtocol::Ntlm;

    #[test]
    fn both_ends_agree_on_a_secret_and_the_acceptor_learns_the_account() {
        assert_eq!(Lab::new().expect_ok(NTLM), Package::Ntlm);
    }

    #[test]
    fn the_account_decides_and_only_the_acceptor_sees_why() {
        let mut lab = Lab::new();
        lab.directory.set_disabled(&alpha(), true).expect("there");
        assert_eq!(
            lab.acceptor_failure(NTLM),
            WindowsFailure::AccountDisabled(alpha())
        );
        lab.directory.set_disabled(&alpha(), false).expect("there");
        lab.directory.set_locked(&alpha(), true).expect("there");
        assert_eq!(lab.acceptor_failure(NTLM), WindowsFailure::AccountLocked(alpha()));
        lab.directory.set_locked(&alpha(), false).expect("there");
        lab.expect_ok(NTLM);
        lab.directory.remove_account(&alpha()).expect("there");
        let failure = lab.acceptor_failure(NTLM);
        assert_eq!(failure, WindowsFailure::NoSuchAccount(alpha()));
        assert_eq!(failure.code(), SecurityCode::LOGON_DENIED);
        assert_eq!(failure.account(), Some(&alpha()));
    }

    #[test]
    fn a_service_with_the_old_password_is_refused_until_it_is_started_again() {
        let mut lab = Lab::new();
        lab.directory.set_password(&alpha(), "new").expect("there");
        assert_eq!(lab.acceptor_failure(NTLM), WindowsFailure::WrongPassword(alpha()));
        lab.restart_alpha_as(&alpha());
        lab.expect_ok(NTLM);
        lab.directory.set_password(&beta(), "new").expect("there");
        lab.expect_ok(NTLM);
    }

    #[test]
    fn an_account_of_another_domain_needs_a_trust_of_the_acceptors_domain() {
        let mut lab = Lab::new();
        lab.restart_alpha_as(&foreign());
        assert_eq!(lab.acceptor_failure(NTLM), WindowsFailure::NoTrust(foreign()));
        lab.directory.add_trust("CONTOSO", "ADVENTURE").expect("there");
        assert_eq!(lab.acceptor_failure(NTLM), WindowsFailure::NoTrust(foreign()));
        lab.directory.add_trust("ADVENTURE", "CONTOSO").expect("there");
        lab.expect_ok(NTLM);
    }

    #[test]
    fn only_the_acceptor_needs_the_controller() {
        let mut lab = Lab::new();
        lab.initiator_reaches = false;
        lab.expect_ok(NTLM);
        lab.acceptor_reaches = false;
        let failure = lab.acceptor_failure(NTLM);
        assert_eq!(failure, WindowsFailure::NoController(NoController));
        assert_eq!(failure.code(), SecurityCode::NO_AUTHENTICATING_AUTHORITY);
    }

    #[test]
    fn a_system_that_is_no_member_gets_no_answer() {
        let mut lab = Lab::new();
        let computer = AccountName::computer("ADVENTURE", "beta");
        lab.directory.set_password(&computer, "reset").expect("there");
        assert_eq!(
            lab.acceptor_failure(NTLM),
            WindowsFailure::NoSecureChannel(computer)
        );
    }

    #[test]
    fn a_computer_account_authenticates_like_any_other() {
        let mut lab = Lab::new();
        lab.restart_alpha_as(&AccountName::computer("ADVENTURE", "alpha"));
        lab.expect_ok(NTLM);
    }

    #[test]
    fn every_changed_byte_of_every_message_ends_the_exchange() {
        let lab = Lab::new();
        for message in 0..3 {
            let length = tampered(&lab, message, None).1;
            for at in 0..length {
                let (outcome, _) = tampered(&lab, message, Some(at));
                assert!(outcome.is_err(), "message {message} byte {at}: {outcome:?}");
            }
        }
    }

    /// Runs an exchange with one byte of one message changed; the acceptor's outcome and the message's length.
    fn tampered(lab: &Lab, message: usize, at: Option<usize>) -> (Outcome, usize) {
        let mut directory = lab.directory.clone();
        let mut length = 0;
        let mut pass = |number: usize, mut token: Vec<u8>| {
            if number == message {
                length = token.len();
                if let Some(at) = at {
                    token[at] ^= 0x40;
                }
            }
            token
        };
        let mut acceptor = Acceptor::new(NTLM, &lab.beta, [2; 32]);
        let (mut initiator, step) = Initiator::start(NTLM, &lab.alpha, SPN, [1; 32], START);
        let Step::Token(negotiate) = step else {
            panic!("{step:?}")
        };
        let outcome = match acceptor.token(&pass(0, negotiate), START) {
            Step::Token(challenge) => match initiator.token(&pass(1, challenge), START) {
                Step::Done(Done {
                    token: Some(token), ..
                }) => acceptor.token(&pass(2, token), START),
                other => other,
            },
            other => other,
        };
        let outcome = match outcome {
            Step::AskController(request) => {
                let mut rng = ChaCha20Rng::from_seed([4; 32]);
                let answer = Controller::new("ADVENTURE").answer(&mut directory, &request, START, &mut rng);
                acceptor.answered(Ok(&answer), START)
            }
            other => other,
        };
        match outcome {
            Step::Done(done) => (Ok(done), length),
            Step::Failed(failure) => (Err(failure), length),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tokens_of_another_package_or_direction_are_told_apart() {
        let lab = Lab::new();
        let (mut initiator, step) = Initiator::start(NTLM, &lab.alpha, SPN, [1; 32], START);
        let Step::Token(mut negotiate) = step else {
            panic!("{step:?}")
        };
        assert_eq!(
            initiator.token(&negotiate, START),
            Step::Failed(WindowsFailure::WrongDirection)
        );
        negotiate[1] = 2;
        let mut acceptor = Acceptor::new(NTLM, &lab.beta, [2; 32]);
        assert_eq!(
            acceptor.token(&negotiate, START),
            Step::Failed(WindowsFailure::NotThePackage(Package::Ntlm))
        );
        assert!(
            matches!(acceptor.token(&negotiate, START), Step::Failed(_)),
            "it is over"
        );
        assert!(
            matches!(acceptor.answered(Ok(&[]), START), Step::Failed(_)),
            "it is over"
        );
    }
}

mod questions {
    use super::*;

    fn ask(lab: &mut Lab, query: &Query) -> Result<Answer, WindowsFailure> {
        let mut rng = ChaCha20Rng::from_seed([5; 32]);
        let (channel, request) = Channel::ask(lab.beta.computer(), &mut rng, query);
        let answer = lab.ask(&request, true, START).expect("reached");
        channel.read(&answer)
    }

    #[test]
    fn accounts_are_found_where_the_domain_is_trusted() {
        let mut lab = Lab::new();
        let sid = lab.directory.account(&alpha()).expect("there").sid();
        let found = WindowsIdentity {
            account: alpha(),
            sid,
        };
        assert_eq!(ask(&mut lab, &Query::Lookup(alpha())), Ok(Answer::Found(found)));
        let missing = AccountName::new("ADVENTURE", "nobody");
        assert_eq!(
            ask(&mut lab, &Query::Lookup(missing.clone())),
            Err(WindowsFailure::NoSuchAccount(missing))
        );
        assert_eq!(
            ask(&mut lab, &Query::Lookup(foreign())),
            Err(WindowsFailure::NoTrust(foreign()))
        );
    }

    #[test]
    fn a_name_is_registered_once_and_only_by_who_may() {
        let mut lab = Lab::new();
        let register = |account: AccountName, port: u16| Query::RegisterSpn {
            spn: format!("MSSQLSvc/beta.adventure-works.com:{port}"),
            account,
        };
        assert_eq!(ask(&mut lab, &register(beta(), 5022)), Ok(Answer::SpnRegistered));
        assert_eq!(ask(&mut lab, &register(beta(), 7022)), Ok(Answer::SpnRegistered));
        assert_eq!(
            ask(&mut lab, &register(alpha(), 7022)),
            Err(WindowsFailure::SpnRefused(alpha()))
        );
        lab.directory
            .set_may_register_spns(&alpha(), false)
            .expect("there");
        assert_eq!(
            ask(&mut lab, &register(alpha(), 7023)),
            Err(WindowsFailure::SpnRefused(alpha()))
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_leave_every_end_standing(bytes: Vec<u8>, protocol in 0usize..3) {
        let mut lab = Lab::new();
        let protocols = [WindowsProtocol::Ntlm, WindowsProtocol::Kerberos, WindowsProtocol::Negotiate];
        let protocol = protocols[protocol];
        let mut acceptor = Acceptor::new(protocol, &lab.beta, [2; 32]);
        acceptor.token(&bytes, START);
        acceptor.answered(Ok(&bytes), START);
        let (mut initiator, _) = Initiator::start(protocol, &lab.alpha, SPN, [1; 32], START);
        initiator.answered(Ok(&bytes), START);
        initiator.token(&bytes, START);
        let _ = lab.ask(&bytes, true, START);
    }
}
