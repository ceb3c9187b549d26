//! What a partner does as mirror: cutting back, hardening and redoing log, and taking the principal role over.

use super::failover::{AtLoss, arms};
use super::introduction::Report;
use super::partner::{Pair, Partner, Stage, Then};
use super::principal::Gate;
use super::{Outbox, SessionOutput, start};
use crate::error::msg;
use crate::log::{Log, LogBlock};
use crate::types::{
    Guid, Lsn, MirroringState, PING_INTERVAL, PartnerRole, RoleSequence, Safety, SessionEvent, SwitchKind,
    Timestamp,
};
use crate::wire::mirroring::{Body, Configuration, Denial, Message, Open};

/// The principal's request to start, accepted and not yet recorded.
#[derive(Debug)]
pub(super) struct Opening {
    session: Guid,
    link: u64,
    open: Box<Open>,
}

/// The principal role is this mirror's as soon as it has redone what it hardened.
#[derive(Debug)]
pub(super) struct Takeover {
    pub kind: SwitchKind,
    pub to: RoleSequence,
    /// Where the log ends.
    pub end: Lsn,
    /// The mirror's record said that it was synchronized.
    pub was_synchronized: bool,
}

impl Partner {
    pub(super) fn on_open(&mut self, message: &Message, open: &Open, log: &mut Log, out: &mut Outbox) {
        if let Err(number) = start::judge(open, self.record.family, log) {
            return out.push(SessionOutput::ToPartner(start::refuse(message, number)));
        }
        self.opening = Some(Opening {
            session: message.session,
            link: message.link,
            open: Box::new(open.clone()),
        });
        if self.partner_up {
            self.record_opening(out);
        }
    }

    /// Records the session that the principal asked for, once both connections are there.
    pub(super) fn record_opening(&mut self, out: &mut Outbox) {
        let Some(opening) = self.opening.take() else {
            return;
        };
        self.my_link = opening.link;
        self.their_link = opening.link;
        let mut record = self.record.clone();
        record.session = opening.session;
        record.started = true;
        record.partner_name = opening.open.name;
        record.epoch_base = opening.open.epoch_base;
        record.configure(&opening.open.configuration);
        self.persist(record, Then::Opened, out);
    }

    pub(super) fn after_opened(&mut self, log: &Log, out: &mut Outbox) {
        self.stage = Stage::Running;
        self.redo_asked = log.redone();
        self.note_configured(out);
        self.emit_role(None, None, out);
        self.set_state(MirroringState::Synchronizing, Some(0), out);
        self.establish(log, out);
        out.log(msg::ACTIVE_MIRROR.with(&[&self.record.database]));
        let opened = Body::Opened {
            name: self.identity.name.clone(),
            log: Partner::log_position(log),
        };
        self.to_partner(opened, out);
    }

    fn establish(&mut self, log: &Log, out: &mut Outbox) {
        self.pair = Pair::Established;
        self.told_hardened = log.hardened();
        self.told_redone = log.redone();
        self.emit_links(out);
        if !self.record.suspended {
            self.set_state(MirroringState::Synchronizing, Some(11), out);
        } else if self.state != Some(MirroringState::Suspended) {
            self.set_state(MirroringState::Suspended, Some(9), out);
        }
    }

    pub(super) fn principal_lost(&mut self, now: Timestamp, was: Pair, out: &mut Outbox) {
        self.synchronize_at = None;
        self.proposed = None;
        if self
            .takeover
            .as_ref()
            .is_some_and(|t| t.kind == SwitchKind::Manual)
        {
            self.note(
                "the link was lost before the manual failover was recorded: it is abandoned",
                out,
            );
            self.takeover = None;
        }
        if self.takeover.is_some() {
            return;
        }
        let at_loss = AtLoss {
            safety: self.record.safety,
            was: self.state,
            recorded_synchronized: self.record.synchronized,
            witness_connected: self.record.witness.is_some() && self.witness_up && self.witness_confirmed,
        };
        if was == Pair::Established || self.state != Some(self.apart()) {
            self.set_state(self.apart(), Some(5), out);
            if self.record.witness.is_some() && !self.witness_confirmed {
                self.set_state(self.apart(), Some(10), out);
            }
        }
        if self.armed {
            self.request_takeover(now, out);
        } else if arms(&at_loss) {
            self.armed = true;
            let mut record = self.record.clone();
            record.takeover_pending = self.record.role_sequence.checked_add(1);
            self.persist(record, Then::TakeoverPending, out);
        } else {
            self.settle_suspension(now, out);
        }
    }

