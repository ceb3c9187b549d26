//! Every statement of the reference, and every error as it is shown.

mod properties;

use std::net::IpAddr;

use super::*;
use crate::types::{Permission, Safety};

fn statements(batch: &str) -> Vec<Statement> {
    match parse(batch) {
        Ok(statements) => statements.into_iter().map(|statement| statement.node).collect(),
        Err(error) => panic!("{}", render_error(batch, &error)),
    }
}

fn statement(batch: &str) -> Statement {
    let mut all = statements(batch);
    assert_eq!(all.len(), 1, "{batch}");
    all.remove(0)
}

fn name(text: &str) -> Name {
    let span = parse(text).unwrap_err().at.unwrap();
    Name {
        text: text.to_owned(),
        span,
    }
}

fn create(batch: &str) -> CreateEndpoint {
    match statement(batch) {
        Statement::CreateEndpoint(endpoint) => endpoint,
        other => panic!("{other:?}"),
    }
}

fn number(batch: &str) -> u32 {
    match parse(batch) {
        Ok(statements) => panic!("{batch} is {statements:?}"),
        Err(error) => error.number,
    }
}

/// The recipe for certificates, outbound and inbound, as the manual gives it.
const RECIPE: &str = "\
USE master;
CREATE MASTER KEY ENCRYPTION BY PASSWORD = '<1_Strong_Password!>';
GO
CREATE CERTIFICATE HOST_A_cert
   WITH SUBJECT = 'HOST_A certificate for database mirroring', EXPIRY_DATE = '20301031';
GO
CREATE ENDPOINT Endpoint_Mirroring
   STATE = STARTED
   AS TCP (
      LISTENER_PORT=7024
      , LISTENER_IP = ALL
   )
   FOR DATABASE_MIRRORING (
      AUTHENTICATION = CERTIFICATE HOST_A_cert
      , ENCRYPTION = REQUIRED ALGORITHM AES
      , ROLE = ALL
   );
GO
BACKUP CERTIFICATE HOST_A_cert TO FILE = 'C:\\HOST_A_cert.cer';
GO
CREATE LOGIN HOST_B_login WITH PASSWORD = '1Sample_Strong_Password!@#';
CREATE USER HOST_B_user FOR LOGIN HOST_B_login;
CREATE CERTIFICATE HOST_B_cert AUTHORIZATION HOST_B_user FROM FILE = 'C:\\HOST_B_cert.cer'
GRANT CONNECT ON ENDPOINT::Endpoint_Mirroring TO [HOST_B_login];
GO
ALTER DATABASE AdventureWorks SET PARTNER = 'TCP://HOST_B.Mydomain.Corp.Adventure-Works.com:7024'
GO
";

#[test]
fn the_recipe_for_certificates_parses() {
    let titles: Vec<&str> = split_batches(RECIPE)
        .iter()
        .flat_map(|batch| statements(&batch.text))
        .map(|statement| statement.title())
        .collect();
    assert_eq!(
        titles,
        [
            "USE",
            "CREATE MASTER KEY",
            "CREATE CERTIFICATE",
            "CREATE ENDPOINT",
            "BACKUP CERTIFICATE",
            "CREATE LOGIN",
            "CREATE USER",
            "CREATE CERTIFICATE",
            "GRANT",
            "ALTER DATABASE"
        ]
    );
    let endpoint = create(&split_batches(RECIPE)[2].text);
    assert_eq!(endpoint.name, name("Endpoint_Mirroring"));
    assert_eq!(endpoint.state, Some(EndpointState::Started));
    assert_eq!(
        (endpoint.listener_port, endpoint.listener_ip),
        (7024, Some(ListenerIp::All))
    );
    assert_eq!(
        endpoint.payload,
        CreatePayload::DatabaseMirroring {
            options: TransportOptions {
                authentication: Some(Authentication::Certificate(name("HOST_A_cert"))),
                encryption: Some(Encryption::Required(Some(Algorithm::Aes))),
            },
            role: EndpointRole::All,
        }
    );
}

