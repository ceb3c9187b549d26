//! Without a witness a principal serves whatever becomes of its links; so does one whose witness was turned off.
//!
//! Two promises, told apart by whether the session ever had a witness: `no-witness-no-quorum-rule` and
//! `witness-off-removes-quorum`. A principal stops only for a manual failover, for a partner with a higher role sequence,
//! or because its disk was damaged. Source: documented, *Database Mirroring Operating Modes*, *Quorum*; C1.

use std::collections::BTreeSet;
use std::time::Duration;

use super::history::session_event;
use super::scene::{Patience, Scene, Shown};
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{DatabaseName, Guid, InstanceName, PartnerRole, SessionEvent, Stamped, Timestamp};

const NEVER: &str = "no-witness-no-quorum-rule";
const NOT_ANY_MORE: &str = "witness-off-removes-quorum";

/// Long enough to write down what a statement or a greeting brought.
const BOUND: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct NoWitnessNoQuorumRule {
    scene: SharedScene,
    had_witness: BTreeSet<Guid>,
    idle: Patience<(InstanceName, DatabaseName)>,
}

impl NoWitnessNoQuorumRule {
    fn judge(&mut self, at: Timestamp, out: &mut Vec<Violation>) {
        for ((who, database), since) in self.idle.outlast(at, BOUND) {
            if self.scene.is_rough_since(since, &self.scene.company(&who)) {
                continue;
            }
            let session = self.scene.sessions.session(&who, &database);
            let name = match session.is_some_and(|session| self.had_witness.contains(&session)) {
                true => NOT_ANY_MORE,
                false => NEVER,
            };
            let message = format!("{who} has no witness and does not serve {database} since {since}");
            out.push(Violation::of(name, &[&database, &who], message, at));
        }
    }

    fn should_serve(&self, who: &InstanceName, database: &DatabaseName, shown: &Shown) -> bool {
        let superseded = || {
            let partner = self.scene.sessions.partner(who, database);
            let other = partner.and_then(|partner| self.scene.shown(partner, database));
            other.is_some_and(|other| other.role_sequence > shown.role_sequence)
        };
        shown.role == Some(PartnerRole::Principal)
            && !shown.has_witness
            && !shown.serving
            && shown.state.is_some()
            && self.scene.can_use(who, database)
            // What began as a manual failover only the partner can end.
            && !shown.failing_over
            && !superseded()
    }
}

impl Oracle for NoWitnessNoQuorumRule {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if !Scene::concerns(stamped) {
            return;
        }
        self.judge(stamped.at, out);
        self.scene.observe(stamped);
        if let Some((
            who,
            SessionEvent::WitnessSet {
                database,
                witness: Some(_),
                ..
            },
        )) = session_event(stamped)
        {
            self.had_witness
                .extend(self.scene.sessions.session(who, database));
        }
        let idle: Vec<_> = self
            .scene
            .copies()
            .filter(|(who, database, shown)| self.should_serve(who, database, shown))
            .map(|(who, database, _)| (who.clone(), database.clone()))
            .collect();
        self.idle.hold(idle, stamped.at);
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        self.judge(end.at, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::MirroringState;

    fn lost(mut events: Vec<Stamped>) -> Vec<Stamped> {
        events.extend(parted(5, "alpha", "beta"));
        events.push(on(
            5,
            "alpha",
            state(PartnerRole::Principal, MirroringState::Disconnected),
        ));
        events
    }

    fn stopped(mut events: Vec<Stamped>) -> Vec<Stamped> {
        events.push(on(5, "alpha", serving(false, 1)));
        events.push(world_step(20, "later"));
        events
    }

    fn witness_off() -> Vec<Stamped> {
        let mut events = trio();
        for who in ["alpha", "beta"] {
            let off = SessionEvent::WitnessSet {
                database: db(),
                witness: None,
                anew: false,
            };
            events.push(on(1, who, off));
        }
        events
    }

    #[test]
    fn going_on_is_right_and_with_a_witness_it_is_another_question() {
        let mut events = lost(pair_connected());
        events.push(world_step(20, "later"));
        assert_quiet::<NoWitnessNoQuorumRule>(&events);
        assert_quiet::<NoWitnessNoQuorumRule>(&stopped(lost(trio())));
    }

    #[test]
    fn who_hands_its_role_over_stops() {
        let mut events = pair_connected();
        events.push(on(
            5,
            "alpha",
            state(PartnerRole::Principal, MirroringState::PendingFailover),
        ));
        assert_quiet::<NoWitnessNoQuorumRule>(&stopped(events));
        let mut events = lost(pair_connected());
        events.push(on(
            5,
            "beta",
            switch(PartnerRole::Mirror, PartnerRole::Principal, 2),
        ));
        events.push(on(5, "beta", serving(true, 2)));
        assert_quiet::<NoWitnessNoQuorumRule>(&stopped(events));
    }

    #[test]
    fn a_failover_that_is_over_is_no_excuse() {
        let mut events = pair_connected();
        events.push(on(
            3,
            "alpha",
            state(PartnerRole::Principal, MirroringState::PendingFailover),
        ));
        // The mirror told it that it is still the principal.
        events.push(on(4, "alpha", role(PartnerRole::Principal, 3)));
        assert_red::<NoWitnessNoQuorumRule>(&stopped(lost(events)), NEVER);
    }

    #[test]
    fn stopping_with_the_link_is_seen() {
        assert_red::<NoWitnessNoQuorumRule>(&stopped(lost(pair_connected())), NEVER);
        assert_red::<NoWitnessNoQuorumRule>(&stopped(lost(witness_off())), NOT_ANY_MORE);
    }
}
