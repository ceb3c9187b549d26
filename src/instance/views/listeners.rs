//! `sys.dm_tcp_listener_states`: what really listens.
//!
//! A listener that is down has no row. Source: documented, the page of this name.

use super::column::{Coded, view_row};
use crate::types::WallTime;

view_row! {
    /// One bound address. The wildcard addresses are `0.0.0.0` and `::`.
    TcpListenerStateRow {
        listener_id: i64 => listener_id: Int;
        ip_address: String => ip_address: NVarChar(48);
        is_ipv4: bool => is_ipv4: Bit;
        port: u16 => port: Int;
        kind: Coded => type: TinyInt, type_desc: NVarChar(20);
        state: Coded => state: TinyInt, state_desc: NVarChar(16);
        start_time: WallTime => start_time: DateTime;
    }
}

/// `type` of a listener for clients and of one for mirroring (not the endpoint's type code).
pub const LISTENER_TSQL: Coded = Coded::new(0, "TSQL");
pub const LISTENER_DATABASE_MIRRORING: Coded = Coded::new(2, "DATABASE_MIRRORING");
/// `state` of a listener that listens.
pub const LISTENER_ONLINE: Coded = Coded::new(1, "ONLINE");
