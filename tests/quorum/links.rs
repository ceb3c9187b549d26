//! The rows, and the tables they make: links lost together, one after the other, processes lost, sessions without a witness.

use std::fmt::Write as _;
use std::time::Duration;

use super::expected::{DOWN, Links, PATTERNS, links_lost, mirror, row, serves, stopped, witness};
use super::observe::{Seen, compare, look};

/// When the links are lost. A session that is not synchronized has become so before.
pub(super) const LOST_AT: u64 = 12;

/// Longer than the longest partner timeout and one attempt to connect again.
pub(super) const LOOK_AFTER: u64 = 40;

/// How long after the look the partners have met again at the latest.
const AFTERWARDS: u64 = 30;

/// One row: what is done, and what must have become of it at `look_at` seconds.
pub(super) struct Row {
    pub name: String,
    pub what: String,
    pub mode: Mode,
    pub steps: String,
    pub look_at: u64,
    /// Until when the disk of a mirror that is behind hangs, if not until after the look.
    pub behind_until: Option<u64>,
    /// What it takes after the look for the session to heal by the end, beside the end of the faults.
    pub afterwards: String,
    pub expected: Seen,
    /// Why it may differ: a row of docs/decisions.md.
    pub explained: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// High safety with a witness, synchronized.
    Synchronized,
    /// The same, while the mirror is behind and cannot catch up: its disk hangs.
    Synchronizing,
    /// High safety without a witness.
    NoWitness,
    /// The same, while the mirror is behind and cannot catch up.
    SynchronizingNoWitness,
    /// High performance, with a witness all the same.
    SafetyOff,
    /// High performance without a witness.
    SafetyOffNoWitness,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Synchronized => "SYNCHRONIZED",
            Mode::Synchronizing => "SYNCHRONIZING",
            Mode::NoWitness => "SYNCHRONIZED, no witness",
            Mode::SynchronizingNoWitness => "SYNCHRONIZING, no witness",
            Mode::SafetyOff => "SAFETY OFF",
            Mode::SafetyOffNoWitness => "SAFETY OFF, no witness",
        }
    }
}

/// How a link is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Packets vanish: found after the partner timeout.
    Silence,
    /// Connections are reset and refused: found at once.
    Refusal,
}

