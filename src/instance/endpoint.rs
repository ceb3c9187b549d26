//! The instance's database mirroring endpoint at work: listening, dialling, logins, arbitration, pings and their ends.
//!
//! Owns every connection between this instance and its peers. What the bytes mean before a connection is online is
//! `endpoint::Connection`'s business; what a session message means is `mirroring`'s.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use rand_core::Rng;

use super::Instance;
use super::batch::Wait;
use super::catalog::{Endpoint, LoginKind, PrivateKey};
use super::controller::Question;
use super::deprecated::Feature;
use super::io::{CloseHow, ConnectError, ControllerError, ListenError, Listener, Output, StreamEnd};
use super::peers::{Peer, Peers};
use super::timeout::TimeoutInForce;
use crate::endpoint::config::{Algorithm, EndpointState, Reading};
use crate::endpoint::connection::{
    Connection, ConnectionOutput, LocalEndpoint, LoggedIn, NoController, OwnCertificate, PeerIdentity, Side,
    TrustedCertificate, WindowsLogin, WindowsSide,
};
use crate::error::{SqlError, msg};
use crate::types::{ClosedBy, ConnectionId, EncryptionInUse, EndpointEvent, Guid, ServerAddress, WallTime};

/// Session messages, and their bytes, that may arrive before this side of the link is up; more end the connection.
const EARLY_MESSAGES_MAX: usize = 256;
const EARLY_BYTES_MAX: usize = 16 << 20;

/// Everything between this instance and its peers.
#[derive(Debug, Default)]
pub struct EndpointRuntime {
    pub connections: BTreeMap<ConnectionId, Online>,
    pub peers: Peers,
    pub timeout: TimeoutInForce,
    /// Since when the listener is bound; `None` while it is not.
    pub listening_since: Option<WallTime>,
    /// The listener is asked for, and this is the port it is asked on.
    listener_port: Option<u16>,
    local: Option<Arc<LocalEndpoint>>,
    next_initiated: u64,
    /// Messages for sessions whose link is not up on this side yet, by connection.
    early: BTreeMap<ConnectionId, VecDeque<Vec<u8>>>,
    /// Why the last attempt to reach an address failed, for who waits for it.
    pub dial_errors: BTreeMap<ServerAddress, SqlError>,
}

/// A connection and what the instance adds to it.
#[derive(Debug)]
pub struct Online {
    pub connection: Connection,
    /// Who is there, once it is online.
    pub peer: Option<PeerIdentity>,
    /// Who is there, once this instance has decided to use the connection.
    pub kept: Option<PeerIdentity>,
}

impl Instance {
    /// Bind or release the port as the endpoint's state asks.
    pub(super) fn apply_listener(&mut self) {
        let wanted = self
            .catalog
            .endpoint()
            .filter(|e| e.config.state.is_listening())
            .map(|e| {
                let config = &e.config;
                (config.ip.address(), config.port.number())
            });
        let Some((ip, port)) = wanted else {
            return self.stop_listening();
        };
        if self.endpoint.listener_port != Some(port) {
            self.stop_listening();
            self.endpoint.listener_port = Some(port);
            self.output(Output::Listen {
                listener: Listener::Endpoint,
                ip,
                port,
            });
        }
    }

    fn stop_listening(&mut self) {
        let Some(port) = self.endpoint.listener_port.take() else {
            return;
        };
        // Also while the answer to `Listen` is still awaited: it will not come then.
        self.output(Output::StopListening {
            listener: Listener::Endpoint,
        });
        self.resume(&Wait::Listener);
        if self.endpoint.listening_since.take().is_some() {
            self.emit(EndpointEvent::StoppedListening { port });
            self.log_error(&msg::STOPPED_LISTENING.error());
        }
    }

    pub(super) fn on_endpoint_listening(&mut self) {
        let Some(port) = self.endpoint.listener_port else {
            return;
        };
        self.endpoint.listening_since = Some(self.now.wall);
        self.emit(EndpointEvent::Listening { port });
        self.log_error(&msg::NOW_LISTENING.with(&[&port]));
        let names_rc4 = |e: &&Endpoint| e.config.encryption.algorithms().contains(&Algorithm::Rc4);
        if let Some(endpoint) = self.catalog.endpoint().filter(names_rc4) {
            let subject = format!("The endpoint '{}'", endpoint.config.name);
            self.note_deprecated(Feature::Rc4);
            self.log_error(&msg::RC4_DEPRECATED.with(&[&subject]));
        }
        if self.config.options.fips {
            self.log_error(&msg::FIPS_MODE.error());
        }
        self.advise_on_account();
        self.advise_on_role();
        self.register_spn(port);
        self.resume(&Wait::Listener);
    }

