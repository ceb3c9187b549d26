//! What the oracles of roles, quorum and detection remember: who is alive, whose connections are open, what each copy
//! shows, what the operator said and which faults go on.
//!
//! Connections are those of the endpoints, from login to close, on each side by itself: what a session believes of its
//! links is not asked. [`Patience`] finds what has lasted too long.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::history::{Sessions, session_event};
use crate::types::{
    ConnectionId, DatabaseName, EndpointEvent, Event, Guid, InstanceEvent, InstanceName, MirroringState,
    PartnerRole, RoleSequence, SessionEvent, Source, Stamped, SwitchKind, Timestamp, WorldEvent,
};

/// The ping interval, and the slack for latencies and handshakes on a link that is well.
pub(super) const PING: Duration = Duration::from_secs(1);
pub(super) const SLACK: Duration = Duration::from_secs(2);

/// The partner timeout unless an operator sets another.
const TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT_LEAST: Duration = Duration::from_secs(5);

/// Faults under which nobody is held to a time: what is stopped or slow answers late.
const WEATHER: [&str; 8] = [
    "pause",
    "slow_link",
    "crash_at_write",
    "disk_slow",
    "disk_stuck",
    "disk_full",
    "disk_io_error",
    "disk_fail_sync",
];

/// Faults after which a copy may be refused for ever.
const DAMAGE: [&str; 3] = ["disk_lie", "disk_torn", "bit_rot"];

/// A fault that was fired.
#[derive(Debug)]
pub(super) struct FaultSeen {
    pub kind: String,
    pub from: Timestamp,
    pub to: Option<Timestamp>,
}

/// What one copy of a mirrored database shows.
#[derive(Debug, Default, Clone)]
pub(super) struct Shown {
    pub role: Option<PartnerRole>,
    pub role_sequence: RoleSequence,
    pub state: Option<MirroringState>,
    /// The last state that was not DISCONNECTED.
    pub connected_state: Option<MirroringState>,
    pub serving: bool,
    pub has_witness: bool,
}

#[derive(Debug)]
pub(super) struct Scene {
    pub sessions: Sessions,
    names: BTreeMap<Guid, InstanceName>,
    open: BTreeMap<(InstanceName, ConnectionId), Guid>,
    pub dead: BTreeSet<InstanceName>,
    shown: BTreeMap<(InstanceName, DatabaseName), Shown>,
    witnesses: BTreeMap<Guid, InstanceName>,
    pub faults: BTreeMap<u32, FaultSeen>,
    /// The last switch of each session: who took the role, under which sequence, how.
    switches: BTreeMap<Guid, (InstanceName, RoleSequence, SwitchKind)>,
    /// The shortest and the longest partner timeout there has been.
    pub timeouts: (Duration, Duration),
}

impl Default for Scene {
    fn default() -> Self {
        Scene {
            sessions: Sessions::default(),
            names: BTreeMap::new(),
            open: BTreeMap::new(),
            dead: BTreeSet::new(),
            shown: BTreeMap::new(),
            witnesses: BTreeMap::new(),
            faults: BTreeMap::new(),
            switches: BTreeMap::new(),
            timeouts: (TIMEOUT, TIMEOUT),
        }
    }
}

impl Scene {
    /// Whether the event can change anything here. Log and client traffic cannot, and there is much of it.
    pub(super) fn concerns(stamped: &Stamped) -> bool {
        match &stamped.event {
            Event::World(_) => true,
            Event::Instance(event) => matches!(event, InstanceEvent::Started { .. }),
            Event::Endpoint(event) => {
                matches!(
                    event,
                    EndpointEvent::LoggedIn { .. } | EndpointEvent::Closed { .. }
                )
            }
            Event::Session(event) => matches!(
                event,
                SessionEvent::Configured { .. }
                    | SessionEvent::Removed { .. }
                    | SessionEvent::WitnessSet { .. }
                    | SessionEvent::WitnessRecord { .. }
                    | SessionEvent::Role { .. }
                    | SessionEvent::State { .. }
                    | SessionEvent::Serving { .. }
                    | SessionEvent::Takeover { .. }
            ),
            Event::Client(_) => false,
        }
    }

