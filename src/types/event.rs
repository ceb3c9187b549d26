//! The typed record of a run: what the trace stores, the oracles read and the snapshots render.
//!
//! Events are facts in the manual's words. They carry what an oracle needs to judge without asking the implementation
//! (log extents with checksums, role sequences, who acknowledged what), never secrets.

use serde::{Deserialize, Serialize};

use super::{
    ConnectionId, DatabaseName, EncryptionInUse, EndpointSettings, Guid, HeldCertificate, InstanceName,
    LinkState, Lsn, MirroringState, PageError, PageKey, PartnerRole, RepairStatus, RoleSequence, Safety,
    ServerAddress, Timestamp, TransactionId,
};

/// Who speaks. Ordered so that a trace can group by source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The simulation itself: faults, scenario steps, processes and systems going up and down.
    World,
    Instance(InstanceName),
    /// An application, by its name in the scenario.
    Client(String),
}

/// One line of the trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped {
    pub at: Timestamp,
    pub source: Source,
    #[serde(flatten)]
    pub event: Event,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "area", rename_all = "snake_case")]
pub enum Event {
    World(WorldEvent),
    Instance(InstanceEvent),
    Endpoint(EndpointEvent),
    Session(SessionEvent),
    Client(ClientEvent),
}

impl Event {
    /// The database it is about, with events that change a state.
    pub fn database(&self) -> Option<&DatabaseName> {
        match self {
            Event::Session(SessionEvent::State { database, .. }) => Some(database),
            _ => None,
        }
    }

    /// The connection between endpoints that was opened or ended.
    pub fn peer_connection(&self) -> Option<ConnectionId> {
        match self {
            Event::Endpoint(
                EndpointEvent::Connecting { connection, .. }
                | EndpointEvent::Connected { connection }
                | EndpointEvent::ConnectFailed { connection, .. }
                | EndpointEvent::Accepted { connection, .. }
                | EndpointEvent::Closed { connection, .. },
            ) => Some(*connection),
            _ => None,
        }
    }
}

macro_rules! event_from {
    ($($variant:ident($inner:ident)),*) => {
        $(impl From<$inner> for Event {
            fn from(event: $inner) -> Event {
                Event::$variant(event)
            }
        })*
    };
}
event_from!(
    World(WorldEvent),
    Instance(InstanceEvent),
    Endpoint(EndpointEvent),
    Session(SessionEvent),
    Client(ClientEvent)
);

/// What the world did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum WorldEvent {
    /// A scenario step began; `text` is its one-line rendering.
    Step {
        text: String,
    },
    /// A fault began. `fault` is its kind (`drop`, `kill` …), `id` pairs it with `FaultEnded` and `FaultTookEffect`.
    FaultFired {
        id: u32,
        fault: String,
        text: String,
    },
    /// The fault was seen to change something: a packet was dropped, a process died, a sync failed.
    FaultTookEffect {
        id: u32,
    },
    FaultEnded {
        id: u32,
        fault: String,
        text: String,
    },
    ProcessStarted {
        instance: InstanceName,
    },
    ProcessKilled {
        instance: InstanceName,
    },
    SystemDown {
        system: String,
    },
    SystemUp {
        system: String,
    },
    /// The process of a domain's controller began.
    ControllerUp {
        domain: String,
    },
    /// It ended, by itself or with its system.
    ControllerDown {
        domain: String,
    },
    /// A stream carries session messages in clear (found by the wire tap; told once for each).
    ClearSessionMessage {
        from: String,
        to: String,
    },
    /// A stream carries sealed session messages (found by the wire tap; told once for each direction).
    SealedSessionMessage {
        from: String,
        to: String,
    },
    /// All faults are healed and no command is pending; liveness bounds count from here.
    Quiet,
}

