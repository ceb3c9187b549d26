//! Hand-made histories for the oracles' tests.

use super::{End, Oracle, Violation};
use crate::types::{
    ClosedBy, ConnectionId, DatabaseName, EncryptionInUse, EndpointEvent, Event, Guid, InstanceEvent,
    InstanceName, Lsn, MirroringState, PartnerRole, Safety, ServerAddress, SessionEvent, Source, Stamped,
    SwitchKind, Timestamp, TransactionId, WorldEvent,
};

pub(super) fn db() -> DatabaseName {
    DatabaseName::new("Sales")
}

pub(super) fn guid() -> Guid {
    Guid::from_bytes([7; 16])
}

/// An event of an instance at a second.
pub(super) fn on(second: u64, who: &str, event: impl Into<Event>) -> Stamped {
    Stamped {
        at: Timestamp::from_secs(second),
        source: Source::Instance(InstanceName::new(who)),
        event: event.into(),
    }
}

pub(super) fn world(second: u64, event: WorldEvent) -> Stamped {
    Stamped {
        at: Timestamp::from_secs(second),
        source: Source::World,
        event: event.into(),
    }
}

pub(super) fn client(second: u64, event: crate::types::ClientEvent) -> Stamped {
    Stamped {
        at: Timestamp::from_secs(second),
        source: Source::Client("app".into()),
        event: event.into(),
    }
}

/// alpha is principal, beta mirror of one session.
pub(super) fn pair() -> Vec<Stamped> {
    let configured = |role, partner| SessionEvent::Configured {
        database: db(),
        session: guid(),
        role,
        partner: ServerAddress::new(partner, 7022),
    };
    vec![
        on(0, "beta", configured(PartnerRole::Mirror, "alpha.lab.example")),
        on(0, "alpha", configured(PartnerRole::Principal, "beta.lab.example")),
        on(0, "alpha", role(PartnerRole::Principal, 1)),
        on(0, "beta", role(PartnerRole::Mirror, 1)),
    ]
}

pub(super) fn role(to: PartnerRole, role_sequence: u32) -> SessionEvent {
    SessionEvent::Role {
        database: db(),
        from: None,
        to,
        role_sequence,
    }
}

pub(super) fn state(role: PartnerRole, to: MirroringState) -> SessionEvent {
    SessionEvent::State {
        database: db(),
        role,
        from: None,
        to,
        trace_id: None,
    }
}

pub(super) fn generated(role_sequence: u32, start: u64, end: u64, crc: u32) -> SessionEvent {
    SessionEvent::LogGenerated {
        database: db(),
        role_sequence,
        start: Lsn::new(start),
        end: Lsn::new(end),
        crc,
    }
}

pub(super) fn hardened(role_sequence: u32, start: u64, end: u64, crc: u32) -> SessionEvent {
    SessionEvent::LogHardened {
        database: db(),
        role_sequence,
        start: Lsn::new(start),
        end: Lsn::new(end),
        crc,
    }
}

pub(super) fn sent(to: u64) -> SessionEvent {
    SessionEvent::LogSent {
        database: db(),
        to: Lsn::new(to),
    }
}

pub(super) fn redone(to: u64) -> SessionEvent {
    SessionEvent::Redone {
        database: db(),
        to: Lsn::new(to),
    }
}

pub(super) fn failover_lsn(lsn: u64) -> SessionEvent {
    SessionEvent::FailoverLsn {
        database: db(),
        lsn: Lsn::new(lsn),
    }
}

pub(super) fn recovered(end: u64) -> SessionEvent {
    SessionEvent::LogRecovered {
        database: db(),
        end: Lsn::new(end),
        redone: Lsn::new(end),
    }
}

pub(super) fn truncated(to: u64) -> SessionEvent {
    SessionEvent::LogTruncated {
        database: db(),
        to: Lsn::new(to),
    }
}

/// The role changes hands.
pub(super) fn switch(from: PartnerRole, to: PartnerRole, role_sequence: u32) -> SessionEvent {
    SessionEvent::Role {
        database: db(),
        from: Some(from),
        to,
        role_sequence,
    }
}

pub(super) fn reverted(from: u64, to: u64) -> SessionEvent {
    SessionEvent::LogReverted {
        database: db(),
        from: Lsn::new(from),
        to: Lsn::new(to),
    }
}

