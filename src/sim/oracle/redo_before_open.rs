//! A copy is opened to clients only after everything that its log held is redone: what a new principal hardened as mirror,
//! and what anybody's log held when its files were opened.
//!
//! Otherwise rows that were committed are missing for a while. A process that dies between the takeover and the opening
//! still owes the redo when it is back. Source: documented, *Role Switching*, *Estimate the
//! Interruption of Service During Role Switching*.

use std::collections::BTreeMap;

use super::hardened::HardenedExtents;
use super::history::session_event;
use super::{Oracle, Violation};
use crate::types::{DatabaseName, InstanceName, Lsn, RoleSequence, SessionEvent, Stamped};

const NAME: &str = "redo-before-open";

#[derive(Debug, Default)]
pub(super) struct RedoBeforeOpen {
    logs: HardenedExtents,
    redone: BTreeMap<(InstanceName, DatabaseName), Lsn>,
    /// Where the log ended at the last takeover or recovery: redo is owed up to there.
    owed: BTreeMap<(InstanceName, DatabaseName), Lsn>,
    /// Under which role sequence it last served: log of that sequence is its own, and was done before it was logged.
    served: BTreeMap<(InstanceName, DatabaseName), RoleSequence>,
}

impl Oracle for RedoBeforeOpen {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        let key = |database: &DatabaseName| (who.clone(), database.clone());
        match event {
            SessionEvent::Redone { database, to } => {
                let redone = self.redone.entry(key(database)).or_default();
                *redone = (*redone).max(*to);
            }
            // What is redone after a restart is told anew.
            SessionEvent::LogRecovered {
                database,
                end,
                redone,
            } => {
                self.served.remove(&key(database));
                self.redone.insert(key(database), *redone);
                self.owed.insert(key(database), *end);
            }
            SessionEvent::LogReverted { database, to, .. } => {
                let key = key(database);
                let known = [self.redone.get_mut(&key), self.owed.get_mut(&key)];
                known.into_iter().flatten().for_each(|lsn| *lsn = (*lsn).min(*to));
            }
            SessionEvent::Takeover { database, .. } => {
                if let Some(end) = self.logs.log(who, database).and_then(|log| log.end) {
                    self.owed.insert(key(database), end);
                }
            }
            SessionEvent::LogHardened {
                database,
                role_sequence,
                end,
                ..
            } if self.served.get(&key(database)) == Some(role_sequence) => {
                let redone = self.redone.entry(key(database)).or_default();
                *redone = (*redone).max(*end);
            }
            SessionEvent::Serving {
                database,
                serving: true,
                role_sequence,
                ..
            } => {
                self.served.insert(key(database), *role_sequence);
                let redone = self.redone.get(&key(database)).copied().unwrap_or_default();
                if let Some(end) = self.owed.remove(&key(database)).filter(|end| redone < *end) {
                    out.push(Violation::of(
                        NAME,
                        &[database, who],
                        format!("{who} opened {database} when it had redone {redone} of {end}"),
                        stamped.at,
                    ));
                }
            }
            _ => {}
        }
        self.logs.observe(who, event);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::SwitchKind;

    fn taken(redone_to: u64) -> Vec<Stamped> {
        vec![
            on(1, "beta", hardened(1, 0, 10, 1)),
            on(1, "beta", redone(redone_to)),
            on(2, "beta", takeover(SwitchKind::Automatic, 2)),
            on(2, "beta", serving(true, 2)),
        ]
    }

    #[test]
    fn all_redone_is_right() {
        assert_quiet::<RedoBeforeOpen>(&taken(10));
    }

    #[test]
    fn a_principal_has_done_what_it_logged() {
        let events = vec![
            on(0, "beta", recovered(0)),
            on(0, "beta", serving(true, 1)),
            on(1, "beta", hardened(1, 0, 10, 1)),
            on(2, "beta", serving(false, 1)),
            on(2, "beta", hardened(1, 10, 20, 1)),
            on(3, "beta", takeover(SwitchKind::Manual, 3)),
            on(3, "beta", serving(true, 3)),
        ];
        assert_quiet::<RedoBeforeOpen>(&events);
    }

    #[test]
    fn opening_too_early_is_seen() {
        assert_red::<RedoBeforeOpen>(&taken(5), NAME);
    }

    /// beta hardens up to 10 as a mirror, has redone 5 of it, and dies.
    fn died() -> Vec<Stamped> {
        let mut events = vec![
            on(0, "beta", recovered(0)),
            on(1, "beta", hardened(1, 0, 10, 1)),
            on(1, "beta", redone(5)),
        ];
        events.extend(killed_and_started(2, "beta"));
        events.push(on(3, "beta", read(10, 5)));
        events
    }

    fn read(end: u64, redone: u64) -> SessionEvent {
        SessionEvent::LogRecovered {
            database: db(),
            end: Lsn::new(end),
            redone: Lsn::new(redone),
        }
    }

    #[test]
    fn after_a_restart_the_rest_is_redone_first() {
        let mut events = died();
        events.extend([
            on(4, "beta", redone(10)),
            on(5, "beta", takeover(SwitchKind::Automatic, 2)),
            on(5, "beta", serving(true, 2)),
        ]);
        assert_quiet::<RedoBeforeOpen>(&events);
    }

    #[test]
    fn a_mirror_that_opens_without_redo_is_seen() {
        // After a restart, and with redo that never began.
        let never = vec![on(0, "beta", recovered(0)), on(1, "beta", hardened(1, 0, 10, 1))];
        for mut events in [died(), never] {
            events.push(on(5, "beta", takeover(SwitchKind::Automatic, 2)));
            events.push(on(5, "beta", serving(true, 2)));
            assert_red::<RedoBeforeOpen>(&events, NAME);
        }
    }

    #[test]
    fn death_between_takeover_and_opening_excuses_nothing() {
        let mut events = taken(5);
        events.truncate(3);
        events.extend(killed_and_started(3, "beta"));
        events.push(on(4, "beta", read(10, 5)));
        let mut right = events.clone();
        right.extend([on(4, "beta", redone(10)), on(5, "beta", serving(true, 2))]);
        assert_quiet::<RedoBeforeOpen>(&right);
        events.push(on(5, "beta", serving(true, 2)));
        assert_red::<RedoBeforeOpen>(&events, NAME);
    }

    #[test]
    fn log_that_is_taken_back_need_not_be_redone() {
        let mut events = died();
        events.extend([
            on(4, "beta", reverted(10, 5)),
            on(5, "beta", takeover(SwitchKind::Forced, 2)),
            on(5, "beta", serving(true, 2)),
        ]);
        assert_quiet::<RedoBeforeOpen>(&events);
    }
}
