//! Who somebody is in a domain: account names, security identifiers, and the keys a password turns into.
//!
//! Knows no domain and no protocol. A password is kept only as what the protocols need of it. Source: documented,
//! MS-NLMP 3.3.2 (NTOWF), RFC 3962 (string to key), MS-KILE 3.1.1.2 (salt), MS-DTYP 2.4.2 (SID).

use std::cmp::Ordering;
use std::fmt;
use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};

use super::kerberos::crypto::string_to_key;
use super::ntlm::crypto::nt_hash;

/// Characters of a domain or account name at most; what is longer is no name.
pub const NAME_CHARS_MAX: usize = 256;

/// `DOMAIN\name`. Compared without regard to case, printed as written.
#[derive(Debug, Clone)]
pub struct AccountName {
    domain: String,
    name: String,
}

impl AccountName {
    pub fn new(domain: impl Into<String>, name: impl Into<String>) -> Self {
        AccountName {
            domain: domain.into(),
            name: name.into(),
        }
    }

    /// The account of a computer: `DOMAIN\COMPUTER$`.
    pub fn computer(domain: impl Into<String>, computer: &str) -> Self {
        AccountName::new(domain, format!("{}$", computer.to_uppercase()))
    }

    /// Parses `DOMAIN\name`; both parts must be there, of at most [`NAME_CHARS_MAX`] characters.
    pub fn parse(text: &str) -> Option<Self> {
        let (domain, name) = text.split_once('\\')?;
        let is_name = |s: &str| !s.is_empty() && s.chars().count() <= NAME_CHARS_MAX && !s.contains('\\');
        (is_name(domain) && is_name(name)).then(|| AccountName::new(domain, name))
    }

    /// The NetBIOS name of the domain.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn is_computer(&self) -> bool {
        self.name.ends_with('$')
    }

    fn folded(&self) -> (String, String) {
        (fold(&self.domain), fold(&self.name))
    }
}

/// How names are compared.
pub(super) fn fold(name: &str) -> String {
    name.to_uppercase()
}

impl PartialEq for AccountName {
    fn eq(&self, other: &Self) -> bool {
        self.folded() == other.folded()
    }
}

impl Eq for AccountName {}

impl PartialOrd for AccountName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for AccountName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded().cmp(&other.folded())
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}\\{}", self.domain, self.name))
    }
}

/// A security identifier of an account: `S-1-5-21-…-rid`.
///
/// The domain's part follows from its DNS name (ours; Windows draws it), the last part counts up in each domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sid {
    domain: [u32; 3],
    rid: u32,
}

impl Sid {
    /// Bytes of [`to_bytes`](Sid::to_bytes): revision, count, authority, five sub-authorities.
    pub const BYTES: usize = 28;

    pub(super) fn new(domain: [u32; 3], rid: u32) -> Self {
        Sid { domain, rid }
    }

    /// The binary form, as `sys.server_principals.sid` holds it. Source: documented, MS-DTYP 2.4.2.2.
    pub fn to_bytes(self) -> [u8; Sid::BYTES] {
        let mut bytes = [0; Sid::BYTES];
        bytes[..8].copy_from_slice(&[1, 5, 0, 0, 0, 0, 0, 5]);
        let parts = [21, self.domain[0], self.domain[1], self.domain[2], self.rid];
        for (place, part) in bytes[8..].chunks_exact_mut(4).zip(parts) {
            place.copy_from_slice(&part.to_le_bytes());
        }
        bytes
    }

    /// Reads the binary form of a domain account; `None` for any other.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Sid::BYTES] = bytes.try_into().ok()?;
        let mut parts = [0u32; 5];
        for (part, place) in parts.iter_mut().zip(bytes[8..].chunks_exact(4)) {
            *part = u32::from_le_bytes([place[0], place[1], place[2], place[3]]);
        }
        let sid = Sid::new([parts[1], parts[2], parts[3]], parts[4]);
        (sid.to_bytes() == *bytes).then_some(sid)
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c] = self.domain;
        f.pad(&format!("S-1-5-21-{a}-{b}-{c}-{}", self.rid))
    }
}