    /// Asks the witness for the role, and will ask again.
    pub(super) fn request_takeover(&mut self, now: Timestamp, out: &mut Outbox) {
        self.retry_at = None;
        let Some(to) = self.record.takeover_pending else {
            return;
        };
        if self.armed && !self.partner_up && self.witness_up {
            let request = self.number(now);
            self.takeover_request = request;
            let forced = self.record.takeover_forced;
            self.to_witness(Body::TakeoverRequest { request, to, forced }, out);
            self.retry_at = Some(now + PING_INTERVAL);
        }
    }

    /// Only the answer to the latest request counts: another one may have been granted after an earlier denial.
    pub(super) fn on_denied(&mut self, request: u64, denial: Denial, out: &mut Outbox) {
        if request != self.takeover_request {
            return;
        }
        let forced = self.record.takeover_forced;
        let for_good = denial != Denial::PrincipalConnected || forced;
        if for_good && self.takeover.is_none() && !self.is_principal() {
            if forced {
                let error = msg::CANNOT_FORCE.with(&[&self.record.database]);
                self.end_force_command(Err(error), out);
            }
            self.disarm();
            self.clear_pending(out);
        }
    }

    pub(super) fn disarm(&mut self) {
        self.armed = false;
        self.retry_at = None;
    }

    /// The witness has not granted what this mirror asked for and will not: nothing is pending.
    fn clear_pending(&mut self, out: &mut Outbox) {
        if self.record.takeover_pending.is_some() && self.pair != Pair::Established {
            let mut record = self.record.clone();
            record.forget_takeover();
            record.synchronized = false;
            self.persist(record, Then::PendingCleared, out);
        }
    }

    pub(super) fn on_report_to_mirror(&mut self, report: &Report, log: &Log, out: &mut Outbox) {
        if self.takeover.is_some() {
            return;
        }
        if report.mine && self.record.takeover_pending == Some(report.role_sequence) {
            self.disarm();
            self.note("the witness granted the principal role", out);
            self.pair = Pair::Down;
            let kind = match self.record.takeover_forced {
                true => SwitchKind::Forced,
                false => SwitchKind::Automatic,
            };
            self.take_over(kind, report.role_sequence, log);
        } else if !report.mine && !self.armed && self.pair == Pair::Down {
            // Requests made on an earlier link are void: the witness acts only on those of the latest introduction.
            self.clear_pending(out);
        }
    }

    /// The role is this mirror's once it has redone its log.
    pub(super) fn take_over(&mut self, kind: SwitchKind, to: RoleSequence, log: &Log) {
        self.takeover = Some(Takeover {
            kind,
            to,
            end: log.end(),
            was_synchronized: self.record.synchronized,
        });
    }

