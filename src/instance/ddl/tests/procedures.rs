//! System procedures as their callers see them.

use super::*;
use crate::session::{Identity, Partner, Setting};
use crate::types::{DatabaseName, Guid, Lsn, RecoveryPath};

/// What a call answers: its rows, or the number of its error.
pub(super) fn call(bench: &mut Bench, client: usize, sql: &str) -> Result<Vec<String>, u32> {
    bench.begin(client, sql);
    bench.answer_all();
    let reply = bench.clients[client].replies.pop_front().expect("it is answered");
    match reply.error() {
        Some(error) => Err(error.number),
        None => Ok(reply
            .rows()
            .map(|row| row.iter().map(ToString::to_string).collect::<Vec<_>>().join("  "))
            .collect()),
    }
}

/// An endpoint that has begun to listen, and then could not on another port.
fn with_a_log() -> Bench {
    let mut bench = Bench::with_clients(1);
    let create =
        "CREATE ENDPOINT e STATE = STARTED AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (ROLE = ALL)";
    assert_eq!(bench.run(0, create), 0);
    let listener = Listener::Endpoint;
    bench.input(Input::Listening { listener });
    assert_eq!(bench.run(0, "ALTER ENDPOINT e AS TCP (LISTENER_PORT = 7023)"), 0);
    bench.input(Input::ListenFailed {
        listener,
        error: ListenError::AddressInUse,
    });
    bench
}

#[test]
fn the_error_log_is_read_by_text_in_either_order() {
    let mut bench = with_a_log();
    let texts = |rows: Vec<String>| -> Vec<String> {
        rows.iter()
            .map(|row| row.splitn(3, "  ").nth(2).expect("a text").to_owned())
            .collect()
    };
    let all = texts(call(&mut bench, 0, "EXEC sp_readerrorlog").unwrap());
    let numbers: Vec<&String> = all.iter().filter(|text| text.starts_with("Error: ")).collect();
    assert_eq!(
        numbers,
        [
            "Error: 26023, Severity: 16, State: 1.",
            "Error: 9692, Severity: 16, State: 1."
        ]
    );
    assert!(all[0].contains("7022"), "{all:?}");
    for (sql, expected) in [
        (
            "EXEC sp_readerrorlog 0, 1, 'ERROR: ', N'9692'",
            &["Error: 9692, Severity: 16, State: 1."][..],
        ),
        (
            "EXEC master.dbo.xp_readerrorlog 0, 1, N'error:', NULL, NULL, NULL, 'desc'",
            &[
                "Error: 9692, Severity: 16, State: 1.",
                "Error: 26023, Severity: 16, State: 1.",
            ],
        ),
        (
            "EXECUTE sys.sp_readerrorlog @p4 = '26023', @p3 = 'error:'; SELECT 1",
            &["Error: 26023, Severity: 16, State: 1."],
        ),
        ("EXEC xp_readerrorlog 0, 1, NULL, NULL, '2999-01-01'", &[]),
    ] {
        let rows = call(&mut bench, 0, sql).unwrap();
        let rows = if sql.contains("SELECT") {
            rows[..rows.len() - 1].to_vec()
        } else {
            rows
        };
        assert_eq!(texts(rows), expected, "{sql}");
    }
}

