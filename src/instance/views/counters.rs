//! `sys.dm_os_performance_counters`: the objects *Database Mirroring* and *Deprecated Features*.
//!
//! A counter per second holds a total since the start: its reader takes the difference over time. Source: documented, the
//! view's page, *SQL Server, Database Mirroring object*, *SQL Server, Deprecated Features Object*.

use super::column::view_row;

view_row! {
    /// One counter of one database, or of one deprecated feature.
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
/// `object_name` of what is counted for features that a later version of the product will not have.
pub const OBJECT_DEPRECATED_FEATURES: &str = "SQLServer:Deprecated Features";
/// `cntr_type` of a level: PERF_COUNTER_LARGE_RAWCOUNT. Source: documented.
pub const COUNTER_LEVEL: i64 = 65_792;
/// `cntr_type` of a total whose difference over time is meant: PERF_COUNTER_BULK_COUNT. Source: documented.
pub const COUNTER_PER_SECOND: i64 = 272_696_576;
