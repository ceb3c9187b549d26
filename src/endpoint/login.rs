//! One type per login state; a message consumes the state and gives the next, or the reason there is none.
//!
//! Only [`WaitArbitration`] can make a [`LoggedIn`], and only from what the earlier states proved, so holding one *is*
//! the proof that its peer was authenticated and authorised. Deadlines and frames are `connection`'s.
//!
//! An attempt that fails to *authenticate* is followed by the second method of the plan, if there is one: the side that
//! fails says *reject* and the initiator begins anew. A peer that is authenticated and not *authorised* gets no second one.

use std::sync::Arc;

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use sha2::{Digest, Sha256};

use crate::crypto::record::SECRET_BYTES;
use crate::types::{EncryptionInUse, Guid, ServerAddress, WallTime};
use crate::wire::DecodeError;
use crate::wire::login::{
    AlgorithmCode, Arbitration, AuthMethod, CONFIRMED, Confirmation, LevelCode, LoginMessage, Offer,
};

use super::auth::{self, Mechanism, NoController, Principal, Step};
use super::config::{Algorithm, EncryptionLevel, EndpointRole, Method, WindowsMethod};
use super::error::LoginError;
use super::local::{LocalEndpoint, Side};
use super::negotiate::{Agreed, Incompatible, Terms, negotiate};

const INITIATOR_CONFIRMS: &str = "EXPORTER-mirrorlab initiator confirms";
const ACCEPTOR_CONFIRMS: &str = "EXPORTER-mirrorlab acceptor confirms";
const INITIATOR_RECORDS: &str = "EXPORTER-mirrorlab initiator records";
const ACCEPTOR_RECORDS: &str = "EXPORTER-mirrorlab acceptor records";

/// `login_state` of `sys.dm_db_mirroring_connections`. Source: documented; the sentences are paraphrased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LoginState {
    Initial = 0,
    WaitLoginNegotiate = 1,
    OneIsc = 2,
    OneAsc = 3,
    TwoIsc = 4,
    TwoAsc = 5,
    WaitIscConfirm = 6,
    WaitAscConfirm = 7,
    WaitReject = 8,
    WaitPreMasterSecret = 9,
    WaitValidation = 10,
    WaitArbitration = 11,
    Online = 12,
    Error = 13,
}

impl LoginState {
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// The documented name.
    pub const fn name(self) -> &'static str {
        match self {
            LoginState::Initial => "INITIAL",
            LoginState::WaitLoginNegotiate => "WAIT LOGIN NEGOTIATE",
            LoginState::OneIsc => "ONE ISC",
            LoginState::OneAsc => "ONE ASC",
            LoginState::TwoIsc => "TWO ISC",
            LoginState::TwoAsc => "TWO ASC",
            LoginState::WaitIscConfirm => "WAIT ISC Confirm",
            LoginState::WaitAscConfirm => "WAIT ASC Confirm",
            LoginState::WaitReject => "WAIT REJECT",
            LoginState::WaitPreMasterSecret => "WAIT PRE-MASTER SECRET",
            LoginState::WaitValidation => "WAIT VALIDATION",
            LoginState::WaitArbitration => "WAIT ARBITRATION",
            LoginState::Online => "ONLINE",
            LoginState::Error => "ERROR",
        }
    }

    /// `login_state_desc`.
    pub const fn desc(self) -> &'static str {
        match self {
            LoginState::Initial => "Connection handshake is initializing.",
            LoginState::WaitLoginNegotiate => "Connection handshake is waiting for Login Negotiate message.",
            LoginState::OneIsc => {
                "Connection handshake has initialized and sent security context for authentication."
            }
            LoginState::OneAsc => {
                "Connection handshake has received and accepted security context for authentication."
            }
            LoginState::TwoIsc => {
                "Connection handshake has initialized and sent security context for authentication. An optional mechanism is available."
            }
            LoginState::TwoAsc => {
                "Connection handshake has received and sent accepted security context for authentication. An optional mechanism is available."
            }
            LoginState::WaitIscConfirm => {
                "Connection handshake is waiting for Initialize Security Context Confirmation message."
            }
            LoginState::WaitAscConfirm => {
                "Connection handshake is waiting for Accept Security Context Confirmation message."
            }
            LoginState::WaitReject => "Connection handshake is waiting for SSPI rejection message.",
            LoginState::WaitPreMasterSecret => {
                "Connection handshake is waiting for Pre-Master Secret message."
            }
            LoginState::WaitValidation => "Connection handshake is waiting for Validation message.",
            LoginState::WaitArbitration => "Connection handshake is waiting for Arbitration message.",
            LoginState::Online => {
                "Connection handshake is complete and is online (ready) for message exchange."
            }
            LoginState::Error => "Connection is in error.",
        }
    }
}

