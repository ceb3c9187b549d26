//! Plays one row and tells, for one instant of it, what each instance is and whom the witness sees; keeps the tables.
//!
//! Everything comes from the trace: who serves is believed only of an instance that also confirms commits.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use mirrorlab::sim::launch;
use mirrorlab::sim::model::Model;
use mirrorlab::sim::render;
use mirrorlab::sim::runner::{Run, Verdict, run};
use mirrorlab::sim::scenario::Library;
use mirrorlab::types::{
    ConnectionId, DatabaseName, EndpointEvent, Event, InstanceName, LinkState, MirroringState, PartnerRole,
    SessionEvent, Source, Stamped, WorldEvent,
};

/// How long before the instant a commit must have been confirmed to show that its partner serves.
const CONFIRMS_WITHIN: Duration = Duration::from_secs(12);

/// What the three of them are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub alpha: String,
    pub beta: String,
    pub gamma: String,
    pub outcome: String,
}

/// Plays `toml` once and looks at it `at` after the set-up. The run as a whole must pass.
pub fn look(name: &str, toml: &str, at: Duration) -> Seen {
    look_at(&play(name, toml), at)
}

/// What a run was `at` after its set-up.
pub fn look_at(run: &Run, at: Duration) -> Seen {
    let mut watch = Watch::default();
    let end = run.setup_end + at;
    for stamped in run.trace.events().iter().take_while(|event| event.at <= end) {
        watch.observe(stamped, stamped.at >= run.setup_end, end.since(stamped.at));
    }
    watch.seen()
}

/// Plays a scenario that is written here; every oracle and expectation must hold, every fault take effect.
pub fn play(name: &str, toml: &str) -> Run {
    let mut library = Library::built_in();
    let name = format!("quorum/{name}");
    library.insert(&name, toml);
    let scenario = library
        .load(&name)
        .unwrap_or_else(|error| panic!("{}\n{toml}", error.report()));
    let run = run(&launch::instances(), &scenario, 1);
    assert_eq!(run.verdict, Verdict::Pass, "{toml}\n{}", render::verdict(&run));
    run
}

/// Holds a table against its reviewed snapshot.
pub fn compare(name: &str, text: &str) {
    insta::with_settings!({
        snapshot_path => format!("{}/snapshots/tables", env!("CARGO_MANIFEST_DIR")),
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!(name, text);
    });
}

#[derive(Default)]
struct Watch {
    model: Model,
    /// The witness's open connections, by the login it let in.
    logins: BTreeMap<ConnectionId, String>,
    /// Owner of the principal role and whether the mirror is synchronized, as the witness has it.
    record: Option<(String, bool)>,
    confirm: BTreeSet<InstanceName>,
    takeovers: Vec<String>,
}

impl Watch {
    fn observe(&mut self, stamped: &Stamped, in_row: bool, before: Duration) {
        self.model.observe(stamped);
        match (&stamped.source, &stamped.event) {
            (_, Event::World(WorldEvent::ProcessKilled { instance })) if instance.as_str() == "gamma" => {
                self.logins.clear();
            }
            (Source::Instance(who), Event::Endpoint(event)) if who.as_str() == "gamma" => match event {
                EndpointEvent::LoggedIn {
                    connection,
                    principal,
                    ..
                } => {
                    self.logins.insert(*connection, principal.clone());
                }
                EndpointEvent::Closed { connection, .. } => {
                    self.logins.remove(connection);
                }
                _ => {}
            },
            (Source::Instance(who), Event::Session(event)) => match event {
                SessionEvent::WitnessRecord {
                    owner, synchronized, ..
                } => self.record = Some((owner.clone(), *synchronized)),
                SessionEvent::CommitAcknowledged { .. } if in_row && before <= CONFIRMS_WITHIN => {
                    self.confirm.insert(who.clone());
                }
                SessionEvent::Takeover { kind, .. } if in_row => {
                    self.takeovers
                        .push(format!("{who} takes over, {kind:?}").to_lowercase());
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn seen(&self) -> Seen {
        Seen {
            alpha: self.partner("alpha"),
            beta: self.partner("beta"),
            gamma: self.witness(),
            outcome: match self.takeovers.is_empty() {
                true => "no failover".into(),
                false => self.takeovers.join("; "),
            },
        }
    }

    fn partner(&self, name: &str) -> String {
        let who = InstanceName::new(name);
        if !self.model.is_alive(&who) {
            return "down".into();
        }
        let Some(copy) = self.model.copy(&who, &DatabaseName::new("Sales")) else {
            return "no session".into();
        };
        let service = match (copy.serving, self.confirm.contains(&who)) {
            (true, true) => "serves",
            (true, false) => "serves, but confirms nothing",
            (false, false) => "stopped",
            // What it confirmed may have been before it stopped.
            (false, true) => "has just stopped",
        };
        let witness = copy.witness.map_or("none", LinkState::desc);
        format!(
            "{} {}, {service}, witness {witness}",
            copy.role.map_or("no role", PartnerRole::desc),
            copy.state.map_or("no state", MirroringState::desc),
        )
    }

    fn witness(&self) -> String {
        if !self.model.is_alive(&InstanceName::new("gamma")) {
            return "down".into();
        }
        let Some((owner, synchronized)) = &self.record else {
            return "no witness".into();
        };
        let people: BTreeSet<&str> = self
            .logins
            .values()
            .filter_map(|login| login.strip_suffix("_login"))
            .collect();
        let sees = match people.is_empty() {
            true => "nobody".to_owned(),
            false => people.into_iter().collect::<Vec<_>>().join(" and "),
        };
        let not = if *synchronized { "" } else { "not " };
        format!("sees {sees}; {}, {not}synchronized", owner.to_lowercase())
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} | {} | {} | {}",
            self.alpha, self.beta, self.gamma, self.outcome
        )
    }
}
