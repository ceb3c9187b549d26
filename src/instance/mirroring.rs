//! The instance's sessions at work: commands in, links up and down, messages routed, outputs carried out.
//!
//! A link to a partner is up while both connections of the pair are online (the first one alone while a session starts);
//! a link to the witness is the one connection this instance initiated. When a link breaks, what is left of it is closed,
//! so that the peer notices at once and nothing of the old link arrives on the next.

use std::collections::{BTreeSet, VecDeque};

use super::Instance;
use super::batch::{Outcome, StatementResult, Then, Wait};
use super::counters::{is_page, log_bytes};
use super::database::{Database, Links};
use super::io::{DiskRequest, DiskTicket};
use super::purpose::Purpose;
use super::timeout::asked_for;
use crate::endpoint::config::EndpointRole;
use crate::endpoint::connection::Side;
use crate::error::{SqlError, msg};
use crate::session::{
    Command, Identity, LinkLoss, Outbox, Partner, PartnerInput, PartnerRecord, SessionOutput, Setting,
    Witness, WitnessInput, WitnessOutput, start,
};
use crate::tsql::ast::{PartnerOption, Text, WitnessOption};
use crate::types::{
    ClosedBy, ConnectionId, DatabaseName, EndpointEvent, Guid, Lsn, PartnerRole, ServerAddress,
};
use crate::wire::mirroring::{Body, Message};

impl Instance {
    fn identity(&self) -> Identity {
        Identity {
            name: self.config.server_name.clone(),
        }
    }

    /// `ALTER DATABASE … SET PARTNER`.
    pub(super) fn alter_partner(
        &mut self,
        connection: ConnectionId,
        name: &DatabaseName,
        option: &PartnerOption,
    ) -> StatementResult {
        match option {
            PartnerOption::Address(address) => self.set_partner(connection, name, address),
            PartnerOption::Failover => self.command(connection, name, Command::Failover),
            PartnerOption::Off => self.partner_off(connection, name),
            PartnerOption::Timeout(seconds) => {
                self.command(connection, name, Command::Timeout { seconds: *seconds })
            }
            PartnerOption::RedoQueue(megabytes) => {
                let megabytes = *megabytes;
                self.command(connection, name, Command::RedoQueue { megabytes })
            }
            PartnerOption::ForceServiceAllowDataLoss => self.command(connection, name, Command::ForceService),
            PartnerOption::Resume => self.command(connection, name, Command::Resume),
            PartnerOption::Suspend => self.command(connection, name, Command::Suspend),
            PartnerOption::Safety(level) => {
                self.check_safety(name, *level)?;
                self.command(connection, name, Command::Safety { safety: *level })
            }
        }
    }

    /// `ALTER DATABASE … SET WITNESS`.
    pub(super) fn alter_witness(
        &mut self,
        connection: ConnectionId,
        name: &DatabaseName,
        option: &WitnessOption,
    ) -> StatementResult {
        match option {
            WitnessOption::Off => self.command(connection, name, Command::WitnessOff),
            WitnessOption::Address(text) => {
                let address = parse_address(text)?;
                let record = self
                    .database(name.as_str())
                    .and_then(|d| d.session.as_ref())
                    .map(Partner::record);
                if self.is_own_address(&address) || record.is_some_and(|r| r.partner == address) {
                    return Err(msg::WITNESS_IS_PARTNER.error());
                }
                self.command(connection, name, Command::SetWitness { address })
            }
        }
    }

    fn command(
        &mut self,
        connection: ConnectionId,
        name: &DatabaseName,
        command: Command,
    ) -> StatementResult {
        match self.database(name.as_str()) {
            Some(database) if database.session.is_some() => {
                if command != Command::Off && !database.commands.is_empty() {
                    return Err(msg::MIRROR_BUSY.error());
                }
            }
            Some(Database { down: Some(down), .. }) if self.is_mirrored(name) => return Err(down.error(name)),
            _ => return Err(msg::NOT_MIRRORED.with(&[name])),
        }
        self.start_command(connection, name, |i, name| {
            i.session_input(name, PartnerInput::Command(command))
        })
    }

