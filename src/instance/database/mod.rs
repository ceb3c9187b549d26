//! One database of the instance: its log, its rows, its session, and the commits that wait to be acknowledged.
//!
//! A transaction is appended to the log as one block, applied to the rows in memory and locked there; when the disk has
//! hardened the block it is written to the data file; when the session says so it is acknowledged and unlocked.

pub mod backup;
mod commits;
pub mod down;
pub mod pages;
pub mod tables;
mod truncation;
mod writes;

use std::collections::VecDeque;

use down::Down;
use pages::Pages;
use tables::Tables;

use super::Instance;
use super::batch::StatementResult;
use super::counters::Counters;
use super::io::{DatabaseImage, DiskError, DiskReply, DiskTicket};
use super::procedures::MSDB;
use crate::error::{SqlError, msg};
use crate::log::{BackupPoint, Log, LogBlock, LogRecord};
use crate::session::Partner;
use crate::types::{
    ConnectionId, DatabaseName, Lsn, PartnerRole, RecoveryPath, RoleSequence, RowChange, ServerAddress,
    SessionEvent, TransactionId,
};

#[derive(Debug)]
pub struct Database {
    pub name: DatabaseName,
    pub log: Log,
    pub tables: Tables,
    pub session: Option<Partner>,
    /// The first disk request this session may have made.
    pub session_since: DiskTicket,
    /// The clients whose mirroring commands are under way, oldest first.
    pub commands: VecDeque<ConnectionId>,
    /// The session is over, but not durably yet: nothing is acknowledged.
    pub leaving: bool,
    pub links: Links,
    /// Mirror: the recovery path of the principal that asked for a session, until that is recorded.
    pub joining: Option<RecoveryPath>,
    pub counters: Counters,
    /// Whom its session wanted dialled when it was last looked at: partner and witness.
    pub dials: [Option<ServerAddress>; 2],
    /// Why the database cannot be used, if it cannot.
    pub down: Option<Down>,
    /// `RESTORE LOG` is under way: the catalog says of the copy what it was before.
    pub restoring_log: bool,
    /// The link over which the partner has said that its database is not available; one that follows is another.
    pub silent: Option<PartnerLink>,
    pub pages: Pages,
    /// What was found behind the last good block of the log when it was read, and will be overwritten.
    pub tail_cut: Option<String>,
    /// The rows in memory reflect the log up to here.
    tables_at: Lsn,
    /// The data file was asked to reflect the log up to here.
    redo_asked: Lsn,
    redo_since_checkpoint: u32,
    /// The data file on the disk reflects the log up to here, whatever happens.
    durable_at: Lsn,
    /// A backup that was taken under this role sequence, to be recorded with the next block.
    backup_taken: Option<(RoleSequence, BackupPoint)>,
    /// The error log says already that the log is full.
    log_full_told: bool,
    unacknowledged: VecDeque<(TransactionId, Lsn)>,
    next_transaction: u64,
}

/// The connection to the partner, and the one from it (none while a session starts).
pub type PartnerLink = (ConnectionId, Option<ConnectionId>);

/// The links of a database's session as they were last reported to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Links {
    pub partner: Option<PartnerLink>,
    pub witness: Option<ConnectionId>,
    /// Where a mirror that waits for its principal answers it.
    pub reply_via: Option<ConnectionId>,
}

impl Database {
    /// An empty database whose log begins at `start`.
    pub fn new(name: DatabaseName, start: Lsn, tables: Tables) -> Self {
        Database {
            name,
            log: Log::new(start),
            tables,
            session: None,
            session_since: DiskTicket(0),
            commands: VecDeque::new(),
            leaving: false,
            links: Links::default(),
            joining: None,
            counters: Counters::default(),
            dials: [None, None],
            down: None,
            restoring_log: false,
            silent: None,
            pages: Pages::default(),
            tail_cut: None,
            tables_at: start,
            redo_asked: start,
            redo_since_checkpoint: 0,
            durable_at: start,
            backup_taken: None,
            log_full_told: false,
            unacknowledged: VecDeque::new(),
            next_transaction: 1,
        }
    }

