//! Server network addresses: `TCP://system:port`. A system is found by name, an instance on it by port alone.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Where an instance's database mirroring endpoint listens. The host compares without regard to case.
///
/// Invariants: the host is a name, an IPv4 address or an IPv6 address (kept without its brackets); the port is 1 to
/// 65535. Source: documented, *Specify a Server Network Address (Database Mirroring)*.
#[derive(Debug, Clone, Eq)]
pub struct ServerAddress {
    host: String,
    port: u16,
}

/// Why a text is not a server network address. Becomes message 1449.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressError {
    #[error("it does not begin with TCP://")]
    Scheme,
    #[error("it names no system")]
    NoHost,
    #[error("'{0}' is neither a host name nor an address")]
    Host(String),
    #[error("an IPv6 address stands in brackets: TCP://[address]:port")]
    Brackets,
    #[error("it has no port; an endpoint has no default port")]
    NoPort,
    #[error("'{0}' is not a port from 1 to 65535")]
    Port(String),
    #[error("nothing may follow the port")]
    Trailing,
}

impl ServerAddress {
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        ServerAddress {
            host: host.into(),
            port,
        }
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host as it compares.
    fn folded(&self) -> impl Iterator<Item = u8> {
        self.host.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

impl PartialEq for ServerAddress {
    fn eq(&self, other: &Self) -> bool {
        self.port == other.port && self.host.eq_ignore_ascii_case(&other.host)
    }
}

impl PartialOrd for ServerAddress {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ServerAddress {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let hosts = self.folded().cmp(other.folded());
        hosts.then(self.port.cmp(&other.port))
    }
}

impl FromStr for ServerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let rest = match text.get(..6) {
            Some(scheme) if scheme.eq_ignore_ascii_case("tcp://") => &text[6..],
            _ => return Err(AddressError::Scheme),
        };
        let (host, port) = match rest.strip_prefix('[') {
            Some(inner) => {
                let (host, after) = inner.split_once(']').ok_or(AddressError::Brackets)?;
                host.parse::<Ipv6Addr>()
                    .map_err(|_| AddressError::Host(host.to_owned()))?;
                (host, after.strip_prefix(':').ok_or(AddressError::NoPort)?)
            }
            None => {
                let (host, port) = rest.split_once(':').ok_or(AddressError::NoPort)?;
                if port.contains(':') {
                    return Err(AddressError::Brackets);
                }
                check_host(host)?;
                (host, port)
            }
        };
        let digits = port.bytes().take_while(u8::is_ascii_digit).count();
        match port.as_bytes().get(digits) {
            Some(b'/' | b'\\' | b'?' | b'#' | b' ') if digits > 0 => return Err(AddressError::Trailing),
            _ => {}
        }
        match port.parse::<u16>() {
            Ok(n) if n > 0 && digits == port.len() => Ok(ServerAddress::new(host, n)),
            _ => Err(AddressError::Port(port.to_owned())),
        }
    }
}

fn check_host(host: &str) -> Result<(), AddressError> {
    if host.is_empty() {
        return Err(AddressError::NoHost);
    }
    let all_numeric = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if all_numeric {
        return host
            .parse::<Ipv4Addr>()
            .map(drop)
            .map_err(|_| AddressError::Host(host.to_owned()));
    }
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && l.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if host.len() <= 255 && host.split('.').all(label) {
        Ok(())
    } else {
        Err(AddressError::Host(host.to_owned()))
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "TCP://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "TCP://{}:{}", self.host, self.port)
        }
    }
}

impl Serialize for ServerAddress {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ServerAddress {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse()
            .map_err(|e| serde::de::Error::custom(format!("'{text}' is not a server network address: {e}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_forms_parse_and_print() {
        for text in [
            "TCP://SYSTEM46:7022",
            "TCP://DBSERVER8.manufacturing.Adventure-Works.com:7024",
            "TCP://10.193.9.134:7023",
            "TCP://[2001:4898:23:1002:20f:1fff:feff:b3a3]:7022",
        ] {
            assert_eq!(text.parse::<ServerAddress>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn scheme_and_host_ignore_case() {
        let a: ServerAddress = "tcp://MySystem:7022".parse().unwrap();
        let b: ServerAddress = "TCP://MYSYSTEM:7022".parse().unwrap();
        assert_eq!(a, b);
        assert_eq!(a.cmp(&b), std::cmp::Ordering::Equal);
    }

    #[test]
    fn each_mistake_is_named() {
        let error = |text: &str| text.parse::<ServerAddress>().expect_err(text);
        assert_eq!(error("http://a:1"), AddressError::Scheme);
        assert_eq!(error("TCP://:7022"), AddressError::NoHost);
        assert_eq!(error("TCP://a"), AddressError::NoPort);
        assert_eq!(error("TCP://a:0"), AddressError::Port("0".into()));
        assert_eq!(error("TCP://a:+5"), AddressError::Port("+5".into()));
        assert_eq!(error("TCP://a:65536"), AddressError::Port("65536".into()));
        assert_eq!(error("TCP://a:7022/"), AddressError::Trailing);
        assert_eq!(error("TCP://fe80::1:7022"), AddressError::Brackets);
        assert_eq!(
            error("TCP://SRV\\NAMED:7022"),
            AddressError::Host("SRV\\NAMED".into())
        );
        assert_eq!(
            error("TCP://10.0.0.256:7022"),
            AddressError::Host("10.0.0.256".into())
        );
    }
}
