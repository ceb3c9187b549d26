//! Session messages: what the three instances of a mirroring session say to each other, and the bytes that say it.
//!
//! Each encoded message begins with [`MAGIC`], so that a wire tap recognises session traffic in clear. Integers are
//! little-endian, texts are UTF-8 behind a 16-bit length, lists behind a 16-bit count; every length is checked against
//! its limit before anything is allocated and nothing may follow the last field. Log blocks travel as the opaque frames
//! of the transaction log. This module knows no session state: who may send what is `session`'s affair. Source: ours.

use thiserror::Error;

use super::compression::{self, Packed};
use super::pages::PageMessage;
use crate::types::{
    DatabaseName, Guid, Lsn, PartnerRole, PathStep, RecoveryPath, RoleSequence, STEPS_MAX, Safety,
    ServerAddress,
};

/// The first bytes of every session message.
pub const MAGIC: [u8; 8] = *b"DBMSESSN";

/// The largest encoded message, in bytes: one log block of the largest size and its envelope.
pub const MESSAGE_BYTES_MAX: usize = BLOCK_FRAME_BYTES_MAX + 64 * 1024;

/// The largest log block frame a message may carry, in bytes.
pub const BLOCK_FRAME_BYTES_MAX: usize = 1024 * 1024;

/// The longest text in a message, in bytes.
pub const TEXT_BYTES_MAX: usize = 1024;

/// The longest list of role sequence starts in a message.
pub const EPOCHS_MAX: usize = 4096;

/// A list of `(role sequence, LSN at which the log begins to be generated under it)`, ascending.
pub type Epochs = Vec<(RoleSequence, Lsn)>;

/// One session message.
///
/// `session` is the `mirroring_guid`, `role_sequence` the sender's. `link` fences off messages of an earlier
/// connection: between partners it is the receiver's greeting number (in a `Hello`, the sender's own), between a partner
/// and the witness the partner's greeting number in both directions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub session: Guid,
    pub role_sequence: RoleSequence,
    pub link: u64,
    pub body: Body,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    // Between the partners: start and end of a session
    /// Principal to waiting mirror: start this session.
    Open(Box<Open>),
    /// Mirror to principal: the session is recorded here.
    Opened {
        name: String,
        log: LogPosition,
    },
    /// Mirror to principal: not here; `number` is the message the principal's command ends with.
    OpenRefused {
        number: u32,
    },
    /// The session was removed here (`PARTNER OFF`, or the witness was taken out of the session).
    Removed,
    /// There is no session of this GUID here.
    NoSession,
    /// Is there a session of this GUID at the other end? Only its lack is answered, with `NoSession`.
    Probe,

    // Between the partners: greeting
    Hello(Hello),
    /// Principal to mirror of the same role sequence: cut your log back to `from`, record what follows, go on from there.
    Start {
        from: Lsn,
        configuration: Configuration,
    },
    /// Principal to mirror of the same role sequence: the session is suspended. Record what follows and keep your log.
    StartSuspended {
        configuration: Configuration,
    },
    /// Mirror to principal: recorded that it is not synchronized.
    Started {
        hardened: Lsn,
        redone: Lsn,
    },
    /// Principal to a mirror that asked for its role: be mirror at the sequence `to` instead, which voids any grant.
    Supersede {
        to: RoleSequence,
    },

    // Between the partners: log
    /// One block, as the frame that is on disk.
    Block {
        frame: Vec<u8>,
    },
    HardenedUpTo {
        lsn: Lsn,
    },
    RedoneUpTo {
        lsn: Lsn,
    },
    /// Principal to mirror: the log before `to` was given up here and may be there.
    Discarded {
        to: Lsn,
    },
    /// Principal to mirror: nothing from `at` on is confirmed without you; record that you are synchronized.
    Synchronize {
        at: Lsn,
    },
    Synchronized,
    /// Either way: of a damaged page.
    Page(PageMessage),

    // Between the partners: commands
    /// Principal to mirror: record this configuration.
    Configure {
        configuration: Configuration,
    },
    /// Mirror to principal: recorded, with this sequence.
    Configured {
        sequence: u32,
    },
    /// Mirror to principal: suspended here, and recorded. The principal answers with its configuration.
    Suspended {
        suspend_sequence: u32,
    },
    /// Principal to suspended mirror: the session is to be resumed; where does your log stand?
    Resume,
    /// Mirror to principal: here it stands.
    ResumeFrom {
        log: LogPosition,
    },
    /// Principal to mirror: connect to this instance, which is to become the witness.
    ProposeWitness {
        address: ServerAddress,
    },
    /// Mirror to principal: whether it is connected to the proposed witness.
    WitnessReached {
        reached: bool,
    },
    /// Principal to mirror: the log ends at `end`; take the principal role over.
    FailoverPrepare {
        end: Lsn,
    },
    /// Principal to mirror: my log is damaged and ends at `mine`, `check` being the CRC of its last block; yours goes on
    /// from there to `end`. Take the principal role over.
    TakeOver {
        end: Lsn,
        mine: Lsn,
        check: u32,
    },
    /// Mirror to principal: not synchronized, nothing was done.
    FailoverRefused,
    /// New principal to former principal: done, recorded; the message's role sequence is the new one.
    FailoverDone {
        end: Lsn,
    },

    // Between a partner and the witness
    /// A partner introduces itself after each connect. `invite` asks an instance to become the witness.
    WitnessAttach(Box<WitnessAttach>),
    /// Principal to witness: record whether the mirror is synchronized.
    SyncState {
        request: u64,
        synchronized: bool,
    },
    /// Mirror to witness: I have lost the principal; may I take the role under the sequence `to`? `forced` if an operator
    /// accepts the loss of data.
    TakeoverRequest {
        request: u64,
        to: RoleSequence,
        forced: bool,
    },
    /// Witness to mirror: no.
    TakeoverDenied {
        request: u64,
        denial: Denial,
    },
    /// Witness to partner: what its record says, durably. `answers` is the request (or greeting number) it answers.
    WitnessReport {
        answers: u64,
        owner: String,
        synchronized: bool,
    },
    /// The instance cannot act as this session's witness.
    WitnessRefused {
        number: u32,
    },
}

