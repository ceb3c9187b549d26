//! Private keys outside `master`'s own protection: sealed with a password, or bare.
//!
//! A sealed key is a magic, a salt, and the key under AES-256-GCM with a key stretched from password and salt; a bare one
//! is PKCS #8 as it is. The same sealed form lies in files, in `BINARY` literals and in `master`. Salts are handed in.
//! Source: ours (the product's files are PVK, which has no place for the keys used here).

use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::{Aes256Gcm, Key, Nonce, Tag};
use sha2::{Digest, Sha256};
use thiserror::Error;

const MAGIC: &[u8; 8] = b"MLABKEY1";
/// Bytes of salt in front of a sealed key.
pub const SALT_BYTES: usize = 16;
const TAG_BYTES: usize = 16;
/// What a guess at a password costs, in hashes: enough to make a point, few enough for a simulation.
const STRETCH: u32 = 1_000;

/// Why a private key cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UnsealError {
    #[error("the private key is sealed with a password and none was given")]
    PasswordNeeded,
    #[error("the password of the private key is wrong, or the key is damaged")]
    PasswordWrong,
    #[error("a password was given for a private key that is not sealed")]
    NotSealed,
}

/// `secret` under `password`. A salt is used once.
pub fn seal(secret: &[u8], password: &str, salt: [u8; SALT_BYTES]) -> Vec<u8> {
    let mut body = secret.to_vec();
    let tag = cipher(password, &salt)
        .encrypt_in_place_detached(&Nonce::default(), MAGIC, &mut body)
        .expect("a private key is far below the cipher's limit of 64 GiB");
    [MAGIC.as_slice(), &salt, &body, &tag].concat()
}

/// What was sealed, or the bytes themselves if they are not sealed and no password was given.
pub fn unseal(bytes: &[u8], password: Option<&str>) -> Result<Vec<u8>, UnsealError> {
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        return match password {
            None => Ok(bytes.to_vec()),
            Some(_) => Err(UnsealError::NotSealed),
        };
    };
    let password = password.ok_or(UnsealError::PasswordNeeded)?;
    let (salt, rest) = rest.split_first_chunk().ok_or(UnsealError::PasswordWrong)?;
    let (body, tag) = rest
        .split_last_chunk::<TAG_BYTES>()
        .ok_or(UnsealError::PasswordWrong)?;
    let mut body = body.to_vec();
    cipher(password, salt)
        .decrypt_in_place_detached(&Nonce::default(), MAGIC, &mut body, Tag::from_slice(tag))
        .map_err(|_| UnsealError::PasswordWrong)?;
    Ok(body)
}

/// A key for one salt, so that the nonce may be the same every time.
fn cipher(password: &str, salt: &[u8; SALT_BYTES]) -> Aes256Gcm {
    let mut key = Sha256::digest([salt.as_slice(), password.as_bytes()].concat());
    for _ in 0..STRETCH {
        key = Sha256::new()
            .chain_update(key)
            .chain_update(salt)
            .chain_update(password)
            .finalize();
    }
    Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(&key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_password_opens_what_it_sealed() {
        let sealed = seal(b"secret", "p", [1; SALT_BYTES]);
        assert_eq!(unseal(&sealed, Some("p")), Ok(b"secret".to_vec()));
        assert_eq!(unseal(&sealed, Some("q")), Err(UnsealError::PasswordWrong));
        assert_eq!(unseal(&sealed, None), Err(UnsealError::PasswordNeeded));
        assert_ne!(sealed, seal(b"secret", "p", [2; SALT_BYTES]));
    }

    #[test]
    fn a_bare_key_has_no_password() {
        assert_eq!(unseal(b"bare", None), Ok(b"bare".to_vec()));
        assert_eq!(unseal(b"bare", Some("p")), Err(UnsealError::NotSealed));
    }

    proptest! {
        #[test]
        fn damage_is_noticed_and_no_bytes_panic(at in 0usize..46, flip in 1u8.., cut in 0usize..46) {
            let sealed = seal(b"secret", "p", [1; SALT_BYTES]);
            let mut damaged = sealed.clone();
            damaged[at] ^= flip;
            prop_assert!(unseal(&damaged, Some("p")).is_err());
            prop_assert!(unseal(&sealed[..cut], Some("p")).is_err());
        }
    }
}
