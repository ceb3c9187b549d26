//! Session messages: what the three instances of a mirroring session say to each other, and the bytes that say it.
//!
//! Each encoded message begins with [`MAGIC`], so that a wire tap recognises session traffic in clear. Integers are
//! little-endian, texts are UTF-8 behind a 16-bit length, lists behind a 16-bit count; every length is checked against
//! its limit before anything is allocated and nothing may follow the last field. Log blocks travel as the opaque frames
//! of the transaction log. This module knows no session state: who may send what is `session`'s affair. Source: ours.

mod kind;
mod reader;
mod writer;

pub(in crate::wire) use reader::Reader;
use thiserror::Error;
pub(in crate::wire) use writer::Writer;

use super::pages::PageMessage;
use crate::types::{
    DatabaseName, Guid, Lsn, PartnerRole, RecoveryPath, RoleSequence, Safety, ServerAddress, SwitchKind,
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
    /// The session is here, but its database cannot be used until the instance starts again: as good as a lost link, for
    /// this session alone. To the partner, and to the witness that the sender is connected to.
    Unavailable,
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
    /// With the error, if that was the reason; `None` from a SUSPEND.
    Suspended {
        suspend_sequence: u32,
        error: Option<MirrorError>,
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

/// The error for which a mirror suspended the session, as its log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MirrorError {
    pub number: u32,
    pub state: u8,
    pub severity: u8,
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
    /// How this principal took its role; `None` if it has it from the start, and from a mirror.
    pub owner_by: Option<SwitchKind>,
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
    /// How much log the mirror may have hardened and not redone, in megabytes, above 0; `None` is unlimited.
    pub redo_queue_mb: Option<u32>,
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

pub(in crate::wire) fn limit(what: &'static str, length: usize, limit: usize) -> Result<(), MessageError> {
    if length > limit {
        return Err(MessageError::TooLong { what, length, limit });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
