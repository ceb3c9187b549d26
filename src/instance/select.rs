//! `SELECT`: the instance as the query engine sees it, and every view's rows from the instance's state.
//!
//! Pure functions from `&Instance` to rows; a view changes nothing and sees what is true at this instant.

mod endpoints;
mod principals;

use std::cell::RefCell;

use super::Instance;
use super::catalog::RecoveryModel;
use super::database::Database;
use super::database::tables::{Blocked, Transaction};
use super::views::{
    COUNTER_LEVEL, CertificateRow, Coded, DatabaseMirroringEndpointRow, DatabaseMirroringRow,
    DatabaseMirroringWitnessRow, DatabasePrincipalRow, DatabaseRow, DatabaseState, DbMirroringConnectionRow,
    EndpointRow, Limits, LogReuseWait, OBJECT_DATABASE_MIRRORING, PerformanceCounterRow, PointRead,
    RecoveryModelShown, ServerPermissionRow, ServerPrincipalRow, SystemViews, Table, TcpEndpointRow,
    TcpListenerStateRow, TraceRow, View, WITNESS_SYNCHRONIZED, WITNESS_UNSYNCHRONIZED, point_read,
};
use crate::error::{SqlError, msg};
use crate::session::Partner;
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
            View::DatabaseMirroring => values(i.mirroring_rows(), DatabaseMirroringRow::into_values),
            View::DatabaseMirroringWitnesses => {
                values(i.witness_rows(), DatabaseMirroringWitnessRow::into_values)
            }
            View::DmDbMirroringConnections => {
                values(i.connection_rows(), DbMirroringConnectionRow::into_values)
            }
            View::Databases => values(i.database_rows(), DatabaseRow::into_values),
            View::ServerPermissions => values(i.permission_rows(login), ServerPermissionRow::into_values),
            View::ServerPrincipals => values(i.principal_rows(login), ServerPrincipalRow::into_values),
            View::DatabasePrincipals => values(i.user_rows(login), DatabasePrincipalRow::into_values),
            View::Certificates => values(i.certificate_rows(login), CertificateRow::into_values),
            View::DmTcpListenerStates => values(i.listener_rows(), TcpListenerStateRow::into_values),
            View::FnTraceGettable => values(i.trace.rows().cloned().collect(), TraceRow::into_values),
            View::DmOsPerformanceCounters => values(i.counter_rows(), PerformanceCounterRow::into_values),
        })
    }

    fn table(&self, database: Option<&str>, name: &str) -> Result<Option<Table>, SqlError> {
        let Some(database) = database.or(self.database) else {
            return Ok(None);
        };
        if database.eq_ignore_ascii_case("master") {
            return Ok(None);
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
    fn mirroring_rows(&self) -> Vec<DatabaseMirroringRow> {
        let mut rows = vec![DatabaseMirroringRow::not_mirrored(1)];
        for entry in self.catalog.databases() {
            let id = i64::from(entry.id);
            let database = self.database(entry.name.as_str());
            let session = database.and_then(|d| d.session.as_ref().map(|s| (d, s)));
            rows.push(session.map_or(DatabaseMirroringRow::not_mirrored(id), |(d, s)| {
                mirroring_row(id, d, s)
            }));
        }
        rows.sort_by_key(|r| r.database_id);
        rows
    }

    fn witness_rows(&self) -> Vec<DatabaseMirroringWitnessRow> {
        let row = |record: &crate::session::WitnessRecord| {
            let sync = if record.synchronized {
                WITNESS_SYNCHRONIZED
            } else {
                WITNESS_UNSYNCHRONIZED
            };
            DatabaseMirroringWitnessRow {
                database_name: record.database.as_str().to_owned(),
                principal_server_name: record.owner.clone(),
                mirror_server_name: record.mirror.clone(),
                safety_level: record.safety.into(),
                safety_sequence_number: record.safety_sequence,
                role_sequence_number: record.role_sequence,
                mirroring_guid: record.session,
                family_guid: record.family,
                is_suspended: record.suspended,
                is_suspended_sequence_number: record.suspend_sequence,
                partner_sync_state: sync,
            }
        };
        self.witnesses
            .values()
            .filter_map(crate::session::Witness::record)
            .map(row)
            .collect()
    }

    fn connection_rows(&self) -> Vec<DbMirroringConnectionRow> {
        let row = |o: &super::endpoint::Online| {
            let r = o.connection.row();
            DbMirroringConnectionRow {
                connection_id: r.connection_id,
                transport_stream_id: r.transport_stream_id,
                state: Coded::new(r.state, r.state_desc),
                connect_time: r.connect_time,
                login_time: r.login_time,
                authentication_method: r.authentication_method.map(str::to_owned),
                principal_name: r.principal_name,
                remote_user_name: r.remote_user_name,
                last_activity_time: r.last_activity_time,
                is_accept: r.is_accept,
                login_state: Coded::new(r.login_state, r.login_state_desc),
                peer_certificate_id: r.peer_certificate_id,
                encryption_algorithm: Some(Coded::new(r.encryption_algorithm, r.encryption_algorithm_desc)),
                receives_posted: r.receives_posted,
                is_receive_flow_controlled: r.is_receive_flow_controlled,
                sends_posted: r.sends_posted,
                is_send_flow_controlled: r.is_send_flow_controlled,
                total_bytes_sent: r.total_bytes_sent,
                total_bytes_received: r.total_bytes_received,
                total_fragments_sent: r.total_fragments_sent,
                total_fragments_received: r.total_fragments_received,
                total_sends: r.total_sends,
                total_receives: r.total_receives,
                peer_arbitration_id: r.peer_arbitration_id,
            }
        };
        self.endpoint.connections.values().map(row).collect()
    }

    fn database_rows(&self) -> Vec<DatabaseRow> {
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
            .chain(self.catalog.databases().map(row))
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
            _ if database.suspect.is_some() => DatabaseState::Suspect,
            Some(session) if session.role() == PartnerRole::Mirror => DatabaseState::Restoring,
            Some(session) if !session.is_serving() => DatabaseState::RecoveryPending,
            None if entry.restoring => DatabaseState::Restoring,
            _ => DatabaseState::Online,
        }
    }

    /// The queues of the mirrored databases, in order of name.
    fn counter_rows(&self) -> Vec<PerformanceCounterRow> {
        let mirrored = self
            .databases
            .values()
            .filter_map(|d| Some((d, d.session.as_ref()?)));
        mirrored
            .flat_map(|(database, session)| {
                let (send, redo) = session.queues(&database.log);
                let row = |counter_name, bytes: u64| PerformanceCounterRow {
                    object_name: OBJECT_DATABASE_MIRRORING,
                    counter_name,
                    instance_name: database.name.as_str().to_owned(),
                    cntr_value: bytes.div_ceil(1024),
                    cntr_type: COUNTER_LEVEL,
                };
                [row("Log Send Queue KB", send), row("Redo Queue KB", redo)]
            })
            .collect()
    }
}

fn mirroring_row(id: i64, database: &Database, session: &Partner) -> DatabaseMirroringRow {
    let record = session.record();
    let started = session.has_started();
    DatabaseMirroringRow {
        database_id: id,
        mirroring_guid: started.then_some(record.session),
        mirroring_state: session.state().map(Into::into),
        mirroring_role: Some(session.role().into()),
        mirroring_role_sequence: Some(record.role_sequence),
        mirroring_safety_level: Some(record.safety.into()),
        mirroring_safety_sequence: Some(record.safety_sequence),
        mirroring_partner_name: Some(record.partner.to_string()),
        mirroring_partner_instance: Some(record.partner_name.clone()).filter(|n| !n.is_empty()),
        mirroring_witness_name: record.witness.as_ref().map(ToString::to_string),
        mirroring_witness_state: session.witness_state().map(Into::into),
        mirroring_failover_lsn: Some(session.failover_lsn()),
        mirroring_connection_timeout: Some(u32::from(record.timeout_in_force())),
        mirroring_redo_queue: None,
        mirroring_redo_queue_type: Some("UNLIMITED"),
        mirroring_end_of_log_lsn: Some(database.log.hardened()),
        mirroring_replication_lsn: None,
    }
}
