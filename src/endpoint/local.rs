//! This instance's side of every connection: its endpoint, its certificate, and whom it trusts.

use std::fmt;

use crate::domain::LogonSession;
use crate::types::{Guid, ServerAddress};

use super::config::EndpointConfig;

/// A snapshot of what this instance's endpoint is and trusts, shared by its connections.
///
/// Take a new snapshot whenever DDL changes the endpoint, a certificate, a login or a permission; connections that are
/// up keep theirs (authorisation is checked at login only).
#[derive(Debug, Clone)]
pub struct LocalEndpoint {
    pub config: EndpointConfig,
    /// This instance's identity among its peers; the same on all its connections.
    pub arbitration_id: Guid,
    /// What `@@SERVERNAME` says.
    pub server_name: String,
    /// The product's year.
    pub version: u16,
    /// The address of this instance's own endpoint, if it is known.
    pub address: Option<ServerAddress>,
    /// The certificate AUTHENTICATION names, if it exists.
    pub own_certificate: Option<OwnCertificate>,
    /// Whether the master key opens, and with it the private key.
    pub master_key_open: bool,
    /// Whether this instance runs in FIPS compliance mode, which bars RC4 (28078).
    pub fips_mode: bool,
    /// The certificates imported into `master`.
    pub trusted: Vec<TrustedCertificate>,
    pub windows: WindowsSide,
}

/// As whom this instance runs, and which Windows accounts it knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WindowsSide {
    /// The service account as it prints, for those who must be told that it is nobody on the network.
    pub account: String,
    /// What it authenticates with; `None` for an account that cannot.
    pub session: Option<LogonSession>,
    /// Of its system; a host without a domain in a server network address is in this one.
    pub dns_suffix: String,
    /// The enabled logins `FROM WINDOWS` in `master`.
    pub logins: Vec<WindowsLogin>,
}

/// A login of a Windows account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowsLogin {
    pub name: String,
    /// The account's security identifier, in its binary form.
    pub sid: Vec<u8>,
    /// Whether it may CONNECT to the endpoint (granted, owner, or sysadmin).
    pub connect: bool,
}

/// The endpoint's own certificate with its private key.
#[derive(Clone)]
pub struct OwnCertificate {
    pub name: String,
    pub der: Vec<u8>,
    /// `None` if it has no private key that is under the master key.
    pub private_key_pkcs8: Option<Vec<u8>>,
}

impl fmt::Debug for OwnCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnCertificate")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A certificate in `master`, and whom it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedCertificate {
    pub certificate_id: i64,
    pub name: String,
    pub der: Vec<u8>,
    /// The database user that owns it.
    pub owner_user: String,
    /// The login of that user, if there is one and it is enabled.
    pub login: Option<String>,
    /// Whether that login may CONNECT to the endpoint (granted, owner, or sysadmin).
    pub connect: bool,
}

/// Who opened the TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Initiator,
    Acceptor,
}

impl Side {
    /// The word the audit and the error log use.
    pub const fn desc(self) -> &'static str {
        match self {
            Side::Initiator => "Initiator",
            Side::Acceptor => "Target",
        }
    }
}
