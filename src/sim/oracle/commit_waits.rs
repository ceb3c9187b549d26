//! How long a principal holds commits back that are on its own disk, while a condition holds under which it need not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::history::session_event;
use super::scene::Scene;
use crate::types::{DatabaseName, Guid, InstanceName, Lsn, SessionEvent, Stamped, Timestamp};

/// What is left to do once the log disk has answered takes no time; a process that was paused gets up in time.
const BOUND: Duration = Duration::from_secs(1);

/// A commit that was acknowledged late.
#[derive(Debug)]
pub(super) struct Late {
    pub who: InstanceName,
    pub database: DatabaseName,
    pub lsn: Lsn,
    pub waited: Duration,
}

/// Whether commits need not wait for anybody.
type Condition = fn(&CommitWaits, &InstanceName, &DatabaseName) -> bool;

#[derive(Debug, Default)]
pub(super) struct CommitWaits {
    pub scene: Scene,
    /// The ends of blocks on each disk that are not yet acknowledged, and when they got there.
    hardened: BTreeMap<(InstanceName, DatabaseName), BTreeMap<Lsn, Timestamp>>,
    /// Who serves while the condition holds, and since when.
    free: BTreeMap<(InstanceName, DatabaseName), Timestamp>,
    /// Sessions whose witness has it that the mirror is not synchronized.
    vetoed: BTreeSet<Guid>,
}

impl CommitWaits {
    /// Whether the witness has it on record that the mirror is not synchronized.
    pub(super) fn is_vetoed(&self, session: Guid) -> bool {
        self.vetoed.contains(&session)
    }

    pub(super) fn observe(&mut self, stamped: &Stamped, condition: Condition) -> Option<Late> {
        if Scene::concerns(stamped) {
            self.scene.observe(stamped);
            self.note_record(stamped);
            self.look(stamped.at, condition);
        }
        let (who, event) = session_event(stamped)?;
        match event {
            SessionEvent::LogHardened { database, end, .. } => {
                let ends = self.hardened.entry((who.clone(), database.clone())).or_default();
                ends.insert(*end, stamped.at);
                None
            }
            SessionEvent::CommitAcknowledged { database, lsn, .. } => {
                let key = (who.clone(), database.clone());
                let ends = self.hardened.get_mut(&key)?;
                let hardened = ends.get(lsn).copied();
                *ends = ends.split_off(lsn);
                let waited = stamped.at.since(hardened?.max(*self.free.get(&key)?));
                let paused = self.scene.is_rough_since(stamped.at, std::slice::from_ref(who));
                (waited > BOUND && !paused).then(|| Late {
                    who: who.clone(),
                    database: database.clone(),
                    lsn: *lsn,
                    waited,
                })
            }
            _ => None,
        }
    }

    fn note_record(&mut self, stamped: &Stamped) {
        if let Some((
            _,
            SessionEvent::WitnessRecord {
                session,
                synchronized,
                ..
            },
        )) = session_event(stamped)
        {
            match synchronized {
                true => self.vetoed.remove(session),
                false => self.vetoed.insert(*session),
            };
        }
    }

    fn look(&mut self, at: Timestamp, condition: Condition) {
        let mut before = std::mem::take(&mut self.free);
        let free: Vec<_> = self
            .scene
            .copies()
            .filter(|(who, database, shown)| shown.serving && condition(self, who, database))
            .map(|(who, database, _)| (who.clone(), database.clone()))
            .collect();
        for key in free {
            let since = before.remove(&key).unwrap_or(at);
            self.free.insert(key, since);
        }
    }
}
