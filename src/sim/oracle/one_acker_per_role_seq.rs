//! For one session and one role sequence at most one partner ever acknowledges commits.
//!
//! Two partners that *show* the principal role, or two that serve after a forced service, are legal: they own different
//! role sequences. Source: documented, *Quorum: How a Witness Affects Database Availability*; *Role Switching*.

use std::collections::BTreeMap;

use super::history::session_event;
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{Guid, InstanceName, RoleSequence, SessionEvent, Stamped};

const NAME: &str = "one-acker-per-role-seq";

#[derive(Debug, Default)]
pub(super) struct OneAckerPerRoleSeq {
    scene: SharedScene,
    owner: BTreeMap<(Guid, RoleSequence), InstanceName>,
}

impl Oracle for OneAckerPerRoleSeq {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.scene.observe(stamped);
        let Some((
            who,
            SessionEvent::CommitAcknowledged {
                database,
                role_sequence,
                state: Some(_),
                ..
            },
        )) = session_event(stamped)
        else {
            return;
        };
        let Some(session) = self.scene.sessions.session(who, database) else {
            return;
        };
        let owner = self
            .owner
            .entry((session, *role_sequence))
            .or_insert_with(|| who.clone());
        if owner != who {
            out.push(Violation {
                oracle: NAME,
                fingerprint: format!("{NAME}/{database}/{owner}+{who}"),
                message: format!(
                    "{who} acknowledged a commit in {database} under role sequence {role_sequence}, which belongs to {owner}"
                ),
                at: stamped.at,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::{MirroringState, SwitchKind};

    const SYNCHRONIZED: Option<MirroringState> = Some(MirroringState::Synchronized);

    #[test]
    fn each_partner_may_acknowledge_under_its_own_sequence() {
        let mut events = pair();
        events.extend([
            on(1, "alpha", acked(1, 10, SYNCHRONIZED)),
            on(2, "beta", takeover(SwitchKind::Forced, 2)),
            on(3, "beta", acked(2, 20, Some(MirroringState::Suspended))),
            on(4, "alpha", acked(1, 20, Some(MirroringState::Disconnected))),
        ]);
        assert_quiet::<OneAckerPerRoleSeq>(&events);
    }

    #[test]
    fn two_under_one_sequence_are_a_split_brain() {
        let mut events = pair();
        events.extend([
            on(1, "alpha", acked(1, 10, SYNCHRONIZED)),
            on(3, "beta", acked(1, 20, SYNCHRONIZED)),
        ]);
        assert_red::<OneAckerPerRoleSeq>(&events, NAME);
    }
}