    pub(super) fn on_principal_message(&mut self, body: Body, log: &mut Log, out: &mut Outbox) {
        if self.takeover.is_some() {
            return;
        }
        match (self.pair, body) {
            (Pair::Greeting { answered: true }, Body::Start { from, configuration }) => {
                self.on_start(from, configuration, log, out);
            }
            // Sent before the principal heard that the session was suspended here once more: it greets anew.
            (Pair::Established, Body::Start { configuration, .. })
                if configuration.suspend_sequence < self.record.suspend_sequence => {}
            (Pair::Established, Body::Start { from, configuration }) if self.record.suspended => {
                self.on_start(from, configuration, log, out);
            }
            (Pair::Greeting { answered: true }, Body::StartSuspended { configuration }) => {
                self.on_start_suspended(&configuration, out);
            }
            (Pair::Established, Body::Resume) if self.record.suspended => self.on_resume_asked(log, out),
            (Pair::Greeting { answered: true }, Body::TakeOver { end, mine, check }) => {
                self.on_take_over(end, mine, check, log, out);
            }
            (Pair::Greeting { answered: true }, Body::Supersede { to })
                if self.record.role_sequence.checked_add(2) == Some(to) =>
            {
                self.adopt(to, out);
            }
            (Pair::Established, Body::Block { frame }) => self.on_block(&frame, log, out),
            (Pair::Established, Body::Discarded { to }) => {
                self.peer_discarded = self.peer_discarded.max(to);
            }
            (Pair::Established, Body::Synchronize { at }) if !self.record.suspended => {
                self.synchronize_at = Some(at);
            }
            // Sent before the principal heard that this mirror suspended the session.
            (Pair::Established, Body::Synchronize { .. }) => {}
            (Pair::Established, Body::Configure { configuration }) => {
                let mut record = self.record.clone();
                record.configure(&configuration);
                self.note_witness(&configuration, out);
                self.persist(record, Then::ConfigurationRecorded, out);
            }
            (Pair::Established, Body::Page(page)) => self.on_page_message(page, out),
            (Pair::Established, Body::ProposeWitness { address }) => self.proposed = Some(address),
            (Pair::Established, Body::FailoverPrepare { end }) => self.on_prepare(end, log, out),
            (_, body) => self.note(format!("not expected from the principal now: {body:?}"), out),
        }
    }

    fn on_start(&mut self, from: Lsn, configuration: Configuration, log: &mut Log, out: &mut Outbox) {
        if from > log.end() || from < log.start() {
            return out.log(msg::UNEXPECTED_MESSAGE.with(&[&"Start", &self.record.partner]));
        }
        self.disarm();
        if log.end() > from {
            self.cut_back(from, log, Then::CutBack { from, configuration }, out);
        } else {
            self.record_start(from, &configuration, log, out);
        }
    }

    pub(super) fn record_start(
        &mut self,
        from: Lsn,
        configuration: &Configuration,
        log: &Log,
        out: &mut Outbox,
    ) {
        self.failover_lsn = self.failover_lsn.min(from).max(from.min(log.hardened()));
        self.record_configuration(configuration, out);
    }

    fn record_configuration(&mut self, configuration: &Configuration, out: &mut Outbox) {
        self.note_witness(configuration, out);
        let mut record = self.record.clone();
        record.configure(configuration);
        record.synchronized = false;
        record.forget_takeover();
        record.reverting &= record.suspended;
        self.end_force_command(Err(msg::CANNOT_FORCE.with(&[&self.record.database])), out);
        self.persist(record, Then::StartRecorded, out);
    }

    /// Nothing is cut back while the session is suspended.
    fn on_start_suspended(&mut self, configuration: &Configuration, out: &mut Outbox) {
        self.disarm();
        self.record_configuration(configuration, out);
    }

    pub(super) fn after_start_recorded(&mut self, now: Timestamp, log: &Log, out: &mut Outbox) {
        self.establish(log, out);
        let started = Body::Started {
            hardened: log.hardened(),
            redone: log.redone(),
        };
        self.to_partner(started, out);
        self.tell_error(out);
        self.suspension_known(out);
        self.follow_witness(now, out);
    }

    fn note_witness(&self, configuration: &Configuration, out: &mut Outbox) {
        if configuration.witness != self.record.witness {
            out.emit(SessionEvent::WitnessSet {
                database: self.record.database.clone(),
                witness: configuration.witness.clone(),
                anew: false,
            });
        }
    }

