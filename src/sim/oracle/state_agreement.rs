//! Partners that are connected show the same state, but for PENDING_FAILOVER, which is the principal's alone.
//!
//! A round trip and what both write down on the way are granted, and the time that processes are stopped or slow. Source:
//! documented, *Mirroring States*.

use std::time::Duration;

use super::scene::{Patience, Scene};
use super::{End, Oracle, Violation};
use crate::types::{DatabaseName, InstanceName, MirroringState, Stamped, Timestamp};

const NAME: &str = "state-agreement";

const BOUND: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct StateAgreement {
    scene: Scene,
    apart: Patience<(DatabaseName, InstanceName, InstanceName)>,
}

impl StateAgreement {
    fn state(&self, who: &InstanceName, database: &DatabaseName) -> Option<MirroringState> {
        self.scene.shown(who, database)?.state
    }

    fn judge(&mut self, at: Timestamp, out: &mut Vec<Violation>) {
        for ((database, one, other), since) in self.apart.outlast(at, BOUND) {
            if self.scene.is_rough_since(since, &self.scene.company(&one)) {
                continue;
            }
            let name = |who| {
                self.state(who, &database)
                    .map_or(String::new(), |state| state.to_string())
            };
            let message = format!(
                "{database} is {} on {one} and {} on {other}, which are connected since {since}",
                name(&one),
                name(&other)
            );
            out.push(Violation::of(NAME, &[&database], message, at));
        }
    }

    fn differ(&self, database: &DatabaseName, one: &InstanceName, other: &InstanceName) -> bool {
        let (Some(a), Some(b)) = (self.state(one, database), self.state(other, database)) else {
            return false;
        };
        let pending = [a, b].contains(&MirroringState::PendingFailover);
        a != b && !pending && self.scene.is_linked(one, other)
    }
}

impl Oracle for StateAgreement {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if !Scene::concerns(stamped) {
            return;
        }
        self.judge(stamped.at, out);
        self.scene.observe(stamped);
        let pairs = self.scene.sessions.pairs().into_iter();
        let apart: Vec<_> = pairs
            .filter(|(d, one, other)| self.differ(d, one, other))
            .collect();
        self.apart.hold(apart, stamped.at);
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        self.judge(end.at, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::PartnerRole;

    fn lags(to: MirroringState) -> Vec<Stamped> {
        let mut events = pair_connected();
        events.push(on(5, "alpha", state(PartnerRole::Principal, to)));
        events
    }

    #[test]
    fn a_round_trip_is_granted() {
        let mut events = lags(MirroringState::Suspended);
        events.push(on(
            6,
            "beta",
            state(PartnerRole::Mirror, MirroringState::Suspended),
        ));
        events.push(world_step(30, "later"));
        assert_quiet::<StateAgreement>(&events);
    }

    #[test]
    fn a_pending_failover_is_the_principals_alone() {
        let mut events = lags(MirroringState::PendingFailover);
        events.push(world_step(30, "later"));
        assert_quiet::<StateAgreement>(&events);
    }

    #[test]
    fn staying_apart_is_seen() {
        let mut events = lags(MirroringState::Suspended);
        events.push(world_step(30, "later"));
        assert_red::<StateAgreement>(&events, NAME);
    }
}
