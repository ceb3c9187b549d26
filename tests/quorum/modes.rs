//! The rows of SAFETY OFF and of forced service.
//!
//! A witness does nothing for a session with SAFETY OFF, but quorum is asked for all the same; the session shows
//! SYNCHRONIZING throughout (C4). Service may be forced on a mirror that is not connected to its principal, and with a
//! witness only if that is connected to the mirror and not to the principal (C2, S17). Source: documented, *Database
//! Mirroring Operating Modes*, *Quorum*, *Force Service in a Database Mirroring Session*.

use super::expected::{DOWN, mirror, row, serves, stopped, witness};
use super::links::{How, LOOK_AFTER, LOST_AT, Mode, Row, at, cut, healed_then, kill, links_rows, sql, table};
use super::observe::Seen;

const UP: &str = "CONNECTED";
const LOST: &str = "DISCONNECTED";

/// When service is forced: after every partner timeout.
const FORCED_AT: u64 = LOST_AT + 20;
const LOOK_AT: u64 = LOST_AT + LOOK_AFTER;

#[test]
fn links_lost_with_safety_off() {
    table("links_safety_off", &links_rows(Mode::SafetyOff, How::Silence));
}

/// FORCE on the mirror, refused with this error or taken.
fn force(error: Option<u32>) -> String {
    let taken = sql(FORCED_AT, "beta", "FORCE_SERVICE_ALLOW_DATA_LOSS");
    match error {
        None => taken,
        Some(number) => format!("{}\nexpect_error = {number}\n\n", taken.trim_end()),
    }
}

fn forced_row(
    name: &str,
    what: &str,
    mode: Mode,
    lost: &[String],
    error: Option<u32>,
    expected: Seen,
) -> Row {
    let lost = lost.iter().map(|fault| at(LOST_AT, fault));
    let full = !matches!(mode, Mode::SafetyOff | Mode::SafetyOffNoWitness);
    let afterwards = match (error, full) {
        (None, true) => healed_then(LOOK_AT, "beta", "RESUME"),
        (None, false) => {
            let resumed = healed_then(LOOK_AT, "beta", "RESUME");
            format!(
                "{resumed}[[step]]\nafter = \"2s\"\non = \"beta\"\nsql = \"ALTER DATABASE Sales SET PARTNER SAFETY FULL;\"\n\n"
            )
        }
        (Some(_), true) => String::new(),
        (Some(_), false) => healed_then(LOOK_AT, "alpha", "SAFETY FULL"),
    };
    Row {
        name: name.into(),
        what: what.into(),
        mode,
        steps: lost.chain([force(error)]).collect(),
        look_at: LOOK_AT,
        behind_until: Some(LOST_AT + 12),
        afterwards,
        expected,
        explained: None,
    }
}

/// Before the loss, the row's session is suspended.
fn suspended(row: Row) -> Row {
    let afterwards = match row.afterwards.is_empty() {
        true => healed_then(LOOK_AT, "alpha", "RESUME"),
        false => row.afterwards,
    };
    Row {
        what: format!("SUSPEND; {}", row.what),
        steps: sql(LOST_AT - 4, "alpha", "SUSPEND") + &row.steps,
        afterwards,
        ..row
    }
}

/// A second client, which stays with beta.
const AT_BETA: &str = r#"[[client]]
name = "other"
initial = "beta"
rate = 20

"#;

/// What has become of it when beta was forced into service.
fn taken(alpha: impl Into<String>, seen: &str, gamma: &str) -> Seen {
    let mut seen = row(alpha, serves("SUSPENDED", seen), gamma, false);
    seen.outcome = "beta takes over, forced".into();
    seen
}

