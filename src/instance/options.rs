//! What the product an instance stands for is, and how strictly it reads the manual: fixed at every start.
//!
//! Source: documented, *CREATE ENDPOINT* (defaults by version, roles by edition, ports); FIPS mode, messages 28077 and
//! 28078; the choices between readings are ours (`docs/decisions.md`).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::endpoint::config::Algorithms;

/// Settings of one instance that no statement changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceOptions {
    /// The product's year: 2005 to 2022. Up to 2014 an endpoint's default algorithm is RC4.
    pub version: u16,
    pub edition: Edition,
    /// The system allows only validated cryptography: RC4 is refused.
    pub fips: bool,
    pub ports: PortRange,
    pub listener: ListenerFailure,
}

/// Source: documented, *CREATE ENDPOINT*: Express can only be a witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Edition {
    Enterprise,
    Standard,
    Express,
}

/// Which LISTENER_PORTs are legal: the page's text and its examples disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortRange {
    /// 1024 to 32767, as the text says.
    Strict,
    /// 1024 to 65535, as the examples do.
    Lenient,
}

/// What becomes of a statement whose endpoint cannot listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenerFailure {
    /// It succeeds; only the error log and `sys.dm_tcp_listener_states` tell.
    Logged,
    /// It ends in 7890, though the catalog is changed.
    Raised,
}

impl Default for InstanceOptions {
    fn default() -> Self {
        InstanceOptions {
            version: 2016,
            edition: Edition::Enterprise,
            fips: false,
            ports: PortRange::Strict,
            listener: ListenerFailure::Logged,
        }
    }
}

impl InstanceOptions {
    pub const VERSIONS: [u16; 8] = [2005, 2008, 2012, 2014, 2016, 2017, 2019, 2022];

    /// `SERVERPROPERTY('ProductVersion')`.
    pub fn product_version(&self) -> &'static str {
        match self.version {
            2005 => "9.0.0.0",
            2008 => "10.0.0.0",
            2012 => "11.0.0.0",
            2014 => "12.0.0.0",
            2017 => "14.0.0.0",
            2019 => "15.0.0.0",
            2022 => "16.0.0.0",
            _ => "13.0.0.0",
        }
    }

    /// ALGORITHM where none is written. Source: documented, *CREATE ENDPOINT*.
    pub const fn default_algorithms(&self) -> Algorithms {
        match self.version {
            ..=2014 => Algorithms::Rc4,
            _ => Algorithms::Aes,
        }
    }

    pub const fn port_max(&self) -> u16 {
        match self.ports {
            PortRange::Strict => 32_767,
            PortRange::Lenient => u16::MAX,
        }
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Edition::Enterprise => "Enterprise Edition (64-bit)",
            Edition::Standard => "Standard Edition (64-bit)",
            Edition::Express => "Express Edition (64-bit)",
        })
    }
}
