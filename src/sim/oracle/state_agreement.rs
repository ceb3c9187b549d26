//! Partners that are connected show the same state, but for PENDING_FAILOVER, which is the principal's alone.
//!
//! A round trip and what both write down on the way are granted, and the time that processes are stopped or slow. Source:
//! documented, *Mirroring States*.

use std::time::Duration;

use super::lasting_pairs::{LastingPairs, Pair, PairRule};
use super::scene::Scene;
use crate::types::{InstanceName, MirroringState, Timestamp};

const NAME: &str = "state-agreement";

pub(super) type StateAgreement = LastingPairs<Apart>;

/// Both are connected and show two states.
#[derive(Debug)]
pub(super) struct Apart;

fn state_of(scene: &Scene, pair: &Pair, who: &InstanceName) -> Option<MirroringState> {
    scene.shown(who, &pair.database)?.state
}

impl PairRule for Apart {
    const NAME: &'static str = NAME;
    const BOUND: Duration = Duration::from_secs(5);

    fn holds(scene: &Scene, pair: &Pair) -> bool {
        let state = |who| state_of(scene, pair, who);
        let (Some(a), Some(b)) = (state(&pair.one), state(&pair.other)) else {
            return false;
        };
        let pending = [a, b].contains(&MirroringState::PendingFailover);
        a != b && !pending && scene.is_linked(&pair.database, &pair.one, &pair.other)
    }

    fn tell(scene: &Scene, pair: &Pair, since: Timestamp) -> String {
        let name = |who| state_of(scene, pair, who).map_or(String::new(), |state| state.to_string());
        let Pair { database, one, other } = pair;
        format!(
            "{database} is {} on {one} and {} on {other}, which are connected since {since}",
            name(one),
            name(other)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::{PartnerRole, Stamped};

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
