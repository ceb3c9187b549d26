//! Logins, users and endpoint permissions.

use super::super::Instance;
use super::super::batch::{StatementResult, Then};
use super::super::catalog::{
    EndpointPermission, Login, LoginKind, Permission, PermissionState, SA, SA_ID, User,
};
use crate::error::{SqlError, msg};
use crate::tsql::ast::{self, CreateLogin, LoginSource, PermissionAction, PermissionStatement};
use crate::types::ConnectionId;

impl Instance {
    pub(super) fn create_login(&mut self, connection: ConnectionId, create: &CreateLogin) -> StatementResult {
        let name = create.name.as_str();
        if self.catalog.login(name).is_some() {
            return Err(msg::PRINCIPAL_EXISTS.with(&[&name]));
        }
        let kind = match &create.source {
            LoginSource::Password { .. } => LoginKind::Sql,
            LoginSource::Windows => {
                if !name.contains('\\') {
                    return Err(msg::LOGIN_INVALID.with(&[&name]));
                }
                LoginKind::Windows
            }
            LoginSource::Certificate(certificate) => {
                if self.catalog.certificate(certificate.as_str()).is_none() {
                    return Err(msg::CANNOT_FIND.with(&[&"certificate", certificate]));
                }
                LoginKind::Certificate
            }
            LoginSource::AsymmetricKey(_) => return Err(msg::NOT_SUPPORTED.with(&[&"FROM ASYMMETRIC KEY"])),
        };
        let id = self.catalog.next_principal_id();
        let login = Login {
            name: name.to_owned(),
            id,
            kind,
            disabled: false,
            created: self.now.wall,
        };
        self.catalog.put_login(login);
        self.persist(connection, Then::Security)
    }

    pub(super) fn alter_login(
        &mut self,
        connection: ConnectionId,
        name: &str,
        enabled: bool,
    ) -> StatementResult {
        let login = self.catalog.login(name).cloned();
        let mut login = login.ok_or_else(|| msg::CANNOT_FIND.with(&[&"login", &name]))?;
        login.disabled = !enabled;
        self.catalog.put_login(login);
        self.persist(connection, Then::Security)
    }

    pub(super) fn drop_login(&mut self, connection: ConnectionId, name: &str) -> StatementResult {
        let login = self
            .catalog
            .login(name)
            .ok_or_else(|| msg::CANNOT_FIND.with(&[&"login", &name]))?;
        if login.id == SA_ID {
            return Err(msg::CANNOT_FIND.with(&[&"login", &name]));
        }
        if let Some(endpoint) = self.catalog.endpoint().cloned() {
            if endpoint.owner.eq_ignore_ascii_case(name) {
                return Err(msg::PRINCIPAL_OWNS.with(&[&name, &"endpoint"]));
            }
            let mut endpoint = endpoint;
            endpoint
                .permissions
                .retain(|p| !p.grantee.eq_ignore_ascii_case(name));
            self.catalog.put_endpoint(endpoint);
        }
        self.catalog.drop_login(name);
        self.persist(connection, Then::Security)
    }

    pub(super) fn create_user(
        &mut self,
        connection: ConnectionId,
        name: &str,
        login: &str,
    ) -> StatementResult {
        if self.catalog.user(name).is_some() || name.eq_ignore_ascii_case("dbo") {
            return Err(msg::USER_EXISTS.with(&[&name]));
        }
        let login = match self.catalog.login(login) {
            Some(login) => login.name.clone(),
            None => return Err(msg::LOGIN_INVALID.with(&[&login])),
        };
        if self.catalog.users().any(|u| u.login.eq_ignore_ascii_case(&login)) {
            return Err(msg::LOGIN_HAS_USER.error());
        }
        let id = self.catalog.next_principal_id();
        self.catalog.put_user(User {
            name: name.to_owned(),
            id,
            login,
        });
        self.persist(connection, Then::Security)
    }

