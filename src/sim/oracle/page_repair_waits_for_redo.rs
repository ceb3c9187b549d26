//! A page that a mirror sends for a repair reflects at least the log that the principal's request names, and a page is put
//! in place only where redo has come that far.
//!
//! What was asked for is what the asking partner said of its request, and how far redo has come what the sender said of its
//! redo; the sender's own word on the page counts for nothing more than the claim to be judged. Source: documented,
//! *Automatic Page Repair*.

use std::collections::BTreeMap;

use super::history::session_event;
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{
    DatabaseName, InstanceName, Lsn, PageKey, PartnerRole, RepairStatus, SessionEvent, Stamped,
};

const NAME: &str = "page-repair-waits-for-redo";

type Copy = (InstanceName, DatabaseName);

#[derive(Debug, Default)]
pub(super) struct PageRepairWaitsForRedo {
    scene: SharedScene,
    roles: BTreeMap<Copy, PartnerRole>,
    redone: BTreeMap<Copy, Lsn>,
    /// The last request of each copy for each page.
    asked: BTreeMap<(Copy, PageKey), Lsn>,
    /// As of which LSN the page was sent that each copy asked for.
    sent: BTreeMap<(Copy, PageKey), Lsn>,
}

impl PageRepairWaitsForRedo {
    fn redone(&self, copy: &Copy) -> Lsn {
        self.redone.get(copy).copied().unwrap_or(Lsn::ZERO)
    }

    fn judge_sent(&self, copy: &Copy, asker: Copy, page: &PageKey, lsn: Lsn) -> Option<String> {
        let asked = self.asked.get(&(asker, page.clone()));
        let Some(asked) = asked else {
            return Some("which nobody asked for".to_owned());
        };
        let is_mirror = self.roles.get(copy) == Some(&PartnerRole::Mirror);
        let redone = self.redone(copy);
        if lsn < *asked {
            Some(format!("as of LSN {lsn}, though it was asked for as of {asked}"))
        } else if is_mirror && redone < *asked {
            Some(format!(
                "when it had redone up to {redone}, though it was asked for as of {asked}"
            ))
        } else {
            None
        }
    }
}

impl Oracle for PageRepairWaitsForRedo {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.scene.observe(stamped);
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        let copy = |database: &DatabaseName| (who.clone(), database.clone());
        let problem = match event {
            SessionEvent::Role { database, to, .. } => {
                self.roles.insert(copy(database), *to);
                None
            }
            SessionEvent::Redone { database, to } => {
                self.redone.insert(copy(database), *to);
                None
            }
            SessionEvent::LogReverted { database, to, .. } => {
                let redone = self.redone(&copy(database)).min(*to);
                self.redone.insert(copy(database), redone);
                None
            }
            SessionEvent::LogRecovered { database, redone, .. } => {
                self.redone.insert(copy(database), *redone);
                None
            }
            SessionEvent::PageRequested {
                database, page, at, ..
            } => {
                self.asked.insert((copy(database), page.clone()), *at);
                None
            }
            SessionEvent::PageSent {
                database, page, lsn, ..
            } => {
                let partner = self.scene.sessions.partner(who, database).cloned();
                let asker = partner.map(|partner| (partner, database.clone()));
                asker.and_then(|asker| {
                    self.sent.insert((asker.clone(), page.clone()), *lsn);
                    let problem = self.judge_sent(&copy(database), asker, page, *lsn)?;
                    Some((database, format!("sent page [{page}] {problem}")))
                })
            }
            SessionEvent::PageRepair {
                database,
                page,
                status: RepairStatus::Succeeded,
            } => {
                let copy = copy(database);
                let redone = self.redone(&copy);
                let is_mirror = self.roles.get(&copy) == Some(&PartnerRole::Mirror);
                let sent = self.sent.remove(&(copy, page.clone()));
                match sent {
                    None => Some((database, format!("restored page [{page}], which nobody sent"))),
                    Some(lsn) if is_mirror && redone < lsn => Some((
                        database,
                        format!("restored page [{page}] as of LSN {lsn} when it had redone up to {redone}"),
                    )),
                    Some(_) => None,
                }
            }
            _ => None,
        };
        if let Some((database, problem)) = problem {
            let message = format!("{who}, {database}: {problem}");
            out.push(Violation::of(NAME, &[database, who], message, stamped.at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::Lsn;

    fn request(at: u64) -> SessionEvent {
        let (database, page, at) = (db(), PageKey::of("t", 1), Lsn::new(at));
        SessionEvent::PageRequested {
            database,
            page,
            request: 1,
            at,
        }
    }

    fn sent(lsn: u64) -> SessionEvent {
        let (database, page, lsn) = (db(), PageKey::of("t", 1), Lsn::new(lsn));
        SessionEvent::PageSent {
            database,
            page,
            request: 1,
            at: lsn,
            lsn,
        }
    }

    fn restored() -> SessionEvent {
        let (database, page) = (db(), PageKey::of("t", 1));
        SessionEvent::PageRepair {
            database,
            page,
            status: RepairStatus::Succeeded,
        }
    }

    fn history(steps: Vec<(&str, SessionEvent)>) -> Vec<Stamped> {
        let mut events = pair();
        events.extend(steps.into_iter().map(|(who, event)| on(5, who, event)));
        events
    }

    #[test]
    fn a_page_that_was_redone_first_may_be_sent_and_restored() {
        assert_quiet::<PageRepairWaitsForRedo>(&history(vec![
            ("alpha", request(20)),
            ("beta", redone(20)),
            ("beta", sent(20)),
            ("alpha", restored()),
        ]));
    }

    #[test]
    fn one_that_is_behind_the_request_may_not() {
        let behind = vec![("alpha", request(20)), ("beta", redone(10)), ("beta", sent(10))];
        assert_red::<PageRepairWaitsForRedo>(&history(behind), NAME);
    }

    #[test]
    fn nor_one_that_only_claims_to_be_redone() {
        let claims = vec![("alpha", request(20)), ("beta", redone(10)), ("beta", sent(20))];
        assert_red::<PageRepairWaitsForRedo>(&history(claims), NAME);
    }

    #[test]
    fn a_mirror_may_not_restore_what_its_redo_has_not_come_to() {
        let steps = |to| {
            history(vec![
                ("beta", request(10)),
                ("alpha", sent(20)),
                ("beta", redone(to)),
                ("beta", restored()),
            ])
        };
        assert_quiet::<PageRepairWaitsForRedo>(&steps(20));
        assert_red::<PageRepairWaitsForRedo>(&steps(10), NAME);
    }

    #[test]
    fn nobody_restores_what_was_not_sent() {
        assert_red::<PageRepairWaitsForRedo>(&history(vec![("alpha", restored())]), NAME);
    }
}
