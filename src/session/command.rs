//! Commands: `ALTER DATABASE … SET PARTNER | WITNESS` on a mirrored database, from first check to last word.
//!
//! Each ends with one `CommandDone`, at the latest when its deadline passes: the partner timeout, one ping interval and
//! [`COMMAND_SLACK`].
//!
//! Setting a witness: the mirror is asked to connect to it, and it is invited with *not synchronized*; when both have
//! said yes the principal records it (from here on it needs quorum), then the mirror, then the witness is told that the
//! session is synchronized. So a failover becomes possible only after everybody who must respect it knows of it. Taking
//! the witness away goes the other way round: the mirror first.

use super::failover;
use super::introduction::Report;
use super::partner::{Pair, Partner, Stage, Then};
use super::{COMMAND_SLACK, Command, Outbox, SessionOutput, start};
use crate::error::{SqlError, msg};
use crate::log::Log;
use crate::types::{
    LinkState, MirroringState, PING_INTERVAL, PartnerRole, Safety, ServerAddress, SwitchKind, Timestamp,
};
use crate::wire::mirroring::{Body, LogPosition, Message, Open};

/// The least partner timeout; smaller values mean this one. Source: documented.
const TIMEOUT_SECONDS_MIN: u16 = 5;
/// The greatest partner timeout. Source: documented (1476).
const TIMEOUT_SECONDS_MAX: i64 = 32767;