/// What an instance did outside its endpoint and sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum InstanceEvent {
    /// `instance` is the identity its endpoint connections prove.
    Started {
        server_name: String,
        instance: Guid,
    },
    /// It stopped by itself, because it can no longer keep its promises.
    Stopped {
        reason: String,
    },
    /// All certificates of `master`, told at the start and whenever one of them changes.
    CertificatesHeld {
        certificates: Vec<HeldCertificate>,
    },
    /// The logins that may connect to the endpoint, as the permissions in `master` come to: told whenever that changes,
    /// before the change is answered.
    MayConnect {
        logins: Vec<String>,
    },
    /// A batch was executed for a client; `error` is the number of the error that ended it.
    BatchDone {
        connection: ConnectionId,
        error: Option<u32>,
    },
    /// A line of the instance's error log.
    ErrorLog {
        number: u32,
        severity: u8,
        state: u8,
        text: String,
    },
    ClientConnected {
        connection: ConnectionId,
        database: Option<DatabaseName>,
    },
    ClientRefused {
        connection: ConnectionId,
        number: u32,
    },
    /// A deadline fired and was acted on. The name says which: "partner timeout", "reconnect" …
    Deadline {
        name: String,
    },
    DiskError {
        request: String,
        error: String,
    },
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosedBy {
    /// This instance closed it (endpoint stopped, login refused, arbitration lost …).
    Local,
    /// The peer closed it in order (FIN).
    Peer,
    /// The transport reported a failure (RST).
    Reset,
    /// No frame from the peer within the partner timeout.
    Timeout,
}

/// What the database mirroring endpoint of an instance did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EndpointEvent {
    Listening {
        port: u16,
    },
    StoppedListening {
        port: u16,
    },
    CannotListen {
        port: u16,
        error: String,
    },
    /// DDL changed the endpoint; `change` is readable (`STATE = STOPPED`), `restarted` says whether connections fell.
    Altered {
        change: String,
        restarted: bool,
    },
    /// So the endpoint is configured from here on: told at the start, and when a statement has taken effect.
    Configured {
        settings: Box<EndpointSettings>,
    },
    /// There is no endpoint any more.
    Dropped {
        name: String,
    },
    Connecting {
        connection: ConnectionId,
        address: ServerAddress,
    },
    /// The TCP connection this side asked for is open.
    Connected {
        connection: ConnectionId,
    },
    ConnectFailed {
        connection: ConnectionId,
        address: ServerAddress,
        number: u32,
        error: String,
    },
    Accepted {
        connection: ConnectionId,
        from: String,
    },
    LoginState {
        connection: ConnectionId,
        state: String,
    },
    /// The two configurations agree. The lists hold the methods of either side, in its order.
    Negotiated {
        connection: ConnectionId,
        accepted: bool,
        local: Vec<String>,
        remote: Vec<String>,
    },
    /// An authentication method failed, here or at the peer, and the next of the agreement is tried.
    MethodFailed {
        connection: ConnectionId,
        accepted: bool,
        method: String,
        number: u32,
        text: String,
    },
    /// The peer has authenticated with this certificate, told before `LoggedIn`. `thumbprint` is of the one it showed.
    CertificateShown {
        connection: ConnectionId,
        thumbprint: String,
    },
    /// The handshake is complete. `principal` is the login that was checked, `connect_granted` the acceptor's verdict.
    LoggedIn {
        connection: ConnectionId,
        peer: Guid,
        accepted: bool,
        principal: String,
        authentication: String,
        encryption: EncryptionInUse,
        /// This side's configured level: DISABLED, SUPPORTED, REQUIRED.
        local_level: String,
        connect_granted: bool,
    },
    /// The handshake failed here; the peer only sees the connection end.
    LoginFailed {
        connection: ConnectionId,
        accepted: bool,
        number: u32,
        text: String,
    },
    /// The trace event *Audit Database Mirroring Login* (class 154), raised on both sides.
    AuditLogin {
        connection: ConnectionId,
        audit: Box<LoginAudit>,
    },
    /// A session message from this peer was acted on (first one per connection and session).
    SessionTraffic {
        connection: ConnectionId,
        database: DatabaseName,
    },
    /// A ping arrived on a connection that is logged in.
    PingReceived {
        connection: ConnectionId,
    },
    /// `error` is the number of what this side closed it for, where there is one.
    Closed {
        connection: ConnectionId,
        by: ClosedBy,
        error: Option<u32>,
    },
}

