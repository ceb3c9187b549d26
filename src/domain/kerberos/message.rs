//! The messages of Kerberos that are sent here, and the parts inside their seals.
//!
//! What holds a session key is not printable. Only the one encryption type is spoken; optional fields that nobody here reads are skipped. Source: documented, RFC
//! 4120 section 5, MS-KILE 2.2.2 (extended error).

use super::crypto::{CHECKSUM_TYPE, ETYPE, Key};
use super::der::{self, Der, Malformed};
use crate::domain::account::{AccountName, Sid};
use crate::types::WallTime;

type Read<T> = Result<T, Malformed>;

const VERSION: i64 = 5;
const CHECKSUM_BYTES_MAX: usize = 64;

/// Application tags, which are the message types too.
pub mod tag {
    pub const TICKET: u8 = 1;
    pub const AUTHENTICATOR: u8 = 2;
    pub const TICKET_PART: u8 = 3;
    pub const AS_REQUEST: u8 = 10;
    pub const AS_REPLY: u8 = 11;
    pub const TGS_REQUEST: u8 = 12;
    pub const TGS_REPLY: u8 = 13;
    pub const AP_REQUEST: u8 = 14;
    pub const AP_REPLY: u8 = 15;
    pub const AS_REPLY_PART: u8 = 25;
    pub const TGS_REPLY_PART: u8 = 26;
    pub const AP_REPLY_PART: u8 = 27;
    pub const ERROR: u8 = 30;
}

/// Types of pre-authentication data.
pub mod padata {
    pub const TGS_REQUEST: i64 = 1;
    pub const ENCRYPTED_TIMESTAMP: i64 = 2;
}

/// Error codes. Source: documented, RFC 4120 7.5.9.
pub mod code {
    pub const CLIENT_UNKNOWN: i64 = 6;
    pub const SERVICE_UNKNOWN: i64 = 7;
    pub const PRINCIPAL_NOT_UNIQUE: i64 = 8;
    pub const POLICY: i64 = 12;
    pub const CLIENT_REVOKED: i64 = 18;
    pub const PREAUTH_FAILED: i64 = 24;
    pub const PREAUTH_REQUIRED: i64 = 25;
    pub const BAD_INTEGRITY: i64 = 31;
    pub const TICKET_EXPIRED: i64 = 32;
    pub const SKEW: i64 = 37;
    pub const GENERIC: i64 = 60;
}

/// NTSTATUS values that tell apart why a client is revoked. Source: documented, MS-ERREF.
pub mod status {
    pub const ACCOUNT_DISABLED: u32 = 0xc000_0072;
    pub const ACCOUNT_LOCKED_OUT: u32 = 0xc000_0234;
}

/// Who is meant: a user by one part, a service by several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub kind: i64,
    pub parts: Vec<String>,
}

impl Principal {
    pub fn user(name: &str) -> Self {
        Principal {
            kind: 1,
            parts: vec![name.to_owned()],
        }
    }

    /// A service by its principal name, `class/host:port`.
    pub fn service(spn: &str) -> Self {
        Principal {
            kind: 2,
            parts: spn.split('/').map(str::to_owned).collect(),
        }
    }

    /// The ticket-granting service of a realm.
    pub fn ticket_granting(realm: &str) -> Self {
        Principal::service(&format!("krbtgt/{realm}"))
    }

    /// The parts with slashes between.
    pub fn text(&self) -> String {
        self.parts.join("/")
    }

    fn encode(&self) -> Vec<u8> {
        let parts: Vec<Vec<u8>> = self.parts.iter().map(|p| der::string(p)).collect();
        der::sequence(&[
            der::field(0, der::integer(self.kind)),
            der::field(1, der::sequence(&parts)),
        ])
    }

