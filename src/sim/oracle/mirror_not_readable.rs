//! No client is answered by a copy that does not serve: neither a mirror nor a principal without quorum.
//!
//! An answer may still be on its way when service ends. Source: documented, *Database Mirroring (SQL Server)*.

use std::collections::{BTreeMap, BTreeSet};

use super::scene::Scene;
use super::{End, Oracle, Violation};
use crate::types::{ClientEvent, Event, InstanceName, SessionEvent, Source, Stamped};

const NAME: &str = "mirror-not-readable";

#[derive(Debug, Default)]
pub(super) struct MirrorNotReadable {
    scene: Scene,
    /// Where each transaction went, and whether a copy there has served since.
    open: BTreeMap<(String, u64), (InstanceName, bool)>,
    /// Transactions that were answered by an instance none of whose copies served meanwhile.
    unserved: Vec<(Stamped, String, InstanceName)>,
}

impl MirrorNotReadable {
    fn serves(&self, who: &InstanceName) -> bool {
        self.scene
            .copies()
            .any(|(of, _, shown)| of == who && shown.serving)
    }

    /// Whether the instance has copies at all: a client may work on a database that is not mirrored.
    fn mirrors(&self, who: &InstanceName) -> bool {
        self.scene.copies().any(|(of, _, _)| of == who)
    }

    fn note(&mut self, stamped: &Stamped) {
        let (Source::Client(client), Event::Client(event)) = (&stamped.source, &stamped.event) else {
            return;
        };
        match event {
            ClientEvent::Submitted { transaction, to, .. } => {
                let served = self.serves(to) || !self.mirrors(to);
                self.open
                    .insert((client.clone(), *transaction), (to.clone(), served));
            }
            ClientEvent::Acknowledged { transaction, .. } => {
                if let Some((to, false)) = self.open.remove(&(client.clone(), *transaction)) {
                    self.unserved.push((stamped.clone(), client.clone(), to));
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
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.note(stamped);
        if !Scene::concerns(stamped) {
            return;
        }
        self.scene.observe(stamped);
        if let (Source::Instance(who), Event::Session(SessionEvent::Serving { serving: true, .. })) =
            (&stamped.source, &stamped.event)
        {
            for (to, served) in self.open.values_mut() {
                *served |= to == who;
            }
        }
        let _ = out;
    }

    /// Which database a client works on is known at the end.
    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        let mirrored: BTreeSet<_> = self
            .scene
            .copies()
            .map(|(_, database, _)| database.clone())
            .collect();
        for (stamped, client, to) in &self.unserved {
            let database = end.databases.get(client);
            if database.is_some_and(|database| !mirrored.contains(database)) {
                continue;
            }
            let message = format!("{to} answered {client}, though no copy of it served since it was asked");
            out.push(Violation::of(NAME, &[client, to], message, stamped.at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

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

    #[test]
    fn a_principal_may_be_read_and_its_answer_may_be_late() {
        let mut events = pair_connected();
        events.extend([asked(5, "alpha"), on(6, "alpha", serving(false, 1)), told(7)]);
        assert_quiet::<MirrorNotReadable>(&events);
        let mut events = pair_connected();
        events.extend([asked(5, "beta"), on(6, "beta", serving(true, 2)), told(7)]);
        assert_quiet::<MirrorNotReadable>(&events);
    }

    #[test]
    fn a_mirror_that_answers_is_seen() {
        let mut events = pair_connected();
        events.extend([asked(5, "beta"), told(6)]);
        assert_red::<MirrorNotReadable>(&events, NAME);
    }

    #[test]
    fn a_principal_without_service_that_answers_is_seen() {
        let mut events = pair_connected();
        events.extend([on(4, "alpha", serving(false, 1)), asked(5, "alpha"), told(6)]);
        assert_red::<MirrorNotReadable>(&events, NAME);
    }
}
