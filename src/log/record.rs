//! Log records and the bytes that hold them.
//!
//! A transaction's records stand together, its `Commit` last, and never span blocks; so a block can be redone or undone
//! by itself and no table of open transactions is needed. What a database must remember of its backups is logged too, so
//! that it reaches the mirror and is undone with the rest. Source: ours.

use crate::types::{Lsn, RowChange, TransactionId};

/// One record of the transaction log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogRecord {
    CreateTable {
        table: String,
    },
    /// A row changed; carries the row before and after, for undo and redo.
    Set(RowChange),
    Commit {
        transaction: TransactionId,
    },
    /// A backup was taken. Carries what is known of both chains then, so that the last one tells all.
    Backup(BackupPoint),
}

/// How far the database is backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BackupPoint {
    /// Log before this is in a log backup, or needs none.
    pub log: Lsn,
    /// The end of the log that the last full backup belongs to; the base of differential ones.
    pub base: Lsn,
}

/// Appends the encoding of `record`. A table's name is cut to no length here; the T-SQL layer bounds it.
pub(super) fn encode_record(record: &LogRecord, out: &mut Vec<u8>) {
    match record {
        LogRecord::CreateTable { table } => {
            out.push(TAG_CREATE_TABLE);
            put_text(table, out);
        }
        LogRecord::Set(change) => {
            out.push(TAG_SET);
            put_text(&change.table, out);
            out.extend_from_slice(&change.key.to_le_bytes());
            put_value(change.before, out);
            put_value(change.after, out);
        }
        LogRecord::Commit { transaction } => {
            out.push(TAG_COMMIT);
            out.extend_from_slice(&transaction.0.to_le_bytes());
        }
        LogRecord::Backup(point) => {
            out.push(TAG_BACKUP);
            out.extend_from_slice(&point.log.get().to_le_bytes());
            out.extend_from_slice(&point.base.get().to_le_bytes());
        }
    }
}

/// Reads the payload of a block: a count and that many records, and nothing else.
pub(super) fn decode_records(payload: &[u8]) -> Result<Vec<LogRecord>, &'static str> {
    let mut reader = Reader { rest: payload };
    let count = u32::from_le_bytes(reader.array()?);
    let mut records = Vec::new();
    for _ in 0..count {
        records.push(reader.record()?);
    }
    if reader.rest.is_empty() {
        Ok(records)
    } else {
        Err("bytes follow the last record")
    }
}

const TAG_CREATE_TABLE: u8 = 1;
const TAG_SET: u8 = 2;
const TAG_COMMIT: u8 = 3;
const TAG_BACKUP: u8 = 4;

fn put_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put_value(value: Option<i64>, out: &mut Vec<u8>) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn record(&mut self) -> Result<LogRecord, &'static str> {
        match self.array::<1>()?[0] {
            TAG_CREATE_TABLE => Ok(LogRecord::CreateTable { table: self.text()? }),
            TAG_SET => Ok(LogRecord::Set(RowChange {
                table: self.text()?,
                key: i64::from_le_bytes(self.array()?),
                before: self.value()?,
                after: self.value()?,
            })),
            TAG_COMMIT => Ok(LogRecord::Commit {
                transaction: TransactionId(u64::from_le_bytes(self.array()?)),
            }),
            TAG_BACKUP => Ok(LogRecord::Backup(BackupPoint {
                log: Lsn::new(u64::from_le_bytes(self.array()?)),
                base: Lsn::new(u64::from_le_bytes(self.array()?)),
            })),
            _ => Err("a record of an unknown kind"),
        }
    }

    fn text(&mut self) -> Result<String, &'static str> {
        let length = u32::from_le_bytes(self.array()?) as usize;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|_| "a name that is not UTF-8")
    }

    fn value(&mut self) -> Result<Option<i64>, &'static str> {
        match self.array::<1>()?[0] {
            0 => Ok(None),
            1 => Ok(Some(i64::from_le_bytes(self.array()?))),
            _ => Err("a row value that is neither there nor absent"),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], &'static str> {
        let (head, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or("a record is cut short")?;
        self.rest = rest;
        Ok(head)
    }
}
