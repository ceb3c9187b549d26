//! An endpoint's terms as an offer says them, and back.

use crate::endpoint::config::{Algorithm, EncryptionLevel, Method, WindowsMethod};
use crate::endpoint::error::LoginError;
use crate::endpoint::local::LocalEndpoint;
use crate::endpoint::negotiate::{Incompatible, Terms};
use crate::wire::DecodeError;
use crate::wire::login::{AlgorithmCode, AuthMethod, LevelCode, Offer};

pub(super) fn offer(local: &LocalEndpoint) -> Offer {
    let terms = Terms::of(&local.config);
    let method = |m: &Method| match m {
        Method::Windows(WindowsMethod::Ntlm) => AuthMethod::NTLM,
        Method::Windows(WindowsMethod::Kerberos) => AuthMethod::KERBEROS,
        Method::Windows(WindowsMethod::Negotiate) => AuthMethod::NEGOTIATE,
        Method::Certificate => AuthMethod::CERTIFICATE,
    };
    let algorithm = |a: &Algorithm| match a {
        Algorithm::Aes => AlgorithmCode::AES,
        Algorithm::Rc4 => AlgorithmCode::RC4,
    };
    Offer {
        methods: terms.methods.iter().map(method).collect(),
        level: match terms.level {
            EncryptionLevel::Disabled => LevelCode::DISABLED,
            EncryptionLevel::Supported => LevelCode::SUPPORTED,
            EncryptionLevel::Required => LevelCode::REQUIRED,
        },
        algorithms: terms.algorithms.iter().map(algorithm).collect(),
    }
}

/// A peer's terms. Unknown methods and algorithms match nothing; an unknown level says nothing to go by.
pub(super) fn terms(offer: &Offer) -> Result<Terms, LoginError> {
    let method = |m: &AuthMethod| match *m {
        AuthMethod::NTLM => Some(Method::Windows(WindowsMethod::Ntlm)),
        AuthMethod::KERBEROS => Some(Method::Windows(WindowsMethod::Kerberos)),
        AuthMethod::NEGOTIATE => Some(Method::Windows(WindowsMethod::Negotiate)),
        AuthMethod::CERTIFICATE => Some(Method::Certificate),
        _ => None,
    };
    let algorithm = |a: &AlgorithmCode| match *a {
        AlgorithmCode::AES => Some(Algorithm::Aes),
        AlgorithmCode::RC4 => Some(Algorithm::Rc4),
        _ => None,
    };
    Ok(Terms {
        methods: offer.methods.iter().filter_map(method).collect(),
        level: match offer.level {
            LevelCode::DISABLED => EncryptionLevel::Disabled,
            LevelCode::SUPPORTED => EncryptionLevel::Supported,
            LevelCode::REQUIRED => EncryptionLevel::Required,
            LevelCode(_) => {
                return Err(LoginError::Decode(DecodeError::Malformed {
                    message: "login negotiate",
                    reason: "its encryption level is unknown",
                }));
            }
        },
        algorithms: offer.algorithms.iter().filter_map(algorithm).collect(),
    })
}

/// What a peer's offer names of one kind, in its order.
pub fn name_terms(what: Incompatible, offer: &Offer) -> String {
    let join = |names: Vec<String>| match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    };
    match what {
        Incompatible::Authentication => join(offer.methods.iter().map(ToString::to_string).collect()),
        Incompatible::Algorithm => join(offer.algorithms.iter().map(ToString::to_string).collect()),
        Incompatible::Level => match offer.level {
            LevelCode::DISABLED => EncryptionLevel::Disabled.desc().to_owned(),
            LevelCode::SUPPORTED => EncryptionLevel::Supported.desc().to_owned(),
            LevelCode::REQUIRED => EncryptionLevel::Required.desc().to_owned(),
            LevelCode(n) => format!("unknown level {n}"),
        },
    }
}
