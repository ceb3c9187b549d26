//! What a session keeps in `master`: the record of a partner and the record of a witness.
//!
//! A record is written as a whole before anything it says is relied upon; a restart begins from the last one written.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::TIMEOUT_SECONDS_DEFAULT;
use crate::types::{DatabaseName, Guid, Lsn, PartnerRole, RoleSequence, Safety, ServerAddress, SwitchKind};
use crate::wire::mirroring::Configuration;

/// The durable state of one mirrored database on one partner. Source: derived from `sys.database_mirroring`.
///
/// Invariants: no sequence ever decreases; `synchronized`, `takeover_pending`, `takeover_forced` and `reverting` are a
/// mirror's only, `failover_pending`, `owner_since` and `owner_by` a principal's; a record that is not `started` belongs to a mirror
/// that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartnerRecord {
    pub database: DatabaseName,
    /// `mirroring_guid`; nil while a mirror waits for its principal.
    pub session: Guid,
    /// The backup family of the database.
    pub family: Guid,
    pub started: bool,
    pub role: PartnerRole,
    pub role_sequence: RoleSequence,
    /// Principal: the role sequence under which it took the role it has held since.
    pub owner_since: RoleSequence,
    /// Principal: how it took that role; `None` if it has it from the start.
    #[serde(default)]
    pub owner_by: Option<SwitchKind>,
    /// Blocks carry `role_sequence` and this as their number, which so is never that of a session before.
    pub epoch_base: u32,
    pub partner: ServerAddress,
    /// The partner's server name (`mirroring_partner_instance`); empty until it was heard.
    pub partner_name: String,
    pub witness: Option<ServerAddress>,
    pub safety: Safety,
    pub safety_sequence: u32,
    /// The partner timeout as set, in seconds; see [`PartnerRecord::timeout`] for the one in force.
    pub timeout_seconds: u16,
    /// How much log the mirror may have hardened and not redone, in megabytes; `None` is unlimited.
    pub redo_queue_mb: Option<u32>,
    /// The session is paused: no log is sent until RESUME.
    pub suspended: bool,
    /// Bumped with every change of `suspended`.
    pub suspend_sequence: u32,
    /// The last change of `suspended` was made on this instance. What a principal suspends itself, no repair resumes.
    pub suspended_here: bool,
    /// Bumped by the principal with every change of witness, safety, timeout or redo queue.
    pub configuration_sequence: u32,
    pub failover_lsn: Lsn,
    /// Mirror: this copy holds every commit the principal confirmed. False is a veto against automatic failover.
    pub synchronized: bool,
    /// Mirror: the witness may have granted this sequence.
    pub takeover_pending: Option<RoleSequence>,
    /// What is pending is a forced service.
    pub takeover_forced: bool,
    /// Mirror: this copy was principal and has not yet been rolled back to the log of the one that took over.
    pub reverting: bool,
    /// Principal: a manual failover has begun; only the partner can say how it ended.
    pub failover_pending: bool,
}

impl PartnerRecord {
    /// The part of the record that the principal decides for both.
    pub fn configuration(&self) -> Configuration {
        Configuration {
            sequence: self.configuration_sequence,
            safety: self.safety,
            safety_sequence: self.safety_sequence,
            witness: self.witness.clone(),
            timeout_seconds: self.timeout_seconds,
            redo_queue_mb: self.redo_queue_mb,
            suspended: self.suspended,
            suspend_sequence: self.suspend_sequence,
        }
    }