    fn decode(mut der: Der<'_>) -> Read<Self> {
        let mut inner = der.sequence()?;
        let kind = inner.field(0)?.integer()?;
        let mut list = inner.field(1)?.sequence()?;
        let mut parts = Vec::new();
        while !list.is_empty() {
            parts.push(list.string()?);
        }
        Ok(Principal { kind, parts })
    }
}

/// Sealed bytes (EncryptedData), and which of the account's passwords made the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    pub key_version: Option<i64>,
    pub cipher: Vec<u8>,
}

impl Sealed {
    pub fn new(cipher: Vec<u8>) -> Self {
        Sealed {
            key_version: None,
            cipher,
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        der::sequence(&[
            der::field(0, der::integer(ETYPE)),
            der::optional(1, self.key_version.map(der::integer)),
            der::field(2, der::octets(&self.cipher)),
        ])
    }

    pub fn decode(mut der: Der<'_>) -> Read<Self> {
        let mut inner = der.sequence()?;
        if inner.field(0)?.integer()? != ETYPE {
            return Err(Malformed("its encryption is another"));
        }
        let key_version = inner.optional(1)?.map(|mut v| v.integer()).transpose()?;
        Ok(Sealed {
            key_version,
            cipher: inner.field(2)?.octets()?.to_vec(),
        })
    }
}

fn encode_key(key: &Key) -> Vec<u8> {
    der::sequence(&[
        der::field(0, der::integer(ETYPE)),
        der::field(1, der::octets(key)),
    ])
}

fn decode_key(mut der: Der<'_>) -> Read<Key> {
    let mut inner = der.sequence()?;
    if inner.field(0)?.integer()? != ETYPE {
        return Err(Malformed("a key is of another type"));
    }
    let key = inner.field(1)?.octets()?;
    key.try_into().map_err(|_| Malformed("a key has another length"))
}

fn encode_version(number: u8) -> Vec<u8> {
    der::field(number, der::integer(VERSION))
}

fn expect(der: &mut Der<'_>, number: u8, value: i64) -> Read<()> {
    match der.field(number)?.integer()? {
        found if found == value => Ok(()),
        _ => Err(Malformed("its version or type is another")),
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    pub realm: String,
    pub service: Principal,
    pub sealed: Sealed,
}

impl Ticket {
    pub fn encode(&self) -> Vec<u8> {
        let inner = der::sequence(&[
            encode_version(0),
            der::field(1, der::string(&self.realm)),
            der::field(2, self.service.encode()),
            der::field(3, self.sealed.encode()),
        ]);
        der::application(tag::TICKET, inner)
    }

    fn decode(der: Der<'_>) -> Read<Self> {
        let mut inner = Der::application(der.rest(), tag::TICKET)?.sequence()?;
        expect(&mut inner, 0, VERSION)?;
        Ok(Ticket {
            realm: inner.field(1)?.string()?,
            service: Principal::decode(inner.field(2)?)?,
            sealed: Sealed::decode(inner.field(3)?)?,
        })
    }
}

/// What is inside a ticket's seal: for the service alone.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketPart {
    pub session_key: Key,
    pub realm: String,
    pub client: Principal,
    pub start: WallTime,
    pub end: WallTime,
    /// The account as Windows knows it.
    pub account: AccountName,
    pub sid: Sid,
}

/// Initial, pre-authenticated. Nobody here decides anything by the flags.
const TICKET_FLAGS: u32 = 0x0060_0000;
/// Authorization data for local use (RFC 4120 5.2.6: negative types): domain, account and SID. Windows sends a PAC here.
const ACCOUNT_DATA: i64 = -1;

impl TicketPart {
    pub fn encode(&self) -> Vec<u8> {
        let account = der::sequence(&[
            der::field(0, der::string(self.account.domain())),
            der::field(1, der::string(self.account.name())),
            der::field(2, der::octets(&self.sid.to_bytes())),
        ]);
        let data = der::sequence(&[
            der::field(0, der::integer(ACCOUNT_DATA)),
            der::field(1, der::octets(&account)),
        ]);
        let transited = der::sequence(&[der::field(0, der::integer(1)), der::field(1, der::octets(&[]))]);
        let inner = der::sequence(&[
            der::field(0, der::flags(TICKET_FLAGS)),
            der::field(1, encode_key(&self.session_key)),
            der::field(2, der::string(&self.realm)),
            der::field(3, self.client.encode()),
            der::field(4, transited),
            der::field(5, der::time(self.start)),
            der::field(6, der::time(self.start)),
            der::field(7, der::time(self.end)),
            der::field(10, der::sequence(&[data])),
        ]);
        der::application(tag::TICKET_PART, inner)
    }

