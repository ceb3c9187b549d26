//! `sys.databases`.
//!
//! The columns of the 2016 page up to `is_encrypted`'s block; those about features that do not exist here hold what a
//! new database of the product shows. Source: documented, *sys.databases*.

use super::column::{Column, SqlType};
use crate::types::{Guid, Value, WallTime};

/// One database: the columns that vary. The others are constants.
#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseRow {
    pub name: String,
    pub database_id: i64,
    /// The owner's security identifier, printed.
    pub owner_sid: Option<String>,
    pub create_date: WallTime,
    pub state: DatabaseState,
    pub recovery_model: RecoveryModelShown,
    pub is_master_key_encrypted_by_server: bool,
    pub service_broker_guid: Guid,
    pub log_reuse_wait: LogReuseWait,
}

/// `state` and `state_desc`. Source: documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseState {
    Online,
    Restoring,
    Recovering,
    RecoveryPending,
    Suspect,
    Emergency,
    Offline,
}

/// `recovery_model` and `recovery_model_desc`. Source: documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecoveryModelShown {
    Full,
    BulkLogged,
    Simple,
}

/// Why the log cannot be truncated. Source: documented, `log_reuse_wait`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogReuseWait {
    Nothing,
    Checkpoint,
    LogBackup,
    ActiveTransaction,
    DatabaseMirroring,
}

impl DatabaseState {
    pub const fn code(self) -> i64 {
        match self {
            DatabaseState::Online => 0,
            DatabaseState::Restoring => 1,
            DatabaseState::Recovering => 2,
            DatabaseState::RecoveryPending => 3,
            DatabaseState::Suspect => 4,
            DatabaseState::Emergency => 5,
            DatabaseState::Offline => 6,
        }
    }

    pub const fn desc(self) -> &'static str {
        match self {
            DatabaseState::Online => "ONLINE",
            DatabaseState::Restoring => "RESTORING",
            DatabaseState::Recovering => "RECOVERING",
            DatabaseState::RecoveryPending => "RECOVERY_PENDING",
            DatabaseState::Suspect => "SUSPECT",
            DatabaseState::Emergency => "EMERGENCY",
            DatabaseState::Offline => "OFFLINE",
        }
    }
}

impl RecoveryModelShown {
    const fn coded(self) -> (i64, &'static str) {
        match self {
            RecoveryModelShown::Full => (1, "FULL"),
            RecoveryModelShown::BulkLogged => (2, "BULK_LOGGED"),
            RecoveryModelShown::Simple => (3, "SIMPLE"),
        }
    }
}

impl LogReuseWait {
    pub const fn desc(self) -> &'static str {
        self.coded().1
    }

    const fn coded(self) -> (i64, &'static str) {
        match self {
            LogReuseWait::Nothing => (0, "NOTHING"),
            LogReuseWait::Checkpoint => (1, "CHECKPOINT"),
            LogReuseWait::LogBackup => (2, "LOG_BACKUP"),
            LogReuseWait::ActiveTransaction => (4, "ACTIVE_TRANSACTION"),
            LogReuseWait::DatabaseMirroring => (5, "DATABASE_MIRRORING"),
        }
    }
}

/// How a column gets its value.
enum Fill {
    Row(fn(&DatabaseRow) -> Value),
    Bit(bool),
    Int(i64),
    Text(&'static str),
    Null,
}

macro_rules! columns {
    ($($name:ident: $kind:expr => $fill:expr;)*) => {
        impl DatabaseRow {
            /// The documented columns, in order.
            pub const COLUMNS: &'static [Column] = {
                use SqlType::*;
                &[$(Column { name: stringify!($name), kind: $kind }),*]
            };
        }

        const FILLS: &[Fill] = {
            use Fill::*;
            &[$($fill),*]
        };
    };
}

