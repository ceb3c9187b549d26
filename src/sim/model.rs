//! Who is what, folded from the trace: the slow, obvious reference for conditions, expectations and summaries.
//!
//! It believes what instances say about themselves; whether that may be believed is the oracles' business. Source: ours.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::scenario::{Condition, Outcome};
use crate::types::{
    ClientEvent, DatabaseName, EndpointEvent, Event, InstanceEvent, InstanceName, LinkState, MirroringState,
    PartnerRole, RoleSequence, SessionEvent, Source, Stamped, SwitchKind, Timestamp, WorldEvent,
};

/// The state of a run as its events tell it.
#[derive(Debug, Clone, Default)]
pub struct Model {
    alive: BTreeSet<InstanceName>,
    endpoints: BTreeMap<InstanceName, u16>,
    copies: BTreeMap<(InstanceName, DatabaseName), DatabaseCopy>,
    error_log: Vec<LogLine>,
    switches: Vec<Switch>,
    clients: BTreeMap<String, ClientTally>,
}

#[derive(Debug, Clone)]
struct LogLine {
    at: Timestamp,
    who: InstanceName,
    number: u32,
    text: String,
}

/// One partner's copy of a mirrored database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DatabaseCopy {
    pub role: Option<PartnerRole>,
    pub role_sequence: RoleSequence,
    /// `None` while its process is dead, while the database cannot be used, and before it reported one.
    pub state: Option<MirroringState>,
    pub serving: bool,
    pub partner: Option<LinkState>,
    pub witness: Option<LinkState>,
}

impl DatabaseCopy {
    /// Its process is gone, or cannot use it: nothing is shown of it.
    fn leave(&mut self) {
        self.state = None;
        self.serving = false;
        self.partner = None;
        self.witness = None;
    }
}

/// One change of the principal role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    pub at: Timestamp,
    pub database: DatabaseName,
    pub kind: SwitchKind,
    pub to: InstanceName,
    pub role_sequence: RoleSequence,
}

/// What a client was told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientTally {
    pub submitted: u64,
    outcomes: BTreeMap<Outcome, u64>,
    /// Since when it waits for an acknowledgement: its last one, or its first sign of life.
    waiting_since: Option<Timestamp>,
    pub longest_outage: Duration,
    pub longest_outage_from: Option<Timestamp>,
}

impl ClientTally {
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or(0)
    }

    fn told(&mut self, at: Timestamp, outcome: Outcome) {
        *self.outcomes.entry(outcome).or_insert(0) += 1;
        if outcome == Outcome::Acknowledged {
            self.wait_ends(at);
            self.waiting_since = Some(at);
        }
    }

    fn wait_ends(&mut self, at: Timestamp) {
        if let Some(since) = self.waiting_since
            && at.since(since) > self.longest_outage
        {
            self.longest_outage = at.since(since);
            self.longest_outage_from = Some(since);
        }
    }
}

impl Model {
    pub fn is_alive(&self, instance: &InstanceName) -> bool {
        self.alive.contains(instance)
    }

    /// The port the endpoint of `instance` listens on now.
    pub fn endpoint_port(&self, instance: &InstanceName) -> Option<u16> {
        self.endpoints.get(instance).copied()
    }

    pub fn copy(&self, instance: &InstanceName, database: &DatabaseName) -> Option<&DatabaseCopy> {
        self.copies.get(&(instance.clone(), database.clone()))
    }

    pub fn copies(&self) -> impl Iterator<Item = (&InstanceName, &DatabaseName, &DatabaseCopy)> {
        self.copies.iter().map(|((i, d), copy)| (i, d, copy))
    }

    /// The instance that lets clients use `database` now; the one with the highest role sequence if several say so.
    pub fn serving(&self, database: &DatabaseName) -> Option<&InstanceName> {
        self.copies
            .iter()
            .filter(|((_, d), copy)| d == database && copy.serving)
            .max_by_key(|(_, copy)| copy.role_sequence)
            .map(|((i, _), _)| i)
    }