    pub fn decode(bytes: &[u8]) -> Read<Self> {
        let mut inner = Der::application(bytes, tag::TICKET_PART)?.sequence()?;
        inner.field(0)?;
        let session_key = decode_key(inner.field(1)?)?;
        let realm = inner.field(2)?.string()?;
        let client = Principal::decode(inner.field(3)?)?;
        inner.field(4)?;
        inner.field(5)?;
        let start = inner.field(6)?.time()?;
        let end = inner.field(7)?.time()?;
        let mut data = inner.field(10)?.sequence()?.sequence()?;
        if data.field(0)?.integer()? != ACCOUNT_DATA {
            return Err(Malformed("its account is not said"));
        }
        let mut account = Der::new(data.field(1)?.octets()?).sequence()?;
        let domain = account.field(0)?.string()?;
        let name = account.field(1)?.string()?;
        let sid = Sid::from_bytes(account.field(2)?.octets()?);
        Ok(TicketPart {
            session_key,
            realm,
            client,
            start,
            end,
            account: AccountName::new(domain, name),
            sid: sid.ok_or(Malformed("its SID is none of an account"))?,
        })
    }
}

/// The body of a request to the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestBody {
    /// Who asks; in an AS request only.
    pub client: Option<Principal>,
    pub realm: String,
    pub service: Principal,
    pub till: WallTime,
    pub nonce: i64,
}

impl RequestBody {
    pub fn encode(&self) -> Vec<u8> {
        der::sequence(&[
            der::field(0, der::flags(0)),
            der::optional(1, self.client.as_ref().map(Principal::encode)),
            der::field(2, der::string(&self.realm)),
            der::field(3, self.service.encode()),
            der::field(5, der::time(self.till)),
            der::field(7, der::integer(self.nonce)),
            der::field(8, der::sequence(&[der::integer(ETYPE)])),
        ])
    }

    fn decode(mut der: Der<'_>) -> Read<Self> {
        let mut inner = der.sequence()?;
        inner.field(0)?;
        let client = inner.optional(1)?.map(Principal::decode).transpose()?;
        let realm = inner.field(2)?.string()?;
        let service = Principal::decode(inner.field(3)?)?;
        inner.optional(4)?;
        let till = inner.field(5)?.time()?;
        inner.optional(6)?;
        Ok(RequestBody {
            client,
            realm,
            service,
            till,
            nonce: inner.field(7)?.integer()?,
        })
    }
}

/// A request to the controller: [`tag::AS_REQUEST`] or [`tag::TGS_REQUEST`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub kind: u8,
    /// Type and value of the one piece of pre-authentication data, if any.
    pub padata: Option<(i64, Vec<u8>)>,
    /// As encoded: the checksum of a TGS request is over these bytes.
    pub body: Vec<u8>,
}

impl Request {
    pub fn encode(&self) -> Vec<u8> {
        let padata = self.padata.as_ref().map(|(kind, value)| {
            let one = der::sequence(&[
                der::field(1, der::integer(*kind)),
                der::field(2, der::octets(value)),
            ]);
            der::sequence(&[one])
        });
        let inner = der::sequence(&[
            encode_version(1),
            der::field(2, der::integer(i64::from(self.kind))),
            der::optional(3, padata),
            der::field(4, self.body.clone()),
        ]);
        der::application(self.kind, inner)
    }

