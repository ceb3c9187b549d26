//! Log sequence numbers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A position in a database's log: the number of log bytes before it, counted from the birth of the database.
///
/// A block that starts at `s` and is `n` bytes long ends at `s + n`, where the next one starts; "hardened up to `l`"
/// means that every byte before `l` is on disk. Source: ours (the product prints `numeric(25,0)`; so do the views).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lsn(u64);

impl Lsn {
    pub const ZERO: Lsn = Lsn(0);
    pub const MAX: Lsn = Lsn(u64::MAX);

    pub const fn new(bytes: u64) -> Self {
        Lsn(bytes)
    }

    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position `bytes` further on; saturates.
    pub const fn advance(self, bytes: u64) -> Lsn {
        Lsn(self.0.saturating_add(bytes))
    }

    /// Log bytes between `earlier` and here; zero if `earlier` is not earlier.
    pub const fn bytes_since(self, earlier: Lsn) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
