//! A session that was removed on an instance never acts there again.
//!
//! Source: documented, *Removing Database Mirroring*.

use std::collections::{BTreeMap, BTreeSet};

use super::history::session_event;
use super::{Oracle, Violation};
use crate::types::{DatabaseName, Guid, InstanceName, SessionEvent, Stamped};

const NAME: &str = "off-is-final";

#[derive(Debug, Default)]
pub(super) struct OffIsFinal {
    removed: BTreeSet<(InstanceName, Guid)>,
    /// Databases whose last session was removed.
    without: BTreeMap<(InstanceName, DatabaseName), Guid>,
}

impl OffIsFinal {
    fn problem(&mut self, who: &InstanceName, event: &SessionEvent) -> Option<(DatabaseName, &'static str)> {
        match event {
            SessionEvent::Removed { database, session } => {
                self.removed.insert((who.clone(), *session));
                self.without.insert((who.clone(), database.clone()), *session);
                None
            }
            SessionEvent::Configured {
                database, session, ..
            } => {
                self.without.remove(&(who.clone(), database.clone()));
                let back = self.removed.contains(&(who.clone(), *session));
                back.then(|| (database.clone(), "is configured again"))
            }
            SessionEvent::Role { database, .. } => self.acts(who, database, "shows a role"),
            SessionEvent::State { database, .. } => self.acts(who, database, "shows a state"),
            SessionEvent::Takeover { database, .. } => self.acts(who, database, "takes the principal role"),
            SessionEvent::LogSent { database, .. } => self.acts(who, database, "sends log"),
            _ => None,
        }
    }

    fn acts(
        &self,
        who: &InstanceName,
        database: &DatabaseName,
        how: &'static str,
    ) -> Option<(DatabaseName, &'static str)> {
        let gone = self.without.contains_key(&(who.clone(), database.clone()));
        gone.then(|| (database.clone(), how))
    }
}

impl Oracle for OffIsFinal {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        if let Some((database, how)) = self.problem(who, event) {
            out.push(Violation::of(
                NAME,
                &[&database, who],
                format!("a session of {database} was removed on {who}, and {how}"),
                stamped.at,
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::{MirroringState, PartnerRole, ServerAddress};

    fn removed() -> Vec<Stamped> {
        let mut events = pair();
        let (database, session) = (db(), guid());
        events.push(on(5, "beta", SessionEvent::Removed { database, session }));
        events
    }

    fn configured(session: Guid) -> SessionEvent {
        SessionEvent::Configured {
            database: db(),
            session,
            role: PartnerRole::Mirror,
            partner: ServerAddress::new("alpha", 7022),
        }
    }

    #[test]
    fn a_new_session_is_another() {
        let mut events = removed();
        events.push(on(6, "beta", configured(Guid::from_bytes([8; 16]))));
        events.push(on(
            7,
            "beta",
            state(PartnerRole::Mirror, MirroringState::Synchronizing),
        ));
        assert_quiet::<OffIsFinal>(&events);
    }

    #[test]
    fn the_old_one_is_gone() {
        let mut events = removed();
        events.push(on(6, "beta", configured(guid())));
        assert_red::<OffIsFinal>(&events, NAME);
        let mut events = removed();
        events.push(on(
            7,
            "beta",
            state(PartnerRole::Mirror, MirroringState::Synchronizing),
        ));
        assert_red::<OffIsFinal>(&events, NAME);
    }
}
