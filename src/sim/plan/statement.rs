//! What an operator may try in the middle of a plan, and what puts it right in the end.
//!
//! Everything is a statement of T-SQL against an instance of `scenarios/_shared/trio.toml`. Source: ours.

use std::fmt;

/// The port of every endpoint of the shared trio.
const ENDPOINT_PORT: u16 = 7022;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statement {
    StopEndpoint,
    StartEndpoint,
    /// The endpoint listens elsewhere, where nobody looks for it.
    MoveEndpoint(u16),
    /// The endpoint is dropped, and with it the permissions on it.
    DropEndpoint,
    Encrypt(Encrypt),
    /// The login of one system may not connect.
    DenyConnect(&'static str),
    DisableLogin(&'static str),
    Failover,
    Force,
    Suspend,
    Resume,
    SafetyOff,
    SafetyFull,
    WitnessOff,
    WitnessOn,
    TimeoutSeconds(u16),
    /// In megabytes; `None` is UNLIMITED.
    RedoQueue(Option<u16>),
}

/// What an endpoint may be told about encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encrypt {
    Disabled,
    SupportedAes,
    RequiredRc4,
    RequiredAesRc4,
    RequiredRc4Aes,
}

impl fmt::Display for Encrypt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Encrypt::Disabled => "DISABLED",
            Encrypt::SupportedAes => "SUPPORTED ALGORITHM AES",
            Encrypt::RequiredRc4 => "REQUIRED ALGORITHM RC4",
            Encrypt::RequiredAesRc4 => "REQUIRED ALGORITHM AES RC4",
            Encrypt::RequiredRc4Aes => "REQUIRED ALGORITHM RC4 AES",
        })
    }
}

impl Statement {
    /// Whether the endpoint is another one afterwards than the shared trio's.
    pub(super) fn touches_endpoint(self) -> bool {
        matches!(
            self,
            Statement::StopEndpoint
                | Statement::StartEndpoint
                | Statement::MoveEndpoint(_)
                | Statement::DropEndpoint
                | Statement::Encrypt(_)
        )
    }

    /// Whether someone may be kept out afterwards.
    pub(super) fn touches_logins(self) -> bool {
        matches!(
            self,
            Statement::DropEndpoint | Statement::DenyConnect(_) | Statement::DisableLogin(_)
        )
    }

    /// Whether the session may ship nothing afterwards until it is resumed.
    pub(super) fn suspends(self) -> bool {
        matches!(self, Statement::Suspend | Statement::Force)
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let partner = |f: &mut fmt::Formatter<'_>, option: &str| {
            write!(f, "ALTER DATABASE Sales SET PARTNER {option};")
        };
        match self {
            Statement::StopEndpoint => f.write_str("ALTER ENDPOINT Mirroring STATE = STOPPED;"),
            Statement::StartEndpoint => f.write_str("ALTER ENDPOINT Mirroring STATE = STARTED;"),
            Statement::MoveEndpoint(port) => write!(
                f,
                "ALTER ENDPOINT Mirroring AS TCP (LISTENER_PORT = {port}) FOR DATABASE_MIRRORING (ROLE = ALL);"
            ),
            Statement::DropEndpoint => f.write_str("DROP ENDPOINT Mirroring;"),
            Statement::Encrypt(encrypt) => write!(
                f,
                "ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (ENCRYPTION = {encrypt});"
            ),
            Statement::DenyConnect(peer) => write!(f, "DENY CONNECT ON ENDPOINT::Mirroring TO {peer}_login;"),
            Statement::DisableLogin(peer) => write!(f, "ALTER LOGIN {peer}_login DISABLE;"),
            Statement::Failover => partner(f, "FAILOVER"),
            Statement::Force => partner(f, "FORCE_SERVICE_ALLOW_DATA_LOSS"),
            Statement::Suspend => partner(f, "SUSPEND"),
            Statement::Resume => partner(f, "RESUME"),
            Statement::SafetyOff => partner(f, "SAFETY OFF"),
            Statement::SafetyFull => partner(f, "SAFETY FULL"),
            Statement::TimeoutSeconds(seconds) => partner(f, &format!("TIMEOUT {seconds}")),
            Statement::RedoQueue(None) => partner(f, "REDO_QUEUE ( UNLIMITED )"),
            Statement::RedoQueue(Some(megabytes)) => partner(f, &format!("REDO_QUEUE ( {megabytes} MB )")),
            Statement::WitnessOff => f.write_str("ALTER DATABASE Sales SET WITNESS OFF;"),
            Statement::WitnessOn => {
                write!(
                    f,
                    "ALTER DATABASE Sales SET WITNESS = 'TCP://gamma.lab.example:{ENDPOINT_PORT}';"
                )
            }
        }
    }
}

/// The endpoint of the shared trio on `instance`, whether there is one or not: creating it may fail, altering must not.
pub(super) fn create_endpoint(instance: &str) -> String {
    format!(
        "CREATE ENDPOINT Mirroring STATE = STARTED AS TCP (LISTENER_PORT = {ENDPOINT_PORT}) \
         FOR DATABASE_MIRRORING (AUTHENTICATION = CERTIFICATE {instance}_cert, ENCRYPTION = REQUIRED ALGORITHM AES, ROLE = ALL);"
    )
}

pub(super) fn put_endpoint_back() -> String {
    format!(
        "ALTER ENDPOINT Mirroring STATE = STARTED AS TCP (LISTENER_PORT = {ENDPOINT_PORT}) \
         FOR DATABASE_MIRRORING (ENCRYPTION = REQUIRED ALGORITHM AES, ROLE = ALL);"
    )
}

/// Lets the login of `peer` in again.
pub(super) fn let_in_again(peer: &str) -> String {
    format!("ALTER LOGIN {peer}_login ENABLE; GRANT CONNECT ON ENDPOINT::Mirroring TO {peer}_login;")
}
