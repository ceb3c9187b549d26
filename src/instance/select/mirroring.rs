//! Rows about sessions: this instance's databases, the sessions it is the witness of, and its connections to peers.
//!
//! Who may see a database's row, and what of a mirror copy, follows the page of each view. Source: documented,
//! *sys.database_mirroring*, *sys.database_mirroring_witnesses*, *sys.dm_db_mirroring_connections*.

use crate::instance::Instance;
use crate::instance::database::Database;
use crate::instance::endpoint::Online;
use crate::instance::views::{
    Coded, DatabaseMirroringRow, DatabaseMirroringWitnessRow, DbMirroringConnectionRow, WITNESS_SYNCHRONIZED,
    WITNESS_UNSYNCHRONIZED,
};
use crate::session::{Partner, Witness, WitnessRecord};
use crate::types::{ConnectionId, PartnerRole, Permission};

impl Instance {
    /// Whether `login` may see the rows of databases it does not own; `sa` owns them all. CREATE DATABASE in `master` is
    /// CREATE ANY DATABASE here. Source: documented, *sys.database_mirroring* and *sys.databases*.
    pub(super) fn sees_every_database(&self, login: &str) -> bool {
        [
            Permission::ViewAnyDatabase,
            Permission::AlterAnyDatabase,
            Permission::CreateAnyDatabase,
        ]
        .into_iter()
        .any(|what| self.catalog.holds_on_server(login, what))
    }

    /// One row for each database `login` may see; of a mirror copy only a sysadmin sees more than the id.
    pub(super) fn mirroring_rows(&self, login: &str) -> Vec<DatabaseMirroringRow> {
        let mut rows = vec![DatabaseMirroringRow::not_mirrored(1)];
        if !self.sees_every_database(login) {
            return rows;
        }
        let sees_copies = self.catalog.is_sysadmin(login);
        for entry in self.catalog.databases() {
            let id = i64::from(entry.id);
            let database = self.database(entry.name.as_str());
            let session = database.and_then(|d| d.session.as_ref().map(|s| (d, s)));
            let shown = session.filter(|(_, s)| sees_copies || s.role() == PartnerRole::Principal);
            rows.push(shown.map_or(DatabaseMirroringRow::not_mirrored(id), |(d, s)| {
                mirroring_row(id, d, s)
            }));
        }
        rows.sort_by_key(|r| r.database_id);
        rows
    }

    /// The sessions this instance is the witness of, for who may see any definition: they are nobody's securable.
    pub(super) fn witness_rows(&self, login: &str) -> Vec<DatabaseMirroringWitnessRow> {
        let visible = self.sees_every_definition(login);
        self.witnesses
            .values()
            .filter(|_| visible)
            .filter_map(Witness::record)
            .map(witness_row)
            .collect()
    }

    pub(super) fn connection_rows(&self) -> Vec<DbMirroringConnectionRow> {
        self.endpoint
            .connections
            .iter()
            .map(|(id, online)| self.connection_row(*id, online))
            .collect()
    }

    fn connection_row(&self, id: ConnectionId, online: &Online) -> DbMirroringConnectionRow {
        let r = online.connection.row();
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
            is_receive_flow_controlled: self.keeps_received(id),
            sends_posted: r.sends_posted,
            is_send_flow_controlled: self.holds_log_back(id),
            total_bytes_sent: r.total_bytes_sent,
            total_bytes_received: r.total_bytes_received,
            total_fragments_sent: r.total_fragments_sent,
            total_fragments_received: r.total_fragments_received,
            total_sends: r.total_sends,
            total_receives: r.total_receives,
            peer_arbitration_id: r.peer_arbitration_id,
        }
    }

    /// Whether a session whose log goes over this connection has hardened log that must wait for the mirror's answers.
    fn holds_log_back(&self, id: ConnectionId) -> bool {
        self.databases.values().any(|d| {
            let sends = d.links.partner.is_some_and(|(outbound, _)| outbound == id);
            sends && d.session.as_ref().is_some_and(|s| s.waits_for_window(&d.log))
        })
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
        mirroring_redo_queue: record.redo_queue_mb,
        mirroring_redo_queue_type: Some(record.redo_queue_mb.map_or("UNLIMITED", |_| "MB")),
        mirroring_end_of_log_lsn: Some(database.log.hardened()),
        // Nothing is replicated (X10).
        mirroring_replication_lsn: None,
    }
}

fn witness_row(record: &WitnessRecord) -> DatabaseMirroringWitnessRow {
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
        partner_sync_state: match record.synchronized {
            true => WITNESS_SYNCHRONIZED,
            false => WITNESS_UNSYNCHRONIZED,
        },
    }
}
