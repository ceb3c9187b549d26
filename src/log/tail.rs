//! The log of one database in memory: its blocks, where it ends, how far it is hardened and redone.
//!
//! Blocks are kept from `start` on, for resending, undo and log backups. What nobody needs any more is discarded at the
//! front; beyond its configured size the log is full (message 9002). Which principal generated what is known from the role sequences of
//! the blocks: two logs agree as long as they name the same sequence, because under one sequence only one instance
//! generates log. Source: derived; the comparison is that of Kafka's leader epochs.
//!
//! Invariants: start ≤ redone ≤ hardened ≤ end; blocks adjoin; role sequences ascend.

use thiserror::Error;

use super::{BackupPoint, BlockError, LogBlock, LogRecord};
use crate::types::{Lsn, RoleSequence};

/// The size of a log until `MODIFY FILE` changes it, in bytes.
pub const LOG_BYTES_MAX_DEFAULT: u64 = 16 * 1024 * 1024;

/// No log grows beyond this, a mirror's included, which is only as large as its principal's otherwise.
pub const LOG_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The transaction log of one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    start: Lsn,
    blocks: Vec<LogBlock>,
    hardened: Lsn,
    redone: Lsn,
    /// Beyond this many bytes nothing is generated here.
    bytes_max: u64,
    /// The last backup the log knows of, and the block that says so.
    backup: Option<(BackupPoint, Lsn)>,
}

/// Why nothing was appended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AppendError {
    #[error("the log is full: it holds {bytes} of at most {max} bytes")]
    LogFull { bytes: u64, max: u64 },
    #[error("the block starts at {block}, the log ends at {end}")]
    Gap { block: Lsn, end: Lsn },
    #[error(transparent)]
    Block(#[from] BlockError),
}

impl Log {
    /// An empty log that begins at `start`.
    pub fn new(start: Lsn) -> Log {
        Log {
            start,
            blocks: Vec::new(),
            hardened: start,
            redone: start,
            bytes_max: LOG_BYTES_MAX_DEFAULT,
            backup: None,
        }
    }

    /// The log read from disk at restart: all of it hardened; redone up to `applied`, if that lies within it.
    ///
    /// Errors: `Gap` or `Block` if the blocks do not adjoin, `LogFull` if there are too many.
    pub fn from_blocks(start: Lsn, blocks: Vec<LogBlock>, applied: Lsn) -> Result<Log, AppendError> {
        let mut log = Log::new(start);
        for block in blocks {
            log.append_block(block)?;
        }
        log.hardened = log.end();
        log.redone = applied.clamp(start, log.hardened);
        Ok(log)
    }

    /// Principal: makes a block of `records` at the end. Not hardened yet. `LogFull` beyond the configured size.
    pub fn append(
        &mut self,
        role_sequence: RoleSequence,
        records: Vec<LogRecord>,
    ) -> Result<&LogBlock, AppendError> {
        let block = LogBlock::new(self.end(), role_sequence, records)?;
        if block.end().bytes_since(self.start) > self.bytes_max {
            return Err(AppendError::LogFull {
                bytes: self.bytes(),
                max: self.bytes_max,
            });
        }
        self.append_block(block)
    }

    /// As `append`, whatever the configured size: for the one record that lets log go.
    pub fn append_beyond_size(
        &mut self,
        role_sequence: RoleSequence,
        records: Vec<LogRecord>,
    ) -> Result<&LogBlock, AppendError> {
        let block = LogBlock::new(self.end(), role_sequence, records)?;
        self.append_block(block)
    }

    /// Mirror: puts a received block at the end. Not hardened yet.
    pub fn append_block(&mut self, block: LogBlock) -> Result<&LogBlock, AppendError> {
        let end = self.end();
        if block.start() != end {
            return Err(AppendError::Gap {
                block: block.start(),
                end,
            });
        }
        if let Some(last) = self.blocks.last()
            && block.role_sequence() < last.role_sequence()
        {
            return Err(AppendError::Block(BlockError::Sequence {
                says: block.role_sequence(),
                after: last.role_sequence(),
            }));
        }
        if block.end().bytes_since(self.start) > LOG_BYTES_MAX {
            return Err(AppendError::LogFull {
                bytes: self.bytes(),
                max: LOG_BYTES_MAX,
            });
        }
        if let Some(point) = block.backup() {
            self.backup = Some((point, block.start()));
        }
        self.blocks.push(block);
        Ok(&self.blocks[self.blocks.len() - 1])
    }

    /// Notes that the disk holds the log up to `to`. What was cut off meanwhile does not count.
    pub fn mark_hardened(&mut self, to: Lsn) {
        self.hardened = self.hardened.max(to.min(self.end()));
    }

    /// Notes that the database reflects the log up to `to`. What was cut off meanwhile does not count.
    pub fn mark_redone(&mut self, to: Lsn) {
        self.redone = self.redone.max(to.min(self.hardened));
    }

