//! A user database's data file: its rows up to its applied LSN, on pages.
//!
//! What need not be durable waits in memory for the next write that must be: one change of the pages instead of many. A
//! file whose write failed is opened again at the next use, which finds the old pages or the new ones.

use std::collections::{BTreeMap, BTreeSet};

use super::page_file::{Change, Content, PageFile};
use crate::driver::disk::Disk;
use crate::instance::io::DiskError;
use crate::types::{DamagedPage, Lsn, PageKey, RowChange};

/// `<name>.mdf`.
pub struct DataFile<D: Disk> {
    disk: D,
    name: String,
    /// `None` after a failure, until the next use opens it again.
    file: Option<PageFile<D::File>>,
    waiting: Waiting,
    /// Damaged pages that were found when the file was opened again, to be told with the next answer.
    found: Vec<DamagedPage>,
}

/// What was applied and not written yet.
#[derive(Clone, Default)]
struct Waiting {
    tables: BTreeSet<String>,
    /// The last value of each row, by page and key; `None` if it was removed.
    rows: BTreeMap<PageKey, BTreeMap<i64, Option<i64>>>,
    applied: Option<Lsn>,
}

impl<D: Disk> DataFile<D> {
    /// Create an empty file; neither its content nor its name is durable before `apply` and `sync_dir`.
    pub fn create(disk: &D, name: &str) -> Result<Self, DiskError> {
        let file = PageFile::create(disk, name)?;
        Ok(DataFile::new(disk, name, file))
    }

    pub fn open(disk: &D, name: &str) -> Result<(Self, Content), DiskError> {
        let (file, content) = PageFile::open(disk, name)?;
        Ok((DataFile::new(disk, name, file), content))
    }

    fn new(disk: &D, name: &str, file: PageFile<D::File>) -> Self {
        DataFile {
            disk: disk.clone(),
            name: name.to_owned(),
            file: Some(file),
            waiting: Waiting::default(),
            found: Vec::new(),
        }
    }

    /// Add tables and take others away, apply row changes and set the applied LSN, all or nothing. Unless `durable`, a
    /// crash may undo it. What could not be written waits for the next write; only a request that takes tables away is
    /// void. The pages that were found damaged meanwhile; nothing is changed on those.
    pub fn apply(
        &mut self,
        tables: &[String],
        dropped: &[String],
        changes: &[RowChange],
        applied: Lsn,
        durable: bool,
    ) -> Result<Vec<DamagedPage>, DiskError> {
        if !durable && dropped.is_empty() {
            self.waiting.add(tables, changes, applied);
            return Ok(Vec::new());
        }
        let mut all = self.waiting.clone();
        all.add(tables, changes, applied);
        let written = self.write(&all, applied, dropped, BTreeMap::new());
        if written.is_err() && dropped.is_empty() {
            self.waiting = all;
        }
        written
    }

    /// Write what waits.
    pub fn settle(&mut self) -> Result<(), DiskError> {
        match self.waiting.applied {
            Some(applied) => {
                let waiting = self.waiting.clone();
                self.write(&waiting, applied, &[], BTreeMap::new()).map(drop)
            }
            None => Ok(()),
        }
    }

    /// Give a page a whole new content, which reflects the log as far as everything applied before. Durable.
    pub fn restore(&mut self, key: &PageKey, rows: Vec<(i64, i64)>) -> Result<Vec<DamagedPage>, DiskError> {
        let applied = match self.waiting.applied {
            Some(applied) => applied,
            None => self.file()?.applied(),
        };
        let restored = BTreeMap::from([(key.clone(), rows)]);
        let waiting = self.waiting.clone();
        let mut found = self.write(&waiting, applied, &[], restored)?;
        found.retain(|page| page.key != *key);
        Ok(found)
    }

    /// Read one page as it is on the disk. The page, if it is damaged.
    pub fn check(&mut self, key: &PageKey) -> Result<Vec<DamagedPage>, DiskError> {
        Ok(self.file()?.check(key)?.into_iter().collect())
    }

    fn write(
        &mut self,
        waiting: &Waiting,
        applied: Lsn,
        dropped: &[String],
        restored: BTreeMap<PageKey, Vec<(i64, i64)>>,
    ) -> Result<Vec<DamagedPage>, DiskError> {
        self.file()?;
        // Taken out: after a failure it is opened again.
        let mut file = self.file.take().expect("it was opened just now");
        let change = Change {
            created: waiting.tables.iter().map(String::as_str).collect(),
            dropped: dropped.iter().map(String::as_str).collect(),
            rows: waiting.rows(),
            restored,
            applied,
        };
        let mut damaged = std::mem::take(&mut self.found);
        damaged.extend(file.write(&change)?);
        self.file = Some(file);
        self.waiting = Waiting::default();
        Ok(damaged)
    }

    fn file(&mut self) -> Result<&mut PageFile<D::File>, DiskError> {
        if self.file.is_none() {
            let (file, content) = PageFile::open(&self.disk, &self.name)?;
            self.file = Some(file);
            self.found = content.damaged;
        }
        Ok(self.file.as_mut().expect("it was opened just now"))
    }
}

impl Waiting {
    fn add(&mut self, tables: &[String], changes: &[RowChange], applied: Lsn) {
        self.tables.extend(tables.iter().cloned());
        for change in changes {
            let page = self
                .rows
                .entry(PageKey::of(&change.table, change.key))
                .or_default();
            page.insert(change.key, change.after);
        }
        self.applied = Some(applied);
    }

    fn rows(&self) -> BTreeMap<PageKey, Vec<(i64, Option<i64>)>> {
        let page = |(key, rows): (&PageKey, &BTreeMap<i64, Option<i64>>)| {
            (
                key.clone(),
                rows.iter().map(|(key, value)| (*key, *value)).collect(),
            )
        };
        self.rows.iter().map(page).collect()
    }
}