/// Where a log stands: its first byte, its end, how much is hardened, and where each role sequence begins in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPosition {
    pub start: Lsn,
    pub end: Lsn,
    pub hardened: Lsn,
    /// The CRC-32C of the last block, so that two logs of equal extent are seen to differ; 0 without blocks.
    pub check: u32,
    pub epochs: Epochs,
}

/// The principal's request to start a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    pub database: DatabaseName,
    /// The backup family of the principal's copy.
    pub family: Guid,
    /// The principal's server name (`@@SERVERNAME`) and its own server network address, if it knows one.
    pub name: String,
    pub log: LogPosition,
    /// Blocks of this session are numbered with their role sequence and this, so that they never share a number with
    /// those of a session before it.
    pub epoch_base: u32,
    /// Log before this is in a log backup of the principal.
    pub backed_up: Lsn,
    /// The recovery path of the principal's copy.
    pub path: RecoveryPath,
    pub configuration: Configuration,
}

/// What each partner says of itself when the link comes up or its claim changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The greeting this one answers; `None` if it begins an exchange.
    pub reply_to: Option<u64>,
    pub role: PartnerRole,
    pub name: String,
    /// The mirror recorded that it is synchronized.
    pub synchronized: bool,
    /// The sequence this mirror may have been granted by the witness, not knowing it yet.
    pub takeover_pending: Option<RoleSequence>,
    /// It asked because an operator forces service.
    pub takeover_forced: bool,
    /// This principal has begun a manual failover.
    pub failover_pending: bool,
    pub log: LogPosition,
    pub configuration: Configuration,
}

