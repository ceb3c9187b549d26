//! `msdb.dbo.suspect_pages` and `sys.dm_db_mirroring_auto_page_repair`.
//!
//! Source: documented, the pages of these names.

use super::column::view_row;
use crate::types::WallTime;

view_row! {
    /// A page that was found damaged.
    SuspectPageRow {
        database_id: i64 => database_id: Int;
        /// 1, the data file.
        file_id: i64 => file_id: Int;
        page_id: i64 => page_id: BigInt;
        event_type: i64 => event_type: Int;
        error_count: i64 => error_count: Int;
        last_update_date: WallTime => last_update_date: DateTime;
    }
}

view_row! {
    /// One attempt to have a page repaired by the partner.
    AutoPageRepairRow {
        database_id: i64 => database_id: Int;
        file_id: i64 => file_id: Int;
        page_id: i64 => page_id: BigInt;
        /// -1: an 823, 1: an 824 other than a bad checksum or a torn page, 2: a bad checksum.
        error_type: i64 => error_type: SmallInt;
        /// 2 queued, 3 requested, 4 received, 5 succeeded, 6 irreparable.
        page_status: i64 => page_status: TinyInt;
        modification_time: WallTime => modification_time: DateTime;
    }
}
