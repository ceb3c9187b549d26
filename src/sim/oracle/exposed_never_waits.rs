//! A principal that rightly runs exposed acknowledges a commit as soon as it is on its own disk.
//!
//! Rightly: its mirror is lost or suspended, and there is no witness or the witness has it on record that the mirror is not
//! synchronized. Measured as `async-never-waits` is. Source: documented, *Database Mirroring Operating Modes*, *Database
//! Mirroring Witness*.

use super::commit_waits::{CommitWaits, Late, Promise};
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{DatabaseName, InstanceName, MirroringState, Stamped};

const NAME: &str = "exposed-never-waits";

const PROMISE: Promise = Promise {
    name: NAME,
    is_free: is_exposed,
    tell,
};

#[derive(Debug, Default)]
pub(super) struct ExposedNeverWaits {
    waits: CommitWaits,
}

fn is_exposed(waits: &CommitWaits, who: &InstanceName, database: &DatabaseName) -> bool {
    let Some(shown) = waits.scene.shown(who, database) else {
        return false;
    };
    let alone = [MirroringState::Disconnected, MirroringState::Suspended];
    let vetoed = waits
        .scene
        .sessions
        .session(who, database)
        .is_some_and(|session| waits.is_vetoed(session));
    // A suspension is not over before the mirror, if it is there, has written it down.
    let linked = waits
        .scene
        .sessions
        .partner(who, database)
        .is_some_and(|partner| !waits.scene.has_lost(database, who, partner));
    let apart = shown.state.is_some_and(|state| alone.contains(&state)) && !linked;
    apart && (!shown.has_witness || vetoed)
}

fn tell(late: &Late) -> String {
    let Late {
        who,
        database,
        lsn,
        waited,
    } = late;
    format!("{who} runs exposed and held the commit at {lsn} in {database} back for {waited:?}")
}

impl Oracle for ExposedNeverWaits {
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

    fn lost(mut events: Vec<Stamped>) -> Vec<Stamped> {
        events.extend(parted(5, "alpha", "beta"));
        events.push(on(
            5,
            "alpha",
            state(PartnerRole::Principal, MirroringState::Disconnected),
        ));
        events
    }

    fn committed(mut events: Vec<Stamped>) -> Vec<Stamped> {
        events.push(on(6, "alpha", hardened(1, 0, 10, 1)));
        events.push(on(16, "alpha", acked(1, 10, None)));
        events
    }

    #[test]
    fn waiting_for_the_witness_is_right() {
        let mut events = lost(trio());
        events.push(on(6, "alpha", hardened(1, 0, 10, 1)));
        events.push(on(16, "gamma", recorded("ALPHA", 1, false)));
        events.push(on(16, "alpha", acked(1, 10, None)));
        assert_quiet::<ExposedNeverWaits>(&events);
        assert_quiet::<ExposedNeverWaits>(&committed(pair_connected()));
    }

    #[test]
    fn waiting_for_the_mirrors_return_is_seen() {
        assert_red::<ExposedNeverWaits>(&committed(lost(pair_connected())), NAME);
        let mut events = lost(trio());
        events.push(on(6, "gamma", recorded("ALPHA", 1, false)));
        assert_red::<ExposedNeverWaits>(&committed(events), NAME);
    }
}
