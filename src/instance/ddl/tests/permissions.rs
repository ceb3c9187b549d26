//! Who may do what: statements of logins with few permissions, and what the views show of it.

use std::fmt::Write as _;

use super::*;

impl Bench {
    /// A further client, logged in under this name; its number.
    pub(super) fn client_as(&mut self, login: &str) -> usize {
        let client = self.clients.len();
        self.connect(login);
        client
    }

    /// Each statement as this client: its number, and `ok` or the error it ends in.
    fn told(&mut self, login: &str, statements: &[&str]) -> String {
        let mut text = String::new();
        let client = self.client_as(login);
        for statement in statements {
            self.begin(client, statement);
            self.answer_all();
            let reply = self.clients[client].replies.pop_front().expect("it is answered");
            let rows = reply.rows().map(|row| {
                let cells: Vec<String> = row.iter().map(ToString::to_string).collect();
                format!("\n      {}", cells.join("  "))
            });
            let answer = match reply.error() {
                None => format!("ok{}", rows.collect::<String>()),
                Some(error) => format!("{} {}", error.number, error.text),
            };
            writeln!(text, "{login}: {statement}\n   -> {answer}").expect("a string takes everything");
        }
        text
    }

    /// An endpoint of `sa` and logins `a` to `d` without any permission.
    fn with_endpoint() -> Bench {
        let mut bench = Bench::with_clients(1);
        for statement in [
            "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (ROLE = ALL)",
            "CREATE LOGIN a WITH PASSWORD = 'p' CREATE LOGIN b WITH PASSWORD = 'p'",
            "CREATE LOGIN c WITH PASSWORD = 'p' CREATE LOGIN d WITH PASSWORD = 'p'",
        ] {
            assert_eq!(bench.run(0, statement), 0, "{statement}");
        }
        bench
    }

    fn admin(&mut self, statement: &str) {
        assert_eq!(self.run(0, statement), 0, "{statement}");
    }
}

/// `grantee type state grantor` of every permission on the endpoint.
const ROWS: &str = "SELECT SUSER_NAME(grantee_principal_id), type, state, SUSER_NAME(grantor_principal_id) \
                    FROM sys.server_permissions WHERE class = 105 AND major_id >= 65536";

#[test]
fn a_login_without_permissions_learns_and_changes_nothing() {
    let mut bench = Bench::with_endpoint();
    bench.admin("CREATE MASTER KEY ENCRYPTION BY PASSWORD = 'p'");
    bench.admin("CREATE CERTIFICATE k WITH SUBJECT = 's'");
    bench.admin("CREATE DATABASE Sales");
    let text = bench.told(
        "a",
        &[
            "CREATE ENDPOINT x AS TCP (LISTENER_PORT = 7023) FOR DATABASE_MIRRORING (ROLE = ALL)",
            "ALTER ENDPOINT e STATE = STARTED",
            "ALTER ENDPOINT nowhere STATE = STARTED",
            "DROP ENDPOINT e",
            "GRANT CONNECT ON ENDPOINT::e TO b",
            "REVOKE CONNECT ON ENDPOINT::nowhere FROM b",
            "GRANT ALTER ANY ENDPOINT TO b",
            "ALTER AUTHORIZATION ON ENDPOINT::e TO a",
            "CREATE LOGIN x WITH PASSWORD = 'p'",
            "ALTER LOGIN b DISABLE",
            "DROP LOGIN nobody",
            "ALTER SERVER ROLE sysadmin ADD MEMBER a",
            "CREATE USER a",
            "CREATE CERTIFICATE x WITH SUBJECT = 's'",
            "BACKUP CERTIFICATE k TO FILE = 'k.cer'",
            "DROP CERTIFICATE k",
            "DROP MASTER KEY",
            "CREATE DATABASE x",
            "ALTER DATABASE Sales SET PARTNER OFF",
            "BACKUP DATABASE Sales TO DISK = 'x'",
            "DROP DATABASE Sales",
            "USE Sales",
            "SELECT name FROM sys.endpoints",
            "SELECT name FROM sys.database_mirroring_endpoints",
            "SELECT name FROM sys.server_principals",
            "SELECT name FROM sys.certificates",
            "SELECT permission_name FROM sys.server_permissions WHERE grantee_principal_id > 2",
            "SELECT COUNT(*) FROM sys.dm_db_mirroring_connections",
            "SELECT COUNT(*) FROM sys.dm_tcp_listener_states",
        ],
    );
    insta::assert_snapshot!(text);
}

