//! A suspended principal sends no log, and its mirror's log does not grow.
//!
//! What was on its way when the session was suspended may still arrive. Source: documented, *Mirroring States*, *Pausing
//! and Resuming Database Mirroring*.

use std::collections::BTreeMap;

use super::history::session_event;
use super::scene::{SLACK, Scene};
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{
    DatabaseName, InstanceName, MirroringState, PartnerRole, SessionEvent, Stamped, Timestamp,
};

const NAME: &str = "suspend-ships-nothing";

#[derive(Debug, Default)]
pub(super) struct SuspendShipsNothing {
    scene: SharedScene,
    /// Since when each copy has shown SUSPENDED.
    since: BTreeMap<(InstanceName, DatabaseName), Timestamp>,
}

impl SuspendShipsNothing {
    fn is_suspended(&self, who: &InstanceName, database: &DatabaseName) -> bool {
        self.since.contains_key(&(who.clone(), database.clone()))
    }

    /// Whether the mirror's log grows, though both have been suspended for long.
    fn grows(&self, who: &InstanceName, database: &DatabaseName, at: Timestamp) -> bool {
        let role = self.scene.shown(who, database).and_then(|shown| shown.role);
        let long = |who: &InstanceName| {
            let since = self.since.get(&(who.clone(), database.clone()));
            since.is_some_and(|since| at.since(*since) > SLACK)
        };
        let partner = self.scene.sessions.partner(who, database);
        role == Some(PartnerRole::Mirror) && long(who) && partner.is_some_and(long)
    }
}

impl Oracle for SuspendShipsNothing {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if Scene::concerns(stamped) {
            self.scene.observe(stamped);
        }
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        match event {
            SessionEvent::State { database, to, .. } => {
                let key = (who.clone(), database.clone());
                match to {
                    MirroringState::Suspended => {
                        self.since.entry(key).or_insert(stamped.at);
                    }
                    _ => drop(self.since.remove(&key)),
                }
            }
            SessionEvent::Configured { database, .. } | SessionEvent::Removed { database, .. } => {
                self.since.remove(&(who.clone(), database.clone()));
            }
            SessionEvent::LogSent { database, to } if self.is_suspended(who, database) => {
                let message = format!("{who} sent its log of {database} up to {to}, though it is suspended");
                out.push(Violation::of(NAME, &[database, who], message, stamped.at));
            }
            SessionEvent::LogHardened { database, end, .. }
                if self.grows(who, database, stamped.at)
                    && !self.scene.is_rough_since(stamped.at, &self.scene.company(who)) =>
            {
                let message = format!("the log of {database} on {who} grew to {end}, though it is suspended");
                out.push(Violation::of(NAME, &[database, who], message, stamped.at));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn suspended(at: u64) -> Vec<Stamped> {
        let mut events = pair_connected();
        events.push(on(
            at,
            "alpha",
            state(PartnerRole::Principal, MirroringState::Suspended),
        ));
        events.push(on(
            at,
            "beta",
            state(PartnerRole::Mirror, MirroringState::Suspended),
        ));
        events
    }

    #[test]
    fn the_principal_goes_on_and_the_mirror_finishes() {
        let mut events = suspended(5);
        events.push(on(5, "beta", hardened(1, 0, 10, 1)));
        events.push(on(20, "alpha", hardened(1, 10, 20, 2)));
        events.push(on(
            30,
            "alpha",
            state(PartnerRole::Principal, MirroringState::Synchronizing),
        ));
        events.push(on(30, "alpha", sent(20)));
        assert_quiet::<SuspendShipsNothing>(&events);
    }

    #[test]
    fn log_that_is_sent_or_arrives_is_seen() {
        let mut events = suspended(5);
        events.push(on(6, "alpha", sent(20)));
        assert_red::<SuspendShipsNothing>(&events, NAME);
        let mut events = suspended(5);
        events.push(on(20, "beta", hardened(1, 10, 20, 2)));
        assert_red::<SuspendShipsNothing>(&events, NAME);
    }
}
