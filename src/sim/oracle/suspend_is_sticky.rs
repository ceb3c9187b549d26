//! A partner that shows SUSPENDED stays so through restarts and reconnections, until RESUME, OFF or a page that was
//! repaired.
//!
//! Source: documented, *Mirroring States*, *Pausing and Resuming Database Mirroring*, *Automatic Page Repair*.

use std::collections::BTreeSet;

use super::history::{Sessions, is_command, session_event};
use super::{Oracle, Violation};
use crate::types::{
    DatabaseName, Event, InstanceEvent, InstanceName, MirroringState, SessionEvent, Stamped, WorldEvent,
};

const NAME: &str = "suspend-is-sticky";

/// A page was repaired from the partner: the session may go on by itself.
const PAGE_REPAIRED: u32 = 1461;

#[derive(Debug, Default)]
pub(super) struct SuspendIsSticky {
    sessions: Sessions,
    suspended: BTreeSet<(InstanceName, DatabaseName)>,
}

impl Oracle for SuspendIsSticky {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.sessions.observe(stamped);
        match &stamped.event {
            Event::World(WorldEvent::Step { text }) => {
                self.suspended
                    .retain(|(_, database)| !is_command(text, database, "PARTNER", "RESUME"));
            }
            Event::Instance(InstanceEvent::ErrorLog {
                number: PAGE_REPAIRED,
                ..
            }) => self.suspended.clear(),
            _ => {}
        }
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        match event {
            SessionEvent::Configured { database, .. } | SessionEvent::Removed { database, .. } => {
                self.suspended.remove(&(who.clone(), database.clone()));
            }
            SessionEvent::State {
                database,
                to: MirroringState::Suspended,
                ..
            } => {
                self.suspended.insert((who.clone(), database.clone()));
            }
            SessionEvent::State {
                database,
                to: to @ (MirroringState::Synchronizing | MirroringState::Synchronized),
                ..
            } if self.suspended.remove(&(who.clone(), database.clone())) => {
                out.push(Violation::of(
                    NAME,
                    &[database, who],
                    format!("{database} on {who} was suspended and is {to}, though nobody resumed it"),
                    stamped.at,
                ));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::PartnerRole;

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

    #[test]
    fn a_reconnection_does_not() {
        assert_red::<SuspendIsSticky>(&history("wait"), NAME);
    }
}
