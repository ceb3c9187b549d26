//! One file per promise: what must hold of every run, judged from the trace alone.
//!
//! An oracle sees each event as it happens and gets a last word when the run is over. It keeps its own history of what
//! instances did and clients were told, and never asks an implementation for its opinion. What looks like a bug and is
//! documented (a forced service that loses commits, a principal that stops for want of quorum …) stays quiet; the tests
//! of each oracle show it both quiet and red. Source: documented, by page in each file.
//!
//! One promise has no file of its own: that reconfiguring an endpoint under load may disconnect or fail over and never loses
//! anything (`reconfigure-never-loses-data`) is what the oracles of ownership, failover and durability say of a run in which
//! that happens. `tests/quorum/reconfigure.rs` plays every ALTER and DROP ENDPOINT under load and looks that there were
//! commits to judge; `tests.rs` here shows that a restarted endpoint excuses none of them.

mod acceptor_preference_wins;
mod async_never_waits;
mod auto_failover_guard;
mod automatic_failover_happens;
mod both_copies_equal_when_quiet;
mod certificate_proof;
mod clients_never_on_endpoint;
mod commit_never_hangs;
mod commit_waits;
mod complementary_roles_when_connected;
mod database_available_under_single_fault;
mod disabled_never_encrypted;
mod dual_serving_only_after_force;
mod duplicate_connection_arbitration;
mod endpoints;
mod event_stream_consistent;
mod every_open_connection_pings;
mod exposed_implies_witness_knows;
mod exposed_never_waits;
mod failover_lsn_sound;
mod failover_only_one_database;
mod fallback_order;
mod force_guard;
mod force_loss_is_bounded;
mod force_suspends;
mod guid_fencing;
mod hard_error_is_immediate;
mod hardened;
mod heals_to_synchronized;
mod healthy_stays_connected;
mod history;
mod isolated_mirror_does_nothing;
mod lasting_pairs;
mod ledger;
mod legal_transitions_only;
mod linearizable;
mod log_prefix;
mod lsn_order;
mod manual_failover_atomic;
mod manual_failover_guard;
mod mirror_not_readable;
mod no_acked_commit_lost;
mod no_anonymous_endpoint;
mod no_connect_no_session;
mod no_early_timeout;
mod no_failover_after_total_loss;
mod no_failover_unsynchronized;
mod no_failover_while_witness_sees_principal;
mod no_failover_without_witness;
mod no_late_timeout;
mod no_phantom_commit;
mod no_truncation_of_owed_log;
mod no_witness_no_quorum_rule;
mod off_is_final;
mod one_acker_per_role_seq;
mod one_endpoint_all_sessions;
mod one_principal_serving_with_witness;
mod only_started_serves;
mod operator;
mod operator_command_terminates;
mod page_repair_waits_for_redo;
mod queues_drain;
mod quorum_keeps_serving;
mod quorum_loss_stops_serving;
mod redo_before_open;
mod redo_queue_limit;
mod rejoin_truncates_to_failover_lsn;
mod required_never_clear;
mod restart_needs_confirmation;
mod role_seq_monotone;
mod safety_seq_monotone;
mod scene;
mod serves_again_after_heal;
mod set_partner_order;
mod shared_scene;
mod single_endpoint;
mod state_agreement;
mod supported_encrypts_with_supported;
mod suspend_disarms_failover;
mod suspend_is_sticky;
mod suspend_ships_nothing;
mod suspended_stays_until_resume;
mod sync_ack_means_both_hardened;
mod synchronizing_never_waits;
mod timeout_clamp;
mod timeout_closes_connection;
mod witness_change_needs_all;
mod witness_endpoint_no_partner;
mod witness_never_grants_two;
mod witness_view_converges;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::types::{DatabaseName, InstanceName, Lsn, Stamped, Timestamp};

use shared_scene::SharedScene;

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

impl Violation {
    /// A violation that is the same for every occurrence between the same `parts`.
    fn of(oracle: &'static str, parts: &[&dyn fmt::Display], message: String, at: Timestamp) -> Violation {
        let names: String = parts.iter().map(|part| format!("/{part}")).collect();
        Violation {
            oracle,
            fingerprint: format!("{oracle}{names}"),
            message,
            at,
        }
    }
}

/// What is known when the run is over, beside the trace.
#[derive(Debug, Clone, Default)]
pub struct End {
    pub at: Timestamp,
    /// What the serving principal of each database answers to a full read of the clients' table, by key.
    pub tables: BTreeMap<DatabaseName, BTreeMap<i64, i64>>,
    /// The keys that the scenario's own statements name where they name the clients' table: such a row may be theirs.
    pub named: BTreeSet<i64>,
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
    /// From the start, look at this scene, as the others do, instead of one of its own. An oracle without one has nothing to do.
    fn share(&mut self, scene: &SharedScene) {
        let _ = scene;
    }

    fn observe(&mut self, event: &Stamped, out: &mut Vec<Violation>);

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        let _ = (end, out);
    }
}

/// A fresh set of all of them.
pub fn all() -> Vec<Box<dyn Oracle>> {
    let (mut oracles, scene) = (each_by_itself(), SharedScene::default());
    for oracle in &mut oracles {
        oracle.share(&scene);
    }
    oracles
}

