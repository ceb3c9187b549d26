//! Nobody takes over by itself without a witness or with SAFETY OFF.
//!
//! The witness is the one that the mirror was last told of, the level the one that it has on record; what the takeover says
//! of itself is not asked. Source: documented, *Database Mirroring Operating Modes*, *Role Switching*.

use super::history::session_event;
use super::scene::Scene;
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{Safety, SessionEvent, Stamped, SwitchKind};

const NAME: &str = "no-failover-without-witness";

#[derive(Debug, Default)]
pub(super) struct NoFailoverWithoutWitness {
    scene: SharedScene,
}

impl Oracle for NoFailoverWithoutWitness {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if !Scene::concerns(stamped) {
            return;
        }
        self.scene.observe(stamped);
        let Some((
            who,
            SessionEvent::Takeover {
                database,
                kind: SwitchKind::Automatic,
                ..
            },
        )) = session_event(stamped)
        else {
            return;
        };
        let settings = self.scene.settings(who, database);
        let has_witness = self
            .scene
            .shown(who, database)
            .is_some_and(|shown| shown.has_witness);
        let lacking = match has_witness {
            false => "without a witness",
            true if settings.is_some_and(|settings| settings.safety == Safety::Off) => "with SAFETY OFF",
            true => return,
        };
        let message = format!("{who} took {database} over by itself {lacking}");
        out.push(Violation::of(
            NAME,
            &[database, who, &lacking],
            message,
            stamped.at,
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn with_a_witness_and_safety_full_it_may() {
        let mut events = trio();
        events.push(on(1, "beta", settings(Safety::Full, (3, 1), false, 10)));
        events.push(on(5, "beta", takeover(SwitchKind::Automatic, 2)));
        assert_quiet::<NoFailoverWithoutWitness>(&events);
    }

    #[test]
    fn an_operator_needs_neither() {
        let mut events = pair_connected();
        events.push(on(5, "beta", takeover(SwitchKind::Forced, 2)));
        assert_quiet::<NoFailoverWithoutWitness>(&events);
    }

    #[test]
    fn without_a_witness_it_is_seen() {
        let mut events = pair_connected();
        events.push(on(5, "beta", takeover(SwitchKind::Automatic, 2)));
        assert_red::<NoFailoverWithoutWitness>(&events, NAME);
        let mut events = trio();
        let database = db();
        let off = SessionEvent::WitnessSet {
            database,
            witness: None,
            anew: false,
        };
        events.push(on(1, "beta", off));
        events.push(on(5, "beta", takeover(SwitchKind::Automatic, 2)));
        assert_red::<NoFailoverWithoutWitness>(&events, NAME);
    }

    #[test]
    fn with_safety_off_it_is_seen() {
        let mut events = trio();
        events.push(on(1, "beta", settings(Safety::Off, (2, 1), false, 10)));
        events.push(on(5, "beta", takeover(SwitchKind::Automatic, 2)));
        assert_red::<NoFailoverWithoutWitness>(&events, NAME);
    }
}
