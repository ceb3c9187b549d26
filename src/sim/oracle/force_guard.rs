//! Service is forced only on a mirror that is not connected to its principal, that sees the witness if one is set, and all
//! of whose pages can be read. With a witness it is the moment of its consent that counts: what it granted is carried out,
//! whomever the mirror has met or lost, and whatever was damaged, by the time it hears of it.
//!
//! Source: documented, *Role Switching*, *ALTER DATABASE Database Mirroring*; messages 1406 and 1455.

use std::collections::BTreeSet;

use super::history::session_event;
use super::scene::Scene;
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{
    DatabaseName, InstanceName, PageKey, PartnerRole, RepairStatus, RoleSequence, SessionEvent, Stamped,
    SwitchKind,
};

const NAME: &str = "force-guard";

#[derive(Debug, Default)]
pub(super) struct ForceGuard {
    scene: SharedScene,
    damaged: BTreeSet<(InstanceName, DatabaseName, PageKey)>,
    /// Who could be forced into service when the witness granted this role sequence.
    granted: BTreeSet<(InstanceName, DatabaseName, RoleSequence)>,
}

impl ForceGuard {
    fn missing(&self, who: &InstanceName, database: &DatabaseName) -> Option<&'static str> {
        let shown = self.scene.shown(who, database)?;
        let principal = self.scene.sessions.partner(who, database)?;
        let witness = self.scene.witness(who, database);
        // The event may come after that of the new role itself.
        if shown.role == Some(PartnerRole::Principal) && shown.serving {
            return Some("which is its principal already");
        }
        if self.scene.is_connected(database, who, principal) {
            return Some("while it is connected to the principal");
        }
        let mut damaged = self.damaged.iter();
        if damaged.any(|(on, of, _)| on == who && of == database) {
            return Some("while pages of it are damaged");
        }
        let sees = witness.is_some_and(|witness| self.scene.is_connected(database, who, witness));
        (shown.has_witness && !sees).then_some("while it is not connected to the witness")
    }
}

impl ForceGuard {
    fn note_grant(&mut self, stamped: &Stamped) {
        let Some((
            _,
            SessionEvent::WitnessVerdict {
                database,
                granted: true,
                role_sequence,
                ..
            },
        )) = session_event(stamped)
        else {
            return;
        };
        let copies = self.scene.copies().filter(|(_, of, _)| *of == database);
        let may = copies.filter(|(who, of, _)| self.missing(who, of).is_none());
        let may: Vec<_> = may.map(|(who, of, _)| (who.clone(), of.clone())).collect();
        for (who, of) in may {
            self.granted.insert((who, of, *role_sequence));
        }
    }

    fn note_pages(&mut self, stamped: &Stamped) {
        match session_event(stamped) {
            Some((who, SessionEvent::PageDamaged { database, page, .. })) => {
                self.damaged.insert((who.clone(), database.clone(), page.clone()));
            }
            Some((
                who,
                SessionEvent::PageRepair {
                    database,
                    page,
                    status: RepairStatus::Succeeded,
                },
            )) => {
                self.damaged
                    .remove(&(who.clone(), database.clone(), page.clone()));
            }
            // Opened anew: what is damaged is told again.
            Some((who, SessionEvent::LogRecovered { database, .. })) => {
                self.damaged.retain(|(on, of, _)| on != who || of != database);
            }
            _ => {}
        }
    }
}

impl Oracle for ForceGuard {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.note_pages(stamped);
        self.note_grant(stamped);
        if !Scene::concerns(stamped) {
            return;
        }
        if let Some((
            who,
            SessionEvent::Takeover {
                database,
                kind: SwitchKind::Forced,
                role_sequence,
                ..
            },
        )) = session_event(stamped)
            && !self
                .granted
                .contains(&(who.clone(), database.clone(), *role_sequence))
            && let Some(missing) = self.missing(who, database)
        {
            out.push(Violation::of(
                NAME,
                &[database, who],
                format!("service of {database} was forced on {who} {missing}"),
                stamped.at,
            ));
        }
        self.scene.observe(stamped);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::Timestamp;

    fn forced(mut events: Vec<Stamped>) -> Vec<Stamped> {
        events.push(on(9, "beta", takeover(SwitchKind::Forced, 2)));
        events
    }

    #[test]
    fn a_mirror_without_its_principal_may() {
        let mut events = trio();
        events.extend(parted(5, "beta", "alpha"));
        assert_quiet::<ForceGuard>(&forced(events));
        let mut events = pair_connected();
        events.extend(parted(5, "beta", "alpha"));
        assert_quiet::<ForceGuard>(&forced(events));
    }

    #[test]
    fn one_that_is_connected_may_not() {
        assert_red::<ForceGuard>(&forced(trio()), NAME);
    }

    #[test]
    fn what_the_witness_granted_is_carried_out_whoever_comes_back_meanwhile() {
        let met = |granted_at| {
            let mut events = trio();
            events.extend(parted(5, "beta", "alpha"));
            events.extend(rejoined(7, "beta", "alpha"));
            let at = events.partition_point(|e| e.at < Timestamp::from_secs(granted_at));
            events.insert(at, on(granted_at, "gamma", granted(2)));
            forced(events)
        };
        assert_quiet::<ForceGuard>(&met(6));
        assert_red::<ForceGuard>(&met(4), NAME);
        assert_red::<ForceGuard>(&met(8), NAME);
    }

    #[test]
    fn one_without_its_witness_may_not() {
        let mut events = trio();
        events.extend(parted(5, "beta", "alpha"));
        events.extend(parted(5, "beta", "gamma"));
        assert_red::<ForceGuard>(&forced(events), NAME);
    }

    #[test]
    fn one_with_a_damaged_page_may_not_until_it_is_repaired() {
        let (database, page) = (db(), PageKey::of("t", 1));
        let mut events = trio();
        events.push(on(
            4,
            "beta",
            SessionEvent::PageDamaged {
                database: database.clone(),
                page: page.clone(),
                number: 2,
                error: crate::types::PageError::Checksum,
            },
        ));
        events.extend(parted(5, "beta", "alpha"));
        assert_red::<ForceGuard>(&forced(events.clone()), NAME);
        let status = RepairStatus::Succeeded;
        events.push(on(
            6,
            "beta",
            SessionEvent::PageRepair {
                database,
                page,
                status,
            },
        ));
        assert_quiet::<ForceGuard>(&forced(events));
    }

    #[test]
    fn connections_that_stay_do_not_save_a_principal_whose_copy_cannot_be_used() {
        let mut events = trio();
        events.push(unavailable(5, "alpha"));
        assert_quiet::<ForceGuard>(&forced(events.clone()));
        // It was opened anew.
        events.push(on(7, "alpha", recovered(10)));
        assert_red::<ForceGuard>(&forced(events), NAME);
    }
}
