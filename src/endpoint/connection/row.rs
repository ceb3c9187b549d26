//! What a connection shows of itself in `sys.dm_db_mirroring_connections`. Source: documented.

use super::{Connection, Phase, Side};
use crate::endpoint::config::Method;
use crate::endpoint::login::Proved;
use crate::types::{EncryptionInUse, Guid, WallTime};

/// One row of `sys.dm_db_mirroring_connections`; columns by their documented names. What is flow-controlled knows the
/// owner, who holds messages back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionRow {
    pub connection_id: Guid,
    pub transport_stream_id: Guid,
    pub state: i64,
    pub state_desc: &'static str,
    pub connect_time: Option<WallTime>,
    pub login_time: Option<WallTime>,
    pub authentication_method: Option<&'static str>,
    pub principal_name: Option<String>,
    pub remote_user_name: Option<String>,
    pub last_activity_time: Option<WallTime>,
    pub is_accept: bool,
    pub login_state: i64,
    pub login_state_desc: &'static str,
    pub peer_certificate_id: Option<i64>,
    pub encryption_algorithm: i64,
    pub encryption_algorithm_desc: &'static str,
    /// The driver always has one receive posted on an open stream.
    pub receives_posted: i64,
    /// A send is complete when it is handed to the driver.
    pub sends_posted: i64,
    pub total_bytes_sent: u64,
    pub total_bytes_received: u64,
    pub total_fragments_sent: u64,
    pub total_fragments_received: u64,
    pub total_sends: u64,
    pub total_receives: u64,
    pub peer_arbitration_id: Option<Guid>,
}

/// What the row shows beyond the phase.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) connection_id: Guid,
    pub(super) transport_stream_id: Guid,
    pub(super) connect_time: Option<WallTime>,
    pub(super) login_time: Option<WallTime>,
    pub(super) last_activity_time: Option<WallTime>,
    pub(super) proved: Option<Proved>,
    pub(super) peer_arbitration_id: Option<Guid>,
    pub(super) remote_methods: Option<String>,
    pub(super) method: Option<Method>,
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
    pub(super) frames_sent: u64,
    pub(super) frames_received: u64,
    pub(super) sends: u64,
    pub(super) receives: u64,
}

impl Connection {
    /// This connection as `sys.dm_db_mirroring_connections` shows it.
    pub fn row(&self) -> ConnectionRow {
        let (state, state_desc) = match (&self.phase, self.side) {
            (Phase::Connecting(_), Side::Initiator) => (2, "CONNECTING"),
            (Phase::Connecting(_), Side::Acceptor) => (1, "NEW"),
            (Phase::Login(_), _) => (3, "CONNECTED"),
            (Phase::Online(_), _) => (4, "LOGGED_IN"),
            (Phase::Over, _) => (5, "CLOSED"),
        };
        let facts = &self.facts;
        let principal = facts.proved.as_ref().map(|proved| &proved.principal);
        let encryption = facts
            .proved
            .as_ref()
            .map_or(EncryptionInUse::None, |p| p.encryption);
        ConnectionRow {
            connection_id: facts.connection_id,
            transport_stream_id: facts.transport_stream_id,
            state,
            state_desc,
            connect_time: facts.connect_time,
            login_time: facts.login_time,
            authentication_method: facts.proved.as_ref().map(|proved| proved.method.desc()),
            principal_name: principal.map(|p| p.name.clone()),
            remote_user_name: principal.and_then(|p| p.remote_user.clone()),
            last_activity_time: facts.last_activity_time,
            is_accept: self.side == Side::Acceptor,
            login_state: self.login_state.code(),
            login_state_desc: self.login_state.desc(),
            peer_certificate_id: principal.and_then(|p| p.certificate_id),
            encryption_algorithm: encryption.code(),
            encryption_algorithm_desc: encryption.desc(),
            receives_posted: i64::from(matches!(self.phase, Phase::Login(_) | Phase::Online(_))),
            sends_posted: 0,
            total_bytes_sent: facts.bytes_sent,
            total_bytes_received: facts.bytes_received,
            total_fragments_sent: facts.frames_sent,
            total_fragments_received: facts.frames_received,
            total_sends: facts.sends,
            total_receives: facts.receives,
            peer_arbitration_id: facts.peer_arbitration_id,
        }
    }
}
