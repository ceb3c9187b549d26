//! From a message to its bytes; every limit is checked on the way out, too.

use super::{
    BLOCK_FRAME_BYTES_MAX, Body, Configuration, Denial, EPOCHS_MAX, Hello, LogPosition, MessageError,
    TEXT_BYTES_MAX, WitnessAttach, kind, limit,
};
use crate::types::{Lsn, PartnerRole, RecoveryPath, STEPS_MAX, Safety, SwitchKind};
use crate::wire::compression::{self, Packed};

#[derive(Default)]
pub(in crate::wire) struct Writer {
    pub(super) out: Vec<u8>,
}

impl Writer {
    pub(super) fn body(&mut self, body: &Body) -> Result<(), MessageError> {
        match body {
            Body::Open(open) => {
                self.u8(kind::OPEN);
                self.text(open.database.as_str())?;
                self.bytes(open.family.as_bytes());
                self.text(&open.name)?;
                self.log(&open.log)?;
                self.u32(open.epoch_base);
                self.u64(open.backed_up.get());
                self.path(&open.path)?;
                self.configuration(&open.configuration)?;
            }
            Body::Opened { name, log } => {
                self.u8(kind::OPENED);
                self.text(name)?;
                self.log(log)?;
            }
            Body::OpenRefused { number } => self.tagged_u32(kind::OPEN_REFUSED, *number),
            Body::Removed => self.u8(kind::REMOVED),
            Body::NoSession => self.u8(kind::NO_SESSION),
            Body::Unavailable => self.u8(kind::UNAVAILABLE),
            Body::Probe => self.u8(kind::PROBE),
            Body::Hello(hello) => self.hello(hello)?,
            Body::Start { from, configuration } => {
                self.tagged_lsn(kind::START, *from);
                self.configuration(configuration)?;
            }
            Body::StartSuspended { configuration } => {
                self.u8(kind::START_SUSPENDED);
                self.configuration(configuration)?;
            }
            Body::Suspended {
                suspend_sequence,
                error,
            } => {
                self.tagged_u32(kind::SUSPENDED, *suspend_sequence);
                self.flag(error.is_some());
                if let Some(error) = error {
                    self.u32(error.number);
                    self.u8(error.state);
                    self.u8(error.severity);
                }
            }
            Body::Resume => self.u8(kind::RESUME),
            Body::ResumeFrom { log } => {
                self.u8(kind::RESUME_FROM);
                self.log(log)?;
            }
            Body::TakeOver { end, mine, check } => {
                self.tagged_lsn(kind::TAKE_OVER, *end);
                self.u64(mine.get());
                self.u32(*check);
            }
            Body::Started { hardened, redone } => {
                self.tagged_lsn(kind::STARTED, *hardened);
                self.u64(redone.get());
            }
            Body::Supersede { to } => self.tagged_u32(kind::SUPERSEDE, *to),
            Body::Block { frame } => {
                limit("a log block", frame.len(), BLOCK_FRAME_BYTES_MAX)?;
                match compression::pack(frame) {
                    Packed::AsItIs(frame) => {
                        self.tagged_u32(kind::BLOCK, frame.len() as u32);
                        self.bytes(frame);
                    }
                    Packed::Compressed { length, bytes } => {
                        self.tagged_u32(kind::COMPRESSED_BLOCK, length as u32);
                        self.u32(bytes.len() as u32);
                        self.bytes(&bytes);
                    }
                }
            }
            Body::Discarded { to } => self.tagged_lsn(kind::DISCARDED, *to),
            Body::Page(page) => {
                self.u8(kind::PAGE);
                page.write(self)?;
            }
            Body::HardenedUpTo { lsn } => self.tagged_lsn(kind::HARDENED_UP_TO, *lsn),
            Body::RedoneUpTo { lsn } => self.tagged_lsn(kind::REDONE_UP_TO, *lsn),
            Body::Synchronize { at } => self.tagged_lsn(kind::SYNCHRONIZE, *at),
            Body::Synchronized => self.u8(kind::SYNCHRONIZED),
            Body::Configure { configuration } => {
                self.u8(kind::CONFIGURE);
                self.configuration(configuration)?;
            }
            Body::Configured { sequence } => self.tagged_u32(kind::CONFIGURED, *sequence),
            Body::ProposeWitness { address } => {
                self.u8(kind::PROPOSE_WITNESS);
                self.text(&address.to_string())?;
            }
            Body::WitnessReached { reached } => {
                self.u8(kind::WITNESS_REACHED);
                self.flag(*reached);
            }
            Body::FailoverPrepare { end } => self.tagged_lsn(kind::FAILOVER_PREPARE, *end),
            Body::FailoverRefused => self.u8(kind::FAILOVER_REFUSED),
            Body::FailoverDone { end } => self.tagged_lsn(kind::FAILOVER_DONE, *end),
            Body::WitnessAttach(attach) => self.attach(attach)?,
            Body::SyncState {
                request,
                synchronized,
            } => {
                self.u8(kind::SYNC_STATE);
                self.u64(*request);
                self.flag(*synchronized);
            }
            Body::TakeoverRequest { request, to, forced } => {
                self.u8(kind::TAKEOVER_REQUEST);
                self.u64(*request);
                self.u32(*to);
                self.flag(*forced);
            }
            Body::TakeoverDenied { request, denial } => {
                self.u8(kind::TAKEOVER_DENIED);
                self.u64(*request);
                self.u8(match denial {
                    Denial::PrincipalConnected => 1,
                    Denial::NotSynchronized => 2,
                    Denial::OtherRecord => 3,
                });
            }
            Body::WitnessReport {
                answers,
                owner,
                synchronized,
            } => {
                self.u8(kind::WITNESS_REPORT);
                self.u64(*answers);
                self.text(owner)?;
                self.flag(*synchronized);
            }
            Body::WitnessRefused { number } => self.tagged_u32(kind::WITNESS_REFUSED, *number),
        }
        Ok(())
    }

