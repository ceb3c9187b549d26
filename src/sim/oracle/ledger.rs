//! What an application was told of its rows, held against what a table shows at the end.

use std::collections::{BTreeMap, BTreeSet};

use crate::sim::workload::Operation;
use crate::types::ClientEvent;

/// What one application did and was told. It writes rows of its own, one transaction at a time.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pending: BTreeMap<u64, Operation>,
    rows: BTreeMap<i64, Row>,
    /// It was opened when there may have been rows already, of which it knows nothing: it follows those that are inserted
    /// from then on, and those that it was told are set, if they are there.
    late: bool,
}

/// What a transaction does to one row.
#[derive(Debug, Clone, Copy)]
enum Change {
    Inserted(i64),
    Updated(i64),
    Moved(i64),
}

fn changes(operation: Operation) -> Vec<(i64, Change)> {
    match operation {
        Operation::Insert { id, value } => vec![(id, Change::Inserted(value))],
        Operation::Update { id, value } => vec![(id, Change::Updated(value))],
        Operation::Transfer { amount, from, to } => {
            vec![(from, Change::Moved(-amount)), (to, Change::Moved(amount))]
        }
        Operation::Read { .. } => Vec::new(),
    }
}

/// One row as the client may expect it.
#[derive(Debug, Default)]
struct Row {
    /// The last value it was told of.
    acknowledged: Option<i64>,
    /// Values written later, which may or may not have come through.
    in_doubt: Vec<i64>,
    /// Sum of the transfers it was told of, and each one in doubt.
    moved: i64,
    moved_in_doubt: Vec<i64>,
    /// Whether any transfer touched it.
    is_account: bool,
    /// It was set by an update, which is told of even if there was no such row.
    may_be_missing: bool,
}

impl Ledger {
    pub(super) fn late() -> Ledger {
        Ledger {
            late: true,
            ..Ledger::default()
        }
    }

    pub(super) fn observe(&mut self, event: &ClientEvent) {
        match event {
            ClientEvent::Submitted {
                transaction,
                operation,
                ..
            } => {
                if let Ok(operation) = operation.parse() {
                    self.pending.insert(*transaction, operation);
                }
            }
            ClientEvent::Acknowledged { transaction, .. } => {
                if let Some(operation) = self.pending.remove(transaction) {
                    self.on_acknowledged(operation);
                }
            }
            ClientEvent::Refused { transaction, .. } => {
                self.pending.remove(transaction);
            }
            ClientEvent::InDoubt { transaction } => {
                if let Some(operation) = self.pending.remove(transaction) {
                    self.on_doubt(operation);
                }
            }
            ClientEvent::Connected { .. } | ClientEvent::ConnectFailed { .. } | ClientEvent::Batch { .. } => {
            }
        }
    }

    fn on_acknowledged(&mut self, operation: Operation) {
        for (id, change) in changes(operation) {
            if let Change::Updated(_) = change
                && self.late
            {
                let may_be_missing = true;
                self.rows.entry(id).or_insert(Row {
                    may_be_missing,
                    ..Row::default()
                });
            }
            let Some(row) = self.row(id, change) else {
                continue;
            };
            match change {
                Change::Inserted(value) | Change::Updated(value) => {
                    row.acknowledged = Some(value);
                    row.in_doubt.clear();
                }
                Change::Moved(amount) => {
                    row.moved += amount;
                    row.is_account = true;
                }
            }
        }
    }

    fn on_doubt(&mut self, operation: Operation) {
        for (id, change) in changes(operation) {
            let Some(row) = self.row(id, change) else {
                continue;
            };
            match change {
                Change::Inserted(value) | Change::Updated(value) => row.in_doubt.push(value),
                Change::Moved(amount) => {
                    row.moved_in_doubt.push(amount);
                    row.is_account = true;
                }
            }
        }
    }

    /// The row that is changed, if it is followed.
    fn row(&mut self, id: i64, change: Change) -> Option<&mut Row> {
        match change {
            Change::Updated(_) | Change::Moved(_) if self.late => self.rows.get_mut(&id),
            _ => Some(self.rows.entry(id).or_default()),
        }
    }

    /// What `table` shows that cannot be, row by row. Transactions still open count as in doubt.
    pub(super) fn contradictions(&mut self, table: &BTreeMap<i64, i64>) -> Vec<String> {
        for (_, operation) in std::mem::take(&mut self.pending) {
            self.on_doubt(operation);
        }
        let mut found: Vec<String> = self
            .rows
            .iter()
            .filter_map(|(id, row)| row.contradiction(*id, table.get(id).copied()))
            .collect();
        if !self.late {
            found.extend(self.half_a_transfer(table));
        }
        found
    }

    /// Transfers keep the sum of the accounts, whichever of them came through.
    fn half_a_transfer(&self, table: &BTreeMap<i64, i64>) -> Option<String> {
        let accounts = self.rows.iter().filter(|(_, row)| row.is_account);
        let (mut told, mut seen) = (0, 0);
        for (id, row) in accounts {
            told += row.acknowledged?;
            seen += *table.get(id)?;
        }
        (told != seen)
            .then(|| format!("the accounts hold {seen} together instead of {told}: half a transfer"))
    }
}

impl Row {
    fn contradiction(&self, id: i64, seen: Option<i64>) -> Option<String> {
        let Some(value) = seen else {
            let owed = self.acknowledged.filter(|_| !self.may_be_missing);
            return owed.map(|_| format!("row {id} is missing"));
        };
        let moves = self.possible_moves();
        let legal = self
            .acknowledged
            .iter()
            .chain(&self.in_doubt)
            .any(|base| moves.contains(&(value - base)));
        (!legal).then(|| match self.acknowledged {
            Some(told) => format!(
                "row {id} is {value}, but {told} was acknowledged, and {} moved",
                self.moved
            ),
            None => format!("row {id} is {value}, which nobody wrote"),
        })
    }

    /// What transfers may have added in all: those it was told of, and any of those in doubt.
    fn possible_moves(&self) -> BTreeSet<i64> {
        let mut sums = BTreeSet::from([self.moved]);
        for amount in &self.moved_in_doubt {
            let with: Vec<i64> = sums.iter().map(|sum| sum + amount).collect();
            sums.extend(with);
        }
        sums
    }
}
