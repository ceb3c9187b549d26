//! `CREATE`, `DROP` and `ALTER DATABASE`, `BACKUP` and `RESTORE`.

use super::super::Instance;
use super::super::batch::{Outcome, StatementResult, Then};
use super::super::catalog::{DatabaseEntry, RecoveryModel};
use super::super::database::Database;
use super::super::database::backup::{Backup, BackupKind};
use super::super::database::tables::Tables;
use super::super::io::{DiskError, DiskReply, DiskRequest};
use crate::error::msg;
use crate::tsql::ast::{self, DatabaseChange, Restore};
use crate::types::{ConnectionId, DatabaseName, Guid, Lsn};

/// Source: documented, *Database Identifiers* (sysname).
const NAME_CHARS_MAX: usize = 128;

impl Instance {
    pub(super) fn create_database(&mut self, connection: ConnectionId, name: &str) -> StatementResult {
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
            return Err(msg::TOO_LONG.with(&[&"identifier", &name, &NAME_CHARS_MAX]));
        }
        if self.catalog.database(name).is_some() || name.eq_ignore_ascii_case("master") {
            return Err(msg::DATABASE_EXISTS.with(&[&name]));
        }
        let name = DatabaseName::new(name);
        let family = Guid::random(&mut self.streams.ids);
        self.enter_database(&name, family, false);
        self.databases.insert(
            name.as_str().to_lowercase(),
            Database::new(name.clone(), Lsn::ZERO, Tables::default()),
        );
        self.create_files(connection, &name, Lsn::ZERO, Vec::new(), &[])
    }

    fn enter_database(&mut self, name: &DatabaseName, family: Guid, restoring: bool) {
        let known = self.catalog.database(name.as_str()).map(|e| (e.id, e.created));
        let (id, created) = known.unwrap_or_else(|| (self.catalog.next_database_id(), self.now.wall));
        self.catalog.put_database(DatabaseEntry {
            name: name.clone(),
            id,
            family,
            recovery: RecoveryModel::Full,
            restoring,
            created,
            mirroring: None,
        });
    }

    /// Create the files first and enter the database in the catalog after: a crash in between leaves files that the next
    /// CREATE replaces, never an entry without files.
    fn create_files(
        &mut self,
        connection: ConnectionId,
        name: &DatabaseName,
        log_start: Lsn,
        tables: Vec<String>,
        rows: &[(String, i64, i64)],
    ) -> StatementResult {
        let rows = rows.iter().map(row).collect();
        let request = DiskRequest::CreateDatabase {
            database: name.clone(),
            log_start,
            tables,
            rows,
        };
        self.ask_disk(
            connection,
            request,
            Then::Created {
                database: name.clone(),
            },
        )
    }

    /// The files are there; make the entry durable. Nobody waits: a crash before leaves no database, as if never created.
    pub(super) fn database_created(&mut self, _name: &DatabaseName) {
        let writes = self.catalog.take_writes();
        if !writes.is_empty() {
            self.disk(
                DiskRequest::Master { writes },
                super::super::purpose::Purpose::Catalog,
            );
        }
    }

    pub(super) fn drop_database(&mut self, connection: ConnectionId, name: &str) -> StatementResult {
        let entry = self.catalog.database(name).cloned();
        let entry = entry.ok_or_else(|| msg::CANNOT_FIND.with(&[&"database", &name]))?;
        if self.database(name).is_some_and(Database::is_mirrored) {
            return Err(msg::OPERATION_ON_MIRRORED.with(&[&entry.name]));
        }
        self.cut_clients(&entry.name);
        self.databases.remove(&name.to_lowercase());
        self.catalog.drop_database(name);
        let writes = self.catalog.take_writes();
        self.disk(
            DiskRequest::Master { writes },
            super::super::purpose::Purpose::Catalog,
        );
        self.ask_disk(
            connection,
            DiskRequest::DropDatabase { database: entry.name },
            Then::Dropped,
        )
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
            DatabaseChange::Witness(option) => self.alter_witness(&name, option),
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
        let pages = (file.rows.len() + log.blocks().len()) as u64;
        let request = DiskRequest::WriteFile {
            path: backup.file.as_str().to_owned(),
            bytes: file.encode(),
        };
        self.ask_disk(connection, request, Then::Backup { pages })
    }

    pub(super) fn restore_database(
        &mut self,
        connection: ConnectionId,
        restore: &Restore,
    ) -> StatementResult {
        let name = restore.database.as_str();
        if self.database(name).is_some_and(Database::is_mirrored) {
            return Err(msg::RESTORE_OVERWRITES.with(&[&name]));
        }
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
        let backup = Backup::decode(&bytes).map_err(|why| msg::BACKUP_DAMAGED.with(&[path, &why]))?;
        match (restore.kind, backup.kind) {
            (ast::BackupKind::Database, BackupKind::Database) => self.restore_full(restore, &backup),
            (ast::BackupKind::Log, BackupKind::Log) => self.restore_log(restore, &backup, path),
            _ => Err(msg::BACKUP_DAMAGED.with(&[
                path,
                &"it holds another kind of backup than the statement asks for",
            ])),
        }
    }

    fn restore_full(&mut self, restore: &Restore, backup: &Backup) -> StatementResult {
        let name = DatabaseName::new(restore.database.as_str());
        let known = self
            .catalog
            .database(name.as_str())
            .map(|e| (e.family, e.restoring));
        if let Some((family, restoring)) = known
            && (family != backup.family || !restoring)
            && !restore.replace
        {
            return Err(msg::RESTORE_OVERWRITES.with(&[&name]));
        }
        self.enter_database(&name, backup.family, restore.norecovery);
        let tables = Tables::load(&backup.tables, &backup.rows);
        let database = Database::new(name.clone(), backup.last_lsn, tables);
        self.databases.insert(name.as_str().to_lowercase(), database);
        let request = DiskRequest::CreateDatabase {
            database: name.clone(),
            log_start: backup.last_lsn,
            tables: backup.tables.clone(),
            rows: backup.rows.iter().map(row).collect(),
        };
        self.chain_restore(request, name)
    }

    /// Ask the disk in the middle of a statement that already waits for it.
    fn chain_restore(&mut self, request: DiskRequest, database: DatabaseName) -> StatementResult {
        let connection = self.current_statement.unwrap_or(ConnectionId(0));
        self.ask_disk(connection, request, Then::Restored { database })
    }

    fn restore_log(&mut self, restore: &Restore, backup: &Backup, path: &ast::Text) -> StatementResult {
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
        for block in read.blocks.into_iter().filter(|b| b.start() >= end) {
            let appended = match self.database_mut(&name) {
                Some(database) => database.log.append_block(block.clone()).map(drop),
                None => Ok(()),
            };
            appended.map_err(|e| msg::BACKUP_DAMAGED.with(&[path, &e]))?;
            self.take_restored_block(&name, &block);
        }
        if !restore.norecovery {
            entry.restoring = false;
        }
        self.catalog.put_database(entry);
        let writes = self.catalog.take_writes();
        self.chain_restore(DiskRequest::Master { writes }, name)
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
