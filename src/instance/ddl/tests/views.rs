//! The endpoint views' documented columns and values: the vectors of their pages, and round trips of the statement.

use super::*;
use crate::types::Value;

const COLUMNS: &str = "SELECT e.name, e.endpoint_id, e.principal_id, e.protocol, e.protocol_desc, e.type, e.type_desc, \
                       e.state, e.state_desc, e.is_admin_endpoint, m.role, m.role_desc, m.connection_auth, \
                       m.connection_auth_desc, m.certificate_id, m.encryption_algorithm, m.encryption_algorithm_desc, \
                       m.is_encryption_enabled, t.port, t.is_dynamic_port, t.ip_address \
                       FROM sys.endpoints e \
                       JOIN sys.database_mirroring_endpoints m ON m.endpoint_id = e.endpoint_id \
                       JOIN sys.tcp_endpoints t ON t.endpoint_id = e.endpoint_id";

impl Bench {
    pub(super) fn rows(&mut self, client: usize, query: &str) -> Vec<Vec<String>> {
        self.begin(client, query);
        let reply = self.clients[client].replies.pop_front().expect("it is answered");
        assert_eq!(reply.error(), None, "{query}");
        let print = |row: &[Value]| row.iter().map(ToString::to_string).collect();
        reply.rows().map(|row| print(row)).collect()
    }

    /// An instance with an endpoint made by this tail, and with certificate `c`.
    fn with_tail(tail: &str) -> Bench {
        let mut bench = Bench::with_clients(1);
        for statement in [
            "CREATE MASTER KEY ENCRYPTION BY PASSWORD = 'p'",
            "CREATE CERTIFICATE c WITH SUBJECT = 's'",
            &format!("CREATE ENDPOINT e {tail}"),
        ] {
            assert_eq!(bench.run(0, statement), 0, "{statement}");
        }
        bench
    }
}

/// The four vectors of *sys.database_mirroring_endpoints*, with the defaults since 2016.
#[test]
fn the_documented_vectors_hold() {
    let vectors = [
        (
            "AS TCP (LISTENER_PORT=7022) FOR DATABASE_MIRRORING (ROLE=PARTNER)",
            "1 STOPPED 1 PARTNER 3 NEGOTIATE 0 2 AES 1 7022 NULL",
        ),
        (
            "STATE=STARTED AS TCP (LISTENER_PORT=7022) FOR DATABASE_MIRRORING \
             (AUTHENTICATION=WINDOWS KERBEROS, ENCRYPTION=SUPPORTED, ROLE=ALL)",
            "0 STARTED 3 ALL 2 KERBEROS 0 4 NONE, AES 1 7022 NULL",
        ),
        (
            "STATE=STARTED AS TCP (LISTENER_PORT=7024, LISTENER_IP=ALL) FOR DATABASE_MIRRORING \
             (AUTHENTICATION=CERTIFICATE c, ENCRYPTION=REQUIRED ALGORITHM AES, ROLE=ALL)",
            "0 STARTED 3 ALL 4 CERTIFICATE id(c) 2 AES 1 7024 NULL",
        ),
        (
            "STATE=DISABLED AS TCP (LISTENER_PORT=5022, LISTENER_IP=(10.0.75.1)) FOR DATABASE_MIRRORING \
             (AUTHENTICATION=CERTIFICATE c WINDOWS NTLM ENCRYPTION=DISABLED ROLE=WITNESS)",
            "2 DISABLED 2 WITNESS 8 CERTIFICATE, NTLM id(c) 0 NONE 0 5022 10.0.75.1",
        ),
    ];
    for (tail, expected) in vectors {
        let mut bench = Bench::with_tail(tail);
        let id = bench.rows(0, "SELECT certificate_id FROM sys.certificates WHERE name = 'c'")[0][0].clone();
        let row = bench.rows(0, COLUMNS).remove(0);
        assert_eq!(
            row[..7],
            ["e", "65536", "1", "2", "TCP", "4", "DATABASE_MIRRORING"],
            "{tail}"
        );
        assert_eq!(
            (row[9].as_str(), row[19].as_str()),
            ("0", "0"),
            "neither administrators' nor dynamic"
        );
        let seen = [&row[7..9], &row[10..19], &row[20..]].concat();
        assert_eq!(seen.join(" "), expected.replace("id(c)", &id), "{tail}");
    }
}