    /// Mirror: takes the principal's settings over, but for what is newer here. A SUSPEND given here under the sequence of
    /// a resumption stays: the principal, which hears of it, makes it the newer one. What the mirror holds then decides
    /// whether it may still call itself synchronized.
    pub fn configure(&mut self, configuration: &Configuration) {
        self.configuration_sequence = configuration.sequence;
        self.witness = configuration.witness.clone();
        self.timeout_seconds = configuration.timeout_seconds;
        self.redo_queue_mb = configuration.redo_queue_mb;
        if configuration.safety_sequence >= self.safety_sequence {
            self.safety = configuration.safety;
            self.safety_sequence = configuration.safety_sequence;
        }
        let (theirs, mine) = (configuration.suspend_sequence, self.suspend_sequence);
        // Where no number is left above, the principal's word counts: a session must not rest for ever.
        if theirs > mine || theirs == u32::MAX {
            self.suspended = configuration.suspended;
            self.suspend_sequence = theirs;
            self.suspended_here = false;
        } else if theirs == mine {
            self.suspended |= configuration.suspended;
        }
        self.synchronized &= !self.suspended && self.safety == Safety::Full;
    }

    /// Principal: takes over what is newer at the mirror. Two that differ under one sequence come from a resume and a forced
    /// service or a SUSPEND that did not know of each other: suspended wins, under a sequence above both.
    pub fn merge(&mut self, theirs: &Configuration) {
        let before = self.configuration();
        if theirs.safety_sequence > self.safety_sequence {
            self.safety = theirs.safety;
            self.safety_sequence = theirs.safety_sequence;
        }
        if theirs.suspend_sequence > self.suspend_sequence {
            self.suspended = theirs.suspended;
            self.suspend_sequence = theirs.suspend_sequence;
            self.suspended_here = false;
        } else if theirs.suspend_sequence == self.suspend_sequence && theirs.suspended != self.suspended {
            self.suspended = true;
            self.suspend_sequence = self.suspend_sequence.saturating_add(1);
            self.suspended_here = true;
        }
        if self.configuration() != before {
            self.configuration_sequence = self.configuration_sequence.saturating_add(1);
        }
    }

    /// Pauses or resumes the session.
    pub fn suspend(&mut self, suspended: bool) {
        self.suspended = suspended;
        self.suspend_sequence = self.suspend_sequence.saturating_add(1);
        self.suspended_here = true;
        self.configuration_sequence = self.configuration_sequence.saturating_add(1);
        self.synchronized &= !suspended;
    }

    /// Mirror: nothing that was asked of the witness counts any more.
    pub fn forget_takeover(&mut self) {
        self.takeover_pending = None;
        self.takeover_forced = false;
    }

    /// The number that blocks generated now carry.
    pub fn epoch(&self) -> RoleSequence {
        self.epoch_base.saturating_add(self.role_sequence)
    }

    /// The partner timeout in force: as set, but always the default one with SAFETY OFF.
    /// Source: documented, *ALTER DATABASE Database Mirroring*; that the value set before counts again with FULL is ours.
    pub fn timeout_in_force(&self) -> u16 {
        timeout_in_force(self.safety, self.timeout_seconds)
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.timeout_in_force()))
    }
}

fn timeout_in_force(safety: Safety, seconds: u16) -> u16 {
    match safety {
        Safety::Off => TIMEOUT_SECONDS_DEFAULT,
        Safety::Full => seconds,
    }
}

/// The durable state of one session on its witness. Source: derived from `sys.database_mirroring_witnesses`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessRecord {
    pub database: DatabaseName,
    pub session: Guid,
    pub family: Guid,
    /// The server name of the principal, as far as the witness knows.
    pub owner: String,
    /// The server name of the mirror.
    pub mirror: String,
    pub role_sequence: RoleSequence,
    pub safety: Safety,
    pub safety_sequence: u32,
    pub timeout_seconds: u16,
    pub suspended: bool,
    pub suspend_sequence: u32,
    /// `partner_sync_state`: the mirror holds every commit the principal confirmed.
    pub synchronized: bool,
}

impl WitnessRecord {
    /// The partner timeout in force, in seconds; see [`PartnerRecord::timeout_in_force`].
    pub fn timeout_in_force(&self) -> u16 {
        timeout_in_force(self.safety, self.timeout_seconds)
    }
}