pub(super) fn acked(role_sequence: u32, lsn: u64, state: Option<MirroringState>) -> SessionEvent {
    SessionEvent::CommitAcknowledged {
        database: db(),
        transaction: TransactionId(lsn),
        lsn: Lsn::new(lsn),
        role_sequence,
        state,
    }
}

pub(super) fn takeover(kind: SwitchKind, role_sequence: u32) -> SessionEvent {
    SessionEvent::Takeover {
        database: db(),
        kind,
        role_sequence,
        failover_lsn: Lsn::ZERO,
        safety_full: true,
        was_synchronized: true,
        witness_connected: true,
    }
}

/// What a fresh oracle says of a history that ends in `end`.
pub(super) fn judge_until<O: Oracle + Default>(events: &[Stamped], end: &End) -> Vec<Violation> {
    let mut oracle = O::default();
    let mut out = Vec::new();
    for event in events {
        oracle.observe(event, &mut out);
    }
    oracle.finish(end, &mut out);
    out
}

pub(super) fn judge<O: Oracle + Default>(events: &[Stamped]) -> Vec<Violation> {
    let end = End {
        at: events.last().map_or(Timestamp::ZERO, |e| e.at),
        ..End::default()
    };
    judge_until::<O>(events, &end)
}

/// The history is legal and longer than nothing.
pub(super) fn assert_quiet<O: Oracle + Default>(events: &[Stamped]) {
    assert!(!events.is_empty());
    assert_eq!(judge::<O>(events), []);
}

/// The history breaks the promise `oracle`, exactly once.
pub(super) fn assert_red<O: Oracle + Default>(events: &[Stamped], oracle: &str) {
    let violations = judge::<O>(events);
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert_eq!(violations[0].oracle, oracle);
}

/// The identity of an instance in hand-made histories.
pub(super) fn identity(who: &str) -> Guid {
    Guid::from_bytes([who.as_bytes()[0]; 16])
}

pub(super) fn started(second: u64, who: &str) -> Stamped {
    let event = InstanceEvent::Started {
        server_name: who.to_uppercase(),
        instance: identity(who),
    };
    on(second, who, event)
}

/// `who` has a connection to `peer` that is logged in.
pub(super) fn joined(second: u64, who: &str, connection: u64, peer: &str) -> Stamped {
    logged_in(second, who, connection, peer, false)
}

/// `who` has let `peer` in.
pub(super) fn accepted(second: u64, who: &str, connection: u64, peer: &str) -> Stamped {
    logged_in(second, who, connection, peer, true)
}

fn logged_in(second: u64, who: &str, connection: u64, peer: &str, accepted: bool) -> Stamped {
    let event = EndpointEvent::LoggedIn {
        connection: ConnectionId(connection),
        peer: identity(peer),
        accepted,
        principal: format!("{peer}_login"),
        authentication: "CERTIFICATE".into(),
        encryption: EncryptionInUse::None,
        local_level: "SUPPORTED".into(),
        connect_granted: true,
    };
    on(second, who, event)
}

/// The number of the connection that `who` has to `peer` in [`pair_connected`] and [`trio`]; the one that a partner has
/// accepted of its partner is [`ACCEPTED`] above it.
pub(super) fn connection(who: &str, peer: &str) -> u64 {
    u64::from(who.as_bytes()[0]) * 1_000 + u64::from(peer.as_bytes()[0])
}

pub(super) const ACCEPTED: u64 = 1_000_000;

/// `who` loses what it has to `peer`; the other side does not notice.
pub(super) fn parted(second: u64, who: &str, peer: &str) -> Vec<Stamped> {
    let mut events = parted_by(second, who, peer, ClosedBy::Reset).to_vec();
    if ![who, peer].contains(&"gamma") {
        let connection = ConnectionId(connection(who, peer) + ACCEPTED);
        let by = ClosedBy::Local;
        events.push(on(second, who, closed(connection, by)));
    }
    events
}

/// What it takes for [`parted`] to be over.
pub(super) fn rejoined(second: u64, who: &str, peer: &str) -> Vec<Stamped> {
    let number = connection(who, peer);
    vec![
        joined(second, who, number, peer),
        accepted(second, who, number + ACCEPTED, peer),
    ]
}

/// A ping arrives at `who` on the connection that it has to `peer`.
pub(super) fn pinged(second: u64, who: &str, peer: &str) -> Stamped {
    let connection = ConnectionId(connection(who, peer));
    on(second, who, EndpointEvent::PingReceived { connection })
}

