//! A database that this instance cannot use: its files could not be trusted at the start, or its log failed since.
//!
//! Nothing that its log does not hold can be promised, so a log that cannot be written takes its database down, and that
//! alone: clients are cut, waiting statements fail, the session leaves, and partner and witness are told (`Unavailable`),
//! which is to them as if the links of this session had broken. The record in `master` stays. The database is opened anew,
//! from what its files hold, when the instance starts again. Source: documented, 9001 and the loss of the log drive as a
//! hard error; that the word travels as a message of its own is ours.

use super::Database;
use super::tables::Tables;
use crate::error::{SqlError, msg};
use crate::instance::Instance;
use crate::instance::batch::{StatementResult, Then, Wait};
use crate::instance::catalog::DatabaseEntry;
use crate::instance::io::{DiskError, DiskReply, DiskTicket};
use crate::instance::purpose::Purpose;
use crate::log::LogBlock;
use crate::session::LinkLoss;
use crate::types::{ConnectionId, DatabaseName, Guid, Lsn, PartnerRole, SessionEvent};
use crate::wire::mirroring::{Body, Message};

/// Why a database cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Down {
    /// Its files hold something that cannot be trusted.
    Suspect(String),
    /// Its files could not be written.
    RecoveryPending,
}

impl Down {
    /// What whoever wants to use the database is told.
    pub fn error(&self, name: &DatabaseName) -> SqlError {
        match self {
            Down::Suspect(why) => msg::DATABASE_DAMAGED.with(&[name, why]),
            Down::RecoveryPending => msg::DATABASE_FILES_OUT_OF_REACH.with(&[name]),
        }
    }
}

/// What the catalog is to say of a copy once the last block of a log backup is hardened.
#[derive(Debug)]
pub struct RestoredLog {
    pub entry: DatabaseEntry,
    pub block: LogBlock,
}

impl Database {
    /// What is left of a database that cannot be used.
    pub fn down(name: DatabaseName, why: Down) -> Self {
        let mut database = Database::new(name, Lsn::ZERO, Tables::default());
        database.down = Some(why);
        database
    }
}

impl Instance {
    pub(in crate::instance) fn is_down(&self, name: &DatabaseName) -> bool {
        self.database(name.as_str()).is_some_and(|d| d.down.is_some())
    }

    /// Go on if the disk did what the database relies on; otherwise the database is not to be used any more.
    pub(in crate::instance) fn database_must(
        &mut self,
        name: &DatabaseName,
        result: Result<DiskReply, DiskError>,
        what: &'static str,
        then: impl FnOnce(&mut Instance),
    ) {
        match result {
            Ok(_) => then(self),
            Err(error) => {
                self.disk_failed(what, &error);
                self.take_down(name);
            }
        }
    }

    /// An answer of the disk that concerns nobody any more, for its database was taken down. Gives it back otherwise.
    pub(in crate::instance) fn unless_down(
        &mut self,
        ticket: DiskTicket,
        purpose: Purpose,
    ) -> Option<Purpose> {
        let name = match &purpose {
            Purpose::LogAppend { database, .. }
            | Purpose::LogDiscard { database }
            | Purpose::LogTruncate { database, .. }
            | Purpose::Redo { database, .. }
            | Purpose::Undo { database, .. }
            | Purpose::Checkpoint { database, .. }
            | Purpose::PageCheck { database, .. }
            | Purpose::PageRestore { database, .. } => database,
            _ => return Some(purpose),
        };
        let down = self.database(name.as_str()).and_then(|d| d.down.as_ref());
        let Some(error) = down.map(|down| down.error(name)) else {
            return Some(purpose);
        };
        self.resume_with(&Wait::Disk(ticket), &Err(error));
        None
    }

    /// The log of this database cannot be relied upon: nobody uses it here until the instance starts again.
    pub(in crate::instance) fn take_down(&mut self, name: &DatabaseName) {
        if self.database(name.as_str()).is_none_or(|d| d.down.is_some()) {
            return;
        }
        self.log_error(&msg::LOG_NOT_AVAILABLE.with(&[name]));
        self.leave_session(name);
        self.cut_clients(name);
        self.forget_unacknowledged(name);
        let Some(database) = self.database_mut(name) else {
            return;
        };
        let waiting = std::mem::take(&mut database.commands);
        *database = Database::down(name.clone(), Down::RecoveryPending);
        let wait = Wait::Command {
            database: name.clone(),
        };
        for owner in waiting {
            let error = Down::RecoveryPending.error(name);
            self.resumed.push_back((owner, wait.clone(), Err(error)));
        }
        self.tell_down(name);
        self.endpoint.timeout.sessions_changed();
        self.dials_changed = true;
        // A greeting that came before the link was whole is answered now.
        let kept: Vec<ConnectionId> = self.endpoint.connections.keys().copied().collect();
        kept.into_iter()
            .for_each(|connection| self.replay_early(connection));
    }

