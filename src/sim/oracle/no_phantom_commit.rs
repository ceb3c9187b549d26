//! Every row that is there at the end, and every value that a client reads, was written by a transaction whose client was
//! not told that it failed.
//!
//! Two promises: `no-phantom-commit` of what is left at the end, `undo-hides-uncommitted` of what is read on the way, judged
//! again when a writer is refused after its value was read. A row that transfers change holds a sum, of which only the
//! opening is known. Rows that no client named are the scenario's own, or nobody's. Source: documented, *Role Switching*,
//! *Estimate the Interruption of Service*; derived from *Database Mirroring Operating Modes*, where rollbacks wait as
//! commits do.

use std::collections::{BTreeMap, BTreeSet};

use super::{End, Oracle, Violation};
use crate::sim::workload::Operation;
use crate::types::{ClientEvent, Event, Source, Stamped, Timestamp};

const AT_THE_END: &str = "no-phantom-commit";
const WHEN_READ: &str = "undo-hides-uncommitted";

/// What may be in one row.
#[derive(Debug, Default)]
struct Row {
    /// Who wrote which value, unless it was told that it failed; in order. Mostly one, and there are many rows.
    writers: Vec<(u64, i64)>,
    /// Transfers that may have changed it.
    transfers: BTreeSet<u64>,
    /// Values that were read of it, and who read each first.
    read: BTreeMap<i64, String>,
}

impl Row {
    fn can_hold(&self, value: i64) -> bool {
        let written = self.writers.iter().any(|(_, written)| *written == value);
        written || (!self.transfers.is_empty() && !self.writers.is_empty())
    }

    fn write(&mut self, transaction: u64, value: i64) {
        match self.place_of(transaction) {
            Ok(place) => self.writers[place].1 = value,
            Err(place) => {
                self.writers.reserve_exact(usize::from(place == 0));
                self.writers.insert(place, (transaction, value));
            }
        }
    }

    /// Where it is among the writers, or would be.
    fn place_of(&self, transaction: u64) -> Result<usize, usize> {
        self.writers
            .binary_search_by_key(&transaction, |(writer, _)| *writer)
    }

    /// Takes a write back; what had been read of the row and cannot have been in it any more, and by whom.
    fn withdraw(&mut self, transaction: u64) -> Vec<(i64, String)> {
        let place = self.place_of(transaction);
        let wrote = place.map(|place| self.writers.remove(place)).is_ok();
        if !wrote && !self.transfers.remove(&transaction) {
            return Vec::new();
        }
        let read = std::mem::take(&mut self.read);
        let (right, wrong) = read.into_iter().partition(|(value, _)| self.can_hold(*value));
        self.read = right;
        wrong.into_iter().collect()
    }
}

/// What is wrong with a value that a row holds.
fn nobody_wrote(id: i64, value: i64) -> String {
    format!("row {id} holds {value}, which nobody wrote but who was told that it failed")
}

#[derive(Debug, Default)]
pub(super) struct NoPhantomCommit {
    rows: BTreeMap<i64, Row>,
    reads: BTreeMap<u64, i64>,
}

impl NoPhantomCommit {
    fn on_submitted(&mut self, transaction: u64, operation: &str) {
        match operation.parse() {
            Ok(Operation::Insert { id, value } | Operation::Update { id, value }) => {
                let row = self.rows.entry(id).or_default();
                row.write(transaction, value);
            }
            Ok(Operation::Transfer { from, to, .. }) => {
                for id in [from, to] {
                    let row = self.rows.entry(id).or_default();
                    row.transfers.insert(transaction);
                }
            }
            Ok(Operation::Read { id }) => {
                self.reads.insert(transaction, id);
            }
            Err(_) => {}
        }
    }

    fn can_hold(&self, id: i64, value: i64) -> bool {
        self.rows.get(&id).is_some_and(|row| row.can_hold(value))
    }

    fn on_read(&mut self, client: &str, id: i64, value: i64) -> Option<String> {
        if !self.can_hold(id, value) {
            return Some(nobody_wrote(id, value));
        }
        let row = self.rows.get_mut(&id)?;
        row.read.entry(value).or_insert_with(|| client.to_owned());
        None
    }
}

