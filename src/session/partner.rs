//! One mirrored database on one partner: its state, what others may ask of it, and the order in which inputs are handled.
//!
//! A step that must be durable before anything else happens (a record, a cut of the log) *stalls* the partner: inputs
//! that arrive meanwhile wait in order, so that each decision is made on what is on disk. Finished log writes and redo
//! are noted at once, and losing quorum stops service at once. What waits is bounded by the principal's send window.

use std::collections::VecDeque;

use super::command::Running;
use super::mirror::{Opening, Takeover};
use super::principal::Gate;
use super::repair::Repairs;
use super::{
    LinkLoss, Outbox, PartnerInput, PartnerRecord, ROLE_SEQUENCE_FIRST, SessionOutput,
    TIMEOUT_SECONDS_DEFAULT, Ticket,
};
use crate::error::msg;
use crate::log::{Log, LogBlock};
use crate::types::{
    DatabaseName, Guid, Lsn, MirroringState, PartnerRole, RecoveryPath, RoleSequence, Safety, ServerAddress,
    SessionEvent, SwitchKind, Timestamp,
};
use crate::wire::mirroring::{Body, Configuration, EPOCHS_MAX, LogPosition, Message};

/// Who this instance is, and what a partner must know to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `@@SERVERNAME`.
    pub name: String,
}

/// One mirrored database on one of the two partners.
///
/// The instance owns the `Log`, the tables and the disks; it feeds inputs to [`Partner::handle`], carries out what the
/// `Outbox` holds, and asks the questions below.
#[derive(Debug)]
pub struct Partner {
    pub(super) identity: Identity,
    /// What is durable.
    pub(super) record: PartnerRecord,
    /// While a session starts: the recovery path of the principal's copy.
    pub(super) path: RecoveryPath,
    /// While a session starts: log before this is in a log backup.
    pub(super) backed_up: Lsn,
    pub(super) stage: Stage,
    pub(super) state: Option<MirroringState>,
    pub(super) serving: bool,
    pub(super) failover_lsn: Lsn,

    /// Whether the links are up as far as inputs have been handled; the `_now` fields run ahead while stalled.
    pub(super) partner_up: bool,
    pub(super) witness_up: bool,
    pub(super) partner_up_now: bool,
    pub(super) witness_up_now: bool,
    pub(super) witness_tried: bool,
    /// The link to a witness that another one replaces is still to be reported lost.
    pub(super) witness_left: bool,
    /// The last number given to a greeting or a request; see [`Partner::number`].
    last_number: u64,
    /// Session and role sequence of the message that was acted on last.
    acts_on: Option<(Guid, RoleSequence)>,
    pub(super) my_link: u64,
    pub(super) their_link: u64,
    pub(super) pair: Pair,
    pub(super) early: Option<Message>,
    /// The partner has confirmed, on this link, that this instance owns the principal role.
    pub(super) partner_confirmed: bool,
    pub(super) witness_link: u64,
    /// The witness has answered on this link; to a principal: that it owns the role.
    pub(super) witness_confirmed: bool,
    pub(super) witness_request: u64,

    pub(in crate::session) gate: Gate,
    /// The witness has recorded, durably, that the mirror of this role sequence is not synchronized.
    pub(super) witness_veto: bool,
    pub(super) sent: Lsn,
    pub(super) peer_hardened: Lsn,
    pub(super) peer_redone: Lsn,
    /// Mirror: the principal has given up the log before this.
    pub(super) peer_discarded: Lsn,
    pub(super) prepared: bool,
    /// The log ends before what is known to have been hardened on both partners: the disk lost some of it.
    pub(super) damaged: bool,
    /// The partners' logs differ where neither may: nothing is started on this link.
    pub(super) divergent: bool,
    /// The configuration sequence that the last `Start` carried.
    pub(super) configuration_sent: u32,

