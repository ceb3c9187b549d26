//! What the disk is asked to do for a database, and what its answers bring: log hardened, redone in the data file, taken back.

use super::down::RestoredLog;
use super::{changes_of, redo_block, undo_block, undo_changes};
use crate::instance::Instance;
use crate::instance::batch::{StatementResult, Then};
use crate::instance::catalog::DatabaseEntry;
use crate::instance::io::DiskRequest;
use crate::instance::purpose::Purpose;
use crate::log::LogBlock;
use crate::session::PartnerInput;
use crate::types::{ConnectionId, DatabaseName, Lsn, PartnerRole, RoleSequence, SessionEvent};

/// Data file writes between two durable ones. What lies between is redone from the log after power loss.
const REDO_PER_CHECKPOINT: u32 = 64;

impl Instance {
    /// `RESTORE LOG`: a block that is in the log already goes to the rows and to both files.
    pub(in crate::instance) fn take_restored_block(&mut self, name: &DatabaseName, block: &LogBlock) {
        let Some(database) = self.database_mut(name) else {
            return;
        };
        redo_block(&mut database.tables, block);
        database.tables_at = block.end();
        self.harden(name, block);
    }

    /// The same for the last one, with what the catalog is to say of the copy once it is hardened.
    pub(in crate::instance) fn take_last_restored_block(
        &mut self,
        connection: ConnectionId,
        entry: DatabaseEntry,
        block: &LogBlock,
    ) -> StatementResult {
        let name = entry.name.clone();
        if let Some(database) = self.database_mut(&name) {
            redo_block(&mut database.tables, block);
            database.tables_at = block.end();
            database.restoring_log = true;
        }
        let request = self.append_request(&name, block);
        let block = block.clone();
        let then = Then::LogRestored(Box::new(RestoredLog { entry, block }));
        self.ask_disk(connection, request, then)
    }

    /// Ask the disk to harden a block.
    pub(in crate::instance) fn harden(&mut self, name: &DatabaseName, block: &LogBlock) {
        let request = self.append_request(name, block);
        let purpose = Purpose::LogAppend {
            database: name.clone(),
            role_sequence: block.role_sequence(),
            start: block.start(),
            end: block.end(),
            crc: block.crc(),
        };
        self.disk(request, purpose);
    }

    fn append_request(&mut self, name: &DatabaseName, block: &LogBlock) -> DiskRequest {
        let now = self.now.at;
        if let Some(database) = self.database_mut(name) {
            database.counters.harden_asked(now, block.end());
        }
        DiskRequest::AppendLog {
            database: name.clone(),
            at: block.start(),
            bytes: block.encode().to_vec(),
        }
    }

    pub(in crate::instance) fn on_log_hardened(
        &mut self,
        name: &DatabaseName,
        role_sequence: RoleSequence,
        start: Lsn,
        end: Lsn,
        crc: u32,
    ) {
        let now = self.now.at;
        let Some(database) = self.database_mut(name) else {
            return;
        };
        database.counters.hardened(now, end);
        if database.unacknowledged.iter().any(|(_, commit)| *commit == end) {
            database.counters.commit_hardened(now, end);
        }
        let held = database
            .log
            .blocks_from(start)
            .first()
            .is_some_and(|b| b.start() == start && b.crc() == crc);
        if held {
            self.emit(SessionEvent::LogHardened {
                database: name.clone(),
                role_sequence,
                start,
                end,
                crc,
            });
        }
        let Some(database) = self.database_mut(name) else {
            return;
        };
        if database.session.is_some() {
            self.session_input(name, PartnerInput::Hardened { to: end });
        } else {
            database.log.mark_hardened(end);
        }
        self.write_back(name);
        self.acknowledge(name);
    }

    /// Principal or unmirrored: bring the data file up to the hardened log.
    pub(super) fn write_back(&mut self, name: &DatabaseName) {
        let Some(database) = self.database_mut(name) else {
            return;
        };
        if database.role() == Some(PartnerRole::Mirror) {
            return;
        }
        let hardened = database.log.hardened();
        let due: Vec<LogBlock> = database
            .log
            .blocks_from(database.redo_asked)
            .iter()
            .take_while(|b| b.end() <= hardened)
            .cloned()
            .collect();
        for block in due {
            self.redo(name, &block);
        }
    }

