//! Certificates: made from a seed, read from DER, matched with their private keys.
//!
//! A made certificate is self-signed with an Ed25519 key and is the same bytes for the same arguments. Nothing here
//! trusts or refuses a certificate; dates are facts to be compared elsewhere. Source: ours; documented where said.

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ED25519, SerialNumber};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use thiserror::Error;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use crate::types::WallTime;

use super::provider::provider;

/// A certificate and its private key.
#[derive(Clone, PartialEq, Eq)]
pub struct Generated {
    pub der: Vec<u8>,
    /// PKCS #8, Ed25519.
    pub private_key_pkcs8: Vec<u8>,
}

/// What a certificate says, for the catalog view and the look-up of a peer's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The subject: its common name where it has nothing else, the whole name otherwise.
    pub subject: String,
    pub issuer: String,
    /// The issuer's name as encoded; with `serial`, what a look-up compares.
    pub issuer_der: Vec<u8>,
    pub serial: Vec<u8>,
    pub not_before: WallTime,
    pub not_after: WallTime,
    /// SHA-256 of the DER. Source: ours (the product's thumbprint is a SHA-1 of it).
    pub thumbprint: [u8; 32],
}

impl CertificateFacts {
    /// Why the certificate is not valid at `wall`, if it is not. Both dates are inclusive.
    pub fn check_dates(&self, wall: WallTime) -> Result<(), OutOfDate> {
        if wall < self.not_before {
            return Err(OutOfDate::NotYetValid(self.not_before));
        }
        // X.509 dates are whole seconds, and the last second is part of the validity.
        if wall.unix_secs() > self.not_after.unix_secs() {
            return Err(OutOfDate::Expired(self.not_after));
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OutOfDate {
    #[error("it is not valid before {0} UTC")]
    NotYetValid(WallTime),
    #[error("it expired at {0} UTC")]
    Expired(WallTime),
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CertificateError {
    #[error("a certificate's dates lie in the years 1950 to 9999, not {0}")]
    Year(WallTime),
    #[error("the certificate could not be made: {0}")]
    Make(String),
    #[error("it is not a DER-encoded X.509 certificate: {0}")]
    Parse(String),
    #[error("its signature was not made with its own key")]
    Signature,
    #[error("the private key is not usable: {0}")]
    Key(String),
    #[error("the private key does not belong to the certificate")]
    KeyOfAnother,
}

/// A self-signed certificate whose key and serial number come from `seed`. Dates are cut to whole seconds.
///
/// The expiry may precede the start: the product warns about that and makes the certificate all the same.
pub fn generate(
    seed: &[u8; 32],
    subject: &str,
    not_before: WallTime,
    not_after: WallTime,
) -> Result<Generated, CertificateError> {
    let private_key_pkcs8 = ed25519_pkcs8(&expand(seed, b"key"));
    let key = KeyPair::from_pkcs8_der_and_sign_algo(
        &PrivatePkcs8KeyDer::from(private_key_pkcs8.clone()),
        &PKCS_ED25519,
    )
    .map_err(|e| CertificateError::Make(e.to_string()))?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, subject);
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.not_before = date(not_before)?;
    params.not_after = date(not_after)?;
    params.serial_number = Some(SerialNumber::from_slice(&serial(seed)));
    let certificate = params
        .self_signed(&key)
        .map_err(|e| CertificateError::Make(e.to_string()))?;
    Ok(Generated {
        der: certificate.der().to_vec(),
        private_key_pkcs8,
    })
}

/// The thumbprint of a certificate: SHA-256 of its bytes, whatever they are.
pub fn thumbprint(der: &[u8]) -> [u8; 32] {
    Sha256::digest(der).into()
}

/// The thumbprint of a certificate, in hexadecimal: SHA-256 of its bytes, whatever they are.
pub fn thumbprint_of(der: &[u8]) -> String {
    thumbprint(der).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a certificate; nothing may follow it.
pub fn parse(der: &[u8]) -> Result<CertificateFacts, CertificateError> {
    let (rest, certificate) =
        X509Certificate::from_der(der).map_err(|e| CertificateError::Parse(e.to_string()))?;
    if !rest.is_empty() {
        return Err(CertificateError::Parse(format!("{} bytes follow it", rest.len())));
    }
    let validity = certificate.validity();
    Ok(CertificateFacts {
        subject: readable(certificate.subject()),
        issuer: readable(certificate.issuer()),
        issuer_der: certificate.issuer().as_raw().to_vec(),
        serial: certificate.raw_serial().to_vec(),
        not_before: WallTime::from_unix_secs(validity.not_before.timestamp()),
        not_after: WallTime::from_unix_secs(validity.not_after.timestamp()),
        thumbprint: thumbprint(der),
    })
}

/// Whether the private key is usable and belongs to the certificate.
pub fn check_key(der: &[u8], private_key_pkcs8: &[u8]) -> Result<(), CertificateError> {
    let chain = vec![CertificateDer::from(der.to_vec())];
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(private_key_pkcs8.to_vec()));
    CertifiedKey::from_der(chain, key, &provider())
        .map(drop)
        .map_err(|e| match e {
            rustls::Error::InconsistentKeys(_) => CertificateError::KeyOfAnother,
            other => CertificateError::Key(other.to_string()),
        })
}

/// Whether a self-signed certificate was signed with its own key. One that another issued, or signed in a way unknown
/// here, passes: nobody's word but the copy in `master` counts.
pub fn check_signature(der: &[u8]) -> Result<(), CertificateError> {
    let (_, certificate) =
        X509Certificate::from_der(der).map_err(|e| CertificateError::Parse(e.to_string()))?;
    if certificate.issuer() != certificate.subject() {
        return Ok(());
    }
    let oid = certificate.signature_algorithm.algorithm.as_bytes();
    let key = &certificate.tbs_certificate.subject_pki.subject_public_key.data;
    let tbs = certificate.tbs_certificate.as_ref();
    let signature = &certificate.signature_value.data;
    let algorithms = provider().signature_verification_algorithms.all;
    // The identifier holds the algorithm's OID behind a tag and a length.
    let mut known = algorithms
        .iter()
        .filter(|a| {
            a.signature_alg_id()
                .as_ref()
                .get(2..)
                .is_some_and(|id| id.starts_with(oid))
        })
        .peekable();
    if known.peek().is_none() || known.any(|a| a.verify_signature(key, tbs, signature).is_ok()) {
        return Ok(());
    }
    Err(CertificateError::Signature)
}

fn date(wall: WallTime) -> Result<time::OffsetDateTime, CertificateError> {
    let utc = WallTime::from_unix_secs(wall.unix_secs()).to_utc();
    let is_in_range = (1950..=9999).contains(&utc.year()) && utc.unix_timestamp() == wall.unix_secs();
    if is_in_range {
        Ok(utc)
    } else {
        Err(CertificateError::Year(wall))
    }
}

fn expand(seed: &[u8; 32], purpose: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(seed)
        .chain_update(purpose)
        .finalize()
        .into()
}

/// Sixteen bytes, positive and without leading zero, as DER wants them.
fn serial(seed: &[u8; 32]) -> [u8; 16] {
    let mut serial = [0; 16];
    serial.copy_from_slice(&expand(seed, b"serial")[..16]);
    serial[0] = (serial[0] & 0x7f) | 0x40;
    serial
}

/// RFC 8410: version 0, algorithm 1.3.101.112, the 32 secret bytes.
fn ed25519_pkcs8(secret: &[u8; 32]) -> Vec<u8> {
    let mut der = vec![
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
    ];
    der.extend_from_slice(secret);
    der
}

fn readable(name: &X509Name<'_>) -> String {
    let mut attributes = name.iter_attributes();
    let mut common_names = name.iter_common_name();
    match (attributes.next(), attributes.next(), common_names.next()) {
        (Some(_), None, Some(only)) => only.as_str().unwrap_or_default().to_owned(),
        _ => name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: WallTime = WallTime::from_unix_secs(1_767_225_600);
    const END: WallTime = WallTime::from_unix_secs(1_798_761_600);

    fn made() -> Generated {
        generate(&[1; 32], "HOST_A certificate, \"quoted\"", START, END).expect("made")
    }

    #[test]
    fn what_was_asked_for_reads_back() {
        let facts = parse(&made().der).expect("parses");
        assert_eq!(facts.subject, "HOST_A certificate, \"quoted\"");
        assert_eq!(facts.issuer, facts.subject);
        assert_eq!((facts.not_before, facts.not_after), (START, END));
        assert_eq!(facts.serial, serial(&[1; 32]));
    }

    #[test]
    fn same_seed_same_bytes_and_another_seed_another_key() {
        assert!(made() == made());
        let other = generate(&[2; 32], "HOST_A certificate, \"quoted\"", START, END).unwrap();
        assert!(other.der != made().der);
        check_key(&made().der, &made().private_key_pkcs8).expect("its own key");
        let error = check_key(&made().der, &other.private_key_pkcs8).unwrap_err();
        assert_eq!(error, CertificateError::KeyOfAnother);
        let error = check_key(&made().der, b"rubbish").unwrap_err();
        assert!(matches!(error, CertificateError::Key(_)), "{error}");
    }

    #[test]
    fn a_self_signed_certificate_is_signed_with_its_own_key() {
        let mut der = made().der;
        assert_eq!(check_signature(&der), Ok(()));
        let last = der.len() - 1;
        der[last] ^= 1;
        assert!(parse(&der).is_ok());
        assert_eq!(check_signature(&der), Err(CertificateError::Signature));
    }

    #[test]
    fn dates_are_inclusive_and_odd_ones_are_made_or_refused() {
        let facts = parse(&made().der).unwrap();
        let millis = |wall: WallTime, more| WallTime::from_unix_millis(wall.unix_millis() + more);
        assert_eq!(facts.check_dates(START), Ok(()));
        assert_eq!(
            facts.check_dates(millis(START, -1)),
            Err(OutOfDate::NotYetValid(START))
        );
        assert_eq!(facts.check_dates(millis(END, 999)), Ok(()));
        assert_eq!(
            facts.check_dates(millis(END, 1_000)),
            Err(OutOfDate::Expired(END))
        );
        generate(&[1; 32], "backwards", END, START).expect("only a warning");
        let far = WallTime::from_unix_secs(400_000_000_000);
        assert_eq!(
            generate(&[1; 32], "far", START, far).err(),
            Some(CertificateError::Year(far))
        );
        let long_ago = WallTime::from_unix_secs(-2_000_000_000);
        assert!(generate(&[1; 32], "old", long_ago, END).is_err());
    }

    #[test]
    fn a_certificate_with_a_tail_is_refused() {
        let mut der = made().der;
        der.push(0);
        assert!(matches!(parse(&der), Err(CertificateError::Parse(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0usize..200, to in any::<u8>()) {
            prop_assert!(parse(&bytes).is_err());
            let mut der = made().der;
            der[at] = to;
            if let Ok(facts) = parse(&der) {
                let _ = facts.check_dates(START);
            }
        }
    }
}
