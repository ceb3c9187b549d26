//! What the instance asks its domain controller, so that the answer finds its way.
//!
//! A login waits for its answer in its own state, under its own deadline, and a statement as it waits for the disk;
//! nothing else of the instance waits.

use std::collections::BTreeMap;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::Instance;
use super::batch::{Outcome, StatementResult, Wait};
use super::io::{ControllerError, ControllerTicket, Output};
use crate::domain::{AccountName, Answer, Channel, Query, WindowsFailure};
use crate::endpoint::auth::service_principal_name;
use crate::error::{SqlError, msg};
use crate::tsql::ast::CreateLogin;
use crate::types::ConnectionId;

/// Questions under way.
#[derive(Debug, Default)]
pub(super) struct Questions {
    asked: BTreeMap<ControllerTicket, Question>,
    next: u64,
}

/// Why the domain controller was asked.
#[derive(Debug)]
pub(super) enum Question {
    /// A login over this connection waits for the answer.
    Login { connection: ConnectionId },
    /// A statement of this client wants to know the account.
    Account {
        connection: ConnectionId,
        create: Box<CreateLogin>,
        channel: Channel,
    },
    /// The endpoint has begun to listen.
    Register {
        spn: String,
        account: AccountName,
        channel: Channel,
    },
}

impl Instance {
    /// Ask the controller of the domain this system is a member of. Without one the answer comes at once: there is none.
    pub(super) fn ask_controller(&mut self, question: Question, request: Vec<u8>) -> ControllerTicket {
        let ticket = ControllerTicket(self.questions.next);
        self.questions.next += 1;
        match self.config.service.controller.clone() {
            Some(controller) => {
                self.questions.asked.insert(ticket, question);
                self.output(Output::AskController {
                    ticket,
                    controller,
                    request,
                });
            }
            None => self.on_answer(question, Err(ControllerError::NoDomain)),
        }
        ticket
    }

    pub(super) fn on_controller_answered(
        &mut self,
        ticket: ControllerTicket,
        answer: Result<Vec<u8>, ControllerError>,
    ) {
        if let Some(question) = self.questions.asked.remove(&ticket) {
            self.on_answer(question, answer);
        }
    }

    fn on_answer(&mut self, question: Question, answer: Result<Vec<u8>, ControllerError>) {
        match question {
            Question::Login { connection } => self.on_login_controller(connection, answer),
            Question::Account {
                connection,
                create,
                channel,
            } => {
                let outcome = self.account_answered(connection, &create, &channel, answer);
                self.statement_answered(connection, outcome);
            }
            Question::Register {
                spn,
                account,
                channel,
            } => self.register_answered(&spn, &account, &channel, answer),
        }
    }

    /// One question under this system's computer account; `None` where there is nobody to ask.
    fn channel(&mut self, query: &Query) -> Option<(Channel, Vec<u8>)> {
        self.config.service.controller.as_ref()?;
        let computer = self.config.service.computer.clone()?;
        let mut seed = [0; 32];
        self.streams.controller.fill_bytes(&mut seed);
        Some(Channel::ask(&computer, &mut ChaCha20Rng::from_seed(seed), query))
    }

    /// `CREATE LOGIN … FROM WINDOWS`: the account must exist. A system that can ask nobody knows no account (15401).
    pub(super) fn look_account_up(
        &mut self,
        connection: ConnectionId,
        create: &CreateLogin,
    ) -> StatementResult {
        let name = create.name.as_str();
        let account = AccountName::parse(name).ok_or_else(|| msg::LOGIN_INVALID.with(&[&name]))?;
        let Some((channel, request)) = self.channel(&Query::Lookup(account)) else {
            return Err(msg::WINDOWS_ACCOUNT_MISSING.with(&[&name]).at(create.name.span));
        };
        let question = Question::Account {
            connection,
            create: Box::new(create.clone()),
            channel,
        };
        Ok(Outcome::Wait(Wait::Controller(
            self.ask_controller(question, request),
        )))
    }

    fn account_answered(
        &mut self,
        connection: ConnectionId,
        create: &CreateLogin,
        channel: &Channel,
        answer: Result<Vec<u8>, ControllerError>,
    ) -> StatementResult {
        let name = create.name.as_str();
        let unknown = |why: &dyn std::fmt::Display| -> SqlError {
            msg::WINDOWS_ACCOUNT_UNKNOWN
                .with(&[&name, why])
                .at(create.name.span)
        };
        let answer = answer.map_err(|error| unknown(&error))?;
        match channel.read(&answer) {
            Ok(Answer::Found(identity)) => {
                self.enter_windows_login(connection, create, identity.sid.to_bytes().to_vec())
            }
            Ok(_) => Err(unknown(&"the answer is to another question")),
            Err(WindowsFailure::NoSuchAccount(_) | WindowsFailure::NoTrust(_)) => {
                Err(msg::WINDOWS_ACCOUNT_MISSING.with(&[&name]).at(create.name.span))
            }
            Err(failure) => Err(unknown(&failure)),
        }
    }

    /// Register the endpoint's service principal name to the service account, as the service does at its start.
    ///
    /// Nothing for an account that is nobody on the network, nor for one in no domain. Tried once: what fails stays
    /// missing until the endpoint begins to listen again.
    pub(super) fn register_spn(&mut self, port: u16) {
        let Some(session) = &self.config.service.session else {
            return;
        };
        let account = session.service().account.clone();
        let spn = service_principal_name(&self.config.fqdn(), port);
        let query = Query::RegisterSpn {
            spn: spn.clone(),
            account: account.clone(),
        };
        if let Some((channel, request)) = self.channel(&query) {
            let question = Question::Register {
                spn,
                account,
                channel,
            };
            self.ask_controller(question, request);
        }
    }

    fn register_answered(
        &mut self,
        spn: &str,
        account: &AccountName,
        channel: &Channel,
        answer: Result<Vec<u8>, ControllerError>,
    ) {
        let refused = match answer.map(|answer| channel.read(&answer)) {
            Ok(Ok(_)) => return self.log_error(&msg::SPN_REGISTERED.with(&[&spn, account])),
            Ok(Err(failure)) => failure.to_string(),
            Err(error) => error.to_string(),
        };
        self.log_error(&msg::SPN_NOT_REGISTERED.with(&[&spn, account, &refused]));
    }
}
