//! The documented outcomes, one by one: link patterns, lost processes, commands and their refusals.

use std::time::Duration;

use super::harness::{A, B, Trio, W, address};
use crate::session::{Command, LinkLoss, PartnerInput};
use crate::types::{Event, MirroringState, PartnerRole, Safety, ServerAddress, SessionEvent};

const PM: usize = 0;
const PW: usize = 1;
const MW: usize = 2;

fn cut(trio: &mut Trio, links: &[usize]) {
    for link in links {
        trio.cut(*link, 0);
    }
    trio.drain();
    trio.pass(Duration::from_secs(2));
    trio.drain();
}

/// `(serves, role, state)` of a partner.
fn shows(trio: &Trio, of: usize) -> (bool, PartnerRole, Option<MirroringState>) {
    let partner = trio.partner(of);
    (partner.is_serving(), partner.role(), partner.state())
}

#[test]
fn the_loss_of_a_witness_that_is_replaced_is_not_that_of_the_new_one() {
    let mut trio = Trio::started(true);
    let address = ServerAddress::new("delta", 7022);
    trio.command(A, Command::SetWitness { address });
    let lost = || PartnerInput::WitnessDown {
        cause: LinkLoss::Hard,
    };
    while trio.partner(A).record().witness.is_some() {
        assert!(trio.advance(), "{:#?}", trio.trace);
    }
    trio.input(A, lost());
    assert!(trio.partner(A).has_command());
    // The new one cannot be reached.
    trio.input(A, lost());
    assert_eq!(trio.sides[A].done.last(), Some(&Err(1427)));
}

/// What a partner showed since `from`, by product event.
fn states_since(
    trio: &Trio,
    of: usize,
    from: usize,
) -> Vec<(Option<MirroringState>, MirroringState, Option<u8>)> {
    let shown = trio.sides[of].events[from..]
        .iter()
        .filter_map(|event| match event {
            Event::Session(SessionEvent::State {
                from, to, trace_id, ..
            }) => Some((*from, *to, *trace_id)),
            _ => None,
        });
    shown.collect()
}

/// Restarts a partner that nobody can reach; what it shows then.
fn shown_at_restart(trio: &mut Trio, of: usize) -> Vec<(Option<MirroringState>, MirroringState, Option<u8>)> {
    trio.crash(of, 0);
    let from = trio.sides[of].events.len();
    trio.restart(of);
    trio.drain();
    states_since(trio, of, from)
}

#[test]
fn a_restarted_partner_shows_its_state_before_it_meets_anybody() {
    use MirroringState::{Disconnected, Suspended};
    for with_witness in [false, true] {
        for safety in [Safety::Full, Safety::Off] {
            for suspended in [false, true] {
                for of in [A, B] {
                    let mut trio = Trio::started(with_witness);
                    trio.command(A, Command::Safety { safety });
                    trio.calm();
                    if suspended {
                        trio.command(A, Command::Suspend);
                        trio.calm();
                    }
                    let shown = shown_at_restart(&mut trio, of);
                    let to = if suspended { Suspended } else { Disconnected };
                    let mut expected = Vec::new();
                    // T18, and what belongs to it: 9 a pause; 12 T4, exposed; 10 T5, no quorum.
                    if suspended {
                        expected.push((None, to, Some(9)));
                    }
                    let before = expected.last().map(|_| to);
                    match (with_witness, of, safety) {
                        (true, ..) => expected.push((before, to, Some(10))),
                        _ if suspended => {}
                        (false, A, Safety::Full) => expected.push((None, to, Some(12))),
                        _ => expected.push((None, to, None)),
                    }
                    assert_eq!(shown, expected, "{with_witness} {safety:?} {suspended} {of}");
                    assert_eq!(trio.partner(of).is_serving(), of == A && !with_witness);
                }
            }
        }
    }
}

#[test]
fn the_send_queue_of_a_restarted_principal_is_what_its_mirror_lacks() {
    for with_witness in [false, true] {
        let mut trio = Trio::started(with_witness);
        for _ in 0..20 {
            trio.append(A);
            trio.drain();
        }
        // Makes a record, and with it how far both have hardened.
        trio.command(A, Command::Timeout { seconds: 20 });
        trio.calm();
        trio.cut(PM, 0);
        trio.drain();
        trio.append(A);
        trio.drain();
        let queue = |trio: &Trio| trio.partner(A).queues(&trio.sides[A].log).0;
        let before = queue(&trio);
        assert!(before > 0);
        trio.crash(A, 0);
        trio.restart(A);
        assert_eq!(queue(&trio), before);
    }
}

