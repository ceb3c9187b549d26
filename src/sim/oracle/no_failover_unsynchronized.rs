//! A witness gives the role away only if its last word was that the mirror is synchronized, and the principal has not
//! run exposed or suspended since it last showed SYNCHRONIZED.
//!
//! The mirror's own flag is not asked: it may have missed that the principal went on alone. Source: documented,
//! *Database Mirroring Operating Modes*, *Quorum*.

use std::collections::{BTreeMap, BTreeSet};

use super::history::session_event;
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{DatabaseName, Guid, MirroringState, PartnerRole, SessionEvent, Stamped};

const NAME: &str = "no-failover-unsynchronized";

/// *Principal Running Exposed*, of the product's state-change events.
const RUNNING_EXPOSED: u8 = 12;

#[derive(Debug, Default)]
pub(super) struct NoFailoverUnsynchronized {
    scene: SharedScene,
    /// What each witness recorded last, and before that.
    recorded: BTreeMap<Guid, bool>,
    exposed: BTreeSet<Guid>,
    /// Which session a witness's verdict is about.
    session_of: BTreeMap<DatabaseName, Guid>,
}

impl Oracle for NoFailoverUnsynchronized {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.scene.observe(stamped);
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        match event {
            SessionEvent::WitnessRecord {
                database,
                session,
                synchronized,
                ..
            } => {
                self.recorded.insert(*session, *synchronized);
                self.session_of.insert(database.clone(), *session);
            }
            SessionEvent::State {
                database,
                role: PartnerRole::Principal,
                to,
                trace_id,
                ..
            } => {
                let Some(session) = self.scene.sessions.session(who, database) else {
                    return;
                };
                match to {
                    MirroringState::Synchronized => self.exposed.remove(&session),
                    MirroringState::Suspended => self.exposed.insert(session),
                    _ if *trace_id == Some(RUNNING_EXPOSED) => self.exposed.insert(session),
                    _ => return,
                };
            }
            SessionEvent::WitnessVerdict {
                database,
                granted: true,
                ..
            } => {
                let Some(session) = self.session_of.get(database) else {
                    return;
                };
                // An operator accepted the loss.
                if self.scene.sessions.was_forced(database) {
                    return;
                }
                let problem = match (self.recorded.get(session), self.exposed.contains(session)) {
                    (Some(true), false) => return,
                    (Some(true), true) => "though the principal has gone on without its mirror",
                    _ => "though its own record says that the mirror is not synchronized",
                };
                out.push(Violation::of(
                    NAME,
                    &[database, who],
                    format!("{who} gave {database} to the mirror {problem}"),
                    stamped.at,
                ));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn a_synchronized_mirror_may_have_it() {
        let mut events = trio();
        events.push(on(5, "gamma", granted(2)));
        assert_quiet::<NoFailoverUnsynchronized>(&events);
    }

    #[test]
    fn the_witnesss_own_record_forbids_it() {
        let mut events = trio();
        events.push(on(4, "gamma", recorded("ALPHA", 1, false)));
        events.push(on(5, "gamma", granted(2)));
        assert_red::<NoFailoverUnsynchronized>(&events, NAME);
    }

    #[test]
    fn a_principal_that_ran_exposed_forbids_it() {
        let mut events = trio();
        let mut exposed = state(PartnerRole::Principal, MirroringState::Disconnected);
        if let SessionEvent::State { trace_id, .. } = &mut exposed {
            *trace_id = Some(RUNNING_EXPOSED);
        }
        events.push(on(4, "alpha", exposed));
        events.push(on(5, "gamma", granted(2)));
        assert_red::<NoFailoverUnsynchronized>(&events, NAME);
    }
}
