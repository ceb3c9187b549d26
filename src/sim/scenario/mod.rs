//! One scenario: a promise, how it is put at risk, and what must be seen.
//!
//! Files are TOML under `scenarios/<area>/<behaviour>.toml`; `raw` is their shape, `lower` turns it into these types and
//! checks it, `library` finds files (on disk, or the built-in copies) and follows `extends`, `error` says where a file is
//! wrong. Strict: an unknown key, name, kind or unit is an error with a position and a hint. The format is described in
//! `docs/scenarios.md`. Source: ours.

mod error;
mod library;
mod lower;
mod mirrored;
mod raw;
mod units;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::client::ADMINISTRATOR;
use super::fault::Fault;
use super::topology::Topology;
use crate::types::{DatabaseName, InstanceName, LinkState, MirroringState, PartnerRole};

pub use error::{Problem, ScenarioError};
pub use library::{Library, SHARED};
pub use units::{parse_duration, parse_seeds};

/// A scenario, checked: every name in it exists, every time lies within the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// `failover/automatic_on_kill`: the path below `scenarios/` without its extension.
    pub name: String,
    /// What the command line finds it by: its name, or the file it was read from.
    pub call: String,
    pub promise: String,
    pub risk: String,
    pub source: String,
    /// The seeds it runs with unless others are asked for; never empty.
    pub seeds: Vec<u64>,
    pub topology: Topology,
    pub setup: Vec<Setup>,
    pub steps: Vec<Step>,
    pub expects: Vec<Expect>,
    /// When the last step is over, since the end of the set-up.
    pub until: Duration,
    /// If set, all faults are healed at `until` and the run goes on this long; liveness bounds count from there.
    pub settle: Option<Duration>,
}

/// One piece of the set-up; they run in order and all of them must succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setup {
    /// Batches, separated by `GO`.
    Sql { on: InstanceName, sql: String },
    /// Copy one file from one system's disk to others, under the same path.
    CopyFile {
        path: String,
        from: String,
        to: Vec<String>,
    },
    /// Wait until `condition` holds, at most `within`.
    Wait { condition: Condition, within: Duration },
}

/// One thing the scenario does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub begin: Begin,
    pub action: Action,
}

/// When a step begins. Steps run in the order they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// Since the end of the set-up.
    At(Duration),
    /// Since the step before it was done.
    After(Duration),
    /// As soon as the condition holds after the step before; if it does not within the deadline, the run fails.
    When { condition: Condition, within: Duration },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Batches on one instance.
    Sql {
        on: InstanceName,
        /// Whom they run as.
        login: String,
        sql: String,
        must: Must,
    },
    /// `lasts` of `None`: until `heal_all` or the end.
    Fault {
        fault: Fault,
        lasts: Option<Duration>,
    },
    StartClient(String),
    StopClient(String),
    HealAll,
    Wait(Duration),
}

/// How a script must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Must {
    Succeed,
    /// In the error of this number.
    Fail(u32),
    /// It is only tried: any answer, late or lost, is right.
    End,
}

/// What an instance must look like. Every part that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    pub on: InstanceName,
    /// What the parts other than `error_log` and `alive` are about; never absent when one of them is given.
    pub database: Option<DatabaseName>,
    pub role: Option<PartnerRole>,
    pub state: Option<MirroringState>,
    pub serving: Option<bool>,
    /// How it sees its witness.
    pub witness: Option<LinkState>,
    /// This number has been written to the error log since the step before (in a final expectation: since the end of
    /// the set-up).
    pub error_log: Option<u32>,
    /// Part of the text of such a line (of any line, if no number is given).
    pub log_text: Option<String>,
    pub alive: Option<bool>,
}

/// One thing that must be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// Since the end of the set-up; `None` is at the very end.
    pub at: Option<Duration>,
    pub what: Expectation,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expectation {
    /// The printed rows a query answers; `NULL` prints as `NULL`.
    Rows {
        on: InstanceName,
        login: String,
        query: String,
        rows: Vec<Vec<String>>,
    },
    /// A query ends in this error.
    QueryError {
        on: InstanceName,
        login: String,
        query: String,
        number: u32,
    },
    Condition(Condition),
    /// The number was never written to the instance's error log since the end of the set-up.
    NotLogged {
        on: InstanceName,
        number: u32,
    },
    Client {
        name: String,
        outcome: Outcome,
        at_least: Option<u64>,
        at_most: Option<u64>,
    },
    /// The longest time in which a client that wanted to was told of no commit.
    Outage {
        client: String,
        at_least: Option<Duration>,
        at_most: Option<Duration>,
    },
    NoFailover,
    /// One copy of the database is PRINCIPAL and serves, the other is MIRROR and does not, both are SYNCHRONIZED.
    Healed(DatabaseName),
    /// The last switch made this instance the principal.
    FailoverTo(InstanceName),
}