/// Authentication, certificate, encryption and role come back from the views as they were written: 10 × 9 × 3.
#[test]
fn every_combination_is_told_apart_by_the_views() {
    let methods = ["NTLM", "KERBEROS", "NEGOTIATE"];
    let mut authentications = vec!["CERTIFICATE c".to_owned()];
    for method in methods {
        authentications.push(format!("WINDOWS {method}"));
        authentications.push(format!("WINDOWS {method} CERTIFICATE c"));
        authentications.push(format!("CERTIFICATE c WINDOWS {method}"));
    }
    let mut encryptions = vec!["DISABLED".to_owned()];
    for level in ["SUPPORTED", "REQUIRED"] {
        for algorithm in ["AES", "RC4", "AES RC4", "RC4 AES"] {
            encryptions.push(format!("{level} ALGORITHM {algorithm}"));
        }
    }
    let mut bench = Bench::with_tail("AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (ROLE = ALL)");
    let mut seen = std::collections::BTreeSet::new();
    for authentication in &authentications {
        for encryption in &encryptions {
            for role in ["PARTNER", "WITNESS", "ALL"] {
                let alter = format!(
                    "ALTER ENDPOINT e FOR DATABASE_MIRRORING (AUTHENTICATION = {authentication}, ENCRYPTION = {encryption}, ROLE = {role})"
                );
                assert_eq!(bench.run(0, &alter), 0, "{alter}");
                let row = bench
                    .rows(
                        0,
                        "SELECT connection_auth, certificate_id, encryption_algorithm, role_desc FROM sys.database_mirroring_endpoints",
                    )
                    .remove(0);
                assert_eq!(row[3], role, "{alter}");
                assert_eq!(row[1] != "0", authentication.contains("CERTIFICATE"), "{alter}");
                assert!(seen.insert(row), "{alter}");
            }
        }
    }
    assert_eq!(seen.len(), 10 * 9 * 3);
}

#[test]
fn built_in_endpoints_are_below_the_users() {
    let mut bench = Bench::with_tail("AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (ROLE = ALL)");
    let query = "SELECT name, CASE WHEN endpoint_id < 65536 THEN endpoint_id END, protocol_desc, type_desc, state_desc, is_admin_endpoint FROM sys.endpoints";
    let rows: Vec<String> = bench.rows(0, query).iter().map(|row| row.join("  ")).collect();
    assert_eq!(
        rows,
        [
            "Dedicated Admin Connection  1  TCP  TSQL  STARTED  1",
            "TSQL Local Machine  2  SHARED_MEMORY  TSQL  STARTED  0",
            "TSQL Named Pipes  3  NAMED_PIPES  TSQL  STARTED  0",
            "TSQL Default TCP  4  TCP  TSQL  STARTED  0",
            "e  NULL  TCP  DATABASE_MIRRORING  STOPPED  0",
        ]
    );
    let tcp = bench.rows(0, "SELECT name FROM sys.tcp_endpoints");
    assert_eq!(
        tcp.concat(),
        ["Dedicated Admin Connection", "TSQL Default TCP", "e"]
    );
}

/// The row of *sys.server_permissions* for a grant of CONNECT, and what joining on `major_id` alone would add.
#[test]
fn a_grant_is_the_documented_row() {
    let mut bench = Bench::with_tail("AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (ROLE = ALL)");
    assert_eq!(
        bench.run(
            0,
            "CREATE LOGIN l WITH PASSWORD = 'p' GRANT CONNECT ON ENDPOINT::e TO l"
        ),
        0
    );
    let id = bench.rows(
        0,
        "SELECT principal_id FROM sys.server_principals WHERE name = 'l'",
    )[0][0]
        .clone();
    let rows = bench.rows(
        0,
        &format!("SELECT * FROM sys.server_permissions WHERE grantee_principal_id = {id} ORDER BY class"),
    );
    let connect_sql = [
        "100",
        "SERVER",
        "0",
        "0",
        &id,
        "1",
        "COSQ",
        "CONNECT SQL",
        "G",
        "GRANT",
    ];
    let connect = [
        "105", "ENDPOINT", "65536", "0", &id, "1", "CO  ", "CONNECT", "G", "GRANT",
    ];
    assert_eq!(rows, [connect_sql, connect]);
}

