//! The sequences of safety and suspension never decrease on any instance of a session, a change has a higher one, and a
//! principal and its mirror agree on both once all is healed.
//!
//! Source: documented, *sys.database_mirroring*, *sys.database_mirroring_witnesses*; message 1424.

use std::collections::BTreeMap;

use super::history::session_event;
use super::scene::Scene;
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{Guid, InstanceName, Safety, SessionEvent, Stamped};

const NAME: &str = "safety-seq-monotone";

/// Safety and suspension, each with its sequence.
type Values = ((u32, Safety), (u32, bool));

#[derive(Debug, Default)]
pub(super) struct SafetySeqMonotone {
    scene: SharedScene,
    known: BTreeMap<(InstanceName, Guid), Values>,
}

/// What is wrong with going from one value to the other.
fn step<T: PartialEq + Copy>(from: (u32, T), to: (u32, T)) -> Option<String> {
    let (before, after) = (from.0, to.0);
    match after {
        after if after < before => Some(format!("went back from {before} to {after}")),
        after if after == before && from.1 != to.1 => Some(format!("stands at {after} for two values")),
        _ => None,
    }
}

impl Oracle for SafetySeqMonotone {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if !Scene::concerns(stamped) {
            return;
        }
        self.scene.observe(stamped);
        let Some((
            who,
            SessionEvent::Settings {
                database,
                session,
                safety,
                safety_sequence,
                suspended,
                suspend_sequence,
                ..
            },
        )) = session_event(stamped)
        else {
            return;
        };
        let now = ((*safety_sequence, *safety), (*suspend_sequence, *suspended));
        let Some(before) = self.known.insert((who.clone(), *session), now) else {
            return;
        };
        for (what, problem) in [
            ("safety", step(before.0, now.0)),
            ("suspension", step(before.1, now.1)),
        ] {
            if let Some(problem) = problem {
                let message = format!("the sequence of {what} of {database} on {who} {problem}");
                out.push(Violation::of(NAME, &[database, who, &what], message, stamped.at));
            }
        }
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        if self.scene.has_healed(end).is_none() {
            return;
        }
        for (database, one, other) in self.scene.sessions.pairs() {
            let session = self.scene.sessions.session(one, database);
            let values = |who: &InstanceName| self.known.get(&(who.clone(), session?));
            let (Some(a), Some(b)) = (values(one), values(other)) else {
                continue;
            };
            if a != b && self.scene.is_linked(database, one, other) {
                let message =
                    format!("{one} and {other} differ in the settings of {database}: {a:?} and {b:?}");
                out.push(Violation::of(NAME, &[database], message, end.at));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::WorldEvent;

    fn history(last: SessionEvent) -> Vec<Stamped> {
        let mut events = pair_connected();
        for who in ["alpha", "beta"] {
            events.push(on(1, who, settings(Safety::Full, (2, 3), true, 10)));
        }
        events.push(on(2, "alpha", last));
        events
    }

    #[test]
    fn a_higher_sequence_may_bring_anything() {
        assert_quiet::<SafetySeqMonotone>(&history(settings(Safety::Off, (3, 4), false, 10)));
        assert_quiet::<SafetySeqMonotone>(&history(settings(Safety::Full, (2, 3), true, 20)));
    }

    #[test]
    fn an_older_value_is_seen() {
        assert_red::<SafetySeqMonotone>(&history(settings(Safety::Full, (1, 3), true, 10)), NAME);
        assert_red::<SafetySeqMonotone>(&history(settings(Safety::Full, (2, 2), true, 10)), NAME);
    }

    #[test]
    fn two_values_under_one_sequence_are_seen() {
        assert_red::<SafetySeqMonotone>(&history(settings(Safety::Off, (2, 3), true, 10)), NAME);
        assert_red::<SafetySeqMonotone>(&history(settings(Safety::Full, (2, 3), false, 10)), NAME);
    }

    #[test]
    fn partners_that_never_agree_are_seen() {
        let mut events = history(settings(Safety::Off, (3, 3), true, 10));
        events.extend([world(3, WorldEvent::Quiet), world_step(100, "later")]);
        assert_red::<SafetySeqMonotone>(&events, NAME);
    }
}
