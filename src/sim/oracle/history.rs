//! What the oracles remember between events: who mirrors what with whom.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::{
    DatabaseName, Event, Guid, InstanceName, Safety, SessionEvent, Source, Stamped, WorldEvent,
};

/// The instance and session event of a trace line, if it is one.
pub(super) fn session_event(stamped: &Stamped) -> Option<(&InstanceName, &SessionEvent)> {
    match (&stamped.source, &stamped.event) {
        (Source::Instance(who), Event::Session(event)) => Some((who, event)),
        _ => None,
    }
}

/// Whether a step's text has `ALTER DATABASE <database> SET <what> <option>` in it.
pub(super) fn is_command(text: &str, database: &DatabaseName, what: &str, option: &str) -> bool {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || matches!(c, ';' | ':' | '[' | ']' | '"'))
        .filter(|word| !word.is_empty())
        .collect();
    let wanted = ["ALTER", "DATABASE", database.as_str(), "SET", what, option];
    words.windows(wanted.len()).any(|window| {
        let mut both = window.iter().zip(wanted);
        both.all(|(word, wanted)| word.eq_ignore_ascii_case(wanted))
    })
}

/// A database, and the partners of its session in order of their names.
pub(super) type Pair = (DatabaseName, InstanceName, InstanceName);

/// The session one instance has for one database.
#[derive(Debug)]
struct Membership {
    session: Guid,
    /// The other partner; kept here because it is asked of every copy at every turn of the run.
    partner: Option<InstanceName>,
}

/// Which instances are partners of which session.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    of: BTreeMap<InstanceName, BTreeMap<DatabaseName, Membership>>,
    members: BTreeMap<(Guid, DatabaseName), Vec<InstanceName>>,
    pairs: Vec<Pair>,
    /// Databases for which an operator ever said SAFETY OFF, in upper case. Taken from the commands, not from any flag.
    said_off: BTreeSet<String>,
    /// Who has SAFETY OFF on record: a command may be refused.
    off_on_record: BTreeSet<(InstanceName, DatabaseName)>,
    /// Databases for which an operator forced service, in upper case.
    forced: BTreeSet<String>,
}

impl Sessions {
    pub(super) fn observe(&mut self, stamped: &Stamped) {
        match &stamped.event {
            Event::World(WorldEvent::Step { text }) => self.on_command(text),
            Event::Session(SessionEvent::Configured {
                database, session, ..
            }) => {
                if let Source::Instance(who) = &stamped.source {
                    self.leave(who, database);
                    self.join(who, database, *session);
                }
            }
            Event::Session(SessionEvent::Settings { database, safety, .. }) => {
                if let Source::Instance(who) = &stamped.source {
                    let copy = (who.clone(), database.clone());
                    match safety {
                        Safety::Off => self.off_on_record.insert(copy),
                        Safety::Full => self.off_on_record.remove(&copy),
                    };
                }
            }
            Event::Session(SessionEvent::Removed { database, .. }) => {
                if let Source::Instance(who) = &stamped.source {
                    self.leave(who, database);
                }
            }
            _ => {}
        }
    }

    fn join(&mut self, who: &InstanceName, database: &DatabaseName, session: Guid) {
        let membership = Membership {
            session,
            partner: None,
        };
        let databases = self.of.entry(who.clone()).or_default();
        databases.insert(database.clone(), membership);
        let members = self.members.entry((session, database.clone())).or_default();
        let place = members.partition_point(|other| other < who);
        members.insert(place, who.clone());
        self.pair_up(database, session);
    }

    fn leave(&mut self, who: &InstanceName, database: &DatabaseName) {
        let left = self.of.get_mut(who).and_then(|of| of.remove(database));
        if let Some(Membership { session, .. }) = left {
            if let Some(members) = self.members.get_mut(&(session, database.clone())) {
                members.retain(|other| other != who);
            }
            self.pair_up(database, session);
        }
    }

