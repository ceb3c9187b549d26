//! The side that shows a ticket. Source: documented, RFC 4120 3.1 to 3.3.

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

use super::cache::{Held, Standing};
use super::crypto::{self, Key, Usage};
use super::message::{
    ApReply, ApRequest, Authenticator, KrbError, Principal, Reply, ReplyPart, Request, RequestBody, Sealed,
    code, encode_timestamp, padata, status, tag,
};
use super::{TICKET_LIFETIME, random, realm};
use crate::domain::exchange::{Done, Step};
use crate::domain::failure::{NoController, Package, WindowsFailure};
use crate::domain::logon::LogonSession;
use crate::types::WallTime;

#[derive(Debug)]
pub struct Initiator {
    session: LogonSession,
    spn: String,
    rng: ChaCha20Rng,
    /// A doubtful ticket, for the case that no other can be had.
    spare: Option<Held>,
    state: State,
}

#[derive(Debug)]
enum State {
    WaitGrantingTicket {
        nonce: i64,
    },
    WaitTicket {
        nonce: i64,
        granting: Held,
        is_cached: bool,
    },
    WaitReply(Shown),
    Over,
}

/// What the acceptor's proof has to match.
#[derive(Debug)]
struct Shown {
    held: Held,
    time: WallTime,
    micros: i64,
    subkey: Subkey,
}

struct Subkey(Key);

impl std::fmt::Debug for Subkey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subkey")
    }
}

impl Initiator {
    /// Shows a ticket at once if the session holds a good one; else asks the controller for what is missing.
    pub fn start(session: LogonSession, spn: String, rng: ChaCha20Rng, now: WallTime) -> (Self, Step) {
        let (held, granting) = {
            let cache = session.cache();
            (cache.service(&spn, now), cache.granting(now).cloned())
        };
        let mut initiator = Initiator {
            session,
            spn,
            rng,
            spare: None,
            state: State::Over,
        };
        let step = match (held, granting) {
            (Some((held, Standing::Good)), _) => initiator.show(held, now),
            (doubtful, granting) => {
                initiator.spare = doubtful.map(|(held, _)| held);
                match granting {
                    Some(granting) => initiator.ask_ticket(granting, true, now),
                    None => initiator.ask_granting_ticket(now),
                }
            }
        };
        (initiator, step)
    }

    pub fn answered(
        &mut self,
        answer: Result<&[u8], NoController>,
        now: WallTime,
    ) -> Result<Step, WindowsFailure> {
        let state = std::mem::replace(&mut self.state, State::Over);
        let answer = match (answer, &state) {
            (_, State::WaitReply(_) | State::Over) => return Err(WindowsFailure::Unexpected("answer")),
            (Ok(answer), _) => answer,
            (Err(none), _) => {
                let spare = self.spare.take().ok_or(none)?;
                return Ok(self.show(spare, now));
            }
        };
        match state {
            State::WaitGrantingTicket { nonce } => {
                let key = *self.session.service().secret.aes256();
                let kinds = (tag::AS_REPLY, tag::AS_REPLY_PART, Usage::AsReply);
                let granting = self
                    .read(answer, kinds, &key, nonce)
                    .map_err(|e| self.refused(e))?;
                self.session.cache().granting = Some(granting.clone());
                Ok(self.ask_ticket(granting, false, now))
            }
            State::WaitTicket {
                nonce,
                granting,
                is_cached,
            } => {
                let kinds = (tag::TGS_REPLY, tag::TGS_REPLY_PART, Usage::TgsReply);
                match self.read(answer, kinds, &granting.session_key, nonce) {
                    Ok(held) => Ok(self.show(held, now)),
                    Err(Unread::Error(error))
                        if is_cached && matches!(error.code, code::BAD_INTEGRITY | code::TICKET_EXPIRED) =>
                    {
                        Ok(self.ask_granting_ticket(now))
                    }
                    Err(unread) => Err(self.refused(unread)),
                }
            }
            State::WaitReply(_) | State::Over => Err(WindowsFailure::Unexpected("answer")),
        }
    }

    /// The acceptor's proof.
    pub fn token(&mut self, token: &[u8]) -> Result<Step, WindowsFailure> {
        let State::WaitReply(shown) = std::mem::replace(&mut self.state, State::Over) else {
            return Err(WindowsFailure::Unexpected("token"));
        };
        let sealed = ApReply::open_envelope(token).map_err(|e| WindowsFailure::InvalidToken(e.0))?;
        let wrong = || WindowsFailure::WrongAcceptor(self.spn.clone());
        let opened =
            crypto::open(&shown.held.session_key, Usage::ApReply, &sealed.cipher).ok_or_else(wrong)?;
        let reply = ApReply::decode(&opened).map_err(|e| WindowsFailure::InvalidToken(e.0))?;
        if (reply.time, reply.micros) != (shown.time, shown.micros) {
            return Err(wrong());
        }
        self.session.cache().confirm(&self.spn, &shown.held);
        let key = [reply.subkey, shown.subkey.0].concat();
        Ok(Step::Done(Done::new(Package::Kerberos, None, &key, None)))
    }

    fn realm(&self) -> String {
        realm(&self.session.service().dns_domain)
    }

    fn client(&self) -> Principal {
        Principal::user(self.session.service().account.name())
    }

    /// Thirty-one bits.
    fn nonce(&mut self) -> i64 {
        i64::from(self.rng.next_u32() >> 1)
    }

