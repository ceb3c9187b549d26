//! `SELECT`: the instance as the query engine sees it, and every view's rows from the instance's state.
//!
//! Pure functions from `&Instance` to rows; a view changes nothing and sees what is true at this instant.

use std::cell::RefCell;

use super::Instance;
use super::catalog::{EndpointPermission, LoginKind, PermissionState, PrivateKey, RecoveryModel};
use super::database::Database;
use super::database::tables::{Blocked, Transaction};
use super::views::{
    CLASS_ENDPOINT, COUNTER_LEVEL, CertificateRow, Coded, DatabaseMirroringEndpointRow, DatabaseMirroringRow,
    DatabaseMirroringWitnessRow, DatabasePrincipalRow, DatabaseRow, DatabaseState, DbMirroringConnectionRow,
    EndpointRow, LISTENER_DATABASE_MIRRORING, LISTENER_ONLINE, LISTENER_TSQL, Limits, LogReuseWait,
    OBJECT_DATABASE_MIRRORING, PROTOCOL_TCP, PerformanceCounterRow, PointRead, RecoveryModelShown,
    ServerPermissionRow, ServerPrincipalRow, SystemViews, TYPE_DATABASE_MIRRORING, Table, TcpEndpointRow,
    TcpListenerStateRow, TraceRow, View, WITNESS_SYNCHRONIZED, WITNESS_UNSYNCHRONIZED, point_read,
};
use crate::crypto::certificate;
use crate::error::SqlError;
use crate::session::Partner;
use crate::tsql::ast::Select;
use crate::types::{ConnectionId, DatabaseName, PartnerRole, ReplyItem, Value, WallTime};

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

impl SystemViews for Seen<'_> {
    fn rows(&self, view: View) -> Vec<Vec<Value>> {
        let i = self.instance;
        match view {
            View::Endpoints => i
                .endpoint_rows()
                .into_iter()
                .map(EndpointRow::into_values)
                .collect(),
            View::TcpEndpoints => i
                .tcp_endpoint_rows()
                .into_iter()
                .map(TcpEndpointRow::into_values)
                .collect(),
            View::DatabaseMirroringEndpoints => i
                .mirroring_endpoint_rows()
                .into_iter()
                .map(DatabaseMirroringEndpointRow::into_values)
                .collect(),
            View::DatabaseMirroring => i
                .mirroring_rows()
                .into_iter()
                .map(DatabaseMirroringRow::into_values)
                .collect(),
            View::DatabaseMirroringWitnesses => i
                .witness_rows()
                .into_iter()
                .map(DatabaseMirroringWitnessRow::into_values)
                .collect(),
            View::DmDbMirroringConnections => i
                .connection_rows()
                .into_iter()
                .map(DbMirroringConnectionRow::into_values)
                .collect(),
            View::Databases => i
                .database_rows()
                .into_iter()
                .map(DatabaseRow::into_values)
                .collect(),
            View::ServerPermissions => i
                .permission_rows()
                .into_iter()
                .map(ServerPermissionRow::into_values)
                .collect(),
            View::ServerPrincipals => i
                .principal_rows()
                .into_iter()
                .map(ServerPrincipalRow::into_values)
                .collect(),
            View::DatabasePrincipals => i
                .user_rows()
                .into_iter()
                .map(DatabasePrincipalRow::into_values)
                .collect(),
            View::Certificates => i
                .certificate_rows()
                .into_iter()
                .map(CertificateRow::into_values)
                .collect(),
            View::DmTcpListenerStates => i
                .listener_rows()
                .into_iter()
                .map(TcpListenerStateRow::into_values)
                .collect(),
            View::FnTraceGettable => i.trace.rows().cloned().map(TraceRow::into_values).collect(),
            View::DmOsPerformanceCounters => i
                .counter_rows()
                .into_iter()
                .map(PerformanceCounterRow::into_values)
                .collect(),
        }
    }

    fn table(&self, database: Option<&str>, name: &str) -> Result<Option<Table>, SqlError> {
        let Some(database) = database.or(self.database) else {
            return Ok(None);
        };
        if database.eq_ignore_ascii_case("master") {
            return Ok(None);
        }
        let own = self.database.is_some_and(|d| d.eq_ignore_ascii_case(database));
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

    fn current_database(&self) -> &str {
        self.database.unwrap_or("master")
    }

    fn wall_time(&self) -> WallTime {
        self.instance.now.wall
    }
}