/// The settings on record, of which the oracles see the partner timeout, safety and suspension.
pub(super) fn settings(
    safety: Safety,
    sequences: (u32, u32),
    suspended: bool,
    timeout_seconds: u16,
) -> SessionEvent {
    SessionEvent::Settings {
        database: db(),
        session: guid(),
        safety,
        safety_sequence: sequences.0,
        suspended,
        suspend_sequence: sequences.1,
        timeout_seconds,
        redo_queue_mb: None,
    }
}

/// A connection has ended, for no error.
fn closed(connection: ConnectionId, by: ClosedBy) -> EndpointEvent {
    let error = None;
    EndpointEvent::Closed {
        connection,
        by,
        error,
    }
}

pub(super) fn parted_by(second: u64, who: &str, peer: &str, by: ClosedBy) -> [Stamped; 1] {
    let connection = ConnectionId(connection(who, peer));
    [on(second, who, closed(connection, by))]
}

/// alpha is principal and serves, beta mirror, connected and synchronized.
pub(super) fn pair_connected() -> Vec<Stamped> {
    let mut events = vec![started(0, "alpha"), started(0, "beta"), started(0, "gamma")];
    events.extend(pair());
    events.push(on(0, "alpha", serving(true, 1)));
    for (one, other) in [("alpha", "beta"), ("beta", "alpha")] {
        events.extend(rejoined(0, one, other));
    }
    events.extend([
        on(
            0,
            "beta",
            state(PartnerRole::Mirror, MirroringState::Synchronizing),
        ),
        on(
            0,
            "alpha",
            state(PartnerRole::Principal, MirroringState::Synchronizing),
        ),
        on(
            0,
            "beta",
            state(PartnerRole::Mirror, MirroringState::Synchronized),
        ),
        on(
            0,
            "alpha",
            state(PartnerRole::Principal, MirroringState::Synchronized),
        ),
    ]);
    events
}

/// The same with gamma as the witness, in full quorum.
pub(super) fn trio() -> Vec<Stamped> {
    let mut events = pair_connected();
    for partner in ["alpha", "beta"] {
        events.push(joined(0, partner, connection(partner, "gamma"), "gamma"));
        events.push(accepted(0, "gamma", connection("gamma", partner), partner));
    }
    events.push(on(0, "gamma", recorded("ALPHA", 1, true)));
    for who in ["alpha", "beta"] {
        let witness = SessionEvent::WitnessSet {
            database: db(),
            witness: Some(ServerAddress::new("gamma", 7022)),
            anew: false,
        };
        events.push(on(0, who, witness));
    }
    events
}

pub(super) fn serving(serving: bool, role_sequence: u32) -> SessionEvent {
    SessionEvent::Serving {
        database: db(),
        serving,
        role_sequence,
        reason: "it is so".into(),
    }
}

/// The witness's record.
pub(super) fn recorded(owner: &str, role_sequence: u32, synchronized: bool) -> SessionEvent {
    SessionEvent::WitnessRecord {
        database: db(),
        session: guid(),
        owner: owner.into(),
        role_sequence,
        synchronized,
    }
}

/// The witness gives the role to the mirror.
pub(super) fn granted(role_sequence: u32) -> SessionEvent {
    SessionEvent::WitnessVerdict {
        database: db(),
        granted: true,
        role_sequence,
        reason: "the principal is gone".into(),
    }
}

pub(super) fn world_step(second: u64, text: &str) -> Stamped {
    world(second, WorldEvent::Step { text: text.into() })
}

pub(super) fn killed(second: u64, who: &str) -> Stamped {
    let instance = InstanceName::new(who);
    world(second, WorldEvent::ProcessKilled { instance })
}

/// `who` gives up by itself.
pub(super) fn stopped(second: u64, who: &str) -> Stamped {
    let reason = "its disk is full".into();
    on(second, who, InstanceEvent::Stopped { reason })
}

/// The copy there cannot be used any more.
pub(super) fn unavailable(second: u64, who: &str) -> Stamped {
    let database = db();
    on(second, who, SessionEvent::Unavailable { database })
}

pub(super) fn killed_and_started(second: u64, who: &str) -> [Stamped; 3] {
    let instance = InstanceName::new(who);
    [
        killed(second, who),
        world(second, WorldEvent::ProcessStarted { instance }),
        started(second, who),
    ]
}

pub(super) fn fault(second: u64, id: u32, kind: &str, text: &str) -> Stamped {
    let (fault, text) = (kind.into(), text.into());
    world(second, WorldEvent::FaultFired { id, fault, text })
}
