//! A synchronized session in full quorum survives the loss of one instance or one line: somebody serves.
//!
//! Judged while that is the only fault, no operator has just given a command, and no disk was damaged before. Source:
//! documented, *Quorum: How a Witness Affects Database Availability*, *Database Mirroring Operating Modes*.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::history::session_event;
use super::scene::{PING, Patience, SLACK, Scene};
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{
    DatabaseName, Event, Guid, InstanceName, MirroringState, PartnerRole, SessionEvent, Stamped, Timestamp,
    WorldEvent,
};

const NAME: &str = "database-available-under-single-fault";

/// What is left to redo, and the witness's word.
const REDO: Duration = Duration::from_secs(3);

/// Faults that are the loss of one instance or one line.
const LOSSES: [&str; 3] = ["kill", "power_loss", "cut"];

#[derive(Debug, Default)]
pub(super) struct DatabaseAvailableUnderSingleFault {
    scene: SharedScene,
    recorded: BTreeMap<Guid, bool>,
    /// Sessions that were in full quorum and synchronized when the one fault began.
    whole: BTreeSet<(DatabaseName, InstanceName, InstanceName)>,
    unserved: Patience<(DatabaseName, InstanceName, InstanceName)>,
}

impl DatabaseAvailableUnderSingleFault {
    fn judge(&mut self, at: Timestamp, out: &mut Vec<Violation>) {
        let bound = self.scene.longest_timeout(at) + PING + SLACK + REDO;
        for ((database, one, other), since) in self.unserved.outlast(at, bound) {
            let message =
                format!("neither {one} nor {other} serves {database} since {since}, after a single fault");
            out.push(Violation::of(NAME, &[&database], message, at));
        }
    }

    fn is_whole(&self, database: &DatabaseName, one: &InstanceName, other: &InstanceName) -> bool {
        let scene = &self.scene;
        let both = [one, other];
        let synchronized = both.iter().all(|who| {
            let shown = scene.shown(who, database);
            shown.is_some_and(|shown| shown.state == Some(MirroringState::Synchronized) && shown.has_witness)
        });
        let session = scene.sessions.session(one, database);
        let recorded = session.is_some_and(|session| self.recorded.get(&session) == Some(&true));
        let witnessed = both.iter().all(|who| {
            let witness = scene.witness(who, database);
            witness
                .is_some_and(|w| scene.is_connected(database, who, w) && scene.is_connected(database, w, who))
        });
        let served = both.iter().any(|who| {
            let shown = scene.shown(who, database);
            shown.is_some_and(|shown| shown.role == Some(PartnerRole::Principal) && shown.serving)
        });
        let full = scene.sessions.is_safety_full(database);
        let sound = !scene.has_damage(&scene.company(one));
        full && sound
            && synchronized
            && recorded
            && witnessed
            && served
            && scene.is_linked(database, one, other)
    }

    /// The faults that go on, or whose consequences may.
    fn is_single_loss(&self) -> bool {
        let mut open = self.scene.faults.values().filter(|fault| fault.to.is_none());
        let Some(only) = open.next() else { return false };
        let pair = only.kind != "cut" || !only.text.contains(',');
        open.next().is_none() && LOSSES.contains(&only.kind.as_str()) && pair
    }
}

impl Oracle for DatabaseAvailableUnderSingleFault {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if !Scene::concerns(stamped) {
            return;
        }
        self.judge(stamped.at, out);
        if let Event::World(event) = &stamped.event {
            match event {
                WorldEvent::FaultFired { .. } => {
                    let over = |to: Timestamp| to + SLACK < stamped.at;
                    let mut faults = self.scene.faults.values();
                    let quiet = faults.all(|fault| fault.to.is_some_and(over));
                    let pairs = self.scene.sessions.pairs().iter();
                    self.whole = match quiet {
                        true => pairs
                            .filter(|(d, one, other)| self.is_whole(d, one, other))
                            .cloned()
                            .collect(),
                        false => BTreeSet::new(),
                    };
                }
                WorldEvent::FaultEnded { .. } | WorldEvent::Step { .. } => self.whole.clear(),
                _ => {}
            }
        }
        self.scene.observe(stamped);
        if let Some((
            _,
            SessionEvent::WitnessRecord {
                session,
                synchronized,
                ..
            },
        )) = session_event(stamped)
        {
            self.recorded.insert(*session, *synchronized);
        }
        let single = self.is_single_loss();
        let unserved: Vec<_> = self
            .whole
            .iter()
            .filter(|(database, one, other)| {
                let serves = |who| self.scene.shown(who, database).is_some_and(|shown| shown.serving);
                single && !serves(one) && !serves(other)
            })
            .cloned()
            .collect();
        self.unserved.hold(unserved, stamped.at);
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        self.judge(end.at, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn principal_dies(mut events: Vec<Stamped>) -> Vec<Stamped> {
        events.push(fault(5, 1, "kill", "kill alpha"));
        events.push(killed(5, "alpha"));
        events
    }

    #[test]
    fn a_mirror_that_takes_over_is_enough() {
        let mut events = principal_dies(trio());
        events.push(on(16, "beta", serving(true, 2)));
        events.push(world_step(60, "later"));
        assert_quiet::<DatabaseAvailableUnderSingleFault>(&events);
    }

    #[test]
    fn without_a_witness_or_with_two_faults_nothing_is_promised() {
        let mut events = principal_dies(pair_connected());
        events.push(world_step(60, "later"));
        assert_quiet::<DatabaseAvailableUnderSingleFault>(&events);
        let mut events = principal_dies(trio());
        events.push(fault(6, 2, "kill", "kill gamma"));
        events.push(world_step(60, "later"));
        assert_quiet::<DatabaseAvailableUnderSingleFault>(&events);
    }

    #[test]
    fn nobody_serving_is_seen() {
        let mut events = principal_dies(trio());
        events.push(world_step(60, "later"));
        assert_red::<DatabaseAvailableUnderSingleFault>(&events, NAME);
    }

    #[test]
    fn a_fault_that_was_over_at_once_before_is_no_second_one() {
        let after = |kind: &str, text: &str| {
            let mut events = trio();
            events.push(fault(1, 7, kind, text));
            let mut events = principal_dies(events);
            events.push(world_step(60, "later"));
            events
        };
        let stepped = after("clock_step", "clock_step beta +500ms");
        assert_red::<DatabaseAvailableUnderSingleFault>(&stepped, NAME);
        let rotten = after("bit_rot", "bit_rot beta Sales.mdf byte 7");
        assert_quiet::<DatabaseAvailableUnderSingleFault>(&rotten);
    }
}
