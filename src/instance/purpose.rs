//! What the instance asked its disk for, so that the answer finds its way.

use super::Instance;
use super::batch::{Then, Wait};
use super::io::{DiskError, DiskReply, DiskRequest, DiskTicket, Output};
use crate::error::{SqlError, msg};
use crate::session::PartnerInput;
use crate::types::{ConnectionId, DatabaseName, Guid, InstanceEvent, Lsn, PageKey, RoleSequence};

/// Why a disk request was made.
#[derive(Debug)]
pub(super) enum Purpose {
    /// A statement of this client waits for it.
    Statement {
        connection: ConnectionId,
        then: Box<Then>,
    },
    /// A change of the catalog nobody waits for.
    Catalog,
    OpenDatabase {
        database: DatabaseName,
    },
    SessionRecord {
        database: DatabaseName,
        ticket: u64,
    },
    /// The session is over; these clients asked for that.
    SessionRemoved {
        database: DatabaseName,
        ended: Vec<ConnectionId>,
    },
    WitnessRecord {
        session: Guid,
        ticket: u64,
    },
    LogAppend {
        database: DatabaseName,
        role_sequence: RoleSequence,
        start: Lsn,
        end: Lsn,
        crc: u32,
    },
    Redo {
        database: DatabaseName,
        to: Lsn,
        durable: bool,
    },
    /// A client waits for the data file to be durable.
    Checkpoint {
        database: DatabaseName,
        to: Lsn,
    },
    LogDiscard {
        database: DatabaseName,
    },
    /// The data file was taken back; the log is cut next.
    Undo {
        database: DatabaseName,
        to: Lsn,
    },
    /// The partner wants this page.
    PageCheck {
        database: DatabaseName,
        request: u64,
        page: PageKey,
        at: Lsn,
    },
    PageRestore {
        database: DatabaseName,
        page: PageKey,
    },
    LogTruncate {
        database: DatabaseName,
        to: Lsn,
    },
}

impl Instance {
    /// Ask the disk; the answer comes back with the purpose.
    pub(super) fn disk(&mut self, request: DiskRequest, purpose: Purpose) -> DiskTicket {
        let ticket = DiskTicket(self.next_ticket);
        self.next_ticket += 1;
        self.pending.insert(ticket, purpose);
        self.output(Output::Disk { ticket, request });
        ticket
    }

    pub(super) fn on_disk_done(&mut self, asked: DiskTicket, result: Result<DiskReply, DiskError>) {
        let purpose = self.pending.remove(&asked);
        let Some(purpose) = purpose.and_then(|purpose| self.unless_down(asked, purpose)) else {
            return;
        };
        match purpose {
            Purpose::Statement { connection, then } => self.statement_disk_done(connection, *then, result),
            Purpose::OpenDatabase { database } => self.on_database_opened(&database, result),
            Purpose::Catalog => self.must(result, "a change of master", |_| {}),
            Purpose::SessionRecord { database, ticket } => {
                self.must(result, "a session record", |i| {
                    i.on_session_persisted(&database, asked, ticket)
                });
            }
            Purpose::SessionRemoved { database, ended } => {
                self.must(result, "the end of a session", |i| {
                    i.on_session_removed(&database, ended)
                });
            }
            Purpose::WitnessRecord { session, ticket } => {
                self.must(result, "a witness record", |i| {
                    i.on_witness_persisted(session, asked, ticket)
                });
            }
            Purpose::LogAppend {
                database,
                role_sequence,
                start,
                end,
                crc,
            } => {
                self.database_must(&database, result, "a log write", |i| {
                    i.on_log_hardened(&database, role_sequence, start, end, crc)
                });
            }
            Purpose::Redo {
                database,
                to,
                durable,
            } => {
                self.note_damage(&database, &result);
                let written = self
                    .data_file_did(&database, "a data file write", &result)
                    .is_ok();
                // The rows in memory have it, and the file gets it with the next write.
                self.on_redone(&database, to);
                if durable && written {
                    self.on_checkpoint(&database, to);
                }
            }
            Purpose::Checkpoint { database, to } => {
                self.note_damage(&database, &result);
                let written = self.data_file_did(&database, "a checkpoint", &result);
                if written.is_ok() {
                    self.on_checkpoint(&database, to);
                }
                self.resume_with(&Wait::Disk(asked), &written);
            }
            Purpose::LogDiscard { database } => {
                self.database_must(&database, result, "giving up log", |_| {});
            }
            Purpose::Undo { database, to } => {
                self.note_damage(&database, &result);
                self.database_must(&database, result, "a data file write", |i| {
                    i.on_undone(&database, to)
                });
            }
            Purpose::PageCheck {
                database,
                request,
                page,
                at,
            } => {
                self.note_damage(&database, &result);
                let read = self.data_file_did(&database, "a read of a page", &result).is_ok();
                self.on_page_checked(&database, request, page, at, read);
            }
            Purpose::PageRestore { database, page } => {
                self.note_damage(&database, &result);
                match self.data_file_did(&database, "the restore of a page", &result) {
                    Ok(()) => self.on_page_restored(&database, page),
                    Err(_) => self.on_page_not_restored(&database, page),
                }
            }
            Purpose::LogTruncate { database, to } => {
                self.database_must(&database, result, "cutting a log", |i| {
                    i.on_log_truncated(&database, to)
                });
            }
        }
    }

    /// Whether the data file of a database could be read or written. The log has what it lacks, so that the database goes
    /// on; a mirror suspends its session.
    fn data_file_did(
        &mut self,
        database: &DatabaseName,
        what: &'static str,
        result: &Result<DiskReply, DiskError>,
    ) -> Result<(), SqlError> {
        let Err(error) = result else { return Ok(()) };
        let input = match error {
            DiskError::Damaged(..) => PartnerInput::DataFileLost,
            _ => PartnerInput::DataFileFailed,
        };
        let error = self.disk_failed(what, error);
        self.write_next_at_once(database);
        self.session_input(database, input);
        Err(error)
    }

    /// Go on if the disk did what the instance relies on; otherwise stop serving anything: an instance that cannot
    /// write its catalog must not promise anything any more.
    pub(super) fn must(
        &mut self,
        result: Result<DiskReply, DiskError>,
        what: &'static str,
        then: impl FnOnce(&mut Instance),
    ) {
        match result {
            Ok(_) => then(self),
            Err(error) => {
                let error = self.disk_failed(what, &error);
                self.shut_down(&error);
            }
        }
    }

    /// Log a failed disk request and give the error for whoever asked.
    pub(super) fn disk_failed(&mut self, what: &str, error: &DiskError) -> SqlError {
        self.emit(InstanceEvent::DiskError {
            request: what.to_owned(),
            error: error.to_string(),
        });
        let error = msg::DISK_ERROR.with(&[error, &what]);
        self.log_error(&error);
        error
    }
}
