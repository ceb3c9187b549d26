//! No client is answered by a copy that does not serve: neither a mirror nor a principal without quorum.
//!
//! An answer may still be on its way when service ends. Source: documented, *Database Mirroring (SQL Server)*.

use std::collections::{BTreeMap, BTreeSet};

use super::scene::Scene;
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{ClientEvent, DatabaseName, Event, InstanceName, Source, Stamped, Timestamp};

const NAME: &str = "mirror-not-readable";

/// A transaction that is under way.
#[derive(Debug)]
struct Asked {
    to: InstanceName,
    /// The mirrored databases there that have not served since it was asked.
    idle: BTreeSet<DatabaseName>,
}

#[derive(Debug, Default)]
pub(super) struct MirrorNotReadable {
    scene: SharedScene,
    open: BTreeMap<(String, u64), Asked>,
    /// Answers of instances some of whose copies did not serve meanwhile: when, to whom.
    answered: Vec<(Timestamp, String, Asked)>,
}

impl MirrorNotReadable {
    fn idle(&self, who: &InstanceName) -> BTreeSet<DatabaseName> {
        let copies = self.scene.copies();
        copies
            .filter(|(of, _, shown)| *of == who && !shown.serving)
            .map(|(_, database, _)| database.clone())
            .collect()
    }

    fn note(&mut self, stamped: &Stamped) {
        let (Source::Client(client), Event::Client(event)) = (&stamped.source, &stamped.event) else {
            return;
        };
        match event {
            ClientEvent::Submitted { transaction, to, .. } => {
                let (to, idle) = (to.clone(), self.idle(to));
                self.open
                    .insert((client.clone(), *transaction), Asked { to, idle });
            }
            ClientEvent::Acknowledged { transaction, .. } => {
                let asked = self.open.remove(&(client.clone(), *transaction));
                if let Some(asked) = asked.filter(|asked| !asked.idle.is_empty()) {
                    self.answered.push((stamped.at, client.clone(), asked));
                }
            }
            ClientEvent::Refused { transaction, .. } | ClientEvent::InDoubt { transaction } => {
                self.open.remove(&(client.clone(), *transaction));
            }
            _ => {}
        }
    }
}

impl Oracle for MirrorNotReadable {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, _out: &mut Vec<Violation>) {
        self.note(stamped);
        if !Scene::concerns(stamped) {
            return;
        }
        self.scene.observe(stamped);
        // One that is not mirrored any more may serve as well.
        for Asked { to, idle } in self.open.values_mut() {
            idle.retain(|database| self.scene.shown(to, database).is_some_and(|shown| !shown.serving));
        }
    }

    /// Which database a client works on is known at the end.
    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        for (at, client, Asked { to, idle }) in &self.answered {
            let Some(database) = end
                .databases
                .get(client)
                .filter(|works_on| idle.contains(works_on))
            else {
                continue;
            };
            let message =
                format!("{to} answered {client}, though it has not served {database} since it was asked");
            out.push(Violation::of(NAME, &[client, to], message, *at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::{Guid, PartnerRole, ServerAddress, SessionEvent};

    fn asked(second: u64, who: &str) -> Stamped {
        let event = ClientEvent::Submitted {
            transaction: 1,
            to: InstanceName::new(who),
            operation: "read 1".into(),
        };
        client(second, event)
    }

    fn told(second: u64) -> Stamped {
        let values = vec![Some(1)];
        client(
            second,
            ClientEvent::Acknowledged {
                transaction: 1,
                values,
            },
        )
    }

    /// What is said of a client that works on the database of the pair.
    fn seen(events: &[Stamped]) -> Vec<Violation> {
        let end = End {
            at: Timestamp::from_secs(10),
            databases: [("app".to_owned(), db())].into(),
            ..End::default()
        };
        judge_until::<MirrorNotReadable>(events, &end)
    }

    fn assert_seen(events: &[Stamped]) {
        let violations = seen(events);
        assert_eq!(violations.len(), 1, "{violations:?}");
        assert_eq!(violations[0].oracle, NAME);
    }

    #[test]
    fn a_principal_may_be_read_and_its_answer_may_be_late() {
        let mut events = pair_connected();
        events.extend([asked(5, "alpha"), on(6, "alpha", serving(false, 1)), told(7)]);
        assert_eq!(seen(&events), []);
        let mut events = pair_connected();
        events.extend([asked(5, "beta"), on(6, "beta", serving(true, 2)), told(7)]);
        assert_eq!(seen(&events), []);
    }

    #[test]
    fn a_database_that_is_not_mirrored_any_more_may_be_read() {
        let mut events = pair_connected();
        events.push(on(4, "alpha", serving(false, 1)));
        events.push(asked(5, "alpha"));
        let (database, session) = (db(), guid());
        events.push(on(6, "alpha", SessionEvent::Removed { database, session }));
        events.push(told(7));
        assert_eq!(seen(&events), []);
    }

    #[test]
    fn a_mirror_that_answers_is_seen() {
        let mut events = pair_connected();
        events.extend([asked(5, "beta"), told(6)]);
        assert_seen(&events);
    }

    #[test]
    fn a_database_that_serves_beside_it_is_no_excuse() {
        let mut events = pair_connected();
        let (database, session) = (DatabaseName::new("Other"), Guid::from_bytes([9; 16]));
        let (role, partner) = (PartnerRole::Principal, ServerAddress::new("alpha", 7022));
        let other = SessionEvent::Configured {
            database,
            session,
            role,
            partner,
        };
        events.push(on(1, "beta", other));
        events.extend([asked(5, "beta"), told(6)]);
        assert_seen(&events);
    }

    #[test]
    fn an_answer_that_came_before_the_session_was_removed_is_seen() {
        let mut events = pair_connected();
        events.extend([asked(5, "beta"), told(6)]);
        for who in ["alpha", "beta"] {
            let (database, session) = (db(), guid());
            events.push(on(7, who, SessionEvent::Removed { database, session }));
        }
        assert_seen(&events);
    }

    #[test]
    fn a_principal_without_service_that_answers_is_seen() {
        let mut events = pair_connected();
        events.extend([on(4, "alpha", serving(false, 1)), asked(5, "alpha"), told(6)]);
        assert_seen(&events);
    }
}
