//! A principal with a witness that has no connection left to the mirror or to the witness stops serving.
//!
//! Judged by the endpoints' connections, not by what the session thinks of its links. In either safety mode. Source:
//! documented, *Quorum: How a Witness Affects Database Availability*.

use std::time::Duration;

use super::scene::{Patience, Scene};
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{DatabaseName, InstanceName, Stamped, Timestamp};

const NAME: &str = "quorum-loss-stops-serving";

/// A connection that closes is an event like any other: what follows from it follows at once.
const BOUND: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub(super) struct QuorumLossStopsServing {
    scene: SharedScene,
    alone: Patience<(InstanceName, DatabaseName)>,
}

impl QuorumLossStopsServing {
    fn judge(&mut self, at: Timestamp, out: &mut Vec<Violation>) {
        for ((who, database), since) in self.alone.outlast(at, BOUND) {
            out.push(Violation::of(
                NAME,
                &[&database, &who],
                format!(
                    "{who} still serves {database}, though it has been connected to nobody since {since}"
                ),
                at,
            ));
        }
    }
}

impl Oracle for QuorumLossStopsServing {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if !Scene::concerns(stamped) {
            return;
        }
        self.judge(stamped.at, out);
        self.scene.observe(stamped);
        let scene = &self.scene;
        let alone = scene.copies().filter(|(who, database, shown)| {
            shown.has_witness && shown.serving && scene.has_lost_quorum(who, database)
        });
        self.alone.hold(
            alone.map(|(who, database, _)| (who.clone(), database.clone())),
            stamped.at,
        );
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        self.judge(end.at, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn alone() -> Vec<Stamped> {
        let mut events = trio();
        events.extend(parted(5, "alpha", "beta"));
        events.extend(parted(5, "alpha", "gamma"));
        events
    }

    #[test]
    fn it_stops_at_once() {
        let mut events = alone();
        events.push(on(5, "alpha", serving(false, 1)));
        events.push(world_step(9, "later"));
        assert_quiet::<QuorumLossStopsServing>(&events);
    }

    #[test]
    fn one_connection_is_enough_and_without_a_witness_none_is_needed() {
        let mut events = trio();
        events.extend(parted(5, "alpha", "beta"));
        events.push(world_step(9, "later"));
        assert_quiet::<QuorumLossStopsServing>(&events);
        let mut events = pair_connected();
        events.extend(parted(5, "alpha", "beta"));
        events.push(world_step(9, "later"));
        assert_quiet::<QuorumLossStopsServing>(&events);
    }

    #[test]
    fn going_on_is_seen() {
        let mut events = alone();
        events.push(world_step(9, "later"));
        assert_red::<QuorumLossStopsServing>(&events, NAME);
    }

    #[test]
    fn a_mirror_whose_copy_cannot_be_used_is_no_company() {
        let mut events = trio();
        events.extend(parted(5, "alpha", "gamma"));
        events.push(unavailable(6, "beta"));
        let mut stopped = events.clone();
        events.push(world_step(9, "later"));
        assert_red::<QuorumLossStopsServing>(&events, NAME);
        stopped.push(on(6, "alpha", serving(false, 1)));
        stopped.push(world_step(9, "later"));
        assert_quiet::<QuorumLossStopsServing>(&stopped);
    }
}
