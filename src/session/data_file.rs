//! The data file of a mirror fails: the session is suspended, on both partners, until somebody says RESUME.
//!
//! A principal goes on, for a failure of its data disk is no error of the session, and so does a mirror that is taking the
//! role over. Nobody resumes for them: the disk may fail again with the next write, and then the session is suspended again.
//! Source: documented, *Mirroring States*, *Possible Failures During Database Mirroring*; where the log stands, and that
//! redo goes on in memory, is ours.

use super::Outbox;
use super::partner::{Partner, Stage};
use crate::wire::mirroring::MirrorError;

/// The operating system refused to read or write the data file.
const FILE_ERROR: MirrorError = MirrorError {
    number: 823,
    state: 2,
    severity: 24,
};

impl Partner {
    pub(super) fn on_data_file_failed(&mut self, out: &mut Outbox) {
        let lets_go = self.takeover.is_some() || self.record.takeover_pending.is_some();
        if self.stage != Stage::Running || self.is_principal() || lets_go {
            return;
        }
        // What a repair would resume by itself is made to last.
        if !self.record.suspended || self.may_be_resumed_for_repair() {
            self.suspend_for_error(FILE_ERROR, out);
        }
    }
}