impl How {
    fn lose(self, one: &str, other: &str) -> String {
        match self {
            How::Silence => format!(r#"kind = "cut", from = "{one}", to = ["{other}"]"#),
            How::Refusal => format!(r#"kind = "reject", system = "{one}", peer = "{other}""#),
        }
    }
}

/// `[[step]]` at a second.
pub(super) fn at(second: u64, fault: &str) -> String {
    format!("[[step]]\nat = \"{second}s\"\nfault = {{ {fault} }}\n\n")
}

/// `SET PARTNER` with this option, which succeeds.
pub(super) fn sql(second: u64, on: &str, option: &str) -> String {
    let statement = format!("ALTER DATABASE Sales SET PARTNER {option};");
    format!("[[step]]\nat = \"{second}s\"\non = \"{on}\"\nsql = \"{statement}\"\n\n")
}

/// Ends every fault at `look_at`, then sets `option` on `on` once the partners have met again.
pub(super) fn healed_then(look_at: u64, on: &str, option: &str) -> String {
    let heal = format!("[[step]]\nat = \"{}s\"\nheal_all = true\n\n", look_at + 1);
    format!("{heal}{}", sql(look_at + AFTERWARDS, on, option))
}

fn lasting(fault: &str, seconds: u64) -> String {
    format!("{fault}, lasts = \"{seconds}s\"")
}

pub(super) fn cut(one: &str, other: &str) -> String {
    How::Silence.lose(one, other)
}

pub(super) fn kill(who: &str) -> String {
    format!(r#"kind = "kill", instance = "{who}""#)
}

impl Row {
    fn toml(&self) -> String {
        let extends = match self.mode {
            Mode::NoWitness | Mode::SynchronizingNoWitness | Mode::SafetyOffNoWitness => "pair",
            Mode::Synchronized | Mode::Synchronizing | Mode::SafetyOff => "trio",
        };
        let behind = match self.mode {
            // The mirror is back five seconds after it was lost.
            Mode::Synchronizing | Mode::SynchronizingNoWitness => {
                let hangs = self.behind_until.map_or(self.look_at - 5, |until| until - 7);
                BEHIND.replace("HANGS", &format!("{hangs}s"))
            }
            Mode::SafetyOff | Mode::SafetyOffNoWitness => sql(1, "alpha", "SAFETY OFF"),
            Mode::Synchronized | Mode::NoWitness => String::new(),
        };
        let until = match self.afterwards.is_empty() {
            true => self.look_at + 6,
            false => self.look_at + AFTERWARDS + 4,
        };
        format!(
            r#"
promise = "Who serves, who waits and who takes over follows from who is connected to whom."
risk = "{}"
source = "documented, Quorum: How a Witness Affects Database Availability"
extends = "{extends}"
until = "{}s"
settle = "70s"

[[client]]
name = "app"
initial = "alpha"
failover_partner = "beta"
rate = 20

{behind}{}{}
[[expect]]
healed = true
"#,
            self.what, until, self.steps, self.afterwards
        )
    }

    fn play(&self) -> Seen {
        look(&self.name, &self.toml(), Duration::from_secs(self.look_at))
    }
}

/// The mirror comes back after a moment's absence, and its disk hangs before it has caught up.
const BEHIND: &str = r#"[[step]]
at = "1s"
fault = { kind = "kill", instance = "beta", lasts = "1s" }

[[step]]
when = { on = "alpha", state = "SYNCHRONIZING" }
fault = { kind = "disk_stuck", system = "beta", lasts = "HANGS" }

"#;

/// Plays the rows and writes the table; a row that differs fails the test once the table is written.
pub(super) fn table(name: &str, rows: &[Row]) {
    let mut text = String::new();
    let mut differ = Vec::new();
    let decisions = include_str!("../../docs/decisions.md");
    for row in rows {
        let explained = row
            .explained
            .filter(|id| decisions.contains(&format!("| {id} |")));
        let actual = row.play();
        let expected = &row.expected;
        writeln!(text, "{}  {}, {}", row.name, row.mode.name(), row.what).expect("a String takes everything");
        for (who, expected, actual) in [
            ("alpha", &expected.alpha, &actual.alpha),
            ("beta", &expected.beta, &actual.beta),
            ("gamma", &expected.gamma, &actual.gamma),
            ("outcome", &expected.outcome, &actual.outcome),
        ] {
            let agrees = match (expected == actual, explained) {
                (true, _) => "agrees",
                (false, Some(id)) => id,
                (false, None) => "DIFFERS",
            };
            writeln!(text, "    {agrees:<7}  {who:<8} {expected:<58} {actual}")
                .expect("a String takes everything");
        }
        if actual != *expected && explained.is_none() {
            differ.push(format!(
                "{}: expected {expected}, is {actual}\n{}",
                row.name,
                row.toml()
            ));
        }
    }
    compare(name, &text);
    assert!(
        differ.is_empty(),
        "{} rows differ from the reference\n{}",
        differ.len(),
        differ.join("\n")
    );
}

pub(super) fn links_rows(mode: Mode, how: How) -> Vec<Row> {
    let synchronized = mode == Mode::Synchronized;
    PATTERNS
        .iter()
        .zip(1..)
        .map(|(links, number)| {
            let Links {
                partners,
                principal_witness,
                mirror_witness,
            } = *links;
            let all = [
                (partners, "alpha", "beta"),
                (principal_witness, "alpha", "gamma"),
                (mirror_witness, "beta", "gamma"),
            ];
            let steps = all
                .iter()
                .filter(|(up, ..)| !up)
                .map(|(_, one, other)| at(LOST_AT, &how.lose(one, other)))
                .collect();
            let up = |up| if up { "up" } else { "down" };
            Row {
                name: format!("{number}{}", if synchronized { "" } else { "'" }),
                what: format!(
                    "alpha-beta {}, alpha-gamma {}, beta-gamma {}",
                    up(partners),
                    up(principal_witness),
                    up(mirror_witness)
                ),
                mode,
                steps,
                look_at: LOST_AT + LOOK_AFTER,
                behind_until: None,
                afterwards: match mode {
                    Mode::SafetyOff => healed_then(LOST_AT + LOOK_AFTER, "alpha", "SAFETY FULL"),
                    _ => String::new(),
                },
                expected: links_lost(number, synchronized),
                explained: None,
            }
        })
        .collect()
}

#[test]
fn links_lost_in_silence_while_synchronized() {
    table(
        "links_silent_synchronized",
        &links_rows(Mode::Synchronized, How::Silence),
    );
}

#[test]
fn links_lost_in_silence_while_synchronizing() {
    table(
        "links_silent_synchronizing",
        &links_rows(Mode::Synchronizing, How::Silence),
    );
}

#[test]
fn links_refused_while_synchronized() {
    table(
        "links_refused_synchronized",
        &links_rows(Mode::Synchronized, How::Refusal),
    );
}

#[test]
fn links_refused_while_synchronizing() {
    table(
        "links_refused_synchronizing",
        &links_rows(Mode::Synchronizing, How::Refusal),
    );
}

const UP: &str = "CONNECTED";
const LOST: &str = "DISCONNECTED";
const SYNC: &str = "SYNCHRONIZED";

/// One thing after the other; the sequences of the reference and the returns that follow from them.
#[test]
fn one_after_the_other() {
    let row_of = |name: &str, what: &str, steps: Vec<String>, look_at, expected| Row {
        explained: name.starts_with("7-other").then_some("Q1"),
        name: name.into(),
        what: what.into(),
        mode: Mode::Synchronized,
        steps: steps.concat(),
        look_at,
        behind_until: None,
        afterwards: String::new(),
        expected,
    };
    let (ab, ag, bg) = (cut("alpha", "beta"), cut("alpha", "gamma"), cut("beta", "gamma"));
    let rows = [
        row_of(
            "5-dead",
            "alpha-beta is lost, then alpha dies",
            vec![at(6, &ab), at(26, &kill("alpha"))],
            60,
            row(DOWN, mirror(LOST, UP), witness("beta", "alpha", false), false),
        ),
        row_of(
            "5-isolated",
            "alpha-beta is lost, then alpha-gamma",
            vec![at(6, &ab), at(26, &ag)],
            60,
            row(
                stopped(LOST),
                mirror(LOST, UP),
                witness("beta", "alpha", false),
                false,
            ),
        ),
        row_of(
            "6-dead",
            "alpha-beta and beta-gamma are lost, then alpha dies",
            vec![at(6, &ab), at(6, &bg), at(26, &kill("alpha"))],
            60,
            row(DOWN, mirror(LOST, LOST), witness("nobody", "alpha", false), false),
        ),
        row_of(
            "6-isolated",
            "alpha-beta and beta-gamma are lost, then alpha-gamma",
            vec![at(6, &ab), at(6, &bg), at(26, &ag)],
            60,
            row(
                stopped(LOST),
                mirror(LOST, LOST),
                witness("nobody", "alpha", false),
                false,
            ),
        ),
        row_of(
            "6-dead-7",
            "alpha-beta and beta-gamma are lost, alpha dies, beta-gamma comes back",
            vec![at(6, &ab), at(6, &lasting(&bg, 40)), at(26, &kill("alpha"))],
            90,
            row(DOWN, mirror(LOST, UP), witness("beta", "alpha", false), false),
        ),
        row_of(
            "4-8",
            "gamma is cut off, then alpha-beta is lost",
            vec![at(6, &ag), at(6, &bg), at(26, &ab)],
            60,
            row(
                stopped(LOST),
                mirror(LOST, LOST),
                witness("nobody", "alpha", true),
                false,
            ),
        ),
        row_of(
            "4-8-6",
            "gamma is cut off, then alpha-beta is lost, then alpha-gamma comes back",
            vec![at(6, &lasting(&ag, 50)), at(6, &bg), at(26, &ab)],
            100,
            row(
                serves(LOST, UP),
                mirror(LOST, LOST),
                witness("alpha", "alpha", false),
                false,
            ),
        ),
        row_of(
            "8-7",
            "all links are lost, then beta-gamma comes back",
            vec![at(6, &ab), at(6, &ag), at(6, &lasting(&bg, 40))],
            90,
            row(
                stopped(LOST),
                mirror(LOST, UP),
                witness("beta", "alpha", true),
                false,
            ),
        ),
        row_of(
            "8-6",
            "all links are lost, then alpha-gamma comes back",
            vec![at(6, &ab), at(6, &lasting(&ag, 40)), at(6, &bg)],
            90,
            row(
                serves(LOST, UP),
                mirror(LOST, LOST),
                witness("alpha", "alpha", false),
                false,
            ),
        ),
        row_of(
            "8-4",
            "all links are lost, then alpha-beta comes back",
            vec![at(6, &lasting(&ab, 40)), at(6, &ag), at(6, &bg)],
            90,
            row(
                serves(SYNC, LOST),
                mirror(SYNC, LOST),
                witness("nobody", "alpha", true),
                false,
            ),
        ),
        row_of(
            "7-other-dies",
            "alpha is cut off and beta takes over; beta dies, then alpha-gamma comes back",
            vec![at(6, &ab), at(6, &lasting(&ag, 40)), at(36, &kill("beta"))],
            90,
            row(stopped(UP), DOWN, witness("alpha", "beta", false), true),
        ),
        row_of(
            "7-other-back",
            "the same, and beta comes back: its database is available again",
            vec![
                at(6, &ab),
                at(6, &lasting(&ag, 40)),
                at(36, &lasting(&kill("beta"), 30)),
            ],
            90,
            row(
                stopped(UP),
                serves(LOST, UP),
                witness("alpha and beta", "beta", false),
                true,
            ),
        ),
        row_of(
            "3-7",
            "alpha-gamma is lost, then alpha-beta",
            vec![at(6, &ag), at(26, &ab)],
            60,
            row(
                stopped(LOST),
                serves(LOST, UP),
                witness("beta", "beta", false),
                true,
            ),
        ),
        row_of(
            "2-dead",
            "beta-gamma is lost, then alpha dies",
            vec![at(6, &bg), at(26, &kill("alpha"))],
            60,
            row(DOWN, mirror(LOST, LOST), witness("nobody", "alpha", true), false),
        ),
        row_of(
            "2-dead-7",
            "beta-gamma is lost, then alpha dies, then beta-gamma comes back",
            vec![at(6, &lasting(&bg, 40)), at(26, &kill("alpha"))],
            90,
            row(DOWN, mirror(LOST, UP), witness("beta", "alpha", true), false),
        ),
        row_of(
            "7-in-time",
            "alpha is cut off, and alpha-gamma comes back before gamma has missed it",
            vec![at(6, &ab), at(6, &lasting(&ag, 6))],
            46,
            row(
                serves(LOST, UP),
                mirror(LOST, UP),
                witness("alpha and beta", "alpha", false),
                false,
            ),
        ),
    ];
    table("one_after_the_other", &rows);
}

/// Processes die while all links are well.
#[test]
fn processes_lost() {
    let mut rows = Vec::new();
    for mode in [Mode::Synchronized, Mode::Synchronizing] {
        let sync = mode == Mode::Synchronized;
        let state = if sync { SYNC } else { "SYNCHRONIZING" };
        let expected: [(&str, &[&str], Seen); 6] = [
            (
                "W",
                &["gamma"],
                row(serves(state, LOST), mirror(state, LOST), DOWN, false),
            ),
            (
                "M",
                &["beta"],
                row(serves(LOST, UP), DOWN, witness("alpha", "alpha", false), false),
            ),
            (
                "P",
                &["alpha"],
                match sync {
                    true => row(DOWN, serves(LOST, UP), witness("beta", "beta", false), true),
                    false => row(DOWN, mirror(LOST, UP), witness("beta", "alpha", false), false),
                },
            ),
            ("MW", &["beta", "gamma"], row(stopped(LOST), DOWN, DOWN, false)),
            (
                "PW",
                &["alpha", "gamma"],
                row(DOWN, mirror(LOST, LOST), DOWN, false),
            ),
            (
                "PM",
                &["alpha", "beta"],
                row(DOWN, DOWN, witness("nobody", "alpha", sync), false),
            ),
        ];
        rows.extend(expected.into_iter().map(|(name, dead, expected)| Row {
            name: format!("{name}{}", if sync { "" } else { "'" }),
            what: format!("{} die", dead.join(" and ")),
            mode,
            steps: dead.iter().map(|who| at(LOST_AT, &kill(who))).collect(),
            look_at: LOST_AT + LOOK_AFTER,
            behind_until: None,
            afterwards: String::new(),
            expected,
            explained: None,
        }));
    }
    table("processes_lost", &rows);
}

/// Without a witness there is no quorum: a principal serves whenever it is up, and nobody takes over by itself.
#[test]
fn without_a_witness() {
    let row_of = |name: &str, what: &str, step: String, expected| Row {
        name: name.into(),
        what: what.into(),
        mode: Mode::NoWitness,
        steps: at(LOST_AT, &step),
        look_at: LOST_AT + LOOK_AFTER,
        behind_until: None,
        afterwards: String::new(),
        expected,
        explained: None,
    };
    let off = |name: &str, mode, what: &str, step: String, expected| Row {
        mode,
        afterwards: healed_then(LOST_AT + LOOK_AFTER, "alpha", "SAFETY FULL"),
        ..row_of(name, what, step, expected)
    };
    let none = Mode::SafetyOffNoWitness;
    let rows = [
        row_of(
            "PM",
            "alpha-beta is lost",
            cut("alpha", "beta"),
            row(serves(LOST, "none"), mirror(LOST, "none"), "no witness", false),
        ),
        row_of(
            "M",
            "beta dies",
            kill("beta"),
            row(serves(LOST, "none"), DOWN, "no witness", false),
        ),
        row_of(
            "P",
            "alpha dies",
            kill("alpha"),
            row(DOWN, mirror(LOST, "none"), "no witness", false),
        ),
        off(
            "PM-off",
            none,
            "alpha-beta is lost",
            cut("alpha", "beta"),
            row(serves(LOST, "none"), mirror(LOST, "none"), "no witness", false),
        ),
        off(
            "M-off",
            none,
            "beta dies",
            kill("beta"),
            row(serves(LOST, "none"), DOWN, "no witness", false),
        ),
        off(
            "P-off",
            none,
            "alpha dies",
            kill("alpha"),
            row(DOWN, mirror(LOST, "none"), "no witness", false),
        ),
        off(
            "P-off-witness",
            Mode::SafetyOff,
            "alpha dies; nobody takes over with a witness, either",
            kill("alpha"),
            row(DOWN, mirror(LOST, UP), witness("beta", "alpha", false), false),
        ),
    ];
    table("without_a_witness", &rows);
}