/// The columns of *Audit Database Mirroring Login* that are used. Source: documented, the page of this name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginAudit {
    /// `EventSubClass`, 1 to 6.
    pub subclass: u8,
    pub subclass_name: String,
    /// `ObjectName`: the address of the other side as this one has it.
    pub connect_string: String,
    /// `OwnerName`: the methods of this endpoint, in its order.
    pub local_methods: String,
    /// `FileName`: those of the peer, once it has said them.
    pub remote_methods: Option<String>,
    /// `ProviderName`: the method that was tried last.
    pub method: Option<String>,
    /// `RoleName`: initiator or target.
    pub role: String,
    /// `TargetUserName`: in which state of the login it ended.
    pub login_state: String,
    /// `State` of the error; 1 for a success.
    pub state: u8,
    /// `Error`: 28046, or the number of the failure.
    pub number: u32,
    /// `LoginName`, once it is proved.
    pub user: Option<String>,
    /// `NTDomainName` and `NTUserName`, `DOMAIN\user`: the Windows account it is about, proved or only named by the
    /// peer.
    pub account: Option<String>,
}

/// How a role changed hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SwitchKind {
    Automatic,
    Manual,
    Forced,
}

/// What one session did on one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum SessionEvent {
    /// SET PARTNER took effect (on the mirror it waits, on the principal it starts the session).
    Configured {
        database: DatabaseName,
        session: Guid,
        role: PartnerRole,
        partner: ServerAddress,
    },
    Removed {
        database: DatabaseName,
        session: Guid,
    },
    /// The database cannot be used here, mirrored or not: its log failed, or it was opened and cannot be trusted. Until
    /// `LogRecovered`.
    Unavailable {
        database: DatabaseName,
    },
    /// The witness that this partner has on record: `anew` if the partner has just begun and it may have been told before.
    WitnessSet {
        database: DatabaseName,
        witness: Option<ServerAddress>,
        #[serde(default)]
        anew: bool,
    },
    /// The settings that this partner or witness has on record, told when they change and when a partner begins anew.
    /// `timeout_seconds` is the partner timeout as set, whatever SAFETY makes of it; a witness knows of no `redo_queue_mb`.
    Settings {
        database: DatabaseName,
        session: Guid,
        safety: Safety,
        safety_sequence: u32,
        suspended: bool,
        suspend_sequence: u32,
        timeout_seconds: u16,
        redo_queue_mb: Option<u32>,
    },
    Role {
        database: DatabaseName,
        from: Option<PartnerRole>,
        to: PartnerRole,
        role_sequence: RoleSequence,
    },
    /// `trace_id` is the id of the product's *Database Mirroring State Change* event (0–13), if one belongs to it.
    State {
        database: DatabaseName,
        role: PartnerRole,
        from: Option<MirroringState>,
        to: MirroringState,
        trace_id: Option<u8>,
    },
    Links {
        database: DatabaseName,
        partner: LinkState,
        witness: Option<LinkState>,
    },
    /// Whether clients may use the database, and why.
    Serving {
        database: DatabaseName,
        serving: bool,
        role_sequence: RoleSequence,
        reason: String,
    },
    /// Messages of this session and role sequence are acted on from here (greetings and the end of a session apart);
    /// told whenever one of the two differs from the message before.
    ActsOn {
        database: DatabaseName,
        session: Guid,
        role_sequence: RoleSequence,
    },
    /// This instance generated a block (as principal). `crc` is over the block's bytes.
    LogGenerated {
        database: DatabaseName,
        role_sequence: RoleSequence,
        start: Lsn,
        end: Lsn,
        crc: u32,
    },
    /// A block is on this instance's log disk; `role_sequence` is the one it was generated under.
    LogHardened {
        database: DatabaseName,
        role_sequence: RoleSequence,
        start: Lsn,
        end: Lsn,
        crc: u32,
    },
    /// The principal has sent its log up to `to` on the present link.
    LogSent {
        database: DatabaseName,
        to: Lsn,
    },
    /// The principal knows log up to `lsn` to be hardened on both partners (`mirroring_failover_lsn`).
    FailoverLsn {
        database: DatabaseName,
        lsn: Lsn,
    },
    /// The database's files were opened: its log was read up to `end`, and all of that is hardened; the data file reflects
    /// it up to `redone`. Told of new files as well, which CREATE or RESTORE put in the place of what was there: their log
    /// goes on from `end`.
    LogRecovered {
        database: DatabaseName,
        end: Lsn,
        redone: Lsn,
    },
    /// Log before `to` is not kept any more.
    LogTruncated {
        database: DatabaseName,
        to: Lsn,
    },
    /// The log was cut back to `to`: everything from there on is undone.
    LogReverted {
        database: DatabaseName,
        from: Lsn,
        to: Lsn,
    },
    /// The copy reflects its log up to `to`: a mirror's data file has come so far, or the recovery of a copy that is no mirror.
    Redone {
        database: DatabaseName,
        to: Lsn,
    },
    /// A page of the data file (`number` in this copy) cannot be read.
    PageDamaged {
        database: DatabaseName,
        page: PageKey,
        number: u32,
        error: PageError,
    },
    PageRepair {
        database: DatabaseName,
        page: PageKey,
        status: RepairStatus,
    },
    /// A partner asked the other for a page that reflects the log at least up to `at`.
    PageRequested {
        database: DatabaseName,
        page: PageKey,
        request: u64,
        at: Lsn,
    },
    /// It was sent as the log up to `lsn` makes it; the request asked for `at`.
    PageSent {
        database: DatabaseName,
        page: PageKey,
        request: u64,
        at: Lsn,
        lsn: Lsn,
    },
    /// The principal resumes the session that the mirror suspended (with this sequence) for a repair: it has its pages.
    ResumedByRepair {
        database: DatabaseName,
        suspend_sequence: u32,
    },
    /// The principal told a client that its transaction committed. `state` is the session's state at that moment.
    CommitAcknowledged {
        database: DatabaseName,
        transaction: TransactionId,
        lsn: Lsn,
        role_sequence: RoleSequence,
        state: Option<MirroringState>,
    },
    /// A partner took the principal role. The flags are what it relied on.
    Takeover {
        database: DatabaseName,
        kind: SwitchKind,
        role_sequence: RoleSequence,
        failover_lsn: Lsn,
        safety_full: bool,
        was_synchronized: bool,
        witness_connected: bool,
    },
    /// The witness wrote its record, or started with it.
    WitnessRecord {
        database: DatabaseName,
        session: Guid,
        owner: String,
        role_sequence: RoleSequence,
        synchronized: bool,
    },
    /// The witness was asked for the principal role and answered.
    WitnessVerdict {
        database: DatabaseName,
        granted: bool,
        role_sequence: RoleSequence,
        reason: String,
    },
    /// A note for the reader that no oracle needs.
    Note {
        database: DatabaseName,
        text: String,
    },
}

/// What an application saw. Transactions carry the application's own number, unique in the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ClientEvent {
    Connected {
        to: InstanceName,
        failover_partner: Option<String>,
    },
    ConnectFailed {
        to: String,
        error: String,
    },
    Submitted {
        transaction: u64,
        to: InstanceName,
        operation: String,
    },
    /// The server said committed. `values` are what a read returned.
    Acknowledged {
        transaction: u64,
        values: Vec<Option<i64>>,
    },
    /// The server said no: nothing happened.
    Refused {
        transaction: u64,
        number: u32,
    },
    /// The connection was lost before an answer: it may or may not have happened.
    InDoubt {
        transaction: u64,
    },
    /// The answer to a scenario's own batch.
    Batch {
        on: InstanceName,
        reply: super::Reply,
    },
}
