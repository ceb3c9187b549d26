//! After a forced service the session is suspended: when the old principal returns nothing flows and nothing is rolled
//! back before somebody says RESUME. One that is refused resumes nothing.
//!
//! Source: documented, *Role Switching During a Database Mirroring Session*, *ALTER DATABASE Database Mirroring*.

use std::collections::BTreeSet;

use super::history::{is_command, session_event};
use super::operator::{Ending, Operator};
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{DatabaseName, Event, MirroringState, SessionEvent, Stamped, SwitchKind, WorldEvent};

const NAME: &str = "force-suspends";

#[derive(Debug, Default)]
pub(super) struct ForceSuspends {
    scene: SharedScene,
    operator: Operator,
    forced: BTreeSet<DatabaseName>,
    /// Of these the RESUME that has no answer yet: they may go on before it has.
    resuming: BTreeSet<DatabaseName>,
}

impl Oracle for ForceSuspends {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.scene.observe(stamped);
        if let Event::World(WorldEvent::Step { text }) = &stamped.event {
            let resumed = |database: &DatabaseName| is_command(text, database, "PARTNER", "RESUME");
            self.resuming = self.forced.iter().filter(|d| resumed(d)).cloned().collect();
            self.forced.retain(|database| !self.resuming.contains(database));
        }
        if self.operator.observe(&stamped.event) == Some(Ending::Refused) {
            self.forced.append(&mut self.resuming);
        }
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        let (database, problem) = match event {
            SessionEvent::Takeover {
                database,
                kind: SwitchKind::Forced,
                ..
            } => {
                self.forced.insert(database.clone());
                return;
            }
            SessionEvent::Configured { database, .. } | SessionEvent::Removed { database, .. } => {
                self.forced.remove(database);
                self.resuming.remove(database);
                return;
            }
            SessionEvent::State {
                database,
                to: to @ (MirroringState::Synchronizing | MirroringState::Synchronized),
                ..
            } => (database, format!("is {to}")),
            SessionEvent::LogReverted { database, .. } => (database, "rolled its log back".to_owned()),
            _ => return,
        };
        if self.forced.contains(database) && self.scene.sessions.session(who, database).is_some() {
            out.push(Violation::of(
                NAME,
                &[database, who],
                format!("{who} {problem} in {database}, whose service was forced and which nobody resumed"),
                stamped.at,
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::error::msg;
    use crate::types::{ClientEvent, InstanceName, PartnerRole, Reply, ReplyItem};

    fn forced(resumed: bool) -> Vec<Stamped> {
        let mut events = pair();
        events.push(on(2, "beta", takeover(SwitchKind::Forced, 2)));
        events.push(on(
            3,
            "beta",
            state(PartnerRole::Principal, MirroringState::Suspended),
        ));
        if resumed {
            events.push(world_step(
                4,
                "sql on beta: ALTER DATABASE [Sales] SET PARTNER RESUME",
            ));
        }
        events.push(on(5, "alpha", reverted(20, 10)));
        events
    }

    #[test]
    fn resumed_it_goes_on() {
        assert_quiet::<ForceSuspends>(&forced(true));
    }

    #[test]
    fn going_on_after_a_resume_that_was_refused_is_seen() {
        let answered = |error: Option<u32>| {
            let mut events = forced(true);
            let error = error.and_then(crate::error::message);
            let items = error.map(|error| ReplyItem::Error(error.with(&[&"Sales"])));
            let (on, items) = (InstanceName::new("beta"), items.into_iter().collect());
            let reply = Reply { items };
            events.insert(events.len() - 1, client(4, ClientEvent::Batch { on, reply }));
            events
        };
        assert_red::<ForceSuspends>(&answered(Some(msg::BOTH_PARTNERS_NEEDED.number)), NAME);
        assert_quiet::<ForceSuspends>(&answered(None));
        // It may have been carried out.
        assert_quiet::<ForceSuspends>(&answered(Some(1421)));
    }

    #[test]
    fn going_on_by_itself_is_seen() {
        assert_red::<ForceSuspends>(&forced(false), NAME);
        let mut events = pair();
        events.push(on(2, "beta", takeover(SwitchKind::Forced, 2)));
        events.push(on(
            5,
            "alpha",
            state(PartnerRole::Mirror, MirroringState::Synchronizing),
        ));
        assert_red::<ForceSuspends>(&events, NAME);
    }
}
