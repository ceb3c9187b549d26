//! A partner that shows SUSPENDED stays so through restarts and reconnections, until RESUME, OFF or a page that was
//! repaired.
//!
//! Source: documented, *Mirroring States*, *Pausing and Resuming Database Mirroring*, *Automatic Page Repair*.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{is_command, session_event};
use super::operator::{Ending, Operator};
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{
    DatabaseName, Event, InstanceName, MirroringState, PageKey, RepairStatus, SessionEvent, Stamped,
    WorldEvent,
};

const NAME: &str = "suspend-is-sticky";

#[derive(Debug, Default)]
pub(super) struct SuspendIsSticky {
    scene: SharedScene,
    operator: Operator,
    suspended: BTreeSet<(InstanceName, DatabaseName)>,
    /// A RESUME was given since anybody was suspended anew, and not refused: it may be on record before all show it.
    lifted: BTreeSet<DatabaseName>,
    /// The databases of the RESUME or SUSPEND that has no answer yet.
    resuming: Vec<DatabaseName>,
    suspending: Vec<DatabaseName>,
    databases: BTreeSet<DatabaseName>,
    /// An operator said so since the session was last resumed.
    told: BTreeSet<DatabaseName>,
    /// Pages that were found damaged on a copy, and whether the partner's are there.
    pages: BTreeMap<(InstanceName, DatabaseName, PageKey), bool>,
}

impl SuspendIsSticky {
    /// Why the session may not be resumed for a repair now.
    fn not_repaired(&self, database: &DatabaseName, principal: &InstanceName) -> Option<&'static str> {
        let mirrors = self
            .pages
            .iter()
            .filter(|((who, of, _), _)| of == database && who != principal);
        let here: Vec<bool> = mirrors.map(|(_, here)| *here).collect();
        if self.told.contains(database) {
            Some("an operator suspended it")
        } else if here.is_empty() {
            Some("no page of the mirror was damaged")
        } else if here.contains(&false) {
            Some("a damaged page of the mirror is still missing")
        } else {
            None
        }
    }
}

