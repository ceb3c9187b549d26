//! Who may do what: rows of permissions, server roles, owners, and the decision over them.
//!
//! DENY beats GRANT, except for sysadmin and owners, whom nothing is denied. A permission is held if it or one that
//! implies it is granted. Source: documented, *GRANT / DENY / REVOKE Endpoint Permissions*, *Server-level roles*; the
//! recursion of CASCADE is derived.

use serde::{Deserialize, Serialize};

use super::{Catalog, SA, fold};
use crate::types::{Permission, SecurableClass};

/// One thing a permission is on. There is one endpoint at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Securable {
    Server,
    Login(String),
    Endpoint,
}

/// One row of `sys.server_permissions`: at most one of a grantee, a grantor, a permission and a securable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionRow {
    pub on: Securable,
    /// A login, or `public`.
    pub grantee: String,
    pub grantor: String,
    pub what: Permission,
    pub state: PermissionState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PermissionState {
    Grant,
    GrantWithGrantOption,
    Deny,
}

/// A fixed server role. Its rights are not rows. Source: documented, *Server-level roles*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ServerRole {
    Sysadmin,
    Securityadmin,
    Serveradmin,
}

/// The role every login is a member of.
pub const PUBLIC: &str = "public";
pub const PUBLIC_ID: u32 = 2;

impl Securable {
    pub const fn class(&self) -> SecurableClass {
        match self {
            Securable::Server => SecurableClass::Server,
            Securable::Login(_) => SecurableClass::ServerPrincipal,
            Securable::Endpoint => SecurableClass::Endpoint,
        }
    }

    fn is(&self, other: &Securable) -> bool {
        match (self, other) {
            (Securable::Login(a), Securable::Login(b)) => fold(a) == fold(b),
            (a, b) => a == b,
        }
    }
}

impl PermissionState {
    /// `state` and `state_desc`.
    pub const fn shown(self) -> (&'static str, &'static str) {
        match self {
            PermissionState::Grant => ("G", "GRANT"),
            PermissionState::GrantWithGrantOption => ("W", "GRANT_WITH_GRANT_OPTION"),
            PermissionState::Deny => ("D", "DENY"),
        }
    }
}

impl ServerRole {
    pub const ALL: [ServerRole; 3] = [
        ServerRole::Sysadmin,
        ServerRole::Securityadmin,
        ServerRole::Serveradmin,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            ServerRole::Sysadmin => "sysadmin",
            ServerRole::Securityadmin => "securityadmin",
            ServerRole::Serveradmin => "serveradmin",
        }
    }

    pub const fn id(self) -> u32 {
        match self {
            ServerRole::Sysadmin => 3,
            ServerRole::Securityadmin => 4,
            ServerRole::Serveradmin => 5,
        }
    }

    pub fn named(name: &str) -> Option<ServerRole> {
        ServerRole::ALL
            .into_iter()
            .find(|role| role.name().eq_ignore_ascii_case(name))
    }

    /// What its members may do beside what is granted to them; sysadmin may do everything.
    const fn permissions(self) -> &'static [Permission] {
        match self {
            ServerRole::Sysadmin => &[Permission::ControlServer],
            ServerRole::Securityadmin => &[Permission::AlterAnyLogin],
            ServerRole::Serveradmin => &[Permission::AlterAnyEndpoint, Permission::ViewServerState],
        }
    }
}

impl Catalog {
    pub fn permissions(&self) -> impl Iterator<Item = &PermissionRow> {
        self.permissions.values()
    }

