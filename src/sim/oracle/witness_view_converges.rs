//! Once all is healed the witness has on record what the partners have: whose the role is, under which sequence, whether
//! the mirror is synchronized, safety and suspension.
//!
//! Judged of witnesses that the partners are connected to. Source: derived from *sys.database_mirroring_witnesses*.

use std::collections::BTreeMap;

use super::history::session_event;
use super::scene::Scene;
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{
    DatabaseName, Guid, InstanceName, MirroringState, PartnerRole, RoleSequence, SessionEvent, Stamped,
};

const NAME: &str = "witness-view-converges";

#[derive(Debug, Default)]
pub(super) struct WitnessViewConverges {
    scene: SharedScene,
    records: BTreeMap<Guid, (String, RoleSequence, bool)>,
}

impl WitnessViewConverges {
    fn problem(&self, who: &InstanceName, database: &DatabaseName) -> Option<String> {
        let scene = &self.scene;
        let shown = scene.shown(who, database)?;
        let session = scene.sessions.session(who, database)?;
        let witness = scene.witness(who, database)?;
        let partner = scene.sessions.partner(who, database)?;
        let connected = [who, partner]
            .iter()
            .all(|one| scene.is_connected(database, one, witness) && scene.is_alive(one));
        let principal = shown.role == Some(PartnerRole::Principal) && shown.has_witness && shown.serving;
        if !principal || !connected {
            return None;
        }
        let (owner, sequence, synchronized) = self.records.get(&session)?;
        let settings = |who| {
            let settings = scene.settings(who, database)?;
            let safety = (settings.safety_sequence, settings.safety);
            Some((safety, settings.suspend_sequence, settings.suspended))
        };
        let fits = owner.eq_ignore_ascii_case(who.as_str())
            && *sequence == shown.role_sequence
            && *synchronized == (shown.state == Some(MirroringState::Synchronized));
        match (fits, settings(who), settings(witness)) {
            (false, ..) => Some(format!(
                "has {owner} under {sequence}, synchronized: {synchronized}; {who} is principal under {} and {:?}",
                shown.role_sequence, shown.state
            )),
            (true, Some(mine), Some(its)) if mine != its => Some(format!("has {its:?}, {who} {mine:?}")),
            _ => None,
        }
    }
}

impl Oracle for WitnessViewConverges {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, _out: &mut Vec<Violation>) {
        if !Scene::concerns(stamped) {
            return;
        }
        self.scene.observe(stamped);
        if let Some((
            _,
            SessionEvent::WitnessRecord {
                session,
                owner,
                role_sequence,
                synchronized,
                ..
            },
        )) = session_event(stamped)
        {
            let record = (owner.clone(), *role_sequence, *synchronized);
            self.records.insert(*session, record);
        }
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        if self.scene.has_healed(end).is_none() {
            return;
        }
        for (who, database, _) in self.scene.copies() {
            if let Some(problem) = self.problem(who, database) {
                let message = format!("the witness of {database} {problem}");
                out.push(Violation::of(NAME, &[database], message, end.at));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::{Safety, WorldEvent};

    fn healed(last: Stamped) -> Vec<Stamped> {
        let mut events = trio();
        events.extend([last, world(3, WorldEvent::Quiet), world_step(100, "later")]);
        events
    }

    #[test]
    fn the_same_on_both_is_right() {
        assert_quiet::<WitnessViewConverges>(&healed(world_step(1, "nothing")));
        let mut events = trio();
        for who in ["alpha", "gamma"] {
            events.push(on(1, who, settings(Safety::Full, (2, 3), false, 10)));
        }
        events.extend([world(3, WorldEvent::Quiet), world_step(100, "later")]);
        assert_quiet::<WitnessViewConverges>(&events);
    }

    #[test]
    fn a_record_that_stays_behind_is_seen() {
        for stale in [
            recorded("BETA", 1, true),
            recorded("ALPHA", 2, true),
            recorded("ALPHA", 1, false),
        ] {
            assert_red::<WitnessViewConverges>(&healed(on(1, "gamma", stale)), NAME);
        }
        let mut events = healed(on(1, "alpha", settings(Safety::Full, (2, 3), false, 10)));
        events.push(on(100, "gamma", settings(Safety::Full, (2, 1), false, 10)));
        assert_red::<WitnessViewConverges>(&events, NAME);
    }
}
