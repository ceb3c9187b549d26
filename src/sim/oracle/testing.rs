//! Hand-made histories for the oracles' tests.

use super::{End, Oracle, Violation};
use crate::types::{
    DatabaseName, Event, Guid, InstanceName, Lsn, MirroringState, PartnerRole, ServerAddress, SessionEvent,
    Source, Stamped, SwitchKind, Timestamp, TransactionId, WorldEvent,
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
    let configured = |role| SessionEvent::Configured {
        database: db(),
        session: guid(),
        role,
        partner: ServerAddress::new("other", 7022),
    };
    vec![
        on(0, "beta", configured(PartnerRole::Mirror)),
        on(0, "alpha", configured(PartnerRole::Principal)),
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
