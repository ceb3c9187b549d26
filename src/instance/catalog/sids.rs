//! Security identifiers as the views print them.
//!
//! A Windows account has its own, another login may be given one, `sa` has the product's. A certificate's, which a login
//! mapped to it shares, is its thumbprint under authority 9 (S-1-9-1-…). Source: *sys.certificates*, third-party for the
//! form; those of other principals are made of their ids, ours.

use super::{Catalog, Login, SA_ID};
use crate::crypto::certificate::thumbprint;

impl Catalog {
    /// `sid` of `sys.server_principals`, `0x…`: its own, that of its certificate, or one made of its id.
    pub fn shown_sid(&self, login: &Login) -> String {
        let certificate = self.certificates().find(|c| Some(c.id) == login.certificate);
        match certificate {
            _ if !login.sid.is_empty() => binary(&login.sid),
            Some(certificate) => binary(&certificate_sid(&certificate.der)),
            None => principal_sid(login.id),
        }
    }

    /// Whether the views show this identifier as a login's.
    pub fn is_sid_taken(&self, sid: &[u8]) -> bool {
        let sid = binary(sid);
        self.logins().any(|login| self.shown_sid(login) == sid)
    }

    /// The same by name, of a login that exists.
    pub fn sid_of(&self, login: &str) -> Option<String> {
        Some(self.shown_sid(self.login(login)?))
    }
}

/// Made of the principal's id, where nothing else gives one.
pub fn principal_sid(id: u32) -> String {
    match id == SA_ID {
        true => "0x01".to_owned(),
        false => format!("0x{id:08X}"),
    }
}

/// `sid` and `string_sid` of `sys.certificates`.
pub fn certificate_sids(der: &[u8]) -> (String, String) {
    let sid = certificate_sid(der);
    let parts = sid[8..].as_chunks::<4>().0;
    let text: String = parts
        .iter()
        .map(|part| format!("-{}", u32::from_le_bytes(*part)))
        .collect();
    (binary(&sid), format!("S-1-9{text}"))
}

/// Revision 1, how many parts follow, authority 9; then 1 and the thumbprint as parts of four bytes.
fn certificate_sid(der: &[u8]) -> Vec<u8> {
    let thumbprint = thumbprint(der);
    let parts = u8::try_from(thumbprint.len() / 4 + 1).expect("a thumbprint is a few parts");
    let mut sid = vec![1, parts, 0, 0, 0, 0, 0, 9, 1, 0, 0, 0];
    sid.extend(thumbprint);
    sid
}

/// A binary value as the views print it.
pub fn binary(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|b| format!("{b:02X}")).collect();
    format!("0x{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificates_sid_is_printed_in_both_forms() {
        let (sid, text) = certificate_sids(b"any bytes");
        assert!(sid.starts_with("0x010900000000000901000000"), "{sid}");
        assert_eq!(sid.len(), 2 + 2 * (12 + 32));
        let first = u32::from_str_radix(&sid[26..34], 16).unwrap().swap_bytes();
        assert!(text.starts_with(&format!("S-1-9-1-{first}-")), "{text}");
        assert_eq!(text.split('-').count(), 3 + 9);
    }
}