    pub(super) redo_asked: Lsn,
    pub(super) synchronize_at: Option<Lsn>,
    pub(super) armed: bool,
    pub(super) retry_at: Option<Timestamp>,
    pub(super) takeover_request: u64,
    pub(super) takeover: Option<Takeover>,
    pub(super) opening: Option<Opening>,
    pub(super) told_hardened: Lsn,
    pub(super) told_redone: Lsn,
    /// The instance this partner was asked to reach before it becomes the witness.
    pub(super) proposed: Option<ServerAddress>,

    pub(super) repairs: Repairs,
    pub(super) command: Option<Running>,
    step: Option<Step>,
    stalled: VecDeque<PartnerInput>,
    next_ticket: Ticket,
}

/// How far the session has come on this partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Mirror: waits to be contacted.
    Waiting,
    /// Principal: has asked the mirror to start, or is about to.
    Starting,
    Running,
    Gone,
}

/// What the two partners have made of the link between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pair {
    Down,
    /// This side's greeting is sent; `answered` when the other's was seen since.
    Greeting {
        answered: bool,
    },
    /// Principal: `Start` is sent, `Started` awaited.
    Starting,
    /// Log may flow.
    Established,
}

/// What stalls the partner.
#[derive(Debug)]
enum Step {
    Persist {
        ticket: Ticket,
        record: Box<PartnerRecord>,
        then: Then,
    },
    Truncate {
        to: Lsn,
        then: Then,
    },
}

/// What to do once a step is durable.
#[derive(Debug)]
pub(super) enum Then {
    /// Mirror: tell the principal that the session is recorded.
    Opened,
    /// Principal: the session exists.
    SessionStarted {
        log: LogPosition,
    },
    /// Mirror: the log is cut back to where the principal starts; record the rest.
    CutBack {
        from: Lsn,
        configuration: Configuration,
    },
    StartRecorded,
    SynchronizedRecorded,
    TakeoverPending,
    PendingCleared,
    TakenOver {
        kind: SwitchKind,
        was_synchronized: bool,
    },
    /// Principal: the higher role sequence is the partner's.
    BecameMirror {
        by: SwitchKind,
    },
    AdoptedSequence,
    FailoverPending,
    /// Principal: what the mirror's greeting brought is recorded, and a manual failover that did not happen is over.
    Settled {
        log: Option<LogPosition>,
        taken_back: bool,
    },
    /// A SUSPEND given here, or one that the mirror told of.
    Suspended {
        by_mirror: bool,
    },
    /// Principal: start from what the mirror's log has in common with this one.
    Resumed {
        log: LogPosition,
    },
    SafetySet,
    /// Principal: let the mirror take over what this disk lost.
    HandingOver {
        end: Lsn,
    },
    ConfigurationRecorded,
    TimeoutSet,
    RedoQueueSet,
    WitnessAdded,
    WitnessRemoved {
        next: Option<ServerAddress>,
    },
}

/// What a partner that has just been recorded at the start of a session is told by the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub database: DatabaseName,
    /// The backup family of the local copy.
    pub family: Guid,
    /// The partner's address, as the statement gave it.
    pub partner: ServerAddress,
    /// The number of the last block of the local log, 1 if it has none.
    pub last_epoch: RoleSequence,
    /// Principal: how its copy came about, for the mirror to compare.
    pub path: RecoveryPath,
    /// Principal: log before this is in a log backup, whether or not the log itself says so yet.
    pub backed_up: Lsn,
}