#[test]
fn wrong_calls_are_told_apart() {
    let mut bench = with_a_log();
    assert_eq!(bench.run(0, "CREATE LOGIN a WITH PASSWORD = 'p'"), 0);
    assert_eq!(bench.run(0, "CREATE DATABASE Sales"), 0);
    let a = bench.client_as("a");
    for (client, sql, number) in [
        (0, "EXEC sp_readerrorlog 1", 22004),
        (0, "EXEC sp_readerrorlog 0, 2", 22004),
        (0, "EXEC sp_readerrorlog 'x'", 8114),
        (0, "EXEC sp_readerrorlog 0, 1, a, b, c, d, e, f", 8144),
        (0, "EXEC sp_readerrorlog @p9 = 1", 8145),
        (0, "EXEC sp_readerrorlog @p1 = 0, @p1 = 0", 8143),
        (0, "EXEC sp_readerrorlog @p1 = 0, 1", 119),
        (0, "EXEC sp_readerrorlog 0, 1, a, b, 'soon'", 241),
        (0, "EXEC sp_readerrorlog 0, 1, a, b, NULL, NULL, 'up'", 8114),
        (0, "EXEC sp_readerrorlog @log", 102),
        (0, "EXEC sp_readerrorlog 0, @log", 102),
        (0, "EXEC sp_who", 40517),
        (0, "EXEC other.sp_readerrorlog", 40517),
        (0, "EXEC ('SELECT 1')", 102),
        (0, "EXEC", 102),
        (0, "BEGIN TRANSACTION EXEC sp_readerrorlog", 40517),
        (a, "EXEC sp_readerrorlog", 229),
        (a, "EXEC msdb.dbo.sp_dbmmonitorupdate", 21089),
        (0, "EXEC sp_dbmmonitorupdate", 40520),
        (0, "USE msdb EXEC sp_dbmmonitorresults", 201),
        (0, "EXEC msdb.dbo.sp_dbmmonitorresults NULL", 201),
        (0, "EXEC msdb..sp_dbmmonitorresults Nowhere", 911),
        (0, "EXEC msdb..sp_dbmmonitorresults Sales", 1416),
        (0, "EXEC msdb..sp_dbmmonitorresults Sales, 10", 40518),
        (0, "EXEC msdb..sp_dbmmonitoraddmonitoring 121", 40518),
        (0, "EXEC msdb..sp_dbmmonitoraddmonitoring 0", 40518),
        (0, "EXEC msdb..sp_dbmmonitorchangemonitoring 1, 5", 40521),
        (0, "EXEC msdb..sp_dbmmonitorchangemonitoring 2, 5", 40518),
        (0, "EXEC msdb..sp_dbmmonitordropmonitoring", 40521),
        (0, "EXEC msdb..sp_dbmmonitorhelpalert Sales, 6", 1416),
        (0, "USE msdb CREATE TABLE t (id INT PRIMARY KEY, v INT)", 40517),
    ] {
        assert_eq!(call(&mut bench, client, sql).err(), Some(number), "{sql}");
    }
}

#[test]
fn the_monitor_s_job_is_added_changed_and_dropped() {
    let mut bench = Bench::with_clients(1);
    let help = "EXEC msdb.dbo.sp_dbmmonitorhelpmonitoring";
    assert_eq!(call(&mut bench, 0, help).unwrap(), Vec::<String>::new());
    for (sql, period) in [
        ("USE msdb EXEC sp_dbmmonitoraddmonitoring", "1"),
        ("USE msdb EXEC sp_dbmmonitorchangemonitoring 1, 5", "5"),
        (
            "USE msdb EXEC sp_dbmmonitoraddmonitoring @update_period = 120",
            "120",
        ),
    ] {
        assert_eq!(call(&mut bench, 0, sql).unwrap(), Vec::<String>::new(), "{sql}");
        assert_eq!(call(&mut bench, 0, help).unwrap(), [period], "{sql}");
    }
    assert_eq!(
        call(&mut bench, 0, "EXEC msdb..sp_dbmmonitordropmonitoring").unwrap(),
        Vec::<String>::new()
    );
    assert_eq!(call(&mut bench, 0, help).unwrap(), Vec::<String>::new());
}

/// Sales as the mirror of a session that has started.
pub(super) fn mirror(bench: &mut Bench) {
    let identity = Identity { name: "ALPHA".into() };
    let setting = Setting {
        database: DatabaseName::new("Sales"),
        family: Guid::NIL,
        partner: "TCP://beta:7022".parse().unwrap(),
        last_epoch: 1,
        path: RecoveryPath::default(),
        backed_up: Lsn::ZERO,
    };
    let mut record = Partner::waiting_mirror(identity.clone(), setting)
        .record()
        .clone();
    record.started = true;
    let database = bench.instance.databases.get_mut("sales").expect("there");
    database.session = Some(Partner::restore(identity, record));
}

