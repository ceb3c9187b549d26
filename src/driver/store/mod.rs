//! Carries out the core's disk requests over the `Disk` seam, one at a time, in order.
//!
//! `master` is a redb database in `master.mdf`. A user database has a data file of pages, `<name>.mdf` (`page_file`), and a
//! log file, `<name>.ldf` (`log_file`). Backups and certificates live under `files/` (`names`). The log file is what makes a
//! database exist: it is created last and removed first, so that a crash at any point of `CreateDatabase` or
//! `DropDatabase` leaves the whole database or none. Whatever a successful reply confirms has been synced, except a
//! `Redo` that is not `durable`. Source: ours.

mod allocation;
mod data_file;
mod log_file;
mod master_file;
mod names;
mod page;
mod page_file;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;

use data_file::DataFile;
use log_file::LogFile;
pub use master_file::Entries;
use master_file::MasterFile;
pub use names::user_file;

use crate::driver::disk::{Disk, DiskFile};
use crate::instance::io::{DatabaseImage, DiskError, DiskReply, DiskRequest};
use crate::types::{DamagedPage, DatabaseName, Lsn, RowChange};

pub const MASTER: &str = "master.mdf";

/// The name of a database's log file.
pub fn log_file_of(database: &DatabaseName) -> String {
    names::log_file(&names::stem(database))
}

/// The name of a database's data file.
pub fn data_file_of(database: &DatabaseName) -> String {
    names::data_file(&names::stem(database))
}

/// The stores of one instance. Dropping it closes the files, which may write: a process that is killed must have its
/// disk cut off first.
pub struct Store<D: Disk> {
    disk: D,
    master: MasterFile<D>,
    /// Open databases by the stem of their file names.
    databases: BTreeMap<String, Database<D>>,
}

struct Database<D: Disk> {
    data: DataFile<D>,
    log: LogFile<D::File>,
}

impl<D: Disk> Store<D> {
    /// Open `master`, creating it at the first start, and read all of it.
    pub fn open(disk: D) -> Result<(Self, Entries), DiskError> {
        let (master, entries) = MasterFile::open_or_create(&disk, MASTER)?;
        let store = Store {
            disk,
            master,
            databases: BTreeMap::new(),
        };
        Ok((store, entries))
    }

    /// Carry out one request.
    ///
    /// A failed write leaves what it was to change old or new, never in between; later requests go on from there
    /// (what a `Redo` could not write is written with the next), except that a log whose sync failed takes no more until
    /// the database is opened again (what a failed sync left on the disk cannot be known by trying once more).
    pub fn carry_out(&mut self, request: DiskRequest) -> Result<DiskReply, DiskError> {
        let done = |()| DiskReply::Done;
        let found = |pages: Vec<DamagedPage>| match pages.is_empty() {
            true => DiskReply::Done,
            false => DiskReply::Damaged(pages),
        };
        match request {
            DiskRequest::Master { writes } => self.master.write(&writes).map(done),
            DiskRequest::CreateDatabase {
                database,
                log_start,
                tables,
                rows,
            } => self.create(&database, log_start, &tables, &rows).map(done),
            DiskRequest::OpenDatabase { database } => self.open_database(&database).map(DiskReply::Database),
            DiskRequest::DropDatabase { database } => self.drop_database(&database).map(done),
            DiskRequest::AppendLog { database, at, bytes } => {
                let mut results = self.append(&database, &[(at, bytes)]);
                results.pop().unwrap_or(Ok(())).map(done)
            }
            DiskRequest::TruncateLog { database, to } => self.opened(&database)?.log.truncate(to).map(done),
            DiskRequest::DiscardLog { database, before } => {
                self.opened(&database)?.log.discard(before).map(done)
            }
            DiskRequest::Redo {
                database,
                tables,
                dropped,
                changes,
                applied,
                durable,
            } => {
                let data = &mut self.opened(&database)?.data;
                data.apply(&tables, &dropped, &changes, applied, durable)
                    .map(found)
            }
            DiskRequest::RestorePage { database, page, rows } => {
                self.opened(&database)?.data.restore(&page, rows).map(found)
            }
            DiskRequest::CheckPage { database, page } => self.opened(&database)?.data.check(&page).map(found),
            DiskRequest::WriteFile { path, bytes } => self.write_file(&path, &bytes).map(done),
            DiskRequest::ReadFile { path } => self.read_file(&path).map(DiskReply::File),
        }
    }

