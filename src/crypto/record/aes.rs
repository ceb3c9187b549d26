//! AES-256-GCM records: key and nonce mask from the secret, the sequence number xored into the nonce.

use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::{Aes256Gcm, Key, Nonce, Tag};

use super::{SECRET_BYTES, SealBroken, TAG_BYTES};

pub(super) struct AesRecords {
    cipher: Aes256Gcm,
    nonce_mask: [u8; 12],
}

impl AesRecords {
    pub(super) fn new(secret: &[u8; SECRET_BYTES]) -> Self {
        let mut nonce_mask = [0; 12];
        nonce_mask.copy_from_slice(&secret[32..44]);
        AesRecords {
            cipher: Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(&secret[..32])),
            nonce_mask,
        }
    }

    pub(super) fn seal(&self, sequence: u64, header: &[u8], message: &mut [u8]) -> [u8; TAG_BYTES] {
        let tag = self
            .cipher
            .encrypt_in_place_detached(&self.nonce(sequence), header, message)
            .expect("a frame is far below the cipher's limit of 64 GiB");
        tag.into()
    }

    pub(super) fn open(
        &self,
        sequence: u64,
        header: &[u8],
        message: &mut [u8],
        tag: &[u8],
    ) -> Result<(), SealBroken> {
        self.cipher
            .decrypt_in_place_detached(&self.nonce(sequence), header, message, Tag::from_slice(tag))
            .map_err(|_| SealBroken)
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

    #[test]
    fn a_record_opens_under_its_own_number_alone() {
        let records = AesRecords::new(&[7; SECRET_BYTES]);
        let mut message = *b"log block";
        let tag = records.seal(3, b"header", &mut message);
        let open = |sequence| {
            let mut copy = message;
            records.open(sequence, b"header", &mut copy, &tag).map(|()| copy)
        };
        assert_eq!(open(3), Ok(*b"log block"));
        assert_eq!(open(4), Err(SealBroken));
    }
}
