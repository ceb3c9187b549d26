//! A block: what is shipped, hardened and acknowledged as one.
//!
//! The frame, little-endian: magic (4 bytes), payload length (u32), CRC-32C (u32) over everything else in the frame,
//! start LSN (u64), role sequence (u32), then the payload: record count (u32) and the records. Decoding never panics and
//! allocates no more than the frame it was given.

use thiserror::Error;

use super::record::{check_records, decode_records, encode_record, last_backup};
use super::{BackupPoint, LogRecord};
use crate::types::{Lsn, RoleSequence};

/// The largest frame, in bytes.
pub const BLOCK_BYTES_MAX: usize = 1024 * 1024;

const MAGIC: [u8; 4] = *b"MLB1";
const HEADER_BYTES: usize = 4 + 4 + 4 + 8 + 4;

/// Records that were generated together, and where they stand in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogBlock {
    start: Lsn,
    role_sequence: RoleSequence,
    frame: Box<[u8]>,
}

/// Why bytes are not a block.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BlockError {
    #[error("the log ends inside a block: {have} of {need} bytes")]
    Short { have: usize, need: usize },
    #[error("no block begins here")]
    Magic,
    #[error("a block of {bytes} bytes exceeds the largest of {BLOCK_BYTES_MAX}")]
    TooLarge { bytes: usize },
    #[error("the check value of the block is wrong")]
    Checksum,
    #[error("the records of the block are malformed: {0}")]
    Records(&'static str),
    #[error("the block says that it starts at {says}, but it stands at {stands}")]
    Misplaced { says: Lsn, stands: Lsn },
    #[error("the block of role sequence {says} follows one of {after}")]
    Sequence { says: RoleSequence, after: RoleSequence },
    #[error("{extra} bytes follow the block")]
    Trailing { extra: usize },
}

impl LogBlock {
    /// A block of `records` that begins at `start`. Fails with `TooLarge` if its frame would exceed `BLOCK_BYTES_MAX`.
    pub fn new(
        start: Lsn,
        role_sequence: RoleSequence,
        records: Vec<LogRecord>,
    ) -> Result<LogBlock, BlockError> {
        let mut payload = Vec::new();
        let count = u32::try_from(records.len()).map_err(|_| BlockError::TooLarge { bytes: usize::MAX })?;
        payload.extend_from_slice(&count.to_le_bytes());
        for record in &records {
            encode_record(record, &mut payload);
            if payload.len() + HEADER_BYTES > BLOCK_BYTES_MAX {
                return Err(BlockError::TooLarge {
                    bytes: payload.len() + HEADER_BYTES,
                });
            }
        }
        let mut frame = Vec::with_capacity(HEADER_BYTES + payload.len());
        frame.extend_from_slice(&MAGIC);
        frame.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(&start.get().to_le_bytes());
        frame.extend_from_slice(&role_sequence.to_le_bytes());
        frame.extend_from_slice(&payload);
        let crc = checksum(&frame);
        frame[8..12].copy_from_slice(&crc.to_le_bytes());
        Ok(LogBlock {
            start,
            role_sequence,
            frame: frame.into(),
        })
    }

