//! `SELECT`: the instance as the query engine sees it, and every view's rows from the instance's state.
//!
//! Pure functions from `&Instance` to rows; a view changes nothing and sees what is true at this instant.

mod counters;
mod endpoints;
mod mirroring;
mod msdb;
mod pages;
mod principals;

use std::cell::RefCell;

use super::Instance;
use super::catalog::RecoveryModel;
use super::database::down::Down;
use super::database::tables::{Blocked, Transaction};
use super::procedures::{MSDB, STATUS_TABLE};
use super::views::{
    AutoPageRepairRow, CertificateRow, DatabaseMirroringEndpointRow, DatabaseMirroringRow,
    DatabaseMirroringWitnessRow, DatabasePrincipalRow, DatabaseRoleMemberRow, DatabaseRow, DatabaseState,
    DbMirroringConnectionRow, EndpointRow, Limits, LogReuseWait, PerformanceCounterRow, PointRead,
    RecoveryModelShown, ServerPermissionRow, ServerPrincipalRow, SuspectPageRow, SystemViews, Table,
    TcpEndpointRow, TcpListenerStateRow, TraceRow, View, point_read,
};
use crate::error::{SqlError, msg};
use crate::tsql::ast::Select;
use crate::types::{ConnectionId, DatabaseName, PartnerRole, Permission, ReplyItem, Value, WallTime};

/// An instance as one client's query sees it.
struct Seen<'a> {
    instance: &'a Instance,
    login: &'a str,
    database: Option<&'a str>,
    work: &'a Transaction,
    /// The database some of whose rows are locked, if any were met.
    locked: RefCell<Option<DatabaseName>>,
}

impl Instance {
    /// Answer a `SELECT`. `work` is what the client's open transaction has changed; `locked_in` becomes the database
    /// that holds the locked rows, if it is not the client's own.
    pub(super) fn run_select(
        &mut self,
        connection: ConnectionId,
        select: &Select,
        work: &Transaction,
        locked_in: &mut Option<DatabaseName>,
    ) -> Result<ReplyItem, Blocked> {
        let client = self.clients.get(&connection);
        let login = client.map(|c| c.login.clone()).unwrap_or_default();
        let database = client.and_then(|c| c.database.clone());
        if let (Some(point), Some(name)) = (point_read(select), &database)
            && let Some(answer) = self.read_point(&point, name, work)?
        {
            return Ok(answer);
        }
        let mut engine = std::mem::take(&mut self.query_engine);
        let seen = Seen {
            instance: self,
            login: &login,
            database: database.as_ref().map(|d| d.as_str()),
            work,
            locked: RefCell::default(),
        };
        let result = engine.run(select, &seen, &Limits::default());
        *locked_in = seen.locked.take();
        self.query_engine = engine;
        if locked_in.is_some() {
            Err(Blocked::Locked)
        } else {
            result.map_err(Blocked::Error)
        }
    }

    /// The answer to a read of one row by its key, if that is what it is.
    fn read_point(
        &self,
        point: &PointRead,
        current: &DatabaseName,
        work: &Transaction,
    ) -> Result<Option<ReplyItem>, Blocked> {
        let other = point
            .database
            .as_deref()
            .is_some_and(|d| !d.eq_ignore_ascii_case(current.as_str()));
        if other {
            return Ok(None);
        }
        let name = self.openable(current.as_str())?;
        let tables = self.tables(&name)?;
        let Ok(declared) = work.declared(tables, &point.table) else {
            return Ok(None);
        };
        let is_key = |column: &String| column.eq_ignore_ascii_case(&declared.key);
        let known = |column: &String| is_key(column) || column.eq_ignore_ascii_case(&declared.value);
        if !is_key(&point.key_column) || !point.columns.iter().all(known) {
            return Ok(None);
        }
        let value = work.read(tables, &point.table, point.key)?;
        let cell = |column: &String, value: i64| Value::Int(if is_key(column) { point.key } else { value });
        let row = |value: i64| point.columns.iter().map(|c| cell(c, value)).collect();
        Ok(Some(ReplyItem::Rows {
            columns: point.columns.clone(),
            rows: value.map(row).into_iter().collect(),
        }))
    }
}

