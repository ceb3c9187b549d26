//! A suspended session is not SYNCHRONIZED before RESUME; once RESUME is answered it does not stay suspended.
//!
//! Source: documented, *Pausing and Resuming Database Mirroring*.

use std::collections::BTreeSet;

use super::history::{is_command, session_event};
use super::scene::{PING, Patience, SLACK, Scene};
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{
    ClientEvent, DatabaseName, Event, InstanceName, MirroringState, PartnerRole, SessionEvent, Stamped,
    Timestamp, WorldEvent,
};

const NAME: &str = "suspended-stays-until-resume";

#[derive(Debug, Default)]
pub(super) struct SuspendedStaysUntilResume {
    scene: SharedScene,
    /// What the operator has just asked for.
    asked: String,
    /// What was resumed, and where.
    resumed: BTreeSet<(InstanceName, DatabaseName)>,
    stuck: Patience<(InstanceName, DatabaseName)>,
}

impl SuspendedStaysUntilResume {
    fn judge(&mut self, at: Timestamp, out: &mut Vec<Violation>) {
        for ((who, database), since) in self.stuck.outlast(at, PING + SLACK) {
            if self.scene.is_rough_since(since, &self.scene.company(&who)) {
                continue;
            }
            let message = format!("{database} on {who} is still suspended, though it was resumed at {since}");
            out.push(Violation::of(NAME, &[&database, &who], message, at));
        }
    }

    fn note(&mut self, stamped: &Stamped) {
        match &stamped.event {
            Event::World(WorldEvent::Step { text }) => {
                self.resumed.retain(|(_, database)| {
                    let again = ["SUSPEND", "FORCE_SERVICE_ALLOW_DATA_LOSS"];
                    !again
                        .iter()
                        .any(|option| is_command(text, database, "PARTNER", option))
                });
                self.asked = text.clone();
            }
            Event::Client(ClientEvent::Batch { on, reply }) if reply.error().is_none() => {
                let there = self.scene.copies().filter(|(who, database, shown)| {
                    *who == on
                        && shown.state == Some(MirroringState::Suspended)
                        && is_command(&self.asked, database, "PARTNER", "RESUME")
                });
                self.resumed
                    .extend(there.map(|(who, database, _)| (who.clone(), database.clone())));
            }
            _ => {}
        }
    }
}

impl Oracle for SuspendedStaysUntilResume {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.note(stamped);
        if !Scene::concerns(stamped) {
            return;
        }
        self.judge(stamped.at, out);
        if let Some((
            who,
            SessionEvent::State {
                database,
                to: MirroringState::Synchronized,
                ..
            },
        )) = session_event(stamped)
            && self
                .scene
                .shown(who, database)
                .is_some_and(|shown| shown.state == Some(MirroringState::Suspended))
        {
            let message = format!("{database} on {who} went from SUSPENDED to SYNCHRONIZED");
            out.push(Violation::of(NAME, &[database, who], message, stamped.at));
        }
        self.scene.observe(stamped);
        // A later suspension is another's.
        let suspended = |who: &InstanceName, database: &DatabaseName| {
            self.scene
                .shown(who, database)
                .is_some_and(|shown| shown.state == Some(MirroringState::Suspended))
        };
        self.resumed.retain(|(who, database)| suspended(who, database));
        let stuck: Vec<_> = self
            .resumed
            .iter()
            .filter(|(who, database)| {
                self.scene.shown(who, database).is_some_and(|shown| {
                    shown.state == Some(MirroringState::Suspended)
                        && shown.role == Some(PartnerRole::Principal)
                })
            })
            .cloned()
            .collect();
        self.stuck.hold(stuck, stamped.at);
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        self.judge(end.at, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::Reply;

    fn resumed() -> Vec<Stamped> {
        let mut events = pair_connected();
        events.push(on(
            5,
            "alpha",
            state(PartnerRole::Principal, MirroringState::Suspended),
        ));
        events.push(world_step(
            9,
            "sql on alpha: ALTER DATABASE Sales SET PARTNER RESUME;",
        ));
        let (on, reply) = (InstanceName::new("alpha"), Reply { items: Vec::new() });
        events.push(client(10, ClientEvent::Batch { on, reply }));
        events
    }

    #[test]
    fn resumed_it_synchronizes() {
        let mut events = resumed();
        events.push(on(
            10,
            "alpha",
            state(PartnerRole::Principal, MirroringState::Synchronizing),
        ));
        events.push(on(
            12,
            "alpha",
            state(PartnerRole::Principal, MirroringState::Synchronized),
        ));
        events.push(world_step(30, "later"));
        assert_quiet::<SuspendedStaysUntilResume>(&events);
    }

    #[test]
    fn staying_suspended_is_seen() {
        let mut events = resumed();
        events.push(world_step(11, "wait"));
        events.push(world_step(30, "later"));
        assert_red::<SuspendedStaysUntilResume>(&events, NAME);
    }

    #[test]
    fn leaping_to_synchronized_is_seen() {
        let mut events = pair_connected();
        events.push(on(
            5,
            "alpha",
            state(PartnerRole::Principal, MirroringState::Suspended),
        ));
        events.push(on(
            6,
            "alpha",
            state(PartnerRole::Principal, MirroringState::Synchronized),
        ));
        assert_red::<SuspendedStaysUntilResume>(&events, NAME);
    }
}
