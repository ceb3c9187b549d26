//! One Windows authentication, from either end, whichever package carries it out.
//!
//! The owner of the connection starts an exchange, does what each [`Step`] says, and feeds back what it got: tokens of
//! the peer through `token`, the domain controller's answer (or that there is none) through `answered`. An exchange that
//! is done or failed answers everything with a failure. Deadlines are the owner's.

use hmac::{Hmac, KeyInit, Mac};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sha2::Sha256;

use super::account::WindowsIdentity;
use super::envelope::{self, From};
use super::failure::{NoController, Package, WindowsFailure};
use super::logon::LogonSession;
use super::ntlm;
use crate::types::WallTime;

/// What AUTHENTICATION names behind WINDOWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WindowsProtocol {
    Ntlm,
    Kerberos,
    Negotiate,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send this to the controller of the system's own domain and feed its answer to `answered`.
    AskController(Vec<u8>),
    /// Send this to the peer and feed its next token to `token`.
    Token(Vec<u8>),
    Done(Done),
    Failed(WindowsFailure),
}

/// The end of an exchange that went well on this side.
#[derive(Clone, PartialEq, Eq)]
pub struct Done {
    /// To be sent to the peer, whose side ends with it.
    pub token: Option<Vec<u8>>,
    /// Known to both ends and nobody else; keys are derived from it.
    pub secret: [u8; 32],
    /// Who the peer is: always on the acceptor, never on the initiator, which knows only that the peer has the secret.
    pub peer: Option<WindowsIdentity>,
    pub package: Package,
}

impl Done {
    /// `key` is the package's session key.
    pub(super) fn new(
        package: Package,
        token: Option<Vec<u8>>,
        key: &[u8],
        peer: Option<WindowsIdentity>,
    ) -> Self {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("a key of any length will do");
        mac.update(b"mirrorlab ");
        mac.update(package.desc().as_bytes());
        Done {
            token,
            secret: mac.finalize().into_bytes().into(),
            peer,
            package,
        }
    }
}

impl std::fmt::Debug for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Done({}, peer {:?})", self.package, self.peer)
    }
}

impl Step {
    /// The step with its token in the envelope.
    fn wrapped(self, package: Package, from: From) -> Step {
        match self {
            Step::Token(token) => Step::Token(envelope::wrap(package, from, &token)),
            Step::Done(done) => Step::Done(Done {
                token: done.token.map(|token| envelope::wrap(package, from, &token)),
                ..done
            }),
            Step::AskController(_) | Step::Failed(_) => self,
        }
    }
}

/// The end that opened the connection and proves who it is.
#[derive(Debug)]
pub struct Initiator {
    running: Result<ntlm::Initiator, WindowsFailure>,
}

impl Initiator {
    /// Begins to authenticate `session` to the service with the principal name `spn` (`MSSQLSvc/host:port`).
    ///
    /// All randomness of the exchange comes from `seed`.
    pub fn start(
        protocol: WindowsProtocol,
        session: &LogonSession,
        spn: &str,
        seed: [u8; 32],
        _now: WallTime,
    ) -> (Self, Step) {
        if protocol == WindowsProtocol::Kerberos {
            let failure = WindowsFailure::NotAvailable(Package::Kerberos);
            let running = Err(failure.clone());
            return (Initiator { running }, Step::Failed(failure));
        }
        let rng = ChaCha20Rng::from_seed(seed);
        let (ntlm, step) = ntlm::Initiator::start(session.clone(), spn.to_owned(), rng);
        let running = Ok(ntlm);
        (
            Initiator { running },
            step.wrapped(Package::Ntlm, From::Initiator),
        )
    }

    /// The acceptor's token.
    pub fn token(&mut self, token: &[u8], now: WallTime) -> Step {
        let Ok(ntlm) = &mut self.running else {
            return Step::Failed(WindowsFailure::Unexpected("token"));
        };
        let step = envelope::unwrap_package(token, Package::Ntlm, From::Acceptor)
            .and_then(|inner| ntlm.token(inner, now));
        self.went(step)
    }

    /// The controller's answer to what [`Step::AskController`] asked.
    pub fn answered(&mut self, _answer: Result<&[u8], NoController>, _now: WallTime) -> Step {
        self.went(Err(WindowsFailure::Unexpected("answer")))
    }

    fn went(&mut self, step: Result<Step, WindowsFailure>) -> Step {
        match step {
            Ok(step) => step.wrapped(Package::Ntlm, From::Initiator),
            Err(failure) => {
                self.running = Err(failure.clone());
                Step::Failed(failure)
            }
        }
    }
}

/// The end that was connected to and lets in.
#[derive(Debug)]
pub struct Acceptor {
    running: Result<ntlm::Acceptor, WindowsFailure>,
}

impl Acceptor {
    /// Waits for the first token of an initiator that authenticates to `session`'s service.
    ///
    /// All randomness of the exchange comes from `seed`.
    pub fn new(protocol: WindowsProtocol, session: &LogonSession, seed: [u8; 32]) -> Self {
        let rng = ChaCha20Rng::from_seed(seed);
        let running = match protocol {
            WindowsProtocol::Kerberos => Err(WindowsFailure::NotAvailable(Package::Kerberos)),
            WindowsProtocol::Ntlm | WindowsProtocol::Negotiate => {
                Ok(ntlm::Acceptor::new(session.clone(), rng))
            }
        };
        Acceptor { running }
    }

    /// The initiator's token.
    pub fn token(&mut self, token: &[u8], now: WallTime) -> Step {
        let step = match &mut self.running {
            Ok(ntlm) => envelope::unwrap_package(token, Package::Ntlm, From::Initiator)
                .and_then(|inner| ntlm.token(inner, now)),
            Err(failure) => Err(failure.clone()),
        };
        self.went(step)
    }

    /// The controller's answer to what [`Step::AskController`] asked.
    pub fn answered(&mut self, answer: Result<&[u8], NoController>, _now: WallTime) -> Step {
        let step = match &mut self.running {
            Ok(ntlm) => ntlm.answered(answer),
            Err(failure) => Err(failure.clone()),
        };
        self.went(step)
    }

    fn went(&mut self, step: Result<Step, WindowsFailure>) -> Step {
        match step {
            Ok(step) => step.wrapped(Package::Ntlm, From::Acceptor),
            Err(failure) => {
                self.running = Err(failure.clone());
                Step::Failed(failure)
            }
        }
    }
}