#[test]
fn a_database_that_was_restored_over_begins_a_new_history() {
    let mut bench = Bench::with_clients(1);
    assert_eq!(bench.run(0, "CREATE DATABASE Sales"), 0);
    let fill = "USE Sales CREATE TABLE T (id INT PRIMARY KEY, value INT) USE master";
    assert_eq!(bench.run(0, fill), 0);
    bench.begin(0, "BACKUP DATABASE Sales TO DISK = 'sales.bak'");
    let DiskRequest::WriteFile { bytes, .. } = bench.answer(Ok(DiskReply::Done)) else {
        panic!("the backup is written");
    };
    assert_eq!(bench.number(0), Some(0));

    let (update, rows) = (
        "EXEC msdb..sp_dbmmonitorupdate",
        "SELECT role FROM msdb.dbo.dbm_monitor_data",
    );
    mirror(&mut bench);
    assert_eq!(bench.run(0, update), 0);
    assert_eq!(call(&mut bench, 0, rows).unwrap(), ["1"]);

    bench.instance.databases.get_mut("sales").expect("there").session = None;
    let restore = "RESTORE DATABASE Sales FROM DISK = 'sales.bak' WITH NORECOVERY, REPLACE";
    bench.begin(0, restore);
    bench.answer(Ok(DiskReply::File(bytes)));
    bench.answer_all();
    assert_eq!(bench.number(0), Some(0));

    mirror(&mut bench);
    bench.at = Timestamp::from_secs(60);
    assert_eq!(
        bench.run(0, update),
        0,
        "its counters begin anew, and are compared with nothing older"
    );
    assert_eq!(call(&mut bench, 0, rows).unwrap(), ["1"]);
}

#[test]
fn thresholds_are_kept_for_each_database_and_alert() {
    let mut bench = waiting_mirror(1);
    assert_eq!(bench.run(0, SET_PARTNER), 0);
    let mut ask = |sql: &str| call(&mut bench, 0, sql);
    assert_eq!(
        ask("EXEC msdb..sp_dbmmonitorhelpalert Sales").unwrap(),
        ["1  NULL  0", "2  NULL  0", "3  NULL  0", "4  NULL  0"]
    );
    for sql in [
        "EXEC msdb..sp_dbmmonitorchangealert Sales, 1, 30, 1",
        "EXEC msdb..sp_dbmmonitorchangealert Sales, 4, 1000, 0",
        "EXEC msdb..sp_dbmmonitorchangealert Sales, 5, 8, 0",
    ] {
        assert_eq!(ask(sql).unwrap(), Vec::<String>::new(), "{sql}");
    }
    assert_eq!(
        ask("EXEC msdb..sp_dbmmonitorhelpalert Sales").unwrap(),
        ["1  30  1", "2  NULL  0", "3  NULL  0", "4  1000  0"]
    );
    assert_eq!(
        ask("EXEC msdb..sp_dbmmonitorhelpalert Sales, 5").unwrap(),
        ["5  8  1"],
        "the retention period is always in force"
    );
    assert_eq!(
        ask("EXEC msdb..sp_dbmmonitorchangealert Sales, 5, 0, 1"),
        Err(40518)
    );
    assert_eq!(
        ask("EXEC msdb..sp_dbmmonitorchangealert Sales, 1, 1, 2"),
        Err(40518)
    );
    ask("EXEC msdb..sp_dbmmonitordropalert Sales, 1").unwrap();
    assert_eq!(
        ask("EXEC msdb..sp_dbmmonitorhelpalert Sales, 1").unwrap(),
        ["1  NULL  0"]
    );
    ask("EXEC msdb..sp_dbmmonitordropalert Sales").unwrap();
    assert_eq!(
        ask("EXEC msdb..sp_dbmmonitorhelpalert Sales, 4").unwrap(),
        ["4  NULL  0"]
    );
}