impl Oracle for SuspendIsSticky {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.scene.observe(stamped);
        match &stamped.event {
            Event::World(WorldEvent::Step { text }) => {
                let given = |option: &str| {
                    let databases = self.databases.iter();
                    let of = databases.filter(|d| is_command(text, d, "PARTNER", option));
                    of.cloned().collect::<Vec<_>>()
                };
                let (mut resumed, suspended) = (given("RESUME"), given("SUSPEND"));
                self.told.retain(|database| !resumed.contains(database));
                // One that is refused says nothing of an earlier one whose end nobody knows.
                resumed.retain(|database| self.lifted.insert(database.clone()));
                self.told.extend(suspended.iter().cloned());
                (self.resuming, self.suspending) = (resumed, suspended);
            }
            Event::World(WorldEvent::ProcessStarted { instance }) => {
                self.pages.retain(|(who, ..), _| who != instance);
            }
            _ => {}
        }
        let over = match self.operator.observe(&stamped.event) {
            Some(Ending::Done) => &self.suspending[..],
            Some(Ending::Refused) => &self.resuming,
            Some(Ending::Uncertain) | None => &[],
        };
        self.lifted.retain(|database| !over.contains(database));
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        match event {
            SessionEvent::Configured { database, .. } | SessionEvent::Removed { database, .. } => {
                self.suspended.remove(&(who.clone(), database.clone()));
                self.databases.insert(database.clone());
                self.told.remove(database);
            }
            SessionEvent::PageDamaged { database, page, .. } => {
                let page = (who.clone(), database.clone(), page.clone());
                self.pages.insert(page, false);
            }
            SessionEvent::PageRepair {
                database,
                page,
                status,
            } => {
                let page = (who.clone(), database.clone(), page.clone());
                match status {
                    RepairStatus::Received => drop(self.pages.insert(page, true)),
                    RepairStatus::Succeeded => drop(self.pages.remove(&page)),
                    RepairStatus::Queued | RepairStatus::Requested | RepairStatus::Failed => {
                        self.pages.insert(page, false);
                    }
                }
            }
            SessionEvent::ResumedByRepair { database, .. } => {
                self.suspended.retain(|(_, of)| of != database);
                if let Some(why) = self.not_repaired(database, who) {
                    let message = format!("{who} resumes {database} for a repair, but {why}");
                    out.push(Violation::of(NAME, &[database, who], message, stamped.at));
                }
            }
            SessionEvent::State {
                database,
                from,
                to: MirroringState::Suspended,
                ..
            } => {
                if from.is_some_and(|from| from != MirroringState::Suspended) {
                    self.lifted.remove(database);
                }
                self.suspended.insert((who.clone(), database.clone()));
            }
            SessionEvent::State {
                database,
                to: to @ (MirroringState::Synchronizing | MirroringState::Synchronized),
                ..
            } if self.suspended.remove(&(who.clone(), database.clone()))
                && !self.lifted.contains(database) =>
            {
                out.push(Violation::of(
                    NAME,
                    &[database, who],
                    format!("{database} on {who} was suspended and is {to}, though nobody resumed it"),
                    stamped.at,
                ));
            }
            // What an operator said is over, or came to nothing.
            SessionEvent::State {
                database,
                to: MirroringState::Synchronizing | MirroringState::Synchronized,
                ..
            } => drop(self.told.remove(database)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::{ClientEvent, PartnerRole, Reply, ReplyItem};

    fn history(command: &str) -> Vec<Stamped> {
        let mut events = pair();
        events.extend([
            on(
                1,
                "alpha",
                state(PartnerRole::Principal, MirroringState::Suspended),
            ),
            on(
                2,
                "alpha",
                state(PartnerRole::Principal, MirroringState::Disconnected),
            ),
            world_step(3, command),
            on(
                4,
                "alpha",
                state(PartnerRole::Principal, MirroringState::Synchronizing),
            ),
        ]);
        events
    }

    #[test]
    fn resume_ends_it() {
        assert_quiet::<SuspendIsSticky>(&history("sql on alpha: ALTER DATABASE Sales SET PARTNER RESUME;"));
    }

    /// Alpha dies behind its record of a RESUME, and beta goes on showing SUSPENDED until they meet.
    fn cut_off(answer: Option<u32>, suspended: bool) -> Vec<Stamped> {
        let mut events = history("wait");
        events.truncate(events.len() - 1);
        let command = "sql on alpha: ALTER DATABASE Sales SET PARTNER RESUME;";
        events.push(world_step(4, command));
        let answered = |on, items| {
            let on = InstanceName::new(on);
            let reply = Reply { items };
            client(4, ClientEvent::Batch { on, reply })
        };
        if let Some(number) = answer {
            let error = crate::error::message(number).expect("in the catalogue");
            events.push(answered("alpha", vec![ReplyItem::Error(error.with(&[&"it"]))]));
        }
        let command = "sql on beta: ALTER DATABASE Sales SET PARTNER SUSPEND;";
        events.push(world_step(4, command));
        if suspended {
            events.push(answered("beta", Vec::new()));
        }
        let shows = |to| state(PartnerRole::Mirror, to);
        events.push(on(5, "beta", shows(MirroringState::Suspended)));
        events.push(on(6, "beta", shows(MirroringState::Synchronizing)));
        events
    }

    #[test]
    fn a_resume_that_was_cut_off_may_show_late_but_not_one_that_was_refused() {
        assert_quiet::<SuspendIsSticky>(&cut_off(None, false));
        assert_quiet::<SuspendIsSticky>(&cut_off(Some(1421), false));
        assert_red::<SuspendIsSticky>(&cut_off(Some(1447), false), NAME);
        assert_red::<SuspendIsSticky>(&cut_off(None, true), NAME);
    }

    /// An expectation asks beta, which refuses to read a copy; RESUME was answered by alpha before.
    #[test]
    fn what_is_asked_behind_a_step_is_no_answer_to_it() {
        let error = crate::error::msg::DATABASE_MIRROR.with(&[&"Sales"]);
        for on in ["alpha", "beta"] {
            let mut events = history("sql on alpha: ALTER DATABASE Sales SET PARTNER RESUME;");
            let batch = |on: &str, items: &[ReplyItem]| {
                let (on, items) = (InstanceName::new(on), items.to_vec());
                let reply = Reply { items };
                client(3, ClientEvent::Batch { on, reply })
            };
            let last = events.len() - 1;
            events.insert(last, batch("alpha", &[]));
            events.insert(last + 1, batch(on, &[ReplyItem::Error(error.clone())]));
            assert_quiet::<SuspendIsSticky>(&events);
        }
    }

    #[test]
    fn a_reconnection_does_not() {
        assert_red::<SuspendIsSticky>(&history("wait"), NAME);
    }

    fn page_event(status: Option<RepairStatus>) -> SessionEvent {
        let (database, page) = (db(), PageKey::of("t", 1));
        match status {
            Some(status) => SessionEvent::PageRepair {
                database,
                page,
                status,
            },
            None => SessionEvent::PageDamaged {
                database,
                page,
                number: 2,
                error: crate::types::PageError::Checksum,
            },
        }
    }

    fn repaired(status: RepairStatus, command: &str) -> Vec<Stamped> {
        let mut events = pair();
        let database = db();
        events.extend([
            on(1, "beta", page_event(None)),
            on(
                1,
                "alpha",
                state(PartnerRole::Principal, MirroringState::Suspended),
            ),
            world_step(2, command),
            on(3, "beta", page_event(Some(status))),
            on(
                4,
                "alpha",
                SessionEvent::ResumedByRepair {
                    database,
                    suspend_sequence: 2,
                },
            ),
            on(
                4,
                "alpha",
                state(PartnerRole::Principal, MirroringState::Synchronizing),
            ),
        ]);
        events
    }

    #[test]
    fn a_repair_ends_what_it_began_once_every_page_is_there() {
        assert_quiet::<SuspendIsSticky>(&repaired(RepairStatus::Received, "wait"));
        assert_red::<SuspendIsSticky>(&repaired(RepairStatus::Requested, "wait"), NAME);
        assert_red::<SuspendIsSticky>(&repaired(RepairStatus::Failed, "wait"), NAME);
    }

    #[test]
    fn a_repair_does_not_end_what_an_operator_said() {
        let suspend = "sql on alpha: ALTER DATABASE Sales SET PARTNER SUSPEND;";
        assert_red::<SuspendIsSticky>(&repaired(RepairStatus::Received, suspend), NAME);
    }
}
