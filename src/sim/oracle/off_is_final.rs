//! A session that was removed on an instance never acts there again, its partner drops it at their next contact, and the
//! copy that was the mirror serves nobody before it is restored WITH RECOVERY.
//!
//! Contact is a connection that the partner has opened to that instance, open on both sides for longer than a silent line can
//! be. Source: documented, *Removing Database Mirroring*.

use std::collections::{BTreeMap, BTreeSet};

use super::history::session_event;
use super::scene::{PING, Patience, SLACK, Scene};
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{
    DatabaseName, Event, Guid, InstanceName, PartnerRole, SessionEvent, Stamped, Timestamp, WorldEvent,
};

const NAME: &str = "off-is-final";

#[derive(Debug, Default)]
pub(super) struct OffIsFinal {
    removed: BTreeSet<(InstanceName, Guid)>,
    /// Databases whose last session was removed.
    without: BTreeMap<(InstanceName, DatabaseName), Guid>,
    /// Who is or was a partner of which session; a witness is none.
    partners: BTreeSet<(InstanceName, Guid)>,
    roles: BTreeMap<(InstanceName, DatabaseName), PartnerRole>,
    /// Copies that were the mirror when their session was removed, and that nobody has recovered since.
    restoring: BTreeSet<(InstanceName, DatabaseName)>,
    scene: SharedScene,
    /// Who still has a session that its partner, the second, has removed, while they are in contact.
    behind: Patience<(DatabaseName, InstanceName, InstanceName)>,
}

/// Whether a step's text recovers the database: a RESTORE of it that does not say NORECOVERY. Creating it anew does as well.
fn recovers(text: &str, database: &DatabaseName) -> bool {
    let upper = text.to_ascii_uppercase();
    let words: Vec<&str> = upper
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .collect();
    let name = database.as_str().to_ascii_uppercase();
    words.windows(3).enumerate().any(|(i, three)| match three {
        ["RESTORE", "DATABASE" | "LOG", of] if *of == name => {
            let rest = words[i + 3..].iter();
            !rest
                .take_while(|word| **word != "RESTORE")
                .any(|word| *word == "NORECOVERY")
        }
        ["CREATE", "DATABASE", of] => *of == name,
        _ => false,
    })
}

impl OffIsFinal {
    fn judge(&mut self, at: Timestamp, out: &mut Vec<Violation>) {
        let bound = self.scene.longest_timeout(at) + PING + SLACK;
        for ((database, who, other), since) in self.behind.outlast(at, bound) {
            let both = [who.clone(), other.clone()];
            if self.scene.is_rough_since(since, &both) {
                continue;
            }
            let message = format!(
                "the session of {database} was removed on {other}, and {who} still has it though they have been in contact since {since}"
            );
            out.push(Violation::of(NAME, &[&database, &who], message, at));
        }
    }

    /// Partners of a session that the other one has removed, in contact.
    fn note_behind(&mut self, at: Timestamp) {
        let scene = &self.scene;
        let mut behind = Vec::new();
        for (who, database, _) in scene.copies() {
            let Some(session) = scene.sessions.session(who, database) else {
                continue;
            };
            let gone = self
                .removed
                .iter()
                .filter(|(other, removed)| *removed == session && other != who);
            for (other, _) in gone.filter(|(other, _)| {
                self.partners.contains(&(other.clone(), session))
                    && scene.has_opened(who, other)
                    && scene.has_connection(other, who)
            }) {
                behind.push((database.clone(), who.clone(), other.clone()));
            }
        }
        self.behind.hold(behind, at);
    }

    /// What the copy that was the mirror does before it is recovered.
    fn serves(&mut self, who: &InstanceName, event: &SessionEvent) -> Option<(DatabaseName, &'static str)> {
        let (database, how) = match event {
            SessionEvent::Serving {
                database,
                serving: true,
                ..
            } => (database, "serves"),
            SessionEvent::CommitAcknowledged { database, .. } => (database, "acknowledges commits"),
            SessionEvent::LogGenerated { database, .. } => (database, "writes log"),
            _ => return None,
        };
        let copy = (who.clone(), database.clone());
        self.restoring.remove(&copy).then(|| (database.clone(), how))
    }

