//! The instance's sessions at work: begun, fed, their outputs carried out, removed.
//!
//! `statements` is what operators say, `links` who is connected, `messages` what comes and goes, `witness` the sessions of
//! others.

mod links;
mod messages;
mod statements;
mod witness;

use std::collections::VecDeque;

use super::Instance;
use super::batch::Wait;
use super::database::{Database, Links};
use super::io::{DiskRequest, DiskTicket};
use super::purpose::Purpose;
use super::timeout::asked_for;
use crate::error::{SqlError, msg};
use crate::session::{Identity, LinkLoss, Outbox, Partner, PartnerInput, PartnerRecord, SessionOutput};
use crate::types::{ConnectionId, DatabaseName, PartnerRole};

impl Instance {
    pub(super) fn identity(&self) -> Identity {
        Identity {
            name: self.config.server_name.clone(),
        }
    }

    /// Give a database its session and begin it.
    fn adopt(&mut self, name: &DatabaseName, partner: Partner) {
        let since = DiskTicket(self.next_ticket);
        let Some(database) = self.database_mut(name) else {
            return;
        };
        database.session = Some(partner);
        database.session_since = since;
        database.links = Links::default();
        database.silent = None;
        database.dials = [None, None];
        self.endpoint.timeout.sessions_changed();
        self.begin_session(name);
        self.tell_damaged_pages(name);
        self.dials_changed = true;
    }

    fn begin_session(&mut self, name: &DatabaseName) {
        let now = self.now.at;
        let mut out = Outbox::new();
        if let Some(database) = self.database_mut(name)
            && let Some(session) = &mut database.session
        {
            session.begin(now, &mut database.log, &mut out);
        }
        self.carry_out(name, out);
    }

    /// At start-up: the session of a database as its record says.
    pub(super) fn restore_session(&mut self, database: &mut Database, record: PartnerRecord) {
        database.session = Some(Partner::restore(self.identity(), record));
        self.endpoint.timeout.sessions_changed();
        self.dials_changed = true;
    }

    /// A restored session begins once its database is in place.
    pub(super) fn after_session(&mut self, name: &DatabaseName) {
        if self.database(name.as_str()).is_some_and(Database::is_mirrored) {
            self.begin_session(name);
        }
    }

    pub(super) fn session_input(&mut self, name: &DatabaseName, input: PartnerInput) {
        let now = self.now.at;
        let mut out = Outbox::new();
        let Some(database) = self.database_mut(name) else {
            return;
        };
        let Some(session) = &mut database.session else {
            return;
        };
        let timeout = asked_for(session);
        session.handle(now, input, &mut database.log, &mut out);
        let timeout_changed = timeout != asked_for(session);
        let held = session.waits_for_window(&database.log);
        database.counters.flow_controlled(now, held);
        if timeout_changed {
            self.endpoint.timeout.sessions_changed();
        }
        self.carry_out(name, out);
        self.acknowledge(name);
        self.give_up_log(name);
    }

    fn carry_out(&mut self, name: &DatabaseName, mut out: Outbox) {
        while let Some(output) = out.pop() {
            match output {
                SessionOutput::ToPartner(message) => self.tell_partner(name, &message),
                SessionOutput::ToWitness(message) => self.tell_witness(name, &message),
                SessionOutput::Persist { ticket, record } => {
                    self.put_record(name, Some(*record));
                    // A mirror learns which session it is in only after the link is up.
                    let links = self.database(name.as_str()).map(|d| d.links);
                    self.know_partner(name, links.and_then(|l| l.partner?.1));
                    let writes = self.catalog.take_writes();
                    let purpose = Purpose::SessionRecord {
                        database: name.clone(),
                        ticket,
                    };
                    self.disk(DiskRequest::Master { writes }, purpose);
                    self.dials_changed = true;
                }
                SessionOutput::Harden(block) => self.harden(name, &block),
                SessionOutput::Redo(block) => self.redo_on_mirror(name, &block),
                SessionOutput::Truncate { to, undone } => self.revert(name, to, &undone),
                SessionOutput::ReadPage { request, page, at } => self.read_page(name, request, page, at),
                SessionOutput::RestorePage { page, image } => self.restore_page(name, page, &image),
                SessionOutput::PageRepair { page, status } => self.on_page_repair(name, &page, status),
                SessionOutput::CutClients { .. } => {
                    self.cut_clients(name);
                    self.forget_unacknowledged(name);
                }
                SessionOutput::Serve(_) => {}
                SessionOutput::CommandDone(result) => self.command_done(name, result),
                SessionOutput::Removed => self.remove_session(name),
                SessionOutput::Emit(event) => self.emit(event),
                SessionOutput::ErrorLog(error) => self.log_error(&error),
            }
        }
        self.note_dials(name);
    }

