//! `sys.database_mirroring` and `sys.database_mirroring_witnesses`.
//!
//! Source: documented, the pages of these names. The numbers 5 and 6 mean opposite things on the two pages; each page is
//! followed for its own view, and only 0 to 4 are ever shown by the first.

use super::column::{Coded, view_row};
use crate::types::{Guid, Lsn, WallTime};

view_row! {
    /// One database. Everything but `database_id` is `None` where the database is not mirrored or not visible.
    DatabaseMirroringRow {
        database_id: i64 => database_id: Int;
        mirroring_guid: Option<Guid> => mirroring_guid: UniqueIdentifier;
        mirroring_state: Option<Coded> => mirroring_state: TinyInt, mirroring_state_desc: NVarChar(60);
        mirroring_role: Option<Coded> => mirroring_role: TinyInt, mirroring_role_desc: NVarChar(60);
        mirroring_role_sequence: Option<u32> => mirroring_role_sequence: Int;
        mirroring_safety_level: Option<Coded> =>
            mirroring_safety_level: TinyInt, mirroring_safety_level_desc: NVarChar(60);
        mirroring_safety_sequence: Option<u32> => mirroring_safety_sequence: Int;
        mirroring_partner_name: Option<String> => mirroring_partner_name: NVarChar(128);
        mirroring_partner_instance: Option<String> => mirroring_partner_instance: NVarChar(128);
        mirroring_witness_name: Option<String> => mirroring_witness_name: NVarChar(128);
        mirroring_witness_state: Option<Coded> =>
            mirroring_witness_state: TinyInt, mirroring_witness_state_desc: NVarChar(60);
        mirroring_failover_lsn: Option<Lsn> => mirroring_failover_lsn: Numeric25;
        /// Seconds.
        mirroring_connection_timeout: Option<u32> => mirroring_connection_timeout: Int;
        /// Megabytes; `None` when unlimited.
        mirroring_redo_queue: Option<u32> => mirroring_redo_queue: Int;
        mirroring_redo_queue_type: Option<&'static str> => mirroring_redo_queue_type: NVarChar(60);
        mirroring_end_of_log_lsn: Option<Lsn> => mirroring_end_of_log_lsn: Numeric25;
        mirroring_replication_lsn: Option<Lsn> => mirroring_replication_lsn: Numeric25;
    }
}

impl DatabaseMirroringRow {
    /// The row of a database that is not mirrored.
    pub const fn not_mirrored(database_id: i64) -> Self {
        DatabaseMirroringRow {
            database_id,
            mirroring_guid: None,
            mirroring_state: None,
            mirroring_role: None,
            mirroring_role_sequence: None,
            mirroring_safety_level: None,
            mirroring_safety_sequence: None,
            mirroring_partner_name: None,
            mirroring_partner_instance: None,
            mirroring_witness_name: None,
            mirroring_witness_state: None,
            mirroring_failover_lsn: None,
            mirroring_connection_timeout: None,
            mirroring_redo_queue: None,
            mirroring_redo_queue_type: None,
            mirroring_end_of_log_lsn: None,
            mirroring_replication_lsn: None,
        }
    }
}

view_row! {
    /// One session in which this instance is the witness.
    DatabaseMirroringWitnessRow {
        database_name: String => database_name: SysName;
        principal_server_name: String => principal_server_name: SysName;
        mirror_server_name: String => mirror_server_name: SysName;
        safety_level: Coded => safety_level: TinyInt, safety_level_desc: NVarChar(60);
        safety_sequence_number: u32 => safety_sequence_number: Int;
        role_sequence_number: u32 => role_sequence_number: Int;
        mirroring_guid: Guid => mirroring_guid: UniqueIdentifier;
        family_guid: Guid => family_guid: UniqueIdentifier;
        is_suspended: bool => is_suspended: Bit;
        is_suspended_sequence_number: u32 => is_suspended_sequence_number: Int;
        partner_sync_state: Coded => partner_sync_state: TinyInt, partner_sync_state_desc: NVarChar(60);
    }
}

/// `partner_sync_state` of a session whose partners are synchronized, and of one whose are not.
pub const WITNESS_SYNCHRONIZED: Coded = Coded::new(5, "SYNCHRONIZED");
pub const WITNESS_UNSYNCHRONIZED: Coded = Coded::new(6, "UNSYNCHRONIZED");

view_row! {
    /// One connection made for mirroring. Every duration and counter is this side's own.
    DbMirroringConnectionRow {
        connection_id: Guid => connection_id: UniqueIdentifier;
        transport_stream_id: Guid => transport_stream_id: UniqueIdentifier;
        state: Coded => state: SmallInt, state_desc: NVarChar(60);
        connect_time: Option<WallTime> => connect_time: DateTime;
        login_time: Option<WallTime> => login_time: DateTime;
        authentication_method: Option<String> => authentication_method: NVarChar(128);
        principal_name: Option<String> => principal_name: NVarChar(128);
        remote_user_name: Option<String> => remote_user_name: NVarChar(128);
        last_activity_time: Option<WallTime> => last_activity_time: DateTime;
        is_accept: bool => is_accept: Bit;
        login_state: Coded => login_state: SmallInt, login_state_desc: NVarChar(60);
        peer_certificate_id: Option<i64> => peer_certificate_id: Int;
        encryption_algorithm: Option<Coded> =>
            encryption_algorithm: SmallInt, encryption_algorithm_desc: NVarChar(60);
        receives_posted: i64 => receives_posted: SmallInt;
        is_receive_flow_controlled: bool => is_receive_flow_controlled: Bit;
        sends_posted: i64 => sends_posted: SmallInt;
        is_send_flow_controlled: bool => is_send_flow_controlled: Bit;
        total_bytes_sent: u64 => total_bytes_sent: BigInt;
        total_bytes_received: u64 => total_bytes_received: BigInt;
        total_fragments_sent: u64 => total_fragments_sent: BigInt;
        total_fragments_received: u64 => total_fragments_received: BigInt;
        total_sends: u64 => total_sends: BigInt;
        total_receives: u64 => total_receives: BigInt;
        peer_arbitration_id: Option<Guid> => peer_arbitration_id: UniqueIdentifier;
    }
}
