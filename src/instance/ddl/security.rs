//! Master key, certificates, logins, users and endpoint permissions.

use std::time::Duration;

use rand_core::Rng;

use super::super::Instance;
use super::super::batch::{Outcome, StatementResult, Then};
use super::super::catalog::{
    Certificate, EndpointPermission, Login, LoginKind, Permission, PermissionState, SA, SA_ID, User,
};
use super::super::io::{DiskError, DiskReply, DiskRequest};
use crate::crypto::certificate;
use crate::error::{SqlError, msg};
use crate::tsql::ast::{
    self, BackupCertificate, CertificateSource, CreateCertificate, CreateLogin, LoginSource,
    PermissionAction, PermissionStatement,
};
use crate::types::{ConnectionId, ReplyItem, WallTime};

/// Validity of a certificate without EXPIRY_DATE. Source: documented, *CREATE CERTIFICATE*.
const VALIDITY_DEFAULT: Duration = Duration::from_secs(365 * 24 * 3600);
/// Source: documented, *CREATE CERTIFICATE* (the limit on Linux; longer is truncated elsewhere).
const SUBJECT_CHARS_MAX: usize = 64;

impl Instance {
    pub(super) fn create_master_key(&mut self, connection: ConnectionId) -> StatementResult {
        if self.catalog.master_key {
            return Err(msg::MASTER_KEY_EXISTS.error());
        }
        self.catalog.set_master_key(true);
        self.persist(connection, Then::Security)
    }

    pub(super) fn drop_master_key(&mut self, connection: ConnectionId) -> StatementResult {
        if !self.catalog.master_key {
            return Err(msg::MASTER_KEY_MISSING.error());
        }
        if let Some(held) = self.catalog.certificates().find(|c| c.private_key.is_some()) {
            return Err(msg::CERTIFICATE_IN_USE.with(&[&held.name]));
        }
        self.catalog.set_master_key(false);
        self.persist(connection, Then::Security)
    }

    pub(super) fn create_certificate(
        &mut self,
        connection: ConnectionId,
        create: &CreateCertificate,
    ) -> StatementResult {
        if self.catalog.certificate(create.name.as_str()).is_some() {
            return Err(msg::CERTIFICATE_EXISTS.with(&[&create.name]));
        }
        self.certificate_owner(create)?;
        match &create.source {
            CertificateSource::Generate {
                password: Some(_), ..
            } => Err(msg::NOT_SUPPORTED.with(&[&"CREATE CERTIFICATE ENCRYPTION BY PASSWORD"])),
            CertificateSource::Generate {
                password: None,
                subject,
                start_date,
                expiry_date,
            } => self.generate_certificate(connection, create, subject.as_str(), *start_date, *expiry_date),
            CertificateSource::File {
                path,
                private_key: None,
            } => {
                let request = DiskRequest::ReadFile {
                    path: path.as_str().to_owned(),
                };
                self.ask_disk(connection, request, Then::Certificate(create.clone()))
            }
            CertificateSource::File { .. } => Err(msg::NOT_SUPPORTED.with(&[&"WITH PRIVATE KEY"])),
            CertificateSource::Assembly(_) => Err(msg::NOT_SUPPORTED.with(&[&"FROM ASSEMBLY"])),
            CertificateSource::ExecutableFile { .. } => {
                Err(msg::NOT_SUPPORTED.with(&[&"FROM EXECUTABLE FILE"]))
            }
            CertificateSource::Binary { .. } => Err(msg::NOT_SUPPORTED.with(&[&"FROM BINARY"])),
        }
    }

    fn certificate_owner(&self, create: &CreateCertificate) -> Result<String, SqlError> {
        match &create.authorization {
            None => Ok("dbo".to_owned()),
            Some(name) => match self.catalog.user(name.as_str()) {
                Some(user) => Ok(user.name.clone()),
                None => Err(msg::CANNOT_FIND.with(&[&"user", name]).at(name.span)),
            },
        }
    }

