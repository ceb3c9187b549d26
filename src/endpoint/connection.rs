//! One connection between two endpoints: frames, login, deadlines and pings composed.
//!
//! Bytes and time go in, outputs are drained with [`Connection::poll`]. `Fail` or `Close` is the last output; the owner
//! then closes the stream if it is still open. Every state has a deadline: the login as a whole, or the peer's silence.
//! What messages mean, and which of two connections with one peer survives, is the owner's.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::crypto::record::{RecordCipher, TAG_BYTES};
use crate::error::{SqlError, msg};
use crate::types::{
    ClosedBy, ConnectionId, EncryptionInUse, EndpointEvent, Event, Guid, LoginAudit, Now, PING_INTERVAL,
    Timestamp, WallTime,
};
use crate::wire::frame::{
    DecodeError, FLAG_SEALED, FrameDecoder, FrameHeader, FrameType, HEADER_BYTES, LOGIN_PAYLOAD_BYTES_MAX,
    MESSAGE_BYTES_MAX, PAYLOAD_BYTES_MAX, PREAMBLE_BYTES, Protocol,
};
use crate::wire::login::LoginMessage;

use super::config::{EndpointRole, EndpointState, Method, Reading};
use super::login::{Action, Login, LoginState, Next, Proved, RecordKeys, name_terms};
use super::negotiate::Incompatible;

pub use super::auth::NoController;
pub use super::error::{AuditSubclass, LoginError};
pub use super::local::{LocalEndpoint, OwnCertificate, Side, TrustedCertificate, WindowsLogin, WindowsSide};
pub use super::login::{ArbitrationVerdict, LoggedIn, PeerIdentity};

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

/// One row of `sys.dm_db_mirroring_connections`; columns by their documented names. What is flow-controlled knows the
/// owner, who holds messages back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionRow {
    pub connection_id: Guid,
    pub transport_stream_id: Guid,
    pub state: i64,
    pub state_desc: &'static str,
    pub connect_time: Option<WallTime>,
    pub login_time: Option<WallTime>,
    pub authentication_method: Option<&'static str>,
    pub principal_name: Option<String>,
    pub remote_user_name: Option<String>,
    pub last_activity_time: Option<WallTime>,
    pub is_accept: bool,
    pub login_state: i64,
    pub login_state_desc: &'static str,
    pub peer_certificate_id: Option<i64>,
    pub encryption_algorithm: i64,
    pub encryption_algorithm_desc: &'static str,
    /// The driver always has one receive posted on an open stream.
    pub receives_posted: i64,
    /// A send is complete when it is handed to the driver.
    pub sends_posted: i64,
    pub total_bytes_sent: u64,
    pub total_bytes_received: u64,
    pub total_fragments_sent: u64,
    pub total_fragments_received: u64,
    pub total_sends: u64,
    pub total_receives: u64,
    pub peer_arbitration_id: Option<Guid>,
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

/// The ciphers of both directions, where encryption was agreed.
#[derive(Debug)]
struct Records {
    send: RecordCipher,
    receive: RecordCipher,
}

impl Records {
    /// None where nothing is encrypted.
    fn new(keys: &RecordKeys) -> Option<Self> {
        Some(Records {
            send: RecordCipher::new(keys.encryption, keys.send)?,
            receive: RecordCipher::new(keys.encryption, keys.receive)?,
        })
    }
}

/// What the row shows beyond the phase.
#[derive(Debug, Default)]
struct Facts {
    connection_id: Guid,
    transport_stream_id: Guid,
    connect_time: Option<WallTime>,
    login_time: Option<WallTime>,
    last_activity_time: Option<WallTime>,
    proved: Option<Proved>,
    peer_arbitration_id: Option<Guid>,
    remote_methods: Option<String>,
    method: Option<Method>,
    bytes_sent: u64,
    bytes_received: u64,
    frames_sent: u64,
    frames_received: u64,
    sends: u64,
    receives: u64,
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

    /// This connection as `sys.dm_db_mirroring_connections` shows it.
    pub fn row(&self) -> ConnectionRow {
        let (state, state_desc) = match (&self.phase, self.side) {
            (Phase::Connecting(_), Side::Initiator) => (2, "CONNECTING"),
            (Phase::Connecting(_), Side::Acceptor) => (1, "NEW"),
            (Phase::Login(_), _) => (3, "CONNECTED"),
            (Phase::Online(_), _) => (4, "LOGGED_IN"),
            (Phase::Over, _) => (5, "CLOSED"),
        };
        let facts = &self.facts;
        let principal = facts.proved.as_ref().map(|proved| &proved.principal);
        let encryption = facts
            .proved
            .as_ref()
            .map_or(EncryptionInUse::None, |p| p.encryption);
        ConnectionRow {
            connection_id: facts.connection_id,
            transport_stream_id: facts.transport_stream_id,
            state,
            state_desc,
            connect_time: facts.connect_time,
            login_time: facts.login_time,
            authentication_method: facts.proved.as_ref().map(|proved| proved.method.desc()),
            principal_name: principal.map(|p| p.name.clone()),
            remote_user_name: principal.and_then(|p| p.remote_user.clone()),
            last_activity_time: facts.last_activity_time,
            is_accept: self.side == Side::Acceptor,
            login_state: self.login_state.code(),
            login_state_desc: self.login_state.desc(),
            peer_certificate_id: principal.and_then(|p| p.certificate_id),
            encryption_algorithm: encryption.code(),
            encryption_algorithm_desc: encryption.desc(),
            receives_posted: i64::from(matches!(self.phase, Phase::Login(_) | Phase::Online(_))),
            sends_posted: 0,
            total_bytes_sent: facts.bytes_sent,
            total_bytes_received: facts.bytes_received,
            total_fragments_sent: facts.frames_sent,
            total_fragments_received: facts.frames_received,
            total_sends: facts.sends,
            total_receives: facts.receives,
            peer_arbitration_id: facts.peer_arbitration_id,
        }
    }

