//! A former principal that is SYNCHRONIZED again holds exactly its partner's log: its own unacknowledged tail is gone.
//!
//! Judged when it says that it is SYNCHRONIZED as a mirror, and once more at the end. Source: documented, *Role Switching
//! During a Database Mirroring Session*: the former principal rolls back to the failover LSN before it goes forward.

use std::collections::BTreeSet;

use super::hardened::HardenedLogs;
use super::history::session_event;
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{
    DatabaseName, InstanceName, MirroringState, PartnerRole, SessionEvent, Stamped, Timestamp,
};

const NAME: &str = "rejoin-truncates-to-failover-lsn";

#[derive(Debug, Default)]
pub(super) struct RejoinTruncatesToFailoverLsn {
    scene: SharedScene,
    logs: HardenedLogs,
    /// Copies whose instance was principal in this session and is mirror now.
    rejoining: BTreeSet<(InstanceName, DatabaseName)>,
    /// Those of them that are SYNCHRONIZED.
    rejoined: BTreeSet<(InstanceName, DatabaseName)>,
}

impl RejoinTruncatesToFailoverLsn {
    fn judge(&self, who: &InstanceName, database: &DatabaseName) -> Option<String> {
        let partner = self.scene.sessions.partner(who, database)?;
        let (mine, theirs) = (self.logs.log(who, database)?, self.logs.log(partner, database)?);
        if let (Some(end), Some(theirs)) = (mine.end, theirs.end)
            && end > theirs
        {
            return Some(format!(
                "still has log up to {end}, {partner} only up to {theirs}"
            ));
        }
        mine.blocks().find_map(|block| {
            let other = theirs.at(block.start)?;
            (other.crc != block.crc || other.end != block.end).then(|| {
                format!(
                    "holds another block at {}..{} than {partner}",
                    block.start, block.end
                )
            })
        })
    }

    fn tell(&self, key: &(InstanceName, DatabaseName), at: Timestamp, out: &mut Vec<Violation>) {
        let (who, database) = key;
        if let Some(problem) = self.judge(who, database) {
            out.push(Violation {
                oracle: NAME,
                fingerprint: format!("{NAME}/{database}/{who}"),
                message: format!("{who}, {database}: {problem}"),
                at,
            });
        }
    }
}

impl Oracle for RejoinTruncatesToFailoverLsn {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.scene.observe(stamped);
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        self.logs.observe(who, event);
        match event {
            SessionEvent::Configured { database, .. } => {
                let key = (who.clone(), database.clone());
                self.rejoining.remove(&key);
                self.rejoined.remove(&key);
            }
            SessionEvent::Role {
                database,
                from: Some(PartnerRole::Principal),
                to: PartnerRole::Mirror,
                ..
            } => {
                self.rejoining.insert((who.clone(), database.clone()));
            }
            SessionEvent::Role {
                database,
                to: PartnerRole::Principal,
                ..
            } => {
                let key = (who.clone(), database.clone());
                self.rejoining.remove(&key);
                self.rejoined.remove(&key);
            }
            SessionEvent::State { database, to, .. } => {
                let key = (who.clone(), database.clone());
                let synchronized = *to == MirroringState::Synchronized && self.rejoining.contains(&key);
                if !synchronized {
                    self.rejoined.remove(&key);
                } else if self.rejoined.insert(key.clone()) {
                    self.tell(&key, stamped.at, out);
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        for key in &self.rejoined {
            if !out.iter().any(|v| v.oracle == NAME) {
                self.tell(key, end.at, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    /// beta took over while alpha had a block of its own.
    fn switched() -> Vec<Stamped> {
        let mut events = pair();
        events.extend([
            on(1, "alpha", hardened(1, 0, 10, 7)),
            on(1, "beta", hardened(1, 0, 10, 7)),
            on(1, "alpha", hardened(1, 10, 20, 8)),
            on(2, "beta", role(PartnerRole::Principal, 2)),
            on(2, "beta", hardened(2, 10, 20, 9)),
            on(3, "alpha", switch(PartnerRole::Principal, PartnerRole::Mirror, 2)),
        ]);
        events
    }

    fn synchronized() -> SessionEvent {
        state(PartnerRole::Mirror, MirroringState::Synchronized)
    }

    #[test]
    fn a_tail_that_was_cut_off_and_replaced_is_legal() {
        let mut events = switched();
        events.extend([
            on(4, "alpha", reverted(20, 10)),
            on(4, "alpha", hardened(2, 10, 20, 9)),
            on(5, "alpha", synchronized()),
        ]);
        assert_quiet::<RejoinTruncatesToFailoverLsn>(&events);
    }

    #[test]
    fn a_tail_that_was_kept_is_seen() {
        let mut events = switched();
        events.push(on(5, "alpha", synchronized()));
        assert_red::<RejoinTruncatesToFailoverLsn>(&events, NAME);
        let mut longer = switched();
        longer.extend([
            on(4, "alpha", reverted(20, 10)),
            on(4, "alpha", hardened(2, 10, 20, 9)),
            on(4, "alpha", hardened(2, 20, 30, 1)),
            on(5, "alpha", synchronized()),
        ]);
        assert_red::<RejoinTruncatesToFailoverLsn>(&longer, NAME);
    }
}
