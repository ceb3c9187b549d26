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
use super::{kerberos, ntlm};
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

/// From which all randomness of an exchange comes.
#[derive(Clone, Copy)]
struct Seed([u8; 32]);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed")
    }
}

impl Seed {
    /// The randomness of one package, so that a package tried in vain moves nothing of the next.
    fn stream(self, package: Package) -> ChaCha20Rng {
        let mut rng = ChaCha20Rng::from_seed(self.0);
        rng.set_stream(package as u64);
        rng
    }
}

/// The end that opened the connection and proves who it is.
///
/// NEGOTIATE uses Kerberos if a ticket for the service can be had, and NTLM if the service's name leads to no account or
/// the controller cannot be asked. An account that is refused is refused. Source: documented that Windows negotiates;
/// which failures lead on to NTLM is third-party knowledge.
#[derive(Debug)]
pub struct Initiator {
    running: Initiating,
    /// NTLM may be tried if there is no ticket.
    fallback: Option<Fallback>,
}

#[derive(Debug)]
enum Initiating {
    Ntlm(Box<ntlm::Initiator>),
    Kerberos(Box<kerberos::Initiator>),
    Over,
}

#[derive(Debug)]
struct Fallback {
    session: LogonSession,
    spn: String,
    seed: Seed,
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
        now: WallTime,
    ) -> (Self, Step) {
        let start = Fallback {
            session: session.clone(),
            spn: spn.to_owned(),
            seed: Seed(seed),
        };
        if protocol == WindowsProtocol::Ntlm {
            let (running, step) = start.ntlm();
            return (
                Initiator {
                    running,
                    fallback: None,
                },
                step,
            );
        }
        let rng = start.seed.stream(Package::Kerberos);
        let (kerberos, step) = kerberos::Initiator::start(session.clone(), spn.to_owned(), rng, now);
        let initiator = Initiator {
            running: Initiating::Kerberos(Box::new(kerberos)),
            fallback: (protocol == WindowsProtocol::Negotiate).then_some(start),
        };
        (initiator, step.wrapped(Package::Kerberos, From::Initiator))
    }

    /// The acceptor's token.
    pub fn token(&mut self, token: &[u8], now: WallTime) -> Step {
        let unwrap = |package| envelope::unwrap_package(token, package, From::Acceptor);
        let step = match &mut self.running {
            Initiating::Ntlm(ntlm) => unwrap(Package::Ntlm).and_then(|inner| ntlm.token(inner, now)),
            Initiating::Kerberos(kerberos) => {
                unwrap(Package::Kerberos).and_then(|inner| kerberos.token(inner))
            }
            Initiating::Over => Err(WindowsFailure::Unexpected("token")),
        };
        self.went(step)
    }

    /// The controller's answer to what [`Step::AskController`] asked.
    pub fn answered(&mut self, answer: Result<&[u8], NoController>, now: WallTime) -> Step {
        let step = match &mut self.running {
            Initiating::Kerberos(kerberos) => kerberos.answered(answer, now),
            Initiating::Ntlm(_) | Initiating::Over => Err(WindowsFailure::Unexpected("answer")),
        };
        match (step, self.fallback.take()) {
            (Err(failure), Some(fallback)) if leads_on_to_ntlm(&failure) => {
                let (running, step) = fallback.ntlm();
                self.running = running;
                step
            }
            (step, fallback) => {
                self.fallback = fallback;
                self.went(step)
            }
        }
    }

    fn went(&mut self, step: Result<Step, WindowsFailure>) -> Step {
        let package = match &self.running {
            Initiating::Ntlm(_) => Package::Ntlm,
            Initiating::Kerberos(_) | Initiating::Over => Package::Kerberos,
        };
        let step = step.unwrap_or_else(Step::Failed);
        if matches!(step, Step::Done(_) | Step::Failed(_)) {
            self.running = Initiating::Over;
        }
        step.wrapped(package, From::Initiator)
    }
}

