//! What a session keeps in `master`: the record of a partner and the record of a witness.
//!
//! A record is written as a whole before anything it says is relied upon; a restart begins from the last one written.

use serde::{Deserialize, Serialize};

use crate::types::{DatabaseName, Guid, Lsn, PartnerRole, RoleSequence, Safety, ServerAddress};
use crate::wire::mirroring::Configuration;

/// The durable state of one mirrored database on one partner. Source: derived from `sys.database_mirroring`.
///
/// Invariants: `role_sequence` never decreases; `synchronized` and `takeover_pending` are a mirror's only,
/// `failover_pending` a principal's; a record that is not `started` belongs to a mirror that waits.
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
    pub partner: ServerAddress,
    /// The partner's server name (`mirroring_partner_instance`); empty until it was heard.
    pub partner_name: String,
    pub witness: Option<ServerAddress>,
    pub safety: Safety,
    pub safety_sequence: u32,
    /// The partner timeout, in seconds.
    pub timeout_seconds: u16,
    /// Bumped by the principal with every change of witness, safety or timeout.
    pub configuration_sequence: u32,
    pub failover_lsn: Lsn,
    /// Mirror: this copy holds every commit the principal confirmed. False is a veto against automatic failover.
    pub synchronized: bool,
    /// Mirror: the witness may have granted this sequence.
    pub takeover_pending: Option<RoleSequence>,
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
        }
    }

    /// Takes the principal's settings over.
    pub fn configure(&mut self, configuration: &Configuration) {
        self.configuration_sequence = configuration.sequence;
        self.safety = configuration.safety;
        self.safety_sequence = configuration.safety_sequence;
        self.witness = configuration.witness.clone();
        self.timeout_seconds = configuration.timeout_seconds;
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
    /// `partner_sync_state`: the mirror holds every commit the principal confirmed.
    pub synchronized: bool,
}
