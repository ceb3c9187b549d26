//! Damaged pages of a data file: nobody uses their rows, they are noted, and a mirrored database gets them from the partner.
//!
//! A page is found damaged when the data file is opened, when a checkpoint changes it, or when the partner asks for it. Its
//! rows in memory are given up with it, and statements that need them are refused (829); a database that is not mirrored stays
//! so until it is restored from a backup. Which partner asks whom and when is the session's affair (`session::repair`). A page
//! that comes from the partner is what the log makes of it up to some LSN; the log behind that is redone on it here, in the
//! data file as far as the file has the rest. Source: documented, *Automatic Page Repair*, *suspect_pages*.

use std::collections::{BTreeMap, VecDeque};

use super::Database;
use crate::error::{SqlError, msg};
use crate::instance::Instance;
use crate::instance::catalog::{REPAIRED, RESTORED};
use crate::instance::io::{DiskError, DiskReply, DiskRequest};
use crate::instance::purpose::Purpose;
use crate::log::{LogBlock, LogRecord};
use crate::session::{PageImage, PartnerInput};
use crate::types::{
    DamagedPage, DatabaseName, Lsn, PageError, PageKey, PartnerRole, RepairStatus, RowChange, SessionEvent,
    WallTime,
};

/// Rows of `sys.dm_db_mirroring_auto_page_repair` kept for one database. Source: documented.
const REPAIRS_MAX: usize = 100;

/// What is known of the pages of one database.
#[derive(Debug, Default)]
pub struct Pages {
    damaged: BTreeMap<PageKey, DamagedPage>,
    /// Attempts to repair a page, oldest first.
    pub repairs: VecDeque<PageRepair>,
}

/// An attempt to repair a page.
#[derive(Debug)]
pub struct PageRepair {
    pub page: u32,
    pub error: PageError,
    pub status: RepairStatus,
    pub updated: WallTime,
}

impl Pages {
    /// A page that is damaged, if any is.
    pub fn damaged(&self) -> Option<&DamagedPage> {
        self.damaged.values().next()
    }
}

fn changes_on(block: &LogBlock, page: &PageKey) -> impl DoubleEndedIterator<Item = RowChange> {
    block
        .records()
        .into_iter()
        .filter_map(move |record| match record {
            LogRecord::Set(change) if PageKey::of(&change.table, change.key) == *page => Some(change),
            _ => None,
        })
}

/// The rows of a page after `blocks`.
fn redo_on(page: &PageKey, rows: &[(i64, i64)], blocks: &[LogBlock]) -> Vec<(i64, i64)> {
    let mut rows: BTreeMap<i64, i64> = rows.iter().copied().collect();
    for change in blocks.iter().flat_map(|block| changes_on(block, page)) {
        match change.after {
            Some(value) => rows.insert(change.key, value),
            None => rows.remove(&change.key),
        };
    }
    rows.into_iter().collect()
}

/// The rows of a page before `blocks`, which are undone newest first.
fn undo_on(page: &PageKey, rows: &[(i64, i64)], blocks: &[LogBlock]) -> Vec<(i64, i64)> {
    let mut rows: BTreeMap<i64, i64> = rows.iter().copied().collect();
    for change in blocks
        .iter()
        .rev()
        .flat_map(|block| changes_on(block, page).rev())
    {
        match change.before {
            Some(value) => rows.insert(change.key, value),
            None => rows.remove(&change.key),
        };
    }
    rows.into_iter().collect()
}

impl Database {
    /// The rows of a page as the log up to `lsn` makes them.
    fn page_at(&self, page: &PageKey, lsn: Lsn) -> Vec<(i64, i64)> {
        let blocks = self.log.blocks_from(lsn);
        let applied = blocks.partition_point(|block| block.start() < self.tables_at);
        undo_on(page, &self.tables.page(page), &blocks[..applied])
    }
}

impl Instance {
    /// Pages that a disk request came upon.
    pub(in crate::instance) fn note_damage(
        &mut self,
        name: &DatabaseName,
        result: &Result<DiskReply, DiskError>,
    ) {
        if let Ok(DiskReply::Damaged(pages)) = result {
            for page in pages.clone() {
                self.page_damaged(name, page);
            }
        }
    }

