//! The transaction log as data: records in blocks, and the [`Log`] of one database in memory.
//!
//! A block is what is shipped, hardened and acknowledged. It is encoded as one frame ([`LogBlock::encode`]) whose length
//! is the distance from its start LSN to its end. [`recover`] reads a log file up to the first bad frame. This module
//! knows no disks and no sessions. Source: ours, after the write-ahead logs of PostgreSQL and etcd.

mod block;
mod record;
mod tail;

pub use block::{BLOCK_BYTES_MAX, BlockError, LogBlock, Recovered, recover};
pub use record::{BackupPoint, LogRecord};
pub use tail::{AppendError, LOG_BYTES_MAX, LOG_BYTES_MAX_DEFAULT, Log};
