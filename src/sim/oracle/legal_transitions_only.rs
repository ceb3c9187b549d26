//! Every change of state that a partner shows is in the table of transitions.
//!
//! Above all, SYNCHRONIZED comes from SYNCHRONIZING only, and no mirror shows PENDING_FAILOVER. A process that has died
//! begins anew. The table is `types::TRANSITIONS`. Source: documented, *Mirroring States*, *Role Switching*; the table as a
//! whole is derived.

use std::collections::BTreeMap;

use super::history::session_event;
use super::scene::gone;
use super::{Oracle, Violation};
use crate::types::{DatabaseName, InstanceName, MirroringState, SessionEvent, Stamped, is_legal_transition};

const NAME: &str = "legal-transitions-only";

#[derive(Debug, Default)]
pub(super) struct LegalTransitionsOnly {
    shown: BTreeMap<(InstanceName, DatabaseName), MirroringState>,
}

impl Oracle for LegalTransitionsOnly {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if let Some(instance) = gone(stamped) {
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
                database,
                role,
                from,
                to,
                ..
            } => {
                let before = self.shown.insert((who.clone(), database.clone()), *to);
                let told = from.is_some() && before.is_some() && *from != before;
                if !is_legal_transition(*role, before, *to) || told {
                    let before = before.map_or("nothing".to_owned(), |state| state.to_string());
                    out.push(Violation::of(
                        NAME,
                        &[database, who, &before, to],
                        format!("{database} on {who}, which is {role}, went from {before} to {to}"),
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

    /// The principal shows the last of them as a mirror.
    fn path_to_mirror(states: &[MirroringState]) -> Vec<Stamped> {
        let mut events = path(states);
        if let Some(last) = events.last_mut() {
            *last = on(
                1,
                "alpha",
                state(PartnerRole::Mirror, *states.last().expect("one")),
            );
        }
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

    #[test]
    fn a_mirror_that_shows_pending_failover_is_seen() {
        use MirroringState::*;
        let swap = [Synchronizing, Synchronized, PendingFailover, Synchronizing];
        assert_quiet::<LegalTransitionsOnly>(&path_to_mirror(&swap));
        assert_red::<LegalTransitionsOnly>(&path_to_mirror(&swap[..3]), NAME);
    }

    #[test]
    fn what_the_table_lacks_is_seen() {
        use MirroringState::*;
        for steps in [
            &[Synchronizing, Suspended, Disconnected][..],
            &[Synchronizing, Synchronized, PendingFailover, Synchronized],
        ] {
            assert_red::<LegalTransitionsOnly>(&path(steps), NAME);
        }
    }

    #[test]
    fn a_restart_begins_anew() {
        use MirroringState::*;
        for first in [Disconnected, Suspended, Synchronizing] {
            let mut events = path(&[Synchronizing, Synchronized]);
            events.push(killed(2, "alpha"));
            events.push(on(3, "alpha", state(PartnerRole::Principal, first)));
            assert_quiet::<LegalTransitionsOnly>(&events);
        }
        let mut events = path(&[Synchronizing, Synchronized]);
        events.push(killed(2, "alpha"));
        events.push(on(3, "alpha", state(PartnerRole::Principal, Synchronized)));
        assert_red::<LegalTransitionsOnly>(&events, NAME);
    }
}
