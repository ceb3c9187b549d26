//! A witness confirms each role sequence to one partner only, and never takes a sequence back; a restart changes nothing.
//!
//! Source: derived from *Quorum*, scenario 1, and *sys.database_mirroring_witnesses*.

use std::collections::BTreeMap;

use super::history::session_event;
use super::{Oracle, Violation};
use crate::types::{DatabaseName, Guid, RoleSequence, SessionEvent, Stamped};

const NAME: &str = "witness-never-grants-two";

#[derive(Debug, Default)]
pub(super) struct WitnessNeverGrantsTwo {
    owners: BTreeMap<Guid, BTreeMap<RoleSequence, String>>,
}

impl WitnessNeverGrantsTwo {
    fn record(
        &mut self,
        stamped: &Stamped,
        database: &DatabaseName,
        session: Guid,
        owner: &str,
        sequence: RoleSequence,
        out: &mut Vec<Violation>,
    ) {
        let owners = self.owners.entry(session).or_default();
        let highest = owners.keys().next_back().copied().unwrap_or(0);
        let known = owners.entry(sequence).or_insert_with(|| owner.to_owned());
        let problem = match known == owner {
            false => format!("gives role sequence {sequence} to {owner}, which {known} has"),
            true if sequence < highest => format!("goes back from role sequence {highest} to {sequence}"),
            true => return,
        };
        out.push(Violation::of(
            NAME,
            &[database],
            format!("the witness of {database} {problem}"),
            stamped.at,
        ));
    }
}

impl Oracle for WitnessNeverGrantsTwo {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if let Some((
            _,
            SessionEvent::WitnessRecord {
                database,
                session,
                owner,
                role_sequence,
                ..
            },
        )) = session_event(stamped)
        {
            self.record(stamped, database, *session, owner, *role_sequence, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn one_owner_for_each_sequence() {
        let events = [
            on(1, "gamma", recorded("ALPHA", 1, true)),
            on(2, "gamma", recorded("ALPHA", 1, false)),
            on(3, "gamma", recorded("BETA", 2, false)),
        ];
        assert_quiet::<WitnessNeverGrantsTwo>(&events);
    }

    #[test]
    fn two_owners_are_seen() {
        let events = [
            on(3, "gamma", recorded("BETA", 2, false)),
            on(4, "gamma", recorded("ALPHA", 2, false)),
        ];
        assert_red::<WitnessNeverGrantsTwo>(&events, NAME);
    }

    #[test]
    fn forgetting_a_grant_is_seen() {
        let events = [
            on(1, "gamma", recorded("ALPHA", 1, true)),
            on(3, "gamma", recorded("BETA", 2, false)),
            on(4, "gamma", recorded("ALPHA", 1, true)),
        ];
        assert_red::<WitnessNeverGrantsTwo>(&events, NAME);
    }
}
