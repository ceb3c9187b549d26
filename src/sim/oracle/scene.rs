//! What the oracles of roles, quorum and detection remember: who is alive, whose connections are open, what each copy
//! shows, what the operator said and which faults go on.
//!
//! The partner timeout is what instances have on record, whoever set it, with the clamp and SAFETY OFF reckoned here.
//! Connections are those of the endpoints, from login to close, on each side by itself: what a session believes of its
//! links is not asked. [`Patience`] finds what has lasted too long.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::End;
use super::heals_to_synchronized::HEALS_WITHIN;
use super::history::{Sessions, session_event};
use crate::sim::fault::{DAMAGING, MOMENTARY};
use crate::types::{
    ConnectionId, DatabaseName, EndpointEvent, Event, Guid, InstanceEvent, InstanceName, MirroringState,
    PartnerRole, RoleSequence, Safety, ServerAddress, SessionEvent, Source, Stamped, SwitchKind, Timestamp,
    WorldEvent,
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

/// A fault that was fired.
#[derive(Debug)]
pub(super) struct FaultSeen {
    pub kind: String,
    /// Its one line, with the names of the systems or instances it is done to.
    pub text: String,
    pub from: Timestamp,
    /// When it was over, for one that does not last at once; `None` while it goes on.
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
    /// It began a manual failover whose end it does not know yet, connected or not: it showed PENDING_FAILOVER, and has not
    /// changed its role or sequence since.
    pub failing_over: bool,
    pub has_witness: bool,
}

impl Shown {
    /// Its process is gone, or the copy cannot be used.
    fn leave(&mut self) {
        self.serving = false;
        self.state = None;
    }
}

/// The settings of a session as a partner or its witness has them on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settings {
    pub safety: Safety,
    pub safety_sequence: u32,
    pub suspended: bool,
    pub suspend_sequence: u32,
    timeout_seconds: u16,
}

impl Settings {
    /// The partner timeout that must be in force.
    fn timeout(&self) -> Duration {
        match self.safety {
            Safety::Off => TIMEOUT,
            Safety::Full => Duration::from_secs(u64::from(self.timeout_seconds)).max(TIMEOUT_LEAST),
        }
    }
}

/// A connection that is open on one side.
#[derive(Debug)]
struct Open {
    peer: Guid,
    accepted: bool,
}

#[derive(Debug, Default)]
pub struct Scene {
    pub(super) sessions: Sessions,
    names: BTreeMap<Guid, InstanceName>,
    /// The host part of the addresses that others reach an instance under.
    hosts: BTreeMap<InstanceName, String>,
    /// The host part of the partner's address, as each partner was told it.
    told: BTreeMap<(InstanceName, DatabaseName), String>,
    open: BTreeMap<(InstanceName, ConnectionId), Open>,
    pub(super) dead: BTreeSet<InstanceName>,
    /// Copies that their instance cannot use, since when.
    unavailable: BTreeMap<(InstanceName, DatabaseName), Timestamp>,
    shown: BTreeMap<InstanceName, BTreeMap<DatabaseName, Shown>>,
    witnesses: BTreeMap<Guid, InstanceName>,
    pub(super) faults: BTreeMap<u32, FaultSeen>,
    /// The last switch of each session: who took the role, under which sequence, how.
    switches: BTreeMap<Guid, (InstanceName, RoleSequence, SwitchKind)>,
    settings: BTreeMap<(InstanceName, DatabaseName), Settings>,
    /// Timeouts that others replaced, and when.
    replaced: Vec<(Timestamp, Duration)>,
    /// When all faults were healed.
    quiet: Option<Timestamp>,
    /// The time of the last event.
    at: Timestamp,
}

