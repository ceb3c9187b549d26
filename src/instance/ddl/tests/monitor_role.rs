//! Users of `msdb` and its role `dbm_monitor`: who is in it, and what that lets a login do.

use super::procedures::{call, mirror};
use super::*;

const RESULTS: &str = "EXEC msdb..sp_dbmmonitorresults Sales";
const TABLE: &str = "SELECT role FROM msdb.dbo.dbm_monitor_data";
const MEMBERS: &str = "USE msdb SELECT USER_NAME(role_principal_id), USER_NAME(member_principal_id) \
                       FROM sys.database_role_members";
const USERS: &str = "USE msdb SELECT name, type FROM sys.database_principals";

/// A mirror whose monitor has one row, and a login `watcher` without permissions; its client.
fn watched() -> (Bench, usize) {
    let mut bench = Bench::with_clients(1);
    assert_eq!(bench.run(0, "CREATE DATABASE Sales"), 0);
    mirror(&mut bench);
    for sql in [
        "EXEC msdb..sp_dbmmonitorupdate",
        "CREATE LOGIN watcher WITH PASSWORD = 'p'",
    ] {
        assert_eq!(bench.run(0, sql), 0, "{sql}");
    }
    let watcher = bench.client_as("watcher");
    (bench, watcher)
}

fn member(bench: &mut Bench) {
    for sql in [
        "USE msdb CREATE USER w FOR LOGIN watcher",
        "ALTER ROLE dbm_monitor ADD MEMBER w",
    ] {
        assert_eq!(bench.run(0, sql), 0, "{sql}");
    }
}

#[test]
fn a_member_reads_the_history_and_does_nothing_else() {
    let (mut bench, watcher) = watched();
    assert_eq!(bench.run(watcher, RESULTS), 21089);
    assert_eq!(bench.run(watcher, TABLE), 21089);
    assert_eq!(bench.run(0, "USE msdb CREATE USER w FOR LOGIN watcher"), 0);
    assert_eq!(bench.run(watcher, RESULTS), 21089, "a user is no member yet");
    assert_eq!(bench.run(0, "ALTER ROLE DBM_Monitor ADD MEMBER W"), 0);
    assert_eq!(call(&mut bench, watcher, RESULTS).unwrap().len(), 1);
    assert_eq!(call(&mut bench, watcher, TABLE).unwrap(), ["1"]);
    for sql in [
        "EXEC msdb..sp_dbmmonitorupdate",
        "EXEC msdb..sp_dbmmonitoraddmonitoring",
        "EXEC msdb..sp_dbmmonitorchangemonitoring 1, 5",
        "EXEC msdb..sp_dbmmonitordropmonitoring",
        "EXEC msdb..sp_dbmmonitorhelpmonitoring",
        "EXEC msdb..sp_dbmmonitorchangealert Sales, 1, 30",
        "EXEC msdb..sp_dbmmonitordropalert Sales",
        "EXEC msdb..sp_dbmmonitorhelpalert Sales",
    ] {
        assert_eq!(bench.run(watcher, sql), 21089, "{sql}");
    }
    for (sql, number) in [
        ("USE msdb CREATE USER x FOR LOGIN watcher", 15247),
        ("USE msdb ALTER ROLE dbm_monitor DROP MEMBER w", 15151),
        ("USE msdb EXEC sp_droprolemember dbm_monitor, w", 15247),
        ("USE msdb DROP USER w", 15151),
        ("EXEC sp_readerrorlog", 229),
        ("USE Sales", 916),
    ] {
        assert_eq!(bench.run(watcher, sql), number, "{sql}");
    }
}

#[test]
fn a_member_does_not_refresh_what_it_reads() {
    let (mut bench, watcher) = watched();
    member(&mut bench);
    bench.at = Timestamp::from_secs(60);
    let asks = "EXEC msdb..sp_dbmmonitorresults Sales, 9, 1";
    assert_eq!(call(&mut bench, watcher, asks).unwrap().len(), 1);
    assert_eq!(call(&mut bench, 0, asks).unwrap().len(), 2);
    assert_eq!(call(&mut bench, watcher, asks).unwrap().len(), 2);
}

#[test]
fn who_is_a_member_no_longer_is_refused() {
    for ends in [
        "USE msdb ALTER ROLE dbm_monitor DROP MEMBER w",
        "USE msdb EXEC sp_droprolemember N'dbm_monitor', N'w'",
        "EXEC msdb.dbo.sp_droprolemember @membername = 'W', @rolename = 'DBM_MONITOR'",
        "USE msdb DROP USER w",
    ] {
        let (mut bench, watcher) = watched();
        member(&mut bench);
        assert_eq!(bench.run(watcher, RESULTS), 0, "{ends}");
        assert_eq!(bench.run(0, ends), 0, "{ends}");
        assert_eq!(bench.run(watcher, RESULTS), 21089, "{ends}");
        assert_eq!(
            call(&mut bench, 0, MEMBERS).unwrap(),
            Vec::<String>::new(),
            "{ends}"
        );
    }
}

