//! The recovery path of a copy: along which forks its log came about.
//!
//! Two copies of one family may hold different log for the same place: one was recovered on its own, or service was forced.
//! Each such event begins a *fork*; within a fork the numbers that blocks carry (role sequences, made unique from session to
//! session) tell who wrote them. A copy's path lists both, so that backups and partners of another path are recognised even
//! where no log is at hand. Source: documented in essence (*Recovery Paths*, message 4330); the form is ours.

use serde::{Deserialize, Serialize};

use super::{Guid, Lsn, RoleSequence};

/// Most steps a path remembers; beyond that it forgets the oldest ones.
pub const STEPS_MAX: usize = 1024;

/// From `from` on, log belongs to `fork` and carries the number `epoch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathStep {
    pub fork: Guid,
    pub epoch: RoleSequence,
    pub from: Lsn,
}

/// The steps in ascending order. An empty path knows nothing and contradicts nobody.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecoveryPath {
    steps: Vec<PathStep>,
}

impl RecoveryPath {
    /// The path of a new database.
    pub fn born(fork: Guid) -> RecoveryPath {
        RecoveryPath::from_steps(vec![PathStep {
            fork,
            epoch: 1,
            from: Lsn::ZERO,
        }])
    }

    /// A path of these steps, as far as they ascend.
    pub fn from_steps(steps: Vec<PathStep>) -> RecoveryPath {
        let mut path = RecoveryPath::default();
        for step in steps {
            path.add(step);
        }
        path
    }

    pub fn steps(&self) -> &[PathStep] {
        &self.steps
    }

    /// The copy is recovered at `at`: what is written from here is nobody else's.
    pub fn fork(&mut self, fork: Guid, at: Lsn) {
        self.steps.retain(|step| step.from < at);
        let epoch = self.steps.last().map_or(1, |step| step.epoch);
        self.add(PathStep {
            fork,
            epoch,
            from: at,
        });
    }

    /// This path with what a log that ends at `end` says of its own stretch: `epochs` and where each begins.
    pub fn with_log(&self, epochs: &[(RoleSequence, Lsn)], end: Lsn) -> RecoveryPath {
        let mut edges: Vec<Lsn> = self.steps.iter().map(|s| s.from).collect();
        edges.extend(epochs.iter().map(|(_, from)| *from));
        edges.retain(|edge| *edge <= end);
        edges.sort_unstable();
        edges.dedup();
        let mut path = RecoveryPath::default();
        for edge in edges {
            let Some(own) = self.at(edge).copied().or_else(|| self.steps.first().copied()) else {
                return path;
            };
            let in_log = epochs.iter().rev().find(|(_, from)| *from <= edge);
            let epoch = match in_log {
                Some((epoch, _)) if edge < end => *epoch,
                _ => own.epoch,
            };
            path.add(PathStep {
                fork: own.fork,
                epoch,
                from: edge,
            });
        }
        path
    }

    /// The part that concerns log before `end`.
    pub fn before(&self, end: Lsn) -> RecoveryPath {
        let mut steps = self.steps.clone();
        steps.retain(|step| step.from < end || step.from == Lsn::ZERO);
        RecoveryPath { steps }
    }

    /// Whether both say the same of all log before `end`, as far back as both remember.
    pub fn agrees(&self, other: &RecoveryPath, end: Lsn) -> bool {
        let (Some(first), Some(theirs)) = (self.steps.first(), other.steps.first()) else {
            return true;
        };
        let from = first.from.max(theirs.from);
        let edges = self.steps.iter().chain(&other.steps).map(|s| s.from);
        edges
            .filter(|edge| *edge >= from && *edge < end)
            .all(|edge| self.who(edge) == other.who(edge))
    }

    fn who(&self, at: Lsn) -> Option<(Guid, RoleSequence)> {
        self.at(at).map(|step| (step.fork, step.epoch))
    }

    fn at(&self, at: Lsn) -> Option<&PathStep> {
        self.steps.iter().rev().find(|step| step.from <= at)
    }

    fn add(&mut self, step: PathStep) {
        match self.steps.last() {
            Some(last) if (last.fork, last.epoch) == (step.fork, step.epoch) || last.from >= step.from => {}
            _ => self.steps.push(step),
        }
        if self.steps.len() > STEPS_MAX {
            self.steps.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILY: Guid = Guid::from_bytes([1; 16]);
    const OTHER: Guid = Guid::from_bytes([2; 16]);

    fn lsn(n: u64) -> Lsn {
        Lsn::new(n)
    }

    #[test]
    fn a_recovered_copy_parts_from_where_it_was_recovered() {
        let old = RecoveryPath::born(FAMILY);
        let mut new = old.clone();
        new.fork(OTHER, lsn(100));
        assert!(new.agrees(&old, lsn(100)));
        assert!(!new.agrees(&old, lsn(101)));
        assert!(!old.agrees(&new, lsn(101)));
        assert!(new.before(lsn(100)).agrees(&old, lsn(500)));
    }

    #[test]
    fn two_recoveries_at_one_place_are_two_forks() {
        let (mut a, mut b) = (RecoveryPath::born(FAMILY), RecoveryPath::born(FAMILY));
        a.fork(OTHER, lsn(10));
        b.fork(Guid::from_bytes([3; 16]), lsn(10));
        assert!(a.agrees(&b, lsn(10)));
        assert!(!a.agrees(&b, lsn(11)));
    }

    #[test]
    fn the_numbers_of_blocks_tell_writers_apart_within_a_fork() {
        let born = RecoveryPath::born(FAMILY);
        let forced = born.with_log(&[(1, lsn(0)), (2, lsn(60))], lsn(90));
        let former = born.with_log(&[(1, lsn(0))], lsn(80));
        assert!(forced.agrees(&former, lsn(60)));
        assert!(!forced.agrees(&former, lsn(80)));
        // What was given up of the log is remembered by the path alone.
        let later = forced.with_log(&[(2, lsn(70)), (3, lsn(90))], lsn(95));
        assert_eq!(later.steps().len(), 3);
        assert!(later.agrees(&forced, lsn(90)));
    }

    #[test]
    fn an_empty_path_contradicts_nobody_and_a_long_one_forgets_its_beginning() {
        let born = RecoveryPath::born(FAMILY);
        assert!(RecoveryPath::default().agrees(&born, lsn(9)));
        assert!(born.agrees(&RecoveryPath::default(), lsn(9)));
        let steps = (0..2000u32).map(|n| PathStep {
            fork: FAMILY,
            epoch: n + 1,
            from: lsn(u64::from(n) * 10),
        });
        let long = RecoveryPath::from_steps(steps.collect());
        assert_eq!(long.steps().len(), STEPS_MAX);
        assert!(long.agrees(&long.before(lsn(19_500)), lsn(19_500)));
    }
}