/// Settings of the session. The principal decides, except that either partner may suspend. The higher sequence is newer:
/// that of the safety level and that of the suspension for themselves, `sequence` for the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    pub sequence: u32,
    pub safety: Safety,
    pub safety_sequence: u32,
    pub witness: Option<ServerAddress>,
    pub timeout_seconds: u16,
    pub suspended: bool,
    pub suspend_sequence: u32,
}

/// A partner's introduction to the witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessAttach {
    /// Whether the receiver is asked to become the witness (`SET WITNESS`).
    pub invite: bool,
    pub database: DatabaseName,
    pub family: Guid,
    /// The sender's and the other partner's server name.
    pub name: String,
    pub partner_name: String,
    pub role: PartnerRole,
    pub safety: Safety,
    pub safety_sequence: u32,
    pub timeout_seconds: u16,
    pub suspended: bool,
    pub suspend_sequence: u32,
    /// Principal: the session is SYNCHRONIZED. Without meaning from a mirror.
    pub synchronized: bool,
}

/// Why the witness does not grant the principal role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// It is connected to the principal. May change: ask again.
    PrincipalConnected,
    /// It has recorded that the mirror lacks log. Final until the partners have met.
    NotSynchronized,
    /// Its record has another owner or role sequence than the request assumes. Final.
    OtherRecord,
}

/// Why bytes are not a session message, or a value not one that can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MessageError {
    #[error("it does not begin with the mark of a session message")]
    Magic,
    #[error("it ends before its last field")]
    Short,
    #[error("{0} bytes follow its last field")]
    Trailing(usize),
    #[error("{what} {value} is unknown")]
    Unknown { what: &'static str, value: u8 },
    #[error("{what} of {length} exceeds the limit of {limit}")]
    TooLong {
        what: &'static str,
        length: usize,
        limit: usize,
    },
    #[error("a text is not UTF-8")]
    Text,
    #[error("a server network address is malformed")]
    Address,
    #[error("a compressed log block does not unpack to the length it gives")]
    Compression,
}

impl Message {
    /// The bytes of this message. Fails with `TooLong` if a text, list or block exceeds its limit.
    pub fn encode(&self) -> Result<Vec<u8>, MessageError> {
        let mut w = Writer::default();
        w.bytes(&MAGIC);
        w.bytes(self.session.as_bytes());
        w.u32(self.role_sequence);
        w.u64(self.link);
        w.body(&self.body)?;
        Ok(w.out)
    }

    /// Reads one message that fills `bytes`. Never panics; allocates no more than `bytes` holds.
    pub fn decode(bytes: &[u8]) -> Result<Message, MessageError> {
        limit("a message", bytes.len(), MESSAGE_BYTES_MAX)?;
        let mut r = Reader { rest: bytes };
        if r.take(MAGIC.len()).map_err(|_| MessageError::Magic)? != MAGIC {
            return Err(MessageError::Magic);
        }
        let message = Message {
            session: r.guid()?,
            role_sequence: r.u32()?,
            link: r.u64()?,
            body: r.body()?,
        };
        match r.rest.len() {
            0 => Ok(message),
            extra => Err(MessageError::Trailing(extra)),
        }
    }
}

fn limit(what: &'static str, length: usize, limit: usize) -> Result<(), MessageError> {
    if length > limit {
        return Err(MessageError::TooLong { what, length, limit });
    }
    Ok(())
}

