//! Two partners serve at once only after a forced service without a witness.
//!
//! A principal that was cut off may serve until its timer runs out, which can be one ping interval after the mirror's
//! did: it confirms nothing in that time (S9). Two that *show* the principal role are legal as long as one serves. Source:
//! documented, *Role Switching During a Database Mirroring Session*, *Quorum*.

use std::time::Duration;

use super::lasting_pairs::{LastingPairs, Pair, PairRule};
use super::scene::{PING, SLACK, Scene};
use crate::types::{SwitchKind, Timestamp};

const NAME: &str = "dual-serving-only-after-force";

pub(super) type DualServingOnlyAfterForce = LastingPairs<Dual>;

/// Both serve, and nobody was forced to without a witness.
#[derive(Debug)]
pub(super) struct Dual;

impl PairRule for Dual {
    const NAME: &'static str = NAME;
    const BOUND: Duration = PING.saturating_add(SLACK);

    fn holds(scene: &Scene, pair: &Pair) -> bool {
        let both = [&pair.one, &pair.other].map(|who| scene.shown(who, &pair.database));
        let serve = both.iter().flatten().filter(|shown| shown.serving).count() == 2;
        let witnessed = both.iter().flatten().filter(|shown| shown.has_witness).count() == 2;
        let session = scene.sessions.session(&pair.one, &pair.database);
        let forced = session
            .and_then(|session| scene.last_switch(session))
            .is_some_and(|(_, _, kind)| *kind == SwitchKind::Forced);
        serve && (witnessed || !forced)
    }

    fn tell(_scene: &Scene, pair: &Pair, since: Timestamp) -> String {
        let Pair { database, one, other } = pair;
        format!("{one} and {other} both serve {database} since {since}")
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
