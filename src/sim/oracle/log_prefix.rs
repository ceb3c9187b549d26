//! What a partner hardens is what a principal generated under that role sequence, in order and without gaps.
//!
//! A mirror may be ahead of what its principal has on disk (blocks are shipped before they are flushed), and a log that
//! was cut back may grow again differently. Source: documented, *Database Mirroring (SQL Server)*, log in sequence;
//! derived.

use std::collections::BTreeMap;

use super::hardened::{Block, HardenedExtents};
use super::history::session_event;
use super::{Oracle, Violation};
use crate::types::{DatabaseName, InstanceName, Lsn, RoleSequence, SessionEvent, Stamped};

const NAME: &str = "log-prefix";

#[derive(Debug, Default)]
pub(super) struct LogPrefix {
    generated: BTreeMap<(DatabaseName, RoleSequence), Generated>,
    logs: HardenedExtents,
}

/// What one principal generated under one role sequence.
#[derive(Debug, Default)]
struct Generated {
    /// In order of their starts.
    blocks: Vec<Block>,
    /// The end of the block that reaches furthest.
    reach: Lsn,
}

impl Generated {
    fn add(&mut self, block: Block) {
        // What was generated from here on before was lost in a crash.
        let before = self.blocks.partition_point(|known| known.start < block.start);
        if before < self.blocks.len() {
            self.blocks.truncate(before);
            self.reach = self.blocks.iter().map(|g| g.end).max().unwrap_or_default();
        }
        self.blocks.push(block);
        self.reach = self.reach.max(block.end);
    }

    fn at(&self, start: Lsn) -> Option<&Block> {
        let place = self.blocks.binary_search_by_key(&start, |block| block.start);
        place.ok().map(|place| &self.blocks[place])
    }
}

impl LogPrefix {
    fn on_generated(&mut self, database: &DatabaseName, block: Block) {
        self.generated
            .entry((database.clone(), block.role_sequence))
            .or_default()
            .add(block);
    }

    fn on_hardened(&self, who: &InstanceName, database: &DatabaseName, block: Block) -> Option<String> {
        let Block {
            start,
            end,
            role_sequence,
            ..
        } = block;
        if let Some(known) = self.logs.log(who, database).and_then(|log| log.end)
            && known != start
        {
            let what = if start > known { "a gap" } else { "an overlap" };
            return Some(format!(
                "hardened {start}..{end} with {what}: its log ended at {known}"
            ));
        }
        let generated = self.generated.get(&(database.clone(), role_sequence))?;
        let reach = &generated.reach;
        if generated.at(start).is_some_and(|g| g.contradicts(&block)) {
            return Some(format!(
                "hardened other bytes at {start}..{end} than were generated under role sequence {role_sequence}"
            ));
        }
        (end > *reach).then(|| {
            format!(
                "hardened up to {end}, but only {reach} was generated under role sequence {role_sequence}"
            )
        })
    }
}

impl Oracle for LogPrefix {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        let Some((who, event)) = session_event(stamped) else {
            return;
        };
        match event {
            SessionEvent::LogGenerated {
                database,
                role_sequence,
                start,
                end,
                crc,
            } => self.on_generated(
                database,
                Block {
                    start: *start,
                    end: *end,
                    crc: *crc,
                    role_sequence: *role_sequence,
                },
            ),
            SessionEvent::LogHardened {
                database,
                role_sequence,
                start,
                end,
                crc,
            } => {
                let block = Block {
                    start: *start,
                    end: *end,
                    crc: *crc,
                    role_sequence: *role_sequence,
                };
                if let Some(problem) = self.on_hardened(who, database, block) {
                    out.push(Violation {
                        oracle: NAME,
                        fingerprint: format!("{NAME}/{database}/{who}"),
                        message: format!("{who}, {database}: {problem}"),
                        at: stamped.at,
                    });
                }
            }
            _ => {}
        }
        self.logs.observe(who, event);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn the_mirror_may_be_ahead_of_the_principals_disk() {
        let mut events = pair();
        events.extend([
            on(1, "alpha", generated(1, 0, 10, 7)),
            on(1, "beta", hardened(1, 0, 10, 7)),
            on(1, "alpha", generated(1, 10, 20, 8)),
            on(1, "beta", hardened(1, 10, 20, 8)),
            on(1, "alpha", hardened(1, 0, 10, 7)),
        ]);
        assert_quiet::<LogPrefix>(&events);
    }

    #[test]
    fn a_log_cut_back_grows_again_under_the_next_sequence() {
        let mut events = pair();
        events.extend([
            on(1, "alpha", generated(1, 0, 10, 7)),
            on(1, "alpha", hardened(1, 0, 10, 7)),
            on(2, "beta", generated(2, 0, 10, 9)),
            on(2, "beta", hardened(2, 0, 10, 9)),
            on(3, "alpha", reverted(10, 0)),
            on(3, "alpha", hardened(2, 0, 10, 9)),
        ]);
        assert_quiet::<LogPrefix>(&events);
    }

    #[test]
    fn a_gap_an_overlap_and_other_bytes_are_seen() {
        let start = [
            on(1, "alpha", generated(1, 0, 10, 7)),
            on(1, "alpha", generated(1, 10, 20, 8)),
            on(1, "alpha", generated(1, 20, 30, 9)),
            on(1, "beta", hardened(1, 0, 10, 7)),
        ];
        for bad in [
            hardened(1, 20, 30, 9),
            hardened(1, 0, 10, 7),
            hardened(1, 10, 20, 99),
        ] {
            let mut events = pair();
            events.extend(start.clone());
            events.push(on(2, "beta", bad));
            assert_red::<LogPrefix>(&events, NAME);
        }
    }

    #[test]
    fn a_block_that_was_written_as_the_process_died_is_found_at_its_restart() {
        let mut events = pair();
        events.extend([
            on(1, "alpha", generated(1, 0, 10, 7)),
            on(1, "alpha", generated(1, 10, 20, 8)),
            on(2, "beta", recovered(10)),
            on(2, "beta", hardened(1, 10, 20, 8)),
        ]);
        assert_quiet::<LogPrefix>(&events);
    }

    #[test]
    fn log_that_nobody_generated_is_seen() {
        let mut events = pair();
        events.extend([
            on(1, "alpha", generated(1, 0, 10, 7)),
            on(1, "beta", hardened(1, 0, 12, 7)),
        ]);
        assert_red::<LogPrefix>(&events, NAME);
    }
}
