//! The envelope of every Windows token: which package made it, and which way it goes.
//!
//! The acceptor of a NEGOTIATE exchange learns the initiator's choice from it, and both ends can tell a token of
//! another package (message 28039) and one that goes in the wrong direction (28079) from a damaged one. SPNEGO does
//! this in Windows (RFC 4178); the three bytes are ours.

use super::failure::{Package, WindowsFailure};

/// First byte of every Windows token.
const MAGIC: u8 = 0x57;
const NTLM: u8 = 1;
const KERBEROS: u8 = 2;

/// Who sends a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    Initiator = 1,
    Acceptor = 2,
}

pub(super) fn wrap(package: Package, from: From, token: &[u8]) -> Vec<u8> {
    let package = match package {
        Package::Ntlm => NTLM,
        Package::Kerberos => KERBEROS,
    };
    [&[MAGIC, package, from as u8], token].concat()
}

/// The package and the token inside. Fails unless `from` sent it.
pub(super) fn unwrap(token: &[u8], from: From) -> Result<(Package, &[u8]), WindowsFailure> {
    let Some((&[magic, package, sender], inner)) = token.split_first_chunk::<3>() else {
        return Err(WindowsFailure::InvalidToken("it ends early"));
    };
    if magic != MAGIC {
        return Err(WindowsFailure::InvalidToken("it is no Windows token"));
    }
    let package = match package {
        NTLM => Package::Ntlm,
        KERBEROS => Package::Kerberos,
        _ => return Err(WindowsFailure::InvalidToken("its package is unknown")),
    };
    let known = [From::Initiator, From::Acceptor];
    match known.into_iter().find(|f| *f as u8 == sender) {
        None => Err(WindowsFailure::InvalidToken("its direction is unknown")),
        Some(sender) if sender != from => Err(WindowsFailure::WrongDirection),
        Some(_) => Ok((package, inner)),
    }
}

/// The token inside, which must be of `package`.
pub(super) fn unwrap_package(token: &[u8], package: Package, from: From) -> Result<&[u8], WindowsFailure> {
    match unwrap(token, from)? {
        (found, inner) if found == package => Ok(inner),
        _ => Err(WindowsFailure::NotThePackage(package)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_and_direction_are_told_apart() {
        let token = wrap(Package::Kerberos, From::Initiator, b"abc");
        assert_eq!(
            unwrap(&token, From::Initiator),
            Ok((Package::Kerberos, &b"abc"[..]))
        );
        assert_eq!(
            unwrap(&token, From::Acceptor),
            Err(WindowsFailure::WrongDirection)
        );
        assert_eq!(
            unwrap_package(&token, Package::Ntlm, From::Initiator),
            Err(WindowsFailure::NotThePackage(Package::Ntlm))
        );
        for wrong in [
            &b""[..],
            b"\x57\x01",
            b"\x16\x01\x01",
            b"\x57\x03\x01",
            b"\x57\x01\x03",
        ] {
            assert!(
                matches!(
                    unwrap(wrong, From::Initiator),
                    Err(WindowsFailure::InvalidToken(_))
                ),
                "{wrong:?}"
            );
        }
    }
}
