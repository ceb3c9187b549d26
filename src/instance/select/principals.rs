//! Rows about who is who and who may what: principals, permissions, users and certificates.
//!
//! A login sees what it owns or has some permission on; `public`, `sa`, the fixed roles and itself it always sees. Source:
//! documented, *Metadata Visibility Configuration*, *sys.server_permissions*, *sys.server_principals*.

use crate::crypto::certificate;
use crate::instance::Instance;
use crate::instance::catalog::{
    Certificate, DBO, Login, LoginKind, PUBLIC, PUBLIC_ID, PermissionRow, PrivateKey, SA, SA_ID, Securable,
    ServerRole, binary, certificate_sids, principal_sid,
};
use crate::instance::views::{
    CertificateRow, Coded, DatabasePrincipalRow, ServerPermissionRow, ServerPrincipalRow,
};
use crate::types::{Permission, WallTime};

use super::endpoints::BUILT_IN;

/// When the product's own principals were made.
pub(super) const BUILT_IN_CREATED: WallTime = WallTime::from_unix_secs(1_050_020_610);

impl Instance {
    /// The id of a login or of `public`.
    pub(super) fn principal_id(&self, name: &str) -> Option<i64> {
        match name.eq_ignore_ascii_case(PUBLIC) {
            true => Some(i64::from(PUBLIC_ID)),
            false => self.catalog.login(name).map(|l| i64::from(l.id)),
        }
    }

    pub(super) fn sees_every_definition(&self, login: &str) -> bool {
        self.catalog.holds_on_server(login, Permission::ViewAnyDefinition)
    }

    /// A row is for its grantee, its grantor and who sees the definition of what it is on.
    pub(super) fn permission_rows(&self, login: &str) -> Vec<ServerPermissionRow> {
        let visible = |p: &&PermissionRow| {
            let is_own = |name: &str| name.eq_ignore_ascii_case(login) || name == PUBLIC;
            let definition = match p.on {
                Securable::Server => self.sees_every_definition(login),
                _ => self.catalog.holds(login, Permission::ViewDefinition, &p.on),
            };
            is_own(&p.grantee) || is_own(&p.grantor) || definition
        };
        let built_in = BUILT_IN
            .iter()
            .filter(|endpoint| !endpoint.is_admin)
            .map(|endpoint| {
                let securable = (Securable::Endpoint.class(), endpoint.id);
                permission_row(
                    securable,
                    (PUBLIC_ID.into(), SA_ID.into()),
                    Permission::Connect,
                    ("G", "GRANT"),
                )
            });
        let row = |p: &PermissionRow| {
            let major_id = match &p.on {
                Securable::Server => 0,
                Securable::Login(name) => self.principal_id(name).unwrap_or_default(),
                Securable::Endpoint => self.catalog.endpoint().map_or(0, |e| i64::from(e.id)),
            };
            let principal = |name| self.principal_id(name).unwrap_or_default();
            let principals = (principal(&p.grantee), principal(&p.grantor));
            permission_row((p.on.class(), major_id), principals, p.what, p.state.shown())
        };
        let rows = self.catalog.permissions().filter(visible).map(row);
        let mut rows: Vec<ServerPermissionRow> = built_in.chain(rows).collect();
        rows.sort_by_key(|r| {
            (
                r.class.code,
                r.major_id,
                r.grantee_principal_id,
                r.grantor_principal_id,
                r.kind,
            )
        });
        rows
    }

    pub(super) fn principal_rows(&self, login: &str) -> Vec<ServerPrincipalRow> {
        let visible = |l: &&Login| {
            l.id == SA_ID
                || l.name.eq_ignore_ascii_case(login)
                || self.catalog.sees(login, &Securable::Login(l.name.clone()))
        };
        let logins = self.catalog.logins().filter(visible).map(|l| {
            let (kind, type_desc) = match l.kind {
                LoginKind::Sql => ("S", "SQL_LOGIN"),
                LoginKind::Windows => ("U", "WINDOWS_LOGIN"),
                LoginKind::Certificate => ("C", "CERTIFICATE_MAPPED_LOGIN"),
            };
            ServerPrincipalRow {
                name: l.name.clone(),
                principal_id: i64::from(l.id),
                sid: self.catalog.shown_sid(l),
                kind,
                type_desc,
                is_disabled: l.disabled,
                create_date: l.created,
                modify_date: l.modified.unwrap_or(l.created),
                default_database_name: Some(
                    l.default_database.clone().unwrap_or_else(|| "master".to_owned()),
                ),
                default_language_name: Some(
                    l.default_language
                        .clone()
                        .unwrap_or_else(|| "us_english".to_owned()),
                ),
                credential_id: None,
                owning_principal_id: None,
                is_fixed_role: false,
            }
        });
        let fixed = ServerRole::ALL.map(|role| role_row(role.name(), role.id(), true));
        let roles = [role_row(PUBLIC, PUBLIC_ID, false)].into_iter().chain(fixed);
        let mut rows: Vec<ServerPrincipalRow> = logins.chain(roles).collect();
        rows.sort_by_key(|r| r.principal_id);
        rows
    }

