//! The greeting: what two partners make of each other's role and sequence when the link comes up.
//!
//! Each sends `Hello`; from both, each side reads what it has to do, and the two readings fit together. Whoever changes
//! its claim (role or sequence) records it first and greets anew. Source: derived, the table of `mirroring-sessions.md`
//! §8.4; that a mirror which may have been granted the role has to renounce it is ours.

use std::cmp::Ordering;

use crate::types::{PartnerRole, RoleSequence};

/// What a partner says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    pub role: PartnerRole,
    pub role_sequence: RoleSequence,
    /// Mirror: the witness may have granted it the principal role.
    pub takeover_pending: bool,
    /// It asked because an operator forced service, which the witness grants though the mirror lacks log.
    pub takeover_forced: bool,
    /// Principal: began a manual failover.
    pub failover_pending: bool,
    /// Principal: the witness has recorded that the mirror is not synchronized, so it cannot have granted anything.
    pub vetoed: bool,
}

/// What this side does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Principal: tell the mirror from where the log goes on.
    Start,
    /// Principal: the mirror did not take over; take the role back, durably, then `Start`.
    TakeRoleBack,
    /// Principal: have the mirror renounce what it may have been granted.
    Supersede,
    /// The other side's sequence is newer, the role stays.
    Adopt,
    /// The other side is principal at a newer sequence.
    BecomeMirror,
    /// The other side has something to do first.
    Wait,
    /// Two principals or two mirrors of one sequence: cannot come to be while disks keep what they confirmed. Wait.
    Conflict,
}

/// Reads the two claims from the side of `mine`.
pub fn read(mine: &Claim, theirs: &Claim) -> Reading {
    use PartnerRole::{Mirror, Principal};
    let newer = theirs.role_sequence.cmp(&mine.role_sequence);
    match (mine.role, theirs.role, newer) {
        (Principal, Mirror, Ordering::Equal)
            if theirs.takeover_pending && (theirs.takeover_forced || !mine.vetoed) =>
        {
            Reading::Supersede
        }
        (Principal, Mirror, Ordering::Equal) if mine.failover_pending => Reading::TakeRoleBack,
        (Principal, Mirror, Ordering::Equal) => Reading::Start,
        (Principal, Principal, Ordering::Greater) => Reading::BecomeMirror,
        (Principal, Mirror, Ordering::Greater) | (Mirror, Principal, Ordering::Greater) => Reading::Adopt,
        (Mirror, Mirror, _) | (Principal, Principal, Ordering::Equal) => Reading::Conflict,
        (Mirror, Principal, Ordering::Equal) | (_, _, Ordering::Less) => Reading::Wait,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn claims() -> Vec<Claim> {
        let mut claims = Vec::new();
        for role_sequence in [4, 5] {
            for flag in [false, true] {
                for vetoed in [false, true] {
                    claims.push(Claim {
                        role: PartnerRole::Principal,
                        role_sequence,
                        takeover_pending: false,
                        takeover_forced: false,
                        failover_pending: flag,
                        vetoed,
                    });
                }
                claims.push(Claim {
                    role: PartnerRole::Mirror,
                    role_sequence,
                    takeover_pending: flag,
                    takeover_forced: false,
                    failover_pending: false,
                    vetoed: false,
                });
            }
            claims.push(Claim {
                role: PartnerRole::Mirror,
                role_sequence,
                takeover_pending: true,
                takeover_forced: true,
                failover_pending: false,
                vetoed: false,
            });
        }
        claims
    }

    /// Never do both wait for each other, and never do both act on the same thing.
    #[test]
    fn the_two_readings_fit_together() {
        for a in claims() {
            for b in claims() {
                let pair = (read(&a, &b), read(&b, &a));
                let conflict = (Reading::Conflict, Reading::Conflict);
                let one_acts = (pair.0 == Reading::Wait) != (pair.1 == Reading::Wait);
                assert!(pair == conflict || one_acts, "{a:?} and {b:?}: {pair:?}");
            }
        }
    }

    #[test]
    fn the_table() {
        let mut table = String::new();
        let mine = claims().into_iter().filter(|c| c.role_sequence == 4);
        for mine in mine {
            for theirs in claims().into_iter().filter(|c| !c.vetoed) {
                let show = |c: &Claim| {
                    format!(
                        "{}({}){}{}{}",
                        c.role,
                        c.role_sequence,
                        if c.takeover_forced {
                            " forced takeover pending"
                        } else if c.takeover_pending {
                            " takeover pending"
                        } else {
                            ""
                        },
                        if c.failover_pending {
                            " failover pending"
                        } else {
                            ""
                        },
                        if c.vetoed { " vetoed" } else { "" },
                    )
                };
                let reading = read(&mine, &theirs);
                writeln!(table, "{} meets {}: {reading:?}", show(&mine), show(&theirs)).unwrap();
            }
        }
        insta::assert_snapshot!(table);
    }
}
