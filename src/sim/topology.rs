//! What a run consists of: domains, systems, instances on systems, applications.
//!
//! Plain data as written in a scenario; knows no world. Endpoints and databases are not here: a run creates them with
//! T-SQL, as a DBA would. Source: ours.

use std::time::Duration;

use super::connection_string::Provider;
use crate::domain::{AccountName, ServiceAccount};
use crate::instance::InstanceOptions;
use crate::types::{DatabaseName, InstanceName, ServerAddress};

/// Everything that exists before the first batch of the set-up runs.
///
/// Invariants (held by the scenario parser): names are unique without regard to case; every instance names a system of
/// the list; no two instances of one system share a client port; every account, domain and controller that is named
/// exists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Topology {
    pub domains: Vec<Domain>,
    pub systems: Vec<SystemSpec>,
    pub instances: Vec<InstanceSpec>,
    pub clients: Vec<ClientSpec>,
}

impl Topology {
    /// What stands behind the name of a system in its fully qualified name, if anything does.
    pub fn dns_suffix(&self, system: &str) -> Option<&str> {
        let own = self.system(system).and_then(|s| s.dns_suffix.as_deref());
        own.or(self.domain_of(system).map(|d| d.dns.as_str()))
    }

    fn system(&self, name: &str) -> Option<&SystemSpec> {
        self.systems.iter().find(|s| s.name.eq_ignore_ascii_case(name))
    }

    pub fn domain(&self, name: &str) -> Option<&Domain> {
        self.domains.iter().find(|d| d.name.eq_ignore_ascii_case(name))
    }

    /// The domain a system is a member of.
    pub fn domain_of(&self, system: &str) -> Option<&Domain> {
        self.domain(self.system(system)?.domain.as_deref()?)
    }

    /// Every user account, and the computer account of every member.
    pub fn account_names(&self) -> impl Iterator<Item = AccountName> {
        let users = self
            .domains
            .iter()
            .flat_map(|d| d.accounts.iter().map(|a| AccountName::new(&d.name, &a.name)));
        let computers = self.systems.iter().filter_map(|s| {
            let domain = s.domain.as_deref()?;
            Some(AccountName::computer(domain, &s.name))
        });
        users.chain(computers)
    }

    /// Where the members of a domain ask its controller, if it has one.
    pub fn controller_address(&self, domain: &Domain) -> Option<ServerAddress> {
        let system = domain.controller.as_deref()?;
        let host = match self.dns_suffix(system) {
            Some(suffix) => format!("{system}.{suffix}"),
            None => system.to_owned(),
        };
        Some(ServerAddress::new(host, CONTROLLER_PORT))
    }
}

/// The port a domain controller listens on: that of Kerberos.
pub const CONTROLLER_PORT: u16 = 88;

/// A Windows domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// NetBIOS name, the part before the backslash in `ADVENTURE\svc`.
    pub name: String,
    /// DNS name; the suffix of every member that states none of its own.
    pub dns: String,
    /// The system that runs the domain controller, if the run needs one.
    pub controller: Option<String>,
    /// User accounts. Computer accounts exist by themselves, one for each member.
    pub accounts: Vec<AccountSpec>,
    /// The domains whose accounts this one accepts.
    pub trusts: Vec<String>,
    /// Names of services that are registered from the start, and the account of this domain each belongs to.
    pub spns: Vec<(String, String)>,
}

/// A user account of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSpec {
    pub name: String,
    pub password: String,
    pub disabled: bool,
    pub locked: bool,
    /// Whether a service that runs under it may register its own service principal name.
    pub registers_spn: bool,
    /// What it is called since it was renamed, if it was.
    pub renamed: Option<String>,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemSpec {
    /// NetBIOS name.
    pub name: String,
    /// The domain it is a member of; `None` in a workgroup.
    pub domain: Option<String>,
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

/// An application: its connection string and its load. It runs on a system of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSpec {
    pub name: String,
    /// The instance its connection string names.
    pub initial: InstanceName,
    pub failover_partner: Option<InstanceName>,
    pub provider: Provider,
    /// For one attempt to find the principal.
    pub login_timeout: Duration,
    /// The port it asks for instead of the client port of the initial partner.
    pub port: Option<u16>,
    pub database: DatabaseName,
    /// The login of its connection string.
    pub login: String,
    /// Transactions a second.
    pub rate: u32,
    pub mix: Mix,
    /// It finds out what became of an insert or update in doubt.
    pub verify: bool,
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
