//! Who may run a statement, and `GRANT`, `DENY`, `REVOKE`, `ALTER AUTHORIZATION`, `ALTER SERVER ROLE`.
//!
//! What is missing and what is not permitted are told by one message (15151), so that nobody learns from it what exists.
//! Connections between instances that are up stay whatever is revoked: CONNECT is a question of login. Source:
//! documented, *GRANT / DENY / REVOKE Endpoint Permissions*, *CREATE / ALTER / DROP ENDPOINT*, *ALTER AUTHORIZATION*; the
//! numbers where the pages are silent are ours (`docs/decisions.md`).

use super::super::Instance;
use super::super::batch::{StatementResult, Then};
use super::super::catalog::{PUBLIC, PermissionRow, PermissionState, SA, Securable, ServerRole};
use crate::error::{SqlError, msg};
use crate::tsql::ast::{self, PermissionAction, PermissionStatement, Statement};
use crate::types::{ConnectionId, Permission};

impl Instance {
    /// The login a client's statements run as.
    pub(in crate::instance) fn caller(&self, connection: ConnectionId) -> &str {
        self.clients.get(&connection).map_or(SA, |c| c.login.as_str())
    }

    /// Whether the caller may run a statement, as far as that can be said before its names are looked up.
    pub(super) fn check_permission(
        &self,
        connection: ConnectionId,
        statement: &Statement,
    ) -> Result<(), SqlError> {
        let (catalog, caller) = (&self.catalog, self.caller(connection));
        let require = |held: bool, otherwise: SqlError| if held { Ok(()) } else { Err(otherwise) };
        let on_server =
            |what: Permission, otherwise: SqlError| require(catalog.holds_on_server(caller, what), otherwise);
        let on_endpoint = |what: Permission, name: &ast::Name| {
            let held = catalog.endpoint_named(name.as_str()).is_some()
                && catalog.holds(caller, what, &Securable::Endpoint);
            require(held, not_found("endpoint", name))
        };
        let on_login = |what: Permission, name: &ast::Name| {
            let on = Securable::Login(name.text.clone());
            // Who may not be sysadmin may not make a sysadmin's login his own.
            let beyond = catalog.is_sysadmin(name.as_str()) && !catalog.is_sysadmin(caller);
            require(
                !beyond && catalog.holds(caller, what, &on),
                not_found("login", name),
            )
        };
        let administrator = Permission::ControlServer;
        match statement {
            Statement::CreateEndpoint(_) => on_server(Permission::CreateEndpoint, msg::NO_PERMISSION.error()),
            Statement::AlterEndpoint(alter) if !is_built_in(alter.name.as_str()) => {
                on_endpoint(Permission::Alter, &alter.name)
            }
            Statement::DropEndpoint(name) if !is_built_in(name.as_str()) => {
                on_endpoint(Permission::Control, name)
            }
            Statement::AlterAuthorization { endpoint, .. } => {
                on_endpoint(Permission::TakeOwnership, endpoint)
            }
            // They ask by themselves: it depends on what is granted.
            Statement::Permission(_) | Statement::AlterServerRole { .. } | Statement::AlterRole { .. } => {
                Ok(())
            }
            Statement::CreateLogin(_) => on_server(Permission::AlterAnyLogin, msg::NO_PERMISSION.error()),
            Statement::AlterLogin { name, .. } | Statement::DropLogin(name) => {
                on_login(Permission::Alter, name)
            }
            Statement::BackupCertificate(backup) => {
                on_server(administrator, not_found("certificate", &backup.name))
            }
            Statement::AlterCertificate { name, .. } | Statement::DropCertificate(name) => {
                on_server(administrator, not_found("certificate", name))
            }
            Statement::DropUser(name) => on_server(administrator, not_found("user", name)),
            Statement::DropDatabase(name) => {
                on_server(Permission::AlterAnyDatabase, not_found("database", name))
            }
            Statement::AlterDatabase { name, .. } => on_server(
                Permission::AlterAnyDatabase,
                msg::ALTER_DATABASE_DENIED.with(&[name]),
            ),
            Statement::CreateDatabase(_) => on_server(
                Permission::CreateAnyDatabase,
                msg::STATEMENT_DENIED.with(&[&statement.title()]),
            ),
            Statement::Backup(_) | Statement::Restore(_) => {
                on_server(administrator, msg::STATEMENT_DENIED.with(&[&statement.title()]))
            }
            _ => on_server(administrator, msg::NO_PERMISSION.error()),
        }
    }

    /// Whether `login` may use a user database. No database here has users of its own, so administrators may.
    pub(in crate::instance) fn check_database_access(
        &self,
        login: &str,
        database: &str,
    ) -> Result<(), SqlError> {
        match self.catalog.holds_on_server(login, Permission::ControlServer) {
            true => Ok(()),
            false => Err(msg::NO_DATABASE_ACCESS.with(&[&login, &database])),
        }
    }

