//! Authentication mechanisms: producers and consumers of opaque tokens, each ending in a session key and a peer.
//!
//! A mechanism knows neither frames nor negotiation. In this version the certificate mechanism can be carried out;
//! Windows authentication negotiates, and then fails as a call the operating system refuses.

mod certificate;

use std::fmt;
use std::sync::Arc;

use crate::types::WallTime;

use super::config::Method;
use super::error::LoginError;
use super::local::{LocalEndpoint, Side};

/// One side of one attempt to authenticate.
pub trait Mechanism: fmt::Debug {
    /// Takes the peer's token (`None` to begin, on the initiator) and says what to do next.
    fn step(&mut self, wall: WallTime, token: Option<&[u8]>) -> Result<Step, LoginError>;

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
}

/// Whom a peer proved to be, in this instance's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The login, or the owning user where it has none.
    pub name: String,
    /// Whether it has a login with CONNECT on this endpoint.
    pub connect: bool,
    pub certificate_id: Option<i64>,
    /// The peer's user, with Windows authentication.
    pub remote_user: Option<String>,
}

/// Begins an attempt. Fails where the method cannot be carried out on this side.
pub fn begin(
    method: Method,
    side: Side,
    local: &Arc<LocalEndpoint>,
    seed: [u8; 32],
    wall: WallTime,
) -> Result<Box<dyn Mechanism>, LoginError> {
    match method {
        Method::Windows(windows) => Err(LoginError::WindowsUnavailable(windows)),
        Method::Certificate => Ok(Box::new(certificate::CertificateExchange::begin(
            side, local, seed, wall,
        )?)),
    }
}
