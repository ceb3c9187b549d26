//! NTLMv2: both sides of the three messages.
//!
//! The initiator answers the acceptor's challenge with what only its password can make; the acceptor, which does not
//! know the password, has its domain controller check the answer and give it the key. An integrity check over all three
//! messages is always sent and always required; older dialects are not spoken. The initiator learns nothing about the
//! acceptor but, by the login's confirmation, that it has the key. Source: documented, MS-NLMP.

pub(super) mod av;
pub(super) mod crypto;
pub(super) mod message;

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

use super::account::AccountName;
use super::exchange::{Done, Step};
use super::failure::{NoController, Package, WindowsFailure};
use super::logon::LogonSession;
use super::query::{Answer, Channel, Query, Validation};
use crate::types::WallTime;
use av::{Pairs, TargetInfo};
use crypto::Key;
use message::{Authenticate, Challenge, Negotiate, flags};

/// Bytes of the NTLMv2 response in front of its attribute pairs: proof and fixed part of the blob.
const RESPONSE_HEAD_BYTES: usize = 16 + 28;
/// Milliseconds from 1601 to 1970.
const EPOCH_MILLIS: i64 = 11_644_473_600_000;

/// 100 ns since 1601; before that, zero.
fn file_time(now: WallTime) -> u64 {
    let millis = now.unix_millis().saturating_add(EPOCH_MILLIS);
    u64::try_from(millis).unwrap_or(0).saturating_mul(10_000)
}

/// The side that proves who it is.
#[derive(Debug)]
pub(super) struct Initiator {
    session: LogonSession,
    spn: String,
    rng: ChaCha20Rng,
    /// Taken by the challenge.
    negotiate: Option<Vec<u8>>,
}

impl Initiator {
    pub fn start(session: LogonSession, spn: String, rng: ChaCha20Rng) -> (Self, Step) {
        let negotiate = Negotiate {
            flags: flags::OFFERED,
        }
        .encode();
        let initiator = Initiator {
            session,
            spn,
            rng,
            negotiate: Some(negotiate.clone()),
        };
        (initiator, Step::Token(negotiate))
    }

    pub fn token(&mut self, token: &[u8], now: WallTime) -> Result<Step, WindowsFailure> {
        let negotiate = self.negotiate.take().ok_or(WindowsFailure::Unexpected("token"))?;
        let challenge = Challenge::decode(token)?;
        if challenge.flags & flags::NEEDED != flags::NEEDED || challenge.flags & flags::TARGET_INFO == 0 {
            return Err(WindowsFailure::InvalidToken("it asks for a weaker dialect"));
        }
        let pairs = Pairs::decode(&challenge.target_info)?;
        let (mut client_challenge, mut exported): ([u8; 8], Key) = Default::default();
        self.rng.fill_bytes(&mut client_challenge);
        self.rng.fill_bytes(&mut exported);
        let time = pairs.time().unwrap_or_else(|| file_time(now));
        let blob = crypto::response_blob(time, &client_challenge, &av::respond(&pairs, &self.spn));
        let own = self.session.service();
        let (user, domain) = (own.account.name(), own.account.domain());
        let key = crypto::ntowf_v2(own.secret.nt(), user, domain);
        let proof = crypto::proof(&key, &challenge.server_challenge, &blob);
        let base_key = crypto::session_base_key(&key, &proof);
        let mut message = Authenticate {
            flags: challenge.flags & flags::OFFERED,
            lm_response: vec![0; 24],
            nt_response: [&proof[..], &blob].concat(),
            domain: domain.to_owned(),
            user: user.to_owned(),
            workstation: self.session.computer_name().to_owned(),
            encrypted_key: crypto::exchange_key(&base_key, &exported),
        }
        .encode();
        let check = crypto::message_integrity(&exported, [&negotiate, token, &message]);
        Authenticate::set_integrity(&mut message, &check);
        Ok(Step::Done(Done::new(
            Package::Ntlm,
            Some(message),
            &exported,
            None,
        )))
    }
}

/// The side that lets in.
#[derive(Debug)]
pub(super) struct Acceptor {
    session: LogonSession,
    rng: ChaCha20Rng,
    state: State,
}

#[derive(Debug)]
enum State {
    WaitNegotiate,
    WaitAuthenticate {
        negotiate: Vec<u8>,
        challenge: Vec<u8>,
        server_challenge: [u8; 8],
    },
    WaitController(Box<Asked>),
    Over,
}

/// What the controller's answer is compared with.
#[derive(Debug)]
struct Asked {
    channel: Channel,
    encrypted_key: Key,
    check: Key,
    /// All three, the last with an integrity check of zeros.
    messages: [Vec<u8>; 3],
}

