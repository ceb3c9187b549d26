//! RC4 records: one key stream through all records of a key, and a signature of its own for each.
//!
//! RC4 vouches for nothing, so each record carries the first 16 bytes of an HMAC-SHA-256 over header and ciphertext,
//! under a key apart. The first [`SKIPPED_BYTES`] of the key stream, which give the key away, are thrown away. What is
//! left of RC4's weakness (its stream is not even) is why it is deprecated. Source: ours; RFC 4345 for the skipping.

use hmac::{Hmac, Mac};
use rc4::{KeyInit, Rc4, StreamCipher};
use sha2::Sha256;

use super::{SECRET_BYTES, SealBroken, TAG_BYTES, keyed};

const KEY_BYTES: usize = 16;

const SKIPPED_BYTES: usize = 1536;

pub(super) struct Rc4Records {
    stream: Rc4,
    mac: Hmac<Sha256>,
}

impl Rc4Records {
    pub(super) fn new(secret: &[u8; SECRET_BYTES]) -> Self {
        let mut stream = Rc4::new_from_slice(&secret[..KEY_BYTES]).expect("RC4 takes keys of 1 to 256 bytes");
        stream.apply_keystream(&mut [0; SKIPPED_BYTES]);
        Rc4Records {
            stream,
            mac: keyed(&secret[KEY_BYTES..]),
        }
    }

    pub(super) fn seal(&mut self, header: &[u8], message: &mut [u8]) -> [u8; TAG_BYTES] {
        self.stream.apply_keystream(message);
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&self.signed(header, message).finalize().into_bytes()[..TAG_BYTES]);
        tag
    }

    pub(super) fn open(&mut self, header: &[u8], message: &mut [u8], tag: &[u8]) -> Result<(), SealBroken> {
        let signed = self.signed(header, message);
        signed.verify_truncated_left(tag).map_err(|_| SealBroken)?;
        self.stream.apply_keystream(message);
        Ok(())
    }

    fn signed(&self, header: &[u8], ciphertext: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(header);
        mac.update(ciphertext);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6229, 128-bit key 0x0102…10: the key stream at offset 1536.
    #[test]
    fn the_key_stream_is_the_published_one() {
        let mut secret = [0; SECRET_BYTES];
        for (byte, value) in secret.iter_mut().zip(1u8..=16) {
            *byte = value;
        }
        let mut stream = [0; 16];
        Rc4Records::new(&secret).seal(b"", &mut stream);
        let published = [
            0xff, 0xa0, 0xb5, 0x14, 0x64, 0x7e, 0xc0, 0x4f, 0x63, 0x06, 0xb8, 0x92, 0xae, 0x66, 0x11, 0x81,
        ];
        assert_eq!(stream, published);
    }

    #[test]
    fn a_tag_of_another_length_is_no_signature() {
        let mut records = Rc4Records::new(&[7; SECRET_BYTES]);
        let mut message = *b"log block";
        let tag = records.seal(b"header", &mut message);
        let mut receiver = Rc4Records::new(&[7; SECRET_BYTES]);
        assert_eq!(receiver.open(b"header", &mut message, &tag[..0]), Err(SealBroken));
        assert_eq!(receiver.open(b"header", &mut message, &tag), Ok(()));
        assert_eq!(&message, b"log block");
    }
}