impl Partner {
    /// `SET PARTNER` on a restored copy: it waits to be contacted and causes no traffic.
    pub fn waiting_mirror(identity: Identity, setting: Setting) -> Partner {
        let record = PartnerRecord {
            database: setting.database,
            session: Guid::NIL,
            family: setting.family,
            started: false,
            role: PartnerRole::Mirror,
            role_sequence: ROLE_SEQUENCE_FIRST,
            owner_since: ROLE_SEQUENCE_FIRST,
            owner_by: None,
            epoch_base: setting.last_epoch.saturating_sub(ROLE_SEQUENCE_FIRST),
            partner: setting.partner,
            partner_name: String::new(),
            witness: None,
            safety: Safety::Full,
            safety_sequence: 1,
            timeout_seconds: TIMEOUT_SECONDS_DEFAULT,
            redo_queue_mb: None,
            suspended: false,
            suspend_sequence: 1,
            suspended_here: false,
            configuration_sequence: 0,
            failover_lsn: Lsn::ZERO,
            synchronized: false,
            takeover_pending: None,
            takeover_forced: false,
            reverting: false,
            failover_pending: false,
        };
        Partner::new(identity, record, Stage::Waiting)
    }

    /// `SET PARTNER` on an online database: starts the session `session` (a new GUID). The command runs until
    /// `CommandDone`; if that is an error, `Removed` follows. Nothing is recorded before the mirror has agreed.
    pub fn starting_principal(identity: Identity, setting: Setting, session: Guid) -> Partner {
        let (path, backed_up) = (setting.path.clone(), setting.backed_up);
        let mut partner = Partner::waiting_mirror(identity, setting);
        partner.path = path;
        partner.backed_up = backed_up;
        partner.stage = Stage::Starting;
        partner.record.session = session;
        partner.record.role = PartnerRole::Principal;
        partner.record.configuration_sequence = 1;
        partner.gate = Gate::Open;
        partner.serving = true;
        partner
    }

    /// A partner as its record says, after a restart. `log` must have been recovered.
    pub fn restore(identity: Identity, record: PartnerRecord) -> Partner {
        let stage = if record.started {
            Stage::Running
        } else {
            Stage::Waiting
        };
        Partner::new(identity, record, stage)
    }

    fn new(identity: Identity, record: PartnerRecord, stage: Stage) -> Partner {
        let state = match record.suspended {
            true => MirroringState::Suspended,
            false => MirroringState::Disconnected,
        };
        Partner {
            identity,
            stage,
            state: (stage == Stage::Running).then_some(state),
            serving: false,
            failover_lsn: record.failover_lsn,
            record,
            path: RecoveryPath::default(),
            backed_up: Lsn::ZERO,
            partner_up: false,
            witness_up: false,
            partner_up_now: false,
            witness_up_now: false,
            witness_tried: false,
            witness_left: false,
            last_number: 0,
            acts_on: None,
            my_link: 0,
            their_link: 0,
            pair: Pair::Down,
            early: None,
            partner_confirmed: false,
            witness_link: 0,
            witness_confirmed: false,
            witness_request: 0,
            gate: Gate::Closed,
            witness_veto: false,
            sent: Lsn::ZERO,
            peer_hardened: Lsn::ZERO,
            peer_redone: Lsn::ZERO,
            peer_discarded: Lsn::ZERO,
            prepared: false,
            damaged: false,
            divergent: false,
            configuration_sent: 0,
            redo_asked: Lsn::ZERO,
            synchronize_at: None,
            armed: false,
            retry_at: None,
            takeover_request: 0,
            takeover: None,
            opening: None,
            told_hardened: Lsn::ZERO,
            told_redone: Lsn::ZERO,
            proposed: None,
            repairs: Repairs::default(),
            command: None,
            step: None,
            stalled: VecDeque::new(),
            next_ticket: 1,
        }
    }

