//! `CREATE`, `DROP` and `ALTER DATABASE`, `BACKUP` and `RESTORE`.

use super::super::Instance;
use super::super::batch::{NewDatabase, Outcome, StatementResult, Then};
use super::super::catalog::{DatabaseEntry, RecoveryModel};
use super::super::client::ClientSession;
use super::super::database::Database;
use super::super::database::backup::{Backup, BackupKind};
use super::super::database::tables::Tables;
use super::super::io::{DiskError, DiskReply, DiskRequest};
use super::super::purpose::Purpose;
use crate::error::{SqlError, msg};
use crate::log::{AppendError, LogBlock};
use crate::tsql::ast::{self, DatabaseChange, Restore};
use crate::types::{ConnectionId, DatabaseName, Guid, Lsn};

/// Source: documented, *Database Identifiers* (sysname).
const NAME_CHARS_MAX: usize = 128;

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
    fn check_name(&self, name: &str) -> Result<(), SqlError> {
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
            return Err(msg::TOO_LONG.with(&[&"identifier", &name, &NAME_CHARS_MAX]));
        }
        if name.eq_ignore_ascii_case("master") || self.creating.contains(&name.to_lowercase()) {
            return Err(msg::DATABASE_EXISTS.with(&[&name]));
        }
        Ok(())
    }

    fn new_entry(&self, name: DatabaseName, family: Guid, restoring: bool) -> DatabaseEntry {
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
        }
    }

    /// Create the files first and enter the database in the catalog after: a crash in between leaves files that the next
    /// CREATE replaces, never an entry without files.
    fn create_files(&mut self, connection: ConnectionId, new: NewDatabase) -> StatementResult {
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
        let NewDatabase { mut entry, database } = new;
        let key = entry.name.as_str().to_lowercase();
        self.creating.remove(&key);
        self.done(result)?;
        let taken = self.catalog.databases().any(|d| d.id == entry.id);
        if taken {
            entry.id = self.catalog.next_database_id();
        }
        self.catalog.put_database(entry);
        self.databases.insert(key, database);
        self.persist(connection, Then::Finish)
    }

    pub(super) fn drop_database(&mut self, connection: ConnectionId, name: &str) -> StatementResult {
        let entry = self.catalog.database(name).cloned();
        let entry = entry.ok_or_else(|| msg::CANNOT_FIND.with(&[&"database", &name]))?;
        if self.database(name).is_some_and(Database::is_mirrored) {
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
    fn check_unused(&self, name: &DatabaseName) -> Result<(), SqlError> {
        let uses = |c: &ClientSession| c.database.as_ref() == Some(name);
        if self.clients.values().any(uses) {
            return Err(msg::DATABASE_IN_USE.with(&[name]));
        }
        Ok(())
    }

    /// Take a database out of the catalog, before anything happens to its files.
    fn leave_catalog(&mut self, name: &DatabaseName) {
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
        let name = match self.catalog.database(name) {
            Some(entry) => entry.name.clone(),
            None => return Err(msg::DATABASE_MISSING.with(&[&name])),
        };
        match change {
            DatabaseChange::Partner(option) => self.alter_partner(connection, &name, option),
            DatabaseChange::Witness(option) => self.alter_witness(connection, &name, option),
            DatabaseChange::Recovery(model) => self.set_recovery(connection, &name, *model),
        }
    }

    fn set_recovery(
        &mut self,
        connection: ConnectionId,
        name: &DatabaseName,
        model: ast::RecoveryModel,
    ) -> StatementResult {
        if self.database(name.as_str()).is_some_and(Database::is_mirrored) {
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
        self.catalog.put_database(entry);
        self.persist(connection, Then::Finish)
    }

    pub(super) fn backup_database(
        &mut self,
        connection: ConnectionId,
        backup: &ast::Backup,
    ) -> StatementResult {
        if backup.norecovery {
            return Err(msg::NOT_SUPPORTED.with(&[&"BACKUP LOG WITH NORECOVERY"]));
        }
        let name = self.openable(backup.database.as_str())?;
        let entry = self.catalog.database(name.as_str()).cloned();
        let (Some(entry), Some(database)) = (entry, self.database(name.as_str())) else {
            return Err(msg::DATABASE_MISSING.with(&[&name]));
        };
        let log = &database.log;
        let kind = match backup.kind {
            ast::BackupKind::Database => BackupKind::Database,
            ast::BackupKind::Log => BackupKind::Log,
        };
        if kind == BackupKind::Log && entry.recovery == RecoveryModel::Simple {
            let reason = "the statement BACKUP LOG is not allowed while the recovery model is SIMPLE";
            return Err(msg::DATABASE_IN_USE_OPERATION.with(&[&"BACKUP LOG", &reason]));
        }
        let file = Backup {
            database: name.as_str().to_owned(),
            family: entry.family,
            kind,
            first_lsn: if kind == BackupKind::Log {
                log.start()
            } else {
                log.end()
            },
            last_lsn: log.end(),
            epochs: log.epochs(),
            tables: if kind == BackupKind::Log {
                Vec::new()
            } else {
                database.tables.declarations()
            },
            rows: if kind == BackupKind::Log {
                Vec::new()
            } else {
                database.tables.rows()
            },
            log: if kind == BackupKind::Log {
                log.blocks()
                    .iter()
                    .flat_map(|b| b.encode().iter().copied())
                    .collect()
            } else {
                Vec::new()
            },
        };
        let bytes = file
            .encode()
            .map_err(|why| msg::DATABASE_IN_USE_OPERATION.with(&[&"BACKUP DATABASE", &why]))?;
        let pages = (file.rows.len() + log.blocks().len()) as u64;
        let request = DiskRequest::WriteFile {
            path: backup.file.as_str().to_owned(),
            bytes,
        };
        self.ask_disk(connection, request, Then::Backup { pages })
    }

    pub(super) fn restore_database(
        &mut self,
        connection: ConnectionId,
        restore: &Restore,
    ) -> StatementResult {
        let name = restore.database.as_str();
        self.check_restorable(name)?;
        match &restore.file {
            Some(file) => {
                let request = DiskRequest::ReadFile {
                    path: file.as_str().to_owned(),
                };
                self.ask_disk(connection, request, Then::RestoreRead(restore.clone()))
            }
            None => self.recover_database(connection, name),
        }
    }

    fn check_restorable(&self, name: &str) -> Result<(), SqlError> {
        if self.database(name).is_some_and(Database::is_mirrored) {
            return Err(msg::RESTORE_OVERWRITES.with(&[&name]));
        }
        Ok(())
    }

    /// `RESTORE DATABASE x WITH RECOVERY`: the copy opens as it is.
    fn recover_database(&mut self, connection: ConnectionId, name: &str) -> StatementResult {
        let entry = self.catalog.database(name).cloned();
        let mut entry = entry.ok_or_else(|| msg::DATABASE_MISSING.with(&[&name]))?;
        if !entry.restoring {
            return Err(msg::RESTORE_NOT_RESTORING.error());
        }
        entry.restoring = false;
        self.catalog.put_database(entry);
        self.persist(connection, Then::Finish)
    }

    pub(super) fn restore_read(
        &mut self,
        connection: ConnectionId,
        restore: &Restore,
        result: Result<DiskReply, DiskError>,
    ) -> StatementResult {
        let Some(path) = &restore.file else {
            return Ok(Outcome::Done);
        };
        let bytes = match result {
            Ok(DiskReply::File(bytes)) => bytes,
            Ok(_) => return Err(msg::CANNOT_OPEN_BACKUP.with(&[path, &"It is not a file"])),
            Err(error) => return Err(msg::CANNOT_OPEN_BACKUP.with(&[path, &error])),
        };
        // While the file was read, another client may have made it a mirror.
        self.check_restorable(restore.database.as_str())?;
        let backup = Backup::decode(&bytes).map_err(|why| msg::BACKUP_DAMAGED.with(&[path, &why]))?;
        match (restore.kind, backup.kind) {
            (ast::BackupKind::Database, BackupKind::Database) => {
                self.restore_full(connection, restore, &backup)
            }
            (ast::BackupKind::Log, BackupKind::Log) => self.restore_log(connection, restore, &backup, path),
            _ => Err(msg::BACKUP_DAMAGED.with(&[
                path,
                &"it holds another kind of backup than the statement asks for",
            ])),
        }
    }

    /// What was there under this name leaves the catalog before its files are replaced: a crash in between leaves no
    /// database rather than one whose entry and files disagree.
    fn restore_full(
        &mut self,
        connection: ConnectionId,
        restore: &Restore,
        backup: &Backup,
    ) -> StatementResult {
        let name = DatabaseName::new(restore.database.as_str());
        self.check_name(name.as_str())?;
        let known = self.catalog.database(name.as_str()).cloned();
        let entry = self.new_entry(name.clone(), backup.family, restore.norecovery);
        if let Some(known) = known {
            if (known.family != backup.family || !known.restoring) && !restore.replace {
                return Err(msg::RESTORE_OVERWRITES.with(&[&name]));
            }
            self.check_unused(&known.name)?;
            self.leave_catalog(&known.name);
        }
        let tables = Tables::load(&backup.tables, &backup.rows);
        let database = Database::new(name, backup.last_lsn, tables);
        self.create_files(connection, NewDatabase { entry, database })
    }

    /// The blocks the copy lacks go to its log and its rows; all or none. The disk hardens them before it makes the
    /// entry durable, which is what the statement waits for.
    fn restore_log(
        &mut self,
        connection: ConnectionId,
        restore: &Restore,
        backup: &Backup,
        path: &ast::Text,
    ) -> StatementResult {
        let entry = self.catalog.database(restore.database.as_str()).cloned();
        let mut entry = entry.ok_or_else(|| msg::DATABASE_MISSING.with(&[&restore.database]))?;
        if !entry.restoring {
            return Err(msg::RESTORE_NOT_RESTORING.error());
        }
        if entry.family != backup.family {
            return Err(msg::BACKUP_DAMAGED.with(&[path, &"it is of another database"]));
        }
        let name = entry.name.clone();
        let Some(database) = self.database_mut(&name) else {
            return Err(msg::DATABASE_MISSING.with(&[&name]));
        };
        if let Some(why) = &database.suspect {
            return Err(msg::DATABASE_DAMAGED.with(&[&name, why]));
        }
        let end = database.log.end();
        if backup.first_lsn > end {
            return Err(msg::BACKUP_TOO_RECENT.with(&[&backup.first_lsn, &end]));
        }
        if backup.last_lsn < end {
            return Err(msg::BACKUP_TOO_EARLY.with(&[&backup.last_lsn, &end]));
        }
        let read = crate::log::recover(backup.first_lsn, &backup.log);
        if let Some(torn) = read.torn {
            return Err(msg::BACKUP_DAMAGED.with(&[path, &torn]));
        }
        let missing: Vec<LogBlock> = read.blocks.into_iter().filter(|b| b.start() >= end).collect();
        let mut log = database.log.clone();
        for block in &missing {
            log.append_block(block.clone()).map_err(|error| match error {
                AppendError::LogFull { bytes } => msg::LOG_FULL.with(&[&name, &bytes]),
                error => msg::BACKUP_DAMAGED.with(&[path, &error]),
            })?;
        }
        database.log = log;
        for block in &missing {
            self.take_restored_block(&name, block);
        }
        if !restore.norecovery {
            entry.restoring = false;
        }
        self.catalog.put_database(entry);
        self.persist(connection, Then::Finish)
    }
}

fn row((table, key, value): &(String, i64, i64)) -> crate::types::RowChange {
    crate::types::RowChange {
        table: table.clone(),
        key: *key,
        before: None,
        after: Some(*value),
    }
}
