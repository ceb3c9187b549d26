//! The three messages of NTLM, byte by byte. Source: documented, MS-NLMP 2.2.1.

use super::crypto::{Key, utf16le};
use crate::domain::failure::WindowsFailure;

const SIGNATURE: &[u8; 8] = b"NTLMSSP\0";
/// Windows 10.0.17763, NTLM revision 15; nobody decides anything by it.
const VERSION: [u8; 8] = [10, 0, 0x63, 0x45, 0, 0, 0, 15];
const CHALLENGE_HEADER_BYTES: usize = 56;
const AUTHENTICATE_HEADER_BYTES: usize = 88;
/// Where the integrity check stands in an AUTHENTICATE message.
const INTEGRITY_AT: usize = 72;

/// Negotiate flags by bit. Source: documented, MS-NLMP 2.2.2.5.
pub mod flags {
    pub const UNICODE: u32 = 0x0000_0001;
    pub const REQUEST_TARGET: u32 = 0x0000_0004;
    pub const SIGN: u32 = 0x0000_0010;
    pub const SEAL: u32 = 0x0000_0020;
    pub const NTLM: u32 = 0x0000_0200;
    pub const ALWAYS_SIGN: u32 = 0x0000_8000;
    pub const TARGET_TYPE_DOMAIN: u32 = 0x0001_0000;
    pub const EXTENDED_SESSION_SECURITY: u32 = 0x0008_0000;
    pub const TARGET_INFO: u32 = 0x0080_0000;
    pub const VERSION: u32 = 0x0200_0000;
    pub const KEY_128: u32 = 0x2000_0000;
    pub const KEY_EXCHANGE: u32 = 0x4000_0000;
    pub const KEY_56: u32 = 0x8000_0000;

    /// What both ends must bring; nothing weaker is negotiated.
    pub const NEEDED: u32 = UNICODE | NTLM | EXTENDED_SESSION_SECURITY | KEY_128 | KEY_EXCHANGE;
    pub const OFFERED: u32 =
        NEEDED | REQUEST_TARGET | SIGN | SEAL | ALWAYS_SIGN | TARGET_INFO | VERSION | KEY_56;
}

/// NEGOTIATE_MESSAGE, from the initiator. Names of domain and workstation are not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiate {
    pub flags: u32,
}

impl Negotiate {
    pub fn encode(self) -> Vec<u8> {
        let mut out = head(1);
        out.extend(self.flags.to_le_bytes());
        out.extend([0; 16]);
        out.extend(VERSION);
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, WindowsFailure> {
        let mut fields = Fields::open(bytes, 1)?;
        Ok(Negotiate { flags: fields.u32()? })
    }
}

/// CHALLENGE_MESSAGE, from the acceptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    pub flags: u32,
    pub server_challenge: [u8; 8],
    pub target_name: String,
    /// Attribute pairs with their end.
    pub target_info: Vec<u8>,
}

impl Challenge {
    pub fn encode(&self) -> Vec<u8> {
        let name = utf16le(&self.target_name);
        let mut place = CHALLENGE_HEADER_BYTES;
        let mut out = head(2);
        out.extend(field(&mut place, &name));
        out.extend(self.flags.to_le_bytes());
        out.extend(self.server_challenge);
        out.extend([0; 8]);
        out.extend(field(&mut place, &self.target_info));
        out.extend(VERSION);
        out.extend(name);
        out.extend(&self.target_info);
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, WindowsFailure> {
        let mut fields = Fields::open(bytes, 2)?;
        let target_name = text(fields.payload()?)?;
        let flags = fields.u32()?;
        let server_challenge = fields.array()?;
        fields.array::<8>()?;
        Ok(Challenge {
            flags,
            server_challenge,
            target_name,
            target_info: fields.payload()?.to_vec(),
        })
    }
}

/// AUTHENTICATE_MESSAGE, from the initiator, without its integrity check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticate {
    pub flags: u32,
    pub lm_response: Vec<u8>,
    /// Proof and blob.
    pub nt_response: Vec<u8>,
    pub domain: String,
    pub user: String,
    pub workstation: String,
    /// The exported key under the session base key.
    pub encrypted_key: Key,
}

impl Authenticate {
    /// The message with an integrity check of zeros, over which the check is computed.
    pub fn encode(&self) -> Vec<u8> {
        let names = [&self.domain, &self.user, &self.workstation].map(|n| utf16le(n));
        let mut place = AUTHENTICATE_HEADER_BYTES;
        let mut out = head(3);
        let mut payload: Vec<u8> = Vec::new();
        for part in [
            &self.lm_response,
            &self.nt_response,
            &names[0],
            &names[1],
            &names[2],
            &self.encrypted_key.to_vec(),
        ] {
            out.extend(field(&mut place, part));
            payload.extend(part);
        }
        out.extend(self.flags.to_le_bytes());
        out.extend(VERSION);
        out.extend([0; 16]);
        out.extend(payload);
        out
    }

