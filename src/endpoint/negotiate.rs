//! Two configurations to an agreement or a reason: pure functions, computed alike on both sides.
//!
//! The acceptor's order of methods and of algorithms decides; who initiates does not matter to the encryption level.
//! Authentication is checked before encryption. Source: documented, *Transport Security* and *Audit Database
//! Mirroring Login*; `compat` of NEGOTIATE with a pinned protocol, and the refusal of SUPPORTED with SUPPORTED without
//! a common algorithm, are ours (the manual is silent).

use thiserror::Error;

use crate::types::EncryptionInUse;

use super::config::{Algorithm, EncryptionLevel, EndpointConfig, Method, WindowsMethod};

/// What one endpoint is configured to do, in its order of preference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    pub methods: Vec<Method>,
    pub level: EncryptionLevel,
    /// Empty where the level is DISABLED.
    pub algorithms: Vec<Algorithm>,
}

impl Terms {
    pub fn of(config: &EndpointConfig) -> Self {
        Terms {
            methods: config.authentication.methods(),
            level: config.encryption.level(),
            algorithms: config.encryption.algorithms().to_vec(),
        }
    }
}

/// What two endpoints will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// The methods to try, in order; one or two.
    pub plan: Vec<Method>,
    pub encryption: EncryptionInUse,
}

/// What two endpoints cannot agree on. Becomes message 28027.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Incompatible {
    #[error("authentication protocol")]
    Authentication,
    /// One side says DISABLED, the other REQUIRED.
    #[error("encryption level")]
    Level,
    #[error("encryption algorithm")]
    Algorithm,
}

/// Whether a pair of levels encrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    Plain,
    Encrypted,
}

/// The combined decision.
pub fn negotiate(acceptor: &Terms, initiator: &Terms) -> Result<Agreed, Incompatible> {
    let plan = plan(&acceptor.methods, &initiator.methods);
    if plan.is_empty() {
        return Err(Incompatible::Authentication);
    }
    let encryption = match protection(acceptor.level, initiator.level).ok_or(Incompatible::Level)? {
        Protection::Plain => EncryptionInUse::None,
        Protection::Encrypted => {
            match algorithm(&acceptor.algorithms, &initiator.algorithms).ok_or(Incompatible::Algorithm)? {
                Algorithm::Aes => EncryptionInUse::Aes,
                Algorithm::Rc4 => EncryptionInUse::Rc4,
            }
        }
    };
    Ok(Agreed { plan, encryption })
}

/// The methods both list, in the acceptor's order; empty if there are none.
pub fn plan(acceptor: &[Method], initiator: &[Method]) -> Vec<Method> {
    let common = |a: &Method| initiator.iter().find_map(|i| compat(*a, *i));
    acceptor.iter().filter_map(common).collect()
}

/// What two methods amount to together: NEGOTIATE yields to a pinned protocol, two pinned ones must be equal.
pub fn compat(a: Method, b: Method) -> Option<Method> {
    match (a, b) {
        (Method::Certificate, Method::Certificate) => Some(Method::Certificate),
        (Method::Windows(a), Method::Windows(b)) => match (a, b) {
            (WindowsMethod::Negotiate, pinned) | (pinned, WindowsMethod::Negotiate) => {
                Some(Method::Windows(pinned))
            }
            _ if a == b => Some(Method::Windows(a)),
            _ => None,
        },
        (Method::Certificate, Method::Windows(_)) | (Method::Windows(_), Method::Certificate) => None,
    }
}

/// Whether a pair of levels connects, and if so, encrypted. Symmetric.
pub fn protection(a: EncryptionLevel, b: EncryptionLevel) -> Option<Protection> {
    use EncryptionLevel::{Disabled, Required, Supported};
    match (a, b) {
        (Disabled, Required) | (Required, Disabled) => None,
        (Disabled, Disabled | Supported) | (Supported, Disabled) => Some(Protection::Plain),
        (Supported | Required, Supported | Required) => Some(Protection::Encrypted),
    }
}

