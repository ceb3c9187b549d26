//! What the clients were told is linearizable: every row behaves as one register, wherever it was served.
//!
//! Each row is checked by itself, from its insert to what the serving principal answers at the end. An operation in doubt
//! may take effect at any later time or never, so its response is put after everything else. After a forced service, or a
//! takeover under SAFETY OFF, loss is legal: the history counts up to there. Source: derived from *Database Mirroring
//! Operating Modes*; the search is `todc-utils`.

use std::collections::{BTreeMap, BTreeSet};

use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};
use todc_utils::specifications::Specification;

use super::history::session_event;
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::sim::workload::Operation;
use crate::types::{
    ClientEvent, DatabaseName, Event, InstanceName, PartnerRole, SessionEvent, Source, Stamped, SwitchKind,
};

const NAME: &str = "linearizable";

/// A row's history is followed for this many operations, and this many of them in doubt: the search is exponential in
/// the latter.
const OPERATIONS_MAX: usize = 1_000;
const IN_DOUBT_MAX: usize = 10;

/// What one transaction does to one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Insert(i64),
    Update(i64),
    Add(i64),
    /// The value a read was told, once it is known.
    Read(Option<i64>),
}

#[derive(Debug, Clone, Copy)]
struct Step {
    change: Change,
    /// Whether the answer is known; what is in doubt is right whatever the row holds.
    told: bool,
    /// It was told that the row was not there.
    missed: bool,
}

/// A row: absent, or a value.
struct Row;

impl Specification for Row {
    type State = Option<i64>;
    type Operation = Step;

    fn init() -> Option<i64> {
        None
    }

    fn apply(step: &Step, row: &Option<i64>) -> (bool, Option<i64>) {
        let free = !step.told;
        match (step.change, row) {
            (Change::Read(value), row) => (free || value == *row, *row),
            (Change::Insert(value), None) => (true, Some(value)),
            (Change::Insert(_), Some(_)) => (free, *row),
            (_, None) => (free || step.missed, None),
            (Change::Update(value), Some(_)) => (free || !step.missed, Some(value)),
            // That a row was missed may have been the other one's.
            (Change::Add(amount), Some(value)) => (true, Some(value + amount)),
        }
    }
}

/// The history of one row: calls and responses in order, each operation by its number.
#[derive(Debug, Default)]
struct RowHistory {
    actions: Vec<(usize, Action<Step>)>,
    in_doubt: Vec<(usize, Change)>,
    operations: usize,
    /// It has grown too long: what follows is not followed.
    full: bool,
}

impl RowHistory {
    /// The number of the operation, unless it is not followed any more.
    fn call(&mut self, change: Change) -> Option<usize> {
        self.full |= self.operations >= OPERATIONS_MAX || self.in_doubt.len() >= IN_DOUBT_MAX;
        if self.full {
            return None;
        }
        let step = Step {
            change,
            told: false,
            missed: false,
        };
        let number = self.operations;
        self.operations += 1;
        // Many rows see one operation in their life.
        self.actions.reserve_exact(if number == 0 { 2 } else { 0 });
        self.actions.push((number, Action::Call(step)));
        Some(number)
    }

    fn respond(&mut self, number: usize, change: Change, values: &[Option<i64>]) {
        let (change, missed) = match change {
            Change::Read(_) => (Change::Read(values.first().copied().flatten()), false),
            other => (other, values.contains(&None)),
        };
        let step = Step {
            change,
            told: true,
            missed,
        };
        self.actions.push((number, Action::Response(step)));
    }

    fn doubt(&mut self, number: usize, change: Change) {
        self.in_doubt.push((number, change));
    }

    /// The server said that nothing happened.
    fn withdraw(&mut self, number: usize) {
        self.actions.retain(|(other, _)| *other != number);
    }

    fn has_linear_order(mut self, last: Option<Option<i64>>) -> bool {
        if let Some(value) = last.filter(|_| !self.full) {
            let number = self.operations;
            let step = Step {
                change: Change::Read(value),
                told: true,
                missed: false,
            };
            self.actions.push((number, Action::Call(step)));
            self.actions.push((number, Action::Response(step)));
        }
        for (number, change) in &self.in_doubt {
            let step = Step {
                change: *change,
                told: false,
                missed: false,
            };
            self.actions.push((*number, Action::Response(step)));
        }
        // Withdrawn operations have left gaps between the numbers, which the history does not mind.
        self.actions.is_empty() || WGLChecker::<Row>::is_linearizable(History::from_actions(self.actions))
    }
}

/// What one client did. It writes rows of its own.
#[derive(Debug, Default)]
struct ClientHistory {
    rows: BTreeMap<i64, RowHistory>,
    /// What each transaction that has no answer yet does to which rows, and the number that has there.
    open: BTreeMap<u64, Vec<(i64, usize, Change)>>,
}