    /// The trace is told that a copy cannot be used, now or from the start on.
    pub(super) fn tell_down(&mut self, name: &DatabaseName) {
        let database = name.clone();
        self.emit(SessionEvent::Unavailable { database });
    }

    /// Partner and witness learn that the database left its session for now. The record of it stays.
    fn leave_session(&mut self, name: &DatabaseName) {
        let session = self.database(name.as_str()).and_then(|d| d.session.as_ref());
        // One that is on record is known to the partner, even if this side has not begun it yet.
        let Some(session) = session.filter(|s| s.has_started() || self.is_mirrored(name)) else {
            return;
        };
        let (to_partner, to_witness) = session.farewell();
        self.tell_partner(name, &to_partner);
        self.tell_witness(name, &to_witness);
    }

    /// A partner greets a session whose database is down here: it is told so over the connection that it opened.
    pub(in crate::instance) fn greeted_while_down(&mut self, connection: ConnectionId, message: &Message) {
        if matches!(message.body, Body::Hello(_)) {
            let answer = Message {
                body: Body::Unavailable,
                ..message.clone()
            };
            self.say(connection, &answer);
        }
    }

    /// The partner's database is down: its link is lost for this session, though the connections stay for others.
    pub(in crate::instance) fn partner_is_unavailable(&mut self, name: &DatabaseName) {
        let Some(database) = self.database_mut(name) else {
            return;
        };
        let Some(link) = database.links.partner else {
            return;
        };
        database.silent = Some(link);
        let partner = database.session.as_ref().map(|s| s.record().partner.clone());
        if let Some(partner) = partner {
            let number = msg::LOG_NOT_AVAILABLE.number;
            let why = format!("database {name} is not available there");
            self.log_error(&msg::CONNECTION_ERROR.with(&[&number, &why, &partner]));
        }
        self.update_links(name, LinkLoss::Hard);
    }

    /// `SET PARTNER OFF` where the database is down: only the record is left to remove. The partner is told over the
    /// connection that it has opened here, or else when it connects again.
    pub(in crate::instance) fn partner_off_while_down(
        &mut self,
        connection: ConnectionId,
        name: &DatabaseName,
    ) -> StatementResult {
        let entry = self.catalog.database(name.as_str()).cloned();
        let Some((mut entry, record)) = entry.and_then(|e| Some((e.clone(), e.mirroring?))) else {
            return Err(msg::NOT_MIRRORED.with(&[name]));
        };
        entry.restoring = record.role == PartnerRole::Mirror;
        entry.mirroring = None;
        self.catalog.put_database(entry);
        let message = Message {
            session: record.session,
            role_sequence: record.role_sequence,
            link: 0,
            body: Body::NoSession,
        };
        let peers: Vec<Guid> = self.catalog.peers_of(record.session);
        self.catalog.forget_peers_of(record.session);
        peers.into_iter().for_each(|peer| self.tell_peer(peer, &message));
        self.emit(SessionEvent::Removed {
            database: name.clone(),
            session: record.session,
        });
        self.persist(connection, Then::Finish)
    }

    /// The last block of `RESTORE LOG` is hardened, or is not: only then does the catalog say what the copy is.
    pub(in crate::instance) fn log_restored(
        &mut self,
        connection: ConnectionId,
        restored: RestoredLog,
        result: Result<DiskReply, DiskError>,
    ) -> StatementResult {
        let name = restored.entry.name.clone();
        if let Err(error) = result {
            let error = self.disk_failed("a log write", &error);
            self.take_down(&name);
            return Err(error);
        }
        let RestoredLog { entry, block } = restored;
        if let Some(database) = self.database_mut(&name) {
            database.restoring_log = false;
        }
        self.on_log_hardened(
            &name,
            block.role_sequence(),
            block.start(),
            block.end(),
            block.crc(),
        );
        self.catalog.put_database(entry);
        self.persist(connection, Then::Finish)
    }
}