    /// The request and its body. Of several pieces of pre-authentication data the first counts.
    pub fn decode(bytes: &[u8], kind: u8) -> Read<(Self, RequestBody)> {
        let mut inner = Der::application(bytes, kind)?.sequence()?;
        expect(&mut inner, 1, VERSION)?;
        expect(&mut inner, 2, i64::from(kind))?;
        let padata = match inner.optional(3)? {
            None => None,
            Some(mut list) => {
                let mut one = list.sequence()?.sequence()?;
                Some((one.field(1)?.integer()?, one.field(2)?.octets()?.to_vec()))
            }
        };
        let body = inner.field(4)?;
        let request = Request {
            kind,
            padata,
            body: body.rest().to_vec(),
        };
        Ok((request, RequestBody::decode(body)?))
    }
}

/// The controller's answer: [`tag::AS_REPLY`] or [`tag::TGS_REPLY`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub kind: u8,
    pub realm: String,
    pub client: Principal,
    pub ticket: Ticket,
    pub sealed: Sealed,
}

impl Reply {
    pub fn encode(&self) -> Vec<u8> {
        let inner = der::sequence(&[
            encode_version(0),
            der::field(1, der::integer(i64::from(self.kind))),
            der::field(3, der::string(&self.realm)),
            der::field(4, self.client.encode()),
            der::field(5, self.ticket.encode()),
            der::field(6, self.sealed.encode()),
        ]);
        der::application(self.kind, inner)
    }

    pub fn decode(bytes: &[u8], kind: u8) -> Read<Self> {
        let mut inner = Der::application(bytes, kind)?.sequence()?;
        expect(&mut inner, 0, VERSION)?;
        expect(&mut inner, 1, i64::from(kind))?;
        inner.optional(2)?;
        Ok(Reply {
            kind,
            realm: inner.field(3)?.string()?,
            client: Principal::decode(inner.field(4)?)?,
            ticket: Ticket::decode(inner.field(5)?)?,
            sealed: Sealed::decode(inner.field(6)?)?,
        })
    }
}

/// What is inside a reply's seal: for the client alone.
#[derive(Clone, PartialEq, Eq)]
pub struct ReplyPart {
    pub session_key: Key,
    pub nonce: i64,
    pub start: WallTime,
    pub end: WallTime,
    pub realm: String,
    pub service: Principal,
}

impl ReplyPart {
    pub fn encode(&self, kind: u8) -> Vec<u8> {
        let last = der::sequence(&[
            der::field(0, der::integer(0)),
            der::field(1, der::time(self.start)),
        ]);
        let inner = der::sequence(&[
            der::field(0, encode_key(&self.session_key)),
            der::field(1, der::sequence(&[last])),
            der::field(2, der::integer(self.nonce)),
            der::field(4, der::flags(TICKET_FLAGS)),
            der::field(5, der::time(self.start)),
            der::field(6, der::time(self.start)),
            der::field(7, der::time(self.end)),
            der::field(9, der::string(&self.realm)),
            der::field(10, self.service.encode()),
        ]);
        der::application(kind, inner)
    }

    pub fn decode(bytes: &[u8], kind: u8) -> Read<Self> {
        let mut inner = Der::application(bytes, kind)?.sequence()?;
        let session_key = decode_key(inner.field(0)?)?;
        inner.field(1)?;
        let nonce = inner.field(2)?.integer()?;
        inner.optional(3)?;
        inner.field(4)?;
        inner.field(5)?;
        let start = inner.field(6)?.time()?;
        let end = inner.field(7)?.time()?;
        inner.optional(8)?;
        Ok(ReplyPart {
            session_key,
            nonce,
            start,
            end,
            realm: inner.field(9)?.string()?,
            service: Principal::decode(inner.field(10)?)?,
        })
    }
}

