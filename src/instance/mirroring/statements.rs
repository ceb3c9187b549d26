//! `ALTER DATABASE … SET PARTNER` and `SET WITNESS`: what of a statement is decided here, and what is the session's affair.

use crate::error::{SqlError, msg};
use crate::instance::Instance;
use crate::instance::batch::{Outcome, StatementResult, Then, Wait};
use crate::instance::database::Database;
use crate::session::{Command, LinkLoss, Partner, PartnerInput, Setting};
use crate::tsql::ast::{PartnerOption, Text, WitnessOption};
use crate::types::{ConnectionId, DatabaseName, Guid, Lsn, PartnerRole, ServerAddress};

impl Instance {
    /// `ALTER DATABASE … SET PARTNER`.
    pub(in crate::instance) fn alter_partner(
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
    pub(in crate::instance) fn alter_witness(
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

    pub(in crate::instance) fn is_own_address(&self, address: &ServerAddress) -> bool {
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
}

fn parse_address(text: &Text) -> Result<ServerAddress, SqlError> {
    text.as_str()
        .parse()
        .map_err(|e| msg::ADDRESS_SYNTAX.with(&[text, &e]).at(text.span))
}
