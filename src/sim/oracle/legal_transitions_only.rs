//! Every change of state that a partner shows is in the table of transitions.
//!
//! Above all, SYNCHRONIZED comes from SYNCHRONIZING only. A process that has died begins anew. Source: documented,
//! *Mirroring States*, *Role Switching*; the table as a whole is derived.

use std::collections::BTreeMap;

use super::history::session_event;
use super::{Oracle, Violation};
use crate::types::{DatabaseName, Event, InstanceName, MirroringState, SessionEvent, Stamped, WorldEvent};

const NAME: &str = "legal-transitions-only";

#[derive(Debug, Default)]
pub(super) struct LegalTransitionsOnly {
    shown: BTreeMap<(InstanceName, DatabaseName), MirroringState>,
}

fn is_legal(from: Option<MirroringState>, to: MirroringState) -> bool {
    use MirroringState::*;
    match (from, to) {
        // An instance that starts has no connection yet, or a session that was suspended.
        (None, Synchronizing | Disconnected | Suspended) => true,
        (None, _) => false,
        (Some(from), to) if from == to => true,
        (Some(_), Disconnected | Suspended) => true,
        (Some(Disconnected | Suspended | Synchronized | PendingFailover), Synchronizing) => true,
        (Some(Synchronizing), Synchronized) => true,
        (Some(Synchronized), PendingFailover) => true,
        // The failover did not happen.
        (Some(PendingFailover), Synchronized) => true,
        _ => false,
    }
}

impl Oracle for LegalTransitionsOnly {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if let Event::World(WorldEvent::ProcessKilled { instance }) = &stamped.event {
            self.shown.retain(|(who, _), _| who != instance);
        }
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        match event {
            SessionEvent::Configured { database, .. } | SessionEvent::Removed { database, .. } => {
                self.shown.remove(&(who.clone(), database.clone()));
            }
            SessionEvent::State {
                database, from, to, ..
            } => {
                let before = self.shown.insert((who.clone(), database.clone()), *to);
                let told = from.is_some() && before.is_some() && *from != before;
                if !is_legal(before, *to) || told {
                    let before = before.map_or("nothing".to_owned(), |state| state.to_string());
                    out.push(Violation::of(
                        NAME,
                        &[database, who, &before, to],
                        format!("{database} on {who} went from {before} to {to}"),
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
    use crate::types::PartnerRole;

    fn path(states: &[MirroringState]) -> Vec<Stamped> {
        let mut events = pair();
        let shown = states
            .iter()
            .map(|to| on(1, "alpha", state(PartnerRole::Principal, *to)));
        events.extend(shown);
        events
    }

    #[test]
    fn the_usual_ways_are_legal() {
        use MirroringState::*;
        assert_quiet::<LegalTransitionsOnly>(&path(&[
            Synchronizing,
            Synchronized,
            Synchronized,
            PendingFailover,
            Synchronizing,
            Disconnected,
            Suspended,
            Synchronizing,
        ]));
    }

    #[test]
    fn shortcuts_are_seen() {
        use MirroringState::*;
        for from in [Disconnected, Suspended] {
            assert_red::<LegalTransitionsOnly>(&path(&[Synchronizing, from, Synchronized]), NAME);
        }
        assert_red::<LegalTransitionsOnly>(&path(&[Synchronized]), NAME);
        assert_red::<LegalTransitionsOnly>(&path(&[Synchronizing, PendingFailover]), NAME);
    }
}