/// Why the controller gives no ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KrbError {
    pub code: i64,
    pub time: WallTime,
    pub realm: String,
    pub service: Principal,
    /// An NTSTATUS that says more.
    pub status: Option<u32>,
}

/// KERB_ERR_TYPE_EXTENDED. Source: documented, MS-KILE 2.2.2.
const EXTENDED_ERROR: i64 = 3;

impl KrbError {
    pub fn encode(&self) -> Vec<u8> {
        let data = self.status.map(|status| {
            let value = [status.to_le_bytes(), [0; 4], 1u32.to_le_bytes()].concat();
            der::octets(&der::sequence(&[
                der::field(1, der::integer(EXTENDED_ERROR)),
                der::field(2, der::octets(&value)),
            ]))
        });
        let inner = der::sequence(&[
            encode_version(0),
            der::field(1, der::integer(i64::from(tag::ERROR))),
            der::field(4, der::time(self.time)),
            der::field(5, der::integer(0)),
            der::field(6, der::integer(self.code)),
            der::field(9, der::string(&self.realm)),
            der::field(10, self.service.encode()),
            der::optional(12, data),
        ]);
        der::application(tag::ERROR, inner)
    }

    pub fn decode(bytes: &[u8]) -> Read<Self> {
        let mut inner = Der::application(bytes, tag::ERROR)?.sequence()?;
        expect(&mut inner, 0, VERSION)?;
        expect(&mut inner, 1, i64::from(tag::ERROR))?;
        inner.optional(2)?;
        inner.optional(3)?;
        let time = inner.field(4)?.time()?;
        inner.field(5)?;
        let code = inner.field(6)?.integer()?;
        inner.optional(7)?;
        inner.optional(8)?;
        let realm = inner.field(9)?.string()?;
        let service = Principal::decode(inner.field(10)?)?;
        inner.optional(11)?;
        let status = inner.optional(12)?.map(read_status).transpose()?.flatten();
        Ok(KrbError {
            code,
            time,
            realm,
            service,
            status,
        })
    }
}

fn read_status(mut data: Der<'_>) -> Read<Option<u32>> {
    let mut inner = Der::new(data.octets()?).sequence()?;
    let kind = inner.field(1)?.integer()?;
    let value = inner.field(2)?.octets()?;
    let status = value.first_chunk().map(|b| u32::from_le_bytes(*b));
    Ok(status.filter(|_| kind == EXTENDED_ERROR))
}

/// A ticket and the proof that its holder knows the session key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApRequest {
    /// The acceptor has to prove itself too.
    pub is_mutual: bool,
    pub ticket: Ticket,
    pub authenticator: Sealed,
}

const MUTUAL: u32 = 0x2000_0000;

impl ApRequest {
    pub fn encode(&self) -> Vec<u8> {
        let options = if self.is_mutual { MUTUAL } else { 0 };
        let inner = der::sequence(&[
            encode_version(0),
            der::field(1, der::integer(i64::from(tag::AP_REQUEST))),
            der::field(2, der::flags(options)),
            der::field(3, self.ticket.encode()),
            der::field(4, self.authenticator.encode()),
        ]);
        der::application(tag::AP_REQUEST, inner)
    }

    pub fn decode(bytes: &[u8]) -> Read<Self> {
        let mut inner = Der::application(bytes, tag::AP_REQUEST)?.sequence()?;
        expect(&mut inner, 0, VERSION)?;
        expect(&mut inner, 1, i64::from(tag::AP_REQUEST))?;
        Ok(ApRequest {
            is_mutual: inner.field(2)?.flags()? & MUTUAL != 0,
            ticket: Ticket::decode(inner.field(3)?)?,
            authenticator: Sealed::decode(inner.field(4)?)?,
        })
    }
}

/// Who uses a ticket, and when.
#[derive(Clone, PartialEq, Eq)]
pub struct Authenticator {
    pub realm: String,
    pub client: Principal,
    /// Over the body of a TGS request.
    pub checksum: Option<Vec<u8>>,
    pub time: WallTime,
    pub micros: i64,
    pub subkey: Option<Key>,
}

