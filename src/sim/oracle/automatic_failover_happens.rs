//! When mirror and witness of a synchronized session have both lost the principal and keep each other, the mirror takes over.
//!
//! Whatever became of the principal: its process died, its endpoint was stopped or dropped, nobody reaches it any more. That
//! both have lost it is what their own endpoints say: at once if the connections are reset, within the partner timeout and one
//! ping interval if they fall silent. From there on the mirror asks the witness every ping interval; it may take longer only
//! where the line between the two is disturbed. Source: documented, *Role Switching*, *Estimate the Interruption of Service
//! During Role Switching*.

use std::collections::{BTreeMap, BTreeSet};

use super::history::session_event;
use super::scene::{FaultSeen, PING, Patience, SLACK, Scene};
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{
    DatabaseName, EndpointEvent, Event, Guid, InstanceName, MirroringState, PartnerRole, SessionEvent,
    Source, Stamped, Timestamp,
};

const NAME: &str = "automatic-failover-happens";

/// A session whose mirror must follow its principal if that is lost.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Heir {
    database: DatabaseName,
    principal: InstanceName,
    mirror: InstanceName,
}

#[derive(Debug, Default)]
pub(super) struct AutomaticFailoverHappens {
    scene: SharedScene,
    /// Sessions whose witness has it that the mirror is synchronized, and who was the principal then.
    recorded: BTreeMap<Guid, String>,
    /// Those that were whole, and to which nothing has happened since but the loss of the principal.
    heirs: BTreeSet<Heir>,
    /// The ROLE of each endpoint: a witness whose endpoint is a partner's is none, whoever is connected to it.
    endpoint_roles: BTreeMap<InstanceName, String>,
    /// For those who have nothing to wait for, and for those whose line to the witness is disturbed.
    undisturbed: Patience<Heir>,
    disturbed: Patience<Heir>,
}

impl AutomaticFailoverHappens {
    fn judge(&mut self, at: Timestamp, out: &mut Vec<Violation>) {
        let longest = self.scene.longest_timeout(at);
        let soon = self.undisturbed.outlast(at, PING + SLACK);
        let later = self.disturbed.outlast(at, longest + PING + SLACK);
        let late = soon
            .into_iter()
            .filter(|(heir, since)| !self.is_disturbed(heir, *since));
        let later = later
            .into_iter()
            .filter(|(heir, since)| self.is_disturbed(heir, *since));
        for (heir, since) in late.chain(later) {
            let Heir {
                database,
                principal,
                mirror,
            } = heir;
            let around: Vec<_> = [Some(&mirror), self.scene.witness(&mirror, &database)]
                .into_iter()
                .flatten()
                .cloned()
                .collect();
            if self.scene.is_rough_since(since, &around) {
                continue;
            }
            let message = format!(
                "{mirror} has not taken {database} over, though it and the witness have lost {principal} since {since}"
            );
            out.push(Violation::of(NAME, &[&database, &mirror], message, at));
        }
    }

    /// Whether the packets between the mirror and the witness may be late or lost: a fault that is done to one of them, and
    /// not by its one line to the principal's system.
    fn is_disturbed(&self, heir: &Heir, since: Timestamp) -> bool {
        let witness = self.scene.witness(&heir.mirror, &heir.database);
        let both: Vec<&InstanceName> = witness.into_iter().chain([&heir.mirror]).collect();
        let at_principal = |fault: &FaultSeen| {
            let place = fault.text.split_whitespace().nth(1).unwrap_or_default();
            let at = |who: &InstanceName| self.scene.is_called(who, place);
            at(&heir.principal) && !both.iter().any(|who| at(who))
        };
        self.scene.faults.values().any(|fault| {
            fault.to.is_none_or(|to| to + SLACK >= since)
                && both.iter().any(|who| self.scene.touches(fault, who))
                && !at_principal(fault)
        })
    }

    /// Whether everything that an automatic failover needs is there, and the principal too.
    fn is_whole(&self, heir: &Heir) -> bool {
        let scene = &self.scene;
        let synchronized = |who| {
            let shown = scene.shown(who, &heir.database);
            shown.is_some_and(|shown| shown.state == Some(MirroringState::Synchronized))
        };
        let serves = scene
            .shown(&heir.principal, &heir.database)
            .is_some_and(|shown| shown.serving && shown.has_witness);
        serves
            && synchronized(&heir.principal)
            && synchronized(&heir.mirror)
            && scene.is_alive(&heir.principal)
            && scene.is_linked(&heir.database, &heir.principal, &heir.mirror)
    }

