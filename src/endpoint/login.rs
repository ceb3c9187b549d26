//! One type per login state; a message consumes the state and gives the next, or the reason there is none.
//!
//! Only [`WaitArbitration`] can make a [`LoggedIn`], and only from what the earlier states proved, so holding one *is*
//! the proof that its peer was authenticated and authorised. Deadlines and frames are `connection`'s.
//!
//! An attempt that fails to *authenticate* is followed by the second method of the plan, if there is one: the side that
//! fails says *reject* and the initiator begins anew. A peer that is authenticated and not *authorised* gets no second one.

mod acceptor;
mod arbitration;
mod attempt;
mod common;
mod initiator;
mod offer;
mod state;

use std::sync::Arc;

use acceptor::Accepting;
use common::Common;
use offer::offer;
use rand_chacha::ChaCha20Rng;

use super::auth::NoController;
use super::config::Method;
use super::error::LoginError;
use super::local::{LocalEndpoint, Side};
use crate::types::WallTime;
use crate::wire::login::LoginMessage;

pub use self::acceptor::{Asc, WaitIscConfirm, WaitLoginNegotiate, WaitValidation};
pub use self::arbitration::{ArbitrationVerdict, LoggedIn, PeerIdentity, WaitArbitration};
pub use self::common::{Proved, RecordKeys};
pub use self::initiator::{Isc, Offered, WaitAccepted, WaitAscConfirm, WaitReject};
pub use self::offer::name_terms;
pub use self::state::LoginState;

/// What a state asks of the connection, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Send(LoginMessage),
    /// The peer is authenticated; it has a name from here on.
    Proved(Proved),
    /// Both directions are protected from the next frame on.
    Protect(RecordKeys),
    Arbitrate(PeerIdentity),
    /// Ask the domain controller, then call [`Login::on_controller`].
    AskController(Vec<u8>),
    /// The configurations agree; these are the methods either side listed.
    Negotiated {
        local: Vec<String>,
        remote: Vec<String>,
    },
    /// A method has failed and the next one is tried: nothing is proved any more.
    FellBack {
        method: Method,
        error: LoginError,
    },
}

/// A login under way.
#[derive(Debug)]
pub enum Login {
    Offered(Offered),
    WaitLoginNegotiate(WaitLoginNegotiate),
    Isc(Isc),
    WaitAscConfirm(WaitAscConfirm),
    WaitReject(WaitReject),
    Asc(Asc),
    WaitIscConfirm(WaitIscConfirm),
    WaitAccepted(WaitAccepted),
    WaitValidation(WaitValidation),
    WaitArbitration(WaitArbitration),
}

/// What a message led to.
#[derive(Debug)]
pub enum Next {
    Login(Box<Login>),
    Online(Box<LoggedIn>),
}

impl Next {
    fn login(login: Login) -> Next {
        Next::Login(Box::new(login))
    }

    fn online(logged_in: LoggedIn) -> Next {
        Next::Online(Box::new(logged_in))
    }
}

impl Login {
    /// The initiator speaks first.
    pub fn initiate(
        local: Arc<LocalEndpoint>,
        far: String,
        stream: ChaCha20Rng,
        out: &mut Vec<Action>,
    ) -> Login {
        let mut common = Common::new(Side::Initiator, local, far, stream);
        common.say(LoginMessage::Offer(offer(&common.local)), out);
        Login::Offered(Offered { common })
    }

    /// The acceptor waits.
    pub fn accept(local: Arc<LocalEndpoint>, far: String, stream: ChaCha20Rng) -> Login {
        Login::WaitLoginNegotiate(WaitLoginNegotiate {
            common: Common::new(Side::Acceptor, local, far, stream),
        })
    }

    /// The method that is being tried, or was tried last.
    pub fn method(&self) -> Option<Method> {
        match self {
            Login::Isc(isc) => Some(isc.attempt.method()),
            Login::Asc(asc) => Some(asc.attempt.method()),
            _ => None,
        }
    }

