//! Why a login fails, and what users, the error log and the audit see of it. The peer sees none of it.

use thiserror::Error;

use crate::crypto::certificate::OutOfDate;
use crate::domain::WindowsFailure;
use crate::error::{SqlError, msg};
use crate::types::ClosedBy;
use crate::wire::DecodeError;

use super::negotiate::Incompatible;

/// Subclasses of the trace event *Audit Database Mirroring Login*. Source: documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AuditSubclass {
    LoginSuccess = 1,
    LoginProtocolError = 2,
    MessageFormatError = 3,
    NegotiateFailure = 4,
    AuthenticationFailure = 5,
    AuthorizationFailure = 6,
}

/// The largest certificate an endpoint shows: both sides' proofs must fit into one token besides it.
pub const OWN_CERTIFICATE_BYTES_MAX: usize = 12 << 10;

/// What is wrong with the certificate this endpoint names. Numbers in the texts: documented.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OwnCertificateProblem {
    #[error("9762 (it does not exist in master)")]
    Missing,
    #[error("9764 (it has {0} bytes, a login has room for {max})", max = OWN_CERTIFICATE_BYTES_MAX)]
    TooLarge(usize),
    #[error("9765 (it has no private key encrypted by the database master key)")]
    NoPrivateKey,
    #[error("9766 ({0})")]
    Unreadable(String),
    #[error("9763, {number} ({0})", number = match .0 { OutOfDate::NotYetValid(_) => 28022, OutOfDate::Expired(_) => 28023 })]
    OutOfDate(OutOfDate),
}

/// What is wrong with the certificate the peer shows.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PeerCertificateProblem {
    #[error("9762 (certificate not found)")]
    NotFound,
    #[error("it differs from the one in master with the same issuer and serial number")]
    Differs,
    #[error("9763 ({0})")]
    OutOfDate(OutOfDate),
    #[error("9766 ({0})")]
    Unreadable(String),
}

/// Why a login failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LoginError {
    /// The endpoint is STOPPED or DISABLED.
    #[error("the endpoint is not started")]
    NotStarted,
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A message that does not belong to the state, sealed or clear.
    #[error("unexpected {event} while {state}")]
    Unexpected { event: String, state: &'static str },
    #[error("no compatible {what} (this endpoint: {local}; the peer: {remote})")]
    Incompatible {
        what: Incompatible,
        local: String,
        remote: String,
    },
    /// RC4 was agreed, and this instance runs in FIPS compliance mode.
    #[error("RC4 was agreed and FIPS compliance mode bars it")]
    Rc4InFipsMode,
    /// The service account cannot authenticate to others, nor be authenticated to.
    #[error(
        "the service account {0} is nobody on the network: Windows authentication needs a domain account, others certificates"
    )]
    NobodyOnTheNetwork(String),
    #[error("{code}: {0}", code = .0.code())]
    Windows(WindowsFailure),
    /// The peer could not carry out the last method of the plan.
    #[error("the peer could not carry out {0} authentication")]
    PeerRejected(&'static str),
    #[error("own certificate: {0}")]
    OwnCertificate(OwnCertificateProblem),
    #[error("private key: {0}")]
    PrivateKey(String),
    #[error("peer certificate: {0}")]
    PeerCertificate(PeerCertificateProblem),
    /// The exchange of tokens failed: a wrong key, a damaged token.
    #[error("the exchange failed: {0}")]
    Exchange(String),
    /// The peer's part of the key agreement cannot be used.
    #[error("the peer's key share is not one")]
    KeyShare,
    /// The peer saw another login than this side did, or holds another key.
    #[error("the confirmation does not match")]
    Confirmation,
    /// The Windows account is known to the domain and has no login here, or a disabled one.
    #[error("'{user}' has no login")]
    NoLogin { user: String },
    /// The acceptor's confirmation says something else than that the security context was accepted.
    #[error("the confirmation has the status {0:#010x}")]
    ConfirmStatus(u32),
    #[error("'{user}' lacks CONNECT")]
    NoConnect { user: String },
    /// Sealed records do not verify although the login was confirmed.
    #[error("a record's integrity check failed")]
    SealBroken,
    #[error("a record is not sealed as agreed")]
    NotSealed,
    #[error("a previous connection with the same peer is used")]
    LostToOlder,
    /// The peer says it is an instance that comes, or came, under another login.
    #[error("the instance the peer says it is has another login")]
    NameTaken,
    #[error("a newer connection with the same peer is used")]
    LostToNewer,
    #[error("not complete within {0} s")]
    TimedOut(u64),
    #[error("the stream ended")]
    StreamEnded(ClosedBy),
    /// The initiator has heard who the acceptor is, and does not use the connection.
    #[error("the initiator does not use the connection")]
    NotUsed,
    /// The owner ended the connection during the login.
    #[error("{0}")]
    Withdrawn(SqlError),
}

