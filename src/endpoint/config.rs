//! What `CREATE ENDPOINT … FOR DATABASE_MIRRORING` configures, as types that cannot be wrong.
//!
//! A value of these types is a legal endpoint: one or two different authentication methods, algorithms only where
//! encryption is on, a port in range. The catalog views print them through `code` and `desc`. Knows no names of
//! certificates beyond the text in AUTHENTICATION; the instance looks them up. Source: documented, *CREATE ENDPOINT*
//! and *sys.database_mirroring_endpoints*.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::error::{SqlError, msg};

/// One endpoint's configuration, as stored in `master`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointConfig {
    pub name: String,
    pub state: EndpointState,
    pub port: ListenerPort,
    pub ip: ListenerIp,
    pub authentication: Authentication,
    pub encryption: Encryption,
    pub role: EndpointRole,
}

/// STATE. Codes and names are undisputed; what STOPPED and DISABLED mean is [`EndpointState::reading`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EndpointState {
    Started,
    #[default]
    Stopped,
    Disabled,
}

/// What an endpoint does with a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Listens and shakes hands.
    Serves,
    /// Listens, then ends every connection with an error.
    AnswersWithError,
    /// Does not listen: the operating system refuses.
    Silent,
}

/// What STOPPED and DISABLED mean, in that order. The pages swap them; this is the reading of CREATE ENDPOINT.
/// (*sys.endpoints* has it the other way round.)
pub const STOPPED_AND_DISABLED: (Reading, Reading) = (Reading::Silent, Reading::AnswersWithError);

impl EndpointState {
    pub const fn code(self) -> i64 {
        match self {
            EndpointState::Started => 0,
            EndpointState::Stopped => 1,
            EndpointState::Disabled => 2,
        }
    }

    pub const fn desc(self) -> &'static str {
        match self {
            EndpointState::Started => "STARTED",
            EndpointState::Stopped => "STOPPED",
            EndpointState::Disabled => "DISABLED",
        }
    }

    pub const fn reading(self) -> Reading {
        match self {
            EndpointState::Started => Reading::Serves,
            EndpointState::Stopped => STOPPED_AND_DISABLED.0,
            EndpointState::Disabled => STOPPED_AND_DISABLED.1,
        }
    }

    /// Whether the port is bound in this state.
    pub const fn is_listening(self) -> bool {
        !matches!(self.reading(), Reading::Silent)
    }
}

impl fmt::Display for EndpointState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.desc())
    }
}

/// LISTENER_PORT, not below [`ListenerPort::MIN`].
///
/// Source: documented, *CREATE ENDPOINT*. Its text ends at 32767, its examples go beyond; an instance chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct ListenerPort(u16);

impl ListenerPort {
    pub const MIN: u16 = 1_024;
    /// The upper end where none is stated.
    pub const MAX: u16 = u16::MAX;

    pub const fn number(self) -> u16 {
        self.0
    }
}

impl TryFrom<i64> for ListenerPort {
    type Error = SqlError;

    /// Fails with 7810 outside the range.
    fn try_from(n: i64) -> Result<Self, SqlError> {
        match u16::try_from(n) {
            Ok(port) if port >= Self::MIN => Ok(ListenerPort(port)),
            _ => Err(msg::VALUE_OUT_OF_RANGE.with(&[&n, &"LISTENER_PORT", &Self::MIN, &Self::MAX])),
        }
    }
}

impl From<ListenerPort> for i64 {
    fn from(port: ListenerPort) -> i64 {
        i64::from(port.0)
    }
}

impl fmt::Display for ListenerPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// LISTENER_IP: every local address, or one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListenerIp {
    #[default]
    All,
    Address(IpAddr),
}

impl ListenerIp {
    /// The address to bind, `None` for ALL; also the column `ip_address`.
    pub const fn address(self) -> Option<IpAddr> {
        match self {
            ListenerIp::All => None,
            ListenerIp::Address(ip) => Some(ip),
        }
    }
}

/// The Windows authentication method written after WINDOWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum WindowsMethod {
    Ntlm,
    Kerberos,
    #[default]
    Negotiate,
}

impl WindowsMethod {
    pub const ALL: [WindowsMethod; 3] = [
        WindowsMethod::Ntlm,
        WindowsMethod::Kerberos,
        WindowsMethod::Negotiate,
    ];

