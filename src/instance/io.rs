//! The seam between the pure core and the driver: everything that goes into an instance and everything that comes out.
//!
//! The driver feeds one `Input` at a time through `Instance::handle` and then drains `Instance::poll`. Disk requests of
//! one instance are carried out one after another in the order they were asked for, and each is answered by exactly one
//! `Input::DiskDone` with its ticket, in that order. Source: ours.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::types::{
    ConnectionId, DamagedPage, DatabaseName, Event, Lsn, Now, PageKey, RowChange, ServerAddress, Timestamp,
};

/// What the driver drives: an instance, or a stand-in for one in a test.
///
/// The driver calls `handle` once, then `poll` until it returns `None`, then waits. Neither may block or fail.
pub trait Core {
    fn handle(&mut self, now: Now, input: Input<'_>);

    fn poll(&mut self) -> Option<Output>;
}

/// What happened outside.
#[derive(Debug)]
pub enum Input<'a> {
    /// The process started. `master` is the whole content of the `master` store (empty at first start).
    Start {
        master: Vec<(String, Vec<u8>)>,
    },
    /// A listener accepted a connection; the driver chose the (even) id.
    Accepted {
        connection: ConnectionId,
        listener: Listener,
        from: SocketAddr,
    },
    /// An `Output::Connect` succeeded.
    Connected {
        connection: ConnectionId,
    },
    /// An `Output::Connect` failed; the id is spent.
    ConnectFailed {
        connection: ConnectionId,
        error: ConnectError,
    },
    Received {
        connection: ConnectionId,
        bytes: &'a [u8],
    },
    /// The peer or the network ended the connection; the id is spent. Never follows the core's own `Close`.
    Closed {
        connection: ConnectionId,
        by: StreamEnd,
    },
    Listening {
        listener: Listener,
    },
    ListenFailed {
        listener: Listener,
        error: ListenError,
    },
    DiskDone {
        ticket: DiskTicket,
        result: Result<DiskReply, DiskError>,
    },
    /// The answer to an `Output::AskController`, or why there is none.
    ControllerAnswered {
        ticket: ControllerTicket,
        answer: Result<Vec<u8>, ControllerError>,
    },
    /// The earliest `WakeAt` is due.
    Wake,
}

/// What the core asks for.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// Bind and listen; answered by `Listening` or `ListenFailed`. Replaces nothing: stop first.
    Listen {
        listener: Listener,
        ip: Option<std::net::IpAddr>,
        port: u16,
    },
    /// Stop listening. Accepted connections stay; the core closes them one by one.
    StopListening {
        listener: Listener,
    },
    /// Open a TCP connection under this (odd) id; answered by `Connected` or `ConnectFailed`.
    Connect {
        connection: ConnectionId,
        address: ServerAddress,
    },
    Send {
        connection: ConnectionId,
        bytes: Vec<u8>,
    },
    /// End a connection: after what was sent has left (`Fin`), or at once (`Reset`). The id is spent.
    Close {
        connection: ConnectionId,
        how: CloseHow,
    },
    Disk {
        ticket: DiskTicket,
        request: DiskRequest,
    },
    /// Send a request to the domain controller over a connection of its own and wait for the answer, at most
    /// [`CONTROLLER_DEADLINE`]; answered by `ControllerAnswered`.
    AskController {
        ticket: ControllerTicket,
        controller: ServerAddress,
        request: Vec<u8>,
    },
    Emit(Event),
    /// Call `handle(Wake)` at this time. Each supersedes the one before; `deadline` names what is waited for.
    WakeAt {
        at: Timestamp,
        deadline: &'static str,
    },
}

/// The two doors of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Listener {
    /// T-SQL and transactions.
    Client,
    /// The database mirroring endpoint.
    Endpoint,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseHow {
    Fin,
    Reset,
}

/// How a stream ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    Fin,
    Reset,
}

/// Why a connection attempt failed. Silence ends at the connector's own deadline (21 s, as Windows').
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    #[error("11001(the name is not known)")]
    NameNotFound,
    #[error("10061(refused by the other side)")]
    Refused,
    #[error("10060(no answer)")]
    TimedOut,
    #[error("10065(the other side cannot be reached)")]
    Unreachable,
}

