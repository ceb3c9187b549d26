//! When the principal of a synchronized session dies and mirror and witness keep each other, the mirror takes over.
//!
//! At once if the connections are reset, within the partner timeout and one ping interval if they fall silent; plus what
//! is left to redo. Source: documented, *Role Switching*, *Estimate the Interruption of Service During Role Switching*.

use std::collections::BTreeSet;

use super::history::session_event;
use super::scene::{PING, Patience, SLACK, Scene, gone};
use super::{End, Oracle, Violation};
use crate::types::{
    DatabaseName, Event, Guid, InstanceName, MirroringState, PartnerRole, SessionEvent, Stamped, Timestamp,
    WorldEvent,
};

const NAME: &str = "automatic-failover-happens";

#[derive(Debug, Default)]
pub(super) struct AutomaticFailoverHappens {
    scene: Scene,
    /// Sessions whose witness has it that the mirror is synchronized.
    recorded: BTreeSet<Guid>,
    /// Sessions that lost a synchronized principal, and the mirror that should follow it.
    owed: BTreeSet<(DatabaseName, InstanceName)>,
    waiting: Patience<(DatabaseName, InstanceName)>,
}

impl AutomaticFailoverHappens {
    fn judge(&mut self, at: Timestamp, out: &mut Vec<Violation>) {
        let bound = self.scene.longest_timeout(at) + PING + SLACK;
        for ((database, mirror), since) in self.waiting.outlast(at, bound) {
            if self.scene.is_rough_since(since, &self.scene.company(&mirror)) {
                continue;
            }
            out.push(Violation::of(
                NAME,
                &[&database, &mirror],
                format!("{mirror} has not taken {database} over, whose principal died at {since}"),
                at,
            ));
        }
    }

    /// The mirrors that should take over if `dead` dies now.
    fn heirs(&self, dead: &InstanceName) -> Vec<(DatabaseName, InstanceName)> {
        let scene = &self.scene;
        let owned = scene.copies().filter(|(who, _, shown)| {
            *who == dead && shown.role == Some(PartnerRole::Principal) && shown.serving && shown.has_witness
        });
        let heirs = owned.filter_map(|(_, database, _)| {
            let mirror = scene.sessions.partner(dead, database)?;
            let shown = scene.shown(mirror, database)?;
            let session = scene.sessions.session(dead, database)?;
            let right = scene.sessions.is_safety_full(database)
                && shown.state == Some(MirroringState::Synchronized)
                && shown.has_witness
                && self.recorded.contains(&session)
                && self.keeps_witness(database, mirror);
            right.then(|| (database.clone(), mirror.clone()))
        });
        heirs.collect()
    }

    fn keeps_witness(&self, database: &DatabaseName, mirror: &InstanceName) -> bool {
        let witness = self.scene.witness(mirror, database);
        self.scene.is_alive(mirror)
            && witness.is_some_and(|witness| {
                self.scene.has_connection(mirror, witness) && self.scene.has_connection(witness, mirror)
            })
    }

    fn note(&mut self, stamped: &Stamped) {
        // Whoever comes back makes it a different question.
        if matches!(&stamped.event, Event::World(WorldEvent::ProcessStarted { .. })) {
            self.owed.clear();
        }
        match session_event(stamped) {
            Some((
                _,
                SessionEvent::WitnessRecord {
                    session,
                    synchronized,
                    ..
                },
            )) => {
                match synchronized {
                    true => self.recorded.insert(*session),
                    false => self.recorded.remove(session),
                };
            }
            Some((who, SessionEvent::Takeover { database, .. })) => {
                self.owed.remove(&(database.clone(), who.clone()));
            }
            _ => {}
        }
    }
}

impl Oracle for AutomaticFailoverHappens {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if !Scene::concerns(stamped) {
            return;
        }
        self.judge(stamped.at, out);
        if let Some(instance) = gone(stamped) {
            let heirs = self.heirs(instance);
            self.owed.extend(heirs);
        }
        self.scene.observe(stamped);
        self.note(stamped);
        let mut owed = std::mem::take(&mut self.owed);
        owed.retain(|(database, mirror)| self.keeps_witness(database, mirror));
        self.owed = owed;
        self.waiting.hold(self.owed.iter().cloned(), stamped.at);
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        self.judge(end.at, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::SwitchKind;

    #[test]
    fn a_mirror_that_takes_over_in_time_is_right() {
        let mut events = trio();
        events.push(killed(5, "alpha"));
        events.push(on(16, "beta", takeover(SwitchKind::Automatic, 2)));
        events.push(world_step(60, "later"));
        assert_quiet::<AutomaticFailoverHappens>(&events);
    }

    #[test]
    fn without_its_witness_or_behind_it_need_not() {
        let mut events = trio();
        events.extend(parted(4, "beta", "gamma"));
        events.push(killed(5, "alpha"));
        events.push(world_step(60, "later"));
        assert_quiet::<AutomaticFailoverHappens>(&events);
        let mut events = trio();
        events.push(on(4, "gamma", recorded("ALPHA", 1, false)));
        events.push(killed(5, "alpha"));
        events.push(world_step(60, "later"));
        assert_quiet::<AutomaticFailoverHappens>(&events);
    }

    #[test]
    fn a_mirror_that_never_does_is_seen() {
        let mut events = trio();
        events.push(killed(5, "alpha"));
        events.push(world_step(60, "later"));
        assert_red::<AutomaticFailoverHappens>(&events, NAME);
    }
}