    /// The catalog goes on saying STARTED; only the log tells. Source: documented, *MSSQLSERVER_1418*.
    pub(super) fn on_endpoint_listen_failed(&mut self, error: &ListenError) {
        let Some(port) = self.endpoint.listener_port.take() else {
            return;
        };
        self.emit(EndpointEvent::CannotListen {
            port,
            error: error.to_string(),
        });
        let address = self.catalog.endpoint().and_then(|e| e.config.ip.address());
        let shown = address.map_or_else(|| "any".to_owned(), |a| a.to_string());
        let family = match address {
            Some(IpAddr::V6(_)) => "ipv6",
            _ => "ipv4",
        };
        if *error == ListenError::AddressInUse {
            self.log_error(&msg::LISTENER_PORT_BUSY.with(&[&format!("'{shown}'"), &family, &port]));
            self.log_error(&msg::CANNOT_LISTEN_IN_USE.with(&[&port]));
        } else {
            self.log_error(&msg::CANNOT_LISTEN_ADDRESS.with(&[&shown, &family, &port, error]));
            self.log_error(&msg::CANNOT_LISTEN.with(&[error]));
        }
        self.resume_with(&Wait::Listener, &Err(msg::CANNOT_REGISTER.with(&[&port, error])));
    }

    /// Whether it is still open if the endpoint can listen.
    pub(super) fn is_listener_pending(&self) -> bool {
        self.endpoint.listener_port.is_some() && self.endpoint.listening_since.is_none()
    }

    /// Take the endpoint down and up again: what reconfiguring one in use does.
    pub(super) fn restart_endpoint(&mut self, reason: &SqlError) {
        self.stop_listening();
        self.close_all_peers(reason);
        self.forget_local_endpoint();
        self.apply_listener();
    }

    /// End every connection at once: sessions hear of it when all are gone, so none can still say anything over one.
    fn close_all_peers(&mut self, reason: &SqlError) {
        let all = std::mem::take(&mut self.endpoint.connections);
        let mut lost = Vec::new();
        for (id, mut online) in all {
            online.connection.close(self.now, Some(reason.clone()));
            while let Some(output) = online.connection.poll() {
                match output {
                    ConnectionOutput::Emit(event) => self.emit(event),
                    ConnectionOutput::ErrorLog(error) => self.log_error(&error),
                    _ => {}
                }
            }
            self.endpoint.early.remove(&id);
            self.forget_traffic(id);
            self.endpoint.peers.closed(self.now.at, id);
            // At once, so that the port is free for the listener that may follow.
            self.output(Output::Close {
                connection: id,
                how: CloseHow::Reset,
            });
            lost.extend(online.peer.map(|peer| (id, peer.arbitration_id)));
        }
        for (id, peer) in lost {
            self.on_link_lost(id, peer, ClosedBy::Local);
        }
    }

    /// A login, permission, certificate or the endpoint changed: logins from now on see the new state.
    pub(super) fn forget_local_endpoint(&mut self) {
        self.endpoint.local = None;
    }

    fn local_endpoint(&mut self) -> Option<Arc<LocalEndpoint>> {
        if self.endpoint.local.is_none() {
            self.endpoint.local = self.snapshot_endpoint().map(Arc::new);
        }
        self.endpoint.local.clone()
    }