    pub(super) fn after_configuration(&mut self, now: Timestamp, out: &mut Outbox) {
        let sequence = self.record.configuration_sequence;
        self.proposed = None;
        self.to_partner(Body::Configured { sequence }, out);
        if self.record.suspended && self.state != Some(MirroringState::Suspended) {
            self.synchronize_at = None;
            self.set_state(MirroringState::Suspended, Some(9), out);
        } else if self.record.safety == Safety::Off && self.is_synchronized() {
            self.set_state(MirroringState::Synchronizing, Some(11), out);
        }
        self.synchronize_at = self.synchronize_at.filter(|_| self.record.safety == Safety::Full);
        self.suspension_known(out);
        self.follow_witness(now, out);
    }

    /// Introduces this mirror to a witness it has just been given, or forgets one that was taken away.
    fn follow_witness(&mut self, now: Timestamp, out: &mut Outbox) {
        if self.record.witness.is_none() {
            let known = std::mem::take(&mut self.witness_confirmed);
            self.disarm();
            if known && self.is_synchronized() {
                self.set_state(MirroringState::Synchronized, Some(4), out);
            }
        } else if !self.witness_confirmed {
            self.attach(now, out);
        }
    }

    fn on_block(&mut self, frame: &[u8], log: &mut Log, out: &mut Outbox) {
        let block = match LogBlock::decode(frame) {
            Ok(block) => block,
            Err(why) => {
                out.log(msg::UNEXPECTED_MESSAGE.with(&[&"Block", &self.record.partner]));
                return self.note(format!("a log block could not be read: {why}"), out);
            }
        };
        if block.end() <= log.end() {
            return;
        }
        match log.append_block(block) {
            Ok(block) => out.push(SessionOutput::Harden(block.clone())),
            Err(why) => {
                out.log(msg::UNEXPECTED_MESSAGE.with(&[&"Block", &self.record.partner]));
                self.note(format!("a log block does not fit: {why}"), out);
            }
        }
    }

    fn on_prepare(&mut self, end: Lsn, log: &Log, out: &mut Outbox) {
        let to = self.record.role_sequence.checked_add(1);
        match to {
            Some(to) if self.is_synchronized() && self.record.synchronized && log.end() == end => {
                self.take_over(SwitchKind::Manual, to, log);
            }
            _ => self.to_partner(Body::FailoverRefused, out),
        }
    }

    /// The principal's log was damaged: this copy goes on, if it holds what the principal still has and more.
    fn on_take_over(&mut self, end: Lsn, mine: Lsn, check: u32, log: &Log, out: &mut Outbox) {
        let to = self.record.role_sequence.checked_add(1);
        let held = log.blocks().iter().find(|block| block.end() == mine);
        let fits = mine <= log.start() || held.map(LogBlock::crc) == Some(check);
        match to {
            Some(to) if fits && log.end() == end => {
                self.note(
                    "the principal lost log that this mirror holds: it hands the role over",
                    out,
                );
                self.take_over(SwitchKind::Manual, to, log);
            }
            _ => self.to_partner(Body::FailoverRefused, out),
        }
    }

    /// Asks for the redo of what is hardened.
    pub(super) fn redo_hardened(&mut self, log: &Log, out: &mut Outbox) {
        for block in log.blocks_from(self.redo_asked) {
            if block.end() > log.hardened() {
                break;
            }
            self.redo_asked = block.end();
            out.push(SessionOutput::Redo(block.clone()));
        }
    }