impl Scenario {
    /// The error numbers it expects: answers to statements and lines of error logs, also those quoted in them.
    pub fn numbers(&self) -> BTreeSet<u32> {
        let waits = self.setup.iter().filter_map(|setup| match setup {
            Setup::Wait { condition, .. } => Some(condition),
            Setup::Sql { .. } | Setup::CopyFile { .. } => None,
        });
        let begins = self.steps.iter().filter_map(|step| match &step.begin {
            Begin::When { condition, .. } => Some(condition),
            Begin::At(_) | Begin::After(_) => None,
        });
        let expected = self.expects.iter().filter_map(|expect| match &expect.what {
            Expectation::Condition(condition) => Some(condition),
            _ => None,
        });
        let conditions = waits.chain(begins).chain(expected);
        let logged = conditions.flat_map(|condition| {
            let quoted = condition.log_text.iter().flat_map(|text| numbers_in(text));
            condition.error_log.into_iter().chain(quoted)
        });
        let refused = self.steps.iter().filter_map(|step| match step.action {
            Action::Sql {
                must: Must::Fail(number),
                ..
            } => Some(number),
            _ => None,
        });
        let queries = self.expects.iter().filter_map(|expect| match expect.what {
            Expectation::QueryError { number, .. } => Some(number),
            _ => None,
        });
        logged.chain(refused).chain(queries).collect()
    }
}

/// The words of a text that are numbers.
fn numbers_in(text: &str) -> impl Iterator<Item = u32> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .filter_map(|word| word.parse().ok())
}

/// How a transaction ended for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Acknowledged,
    Refused,
    InDoubt,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Acknowledged => "acknowledged",
            Outcome::Refused => "refused",
            Outcome::InDoubt => "in_doubt",
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.on)?;
        if let Some(database) = &self.database {
            write!(f, " {database}")?;
        }
        if let Some(role) = self.role {
            write!(f, " role {role}")?;
        }
        if let Some(state) = self.state {
            write!(f, " state {state}")?;
        }
        match self.serving {
            Some(true) => f.write_str(" serving")?,
            Some(false) => f.write_str(" not serving")?,
            None => {}
        }
        if let Some(witness) = self.witness {
            write!(f, " witness {}", witness.desc())?;
        }
        if let Some(number) = self.error_log {
            write!(f, " logged {number}")?;
        }
        if let Some(text) = &self.log_text {
            write!(f, " logged `{text}`")?;
        }
        match self.alive {
            Some(true) => f.write_str(" alive"),
            Some(false) => f.write_str(" not alive"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Sql { on, login, sql, .. } => {
                write!(f, "sql on {on}{}: {}", caller(login), one_line(sql))
            }
            Action::Fault { fault, lasts } => {
                write!(f, "fault {fault}")?;
                match lasts {
                    Some(lasts) => write!(f, " for {lasts:?}"),
                    None => Ok(()),
                }
            }
            Action::StartClient(name) => write!(f, "start client {name}"),
            Action::StopClient(name) => write!(f, "stop client {name}"),
            Action::HealAll => f.write_str("heal all"),
            Action::Wait(time) => write!(f, "wait {time:?}"),
        }
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bounds = |f: &mut fmt::Formatter<'_>, low: Option<String>, high: Option<String>| {
            if let Some(low) = low {
                write!(f, " at least {low}")?;
            }
            match high {
                Some(high) => write!(f, " at most {high}"),
                None => Ok(()),
            }
        };
        match self {
            Expectation::Rows { on, login, query, .. } => {
                write!(f, "rows of `{}` on {on}{}", one_line(query), caller(login))
            }
            Expectation::QueryError {
                on,
                login,
                query,
                number,
            } => {
                write!(
                    f,
                    "error {number} for `{}` on {on}{}",
                    one_line(query),
                    caller(login)
                )
            }
            Expectation::Condition(condition) => write!(f, "{condition}"),
            Expectation::NotLogged { on, number } => write!(f, "{on} never logged {number}"),
            Expectation::Client {
                name,
                outcome,
                at_least,
                at_most,
            } => {
                write!(f, "client {name} {}", outcome.name())?;
                bounds(f, at_least.map(|n| n.to_string()), at_most.map(|n| n.to_string()))
            }
            Expectation::Outage {
                client,
                at_least,
                at_most,
            } => {
                write!(f, "client {client} outage")?;
                bounds(
                    f,
                    at_least.map(|d| format!("{d:?}")),
                    at_most.map(|d| format!("{d:?}")),
                )
            }
            Expectation::NoFailover => f.write_str("no failover"),
            Expectation::Healed(database) => write!(f, "{database} healed"),
            Expectation::FailoverTo(instance) => write!(f, "failover to {instance}"),
        }
    }
}

/// What names a login that is not the administrator.
pub(super) fn caller(login: &str) -> String {
    match login {
        ADMINISTRATOR => String::new(),
        login => format!(" as {login}"),
    }
}

/// A script on one line, white space squeezed, at most 100 characters.
pub fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(100) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

#[cfg(test)]
mod tests;