    /// Whether all but the principal is as it was.
    fn stands(&self, heir: &Heir) -> bool {
        let scene = &self.scene;
        let (principal, mirror, database) = (&heir.principal, &heir.mirror, &heir.database);
        let Some((owner, copy)) = scene
            .shown(principal, database)
            .zip(scene.shown(mirror, database))
        else {
            return false;
        };
        let Some(session) = scene.sessions.session(mirror, database) else {
            return false;
        };
        let suspended = |who| scene.settings(who, database).is_some_and(|s| s.suspended);
        let waits = [MirroringState::Synchronized, MirroringState::Disconnected];
        scene.sessions.is_safety_full(database)
            && scene.sessions.partner(mirror, database) == Some(principal)
            && owner.role == Some(PartnerRole::Principal)
            && !owner.failing_over
            && copy.role == Some(PartnerRole::Mirror)
            && copy.has_witness
            && copy.state.is_some_and(|state| waits.contains(&state))
            && !suspended(principal)
            && !suspended(mirror)
            && self.recorded.contains_key(&session)
            && self.keeps_witness(database, mirror)
    }

    fn keeps_witness(&self, database: &DatabaseName, mirror: &InstanceName) -> bool {
        let witness = self.scene.witness(mirror, database);
        let lacks = |who, role| self.endpoint_roles.get(who).is_some_and(|has| has == role);
        self.scene.is_alive(mirror)
            && !lacks(mirror, "WITNESS")
            && witness.is_some_and(|witness| {
                !lacks(witness, "PARTNER")
                    && self.scene.is_connected(database, mirror, witness)
                    && self.scene.is_connected(database, witness, mirror)
            })
    }

    /// Both the mirror and the witness have lost the principal.
    fn is_owed(&self, heir: &Heir) -> bool {
        let witness = self.scene.witness(&heir.mirror, &heir.database);
        let lost = |who| self.scene.has_lost(&heir.database, who, &heir.principal);
        lost(&heir.mirror) && witness.is_none_or(lost)
    }

    fn note(&mut self, stamped: &Stamped) {
        if let Some((
            _,
            SessionEvent::WitnessRecord {
                session,
                owner,
                synchronized,
                ..
            },
        )) = session_event(stamped)
        {
            // A witness that grants the role to the mirror has nobody on record as synchronized: it is still to take it.
            if *synchronized {
                self.recorded.insert(*session, owner.clone());
            } else if self.recorded.get(session) == Some(owner) {
                self.recorded.remove(session);
            }
        }
        // A principal that comes back to one of them makes it a different question for its sessions.
        if let (Source::Instance(who), Event::Endpoint(EndpointEvent::LoggedIn { connection, .. })) =
            (&stamped.source, &stamped.event)
            && let Some(peer) = self.scene.peer_of(who, *connection).cloned()
        {
            self.heirs
                .retain(|heir| heir.principal != *who && heir.principal != peer);
        }
    }

    fn renew(&mut self) {
        let mut heirs = std::mem::take(&mut self.heirs);
        for (database, one, other) in self.scene.sessions.pairs() {
            for (principal, mirror) in [(one, other), (other, one)] {
                let heir = Heir {
                    database: database.clone(),
                    principal: principal.clone(),
                    mirror: mirror.clone(),
                };
                if self.is_whole(&heir) {
                    heirs.insert(heir);
                }
            }
        }
        heirs.retain(|heir| self.stands(heir));
        self.heirs = heirs;
    }
}