    fn snapshot_endpoint(&self) -> Option<LocalEndpoint> {
        let endpoint = self.catalog.endpoint()?;
        let own = endpoint.config.authentication.certificate().and_then(|name| {
            let certificate = self.catalog.certificate(name)?;
            let private_key_pkcs8 = match &certificate.private_key {
                Some(PrivateKey::MasterKey(pkcs8)) => Some(pkcs8.clone()),
                Some(PrivateKey::Password(_)) | None => None,
            };
            Some(OwnCertificate {
                name: certificate.name.clone(),
                der: certificate.der.clone(),
                private_key_pkcs8,
            })
        });
        let trusted = self.catalog.certificates().map(|c| {
            let login = self.catalog.login_of_user(&c.owner);
            let login = login.filter(|l| !l.disabled).map(|l| l.name.clone());
            let connect = login.as_deref().is_some_and(|l| self.catalog.may_connect(l));
            let (name, der, owner_user) = (c.name.clone(), c.der.clone(), c.owner.clone());
            TrustedCertificate {
                certificate_id: i64::from(c.id),
                name,
                der,
                owner_user,
                login,
                connect,
            }
        });
        Some(LocalEndpoint {
            config: endpoint.config.clone(),
            arbitration_id: self.catalog.identity.arbitration_id,
            server_name: self.config.server_name.clone(),
            version: self.config.options.version,
            address: Some(ServerAddress::new(
                self.config.fqdn(),
                endpoint.config.port.number(),
            )),
            own_certificate: own,
            master_key_open: self.catalog.master_key_opens_by_itself(),
            fips_mode: self.config.options.fips,
            trusted: trusted.collect(),
            windows: self.windows_side(),
        })
    }

    fn windows_side(&self) -> WindowsSide {
        let known = self
            .catalog
            .logins()
            .filter(|l| l.kind == LoginKind::Windows && !l.sid.is_empty() && !l.disabled);
        let logins = known.map(|l| WindowsLogin {
            name: l.name.clone(),
            sid: l.sid.clone(),
            connect: self.catalog.may_connect(&l.name),
        });
        WindowsSide {
            account: self.config.service.account.to_string(),
            session: self.config.service.session.clone(),
            dns_suffix: self.config.dns_suffix.clone(),
            logins: logins.collect(),
        }
    }

    pub(super) fn is_endpoint_started(&self) -> bool {
        self.catalog
            .endpoint()
            .is_some_and(|e| e.config.state == EndpointState::Started)
    }

    pub(super) fn on_peer_accepted(&mut self, id: ConnectionId, from: String) {
        self.emit(EndpointEvent::Accepted {
            connection: id,
            from: from.clone(),
        });
        let reading = self.catalog.endpoint().map(|e| e.config.state.reading());
        let local = self.local_endpoint();
        match (reading, local) {
            (Some(Reading::Serves), Some(local)) => {
                self.make_room_for_login();
                let seed = self.login_seed();
                let connection = Connection::accept(id, local, from, seed, self.now);
                self.endpoint.connections.insert(
                    id,
                    Online {
                        connection,
                        peer: None,
                        kept: None,
                    },
                );
                self.pump(id);
            }
            _ => {
                let error = msg::ENDPOINT_DISABLED_OR_STOPPED.error();
                self.log_error(&error);
                self.emit(EndpointEvent::Closed {
                    connection: id,
                    by: ClosedBy::Local,
                    error: Some(error.number),
                });
                self.output(Output::Close {
                    connection: id,
                    how: CloseHow::Fin,
                });
            }
        }
    }