#[test]
fn the_test_vectors_of_the_endpoint_view_parse() {
    let plain = create("CREATE ENDPOINT e AS TCP (LISTENER_PORT=7022) FOR DATABASE_MIRRORING (ROLE=PARTNER)");
    assert_eq!((plain.state, plain.listener_ip), (None, None));
    let odd = create(
        "create endpoint e authorization [DOM\\dba] state=disabled as tcp (listener_ip=(10.0.75.1) listener_port=5022)
         for database_mirroring (authentication=certificate c windows ntlm encryption=disabled role=witness)",
    );
    assert_eq!(odd.authorization.as_ref().map(Name::as_str), Some("DOM\\dba"));
    assert_eq!(
        odd.listener_ip,
        Some(ListenerIp::Address(IpAddr::from([10, 0, 75, 1])))
    );
    assert_eq!(
        odd.payload,
        CreatePayload::DatabaseMirroring {
            options: TransportOptions {
                authentication: Some(Authentication::CertificateThenWindows(
                    name("c"),
                    WindowsMethod::Ntlm
                )),
                encryption: Some(Encryption::Disabled),
            },
            role: EndpointRole::Witness,
        }
    );
    for ip in ["('::1')", "(\"::1\")", "(N'::1')"] {
        let v6 = create(&format!(
            "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 7022, LISTENER_IP = {ip}) FOR DATABASE_MIRRORING (ROLE = ALL)"
        ));
        assert_eq!(v6.listener_ip, Some(ListenerIp::Address("::1".parse().unwrap())));
    }
}

#[test]
fn endpoints_are_altered_in_part() {
    let alter = |tail: &str| match statement(&format!("ALTER ENDPOINT e {tail}")) {
        Statement::AlterEndpoint(alter) => alter,
        other => panic!("{other:?}"),
    };
    let state = alter("STATE = STOPPED");
    assert_eq!((state.state, state.payload), (Some(EndpointState::Stopped), None));
    let port = alter("STATE = STARTED AS TCP (LISTENER_PORT = 5022) FOR database_mirroring (ROLE = ALL)");
    assert_eq!(port.listener_port, Some(5022));
    let encryption = alter("FOR DATABASE_MIRRORING (ENCRYPTION = SUPPORTED ALGORITHM RC4 AES)");
    assert_eq!(
        encryption.payload,
        Some(AlterPayload::DatabaseMirroring {
            options: TransportOptions {
                authentication: None,
                encryption: Some(Encryption::Supported(Some(Algorithm::Rc4Aes))),
            },
            role: None,
        })
    );
}

#[test]
fn other_payloads_are_recognised() {
    let tsql = create("CREATE ENDPOINT t STATE = STARTED AS TCP (LISTENER_PORT = 5555) FOR TSQL ()");
    assert_eq!(tsql.payload, CreatePayload::Tsql);
    let broker = create(
        "CREATE ENDPOINT b AS TCP (LISTENER_PORT = 4022) FOR SERVICE_BROKER
         (AUTHENTICATION = WINDOWS, MESSAGE_FORWARDING = ENABLED, MESSAGE_FORWARD_SIZE = 10)",
    );
    assert_eq!(
        broker.payload,
        CreatePayload::ServiceBroker(BrokerOptions {
            transport: TransportOptions {
                authentication: Some(Authentication::Windows(WindowsMethod::Negotiate)),
                encryption: None,
            },
            message_forwarding: Some(true),
            message_forward_size: Some(10),
        })
    );
}

