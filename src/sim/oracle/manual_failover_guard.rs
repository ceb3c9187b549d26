//! A manual failover happens only with SAFETY FULL, from a principal and a mirror that were SYNCHRONIZED and connected.
//!
//! Source: documented, *Role Switching*, *ALTER DATABASE Database Mirroring*; messages 1422, 1447, 1470, 1477.

use super::history::session_event;
use super::scene::Scene;
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{DatabaseName, InstanceName, MirroringState, SessionEvent, Stamped, SwitchKind};

const NAME: &str = "manual-failover-guard";

#[derive(Debug, Default)]
pub(super) struct ManualFailoverGuard {
    scene: SharedScene,
}

impl ManualFailoverGuard {
    fn missing(&self, who: &InstanceName, database: &DatabaseName) -> Option<&'static str> {
        let old = self.scene.sessions.partner(who, database)?;
        let state = |who| {
            self.scene
                .shown(who, database)
                .and_then(|shown| shown.connected_state)
        };
        if !self.scene.sessions.is_safety_full(database) {
            return Some("under SAFETY OFF");
        }
        if state(who) != Some(MirroringState::Synchronized) {
            return Some("though the mirror was not SYNCHRONIZED");
        }
        let ready = [MirroringState::Synchronized, MirroringState::PendingFailover];
        // The old principal may have gone on to be the mirror already.
        let before = state(old).is_some_and(|state| ready.contains(&state));
        let became = self.scene.shown(old, database)?.role == Some(crate::types::PartnerRole::Mirror);
        (!before && !became).then_some("though the principal was not SYNCHRONIZED")
    }
}

impl Oracle for ManualFailoverGuard {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if !Scene::concerns(stamped) {
            return;
        }
        if let Some((
            who,
            SessionEvent::Takeover {
                database,
                kind: SwitchKind::Manual,
                ..
            },
        )) = session_event(stamped)
            && let Some(missing) = self.missing(who, database)
        {
            out.push(Violation::of(
                NAME,
                &[database, who],
                format!("{who} took {database} over by a manual failover {missing}"),
                stamped.at,
            ));
        }
        self.scene.observe(stamped);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::{PartnerRole, Safety};

    #[test]
    fn a_synchronized_pair_may_switch() {
        let mut events = pair_connected();
        events.push(on(
            1,
            "alpha",
            state(PartnerRole::Principal, MirroringState::PendingFailover),
        ));
        events.push(on(1, "beta", takeover(SwitchKind::Manual, 2)));
        assert_quiet::<ManualFailoverGuard>(&events);
    }

    #[test]
    fn others_may_not() {
        let mut events = pair_connected();
        events.push(on(
            1,
            "beta",
            state(PartnerRole::Mirror, MirroringState::Synchronizing),
        ));
        events.push(on(2, "beta", takeover(SwitchKind::Manual, 2)));
        assert_red::<ManualFailoverGuard>(&events, NAME);
        let mut events = pair_connected();
        events.push(world_step(
            1,
            "sql on alpha: ALTER DATABASE Sales SET PARTNER SAFETY OFF;",
        ));
        events.push(on(1, "alpha", settings(Safety::Off, (2, 1), false, 10)));
        events.push(on(2, "beta", takeover(SwitchKind::Manual, 2)));
        assert_red::<ManualFailoverGuard>(&events, NAME);
    }
}
