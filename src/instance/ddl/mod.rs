//! Statements that change what an instance is: from syntax tree to change. One file per subject.
//!
//! A statement checks everything first, then changes the catalog in one step and asks the disk to make it durable; it
//! is answered when that is done. A statement in error changes nothing.

mod backup;
mod certificate;
mod database;
mod endpoint;
mod login;
mod msdb;
mod permissions;
mod security;
#[cfg(test)]
mod tests;

pub(super) use certificate::CertificateStep;
pub use endpoint::{check_altered_endpoint, check_new_endpoint};
pub(super) use permissions::BUILT_IN_ENDPOINTS;

use super::Instance;
use super::batch::{Outcome, StatementResult, Then, Wait};
use super::io::{DiskError, DiskReply, DiskRequest};
use super::options::ListenerFailure;
use super::purpose::Purpose;
use crate::error::{SqlError, msg};
use crate::tsql::ast::Statement;
use crate::types::ConnectionId;

impl Instance {
    pub(super) fn execute_ddl(&mut self, connection: ConnectionId, statement: &Statement) -> StatementResult {
        self.check_permission(connection, statement)?;
        match statement {
            Statement::CreateMasterKey { password } => self.create_master_key(connection, password),
            Statement::AlterMasterKey(change) => self.alter_master_key(connection, change),
            Statement::OpenMasterKey { password } => self.open_master_key(connection, password),
            Statement::CloseMasterKey => self.close_master_key(connection),
            Statement::DropMasterKey => self.drop_master_key(connection),
            Statement::CreateCertificate(create) => self.create_certificate(connection, create),
            Statement::AlterCertificate { name, change } => self.alter_certificate(connection, name, change),
            Statement::BackupCertificate(backup) => self.backup_certificate(connection, backup),
            Statement::DropCertificate(name) => self.drop_certificate(connection, name),
            Statement::CreateLogin(create) => self.create_login(connection, create),
            Statement::AlterLogin { name, change } => self.alter_login(connection, name.as_str(), change),
            Statement::DropLogin(name) => self.drop_login(connection, name.as_str()),
            Statement::CreateUser {
                name,
                login,
                default_schema,
            } => {
                let login = login.as_ref().unwrap_or(name).as_str();
                match self.users_are_in_msdb(connection, statement.title())? {
                    true => self.create_msdb_user(connection, name.as_str(), login, default_schema.as_ref()),
                    false => self.create_user(connection, name.as_str(), login, default_schema.as_ref()),
                }
            }
            Statement::DropUser(name) => match self.users_are_in_msdb(connection, statement.title())? {
                true => self.drop_msdb_user(connection, name.as_str()),
                false => self.drop_user(connection, name.as_str()),
            },
            Statement::Permission(permission) => self.change_permissions(connection, permission),
            Statement::AlterServerRole { role, add, member } => {
                self.alter_server_role(connection, role, *add, member)
            }
            Statement::AlterRole { role, add, member } => self.alter_role(connection, role, *add, member),
            Statement::AlterAuthorization { endpoint, owner } => {
                self.alter_authorization(connection, endpoint, owner)
            }
            Statement::CreateEndpoint(create) => self.create_endpoint(connection, create),
            Statement::AlterEndpoint(alter) => self.alter_endpoint(connection, alter),
            Statement::DropEndpoint(name) => self.drop_endpoint(connection, name.as_str()),
            Statement::CreateDatabase(name) => self.create_database(connection, name.as_str()),
            Statement::DropDatabase(name) => self.drop_database(connection, name.as_str()),
            Statement::AlterDatabase { name, change } => {
                self.alter_database(connection, name.as_str(), change)
            }
            Statement::Backup(backup) => self.backup_database(connection, backup),
            Statement::Restore(restore) => self.restore_database(connection, restore),
            Statement::Checkpoint => self.checkpoint_statement(connection),
            other => Err(msg::NOT_SUPPORTED.with(&[&other.title()])),
        }
    }

    /// Make the catalog's changes durable, then go on with `then`.
    ///
    /// A catalog that cannot be written ends the instance: what it holds in memory would be a lie.
    pub(in crate::instance) fn persist(&mut self, connection: ConnectionId, then: Then) -> StatementResult {
        self.tell_who_may_connect();
        let writes = self.catalog.take_writes();
        self.ask_disk(
            connection,
            DiskRequest::Master { writes },
            Then::Durable(Box::new(then)),
        )
    }

    pub(in crate::instance) fn ask_disk(
        &mut self,
        connection: ConnectionId,
        request: DiskRequest,
        then: Then,
    ) -> StatementResult {
        let ticket = self.disk(
            request,
            Purpose::Statement {
                connection,
                then: Box::new(then),
            },
        );
        Ok(Outcome::Wait(Wait::Disk(ticket)))
    }

    /// Finish a statement the disk has answered. Runs even if its client is gone by now.
    pub(super) fn after_disk(
        &mut self,
        connection: ConnectionId,
        then: Then,
        result: Result<DiskReply, DiskError>,
    ) -> StatementResult {
        match then {
            Then::Durable(then) => {
                if let Err(error) = &result {
                    let error = self.disk_failed("a change of master", error);
                    self.shut_down(&error);
                    return Err(error);
                }
                self.after_disk(connection, *then, result)
            }
            Then::Finish | Then::Dropped => Ok(self.done(result)?),
            Then::Endpoint { restart } => {
                let done = self.done(result)?;
                match restart {
                    Some(reason) => self.restart_endpoint(&reason),
                    None => {
                        self.forget_local_endpoint();
                        self.apply_listener();
                    }
                }
                self.endpoint_changed();
                self.tell_what_is_held();
                let strict = self.config.options.listener == ListenerFailure::Raised;
                match strict && self.is_listener_pending() {
                    true => Ok(Outcome::Wait(Wait::Listener)),
                    false => Ok(done),
                }
            }
            Then::Security => {
                let done = self.done(result)?;
                self.forget_local_endpoint();
                self.tell_what_is_held();
                Ok(done)
            }
            Then::Certificate(step) => self.certificate_step(connection, *step, result),
            Then::Created(new) => self.files_created(connection, *new, result),
            Then::Backup {
                pages,
                record,
                log_of,
            } => match result {
                Ok(_) => self.backup_written(connection, pages, record, log_of),
                Err(error) => Err(msg::CANNOT_OPEN_BACKUP.with(&[&file_of(&error), &error])),
            },
            Then::LogRestored(restored) => self.log_restored(connection, *restored, result),
            Then::RestoreRead(restore) => self.restore_read(connection, &restore, result),
        }
    }

    fn done(&mut self, result: Result<DiskReply, DiskError>) -> Result<Outcome, SqlError> {
        match result {
            Ok(_) => Ok(Outcome::Done),
            Err(error) => Err(self.disk_failed("a statement", &error)),
        }
    }
}

fn backup_message(rows: u64) -> SqlError {
    let text = format!("{rows} rows are backed up.");
    SqlError {
        number: 3014,
        severity: 0,
        state: 1,
        text,
        at: None,
    }
}

/// The file a disk error is about, as far as it says.
fn file_of(error: &DiskError) -> &str {
    match error {
        DiskError::NotFound(file) | DiskError::AlreadyExists(file) | DiskError::Damaged(file, _) => file,
        DiskError::Full(text) | DiskError::Io(text) => text,
    }
}