    pub(super) fn hello(&mut self, hello: &Hello) -> Result<(), MessageError> {
        self.u8(kind::HELLO);
        self.flag(hello.reply_to.is_some());
        self.u64(hello.reply_to.unwrap_or(0));
        self.role(hello.role);
        self.text(&hello.name)?;
        self.flag(hello.synchronized);
        self.flag(hello.takeover_pending.is_some());
        self.u32(hello.takeover_pending.unwrap_or(0));
        self.flag(hello.takeover_forced);
        self.flag(hello.failover_pending);
        self.u8(match hello.owner_by {
            None => 0,
            Some(SwitchKind::Automatic) => 1,
            Some(SwitchKind::Manual) => 2,
            Some(SwitchKind::Forced) => 3,
        });
        self.log(&hello.log)?;
        self.configuration(&hello.configuration)
    }

    pub(super) fn attach(&mut self, attach: &WitnessAttach) -> Result<(), MessageError> {
        self.u8(kind::WITNESS_ATTACH);
        self.flag(attach.invite);
        self.text(attach.database.as_str())?;
        self.bytes(attach.family.as_bytes());
        self.text(&attach.name)?;
        self.text(&attach.partner_name)?;
        self.role(attach.role);
        self.safety(attach.safety);
        self.u32(attach.safety_sequence);
        self.u16(attach.timeout_seconds);
        self.flag(attach.suspended);
        self.u32(attach.suspend_sequence);
        self.flag(attach.synchronized);
        Ok(())
    }

    pub(super) fn configuration(&mut self, configuration: &Configuration) -> Result<(), MessageError> {
        self.u32(configuration.sequence);
        self.safety(configuration.safety);
        self.u32(configuration.safety_sequence);
        self.flag(configuration.witness.is_some());
        if let Some(witness) = &configuration.witness {
            self.text(&witness.to_string())?;
        }
        self.u16(configuration.timeout_seconds);
        self.u32(configuration.redo_queue_mb.unwrap_or(0));
        self.flag(configuration.suspended);
        self.u32(configuration.suspend_sequence);
        Ok(())
    }

    pub(super) fn log(&mut self, log: &LogPosition) -> Result<(), MessageError> {
        limit("a list of role sequences", log.epochs.len(), EPOCHS_MAX)?;
        for lsn in [log.start, log.end, log.hardened] {
            self.u64(lsn.get());
        }
        self.u32(log.check);
        self.u16(log.epochs.len() as u16);
        for (role_sequence, start) in &log.epochs {
            self.u32(*role_sequence);
            self.u64(start.get());
        }
        Ok(())
    }

    pub(super) fn path(&mut self, path: &RecoveryPath) -> Result<(), MessageError> {
        limit("a recovery path", path.steps().len(), STEPS_MAX)?;
        self.u16(path.steps().len() as u16);
        for step in path.steps() {
            self.bytes(step.fork.as_bytes());
            self.u32(step.epoch);
            self.u64(step.from.get());
        }
        Ok(())
    }

    pub(in crate::wire) fn text(&mut self, text: &str) -> Result<(), MessageError> {
        limit("a text", text.len(), TEXT_BYTES_MAX)?;
        self.u16(text.len() as u16);
        self.bytes(text.as_bytes());
        Ok(())
    }

    pub(super) fn role(&mut self, role: PartnerRole) {
        self.u8(match role {
            PartnerRole::Principal => 1,
            PartnerRole::Mirror => 2,
        });
    }

    pub(super) fn safety(&mut self, safety: Safety) {
        self.u8(match safety {
            Safety::Off => 1,
            Safety::Full => 2,
        });
    }

    fn tagged_u32(&mut self, tag: u8, value: u32) {
        self.u8(tag);
        self.u32(value);
    }

    fn tagged_lsn(&mut self, tag: u8, lsn: Lsn) {
        self.u8(tag);
        self.u64(lsn.get());
    }

    pub(super) fn flag(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    pub(in crate::wire) fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    pub(in crate::wire) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }

    pub(in crate::wire) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    pub(in crate::wire) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    pub(in crate::wire) fn i64(&mut self, value: i64) {
        self.bytes(&value.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }
}
