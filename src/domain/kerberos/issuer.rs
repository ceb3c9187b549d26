//! The controller's part: who gets which ticket, and why not. Source: documented, RFC 4120 3.1 and 3.3.

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

use super::crypto::{self, Key, Usage};
use super::der::Der;
use super::message::{
    ApRequest, Authenticator, KrbError, Principal, Reply, ReplyPart, Request, RequestBody, Sealed, Ticket,
    TicketPart, code, decode_timestamp, padata, status, tag,
};
use super::{TICKET_LIFETIME, is_close, random, realm};
use crate::domain::account::AccountName;
use crate::domain::directory::{Account, Directory, SpnError};
use crate::types::WallTime;

/// First bytes of the two requests.
const AS_REQUEST: u8 = 0x60 | tag::AS_REQUEST;
const TGS_REQUEST: u8 = 0x60 | tag::TGS_REQUEST;

/// The answer of the controller of `domain` to a Kerberos request; empty if it is none.
pub fn answer(
    domain: &str,
    directory: &mut Directory,
    request: &[u8],
    now: WallTime,
    rng: &mut ChaCha20Rng,
) -> Vec<u8> {
    let kind = match request.first() {
        Some(&AS_REQUEST) => tag::AS_REQUEST,
        Some(&TGS_REQUEST) => tag::TGS_REQUEST,
        _ => return Vec::new(),
    };
    let Ok((request, body)) = Request::decode(request, kind) else {
        return Vec::new();
    };
    let Some(realm) = directory.dns_name(domain).map(realm) else {
        return Vec::new();
    };
    let mut issuer = Issuer {
        domain,
        realm,
        now: WallTime::from_unix_secs(now.unix_secs()),
        directory,
        rng,
    };
    let reply = match kind {
        tag::AS_REQUEST => issuer.first_ticket(&request, &body),
        _ => issuer.service_ticket(&request, &body),
    };
    match reply {
        Ok(reply) => reply.encode(),
        Err(refusal) => issuer.error(refusal, body.service).encode(),
    }
}

/// An error code and the NTSTATUS that says more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Refusal(i64, Option<u32>);

impl From<i64> for Refusal {
    fn from(code: i64) -> Self {
        Refusal(code, None)
    }
}

struct Issuer<'a> {
    domain: &'a str,
    realm: String,
    now: WallTime,
    directory: &'a mut Directory,
    rng: &'a mut ChaCha20Rng,
}

/// For whom a ticket is, and who can open it.
struct Grant<'a> {
    kind: u8,
    client_realm: String,
    client: Principal,
    service: Principal,
    service_key: Key,
    service_key_version: i64,
    /// Under which the client gets the session key.
    client_key: &'a Key,
    usage: Usage,
    reply_part: u8,
    nonce: i64,
    end: WallTime,
}

