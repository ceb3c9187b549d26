//! Random schedules: whatever is delivered, lost, cut, crashed and restarted, the promises hold at every step, and after
//! healing the session is whole again.

use std::time::Duration;

use proptest::prelude::*;

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
        1 => (0..2usize, prop::bool::weighted(0.2)).prop_map(|(of, damage)| match damage {
            true => Step::Damage { of },
            false => Step::Drain,
        }),
        1 => (0..2usize, prop::bool::weighted(0.03)).prop_map(|(of, off)| match off {
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

fn cases() -> u32 {
    option_env!("SCHEDULES")
        .and_then(|n| n.parse().ok())
        .unwrap_or(1500)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn promises_hold_and_the_session_heals(
        with_witness in proptest::bool::weighted(0.8),
        steps in steps(),
    ) {
        let mut trio = Trio::started(with_witness);
        trio.trace.clear();
        for step in &steps {
            take(&mut trio, step);
        }
        trio.trace.push("-- heal".into());
        trio.calm();
        if !trio.restore_to_full() {
            return Ok(());
        }
        trio.assert_healthy();
        let before = trio.acknowledged();
        trio.append(A);
        trio.append(B);
        trio.calm();
        trio.assert_healthy();
        prop_assert_eq!(trio.acknowledged(), before + 1);
    }
}
