//! Once everybody has lost everybody, there is no automatic failover until the session was SYNCHRONIZED again.
//!
//! Not even if mirror and witness find each other first: the principal may have gone on in between. Source: documented,
//! *Quorum: How a Witness Affects Database Availability*, *Role Switching*.

use std::collections::BTreeSet;

use super::history::session_event;
use super::scene::Scene;
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{DatabaseName, Guid, MirroringState, PartnerRole, SessionEvent, Stamped};

const NAME: &str = "no-failover-after-total-loss";

#[derive(Debug, Default)]
pub(super) struct NoFailoverAfterTotalLoss {
    scene: SharedScene,
    lost: BTreeSet<Guid>,
}

impl NoFailoverAfterTotalLoss {
    fn note_losses(&mut self) {
        for (database, one, other) in self.scene.sessions.pairs() {
            let Some((witness, session)) = self
                .scene
                .witness(one, database)
                .zip(self.scene.sessions.session(one, database))
            else {
                continue;
            };
            let linked = |a, b| self.scene.linked(database, a, b);
            if !linked(one, other) && !linked(one, witness) && !linked(other, witness) {
                self.lost.insert(session);
            }
        }
    }

    fn session(&self, database: &DatabaseName) -> Option<Guid> {
        let pairs = self.scene.sessions.pairs();
        let (_, one, _) = pairs.iter().find(|(known, ..)| known == database)?;
        self.scene.sessions.session(one, database)
    }
}

impl Oracle for NoFailoverAfterTotalLoss {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if let Some((
            who,
            SessionEvent::WitnessVerdict {
                database,
                granted: true,
                ..
            },
        )) = session_event(stamped)
        {
            if self
                .session(database)
                .is_some_and(|session| self.lost.contains(&session))
            {
                out.push(Violation::of(
                    NAME,
                    &[database, who],
                    format!("{who} gave {database} to the mirror, after all three had lost each other"),
                    stamped.at,
                ));
            }
            return;
        }
        if !Scene::concerns(stamped) {
            return;
        }
        self.scene.observe(stamped);
        self.note_losses();
        if let Some((
            who,
            SessionEvent::State {
                database,
                role: PartnerRole::Principal,
                to: MirroringState::Synchronized,
                ..
            },
        )) = session_event(stamped)
            && let Some(session) = self.scene.sessions.session(who, database)
        {
            self.lost.remove(&session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn all_lost() -> Vec<Stamped> {
        let mut events = trio();
        for (one, other) in [("alpha", "beta"), ("alpha", "gamma"), ("beta", "gamma")] {
            events.extend(parted(5, one, other));
            events.extend(parted(5, other, one));
        }
        events
    }

    #[test]
    fn one_link_that_holds_is_no_total_loss() {
        let mut events = trio();
        for (one, other) in [("alpha", "beta"), ("alpha", "gamma")] {
            events.extend(parted(5, one, other));
            events.extend(parted(5, other, one));
        }
        events.push(on(6, "gamma", granted(2)));
        assert_quiet::<NoFailoverAfterTotalLoss>(&events);
    }

    #[test]
    fn synchronized_again_it_is_forgotten() {
        let mut events = all_lost();
        events.push(joined(9, "alpha", 21, "beta"));
        events.push(joined(9, "beta", 23, "gamma"));
        events.push(on(
            10,
            "alpha",
            state(PartnerRole::Principal, MirroringState::Synchronized),
        ));
        events.push(on(20, "gamma", granted(2)));
        assert_quiet::<NoFailoverAfterTotalLoss>(&events);
    }

    #[test]
    fn mirror_and_witness_meeting_first_is_seen() {
        let mut events = all_lost();
        events.push(joined(9, "beta", 23, "gamma"));
        events.push(on(10, "gamma", granted(2)));
        assert_red::<NoFailoverAfterTotalLoss>(&events, NAME);
    }
}