    /// Whether the two copies of `database` are a serving principal and its mirror, synchronized.
    ///
    /// # Errors
    /// What is the case instead.
    pub fn healed(&self, database: &DatabaseName) -> Result<(), String> {
        let synchronized = Some(MirroringState::Synchronized);
        let is = |copy: &DatabaseCopy, role, serving| {
            copy.role == Some(role) && copy.state == synchronized && copy.serving == serving
        };
        let copies: Vec<_> = self
            .copies
            .iter()
            .filter(|((_, d), c)| d == database && c.role.is_some())
            .collect();
        let count = |role, serving| copies.iter().filter(|(_, c)| is(c, role, serving)).count();
        if copies.len() == 2
            && count(PartnerRole::Principal, true) == 1
            && count(PartnerRole::Mirror, false) == 1
        {
            return Ok(());
        }
        let told = copies.iter().map(|((who, _), _)| {
            self.describe(&Condition {
                on: who.clone(),
                database: Some(database.clone()),
                role: None,
                state: None,
                serving: None,
                witness: None,
                error_log: None,
                log_text: None,
                alive: None,
            })
        });
        Err(told.collect::<Vec<_>>().join("; "))
    }

    pub fn switches(&self) -> &[Switch] {
        &self.switches
    }

    pub fn client(&self, name: &str) -> Option<&ClientTally> {
        self.clients.get(name)
    }

    /// A client's longest time without an acknowledgement, the time it waits now included.
    pub fn outage(&self, name: &str, now: Timestamp) -> Duration {
        self.clients.get(name).map_or(Duration::ZERO, |tally| {
            let pending = tally
                .waiting_since
                .map_or(Duration::ZERO, |since| now.since(since));
            tally.longest_outage.max(pending)
        })
    }

    /// A client that is stopped waits for nothing more.
    pub fn client_stopped(&mut self, name: &str, at: Timestamp) {
        if let Some(tally) = self.clients.get_mut(name) {
            tally.wait_ends(at);
            tally.waiting_since = None;
        }
    }

    /// Whether `number` was written to the error log of `on` at or after `since`.
    pub fn logged(&self, on: &InstanceName, number: u32, since: Timestamp) -> bool {
        self.has_line(on, since, Some(number), None)
    }

    /// The error log of `on` since `since`: number and text of each line.
    pub fn error_log(&self, on: &InstanceName, since: Timestamp) -> Vec<(u32, &str)> {
        let lines = self.error_log.iter();
        let wanted = lines.filter(|line| line.at >= since && line.who == *on);
        wanted.map(|line| (line.number, line.text.as_str())).collect()
    }

    fn has_line(&self, on: &InstanceName, since: Timestamp, number: Option<u32>, text: Option<&str>) -> bool {
        self.error_log.iter().any(|line| {
            line.at >= since
                && line.who == *on
                && number.is_none_or(|number| line.number == number)
                && text.is_none_or(|text| line.text.contains(text))
        })
    }

    /// Whether every given part of `condition` holds; error log lines count from `since`.
    pub fn holds(&self, condition: &Condition, since: Timestamp) -> bool {
        let copy = condition
            .database
            .as_ref()
            .and_then(|database| self.copy(&condition.on, database));
        condition
            .role
            .is_none_or(|role| copy.is_some_and(|c| c.role == Some(role)))
            && condition
                .state
                .is_none_or(|state| copy.is_some_and(|c| c.state == Some(state)))
            && condition
                .serving
                .is_none_or(|serving| copy.is_some_and(|c| c.serving) == serving)
            && condition
                .witness
                .is_none_or(|link| copy.is_some_and(|c| c.witness == Some(link)))
            && self.log_holds(condition, since)
            && condition
                .alive
                .is_none_or(|alive| self.is_alive(&condition.on) == alive)
    }

    fn log_holds(&self, condition: &Condition, since: Timestamp) -> bool {
        let (number, text) = (condition.error_log, condition.log_text.as_deref());
        (number.is_none() && text.is_none()) || self.has_line(&condition.on, since, number, text)
    }

    /// What `condition` is about, as it is now.
    pub fn describe(&self, condition: &Condition) -> String {
        if !self.is_alive(&condition.on) {
            return format!("{} is not running", condition.on);
        }
        let Some(database) = &condition.database else {
            return format!("{} is running", condition.on);
        };
        match self.copy(&condition.on, database) {
            None => format!("{} has no mirrored database {database}", condition.on),
            Some(copy) => format!(
                "{} is {} {}, {}, witness {}",
                condition.on,
                copy.role.map_or("without role", PartnerRole::desc),
                copy.state.map_or("without state", MirroringState::desc),
                if copy.serving { "serving" } else { "not serving" },
                copy.witness.map_or("none", LinkState::desc)
            ),
        }
    }

