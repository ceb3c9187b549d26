//! A data file of pages: what each page holds, and changes of several pages at once, all or nothing.
//!
//! A change writes the new pages to the end of the file first (a *journal*, ended by a page that has the checksum of all of
//! them), syncs, writes them to their places, syncs, and voids the journal. A crash in the middle leaves the old pages or a
//! whole journal, which is carried out again at the next open. A data page that is found damaged or that the disk cannot read,
//! when the file is opened or when the page is to be changed, is remembered as restore-pending: nothing is written to it but
//! a whole new content.
//! The other kinds of pages are held in memory, and damage to them is damage to the file. Source: ours.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::allocation::Allocation;
use super::disk_error;
use super::page::{self, BOOT_PAGE, Image, Kind, MAP_INTERVAL, PAGE_BYTES, Rows, Use};
use crate::driver::disk::{Disk, DiskFile, is_bad_sector};
use crate::instance::io::DiskError;
use crate::types::{DamagedPage, Declaration, Lsn, PageError, PageKey};

const BYTES: u64 = PAGE_BYTES as u64;
/// A file grows by this many pages at least.
const GROWTH_PAGES: u64 = 8;

/// What to change in one go.
#[derive(Debug, Default)]
pub struct Change<'a> {
    /// Declarations in text form.
    pub created: Vec<&'a str>,
    pub dropped: Vec<&'a str>,
    /// By page: keys and what they become. Pages of a table that there is not are left out, here and below, as they are
    /// where rows are held in memory: its creation was undone.
    pub rows: BTreeMap<PageKey, Vec<(i64, Option<i64>)>>,
    /// Pages that get a whole new content.
    pub restored: BTreeMap<PageKey, Vec<(i64, i64)>>,
    pub applied: Lsn,
}

/// What a file holds.
#[derive(Debug, Default)]
pub struct Content {
    /// Declarations.
    pub tables: Vec<String>,
    /// `(table, key, value)`.
    pub rows: Vec<(String, i64, i64)>,
    pub applied: Lsn,
    pub damaged: Vec<DamagedPage>,
}

/// An open file and what its pages are used for.
#[derive(Debug)]
pub struct PageFile<F> {
    name: String,
    file: F,
    pages: Allocation,
    /// Declarations by number, and the numbers by table name in lower case.
    tables: BTreeMap<u32, String>,
    numbers: BTreeMap<String, u32>,
    applied: Lsn,
}

impl<F: DiskFile> PageFile<F> {
    /// An empty file; nothing of it is durable before `write`.
    pub fn create<D: Disk<File = F>>(disk: &D, name: &str) -> Result<Self, DiskError> {
        let file = disk.create(name).map_err(|e| disk_error("create", name, &e))?;
        let mut new = PageFile::new(name, file);
        new.pages = Allocation::new();
        Ok(new)
    }

    fn new(name: &str, file: F) -> Self {
        PageFile {
            name: name.to_owned(),
            file,
            pages: Allocation::default(),
            tables: BTreeMap::new(),
            numbers: BTreeMap::new(),
            applied: Lsn::ZERO,
        }
    }

    pub fn open<D: Disk<File = F>>(disk: &D, name: &str) -> Result<(Self, Content), DiskError> {
        let failed = |e: io::Error| disk_error("open", name, &e);
        let file = disk.open(name).map_err(failed)?;
        let length = file.len().map_err(failed)?;
        let (mut bytes, mut unreadable) = read_all(&file, length).map_err(failed)?;
        replay(&file, &mut bytes, &mut unreadable).map_err(failed)?;
        let damaged = |why: String| DiskError::Damaged(name.to_owned(), why);
        let mut open = PageFile::new(name, file);
        open.read_system(&bytes, &unreadable).map_err(damaged)?;
        let content = open.read_rows(&bytes, &unreadable);
        Ok((open, content))
    }

