//! Pausing a session and resuming it: `SET PARTNER SUSPEND | RESUME`.
//!
//! Whoever is told to suspend records it first and then tells the other; without a connection it is enough that one did,
//! for the newer suspension wins when they meet. The statement ends once no automatic failover is possible any more. Only
//! RESUME ends a suspension: the mirror says where its log stands, the principal records that the session goes on and
//! starts from what both have in common, which is when a copy that lost its role to a forced service is rolled back.
//! Source: documented, *Pausing and Resuming Database Mirroring*; S7 and C11 for where they may be run.

use super::command::Kind;
use super::partner::{Pair, Partner, Then};
use super::principal::Gate;
use super::{Outbox, SessionOutput};
use crate::error::{SqlError, msg};
use crate::log::Log;
use crate::types::{MirroringState, PartnerRole, Timestamp};
use crate::wire::mirroring::{Body, LogPosition, MirrorError};

impl Partner {
    pub(super) fn suspend(&mut self, now: Timestamp, out: &mut Outbox) -> Result<(), SqlError> {
        if self.suspension_lasts() {
            out.push(SessionOutput::CommandDone(Ok(())));
            return Ok(());
        }
        match self.record.role {
            PartnerRole::Principal if !self.serving => {
                return Err(msg::NEITHER_AVAILABLE.with(&[&self.record.database]));
            }
            PartnerRole::Mirror if self.takeover.is_some() || self.record.takeover_pending.is_some() => {
                return Err(msg::MIRROR_BUSY.error());
            }
            _ => {}
        }
        self.begin_command(now, Kind::Suspend);
        let mut record = self.record.clone();
        if record.suspended && record.role == PartnerRole::Mirror {
            // The next number may be that of a RESUME which is on record at the principal.
            record.suspend(false);
        }
        record.suspend(true);
        self.persist(record, Then::Suspended { by_mirror: false }, out);
        Ok(())
    }

    /// Whether only a RESUME from here on can end the suspension. What the mirror suspended for a repair would be resumed by
    /// itself. And a mirror does not know whether a RESUME was recorded before the link or the principal was lost: a SUSPEND
    /// that comes later must outlive it, and so is recorded once more.
    fn suspension_lasts(&self) -> bool {
        self.record.suspended && self.is_principal() && !self.may_be_resumed_for_repair()
    }

    /// The suspension is recorded here; now the other partner, and the witness, are to know.
    pub(super) fn after_suspended(&mut self, now: Timestamp, by_mirror: bool, log: &Log, out: &mut Outbox) {
        self.synchronize_at = None;
        self.disarm();
        self.set_state(MirroringState::Suspended, Some(9), out);
        if self.inviting() {
            self.give_witness_up(msg::WITNESS_NEEDS_ALL.error(), out);
        }
        if self.pair == Pair::Established {
            if by_mirror {
                self.gate = Gate::Open;
                self.attach(now, out);
            }
            match self.record.role {
                PartnerRole::Principal => self.send_configuration(out),
                PartnerRole::Mirror => {
                    self.tell_suspended(out);
                }
            }
        } else {
            self.attach(now, out);
        }
        if matches!(self.pair, Pair::Greeting { .. } | Pair::Starting) {
            // What was said of this side is not true any more.
            self.greet(now, None, log, out);
        }
        self.settle_suspension(now, out);
    }

    fn tell_suspended(&self, out: &mut Outbox) {
        let suspended = Body::Suspended {
            suspend_sequence: self.record.suspend_sequence,
            error: self.own_error(),
        };
        self.to_partner(suspended, out);
    }

    /// Mirror: a principal that was not connected when this copy met an error hears of it as soon as it is.
    pub(super) fn tell_error(&self, out: &mut Outbox) {
        if self.own_error().is_some() {
            self.tell_suspended(out);
        }
    }