impl ClientHistory {
    fn call(&mut self, transaction: u64, operation: Operation) {
        let rows = &mut self.rows;
        let call = |(id, change)| Some((id, rows.entry(id).or_default().call(change)?, change));
        let open = changes(operation).into_iter().filter_map(call).collect();
        self.open.insert(transaction, open);
    }

    fn on_answer(&mut self, transaction: u64, answer: &Answer<'_>) {
        for (id, number, change) in self.open.remove(&transaction).unwrap_or_default() {
            let row = self.rows.entry(id).or_default();
            match answer {
                Answer::Told(values) => row.respond(number, change, values),
                Answer::Nothing => row.withdraw(number),
                Answer::Unknown => row.doubt(number, change),
            }
        }
    }

    /// Each row, with what has no answer in doubt.
    fn into_rows(mut self) -> BTreeMap<i64, RowHistory> {
        while let Some((transaction, _)) = self.open.first_key_value() {
            self.on_answer(*transaction, &Answer::Unknown);
        }
        self.rows
    }
}

#[derive(Debug, Default)]
pub(super) struct Linearizable {
    scene: SharedScene,
    clients: BTreeMap<String, ClientHistory>,
    mirrors: BTreeSet<(InstanceName, DatabaseName)>,
    /// Databases of which something may be lost from some time on, and clients' histories that ended then.
    lossy: BTreeSet<DatabaseName>,
}

impl Oracle for Linearizable {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, _out: &mut Vec<Violation>) {
        self.scene.observe(stamped);
        if let Some((who, event)) = session_event(stamped) {
            self.on_session(who, event);
        }
        // Which database a client works on is known at the end only: from a loss on, nobody is followed.
        if let (Source::Client(name), Event::Client(event)) = (&stamped.source, &stamped.event)
            && self.lossy.is_empty()
        {
            self.on_client(name, event);
        }
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        for (client, history) in std::mem::take(&mut self.clients) {
            let database = end.databases.get(&client);
            let table = database.and_then(|database| end.tables.get(database));
            let table = table.filter(|_| self.lossy.is_empty());
            let rows = history.into_rows().into_iter();
            let last = |id: i64| table.map(|table| table.get(&id).copied());
            let wrong = rows.filter_map(|(id, row)| (!row.has_linear_order(last(id))).then_some(id));
            let ids: Vec<i64> = wrong.collect();
            if ids.is_empty() {
                continue;
            }
            out.push(Violation::of(
                NAME,
                &[&client],
                format!("what {client} was told of {} rows fits no order of its transactions; the first is row {}", ids.len(), ids[0]),
                end.at,
            ));
        }
    }
}

impl Linearizable {
    fn on_session(&mut self, who: &InstanceName, event: &SessionEvent) {
        match event {
            SessionEvent::Takeover { database, kind, .. }
                if *kind == SwitchKind::Forced || !self.scene.sessions.is_safety_full(database) =>
            {
                self.lossy.insert(database.clone());
            }
            SessionEvent::Role {
                database, from, to, ..
            } => {
                let copy = (who.clone(), database.clone());
                let was_mirror = match to {
                    PartnerRole::Mirror => {
                        self.mirrors.insert(copy);
                        return;
                    }
                    PartnerRole::Principal => self.mirrors.remove(&copy),
                };
                // A process that died behind its record of a takeover never told of it.
                if was_mirror && from.is_none() && self.scene.sessions.was_forced(database) {
                    self.lossy.insert(database.clone());
                }
            }
            _ => {}
        }
    }

    fn on_client(&mut self, client: &str, event: &ClientEvent) {
        let history = match self.clients.get_mut(client) {
            Some(history) => history,
            None => self.clients.entry(client.to_owned()).or_default(),
        };
        match event {
            ClientEvent::Submitted {
                transaction,
                operation,
                ..
            } => {
                if let Ok(operation) = operation.parse() {
                    history.call(*transaction, operation);
                }
            }
            ClientEvent::Acknowledged { transaction, values } => {
                history.on_answer(*transaction, &Answer::Told(values));
            }
            ClientEvent::Refused { transaction, .. } => history.on_answer(*transaction, &Answer::Nothing),
            ClientEvent::InDoubt { transaction } => history.on_answer(*transaction, &Answer::Unknown),
            ClientEvent::Connected { .. } | ClientEvent::ConnectFailed { .. } | ClientEvent::Batch { .. } => {
            }
        }
    }
}

enum Answer<'a> {
    Told(&'a [Option<i64>]),
    Nothing,
    Unknown,
}

