//! A time-out ends the link for both partners: neither goes on as if it were connected when the other is not.
//!
//! One-way loss included: who hears nothing closes, and the other learns of it through the close or by its own time-out.
//! Source: documented, *Possible Failures During Database Mirroring*.

use super::scene::{PING, Patience, SLACK, Scene, Shown};
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{DatabaseName, InstanceName, MirroringState, Stamped, Timestamp};

const NAME: &str = "timeout-closes-connection";

#[derive(Debug, Default)]
pub(super) struct TimeoutClosesConnection {
    scene: SharedScene,
    /// Who shows a connected state of a database that its partner shows to be disconnected.
    believers: Patience<(InstanceName, DatabaseName)>,
}

impl TimeoutClosesConnection {
    fn judge(&mut self, at: Timestamp, out: &mut Vec<Violation>) {
        let bound = self.scene.longest_timeout(at) + PING + SLACK;
        for ((who, database), since) in self.believers.outlast(at, bound) {
            if self.scene.is_rough_since(since, &self.scene.company(&who)) {
                continue;
            }
            let message = format!(
                "{who} takes {database} for connected, which its partner has shown DISCONNECTED since {since}"
            );
            out.push(Violation::of(NAME, &[&database, &who], message, at));
        }
    }

    fn believes(&self, who: &InstanceName, database: &DatabaseName, shown: &Shown) -> bool {
        let connected = [MirroringState::Synchronizing, MirroringState::Synchronized];
        let other = || {
            let partner = self.scene.sessions.partner(who, database)?;
            self.scene.shown(partner, database)?.state
        };
        shown.state.is_some_and(|state| connected.contains(&state))
            && other() == Some(MirroringState::Disconnected)
    }
}

impl Oracle for TimeoutClosesConnection {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if !Scene::concerns(stamped) {
            return;
        }
        self.judge(stamped.at, out);
        self.scene.observe(stamped);
        let believers: Vec<_> = self
            .scene
            .copies()
            .filter(|(who, database, shown)| self.believes(who, database, shown))
            .map(|(who, database, _)| (who.clone(), database.clone()))
            .collect();
        self.believers.hold(believers, stamped.at);
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

    fn half_lost() -> Vec<Stamped> {
        let mut events = pair_connected();
        events.push(on(
            5,
            "alpha",
            state(PartnerRole::Principal, MirroringState::Disconnected),
        ));
        events
    }

    #[test]
    fn the_other_may_take_its_own_timeout() {
        let mut events = half_lost();
        events.push(on(
            16,
            "beta",
            state(PartnerRole::Mirror, MirroringState::Disconnected),
        ));
        events.push(world_step(60, "later"));
        assert_quiet::<TimeoutClosesConnection>(&events);
    }

    #[test]
    fn one_side_that_never_learns_is_seen() {
        let mut events = half_lost();
        events.push(world_step(60, "later"));
        assert_red::<TimeoutClosesConnection>(&events, NAME);
    }
}
