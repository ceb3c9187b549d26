//! With SAFETY OFF a commit is acknowledged as soon as it is on the principal's own disk, whatever the mirror does.
//!
//! Measured on the principal, from its log disk's answer to its own, so that neither the client's network nor a slow disk
//! matters. Source: documented, *Database Mirroring Operating Modes*, asynchronous operation.

use super::commit_waits::{CommitWaits, Late, Promise};
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{DatabaseName, InstanceName, Safety, Stamped};

const NAME: &str = "async-never-waits";

const PROMISE: Promise = Promise {
    name: NAME,
    is_free: is_off,
    tell,
};

#[derive(Debug, Default)]
pub(super) struct AsyncNeverWaits {
    waits: CommitWaits,
}

fn is_off(waits: &CommitWaits, who: &InstanceName, database: &DatabaseName) -> bool {
    let settings = waits.scene.settings(who, database);
    settings.is_some_and(|settings| settings.safety == Safety::Off)
}

fn tell(late: &Late) -> String {
    let Late {
        who,
        database,
        lsn,
        waited,
    } = late;
    format!("{who} held the commit at {lsn} in {database} back for {waited:?} with SAFETY OFF")
}

impl Oracle for AsyncNeverWaits {
    fn share(&mut self, scene: &SharedScene) {
        self.waits.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.waits.observe(stamped, &PROMISE, out);
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        self.waits.finish(end, &PROMISE, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::{ClientEvent, Event, Source, Timestamp};

    fn history(safety: Safety, acked_at: u64) -> Vec<Stamped> {
        let mut events = pair_connected();
        events.push(on(1, "alpha", settings(safety, (2, 1), false, 10)));
        events.push(on(5, "alpha", hardened(1, 0, 10, 1)));
        events.push(on(acked_at, "alpha", acked(1, 10, None)));
        events
    }

    #[test]
    fn at_once_is_right_and_with_safety_full_it_is_another_question() {
        assert_quiet::<AsyncNeverWaits>(&history(Safety::Off, 5));
        assert_quiet::<AsyncNeverWaits>(&history(Safety::Full, 12));
    }

    #[test]
    fn what_was_written_before_counts_from_the_change() {
        let mut events = pair_connected();
        events.push(on(5, "alpha", hardened(1, 0, 10, 1)));
        events.push(on(12, "alpha", settings(Safety::Off, (2, 1), false, 10)));
        events.push(on(12, "alpha", acked(1, 10, None)));
        assert_quiet::<AsyncNeverWaits>(&events);
    }

    #[test]
    fn waiting_for_the_mirror_is_seen() {
        assert_red::<AsyncNeverWaits>(&history(Safety::Off, 12), NAME);
    }

    #[test]
    fn a_client_of_another_database_hides_nobody() {
        let mut events = history(Safety::Off, 12);
        events.pop();
        let asks = |client: &str, transaction| Stamped {
            at: Timestamp::from_secs(4),
            source: Source::Client(client.into()),
            event: Event::Client(ClientEvent::Submitted {
                transaction,
                to: InstanceName::new("alpha"),
                operation: format!("insert {transaction} = 1"),
            }),
        };
        let hardened = events.len() - 1;
        events.insert(hardened, asks("elsewhere", 1));
        events.push(world_step(20, "later"));
        let works_on = |client: &str, database: &str| (client.to_owned(), DatabaseName::new(database));
        let end = End {
            at: Timestamp::from_secs(20),
            databases: [works_on("elsewhere", "Other"), works_on("here", "Sales")].into(),
            ..End::default()
        };
        assert_eq!(judge_until::<AsyncNeverWaits>(&events, &end), []);
        events.insert(hardened, asks("here", 2));
        let violations = judge_until::<AsyncNeverWaits>(&events, &end);
        assert_eq!(violations.len(), 1, "{violations:?}");
        assert_eq!(violations[0].oracle, NAME);
    }

    #[test]
    fn a_commit_that_is_never_acknowledged_is_seen_while_its_client_waits() {
        let mut events = history(Safety::Off, 12);
        events.pop();
        events.push(world_step(20, "later"));
        assert_quiet::<AsyncNeverWaits>(&events);
        let asked = |operation: &str| ClientEvent::Submitted {
            transaction: 1,
            to: InstanceName::new("alpha"),
            operation: operation.into(),
        };
        let hardened = events.len() - 2;
        let mut read = events.clone();
        read.insert(hardened, client(4, asked("read 7")));
        assert_quiet::<AsyncNeverWaits>(&read);
        events.insert(hardened, client(4, asked("insert 7 = 1")));
        assert_red::<AsyncNeverWaits>(&events, NAME);
        // An answer that came in time, and one that the client stopped waiting for.
        let answered = ClientEvent::Acknowledged {
            transaction: 1,
            values: Vec::new(),
        };
        let mut right = events.clone();
        right.insert(hardened + 2, client(5, answered));
        assert_quiet::<AsyncNeverWaits>(&right);
        events.insert(hardened + 2, client(15, ClientEvent::InDoubt { transaction: 1 }));
        assert_red::<AsyncNeverWaits>(&events, NAME);
    }
}