    /// `GRANT`, `DENY`, `REVOKE`. Either every permission of the statement changes or none.
    pub(super) fn change_permissions(
        &mut self,
        connection: ConnectionId,
        statement: &PermissionStatement,
    ) -> StatementResult {
        if self
            .clients
            .get(&connection)
            .is_some_and(|c| c.database.is_some())
        {
            return Err(msg::MASTER_ONLY.error());
        }
        let caller = self.caller(connection).to_owned();
        let on = self.securable(&caller, &statement.on)?;
        let grantor = self.grantor(&caller, &on, statement)?;
        let mut changes = Vec::new();
        for principal in &statement.principals {
            let grantee = self.grantee(&caller, &on, principal)?;
            for what in &statement.permissions {
                changes.extend(self.permission_change(&on, &grantee, &grantor, *what, statement.action)?);
            }
        }
        for change in changes {
            self.apply_permission(change);
        }
        self.persist(connection, Then::Security)
    }

    fn securable(&self, caller: &str, written: &ast::Securable) -> Result<Securable, SqlError> {
        let (on, exists) = match written {
            ast::Securable::Server => return Ok(Securable::Server),
            ast::Securable::Login(name) => {
                let login = self.catalog.login(name.as_str());
                let on = Securable::Login(login.map_or_else(|| name.text.clone(), |l| l.name.clone()));
                (on, login.is_some())
            }
            ast::Securable::Endpoint(name) => (
                Securable::Endpoint,
                self.catalog.endpoint_named(name.as_str()).is_some(),
            ),
        };
        match exists && self.catalog.sees(caller, &on) {
            true => Ok(on),
            false => Err(missing(written)),
        }
    }

    /// In whose name the permissions change: `AS login`; the owner's for who administers everything; else the caller's.
    fn grantor(
        &self,
        caller: &str,
        on: &Securable,
        statement: &PermissionStatement,
    ) -> Result<String, SqlError> {
        let may_grant = |login: &str| {
            let may = |what: &Permission| self.catalog.may_grant(login, *what, on);
            statement.permissions.iter().all(may)
        };
        if let Some(name) = &statement.grantor {
            let login = self.catalog.login(name.as_str());
            let login = login.filter(|l| self.catalog.may_impersonate(caller, &l.name));
            let login = login.ok_or_else(|| not_found("login", name))?;
            return match may_grant(&login.name) {
                true => Ok(login.name.clone()),
                false => Err(msg::GRANTOR_CANNOT_GRANT.error().at(name.span)),
            };
        }
        if !may_grant(caller) {
            return Err(missing(&statement.on));
        }
        Ok(match self.catalog.is_sysadmin(caller) {
            true => self.catalog.owner_of(on).to_owned(),
            false => caller.to_owned(),
        })
    }

    fn grantee(&self, caller: &str, on: &Securable, name: &ast::Name) -> Result<String, SqlError> {
        if name.as_str().eq_ignore_ascii_case(PUBLIC) {
            return Ok(PUBLIC.to_owned());
        }
        if ServerRole::named(name.as_str()).is_some() {
            return Err(msg::SPECIAL_ROLE.error().at(name.span));
        }
        let login = self.catalog.login(name.as_str());
        let login = login.ok_or_else(|| not_found("login", name))?;
        let same = |other: &str| other.eq_ignore_ascii_case(&login.name);
        let owner = self.catalog.owner_of(on);
        if same(SA) || same(owner) || same(caller) {
            return Err(msg::SPECIAL_PRINCIPAL.error().at(name.span));
        }
        Ok(login.name.clone())
    }

