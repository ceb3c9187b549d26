//! From the raw file to the checked scenario: every name is declared, every time lies within the run.
//!
//! A file is lowered on top of what it extends, so that its steps may speak of the shared topology.

mod clients;
mod conditions;
mod expectations;
mod faults;
mod setup;
mod steps;
mod topology;
mod words;

use toml::Spanned;

use super::error::{Problem, ScenarioError, suggest};
use super::raw::*;
use super::{Scenario, Setup};
use crate::sim::topology::Topology;

type Lowered<T> = Result<T, ScenarioError>;

/// What a shared file gives to those that extend it.
#[derive(Debug, Clone, Default)]
pub(super) struct Base {
    pub topology: Topology,
    pub database: Option<String>,
    pub setup: Vec<Setup>,
}

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
