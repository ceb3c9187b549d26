//! One mirroring session of one database, pure: [`Partner`] on each of the two partners, [`Witness`] on the witness.
//!
//! What is here decides; the instance moves: it owns the log, the tables, the disks and the links, feeds inputs and carries
//! outputs out. States and guards are documented (*Mirroring States*, *Role Switching*,
//! *Quorum*); the messages that bring them about are ours.
//!
//! ```text
//!                    SET PARTNER
//!                         │
//!        link lost        ▼         nothing left to send, gate closed,
//!   ┌───────────── SYNCHRONIZING ── mirror recorded "synchronized" ──► SYNCHRONIZED ──┐
//!   │                     ▲                                                 │         │ FAILOVER
//!   ▼     greeted,        │                                       link lost │         ▼
//! DISCONNECTED ── mirror recorded "not synchronized"                        │  PENDING_FAILOVER (principal)
//!   ▲  │                                                                    │    │ done: roles swap, SYNCHRONIZING
//!   │  └─ mirror: witness granted, all redone ─► principal, DISCONNECTED    │    │ link lost: DISCONNECTED, not serving
//!   └───────────────────────────────────────────────────────────────────────┴────┘
//! ```
//!
//! Any of them but PENDING_FAILOVER becomes SUSPENDED by SUSPEND or a forced service, and stays so, connected or not, until
//! RESUME leads to SYNCHRONIZING. With SAFETY OFF the session never leaves SYNCHRONIZING for SYNCHRONIZED, and the gate is
//! open for good. The whole table is a snapshot of `tests/transitions.rs`; `tests/turns.rs` plays its rows.
//!
//! **Greeting** (`greeting`). When the link comes up each side sends `Hello`; one of two crossing ones yields and answers
//! the other, so that both read the same pair. The higher role sequence wins. A side that has to change its role or
//! sequence records that first and greets anew. At equal sequences the principal names the end of the common log in
//! `Start`; the mirror cuts back to it, records *not synchronized*, and answers `Started`.
//!
//! **Commits** (C3, choice i). Only blocks that are hardened here are sent. While the gate is open commits wait for the
//! local disk alone, otherwise for the mirror's, too. The gate may be open only while somebody who could prevent a takeover
//! has durably recorded that the mirror lacks log: the mirror itself (`Started`), or the witness (its report of
//! *not synchronized*, asked for when the mirror is lost), or there is no witness and so no automatic failover. It is
//! closed *before* the mirror is asked to record that it is synchronized, and the witness hears of it last.
//!
//! **Quorum** (`quorum`). With a witness set, a principal serves while the mirror or the witness has confirmed its role on
//! the present link. One that has just lost the mirror and still has the witness goes on serving, commits waiting, until
//! the witness has answered.
//!
//! **Automatic failover** (`failover`). A mirror that was SYNCHRONIZED and connected to the witness when it lost the
//! principal records which sequence it asks for, then asks, every ping interval, until the witness grants or refuses for
//! good or its own link drops. The witness records the new owner and *not synchronized* before it answers, so whichever
//! of the principal's wish to run exposed and the mirror's wish to take over it handles first rules the other out. A
//! granted mirror redoes all it hardened, records its role, serves. A mirror that meets its principal while it may have
//! been granted the role, not knowing, renounces: both move two sequences on, past whatever was granted; unless the
//! witness has told the principal that the mirror is not synchronized, for then nothing can have been granted.
//!
//! **Manual failover.** The principal stops serving and records that it has begun; sends all its log, then `FailoverPrepare`;
//! the mirror redoes all, records its new role and sequence, answers `FailoverDone`; the former principal records the
//! mirror role. A principal that has begun serves again only when the partner, greeting it, proves to be still a mirror;
//! a mirror forgets the preparation with the link. Two mirrors cannot come to be, because the old one moves last.
//!
//! **Settings.** Safety and suspension have sequences of their own and the newer value wins when partners meet (`record`).
//! The mirror records a new safety level first. While suspended, `StartSuspended` takes the place of `Start`: nothing is cut
//! back. RESUME asks the mirror where its log stands and goes on with `Start` (`suspend`).
//!
//! **Damaged pages** (`repair`). A page that cannot be read is fetched from the other partner: the principal asks while the
//! session is synchronized, the mirror suspends the session for it and has it resumed.
//!
//! **Forced service** (`force`). The mirror goes on alone under the next role sequence, suspended; a witness, if one is set,
//! records that first and only while it does not see the principal. **Damage** (`principal`): a mirror that holds more of
//! a principal's own log than it does itself is not cut back but takes over (`TakeOver`).
//!
//! **Fencing.** Messages of another `mirroring_guid`, of another role sequence (greetings apart) or of an earlier greeting
//! are dropped. A message that a partner is not known to have a session for is answered `NoSession`, and ends it there.

