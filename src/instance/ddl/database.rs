//! `CREATE`, `DROP` and `ALTER DATABASE`.

use super::super::Instance;
use super::super::batch::{NewDatabase, Outcome, StatementResult, Then, Wait};
use super::super::catalog::{DatabaseEntry, RecoveryModel};
use super::super::client::ClientSession;
use super::super::database::Database;
use super::super::database::tables::Tables;
use super::super::deprecated::Feature;
use super::super::io::{DiskError, DiskReply, DiskRequest};
use super::super::preconditions::check_user_database;
use super::super::purpose::Purpose;
use crate::error::{SqlError, msg};
use crate::log::{LOG_BYTES_MAX, LOG_BYTES_MAX_DEFAULT};
use crate::tsql::ast::{self, DatabaseChange, FileChange};
use crate::types::{ConnectionId, DatabaseName, Guid, Lsn, RecoveryPath, SessionEvent};

/// Source: documented, *Database Identifiers* (sysname).
const NAME_CHARS_MAX: usize = 128;

/// The smallest log, in bytes. Source: ours, in proportion to rows of two integers (the product: 512 KB).
const LOG_BYTES_LEAST: u64 = 64 * 1024;

impl Instance {
    pub(super) fn create_database(&mut self, connection: ConnectionId, name: &str) -> StatementResult {
        if self.catalog.database(name).is_some() {
            return Err(msg::DATABASE_EXISTS.with(&[&name]));
        }
        self.check_name(name)?;
        let name = DatabaseName::new(name);
        let family = Guid::random(&mut self.streams.ids);
        let entry = self.new_entry(name.clone(), family, false);
        let database = Database::new(name, Lsn::ZERO, Tables::default());
        self.create_files(connection, NewDatabase { entry, database })
    }

