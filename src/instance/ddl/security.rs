//! Logins and users.

use std::collections::BTreeSet;

use super::super::Instance;
use super::super::batch::{StatementResult, Then};
use super::super::catalog::{Login, LoginKind, PermissionRow, PermissionState, SA, SA_ID, Securable, User};
use crate::error::msg;
use crate::tsql::ast::{CreateLogin, LoginSource, Name};
use crate::types::{ConnectionId, Permission};

impl Instance {
    pub(super) fn create_login(&mut self, connection: ConnectionId, create: &CreateLogin) -> StatementResult {
        let name = create.name.as_str();
        if self.catalog.login(name).is_some() {
            return Err(msg::PRINCIPAL_EXISTS.with(&[&name]));
        }
        let (kind, certificate) = match &create.source {
            LoginSource::Password { .. } => (LoginKind::Sql, None),
            LoginSource::Windows => return self.look_account_up(connection, create),
            LoginSource::Certificate(certificate) => {
                let Some(mapped) = self.catalog.certificate(certificate.as_str()) else {
                    return Err(msg::CANNOT_FIND.with(&[&"certificate", certificate]));
                };
                (LoginKind::Certificate, Some(mapped.id))
            }
            LoginSource::AsymmetricKey(_) => return Err(msg::NOT_SUPPORTED.with(&[&"FROM ASYMMETRIC KEY"])),
        };
        self.enter_login(connection, create, kind, Vec::new(), certificate)
    }

    /// The account is known, or could not be asked about: its SID tells whether it has a login already.
    pub(in crate::instance) fn enter_windows_login(
        &mut self,
        connection: ConnectionId,
        create: &CreateLogin,
        sid: Vec<u8>,
    ) -> StatementResult {
        let name = create.name.as_str();
        let is_known = self
            .catalog
            .logins()
            .any(|l| l.name.eq_ignore_ascii_case(name) || (!sid.is_empty() && l.sid == sid));
        if is_known {
            return Err(msg::PRINCIPAL_EXISTS.with(&[&name]));
        }
        self.enter_login(connection, create, LoginKind::Windows, sid, None)
    }

    fn enter_login(
        &mut self,
        connection: ConnectionId,
        create: &CreateLogin,
        kind: LoginKind,
        sid: Vec<u8>,
        certificate: Option<u32>,
    ) -> StatementResult {
        let name = create.name.as_str();
        let mut login = Login {
            name: name.to_owned(),
            id: 0,
            kind,
            disabled: false,
            created: self.now.wall,
            roles: BTreeSet::new(),
            certificate,
            sid,
            modified: None,
            default_database: None,
            default_language: None,
        };
        self.set_login_options(&mut login, &create.options)?;
        login.id = self.catalog.next_principal_id();
        self.catalog.put_login(login);
        // The right to log in comes with a login, the right to connect to the endpoint does not.
        self.catalog.put_permission(PermissionRow {
            on: Securable::Server,
            grantee: name.to_owned(),
            grantor: SA.to_owned(),
            what: Permission::ConnectSql,
            state: PermissionState::Grant,
        });
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
        let endpoint = self.catalog.endpoint();
        if endpoint.is_some_and(|e| e.owner.eq_ignore_ascii_case(name)) {
            return Err(msg::PRINCIPAL_OWNS.with(&[&name, &"endpoint"]));
        }
        let is = |other: &str| other.eq_ignore_ascii_case(name);
        if self.catalog.permissions().any(|p| is(&p.grantor)) {
            return Err(msg::PRINCIPAL_HAS_GRANTED.with(&[&name]));
        }
        if self.clients.values().any(|c| is(&c.login)) {
            return Err(msg::LOGIN_CONNECTED.with(&[&name]));
        }
        self.catalog
            .drop_permissions(|p| is(&p.grantee) || matches!(&p.on, Securable::Login(on) if is(on)));
        self.catalog.drop_login(name);
        self.persist(connection, Then::Security)
    }

    pub(super) fn create_user(
        &mut self,
        connection: ConnectionId,
        name: &str,
        login: &str,
        default_schema: Option<&Name>,
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
            created: self.now.wall,
            default_schema: default_schema.map(ToString::to_string),
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
}