mod announce;
mod command;
mod data_file;
mod failover;
mod force;
mod greeting;
mod introduction;
mod mirror;
mod partner;
mod principal;
mod questions;
pub mod quorum;
mod record;
mod redo_queue;
mod repair;
mod safety;
mod service;
pub mod start;
mod suspend;
#[cfg(test)]
mod tests;
mod witness;

use std::collections::VecDeque;
use std::time::Duration;

pub use partner::{Identity, Partner, Setting};
pub use record::{PartnerRecord, WitnessRecord};
pub use repair::PageImage;
pub use witness::{Witness, WitnessInput, WitnessOutput};

use crate::error::SqlError;
use crate::log::LogBlock;
use crate::types::{Event, Lsn, PageError, PageKey, RepairStatus, Safety, ServerAddress};
use crate::wire::mirroring::Message;

/// What a command may take beyond the partner timeout and one ping interval. Source: ours.
pub const COMMAND_SLACK: Duration = Duration::from_secs(5);

/// The partner timeout until `SET PARTNER TIMEOUT` changes it, in seconds. Source: documented.
pub const TIMEOUT_SECONDS_DEFAULT: u16 = 10;

/// The role sequence a session begins with. Source: S4, ours.
pub const ROLE_SEQUENCE_FIRST: u32 = 1;

/// Pairs a [`SessionOutput::Persist`] with its `Persisted`. Numbered per session object, ascending.
pub type Ticket = u64;

/// What happens to a partner.
///
/// Links: the instance says a link is up when both connections of the pair are online, reports the loss of one before
/// anything of the next, and delivers messages in order per direction. For a session that has not started, a principal's
/// link is up with its own connection alone: the mirror dials back only when [`Partner::dials_partner`] says so.
#[derive(Debug, Clone, PartialEq)]
pub enum PartnerInput {
    PartnerUp,
    /// The link was lost, or (while a session starts) could not be established.
    PartnerDown {
        cause: LinkLoss,
    },
    WitnessUp,
    /// The link was lost, or (while a witness is being set) could not be established.
    WitnessDown {
        cause: LinkLoss,
    },
    FromPartner(Message),
    FromWitness(Message),
    /// Principal: the instance appended a block to the log and asked its disk to harden it.
    Appended,
    /// The disk holds the log up to `to`. The session notes it in the `Log`.
    Hardened {
        to: Lsn,
    },
    /// The database reflects the log up to `to`. The session notes it in the `Log`. Asked for on mirrors only.
    Redone {
        to: Lsn,
    },
    /// A `Truncate` is done: tables undone, disk cut.
    Truncated {
        to: Lsn,
    },
    /// The instance gave up the log before `to`.
    Discarded {
        to: Lsn,
    },
    /// The record of this ticket is durable.
    Persisted {
        ticket: Ticket,
    },
    Command(Command),
    /// A page of the data file was found damaged.
    PageDamaged {
        page: PageKey,
        error: PageError,
    },
    /// Principal: a statement needed a damaged page and was refused.
    PageWanted {
        page: PageKey,
    },
    /// The answer to a `ReadPage`; `None` if the page is damaged here, too.
    PageRead {
        request: u64,
        page: PageKey,
        at: Lsn,
        image: Option<PageImage>,
    },
    /// A `RestorePage` is done, or could not be.
    PageRestored {
        page: PageKey,
        restored: bool,
    },
    /// The data file could not be read or written. What it is to reflect waits for the next write.
    DataFileFailed,
    /// The data file is damaged where no page is repaired: it will never be written again.
    DataFileLost,
    /// [`Partner::next_wake`] is due.
    Wake,
}

