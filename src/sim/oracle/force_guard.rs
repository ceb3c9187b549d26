//! Service is forced only on a mirror that is not connected to its principal, and that sees the witness if one is set.
//!
//! Source: documented, *Role Switching*, *ALTER DATABASE Database Mirroring*; messages 1406 and 1455.

use super::history::session_event;
use super::scene::Scene;
use super::{Oracle, Violation};
use crate::types::{DatabaseName, InstanceName, PartnerRole, SessionEvent, Stamped, SwitchKind};

const NAME: &str = "force-guard";

#[derive(Debug, Default)]
pub(super) struct ForceGuard {
    scene: Scene,
}

impl ForceGuard {
    fn missing(&self, who: &InstanceName, database: &DatabaseName) -> Option<&'static str> {
        let shown = self.scene.shown(who, database)?;
        let principal = self.scene.sessions.partner(who, database)?;
        let witness = self.scene.witness(who, database);
        // The event may come after that of the new role itself.
        if shown.role == Some(PartnerRole::Principal) && shown.serving {
            return Some("which is its principal already");
        }
        if self.scene.has_connection(who, principal) {
            return Some("while it is connected to the principal");
        }
        let sees = witness.is_some_and(|witness| self.scene.has_connection(who, witness));
        (shown.has_witness && !sees).then_some("while it is not connected to the witness")
    }
}

impl Oracle for ForceGuard {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if !Scene::concerns(stamped) {
            return;
        }
        if let Some((
            who,
            SessionEvent::Takeover {
                database,
                kind: SwitchKind::Forced,
                ..
            },
        )) = session_event(stamped)
            && let Some(missing) = self.missing(who, database)
        {
            out.push(Violation::of(
                NAME,
                &[database, who],
                format!("service of {database} was forced on {who} {missing}"),
                stamped.at,
            ));
        }
        self.scene.observe(stamped);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn forced(mut events: Vec<Stamped>) -> Vec<Stamped> {
        events.push(on(9, "beta", takeover(SwitchKind::Forced, 2)));
        events
    }

    #[test]
    fn a_mirror_without_its_principal_may() {
        let mut events = trio();
        events.extend(parted(5, "beta", "alpha"));
        assert_quiet::<ForceGuard>(&forced(events));
        let mut events = pair_connected();
        events.extend(parted(5, "beta", "alpha"));
        assert_quiet::<ForceGuard>(&forced(events));
    }

    #[test]
    fn one_that_is_connected_may_not() {
        assert_red::<ForceGuard>(&forced(trio()), NAME);
    }

    #[test]
    fn one_without_its_witness_may_not() {
        let mut events = trio();
        events.extend(parted(5, "beta", "alpha"));
        events.extend(parted(5, "beta", "gamma"));
        assert_red::<ForceGuard>(&forced(events), NAME);
    }
}
