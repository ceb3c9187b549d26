//! With SAFETY FULL, a commit acknowledged while SYNCHRONIZED is hardened on both partners.
//!
//! Commits of an exposed principal, or under SAFETY OFF, wait for nobody. Source: documented, *Database Mirroring Operating
//! Modes*, synchronous operation.

use super::hardened::HardenedExtents;
use super::history::session_event;
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{MirroringState, SessionEvent, Stamped};

const NAME: &str = "sync-ack-means-both-hardened";

#[derive(Debug, Default)]
pub(super) struct SyncAckMeansBothHardened {
    scene: SharedScene,
    logs: HardenedExtents,
}

impl Oracle for SyncAckMeansBothHardened {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.scene.observe(stamped);
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        self.logs.observe(who, event);
        let SessionEvent::CommitAcknowledged {
            database,
            lsn,
            state: Some(MirroringState::Synchronized),
            ..
        } = event
        else {
            return;
        };
        if !self.scene.sessions.is_safety_full(database) {
            return;
        }
        let partner = self.scene.sessions.partner(who, database);
        for holder in [Some(who), partner].into_iter().flatten() {
            let log = self.logs.log(holder, database);
            if log.is_some_and(|log| log.reaches(*lsn)) {
                continue;
            }
            let end = log
                .and_then(|log| log.end)
                .map_or("nowhere".to_owned(), |end| end.to_string());
            out.push(Violation {
                oracle: NAME,
                fingerprint: format!("{NAME}/{database}/{holder}"),
                message: format!(
                    "{who} acknowledged the commit at {lsn} of {database}, but the log hardened on {holder} reaches {end}"
                ),
                at: stamped.at,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::Safety;

    #[test]
    fn hardened_on_both_is_right() {
        let mut events = pair();
        events.extend([
            on(1, "alpha", hardened(1, 0, 10, 1)),
            on(1, "beta", hardened(1, 0, 10, 1)),
            on(1, "alpha", acked(1, 10, Some(MirroringState::Synchronized))),
        ]);
        assert_quiet::<SyncAckMeansBothHardened>(&events);
    }

    #[test]
    fn an_exposed_principal_waits_for_nobody() {
        let mut events = pair();
        events.extend([
            on(1, "alpha", hardened(1, 0, 10, 1)),
            on(1, "alpha", acked(1, 10, Some(MirroringState::Disconnected))),
        ]);
        assert_quiet::<SyncAckMeansBothHardened>(&events);
    }

    #[test]
    fn safety_off_waits_for_nobody() {
        let said = world_step(1, "sql on alpha: ALTER DATABASE Sales SET PARTNER SAFETY OFF");
        let recorded = on(1, "alpha", settings(Safety::Off, (2, 1), false, 10));
        let history = |before: &[Stamped]| {
            let mut events = pair();
            events.extend(before.iter().cloned());
            events.extend([
                on(1, "alpha", hardened(1, 0, 10, 1)),
                on(1, "alpha", acked(1, 10, Some(MirroringState::Synchronizing))),
                on(1, "alpha", acked(1, 10, Some(MirroringState::Synchronized))),
            ]);
            events
        };
        assert_quiet::<SyncAckMeansBothHardened>(&history(&[said.clone(), recorded.clone()]));
        // One that was refused, and one that nobody asked for.
        assert_red::<SyncAckMeansBothHardened>(&history(&[said]), NAME);
        assert_red::<SyncAckMeansBothHardened>(&history(&[recorded]), NAME);
    }

    #[test]
    fn acknowledged_before_the_mirror_hardened_is_seen() {
        let mut events = pair();
        events.extend([
            on(1, "alpha", hardened(1, 0, 10, 1)),
            on(1, "beta", hardened(1, 0, 8, 1)),
            on(1, "alpha", acked(1, 10, Some(MirroringState::Synchronized))),
        ]);
        assert_red::<SyncAckMeansBothHardened>(&events, NAME);
    }

    #[test]
    fn log_that_was_cut_back_does_not_count() {
        let mut events = pair();
        events.extend([
            on(1, "alpha", hardened(1, 0, 10, 1)),
            on(1, "beta", hardened(1, 0, 10, 1)),
            on(1, "beta", reverted(10, 4)),
            on(1, "alpha", acked(1, 10, Some(MirroringState::Synchronized))),
        ]);
        assert_red::<SyncAckMeansBothHardened>(&events, NAME);
    }
}
