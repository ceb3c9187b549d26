//! With SAFETY OFF a commit is acknowledged as soon as it is on the principal's own disk, whatever the mirror does.
//!
//! Measured on the principal, from its log disk's answer to its own, so that neither the client's network nor a slow disk
//! matters. Source: documented, *Database Mirroring Operating Modes*, asynchronous operation.

use super::commit_waits::{CommitWaits, Late};
use super::{Oracle, Violation};
use crate::types::{DatabaseName, InstanceName, Safety, Stamped};

const NAME: &str = "async-never-waits";

#[derive(Debug, Default)]
pub(super) struct AsyncNeverWaits {
    waits: CommitWaits,
}

fn is_off(waits: &CommitWaits, who: &InstanceName, database: &DatabaseName) -> bool {
    let settings = waits.scene.settings(who, database);
    settings.is_some_and(|settings| settings.safety == Safety::Off)
}

impl Oracle for AsyncNeverWaits {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if let Some(Late {
            who,
            database,
            lsn,
            waited,
        }) = self.waits.observe(stamped, is_off)
        {
            let message =
                format!("{who} held the commit at {lsn} in {database} back for {waited:?} with SAFETY OFF");
            out.push(Violation::of(NAME, &[&database, &who], message, stamped.at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn history(safety: Safety, acked_at: u64) -> Vec<Stamped> {
        let mut events = pair_connected();
        events.push(on(1, "alpha", settings(safety, (2, 1), false, 10)));
        events.push(on(5, "alpha", hardened(1, 0, 10, 1)));
        events.push(on(acked_at, "alpha", acked(1, 10, None)));
        events
    }

    #[test]
    fn at_once_is_right_and_with_safety_full_it_is_another_question() {
        assert_quiet::<AsyncNeverWaits>(&history(Safety::Off, 5));
        assert_quiet::<AsyncNeverWaits>(&history(Safety::Full, 12));
    }

    #[test]
    fn what_was_written_before_counts_from_the_change() {
        let mut events = pair_connected();
        events.push(on(5, "alpha", hardened(1, 0, 10, 1)));
        events.push(on(12, "alpha", settings(Safety::Off, (2, 1), false, 10)));
        events.push(on(12, "alpha", acked(1, 10, None)));
        assert_quiet::<AsyncNeverWaits>(&events);
    }

    #[test]
    fn waiting_for_the_mirror_is_seen() {
        assert_red::<AsyncNeverWaits>(&history(Safety::Off, 12), NAME);
    }
}