impl Oracle for AutomaticFailoverHappens {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if let (Source::Instance(who), Event::Endpoint(EndpointEvent::Configured { settings })) =
            (&stamped.source, &stamped.event)
        {
            self.endpoint_roles.insert(who.clone(), settings.role.clone());
        }
        if !Scene::concerns(stamped) {
            return;
        }
        self.judge(stamped.at, out);
        self.scene.observe(stamped);
        self.note(stamped);
        self.renew();
        let owed: Vec<Heir> = self
            .heirs
            .iter()
            .filter(|heir| self.is_owed(heir))
            .cloned()
            .collect();
        self.undisturbed.hold(owed.iter().cloned(), stamped.at);
        self.disturbed.hold(owed, stamped.at);
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        self.judge(end.at, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::super::testing_endpoints::{configured, in_role};
    use super::*;
    use crate::types::SwitchKind;

    /// Mirror and witness notice at their seconds that they have lost alpha.
    fn lose(events: &mut Vec<Stamped>, mirror_at: u64, witness_at: u64) {
        let mut lost = parted(mirror_at, "beta", "alpha");
        lost.push(on(
            mirror_at,
            "beta",
            state(PartnerRole::Mirror, MirroringState::Disconnected),
        ));
        lost.extend(parted(witness_at, "gamma", "alpha"));
        lost.extend(accepted_parted(witness_at));
        lost.sort_by_key(|event| event.at);
        events.extend(lost);
    }

    /// The connection that gamma has accepted of alpha.
    fn accepted_parted(second: u64) -> Vec<Stamped> {
        let connection = crate::types::ConnectionId(connection("gamma", "alpha"));
        let by = crate::types::ClosedBy::Reset;
        let error = None;
        let closed = EndpointEvent::Closed {
            connection,
            by,
            error,
        };
        vec![on(second, "gamma", closed)]
    }

    fn killed_at(second: u64) -> Vec<Stamped> {
        let mut events = trio();
        events.push(killed(second, "alpha"));
        lose(&mut events, second, second);
        events
    }

    fn taken(second: u64) -> Vec<Stamped> {
        vec![
            on(second, "beta", takeover(SwitchKind::Automatic, 2)),
            on(
                second,
                "beta",
                switch(PartnerRole::Mirror, PartnerRole::Principal, 2),
            ),
            on(second, "beta", serving(true, 2)),
        ]
    }

    fn later(mut events: Vec<Stamped>) -> Vec<Stamped> {
        events.push(world_step(60, "later"));
        events
    }

    #[test]
    fn a_mirror_that_takes_over_in_time_is_right() {
        let mut events = killed_at(5);
        events.extend(taken(7));
        assert_quiet::<AutomaticFailoverHappens>(&later(events));
        // Silence takes until the second of them has noticed.
        let mut events = trio();
        lose(&mut events, 15, 16);
        events.extend(taken(18));
        assert_quiet::<AutomaticFailoverHappens>(&later(events));
    }

    #[test]
    fn a_mirror_that_does_not_take_what_it_was_granted_is_seen() {
        let mut events = killed_at(5);
        events.push(on(6, "gamma", recorded("BETA", 2, false)));
        let mut right = events.clone();
        right.extend(taken(7));
        assert_quiet::<AutomaticFailoverHappens>(&later(right));
        assert_red::<AutomaticFailoverHappens>(&later(events), NAME);
    }

    #[test]
    fn without_its_witness_or_behind_it_need_not() {
        let mut events = trio();
        events.extend(parted(4, "beta", "gamma"));
        events.push(killed(5, "alpha"));
        lose(&mut events, 5, 5);
        assert_quiet::<AutomaticFailoverHappens>(&later(events));
        let mut events = trio();
        events.push(on(4, "gamma", recorded("ALPHA", 1, false)));
        events.push(killed(5, "alpha"));
        lose(&mut events, 5, 5);
        assert_quiet::<AutomaticFailoverHappens>(&later(events));
    }

    #[test]
    fn a_witness_that_may_not_be_one_is_none() {
        for (role, red) in [("PARTNER", false), ("WITNESS", true), ("ALL", true)] {
            let mut events = trio();
            events.push(configured(3, "gamma", &in_role(role)));
            events.push(killed(5, "alpha"));
            lose(&mut events, 5, 5);
            match red {
                true => assert_red::<AutomaticFailoverHappens>(&later(events), NAME),
                false => assert_quiet::<AutomaticFailoverHappens>(&later(events)),
            }
        }
    }

    #[test]
    fn while_the_witness_has_the_principal_it_must_not() {
        let mut events = trio();
        events.extend(parted(5, "beta", "alpha"));
        events.push(on(
            5,
            "beta",
            state(PartnerRole::Mirror, MirroringState::Disconnected),
        ));
        assert_quiet::<AutomaticFailoverHappens>(&later(events));
    }

    #[test]
    fn a_mirror_that_never_does_is_seen() {
        assert_red::<AutomaticFailoverHappens>(&later(killed_at(5)), NAME);
    }

    #[test]
    fn a_hard_error_leaves_no_time_for_the_partner_timeout() {
        let mut events = killed_at(5);
        events.extend(taken(10));
        assert_red::<AutomaticFailoverHappens>(&later(events), NAME);
        // A disturbed line to the witness does.
        let mut events = trio();
        events.push(fault(4, 1, "drop", "drop gamma in"));
        events.push(killed(5, "alpha"));
        lose(&mut events, 5, 5);
        events.extend(taken(10));
        assert_quiet::<AutomaticFailoverHappens>(&later(events));
    }

    #[test]
    fn a_principal_that_lives_and_is_isolated_or_has_closed_its_endpoint_is_lost_too() {
        for fault in [
            fault(4, 1, "cut", "cut alpha <-> beta, gamma"),
            world_step(4, "sql on alpha: ALTER ENDPOINT Mirroring STATE = STOPPED"),
        ] {
            let mut events = trio();
            events.push(fault);
            lose(&mut events, 15, 16);
            assert_red::<AutomaticFailoverHappens>(&later(events), NAME);
        }
    }

    #[test]
    fn whoever_comes_back_pays_its_own_debts_only() {
        let mut events = killed_at(5);
        events.extend(killed_and_started(6, "delta"));
        assert_red::<AutomaticFailoverHappens>(&later(events), NAME);
        let mut events = killed_at(5);
        events.extend(killed_and_started(6, "alpha"));
        events.push(accepted(6, "gamma", connection("gamma", "alpha"), "alpha"));
        assert_quiet::<AutomaticFailoverHappens>(&later(events));
    }

    #[test]
    fn a_principal_whose_copy_cannot_be_used_is_lost_though_the_connections_stay() {
        let mut events = trio();
        events.push(unavailable(5, "alpha"));
        assert_red::<AutomaticFailoverHappens>(&later(events.clone()), NAME);
        let lost = state(PartnerRole::Mirror, MirroringState::Disconnected);
        events.push(on(5, "beta", lost));
        events.extend(taken(7));
        assert_quiet::<AutomaticFailoverHappens>(&later(events));
    }
}