/// Who the peer says it is, after it proved who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    pub arbitration_id: Guid,
    pub server_name: String,
    pub role: EndpointRole,
    /// The product's year.
    pub version: u16,
    /// The server network address of the peer's own endpoint, if it knows it.
    pub address: Option<ServerAddress>,
    /// The login checked for CONNECT on the acceptor; on the initiator the owner of the acceptor's certificate.
    pub principal: String,
}

/// The owner's answer to an arbitration request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArbitrationVerdict {
    /// This connection is to be used; an older one with the same peer, if any, loses.
    Keep,
    /// A previous connection with the same peer will be used (28032).
    LostToOlder,
}

/// What was agreed and proved by the time a connection is online. Made by [`WaitArbitration`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedIn {
    pub peer: PeerIdentity,
    pub side: Side,
    pub method: Method,
    pub encryption: EncryptionInUse,
    pub local_level: EncryptionLevel,
    pub peer_certificate_id: Option<i64>,
    /// The thumbprint of the certificate the peer showed.
    pub peer_certificate: Option<String>,
    /// The acceptor's verdict: on the initiator, that it was let in.
    pub connect_granted: bool,
    proof: Proof,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Proof;

/// What the token exchange proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    pub principal: Principal,
    pub method: Method,
    pub encryption: EncryptionInUse,
}

/// The secrets of the record ciphers, from this side's point of view.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordKeys {
    pub encryption: EncryptionInUse,
    pub send: [u8; SECRET_BYTES],
    pub receive: [u8; SECRET_BYTES],
}

impl std::fmt::Debug for RecordKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordKeys")
    }
}

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

/// What every state carries.
#[derive(Debug)]
struct Common {
    side: Side,
    local: Arc<LocalEndpoint>,
    /// Where the peer is: the address that was connected to, or the one it came from.
    far: String,
    stream: ChaCha20Rng,
    /// Offers and rejects as this side saw them.
    transcript: Sha256,
}

impl Common {
    fn new(side: Side, local: Arc<LocalEndpoint>, far: String, stream: ChaCha20Rng) -> Self {
        Common {
            side,
            local,
            far,
            stream,
            transcript: Sha256::new(),
        }
    }

    /// Records a message of the negotiation, said or heard.
    fn note(&mut self, message: &LoginMessage) {
        let payload = message.payload();
        self.transcript.update([message.kind().0]);
        self.transcript.update((payload.len() as u64).to_be_bytes());
        self.transcript.update(payload);
    }

    fn say(&mut self, message: LoginMessage, out: &mut Vec<Action>) {
        self.note(&message);
        out.push(Action::Send(message));
    }

    fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.stream.fill_bytes(&mut seed);
        seed
    }

    fn incompatible(&self, what: Incompatible, remote: &Offer) -> LoginError {
        let own = offer(&self.local);
        LoginError::Incompatible {
            what,
            local: name_terms(what, &own),
            remote: name_terms(what, remote),
        }
    }

    /// The agreement, if there is one that this side may carry out.
    fn agree(&self, remote: &Offer) -> Result<Agreed, LoginError> {
        let (own, far) = (Terms::of(&self.local.config), terms(remote)?);
        let agreed = match self.side {
            Side::Acceptor => negotiate(&own, &far),
            Side::Initiator => negotiate(&far, &own),
        };
        match agreed.map_err(|what| self.incompatible(what, remote))? {
            agreed if agreed.encryption == EncryptionInUse::Rc4 && self.local.fips_mode => {
                Err(LoginError::Rc4InFipsMode)
            }
            agreed => Ok(agreed),
        }
    }

    fn negotiated(&self, remote: &Offer) -> Action {
        let names = |offer: &Offer| offer.methods.iter().map(ToString::to_string).collect();
        Action::Negotiated {
            local: names(&offer(&self.local)),
            remote: names(remote),
        }
    }

    /// Closes the exchange: who the peer is, both confirmations, and the record keys, bound to the transcript.
    fn conclude(
        &self,
        mechanism: &dyn Mechanism,
        method: Method,
        encryption: EncryptionInUse,
    ) -> Result<(Proved, Secrets), LoginError> {
        let unnamed = || LoginError::Exchange("it is finished without a peer".to_owned());
        let proved = Proved {
            principal: mechanism.peer().ok_or_else(unnamed)?,
            method: mechanism.method(method),
            encryption,
        };
        let context = self.transcript.clone().finalize();
        let confirmation = |label| -> Result<Confirmation, LoginError> {
            let mut secret = [0; 32];
            mechanism.export(label, &context, &mut secret)?;
            Ok(secret)
        };
        let records = |label| -> Result<[u8; SECRET_BYTES], LoginError> {
            let mut secret = [0; SECRET_BYTES];
            mechanism.export(label, &context, &mut secret)?;
            Ok(secret)
        };
        let (own, far) = match self.side {
            Side::Initiator => (
                (INITIATOR_CONFIRMS, INITIATOR_RECORDS),
                (ACCEPTOR_CONFIRMS, ACCEPTOR_RECORDS),
            ),
            Side::Acceptor => (
                (ACCEPTOR_CONFIRMS, ACCEPTOR_RECORDS),
                (INITIATOR_CONFIRMS, INITIATOR_RECORDS),
            ),
        };
        let secrets = Secrets {
            own_confirmation: confirmation(own.0)?,
            far_confirmation: confirmation(far.0)?,
            keys: RecordKeys {
                encryption,
                send: records(own.1)?,
                receive: records(far.1)?,
            },
        };
        Ok((proved, secrets))
    }

    /// The login is done on both sides: protect what follows and say who this is.
    fn arbitrate(self, proved: Proved, keys: RecordKeys, out: &mut Vec<Action>) -> Next {
        if proved.encryption != EncryptionInUse::None {
            out.push(Action::Protect(keys));
        }
        out.push(Action::Send(LoginMessage::ArbitrationRequest(Arbitration {
            arbitration_id: self.local.arbitration_id,
            server_name: self.local.server_name.clone(),
            role: self.local.config.role.code() as u8,
            version: self.local.version,
            address: self.local.address.clone(),
        })));
        Next::login(Login::WaitArbitration(WaitArbitration {
            common: self,
            proved,
            peer: None,
            is_kept: false,
            peer_keeps: false,
        }))
    }
}

