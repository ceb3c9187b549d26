//! Before the principal acknowledges a commit that the mirror has not hardened, the witness or the mirror itself has it
//! that the mirror is not synchronized.
//!
//! A takeover needs both, so one veto is enough; a copy that holds itself for the principal asks for none. Source: derived from the risks of *Role Switching* and
//! *sys.database_mirroring_witnesses*, partner_sync_state.

use std::collections::BTreeMap;

use super::hardened::HardenedExtents;
use super::history::session_event;
use super::scene::Scene;
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{
    DatabaseName, Guid, InstanceName, Lsn, MirroringState, PartnerRole, SessionEvent, Stamped,
};

const NAME: &str = "exposed-implies-witness-knows";

#[derive(Debug, Default)]
pub(super) struct ExposedImpliesWitnessKnows {
    scene: SharedScene,
    logs: HardenedExtents,
    synchronized: BTreeMap<Guid, bool>,
}

impl ExposedImpliesWitnessKnows {
    /// The mirror that lacks the commit, though it and the witness would let it take over.
    fn believer(&self, who: &InstanceName, database: &DatabaseName, lsn: Lsn) -> Option<&InstanceName> {
        let scene = &self.scene;
        let mirror = scene.sessions.partner(who, database)?;
        let safe = scene.sessions.is_safety_full(database) && scene.shown(who, database)?.has_witness;
        let witness = self.synchronized.get(&scene.sessions.session(who, database)?)?;
        let shown = scene.shown(mirror, database)?;
        let ready = shown.role == Some(PartnerRole::Mirror)
            && shown.connected_state == Some(MirroringState::Synchronized);
        let has_it = self
            .logs
            .log(mirror, database)
            .is_some_and(|log| log.reaches(lsn));
        (safe && *witness && ready && !has_it).then_some(mirror)
    }
}

impl Oracle for ExposedImpliesWitnessKnows {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if Scene::concerns(stamped) {
            self.scene.observe(stamped);
        }
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        match event {
            SessionEvent::WitnessRecord {
                session,
                synchronized,
                ..
            } => {
                self.synchronized.insert(*session, *synchronized);
            }
            SessionEvent::CommitAcknowledged {
                database,
                lsn,
                state: Some(_),
                ..
            } => {
                if let Some(mirror) = self.believer(who, database, *lsn) {
                    out.push(Violation::of(
                        NAME,
                        &[database, who],
                        format!(
                            "{who} acknowledged a commit in {database} at {lsn} that {mirror} does not have, and both {mirror} and the witness hold it for synchronized"
                        ),
                        stamped.at,
                    ));
                }
            }
            _ => {}
        }
        self.logs.observe(who, event);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn behind() -> Vec<Stamped> {
        let mut events = trio();
        events.extend([
            on(1, "alpha", hardened(1, 0, 10, 1)),
            on(1, "beta", hardened(1, 0, 10, 1)),
            on(2, "alpha", hardened(1, 10, 20, 2)),
        ]);
        events
    }

    fn exposed_commit() -> Stamped {
        on(9, "alpha", acked(1, 20, Some(MirroringState::Disconnected)))
    }

    #[test]
    fn the_witness_or_the_mirror_knows() {
        let mut events = behind();
        events.push(on(5, "gamma", recorded("ALPHA", 1, false)));
        events.push(exposed_commit());
        assert_quiet::<ExposedImpliesWitnessKnows>(&events);
        let mut events = behind();
        events.push(on(
            5,
            "beta",
            state(PartnerRole::Mirror, MirroringState::Synchronizing),
        ));
        events.push(exposed_commit());
        assert_quiet::<ExposedImpliesWitnessKnows>(&events);
    }

    #[test]
    fn what_both_hold_for_safe_is_seen() {
        let mut events = behind();
        events.push(exposed_commit());
        assert_red::<ExposedImpliesWitnessKnows>(&events, NAME);
    }
}
