//! What a partner does as principal: greeting from its side, shipping log, gating commits, keeping quorum.

use super::Outbox;
use super::greeting::{self, Claim, Reading};
use super::introduction::Report;
use super::partner::{Pair, Partner, Stage, Then};
use crate::error::msg;
use crate::log::{Log, LogBlock};
use crate::types::{
    Lsn, MirroringState, PartnerRole, RoleSequence, Safety, SessionEvent, SwitchKind, Timestamp,
};
use crate::wire::mirroring::{Body, Configuration, Hello, LogPosition, Message};

/// How many blocks, and how many bytes beyond the first block, may be on their way to the mirror.
const SEND_WINDOW_BLOCKS: usize = 64;
const SEND_WINDOW_BYTES: u64 = 1024 * 1024;

/// Whether commits wait for the mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// They do not: the mirror or the witness (or the lack of one) rules an automatic failover out.
    Open,
    /// They do; the mirror has been asked to record that it is synchronized.
    Closing,
    /// They do.
    Closed,
}

/// What the mirror's log is to the principal's, up to where their numbers agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// Nothing speaks against it: what the mirror has beyond is of another principal and will be cut off.
    Fits,
    /// The mirror holds log that this principal generated and has lost.
    Ahead,
    /// They hold different log where this principal alone can have generated it.
    Differs,
}

impl Partner {
    pub(super) fn on_partner_up(&mut self, now: Timestamp, log: &mut Log, out: &mut Outbox) {
        if self.partner_up {
            self.on_partner_down(now, out);
        }
        self.partner_up = true;
        match self.stage {
            Stage::Waiting => self.record_opening(out),
            Stage::Starting => self.send_open(now, log, out),
            Stage::Running if self.takeover.is_none() => {
                self.greet(now, None, log, out);
                if let Some(hello) = self.early.take() {
                    self.on_partner_message(now, hello, log, out);
                }
            }
            Stage::Running | Stage::Gone => {}
        }
    }

    pub(super) fn on_partner_down(&mut self, now: Timestamp, out: &mut Outbox) {
        let had_link = std::mem::take(&mut self.partner_up);
        let was = std::mem::replace(&mut self.pair, Pair::Down);
        self.partner_confirmed = false;
        self.early = None;
        self.opening = None;
        self.partner_lost_in_command(out);
        if self.stage != Stage::Running || !had_link {
            return;
        }
        if was != Pair::Down {
            self.emit_links(out);
        }
        if self.is_principal() {
            self.mirror_lost(now, was, out);
        } else {
            self.principal_lost(now, was, out);
        }
    }

    fn mirror_lost(&mut self, now: Timestamp, was: Pair, out: &mut Outbox) {
        self.prepared = false;
        self.divergent = false;
        if was == Pair::Established || self.state != Some(self.apart()) {
            self.set_state(self.apart(), Some(6), out);
        }
        let served = self.serving;
        self.consider_service("the mirror was lost", out);
        if self.serving && self.gate != Gate::Open {
            self.gate = Gate::Closed;
            self.tell_witness(now, false, out);
        } else if self.serving && served && was == Pair::Established {
            self.show_exposed(out);
            self.tell_witness(now, false, out);
        }
        self.settle_suspension(now, out);
    }

    /// A principal that serves without its mirror. Event 12 belongs to the synchronous mode, and a session that is
    /// suspended has said so already.
    pub(super) fn show_exposed(&mut self, out: &mut Outbox) {
        let exposed = self.record.safety == Safety::Full && !self.record.suspended;
        self.set_state(self.apart(), exposed.then_some(12), out);
    }

