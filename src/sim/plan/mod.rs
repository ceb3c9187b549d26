//! A fault plan: what is done to a mirrored pair and its witness under load, drawn by an explorer and printed as a scenario.
//!
//! A plan is data, small enough to shrink; [`Plan::to_toml`] writes the complete scenario that carries it out, ends every
//! fault, puts the endpoints back and expects the session to heal. What finds a bug is therefore a file to keep.
//! Source: ours.

mod keys;
mod statement;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use super::fault::Fault;
use crate::types::InstanceName;
use keys::{fault_keys, quoted, time};
pub use statement::{Encrypt, Statement};

/// The systems of the shared trio; the first two are the partners.
const TRIO: [&str; 3] = ["alpha", "beta", "gamma"];

/// After everything is healed, before anything is asked of a session: instances start, connections come back.
const RESTORED_WITHIN: Duration = Duration::from_secs(5);

/// Longer than a session takes to heal, so that a switch asked for then is not refused.
const HEALED_WITHIN: Duration = Duration::from_secs(45);

/// What is done to alpha, beta and gamma of `scenarios/_shared/trio.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The seed the scenario runs with.
    pub seed: u64,
    /// Transactions a second of the one client.
    pub rate: u32,
    pub deeds: Vec<Deed>,
    /// Once healed, switch by hand to the other partner and back, so that both copies are read.
    pub there_and_back: bool,
}

/// One thing that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Since the deed before it was done.
    pub after: Duration,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Fault { fault: Fault, lasts: Option<Duration> },
    Sql { on: InstanceName, statement: Statement },
}

impl Plan {
    /// The scenario that carries this plan out. It can be kept under `scenarios/` as it is.
    pub fn to_toml(&self) -> String {
        let mut steps = String::new();
        let mut until = Duration::from_secs(2);
        let mut step = |after: Duration, body: String| {
            until += after;
            let _ = write!(steps, "\n[[step]]\nafter = {}\n{body}\n", time(after));
        };
        for deed in &self.deeds {
            step(deed.after, deed.what.to_toml());
        }
        for (after, body) in self.repairs() {
            step(after, body);
        }
        if self.there_and_back {
            let mut pause = HEALED_WITHIN;
            for instance in ["alpha", "beta", "alpha"] {
                let statement = Statement::Failover;
                let what = What::Sql {
                    on: InstanceName::new(instance),
                    statement,
                };
                step(std::mem::replace(&mut pause, RESTORED_WITHIN), what.to_toml());
            }
        }
        format!(
            "promise = \"Whatever is done to the three of them, the oracles hold, and the session heals once it is over.\"\n\
             risk = \"A drawn plan of {} deeds under client load.\"\n\
             seeds = \"{}\"\nextends = \"trio\"\nuntil = {}\nsettle = \"60s\"\n\n\
             [[client]]\nname = \"app\"\ninitial = \"alpha\"\nfailover_partner = \"beta\"\nrate = {}\n\
             {steps}\n[[expect]]\nhealed = true\n",
            self.deeds.len(),
            self.seed,
            time(until),
            self.rate
        )
    }

    /// The steps that end every fault and put right what statements have changed.
    fn repairs(&self) -> Vec<(Duration, String)> {
        let mut steps = vec![(self.longest_fault(), "heal_all = true".to_owned())];
        for instance in self.broken_disks() {
            let restart = format!(
                "fault = {{ kind = \"restart\", instance = {} }}",
                quoted(&instance)
            );
            steps.push((Duration::ZERO, restart));
        }
        for instance in self.where_tried(Statement::touches_endpoint) {
            steps.push((
                RESTORED_WITHIN,
                tried(instance, &statement::create_endpoint(instance)),
            ));
            steps.push((Duration::ZERO, must(instance, &statement::put_endpoint_back())));
        }
        for instance in self.where_tried(Statement::touches_logins) {
            let peers = TRIO.iter().filter(|peer| **peer != instance);
            steps.extend(peers.map(|peer| (RESTORED_WITHIN, must(instance, &statement::let_in_again(peer)))));
        }
        let suspends = |statement: Statement| statement.suspends();
        let slackens = |statement| statement == Statement::SafetyOff;
        for (done, again) in [
            (self.tries(suspends), Statement::Resume),
            (self.tries(slackens), Statement::SafetyFull),
        ] {
            // Whoever is the principal by then; the other refuses.
            let pauses = [HEALED_WITHIN, Duration::ZERO].into_iter().zip(TRIO);
            steps.extend(
                pauses
                    .filter(|_| done)
                    .map(|(pause, partner)| (pause, tried(partner, &again.to_string()))),
            );
        }
        steps
    }

    fn longest_fault(&self) -> Duration {
        let lasts = self.deeds.iter().filter_map(|deed| match &deed.what {
            What::Fault { lasts, .. } => *lasts,
            What::Sql { .. } => None,
        });
        lasts.max().unwrap_or_default()
    }

    /// Instances that gave up, or gave their database up, because their disk did, which is no fault that ends.
    fn broken_disks(&self) -> BTreeSet<String> {
        let broken = self.deeds.iter().filter_map(|deed| match &deed.what {
            What::Fault {
                fault:
                    Fault::DiskFailSync { system, .. }
                    | Fault::DiskIoError { system, .. }
                    | Fault::DiskFull { system, .. },
                ..
            } => Some(system.clone()),
            _ => None,
        });
        broken.collect()
    }

    /// The instances on which a statement of this kind is tried.
    fn where_tried(&self, is: impl Fn(Statement) -> bool) -> BTreeSet<&str> {
        let statements = self.statements().filter(|(_, statement)| is(*statement));
        statements.map(|(on, _)| on).collect()
    }

    fn tries(&self, is: impl Fn(Statement) -> bool) -> bool {
        self.statements().any(|(_, statement)| is(statement))
    }

    fn statements(&self) -> impl Iterator<Item = (&str, Statement)> {
        self.deeds.iter().filter_map(|deed| match &deed.what {
            What::Sql { on, statement } => Some((on.as_str(), *statement)),
            What::Fault { .. } => None,
        })
    }
}

fn tried(on: &str, sql: &str) -> String {
    format!("{}\nmay_fail = true", must(on, sql))
}

fn must(on: &str, sql: &str) -> String {
    format!("on = {}\nsql = {}", quoted(on), quoted(sql))
}

impl What {
    fn to_toml(&self) -> String {
        match self {
            What::Sql { on, statement } => tried(on.as_str(), &statement.to_string()),
            What::Fault { fault, lasts } => {
                let mut keys = vec![format!("kind = {}", quoted(fault.kind()))];
                keys.extend(fault_keys(fault));
                keys.extend(lasts.map(|lasts| format!("lasts = {}", time(lasts))));
                format!("fault = {{ {} }}", keys.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests;
