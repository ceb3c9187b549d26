//! A session's role sequence never decreases on any instance and grows by one at each switch.
//!
//! It grows by two when a principal keeps its role though the witness may have granted the next sequence to its mirror:
//! then the one passed over is nobody's. Source: documented, *sys.database_mirroring*, mirroring_role_sequence; that a
//! grant can be renounced is ours.

use std::collections::BTreeMap;

use super::history::session_event;
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{DatabaseName, Guid, InstanceName, PartnerRole, RoleSequence, SessionEvent, Stamped};

const NAME: &str = "role-seq-monotone";

#[derive(Debug, Default)]
pub(super) struct RoleSeqMonotone {
    scene: SharedScene,
    /// What each instance showed last.
    shown: BTreeMap<(InstanceName, Guid), RoleSequence>,
    /// Who owned the principal role under each sequence.
    owners: BTreeMap<Guid, BTreeMap<RoleSequence, InstanceName>>,
}

impl RoleSeqMonotone {
    fn on_role(
        &mut self,
        who: &InstanceName,
        session: Guid,
        role: PartnerRole,
        sequence: RoleSequence,
    ) -> Option<String> {
        let shown = self.shown.entry((who.clone(), session)).or_insert(sequence);
        let before = std::mem::replace(shown, sequence);
        if sequence < before {
            return Some(format!("went back from {before} to {sequence}"));
        }
        match role {
            PartnerRole::Principal => self.on_principal(who, session, sequence),
            PartnerRole::Mirror => None,
        }
    }

    /// Showing the principal role again under one's own sequence is nothing new.
    fn on_principal(&mut self, who: &InstanceName, session: Guid, sequence: RoleSequence) -> Option<String> {
        let owners = self.owners.entry(session).or_default();
        let highest = owners.keys().next_back().copied();
        match owners.get(&sequence) {
            Some(owner) if owner == who => return None,
            Some(owner) => {
                return Some(format!(
                    "took the role under sequence {sequence}, which belongs to {owner}"
                ));
            }
            None => owners.insert(sequence, who.clone()),
        };
        let before = highest?;
        let kept = owners.get(&before) == Some(who);
        let next = before.saturating_add(1);
        (sequence != next && !(kept && sequence == next.saturating_add(1)))
            .then(|| format!("took the role under sequence {sequence} when {before} was the highest"))
    }
}

impl Oracle for RoleSeqMonotone {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.scene.observe(stamped);
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        let session = |database: &DatabaseName| self.scene.sessions.session(who, database);
        let (database, problem) = match event {
            SessionEvent::Role {
                database,
                to,
                role_sequence,
                ..
            } => match session(database) {
                Some(session) => (database, self.on_role(who, session, *to, *role_sequence)),
                None => return,
            },
            SessionEvent::Takeover {
                database,
                role_sequence,
                ..
            } => match session(database) {
                Some(session) => (database, self.on_principal(who, session, *role_sequence)),
                None => return,
            },
            _ => return,
        };
        if let Some(problem) = problem {
            out.push(Violation {
                oracle: NAME,
                fingerprint: format!("{NAME}/{database}/{who}"),
                message: format!("the role sequence of {database} on {who} {problem}"),
                at: stamped.at,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::SwitchKind;

    #[test]
    fn a_switch_counts_one_up_and_the_old_principal_follows() {
        let mut events = pair();
        events.extend([
            on(1, "beta", role(PartnerRole::Principal, 2)),
            on(1, "beta", takeover(SwitchKind::Automatic, 2)),
            on(5, "alpha", role(PartnerRole::Mirror, 2)),
            on(9, "alpha", takeover(SwitchKind::Manual, 3)),
            on(9, "alpha", role(PartnerRole::Principal, 3)),
        ]);
        assert_quiet::<RoleSeqMonotone>(&events);
    }

    #[test]
    fn going_back_is_seen() {
        let mut events = pair();
        events.extend([
            on(1, "beta", role(PartnerRole::Principal, 2)),
            on(2, "beta", role(PartnerRole::Mirror, 1)),
        ]);
        assert_red::<RoleSeqMonotone>(&events, NAME);
    }

    #[test]
    fn taking_the_role_under_a_used_sequence_is_seen() {
        let mut events = pair();
        events.extend([
            on(1, "beta", takeover(SwitchKind::Automatic, 2)),
            on(2, "alpha", takeover(SwitchKind::Automatic, 2)),
        ]);
        assert_red::<RoleSeqMonotone>(&events, NAME);
    }

    #[test]
    fn skipping_a_sequence_is_seen() {
        let mut events = pair();
        events.push(on(1, "beta", takeover(SwitchKind::Automatic, 3)));
        assert_red::<RoleSeqMonotone>(&events, NAME);
        let mut events = pair();
        events.push(on(1, "alpha", role(PartnerRole::Principal, 4)));
        assert_red::<RoleSeqMonotone>(&events, NAME);
    }

    #[test]
    fn a_principal_may_pass_over_what_its_mirror_renounced_and_nobody_takes_it() {
        let mut events = pair();
        events.push(on(1, "alpha", role(PartnerRole::Principal, 3)));
        assert_quiet::<RoleSeqMonotone>(&events);
        events.push(on(2, "beta", takeover(SwitchKind::Automatic, 2)));
        assert_red::<RoleSeqMonotone>(&events, NAME);
    }
}
