//! Once all faults are healed, every session with SAFETY FULL that is not suspended is SYNCHRONIZED on both partners.
//!
//! Judged only if the run went on long enough, and not for instances that are dead or whose endpoint an operator stopped:
//! those are nobody's faults to heal. Source: documented, *Mirroring States*, *Quorum*; the bound is derived.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::history::session_event;
use super::scene::Scene;
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{
    DatabaseName, EndpointEvent, Event, InstanceName, MirroringState, SessionEvent, Source, Stamped,
    Timestamp, WorldEvent,
};

const NAME: &str = "heals-to-synchronized";

/// Partner timeout and ping interval (11 s), a connect attempt that has just begun to time out (21 s), the pause before
/// the next, handshake and backlog.
pub const HEALS_WITHIN: Duration = Duration::from_secs(45);

#[derive(Debug, Default)]
pub(super) struct HealsToSynchronized {
    scene: SharedScene,
    /// Whom somebody killed. One that gave up by itself should not have.
    dead: BTreeSet<InstanceName>,
    closed: BTreeSet<InstanceName>,
    /// The state each copy shows, and since when.
    states: BTreeMap<(InstanceName, DatabaseName), (MirroringState, Timestamp)>,
}

impl HealsToSynchronized {
    fn on_event(&mut self, stamped: &Stamped) {
        match (&stamped.source, &stamped.event) {
            (_, Event::World(WorldEvent::ProcessStarted { instance })) => {
                self.dead.remove(instance);
            }
            (_, Event::World(WorldEvent::ProcessKilled { instance })) => {
                self.dead.insert(instance.clone());
                self.states.retain(|(who, _), _| who != instance);
            }
            (Source::Instance(who), Event::Endpoint(EndpointEvent::Listening { .. })) => {
                self.closed.remove(who);
            }
            (
                Source::Instance(who),
                Event::Endpoint(EndpointEvent::StoppedListening { .. } | EndpointEvent::CannotListen { .. }),
            ) => {
                self.closed.insert(who.clone());
            }
            _ => {}
        }
        match session_event(stamped) {
            Some((who, SessionEvent::State { database, to, .. })) => {
                let key = (who.clone(), database.clone());
                self.states.insert(key, (*to, stamped.at));
            }
            Some((who, SessionEvent::Unavailable { database })) => {
                self.states.remove(&(who.clone(), database.clone()));
            }
            _ => {}
        }
    }

    fn judge(&self, database: &DatabaseName, who: &InstanceName, bound: Timestamp) -> Option<String> {
        match self.states.get(&(who.clone(), database.clone())) {
            Some((MirroringState::Synchronized, since)) if *since <= bound => None,
            Some((MirroringState::Synchronized, since)) => {
                Some(format!("became SYNCHRONIZED only at {since}"))
            }
            Some((state, _)) => Some(format!("is {state}")),
            None => Some("has no state".into()),
        }
    }
}

impl Oracle for HealsToSynchronized {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, _out: &mut Vec<Violation>) {
        if Scene::concerns(stamped) {
            self.scene.observe(stamped);
        }
        self.on_event(stamped);
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        let Some(quiet) = self.scene.has_healed(end) else {
            return;
        };
        let bound = quiet + HEALS_WITHIN;
        for (database, one, other) in self.scene.sessions.pairs() {
            let partners = [one, other];
            let suspended = partners.iter().any(|who| {
                let state = self.states.get(&((*who).clone(), database.clone()));
                matches!(state, Some((MirroringState::Suspended, _)))
            });
            let out_of_reach = partners
                .iter()
                .any(|who| self.dead.contains(*who) || self.closed.contains(*who));
            if suspended || out_of_reach || !self.scene.sessions.is_safety_full(database) {
                continue;
            }
            for who in partners {
                if let Some(problem) = self.judge(database, who, bound) {
                    out.push(Violation {
                        oracle: NAME,
                        fingerprint: format!("{NAME}/{database}/{who}"),
                        message: format!("{database} on {who} {problem}; all faults were healed at {quiet}"),
                        at: end.at,
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::PartnerRole;

    fn history(mirror: MirroringState, at: u64) -> Vec<Stamped> {
        let mut events = pair();
        events.extend([
            world(10, WorldEvent::Quiet),
            on(
                20,
                "alpha",
                state(PartnerRole::Principal, MirroringState::Synchronized),
            ),
            on(at, "beta", state(PartnerRole::Mirror, mirror)),
        ]);
        events
    }

    fn ends_at(events: &[Stamped], second: u64) -> Vec<Violation> {
        let end = End {
            at: Timestamp::from_secs(second),
            ..End::default()
        };
        judge_until::<HealsToSynchronized>(events, &end)
    }

    #[test]
    fn synchronized_in_time_is_right() {
        assert_eq!(ends_at(&history(MirroringState::Synchronized, 30), 100), []);
    }

    #[test]
    fn stuck_and_late_are_seen() {
        for events in [
            history(MirroringState::Disconnected, 30),
            history(MirroringState::Synchronized, 90),
        ] {
            let violations = ends_at(&events, 100);
            assert_eq!(violations.len(), 1, "{violations:?}");
            assert_eq!(violations[0].oracle, NAME);
        }
    }

    #[test]
    fn a_run_that_ends_too_soon_says_nothing() {
        assert_eq!(ends_at(&history(MirroringState::Disconnected, 30), 40), []);
    }

    #[test]
    fn suspended_sessions_stopped_endpoints_and_dead_instances_are_left_alone() {
        assert_eq!(ends_at(&history(MirroringState::Suspended, 30), 100), []);
        let mut stopped = history(MirroringState::Disconnected, 30);
        stopped.push(on(31, "beta", EndpointEvent::StoppedListening { port: 7022 }));
        assert_eq!(ends_at(&stopped, 100), []);
        let mut dead = history(MirroringState::Disconnected, 30);
        let instance = InstanceName::new("beta");
        dead.push(world(31, WorldEvent::ProcessKilled { instance }));
        assert_eq!(ends_at(&dead, 100), []);
    }
}
