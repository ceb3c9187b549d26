//! Set-up: batches, copied files, waits, and databases mirrored by the hundred.

use std::time::Duration;

use toml::Spanned;

use super::{Lowered, Lowering, Names};
use crate::sim::scenario::Setup;
use crate::sim::scenario::error::Problem;
use crate::sim::scenario::mirrored::{DATABASES_MAX, Mirrored, Partner};
use crate::sim::scenario::raw::*;
use crate::sim::topology::Topology;
use crate::types::ServerAddress;

/// Where endpoints listen unless a `mirror` says otherwise; the port of the manual's examples.
const ENDPOINT_PORT: u16 = 7022;

impl Lowering<'_> {
    pub(super) fn setup(
        &self,
        raw: &Spanned<RawSetup>,
        names: &Names,
        topology: &Topology,
    ) -> Lowered<Vec<Setup>> {
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
}

/// The kind of set-up that names its instances itself, if it is one.
fn own_instances(setup: &RawSetup) -> Option<&'static str> {
    match (&setup.wait, &setup.mirror) {
        (Some(_), _) => Some("a `wait`: its condition has an `on` of its own"),
        (_, Some(_)) => Some("a `mirror`: it names principal and mirror"),
        _ => None,
    }
}