    /// Ask the data file to take over a hardened block.
    fn redo(&mut self, name: &DatabaseName, block: &LogBlock) {
        let Some(database) = self.database_mut(name) else {
            return;
        };
        database.redo_asked = block.end();
        database.redo_since_checkpoint += 1;
        let bytes = block.end().bytes_since(database.durable_at);
        let durable =
            database.redo_since_checkpoint >= REDO_PER_CHECKPOINT || database.needs_checkpoint(bytes);
        if durable {
            database.redo_since_checkpoint = 0;
        }
        let (tables, changes) = changes_of(block);
        let applied = block.end();
        let request = DiskRequest::Redo {
            database: name.clone(),
            tables,
            dropped: Vec::new(),
            changes,
            applied,
            durable,
        };
        self.disk(
            request,
            Purpose::Redo {
                database: name.clone(),
                to: applied,
                durable,
            },
        );
    }

    /// A write of the data file failed: on a mirror the next one is to show whether the disk is well again.
    pub(in crate::instance) fn write_next_at_once(&mut self, name: &DatabaseName) {
        if let Some(database) = self.database_mut(name)
            && database.role() == Some(PartnerRole::Mirror)
        {
            database.redo_since_checkpoint = REDO_PER_CHECKPOINT;
        }
    }

    /// Mirror: redo a hardened block, in memory and in the data file.
    pub(in crate::instance) fn redo_on_mirror(&mut self, name: &DatabaseName, block: &LogBlock) {
        let Some(database) = self.database_mut(name) else {
            return;
        };
        if block.start() >= database.tables_at {
            redo_block(&mut database.tables, block);
            database.tables_at = block.end();
        }
        if block.start() >= database.redo_asked {
            self.redo(name, block);
        } else {
            // The data file has it already. The answer comes as the others do, in its turn.
            let request = DiskRequest::Redo {
                database: name.clone(),
                tables: Vec::new(),
                dropped: Vec::new(),
                changes: Vec::new(),
                applied: database.redo_asked,
                durable: false,
            };
            let (database, to) = (name.clone(), block.end());
            let durable = false;
            self.disk(
                request,
                Purpose::Redo {
                    database,
                    to,
                    durable,
                },
            );
        }
    }

    pub(in crate::instance) fn on_redone(&mut self, name: &DatabaseName, to: Lsn) {
        let Some(database) = self.database_mut(name) else {
            return;
        };
        if database.role() == Some(PartnerRole::Mirror) {
            database.counters.redo_bytes += to.bytes_since(database.log.redone().min(to));
            self.emit(SessionEvent::Redone {
                database: name.clone(),
                to,
            });
            self.session_input(name, PartnerInput::Redone { to });
        } else {
            database.log.mark_redone(to);
        }
    }

    /// Take blocks back (newest first) and cut the log at `to`: rows, data file, then the log itself, so that a crash in
    /// between leaves log that is only redone again.
    pub(in crate::instance) fn revert(&mut self, name: &DatabaseName, to: Lsn, undone: &[LogBlock]) {
        let Some(database) = self.database_mut(name) else {
            return;
        };
        for block in undone.iter().filter(|b| b.start() < database.tables_at) {
            undo_block(&mut database.tables, block);
        }
        database.tables_at = database.tables_at.min(to);
        database.tables.unlock_beyond(to);
        database.unacknowledged.retain(|(_, end)| *end <= to);
        database.counters.forget_beyond(to);
        let undo_bytes = undone.iter().map(|b| b.end().bytes_since(b.start())).sum();
        database.counters.undo_begins(undo_bytes);
        let written: Vec<LogBlock> = undone
            .iter()
            .filter(|b| b.start() < database.redo_asked)
            .cloned()
            .collect();
        database.redo_asked = database.redo_asked.min(to);
        database.durable_at = database.durable_at.min(to);
        if !written.is_empty() {
            let changes = undo_changes(&written);
            let created = written.iter().flat_map(|b| changes_of(b).0);
            let request = DiskRequest::Redo {
                database: name.clone(),
                tables: Vec::new(),
                dropped: created.collect(),
                changes,
                applied: to,
                durable: true,
            };
            let database = name.clone();
            self.disk(request, Purpose::Undo { database, to });
        } else {
            self.cut_log(name, to);
        }
        self.forget_pages_without_table(name);
    }

    /// The data file holds nothing of what is taken back: the log may follow.
    pub(in crate::instance) fn on_undone(&mut self, name: &DatabaseName, to: Lsn) {
        if let Some(database) = self.database_mut(name) {
            database.counters.undo_scanned();
        }
        self.cut_log(name, to);
    }

    fn cut_log(&mut self, name: &DatabaseName, to: Lsn) {
        let database = name.clone();
        let request = DiskRequest::TruncateLog { database, to };
        let database = name.clone();
        self.disk(request, Purpose::LogTruncate { database, to });
    }

    pub(in crate::instance) fn on_log_truncated(&mut self, name: &DatabaseName, to: Lsn) {
        if let Some(database) = self.database_mut(name) {
            database.counters.undo_ends();
        }
        self.session_input(name, PartnerInput::Truncated { to });
    }
}