impl Instance {
    fn principal_id(&self, login: &str) -> Option<i64> {
        self.catalog.login(login).map(|l| i64::from(l.id))
    }

    fn endpoint_rows(&self) -> Vec<EndpointRow> {
        let row = |e: &super::catalog::Endpoint| EndpointRow {
            name: e.config.name.clone(),
            endpoint_id: i64::from(e.id),
            principal_id: self.principal_id(&e.owner),
            protocol: PROTOCOL_TCP,
            kind: TYPE_DATABASE_MIRRORING,
            state: Coded::new(e.config.state.code(), e.config.state.desc()),
            is_admin_endpoint: false,
        };
        self.catalog.endpoint().map(row).into_iter().collect()
    }

    fn tcp_endpoint_rows(&self) -> Vec<TcpEndpointRow> {
        let row = |e: &super::catalog::Endpoint| TcpEndpointRow {
            name: e.config.name.clone(),
            endpoint_id: i64::from(e.id),
            principal_id: self.principal_id(&e.owner),
            protocol: PROTOCOL_TCP,
            kind: TYPE_DATABASE_MIRRORING,
            state: Coded::new(e.config.state.code(), e.config.state.desc()),
            is_admin_endpoint: false,
            port: e.config.port.number(),
            is_dynamic_port: false,
            ip_address: e.config.ip.address().map(|a| a.to_string()),
        };
        self.catalog.endpoint().map(row).into_iter().collect()
    }

    fn mirroring_endpoint_rows(&self) -> Vec<DatabaseMirroringEndpointRow> {
        let row = |e: &super::catalog::Endpoint| {
            let config = &e.config;
            let certificate = config
                .authentication
                .certificate()
                .and_then(|c| self.catalog.certificate(c));
            DatabaseMirroringEndpointRow {
                name: config.name.clone(),
                endpoint_id: i64::from(e.id),
                principal_id: self.principal_id(&e.owner),
                protocol: PROTOCOL_TCP,
                kind: TYPE_DATABASE_MIRRORING,
                state: Coded::new(config.state.code(), config.state.desc()),
                is_admin_endpoint: false,
                role: Coded::new(config.role.code(), config.role.desc()),
                is_encryption_enabled: config.encryption.is_enabled(),
                connection_auth: Coded::new(config.authentication.code(), config.authentication.desc()),
                certificate_id: certificate.map_or(0, |c| i64::from(c.id)),
                encryption_algorithm: Coded::new(config.encryption.code(), config.encryption.desc()),
            }
        };
        self.catalog.endpoint().map(row).into_iter().collect()
    }

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

    fn permission_rows(&self) -> Vec<ServerPermissionRow> {
        let Some(endpoint) = self.catalog.endpoint() else {
            return Vec::new();
        };
        let row = |p: &super::catalog::Permission| {
            let (kind, permission_name) = match p.what {
                EndpointPermission::Alter => ("AL  ", "ALTER"),
                EndpointPermission::Connect => ("CO  ", "CONNECT"),
                EndpointPermission::Control => ("CL  ", "CONTROL"),
                EndpointPermission::TakeOwnership => ("TO  ", "TAKE OWNERSHIP"),
                EndpointPermission::ViewDefinition => ("VW  ", "VIEW DEFINITION"),
            };
            let (state, state_desc) = match p.state {
                PermissionState::Grant => ("G", "GRANT"),
                PermissionState::GrantWithGrantOption => ("W", "GRANT_WITH_GRANT_OPTION"),
                PermissionState::Deny => ("D", "DENY"),
            };
            ServerPermissionRow {
                class: CLASS_ENDPOINT,
                major_id: i64::from(endpoint.id),
                minor_id: 0,
                grantee_principal_id: self.principal_id(&p.grantee).unwrap_or_default(),
                grantor_principal_id: self.principal_id(&p.grantor).unwrap_or_default(),
                kind,
                permission_name,
                state,
                state_desc,
            }
        };
        endpoint.permissions.iter().map(row).collect()
    }

