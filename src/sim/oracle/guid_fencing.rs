//! Messages of another session, or of a lower role sequence, are never acted on.
//!
//! A delayed message of a session that was removed, or of a principal that is none any more, must not be taken for the
//! present one's. What an instance acts on is compared with the session its statements gave it and with the highest role
//! sequence it has shown for it; a greeting is read whatever it claims, and is not meant here. A witness's record of one
//! session never goes back either. Source: derived from *sys.database_mirroring* (mirroring_guid, mirroring_role_sequence).

use std::collections::BTreeMap;

use super::history::session_event;
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{DatabaseName, Guid, InstanceName, RoleSequence, SessionEvent, Stamped};

const NAME: &str = "guid-fencing";

#[derive(Debug, Default)]
pub(super) struct GuidFencing {
    scene: SharedScene,
    /// The highest role sequence each instance has shown, as a partner or as a witness.
    highest: BTreeMap<(InstanceName, Guid), RoleSequence>,
}

impl GuidFencing {
    fn show(&mut self, who: &InstanceName, session: Guid, sequence: RoleSequence) -> RoleSequence {
        let highest = self.highest.entry((who.clone(), session)).or_insert(sequence);
        let before = *highest;
        *highest = before.max(sequence);
        before
    }

    fn on_message(
        &self,
        who: &InstanceName,
        database: &DatabaseName,
        session: Guid,
        sequence: RoleSequence,
    ) -> Option<String> {
        let own = self.scene.sessions.session(who, database);
        if own != Some(session) {
            return Some(format!(
                "{who} acted on a message of session {session} for {database}, its own is {}",
                own.map_or("none".to_owned(), |own| own.to_string())
            ));
        }
        let highest = *self.highest.get(&(who.clone(), session))?;
        (sequence < highest).then(|| {
            format!(
                "{who} acted on a message of role sequence {sequence} for {database}, and is at {highest}"
            )
        })
    }
}

impl Oracle for GuidFencing {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.scene.observe(stamped);
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        let (database, message) = match event {
            SessionEvent::Role {
                database,
                role_sequence,
                ..
            } => {
                if let Some(session) = self.scene.sessions.session(who, database) {
                    self.show(who, session, *role_sequence);
                }
                return;
            }
            SessionEvent::ActsOn {
                database,
                session,
                role_sequence,
            } => (database, self.on_message(who, database, *session, *role_sequence)),
            SessionEvent::WitnessRecord {
                database,
                session,
                role_sequence,
                ..
            } => {
                let before = self.show(who, *session, *role_sequence);
                let went_back = (*role_sequence < before)
                    .then(|| format!("{who} recorded role sequence {role_sequence} after {before}"));
                (database, went_back)
            }
            _ => return,
        };
        if let Some(message) = message {
            out.push(Violation::of(NAME, &[who, database], message, stamped.at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::PartnerRole;

    fn acts_on(second: u64, who: &str, session: Guid, role_sequence: u32) -> Stamped {
        let event = SessionEvent::ActsOn {
            database: db(),
            session,
            role_sequence,
        };
        on(second, who, event)
    }

    #[test]
    fn the_present_session_at_its_sequence_or_above_is_legal() {
        let mut events = pair();
        events.extend([
            acts_on(1, "beta", guid(), 1),
            on(2, "beta", switch(PartnerRole::Mirror, PartnerRole::Principal, 2)),
            acts_on(3, "alpha", guid(), 2),
            on(3, "alpha", switch(PartnerRole::Principal, PartnerRole::Mirror, 2)),
            acts_on(4, "beta", guid(), 2),
            on(5, "gamma", recorded("ALPHA", 1, true)),
            on(6, "gamma", recorded("BETA", 2, true)),
        ]);
        assert_quiet::<GuidFencing>(&events);
    }

    #[test]
    fn the_message_of_an_old_principal_is_seen() {
        let mut events = pair();
        events.extend([
            on(2, "beta", switch(PartnerRole::Mirror, PartnerRole::Principal, 2)),
            acts_on(3, "beta", guid(), 1),
        ]);
        assert_red::<GuidFencing>(&events, NAME);
    }

    #[test]
    fn the_message_of_another_session_is_seen() {
        let mut events = pair();
        events.push(acts_on(1, "beta", Guid::NIL, 1));
        assert_red::<GuidFencing>(&events, NAME);
    }

    #[test]
    fn the_message_of_a_removed_session_is_seen() {
        let mut events = pair();
        let removed = SessionEvent::Removed {
            database: db(),
            session: guid(),
        };
        events.extend([on(1, "beta", removed), acts_on(2, "beta", guid(), 1)]);
        assert_red::<GuidFencing>(&events, NAME);
    }

    #[test]
    fn a_witness_that_goes_back_is_seen() {
        let events = [
            on(1, "gamma", recorded("BETA", 2, true)),
            on(2, "gamma", recorded("ALPHA", 1, true)),
        ];
        assert_red::<GuidFencing>(&events, NAME);
    }
}
