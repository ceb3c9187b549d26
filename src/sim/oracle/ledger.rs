//! What an application was told of its rows, held against what a table shows at the end.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::ClientEvent;

/// What one application did and was told. It writes rows of its own, one transaction at a time.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pending: BTreeMap<u64, Write>,
    rows: BTreeMap<i64, Row>,
}

/// What a transaction writes.
#[derive(Debug, Clone, Copy)]
enum Write {
    /// An insert or an update.
    Set {
        id: i64,
        value: i64,
    },
    Move {
        amount: i64,
        from: i64,
        to: i64,
    },
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
}

impl Ledger {
    pub(super) fn observe(&mut self, event: &ClientEvent) {
        match event {
            ClientEvent::Submitted {
                transaction,
                operation,
                ..
            } => {
                if let Some(write) = parse(operation) {
                    self.pending.insert(*transaction, write);
                }
            }
            ClientEvent::Acknowledged { transaction, .. } => {
                if let Some(write) = self.pending.remove(transaction) {
                    self.on_acknowledged(write);
                }
            }
            ClientEvent::Refused { transaction, .. } => {
                self.pending.remove(transaction);
            }
            ClientEvent::InDoubt { transaction } => {
                if let Some(write) = self.pending.remove(transaction) {
                    self.on_doubt(write);
                }
            }
            ClientEvent::Connected { .. } | ClientEvent::ConnectFailed { .. } | ClientEvent::Batch { .. } => {
            }
        }
    }

    fn on_acknowledged(&mut self, write: Write) {
        match write {
            Write::Set { id, value } => {
                let row = self.rows.entry(id).or_default();
                row.acknowledged = Some(value);
                row.in_doubt.clear();
            }
            Write::Move { amount, from, to } => {
                for (id, amount) in [(from, -amount), (to, amount)] {
                    let row = self.rows.entry(id).or_default();
                    row.moved += amount;
                    row.is_account = true;
                }
            }
        }
    }

    fn on_doubt(&mut self, write: Write) {
        match write {
            Write::Set { id, value } => self.rows.entry(id).or_default().in_doubt.push(value),
            Write::Move { amount, from, to } => {
                for (id, amount) in [(from, -amount), (to, amount)] {
                    let row = self.rows.entry(id).or_default();
                    row.moved_in_doubt.push(amount);
                    row.is_account = true;
                }
            }
        }
    }

    /// What `table` shows that cannot be, row by row. Transactions still open count as in doubt.
    pub(super) fn contradictions(&mut self, table: &BTreeMap<i64, i64>) -> Vec<String> {
        for (_, write) in std::mem::take(&mut self.pending) {
            self.on_doubt(write);
        }
        let mut found: Vec<String> = self
            .rows
            .iter()
            .filter_map(|(id, row)| row.contradiction(*id, table.get(id).copied()))
            .collect();
        found.extend(self.half_a_transfer(table));
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
            return self.acknowledged.map(|_| format!("row {id} is missing"));
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

/// Reads `insert 7 = 1000`, `update 7 = 12`, `transfer 5 from 7 to 8`; reads write nothing.
fn parse(operation: &str) -> Option<Write> {
    let words: Vec<&str> = operation.split_whitespace().collect();
    let number = |word: &str| word.parse::<i64>().ok();
    match words.as_slice() {
        ["insert" | "update", id, "=", value] => Some(Write::Set {
            id: number(id)?,
            value: number(value)?,
        }),
        ["transfer", amount, "from", from, "to", to] => Some(Write::Move {
            amount: number(amount)?,
            from: number(from)?,
            to: number(to)?,
        }),
        _ => None,
    }
}