    /// The database as its files hold it: the data file, and the log redone from where the data file stands.
    pub fn open(name: DatabaseName, image: &DatabaseImage) -> Result<Self, String> {
        let recovered = crate::log::recover(image.log_start, &image.log);
        if image.applied > recovered.end {
            return Err(format!(
                "the data file reflects the log up to {}, but the log can only be read up to {}{}",
                image.applied,
                recovered.end,
                recovered.torn.map(|t| format!(" ({t})")).unwrap_or_default()
            ));
        }
        if image.applied < image.log_start {
            return Err(format!(
                "the data file reflects the log up to {}, but the log begins only at {}",
                image.applied, image.log_start
            ));
        }
        let tables = Tables::load(&image.tables, &image.rows);
        let mut database = Database::new(name, image.log_start, tables);
        database.tail_cut = recovered.torn.as_ref().map(|why| {
            let good = recovered.end.bytes_since(image.log_start);
            let bytes = (image.log.len() as u64).saturating_sub(good);
            format!("{bytes} bytes behind LSN {} ({why})", recovered.end)
        });
        database.log =
            Log::from_blocks(image.log_start, recovered.blocks, image.applied).map_err(|e| e.to_string())?;
        let end = database.log.end();
        let redo: Vec<LogBlock> = database.log.blocks_from(image.applied).to_vec();
        redo.iter()
            .for_each(|block| redo_block(&mut database.tables, block));
        database.tables_at = end;
        database.redo_asked = image.applied;
        database.durable_at = image.applied;
        database.next_transaction = end.get() + 1;
        Ok(database)
    }

    pub fn is_mirrored(&self) -> bool {
        self.session.is_some()
    }

    pub fn role(&self) -> Option<PartnerRole> {
        self.session.as_ref().map(Partner::role)
    }

    fn acknowledgeable(&self) -> Lsn {
        match &self.session {
            Some(session) => session.acknowledgeable(&self.log),
            None if self.leaving => Lsn::ZERO,
            None => self.log.hardened(),
        }
    }

    /// The number of the last block of the log, 1 if it has none.
    pub fn last_epoch(&self) -> RoleSequence {
        self.log.blocks().last().map_or(1, LogBlock::role_sequence)
    }

    /// The recovery path of this copy: what is `recorded` of it, and what its log says.
    pub fn path(&self, recorded: &RecoveryPath) -> RecoveryPath {
        recorded.with_log(&self.log.epochs(), self.log.end())
    }

    /// The number that a block generated now carries.
    fn epoch(&self) -> RoleSequence {
        let last = self.last_epoch();
        self.session.as_ref().map_or(last, Partner::epoch).max(last)
    }

    fn role_sequence(&self) -> RoleSequence {
        self.session
            .as_ref()
            .map_or_else(|| self.last_epoch(), Partner::role_sequence)
    }
}

/// Table, key, value.
pub type Rows = Vec<(String, i64, i64)>;

/// What the files of a database hold once they are recovered: where its log ends, and its rows.
///
/// # Errors
/// Why they cannot be trusted.
pub fn recover(image: &DatabaseImage) -> Result<(Lsn, Rows), String> {
    if let Some(page) = image.damaged.first() {
        return Err(format!("page (1:{}): {}", page.page, page.error));
    }
    let database = Database::open(DatabaseName::new("copy"), image)?;
    Ok((database.log.end(), database.tables.rows()))
}

fn redo_block(tables: &mut Tables, block: &LogBlock) {
    for record in block.records() {
        match record {
            LogRecord::CreateTable { table } => tables.create(&table),
            LogRecord::Set(change) => tables.apply(&change),
            LogRecord::Commit { .. } | LogRecord::Backup(_) => {}
        }
    }
}

fn undo_block(tables: &mut Tables, block: &LogBlock) {
    for record in block.records().into_iter().rev() {
        match record {
            LogRecord::CreateTable { table } => tables.remove_table(&table),
            LogRecord::Set(change) => tables.undo(&change),
            LogRecord::Commit { .. } | LogRecord::Backup(_) => {}
        }
    }
}

fn changes_of(block: &LogBlock) -> (Vec<String>, Vec<RowChange>) {
    let (mut tables, mut changes) = (Vec::new(), Vec::new());
    for record in block.records() {
        match record {
            LogRecord::CreateTable { table } => tables.push(table),
            LogRecord::Set(change) => changes.push(change),
            LogRecord::Commit { .. } | LogRecord::Backup(_) => {}
        }
    }
    (tables, changes)
}

fn undo_changes(blocks: &[LogBlock]) -> Vec<RowChange> {
    let newest_first = blocks.iter().flat_map(|b| b.records().into_iter().rev());
    newest_first
        .filter_map(|record| match record {
            LogRecord::Set(change) => Some(RowChange {
                before: change.after,
                after: change.before,
                ..change
            }),
            _ => None,
        })
        .collect()
}

impl Instance {
    pub(super) fn database_mut(&mut self, name: &DatabaseName) -> Option<&mut Database> {
        self.databases.get_mut(&name.as_str().to_lowercase())
    }