impl Oracle for NoPhantomCommit {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        let (Source::Client(client), Event::Client(event)) = (&stamped.source, &stamped.event) else {
            return;
        };
        match event {
            ClientEvent::Submitted {
                transaction,
                operation,
                ..
            } => self.on_submitted(*transaction, operation),
            ClientEvent::Acknowledged { transaction, values } => {
                let read = self.reads.remove(transaction);
                if let (Some(id), Some(Some(value))) = (read, values.first())
                    && let Some(problem) = self.on_read(client, id, *value)
                {
                    out.push(Violation::of(WHEN_READ, &[client], problem, stamped.at));
                }
            }
            ClientEvent::Refused { transaction, .. } => {
                for (id, row) in &mut self.rows {
                    for (value, reader) in row.withdraw(*transaction) {
                        let message = format!("{}, after {reader} had read it", nobody_wrote(*id, value));
                        out.push(Violation::of(WHEN_READ, &[&reader], message, stamped.at));
                    }
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        for (database, table) in &end.tables {
            let problem = table.iter().find_map(|(id, value)| match self.rows.get(id) {
                Some(row) => (!row.can_hold(*value)).then(|| nobody_wrote(*id, *value)),
                None => {
                    (!end.named.contains(id)).then(|| format!("row {id} is there, which nobody asked for"))
                }
            });
            if let Some(problem) = problem {
                let at: Timestamp = end.at;
                out.push(Violation::of(
                    AT_THE_END,
                    &[database],
                    format!("{database}: {problem}"),
                    at,
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::InstanceName;

    fn submitted(transaction: u64, operation: &str) -> Stamped {
        let (to, operation) = (InstanceName::new("alpha"), operation.to_owned());
        client(
            1,
            ClientEvent::Submitted {
                transaction,
                to,
                operation,
            },
        )
    }

    fn answered(transaction: u64, value: Option<i64>) -> Stamped {
        let values = value.map(Some).into_iter().collect();
        client(2, ClientEvent::Acknowledged { transaction, values })
    }

    fn refused(transaction: u64) -> Stamped {
        client(
            2,
            ClientEvent::Refused {
                transaction,
                number: 1205,
            },
        )
    }

    fn left(events: &[Stamped], value: i64) -> Vec<Violation> {
        let end = End {
            tables: [(db(), [(7, value)].into())].into(),
            ..End::default()
        };
        judge_until::<NoPhantomCommit>(events, &end)
    }

    #[test]
    fn what_was_acknowledged_or_is_in_doubt_may_be_there() {
        let doubt = client(2, ClientEvent::InDoubt { transaction: 2 });
        let history = [
            submitted(1, "insert 7 = 1"),
            answered(1, None),
            submitted(2, "update 7 = 2"),
            doubt,
        ];
        assert_eq!(left(&history, 1), []);
        assert_eq!(left(&history, 2), []);
        let history = [
            submitted(1, "insert 7 = 1"),
            submitted(2, "transfer 5 from 7 to 8"),
        ];
        assert_eq!(left(&history, -4), []);
    }

    #[test]
    fn what_was_refused_and_is_left_is_seen() {
        let history = [
            submitted(1, "insert 7 = 1"),
            answered(1, None),
            submitted(2, "update 7 = 2"),
            refused(2),
        ];
        let violations = left(&history, 2);
        assert_eq!(violations.len(), 1, "{violations:?}");
        assert_eq!(violations[0].oracle, AT_THE_END);
    }

    #[test]
    fn a_row_that_nobody_asked_for_is_seen() {
        let history = [submitted(1, "insert 8 = 1"), answered(1, None)];
        assert_eq!(left(&history, 1).len(), 1);
        let named = End {
            tables: [(db(), [(7, 1)].into())].into(),
            named: [7].into(),
            ..End::default()
        };
        assert_eq!(judge_until::<NoPhantomCommit>(&history, &named), []);
    }

    #[test]
    fn what_was_read_before_its_writer_was_refused_is_seen() {
        let history = |read: i64| {
            vec![
                submitted(1, "insert 7 = 1"),
                answered(1, None),
                submitted(2, "update 7 = 2"),
                submitted(3, "read 7"),
                answered(3, Some(read)),
                refused(2),
            ]
        };
        assert_quiet::<NoPhantomCommit>(&history(1));
        assert_red::<NoPhantomCommit>(&history(2), WHEN_READ);
        // Who else wrote it may be the one that was read.
        let mut twice = history(2);
        twice.insert(2, submitted(4, "update 7 = 2"));
        assert_quiet::<NoPhantomCommit>(&twice);
        let moved = vec![
            submitted(1, "insert 7 = 1"),
            submitted(2, "transfer 5 from 7 to 8"),
            submitted(3, "read 7"),
            answered(3, Some(-4)),
            refused(2),
        ];
        assert_red::<NoPhantomCommit>(&moved, WHEN_READ);
    }

    #[test]
    fn what_was_refused_or_never_asked_for_and_is_read_is_seen() {
        let mut history = vec![submitted(1, "insert 7 = 1"), answered(1, None)];
        history.extend([submitted(2, "update 7 = 2"), refused(2), submitted(3, "read 7")]);
        let mut quiet = history.clone();
        quiet.push(answered(3, Some(1)));
        assert_quiet::<NoPhantomCommit>(&quiet);
        for value in [2, 9] {
            let mut red = history.clone();
            red.push(answered(3, Some(value)));
            assert_red::<NoPhantomCommit>(&red, WHEN_READ);
        }
    }
}
