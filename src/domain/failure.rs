//! Why Windows authentication failed, and the security code by which the caller of the operating system knows it.
//!
//! The failure says what happened; the code is all that Windows says, and what message 28031 quotes. The peer is told
//! neither. Source: codes documented (winerror.h); which failure gives which code is documented where MS-NLMP and
//! MS-KILE say so, else ours, and noted at the variant.

use std::fmt;

use thiserror::Error;

use super::account::AccountName;

/// A Windows security status, as SSPI returns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecurityCode(pub u32);

impl SecurityCode {
    pub const TARGET_UNKNOWN: SecurityCode = SecurityCode(0x8009_0303);
    pub const INVALID_TOKEN: SecurityCode = SecurityCode(0x8009_0308);
    pub const LOGON_DENIED: SecurityCode = SecurityCode(0x8009_030C);
    pub const MESSAGE_ALTERED: SecurityCode = SecurityCode(0x8009_030F);
    pub const NO_AUTHENTICATING_AUTHORITY: SecurityCode = SecurityCode(0x8009_0311);
    pub const CONTEXT_EXPIRED: SecurityCode = SecurityCode(0x8009_0317);
    pub const WRONG_PRINCIPAL: SecurityCode = SecurityCode(0x8009_0322);
    pub const TIME_SKEW: SecurityCode = SecurityCode(0x8009_0324);
    /// ERROR_DS_INSUFF_ACCESS_RIGHTS, of directory changes.
    pub const INSUFFICIENT_RIGHTS: SecurityCode = SecurityCode(0x2098);

    /// The symbol in winerror.h.
    pub const fn name(self) -> &'static str {
        match self {
            SecurityCode::TARGET_UNKNOWN => "SEC_E_TARGET_UNKNOWN",
            SecurityCode::INVALID_TOKEN => "SEC_E_INVALID_TOKEN",
            SecurityCode::LOGON_DENIED => "SEC_E_LOGON_DENIED",
            SecurityCode::MESSAGE_ALTERED => "SEC_E_MESSAGE_ALTERED",
            SecurityCode::NO_AUTHENTICATING_AUTHORITY => "SEC_E_NO_AUTHENTICATING_AUTHORITY",
            SecurityCode::CONTEXT_EXPIRED => "SEC_E_CONTEXT_EXPIRED",
            SecurityCode::WRONG_PRINCIPAL => "SEC_E_WRONG_PRINCIPAL",
            SecurityCode::TIME_SKEW => "SEC_E_TIME_SKEW",
            SecurityCode::INSUFFICIENT_RIGHTS => "ERROR_DS_INSUFF_ACCESS_RIGHTS",
            _ => "an unnamed security status",
        }
    }
}

impl fmt::Display for SecurityCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08X} ({})", self.0, self.name())
    }
}

/// The domain controller did not answer: down, cut off, or not in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the domain controller did not answer")]
pub struct NoController;

