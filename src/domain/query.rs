//! What a system asks its domain controller apart from Kerberos: whether an NTLM response is right, whether an account
//! exists, and to register a service principal name.
//!
//! Questions and answers are sealed under the system's computer account, so nobody on the way reads a session key or
//! makes one up, and a system whose computer account the controller does not accept gets no answer. Source: the
//! questions are documented (MS-NRPC NetrLogonSamLogon pass-through, MS-LSAT name lookup, MS-DRSR DsWriteAccountSpn);
//! messages and sealing are ours.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hmac::{Hmac, Mac};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use sha2::Sha256;

use super::account::{AccountName, NAME_CHARS_MAX, Sid, WindowsIdentity};
use super::failure::WindowsFailure;
use super::frame::CONTROLLER_MESSAGE_BYTES_MAX;
use super::logon::Credentials;
use crate::wire::DecodeError;
use crate::wire::codec::{Reader, put_bytes, put_string};

/// First byte of every sealed question and of its answer; a Kerberos message begins with 0x6a or above.
pub(super) const QUERY: u8 = 1;
/// Bytes of a name on the wire; a character takes at most four.
const NAME_BYTES_MAX: usize = 4 * NAME_CHARS_MAX;
const NONCE_BYTES: usize = 16;

/// An NTLM response to be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validation {
    pub account: AccountName,
    pub server_challenge: [u8; 8],
    /// Proof and blob.
    pub nt_response: Vec<u8>,
}

/// A question of a member system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    Validate(Validation),
    /// Whether the account exists, and its SID.
    Lookup(AccountName),
    /// Register the name to the account.
    RegisterSpn {
        spn: String,
        account: AccountName,
    },
}

/// What the controller says to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Validated {
        identity: WindowsIdentity,
        base_key: [u8; 16],
    },
    Found(WindowsIdentity),
    SpnRegistered,
}

/// Why the controller refuses. The account is the one the question names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    WrongPassword = 1,
    NoSuchAccount = 2,
    Disabled = 3,
    Locked = 4,
    NoTrust = 5,
    /// The account may not register names, or another has this one.
    SpnRefused = 6,
}

impl Refusal {
    const ALL: [Refusal; 6] = [
        Refusal::WrongPassword,
        Refusal::NoSuchAccount,
        Refusal::Disabled,
        Refusal::Locked,
        Refusal::NoTrust,
        Refusal::SpnRefused,
    ];
}

impl Query {
    fn account(&self) -> &AccountName {
        match self {
            Query::Validate(validation) => &validation.account,
            Query::Lookup(account) | Query::RegisterSpn { account, .. } => account,
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Query::Validate(validation) => {
                out.push(1);
                put_account(&mut out, &validation.account);
                out.extend(validation.server_challenge);
                put_bytes(&mut out, &validation.nt_response);
            }
            Query::Lookup(account) => {
                out.push(2);
                put_account(&mut out, account);
            }
            Query::RegisterSpn { spn, account } => {
                out.push(3);
                put_account(&mut out, account);
                put_string(&mut out, spn, NAME_BYTES_MAX);
            }
        }
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("controller question", bytes);
        let kind = reader.u8()?;
        let account = read_account(&mut reader)?;
        let query = match kind {
            1 => Query::Validate(Validation {
                account,
                server_challenge: reader.array()?,
                nt_response: reader.bytes(CONTROLLER_MESSAGE_BYTES_MAX)?.to_vec(),
            }),
            2 => Query::Lookup(account),
            3 => Query::RegisterSpn {
                spn: reader.string(NAME_BYTES_MAX)?,
                account,
            },
            _ => return Err(unknown("controller question")),
        };
        reader.finish()?;
        Ok(query)
    }
}

fn encode_answer(answer: &Result<Answer, Refusal>) -> Vec<u8> {
    let mut out = Vec::new();
    match answer {
        Ok(Answer::Validated { identity, base_key }) => {
            out.push(1);
            put_identity(&mut out, identity);
            out.extend(base_key);
        }
        Ok(Answer::Found(identity)) => {
            out.push(2);
            put_identity(&mut out, identity);
        }
        Ok(Answer::SpnRegistered) => out.push(3),
        Err(refusal) => out.extend([0, *refusal as u8]),
    }
    out
}

