//! A witness is added only while all three are connected to each other and the mirror has caught up, and both partners have
//! the same setting once all is healed.
//!
//! Caught up: SYNCHRONIZED at some moment since the statement was given, or not suspended with SAFETY OFF. A witness that
//! no step asked for is not judged by this.
//!
//! Source: documented, messages 1426 and 1433; *Add a Database Mirroring Witness*.

use std::collections::BTreeMap;

use super::history::{is_command, session_event};
use super::scene::{SLACK, Scene};
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{
    DatabaseName, EndpointEvent, Event, InstanceName, MirroringState, PartnerRole, Safety, ServerAddress,
    SessionEvent, Stamped, Timestamp, WorldEvent,
};

const NAME: &str = "witness-change-needs-all";

#[derive(Debug, Default)]
pub(super) struct WitnessChangeNeedsAll {
    scene: SharedScene,
    /// When a connection was lost last: what was recorded since may have been decided before.
    lost: Option<Timestamp>,
    /// Who was asked to add a witness to what, and whether the mirror has been caught up since.
    asked: BTreeMap<(InstanceName, DatabaseName), bool>,
}

impl WitnessChangeNeedsAll {
    fn is_caught_up(&self, who: &InstanceName, database: &DatabaseName) -> bool {
        let state = self.scene.shown(who, database).and_then(|shown| shown.state);
        let settings = self.scene.settings(who, database);
        let off = settings.is_some_and(|settings| settings.safety == Safety::Off);
        match state {
            Some(MirroringState::Synchronized) => true,
            Some(MirroringState::Synchronizing) => off,
            _ => false,
        }
    }

    /// Notes what a step asks for, and who has caught up since it was asked.
    fn note_asked(&mut self, stamped: &Stamped) {
        if let Event::World(WorldEvent::Step { text }) = &stamped.event {
            let copies = self.scene.copies();
            let asked = copies.filter(|(who, database, _)| {
                text.starts_with(&format!("sql on {who}")) && is_command(text, database, "WITNESS", "=")
            });
            self.asked = asked
                .map(|(who, database, _)| ((who.clone(), database.clone()), false))
                .collect();
        }
        let mut asked = std::mem::take(&mut self.asked);
        for ((who, database), caught_up) in &mut asked {
            *caught_up |= self.is_caught_up(who, database);
        }
        self.asked = asked;
    }

    /// What is missing for `who`, a principal, to add this witness.
    fn missing(
        &self,
        database: &DatabaseName,
        who: &InstanceName,
        partner: &InstanceName,
        witness: &ServerAddress,
    ) -> Option<String> {
        if !self.scene.has_link(database, who, partner) {
            return Some(format!("without a link to {partner}"));
        }
        let unconnected = [who, partner]
            .into_iter()
            .find(|one| !self.scene.reaches(one, witness));
        unconnected.map(|one| format!("without a connection of {one} to it"))
    }
}

impl Oracle for WitnessChangeNeedsAll {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if !Scene::concerns(stamped) {
            return;
        }
        if let Some((
            who,
            SessionEvent::WitnessSet {
                database,
                witness: Some(witness),
                anew: false,
            },
        )) = session_event(stamped)
            && let Some(partner) = self.scene.sessions.partner(who, database)
            && let Some(shown) = self.scene.shown(who, database)
            && shown.role == Some(PartnerRole::Principal)
        {
            let behind = self.asked.remove(&(who.clone(), database.clone())) == Some(false);
            let missing = behind.then(|| "though the mirror has not caught up".to_owned());
            let sure = self.lost.is_none_or(|lost| lost + SLACK < stamped.at);
            let missing = missing.or_else(|| self.missing(database, who, partner, witness).filter(|_| sure));
            if let Some(missing) = missing {
                let message = format!("{who} added the witness {witness} to {database} {missing}");
                out.push(Violation::of(NAME, &[database, who], message, stamped.at));
            }
        }
        if matches!(stamped.event, Event::Endpoint(EndpointEvent::Closed { .. })) {
            self.lost = Some(stamped.at);
        }
        self.scene.observe(stamped);
        self.note_asked(stamped);
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        if self.scene.has_healed(end).is_none() {
            return;
        }
        for (database, one, other) in self.scene.sessions.pairs() {
            let has = |who| self.scene.shown(who, database).map(|shown| shown.has_witness);
            if has(one) != has(other) && self.scene.is_linked(database, one, other) {
                let message = format!("{one} and {other} differ in whether {database} has a witness");
                out.push(Violation::of(NAME, &[database], message, end.at));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn with_all_of_them_it_is_added() {
        assert_quiet::<WitnessChangeNeedsAll>(&trio());
    }

    #[test]
    fn without_the_mirror_or_the_witness_it_is_seen() {
        for (who, peer) in [("alpha", "beta"), ("alpha", "gamma"), ("beta", "gamma")] {
            let mut events = trio();
            let set = events.split_off(events.len() - 2);
            events.extend(parted(1, who, peer));
            events.extend(set.into_iter().map(|event| Stamped {
                at: Timestamp::from_secs(5),
                ..event
            }));
            assert_red::<WitnessChangeNeedsAll>(&events, NAME);
        }
    }

    #[test]
    fn partners_that_never_agree_are_seen() {
        let mut events = trio();
        events.pop();
        events.extend([world(3, WorldEvent::Quiet), world_step(100, "later")]);
        assert_red::<WitnessChangeNeedsAll>(&events, NAME);
    }

    #[test]
    fn a_mirror_that_has_not_caught_up_is_seen() {
        let history = |states: &[MirroringState]| {
            let mut events = trio();
            let set = events.split_off(events.len() - 2);
            let shows = |to| on(1, "alpha", state(PartnerRole::Principal, to));
            events.push(shows(states[0]));
            let step = "sql on alpha: ALTER DATABASE Sales SET WITNESS = 'TCP://gamma.lab.example:7022';";
            events.push(world_step(2, step));
            events.extend(states[1..].iter().map(|to| shows(*to)));
            events.extend(set);
            events
        };
        assert_red::<WitnessChangeNeedsAll>(&history(&[MirroringState::Synchronizing]), NAME);
        assert_red::<WitnessChangeNeedsAll>(&history(&[MirroringState::Suspended]), NAME);
        assert_quiet::<WitnessChangeNeedsAll>(&history(&[MirroringState::Synchronized]));
        let in_time = [MirroringState::Synchronizing, MirroringState::Synchronized];
        assert_quiet::<WitnessChangeNeedsAll>(&history(&in_time));
    }
}
