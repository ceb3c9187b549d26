//! What each log disk holds, as the oracles follow it: block by block, or only from where to where.

use std::collections::BTreeMap;

use crate::types::{DatabaseName, InstanceName, Lsn, RoleSequence, SessionEvent};

/// A block of log as an event describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub start: Lsn,
    pub end: Lsn,
    pub crc: u32,
    pub role_sequence: RoleSequence,
}

impl Block {
    /// Whether two blocks cannot both be part of one log: same extent, other bytes.
    pub(super) fn contradicts(&self, other: &Block) -> bool {
        self.start == other.start && self.end == other.end && self.crc != other.crc
    }
}

/// The hardened log of each copy since its session was configured.
#[derive(Debug, Default)]
pub(super) struct Hardened<L> {
    logs: BTreeMap<(InstanceName, DatabaseName), L>,
}

/// With every block.
pub(super) type HardenedLogs = Hardened<HardenedLog>;

/// Only how far each reaches. A long run has many blocks, and most oracles do not look at one.
pub(super) type HardenedExtents = Hardened<Extent>;

/// One copy's log.
pub(super) trait Log: Default {
    fn append(&mut self, block: Block);

    /// What lies behind `to` is gone, and the log is known to end there.
    fn cut(&mut self, to: Lsn);
}

/// Every block that was hardened since the session was configured.
#[derive(Debug, Default)]
pub(super) struct HardenedLog {
    /// In order of their starts. A list, because there are many and all but the last are only looked at.
    blocks: Vec<Block>,
    /// Up to where it is known to be on disk.
    pub end: Option<Lsn>,
}

impl HardenedLog {
    /// The block that holds the byte before `lsn`.
    pub(super) fn block_before(&self, lsn: Lsn) -> Option<Block> {
        let before = self.blocks.partition_point(|block| block.start < lsn);
        let block = self.blocks[..before].last()?;
        (lsn <= block.end).then_some(*block)
    }

    pub(super) fn at(&self, start: Lsn) -> Option<&Block> {
        self.place_of(start).ok().map(|place| &self.blocks[place])
    }

    /// The place of the block that begins at `start`, or where it would be.
    fn place_of(&self, start: Lsn) -> Result<usize, usize> {
        self.blocks.binary_search_by_key(&start, |block| block.start)
    }

    pub(super) fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter()
    }

    pub(super) fn reaches(&self, lsn: Lsn) -> bool {
        self.end.is_some_and(|end| end >= lsn)
    }
}

impl Log for HardenedLog {
    fn append(&mut self, block: Block) {
        match self.place_of(block.start) {
            Ok(place) => self.blocks[place] = block,
            Err(place) => self.blocks.insert(place, block),
        }
        self.end = self.end.max(Some(block.end));
    }

    fn cut(&mut self, to: Lsn) {
        self.blocks.retain(|block| block.end <= to);
        self.end = Some(to);
    }
}

/// From where to where the log is.
#[derive(Debug, Default)]
pub(super) struct Extent {
    /// Start and end of the first block that was hardened since the session was configured.
    first: Option<(Lsn, Lsn)>,
    /// Up to where it is known to be on disk.
    pub end: Option<Lsn>,
}

impl Extent {
    /// Where the first block begins that was hardened since the session was configured.
    pub(super) fn start(&self) -> Option<Lsn> {
        self.first.map(|(start, _)| start)
    }

    pub(super) fn reaches(&self, lsn: Lsn) -> bool {
        self.end.is_some_and(|end| end >= lsn)
    }
}

impl Log for Extent {
    fn append(&mut self, block: Block) {
        if self.first.is_none_or(|(start, _)| block.start <= start) {
            self.first = Some((block.start, block.end));
        }
        self.end = self.end.max(Some(block.end));
    }

    fn cut(&mut self, to: Lsn) {
        self.first = self.first.filter(|(_, end)| *end <= to);
        self.end = Some(to);
    }
}

impl<L: Log> Hardened<L> {
    pub(super) fn observe(&mut self, who: &InstanceName, event: &SessionEvent) {
        match event {
            SessionEvent::Configured { database, .. } => {
                self.logs.remove(&(who.clone(), database.clone()));
            }
            SessionEvent::LogHardened {
                database,
                role_sequence,
                start,
                end,
                crc,
            } => self.of(who, database).append(Block {
                start: *start,
                end: *end,
                crc: *crc,
                role_sequence: *role_sequence,
            }),
            // A process that died in a write may find more of it on the disk than it knew of.
            SessionEvent::LogReverted { database, to, .. }
            | SessionEvent::LogRecovered {
                database, end: to, ..
            } => self.of(who, database).cut(*to),
            _ => {}
        }
    }

    pub(super) fn log(&self, who: &InstanceName, database: &DatabaseName) -> Option<&L> {
        self.logs.get(&(who.clone(), database.clone()))
    }

    fn of(&mut self, who: &InstanceName, database: &DatabaseName) -> &mut L {
        self.logs.entry((who.clone(), database.clone())).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(start: u64, end: u64, crc: u32) -> Block {
        Block {
            start: Lsn::new(start),
            end: Lsn::new(end),
            crc,
            role_sequence: 1,
        }
    }

    #[test]
    fn a_log_knows_its_blocks_wherever_they_were_put() {
        let mut log = HardenedLog::default();
        for known in [
            block(10, 20, 1),
            block(30, 40, 2),
            block(20, 30, 3),
            block(10, 20, 4),
        ] {
            log.append(known);
        }
        let expected = [block(10, 20, 4), block(20, 30, 3), block(30, 40, 2)];
        assert!(log.blocks().eq(&expected));
        assert_eq!(log.at(Lsn::new(20)), Some(&expected[1]));
        assert_eq!(log.at(Lsn::new(21)), None);
        assert_eq!(log.block_before(Lsn::new(30)), Some(expected[1]));
        assert_eq!(log.block_before(Lsn::new(31)), Some(expected[2]));
        assert_eq!(log.block_before(Lsn::new(10)), None);
        log.cut(Lsn::new(30));
        assert!(log.blocks().eq(&expected[..2]));
    }
}
