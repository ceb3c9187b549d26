//! With a witness set, nobody begins to serve who is not connected to its partner or the witness, or whose role the
//! witness has given to the other.
//!
//! Source: documented, *Quorum: How a Witness Affects Database Availability*, both of its scenarios; message 1445.

use std::collections::BTreeMap;

use super::history::session_event;
use super::scene::Scene;
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{DatabaseName, Guid, InstanceName, RoleSequence, SessionEvent, Stamped};

const NAME: &str = "restart-needs-confirmation";

#[derive(Debug, Default)]
pub(super) struct RestartNeedsConfirmation {
    scene: SharedScene,
    /// Whom each witness has on record, under which sequence.
    owners: BTreeMap<Guid, (String, RoleSequence)>,
}

impl RestartNeedsConfirmation {
    fn problem(&self, who: &InstanceName, database: &DatabaseName, sequence: RoleSequence) -> Option<String> {
        if !self.scene.shown(who, database)?.has_witness {
            return None;
        }
        if self.scene.has_lost_quorum(who, database) {
            return Some("connected to nobody who could confirm its role".into());
        }
        let (owner, recorded) = self.owners.get(&self.scene.sessions.session(who, database)?)?;
        let other = !owner.eq_ignore_ascii_case(who.as_str());
        (other && *recorded > sequence)
            .then(|| format!("under role sequence {sequence}, when the witness has {owner} under {recorded}"))
    }
}

impl Oracle for RestartNeedsConfirmation {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if !Scene::concerns(stamped) {
            return;
        }
        self.scene.observe(stamped);
        match session_event(stamped) {
            Some((
                _,
                SessionEvent::WitnessRecord {
                    session,
                    owner,
                    role_sequence,
                    ..
                },
            )) => {
                self.owners.insert(*session, (owner.clone(), *role_sequence));
            }
            Some((
                who,
                SessionEvent::Serving {
                    database,
                    serving: true,
                    role_sequence,
                    ..
                },
            )) => {
                if let Some(problem) = self.problem(who, database, *role_sequence) {
                    out.push(Violation::of(
                        NAME,
                        &[database, who],
                        format!("{who} begins to serve {database} {problem}"),
                        stamped.at,
                    ));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn confirmed_by_either_is_right() {
        let mut events = trio();
        events.extend(killed_and_started(5, "alpha"));
        events.push(joined(7, "alpha", 11, "gamma"));
        events.push(on(8, "alpha", serving(true, 1)));
        assert_quiet::<RestartNeedsConfirmation>(&events);
    }

    #[test]
    fn serving_from_memory_is_seen() {
        let mut events = trio();
        events.extend(killed_and_started(5, "alpha"));
        events.push(on(8, "alpha", serving(true, 1)));
        assert_red::<RestartNeedsConfirmation>(&events, NAME);
    }

    #[test]
    fn serving_what_the_witness_gave_away_is_seen() {
        let mut events = trio();
        events.extend(killed_and_started(5, "alpha"));
        events.push(on(6, "gamma", recorded("BETA", 2, false)));
        events.push(joined(7, "alpha", 11, "gamma"));
        events.push(on(8, "alpha", serving(true, 1)));
        assert_red::<RestartNeedsConfirmation>(&events, NAME);
    }
}