    fn principal_rows(&self) -> Vec<ServerPrincipalRow> {
        let row = |l: &super::catalog::Login| {
            let (kind, type_desc) = match l.kind {
                LoginKind::Sql => ("S", "SQL_LOGIN"),
                LoginKind::Windows => ("U", "WINDOWS_LOGIN"),
                LoginKind::Certificate => ("C", "CERTIFICATE_MAPPED_LOGIN"),
            };
            ServerPrincipalRow {
                name: l.name.clone(),
                principal_id: i64::from(l.id),
                sid: format!("0x{:08X}", l.id),
                kind,
                type_desc,
                is_disabled: l.disabled,
                create_date: l.created,
                modify_date: l.created,
                default_database_name: Some("master".to_owned()),
                default_language_name: Some("us_english".to_owned()),
                credential_id: None,
                owning_principal_id: None,
                is_fixed_role: false,
            }
        };
        let mut rows: Vec<ServerPrincipalRow> = self.catalog.logins().map(row).collect();
        rows.sort_by_key(|r| r.principal_id);
        rows
    }

    fn user_rows(&self) -> Vec<DatabasePrincipalRow> {
        let user = |name: &str, id: i64, login: Option<&str>| {
            let created = login
                .and_then(|l| self.catalog.login(l))
                .map(|l| l.created)
                .unwrap_or_default();
            DatabasePrincipalRow {
                name: name.to_owned(),
                principal_id: id,
                kind: "S",
                type_desc: "SQL_USER",
                default_schema_name: Some("dbo".to_owned()),
                create_date: created,
                modify_date: created,
                owning_principal_id: None,
                sid: login
                    .and_then(|l| self.principal_id(l))
                    .map(|id| format!("0x{id:08X}")),
                is_fixed_role: false,
                authentication_type: Coded::new(1, "INSTANCE"),
                default_language_name: None,
                default_language_lcid: None,
                allow_encrypted_value_modifications: false,
            }
        };
        let users = self
            .catalog
            .users()
            .map(|u| user(&u.name, i64::from(u.id), Some(&u.login)));
        let mut rows: Vec<DatabasePrincipalRow> =
            [user("dbo", 1, Some("sa"))].into_iter().chain(users).collect();
        rows.sort_by_key(|r| r.principal_id);
        rows
    }

    fn certificate_rows(&self) -> Vec<CertificateRow> {
        let row = |c: &super::catalog::Certificate| {
            let facts = certificate::parse(&c.der).ok()?;
            let (kind, desc) = match c.private_key {
                Some(PrivateKey::MasterKey(_)) => ("MK", "ENCRYPTED_BY_MASTER_KEY"),
                Some(PrivateKey::Password(_)) => ("PW", "ENCRYPTED_BY_PASSWORD"),
                None => ("NA", "NO_PRIVATE_KEY"),
            };
            Some(CertificateRow {
                name: c.name.clone(),
                certificate_id: i64::from(c.id),
                principal_id: self.catalog.user(&c.owner).map(|u| i64::from(u.id)).or(Some(1)),
                pvt_key_encryption_type: kind,
                pvt_key_encryption_type_desc: desc,
                is_active_for_begin_dialog: c.active_for_begin_dialog,
                issuer_name: facts.issuer.clone(),
                cert_serial_number: hex(&facts.serial[..facts.serial.len().min(16)]),
                sid: None,
                string_sid: None,
                subject: facts.subject.clone(),
                expiry_date: facts.not_after,
                start_date: facts.not_before,
                thumbprint: format!("0x{}", hex(&facts.thumbprint).to_uppercase()),
                attested_by: None,
                pvt_key_last_backup_date: None,
            })
        };
        let mut rows: Vec<CertificateRow> = self.catalog.certificates().filter_map(row).collect();
        rows.sort_by_key(|r| r.certificate_id);
        rows
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

    fn listener_rows(&self) -> Vec<TcpListenerStateRow> {
        let row = |id, address: String, port, kind, since| TcpListenerStateRow {
            listener_id: id,
            is_ipv4: !address.contains(':'),
            ip_address: address,
            port,
            kind,
            state: LISTENER_ONLINE,
            start_time: since,
        };
        let clients = self.client_listener_since.map(|since| {
            row(
                1,
                "0.0.0.0".to_owned(),
                self.config.client_port,
                LISTENER_TSQL,
                since,
            )
        });
        let endpoint = self
            .endpoint
            .listening_since
            .zip(self.catalog.endpoint())
            .map(|(since, e)| {
                let address = e
                    .config
                    .ip
                    .address()
                    .map_or("0.0.0.0".to_owned(), |a| a.to_string());
                row(
                    2,
                    address,
                    e.config.port.number(),
                    LISTENER_DATABASE_MIRRORING,
                    since,
                )
            });
        clients.into_iter().chain(endpoint).collect()
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