    fn generate_certificate(
        &mut self,
        connection: ConnectionId,
        create: &CreateCertificate,
        subject: &str,
        start: Option<WallTime>,
        expiry: Option<WallTime>,
    ) -> StatementResult {
        if !self.catalog.master_key {
            return Err(msg::MASTER_KEY_MISSING.error());
        }
        if subject.is_empty() || subject.chars().count() > SUBJECT_CHARS_MAX {
            return Err(msg::CERTIFICATE_SUBJECT.with(&[&SUBJECT_CHARS_MAX]));
        }
        let start = start.unwrap_or(self.now.wall);
        let expiry = expiry.unwrap_or(start + VALIDITY_DEFAULT);
        let mut seed = [0; 32];
        self.streams.keys.fill_bytes(&mut seed);
        let generated = certificate::generate(&seed, subject, start, expiry)
            .map_err(|e| msg::CERTIFICATE_FILE.with(&[&create.name, &e]))?;
        let certificate = Certificate {
            name: create.name.text.clone(),
            id: self.catalog.next_certificate_id(),
            owner: self.certificate_owner(create)?,
            der: generated.der,
            private_key: Some(generated.private_key_pkcs8),
        };
        self.catalog.put_certificate(certificate);
        self.warn_of_dates(connection, start, expiry);
        self.persist(connection, Then::Security)
    }

    /// Odd dates are only warned of. Source: documented, 15213 to 15215.
    fn warn_of_dates(&mut self, connection: ConnectionId, start: WallTime, expiry: WallTime) {
        let now = self.now.wall;
        let warning = if expiry < start {
            msg::CERTIFICATE_EXPIRY_BEFORE_START.error()
        } else if expiry < now {
            msg::CERTIFICATE_EXPIRED.error()
        } else if start > now {
            msg::CERTIFICATE_NOT_YET_VALID.error()
        } else {
            return;
        };
        self.add_item(connection, ReplyItem::Info(warning));
    }

    pub(super) fn certificate_read(
        &mut self,
        connection: ConnectionId,
        create: &CreateCertificate,
        result: Result<DiskReply, DiskError>,
    ) -> StatementResult {
        let CertificateSource::File { path, .. } = &create.source else {
            return Ok(Outcome::Done);
        };
        let der = match result {
            Ok(DiskReply::File(bytes)) => bytes,
            Ok(_) => return Err(msg::CERTIFICATE_FILE.with(&[path, &"it is not a file"])),
            Err(error) => return Err(msg::CERTIFICATE_FILE.with(&[path, &error])),
        };
        certificate::parse(&der).map_err(|e| msg::CERTIFICATE_FILE.with(&[path, &e]))?;
        let known = self.catalog.certificates().any(|c| c.der == der);
        if known || self.catalog.certificate(create.name.as_str()).is_some() {
            return Err(msg::CERTIFICATE_EXISTS.with(&[&create.name]));
        }
        let certificate = Certificate {
            name: create.name.text.clone(),
            id: self.catalog.next_certificate_id(),
            owner: self.certificate_owner(create)?,
            der,
            private_key: None,
        };
        self.catalog.put_certificate(certificate);
        self.persist(connection, Then::Security)
    }

    pub(super) fn backup_certificate(
        &mut self,
        connection: ConnectionId,
        backup: &BackupCertificate,
    ) -> StatementResult {
        if backup.private_key.is_some() {
            return Err(msg::NOT_SUPPORTED.with(&[&"BACKUP CERTIFICATE WITH PRIVATE KEY"]));
        }
        let certificate = self.catalog.certificate(backup.name.as_str());
        let certificate =
            certificate.ok_or_else(|| msg::CANNOT_FIND.with(&[&"certificate", &backup.name]))?;
        let (path, bytes) = (backup.file.as_str().to_owned(), certificate.der.clone());
        self.ask_disk(
            connection,
            DiskRequest::WriteFile { path, bytes },
            Then::CertificateWritten,
        )
    }

    pub(super) fn drop_certificate(&mut self, connection: ConnectionId, name: &str) -> StatementResult {
        if self.catalog.certificate(name).is_none() {
            return Err(msg::CANNOT_FIND.with(&[&"certificate", &name]));
        }
        let named = self
            .catalog
            .endpoint()
            .and_then(|e| e.config.authentication.certificate());
        if named.is_some_and(|n| n.eq_ignore_ascii_case(name)) {
            return Err(msg::CERTIFICATE_IN_USE.with(&[&name]));
        }
        self.catalog.drop_certificate(name);
        self.persist(connection, Then::Security)
    }

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
