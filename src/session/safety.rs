//! Changing transaction safety in flight: `SET PARTNER SAFETY FULL | OFF`.
//!
//! The mirror records the new level first, then the principal. So a mirror under OFF never takes over by itself, even if
//! the principal has not yet recorded it; and when the two meet again the newer level, by its sequence, is that of both.
//! With OFF commits wait for the local disk alone and the session shows SYNCHRONIZING even when nothing is left to send
//! (C4). Source: documented, *Change Transaction Safety*; order and sequence derived.

use super::command::Kind;
use super::partner::{Pair, Partner, Then};
use super::principal::Gate;
use super::{Outbox, SessionOutput};
use crate::error::{SqlError, msg};
use crate::types::{MirroringState, Safety, Timestamp};
use crate::wire::mirroring::Body;

impl Partner {
    pub(super) fn set_safety(
        &mut self,
        now: Timestamp,
        safety: Safety,
        out: &mut Outbox,
    ) -> Result<(), SqlError> {
        self.check_principal()?;
        if self.pair != Pair::Established {
            return Err(msg::BOTH_PARTNERS_NEEDED.with(&[&self.record.database]));
        }
        if self.record.safety == safety {
            out.push(SessionOutput::CommandDone(Ok(())));
            return Ok(());
        }
        let mut configuration = self.record.configuration();
        configuration.safety = safety;
        configuration.safety_sequence = configuration.safety_sequence.saturating_add(1);
        configuration.sequence = configuration.sequence.saturating_add(1);
        let sequence = configuration.sequence;
        self.begin_command(now, Kind::Safety { safety, sequence });
        self.to_partner(Body::Configure { configuration }, out);
        Ok(())
    }

    /// Principal: the mirror recorded the new level.
    pub(super) fn record_safety(&mut self, safety: Safety, sequence: u32, out: &mut Outbox) {
        let mut record = self.record.clone();
        record.safety = safety;
        record.safety_sequence = record.safety_sequence.saturating_add(1);
        record.configuration_sequence = sequence;
        self.persist(record, Then::SafetySet, out);
    }

    pub(super) fn after_safety_set(&mut self, now: Timestamp, out: &mut Outbox) {
        if self.record.safety == Safety::Off && self.pair == Pair::Established {
            self.gate = Gate::Open;
            if self.is_synchronized() {
                self.set_state(MirroringState::Synchronizing, Some(13), out);
            }
        }
        self.attach(now, out);
        self.finish_command(Ok(()), out);
    }
}