    /// The rows of one permission on one securable.
    fn rows_of<'a>(
        &'a self,
        what: Permission,
        on: &'a Securable,
    ) -> impl Iterator<Item = &'a PermissionRow> + 'a {
        self.permissions().filter(move |p| p.what == what && p.on.is(on))
    }

    /// The state of the row of this grantee and grantor.
    pub fn permission_state(
        &self,
        what: Permission,
        on: &Securable,
        grantee: &str,
        grantor: &str,
    ) -> Option<PermissionState> {
        self.rows_of(what, on)
            .find(|p| fold(&p.grantee) == fold(grantee) && fold(&p.grantor) == fold(grantor))
            .map(|p| p.state)
    }

    pub fn put_permission(&mut self, row: PermissionRow) {
        let key = key(&row);
        self.save(format!("permission/{key}"), &row);
        self.permissions.insert(key, row);
    }

    /// Drop every row that `goes`.
    pub fn drop_permissions(&mut self, goes: impl Fn(&PermissionRow) -> bool) {
        let gone: Vec<String> = self
            .permissions
            .iter()
            .filter(|(_, p)| goes(p))
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            self.permissions.remove(&key);
            self.remove(format!("permission/{key}"));
        }
    }

    /// The rows that a revoked right to pass on takes with it: what `grantee` granted, and those granted, and so on.
    pub fn passed_on(&self, what: Permission, on: &Securable, grantee: &str) -> Vec<PermissionRow> {
        let mut found: Vec<PermissionRow> = Vec::new();
        let mut grantors = vec![fold(grantee)];
        while let Some(grantor) = grantors.pop() {
            let granted = self.rows_of(what, on).filter(|p| fold(&p.grantor) == grantor);
            for row in granted {
                if !found.contains(row) {
                    grantors.push(fold(&row.grantee));
                    found.push(row.clone());
                }
            }
        }
        found
    }

    pub fn is_member(&self, login: &str, role: ServerRole) -> bool {
        self.login(login).is_some_and(|l| l.roles.contains(&role))
    }

    pub fn is_sysadmin(&self, login: &str) -> bool {
        self.is_member(login, ServerRole::Sysadmin)
    }

    /// Whose permissions on it nobody can take away; the server and the logins are `sa`'s.
    pub fn owner_of(&self, on: &Securable) -> &str {
        match (on, self.endpoint()) {
            (Securable::Endpoint, Some(endpoint)) => &endpoint.owner,
            _ => SA,
        }
    }

    fn is_owner(&self, login: &str, on: &Securable) -> bool {
        fold(self.owner_of(on)) == fold(login)
    }

    /// Whether `login` holds `what` on a securable.
    pub fn holds(&self, login: &str, what: Permission, on: &Securable) -> bool {
        if self.login(login).is_none() {
            return false;
        }
        if self.is_sysadmin(login) || self.is_owner(login, on) {
            return true;
        }
        let here = what.implied_by().iter().map(|p| (*p, on.clone()));
        let server = what.implied_by_server(on.class());
        let server = server.iter().map(|p| (*p, Securable::Server));
        let ways: Vec<(Permission, Securable)> = here.chain(server).collect();
        let stated = |denied: bool| {
            ways.iter().any(|(what, on)| {
                self.rows_of(*what, on)
                    .any(|p| concerns(p, login) && (p.state == PermissionState::Deny) == denied)
            })
        };
        !stated(true) && (stated(false) || ways.iter().any(|(what, on)| self.holds_by_role(login, *what, on)))
    }

    fn holds_by_role(&self, login: &str, what: Permission, on: &Securable) -> bool {
        *on == Securable::Server
            && ServerRole::ALL
                .into_iter()
                .any(|role| role.permissions().contains(&what) && self.is_member(login, role))
    }

    /// Whether `login` holds a permission on the server.
    pub fn holds_on_server(&self, login: &str, what: Permission) -> bool {
        self.holds(login, what, &Securable::Server)
    }

    /// Whether `login` may act as `other`.
    pub fn may_impersonate(&self, login: &str, other: &str) -> bool {
        fold(login) == fold(other)
            || self.holds(
                login,
                Permission::Impersonate,
                &Securable::Login(other.to_owned()),
            )
    }

    /// Whether `login` may grant, deny or revoke `what`: by the right to administer the securable, or because it holds
    /// the permission with grant option. Source: documented, *GRANT Endpoint Permissions*; that securityadmin passes on
    /// what is less than CONTROL SERVER is ours.
    pub fn may_grant(&self, login: &str, what: Permission, on: &Securable) -> bool {
        let administers = match on {
            Securable::Server => {
                self.holds_on_server(login, Permission::ControlServer)
                    || (self.is_member(login, ServerRole::Securityadmin) && what != Permission::ControlServer)
            }
            Securable::Login(_) => self.holds(login, Permission::Control, on),
            Securable::Endpoint => {
                self.holds(login, Permission::Control, on)
                    || self.holds_on_server(login, Permission::AlterAnyEndpoint)
            }
        };
        administers || (self.holds(login, what, on) && self.has_grant_option(login, what, on))
    }

    fn has_grant_option(&self, login: &str, what: Permission, on: &Securable) -> bool {
        what.implied_by().iter().any(|what| {
            self.rows_of(*what, on)
                .any(|p| concerns(p, login) && p.state == PermissionState::GrantWithGrantOption)
        })
    }

    /// Whether `login` sees that a securable exists: it owns it, or has some permission on it.
    /// Source: documented, *Metadata Visibility Configuration*.
    pub fn sees(&self, login: &str, on: &Securable) -> bool {
        let some = |what: &Permission| what.classes().contains(&on.class()) && self.holds(login, *what, on);
        Permission::ALL.iter().any(some)
    }

    /// Whether `login` may connect to the endpoint: it is enabled, and sysadmin, the owner, or granted CONNECT.
    /// Source: documented, *GRANT Endpoint Permissions*.
    pub fn may_connect(&self, login: &str) -> bool {
        let enabled = self.login(login).is_some_and(|l| !l.disabled);
        enabled && self.endpoint().is_some() && self.holds(login, Permission::Connect, &Securable::Endpoint)
    }
}

