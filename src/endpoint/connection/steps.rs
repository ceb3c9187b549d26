//! A login carried out: what its states ask for is done here, up to the connection that is online.

use std::sync::Arc;

use super::{Connection, ConnectionOutput, LOGIN_DEADLINE, Phase, Records, Side};
use crate::endpoint::config::{EndpointState, Reading};
use crate::endpoint::error::{AuditSubclass, LoginError};
use crate::endpoint::login::{Action, LoggedIn, Login, LoginState, Next, name_terms};
use crate::endpoint::negotiate::Incompatible;
use crate::error::msg;
use crate::types::{EncryptionInUse, EndpointEvent, Now, PING_INTERVAL};
use crate::wire::frame::PAYLOAD_BYTES_MAX;
use crate::wire::login::LoginMessage;

impl Connection {
    /// The stream is open: begin the login, if the endpoint is started.
    pub(super) fn open(&mut self, now: Now) {
        let stream = match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Connecting(stream) => *stream,
            phase => {
                self.phase = phase;
                return;
            }
        };
        self.facts.connect_time = Some(now.wall);
        self.login_deadline = now.at + LOGIN_DEADLINE;
        if is_silent_or_refusing(self.local.config.state) {
            self.fail(LoginError::NotStarted);
            return;
        }
        let mut actions = Vec::new();
        let local = Arc::clone(&self.local);
        let login = match self.side {
            Side::Initiator => Login::initiate(local, self.far_address.clone(), stream, &mut actions),
            Side::Acceptor => Login::accept(local, self.far_address.clone(), stream),
        };
        self.perform(now, actions);
        self.enter(now, Next::Login(Box::new(login)));
    }

    pub(super) fn on_login_message(&mut self, now: Now, message: LoginMessage) -> Result<(), LoginError> {
        if let LoginMessage::Offer(offer) | LoginMessage::Answer(offer) = &message {
            self.facts.remote_methods = Some(name_terms(Incompatible::Authentication, offer));
        }
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Login(login) => {
                let mut actions = Vec::new();
                let next = login.on_message(now.wall, message, &mut actions);
                self.perform(now, actions);
                self.enter(now, next?);
            }
            phase => self.phase = phase,
        }
        Ok(())
    }

    pub(super) fn perform(&mut self, now: Now, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(message) => self.send_frame(now, message.kind(), &message.payload()),
                Action::Proved(proved) => self.facts.proved = Some(proved),
                Action::Protect(keys) => self.records = Records::new(&keys),
                Action::Arbitrate(peer) => {
                    self.facts.peer_arbitration_id = Some(peer.arbitration_id);
                    self.outputs.push_back(ConnectionOutput::Arbitrate(peer));
                }
                Action::AskController(request) => {
                    self.outputs.push_back(ConnectionOutput::AskController(request));
                }
                Action::Negotiated { local, remote } => self.emit(EndpointEvent::Negotiated {
                    connection: self.id,
                    accepted: self.side == Side::Acceptor,
                    local,
                    remote,
                }),
                Action::FellBack { method, error } => self.fall_back(method, &error),
            }
        }
    }

    pub(super) fn enter(&mut self, now: Now, next: Next) {
        match next {
            Next::Login(login) => {
                let state = login.state();
                self.facts.method = login.method().or(self.facts.method);
                self.phase = Phase::Login(login);
                if state != self.login_state {
                    self.show_state(state);
                }
            }
            Next::Online(logged_in) => self.go_online(now, logged_in),
        }
    }

    pub(super) fn go_online(&mut self, now: Now, logged_in: Box<LoggedIn>) {
        self.decoder.set_payload_bytes_max(PAYLOAD_BYTES_MAX);
        self.last_received = now.at;
        self.next_ping = now.at + PING_INTERVAL;
        self.facts.login_time = Some(now.wall);
        self.show_state(LoginState::Online);
        let succeeded = (msg::LOGIN_SUCCEEDED.number, 1);
        self.audit_event(AuditSubclass::LoginSuccess, LoginState::Online, succeeded, None);
        if let Some(thumbprint) = logged_in.peer_certificate.clone() {
            self.emit(EndpointEvent::CertificateShown {
                connection: self.id,
                thumbprint,
            });
        }
        self.emit(EndpointEvent::LoggedIn {
            connection: self.id,
            peer: logged_in.peer.arbitration_id,
            accepted: self.side == Side::Acceptor,
            principal: logged_in.peer.principal.clone(),
            authentication: logged_in.method.desc().to_owned(),
            encryption: logged_in.encryption,
            local_level: logged_in.local_level.desc().to_owned(),
            connect_granted: logged_in.connect_granted,
        });
        if logged_in.encryption == EncryptionInUse::Rc4 {
            let subject = format!("The connection with '{}'", self.far_address);
            self.log(msg::RC4_DEPRECATED.with(&[&subject]));
        }
        if self.side == Side::Acceptor {
            self.log(msg::LOGIN_SUCCEEDED.with(&[
                &logged_in.peer.principal,
                &logged_in.method,
                &self.far_address,
            ]));
        }
        self.outputs
            .push_back(ConnectionOutput::Online((*logged_in).clone()));
        self.phase = Phase::Online(logged_in);
    }
}

/// Only a started endpoint shakes hands, on either side.
const fn is_silent_or_refusing(state: EndpointState) -> bool {
    !matches!(state.reading(), Reading::Serves)
}