/// The first algorithm of the acceptor that the initiator names as well.
pub fn algorithm(acceptor: &[Algorithm], initiator: &[Algorithm]) -> Option<Algorithm> {
    acceptor.iter().copied().find(|a| initiator.contains(a))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::super::config::{Algorithms, Authentication, Encryption};
    use super::*;

    fn authentications() -> Vec<Authentication> {
        let c = || "c".to_owned();
        let windows = WindowsMethod::ALL;
        let mut all: Vec<Authentication> = windows.map(Authentication::Windows).to_vec();
        all.push(Authentication::Certificate(c()));
        all.extend(windows.map(|w| Authentication::WindowsThenCertificate(w, c())));
        all.extend(windows.map(|w| Authentication::CertificateThenWindows(c(), w)));
        all
    }

    fn encryptions() -> Vec<Encryption> {
        let mut all = vec![Encryption::Disabled];
        all.extend(Algorithms::ALL.map(Encryption::Supported));
        all.extend(Algorithms::ALL.map(Encryption::Required));
        all
    }

    #[test]
    fn every_pair_of_authentications() {
        let mut table = String::new();
        for acceptor in authentications() {
            for initiator in authentications() {
                let plan = plan(&acceptor.methods(), &initiator.methods());
                let names: Vec<&str> = plan.iter().map(|m| m.desc()).collect();
                let outcome = if names.is_empty() {
                    "28027".to_owned()
                } else {
                    names.join(" then ")
                };
                writeln!(
                    table,
                    "{:<24} <- {:<24} {outcome}",
                    acceptor.desc(),
                    initiator.desc()
                )
                .unwrap();
            }
        }
        insta::assert_snapshot!("authentication", table);
    }

    #[test]
    fn every_pair_of_encryptions() {
        let mut table = String::new();
        for acceptor in encryptions() {
            for initiator in encryptions() {
                let terms = |encryption: Encryption| Terms {
                    methods: vec![Method::Certificate],
                    level: encryption.level(),
                    algorithms: encryption.algorithms().to_vec(),
                };
                let outcome = match negotiate(&terms(acceptor), &terms(initiator)) {
                    Ok(agreed) => agreed.encryption.desc().to_owned(),
                    Err(incompatible) => format!("28027 {incompatible}"),
                };
                let pair = format!("{acceptor} <- {initiator}").replace("ALGORITHM ", "");
                writeln!(table, "{pair:<40} {outcome}").unwrap();
            }
        }
        insta::assert_snapshot!("encryption", table);
    }

    /// Orders of methods with orders of algorithms: the acceptor's decide both, and a missing method is named before a
    /// missing algorithm.
    #[test]
    fn every_pair_of_orders() {
        let (w, c) = (WindowsMethod::Negotiate, || "c".to_owned());
        let methods = [
            Authentication::Windows(w),
            Authentication::Certificate(c()),
            Authentication::WindowsThenCertificate(w, c()),
            Authentication::CertificateThenWindows(c(), w),
        ];
        let encryptions = [
            Encryption::Disabled,
            Encryption::Required(Algorithms::Rc4),
            Encryption::Required(Algorithms::AesRc4),
            Encryption::Supported(Algorithms::Rc4Aes),
        ];
        let settings: Vec<(&Authentication, Encryption)> =
            methods.iter().flat_map(|m| encryptions.map(|e| (m, e))).collect();
        let terms = |(authentication, encryption): (&Authentication, Encryption)| Terms {
            methods: authentication.methods(),
            level: encryption.level(),
            algorithms: encryption.algorithms().to_vec(),
        };
        let name = |(authentication, encryption): (&Authentication, Encryption)| {
            format!("{}; {encryption}", authentication.desc()).replace("ALGORITHM ", "")
        };
        let mut table = String::new();
        for acceptor in &settings {
            for initiator in &settings {
                let outcome = match negotiate(&terms(*acceptor), &terms(*initiator)) {
                    Ok(Agreed { plan, encryption }) => {
                        let plan: Vec<&str> = plan.iter().map(|m| m.desc()).collect();
                        format!("{}; {}", plan.join(" then "), encryption.desc())
                    }
                    Err(incompatible) => format!("28027 {incompatible}"),
                };
                let pair = format!("{:<42} <- {:<42}", name(*acceptor), name(*initiator));
                writeln!(table, "{pair} {outcome}").unwrap();
            }
        }
        insta::assert_snapshot!("combined", table);
    }

    /// The table of first and second method as the reference prints it; W is NEGOTIATE on both sides.
    #[test]
    fn the_acceptors_order_decides() {
        let (w, c) = (Method::Windows(WindowsMethod::Negotiate), Method::Certificate);
        let (wc, cw) = ([w, c], [c, w]);
        let rows: [(&[Method], [&[Method]; 4]); 4] = [
            (&[w], [&[w], &[], &[w], &[w]]),
            (&[c], [&[], &[c], &[c], &[c]]),
            (&wc, [&[w], &[c], &wc, &cw]),
            (&cw, [&[w], &[c], &wc, &cw]),
        ];
        for (initiator, expected) in rows {
            let acceptors: [&[Method]; 4] = [&[w], &[c], &wc, &cw];
            for (acceptor, expected) in acceptors.into_iter().zip(expected) {
                assert_eq!(
                    plan(acceptor, initiator),
                    expected,
                    "{acceptor:?} <- {initiator:?}"
                );
            }
        }
    }

    #[test]
    fn pinned_protocols_that_differ_leave_the_certificate() {
        let ntlm = Method::Windows(WindowsMethod::Ntlm);
        let kerberos = Method::Windows(WindowsMethod::Kerberos);
        assert_eq!(
            plan(&[ntlm, Method::Certificate], &[kerberos, Method::Certificate]),
            [Method::Certificate]
        );
        assert_eq!(plan(&[ntlm], &[kerberos]), []);
    }

    #[test]
    fn levels_are_symmetric_and_supported_pairs_encrypt() {
        use EncryptionLevel::{Disabled, Required, Supported};
        for a in [Disabled, Supported, Required] {
            for b in [Disabled, Supported, Required] {
                assert_eq!(protection(a, b), protection(b, a));
            }
        }
        assert_eq!(protection(Supported, Supported), Some(Protection::Encrypted));
        assert_eq!(protection(Disabled, Supported), Some(Protection::Plain));
        assert_eq!(protection(Disabled, Required), None);
    }

    /// Initiator by row, acceptor by column: AES, RC4, AES RC4, RC4 AES.
    #[test]
    fn the_acceptors_algorithm_wins() {
        use Algorithm::{Aes, Rc4};
        let rows = [
            [Some(Aes), None, Some(Aes), Some(Aes)],
            [None, Some(Rc4), Some(Rc4), Some(Rc4)],
            [Some(Aes), Some(Rc4), Some(Aes), Some(Rc4)],
            [Some(Aes), Some(Rc4), Some(Aes), Some(Rc4)],
        ];
        for (initiator, row) in Algorithms::ALL.into_iter().zip(rows) {
            for (acceptor, expected) in Algorithms::ALL.into_iter().zip(row) {
                assert_eq!(
                    algorithm(acceptor.list(), initiator.list()),
                    expected,
                    "{acceptor:?} <- {initiator:?}"
                );
            }
        }
    }

    #[test]
    fn authentication_is_checked_first() {
        let acceptor = Terms {
            methods: vec![Method::Certificate],
            level: EncryptionLevel::Disabled,
            algorithms: vec![],
        };
        let initiator = Terms {
            methods: vec![Method::Windows(WindowsMethod::Negotiate)],
            level: EncryptionLevel::Required,
            algorithms: vec![Algorithm::Aes],
        };
        assert_eq!(
            negotiate(&acceptor, &initiator),
            Err(Incompatible::Authentication)
        );
    }
}