    fn ask_granting_ticket(&mut self, now: WallTime) -> Step {
        let nonce = self.nonce();
        let body = RequestBody {
            client: Some(self.client()),
            realm: self.realm(),
            service: Principal::ticket_granting(&self.realm()),
            till: now + TICKET_LIFETIME,
            nonce,
        };
        let key = *self.session.service().secret.aes256();
        let confounder = random(&mut self.rng);
        let proof = crypto::seal(&key, Usage::Timestamp, confounder, &encode_timestamp(now));
        let request = Request {
            kind: tag::AS_REQUEST,
            padata: Some((padata::ENCRYPTED_TIMESTAMP, Sealed::new(proof).encode())),
            body: body.encode(),
        };
        self.state = State::WaitGrantingTicket { nonce };
        Step::AskController(request.encode())
    }

    fn ask_ticket(&mut self, granting: Held, is_cached: bool, now: WallTime) -> Step {
        let nonce = self.nonce();
        let body = RequestBody {
            client: None,
            realm: granting.ticket.realm.clone(),
            service: Principal::service(&self.spn),
            till: now + TICKET_LIFETIME,
            nonce,
        }
        .encode();
        let sum = crypto::checksum(&granting.session_key, Usage::TgsRequestChecksum, &body);
        let authenticator = Authenticator {
            checksum: Some(sum.to_vec()),
            ..self.authenticator(now)
        };
        let usage = Usage::TgsRequestAuthenticator;
        let shown = self.request(&granting, usage, &authenticator, false);
        let request = Request {
            kind: tag::TGS_REQUEST,
            padata: Some((padata::TGS_REQUEST, shown)),
            body,
        };
        self.state = State::WaitTicket {
            nonce,
            granting,
            is_cached,
        };
        Step::AskController(request.encode())
    }

    /// Sends the ticket to the acceptor.
    fn show(&mut self, held: Held, now: WallTime) -> Step {
        self.session.cache().show(&self.spn, &held);
        let subkey: Key = random(&mut self.rng);
        let authenticator = Authenticator {
            subkey: Some(subkey),
            ..self.authenticator(now)
        };
        let token = self.request(&held, Usage::ApRequestAuthenticator, &authenticator, true);
        self.state = State::WaitReply(Shown {
            held,
            time: authenticator.time,
            micros: authenticator.micros,
            subkey: Subkey(subkey),
        });
        Step::Token(token)
    }

    fn authenticator(&mut self, now: WallTime) -> Authenticator {
        let millis = now.unix_millis().rem_euclid(1_000);
        Authenticator {
            realm: self.realm(),
            client: self.client(),
            checksum: None,
            time: WallTime::from_unix_secs(now.unix_secs()),
            micros: millis * 1_000 + i64::from(self.rng.next_u32() % 1_000),
            subkey: None,
        }
    }

    fn request(
        &mut self,
        held: &Held,
        usage: Usage,
        authenticator: &Authenticator,
        is_mutual: bool,
    ) -> Vec<u8> {
        let confounder = random(&mut self.rng);
        let sealed = crypto::seal(&held.session_key, usage, confounder, &authenticator.encode());
        let request = ApRequest {
            is_mutual,
            ticket: held.ticket.clone(),
            authenticator: Sealed::new(sealed),
        };
        request.encode()
    }

    /// The ticket of a reply and its session key.
    fn read(
        &self,
        answer: &[u8],
        (kind, part, usage): (u8, u8, Usage),
        key: &Key,
        nonce: i64,
    ) -> Result<Held, Unread> {
        if let Ok(error) = KrbError::decode(answer) {
            return Err(Unread::Error(error));
        }
        let reply = Reply::decode(answer, kind).map_err(|e| Unread::Foreign(e.0))?;
        let opened = crypto::open(key, usage, &reply.sealed.cipher);
        let opened = opened.ok_or(Unread::Foreign("it is sealed with another key"))?;
        let part = ReplyPart::decode(&opened, part).map_err(|e| Unread::Foreign(e.0))?;
        if part.nonce != nonce {
            return Err(Unread::Foreign("it answers another request"));
        }
        Ok(Held {
            ticket: reply.ticket,
            session_key: part.session_key,
            end: part.end,
        })
    }

    fn refused(&self, unread: Unread) -> WindowsFailure {
        let error = match unread {
            Unread::Foreign(reason) => return WindowsFailure::BadAnswer(reason.to_owned()),
            Unread::Error(error) => error,
        };
        let account = self.session.service().account.clone();
        let spn = self.spn.clone();
        match (error.code, error.status) {
            (code::CLIENT_UNKNOWN, _) => WindowsFailure::NoSuchAccount(account),
            (code::CLIENT_REVOKED, Some(status::ACCOUNT_LOCKED_OUT)) => {
                WindowsFailure::AccountLocked(account)
            }
            (code::CLIENT_REVOKED, _) => WindowsFailure::AccountDisabled(account),
            (code::PREAUTH_FAILED, _) => WindowsFailure::WrongPassword(account),
            (code::POLICY, _) => WindowsFailure::NoTrust(account),
            (code::SERVICE_UNKNOWN, _) => WindowsFailure::TargetUnknown(spn),
            (code::PRINCIPAL_NOT_UNIQUE, _) => WindowsFailure::DuplicateTarget(spn),
            (code::SKEW, _) => WindowsFailure::ClockSkew,
            (other, _) => WindowsFailure::BadAnswer(format!("Kerberos error {other}")),
        }
    }
}

/// Why there is no ticket in an answer.
#[derive(Debug)]
enum Unread {
    Error(KrbError),
    Foreign(&'static str),
}
