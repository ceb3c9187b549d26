//! Conditions that a step, a set-up or an expectation speaks of.

use toml::Spanned;

use super::{Lowered, Lowering, Names};
use crate::sim::scenario::Condition;
use crate::sim::scenario::error::Problem;
use crate::sim::scenario::raw::*;
use crate::types::{LinkState, MirroringState, PartnerRole};

impl Lowering<'_> {
    pub(super) fn condition(&self, raw: &Spanned<RawCondition>, names: &Names) -> Lowered<Condition> {
        let c = raw.get_ref();
        let about_database =
            c.role.is_some() || c.state.is_some() || c.serving.is_some() || c.witness.is_some();
        if !about_database && c.error_log.is_none() && c.log_text.is_none() && c.alive.is_none() {
            let owner = "the condition (role, state, serving, witness, error_log, log_text, alive)";
            return Err(self.error(raw.span(), Problem::Empty { owner }, None));
        }
        Ok(Condition {
            on: self.instance(&c.on, names)?,
            database: match about_database {
                true => Some(self.database(&c.database, names, raw.span())?),
                false => None,
            },
            role: c.role.as_ref().map(|r| self.role(r)).transpose()?,
            state: c.state.as_ref().map(|s| self.state(s)).transpose()?,
            serving: c.serving,
            witness: c.witness.as_ref().map(|w| self.link(w)).transpose()?,
            error_log: c.error_log.as_ref().map(|n| self.message_number(n)).transpose()?,
            log_text: c.log_text.clone(),
            alive: c.alive,
        })
    }

    pub(super) fn role(&self, text: &Text) -> Lowered<PartnerRole> {
        let choices = [PartnerRole::Principal, PartnerRole::Mirror].map(|r| (r.desc(), r));
        self.choice(text, "role", &choices)
    }

    pub(super) fn link(&self, text: &Text) -> Lowered<LinkState> {
        let choices =
            [LinkState::Unknown, LinkState::Connected, LinkState::Disconnected].map(|l| (l.desc(), l));
        self.choice(text, "state of a connection", &choices)
    }

    pub(super) fn state(&self, text: &Text) -> Lowered<MirroringState> {
        let choices = [
            MirroringState::Suspended,
            MirroringState::Disconnected,
            MirroringState::Synchronizing,
            MirroringState::PendingFailover,
            MirroringState::Synchronized,
        ]
        .map(|s| (s.desc(), s));
        self.choice(text, "mirroring state", &choices)
    }
}
