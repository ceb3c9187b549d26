//! AES256-CTS-HMAC-SHA1-96, the one encryption type spoken here: keys from passwords, sealing, checks.
//!
//! Functions of their arguments: the confounder is handed in. Source: documented, RFC 3961 (key derivation, usages) and
//! RFC 3962 (string to key, cipher text stealing).

use aes::Aes256;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// etype and its checksum type.
pub const ETYPE: i64 = 18;
pub const CHECKSUM_TYPE: i64 = 16;

pub type Key = [u8; 32];
const BLOCK: usize = 16;
const CHECK_BYTES: usize = 12;
/// Rounds of hashing in a key made from a password. Source: documented, RFC 3962 section 4.
const ITERATIONS: u32 = 4_096;

/// What a key is used for. Source: documented, RFC 4120 7.5.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    Timestamp = 1,
    Ticket = 2,
    AsReply = 3,
    TgsRequestChecksum = 6,
    TgsRequestAuthenticator = 7,
    TgsReply = 8,
    ApRequestAuthenticator = 11,
    ApReply = 12,
}

/// The key of a password. The salt names the account.
pub fn string_to_key(password: &str, salt: &str) -> Key {
    string_to_key_in(password, salt, ITERATIONS)
}

fn string_to_key_in(password: &str, salt: &str, iterations: u32) -> Key {
    let mut seed = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha1>(password.as_bytes(), salt.as_bytes(), iterations, &mut seed);
    derive(&seed, b"kerberos")
}

/// Seals `message`; a `confounder` is used once.
pub fn seal(key: &Key, usage: Usage, confounder: [u8; BLOCK], message: &[u8]) -> Vec<u8> {
    let plain = [&confounder[..], message].concat();
    let check = check(key, usage, 0x55, &plain);
    let mut out = encrypt(&usage_key(key, usage, 0xaa), plain);
    out.extend(check);
    out
}

/// The message, if it was sealed with this key for this usage.
pub fn open(key: &Key, usage: Usage, sealed: &[u8]) -> Option<Vec<u8>> {
    let length = sealed.len().checked_sub(CHECK_BYTES)?;
    let (sealed, expected) = sealed.split_at(length);
    let plain = decrypt(&usage_key(key, usage, 0xaa), sealed)?;
    is_equal(&check(key, usage, 0x55, &plain), expected).then(|| plain[BLOCK..].to_vec())
}

/// A keyed checksum over `message`.
pub fn checksum(key: &Key, usage: Usage, message: &[u8]) -> [u8; CHECK_BYTES] {
    check(key, usage, 0x99, message)
}

/// Compares in constant time.
pub fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

fn check(key: &Key, usage: Usage, purpose: u8, message: &[u8]) -> [u8; CHECK_BYTES] {
    let key = usage_key(key, usage, purpose);
    let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(&key).expect("a key of any length will do");
    mac.update(message);
    let whole: [u8; 20] = mac.finalize().into_bytes().into();
    let mut cut = [0; CHECK_BYTES];
    cut.copy_from_slice(&whole[..CHECK_BYTES]);
    cut
}

fn usage_key(key: &Key, usage: Usage, purpose: u8) -> Key {
    derive(key, &[0, 0, 0, usage as u8, purpose])
}

fn derive(key: &Key, constant: &[u8]) -> Key {
    let cipher = cipher(key);
    let mut block = n_fold(constant);
    let mut derived = [0; 32];
    for half in derived.chunks_exact_mut(BLOCK) {
        encrypt_block(&cipher, &mut block);
        half.copy_from_slice(&block);
    }
    derived
}

/// Stretches or folds bytes to one block. Source: documented, RFC 3961 5.1.
fn n_fold(input: &[u8]) -> [u8; BLOCK] {
    let length = input.len();
    let bits = length * 8;
    let mut out = [0u8; BLOCK];
    let mut carry = 0u32;
    for i in (0..least_common_multiple(BLOCK, length)).rev() {
        let bit = (bits - 1 + (bits + 13) * (i / length) + (length - i % length) * 8) % bits;
        let pair = u32::from(input[(length - 1 - bit / 8) % length]) << 8
            | u32::from(input[(length - bit / 8) % length]);
        carry += (pair >> (bit % 8 + 1)) & 0xff;
        carry += u32::from(out[i % BLOCK]);
        out[i % BLOCK] = (carry & 0xff) as u8;
        carry >>= 8;
    }
    for byte in out.iter_mut().rev() {
        carry += u32::from(*byte);
        *byte = (carry & 0xff) as u8;
        carry >>= 8;
    }
    out
}