    fn problem(&mut self, who: &InstanceName, event: &SessionEvent) -> Option<(DatabaseName, &'static str)> {
        match event {
            SessionEvent::Removed { database, session } => {
                let copy = (who.clone(), database.clone());
                if self.partners.contains(&(who.clone(), *session))
                    && self.roles.get(&copy) == Some(&PartnerRole::Mirror)
                {
                    self.restoring.insert(copy);
                }
                self.removed.insert((who.clone(), *session));
                self.without.insert((who.clone(), database.clone()), *session);
                None
            }
            SessionEvent::Configured {
                database,
                session,
                role,
                ..
            } => {
                let copy = (who.clone(), database.clone());
                self.without.remove(&copy);
                self.partners.insert((who.clone(), *session));
                // As the mirror of a new session it may take over without having been recovered.
                if self.restoring.remove(&copy) && *role == PartnerRole::Principal {
                    return Some((database.clone(), "is made the principal before it was recovered"));
                }
                self.roles.insert(copy, *role);
                let back = self.removed.contains(&(who.clone(), *session));
                back.then(|| (database.clone(), "is configured again"))
            }
            SessionEvent::Role { database, to, .. } => {
                self.roles.insert((who.clone(), database.clone()), *to);
                self.acts(who, database, "shows a role")
            }
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
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if let Event::World(WorldEvent::Step { text }) = &stamped.event {
            self.restoring.retain(|(_, database)| !recovers(text, database));
        }
        if Scene::concerns(stamped) {
            self.judge(stamped.at, out);
            self.scene.observe(stamped);
        }
        let Some((who, event)) = session_event(stamped) else {
            if Scene::concerns(stamped) {
                self.note_behind(stamped.at);
            }
            return;
        };
        let problem = self.serves(who, event).or_else(|| self.problem(who, event));
        if Scene::concerns(stamped) {
            self.note_behind(stamped.at);
        }
        if let Some((database, how)) = problem {
            out.push(Violation::of(
                NAME,
                &[&database, who],
                format!("a session of {database} was removed on {who}, and {how}"),
                stamped.at,
            ));
        }
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        self.judge(end.at, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::{MirroringState, ServerAddress};

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

    /// alpha, which is principal, or beta, its mirror, removes the session while they are connected.
    fn off(who: &str) -> Vec<Stamped> {
        let mut events = pair_connected();
        let (database, session) = (db(), guid());
        events.push(on(5, who, SessionEvent::Removed { database, session }));
        events
    }

    #[test]
    fn a_partner_that_keeps_it_in_contact_is_seen() {
        let mut events = off("alpha");
        events.push(world_step(60, "later"));
        assert_red::<OffIsFinal>(&events, NAME);
        let (database, session) = (db(), guid());
        let mut events = off("alpha");
        events.push(on(6, "beta", SessionEvent::Removed { database, session }));
        events.push(world_step(60, "later"));
        assert_quiet::<OffIsFinal>(&events);
        // Out of contact it cannot know.
        let mut events = off("alpha");
        events.extend(parted(6, "beta", "alpha"));
        events.push(world_step(60, "later"));
        assert_quiet::<OffIsFinal>(&events);
    }

    #[test]
    fn a_former_mirror_that_serves_before_it_is_recovered_is_seen() {
        let begins = [
            on(8, "beta", serving(true, 1)),
            on(8, "beta", acked(1, 10, None)),
            on(8, "beta", generated(1, 10, 20, 1)),
        ];
        for begin in begins {
            for (statement, red) in [
                ("RESTORE DATABASE [Sales] WITH RECOVERY", false),
                ("RESTORE LOG Sales FROM DISK = 'l' WITH NORECOVERY", true),
                ("RESTORE DATABASE Other WITH RECOVERY", true),
            ] {
                let mut events = off("beta");
                events.push(world_step(7, &format!("sql on beta: {statement}")));
                events.push(begin.clone());
                match red {
                    true => assert_red::<OffIsFinal>(&events, NAME),
                    false => assert_quiet::<OffIsFinal>(&events),
                }
            }
        }
        // The mirror of a new session takes over.
        let mut events = off("beta");
        events.push(on(7, "beta", configured(Guid::from_bytes([8; 16]))));
        events.push(on(8, "beta", serving(true, 2)));
        assert_quiet::<OffIsFinal>(&events);
        // The former principal was open.
        let mut events = off("alpha");
        events.push(on(8, "alpha", acked(1, 10, None)));
        assert_quiet::<OffIsFinal>(&events);
    }
}
