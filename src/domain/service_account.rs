//! The accounts a service may run under, and what each of them is on the network.
//!
//! Source: documented, *The Database Mirroring Endpoint* and *Transport Security* (which account can do what).

use std::fmt;

use thiserror::Error;

use super::account::AccountName;

/// Why a text names no account a service can run under.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is not a service account")]
pub struct ServiceAccountError(pub String);

/// The account an instance runs under. Source: documented, *The Database Mirroring Endpoint*, authentication types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceAccount {
    LocalSystem,
    LocalService,
    NetworkService,
    /// `DOMAIN\user`.
    Domain(AccountName),
    /// An account of the system alone.
    Local(String),
}

/// What stands before the names of Windows' own accounts, folded; the virtual accounts of services (`NT SERVICE\…`) are on
/// the network what Network Service is, and not modelled apart.
const NO_DOMAINS: [&str; 3] = ["ntauthority\\", "ntservice\\", "builtin\\"];

impl ServiceAccount {
    /// Reads `LocalSystem`, `NT AUTHORITY\NETWORK SERVICE`, `DOMAIN\user`, `.\user`; spaces and case of the built-in
    /// ones do not matter.
    pub fn parse(text: &str) -> Result<ServiceAccount, ServiceAccountError> {
        let folded = text.replace(' ', "").to_ascii_lowercase();
        match folded.strip_prefix("ntauthority\\").unwrap_or(&folded) {
            "localsystem" | "system" => return Ok(ServiceAccount::LocalSystem),
            "localservice" => return Ok(ServiceAccount::LocalService),
            "networkservice" => return Ok(ServiceAccount::NetworkService),
            _ => {}
        }
        let wrong = || ServiceAccountError(text.to_owned());
        let account = AccountName::parse(text).ok_or_else(wrong)?;
        match account.domain() {
            "." => Ok(ServiceAccount::Local(account.name().to_owned())),
            _ if NO_DOMAINS.iter().any(|name| folded.starts_with(name)) => Err(wrong()),
            _ => Ok(ServiceAccount::Domain(account)),
        }
    }

    /// As what a service under this account authenticates to others, on a member of `domain`; `None` if it cannot.
    ///
    /// Network Service presents the account of its computer. Local System would as well, but every page demands
    /// certificates for it. Source: documented, *Transport Security*.
    pub fn on_the_network(&self, domain: Option<&str>, system: &str) -> Option<AccountName> {
        match self {
            ServiceAccount::Domain(account) => Some(account.clone()),
            ServiceAccount::NetworkService => domain.map(|d| AccountName::computer(d, system)),
            ServiceAccount::LocalSystem | ServiceAccount::LocalService | ServiceAccount::Local(_) => None,
        }
    }
}

impl fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceAccount::LocalSystem => f.write_str("LocalSystem"),
            ServiceAccount::LocalService => f.write_str("NT AUTHORITY\\LOCAL SERVICE"),
            ServiceAccount::NetworkService => f.write_str("NT AUTHORITY\\NETWORK SERVICE"),
            ServiceAccount::Domain(account) => account.fmt(f),
            ServiceAccount::Local(name) => write!(f, ".\\{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_accounts_are_told_apart_and_print_as_they_are_read() {
        for (text, account) in [
            ("Local System", ServiceAccount::LocalSystem),
            ("NT AUTHORITY\\SYSTEM", ServiceAccount::LocalSystem),
            ("NT AUTHORITY\\NetworkService", ServiceAccount::NetworkService),
            ("NT AUTHORITY\\LOCAL SERVICE", ServiceAccount::LocalService),
            (
                "ADVENTURE\\sql",
                ServiceAccount::Domain(AccountName::new("adventure", "SQL")),
            ),
            (".\\sql", ServiceAccount::Local("sql".into())),
        ] {
            assert_eq!(ServiceAccount::parse(text), Ok(account.clone()), "{text}");
            assert_eq!(ServiceAccount::parse(&account.to_string()), Ok(account));
        }
        for text in [
            "sql",
            "",
            "\\sql",
            "LAB\\",
            "a\\b\\c",
            "NT AUTHORITY\\IUSR",
            "NT SERVICE\\MSSQLSERVER",
            "BUILTIN\\Users",
        ] {
            assert!(ServiceAccount::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_domain_accounts_and_network_service_are_somebody_on_the_network() {
        let shown = |account: ServiceAccount, domain| {
            account
                .on_the_network(domain, "alpha")
                .map(|name| name.to_string())
        };
        let sql = ServiceAccount::Domain(AccountName::new("LAB", "sql"));
        assert_eq!(shown(sql, None).as_deref(), Some("LAB\\sql"));
        assert_eq!(
            shown(ServiceAccount::NetworkService, Some("LAB")).as_deref(),
            Some("LAB\\ALPHA$")
        );
        assert_eq!(shown(ServiceAccount::NetworkService, None), None);
        for account in [
            ServiceAccount::LocalSystem,
            ServiceAccount::LocalService,
            ServiceAccount::Local("sql".into()),
        ] {
            assert_eq!(shown(account, Some("LAB")), None);
        }
    }
}
