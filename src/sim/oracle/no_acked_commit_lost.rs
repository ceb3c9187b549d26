//! No commit that a client was told of is lost by an automatic or manual failover.
//!
//! Seen twice: at the takeover in the logs (what was acknowledged must be hardened where service goes on, same bytes), and
//! at the end in the data (every acknowledged transaction shows in what the serving principal answers). A forced service
//! may lose commits, and so may a failover under SAFETY OFF: both are excused, from the operator's commands. Source:
//! documented, *Role Switching During a Database Mirroring Session*, *Database Mirroring Operating Modes*.

use std::collections::{BTreeMap, BTreeSet};

use super::hardened::{Block, HardenedLogs};
use super::history::{Sessions, session_event};
use super::ledger::Ledger;
use super::{End, Oracle, Violation};
use crate::types::{DatabaseName, Event, InstanceName, Lsn, SessionEvent, Source, Stamped, SwitchKind};

const NAME: &str = "no-acked-commit-lost-by-failover";

#[derive(Debug, Default)]
pub(super) struct NoAckedCommitLost {
    sessions: Sessions,
    logs: HardenedLogs,
    /// The furthest commit acknowledged in each database, by whom, and the block it was in.
    acknowledged: BTreeMap<DatabaseName, Vec<AckedCommit>>,
    /// Databases in which losses are excused from some time on.
    excused: BTreeSet<DatabaseName>,
    clients: BTreeMap<String, Ledger>,
}

#[derive(Debug)]
struct AckedCommit {
    lsn: Lsn,
    by: InstanceName,
    block: Option<Block>,
}

impl NoAckedCommitLost {
    fn on_session(
        &mut self,
        stamped: &Stamped,
        who: &InstanceName,
        event: &SessionEvent,
        out: &mut Vec<Violation>,
    ) {
        match event {
            // Before the session there was nothing to lose by a failover.
            SessionEvent::Configured { database, .. } => {
                self.acknowledged.remove(database);
            }
            SessionEvent::CommitAcknowledged {
                database,
                lsn,
                state: Some(_),
                ..
            } => {
                let block = self
                    .logs
                    .log(who, database)
                    .and_then(|log| log.block_before(*lsn));
                let commits = self.acknowledged.entry(database.clone()).or_default();
                let by = who.clone();
                commits.push(AckedCommit { lsn: *lsn, by, block });
            }
            SessionEvent::Takeover { database, kind, .. } => {
                self.on_takeover(stamped, who, database, *kind, out)
            }
            _ => {}
        }
    }

    fn on_takeover(
        &mut self,
        stamped: &Stamped,
        who: &InstanceName,
        database: &DatabaseName,
        kind: SwitchKind,
        out: &mut Vec<Violation>,
    ) {
        if kind == SwitchKind::Forced || !self.sessions.is_safety_full(database) {
            self.excused.insert(database.clone());
            self.acknowledged.remove(database);
            return;
        }
        let log = self.logs.log(who, database);
        let commits = self.acknowledged.get(database).map_or(&[][..], Vec::as_slice);
        let lost: Vec<&AckedCommit> = commits
            .iter()
            .filter(|commit| {
                let differs = commit.block.is_some_and(|block| {
                    log.and_then(|log| log.at(block.start))
                        .is_some_and(|held| held.contradicts(&block))
                });
                differs || !log.is_some_and(|log| log.reaches(commit.lsn))
            })
            .collect();
        if let Some(first) = lost.first() {
            out.push(Violation {
                oracle: NAME,
                fingerprint: format!("{NAME}/{database}/log"),
                message: format!(
                    "{who} took {database} over without {} acknowledged commits; the first, at {}, was acknowledged by {}",
                    lost.len(),
                    first.lsn,
                    first.by
                ),
                at: stamped.at,
            });
        }
    }
}

