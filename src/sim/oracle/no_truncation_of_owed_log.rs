//! While the session exists, nobody gives up log that the other partner has not confirmed.
//!
//! Not while DISCONNECTED or SUSPENDED either: a log that cannot be truncated fills up and stops updates, it is never
//! dropped. Source: documented, *Pausing and Resuming Database Mirroring*.

use super::hardened::HardenedExtents;
use super::history::session_event;
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{DatabaseName, InstanceName, Lsn, SessionEvent, Stamped};

const NAME: &str = "no-truncation-of-owed-log";

#[derive(Debug, Default)]
pub(super) struct NoTruncationOfOwedLog {
    scene: SharedScene,
    logs: HardenedExtents,
}

impl NoTruncationOfOwedLog {
    fn judge(&self, who: &InstanceName, database: &DatabaseName, to: Lsn) -> Option<String> {
        let partner = self.scene.sessions.partner(who, database)?;
        let confirmed = self.logs.log(partner, database).and_then(|log| log.end);
        // A partner that has hardened nothing since the session began is owed all that was hardened here since.
        let owed_from = match confirmed {
            Some(end) => end,
            None => self.logs.log(who, database)?.start()?,
        };
        (to > owed_from).then(|| {
            format!("gave up its log up to {to}, but {partner} has only what lies before {owed_from}")
        })
    }
}

impl Oracle for NoTruncationOfOwedLog {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.scene.observe(stamped);
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        if let SessionEvent::LogTruncated { database, to } = event
            && let Some(problem) = self.judge(who, database, *to)
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

    fn alpha_ahead() -> Vec<Stamped> {
        let mut events = pair();
        events.extend([
            on(1, "alpha", generated(1, 0, 10, 7)),
            on(1, "alpha", hardened(1, 0, 10, 7)),
            on(1, "beta", hardened(1, 0, 10, 7)),
            on(1, "alpha", generated(1, 10, 20, 8)),
            on(1, "alpha", hardened(1, 10, 20, 8)),
        ]);
        events
    }

    #[test]
    fn confirmed_log_may_go() {
        let mut events = alpha_ahead();
        events.push(on(2, "alpha", truncated(10)));
        events.push(on(2, "beta", truncated(10)));
        assert_quiet::<NoTruncationOfOwedLog>(&events);
    }

    #[test]
    fn owed_log_may_not() {
        let mut events = alpha_ahead();
        events.push(on(2, "alpha", truncated(20)));
        assert_red::<NoTruncationOfOwedLog>(&events, NAME);
        let mut nothing_confirmed = pair();
        nothing_confirmed.extend([
            on(1, "alpha", generated(1, 5, 10, 7)),
            on(1, "alpha", hardened(1, 5, 10, 7)),
            on(2, "alpha", truncated(10)),
        ]);
        assert_red::<NoTruncationOfOwedLog>(&nothing_confirmed, NAME);
    }
}
