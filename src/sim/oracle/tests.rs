//! All oracles together on a history in which an endpoint is reconfigured: it excuses nothing that is lost.

use std::collections::BTreeSet;

use super::testing::*;
use super::{End, all};
use crate::types::{EndpointEvent, MirroringState, Stamped, Timestamp};

/// The promises that a history breaks.
fn broken(events: &[Stamped]) -> BTreeSet<&'static str> {
    let mut oracles = all();
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
    out.into_iter().map(|violation| violation.oracle).collect()
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