impl AuditSubclass {
    /// The documented name.
    pub const fn name(self) -> &'static str {
        match self {
            AuditSubclass::LoginSuccess => "Login Success",
            AuditSubclass::LoginProtocolError => "Login Protocol Error",
            AuditSubclass::MessageFormatError => "Message Format Error",
            AuditSubclass::NegotiateFailure => "Negotiate Failure",
            AuditSubclass::AuthenticationFailure => "Authentication Failure",
            AuditSubclass::AuthorizationFailure => "Authorization Failure",
        }
    }
}

impl LoginError {
    /// What this instance's users and log see.
    pub fn to_sql(&self) -> SqlError {
        match self {
            // The owner's error is passed on as it is.
            LoginError::Withdrawn(error) => error.clone(),
            _ => self.message().with_state(self.state()),
        }
    }

    /// Tells places apart that raise one number; the manual lists them. Source: third-party where people report a
    /// state of real servers (21, 22, 66, 67, 84, 85, 88, 89), otherwise ours.
    pub fn state(&self) -> u8 {
        match self {
            LoginError::Incompatible { what, .. } => match what {
                Incompatible::Authentication => 21,
                Incompatible::Algorithm => 22,
                Incompatible::Level => 23,
            },
            LoginError::NobodyOnTheNetwork(_) => 66,
            LoginError::Windows(_) => 68,
            LoginError::PeerRejected(_) => 67,
            LoginError::OwnCertificate(problem) => match problem {
                OwnCertificateProblem::Missing => 83,
                OwnCertificateProblem::NoPrivateKey => 82,
                OwnCertificateProblem::TooLarge(_) => 87,
                OwnCertificateProblem::OutOfDate(_) => 85,
                OwnCertificateProblem::Unreadable(_) => 86,
            },
            LoginError::NoConnect { .. } => 84,
            LoginError::PrivateKey(_) => 88,
            LoginError::PeerCertificate(problem) => match problem {
                PeerCertificateProblem::NotFound => 89,
                PeerCertificateProblem::OutOfDate(_) => 90,
                PeerCertificateProblem::Unreadable(_) => 91,
                PeerCertificateProblem::Differs => 1,
            },
            LoginError::Exchange(_) => 93,
            LoginError::Confirmation => 94,
            LoginError::NameTaken | LoginError::NotUsed => 2,
            LoginError::Decode(error) => error.state(),
            LoginError::NotStarted
            | LoginError::NoLogin { .. }
            | LoginError::ConfirmStatus(_)
            | LoginError::Unexpected { .. }
            | LoginError::Rc4InFipsMode
            | LoginError::SealBroken
            | LoginError::NotSealed
            | LoginError::LostToOlder
            | LoginError::LostToNewer
            | LoginError::TimedOut(_)
            | LoginError::StreamEnded(_)
            | LoginError::KeyShare
            | LoginError::Withdrawn(_) => 1,
        }
    }