    pub(super) fn observe(&mut self, stamped: &Stamped) {
        self.sessions.observe(stamped);
        match (&stamped.source, &stamped.event) {
            (_, Event::World(event)) => self.on_world(stamped.at, event),
            (Source::Instance(who), Event::Instance(InstanceEvent::Started { instance, .. })) => {
                self.names.insert(*instance, who.clone());
            }
            (Source::Instance(who), Event::Endpoint(event)) => self.on_endpoint(who, event),
            _ => {}
        }
        if let Some((who, event)) = session_event(stamped) {
            self.on_session(who, event);
        }
    }

    fn on_world(&mut self, at: Timestamp, event: &WorldEvent) {
        match event {
            WorldEvent::ProcessStarted { instance } => {
                self.dead.remove(instance);
            }
            WorldEvent::ProcessKilled { instance } => {
                self.dead.insert(instance.clone());
                self.open.retain(|(who, _), _| who != instance);
                for ((who, _), shown) in &mut self.shown {
                    if who == instance {
                        shown.serving = false;
                        shown.state = None;
                    }
                }
            }
            WorldEvent::FaultFired { id, fault, .. } => {
                let seen = FaultSeen {
                    kind: fault.clone(),
                    from: at,
                    to: None,
                };
                self.faults.insert(*id, seen);
            }
            WorldEvent::FaultEnded { id, .. } => {
                if let Some(fault) = self.faults.get_mut(id) {
                    fault.to = Some(at);
                }
            }
            WorldEvent::Step { text } => self.on_command(text),
            _ => {}
        }
    }

    fn on_endpoint(&mut self, who: &InstanceName, event: &EndpointEvent) {
        match event {
            EndpointEvent::LoggedIn { connection, peer, .. } => {
                self.open.insert((who.clone(), *connection), *peer);
            }
            EndpointEvent::Closed { connection, .. } => {
                self.open.remove(&(who.clone(), *connection));
            }
            _ => {}
        }
    }

    fn on_session(&mut self, who: &InstanceName, event: &SessionEvent) {
        let mut shown = |database: &DatabaseName, change: &dyn Fn(&mut Shown)| {
            change(self.shown.entry((who.clone(), database.clone())).or_default());
        };
        match event {
            SessionEvent::Configured { database, role, .. } => shown(database, &|shown| {
                // A database that becomes a principal was open.
                *shown = Shown {
                    role: Some(*role),
                    serving: *role == PartnerRole::Principal,
                    ..Shown::default()
                };
            }),
            // A witness that was told to forget the session is still there and still connected.
            SessionEvent::Removed { database, .. } => {
                self.shown.remove(&(who.clone(), database.clone()));
            }
            SessionEvent::WitnessSet { database, witness } => {
                shown(database, &|shown| shown.has_witness = witness.is_some());
            }
            SessionEvent::WitnessRecord { session, .. } => {
                self.witnesses.insert(*session, who.clone());
            }
            SessionEvent::Role {
                database,
                to,
                role_sequence,
                ..
            } => shown(database, &|shown| {
                shown.role = Some(*to);
                shown.role_sequence = *role_sequence;
            }),
            SessionEvent::State { database, to, .. } => shown(database, &|shown| {
                shown.state = Some(*to);
                if *to != MirroringState::Disconnected {
                    shown.connected_state = Some(*to);
                }
            }),
            SessionEvent::Serving {
                database, serving, ..
            } => {
                shown(database, &|shown| shown.serving = *serving);
            }
            SessionEvent::Takeover {
                database,
                kind,
                role_sequence,
                ..
            } => {
                if let Some(session) = self.sessions.session(who, database) {
                    self.switches
                        .insert(session, (who.clone(), *role_sequence, *kind));
                }
            }
            _ => {}
        }
    }

    /// `ALTER DATABASE x SET PARTNER TIMEOUT n`: values below the least count as it.
    fn on_command(&mut self, text: &str) {
        let upper = text.to_ascii_uppercase();
        if let Some((_, rest)) = upper.split_once("PARTNER TIMEOUT ")
            && let Some(seconds) = rest
                .split(|c: char| !c.is_ascii_digit())
                .next()
                .and_then(|digits| digits.parse().ok())
        {
            let timeout = Duration::from_secs(seconds).max(TIMEOUT_LEAST);
            self.timeouts = (self.timeouts.0.min(timeout), self.timeouts.1.max(timeout));
        }
    }