#[test]
fn a_listener_has_a_row_while_it_is_bound() {
    let mut bench = Bench::with_tail("AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (ROLE = ALL)");
    let query = "SELECT ip_address, is_ipv4, port, type, type_desc, state, state_desc FROM sys.dm_tcp_listener_states WHERE type = 2";
    assert_eq!(bench.rows(0, query), Vec::<Vec<String>>::new());
    let listener = Listener::Endpoint;
    for (ip, shown) in [
        ("ALL", "0.0.0.0  1"),
        ("(10.0.0.1)", "10.0.0.1  1"),
        ("('fd00::1')", "fd00::1  0"),
    ] {
        let alter = format!("ALTER ENDPOINT e STATE = STARTED AS TCP (LISTENER_IP = {ip})");
        assert_eq!(bench.run(0, &alter), 0, "{alter}");
        bench.input(Input::Listening { listener });
        let row = bench.rows(0, query).concat().join("  ");
        assert_eq!(row, format!("{shown}  7022  2  DATABASE_MIRRORING  1  ONLINE"));
    }
    assert_eq!(bench.run(0, "ALTER ENDPOINT e STATE = STOPPED"), 0);
    assert_eq!(bench.rows(0, query), Vec::<Vec<String>>::new());
}

/// Source: ours, the pages are silent on STATE and a restart; that STOPPED does not listen and DISABLED does is C10.
#[test]
fn a_state_outlives_a_restart_and_so_does_what_it_binds() {
    for (state, listens) in [("STARTED", true), ("STOPPED", false), ("DISABLED", true)] {
        let tail =
            format!("STATE = {state} AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (ROLE = ALL)");
        let mut bench = Bench::with_tail(&tail);
        for _ in 0..2 {
            let listener = Listener::Endpoint;
            bench.input(Input::Listening { listener });
            let shown = bench.rows(0, "SELECT state_desc FROM sys.database_mirroring_endpoints");
            assert_eq!(shown, [[state]]);
            let bound = bench.rows(0, "SELECT port FROM sys.dm_tcp_listener_states WHERE type = 2");
            assert_eq!(!bound.is_empty(), listens, "{state}");
            bench = bench.restarted();
            bench.answer_all();
            bench.connect("sa");
        }
    }
}

/// RC4 is told each time an endpoint that names it begins to listen; mirroring each time a session is altered.
#[test]
fn deprecated_features_are_counted_and_traced() {
    let mut bench = Bench::with_tail(
        "STATE = STARTED AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (ROLE = ALL, ENCRYPTION = REQUIRED ALGORITHM RC4)",
    );
    let listener = Listener::Endpoint;
    bench.input(Input::Listening { listener });
    assert_eq!(bench.run(0, "CREATE DATABASE Sales"), 0);
    assert_eq!(bench.run(0, "ALTER DATABASE Sales SET PARTNER FAILOVER"), 1416);
    let counts = "SELECT instance_name, cntr_value FROM sys.dm_os_performance_counters \
                  WHERE object_name = 'SQLServer:Deprecated Features'";
    assert_eq!(
        bench.rows(0, counts),
        [
            ["DATABASE_MIRRORING", "1"],
            ["Deprecated encryption algorithm", "1"]
        ]
    );
    let notices = "SELECT EventClass, ObjectName FROM sys.fn_trace_gettable(DEFAULT, DEFAULT) \
                   WHERE class_name LIKE 'Deprecation%' ORDER BY EventSequence";
    assert_eq!(
        bench.rows(0, notices),
        [
            ["126", "Deprecated encryption algorithm"],
            ["125", "DATABASE_MIRRORING"]
        ]
    );
}
