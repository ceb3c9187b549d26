//! Giving log up at the front: what a checkpoint, the log backups and the mirror allow together.
//!
//! Log may go once the data file holds it durably, a log backup has it (unless the recovery model is SIMPLE, or no full
//! backup was ever taken), and the mirror has confirmed it; the mirror itself gives up what its principal did. What is
//! kept for one of these reasons fills the log, and a full log stops updates (9002) and nothing else. Log goes in pieces,
//! as the virtual log files of the product do. Source: documented, *The Transaction Log*, `log_reuse_wait`; *Pausing and
//! Resuming Database Mirroring*. The size of a piece is ours.

use super::Database;
use crate::error::{SqlError, msg};
use crate::instance::Instance;
use crate::instance::catalog::RecoveryModel;
use crate::instance::io::{DiskRequest, DiskTicket};
use crate::instance::purpose::Purpose;
use crate::instance::views::LogReuseWait;
use crate::log::{BackupPoint, LogRecord};
use crate::session::PartnerInput;
use crate::types::{DatabaseName, Lsn, PartnerRole, SessionEvent, TransactionId};

/// Less than this is not worth giving up, in bytes; of a small log, an eighth.
const PIECE_BYTES: u64 = 64 * 1024;

impl Database {
    /// The last backup, recorded in the log or about to be.
    pub fn backup_point(&self) -> Option<BackupPoint> {
        self.take_backup_taken().or_else(|| self.log.backup())
    }

    /// A backup that is still to be recorded. One of an earlier role sequence never will be: what it tells of may have
    /// been undone.
    pub(super) fn take_backup_taken(&self) -> Option<BackupPoint> {
        let (sequence, point) = self.backup_taken?;
        (sequence == self.role_sequence()).then_some(point)
    }

    /// Whether the data file lags so far behind that the log fills up for it.
    pub(super) fn needs_checkpoint(&self, bytes_behind: u64) -> bool {
        bytes_behind >= self.log.bytes_max() / 4
    }

    fn piece(&self) -> u64 {
        PIECE_BYTES.min(self.log.bytes_max() / 8)
    }

    /// Up to where the log may go, and what holds the rest.
    fn truncation(&self, recovery: RecoveryModel, restoring: bool) -> (Lsn, LogReuseWait) {
        let checkpoint = (self.durable_at, LogReuseWait::Checkpoint);
        let backed_up = match (recovery, self.backup_point()) {
            (RecoveryModel::Simple, _) | (_, None) => None,
            (_, Some(point)) => Some((point.log, LogReuseWait::LogBackup)),
        };
        let mirror = self
            .session
            .as_ref()
            .map(|session| (session.truncatable(), LogReuseWait::DatabaseMirroring));
        let copy =
            (restoring && self.session.is_none()).then_some((self.log.start(), LogReuseWait::LogBackup));
        [Some(checkpoint), backed_up, mirror, copy]
            .into_iter()
            .flatten()
            .min_by_key(|(lsn, _)| *lsn)
            .unwrap_or(checkpoint)
    }
}

impl Instance {
    /// What keeps the log of a database from being given up. Source: documented, `log_reuse_wait`.
    pub(in crate::instance) fn log_reuse_wait(&self, name: &str) -> LogReuseWait {
        let (Some(entry), Some(database)) = (self.catalog.database(name), self.database(name)) else {
            return LogReuseWait::Nothing;
        };
        let (to, wait) = database.truncation(entry.recovery, entry.restoring);
        match to >= database.log.end() {
            true => LogReuseWait::Nothing,
            false => wait,
        }
    }

    /// The error of a statement that found the log full; the error log has it once until log is given up.
    pub(super) fn log_full(&mut self, name: &DatabaseName, bytes: u64) -> SqlError {
        let wait = self.log_reuse_wait(name.as_str()).desc();
        let error = msg::LOG_FULL.with(&[name, &bytes, &wait]);
        let told = self
            .database_mut(name)
            .is_some_and(|d| std::mem::replace(&mut d.log_full_told, true));
        if !told {
            self.log_error(&error);
        }
        error
    }