/// A command under way.
#[derive(Debug)]
pub(super) struct Running {
    pub deadline: Timestamp,
    pub kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Start {
        asked: bool,
    },
    Failover,
    Timeout,
    RedoQueue,
    Suspend,
    Resume,
    Safety {
        safety: Safety,
        sequence: u32,
    },
    Force,
    SetWitness {
        address: ServerAddress,
        step: WitnessStep,
    },
    WitnessOff {
        sequence: u32,
        next: Option<ServerAddress>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WitnessStep {
    Reaching {
        accepted: bool,
        reached: bool,
    },
    /// The principal or the mirror records the new witness.
    Recording {
        sequence: u32,
    },
    /// The witness records whether the session is synchronized.
    Telling,
}

impl Running {
    /// The instance that is to become the witness.
    pub(super) fn proposed(&self) -> Option<&ServerAddress> {
        match &self.kind {
            Kind::SetWitness { address, .. } => Some(address),
            _ => None,
        }
    }
}

impl Partner {
    /// Whether a command is under way. Another one but `Off` is refused.
    pub fn has_command(&self) -> bool {
        self.command.is_some()
    }

    pub(super) fn on_command(&mut self, now: Timestamp, command: Command, log: &Log, out: &mut Outbox) {
        if command == Command::Off {
            return self.off(out);
        }
        let refusal = if self.command.is_some() {
            Some(msg::MIRROR_BUSY.error())
        } else if self.stage != Stage::Running {
            Some(msg::NOT_MIRRORED.with(&[&self.record.database]))
        } else {
            self.run(now, command, log, out).err()
        };
        if let Some(error) = refusal {
            out.push(SessionOutput::CommandDone(Err(error)));
        }
    }

    fn run(&mut self, now: Timestamp, command: Command, log: &Log, out: &mut Outbox) -> Result<(), SqlError> {
        match command {
            Command::Off => {
                self.off(out);
                Ok(())
            }
            Command::Failover => self.fail_over(now, out),
            Command::Timeout { seconds } => self.set_timeout(now, seconds, out),
            Command::RedoQueue { megabytes } => self.set_redo_queue(now, megabytes, out),
            Command::Suspend => self.suspend(now, out),
            Command::Resume => self.resume(now, out),
            Command::Safety { safety } => self.set_safety(now, safety, out),
            Command::ForceService => self.force_service(now, log, out),
            Command::SetWitness { address } => self.set_witness(now, address, log, out),
            Command::WitnessOff => self.witness_off(now, None, out),
        }
    }

    fn off(&mut self, out: &mut Outbox) {
        if self.partner_up {
            self.to_partner(Body::Removed, out);
        }
        if self.witness_up {
            self.to_witness(Body::Removed, out);
        }
        self.finish_command(Err(msg::REMOTE_TIMED_OUT.with(&[&self.record.partner])), out);
        out.push(SessionOutput::CommandDone(Ok(())));
        self.remove(out);
    }

    fn fail_over(&mut self, now: Timestamp, out: &mut Outbox) -> Result<(), SqlError> {
        let connected = self.pair == Pair::Established;
        failover::manual(self.record.role, self.record.safety, connected, self.state)
            .map_err(|entry| entry.with(&[&self.record.database]))?;
        self.begin_command(now, Kind::Failover);
        self.stop_serving("manual failover", out);
        self.set_state(MirroringState::PendingFailover, Some(7), out);
        self.prepared = false;
        let mut record = self.record.clone();
        record.failover_pending = true;
        self.persist(record, Then::FailoverPending, out);
        Ok(())
    }

    fn set_timeout(&mut self, now: Timestamp, seconds: i64, out: &mut Outbox) -> Result<(), SqlError> {
        self.check_principal()?;
        if seconds > TIMEOUT_SECONDS_MAX {
            return Err(msg::TIMEOUT_TOO_LARGE.with(&[&seconds]));
        }
        let seconds = u16::try_from(seconds).map_or(TIMEOUT_SECONDS_MIN, |n| n.max(TIMEOUT_SECONDS_MIN));
        self.begin_command(now, Kind::Timeout);
        let mut record = self.record.clone();
        record.timeout_seconds = seconds;
        record.configuration_sequence = record.configuration_sequence.saturating_add(1);
        self.persist(record, Then::TimeoutSet, out);
        Ok(())
    }

    pub(super) fn after_timeout_set(&mut self, now: Timestamp, out: &mut Outbox) {
        self.send_configuration(out);
        self.attach(now, out);
        self.finish_command(Ok(()), out);
    }

    fn set_witness(
        &mut self,
        now: Timestamp,
        address: ServerAddress,
        log: &Log,
        out: &mut Outbox,
    ) -> Result<(), SqlError> {
        self.check_principal()?;
        if self.record.witness.as_ref() == Some(&address) {
            return Err(msg::ALREADY_WITNESS.with(&[&address]));
        }
        if address == self.record.partner {
            return Err(msg::WITNESS_IS_PARTNER.error());
        }
        if !self.is_caught_up(log) {
            return Err(msg::WITNESS_NEEDS_ALL.error());
        }
        if self.record.witness.is_some() {
            return self.witness_off(now, Some(address), out);
        }
        self.reach_witness(now, address, out);
        Ok(())
    }

    /// Whether the mirror is connected and has all log: SYNCHRONIZED or, with SAFETY OFF, nothing left to harden.
    fn is_caught_up(&self, log: &Log) -> bool {
        let nothing_left = self.record.safety == Safety::Off && self.peer_hardened == log.hardened();
        self.pair == Pair::Established && !self.record.suspended && (self.is_synchronized() || nothing_left)
    }

    fn reach_witness(&mut self, now: Timestamp, address: ServerAddress, out: &mut Outbox) {
        let propose = Body::ProposeWitness {
            address: address.clone(),
        };
        let step = WitnessStep::Reaching {
            accepted: false,
            reached: false,
        };
        self.begin_command(now, Kind::SetWitness { address, step });
        self.to_partner(propose, out);
        if self.witness_up {
            self.attach(now, out);
        }
    }

    fn witness_off(
        &mut self,
        now: Timestamp,
        next: Option<ServerAddress>,
        out: &mut Outbox,
    ) -> Result<(), SqlError> {
        self.check_principal()?;
        if self.record.witness.is_none() {
            return Err(msg::NO_WITNESS.with(&[&self.record.database]));
        }
        if self.pair != Pair::Established {
            let alone = self.witness_state() != Some(LinkState::Connected);
            let entry = if alone {
                msg::NEITHER_AVAILABLE
            } else {
                msg::BOTH_PARTNERS_NEEDED
            };
            return Err(entry.with(&[&self.record.database]));
        }
        let mut configuration = self.record.configuration();
        configuration.sequence = configuration.sequence.saturating_add(1);
        configuration.witness = None;
        let sequence = configuration.sequence;
        self.begin_command(now, Kind::WitnessOff { sequence, next });
        self.to_partner(Body::Configure { configuration }, out);
        Ok(())
    }

    pub(super) fn check_principal(&self) -> Result<(), SqlError> {
        match self.record.role {
            PartnerRole::Principal => Ok(()),
            PartnerRole::Mirror => Err(msg::NOT_PRINCIPAL.with(&[&self.record.database])),
        }
    }

    pub(super) fn begin_command(&mut self, now: Timestamp, kind: Kind) {
        let deadline = now + self.record.timeout() + PING_INTERVAL + COMMAND_SLACK;
        self.command = Some(Running { deadline, kind });
    }

    /// A FAILOVER ends well when it was one; this partner may have lost its role otherwise meanwhile.
    pub(super) fn end_failover_command(&mut self, by: SwitchKind, out: &mut Outbox) {
        if by == SwitchKind::Manual {
            self.finish_command(Ok(()), out);
        }
    }

    /// Ends the command under way, if there is one.
    pub(super) fn finish_command(&mut self, result: Result<(), SqlError>, out: &mut Outbox) {
        if self.command.take().is_some() {
            out.push(SessionOutput::CommandDone(result));
        }
    }

    pub(super) fn send_configuration(&self, out: &mut Outbox) {
        if self.pair == Pair::Established {
            let configuration = self.record.configuration();
            self.to_partner(Body::Configure { configuration }, out);
        }
    }

    // Starting the session

    pub(super) fn begin_start(&mut self, now: Timestamp) {
        self.begin_command(now, Kind::Start { asked: false });
    }

    pub(super) fn send_open(&mut self, now: Timestamp, log: &Log, out: &mut Outbox) {
        self.my_link = self.number(now);
        if let Some(Running {
            kind: Kind::Start { asked },
            ..
        }) = &mut self.command
        {
            *asked = true;
        }
        let open = Open {
            database: self.record.database.clone(),
            family: self.record.family,
            name: self.identity.name.clone(),
            log: Partner::log_position(log),
            epoch_base: self.record.epoch_base,
            backed_up: self.backed_up,
            path: self.path.clone(),
            configuration: self.record.configuration(),
        };
        self.to_partner(Body::Open(Box::new(open)), out);
    }

    pub(super) fn on_open_refused(&mut self, number: u32, out: &mut Outbox) {
        if self.stage == Stage::Starting {
            let error = start::refusal(number, &self.record.database, &self.record.partner);
            self.abandon_start(error, out);
        }
    }

    pub(super) fn on_opened(&mut self, message: Message, out: &mut Outbox) {
        let Body::Opened { name, log } = message.body else {
            return;
        };
        self.their_link = message.link;
        let mut record = self.record.clone();
        record.started = true;
        record.partner_name = name;
        self.persist(record, Then::SessionStarted { log }, out);
    }

    pub(super) fn after_session_started(
        &mut self,
        now: Timestamp,
        theirs: &LogPosition,
        log: &Log,
        out: &mut Outbox,
    ) {
        self.stage = Stage::Running;
        self.sent = theirs.end.min(log.hardened());
        self.peer_hardened = self.sent.min(theirs.hardened);
        // A copy that was restored is redone as far as it goes.
        self.peer_redone = self.peer_hardened;
        self.failover_lsn = self.peer_hardened.min(log.hardened());
        self.note_configured(out);
        self.emit_role(None, None, out);
        self.set_state(MirroringState::Synchronizing, Some(0), out);
        out.log(msg::ACTIVE_PRINCIPAL.with(&[&self.record.database]));
        self.emit_serving("the session starts", out);
        self.ship(now, out);
        self.finish_command(Ok(()), out);
    }

    fn abandon_start(&mut self, error: SqlError, out: &mut Outbox) {
        self.finish_command(Err(error), out);
        self.stage = Stage::Gone;
        out.push(SessionOutput::Removed);
    }

    // Setting and removing the witness

    /// Whether the witness is being invited: the next introduction asks it to become one.
    pub(super) fn inviting(&self) -> bool {
        matches!(self.witness_step(), Some(WitnessStep::Reaching { .. }))
    }

    fn witness_step(&self) -> Option<WitnessStep> {
        match &self.command {
            Some(Running {
                kind: Kind::SetWitness { step, .. },
                ..
            }) => Some(*step),
            _ => None,
        }
    }

    fn set_witness_step(&mut self, to: WitnessStep) {
        if let Some(Running {
            kind: Kind::SetWitness { step, .. },
            ..
        }) = &mut self.command
        {
            *step = to;
        }
    }

    /// Mirror: answers the principal's proposal. Whether that was what the link was for.
    pub(super) fn witness_reached(&mut self, out: &mut Outbox) -> bool {
        if self.proposed.is_some() {
            self.to_partner(Body::WitnessReached { reached: true }, out);
        }
        self.proposed.is_some()
    }

    pub(super) fn on_witness_reached_by_mirror(&mut self, by_mirror: bool, out: &mut Outbox) {
        match self.witness_step() {
            Some(WitnessStep::Reaching { .. }) if !by_mirror => {
                self.give_witness_up(msg::WITNESS_NEEDS_ALL.error(), out);
            }
            Some(WitnessStep::Reaching { accepted, .. }) => {
                let reached = true;
                self.set_witness_step(WitnessStep::Reaching { accepted, reached });
                self.record_witness(out);
            }
            _ => {}
        }
    }

    /// Takes a report of the witness that belongs to a command; whether it did.
    pub(super) fn report_in_command(&mut self, report: &Report, out: &mut Outbox) -> bool {
        match self.witness_step() {
            Some(WitnessStep::Reaching { .. }) if !report.mine => {
                self.refused_in_command(out);
                true
            }
            Some(WitnessStep::Reaching { reached, .. }) => {
                let accepted = true;
                self.set_witness_step(WitnessStep::Reaching { accepted, reached });
                self.record_witness(out);
                true
            }
            Some(WitnessStep::Telling) if report.answers == self.witness_request => {
                if self.is_synchronized() {
                    self.set_state(MirroringState::Synchronized, Some(1), out);
                }
                self.finish_command(Ok(()), out);
                false
            }
            _ => false,
        }
    }

    fn record_witness(&mut self, out: &mut Outbox) {
        let both = WitnessStep::Reaching {
            accepted: true,
            reached: true,
        };
        if self.witness_step() != Some(both) {
            return;
        }
        let mut record = self.record.clone();
        record.witness = self.witness_address().cloned();
        record.configuration_sequence = record.configuration_sequence.saturating_add(1);
        let sequence = record.configuration_sequence;
        self.set_witness_step(WitnessStep::Recording { sequence });
        self.persist(record, Then::WitnessAdded, out);
    }

    pub(super) fn after_witness_added(&mut self, out: &mut Outbox) {
        self.emit_witness_set(false, out);
        self.emit_links(out);
        self.send_configuration(out);
    }

    /// The mirror recorded a configuration.
    pub(super) fn on_configured(&mut self, now: Timestamp, sequence: u32, out: &mut Outbox) {
        match &self.command {
            Some(Running {
                kind:
                    Kind::WitnessOff {
                        sequence: awaited,
                        next,
                    },
                ..
            }) if *awaited == sequence => {
                let next = next.clone();
                let mut record = self.record.clone();
                record.witness = None;
                record.configuration_sequence = sequence;
                self.persist(record, Then::WitnessRemoved { next }, out);
            }
            Some(Running {
                kind:
                    Kind::Safety {
                        safety,
                        sequence: awaited,
                    },
                ..
            }) if *awaited == sequence => {
                let safety = *safety;
                self.record_safety(safety, sequence, out);
            }
            _ if self.witness_step() == Some(WitnessStep::Recording { sequence }) => {
                let synchronized = self.is_synchronized();
                self.set_witness_step(WitnessStep::Telling);
                self.tell_witness(now, synchronized, out);
            }
            _ => {}
        }
        if !self.is_stalled() && self.record.suspended && sequence == self.record.configuration_sequence {
            self.on_suspension_configured(now, out);
        }
    }

    pub(super) fn after_witness_removed(
        &mut self,
        now: Timestamp,
        next: Option<ServerAddress>,
        out: &mut Outbox,
    ) {
        if self.witness_up {
            self.to_witness(Body::Removed, out);
        }
        self.witness_left = self.witness_up && next.is_some();
        let known = self.witness_confirmed;
        self.forget_witness_link();
        self.emit_witness_set(false, out);
        if known && self.is_synchronized() {
            self.set_state(MirroringState::Synchronized, Some(2), out);
        }
        match next {
            Some(address) => {
                self.command = None;
                self.reach_witness(now, address, out);
            }
            None => self.finish_command(Ok(()), out),
        }
    }

    /// The instance is not, or no longer, this session's witness: its link means nothing.
    fn forget_witness_link(&mut self) {
        self.witness_up = false;
        self.witness_confirmed = false;
        self.witness_veto = false;
    }

    pub(super) fn give_witness_up(&mut self, error: SqlError, out: &mut Outbox) {
        if self.inviting() {
            if self.witness_up {
                self.to_witness(Body::Removed, out);
            }
            self.forget_witness_link();
            self.send_configuration(out);
        }
        self.finish_command(Err(error), out);
    }

    pub(super) fn refused_in_command(&mut self, out: &mut Outbox) -> bool {
        let inviting = self.inviting();
        if inviting && let Some(address) = self.witness_address().cloned() {
            self.give_witness_up(msg::CANNOT_BE_WITNESS.with(&[&address]), out);
        }
        inviting
    }

    // Links lost, time passed

    /// Ends what cannot go on without the witness; whether the link was only that of a proposed witness.
    pub(super) fn witness_lost_in_command(&mut self, out: &mut Outbox) -> bool {
        if self.proposed.take().is_some() {
            self.to_partner(Body::WitnessReached { reached: false }, out);
            return true;
        }
        if self.record.witness.is_some() && self.takeover.is_none() {
            let error = msg::REMOTE_TIMED_OUT.with(&[&self.record.partner]);
            self.end_force_command(Err(error), out);
        }
        match self.witness_step() {
            Some(WitnessStep::Reaching { .. }) => self.refused_in_command(out),
            Some(WitnessStep::Recording { .. } | WitnessStep::Telling) => {
                self.finish_command(Err(msg::WITNESS_CHANGE_UNCERTAIN.error()), out);
                false
            }
            None => false,
        }
    }

    pub(super) fn partner_lost_in_command(&mut self, out: &mut Outbox) {
        let Some(running) = &self.command else {
            return;
        };
        match &running.kind {
            Kind::Start { .. } if self.stage != Stage::Starting => {}
            Kind::Start { asked: true } => {
                self.abandon_start(msg::CONTACT_LOST_BEFORE_START.error(), out);
            }
            Kind::Start { asked: false } => {
                self.abandon_start(msg::PARTNER_NOT_FOUND.with(&[&self.record.partner]), out);
            }
            Kind::Failover | Kind::Resume | Kind::Safety { .. } => {
                self.finish_command(Err(msg::REMOTE_TIMED_OUT.with(&[&self.record.partner])), out);
            }
            Kind::Timeout | Kind::RedoQueue | Kind::Suspend | Kind::Force => {}
            Kind::SetWitness { .. } | Kind::WitnessOff { .. } => {
                self.give_witness_up(msg::WITNESS_CHANGE_UNCERTAIN.error(), out);
            }
        }
    }

    pub(super) fn check_deadline(&mut self, now: Timestamp, out: &mut Outbox) {
        let Some(running) = self.command.as_ref().filter(|c| c.deadline <= now) else {
            return;
        };
        match &running.kind {
            Kind::Start { .. } => {
                self.abandon_start(msg::PARTNER_NOT_FOUND.with(&[&self.record.partner]), out);
            }
            Kind::SetWitness { address, step } => {
                let error = match step {
                    WitnessStep::Reaching { accepted: false, .. } => msg::CANNOT_BE_WITNESS.with(&[address]),
                    WitnessStep::Reaching { .. } => msg::WITNESS_NEEDS_ALL.error(),
                    _ => msg::WITNESS_CHANGE_UNCERTAIN.error(),
                };
                self.give_witness_up(error, out);
            }
            Kind::Failover
            | Kind::Timeout
            | Kind::RedoQueue
            | Kind::Suspend
            | Kind::Resume
            | Kind::Safety { .. }
            | Kind::Force
            | Kind::WitnessOff { .. } => {
                self.finish_command(Err(msg::REMOTE_TIMED_OUT.with(&[&self.record.partner])), out);
            }
        }
    }
}