columns! {
    name: SysName => Row(|d| d.name.clone().into());
    database_id: Int => Row(|d| d.database_id.into());
    source_database_id: Int => Null;
    owner_sid: VarBinary(85) => Row(|d| d.owner_sid.clone().into());
    create_date: DateTime => Row(|d| d.create_date.to_string().into());
    compatibility_level: TinyInt => Int(130);
    collation_name: SysName => Row(|d| match d.state {
        DatabaseState::Online => "SQL_Latin1_General_CP1_CI_AS".into(),
        _ => Value::Null,
    });
    user_access: TinyInt => Int(0);
    user_access_desc: NVarChar(60) => Text("MULTI_USER");
    is_read_only: Bit => Bit(false);
    is_auto_close_on: Bit => Bit(false);
    is_auto_shrink_on: Bit => Bit(false);
    state: TinyInt => Row(|d| d.state.code().into());
    state_desc: NVarChar(60) => Row(|d| d.state.desc().into());
    is_in_standby: Bit => Bit(false);
    is_cleanly_shutdown: Bit => Bit(false);
    is_supplemental_logging_enabled: Bit => Bit(false);
    snapshot_isolation_state: TinyInt => Int(0);
    snapshot_isolation_state_desc: NVarChar(60) => Text("OFF");
    is_read_committed_snapshot_on: Bit => Bit(false);
    recovery_model: TinyInt => Row(|d| d.recovery_model.coded().0.into());
    recovery_model_desc: NVarChar(60) => Row(|d| d.recovery_model.coded().1.into());
    page_verify_option: TinyInt => Int(2);
    page_verify_option_desc: NVarChar(60) => Text("CHECKSUM");
    is_auto_create_stats_on: Bit => Bit(true);
    is_auto_create_stats_incremental_on: Bit => Bit(false);
    is_auto_update_stats_on: Bit => Bit(true);
    is_auto_update_stats_async_on: Bit => Bit(false);
    is_ansi_null_default_on: Bit => Bit(false);
    is_ansi_nulls_on: Bit => Bit(false);
    is_ansi_padding_on: Bit => Bit(false);
    is_ansi_warnings_on: Bit => Bit(false);
    is_arithabort_on: Bit => Bit(false);
    is_concat_null_yields_null_on: Bit => Bit(false);
    is_numeric_roundabort_on: Bit => Bit(false);
    is_quoted_identifier_on: Bit => Bit(false);
    is_recursive_triggers_on: Bit => Bit(false);
    is_cursor_close_on_commit_on: Bit => Bit(false);
    is_local_cursor_default: Bit => Bit(false);
    is_fulltext_enabled: Bit => Bit(true);
    is_trustworthy_on: Bit => Bit(false);
    is_db_chaining_on: Bit => Bit(false);
    is_parameterization_forced: Bit => Bit(false);
    is_master_key_encrypted_by_server: Bit => Row(|d| d.is_master_key_encrypted_by_server.into());
    is_query_store_on: Bit => Bit(false);
    is_published: Bit => Bit(false);
    is_subscribed: Bit => Bit(false);
    is_merge_published: Bit => Bit(false);
    is_distributor: Bit => Bit(false);
    is_sync_with_backup: Bit => Bit(false);
    service_broker_guid: UniqueIdentifier => Row(|d| d.service_broker_guid.to_string().into());
    is_broker_enabled: Bit => Bit(false);
    log_reuse_wait: TinyInt => Row(|d| d.log_reuse_wait.coded().0.into());
    log_reuse_wait_desc: NVarChar(60) => Row(|d| d.log_reuse_wait.coded().1.into());
    is_date_correlation_on: Bit => Bit(false);
    is_cdc_enabled: Bit => Bit(false);
    is_encrypted: Bit => Bit(false);
    is_honor_broker_priority_on: Bit => Bit(false);
    replica_id: UniqueIdentifier => Null;
    group_database_id: UniqueIdentifier => Null;
}

impl DatabaseRow {
    /// One value per column.
    pub fn into_values(self) -> Vec<Value> {
        FILLS
            .iter()
            .map(|fill| match fill {
                Fill::Row(value) => value(&self),
                Fill::Bit(bit) => Value::Bool(*bit),
                Fill::Int(n) => Value::Int(*n),
                Fill::Text(text) => (*text).into(),
                Fill::Null => Value::Null,
            })
            .collect()
    }
}
