//! From the raw file to the checked scenario: every name is declared, every time lies within the run.
//!
//! A file is lowered on top of what it extends, so that its steps may speak of the shared topology.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;

use super::error::{Problem, ScenarioError, suggest};
use super::mirrored::{DATABASES_MAX, Mirrored, Partner};
use super::raw::*;
use super::units::{parse_duration, parse_seeds};
use super::{Action, Begin, Condition, Expect, Expectation, Must, Outcome, Scenario, Setup, Step};
use crate::domain::{AccountName, ServiceAccount};
use crate::instance::{Edition, InstanceOptions, ListenerFailure, PortRange};
use crate::sim::client::{ADMINISTRATOR, DEFAULT_PORT, LOGIN_TIMEOUT};
use crate::sim::connection_string::{ConnectionText, ConnectionTextError, Provider};
use crate::sim::fault::{Crash, Direction, Fault, FirewallFault, KINDS, MiddleFault, PortSpec};
use crate::sim::topology::{AccountSpec, ClientSpec, Domain, InstanceSpec, Mix, SystemSpec, Topology};
use crate::sim::world::Meddling;
use crate::types::{DatabaseName, InstanceName, LinkState, MirroringState, PartnerRole, ServerAddress};

type Lowered<T> = Result<T, ScenarioError>;

/// What a shared file gives to those that extend it.
#[derive(Debug, Clone, Default)]
pub(super) struct Base {
    pub topology: Topology,
    pub database: Option<String>,
    pub setup: Vec<Setup>,
}

/// In place of a domain: the system is a member of none.
const WORKGROUP: &str = "WORKGROUP";

/// Where endpoints listen unless a `mirror` says otherwise; the port of the manual's examples.
const ENDPOINT_PORT: u16 = 7022;

/// Longest a condition is waited for unless `within` says otherwise.
const WITHIN_DEFAULT: Duration = Duration::from_secs(60);

/// Parses the TOML of one file.
pub(super) fn read(file: &str, text: &str) -> Lowered<RawScenario> {
    toml::from_str(text).map_err(|e| {
        let message = e.message().trim().replace('\n', " ");
        let hint = unknown_key_hint(&message);
        match e.span() {
            Some(span) => ScenarioError::at(file, text, span, Problem::Toml(message), hint),
            None => ScenarioError::whole(file, Problem::Toml(message), hint),
        }
    })
}

/// Lowers a shared file on top of what it extends.
pub(super) fn lower_base(file: &str, text: &str, raw: &RawScenario, mut base: Base) -> Lowered<Base> {
    let at = Lowering { file, text };
    for (key, span) in [
        ("promise", raw.promise.as_ref().map(Spanned::span)),
        ("until", raw.until.as_ref().map(Spanned::span)),
        ("seeds", raw.seeds.as_ref().map(Spanned::span)),
        ("[[step]]", raw.step.first().map(Spanned::span)),
        ("[[expect]]", raw.expect.first().map(Spanned::span)),
    ] {
        if let Some(span) = span {
            return Err(at.misplaced(span, key, "a shared file: it holds topology and set-up only"));
        }
    }
    at.extend(raw, &mut base)?;
    Ok(base)
}

/// Lowers a scenario on top of what it extends.
pub(super) fn lower(
    name: &str,
    file: &str,
    text: &str,
    raw: &RawScenario,
    mut base: Base,
) -> Lowered<Scenario> {
    let at = Lowering { file, text };
    let required = |value: &Option<Text>, key: &'static str| match value {
        Some(text) if !text.get_ref().trim().is_empty() => Ok(one_paragraph(text.get_ref())),
        _ => Err(ScenarioError::whole(file, Problem::Missing(key), None)),
    };
    let promise = required(&raw.promise, "promise")?;
    let risk = required(&raw.risk, "risk")?;
    let until = match &raw.until {
        Some(until) => at.duration(until)?,
        None => return Err(ScenarioError::whole(file, Problem::Missing("until"), None)),
    };
    at.extend(raw, &mut base)?;
    let names = Names::of(&base);
    let steps = at.steps(raw, &names, until)?;
    at.start_by_step(&mut base.topology, raw, &steps);
    if raw.expect.is_empty() {
        return Err(ScenarioError::whole(file, Problem::NoExpectation, None));
    }
    let names = Names::of(&base);
    let expects = raw
        .expect
        .iter()
        .map(|e| at.expect(e, &names, until))
        .collect::<Lowered<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect();
    Ok(Scenario {
        name: name.to_owned(),
        call: name.to_owned(),
        promise,
        risk,
        source: raw
            .source
            .as_ref()
            .map_or_else(|| "ours".to_owned(), |s| one_paragraph(s.get_ref())),
        seeds: match &raw.seeds {
            Some(seeds) => at.seeds(seeds)?,
            None => vec![1],
        },
        topology: base.topology,
        setup: base.setup,
        steps,
        expects,
        until,
        settle: raw.settle.as_ref().map(|s| at.duration(s)).transpose()?,
    })
}

/// The names a step may speak of.
struct Names {
    domains: Vec<String>,
    /// User and computer accounts, `DOMAIN\\name`.
    accounts: Vec<String>,
    systems: Vec<String>,
    instances: Vec<String>,
    clients: Vec<String>,
    database: Option<String>,
}

impl Names {
    fn of(base: &Base) -> Names {
        let topology = &base.topology;
        Names {
            domains: topology.domains.iter().map(|d| d.name.clone()).collect(),
            accounts: topology
                .account_names()
                .map(|account| account.to_string())
                .collect(),
            systems: topology.systems.iter().map(|s| s.name.clone()).collect(),
            instances: topology
                .instances
                .iter()
                .map(|i| i.name.as_str().to_owned())
                .collect(),
            clients: topology.clients.iter().map(|c| c.name.clone()).collect(),
            database: base.database.clone(),
        }
    }
}

struct Lowering<'a> {
    file: &'a str,
    text: &'a str,
}

