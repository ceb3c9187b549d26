//! What a partner says to the outside: changes of state, role and links as events, and the lines of the error log.

use super::Outbox;
use super::partner::Partner;
use super::record::PartnerRecord;
use crate::error::msg;
use crate::types::{MirroringState, PartnerRole, SessionEvent, SwitchKind};

impl Partner {
    pub(super) fn set_state(&mut self, to: MirroringState, trace_id: Option<u8>, out: &mut Outbox) {
        let from = self.state.replace(to);
        if from != Some(to) || trace_id.is_some() {
            out.emit(SessionEvent::State {
                database: self.record.database.clone(),
                role: self.record.role,
                from,
                to,
                trace_id,
            });
        }
    }

    pub(super) fn emit_links(&self, out: &mut Outbox) {
        out.emit(SessionEvent::Links {
            database: self.record.database.clone(),
            partner: self.partner_state(),
            witness: self.witness_state(),
        });
    }

    pub(super) fn note(&self, text: impl Into<String>, out: &mut Outbox) {
        out.emit(SessionEvent::Note {
            database: self.record.database.clone(),
            text: text.into(),
        });
    }

    /// Notes role and sequence as they are now recorded; `by` if the role changed hands.
    pub(super) fn emit_role(&self, from: Option<PartnerRole>, by: Option<SwitchKind>, out: &mut Outbox) {
        out.emit(SessionEvent::Role {
            database: self.record.database.clone(),
            from,
            to: self.record.role,
            role_sequence: self.record.role_sequence,
        });
        if let (Some(from), Some(by)) = (from, by) {
            let why = match by {
                SwitchKind::Automatic => "Automatic Failover",
                SwitchKind::Manual => "Manual Failover",
                SwitchKind::Forced => "Forced Service",
            };
            out.log(msg::ROLE_CHANGE.with(&[&self.record.database, &from, &self.record.role, &why]));
        }
    }

    /// Tells the settings if they are not those of the record `before`, or if the session was not on record.
    pub(super) fn note_settings(&self, before: &PartnerRecord, out: &mut Outbox) {
        let of = |record: &PartnerRecord| {
            let settings = record.configuration();
            (
                record.started,
                settings.safety,
                settings.safety_sequence,
                settings.suspended,
                settings.suspend_sequence,
                (settings.timeout_seconds, settings.redo_queue_mb),
            )
        };
        if of(before) != of(&self.record) {
            self.emit_settings(out);
        }
    }

    pub(super) fn emit_settings(&self, out: &mut Outbox) {
        let record = &self.record;
        out.emit(SessionEvent::Settings {
            database: record.database.clone(),
            session: record.session,
            safety: record.safety,
            safety_sequence: record.safety_sequence,
            suspended: record.suspended,
            suspend_sequence: record.suspend_sequence,
            timeout_seconds: record.timeout_seconds,
            redo_queue_mb: record.redo_queue_mb,
        });
    }

    /// `anew` if it may have been told before.
    pub(super) fn emit_witness_set(&self, anew: bool, out: &mut Outbox) {
        out.emit(SessionEvent::WitnessSet {
            database: self.record.database.clone(),
            witness: self.record.witness.clone(),
            anew,
        });
    }

    pub(super) fn note_configured(&self, out: &mut Outbox) {
        out.emit(SessionEvent::Configured {
            database: self.record.database.clone(),
            session: self.record.session,
            role: self.record.role,
            partner: self.record.partner.clone(),
        });
    }
}
