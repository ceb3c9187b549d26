//! Transactions on their way: appended, applied, locked, and acknowledged once the session says so.

use super::redo_block;
use super::tables::Transaction;
use crate::error::{SqlError, msg};
use crate::instance::Instance;
use crate::instance::batch::Wait;
use crate::instance::client::ClientSession;
use crate::log::{AppendError, LogBlock, LogRecord};
use crate::session::{Partner, PartnerInput};
use crate::types::{DatabaseName, Lsn, SessionEvent, TransactionId};

impl Instance {
    /// Append a transaction to the log, apply it and ask for it to be hardened. Returns the end of its block.
    pub(in crate::instance) fn append_transaction(
        &mut self,
        name: &DatabaseName,
        work: Transaction,
    ) -> Result<Lsn, SqlError> {
        let Some(database) = self.database_mut(name) else {
            return Err(msg::DATABASE_MISSING.with(&[name]));
        };
        let transaction = TransactionId(database.next_transaction);
        let backup = database.take_backup_taken().map(LogRecord::Backup);
        let tables = work
            .tables
            .iter()
            .map(|d| LogRecord::CreateTable { table: d.to_string() });
        let changes = work.changes.iter().cloned().map(LogRecord::Set);
        let records = tables
            .chain(changes)
            .chain(backup)
            .chain([LogRecord::Commit { transaction }])
            .collect();
        let role_sequence = database.epoch();
        let block = match database.log.append(role_sequence, records) {
            Ok(block) => block.clone(),
            Err(AppendError::LogFull { bytes, .. }) => return Err(self.log_full(name, bytes)),
            Err(error) => return Err(msg::QUERY_FAILED.with(&[&error])),
        };
        database.next_transaction += 1;
        database.backup_taken = None;
        redo_block(&mut database.tables, &block);
        database.tables.lock(&work, block.end());
        database.unacknowledged.push_back((transaction, block.end()));
        self.generated(name, &block);
        Ok(block.end())
    }

    /// A block was appended here as principal: it is hardened, and the session learns of it.
    pub(in crate::instance) fn generated(&mut self, name: &DatabaseName, block: &LogBlock) {
        if let Some(database) = self.database_mut(name) {
            database.tables_at = block.end();
        }
        let (start, end, crc) = (block.start(), block.end(), block.crc());
        let role_sequence = block.role_sequence();
        self.emit(SessionEvent::LogGenerated {
            database: name.clone(),
            role_sequence,
            start,
            end,
            crc,
        });
        self.harden(name, block);
        self.session_input(name, PartnerInput::Appended);
    }

    /// Acknowledge every commit that may be, and let go on who waited for one or for a lock.
    pub(in crate::instance) fn acknowledge(&mut self, name: &DatabaseName) {
        let Some(database) = self.database_mut(name) else {
            return;
        };
        let may = database.acknowledgeable();
        let state = database.session.as_ref().and_then(Partner::state);
        let role_sequence = database.role_sequence();
        let mut done = Vec::new();
        while let Some((transaction, lsn)) = database
            .unacknowledged
            .front()
            .copied()
            .filter(|(_, lsn)| *lsn <= may)
        {
            database.unacknowledged.pop_front();
            done.push((transaction, lsn));
        }
        let unlocked = database.tables.unlock(may);
        for (transaction, lsn) in done {
            self.emit(SessionEvent::CommitAcknowledged {
                database: name.clone(),
                transaction,
                lsn,
                role_sequence,
                state,
            });
            let database = name.clone();
            self.resume(&Wait::Commit { database, lsn });
        }
        if unlocked {
            self.resume_locked(name);
        }
    }

    /// Let whoever waits for a row of this database look again.
    fn resume_locked(&mut self, name: &DatabaseName) {
        let database = name.clone();
        self.resume(&Wait::Lock { database });
    }

    /// The database stopped serving here: nobody waits for an acknowledgement any more. The rows stay locked, for what
    /// was not acknowledged may yet be undone; who waited for one looks again, and finds the database closed.
    pub(in crate::instance) fn forget_unacknowledged(&mut self, name: &DatabaseName) {
        if let Some(database) = self.database_mut(name) {
            database.unacknowledged.clear();
            database.counters.forget_commits();
        }
        self.end_waiting_backups(name);
        self.resume_locked(name);
    }

    /// A BACKUP that waits, in another database, for its record to be acknowledged: its file is there, and that it may be
    /// forgotten is so anyway (L2).
    fn end_waiting_backups(&mut self, name: &DatabaseName) {
        let of_backup = |client: &ClientSession| {
            let wait = client.running.as_ref()?.wait.clone()?;
            matches!(&wait, Wait::Commit { database, .. } if database == name).then_some(wait)
        };
        let waiting = self.clients.iter();
        let ended: Vec<_> = waiting
            .filter_map(|(id, client)| Some((*id, of_backup(client)?, Ok(()))))
            .collect();
        self.resumed.extend(ended);
    }
}