impl Scene {
    /// Whether the event can change anything here. Log and client traffic cannot, and there is much of it.
    pub(super) fn concerns(stamped: &Stamped) -> bool {
        match &stamped.event {
            Event::World(_) => true,
            Event::Instance(event) => {
                matches!(
                    event,
                    InstanceEvent::Started { .. } | InstanceEvent::Stopped { .. }
                )
            }
            Event::Endpoint(event) => {
                matches!(
                    event,
                    EndpointEvent::LoggedIn { .. } | EndpointEvent::Closed { .. }
                )
            }
            Event::Session(event) => matches!(
                event,
                SessionEvent::Configured { .. }
                    | SessionEvent::Settings { .. }
                    | SessionEvent::Removed { .. }
                    | SessionEvent::Unavailable { .. }
                    | SessionEvent::LogRecovered { .. }
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
        self.at = stamped.at;
        self.sessions.observe(stamped);
        if let Some(who) = gone(stamped) {
            self.on_gone(who);
        }
        match (&stamped.source, &stamped.event) {
            (_, Event::World(event)) => self.on_world(stamped.at, event),
            (Source::Instance(who), Event::Instance(InstanceEvent::Started { instance, .. })) => {
                self.names.insert(*instance, who.clone());
            }
            (Source::Instance(who), Event::Endpoint(event)) => self.on_endpoint(who, event),
            _ => {}
        }
        if let Some((who, event)) = session_event(stamped) {
            self.on_session(who, stamped.at, event);
            self.on_settings(who, stamped.at, event);
        }
    }

    fn on_world(&mut self, at: Timestamp, event: &WorldEvent) {
        match event {
            WorldEvent::Quiet => self.quiet = Some(at),
            WorldEvent::ProcessStarted { instance } => {
                self.dead.remove(instance);
            }
            WorldEvent::FaultFired { id, fault, text } => {
                let seen = FaultSeen {
                    kind: fault.clone(),
                    text: text.clone(),
                    from: at,
                    to: MOMENTARY.contains(&fault.as_str()).then_some(at),
                };
                self.faults.insert(*id, seen);
            }
            WorldEvent::FaultEnded { id, .. } => {
                if let Some(fault) = self.faults.get_mut(id) {
                    fault.to = Some(at);
                }
            }
            _ => {}
        }
    }

    fn on_gone(&mut self, instance: &InstanceName) {
        self.dead.insert(instance.clone());
        self.open.retain(|(who, _), _| who != instance);
        for (_, shown) in self.shown.get_mut(instance).into_iter().flatten() {
            shown.leave();
        }
    }

    fn on_endpoint(&mut self, who: &InstanceName, event: &EndpointEvent) {
        match event {
            EndpointEvent::LoggedIn {
                connection,
                peer,
                accepted,
                ..
            } => {
                let (peer, accepted) = (*peer, *accepted);
                self.open
                    .insert((who.clone(), *connection), Open { peer, accepted });
            }
            EndpointEvent::Closed { connection, .. } => {
                self.open.remove(&(who.clone(), *connection));
            }
            _ => {}
        }
    }

    fn on_session(&mut self, who: &InstanceName, at: Timestamp, event: &SessionEvent) {
        let mut shown = |database: &DatabaseName, change: &dyn Fn(&mut Shown)| {
            let copies = self.shown.entry(who.clone()).or_default();
            change(copies.entry(database.clone()).or_default());
        };
        match event {
            // A database that becomes a principal was open.
            SessionEvent::Configured {
                database,
                role,
                partner,
                ..
            } => {
                shown(database, &|shown| {
                    *shown = Shown {
                        role: Some(*role),
                        serving: *role == PartnerRole::Principal,
                        ..Shown::default()
                    };
                });
                self.told
                    .insert((who.clone(), database.clone()), host_of(partner));
                self.note_hosts(who, database);
            }
            // A witness that was told to forget the session is still there and still connected.
            SessionEvent::Removed { database, .. } => {
                if let Some(copies) = self.shown.get_mut(who) {
                    copies.remove(database);
                }
            }
            SessionEvent::Unavailable { database } => {
                shown(database, &Shown::leave);
                self.unavailable.insert((who.clone(), database.clone()), at);
            }
            SessionEvent::LogRecovered { database, .. } => {
                self.unavailable.remove(&(who.clone(), database.clone()));
            }
            SessionEvent::WitnessSet {
                database, witness, ..
            } => {
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
                if (shown.role, shown.role_sequence) != (Some(*to), *role_sequence) {
                    shown.failing_over = false;
                }
                shown.role = Some(*to);
                shown.role_sequence = *role_sequence;
            }),
            SessionEvent::State { database, to, .. } => shown(database, &|shown| {
                shown.state = Some(*to);
                if *to != MirroringState::Disconnected {
                    shown.connected_state = Some(*to);
                    shown.failing_over = *to == MirroringState::PendingFailover;
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

    /// Once both partners have the session, each has said where the other is.
    fn note_hosts(&mut self, who: &InstanceName, database: &DatabaseName) {
        let Some(other) = self.sessions.partner(who, database).cloned() else {
            return;
        };
        for (from, to) in [(who, &other), (&other, who)] {
            if let Some(host) = self.told.get(&(from.clone(), database.clone())) {
                self.hosts.insert(to.clone(), host.clone());
            }
        }
    }

    fn on_settings(&mut self, who: &InstanceName, at: Timestamp, event: &SessionEvent) {
        let SessionEvent::Settings {
            database,
            safety,
            safety_sequence,
            suspended,
            suspend_sequence,
            timeout_seconds,
            ..
        } = event
        else {
            return;
        };
        let settings = Settings {
            safety: *safety,
            safety_sequence: *safety_sequence,
            suspended: *suspended,
            suspend_sequence: *suspend_sequence,
            timeout_seconds: *timeout_seconds,
        };
        let before = self.settings.insert((who.clone(), database.clone()), settings);
        let before = before.map_or(TIMEOUT, |settings| settings.timeout());
        if before > settings.timeout() {
            self.replaced.push((at, before));
        }
    }

    pub(super) fn settings(&self, who: &InstanceName, database: &DatabaseName) -> Option<&Settings> {
        self.settings.get(&(who.clone(), database.clone()))
    }

    /// The partner timeout of the connections of `who`: the shortest of its sessions.
    pub(super) fn timeout(&self, who: &InstanceName) -> Duration {
        let own = self.settings.iter().filter(|((of, _), _)| of == who);
        own.map(|(_, settings)| settings.timeout())
            .min()
            .unwrap_or(TIMEOUT)
    }

    /// The longest partner timeout that anybody may still be waiting for.
    pub(super) fn longest_timeout(&self, at: Timestamp) -> Duration {
        let now = self.settings.values().map(Settings::timeout);
        let before = self
            .replaced
            .iter()
            .filter(|(until, timeout)| *until + *timeout + PING + SLACK >= at);
        now.chain(before.map(|(_, timeout)| *timeout))
            .max()
            .unwrap_or(TIMEOUT)
            .max(TIMEOUT_LEAST)
    }

    pub(super) fn shown(&self, who: &InstanceName, database: &DatabaseName) -> Option<&Shown> {
        self.shown.get(who)?.get(database)
    }

    pub(super) fn copies(&self) -> impl Iterator<Item = (&InstanceName, &DatabaseName, &Shown)> {
        self.shown
            .iter()
            .flat_map(|(who, copies)| copies.iter().map(move |(database, shown)| (who, database, shown)))
    }

    pub(super) fn is_alive(&self, who: &InstanceName) -> bool {
        !self.dead.contains(who)
    }

    /// Whether `who` runs and can use its copy of the database, if it has one.
    pub(super) fn can_use(&self, who: &InstanceName, database: &DatabaseName) -> bool {
        self.is_alive(who) && self.has_copy(who, database)
    }

    /// Whether the copy of `who`, dead or alive, is one that it did not have to give up using.
    fn has_copy(&self, who: &InstanceName, database: &DatabaseName) -> bool {
        !self.unavailable.contains_key(&(who.clone(), database.clone()))
    }

    /// When all faults were healed, if the run went on long enough after that for everything to be well again.
    pub(super) fn has_healed(&self, end: &End) -> Option<Timestamp> {
        self.quiet.filter(|quiet| end.at >= *quiet + HEALS_WITHIN)
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
            .any(|((from, _), open)| from == who && self.names.get(&open.peer) == Some(to))
    }

    /// Whether `who` holds a connection for open to `to`, and it can carry their session of the database: a copy that cannot
    /// be used has left it, whatever else the connection carries.
    pub(super) fn is_connected(&self, of: &DatabaseName, who: &InstanceName, to: &InstanceName) -> bool {
        self.has_connection(who, to) && self.has_copy(who, of) && self.has_copy(to, of)
    }

    /// Whether `who` must know that it has lost `to` for this database: it holds no connection for open, or has been told over
    /// one that the copy there cannot be used. Where the line between the two may have swallowed that word, it need not.
    pub(super) fn has_lost(&self, of: &DatabaseName, who: &InstanceName, to: &InstanceName) -> bool {
        let told = || {
            let left = self.unavailable.get(&(to.clone(), of.clone()))?;
            let swallowed = self
                .faults
                .values()
                .any(|fault| self.is_across(fault, *left, who, to));
            (!swallowed).then_some(())
        };
        !self.has_connection(who, to) || told().is_some()
    }

    /// Whether a fault that is not one of a disk was done to either about that time, and what it swallowed may not have come
    /// through since.
    fn is_across(&self, fault: &FaultSeen, at: Timestamp, who: &InstanceName, to: &InstanceName) -> bool {
        let of_disk = fault.kind.starts_with("disk") || DAMAGING.contains(&fault.kind.as_str());
        let lingers = self.longest_timeout(at) + PING + SLACK;
        !of_disk
            && fault.from <= at + SLACK
            && fault
                .to
                .is_none_or(|over| over.max(at) + lingers >= self.at.max(at))
            && (self.touches(fault, who) || self.touches(fault, to))
    }

    /// Whether a principal must know that it has lost both its partner and its witness.
    pub(super) fn has_lost_quorum(&self, who: &InstanceName, database: &DatabaseName) -> bool {
        let lost = |other| self.has_lost(database, who, other);
        let partner = self.sessions.partner(who, database);
        let apart = partner.is_none_or(|partner| {
            let link = self.has_transport_link(who, partner);
            !link || lost(partner)
        });
        apart && self.witness(who, database).is_none_or(lost)
    }

    /// Whether `who` holds a connection for open to an instance that others reach at this address. A peer whose
    /// host is not known may be the one.
    pub(super) fn reaches(&self, who: &InstanceName, at: &ServerAddress) -> bool {
        let host = host_of(at);
        self.open.iter().any(|((from, _), open)| {
            let peer = self.names.get(&open.peer);
            let known = peer.and_then(|peer| self.hosts.get(peer));
            from == who && known.is_none_or(|known| known.eq_ignore_ascii_case(&host))
        })
    }

    /// Whether `who` holds a connection for open that it opened to `to`.
    pub(super) fn has_opened(&self, who: &InstanceName, to: &InstanceName) -> bool {
        self.open
            .iter()
            .any(|((from, _), open)| from == who && !open.accepted && self.names.get(&open.peer) == Some(to))
    }

    /// Whether `who` holds both connections of the link between partners for open, the one it opened and the one that
    /// `to` opened, and both can use their copies of the database. One connection alone carries no session.
    pub(super) fn has_link(&self, of: &DatabaseName, who: &InstanceName, to: &InstanceName) -> bool {
        self.has_transport_link(who, to) && self.has_copy(who, of) && self.has_copy(to, of)
    }

    fn has_transport_link(&self, who: &InstanceName, to: &InstanceName) -> bool {
        let holds = |way| {
            self.open.iter().any(|((from, _), open)| {
                from == who && open.accepted == way && self.names.get(&open.peer) == Some(to)
            })
        };
        holds(true) && holds(false)
    }

    /// Whether the link between two partners is up on both sides.
    pub(super) fn is_linked(&self, of: &DatabaseName, one: &InstanceName, other: &InstanceName) -> bool {
        self.has_link(of, one, other) && self.has_link(of, other, one)
    }

    /// Whether either holds a connection for open that can carry their session.
    pub(super) fn linked(&self, of: &DatabaseName, one: &InstanceName, other: &InstanceName) -> bool {
        self.is_connected(of, one, other) || self.is_connected(of, other, one)
    }

    /// Every ordered pair of which the first holds a connection to the second for open.
    pub(super) fn connections(&self) -> BTreeSet<(InstanceName, InstanceName)> {
        let named = self.open.iter().filter_map(|((who, _), open)| {
            let peer = self.names.get(&open.peer)?;
            Some((who.clone(), peer.clone()))
        });
        named.collect()
    }

    /// The peer of an open connection.
    pub(super) fn peer_of(&self, who: &InstanceName, connection: ConnectionId) -> Option<&InstanceName> {
        let open = self.open.get(&(who.clone(), connection))?;
        self.names.get(&open.peer)
    }

    /// Whether a principal is in quorum as far as open connections say.
    pub(super) fn in_quorum(&self, who: &InstanceName, database: &DatabaseName) -> bool {
        let partner = self.sessions.partner(who, database);
        let witness = self.witness(who, database);
        partner.is_some_and(|partner| self.has_link(database, who, partner))
            || witness.is_some_and(|witness| self.is_connected(database, who, witness))
    }

    /// `who`, and the partners and witnesses of its sessions.
    pub(super) fn company(&self, who: &InstanceName) -> Vec<InstanceName> {
        let mut company = vec![who.clone()];
        for (of, database, _) in self.copies().filter(|(of, _, _)| *of == who) {
            let partner = self.sessions.partner(of, database);
            company.extend(partner.into_iter().chain(self.witness(of, database)).cloned());
        }
        company
    }

    /// Whether a fault's text that has this word means `who` or its system.
    pub(super) fn is_called(&self, who: &InstanceName, word: &str) -> bool {
        let host = self.hosts.get(who).map_or(who.as_str(), String::as_str);
        word.eq_ignore_ascii_case(who.as_str()) || word.eq_ignore_ascii_case(host)
    }

    /// Whether the fault is done to the system or process of `who`, or to a line of it. One whose place is not known may be.
    pub(super) fn touches(&self, fault: &FaultSeen, who: &InstanceName) -> bool {
        let words: Vec<&str> = fault
            .text
            .split(|c: char| c.is_whitespace() || c == ',')
            .collect();
        let names = |who: &InstanceName| words.iter().any(|word| self.is_called(who, word));
        names(who) || !self.names.values().any(names)
    }

    /// Whether a disk of one of them may have lost what it was trusted with.
    pub(super) fn has_damage(&self, of: &[InstanceName]) -> bool {
        let damage = |fault: &FaultSeen| DAMAGING.contains(&fault.kind.as_str());
        self.faults
            .values()
            .any(|fault| damage(fault) && of.iter().any(|who| self.touches(fault, who)))
    }

    /// Whether, in the time from `from` on, one of them was stopped or slow, or its disk was damaged before.
    pub(super) fn is_rough_since(&self, from: Timestamp, around: &[InstanceName]) -> bool {
        self.has_weather_since(from, around, &WEATHER)
    }

    /// The same, for what an instance does by itself: a line that is slow is no excuse.
    pub(super) fn is_slow_since(&self, from: Timestamp, who: &InstanceName) -> bool {
        let weather = WEATHER.into_iter().filter(|kind| *kind != "slow_link");
        self.has_weather_since(from, std::slice::from_ref(who), &weather.collect::<Vec<_>>())
    }

    fn has_weather_since(&self, from: Timestamp, around: &[InstanceName], kinds: &[&str]) -> bool {
        self.has_damage(around)
            || self.faults.values().any(|fault| {
                kinds.contains(&fault.kind.as_str())
                    && fault.to.is_none_or(|to| to + SLACK >= from)
                    && around.iter().any(|who| self.touches(fault, who))
            })
    }
}

/// The instance that ended with this line: its process died, or it gave up by itself.
pub(super) fn gone(stamped: &Stamped) -> Option<&InstanceName> {
    match (&stamped.source, &stamped.event) {
        (_, Event::World(WorldEvent::ProcessKilled { instance })) => Some(instance),
        (Source::Instance(who), Event::Instance(InstanceEvent::Stopped { .. })) => Some(who),
        _ => None,
    }
}

/// The first label of an address: the system, as faults call it.
fn host_of(address: &ServerAddress) -> String {
    let host = address.host();
    host.split('.').next().unwrap_or_default().to_owned()
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
