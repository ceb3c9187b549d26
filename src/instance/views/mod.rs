//! System views: their columns, and the engine that answers a `SELECT` over them.
//!
//! A view's rows are typed structs the instance fills (`DatabaseMirroringRow` …); `SystemViews` is the question it must
//! answer. `QueryEngine` puts the rows of the views a query names into an in-memory SQLite, translates the query and
//! reads the answer. Views change nothing. Source: documented, one page per view; the engine is ours.

mod column;
mod counters;
mod database_mirroring;
mod databases;
mod endpoints;
mod expression;
mod functions;
mod listeners;
mod pages;
mod point_read;
mod query;
mod scope;
mod security;
mod trace;
mod translate;

pub use column::{Cells, Coded, Column, SqlType};
pub use counters::{
    COUNTER_LEVEL, COUNTER_PER_SECOND, OBJECT_DATABASE_MIRRORING, OBJECT_DEPRECATED_FEATURES,
    PerformanceCounterRow,
};
pub use database_mirroring::{
    DatabaseMirroringRow, DatabaseMirroringWitnessRow, DbMirroringConnectionRow, WITNESS_SYNCHRONIZED,
    WITNESS_UNSYNCHRONIZED,
};
pub use databases::{DatabaseRow, DatabaseState, LogReuseWait, RecoveryModelShown};
pub use endpoints::{
    DatabaseMirroringEndpointRow, EndpointRow, PROTOCOL_TCP, TYPE_DATABASE_MIRRORING, TcpEndpointRow,
};
pub use listeners::{LISTENER_DATABASE_MIRRORING, LISTENER_ONLINE, LISTENER_TSQL, TcpListenerStateRow};
pub use pages::{AutoPageRepairRow, SuspectPageRow};
pub use point_read::{PointRead, point_read};
pub use query::{Limits, QueryEngine};
pub use security::{
    CertificateRow, DatabasePrincipalRow, DatabaseRoleMemberRow, ServerPermissionRow, ServerPrincipalRow,
};
pub use trace::{
    CLASS_AUDIT_MIRRORING_LOGIN, CLASS_DEPRECATION_ANNOUNCEMENT, CLASS_DEPRECATION_FINAL_SUPPORT,
    CLASS_ERROR_LOG, CLASS_MIRRORING_CONNECTION, CLASS_MIRRORING_STATE_CHANGE, TraceRow,
};

use crate::error::SqlError;
use crate::types::{Value, WallTime};

/// The views that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum View {
    Endpoints,
    TcpEndpoints,
    DatabaseMirroringEndpoints,
    DatabaseMirroring,
    DatabaseMirroringWitnesses,
    DmDbMirroringConnections,
    Databases,
    ServerPermissions,
    ServerPrincipals,
    DatabasePrincipals,
    DatabaseRoleMembers,
    Certificates,
    DmTcpListenerStates,
    /// A function in the product, asked for with the name of a trace.
    FnTraceGettable,
    DmOsPerformanceCounters,
    DmDbMirroringAutoPageRepair,
    /// A table of `msdb` in the product.
    SuspectPages,
}

/// The rows of a user table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Value>>,
}

/// What a query may ask of the instance it runs on, as seen by the login and in the database of the batch.
pub trait SystemViews {
    /// The rows of a view the login may see, each with one value per column of `View::columns`.
    ///
    /// Errors: 300 the view asks for a permission the login lacks.
    fn rows(&self, view: View) -> Result<Vec<Vec<Value>>, SqlError>;

    /// A user table's content; `None` if there is none of that name (names compare without regard to case).
    ///
    /// Errors: the database named, or the current one, cannot be opened (911, 927, 954, 955 …).
    fn table(&self, database: Option<&str>, name: &str) -> Result<Option<Table>, SqlError>;

    /// `@@SERVERNAME` and `SERVERPROPERTY('ServerName')`.
    fn server_name(&self) -> &str;

    /// `SUSER_SNAME()`.
    fn login_name(&self) -> &str;

    /// `DB_NAME()`.
    fn current_database(&self) -> &str;

    /// The system's wall clock: `GETUTCDATE()`. A simulated system's zone is UTC, so `GETDATE()` is the same.
    fn wall_time(&self) -> WallTime;

    /// `SERVERPROPERTY('Edition')`.
    fn edition(&self) -> String;

