//! A principal that is connected to its mirror or its witness serves.
//!
//! Partners are connected by two connections, one initiated by each; one alone carries no session. Not while the role is on
//! its way to somebody else, nor in the moments a greeting takes, nor while processes are stopped or disks and lines are
//! slow. One that loses the mirror in a manual failover cannot know whether it has become the principal, and the witness has
//! no part in it, so it waits for the mirror (S6). A witness that has dropped the session is none. Source: documented, *Quorum: How a Witness Affects Database
//! Availability*.

use std::collections::BTreeMap;
use std::time::Duration;

use super::history::session_event;
use super::scene::{Patience, Scene, Shown};
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{DatabaseName, Guid, InstanceName, PartnerRole, SessionEvent, Stamped, Timestamp};

const NAME: &str = "quorum-keeps-serving";

/// Long enough to greet partner and witness and to redo what is left.
const BOUND: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct QuorumKeepsServing {
    scene: SharedScene,
    /// The witness of each session, and whom it has on record.
    owners: BTreeMap<Guid, (InstanceName, String)>,
    idle: Patience<(InstanceName, DatabaseName)>,
}

impl QuorumKeepsServing {
    fn judge(&mut self, at: Timestamp, out: &mut Vec<Violation>) {
        for ((who, database), since) in self.idle.outlast(at, BOUND) {
            if self.scene.is_rough_since(since, &self.scene.company(&who)) {
                continue;
            }
            out.push(Violation::of(
                NAME,
                &[&database, &who],
                format!(
                    "{who} is the principal of {database} and in quorum since {since}, but does not serve"
                ),
                at,
            ));
        }
    }

    fn should_serve(&self, who: &InstanceName, database: &DatabaseName, shown: &Shown) -> bool {
        let superseded = || {
            let partner = self.scene.sessions.partner(who, database);
            let other = partner.and_then(|partner| self.scene.shown(partner, database));
            other.is_some_and(|other| other.role_sequence > shown.role_sequence)
        };
        let recorded = || self.owners.get(&self.scene.sessions.session(who, database)?);
        shown.role == Some(PartnerRole::Principal)
            && shown.has_witness
            && shown.state.is_some()
            && !shown.failing_over
            && self.scene.can_use(who, database)
            && !shown.serving
            && !superseded()
            && recorded().is_some_and(|(_, owner)| owner.eq_ignore_ascii_case(who.as_str()))
            && self.scene.in_quorum(who, database)
    }
}

impl Oracle for QuorumKeepsServing {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if !Scene::concerns(stamped) {
            return;
        }
        self.judge(stamped.at, out);
        self.scene.observe(stamped);
        match session_event(stamped) {
            Some((witness, SessionEvent::WitnessRecord { session, owner, .. })) => {
                self.owners.insert(*session, (witness.clone(), owner.clone()));
            }
            Some((who, SessionEvent::Removed { session, .. })) => {
                self.owners
                    .retain(|of, (witness, _)| of != session || witness != who);
            }
            _ => {}
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

    #[test]
    fn a_moment_without_service_is_no_matter() {
        let mut events = trio();
        events.push(on(5, "alpha", serving(false, 1)));
        events.push(on(8, "alpha", serving(true, 1)));
        events.push(world_step(30, "later"));
        assert_quiet::<QuorumKeepsServing>(&events);
    }

    #[test]
    fn who_lost_everybody_or_its_role_does_not_serve() {
        let mut events = trio();
        events.extend(parted(5, "alpha", "beta"));
        events.extend(parted(5, "alpha", "gamma"));
        events.push(on(5, "alpha", serving(false, 1)));
        events.push(world_step(30, "later"));
        assert_quiet::<QuorumKeepsServing>(&events);
        let mut events = trio();
        events.push(on(5, "alpha", serving(false, 1)));
        events.push(on(5, "gamma", recorded("BETA", 2, false)));
        events.push(world_step(30, "later"));
        assert_quiet::<QuorumKeepsServing>(&events);
    }

    #[test]
    fn who_lost_the_mirror_in_a_manual_failover_waits_for_it() {
        let mut events = trio();
        let principal = |to| state(PartnerRole::Principal, to);
        events.push(on(5, "alpha", serving(false, 1)));
        events.push(on(5, "alpha", principal(MirroringState::PendingFailover)));
        events.extend(parted(15, "alpha", "beta"));
        events.push(on(15, "alpha", principal(MirroringState::Disconnected)));
        events.push(world_step(40, "later"));
        assert_quiet::<QuorumKeepsServing>(&events);
        // The mirror told it that it is still one.
        events.push(on(41, "alpha", role(PartnerRole::Principal, 3)));
        events.push(world_step(60, "later"));
        assert_red::<QuorumKeepsServing>(&events, NAME);
    }

    #[test]
    fn one_connection_of_the_two_between_partners_is_no_quorum() {
        let mut events = trio();
        events.extend(parted(5, "alpha", "beta"));
        events.extend(parted(5, "alpha", "gamma"));
        events.push(on(5, "alpha", serving(false, 1)));
        let again = connection("alpha", "beta") + ACCEPTED;
        events.push(accepted(6, "alpha", again, "beta"));
        events.push(world_step(30, "later"));
        assert_quiet::<QuorumKeepsServing>(&events);
        events.push(joined(31, "alpha", connection("alpha", "beta"), "beta"));
        events.push(world_step(60, "later"));
        assert_red::<QuorumKeepsServing>(&events, NAME);
    }

    #[test]
    fn a_witness_whose_part_in_the_session_ended_gives_no_quorum() {
        let stopped_after_removal_on = |who: &str| {
            let (database, session) = (db(), guid());
            let mut events = trio();
            events.extend(parted(5, "alpha", "beta"));
            events.push(on(6, who, SessionEvent::Removed { database, session }));
            events.push(on(7, "alpha", serving(false, 1)));
            events.push(world_step(30, "later"));
            events
        };
        assert_quiet::<QuorumKeepsServing>(&stopped_after_removal_on("gamma"));
        assert_red::<QuorumKeepsServing>(&stopped_after_removal_on("beta"), NAME);
    }

    #[test]
    fn stopping_though_the_witness_is_there_is_seen() {
        let mut events = trio();
        events.extend(parted(5, "alpha", "beta"));
        events.push(on(5, "alpha", serving(false, 1)));
        events.push(world_step(30, "later"));
        assert_red::<QuorumKeepsServing>(&events, NAME);
    }
}