/// Why a port could not be listened on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    #[error("10048(the address is in use)")]
    AddressInUse,
    #[error("10049(the address is not one of this system)")]
    AddressNotLocal,
    #[error("{0}")]
    Other(String),
}

/// Pairs a request to the domain controller with its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ControllerTicket(pub u64);

/// How long the domain controller may take to answer, from the attempt to connect on ("controller deadline"). A login
/// asks up to three times and has to stay within its own deadline. Source: ours.
pub const CONTROLLER_DEADLINE: Duration = Duration::from_secs(5);

/// Why the domain controller gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControllerError {
    #[error("the system is a member of no domain that has a controller")]
    NoDomain,
    #[error(transparent)]
    Connect(ConnectError),
    #[error("no answer within {0} s")]
    TimedOut(u64),
    #[error("the connection ended before the answer: {0}")]
    Broken(String),
}

/// Pairs a disk request with its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DiskTicket(pub u64);

/// What the core asks of its disk. Everything a reply confirms survives power loss, except `Redo` with `durable: false`.
#[derive(Debug, Clone, PartialEq)]
pub enum DiskRequest {
    /// Write (or, with `None`, remove) entries of `master` in one durable transaction.
    Master {
        writes: Vec<(String, Option<Vec<u8>>)>,
    },
    /// Create the log and data files of a database, empty, its log beginning at `log_start`; replaces what is there.
    CreateDatabase {
        database: DatabaseName,
        log_start: Lsn,
        tables: Vec<String>,
        rows: Vec<RowChange>,
    },
    /// Read a database's files: its tables, rows, applied LSN and whole log.
    OpenDatabase {
        database: DatabaseName,
    },
    DropDatabase {
        database: DatabaseName,
    },
    /// Append `bytes` to the log at `at` (which is the end of what was appended before) and harden them. The first one
    /// after `OpenDatabase` may lie before the end of what was read: it cuts a torn tail off.
    AppendLog {
        database: DatabaseName,
        at: Lsn,
        bytes: Vec<u8>,
    },
    /// Cut the log back to `to`, durably.
    TruncateLog {
        database: DatabaseName,
        to: Lsn,
    },
    /// Log before `before` is needed no more: begin the log there, durably. The data file must hold it durably.
    DiscardLog {
        database: DatabaseName,
        before: Lsn,
    },
    /// Apply rows, new tables and tables whose creation is undone (`dropped`, without rows by then) to the data file, with
    /// `applied` in the same transaction. Without `durable` the
    /// transaction may be lost at power loss (the log redoes it). One that fails and drops no table is not void: what it was
    /// to apply waits for the next.
    Redo {
        database: DatabaseName,
        tables: Vec<String>,
        dropped: Vec<String>,
        changes: Vec<RowChange>,
        applied: Lsn,
        durable: bool,
    },
    /// Give a page of the data file this content, durably: that of the log as far as `Redo` was asked for.
    RestorePage {
        database: DatabaseName,
        page: PageKey,
        rows: Vec<(i64, i64)>,
    },
    /// Read a page of the data file from the disk; answered `Damaged` if it is.
    CheckPage {
        database: DatabaseName,
        page: PageKey,
    },
    /// Write a new file durably; fails if it exists.
    WriteFile {
        path: String,
        bytes: Vec<u8>,
    },
    ReadFile {
        path: String,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum DiskReply {
    Done,
    /// Done, but for what concerned these pages of the data file: they are damaged.
    Damaged(Vec<DamagedPage>),
    Database(DatabaseImage),
    File(Vec<u8>),
}

/// A database's files as read at open.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DatabaseImage {
    pub tables: Vec<String>,
    /// `(table, key, value)`.
    pub rows: Vec<(String, i64, i64)>,
    pub applied: Lsn,
    /// Pages whose rows are not among `rows`.
    pub damaged: Vec<DamagedPage>,
    /// Where the log file begins, and its bytes to the end of the file (a torn tail included).
    pub log_start: Lsn,
    pub log: Vec<u8>,
}

/// Why a disk request failed. The text names the operation and the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    #[error("{0} does not exist")]
    NotFound(String),
    #[error("{0} already exists")]
    AlreadyExists(String),
    #[error("the disk is full: {0}")]
    Full(String),
    #[error("{0} is damaged: {1}")]
    Damaged(String, String),
    #[error("{0}")]
    Io(String),
}
