//! Genuine values that several decoders are given, and the attacker of `tests/hostile` sends: a block of log, and a session
//! message's body of every kind.

use mirrorlab::log::{LogBlock, LogRecord};
use mirrorlab::types::{
    DatabaseName, Guid, Lsn, PageKey, PartnerRole, RecoveryPath, RowChange, Safety, SwitchKind, TransactionId,
};
use mirrorlab::wire::mirroring::{
    Body, Configuration, Denial, Hello, LogPosition, MirrorError, Open, WitnessAttach,
};
use mirrorlab::wire::pages::PageMessage;

/// A block of log of so many changes.
pub fn block(changes: i64) -> LogBlock {
    let set = |key| {
        LogRecord::Set(RowChange {
            table: "Ledger".into(),
            key,
            before: None,
            after: Some(key),
        })
    };
    let mut records = vec![LogRecord::CreateTable {
        table: "Ledger".into(),
    }];
    records.extend((0..changes).map(set));
    records.push(LogRecord::Commit {
        transaction: TransactionId(7),
    });
    LogBlock::new(Lsn::new(1), 1, records).expect("it fits")
}

/// A body of every kind, by its name.
pub fn bodies() -> Vec<(String, Body)> {
    let all = std::iter::successors(Some(open()), following);
    all.map(|body| (name(&body), body)).collect()
}

/// `WitnessReport { … }` is a `witness_report`.
fn name(body: &Body) -> String {
    let shown = format!("{body:?}");
    let mut name = String::new();
    for letter in shown.chars().take_while(|c| c.is_ascii_alphanumeric()) {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// The body of the kind behind this one's. A chain, so that a kind without its place in it does not compile.
fn following(body: &Body) -> Option<Body> {
    let lsn = Lsn::new(77);
    Some(match body {
        Body::Open(_) => Body::Opened {
            name: "BETA".into(),
            log: log(),
        },
        Body::Opened { .. } => Body::OpenRefused { number: 1408 },
        Body::OpenRefused { .. } => Body::Removed,
        Body::Removed => Body::NoSession,
        Body::NoSession => Body::Unavailable,
        Body::Unavailable => Body::Probe,
        Body::Probe => hello(),
        Body::Hello(_) => Body::Start {
            from: lsn,
            configuration: configuration(),
        },
        Body::Start { .. } => Body::StartSuspended {
            configuration: configuration(),
        },
        Body::StartSuspended { .. } => Body::Started {
            hardened: lsn,
            redone: Lsn::new(50),
        },
        Body::Started { .. } => Body::Supersede { to: 9 },
        Body::Supersede { .. } => Body::Block {
            frame: block(1).encode().to_vec(),
        },
        Body::Block { .. } => Body::HardenedUpTo { lsn },
        Body::HardenedUpTo { .. } => Body::RedoneUpTo { lsn },
        Body::RedoneUpTo { .. } => Body::Discarded { to: lsn },
        Body::Discarded { .. } => Body::Synchronize { at: lsn },
        Body::Synchronize { .. } => Body::Synchronized,
        Body::Synchronized => Body::Page(PageMessage::Request {
            request: 4,
            page: PageKey {
                table: "ledger".into(),
                range: 2,
            },
            at: lsn,
        }),
        Body::Page(_) => Body::Configure {
            configuration: configuration(),
        },
        Body::Configure { .. } => Body::Configured { sequence: 3 },
        Body::Configured { .. } => Body::Suspended {
            suspend_sequence: 9,
            error: Some(MirrorError {
                number: 824,
                state: 2,
                severity: 24,
            }),
        },
        Body::Suspended { .. } => Body::Resume,
        Body::Resume => Body::ResumeFrom { log: log() },
        Body::ResumeFrom { .. } => Body::ProposeWitness {
            address: "TCP://gamma:7022".parse().expect("an address"),
        },
        Body::ProposeWitness { .. } => Body::WitnessReached { reached: true },
        Body::WitnessReached { .. } => Body::FailoverPrepare { end: lsn },
        Body::FailoverPrepare { .. } => Body::TakeOver {
            end: lsn,
            mine: Lsn::new(50),
            check: 0x1234_5678,
        },
        Body::TakeOver { .. } => Body::FailoverRefused,
        Body::FailoverRefused => Body::FailoverDone { end: lsn },
        Body::FailoverDone { .. } => attach(),
        Body::WitnessAttach(_) => Body::SyncState {
            request: 4,
            synchronized: false,
        },
        Body::SyncState { .. } => Body::TakeoverRequest {
            request: 4,
            to: 9,
            forced: true,
        },
        Body::TakeoverRequest { .. } => Body::TakeoverDenied {
            request: 4,
            denial: Denial::NotSynchronized,
        },
        Body::TakeoverDenied { .. } => Body::WitnessReport {
            answers: 4,
            owner: "ALPHA".into(),
            synchronized: true,
        },
        Body::WitnessReport { .. } => Body::WitnessRefused { number: 1427 },
        Body::WitnessRefused { .. } => return None,
    })
}

fn open() -> Body {
    let family = Guid::from_bytes([6; 16]);
    Body::Open(Box::new(Open {
        database: DatabaseName::new("Sales"),
        family,
        name: "ALPHA".into(),
        log: log(),
        epoch_base: 2,
        backed_up: Lsn::new(20),
        path: RecoveryPath::born(family),
        configuration: configuration(),
    }))
}

/// A principal that takes itself for the newer one.
fn hello() -> Body {
    Body::Hello(Hello {
        reply_to: Some(7),
        role: PartnerRole::Principal,
        name: "ALPHA".into(),
        synchronized: true,
        takeover_pending: Some(9),
        takeover_forced: true,
        failover_pending: false,
        owner_by: Some(SwitchKind::Forced),
        log: log(),
        configuration: configuration(),
    })
}

fn attach() -> Body {
    Body::WitnessAttach(Box::new(WitnessAttach {
        invite: false,
        database: DatabaseName::new("Sales"),
        family: Guid::from_bytes([6; 16]),
        name: "ALPHA".into(),
        partner_name: "BETA".into(),
        role: PartnerRole::Principal,
        safety: Safety::Full,
        safety_sequence: 8,
        timeout_seconds: 5,
        suspended: true,
        suspend_sequence: 8,
        synchronized: true,
    }))
}

fn log() -> LogPosition {
    LogPosition {
        start: Lsn::new(1),
        end: Lsn::new(90),
        hardened: Lsn::new(77),
        check: 0x1234_5678,
        epochs: vec![(1, Lsn::new(1)), (3, Lsn::new(60))],
    }
}

fn configuration() -> Configuration {
    Configuration {
        sequence: 8,
        safety: Safety::Off,
        safety_sequence: 8,
        witness: Some("TCP://gamma.lab.example:7022".parse().expect("an address")),
        timeout_seconds: 5,
        redo_queue_mb: Some(64),
        suspended: true,
        suspend_sequence: 8,
    }
}