    /// Cuts the log back to `to` and returns what was cut off, newest first. A block that lies across `to` goes too.
    pub fn truncate(&mut self, to: Lsn) -> Vec<LogBlock> {
        let keep = self.blocks.partition_point(|b| b.end() <= to);
        let undone: Vec<LogBlock> = self.blocks.drain(keep..).rev().collect();
        let end = self.end();
        self.hardened = self.hardened.min(end);
        self.redone = self.redone.min(end);
        if undone.iter().any(|block| block.backup().is_some()) {
            let mut newest_first = self.blocks.iter().rev();
            self.backup = newest_first.find_map(|b| Some((b.backup()?, b.start())));
        }
        undone
    }

    /// Gives up whole blocks that end at or before `to`. The block that tells of the last backup is kept, and so is what
    /// is not redone. Whether anything went.
    pub fn discard_before(&mut self, to: Lsn) -> bool {
        let to = self.discardable(to);
        let gone = self.blocks.partition_point(|b| b.end() <= to);
        self.blocks.drain(..gone);
        let moved = to > self.start;
        self.start = to;
        moved
    }

    /// Up to where `discard_before(to)` would give the log up: a boundary between blocks.
    pub fn discardable(&self, to: Lsn) -> Lsn {
        let kept = self.backup.map_or(Lsn::MAX, |(_, block)| block);
        let to = to.min(kept).min(self.redone);
        let gone = self.blocks.partition_point(|b| b.end() <= to);
        gone.checked_sub(1)
            .map_or(self.start, |last| self.blocks[last].end())
    }

    /// The last backup that was recorded in the log.
    pub fn backup(&self) -> Option<BackupPoint> {
        self.backup.map(|(point, _)| point)
    }

    /// How many bytes the log holds.
    pub fn bytes(&self) -> u64 {
        self.end().bytes_since(self.start)
    }

    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Sets how large the log may become.
    pub fn set_bytes_max(&mut self, bytes_max: u64) {
        self.bytes_max = bytes_max.min(LOG_BYTES_MAX);
    }

    pub fn start(&self) -> Lsn {
        self.start
    }

    /// Where the next block starts: the end of what was generated (principal) or received (mirror).
    pub fn end(&self) -> Lsn {
        self.blocks.last().map_or(self.start, LogBlock::end)
    }

    pub fn hardened(&self) -> Lsn {
        self.hardened
    }

    pub fn redone(&self) -> Lsn {
        self.redone
    }

    pub fn blocks(&self) -> &[LogBlock] {
        &self.blocks
    }

    /// The blocks from the one that starts at or after `lsn` on.
    pub fn blocks_from(&self, lsn: Lsn) -> &[LogBlock] {
        &self.blocks[self.blocks.partition_point(|b| b.start() < lsn)..]
    }

    /// Where each role sequence begins in this log, ascending.
    pub fn epochs(&self) -> Vec<(RoleSequence, Lsn)> {
        let mut epochs: Vec<(RoleSequence, Lsn)> = Vec::new();
        for block in &self.blocks {
            if epochs.last().map(|e| e.0) != Some(block.role_sequence()) {
                epochs.push((block.role_sequence(), block.start()));
            }
        }
        epochs
    }

    /// Up to where this log and another agree, the other given by its start, role sequences and end.
    ///
    /// `None` if they have no stretch in common, so that nothing can be said: one ends before the other begins. What
    /// lies before the later start is taken as common (the caller has checked that both are of one family).
    pub fn common_point(
        &self,
        their_start: Lsn,
        their_epochs: &[(RoleSequence, Lsn)],
        their_end: Lsn,
    ) -> Option<Lsn> {
        let from = self.start.max(their_start);
        let to = self.end().min(their_end);
        if from > to {
            return None;
        }
        let ours = self.epochs();
        let mut edges: Vec<Lsn> = ours
            .iter()
            .chain(their_epochs)
            .map(|e| e.1)
            .filter(|at| (from..to).contains(at))
            .collect();
        edges.push(from);
        edges.sort_unstable();
        let parting = edges
            .into_iter()
            .find(|at| *at < to && sequence_at(&ours, *at) != sequence_at(their_epochs, *at));
        Some(parting.unwrap_or(to))
    }
}

