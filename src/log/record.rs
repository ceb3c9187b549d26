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

/// Whether the payload of a block is a count and that many records, and nothing else.
pub(super) fn check_records(payload: &[u8]) -> Result<(), &'static str> {
    let (count, mut reader) = begin(payload)?;
    for _ in 0..count {
        reader.record()?;
    }
    if reader.rest.is_empty() {
        Ok(())
    } else {
        Err("bytes follow the last record")
    }
}

/// The records of a payload that was checked; of another one, those before the first that is malformed.
pub(super) fn decode_records(payload: &[u8]) -> Vec<LogRecord> {
    read_records(payload).map(StoredRecord::into_owned).collect()
}

/// The last backup among the records of a payload that was checked.
pub(super) fn last_backup(payload: &[u8]) -> Option<BackupPoint> {
    let backup = |record| match record {
        StoredRecord::Backup(point) => Some(point),
        _ => None,
    };
    read_records(payload).filter_map(backup).last()
}

fn read_records(payload: &[u8]) -> impl Iterator<Item = StoredRecord<'_>> {
    let (count, mut reader) = begin(payload).unwrap_or_default();
    (0..count).map_while(move |_| reader.record().ok())
}

fn begin(payload: &[u8]) -> Result<(u32, Reader<'_>), &'static str> {
    let mut reader = Reader { rest: payload };
    Ok((u32::from_le_bytes(reader.array()?), reader))
}

/// A record where it is stored.
enum StoredRecord<'a> {
    CreateTable {
        table: &'a str,
    },
    Set {
        table: &'a str,
        key: i64,
        before: Option<i64>,
        after: Option<i64>,
    },
    Commit {
        transaction: TransactionId,
    },
    Backup(BackupPoint),
}

impl StoredRecord<'_> {
    fn into_owned(self) -> LogRecord {
        match self {
            StoredRecord::CreateTable { table } => LogRecord::CreateTable {
                table: table.to_owned(),
            },
            StoredRecord::Set {
                table,
                key,
                before,
                after,
            } => LogRecord::Set(RowChange {
                table: table.to_owned(),
                key,
                before,
                after,
            }),
            StoredRecord::Commit { transaction } => LogRecord::Commit { transaction },
            StoredRecord::Backup(point) => LogRecord::Backup(point),
        }
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

#[derive(Default)]
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn record(&mut self) -> Result<StoredRecord<'a>, &'static str> {
        match self.array::<1>()?[0] {
            TAG_CREATE_TABLE => Ok(StoredRecord::CreateTable { table: self.text()? }),
            TAG_SET => Ok(StoredRecord::Set {
                table: self.text()?,
                key: i64::from_le_bytes(self.array()?),
                before: self.value()?,
                after: self.value()?,
            }),
            TAG_COMMIT => Ok(StoredRecord::Commit {
                transaction: TransactionId(u64::from_le_bytes(self.array()?)),
            }),
            TAG_BACKUP => Ok(StoredRecord::Backup(BackupPoint {
                log: Lsn::new(u64::from_le_bytes(self.array()?)),
                base: Lsn::new(u64::from_le_bytes(self.array()?)),
            })),
            _ => Err("a record of an unknown kind"),
        }
    }

    fn text(&mut self) -> Result<&'a str, &'static str> {
        let length = u32::from_le_bytes(self.array()?) as usize;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| "a name that is not UTF-8")
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