    /// Puts the integrity check in its place.
    pub fn set_integrity(message: &mut [u8], check: &Key) {
        if let Some(place) = message.get_mut(INTEGRITY_AT..INTEGRITY_AT + check.len()) {
            place.copy_from_slice(check);
        }
    }

    /// The message and its integrity check.
    pub fn decode(bytes: &[u8]) -> Result<(Self, Key), WindowsFailure> {
        let mut fields = Fields::open(bytes, 3)?;
        let lm_response = fields.payload()?.to_vec();
        let nt_response = fields.payload()?.to_vec();
        let domain = text(fields.payload()?)?;
        let user = text(fields.payload()?)?;
        let workstation = text(fields.payload()?)?;
        let encrypted_key = fields.payload()?;
        let flags = fields.u32()?;
        fields.array::<8>()?;
        let check = fields.array()?;
        let wrong_key = |_| WindowsFailure::InvalidToken("its key has another length");
        let message = Authenticate {
            flags,
            lm_response,
            nt_response,
            domain,
            user,
            workstation,
            encrypted_key: encrypted_key.try_into().map_err(wrong_key)?,
        };
        Ok((message, check))
    }
}

fn head(kind: u32) -> Vec<u8> {
    [&SIGNATURE[..], &kind.to_le_bytes()].concat()
}

/// Length twice and place of a part of the payload; `place` moves past it. Parts are far below 64 KiB: names and one
/// response.
fn field(place: &mut usize, part: &[u8]) -> [u8; 8] {
    let count = u16::try_from(part.len()).unwrap_or(u16::MAX).to_le_bytes();
    let at = u32::try_from(*place).unwrap_or(u32::MAX).to_le_bytes();
    *place += part.len();
    [count[0], count[1], count[0], count[1], at[0], at[1], at[2], at[3]]
}

fn text(bytes: &[u8]) -> Result<String, WindowsFailure> {
    let malformed = WindowsFailure::InvalidToken("a name is not UTF-16");
    if !bytes.len().is_multiple_of(2) {
        return Err(malformed);
    }
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    String::from_utf16(&units).map_err(|_| malformed)
}

/// Reads the fixed part front to back; the parts of the payload by their places.
struct Fields<'a> {
    message: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn open(message: &'a [u8], kind: u32) -> Result<Self, WindowsFailure> {
        let rest = message
            .strip_prefix(SIGNATURE)
            .ok_or(WindowsFailure::InvalidToken("it is no NTLM message"))?;
        let mut fields = Fields { message, rest };
        if fields.u32()? != kind {
            return Err(WindowsFailure::InvalidToken(
                "it is not the NTLM message that is due",
            ));
        }
        Ok(fields)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WindowsFailure> {
        let early = WindowsFailure::InvalidToken("it ends early");
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(early)?;
        self.rest = rest;
        Ok(*head)
    }

    fn u32(&mut self) -> Result<u32, WindowsFailure> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn payload(&mut self) -> Result<&'a [u8], WindowsFailure> {
        let [a, b, _, _, at @ ..] = self.array::<8>()?;
        let outside = || WindowsFailure::InvalidToken("a part lies outside it");
        let start = usize::try_from(u32::from_le_bytes(at)).map_err(|_| outside())?;
        let end = start
            .checked_add(usize::from(u16::from_le_bytes([a, b])))
            .ok_or_else(outside)?;
        self.message.get(start..end).ok_or_else(outside)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_read_back_as_written() {
        let negotiate = Negotiate {
            flags: flags::OFFERED,
        };
        assert_eq!(Negotiate::decode(&negotiate.encode()), Ok(negotiate));
        assert_eq!(negotiate.encode().len(), 40);
        let challenge = Challenge {
            flags: flags::OFFERED,
            server_challenge: [7; 8],
            target_name: "ADVENTURE".into(),
            target_info: vec![0; 4],
        };
        assert_eq!(Challenge::decode(&challenge.encode()), Ok(challenge.clone()));
        let authenticate = Authenticate {
            flags: flags::OFFERED,
            lm_response: vec![0; 24],
            nt_response: vec![9; 60],
            domain: "ADVENTURE".into(),
            user: "sqlsvc".into(),
            workstation: "ÄLPHA".into(),
            encrypted_key: [3; 16],
        };
        let mut bytes = authenticate.encode();
        Authenticate::set_integrity(&mut bytes, &[5; 16]);
        assert_eq!(Authenticate::decode(&bytes), Ok((authenticate, [5; 16])));
        assert!(Authenticate::decode(&challenge.encode()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(kind in 1u32..4, tail: Vec<u8>) {
            let bytes = [&head(kind)[..], &tail].concat();
            let _ = Negotiate::decode(&bytes);
            let _ = Challenge::decode(&bytes);
            let _ = Authenticate::decode(&bytes);
            let _ = Authenticate::decode(&tail);
        }
    }
}