    /// Header, boot, map and catalog pages, or which of them is damaged and how. Of the pages behind those in use each may be
    /// of a journal that was to be carried out again.
    fn read_system(&mut self, bytes: &[u8], unreadable: &BTreeSet<u32>) -> Result<(), String> {
        if bytes.is_empty() {
            return Err("it is empty".to_owned());
        }
        let read = |number: u32, kind: Kind, what: &str| {
            let bytes = slice(bytes, number).ok_or_else(|| {
                format!(
                    "it ends before page (1:{number}), its {what} ({} bytes)",
                    bytes.len()
                )
            })?;
            let checked = match unreadable.contains(&number) {
                true => Err(PageError::Unreadable),
                false => page::check(bytes, kind, number),
            };
            match checked {
                Ok(()) => Ok(bytes),
                Err(error) => Err(format!("page (1:{number}), its {what}: {error}")),
            }
        };
        let header = read(page::HEADER_PAGE, Kind::Header, "file header");
        if !page::has_magic(header?) {
            return Err("it does not begin with the magic number of a data file".to_owned());
        }
        let (applied, pages) = page::read_boot(read(BOOT_PAGE, Kind::Boot, "boot page")?);
        if let Some(number) = unreadable.range(pages..).next() {
            let error = PageError::Unreadable;
            return Err(format!("page (1:{number}), which may be of its journal: {error}"));
        }
        self.applied = applied;
        let mut uses = Vec::new();
        for number in 0..pages {
            let map = match number % MAP_INTERVAL {
                0 => read(number + 1, Kind::Map, "allocation page")?,
                _ => slice(bytes, page::map_of(number)).unwrap_or_default(),
            };
            uses.push(page::read_map(map, (number % MAP_INTERVAL) as usize));
        }
        self.pages = Allocation::of(uses);
        let mut list = Vec::new();
        for number in self.pages.catalog() {
            let piece = read(number, Kind::Catalog, "list of tables")?;
            list.extend_from_slice(page::read_catalog(piece));
        }
        self.tables = read_tables(&list).ok_or("its list of tables cannot be read")?;
        let numbers = self.tables.iter();
        self.numbers = numbers
            .map(|(number, text)| (Declaration::name_of(text).to_lowercase(), *number))
            .collect();
        Ok(())
    }

    fn read_rows(&mut self, bytes: &[u8], unreadable: &BTreeSet<u32>) -> Content {
        let mut content = Content {
            tables: self.tables.values().cloned().collect(),
            applied: self.applied,
            ..Content::default()
        };
        for number in 0..self.pages.count() {
            let Use::Data {
                table,
                range,
                pending,
            } = self.pages.get(number)
            else {
                continue;
            };
            let rows = match pending {
                true => Err(PageError::RestorePending),
                false if unreadable.contains(&number) => Err(PageError::Unreadable),
                false => page::read_data(slice(bytes, number).unwrap_or_default(), number, table, range),
            };
            let name = self
                .tables
                .get(&table)
                .map_or("", |text| Declaration::name_of(text));
            match rows {
                Ok(rows) => {
                    let rows = rows.of(range).map(|(key, value)| (name.to_owned(), key, value));
                    content.rows.extend(rows);
                }
                Err(error) => content.damaged.push(self.damaged(number, error)),
            }
        }
        content.rows.sort_unstable();
        content
    }

    /// The page is restore-pending from now on.
    fn damaged(&mut self, number: u32, error: PageError) -> DamagedPage {
        let Use::Data { table, range, .. } = self.pages.get(number) else {
            unreachable!("only data pages are read after the open");
        };
        self.pages.set_pending(number, true);
        let name = self
            .tables
            .get(&table)
            .map_or("", |text| Declaration::name_of(text));
        DamagedPage {
            page: number,
            key: PageKey {
                table: name.to_lowercase(),
                range,
            },
            error,
        }
    }

