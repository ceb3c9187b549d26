//! A role switch interrupted at every message and every write: one of the links is cut or comes back, or any of the three
//! crashes.
//!
//! Each run ends with one principal and no acknowledged commit lost, and until then nobody serves whom the other partner's
//! log could contradict: the harness checks that at every step. The snapshot counts the points and who was the principal
//! in the end, so that a change of the protocol shows.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::harness::{A, B, LINKS, NAMES, Trio};
use crate::session::Command;
use crate::types::PartnerRole;

const PM: usize = 0;
const PW: usize = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Switch {
    Manual,
    ManualWithWitness,
    Automatic,
    Forced,
}

const SWITCHES: [(Switch, &str); 4] = [
    (Switch::Manual, "FAILOVER without a witness"),
    (Switch::ManualWithWitness, "FAILOVER with a witness"),
    (Switch::Automatic, "the principal is cut off"),
    (Switch::Forced, "FORCE_SERVICE_ALLOW_DATA_LOSS with the witness"),
];

impl Switch {
    /// The links that are there when it begins.
    fn links(self) -> &'static [usize] {
        match self {
            Switch::Manual => &[0],
            Switch::ManualWithWitness => &[0, 1, 2],
            Switch::Automatic | Switch::Forced => &[2],
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    /// Of what is in flight everything, or nothing, still arrives.
    Cut { link: usize, arrives: bool },
    /// A link that was lost before comes back.
    Return { link: usize },
    /// Of the writes under way all, or none, are on disk.
    Crash { of: usize, written: bool },
}

fn faults(switch: Switch) -> Vec<Fault> {
    let both = [true, false];
    let links = switch.links();
    let cuts = links
        .iter()
        .flat_map(|link| both.map(|arrives| Fault::Cut { link: *link, arrives }));
    let lost = match switch {
        Switch::Automatic | Switch::Forced => &[PM, PW][..],
        Switch::Manual | Switch::ManualWithWitness => &[],
    };
    let returns = lost.iter().map(|link| Fault::Return { link: *link });
    let instances = if switch == Switch::Manual { 2 } else { 3 };
    let crashes = (0..instances).flat_map(|of| both.map(|written| Fault::Crash { of, written }));
    cuts.chain(returns).chain(crashes).collect()
}

/// A switch under way, `moves` messages and writes after what begins it; `None` if it was over by then.
fn begun(switch: Switch, moves: usize) -> Option<Trio> {
    let mut trio = Trio::started(switch != Switch::Manual);
    trio.append(A);
    trio.drain();
    if switch == Switch::Forced {
        // The mirror is not synchronized, so it does not take over by itself.
        trio.cut(PM, 0);
        trio.drain();
        trio.append(A);
        trio.drain();
        trio.cut(PW, 0);
        trio.drain();
    } else {
        trio.append(A);
    }
    trio.trace.clear();
    match switch {
        Switch::Manual | Switch::ManualWithWitness => trio.command(A, Command::Failover),
        Switch::Automatic => [PM, PW].into_iter().for_each(|link| trio.cut(link, 0)),
        Switch::Forced => trio.command(B, Command::ForceService),
    }
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
        Fault::Cut { link, arrives } => trio.cut(link, all(arrives)),
        Fault::Return { link } => trio.connect(link),
        Fault::Crash { of, written } => trio.crash(of, all(written)),
    }
    trio.drain();
}

/// Who is principal once all is healed, and resumed where service was forced.
fn outcome(mut trio: Trio, switch: Switch) -> &'static str {
    trio.calm();
    if switch == Switch::Forced {
        assert!(trio.restore_to_full());
    }
    trio.assert_healthy();
    match trio.partner(A).role() {
        PartnerRole::Principal => NAMES[A],
        PartnerRole::Mirror => NAMES[B],
    }
}

fn describe(fault: Fault) -> String {
    let who = |of: usize| ["the old principal", "the new principal", "the witness"][of];
    let line = |link: usize| {
        let (one, other) = LINKS[link];
        format!("between {} and {}", who(one), who(other))
    };
    match fault {
        Fault::Cut { link, arrives: true } => format!("cut {}, what is in flight arrives", line(link)),
        Fault::Cut { link, arrives: false } => format!("cut {}, what is in flight is lost", line(link)),
        Fault::Return { link } => format!("connected again {}", line(link)),
        Fault::Crash { of, written } => format!(
            "crash of {}, its last writes {}",
            who(of),
            if written { "on disk" } else { "lost" }
        ),
    }
}

#[test]
fn every_interruption_ends_with_one_principal_and_nothing_lost() {
    let mut table = String::new();
    for (switch, name) in SWITCHES {
        writeln!(table, "{name}").unwrap();
        for fault in faults(switch) {
            let mut ends: BTreeMap<&str, u32> = BTreeMap::new();
            for moves in 0.. {
                let Some(mut trio) = begun(switch, moves) else {
                    break;
                };
                strike(&mut trio, fault);
                *ends.entry(outcome(trio, switch)).or_default() += 1;
            }
            let points: u32 = ends.values().sum();
            writeln!(
                table,
                "    {}: {points} points, principal at the end {ends:?}",
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
        let Some(mut trio) = begun(Switch::ManualWithWitness, moves) else {
            break;
        };
        strike(
            &mut trio,
            Fault::Cut {
                link: PM,
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
        outcome(trio, Switch::ManualWithWitness);
        points += 1;
    }
    assert!(points > 10, "only {points} points");
}
