//! Forced service: `SET PARTNER FORCE_SERVICE_ALLOW_DATA_LOSS`, run on the mirror.
//!
//! The mirror goes on as principal with what it has, under the next role sequence and suspended, so that nothing is rolled
//! back before an operator resumes. With a witness set the witness must be connected, must not see the principal, and
//! records the new owner first: it will not confirm the former one any more. Without one both partners may serve.
//! Source: documented, *Force Service in a Database Mirroring Session*; C2, S8.

use super::Outbox;
use super::command::Kind;
use super::partner::{Partner, Then};
use super::principal::Gate;
use crate::error::{Message, SqlError, msg};
use crate::log::Log;
use crate::types::{MirroringState, PartnerRole, SwitchKind, Timestamp};

/// What a partner knows when it is told to force service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    pub role: PartnerRole,
    /// There is a connection to the other partner.
    pub partner_connected: bool,
    /// Whether the witness is connected; `None` if none is set.
    pub witness_connected: Option<bool>,
    /// The copy holds log of its own that was about to be rolled back.
    pub reverting: bool,
    /// Pages of the copy are damaged, or wait for log that only the principal has.
    pub damaged_pages: bool,
    /// It is about to take the role over anyway.
    pub taking_over: bool,
}

/// Whether service may be forced, as far as this partner can tell; if not, the message the statement ends with.
pub fn may_force(situation: &Situation) -> Result<(), &'static Message> {
    match situation {
        s if s.role == PartnerRole::Principal || s.partner_connected => Err(&msg::CANNOT_FORCE),
        s if s.damaged_pages => Err(&msg::CANNOT_FORCE),
        s if s.taking_over => Err(&msg::MIRROR_BUSY),
        s if s.witness_connected == Some(false) => Err(&msg::NEITHER_AVAILABLE),
        s if s.reverting => Err(&msg::FORCE_UNSAFE),
        _ => Ok(()),
    }
}

impl Partner {
    pub(super) fn force_service(
        &mut self,
        now: Timestamp,
        log: &Log,
        out: &mut Outbox,
    ) -> Result<(), SqlError> {
        let situation = Situation {
            role: self.record.role,
            partner_connected: self.partner_up,
            witness_connected: self
                .record
                .witness
                .as_ref()
                .map(|_| self.witness_up && self.witness_confirmed),
            reverting: self.record.reverting,
            damaged_pages: self.has_damaged_pages(),
            taking_over: self.takeover.is_some(),
        };
        let refused = |message: &Message| match message.number {
            number if number == msg::MIRROR_BUSY.number => message.error(),
            _ => message.with(&[&self.record.database]),
        };
        may_force(&situation).map_err(refused)?;
        let Some(to) = self.record.role_sequence.checked_add(1) else {
            return Err(msg::CANNOT_FORCE.with(&[&self.record.database]));
        };
        self.begin_command(now, Kind::Force);
        if self.record.witness.is_none() {
            self.take_over(SwitchKind::Forced, to, log);
            return Ok(());
        }
        self.armed = true;
        let mut record = self.record.clone();
        record.takeover_pending = Some(to);
        record.takeover_forced = true;
        self.persist(record, Then::TakeoverPending, out);
        Ok(())
    }

    pub(super) fn end_force_command(&mut self, result: Result<(), SqlError>, out: &mut Outbox) {
        if self
            .command
            .as_ref()
            .is_some_and(|c| matches!(c.kind, Kind::Force))
        {
            self.finish_command(result, out);
        }
    }

    /// The role is recorded. What the former principal has beyond this log is not touched before RESUME.
    pub(super) fn after_forced_service(&mut self, now: Timestamp, log: &Log, out: &mut Outbox) {
        self.set_state(MirroringState::Suspended, Some(7), out);
        self.set_state(MirroringState::Suspended, Some(9), out);
        self.witness_veto = self.record.witness.is_some();
        self.consider_service("forced service", out);
        if !self.serving {
            self.gate = Gate::Closed;
        }
        self.attach(now, out);
        self.greet(now, None, log, out);
        self.end_force_command(Ok(()), out);
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn the_whole_table() {
        let mut table = String::new();
        for role in [PartnerRole::Principal, PartnerRole::Mirror] {
            for partner_connected in [true, false] {
                for witness_connected in [None, Some(true), Some(false)] {
                    for reverting in [false, true] {
                        let situation = Situation {
                            role,
                            partner_connected,
                            witness_connected,
                            reverting,
                            damaged_pages: false,
                            taking_over: false,
                        };
                        let answer =
                            may_force(&situation).map_or_else(|m| m.number.to_string(), |()| "forced".into());
                        let partner = if partner_connected {
                            "partner connected"
                        } else {
                            "partner lost"
                        };
                        let witness = match witness_connected {
                            None => "no witness",
                            Some(true) => "witness connected",
                            Some(false) => "witness lost",
                        };
                        let copy = if reverting { ", to be rolled back" } else { "" };
                        writeln!(table, "{role}, {partner}, {witness}{copy}: {answer}").unwrap();
                    }
                }
            }
        }
        insta::assert_snapshot!(table);
    }
}