    /// Greets the partner on the present link with what this side is now.
    pub(super) fn greet(&mut self, now: Timestamp, reply_to: Option<u64>, log: &Log, out: &mut Outbox) {
        if !self.partner_up {
            return;
        }
        self.my_link = self.number(now);
        self.pair = Pair::Greeting {
            answered: reply_to.is_some(),
        };
        self.partner_confirmed = false;
        let hello = Hello {
            reply_to,
            role: self.record.role,
            name: self.identity.name.clone(),
            synchronized: self.record.synchronized,
            takeover_pending: self.record.takeover_pending,
            takeover_forced: self.record.takeover_forced,
            failover_pending: self.record.failover_pending,
            owner_by: self.record.owner_by.filter(|_| self.is_principal()),
            log: Partner::log_position(log),
            configuration: self.record.configuration(),
        };
        self.to_partner(Body::Hello(hello), out);
    }

    pub(super) fn on_partner_message(
        &mut self,
        now: Timestamp,
        message: Message,
        log: &mut Log,
        out: &mut Outbox,
    ) {
        let waiting = self.stage == Stage::Waiting;
        if let (true, Body::Open(open)) = (waiting, &message.body) {
            return self.on_open(&message, open, log, out);
        }
        if message.session != self.record.session || waiting {
            return;
        }
        match message.body {
            Body::Removed | Body::NoSession => {
                if self.witness_up {
                    self.to_witness(Body::Removed, out);
                }
                self.note("the partner has no such session any more", out);
                self.remove(out);
            }
            Body::OpenRefused { number } => self.on_open_refused(number, out),
            Body::Opened { .. } if self.stage == Stage::Starting && message.link == self.my_link => {
                self.on_opened(message, out);
            }
            Body::Hello(_) if !self.partner_up => self.early = Some(message),
            Body::Hello(_) => self.on_hello(now, message, log, out),
            Body::FailoverDone { end } if message.link == self.my_link => {
                self.on_failover_done(message.role_sequence, end, out);
            }
            body if message.link == self.my_link
                && message.role_sequence == self.record.role_sequence
                && self.stage == Stage::Running =>
            {
                self.acts_on(message.session, message.role_sequence, out);
                if self.is_principal() {
                    self.on_mirror_message(now, body, log, out);
                } else {
                    self.on_principal_message(body, log, out);
                }
            }
            _ => {}
        }
    }

    fn on_hello(&mut self, now: Timestamp, message: Message, log: &mut Log, out: &mut Outbox) {
        let Body::Hello(hello) = &message.body else {
            return;
        };
        self.note_number(message.link);
        if self.stage != Stage::Running || self.takeover.is_some() {
            return;
        }
        let ours_goes_first =
            (self.my_link, self.identity.name.as_str()) > (message.link, hello.name.as_str());
        match (self.pair, hello.reply_to) {
            (Pair::Greeting { answered: false }, Some(number)) if number == self.my_link => {
                self.pair = Pair::Greeting { answered: true };
            }
            (_, Some(_)) => return,
            (Pair::Greeting { answered: false }, None) if ours_goes_first => return,
            (Pair::Greeting { .. }, None) => self.greet(now, Some(message.link), log, out),
            // The other side began anew on a link that looks unbroken from here: take it as lost and back.
            (Pair::Down | Pair::Starting | Pair::Established, None) => {
                return self.reconnect_then(message);
            }
        }
        self.their_link = message.link;
        self.read_greeting(message.role_sequence, hello, log, out);
    }

    fn read_greeting(&mut self, role_sequence: RoleSequence, hello: &Hello, log: &mut Log, out: &mut Outbox) {
        let mine = Claim {
            role: self.record.role,
            role_sequence: self.record.role_sequence,
            takeover_pending: self.record.takeover_pending.is_some(),
            takeover_forced: self.record.takeover_forced,
            failover_pending: self.record.failover_pending,
            vetoed: self.witness_veto,
        };
        let theirs = Claim {
            role: hello.role,
            role_sequence,
            takeover_pending: hello.takeover_pending.is_some(),
            takeover_forced: hello.takeover_forced,
            failover_pending: hello.failover_pending,
            vetoed: false,
        };
        match greeting::read(&mine, &theirs) {
            Reading::Start | Reading::TakeRoleBack => self.settle(hello, log, out),
            Reading::Supersede => {
                let to = self.record.role_sequence.saturating_add(2);
                self.to_partner(Body::Supersede { to }, out);
            }
            Reading::Adopt => self.adopt(role_sequence, out),
            Reading::BecomeMirror => {
                // One that says nothing has it from the start, and this side cannot be a principal then.
                let by = hello.owner_by.unwrap_or(SwitchKind::Automatic);
                self.become_mirror(role_sequence, by, Some(&hello.configuration), out);
            }
            Reading::Wait => {}
            Reading::Conflict => {
                out.log(msg::UNEXPECTED_MESSAGE.with(&[&"Hello", &self.record.partner]));
                self.note("the partner claims the same role at the same role sequence", out);
            }
        }
    }