    /// Principal: the mirror suspended the session, and has recorded that it is not synchronized.
    pub(super) fn on_suspended_by_mirror(
        &mut self,
        suspend_sequence: u32,
        error: Option<MirrorError>,
        out: &mut Outbox,
    ) {
        if let Some(error) = error {
            self.note_mirror_error(suspend_sequence, &error, out);
            self.refuse_resume(&error, out);
        }
        let known = self.record.suspend_sequence;
        if suspend_sequence < known || suspend_sequence == known && self.record.suspended {
            return self.send_configuration(out);
        }
        let mut record = self.record.clone();
        if suspend_sequence == known {
            // SUSPEND was given there while the suspension before was ended here: suspended wins, above both.
            record.suspend(true);
        } else {
            record.suspended = true;
            record.suspend_sequence = suspend_sequence;
            record.suspended_here = false;
            record.configuration_sequence = record.configuration_sequence.saturating_add(1);
        }
        self.persist(record, Then::Suspended { by_mirror: true }, out);
    }

    /// Principal: the mirror recorded a configuration with the suspension.
    pub(super) fn on_suspension_configured(&mut self, now: Timestamp, out: &mut Outbox) {
        if self.record.suspended && self.is_principal() && self.gate != Gate::Open {
            self.gate = Gate::Open;
        }
        self.settle_suspension(now, out);
    }

    /// Ends a SUSPEND once nothing can take over any more: on the mirror when it has recorded it and the principal knows,
    /// on the principal when commits need not wait for the mirror.
    pub(super) fn settle_suspension(&mut self, now: Timestamp, out: &mut Outbox) {
        let suspending = self
            .command
            .as_ref()
            .is_some_and(|c| matches!(c.kind, Kind::Suspend));
        if !suspending || !self.record.suspended || self.is_stalled() {
            return;
        }
        let settled = match self.record.role {
            PartnerRole::Principal => self.gate == Gate::Open && self.serving,
            PartnerRole::Mirror => self.pair == Pair::Down,
        };
        if settled {
            if self.is_principal() {
                self.attach(now, out);
            }
            self.finish_command(Ok(()), out);
        }
    }

    /// Mirror: the principal has recorded the suspension, too.
    pub(super) fn suspension_known(&mut self, out: &mut Outbox) {
        let suspending = self
            .command
            .as_ref()
            .is_some_and(|c| matches!(c.kind, Kind::Suspend));
        if suspending && self.record.suspended {
            self.finish_command(Ok(()), out);
        }
    }

    pub(super) fn resume(&mut self, now: Timestamp, out: &mut Outbox) -> Result<(), SqlError> {
        self.check_principal()?;
        if !self.record.suspended {
            out.push(SessionOutput::CommandDone(Ok(())));
            return Ok(());
        }
        if self.pair != Pair::Established {
            return Err(msg::BOTH_PARTNERS_NEEDED.with(&[&self.record.database]));
        }
        self.begin_command(now, Kind::Resume);
        self.to_partner(Body::Resume, out);
        Ok(())
    }

    /// The mirror said where its log stands. The session goes on if the two logs have something in common.
    pub(super) fn on_resume_from(&mut self, theirs: LogPosition, log: &Log, out: &mut Outbox) {
        let resuming = self
            .command
            .as_ref()
            .is_some_and(|c| matches!(c.kind, Kind::Resume));
        let resuming = self.take_resuming() || resuming;
        if !resuming || !self.record.suspended {
            return;
        }
        if log
            .common_point(theirs.start, &theirs.epochs, theirs.end)
            .is_none()
        {
            let error = msg::REMOTE_NOT_IN_RANGE.with(&[&self.record.database]);
            return self.finish_command(Err(error), out);
        }
        let mut record = self.record.clone();
        record.suspend(false);
        self.persist(record, Then::Resumed { log: theirs }, out);
    }

    pub(super) fn after_resumed(
        &mut self,
        now: Timestamp,
        theirs: &LogPosition,
        log: &Log,
        out: &mut Outbox,
    ) {
        self.set_state(MirroringState::Synchronizing, Some(13), out);
        self.attach(now, out);
        self.send_start(theirs, log, out);
    }

    pub(super) fn end_resume_command(&mut self, out: &mut Outbox) {
        if self
            .command
            .as_ref()
            .is_some_and(|c| matches!(c.kind, Kind::Resume))
        {
            self.finish_command(Ok(()), out);
        }
    }
}