    /// Ask for the data file to be durable as far as the log is applied to it.
    pub(in crate::instance) fn checkpoint(&mut self, name: &DatabaseName) -> DiskTicket {
        let to = self.database(name.as_str()).map_or(Lsn::ZERO, |d| d.redo_asked);
        let request = DiskRequest::Redo {
            database: name.clone(),
            tables: Vec::new(),
            dropped: Vec::new(),
            changes: Vec::new(),
            applied: to,
            durable: true,
        };
        let database = name.clone();
        self.disk(request, Purpose::Checkpoint { database, to })
    }

    /// The data file is durable up to `to`.
    pub(in crate::instance) fn on_checkpoint(&mut self, name: &DatabaseName, to: Lsn) {
        if let Some(database) = self.database_mut(name) {
            // What was taken back meanwhile is not in the file any more.
            database.durable_at = database.durable_at.max(to.min(database.redo_asked));
        }
        self.give_up_log(name);
    }

    /// Remember that a backup was taken: in the log at once if others depend on it, otherwise with the next block. The
    /// end of the block, if there is one.
    pub(in crate::instance) fn record_backup(
        &mut self,
        name: &DatabaseName,
        point: BackupPoint,
    ) -> Option<Lsn> {
        let database = self.database_mut(name)?;
        database.backup_taken = Some((database.role_sequence(), point));
        let recorded = match database.is_mirrored() {
            true => self.append_backup_point(name),
            false => None,
        };
        self.give_up_log(name);
        recorded
    }

    /// Append a block that says which backup was the last. It may exceed the size of the log, for it lets log go.
    fn append_backup_point(&mut self, name: &DatabaseName) -> Option<Lsn> {
        self.openable(name.as_str()).ok()?;
        let database = self.database_mut(name)?;
        let point = database.backup_point()?;
        let role_sequence = database.role_sequence();
        let transaction = TransactionId(database.next_transaction);
        let records = vec![LogRecord::Backup(point), LogRecord::Commit { transaction }];
        let block = database
            .log
            .append_beyond_size(role_sequence, records)
            .ok()?
            .clone();
        database.next_transaction += 1;
        database.backup_taken = None;
        database.unacknowledged.push_back((transaction, block.end()));
        self.generated(name, &block);
        Some(block.end())
    }

    /// Before log is given up: the catalog takes over what it says of the copy's recovery path. The disk makes that durable
    /// first, for it works in order.
    fn remember_path(&mut self, name: &DatabaseName, to: Lsn) {
        let Some(database) = self.database(name.as_str()) else {
            return;
        };
        let end = database.log.discardable(to);
        let Some(mut entry) = self.catalog.database(name.as_str()).cloned() else {
            return;
        };
        let path = database.path(&entry.path);
        if path.before(end) != entry.path.before(end) {
            entry.path = path;
            self.catalog.put_database(entry);
            let writes = self.catalog.take_writes();
            self.disk(DiskRequest::Master { writes }, Purpose::Catalog);
        }
    }

    /// Give up the log that nobody needs, if it is enough to be worth it.
    pub(in crate::instance) fn give_up_log(&mut self, name: &DatabaseName) {
        let Some(entry) = self.catalog.database(name.as_str()) else {
            return;
        };
        let (recovery, restoring) = (entry.recovery, entry.restoring);
        let Some(database) = self.database(name.as_str()) else {
            return;
        };
        let (to, _) = database.truncation(recovery, restoring);
        let worth = |to: Lsn| to >= database.log.start().advance(database.piece());
        if !worth(to) || database.down.is_some() {
            return;
        }
        if !worth(database.log.discardable(to)) {
            // The record of the last backup stands in the way, or is still to be made.
            self.append_backup_point(name);
        }
        self.remember_path(name, to);
        let Some(database) = self.database_mut(name) else {
            return;
        };
        if database.role() != Some(PartnerRole::Mirror) {
            // The data file follows the hardened log by itself; only a mirror's session keeps count.
            let hardened = database.log.hardened();
            database.log.mark_redone(hardened);
        }
        if !database.log.discard_before(to) {
            return;
        }
        database.log_full_told = false;
        let to = database.log.start();
        self.emit(SessionEvent::LogTruncated {
            database: name.clone(),
            to,
        });
        let request = DiskRequest::DiscardLog {
            database: name.clone(),
            before: to,
        };
        let database = name.clone();
        self.disk(request, Purpose::LogDiscard { database });
        self.session_input(name, PartnerInput::Discarded { to });
    }
}