    /// `SERVERPROPERTY('ProductVersion')`.
    fn product_version(&self) -> &'static str;

    /// `SERVERPROPERTY(name)`; `None`, which prints NULL, for a name this project does not know.
    fn server_property(&self, name: &str) -> Option<Value> {
        let server = self.server_name();
        let (machine, instance) = match server.split_once('\\') {
            Some((machine, instance)) => (machine, Some(instance.to_owned())),
            None => (server, None),
        };
        match name.to_ascii_lowercase().as_str() {
            "servername" => Some(server.into()),
            "machinename" => Some(machine.into()),
            "instancename" => Some(instance.into()),
            "ishadrenabled" | "isclustered" => Some(Value::Int(0)),
            "edition" => Some(self.edition().into()),
            "productversion" => Some(self.product_version().into()),
            _ => None,
        }
    }
}

impl View {
    pub const ALL: [View; 17] = [
        View::Endpoints,
        View::TcpEndpoints,
        View::DatabaseMirroringEndpoints,
        View::DatabaseMirroring,
        View::DatabaseMirroringWitnesses,
        View::DmDbMirroringConnections,
        View::Databases,
        View::ServerPermissions,
        View::ServerPrincipals,
        View::DatabasePrincipals,
        View::DatabaseRoleMembers,
        View::Certificates,
        View::DmTcpListenerStates,
        View::FnTraceGettable,
        View::DmOsPerformanceCounters,
        View::DmDbMirroringAutoPageRepair,
        View::SuspectPages,
    ];

    /// The name without `sys.`.
    pub const fn name(self) -> &'static str {
        match self {
            View::Endpoints => "endpoints",
            View::TcpEndpoints => "tcp_endpoints",
            View::DatabaseMirroringEndpoints => "database_mirroring_endpoints",
            View::DatabaseMirroring => "database_mirroring",
            View::DatabaseMirroringWitnesses => "database_mirroring_witnesses",
            View::DmDbMirroringConnections => "dm_db_mirroring_connections",
            View::Databases => "databases",
            View::ServerPermissions => "server_permissions",
            View::ServerPrincipals => "server_principals",
            View::DatabasePrincipals => "database_principals",
            View::DatabaseRoleMembers => "database_role_members",
            View::Certificates => "certificates",
            View::DmTcpListenerStates => "dm_tcp_listener_states",
            View::FnTraceGettable => "fn_trace_gettable",
            View::DmOsPerformanceCounters => "dm_os_performance_counters",
            View::DmDbMirroringAutoPageRepair => "dm_db_mirroring_auto_page_repair",
            View::SuspectPages => "suspect_pages",
        }
    }

    /// The documented columns, in order.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            View::Endpoints => EndpointRow::COLUMNS,
            View::TcpEndpoints => TcpEndpointRow::COLUMNS,
            View::DatabaseMirroringEndpoints => DatabaseMirroringEndpointRow::COLUMNS,
            View::DatabaseMirroring => DatabaseMirroringRow::COLUMNS,
            View::DatabaseMirroringWitnesses => DatabaseMirroringWitnessRow::COLUMNS,
            View::DmDbMirroringConnections => DbMirroringConnectionRow::COLUMNS,
            View::Databases => DatabaseRow::COLUMNS,
            View::ServerPermissions => ServerPermissionRow::COLUMNS,
            View::ServerPrincipals => ServerPrincipalRow::COLUMNS,
            View::DatabasePrincipals => DatabasePrincipalRow::COLUMNS,
            View::DatabaseRoleMembers => DatabaseRoleMemberRow::COLUMNS,
            View::Certificates => CertificateRow::COLUMNS,
            View::DmTcpListenerStates => TcpListenerStateRow::COLUMNS,
            View::FnTraceGettable => TraceRow::COLUMNS,
            View::DmOsPerformanceCounters => PerformanceCounterRow::COLUMNS,
            View::DmDbMirroringAutoPageRepair => AutoPageRepairRow::COLUMNS,
            View::SuspectPages => SuspectPageRow::COLUMNS,
        }
    }

    /// The view called `name` (without `sys.`, in any case).
    pub fn named(name: &str) -> Option<View> {
        View::ALL
            .into_iter()
            .filter(|view| *view != View::SuspectPages)
            .find(|view| view.name().eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests;
