//! One connection between two endpoints: frames, login, deadlines and pings composed.
//!
//! Bytes and time go in, outputs are drained with [`Connection::poll`]. `Fail` or `Close` is the last output; the owner
//! then closes the stream if it is still open. Every state has a deadline: the login as a whole, or the peer's silence.
//! What messages mean, and which of two connections with one peer survives, is the owner's.

mod records;
mod report;
mod row;
mod steps;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::error::{SqlError, msg};
use crate::types::{ClosedBy, ConnectionId, EndpointEvent, Event, Guid, Now, PING_INTERVAL, Timestamp};
use crate::wire::frame::{
    DecodeError, FrameDecoder, FrameType, LOGIN_PAYLOAD_BYTES_MAX, MESSAGE_BYTES_MAX, Protocol,
};
use crate::wire::login::LoginMessage;

use super::config::EndpointRole;
use super::login::{Login, LoginState};
use records::{Records, unseal};
use row::Facts;

pub use super::auth::NoController;
pub use super::error::{AuditSubclass, LoginError};
pub use super::local::{LocalEndpoint, OwnCertificate, Side, TrustedCertificate, WindowsLogin, WindowsSide};
pub use super::login::{ArbitrationVerdict, LoggedIn, PeerIdentity};
pub use report::LoginFailure;
pub use row::ConnectionRow;

/// How long a login may take on either side, from the opened stream on. Source: ours.
pub const LOGIN_DEADLINE: Duration = Duration::from_secs(20);

/// The partner timeout until [`Connection::set_timeout`] says otherwise. Source: documented.
pub const PARTNER_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// Under this name the end of the login deadline is announced.
pub const LOGIN_DEADLINE_NAME: &str = "login deadline";
/// Under this name the next ping is announced.
pub const PING_NAME: &str = "ping";
/// Under this name the end of the peer's silence is announced.
pub const PARTNER_TIMEOUT_NAME: &str = "partner timeout";

/// What a connection asks of its owner.
#[derive(Debug, Clone, PartialEq)]
pub enum ConnectionOutput {
    Send(Vec<u8>),
    /// Decide whether this connection survives, then call [`Connection::resolve_arbitration`].
    Arbitrate(PeerIdentity),
    /// The login is complete on both sides; messages flow.
    Online(LoggedIn),
    /// Send this to the domain controller, then call [`Connection::on_controller`].
    AskController(Vec<u8>),
    /// One session message from the peer.
    Message(Vec<u8>),
    /// For the trace. Login states, success or failure of the login, and the end are emitted here.
    Emit(Event),
    /// For the instance's error log: 28046 to 28048 on the acceptor, 9642.
    ErrorLog(SqlError),
    /// The login failed; close the stream. The peer is told nothing. Last output.
    Fail(LoginFailure),
    /// The online connection is over; close the stream unless `by` says it ended. Last output.
    Close {
        by: ClosedBy,
        error: Option<SqlError>,
    },
}

/// One connection, from TCP's point of view open or being opened.
#[derive(Debug)]
pub struct Connection {
    id: ConnectionId,
    side: Side,
    local: Arc<LocalEndpoint>,
    far_address: String,
    phase: Phase,
    login_state: LoginState,
    decoder: FrameDecoder,
    records: Option<Records>,
    next_sequence: u64,
    outputs: VecDeque<ConnectionOutput>,
    login_deadline: Timestamp,
    timeout: Duration,
    last_received: Timestamp,
    next_ping: Timestamp,
    facts: Facts,
}

#[derive(Debug)]
enum Phase {
    /// An initiator whose stream is not open yet.
    Connecting(Box<ChaCha20Rng>),
    Login(Box<Login>),
    Online(Box<LoggedIn>),
    Over,
}

impl Connection {
    /// A connection this instance is opening to `far_address`. Nothing happens until [`Connection::on_connected`].
    pub fn initiate(
        id: ConnectionId,
        local: Arc<LocalEndpoint>,
        far_address: String,
        seed: [u8; 32],
        now: Now,
    ) -> Self {
        Self::new(id, Side::Initiator, local, far_address, seed, now)
    }

    /// A connection a listener accepted from `far_address`; its login deadline runs.
    ///
    /// An endpoint that is not started answers with an error: the connection fails at once (9666).
    pub fn accept(
        id: ConnectionId,
        local: Arc<LocalEndpoint>,
        far_address: String,
        seed: [u8; 32],
        now: Now,
    ) -> Self {
        let mut connection = Self::new(id, Side::Acceptor, local, far_address, seed, now);
        connection.open(now);
        connection
    }