#[test]
fn each_permission_opens_its_own_statements() {
    let mut bench = Bench::with_endpoint();
    let mut text = String::new();
    for (permission, statements) in [
        (
            "ALTER ON ENDPOINT::e",
            &[
                "ALTER ENDPOINT e STATE = STARTED",
                "DROP ENDPOINT e",
                "GRANT CONNECT ON ENDPOINT::e TO b",
            ][..],
        ),
        (
            "CONNECT ON ENDPOINT::e",
            &[
                "SELECT name FROM sys.database_mirroring_endpoints",
                "ALTER ENDPOINT e STATE = STARTED",
            ],
        ),
        (
            "TAKE OWNERSHIP ON ENDPOINT::e",
            &[
                "ALTER AUTHORIZATION ON ENDPOINT::e TO b",
                "ALTER AUTHORIZATION ON ENDPOINT::e TO a",
            ],
        ),
        (
            "VIEW DEFINITION ON ENDPOINT::e",
            &[
                "SELECT name FROM sys.database_mirroring_endpoints",
                "ALTER ENDPOINT e STATE = STARTED",
                "GRANT VIEW DEFINITION ON ENDPOINT::e TO b",
            ],
        ),
        (
            "CONTROL ON ENDPOINT::e",
            &["GRANT CONNECT ON ENDPOINT::e TO b", "DROP ENDPOINT e"],
        ),
        (
            "CREATE ENDPOINT",
            &[
                "CREATE ENDPOINT e AUTHORIZATION b AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (ROLE = ALL)",
                "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (ROLE = ALL)",
                "SELECT SUSER_NAME(principal_id) FROM sys.database_mirroring_endpoints",
            ],
        ),
        (
            "ALTER ANY ENDPOINT",
            &[
                "ALTER ENDPOINT e STATE = STARTED",
                "DROP ENDPOINT e",
                "SELECT name FROM sys.database_mirroring_endpoints",
                "GRANT CONNECT ON ENDPOINT::e TO b",
                "ALTER AUTHORIZATION ON ENDPOINT::e TO c",
            ],
        ),
        (
            "IMPERSONATE ON LOGIN::d",
            &[
                "ALTER AUTHORIZATION ON ENDPOINT::e TO d",
                "GRANT CONNECT ON ENDPOINT::e TO b AS d",
            ],
        ),
        (
            "ALTER ANY LOGIN",
            &[
                "CREATE LOGIN x WITH PASSWORD = 'p'",
                "DROP LOGIN x",
                "DROP LOGIN sa",
            ],
        ),
        (
            "VIEW ANY DEFINITION",
            &["SELECT COUNT(*) FROM sys.server_principals", "DROP LOGIN b"],
        ),
        (
            "VIEW SERVER STATE",
            &["SELECT type_desc FROM sys.dm_tcp_listener_states"],
        ),
        (
            "CONTROL SERVER",
            &[
                "CREATE DATABASE Sales",
                "USE Sales",
                "USE master DROP DATABASE Sales",
            ],
        ),
    ] {
        // A new owner drops what was granted on the endpoint before, if there is one.
        bench.run(0, "ALTER AUTHORIZATION ON ENDPOINT::e TO sa");
        bench.admin(&format!("GRANT {permission} TO a"));
        text += &format!("## {permission}\n");
        text += &bench.told("a", statements);
        bench.run(0, &format!("REVOKE {permission} FROM a"));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn what_is_passed_on_is_taken_back_with_cascade_and_denied_to_all() {
    let mut bench = Bench::with_endpoint();
    bench.admin("GRANT CONNECT ON ENDPOINT::e TO a WITH GRANT OPTION");
    let mut text = bench.told("a", &["GRANT CONNECT ON ENDPOINT::e TO b WITH GRANT OPTION"]);
    text += &bench.told("b", &["GRANT CONNECT ON ENDPOINT::e TO c"]);
    text += &bench.told(
        "sa",
        &[
            ROWS,
            "REVOKE CONNECT ON ENDPOINT::e FROM a",
            "REVOKE GRANT OPTION FOR CONNECT ON ENDPOINT::e FROM a CASCADE",
            ROWS,
            "REVOKE GRANT OPTION FOR CONNECT ON ENDPOINT::e FROM a",
            ROWS,
            "GRANT CONNECT ON ENDPOINT::e TO a WITH GRANT OPTION",
            "GRANT CONNECT ON ENDPOINT::e TO d AS a",
            "GRANT CONNECT ON ENDPOINT::e TO c AS b",
            "DROP LOGIN a",
            "DENY CONNECT ON ENDPOINT::e TO a",
            "DENY CONNECT ON ENDPOINT::e TO a CASCADE",
            ROWS,
            "REVOKE CONNECT ON ENDPOINT::e FROM a",
            "REVOKE CONNECT ON ENDPOINT::e FROM d",
            "DENY CONNECT ON ENDPOINT::e TO public",
            ROWS,
            "GRANT CONNECT ON ENDPOINT::e TO sysadmin",
            "GRANT CONNECT ON ENDPOINT::e TO sa",
        ],
    );
    insta::assert_snapshot!(text);
}

#[test]
fn a_new_owner_loses_the_permissions_of_everyone_else() {
    let mut bench = Bench::with_endpoint();
    let mut text = bench.told(
        "sa",
        &[
            "GRANT CONNECT ON ENDPOINT::e TO a",
            "ALTER AUTHORIZATION ON ENDPOINT::e TO nobody",
            "ALTER AUTHORIZATION ON ENDPOINT::e TO b",
            ROWS,
            "DROP LOGIN b",
            "GRANT CONNECT ON ENDPOINT::e TO a",
            ROWS,
            "ALTER AUTHORIZATION ON ENDPOINT::e TO sa",
            "DROP LOGIN b",
            "DROP LOGIN c",
            "DROP LOGIN sa",
        ],
    );
    text += &bench.told("d", &["SELECT SUSER_SNAME()"]);
    text += &bench.told("sa", &["DROP LOGIN d"]);
    insta::assert_snapshot!(text);
}

#[test]
fn permissions_survive_a_restart() {
    let mut bench = Bench::with_endpoint();
    bench.admin("GRANT CONNECT ON ENDPOINT::e TO a WITH GRANT OPTION");
    bench.admin("ALTER SERVER ROLE securityadmin ADD MEMBER b");
    bench.admin("DENY VIEW SERVER STATE TO c");
    bench.admin("REVOKE CONNECT SQL FROM d");
    let before = bench.told("sa", &[ROWS, "SELECT * FROM sys.server_permissions"]);
    let mut bench = bench.restarted();
    assert_eq!(
        bench.told("sa", &[ROWS, "SELECT * FROM sys.server_permissions"]),
        before
    );
    let b = bench.client_as("b");
    assert_eq!(bench.run(b, "CREATE LOGIN x WITH PASSWORD = 'p'"), 0);
    assert_eq!(bench.refused("d"), Some(18456));
    assert_eq!(bench.refused("nobody"), Some(18456));
    assert_eq!(bench.refused("C"), None);
}

/// An account of Windows must exist, and a system that is in no domain knows none.
#[test]
fn a_windows_login_needs_somebody_to_ask() {
    let mut bench = Bench::with_endpoint();
    assert_eq!(bench.run(0, "CREATE LOGIN [LAB\\sql] FROM WINDOWS"), 15401);
    assert_eq!(bench.run(0, "GRANT CONNECT ON ENDPOINT::e TO [LAB\\sql]"), 15151);
}
