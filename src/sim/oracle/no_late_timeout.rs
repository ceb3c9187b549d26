//! A connection whose other end is gone, or on which no ping arrives any more, is closed within the partner timeout and one
//! ping interval.
//!
//! Gone: the process has died, or it has closed its own end. So a soft error on one side becomes a closed connection on
//! both, one-way loss included. Silence is reckoned from the last ping that arrived, at first from the login, on each
//! connection by itself. Source: documented, *Possible Failures During Database Mirroring*.

use std::collections::{BTreeMap, BTreeSet};

use super::scene::{PING, Patience, SLACK, Scene};
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{
    ConnectionId, EndpointEvent, Event, InstanceName, Source, Stamped, Timestamp, WorldEvent,
};

const NAME: &str = "no-late-timeout";

#[derive(Debug, Default)]
pub(super) struct NoLateTimeout {
    scene: SharedScene,
    /// Who holds a connection to whom that the other does not hold.
    halves: Patience<(InstanceName, InstanceName)>,
    /// When something was heard last on each open connection.
    heard: BTreeMap<(InstanceName, ConnectionId), Timestamp>,
    /// Connections that are known to be silent for too long already.
    told: BTreeSet<(InstanceName, ConnectionId)>,
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
        for ((who, connection), heard) in &self.heard {
            let key = (who.clone(), *connection);
            // Only what delays the one that should close is an excuse: that the other says nothing is the point.
            if at.since(*heard) <= bound
                || self.told.contains(&key)
                || self.scene.is_rough_since(*heard, std::slice::from_ref(who))
            {
                continue;
            }
            let Some(peer) = self.scene.peer_of(who, *connection) else {
                continue;
            };
            self.told.insert(key);
            out.push(Violation::of(
                NAME,
                &[who, peer, &"silent"],
                format!("{who} keeps {connection} to {peer}, on which no ping has arrived since {heard}"),
                at,
            ));
        }
    }

    fn listen(&mut self, stamped: &Stamped) {
        if let Event::World(WorldEvent::ProcessKilled { instance }) = &stamped.event {
            self.heard.retain(|(who, _), _| who != instance);
        }
        let (Source::Instance(who), Event::Endpoint(event)) = (&stamped.source, &stamped.event) else {
            return;
        };
        match event {
            EndpointEvent::LoggedIn { connection, .. } => {
                let key = (who.clone(), *connection);
                self.told.remove(&key);
                self.heard.insert(key, stamped.at);
            }
            EndpointEvent::PingReceived { connection } => {
                if let Some(heard) = self.heard.get_mut(&(who.clone(), *connection)) {
                    *heard = stamped.at;
                }
            }
            EndpointEvent::Closed { connection, .. } => {
                self.heard.remove(&(who.clone(), *connection));
            }
            _ => {}
        }
    }
}

impl Oracle for NoLateTimeout {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        let concerns = Scene::concerns(stamped);
        if concerns {
            self.judge(stamped.at, out);
            self.scene.observe(stamped);
        }
        self.listen(stamped);
        if !concerns {
            return;
        }
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

    /// The history with a ping every 5 s, in both directions of every connection but those that `who` hears of `peer`.
    fn pinging(mut events: Vec<Stamped>, deaf: Option<(&str, &str)>) -> Vec<Stamped> {
        let all = ["alpha", "beta", "gamma"];
        for second in (5..60).step_by(5) {
            for (who, peer) in all.iter().flat_map(|who| all.map(|peer| (*who, peer))) {
                if who == peer || deaf == Some((who, peer)) {
                    continue;
                }
                for above in [0, ACCEPTED] {
                    let connection = ConnectionId(connection(who, peer) + above);
                    events.push(on(second, who, EndpointEvent::PingReceived { connection }));
                }
            }
        }
        events.sort_by_key(|event| event.at);
        events
    }

    #[test]
    fn closed_in_time_is_right() {
        let mut events = trio();
        events.extend(parted(5, "alpha", "beta"));
        events.extend(parted(16, "beta", "alpha"));
        events.push(world_step(60, "later"));
        assert_quiet::<NoLateTimeout>(&pinging(events, None));
    }

    #[test]
    fn half_a_connection_kept_is_seen() {
        let mut events = trio();
        events.extend(parted(5, "alpha", "beta"));
        events.push(world_step(60, "later"));
        assert_red::<NoLateTimeout>(&pinging(events, None), NAME);
    }

    #[test]
    fn a_connection_to_the_dead_is_seen() {
        let mut events = pair_connected();
        events.push(killed(5, "alpha"));
        events.push(world_step(60, "later"));
        assert_red::<NoLateTimeout>(&pinging(events, None), NAME);
    }

    #[test]
    fn a_connection_kept_in_silence_is_seen_though_both_hold_it() {
        let mut events = trio();
        events.push(world_step(60, "later"));
        assert_quiet::<NoLateTimeout>(&pinging(events.clone(), None));
        let deaf = pinging(events.clone(), Some(("beta", "gamma")));
        assert_red::<NoLateTimeout>(&deaf, NAME);
        // The one that hangs cannot close; the other can.
        events.push(fault(4, 1, "pause", "pause beta"));
        assert_quiet::<NoLateTimeout>(&pinging(events.clone(), Some(("beta", "gamma"))));
        assert_red::<NoLateTimeout>(&pinging(events, Some(("gamma", "beta"))), NAME);
    }
}