impl Seen<'_> {
    /// Dynamic management views ask for VIEW SERVER STATE; and so does the trace; catalog views show each login
    /// what it may see.
    fn check_view(&self, view: View) -> Result<(), SqlError> {
        let dynamic = view.name().starts_with("dm_") || view == View::FnTraceGettable;
        let what = Permission::ViewServerState;
        match dynamic && !self.instance.catalog.holds_on_server(self.login, what) {
            true => Err(msg::VIEW_DENIED.with(&[&what])),
            false => Ok(()),
        }
    }
}

fn values<Row>(rows: Vec<Row>, into_values: impl FnMut(Row) -> Vec<Value>) -> Vec<Vec<Value>> {
    rows.into_iter().map(into_values).collect()
}

impl SystemViews for Seen<'_> {
    fn rows(&self, view: View) -> Result<Vec<Vec<Value>>, SqlError> {
        let (i, login) = (self.instance, self.login);
        self.check_view(view)?;
        Ok(match view {
            View::Endpoints => values(i.endpoint_rows(login), EndpointRow::into_values),
            View::TcpEndpoints => values(i.tcp_endpoint_rows(login), TcpEndpointRow::into_values),
            View::DatabaseMirroringEndpoints => values(
                i.mirroring_endpoint_rows(login),
                DatabaseMirroringEndpointRow::into_values,
            ),
            View::DatabaseMirroring => values(i.mirroring_rows(login), DatabaseMirroringRow::into_values),
            View::DatabaseMirroringWitnesses => {
                values(i.witness_rows(login), DatabaseMirroringWitnessRow::into_values)
            }
            View::DmDbMirroringConnections => {
                values(i.connection_rows(), DbMirroringConnectionRow::into_values)
            }
            View::Databases => values(i.database_rows(login, self.database), DatabaseRow::into_values),
            View::ServerPermissions => values(i.permission_rows(login), ServerPermissionRow::into_values),
            View::ServerPrincipals => values(i.principal_rows(login), ServerPrincipalRow::into_values),
            View::DatabasePrincipals if self.database == Some(MSDB) => {
                values(i.msdb_user_rows(login), DatabasePrincipalRow::into_values)
            }
            View::DatabasePrincipals => values(i.user_rows(login), DatabasePrincipalRow::into_values),
            View::DatabaseRoleMembers if self.database == Some(MSDB) => {
                values(i.role_member_rows(login), DatabaseRoleMemberRow::into_values)
            }
            View::DatabaseRoleMembers => Vec::new(),
            View::Certificates => values(i.certificate_rows(login), CertificateRow::into_values),
            View::DmTcpListenerStates => values(i.listener_rows(), TcpListenerStateRow::into_values),
            View::FnTraceGettable => values(i.trace.rows().cloned().collect(), TraceRow::into_values),
            View::DmOsPerformanceCounters => values(i.counter_rows(), PerformanceCounterRow::into_values),
            View::DmDbMirroringAutoPageRepair => values(i.page_repair_rows(), AutoPageRepairRow::into_values),
            View::SuspectPages => values(i.suspect_page_rows(), SuspectPageRow::into_values),
        })
    }

    fn table(&self, database: Option<&str>, name: &str) -> Result<Option<Table>, SqlError> {
        let Some(database) = database.or(self.database) else {
            return Ok(None);
        };
        if database.eq_ignore_ascii_case("master") {
            return Ok(None);
        }
        if database.eq_ignore_ascii_case(MSDB) {
            return match name.eq_ignore_ascii_case(STATUS_TABLE) {
                true => self.instance.monitor_status_table(self.login).map(Some),
                false => Ok(None),
            };
        }
        let own = self.database.is_some_and(|d| d.eq_ignore_ascii_case(database));
        if self.instance.catalog.database(database).is_some() {
            self.instance.check_database_access(self.login, database)?;
        }
        let database = self.instance.openable(database)?;
        let tables = self.instance.tables(&database)?;
        let none = Transaction::default();
        let work = if own { self.work } else { &none };
        let Ok(declared) = work.declared(tables, name) else {
            return Ok(None);
        };
        let columns = vec![declared.key.clone(), declared.value.clone()];
        let mut rows = Vec::new();
        let keys = match work.keys(tables, name) {
            Ok(keys) => keys,
            Err(Blocked::Locked) => {
                self.locked.replace(Some(database.clone()));
                Vec::new()
            }
            Err(Blocked::Error(error)) => return Err(error),
        };
        for key in keys {
            if let Ok(Some(value)) = work.read(tables, name, key) {
                rows.push(vec![Value::Int(key), Value::Int(value)]);
            }
        }
        Ok(Some(Table { columns, rows }))
    }

    fn server_name(&self) -> &str {
        &self.instance.config.server_name
    }

    fn login_name(&self) -> &str {
        self.login
    }

    fn edition(&self) -> String {
        self.instance.config.options.edition.to_string()
    }

    fn product_version(&self) -> &'static str {
        self.instance.config.options.product_version()
    }

    fn current_database(&self) -> &str {
        self.database.unwrap_or("master")
    }

    fn wall_time(&self) -> WallTime {
        self.instance.now.wall
    }
}

