//! `CREATE USER`, `DROP USER` and `ALTER ROLE` in `msdb`, and `sp_addrolemember`, `sp_droprolemember`.
//!
//! The one role there is is `dbm_monitor`; sysadmin says who is in it. Source: documented, *sp_dbmmonitorupdate*,
//! *ALTER ROLE*, *sp_addrolemember*.

use super::super::Instance;
use super::super::batch::{StatementResult, Then};
use super::super::catalog::{DBM_MONITOR, DBO, MsdbUser, PUBLIC, SA_ID};
use super::super::procedures::MSDB;
use super::permissions::not_found;
use crate::error::{SqlError, msg};
use crate::tsql::Execute;
use crate::tsql::ast::Name;
use crate::types::{ConnectionId, Permission};

/// Roles that the product's databases are born with and this version does not have.
const OTHER_ROLES: [&str; 10] = [
    PUBLIC,
    "db_accessadmin",
    "db_backupoperator",
    "db_datareader",
    "db_datawriter",
    "db_ddladmin",
    "db_denydatareader",
    "db_denydatawriter",
    "db_owner",
    "db_securityadmin",
];

fn is(name: &str, known: &str) -> bool {
    name.eq_ignore_ascii_case(known)
}

impl Instance {
    /// Whether a client's statements about users are about those of `msdb`; else they are about those of `master`.
    ///
    /// Errors: 40517 the client is in a user database, which has none.
    pub(super) fn users_are_in_msdb(&self, connection: ConnectionId, title: &str) -> Result<bool, SqlError> {
        let current = self.clients.get(&connection).and_then(|c| c.database.as_ref());
        match current.map(|d| d.as_str()) {
            None => Ok(false),
            Some(MSDB) => Ok(true),
            Some(_) => {
                Err(msg::NOT_SUPPORTED.with(&[&format!("{title} in a database other than master and msdb")]))
            }
        }
    }

    pub(super) fn create_msdb_user(
        &mut self,
        connection: ConnectionId,
        name: &str,
        login: &str,
        default_schema: Option<&Name>,
    ) -> StatementResult {
        let taken = [DBO, DBM_MONITOR]
            .iter()
            .chain(&OTHER_ROLES)
            .any(|known| is(name, known));
        if taken || self.catalog.msdb_user(name).is_some() {
            return Err(msg::USER_EXISTS.with(&[&name]));
        }
        let login = self
            .catalog
            .login(login)
            .ok_or_else(|| msg::LOGIN_INVALID.with(&[&login]))?;
        if login.id == SA_ID || self.catalog.msdb_user_of(&login.name).is_some() {
            return Err(msg::LOGIN_HAS_USER.error());
        }
        let sid = self.catalog.shown_sid(login);
        let id = self.catalog.next_principal_id();
        self.catalog.put_msdb_user(MsdbUser {
            name: name.to_owned(),
            id,
            sid,
            created: self.now.wall,
            default_schema: default_schema.map(ToString::to_string),
            is_monitor: false,
        });
        self.persist(connection, Then::Security)
    }

    /// A member that is dropped is a member no longer.
    pub(super) fn drop_msdb_user(&mut self, connection: ConnectionId, name: &str) -> StatementResult {
        if is(name, DBO) {
            return Err(msg::CANNOT_DROP.with(&[&"user", &name]));
        }
        if self.catalog.msdb_user(name).is_none() {
            return Err(msg::CANNOT_FIND.with(&[&"user", &name]));
        }
        self.catalog.drop_msdb_user(name);
        self.persist(connection, Then::Security)
    }

    /// `ALTER ROLE role ADD | DROP MEMBER user`.
    ///
    /// Errors: 15151 no such role or user, or the caller may not; 15405 `dbo`; 15413 the role itself; 40517 a role that
    /// only the product has.
    pub(super) fn alter_role(
        &mut self,
        connection: ConnectionId,
        role: &Name,
        add: bool,
        member: &Name,
    ) -> StatementResult {
        let here = self.users_are_in_msdb(connection, "ALTER ROLE")?;
        let caller = self.caller(connection);
        if !self.catalog.holds_on_server(caller, Permission::ControlServer) {
            return Err(not_found("role", role));
        }
        self.check_role(here, role.as_str())?
            .ok_or_else(|| not_found("role", role))?;
        let user = self
            .member(member.as_str())?
            .ok_or_else(|| not_found("user", member))?;
        self.set_member(connection, user, add)
    }

    /// `sp_addrolemember`, `sp_droprolemember`. The same, with numbers of their own: 15014 no such role, 15410 no such
    /// user, 15247 the caller may not.
    pub(in crate::instance) fn role_member_procedure(
        &mut self,
        connection: ConnectionId,
        call: &Execute,
        add: bool,
    ) -> StatementResult {
        let here = match &call.database {
            Some(database) => is(database.as_str(), MSDB),
            None => self.users_are_in_msdb(connection, call.name.as_str())?,
        };
        let caller = self.caller(connection);
        if !self.catalog.holds_on_server(caller, Permission::ControlServer) {
            return Err(msg::NO_PERMISSION.error());
        }
        let mut texts = call.arguments.iter().map(|a| a.text().unwrap_or_default());
        let mut next = || texts.next().unwrap_or_default();
        let (role, member) = (next(), next());
        self.check_role(here, role)?
            .ok_or_else(|| msg::ROLE_MISSING.with(&[&role]))?;
        let user = self
            .member(member)?
            .ok_or_else(|| msg::MEMBER_MISSING.with(&[&member]))?;
        self.set_member(connection, user, add)
    }

    /// Whether the role is `dbm_monitor`, in `msdb`.
    fn check_role(&self, in_msdb: bool, role: &str) -> Result<Option<()>, SqlError> {
        match OTHER_ROLES.iter().any(|known| is(role, known)) {
            true => Err(msg::NOT_SUPPORTED.with(&[&format!("the role {role}")])),
            false => Ok((in_msdb && is(role, DBM_MONITOR)).then_some(())),
        }
    }

    fn member(&self, name: &str) -> Result<Option<MsdbUser>, SqlError> {
        if is(name, DBO) {
            return Err(msg::SPECIAL_USER.with(&[&name]));
        }
        match is(name, DBM_MONITOR) {
            true => Err(msg::ROLE_IN_ITSELF.error()),
            false => Ok(self.catalog.msdb_user(name).cloned()),
        }
    }

    fn set_member(&mut self, connection: ConnectionId, user: MsdbUser, is_monitor: bool) -> StatementResult {
        self.catalog.put_msdb_user(MsdbUser { is_monitor, ..user });
        self.persist(connection, Then::Security)
    }
}
