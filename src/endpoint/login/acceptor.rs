//! The states only an acceptor is in.

use super::attempt::Attempt;
use super::common::{Common, Secrets};
use super::offer::offer;
use super::{Action, Login, Next, Proved};
use crate::endpoint::auth::{Mechanism, NoController, Step};
use crate::endpoint::error::LoginError;
use crate::types::WallTime;
use crate::wire::login::{CONFIRMED, Confirmation, LoginMessage, Offer};

/// Acceptor: nothing was said yet.
#[derive(Debug)]
pub struct WaitLoginNegotiate {
    pub(super) common: Common,
}

impl WaitLoginNegotiate {
    pub(super) fn on_offer(mut self, remote: &Offer, out: &mut Vec<Action>) -> Result<Next, LoginError> {
        let agreed = self.common.agree(remote)?;
        out.push(self.common.negotiated(remote));
        self.common.note(&LoginMessage::Offer(remote.clone()));
        self.common
            .say(LoginMessage::Answer(offer(&self.common.local)), out);
        Ok(Attempt::first(self.common, agreed).await_initiator())
    }
}

/// Acceptor: waits for the first security context of a method, or for what the domain controller says of one.
#[derive(Debug)]
pub struct Asc {
    pub(super) attempt: Attempt,
    pub(super) accepting: Option<Box<dyn Mechanism>>,
}

impl Asc {
    pub(super) fn on_token(
        mut self,
        wall: WallTime,
        token: &[u8],
        out: &mut Vec<Action>,
    ) -> Result<Next, LoginError> {
        let begun = self.attempt.begin(wall);
        let attempt = self.attempt;
        match begun {
            Ok(mechanism) => Accepting { attempt, mechanism }.on_token(wall, token, out),
            Err(error) => attempt.give_up(error, out),
        }
    }
}

/// Acceptor: waits for the end of the initiator's security context.
#[derive(Debug)]
pub struct WaitIscConfirm {
    pub(super) accepting: Accepting,
}

impl WaitIscConfirm {
    pub(super) fn on_token(
        self,
        wall: WallTime,
        token: &[u8],
        out: &mut Vec<Action>,
    ) -> Result<Next, LoginError> {
        self.accepting.on_token(wall, token, out)
    }
}

/// Acceptor: a security context is being accepted.
#[derive(Debug)]
pub(super) struct Accepting {
    pub(super) attempt: Attempt,
    pub(super) mechanism: Box<dyn Mechanism>,
}

impl Accepting {
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
        let step = self.mechanism.answered(wall, answer);
        self.go_on(step, out)
    }

    fn go_on(self, step: Result<Step, LoginError>, out: &mut Vec<Action>) -> Result<Next, LoginError> {
        match step {
            Ok(Step::Continue(token)) => {
                out.push(Action::Send(LoginMessage::Token(token)));
                Ok(Next::login(Login::WaitIscConfirm(WaitIscConfirm {
                    accepting: self,
                })))
            }
            Ok(Step::AskController(request)) => {
                out.push(Action::AskController(request));
                Ok(Next::login(Login::Asc(Asc {
                    attempt: self.attempt,
                    accepting: Some(self.mechanism),
                })))
            }
            Ok(Step::Finished(token)) => {
                out.extend(token.map(|token| Action::Send(LoginMessage::Token(token))));
                if self.attempt.is_confirmed() {
                    out.push(Action::Send(LoginMessage::Confirm(CONFIRMED)));
                }
                let (proved, secrets) = self.attempt.conclude(self.mechanism.as_ref())?;
                out.push(Action::Proved(proved.clone()));
                Ok(Next::login(Login::WaitValidation(WaitValidation {
                    attempt: self.attempt,
                    proved,
                    secrets,
                })))
            }
            Err(error) => self.attempt.give_up(error, out),
        }
    }
}

/// Acceptor: knows the initiator and waits for its confirmation.
#[derive(Debug)]
pub struct WaitValidation {
    pub(super) attempt: Attempt,
    pub(super) proved: Proved,
    pub(super) secrets: Secrets,
}

impl WaitValidation {
    pub(super) fn on_validation(
        self,
        confirmation: &Confirmation,
        out: &mut Vec<Action>,
    ) -> Result<Next, LoginError> {
        self.secrets.check(confirmation)?;
        self.proved.principal.authorise()?;
        out.push(Action::Send(LoginMessage::Accepted(
            self.secrets.own_confirmation,
        )));
        let common = self.attempt.common;
        Ok(common.arbitrate(self.proved, self.secrets.keys, out))
    }
}