    /// Tells the principal how far this mirror is, and does what was waiting for log to be hardened or redone.
    pub(super) fn on_mirror_progress(&mut self, log: &Log, out: &mut Outbox) {
        if self.pair == Pair::Established && self.stage == Stage::Running {
            self.tell_progress(log, out);
        }
        if self.is_stalled() {
            return;
        }
        if self.repairs.is_empty() && self.synchronize_at.is_some_and(|at| log.hardened() >= at) {
            self.synchronize_at = None;
            let mut record = self.record.clone();
            record.synchronized = true;
            return self.persist(record, Then::SynchronizedRecorded, out);
        }
        if let Some(takeover) = &self.takeover
            && log.redone() >= takeover.end
            && log.redone() == log.end()
        {
            let (kind, was_synchronized) = (takeover.kind, takeover.was_synchronized);
            let mut record = self.record.clone();
            record.role = PartnerRole::Principal;
            record.role_sequence = takeover.to;
            record.owner_since = takeover.to;
            record.owner_by = Some(kind);
            record.synchronized = false;
            record.reverting = false;
            record.forget_takeover();
            if kind == SwitchKind::Forced {
                record.suspend(true);
            }
            self.failover_lsn = log.end();
            self.persist(
                record,
                Then::TakenOver {
                    kind,
                    was_synchronized,
                },
                out,
            );
        }
    }

    fn tell_progress(&mut self, log: &Log, out: &mut Outbox) {
        let (hardened, redone) = (log.hardened(), log.redone());
        if hardened > self.told_hardened {
            self.told_hardened = hardened;
            self.failover_lsn = self.failover_lsn.max(hardened);
            self.to_partner(Body::HardenedUpTo { lsn: hardened }, out);
        }
        if redone > self.told_redone {
            self.told_redone = redone;
            self.to_partner(Body::RedoneUpTo { lsn: redone }, out);
        }
    }

    pub(super) fn after_synchronized(&mut self, out: &mut Outbox) {
        let trace_id = if self.witness_confirmed { 3 } else { 4 };
        self.set_state(MirroringState::Synchronized, Some(trace_id), out);
        self.to_partner(Body::Synchronized, out);
    }

    pub(super) fn after_taken_over(
        &mut self,
        now: Timestamp,
        kind: SwitchKind,
        was_synchronized: bool,
        log: &Log,
        out: &mut Outbox,
    ) {
        self.takeover = None;
        self.repairs.start_over();
        self.disarm();
        self.gate = Gate::Open;
        self.prepared = false;
        self.sent = log.end();
        self.peer_hardened = log.end();
        self.emit_role(Some(PartnerRole::Mirror), Some(kind), out);
        out.emit(SessionEvent::Takeover {
            database: self.record.database.clone(),
            kind,
            role_sequence: self.record.role_sequence,
            failover_lsn: self.failover_lsn,
            safety_full: self.record.safety == Safety::Full,
            was_synchronized,
            witness_connected: self.witness_confirmed,
        });
        match kind {
            SwitchKind::Manual => self.after_manual_takeover(now, log, out),
            SwitchKind::Automatic => self.after_automatic_takeover(now, log, out),
            SwitchKind::Forced => self.after_forced_service(now, log, out),
        }
    }

    /// The former principal does not serve before it has heard of this, so service begins at once.
    fn after_manual_takeover(&mut self, now: Timestamp, log: &Log, out: &mut Outbox) {
        self.partner_confirmed = true;
        self.pair = Pair::Greeting { answered: true };
        self.set_state(MirroringState::Synchronizing, Some(13), out);
        self.to_partner(Body::FailoverDone { end: log.end() }, out);
        self.consider_service("manual failover", out);
        self.witness_confirmed = false;
        self.attach(now, out);
    }

    /// The witness recorded the new owner, and with it that nobody is synchronized, before it granted the role.
    fn after_automatic_takeover(&mut self, now: Timestamp, log: &Log, out: &mut Outbox) {
        self.set_state(MirroringState::Disconnected, Some(8), out);
        self.witness_veto = true;
        self.consider_service("automatic failover", out);
        if self.serving {
            self.set_state(MirroringState::Disconnected, Some(12), out);
        } else {
            self.gate = Gate::Closed;
        }
        self.attach(now, out);
        self.greet(now, None, log, out);
    }
}
