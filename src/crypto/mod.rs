//! Seeded TLS cryptography, certificates and record ciphers; randomness and dates are handed in.
//!
//! Knows no endpoint and no protocol. Algorithms come from libraries: `rustls` on `ring` (handshake, signatures),
//! `x25519-dalek` (key agreement from a seeded secret), `rcgen` and `x509-parser` (certificates), `aes-gcm` (records).

pub mod certificate;
pub mod private_key;
pub mod provider;
pub mod record;