/// Why a link ended, as far as a session cares: who noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkLoss {
    /// Reported: reset, refused, closed, endpoint stopped.
    Hard,
    /// Nothing was heard for the partner timeout.
    Soft,
}

/// `ALTER DATABASE … SET PARTNER | WITNESS` on a database that is mirrored. Answered by one `CommandDone`; a command
/// given while another runs is refused with 1404.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `PARTNER OFF`
    Off,
    /// `PARTNER FAILOVER`
    Failover,
    /// `PARTNER TIMEOUT seconds`
    Timeout { seconds: i64 },
    /// `PARTNER REDO_QUEUE ( megabytes MB | UNLIMITED )`
    RedoQueue { megabytes: Option<i64> },
    /// `PARTNER SUSPEND`
    Suspend,
    /// `PARTNER RESUME`
    Resume,
    /// `PARTNER SAFETY FULL | OFF`
    Safety { safety: Safety },
    /// `PARTNER FORCE_SERVICE_ALLOW_DATA_LOSS`
    ForceService,
    /// `WITNESS = 'address'`. The caller has checked that it names neither partner (1429).
    SetWitness { address: ServerAddress },
    /// `WITNESS OFF`
    WitnessOff,
}

/// What a partner asks for. Carried out in order.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionOutput {
    ToPartner(Message),
    ToWitness(Message),
    /// Write the record durably, then `Persisted`.
    Persist {
        ticket: Ticket,
        record: Box<PartnerRecord>,
    },
    /// Mirror: append this received block to the log on disk, then `Hardened`. It is in the `Log` already.
    Harden(LogBlock),
    /// Mirror: apply this hardened block, after those before it, then `Redone`.
    Redo(LogBlock),
    /// Take `undone` back (newest first, those that were applied), cut the log on disk back to `to`, then `Truncated`.
    /// The `Log` is cut already. Blocks whose `Harden` or `Redo` is still under way are among them.
    Truncate {
        to: Lsn,
        undone: Vec<LogBlock>,
    },
    /// Read this page from the disk, and its rows as far as the log is redone (at least to `at`), then `PageRead`.
    ReadPage {
        request: u64,
        page: PageKey,
        at: Lsn,
    },
    /// Give the damaged page this content, and what the log behind it makes of it, durably, then `PageRestored`.
    RestorePage {
        page: PageKey,
        image: PageImage,
    },
    /// How the repair of a page stands.
    PageRepair {
        page: PageKey,
        status: RepairStatus,
    },
    /// End every client connection that uses the database; nothing that waits is answered.
    CutClients {
        reason: &'static str,
    },
    /// Whether clients may use the database, from now on.
    Serve(bool),
    CommandDone(Result<(), SqlError>),
    /// The session is no more: forget its record and drop this object after the outputs before it.
    Removed,
    Emit(Event),
    /// A line for the error log.
    ErrorLog(SqlError),
}

/// Outputs in the order they are to be carried out.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: VecDeque<SessionOutput>,
}

impl Outbox {
    pub fn new() -> Self {
        Outbox::default()
    }

    pub fn push(&mut self, output: SessionOutput) {
        self.queue.push_back(output);
    }

    pub(crate) fn emit(&mut self, event: impl Into<Event>) {
        self.push(SessionOutput::Emit(event.into()));
    }

    pub(crate) fn log(&mut self, line: SqlError) {
        self.push(SessionOutput::ErrorLog(line));
    }

    pub fn pop(&mut self) -> Option<SessionOutput> {
        self.queue.pop_front()
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
