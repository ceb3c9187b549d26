//! One server instance: endpoint, sessions, log and catalog behind `handle()` and `poll()`.
//!
//! ```text
//!            Input ──► handle ──┬─► client ──► batch ──► ddl, dml, views        (T-SQL on the client port)
//!                               ├─► endpoint ──► mirroring ──► session::Partner, session::Witness
//!                               └─► purpose ──► database, batch, mirroring      (what the disk has answered)
//!            Output ◄── poll ◄──┴── connect, send, listen, disk, emit, wake
//! ```
//!
//! The instance decides and waits for nothing: time, randomness (one seed per start), bytes and finished disk requests
//! come in, requests come out. `io` is the whole seam. One rule holds everything together: what is told to anybody was
//! durable first.

mod arbitration;
mod batch;
mod catalog;
mod client;
mod controller;
mod counters;
mod database;
mod databases;
mod ddl;
mod deprecated;
mod dml;
mod endpoint;
mod error_log;
mod half_open;
mod held;
pub mod io;
mod mirroring;
mod monitor;
mod options;
mod peers;
mod preconditions;
mod procedures;
mod purpose;
mod select;
mod service;
mod timeout;
mod trace;
pub mod views;

pub use database::recover;
pub use ddl::{check_altered_endpoint, check_new_endpoint};
pub use options::{Edition, InstanceOptions, ListenerFailure, PortRange};

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use batch::Wait;
use catalog::{Catalog, SA};
use client::ClientSession;
use controller::Questions;
use databases::Databases;
use endpoint::EndpointRuntime;
use half_open::Strangers;
use io::{CloseHow, Core, DiskRequest, DiskTicket, Input, Listener, Output};
use purpose::Purpose;

pub use service::Service;

use crate::error::{SqlError, msg};
use crate::session::Witness;
use crate::types::{
    ConnectionId, EndpointEvent, Event, Guid, InstanceEvent, InstanceName, Now, SessionEvent, Timestamp,
    WallTime,
};

/// What an instance is told at every start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceConfig {
    /// By which the run speaks of it.
    pub name: InstanceName,
    /// `@@SERVERNAME`: `SYSTEM` or `SYSTEM\INSTANCE`.
    pub server_name: String,
    /// NetBIOS name of its system.
    pub system: String,
    /// DNS suffix of its system; empty if it has none.
    pub dns_suffix: String,
    pub client_port: u16,
    pub options: InstanceOptions,
    pub service: Service,
}

impl InstanceConfig {
    /// The default instance of a system without a domain, with the default options and account.
    pub fn of_system(system: &str, client_port: u16) -> Self {
        InstanceConfig {
            name: InstanceName::new(system),
            server_name: system.to_uppercase(),
            system: system.to_owned(),
            dns_suffix: String::new(),
            client_port,
            options: InstanceOptions::default(),
            service: Service::default(),
        }
    }

    /// The system's fully qualified name.
    pub fn fqdn(&self) -> String {
        if self.dns_suffix.is_empty() {
            self.system.clone()
        } else {
            format!("{}.{}", self.system, self.dns_suffix)
        }
    }

    /// Whether `host` names the system this instance runs on.
    fn is_own_host(&self, host: &str) -> bool {
        host.eq_ignore_ascii_case(&self.system) || host.eq_ignore_ascii_case(&self.fqdn())
    }
}

/// Randomness by purpose, so that one more draw in one moves no other.
#[derive(Debug)]
struct Streams {
    ids: ChaCha8Rng,
    keys: ChaCha8Rng,
    logins: ChaCha8Rng,
    salts: ChaCha8Rng,
    controller: ChaCha8Rng,
}

impl Streams {
    fn new(seed: [u8; 32]) -> Self {
        let stream = |n| {
            let mut rng = ChaCha8Rng::from_seed(seed);
            rng.set_stream(n);
            rng
        };
        Streams {
            ids: stream(1),
            keys: stream(2),
            logins: stream(3),
            salts: stream(4),
            controller: stream(5),
        }
    }
}