    /// The oldest command of this database is done: its batch goes on.
    fn command_done(&mut self, name: &DatabaseName, result: Result<(), SqlError>) {
        let wait = Wait::Command {
            database: name.clone(),
        };
        let owner = self.database_mut(name).and_then(|d| d.commands.pop_front());
        if let Some(owner) = owner {
            self.resumed.push_back((owner, wait, result));
        }
    }

    fn put_record(&mut self, name: &DatabaseName, record: Option<PartnerRecord>) {
        let joins = record
            .as_ref()
            .is_some_and(|r| r.started && r.role == PartnerRole::Mirror);
        if let Some(mut entry) = self.catalog.database(name.as_str()).cloned() {
            if joins && let Some(path) = self.database_mut(name).and_then(|d| d.joining.take()) {
                entry.path = path;
            }
            entry.mirroring = record;
            self.catalog.put_database(entry);
        }
    }

    /// The session is over. Commits and the command that ended it are answered once that is durable: a restart must not
    /// bring the session back under a commit that no partner holds.
    fn remove_session(&mut self, name: &DatabaseName) {
        let recorded = self.is_mirrored(name);
        self.forget_session(name);
        let Some(database) = self.database_mut(name) else {
            return;
        };
        database.leaving = recorded;
        let owners: Vec<ConnectionId> = std::mem::take(&mut database.commands).into();
        let wait = Wait::Command {
            database: name.clone(),
        };
        let (ended, others) = std::mem::take(&mut self.resumed)
            .into_iter()
            .partition::<VecDeque<_>, _>(|(_, w, result)| recorded && *w == wait && result.is_ok());
        self.resumed = others;
        for owner in owners {
            let result = Err(msg::NOT_MIRRORED.with(&[name]));
            self.resumed.push_back((owner, wait.clone(), result));
        }
        if !recorded {
            return self.acknowledge(name);
        }
        let purpose = Purpose::SessionRemoved {
            database: name.clone(),
            ended: ended.into_iter().map(|(owner, ..)| owner).collect(),
        };
        let writes = self.catalog.take_writes();
        self.disk(DiskRequest::Master { writes }, purpose);
    }

    /// Whether the catalog knows of a session of this database.
    pub(super) fn is_mirrored(&self, name: &DatabaseName) -> bool {
        let entry = self.catalog.database(name.as_str());
        entry.is_some_and(|e| e.mirroring.is_some())
    }

    pub(super) fn on_session_removed(&mut self, name: &DatabaseName, ended: Vec<ConnectionId>) {
        if let Some(database) = self.database_mut(name) {
            database.leaving = false;
        }
        let wait = Wait::Command {
            database: name.clone(),
        };
        let ended = ended.into_iter().map(|owner| (owner, wait.clone(), Ok(())));
        self.resumed.extend(ended);
        self.acknowledge(name);
    }

    /// Drop the session: a former principal is an ordinary database, a former mirror stays restoring.
    fn forget_session(&mut self, name: &DatabaseName) {
        let Some(database) = self.database_mut(name) else {
            return;
        };
        let Some(session) = database.session.take() else {
            return;
        };
        database.links = Links::default();
        self.catalog.forget_peers_of(session.record().session);
        self.endpoint.timeout.sessions_changed();
        let restoring = session.role() == PartnerRole::Mirror;
        if let Some(mut entry) = self.catalog.database(name.as_str()).cloned()
            && entry.mirroring.is_some()
        {
            entry.mirroring = None;
            entry.restoring = restoring;
            self.catalog.put_database(entry);
        }
        self.dials_changed = true;
    }

    /// A record is durable. One of a session that is no more says nothing to the one that followed it.
    pub(super) fn on_session_persisted(&mut self, name: &DatabaseName, asked: DiskTicket, ticket: u64) {
        if self
            .database(name.as_str())
            .is_none_or(|d| asked < d.session_since)
        {
            return;
        }
        self.session_input(name, PartnerInput::Persisted { ticket });
        // Once it has started, a session's link is both connections.
        let begun = |d: &Database| matches!(d.links.partner, Some((_, None)));
        if self.database(name.as_str()).is_some_and(begun) {
            self.update_links(name, LinkLoss::Hard);
        }
    }

    pub(super) fn wake_sessions(&mut self) {
        let now = self.now.at;
        if self.databases.next_wake().is_none_or(|(at, _)| at > now) {
            return;
        }
        let due: Vec<DatabaseName> = self
            .databases
            .values()
            .filter(|d| {
                d.session
                    .as_ref()
                    .and_then(Partner::next_wake)
                    .is_some_and(|(at, _)| at <= now)
            })
            .map(|d| d.name.clone())
            .collect();
        for name in due {
            self.session_input(&name, PartnerInput::Wake);
        }
    }

    /// The name clients are given as the failover partner of a database.
    pub(super) fn failover_partner(&self, name: &DatabaseName) -> Option<String> {
        let session = self.database(name.as_str())?.session.as_ref()?;
        Some(session.record().partner_name.clone()).filter(|n| !n.is_empty())
    }
}
