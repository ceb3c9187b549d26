//! Pages of a data file: what they hold, and how one is found to be damaged.

use serde::{Deserialize, Serialize};

/// Rows of one table that share a page: those whose keys divide to the same range.
pub const ROWS_PER_PAGE: i64 = 64;

/// What a data page holds: one range of keys of one table. The same on both partners, whatever the number of the page.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PageKey {
    /// The table's name in lower case.
    pub table: String,
    /// Keys from `range * ROWS_PER_PAGE` on.
    pub range: i64,
}

impl PageKey {
    /// The page on which the row `key` of `table` lies.
    pub fn of(table: &str, key: i64) -> Self {
        PageKey {
            table: table.to_lowercase(),
            range: key.div_euclid(ROWS_PER_PAGE),
        }
    }

    /// The first key of the page and the last.
    pub fn keys(&self) -> std::ops::RangeInclusive<i64> {
        let first = self.range.saturating_mul(ROWS_PER_PAGE);
        first..=first.saturating_add(ROWS_PER_PAGE - 1)
    }
}

impl std::fmt::Display for PageKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}..{}", self.table, self.keys().start(), self.keys().end())
    }
}

/// A page that cannot be read: its number in the data file, what it held, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedPage {
    pub page: u32,
    pub key: PageKey,
    pub error: PageError,
}

/// How the repair of a page stands; the codes are `page_status` of `sys.dm_db_mirroring_auto_page_repair`. Source: documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepairStatus {
    /// To be asked for.
    Queued = 2,
    Requested = 3,
    /// The partner's copy is here, and not yet in place.
    Received = 4,
    Succeeded = 5,
    Failed = 6,
}

/// What is wrong with a page, in the words of messages 823 and 824.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PageError {
    /// Its checksum does not fit its content.
    Checksum,
    /// The operating system cannot read it: a sector of the disk is bad. Message 823, not 824.
    Unreadable,
    /// It is sound and another page than the one asked for.
    WrongPage,
    /// It was found damaged before and not restored since: what was written meanwhile is not on it.
    RestorePending,
}

impl PageError {
    /// `event_type` of `msdb.dbo.suspect_pages`. Source: documented.
    pub fn event_type(self) -> u8 {
        match self {
            PageError::Checksum | PageError::RestorePending => 2,
            PageError::Unreadable | PageError::WrongPage => 1,
        }
    }

    /// `error_type` of `sys.dm_db_mirroring_auto_page_repair`. Source: documented.
    pub fn error_type(self) -> i8 {
        match self {
            PageError::Unreadable => -1,
            PageError::WrongPage => 1,
            PageError::Checksum | PageError::RestorePending => 2,
        }
    }
}

impl std::fmt::Display for PageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            PageError::Checksum => "its checksum is wrong",
            PageError::Unreadable => "operating system error 23 (data error: cyclic redundancy check)",
            PageError::WrongPage => "another page is in its place",
            PageError::RestorePending => "it was found so before and is not restored yet",
        })
    }
}
