//! A partner that has no connection to the other any more shows DISCONNECTED at once.
//!
//! A failure that is reported, a reset, a close, a refusal, is acted on at the next event and not when a timer runs out.
//! Source: documented, *Possible Failures During Database Mirroring*, *Estimate the Interruption of Service*.

use std::time::Duration;

use super::scene::{Patience, Scene, Shown};
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{DatabaseName, InstanceName, MirroringState, Stamped, Timestamp};

const NAME: &str = "hard-error-is-immediate";

const BOUND: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub(super) struct HardErrorIsImmediate {
    scene: SharedScene,
    unnoticed: Patience<(InstanceName, DatabaseName)>,
}

impl HardErrorIsImmediate {
    fn judge(&mut self, at: Timestamp, out: &mut Vec<Violation>) {
        for ((who, database), since) in self.unnoticed.outlast(at, BOUND) {
            if self.scene.is_rough_since(since, std::slice::from_ref(&who)) {
                continue;
            }
            out.push(Violation::of(
                NAME,
                &[&database, &who],
                format!("{database} on {who} shows no loss, though its last connection closed, or could carry it no more, at {since}"),
                at,
            ));
        }
    }

    fn is_unnoticed(&self, who: &InstanceName, database: &DatabaseName, shown: &Shown) -> bool {
        let connected = [MirroringState::Synchronizing, MirroringState::Synchronized];
        let partner = || self.scene.sessions.partner(who, database);
        shown.state.is_some_and(|state| connected.contains(&state))
            && partner().is_some_and(|partner| self.scene.has_lost(database, who, partner))
    }
}

impl Oracle for HardErrorIsImmediate {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if !Scene::concerns(stamped) {
            return;
        }
        self.judge(stamped.at, out);
        self.scene.observe(stamped);
        let unnoticed: Vec<_> = self
            .scene
            .copies()
            .filter(|(who, database, shown)| self.is_unnoticed(who, database, shown))
            .map(|(who, database, _)| (who.clone(), database.clone()))
            .collect();
        self.unnoticed.hold(unnoticed, stamped.at);
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        self.judge(end.at, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::PartnerRole;

    #[test]
    fn noticed_at_once_is_right() {
        let mut events = trio();
        events.extend(parted(5, "alpha", "beta"));
        events.push(on(
            5,
            "alpha",
            state(PartnerRole::Principal, MirroringState::Disconnected),
        ));
        events.push(world_step(9, "later"));
        assert_quiet::<HardErrorIsImmediate>(&events);
    }

    #[test]
    fn waiting_for_the_timer_is_seen() {
        let mut events = trio();
        events.extend(parted(5, "alpha", "beta"));
        events.push(on(
            15,
            "alpha",
            state(PartnerRole::Principal, MirroringState::Disconnected),
        ));
        assert_red::<HardErrorIsImmediate>(&events, NAME);
    }

    #[test]
    fn a_copy_that_cannot_be_used_is_a_loss_though_the_connections_stay() {
        let mut events = trio();
        events.push(unavailable(5, "beta"));
        events.push(world_step(9, "later"));
        assert_red::<HardErrorIsImmediate>(&events, NAME);
        // The word of it may have been lost on the way.
        let mut events = trio();
        events.push(fault(4, 1, "cut", "cut alpha <-> beta"));
        events.push(unavailable(5, "beta"));
        events.push(world_step(9, "later"));
        assert_quiet::<HardErrorIsImmediate>(&events);
    }
}
