//! Permissions on the server, on logins and on endpoints: their names, their codes, and what implies them.
//!
//! Source: documented, *sys.server_permissions* and *GRANT Endpoint Permissions*; only the permissions this project asks
//! for exist.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a permission is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SecurableClass {
    Server,
    /// A login.
    ServerPrincipal,
    Endpoint,
}

/// One thing a login may be allowed to do. Which class of securable it is about is `classes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Permission {
    Alter,
    AlterAnyDatabase,
    AlterAnyEndpoint,
    AlterAnyLogin,
    Connect,
    ConnectSql,
    Control,
    ControlServer,
    CreateAnyDatabase,
    CreateEndpoint,
    Impersonate,
    TakeOwnership,
    ViewAnyDatabase,
    ViewAnyDefinition,
    ViewDefinition,
    ViewServerState,
}

use Permission::*;
use SecurableClass::{Endpoint, Server, ServerPrincipal};

impl SecurableClass {
    /// `class` of `sys.server_permissions`.
    pub const fn code(self) -> i64 {
        match self {
            Server => 100,
            ServerPrincipal => 101,
            Endpoint => 105,
        }
    }

    /// `class_desc`.
    pub const fn desc(self) -> &'static str {
        match self {
            Server => "SERVER",
            ServerPrincipal => "SERVER_PRINCIPAL",
            Endpoint => "ENDPOINT",
        }
    }
}

impl Permission {
    pub const ALL: [Permission; 16] = [
        Alter,
        AlterAnyDatabase,
        AlterAnyEndpoint,
        AlterAnyLogin,
        Connect,
        ConnectSql,
        Control,
        ControlServer,
        CreateAnyDatabase,
        CreateEndpoint,
        Impersonate,
        TakeOwnership,
        ViewAnyDatabase,
        ViewAnyDefinition,
        ViewDefinition,
        ViewServerState,
    ];

    /// The permission's name, as statements and `permission_name` write it.
    pub const fn name(self) -> &'static str {
        match self {
            Alter => "ALTER",
            AlterAnyDatabase => "ALTER ANY DATABASE",
            AlterAnyEndpoint => "ALTER ANY ENDPOINT",
            AlterAnyLogin => "ALTER ANY LOGIN",
            Connect => "CONNECT",
            ConnectSql => "CONNECT SQL",
            Control => "CONTROL",
            ControlServer => "CONTROL SERVER",
            CreateAnyDatabase => "CREATE ANY DATABASE",
            CreateEndpoint => "CREATE ENDPOINT",
            Impersonate => "IMPERSONATE",
            TakeOwnership => "TAKE OWNERSHIP",
            ViewAnyDatabase => "VIEW ANY DATABASE",
            ViewAnyDefinition => "VIEW ANY DEFINITION",
            ViewDefinition => "VIEW DEFINITION",
            ViewServerState => "VIEW SERVER STATE",
        }
    }

    /// The `type` column of `sys.server_permissions`, blank-padded to four characters.
    pub const fn code(self) -> &'static str {
        match self {
            Alter => "AL  ",
            AlterAnyDatabase => "ALDB",
            AlterAnyEndpoint => "ALHE",
            AlterAnyLogin => "ALLG",
            Connect => "CO  ",
            ConnectSql => "COSQ",
            // Told apart by the class.
            Control | ControlServer => "CL  ",
            CreateAnyDatabase => "CRDB",
            CreateEndpoint => "CRHE",
            Impersonate => "IM  ",
            TakeOwnership => "TO  ",
            ViewAnyDatabase => "VWDB",
            ViewAnyDefinition => "VWAD",
            ViewDefinition => "VW  ",
            ViewServerState => "VWSS",
        }
    }

    /// What it can be granted on.
    pub const fn classes(self) -> &'static [SecurableClass] {
        match self {
            Alter | Control | ViewDefinition => &[ServerPrincipal, Endpoint],
            Connect | TakeOwnership => &[Endpoint],
            Impersonate => &[ServerPrincipal],
            AlterAnyDatabase | AlterAnyEndpoint | AlterAnyLogin | ConnectSql | ControlServer
            | CreateAnyDatabase | CreateEndpoint | ViewAnyDatabase | ViewAnyDefinition | ViewServerState => {
                &[Server]
            }
        }
    }

    /// The permissions on the same securable that hold it too, itself first.
    pub const fn implied_by(self) -> &'static [Permission] {
        match self {
            Alter => &[Alter, Control],
            Connect => &[Connect, Control],
            Control => &[Control],
            Impersonate => &[Impersonate, Control],
            TakeOwnership => &[TakeOwnership, Control],
            ViewDefinition => &[ViewDefinition, Control],
            AlterAnyDatabase => &[AlterAnyDatabase, ControlServer],
            AlterAnyEndpoint => &[AlterAnyEndpoint, ControlServer],
            AlterAnyLogin => &[AlterAnyLogin, ControlServer],
            ConnectSql => &[ConnectSql, ControlServer],
            ControlServer => &[ControlServer],
            CreateAnyDatabase => &[CreateAnyDatabase, AlterAnyDatabase, ControlServer],
            CreateEndpoint => &[CreateEndpoint, AlterAnyEndpoint, ControlServer],
            ViewAnyDatabase => &[ViewAnyDatabase, ViewAnyDefinition, ControlServer],
            ViewAnyDefinition => &[ViewAnyDefinition, ControlServer],
            ViewServerState => &[ViewServerState, ControlServer],
        }
    }

    /// The server permissions that hold it on every securable of `class`.
    pub const fn implied_by_server(self, class: SecurableClass) -> &'static [Permission] {
        match (self, class) {
            (_, Server) => &[],
            (Alter, Endpoint) => &[AlterAnyEndpoint, ControlServer],
            (Alter, ServerPrincipal) => &[AlterAnyLogin, ControlServer],
            (ViewDefinition, _) => &[ViewAnyDefinition, ControlServer],
            (_, Endpoint | ServerPrincipal) => &[ControlServer],
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_implies_a_permission_is_on_the_same_class() {
        for what in Permission::ALL {
            for class in what.classes() {
                for by in what.implied_by() {
                    assert!(by.classes().contains(class), "{by} on {}", class.desc());
                }
                for by in what.implied_by_server(*class) {
                    assert_eq!(by.classes(), [Server], "{by}");
                }
            }
        }
    }

    /// The table of *GRANT Endpoint Permissions*.
    #[test]
    fn endpoint_permissions_are_implied_as_documented() {
        let rows = [
            (Alter, "CONTROL", "ALTER ANY ENDPOINT"),
            (Connect, "CONTROL", "CONTROL SERVER"),
            (Control, "CONTROL", "CONTROL SERVER"),
            (TakeOwnership, "CONTROL", "CONTROL SERVER"),
            (ViewDefinition, "CONTROL", "VIEW ANY DEFINITION"),
        ];
        for (what, on_endpoint, on_server) in rows {
            assert!(
                what.implied_by().iter().any(|p| p.name() == on_endpoint),
                "{what}"
            );
            let server = what.implied_by_server(Endpoint);
            assert_eq!(server[0].name(), on_server, "{what}");
            assert!(server.contains(&ControlServer), "{what}");
        }
        assert!(!Connect.implied_by_server(Endpoint).contains(&AlterAnyEndpoint));
    }
}