#[derive(Clone)]
struct Secrets {
    own_confirmation: Confirmation,
    far_confirmation: Confirmation,
    keys: RecordKeys,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secrets {
    /// Compares in constant time.
    fn check(&self, confirmation: &Confirmation) -> Result<(), LoginError> {
        let pairs = self.far_confirmation.iter().zip(confirmation);
        match pairs.fold(0, |difference, (a, b)| difference | (a ^ b)) {
            0 => Ok(()),
            _ => Err(LoginError::Confirmation),
        }
    }
}

/// Initiator: the offer is sent.
#[derive(Debug)]
pub struct Offered {
    common: Common,
}

impl Offered {
    fn on_answer(
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

/// Acceptor: nothing was said yet.
#[derive(Debug)]
pub struct WaitLoginNegotiate {
    common: Common,
}

impl WaitLoginNegotiate {
    fn on_offer(mut self, remote: &Offer, out: &mut Vec<Action>) -> Result<Next, LoginError> {
        let agreed = self.common.agree(remote)?;
        out.push(self.common.negotiated(remote));
        self.common.note(&LoginMessage::Offer(remote.clone()));
        self.common
            .say(LoginMessage::Answer(offer(&self.common.local)), out);
        Ok(Attempt::first(self.common, agreed).await_initiator())
    }
}

/// The method of the plan that is being tried.
#[derive(Debug)]
struct Attempt {
    common: Common,
    agreed: Agreed,
    number: usize,
}

impl Attempt {
    fn first(common: Common, agreed: Agreed) -> Self {
        Attempt {
            common,
            agreed,
            number: 0,
        }
    }

    fn is_first(&self) -> bool {
        self.number == 0
    }

    fn is_last(&self) -> bool {
        self.number + 1 >= self.agreed.plan.len()
    }

    fn method(&self) -> Method {
        self.agreed.plan[self.number]
    }

    /// Whether the acceptor confirms the initiator's security context before the initiator goes on: it may have to ask
    /// somebody first, or may still prefer the next method.
    fn is_confirmed(&self) -> bool {
        !self.is_last() || matches!(self.method(), Method::Windows(_))
    }

    fn begin(&mut self, wall: WallTime) -> Result<Box<dyn Mechanism>, LoginError> {
        let seed = self.common.seed();
        let Common { side, local, far, .. } = &self.common;
        auth::begin(self.method(), *side, local, far, seed, wall)
    }

    fn conclude(&self, mechanism: &dyn Mechanism) -> Result<(Proved, Secrets), LoginError> {
        self.common
            .conclude(mechanism, self.method(), self.agreed.encryption)
    }

    /// Initiator: sends the first security context of this method.
    fn initiate(mut self, wall: WallTime, out: &mut Vec<Action>) -> Result<Next, LoginError> {
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
    fn await_initiator(self) -> Next {
        Next::login(Login::Asc(Asc {
            attempt: self,
            accepting: None,
        }))
    }

    /// This side cannot authenticate by this method: on to the next, if that helps and there is one.
    fn give_up(mut self, error: LoginError, out: &mut Vec<Action>) -> Result<Next, LoginError> {
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
    fn on_reject(mut self, wall: WallTime, out: &mut Vec<Action>) -> Result<Next, LoginError> {
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

/// Initiator: a security context is sent, or about to be; the first or the second method of the plan.
#[derive(Debug)]
pub struct Isc {
    attempt: Attempt,
    mechanism: Box<dyn Mechanism>,
    /// The domain controller is asked, and the peer has nothing to say before it answers.
    asked: bool,
}

impl Isc {
    fn on_token(mut self, wall: WallTime, token: &[u8], out: &mut Vec<Action>) -> Result<Next, LoginError> {
        let step = self.mechanism.step(wall, Some(token));
        self.go_on(step, out)
    }

    fn on_controller(
        mut self,
        wall: WallTime,
        answer: Result<&[u8], NoController>,
        out: &mut Vec<Action>,
    ) -> Result<Next, LoginError> {
        self.asked = false;
        let step = self.mechanism.answered(wall, answer);
        self.go_on(step, out)
    }

    fn go_on(mut self, step: Result<Step, LoginError>, out: &mut Vec<Action>) -> Result<Next, LoginError> {
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
    attempt: Attempt,
    mechanism: Box<dyn Mechanism>,
}

impl WaitAscConfirm {
    fn on_confirm(self, status: u32, out: &mut Vec<Action>) -> Result<Next, LoginError> {
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
    attempt: Attempt,
}

impl WaitReject {
    fn on_reject(mut self, wall: WallTime, out: &mut Vec<Action>) -> Result<Next, LoginError> {
        self.attempt.common.note(&LoginMessage::Reject);
        self.attempt.number += 1;
        self.attempt.initiate(wall, out)
    }
}

/// Acceptor: waits for the first security context of a method, or for what the domain controller says of one.
#[derive(Debug)]
pub struct Asc {
    attempt: Attempt,
    accepting: Option<Box<dyn Mechanism>>,
}

impl Asc {
    fn on_token(mut self, wall: WallTime, token: &[u8], out: &mut Vec<Action>) -> Result<Next, LoginError> {
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
    accepting: Accepting,
}

impl WaitIscConfirm {
    fn on_token(self, wall: WallTime, token: &[u8], out: &mut Vec<Action>) -> Result<Next, LoginError> {
        self.accepting.on_token(wall, token, out)
    }
}

/// Acceptor: a security context is being accepted.
#[derive(Debug)]
struct Accepting {
    attempt: Attempt,
    mechanism: Box<dyn Mechanism>,
}

impl Accepting {
    fn on_token(mut self, wall: WallTime, token: &[u8], out: &mut Vec<Action>) -> Result<Next, LoginError> {
        let step = self.mechanism.step(wall, Some(token));
        self.go_on(step, out)
    }

    fn on_controller(
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

/// Initiator: has proved itself and waits to be let in.
#[derive(Debug)]
pub struct WaitAccepted {
    common: Common,
    proved: Proved,
    secrets: Secrets,
}

impl WaitAccepted {
    fn on_accepted(self, confirmation: &Confirmation, out: &mut Vec<Action>) -> Result<Next, LoginError> {
        self.secrets.check(confirmation)?;
        Ok(self.common.arbitrate(self.proved, self.secrets.keys, out))
    }
}

/// Acceptor: knows the initiator and waits for its confirmation.
#[derive(Debug)]
pub struct WaitValidation {
    attempt: Attempt,
    proved: Proved,
    secrets: Secrets,
}

impl WaitValidation {
    fn on_validation(self, confirmation: &Confirmation, out: &mut Vec<Action>) -> Result<Next, LoginError> {
        self.secrets.check(confirmation)?;
        self.proved.principal.authorise()?;
        out.push(Action::Send(LoginMessage::Accepted(
            self.secrets.own_confirmation,
        )));
        let common = self.attempt.common;
        Ok(common.arbitrate(self.proved, self.secrets.keys, out))
    }
}

/// Both: let in; waits for the peer's identity, this instance's verdict and the peer's.
#[derive(Debug)]
pub struct WaitArbitration {
    common: Common,
    proved: Proved,
    peer: Option<PeerIdentity>,
    is_kept: bool,
    peer_keeps: bool,
}

impl WaitArbitration {
    fn on_request(mut self, request: Arbitration, out: &mut Vec<Action>) -> Result<Next, LoginError> {
        if self.peer.is_some() {
            return Err(self.unexpected("second arbitration request"));
        }
        let peer = PeerIdentity {
            arbitration_id: request.arbitration_id,
            server_name: request.server_name,
            role: role(request.role)?,
            version: request.version,
            address: request.address,
            principal: self.proved.principal.name.clone(),
        };
        self.peer = Some(peer.clone());
        out.push(Action::Arbitrate(peer));
        Ok(Next::login(Login::WaitArbitration(self)))
    }

    fn on_response(mut self) -> Result<Next, LoginError> {
        if self.peer_keeps {
            return Err(self.unexpected("second arbitration response"));
        }
        self.peer_keeps = true;
        Ok(self.into_next())
    }

    /// Whether the peer has said who it is, and no verdict was given yet.
    pub fn awaits_verdict(&self) -> bool {
        self.peer.is_some() && !self.is_kept
    }

    /// This instance will use the connection.
    pub fn keep(mut self, out: &mut Vec<Action>) -> Next {
        out.push(Action::Send(LoginMessage::ArbitrationResponse));
        self.is_kept = true;
        self.into_next()
    }

    fn unexpected(&self, event: &str) -> LoginError {
        LoginError::Unexpected {
            event: event.to_owned(),
            state: LoginState::WaitArbitration.name(),
        }
    }

    fn into_next(self) -> Next {
        match self.peer {
            Some(peer) if self.is_kept && self.peer_keeps => Next::online(LoggedIn {
                peer,
                side: self.common.side,
                method: self.proved.method,
                encryption: self.proved.encryption,
                local_level: self.common.local.config.encryption.level(),
                peer_certificate_id: self.proved.principal.certificate_id,
                peer_certificate: self.proved.principal.certificate,
                connect_granted: match self.common.side {
                    Side::Acceptor => self.proved.principal.connect,
                    Side::Initiator => true,
                },
                proof: Proof,
            }),
            peer => Next::login(Login::WaitArbitration(WaitArbitration { peer, ..self })),
        }
    }
}

fn offer(local: &LocalEndpoint) -> Offer {
    let terms = Terms::of(&local.config);
    let method = |m: &Method| match m {
        Method::Windows(WindowsMethod::Ntlm) => AuthMethod::NTLM,
        Method::Windows(WindowsMethod::Kerberos) => AuthMethod::KERBEROS,
        Method::Windows(WindowsMethod::Negotiate) => AuthMethod::NEGOTIATE,
        Method::Certificate => AuthMethod::CERTIFICATE,
    };
    let algorithm = |a: &Algorithm| match a {
        Algorithm::Aes => AlgorithmCode::AES,
        Algorithm::Rc4 => AlgorithmCode::RC4,
    };
    Offer {
        methods: terms.methods.iter().map(method).collect(),
        level: match terms.level {
            EncryptionLevel::Disabled => LevelCode::DISABLED,
            EncryptionLevel::Supported => LevelCode::SUPPORTED,
            EncryptionLevel::Required => LevelCode::REQUIRED,
        },
        algorithms: terms.algorithms.iter().map(algorithm).collect(),
    }
}

/// A peer's terms. Unknown methods and algorithms match nothing; an unknown level says nothing to go by.
fn terms(offer: &Offer) -> Result<Terms, LoginError> {
    let method = |m: &AuthMethod| match *m {
        AuthMethod::NTLM => Some(Method::Windows(WindowsMethod::Ntlm)),
        AuthMethod::KERBEROS => Some(Method::Windows(WindowsMethod::Kerberos)),
        AuthMethod::NEGOTIATE => Some(Method::Windows(WindowsMethod::Negotiate)),
        AuthMethod::CERTIFICATE => Some(Method::Certificate),
        _ => None,
    };
    let algorithm = |a: &AlgorithmCode| match *a {
        AlgorithmCode::AES => Some(Algorithm::Aes),
        AlgorithmCode::RC4 => Some(Algorithm::Rc4),
        _ => None,
    };
    Ok(Terms {
        methods: offer.methods.iter().filter_map(method).collect(),
        level: match offer.level {
            LevelCode::DISABLED => EncryptionLevel::Disabled,
            LevelCode::SUPPORTED => EncryptionLevel::Supported,
            LevelCode::REQUIRED => EncryptionLevel::Required,
            LevelCode(_) => {
                return Err(LoginError::Decode(DecodeError::Malformed {
                    message: "login negotiate",
                    reason: "its encryption level is unknown",
                }));
            }
        },
        algorithms: offer.algorithms.iter().filter_map(algorithm).collect(),
    })
}

/// What a peer's offer names of one kind, in its order.
pub fn name_terms(what: Incompatible, offer: &Offer) -> String {
    let join = |names: Vec<String>| match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    };
    match what {
        Incompatible::Authentication => join(offer.methods.iter().map(ToString::to_string).collect()),
        Incompatible::Algorithm => join(offer.algorithms.iter().map(ToString::to_string).collect()),
        Incompatible::Level => match offer.level {
            LevelCode::DISABLED => EncryptionLevel::Disabled.desc().to_owned(),
            LevelCode::SUPPORTED => EncryptionLevel::Supported.desc().to_owned(),
            LevelCode::REQUIRED => EncryptionLevel::Required.desc().to_owned(),
            LevelCode(n) => format!("unknown level {n}"),
        },
    }
}

fn role(code: u8) -> Result<EndpointRole, LoginError> {
    match code {
        1 => Ok(EndpointRole::Partner),
        2 => Ok(EndpointRole::Witness),
        3 => Ok(EndpointRole::All),
        _ => Err(LoginError::Decode(DecodeError::Malformed {
            message: "arbitration request",
            reason: "its role is unknown",
        })),
    }
}