impl Issuer<'_> {
    /// The ticket-granting ticket for who knows the account's password.
    fn first_ticket(&mut self, request: &Request, body: &RequestBody) -> Result<Reply, Refusal> {
        let client = body.client.clone().ok_or(code::CLIENT_UNKNOWN)?;
        let domain = self.directory.netbios_name(&body.realm);
        let name = AccountName::new(domain.ok_or(code::CLIENT_UNKNOWN)?, client.text());
        self.check_account(&name)?;
        let account = self.directory.account(&name).ok_or(code::CLIENT_UNKNOWN)?.clone();
        let Some((padata::ENCRYPTED_TIMESTAMP, proof)) = &request.padata else {
            return Err(code::PREAUTH_REQUIRED.into());
        };
        let key = account.secret().aes256();
        let opened = Sealed::decode(Der::new(proof))
            .ok()
            .and_then(|sealed| crypto::open(key, Usage::Timestamp, &sealed.cipher));
        let Some(opened) = opened else {
            self.directory.note_wrong_password(&name);
            return Err(code::PREAUTH_FAILED.into());
        };
        let time = decode_timestamp(&opened).map_err(|_| code::PREAUTH_FAILED)?;
        if !is_close(time, self.now) {
            return Err(code::SKEW.into());
        }
        self.directory.note_right_password(&name);
        let ticket_key = *self.directory.ticket_key(self.domain).ok_or(code::GENERIC)?;
        let grant = Grant {
            kind: tag::AS_REPLY,
            client_realm: realm(&body.realm),
            client,
            service: Principal::ticket_granting(&self.realm),
            service_key: ticket_key,
            service_key_version: 1,
            client_key: key,
            usage: Usage::AsReply,
            reply_part: tag::AS_REPLY_PART,
            nonce: body.nonce,
            end: self.now + TICKET_LIFETIME,
        };
        Ok(self.grant(&account, grant))
    }

    /// A ticket for a service for who has a ticket-granting ticket.
    fn service_ticket(&mut self, request: &Request, body: &RequestBody) -> Result<Reply, Refusal> {
        let Some((padata::TGS_REQUEST, shown)) = &request.padata else {
            return Err(code::PREAUTH_REQUIRED.into());
        };
        let part = self.check_granting_ticket(shown, &request.body)?;
        self.check_account(&part.account)?;
        let account = self
            .directory
            .account(&part.account)
            .ok_or(code::CLIENT_UNKNOWN)?
            .clone();
        let spn = body.service.text();
        let service = self.directory.service(&spn).map_err(|e| match e {
            SpnError::Missing => code::SERVICE_UNKNOWN,
            SpnError::Duplicate => code::PRINCIPAL_NOT_UNIQUE,
        })?;
        let far = service.name().domain();
        if !self.directory.trusts(far, self.domain) {
            return Err(code::SERVICE_UNKNOWN.into());
        }
        if !self.directory.trusts(far, part.account.domain()) {
            return Err(code::POLICY.into());
        }
        let grant = Grant {
            kind: tag::TGS_REPLY,
            client_realm: part.realm,
            client: part.client,
            service: body.service.clone(),
            service_key: *service.secret().aes256(),
            service_key_version: i64::from(service.key_version()),
            client_key: &part.session_key,
            usage: Usage::TgsReply,
            reply_part: tag::TGS_REPLY_PART,
            nonce: body.nonce,
            end: part.end.min(self.now + TICKET_LIFETIME),
        };
        Ok(self.grant(&account, grant))
    }

    /// What is inside a ticket-granting ticket of this realm, shown by who has its session key.
    fn check_granting_ticket(&self, shown: &[u8], body: &[u8]) -> Result<TicketPart, Refusal> {
        let forged = |_| code::BAD_INTEGRITY;
        let shown = ApRequest::decode(shown).map_err(forged)?;
        let key = self.directory.ticket_key(self.domain).ok_or(code::GENERIC)?;
        let opened = crypto::open(key, Usage::Ticket, &shown.ticket.sealed.cipher);
        let part = TicketPart::decode(&opened.ok_or(code::BAD_INTEGRITY)?).map_err(forged)?;
        let usage = Usage::TgsRequestAuthenticator;
        let opened = crypto::open(&part.session_key, usage, &shown.authenticator.cipher);
        let authenticator = Authenticator::decode(&opened.ok_or(code::BAD_INTEGRITY)?).map_err(forged)?;
        let sum = crypto::checksum(&part.session_key, Usage::TgsRequestChecksum, body);
        let is_bound = authenticator.checksum.is_some_and(|c| crypto::is_equal(&c, &sum));
        if !is_bound || authenticator.client != part.client || authenticator.realm != part.realm {
            return Err(code::BAD_INTEGRITY.into());
        }
        if !is_close(authenticator.time, self.now) {
            return Err(code::SKEW.into());
        }
        if part.end <= self.now {
            return Err(code::TICKET_EXPIRED.into());
        }
        Ok(part)
    }

    /// The account is there, of a trusted domain, and may be used.
    fn check_account(&self, name: &AccountName) -> Result<(), Refusal> {
        if !self.directory.trusts(self.domain, name.domain()) {
            return Err(code::POLICY.into());
        }
        match self.directory.account(name) {
            None => Err(code::CLIENT_UNKNOWN.into()),
            Some(account) if account.is_locked() => {
                Err(Refusal(code::CLIENT_REVOKED, Some(status::ACCOUNT_LOCKED_OUT)))
            }
            Some(account) if account.is_disabled() => {
                Err(Refusal(code::CLIENT_REVOKED, Some(status::ACCOUNT_DISABLED)))
            }
            Some(_) => Ok(()),
        }
    }

    fn grant(&mut self, account: &Account, grant: Grant<'_>) -> Reply {
        let mut session_key = [0; 32];
        self.rng.fill_bytes(&mut session_key);
        let inside = TicketPart {
            session_key,
            realm: grant.client_realm.clone(),
            client: grant.client.clone(),
            start: self.now,
            end: grant.end,
            account: account.name().clone(),
            sid: account.sid(),
        };
        let ticket = crypto::seal(
            &grant.service_key,
            Usage::Ticket,
            random(self.rng),
            &inside.encode(),
        );
        let part = ReplyPart {
            session_key,
            nonce: grant.nonce,
            start: self.now,
            end: grant.end,
            realm: self.realm.clone(),
            service: grant.service.clone(),
        };
        let part = part.encode(grant.reply_part);
        let sealed = crypto::seal(grant.client_key, grant.usage, random(self.rng), &part);
        Reply {
            kind: grant.kind,
            realm: grant.client_realm,
            client: grant.client,
            ticket: Ticket {
                realm: self.realm.clone(),
                service: grant.service,
                sealed: Sealed {
                    key_version: Some(grant.service_key_version),
                    cipher: ticket,
                },
            },
            sealed: Sealed::new(sealed),
        }
    }

    fn error(&self, Refusal(code, status): Refusal, service: Principal) -> KrbError {
        KrbError {
            code,
            time: self.now,
            realm: self.realm.clone(),
            service,
            status,
        }
    }
}
