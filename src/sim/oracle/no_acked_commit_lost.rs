//! No commit that a client was told of is lost by an automatic or manual failover.
//!
//! Seen twice: at the takeover in the logs (what was acknowledged must be hardened where service goes on, same bytes), and
//! at the end in the data (every acknowledged transaction shows in what the serving principal answers). A forced service
//! may lose what was committed before it, and what the former principal commits until it knows; what the one that took over
//! acknowledges is judged as ever in the logs, and in the data by the rows that are inserted or set from then on. A takeover
//! of which nobody told, for the process died behind its record, counts as forced where that was said and not refused. A failover under SAFETY OFF may lose commits, too: excused for the rest of the run, from
//! the operator's commands. Source: documented, *Role Switching During a Database Mirroring Session*, *Database Mirroring
//! Operating Modes*.

use std::collections::{BTreeMap, BTreeSet};

use super::hardened::{Block, HardenedLogs};
use super::history::{is_command, session_event};
use super::ledger::Ledger;
use super::operator::{Ending, Operator, instance_of};
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{
    ClientEvent, DatabaseName, Event, InstanceName, Lsn, PartnerRole, RoleSequence, SessionEvent, Source,
    Stamped, SwitchKind, WorldEvent,
};

const NAME: &str = "no-acked-commit-lost-by-failover";

#[derive(Debug, Default)]
pub(super) struct NoAckedCommitLost {
    scene: SharedScene,
    logs: HardenedLogs,
    /// The furthest commit acknowledged in each database, by whom, and the block it was in.
    acknowledged: BTreeMap<DatabaseName, Vec<AckedCommit>>,
    /// Databases in which losses are excused from some time on.
    excused: BTreeSet<DatabaseName>,
    clients: BTreeMap<String, Ledger>,
    /// The databases of which service was forced.
    forced: BTreeMap<DatabaseName, Forced>,
    forcing: Forcing,
    /// The highest sequence under which anybody is known to have had the principal role.
    sequences: BTreeMap<DatabaseName, RoleSequence>,
}

/// Where service was to be forced and not refused.
#[derive(Debug, Default)]
struct Forcing {
    operator: Operator,
    said: Vec<(InstanceName, String)>,
    /// How many were said before the step that waits for its answer.
    before: usize,
}

impl Forcing {
    fn observe(&mut self, event: &Event) {
        if let Event::World(WorldEvent::Step { text }) = event {
            self.before = self.said.len();
            self.said.extend(instance_of(text).map(|on| (on, text.clone())));
        }
        if self.operator.observe(event) == Some(Ending::Refused) {
            self.said.truncate(self.before);
        }
    }

    /// Whether this instance was told to, and may have done it.
    fn may_have(&self, who: &InstanceName, database: &DatabaseName) -> bool {
        let force = |text: &str| is_command(text, database, "PARTNER", "FORCE_SERVICE_ALLOW_DATA_LOSS");
        self.said.iter().any(|(on, text)| on == who && force(text))
    }
}

/// What is owed since service of a database was last forced.
#[derive(Debug)]
struct Forced {
    sequence: RoleSequence,
    /// Who has the role since, by then or by a later failover.
    owner: InstanceName,
    /// What clients asked of the owner, and were told.
    clients: BTreeMap<String, Ledger>,
}

