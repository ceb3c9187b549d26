//! What a run consists of: a domain, systems, instances on systems, applications.
//!
//! Plain data as written in a scenario; knows no world. Endpoints and databases are not here: a run creates them with
//! T-SQL, as a DBA would. Source: ours.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::instance::InstanceOptions;
use crate::types::{DatabaseName, InstanceName};

/// Everything that exists before the first batch of the set-up runs.
///
/// Invariants (held by the scenario parser): names are unique without regard to case; every instance names a system of
/// the list; no two instances of one system share a client port.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Topology {
    pub domain: Option<Domain>,
    pub systems: Vec<SystemSpec>,
    pub instances: Vec<InstanceSpec>,
    pub clients: Vec<ClientSpec>,
}

impl Topology {
    /// What stands behind the name of a system in its fully qualified name, if anything does.
    pub fn dns_suffix(&self, system: &str) -> Option<&str> {
        let own = self
            .systems
            .iter()
            .find(|s| s.name.eq_ignore_ascii_case(system))
            .and_then(|s| s.dns_suffix.as_deref());
        own.or(self.domain.as_ref().map(|d| d.dns.as_str()))
    }
}

/// A Windows domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// NetBIOS name, the part before the backslash in `ADVENTURE\svc`.
    pub name: String,
    /// DNS name; the suffix of every system that states none of its own.
    pub dns: String,
    /// The system that runs the domain controller, if the run needs one.
    pub controller: Option<String>,
    /// User accounts and their passwords.
    pub accounts: BTreeMap<String, String>,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemSpec {
    /// NetBIOS name.
    pub name: String,
    pub dns_suffix: Option<String>,
    /// How far its wall clock is off at the start, in milliseconds; negative is behind.
    pub clock_offset_millis: i64,
    /// How fast its wall clock gains, in parts per million.
    pub clock_drift_ppm: i64,
}

/// A server instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceSpec {
    pub name: InstanceName,
    pub system: String,
    /// The name after the backslash; `None` is the default instance.
    pub instance_name: Option<String>,
    /// Where it takes T-SQL and transactions.
    pub client_port: u16,
    pub service_account: ServiceAccount,
    pub options: InstanceOptions,
}

impl InstanceSpec {
    /// What `@@SERVERNAME` says: `SYSTEM` or `SYSTEM\INSTANCE`.
    pub fn server_name(&self) -> String {
        match &self.instance_name {
            Some(instance) => format!("{}\\{}", self.system.to_uppercase(), instance.to_uppercase()),
            None => self.system.to_uppercase(),
        }
    }
}

/// The account an instance runs under. Source: documented, *The Database Mirroring Endpoint*, authentication types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceAccount {
    LocalSystem,
    LocalService,
    NetworkService,
    /// `DOMAIN\user`.
    Domain(String),
    /// An account of the system alone.
    Local(String),
}

impl ServiceAccount {
    /// Reads `LocalSystem`, `NT AUTHORITY\NetworkService`, `DOMAIN\user`, `.\user`; a bare name is a local account.
    pub fn parse(text: &str) -> ServiceAccount {
        let bare = text
            .strip_prefix("NT AUTHORITY\\")
            .unwrap_or(text)
            .replace(' ', "")
            .to_ascii_lowercase();
        match bare.as_str() {
            "localsystem" | "system" => ServiceAccount::LocalSystem,
            "localservice" => ServiceAccount::LocalService,
            "networkservice" => ServiceAccount::NetworkService,
            _ => match text.split_once('\\') {
                Some((".", user)) => ServiceAccount::Local(user.to_owned()),
                Some(_) => ServiceAccount::Domain(text.to_owned()),
                None => ServiceAccount::Local(text.to_owned()),
            },
        }
    }
}

impl fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceAccount::LocalSystem => f.write_str("LocalSystem"),
            ServiceAccount::LocalService => f.write_str("NT AUTHORITY\\LocalService"),
            ServiceAccount::NetworkService => f.write_str("NT AUTHORITY\\NetworkService"),
            ServiceAccount::Domain(name) => f.write_str(name),
            ServiceAccount::Local(name) => write!(f, ".\\{name}"),
        }
    }
}

/// An application: its connection string and its load. It runs on a system of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSpec {
    pub name: String,
    /// The instance its connection string names.
    pub initial: InstanceName,
    pub failover_partner: Option<InstanceName>,
    /// The port it asks for instead of the client port of the initial partner.
    pub port: Option<u16>,
    pub database: DatabaseName,
    /// The login of its connection string.
    pub login: String,
    /// Transactions a second.
    pub rate: u32,
    pub mix: Mix,
    /// Since the end of the set-up; `None` waits for a `start_client` step.
    pub from: Option<Duration>,
    /// `None` is the end of the scenario.
    pub until: Option<Duration>,
}

/// How often each kind of transaction is drawn; only the proportions matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    pub insert: u32,
    pub update: u32,
    pub transfer: u32,
    pub read: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Mix {
            insert: 4,
            update: 2,
            transfer: 2,
            read: 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_accounts_are_told_apart() {
        assert_eq!(ServiceAccount::parse("Local System"), ServiceAccount::LocalSystem);
        assert_eq!(
            ServiceAccount::parse("NT AUTHORITY\\NetworkService"),
            ServiceAccount::NetworkService
        );
        assert_eq!(
            ServiceAccount::parse("ADVENTURE\\sql"),
            ServiceAccount::Domain("ADVENTURE\\sql".into())
        );
        assert_eq!(
            ServiceAccount::parse(".\\sql"),
            ServiceAccount::Local("sql".into())
        );
    }

    #[test]
    fn a_named_instance_prints_after_its_system() {
        let spec = InstanceSpec {
            name: InstanceName::new("left"),
            system: "mysystem".into(),
            instance_name: Some("second".into()),
            client_port: 1434,
            service_account: ServiceAccount::LocalSystem,
            options: InstanceOptions::default(),
        };
        assert_eq!(spec.server_name(), "MYSYSTEM\\SECOND");
    }
}