    /// A page cannot be read: nobody uses its rows from now on.
    pub(in crate::instance) fn page_damaged(&mut self, name: &DatabaseName, page: DamagedPage) {
        let id = self.database_id(name);
        let Some(database) = self.database_mut(name) else {
            return;
        };
        // Of a table whose creation was undone the disk may come upon a page until it has undone it, too.
        let gone = !database.tables.exists(&page.key.table);
        if gone || database.pages.damaged.contains_key(&page.key) {
            return;
        }
        let (number, key, error) = (page.page, page.key.clone(), page.error);
        let refusal = msg::PAGE_RESTORE_PENDING.with(&[&id, &number]);
        database.tables.close_page(&key, refusal);
        database.pages.damaged.insert(key.clone(), page);
        self.log_error(&match error {
            PageError::Unreadable => {
                msg::DISK_ERROR.with(&[&format!("page (1:{number}) cannot be read, {error}"), &name])
            }
            _ => msg::PAGE_DAMAGED.with(&[&error, &number, &name]),
        });
        // What still waits since an earlier start happened once, and is noted as what it was then.
        if error != PageError::RestorePending || !self.catalog.is_suspect(id, number) {
            self.note_suspect(name, number, error.event_type());
        }
        self.emit(SessionEvent::PageDamaged {
            database: name.clone(),
            page: key.clone(),
            number,
            error,
        });
        self.session_input(name, PartnerInput::PageDamaged { page: key, error });
    }

    fn database_id(&self, name: &DatabaseName) -> u32 {
        self.catalog.database(name.as_str()).map_or(0, |entry| entry.id)
    }

    fn note_suspect(&mut self, name: &DatabaseName, page: u32, event_type: u8) {
        let (id, now) = (self.database_id(name), self.now.wall);
        if self.catalog.note_page(id, page, event_type, now) {
            let writes = self.catalog.take_writes();
            self.disk(DiskRequest::Master { writes }, Purpose::Catalog);
        }
    }

    /// A new session learns which pages of its database are damaged.
    pub(in crate::instance) fn tell_damaged_pages(&mut self, name: &DatabaseName) {
        let pages = self
            .database(name.as_str())
            .map(|d| d.pages.damaged.values().cloned());
        for DamagedPage { key: page, error, .. } in pages.map(Vec::from_iter).unwrap_or_default() {
            self.session_input(name, PartnerInput::PageDamaged { page, error });
        }
    }

    /// A statement was refused for a damaged page.
    pub(in crate::instance) fn page_wanted(&mut self, name: &DatabaseName, refusal: &SqlError) {
        let Some(database) = self.database(name.as_str()) else {
            return;
        };
        if refusal.number != msg::PAGE_RESTORE_PENDING.number {
            return;
        }
        for page in Vec::from_iter(database.pages.damaged.keys().cloned()) {
            self.session_input(name, PartnerInput::PageWanted { page });
        }
    }

    /// The partner asks for a page: it is read from the disk first, so that what is sent is what could be read.
    pub(in crate::instance) fn read_page(
        &mut self,
        name: &DatabaseName,
        request: u64,
        page: PageKey,
        at: Lsn,
    ) {
        let purpose = Purpose::PageCheck {
            database: name.clone(),
            request,
            page: page.clone(),
            at,
        };
        let database = name.clone();
        self.disk(DiskRequest::CheckPage { database, page }, purpose);
    }

    pub(in crate::instance) fn on_page_checked(
        &mut self,
        name: &DatabaseName,
        request: u64,
        page: PageKey,
        at: Lsn,
        read: bool,
    ) {
        let Some(database) = self.database(name.as_str()) else {
            return;
        };
        let redone = database.log.redone();
        let image = match database.pages.damaged.contains_key(&page) || redone < at || !read {
            true => None,
            false => Some((redone, database.page_at(&page, redone))),
        };
        let input = PartnerInput::PageRead {
            request,
            page,
            at,
            image,
        };
        self.session_input(name, input);
    }

