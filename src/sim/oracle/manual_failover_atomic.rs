//! In a manual failover the old principal has stopped before the new one begins, and never goes on under the old role.
//!
//! Source: derived from *Role Switching*; what a lost link leaves behind is S6.

use super::history::session_event;
use super::scene::Scene;
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{DatabaseName, InstanceName, RoleSequence, SessionEvent, Stamped, SwitchKind};

const NAME: &str = "manual-failover-atomic";

#[derive(Debug, Default)]
pub(super) struct ManualFailoverAtomic {
    scene: SharedScene,
}

impl ManualFailoverAtomic {
    fn problem(&self, who: &InstanceName, database: &DatabaseName, sequence: RoleSequence) -> Option<String> {
        let session = self.scene.sessions.session(who, database)?;
        let (new, taken, kind) = self.scene.last_switch(session)?;
        if *kind != SwitchKind::Manual {
            return None;
        }
        if new != who && sequence < *taken {
            return Some(format!(
                "{who} serves {database} under role sequence {sequence} again, though {new} has {taken}"
            ));
        }
        let old = self.scene.sessions.partner(who, database)?;
        let both = new == who && sequence == *taken && self.scene.shown(old, database)?.serving;
        both.then(|| format!("{who} begins to serve {database} while {old} still does"))
    }
}

impl Oracle for ManualFailoverAtomic {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if !Scene::concerns(stamped) {
            return;
        }
        if let Some((
            who,
            SessionEvent::Serving {
                database,
                serving: true,
                role_sequence,
                ..
            },
        )) = session_event(stamped)
            && let Some(problem) = self.problem(who, database, *role_sequence)
        {
            out.push(Violation::of(NAME, &[database, who], problem, stamped.at));
        }
        self.scene.observe(stamped);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn one_after_the_other_is_right() {
        let mut events = pair_connected();
        events.extend([
            on(1, "alpha", serving(false, 1)),
            on(2, "beta", takeover(SwitchKind::Manual, 2)),
            on(2, "beta", serving(true, 2)),
        ]);
        assert_quiet::<ManualFailoverAtomic>(&events);
    }

    #[test]
    fn both_at_once_is_seen() {
        let mut events = pair_connected();
        events.extend([
            on(2, "beta", takeover(SwitchKind::Manual, 2)),
            on(2, "beta", serving(true, 2)),
        ]);
        assert_red::<ManualFailoverAtomic>(&events, NAME);
    }

    #[test]
    fn an_old_principal_that_goes_on_is_seen() {
        let mut events = pair_connected();
        events.extend([
            on(1, "alpha", serving(false, 1)),
            on(2, "beta", takeover(SwitchKind::Manual, 2)),
            on(2, "beta", serving(true, 2)),
            on(3, "alpha", serving(true, 1)),
        ]);
        assert_red::<ManualFailoverAtomic>(&events, NAME);
    }
}