    pub const fn desc(self) -> &'static str {
        match self {
            WindowsMethod::Ntlm => "NTLM",
            WindowsMethod::Kerberos => "KERBEROS",
            WindowsMethod::Negotiate => "NEGOTIATE",
        }
    }
}

/// One authentication method without the certificate's name: what negotiation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    Windows(WindowsMethod),
    Certificate,
}

impl Method {
    pub const fn desc(self) -> &'static str {
        match self {
            Method::Windows(windows) => windows.desc(),
            Method::Certificate => "CERTIFICATE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.desc())
    }
}

/// AUTHENTICATION: one method, or two different ones in order of preference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authentication {
    Windows(WindowsMethod),
    Certificate(String),
    WindowsThenCertificate(WindowsMethod, String),
    CertificateThenWindows(String, WindowsMethod),
}

impl Default for Authentication {
    /// WINDOWS NEGOTIATE. Source: documented, *CREATE ENDPOINT*.
    fn default() -> Self {
        Authentication::Windows(WindowsMethod::Negotiate)
    }
}

impl Authentication {
    /// The methods in order of preference, one or two.
    pub fn methods(&self) -> Vec<Method> {
        match self {
            Authentication::Windows(w) => vec![Method::Windows(*w)],
            Authentication::Certificate(_) => vec![Method::Certificate],
            Authentication::WindowsThenCertificate(w, _) => vec![Method::Windows(*w), Method::Certificate],
            Authentication::CertificateThenWindows(_, w) => vec![Method::Certificate, Method::Windows(*w)],
        }
    }

    /// The name of the certificate, if one is named.
    pub fn certificate(&self) -> Option<&str> {
        match self {
            Authentication::Windows(_) => None,
            Authentication::Certificate(name)
            | Authentication::WindowsThenCertificate(_, name)
            | Authentication::CertificateThenWindows(name, _) => Some(name),
        }
    }

    /// The Windows method, if one is named.
    pub fn windows(&self) -> Option<WindowsMethod> {
        self.methods().into_iter().find_map(|method| match method {
            Method::Windows(windows) => Some(windows),
            Method::Certificate => None,
        })
    }

    /// `connection_auth` of `sys.database_mirroring_endpoints`, 1 to 10.
    pub const fn code(&self) -> i64 {
        match self {
            Authentication::Windows(WindowsMethod::Ntlm) => 1,
            Authentication::Windows(WindowsMethod::Kerberos) => 2,
            Authentication::Windows(WindowsMethod::Negotiate) => 3,
            Authentication::Certificate(_) => 4,
            Authentication::WindowsThenCertificate(WindowsMethod::Ntlm, _) => 5,
            Authentication::WindowsThenCertificate(WindowsMethod::Kerberos, _) => 6,
            Authentication::WindowsThenCertificate(WindowsMethod::Negotiate, _) => 7,
            Authentication::CertificateThenWindows(_, WindowsMethod::Ntlm) => 8,
            Authentication::CertificateThenWindows(_, WindowsMethod::Kerberos) => 9,
            Authentication::CertificateThenWindows(_, WindowsMethod::Negotiate) => 10,
        }
    }

    /// `connection_auth_desc`, such as `CERTIFICATE, NTLM`.
    pub const fn desc(&self) -> &'static str {
        match self.code() {
            1 => "NTLM",
            2 => "KERBEROS",
            3 => "NEGOTIATE",
            4 => "CERTIFICATE",
            5 => "NTLM, CERTIFICATE",
            6 => "KERBEROS, CERTIFICATE",
            7 => "NEGOTIATE, CERTIFICATE",
            8 => "CERTIFICATE, NTLM",
            9 => "CERTIFICATE, KERBEROS",
            _ => "CERTIFICATE, NEGOTIATE",
        }
    }
}

/// As the DDL writes it: `WINDOWS NTLM CERTIFICATE c`.
impl fmt::Display for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Authentication::Windows(w) => write!(f, "WINDOWS {}", w.desc()),
            Authentication::Certificate(c) => write!(f, "CERTIFICATE {c}"),
            Authentication::WindowsThenCertificate(w, c) => write!(f, "WINDOWS {} CERTIFICATE {c}", w.desc()),
            Authentication::CertificateThenWindows(c, w) => write!(f, "CERTIFICATE {c} WINDOWS {}", w.desc()),
        }
    }
}

/// One encryption algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Algorithm {
    Aes,
    Rc4,
}

impl Algorithm {
    pub const fn desc(self) -> &'static str {
        match self {
            Algorithm::Aes => "AES",
            Algorithm::Rc4 => "RC4",
        }
    }
}

