//! `msdb.dbo.suspect_pages`: the pages that were found damaged on this instance, and what became of them.
//!
//! They outlive the database they are of, as in the product, and are at most 1000. They are kept in the `master` store, for
//! there is no `msdb` here.

use serde::{Deserialize, Serialize};

use super::Catalog;
use crate::types::WallTime;

/// Source: documented.
const SUSPECT_PAGES_MAX: usize = 1000;

/// `event_type` of a page that was restored or repaired. Source: documented, 4 and 5; which of them a repair by the partner
/// makes is that of the mirror and of the principal.
pub const RESTORED: u8 = 4;
pub const REPAIRED: u8 = 5;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuspectPage {
    pub database_id: u32,
    pub page: u32,
    pub event_type: u8,
    /// How often this happened to the page.
    pub error_count: u32,
    pub updated: WallTime,
}

impl Catalog {
    /// In order of database and page.
    pub fn suspect_pages(&self) -> impl Iterator<Item = &SuspectPage> {
        self.suspect_pages.values()
    }

    /// Whether the page is noted as damaged, and not restored since.
    pub fn is_suspect(&self, database_id: u32, page: u32) -> bool {
        let noted = self.suspect_pages.get(&key(database_id, page));
        noted.is_some_and(|page| !matches!(page.event_type, RESTORED | REPAIRED))
    }

    /// Note what happened to a page. False if it is not noted, for the table is full.
    pub fn note_page(&mut self, database_id: u32, page: u32, event_type: u8, now: WallTime) -> bool {
        let key = key(database_id, page);
        let known = self.suspect_pages.get(&key);
        if known.is_none() && self.suspect_pages.len() >= SUSPECT_PAGES_MAX {
            return false;
        }
        let again = known.filter(|page| page.event_type == event_type);
        let noted = SuspectPage {
            database_id,
            page,
            event_type,
            error_count: again.map_or(1, |page| page.error_count.saturating_add(1)),
            updated: now,
        };
        self.save(format!("suspect/{key}"), &noted);
        self.suspect_pages.insert(key, noted);
        true
    }
}

fn key(database_id: u32, page: u32) -> String {
    format!("{database_id:010}/{page:010}")
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::*;

    #[test]
    fn they_are_counted_bounded_and_read_back() {
        let now = WallTime::from_unix_millis(0);
        let mut catalog = Catalog::new(Guid::NIL, now);
        assert!(catalog.note_page(5, 7, 2, now));
        assert!(catalog.note_page(5, 7, 2, now));
        assert!((1..1000).all(|page| catalog.note_page(6, page, 2, now)));
        assert!(!catalog.note_page(6, 1000, 2, now));
        assert!(catalog.is_suspect(6, 1) && !catalog.is_suspect(7, 1));
        assert!(catalog.note_page(6, 1, REPAIRED, now));
        assert!(!catalog.is_suspect(6, 1));
        let entries: BTreeMap<_, _> = catalog.take_writes().into_iter().collect();
        let entries: Vec<_> = entries.into_iter().filter_map(|(k, v)| Some((k, v?))).collect();
        let read = Catalog::load(&entries, Guid::NIL, now).unwrap();
        assert!(read.suspect_pages().eq(catalog.suspect_pages()));
        let first = read.suspect_pages().next().unwrap();
        assert_eq!((first.page, first.error_count), (7, 2));
    }
}
