//! What an instance's `master` holds for its endpoint, as the trace is told of it.

use serde::{Deserialize, Serialize};

/// The database mirroring endpoint as it is configured. Words are those of the catalog views. Source: documented,
/// *sys.database_mirroring_endpoints*, *sys.tcp_endpoints*.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSettings {
    /// `endpoint_id`: an endpoint that was dropped and created again has another.
    pub id: u32,
    pub name: String,
    /// STARTED, STOPPED, DISABLED.
    pub state: String,
    pub port: u16,
    /// PARTNER, WITNESS, ALL.
    pub role: String,
    /// NTLM, KERBEROS, NEGOTIATE, CERTIFICATE: one or two, in the written order.
    pub methods: Vec<String>,
    /// DISABLED, SUPPORTED, REQUIRED.
    pub level: String,
    /// AES, RC4: in the written order, none where the level is DISABLED.
    pub algorithms: Vec<String>,
}

/// A certificate in `master`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldCertificate {
    /// The thumbprint, in hexadecimal.
    pub thumbprint: String,
    /// Whether its private key is there and not under a password: then the endpoint can prove it.
    pub has_private_key: bool,
    /// The login of the user who owns it, if there is one.
    pub login: Option<String>,
}