/// A server instance between two starts of its process.
#[derive(Debug)]
pub struct Instance {
    config: InstanceConfig,
    streams: Streams,
    now: Now,
    catalog: Catalog,
    databases: Databases,
    witnesses: BTreeMap<Guid, Witness>,
    /// The first disk request each witness that was invited in this run may have made.
    witness_since: BTreeMap<Guid, DiskTicket>,
    endpoint: EndpointRuntime,
    trace: trace::Trace,
    told: held::Told,
    error_log: error_log::ErrorLog,
    monitor: monitor::Monitor,
    deprecated: deprecated::Deprecated,
    questions: Questions,
    clients: BTreeMap<ConnectionId, ClientSession>,
    strangers: Strangers,
    client_listener_since: Option<WallTime>,
    pending: BTreeMap<DiskTicket, Purpose>,
    next_ticket: u64,
    /// Databases still being opened at start.
    opening: usize,
    stopped: bool,
    /// Sessions may want other addresses dialled than before.
    dials_changed: bool,
    /// Databases whose files are being created, by lower-case name: the name is taken, nothing else.
    creating: BTreeSet<String>,
    /// Batches to go on with when the input is dealt with, and what their statement came to.
    resumed: VecDeque<(ConnectionId, Wait, Result<(), SqlError>)>,
    traffic_seen: BTreeSet<(ConnectionId, String)>,
    query_engine: views::QueryEngine,
    wake: Option<Timestamp>,
    outputs: VecDeque<Output>,
}

impl Core for Instance {
    fn handle(&mut self, now: Now, input: Input<'_>) {
        if self.stopped {
            return;
        }
        self.now = now;
        self.dispatch(input);
        self.run_resumed();
        if self.stopped {
            return;
        }
        self.settle_timeout();
        self.settle_dials();
        self.set_wake();
    }

    fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

impl Instance {
    /// An instance about to start; the first input is `Start`. `seed` is this start's randomness.
    pub fn new(config: InstanceConfig, seed: [u8; 32]) -> Self {
        let mut streams = Streams::new(seed);
        let arbitration_id = Guid::random(&mut streams.ids);
        Instance {
            config,
            streams,
            now: Now::default(),
            catalog: Catalog::new(arbitration_id, WallTime::default()),
            databases: Databases::default(),
            witnesses: BTreeMap::new(),
            witness_since: BTreeMap::new(),
            endpoint: EndpointRuntime::default(),
            trace: trace::Trace::default(),
            error_log: error_log::ErrorLog::default(),
            monitor: monitor::Monitor::default(),
            deprecated: deprecated::Deprecated::default(),
            questions: Questions::default(),
            clients: BTreeMap::new(),
            strangers: Strangers::new(),
            client_listener_since: None,
            pending: BTreeMap::new(),
            next_ticket: 1,
            opening: 0,
            stopped: false,
            dials_changed: false,
            creating: BTreeSet::new(),
            resumed: VecDeque::new(),
            told: held::Told::default(),
            traffic_seen: BTreeSet::new(),
            query_engine: views::QueryEngine::default(),
            wake: None,
            outputs: VecDeque::new(),
        }
    }

    fn dispatch(&mut self, input: Input<'_>) {
        match input {
            Input::Start { master } => self.start(&master),
            Input::Accepted {
                connection,
                listener: Listener::Client,
                from,
            } => self.on_client_accepted(connection, from.to_string()),
            Input::Accepted {
                connection,
                listener: Listener::Endpoint,
                from,
            } => {
                self.on_peer_accepted(connection, from.to_string());
            }
            Input::Connected { connection } => self.on_peer_connected(connection),
            Input::ConnectFailed { connection, error } => self.on_peer_connect_failed(connection, &error),
            Input::Received { connection, bytes } if self.clients.contains_key(&connection) => {
                self.on_client_received(connection, bytes);
            }
            Input::Received { connection, bytes } => self.on_peer_received(connection, bytes),
            Input::Closed { connection, .. } if self.clients.contains_key(&connection) => {
                self.on_client_closed(connection);
            }
            Input::Closed { connection, by } => self.on_peer_closed(connection, by),
            Input::Listening {
                listener: Listener::Endpoint,
            } => self.on_endpoint_listening(),
            Input::Listening {
                listener: Listener::Client,
            } => self.client_listener_since = Some(self.now.wall),
            Input::ListenFailed {
                listener: Listener::Endpoint,
                error,
            } => self.on_endpoint_listen_failed(&error),
            Input::ListenFailed {
                listener: Listener::Client,
                error,
            } => {
                let port = self.config.client_port;
                let error = msg::CANNOT_LISTEN_ADDRESS.with(&[&"any", &"ipv4", &port, &error]);
                self.log_error(&error);
                self.shut_down(&error);
            }
            Input::DiskDone { ticket, result } => self.on_disk_done(ticket, result),
            Input::ControllerAnswered { ticket, answer } => self.on_controller_answered(ticket, answer),
            Input::Wake => {
                self.wake = None;
                self.wake_strangers();
                self.wake_connections();
                self.wake_sessions();
                self.run_monitor_job();
            }
        }
    }

