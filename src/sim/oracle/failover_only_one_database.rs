//! A switch of one database moves no other.
//!
//! Partners, endpoint and connections are shared by all sessions of a pair; roles are not. So whoever takes a role over must
//! have its reason in the same session: for a manual failover that this database's principal showed PENDING_FAILOVER, for
//! an automatic one and for a forced service that this database's mirror was DISCONNECTED, or for the latter SUSPENDED and
//! without its partner. And while one database is switched by hand in calm, every other that was SYNCHRONIZED keeps its
//! state, its links and its clients. Source: documented, *Database Mirroring*, "database mirroring … works on a
//! per-database basis"; how long calm lasts is ours.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::history::session_event;
use super::{Oracle, Violation};
use crate::types::{
    DatabaseName, Event, InstanceName, LinkState, MirroringState, SessionEvent, Stamped, SwitchKind,
    Timestamp, WorldEvent,
};

const NAME: &str = "failover-only-one-database";

/// So long after a step or a fault its consequences may still be under way: a partner timeout and a login.
const CALM: Duration = Duration::from_secs(15);

/// So long after its PENDING_FAILOVER a manual failover may still be blamed.
const SWITCH: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct FailoverOnlyOneDatabase {
    /// What each copy showed last.
    states: BTreeMap<(InstanceName, DatabaseName), MirroringState>,
    /// Copies that do not see their partner.
    apart: BTreeSet<(InstanceName, DatabaseName)>,
    /// Who showed PENDING_FAILOVER of a database since its last switch.
    pending: BTreeMap<DatabaseName, InstanceName>,
    /// The last command was this, alone, and is a failover.
    commanded: bool,
    /// The last thing that happened to the world before the last command.
    stirred: Timestamp,
    commanded_at: Timestamp,
    /// The switch by hand under way in calm.
    switch: Option<Switch>,
}

#[derive(Debug)]
struct Switch {
    database: DatabaseName,
    since: Timestamp,
    /// The copies that nothing may happen to.
    settled: Vec<(InstanceName, DatabaseName)>,
}

impl FailoverOnlyOneDatabase {
    fn on_world(&mut self, at: Timestamp, event: &WorldEvent) {
        match event {
            WorldEvent::Step { text } => {
                let upper = text.to_ascii_uppercase();
                // Of several commands any may have moved any database.
                self.stirred = self.stirred.max(self.commanded_at);
                self.commanded = upper.contains("SET PARTNER FAILOVER") && upper.matches(';').count() <= 1;
                self.commanded_at = at;
            }
            _ => {
                self.stirred = at;
                self.commanded = false;
            }
        }
        self.switch = None;
    }

    fn on_pending(&mut self, at: Timestamp, who: &InstanceName, database: &DatabaseName) {
        self.pending.insert(database.clone(), who.clone());
        if !self.commanded || at.since(self.stirred) < CALM {
            return;
        }
        let settled = self
            .states
            .iter()
            .filter(|((_, other), state)| other != database && **state == MirroringState::Synchronized)
            .map(|(copy, _)| copy.clone());
        self.switch = Some(Switch {
            database: database.clone(),
            since: at,
            settled: settled.collect(),
        });
    }

    /// What a takeover of `database` by `who` lacks.
    fn unfounded(
        &self,
        who: &InstanceName,
        database: &DatabaseName,
        kind: SwitchKind,
    ) -> Option<&'static str> {
        match kind {
            SwitchKind::Manual => {
                let pending = self.pending.get(database);
                pending
                    .is_none_or(|principal| principal == who)
                    .then_some("though its principal never showed PENDING_FAILOVER")
            }
            SwitchKind::Automatic | SwitchKind::Forced => {
                let copy = (who.clone(), database.clone());
                let alone = match self.states.get(&copy) {
                    Some(MirroringState::Disconnected) => true,
                    // A pause goes on being shown when the partner is lost.
                    Some(MirroringState::Suspended) => {
                        kind == SwitchKind::Forced && self.apart.contains(&copy)
                    }
                    _ => false,
                };
                (!alone).then_some("though its own session was not DISCONNECTED")
            }
        }
    }

    /// The database whose switch moved this one, which was settled.
    fn moved_by(&self, at: Timestamp, who: &InstanceName, database: &DatabaseName) -> Option<&DatabaseName> {
        let switch = self.switch.as_ref()?;
        let settled = switch.settled.iter().any(|(w, d)| w == who && d == database);
        (settled && at.since(switch.since) <= SWITCH).then_some(&switch.database)
    }
}

