//! The limit of the redo queue: how much log the mirror may have hardened and not redone.
//!
//! At the limit the principal sends no more log until the mirror has redone some. Commits that wait for the mirror wait
//! for that, too, so the log grows no further; those that do not (while SYNCHRONIZING, exposed, with SAFETY OFF) go on, and
//! their log collects in the send queue (S45). Pings and everything but log go on as ever. Source: documented,
//! *sys.database_mirroring*, `mirroring_redo_queue`; the statement is third-party.

use super::Outbox;
use super::command::Kind;
use super::partner::{Partner, Then};
use crate::error::{SqlError, msg};
use crate::log::LogBlock;
use crate::types::Timestamp;

/// The greatest limit, in megabytes: that of the view's column, an `int`. Source: derived.
const REDO_QUEUE_MB_MAX: i64 = i32::MAX as i64;

const BYTES_PER_MB: u64 = 1024 * 1024;

impl Partner {
    /// `SET PARTNER REDO_QUEUE`; `None` is UNLIMITED. Errors: 1425 for a number out of range, 1470 on the mirror.
    pub(super) fn set_redo_queue(
        &mut self,
        now: Timestamp,
        megabytes: Option<i64>,
        out: &mut Outbox,
    ) -> Result<(), SqlError> {
        self.check_principal()?;
        let limit = match megabytes {
            None => None,
            Some(n) => Some(checked(n)?),
        };
        self.begin_command(now, Kind::RedoQueue);
        let mut record = self.record.clone();
        record.redo_queue_mb = limit;
        record.configuration_sequence = record.configuration_sequence.saturating_add(1);
        self.persist(record, Then::RedoQueueSet, out);
        Ok(())
    }

    pub(super) fn after_redo_queue_set(&mut self, out: &mut Outbox) {
        self.send_configuration(out);
        self.finish_command(Ok(()), out);
    }

    /// Principal: whether the mirror may be sent this block, which comes next. With nothing left to redo there it always may.
    pub(super) fn fits_redo_queue(&self, block: &LogBlock) -> bool {
        let Some(limit) = self.record.redo_queue_mb else {
            return true;
        };
        let queued = block.end().bytes_since(self.peer_redone);
        self.sent <= self.peer_redone || queued <= u64::from(limit) * BYTES_PER_MB
    }
}

fn checked(megabytes: i64) -> Result<u32, SqlError> {
    u32::try_from(megabytes)
        .ok()
        .filter(|n| (1..=REDO_QUEUE_MB_MAX).contains(&i64::from(*n)))
        .ok_or_else(|| msg::BAD_PROPERTY_VALUE.with(&[&megabytes, &"REDO_QUEUE", &1, &REDO_QUEUE_MB_MAX]))
}
