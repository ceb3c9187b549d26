//! Frames: length, type, flags, sequence number, check value, payload; and the preamble before the first of them.
//!
//! ```text
//! connection  = preamble *frame                      ; in each direction
//! preamble    = D3 'M' 'L' 'A' 'B', 'M' or 'C', 8-bit zero, 8-bit version
//! frame       = length:u32  type:u8  flags:u8  sequence:u64  crc:u32  payload[length]        ; big endian
//! ```
//!
//! The CRC-32C covers header and payload; in a *sealed* frame it covers the header alone, because the cipher's tag
//! vouches for header and payload together. Sequence numbers count from zero without gaps in each direction.
//! Knows no meaning of any type. Source: ours.

use std::fmt;

use thiserror::Error;

use crate::error::{SqlError, msg};

/// Largest session message or client payload: a log block of 1 MiB and what is said about it.
pub const MESSAGE_BYTES_MAX: usize = (1 << 20) + (64 << 10);

/// Bytes a sealed payload is longer than its message.
pub const SEAL_BYTES: usize = 16;

/// Largest payload of any frame.
pub const PAYLOAD_BYTES_MAX: usize = MESSAGE_BYTES_MAX + SEAL_BYTES;

/// Largest payload before the peer has proved who it is.
pub const LOGIN_PAYLOAD_BYTES_MAX: usize = 32 << 10;

pub const HEADER_BYTES: usize = 18;

/// The part of the header that is authenticated with a sealed payload: all but the check value.
pub const HEADER_CHECKED_BYTES: usize = 14;

pub const PREAMBLE_BYTES: usize = 8;

pub const VERSION: u8 = 1;

/// The payload is encrypted and signed.
pub const FLAG_SEALED: u8 = 0x01;

const BUFFER_BYTES_KEPT: usize = 64 << 10;

/// Which of the two protocols a stream speaks; its first bytes say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Between database mirroring endpoints.
    Mirroring,
    /// Between a client and an instance.
    Client,
}

impl Protocol {
    pub const fn preamble(self) -> [u8; PREAMBLE_BYTES] {
        let letter = match self {
            Protocol::Mirroring => b'M',
            Protocol::Client => b'C',
        };
        [0xD3, b'M', b'L', b'A', b'B', letter, 0, VERSION]
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Mirroring => "a database mirroring endpoint",
            Protocol::Client => "a client",
        })
    }
}

/// A frame's type. Unknown numbers survive so that the refusal can name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FrameType(pub u8);

/// The two messages that have numbers of their own where they cannot be read.
pub(crate) const ARBITRATION_REQUEST: &str = "arbitration request";
pub(crate) const ARBITRATION_RESPONSE: &str = "arbitration response";

impl FrameType {
    pub const NEGOTIATE_OFFER: FrameType = FrameType(1);
    pub const NEGOTIATE_ANSWER: FrameType = FrameType(2);
    pub const TOKEN: FrameType = FrameType(3);
    pub const REJECT: FrameType = FrameType(4);
    pub const VALIDATION: FrameType = FrameType(5);
    pub const ACCEPTED: FrameType = FrameType(6);
    pub const ARBITRATION_REQUEST: FrameType = FrameType(7);
    pub const ARBITRATION_RESPONSE: FrameType = FrameType(8);
    pub const CONFIRM: FrameType = FrameType(9);
    pub const PING: FrameType = FrameType(16);
    pub const SESSION: FrameType = FrameType(17);
    pub const CLIENT_HELLO: FrameType = FrameType(32);
    pub const SERVER_HELLO: FrameType = FrameType(33);
    pub const REFUSED: FrameType = FrameType(34);
    pub const BATCH: FrameType = FrameType(35);
    pub const BATCH_REPLY: FrameType = FrameType(36);

