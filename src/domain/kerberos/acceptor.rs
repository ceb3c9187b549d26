//! The side that is shown a ticket. Source: documented, RFC 4120 3.2.3 and 3.2.4.

use rand_chacha::ChaCha20Rng;
use sha2::{Digest, Sha256};

use super::crypto::{self, Key, Usage};
use super::message::{ApReply, ApRequest, Authenticator, Sealed, TicketPart};
use super::{SKEW_MAX, is_close, random};
use crate::domain::account::WindowsIdentity;
use crate::domain::exchange::{Done, Step};
use crate::domain::failure::{Package, WindowsFailure};
use crate::domain::logon::LogonSession;
use crate::types::WallTime;

#[derive(Debug)]
pub struct Acceptor {
    session: LogonSession,
    rng: ChaCha20Rng,
    is_over: bool,
}

impl Acceptor {
    pub fn new(session: LogonSession, rng: ChaCha20Rng) -> Self {
        Acceptor {
            session,
            rng,
            is_over: false,
        }
    }

    /// The whole exchange: a ticket and its proof come in, the own proof goes out.
    pub fn token(&mut self, token: &[u8], now: WallTime) -> Result<Step, WindowsFailure> {
        if std::mem::replace(&mut self.is_over, true) {
            return Err(WindowsFailure::Unexpected("token"));
        }
        let malformed = |e: super::der::Malformed| WindowsFailure::InvalidToken(e.0);
        let request = ApRequest::decode(token).map_err(malformed)?;
        if !request.is_mutual {
            return Err(WindowsFailure::InvalidToken("it asks for no proof"));
        }
        let own = self.session.service();
        let opened = crypto::open(own.secret.aes256(), Usage::Ticket, &request.ticket.sealed.cipher);
        let opened = opened.ok_or_else(|| WindowsFailure::WrongServiceKey(own.account.clone()))?;
        let part = TicketPart::decode(&opened).map_err(malformed)?;
        let usage = Usage::ApRequestAuthenticator;
        let opened = crypto::open(&part.session_key, usage, &request.authenticator.cipher);
        let authenticator =
            Authenticator::decode(&opened.ok_or(WindowsFailure::Altered)?).map_err(malformed)?;
        check(&part, &authenticator, now)?;
        let no_subkey = WindowsFailure::InvalidToken("it brings no key");
        let subkey = authenticator.subkey.ok_or(no_subkey)?;
        let digest = Sha256::digest(&request.authenticator.cipher).into();
        if !self.session.cache().note(digest, authenticator.time, now) {
            return Err(WindowsFailure::Replay);
        }
        Ok(self.prove(part, &authenticator, &subkey))
    }

    fn prove(&mut self, part: TicketPart, authenticator: &Authenticator, subkey: &Key) -> Step {
        let own: Key = random(&mut self.rng);
        let proof = ApReply {
            time: authenticator.time,
            micros: authenticator.micros,
            subkey: own,
        };
        let confounder = random(&mut self.rng);
        let sealed = crypto::seal(&part.session_key, Usage::ApReply, confounder, &proof.encode());
        let token = ApReply::envelope(&Sealed::new(sealed));
        let peer = WindowsIdentity {
            account: part.account,
            sid: part.sid,
        };
        let key = [own, *subkey].concat();
        Step::Done(Done::new(Package::Kerberos, Some(token), &key, Some(peer)))
    }
}

/// The ticket's owner uses it, now, while it is valid.
fn check(part: &TicketPart, authenticator: &Authenticator, now: WallTime) -> Result<(), WindowsFailure> {
    if authenticator.client != part.client || authenticator.realm != part.realm {
        return Err(WindowsFailure::Altered);
    }
    if !is_close(authenticator.time, now) {
        return Err(WindowsFailure::ClockSkew);
    }
    if part.start > now + SKEW_MAX || part.end + SKEW_MAX < now {
        return Err(WindowsFailure::TicketExpired);
    }
    Ok(())
}
