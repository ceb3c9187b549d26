//! A principal with a limit of the redo queue on record sends no log that would take the mirror's queue beyond it.
//!
//! The queue is reckoned from what the mirror itself says that it has redone, which the principal hears of later. A block
//! that finds the queue empty is sent whatever its size, but none is larger than the least limit; a limit that is set below
//! the queue there is stops the next block only. Source: documented, *sys.database_mirroring*, `mirroring_redo_queue`.

use std::collections::BTreeMap;

use super::history::session_event;
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{DatabaseName, InstanceName, Lsn, SessionEvent, Stamped};

const NAME: &str = "redo-queue-limit";
const BYTES_PER_MB: u64 = 1024 * 1024;

type Copy = (InstanceName, DatabaseName);

#[derive(Debug, Default)]
pub(super) struct RedoQueueLimit {
    scene: SharedScene,
    /// Megabytes, of those that have one.
    limits: BTreeMap<Copy, u32>,
    redone: BTreeMap<Copy, Lsn>,
}

impl RedoQueueLimit {
    /// The limit in bytes and what is queued, if that is more.
    fn beyond(&self, who: &InstanceName, database: &DatabaseName, to: Lsn) -> Option<(u64, u64)> {
        let limit = self.limits.get(&(who.clone(), database.clone()))?;
        let mirror = self.scene.sessions.partner(who, database)?;
        let redone = self.redone.get(&(mirror.clone(), database.clone()))?;
        let limit = u64::from(*limit) * BYTES_PER_MB;
        let queued = to.bytes_since(*redone);
        (queued > limit).then_some((limit, queued))
    }
}

impl Oracle for RedoQueueLimit {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.scene.observe(stamped);
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        match event {
            SessionEvent::Settings {
                database,
                redo_queue_mb,
                ..
            } => {
                let copy = (who.clone(), database.clone());
                match redo_queue_mb {
                    Some(megabytes) => self.limits.insert(copy, *megabytes),
                    None => self.limits.remove(&copy),
                };
            }
            SessionEvent::Redone { database, to } => {
                self.redone.insert((who.clone(), database.clone()), *to);
            }
            // Where redo stands after that is told by the next Redone; a principal redoes nothing.
            SessionEvent::Configured { database, .. }
            | SessionEvent::LogReverted { database, .. }
            | SessionEvent::Role { database, .. } => {
                self.redone.remove(&(who.clone(), database.clone()));
            }
            SessionEvent::LogSent { database, to } => {
                if let Some((limit, queued)) = self.beyond(who, database, *to) {
                    let message = format!(
                        "{who} sent log of {database} that makes a redo queue of {queued} bytes of {limit}"
                    );
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
    use crate::types::{PartnerRole, Safety};

    const MB: u64 = BYTES_PER_MB;

    fn limited(megabytes: Option<u32>) -> Vec<Stamped> {
        let mut set = settings(Safety::Full, (1, 1), false, 10);
        if let SessionEvent::Settings { redo_queue_mb, .. } = &mut set {
            *redo_queue_mb = megabytes;
        }
        let mut events = pair_connected();
        events.push(on(5, "alpha", set));
        events.push(on(6, "beta", redone(MB)));
        events
    }

    #[test]
    fn up_to_the_limit_and_without_one_all_is_well() {
        let mut events = limited(Some(2));
        events.push(on(7, "alpha", sent(3 * MB)));
        events.push(on(8, "beta", redone(2 * MB)));
        events.push(on(9, "alpha", sent(4 * MB)));
        assert_quiet::<RedoQueueLimit>(&events);
        let mut events = limited(None);
        events.push(on(7, "alpha", sent(9 * MB)));
        assert_quiet::<RedoQueueLimit>(&events);
    }

    /// Beta was principal in between, and wrote without anything to redo.
    #[test]
    fn what_a_mirror_had_redone_in_another_life_does_not_count() {
        let mut events = limited(Some(2));
        events.push(on(7, "beta", role(PartnerRole::Principal, 2)));
        events.push(on(8, "beta", role(PartnerRole::Mirror, 3)));
        events.push(on(9, "alpha", sent(9 * MB)));
        assert_quiet::<RedoQueueLimit>(&events);
    }

    #[test]
    fn log_beyond_the_limit_is_seen() {
        let mut events = limited(Some(2));
        events.push(on(7, "alpha", sent(3 * MB + 1)));
        assert_red::<RedoQueueLimit>(&events, NAME);
    }
}
