//! Rules about the two partners of a session that may fail for a moment and not for longer.
//!
//! Not judged while processes around them are stopped, or disks and lines are slow.

use std::marker::PhantomData;
use std::time::Duration;

use super::scene::{Patience, Scene};
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{DatabaseName, InstanceName, Stamped, Timestamp};

/// The two partners of the session of one database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    pub database: DatabaseName,
    pub one: InstanceName,
    pub other: InstanceName,
}

/// What may not be so for longer than a moment.
pub(super) trait PairRule {
    /// The promise.
    const NAME: &'static str;
    /// How long it may be so.
    const BOUND: Duration;

    /// Whether it is so now.
    fn holds(scene: &Scene, pair: &Pair) -> bool;

    /// One line: what has been so since `since`.
    fn tell(scene: &Scene, pair: &Pair, since: Timestamp) -> String;
}

/// Judges one rule of every pair.
#[derive(Debug)]
pub(super) struct LastingPairs<R> {
    scene: SharedScene,
    holding: Patience<Pair>,
    rule: PhantomData<R>,
}

impl<R> Default for LastingPairs<R> {
    fn default() -> Self {
        LastingPairs {
            scene: SharedScene::default(),
            holding: Patience::default(),
            rule: PhantomData,
        }
    }
}

impl<R: PairRule> LastingPairs<R> {
    fn judge(&mut self, at: Timestamp, out: &mut Vec<Violation>) {
        for (pair, since) in self.holding.outlast(at, R::BOUND) {
            if self.scene.is_rough_since(since, &self.scene.company(&pair.one)) {
                continue;
            }
            let message = R::tell(&self.scene, &pair, since);
            out.push(Violation::of(R::NAME, &[&pair.database], message, at));
        }
    }
}

impl<R: PairRule> Oracle for LastingPairs<R> {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if !Scene::concerns(stamped) {
            return;
        }
        self.judge(stamped.at, out);
        self.scene.observe(stamped);
        let pairs = self.scene.sessions.pairs().iter().cloned();
        let holding: Vec<_> = pairs
            .map(|(database, one, other)| Pair { database, one, other })
            .filter(|pair| R::holds(&self.scene, pair))
            .collect();
        self.holding.hold(holding, stamped.at);
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        self.judge(end.at, out);
    }
}