    /// Call once, after construction and before any input: begins what needs no outside event.
    ///
    /// A new mirror says that it waits; a restored principal without witness serves; a restored mirror redoes its
    /// backlog. For a session that is starting, the command's deadline begins to run.
    pub fn begin(&mut self, now: Timestamp, log: &mut Log, out: &mut Outbox) {
        if self.stage == Stage::Running {
            // The process may have died between writing the record and saying what it holds.
            self.emit_settings(out);
            self.emit_witness_set(true, out);
            self.emit_role(None, None, out);
        }
        match (self.stage, self.record.role) {
            (Stage::Waiting, _) => self.note_configured(out),
            (Stage::Starting, _) => self.begin_start(now),
            (_, PartnerRole::Principal) => {
                log.mark_redone(log.hardened());
                self.damaged = log.end() < self.record.failover_lsn;
                if self.damaged {
                    let known = self.record.failover_lsn;
                    out.log(msg::LOG_LOST.with(&[&self.record.database, &log.end(), &known]));
                }
                self.consider_service("the database is recovered", out);
                self.show_first_state(out);
                if !self.serving {
                    out.log(msg::RECOVERY_BYPASSED_QUORUM.with(&[&self.record.database]));
                }
            }
            (_, PartnerRole::Mirror) => {
                self.redo_asked = log.redone();
                self.show_first_state(out);
                out.log(msg::RECOVERY_BYPASSED_MIRROR.with(&[&self.record.database]));
                self.redo_hardened(log, out);
            }
        }
    }

    /// Takes one input and queues what follows from it.
    pub fn handle(&mut self, now: Timestamp, input: PartnerInput, log: &mut Log, out: &mut Outbox) {
        if self.stage == Stage::Gone {
            return;
        }
        match input {
            PartnerInput::Appended => {}
            PartnerInput::Discarded { to } => self.on_discarded(to, out),
            PartnerInput::Hardened { to } => {
                log.mark_hardened(to);
                self.on_log_progress(log, out);
            }
            PartnerInput::Redone { to } => {
                log.mark_redone(to);
                self.on_log_progress(log, out);
            }
            PartnerInput::Persisted { ticket } => self.on_persisted(now, ticket, log, out),
            PartnerInput::Truncated { to } => self.on_truncated(now, to, log, out),
            other => {
                self.note_links(&other);
                self.stalled.push_back(other);
                self.stop_without_links(out);
            }
        }
        while self.step.is_none()
            && self.stage != Stage::Gone
            && let Some(input) = self.stalled.pop_front()
        {
            self.apply(now, input, log, out);
            self.on_log_progress(log, out);
        }
    }

    // What the roles share.

    pub(super) fn is_stalled(&self) -> bool {
        self.step.is_some()
    }

    /// Handles the loss and return of the partner's link, then `message`, before anything that waits.
    pub(super) fn reconnect_then(&mut self, message: Message) {
        self.stalled.push_front(PartnerInput::FromPartner(message));
        self.stalled.push_front(PartnerInput::PartnerUp);
        self.stalled.push_front(PartnerInput::PartnerDown {
            cause: LinkLoss::Hard,
        });
    }

    /// A number above all before, for greetings and requests. From the clock, so that a restart does not repeat one.
    pub(super) fn number(&mut self, now: Timestamp) -> u64 {
        self.last_number = now.as_micros().max(self.last_number + 1);
        self.last_number
    }

    /// A message of this session and role sequence is acted on.
    pub(super) fn acts_on(&mut self, session: Guid, role_sequence: RoleSequence, out: &mut Outbox) {
        if self.acts_on.replace((session, role_sequence)) != Some((session, role_sequence)) {
            out.emit(SessionEvent::ActsOn {
                database: self.record.database.clone(),
                session,
                role_sequence,
            });
        }
    }

    /// Numbers given from here on are above `number`, too.
    pub(super) fn note_number(&mut self, number: u64) {
        self.last_number = self.last_number.max(number);
    }

    pub(super) fn is_principal(&self) -> bool {
        self.record.role == PartnerRole::Principal
    }

    pub(super) fn to_partner(&self, body: Body, out: &mut Outbox) {
        let link = match body {
            Body::Hello(_) | Body::Open(_) => self.my_link,
            _ => self.their_link,
        };
        out.push(SessionOutput::ToPartner(self.message(link, body)));
    }

    pub(super) fn to_witness(&self, body: Body, out: &mut Outbox) {
        out.push(SessionOutput::ToWitness(self.message(self.witness_link, body)));
    }