impl Forced {
    fn observe(&mut self, client: &str, event: &ClientEvent) {
        if matches!(event, ClientEvent::Submitted { to, .. } if *to != self.owner) {
            return;
        }
        let ledger = self.clients.entry(client.to_owned());
        ledger.or_insert_with(Ledger::late).observe(event);
    }
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
                self.sequences.remove(database);
                if let Some(forced) = self.forced.get_mut(database) {
                    forced.sequence = RoleSequence::default();
                }
            }
            SessionEvent::CommitAcknowledged {
                database,
                lsn,
                role_sequence,
                state: Some(_),
                ..
            } => {
                // The former principal does not know yet that service was forced elsewhere.
                let forced = self.forced.get(database);
                if forced.is_some_and(|forced| *role_sequence < forced.sequence) {
                    return;
                }
                let block = self
                    .logs
                    .log(who, database)
                    .and_then(|log| log.block_before(*lsn));
                let commits = self.acknowledged.entry(database.clone()).or_default();
                let by = who.clone();
                commits.push(AckedCommit { lsn: *lsn, by, block });
            }
            SessionEvent::Takeover {
                database,
                kind,
                role_sequence,
                ..
            } => {
                self.note_sequence(database, *role_sequence);
                match kind {
                    SwitchKind::Forced => self.on_forced(who, database, *role_sequence),
                    SwitchKind::Automatic | SwitchKind::Manual => {
                        self.on_failover(stamped, who, database, out)
                    }
                }
            }
            SessionEvent::Role {
                database,
                from,
                to: PartnerRole::Principal,
                role_sequence,
            } => {
                // A process that died behind its record of the takeover never told of it.
                let new = self.note_sequence(database, *role_sequence);
                if new && from.is_none() && self.forcing.may_have(who, database) {
                    self.on_forced(who, database, *role_sequence);
                }
            }
            // Without a session the copies go different ways; which of them is asked at the end is not known.
            SessionEvent::Removed { database, .. } if self.forced.contains_key(database) => {
                self.excused.insert(database.clone());
            }
            _ => {}
        }
    }

    /// Whether nobody is known to have had the role under this sequence, or a higher one.
    fn note_sequence(&mut self, database: &DatabaseName, sequence: RoleSequence) -> bool {
        let known = self.sequences.entry(database.clone()).or_default();
        let new = sequence > *known;
        *known = sequence.max(*known);
        new
    }

    fn on_forced(&mut self, who: &InstanceName, database: &DatabaseName, sequence: RoleSequence) {
        self.acknowledged.remove(database);
        let forced = Forced {
            sequence,
            owner: who.clone(),
            clients: BTreeMap::new(),
        };
        self.forced.insert(database.clone(), forced);
    }

    fn on_failover(
        &mut self,
        stamped: &Stamped,
        who: &InstanceName,
        database: &DatabaseName,
        out: &mut Vec<Violation>,
    ) {
        if let Some(forced) = self.forced.get_mut(database) {
            forced.owner = who.clone();
        }
        if !self.scene.sessions.is_safety_full(database) {
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
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.scene.observe(stamped);
        self.forcing.observe(&stamped.event);
        if let Some((who, event)) = session_event(stamped) {
            self.on_session(stamped, who, event, out);
            self.logs.observe(who, event);
        }
        if let (Source::Client(name), Event::Client(event)) = (&stamped.source, &stamped.event) {
            self.clients.entry(name.clone()).or_default().observe(event);
            for forced in self.forced.values_mut() {
                forced.observe(name, event);
            }
        }
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        for (database, table) in &end.tables {
            if self.excused.contains(database) || !self.scene.sessions.is_safety_full(database) {
                continue;
            }
            let clients = match self.forced.get_mut(database) {
                Some(forced) => &mut forced.clients,
                None => &mut self.clients,
            };
            for (client, ledger) in clients {
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
    use crate::types::{MirroringState, Reply, ReplyItem, Safety, Timestamp};

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
        asked("alpha", transaction, operation)
    }

    fn asked(to: &str, transaction: u64, operation: &str) -> ClientEvent {
        ClientEvent::Submitted {
            transaction,
            to: InstanceName::new(to),
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

    /// Service is forced on beta, while the client is with alpha and its row 9 on its way; then it finds beta.
    fn forced() -> Vec<Stamped> {
        let mut events = load();
        events.push(client(2, submitted(9, "insert 9 = 90")));
        let text = "sql on beta: ALTER DATABASE Sales SET PARTNER FORCE_SERVICE_ALLOW_DATA_LOSS".into();
        events.push(world(2, WorldEvent::Step { text }));
        events.push(on(2, "beta", takeover(SwitchKind::Forced, 2)));
        events.extend(
            [
                told(9),
                submitted(10, "insert 10 = 100"),
                told(10),
                asked("beta", 11, "insert 11 = 110"),
                told(11),
                asked("beta", 12, "update 3 = 33"),
                told(12),
                asked("beta", 13, "transfer 4 from 11 to 1"),
                told(13),
            ]
            .map(|event| client(3, event)),
        );
        events
    }

    #[test]
    fn after_a_forced_service_only_what_its_principal_confirmed_is_owed() {
        let late = &forced()[..];
        // Row 3 was lost, or is there as it was set since.
        for rows in [&[(11, 106)][..], &[(1, 95), (3, 33), (9, 90), (11, 106)]] {
            assert_eq!(judge_until::<NoAckedCommitLost>(late, &end(rows)), [], "{rows:?}");
        }
        for rows in [
            &[][..],
            &[(11, 110)],
            &[(1, 95), (2, 105), (3, 33), (9, 90)],
            &[(1, 95), (3, 7), (9, 90), (11, 106)],
        ] {
            let violations = judge_until::<NoAckedCommitLost>(late, &end(rows));
            assert_eq!(violations.len(), 1, "{rows:?}");
        }
        let mut again = forced();
        again.push(on(4, "alpha", takeover(SwitchKind::Forced, 3)));
        assert_eq!(judge_until::<NoAckedCommitLost>(&again, &end(&[])), []);
        let mut handed_back = forced();
        handed_back.push(on(4, "alpha", takeover(SwitchKind::Manual, 3)));
        handed_back.extend([submitted(14, "insert 14 = 1"), told(14)].map(|event| client(5, event)));
        let kept = end(&[(11, 106), (14, 1)]);
        assert_eq!(judge_until::<NoAckedCommitLost>(&handed_back, &kept), []);
        let lost = end(&[(11, 106)]);
        assert_eq!(judge_until::<NoAckedCommitLost>(&handed_back, &lost).len(), 1);
    }

    #[test]
    fn a_forced_service_of_which_nobody_told_counts_from_the_return() {
        let mut events = forced();
        events.retain(|e| !matches!(e.event, Event::Session(SessionEvent::Takeover { .. })));
        let told_late = events.len();
        events.push(on(4, "beta", role(PartnerRole::Principal, 2)));
        assert_eq!(judge_until::<NoAckedCommitLost>(&events, &end(&[])), []);
        let violations = judge_until::<NoAckedCommitLost>(&events[..told_late], &end(&[]));
        assert_eq!(violations.len(), 1);
    }

    /// Service was to be forced, once, and the instance answered; much later somebody has the role and told nobody how.
    #[test]
    fn a_forced_service_that_was_refused_excuses_nothing() {
        let history = |on: &str, number: u32| {
            let mut events = load();
            let force = "ALTER DATABASE Sales SET PARTNER FORCE_SERVICE_ALLOW_DATA_LOSS";
            events.push(world_step(2, &format!("sql on {on}: {force}")));
            let error = crate::error::message(number).expect("in the catalogue");
            let items = vec![ReplyItem::Error(error.with(&[&"it"]))];
            let (on, reply) = (InstanceName::new(on), Reply { items });
            events.push(client(2, ClientEvent::Batch { on, reply }));
            events
        };
        let seen = |mut events: Vec<Stamped>| {
            events.push(super::super::testing::on(
                9,
                "beta",
                role(PartnerRole::Principal, 2),
            ));
            judge_until::<NoAckedCommitLost>(&events, &end(&[])).len()
        };
        assert_eq!(seen(history("beta", 1455)), 1);
        assert_eq!(seen(history("alpha", 1421)), 1, "another one's");
        assert_eq!(seen(history("beta", 1421)), 0, "it may have been carried out");
        let mut both = history("beta", 1421);
        both.extend(history("beta", 1455).split_off(load().len()));
        assert_eq!(seen(both), 0, "the first one may");
    }

    #[test]
    fn what_is_lost_by_a_failover_behind_a_forced_service_is_seen() {
        let exposed = Some(MirroringState::Disconnected);
        let history = |sequence| {
            let mut events = both_hold(pair());
            events.push(on(3, "beta", takeover(SwitchKind::Forced, 2)));
            events.push(on(4, "beta", hardened(2, 10, 20, 2)));
            events.push(on(4, "beta", acked(sequence, 20, exposed)));
            events.push(on(9, "alpha", takeover(SwitchKind::Manual, 3)));
            events
        };
        assert_red::<NoAckedCommitLost>(&history(2), NAME);
        assert_quiet::<NoAckedCommitLost>(&history(1));
    }
}