    /// The stream is open: begin the login, if the endpoint is started.
    fn open(&mut self, now: Now) {
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

    fn on_login_message(&mut self, now: Now, message: LoginMessage) -> Result<(), LoginError> {
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

    fn perform(&mut self, now: Now, actions: Vec<Action>) {
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

    /// The next method is tried; what made the one before fail is told as the end of the login would be.
    fn fall_back(&mut self, method: Method, reason: &LoginError) {
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

    fn enter(&mut self, now: Now, next: Next) {
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

    fn go_online(&mut self, now: Now, logged_in: Box<LoggedIn>) {
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

    /// One frame to the peer, sealed where encryption was agreed; the preamble goes before the first.
    fn send_frame(&mut self, now: Now, kind: FrameType, message: &[u8]) {
        let tag_bytes = if self.records.is_some() { TAG_BYTES } else { 0 };
        let header = FrameHeader {
            kind,
            flags: if self.records.is_some() { FLAG_SEALED } else { 0 },
            sequence: self.next_sequence,
            length: (message.len() + tag_bytes) as u32,
        };
        let mut out = Vec::with_capacity(PREAMBLE_BYTES + HEADER_BYTES + message.len() + tag_bytes);
        if self.next_sequence == 0 {
            out.extend_from_slice(&Protocol::Mirroring.preamble());
        }
        out.extend_from_slice(&header.bytes(message));
        let begin = out.len();
        out.extend_from_slice(message);
        if let Some(records) = &mut self.records {
            let tag = records
                .send
                .seal(header.sequence, &header.checked_bytes(), &mut out[begin..]);
            out.extend_from_slice(&tag);
        }
        self.next_sequence += 1;
        self.facts.frames_sent += 1;
        self.facts.sends += 1;
        self.facts.bytes_sent += out.len() as u64;
        self.facts.last_activity_time = Some(now.wall);
        self.outputs.push_back(ConnectionOutput::Send(out));
    }

    fn silence_deadline(&self) -> Timestamp {
        self.last_received + self.timeout + PING_INTERVAL
    }

    /// What the peer sent cannot be accepted: a failed login, or the end of an online connection.
    fn end_with(&mut self, error: LoginError) {
        if self.is_online() {
            let error = error.to_sql();
            self.log(self.transport_error(&error));
            self.finish(ClosedBy::Local, Some(error));
        } else {
            self.fail(error);
        }
    }

    fn fail(&mut self, reason: LoginError) {
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

    fn finish(&mut self, by: ClosedBy, error: Option<SqlError>) {
        self.phase = Phase::Over;
        self.emit(EndpointEvent::Closed {
            connection: self.id,
            by,
            error: error.as_ref().map(|error| error.number),
        });
        self.outputs.push_back(ConnectionOutput::Close { by, error });
    }

    /// What the error log says of a failed login: the audit on the acceptor, the transport's error on the initiator.
    fn audit(&self, error: &SqlError, user: Option<&str>) -> SqlError {
        let quoted = format!("Error {}, State {}: {}", error.number, error.state, error.text);
        match (self.side, user) {
            (Side::Initiator, _) => self.transport_error(error),
            (Side::Acceptor, Some(user)) => msg::LOGIN_FAILED_USER.with(&[&user, &quoted, &self.far_address]),
            (Side::Acceptor, None) => msg::LOGIN_FAILED_UNKNOWN.with(&[&quoted, &self.far_address]),
        }
    }

    /// The trace event of a login that is over. `account` is the one that it failed for, though nothing was proved.
    fn audit_event(
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

    fn transport_error(&self, error: &SqlError) -> SqlError {
        msg::TRANSPORT_ERROR.with(&[&error.number, &error.state, &self.side.desc(), &self.far_address])
    }

    fn show_state(&mut self, state: LoginState) {
        self.login_state = state;
        self.emit(EndpointEvent::LoginState {
            connection: self.id,
            state: state.name().to_owned(),
        });
    }

    fn emit(&mut self, event: EndpointEvent) {
        self.outputs.push_back(ConnectionOutput::Emit(event.into()));
    }

    fn log(&mut self, error: SqlError) {
        self.outputs.push_back(ConnectionOutput::ErrorLog(error));
    }
}

/// Only a started endpoint shakes hands, on either side.
const fn is_silent_or_refusing(state: EndpointState) -> bool {
    !matches!(state.reading(), Reading::Serves)
}

/// Ends that say nothing about the peer or the configuration: not for the error log.
const fn is_routine(reason: &LoginError) -> bool {
    matches!(
        reason,
        LoginError::LostToOlder | LoginError::LostToNewer | LoginError::NotUsed | LoginError::Withdrawn(_)
    )
}

/// The message of a frame: as it is where nothing is sealed, decrypted where everything must be.
fn unseal<'a>(
    records: Option<&mut Records>,
    header: &FrameHeader,
    payload: &'a mut [u8],
) -> Result<&'a [u8], LoginError> {
    match (records, header.is_sealed()) {
        (None, false) => Ok(payload),
        (Some(records), true) => records
            .receive
            .open(header.sequence, &header.checked_bytes(), payload)
            .map(|message| &*message)
            .map_err(|_| LoginError::SealBroken),
        (None, true) | (Some(_), false) => Err(LoginError::NotSealed),
    }
}

#[cfg(test)]
mod tests;
