//! Partners that are connected and switch nothing own complementary roles, under one role sequence.
//!
//! Not in the moments a greeting takes, nor while processes are stopped or disks slow. Source: documented, *Database
//! Mirroring (SQL Server)*; the greeting's table.

use std::time::Duration;

use super::lasting_pairs::{LastingPairs, Pair, PairRule};
use super::scene::Scene;
use crate::types::Timestamp;

const NAME: &str = "complementary-roles-when-connected";

pub(super) type ComplementaryRolesWhenConnected = LastingPairs<Alike>;

/// Both show the same role, or two role sequences.
#[derive(Debug)]
pub(super) struct Alike;

impl PairRule for Alike {
    const NAME: &'static str = NAME;
    /// A greeting, and what each writes down because of it.
    const BOUND: Duration = Duration::from_secs(5);

    fn holds(scene: &Scene, pair: &Pair) -> bool {
        let shown = |who| scene.shown(who, &pair.database);
        let (Some(a), Some(b)) = (shown(&pair.one), shown(&pair.other)) else {
            return false;
        };
        let runs = [a, b]
            .iter()
            .all(|shown| shown.state.is_some() && shown.role.is_some());
        let alike = a.role == b.role || a.role_sequence != b.role_sequence;
        runs && alike && scene.is_linked(&pair.database, &pair.one, &pair.other)
    }

    fn tell(scene: &Scene, pair: &Pair, since: Timestamp) -> String {
        let role = |who| {
            let shown = scene.shown(who, &pair.database);
            shown.map(|shown| (shown.role, shown.role_sequence))
        };
        let Pair { database, one, other } = pair;
        format!(
            "{one} and {other} are connected since {since}; of {database} one is {:?}, the other {:?}",
            role(one),
            role(other)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::{PartnerRole, Stamped};

    fn two_mirrors(until: u64) -> Vec<Stamped> {
        let mut events = pair_connected();
        events.push(on(
            5,
            "alpha",
            switch(PartnerRole::Principal, PartnerRole::Mirror, 2),
        ));
        events.push(on(
            until,
            "beta",
            switch(PartnerRole::Mirror, PartnerRole::Principal, 2),
        ));
        events.push(world_step(40, "later"));
        events
    }

    #[test]
    fn a_switch_takes_a_moment() {
        assert_quiet::<ComplementaryRolesWhenConnected>(&two_mirrors(6));
    }

    #[test]
    fn apart_they_may_be_alike() {
        let mut events = pair_connected();
        events.extend(parted(5, "alpha", "beta"));
        events.push(on(
            6,
            "beta",
            switch(PartnerRole::Mirror, PartnerRole::Principal, 2),
        ));
        events.push(world_step(40, "later"));
        assert_quiet::<ComplementaryRolesWhenConnected>(&events);
    }

    #[test]
    fn two_mirrors_that_stay_so_are_seen() {
        assert_red::<ComplementaryRolesWhenConnected>(&two_mirrors(12), NAME);
    }

    #[test]
    fn two_principals_are_seen() {
        let mut events = pair_connected();
        events.push(on(
            5,
            "beta",
            switch(PartnerRole::Mirror, PartnerRole::Principal, 1),
        ));
        events.push(world_step(40, "later"));
        assert_red::<ComplementaryRolesWhenConnected>(&events, NAME);
    }
}