    const fn name(self) -> Option<&'static str> {
        Some(match self {
            FrameType::NEGOTIATE_OFFER => "login negotiate",
            FrameType::NEGOTIATE_ANSWER => "login negotiate answer",
            FrameType::TOKEN => "security context",
            FrameType::REJECT => "reject",
            FrameType::VALIDATION => "validation",
            FrameType::ACCEPTED => "accepted",
            FrameType::ARBITRATION_REQUEST => ARBITRATION_REQUEST,
            FrameType::ARBITRATION_RESPONSE => ARBITRATION_RESPONSE,
            FrameType::CONFIRM => "confirm",
            FrameType::PING => "ping",
            FrameType::SESSION => "session message",
            FrameType::CLIENT_HELLO => "client hello",
            FrameType::SERVER_HELLO => "server hello",
            FrameType::REFUSED => "refused",
            FrameType::BATCH => "batch",
            FrameType::BATCH_REPLY => "batch reply",
            _ => return None,
        })
    }
}

impl fmt::Display for FrameType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "unknown message type {}", self.0),
        }
    }
}

/// Why bytes are not frames, or a payload not a message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The first bytes belong to another program.
    #[error("the peer speaks {seen}, expected {expected}")]
    Foreign { expected: Protocol, seen: String },
    #[error("the peer speaks version {0} of the protocol, expected {VERSION}")]
    Version(u8),
    #[error("a {kind} of {length} bytes is longer than {max}")]
    TooLong {
        kind: FrameType,
        length: u64,
        max: usize,
    },
    #[error("unknown flags {0:#04x}")]
    Flags(u8),
    #[error("sequence number {found}, expected {expected}")]
    Sequence { expected: u64, found: u64 },
    #[error("check value {found:08x}, computed {computed:08x}")]
    Checksum { found: u32, computed: u32 },
    #[error("malformed {message}: {reason}")]
    Malformed {
        message: &'static str,
        reason: &'static str,
    },
    #[error("unexpected {0}")]
    Unexpected(FrameType),
}

impl DecodeError {
    /// Tells places apart that raise one number; the manual lists them. Source: ours.
    pub fn state(&self) -> u8 {
        match self {
            DecodeError::Foreign { .. } | DecodeError::TooLong { .. } => 1,
            DecodeError::Version(_) | DecodeError::Flags(_) => 2,
            DecodeError::Sequence { .. } => 3,
            DecodeError::Checksum { .. } => 4,
            DecodeError::Malformed {
                message: ARBITRATION_REQUEST | ARBITRATION_RESPONSE,
                ..
            } => 1,
            DecodeError::Malformed { .. } => 5,
            DecodeError::Unexpected(_) => 6,
        }
    }

    /// 9757 where the peer is no peer, 28042 and 28043 for the arbitration, 28040 for whatever else is damaged.
    pub fn to_sql(&self) -> SqlError {
        match self {
            DecodeError::Foreign { .. } | DecodeError::Version(_) => msg::PROTOCOL_ERROR.with(&[self]),
            DecodeError::Malformed {
                message: ARBITRATION_REQUEST,
                reason,
            } => msg::CORRUPT_ARBITRATION_REQUEST.with(&[reason]),
            DecodeError::Malformed {
                message: ARBITRATION_RESPONSE,
                reason,
            } => msg::CORRUPT_ARBITRATION_RESPONSE.with(&[reason]),
            DecodeError::TooLong { .. }
            | DecodeError::Flags(_)
            | DecodeError::Sequence { .. }
            | DecodeError::Checksum { .. }
            | DecodeError::Malformed { .. }
            | DecodeError::Unexpected(_) => msg::CORRUPT_MESSAGE.with(&[self]),
        }
    }
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    pub kind: FrameType,
    pub flags: u8,
    pub sequence: u64,
    pub length: u32,
}

impl FrameHeader {
    pub const fn is_sealed(&self) -> bool {
        self.flags & FLAG_SEALED != 0
    }

    /// The header without its check value: what a seal authenticates along with the payload.
    pub fn checked_bytes(&self) -> [u8; HEADER_CHECKED_BYTES] {
        let mut bytes = [0; HEADER_CHECKED_BYTES];
        bytes[..4].copy_from_slice(&self.length.to_be_bytes());
        bytes[4] = self.kind.0;
        bytes[5] = self.flags;
        bytes[6..].copy_from_slice(&self.sequence.to_be_bytes());
        bytes
    }

    fn checksum(&self, payload: &[u8]) -> u32 {
        let crc = crc32c::crc32c(&self.checked_bytes());
        if self.is_sealed() {
            crc
        } else {
            crc32c::crc32c_append(crc, payload)
        }
    }