    pub(super) fn drop_user(&mut self, connection: ConnectionId, name: &str) -> StatementResult {
        if self.catalog.user(name).is_none() {
            return Err(msg::CANNOT_FIND.with(&[&"user", &name]));
        }
        if self
            .catalog
            .certificates()
            .any(|c| c.owner.eq_ignore_ascii_case(name))
        {
            return Err(msg::PRINCIPAL_OWNS.with(&[&name, &"certificate"]));
        }
        self.catalog.drop_user(name);
        self.persist(connection, Then::Security)
    }

    /// `GRANT`, `DENY`, `REVOKE` on the endpoint. Connections that are up stay: CONNECT is checked at login.
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
        let name = &statement.endpoint;
        let endpoint = self.catalog.endpoint_named(name.as_str()).cloned();
        let mut endpoint =
            endpoint.ok_or_else(|| msg::CANNOT_FIND.with(&[&"endpoint", name]).at(name.span))?;
        let grantor = match &statement.grantor {
            Some(grantor) => self.known_login(grantor)?,
            None => SA.to_owned(),
        };
        for principal in &statement.principals {
            let grantee = self.known_login(principal)?;
            for what in statement.permissions.iter().map(|p| permission(*p)) {
                change_permission(
                    &mut endpoint.permissions,
                    &grantee,
                    &grantor,
                    what,
                    statement.action,
                );
            }
        }
        self.catalog.put_endpoint(endpoint);
        self.persist(connection, Then::Security)
    }

    fn known_login(&self, name: &ast::Name) -> Result<String, SqlError> {
        match self.catalog.login(name.as_str()) {
            Some(login) => Ok(login.name.clone()),
            None => Err(msg::CANNOT_FIND.with(&[&"login", name]).at(name.span)),
        }
    }

    /// A new owner drops every permission on the endpoint. Source: documented, *ALTER AUTHORIZATION*.
    pub(super) fn alter_authorization(
        &mut self,
        connection: ConnectionId,
        endpoint: &str,
        owner: &str,
    ) -> StatementResult {
        let known = self.catalog.endpoint_named(endpoint).cloned();
        let mut known = known.ok_or_else(|| msg::CANNOT_FIND.with(&[&"endpoint", &endpoint]))?;
        let login = self
            .catalog
            .login(owner)
            .ok_or_else(|| msg::PRINCIPAL_MISSING.with(&[&owner]))?;
        known.owner = login.name.clone();
        known.permissions.clear();
        self.catalog.put_endpoint(known);
        self.persist(connection, Then::Security)
    }
}

fn permission(what: ast::EndpointPermission) -> EndpointPermission {
    match what {
        ast::EndpointPermission::Alter => EndpointPermission::Alter,
        ast::EndpointPermission::Connect => EndpointPermission::Connect,
        ast::EndpointPermission::Control => EndpointPermission::Control,
        ast::EndpointPermission::TakeOwnership => EndpointPermission::TakeOwnership,
        ast::EndpointPermission::ViewDefinition => EndpointPermission::ViewDefinition,
    }
}

fn change_permission(
    rows: &mut Vec<Permission>,
    grantee: &str,
    grantor: &str,
    what: EndpointPermission,
    action: PermissionAction,
) {
    let held = rows
        .iter()
        .position(|p| p.grantee.eq_ignore_ascii_case(grantee) && p.what == what);
    let state = match action {
        PermissionAction::Grant {
            with_grant_option: true,
        } => Some(PermissionState::GrantWithGrantOption),
        PermissionAction::Grant {
            with_grant_option: false,
        } => Some(PermissionState::Grant),
        PermissionAction::Deny { .. } => Some(PermissionState::Deny),
        PermissionAction::Revoke {
            grant_option_for: true,
            ..
        } => match held.map(|i| rows[i].state) {
            // Without a grant option to take away, the permission itself is revoked. Source: documented, *REVOKE*.
            Some(PermissionState::GrantWithGrantOption) => Some(PermissionState::Grant),
            _ => None,
        },
        PermissionAction::Revoke { .. } => None,
    };
    if let Some(i) = held {
        rows.remove(i);
    }
    if let Some(state) = state {
        rows.push(Permission {
            grantee: grantee.to_owned(),
            grantor: grantor.to_owned(),
            what,
            state,
        });
    }
}