    /// Run a mirroring command. The batch goes on when its outcome is known, which may be at once.
    fn start_command(
        &mut self,
        connection: ConnectionId,
        name: &DatabaseName,
        start: impl FnOnce(&mut Instance, &DatabaseName),
    ) -> StatementResult {
        if let Some(database) = self.database_mut(name) {
            database.commands.push_back(connection);
        }
        start(self, name);
        Ok(Outcome::Wait(Wait::Command {
            database: name.clone(),
        }))
    }

    fn partner_off(&mut self, connection: ConnectionId, name: &DatabaseName) -> StatementResult {
        let waiting = self
            .database(name.as_str())
            .and_then(|d| d.session.as_ref())
            .is_some_and(|s| !s.has_started() && s.role() == PartnerRole::Mirror);
        if waiting {
            self.forget_session(name);
            return self.persist(connection, Then::Finish);
        }
        if self.is_down(name) {
            return self.partner_off_while_down(connection, name);
        }
        self.command(connection, name, Command::Off)
    }

    pub(super) fn is_own_address(&self, address: &ServerAddress) -> bool {
        let own_port = self.catalog.endpoint().map(|e| e.config.port.number());
        own_port == Some(address.port()) && self.config.is_own_host(address.host())
    }

    fn set_partner(&mut self, connection: ConnectionId, name: &DatabaseName, text: &Text) -> StatementResult {
        let address = parse_address(text)?;
        self.check_set_partner(name, &address)?;
        let Some(entry) = self.catalog.database(name.as_str()) else {
            return Err(msg::DATABASE_MISSING.with(&[name]));
        };
        let (restoring, family) = (entry.restoring, entry.family);
        let database = self.database(name.as_str());
        let path = database.map(|d| d.path(&entry.path)).unwrap_or_default();
        let setting = Setting {
            database: name.clone(),
            family,
            partner: address.clone(),
            last_epoch: database.map_or(1, Database::last_epoch),
            path,
            backed_up: database
                .and_then(Database::backup_point)
                .map_or(Lsn::ZERO, |point| point.log),
        };
        if restoring {
            let partner = Partner::waiting_mirror(self.identity(), setting);
            let record = partner.record().clone();
            self.adopt(name, partner);
            self.put_record(name, Some(record));
            return self.persist(connection, Then::Finish);
        }
        let session = Guid::random(&mut self.streams.ids);
        let partner = Partner::starting_principal(self.identity(), setting, session);
        self.endpoint.dial_errors.remove(&address);
        self.start_command(connection, name, |i, name| {
            i.adopt(name, partner);
            i.endpoint.peers.hurry(i.now.at, &address);
            i.update_links(name, LinkLoss::Hard);
        })
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

    // Links.

    fn wanted_dials(&self) -> BTreeSet<ServerAddress> {
        if !self.is_endpoint_started() || !self.may_be_partner() {
            return BTreeSet::new();
        }
        let sessions = self.databases.values().filter_map(|d| d.session.as_ref());
        sessions
            .flat_map(|s| dials_of(s).into_iter().flatten().cloned())
            .collect()
    }

    /// Look again at whom to dial if this session wants others than it did (with many sessions, looking at all of them
    /// after every message would be most of the work). Another session may have reached them already.
    fn note_dials(&mut self, name: &DatabaseName) {
        let Some(database) = self.database_mut(name) else {
            return;
        };
        let Some(session) = &database.session else { return };
        let wanted = dials_of(session);
        let before = database.dials.each_ref().map(Option::as_ref);
        if wanted == before {
            return;
        }
        let gained = wanted
            .iter()
            .zip(before)
            .any(|(now, then)| now.is_some() && *now != then);
        database.dials = wanted.map(Option::<&ServerAddress>::cloned);
        self.dials_changed = true;
        if gained {
            self.update_links(name, LinkLoss::Hard);
        }
    }

    /// Dial what sessions want and close what none wants any more.
    pub(super) fn settle_dials(&mut self) {
        if self.opening > 0 {
            return;
        }
        if std::mem::take(&mut self.dials_changed) {
            let wanted = self.wanted_dials();
            if self.is_endpoint_started() {
                self.endpoint.dial_errors.retain(|a, _| wanted.contains(a));
            }
            for connection in self.endpoint.peers.want(self.now.at, &wanted) {
                self.close_peer(connection, None);
            }
        }
        self.dial_due();
    }

    /// The endpoint was created, altered or dropped.
    pub(super) fn endpoint_changed(&mut self) {
        self.dials_changed = true;
    }

    /// What a session's links are now.
    fn links_of(&self, database: &Database) -> Links {
        let Some(session) = &database.session else {
            return Links::default();
        };
        let peers = &self.endpoint.peers;
        let partner = &session.record().partner;
        let starting = !session.has_started() && session.role() == PartnerRole::Principal;
        if !self.may_be_partner() {
            let reply_via = database.links.reply_via;
            return Links {
                reply_via,
                ..Links::default()
            };
        }
        let partner_link = if starting {
            peers.outbound(partner).map(|(out, _)| (out, None))
        } else if session.dials_partner() {
            let link = peers.link(partner).map(|(out, inbound, _)| (out, inbound));
            let both = |(out, inbound): &(_, _)| {
                self.joins(*out, EndpointRole::can_be_partner)
                    && self.joins(*inbound, EndpointRole::can_be_partner)
            };
            let link = link.filter(both).map(|(out, inbound)| (out, Some(inbound)));
            link.filter(|link| database.silent != Some(*link))
        } else {
            None
        };
        let witness = session
            .witness_address()
            .and_then(|w| peers.outbound(w))
            .map(|(out, _)| out)
            // An instance that is asked to become the witness answers for itself.
            .filter(|out| {
                session.record().witness.is_none() || self.joins(*out, EndpointRole::can_be_witness)
            });
        Links {
            partner: partner_link,
            witness,
            reply_via: database.links.reply_via,
        }
    }

    pub(super) fn update_links(&mut self, name: &DatabaseName, cause: LinkLoss) {
        let Some(database) = self.database(name.as_str()) else {
            return;
        };
        let (before, after) = (database.links, self.links_of(database));
        if before == after {
            return;
        }
        if let Some(database) = self.database_mut(name) {
            database.links = after;
        }
        if before.partner != after.partner {
            self.know_partner(name, after.partner.and_then(|(_, inbound)| inbound));
        }
        let grew = matches!((before.partner, after.partner), (Some((a, None)), Some((b, Some(_)))) if a == b);
        if before.partner != after.partner && !grew {
            if let Some((outbound, inbound)) = before.partner {
                // Nothing is wrong with the connections to a partner whose database is not available.
                let sound = self
                    .database(name.as_str())
                    .is_some_and(|d| d.silent == before.partner);
                self.session_input(name, PartnerInput::PartnerDown { cause });
                for left in [Some(outbound), inbound].into_iter().flatten() {
                    let kept = after.partner.is_some_and(|(o, i)| o == left || i == Some(left));
                    if !kept && !sound {
                        self.close_peer(left, None);
                    }
                }
            }
            if let Some((_, inbound)) = after.partner.filter(|_| self.has_links(name, &after)) {
                self.session_input(name, PartnerInput::PartnerUp);
                if let Some(inbound) = inbound {
                    self.replay_early(inbound);
                }
            }
        }
        if before.witness != after.witness {
            if before.witness.is_some() {
                self.session_input(name, PartnerInput::WitnessDown { cause });
            }
            if after.witness.is_some() && self.has_links(name, &after) {
                self.session_input(name, PartnerInput::WitnessUp);
            }
        }
    }

    /// The partner's own connection is part of the link.
    fn know_partner(&mut self, name: &DatabaseName, inbound: Option<ConnectionId>) {
        let session = self.database(name.as_str()).and_then(|d| d.session.as_ref());
        if let (Some(session), Some(inbound)) = (session.map(|s| s.record().session), inbound) {
            self.know_peer_of(session, inbound);
        }
    }

    /// Whether `links` are still what was last found: what a loss brought about may have changed them again.
    fn has_links(&self, name: &DatabaseName, links: &Links) -> bool {
        self.database(name.as_str()).is_some_and(|d| d.links == *links)
    }

    /// Whether the ROLEs of both endpoints, as they were at the login, let this instance have a partner or a witness there.
    fn joins(&self, connection: ConnectionId, role: fn(EndpointRole) -> bool) -> bool {
        self.endpoint.connections.get(&connection).is_some_and(|online| {
            online.connection.local_role().can_be_partner()
                && online.peer.as_ref().is_some_and(|p| role(p.role))
        })
    }

    fn update_all_links(&mut self, cause: LinkLoss) {
        let names: Vec<DatabaseName> = self
            .databases
            .values()
            .filter(|d| d.is_mirrored())
            .map(|d| d.name.clone())
            .collect();
        for name in names {
            self.update_links(&name, cause);
        }
    }

    pub(super) fn on_link_gained(&mut self, connection: ConnectionId) {
        self.take_timeout(connection);
        self.update_all_links(LinkLoss::Hard);
        self.probe_partners(connection);
    }

    /// A partner that was removed from the session does not connect back: ask it over the connection that reached it.
    fn probe_partners(&mut self, connection: ConnectionId) {
        let probes: Vec<Message> = self
            .databases
            .values()
            .filter(|d| d.links.partner.is_none() && self.is_to_partner(d, connection))
            .filter_map(|d| d.session.as_ref().filter(|s| s.has_started()))
            .map(|session| Message {
                session: session.record().session,
                role_sequence: session.role_sequence(),
                link: 0,
                body: Body::Probe,
            })
            .collect();
        probes.iter().for_each(|probe| self.say(connection, probe));
    }

    /// Whether this instance opened `connection` to reach the partner of `database`.
    fn is_to_partner(&self, database: &Database, connection: ConnectionId) -> bool {
        let partner = database.session.as_ref().map(|s| &s.record().partner);
        let reached = partner.and_then(|p| self.endpoint.peers.outbound(p));
        reached.is_some_and(|(outbound, _)| outbound == connection)
    }

    pub(super) fn on_link_lost(&mut self, connection: ConnectionId, peer: Guid, by: ClosedBy) {
        let cause = if by == ClosedBy::Timeout {
            LinkLoss::Soft
        } else {
            LinkLoss::Hard
        };
        if by == ClosedBy::Timeout {
            self.log_timeouts(connection);
        }
        for database in self.databases.values_mut() {
            if database.links.reply_via == Some(connection) {
                database.links.reply_via = None;
            }
        }
        self.update_all_links(cause);
        let still_there = self.endpoint.connections.values().any(|o| {
            o.connection.side() == Side::Acceptor && o.peer.as_ref().is_some_and(|p| p.arbitration_id == peer)
        });
        if !still_there {
            let sessions: Vec<Guid> = self.witnesses.keys().copied().collect();
            for session in sessions {
                self.witness_input(session, WitnessInput::Down { peer });
            }
        }
        self.dials_changed = true;
    }

    /// 1479 for every session the silent connection carried.
    fn log_timeouts(&mut self, connection: ConnectionId) {
        let lines: Vec<SqlError> = self
            .databases
            .values()
            .filter_map(|d| {
                let session = d.session.as_ref()?;
                let seconds = session.record().timeout_in_force();
                let at = if d.links.witness == Some(connection) {
                    session.witness_address()?.clone()
                } else {
                    let (outbound, inbound) = d.links.partner?;
                    (outbound == connection || inbound == Some(connection))
                        .then(|| session.record().partner.clone())?
                };
                Some(msg::CONNECTION_TIMED_OUT.with(&[&at, &d.name, &seconds]))
            })
            .collect();
        lines.iter().for_each(|line| self.log_error(line));
    }

    /// An attempt to reach `address` failed; sessions that start, and witnesses being set, must know.
    pub(super) fn on_dial_failed(&mut self, address: &ServerAddress) {
        let concerned: Vec<(DatabaseName, bool)> = self
            .databases
            .values()
            .filter_map(|d| {
                let session = d.session.as_ref()?;
                let partner = session.record().partner == *address && !session.has_started();
                let witness = session.witness_address() == Some(address);
                (partner || witness).then(|| (d.name.clone(), partner))
            })
            .collect();
        for (name, partner) in concerned {
            let cause = LinkLoss::Hard;
            let input = if partner {
                PartnerInput::PartnerDown { cause }
            } else {
                PartnerInput::WitnessDown { cause }
            };
            self.session_input(&name, input);
        }
    }

    // Messages.

    pub(super) fn tell_partner(&mut self, name: &DatabaseName, message: &Message) {
        let Some(database) = self.database(name.as_str()) else {
            return;
        };
        let via = database
            .links
            .partner
            .map(|(outbound, _)| outbound)
            .or(database.links.reply_via);
        if let Some(via) = via {
            self.say_of(name, via, message);
        }
    }

    pub(super) fn tell_witness(&mut self, name: &DatabaseName, message: &Message) {
        let via = self.database(name.as_str()).and_then(|d| d.links.witness);
        if let Some(via) = via {
            self.say_of(name, via, message);
        }
    }

    pub(super) fn tell_peer(&mut self, peer: Guid, message: &Message) {
        let via = self.endpoint.peers.inbound(peer);
        if let Some(via) = via {
            self.say(via, message);
        }
    }

    /// Send a message of a database's session, and count it.
    fn say_of(&mut self, name: &DatabaseName, connection: ConnectionId, message: &Message) {
        let bytes = self.try_say(connection, message);
        if let (Some(bytes), Some(database)) = (bytes, self.database_mut(name)) {
            database.counters.sent(bytes, log_bytes(&message.body));
            database.counters.pages_sent += u64::from(is_page(&message.body));
        }
    }

    pub(super) fn say(&mut self, connection: ConnectionId, message: &Message) {
        self.try_say(connection, message);
    }

    /// Send a session message; its length. One that is beyond a limit of the protocol is not sent, and the log says so.
    fn try_say(&mut self, connection: ConnectionId, message: &Message) -> Option<usize> {
        match message.encode() {
            Ok(bytes) => {
                self.send_message(connection, &bytes);
                Some(bytes.len())
            }
            Err(error) => {
                let to = self
                    .peer_of(connection)
                    .map(|p| p.server_name.clone())
                    .unwrap_or_default();
                self.log_error(&msg::MESSAGE_NOT_SENT.with(&[&error, &to]));
                None
            }
        }
    }

    /// One session message came in over an online connection.
    pub(super) fn on_message(&mut self, connection: ConnectionId, bytes: Vec<u8>) {
        let Some(peer) = self.peer_id_of(connection) else {
            return;
        };
        let message = match Message::decode(&bytes) {
            Ok(message) => message,
            Err(error) => {
                let from = self
                    .peer_of(connection)
                    .map(|p| p.server_name.clone())
                    .unwrap_or_default();
                let reason = msg::UNEXPECTED_MESSAGE.with(&[&error, &from]);
                self.log_error(&reason);
                return self.close_peer(connection, Some(reason));
            }
        };
        if self.witnesses.contains_key(&message.session) || matches!(message.body, Body::WitnessAttach(_)) {
            return self.message_for_witness(connection, peer, message);
        }
        let owner = self.databases.values().find(|d| {
            d.session
                .as_ref()
                .is_some_and(|s| s.record().session == message.session)
        });
        match owner {
            Some(database) => {
                let (name, links) = (database.name.clone(), database.links);
                let from_witness = links.witness == Some(connection);
                let on_link = links.partner.is_some() && self.partner_id(&name) == Some(peer);
                let reply_via = links.reply_via == Some(connection);
                let gone = message.body == Body::NoSession && self.is_to_partner(database, connection);
                match message.body {
                    Body::Probe => return,
                    Body::Unavailable if on_link => return self.partner_is_unavailable(&name),
                    _ => {}
                }
                let counted = from_witness || on_link || reply_via || gone;
                if let Some(database) = self.database_mut(&name).filter(|_| counted) {
                    database.counters.received(bytes.len(), log_bytes(&message.body));
                }
                if from_witness {
                    self.session_traffic(connection, &name);
                    self.session_input(&name, PartnerInput::FromWitness(message));
                } else if on_link || reply_via || gone {
                    if on_link || reply_via {
                        self.session_traffic(connection, &name);
                    }
                    self.session_input(&name, PartnerInput::FromPartner(message));
                } else {
                    self.keep_early(connection, bytes);
                }
            }
            // A database that cannot be opened does not end its session: the partner keeps its side.
            None if self.is_recorded(message.session) => self.greeted_while_down(connection, &message),
            None => match &message.body {
                Body::Open(open) => {
                    let name = open.database.clone();
                    self.opened_by_partner(connection, &name, message);
                }
                _ => {
                    if let Some(answer) = start::no_session(&message) {
                        self.say(connection, &answer);
                    }
                }
            },
        }
    }

    /// Whether a database of the catalog is a partner of this session.
    fn is_recorded(&self, session: Guid) -> bool {
        let recorded = self.catalog.databases().filter_map(|d| d.mirroring.as_ref());
        session != Guid::NIL && recorded.into_iter().any(|r| r.session == session)
    }

    /// Who the partner of a database turned out to be, while this instance is connected to it.
    fn partner_id(&self, name: &DatabaseName) -> Option<Guid> {
        let session = self.database(name.as_str())?.session.as_ref()?;
        let (_, peer) = self.endpoint.peers.outbound(&session.record().partner)?;
        Some(peer.arbitration_id)
    }

    fn replay_early(&mut self, connection: ConnectionId) {
        for bytes in self.take_early(connection) {
            self.on_message(connection, bytes);
        }
    }

    fn session_traffic(&mut self, connection: ConnectionId, name: &DatabaseName) {
        if self
            .traffic_seen
            .insert((connection, name.as_str().to_lowercase()))
        {
            self.emit(EndpointEvent::SessionTraffic {
                connection,
                database: name.clone(),
            });
        }
    }

    /// A principal asks for a session: the mirror that waits for it answers, or the instance says why there is none.
    fn opened_by_partner(&mut self, connection: ConnectionId, name: &DatabaseName, message: Message) {
        let Body::Open(open) = &message.body else {
            return;
        };
        let refusal = self.refusal_of(connection, open);
        match refusal {
            Some(number) => self.say(connection, &start::refuse(&message, number)),
            None => {
                let name = match self.database_mut(name) {
                    Some(database) => {
                        database.links.reply_via = Some(connection);
                        database.joining = Some(open.path.before(database.log.end()));
                        database.name.clone()
                    }
                    None => return,
                };
                self.session_traffic(connection, &name);
                self.session_input(&name, PartnerInput::FromPartner(message));
                self.dials_changed = true;
            }
        }
    }

    // The witness.

    fn message_for_witness(&mut self, connection: ConnectionId, peer: Guid, message: Message) {
        let session = message.session;
        let can = self.may_be_witness();
        if !self.witnesses.contains_key(&session) {
            if !Witness::is_invitation(&message) {
                if let Some(answer) = start::no_session(&message) {
                    self.say(connection, &answer);
                }
                return;
            }
            let own_version = self.config.options.version;
            let same_version = self.peer_of(connection).is_some_and(|p| p.version == own_version);
            let is_partner = |d: &Database| d.session.as_ref().is_some_and(|s| s.record().session == session);
            if !can || !same_version || self.databases.values().any(is_partner) {
                return self.say(connection, &Witness::refusal(&message));
            }
            if self.has_used_up_witness(connection) {
                self.log_witness_used_up(connection);
                return self.say(connection, &Witness::refusal(&message));
            }
            self.witnesses.insert(session, Witness::new(session));
            self.witness_since.insert(session, DiskTicket(self.next_ticket));
        } else if !can && message.body != Body::Removed {
            // The endpoint's ROLE was changed: the record stays, and nobody is answered until it is changed back.
            return;
        } else if !self.catalog.may_be_of(session, peer) {
            self.log_no_partner(connection, session);
            // Only what is never itself an answer is answered.
            if matches!(message.body, Body::WitnessAttach(_)) {
                self.say(connection, &Witness::refusal(&message));
            }
            return;
        }
        if let Body::WitnessAttach(attach) = &message.body {
            let known = self.witnesses.get(&session).and_then(Witness::record);
            if known.is_none_or(|r| r.database == attach.database) {
                self.session_traffic(connection, &attach.database);
            }
        }
        self.witness_input(session, WitnessInput::From { peer, message });
        if self.witnesses.get(&session).is_some_and(|w| w.record().is_none()) {
            self.witnesses.remove(&session);
            self.witness_since.remove(&session);
        }
    }

    pub(super) fn restore_witnesses(&mut self) {
        let records: Vec<_> = self.catalog.witnesses().cloned().collect();
        for record in records {
            let session = record.session;
            let witness = Witness::restore(record);
            for event in witness.on_record() {
                self.emit(event);
            }
            self.witnesses.insert(session, witness);
        }
        self.endpoint.timeout.sessions_changed();
    }

    fn witness_input(&mut self, session: Guid, input: WitnessInput) {
        let mut out = VecDeque::new();
        let introduction = match &input {
            WitnessInput::From { peer, message } => {
                matches!(message.body, Body::WitnessAttach(_)).then_some(*peer)
            }
            _ => None,
        };
        if let Some(witness) = self.witnesses.get_mut(&session) {
            let timeout = witness.timeout_in_force();
            witness.handle(input, &mut out);
            if timeout != witness.timeout_in_force() {
                self.endpoint.timeout.sessions_changed();
            }
            let introduced = introduction.filter(|peer| witness.is_introduced(*peer));
            if let Some(inbound) = introduced.and_then(|peer| self.endpoint.peers.inbound(peer)) {
                self.know_peer_of(session, inbound);
            }
        }
        while let Some(output) = out.pop_front() {
            match output {
                WitnessOutput::To { peer, message } => self.tell_peer(peer, &message),
                WitnessOutput::Persist { ticket, record } => {
                    self.catalog.put_witness(session, *record);
                    let writes = self.catalog.take_writes();
                    self.disk(
                        DiskRequest::Master { writes },
                        Purpose::WitnessRecord { session, ticket },
                    );
                }
                WitnessOutput::Removed => {
                    self.witnesses.remove(&session);
                    self.endpoint.timeout.sessions_changed();
                    self.witness_since.remove(&session);
                    self.catalog.drop_witness(session);
                    self.catalog.forget_peers_of(session);
                    let writes = self.catalog.take_writes();
                    self.disk(DiskRequest::Master { writes }, Purpose::Catalog);
                }
                WitnessOutput::Emit(event) => self.emit(event),
                WitnessOutput::ErrorLog(error) => self.log_error(&error),
            }
        }
    }

    /// A record is durable. One of a relationship that is no more says nothing to the one that followed it.
    pub(super) fn on_witness_persisted(&mut self, session: Guid, asked: DiskTicket, ticket: u64) {
        if self
            .witness_since
            .get(&session)
            .is_some_and(|since| asked < *since)
        {
            return;
        }
        self.witness_input(session, WitnessInput::Persisted { ticket });
    }

    /// The name clients are given as the failover partner of a database.
    pub(super) fn failover_partner(&self, name: &DatabaseName) -> Option<String> {
        let session = self.database(name.as_str())?.session.as_ref()?;
        Some(session.record().partner_name.clone()).filter(|n| !n.is_empty())
    }
}

/// Whom a session wants dialled: its partner and its witness.
fn dials_of(session: &Partner) -> [Option<&ServerAddress>; 2] {
    let partner = session.dials_partner().then(|| &session.record().partner);
    [partner, session.witness_address()]
}

fn parse_address(text: &Text) -> Result<ServerAddress, SqlError> {
    text.as_str()
        .parse()
        .map_err(|e| msg::ADDRESS_SYNTAX.with(&[text, &e]).at(text.span))
}
