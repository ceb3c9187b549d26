//! Authentication mechanisms: producers and consumers of opaque tokens, each ending in a session key and a peer.
//!
//! A mechanism knows neither frames nor negotiation, and never waits: it may ask for the domain controller to be asked.

mod certificate;
mod windows;

use std::fmt;
use std::sync::Arc;

use crate::types::WallTime;

pub use crate::domain::NoController;
pub use windows::service_principal_name;

use super::config::Method;
use super::error::LoginError;
use super::local::{LocalEndpoint, Side};

/// One side of one attempt to authenticate.
pub trait Mechanism: fmt::Debug {
    /// Takes the peer's token (`None` to begin, on the initiator) and says what to do next.
    fn step(&mut self, wall: WallTime, token: Option<&[u8]>) -> Result<Step, LoginError>;

    /// Takes what the domain controller answered to the last [`Step::AskController`]. Never called otherwise.
    fn answered(&mut self, wall: WallTime, answer: Result<&[u8], NoController>) -> Result<Step, LoginError>;

    /// What was carried out, of what was agreed: NEGOTIATE settles on one of the others.
    fn method(&self, agreed: Method) -> Method {
        agreed
    }

    /// Secret bytes both sides derive alike from the finished exchange, `label` and `context`, and nobody else.
    fn export(&self, label: &'static str, context: &[u8], secret: &mut [u8]) -> Result<(), LoginError>;

    /// Whom the peer proved to be; `None` before the exchange is finished.
    fn peer(&self) -> Option<Principal>;
}

/// What follows from a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send this token and wait for the next.
    Continue(Vec<u8>),
    /// This side is finished; send the token if there is one.
    Finished(Option<Vec<u8>>),
    /// Send this to the domain controller and hand its answer to [`Mechanism::answered`].
    AskController(Vec<u8>),
}

/// Whom a peer proved to be, in this instance's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The login, or the owning user or the Windows account where it has none.
    pub name: String,
    /// Whether there is an enabled login for it.
    pub has_login: bool,
    /// Whether that login has CONNECT on this endpoint.
    pub connect: bool,
    pub certificate_id: Option<i64>,
    /// The thumbprint of the certificate it showed, in hexadecimal.
    pub certificate: Option<String>,
    /// The peer's user, with Windows authentication.
    pub remote_user: Option<String>,
}

impl Principal {
    /// Fails unless it may connect to this endpoint.
    pub fn authorise(&self) -> Result<(), LoginError> {
        let user = self.name.clone();
        match (self.remote_user.is_some(), self.has_login, self.connect) {
            (_, true, true) => Ok(()),
            (true, false, _) => Err(LoginError::NoLogin { user }),
            _ => Err(LoginError::NoConnect { user }),
        }
    }
}

/// Begins an attempt with the peer at `far`, by the address it was connected to. Fails where the method cannot be carried out on this side.
pub fn begin(
    method: Method,
    side: Side,
    local: &Arc<LocalEndpoint>,
    far: &str,
    seed: [u8; 32],
    wall: WallTime,
) -> Result<Box<dyn Mechanism>, LoginError> {
    match method {
        Method::Windows(method) => Ok(Box::new(windows::WindowsExchange::begin(
            method, side, local, far, seed, wall,
        )?)),
        Method::Certificate => Ok(Box::new(certificate::CertificateExchange::begin(
            side, local, seed, wall,
        )?)),
    }
}
