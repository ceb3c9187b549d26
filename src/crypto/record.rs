//! Record ciphers: how the frames of an online connection are sealed and opened.
//!
//! One secret per direction, derived by the login's mechanism; the frame's header, with its sequence number, is checked
//! along with the message, so a replayed, reordered or resized record fails. After [`RECORDS_PER_KEY`] records a
//! direction goes over to the next key, which both sides derive from the last secret without a word: the sequence
//! number says which key a record is under. Source: ours (the manual names no key length, mode, check or limit).

mod aes;
mod rc4;

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::types::EncryptionInUse;

use aes::AesRecords;
use rc4::Rc4Records;

/// Bytes of secret one direction takes: as much as the hungrier of the two ciphers.
pub const SECRET_BYTES: usize = 48;

/// The bytes by which a sealed record is longer.
pub const TAG_BYTES: usize = 16;

/// Records sealed under one key of one direction. With records of at most 1 MiB + 64 KiB AES-GCM then works on less than
/// 2^37 blocks, which leaves whoever collects them a chance below 2^-54 of telling them from noise.
pub const RECORDS_PER_KEY: u64 = 1 << 20;

const NEXT_SECRET: &[u8] = b"mirrorlab next record secret";

type Secret = [u8; SECRET_BYTES];

/// The record did not come from the holder of the key, or not as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record's integrity check failed")]
pub struct SealBroken;

/// The cipher of one direction. Records are sealed, and opened, in the order of their sequence numbers.
pub struct RecordCipher {
    suite: Suite,
    secret: Secret,
    /// Which key is in use: the sequence number of its records divided by `records_per_key`.
    generation: u64,
    records_per_key: u64,
}

enum Suite {
    Aes(Box<AesRecords>),
    Rc4(Box<Rc4Records>),
}

impl fmt::Debug for RecordCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suite = match self.suite {
            Suite::Aes(_) => "AES",
            Suite::Rc4(_) => "RC4",
        };
        write!(f, "RecordCipher({suite})")
    }
}

impl RecordCipher {
    /// The cipher that was agreed; none where nothing is encrypted.
    pub fn new(encryption: EncryptionInUse, secret: Secret) -> Option<Self> {
        Self::with_limit(encryption, secret, RECORDS_PER_KEY)
    }

    /// As [`RecordCipher::new`], with another number of records per key. Both ends must use the same.
    pub fn with_limit(encryption: EncryptionInUse, secret: Secret, records_per_key: u64) -> Option<Self> {
        assert!(records_per_key > 0, "a key is for at least one record");
        Some(RecordCipher {
            suite: Suite::new(encryption, &secret)?,
            secret,
            generation: 0,
            records_per_key,
        })
    }

    /// Encrypts `message` where it lies and returns the tag to put behind it. A sequence number is used once.
    pub fn seal(&mut self, sequence: u64, header: &[u8], message: &mut [u8]) -> [u8; TAG_BYTES] {
        self.advance(sequence);
        match &mut self.suite {
            Suite::Aes(records) => records.seal(sequence, header, message),
            Suite::Rc4(records) => records.seal(header, message),
        }
    }

    /// Decrypts `sealed` (message and tag) where it lies and returns the message. After a failure the cipher is spent.
    pub fn open<'a>(
        &mut self,
        sequence: u64,
        header: &[u8],
        sealed: &'a mut [u8],
    ) -> Result<&'a mut [u8], SealBroken> {
        self.advance(sequence);
        let length = sealed.len().checked_sub(TAG_BYTES).ok_or(SealBroken)?;
        let (message, tag) = sealed.split_at_mut(length);
        match &mut self.suite {
            Suite::Aes(records) => records.open(sequence, header, message, tag)?,
            Suite::Rc4(records) => records.open(header, message, tag)?,
        }
        Ok(message)
    }

    /// Goes over to the key that `sequence` is under.
    fn advance(&mut self, sequence: u64) {
        let wanted = sequence / self.records_per_key;
        while self.generation < wanted {
            self.secret = next(&self.secret);
            self.generation += 1;
            self.suite = match self.suite {
                Suite::Aes(_) => Suite::Aes(Box::new(AesRecords::new(&self.secret))),
                Suite::Rc4(_) => Suite::Rc4(Box::new(Rc4Records::new(&self.secret))),
            };
        }
    }
}

impl Suite {
    fn new(encryption: EncryptionInUse, secret: &Secret) -> Option<Suite> {
        match encryption {
            EncryptionInUse::None => None,
            EncryptionInUse::Aes => Some(Suite::Aes(Box::new(AesRecords::new(secret)))),
            EncryptionInUse::Rc4 => Some(Suite::Rc4(Box::new(Rc4Records::new(secret)))),
        }
    }
}

