//! An automatic failover happens only with SAFETY FULL, a witness that agreed, and a mirror that was SYNCHRONIZED when it
//! lost the principal.
//!
//! The mirror's own flags are not enough: the witness's verdict and the states the mirror showed must bear them out.
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
    granted: BTreeSet<(DatabaseName, RoleSequence)>,
}

impl AutoFailoverGuard {
    fn missing(
        &self,
        who: &InstanceName,
        database: &DatabaseName,
        role_sequence: RoleSequence,
        flags: [bool; 3],
    ) -> Option<&'static str> {
        let [safety_full, was_synchronized, witness_connected] = flags;
        let shown = self.last_connected.get(&(who.clone(), database.clone()));
        match () {
            () if !safety_full || !self.scene.sessions.is_safety_full(database) => {
                Some("without SAFETY FULL")
            }
            () if !witness_connected => Some("without a connection to the witness"),
            () if !was_synchronized || shown != Some(&MirroringState::Synchronized) => {
                Some("though it was not SYNCHRONIZED when it lost the principal")
            }
            () if !self.granted.contains(&(database.clone(), role_sequence)) => {
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
                self.granted.insert((database.clone(), *role_sequence));
            }
            SessionEvent::Takeover {
                database,
                kind: SwitchKind::Automatic,
                role_sequence,
                safety_full,
                was_synchronized,
                witness_connected,
                ..
            } => {
                let flags = [*safety_full, *was_synchronized, *witness_connected];
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
        let mut events = pair();
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
        let mut events = pair();
        events.extend([
            on(1, "beta", mirror(MirroringState::Synchronizing)),
            on(2, "beta", mirror(MirroringState::Disconnected)),
            on(3, "beta", takeover(SwitchKind::Forced, 2)),
        ]);
        assert_quiet::<AutoFailoverGuard>(&events);
    }

    #[test]
    fn a_mirror_that_was_synchronizing_may_not() {
        let mut events = pair();
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
        let mut events = pair();
        events.extend([
            on(1, "beta", mirror(MirroringState::Synchronized)),
            on(3, "gamma", verdict(false)),
            on(3, "beta", takeover(SwitchKind::Automatic, 2)),
        ]);
        assert_red::<AutoFailoverGuard>(&events, NAME);
    }

    #[test]
    fn safety_off_never_fails_over_by_itself() {
        let history = |safety| {
            let mut events = pair();
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