    /// The members of this session have changed.
    fn pair_up(&mut self, database: &DatabaseName, session: Guid) {
        let members = self.members.get(&(session, database.clone()));
        for who in members.into_iter().flatten() {
            let partner = members.into_iter().flatten().find(|other| *other != who);
            let membership = self.of.get_mut(who).and_then(|of| of.get_mut(database));
            if let Some(membership) = membership {
                membership.partner = partner.cloned();
            }
        }
        let copies = self.of.iter().flat_map(|(who, of)| {
            of.iter()
                .map(move |(database, membership)| (who, database, membership))
        });
        let pairs = copies.filter_map(|(who, database, membership)| {
            let other = membership.partner.as_ref().filter(|other| who < *other)?;
            Some((database.clone(), who.clone(), other.clone()))
        });
        self.pairs = pairs.collect();
    }

    fn membership(&self, who: &InstanceName, database: &DatabaseName) -> Option<&Membership> {
        self.of.get(who)?.get(database)
    }

    pub(super) fn session(&self, who: &InstanceName, database: &DatabaseName) -> Option<Guid> {
        Some(self.membership(who, database)?.session)
    }

    /// The other partner of the session `who` has for `database`.
    pub(super) fn partner(&self, who: &InstanceName, database: &DatabaseName) -> Option<&InstanceName> {
        self.membership(who, database)?.partner.as_ref()
    }

    /// Sessions that both partners have.
    pub(super) fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// Whether an operator has accepted the loss of commits by forcing service.
    pub(super) fn was_forced(&self, database: &DatabaseName) -> bool {
        self.forced.contains(&database.as_str().to_ascii_uppercase())
    }

    /// Whether the promises of SAFETY FULL are owed: unless an operator asked for OFF and a partner has it on record. One
    /// that turns it OFF by itself is held to FULL.
    pub(super) fn is_safety_full(&self, database: &DatabaseName) -> bool {
        let has_off = |who: &InstanceName| self.off_on_record.contains(&(who.clone(), database.clone()));
        let mut copies = self.of.iter().filter(|(_, of)| of.contains_key(database));
        !self.said_off.contains(&database.as_str().to_ascii_uppercase())
            || !copies.any(|(who, _)| has_off(who))
    }

    /// `ALTER DATABASE x SET PARTNER SAFETY OFF`, or a forced service, anywhere in a step's text.
    fn on_command(&mut self, text: &str) {
        let upper = text.to_ascii_uppercase();
        let words: Vec<&str> = upper
            .split(|c: char| c.is_whitespace() || c == ';' || c == ':')
            .filter(|w| !w.is_empty())
            .collect();
        for window in words.windows(6) {
            if let [
                "ALTER",
                "DATABASE",
                name,
                "SET",
                "PARTNER",
                "FORCE_SERVICE_ALLOW_DATA_LOSS",
            ] = window
            {
                self.forced.insert(plain(name));
            }
        }
        for window in words.windows(7) {
            if let ["ALTER", "DATABASE", name, "SET", "PARTNER", "SAFETY", "OFF"] = window {
                self.said_off.insert(plain(name));
            }
        }
    }
}

/// A name as a command writes it, without its brackets or quotes.
fn plain(name: &str) -> String {
    name.trim_matches(|c| matches!(c, '[' | ']' | '"')).to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn name(name: &str) -> InstanceName {
        InstanceName::new(name)
    }

    #[test]
    fn partners_are_those_who_have_the_session_now() {
        let mut sessions = Sessions::default();
        let (alpha, beta) = (name("alpha"), name("beta"));
        for event in pair() {
            sessions.observe(&event);
        }
        assert_eq!(sessions.pairs(), [(db(), alpha.clone(), beta.clone())]);
        assert_eq!(sessions.partner(&beta, &db()), Some(&alpha));
        let (database, session) = (db(), guid());
        sessions.observe(&on(2, "alpha", SessionEvent::Removed { database, session }));
        assert_eq!(sessions.session(&alpha, &db()), None);
        assert_eq!(sessions.session(&beta, &db()), Some(guid()));
        assert_eq!(sessions.partner(&beta, &db()), None);
        assert_eq!(sessions.pairs(), []);
        // Another session under the same name is not the other half of what beta still has.
        for mut event in pair() {
            if let (true, Event::Session(SessionEvent::Configured { session, .. })) =
                (event.source == Source::Instance(alpha.clone()), &mut event.event)
            {
                *session = Guid::NIL;
                sessions.observe(&event);
            }
        }
        assert_eq!(sessions.session(&alpha, &db()), Some(Guid::NIL));
        assert_eq!(sessions.partner(&alpha, &db()), None);
    }
}
