//! One [`Scene`] for all oracles of a run, each of which is shown it as if it kept it itself.
//!
//! Some oracles judge what was before an event, others what is after it, and each says itself when the event is to count.
//! So there are two scenes: the one of whoever has not observed the last event yet, and the one after it. Nobody looks at
//! the older any more when the next event comes; then it catches up by two events and is the newer. Source: ours.

use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;

use super::scene::Scene;
use crate::types::Stamped;

/// One oracle's place in a scene that it may share. A clone shares it from where the original stands; by default it is
/// shared with nobody.
///
/// Invariant: all that share a scene observe the same events, each once, and nobody the next one before all have observed
/// the last.
#[derive(Debug, Clone, Default)]
pub struct SharedScene {
    shared: Rc<RefCell<Shared>>,
    /// How many events this one has observed.
    events: u64,
    scene: Rc<Scene>,
}

#[derive(Debug, Default)]
struct Shared {
    /// How many events somebody has observed.
    events: u64,
    now: Rc<Scene>,
    before: Rc<Scene>,
    /// What `before` has not observed and `now` has.
    last: Option<Stamped>,
}

impl SharedScene {
    pub(super) fn observe(&mut self, stamped: &Stamped) {
        if !Scene::concerns(stamped) {
            return;
        }
        let mut shared = self.shared.borrow_mut();
        self.events += 1;
        if shared.events < self.events {
            shared.observe(stamped);
        }
        assert!(
            shared.events == self.events,
            "of {} events that others have observed this oracle has left one out",
            shared.events
        );
        self.scene = shared.now.clone();
    }
}

impl Shared {
    fn observe(&mut self, stamped: &Stamped) {
        let mut next = std::mem::replace(&mut self.before, self.now.clone());
        let Some(scene) = Rc::get_mut(&mut next) else {
            unreachable!("an oracle has not observed {:?}", self.last);
        };
        let last = self.last.replace(stamped.clone());
        for event in last.iter().chain([stamped]) {
            scene.observe(event);
        }
        self.now = next;
        self.events += 1;
    }
}

impl Deref for SharedScene {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.scene
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::{InstanceName, SessionEvent, WorldEvent};

    fn who() -> InstanceName {
        InstanceName::new("alpha")
    }

    fn serving(second: u64, serving: bool) -> Stamped {
        let event = SessionEvent::Serving {
            database: db(),
            serving,
            role_sequence: 1,
            reason: String::new(),
        };
        on(second, "alpha", event)
    }

    fn is_serving(scene: &Scene) -> bool {
        scene.shown(&who(), &db()).is_some_and(|shown| shown.serving)
    }

    #[test]
    fn each_sees_an_event_once_it_has_observed_it() {
        let mut early = SharedScene::default();
        let mut late = early.clone();
        for event in pair() {
            early.observe(&event);
            late.observe(&event);
        }
        let mut shown = Vec::new();
        for second in 1..6 {
            let event = serving(second, second % 2 == 0);
            early.observe(&event);
            shown.push((is_serving(&early), is_serving(&late)));
            late.observe(&event);
            assert_eq!(is_serving(&late), is_serving(&early));
        }
        let expected = [
            (false, true),
            (true, false),
            (false, true),
            (true, false),
            (false, true),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    #[should_panic(expected = "has left one out")]
    fn one_that_leaves_an_event_out_is_found() {
        let mut whole = SharedScene::default();
        let mut lacking = whole.clone();
        for event in pair() {
            whole.observe(&event);
        }
        lacking.observe(&world(2, WorldEvent::Quiet));
    }
}