/// The secret after this one. Whoever learns it does not learn this one.
fn next(secret: &Secret) -> Secret {
    let mut next = [0; SECRET_BYTES];
    for (part, number) in next.chunks_mut(32).zip(0u8..) {
        let mut mac = keyed(secret);
        mac.update(NEXT_SECRET);
        mac.update(&[number]);
        part.copy_from_slice(&mac.finalize().into_bytes()[..part.len()]);
    }
    next
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUITES: [EncryptionInUse; 2] = [EncryptionInUse::Aes, EncryptionInUse::Rc4];
    const HEADER: &[u8] = b"header";

    fn cipher(encryption: EncryptionInUse, secret: u8) -> RecordCipher {
        RecordCipher::new(encryption, [secret; SECRET_BYTES]).expect("encrypted")
    }

    fn seal(cipher: &mut RecordCipher, sequence: u64, message: &[u8]) -> Vec<u8> {
        let mut bytes = message.to_vec();
        let tag = cipher.seal(sequence, HEADER, &mut bytes);
        bytes.extend_from_slice(&tag);
        bytes
    }

    fn open(
        cipher: &mut RecordCipher,
        sequence: u64,
        header: &[u8],
        record: &[u8],
    ) -> Result<Vec<u8>, SealBroken> {
        let mut bytes = record.to_vec();
        cipher.open(sequence, header, &mut bytes).map(|m| m.to_vec())
    }

    #[test]
    fn nothing_is_sealed_where_nothing_is_encrypted() {
        assert!(RecordCipher::new(EncryptionInUse::None, [1; SECRET_BYTES]).is_none());
    }

    #[test]
    fn only_the_very_record_opens() {
        for suite in SUITES {
            let record = seal(&mut cipher(suite, 7), 0, b"log block");
            assert_ne!(&record[..9], b"log block", "{suite:?}");
            let fresh = || cipher(suite, 7);
            assert_eq!(open(&mut fresh(), 0, HEADER, &record), Ok(b"log block".to_vec()));
            assert_eq!(open(&mut fresh(), 0, b"other!", &record), Err(SealBroken));
            assert_eq!(open(&mut fresh(), 0, HEADER, &record[..20]), Err(SealBroken));
            assert_eq!(open(&mut fresh(), 0, HEADER, &[]), Err(SealBroken));
            assert_eq!(open(&mut cipher(suite, 8), 0, HEADER, &record), Err(SealBroken));
            for i in 0..record.len() {
                let mut damaged = record.clone();
                damaged[i] ^= 0x80;
                assert_eq!(
                    open(&mut fresh(), 0, HEADER, &damaged),
                    Err(SealBroken),
                    "{suite:?} byte {i}"
                );
            }
        }
    }

    #[test]
    fn the_same_message_never_looks_the_same_again() {
        for suite in SUITES {
            let mut one = cipher(suite, 7);
            let (first, second) = (seal(&mut one, 0, b"ping ping"), seal(&mut one, 1, b"ping ping"));
            assert_ne!(first, second);
            assert_ne!(first, seal(&mut cipher(suite, 8), 0, b"ping ping"));
        }
    }

    #[test]
    fn keys_are_renewed_at_the_limit_on_both_sides() {
        for suite in SUITES {
            let limited =
                |limit| RecordCipher::with_limit(suite, [7; SECRET_BYTES], limit).expect("encrypted");
            let (mut sender, mut receiver) = (limited(3), limited(3));
            let mut unlimited = cipher(suite, 7);
            for sequence in 0..10 {
                let record = seal(&mut sender, sequence, b"block");
                assert_eq!(sender.generation, sequence / 3);
                assert_eq!(
                    open(&mut receiver, sequence, HEADER, &record),
                    Ok(b"block".to_vec())
                );
                let under_the_first_key = seal(&mut unlimited, sequence, b"block");
                assert_eq!(
                    record == under_the_first_key,
                    sequence < 3,
                    "{suite:?} {sequence}"
                );
            }
            // Who keeps the old key opens nothing of the new one's.
            let record = seal(&mut sender, 10, b"block");
            assert_eq!(open(&mut unlimited, 10, HEADER, &record), Err(SealBroken));
        }
    }

    #[test]
    fn a_later_secret_is_another_and_all_of_it() {
        let first = [7; SECRET_BYTES];
        let second = next(&first);
        assert_ne!(second, first);
        assert_ne!(second[..16], second[32..], "the parts differ");
        assert_ne!(next(&second), second);
    }
}