impl Lowering<'_> {
    fn error(&self, span: Range<usize>, problem: Problem, hint: Option<String>) -> ScenarioError {
        ScenarioError::at(self.file, self.text, span, problem, hint)
    }

    fn misplaced(&self, span: Range<usize>, key: &str, owner: &str) -> ScenarioError {
        self.error(
            span,
            Problem::Misplaced {
                key: key.to_owned(),
                owner: owner.to_owned(),
            },
            None,
        )
    }

    fn duration(&self, text: &Text) -> Lowered<Duration> {
        parse_duration(text.get_ref()).ok_or_else(|| {
            self.error(
                text.span(),
                Problem::BadDuration(text.get_ref().clone()),
                Some("write a number with a unit: 250ms, 12s, 1.5s, 2m, 1m30s".into()),
            )
        })
    }

    /// A duration that may be negative.
    fn signed_millis(&self, text: &Text) -> Lowered<i64> {
        let written = text.get_ref().trim();
        let (negative, magnitude) = match written.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, written.strip_prefix('+').unwrap_or(written)),
        };
        let millis = parse_duration(magnitude).and_then(|d| i64::try_from(d.as_millis()).ok());
        match millis {
            Some(millis) => Ok(if negative { -millis } else { millis }),
            None => Err(self.error(
                text.span(),
                Problem::BadDuration(text.get_ref().clone()),
                Some("write a signed number with a unit: -90s, +2h".into()),
            )),
        }
    }

    fn seeds(&self, text: &Text) -> Lowered<Vec<u64>> {
        parse_seeds(text.get_ref()).ok_or_else(|| {
            self.error(
                text.span(),
                Problem::BadSeeds(text.get_ref().clone()),
                Some("write 7, 1..3 (both ends included) or 1..3,7".into()),
            )
        })
    }

    fn port(&self, number: &Number) -> Lowered<u16> {
        u16::try_from(*number.get_ref())
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| {
                self.bad(
                    number.span(),
                    "port from 1 to 65535",
                    &number.get_ref().to_string(),
                    None,
                )
            })
    }

    fn unsigned<T: TryFrom<i64>>(&self, number: &Number, what: &'static str) -> Lowered<T> {
        let value = *number.get_ref();
        T::try_from(value).map_err(|_| self.bad(number.span(), what, &value.to_string(), None))
    }

    fn message_number(&self, number: &Number) -> Lowered<u32> {
        let value = *number.get_ref();
        let bad = |hint: &str| {
            self.bad(
                number.span(),
                "message number of the catalogue",
                &value.to_string(),
                Some(hint.to_owned()),
            )
        };
        let known = u32::try_from(value).map_err(|_| bad("a message number is positive"))?;
        match crate::error::message(known) {
            Some(_) => Ok(known),
            None => Err(bad("no message with this number can ever be raised here")),
        }
    }

    fn bad(
        &self,
        span: Range<usize>,
        what: &'static str,
        value: &str,
        hint: Option<String>,
    ) -> ScenarioError {
        self.error(
            span,
            Problem::BadValue {
                what,
                value: value.to_owned(),
            },
            hint,
        )
    }

    fn choice<T: Copy>(&self, text: &Text, what: &'static str, choices: &[(&str, T)]) -> Lowered<T> {
        choices
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text.get_ref()))
            .map(|(_, value)| *value)
            .ok_or_else(|| {
                self.bad(
                    text.span(),
                    what,
                    text.get_ref(),
                    suggest(text.get_ref(), choices.iter().map(|(name, _)| *name)),
                )
            })
    }

    /// The declared spelling of a name.
    fn name(&self, what: &'static str, text: &Text, known: &[String]) -> Lowered<String> {
        known
            .iter()
            .find(|name| name.eq_ignore_ascii_case(text.get_ref()))
            .cloned()
            .ok_or_else(|| {
                self.error(
                    text.span(),
                    Problem::UnknownName {
                        what,
                        name: text.get_ref().clone(),
                    },
                    suggest(text.get_ref(), known.iter().map(String::as_str)),
                )
            })
    }

    fn instance(&self, text: &Text, names: &Names) -> Lowered<InstanceName> {
        Ok(InstanceName::new(self.name(
            "instance",
            text,
            &names.instances,
        )?))
    }

    fn system(&self, text: &Text, names: &Names) -> Lowered<String> {
        self.name("system", text, &names.systems)
    }

    fn unique(&self, what: &'static str, text: &Text, known: &[String]) -> Lowered<()> {
        if text.get_ref().trim().is_empty() {
            return Err(self.bad(text.span(), "name", text.get_ref(), None));
        }
        match known.iter().any(|k| k.eq_ignore_ascii_case(text.get_ref())) {
            true => Err(self.error(
                text.span(),
                Problem::Duplicate {
                    what,
                    name: text.get_ref().clone(),
                },
                None,
            )),
            false => Ok(()),
        }
    }

    // ---- topology and set-up -------------------------------------------------------------------------------------

    fn extend(&self, raw: &RawScenario, base: &mut Base) -> Lowered<()> {
        if let Some(database) = &raw.database {
            base.database = Some(database.clone());
        }
        for (name, domain) in &raw.domain {
            self.add_domain(name, domain, base)?;
        }
        for system in &raw.system {
            self.add_system(system, base)?;
        }
        for instance in &raw.instance {
            self.add_instance(instance, base)?;
        }
        for client in &raw.client {
            self.add_client(client, base)?;
        }
        let names = Names::of(base);
        for (name, domain) in &raw.domain {
            self.finish_domain(name, domain, &names, base)?;
        }
        self.check_accounts(raw, base)?;
        for setup in &raw.setup {
            let pieces = self.setup(setup, &names, &base.topology)?;
            base.setup.extend(pieces);
        }
        Ok(())
    }

    fn add_domain(&self, name: &Text, raw: &RawDomain, base: &mut Base) -> Lowered<()> {
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
    fn finish_domain(&self, name: &Text, raw: &RawDomain, names: &Names, base: &mut Base) -> Lowered<()> {
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

    /// An account as it is declared.
    fn account(&self, text: &Text, names: &Names) -> Lowered<AccountName> {
        let known = self.name("account", text, &names.accounts)?;
        AccountName::parse(&known)
            .ok_or_else(|| self.bad(text.span(), "account (`DOMAIN\\\\name`)", text.get_ref(), None))
    }

    /// Service accounts of a domain must exist there.
    fn check_accounts(&self, raw: &RawScenario, base: &Base) -> Lowered<()> {
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

    fn add_system(&self, raw: &RawSystem, base: &mut Base) -> Lowered<()> {
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
    fn add_instance(&self, raw: &RawInstance, base: &mut Base) -> Lowered<()> {
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

    fn add_client(&self, raw: &RawClient, base: &mut Base) -> Lowered<()> {
        let names = Names::of(base);
        self.unique("client", &raw.name, &names.clients)?;
        self.unique("system", &raw.name, &names.systems)?;
        let rate = match &raw.rate {
            None => 10,
            Some(rate) => u32::try_from(*rate.get_ref())
                .ok()
                .filter(|rate| (1..=1000).contains(rate))
                .ok_or_else(|| {
                    self.bad(
                        rate.span(),
                        "rate from 1 to 1000 transactions a second",
                        &rate.get_ref().to_string(),
                        None,
                    )
                })?,
        };
        let target = self.target(raw, &names, &base.topology)?;
        base.topology.clients.push(ClientSpec {
            name: raw.name.get_ref().clone(),
            initial: target.initial,
            failover_partner: target.failover_partner,
            provider: raw.provider.as_ref().map_or(Ok(Provider::default()), |p| {
                self.choice(p, "provider", &Provider::ALL)
            })?,
            login_timeout: target.login_timeout,
            port: raw.port.as_ref().map(|p| self.port(p)).transpose()?,
            database: target.database,
            login: target.login,
            rate,
            mix: self.mix(&raw.mix)?,
            verify: raw.verify.unwrap_or_default(),
            from: raw.from.as_ref().map(|d| self.duration(d)).transpose()?,
            until: raw.until.as_ref().map(|d| self.duration(d)).transpose()?,
        });
        Ok(())
    }

    /// Whom a client asks for: from its connection string, or key by key.
    fn target(&self, raw: &RawClient, names: &Names, topology: &Topology) -> Lowered<Target> {
        let Some(written) = &raw.connection_string else {
            let Some(initial) = &raw.initial else {
                let hint = Some("name its `initial` partner, or write a `connection_string`".into());
                return Err(self.error(raw.name.span(), Problem::Missing("initial"), hint));
            };
            let partner = raw.failover_partner.as_ref();
            let timeout = raw.login_timeout.as_ref();
            return Ok(Target {
                initial: self.instance(initial, names)?,
                failover_partner: partner.map(|p| self.instance(p, names)).transpose()?,
                database: self.database(&raw.database, names, raw.name.span())?,
                login: raw.login.clone().unwrap_or_else(|| ADMINISTRATOR.to_owned()),
                login_timeout: timeout.map_or(Ok(LOGIN_TIMEOUT), |t| self.duration(t))?,
            });
        };
        for (key, beside) in [
            ("initial", &raw.initial),
            ("failover_partner", &raw.failover_partner),
            ("login_timeout", &raw.login_timeout),
        ] {
            if let Some(beside) = beside {
                return Err(self.misplaced(beside.span(), key, "a client that has a `connection_string`"));
            }
        }
        let text = written.get_ref();
        let said: ConnectionText = text.parse().map_err(|e: ConnectionTextError| {
            self.bad(written.span(), "connection string", text, Some(e.to_string()))
        })?;
        let server = |name: &str| {
            let of = |spec: &&InstanceSpec| is_called(spec, topology, name);
            let found = topology.instances.iter().find(of).map(|spec| spec.name.clone());
            found.ok_or_else(|| {
                let known: Vec<String> = topology.instances.iter().map(InstanceSpec::server_name).collect();
                let problem = Problem::UnknownName {
                    what: "server",
                    name: name.to_owned(),
                };
                let hint = suggest(name, known.iter().map(String::as_str));
                self.error(written.span(), problem, hint)
            })
        };
        Ok(Target {
            initial: server(&said.server)?,
            failover_partner: said.failover_partner.as_deref().map(server).transpose()?,
            database: match said.database {
                Some(database) => DatabaseName::new(database),
                None => self.database(&raw.database, names, raw.name.span())?,
            },
            login: raw
                .login
                .clone()
                .or(said.login)
                .unwrap_or_else(|| ADMINISTRATOR.to_owned()),
            login_timeout: said.login_timeout,
        })
    }

    fn mix(&self, raw: &Option<Spanned<RawMix>>) -> Lowered<Mix> {
        let Some(raw) = raw else {
            return Ok(Mix::default());
        };
        let mix = raw.get_ref();
        let mix_of = Mix {
            insert: mix.insert,
            update: mix.update,
            transfer: mix.transfer,
            read: mix.read,
        };
        let total = [mix.insert, mix.update, mix.transfer, mix.read]
            .into_iter()
            .map(u64::from)
            .sum::<u64>();
        if total == 0 || total > 1_000_000 {
            return Err(self.bad(
                raw.span(),
                "mix whose parts sum to 1 to 1000000",
                &total.to_string(),
                None,
            ));
        }
        Ok(mix_of)
    }

    fn database(&self, written: &Option<String>, names: &Names, span: Range<usize>) -> Lowered<DatabaseName> {
        match written.as_ref().or(names.database.as_ref()) {
            Some(database) => Ok(DatabaseName::new(database.clone())),
            None => Err(self.error(
                span,
                Problem::Missing("database"),
                Some("name it here, or for the whole file with a top-level `database = \"…\"`".into()),
            )),
        }
    }

    fn setup(&self, raw: &Spanned<RawSetup>, names: &Names, topology: &Topology) -> Lowered<Vec<Setup>> {
        let setup = raw.get_ref();
        let said: Vec<&str> = [
            ("sql", setup.sql.is_some()),
            ("copy_file", setup.copy_file.is_some()),
            ("wait", setup.wait.is_some()),
            ("mirror", setup.mirror.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, there)| there.then_some(key))
        .collect();
        self.exactly_one("[[setup]]", &said, raw.span())?;
        if let (Some(on), Some(whose)) = (&setup.on, own_instances(setup)) {
            return Err(self.misplaced(on.span(), "on", whose));
        }
        if let Some(mirror) = &setup.mirror {
            let within = self.within(&setup.within)?;
            return Ok(self.mirrored(mirror, within, names, topology)?.spelled_out());
        }
        if let Some(wait) = &setup.wait {
            return Ok(vec![Setup::Wait {
                condition: self.condition(wait, names)?,
                within: self.within(&setup.within)?,
            }]);
        }
        if let Some(within) = &setup.within {
            return Err(self.misplaced(within.span(), "within", "anything but a `wait` or a `mirror`"));
        }
        if let Some(copy) = &setup.copy_file {
            return Ok(vec![Setup::CopyFile {
                path: copy.path.clone(),
                from: self.system(&copy.from, names)?,
                to: copy
                    .to
                    .iter()
                    .map(|to| self.system(to, names))
                    .collect::<Lowered<_>>()?,
            }]);
        }
        match (&setup.on, &setup.sql) {
            (Some(on), Some(sql)) => Ok(vec![Setup::Sql {
                on: self.instance(on, names)?,
                sql: sql.get_ref().clone(),
            }]),
            _ => Err(self.error(raw.span(), Problem::Missing("on"), None)),
        }
    }

    fn mirrored(
        &self,
        raw: &Spanned<RawMirrored>,
        within: Duration,
        names: &Names,
        topology: &Topology,
    ) -> Lowered<Mirrored> {
        let m = raw.get_ref();
        let port = m.port.as_ref().map_or(Ok(ENDPOINT_PORT), |p| self.port(p))?;
        let partner = |written: &Text| -> Lowered<Partner> {
            let instance = self.instance(written, names)?;
            let specs = &topology.instances;
            let system = specs
                .iter()
                .find(|i| i.name == instance)
                .map(|i| i.system.clone());
            let system = system.unwrap_or_else(|| instance.as_str().to_owned());
            let host = match topology.dns_suffix(&system) {
                Some(suffix) => format!("{system}.{suffix}"),
                None => system.clone(),
            };
            Ok(Partner {
                endpoint: ServerAddress::new(host.as_str(), port),
                instance,
                system,
            })
        };
        let (principal, mirror) = (partner(&m.principal)?, partner(&m.mirror)?);
        if principal.instance == mirror.instance {
            let hint = Some("the mirror is another instance than the principal".into());
            return Err(self.bad(m.mirror.span(), "mirror", m.mirror.get_ref(), hint));
        }
        let count = self.unsigned(&m.databases, "number of databases")?;
        if !(1..=DATABASES_MAX).contains(&count) {
            let what = "number of databases from 1 to 1000";
            return Err(self.bad(m.databases.span(), what, &count.to_string(), None));
        }
        let first = m
            .first
            .as_ref()
            .map_or(Ok(1), |f| self.unsigned(f, "number of the first database"))?;
        let prefix = m.prefix.as_ref().map_or("Db", |p| p.get_ref().as_str());
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if let Some(written) = &m.prefix
            && (prefix.is_empty() || !prefix.chars().all(plain))
        {
            let hint = Some("letters, digits and underscores: it is part of file names, too".into());
            return Err(self.bad(written.span(), "prefix of database names", prefix, hint));
        }
        Ok(Mirrored {
            prefix: prefix.to_owned(),
            first,
            count,
            principal,
            mirror,
            witness: match &m.witness {
                Some(witness) => Some(partner(witness)?.endpoint),
                None => None,
            },
            within,
        })
    }

    fn within(&self, within: &Option<Text>) -> Lowered<Duration> {
        within.as_ref().map_or(Ok(WITHIN_DEFAULT), |w| self.duration(w))
    }

    fn exactly_one(&self, owner: &'static str, said: &[&str], span: Range<usize>) -> Lowered<()> {
        match said.len() {
            0 => Err(self.error(span, Problem::Empty { owner }, None)),
            1 => Ok(()),
            count => Err(self.error(
                span,
                Problem::TooMany {
                    owner,
                    count,
                    keys: said.join(", "),
                },
                None,
            )),
        }
    }

    // ---- steps ---------------------------------------------------------------------------------------------------

    fn steps(&self, raw: &RawScenario, names: &Names, until: Duration) -> Lowered<Vec<Step>> {
        let mut steps = Vec::new();
        let mut previous = Duration::ZERO;
        for step in &raw.step {
            let lowered = self.step(step, names)?;
            if let (Begin::At(at), Some(written)) = (&lowered.begin, &step.get_ref().at) {
                if *at < previous {
                    let problem = Problem::OutOfOrder { at: *at, previous };
                    let hint = Some("steps run in the order they are written: move it up".into());
                    return Err(self.error(written.span(), problem, hint));
                }
                if *at > until {
                    return Err(self.error(written.span(), Problem::AfterEnd { at: *at, until }, None));
                }
                previous = *at;
            }
            steps.push(lowered);
        }
        Ok(steps)
    }

    fn step(&self, raw: &Spanned<RawStep>, names: &Names) -> Lowered<Step> {
        let step = raw.get_ref();
        let begins: Vec<&str> = [
            ("at", step.at.is_some()),
            ("after", step.after.is_some()),
            ("when", step.when.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, there)| there.then_some(key))
        .collect();
        if begins.is_empty() {
            let hint = Some("say when it begins: `at = \"12s\"`, `after = \"1s\"` or `when = { … }`".into());
            return Err(self.error(raw.span(), Problem::Missing("at"), hint));
        }
        self.exactly_one("the beginning of a [[step]]", &begins, raw.span())?;
        let begin = match (&step.at, &step.after, &step.when) {
            (Some(at), ..) => Begin::At(self.duration(at)?),
            (_, Some(after), _) => Begin::After(self.duration(after)?),
            (_, _, Some(when)) => Begin::When {
                condition: self.condition(when, names)?,
                within: self.within(&step.within)?,
            },
            (None, None, None) => return Err(self.error(raw.span(), Problem::Missing("at"), None)),
        };
        if let (Some(within), None) = (&step.within, &step.when) {
            return Err(self.misplaced(within.span(), "within", "a step without `when`"));
        }
        Ok(Step {
            begin,
            action: self.action(raw, names)?,
        })
    }

    fn action(&self, raw: &Spanned<RawStep>, names: &Names) -> Lowered<Action> {
        let step = raw.get_ref();
        let said: Vec<&str> = [
            ("sql", step.sql.is_some()),
            ("fault", step.fault.is_some()),
            ("start_client", step.start_client.is_some()),
            ("stop_client", step.stop_client.is_some()),
            ("heal_all", step.heal_all.is_some()),
            ("wait", step.wait.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, there)| there.then_some(key))
        .collect();
        self.exactly_one("a [[step]]", &said, raw.span())?;
        if step.sql.is_none() {
            let stray = step
                .on
                .as_ref()
                .map(|on| ("on", on.span()))
                .or(step.login.as_ref().map(|l| ("as", l.span())))
                .or(step.expect_error.as_ref().map(|e| ("expect_error", e.span())))
                .or(step.may_fail.as_ref().map(|m| ("may_fail", m.span())));
            if let Some((key, span)) = stray {
                return Err(self.misplaced(span, key, "a step without `sql`"));
            }
        }
        if let Some(sql) = &step.sql {
            let Some(on) = &step.on else {
                return Err(self.error(sql.span(), Problem::Missing("on"), None));
            };
            return Ok(Action::Sql {
                on: self.instance(on, names)?,
                login: login_of(step.login.as_ref()),
                sql: sql.get_ref().clone(),
                must: self.must(step)?,
            });
        }
        if let Some(fault) = &step.fault {
            return self.fault(fault, names);
        }
        if let Some(client) = &step.start_client {
            return Ok(Action::StartClient(self.name(
                "client",
                client,
                &names.clients,
            )?));
        }
        if let Some(client) = &step.stop_client {
            return Ok(Action::StopClient(self.name("client", client, &names.clients)?));
        }
        if let Some(wait) = &step.wait {
            return Ok(Action::Wait(self.duration(wait)?));
        }
        match &step.heal_all {
            Some(flag) if !*flag.get_ref() => {
                Err(self.bad(flag.span(), "thing to do (`heal_all = true`)", "false", None))
            }
            _ => Ok(Action::HealAll),
        }
    }

    fn must(&self, step: &RawStep) -> Lowered<Must> {
        match (&step.expect_error, &step.may_fail) {
            (Some(_), Some(may_fail)) => {
                Err(self.misplaced(may_fail.span(), "may_fail", "a step that has an `expect_error`"))
            }
            (Some(number), None) => Ok(Must::Fail(self.message_number(number)?)),
            (None, Some(may_fail)) if *may_fail.get_ref() => Ok(Must::End),
            (None, _) => Ok(Must::Succeed),
        }
    }

    /// A client that a step starts does not start by itself; every other one starts with the scenario.
    fn start_by_step(&self, topology: &mut Topology, raw: &RawScenario, steps: &[Step]) {
        for client in &mut topology.clients {
            let by_step = steps
                .iter()
                .any(|s| matches!(&s.action, Action::StartClient(name) if *name == client.name));
            if client.from.is_none() && !by_step {
                client.from = Some(Duration::ZERO);
            }
        }
        debug_assert!(raw.step.len() == steps.len());
    }

    fn condition(&self, raw: &Spanned<RawCondition>, names: &Names) -> Lowered<Condition> {
        let c = raw.get_ref();
        let about_database =
            c.role.is_some() || c.state.is_some() || c.serving.is_some() || c.witness.is_some();
        if !about_database && c.error_log.is_none() && c.log_text.is_none() && c.alive.is_none() {
            let owner = "the condition (role, state, serving, witness, error_log, log_text, alive)";
            return Err(self.error(raw.span(), Problem::Empty { owner }, None));
        }
        Ok(Condition {
            on: self.instance(&c.on, names)?,
            database: match about_database {
                true => Some(self.database(&c.database, names, raw.span())?),
                false => None,
            },
            role: c.role.as_ref().map(|r| self.role(r)).transpose()?,
            state: c.state.as_ref().map(|s| self.state(s)).transpose()?,
            serving: c.serving,
            witness: c.witness.as_ref().map(|w| self.link(w)).transpose()?,
            error_log: c.error_log.as_ref().map(|n| self.message_number(n)).transpose()?,
            log_text: c.log_text.clone(),
            alive: c.alive,
        })
    }

    fn role(&self, text: &Text) -> Lowered<PartnerRole> {
        let choices = [PartnerRole::Principal, PartnerRole::Mirror].map(|r| (r.desc(), r));
        self.choice(text, "role", &choices)
    }

    fn link(&self, text: &Text) -> Lowered<LinkState> {
        let choices =
            [LinkState::Unknown, LinkState::Connected, LinkState::Disconnected].map(|l| (l.desc(), l));
        self.choice(text, "state of a connection", &choices)
    }

    fn state(&self, text: &Text) -> Lowered<MirroringState> {
        let choices = [
            MirroringState::Suspended,
            MirroringState::Disconnected,
            MirroringState::Synchronizing,
            MirroringState::PendingFailover,
            MirroringState::Synchronized,
        ]
        .map(|s| (s.desc(), s));
        self.choice(text, "mirroring state", &choices)
    }

    // ---- faults --------------------------------------------------------------------------------------------------

    fn fault(&self, raw: &Spanned<RawFault>, names: &Names) -> Lowered<Action> {
        let f = raw.get_ref();
        let kinds = KINDS.map(|k| (k, k));
        let kind = self.choice(&f.kind, "kind of fault", &kinds)?;
        self.only_keys_of(kind, f)?;
        let missing = |key| self.error(raw.span(), Problem::Missing(key), None);
        let instance = || match &f.instance {
            Some(i) => self.instance(i, names),
            None => Err(missing("instance")),
        };
        let system = || match &f.system {
            Some(s) => self.system(s, names),
            None => Err(missing("system")),
        };
        let latency = || match &f.latency {
            Some(l) => self.duration(l),
            None => Err(missing("latency")),
        };
        let file = || {
            f.file
                .as_ref()
                .map(|file| file.get_ref().clone())
                .unwrap_or_default()
        };
        let account = || match &f.account {
            Some(account) => self.account(account, names),
            None => Err(missing("account")),
        };
        let domain = |key, written: &Option<Text>| match written {
            Some(domain) => self.name("domain", domain, &names.domains),
            None => Err(missing(key)),
        };
        let pair = || -> Lowered<(String, Vec<String>)> {
            let from = f.from.as_ref().ok_or_else(|| missing("from"))?;
            let to = f.to.as_ref().ok_or_else(|| missing("to"))?;
            let to_names = to
                .get_ref()
                .iter()
                .map(|t| self.system(t, names))
                .collect::<Lowered<Vec<_>>>()?;
            let from = self.system(from, names)?;
            match to_names.is_empty() || to_names.contains(&from) {
                true => Err(self.bad(to.span(), "list of other systems", "to", None)),
                false => Ok((from, to_names)),
            }
        };
        let fault = match kind {
            "drop" => Fault::Drop(self.firewall(raw, names)?),
            "reject" => Fault::Reject(self.firewall(raw, names)?),
            "cut" => {
                let (from, to) = pair()?;
                Fault::Cut { from, to }
            }
            "slow_link" => {
                let (from, mut to) = pair()?;
                match (to.pop(), to.is_empty()) {
                    (Some(to), true) => Fault::SlowLink {
                        from,
                        to,
                        latency: latency()?,
                    },
                    _ => return Err(self.bad(raw.span(), "link between two systems", "to", None)),
                }
            }
            "tamper" => self.meddling(Meddling::Tamper, raw, pair()?, names)?,
            "replay" => self.meddling(Meddling::Replay, raw, pair()?, names)?,
            "truncate" => self.meddling(Meddling::Truncate, raw, pair()?, names)?,
            "reorder" => self.meddling(Meddling::Reorder, raw, pair()?, names)?,
            "drop_bytes" => self.meddling(Meddling::DropBytes, raw, pair()?, names)?,
            "kill" => Fault::Kill {
                instance: instance()?,
            },
            "restart" => Fault::Restart {
                instance: instance()?,
            },
            "pause" => Fault::Pause {
                instance: instance()?,
            },
            "power_loss" => Fault::PowerLoss { system: system()? },
            "power_on" => Fault::PowerOn { system: system()? },
            "clock_step" => Fault::ClockStep {
                system: system()?,
                by_millis: match &f.by {
                    Some(by) => self.signed_millis(by)?,
                    None => return Err(missing("by")),
                },
            },
            "disk_fail_sync" => Fault::DiskFailSync {
                system: system()?,
                file: file(),
            },
            "disk_lie" => Fault::DiskLie {
                system: system()?,
                file: file(),
            },
            "disk_io_error" => Fault::DiskIoError {
                system: system()?,
                file: file(),
            },
            "disk_stuck" => Fault::DiskStuck { system: system()? },
            "disk_torn" => Fault::DiskTorn {
                system: system()?,
                scattered: f.scattered.as_ref().is_some_and(|s| *s.get_ref()),
            },
            "bit_rot" => Fault::BitRot {
                system: system()?,
                file: match &f.file {
                    Some(file) => file.get_ref().clone(),
                    None => return Err(missing("file")),
                },
                offset: match &f.offset {
                    Some(offset) => self.unsigned(offset, "offset")?,
                    None => return Err(missing("offset")),
                },
            },
            "crash_at_write" => Fault::CrashAtWrite {
                system: system()?,
                write: match &f.write {
                    Some(write) => self.unsigned(write, "number of a write")?,
                    None => return Err(missing("write")),
                },
                kept: f.kept.as_ref().is_some_and(|k| *k.get_ref()),
                how: match &f.how {
                    Some(how) => self.choice(
                        how,
                        "way to go down",
                        &[("kill", Crash::Kill), ("power_loss", Crash::PowerLoss)],
                    )?,
                    None => Crash::PowerLoss,
                },
            },
            "disk_slow" => Fault::DiskSlow {
                system: system()?,
                latency: latency()?,
            },
            "disk_full" => Fault::DiskFull { system: system()? },
            "account_disabled" => Fault::AccountDisabled { account: account()? },
            "account_locked" => Fault::AccountLocked { account: account()? },
            "password_changed" => Fault::PasswordChanged { account: account()? },
            "spn_removed" => Fault::SpnRemoved {
                instance: instance()?,
            },
            "spn_duplicated" => Fault::SpnDuplicated {
                instance: instance()?,
                account: account()?,
            },
            "trust_removed" => Fault::TrustRemoved {
                domain: domain("domain", &f.domain)?,
                trusted: domain("trusted", &f.trusted)?,
            },
            "controller_down" => Fault::ControllerDown {
                domain: domain("domain", &f.domain)?,
            },
            "controller_slow" => Fault::ControllerSlow {
                domain: domain("domain", &f.domain)?,
                latency: latency()?,
            },
            _ => Fault::DnsLost { system: system()? },
        };
        let lasts = match &f.lasts {
            Some(written) if !fault.lasts() => {
                return Err(self.misplaced(
                    written.span(),
                    "lasts",
                    &format!("`{kind}`: it is over as soon as it has happened"),
                ));
            }
            Some(written) => Some(self.duration(written)?),
            None => None,
        };
        Ok(Action::Fault { fault, lasts })
    }

    fn only_keys_of(&self, kind: &str, f: &RawFault) -> Lowered<()> {
        let allowed: &[&str] = match kind {
            "drop" | "reject" => &["system", "systems", "direction", "port", "endpoint_of", "peer"],
            "cut" => &["from", "to"],
            "slow_link" => &["from", "to", "latency"],
            "tamper" | "replay" | "truncate" | "reorder" | "drop_bytes" => {
                &["from", "to", "port", "endpoint_of", "count"]
            }
            "kill" | "restart" | "pause" => &["instance"],
            "clock_step" => &["system", "by"],
            "disk_slow" => &["system", "latency"],
            "disk_fail_sync" | "disk_lie" | "disk_io_error" => &["system", "file"],
            "disk_torn" => &["system", "scattered"],
            "bit_rot" => &["system", "file", "offset"],
            "crash_at_write" => &["system", "write", "kept", "how"],
            "account_disabled" | "account_locked" | "password_changed" => &["account"],
            "spn_removed" => &["instance"],
            "spn_duplicated" => &["instance", "account"],
            "trust_removed" => &["domain", "trusted"],
            "controller_down" => &["domain"],
            "controller_slow" => &["domain", "latency"],
            _ => &["system"],
        };
        let given = [
            ("system", f.system.as_ref().map(Spanned::span)),
            ("systems", f.systems.as_ref().map(Spanned::span)),
            ("instance", f.instance.as_ref().map(Spanned::span)),
            ("direction", f.direction.as_ref().map(Spanned::span)),
            ("port", f.port.as_ref().map(Spanned::span)),
            ("endpoint_of", f.endpoint_of.as_ref().map(Spanned::span)),
            ("peer", f.peer.as_ref().map(Spanned::span)),
            ("from", f.from.as_ref().map(Spanned::span)),
            ("to", f.to.as_ref().map(Spanned::span)),
            ("latency", f.latency.as_ref().map(Spanned::span)),
            ("by", f.by.as_ref().map(Spanned::span)),
            ("file", f.file.as_ref().map(Spanned::span)),
            ("offset", f.offset.as_ref().map(Spanned::span)),
            ("scattered", f.scattered.as_ref().map(Spanned::span)),
            ("write", f.write.as_ref().map(Spanned::span)),
            ("kept", f.kept.as_ref().map(Spanned::span)),
            ("how", f.how.as_ref().map(Spanned::span)),
            ("count", f.count.as_ref().map(Spanned::span)),
            ("account", f.account.as_ref().map(Spanned::span)),
            ("domain", f.domain.as_ref().map(Spanned::span)),
            ("trusted", f.trusted.as_ref().map(Spanned::span)),
        ];
        for (key, span) in given {
            if let Some(span) = span
                && !allowed.contains(&key)
            {
                let owner = format!("a fault of kind `{kind}`, which takes {}", allowed.join(", "));
                return Err(self.misplaced(span, key, &owner));
            }
        }
        Ok(())
    }

    fn firewall(&self, raw: &Spanned<RawFault>, names: &Names) -> Lowered<FirewallFault> {
        let f = raw.get_ref();
        let written: Vec<&Text> = match (&f.system, &f.systems) {
            (Some(one), None) => vec![one],
            (None, Some(many)) => many.get_ref().iter().collect(),
            _ => Vec::new(),
        };
        if written.is_empty() {
            let hint = Some("name one `system` or a list of `systems`".into());
            return Err(self.error(raw.span(), Problem::Missing("system"), hint));
        }
        let port = self.port_spec(f, names)?;
        let directions = [
            ("in", Direction::In),
            ("out", Direction::Out),
            ("both", Direction::Both),
        ];
        Ok(FirewallFault {
            systems: written
                .into_iter()
                .map(|s| self.system(s, names))
                .collect::<Lowered<_>>()?,
            direction: f
                .direction
                .as_ref()
                .map_or(Ok(Direction::Both), |d| self.choice(d, "direction", &directions))?,
            port,
            peer: f.peer.as_ref().map(|p| self.system(p, names)).transpose()?,
        })
    }

    fn port_spec(&self, f: &RawFault, names: &Names) -> Lowered<PortSpec> {
        match (&f.port, &f.endpoint_of) {
            (Some(port), None) => Ok(PortSpec::Port(self.port(port)?)),
            (None, Some(instance)) => Ok(PortSpec::EndpointOf(self.instance(instance, names)?)),
            (None, None) => Ok(PortSpec::Any),
            (Some(_), Some(of)) => Err(self.misplaced(of.span(), "endpoint_of", "a fault that has a `port`")),
        }
    }

    fn meddling(
        &self,
        how: Meddling,
        raw: &Spanned<RawFault>,
        (from, mut to): (String, Vec<String>),
        names: &Names,
    ) -> Lowered<Fault> {
        let f = raw.get_ref();
        let (Some(to), true) = (to.pop(), to.is_empty()) else {
            return Err(self.bad(raw.span(), "stream from one system to one other", "to", None));
        };
        let count = match &f.count {
            None => 1,
            Some(count) => match u32::try_from(*count.get_ref()) {
                Ok(count) if count > 0 => count,
                _ => {
                    let written = count.get_ref().to_string();
                    return Err(self.bad(count.span(), "count of one or more", &written, None));
                }
            },
        };
        Ok(Fault::Meddle(MiddleFault {
            how,
            from,
            to,
            port: self.port_spec(f, names)?,
            count,
        }))
    }

    // ---- expectations --------------------------------------------------------------------------------------------

    fn expect(&self, raw: &Spanned<RawExpect>, names: &Names, until: Duration) -> Lowered<Vec<Expect>> {
        let e = raw.get_ref();
        let at = e.at.as_ref().map(|at| self.duration(at)).transpose()?;
        if let (Some(at), Some(written)) = (at, &e.at)
            && at > until
        {
            return Err(self.error(written.span(), Problem::AfterEnd { at, until }, None));
        }
        let condition = e.role.is_some()
            || e.state.is_some()
            || e.serving.is_some()
            || e.witness.is_some()
            || e.alive.is_some();
        let counts = e.acknowledged.is_some() || e.refused.is_some() || e.in_doubt.is_some();
        let said: Vec<&str> = [
            ("query", e.query.is_some()),
            (
                "role/state/serving/witness/alive/error_log/log_text",
                condition || e.error_log.is_some() || e.log_text.is_some(),
            ),
            ("not_logged", e.not_logged.is_some()),
            (
                "acknowledged/refused/in_doubt/outage",
                counts || e.outage.is_some(),
            ),
            ("no_failover", e.no_failover.is_some()),
            ("failover_to", e.failover_to.is_some()),
            ("healed", e.healed.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, there)| there.then_some(key))
        .collect();
        self.exactly_one("an [[expect]]", &said, raw.span())?;
        self.expect_strays(raw)?;
        let on = || match &e.on {
            Some(on) => self.instance(on, names),
            None => Err(self.error(raw.span(), Problem::Missing("on"), None)),
        };
        let what = if let Some(query) = &e.query {
            vec![self.expect_query(raw, query, on()?)?]
        } else if let Some(number) = &e.not_logged {
            vec![Expectation::NotLogged {
                on: on()?,
                number: self.message_number(number)?,
            }]
        } else if let Some(flag) = &e.no_failover {
            match flag.get_ref() {
                true => vec![Expectation::NoFailover],
                false => {
                    return Err(self.bad(flag.span(), "expectation (`no_failover = true`)", "false", None));
                }
            }
        } else if let Some(flag) = &e.healed {
            match flag.get_ref() {
                true => vec![Expectation::Healed(self.database(
                    &e.database,
                    names,
                    raw.span(),
                )?)],
                false => return Err(self.bad(flag.span(), "expectation (`healed = true`)", "false", None)),
            }
        } else if let Some(to) = &e.failover_to {
            vec![Expectation::FailoverTo(self.instance(to, names)?)]
        } else if counts || e.outage.is_some() {
            self.expect_client(raw, names)?
        } else {
            let about_database =
                e.role.is_some() || e.state.is_some() || e.serving.is_some() || e.witness.is_some();
            vec![Expectation::Condition(Condition {
                on: on()?,
                database: match about_database {
                    true => Some(self.database(&e.database, names, raw.span())?),
                    false => None,
                },
                role: e.role.as_ref().map(|r| self.role(r)).transpose()?,
                state: e.state.as_ref().map(|s| self.state(s)).transpose()?,
                serving: e.serving,
                witness: e.witness.as_ref().map(|w| self.link(w)).transpose()?,
                error_log: e.error_log.as_ref().map(|n| self.message_number(n)).transpose()?,
                log_text: e.log_text.clone(),
                alive: e.alive,
            })]
        };
        Ok(what.into_iter().map(|what| Expect { at, what }).collect())
    }

    /// Keys that mean something only beside others.
    fn expect_strays(&self, raw: &Spanned<RawExpect>) -> Lowered<()> {
        let e = raw.get_ref();
        let needs_on = e.query.is_some()
            || e.not_logged.is_some()
            || e.error_log.is_some()
            || e.log_text.is_some()
            || e.role.is_some()
            || e.state.is_some()
            || e.serving.is_some()
            || e.witness.is_some()
            || e.alive.is_some();
        match (&e.on, &e.client) {
            (Some(on), _) if !needs_on => {
                return Err(self.misplaced(on.span(), "on", "an expectation that names no instance"));
            }
            (_, Some(client)) if needs_on => {
                return Err(self.misplaced(client.span(), "client", "an expectation about an instance"));
            }
            _ => {}
        }
        if let (None, Some(login)) = (&e.query, &e.login) {
            return Err(self.misplaced(login.span(), "as", "an expectation without `query`"));
        }
        if e.query.is_none() && (e.rows.is_some() || e.error.is_some()) {
            return Err(self.misplaced(raw.span(), "rows/error", "an expectation without `query`"));
        }
        Ok(())
    }

    fn expect_query(&self, raw: &Spanned<RawExpect>, query: &Text, on: InstanceName) -> Lowered<Expectation> {
        let e = raw.get_ref();
        let query_text = query.get_ref().clone();
        match (&e.rows, &e.error) {
            (Some(rows), None) => Ok(Expectation::Rows {
                on,
                login: login_of(e.login.as_ref()),
                query: query_text,
                rows: rows.iter().map(|row| row.iter().map(printed).collect()).collect(),
            }),
            (None, Some(number)) => Ok(Expectation::QueryError {
                on,
                login: login_of(e.login.as_ref()),
                query: query_text,
                number: self.message_number(number)?,
            }),
            _ => Err(self.error(
                raw.span(),
                Problem::Missing("rows"),
                Some("a query needs either `rows` or `error`".into()),
            )),
        }
    }

    fn expect_client(&self, raw: &Spanned<RawExpect>, names: &Names) -> Lowered<Vec<Expectation>> {
        let e = raw.get_ref();
        let Some(client) = &e.client else {
            return Err(self.error(raw.span(), Problem::Missing("client"), None));
        };
        let name = self.name("client", client, &names.clients)?;
        let mut out = Vec::new();
        for (outcome, bounds) in [
            (Outcome::Acknowledged, &e.acknowledged),
            (Outcome::Refused, &e.refused),
            (Outcome::InDoubt, &e.in_doubt),
        ] {
            let Some(written) = bounds else { continue };
            let RawBounds { at_least, at_most } = *written.get_ref();
            if at_least.is_none() && at_most.is_none() {
                let owner = "a bound (at_least, at_most)";
                return Err(self.error(written.span(), Problem::Empty { owner }, None));
            }
            out.push(Expectation::Client {
                name: name.clone(),
                outcome,
                at_least,
                at_most,
            });
        }
        if let Some(times) = &e.outage {
            let bound = |t: &Option<Text>| t.as_ref().map(|t| self.duration(t)).transpose();
            let (at_least, at_most) = (
                bound(&times.get_ref().at_least)?,
                bound(&times.get_ref().at_most)?,
            );
            if at_least.is_none() && at_most.is_none() {
                let owner = "a bound (at_least, at_most)";
                return Err(self.error(times.span(), Problem::Empty { owner }, None));
            }
            out.push(Expectation::Outage {
                client: name,
                at_least,
                at_most,
            });
        }
        Ok(out)
    }
}

/// The login named by `as`; the administrator if there is none.
fn login_of(written: Option<&Text>) -> String {
    written.map_or_else(|| ADMINISTRATOR.to_owned(), |login| login.get_ref().clone())
}

/// Whom a client asks for.
struct Target {
    initial: InstanceName,
    failover_partner: Option<InstanceName>,
    database: DatabaseName,
    login: String,
    login_timeout: Duration,
}

/// Whether a connection string that says `name` means this instance: its server name, or its host (with or without the
/// domain) and client port.
fn is_called(spec: &InstanceSpec, topology: &Topology, name: &str) -> bool {
    if spec.server_name().eq_ignore_ascii_case(name) {
        return true;
    }
    let (host, port) = match name.split_once(',') {
        Some((host, port)) => (host.trim(), port.trim().parse().ok()),
        None => (name.trim(), Some(DEFAULT_PORT)),
    };
    let host = host.split('\\').next().unwrap_or(host);
    let full = topology
        .dns_suffix(&spec.system)
        .map(|suffix| format!("{}.{suffix}", spec.system));
    let own =
        spec.system.eq_ignore_ascii_case(host) || full.is_some_and(|full| full.eq_ignore_ascii_case(host));
    own && port == Some(spec.client_port)
}

/// The kind of set-up that names its instances itself, if it is one.
fn own_instances(setup: &RawSetup) -> Option<&'static str> {
    match (&setup.wait, &setup.mirror) {
        (Some(_), _) => Some("a `wait`: its condition has an `on` of its own"),
        (_, Some(_)) => Some("a `mirror`: it names principal and mirror"),
        _ => None,
    }
}

/// A value as a reply prints it.
fn printed(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Boolean(bit) => if *bit { "1" } else { "0" }.to_owned(),
        other => other.to_string(),
    }
}

fn one_paragraph(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Serde's "unknown field `x`, expected one of `a`, `b`", turned into a suggestion.
fn unknown_key_hint(message: &str) -> Option<String> {
    let rest = message
        .strip_prefix("unknown field ")
        .or_else(|| message.strip_prefix("unknown variant "))?;
    let quoted: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
    let (name, known) = quoted.split_first()?;
    suggest(name, known.iter().copied())
}
