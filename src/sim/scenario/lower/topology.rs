//! Domains, systems and instances.

use toml::Spanned;

use super::{Base, Lowered, Lowering, Names};
use crate::domain::ServiceAccount;
use crate::instance::{Edition, InstanceOptions, ListenerFailure, PortRange};
use crate::sim::scenario::error::Problem;
use crate::sim::scenario::raw::*;
use crate::sim::topology::{AccountSpec, Domain, InstanceSpec, SystemSpec};
use crate::types::InstanceName;

/// In place of a domain: the system is a member of none.
const WORKGROUP: &str = "WORKGROUP";

impl Lowering<'_> {
    pub(super) fn add_domain(&self, name: &Text, raw: &RawDomain, base: &mut Base) -> Lowered<()> {
        self.unique("domain", name, &Names::of(base).domains)?;
        if name.get_ref().eq_ignore_ascii_case(WORKGROUP) {
            let hint = Some("the name stands for systems that are in no domain".into());
            return Err(self.bad(name.span(), "name of a domain", name.get_ref(), hint));
        }
        let mut accounts: Vec<AccountSpec> = Vec::new();
        for (account, spec) in &raw.accounts {
            let known: Vec<String> = accounts.iter().map(|a| a.name.clone()).collect();
            self.unique("account", account, &known)?;
            if account.get_ref().contains(['\\', '$']) {
                let hint = Some("without the domain; computer accounts exist by themselves".into());
                return Err(self.bad(account.span(), "name of an account", account.get_ref(), hint));
            }
            if spec.password.get_ref().is_empty() {
                return Err(self.bad(spec.password.span(), "password", "", None));
            }
            accounts.push(AccountSpec {
                name: account.get_ref().clone(),
                password: spec.password.get_ref().clone(),
                disabled: spec.disabled,
                locked: spec.locked,
                registers_spn: spec.registers_spn,
                renamed: None,
            });
        }
        base.topology.domains.push(Domain {
            name: name.get_ref().clone(),
            dns: raw.dns.clone(),
            controller: None,
            accounts,
            trusts: Vec::new(),
            spns: Vec::new(),
        });
        Ok(())
    }

    /// What a domain says of systems and other domains.
    pub(super) fn finish_domain(
        &self,
        name: &Text,
        raw: &RawDomain,
        names: &Names,
        base: &mut Base,
    ) -> Lowered<()> {
        let controller = raw
            .controller
            .as_ref()
            .map(|c| self.system(c, names))
            .transpose()?;
        let trusts = raw
            .trusts
            .iter()
            .map(|t| self.name("domain", t, &names.domains))
            .collect::<Lowered<Vec<_>>>()?;
        let computers: Vec<String> = base
            .topology
            .systems
            .iter()
            .filter(|s| s.domain.as_ref() == Some(name.get_ref()))
            .map(|s| format!("{}$", s.name.to_uppercase()))
            .collect();
        let Some(domain) = base
            .topology
            .domains
            .iter_mut()
            .find(|d| d.name == *name.get_ref())
        else {
            return Ok(());
        };
        let accounts = domain.accounts.iter().map(|a| a.name.clone());
        let accounts: Vec<String> = accounts.chain(computers).collect();
        for entry in &raw.spns {
            let account = self.name("account", &entry.account, &accounts)?;
            domain.spns.push((entry.spn.get_ref().clone(), account));
        }
        (domain.controller, domain.trusts) = (controller, trusts);
        Ok(())
    }

    /// The domain a system is a member of: the one it names, or the only one there is.
    fn membership(&self, written: Option<&Text>, of: &Text, base: &Base) -> Lowered<Option<String>> {
        let domains = Names::of(base).domains;
        match (written, domains.as_slice()) {
            (Some(name), _) if name.get_ref().eq_ignore_ascii_case(WORKGROUP) => Ok(None),
            (Some(name), _) => self.name("domain", name, &domains).map(Some),
            (None, []) => Ok(None),
            (None, [only]) => Ok(Some(only.clone())),
            (None, _) => {
                let hint = format!("there are several: name one of them, or {WORKGROUP}");
                Err(self.error(of.span(), Problem::Missing("domain"), Some(hint)))
            }
        }
    }

    /// Service accounts of a domain must exist there.
    pub(super) fn check_accounts(&self, raw: &RawScenario, base: &Base) -> Lowered<()> {
        for instance in &raw.instance {
            let Some(written) = &instance.service_account else {
                continue;
            };
            let Ok(ServiceAccount::Domain(account)) = ServiceAccount::parse(written.get_ref()) else {
                continue;
            };
            let named = Spanned::new(written.span(), account.to_string());
            self.account(&named, &Names::of(base))?;
        }
        Ok(())
    }

    pub(super) fn add_system(&self, raw: &RawSystem, base: &mut Base) -> Lowered<()> {
        self.unique("system", &raw.name, &Names::of(base).systems)?;
        let domain = self.membership(raw.domain.as_ref(), &raw.name, base)?;
        base.topology.systems.push(SystemSpec {
            name: raw.name.get_ref().clone(),
            domain,
            dns_suffix: raw.dns_suffix.clone(),
            clock_offset_millis: raw
                .clock_offset
                .as_ref()
                .map_or(Ok(0), |offset| self.signed_millis(offset))?,
            clock_drift_ppm: raw.clock_drift_ppm.unwrap_or(0),
        });
        Ok(())
    }

    /// An instance without a system gets one of its own name.
    pub(super) fn add_instance(&self, raw: &RawInstance, base: &mut Base) -> Lowered<()> {
        let names = Names::of(base);
        self.unique("instance", &raw.name, &names.instances)?;
        let system = match &raw.system {
            Some(system) => self.system(system, &names)?,
            None => {
                self.unique("system", &raw.name, &names.systems)?;
                let domain = self.membership(None, &raw.name, base)?;
                base.topology.systems.push(SystemSpec {
                    name: raw.name.get_ref().clone(),
                    domain,
                    dns_suffix: None,
                    clock_offset_millis: 0,
                    clock_drift_ppm: 0,
                });
                raw.name.get_ref().clone()
            }
        };
        let client_port = raw.client_port.as_ref().map_or(Ok(1433), |p| self.port(p))?;
        let taken = base
            .topology
            .instances
            .iter()
            .any(|i| i.system == system && i.client_port == client_port);
        if taken {
            let span = raw.client_port.as_ref().map_or(raw.name.span(), Spanned::span);
            return Err(self.error(
                span,
                Problem::Duplicate {
                    what: "client port",
                    name: format!("{client_port} of {system}"),
                },
                Some("two instances of one system need different client_port values".into()),
            ));
        }
        base.topology.instances.push(InstanceSpec {
            name: InstanceName::new(raw.name.get_ref().clone()),
            system,
            instance_name: raw.instance_name.clone(),
            client_port,
            service_account: raw
                .service_account
                .as_ref()
                .map_or(Ok(ServiceAccount::LocalSystem), |a| self.service_account(a))?,
            options: self.options(raw)?,
        });
        Ok(())
    }

    fn options(&self, raw: &RawInstance) -> Lowered<InstanceOptions> {
        let default = InstanceOptions::default();
        let version = match &raw.version {
            None => default.version,
            Some(number) => {
                let known = InstanceOptions::VERSIONS.into_iter();
                let found = known.clone().find(|v| i64::from(*v) == *number.get_ref());
                let years = known.map(|v| v.to_string()).collect::<Vec<_>>().join(", ");
                let bad = || {
                    self.bad(
                        number.span(),
                        "version",
                        &number.get_ref().to_string(),
                        Some(format!("one of {years}")),
                    )
                };
                found.ok_or_else(bad)?
            }
        };
        let editions = [
            ("enterprise", Edition::Enterprise),
            ("standard", Edition::Standard),
            ("express", Edition::Express),
        ];
        let ports = [("strict", PortRange::Strict), ("lenient", PortRange::Lenient)];
        let listener = [
            ("logged", ListenerFailure::Logged),
            ("raised", ListenerFailure::Raised),
        ];
        Ok(InstanceOptions {
            version,
            edition: raw
                .edition
                .as_ref()
                .map_or(Ok(default.edition), |e| self.choice(e, "edition", &editions))?,
            fips: raw.fips.unwrap_or(default.fips),
            ports: raw
                .ports
                .as_ref()
                .map_or(Ok(default.ports), |p| self.choice(p, "port range", &ports))?,
            listener: raw.listener.as_ref().map_or(Ok(default.listener), |l| {
                self.choice(l, "kind of listener failure", &listener)
            })?,
        })
    }

    fn service_account(&self, text: &Text) -> Lowered<ServiceAccount> {
        ServiceAccount::parse(text.get_ref()).map_err(|_| {
            let hint = "write 'DOMAIN\\user', 'NT AUTHORITY\\NETWORK SERVICE', 'LocalSystem', '.\\user'";
            self.bad(text.span(), "service account", text.get_ref(), Some(hint.into()))
        })
    }
}
