//! After a forced service the log of the new principal goes on from where it was, and of the old one's nothing beyond
//! that stays.
//!
//! So what is lost is exactly what the old principal had logged beyond it. Source: documented, *Role Switching During a
//! Database Mirroring Session*.

use std::collections::BTreeMap;

use super::hardened::HardenedExtents;
use super::history::session_event;
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{Guid, InstanceName, Lsn, SessionEvent, Stamped, SwitchKind};

const NAME: &str = "force-loss-is-bounded";

#[derive(Debug, Default)]
pub(super) struct ForceLossIsBounded {
    scene: SharedScene,
    logs: HardenedExtents,
    /// On whom service was forced last, and where its log ended then.
    forced: BTreeMap<Guid, (InstanceName, Lsn)>,
}

impl Oracle for ForceLossIsBounded {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.scene.observe(stamped);
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        match event {
            SessionEvent::Takeover { database, kind, .. } => {
                let end = self.logs.log(who, database).and_then(|log| log.end);
                if let Some(session) = self.scene.sessions.session(who, database) {
                    match (kind, end) {
                        (SwitchKind::Forced, Some(end)) => self.forced.insert(session, (who.clone(), end)),
                        _ => self.forced.remove(&session),
                    };
                }
            }
            SessionEvent::LogReverted { database, to, .. } => {
                let session = self.scene.sessions.session(who, database);
                let Some((new, end)) = session.and_then(|session| self.forced.get(&session)) else {
                    return;
                };
                let problem = match new == who {
                    true if to < end => {
                        format!("{who} gave up log before {end}, which it had when its service was forced")
                    }
                    false if to > end => {
                        format!("{who} keeps log up to {to}, beyond {end}, where {new} went on without it")
                    }
                    _ => return,
                };
                out.push(Violation::of(NAME, &[database, who], problem, stamped.at));
            }
            _ => {}
        }
        self.logs.observe(who, event);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn forced() -> Vec<Stamped> {
        let mut events = pair();
        events.extend([
            on(1, "alpha", hardened(1, 0, 10, 1)),
            on(1, "beta", hardened(1, 0, 10, 1)),
            on(2, "alpha", hardened(1, 10, 20, 2)),
            on(3, "beta", takeover(SwitchKind::Forced, 2)),
        ]);
        events
    }

    #[test]
    fn the_fork_goes_and_nothing_else() {
        let mut events = forced();
        events.push(on(9, "alpha", reverted(20, 10)));
        assert_quiet::<ForceLossIsBounded>(&events);
    }

    #[test]
    fn what_was_kept_or_lost_too_much_is_seen() {
        let mut events = forced();
        events.push(on(9, "alpha", reverted(20, 15)));
        assert_red::<ForceLossIsBounded>(&events, NAME);
        let mut events = forced();
        events.push(on(9, "beta", reverted(10, 5)));
        assert_red::<ForceLossIsBounded>(&events, NAME);
    }
}