impl Authenticator {
    pub fn encode(&self) -> Vec<u8> {
        let checksum = self.checksum.as_ref().map(|sum| {
            der::sequence(&[
                der::field(0, der::integer(CHECKSUM_TYPE)),
                der::field(1, der::octets(sum)),
            ])
        });
        let inner = der::sequence(&[
            encode_version(0),
            der::field(1, der::string(&self.realm)),
            der::field(2, self.client.encode()),
            der::optional(3, checksum),
            der::field(4, der::integer(self.micros)),
            der::field(5, der::time(self.time)),
            der::optional(6, self.subkey.as_ref().map(encode_key)),
        ]);
        der::application(tag::AUTHENTICATOR, inner)
    }

    pub fn decode(bytes: &[u8]) -> Read<Self> {
        let mut inner = Der::application(bytes, tag::AUTHENTICATOR)?.sequence()?;
        expect(&mut inner, 0, VERSION)?;
        Ok(Authenticator {
            realm: inner.field(1)?.string()?,
            client: Principal::decode(inner.field(2)?)?,
            checksum: inner.optional(3)?.map(read_checksum).transpose()?,
            micros: inner.field(4)?.integer()?,
            time: inner.field(5)?.time()?,
            subkey: inner.optional(6)?.map(decode_key).transpose()?,
        })
    }
}

fn read_checksum(mut der: Der<'_>) -> Read<Vec<u8>> {
    let mut inner = der.sequence()?;
    if inner.field(0)?.integer()? != CHECKSUM_TYPE {
        return Err(Malformed("a checksum is of another type"));
    }
    match inner.field(1)?.octets()? {
        sum if sum.len() <= CHECKSUM_BYTES_MAX => Ok(sum.to_vec()),
        _ => Err(Malformed("a checksum is too long")),
    }
}

/// The acceptor's proof: what only the holder of the session key could read, sealed again.
#[derive(Clone, PartialEq, Eq)]
pub struct ApReply {
    pub time: WallTime,
    pub micros: i64,
    pub subkey: Key,
}

impl ApReply {
    pub fn encode(&self) -> Vec<u8> {
        let inner = der::sequence(&[
            der::field(0, der::time(self.time)),
            der::field(1, der::integer(self.micros)),
            der::field(2, encode_key(&self.subkey)),
        ]);
        der::application(tag::AP_REPLY_PART, inner)
    }

    pub fn decode(bytes: &[u8]) -> Read<Self> {
        let mut inner = Der::application(bytes, tag::AP_REPLY_PART)?.sequence()?;
        Ok(ApReply {
            time: inner.field(0)?.time()?,
            micros: inner.field(1)?.integer()?,
            subkey: decode_key(inner.field(2)?)?,
        })
    }

    /// The message around the sealed proof.
    pub fn envelope(sealed: &Sealed) -> Vec<u8> {
        let inner = der::sequence(&[
            encode_version(0),
            der::field(1, der::integer(i64::from(tag::AP_REPLY))),
            der::field(2, sealed.encode()),
        ]);
        der::application(tag::AP_REPLY, inner)
    }

    pub fn open_envelope(bytes: &[u8]) -> Read<Sealed> {
        let mut inner = Der::application(bytes, tag::AP_REPLY)?.sequence()?;
        expect(&mut inner, 0, VERSION)?;
        expect(&mut inner, 1, i64::from(tag::AP_REPLY))?;
        Sealed::decode(inner.field(2)?)
    }
}

/// The clock of the client, sealed with its password's key (PA-ENC-TS-ENC).
pub fn encode_timestamp(time: WallTime) -> Vec<u8> {
    der::sequence(&[der::field(0, der::time(time))])
}

pub fn decode_timestamp(bytes: &[u8]) -> Read<WallTime> {
    Der::new(bytes).sequence()?.field(0)?.time()
}
