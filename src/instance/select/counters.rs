//! The performance counters, from what the instance has counted.
//!
//! Send queue and redo queue are looked up in the log as it is now. All log a session sends or redoes is still in memory
//! when it does, so the two counters of the cache equal those of the log; that is ours. Source: documented, *SQL Server,
//! Database Mirroring object*.

use crate::instance::Instance;
use crate::instance::database::Database;
use crate::instance::views::{
    COUNTER_LEVEL, COUNTER_PER_SECOND, OBJECT_DATABASE_MIRRORING, OBJECT_DEPRECATED_FEATURES,
    PerformanceCounterRow,
};
use crate::session::Partner;
use crate::types::Timestamp;

impl Instance {
    /// The counters of the mirrored databases, in order of name, and those of deprecated features.
    pub(super) fn counter_rows(&self) -> Vec<PerformanceCounterRow> {
        let mirrored = self
            .databases
            .values()
            .filter_map(|d| Some((d, d.session.as_ref()?)));
        let databases = mirrored.flat_map(|(database, session)| rows(database, session, self.now.at));
        let deprecated = self
            .deprecated
            .counts()
            .map(|(feature, uses)| PerformanceCounterRow {
                object_name: OBJECT_DEPRECATED_FEATURES,
                counter_name: "Usage",
                instance_name: feature.name().to_owned(),
                cntr_value: uses,
                cntr_type: COUNTER_LEVEL,
            });
        databases.chain(deprecated).collect()
    }
}

/// One database's counters, in order of their names.
fn rows(database: &Database, session: &Partner, now: Timestamp) -> Vec<PerformanceCounterRow> {
    let (send_queue, redo_queue) = session.queues(&database.log);
    let c = &database.counters;
    let kb = |bytes: u64| (bytes.div_ceil(1024), COUNTER_LEVEL);
    let ms = |time: std::time::Duration| (u64::try_from(time.as_millis()).unwrap_or(u64::MAX), COUNTER_LEVEL);
    let total = |count: u64| (count, COUNTER_PER_SECOND);
    [
        ("Bytes Received/sec", total(c.bytes_received)),
        ("Bytes Sent/sec", total(c.bytes_sent)),
        ("Log Bytes Received/sec", total(c.log_bytes_received)),
        ("Log Bytes Redone from Cache/sec", total(c.redo_bytes)),
        ("Log Bytes Sent from Cache/sec", total(c.log_bytes_sent)),
        ("Log Bytes Sent/sec", total(c.log_bytes_sent)),
        ("Log Compressed Bytes Rcvd/sec", total(c.log_compressed_received)),
        ("Log Compressed Bytes Sent/sec", total(c.log_compressed_sent)),
        ("Log Harden Time (ms)", ms(c.harden_time(now))),
        ("Log Remaining for Undo KB", kb(c.undo_remaining)),
        ("Log Scanned for Undo KB", kb(c.undo_scanned)),
        ("Log Send Flow Control Time (ms)", ms(c.flow_control_time(now))),
        ("Log Send Queue KB", kb(send_queue)),
        ("Mirrored Write Transactions/sec", total(c.mirrored_commits)),
        ("Pages Sent/sec", total(c.pages_sent)),
        ("Receives/sec", total(c.receives)),
        ("Redo Bytes/sec", total(c.redo_bytes)),
        ("Redo Queue KB", kb(redo_queue)),
        ("Send/Receive Ack Time", ms(c.ack_time(now))),
        ("Sends/sec", total(c.sends)),
        ("Transaction Delay", ms(c.transaction_delay(now))),
    ]
    .into_iter()
    .map(|(counter_name, (cntr_value, cntr_type))| PerformanceCounterRow {
        object_name: OBJECT_DATABASE_MIRRORING,
        counter_name,
        instance_name: database.name.as_str().to_owned(),
        cntr_value,
        cntr_type,
    })
    .collect()
}