    pub(super) fn shown(&self, who: &InstanceName, database: &DatabaseName) -> Option<&Shown> {
        self.shown.get(&(who.clone(), database.clone()))
    }

    pub(super) fn copies(&self) -> impl Iterator<Item = (&InstanceName, &DatabaseName, &Shown)> {
        self.shown
            .iter()
            .map(|((who, database), shown)| (who, database, shown))
    }

    pub(super) fn is_alive(&self, who: &InstanceName) -> bool {
        !self.dead.contains(who)
    }

    /// The instance that records the roles of the session `who` has for `database`.
    pub(super) fn witness(&self, who: &InstanceName, database: &DatabaseName) -> Option<&InstanceName> {
        self.witnesses.get(&self.sessions.session(who, database)?)
    }

    pub(super) fn last_switch(&self, session: Guid) -> Option<&(InstanceName, RoleSequence, SwitchKind)> {
        self.switches.get(&session)
    }

    /// Whether `who` has a connection to `to` that it holds for open.
    pub(super) fn has_connection(&self, who: &InstanceName, to: &InstanceName) -> bool {
        self.open
            .iter()
            .any(|((from, _), peer)| from == who && self.names.get(peer) == Some(to))
    }

    /// Whether either holds a connection for open.
    pub(super) fn linked(&self, one: &InstanceName, other: &InstanceName) -> bool {
        self.has_connection(one, other) || self.has_connection(other, one)
    }

    /// Every ordered pair of which the first holds a connection to the second for open.
    pub(super) fn connections(&self) -> BTreeSet<(InstanceName, InstanceName)> {
        let named = self.open.iter().filter_map(|((who, _), peer)| {
            let peer = self.names.get(peer)?;
            Some((who.clone(), peer.clone()))
        });
        named.collect()
    }

    /// Whether a principal is in quorum as far as open connections say.
    pub(super) fn in_quorum(&self, who: &InstanceName, database: &DatabaseName) -> bool {
        let partner = self.sessions.partner(who, database);
        [partner, self.witness(who, database)]
            .into_iter()
            .flatten()
            .any(|other| self.has_connection(who, other))
    }

    /// Whether a disk may have lost what it was trusted with.
    pub(super) fn has_damage(&self) -> bool {
        let mut faults = self.faults.values();
        faults.any(|fault| DAMAGE.contains(&fault.kind.as_str()))
    }

    /// Whether, in the time from `from` on, anything was stopped or slow, or a disk was damaged before.
    pub(super) fn is_rough_since(&self, from: Timestamp) -> bool {
        self.has_damage()
            || self.faults.values().any(|fault| {
                WEATHER.contains(&fault.kind.as_str()) && fault.to.is_none_or(|to| to + SLACK >= from)
            })
    }
}

/// Conditions, each since when it has held.
#[derive(Debug)]
pub(super) struct Patience<K> {
    since: BTreeMap<K, (Timestamp, bool)>,
}

impl<K> Default for Patience<K> {
    fn default() -> Self {
        Patience {
            since: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Clone> Patience<K> {
    /// Those that hold now; what held before and does not any more is forgotten.
    pub(super) fn hold(&mut self, now: impl IntoIterator<Item = K>, at: Timestamp) {
        let mut before = std::mem::take(&mut self.since);
        for key in now {
            let entry = before.remove(&key).unwrap_or((at, false));
            self.since.insert(key, entry);
        }
    }

    /// Those that have held for longer than `bound`, each once, and since when.
    pub(super) fn outlast(&mut self, at: Timestamp, bound: Duration) -> Vec<(K, Timestamp)> {
        let mut late = Vec::new();
        for (key, (since, told)) in &mut self.since {
            if !*told && at.since(*since) > bound {
                *told = true;
                late.push((key.clone(), *since));
            }
        }
        late
    }
}