    fn message(&self) -> SqlError {
        match self {
            LoginError::NotStarted => msg::ENDPOINT_DISABLED_OR_STOPPED.error(),
            LoginError::Decode(error) => error.to_sql(),
            LoginError::Unexpected { event, state } => msg::HANDSHAKE_UNEXPECTED.with(&[event, state]),
            LoginError::Incompatible { what, local, remote } => {
                let what = format!("{what} (this endpoint: {local}; the peer: {remote})");
                msg::NO_COMPATIBLE.with(&[&what])
            }
            LoginError::Rc4InFipsMode => msg::RC4_NOT_IN_FIPS.error(),
            LoginError::Windows(WindowsFailure::NotThePackage(_)) => msg::NOT_THE_PACKAGE.error(),
            LoginError::Windows(WindowsFailure::WrongDirection) => msg::WRONG_DIRECTION.error(),
            LoginError::Windows(_) | LoginError::NobodyOnTheNetwork(_) | LoginError::PeerRejected(_) => {
                msg::HANDSHAKE_OS_CALL.with(&[self])
            }
            LoginError::OwnCertificate(problem) => msg::OWN_CERTIFICATE_INVALID.with(&[problem]),
            LoginError::PrivateKey(reason) => msg::PRIVATE_KEY_UNUSABLE.with(&[reason]),
            LoginError::PeerCertificate(PeerCertificateProblem::Differs) => msg::CERTIFICATE_DIFFERS.error(),
            LoginError::PeerCertificate(
                problem @ (PeerCertificateProblem::NotFound
                | PeerCertificateProblem::OutOfDate(_)
                | PeerCertificateProblem::Unreadable(_)),
            ) => msg::PEER_CERTIFICATE_INVALID.with(&[problem]),
            LoginError::Exchange(_) | LoginError::Confirmation => msg::HANDSHAKE_VERIFICATION.error(),
            LoginError::KeyShare => msg::PRE_MASTER_SECRET_SIZE.error(),
            LoginError::NoConnect { user } => msg::NO_CONNECT_PERMISSION.with(&[user]),
            LoginError::NoLogin { user } => msg::REMOTE_LOGIN_DENIED.with(&[user]),
            LoginError::ConfirmStatus(status) => msg::CONFIRM_STATUS.with(&[&format!("{status:#010x}")]),
            LoginError::SealBroken => msg::SIGNATURE_INVALID.error(),
            LoginError::NotSealed => msg::NOT_ENCRYPTED_AS_CONFIGURED.error(),
            LoginError::LostToOlder | LoginError::NameTaken => msg::ARBITRATION_NEW_LOST.error(),
            LoginError::LostToNewer => msg::ARBITRATION_OLD_LOST.error(),
            LoginError::TimedOut(seconds) => msg::LOGIN_TIMED_OUT.with(&[seconds]),
            LoginError::StreamEnded(_) | LoginError::NotUsed => msg::HANDSHAKE_NOT_SENT.error(),
            LoginError::Withdrawn(error) => error.clone(),
        }
    }

    /// How the audit event classes it.
    pub const fn subclass(&self) -> AuditSubclass {
        match self {
            LoginError::Incompatible { .. } | LoginError::Rc4InFipsMode => AuditSubclass::NegotiateFailure,
            LoginError::Decode(_) | LoginError::SealBroken | LoginError::NotSealed => {
                AuditSubclass::MessageFormatError
            }
            LoginError::NotStarted
            | LoginError::Unexpected { .. }
            | LoginError::LostToOlder
            | LoginError::LostToNewer
            | LoginError::TimedOut(_)
            | LoginError::StreamEnded(_)
            | LoginError::NotUsed
            | LoginError::Windows(WindowsFailure::WrongDirection)
            | LoginError::Withdrawn(_) => AuditSubclass::LoginProtocolError,
            LoginError::Windows(_)
            | LoginError::NobodyOnTheNetwork(_)
            | LoginError::PeerRejected(_)
            | LoginError::OwnCertificate(_)
            | LoginError::PrivateKey(_)
            | LoginError::Exchange(_)
            | LoginError::KeyShare
            | LoginError::ConfirmStatus(_)
            | LoginError::Confirmation => AuditSubclass::AuthenticationFailure,
            LoginError::PeerCertificate(_)
            | LoginError::NoLogin { .. }
            | LoginError::NoConnect { .. }
            | LoginError::NameTaken => AuditSubclass::AuthorizationFailure,
        }
    }

    /// Whether the method could not be carried out, so that the next of the plan may be tried.
    ///
    /// A peer whose identity is refused is not, nor is one that breaks the protocol. Source: derived, *Transport
    /// Security* (fallback after failed authentication); that a missing CONNECT is final is ours.
    pub const fn is_authentication_failure(&self) -> bool {
        match self {
            LoginError::Windows(failure) => !matches!(
                failure,
                WindowsFailure::WrongDirection | WindowsFailure::Unexpected(_)
            ),
            LoginError::NobodyOnTheNetwork(_)
            | LoginError::OwnCertificate(_)
            | LoginError::PrivateKey(_)
            | LoginError::Exchange(_) => true,
            _ => false,
        }
    }

    /// The account the failure is about, although nothing is proved: who the peer says it is.
    pub fn account(&self) -> Option<String> {
        match self {
            LoginError::Windows(failure) => failure.account().map(ToString::to_string),
            _ => None,
        }
    }

    /// Who ended the connection.
    pub const fn closed_by(&self) -> ClosedBy {
        match self {
            LoginError::StreamEnded(by) => *by,
            LoginError::NotUsed => ClosedBy::Peer,
            LoginError::TimedOut(_) => ClosedBy::Timeout,
            _ => ClosedBy::Local,
        }
    }
}