    /// Records what the mirror's greeting brought, if anything, then starts.
    fn settle(&mut self, hello: &Hello, log: &mut Log, out: &mut Outbox) {
        let mut record = self.record.clone();
        let taken_back = std::mem::take(&mut record.failover_pending);
        record.merge(&hello.configuration);
        if record == self.record {
            return self.send_start(&hello.log, log, out);
        }
        let log = Some(hello.log.clone());
        self.persist(record, Then::Settled { log, taken_back }, out);
    }

    /// The manual failover did not happen, and the mirror is still there: begin anew.
    fn take_role_back(&mut self, out: &mut Outbox) {
        let mut record = self.record.clone();
        record.failover_pending = false;
        let (log, taken_back) = (None, true);
        self.persist(record, Then::Settled { log, taken_back }, out);
    }

    pub(super) fn after_settled(
        &mut self,
        now: Timestamp,
        theirs: Option<&LogPosition>,
        taken_back: bool,
        log: &Log,
        out: &mut Outbox,
    ) {
        if taken_back {
            self.note("the manual failover did not happen", out);
        }
        if self.record.suspended && self.state != Some(MirroringState::Suspended) {
            self.set_state(MirroringState::Suspended, Some(9), out);
        }
        match theirs {
            Some(theirs) => {
                self.attach(now, out);
                self.send_start(theirs, log, out);
            }
            None => self.greet(now, None, log, out),
        }
    }

    /// Takes a newer role sequence over, keeping the role.
    pub(super) fn adopt(&mut self, role_sequence: RoleSequence, out: &mut Outbox) {
        let mut record = self.record.clone();
        record.role_sequence = role_sequence;
        record.synchronized = false;
        record.forget_takeover();
        record.failover_pending = false;
        self.disarm();
        self.end_force_command(Err(msg::CANNOT_FORCE.with(&[&self.record.database])), out);
        self.persist(record, Then::AdoptedSequence, out);
    }

    pub(super) fn after_adopted(&mut self, now: Timestamp, log: &Log, out: &mut Outbox) {
        self.witness_veto = false;
        self.emit_role(Some(self.record.role), None, out);
        self.attach(now, out);
        self.greet(now, None, log, out);
    }

    /// The partner is principal at a newer sequence; `theirs` is what its greeting said of the session's settings.
    fn become_mirror(
        &mut self,
        role_sequence: RoleSequence,
        by: SwitchKind,
        theirs: Option<&Configuration>,
        out: &mut Outbox,
    ) {
        self.stop_serving("the partner owns the principal role", out);
        self.gate = Gate::Closed;
        let mut record = self.record.clone();
        record.role = PartnerRole::Mirror;
        record.role_sequence = role_sequence;
        record.synchronized = false;
        record.failover_pending = false;
        if let Some(theirs) = theirs {
            record.merge(theirs);
        }
        // After a forced service nothing is taken back before RESUME.
        record.reverting = match by {
            SwitchKind::Automatic => true,
            SwitchKind::Manual => false,
            SwitchKind::Forced => !record.suspended,
        };
        self.persist(record, Then::BecameMirror { by }, out);
    }