    /// The header these bytes are, and the check value they carry. Checks nothing.
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> (FrameHeader, u32) {
        parse_header(bytes)
    }

    /// The whole header, `payload` being the bytes that follow it on the wire.
    pub fn bytes(&self, payload: &[u8]) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..HEADER_CHECKED_BYTES].copy_from_slice(&self.checked_bytes());
        bytes[HEADER_CHECKED_BYTES..].copy_from_slice(&self.checksum(payload).to_be_bytes());
        bytes
    }
}

/// Appends a clear frame. The payload is at most `PAYLOAD_BYTES_MAX` bytes: the caller has checked it.
pub fn put_frame(out: &mut Vec<u8>, kind: FrameType, sequence: u64, payload: &[u8]) {
    assert!(payload.len() <= PAYLOAD_BYTES_MAX, "a frame's payload is bounded");
    let header = FrameHeader {
        kind,
        flags: 0,
        sequence,
        length: payload.len() as u32,
    };
    out.extend_from_slice(&header.bytes(payload));
    out.extend_from_slice(payload);
}

/// Cuts what arrives into frames. Feed with `push`, then call `next_frame` until it has none.
///
/// Holds at most one incomplete frame beyond what was pushed since it last had none. After an error it is spent.
#[derive(Debug)]
pub struct FrameDecoder {
    protocol: Protocol,
    preamble_seen: bool,
    payload_bytes_max: usize,
    next_sequence: u64,
    buffer: Vec<u8>,
    start: usize,
}

impl FrameDecoder {
    pub fn new(protocol: Protocol, payload_bytes_max: usize) -> Self {
        FrameDecoder {
            protocol,
            preamble_seen: false,
            payload_bytes_max,
            next_sequence: 0,
            buffer: Vec::new(),
            start: 0,
        }
    }

    /// From now on frames may be this long.
    pub fn set_payload_bytes_max(&mut self, max: usize) {
        self.payload_bytes_max = max.min(PAYLOAD_BYTES_MAX);
    }

    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes held that belong to no frame yet.
    pub fn buffered(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// The next whole frame: its header, and its payload to read or decrypt in place.
    pub fn next_frame(&mut self) -> Result<Option<(FrameHeader, &mut [u8])>, DecodeError> {
        if !self.preamble_seen && !self.read_preamble()? {
            return Ok(None);
        }
        let rest = &self.buffer[self.start..];
        let Some(bytes) = rest.first_chunk::<HEADER_BYTES>() else {
            self.forget_consumed();
            return Ok(None);
        };
        let (header, crc) = parse_header(bytes);
        let length = self.check_header(&header)?;
        // Whatever the header alone gives away is found before its payload is waited for.
        if header.is_sealed() {
            check(crc, header.checksum(&[]))?;
        }
        if header.sequence != self.next_sequence {
            return Err(DecodeError::Sequence {
                expected: self.next_sequence,
                found: header.sequence,
            });
        }
        let Some(payload) = rest[HEADER_BYTES..].get(..length) else {
            return Ok(None);
        };
        if !header.is_sealed() {
            check(crc, header.checksum(payload))?;
        }
        self.next_sequence += 1;
        let begin = self.start + HEADER_BYTES;
        self.start = begin + length;
        Ok(Some((header, &mut self.buffer[begin..begin + length])))
    }

    fn read_preamble(&mut self) -> Result<bool, DecodeError> {
        let Some(found) = self.buffer[self.start..].first_chunk::<PREAMBLE_BYTES>() else {
            return Ok(false);
        };
        let expected = self.protocol.preamble();
        if found[..PREAMBLE_BYTES - 1] != expected[..PREAMBLE_BYTES - 1] {
            return Err(DecodeError::Foreign {
                expected: self.protocol,
                seen: name_foreign(found),
            });
        }
        if found[PREAMBLE_BYTES - 1] != VERSION {
            return Err(DecodeError::Version(found[PREAMBLE_BYTES - 1]));
        }
        self.start += PREAMBLE_BYTES;
        self.preamble_seen = true;
        Ok(true)
    }

    /// The payload's length, once the header is believable.
    fn check_header(&self, header: &FrameHeader) -> Result<usize, DecodeError> {
        if header.flags & !FLAG_SEALED != 0 {
            return Err(DecodeError::Flags(header.flags));
        }
        match usize::try_from(header.length) {
            Ok(length) if length <= self.payload_bytes_max => Ok(length),
            _ => Err(DecodeError::TooLong {
                kind: header.kind,
                length: u64::from(header.length),
                max: self.payload_bytes_max,
            }),
        }
    }

    /// Everything whole was handed out: give back what a large frame needed.
    fn forget_consumed(&mut self) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
            self.buffer.shrink_to(BUFFER_BYTES_KEPT);
        }
    }
}

