//! Clients, and whom they ask for: key by key or by connection string.

use std::time::Duration;

use toml::Spanned;

use super::{Base, Lowered, Lowering, Names};
use crate::sim::client::{ADMINISTRATOR, DEFAULT_PORT, LOGIN_TIMEOUT};
use crate::sim::connection_string::{ConnectionText, ConnectionTextError, Provider};
use crate::sim::scenario::error::{Problem, suggest};
use crate::sim::scenario::raw::*;
use crate::sim::topology::{ClientSpec, InstanceSpec, Mix, Topology};
use crate::types::{DatabaseName, InstanceName};

impl Lowering<'_> {
    pub(super) fn add_client(&self, raw: &RawClient, base: &mut Base) -> Lowered<()> {
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