/// ALGORITHM: one, or both in order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Algorithms {
    /// The default since SQL Server 2016.
    #[default]
    Aes,
    Rc4,
    AesRc4,
    Rc4Aes,
}

impl Algorithms {
    pub const ALL: [Algorithms; 4] = [
        Algorithms::Aes,
        Algorithms::Rc4,
        Algorithms::AesRc4,
        Algorithms::Rc4Aes,
    ];

    /// In order of preference.
    pub const fn list(self) -> &'static [Algorithm] {
        match self {
            Algorithms::Aes => &[Algorithm::Aes],
            Algorithms::Rc4 => &[Algorithm::Rc4],
            Algorithms::AesRc4 => &[Algorithm::Aes, Algorithm::Rc4],
            Algorithms::Rc4Aes => &[Algorithm::Rc4, Algorithm::Aes],
        }
    }

    /// As the DDL writes it: `AES RC4`.
    pub const fn ddl(self) -> &'static str {
        match self {
            Algorithms::Aes => "AES",
            Algorithms::Rc4 => "RC4",
            Algorithms::AesRc4 => "AES RC4",
            Algorithms::Rc4Aes => "RC4 AES",
        }
    }
}

/// ENCRYPTION's first word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EncryptionLevel {
    Disabled,
    Supported,
    Required,
}

impl EncryptionLevel {
    pub const fn desc(self) -> &'static str {
        match self {
            EncryptionLevel::Disabled => "DISABLED",
            EncryptionLevel::Supported => "SUPPORTED",
            EncryptionLevel::Required => "REQUIRED",
        }
    }
}

/// ENCRYPTION: the level, with algorithms where there is something to encrypt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    Disabled,
    Supported(Algorithms),
    Required(Algorithms),
}

impl Default for Encryption {
    /// REQUIRED ALGORITHM AES. Source: documented, *CREATE ENDPOINT* (2016 and later).
    fn default() -> Self {
        Encryption::Required(Algorithms::Aes)
    }
}

impl Encryption {
    pub const fn level(self) -> EncryptionLevel {
        match self {
            Encryption::Disabled => EncryptionLevel::Disabled,
            Encryption::Supported(_) => EncryptionLevel::Supported,
            Encryption::Required(_) => EncryptionLevel::Required,
        }
    }

    /// In order of preference; empty for DISABLED.
    pub const fn algorithms(self) -> &'static [Algorithm] {
        match self {
            Encryption::Disabled => &[],
            Encryption::Supported(algorithms) | Encryption::Required(algorithms) => algorithms.list(),
        }
    }

    /// `is_encryption_enabled`; SUPPORTED counts as enabled. Source: ours, the manual is silent.
    pub const fn is_enabled(self) -> bool {
        !matches!(self, Encryption::Disabled)
    }

    /// `encryption_algorithm` of `sys.database_mirroring_endpoints`, 0 to 8.
    pub const fn code(self) -> i64 {
        match self {
            Encryption::Disabled => 0,
            Encryption::Required(Algorithms::Rc4) => 1,
            Encryption::Required(Algorithms::Aes) => 2,
            Encryption::Supported(Algorithms::Rc4) => 3,
            Encryption::Supported(Algorithms::Aes) => 4,
            Encryption::Required(Algorithms::Rc4Aes) => 5,
            Encryption::Required(Algorithms::AesRc4) => 6,
            Encryption::Supported(Algorithms::Rc4Aes) => 7,
            Encryption::Supported(Algorithms::AesRc4) => 8,
        }
    }

    /// `encryption_algorithm_desc`, such as `NONE, AES, RC4`.
    pub const fn desc(self) -> &'static str {
        match self {
            Encryption::Disabled => "NONE",
            Encryption::Required(Algorithms::Rc4) => "RC4",
            Encryption::Required(Algorithms::Aes) => "AES",
            Encryption::Supported(Algorithms::Rc4) => "NONE, RC4",
            Encryption::Supported(Algorithms::Aes) => "NONE, AES",
            Encryption::Required(Algorithms::Rc4Aes) => "RC4, AES",
            Encryption::Required(Algorithms::AesRc4) => "AES, RC4",
            Encryption::Supported(Algorithms::Rc4Aes) => "NONE, RC4, AES",
            Encryption::Supported(Algorithms::AesRc4) => "NONE, AES, RC4",
        }
    }
}