    fn new(
        id: ConnectionId,
        side: Side,
        local: Arc<LocalEndpoint>,
        far_address: String,
        seed: [u8; 32],
        now: Now,
    ) -> Self {
        let mut stream = ChaCha20Rng::from_seed(seed);
        let facts = Facts {
            connection_id: Guid::random(&mut stream),
            transport_stream_id: Guid::random(&mut stream),
            ..Facts::default()
        };
        Connection {
            id,
            side,
            local,
            far_address,
            phase: Phase::Connecting(Box::new(stream)),
            login_state: LoginState::Initial,
            decoder: FrameDecoder::new(Protocol::Mirroring, LOGIN_PAYLOAD_BYTES_MAX),
            records: None,
            next_sequence: 0,
            outputs: VecDeque::new(),
            login_deadline: now.at + LOGIN_DEADLINE,
            timeout: PARTNER_TIMEOUT_DEFAULT,
            last_received: now.at,
            next_ping: now.at + PING_INTERVAL,
            facts,
        }
    }

    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// `connection_id` in the views and in the trace.
    pub fn guid(&self) -> Guid {
        self.facts.connection_id
    }

    pub fn side(&self) -> Side {
        self.side
    }

    pub fn far_address(&self) -> &str {
        &self.far_address
    }

    /// The TCP connection an initiator asked for is open. The login deadline counts from here.
    pub fn on_connected(&mut self, now: Now) {
        if self.side == Side::Initiator {
            self.open(now);
        }
    }

