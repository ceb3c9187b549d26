//! A mirror that is connected to neither its partner nor the witness keeps its role and does not serve.
//!
//! A role that the witness gave it while they were connected is its own; one that the principal hands over may still have
//! to be recorded when the link breaks. Only an operator may force an isolated mirror that has no witness. Source:
//! documented, *Database Mirroring Witness*, *Database Mirroring Operating Modes*.

use std::collections::{BTreeMap, BTreeSet};

use super::history::session_event;
use super::scene::{SLACK, Scene};
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{
    DatabaseName, InstanceName, PartnerRole, RoleSequence, SessionEvent, Stamped, SwitchKind, Timestamp,
};

const NAME: &str = "isolated-mirror-does-nothing";

#[derive(Debug, Default)]
pub(super) struct IsolatedMirrorDoesNothing {
    scene: SharedScene,
    /// Mirrors that are connected to nobody, and since when.
    alone: BTreeMap<(InstanceName, DatabaseName), Timestamp>,
    /// What a witness gave to a mirror that it was connected to.
    given: BTreeSet<(DatabaseName, RoleSequence)>,
}

impl IsolatedMirrorDoesNothing {
    fn look(&mut self, at: Timestamp) {
        let scene = &self.scene;
        let alone = scene.copies().filter(|(who, database, shown)| {
            if shown.role != Some(PartnerRole::Mirror) {
                return false;
            }
            let partner = scene.sessions.partner(who, database);
            let mut others = partner.into_iter().chain(scene.witness(who, database));
            !others.any(|other| scene.is_connected(database, who, other))
        });
        let mut before = std::mem::take(&mut self.alone);
        for (who, database, _) in alone {
            let key = (who.clone(), database.clone());
            let since = before.remove(&key).unwrap_or(at);
            self.alone.insert(key, since);
        }
    }

    fn note_grant(&mut self, stamped: &Stamped) {
        if let Some((
            witness,
            SessionEvent::WitnessVerdict {
                database,
                granted: true,
                role_sequence,
                ..
            },
        )) = session_event(stamped)
        {
            let connected = self.scene.copies().any(|(who, copied, shown)| {
                copied == database
                    && shown.role == Some(PartnerRole::Mirror)
                    && self.scene.is_connected(database, who, witness)
            });
            if connected {
                self.given.insert((database.clone(), *role_sequence));
            }
        }
    }

    /// Whether a mirror that is alone since `since` may do what this event says.
    fn is_due(&self, database: &DatabaseName, event: &SessionEvent, since: Timestamp, at: Timestamp) -> bool {
        match event {
            SessionEvent::Takeover {
                kind: SwitchKind::Forced,
                ..
            } => true,
            SessionEvent::Takeover {
                kind: SwitchKind::Automatic,
                role_sequence,
                ..
            } => self.given.contains(&(database.clone(), *role_sequence)),
            _ => at.since(since) <= SLACK,
        }
    }
}

impl Oracle for IsolatedMirrorDoesNothing {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.note_grant(stamped);
        if !Scene::concerns(stamped) {
            return;
        }
        if let Some((who, event)) = session_event(stamped)
            && let SessionEvent::Takeover { database, .. }
            | SessionEvent::Serving {
                database,
                serving: true,
                ..
            } = event
            && let Some(since) = self.alone.get(&(who.clone(), database.clone())).copied()
            && !self.is_due(database, event, since, stamped.at)
            && !self.scene.is_rough_since(since, std::slice::from_ref(who))
        {
            let message = format!("{who} took {database} into service, connected to nobody since {since}");
            out.push(Violation::of(NAME, &[database, who], message, stamped.at));
        }
        // The event of the role comes before that of the takeover, which says of what kind it was.
        let switch = matches!(
            session_event(stamped),
            Some((
                _,
                SessionEvent::Role {
                    from: Some(PartnerRole::Mirror),
                    ..
                }
            ))
        );
        self.scene.observe(stamped);
        if !switch {
            self.look(stamped.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    /// The mirror loses everybody at 5 s, and takes over as it does here.
    fn alone(kind: SwitchKind, at: u64) -> Vec<Stamped> {
        let mut events = trio();
        events.extend(parted(5, "beta", "alpha"));
        events.extend(parted(5, "beta", "gamma"));
        events.push(on(
            at,
            "beta",
            switch(PartnerRole::Mirror, PartnerRole::Principal, 2),
        ));
        events.push(on(at, "beta", takeover(kind, 2)));
        events
    }

    #[test]
    fn what_the_witness_gave_while_connected_is_its_own() {
        let mut events = trio();
        events.push(on(4, "gamma", granted(2)));
        events.extend(alone(SwitchKind::Automatic, 9).split_off(trio().len()));
        assert_quiet::<IsolatedMirrorDoesNothing>(&events);
    }

    #[test]
    fn an_operator_may_force_it_and_a_switch_may_be_under_way() {
        assert_quiet::<IsolatedMirrorDoesNothing>(&alone(SwitchKind::Forced, 60));
        assert_quiet::<IsolatedMirrorDoesNothing>(&alone(SwitchKind::Manual, 6));
    }

    #[test]
    fn acting_on_its_own_clock_is_seen() {
        assert_red::<IsolatedMirrorDoesNothing>(&alone(SwitchKind::Automatic, 16), NAME);
        assert_red::<IsolatedMirrorDoesNothing>(&alone(SwitchKind::Manual, 16), NAME);
        let mut events = alone(SwitchKind::Forced, 60);
        events.truncate(events.len() - 2);
        events.push(on(16, "beta", serving(true, 1)));
        assert_red::<IsolatedMirrorDoesNothing>(&events, NAME);
    }
}