/// The kinds of body, as they are numbered on the wire.
mod kind {
    pub const OPEN: u8 = 1;
    pub const OPENED: u8 = 2;
    pub const OPEN_REFUSED: u8 = 3;
    pub const REMOVED: u8 = 4;
    pub const NO_SESSION: u8 = 5;
    pub const HELLO: u8 = 6;
    pub const START: u8 = 7;
    pub const STARTED: u8 = 8;
    pub const SUPERSEDE: u8 = 9;
    pub const BLOCK: u8 = 10;
    pub const HARDENED_UP_TO: u8 = 11;
    pub const REDONE_UP_TO: u8 = 12;
    pub const SYNCHRONIZE: u8 = 13;
    pub const SYNCHRONIZED: u8 = 14;
    pub const CONFIGURE: u8 = 15;
    pub const CONFIGURED: u8 = 16;
    pub const PROPOSE_WITNESS: u8 = 17;
    pub const WITNESS_REACHED: u8 = 18;
    pub const FAILOVER_PREPARE: u8 = 19;
    pub const FAILOVER_REFUSED: u8 = 20;
    pub const FAILOVER_DONE: u8 = 21;
    pub const WITNESS_ATTACH: u8 = 22;
    pub const SYNC_STATE: u8 = 23;
    pub const TAKEOVER_REQUEST: u8 = 24;
    pub const TAKEOVER_DENIED: u8 = 25;
    pub const WITNESS_REPORT: u8 = 26;
    pub const WITNESS_REFUSED: u8 = 27;
    pub const START_SUSPENDED: u8 = 28;
    pub const SUSPENDED: u8 = 29;
    pub const RESUME: u8 = 30;
    pub const RESUME_FROM: u8 = 31;
    pub const TAKE_OVER: u8 = 32;
    pub const PROBE: u8 = 33;
    pub const DISCARDED: u8 = 40;
    pub const COMPRESSED_BLOCK: u8 = 41;
    pub const PAGE: u8 = 42;
}

#[derive(Default)]
struct Writer {
    out: Vec<u8>,
}

