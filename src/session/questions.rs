//! What others may ask of a partner: its role and state, whom it wants connected, what may be acknowledged and given up.

use super::PartnerRecord;
use super::command::Running;
use super::partner::{Pair, Partner, Stage};
use super::principal::Gate;
use crate::log::Log;
use crate::types::{LinkState, Lsn, MirroringState, PartnerRole, RoleSequence, ServerAddress, Timestamp};

impl Partner {
    pub fn role(&self) -> PartnerRole {
        self.record.role
    }

    /// `None` until the session has started.
    pub fn state(&self) -> Option<MirroringState> {
        self.state
    }

    /// Whether clients may use the database.
    pub fn is_serving(&self) -> bool {
        self.serving
    }

    /// Commits that end at or before this may be confirmed. `Lsn::ZERO` while not serving. Never retreats while serving
    /// under one role sequence.
    pub fn acknowledgeable(&self, log: &Log) -> Lsn {
        match (self.serving, self.gate) {
            (false, _) => Lsn::ZERO,
            (true, Gate::Open) => log.hardened(),
            (true, _) => log.hardened().min(self.peer_hardened),
        }
    }

    /// The durable record.
    pub fn record(&self) -> &PartnerRecord {
        &self.record
    }

    pub fn role_sequence(&self) -> RoleSequence {
        self.record.role_sequence
    }

    /// The number that blocks generated now carry.
    pub fn epoch(&self) -> RoleSequence {
        self.record.epoch()
    }

    /// `mirroring_failover_lsn`: the latest LSN known to be hardened on both partners.
    pub fn failover_lsn(&self) -> Lsn {
        self.failover_lsn
    }

    /// Log before this is not needed for the session: to a principal, what the mirror has confirmed on this link, while
    /// log flows; to a mirror, what its principal has given up.
    pub fn truncatable(&self) -> Lsn {
        let flows = matches!(
            self.state,
            Some(MirroringState::Synchronizing | MirroringState::Synchronized)
        );
        match (self.record.role, self.pair) {
            (PartnerRole::Principal, Pair::Established) if flows => self.peer_hardened,
            (PartnerRole::Principal, _) => Lsn::ZERO,
            (PartnerRole::Mirror, _) => self.peer_discarded,
        }
    }

    /// What the mirror was last heard to have hardened and redone; on the mirror, zero.
    pub fn peer_log(&self) -> (Lsn, Lsn) {
        (self.peer_hardened, self.peer_redone)
    }

    /// How far the log has been sent on the present link.
    pub fn sent(&self) -> Lsn {
        self.sent
    }

    /// Bytes in the send queue (principal: what is not sent on the present link, or without one not known to be on the
    /// mirror) and in the redo queue (mirror: hardened and not redone; principal: as last heard).
    pub fn queues(&self, log: &Log) -> (u64, u64) {
        match (self.record.role, self.pair) {
            (PartnerRole::Mirror, _) => (0, log.hardened().bytes_since(log.redone())),
            (PartnerRole::Principal, pair) => {
                let sent = if pair == Pair::Established {
                    self.sent
                } else {
                    // After a restart nobody has said yet what the mirror holds; the record knows of some of it.
                    self.peer_hardened.max(self.failover_lsn)
                };
                let unsent = log.end().bytes_since(sent.max(log.start()).min(log.end()));
                (
                    unsent,
                    self.peer_hardened
                        .bytes_since(self.peer_redone.min(self.peer_hardened)),
                )
            }
        }
    }

    pub fn partner_state(&self) -> LinkState {
        match self.pair {
            Pair::Down if self.takeover.is_none() => LinkState::Disconnected,
            Pair::Established => LinkState::Connected,
            _ => LinkState::Unknown,
        }
    }

    /// `None` without a witness.
    pub fn witness_state(&self) -> Option<LinkState> {
        self.record
            .witness
            .as_ref()
            .map(|_| match self.witness_confirmed {
                true => LinkState::Connected,
                false if self.witness_tried => LinkState::Disconnected,
                false => LinkState::Unknown,
            })
    }

    /// Whether the instance should keep trying to reach the partner. False on a mirror that waits to be contacted.
    pub fn dials_partner(&self) -> bool {
        let contacted = self.opening.is_some() || self.partner_up_now;
        self.stage != Stage::Gone && (self.stage != Stage::Waiting || contacted)
    }

    /// The instance this partner should be connected to as its witness, a proposed one included.
    pub fn witness_address(&self) -> Option<&ServerAddress> {
        self.proposed
            .as_ref()
            .or_else(|| self.command.as_ref().and_then(Running::proposed))
            .or(self.record.witness.as_ref())
    }

    pub fn has_started(&self) -> bool {
        self.stage == Stage::Running
    }

    /// When to call `handle(Wake)`, and the name of the deadline. `None` while a durable step is under way: a wake would
    /// only wait for it, and be due again at once.
    pub fn next_wake(&self) -> Option<(Timestamp, &'static str)> {
        if self.is_stalled() {
            return None;
        }
        let retry = self.retry_at.map(|at| (at, "takeover retry"));
        let command = self.command.as_ref().map(|c| (c.deadline, "command deadline"));
        retry.into_iter().chain(command).min()
    }
}