/// The role sequence under which the log at `at` was generated.
fn sequence_at(epochs: &[(RoleSequence, Lsn)], at: Lsn) -> Option<RoleSequence> {
    epochs
        .iter()
        .rev()
        .find(|(_, start)| *start <= at)
        .map(|(s, _)| *s)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::TransactionId;

    /// A log from 100 on with one block for each role sequence given; equal prefixes give equal blocks.
    fn log(sequences: &[RoleSequence]) -> Log {
        let mut log = Log::new(Lsn::new(100));
        for (i, sequence) in sequences.iter().enumerate() {
            let transaction = TransactionId(i as u64);
            log.append(*sequence, vec![LogRecord::Commit { transaction }])
                .unwrap();
        }
        log
    }

    fn common(a: &Log, b: &Log) -> Option<Lsn> {
        a.common_point(b.start(), &b.epochs(), b.end())
    }

    #[test]
    fn logs_part_where_their_sequences_do() {
        let trunk = log(&[1, 1, 2]);
        assert_eq!(common(&trunk, &log(&[1, 1, 2, 2])), Some(trunk.end()));
        assert_eq!(
            common(&log(&[1, 1, 2, 2, 2]), &log(&[1, 1, 2, 3])),
            Some(trunk.end())
        );
        assert_eq!(common(&log(&[1, 1]), &log(&[2, 2])), Some(Lsn::new(100)));
        assert_eq!(common(&log(&[]), &trunk), Some(Lsn::new(100)));
    }

    #[test]
    fn logs_without_a_common_stretch_say_nothing() {
        let late = Log::new(Lsn::new(10_000));
        assert_eq!(common(&log(&[1]), &late), None);
        assert_eq!(common(&late, &log(&[1])), None);
    }

    #[test]
    fn a_later_start_counts_as_common() {
        let whole = log(&[1, 1, 1]);
        let restored = Log::new(whole.blocks()[1].end());
        assert_eq!(common(&whole, &restored), Some(restored.end()));
        assert_eq!(common(&restored, &whole), Some(restored.end()));
    }

    #[test]
    fn what_is_cut_off_does_not_count_as_hardened() {
        let mut log = log(&[1, 1, 1]);
        let to = log.blocks()[0].end();
        log.mark_hardened(log.end());
        log.mark_redone(log.end());
        let undone = log.truncate(to);
        assert_eq!(undone.len(), 2);
        assert!(undone[0].start() > undone[1].start());
        assert_eq!((log.end(), log.hardened(), log.redone()), (to, to, to));
        log.mark_hardened(Lsn::MAX);
        assert_eq!(log.hardened(), to);
    }

    #[test]
    fn a_full_log_takes_no_more() {
        let mut log = Log::new(Lsn::ZERO);
        let table = "t".repeat(1_000_000);
        let full = loop {
            let records = vec![LogRecord::CreateTable { table: table.clone() }];
            if let Err(error) = log.append(1, records) {
                break error;
            }
        };
        assert!(matches!(full, AppendError::LogFull { .. }));
        assert!(log.bytes() <= LOG_BYTES_MAX_DEFAULT);
        log.mark_hardened(log.end());
        log.mark_redone(log.end());
        let half = log.blocks()[log.blocks().len() / 2].start();
        assert!(log.discard_before(half));
        assert_eq!(log.start(), half);
        assert!(log.append(1, Vec::new()).is_ok());
    }

    #[test]
    fn the_last_backup_is_known_as_long_as_its_block_is_there() {
        let mut log = log(&[1, 1]);
        let (first, second) = (log.blocks()[0].end(), log.end());
        let backup = |lsn| BackupPoint {
            log: lsn,
            base: first,
        };
        for point in [backup(first), backup(second)] {
            log.append(1, vec![LogRecord::Backup(point)]).unwrap();
        }
        assert_eq!(log.backup(), Some(backup(second)));
        log.mark_hardened(log.end());
        assert!(!log.discard_before(log.end()), "nothing is redone yet");
        log.mark_redone(log.end());
        let last = log.blocks()[3].start();
        assert!(log.discard_before(log.end()));
        assert_eq!((log.start(), log.backup()), (last, Some(backup(second))));
        log.truncate(last);
        assert_eq!((log.backup(), log.start(), log.end()), (None, last, last));
    }

    #[test]
    fn blocks_must_adjoin_and_ascend() {
        let mut log = log(&[2]);
        let gap = LogBlock::new(log.end().advance(1), 2, Vec::new()).unwrap();
        assert!(matches!(log.append_block(gap), Err(AppendError::Gap { .. })));
        assert!(matches!(log.append(1, Vec::new()), Err(AppendError::Block(_))));
    }

    proptest! {
        #[test]
        fn the_common_point_is_the_common_prefix(
            trunk in prop::collection::vec(0..2u32, 0..6),
            ours in prop::collection::vec(1..3u32, 0..4),
            theirs in prop::collection::vec(1..3u32, 0..4),
        ) {
            let ascending = |steps: &[u32]| -> Vec<u32> {
                steps.iter().scan(1, |s, step| { *s += step; Some(*s) }).collect()
            };
            let a = log(&ascending(&[trunk.clone(), ours].concat()));
            let b = log(&ascending(&[trunk, theirs].concat()));
            let same = a.blocks().iter().zip(b.blocks()).take_while(|(x, y)| x == y);
            let expected = same.last().map_or(a.start(), |(x, _)| x.end());
            prop_assert_eq!(common(&a, &b), Some(expected));
            prop_assert_eq!(common(&b, &a), Some(expected));
        }
    }
}
