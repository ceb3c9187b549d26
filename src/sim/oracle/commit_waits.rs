//! How long a principal holds commits back that are on its own disk, while a condition holds under which it need not.
//!
//! A commit that is never acknowledged is judged as well: it is log that a client may be waiting for, because it has asked
//! for a change before that log was hardened and has no answer yet. Whether the client works on this database is known at
//! the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::history::session_event;
use super::scene::Scene;
use super::shared_scene::SharedScene;
use super::{End, Violation};
use crate::sim::workload::Operation;
use crate::types::{
    ClientEvent, DatabaseName, Event, Guid, InstanceName, Lsn, SessionEvent, Source, Stamped, Timestamp,
};

/// What is left to do once the log disk has answered takes no time; a process that was paused gets up in time.
const BOUND: Duration = Duration::from_secs(1);

/// A commit that was acknowledged late.
#[derive(Debug)]
pub(super) struct Late {
    pub who: InstanceName,
    pub database: DatabaseName,
    pub lsn: Lsn,
    pub waited: Duration,
}

/// A client that waits for a change it has asked for.
#[derive(Debug)]
struct Asked {
    at: Timestamp,
    to: InstanceName,
}

/// What an oracle promises of commits that need not wait for anybody.
pub(super) struct Promise {
    pub name: &'static str,
    /// Whether a principal need not wait.
    pub is_free: fn(&CommitWaits, &InstanceName, &DatabaseName) -> bool,
    /// What is said of one that did.
    pub tell: fn(&Late) -> String,
}

impl Promise {
    fn violation(&self, late: &Late, at: Timestamp) -> Violation {
        Violation::of(self.name, &[&late.database, &late.who], (self.tell)(late), at)
    }
}

#[derive(Debug, Default)]
pub(super) struct CommitWaits {
    pub scene: SharedScene,
    /// When the condition was looked at last.
    pub at: Timestamp,
    /// The ends of blocks on each disk that are not yet acknowledged, and when they got there.
    hardened: BTreeMap<(InstanceName, DatabaseName), BTreeMap<Lsn, Timestamp>>,
    /// Who serves while the condition holds, and since when.
    free: BTreeMap<(InstanceName, DatabaseName), Timestamp>,
    /// Sessions whose witness has it that the mirror is not synchronized.
    vetoed: BTreeSet<Guid>,
    asked: BTreeMap<(String, u64), Asked>,
    /// Commits that were still held when they should have been acknowledged, and who waits; each of these once for a copy.
    held: BTreeMap<(InstanceName, DatabaseName, String), (Timestamp, Late)>,
}

impl CommitWaits {
    /// Whether the witness has it on record that the mirror is not synchronized.
    pub(super) fn is_vetoed(&self, session: Guid) -> bool {
        self.vetoed.contains(&session)
    }

    pub(super) fn observe(&mut self, stamped: &Stamped, promise: &Promise, out: &mut Vec<Violation>) {
        let late = self.late(stamped, promise);
        out.extend(late.map(|late| promise.violation(&late, stamped.at)));
    }

    /// The commits that were held to the end of the run or until their clients gave up: the first of each copy.
    pub(super) fn finish(&mut self, end: &End, promise: &Promise, out: &mut Vec<Violation>) {
        self.find_held(end.at);
        let mut first: BTreeMap<_, (Timestamp, Late)> = BTreeMap::new();
        for ((who, database, client), (at, late)) in std::mem::take(&mut self.held) {
            let works_here = end.databases.get(&client).is_none_or(|of| *of == database);
            let copy = (who, database);
            if works_here && first.get(&copy).is_none_or(|(before, _)| at < *before) {
                first.insert(copy, (at, late));
            }
        }
        out.extend(first.values().map(|(at, late)| promise.violation(late, *at)));
    }

    fn late(&mut self, stamped: &Stamped, promise: &Promise) -> Option<Late> {
        if Scene::concerns(stamped) {
            self.find_held(stamped.at);
            self.scene.observe(stamped);
            self.note_record(stamped);
            self.look(stamped.at, promise);
        }
        self.note_client(stamped);
        let (who, event) = session_event(stamped)?;
        match event {
            SessionEvent::LogHardened { database, end, .. } => {
                let ends = self.hardened.entry((who.clone(), database.clone())).or_default();
                ends.insert(*end, stamped.at);
                None
            }
            SessionEvent::CommitAcknowledged { database, lsn, .. } => {
                let key = (who.clone(), database.clone());
                let ends = self.hardened.get_mut(&key)?;
                let hardened = ends.get(lsn).copied();
                *ends = ends.split_off(lsn);
                ends.remove(lsn);
                let waited = stamped.at.since(hardened?.max(*self.free.get(&key)?));
                let slow = self.scene.is_slow_since(stamped.at, who);
                (waited > BOUND && !slow).then(|| Late {
                    who: who.clone(),
                    database: database.clone(),
                    lsn: *lsn,
                    waited,
                })
            }
            _ => None,
        }
    }

    fn note_client(&mut self, stamped: &Stamped) {
        let (Source::Client(client), Event::Client(event)) = (&stamped.source, &stamped.event) else {
            return;
        };
        match event {
            ClientEvent::Submitted {
                transaction,
                to,
                operation,
            } if !matches!(operation.parse(), Ok(Operation::Read { .. })) => {
                let (at, to) = (stamped.at, to.clone());
                self.asked
                    .insert((client.clone(), *transaction), Asked { at, to });
            }
            ClientEvent::Acknowledged { transaction, .. }
            | ClientEvent::Refused { transaction, .. }
            | ClientEvent::InDoubt { transaction } => {
                self.find_held(stamped.at);
                self.asked.remove(&(client.clone(), *transaction));
            }
            _ => {}
        }
    }

    fn find_held(&mut self, at: Timestamp) {
        if self.asked.is_empty() {
            return;
        }
        for ((who, database), free) in &self.free {
            let Some(ends) = self.hardened.get(&(who.clone(), database.clone())) else {
                continue;
            };
            let waits = self.asked.iter().filter(|(_, asked)| asked.to == *who);
            for ((client, _), asked) in waits {
                let key = (who.clone(), database.clone(), client.clone());
                if self.held.contains_key(&key) {
                    continue;
                }
                let held = ends.iter().find_map(|(lsn, hardened)| {
                    let waited = at.since((*hardened).max(*free));
                    let late = asked.at <= *hardened && waited > BOUND;
                    (late && !self.scene.is_slow_since(*hardened, who)).then_some((*lsn, waited))
                });
                if let Some((lsn, waited)) = held {
                    let late = Late {
                        who: who.clone(),
                        database: database.clone(),
                        lsn,
                        waited,
                    };
                    self.held.insert(key, (at, late));
                }
            }
        }
    }

    fn note_record(&mut self, stamped: &Stamped) {
        if let Some((
            _,
            SessionEvent::WitnessRecord {
                session,
                synchronized,
                ..
            },
        )) = session_event(stamped)
        {
            match synchronized {
                true => self.vetoed.remove(session),
                false => self.vetoed.insert(*session),
            };
        }
    }

    fn look(&mut self, at: Timestamp, promise: &Promise) {
        self.at = at;
        let mut before = std::mem::take(&mut self.free);
        let free: Vec<_> = self
            .scene
            .copies()
            .filter(|(who, database, shown)| shown.serving && (promise.is_free)(self, who, database))
            .map(|(who, database, _)| (who.clone(), database.clone()))
            .collect();
        for key in free {
            let since = before.remove(&key).unwrap_or(at);
            self.free.insert(key, since);
        }
    }
}