fn trace_ids(trio: &Trio, of: usize) -> Vec<u8> {
    let ids = trio.sides[of].events.iter().filter_map(|event| match event {
        Event::Session(SessionEvent::State { trace_id, .. }) => *trace_id,
        _ => None,
    });
    ids.collect()
}

const P: PartnerRole = PartnerRole::Principal;
const M: PartnerRole = PartnerRole::Mirror;
const SYNCHRONIZED: Option<MirroringState> = Some(MirroringState::Synchronized);
const DISCONNECTED: Option<MirroringState> = Some(MirroringState::Disconnected);

#[test]
fn a_session_starts_and_says_so() {
    let trio = Trio::started(true);
    assert_eq!(trace_ids(&trio, A), [0, 13, 2, 1]);
    assert_eq!(trace_ids(&trio, B), [0, 11, 4, 3]);
    assert_eq!(trio.sides[A].logged[0].number, 1440);
    assert_eq!(trio.sides[B].logged[0].number, 1441);
}

#[test]
fn losing_only_links_to_the_witness_changes_nothing_but_its_state() {
    for links in [&[MW][..], &[PW], &[PW, MW]] {
        let mut trio = Trio::started(true);
        cut(&mut trio, links);
        assert_eq!(shows(&trio, A), (true, P, SYNCHRONIZED), "{links:?}");
        assert_eq!(shows(&trio, B), (false, M, SYNCHRONIZED), "{links:?}");
        let before = trio.acknowledged();
        trio.append(A);
        trio.drain();
        assert_eq!(trio.acknowledged(), before + 1);
    }
}

#[test]
fn a_principal_with_the_witness_runs_exposed_and_nobody_takes_over() {
    for links in [&[PM][..], &[PM, MW]] {
        let mut trio = Trio::started(true);
        cut(&mut trio, links);
        assert_eq!(shows(&trio, A), (true, P, DISCONNECTED), "{links:?}");
        assert_eq!(shows(&trio, B), (false, M, DISCONNECTED), "{links:?}");
        assert!(
            trace_ids(&trio, A).ends_with(&[6, 12]),
            "{:?}",
            trace_ids(&trio, A)
        );
        let record = trio.witness.as_ref().and_then(|w| w.record()).unwrap();
        assert!(!record.synchronized);
        trio.append(A);
        trio.drain();
        assert_eq!(trio.acknowledged(), 1);
    }
}

#[test]
fn an_isolated_principal_stops_and_the_mirror_takes_over() {
    let mut trio = Trio::started(true);
    trio.append(A);
    trio.drain();
    cut(&mut trio, &[PM, PW]);
    assert_eq!(shows(&trio, A), (false, P, DISCONNECTED));
    assert_eq!(shows(&trio, B), (true, P, DISCONNECTED));
    assert!(
        trace_ids(&trio, A).ends_with(&[6, 10]),
        "{:?}",
        trace_ids(&trio, A)
    );
    assert!(
        trace_ids(&trio, B).ends_with(&[5, 8, 12]),
        "{:?}",
        trace_ids(&trio, B)
    );
    assert_eq!(trio.partner(B).role_sequence(), 2);
    trio.calm();
    trio.assert_healthy();
    assert_eq!(trio.partner(A).role(), M);
    assert_eq!(trio.acknowledged(), 1);
}

#[test]
fn an_unsynchronized_mirror_does_not_take_over() {
    let mut trio = Trio::started(true);
    cut(&mut trio, &[PM]);
    cut(&mut trio, &[PW]);
    assert_eq!(shows(&trio, A), (false, P, DISCONNECTED));
    assert_eq!(shows(&trio, B), (false, M, DISCONNECTED));
}

