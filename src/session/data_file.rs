//! The data file of a mirror fails: the session is suspended, on both partners, until somebody says RESUME.
//!
//! A file that no write can mend, since a page that redo needs is damaged and never repaired, is *lost*: then redo has failed
//! for good, and the mirror refuses to resume for as long as it runs (after a restart the copy is suspect).
//! A principal goes on, for a failure of its data disk is no error of the session, and so does a mirror that is taking the
//! role over. Nobody resumes for them: the disk may fail again with the next write, and then the session is suspended again.
//! Source: documented, *Mirroring States*, *Possible Failures During Database Mirroring*; where the log stands, and that
//! redo goes on in memory, is ours. *MSSQLSERVER_1462* for the refusal; that the error is 3313 then is third-party.

use super::Outbox;
use super::command::Kind;
use super::partner::{Partner, Stage};
use crate::error::msg;
use crate::log::Log;
use crate::wire::mirroring::{Body, MirrorError};

/// The operating system refused to read or write the data file.
const FILE_ERROR: MirrorError = MirrorError {
    number: 823,
    state: 2,
    severity: 24,
};

/// Redo failed, and will again.
pub(super) const REDO_ERROR: MirrorError = MirrorError {
    number: msg::REDO_FAILED.number,
    state: 2,
    severity: msg::REDO_FAILED.severity,
};

impl Partner {
    pub(super) fn on_data_file_failed(&mut self, out: &mut Outbox) {
        if !self.suspends_for_its_file() {
            return;
        }
        // What a repair would resume by itself is made to last.
        if !self.record.suspended || self.may_be_resumed_for_repair() {
            self.suspend_for_error(FILE_ERROR, out);
        }
    }

    fn suspends_for_its_file(&self) -> bool {
        let lets_go = self.takeover.is_some() || self.record.takeover_pending.is_some();
        self.stage == Stage::Running && !self.is_principal() && !lets_go && !self.repairs.redo_failed()
    }

    /// No write of the data file can succeed any more.
    pub(super) fn on_data_file_lost(&mut self, log: &Log, out: &mut Outbox) {
        if self.suspends_for_its_file() {
            out.log(msg::REDO_FAILED.with(&[&self.record.database, &log.redone()]));
            self.repairs.set_redo_failed();
            self.suspend_for_error(REDO_ERROR, out);
        }
    }

    /// Mirror: the principal wants to resume.
    pub(super) fn on_resume_asked(&mut self, log: &Log, out: &mut Outbox) {
        match self.repairs.redo_failed() {
            true => self.tell_error(out),
            false => {
                let log = Partner::log_position(log);
                self.to_partner(Body::ResumeFrom { log }, out);
            }
        }
    }

    /// Principal: a mirror whose redo failed for good does not resume.
    pub(super) fn refuse_resume(&mut self, error: &MirrorError, out: &mut Outbox) {
        let resuming = self
            .command
            .as_ref()
            .is_some_and(|c| matches!(c.kind, Kind::Resume));
        if resuming && error.number == REDO_ERROR.number {
            self.finish_command(Err(msg::CANNOT_RESUME.with(&[&self.record.database])), out);
        }
    }
}