/// As the DDL writes it: `REQUIRED ALGORITHM AES`.
impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Encryption::Disabled => f.write_str("DISABLED"),
            Encryption::Supported(algorithms) => write!(f, "SUPPORTED ALGORITHM {}", algorithms.ddl()),
            Encryption::Required(algorithms) => write!(f, "REQUIRED ALGORITHM {}", algorithms.ddl()),
        }
    }
}

/// ROLE: which mirroring roles the instance may play through this endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EndpointRole {
    Partner,
    Witness,
    All,
}

impl EndpointRole {
    /// `role` of `sys.database_mirroring_endpoints`.
    pub const fn code(self) -> i64 {
        match self {
            EndpointRole::Partner => 1,
            EndpointRole::Witness => 2,
            EndpointRole::All => 3,
        }
    }

    pub const fn desc(self) -> &'static str {
        match self {
            EndpointRole::Partner => "PARTNER",
            EndpointRole::Witness => "WITNESS",
            EndpointRole::All => "ALL",
        }
    }

    pub const fn can_be_partner(self) -> bool {
        matches!(self, EndpointRole::Partner | EndpointRole::All)
    }

    pub const fn can_be_witness(self) -> bool {
        matches!(self, EndpointRole::Witness | EndpointRole::All)
    }
}

impl fmt::Display for EndpointRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.desc())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_keep_to_the_documented_range() {
        for n in [1_024, 5_022, 7_022, 32_767] {
            assert_eq!(i64::from(ListenerPort::try_from(n).expect("in range")), n);
        }
        for n in [-1, 0, 1_023, 65_536, 65_536 + 7_022] {
            assert_eq!(ListenerPort::try_from(n).expect_err("out of range").number, 7810);
        }
    }

    #[test]
    fn codes_and_texts_match_the_catalog_views() {
        let c = || "c".to_owned();
        let auth = [
            (Authentication::default(), 3, "NEGOTIATE"),
            (Authentication::Windows(WindowsMethod::Ntlm), 1, "NTLM"),
            (Authentication::Windows(WindowsMethod::Kerberos), 2, "KERBEROS"),
            (Authentication::Certificate(c()), 4, "CERTIFICATE"),
            (
                Authentication::WindowsThenCertificate(WindowsMethod::Kerberos, c()),
                6,
                "KERBEROS, CERTIFICATE",
            ),
            (
                Authentication::CertificateThenWindows(c(), WindowsMethod::Ntlm),
                8,
                "CERTIFICATE, NTLM",
            ),
        ];
        for (authentication, code, desc) in auth {
            assert_eq!((authentication.code(), authentication.desc()), (code, desc));
        }
        assert_eq!(
            (Encryption::default().code(), Encryption::default().desc()),
            (2, "AES")
        );
        let mut codes: Vec<i64> = vec![Encryption::Disabled.code()];
        for algorithms in Algorithms::ALL {
            for encryption in [
                Encryption::Supported(algorithms),
                Encryption::Required(algorithms),
            ] {
                codes.push(encryption.code());
                let mut names: Vec<&str> = encryption.algorithms().iter().map(|a| a.desc()).collect();
                if encryption.level() == EncryptionLevel::Supported {
                    names.insert(0, "NONE");
                }
                assert_eq!(encryption.desc(), names.join(", "));
            }
        }
        codes.sort_unstable();
        assert_eq!(codes, (0..=8).collect::<Vec<_>>());
    }

    #[test]
    fn stopped_is_silent_and_disabled_answers() {
        assert!(EndpointState::Started.is_listening());
        assert!(!EndpointState::Stopped.is_listening());
        assert!(EndpointState::Disabled.is_listening());
        assert_eq!(EndpointState::default().code(), 1);
    }

    #[test]
    fn a_configuration_survives_storage_and_a_wrong_port_does_not() {
        let config = EndpointConfig {
            name: "Mirroring".into(),
            state: EndpointState::Disabled,
            port: ListenerPort::try_from(7_022).unwrap(),
            ip: ListenerIp::Address("10.0.75.1".parse().unwrap()),
            authentication: Authentication::CertificateThenWindows("c".into(), WindowsMethod::Ntlm),
            encryption: Encryption::Supported(Algorithms::Rc4Aes),
            role: EndpointRole::Witness,
        };
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<EndpointConfig>(&text).unwrap(), config);
        let wrong = text.replace("7022", "70");
        assert!(serde_json::from_str::<EndpointConfig>(&wrong).is_err());
    }
}
