//! Once a SUSPEND is answered nobody takes over by itself until RESUME.
//!
//! Source: derived from the table of *Database Mirroring Operating Modes* and *sys.database_mirroring_witnesses*,
//! is_suspended.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{is_command, session_event};
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{
    ClientEvent, DatabaseName, Event, InstanceName, SessionEvent, Stamped, SwitchKind, WorldEvent,
};

const NAME: &str = "suspend-disarms-failover";

#[derive(Debug, Default)]
pub(super) struct SuspendDisarmsFailover {
    scene: SharedScene,
    /// What the operator has just asked for.
    asked: String,
    suspended: BTreeSet<DatabaseName>,
    /// Databases each instance has a session of.
    databases: BTreeMap<InstanceName, BTreeSet<DatabaseName>>,
}

impl Oracle for SuspendDisarmsFailover {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.scene.observe(stamped);
        match &stamped.event {
            Event::World(WorldEvent::Step { text }) => {
                let goes_on = |database: &DatabaseName| {
                    is_command(text, database, "PARTNER", "RESUME")
                        || is_command(text, database, "PARTNER", "OFF")
                };
                self.suspended.retain(|database| !goes_on(database));
                self.asked = text.clone();
            }
            Event::Client(ClientEvent::Batch { on, reply }) if reply.error().is_none() => {
                let there = self.databases.get(on).into_iter().flatten();
                let asked = there.filter(|database| is_command(&self.asked, database, "PARTNER", "SUSPEND"));
                self.suspended.extend(asked.cloned());
            }
            _ => {}
        }
        match session_event(stamped) {
            Some((who, SessionEvent::Configured { database, .. })) => {
                self.suspended.remove(database);
                self.databases
                    .entry(who.clone())
                    .or_default()
                    .insert(database.clone());
            }
            Some((
                who,
                SessionEvent::Takeover {
                    database,
                    kind: SwitchKind::Automatic,
                    ..
                },
            )) if self.suspended.contains(database) => {
                let message =
                    format!("{who} took {database} over by itself, which an operator has suspended");
                out.push(Violation::of(NAME, &[database, who], message, stamped.at));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::error::msg;
    use crate::types::{Reply, ReplyItem};

    fn answered(second: u64, option: &str, refused: bool) -> Vec<Stamped> {
        let text = format!("sql on alpha: ALTER DATABASE Sales SET PARTNER {option};");
        let error = ReplyItem::Error(msg::BOTH_PARTNERS_NEEDED.with(&[&db()]));
        let reply = Reply {
            items: refused.then_some(error).into_iter().collect(),
        };
        let on = InstanceName::new("alpha");
        vec![
            world_step(second, &text),
            client(second, ClientEvent::Batch { on, reply }),
        ]
    }

    fn history(commands: &[Vec<Stamped>]) -> Vec<Stamped> {
        let mut events = trio();
        events.extend(commands.concat());
        events.push(on(9, "beta", takeover(SwitchKind::Automatic, 2)));
        events
    }

    #[test]
    fn resumed_or_refused_it_may() {
        let resumed = [answered(5, "SUSPEND", false), answered(6, "RESUME", false)];
        assert_quiet::<SuspendDisarmsFailover>(&history(&resumed));
        assert_quiet::<SuspendDisarmsFailover>(&history(&[answered(5, "SUSPEND", true)]));
    }

    #[test]
    fn suspended_it_may_not() {
        assert_red::<SuspendDisarmsFailover>(&history(&[answered(5, "SUSPEND", false)]), NAME);
    }
}
