//! Primitives: fixed-width big-endian integers, length-prefixed bytes and strings, read with limits.
//!
//! A [`Reader`] never allocates more than the bytes it was given; a message must be read to its end with
//! [`Reader::finish`].

use crate::types::Guid;

use super::frame::DecodeError;

/// Reads fields of one message, front to back. `what` in errors names the message.
#[derive(Debug)]
pub struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Reader { what, rest: bytes }
    }

    fn malformed(&self, reason: &'static str) -> DecodeError {
        DecodeError::Malformed {
            message: self.what,
            reason,
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        match self.rest.split_at_checked(count) {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(head)
            }
            None => Err(self.malformed("it ends early")),
        }
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub fn guid(&mut self) -> Result<Guid, DecodeError> {
        Ok(Guid::from_bytes(self.array()?))
    }

    /// Bytes behind a 16-bit length of at most `max`.
    pub fn bytes(&mut self, max: usize) -> Result<&'a [u8], DecodeError> {
        let count = usize::from(self.u16()?);
        if count > max {
            return Err(self.malformed("a field is too long"));
        }
        self.take(count)
    }

    /// UTF-8 behind a 16-bit length of at most `max` bytes.
    pub fn string(&mut self, max: usize) -> Result<String, DecodeError> {
        let bytes = self.bytes(max)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(self.malformed("a text is not UTF-8")),
        }
    }

    /// All that is left.
    pub fn remainder(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Fails if anything is left over.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.malformed("bytes follow its end"))
        }
    }
}

/// Appends bytes behind a 16-bit length. What is longer than 65,535 bytes is cut there.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let count = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(&bytes[..usize::from(count)]);
}

/// Appends a text behind a 16-bit length, cut at a character boundary to at most `max` bytes.
pub fn put_string(out: &mut Vec<u8>, text: &str, max: usize) {
    let end = text.floor_char_boundary(max.min(usize::from(u16::MAX)));
    put_bytes(out, &text.as_bytes()[..end]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_read_back_as_written() {
        let mut bytes = vec![7];
        put_string(&mut bytes, "Überfall", 3);
        put_bytes(&mut bytes, b"xyz");
        let mut reader = Reader::new("test", &bytes);
        assert_eq!(reader.u8().unwrap(), 7);
        assert_eq!(reader.string(10).unwrap(), "Üb");
        assert_eq!(reader.bytes(3).unwrap(), b"xyz");
        reader.finish().unwrap();
    }

    #[test]
    fn limits_ends_and_leftovers_are_named() {
        let bytes = [0, 3, b'a', b'b', b'c', 9];
        let error = |max| Reader::new("test", &bytes).bytes(max).unwrap_err().to_string();
        assert!(error(2).contains("too long"), "{}", error(2));
        let mut reader = Reader::new("test", &bytes);
        reader.bytes(3).unwrap();
        assert!(reader.u64().unwrap_err().to_string().contains("ends early"));
        assert!(reader.finish().unwrap_err().to_string().contains("follow"));
    }
}
