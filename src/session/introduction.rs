//! A partner's link to its witness: introducing itself, and what the witness reports of its record.

use super::Outbox;
use super::partner::{Partner, Stage};
use super::principal::Gate;
use crate::error::msg;
use crate::log::Log;
use crate::types::{MirroringState, PartnerRole, RoleSequence, Timestamp};
use crate::wire::mirroring::{Body, Message, WitnessAttach};

impl Partner {
    pub(super) fn on_witness_up(&mut self, now: Timestamp, out: &mut Outbox) {
        if self.witness_up {
            self.on_witness_down(out);
        }
        self.witness_left = false;
        self.witness_up = true;
        self.witness_tried = true;
        if !self.witness_reached(out) {
            self.attach(now, out);
        }
    }

    pub(super) fn on_witness_down(&mut self, out: &mut Outbox) {
        if std::mem::take(&mut self.witness_left) {
            return;
        }
        self.witness_up = false;
        self.witness_tried = true;
        let known = std::mem::take(&mut self.witness_confirmed);
        if self.witness_lost_in_command(out) {
            return;
        }
        self.disarm();
        if self.record.witness.is_none() {
            return;
        }
        if known {
            self.emit_links(out);
        }
        match self.record.role {
            PartnerRole::Principal => {
                if known && self.is_synchronized() {
                    self.set_state(MirroringState::Synchronized, Some(2), out);
                }
                self.consider_service("the witness was lost", out);
            }
            PartnerRole::Mirror if known && self.is_synchronized() => {
                self.set_state(MirroringState::Synchronized, Some(4), out);
            }
            PartnerRole::Mirror if known && !self.partner_up => {
                self.set_state(self.apart(), Some(10), out);
            }
            PartnerRole::Mirror => {}
        }
    }

    /// Introduces this partner, as it is now, to the witness.
    pub(super) fn attach(&mut self, now: Timestamp, out: &mut Outbox) {
        let configured = self.record.witness.is_some() || self.inviting();
        if !self.witness_up || !configured || self.stage != Stage::Running {
            return;
        }
        self.witness_link = self.number(now);
        self.witness_request = self.witness_link;
        let synchronized = self.is_principal() && self.gate == Gate::Closed && self.is_synchronized();
        if synchronized {
            self.witness_veto = false;
        }
        let attach = WitnessAttach {
            invite: self.inviting(),
            database: self.record.database.clone(),
            family: self.record.family,
            name: self.identity.name.clone(),
            partner_name: self.record.partner_name.clone(),
            role: self.record.role,
            safety: self.record.safety,
            safety_sequence: self.record.safety_sequence,
            timeout_seconds: self.record.timeout_seconds,
            suspended: self.record.suspended,
            suspend_sequence: self.record.suspend_sequence,
            synchronized: synchronized && !self.inviting(),
        };
        self.to_witness(Body::WitnessAttach(Box::new(attach)), out);
    }

    pub(super) fn on_witness_message(
        &mut self,
        now: Timestamp,
        message: Message,
        log: &mut Log,
        out: &mut Outbox,
    ) {
        if message.session != self.record.session || !self.witness_up {
            return;
        }
        match message.body {
            Body::WitnessReport {
                answers,
                owner,
                synchronized,
            } if message.link == self.witness_link => {
                let report = Report {
                    answers,
                    mine: owner == self.identity.name,
                    role_sequence: message.role_sequence,
                    synchronized,
                };
                self.on_report(now, report, log, out);
            }
            Body::TakeoverDenied { request, denial } if message.link == self.witness_link => {
                self.on_denied(request, denial, out);
            }
            Body::WitnessRefused { .. } | Body::Removed | Body::NoSession => {
                if self.refused_in_command(out) {
                    return;
                }
                if self.record.witness.is_some() {
                    out.log(msg::WITNESS_NO_ENTRY.with(&[&self.record.session]));
                }
                self.on_witness_down(out);
            }
            _ => {}
        }
    }

    pub(super) fn on_report(&mut self, now: Timestamp, report: Report, log: &mut Log, out: &mut Outbox) {
        let known = std::mem::replace(&mut self.witness_confirmed, true);
        if self.is_principal() {
            self.on_report_to_principal(now, &report, out);
        } else {
            self.on_report_to_mirror(&report, log, out);
        }
        if self.witness_confirmed != known && self.record.witness.is_some() {
            self.emit_links(out);
            if self.witness_confirmed && self.is_synchronized() {
                let trace_id = if self.is_principal() { 1 } else { 3 };
                self.set_state(MirroringState::Synchronized, Some(trace_id), out);
            }
        }
    }
}

/// What the witness said its record holds.
#[derive(Debug)]
pub(super) struct Report {
    pub answers: u64,
    /// This instance is the owner of the principal role.
    pub mine: bool,
    pub role_sequence: RoleSequence,
    pub synchronized: bool,
}