    pub(super) fn after_became_mirror(
        &mut self,
        now: Timestamp,
        by: SwitchKind,
        log: &Log,
        out: &mut Outbox,
    ) {
        self.redo_asked = log.redone();
        self.repairs.start_over();
        self.witness_veto = false;
        self.prepared = false;
        self.damaged = false;
        self.witness_confirmed = false;
        self.emit_role(Some(PartnerRole::Principal), Some(by), out);
        if self.record.suspended {
            let news = (self.state != Some(MirroringState::Suspended)).then_some(9);
            self.set_state(MirroringState::Suspended, news, out);
        } else if by == SwitchKind::Manual {
            self.set_state(MirroringState::Synchronizing, Some(11), out);
        }
        self.end_failover_command(by, out);
        self.attach(now, out);
        self.greet(now, None, log, out);
    }

    /// Tells the mirror from where log will flow: the end of what both logs have in common. A suspended session starts
    /// without any, and nothing is taken back.
    pub(super) fn send_start(&mut self, theirs: &LogPosition, log: &Log, out: &mut Outbox) {
        let common = log.common_point(theirs.start, &theirs.epochs, theirs.end);
        if self.record.suspended {
            let from = common.unwrap_or(Lsn::ZERO).min(log.hardened());
            let configuration = self.begin_pair(from, theirs.hardened);
            return self.to_partner(Body::StartSuspended { configuration }, out);
        }
        let Some(common) = common.filter(|_| !self.divergent) else {
            out.log(msg::REMOTE_NOT_IN_RANGE.with(&[&self.record.database]));
            return self.note("the logs of the partners have no stretch in common", out);
        };
        match self.compare(theirs, common, log) {
            Comparison::Fits => {
                let from = common.min(log.hardened());
                let configuration = self.begin_pair(from, theirs.hardened);
                self.to_partner(Body::Start { from, configuration }, out);
            }
            Comparison::Ahead => self.hand_over(theirs, log, out),
            Comparison::Differs => {
                self.divergent = true;
                out.log(msg::LOGS_DIFFER.with(&[&self.record.database, &common]));
                self.note("the logs of the partners differ where one wrote both", out);
            }
        }
    }

    fn begin_pair(&mut self, from: Lsn, hardened: Lsn) -> Configuration {
        self.pair = Pair::Starting;
        self.sent = from;
        self.peer_hardened = from.min(hardened);
        let configuration = self.record.configuration();
        self.configuration_sent = configuration.sequence;
        configuration
    }

    /// Whether the mirror's log can be what this principal sent. Blocks leave here hardened, so a mirror that holds more
    /// of this principal's own log than there is here shows that this disk has lost some.
    fn compare(&self, theirs: &LogPosition, common: Lsn, log: &Log) -> Comparison {
        let own = self.record.epoch_base.saturating_add(self.record.owner_since);
        let beyond = theirs.epochs.iter().rev().find(|(_, start)| *start <= common);
        let block = log.blocks().iter().rev().find(|block| block.end() == common);
        let same = block.map(LogBlock::crc) == Some(theirs.check);
        if theirs.end > common && common == log.end() && beyond.is_some_and(|(epoch, _)| *epoch >= own) {
            Comparison::Ahead
        } else if theirs.end == common && theirs.check != 0 && common > log.start() && !same {
            Comparison::Differs
        } else {
            Comparison::Fits
        }
    }

    /// The mirror has what this disk lost: it is to take the role over, as in a manual failover.
    fn hand_over(&mut self, theirs: &LogPosition, log: &Log, out: &mut Outbox) {
        out.log(msg::LOG_LOST.with(&[&self.record.database, &log.end(), &theirs.end]));
        self.stop_serving("the mirror holds log that the local disk lost", out);
        self.damaged = true;
        let mut record = self.record.clone();
        record.failover_pending = true;
        let end = theirs.end;
        self.persist(record, Then::HandingOver { end }, out);
    }

