//! Once all faults are healed, exactly one partner of each session serves.
//!
//! After a forced service too: the old principal hears of it and becomes the mirror of a suspended session. Not judged where
//! an instance is dead, an endpoint closed or a disk damaged: those are nobody's faults to heal. Source: documented, *Quorum:
//! How a Witness Affects Database Availability*, *Role Switching*; the bound is derived.

use std::collections::BTreeSet;

use super::scene::Scene;
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{EndpointEvent, Event, InstanceName, Source, Stamped};

const NAME: &str = "serves-again-after-heal";

#[derive(Debug, Default)]
pub(super) struct ServesAgainAfterHeal {
    scene: SharedScene,
    closed: BTreeSet<InstanceName>,
}

impl Oracle for ServesAgainAfterHeal {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, _out: &mut Vec<Violation>) {
        match (&stamped.source, &stamped.event) {
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
        if Scene::concerns(stamped) {
            self.scene.observe(stamped);
        }
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        let Some(quiet) = self.scene.has_healed(end) else {
            return;
        };
        for (database, one, other) in self.scene.sessions.pairs() {
            let reachable =
                |who: &InstanceName| self.scene.can_use(who, database) && !self.closed.contains(who);
            let damaged = self.scene.has_damage(&self.scene.company(one));
            if damaged || !reachable(one) || !reachable(other) {
                continue;
            }
            let serves = |who| self.scene.shown(who, database).is_some_and(|shown| shown.serving);
            let who = match (serves(one), serves(other)) {
                (false, false) => "nobody serves",
                (true, true) => "both partners serve",
                _ => continue,
            };
            out.push(Violation::of(
                NAME,
                &[&database, &who],
                format!("{who} {database}; all faults were healed at {quiet}"),
                end.at,
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::{SwitchKind, Timestamp, WorldEvent};

    fn ends(events: &[Stamped]) -> Vec<Violation> {
        let mut all = trio();
        all.extend(events.iter().cloned());
        all.push(world(10, WorldEvent::Quiet));
        let end = End {
            at: Timestamp::from_secs(100),
            ..End::default()
        };
        judge_until::<ServesAgainAfterHeal>(&all, &end)
    }

    #[test]
    fn one_that_serves_is_right() {
        assert_eq!(ends(&[]), []);
        assert_eq!(ends(&[killed(5, "alpha")]), []);
    }

    #[test]
    fn nobody_and_both_are_seen() {
        for event in [on(5, "alpha", serving(false, 1)), on(5, "beta", serving(true, 2))] {
            let violations = ends(&[event]);
            assert_eq!(violations.len(), 1, "{violations:?}");
            assert_eq!(violations[0].oracle, NAME);
        }
    }

    #[test]
    fn a_forced_service_excuses_neither() {
        let forced = [
            on(5, "beta", takeover(SwitchKind::Forced, 2)),
            on(5, "beta", serving(true, 2)),
        ];
        assert_eq!(ends(&forced).len(), 1, "alpha never heard of it");
        let mut heard = forced.to_vec();
        heard.push(on(8, "alpha", serving(false, 2)));
        assert_eq!(ends(&heard), []);
    }
}
