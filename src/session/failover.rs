//! Who may take the principal role over, and when: the guards of manual and automatic failover.

use super::WitnessRecord;
use crate::error::{Message, msg};
use crate::types::{MirroringState, PartnerRole, RoleSequence, Safety};
use crate::wire::mirroring::Denial;

/// What a mirror knew at the moment it lost its principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtLoss {
    pub safety: Safety,
    /// The state the session was in.
    pub was: Option<MirroringState>,
    /// The mirror's durable record says that it is synchronized.
    pub recorded_synchronized: bool,
    /// A witness is set and its link is up.
    pub witness_connected: bool,
}

/// Whether a mirror that loses its principal may ask the witness for the role. It stays allowed only while the link to
/// the witness holds. Source: documented, *Role Switching…*; the continuity of the witness link is C7.
pub fn arms(at: &AtLoss) -> bool {
    at.safety == Safety::Full
        && at.was == Some(MirroringState::Synchronized)
        && at.recorded_synchronized
        && at.witness_connected
}

/// A mirror's request for the principal role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim<'a> {
    /// The server name of the mirror.
    pub requester: &'a str,
    pub to: RoleSequence,
    /// An operator accepts the loss of data, so that neither safety nor synchronization matters.
    pub forced: bool,
}

/// Whether the witness grants the principal role. The witness is where competing claims are put in order.
pub fn grant(record: &WitnessRecord, principal_connected: bool, claim: Claim<'_>) -> Result<(), Denial> {
    let next = record.role_sequence.checked_add(1);
    let full = record.safety == Safety::Full || claim.forced;
    if record.mirror != claim.requester || next != Some(claim.to) || !full {
        Err(Denial::OtherRecord)
    } else if !claim.forced && (!record.synchronized || record.suspended) {
        Err(Denial::NotSynchronized)
    } else if principal_connected {
        Err(Denial::PrincipalConnected)
    } else {
        Ok(())
    }
}

/// Whether `SET PARTNER FAILOVER` may begin; if not, the message it ends with.
/// Source: documented, *Manually Fail Over a Database Mirroring Session*; order of the checks ours.
pub fn manual(
    role: PartnerRole,
    safety: Safety,
    connected: bool,
    state: Option<MirroringState>,
) -> Result<(), &'static Message> {
    match (role, safety, connected, state) {
        (PartnerRole::Mirror, ..) => Err(&msg::NOT_PRINCIPAL),
        (_, Safety::Off, ..) => Err(&msg::FAILOVER_NEEDS_FULL),
        (_, _, false, _) => Err(&msg::BOTH_PARTNERS_NEEDED),
        (_, _, _, Some(MirroringState::Synchronized)) => Ok(()),
        _ => Err(&msg::MIRROR_NOT_CAUGHT_UP),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{DatabaseName, Guid};

    fn record() -> WitnessRecord {
        WitnessRecord {
            database: DatabaseName::new("sales"),
            session: Guid::NIL,
            family: Guid::NIL,
            owner: "alpha".into(),
            mirror: "beta".into(),
            role_sequence: 3,
            safety: Safety::Full,
            safety_sequence: 1,
            timeout_seconds: 10,
            suspended: false,
            suspend_sequence: 1,
            synchronized: true,
        }
    }

    #[test]
    fn the_witness_grants_the_next_sequence_to_the_synchronized_mirror_alone() {
        let automatic = |requester, to| Claim {
            requester,
            to,
            forced: false,
        };
        let mirror = automatic("beta", 4);
        assert_eq!(grant(&record(), false, mirror), Ok(()));
        assert_eq!(grant(&record(), true, mirror), Err(Denial::PrincipalConnected));
        for other in [automatic("alpha", 4), automatic("beta", 5), automatic("beta", 3)] {
            assert_eq!(grant(&record(), false, other), Err(Denial::OtherRecord));
        }
        let mut unsynchronized = record();
        unsynchronized.synchronized = false;
        assert_eq!(
            grant(&unsynchronized, false, mirror),
            Err(Denial::NotSynchronized)
        );
        let mut suspended = record();
        suspended.suspended = true;
        assert_eq!(grant(&suspended, false, mirror), Err(Denial::NotSynchronized));
        let mut off = record();
        off.safety = Safety::Off;
        assert_eq!(grant(&off, false, mirror), Err(Denial::OtherRecord));
    }

    #[test]
    fn forced_service_needs_no_synchronization_but_a_principal_that_is_gone() {
        let forced = Claim {
            requester: "beta",
            to: 4,
            forced: true,
        };
        let mut behind = record();
        behind.synchronized = false;
        behind.suspended = true;
        behind.safety = Safety::Off;
        assert_eq!(grant(&behind, false, forced), Ok(()));
        assert_eq!(grant(&behind, true, forced), Err(Denial::PrincipalConnected));
        assert_eq!(
            grant(&behind, false, Claim { to: 5, ..forced }),
            Err(Denial::OtherRecord)
        );
    }

    #[test]
    fn every_condition_arms() {
        let full = AtLoss {
            safety: Safety::Full,
            was: Some(MirroringState::Synchronized),
            recorded_synchronized: true,
            witness_connected: true,
        };
        assert!(arms(&full));
        let lacking = [
            AtLoss {
                safety: Safety::Off,
                ..full
            },
            AtLoss {
                was: Some(MirroringState::Synchronizing),
                ..full
            },
            AtLoss {
                recorded_synchronized: false,
                ..full
            },
            AtLoss {
                witness_connected: false,
                ..full
            },
        ];
        for at in lacking {
            assert!(!arms(&at), "{at:?}");
        }
    }

    #[test]
    fn manual_failover_is_refused_by_number() {
        use MirroringState::{Synchronized, Synchronizing};
        let number = |role, safety, connected, state| {
            manual(role, safety, connected, Some(state)).map_err(|message| message.number)
        };
        let (principal, mirror) = (PartnerRole::Principal, PartnerRole::Mirror);
        assert_eq!(number(principal, Safety::Full, true, Synchronized), Ok(()));
        assert_eq!(number(mirror, Safety::Full, true, Synchronized), Err(1470));
        assert_eq!(number(principal, Safety::Off, true, Synchronized), Err(1477));
        assert_eq!(number(principal, Safety::Full, false, Synchronized), Err(1447));
        assert_eq!(number(principal, Safety::Full, true, Synchronizing), Err(1422));
    }
}
