//! Each change of state says from which state, and that is the one the copy showed before: the chain has no gaps.
//!
//! It begins anew with a process and with a session. Source: documented, *Database Mirroring State Change Event Class*.

use std::collections::BTreeMap;

use super::history::session_event;
use super::{Oracle, Violation};
use crate::types::{DatabaseName, Event, InstanceName, MirroringState, SessionEvent, Stamped, WorldEvent};

const NAME: &str = "event-stream-consistent";

#[derive(Debug, Default)]
pub(super) struct EventStreamConsistent {
    shown: BTreeMap<(InstanceName, DatabaseName), MirroringState>,
}

impl Oracle for EventStreamConsistent {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if let Event::World(WorldEvent::ProcessKilled { instance }) = &stamped.event {
            self.shown.retain(|(who, _), _| who != instance);
        }
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        match event {
            SessionEvent::Configured { database, .. }
            | SessionEvent::Removed { database, .. }
            | SessionEvent::Unavailable { database } => {
                self.shown.remove(&(who.clone(), database.clone()));
            }
            SessionEvent::State {
                database, from, to, ..
            } => {
                let before = self.shown.insert((who.clone(), database.clone()), *to);
                if let Some(before) = before
                    && *from != Some(before)
                {
                    let from = from.map_or("nothing".to_owned(), |from| from.to_string());
                    let message =
                        format!("{database} on {who} went from {from} to {to}, but showed {before}");
                    out.push(Violation::of(NAME, &[database, who], message, stamped.at));
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
    use crate::types::PartnerRole;

    fn change(second: u64, from: Option<MirroringState>, to: MirroringState) -> Stamped {
        let mut event = state(PartnerRole::Principal, to);
        if let SessionEvent::State { from: before, .. } = &mut event {
            *before = from;
        }
        on(second, "alpha", event)
    }

    #[test]
    fn a_chain_is_right_and_a_process_begins_another() {
        let mut events = pair();
        events.push(change(1, None, MirroringState::Synchronizing));
        events.push(change(
            2,
            Some(MirroringState::Synchronizing),
            MirroringState::Synchronized,
        ));
        events.extend(killed_and_started(3, "alpha"));
        events.push(change(
            4,
            Some(MirroringState::Disconnected),
            MirroringState::Synchronizing,
        ));
        assert_quiet::<EventStreamConsistent>(&events);
    }

    #[test]
    fn a_gap_is_seen() {
        let mut events = pair();
        events.push(change(1, None, MirroringState::Synchronizing));
        events.push(change(
            2,
            Some(MirroringState::Disconnected),
            MirroringState::Synchronized,
        ));
        assert_red::<EventStreamConsistent>(&events, NAME);
    }
}