/// A user is a SID: it goes with a login that is renamed, and not to another login of the old name.
#[test]
fn membership_belongs_to_the_login_and_not_to_its_name() {
    let (mut bench, watcher) = watched();
    assert_eq!(bench.run(0, "USE msdb CREATE USER watcher"), 0);
    assert_eq!(bench.run(0, "EXEC sp_addrolemember 'dbm_monitor', 'watcher'"), 0);
    assert_eq!(bench.run(0, "ALTER LOGIN watcher WITH NAME = guard"), 0);
    assert_eq!(bench.run(watcher, RESULTS), 0);
    assert_eq!(bench.run(0, "CREATE LOGIN watcher WITH PASSWORD = 'p'"), 0);
    let other = bench.client_as("watcher");
    assert_eq!(bench.run(other, RESULTS), 21089);
    assert_eq!(
        call(&mut bench, 0, USERS).unwrap(),
        ["dbo  S", "dbm_monitor  R", "watcher  S"]
    );

    bench.clients.clear();
    let mut bench = bench.restarted();
    bench.connect("sa");
    assert_eq!(call(&mut bench, 0, MEMBERS).unwrap(), ["dbm_monitor  watcher"]);
    assert_eq!(bench.run(0, "DROP LOGIN guard"), 0);
    assert_eq!(
        call(&mut bench, 0, MEMBERS).unwrap(),
        ["dbm_monitor  watcher"],
        "an orphan stays"
    );
    assert_eq!(bench.run(0, "CREATE LOGIN guard WITH PASSWORD = 'p'"), 0);
    let guard = bench.client_as("guard");
    assert_eq!(
        bench.run(guard, TABLE),
        21089,
        "another login, though of the old name"
    );
}

#[test]
fn users_of_msdb_are_its_own() {
    let (mut bench, watcher) = watched();
    assert_eq!(
        bench.run(0, "CREATE USER w FOR LOGIN watcher"),
        0,
        "one of master"
    );
    assert_eq!(call(&mut bench, 0, USERS).unwrap(), ["dbo  S", "dbm_monitor  R"]);
    assert_eq!(bench.run(0, "ALTER ROLE dbm_monitor ADD MEMBER w"), 15151);
    member(&mut bench);
    assert_eq!(bench.run(0, "USE master DROP USER w"), 0);
    assert_eq!(bench.run(watcher, RESULTS), 0);
    assert_eq!(
        call(&mut bench, watcher, USERS).unwrap(),
        ["dbo  S", "dbm_monitor  R", "w  S"],
        "each sees itself"
    );
}

#[test]
fn wrong_statements_have_the_products_numbers() {
    let (mut bench, _) = watched();
    member(&mut bench);
    assert_eq!(bench.run(0, "CREATE LOGIN other WITH PASSWORD = 'p'"), 0);
    for (sql, number) in [
        ("CREATE USER W FOR LOGIN other", 15023),
        ("CREATE USER dbm_monitor FOR LOGIN other", 15023),
        ("CREATE USER dbo FOR LOGIN other", 15023),
        ("CREATE USER x FOR LOGIN nobody", 15007),
        ("CREATE USER nobody", 15007),
        ("CREATE USER x FOR LOGIN watcher", 15063),
        ("CREATE USER x FOR LOGIN sa", 15063),
        ("DROP USER nobody", 15151),
        ("DROP USER dbo", 15150),
        ("ALTER ROLE nobody ADD MEMBER w", 15151),
        ("ALTER ROLE dbm_monitor ADD MEMBER nobody", 15151),
        ("ALTER ROLE dbm_monitor DROP MEMBER nobody", 15151),
        ("ALTER ROLE dbm_monitor ADD MEMBER dbo", 15405),
        ("ALTER ROLE dbm_monitor ADD MEMBER dbm_monitor", 15413),
        ("ALTER ROLE db_owner ADD MEMBER w", 40517),
        ("ALTER ROLE dbm_monitor WITH NAME = m", 40517),
        ("CREATE ROLE r", 40517),
        ("DROP ROLE dbm_monitor", 40517),
        ("EXEC sp_addrolemember 'nobody', 'w'", 15014),
        ("EXEC sp_addrolemember 'dbm_monitor', 'nobody'", 15410),
        ("EXEC sp_droprolemember 'dbm_monitor', 'nobody'", 15410),
        ("EXEC sp_addrolemember 'dbm_monitor', 'dbo'", 15405),
        ("EXEC sp_addrolemember 'dbm_monitor'", 201),
        ("EXEC master..sp_addrolemember 'dbm_monitor', 'w'", 15014),
        ("USE master ALTER ROLE dbm_monitor ADD MEMBER w", 15151),
        ("USE Sales", 954),
    ] {
        assert_eq!(bench.run(0, &format!("USE msdb {sql}")), number, "{sql}");
    }
    // What is so already is no mistake.
    for sql in [
        "USE msdb ALTER ROLE dbm_monitor ADD MEMBER w",
        "ALTER ROLE dbm_monitor DROP MEMBER w",
        "ALTER ROLE dbm_monitor DROP MEMBER w",
    ] {
        assert_eq!(bench.run(0, sql), 0, "{sql}");
    }
}