    /// Change pages durably, all or none. The pages that were found damaged: what was to be changed on them is not.
    ///
    /// After an error the file has to be opened again.
    pub fn write(&mut self, change: &Change<'_>) -> Result<Vec<DamagedPage>, DiskError> {
        let first = self.file.is_empty().map_err(|e| self.failed("write", &e))?;
        let mut damaged = Vec::new();
        let mut images: BTreeMap<u32, Image> = BTreeMap::new();
        let catalog_changed = self.create_tables(change);
        for (key, rows) in &change.rows {
            let keys = rows.iter().copied();
            self.change_page(key, keys, change.applied, &mut images, &mut damaged)?;
        }
        for (key, rows) in &change.restored {
            let keys = rows.iter().map(|(key, value)| (*key, Some(*value)));
            self.restore_page(key, keys, change.applied, &mut images);
        }
        let catalog_changed = self.drop_tables(change) || catalog_changed;
        if catalog_changed || first {
            self.write_catalog(change.applied, &mut images);
        }
        self.applied = change.applied;
        images.extend(self.pages.take_changed_maps(self.applied));
        if first {
            images.insert(page::HEADER_PAGE, page::header());
        }
        images.insert(BOOT_PAGE, page::boot(self.applied, self.pages.count()));
        let written = match first {
            true => self.write_first(&images),
            false => self.write_journalled(&images),
        };
        written.map_err(|e| self.failed("write", &e))?;
        Ok(damaged)
    }

    pub fn applied(&self) -> Lsn {
        self.applied
    }

    /// Read the page of this key as it is on the disk; what is wrong with it.
    pub fn check(&mut self, key: &PageKey) -> Result<Option<DamagedPage>, DiskError> {
        match self.find(key) {
            Some(number) => self.read_page(number).map(Result::err),
            None => Ok(None),
        }
    }

    /// The data page `number` from the disk.
    fn read_page(&mut self, number: u32) -> Result<Result<Rows, DamagedPage>, DiskError> {
        let Use::Data {
            table,
            range,
            pending,
        } = self.pages.get(number)
        else {
            unreachable!("only data pages are read after the open");
        };
        if pending {
            return Ok(Err(self.damaged(number, PageError::RestorePending)));
        }
        let mut bytes = [0; PAGE_BYTES];
        let read = match self.file.read_exact_at(&mut bytes, u64::from(number) * BYTES) {
            Ok(()) => page::read_data(&bytes, number, table, range),
            Err(error) if is_bad_sector(&error) => Err(PageError::Unreadable),
            Err(error) => return Err(self.failed("read", &error)),
        };
        Ok(read.map_err(|error| self.damaged(number, error)))
    }

    fn change_page(
        &mut self,
        key: &PageKey,
        keys: impl Iterator<Item = (i64, Option<i64>)>,
        lsn: Lsn,
        images: &mut BTreeMap<u32, Image>,
        damaged: &mut Vec<DamagedPage>,
    ) -> Result<(), DiskError> {
        let Some(table) = self.table(&key.table) else {
            return Ok(());
        };
        let (number, mut rows) = match self.find(key) {
            None => (self.allocate(table, key.range), Rows::default()),
            Some(number) => match self.read_page(number)? {
                Ok(rows) => (number, rows),
                Err(page) => {
                    if page.error != PageError::RestorePending {
                        damaged.push(page);
                    }
                    return Ok(());
                }
            },
        };
        keys.for_each(|(key, value)| rows.set(key, value));
        self.put_rows(number, &rows, lsn, images);
        Ok(())
    }

    fn restore_page(
        &mut self,
        key: &PageKey,
        keys: impl Iterator<Item = (i64, Option<i64>)>,
        lsn: Lsn,
        images: &mut BTreeMap<u32, Image>,
    ) {
        let Some(table) = self.table(&key.table) else {
            return;
        };
        let number = self.find(key).unwrap_or_else(|| self.allocate(table, key.range));
        let mut rows = Rows::default();
        keys.for_each(|(key, value)| rows.set(key, value));
        self.pages.set_pending(number, false);
        self.put_rows(number, &rows, lsn, images);
    }