fn decode_answer(bytes: &[u8]) -> Result<Result<Answer, Refusal>, DecodeError> {
    let mut reader = Reader::new("controller answer", bytes);
    let answer = match reader.u8()? {
        0 => {
            let code = reader.u8()?;
            let refusal = Refusal::ALL.into_iter().find(|r| *r as u8 == code);
            Err(refusal.ok_or_else(|| unknown("controller answer"))?)
        }
        1 => Ok(Answer::Validated {
            identity: read_identity(&mut reader)?,
            base_key: reader.array()?,
        }),
        2 => Ok(Answer::Found(read_identity(&mut reader)?)),
        3 => Ok(Answer::SpnRegistered),
        _ => return Err(unknown("controller answer")),
    };
    reader.finish()?;
    Ok(answer)
}

fn unknown(message: &'static str) -> DecodeError {
    DecodeError::Malformed {
        message,
        reason: "its kind is unknown",
    }
}

fn put_account(out: &mut Vec<u8>, account: &AccountName) {
    put_string(out, account.domain(), NAME_BYTES_MAX);
    put_string(out, account.name(), NAME_BYTES_MAX);
}

fn read_account(reader: &mut Reader<'_>) -> Result<AccountName, DecodeError> {
    let domain = reader.string(NAME_BYTES_MAX)?;
    Ok(AccountName::new(domain, reader.string(NAME_BYTES_MAX)?))
}

fn put_identity(out: &mut Vec<u8>, identity: &WindowsIdentity) {
    put_account(out, &identity.account);
    out.extend(identity.sid.to_bytes());
}

fn read_identity(reader: &mut Reader<'_>) -> Result<WindowsIdentity, DecodeError> {
    let account = read_account(reader)?;
    let sid = Sid::from_bytes(&reader.array::<{ Sid::BYTES }>()?);
    let sid = sid.ok_or(DecodeError::Malformed {
        message: "controller answer",
        reason: "a SID is none of a domain account",
    })?;
    Ok(WindowsIdentity { account, sid })
}

/// The asking end of one question.
#[derive(Debug)]
pub struct Channel {
    computer: Credentials,
    nonce: [u8; NONCE_BYTES],
    query: Query,
}

impl Channel {
    /// The request to send to the controller of the computer's domain.
    pub fn ask(computer: &Credentials, rng: &mut ChaCha20Rng, query: &Query) -> (Self, Vec<u8>) {
        let mut nonce = [0; NONCE_BYTES];
        rng.fill_bytes(&mut nonce);
        let mut request = vec![QUERY];
        put_account(&mut request, &computer.account);
        request.extend(nonce);
        let sealed = seal(computer.secret.nt(), &nonce, Way::Question, &query.encode());
        request.extend(sealed);
        let channel = Channel {
            computer: computer.clone(),
            nonce,
            query: query.clone(),
        };
        (channel, request)
    }

    /// What the controller answered. Its refusals are failures that name the account asked about.
    pub fn read(&self, answer: &[u8]) -> Result<Answer, WindowsFailure> {
        let sealed = answer
            .strip_prefix(&[QUERY])
            .ok_or_else(|| WindowsFailure::NoSecureChannel(self.computer.account.clone()))?;
        let damaged = || WindowsFailure::BadAnswer("it is not sealed by the controller".to_owned());
        let opened = open(self.computer.secret.nt(), &self.nonce, Way::Answer, sealed).ok_or_else(damaged)?;
        let answer = decode_answer(&opened).map_err(|e| WindowsFailure::BadAnswer(e.to_string()))?;
        let account = self.query.account().clone();
        answer.map_err(|refusal| match refusal {
            Refusal::WrongPassword => WindowsFailure::WrongPassword(account),
            Refusal::NoSuchAccount => WindowsFailure::NoSuchAccount(account),
            Refusal::Disabled => WindowsFailure::AccountDisabled(account),
            Refusal::Locked => WindowsFailure::AccountLocked(account),
            Refusal::NoTrust => WindowsFailure::NoTrust(account),
            Refusal::SpnRefused => WindowsFailure::SpnRefused(account),
        })
    }
}

/// A question as the controller receives it, before it knows whether the asker is who it says.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub computer: AccountName,
    nonce: [u8; NONCE_BYTES],
    sealed: &'a [u8],
}

impl<'a> Asked<'a> {
    /// `request` without its first byte.
    pub fn decode(request: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("controller request", request);
        Ok(Asked {
            computer: read_account(&mut reader)?,
            nonce: reader.array()?,
            sealed: reader.remainder(),
        })
    }

