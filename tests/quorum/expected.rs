//! What the manual says of each row, as data.
//!
//! Source: documented, *Quorum: How a Witness Affects Database Availability*, *Database Mirroring Witness*, *Database
//! Mirroring Operating Modes*, *Role Switching*; cells the pages leave to be worked out are derived from their rules.

use super::observe::Seen;

pub const DOWN: &str = "down";

/// A partner's cell: role and state, whether it serves, how it sees the witness.
fn partner(role: &str, state: &str, serves: bool, witness: &str) -> String {
    let service = if serves { "serves" } else { "stopped" };
    format!("{role} {state}, {service}, witness {witness}")
}

/// A principal that serves.
pub fn serves(state: &str, witness: &str) -> String {
    partner("PRINCIPAL", state, true, witness)
}

/// A principal without quorum.
pub fn stopped(witness: &str) -> String {
    partner("PRINCIPAL", "DISCONNECTED", false, witness)
}

pub fn mirror(state: &str, witness: &str) -> String {
    partner("MIRROR", state, false, witness)
}

/// The witness's cell: whom it is connected to, and its record.
pub fn witness(sees: &str, owner: &str, synchronized: bool) -> String {
    let not = if synchronized { "" } else { "not " };
    format!("sees {sees}; {owner}, {not}synchronized")
}

pub fn row(
    alpha: impl Into<String>,
    beta: impl Into<String>,
    gamma: impl Into<String>,
    switch: bool,
) -> Seen {
    Seen {
        alpha: alpha.into(),
        beta: beta.into(),
        gamma: gamma.into(),
        outcome: match switch {
            true => "beta takes over, automatic".into(),
            false => "no failover".into(),
        },
    }
}

/// Which links are up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Links {
    pub partners: bool,
    pub principal_witness: bool,
    pub mirror_witness: bool,
}

/// All of them, in the order of the reference.
pub const PATTERNS: [Links; 8] = {
    const fn links(partners: bool, principal_witness: bool, mirror_witness: bool) -> Links {
        Links {
            partners,
            principal_witness,
            mirror_witness,
        }
    }
    [
        links(true, true, true),
        links(true, true, false),
        links(true, false, true),
        links(true, false, false),
        links(false, true, true),
        links(false, true, false),
        links(false, false, true),
        links(false, false, false),
    ]
};

const UP: &str = "CONNECTED";
const LOST: &str = "DISCONNECTED";

/// What a session in high-safety mode with a witness comes to when these links are lost together.
pub fn links_lost(number: usize, synchronized: bool) -> Seen {
    let state = if synchronized {
        "SYNCHRONIZED"
    } else {
        "SYNCHRONIZING"
    };
    let alpha = |sees, fresh| witness(sees, "alpha", synchronized && fresh);
    match (number, synchronized) {
        (1, _) => row(
            serves(state, UP),
            mirror(state, UP),
            alpha("alpha and beta", true),
            false,
        ),
        (2, _) => row(
            serves(state, UP),
            mirror(state, LOST),
            alpha("alpha", true),
            false,
        ),
        (3, _) => row(serves(state, LOST), mirror(state, UP), alpha("beta", true), false),
        (4, _) => row(
            serves(state, LOST),
            mirror(state, LOST),
            alpha("nobody", true),
            false,
        ),
        // Exposed: the witness knows that the mirror is not synchronized any more.
        (5, _) => row(
            serves(LOST, UP),
            mirror(LOST, UP),
            alpha("alpha and beta", false),
            false,
        ),
        (6, _) => row(serves(LOST, UP), mirror(LOST, LOST), alpha("alpha", false), false),
        (7, true) => row(
            stopped(LOST),
            serves(LOST, UP),
            witness("beta", "beta", false),
            true,
        ),
        (7, false) => row(stopped(LOST), mirror(LOST, UP), alpha("beta", false), false),
        _ => row(stopped(LOST), mirror(LOST, LOST), alpha("nobody", true), false),
    }
}