fn check(found: u32, computed: u32) -> Result<(), DecodeError> {
    match found == computed {
        true => Ok(()),
        false => Err(DecodeError::Checksum { found, computed }),
    }
}

fn parse_header(bytes: &[u8; HEADER_BYTES]) -> (FrameHeader, u32) {
    let [
        l0,
        l1,
        l2,
        l3,
        kind,
        flags,
        s0,
        s1,
        s2,
        s3,
        s4,
        s5,
        s6,
        s7,
        c0,
        c1,
        c2,
        c3,
    ] = *bytes;
    let header = FrameHeader {
        length: u32::from_be_bytes([l0, l1, l2, l3]),
        kind: FrameType(kind),
        flags,
        sequence: u64::from_be_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
    };
    (header, u32::from_be_bytes([c0, c1, c2, c3]))
}

/// Who begins like this, as far as one can tell from eight bytes.
fn name_foreign(bytes: &[u8; PREAMBLE_BYTES]) -> String {
    for protocol in [Protocol::Mirroring, Protocol::Client] {
        if bytes[..6] == protocol.preamble()[..6] {
            return format!("the protocol of {protocol}");
        }
    }
    let http: [&[u8]; 8] = [
        b"GET ",
        b"POST ",
        b"HEAD ",
        b"PUT ",
        b"OPTIONS ",
        b"CONNECT ",
        b"HTTP/",
        b"PRI * ",
    ];
    if http.iter().any(|word| bytes.starts_with(word)) {
        return "HTTP".to_owned();
    }
    match bytes {
        [0x16, 0x03, ..] => "TLS".to_owned(),
        [0x12 | 0x10, 0x00 | 0x01, ..] => "TDS (a SQL Server client)".to_owned(),
        [b'S', b'S', b'H', b'-', ..] => "SSH".to_owned(),
        _ => {
            let hex: Vec<String> = bytes.iter().map(|b| format!("{b:02X}")).collect();
            format!("an unknown protocol that begins {}", hex.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode_all(decoder: &mut FrameDecoder) -> Result<Vec<(FrameHeader, Vec<u8>)>, DecodeError> {
        let mut frames = Vec::new();
        while let Some((header, payload)) = decoder.next_frame()? {
            frames.push((header, payload.to_vec()));
        }
        Ok(frames)
    }

    fn refusal(bytes: &[u8]) -> String {
        let mut decoder = FrameDecoder::new(Protocol::Mirroring, LOGIN_PAYLOAD_BYTES_MAX);
        decoder.push(bytes);
        let error = decode_all(&mut decoder).expect_err("refused");
        error.to_sql().to_string()
    }

    #[test]
    fn a_header_that_gives_itself_away_is_refused_before_its_payload_is_there() {
        let header = |flags, sequence| FrameHeader {
            kind: FrameType::SESSION,
            flags,
            sequence,
            length: 500,
        };
        let refusal = |bytes: &[u8]| {
            let mut decoder = FrameDecoder::new(Protocol::Mirroring, PAYLOAD_BYTES_MAX);
            decoder.push(&Protocol::Mirroring.preamble());
            decoder.push(bytes);
            decoder.next_frame().map(|frame| frame.is_some())
        };
        assert_eq!(refusal(&header(FLAG_SEALED, 0).bytes(&[])), Ok(false));
        let numbered = refusal(&header(0, 7).bytes(&[1; 500]));
        assert!(
            matches!(numbered, Err(DecodeError::Sequence { .. })),
            "{numbered:?}"
        );
        let mut damaged = header(FLAG_SEALED, 0).bytes(&[]);
        damaged[3] ^= 1;
        let damaged = refusal(&damaged);
        assert!(
            matches!(damaged, Err(DecodeError::Checksum { .. })),
            "{damaged:?}"
        );
    }

    #[test]
    fn foreign_programs_are_named() {
        let seen = |bytes: &[u8]| {
            let text = refusal(bytes);
            assert!(text.starts_with("Msg 9757"), "{text}");
            text
        };
        assert!(seen(b"GET / HTTP/1.1\r\n").contains("HTTP"));
        assert!(seen(&[0x16, 3, 1, 2, 0, 1, 0, 1]).contains("TLS"));
        assert!(seen(&[0x12, 1, 0, 0x2f, 0, 0, 1, 0]).contains("TDS"));
        assert!(seen(&Protocol::Client.preamble()).contains("a client"));
        assert!(seen(b"\0\0\0\0\0\0\0\0").contains("00 00 00"));
        assert!(seen(&[0xD3, b'M', b'L', b'A', b'B', b'M', 0, 9]).contains("version 9"));
    }

    #[test]
    fn a_claimed_length_is_refused_before_its_bytes_arrive() {
        let mut bytes = Protocol::Mirroring.preamble().to_vec();
        bytes.extend_from_slice(&[0xff; HEADER_BYTES - 4]);
        bytes.splice(8 + 5..8 + 6, [0]);
        bytes.extend_from_slice(&[0; 4]);
        let text = refusal(&bytes);
        assert!(
            text.starts_with("Msg 28040") && text.contains("4294967295"),
            "{text}"
        );
    }

    #[test]
    fn damage_gaps_and_unknown_flags_are_refused() {
        let whole = |sequence| {
            let mut bytes = Protocol::Mirroring.preamble().to_vec();
            put_frame(&mut bytes, FrameType::PING, sequence, b"payload");
            bytes
        };
        assert!(refusal(&whole(1)).contains("sequence number 1, expected 0"));
        let mut damaged = whole(0);
        *damaged.last_mut().unwrap() ^= 1;
        assert!(refusal(&damaged).contains("check value"));
        let mut flagged = whole(0);
        flagged[PREAMBLE_BYTES + 5] = 0x40;
        assert!(refusal(&flagged).contains("flags"));
    }

    #[test]
    fn a_large_frame_leaves_no_large_buffer() {
        let mut bytes = Protocol::Client.preamble().to_vec();
        put_frame(&mut bytes, FrameType::BATCH, 0, &vec![1; MESSAGE_BYTES_MAX]);
        let mut decoder = FrameDecoder::new(Protocol::Client, MESSAGE_BYTES_MAX);
        decoder.push(&bytes);
        assert_eq!(decode_all(&mut decoder).unwrap().len(), 1);
        assert_eq!(decoder.buffered(), 0);
        assert!(decoder.buffer.capacity() <= BUFFER_BYTES_KEPT);
    }

    proptest! {
        #[test]
        fn frames_survive_any_fragmentation(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..6),
            chunk in 1usize..50,
        ) {
            let mut bytes = Protocol::Mirroring.preamble().to_vec();
            for (i, payload) in payloads.iter().enumerate() {
                put_frame(&mut bytes, FrameType::SESSION, i as u64, payload);
            }
            let mut decoder = FrameDecoder::new(Protocol::Mirroring, 200);
            let mut seen = Vec::new();
            for piece in bytes.chunks(chunk) {
                decoder.push(piece);
                seen.extend(decode_all(&mut decoder).unwrap().into_iter().map(|(_, p)| p));
            }
            prop_assert_eq!(seen, payloads);
        }

        #[test]
        fn no_bytes_panic_or_pile_up(bytes in prop::collection::vec(any::<u8>(), 0..400), genuine in any::<bool>()) {
            let mut decoder = FrameDecoder::new(Protocol::Mirroring, 64);
            if genuine {
                decoder.push(&Protocol::Mirroring.preamble());
            }
            for piece in bytes.chunks(7) {
                decoder.push(piece);
                if decode_all(&mut decoder).is_err() {
                    break;
                }
                prop_assert!(decoder.buffered() < HEADER_BYTES + 64);
            }
        }
    }
}