    /// Fold one event in.
    pub fn observe(&mut self, stamped: &Stamped) {
        match (&stamped.source, &stamped.event) {
            (_, Event::World(event)) => self.on_world(event),
            (Source::Instance(who), Event::Instance(InstanceEvent::ErrorLog { number, text, .. })) => {
                self.error_log.push(LogLine {
                    at: stamped.at,
                    who: who.clone(),
                    number: *number,
                    text: text.clone(),
                });
            }
            (Source::Instance(who), Event::Endpoint(event)) => self.on_endpoint(who, event),
            (Source::Instance(who), Event::Session(event)) => self.on_session(stamped.at, who, event),
            (Source::Client(name), Event::Client(event)) => self.on_client(stamped.at, name, event),
            _ => {}
        }
    }

    fn on_world(&mut self, event: &WorldEvent) {
        match event {
            WorldEvent::ProcessStarted { instance } => {
                self.alive.insert(instance.clone());
            }
            WorldEvent::ProcessKilled { instance } => {
                self.alive.remove(instance);
                self.endpoints.remove(instance);
                let own = self.copies.iter_mut().filter(|((who, _), _)| who == instance);
                own.for_each(|(_, copy)| copy.leave());
            }
            _ => {}
        }
    }

    fn on_endpoint(&mut self, who: &InstanceName, event: &EndpointEvent) {
        match event {
            EndpointEvent::Listening { port } => {
                self.endpoints.insert(who.clone(), *port);
            }
            EndpointEvent::StoppedListening { .. } | EndpointEvent::CannotListen { .. } => {
                self.endpoints.remove(who);
            }
            _ => {}
        }
    }

    fn on_session(&mut self, at: Timestamp, who: &InstanceName, event: &SessionEvent) {
        match event {
            SessionEvent::Configured { database, role, .. } => {
                let copy = self.entry(who, database);
                copy.role = Some(*role);
                // A database that becomes a principal was open, and stays so until the session says otherwise.
                copy.serving = *role == PartnerRole::Principal;
            }
            SessionEvent::Removed { database, .. } => {
                let copy = self.entry(who, database);
                *copy = DatabaseCopy {
                    serving: copy.serving,
                    ..DatabaseCopy::default()
                };
            }
            SessionEvent::Unavailable { database } => self.entry(who, database).leave(),
            SessionEvent::Role {
                database,
                to,
                role_sequence,
                ..
            } => {
                let copy = self.entry(who, database);
                copy.role = Some(*to);
                copy.role_sequence = *role_sequence;
            }
            SessionEvent::State { database, to, .. } => self.entry(who, database).state = Some(*to),
            SessionEvent::Links {
                database,
                partner,
                witness,
            } => {
                let copy = self.entry(who, database);
                copy.partner = Some(*partner);
                copy.witness = *witness;
            }
            SessionEvent::Serving {
                database, serving, ..
            } => {
                self.entry(who, database).serving = *serving;
            }
            SessionEvent::Takeover {
                database,
                kind,
                role_sequence,
                ..
            } => self.switches.push(Switch {
                at,
                database: database.clone(),
                kind: *kind,
                to: who.clone(),
                role_sequence: *role_sequence,
            }),
            _ => {}
        }
    }

    fn entry(&mut self, who: &InstanceName, database: &DatabaseName) -> &mut DatabaseCopy {
        self.copies.entry((who.clone(), database.clone())).or_default()
    }

    fn on_client(&mut self, at: Timestamp, name: &str, event: &ClientEvent) {
        let tally = self.clients.entry(name.to_owned()).or_default();
        match event {
            ClientEvent::Acknowledged { .. } => tally.told(at, Outcome::Acknowledged),
            ClientEvent::Refused { .. } => tally.told(at, Outcome::Refused),
            ClientEvent::InDoubt { .. } => tally.told(at, Outcome::InDoubt),
            ClientEvent::Submitted { .. } => tally.submitted += 1,
            ClientEvent::Batch { .. } => return,
            ClientEvent::Connected { .. } | ClientEvent::ConnectFailed { .. } => {}
        }
        tally.waiting_since.get_or_insert(at);
    }
}