    /// Bytes from the peer, in any portions.
    pub fn receive(&mut self, now: Now, bytes: &[u8]) {
        if matches!(self.phase, Phase::Connecting(_) | Phase::Over) {
            return;
        }
        self.facts.receives += 1;
        self.facts.bytes_received += bytes.len() as u64;
        self.facts.last_activity_time = Some(now.wall);
        self.decoder.push(bytes);
        while !matches!(self.phase, Phase::Over) {
            match self.receive_frame(now) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => self.end_with(error),
            }
        }
    }

    /// The stream ended from outside.
    pub fn on_closed(&mut self, _now: Now, by: ClosedBy) {
        match self.phase {
            Phase::Connecting(_) => self.fail(LoginError::StreamEnded(by)),
            Phase::Login(ref login) => {
                let unused = matches!(&**login, Login::WaitArbitration(wait) if wait.is_initiators_choice());
                self.fail(match unused && by == ClosedBy::Peer {
                    true => LoginError::NotUsed,
                    false => LoginError::StreamEnded(by),
                });
            }
            Phase::Online(_) => self.finish(by, None),
            Phase::Over => {}
        }
    }

    /// Act on every deadline that is due.
    pub fn wake(&mut self, now: Now) {
        match self.phase {
            Phase::Login(_) if now.at >= self.login_deadline => {
                self.fail(LoginError::TimedOut(LOGIN_DEADLINE.as_secs()));
            }
            Phase::Online(_) if now.at >= self.silence_deadline() => self.finish(ClosedBy::Timeout, None),
            Phase::Online(_) if now.at >= self.next_ping => {
                self.send_frame(now, FrameType::PING, &[]);
                self.next_ping = now.at + PING_INTERVAL;
            }
            Phase::Connecting(_) | Phase::Login(_) | Phase::Online(_) | Phase::Over => {}
        }
    }

    /// Answer to `Arbitrate`; ignored at any other time.
    pub fn resolve_arbitration(&mut self, now: Now, verdict: ArbitrationVerdict) {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Login(login) => match (*login, verdict) {
                (Login::WaitArbitration(wait), ArbitrationVerdict::Keep) if wait.awaits_verdict() => {
                    let mut actions = Vec::new();
                    let next = wait.keep(&mut actions);
                    self.perform(now, actions);
                    self.enter(now, next);
                }
                (Login::WaitArbitration(wait), ArbitrationVerdict::LostToOlder) if wait.awaits_verdict() => {
                    self.fail(LoginError::LostToOlder);
                }
                (Login::WaitArbitration(wait), ArbitrationVerdict::NameTaken) if wait.awaits_verdict() => {
                    self.fail(LoginError::NameTaken);
                }
                (login, _) => self.phase = Phase::Login(Box::new(login)),
            },
            phase => self.phase = phase,
        }
    }

    /// A newer connection with the same peer won: this one ends with 28033.
    pub fn lose_arbitration(&mut self, _now: Now) {
        match self.phase {
            Phase::Connecting(_) | Phase::Login(_) => self.fail(LoginError::LostToNewer),
            Phase::Online(_) => self.finish(ClosedBy::Local, Some(msg::ARBITRATION_OLD_LOST.error())),
            Phase::Over => {}
        }
    }

    /// End the connection for a reason of the owner's: endpoint stopped, altered, dropped, session removed …
    ///
    /// A login that is cut short without an error fails with 9666.
    pub fn close(&mut self, _now: Now, error: Option<SqlError>) {
        match self.phase {
            Phase::Connecting(_) | Phase::Login(_) => {
                let error = error.unwrap_or_else(|| msg::ENDPOINT_DISABLED_OR_STOPPED.error());
                self.fail(LoginError::Withdrawn(error));
            }
            Phase::Online(_) => self.finish(ClosedBy::Local, error),
            Phase::Over => {}
        }
    }

    /// Send one session message of at most [`MESSAGE_BYTES_MAX`] bytes; ignored unless online.
    ///
    /// A longer message ends the connection: it could neither be sent nor be left out.
    pub fn send(&mut self, now: Now, message: &[u8]) {
        if !self.is_online() {
            return;
        }
        if message.len() > MESSAGE_BYTES_MAX {
            let error = DecodeError::TooLong {
                kind: FrameType::SESSION,
                length: message.len() as u64,
                max: MESSAGE_BYTES_MAX,
            };
            self.end_with(LoginError::Decode(error));
            return;
        }
        self.send_frame(now, FrameType::SESSION, message);
    }

    pub fn poll(&mut self) -> Option<ConnectionOutput> {
        self.outputs.pop_front()
    }

    /// The earliest deadline and its name; none before the stream is open and after the end.
    pub fn next_deadline(&self) -> Option<(Timestamp, &'static str)> {
        match self.phase {
            Phase::Connecting(_) | Phase::Over => None,
            Phase::Login(_) => Some((self.login_deadline, LOGIN_DEADLINE_NAME)),
            Phase::Online(_) if self.next_ping < self.silence_deadline() => Some((self.next_ping, PING_NAME)),
            Phase::Online(_) => Some((self.silence_deadline(), PARTNER_TIMEOUT_NAME)),
        }
    }

    /// Set the partner timeout T: silence of T and one more ping interval ends the connection.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    pub fn is_online(&self) -> bool {
        matches!(self.phase, Phase::Online(_))
    }

    /// Whether `Fail` or `Close` was queued.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// What the login established, while online.
    pub fn logged_in(&self) -> Option<&LoggedIn> {
        match &self.phase {
            Phase::Online(logged_in) => Some(logged_in),
            Phase::Connecting(_) | Phase::Login(_) | Phase::Over => None,
        }
    }

    /// When the last frame of the peer arrived.
    pub fn last_received(&self) -> Timestamp {
        self.last_received
    }

    /// The ROLE of this side's endpoint when the connection began.
    pub fn local_role(&self) -> EndpointRole {
        self.local.config.role
    }

    pub fn login_state(&self) -> LoginState {
        self.login_state
    }

    /// Takes the next whole frame; whether there was one.
    fn receive_frame(&mut self, now: Now) -> Result<bool, LoginError> {
        let frame = match self.decoder.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(false),
            // Out of order where order is vouched for: replayed, dropped or moved records.
            Err(DecodeError::Sequence { .. }) if self.records.is_some() => {
                return Err(LoginError::SealBroken);
            }
            Err(error) => return Err(error.into()),
        };
        let (header, payload) = frame;
        let payload = unseal(self.records.as_mut(), &header, payload)?;
        self.last_received = now.at;
        self.facts.frames_received += 1;
        if matches!(self.phase, Phase::Online(_)) {
            match header.kind {
                FrameType::PING if payload.is_empty() => {
                    let connection = self.id;
                    self.emit(EndpointEvent::PingReceived { connection });
                }
                FrameType::SESSION => self
                    .outputs
                    .push_back(ConnectionOutput::Message(payload.to_vec())),
                other => return Err(DecodeError::Unexpected(other).into()),
            }
        } else {
            let message = LoginMessage::decode(header.kind, payload)?;
            self.on_login_message(now, message)?;
        }
        Ok(true)
    }

    /// The domain controller's answer to the last `AskController`, or that there is none.
    pub fn on_controller(&mut self, now: Now, answer: Result<&[u8], NoController>) {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Login(login) => {
                let mut actions = Vec::new();
                let next = login.on_controller(now.wall, answer, &mut actions);
                self.perform(now, actions);
                match next {
                    Ok(next) => self.enter(now, next),
                    Err(error) => self.fail(error),
                }
            }
            phase => self.phase = phase,
        }
    }

    fn silence_deadline(&self) -> Timestamp {
        self.last_received + self.timeout + PING_INTERVAL
    }
}

#[cfg(test)]
mod tests;
