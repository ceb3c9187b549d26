//! A witness that is connected to the principal does not give its role away.
//!
//! Judged by the connections the witness holds open, for longer than an introduction takes. Source: documented, *Quorum:
//! How a Witness Affects Database Availability*, *Database Mirroring Witness*.

use std::time::Duration;

use super::history::session_event;
use super::scene::{Patience, SLACK, Scene};
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{InstanceName, SessionEvent, Stamped};

const NAME: &str = "no-failover-while-witness-sees-principal";

#[derive(Debug, Default)]
pub(super) struct NoFailoverWhileWitnessSeesPrincipal {
    scene: SharedScene,
    /// Connections, each by the side that holds it, and those that have been there for long enough.
    fresh: Patience<(InstanceName, InstanceName)>,
    settled: std::collections::BTreeSet<(InstanceName, InstanceName)>,
}

impl Oracle for NoFailoverWhileWitnessSeesPrincipal {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        let verdict = match session_event(stamped) {
            Some((
                witness,
                SessionEvent::WitnessVerdict {
                    database,
                    granted: true,
                    ..
                },
            )) => Some((witness, database)),
            _ if Scene::concerns(stamped) => None,
            _ => return,
        };
        let settled = self.fresh.outlast(stamped.at, SLACK.max(Duration::from_secs(1)));
        self.settled.extend(settled.into_iter().map(|(link, _)| link));
        if let Some((witness, database)) = verdict {
            let seen = self.scene.copies().find(|(who, copied, shown)| {
                *copied == database
                    && shown.serving
                    && self.scene.witness(who, database) == Some(witness)
                    && self.settled.contains(&(witness.clone(), (*who).clone()))
            });
            if let Some((principal, ..)) = seen
                && !self
                    .scene
                    .is_rough_since(stamped.at, &self.scene.company(principal))
            {
                out.push(Violation::of(
                    NAME,
                    &[database, witness],
                    format!("{witness} gave {database} to the mirror, though it is connected to {principal}, which serves"),
                    stamped.at,
                ));
            }
        }
        self.scene.observe(stamped);
        let now = self.scene.connections();
        self.settled.retain(|link| now.contains(link));
        self.fresh.hold(now, stamped.at);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn a_witness_that_lost_the_principal_may_grant() {
        let mut events = trio();
        events.extend(parted(5, "gamma", "alpha"));
        events.push(on(9, "gamma", granted(2)));
        assert_quiet::<NoFailoverWhileWitnessSeesPrincipal>(&events);
    }

    #[test]
    fn a_principal_that_has_just_come_back_may_be_too_late() {
        let mut events = trio();
        events.extend(parted(5, "gamma", "alpha"));
        events.push(joined(9, "gamma", 20, "alpha"));
        events.push(on(9, "gamma", granted(2)));
        assert_quiet::<NoFailoverWhileWitnessSeesPrincipal>(&events);
    }

    #[test]
    fn granting_with_the_principal_in_sight_is_seen() {
        let mut events = trio();
        events.push(on(9, "gamma", granted(2)));
        assert_red::<NoFailoverWhileWitnessSeesPrincipal>(&events, NAME);
    }
}
