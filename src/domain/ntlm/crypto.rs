//! The computations of NTLMv2, functions of their arguments. Source: documented, MS-NLMP 3.3.2, 3.4.4, 3.4.5.

use hmac::{Hmac, KeyInit, Mac};
use md4::Md4;
use md5::{Digest, Md5};
use rc4::{Rc4, StreamCipher};

/// A key or a proof of NTLM.
pub type Key = [u8; 16];

/// UTF-16, little end first.
pub fn utf16le(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// What a domain controller stores of a password: NTOWFv1.
pub fn nt_hash(password: &str) -> Key {
    Md4::digest(utf16le(password)).into()
}

/// NTOWFv2: the NT hash bound to an account as the initiator names it.
pub fn ntowf_v2(nt_hash: &Key, user: &str, domain: &str) -> Key {
    hmac_md5(nt_hash, &[&utf16le(&user.to_uppercase()), &utf16le(domain)])
}

/// What follows the proof in an NTLMv2 response: `temp` of the specification.
///
/// `time` counts 100 ns since 1601; `av_pairs` includes their end.
pub fn response_blob(time: u64, client_challenge: &[u8; 8], av_pairs: &[u8]) -> Vec<u8> {
    let mut blob = vec![1, 1, 0, 0, 0, 0, 0, 0];
    blob.extend(time.to_le_bytes());
    blob.extend(client_challenge);
    blob.extend([0; 4]);
    blob.extend(av_pairs);
    blob.extend([0; 4]);
    blob
}

/// NTProofStr: who made it knew the key, the challenge and the blob.
pub fn proof(ntowf_v2: &Key, server_challenge: &[u8; 8], blob: &[u8]) -> Key {
    hmac_md5(ntowf_v2, &[server_challenge, blob])
}

/// SessionBaseKey, under which the initiator sends the exported key.
pub fn session_base_key(ntowf_v2: &Key, proof: &Key) -> Key {
    hmac_md5(ntowf_v2, &[proof])
}

/// RC4 of one key under another: both ways.
pub fn exchange_key(key: &Key, other: &Key) -> Key {
    let mut out = *other;
    let mut cipher = Rc4::new_from_slice(key).expect("sixteen bytes are a key");
    cipher.apply_keystream(&mut out);
    out
}

/// The check value over the three messages of an exchange.
pub fn message_integrity(exported: &Key, messages: [&[u8]; 3]) -> Key {
    hmac_md5(exported, &messages)
}

/// Whether two keys are equal, in constant time.
pub fn is_equal(a: &Key, b: &Key) -> bool {
    a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

fn hmac_md5(key: &Key, parts: &[&[u8]]) -> Key {
    let mut mac = <Hmac<Md5> as KeyInit>::new_from_slice(key).expect("a key of any length will do");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    //! The published example of NTLMv2: MS-NLMP 4.2.1 and 4.2.4.
    use super::*;

    const AV_PAIRS: &[u8] = b"\x02\x00\x0c\x00D\0o\0m\0a\0i\0n\0\x01\x00\x0c\x00S\0e\0r\0v\0e\0r\0\0\0\0\0";
    const SERVER_CHALLENGE: [u8; 8] = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn the_published_keys_come_out() {
        let key = ntowf_v2(&nt_hash("Password"), "User", "Domain");
        assert_eq!(hex(&key), "0c868a403bfd7a93a3001ef22ef02e3f");
        let blob = response_blob(0, &[0xaa; 8], AV_PAIRS);
        let proof = proof(&key, &SERVER_CHALLENGE, &blob);
        assert_eq!(hex(&proof), "68cd0ab851e51c96aabc927bebef6a1c");
        let base = session_base_key(&key, &proof);
        assert_eq!(hex(&base), "8de40ccadbc14a82f15cb0ad0de95ca3");
        let sent = exchange_key(&base, &[0x55; 16]);
        assert_eq!(hex(&sent), "c5dad2544fc9799094ce1ce90bc9d03e");
        assert_eq!(exchange_key(&base, &sent), [0x55; 16]);
    }

    #[test]
    fn the_published_password_hash_comes_out() {
        assert_eq!(hex(&nt_hash("Password")), "a4f49c406510bdcab6824ee7c30fd852");
        assert!(is_equal(&nt_hash("Password"), &nt_hash("Password")));
        assert!(!is_equal(&nt_hash("Password"), &nt_hash("password")));
    }
}