fn each_by_itself() -> Vec<Box<dyn Oracle>> {
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
        Box::<automatic_failover_happens::AutomaticFailoverHappens>::default(),
        Box::<dual_serving_only_after_force::DualServingOnlyAfterForce>::default(),
        Box::<exposed_implies_witness_knows::ExposedImpliesWitnessKnows>::default(),
        Box::<force_guard::ForceGuard>::default(),
        Box::<force_suspends::ForceSuspends>::default(),
        Box::<hard_error_is_immediate::HardErrorIsImmediate>::default(),
        Box::<legal_transitions_only::LegalTransitionsOnly>::default(),
        Box::<manual_failover_atomic::ManualFailoverAtomic>::default(),
        Box::<manual_failover_guard::ManualFailoverGuard>::default(),
        Box::<no_early_timeout::NoEarlyTimeout>::default(),
        Box::<healthy_stays_connected::HealthyStaysConnected>::default(),
        Box::<no_failover_after_total_loss::NoFailoverAfterTotalLoss>::default(),
        Box::<no_failover_unsynchronized::NoFailoverUnsynchronized>::default(),
        Box::<no_failover_while_witness_sees_principal::NoFailoverWhileWitnessSeesPrincipal>::default(),
        Box::<no_late_timeout::NoLateTimeout>::default(),
        Box::<off_is_final::OffIsFinal>::default(),
        Box::<one_principal_serving_with_witness::OnePrincipalServingWithWitness>::default(),
        Box::<page_repair_waits_for_redo::PageRepairWaitsForRedo>::default(),
        Box::<quorum_keeps_serving::QuorumKeepsServing>::default(),
        Box::<quorum_loss_stops_serving::QuorumLossStopsServing>::default(),
        Box::<redo_before_open::RedoBeforeOpen>::default(),
        Box::<restart_needs_confirmation::RestartNeedsConfirmation>::default(),
        Box::<serves_again_after_heal::ServesAgainAfterHeal>::default(),
        Box::<suspend_is_sticky::SuspendIsSticky>::default(),
        Box::<witness_never_grants_two::WitnessNeverGrantsTwo>::default(),
        Box::<commit_never_hangs::CommitNeverHangs>::default(),
        Box::<force_loss_is_bounded::ForceLossIsBounded>::default(),
        Box::<linearizable::Linearizable>::default(),
        Box::<acceptor_preference_wins::AcceptorPreferenceWins>::default(),
        Box::<certificate_proof::CertificateProof>::default(),
        Box::<disabled_never_encrypted::DisabledNeverEncrypted>::default(),
        Box::<duplicate_connection_arbitration::DuplicateConnectionArbitration>::default(),
        Box::<guid_fencing::GuidFencing>::default(),
        Box::<no_anonymous_endpoint::NoAnonymousEndpoint>::default(),
        Box::<one_endpoint_all_sessions::OneEndpointAllSessions>::default(),
        Box::<only_started_serves::OnlyStartedServes>::default(),
        Box::<single_endpoint::SingleEndpoint>::default(),
        Box::<supported_encrypts_with_supported::SupportedEncryptsWithSupported>::default(),
        Box::<witness_endpoint_no_partner::WitnessEndpointNoPartner>::default(),
        Box::<timeout_clamp::TimeoutClamp>::default(),
        Box::<async_never_waits::AsyncNeverWaits>::default(),
        Box::<complementary_roles_when_connected::ComplementaryRolesWhenConnected>::default(),
        Box::<database_available_under_single_fault::DatabaseAvailableUnderSingleFault>::default(),
        Box::<event_stream_consistent::EventStreamConsistent>::default(),
        Box::<every_open_connection_pings::EveryOpenConnectionPings>::default(),
        Box::<exposed_never_waits::ExposedNeverWaits>::default(),
        Box::<synchronizing_never_waits::SynchronizingNeverWaits>::default(),
        Box::<isolated_mirror_does_nothing::IsolatedMirrorDoesNothing>::default(),
        Box::<mirror_not_readable::MirrorNotReadable>::default(),
        Box::<no_failover_without_witness::NoFailoverWithoutWitness>::default(),
        Box::<no_phantom_commit::NoPhantomCommit>::default(),
        Box::<no_witness_no_quorum_rule::NoWitnessNoQuorumRule>::default(),
        Box::<operator_command_terminates::OperatorCommandTerminates>::default(),
        Box::<queues_drain::QueuesDrain>::default(),
        Box::<redo_queue_limit::RedoQueueLimit>::default(),
        Box::<safety_seq_monotone::SafetySeqMonotone>::default(),
        Box::<set_partner_order::SetPartnerOrder>::default(),
        Box::<state_agreement::StateAgreement>::default(),
        Box::<suspend_disarms_failover::SuspendDisarmsFailover>::default(),
        Box::<suspend_ships_nothing::SuspendShipsNothing>::default(),
        Box::<suspended_stays_until_resume::SuspendedStaysUntilResume>::default(),
        Box::<timeout_closes_connection::TimeoutClosesConnection>::default(),
        Box::<witness_change_needs_all::WitnessChangeNeedsAll>::default(),
        Box::<witness_view_converges::WitnessViewConverges>::default(),
    ]
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod testing_endpoints;
