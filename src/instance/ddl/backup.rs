//! `BACKUP` and `RESTORE`: full, differential and log backups, and the chains they form.
//!
//! A log backup begins where the one before ended, or at the first full backup; it is what lets log go. A differential
//! backup belongs to the full backup before it (its *base*) and holds all rows, not the changed ones alone. What was taken
//! is remembered in the log itself ([`BackupPoint`]), so that it reaches the mirror: at once if the database is mirrored,
//! otherwise with the next block. A crash before that forgets it, after which the chain goes on from the backup before.
//! Source: documented, *BACKUP*, *RESTORE*; the content of a differential backup and the moment of recording are ours.

use super::super::Instance;
use super::super::batch::{NewDatabase, Outcome, StatementResult, Then, Wait};
use super::super::catalog::{DatabaseEntry, RecoveryModel};
use super::super::database::Database;
use super::super::database::backup::{Backup, BackupKind};
use super::super::database::tables::Tables;
use super::super::io::{DiskError, DiskReply, DiskRequest};
use super::super::purpose::Purpose;
use crate::error::{SqlError, msg};
use crate::log::{AppendError, BackupPoint, LogBlock};
use crate::tsql::ast::{self, Restore};
use crate::types::{ConnectionId, DatabaseName, Guid, Lsn, ReplyItem};

