//! While a session is SYNCHRONIZING the principal acknowledges a commit as soon as it is on its own disk, however far behind
//! the mirror is.
//!
//! The moments in which commits are held because the mirror is about to have everything are no more than the way there and
//! back; so nothing is judged while a fault is done to one of the three, nor while a line that was disturbed may still be
//! silent. A line that is only a little slow stays within the bound and is judged. Measured as `async-never-waits` is.
//! Source: documented, *Mirroring States*, *Database Mirroring Operating Modes*.

use super::commit_waits::{CommitWaits, Late, Promise};
use super::scene::{FaultSeen, PING, SLACK};
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{DatabaseName, InstanceName, MirroringState, Stamped};

const NAME: &str = "synchronizing-never-waits";

const PROMISE: Promise = Promise {
    name: NAME,
    is_free: is_synchronizing,
    tell,
};

/// After these what was lost comes up anew: no line is left half open.
const CLEAN: [&str; 2] = ["kill", "restart"];

/// The mirror's last log, its answer and its record are on their way for half of the bound with four such ways.
const SLIGHT_MILLIS: f64 = 250.0;

#[derive(Debug, Default)]
pub(super) struct SynchronizingNeverWaits {
    waits: CommitWaits,
}

fn is_synchronizing(waits: &CommitWaits, who: &InstanceName, database: &DatabaseName) -> bool {
    let scene = &waits.scene;
    let shown = scene.shown(who, database);
    let synchronizing = shown.is_some_and(|shown| shown.state == Some(MirroringState::Synchronizing));
    let linked = || {
        let partner = scene.sessions.partner(who, database);
        partner.is_some_and(|partner| scene.is_linked(database, who, partner))
    };
    synchronizing && linked() && !is_disturbed(waits, who)
}

/// Whether a fault is, or may still be felt, at one of the company of `who`.
fn is_disturbed(waits: &CommitWaits, who: &InstanceName) -> bool {
    let scene = &waits.scene;
    let silent = scene.longest_timeout(waits.at) + PING + SLACK;
    let mut lasting = scene.faults.values().filter(|fault| {
        !CLEAN.contains(&fault.kind.as_str())
            && !is_slight(fault)
            && fault.to.is_none_or(|to| to + silent >= waits.at)
    });
    let mut company = None;
    lasting.any(|fault| {
        let company = company.get_or_insert_with(|| scene.company(who));
        company.iter().any(|one| scene.touches(fault, one))
    })
}

/// Whether it is a line so slow at most; its latency ends its text, but for how long it lasts.
fn is_slight(fault: &FaultSeen) -> bool {
    let line = fault.text.split(" for ").next();
    let latency = line.and_then(|line| line.rsplit(' ').next());
    let millis = latency.and_then(|text| text.strip_suffix("ms"));
    let millis = millis.and_then(|number| number.parse().ok());
    fault.kind == "slow_link" && millis.is_some_and(|millis: f64| millis <= SLIGHT_MILLIS)
}

fn tell(late: &Late) -> String {
    let Late {
        who,
        database,
        lsn,
        waited,
    } = late;
    format!("{who} held the commit at {lsn} in {database} back for {waited:?} while it was SYNCHRONIZING")
}

impl Oracle for SynchronizingNeverWaits {
    fn share(&mut self, scene: &SharedScene) {
        self.waits.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.waits.observe(stamped, &PROMISE, out);
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        self.waits.finish(end, &PROMISE, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::PartnerRole;

    /// alpha commits at 6 and acknowledges at 16; `first` happens before.
    fn committed(first: Vec<Stamped>) -> Vec<Stamped> {
        let mut events = pair_connected();
        events.extend(first);
        events.push(on(6, "alpha", hardened(1, 0, 10, 1)));
        events.push(on(16, "alpha", acked(1, 10, None)));
        events
    }

    fn behind() -> Stamped {
        let behind = state(PartnerRole::Principal, MirroringState::Synchronizing);
        on(5, "alpha", behind)
    }

    #[test]
    fn a_synchronized_principal_waits_and_so_does_one_whose_mirror_is_out_of_reach() {
        assert_quiet::<SynchronizingNeverWaits>(&committed(vec![]));
        let cut = fault(5, 1, "cut", "cut alpha <-> beta");
        assert_quiet::<SynchronizingNeverWaits>(&committed(vec![cut, behind()]));
    }

    #[test]
    fn waiting_for_a_mirror_that_is_behind_is_seen() {
        assert_red::<SynchronizingNeverWaits>(&committed(vec![behind()]), NAME);
        let slow = |latency| {
            let line = fault(5, 1, "slow_link", &format!("slow_link alpha <-> beta {latency}"));
            committed(vec![line, behind()])
        };
        assert_red::<SynchronizingNeverWaits>(&slow("200ms"), NAME);
        assert_quiet::<SynchronizingNeverWaits>(&slow("300ms"));
        assert_quiet::<SynchronizingNeverWaits>(&slow("1s"));
        assert_red::<SynchronizingNeverWaits>(&slow("200ms for 30s"), NAME);
        assert_quiet::<SynchronizingNeverWaits>(&slow("2s for 200ms"));
    }
}
