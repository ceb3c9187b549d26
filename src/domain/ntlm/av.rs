//! The attribute pairs of an NTLM challenge and of the response to it. Source: documented, MS-NLMP 2.2.2.1.

use super::crypto::utf16le;
use crate::domain::failure::WindowsFailure;

const END: u16 = 0;
const COMPUTER_NAME: u16 = 1;
const DOMAIN_NAME: u16 = 2;
const DNS_COMPUTER_NAME: u16 = 3;
const DNS_DOMAIN_NAME: u16 = 4;
const FLAGS: u16 = 6;
const TIMESTAMP: u16 = 7;
const TARGET_NAME: u16 = 9;
const CHANNEL_BINDINGS: u16 = 10;

/// The AUTHENTICATE message carries an integrity check over all three messages.
const FLAG_INTEGRITY: u32 = 2;

/// What an acceptor says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetInfo {
    pub computer: String,
    pub domain: String,
    pub dns_computer: String,
    pub dns_domain: String,
    /// 100 ns since 1601.
    pub time: u64,
}

impl TargetInfo {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, DOMAIN_NAME, &utf16le(&self.domain));
        put(&mut out, COMPUTER_NAME, &utf16le(&self.computer));
        put(&mut out, DNS_DOMAIN_NAME, &utf16le(&self.dns_domain));
        put(&mut out, DNS_COMPUTER_NAME, &utf16le(&self.dns_computer));
        put(&mut out, TIMESTAMP, &self.time.to_le_bytes());
        put(&mut out, END, &[]);
        out
    }
}

/// The pairs of a challenge as the initiator returns them, with its own in front of the end: that its messages carry an
/// integrity check, whom it meant to reach, and no channel bindings.
pub fn respond(challenge: &Pairs<'_>, spn: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let own = [FLAGS, TARGET_NAME, CHANNEL_BINDINGS, END];
    for (id, value) in challenge.0.iter().filter(|(id, _)| !own.contains(id)) {
        put(&mut out, *id, value);
    }
    put(&mut out, FLAGS, &FLAG_INTEGRITY.to_le_bytes());
    put(&mut out, CHANNEL_BINDINGS, &[0; 16]);
    put(&mut out, TARGET_NAME, &utf16le(spn));
    put(&mut out, END, &[]);
    out
}

fn put(out: &mut Vec<u8>, id: u16, value: &[u8]) {
    let count = u16::try_from(value.len()).unwrap_or(u16::MAX);
    out.extend(id.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(&value[..usize::from(count)]);
}

/// Pairs as they came, without the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs<'a>(Vec<(u16, &'a [u8])>);

impl<'a> Pairs<'a> {
    /// Reads up to the end pair, which must be there.
    pub fn decode(mut bytes: &'a [u8]) -> Result<Self, WindowsFailure> {
        let early = || WindowsFailure::InvalidToken("its attribute pairs end early");
        let mut pairs = Vec::new();
        loop {
            let (head, rest) = bytes.split_first_chunk::<4>().ok_or_else(early)?;
            let id = u16::from_le_bytes([head[0], head[1]]);
            let count = usize::from(u16::from_le_bytes([head[2], head[3]]));
            let (value, rest) = rest.split_at_checked(count).ok_or_else(early)?;
            if id == END {
                return Ok(Pairs(pairs));
            }
            pairs.push((id, value));
            bytes = rest;
        }
    }

    fn value(&self, id: u16) -> Option<&'a [u8]> {
        self.0
            .iter()
            .find(|(found, _)| *found == id)
            .map(|(_, value)| *value)
    }

    /// The acceptor's clock, 100 ns since 1601.
    pub fn time(&self) -> Option<u64> {
        Some(u64::from_le_bytes(self.value(TIMESTAMP)?.try_into().ok()?))
    }

    /// Whether an integrity check over all messages is promised.
    pub fn promises_integrity(&self) -> bool {
        let flags = self.value(FLAGS).and_then(|v| v.try_into().ok());
        flags.is_some_and(|v| u32::from_le_bytes(v) & FLAG_INTEGRITY != 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_response_keeps_what_the_challenge_said() {
        let info = TargetInfo {
            computer: "BETA".into(),
            domain: "D".into(),
            dns_computer: "beta.d.example".into(),
            dns_domain: "d.example".into(),
            time: 42,
        };
        let challenge = info.encode();
        let pairs = Pairs::decode(&challenge).expect("well formed");
        assert_eq!((pairs.time(), pairs.promises_integrity()), (Some(42), false));
        let response = respond(&pairs, "MSSQLSvc/beta.d.example:5022");
        let answered = Pairs::decode(&response).expect("well formed");
        assert_eq!((answered.time(), answered.promises_integrity()), (Some(42), true));
        assert_eq!(answered.value(DOMAIN_NAME), Some(&b"D\0"[..]));
        assert!(Pairs::decode(&challenge[..challenge.len() - 1]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_pairs_or_an_error(bytes: Vec<u8>) {
            let _ = Pairs::decode(&bytes).map(|p| (p.time(), p.promises_integrity()));
        }
    }
}