    /// Reads one frame that fills `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<LogBlock, BlockError> {
        let block = LogBlock::decode_prefix(bytes)?;
        match bytes.len() - block.frame.len() {
            0 => Ok(block),
            extra => Err(BlockError::Trailing { extra }),
        }
    }

    fn decode_prefix(bytes: &[u8]) -> Result<LogBlock, BlockError> {
        let short = |need| BlockError::Short {
            have: bytes.len(),
            need,
        };
        let Some(header) = bytes.get(..HEADER_BYTES) else {
            return Err(short(HEADER_BYTES));
        };
        if header[..4] != MAGIC {
            return Err(BlockError::Magic);
        }
        let length = HEADER_BYTES.saturating_add(u32_at(header, 4) as usize);
        if length > BLOCK_BYTES_MAX {
            return Err(BlockError::TooLarge { bytes: length });
        }
        let Some(frame) = bytes.get(..length) else {
            return Err(short(length));
        };
        if checksum(frame) != u32_at(header, 8) {
            return Err(BlockError::Checksum);
        }
        check_records(&frame[HEADER_BYTES..]).map_err(BlockError::Records)?;
        let start = u64::from(u32_at(header, 12)) | u64::from(u32_at(header, 16)) << 32;
        Ok(LogBlock {
            start: Lsn::new(start),
            role_sequence: u32_at(header, 20),
            frame: frame.into(),
        })
    }

    pub fn start(&self) -> Lsn {
        self.start
    }

    /// Where the next block starts.
    pub fn end(&self) -> Lsn {
        self.start.advance(self.frame.len() as u64)
    }

    /// The role sequence of the principal that generated it.
    pub fn role_sequence(&self) -> RoleSequence {
        self.role_sequence
    }

    /// Its records, read from the frame each time: a log in memory keeps them once.
    pub fn records(&self) -> Vec<LogRecord> {
        decode_records(self.payload())
    }

    /// The last backup that it tells of.
    pub fn backup(&self) -> Option<BackupPoint> {
        last_backup(self.payload())
    }

    fn payload(&self) -> &[u8] {
        &self.frame[HEADER_BYTES..]
    }

    /// The frame: what is written to disk and sent.
    pub fn encode(&self) -> &[u8] {
        &self.frame
    }

    /// CRC-32C over the whole frame.
    pub fn crc(&self) -> u32 {
        crc32c::crc32c(&self.frame)
    }
}

/// A log file as far as it can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    pub blocks: Vec<LogBlock>,
    /// The end of the last good block.
    pub end: Lsn,
    /// Why reading stopped before the end of the bytes, if it did.
    pub torn: Option<BlockError>,
}

/// Reads the blocks of a log file that begins at `log_start`, up to the first frame that is bad or out of place.
pub fn recover(log_start: Lsn, bytes: &[u8]) -> Recovered {
    let mut recovered = Recovered {
        blocks: Vec::new(),
        end: log_start,
        torn: None,
    };
    let mut rest = bytes;
    while !rest.is_empty() {
        match next_block(recovered.end, recovered.blocks.last(), rest) {
            Ok(block) => {
                rest = &rest[block.frame.len()..];
                recovered.end = block.end();
                recovered.blocks.push(block);
            }
            Err(why) => {
                recovered.torn = Some(why);
                break;
            }
        }
    }
    recovered
}

fn next_block(stands: Lsn, last: Option<&LogBlock>, bytes: &[u8]) -> Result<LogBlock, BlockError> {
    let block = LogBlock::decode_prefix(bytes)?;
    if block.start != stands {
        return Err(BlockError::Misplaced {
            says: block.start,
            stands,
        });
    }
    match last {
        Some(last) if block.role_sequence < last.role_sequence => Err(BlockError::Sequence {
            says: block.role_sequence,
            after: last.role_sequence,
        }),
        _ => Ok(block),
    }
}

