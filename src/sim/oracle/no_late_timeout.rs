//! A connection whose other end is gone is closed within the partner timeout and one ping interval.
//!
//! Gone: the process has died, or it has closed its own end. So a soft error on one side becomes a closed connection on
//! both, one-way loss included. Source: documented, *Possible Failures During Database Mirroring*.

use super::scene::{PING, Patience, SLACK, Scene};
use super::{End, Oracle, Violation};
use crate::types::{InstanceName, Stamped, Timestamp};

const NAME: &str = "no-late-timeout";

#[derive(Debug, Default)]
pub(super) struct NoLateTimeout {
    scene: Scene,
    /// Who holds a connection to whom that the other does not hold.
    halves: Patience<(InstanceName, InstanceName)>,
}

impl NoLateTimeout {
    fn judge(&mut self, at: Timestamp, out: &mut Vec<Violation>) {
        let bound = self.scene.longest_timeout(at) + PING + SLACK;
        for ((who, peer), since) in self.halves.outlast(at, bound) {
            if self.scene.is_rough_since(since, &[who.clone(), peer.clone()]) {
                continue;
            }
            out.push(Violation::of(
                NAME,
                &[&who, &peer],
                format!("{who} keeps a connection to {peer} that {peer} has not had since {since}"),
                at,
            ));
        }
    }
}

impl Oracle for NoLateTimeout {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if !Scene::concerns(stamped) {
            return;
        }
        self.judge(stamped.at, out);
        self.scene.observe(stamped);
        let open = self.scene.connections();
        let halves = open
            .iter()
            .filter(|(who, peer)| !open.contains(&(peer.clone(), who.clone())));
        self.halves.hold(halves.cloned(), stamped.at);
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        self.judge(end.at, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn closed_in_time_is_right() {
        let mut events = trio();
        events.extend(parted(5, "alpha", "beta"));
        events.extend(parted(16, "beta", "alpha"));
        events.push(world_step(60, "later"));
        assert_quiet::<NoLateTimeout>(&events);
    }

    #[test]
    fn half_a_connection_kept_is_seen() {
        let mut events = trio();
        events.extend(parted(5, "alpha", "beta"));
        events.push(world_step(60, "later"));
        assert_red::<NoLateTimeout>(&events, NAME);
    }

    #[test]
    fn a_connection_to_the_dead_is_seen() {
        let mut events = pair_connected();
        events.push(killed(5, "alpha"));
        events.push(world_step(60, "later"));
        assert_red::<NoLateTimeout>(&events, NAME);
    }
}