impl Fallback {
    fn ntlm(self) -> (Initiating, Step) {
        let rng = self.seed.stream(Package::Ntlm);
        let (ntlm, step) = ntlm::Initiator::start(self.session, self.spn, rng);
        (
            Initiating::Ntlm(Box::new(ntlm)),
            step.wrapped(Package::Ntlm, From::Initiator),
        )
    }
}

/// Whether NEGOTIATE goes on to NTLM: there is no ticket, and not because the account was refused.
const fn leads_on_to_ntlm(failure: &WindowsFailure) -> bool {
    matches!(
        failure,
        WindowsFailure::TargetUnknown(_)
            | WindowsFailure::DuplicateTarget(_)
            | WindowsFailure::NoController(_)
    )
}

/// The end that was connected to and lets in. NEGOTIATE takes the package that the initiator's first token is of.
#[derive(Debug)]
pub struct Acceptor {
    running: Accepting,
}

#[derive(Debug)]
enum Accepting {
    /// Nothing came yet; either package may.
    Either {
        session: LogonSession,
        seed: Seed,
    },
    Ntlm(Box<ntlm::Acceptor>),
    Kerberos(Box<kerberos::Acceptor>),
    Over,
}

impl Accepting {
    fn package(package: Package, session: &LogonSession, seed: Seed) -> Self {
        let (session, rng) = (session.clone(), seed.stream(package));
        match package {
            Package::Ntlm => Accepting::Ntlm(Box::new(ntlm::Acceptor::new(session, rng))),
            Package::Kerberos => Accepting::Kerberos(Box::new(kerberos::Acceptor::new(session, rng))),
        }
    }
}

impl Acceptor {
    /// Waits for the first token of an initiator that authenticates to `session`'s service.
    ///
    /// All randomness of the exchange comes from `seed`.
    pub fn new(protocol: WindowsProtocol, session: &LogonSession, seed: [u8; 32]) -> Self {
        let seed = Seed(seed);
        let running = match protocol {
            WindowsProtocol::Ntlm => Accepting::package(Package::Ntlm, session, seed),
            WindowsProtocol::Kerberos => Accepting::package(Package::Kerberos, session, seed),
            WindowsProtocol::Negotiate => Accepting::Either {
                session: session.clone(),
                seed,
            },
        };
        Acceptor { running }
    }

    /// The initiator's token.
    pub fn token(&mut self, token: &[u8], now: WallTime) -> Step {
        if let Accepting::Either { session, seed } = &self.running {
            match envelope::unwrap(token, From::Initiator) {
                Ok((package, _)) => self.running = Accepting::package(package, session, *seed),
                Err(failure) => return self.went(Err(failure)),
            }
        }
        let unwrap = |package| envelope::unwrap_package(token, package, From::Initiator);
        let step = match &mut self.running {
            Accepting::Ntlm(ntlm) => unwrap(Package::Ntlm).and_then(|inner| ntlm.token(inner, now)),
            Accepting::Kerberos(kerberos) => {
                unwrap(Package::Kerberos).and_then(|inner| kerberos.token(inner, now))
            }
            Accepting::Either { .. } | Accepting::Over => Err(WindowsFailure::Unexpected("token")),
        };
        self.went(step)
    }

    /// The controller's answer to what [`Step::AskController`] asked.
    pub fn answered(&mut self, answer: Result<&[u8], NoController>, _now: WallTime) -> Step {
        let step = match &mut self.running {
            Accepting::Ntlm(ntlm) => ntlm.answered(answer),
            _ => Err(WindowsFailure::Unexpected("answer")),
        };
        self.went(step)
    }

    fn went(&mut self, step: Result<Step, WindowsFailure>) -> Step {
        let package = match &self.running {
            Accepting::Ntlm(_) => Package::Ntlm,
            Accepting::Kerberos(_) | Accepting::Either { .. } | Accepting::Over => Package::Kerberos,
        };
        let step = step.unwrap_or_else(Step::Failed);
        if matches!(step, Step::Done(_) | Step::Failed(_)) {
            self.running = Accepting::Over;
        }
        step.wrapped(package, From::Acceptor)
    }
}
