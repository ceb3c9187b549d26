//! DER as Kerberos uses it: what it writes, and a reader that takes any bytes.
//!
//! The reader copies nothing it was not given and follows no length beyond its input, so its depth and its memory are
//! bounded by the message. Source: documented, X.690; the types are those of RFC 4120 5.2.

use thiserror::Error;
use time::{Date, Month, OffsetDateTime, Time};

use crate::types::WallTime;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const GENERALIZED_TIME: u8 = 0x18;
const GENERAL_STRING: u8 = 0x1b;
const SEQUENCE: u8 = 0x30;
const APPLICATION: u8 = 0x60;
const CONTEXT: u8 = 0xa0;

/// The bytes are not the structure that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let length = content.len().to_be_bytes();
            let zeros = length.iter().take_while(|b| **b == 0).count();
            out.push(0x80 | (length.len() - zeros) as u8);
            out.extend(&length[zeros..]);
        }
    }
    out.extend(content);
    out
}

pub fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    element(SEQUENCE, &parts.concat())
}

/// An explicitly tagged field of a sequence.
pub fn field(number: u8, content: Vec<u8>) -> Vec<u8> {
    element(CONTEXT | number, &content)
}

/// A field that may be absent.
pub fn optional(number: u8, content: Option<Vec<u8>>) -> Vec<u8> {
    content.map_or_else(Vec::new, |content| field(number, content))
}

pub fn application(number: u8, content: Vec<u8>) -> Vec<u8> {
    element(APPLICATION | number, &content)
}

pub fn integer(value: i64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let is_redundant = |at: usize| {
        let sign_follows = bytes[at + 1] & 0x80 != 0;
        bytes[at] == 0 && !sign_follows || bytes[at] == 0xff && sign_follows
    };
    let start = (0..7).take_while(|at| is_redundant(*at)).count();
    element(INTEGER, &bytes[start..])
}

pub fn octets(bytes: &[u8]) -> Vec<u8> {
    element(OCTET_STRING, bytes)
}

pub fn string(text: &str) -> Vec<u8> {
    element(GENERAL_STRING, text.as_bytes())
}

/// Thirty-two flags.
pub fn flags(flags: u32) -> Vec<u8> {
    element(BIT_STRING, &[&[0][..], &flags.to_be_bytes()].concat())
}

/// To the second, within the years 0 to 9999.
pub fn time(time: WallTime) -> Vec<u8> {
    let utc = time.to_utc();
    let text = format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}Z",
        utc.year().clamp(0, 9_999),
        u8::from(utc.month()),
        utc.day(),
        utc.hour(),
        utc.minute(),
        utc.second()
    );
    element(GENERALIZED_TIME, text.as_bytes())
}