#[test]
fn after_total_loss_the_witness_and_the_mirror_alone_do_not_fail_over() {
    let mut trio = Trio::started(true);
    cut(&mut trio, &[MW]);
    cut(&mut trio, &[PW, PM]);
    trio.connect(MW);
    trio.drain();
    trio.pass(Duration::from_secs(30));
    trio.drain();
    assert_eq!(shows(&trio, A), (false, P, DISCONNECTED));
    assert_eq!(shows(&trio, B), (false, M, DISCONNECTED));
    trio.connect(PW);
    trio.drain();
    assert_eq!(shows(&trio, A), (true, P, DISCONNECTED));
}

#[test]
fn a_principal_that_loses_the_mirror_after_the_witness_stops() {
    let mut trio = Trio::started(true);
    cut(&mut trio, &[PW, MW]);
    cut(&mut trio, &[PM]);
    assert_eq!(shows(&trio, A), (false, P, DISCONNECTED));
}

#[test]
fn without_a_witness_the_principal_runs_exposed_and_serves_after_a_restart() {
    let mut trio = Trio::started(false);
    cut(&mut trio, &[PM]);
    assert_eq!(shows(&trio, A), (true, P, DISCONNECTED));
    trio.append(A);
    trio.drain();
    assert_eq!(trio.acknowledged(), 1);
    trio.crash(A, 0);
    trio.restart(A);
    assert_eq!(shows(&trio, A), (true, P, DISCONNECTED));
}

#[test]
fn a_restarted_principal_with_a_witness_waits_to_be_confirmed() {
    let mut trio = Trio::started(true);
    trio.crash(B, 0);
    trio.drain();
    trio.crash(A, 0);
    trio.restart(A);
    assert!(!trio.partner(A).is_serving());
    assert_eq!(trio.sides[A].logged.last().map(|e| e.number), Some(1445));
    trio.connect(PW);
    trio.drain();
    assert!(trio.partner(A).is_serving());
}

#[test]
fn the_witness_tells_a_returning_principal_that_it_is_not_any_more() {
    let mut trio = Trio::started(true);
    trio.crash(A, 0);
    trio.drain();
    assert_eq!(shows(&trio, B), (true, P, DISCONNECTED));
    trio.crash(B, 0);
    trio.drain();
    trio.restart(A);
    trio.connect(PW);
    trio.drain();
    assert!(!trio.partner(A).is_serving());
    trio.restart(B);
    trio.connect(PM);
    trio.drain();
    assert_eq!(trio.partner(A).role(), M);
    assert!(trio.partner(B).is_serving());
}

#[test]
fn manual_failover_swaps_the_roles() {
    for with_witness in [false, true] {
        let mut trio = Trio::started(with_witness);
        trio.append(A);
        trio.drain();
        trio.command(A, Command::Failover);
        assert_eq!(trio.partner(A).state(), Some(MirroringState::PendingFailover));
        assert!(!trio.partner(A).is_serving());
        trio.calm();
        trio.assert_healthy();
        assert_eq!(trio.partner(B).role(), P);
        assert_eq!(trio.sides[A].done.last(), Some(&Ok(())));
        assert_eq!(trio.partner(B).failover_lsn(), trio.sides[B].log.end());
    }
}

#[test]
fn a_manual_failover_that_is_refused_changes_nothing() {
    let mut trio = Trio::started(false);
    trio.command(B, Command::Failover);
    assert_eq!(trio.sides[B].done.last(), Some(&Err(1470)));
    cut(&mut trio, &[PM]);
    trio.command(A, Command::Failover);
    assert_eq!(trio.sides[A].done.last(), Some(&Err(1447)));
    assert_eq!(shows(&trio, A), (true, P, DISCONNECTED));
}

#[test]
fn a_manual_failover_cut_off_before_the_mirror_recorded_it_is_taken_back() {
    let mut trio = Trio::started(false);
    trio.command(A, Command::Failover);
    trio.cut(PM, 0);
    trio.drain();
    assert_eq!(trio.sides[A].done.last(), Some(&Err(1421)));
    assert_eq!(shows(&trio, A), (false, P, DISCONNECTED));
    trio.crash(A, 0);
    trio.restart(A);
    assert!(
        !trio.partner(A).is_serving(),
        "only the partner knows how it ended"
    );
    trio.calm();
    trio.assert_healthy();
    assert_eq!(trio.partner(A).role(), P);
    assert_eq!(trio.partner(A).role_sequence(), 1);
}