    fn start(&mut self, master: &[(String, Vec<u8>)]) {
        let arbitration_id = self.catalog.identity.arbitration_id;
        match Catalog::load(master, arbitration_id, self.now.wall) {
            Ok(catalog) => self.catalog = catalog,
            Err(error) => {
                let error = msg::MASTER_DAMAGED.with(&[&error]);
                self.log_error(&error);
                return self.shut_down(&error);
            }
        }
        self.emit(InstanceEvent::Started {
            server_name: self.config.server_name.clone(),
            instance: self.catalog.identity.arbitration_id,
        });
        self.enter_service_login();
        self.tell_what_is_held();
        let writes = self.catalog.take_writes();
        if !writes.is_empty() {
            self.disk(DiskRequest::Master { writes }, Purpose::Catalog);
        }
        self.restore_witnesses();
        let names: Vec<_> = self.catalog.databases().map(|d| d.name.clone()).collect();
        self.opening = names.len();
        for database in names {
            let request = DiskRequest::OpenDatabase {
                database: database.clone(),
            };
            self.disk(request, Purpose::OpenDatabase { database });
        }
        if self.opening == 0 {
            self.open_doors();
        }
    }

    /// Every database is in place: let clients and peers in.
    fn open_doors(&mut self) {
        let port = self.config.client_port;
        self.output(Output::Listen {
            listener: Listener::Client,
            ip: None,
            port,
        });
        self.apply_listener();
        self.dials_changed = true;
    }

    /// Stop for good: what an instance does that can no longer keep its promises.
    fn shut_down(&mut self, error: &SqlError) {
        let connections: Vec<ConnectionId> = self
            .clients
            .keys()
            .chain(self.endpoint.connections.keys())
            .copied()
            .collect();
        for connection in connections {
            self.output(Output::Close {
                connection,
                how: CloseHow::Reset,
            });
        }
        self.clients.clear();
        self.strangers.clear();
        self.resumed.clear();
        self.endpoint.connections.clear();
        self.output(Output::StopListening {
            listener: Listener::Client,
        });
        self.output(Output::StopListening {
            listener: Listener::Endpoint,
        });
        self.emit(InstanceEvent::Stopped {
            reason: error.text.clone(),
        });
        self.stopped = true;
    }

    /// Ask to be woken at the earliest deadline, if that changed.
    fn set_wake(&mut self) {
        let sessions = self.databases.next_wake();
        let connections = self
            .endpoint
            .connections
            .values()
            .filter_map(|o| o.connection.next_deadline());
        let dial = self
            .endpoint
            .peers
            .next_attempt()
            .filter(|_| self.is_endpoint_started());
        let dial = dial.map(|at| (at, "reconnect"));
        let stranger = self.next_stranger_deadline();
        let monitor = self.monitor.next_run().map(|at| (at, monitor::MONITOR_JOB_NAME));
        let all = connections
            .chain(sessions)
            .chain(dial)
            .chain(stranger)
            .chain(monitor);
        let Some((at, deadline)) = all.min() else {
            return;
        };
        if self.wake != Some(at) {
            self.wake = Some(at);
            self.output(Output::WakeAt { at, deadline });
        }
    }

    fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    fn emit(&mut self, event: impl Into<Event>) {
        let event = event.into();
        self.count(&event);
        let database = event.database().and_then(|d| self.catalog.database(d.as_str()));
        let connection = event
            .peer_connection()
            .and_then(|id| self.endpoint.connections.get(&id));
        let login = match &event {
            Event::Endpoint(EndpointEvent::AuditLogin { audit, .. }) => audit.user.as_deref(),
            Event::Session(SessionEvent::State { .. }) => Some(SA),
            _ => None,
        };
        let around = trace::Surroundings {
            wall: self.now.wall,
            server_name: &self.config.server_name,
            database_id: database.map(|d| d.id),
            connection: connection.map(|c| c.connection.guid()),
            login_sid: login.and_then(|name| self.catalog.sid_of(name)),
        };
        self.trace.record(&event, &around);
        self.outputs.push_back(Output::Emit(event));
    }

    fn log_error(&mut self, error: &SqlError) {
        let SqlError {
            number,
            severity,
            state,
            text,
            ..
        } = error.clone();
        self.error_log.push(self.now.wall, error.clone());
        self.emit(InstanceEvent::ErrorLog {
            number,
            severity,
            state,
            text,
        });
    }
}
