//! A manual failover interrupted at every message and every write: a cut, or a crash of any of the three.
//!
//! Each run ends with one principal and no acknowledged commit lost, and until then nobody serves whom the other partner's
//! log could contradict: the harness checks that at every step. The snapshot counts the points and who was the principal
//! in the end, so that a change of the protocol shows.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::harness::{A, B, NAMES, Trio, W};
use crate::session::Command;
use crate::types::PartnerRole;

const PM: usize = 0;

#[derive(Debug, Clone, Copy)]
enum Fault {
    /// Of what is in flight everything, or nothing, still arrives.
    Cut { arrives: bool },
    /// Of the writes under way all, or none, are on disk.
    Crash { of: usize, written: bool },
}

fn faults() -> Vec<Fault> {
    let cuts = [true, false].map(|arrives| Fault::Cut { arrives });
    let crashes = [A, B, W]
        .into_iter()
        .flat_map(|of| [true, false].map(|written| Fault::Crash { of, written }));
    cuts.into_iter().chain(crashes).collect()
}

/// A failover under way, `moves` messages and writes after the statement; `None` if it was over by then.
fn begun(with_witness: bool, moves: usize) -> Option<Trio> {
    let mut trio = Trio::started(with_witness);
    trio.append(A);
    trio.drain();
    trio.append(A);
    trio.trace.clear();
    trio.command(A, Command::Failover);
    for _ in 0..moves {
        if !trio.advance() {
            return None;
        }
    }
    Some(trio)
}

fn strike(trio: &mut Trio, fault: Fault) {
    let all = |yes: bool| if yes { usize::MAX } else { 0 };
    match fault {
        Fault::Cut { arrives } => trio.cut(PM, all(arrives)),
        Fault::Crash { of, written } => trio.crash(of, all(written)),
    }
    trio.drain();
}

/// Who is principal once all is healed.
fn outcome(mut trio: Trio) -> &'static str {
    trio.calm();
    trio.assert_healthy();
    match trio.partner(A).role() {
        PartnerRole::Principal => NAMES[A],
        PartnerRole::Mirror => NAMES[B],
    }
}

fn describe(fault: Fault) -> String {
    match fault {
        Fault::Cut { arrives: true } => "cut, what is in flight arrives".into(),
        Fault::Cut { arrives: false } => "cut, what is in flight is lost".into(),
        Fault::Crash { of, written } => format!(
            "crash of {}, its last writes {}",
            ["the old principal", "the new principal", "the witness"][of],
            if written { "on disk" } else { "lost" }
        ),
    }
}

#[test]
fn every_interruption_ends_with_one_principal_and_nothing_lost() {
    let mut table = String::new();
    for with_witness in [false, true] {
        let witness = if with_witness {
            "with a witness"
        } else {
            "without a witness"
        };
        for fault in faults() {
            if matches!(fault, Fault::Crash { of: W, .. }) && !with_witness {
                continue;
            }
            let mut ends: BTreeMap<&str, u32> = BTreeMap::new();
            for moves in 0.. {
                let Some(mut trio) = begun(with_witness, moves) else {
                    break;
                };
                strike(&mut trio, fault);
                *ends.entry(outcome(trio)).or_default() += 1;
            }
            let points: u32 = ends.values().sum();
            writeln!(
                table,
                "{witness}, {}: {points} points, principal at the end {ends:?}",
                describe(fault)
            )
            .unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

/// Two interruptions of one failover: what the first leaves pending must survive the second.
#[test]
fn a_second_interruption_changes_nothing() {
    let mut points = 0;
    for moves in 0.. {
        let Some(mut trio) = begun(true, moves) else {
            break;
        };
        strike(
            &mut trio,
            Fault::Cut {
                arrives: moves % 2 == 0,
            },
        );
        trio.connect(PM);
        for later in 0..6 {
            if !trio.advance() {
                break;
            }
            if later == moves % 6 {
                let of = [A, B][moves % 2];
                strike(
                    &mut trio,
                    Fault::Crash {
                        of,
                        written: moves % 3 == 0,
                    },
                );
            }
        }
        outcome(trio);
        points += 1;
    }
    assert!(points > 10, "only {points} points");
}
