//! What follows `WITH` in the statements of logins and users.

use super::*;

const SHOWN: &str = "SELECT name, sid, default_database_name, default_language_name FROM sys.server_principals WHERE principal_id > 256";

#[test]
fn options_of_a_login_are_in_the_view_and_wrong_ones_change_nothing() {
    let mut bench = Bench::with_clients(1);
    assert_eq!(bench.run(0, "CREATE DATABASE Sales"), 0);
    let sid = "0x00112233445566778899AABBCCDDEEFF";
    for (options, number) in [
        ("SID = 0x01", 15419),
        ("DEFAULT_DATABASE = Other", 15010),
        ("DEFAULT_LANGUAGE = Klingon", 15033),
        ("CREDENTIAL = c", 15151),
        ("CHECK_EXPIRATION = ON, CHECK_POLICY = OFF", 15122),
        ("SID = 0x01, SID = 0x02", 7816),
    ] {
        let sql = format!("CREATE LOGIN a WITH PASSWORD = 'p', {options}");
        assert_eq!(bench.run(0, &sql), number, "{options}");
    }
    assert_eq!(
        bench.run(0, "CREATE LOGIN a WITH PASSWORD = 'p' MUST_CHANGE"),
        15099
    );
    assert_eq!(bench.rows(0, SHOWN), Vec::<Vec<String>>::new());
    let create = format!(
        "CREATE LOGIN a WITH PASSWORD = 'p' MUST_CHANGE, SID = {sid}, DEFAULT_DATABASE = SALES, DEFAULT_LANGUAGE = German, \
         CHECK_EXPIRATION = ON, CHECK_POLICY = ON"
    );
    assert_eq!(bench.run(0, &create), 0);
    assert_eq!(bench.rows(0, SHOWN), [["a", sid, "Sales", "Deutsch"]]);
    let again = format!("CREATE LOGIN b WITH PASSWORD = 'p', SID = {sid}");
    assert_eq!(bench.run(0, &again), 15433);
    let alter =
        "ALTER LOGIN a WITH DEFAULT_DATABASE = master, DEFAULT_LANGUAGE = British, PASSWORD = 'q' UNLOCK";
    assert_eq!(bench.run(0, alter), 0);
    assert_eq!(bench.rows(0, SHOWN), [["a", sid, "master", "British"]]);
    assert_eq!(bench.run(0, "CREATE USER a WITH DEFAULT_SCHEMA = own"), 0);
    let schema = "SELECT default_schema_name FROM sys.database_principals WHERE name = 'a'";
    assert_eq!(bench.rows(0, schema), [["own"]]);
}

/// Who names no database begins in the default one, and nowhere if that cannot be used.
#[test]
fn a_client_begins_in_its_default_database() {
    let mut bench = Bench::with_clients(1);
    for statement in [
        "CREATE DATABASE Sales",
        "CREATE LOGIN a WITH PASSWORD = 'p', DEFAULT_DATABASE = Sales",
    ] {
        assert_eq!(bench.run(0, statement), 0, "{statement}");
    }
    assert_eq!(bench.refused("a"), Some(4064), "it may not use the database");
    assert_eq!(bench.run(0, "ALTER SERVER ROLE sysadmin ADD MEMBER a"), 0);
    let a = bench.client_as("a");
    assert_eq!(bench.rows(a, "SELECT DB_NAME()"), [["Sales"]]);
    assert_eq!(bench.run(a, "USE master"), 0);
    assert_eq!(bench.run(0, "DROP DATABASE Sales"), 0);
    assert_eq!(bench.refused("a"), Some(4064), "it is gone");
    assert_eq!(bench.run(0, "ALTER LOGIN a WITH DEFAULT_DATABASE = master"), 0);
    assert_eq!(bench.refused("a"), None);
}

#[test]
fn a_renamed_login_stays_who_it_was() {
    let mut bench = Bench::with_clients(1);
    for statement in [
        "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (ROLE = ALL)",
        "CREATE LOGIN a WITH PASSWORD = 'p'",
        "CREATE LOGIN b WITH PASSWORD = 'p'",
        "CREATE USER u FOR LOGIN a",
        "GRANT CONNECT ON ENDPOINT::e TO a WITH GRANT OPTION",
        "GRANT VIEW DEFINITION ON LOGIN::a TO b",
        "GRANT CONNECT ON ENDPOINT::e TO b AS a",
        "ALTER AUTHORIZATION ON ENDPOINT::e TO a",
    ] {
        assert_eq!(bench.run(0, statement), 0, "{statement}");
    }
    let a = bench.client_as("a");
    let owned = "SELECT p.name, p.sid FROM sys.endpoints e JOIN sys.server_principals p ON p.principal_id = e.principal_id \
                 WHERE e.type = 4";
    let before = bench.rows(0, owned);
    let granted = "SELECT permission_name, major_id, grantee_principal_id, grantor_principal_id FROM sys.server_permissions";
    let permissions = bench.rows(0, granted);
    for (statement, number) in [
        ("ALTER LOGIN a WITH NAME = B", 15025),
        ("ALTER LOGIN sa WITH NAME = c", 40517),
        ("ALTER LOGIN other WITH NAME = c", 15151),
        ("ALTER LOGIN a WITH NAME = c", 0),
        ("ALTER LOGIN a WITH NAME = d", 15151),
        ("CREATE LOGIN a WITH PASSWORD = 'p'", 0),
    ] {
        assert_eq!(bench.run(0, statement), number, "{statement}");
    }
    let after = bench.rows(0, owned);
    assert_eq!((after[0][0].as_str(), &after[0][1]), ("c", &before[0][1]));
    let with_login = permissions.len() + 1;
    let now = bench.rows(0, granted);
    assert_eq!(now.len(), with_login, "CONNECT SQL of the new a");
    assert!(permissions.iter().all(|row| now.contains(row)), "{now:?}");
    assert_eq!(bench.rows(a, "SELECT SUSER_SNAME()"), [["c"]]);
    assert_eq!(
        bench.run(a, "ALTER ENDPOINT e STATE = STOPPED"),
        0,
        "still the owner"
    );
    let user = "SELECT l.name FROM sys.database_principals u JOIN sys.server_principals l ON l.sid = u.sid WHERE u.name = 'u'";
    assert_eq!(bench.rows(0, user), [["c"]]);
}