/// CRC-32C over a frame without its check value.
fn checksum(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..8]), &frame[12..])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log::BackupPoint;
    use crate::types::{RowChange, TransactionId};

    fn record() -> impl Strategy<Value = LogRecord> {
        let value = || prop::option::of(any::<i64>());
        prop_oneof![
            "[a-z]{1,10}".prop_map(|table| LogRecord::CreateTable { table }),
            ("\\PC{0,20}", any::<i64>(), value(), value()).prop_map(|(table, key, before, after)| {
                LogRecord::Set(RowChange {
                    table,
                    key,
                    before,
                    after,
                })
            }),
            any::<u64>().prop_map(|n| LogRecord::Commit {
                transaction: TransactionId(n),
            }),
            any::<(u64, u64)>().prop_map(|(log, base)| LogRecord::Backup(BackupPoint {
                log: Lsn::new(log),
                base: Lsn::new(base),
            })),
        ]
    }

    /// Adjoining blocks from `start` on, under ascending role sequences.
    fn blocks(start: Lsn) -> impl Strategy<Value = Vec<LogBlock>> {
        let block = (0..2u32, prop::collection::vec(record(), 0..5));
        prop::collection::vec(block, 1..6).prop_map(move |parts| {
            let (mut at, mut sequence, mut blocks) = (start, 1, Vec::new());
            for (step, records) in parts {
                sequence += step;
                let block = LogBlock::new(at, sequence, records).unwrap();
                at = block.end();
                blocks.push(block);
            }
            blocks
        })
    }

    fn file(blocks: &[LogBlock]) -> Vec<u8> {
        blocks.iter().flat_map(|b| b.encode().to_vec()).collect()
    }

    const START: Lsn = Lsn::new(4096);

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

        #[test]
        fn a_log_is_recovered_as_it_was_written(blocks in blocks(START)) {
            let recovered = recover(START, &file(&blocks));
            prop_assert_eq!(recovered.end, blocks.last().unwrap().end());
            prop_assert_eq!(recovered.torn, None);
            prop_assert_eq!(&recovered.blocks, &blocks);
            for block in &blocks {
                prop_assert_eq!(&LogBlock::decode(block.encode()).unwrap(), block);
                let records = block.records();
                let backup = records.iter().rev().find_map(|record| match record {
                    LogRecord::Backup(point) => Some(*point),
                    _ => None,
                });
                prop_assert_eq!(block.backup(), backup);
                let again = LogBlock::new(block.start(), block.role_sequence(), records.clone());
                prop_assert_eq!(&again.unwrap(), block);
            }
        }

        #[test]
        fn a_log_cut_short_is_recovered_to_its_last_whole_block(
            blocks in blocks(START),
            cut in any::<prop::sample::Index>(),
        ) {
            let bytes = file(&blocks);
            let cut = cut.index(bytes.len());
            let recovered = recover(START, &bytes[..cut]);
            let whole = blocks.iter().take_while(|b| b.end() <= START.advance(cut as u64)).count();
            prop_assert_eq!(&recovered.blocks[..], &blocks[..whole]);
            let at_edge = recovered.end == START.advance(cut as u64);
            prop_assert_eq!(recovered.torn.is_none(), at_edge);
        }

        #[test]
        fn a_flipped_bit_ends_the_log_before_its_block(
            blocks in blocks(START),
            at in any::<prop::sample::Index>(),
            bit in 0..8u8,
        ) {
            let mut bytes = file(&blocks);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let recovered = recover(START, &bytes);
            let whole = blocks.iter().take_while(|b| b.end() <= START.advance(at as u64)).count();
            prop_assert_eq!(&recovered.blocks[..], &blocks[..whole]);
            prop_assert!(recovered.torn.is_some());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut marked = MAGIC.to_vec();
            marked.extend_from_slice(&bytes);
            let _ = recover(START, &marked);
            let _ = LogBlock::decode(&bytes);
            let _ = check_records(&bytes);
            let _ = decode_records(&bytes);
        }
    }

    #[test]
    fn a_block_of_another_place_or_an_older_sequence_ends_the_log() {
        let first = LogBlock::new(START, 3, Vec::new()).unwrap();
        let misplaced = LogBlock::new(START, 3, Vec::new()).unwrap();
        let older = LogBlock::new(first.end(), 2, Vec::new()).unwrap();
        let torn = |second: &LogBlock| recover(START, &[first.encode(), second.encode()].concat()).torn;
        assert!(matches!(torn(&misplaced), Some(BlockError::Misplaced { .. })));
        assert_eq!(torn(&older), Some(BlockError::Sequence { says: 2, after: 3 }));
    }

    #[test]
    fn a_block_that_is_too_large_is_refused() {
        let table = "t".repeat(BLOCK_BYTES_MAX);
        let error = LogBlock::new(START, 1, vec![LogRecord::CreateTable { table }]).unwrap_err();
        assert!(matches!(error, BlockError::TooLarge { .. }));
    }
}
