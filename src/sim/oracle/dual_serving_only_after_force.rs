//! Two partners serve at once only after a forced service without a witness.
//!
//! A principal that was cut off may serve until its timer runs out, which can be one ping interval after the mirror's
//! did: it confirms nothing in that time (S9). Two that *show* the principal role are legal as long as one serves. Source:
//! documented, *Role Switching During a Database Mirroring Session*, *Quorum*.

use super::scene::{PING, Patience, SLACK, Scene};
use super::{End, Oracle, Violation};
use crate::types::{DatabaseName, InstanceName, Stamped, SwitchKind, Timestamp};

const NAME: &str = "dual-serving-only-after-force";

#[derive(Debug, Default)]
pub(super) struct DualServingOnlyAfterForce {
    scene: Scene,
    dual: Patience<(DatabaseName, InstanceName, InstanceName)>,
}

impl DualServingOnlyAfterForce {
    fn judge(&mut self, at: Timestamp, out: &mut Vec<Violation>) {
        for ((database, one, other), since) in self.dual.outlast(at, PING + SLACK) {
            if self.scene.is_rough_since(since, &self.scene.company(&one)) {
                continue;
            }
            out.push(Violation::of(
                NAME,
                &[&database, &one, &other],
                format!("{one} and {other} both serve {database} since {since}"),
                at,
            ));
        }
    }

    fn is_dual(&self, database: &DatabaseName, one: &InstanceName, other: &InstanceName) -> bool {
        let serves = |who| self.scene.shown(who, database).is_some_and(|shown| shown.serving);
        let has_witness = |who| {
            self.scene
                .shown(who, database)
                .is_some_and(|shown| shown.has_witness)
        };
        let forced = self
            .scene
            .sessions
            .session(one, database)
            .and_then(|session| self.scene.last_switch(session))
            .is_some_and(|(_, _, kind)| *kind == SwitchKind::Forced);
        serves(one) && serves(other) && !(forced && !(has_witness(one) && has_witness(other)))
    }
}

impl Oracle for DualServingOnlyAfterForce {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if !Scene::concerns(stamped) {
            return;
        }
        self.judge(stamped.at, out);
        self.scene.observe(stamped);
        let pairs = self.scene.sessions.pairs().into_iter();
        let dual: Vec<_> = pairs
            .filter(|(d, one, other)| self.is_dual(d, one, other))
            .collect();
        self.dual.hold(dual, stamped.at);
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        self.judge(end.at, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn an_old_principal_has_until_its_timer_runs_out() {
        let mut events = trio();
        events.extend([
            on(5, "beta", takeover(SwitchKind::Automatic, 2)),
            on(5, "beta", serving(true, 2)),
            on(6, "alpha", serving(false, 1)),
            world_step(20, "later"),
        ]);
        assert_quiet::<DualServingOnlyAfterForce>(&events);
    }

    #[test]
    fn an_instance_that_gave_up_serves_nobody() {
        let taken_over_from = |gave_up: &str| {
            let mut events = trio();
            events.extend([
                stopped(4, gave_up),
                on(5, "beta", takeover(SwitchKind::Automatic, 2)),
                on(5, "beta", serving(true, 2)),
                world_step(20, "later"),
            ]);
            events
        };
        assert_quiet::<DualServingOnlyAfterForce>(&taken_over_from("alpha"));
        assert_red::<DualServingOnlyAfterForce>(&taken_over_from("gamma"), NAME);
    }

    #[test]
    fn forced_service_without_a_witness_may_leave_two() {
        let mut events = pair_connected();
        events.extend([
            on(5, "beta", takeover(SwitchKind::Forced, 2)),
            on(5, "beta", serving(true, 2)),
            world_step(20, "later"),
        ]);
        assert_quiet::<DualServingOnlyAfterForce>(&events);
    }

    #[test]
    fn two_that_go_on_are_seen() {
        let mut events = trio();
        events.extend([
            on(5, "beta", takeover(SwitchKind::Automatic, 2)),
            on(5, "beta", serving(true, 2)),
            world_step(20, "later"),
        ]);
        assert_red::<DualServingOnlyAfterForce>(&events, NAME);
        let mut events = trio();
        events.extend([
            on(5, "beta", takeover(SwitchKind::Forced, 2)),
            on(5, "beta", serving(true, 2)),
            world_step(20, "later"),
        ]);
        assert_red::<DualServingOnlyAfterForce>(&events, NAME);
    }
}