#[test]
fn service_is_forced() {
    let (ab, ag, bg) = (cut("alpha", "beta"), cut("alpha", "gamma"), cut("beta", "gamma"));
    let alone = witness("beta", "beta", false);
    let off = Mode::SafetyOff;
    let rows = [
        forced_row(
            "1-force",
            "nothing is lost; FORCE is refused: beta is connected to alpha",
            off,
            &[],
            Some(1455),
            row(
                serves("SYNCHRONIZING", UP),
                mirror("SYNCHRONIZING", UP),
                witness("alpha and beta", "alpha", false),
                false,
            ),
        ),
        forced_row(
            "5-force",
            "alpha-beta is lost; FORCE is refused: the witness sees alpha",
            off,
            std::slice::from_ref(&ab),
            Some(1455),
            row(
                serves(LOST, UP),
                mirror(LOST, UP),
                witness("alpha and beta", "alpha", false),
                false,
            ),
        ),
        forced_row(
            "6-force",
            "alpha-beta and beta-gamma are lost; FORCE is refused: beta does not see the witness",
            off,
            &[ab.clone(), bg.clone()],
            Some(1431),
            row(
                serves(LOST, UP),
                mirror(LOST, LOST),
                witness("alpha", "alpha", false),
                false,
            ),
        ),
        forced_row(
            "7-force",
            "alpha-beta and alpha-gamma are lost; FORCE",
            off,
            &[ab.clone(), ag.clone()],
            None,
            taken(stopped(LOST), UP, &alone),
        ),
        forced_row(
            "7-force-dead",
            "alpha dies; FORCE",
            off,
            &[kill("alpha")],
            None,
            taken(DOWN, UP, &alone),
        ),
        forced_row(
            "8-force",
            "all links are lost; FORCE is refused: beta does not see the witness",
            off,
            &[ab.clone(), ag.clone(), bg.clone()],
            Some(1431),
            row(
                stopped(LOST),
                mirror(LOST, LOST),
                witness("nobody", "alpha", false),
                false,
            ),
        ),
        forced_row(
            "8-force-full",
            "all links are lost; FORCE is refused: beta does not see the witness",
            Mode::Synchronized,
            &[ab.clone(), ag, bg.clone()],
            Some(1431),
            row(
                stopped(LOST),
                mirror(LOST, LOST),
                witness("nobody", "alpha", true),
                false,
            ),
        ),
        forced_row(
            "P-force",
            "alpha dies; FORCE",
            Mode::NoWitness,
            &[kill("alpha")],
            None,
            taken(DOWN, "none", "no witness"),
        ),
        forced_row(
            "P-force-off",
            "alpha dies; FORCE",
            Mode::SafetyOffNoWitness,
            &[kill("alpha")],
            None,
            taken(DOWN, "none", "no witness"),
        ),
        forced_row(
            "P-force-behind",
            "alpha dies; FORCE",
            Mode::SynchronizingNoWitness,
            &[kill("alpha")],
            None,
            taken(DOWN, "none", "no witness"),
        ),
        forced_row(
            "7-force-behind",
            "alpha dies; FORCE",
            Mode::Synchronizing,
            &[kill("alpha")],
            None,
            taken(DOWN, UP, &alone),
        ),
        forced_row(
            "8-force-behind",
            "alpha dies and beta-gamma is lost; FORCE is refused: beta does not see the witness",
            Mode::Synchronizing,
            &[kill("alpha"), bg.clone()],
            Some(1431),
            row(DOWN, mirror(LOST, LOST), witness("nobody", "alpha", false), false),
        ),
        forced_row(
            "8-force-full-dead",
            "alpha dies and beta-gamma is lost; FORCE is refused: beta does not see the witness",
            Mode::Synchronized,
            &[kill("alpha"), bg.clone()],
            Some(1431),
            row(DOWN, mirror(LOST, LOST), witness("nobody", "alpha", true), false),
        ),
        forced_row(
            "8-force-dead",
            "alpha dies and beta-gamma is lost; FORCE is refused: beta does not see the witness",
            off,
            &[kill("alpha"), bg.clone()],
            Some(1431),
            row(DOWN, mirror(LOST, LOST), witness("nobody", "alpha", false), false),
        ),
        suspended(forced_row(
            "7-force-suspended",
            "alpha dies; FORCE",
            Mode::Synchronized,
            &[kill("alpha")],
            None,
            taken(DOWN, UP, &alone),
        )),
        // The reference has every mirror show DISCONNECTED afterwards; SUSPENDED is what lasts (S16).
        Row {
            explained: Some("S16"),
            ..suspended(forced_row(
                "8-force-suspended",
                "alpha dies and beta-gamma is lost; FORCE is refused: beta does not see the witness",
                Mode::Synchronized,
                &[kill("alpha"), bg],
                Some(1431),
                row(DOWN, mirror(LOST, LOST), witness("nobody", "alpha", false), false),
            ))
        },
        suspended(forced_row(
            "7-force-off-suspended",
            "alpha dies; FORCE",
            off,
            &[kill("alpha")],
            None,
            taken(DOWN, UP, &alone),
        )),
        suspended(forced_row(
            "P-force-suspended",
            "alpha dies; FORCE",
            Mode::NoWitness,
            &[kill("alpha")],
            None,
            taken(DOWN, "none", "no witness"),
        )),
        suspended(forced_row(
            "P-force-off-suspended",
            "alpha dies; FORCE",
            Mode::SafetyOffNoWitness,
            &[kill("alpha")],
            None,
            taken(DOWN, "none", "no witness"),
        )),
        // The state before the loss is DISCONNECTED.
        Row {
            steps: [
                at(LOST_AT - 6, &ab),
                at(LOST_AT + 10, &kill("alpha")),
                force(None),
            ]
            .concat(),
            ..forced_row(
                "P-force-off-apart",
                "alpha-beta is lost, then alpha dies; FORCE",
                Mode::SafetyOffNoWitness,
                &[],
                None,
                taken(DOWN, "none", "no witness"),
            )
        },
        // Two principals, each with a client that stays with it.
        Row {
            steps: [AT_BETA.to_owned(), at(LOST_AT, &ab), force(None)].concat(),
            ..forced_row(
                "PM-force",
                "alpha-beta is lost; FORCE; each has a client",
                Mode::NoWitness,
                &[ab],
                None,
                taken(serves(LOST, "none"), "none", "no witness"),
            )
        },
    ];
    table("forced_service", &rows);
}
