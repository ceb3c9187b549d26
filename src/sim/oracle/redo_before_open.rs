//! A new principal opens the database only after redoing everything it hardened as mirror.
//!
//! Otherwise rows that were committed are missing for a while. Source: documented, *Role Switching*, *Estimate the
//! Interruption of Service During Role Switching*.

use std::collections::BTreeMap;

use super::history::{HardenedLogs, session_event};
use super::{Oracle, Violation};
use crate::types::{DatabaseName, InstanceName, Lsn, SessionEvent, Stamped};

const NAME: &str = "redo-before-open";

#[derive(Debug, Default)]
pub(super) struct RedoBeforeOpen {
    logs: HardenedLogs,
    redone: BTreeMap<(InstanceName, DatabaseName), Lsn>,
    /// Took the role over, and where its log ended then.
    taken: BTreeMap<(InstanceName, DatabaseName), Lsn>,
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
            // What a restart has redone it tells anew.
            SessionEvent::LogRecovered { database, .. } => {
                self.redone.remove(&key(database));
                self.taken.remove(&key(database));
            }
            SessionEvent::LogReverted { database, to, .. } => {
                if let Some(redone) = self.redone.get_mut(&key(database)) {
                    *redone = (*redone).min(*to);
                }
            }
            SessionEvent::Takeover { database, .. } => {
                if let Some(end) = self.logs.log(who, database).and_then(|log| log.end) {
                    self.taken.insert(key(database), end);
                }
            }
            SessionEvent::Serving {
                database,
                serving: true,
                ..
            } => {
                let redone = self.redone.get(&key(database)).copied();
                if let Some((end, redone)) = self.taken.remove(&key(database)).zip(redone)
                    && redone < end
                {
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
    fn opening_too_early_is_seen() {
        assert_red::<RedoBeforeOpen>(&taken(5), NAME);
    }
}
