//! The messages of a login, from the first offer to the end of arbitration.
//!
//! Codes from the wire stay numbers with names, so that an unknown one can be named in the refusal. What follows from
//! a message is `endpoint::login`'s business. Source: ours; the codes are those of the catalog views.

use std::fmt;

use crate::types::{Guid, ServerAddress};

use super::codec::{Reader, put_bytes, put_string};
use super::frame::{ARBITRATION_REQUEST, ARBITRATION_RESPONSE, DecodeError, FrameType};

/// Longest list of methods or algorithms in an offer.
pub const LIST_MAX: usize = 8;
/// Longest security-context token.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;
/// Longest server name or address, in bytes.
pub const NAME_BYTES_MAX: usize = 300;

/// An authentication method, numbered as `connection_auth` numbers the single methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthMethod(pub u8);

impl AuthMethod {
    pub const NTLM: AuthMethod = AuthMethod(1);
    pub const KERBEROS: AuthMethod = AuthMethod(2);
    pub const NEGOTIATE: AuthMethod = AuthMethod(3);
    pub const CERTIFICATE: AuthMethod = AuthMethod(4);
}

impl fmt::Display for AuthMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            AuthMethod::NTLM => f.write_str("NTLM"),
            AuthMethod::KERBEROS => f.write_str("KERBEROS"),
            AuthMethod::NEGOTIATE => f.write_str("NEGOTIATE"),
            AuthMethod::CERTIFICATE => f.write_str("CERTIFICATE"),
            AuthMethod(n) => write!(f, "unknown method {n}"),
        }
    }
}

/// An encryption algorithm, numbered as `encryption_algorithm` numbers the single ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlgorithmCode(pub u8);

impl AlgorithmCode {
    pub const RC4: AlgorithmCode = AlgorithmCode(1);
    pub const AES: AlgorithmCode = AlgorithmCode(2);
}

impl fmt::Display for AlgorithmCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            AlgorithmCode::RC4 => f.write_str("RC4"),
            AlgorithmCode::AES => f.write_str("AES"),
            AlgorithmCode(n) => write!(f, "unknown algorithm {n}"),
        }
    }
}

/// An encryption level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelCode(pub u8);

impl LevelCode {
    pub const DISABLED: LevelCode = LevelCode(0);
    pub const SUPPORTED: LevelCode = LevelCode(1);
    pub const REQUIRED: LevelCode = LevelCode(2);
}

/// What one endpoint is configured to do, in its order of preference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub methods: Vec<AuthMethod>,
    pub level: LevelCode,
    pub algorithms: Vec<AlgorithmCode>,
}

/// Who an instance is to its peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arbitration {
    pub arbitration_id: Guid,
    pub server_name: String,
    /// ROLE, numbered as the catalog view numbers it.
    pub role: u8,
    /// The product's year: sessions want the same on all their instances.
    pub version: u16,
    pub address: Option<ServerAddress>,
}

/// The status of a security context that was accepted.
pub const CONFIRMED: u32 = 0;

/// A proof that the sender holds the session key of exactly this login.
pub type Confirmation = [u8; 32];

/// One message of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginMessage {
    /// The initiator's configuration.
    Offer(Offer),
    /// The acceptor's; both sides now compute the same agreement.
    Answer(Offer),
    /// One leg of the agreed mechanism's exchange.
    Token(Vec<u8>),
    /// The current method cannot be carried out here; go on with the next of the agreement.
    Reject,
    /// The acceptor has accepted the initiator's security context, if the status is [`CONFIRMED`].
    Confirm(u32),
    /// The initiator's confirmation.
    Validation(Confirmation),
    /// The acceptor lets the initiator in, and confirms.
    Accepted(Confirmation),
    ArbitrationRequest(Arbitration),
    /// This side will use the connection.
    ArbitrationResponse,
}

impl LoginMessage {
    pub const fn kind(&self) -> FrameType {
        match self {
            LoginMessage::Offer(_) => FrameType::NEGOTIATE_OFFER,
            LoginMessage::Answer(_) => FrameType::NEGOTIATE_ANSWER,
            LoginMessage::Token(_) => FrameType::TOKEN,
            LoginMessage::Reject => FrameType::REJECT,
            LoginMessage::Confirm(_) => FrameType::CONFIRM,
            LoginMessage::Validation(_) => FrameType::VALIDATION,
            LoginMessage::Accepted(_) => FrameType::ACCEPTED,
            LoginMessage::ArbitrationRequest(_) => FrameType::ARBITRATION_REQUEST,
            LoginMessage::ArbitrationResponse => FrameType::ARBITRATION_RESPONSE,
        }
    }