impl Acceptor {
    pub fn new(session: LogonSession, rng: ChaCha20Rng) -> Self {
        Acceptor {
            session,
            rng,
            state: State::WaitNegotiate,
        }
    }

    pub fn token(&mut self, token: &[u8], now: WallTime) -> Result<Step, WindowsFailure> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::WaitNegotiate => self.on_negotiate(token, now),
            State::WaitAuthenticate {
                negotiate,
                challenge,
                server_challenge,
            } => self.on_authenticate(token, negotiate, challenge, server_challenge),
            State::WaitController(_) | State::Over => Err(WindowsFailure::Unexpected("token")),
        }
    }

    pub fn answered(&mut self, answer: Result<&[u8], NoController>) -> Result<Step, WindowsFailure> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::WaitController(asked) => asked.on_answer(answer?),
            _ => Err(WindowsFailure::Unexpected("answer")),
        }
    }

    fn on_negotiate(&mut self, token: &[u8], now: WallTime) -> Result<Step, WindowsFailure> {
        let negotiate = Negotiate::decode(token)?;
        if negotiate.flags & flags::NEEDED != flags::NEEDED {
            return Err(WindowsFailure::InvalidToken("it offers a weaker dialect"));
        }
        let mut server_challenge = [0; 8];
        self.rng.fill_bytes(&mut server_challenge);
        let computer = self.session.computer();
        let info = TargetInfo {
            computer: self.session.computer_name().to_owned(),
            domain: computer.account.domain().to_owned(),
            dns_computer: self.session.dns_name(),
            dns_domain: computer.dns_domain.clone(),
            time: file_time(now),
        };
        let accepted = negotiate.flags & flags::OFFERED | flags::TARGET_INFO | flags::TARGET_TYPE_DOMAIN;
        let challenge = Challenge {
            flags: accepted,
            server_challenge,
            target_name: info.domain.clone(),
            target_info: info.encode(),
        }
        .encode();
        self.state = State::WaitAuthenticate {
            negotiate: token.to_vec(),
            challenge: challenge.clone(),
            server_challenge,
        };
        Ok(Step::Token(challenge))
    }

    fn on_authenticate(
        &mut self,
        token: &[u8],
        negotiate: Vec<u8>,
        challenge: Vec<u8>,
        server_challenge: [u8; 8],
    ) -> Result<Step, WindowsFailure> {
        let (message, check) = Authenticate::decode(token)?;
        if message.user.is_empty() {
            return Err(WindowsFailure::InvalidToken("it names nobody"));
        }
        let pairs = message.nt_response.get(RESPONSE_HEAD_BYTES..);
        let pairs = pairs.ok_or(WindowsFailure::InvalidToken("its response is not of NTLMv2"))?;
        if !Pairs::decode(pairs)?.promises_integrity() {
            return Err(WindowsFailure::InvalidToken("it has no integrity check"));
        }
        let query = Query::Validate(Validation {
            account: AccountName::new(message.domain, message.user),
            server_challenge,
            nt_response: message.nt_response,
        });
        let (channel, request) = Channel::ask(self.session.computer(), &mut self.rng, &query);
        let mut unchecked = token.to_vec();
        Authenticate::set_integrity(&mut unchecked, &[0; 16]);
        self.state = State::WaitController(Box::new(Asked {
            channel,
            encrypted_key: message.encrypted_key,
            check,
            messages: [negotiate, challenge, unchecked],
        }));
        Ok(Step::AskController(request))
    }
}

impl Asked {
    fn on_answer(self, answer: &[u8]) -> Result<Step, WindowsFailure> {
        let Answer::Validated { identity, base_key } = self.channel.read(answer)? else {
            return Err(WindowsFailure::BadAnswer(
                "it answers another question".to_owned(),
            ));
        };
        let exported = crypto::exchange_key(&base_key, &self.encrypted_key);
        let [negotiate, challenge, authenticate] = &self.messages;
        let expected = crypto::message_integrity(&exported, [negotiate, challenge, authenticate]);
        if !crypto::is_equal(&expected, &self.check) {
            return Err(WindowsFailure::Altered);
        }
        Ok(Step::Done(Done::new(
            Package::Ntlm,
            None,
            &exported,
            Some(identity),
        )))
    }
}

/// The controller's part: whether the response was made with the account's password, and then the session base key.
///
/// `nt_response` is proof and blob as the initiator sent them.
pub(super) fn check_response(
    nt_hash: &Key,
    account: &AccountName,
    server_challenge: &[u8; 8],
    nt_response: &[u8],
) -> Option<Key> {
    let (proof, blob) = nt_response.split_first_chunk::<16>()?;
    let key = crypto::ntowf_v2(nt_hash, account.name(), account.domain());
    let expected = crypto::proof(&key, server_challenge, blob);
    crypto::is_equal(&expected, proof).then(|| crypto::session_base_key(&key, proof))
}