impl Instance {
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
        if let Some(page) = database
            .pages
            .damaged()
            .filter(|_| backup.kind != ast::BackupKind::Log)
        {
            return Err(msg::BACKUP_DAMAGED_PAGE.with(&[&name, &page.page]));
        }
        let known = database.backup_point();
        let (file, point) = match backup.kind {
            ast::BackupKind::Database => full_backup(database, known),
            ast::BackupKind::Differential => match known {
                Some(known) => (differential_backup(database, known), known),
                None => return Err(msg::DIFFERENTIAL_WITHOUT_BASE.with(&[&name])),
            },
            ast::BackupKind::Log if entry.recovery == RecoveryModel::Simple => {
                return Err(msg::LOG_BACKUP_IN_SIMPLE.error());
            }
            ast::BackupKind::Log => match known {
                Some(known) => log_backup(database, known),
                None => return Err(msg::LOG_BACKUP_WITHOUT_BASE.error()),
            },
        };
        let file = Backup {
            database: name.as_str().to_owned(),
            family: entry.family,
            path: database.path(&entry.path),
            recovery: entry.recovery,
            version: self.config.options.version,
            ..file
        };
        let bytes = file
            .encode()
            .map_err(|why| msg::DATABASE_IN_USE_OPERATION.with(&[&"BACKUP DATABASE", &why]))?;
        let pages = (file.rows.len() + database.log.blocks().len()) as u64;
        let log_of = (backup.kind == ast::BackupKind::Log && !backup.copy_only).then(|| name.clone());
        let record = (known != Some(point) && !backup.copy_only).then_some((name, point));
        let request = DiskRequest::WriteFile {
            path: backup.file.as_str().to_owned(),
            bytes,
        };
        self.ask_disk(
            connection,
            request,
            Then::Backup {
                pages,
                record,
                log_of,
            },
        )
    }

    /// The backup file is durable: the database remembers that it was taken.
    pub(super) fn backup_written(
        &mut self,
        connection: ConnectionId,
        pages: u64,
        record: Option<(DatabaseName, BackupPoint)>,
        log_of: Option<DatabaseName>,
    ) -> StatementResult {
        let item = ReplyItem::Info(super::backup_message(pages));
        let recorded = record.and_then(|(name, point)| Some((self.record_backup(&name, point)?, name)));
        if let Some(name) = log_of {
            self.note_log_backup(&name);
        }
        match recorded {
            None => Ok(Outcome::Item(item)),
            Some((lsn, database)) => {
                self.add_item(connection, item);
                Ok(Outcome::Wait(Wait::Commit { database, lsn }))
            }
        }
    }

    /// Whatever was logged in bulk is in a backup now. Durable with the next change of the catalog at the latest; a crash
    /// before that asks for one more log backup than was needed.
    fn note_log_backup(&mut self, name: &DatabaseName) {
        if let Some(mut entry) = self.catalog.database(name.as_str()).cloned()
            && entry.bulk_since_log_backup
        {
            entry.bulk_since_log_backup = entry.recovery == RecoveryModel::BulkLogged;
            self.catalog.put_database(entry);
            let writes = self.catalog.take_writes();
            self.disk(DiskRequest::Master { writes }, Purpose::Catalog);
        }
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
        let database = DatabaseName::new(name);
        if self.is_mirrored(&database) {
            return Err(msg::RESTORE_OVERWRITES.with(&[&name]));
        }
        self.check_not_restoring(&database)
    }

    /// `RESTORE DATABASE x WITH RECOVERY`: the copy opens as it is.
    fn recover_database(&mut self, connection: ConnectionId, name: &str) -> StatementResult {
        let entry = self.catalog.database(name).cloned();
        let mut entry = entry.ok_or_else(|| msg::DATABASE_MISSING.with(&[&name]))?;
        if !entry.restoring {
            return Err(msg::RESTORE_NOT_RESTORING.error());
        }
        entry.restoring = false;
        if let Some(database) = self.database(name) {
            if let Some(down) = &database.down {
                return Err(down.error(&entry.name));
            }
            let end = database.log.end();
            entry.path = database.path(&entry.path);
            self.fork(&mut entry, end);
        }
        self.catalog.put_database(entry);
        self.persist(connection, Then::Finish)
    }

    /// A copy that is recovered goes its own way from `at` on.
    fn fork(&mut self, entry: &mut DatabaseEntry, at: Lsn) {
        entry.path.fork(Guid::random(&mut self.streams.ids), at);
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
        let own_version = self.config.options.version;
        if backup.version > own_version {
            return Err(msg::BACKUP_OF_NEWER_VERSION.with(&[&backup.version, &own_version]));
        }
        match (restore.kind, backup.kind) {
            (ast::BackupKind::Database, BackupKind::Database) => {
                self.restore_full(connection, restore, &backup)
            }
            (ast::BackupKind::Database, BackupKind::Differential) => {
                self.restore_differential(connection, restore, &backup, path)
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
        let mut entry = self.new_entry(name.clone(), backup.family, restore.norecovery);
        entry.restored_base = Some(backup.last_lsn);
        take_over(&mut entry, backup);
        if !entry.restoring {
            self.fork(&mut entry, backup.last_lsn);
        }
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

    /// The rows of the differential backup replace those of its base, and the log goes on from there. A crash in between
    /// leaves no database: the restoring begins again with the full backup.
    fn restore_differential(
        &mut self,
        connection: ConnectionId,
        restore: &Restore,
        backup: &Backup,
        path: &ast::Text,
    ) -> StatementResult {
        let mut entry = self.restoring_entry(restore, backup, path)?;
        if entry.restored_base != Some(backup.base) {
            return Err(msg::DIFFERENTIAL_OF_OTHER_BASE.error());
        }
        if !entry.path.agrees(&backup.path, backup.base) {
            return Err(msg::OTHER_RECOVERY_PATH.error());
        }
        let end = self.database(entry.name.as_str()).map(|d| d.log.end());
        if let Some(end) = end.filter(|end| backup.last_lsn < *end) {
            return Err(msg::BACKUP_TOO_EARLY.with(&[&backup.last_lsn, &end]));
        }
        self.check_unused(&entry.name)?;
        self.leave_catalog(&entry.name);
        entry.restoring = restore.norecovery;
        take_over(&mut entry, backup);
        if !entry.restoring {
            self.fork(&mut entry, backup.last_lsn);
        }
        let tables = Tables::load(&backup.tables, &backup.rows);
        let database = Database::new(entry.name.clone(), backup.last_lsn, tables);
        self.create_files(connection, NewDatabase { entry, database })
    }

    /// The entry of the restoring copy that the backup belongs to.
    fn restoring_entry(
        &self,
        restore: &Restore,
        backup: &Backup,
        path: &ast::Text,
    ) -> Result<DatabaseEntry, SqlError> {
        let entry = self.catalog.database(restore.database.as_str()).cloned();
        let entry = entry.ok_or_else(|| msg::DATABASE_MISSING.with(&[&restore.database]))?;
        if !entry.restoring {
            return Err(msg::RESTORE_NOT_RESTORING.error());
        }
        if entry.family != backup.family {
            return Err(msg::BACKUP_DAMAGED.with(&[path, &"it is of another database"]));
        }
        Ok(entry)
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
        let mut entry = self.restoring_entry(restore, backup, path)?;
        let name = entry.name.clone();
        let Some(database) = self.database_mut(&name) else {
            return Err(msg::DATABASE_MISSING.with(&[&name]));
        };
        if let Some(down) = &database.down {
            return Err(down.error(&name));
        }
        let end = database.log.end();
        if backup.first_lsn > end {
            return Err(msg::BACKUP_TOO_RECENT.with(&[&backup.first_lsn, &end]));
        }
        if backup.last_lsn < end {
            return Err(msg::BACKUP_TOO_EARLY.with(&[&backup.last_lsn, &end]));
        }
        if !database.path(&entry.path).agrees(&backup.path, end) {
            return Err(msg::OTHER_RECOVERY_PATH.error());
        }
        let read = crate::log::recover(backup.first_lsn, &backup.log);
        if let Some(torn) = read.torn {
            return Err(msg::BACKUP_DAMAGED.with(&[path, &torn]));
        }
        let missing: Vec<LogBlock> = read.blocks.into_iter().filter(|b| b.start() >= end).collect();
        let mut log = database.log.clone();
        for block in &missing {
            log.append_block(block.clone()).map_err(|error| match error {
                AppendError::LogFull { bytes, .. } => msg::LOG_FULL.with(&[&name, &bytes, &"LOG_BACKUP"]),
                error => msg::BACKUP_DAMAGED.with(&[path, &error]),
            })?;
        }
        database.log = log;
        take_over(&mut entry, backup);
        if !restore.norecovery {
            entry.restoring = false;
            self.fork(&mut entry, backup.last_lsn);
        }
        let Some((last, others)) = missing.split_last() else {
            self.catalog.put_database(entry);
            return self.persist(connection, Then::Finish);
        };
        for block in others {
            self.take_restored_block(&name, block);
        }
        self.take_last_restored_block(connection, entry, last)
    }
}

/// What a restored copy is from its backup on.
fn take_over(entry: &mut DatabaseEntry, backup: &Backup) {
    entry.path = backup.path.clone();
    entry.recovery = backup.recovery;
}

/// All rows; log before it needs no backup if it is the first.
fn full_backup(database: &Database, known: Option<BackupPoint>) -> (Backup, BackupPoint) {
    let end = database.log.end();
    let point = BackupPoint {
        log: known.map_or(end, |known| known.log),
        base: end,
    };
    (rows_backup(database, BackupKind::Database, end), point)
}

fn differential_backup(database: &Database, known: BackupPoint) -> Backup {
    rows_backup(database, BackupKind::Differential, known.base)
}

fn rows_backup(database: &Database, kind: BackupKind, base: Lsn) -> Backup {
    let end = database.log.end();
    Backup {
        kind,
        base,
        first_lsn: end,
        last_lsn: end,
        epochs: database.log.epochs(),
        tables: database.tables.declarations(),
        rows: database.tables.rows(),
        ..Backup::default()
    }
}

/// The log from where the last backup of it ended.
fn log_backup(database: &Database, known: BackupPoint) -> (Backup, BackupPoint) {
    let log = &database.log;
    let first_lsn = known.log.max(log.start());
    let backup = Backup {
        kind: BackupKind::Log,
        base: known.base,
        first_lsn,
        last_lsn: log.end(),
        epochs: log.epochs(),
        log: log
            .blocks_from(first_lsn)
            .iter()
            .flat_map(|b| b.encode().iter().copied())
            .collect(),
        ..Backup::default()
    };
    let log = log.end();
    (backup, BackupPoint { log, ..known })
}
