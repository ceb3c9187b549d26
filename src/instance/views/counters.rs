//! `sys.dm_os_performance_counters`: the queues of each mirrored database, as they are now.
//!
//! Of the object *Database Mirroring* the counters that are levels, not rates. Source: documented, *SQL Server, Database
//! Mirroring object*, and the view's page; which log the send queue counts while the mirror is away is ours.

use super::column::view_row;

view_row! {
    /// One counter of one database.
    PerformanceCounterRow {
        object_name: &'static str => object_name: NVarChar(128);
        counter_name: &'static str => counter_name: NVarChar(128);
        instance_name: String => instance_name: NVarChar(128);
        cntr_value: u64 => cntr_value: BigInt;
        cntr_type: i64 => cntr_type: Int;
    }
}

/// `object_name` of what is counted for mirrored databases.
pub const OBJECT_DATABASE_MIRRORING: &str = "SQLServer:Database Mirroring";
/// `cntr_type` of a level: PERF_COUNTER_LARGE_RAWCOUNT. Source: documented.
pub const COUNTER_LEVEL: i64 = 65_792;
