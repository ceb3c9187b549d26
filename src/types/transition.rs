//! The transition table of the mirroring states: which state may follow which, on which partner.
//!
//! The schedules of the session core and the promise `legal-transitions-only` hold every change of state against it.
//! Source: documented, *Mirroring States*, *Role Switching*; the table as a whole is derived.

use super::{MirroringState, PartnerRole};

/// One row: from which state (`None`: none is known yet) to which, on which partner (`None`: on either), and what brings
/// it about.
pub type Transition = (
    Option<MirroringState>,
    MirroringState,
    Option<PartnerRole>,
    &'static str,
);

/// Every legal change. A partner that starts has no connection yet, or a session that was suspended.
pub const TRANSITIONS: [Transition; 16] = {
    use MirroringState::{Disconnected, PendingFailover, Suspended, Synchronized, Synchronizing};
    use PartnerRole::Principal;
    [
        (None, Synchronizing, None, "T1: SET PARTNER started the session"),
        (None, Disconnected, None, "T18: a restart"),
        (None, Suspended, None, "T18: a restart of a suspended session"),
        (
            Some(Synchronizing),
            Synchronized,
            None,
            "T2: the mirror hardened all, SAFETY FULL",
        ),
        (Some(Synchronizing), Disconnected, None, "T3: the link was lost"),
        (Some(Synchronized), Disconnected, None, "T3: the link was lost"),
        (
            Some(Disconnected),
            Synchronizing,
            None,
            "T7, T9: the partners met again",
        ),
        (
            Some(Disconnected),
            Suspended,
            None,
            "T8, T10, T16: SUSPEND while apart, the partner was suspended or forced, forced service",
        ),
        (Some(Synchronizing), Suspended, None, "T11: SUSPEND"),
        (Some(Synchronized), Suspended, None, "T11: SUSPEND"),
        (Some(Suspended), Synchronizing, None, "T13: RESUME"),
        (
            Some(Synchronized),
            PendingFailover,
            Some(Principal),
            "T14: FAILOVER began",
        ),
        (
            Some(PendingFailover),
            Synchronizing,
            None,
            "T14: the roles are swapped, or it was refused",
        ),
        (
            Some(PendingFailover),
            Disconnected,
            None,
            "T3, S56: the link was lost during FAILOVER",
        ),
        (
            Some(PendingFailover),
            Suspended,
            None,
            "T11, S56: the mirror was told to SUSPEND before it heard of FAILOVER",
        ),
        (
            Some(Synchronized),
            Synchronizing,
            None,
            "C4: SAFETY OFF; T14: the mirror took the role over",
        ),
    ]
};

/// Whether `to` may follow `from` on a partner that has `role` from then on. A state may always be said again, with another
/// event, but for one that a mirror never has.
pub fn is_legal_transition(role: PartnerRole, from: Option<MirroringState>, to: MirroringState) -> bool {
    let pending = to == MirroringState::PendingFailover && role == PartnerRole::Mirror;
    let said = |(before, after, whose, _): &Transition| {
        *before == from && *after == to && whose.is_none_or(|whose| whose == role)
    };
    !pending && (from == Some(to) || TRANSITIONS.iter().any(said))
}
