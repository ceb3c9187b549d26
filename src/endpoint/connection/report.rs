//! How a login or a connection ends, and who is told what: the owner, the error log, the audit and the trace. The peer is
//! told nothing.

use super::{Connection, ConnectionOutput, Phase, Side};
use crate::endpoint::config::Method;
use crate::endpoint::error::{AuditSubclass, LoginError};
use crate::endpoint::login::LoginState;
use crate::error::{SqlError, msg};
use crate::types::{ClosedBy, EndpointEvent, LoginAudit};

/// How a login failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginFailure {
    pub error: SqlError,
    pub reason: LoginError,
    /// The peer's user, if it had proved to be one.
    pub user: Option<String>,
    pub by: ClosedBy,
}

impl LoginFailure {
    /// How the trace event *Audit Database Mirroring Login* classes it.
    pub const fn subclass(&self) -> AuditSubclass {
        self.reason.subclass()
    }
}

impl Connection {
    /// The next method is tried; what made the one before fail is told as the end of the login would be.
    pub(super) fn fall_back(&mut self, method: Method, reason: &LoginError) {
        let error = reason.to_sql();
        self.log(self.audit(&error, None));
        self.audit_event(
            reason.subclass(),
            self.login_state,
            (error.number, error.state),
            reason.account(),
        );
        self.emit(EndpointEvent::MethodFailed {
            connection: self.id,
            accepted: self.side == Side::Acceptor,
            method: method.desc().to_owned(),
            number: error.number,
            text: error.text,
        });
        self.facts.proved = None;
    }

    /// What the peer sent cannot be accepted: a failed login, or the end of an online connection.
    pub(super) fn end_with(&mut self, error: LoginError) {
        if self.is_online() {
            let error = error.to_sql();
            self.log(self.transport_error(&error));
            self.finish(ClosedBy::Local, Some(error));
        } else {
            self.fail(error);
        }
    }

    pub(super) fn fail(&mut self, reason: LoginError) {
        self.phase = Phase::Over;
        let ended_in = self.login_state;
        self.show_state(LoginState::Error);
        let error = reason.to_sql();
        let user = self.facts.proved.as_ref().map(|p| p.principal.name.clone());
        if !is_routine(&reason) {
            self.log(self.audit(&error, user.as_deref()));
            self.audit_event(
                reason.subclass(),
                ended_in,
                (error.number, error.state),
                reason.account(),
            );
        }
        self.emit(EndpointEvent::LoginFailed {
            connection: self.id,
            accepted: self.side == Side::Acceptor,
            number: error.number,
            text: error.text.clone(),
        });
        let by = reason.closed_by();
        self.emit(EndpointEvent::Closed {
            connection: self.id,
            by,
            error: Some(error.number),
        });
        self.outputs.push_back(ConnectionOutput::Fail(LoginFailure {
            error,
            reason,
            user,
            by,
        }));
    }

    pub(super) fn finish(&mut self, by: ClosedBy, error: Option<SqlError>) {
        self.phase = Phase::Over;
        self.emit(EndpointEvent::Closed {
            connection: self.id,
            by,
            error: error.as_ref().map(|error| error.number),
        });
        self.outputs.push_back(ConnectionOutput::Close { by, error });
    }

    /// What the error log says of a failed login: the audit on the acceptor, the transport's error on the initiator.
    pub(super) fn audit(&self, error: &SqlError, user: Option<&str>) -> SqlError {
        let quoted = format!("Error {}, State {}: {}", error.number, error.state, error.text);
        match (self.side, user) {
            (Side::Initiator, _) => self.transport_error(error),
            (Side::Acceptor, Some(user)) => msg::LOGIN_FAILED_USER.with(&[&user, &quoted, &self.far_address]),
            (Side::Acceptor, None) => msg::LOGIN_FAILED_UNKNOWN.with(&[&quoted, &self.far_address]),
        }
    }

    /// The trace event of a login that is over. `account` is the one that it failed for, though nothing was proved.
    pub(super) fn audit_event(
        &mut self,
        subclass: AuditSubclass,
        login_state: LoginState,
        (number, state): (u32, u8),
        account: Option<String>,
    ) {
        let proved = self.facts.proved.as_ref();
        let user = proved.map(|p| p.principal.name.clone());
        let method = proved.map(|p| p.method).or(self.facts.method);
        let audit = LoginAudit {
            subclass: subclass as u8,
            subclass_name: subclass.name().to_owned(),
            connect_string: self.far_address.clone(),
            local_methods: self.local.config.authentication.desc().to_owned(),
            remote_methods: self.facts.remote_methods.clone(),
            method: method.map(|m| m.desc().to_owned()),
            role: self.side.desc().to_lowercase(),
            login_state: login_state.name().to_owned(),
            state,
            number,
            account: account.or_else(|| user.clone().filter(|name| name.contains('\\'))),
            user,
        };
        self.emit(EndpointEvent::AuditLogin {
            connection: self.id,
            audit: Box::new(audit),
        });
    }

    pub(super) fn transport_error(&self, error: &SqlError) -> SqlError {
        msg::TRANSPORT_ERROR.with(&[&error.number, &error.state, &self.side.desc(), &self.far_address])
    }

    pub(super) fn show_state(&mut self, state: LoginState) {
        self.login_state = state;
        self.emit(EndpointEvent::LoginState {
            connection: self.id,
            state: state.name().to_owned(),
        });
    }

    pub(super) fn emit(&mut self, event: EndpointEvent) {
        self.outputs.push_back(ConnectionOutput::Emit(event.into()));
    }

    pub(super) fn log(&mut self, error: SqlError) {
        self.outputs.push_back(ConnectionOutput::ErrorLog(error));
    }
}

/// Ends that say nothing about the peer or the configuration: not for the error log.
const fn is_routine(reason: &LoginError) -> bool {
    matches!(
        reason,
        LoginError::LostToOlder | LoginError::LostToNewer | LoginError::NotUsed | LoginError::Withdrawn(_)
    )
}
