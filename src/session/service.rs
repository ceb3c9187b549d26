//! Whether a partner serves the database: role, quorum and a pending failover put together, and what ends with service.

use super::partner::{Partner, Stage};
use super::principal::Gate;
use super::quorum::{Tie, Verdict, verdict};
use super::{Outbox, SessionOutput};
use crate::types::{MirroringState, SessionEvent};

impl Partner {
    /// How this side stands to the partner and to the witness, for the quorum rule.
    pub(super) fn ties(&self) -> (Tie, Option<Tie>) {
        let tie = |up, confirmed| match (up, confirmed) {
            (false, _) => Tie::Down,
            (true, false) => Tie::Up,
            (true, true) => Tie::Confirmed,
        };
        let partner = tie(self.partner_up && self.partner_up_now, self.partner_confirmed);
        let witness = tie(self.witness_up && self.witness_up_now, self.witness_confirmed);
        (partner, self.record.witness.as_ref().map(|_| witness))
    }

    /// Serves or stops serving, as role, pending failover and quorum say.
    pub(super) fn consider_service(&mut self, reason: &'static str, out: &mut Outbox) {
        let (partner, witness) = self.ties();
        let owns = self.is_principal() && !self.record.failover_pending && !self.damaged;
        match (owns, verdict(self.serving, partner, witness)) {
            (true, Verdict::Serve) => self.serve(reason, out),
            (true, Verdict::Keep) => {}
            (true, Verdict::Stop) => {
                if self.stop_serving(
                    "neither the partner nor the witness confirms the principal role",
                    out,
                ) {
                    self.set_state(self.apart(), Some(10), out);
                }
            }
            (false, _) => {
                self.stop_serving(reason, out);
            }
        }
    }

    /// The state of a process that has just started, for nobody knows it yet: SUSPENDED or DISCONNECTED, exposed or
    /// without quorum.
    pub(super) fn show_first_state(&mut self, out: &mut Outbox) {
        self.state = None;
        if self.record.suspended {
            self.set_state(self.apart(), Some(9), out);
        }
        match (self.serving, &self.record.witness) {
            (true, _) => self.show_exposed(out),
            (false, Some(_)) => self.set_state(self.apart(), Some(10), out),
            (false, None) => self.set_state(self.apart(), None, out),
        }
    }

    /// The state without a connection to the partner: a suspended session shows SUSPENDED until it is resumed.
    pub(super) fn apart(&self) -> MirroringState {
        match self.record.suspended {
            true => MirroringState::Suspended,
            false => MirroringState::Disconnected,
        }
    }

    pub(super) fn serve(&mut self, reason: &'static str, out: &mut Outbox) {
        if self.record.witness.is_none() && !self.partner_confirmed {
            self.gate = Gate::Open;
        }
        if !self.serving {
            self.serving = true;
            out.push(SessionOutput::Serve(true));
            self.emit_serving(reason, out);
        }
    }

    /// Ends service and what waits on it; whether there was any. From here on nothing is confirmed before a partner or
    /// the witness has confirmed the role anew.
    pub(super) fn stop_serving(&mut self, reason: &'static str, out: &mut Outbox) -> bool {
        if !self.serving {
            return false;
        }
        self.serving = false;
        self.gate = Gate::Closed;
        out.push(SessionOutput::Serve(false));
        out.push(SessionOutput::CutClients { reason });
        self.emit_serving(reason, out);
        true
    }

    pub(super) fn emit_serving(&self, reason: &str, out: &mut Outbox) {
        out.emit(SessionEvent::Serving {
            database: self.record.database.clone(),
            serving: self.serving,
            role_sequence: self.record.role_sequence,
            reason: reason.to_owned(),
        });
    }

    /// Quorum is lost the moment both links are, even while a durable step is under way.
    pub(super) fn stop_without_links(&mut self, out: &mut Outbox) {
        if self.is_stalled() && self.is_principal() && self.stage == Stage::Running {
            let lost = self.record.witness.is_some() && !self.partner_up_now && !self.witness_up_now;
            if lost {
                self.stop_serving("neither the partner nor the witness is connected", out);
            }
        }
    }
}
