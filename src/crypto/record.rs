//! Record ciphers: how the frames of an online connection are sealed and opened.
//!
//! One key and one nonce prefix per direction, derived by the login's mechanism; the frame's sequence number makes the
//! nonce, so a replayed, reordered or resized record fails its check. RC4 is negotiated but has no cipher here yet.
//! Source: ours (the manual names no key length, mode or check).

use std::fmt;

use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::{Aes256Gcm, Key, Nonce, Tag};

/// Bytes of secret one direction takes: an AES-256 key and a nonce prefix, rounded up.
pub const SECRET_BYTES: usize = 48;

/// The bytes by which a sealed record is longer.
pub const TAG_BYTES: usize = 16;

/// The record did not come from the holder of the key, or not as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record's integrity check failed")]
pub struct SealBroken;

/// AES-256-GCM of one direction.
#[derive(Clone)]
pub struct AesRecords {
    cipher: Aes256Gcm,
    nonce_mask: [u8; 12],
}

impl fmt::Debug for AesRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AesRecords")
    }
}

impl AesRecords {
    pub fn new(secret: &[u8; SECRET_BYTES]) -> Self {
        let mut nonce_mask = [0; 12];
        nonce_mask.copy_from_slice(&secret[32..44]);
        AesRecords {
            cipher: Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(&secret[..32])),
            nonce_mask,
        }
    }

    /// Encrypts `message` where it lies and returns the tag to put behind it. A sequence number is used once.
    pub fn seal(&self, sequence: u64, header: &[u8], message: &mut [u8]) -> [u8; TAG_BYTES] {
        let tag = self
            .cipher
            .encrypt_in_place_detached(&self.nonce(sequence), header, message)
            .expect("a frame is far below the cipher's limit of 64 GiB");
        tag.into()
    }

    /// Decrypts `sealed` (message and tag) where it lies and returns the message.
    pub fn open<'a>(
        &self,
        sequence: u64,
        header: &[u8],
        sealed: &'a mut [u8],
    ) -> Result<&'a mut [u8], SealBroken> {
        let length = sealed.len().checked_sub(TAG_BYTES).ok_or(SealBroken)?;
        let (message, tag) = sealed.split_at_mut(length);
        self.cipher
            .decrypt_in_place_detached(&self.nonce(sequence), header, message, Tag::from_slice(tag))
            .map_err(|_| SealBroken)?;
        Ok(message)
    }

    fn nonce(&self, sequence: u64) -> Nonce<aes_gcm::aead::consts::U12> {
        let mut nonce = self.nonce_mask;
        for (byte, counter) in nonce[4..].iter_mut().zip(sequence.to_be_bytes()) {
            *byte ^= counter;
        }
        nonce.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(records: &AesRecords, sequence: u64) -> Vec<u8> {
        let mut bytes = b"log block".to_vec();
        let tag = records.seal(sequence, b"header", &mut bytes);
        bytes.extend_from_slice(&tag);
        bytes
    }

    #[test]
    fn only_the_very_record_opens() {
        let records = AesRecords::new(&[7; SECRET_BYTES]);
        let open = |sequence, header: &[u8], mut bytes: Vec<u8>| {
            records
                .open(sequence, header, &mut bytes)
                .map(|message| message.to_vec())
        };
        let record = sealed(&records, 3);
        assert_ne!(&record[..9], b"log block");
        assert_eq!(open(3, b"header", record.clone()), Ok(b"log block".to_vec()));
        assert_eq!(open(4, b"header", record.clone()), Err(SealBroken));
        assert_eq!(open(3, b"other!", record.clone()), Err(SealBroken));
        assert_eq!(open(3, b"header", record[..20].to_vec()), Err(SealBroken));
        assert_eq!(open(3, b"header", vec![]), Err(SealBroken));
        for i in 0..record.len() {
            let mut damaged = record.clone();
            damaged[i] ^= 0x80;
            assert_eq!(open(3, b"header", damaged), Err(SealBroken), "byte {i}");
        }
    }

    #[test]
    fn keys_and_nonces_differ_by_secret_and_sequence() {
        let records = AesRecords::new(&[7; SECRET_BYTES]);
        assert_ne!(sealed(&records, 0), sealed(&records, 1));
        assert_ne!(
            sealed(&records, 0),
            sealed(&AesRecords::new(&[8; SECRET_BYTES]), 0)
        );
    }
}
