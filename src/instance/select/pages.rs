//! Rows about damaged pages.

use crate::instance::Instance;
use crate::instance::views::{AutoPageRepairRow, SuspectPageRow};

/// A database has one data file here.
const FILE_ID: i64 = 1;

impl Instance {
    pub(super) fn suspect_page_rows(&self) -> Vec<SuspectPageRow> {
        let pages = self.catalog.suspect_pages();
        pages
            .map(|page| SuspectPageRow {
                database_id: i64::from(page.database_id),
                file_id: FILE_ID,
                page_id: i64::from(page.page),
                event_type: i64::from(page.event_type),
                error_count: i64::from(page.error_count),
                last_update_date: page.updated,
            })
            .collect()
    }

    /// Oldest first within each database.
    pub(super) fn page_repair_rows(&self) -> Vec<AutoPageRepairRow> {
        let of_database = |entry: &crate::instance::catalog::DatabaseEntry| {
            let database = self.database(entry.name.as_str())?;
            let id = i64::from(entry.id);
            Some(
                database
                    .pages
                    .repairs
                    .iter()
                    .map(move |repair| AutoPageRepairRow {
                        database_id: id,
                        file_id: FILE_ID,
                        page_id: i64::from(repair.page),
                        error_type: i64::from(repair.error.error_type()),
                        page_status: repair.status as i64,
                        modification_time: repair.updated,
                    }),
            )
        };
        let databases = self.catalog.databases();
        databases.filter_map(of_database).flatten().collect()
    }
}