fn changes(operation: Operation) -> Vec<(i64, Change)> {
    match operation {
        Operation::Insert { id, value } => vec![(id, Change::Insert(value))],
        Operation::Update { id, value } => vec![(id, Change::Update(value))],
        Operation::Transfer { amount, from, to } => {
            vec![(from, Change::Add(-amount)), (to, Change::Add(amount))]
        }
        Operation::Read { id } => vec![(id, Change::Read(None))],
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::Timestamp;

    fn submitted(transaction: u64, operation: &str) -> Stamped {
        client(
            1,
            ClientEvent::Submitted {
                transaction,
                to: InstanceName::new("alpha"),
                operation: operation.into(),
            },
        )
    }

    fn told(transaction: u64, values: &[Option<i64>]) -> Stamped {
        let values = values.to_vec();
        client(1, ClientEvent::Acknowledged { transaction, values })
    }

    fn in_doubt(transaction: u64) -> Stamped {
        client(1, ClientEvent::InDoubt { transaction })
    }

    fn opened() -> Vec<Stamped> {
        vec![submitted(1, "insert 1 = 10"), told(1, &[])]
    }

    fn judged(events: &[Stamped], last: Option<i64>) -> Vec<Violation> {
        let end = End {
            at: Timestamp::from_secs(9),
            databases: [("app".to_owned(), db())].into(),
            tables: [(db(), last.into_iter().map(|value| (1, value)).collect())].into(),
            ..End::default()
        };
        judge_until::<Linearizable>(events, &end)
    }

    fn assert_broken(events: &[Stamped], last: Option<i64>) {
        let violations = judged(events, last);
        assert_eq!(violations.len(), 1, "{violations:?}");
        assert_eq!(violations[0].oracle, NAME);
    }

    #[test]
    fn reads_of_the_last_write_are_right() {
        let mut events = opened();
        events.extend([
            submitted(2, "update 1 = 20"),
            told(2, &[]),
            submitted(3, "read 1"),
            told(3, &[Some(20)]),
            submitted(4, "transfer 5 from 1 to 2"),
            told(4, &[None]),
        ]);
        assert_broken(&events, Some(20));
        events.truncate(6);
        assert_eq!(judged(&events, Some(20)), []);
    }

    #[test]
    fn what_is_in_doubt_may_come_late_or_never() {
        let mut events = opened();
        events.extend([submitted(2, "update 1 = 20"), in_doubt(2)]);
        assert_eq!(judged(&events, Some(10)), []);
        assert_eq!(judged(&events, Some(20)), []);
        events.extend([submitted(3, "read 1"), told(3, &[Some(10)])]);
        assert_eq!(judged(&events, Some(20)), []);
        events.extend([
            submitted(4, "read 1"),
            told(4, &[Some(20)]),
            submitted(5, "read 1"),
            told(5, &[Some(10)]),
        ]);
        assert_broken(&events, Some(20));
    }

    #[test]
    fn a_refused_transaction_did_not_happen() {
        let mut events = opened();
        let refused = ClientEvent::Refused {
            transaction: 2,
            number: 955,
        };
        events.extend([submitted(2, "update 1 = 20"), client(1, refused)]);
        assert_eq!(judged(&events, Some(10)), []);
        assert_broken(&events, Some(20));
    }

    #[test]
    fn a_lost_update_is_seen() {
        let mut events = opened();
        events.extend([submitted(2, "update 1 = 20"), told(2, &[])]);
        assert_broken(&events, Some(10));
        assert_broken(&events, None);
    }

    #[test]
    fn a_stale_read_after_a_failover_is_seen() {
        let mut events = pair();
        events.extend(opened());
        events.extend([
            submitted(2, "update 1 = 20"),
            told(2, &[]),
            on(2, "beta", takeover(SwitchKind::Automatic, 2)),
            submitted(3, "read 1"),
            told(3, &[Some(10)]),
        ]);
        assert_broken(&events, Some(20));
    }

    #[test]
    fn after_a_forced_service_loss_is_legal() {
        let mut events = pair();
        events.extend(opened());
        events.extend([
            submitted(2, "update 1 = 20"),
            told(2, &[]),
            on(2, "beta", takeover(SwitchKind::Forced, 2)),
            submitted(3, "read 1"),
            told(3, &[Some(10)]),
        ]);
        assert_eq!(judged(&events, Some(10)), []);
    }

    /// Beta's process dies behind its record of the takeover, and comes back as the principal.
    fn forced_unseen(command: &str) -> Vec<Stamped> {
        let mut events = pair();
        events.push(on(0, "beta", role(PartnerRole::Mirror, 1)));
        events.extend(opened());
        events.extend([
            submitted(2, "update 1 = 20"),
            told(2, &[]),
            world_step(2, command),
            on(3, "beta", role(PartnerRole::Principal, 2)),
        ]);
        events
    }

    #[test]
    fn a_forced_service_that_nobody_told_of_is_known_by_its_command() {
        let force = "sql on beta: ALTER DATABASE sales SET PARTNER FORCE_SERVICE_ALLOW_DATA_LOSS";
        assert_eq!(judged(&forced_unseen(force), Some(10)), []);
        assert_broken(&forced_unseen("sql on beta: CHECKPOINT"), Some(10));
    }
}