    pub fn state(&self) -> LoginState {
        match self {
            Login::Offered(_) | Login::WaitLoginNegotiate(_) => LoginState::WaitLoginNegotiate,
            Login::Isc(isc) if isc.attempt.is_first() => LoginState::OneIsc,
            Login::Isc(_) => LoginState::TwoIsc,
            Login::WaitAscConfirm(_) => LoginState::WaitAscConfirm,
            Login::WaitReject(_) => LoginState::WaitReject,
            Login::Asc(asc) if asc.attempt.is_first() => LoginState::OneAsc,
            Login::Asc(_) => LoginState::TwoAsc,
            Login::WaitIscConfirm(_) => LoginState::WaitIscConfirm,
            Login::WaitAccepted(_) | Login::WaitValidation(_) => LoginState::WaitValidation,
            Login::WaitArbitration(_) => LoginState::WaitArbitration,
        }
    }

    /// Hands the message to the state it meets. A message of another state is an error.
    pub fn on_message(
        self,
        wall: WallTime,
        message: LoginMessage,
        out: &mut Vec<Action>,
    ) -> Result<Next, LoginError> {
        let state = self.state();
        match (self, message) {
            (Login::Offered(s), LoginMessage::Answer(answer)) => s.on_answer(wall, &answer, out),
            (Login::WaitLoginNegotiate(s), LoginMessage::Offer(offer)) => s.on_offer(&offer, out),
            (Login::Isc(s), LoginMessage::Token(token)) if !s.asked => s.on_token(wall, &token, out),
            (Login::Isc(s), LoginMessage::Reject) if !s.asked => s.attempt.on_reject(wall, out),
            (Login::WaitAscConfirm(s), LoginMessage::Confirm(status)) => s.on_confirm(status, out),
            (Login::WaitAscConfirm(s), LoginMessage::Reject) => s.attempt.on_reject(wall, out),
            // It was on its way when this side rejected.
            (Login::WaitReject(s), LoginMessage::Confirm(_)) => Ok(Next::login(Login::WaitReject(s))),
            (Login::WaitReject(s), LoginMessage::Reject) => s.on_reject(wall, out),
            (Login::Asc(s), LoginMessage::Token(token)) if s.accepting.is_none() => {
                s.on_token(wall, &token, out)
            }
            (Login::Asc(s), LoginMessage::Reject) if s.accepting.is_none() => s.attempt.on_reject(wall, out),
            (Login::WaitIscConfirm(s), LoginMessage::Token(token)) => s.on_token(wall, &token, out),
            (Login::WaitIscConfirm(s), LoginMessage::Reject) => s.accepting.attempt.on_reject(wall, out),
            (Login::WaitAccepted(s), LoginMessage::Accepted(confirmation)) => {
                s.on_accepted(&confirmation, out)
            }
            (Login::WaitValidation(s), LoginMessage::Validation(confirmation)) => {
                s.on_validation(&confirmation, out)
            }
            (Login::WaitValidation(s), LoginMessage::Reject) => s.attempt.on_reject(wall, out),
            (Login::WaitArbitration(s), LoginMessage::ArbitrationRequest(request)) => {
                s.on_request(request, out)
            }
            (Login::WaitArbitration(s), LoginMessage::ArbitrationResponse) => s.on_response(),
            (_, message) => Err(LoginError::Unexpected {
                event: message.kind().to_string(),
                state: state.name(),
            }),
        }
    }

    /// The domain controller's answer, or that there is none. Ignored by a login that has not asked.
    pub fn on_controller(
        self,
        wall: WallTime,
        answer: Result<&[u8], NoController>,
        out: &mut Vec<Action>,
    ) -> Result<Next, LoginError> {
        match self {
            Login::Isc(s) if s.asked => s.on_controller(wall, answer, out),
            Login::Asc(Asc {
                attempt,
                accepting: Some(mechanism),
            }) => Accepting { attempt, mechanism }.on_controller(wall, answer, out),
            login => Ok(Next::login(login)),
        }
    }
}