/// The part of a SID that all accounts of a domain share.
pub(super) fn domain_sid(dns_name: &str) -> [u32; 3] {
    let digest: [u8; 32] = Sha256::digest(fold(dns_name).as_bytes()).into();
    let part = |at: usize| u32::from_le_bytes([digest[at], digest[at + 1], digest[at + 2], digest[at + 3]]);
    [part(0), part(4), part(8)]
}

/// Whom Windows authentication proved the peer to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowsIdentity {
    pub account: AccountName,
    pub sid: Sid,
}

impl fmt::Display for WindowsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.account.fmt(f)
    }
}

/// The keys that a password of one account turns into.
#[derive(Clone)]
pub struct Secret {
    nt: [u8; 16],
    password: String,
    salt: String,
    /// Thousands of rounds of hashing, so computed when first asked for, once for all clones.
    aes256: Arc<OnceLock<[u8; 32]>>,
}

impl Secret {
    /// `dns_domain` and the account's name salt the Kerberos key.
    pub fn new(account: &AccountName, dns_domain: &str, password: impl Into<String>) -> Self {
        let password = password.into();
        Secret {
            nt: nt_hash(&password),
            salt: salt(account, dns_domain),
            password,
            aes256: Arc::default(),
        }
    }

    /// The NT hash, from which the NTLMv2 keys are made.
    pub fn nt(&self) -> &[u8; 16] {
        &self.nt
    }

    /// The Kerberos key.
    pub fn aes256(&self) -> &[u8; 32] {
        self.aes256
            .get_or_init(|| string_to_key(&self.password, &self.salt))
    }
}

/// Source: documented, MS-KILE 3.1.1.2.
fn salt(account: &AccountName, dns_domain: &str) -> String {
    let realm = dns_domain.to_uppercase();
    match account.name().strip_suffix('$') {
        Some(computer) => format!(
            "{realm}host{}.{}",
            computer.to_lowercase(),
            dns_domain.to_lowercase()
        ),
        None => format!("{realm}{}", account.name()),
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.password == other.password && self.salt == other.salt
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_equal_without_regard_to_case_and_print_as_written() {
        let name = AccountName::parse("Adventure\\SqlService").expect("a name");
        assert_eq!(name, AccountName::new("ADVENTURE", "sqlservice"));
        assert_eq!(name.to_string(), "Adventure\\SqlService");
        assert_eq!(AccountName::computer("D", "alpha").to_string(), "D\\ALPHA$");
        for wrong in [
            "",
            "name",
            "\\name",
            "domain\\",
            "a\\b\\c",
            &format!("d\\{}", "x".repeat(257)),
        ] {
            assert_eq!(AccountName::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_sid_reads_back_from_its_bytes() {
        let sid = Sid::new(domain_sid("adventure-works.com"), 1103);
        assert_eq!(Sid::from_bytes(&sid.to_bytes()), Some(sid));
        assert!(sid.to_string().starts_with("S-1-5-21-"), "{sid}");
        let mut wrong = sid.to_bytes();
        wrong[8] = 22;
        assert_eq!(Sid::from_bytes(&wrong), None);
        assert_eq!(Sid::from_bytes(&wrong[1..]), None);
        assert_eq!(domain_sid("A.example"), domain_sid("a.EXAMPLE"));
    }

    #[test]
    fn computers_and_users_are_salted_differently() {
        assert_eq!(salt(&AccountName::new("D", "svc"), "d.example"), "D.EXAMPLEsvc");
        assert_eq!(
            salt(&AccountName::new("D", "ALPHA$"), "d.example"),
            "D.EXAMPLEhostalpha.d.example"
        );
    }
}