impl Oracle for NoAckedCommitLost {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.sessions.observe(stamped);
        if let Some((who, event)) = session_event(stamped) {
            self.on_session(stamped, who, event, out);
            self.logs.observe(who, event);
        }
        if let (Source::Client(name), Event::Client(event)) = (&stamped.source, &stamped.event) {
            self.clients.entry(name.clone()).or_default().observe(event);
        }
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        for (database, table) in &end.tables {
            let excused = self.excused.contains(database) || self.sessions.was_forced(database);
            if excused || !self.sessions.is_safety_full(database) {
                continue;
            }
            for (client, ledger) in &mut self.clients {
                if end.databases.get(client) != Some(database) {
                    continue;
                }
                let lost = ledger.contradictions(table);
                if let Some(first) = lost.first() {
                    out.push(Violation {
                        oracle: NAME,
                        fingerprint: format!("{NAME}/{database}/data"),
                        message: format!(
                            "{database} does not show what {client} was told, {} rows: {first}",
                            lost.len()
                        ),
                        at: end.at,
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::{ClientEvent, MirroringState, Safety, Timestamp, WorldEvent};

    const SYNCHRONIZED: Option<MirroringState> = Some(MirroringState::Synchronized);

    fn both_hold(mut events: Vec<Stamped>) -> Vec<Stamped> {
        events.extend([
            on(1, "alpha", hardened(1, 0, 10, 1)),
            on(1, "beta", hardened(1, 0, 10, 1)),
            on(1, "alpha", acked(1, 10, SYNCHRONIZED)),
        ]);
        events
    }

    #[test]
    fn what_the_new_principal_holds_is_not_lost() {
        let mut events = both_hold(pair());
        // The old principal's unacknowledged tail may go.
        events.push(on(2, "alpha", hardened(1, 10, 20, 2)));
        events.push(on(3, "beta", takeover(SwitchKind::Automatic, 2)));
        assert_quiet::<NoAckedCommitLost>(&events);
    }

    #[test]
    fn a_commit_the_new_principal_lacks_is_lost() {
        for kind in [SwitchKind::Automatic, SwitchKind::Manual] {
            let mut events = both_hold(pair());
            events.push(on(2, "alpha", hardened(1, 10, 20, 2)));
            events.push(on(2, "alpha", acked(1, 20, Some(MirroringState::Disconnected))));
            events.push(on(3, "beta", takeover(kind, 2)));
            assert_red::<NoAckedCommitLost>(&events, NAME);
        }
    }

    #[test]
    fn other_bytes_at_the_same_place_are_a_loss() {
        let mut events = pair();
        events.extend([
            on(1, "alpha", hardened(1, 0, 10, 1)),
            on(1, "beta", hardened(1, 0, 10, 99)),
            on(1, "alpha", acked(1, 10, SYNCHRONIZED)),
            on(3, "beta", takeover(SwitchKind::Automatic, 2)),
        ]);
        assert_red::<NoAckedCommitLost>(&events, NAME);
    }

    #[test]
    fn forced_service_and_safety_off_may_lose_commits() {
        let exposed = Some(MirroringState::Disconnected);
        let mut forced = both_hold(pair());
        forced.push(on(2, "alpha", acked(1, 20, exposed)));
        forced.push(on(3, "beta", takeover(SwitchKind::Forced, 2)));
        forced.push(on(9, "alpha", takeover(SwitchKind::Manual, 3)));
        assert_quiet::<NoAckedCommitLost>(&forced);
        let mut unsafe_ = both_hold(pair());
        let text = "sql on alpha: ALTER DATABASE Sales SET PARTNER SAFETY OFF".into();
        unsafe_.push(world(2, WorldEvent::Step { text }));
        unsafe_.push(on(2, "alpha", settings(Safety::Off, (2, 1), false, 10)));
        unsafe_.push(on(2, "alpha", acked(1, 20, SYNCHRONIZED)));
        unsafe_.push(on(3, "beta", takeover(SwitchKind::Forced, 2)));
        assert_quiet::<NoAckedCommitLost>(&unsafe_);
    }

    fn submitted(transaction: u64, operation: &str) -> ClientEvent {
        ClientEvent::Submitted {
            transaction,
            to: InstanceName::new("alpha"),
            operation: operation.into(),
        }
    }

    fn told(transaction: u64) -> ClientEvent {
        ClientEvent::Acknowledged {
            transaction,
            values: Vec::new(),
        }
    }

    fn end(rows: &[(i64, i64)]) -> End {
        End {
            at: Timestamp::from_secs(50),
            tables: BTreeMap::from([(db(), rows.iter().copied().collect())]),
            databases: BTreeMap::from([("app".to_owned(), db())]),
            ..End::default()
        }
    }

    /// Rows 1 and 2 hold 100 each, 5 went from 1 to 2, row 3 was set to 30 and perhaps to 31, row 4 perhaps to 40.
    fn load() -> Vec<Stamped> {
        let mut events = pair();
        events.extend(
            [
                submitted(1, "insert 1 = 100"),
                told(1),
                submitted(2, "insert 2 = 100"),
                told(2),
                submitted(5, "transfer 5 from 1 to 2"),
                told(5),
                submitted(3, "insert 3 = 30"),
                told(3),
                submitted(6, "update 3 = 31"),
                ClientEvent::InDoubt { transaction: 6 },
                submitted(7, "update 3 = 32"),
                ClientEvent::Refused {
                    transaction: 7,
                    number: 1205,
                },
                submitted(4, "insert 4 = 40"),
                ClientEvent::InDoubt { transaction: 4 },
                submitted(8, "transfer 9 from 2 to 1"),
            ]
            .map(|event| client(1, event)),
        );
        events
    }

    #[test]
    fn in_doubt_may_go_either_way() {
        for rows in [
            &[(1, 95), (2, 105), (3, 30)][..],
            &[(1, 95), (2, 105), (3, 31), (4, 40)],
            &[(1, 104), (2, 96), (3, 31)],
        ] {
            assert_eq!(
                judge_until::<NoAckedCommitLost>(&load(), &end(rows)),
                [],
                "{rows:?}"
            );
        }
    }

    #[test]
    fn data_that_contradicts_what_was_told_is_seen() {
        for rows in [
            &[(1, 95), (2, 105)][..],
            &[(1, 100), (2, 100), (3, 30)],
            &[(1, 95), (2, 105), (3, 32)],
            &[(1, 95), (2, 105), (3, 30), (4, 41)],
            &[(1, 104), (2, 105), (3, 30)],
        ] {
            let violations = judge_until::<NoAckedCommitLost>(&load(), &end(rows));
            assert_eq!(violations.len(), 1, "{rows:?}");
            assert_eq!(violations[0].oracle, NAME);
        }
    }
}