    fn message(&self, link: u64, body: Body) -> Message {
        Message {
            session: self.record.session,
            role_sequence: self.record.role_sequence,
            link,
            body,
        }
    }

    /// What partner and witness are told when the instance cannot use the database any more.
    pub fn farewell(&self) -> (Message, Message) {
        let to_partner = self.message(self.their_link, Body::Unavailable);
        (to_partner, self.message(self.witness_link, Body::Unavailable))
    }

    pub(super) fn log_position(log: &Log) -> LogPosition {
        let mut epochs = log.epochs();
        let surplus = epochs.len().saturating_sub(EPOCHS_MAX);
        epochs.drain(..surplus);
        LogPosition {
            start: log.start(),
            end: log.end(),
            hardened: log.hardened(),
            check: log.blocks().last().map_or(0, LogBlock::crc),
            epochs,
        }
    }

    /// Stalls until `record` is durable, then goes on with `then`. The record must not take the role sequence back.
    pub(super) fn persist(&mut self, mut record: PartnerRecord, then: Then, out: &mut Outbox) {
        assert!(self.step.is_none(), "one durable step at a time");
        assert!(record.role_sequence >= self.record.role_sequence);
        record.failover_lsn = self.failover_lsn;
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let record = Box::new(record);
        out.push(SessionOutput::Persist {
            ticket,
            record: record.clone(),
        });
        self.step = Some(Step::Persist { ticket, record, then });
    }

    /// Cuts the log back to `to`, stalls until tables and disk have followed, then goes on with `then`.
    pub(super) fn cut_back(&mut self, to: Lsn, log: &mut Log, then: Then, out: &mut Outbox) {
        assert!(self.step.is_none(), "one durable step at a time");
        let from = log.end();
        let undone = log.truncate(to);
        self.redo_asked = self.redo_asked.min(log.end());
        out.push(SessionOutput::Truncate { to, undone });
        out.emit(SessionEvent::LogReverted {
            database: self.record.database.clone(),
            from,
            to,
        });
        self.step = Some(Step::Truncate { to, then });
    }

    /// The session ends here; the database stays as it is.
    pub(super) fn remove(&mut self, out: &mut Outbox) {
        self.finish_command(Err(msg::REMOTE_TIMED_OUT.with(&[&self.record.partner])), out);
        self.stage = Stage::Gone;
        self.state = None;
        out.emit(SessionEvent::Removed {
            database: self.record.database.clone(),
            session: self.record.session,
        });
        out.log(msg::TERMINATED.with(&[&self.record.database]));
        out.push(SessionOutput::Removed);
    }

    fn apply(&mut self, now: Timestamp, input: PartnerInput, log: &mut Log, out: &mut Outbox) {
        match input {
            PartnerInput::PartnerUp => self.on_partner_up(now, log, out),
            PartnerInput::PartnerDown { .. } => {
                self.repairs.start_over();
                self.on_partner_down(now, out);
            }
            PartnerInput::PageDamaged { page, error } => self.on_page_damaged(page, error, out),
            PartnerInput::PageWanted { page } => self.on_page_wanted(&page, out),
            PartnerInput::PageRead {
                request,
                page,
                at,
                image,
            } => self.on_page_read(request, &page, at, image, out),
            PartnerInput::PageRestored { page, restored } => self.on_page_restored(&page, restored, out),
            PartnerInput::DataFileFailed => self.on_data_file_failed(out),
            PartnerInput::DataFileLost => self.on_data_file_lost(log, out),
            PartnerInput::WitnessUp => self.on_witness_up(now, out),
            PartnerInput::WitnessDown { .. } => self.on_witness_down(out),
            PartnerInput::FromPartner(message) => self.on_partner_message(now, message, log, out),
            PartnerInput::FromWitness(message) => self.on_witness_message(now, message, log, out),
            PartnerInput::Command(command) => self.on_command(now, command, log, out),
            PartnerInput::Wake => self.on_wake(now, out),
            PartnerInput::Appended
            | PartnerInput::Discarded { .. }
            | PartnerInput::Hardened { .. }
            | PartnerInput::Redone { .. }
            | PartnerInput::Truncated { .. }
            | PartnerInput::Persisted { .. } => {}
        }
    }