    /// What one permission of a statement does to the rows.
    fn permission_change(
        &self,
        on: &Securable,
        grantee: &str,
        grantor: &str,
        what: Permission,
        action: PermissionAction,
    ) -> Result<Vec<Change>, SqlError> {
        let held = self.catalog.permission_state(what, on, grantee, grantor);
        let row = |grantee: &str, state| PermissionRow {
            on: on.clone(),
            grantee: grantee.to_owned(),
            grantor: grantor.to_owned(),
            what,
            state,
        };
        let gone = Change::Drop(row(grantee, PermissionState::Grant));
        let passed_on = || self.catalog.passed_on(what, on, grantee);
        let grantable = held == Some(PermissionState::GrantWithGrantOption);
        let cascades = |cascade: bool| match grantable && !cascade {
            true => Err(msg::CASCADE_NEEDED.error()),
            false => Ok(()),
        };
        Ok(match action {
            PermissionAction::Grant { with_grant_option } => {
                let state = match with_grant_option || grantable {
                    true => PermissionState::GrantWithGrantOption,
                    false => PermissionState::Grant,
                };
                vec![Change::Put(row(grantee, state))]
            }
            PermissionAction::Deny { cascade } => {
                cascades(cascade)?;
                let mut changes = vec![Change::Put(row(grantee, PermissionState::Deny))];
                for passed in passed_on().into_iter().filter(|_| cascade) {
                    changes.push(Change::Put(row(&passed.grantee, PermissionState::Deny)));
                    changes.push(Change::Drop(passed));
                }
                changes
            }
            PermissionAction::Revoke {
                grant_option_for,
                cascade,
            } => {
                cascades(cascade)?;
                // Without a grant option to take away, the permission itself is revoked. Source: documented, *REVOKE*.
                let own = match grant_option_for && grantable {
                    true => Change::Put(row(grantee, PermissionState::Grant)),
                    false => gone,
                };
                let passed = passed_on().into_iter().filter(|_| cascade && held.is_some());
                [own].into_iter().chain(passed.map(Change::Drop)).collect()
            }
        })
    }

    fn apply_permission(&mut self, change: Change) {
        match change {
            Change::Put(row) => self.catalog.put_permission(row),
            Change::Drop(row) => self.catalog.drop_permissions(|p| {
                p.on == row.on
                    && p.what == row.what
                    && p.grantee.eq_ignore_ascii_case(&row.grantee)
                    && p.grantor.eq_ignore_ascii_case(&row.grantor)
            }),
        }
    }

    /// A new owner drops every permission on the endpoint. Source: documented, *ALTER AUTHORIZATION*.
    pub(super) fn alter_authorization(
        &mut self,
        connection: ConnectionId,
        endpoint: &ast::Name,
        owner: &ast::Name,
    ) -> StatementResult {
        let known = self.catalog.endpoint_named(endpoint.as_str()).cloned();
        let mut known = known.ok_or_else(|| not_found("endpoint", endpoint))?;
        let caller = self.caller(connection);
        let login = self.catalog.login(owner.as_str());
        let login = login.filter(|l| self.catalog.may_impersonate(caller, &l.name));
        let login = login.ok_or_else(|| msg::PRINCIPAL_MISSING.with(&[owner]).at(owner.span))?;
        known.owner = login.name.clone();
        self.catalog.drop_permissions(|p| p.on == Securable::Endpoint);
        self.catalog.put_endpoint(known);
        self.persist(connection, Then::Security)
    }

    /// Members of a fixed role, and sysadmin, add and drop its members. Source: documented, *ALTER SERVER ROLE*.
    pub(super) fn alter_server_role(
        &mut self,
        connection: ConnectionId,
        role: &ast::Name,
        add: bool,
        member: &ast::Name,
    ) -> StatementResult {
        let caller = self.caller(connection);
        let found = ServerRole::named(role.as_str());
        let found = found.filter(|r| self.catalog.is_sysadmin(caller) || self.catalog.is_member(caller, *r));
        let found = found.ok_or_else(|| not_found("server role", role))?;
        let login = self.catalog.login(member.as_str()).cloned();
        let mut login = login.ok_or_else(|| not_found("login", member))?;
        if login.name.eq_ignore_ascii_case(SA) {
            return Err(msg::SPECIAL_PRINCIPAL.error().at(member.span));
        }
        match add {
            true => login.roles.insert(found),
            false => login.roles.remove(&found),
        };
        self.catalog.put_login(login);
        self.persist(connection, Then::Security)
    }
}

/// What a statement does to one row.
#[derive(Debug)]
enum Change {
    Put(PermissionRow),
    /// The row of this securable, permission, grantee and grantor, whatever its state.
    Drop(PermissionRow),
}

/// The names of the endpoints every instance is born with. Source: documented, *sys.endpoints*.
pub(in crate::instance) const BUILT_IN_ENDPOINTS: [&str; 4] = [
    "Dedicated Admin Connection",
    "TSQL Local Machine",
    "TSQL Named Pipes",
    "TSQL Default TCP",
];

pub(super) fn is_built_in(endpoint: &str) -> bool {
    BUILT_IN_ENDPOINTS
        .iter()
        .any(|name| name.eq_ignore_ascii_case(endpoint))
}

/// 15151 at the name.
pub(super) fn not_found(what: &str, name: &ast::Name) -> SqlError {
    msg::CANNOT_FIND.with(&[&what, name]).at(name.span)
}

/// What is not there, or not for this caller.
fn missing(on: &ast::Securable) -> SqlError {
    match on {
        ast::Securable::Server => msg::NO_PERMISSION.error(),
        ast::Securable::Login(name) => not_found("login", name),
        ast::Securable::Endpoint(name) => not_found("endpoint", name),
    }
}
