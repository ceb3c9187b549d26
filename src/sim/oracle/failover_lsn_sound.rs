//! The failover LSN names log that both partners have hardened, and grows within a role sequence.
//!
//! Source: documented, *sys.database_mirroring*, `mirroring_failover_lsn`: the latest LSN guaranteed to be hardened on
//! both partners, and the point of reconciliation after a failover.

use std::collections::BTreeMap;

use super::hardened::HardenedExtents;
use super::history::session_event;
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{DatabaseName, InstanceName, Lsn, SessionEvent, Stamped};

const NAME: &str = "failover-lsn-sound";

#[derive(Debug, Default)]
pub(super) struct FailoverLsnSound {
    scene: SharedScene,
    logs: HardenedExtents,
    /// What each partner last said under its present role sequence.
    said: BTreeMap<(InstanceName, DatabaseName), Lsn>,
}

impl FailoverLsnSound {
    fn judge(&mut self, who: &InstanceName, database: &DatabaseName, lsn: Lsn) -> Option<String> {
        let before = self.said.insert((who.clone(), database.clone()), lsn);
        if let Some(before) = before.filter(|before| lsn < *before) {
            return Some(format!(
                "the failover LSN goes back from {before} to {lsn} within a role sequence"
            ));
        }
        let partner = self.scene.sessions.partner(who, database);
        [Some(who), partner].into_iter().flatten().find_map(|copy| {
            let end = self.logs.log(copy, database)?.end?;
            (lsn > end).then(|| format!("the failover LSN is {lsn}, but {copy} has hardened only {end}"))
        })
    }
}

impl Oracle for FailoverLsnSound {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.scene.observe(stamped);
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        let claim = match event {
            SessionEvent::FailoverLsn { database, lsn } => Some((database, *lsn)),
            SessionEvent::Takeover {
                database,
                failover_lsn,
                ..
            } => Some((database, *failover_lsn)),
            SessionEvent::Role { database, .. } | SessionEvent::Configured { database, .. } => {
                self.said.remove(&(who.clone(), database.clone()));
                None
            }
            _ => None,
        };
        if let Some((database, lsn)) = claim
            && let Some(problem) = self.judge(who, database, lsn)
        {
            out.push(Violation {
                oracle: NAME,
                fingerprint: format!("{NAME}/{database}/{who}"),
                message: format!("{who}, {database}: {problem}"),
                at: stamped.at,
            });
        }
        self.logs.observe(who, event);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::PartnerRole;

    fn both_at_10() -> Vec<Stamped> {
        let mut events = pair();
        events.extend([
            on(1, "alpha", generated(1, 0, 10, 7)),
            on(1, "alpha", hardened(1, 0, 10, 7)),
            on(1, "beta", hardened(1, 0, 10, 7)),
            on(1, "alpha", failover_lsn(10)),
        ]);
        events
    }

    #[test]
    fn what_both_have_may_be_named_and_a_new_sequence_may_begin_lower() {
        let mut events = both_at_10();
        events.extend([
            on(2, "alpha", role(PartnerRole::Principal, 2)),
            on(2, "alpha", failover_lsn(4)),
        ]);
        assert_quiet::<FailoverLsnSound>(&events);
    }

    #[test]
    fn what_one_lacks_and_what_goes_back_is_seen() {
        let mut ahead = both_at_10();
        ahead.extend([
            on(2, "alpha", generated(1, 10, 20, 8)),
            on(2, "alpha", hardened(1, 10, 20, 8)),
            on(2, "alpha", failover_lsn(20)),
        ]);
        assert_red::<FailoverLsnSound>(&ahead, NAME);
        let mut back = both_at_10();
        back.push(on(2, "alpha", failover_lsn(9)));
        assert_red::<FailoverLsnSound>(&back, NAME);
    }
}