    fn put_rows(&self, number: u32, rows: &Rows, lsn: Lsn, images: &mut BTreeMap<u32, Image>) {
        if let Use::Data { table, range, .. } = self.pages.get(number) {
            images.insert(number, page::data(number, table, range, rows, lsn));
        }
    }

    fn table(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    fn find(&self, key: &PageKey) -> Option<u32> {
        let of = self.table(&key.table)?;
        self.pages.find(of, key.range)
    }

    fn allocate(&mut self, table: u32, range: i64) -> u32 {
        self.pages.take(Use::Data {
            table,
            range,
            pending: false,
        })
    }

    /// Whether the list of tables changed.
    fn create_tables(&mut self, change: &Change<'_>) -> bool {
        let known = self.tables.len();
        for declaration in change.created.iter().copied() {
            if self
                .table(&Declaration::name_of(declaration).to_lowercase())
                .is_none()
            {
                let number = self.tables.keys().last().map_or(1, |last| last + 1);
                self.tables.insert(number, declaration.to_owned());
                let name = Declaration::name_of(declaration).to_lowercase();
                self.numbers.insert(name, number);
            }
        }
        self.tables.len() > known
    }

    fn drop_tables(&mut self, change: &Change<'_>) -> bool {
        let known = self.tables.len();
        for declaration in &change.dropped {
            let name = Declaration::name_of(declaration).to_lowercase();
            if let Some(number) = self.numbers.remove(&name) {
                self.tables.remove(&number);
                self.pages.release(number);
            }
        }
        self.tables.len() < known
    }

    fn write_catalog(&mut self, lsn: Lsn, images: &mut BTreeMap<u32, Image>) {
        let mut list = Vec::new();
        for (number, text) in &self.tables {
            list.extend_from_slice(&number.to_le_bytes());
            list.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
            list.extend_from_slice(text.as_bytes());
        }
        list.extend_from_slice(&0u32.to_le_bytes());
        let mut pages = self.pages.catalog();
        let pieces: Vec<&[u8]> = list.chunks(page::CATALOG_BYTES).collect();
        for part in pages.len()..pieces.len() {
            let part = u32::try_from(part).expect("a list of tables has few pages");
            pages.push(self.pages.take(Use::Catalog { part }));
        }
        for (at, number) in pages.iter().enumerate() {
            let piece = pieces.get(at).copied().unwrap_or_default();
            images.insert(*number, page::catalog(*number, piece, lsn));
        }
    }

    /// Nobody knows this file yet: its pages go to their places at once.
    fn write_first(&self, images: &BTreeMap<u32, Image>) -> io::Result<()> {
        let mut bytes = vec![0; self.pages.count() as usize * PAGE_BYTES];
        for (number, image) in images {
            let at = *number as usize * PAGE_BYTES;
            bytes[at..at + PAGE_BYTES].copy_from_slice(&image[..]);
        }
        self.file.write_all_at(&bytes, 0)?;
        self.file.sync()
    }

    fn write_journalled(&self, images: &BTreeMap<u32, Image>) -> io::Result<()> {
        // A growth that was cut short, by a crash or a full disk, may have left half a page: the journal ends behind it.
        let length = self.file.len()?.div_ceil(BYTES);
        let needed = u64::from(self.pages.count()) + images.len() as u64 + 1;
        let pages = match needed > length {
            true => needed.max(length + GROWTH_PAGES),
            false => length,
        };
        let mut journal = Vec::with_capacity((images.len() + 1) * PAGE_BYTES);
        images
            .values()
            .for_each(|image| journal.extend_from_slice(&image[..]));
        let count = u32::try_from(images.len()).expect("a journal has fewer pages than its file");
        let end = page::journal(count, crc32c::crc32c(&journal));
        journal.extend_from_slice(&end[..]);
        let at = pages * BYTES - journal.len() as u64;
        self.file.write_all_at(&journal, at)?;
        self.file.sync()?;
        for (number, image) in images {
            self.file.write_all_at(&image[..], u64::from(*number) * BYTES)?;
        }
        self.file.sync()?;
        // Not worth a sync: until it is durable, the journal says what is in place anyway.
        self.file.write_all_at(&[0; 8], (pages - 1) * BYTES)
    }

    fn failed(&self, operation: &str, error: &io::Error) -> DiskError {
        match error.kind() {
            io::ErrorKind::StorageFull => DiskError::Full(format!("{operation} {}", self.name)),
            _ => DiskError::Io(format!("{operation} {}: {error}", self.name)),
        }
    }
}

/// The whole file, and the pages of it that the disk cannot read, zeros in their places.
fn read_all(file: &impl DiskFile, length: u64) -> io::Result<(Vec<u8>, BTreeSet<u32>)> {
    match super::read_range(file, 0, length) {
        Err(error) if is_bad_sector(&error) => {}
        read => return read.map(|bytes| (bytes, BTreeSet::new())),
    }
    let (mut bytes, mut unreadable) = (Vec::new(), BTreeSet::new());
    for at in (0..length).step_by(PAGE_BYTES) {
        let part = BYTES.min(length - at);
        match super::read_range(file, at, part) {
            Ok(page) => bytes.extend(page),
            Err(error) if is_bad_sector(&error) => {
                unreadable.insert(u32::try_from(at / BYTES).map_err(io::Error::other)?);
                bytes.resize(bytes.len() + usize::try_from(part).map_err(io::Error::other)?, 0);
            }
            Err(error) => return Err(error),
        }
    }
    Ok((bytes, unreadable))
}

/// Carry out the journal at the end of the file, if there is a whole one.
fn replay(file: &impl DiskFile, bytes: &mut [u8], unreadable: &mut BTreeSet<u32>) -> io::Result<()> {
    let Some(images) = journal_of(bytes) else {
        return Ok(());
    };
    let images = images.to_vec();
    for image in images.chunks(PAGE_BYTES) {
        let at = u64::from(page::number(image)) * BYTES;
        file.write_all_at(image, at)?;
        unreadable.remove(&page::number(image));
        let place = usize::try_from(at).unwrap_or(usize::MAX);
        if let Some(page) = bytes.get_mut(place..place.saturating_add(PAGE_BYTES)) {
            page.copy_from_slice(image);
        }
    }
    file.sync()?;
    file.write_all_at(&[0; 8], bytes.len() as u64 - BYTES)
}

fn journal_of(bytes: &[u8]) -> Option<&[u8]> {
    if !bytes.len().is_multiple_of(PAGE_BYTES) {
        return None;
    }
    let end = bytes.len().checked_sub(PAGE_BYTES)?;
    let (images, crc) = page::read_journal(&bytes[end..])?;
    let start = end.checked_sub(images as usize * PAGE_BYTES)?;
    let images = &bytes[start..end];
    let whole = crc32c::crc32c(images) == crc;
    let inside = |image: &[u8]| (page::number(image) as usize + 1) * PAGE_BYTES <= start;
    (whole && images.chunks(PAGE_BYTES).all(inside)).then_some(images)
}

fn slice(bytes: &[u8], number: u32) -> Option<&[u8]> {
    let at = number as usize * PAGE_BYTES;
    bytes.get(at..at + PAGE_BYTES)
}

fn read_tables(mut list: &[u8]) -> Option<BTreeMap<u32, String>> {
    let mut tables = BTreeMap::new();
    let word = |list: &mut &[u8]| -> Option<u32> {
        let (head, rest) = list.split_first_chunk::<4>()?;
        *list = rest;
        Some(u32::from_le_bytes(*head))
    };
    if list.is_empty() {
        return Some(tables);
    }
    loop {
        let number = word(&mut list)?;
        if number == 0 {
            return Some(tables);
        }
        let length = usize::try_from(word(&mut list)?).ok()?;
        let (text, rest) = list.split_at_checked(length)?;
        list = rest;
        tables.insert(number, std::str::from_utf8(text).ok()?.to_owned());
    }
}
