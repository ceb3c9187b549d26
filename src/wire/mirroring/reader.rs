//! From bytes to a message: refuses what is short, unknown, over its limit or not text. Never panics.

use super::{
    BLOCK_FRAME_BYTES_MAX, Body, Configuration, Denial, EPOCHS_MAX, Hello, LogPosition, MessageError,
    MirrorError, Open, TEXT_BYTES_MAX, WitnessAttach, kind, limit,
};
use crate::types::{
    DatabaseName, Guid, Lsn, PartnerRole, PathStep, RecoveryPath, STEPS_MAX, Safety, ServerAddress,
    SwitchKind,
};
use crate::wire::compression;
use crate::wire::pages::PageMessage;

pub(in crate::wire) struct Reader<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn body(&mut self) -> Result<Body, MessageError> {
        Ok(match self.u8()? {
            kind::OPEN => Body::Open(Box::new(Open {
                database: DatabaseName::new(self.text()?),
                family: self.guid()?,
                name: self.text()?,
                log: self.log()?,
                epoch_base: self.u32()?,
                backed_up: self.lsn()?,
                path: self.path()?,
                configuration: self.configuration()?,
            })),
            kind::OPENED => Body::Opened {
                name: self.text()?,
                log: self.log()?,
            },
            kind::OPEN_REFUSED => Body::OpenRefused { number: self.u32()? },
            kind::REMOVED => Body::Removed,
            kind::NO_SESSION => Body::NoSession,
            kind::UNAVAILABLE => Body::Unavailable,
            kind::PROBE => Body::Probe,
            kind::HELLO => Body::Hello(self.hello()?),
            kind::START => Body::Start {
                from: self.lsn()?,
                configuration: self.configuration()?,
            },
            kind::START_SUSPENDED => Body::StartSuspended {
                configuration: self.configuration()?,
            },
            kind::SUSPENDED => Body::Suspended {
                suspend_sequence: self.u32()?,
                error: self.mirror_error()?,
            },
            kind::RESUME => Body::Resume,
            kind::RESUME_FROM => Body::ResumeFrom { log: self.log()? },
            kind::TAKE_OVER => Body::TakeOver {
                end: self.lsn()?,
                mine: self.lsn()?,
                check: self.u32()?,
            },
            kind::STARTED => Body::Started {
                hardened: self.lsn()?,
                redone: self.lsn()?,
            },
            kind::SUPERSEDE => Body::Supersede { to: self.u32()? },
            kind::BLOCK => {
                let length = self.u32()? as usize;
                limit("a log block", length, BLOCK_FRAME_BYTES_MAX)?;
                Body::Block {
                    frame: self.take(length)?.to_vec(),
                }
            }
            kind::COMPRESSED_BLOCK => {
                let length = self.u32()? as usize;
                limit("a log block", length, BLOCK_FRAME_BYTES_MAX)?;
                let sent = self.u32()? as usize;
                limit("a compressed log block", sent, length)?;
                let frame = compression::unpack(length, self.take(sent)?);
                Body::Block {
                    frame: frame.ok_or(MessageError::Compression)?,
                }
            }
            kind::DISCARDED => Body::Discarded { to: self.lsn()? },
            kind::PAGE => Body::Page(PageMessage::read(self)?),
            kind::HARDENED_UP_TO => Body::HardenedUpTo { lsn: self.lsn()? },
            kind::REDONE_UP_TO => Body::RedoneUpTo { lsn: self.lsn()? },
            kind::SYNCHRONIZE => Body::Synchronize { at: self.lsn()? },
            kind::SYNCHRONIZED => Body::Synchronized,
            kind::CONFIGURE => Body::Configure {
                configuration: self.configuration()?,
            },
            kind::CONFIGURED => Body::Configured {
                sequence: self.u32()?,
            },
            kind::PROPOSE_WITNESS => Body::ProposeWitness {
                address: self.address()?,
            },
            kind::WITNESS_REACHED => Body::WitnessReached {
                reached: self.flag()?,
            },
            kind::FAILOVER_PREPARE => Body::FailoverPrepare { end: self.lsn()? },
            kind::FAILOVER_REFUSED => Body::FailoverRefused,
            kind::FAILOVER_DONE => Body::FailoverDone { end: self.lsn()? },
            kind::WITNESS_ATTACH => Body::WitnessAttach(Box::new(self.attach()?)),
            kind::SYNC_STATE => Body::SyncState {
                request: self.u64()?,
                synchronized: self.flag()?,
            },
            kind::TAKEOVER_REQUEST => Body::TakeoverRequest {
                request: self.u64()?,
                to: self.u32()?,
                forced: self.flag()?,
            },
            kind::TAKEOVER_DENIED => Body::TakeoverDenied {
                request: self.u64()?,
                denial: self.denial()?,
            },
            kind::WITNESS_REPORT => Body::WitnessReport {
                answers: self.u64()?,
                owner: self.text()?,
                synchronized: self.flag()?,
            },
            kind::WITNESS_REFUSED => Body::WitnessRefused { number: self.u32()? },
            value => {
                return Err(MessageError::Unknown {
                    what: "message kind",
                    value,
                });
            }
        })
    }

    pub(super) fn hello(&mut self) -> Result<Hello, MessageError> {
        let answers = self.flag()?;
        let reply_to = Some(self.u64()?).filter(|_| answers);
        let role = self.role()?;
        let name = self.text()?;
        let synchronized = self.flag()?;
        let pending = self.flag()?;
        Ok(Hello {
            reply_to,
            role,
            name,
            synchronized,
            takeover_pending: Some(self.u32()?).filter(|_| pending),
            takeover_forced: self.flag()?,
            failover_pending: self.flag()?,
            owner_by: self.switch()?,
            log: self.log()?,
            configuration: self.configuration()?,
        })
    }

    pub(super) fn attach(&mut self) -> Result<WitnessAttach, MessageError> {
        Ok(WitnessAttach {
            invite: self.flag()?,
            database: DatabaseName::new(self.text()?),
            family: self.guid()?,
            name: self.text()?,
            partner_name: self.text()?,
            role: self.role()?,
            safety: self.safety()?,
            safety_sequence: self.u32()?,
            timeout_seconds: self.u16()?,
            suspended: self.flag()?,
            suspend_sequence: self.u32()?,
            synchronized: self.flag()?,
        })
    }

    pub(super) fn configuration(&mut self) -> Result<Configuration, MessageError> {
        Ok(Configuration {
            sequence: self.u32()?,
            safety: self.safety()?,
            safety_sequence: self.u32()?,
            witness: match self.flag()? {
                true => Some(self.address()?),
                false => None,
            },
            timeout_seconds: self.u16()?,
            redo_queue_mb: Some(self.u32()?).filter(|megabytes| *megabytes > 0),
            suspended: self.flag()?,
            suspend_sequence: self.u32()?,
        })
    }

    pub(super) fn log(&mut self) -> Result<LogPosition, MessageError> {
        let (start, end, hardened) = (self.lsn()?, self.lsn()?, self.lsn()?);
        let check = self.u32()?;
        let count = usize::from(self.u16()?);
        limit("a list of role sequences", count, EPOCHS_MAX)?;
        let mut epochs = Vec::new();
        for _ in 0..count {
            epochs.push((self.u32()?, self.lsn()?));
        }
        Ok(LogPosition {
            start,
            end,
            hardened,
            check,
            epochs,
        })
    }

    pub(super) fn path(&mut self) -> Result<RecoveryPath, MessageError> {
        let count = usize::from(self.u16()?);
        limit("a recovery path", count, STEPS_MAX)?;
        let mut steps = Vec::new();
        for _ in 0..count {
            steps.push(PathStep {
                fork: self.guid()?,
                epoch: self.u32()?,
                from: self.lsn()?,
            });
        }
        Ok(RecoveryPath::from_steps(steps))
    }

    fn mirror_error(&mut self) -> Result<Option<MirrorError>, MessageError> {
        if !self.flag()? {
            return Ok(None);
        }
        Ok(Some(MirrorError {
            number: self.u32()?,
            state: self.u8()?,
            severity: self.u8()?,
        }))
    }

    fn switch(&mut self) -> Result<Option<SwitchKind>, MessageError> {
        match self.u8()? {
            0 => Ok(None),
            1 => Ok(Some(SwitchKind::Automatic)),
            2 => Ok(Some(SwitchKind::Manual)),
            3 => Ok(Some(SwitchKind::Forced)),
            value => Err(MessageError::Unknown {
                what: "switch of roles",
                value,
            }),
        }
    }

    fn denial(&mut self) -> Result<Denial, MessageError> {
        match self.u8()? {
            1 => Ok(Denial::PrincipalConnected),
            2 => Ok(Denial::NotSynchronized),
            3 => Ok(Denial::OtherRecord),
            value => Err(MessageError::Unknown {
                what: "denial",
                value,
            }),
        }
    }

    pub(super) fn role(&mut self) -> Result<PartnerRole, MessageError> {
        match self.u8()? {
            1 => Ok(PartnerRole::Principal),
            2 => Ok(PartnerRole::Mirror),
            value => Err(MessageError::Unknown { what: "role", value }),
        }
    }

    pub(super) fn safety(&mut self) -> Result<Safety, MessageError> {
        match self.u8()? {
            1 => Ok(Safety::Off),
            2 => Ok(Safety::Full),
            value => Err(MessageError::Unknown {
                what: "safety",
                value,
            }),
        }
    }

    pub(super) fn flag(&mut self) -> Result<bool, MessageError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(MessageError::Unknown { what: "flag", value }),
        }
    }

    fn address(&mut self) -> Result<ServerAddress, MessageError> {
        self.text()?.parse().map_err(|_| MessageError::Address)
    }

    pub(in crate::wire) fn text(&mut self) -> Result<String, MessageError> {
        let length = usize::from(self.u16()?);
        limit("a text", length, TEXT_BYTES_MAX)?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|_| MessageError::Text)
    }

    pub(super) fn guid(&mut self) -> Result<Guid, MessageError> {
        self.array().map(Guid::from_bytes)
    }

    pub(in crate::wire) fn lsn(&mut self) -> Result<Lsn, MessageError> {
        self.u64().map(Lsn::new)
    }

    pub(in crate::wire) fn u8(&mut self) -> Result<u8, MessageError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(in crate::wire) fn u16(&mut self) -> Result<u16, MessageError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(in crate::wire) fn u32(&mut self) -> Result<u32, MessageError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(in crate::wire) fn u64(&mut self) -> Result<u64, MessageError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(in crate::wire) fn i64(&mut self) -> Result<i64, MessageError> {
        self.array().map(i64::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MessageError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], MessageError> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(MessageError::Short)?;
        self.rest = rest;
        Ok(head)
    }
}
