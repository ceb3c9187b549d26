//! An automatic failover happens only with SAFETY FULL, a witness that agreed, and a mirror that was SYNCHRONIZED when it
//! lost the principal.
//!
//! The mirror's own flags are not enough: the witness's verdict, the connections between the two and the states the mirror
//! showed must bear them out.
//! Source: documented, *Database Mirroring Operating Modes*, *Role Switching*, *Database Mirroring Witness*.

use std::collections::{BTreeMap, BTreeSet};

use super::history::session_event;
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{
    DatabaseName, InstanceName, MirroringState, RoleSequence, SessionEvent, Stamped, SwitchKind,
};

const NAME: &str = "auto-failover-guard";

#[derive(Debug, Default)]
pub(super) struct AutoFailoverGuard {
    scene: SharedScene,
    /// The state each copy showed before it was DISCONNECTED, or shows now.
    last_connected: BTreeMap<(InstanceName, DatabaseName), MirroringState>,
    /// What the witness granted, and who was connected to it at that time: the connection may be lost before the redo ends.
    granted: BTreeMap<(DatabaseName, RoleSequence), BTreeSet<InstanceName>>,
}

impl AutoFailoverGuard {
    /// The copies of the database that have a connection to the witness, as far as open connections say.
    fn connected_to(&self, witness: &InstanceName, database: &DatabaseName) -> BTreeSet<InstanceName> {
        let copies = self.scene.copies().filter(|(_, of, _)| *of == database);
        let connected = copies.filter(|(who, ..)| self.scene.is_connected(database, who, witness));
        connected.map(|(who, ..)| who.clone()).collect()
    }

    /// Whether the mirror has a connection to the witness, or had one when it was granted this.
    fn has_witness(&self, who: &InstanceName, database: &DatabaseName, role_sequence: RoleSequence) -> bool {
        let witness = self.scene.witness(who, database);
        let now = witness.is_some_and(|witness| self.scene.is_connected(database, who, witness));
        let granted = self.granted.get(&(database.clone(), role_sequence));
        now || granted.is_some_and(|then| then.contains(who))
    }

    fn missing(
        &self,
        who: &InstanceName,
        database: &DatabaseName,
        role_sequence: RoleSequence,
        flags: [bool; 2],
    ) -> Option<&'static str> {
        let [safety_full, was_synchronized] = flags;
        let shown = self.last_connected.get(&(who.clone(), database.clone()));
        match () {
            () if !safety_full || !self.scene.sessions.is_safety_full(database) => {
                Some("without SAFETY FULL")
            }
            () if !self.has_witness(who, database, role_sequence) => {
                Some("without a connection to the witness")
            }
            () if !was_synchronized || shown != Some(&MirroringState::Synchronized) => {
                Some("though it was not SYNCHRONIZED when it lost the principal")
            }
            () if !self.granted.contains_key(&(database.clone(), role_sequence)) => {
                Some("without the witness having granted that role sequence")
            }
            () => None,
        }
    }
}

impl Oracle for AutoFailoverGuard {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.scene.observe(stamped);
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        match event {
            SessionEvent::State { database, to, .. } if *to != MirroringState::Disconnected => {
                self.last_connected.insert((who.clone(), database.clone()), *to);
            }
            SessionEvent::WitnessVerdict {
                database,
                granted: true,
                role_sequence,
                ..
            } => {
                let connected = self.connected_to(who, database);
                let granted = self.granted.entry((database.clone(), *role_sequence));
                granted.or_default().extend(connected);
            }
            SessionEvent::Takeover {
                database,
                kind: SwitchKind::Automatic,
                role_sequence,
                safety_full,
                was_synchronized,
                ..
            } => {
                let flags = [*safety_full, *was_synchronized];
                if let Some(missing) = self.missing(who, database, *role_sequence, flags) {
                    out.push(Violation {
                        oracle: NAME,
                        fingerprint: format!("{NAME}/{database}/{who}/{missing}"),
                        message: format!("{who} took {database} over automatically {missing}"),
                        at: stamped.at,
                    });
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::{PartnerRole, Safety};

    fn verdict(granted: bool) -> SessionEvent {
        SessionEvent::WitnessVerdict {
            database: db(),
            granted,
            role_sequence: 2,
            reason: "the principal is gone".into(),
        }
    }

    fn mirror(to: MirroringState) -> SessionEvent {
        state(PartnerRole::Mirror, to)
    }

    #[test]
    fn a_granted_failover_of_a_synchronized_mirror_is_right() {
        let mut events = trio();
        events.extend([
            on(1, "beta", mirror(MirroringState::Synchronized)),
            on(2, "beta", mirror(MirroringState::Disconnected)),
            on(3, "gamma", verdict(true)),
            on(3, "beta", takeover(SwitchKind::Automatic, 2)),
        ]);
        assert_quiet::<AutoFailoverGuard>(&events);
    }

    #[test]
    fn forced_service_needs_none_of_it() {
        let mut events = trio();
        events.extend([
            on(1, "beta", mirror(MirroringState::Synchronizing)),
            on(2, "beta", mirror(MirroringState::Disconnected)),
            on(3, "beta", takeover(SwitchKind::Forced, 2)),
        ]);
        assert_quiet::<AutoFailoverGuard>(&events);
    }

    #[test]
    fn a_mirror_that_was_synchronizing_may_not() {
        let mut events = trio();
        events.extend([
            on(1, "beta", mirror(MirroringState::Synchronized)),
            on(1, "beta", mirror(MirroringState::Synchronizing)),
            on(2, "beta", mirror(MirroringState::Disconnected)),
            on(3, "gamma", verdict(true)),
            on(3, "beta", takeover(SwitchKind::Automatic, 2)),
        ]);
        assert_red::<AutoFailoverGuard>(&events, NAME);
    }

    #[test]
    fn a_mirror_the_witness_refused_may_not() {
        let mut events = trio();
        events.extend([
            on(1, "beta", mirror(MirroringState::Synchronized)),
            on(3, "gamma", verdict(false)),
            on(3, "beta", takeover(SwitchKind::Automatic, 2)),
        ]);
        assert_red::<AutoFailoverGuard>(&events, NAME);
    }

    #[test]
    fn a_mirror_without_a_connection_to_the_witness_may_not_whatever_it_says() {
        let history = |lost_at| {
            let mut events = trio();
            events.extend([
                on(2, "beta", mirror(MirroringState::Disconnected)),
                on(3, "gamma", verdict(true)),
                on(5, "beta", takeover(SwitchKind::Automatic, 2)),
            ]);
            events.extend(parted(lost_at, "beta", "gamma"));
            events.sort_by_key(|event| event.at);
            events
        };
        assert_red::<AutoFailoverGuard>(&history(2), NAME);
        // The answer was there, and the redo took its time.
        assert_quiet::<AutoFailoverGuard>(&history(4));
    }

    #[test]
    fn safety_off_never_fails_over_by_itself() {
        let history = |safety| {
            let mut events = trio();
            events.extend([
                world_step(1, "sql on alpha: ALTER DATABASE [Sales] SET PARTNER SAFETY OFF;"),
                on(1, "beta", settings(safety, (2, 1), false, 10)),
                on(1, "beta", mirror(MirroringState::Synchronized)),
                on(3, "gamma", verdict(true)),
                on(3, "beta", takeover(SwitchKind::Automatic, 2)),
            ]);
            events
        };
        assert_red::<AutoFailoverGuard>(&history(Safety::Off), NAME);
        // The statement was refused.
        assert_quiet::<AutoFailoverGuard>(&history(Safety::Full));
    }
}
