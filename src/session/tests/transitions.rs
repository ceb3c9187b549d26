//! The transition table: which state may follow which, on which partner.
//!
//! Every schedule holds each state change against it. The reasons are the rows of the reference's table; the snapshot is
//! the table as a person reads it.

use crate::types::{MirroringState, PartnerRole};

/// Every legal change with what brings it about. Source: documented, *Mirroring States*, *Role Switching*.
const LEGAL: [(Option<MirroringState>, MirroringState, &str); 16] = {
    use MirroringState::{Disconnected, PendingFailover, Suspended, Synchronized, Synchronizing};
    [
        (None, Synchronizing, "T1: SET PARTNER started the session"),
        (None, Disconnected, "T18: a restart"),
        (None, Suspended, "T18: a restart of a suspended session"),
        (
            Some(Synchronizing),
            Synchronized,
            "T2: the mirror hardened all, SAFETY FULL",
        ),
        (Some(Synchronizing), Disconnected, "T3: the link was lost"),
        (Some(Synchronized), Disconnected, "T3: the link was lost"),
        (
            Some(Disconnected),
            Synchronizing,
            "T7, T9: the partners met again",
        ),
        (
            Some(Disconnected),
            Suspended,
            "T8, T10, T16: SUSPEND while apart, the partner was suspended or forced, forced service",
        ),
        (Some(Synchronizing), Suspended, "T11: SUSPEND"),
        (Some(Synchronized), Suspended, "T11: SUSPEND"),
        (Some(Suspended), Synchronizing, "T13: RESUME"),
        (
            Some(Synchronized),
            PendingFailover,
            "T14: FAILOVER began (principal)",
        ),
        (
            Some(PendingFailover),
            Synchronizing,
            "T14: the roles are swapped, or it was refused",
        ),
        (
            Some(PendingFailover),
            Disconnected,
            "T3: the link was lost during FAILOVER",
        ),
        (
            Some(PendingFailover),
            Suspended,
            "T11: the mirror was told to SUSPEND before it heard of FAILOVER",
        ),
        (
            Some(Synchronized),
            Synchronizing,
            "C4: SAFETY OFF; T14: the mirror took the role over",
        ),
    ]
};

/// Whether `to` may follow `from`. A state may always be said again, with another event.
pub fn is_legal(role: PartnerRole, from: Option<MirroringState>, to: MirroringState) -> bool {
    let pending = to == MirroringState::PendingFailover && role == PartnerRole::Mirror;
    !pending && (from == Some(to) || LEGAL.iter().any(|(f, t, _)| *f == from && *t == to))
}

#[test]
fn the_transition_table() {
    let mut table = String::new();
    for (from, to, why) in LEGAL {
        let from = from.map_or("none", MirroringState::desc);
        table.push_str(&format!("{from} -> {}: {why}\n", to.desc()));
    }
    insta::assert_snapshot!(table);
}
