//! Partners that are connected and switch nothing own complementary roles, under one role sequence.
//!
//! Not in the moments a greeting takes, nor while processes are stopped or disks slow. Source: documented, *Database
//! Mirroring (SQL Server)*; the greeting's table.

use std::time::Duration;

use super::scene::{Patience, Scene};
use super::{End, Oracle, Violation};
use crate::types::{DatabaseName, InstanceName, Stamped, Timestamp};

const NAME: &str = "complementary-roles-when-connected";

/// A greeting, and what each writes down because of it.
const BOUND: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct ComplementaryRolesWhenConnected {
    scene: Scene,
    alike: Patience<(DatabaseName, InstanceName, InstanceName)>,
}

impl ComplementaryRolesWhenConnected {
    fn judge(&mut self, at: Timestamp, out: &mut Vec<Violation>) {
        for ((database, one, other), since) in self.alike.outlast(at, BOUND) {
            if self.scene.is_rough_since(since, &self.scene.company(&one)) {
                continue;
            }
            let role = |who| {
                self.scene
                    .shown(who, &database)
                    .map(|s| (s.role, s.role_sequence))
            };
            let message = format!(
                "{one} and {other} are connected since {since}; of {database} one is {:?}, the other {:?}",
                role(&one),
                role(&other)
            );
            out.push(Violation::of(NAME, &[&database], message, at));
        }
    }

    fn is_alike(&self, database: &DatabaseName, one: &InstanceName, other: &InstanceName) -> bool {
        let scene = &self.scene;
        let (Some(a), Some(b)) = (scene.shown(one, database), scene.shown(other, database)) else {
            return false;
        };
        let runs = [a, b]
            .iter()
            .all(|shown| shown.state.is_some() && shown.role.is_some());
        runs && scene.is_linked(one, other) && (a.role == b.role || a.role_sequence != b.role_sequence)
    }
}

impl Oracle for ComplementaryRolesWhenConnected {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if !Scene::concerns(stamped) {
            return;
        }
        self.judge(stamped.at, out);
        self.scene.observe(stamped);
        let pairs = self.scene.sessions.pairs().into_iter();
        let alike: Vec<_> = pairs
            .filter(|(d, one, other)| self.is_alike(d, one, other))
            .collect();
        self.alike.hold(alike, stamped.at);
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
