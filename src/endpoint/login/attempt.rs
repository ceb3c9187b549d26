//! One method of the plan: how either side begins it, gives it up, and goes on to the next.

use super::common::{Common, Secrets};
use super::{Action, Asc, Isc, Login, Next, Proved, WaitReject};
use crate::endpoint::auth::{self, Mechanism};
use crate::endpoint::config::Method;
use crate::endpoint::error::LoginError;
use crate::endpoint::local::Side;
use crate::endpoint::negotiate::Agreed;
use crate::types::WallTime;
use crate::wire::login::LoginMessage;

/// The method of the plan that is being tried.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) common: Common,
    pub(super) agreed: Agreed,
    pub(super) number: usize,
}

impl Attempt {
    pub(super) fn first(common: Common, agreed: Agreed) -> Self {
        Attempt {
            common,
            agreed,
            number: 0,
        }
    }

    pub(super) fn is_first(&self) -> bool {
        self.number == 0
    }

    fn is_last(&self) -> bool {
        self.number + 1 >= self.agreed.plan.len()
    }

    pub(super) fn method(&self) -> Method {
        self.agreed.plan[self.number]
    }

    /// Whether the acceptor confirms the initiator's security context before the initiator goes on: it may have to ask
    /// somebody first, or may still prefer the next method.
    pub(super) fn is_confirmed(&self) -> bool {
        !self.is_last() || matches!(self.method(), Method::Windows(_))
    }

    pub(super) fn begin(&mut self, wall: WallTime) -> Result<Box<dyn Mechanism>, LoginError> {
        let seed = self.common.seed();
        let Common { side, local, far, .. } = &self.common;
        auth::begin(self.method(), *side, local, far, seed, wall)
    }

    pub(super) fn conclude(&self, mechanism: &dyn Mechanism) -> Result<(Proved, Secrets), LoginError> {
        self.common
            .conclude(mechanism, self.method(), self.agreed.encryption)
    }

    /// Initiator: sends the first security context of this method.
    pub(super) fn initiate(mut self, wall: WallTime, out: &mut Vec<Action>) -> Result<Next, LoginError> {
        let begun = self.begin(wall);
        match begun {
            Ok(mut mechanism) => {
                let step = mechanism.step(wall, None);
                Isc {
                    attempt: self,
                    mechanism,
                    asked: false,
                }
                .go_on(step, out)
            }
            Err(error) => self.give_up(error, out),
        }
    }

    /// Acceptor: waits for the first security context of this method.
    pub(super) fn await_initiator(self) -> Next {
        Next::login(Login::Asc(Asc {
            attempt: self,
            accepting: None,
        }))
    }

    /// This side cannot authenticate by this method: on to the next, if that helps and there is one.
    pub(super) fn give_up(mut self, error: LoginError, out: &mut Vec<Action>) -> Result<Next, LoginError> {
        let method = self.method();
        match (self.is_last(), self.common.side) {
            _ if !error.is_authentication_failure() => return Err(error),
            // So that the acceptor knows that it is not the one at fault.
            (true, Side::Initiator) => {
                self.common.say(LoginMessage::Reject, out);
                return Err(error);
            }
            (true, Side::Acceptor) => return Err(error),
            (false, _) => {}
        }
        out.push(Action::FellBack { method, error });
        self.common.say(LoginMessage::Reject, out);
        match self.common.side {
            Side::Initiator => Ok(Next::login(Login::WaitReject(WaitReject { attempt: self }))),
            Side::Acceptor => {
                self.number += 1;
                Ok(self.await_initiator())
            }
        }
    }

    /// The peer cannot go on with this method, or has heard that this side cannot.
    pub(super) fn on_reject(mut self, wall: WallTime, out: &mut Vec<Action>) -> Result<Next, LoginError> {
        self.common.note(&LoginMessage::Reject);
        let error = LoginError::PeerRejected(self.method().desc());
        if self.is_last() {
            return Err(error);
        }
        let method = self.method();
        out.push(Action::FellBack { method, error });
        self.number += 1;
        match self.common.side {
            Side::Initiator => self.initiate(wall, out),
            Side::Acceptor => {
                self.common.say(LoginMessage::Reject, out);
                Ok(self.await_initiator())
            }
        }
    }
}
