//! The command table: every option of `SET PARTNER` and `SET WITNESS`, where it is run, in every situation of the session.
//!
//! A cell is the number of the error, or what changed. The snapshot is meant to be held against the option table of the
//! documentation; what differs from it has a row in docs/decisions.md.

use std::fmt::Write;
use std::time::Duration;

use super::harness::{A, B, Trio, W, address};
use crate::session::Command;
use crate::types::{MirroringState, PartnerRole, Safety};

const PM: usize = 0;
const PW: usize = 1;
const MW: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Full,
    /// SAFETY FULL, and the mirror lacks log: SYNCHRONIZING.
    Behind,
    Off,
    Suspended,
}

const MODES: [(Mode, &str); 4] = [
    (Mode::Full, "FULL"),
    (Mode::Behind, "FULL, SYNCHRONIZING"),
    (Mode::Off, "OFF"),
    (Mode::Suspended, "FULL, SUSPENDED"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WitnessIs {
    NotSet,
    Connected,
    Lost,
}

#[derive(Debug, Clone, Copy)]
struct Situation {
    mode: Mode,
    partners_connected: bool,
    witness: WitnessIs,
}

fn situations() -> Vec<Situation> {
    let mut all = Vec::new();
    for (mode, _) in MODES {
        for partners_connected in [true, false] {
            for witness in [WitnessIs::NotSet, WitnessIs::Connected, WitnessIs::Lost] {
                all.push(Situation {
                    mode,
                    partners_connected,
                    witness,
                });
            }
        }
    }
    all
}

fn commands() -> Vec<(&'static str, Command)> {
    vec![
        ("PARTNER FAILOVER", Command::Failover),
        ("PARTNER FORCE_SERVICE_ALLOW_DATA_LOSS", Command::ForceService),
        ("PARTNER OFF", Command::Off),
        ("PARTNER SUSPEND", Command::Suspend),
        ("PARTNER RESUME", Command::Resume),
        ("PARTNER SAFETY FULL", Command::Safety { safety: Safety::Full }),
        ("PARTNER SAFETY OFF", Command::Safety { safety: Safety::Off }),
        ("PARTNER TIMEOUT 3", Command::Timeout { seconds: 3 }),
        ("PARTNER TIMEOUT 32768", Command::Timeout { seconds: 32_768 }),
        (
            "PARTNER REDO_QUEUE ( 3 MB )",
            Command::RedoQueue { megabytes: Some(3) },
        ),
        (
            "PARTNER REDO_QUEUE ( 0 MB )",
            Command::RedoQueue { megabytes: Some(0) },
        ),
        (
            "PARTNER REDO_QUEUE ( UNLIMITED )",
            Command::RedoQueue { megabytes: None },
        ),
        ("WITNESS = gamma", Command::SetWitness { address: address(W) }),
        ("WITNESS OFF", Command::WitnessOff),
    ]
}

fn set_up(situation: Situation) -> Trio {
    let mut trio = Trio::started(situation.witness != WitnessIs::NotSet);
    match situation.mode {
        Mode::Full => {}
        Mode::Behind => fall_behind(&mut trio),
        Mode::Off => trio.command(A, Command::Safety { safety: Safety::Off }),
        Mode::Suspended => trio.command(A, Command::Suspend),
    }
    trio.drain();
    if situation.witness == WitnessIs::Lost {
        trio.cut(PW, 0);
        trio.cut(MW, 0);
    }
    trio.drain();
    if !situation.partners_connected {
        trio.cut(PM, 0);
        // A mirror that is alone hardens what it has.
        trio.sides[B].hardening_held = false;
    }
    settle(&mut trio, situation);
    trio
}

/// The principal commits while it is alone; from then on the mirror gets the log and hardens none of it.
fn fall_behind(trio: &mut Trio) {
    trio.cut(PM, 0);
    trio.drain();
    trio.append(A);
    trio.drain();
    trio.sides[B].hardening_held = true;
    trio.connect(PM);
    trio.drain();
    for of in [A, B] {
        assert_eq!(trio.partner(of).state(), Some(MirroringState::Synchronizing));
    }
}

/// Lets time pass; of the links only those to the witness are made again, if they are to be.
fn settle(trio: &mut Trio, situation: Situation) {
    for _ in 0..30 {
        if situation.witness != WitnessIs::Lost {
            trio.connect(PW);
            trio.connect(MW);
        }
        trio.drain();
        trio.pass(Duration::from_secs(1));
    }
    trio.drain();
}

/// What can be seen of the session.
fn facts(trio: &Trio) -> Vec<String> {
    let mut facts = Vec::new();
    for (of, name) in [(A, "P"), (B, "M")] {
        if trio.is_removed(of) {
            facts.push(format!("{name} removed"));
            continue;
        }
        let partner = trio.partner(of);
        let record = partner.record();
        if partner.role() != [PartnerRole::Principal, PartnerRole::Mirror][of] {
            facts.push(format!(
                "{name} is {}({})",
                partner.role(),
                partner.role_sequence()
            ));
        }
        let state = partner.state().map_or("none", |s| s.desc());
        facts.push(format!("{name} {state}"));
        facts.push(format!("{name} safety {}", record.safety.desc()));
        facts.push(format!("{name} timeout {}", record.timeout_in_force()));
        if let Some(megabytes) = record.redo_queue_mb {
            facts.push(format!("{name} redo queue {megabytes} MB"));
        }
        facts.push(format!(
            "{name} {}",
            if record.witness.is_some() {
                "witness"
            } else {
                "no witness"
            }
        ));
        facts.push(format!(
            "{name} {}",
            if partner.is_serving() {
                "serves"
            } else {
                "does not serve"
            }
        ));
    }
    facts
}

fn run(command: &Command, of: usize, situation: Situation) -> String {
    let mut trio = set_up(situation);
    let before = facts(&trio);
    let answers = trio.sides[of].done.len();
    trio.command(of, command.clone());
    settle(&mut trio, situation);
    let answer = trio.sides[of].done.get(answers..).unwrap_or_default();
    assert_eq!(answer.len(), 1, "{command:?} on {of} in {situation:?}");
    let after = facts(&trio);
    let changed: Vec<String> = after.into_iter().filter(|fact| !before.contains(fact)).collect();
    match answer[0] {
        Ok(()) if changed.is_empty() => "nothing to do".into(),
        Ok(()) => changed.join(", "),
        Err(number) => {
            assert!(
                changed.is_empty(),
                "{command:?} on {of} in {situation:?}: {number}, but {changed:?}"
            );
            number.to_string()
        }
    }
}

#[test]
fn the_command_table() {
    let mut table = String::new();
    for (name, command) in commands() {
        for (of, place) in [(A, "principal"), (B, "mirror")] {
            writeln!(table, "{name} on the {place}").unwrap();
            for (mode, text) in MODES {
                for partners_connected in [true, false] {
                    let here = situations()
                        .into_iter()
                        .filter(|s| s.mode == mode && s.partners_connected == partners_connected);
                    let cells: Vec<String> = here.map(|s| run(&command, of, s)).collect();
                    let link = if partners_connected {
                        "connected"
                    } else {
                        "partner lost"
                    };
                    if cells.iter().all(|cell| *cell == cells[0]) {
                        writeln!(table, "    {text}, {link}: {}", cells[0]).unwrap();
                        continue;
                    }
                    for (cell, witness) in
                        cells
                            .iter()
                            .zip(["no witness", "witness connected", "witness lost"])
                    {
                        writeln!(table, "    {text}, {link}, {witness}: {cell}").unwrap();
                    }
                }
            }
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn sequences_that_a_lying_partner_has_used_up_end_no_session() {
    let trio = Trio::started(false);
    let mut record = trio.partner(A).record().clone();
    let mut theirs = record.configuration();
    theirs.sequence = u32::MAX;
    theirs.safety_sequence = u32::MAX;
    theirs.suspend_sequence = u32::MAX;
    record.configure(&theirs);
    theirs.suspended = !record.suspended;
    record.merge(&theirs);
    assert!(
        record.suspended,
        "the two suspensions are as new as each other: the session rests"
    );
    record.suspend(false);
    assert!(!record.suspended);
    assert_eq!(record.configuration().suspend_sequence, u32::MAX);
}
