//! Whole exchanges between two ends and a domain controller, and what each end sees of everything that can go wrong.

mod kerberos;
mod negotiate;
mod ntlm;
mod peers;
mod questions;

use std::sync::OnceLock;

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
    runs: u8,
    /// Requests the controller was sent.
    asked: u32,
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

/// Made once: keys of passwords take long, and clones share them.
fn base() -> &'static (Directory, ChaCha20Rng) {
    static BASE: OnceLock<(Directory, ChaCha20Rng)> = OnceLock::new();
    BASE.get_or_init(|| {
        let mut rng = ChaCha20Rng::from_seed([9; 32]);
        let mut directory = Directory::default();
        for (netbios, dns) in [("ADVENTURE", "adventure-works.com"), ("CONTOSO", "contoso.com")] {
            directory.add_domain(netbios, dns, &mut rng).expect("new");
        }
        for account in [alpha(), beta(), foreign()] {
            directory.add_account(&account, "Pass§word").expect("new");
        }
        for computer in ["alpha", "beta"] {
            let account = AccountName::computer("ADVENTURE", computer);
            directory.add_account(&account, computer).expect("new");
        }
        directory.add_spn(SPN, &beta()).expect("registered");
        (directory, rng)
    })
}

impl Lab {
    fn new() -> Self {
        let (directory, rng) = base().clone();
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
            runs: 0,
            asked: 0,
        }
    }

    fn ask(&mut self, request: &[u8], reaches: bool, now: WallTime) -> Result<Vec<u8>, NoController> {
        if !reaches {
            return Err(NoController);
        }
        self.asked += 1;
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
        self.runs += 1;
        let mut acceptor = Acceptor::new(accepts, &self.beta, [self.runs; 32]);
        let (mut initiator, mut step) = Initiator::start(
            initiates,
            &self.alpha,
            self.spn,
            [100 + self.runs; 32],
            initiator_clock,
        );
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

    fn initiator_failure(&mut self, protocol: WindowsProtocol) -> WindowsFailure {
        match self.run(protocol) {
            (Err(failure), None) => failure,
            other => panic!("{other:?}"),
        }
    }

    fn restart_beta(&mut self) {
        let service = self.directory.credentials(&beta()).expect("there");
        self.beta = LogonSession::new(service, self.beta.computer().clone());
    }

    /// A session of `account` on the initiator's system with the password it has now.
    fn restart_alpha_as(&mut self, account: &AccountName) {
        let service = self.directory.credentials(account).expect("there");
        self.alpha = LogonSession::new(service, self.alpha.computer().clone());
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