#[test]
fn every_other_form_of_the_reference_parses() {
    for batch in [
        "DROP MASTER KEY",
        "OPEN MASTER KEY DECRYPTION BY PASSWORD = 'p'",
        "CLOSE MASTER KEY",
        "ALTER MASTER KEY REGENERATE WITH ENCRYPTION BY PASSWORD = 'p'",
        "ALTER MASTER KEY FORCE REGENERATE WITH ENCRYPTION BY PASSWORD = 'p'",
        "ALTER MASTER KEY ADD ENCRYPTION BY PASSWORD = 'p'",
        "ALTER MASTER KEY ADD ENCRYPTION BY SERVICE MASTER KEY",
        "ALTER MASTER KEY DROP ENCRYPTION BY PASSWORD = 'p'",
        "ALTER MASTER KEY DROP ENCRYPTION BY SERVICE MASTER KEY",
        "ALTER CERTIFICATE c REMOVE PRIVATE KEY",
        "ALTER CERTIFICATE c WITH PRIVATE KEY (FILE = 'k', DECRYPTION BY PASSWORD = 'p')",
        "ALTER CERTIFICATE c WITH PRIVATE KEY (DECRYPTION BY PASSWORD = 'p', ENCRYPTION BY PASSWORD = 'q')",
        "ALTER CERTIFICATE c WITH ACTIVE FOR BEGIN_DIALOG = OFF",
        "CREATE CERTIFICATE c ENCRYPTION BY PASSWORD = 'p' WITH SUBJECT = N's', START_DATE = '2026-01-31T12:00:00'
           ACTIVE FOR BEGIN_DIALOG = OFF",
        "CREATE CERTIFICATE c FROM FILE = 'f' WITH PRIVATE KEY (FILE = 'k', DECRYPTION BY PASSWORD = 'p', ENCRYPTION BY PASSWORD = 'q')",
        "CREATE CERTIFICATE c FROM ASSEMBLY a",
        "CREATE CERTIFICATE c FROM EXECUTABLE FILE = 'f'",
        "CREATE CERTIFICATE c FROM BINARY = 0x30820 WITH PRIVATE KEY (BINARY = 0xAB)",
        "BACKUP CERTIFICATE c TO FILE = 'f' WITH PRIVATE KEY (FILE = 'k', ENCRYPTION BY PASSWORD = 'p')",
        "DROP CERTIFICATE c",
        "CREATE LOGIN l WITH PASSWORD = 0xAB HASHED, SID = 0x01, CHECK_POLICY = OFF, DEFAULT_DATABASE = [master]",
        "CREATE LOGIN l WITH PASSWORD = 'p' MUST_CHANGE, CHECK_EXPIRATION = ON, CREDENTIAL = c",
        "CREATE LOGIN [DOM\\HOST$] FROM WINDOWS WITH DEFAULT_DATABASE = master, DEFAULT_LANGUAGE = us_english",
        "CREATE LOGIN l FROM CERTIFICATE c",
        "CREATE LOGIN l FROM ASYMMETRIC KEY k",
        "ALTER LOGIN l DISABLE",
        "DROP LOGIN [DOM\\x]",
        "CREATE USER u",
        "CREATE USER u FROM LOGIN l WITH DEFAULT_SCHEMA = dbo",
        "DROP USER u",
        "GRANT ALTER, CONNECT, CONTROL, TAKE OWNERSHIP, VIEW DEFINITION ON ENDPOINT::e TO a, [b] WITH GRANT OPTION AS sa",
        "DENY CONNECT ON ENDPOINT::[my endpoint] TO a CASCADE AS sa",
        "REVOKE GRANT OPTION FOR CONNECT ON ENDPOINT::e TO a CASCADE",
        "REVOKE CONNECT ON ENDPOINT::e FROM a",
        "GRANT CREATE ENDPOINT, ALTER ANY ENDPOINT, control server TO a WITH GRANT OPTION",
        "DENY IMPERSONATE, VIEW DEFINITION ON LOGIN::[D\\l] TO public",
        "REVOKE CONNECT SQL TO a",
        "ALTER SERVER ROLE securityadmin ADD MEMBER a",
        "ALTER SERVER ROLE [sysadmin] DROP MEMBER a",
        "ALTER AUTHORIZATION ON ENDPOINT::e TO sa",
        "ALTER AUTHORIZATION ON CERTIFICATE::c TO u",
        "DROP ENDPOINT e",
        "CREATE DATABASE sales",
        "DROP DATABASE sales",
        "ALTER DATABASE sales SET PARTNER FAILOVER",
        "ALTER DATABASE sales SET PARTNER FORCE_SERVICE_ALLOW_DATA_LOSS",
        "ALTER DATABASE sales SET PARTNER OFF",
        "ALTER DATABASE sales SET PARTNER SUSPEND",
        "ALTER DATABASE sales SET PARTNER RESUME",
        "ALTER DATABASE sales SET WITNESS = 'TCP://gamma:7022'",
        "ALTER DATABASE sales SET WITNESS OFF",
        "ALTER DATABASE sales SET RECOVERY BULK_LOGGED",
        "BACKUP DATABASE sales TO DISK = N'/b/sales.bak' WITH FORMAT, COMPRESSION, STATS = 10, NAME = 'full'",
        "BACKUP LOG sales TO DISK = '/b/sales.trn' WITH NORECOVERY",
        "RESTORE DATABASE sales FROM DISK = 'x' WITH NORECOVERY, REPLACE, FILE = 1, MOVE 'a' TO 'b'",
        "RESTORE LOG sales FROM DISK = 'x' WITH NORECOVERY",
        "RESTORE DATABASE sales WITH RECOVERY",
        "CREATE TABLE dbo.t (id BIGINT NOT NULL PRIMARY KEY CLUSTERED, v INT NOT NULL)",
        "BEGIN TRAN",
        "COMMIT WORK",
        "ROLLBACK TRANSACTION",
        "INSERT t VALUES (1, -2)",
        "DELETE t WHERE id = 3",
        "PRINT N'done'",
        "SELECT TOP (1) name FROM sys.databases",
    ] {
        statement(batch);
    }
    assert_eq!(
        statement("ALTER DATABASE [sales] SET PARTNER SAFETY OFF"),
        Statement::AlterDatabase {
            name: name("sales"),
            change: DatabaseChange::Partner(PartnerOption::Safety(Safety::Off)),
        }
    );
    assert_eq!(
        statement("ALTER DATABASE sales SET PARTNER TIMEOUT 20"),
        Statement::AlterDatabase {
            name: name("sales"),
            change: DatabaseChange::Partner(PartnerOption::Timeout(20)),
        }
    );
    for (limit, megabytes) in [("10 MB", Some(10)), ("unlimited", None), ("-1 MB", Some(-1))] {
        assert_eq!(
            statement(&format!("ALTER DATABASE sales SET PARTNER REDO_QUEUE ({limit})")),
            Statement::AlterDatabase {
                name: name("sales"),
                change: DatabaseChange::Partner(PartnerOption::RedoQueue(megabytes)),
            }
        );
    }
    for (tail, norecovery) in [("WITH NORECOVERY", true), ("WITH RECOVERY", false), ("", false)] {
        match statement(&format!("RESTORE LOG sales FROM DISK = 'x' {tail}")) {
            Statement::Restore(restore) => assert_eq!(restore.norecovery, norecovery, "{tail}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn rows_are_changed_by_key() {
    match statement("INSERT INTO sales.dbo.[my ]]table] (id, v) VALUES (1, 2), (-9223372036854775808, NULL)")
    {
        Statement::Insert(insert) => {
            assert_eq!(insert.table.name.as_str(), "my ]table");
            assert_eq!(insert.table.database, Some(name("sales")));
            assert_eq!(insert.rows, [[Some(1), Some(2)], [Some(i64::MIN), None]]);
        }
        other => panic!("{other:?}"),
    }
    let column = |plus| NewValue::Column {
        column: name("v"),
        plus,
    };
    for (assignment, to) in [
        ("v = 5", NewValue::Literal(5)),
        ("v = -5", NewValue::Literal(-5)),
        ("v = v", column(0)),
        ("v = v + 5", column(5)),
        ("v = v - 5", column(-5)),
        ("v = 5 + v", column(5)),
        ("v += 5", column(5)),
        ("v -= 5", column(-5)),
    ] {
        match statement(&format!("UPDATE t SET {assignment} WHERE id = 1")) {
            Statement::Update(update) => {
                assert_eq!(update.to, to, "{assignment}");
                assert_eq!(update.filter.map(|filter| filter.key), Some(1));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn statements_need_no_semicolons() {
    let batch = "SELECT 1 SELECT name FROM sys.databases UNION ALL SELECT 'x' BEGIN TRAN UPDATE t SET v = 1
        COMMIT WITH a AS (SELECT 1 AS x) SELECT x FROM a;; PRINT 'end'";
    let titles: Vec<&str> = statements(batch).iter().map(Statement::title).collect();
    assert_eq!(
        titles,
        [
            "SELECT",
            "SELECT",
            "BEGIN TRANSACTION",
            "UPDATE",
            "COMMIT TRANSACTION",
            "SELECT",
            "PRINT"
        ]
    );
    let spans = parse(batch).unwrap();
    assert_eq!(&batch[spans[0].span.start..spans[0].span.end], "SELECT 1");
    assert_eq!(spans[4].span.line, 2);
}

#[test]
fn passwords_are_not_shown() {
    let login = statement("CREATE LOGIN l WITH PASSWORD = 'hunter2'");
    assert!(!format!("{login:?}").contains("hunter2"));
    match login {
        Statement::CreateLogin(CreateLogin {
            source: LoginSource::Password { password, .. },
            ..
        }) => assert_eq!(password.reveal(), "hunter2"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn errors_are_shown_at_their_place() {
    let errors = [
        "CREATE ENDPOINT e\n  STATE = STARTED\n  AS TCP (LISTENER_PORT = 99999)\n  FOR DATABASE_MIRRORING (ROLE = ALL)",
        "CREATE ENDPOINT e AS TCP (LISTENER_IP = ALL) FOR DATABASE_MIRRORING (ROLE = ALL)",
        "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (AUTHENTICATION = WINDOWS)",
        "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 7022, LISTENER_PORT = 7023) FOR DATABASE_MIRRORING (ROLE = ALL)",
        "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 7022,) FOR DATABASE_MIRRORING (ROLE = ALL)",
        "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 7022, LISTENER_IP = (10.0.0)) FOR DATABASE_MIRRORING (ROLE = ALL)",
        "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (ENCRYPTION = DISABLED ALGORITHM AES, ROLE = ALL)",
        "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (AUTHENTICATION = WINDOWS WINDOWS, ROLE = ALL)",
        "CREATE ENDPOINT e AS HTTP (PATH = '/x', PORTS = (CLEAR)) FOR DATABASE_MIRRORING (ROLE = ALL)",
        "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 7022) FOR SOAP ()",
        "ALTER ENDPOINT e AUTHORIZATION sa STATE = STARTED",
        "ALTER ENDPOINT e",
        "ALTER ENDPOINT e AS TCP () FOR DATABASE_MIRRORING ()",
        "ALTER ENDPOINT e AS HTTP (PATH = '/')",
        "CREATE ENDPOINT select",
        "CREATE ENDPOINT",
        "GRANT CONNECT ON ENDPOINT e TO x",
        "GRANT SELECT ON t TO x",
        "ALTER DATABASE sales SET PARTNER",
        "ALTER DATABASE sales SET PARTNER = TCP",
        "ALTER DATABASE sales SET ONLINE",
        "CREATE CERTIFICATE c WITH SUBJECT = 's', EXPIRY_DATE = '31/31/2026'",
        "PRINT 'never closed",
        "PRINT 1 /* never closed",
        "PRINT 'é' [never closed",
        "PRINT 'a' ?",
        "DECLARE @x int = 1",
        "EXEC sp_who",
        "CREATE AVAILABILITY GROUP ag",
        "CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(20))",
        "INSERT INTO t VALUES (1, 2), (3)",
        "INSERT INTO t VALUES (1, 99999999999999999999)",
        "UPDATE t SET v = v * 2",
        "DELETE FROM t",
        "SELECT FROM sys.databases",
        "SELECT name sys.databases WHERE",
        "SELECT (1",
        "NONSENSE",
        "42",
    ];
    let shown: Vec<String> = errors
        .into_iter()
        .map(|batch| match parse(batch) {
            Ok(statements) => panic!("{batch} is {statements:?}"),
            Err(error) => render_error(batch, &error),
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn a_script_error_is_drawn_in_the_script() {
    let script = "USE master\nGO\nPRINT 'a'\nDROP NOTHING\nGO\n";
    let batch = &split_batches(script)[1];
    let error = batch.in_script(parse(&batch.text).unwrap_err());
    let shown = render_error(script, &error);
    assert!(shown.contains("4 │ DROP NOTHING"), "{shown}");
}

#[test]
fn ports_have_bounds() {
    let port = |port: &str| {
        format!("CREATE ENDPOINT e AS TCP (LISTENER_PORT = {port}) FOR DATABASE_MIRRORING (ROLE = ALL)")
    };
    for bad in ["1023", "65536", "0", "-5022", "99999999999999999999"] {
        assert_eq!(number(&port(bad)), 7810, "{bad}");
    }
    for good in ["1024", "32767"] {
        create(&port(good));
    }
    assert_eq!(number(&port("'7022'")), 102);
    assert_eq!(number(&port("7022.5")), 102);
}

#[test]
fn large_and_deep_batches_are_refused() {
    assert_eq!(number(&" ".repeat(BATCH_BYTES_MAX + 1)), 8631);
    assert_eq!(
        number(&format!("USE [{}]", "x".repeat(IDENTIFIER_CHARS_MAX + 1))),
        103
    );
    assert_eq!(number(&format!("SELECT {}1", "(".repeat(100_000))), 191);
    assert_eq!(number(&format!("SELECT 1{}", " + 1".repeat(100_000))), 191);
    assert_eq!(
        number(&format!("SELECT 1{}", " UNION SELECT 1".repeat(10_000))),
        191
    );
    assert_eq!(
        number(&format!("SELECT {}1{}", "(".repeat(100), ")".repeat(100))),
        191
    );
    assert_eq!(
        number(&format!("CREATE ENDPOINT e AS HTTP {}", "(".repeat(200_000))),
        102
    );
    let rows: Vec<String> = (0..50_000).map(|n| format!("({n}, {n})")).collect();
    match statement(&format!("INSERT INTO t VALUES {}", rows.join(", "))) {
        Statement::Insert(insert) => assert_eq!(insert.rows.len(), 50_000),
        other => panic!("{other:?}"),
    }
}

#[test]
fn reserved_words_are_names_in_brackets_only() {
    assert_eq!(number("USE select"), 156);
    assert_eq!(statement("USE [select]"), statement("USE \"select\""));
    assert_eq!(number("USE []"), 102);
    assert_eq!(number("USE @x"), 102);
}
