//! The sequences of safety and suspension never decrease on any instance of a session, each change has the next one after
//! the highest that anybody of the session has on record, and a principal and its mirror agree on both once all is healed.
//!
//! A mirror that is told to SUSPEND while it is suspended goes two on, above the RESUME that its principal may have on record
//! (S39). Source: documented, *sys.database_mirroring*, *sys.database_mirroring_witnesses*; message 1424.

use std::collections::BTreeMap;

use super::history::session_event;
use super::scene::Scene;
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{DatabaseName, Guid, InstanceName, PartnerRole, Safety, SessionEvent, Stamped};

const NAME: &str = "safety-seq-monotone";

/// Safety and suspension, each with its sequence.
type Values = ((u32, Safety), (u32, bool));

#[derive(Debug, Default)]
pub(super) struct SafetySeqMonotone {
    scene: SharedScene,
    known: BTreeMap<(InstanceName, Guid), Values>,
    /// The highest sequences of safety and of suspension that anybody has on record.
    highest: BTreeMap<Guid, (u32, u32)>,
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

/// What is wrong with the number of a change, when `highest` is the highest before it and it may go `by` on.
fn leap(after: u32, highest: u32, by: u32) -> Option<String> {
    let next = highest.saturating_add(by);
    (after > next).then(|| format!("went from {highest} to {after}, not one on"))
}

impl SafetySeqMonotone {
    /// What is wrong with the numbers of `now`, held against those of the whole session.
    fn leaps(
        &mut self,
        who: &InstanceName,
        database: &DatabaseName,
        session: Guid,
        before: Option<Values>,
        now: Values,
    ) -> [Option<String>; 2] {
        let ((safety, _), (suspension, suspended)) = now;
        let highest = self.highest.entry(session).or_insert((safety, suspension));
        let role = self.scene.shown(who, database).and_then(|shown| shown.role);
        let own = before.map_or((0, false), |before| before.1);
        // Suspended, and told so once more.
        let again = role == Some(PartnerRole::Mirror) && own.1 && suspended && suspension == own.0 + 2;
        let found = [
            leap(safety, highest.0, 1),
            leap(suspension, highest.1, if again { 2 } else { 1 }),
        ];
        *highest = (highest.0.max(safety), highest.1.max(suspension));
        found
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
        let before = self.known.insert((who.clone(), *session), now);
        let [safety_leaps, suspension_leaps] = self.leaps(who, database, *session, before, now);
        for (what, problem, leap) in [
            ("safety", before.and_then(|b| step(b.0, now.0)), safety_leaps),
            (
                "suspension",
                before.and_then(|b| step(b.1, now.1)),
                suspension_leaps,
            ),
        ] {
            if let Some(problem) = problem.or(leap) {
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
    fn a_change_that_leaves_a_number_out_is_seen() {
        assert_red::<SafetySeqMonotone>(&history(settings(Safety::Off, (4, 3), true, 10)), NAME);
        assert_red::<SafetySeqMonotone>(&history(settings(Safety::Full, (2, 5), false, 10)), NAME);
        // Of a principal there is no such exception as of the mirror.
        assert_red::<SafetySeqMonotone>(&history(settings(Safety::Full, (2, 5), true, 10)), NAME);
    }

    #[test]
    fn who_was_away_takes_several_changes_over_at_once() {
        let mut events = history(settings(Safety::Off, (3, 4), false, 10));
        events.push(on(3, "alpha", settings(Safety::Full, (4, 5), true, 10)));
        events.push(on(4, "beta", settings(Safety::Full, (4, 5), true, 10)));
        assert_quiet::<SafetySeqMonotone>(&events);
    }

    #[test]
    fn a_suspended_mirror_that_is_told_again_goes_two_on_and_no_further() {
        let told = |sequence, suspended| {
            let mut events = history(settings(Safety::Full, (2, 3), true, 10));
            let told = settings(Safety::Full, (2, sequence), suspended, 10);
            events.push(on(3, "beta", told));
            events
        };
        assert_quiet::<SafetySeqMonotone>(&told(5, true));
        assert_red::<SafetySeqMonotone>(&told(6, true), NAME);
        assert_red::<SafetySeqMonotone>(&told(5, false), NAME);
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