    pub(super) fn after_handing_over(&mut self, end: Lsn, log: &Log, out: &mut Outbox) {
        self.prepared = true;
        let mine = log.end();
        let check = log.blocks().last().map_or(0, LogBlock::crc);
        self.to_partner(Body::TakeOver { end, mine, check }, out);
    }

    fn on_mirror_message(&mut self, now: Timestamp, body: Body, log: &Log, out: &mut Outbox) {
        match (self.pair, body) {
            (Pair::Starting, Body::Started { hardened, redone }) => {
                self.peer_redone = redone;
                self.note_peer_hardened(hardened, log, out);
                self.ship(now, out);
                if self.configuration_sent != self.record.configuration_sequence {
                    self.send_configuration(out);
                }
            }
            (Pair::Established, Body::HardenedUpTo { lsn }) => self.note_peer_hardened(lsn, log, out),
            (Pair::Established, Body::RedoneUpTo { lsn }) => self.peer_redone = self.peer_redone.max(lsn),
            (Pair::Established, Body::Synchronized)
                if self.gate == Gate::Closing && self.state == Some(MirroringState::Synchronizing) =>
            {
                self.gate = Gate::Closed;
                let trace_id = if self.witness_confirmed { 1 } else { 2 };
                self.set_state(MirroringState::Synchronized, Some(trace_id), out);
                self.tell_witness(now, true, out);
            }
            (Pair::Established, Body::Configured { sequence }) => self.on_configured(now, sequence, out),
            (
                Pair::Starting | Pair::Established,
                Body::Suspended {
                    suspend_sequence,
                    error,
                },
            ) => {
                self.on_suspended_by_mirror(suspend_sequence, error, out);
            }
            (Pair::Established, Body::ResumeFrom { log: theirs }) => self.on_resume_from(theirs, log, out),
            (Pair::Established, Body::Page(page)) => self.on_page_message(page, out),
            (Pair::Established, Body::WitnessReached { reached }) => {
                self.on_witness_reached_by_mirror(reached, out);
            }
            (Pair::Established, Body::FailoverRefused) if self.prepared => {
                self.prepared = false;
                self.finish_command(Err(msg::MIRROR_NOT_CAUGHT_UP.with(&[&self.record.database])), out);
                self.take_role_back(out);
            }
            (Pair::Greeting { .. }, Body::FailoverRefused) if self.prepared => {
                self.prepared = false;
                self.divergent = true;
                out.log(msg::LOGS_DIFFER.with(&[&self.record.database, &log.end()]));
            }
            _ => {}
        }
    }

    /// The mirror has recorded that it is not synchronized: log flows, and commits need not wait for it.
    pub(super) fn ship(&mut self, now: Timestamp, out: &mut Outbox) {
        self.pair = Pair::Established;
        self.partner_confirmed = true;
        self.gate = Gate::Open;
        self.emit_links(out);
        if self.record.suspended {
            self.set_state(MirroringState::Suspended, None, out);
        } else {
            self.set_state(MirroringState::Synchronizing, Some(13), out);
            self.end_resume_command(out);
        }
        self.consider_service("the mirror confirmed the principal role", out);
        self.settle_suspension(now, out);
    }

    /// The log was given up before `to` here: the mirror may do so, too.
    pub(super) fn on_discarded(&mut self, to: Lsn, out: &mut Outbox) {
        if self.is_principal() && self.pair == Pair::Established {
            self.to_partner(Body::Discarded { to }, out);
        }
    }

    fn note_peer_hardened(&mut self, lsn: Lsn, log: &Log, out: &mut Outbox) {
        self.peer_hardened = self.peer_hardened.max(lsn.min(self.sent));
        let both = self.peer_hardened.min(log.hardened());
        if both > self.failover_lsn {
            self.failover_lsn = both;
            out.emit(SessionEvent::FailoverLsn {
                database: self.record.database.clone(),
                lsn: both,
            });
        }
    }

