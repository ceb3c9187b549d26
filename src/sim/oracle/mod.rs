//! One file per promise: what must hold of every run, judged from the trace alone.
//!
//! An oracle sees each event as it happens and gets a last word when the run is over. It keeps its own history of what
//! instances did and clients were told, and never asks an implementation for its opinion. What looks like a bug and is
//! documented (a forced service that loses commits, a principal that stops for want of quorum …) stays quiet; the tests
//! of each oracle show it both quiet and red. Source: documented, by page in each file.

mod auto_failover_guard;
mod both_copies_equal_when_quiet;
mod clients_never_on_endpoint;
mod failover_lsn_sound;
mod failover_only_one_database;
mod fallback_order;
mod heals_to_synchronized;
mod history;
mod log_prefix;
mod lsn_order;
mod no_acked_commit_lost;
mod no_connect_no_session;
mod no_truncation_of_owed_log;
mod one_acker_per_role_seq;
mod rejoin_truncates_to_failover_lsn;
mod required_never_clear;
mod role_seq_monotone;
mod sync_ack_means_both_hardened;

use std::collections::{BTreeMap, BTreeSet};

use crate::types::{DatabaseName, InstanceName, Lsn, Stamped, Timestamp};

pub use heals_to_synchronized::HEALS_WITHIN;

/// A promise that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The name of the promise.
    pub oracle: &'static str,
    /// The same for every occurrence of one mistake, whatever the seed: promise and the names involved, no times.
    pub fingerprint: String,
    pub message: String,
    pub at: Timestamp,
}

/// What is known when the run is over, beside the trace.
#[derive(Debug, Clone, Default)]
pub struct End {
    pub at: Timestamp,
    /// What the serving principal of each database answers to a full read of the clients' table, by key.
    pub tables: BTreeMap<DatabaseName, BTreeMap<i64, i64>>,
    /// Which database each client works on.
    pub databases: BTreeMap<String, DatabaseName>,
    /// What the files of each copy hold once they are recovered.
    pub copies: BTreeMap<(InstanceName, DatabaseName), CopyAtEnd>,
}

/// One copy of a database, recovered from its files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CopyAtEnd {
    /// Where its log ends.
    pub end: Lsn,
    /// Table, key, value.
    pub rows: BTreeSet<(String, i64, i64)>,
}

/// Judges one promise.
pub trait Oracle {
    fn observe(&mut self, event: &Stamped, out: &mut Vec<Violation>);

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        let _ = (end, out);
    }
}

/// A fresh set of all of them.
pub fn all() -> Vec<Box<dyn Oracle>> {
    vec![
        Box::<one_acker_per_role_seq::OneAckerPerRoleSeq>::default(),
        Box::<no_acked_commit_lost::NoAckedCommitLost>::default(),
        Box::<sync_ack_means_both_hardened::SyncAckMeansBothHardened>::default(),
        Box::<log_prefix::LogPrefix>::default(),
        Box::<role_seq_monotone::RoleSeqMonotone>::default(),
        Box::<auto_failover_guard::AutoFailoverGuard>::default(),
        Box::<required_never_clear::RequiredNeverClear>::default(),
        Box::<no_connect_no_session::NoConnectNoSession>::default(),
        Box::<fallback_order::FallbackOrder>::default(),
        Box::<clients_never_on_endpoint::ClientsNeverOnEndpoint>::default(),
        Box::<heals_to_synchronized::HealsToSynchronized>::default(),
        Box::<lsn_order::LsnOrder>::default(),
        Box::<failover_lsn_sound::FailoverLsnSound>::default(),
        Box::<failover_only_one_database::FailoverOnlyOneDatabase>::default(),
        Box::<no_truncation_of_owed_log::NoTruncationOfOwedLog>::default(),
        Box::<rejoin_truncates_to_failover_lsn::RejoinTruncatesToFailoverLsn>::default(),
        Box::<both_copies_equal_when_quiet::BothCopiesEqualWhenQuiet>::default(),
    ]
}

#[cfg(test)]
mod testing;
