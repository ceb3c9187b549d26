//! Pings arrive on every connection that is open, on both of its ends, while nothing stands in their way.
//!
//! Both connections of a pair of partners and those to the witness. A connection of which one end is not there any more is
//! not judged. Source: documented, *Possible Failures During Database Mirroring*; the interval is S1.

use std::collections::BTreeMap;
use std::time::Duration;

use super::scene::{PING, SLACK, Scene, gone};
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{ConnectionId, EndpointEvent, Event, InstanceName, Source, Stamped, Timestamp};

const NAME: &str = "every-open-connection-pings";

/// Faults after which TCP tries again later and later.
const BACKED_OFF: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct EveryOpenConnectionPings {
    scene: SharedScene,
    /// When the last ping arrived, and whether its absence was told.
    heard: BTreeMap<(InstanceName, ConnectionId), (Timestamp, bool)>,
}

impl EveryOpenConnectionPings {
    fn judge(&mut self, at: Timestamp, out: &mut Vec<Violation>) {
        let mut heard = std::mem::take(&mut self.heard);
        for ((who, connection), (since, told)) in &mut heard {
            if *told || at.since(*since) <= PING + SLACK {
                continue;
            }
            *told = true;
            let Some(peer) = self.scene.peer_of(who, *connection) else {
                continue;
            };
            if self.is_disturbed(who, peer, *since) || !self.scene.has_connection(peer, who) {
                continue;
            }
            let message = format!("no ping of {peer} has come to {who} on {connection} since {since}");
            out.push(Violation::of(NAME, &[who, peer], message, at));
        }
        self.heard = heard;
    }

    /// Whether a fault touches either end from shortly before `since` on.
    fn is_disturbed(&self, who: &InstanceName, peer: &InstanceName, since: Timestamp) -> bool {
        self.scene.faults.values().any(|fault| {
            fault.to.is_none_or(|to| to + BACKED_OFF >= since)
                && (self.scene.touches(fault, who) || self.scene.touches(fault, peer))
        })
    }
}

impl Oracle for EveryOpenConnectionPings {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        let concerns = Scene::concerns(stamped);
        if concerns {
            self.judge(stamped.at, out);
        }
        match (&stamped.source, &stamped.event) {
            (
                Source::Instance(who),
                Event::Endpoint(
                    EndpointEvent::LoggedIn { connection, .. } | EndpointEvent::PingReceived { connection },
                ),
            ) => {
                self.heard.insert((who.clone(), *connection), (stamped.at, false));
            }
            (Source::Instance(who), Event::Endpoint(EndpointEvent::Closed { connection, .. })) => {
                self.heard.remove(&(who.clone(), *connection));
            }
            _ => {}
        }
        if let Some(instance) = gone(stamped) {
            self.heard.retain(|(who, _), _| who != instance);
        }
        if concerns {
            self.scene.observe(stamped);
        }
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        self.judge(end.at, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    /// alpha is the witness of nothing here: it hears beta on both connections, and the other way round.
    fn pings(silent: Option<(&str, &str)>) -> Vec<Stamped> {
        let mut events = pair_connected();
        for second in 1..10 {
            for (who, peer) in [("alpha", "beta"), ("beta", "alpha")] {
                for above in [0, ACCEPTED] {
                    if above == 0 && silent == Some((who, peer)) {
                        continue;
                    }
                    let connection = ConnectionId(connection(who, peer) + above);
                    events.push(on(second, who, EndpointEvent::PingReceived { connection }));
                }
            }
        }
        events.push(world_step(10, "later"));
        events
    }

    #[test]
    fn pings_on_all_of_them_are_right() {
        assert_quiet::<EveryOpenConnectionPings>(&pings(None));
    }

    #[test]
    fn what_stands_in_their_way_excuses_them() {
        let mut events = pings(Some(("beta", "alpha")));
        events.insert(0, fault(0, 1, "cut", "cut alpha <-> beta"));
        assert_quiet::<EveryOpenConnectionPings>(&events);
    }

    #[test]
    fn one_silent_direction_is_seen() {
        assert_red::<EveryOpenConnectionPings>(&pings(Some(("beta", "alpha"))), NAME);
    }

    #[test]
    fn a_clock_that_was_set_long_ago_is_no_excuse() {
        let mut events = pair_connected();
        events.push(fault(1, 7, "clock_step", "clock_step beta +500ms"));
        for second in 2..20 {
            events.push(pinged(second, "alpha", "beta"));
            events.push(pinged(second, "beta", "alpha"));
            for (who, peer) in [("alpha", "beta"), ("beta", "alpha")] {
                let connection = ConnectionId(connection(who, peer) + ACCEPTED);
                if who == "alpha" || second < 10 {
                    events.push(on(second, who, EndpointEvent::PingReceived { connection }));
                }
            }
        }
        events.push(world_step(20, "later"));
        assert_red::<EveryOpenConnectionPings>(&events, NAME);
    }
}
