//! The random schedules are worth something only if they reach what they are meant to put at risk.

use std::collections::BTreeMap;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::harness::Trio;
use super::schedule::{steps, take};

/// Most turns are reached within some hundreds; the rare ones take thousands.
const SCHEDULES_MAX: u32 = 20_000;

#[test]
fn schedules_reach_every_turn_of_the_protocol() {
    let turns = [
        "kind: Automatic",
        "kind: Manual",
        "LogReverted",
        "<- alpha: Supersede",
        "TakeoverDenied { request: ",
        "PrincipalConnected",
        "NotSynchronized",
        "the witness granted the principal role",
        "the witness names the other partner as principal",
        "the manual failover did not happen",
        "before the manual failover was recorded",
        "trace_id: Some(10)",
        "trace_id: Some(12)",
        "reply_to: Some",
        "done: Ok",
        "number: 1433",
        "number: 1421",
        "witness: None }",
        "kind: Forced",
        "StartSuspended",
        "ResumeFrom",
        "Suspended { suspend_sequence",
        "service is forced",
        "safety: Off",
        "number: 1455",
        "number: 1431",
        "number: 1447",
        "removed",
        "PageSent",
        "Page(AllHere",
        "ResumedByRepair",
    ];
    let mut reached: BTreeMap<&str, u32> = turns.iter().map(|turn| (*turn, 0)).collect();
    let mut runner = TestRunner::deterministic();
    for _ in 0..SCHEDULES_MAX {
        if reached.values().all(|count| *count > 0) {
            break;
        }
        let steps = steps().new_tree(&mut runner).expect("a schedule").current();
        let mut trio = Trio::started(true);
        trio.trace.clear();
        for step in &steps {
            take(&mut trio, step);
        }
        for (turn, count) in &mut reached {
            *count += u32::from(trio.trace.iter().any(|line| line.contains(turn)));
        }
    }
    let missed: Vec<_> = reached.iter().filter(|(_, count)| **count == 0).collect();
    assert!(missed.is_empty(), "never reached: {missed:?}; all: {reached:#?}");
}