#[test]
fn a_timeout_is_clamped_and_reaches_all_three() {
    let mut trio = Trio::started(true);
    trio.command(A, Command::Timeout { seconds: 3 });
    trio.calm();
    assert_eq!(trio.sides[A].done.last(), Some(&Ok(())));
    assert_eq!(trio.partner(A).record().timeout_seconds, 5);
    assert_eq!(trio.partner(B).record().timeout_seconds, 5);
    let record = trio.witness.as_ref().and_then(|w| w.record()).unwrap();
    assert_eq!(record.timeout_seconds, 5);
    trio.assert_healthy();
    trio.command(A, Command::Timeout { seconds: 32_768 });
    assert_eq!(trio.sides[A].done.last(), Some(&Err(1476)));
    trio.command(B, Command::Timeout { seconds: 20 });
    assert_eq!(trio.sides[B].done.last(), Some(&Err(1470)));
}

#[test]
fn the_witness_can_be_taken_away_even_when_it_is_down() {
    let mut trio = Trio::started(true);
    trio.crash(W, 0);
    trio.drain();
    trio.command(A, Command::WitnessOff);
    trio.drain();
    assert_eq!(trio.sides[A].done.last(), Some(&Ok(())));
    assert_eq!(trio.partner(B).record().witness, None);
    cut(&mut trio, &[PM]);
    assert_eq!(shows(&trio, A), (true, P, DISCONNECTED));
    trio.command(A, Command::WitnessOff);
    assert_eq!(trio.sides[A].done.last(), Some(&Err(1439)));
}

#[test]
fn setting_a_witness_needs_all_three() {
    let set = || Command::SetWitness { address: address(W) };
    let mut trio = Trio::started(false);
    trio.command(B, set());
    assert_eq!(trio.sides[B].done.last(), Some(&Err(1470)));
    trio.crash(W, 0);
    trio.command(A, set());
    trio.drain();
    trio.pass(Duration::from_secs(20));
    assert_eq!(trio.sides[A].done.last(), Some(&Err(1427)));
    trio.drain();
    trio.restart(W);
    trio.command(A, set());
    trio.connect(PW);
    trio.drain();
    trio.pass(Duration::from_secs(20));
    assert_eq!(
        trio.sides[A].done.last(),
        Some(&Err(1426)),
        "the mirror did not reach it"
    );
    trio.drain();
    assert_eq!(trio.partner(A).record().witness, None);
    trio.command(A, set());
    trio.calm();
    assert_eq!(trio.sides[A].done.last(), Some(&Ok(())));
    trio.assert_healthy();
    trio.command(A, set());
    assert_eq!(trio.sides[A].done.last(), Some(&Err(1446)));
}

#[test]
fn a_link_lost_while_a_witness_is_being_set_is_uncertain_and_settles_equal() {
    let mut trio = Trio::started(false);
    trio.command(A, Command::SetWitness { address: address(W) });
    trio.deliver(PM, 1);
    trio.connect(PW);
    trio.connect(MW);
    trio.cut(PM, 0);
    trio.drain();
    assert_eq!(trio.sides[A].done.last(), Some(&Err(1433)));
    trio.calm();
    trio.assert_healthy();
}

#[test]
fn off_ends_the_session_everywhere() {
    for of in [A, B] {
        let mut trio = Trio::started(true);
        trio.command(of, Command::Off);
        assert!(trio.is_removed(of) && trio.sides[of].done.last() == Some(&Ok(())));
        trio.drain();
        assert!(trio.is_removed(1 - of));
        assert!(trio.witness.is_none());
        assert_eq!(trio.sides[of].logged.last().map(|e| e.number), Some(1443));
    }
}

#[test]
fn a_start_that_finds_nobody_or_loses_the_mirror_ends() {
    let mut trio = Trio::waiting();
    trio.pass(Duration::from_secs(20));
    assert_eq!(trio.sides[A].done, [Err(1418)]);
    let mut trio = Trio::waiting();
    trio.connect(PM);
    trio.deliver(PM, 0);
    trio.cut(PM, 0);
    trio.deliver(PM, 0);
    assert_eq!(trio.sides[A].done, [Err(1413)]);
}