    /// Sends what is hardened and fits the window; when nothing is left to send, asks for SYNCHRONIZED or, in a manual
    /// failover, hands the role over.
    pub(super) fn pump(&mut self, log: &Log, out: &mut Outbox) {
        if self.pair != Pair::Established || self.is_stalled() || self.record.suspended {
            return;
        }
        let sent_before = self.sent;
        let unconfirmed = log.blocks_from(self.peer_hardened);
        let sent = unconfirmed.partition_point(|b| b.start() < self.sent);
        for (ahead, block) in unconfirmed.iter().enumerate().skip(sent) {
            let bytes = block.end().bytes_since(self.peer_hardened);
            let fits = ahead == 0 || (ahead < SEND_WINDOW_BLOCKS && bytes <= SEND_WINDOW_BYTES);
            if block.end() > log.hardened() || !fits || !self.fits_redo_queue(block) {
                break;
            }
            let frame = block.encode().to_vec();
            self.to_partner(Body::Block { frame }, out);
            self.sent = block.end();
        }
        if self.sent > sent_before {
            out.emit(SessionEvent::LogSent {
                database: self.record.database.clone(),
                to: self.sent,
            });
        }
        if self.sent == log.hardened() {
            self.all_sent(log, out);
        }
    }

    /// Whether hardened log waits to be sent because what was sent is not confirmed yet: flow control at work.
    pub fn waits_for_window(&self, log: &Log) -> bool {
        let sends = self.is_principal() && self.pair == Pair::Established;
        sends && !self.is_stalled() && !self.record.suspended && self.sent < log.hardened()
    }

    /// How far the mirror has said that it has redone.
    pub fn redone_by_mirror(&self) -> Lsn {
        self.peer_redone
    }

    fn all_sent(&mut self, log: &Log, out: &mut Outbox) {
        let full = self.record.safety == Safety::Full;
        if full && self.gate == Gate::Open && self.state == Some(MirroringState::Synchronizing) {
            self.gate = Gate::Closing;
            let at = log.hardened();
            self.to_partner(Body::Synchronize { at }, out);
        }
        if self.record.failover_pending && !self.prepared && log.end() == self.sent {
            self.prepared = true;
            self.to_partner(Body::FailoverPrepare { end: self.sent }, out);
        }
    }

    fn on_failover_done(&mut self, role_sequence: RoleSequence, end: Lsn, out: &mut Outbox) {
        let next = self.record.role_sequence.checked_add(1);
        if self.is_principal() && self.prepared && next == Some(role_sequence) {
            self.failover_lsn = end;
            self.become_mirror(role_sequence, SwitchKind::Manual, None, out);
        }
    }

    /// Asks the witness to record whether the mirror is synchronized.
    pub(super) fn tell_witness(&mut self, now: Timestamp, synchronized: bool, out: &mut Outbox) {
        if self.record.witness.is_none() || !self.witness_up {
            return;
        }
        let request = self.number(now);
        self.witness_request = request;
        if synchronized {
            self.witness_veto = false;
        }
        self.to_witness(
            Body::SyncState {
                request,
                synchronized,
            },
            out,
        );
    }

    pub(super) fn on_report_to_principal(&mut self, now: Timestamp, report: &Report, out: &mut Outbox) {
        if self.report_in_command(report, out) || self.record.witness.is_none() {
            return;
        }
        if !report.mine {
            self.witness_confirmed = false;
            self.consider_service("the witness names the other partner as principal", out);
            if !self.partner_confirmed {
                self.stop_serving("the witness names the other partner as principal", out);
            }
            return;
        }
        if report.role_sequence > self.record.role_sequence {
            self.witness_confirmed = false;
            return self.adopt(report.role_sequence, out);
        }
        if report.answers == self.witness_request && !report.synchronized {
            self.witness_veto = true;
            if !self.partner_confirmed && self.gate != Gate::Open {
                self.gate = Gate::Open;
                if !self.record.failover_pending {
                    self.show_exposed(out);
                }
            }
        }
        self.consider_service("the witness confirmed the principal role", out);
        self.settle_suspension(now, out);
    }
}