    /// Append several blocks to one database's log and harden them with a single sync. One result for each, in order.
    pub fn append(
        &mut self,
        database: &DatabaseName,
        blocks: &[(Lsn, Vec<u8>)],
    ) -> Vec<Result<(), DiskError>> {
        match self.opened(database) {
            Ok(open) => open.log.append(blocks),
            Err(error) => blocks.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    fn opened(&mut self, database: &DatabaseName) -> Result<&mut Database<D>, DiskError> {
        self.databases.get_mut(&names::stem(database)).ok_or_else(|| {
            DiskError::Io(format!(
                "database {database} is not open; open or create it first"
            ))
        })
    }

    fn create(
        &mut self,
        database: &DatabaseName,
        log_start: Lsn,
        tables: &[String],
        rows: &[RowChange],
    ) -> Result<(), DiskError> {
        let stem = names::stem(database);
        self.remove_files(&stem)?;
        let mut data = DataFile::create(&self.disk, &names::data_file(&stem))?;
        data.apply(tables, &[], rows, log_start, true)?;
        self.sync_dir("create", &names::data_file(&stem))?;
        let log = LogFile::create(&self.disk, &names::log_file(&stem), log_start)?;
        self.sync_dir("create", &names::log_file(&stem))?;
        self.databases.insert(stem, Database { data, log });
        Ok(())
    }

    fn open_database(&mut self, database: &DatabaseName) -> Result<DatabaseImage, DiskError> {
        let stem = names::stem(database);
        if let Some(mut before) = self.databases.remove(&stem)
            && let Err(error) = before.data.settle()
        {
            tracing::warn!(%database, %error, "not all redo was written; what is missing is redone from the log");
        }
        let (log, log_bytes) = LogFile::open(&self.disk, &names::log_file(&stem))?;
        let (data, content) = DataFile::open(&self.disk, &names::data_file(&stem))?;
        let image = DatabaseImage {
            tables: content.tables,
            rows: content.rows,
            applied: content.applied,
            damaged: content.damaged,
            log_start: log.start(),
            log: log_bytes,
        };
        self.databases.insert(stem, Database { data, log });
        Ok(image)
    }

    fn drop_database(&mut self, database: &DatabaseName) -> Result<(), DiskError> {
        let stem = names::stem(database);
        if self.remove_files(&stem)? {
            Ok(())
        } else {
            Err(DiskError::NotFound(names::log_file(&stem)))
        }
    }

    /// Remove a database's files durably, the log first. Whether there were any.
    fn remove_files(&mut self, stem: &str) -> Result<bool, DiskError> {
        self.databases.remove(stem);
        let mut any = false;
        for file in [names::log_file(stem), names::data_file(stem)] {
            match self.disk.remove(&file) {
                Ok(()) => {
                    any = true;
                    self.sync_dir("remove", &file)?;
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(disk_error("remove", &file, &e)),
            }
        }
        Ok(any)
    }

    fn write_file(&mut self, path: &str, bytes: &[u8]) -> Result<(), DiskError> {
        let name = user_file(path);
        let file = self
            .disk
            .create(&name)
            .map_err(|e| disk_error("create", path, &e))?;
        let written = file
            .write_all_at(bytes, 0)
            .and_then(|()| file.sync())
            .and_then(|()| self.disk.sync_dir());
        written.map_err(|e| {
            // Half a file must not pass for a whole one. Best effort: the error that is reported is the first one.
            let _ = self.disk.remove(&name);
            disk_error("write", path, &e)
        })
    }

    fn read_file(&self, path: &str) -> Result<Vec<u8>, DiskError> {
        let failed = |e: io::Error| disk_error("read", path, &e);
        let file = self.disk.open(&user_file(path)).map_err(failed)?;
        let length = file.len().map_err(failed)?;
        read_range(&file, 0, length).map_err(failed)
    }

    fn sync_dir(&self, operation: &str, file: &str) -> Result<(), DiskError> {
        self.disk.sync_dir().map_err(|e| disk_error(operation, file, &e))
    }
}

/// Read `length` bytes from `offset`.
fn read_range(file: &impl DiskFile, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let too_large = || {
        io::Error::new(
            io::ErrorKind::OutOfMemory,
            "the file is too large to be read at once",
        )
    };
    let mut bytes = Vec::new();
    let length = usize::try_from(length).map_err(|_| too_large())?;
    bytes.try_reserve_exact(length).map_err(|_| too_large())?;
    bytes.resize(length, 0);
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

fn disk_error(operation: &str, file: &str, error: &io::Error) -> DiskError {
    match error.kind() {
        io::ErrorKind::NotFound => DiskError::NotFound(file.to_owned()),
        io::ErrorKind::AlreadyExists => DiskError::AlreadyExists(file.to_owned()),
        io::ErrorKind::StorageFull => DiskError::Full(format!("{operation} {file}")),
        _ => DiskError::Io(format!("{operation} {file}: {error}")),
    }
}
