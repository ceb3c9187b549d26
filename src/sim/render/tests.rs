//! The transcript reads as a story, and noise stays out of it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::sim::runner::{FaultCount, Verdict};
use crate::types::{DatabaseName, InstanceName, Lsn, PartnerRole, Timestamp, TransactionId};

fn stamped(millis: u64, source: Source, event: impl Into<Event>) -> Stamped {
    Stamped {
        at: Timestamp::from_millis(millis),
        source,
        event: event.into(),
    }
}

fn run_of(events: Vec<Stamped>) -> Run {
    let trace: crate::sim::trace::Trace = events.into_iter().collect();
    Run {
        scenario: "test/case".into(),
        seed: 1,
        verdict: Verdict::Pass,
        failures: Vec::new(),
        trace_hash: trace.hash(),
        trace,
        setup_end: Timestamp::from_millis(1_500),
        end: Timestamp::from_secs(30),
        wall: Duration::ZERO,
        faults: BTreeMap::from([(
            "kill".to_owned(),
            FaultCount {
                fired: 1,
                took_effect: 1,
            },
        )]),
        views: vec![FinalView {
            instance: InstanceName::new("beta"),
            lines: vec!["sys.database_mirroring  Sales  PRINCIPAL".into()],
        }],
        repro: "mirrorlab repro test/case@1".into(),
    }
}

#[test]
fn steps_stand_left_and_consequences_below_them() {
    let beta = || Source::Instance(InstanceName::new("beta"));
    let app = || Source::Client("app".into());
    let database = DatabaseName::new("Sales");
    let run = run_of(vec![
        stamped(
            1_000,
            Source::World,
            WorldEvent::Step {
                text: "set-up".into(),
            },
        ),
        stamped(
            1_700,
            app(),
            ClientEvent::Acknowledged {
                transaction: 1,
                values: vec![],
            },
        ),
        stamped(1_800, app(), ClientEvent::InDoubt { transaction: 2 }),
        stamped(
            13_500,
            Source::World,
            WorldEvent::FaultFired {
                id: 1,
                fault: "kill".into(),
                text: "kill alpha".into(),
            },
        ),
        stamped(
            13_600,
            beta(),
            SessionEvent::CommitAcknowledged {
                database: database.clone(),
                transaction: TransactionId(1),
                lsn: Lsn::new(1),
                role_sequence: 1,
                state: None,
            },
        ),
        stamped(
            13_700,
            beta(),
            SessionEvent::Role {
                database,
                from: Some(PartnerRole::Mirror),
                to: PartnerRole::Principal,
                role_sequence: 2,
            },
        ),
    ]);
    assert_eq!(
        transcript(&run),
        "   -0.500s  set-up
  +12.000s    app    1 acknowledged, 1 in doubt
  +12.000s  fault kill alpha
  +12.200s    beta   session(Sales)  MIRROR -> PRINCIPAL role_sequence=2"
    );
    assert_eq!(
        verdict(&run),
        "verdict   pass\nfault     kill fired 1 took effect 1"
    );
}
