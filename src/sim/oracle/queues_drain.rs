//! Once all is healed, what a synchronized principal wrote is sent, hardened and redone on its mirror but for the last
//! moments.
//!
//! The clients of a scenario write less than a mirror can redo. Source: derived from *Estimate the Interruption of Service
//! During Role Switching*.

use std::collections::BTreeMap;
use std::time::Duration;

use super::history::session_event;
use super::scene::Scene;
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{
    DatabaseName, InstanceName, Lsn, MirroringState, PartnerRole, SessionEvent, Stamped, Timestamp,
};

const NAME: &str = "queues-drain";

/// What was written within this time of the end may still be on its way.
const RECENT: Duration = Duration::from_secs(5);

type Copy = (InstanceName, DatabaseName);

#[derive(Debug, Default)]
pub(super) struct QueuesDrain {
    scene: SharedScene,
    /// Where the blocks end that each principal generated, since it last had its role or cut its log.
    generated: BTreeMap<Copy, BTreeMap<Lsn, Timestamp>>,
    /// How far each copy has sent and redone.
    sent: BTreeMap<Copy, Lsn>,
    redone: BTreeMap<Copy, Lsn>,
}

impl QueuesDrain {
    fn is_synchronized(&self, who: &InstanceName, database: &DatabaseName) -> bool {
        let shown = self.scene.shown(who, database);
        shown.is_some_and(|shown| shown.state == Some(MirroringState::Synchronized))
    }

    fn note(&mut self, stamped: &Stamped) {
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        let key = |database: &DatabaseName| (who.clone(), database.clone());
        match event {
            SessionEvent::LogGenerated { database, end, .. } => {
                let ends = self.generated.entry(key(database)).or_default();
                ends.insert(*end, stamped.at);
                // Of what is old enough only the newest matters.
                let old = |at: &Timestamp| stamped.at.since(*at) > RECENT;
                if let Some(newest) = ends.iter().filter(|(_, at)| old(at)).map(|(end, _)| *end).max() {
                    ends.retain(|end, _| *end >= newest);
                }
            }
            SessionEvent::LogSent { database, to } => {
                self.sent.insert(key(database), *to);
            }
            SessionEvent::Redone { database, to } => {
                self.redone.insert(key(database), *to);
            }
            SessionEvent::LogReverted { database, to, .. } => {
                let copy = key(database);
                self.generated.remove(&copy);
                for queue in [&mut self.sent, &mut self.redone] {
                    if let Some(reached) = queue.get_mut(&copy) {
                        *reached = (*reached).min(*to);
                    }
                }
            }
            SessionEvent::LogRecovered { database, redone, .. } => {
                self.generated.remove(&key(database));
                self.redone.insert(key(database), *redone);
            }
            SessionEvent::Role { database, .. } | SessionEvent::Configured { database, .. } => {
                self.generated.remove(&key(database));
            }
            _ => {}
        }
    }
}

impl Oracle for QueuesDrain {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, _out: &mut Vec<Violation>) {
        if Scene::concerns(stamped) {
            self.scene.observe(stamped);
        }
        self.note(stamped);
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        if self.scene.has_healed(end).is_none() {
            return;
        }
        for (who, database, shown) in self.scene.copies() {
            let Some(mirror) = self.scene.sessions.partner(who, database) else {
                continue;
            };
            let principal = shown.role == Some(PartnerRole::Principal);
            if !principal || !self.is_synchronized(who, database) || !self.is_synchronized(mirror, database) {
                continue;
            }
            let (mine, its) = (
                (who.clone(), database.clone()),
                (mirror.clone(), database.clone()),
            );
            let ends = self.generated.get(&mine).into_iter().flatten();
            let owed = ends
                .filter(|(_, at)| end.at.since(**at) > RECENT)
                .map(|(end, _)| *end)
                .max();
            for (queue, reached) in [("send", self.sent.get(&mine)), ("redo", self.redone.get(&its))] {
                let reached = reached.copied().unwrap_or(Lsn::ZERO);
                if let Some(owed) = owed
                    && reached < owed
                {
                    let message = format!(
                        "the {queue} queue of {database} stands at {reached}, {who} wrote up to {owed}"
                    );
                    out.push(Violation::of(NAME, &[database, &queue], message, end.at));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::WorldEvent;

    fn history(sent_to: u64, redone_to: u64) -> Vec<Stamped> {
        let mut events = pair_connected();
        events.extend([
            world(3, WorldEvent::Quiet),
            on(10, "alpha", generated(1, 0, 10, 1)),
            on(20, "alpha", generated(1, 10, 20, 2)),
            on(21, "alpha", sent(sent_to)),
            on(21, "beta", redone(redone_to)),
            on(99, "alpha", generated(1, 20, 30, 3)),
            world_step(100, "later"),
        ]);
        events
    }

    #[test]
    fn the_last_moments_may_be_on_their_way() {
        assert_quiet::<QueuesDrain>(&history(20, 20));
    }

    #[test]
    fn a_mirror_that_restarts_has_redone_what_it_read() {
        let restarted = |read: u64, then: Option<u64>| {
            let mut events = history(20, 20);
            events.insert(events.len() - 2, on(22, "beta", recovered(read)));
            if let Some(to) = then {
                events.insert(events.len() - 2, on(23, "beta", redone(to)));
            }
            events
        };
        assert_quiet::<QueuesDrain>(&restarted(20, None));
        assert_quiet::<QueuesDrain>(&restarted(10, Some(20)));
        assert_red::<QueuesDrain>(&restarted(10, None), NAME);
        let mut reverted_only = history(20, 20);
        reverted_only.insert(reverted_only.len() - 2, on(22, "beta", reverted(20, 10)));
        assert_red::<QueuesDrain>(&reverted_only, NAME);
    }

    #[test]
    fn a_mirror_that_never_redid_anything_is_seen() {
        let never = |event: &Stamped| !matches!(session_event(event), Some((_, SessionEvent::Redone { .. })));
        let events: Vec<_> = history(20, 20).into_iter().filter(never).collect();
        assert_red::<QueuesDrain>(&events, NAME);
    }

    #[test]
    fn log_that_is_never_sent_or_redone_is_seen() {
        assert_red::<QueuesDrain>(&history(10, 20), NAME);
        assert_red::<QueuesDrain>(&history(20, 10), NAME);
    }
}