    /// The users of `master`: all for who may see any definition, else the login's own and `dbo`.
    pub(super) fn user_rows(&self, login: &str) -> Vec<DatabasePrincipalRow> {
        let everyone = self.sees_every_definition(login);
        let users = self
            .catalog
            .users()
            .filter(|u| everyone || u.login.eq_ignore_ascii_case(login))
            .map(|u| {
                let login = self.catalog.login(&u.login);
                self.user_row(&u.name, u.id, login, u.created, u.default_schema.as_ref())
            });
        let mut rows: Vec<DatabasePrincipalRow> = [self.dbo_row()].into_iter().chain(users).collect();
        rows.sort_by_key(|r| r.principal_id);
        rows
    }

    pub(super) fn dbo_row(&self) -> DatabasePrincipalRow {
        self.user_row(DBO, 1, self.catalog.login(SA), BUILT_IN_CREATED, None)
    }

    /// A user and the login it stands for, if that is there.
    pub(super) fn user_row(
        &self,
        name: &str,
        id: u32,
        login: Option<&Login>,
        created: WallTime,
        schema: Option<&String>,
    ) -> DatabasePrincipalRow {
        let (kind, type_desc, authentication) = match login.map(|l| l.kind) {
            Some(LoginKind::Windows) => ("U", "WINDOWS_USER", Coded::new(3, "WINDOWS")),
            _ => ("S", "SQL_USER", Coded::new(1, "INSTANCE")),
        };
        DatabasePrincipalRow {
            name: name.to_owned(),
            principal_id: i64::from(id),
            kind,
            type_desc,
            default_schema_name: Some(schema.map_or(DBO, String::as_str).to_owned()),
            create_date: created,
            modify_date: created,
            owning_principal_id: None,
            sid: login.map(|l| self.catalog.shown_sid(l)),
            is_fixed_role: false,
            authentication_type: authentication,
            default_language_name: None,
            default_language_lcid: None,
            allow_encrypted_value_modifications: false,
        }
    }

    /// The certificates of `master`: all for who may see any definition, else those its own user owns.
    pub(super) fn certificate_rows(&self, login: &str) -> Vec<CertificateRow> {
        let everyone = self.sees_every_definition(login);
        let owns = |c: &&Certificate| {
            let user = self.catalog.user(&c.owner);
            everyone || user.is_some_and(|u| u.login.eq_ignore_ascii_case(login))
        };
        let row = |c: &Certificate| {
            let facts = certificate::parse(&c.der).ok()?;
            let (sid, string_sid) = certificate_sids(&c.der);
            let (kind, desc) = match c.private_key {
                Some(PrivateKey::MasterKey(_)) => ("MK", "ENCRYPTED_BY_MASTER_KEY"),
                Some(PrivateKey::Password(_)) => ("PW", "ENCRYPTED_BY_PASSWORD"),
                None => ("NA", "NO_PRIVATE_KEY"),
            };
            Some(CertificateRow {
                name: c.name.clone(),
                certificate_id: i64::from(c.id),
                principal_id: self.catalog.user(&c.owner).map(|u| i64::from(u.id)).or(Some(1)),
                pvt_key_encryption_type: kind,
                pvt_key_encryption_type_desc: desc,
                is_active_for_begin_dialog: c.active_for_begin_dialog,
                issuer_name: facts.issuer.clone(),
                cert_serial_number: hex(&facts.serial[..facts.serial.len().min(16)]),
                sid: Some(sid),
                string_sid: Some(string_sid),
                subject: facts.subject.clone(),
                expiry_date: facts.not_after,
                start_date: facts.not_before,
                thumbprint: binary(&facts.thumbprint),
                attested_by: None,
                pvt_key_last_backup_date: c.private_key_backed_up,
            })
        };
        let mut rows: Vec<CertificateRow> =
            self.catalog.certificates().filter(owns).filter_map(row).collect();
        rows.sort_by_key(|r| r.certificate_id);
        rows
    }
}

fn permission_row(
    (class, major_id): (crate::types::SecurableClass, i64),
    (grantee_principal_id, grantor_principal_id): (i64, i64),
    what: Permission,
    (state, state_desc): (&'static str, &'static str),
) -> ServerPermissionRow {
    ServerPermissionRow {
        class: Coded::new(class.code(), class.desc()),
        major_id,
        minor_id: 0,
        grantee_principal_id,
        grantor_principal_id,
        kind: what.code(),
        permission_name: what.name(),
        state,
        state_desc,
    }
}

fn role_row(name: &str, id: u32, is_fixed_role: bool) -> ServerPrincipalRow {
    ServerPrincipalRow {
        name: name.to_owned(),
        principal_id: i64::from(id),
        sid: principal_sid(id),
        kind: "R",
        type_desc: "SERVER_ROLE",
        is_disabled: false,
        create_date: BUILT_IN_CREATED,
        modify_date: BUILT_IN_CREATED,
        default_database_name: None,
        default_language_name: None,
        credential_id: None,
        owning_principal_id: Some(i64::from(SA_ID)),
        is_fixed_role,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