impl Instance {
    /// `master`, the databases `login` may know of, and the one it uses.
    fn database_rows(&self, login: &str, current: Option<&str>) -> Vec<DatabaseRow> {
        let all = self.sees_every_database(login);
        let is_current = |name: &str| current.is_some_and(|c| c.eq_ignore_ascii_case(name));
        let master = DatabaseRow {
            name: "master".to_owned(),
            database_id: 1,
            owner_sid: Some("0x01".to_owned()),
            create_date: WallTime::from_unix_secs(1_050_020_610),
            state: DatabaseState::Online,
            recovery_model: RecoveryModelShown::Simple,
            is_master_key_encrypted_by_server: self.catalog.master_key_opens_by_itself(),
            service_broker_guid: crate::types::Guid::NIL,
            log_reuse_wait: LogReuseWait::Nothing,
        };
        let row = |e: &super::catalog::DatabaseEntry| DatabaseRow {
            name: e.name.as_str().to_owned(),
            database_id: i64::from(e.id),
            owner_sid: Some("0x01".to_owned()),
            create_date: e.created,
            state: self.database_state(e),
            recovery_model: match e.recovery {
                RecoveryModel::Full => RecoveryModelShown::Full,
                RecoveryModel::BulkLogged => RecoveryModelShown::BulkLogged,
                RecoveryModel::Simple => RecoveryModelShown::Simple,
            },
            is_master_key_encrypted_by_server: false,
            service_broker_guid: e.family,
            log_reuse_wait: self.log_reuse_wait(e.name.as_str()),
        };
        let mut rows: Vec<DatabaseRow> = [master]
            .into_iter()
            .chain(
                self.catalog
                    .databases()
                    .filter(|e| all || is_current(e.name.as_str()))
                    .map(row),
            )
            .collect();
        rows.sort_by_key(|r| r.database_id);
        rows
    }

    /// A mirror copy is RESTORING; a principal that may not serve is RECOVERY_PENDING (S5, ours).
    fn database_state(&self, entry: &super::catalog::DatabaseEntry) -> DatabaseState {
        let Some(database) = self.database(entry.name.as_str()) else {
            return DatabaseState::RecoveryPending;
        };
        match &database.session {
            _ if database.down == Some(Down::RecoveryPending) => DatabaseState::RecoveryPending,
            _ if database.down.is_some() => DatabaseState::Suspect,
            Some(session) if session.role() == PartnerRole::Mirror => DatabaseState::Restoring,
            Some(session) if !session.is_serving() => DatabaseState::RecoveryPending,
            None if entry.restoring => DatabaseState::Restoring,
            _ => DatabaseState::Online,
        }
    }
}
