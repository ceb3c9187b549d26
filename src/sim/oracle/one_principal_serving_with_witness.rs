//! Two partners can never both acknowledge: after a takeover, the old principal confirms only what the new one has.
//!
//! An acknowledgement may still be on its way to the client when the role changes hands; its commit is then in the log
//! the new principal goes on with. The strict form, never two that serve, would need clocks that agree (S9). Source:
//! documented, *Quorum*, in the weak form.

use std::collections::BTreeMap;

use super::hardened::HardenedExtents;
use super::history::session_event;
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{Guid, InstanceName, Lsn, RoleSequence, SessionEvent, Stamped, SwitchKind};

const NAME: &str = "one-principal-serving-with-witness";

#[derive(Debug, Default)]
pub(super) struct OnePrincipalServingWithWitness {
    scene: SharedScene,
    logs: HardenedExtents,
    /// Who took each session over last, under which sequence, and where its log ended then.
    taken: BTreeMap<Guid, (InstanceName, RoleSequence, Option<Lsn>)>,
}

impl Oracle for OnePrincipalServingWithWitness {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.scene.observe(stamped);
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        match event {
            SessionEvent::Takeover {
                database,
                kind,
                role_sequence,
                ..
            } => {
                let Some(session) = self.scene.sessions.session(who, database) else {
                    return;
                };
                let end = self.logs.log(who, database).and_then(|log| log.end);
                match kind {
                    SwitchKind::Forced => self.taken.remove(&session),
                    _ => self.taken.insert(session, (who.clone(), *role_sequence, end)),
                };
            }
            SessionEvent::CommitAcknowledged {
                database,
                lsn,
                role_sequence,
                state: Some(_),
                ..
            } => {
                let taken = self
                    .scene
                    .sessions
                    .session(who, database)
                    .and_then(|s| self.taken.get(&s));
                if let Some((new, sequence, end)) = taken
                    && new != who
                    && sequence > role_sequence
                    && end.is_none_or(|end| end < *lsn)
                {
                    out.push(Violation::of(
                        NAME,
                        &[database, who],
                        format!(
                            "{who} acknowledged a commit in {database} at {lsn}, which {new} had not when it took the role over"
                        ),
                        stamped.at,
                    ));
                }
            }
            _ => {}
        }
        self.logs.observe(who, event);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::MirroringState;

    fn switched(kind: SwitchKind) -> Vec<Stamped> {
        let mut events = trio();
        events.extend([
            on(1, "alpha", hardened(1, 0, 10, 1)),
            on(1, "beta", hardened(1, 0, 10, 1)),
            on(5, "beta", takeover(kind, 2)),
        ]);
        events
    }

    fn late(lsn: u64) -> Stamped {
        on(6, "alpha", acked(1, lsn, Some(MirroringState::Synchronized)))
    }

    #[test]
    fn what_the_new_principal_has_may_still_be_told() {
        let mut events = switched(SwitchKind::Automatic);
        events.push(late(10));
        assert_quiet::<OnePrincipalServingWithWitness>(&events);
        let mut events = switched(SwitchKind::Forced);
        events.push(late(20));
        assert_quiet::<OnePrincipalServingWithWitness>(&events);
    }

    #[test]
    fn two_writers_are_seen() {
        let mut events = switched(SwitchKind::Automatic);
        events.push(late(20));
        assert_red::<OnePrincipalServingWithWitness>(&events, NAME);
    }
}