    /// The partner's copy of a page takes the place of the damaged one, once the log behind it is redone on it.
    pub(in crate::instance) fn restore_page(
        &mut self,
        name: &DatabaseName,
        page: PageKey,
        image: &PageImage,
    ) {
        let Some(database) = self.database_mut(name) else {
            return;
        };
        let (lsn, rows) = image;
        let known = *lsn >= database.log.start() && *lsn <= database.redo_asked;
        if !known || !database.pages.damaged.contains_key(&page) {
            let restored = false;
            return self.session_input(name, PartnerInput::PageRestored { page, restored });
        }
        let blocks = database.log.blocks_from(*lsn);
        let in_file = blocks.partition_point(|block| block.start() < database.redo_asked);
        let in_memory = blocks.partition_point(|block| block.start() < database.tables_at);
        let for_file = redo_on(&page, rows, &blocks[..in_file]);
        let for_memory = redo_on(&page, rows, &blocks[..in_memory]);
        database.tables.set_page(&page, &for_memory);
        let request = DiskRequest::RestorePage {
            database: name.clone(),
            page: page.clone(),
            rows: for_file,
        };
        let database = name.clone();
        self.disk(request, Purpose::PageRestore { database, page });
    }

    pub(in crate::instance) fn on_page_restored(&mut self, name: &DatabaseName, page: PageKey) {
        let Some(database) = self.database_mut(name) else {
            return;
        };
        let event_type = match database.role() {
            Some(PartnerRole::Mirror) => RESTORED,
            _ => REPAIRED,
        };
        let Some(damaged) = database.pages.damaged.remove(&page) else {
            return;
        };
        database.tables.open_page(&page);
        self.note_suspect(name, damaged.page, event_type);
        self.note_repair(name, &page, &damaged, RepairStatus::Succeeded);
        self.log_error(&msg::PAGE_REPAIRED.with(&[&damaged.page, name]));
        let restored = true;
        self.session_input(name, PartnerInput::PageRestored { page, restored });
    }

    /// The data file could not take the page.
    pub(in crate::instance) fn on_page_not_restored(&mut self, name: &DatabaseName, page: PageKey) {
        let restored = false;
        self.session_input(name, PartnerInput::PageRestored { page, restored });
    }

    /// Tables were undone: nothing of them is missing any more.
    pub(super) fn forget_pages_without_table(&mut self, name: &DatabaseName) {
        let Some(database) = self.database_mut(name) else {
            return;
        };
        let damaged = database.pages.damaged.keys();
        let gone = damaged.filter(|page| !database.tables.exists(&page.table));
        for page in Vec::from_iter(gone.cloned()) {
            if let Some(database) = self.database_mut(name) {
                database.pages.damaged.remove(&page);
                database.tables.open_page(&page);
            }
            let restored = true;
            self.session_input(name, PartnerInput::PageRestored { page, restored });
        }
    }

    /// The session tells how a repair stands.
    pub(in crate::instance) fn on_page_repair(
        &mut self,
        name: &DatabaseName,
        page: &PageKey,
        status: RepairStatus,
    ) {
        let damaged = self
            .database(name.as_str())
            .and_then(|d| d.pages.damaged.get(page));
        let Some(damaged) = damaged.cloned() else {
            return;
        };
        match status {
            RepairStatus::Requested => self.log_error(&msg::PAGE_REPAIR_ATTEMPT.with(&[&damaged.page, name])),
            RepairStatus::Failed => self.log_error(&msg::PAGE_REPAIR_FAILED.with(&[&damaged.page, name])),
            RepairStatus::Queued | RepairStatus::Received | RepairStatus::Succeeded => {}
        }
        self.note_repair(name, page, &damaged, status);
    }

    fn note_repair(
        &mut self,
        name: &DatabaseName,
        page: &PageKey,
        damaged: &DamagedPage,
        status: RepairStatus,
    ) {
        let updated = self.now.wall;
        let Some(database) = self.database_mut(name) else {
            return;
        };
        let repairs = &mut database.pages.repairs;
        let last = repairs
            .iter_mut()
            .rev()
            .find(|repair| repair.page == damaged.page);
        match last.filter(|_| status != RepairStatus::Queued) {
            Some(repair) => {
                repair.status = status;
                repair.updated = updated;
            }
            None => {
                if repairs.len() >= REPAIRS_MAX {
                    repairs.pop_front();
                }
                repairs.push_back(PageRepair {
                    page: damaged.page,
                    error: damaged.error,
                    status,
                    updated,
                });
            }
        }
        self.emit(SessionEvent::PageRepair {
            database: name.clone(),
            page: page.clone(),
            status,
        });
    }
}

#[cfg(test)]
mod tests;