/// Reads elements front to back.
#[derive(Debug, Clone, Copy)]
pub struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Der(bytes)
    }

    /// The content of the application element that `bytes` are, wholly.
    pub fn application(bytes: &'a [u8], number: u8) -> Result<Self, Malformed> {
        let mut whole = Der(bytes);
        let inner = whole.inside(APPLICATION | number)?;
        whole.finish()?;
        Ok(inner)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that is left, unread.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub fn finish(&self) -> Result<(), Malformed> {
        match self.0 {
            [] => Ok(()),
            _ => Err(Malformed("bytes follow its end")),
        }
    }

    fn content(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        const EARLY: Malformed = Malformed("it ends early");
        let (&found, rest) = self.0.split_first().ok_or(EARLY)?;
        if found != tag {
            return Err(Malformed("another element is due"));
        }
        let (&first, rest) = rest.split_first().ok_or(EARLY)?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f)).ok_or(EARLY)?;
                (
                    bytes.iter().fold(0, |length, b| length << 8 | usize::from(*b)),
                    rest,
                )
            }
            _ => return Err(Malformed("a length is not of DER")),
        };
        let (content, rest) = rest.split_at_checked(length).ok_or(EARLY)?;
        self.0 = rest;
        Ok(content)
    }

    fn inside(&mut self, tag: u8) -> Result<Der<'a>, Malformed> {
        self.content(tag).map(Der)
    }

    pub fn sequence(&mut self) -> Result<Der<'a>, Malformed> {
        self.inside(SEQUENCE)
    }

    pub fn field(&mut self, number: u8) -> Result<Der<'a>, Malformed> {
        self.inside(CONTEXT | number)
    }

    /// The field, if it is the next.
    pub fn optional(&mut self, number: u8) -> Result<Option<Der<'a>>, Malformed> {
        match self.0.first() {
            Some(tag) if *tag == CONTEXT | number => self.field(number).map(Some),
            _ => Ok(None),
        }
    }

    pub fn integer(&mut self) -> Result<i64, Malformed> {
        let bytes = self.content(INTEGER)?;
        match bytes {
            [] | [_, _, _, _, _, _, _, _, _, ..] => Err(Malformed("a number has no usual length")),
            [first, ..] => {
                let sign = if first & 0x80 == 0 { 0 } else { -1 };
                Ok(bytes.iter().fold(sign, |value, b| value << 8 | i64::from(*b)))
            }
        }
    }

    pub fn octets(&mut self) -> Result<&'a [u8], Malformed> {
        self.content(OCTET_STRING)
    }

    pub fn string(&mut self) -> Result<String, Malformed> {
        let bytes = self.content(GENERAL_STRING)?;
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed("a text is not UTF-8"))?;
        Ok(text.to_owned())
    }

    pub fn flags(&mut self) -> Result<u32, Malformed> {
        match self.content(BIT_STRING)? {
            &[0, a, b, c, d] => Ok(u32::from_be_bytes([a, b, c, d])),
            _ => Err(Malformed("flags are not thirty-two")),
        }
    }

    pub fn time(&mut self) -> Result<WallTime, Malformed> {
        let malformed = Malformed("a time is none");
        let digits = match self.content(GENERALIZED_TIME)? {
            [digits @ .., b'Z'] if digits.len() == 14 && digits.iter().all(u8::is_ascii_digit) => digits,
            _ => return Err(malformed),
        };
        let number = |range: std::ops::Range<usize>| {
            digits[range]
                .iter()
                .fold(0u16, |n, digit| n * 10 + u16::from(digit - b'0'))
        };
        let small = |at: usize| u8::try_from(number(at..at + 2)).map_err(|_| malformed);
        let month = Month::try_from(small(4)?).map_err(|_| malformed)?;
        let date = Date::from_calendar_date(i32::from(number(0..4)), month, small(6)?);
        let time = Time::from_hms(small(8)?, small(10)?, small(12)?);
        let utc = OffsetDateTime::new_utc(date.map_err(|_| malformed)?, time.map_err(|_| malformed)?);
        Ok(WallTime::from_unix_secs(utc.unix_timestamp()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_read_back_as_written(
            value: i64, bits: u32, bytes: Vec<u8>, text: String, secs in -60_000_000_000i64..250_000_000_000,
        ) {
            let wall = WallTime::from_unix_secs(secs);
            let written = sequence(&[
                field(0, integer(value)),
                optional(1, None),
                optional(2, Some(flags(bits))),
                field(3, octets(&bytes)),
                field(4, string(&text)),
                field(5, time(wall)),
            ]);
            let mut outer = Der::new(&written);
            let mut inner = outer.sequence().expect("a sequence");
            outer.finish().expect("nothing follows");
            prop_assert_eq!(inner.field(0).expect("there").integer(), Ok(value));
            prop_assert!(inner.optional(1).expect("well formed").is_none());
            prop_assert_eq!(inner.optional(2).expect("well formed").expect("there").flags(), Ok(bits));
            prop_assert_eq!(inner.field(3).expect("there").octets(), Ok(&bytes[..]));
            prop_assert_eq!(inner.field(4).expect("there").string(), Ok(text));
            prop_assert_eq!(inner.field(5).expect("there").time(), Ok(wall));
            prop_assert!(inner.is_empty());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            for tag in [INTEGER, BIT_STRING, OCTET_STRING, GENERALIZED_TIME, GENERAL_STRING, SEQUENCE] {
                let typed = element(tag, &bytes);
                for input in [&bytes, &typed] {
                    let mut der = Der::new(input);
                    let _ = (der.integer(), der.flags(), der.string(), der.time());
                    let _ = (der.octets(), der.sequence().map(|d| d.rest().len()), der.optional(0).is_ok());
                }
            }
        }
    }

    #[test]
    fn lengths_are_the_shortest_and_never_followed_beyond_the_end() {
        assert_eq!(&octets(&[7; 0x7f])[..2], [0x04, 0x7f]);
        assert_eq!(&octets(&[7; 0x80])[..3], [0x04, 0x81, 0x80]);
        assert_eq!(&octets(&[7; 0x100])[..4], [0x04, 0x82, 0x01, 0x00]);
        assert_eq!(integer(128), [0x02, 0x02, 0x00, 0x80]);
        assert_eq!(integer(-1), [0x02, 0x01, 0xff]);
        for wrong in [
            &[0x04, 0x84, 0xff, 0xff, 0xff, 0xff, 1][..],
            &[0x04, 0x80],
            &[0x04, 0x85, 0],
            &[0x04],
        ] {
            assert!(Der::new(wrong).octets().is_err(), "{wrong:?}");
        }
    }
}
