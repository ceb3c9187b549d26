//! `master`: a redb database of named entries.
//!
//! redb writes through `StorageBackend` on the `Disk` seam. A file that was altered behind its back is found by a check
//! of all its pages at open; where redb panics on one nevertheless, the panic is caught here and becomes `Damaged`
//! (the panic hook still prints it). A handle whose write failed is closed and opened again at the next use.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use redb::{
    Builder, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition,
    WriteTransaction,
};

use super::disk_error;
use crate::driver::disk::{Disk, DiskFile};
use crate::instance::io::DiskError;

/// Cache of one redb database. A run with three instances of a few databases has to fit into 32 MiB.
const CACHE_BYTES: usize = 256 * 1024;

const ENTRIES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("entries");

/// The entries of `master`: name and content.
pub type Entries = Vec<(String, Vec<u8>)>;

/// `master.mdf`.
pub struct MasterFile<D: Disk>(RedbFile<D>);

impl<D: Disk> MasterFile<D> {
    /// Open it, or create it durably, and read all entries, by key.
    ///
    /// While `master` is being created a second file says so: a damaged `master` is an error, but one that a crash left
    /// half made is made again.
    pub fn open_or_create(disk: &D, name: &str) -> Result<(Self, Entries), DiskError> {
        let unfinished = format!("{name}.unfinished");
        let mut file = match disk.open(&unfinished) {
            Ok(_) => {
                remove_if_present(disk, name)?;
                Self::create(disk, name, &unfinished)?
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => match RedbFile::open(disk, name) {
                Err(DiskError::NotFound(_)) => {
                    let failed = |e| disk_error("create", &unfinished, &e);
                    disk.create(&unfinished).map_err(failed)?;
                    disk.sync_dir().map_err(failed)?;
                    Self::create(disk, name, &unfinished)?
                }
                other => other?,
            },
            Err(e) => return Err(disk_error("open", &unfinished, &e)),
        };
        let entries = file.read(|tx| {
            let table = tx.open_table(ENTRIES)?;
            let mut entries = Vec::new();
            for entry in table.iter()? {
                let (key, value) = entry?;
                entries.push((key.value().to_owned(), value.value().to_vec()));
            }
            Ok(entries)
        })?;
        Ok((MasterFile(file), entries))
    }

    fn create(disk: &D, name: &str, unfinished: &str) -> Result<RedbFile<D>, DiskError> {
        let failed = |e| disk_error("create", name, &e);
        let mut file = RedbFile::create(disk, name)?;
        file.write(|tx| {
            tx.open_table(ENTRIES)?;
            Ok(())
        })?;
        disk.sync_dir().map_err(failed)?;
        disk.remove(unfinished).map_err(failed)?;
        disk.sync_dir().map_err(failed)?;
        Ok(file)
    }

    /// Write or remove entries in one durable transaction.
    pub fn write(&mut self, writes: &[(String, Option<Vec<u8>>)]) -> Result<(), DiskError> {
        self.0.write(|tx| {
            let mut table = tx.open_table(ENTRIES)?;
            for (key, value) in writes {
                match value {
                    Some(value) => table.insert(key.as_str(), value.as_slice())?,
                    None => table.remove(key.as_str())?,
                };
            }
            Ok(())
        })
    }
}

/// One redb database on one file of the disk.
struct RedbFile<D: Disk> {
    disk: D,
    name: String,
    /// `None` after a failure, until the next use opens it again.
    database: Option<redb::Database>,
}

impl<D: Disk> RedbFile<D> {
    fn create(disk: &D, name: &str) -> Result<Self, DiskError> {
        let file = disk.create(name).map_err(|e| disk_error("create", name, &e))?;
        let database = guarded("create", name, || {
            Ok(Builder::new()
                .set_cache_size(CACHE_BYTES)
                .create_with_backend(Backend(file))?)
        })?;
        Ok(RedbFile {
            disk: disk.clone(),
            name: name.to_owned(),
            database: Some(database),
        })
    }

    fn open(disk: &D, name: &str) -> Result<Self, DiskError> {
        Ok(RedbFile {
            disk: disk.clone(),
            name: name.to_owned(),
            database: Some(open_redb(disk, name)?),
        })
    }

    /// One durable transaction.
    fn write(
        &mut self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), DiskError> {
        self.with("write", |database| {
            let transaction = database.begin_write()?;
            change(&transaction)?;
            Ok(transaction.commit()?)
        })
    }

    fn read<T>(
        &mut self,
        query: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, DiskError> {
        self.with("read", |database| query(&database.begin_read()?))
    }

    fn with<T>(
        &mut self,
        operation: &str,
        act: impl FnOnce(&redb::Database) -> Result<T, redb::Error>,
    ) -> Result<T, DiskError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => open_redb(&self.disk, &self.name)?,
        };
        // The handle moves in: after a failure it is closed inside the guard, where a second panic is caught too.
        let (database, value) = guarded(operation, &self.name, move || {
            let value = act(&database)?;
            Ok((database, value))
        })?;
        self.database = Some(database);
        Ok(value)
    }
}

fn remove_if_present<D: Disk>(disk: &D, name: &str) -> Result<(), DiskError> {
    match disk.remove(name) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(disk_error("remove", name, &e)),
        _ => Ok(()),
    }
}

fn open_redb<D: Disk>(disk: &D, name: &str) -> Result<redb::Database, DiskError> {
    let failed = |e: io::Error| disk_error("open", name, &e);
    let file = disk.open(name).map_err(failed)?;
    if file.is_empty().map_err(failed)? {
        // redb would take it for a new database.
        return Err(DiskError::Damaged(name.to_owned(), "it is empty".to_owned()));
    }
    guarded("open", name, || {
        Ok(Builder::new()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .create_with_backend(Backend(file))?)
    })
}

/// Call into redb: its errors become ours, and so do its panics.
fn guarded<T>(
    operation: &str,
    name: &str,
    act: impl FnOnce() -> Result<T, redb::Error>,
) -> Result<T, DiskError> {
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(redb_error(operation, name, error)),
        Err(_) => Err(DiskError::Damaged(
            name.to_owned(),
            format!("its pages contradict each other (found by {operation})"),
        )),
    }
}

fn redb_error(operation: &str, name: &str, error: redb::Error) -> DiskError {
    match error {
        redb::Error::Io(e)
            if e.kind() == io::ErrorKind::InvalidData || e.kind() == io::ErrorKind::UnexpectedEof =>
        {
            DiskError::Damaged(name.to_owned(), e.to_string())
        }
        // Not `NotFound` or `AlreadyExists`: the file is open, so those would be about something else.
        redb::Error::Io(e) if e.kind() == io::ErrorKind::StorageFull => {
            DiskError::Full(format!("{operation} {name}"))
        }
        redb::Error::Io(e) => DiskError::Io(format!("{operation} {name}: {e}")),
        redb::Error::Corrupted(text) => DiskError::Damaged(name.to_owned(), text),
        error @ (redb::Error::TableDoesNotExist(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TypeDefinitionChanged { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::UpgradeRequired(_)
        | redb::Error::RepairAborted) => DiskError::Damaged(name.to_owned(), error.to_string()),
        error => DiskError::Io(format!("{operation} {name}: {error}")),
    }
}

/// A file of the disk as redb sees it.
#[derive(Debug)]
struct Backend<F>(F);

impl<F: DiskFile> StorageBackend for Backend<F> {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }
}
