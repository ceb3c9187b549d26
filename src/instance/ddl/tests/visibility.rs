//! Who sees which databases and sessions.

use super::*;

const MIRRORING: &str = "SELECT database_id, mirroring_role_desc, mirroring_partner_name, mirroring_end_of_log_lsn \
                         FROM sys.database_mirroring";
const DATABASES: &str = "SELECT name FROM sys.databases";

fn ids(bench: &mut Bench, client: usize) -> Vec<String> {
    bench
        .rows(client, MIRRORING)
        .iter()
        .map(|row| row[0].clone())
        .collect()
}

#[test]
fn a_database_is_seen_by_who_may_view_alter_or_create_any() {
    let mut bench = Bench::with_clients(1);
    for statement in ["CREATE DATABASE Sales", "CREATE LOGIN a WITH PASSWORD = 'p'"] {
        assert_eq!(bench.run(0, statement), 0, "{statement}");
    }
    let a = bench.client_as("a");
    assert_eq!(ids(&mut bench, a), ["1", "5"], "public holds VIEW ANY DATABASE");
    assert_eq!(bench.rows(a, DATABASES), [["master"], ["Sales"]]);
    assert_eq!(bench.run(0, "REVOKE VIEW ANY DATABASE FROM public"), 0);
    assert_eq!(ids(&mut bench, a), ["1"]);
    assert_eq!(bench.rows(a, DATABASES), [["master"]]);
    for permission in [
        "VIEW ANY DATABASE",
        "ALTER ANY DATABASE",
        "CREATE ANY DATABASE",
        "VIEW ANY DEFINITION",
        "CONTROL SERVER",
    ] {
        assert_eq!(bench.run(0, &format!("GRANT {permission} TO a")), 0);
        assert_eq!(ids(&mut bench, a), ["1", "5"], "{permission}");
        assert_eq!(bench.rows(a, DATABASES).len(), 2, "{permission}");
        assert_eq!(bench.run(0, &format!("REVOKE {permission} FROM a")), 0);
        assert_eq!(ids(&mut bench, a), ["1"], "{permission}");
    }
    assert_eq!(bench.run(0, "GRANT VIEW ANY DATABASE TO a"), 0);
    assert_eq!(bench.run(0, "DENY VIEW ANY DATABASE TO public"), 0);
    assert_eq!(ids(&mut bench, a), ["1"], "what is denied is not held");
    assert_eq!(
        ids(&mut bench, 0),
        ["1", "5"],
        "but nothing is denied to sysadmin"
    );
}

#[test]
fn what_public_may_see_outlives_a_restart() {
    let mut bench = Bench::with_clients(1);
    for statement in [
        "CREATE DATABASE Sales",
        "CREATE LOGIN a WITH PASSWORD = 'p'",
        "REVOKE VIEW ANY DATABASE FROM public",
    ] {
        assert_eq!(bench.run(0, statement), 0, "{statement}");
    }
    let mut bench = bench.restarted();
    bench.answer_all();
    let a = bench.client_as("a");
    assert_eq!(bench.rows(a, DATABASES), [["master"]]);
}

/// The page's last sentence on permissions: to see more than NULL of a mirror one must be a sysadmin.
#[test]
fn of_a_mirror_copy_only_a_sysadmin_sees_more_than_the_id() {
    let mut bench = waiting_mirror(1);
    for statement in [
        SET_PARTNER,
        "CREATE LOGIN a WITH PASSWORD = 'p'",
        "GRANT CONTROL SERVER TO a",
    ] {
        assert_eq!(bench.run(0, statement), 0, "{statement}");
    }
    let a = bench.client_as("a");
    let copy = |bench: &mut Bench, client| bench.rows(client, MIRRORING).remove(1);
    let seen = copy(&mut bench, 0);
    assert_eq!(seen[..3], ["5", "MIRROR", "TCP://beta:7022"]);
    assert_ne!(seen[3], "NULL");
    assert_eq!(copy(&mut bench, a), ["5", "NULL", "NULL", "NULL"]);
    assert_eq!(bench.run(0, "ALTER SERVER ROLE sysadmin ADD MEMBER a"), 0);
    assert_eq!(copy(&mut bench, a), seen);
}

#[test]
fn databases_are_created_and_altered_by_who_may_create_and_alter_any() {
    let mut bench = Bench::with_clients(1);
    for statement in [
        "CREATE LOGIN a WITH PASSWORD = 'p'",
        "GRANT CREATE ANY DATABASE TO a",
    ] {
        assert_eq!(bench.run(0, statement), 0, "{statement}");
    }
    let a = bench.client_as("a");
    let simple = "ALTER DATABASE Sales SET RECOVERY SIMPLE";
    assert_eq!(bench.run(a, "CREATE DATABASE Sales"), 0);
    assert_eq!(bench.run(a, simple), 5011);
    assert_eq!(bench.run(a, "DROP DATABASE Sales"), 15151);
    assert_eq!(bench.run(0, "GRANT ALTER ANY DATABASE TO a"), 0);
    assert_eq!(bench.run(a, simple), 0);
    assert_eq!(bench.run(a, "DROP DATABASE Sales"), 0);
}