    pub(super) fn is_synchronized(&self) -> bool {
        self.state == Some(MirroringState::Synchronized)
    }

    fn on_wake(&mut self, now: Timestamp, out: &mut Outbox) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.request_takeover(now, out);
        }
        self.check_deadline(now, out);
    }

    fn on_log_progress(&mut self, log: &mut Log, out: &mut Outbox) {
        if self.is_principal() {
            log.mark_redone(log.hardened());
            self.pump(log, out);
        } else {
            self.redo_hardened(log, out);
            self.on_mirror_progress(log, out);
        }
        self.pursue_repairs(log, out);
    }

    fn on_persisted(&mut self, now: Timestamp, ticket: Ticket, log: &mut Log, out: &mut Outbox) {
        match self.step.take() {
            Some(Step::Persist {
                ticket: awaited,
                record,
                then,
            }) if awaited == ticket => {
                let before = std::mem::replace(&mut self.record, *record);
                self.note_settings(&before, out);
                self.go_on(now, then, log, out);
            }
            other => self.step = other,
        }
    }

    fn on_truncated(&mut self, now: Timestamp, to: Lsn, log: &mut Log, out: &mut Outbox) {
        match self.step.take() {
            Some(Step::Truncate { to: awaited, then }) if awaited == to => {
                self.go_on(now, then, log, out);
            }
            other => self.step = other,
        }
    }

    fn go_on(&mut self, now: Timestamp, then: Then, log: &mut Log, out: &mut Outbox) {
        match then {
            Then::Opened => self.after_opened(log, out),
            Then::SessionStarted { log: theirs } => self.after_session_started(now, &theirs, log, out),
            Then::CutBack { from, configuration } => self.record_start(from, &configuration, log, out),
            Then::StartRecorded => self.after_start_recorded(now, log, out),
            Then::SynchronizedRecorded => self.after_synchronized(out),
            Then::TakeoverPending => self.request_takeover(now, out),
            Then::PendingCleared => {}
            Then::TakenOver {
                kind,
                was_synchronized,
            } => {
                self.after_taken_over(now, kind, was_synchronized, log, out);
            }
            Then::BecameMirror { by } => self.after_became_mirror(now, by, log, out),
            Then::AdoptedSequence => self.after_adopted(now, log, out),
            Then::FailoverPending => {}
            Then::Settled {
                log: theirs,
                taken_back,
            } => self.after_settled(now, theirs.as_ref(), taken_back, log, out),
            Then::Suspended { by_mirror } => self.after_suspended(now, by_mirror, log, out),
            Then::Resumed { log: theirs } => self.after_resumed(now, &theirs, log, out),
            Then::HandingOver { end } => self.after_handing_over(end, log, out),
            Then::SafetySet => self.after_safety_set(now, out),
            Then::ConfigurationRecorded => self.after_configuration(now, out),
            Then::TimeoutSet => self.after_timeout_set(now, out),
            Then::RedoQueueSet => self.after_redo_queue_set(out),
            Then::WitnessAdded => self.after_witness_added(out),
            Then::WitnessRemoved { next } => self.after_witness_removed(now, next, out),
        }
        self.on_log_progress(log, out);
    }

    fn note_links(&mut self, input: &PartnerInput) {
        match input {
            PartnerInput::PartnerUp => self.partner_up_now = true,
            PartnerInput::PartnerDown { .. } => self.partner_up_now = false,
            PartnerInput::WitnessUp => self.witness_up_now = true,
            PartnerInput::WitnessDown { .. } => self.witness_up_now = false,
            _ => {}
        }
    }
}
