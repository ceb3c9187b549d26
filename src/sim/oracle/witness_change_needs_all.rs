//! A witness is added only while all three are connected to each other, and both partners have the same setting once all
//! is healed.
//!
//! Source: documented, messages 1426 and 1433; *Add a Database Mirroring Witness*.

use super::heals_to_synchronized::HEALS_WITHIN;
use super::history::session_event;
use super::scene::{SLACK, Scene};
use super::{End, Oracle, Violation};
use crate::types::{
    EndpointEvent, Event, InstanceName, PartnerRole, ServerAddress, SessionEvent, Stamped, Timestamp,
    WorldEvent,
};

const NAME: &str = "witness-change-needs-all";

#[derive(Debug, Default)]
pub(super) struct WitnessChangeNeedsAll {
    scene: Scene,
    /// When a connection was lost last: what was recorded since may have been decided before.
    lost: Option<Timestamp>,
    quiet: Option<Timestamp>,
}

impl WitnessChangeNeedsAll {
    /// What is missing for `who`, a principal, to add this witness.
    fn missing(&self, who: &InstanceName, partner: &InstanceName, witness: &ServerAddress) -> Option<String> {
        if !self.scene.has_link(who, partner) {
            return Some(format!("without a link to {partner}"));
        }
        let unconnected = [who, partner]
            .into_iter()
            .find(|one| !self.scene.reaches(one, witness));
        unconnected.map(|one| format!("without a connection of {one} to it"))
    }
}

impl Oracle for WitnessChangeNeedsAll {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if !Scene::concerns(stamped) {
            return;
        }
        if matches!(stamped.event, Event::World(WorldEvent::Quiet)) {
            self.quiet = Some(stamped.at);
        }
        if let Some((
            who,
            SessionEvent::WitnessSet {
                database,
                witness: Some(witness),
            },
        )) = session_event(stamped)
            && let Some(partner) = self.scene.sessions.partner(who, database)
            && let Some(shown) = self.scene.shown(who, database)
            && shown.role == Some(PartnerRole::Principal)
            && self.lost.is_none_or(|lost| lost + SLACK < stamped.at)
            && let Some(missing) = self.missing(who, partner, witness)
        {
            let message = format!("{who} added the witness {witness} to {database} {missing}");
            out.push(Violation::of(NAME, &[database, who], message, stamped.at));
        }
        if matches!(stamped.event, Event::Endpoint(EndpointEvent::Closed { .. })) {
            self.lost = Some(stamped.at);
        }
        self.scene.observe(stamped);
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        if self.quiet.is_none_or(|quiet| end.at < quiet + HEALS_WITHIN) {
            return;
        }
        for (database, one, other) in self.scene.sessions.pairs() {
            let has = |who| self.scene.shown(who, &database).map(|shown| shown.has_witness);
            if has(&one) != has(&other) && self.scene.is_linked(&one, &other) {
                let message = format!("{one} and {other} differ in whether {database} has a witness");
                out.push(Violation::of(NAME, &[&database], message, end.at));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn with_all_of_them_it_is_added() {
        assert_quiet::<WitnessChangeNeedsAll>(&trio());
    }

    #[test]
    fn without_the_mirror_or_the_witness_it_is_seen() {
        for (who, peer) in [("alpha", "beta"), ("alpha", "gamma"), ("beta", "gamma")] {
            let mut events = trio();
            let set = events.split_off(events.len() - 2);
            events.extend(parted(1, who, peer));
            events.extend(set.into_iter().map(|event| Stamped {
                at: Timestamp::from_secs(5),
                ..event
            }));
            assert_red::<WitnessChangeNeedsAll>(&events, NAME);
        }
    }

    #[test]
    fn partners_that_never_agree_are_seen() {
        let mut events = trio();
        events.pop();
        events.extend([world(3, WorldEvent::Quiet), world_step(100, "later")]);
        assert_red::<WitnessChangeNeedsAll>(&events, NAME);
    }
}