fn least_common_multiple(a: usize, b: usize) -> usize {
    (1..=b)
        .map(|n| a * n)
        .find(|multiple| multiple % b == 0)
        .unwrap_or(a * b)
}

fn cipher(key: &Key) -> Aes256 {
    <Aes256 as KeyInit>::new_from_slice(key).expect("thirty-two bytes are a key")
}

fn encrypt_block(cipher: &Aes256, block: &mut [u8; BLOCK]) {
    let mut array = (*block).into();
    cipher.encrypt_block(&mut array);
    *block = array.into();
}

fn decrypt_block(cipher: &Aes256, block: &mut [u8; BLOCK]) {
    let mut array = (*block).into();
    cipher.decrypt_block(&mut array);
    *block = array.into();
}

fn xor(block: &mut [u8; BLOCK], other: &[u8]) {
    for (byte, other) in block.iter_mut().zip(other) {
        *byte ^= other;
    }
}

/// CBC with cipher text stealing; at least one block.
fn encrypt(key: &Key, plain: Vec<u8>) -> Vec<u8> {
    let cipher = cipher(key);
    let mut chain = [0; BLOCK];
    let mut blocks: Vec<[u8; BLOCK]> = Vec::new();
    for piece in plain.chunks(BLOCK) {
        xor(&mut chain, piece);
        encrypt_block(&cipher, &mut chain);
        blocks.push(chain);
    }
    let last = blocks.len() - 1;
    if last > 0 {
        blocks.swap(last - 1, last);
    }
    let mut out = blocks.concat();
    out.truncate(plain.len());
    out
}

fn decrypt(key: &Key, sealed: &[u8]) -> Option<Vec<u8>> {
    let cipher = cipher(key);
    let (pieces, stolen) = match sealed.len() {
        0..BLOCK => return None,
        BLOCK => (sealed, &[][..]),
        length => sealed.split_at((length - 1) / BLOCK * BLOCK),
    };
    let mut chain = [0; BLOCK];
    let mut plain = Vec::with_capacity(sealed.len());
    let (blocks, _) = pieces.as_chunks::<BLOCK>();
    let (last, before) = blocks.split_last()?;
    let mut unchain = |block: &[u8; BLOCK]| {
        let mut open = *block;
        decrypt_block(&cipher, &mut open);
        xor(&mut open, &chain);
        chain = *block;
        open
    };
    for block in before {
        plain.extend(unchain(block));
    }
    if stolen.is_empty() {
        plain.extend(unchain(last));
        return Some(plain);
    }
    // The last whole block holds the end of the message and the end of the block before.
    let mut end = *last;
    decrypt_block(&cipher, &mut end);
    let mut previous = end;
    previous[..stolen.len()].copy_from_slice(stolen);
    xor(&mut end, stolen);
    plain.extend(unchain(&previous));
    plain.extend(&end[..stolen.len()]);
    Some(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// RFC 3961 A.1.
    #[test]
    fn the_published_fold_comes_out() {
        assert_eq!(hex(&n_fold(b"kerberos")), "6b65726265726f737b9b5b2b93132b93");
    }

    /// RFC 3962 appendix B.
    #[test]
    fn the_published_keys_of_passwords_come_out() {
        let salt = "ATHENA.MIT.EDUraeburn";
        assert_eq!(
            hex(&string_to_key_in("password", salt, 1)),
            "fe697b52bc0d3ce14432ba036a92e65bbb52280990a2fa27883998d72af30161"
        );
        assert_eq!(
            hex(&string_to_key_in("password", salt, 1_200)),
            "55a6ac740ad17b4846941051e1e8b0a7548d93b0ab30a8bc3ff16280382b8c2a"
        );
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_with_the_same_key_and_usage_only(
            key: Key, confounder: [u8; BLOCK], message in prop::collection::vec(any::<u8>(), 0..100), at: prop::sample::Index,
        ) {
            let mut sealed = seal(&key, Usage::Ticket, confounder, &message);
            prop_assert_eq!(sealed.len(), BLOCK + message.len() + CHECK_BYTES);
            prop_assert_eq!(open(&key, Usage::Ticket, &sealed), Some(message));
            prop_assert_eq!(open(&key, Usage::AsReply, &sealed), None);
            let at = at.index(sealed.len());
            sealed[at] ^= 1;
            prop_assert_eq!(open(&key, Usage::Ticket, &sealed), None);
        }

        #[test]
        fn any_bytes_stay_shut(bytes: Vec<u8>) {
            prop_assert_eq!(open(&[7; 32], Usage::Ticket, &bytes), None);
        }
    }
}