    /// The question, if it was sealed with the computer account's present password.
    pub fn open(&self, nt_hash: &[u8; 16]) -> Option<Query> {
        let opened = open(nt_hash, &self.nonce, Way::Question, self.sealed)?;
        Query::decode(&opened).ok()
    }

    pub fn answer(&self, nt_hash: &[u8; 16], answer: &Result<Answer, Refusal>) -> Vec<u8> {
        let sealed = seal(nt_hash, &self.nonce, Way::Answer, &encode_answer(answer));
        [&[QUERY][..], &sealed].concat()
    }
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Question = 1,
    Answer = 2,
}

/// A cipher for one message: its key is never used for another, so its nonce may be fixed.
fn cipher(nt_hash: &[u8; 16], nonce: &[u8; NONCE_BYTES], way: Way) -> Aes256Gcm {
    let mut mac =
        <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(nt_hash).expect("a key of any length will do");
    mac.update(b"mirrorlab controller");
    mac.update(&[way as u8]);
    mac.update(nonce);
    let key: [u8; 32] = mac.finalize().into_bytes().into();
    Aes256Gcm::new(&key.into())
}

fn seal(nt_hash: &[u8; 16], nonce: &[u8; NONCE_BYTES], way: Way, message: &[u8]) -> Vec<u8> {
    let payload = Payload::from(message);
    cipher(nt_hash, nonce, way)
        .encrypt(&Nonce::default(), payload)
        .expect("a message of controller size is sealed")
}

fn open(nt_hash: &[u8; 16], nonce: &[u8; NONCE_BYTES], way: Way, sealed: &[u8]) -> Option<Vec<u8>> {
    cipher(nt_hash, nonce, way)
        .decrypt(&Nonce::default(), sealed)
        .ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_core::SeedableRng;

    use super::*;

    fn computer(password: &str) -> Credentials {
        Credentials::new(AccountName::computer("D", "beta"), "d.example", password)
    }

    #[test]
    fn questions_and_answers_read_back_and_only_for_who_knows_the_password() {
        let account = AccountName::new("D", "svc");
        let identity = WindowsIdentity {
            account: account.clone(),
            sid: Sid::new([1, 2, 3], 4),
        };
        let query = Query::Lookup(account.clone());
        let mut rng = ChaCha20Rng::from_seed([3; 32]);
        let (channel, request) = Channel::ask(&computer("x"), &mut rng, &query);
        let asked = Asked::decode(&request[1..]).expect("well formed");
        assert_eq!(asked.computer, computer("x").account);
        let (right, wrong) = (*computer("x").secret.nt(), *computer("y").secret.nt());
        assert_eq!(asked.open(&right), Some(query));
        assert_eq!(asked.open(&wrong), None);
        let found = asked.answer(&right, &Ok(Answer::Found(identity.clone())));
        assert_eq!(channel.read(&found), Ok(Answer::Found(identity)));
        let refused = asked.answer(&right, &Err(Refusal::Locked));
        assert_eq!(
            channel.read(&refused),
            Err(WindowsFailure::AccountLocked(account))
        );
        let forged = asked.answer(&wrong, &Err(Refusal::Locked));
        assert!(matches!(channel.read(&forged), Err(WindowsFailure::BadAnswer(_))));
        assert!(matches!(
            channel.read(&[]),
            Err(WindowsFailure::NoSecureChannel(_))
        ));
        assert!(
            matches!(channel.read(&request), Err(WindowsFailure::BadAnswer(_))),
            "reflected"
        );
    }

    proptest! {
        #[test]
        fn queries_read_back_as_written(spn in "[a-z]{1,10}", blob: Vec<u8>, challenge: [u8; 8]) {
            let account = AccountName::new("D", "svc");
            for query in [
                Query::RegisterSpn { spn, account: account.clone() },
                Query::Validate(Validation { account, server_challenge: challenge, nt_response: blob }),
            ] {
                prop_assert_eq!(Query::decode(&query.encode()).expect("well formed"), query);
            }
        }

        #[test]
        fn any_bytes_are_a_question_or_an_error(bytes: Vec<u8>) {
            let _ = Query::decode(&bytes);
            let _ = decode_answer(&bytes);
            let _ = Asked::decode(&bytes).map(|a| a.open(&[0; 16]));
        }
    }
}
