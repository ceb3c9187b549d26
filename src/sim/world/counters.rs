//! What a run counted, and whether a fault was ever felt.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// Totals of one world since it began. Traffic within one system never reaches the wire and is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Packets that left a system.
    pub packets_sent: u64,
    pub packets_delivered: u64,
    /// Attempts met by silence: a dropping firewall, a system that is down, an address nobody has. Retries included.
    pub packets_dropped: u64,
    /// Attempts a firewall answered with a reset.
    pub packets_rejected: u64,
    /// Further attempts at a packet that met silence.
    pub packets_retried: u64,
    /// Connections given up after `GIVE_UP` of silence.
    pub connections_given_up: u64,
    pub payload_bytes_delivered: u64,
    pub connects_attempted: u64,
    pub connects_succeeded: u64,
    pub connects_refused: u64,
    pub connects_timed_out: u64,
    pub names_not_found: u64,
    pub disk_syncs: u64,
    pub disk_faults: u64,
    pub processes_started: u64,
    pub processes_killed: u64,
}

/// Counts how often something, usually a fault, was felt. Clones share the count.
#[derive(Debug, Clone, Default)]
pub struct Effect(Arc<AtomicU64>);

impl Effect {
    pub fn took_effect(&self) -> bool {
        self.hits() > 0
    }

    /// How often it was felt: packets, lookups, disk operations or clock readings it changed.
    pub fn hits(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(in crate::sim) fn hit(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