/// Why an exchange ended without a peer. Which end sees it is said at each variant.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WindowsFailure {
    /// The controller knows another password. Kerberos: initiator; NTLM: acceptor.
    #[error("{0}: the password is wrong")]
    WrongPassword(AccountName),
    /// Kerberos: initiator; NTLM: acceptor.
    #[error("{0}: there is no such account")]
    NoSuchAccount(AccountName),
    /// Kerberos: initiator, unless it still has a ticket; NTLM: acceptor.
    #[error("{0}: the account is disabled")]
    AccountDisabled(AccountName),
    /// Kerberos: initiator, unless it still has a ticket; NTLM: acceptor.
    #[error("{0}: the account is locked out")]
    AccountLocked(AccountName),
    /// The account's domain is not trusted by the one that is asked. Kerberos: initiator; NTLM: acceptor.
    #[error("{0}: its domain is not trusted")]
    NoTrust(AccountName),
    /// Kerberos: initiator, unless it still has a ticket; NTLM: acceptor.
    #[error(transparent)]
    NoController(#[from] NoController),
    /// The controller does not accept the computer account by which this system asks it. NTLM: acceptor.
    #[error("{0}: the controller does not accept this system's computer account")]
    NoSecureChannel(AccountName),
    /// Kerberos: initiator.
    #[error("the service principal name {0} is not registered")]
    TargetUnknown(String),
    /// Kerberos: initiator.
    #[error("the service principal name {0} is registered to more than one account")]
    DuplicateTarget(String),
    /// The clock is more than five minutes from the controller's (initiator) or from the peer's (acceptor).
    #[error("the clocks differ by more than five minutes")]
    ClockSkew,
    /// The ticket is for another account, or for an older password, than the service runs with. Kerberos: acceptor.
    #[error("the ticket cannot be opened with the key of {0}")]
    WrongServiceKey(AccountName),
    /// The acceptor proved no knowledge of the session key. Kerberos: initiator.
    #[error("the acceptor is not the service {0}")]
    WrongAcceptor(String),
    /// Kerberos: acceptor.
    #[error("the ticket is not valid at this time")]
    TicketExpired,
    /// An authenticator was seen before. Kerberos: acceptor.
    #[error("the request is a repeat")]
    Replay,
    /// The messages do not belong together, or were changed on the way. NTLM: acceptor.
    #[error("the messages were altered")]
    Altered,
    /// The account may not register service principal names, or another has this one. Whoever registers; message 26037.
    #[error("{0}: the service principal name was not registered")]
    SpnRefused(AccountName),
    /// Damaged or foreign bytes. Either end.
    #[error("invalid token: {0}")]
    InvalidToken(&'static str),
    /// A token of a package that was not negotiated. Either end; message 28039.
    #[error("the token is not of the package {0}")]
    NotThePackage(Package),
    /// A token that only this side sends. Either end; message 28079.
    #[error("the token goes in the wrong direction")]
    WrongDirection,
    /// A token or an answer when none is due. Either end.
    #[error("unexpected {0}")]
    Unexpected(&'static str),
    /// The controller's answer is none, or has an error this side does not know.
    #[error("the controller's answer is not understood: {0}")]
    BadAnswer(String),
}

impl WindowsFailure {
    /// What the operating system tells its caller.
    pub const fn code(&self) -> SecurityCode {
        match self {
            WindowsFailure::WrongPassword(_)
            | WindowsFailure::NoSuchAccount(_)
            | WindowsFailure::AccountDisabled(_)
            | WindowsFailure::AccountLocked(_)
            | WindowsFailure::NoTrust(_)
            | WindowsFailure::Replay => SecurityCode::LOGON_DENIED,
            WindowsFailure::NoController(_)
            | WindowsFailure::NoSecureChannel(_)
            | WindowsFailure::BadAnswer(_) => SecurityCode::NO_AUTHENTICATING_AUTHORITY,
            WindowsFailure::TargetUnknown(_) | WindowsFailure::DuplicateTarget(_) => {
                SecurityCode::TARGET_UNKNOWN
            }
            WindowsFailure::ClockSkew => SecurityCode::TIME_SKEW,
            WindowsFailure::WrongServiceKey(_) | WindowsFailure::WrongAcceptor(_) => {
                SecurityCode::WRONG_PRINCIPAL
            }
            WindowsFailure::SpnRefused(_) => SecurityCode::INSUFFICIENT_RIGHTS,
            WindowsFailure::TicketExpired => SecurityCode::CONTEXT_EXPIRED,
            WindowsFailure::Altered => SecurityCode::MESSAGE_ALTERED,
            WindowsFailure::InvalidToken(_)
            | WindowsFailure::NotThePackage(_)
            | WindowsFailure::WrongDirection
            | WindowsFailure::Unexpected(_) => SecurityCode::INVALID_TOKEN,
        }
    }

    /// The account the failure is about, where the exchange got as far as a name. It is not proved.
    pub const fn account(&self) -> Option<&AccountName> {
        match self {
            WindowsFailure::WrongPassword(account)
            | WindowsFailure::NoSuchAccount(account)
            | WindowsFailure::AccountDisabled(account)
            | WindowsFailure::AccountLocked(account)
            | WindowsFailure::NoTrust(account) => Some(account),
            _ => None,
        }
    }
}

/// A security package that carries out the authentication. NEGOTIATE chooses one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Package {
    Ntlm,
    Kerberos,
}

impl Package {
    /// As `authentication_method` of `sys.dm_db_mirroring_connections` names it.
    pub const fn desc(self) -> &'static str {
        match self {
            Package::Ntlm => "NTLM",
            Package::Kerberos => "KERBEROS",
        }
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.desc())
    }
}
