//! Redone ≤ hardened ≤ received ≤ sent ≤ hardened by the principal, each growing.
//!
//! A mirror hardens only what its principal has sent, a principal sends only what it has hardened itself (choice C3 i),
//! and a copy redoes only what it has hardened. A mirror's redo position goes back when its process starts anew (its data
//! file may lag) and when log is taken back; nothing else goes back. Source: documented, *Database Mirroring Operating
//! Modes*; availability groups' LSN columns; the strict order of sending is ours.

use std::collections::BTreeMap;

use super::hardened::HardenedExtents;
use super::history::session_event;
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{DatabaseName, Event, InstanceName, Lsn, PartnerRole, SessionEvent, Stamped, WorldEvent};

const NAME: &str = "lsn-order";

type Copy = (InstanceName, DatabaseName);

#[derive(Debug, Default)]
pub(super) struct LsnOrder {
    scene: SharedScene,
    logs: HardenedExtents,
    roles: BTreeMap<Copy, PartnerRole>,
    /// The furthest each copy has sent since the session was configured or its log was cut back.
    sent: BTreeMap<Copy, Lsn>,
    redone: BTreeMap<Copy, Lsn>,
}

impl LsnOrder {
    fn judge(&self, who: &InstanceName, event: &SessionEvent) -> Option<String> {
        match event {
            SessionEvent::LogSent { database, to } => {
                let end = self.logs.log(who, database).and_then(|log| log.end)?;
                (*to > end).then(|| format!("sent log up to {to}, but has hardened only {end}"))
            }
            SessionEvent::LogHardened { database, end, .. } => {
                let key = (who.clone(), database.clone());
                if self.roles.get(&key) != Some(&PartnerRole::Mirror) {
                    return None;
                }
                let partner = self.scene.sessions.partner(who, database)?;
                let sent = self.sent.get(&(partner.clone(), database.clone())).copied();
                let sent = sent.unwrap_or(Lsn::ZERO);
                (*end > sent).then(|| format!("hardened up to {end}, but {partner} has sent only {sent}"))
            }
            SessionEvent::Redone { database, to } => {
                let before = self.redone.get(&(who.clone(), database.clone()));
                if let Some(before) = before.filter(|before| to < *before) {
                    return Some(format!("redone goes back from {before} to {to}"));
                }
                let end = self.logs.log(who, database).and_then(|log| log.end)?;
                (*to > end).then(|| format!("redone up to {to}, but has hardened only {end}"))
            }
            _ => None,
        }
    }

    fn remember(&mut self, who: &InstanceName, event: &SessionEvent) {
        match event {
            SessionEvent::Configured { database, .. } => {
                let key = (who.clone(), database.clone());
                self.sent.remove(&key);
                self.redone.remove(&key);
            }
            SessionEvent::Role { database, to, .. } => {
                self.roles.insert((who.clone(), database.clone()), *to);
            }
            SessionEvent::LogSent { database, to } => {
                let sent = self.sent.entry((who.clone(), database.clone())).or_default();
                *sent = (*sent).max(*to);
            }
            SessionEvent::Redone { database, to } => {
                self.redone.insert((who.clone(), database.clone()), *to);
            }
            SessionEvent::LogReverted { database, to, .. } => {
                let key = (who.clone(), database.clone());
                for known in [self.sent.get_mut(&key), self.redone.get_mut(&key)]
                    .into_iter()
                    .flatten()
                {
                    *known = (*known).min(*to);
                }
            }
            _ => {}
        }
        self.logs.observe(who, event);
    }
}

impl Oracle for LsnOrder {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.scene.observe(stamped);
        if let Event::World(WorldEvent::ProcessStarted { instance }) = &stamped.event {
            self.redone.retain(|(who, _), _| who != instance);
        }
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        if let Some(problem) = self.judge(who, event) {
            out.push(Violation {
                oracle: NAME,
                fingerprint: format!("{NAME}/{who}"),
                message: format!("{who}: {problem}"),
                at: stamped.at,
            });
        }
        self.remember(who, event);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn shipped() -> Vec<Stamped> {
        let mut events = pair();
        events.extend([
            on(1, "alpha", generated(1, 0, 10, 7)),
            on(1, "alpha", hardened(1, 0, 10, 7)),
            on(1, "alpha", sent(10)),
            on(1, "beta", hardened(1, 0, 10, 7)),
            on(1, "beta", redone(10)),
        ]);
        events
    }

    #[test]
    fn log_that_is_hardened_sent_hardened_and_redone_is_in_order() {
        let mut events = shipped();
        events.push(world(
            2,
            WorldEvent::ProcessStarted {
                instance: InstanceName::new("beta"),
            },
        ));
        events.push(on(2, "beta", redone(5)));
        assert_quiet::<LsnOrder>(&events);
    }

    #[test]
    fn each_step_out_of_order_is_seen() {
        let wrong = [
            on(2, "alpha", sent(11)),
            on(2, "beta", hardened(1, 10, 20, 8)),
            on(2, "beta", redone(11)),
            on(2, "beta", redone(9)),
        ];
        for event in wrong {
            let mut events = shipped();
            events.push(event);
            assert_red::<LsnOrder>(&events, NAME);
        }
    }
}
