//! Rows about endpoints and what listens.
//!
//! The endpoints every instance is born with serve clients and cannot be changed here. Source: documented,
//! *sys.endpoints*, *sys.tcp_endpoints*, *sys.database_mirroring_endpoints*, *sys.dm_tcp_listener_states*; which built-in
//! endpoints there are is third-party.

use std::net::{IpAddr, Ipv4Addr};

use crate::instance::Instance;
use crate::instance::catalog::{Endpoint, SA_ID, Securable};
use crate::instance::ddl::BUILT_IN_ENDPOINTS;
use crate::instance::views::{
    Coded, DatabaseMirroringEndpointRow, EndpointRow, LISTENER_DATABASE_MIRRORING, LISTENER_ONLINE,
    LISTENER_TSQL, PROTOCOL_TCP, TYPE_DATABASE_MIRRORING, TcpEndpointRow, TcpListenerStateRow,
};
use crate::types::WallTime;

/// An endpoint of the system; ids below 65536 are theirs.
pub(super) struct BuiltIn {
    pub id: i64,
    name: &'static str,
    protocol: Coded,
    pub is_admin: bool,
}

const fn built_in(id: i64, name: &'static str, protocol: Coded, is_admin: bool) -> BuiltIn {
    BuiltIn {
        id,
        name,
        protocol,
        is_admin,
    }
}

pub(super) const BUILT_IN: [BuiltIn; 4] = [
    built_in(1, BUILT_IN_ENDPOINTS[0], PROTOCOL_TCP, true),
    built_in(2, BUILT_IN_ENDPOINTS[1], Coded::new(4, "SHARED_MEMORY"), false),
    built_in(3, BUILT_IN_ENDPOINTS[2], Coded::new(3, "NAMED_PIPES"), false),
    built_in(4, BUILT_IN_ENDPOINTS[3], PROTOCOL_TCP, false),
];

const TYPE_TSQL: Coded = Coded::new(2, "TSQL");
const STATE_STARTED: Coded = Coded::new(0, "STARTED");

impl Instance {
    /// The endpoint, for who owns it or has some permission on it.
    fn visible_endpoint(&self, login: &str) -> Option<&Endpoint> {
        let visible = self.catalog.sees(login, &Securable::Endpoint);
        self.catalog.endpoint().filter(|_| visible)
    }

    /// The built-in endpoints `login` sees: those open to everyone, and the administrators' own.
    fn visible_built_in(&self, login: &str) -> impl Iterator<Item = &'static BuiltIn> + use<> {
        let all = self.sees_every_definition(login);
        BUILT_IN.iter().filter(move |e| all || !e.is_admin)
    }

    pub(super) fn endpoint_rows(&self, login: &str) -> Vec<EndpointRow> {
        let own = self.visible_endpoint(login).map(|e| self.endpoint_row(e));
        self.visible_built_in(login)
            .map(built_in_row)
            .chain(own)
            .collect()
    }

    fn endpoint_row(&self, endpoint: &Endpoint) -> EndpointRow {
        let config = &endpoint.config;
        EndpointRow {
            name: config.name.clone(),
            endpoint_id: i64::from(endpoint.id),
            principal_id: self.principal_id(&endpoint.owner),
            protocol: PROTOCOL_TCP,
            kind: TYPE_DATABASE_MIRRORING,
            state: Coded::new(config.state.code(), config.state.desc()),
            is_admin_endpoint: false,
        }
    }

    pub(super) fn tcp_endpoint_rows(&self, login: &str) -> Vec<TcpEndpointRow> {
        let built_in = self
            .visible_built_in(login)
            .filter(|e| e.protocol == PROTOCOL_TCP)
            // Where clients are listened to is no endpoint's setting: the row says 0 whatever the port is.
            .map(|e| tcp_row(built_in_row(e), 0, e.is_admin, None));
        let own = self.visible_endpoint(login).map(|e| {
            let address = e.config.ip.address().map(|a| a.to_string());
            tcp_row(self.endpoint_row(e), e.config.port.number(), false, address)
        });
        built_in.chain(own).collect()
    }

    pub(super) fn mirroring_endpoint_rows(&self, login: &str) -> Vec<DatabaseMirroringEndpointRow> {
        let row = |e: &Endpoint| {
            let config = &e.config;
            let base = self.endpoint_row(e);
            let certificate = config
                .authentication
                .certificate()
                .and_then(|c| self.catalog.certificate(c));
            DatabaseMirroringEndpointRow {
                name: base.name,
                endpoint_id: base.endpoint_id,
                principal_id: base.principal_id,
                protocol: base.protocol,
                kind: base.kind,
                state: base.state,
                is_admin_endpoint: base.is_admin_endpoint,
                role: Coded::new(config.role.code(), config.role.desc()),
                is_encryption_enabled: config.encryption.is_enabled(),
                connection_auth: Coded::new(config.authentication.code(), config.authentication.desc()),
                certificate_id: certificate.map_or(0, |c| i64::from(c.id)),
                encryption_algorithm: Coded::new(config.encryption.code(), config.encryption.desc()),
            }
        };
        self.visible_endpoint(login).map(row).into_iter().collect()
    }

    /// What is bound; a listener that is down has no row.
    pub(super) fn listener_rows(&self) -> Vec<TcpListenerStateRow> {
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let row = |listener_id, address: IpAddr, port, kind, start_time: WallTime| TcpListenerStateRow {
            listener_id,
            ip_address: address.to_string(),
            is_ipv4: address.is_ipv4(),
            port,
            kind,
            state: LISTENER_ONLINE,
            start_time,
        };
        let clients = self
            .client_listener_since
            .map(|since| row(1, any, self.config.client_port, LISTENER_TSQL, since));
        let bound = self.endpoint.listening_since.zip(self.catalog.endpoint());
        let endpoint = bound.map(|(since, e)| {
            let address = e.config.ip.address().unwrap_or(any);
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

fn built_in_row(endpoint: &BuiltIn) -> EndpointRow {
    EndpointRow {
        name: endpoint.name.to_owned(),
        endpoint_id: endpoint.id,
        principal_id: Some(i64::from(SA_ID)),
        protocol: endpoint.protocol,
        kind: TYPE_TSQL,
        state: STATE_STARTED,
        is_admin_endpoint: endpoint.is_admin,
    }
}

fn tcp_row(
    base: EndpointRow,
    port: u16,
    is_dynamic_port: bool,
    ip_address: Option<String>,
) -> TcpEndpointRow {
    TcpEndpointRow {
        name: base.name,
        endpoint_id: base.endpoint_id,
        principal_id: base.principal_id,
        protocol: base.protocol,
        kind: base.kind,
        state: base.state,
        is_admin_endpoint: base.is_admin_endpoint,
        port,
        is_dynamic_port,
        ip_address,
    }
}
