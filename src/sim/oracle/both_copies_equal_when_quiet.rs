//! Copies that end at the same point of the log hold the same rows.
//!
//! Judged once, at the end, on what the files of both partners hold when they are recovered: log, data file and redo must
//! agree, whatever failed before. Source: documented, *Mirroring States*, SYNCHRONIZED; derived.

use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::Stamped;

const NAME: &str = "both-copies-equal-when-quiet";

#[derive(Debug, Default)]
pub(super) struct BothCopiesEqualWhenQuiet {
    scene: SharedScene,
}

impl Oracle for BothCopiesEqualWhenQuiet {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, _out: &mut Vec<Violation>) {
        self.scene.observe(stamped);
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        for (database, one, other) in self.scene.sessions.pairs() {
            let copy = |who: &_| end.copies.get(&(std::clone::Clone::clone(who), database.clone()));
            let (Some(a), Some(b)) = (copy(one), copy(other)) else {
                continue;
            };
            if a.end != b.end || a.rows == b.rows {
                continue;
            }
            let differs = a
                .rows
                .symmetric_difference(&b.rows)
                .next()
                .map(|row| format!("{row:?}"));
            out.push(Violation {
                oracle: NAME,
                fingerprint: format!("{NAME}/{database}"),
                message: format!(
                    "{database}: the copies of {one} and {other} both end at {} and differ, first in {}",
                    a.end,
                    differs.unwrap_or_default()
                ),
                at: end.at,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::super::{CopyAtEnd, End};
    use super::*;
    use crate::types::{InstanceName, Lsn};

    fn judged(beta: (u64, i64)) -> Vec<Violation> {
        let copy = |(end, value): (u64, i64)| CopyAtEnd {
            end: Lsn::new(end),
            rows: [("Ledger".to_owned(), 1, value)].into(),
        };
        let end = End {
            copies: [
                ((InstanceName::new("alpha"), db()), copy((10, 5))),
                ((InstanceName::new("beta"), db()), copy(beta)),
            ]
            .into(),
            ..End::default()
        };
        judge_until::<BothCopiesEqualWhenQuiet>(&pair(), &end)
    }

    #[test]
    fn equal_rows_at_the_same_point_are_right_and_another_point_says_nothing() {
        assert_eq!(judged((10, 5)), []);
        assert_eq!(judged((9, 4)), []);
    }

    #[test]
    fn other_rows_at_the_same_point_are_seen() {
        assert_eq!(judged((10, 4)).len(), 1);
    }
}
