//! All oracles together: on a history in which an endpoint is reconfigured, which excuses nothing that is lost; and looking
//! at one scene, which must change no judgement.

use std::collections::BTreeSet;

use super::testing::*;
use super::{End, Oracle, Violation, all, each_by_itself};
use crate::sim::launch;
use crate::sim::runner::run;
use crate::sim::scenario::Library;
use crate::types::{EndpointEvent, MirroringState, Stamped, Timestamp};

/// The promises that a history breaks.
fn broken(events: &[Stamped]) -> BTreeSet<&'static str> {
    let violations = judged(all(), events);
    violations.into_iter().map(|violation| violation.oracle).collect()
}

fn judged(mut oracles: Vec<Box<dyn Oracle>>, events: &[Stamped]) -> Vec<Violation> {
    let mut out = Vec::new();
    for event in events {
        oracles
            .iter_mut()
            .for_each(|oracle| oracle.observe(event, &mut out));
    }
    let end = End {
        at: events.last().map_or(Timestamp::ZERO, |e| e.at),
        ..End::default()
    };
    oracles
        .iter_mut()
        .for_each(|oracle| oracle.finish(&end, &mut out));
    out
}

/// alpha and beta are synchronized, and alpha's endpoint has just been restarted.
fn reconfigured() -> Vec<Stamped> {
    let mut events = pair_connected();
    let change = "LISTENER_PORT = 7033".into();
    let altered = EndpointEvent::Altered {
        change,
        restarted: true,
    };
    events.push(on(1, "alpha", altered));
    events
}

fn synchronized() -> Option<MirroringState> {
    Some(MirroringState::Synchronized)
}

#[test]
fn a_commit_that_both_hardened_is_legal_after_a_restart_of_the_endpoint() {
    let mut events = reconfigured();
    events.extend([
        on(2, "alpha", generated(1, 100, 200, 7)),
        on(2, "alpha", hardened(1, 100, 200, 7)),
        on(2, "beta", hardened(1, 100, 200, 7)),
        on(2, "alpha", acked(1, 200, synchronized())),
    ]);
    let durability = [
        "sync-ack-means-both-hardened",
        "log-prefix",
        "one-acker-per-role-seq",
    ];
    let broken = broken(&events);
    assert!(
        durability.iter().all(|promise| !broken.contains(promise)),
        "{broken:?}"
    );
}

#[test]
fn a_commit_that_the_mirror_has_not_hardened_is_seen_after_a_restart_of_the_endpoint() {
    let mut events = reconfigured();
    events.extend([
        on(2, "alpha", generated(1, 100, 200, 7)),
        on(2, "alpha", hardened(1, 100, 200, 7)),
        on(2, "alpha", acked(1, 200, synchronized())),
    ]);
    assert!(broken(&events).contains("sync-ack-means-both-hardened"));
}

#[test]
fn a_log_of_another_content_is_seen_after_a_restart_of_the_endpoint() {
    let mut events = reconfigured();
    events.extend([
        on(2, "alpha", generated(1, 100, 200, 7)),
        on(2, "alpha", hardened(1, 100, 200, 7)),
        on(2, "beta", hardened(1, 100, 200, 8)),
    ]);
    assert!(broken(&events).contains("log-prefix"));
}

#[test]
fn a_second_principal_is_seen_after_a_restart_of_the_endpoint() {
    let mut events = reconfigured();
    events.extend([
        on(2, "alpha", acked(1, 200, synchronized())),
        on(3, "beta", acked(1, 200, synchronized())),
    ]);
    assert!(broken(&events).contains("one-acker-per-role-seq"));
}

#[test]
fn a_scene_that_is_shared_changes_no_judgement() {
    let library = Library::built_in();
    let scenario = library.load("failover/automatic_on_power_loss");
    let scenario = scenario.expect("a built-in scenario");
    let run = run(&launch::instances(), &scenario, scenario.seeds[0]);
    let mut broken = BTreeSet::new();
    // As it was, and with every fifth event left out, which breaks all sorts of promises.
    for left_out in 0..=5 {
        let events = run.trace.events().iter().enumerate();
        let events = events.filter(|(number, _)| number % 5 != left_out);
        let events: Vec<Stamped> = events.map(|(_, event)| event.clone()).collect();
        let shared = judged(all(), &events);
        assert_eq!(shared, judged(each_by_itself(), &events), "without {left_out}");
        broken.extend(shared.into_iter().map(|violation| violation.oracle));
    }
    assert!(broken.len() >= 10, "too little was broken: {broken:?}");
}
