//! `sys.endpoints`, `sys.tcp_endpoints` and `sys.database_mirroring_endpoints`.
//!
//! The second and third repeat the ten columns of the first. Source: documented, the pages of these names.

use super::column::{Coded, view_row};

view_row! {
    /// One endpoint. Endpoint ids below 65536 belong to the system.
    EndpointRow {
        name: String => name: SysName;
        endpoint_id: i64 => endpoint_id: Int;
        principal_id: Option<i64> => principal_id: Int;
        protocol: Coded => protocol: TinyInt, protocol_desc: NVarChar(60);
        kind: Coded => type: TinyInt, type_desc: NVarChar(60);
        state: Coded => state: TinyInt, state_desc: NVarChar(60);
        is_admin_endpoint: bool => is_admin_endpoint: Bit;
    }
}

view_row! {
    /// One TCP endpoint. `ip_address` is `None` for `LISTENER_IP = ALL`.
    TcpEndpointRow {
        name: String => name: SysName;
        endpoint_id: i64 => endpoint_id: Int;
        principal_id: Option<i64> => principal_id: Int;
        protocol: Coded => protocol: TinyInt, protocol_desc: NVarChar(60);
        kind: Coded => type: TinyInt, type_desc: NVarChar(60);
        state: Coded => state: TinyInt, state_desc: NVarChar(60);
        is_admin_endpoint: bool => is_admin_endpoint: Bit;
        port: u16 => port: Int;
        is_dynamic_port: bool => is_dynamic_port: Bit;
        ip_address: Option<String> => ip_address: NVarChar(45);
    }
}

view_row! {
    /// The database mirroring endpoint; at most one row. `certificate_id` is 0 with Windows authentication alone.
    DatabaseMirroringEndpointRow {
        name: String => name: SysName;
        endpoint_id: i64 => endpoint_id: Int;
        principal_id: Option<i64> => principal_id: Int;
        protocol: Coded => protocol: TinyInt, protocol_desc: NVarChar(60);
        kind: Coded => type: TinyInt, type_desc: NVarChar(60);
        state: Coded => state: TinyInt, state_desc: NVarChar(60);
        is_admin_endpoint: bool => is_admin_endpoint: Bit;
        role: Coded => role: TinyInt, role_desc: NVarChar(60);
        is_encryption_enabled: bool => is_encryption_enabled: Bit;
        connection_auth: Coded => connection_auth: TinyInt, connection_auth_desc: NVarChar(60);
        certificate_id: i64 => certificate_id: Int;
        encryption_algorithm: Coded => encryption_algorithm: TinyInt, encryption_algorithm_desc: NVarChar(60);
    }
}

/// `protocol` of a mirroring endpoint.
pub const PROTOCOL_TCP: Coded = Coded::new(2, "TCP");
/// `type` of a mirroring endpoint.
pub const TYPE_DATABASE_MIRRORING: Coded = Coded::new(4, "DATABASE_MIRRORING");