    /// Whether `name` can be a user database's.
    pub(super) fn check_name(&self, name: &str) -> Result<(), SqlError> {
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
            return Err(msg::TOO_LONG.with(&[&"identifier", &name, &NAME_CHARS_MAX]));
        }
        if name.eq_ignore_ascii_case("master") || self.creating.contains(&name.to_lowercase()) {
            return Err(msg::DATABASE_EXISTS.with(&[&name]));
        }
        Ok(())
    }

    pub(super) fn new_entry(&self, name: DatabaseName, family: Guid, restoring: bool) -> DatabaseEntry {
        let known = self.catalog.database(name.as_str()).map(|e| (e.id, e.created));
        let (id, created) = known.unwrap_or_else(|| (self.catalog.next_database_id(), self.now.wall));
        DatabaseEntry {
            name,
            id,
            family,
            recovery: RecoveryModel::Full,
            restoring,
            created,
            mirroring: None,
            log_bytes_max: LOG_BYTES_MAX_DEFAULT,
            restored_base: None,
            path: RecoveryPath::born(family),
            bulk_since_log_backup: false,
        }
    }

    /// Create the files first and enter the database in the catalog after: a crash in between leaves files that the next
    /// CREATE replaces, never an entry without files.
    pub(super) fn create_files(&mut self, connection: ConnectionId, new: NewDatabase) -> StatementResult {
        let tables = &new.database.tables;
        let request = DiskRequest::CreateDatabase {
            database: new.entry.name.clone(),
            log_start: new.database.log.start(),
            tables: tables.declarations(),
            rows: tables.rows().iter().map(row).collect(),
        };
        self.creating.insert(new.entry.name.as_str().to_lowercase());
        self.ask_disk(connection, request, Then::Created(Box::new(new)))
    }

    /// The files are there, or cannot be had: enter the database. The statement waits until the entry is durable.
    pub(super) fn files_created(
        &mut self,
        connection: ConnectionId,
        new: NewDatabase,
        result: Result<DiskReply, DiskError>,
    ) -> StatementResult {
        let NewDatabase {
            mut entry,
            mut database,
        } = new;
        let key = entry.name.as_str().to_lowercase();
        self.creating.remove(&key);
        self.done(result)?;
        let taken = self.catalog.databases().any(|d| d.id == entry.id);
        if taken {
            entry.id = self.catalog.next_database_id();
        }
        database.log.set_bytes_max(entry.log_bytes_max);
        self.emit(SessionEvent::LogRecovered {
            database: entry.name.clone(),
            end: database.log.end(),
            redone: database.log.redone(),
        });
        self.catalog.put_database(entry);
        self.databases.insert(key, database);
        self.persist(connection, Then::Finish)
    }

    pub(super) fn drop_database(&mut self, connection: ConnectionId, name: &str) -> StatementResult {
        let entry = self.catalog.database(name).cloned();
        let entry = entry.ok_or_else(|| msg::CANNOT_FIND.with(&[&"database", &name]))?;
        if self.is_mirrored(&entry.name) {
            return Err(msg::OPERATION_ON_MIRRORED.with(&[&entry.name]));
        }
        self.check_unused(&entry.name)?;
        self.leave_catalog(&entry.name);
        self.ask_disk(
            connection,
            DiskRequest::DropDatabase { database: entry.name },
            Then::Dropped,
        )
    }

    /// No client, the caller included, may be using a database that is to go. Source: documented, 3702.
    pub(super) fn check_unused(&self, name: &DatabaseName) -> Result<(), SqlError> {
        let uses = |c: &ClientSession| c.database.as_ref() == Some(name);
        if self.clients.values().any(uses) {
            return Err(msg::DATABASE_IN_USE.with(&[name]));
        }
        self.check_not_restoring(name)
    }

    /// Nothing may change what the catalog says of a copy while `RESTORE LOG` is about to do so.
    pub(in crate::instance) fn check_not_restoring(&self, name: &DatabaseName) -> Result<(), SqlError> {
        match self.database(name.as_str()).is_some_and(|d| d.restoring_log) {
            true => Err(msg::DATABASE_IN_USE.with(&[name])),
            false => Ok(()),
        }
    }

    /// Take a database out of the catalog, before anything happens to its files. What the monitor has read of it goes too:
    /// the counters of a database that takes the name begin anew.
    pub(super) fn leave_catalog(&mut self, name: &DatabaseName) {
        self.monitor.forget(name);
        self.databases.remove(&name.as_str().to_lowercase());
        self.catalog.drop_database(name.as_str());
        let writes = self.catalog.take_writes();
        self.disk(DiskRequest::Master { writes }, Purpose::Catalog);
    }

    pub(super) fn alter_database(
        &mut self,
        connection: ConnectionId,
        name: &str,
        change: &DatabaseChange,
    ) -> StatementResult {
        match change {
            DatabaseChange::Partner(_) => check_user_database(name, "PARTNER")?,
            DatabaseChange::Witness(_) => check_user_database(name, "WITNESS")?,
            DatabaseChange::Recovery(_) | DatabaseChange::ModifyFile(_) => {}
        }
        let name = match self.catalog.database(name) {
            Some(entry) => entry.name.clone(),
            None => return Err(msg::DATABASE_MISSING.with(&[&name])),
        };
        self.check_not_restoring(&name)?;
        if matches!(change, DatabaseChange::Partner(_) | DatabaseChange::Witness(_)) {
            self.note_deprecated(Feature::DatabaseMirroring);
        }
        match change {
            DatabaseChange::Partner(option) => self.alter_partner(connection, &name, option),
            DatabaseChange::Witness(option) => self.alter_witness(connection, &name, option),
            DatabaseChange::Recovery(model) => self.set_recovery(connection, &name, *model),
            DatabaseChange::ModifyFile(change) => self.modify_file(connection, &name, change),
        }
    }

    /// `MODIFY FILE (NAME = d_log, MAXSIZE = …)`: how large the log may become, at once. The data file has no bound.
    fn modify_file(
        &mut self,
        connection: ConnectionId,
        name: &DatabaseName,
        change: &FileChange,
    ) -> StatementResult {
        let Some(mut entry) = self.catalog.database(name.as_str()).cloned() else {
            return Err(msg::DATABASE_MISSING.with(&[name]));
        };
        let log_file = format!("{name}_log");
        if !change.file.as_str().eq_ignore_ascii_case(&log_file) {
            return Err(msg::FILE_MISSING.with(&[&change.file]).at(change.file.span));
        }
        let bytes = change.bytes_max.unwrap_or(LOG_BYTES_MAX);
        if !(LOG_BYTES_LEAST..=LOG_BYTES_MAX).contains(&bytes) {
            let (least, most) = (LOG_BYTES_LEAST / 1024, LOG_BYTES_MAX / 1024);
            let kilobytes = bytes / 1024;
            return Err(msg::VALUE_OUT_OF_RANGE.with(&[&kilobytes, &"MAXSIZE in KB", &least, &most]));
        }
        entry.log_bytes_max = bytes;
        if let Some(database) = self.database_mut(name) {
            database.log.set_bytes_max(bytes);
        }
        self.catalog.put_database(entry);
        self.persist(connection, Then::Finish)
    }

    /// `CHECKPOINT` in the current database: the data file becomes durable, and log that nobody needs goes.
    pub(super) fn checkpoint_statement(&mut self, connection: ConnectionId) -> StatementResult {
        let name = self.current_database(connection)?;
        let ticket = self.checkpoint(&name);
        Ok(Outcome::Wait(Wait::Disk(ticket)))
    }

    fn set_recovery(
        &mut self,
        connection: ConnectionId,
        name: &DatabaseName,
        model: ast::RecoveryModel,
    ) -> StatementResult {
        if self.is_mirrored(name) {
            return Err(msg::OPERATION_ON_MIRRORED.with(&[name]));
        }
        let Some(mut entry) = self.catalog.database(name.as_str()).cloned() else {
            return Ok(Outcome::Done);
        };
        entry.recovery = match model {
            ast::RecoveryModel::Full => RecoveryModel::Full,
            ast::RecoveryModel::Simple => RecoveryModel::Simple,
            ast::RecoveryModel::BulkLogged => RecoveryModel::BulkLogged,
        };
        entry.bulk_since_log_backup |= entry.recovery == RecoveryModel::BulkLogged;
        self.catalog.put_database(entry);
        self.persist(connection, Then::Finish)
    }
}

pub(super) fn row((table, key, value): &(String, i64, i64)) -> crate::types::RowChange {
    crate::types::RowChange {
        table: table.clone(),
        key: *key,
        before: None,
        after: Some(*value),
    }
}