    fn login_seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.streams.logins.fill_bytes(&mut seed);
        seed
    }

    /// Dial every wanted address that is due.
    pub(super) fn dial_due(&mut self) {
        if !self.is_endpoint_started() {
            return;
        }
        for address in self.endpoint.peers.due(self.now.at) {
            let Some(local) = self.local_endpoint() else {
                return;
            };
            let id = ConnectionId(2 * self.endpoint.next_initiated + 1);
            self.endpoint.next_initiated += 1;
            let seed = self.login_seed();
            let connection = Connection::initiate(id, local, address.to_string(), seed, self.now);
            self.endpoint.connections.insert(
                id,
                Online {
                    connection,
                    peer: None,
                    kept: None,
                },
            );
            self.endpoint.peers.connecting(&address, id);
            self.emit(EndpointEvent::Connecting {
                connection: id,
                address: address.clone(),
            });
            self.output(Output::Connect {
                connection: id,
                address,
            });
        }
    }

    pub(super) fn on_peer_connected(&mut self, id: ConnectionId) {
        if self.endpoint.connections.contains_key(&id) {
            self.emit(EndpointEvent::Connected { connection: id });
        }
        if let Some(online) = self.endpoint.connections.get_mut(&id) {
            online.connection.on_connected(self.now);
            self.pump(id);
        }
    }

    pub(super) fn on_peer_connect_failed(&mut self, id: ConnectionId, error: &ConnectError) {
        if self.endpoint.connections.remove(&id).is_none() {
            return;
        }
        let address = self.endpoint.peers.address_of(id).cloned();
        self.endpoint.peers.closed(self.now.at, id);
        let Some(address) = address else { return };
        let reason = match error {
            ConnectError::NameNotFound => msg::DNS_FAILED.with(&[error]),
            _ => msg::CONNECT_FAILED.with(&[error]),
        };
        self.emit(EndpointEvent::ConnectFailed {
            connection: id,
            address: address.clone(),
            number: reason.number,
            error: reason.text.clone(),
        });
        self.dial_failed(&address, reason);
    }

    fn dial_failed(&mut self, address: &ServerAddress, reason: SqlError) {
        let repeated = self.endpoint.dial_errors.get(address) == Some(&reason);
        if !repeated {
            self.log_error(&msg::CONNECTION_ERROR.with(&[&reason.number, &reason.text, address]));
        }
        self.endpoint.dial_errors.insert(address.clone(), reason);
        self.on_dial_failed(address);
    }

    pub(super) fn on_peer_received(&mut self, id: ConnectionId, bytes: &[u8]) {
        if let Some(online) = self.endpoint.connections.get_mut(&id) {
            online.connection.receive(self.now, bytes);
            self.pump(id);
        }
    }

    pub(super) fn on_peer_closed(&mut self, id: ConnectionId, end: StreamEnd) {
        let by = match end {
            StreamEnd::Fin => ClosedBy::Peer,
            StreamEnd::Reset => ClosedBy::Reset,
        };
        if let Some(online) = self.endpoint.connections.get_mut(&id) {
            online.connection.on_closed(self.now, by);
            self.pump(id);
        }
    }

    /// Close a connection for a reason of this instance.
    pub(super) fn close_peer(&mut self, id: ConnectionId, error: Option<SqlError>) {
        if let Some(online) = self.endpoint.connections.get_mut(&id) {
            online.connection.close(self.now, error);
            self.pump(id);
        }
    }

    pub(super) fn wake_connections(&mut self) {
        let now = self.now.at;
        let due: Vec<ConnectionId> = self
            .endpoint
            .connections
            .iter()
            .filter(|(_, o)| o.connection.next_deadline().is_some_and(|(at, _)| at <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            if let Some(online) = self.endpoint.connections.get_mut(&id) {
                online.connection.wake(self.now);
                self.pump(id);
            }
        }
    }

    /// Send one session message over an online connection.
    pub(super) fn send_message(&mut self, id: ConnectionId, message: &[u8]) {
        if let Some(online) = self.endpoint.connections.get_mut(&id) {
            online.connection.send(self.now, message);
            self.pump(id);
        }
    }

    /// Carry out everything a connection asks for.
    fn pump(&mut self, id: ConnectionId) {
        while let Some(output) = self
            .endpoint
            .connections
            .get_mut(&id)
            .and_then(|o| o.connection.poll())
        {
            match output {
                ConnectionOutput::Send(bytes) => self.output(Output::Send {
                    connection: id,
                    bytes,
                }),
                ConnectionOutput::Arbitrate(peer) => self.arbitrate(id, peer),
                ConnectionOutput::Online(logged_in) => self.on_peer_online(id, &logged_in),
                ConnectionOutput::Message(bytes) => self.on_message(id, bytes),
                ConnectionOutput::AskController(request) => {
                    self.ask_controller(Question::Login { connection: id }, request);
                }
                ConnectionOutput::Emit(event) => self.emit(event),
                ConnectionOutput::ErrorLog(error) => self.log_error(&error),
                ConnectionOutput::Fail(failure) => {
                    self.drop_peer(id, close_how(failure.by), failure.by, Some(failure.error));
                }
                ConnectionOutput::Close { by, error } => self.drop_peer(id, close_how(by), by, error),
            }
        }
    }

    /// The domain controller has answered a login, or could not be asked.
    pub(super) fn on_login_controller(&mut self, id: ConnectionId, answer: Result<Vec<u8>, ControllerError>) {
        let Some(online) = self.endpoint.connections.get_mut(&id) else {
            return;
        };
        let answer = answer.as_deref().map_err(|_| NoController);
        online.connection.on_controller(self.now, answer);
        self.pump(id);
    }

    fn drop_peer(&mut self, id: ConnectionId, how: Option<CloseHow>, by: ClosedBy, error: Option<SqlError>) {
        let Some(gone) = self.endpoint.connections.remove(&id) else {
            return;
        };
        self.endpoint.early.remove(&id);
        if let Some(how) = how {
            self.output(Output::Close { connection: id, how });
        }
        let addresses = self.endpoint.peers.addresses_of(id);
        self.endpoint.peers.closed(self.now.at, id);
        if let Some(peer) = gone.peer {
            self.forget_traffic(id);
            self.on_link_lost(id, peer.arbitration_id, by);
        } else if let Some(error) = error {
            for address in &addresses {
                self.dial_failed(address, error.clone());
            }
        }
    }

    fn forget_traffic(&mut self, id: ConnectionId) {
        self.traffic_seen.retain(|(connection, _)| *connection != id);
    }

    fn on_peer_online(&mut self, id: ConnectionId, logged_in: &LoggedIn) {
        let identity = logged_in.peer.clone();
        let Some(online) = self.endpoint.connections.get_mut(&id) else {
            return;
        };
        online.peer = Some(identity.clone());
        if logged_in.encryption == EncryptionInUse::Rc4 {
            self.note_deprecated(Feature::Rc4);
        }
        match logged_in.side {
            Side::Initiator => {
                for address in self.endpoint.peers.addresses_of(id) {
                    self.endpoint.dial_errors.remove(&address);
                }
                let peer = Peer {
                    arbitration_id: identity.arbitration_id,
                    server_name: identity.server_name.clone(),
                };
                self.endpoint.peers.online_outbound(id, &peer);
            }
            Side::Acceptor => {
                let displaced = self.endpoint.peers.online_inbound(id, identity.arbitration_id);
                if let Some(online) = displaced.and_then(|old| self.endpoint.connections.get_mut(&old)) {
                    online.connection.lose_arbitration(self.now);
                }
                if let Some(old) = displaced {
                    self.pump(old);
                    self.witnesses_lose(identity.arbitration_id);
                }
            }
        }
        self.on_link_gained(id);
    }

    /// Keep a message for a session whose link is not up on this side yet.
    pub(super) fn keep_early(&mut self, id: ConnectionId, message: Vec<u8>) {
        let early = self.endpoint.early.entry(id).or_default();
        early.push_back(message);
        let bytes: usize = early.iter().map(Vec::len).sum();
        if early.len() > EARLY_MESSAGES_MAX || bytes > EARLY_BYTES_MAX {
            let from = self.peer_of(id).map(|p| p.server_name.clone());
            let error = msg::UNEXPECTED_MESSAGE.with(&[&"early", &from.unwrap_or_default()]);
            self.log_error(&error);
            self.close_peer(id, Some(error));
        }
    }

    /// Whether messages of this connection were received and are kept until this side of the link is up.
    pub(super) fn keeps_received(&self, id: ConnectionId) -> bool {
        self.endpoint
            .early
            .get(&id)
            .is_some_and(|early| !early.is_empty())
    }

    pub(super) fn take_early(&mut self, id: ConnectionId) -> VecDeque<Vec<u8>> {
        self.endpoint.early.remove(&id).unwrap_or_default()
    }

    /// The peer at the other end of an online connection.
    pub(super) fn peer_of(&self, id: ConnectionId) -> Option<&PeerIdentity> {
        self.endpoint.connections.get(&id).and_then(|o| o.peer.as_ref())
    }

    pub(super) fn peer_id_of(&self, id: ConnectionId) -> Option<Guid> {
        self.peer_of(id).map(|p| p.arbitration_id)
    }
}
/// What is left to do to a stream that ends; nothing if it has ended from outside.
fn close_how(by: ClosedBy) -> Option<CloseHow> {
    match by {
        ClosedBy::Local => Some(CloseHow::Fin),
        ClosedBy::Timeout => Some(CloseHow::Reset),
        ClosedBy::Peer | ClosedBy::Reset => None,
    }
}
