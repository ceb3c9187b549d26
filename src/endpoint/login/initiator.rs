//! The states only an initiator is in.

use super::attempt::Attempt;
use super::common::{Common, Secrets};
use super::{Action, Login, Next, Proved};
use crate::endpoint::auth::{Mechanism, NoController, Step};
use crate::endpoint::error::LoginError;
use crate::types::WallTime;
use crate::wire::login::{CONFIRMED, Confirmation, LoginMessage, Offer};

/// Initiator: the offer is sent.
#[derive(Debug)]
pub struct Offered {
    pub(super) common: Common,
}

impl Offered {
    pub(super) fn on_answer(
        mut self,
        wall: WallTime,
        answer: &Offer,
        out: &mut Vec<Action>,
    ) -> Result<Next, LoginError> {
        let agreed = self.common.agree(answer)?;
        out.push(self.common.negotiated(answer));
        self.common.note(&LoginMessage::Answer(answer.clone()));
        Attempt::first(self.common, agreed).initiate(wall, out)
    }
}

/// Initiator: a security context is sent, or about to be; the first or the second method of the plan.
#[derive(Debug)]
pub struct Isc {
    pub(super) attempt: Attempt,
    pub(super) mechanism: Box<dyn Mechanism>,
    /// The domain controller is asked, and the peer has nothing to say before it answers.
    pub(super) asked: bool,
}

impl Isc {
    pub(super) fn on_token(
        mut self,
        wall: WallTime,
        token: &[u8],
        out: &mut Vec<Action>,
    ) -> Result<Next, LoginError> {
        let step = self.mechanism.step(wall, Some(token));
        self.go_on(step, out)
    }

    pub(super) fn on_controller(
        mut self,
        wall: WallTime,
        answer: Result<&[u8], NoController>,
        out: &mut Vec<Action>,
    ) -> Result<Next, LoginError> {
        self.asked = false;
        let step = self.mechanism.answered(wall, answer);
        self.go_on(step, out)
    }

    pub(super) fn go_on(
        mut self,
        step: Result<Step, LoginError>,
        out: &mut Vec<Action>,
    ) -> Result<Next, LoginError> {
        match step {
            Ok(Step::Continue(token)) => {
                out.push(Action::Send(LoginMessage::Token(token)));
                Ok(Next::login(Login::Isc(self)))
            }
            Ok(Step::AskController(request)) => {
                out.push(Action::AskController(request));
                self.asked = true;
                Ok(Next::login(Login::Isc(self)))
            }
            Ok(Step::Finished(token)) => {
                out.extend(token.map(|token| Action::Send(LoginMessage::Token(token))));
                let wait = WaitAscConfirm {
                    attempt: self.attempt,
                    mechanism: self.mechanism,
                };
                match wait.attempt.is_confirmed() {
                    true => Ok(Next::login(Login::WaitAscConfirm(wait))),
                    false => wait.validate(out),
                }
            }
            Err(error) => self.attempt.give_up(error, out),
        }
    }
}

/// Initiator: has sent all of its security context; the acceptor confirms it, or rejects it.
#[derive(Debug)]
pub struct WaitAscConfirm {
    pub(super) attempt: Attempt,
    pub(super) mechanism: Box<dyn Mechanism>,
}

impl WaitAscConfirm {
    pub(super) fn on_confirm(self, status: u32, out: &mut Vec<Action>) -> Result<Next, LoginError> {
        match status {
            CONFIRMED => self.validate(out),
            other => Err(LoginError::ConfirmStatus(other)),
        }
    }

    fn validate(self, out: &mut Vec<Action>) -> Result<Next, LoginError> {
        let (proved, secrets) = self.attempt.conclude(self.mechanism.as_ref())?;
        out.push(Action::Proved(proved.clone()));
        out.push(Action::Send(LoginMessage::Validation(secrets.own_confirmation)));
        Ok(Next::login(Login::WaitAccepted(WaitAccepted {
            common: self.attempt.common,
            proved,
            secrets,
        })))
    }
}

/// Initiator: has rejected the method under way, and waits for the acceptor to have noticed.
#[derive(Debug)]
pub struct WaitReject {
    pub(super) attempt: Attempt,
}

impl WaitReject {
    pub(super) fn on_reject(mut self, wall: WallTime, out: &mut Vec<Action>) -> Result<Next, LoginError> {
        self.attempt.common.note(&LoginMessage::Reject);
        self.attempt.number += 1;
        self.attempt.initiate(wall, out)
    }
}

/// Initiator: has proved itself and waits to be let in.
#[derive(Debug)]
pub struct WaitAccepted {
    pub(super) common: Common,
    pub(super) proved: Proved,
    pub(super) secrets: Secrets,
}

impl WaitAccepted {
    pub(super) fn on_accepted(
        self,
        confirmation: &Confirmation,
        out: &mut Vec<Action>,
    ) -> Result<Next, LoginError> {
        self.secrets.check(confirmation)?;
        Ok(self.common.arbitrate(self.proved, self.secrets.keys, out))
    }
}