    pub fn payload(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            LoginMessage::Offer(offer) | LoginMessage::Answer(offer) => put_offer(&mut out, offer),
            LoginMessage::Token(token) => put_bytes(&mut out, token),
            LoginMessage::Confirm(status) => out.extend_from_slice(&status.to_be_bytes()),
            LoginMessage::Validation(confirmation) | LoginMessage::Accepted(confirmation) => {
                out.extend_from_slice(confirmation);
            }
            LoginMessage::ArbitrationRequest(arbitration) => put_arbitration(&mut out, arbitration),
            LoginMessage::Reject | LoginMessage::ArbitrationResponse => {}
        }
        out
    }

    /// Fails on a type that belongs to no login and on a payload that is not exactly one message.
    pub fn decode(kind: FrameType, payload: &[u8]) -> Result<LoginMessage, DecodeError> {
        let reader = |what| Reader::new(what, payload);
        let (message, rest) = match kind {
            FrameType::NEGOTIATE_OFFER => {
                let mut r = reader("login negotiate");
                (LoginMessage::Offer(read_offer(&mut r)?), r)
            }
            FrameType::NEGOTIATE_ANSWER => {
                let mut r = reader("login negotiate answer");
                (LoginMessage::Answer(read_offer(&mut r)?), r)
            }
            FrameType::TOKEN => {
                let mut r = reader("security context");
                (LoginMessage::Token(r.bytes(TOKEN_BYTES_MAX)?.to_vec()), r)
            }
            FrameType::REJECT => (LoginMessage::Reject, reader("reject")),
            FrameType::CONFIRM => {
                let mut r = reader("confirm");
                (LoginMessage::Confirm(r.u32()?), r)
            }
            FrameType::VALIDATION => {
                let mut r = reader("validation");
                (LoginMessage::Validation(r.array()?), r)
            }
            FrameType::ACCEPTED => {
                let mut r = reader("accepted");
                (LoginMessage::Accepted(r.array()?), r)
            }
            FrameType::ARBITRATION_REQUEST => {
                let mut r = reader(ARBITRATION_REQUEST);
                (LoginMessage::ArbitrationRequest(read_arbitration(&mut r)?), r)
            }
            FrameType::ARBITRATION_RESPONSE => {
                (LoginMessage::ArbitrationResponse, reader(ARBITRATION_RESPONSE))
            }
            other => return Err(DecodeError::Unexpected(other)),
        };
        rest.finish()?;
        Ok(message)
    }
}

fn put_offer(out: &mut Vec<u8>, offer: &Offer) {
    let methods: Vec<u8> = offer.methods.iter().map(|m| m.0).collect();
    let algorithms: Vec<u8> = offer.algorithms.iter().map(|a| a.0).collect();
    put_bytes(out, &methods);
    out.push(offer.level.0);
    put_bytes(out, &algorithms);
}

fn read_offer(r: &mut Reader<'_>) -> Result<Offer, DecodeError> {
    Ok(Offer {
        methods: r.bytes(LIST_MAX)?.iter().copied().map(AuthMethod).collect(),
        level: LevelCode(r.u8()?),
        algorithms: r.bytes(LIST_MAX)?.iter().copied().map(AlgorithmCode).collect(),
    })
}

fn put_arbitration(out: &mut Vec<u8>, arbitration: &Arbitration) {
    out.extend_from_slice(arbitration.arbitration_id.as_bytes());
    put_string(out, &arbitration.server_name, NAME_BYTES_MAX);
    out.push(arbitration.role);
    out.extend_from_slice(&arbitration.version.to_be_bytes());
    let address = arbitration.address.as_ref().map(ToString::to_string);
    put_string(out, address.as_deref().unwrap_or_default(), NAME_BYTES_MAX);
}

fn read_arbitration(r: &mut Reader<'_>) -> Result<Arbitration, DecodeError> {
    let arbitration_id = r.guid()?;
    let server_name = r.string(NAME_BYTES_MAX)?;
    let role = r.u8()?;
    let version = u16::from_be_bytes([r.u8()?, r.u8()?]);
    let address = match r.string(NAME_BYTES_MAX)? {
        text if text.is_empty() => None,
        text => Some(text.parse().map_err(|_| DecodeError::Malformed {
            message: ARBITRATION_REQUEST,
            reason: "its address is not a server network address",
        })?),
    };
    Ok(Arbitration {
        arbitration_id,
        server_name,
        role,
        version,
        address,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn samples() -> Vec<LoginMessage> {
        let offer = Offer {
            methods: vec![AuthMethod::CERTIFICATE, AuthMethod(200)],
            level: LevelCode::REQUIRED,
            algorithms: vec![AlgorithmCode::AES],
        };
        let arbitration = Arbitration {
            arbitration_id: Guid::from_bytes([7; 16]),
            server_name: "ALPHA".into(),
            role: 3,
            version: 2016,
            address: Some("TCP://alpha:7022".parse().unwrap()),
        };
        vec![
            LoginMessage::Offer(offer.clone()),
            LoginMessage::Answer(offer),
            LoginMessage::Token(vec![1, 2, 3]),
            LoginMessage::Reject,
            LoginMessage::Confirm(CONFIRMED),
            LoginMessage::Confirm(0x8009_030C),
            LoginMessage::Validation([1; 32]),
            LoginMessage::Accepted([2; 32]),
            LoginMessage::ArbitrationRequest(arbitration.clone()),
            LoginMessage::ArbitrationRequest(Arbitration {
                address: None,
                ..arbitration
            }),
            LoginMessage::ArbitrationResponse,
        ]
    }

    #[test]
    fn messages_round_trip_and_nothing_may_follow() {
        for message in samples() {
            let mut payload = message.payload();
            assert_eq!(
                LoginMessage::decode(message.kind(), &payload),
                Ok(message.clone())
            );
            payload.push(0);
            assert!(
                LoginMessage::decode(message.kind(), &payload).is_err(),
                "{message:?}"
            );
        }
    }

    #[test]
    fn a_type_outside_the_login_is_named() {
        let error = LoginMessage::decode(FrameType(99), &[]).unwrap_err();
        assert_eq!(error.to_string(), "unexpected unknown message type 99");
    }

    proptest! {
        #[test]
        fn no_payload_panics(kind in 0u8..12, payload in prop::collection::vec(any::<u8>(), 0..120)) {
            if let Ok(message) = LoginMessage::decode(FrameType(kind), &payload) {
                prop_assert_eq!(message.kind(), FrameType(kind));
            }
        }
    }
}
