//! Random schedules: whatever is delivered, lost, cut, crashed and restarted, the promises hold at every step, and after
//! healing the session is whole again.

use std::time::Duration;

use proptest::bool::weighted;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::harness::{A, B, Trio, W};
use crate::session::Command;
use crate::types::Safety;

#[derive(Debug, Clone)]
pub enum Step {
    Deliver { link: usize, end: usize, count: usize },
    Finish { of: usize, count: usize },
    Drain,
    Cut { link: usize, kept: usize },
    Connect { link: usize },
    Crash { of: usize, written: usize },
    Restart { of: usize },
    Append,
    Pass { millis: u64 },
    Command { of: usize, which: u8 },
    Off { of: usize },
    Damage { of: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3usize, 0..2usize, 1..6usize).prop_map(|(link, end, count)| Step::Deliver { link, end, count }),
        6 => (0..3usize, 1..4usize).prop_map(|(of, count)| Step::Finish { of, count }),
        2 => Just(Step::Drain),
        3 => (0..3usize, 0..4usize).prop_map(|(link, kept)| Step::Cut { link, kept }),
        4 => (0..3usize).prop_map(|link| Step::Connect { link }),
        1 => (0..3usize, 0..4usize).prop_map(|(of, written)| Step::Crash { of, written }),
        2 => (0..3usize).prop_map(|of| Step::Restart { of }),
        4 => Just(Step::Append),
        2 => (1..3000u64).prop_map(|millis| Step::Pass { millis }),
        3 => (0..2usize, 0..20u8).prop_map(|(of, which)| Step::Command { of, which }),
        1 => (0..2usize, weighted(0.2)).prop_map(|(of, damage)| match damage {
            true => Step::Damage { of },
            false => Step::Drain,
        }),
        1 => (0..2usize, weighted(0.03)).prop_map(|(of, off)| match off {
            true => Step::Off { of },
            false => Step::Drain,
        }),
    ]
}

/// A schedule.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..150)
}

pub fn take(trio: &mut Trio, step: &Step) {
    match *step {
        Step::Deliver { link, end, count } => {
            for _ in 0..count {
                trio.deliver(link, end);
            }
        }
        Step::Finish { of, count } => {
            for _ in 0..count {
                trio.finish_task(of);
            }
        }
        Step::Drain => {
            trio.drain();
        }
        Step::Cut { link, kept } => trio.cut(link, kept),
        Step::Connect { link } => trio.connect(link),
        Step::Crash { of, written } => trio.crash(of, written),
        Step::Restart { of } => trio.restart(of),
        Step::Append => {
            trio.append(A);
            trio.append(B);
        }
        Step::Pass { millis } => trio.pass(Duration::from_millis(millis)),
        Step::Damage { of } => trio.damage_page(of),
        Step::Off { of } => trio.command(of, Command::Off),
        Step::Command { of, which } => {
            let command = match which {
                0 => Command::WitnessOff,
                1 | 2 => Command::SetWitness {
                    address: super::harness::address(W),
                },
                3 => Command::Timeout { seconds: 7 },
                8 => Command::Suspend,
                9 | 10 => Command::Resume,
                11 => Command::Safety { safety: Safety::Off },
                12 | 13 => Command::Safety { safety: Safety::Full },
                14 | 15 => Command::ForceService,
                _ => Command::Failover,
            };
            trio.command(of, command);
        }
    }
}

/// How many schedules.
const SCHEDULES: u32 = 1500;

/// The schedules are the same in every run unless `MIRRORLAB_SCHEDULES_SEED` (a number) or `MIRRORLAB_SCHEDULES` (how many)
/// says otherwise.
#[test]
fn promises_hold_and_the_session_heals() {
    let seed = number_from("MIRRORLAB_SCHEDULES_SEED").unwrap_or(0);
    let config = Config {
        cases: number_from("MIRRORLAB_SCHEDULES").unwrap_or(SCHEDULES),
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let schedules = (weighted(0.8), steps());
    let outcome = runner.run(&schedules, |(with_witness, steps)| {
        carry_out(with_witness, &steps);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

/// Both partners confirm commits alone after a forced service without a witness; what the one confirmed that was forced
/// away is no promise of the other, not even once service is forced back to it.
#[test]
fn service_is_forced_back_to_a_copy_that_went_on_committing() {
    let force = |of| Step::Command { of, which: 14 };
    let steps = [
        Step::Command { of: A, which: 16 },
        Step::Drain,
        Step::Cut { link: 0, kept: 0 },
        Step::Drain,
        force(A),
        Step::Append,
        Step::Connect { link: 0 },
        Step::Drain,
        Step::Crash { of: B, written: 0 },
        Step::Restart { of: B },
        force(B),
    ];
    carry_out(false, &steps);
}

/// Plays the steps, heals, and has the session made whole as an operator would.
fn carry_out(with_witness: bool, steps: &[Step]) {
    let mut trio = Trio::started(with_witness);
    trio.trace.clear();
    for step in steps {
        take(&mut trio, step);
    }
    trio.trace.push("-- heal".into());
    trio.calm();
    if !trio.restore_to_full() {
        return;
    }
    trio.assert_healthy();
    let before = trio.acknowledged();
    trio.append(A);
    trio.append(B);
    trio.calm();
    trio.assert_healthy();
    assert_eq!(trio.acknowledged(), before + 1);
}

#[expect(
    clippy::disallowed_methods,
    reason = "how many schedules to draw is up to whoever runs the tests; a schedule, once drawn, knows nothing of it"
)]
fn number_from(variable: &str) -> Option<u32> {
    let text = std::env::var(variable).ok()?;
    match text.parse() {
        Ok(number) => Some(number),
        Err(_) => panic!("{variable} is '{text}', which is not a number"),
    }
}
