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

/// Which instances are partners of which session.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    of: BTreeMap<(InstanceName, DatabaseName), Guid>,
    /// The same, the other way round: asked of every copy at every turn of the run.
    members: BTreeMap<(Guid, DatabaseName), BTreeSet<InstanceName>>,
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
                    self.of.insert((who.clone(), database.clone()), *session);
                    let members = self.members.entry((*session, database.clone())).or_default();
                    members.insert(who.clone());
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

    fn leave(&mut self, who: &InstanceName, database: &DatabaseName) {
        if let Some(session) = self.of.remove(&(who.clone(), database.clone()))
            && let Some(members) = self.members.get_mut(&(session, database.clone()))
        {
            members.remove(who);
        }
    }

    pub(super) fn session(&self, who: &InstanceName, database: &DatabaseName) -> Option<Guid> {
        self.of.get(&(who.clone(), database.clone())).copied()
    }

    /// The other partner of the session `who` has for `database`.
    pub(super) fn partner(&self, who: &InstanceName, database: &DatabaseName) -> Option<&InstanceName> {
        let session = self.session(who, database)?;
        let members = self.members.get(&(session, database.clone()))?;
        members.iter().find(|other| *other != who)
    }

    /// Sessions that both partners have, with their database and the partners.
    pub(super) fn pairs(&self) -> Vec<(DatabaseName, InstanceName, InstanceName)> {
        let mut pairs = Vec::new();
        for (who, database) in self.of.keys() {
            if let Some(other) = self.partner(who, database)
                && who < other
            {
                pairs.push((database.clone(), who.clone(), other.clone()));
            }
        }
        pairs
    }

    /// Whether an operator has accepted the loss of commits by forcing service.
    pub(super) fn was_forced(&self, database: &DatabaseName) -> bool {
        self.forced.contains(&database.as_str().to_ascii_uppercase())
    }

    /// Whether the promises of SAFETY FULL are owed: unless an operator asked for OFF and a partner has it on record. One
    /// that turns it OFF by itself is held to FULL.
    pub(super) fn is_safety_full(&self, database: &DatabaseName) -> bool {
        let mut copies = self.of.keys().filter(|(_, of)| of == database);
        !self.said_off.contains(&database.as_str().to_ascii_uppercase())
            || !copies.any(|copy| self.off_on_record.contains(copy))
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