    pub(super) fn database(&self, name: &str) -> Option<&Database> {
        self.databases.get(&name.to_lowercase())
    }

    /// The database a client may use, by any spelling of its name; otherwise why not.
    pub(super) fn openable(&self, name: &str) -> Result<DatabaseName, SqlError> {
        let entry = self
            .catalog
            .database(name)
            .ok_or_else(|| msg::DATABASE_MISSING.with(&[&name]))?;
        let Some(database) = self.database(name) else {
            return Err(msg::DATABASE_RESTORING.with(&[&entry.name]));
        };
        if let Some(down) = &database.down {
            return Err(down.error(&entry.name));
        }
        match &database.session {
            Some(session) if session.role() == PartnerRole::Mirror => {
                Err(msg::DATABASE_MIRROR.with(&[&entry.name]))
            }
            Some(session) if !session.is_serving() => Err(msg::DATABASE_NO_QUORUM.with(&[&entry.name])),
            None if entry.restoring => Err(msg::DATABASE_RESTORING.with(&[&entry.name])),
            _ => Ok(entry.name.clone()),
        }
    }

    /// The current database of a client, if it can be used now.
    pub(super) fn current_database(&self, connection: ConnectionId) -> Result<DatabaseName, SqlError> {
        match self.clients.get(&connection).and_then(|c| c.database.as_ref()) {
            Some(name) if name.as_str() != MSDB => self.openable(name.as_str()),
            Some(_) => Err(msg::NOT_SUPPORTED.with(&[&"user tables and transactions in msdb"])),
            None => Err(msg::NOT_SUPPORTED.with(&[&"user tables and transactions in master"])),
        }
    }

    pub(super) fn use_database(&mut self, connection: ConnectionId, name: &str) -> StatementResult {
        let database = if name.eq_ignore_ascii_case("master") {
            None
        } else if name.eq_ignore_ascii_case(MSDB) {
            Some(DatabaseName::new(MSDB))
        } else {
            if self.catalog.database(name).is_some() {
                self.check_database_access(self.caller(connection), name)?;
            }
            Some(self.openable(name)?)
        };
        if let Some(client) = self.clients.get_mut(&connection) {
            client.database = database;
        }
        Ok(super::batch::Outcome::Done)
    }

    pub(super) fn tables(&self, name: &DatabaseName) -> Result<&Tables, SqlError> {
        let database = self
            .database(name.as_str())
            .ok_or_else(|| msg::DATABASE_MISSING.with(&[name]))?;
        Ok(&database.tables)
    }

    pub(super) fn on_database_opened(&mut self, name: &DatabaseName, result: Result<DiskReply, DiskError>) {
        let mut damaged_pages = Vec::new();
        let opened = match result {
            Ok(DiskReply::Database(image)) => {
                damaged_pages.clone_from(&image.damaged);
                Database::open(name.clone(), &image)
            }
            Ok(_) => Err("its files were not read".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let log_bytes_max = self.catalog.database(name.as_str()).map(|e| e.log_bytes_max);
        let mut database = opened.unwrap_or_else(|why| Database::down(name.clone(), Down::Suspect(why)));
        if let Some(bytes) = log_bytes_max {
            database.log.set_bytes_max(bytes);
        }
        if let Some(down) = &database.down {
            self.log_error(&down.error(name));
            self.tell_down(name);
        }
        if let Some(tail) = &database.tail_cut {
            let error = msg::LOG_TAIL_CUT.with(&[name, tail]);
            self.log_error(&error);
        }
        if database.down.is_none() {
            self.emit(SessionEvent::LogRecovered {
                database: name.clone(),
                end: database.log.end(),
                redone: database.log.redone(),
            });
        }
        let record = self
            .catalog
            .database(name.as_str())
            .and_then(|e| e.mirroring.clone());
        if let Some(record) = record.filter(|_| database.down.is_none()) {
            self.restore_session(&mut database, record);
        }
        // A mirror goes on with its redo where it was; every other copy has been recovered by now.
        if database.down.is_none() && database.role() != Some(PartnerRole::Mirror) {
            let (database, to) = (name.clone(), database.tables_at);
            self.emit(SessionEvent::Redone { database, to });
        }
        self.databases.insert(name.as_str().to_lowercase(), database);
        self.write_back(name);
        self.after_session(name);
        for page in damaged_pages {
            self.page_damaged(name, page);
        }
        self.opening -= 1;
        if self.opening == 0 {
            self.open_doors();
        }
    }
}
