//! No connection is closed for lack of pings sooner than the partner timeout after the last ping that arrived on it.
//!
//! Judged by the pings themselves, and by the shortest timeout that the instance's sessions have on record. Source:
//! documented, *Possible Failures During Database Mirroring*.

use std::collections::BTreeMap;

use super::scene::Scene;
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{
    ClosedBy, ConnectionId, EndpointEvent, Event, InstanceName, Source, Stamped, Timestamp, WorldEvent,
};

const NAME: &str = "no-early-timeout";

#[derive(Debug, Default)]
pub(super) struct NoEarlyTimeout {
    scene: SharedScene,
    /// When the last ping arrived on each connection that is open, or when it was logged in.
    heard: BTreeMap<(InstanceName, ConnectionId), Timestamp>,
}

impl NoEarlyTimeout {
    fn on_endpoint(
        &mut self,
        who: &InstanceName,
        event: &EndpointEvent,
        at: Timestamp,
        out: &mut Vec<Violation>,
    ) {
        match event {
            EndpointEvent::LoggedIn { connection, .. } | EndpointEvent::PingReceived { connection } => {
                self.heard.insert((who.clone(), *connection), at);
            }
            EndpointEvent::Closed { connection, by, .. } => {
                let heard = self.heard.remove(&(who.clone(), *connection));
                let (ClosedBy::Timeout, Some(heard)) = (by, heard) else {
                    return;
                };
                let (silence, timeout) = (at.since(heard), self.scene.timeout(who));
                if silence < timeout {
                    let message = format!(
                        "{who} closed {connection} after {silence:?} of silence; its partner timeout is {timeout:?}"
                    );
                    out.push(Violation::of(NAME, &[who], message, at));
                }
            }
            _ => {}
        }
    }
}

impl Oracle for NoEarlyTimeout {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        match (&stamped.source, &stamped.event) {
            (Source::Instance(who), Event::Endpoint(event)) => self.on_endpoint(who, event, stamped.at, out),
            (_, Event::World(WorldEvent::ProcessKilled { instance })) => {
                self.heard.retain(|(who, _), _| who != instance);
            }
            _ => {}
        }
        if Scene::concerns(stamped) {
            self.scene.observe(stamped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::Safety;

    fn timed_out(events: &[Stamped], at: u64) -> Vec<Stamped> {
        let mut all = trio();
        all.extend(events.iter().cloned());
        all.extend(parted_by(at, "alpha", "beta", ClosedBy::Timeout));
        all
    }

    #[test]
    fn silence_for_the_partner_timeout_is_enough() {
        assert_quiet::<NoEarlyTimeout>(&timed_out(&[pinged(5, "alpha", "beta")], 16));
        assert_quiet::<NoEarlyTimeout>(&timed_out(&[], 10));
    }

    #[test]
    fn less_is_seen() {
        assert_red::<NoEarlyTimeout>(&timed_out(&[], 9), NAME);
        assert_red::<NoEarlyTimeout>(&timed_out(&[pinged(8, "alpha", "beta")], 16), NAME);
    }

    #[test]
    fn the_timeout_on_record_counts_whoever_set_it() {
        let set = |safety, seconds| on(1, "alpha", settings(safety, (1, 1), false, seconds));
        let ping = pinged(5, "alpha", "beta");
        assert_quiet::<NoEarlyTimeout>(&timed_out(&[set(Safety::Full, 7), ping.clone()], 12));
        assert_red::<NoEarlyTimeout>(&timed_out(&[set(Safety::Full, 7), ping.clone()], 11), NAME);
        // Five seconds is the least there is, and SAFETY OFF has ten.
        assert_red::<NoEarlyTimeout>(&timed_out(&[set(Safety::Full, 3), ping.clone()], 9), NAME);
        assert_red::<NoEarlyTimeout>(&timed_out(&[set(Safety::Off, 5), ping], 12), NAME);
    }
}