/// Whether the event takes a copy out of the state it was settled in. A change between SYNCHRONIZED and SYNCHRONIZING is
/// none: load does that.
fn disturbs(event: &SessionEvent) -> Option<&DatabaseName> {
    match event {
        SessionEvent::State { database, to, .. } => matches!(
            to,
            MirroringState::Disconnected | MirroringState::Suspended | MirroringState::PendingFailover
        )
        .then_some(database),
        SessionEvent::Links {
            database,
            partner,
            witness,
        } => (*partner != LinkState::Connected || *witness == Some(LinkState::Disconnected))
            .then_some(database),
        SessionEvent::Serving { database, .. } => Some(database),
        SessionEvent::Role {
            database, from, to, ..
        } => from.is_some_and(|from| from != *to).then_some(database),
        _ => None,
    }
}

impl Oracle for FailoverOnlyOneDatabase {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if let Event::World(event) = &stamped.event {
            return self.on_world(stamped.at, event);
        }
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        let mut violation = |database: &DatabaseName, problem: String| {
            out.push(Violation {
                oracle: NAME,
                fingerprint: format!("{NAME}/{database}/{who}"),
                message: format!("{database} on {who} {problem}"),
                at: stamped.at,
            });
        };
        if let Some(database) = disturbs(event)
            && let Some(by) = self.moved_by(stamped.at, who, database)
        {
            violation(database, format!("was moved by the failover of {by}"));
            self.switch = None;
        }
        match event {
            SessionEvent::State {
                database, from, to, ..
            } => {
                let copy = (who.clone(), database.clone());
                if from.is_none() {
                    // It has just begun, and met nobody yet.
                    self.apart.insert(copy.clone());
                }
                self.states.insert(copy, *to);
                if *to == MirroringState::PendingFailover {
                    self.on_pending(stamped.at, who, database);
                }
            }
            SessionEvent::Links {
                database, partner, ..
            } => {
                let copy = (who.clone(), database.clone());
                match partner {
                    LinkState::Connected => drop(self.apart.remove(&copy)),
                    LinkState::Disconnected | LinkState::Unknown => drop(self.apart.insert(copy)),
                }
            }
            SessionEvent::Takeover { database, kind, .. } => {
                if let Some(problem) = self.unfounded(who, database, *kind) {
                    violation(database, format!("took the principal role {problem}"));
                }
                self.pending.remove(database);
            }
            SessionEvent::Removed { database, .. } => {
                self.states.remove(&(who.clone(), database.clone()));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::{PartnerRole, RoleSequence};

    fn of(database: &str, event: SessionEvent) -> SessionEvent {
        let name = DatabaseName::new(database);
        match event {
            SessionEvent::State {
                role,
                from,
                to,
                trace_id,
                ..
            } => SessionEvent::State {
                database: name,
                role,
                from,
                to,
                trace_id,
            },
            SessionEvent::Takeover {
                kind, role_sequence, ..
            } => match takeover(kind, role_sequence) {
                SessionEvent::Takeover {
                    kind,
                    role_sequence,
                    failover_lsn,
                    safety_full,
                    was_synchronized,
                    witness_connected,
                    ..
                } => SessionEvent::Takeover {
                    database: name,
                    kind,
                    role_sequence,
                    failover_lsn,
                    safety_full,
                    was_synchronized,
                    witness_connected,
                },
                other => other,
            },
            other => other,
        }
    }

    fn shows(second: u64, who: &str, database: &str, to: MirroringState) -> Stamped {
        on(second, who, of(database, state(PartnerRole::Mirror, to)))
    }

    fn takes(second: u64, who: &str, database: &str, kind: SwitchKind, sequence: RoleSequence) -> Stamped {
        on(second, who, of(database, takeover(kind, sequence)))
    }

    fn command(second: u64, text: &str) -> Stamped {
        world(second, WorldEvent::Step { text: text.into() })
    }

    /// Two databases between alpha and beta, SYNCHRONIZED since second 1, and a failover of the first at second 30.
    fn two() -> Vec<Stamped> {
        let mut events = vec![command(0, "set-up complete")];
        for database in ["Db1", "Db2"] {
            for who in ["alpha", "beta"] {
                events.push(shows(1, who, database, MirroringState::Synchronized));
            }
        }
        events.push(command(
            30,
            "sql on alpha: ALTER DATABASE Db1 SET PARTNER FAILOVER;",
        ));
        events.push(shows(30, "alpha", "Db1", MirroringState::PendingFailover));
        events
    }

    #[test]
    fn one_switches_and_the_other_stays() {
        let mut events = two();
        events.push(takes(30, "beta", "Db1", SwitchKind::Manual, 2));
        events.push(shows(30, "alpha", "Db1", MirroringState::Synchronizing));
        // Load does this, and this much later nobody blames the failover.
        events.push(shows(31, "beta", "Db2", MirroringState::Synchronizing));
        events.push(shows(40, "beta", "Db2", MirroringState::Disconnected));
        assert_quiet::<FailoverOnlyOneDatabase>(&events);
    }

    #[test]
    fn a_database_that_is_taken_along_is_seen() {
        let mut events = two();
        events.push(takes(30, "beta", "Db1", SwitchKind::Manual, 2));
        events.push(takes(30, "beta", "Db2", SwitchKind::Manual, 2));
        assert_red::<FailoverOnlyOneDatabase>(&events, NAME);
    }

    #[test]
    fn an_automatic_failover_takes_only_what_lost_its_principal() {
        let mut events = two();
        events.push(shows(30, "beta", "Db1", MirroringState::Disconnected));
        events.push(takes(31, "beta", "Db1", SwitchKind::Automatic, 2));
        assert_quiet::<FailoverOnlyOneDatabase>(&events);
        events.push(takes(31, "beta", "Db2", SwitchKind::Automatic, 2));
        assert_red::<FailoverOnlyOneDatabase>(&events, NAME);
    }

    #[test]
    fn service_is_forced_where_the_principal_is_lost_even_if_the_session_was_paused() {
        let links = |partner| SessionEvent::Links {
            database: DatabaseName::new("Db1"),
            partner,
            witness: None,
        };
        let mut events = two();
        events.push(shows(30, "beta", "Db1", MirroringState::Suspended));
        events.push(on(30, "beta", links(LinkState::Connected)));
        let forced = |kind| takes(32, "beta", "Db1", kind, 2);
        let mut connected = events.clone();
        connected.push(forced(SwitchKind::Forced));
        assert_red::<FailoverOnlyOneDatabase>(&connected, NAME);
        events.push(on(31, "beta", links(LinkState::Disconnected)));
        let mut automatic = events.clone();
        automatic.push(forced(SwitchKind::Automatic));
        assert_red::<FailoverOnlyOneDatabase>(&automatic, NAME);
        events.push(forced(SwitchKind::Forced));
        assert_quiet::<FailoverOnlyOneDatabase>(&events);
    }

    #[test]
    fn a_failover_that_closes_the_shared_connection_is_seen() {
        let mut events = two();
        events.push(shows(30, "beta", "Db2", MirroringState::Disconnected));
        assert_red::<FailoverOnlyOneDatabase>(&events, NAME);
    }

    #[test]
    fn what_a_fault_or_another_command_did_is_not_blamed_on_the_failover() {
        let fault = |second| {
            world(
                second,
                WorldEvent::FaultFired {
                    id: 1,
                    fault: "kill".into(),
                    text: "kill beta".into(),
                },
            )
        };
        let drop = || shows(31, "beta", "Db2", MirroringState::Disconnected);
        let mut after = two();
        after.extend([fault(30), drop()]);
        assert_quiet::<FailoverOnlyOneDatabase>(&after);
        let mut before = two();
        let command_at = before.len() - 2;
        before.insert(command_at, fault(20));
        before.push(drop());
        assert_quiet::<FailoverOnlyOneDatabase>(&before);
        let mut others = two();
        others.extend([
            command(30, "sql on alpha: ALTER ENDPOINT Mirroring STATE = STOPPED;"),
            drop(),
        ]);
        assert_quiet::<FailoverOnlyOneDatabase>(&others);
    }
}