/// Whether a row is about this login, as itself or as a member of `public`.
fn concerns(row: &PermissionRow, login: &str) -> bool {
    fold(&row.grantee) == fold(login) || fold(&row.grantee) == PUBLIC
}

fn key(row: &PermissionRow) -> String {
    let on = match &row.on {
        Securable::Login(name) => Securable::Login(fold(name)),
        other => other.clone(),
    };
    format!(
        "{on:?} {:?} {:?} {:?}",
        row.what,
        fold(&row.grantee),
        fold(&row.grantor)
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::instance::catalog::{Login, LoginKind};
    use crate::types::{Guid, WallTime};

    fn catalog(logins: &[&str]) -> Catalog {
        let mut catalog = Catalog::new(Guid::NIL, WallTime::default());
        for name in logins {
            let id = catalog.next_principal_id();
            catalog.put_login(Login {
                name: (*name).to_owned(),
                id,
                kind: LoginKind::Sql,
                disabled: false,
                created: WallTime::default(),
                roles: BTreeSet::new(),
                certificate: None,
                sid: Vec::new(),
                modified: None,
                default_database: None,
                default_language: None,
            });
        }
        catalog
    }

    fn row(
        on: &Securable,
        grantee: &str,
        grantor: &str,
        what: Permission,
        state: PermissionState,
    ) -> PermissionRow {
        PermissionRow {
            on: on.clone(),
            grantee: grantee.to_owned(),
            grantor: grantor.to_owned(),
            what,
            state,
        }
    }

    #[test]
    fn a_denied_permission_is_not_held_however_else_it_is_granted() {
        let mut catalog = catalog(&["a"]);
        let login = Securable::Login("sa".into());
        for (what, on) in [
            (Permission::Control, &login),
            (Permission::ControlServer, &Securable::Server),
        ] {
            catalog.put_permission(row(on, "A", "sa", what, PermissionState::Grant));
            assert!(catalog.holds("a", Permission::Impersonate, &login));
        }
        let deny = row(
            &login,
            "public",
            "sa",
            Permission::Impersonate,
            PermissionState::Deny,
        );
        catalog.put_permission(deny);
        assert!(!catalog.holds("a", Permission::Impersonate, &login));
        assert!(catalog.holds("a", Permission::ViewDefinition, &login));
        assert!(catalog.holds("sa", Permission::Impersonate, &login), "sysadmin");
    }

    #[test]
    fn what_was_passed_on_is_found_through_every_hand_and_once() {
        let mut catalog = catalog(&["a", "b", "c"]);
        let on = Securable::Server;
        let what = Permission::ViewServerState;
        for (grantee, grantor) in [("a", "sa"), ("b", "a"), ("c", "b"), ("a", "c")] {
            catalog.put_permission(row(
                &on,
                grantee,
                grantor,
                what,
                PermissionState::GrantWithGrantOption,
            ));
        }
        let found = catalog.passed_on(what, &on, "A");
        let pairs: Vec<(&str, &str)> = found
            .iter()
            .map(|p| (p.grantee.as_str(), p.grantor.as_str()))
            .collect();
        assert_eq!(pairs, [("b", "a"), ("c", "b"), ("a", "c")]);
    }

    #[test]
    fn roles_give_what_the_manual_says_and_not_more() {
        let mut catalog = catalog(&["a"]);
        let mut login = catalog.login("a").unwrap().clone();
        login.roles.insert(ServerRole::Serveradmin);
        catalog.put_login(login);
        assert!(catalog.holds_on_server("a", Permission::CreateEndpoint));
        assert!(catalog.holds("a", Permission::Alter, &Securable::Endpoint));
        assert!(!catalog.holds("a", Permission::Connect, &Securable::Endpoint));
        assert!(!catalog.holds_on_server("a", Permission::AlterAnyLogin));
        assert!(!catalog.holds("nobody", Permission::ViewDefinition, &Securable::Endpoint));
    }
}