impl Writer {
    fn body(&mut self, body: &Body) -> Result<(), MessageError> {
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
            Body::Suspended { suspend_sequence } => self.tagged_u32(kind::SUSPENDED, *suspend_sequence),
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
                page.encode(&mut self.out)?;
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

    fn hello(&mut self, hello: &Hello) -> Result<(), MessageError> {
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
        self.log(&hello.log)?;
        self.configuration(&hello.configuration)
    }

    fn attach(&mut self, attach: &WitnessAttach) -> Result<(), MessageError> {
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

    fn configuration(&mut self, configuration: &Configuration) -> Result<(), MessageError> {
        self.u32(configuration.sequence);
        self.safety(configuration.safety);
        self.u32(configuration.safety_sequence);
        self.flag(configuration.witness.is_some());
        if let Some(witness) = &configuration.witness {
            self.text(&witness.to_string())?;
        }
        self.u16(configuration.timeout_seconds);
        self.flag(configuration.suspended);
        self.u32(configuration.suspend_sequence);
        Ok(())
    }

    fn log(&mut self, log: &LogPosition) -> Result<(), MessageError> {
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

    fn path(&mut self, path: &RecoveryPath) -> Result<(), MessageError> {
        limit("a recovery path", path.steps().len(), STEPS_MAX)?;
        self.u16(path.steps().len() as u16);
        for step in path.steps() {
            self.bytes(step.fork.as_bytes());
            self.u32(step.epoch);
            self.u64(step.from.get());
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), MessageError> {
        limit("a text", text.len(), TEXT_BYTES_MAX)?;
        self.u16(text.len() as u16);
        self.bytes(text.as_bytes());
        Ok(())
    }

    fn role(&mut self, role: PartnerRole) {
        self.u8(match role {
            PartnerRole::Principal => 1,
            PartnerRole::Mirror => 2,
        });
    }

    fn safety(&mut self, safety: Safety) {
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

    fn flag(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn body(&mut self) -> Result<Body, MessageError> {
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
            kind::PAGE => Body::Page(PageMessage::decode(std::mem::take(&mut self.rest))?),
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

    fn hello(&mut self) -> Result<Hello, MessageError> {
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
            log: self.log()?,
            configuration: self.configuration()?,
        })
    }

    fn attach(&mut self) -> Result<WitnessAttach, MessageError> {
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

    fn configuration(&mut self) -> Result<Configuration, MessageError> {
        Ok(Configuration {
            sequence: self.u32()?,
            safety: self.safety()?,
            safety_sequence: self.u32()?,
            witness: match self.flag()? {
                true => Some(self.address()?),
                false => None,
            },
            timeout_seconds: self.u16()?,
            suspended: self.flag()?,
            suspend_sequence: self.u32()?,
        })
    }

    fn log(&mut self) -> Result<LogPosition, MessageError> {
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

    fn path(&mut self) -> Result<RecoveryPath, MessageError> {
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

    fn role(&mut self) -> Result<PartnerRole, MessageError> {
        match self.u8()? {
            1 => Ok(PartnerRole::Principal),
            2 => Ok(PartnerRole::Mirror),
            value => Err(MessageError::Unknown { what: "role", value }),
        }
    }

    fn safety(&mut self) -> Result<Safety, MessageError> {
        match self.u8()? {
            1 => Ok(Safety::Off),
            2 => Ok(Safety::Full),
            value => Err(MessageError::Unknown {
                what: "safety",
                value,
            }),
        }
    }

    fn flag(&mut self) -> Result<bool, MessageError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(MessageError::Unknown { what: "flag", value }),
        }
    }

    fn address(&mut self) -> Result<ServerAddress, MessageError> {
        self.text()?.parse().map_err(|_| MessageError::Address)
    }

    fn text(&mut self) -> Result<String, MessageError> {
        let length = usize::from(self.u16()?);
        limit("a text", length, TEXT_BYTES_MAX)?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|_| MessageError::Text)
    }

    fn guid(&mut self) -> Result<Guid, MessageError> {
        self.array().map(Guid::from_bytes)
    }

    fn lsn(&mut self) -> Result<Lsn, MessageError> {
        self.u64().map(Lsn::new)
    }

    fn u8(&mut self) -> Result<u8, MessageError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, MessageError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, MessageError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, MessageError> {
        self.array().map(u64::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MessageError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], MessageError> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(MessageError::Short)?;
        self.rest = rest;
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lsn() -> impl Strategy<Value = Lsn> {
        any::<u64>().prop_map(Lsn::new)
    }

    fn guid() -> impl Strategy<Value = Guid> {
        any::<[u8; 16]>().prop_map(Guid::from_bytes)
    }

    fn text() -> impl Strategy<Value = String> {
        "\\PC{0,40}"
    }

    fn address() -> impl Strategy<Value = ServerAddress> {
        ("[a-z]{1,12}(\\.[a-z]{1,8})?", 1..=u16::MAX).prop_map(|(host, port)| ServerAddress::new(host, port))
    }

    fn path() -> impl Strategy<Value = RecoveryPath> {
        let step =
            (guid(), any::<u32>(), lsn()).prop_map(|(fork, epoch, from)| PathStep { fork, epoch, from });
        prop::collection::vec(step, 0..5).prop_map(RecoveryPath::from_steps)
    }

    fn log() -> impl Strategy<Value = LogPosition> {
        let epochs = prop::collection::vec((any::<u32>(), lsn()), 0..5);
        (lsn(), lsn(), lsn(), any::<u32>(), epochs).prop_map(|(start, end, hardened, check, epochs)| {
            LogPosition {
                start,
                end,
                hardened,
                check,
                epochs,
            }
        })
    }

    fn safety() -> impl Strategy<Value = Safety> {
        prop_oneof![Just(Safety::Off), Just(Safety::Full)]
    }

    fn role() -> impl Strategy<Value = PartnerRole> {
        prop_oneof![Just(PartnerRole::Principal), Just(PartnerRole::Mirror)]
    }

    fn configuration() -> impl Strategy<Value = Configuration> {
        let witness = prop::option::of(address());
        let suspension = (any::<bool>(), any::<u32>());
        (
            any::<u32>(),
            safety(),
            any::<u32>(),
            witness,
            any::<u16>(),
            suspension,
        )
            .prop_map(
                |(sequence, safety, safety_sequence, witness, timeout_seconds, suspension)| Configuration {
                    sequence,
                    safety,
                    safety_sequence,
                    witness,
                    timeout_seconds,
                    suspended: suspension.0,
                    suspend_sequence: suspension.1,
                },
            )
    }

    fn hello() -> impl Strategy<Value = Hello> {
        let flags = (any::<bool>(), any::<bool>(), any::<bool>());
        let reply_to = prop::option::of(any::<u64>());
        let pending = prop::option::of(any::<u32>());
        (reply_to, role(), text(), flags, pending, log(), configuration()).prop_map(
            |(
                reply_to,
                role,
                name,
                (synchronized, failover_pending, takeover_forced),
                takeover_pending,
                log,
                configuration,
            )| Hello {
                reply_to,
                role,
                name,
                synchronized,
                takeover_pending,
                takeover_forced,
                failover_pending,
                log,
                configuration,
            },
        )
    }

    fn attach() -> impl Strategy<Value = WitnessAttach> {
        let names = (text(), text(), text());
        let numbers = (any::<u32>(), any::<u16>(), any::<u32>());
        let flags = (any::<bool>(), any::<bool>(), any::<bool>());
        (names, guid(), role(), safety(), numbers, flags).prop_map(
            |((database, name, partner_name), family, role, safety, numbers, flags)| WitnessAttach {
                invite: flags.0,
                database: DatabaseName::new(database),
                family,
                name,
                partner_name,
                role,
                safety,
                safety_sequence: numbers.0,
                timeout_seconds: numbers.1,
                suspended: flags.2,
                suspend_sequence: numbers.2,
                synchronized: flags.1,
            },
        )
    }

    fn page() -> impl Strategy<Value = PageMessage> {
        let rows = prop::collection::vec(any::<(i64, i64)>(), 0..=crate::wire::pages::ROWS_MAX);
        prop_oneof![
            (any::<u64>(), text(), any::<i64>(), lsn()).prop_map(|(request, table, range, at)| {
                let page = crate::types::PageKey { table, range };
                PageMessage::Request { request, page, at }
            }),
            (any::<u64>(), lsn(), rows).prop_map(|(request, lsn, rows)| PageMessage::Image {
                request,
                lsn,
                rows
            }),
            any::<u64>().prop_map(|request| PageMessage::Failed { request }),
            any::<u32>().prop_map(|suspend_sequence| PageMessage::AllHere { suspend_sequence }),
        ]
    }

    fn body() -> impl Strategy<Value = Body> {
        let denial = prop_oneof![
            Just(Denial::PrincipalConnected),
            Just(Denial::NotSynchronized),
            Just(Denial::OtherRecord)
        ];
        prop_oneof![
            (
                text(),
                guid(),
                text(),
                log(),
                any::<u32>(),
                (lsn(), path()),
                configuration()
            )
                .prop_map(
                    |(database, family, name, log, epoch_base, (backed_up, path), configuration)| Body::Open(
                        Box::new(Open {
                            database: DatabaseName::new(database),
                            family,
                            name,
                            log,
                            epoch_base,
                            backed_up,
                            path,
                            configuration,
                        })
                    )
                ),
            (text(), log()).prop_map(|(name, log)| Body::Opened { name, log }),
            any::<u32>().prop_map(|number| Body::OpenRefused { number }),
            Just(Body::Removed),
            Just(Body::NoSession),
            Just(Body::Probe),
            hello().prop_map(Body::Hello),
            (lsn(), configuration()).prop_map(|(from, configuration)| Body::Start { from, configuration }),
            configuration().prop_map(|configuration| Body::StartSuspended { configuration }),
            any::<u32>().prop_map(|suspend_sequence| Body::Suspended { suspend_sequence }),
            Just(Body::Resume),
            log().prop_map(|log| Body::ResumeFrom { log }),
            (lsn(), lsn(), any::<u32>()).prop_map(|(end, mine, check)| Body::TakeOver { end, mine, check }),
            (lsn(), lsn()).prop_map(|(hardened, redone)| Body::Started { hardened, redone }),
            any::<u32>().prop_map(|to| Body::Supersede { to }),
            prop::collection::vec(any::<u8>(), 0..200).prop_map(|frame| Body::Block { frame }),
            (any::<u8>(), 0..5_000usize).prop_map(|(byte, length)| Body::Block {
                frame: vec![byte; length]
            }),
            lsn().prop_map(|to| Body::Discarded { to }),
            page().prop_map(Body::Page),
            lsn().prop_map(|lsn| Body::HardenedUpTo { lsn }),
            lsn().prop_map(|lsn| Body::RedoneUpTo { lsn }),
            lsn().prop_map(|at| Body::Synchronize { at }),
            Just(Body::Synchronized),
            configuration().prop_map(|configuration| Body::Configure { configuration }),
            any::<u32>().prop_map(|sequence| Body::Configured { sequence }),
            address().prop_map(|address| Body::ProposeWitness { address }),
            any::<bool>().prop_map(|reached| Body::WitnessReached { reached }),
            lsn().prop_map(|end| Body::FailoverPrepare { end }),
            Just(Body::FailoverRefused),
            lsn().prop_map(|end| Body::FailoverDone { end }),
            attach().prop_map(|attach| Body::WitnessAttach(Box::new(attach))),
            (any::<u64>(), any::<bool>()).prop_map(|(request, synchronized)| Body::SyncState {
                request,
                synchronized
            }),
            (any::<u64>(), any::<u32>(), any::<bool>())
                .prop_map(|(request, to, forced)| Body::TakeoverRequest { request, to, forced }),
            (any::<u64>(), denial).prop_map(|(request, denial)| Body::TakeoverDenied { request, denial }),
            (any::<u64>(), text(), any::<bool>()).prop_map(|(answers, owner, synchronized)| {
                Body::WitnessReport {
                    answers,
                    owner,
                    synchronized,
                }
            }),
            any::<u32>().prop_map(|number| Body::WitnessRefused { number }),
        ]
    }

    fn message() -> impl Strategy<Value = Message> {
        (guid(), any::<u32>(), any::<u64>(), body()).prop_map(|(session, role_sequence, link, body)| {
            Message {
                session,
                role_sequence,
                link,
                body,
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        #[test]
        fn messages_round_trip(message in message()) {
            let bytes = message.encode().unwrap();
            prop_assert!(bytes.starts_with(&MAGIC));
            prop_assert_eq!(Message::decode(&bytes), Ok(message));
        }

        #[test]
        fn a_message_cut_short_or_prolonged_is_refused(message in message(), cut in any::<prop::sample::Index>()) {
            let mut bytes = message.encode().unwrap();
            prop_assert!(Message::decode(&bytes[..cut.index(bytes.len())]).is_err());
            bytes.push(0);
            prop_assert!(Message::decode(&bytes).is_err());
        }

        #[test]
        fn damaged_bytes_decode_to_an_error_or_to_what_they_say(
            message in message(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let mut bytes = message.encode().unwrap();
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Ok(decoded) = Message::decode(&bytes) {
                let again = decoded.encode().unwrap();
                prop_assert_eq!(Message::decode(&again), Ok(decoded));
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut marked = MAGIC.to_vec();
            marked.extend_from_slice(&bytes);
            prop_assert!(Message::decode(&bytes).is_err() || bytes.starts_with(&MAGIC));
            let _ = Message::decode(&marked);
        }
    }

    #[test]
    fn limits_hold_in_both_directions() {
        let message = |body| Message {
            session: Guid::NIL,
            role_sequence: 1,
            link: 1,
            body,
        };
        let frame = vec![0; BLOCK_FRAME_BYTES_MAX + 1];
        let too_long = message(Body::Block { frame }).encode();
        assert!(matches!(too_long, Err(MessageError::TooLong { .. })));
        let frame = vec![0; BLOCK_FRAME_BYTES_MAX];
        let largest = message(Body::Block { frame }).encode().unwrap();
        assert!(largest.len() <= MESSAGE_BYTES_MAX);
        assert!(Message::decode(&largest).is_ok());
        let oversized = vec![0; MESSAGE_BYTES_MAX + 1];
        assert!(matches!(
            Message::decode(&oversized),
            Err(MessageError::TooLong { .. })
        ));
    }
}
