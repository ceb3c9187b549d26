//! Every precondition of mirroring, broken once in a world of its own: situation, statement, answer.
//!
//! Each row carries the number that the reference gives for it (0: it succeeds), so a row that answers otherwise fails; the
//! snapshot adds the texts for a reviewer. Source: documented, *Prerequisites, Restrictions, and Recommendations for Database
//! Mirroring*, *Prepare a Mirror Database for Mirroring*, messages 1405 to 1488.

use std::fmt::Write as _;
use std::time::Duration;

use mirrorlab::error::SqlError;
use mirrorlab::sim::launch;
use mirrorlab::sim::render;
use mirrorlab::sim::runner::{Verdict, run};
use mirrorlab::sim::scenario::Library;
use mirrorlab::types::{ClientEvent, Event, ReplyItem};

/// What is done before the statement.
#[derive(Debug, Clone, Copy)]
enum Before {
    Sql(&'static str, &'static str),
    /// A backup file goes from alpha to another system.
    File(&'static str, &'static str, &'static str),
    /// So many rows more in the principal's log.
    Rows(&'static str, u32),
    Until(&'static str),
    /// At this time after the set-up; the statement comes at 10 s.
    Fault(&'static str, &'static str),
}
use Before::{Fault, File, Rows, Sql, Until};

struct Row {
    number: u32,
    situation: &'static str,
    /// Options of an instance that differ from the shared set-up's.
    options: &'static [(&'static str, &'static str)],
    before: &'static [Before],
    on: &'static str,
    statement: &'static str,
}

const fn row(
    number: u32,
    situation: &'static str,
    before: &'static [Before],
    on: &'static str,
    statement: &'static str,
) -> Row {
    Row {
        number,
        situation,
        options: &[],
        before,
        on,
        statement,
    }
}

impl Row {
    const fn with(self, options: &'static [(&'static str, &'static str)]) -> Row {
        Row { options, ..self }
    }
}

const ON_MIRROR: &str = "ALTER DATABASE Sales SET PARTNER = 'TCP://alpha.lab.example:7022'";
const ON_PRINCIPAL: &str = "ALTER DATABASE Sales SET PARTNER = 'TCP://beta.lab.example:7022'";
const WITNESS: &str = "ALTER DATABASE Sales SET WITNESS = 'TCP://gamma.lab.example:7022'";
const WAITS: Before = Sql("beta", ON_MIRROR);
const BEGINS: Before = Sql("alpha", ON_PRINCIPAL);
const SYNCHRONIZED: Before = Until(r#"{ on = "beta", state = "SYNCHRONIZED" }"#);
const BACKUP_LOG: &str = r"BACKUP LOG Sales TO DISK = 'C:\backup\Sales2.trn'";
const BACKUP_FULL: &str = r"BACKUP DATABASE Sales TO DISK = 'C:\backup\Sales2.bak' WITH FORMAT";
const RESTORE_LOG: &str = r"RESTORE LOG Sales FROM DISK = 'C:\backup\Sales2.trn' WITH NORECOVERY";
const RESTORE_FULL: &str =
    r"RESTORE DATABASE Sales FROM DISK = 'C:\backup\Sales2.bak' WITH NORECOVERY, REPLACE";
const OTHER: &str = "CREATE DATABASE Other; BACKUP DATABASE Other TO DISK = 'C:\\backup\\Other.bak'";
/// The mirror's copy is recovered, goes its own way, and is made a restoring copy again by its own backup.
const RECOVERED: Before = Sql("beta", "RESTORE DATABASE Sales WITH RECOVERY");
const WRITTEN: Before = Rows("beta", 3);
const TAKEN: Before = Sql("beta", BACKUP_FULL);
const RESTORED: Before = Sql("beta", RESTORE_FULL);

fn rows() -> Vec<Row> {
    vec![
        row(
            1449,
            "the address has no scheme",
            &[],
            "alpha",
            "ALTER DATABASE Sales SET PARTNER = 'beta.lab.example:7022'",
        ),
        row(
            1449,
            "the address has no port",
            &[],
            "alpha",
            "ALTER DATABASE Sales SET PARTNER = 'TCP://beta.lab.example'",
        ),
        row(
            1449,
            "the address names an instance",
            &[],
            "alpha",
            r"ALTER DATABASE Sales SET PARTNER = 'TCP://beta\two:7022'",
        ),
        row(
            1418,
            "the name does not resolve",
            &[WAITS],
            "alpha",
            "ALTER DATABASE Sales SET PARTNER = 'TCP://nobody.lab.example:7022'",
        ),
        row(
            1418,
            "the name is of another domain",
            &[WAITS],
            "alpha",
            "ALTER DATABASE Sales SET PARTNER = 'TCP://beta.other.example:7022'",
        ),
        row(
            0,
            "the name is not fully qualified, in one domain",
            &[WAITS],
            "alpha",
            "ALTER DATABASE Sales SET PARTNER = 'TCP://beta:7022'",
        ),
        row(
            1418,
            "nobody listens at the port",
            &[WAITS],
            "alpha",
            "ALTER DATABASE Sales SET PARTNER = 'TCP://beta.lab.example:7999'",
        ),
        row(
            1418,
            "the partner's endpoint is stopped",
            &[WAITS, Sql("beta", "ALTER ENDPOINT Mirroring STATE = STOPPED")],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1418,
            "the own endpoint is stopped",
            &[WAITS, Sql("alpha", "ALTER ENDPOINT Mirroring STATE = STOPPED")],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1418,
            "the instance has no endpoint",
            &[WAITS, Sql("alpha", "DROP ENDPOINT Mirroring")],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1418,
            "the partner's ROLE is WITNESS",
            &[
                WAITS,
                Sql(
                    "beta",
                    "ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (ROLE = WITNESS)",
                ),
            ],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1418,
            "the own ROLE is WITNESS",
            &[
                WAITS,
                Sql(
                    "alpha",
                    "ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (ROLE = WITNESS)",
                ),
            ],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1418,
            "the partner's login may not connect",
            &[
                WAITS,
                Sql("beta", "REVOKE CONNECT ON ENDPOINT::Mirroring FROM alpha_login"),
            ],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1418,
            "SET PARTNER was not run on the mirror",
            &[],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1413,
            "the mirror dies between question and answer",
            &[
                WAITS,
                Fault(
                    "9900ms",
                    r#"{ kind = "crash_at_write", system = "beta", write = 1, kept = false, how = "kill" }"#,
                ),
            ],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1421,
            "the mirror's disk is stuck during a failover",
            &[
                WAITS,
                BEGINS,
                SYNCHRONIZED,
                Fault(
                    "9900ms",
                    r#"{ kind = "disk_stuck", system = "beta", lasts = "30s" }"#,
                ),
            ],
            "alpha",
            "ALTER DATABASE Sales SET PARTNER FAILOVER",
        ),
        row(
            1452,
            "the partner is the instance itself",
            &[],
            "alpha",
            ON_MIRROR,
        ),
        row(
            1405,
            "the database is mirrored",
            &[WAITS, BEGINS, SYNCHRONIZED],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1405,
            "the mirror waits for a principal",
            &[WAITS],
            "beta",
            ON_MIRROR,
        ),
        row(
            1410,
            "the remote copy is in a session",
            &[
                File(r"C:\backup\Sales.bak", "alpha", "gamma"),
                Sql(
                    "gamma",
                    r"RESTORE DATABASE Sales FROM DISK = 'C:\backup\Sales.bak' WITH RECOVERY",
                ),
                WAITS,
                BEGINS,
                SYNCHRONIZED,
            ],
            "gamma",
            ON_PRINCIPAL,
        ),
        row(
            1460,
            "the mirror waits for somebody else",
            &[Sql(
                "beta",
                "ALTER DATABASE Sales SET PARTNER = 'TCP://gamma.lab.example:7022'",
            )],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1448,
            "there is no such database on the partner",
            &[Sql("alpha", OTHER)],
            "alpha",
            "ALTER DATABASE Other SET PARTNER = 'TCP://beta.lab.example:7022'",
        ),
        row(
            1464,
            "the partner's copy is recovered",
            &[Sql("beta", "RESTORE DATABASE Sales WITH RECOVERY")],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1464,
            "the own copy is recovered, and so is the partner's",
            &[Sql("beta", "RESTORE DATABASE Sales WITH RECOVERY")],
            "beta",
            ON_MIRROR,
        ),
        row(
            1419,
            "the partner's copy is damaged",
            &[
                WAITS,
                Fault(
                    "1s",
                    r#"{ kind = "bit_rot", system = "beta", file = "instances/beta/sales.mdf", offset = 3 }"#,
                ),
                Fault("2s", r#"{ kind = "restart", instance = "beta" }"#),
            ],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1407,
            "the partner's copy is of another database",
            &[
                Sql("alpha", OTHER),
                File(r"C:\backup\Other.bak", "alpha", "beta"),
                Sql(
                    "beta",
                    r"RESTORE DATABASE Sales FROM DISK = 'C:\backup\Other.bak' WITH NORECOVERY, REPLACE",
                ),
                WAITS,
            ],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1408,
            "log the partner's copy lacks has been given up",
            &[
                Sql(
                    "alpha",
                    "ALTER DATABASE Sales MODIFY FILE (NAME = Sales_log, MAXSIZE = 64 KB)",
                ),
                Rows("alpha", 400),
                Sql("alpha", BACKUP_LOG),
                Sql("alpha", "USE Sales; CHECKPOINT"),
                Rows("alpha", 2),
                WAITS,
            ],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1478,
            "a later log backup was not restored",
            &[Rows("alpha", 3), Sql("alpha", BACKUP_LOG), WAITS],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            0,
            "every log backup was restored",
            &[
                Rows("alpha", 3),
                Sql("alpha", BACKUP_LOG),
                File(r"C:\backup\Sales2.trn", "alpha", "beta"),
                Sql("beta", RESTORE_LOG),
                WAITS,
            ],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            0,
            "changes since the last log backup are not restored",
            &[Rows("alpha", 3), WAITS],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1412,
            "the partner's copy was recovered and went its own way",
            &[RECOVERED, WRITTEN, TAKEN, RESTORED, Rows("alpha", 9), WAITS],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1412,
            "the principal's copy was recovered on its own, the partner has the old log",
            &[
                Rows("alpha", 9),
                Sql("alpha", BACKUP_LOG),
                File(r"C:\backup\Sales.bak", "alpha", "gamma"),
                File(r"C:\backup\Sales2.trn", "alpha", "beta"),
                Sql("beta", RESTORE_LOG),
                Sql(
                    "gamma",
                    r"RESTORE DATABASE Sales FROM DISK = 'C:\backup\Sales.bak' WITH RECOVERY",
                ),
                Rows("gamma", 30),
                Sql(
                    "beta",
                    "ALTER DATABASE Sales SET PARTNER = 'TCP://gamma.lab.example:7022'",
                ),
            ],
            "gamma",
            ON_PRINCIPAL,
        ),
        row(
            1412,
            "the partner's copy is the former principal's, service was forced on the principal",
            &[
                WAITS,
                BEGINS,
                SYNCHRONIZED,
                Sql("alpha", "ALTER ENDPOINT Mirroring STATE = STOPPED"),
                Until(r#"{ on = "beta", state = "DISCONNECTED" }"#),
                Sql(
                    "beta",
                    "ALTER DATABASE Sales SET PARTNER FORCE_SERVICE_ALLOW_DATA_LOSS",
                ),
                Rows("alpha", 9),
                Rows("beta", 30),
                Sql("alpha", "ALTER DATABASE Sales SET PARTNER OFF"),
                Sql("beta", "ALTER DATABASE Sales SET PARTNER OFF"),
                Sql("alpha", BACKUP_FULL),
                Sql("alpha", RESTORE_FULL),
                Sql("alpha", "ALTER ENDPOINT Mirroring STATE = STARTED"),
                BEGINS,
            ],
            "beta",
            ON_MIRROR,
        ),
        row(
            4330,
            "a log backup of the old path for a copy that went its own way",
            &[
                RECOVERED,
                WRITTEN,
                TAKEN,
                RESTORED,
                Rows("alpha", 9),
                Sql("alpha", BACKUP_LOG),
                File(r"C:\backup\Sales2.trn", "alpha", "beta"),
            ],
            "beta",
            RESTORE_LOG,
        ),
        row(
            1465,
            "the principal is in the simple recovery model",
            &[WAITS, Sql("alpha", "ALTER DATABASE Sales SET RECOVERY SIMPLE")],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1465,
            "the copy is of a database in the simple recovery model",
            &[
                Sql("alpha", "ALTER DATABASE Sales SET RECOVERY SIMPLE"),
                Sql("alpha", BACKUP_FULL),
                File(r"C:\backup\Sales2.bak", "alpha", "beta"),
                Sql("beta", RESTORE_FULL),
            ],
            "beta",
            ON_MIRROR,
        ),
        row(
            1465,
            "the principal is in the bulk-logged recovery model",
            &[
                WAITS,
                Sql("alpha", "ALTER DATABASE Sales SET RECOVERY BULK_LOGGED"),
            ],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1475,
            "it was, and the log has not been backed up since",
            &[
                WAITS,
                Sql("alpha", "ALTER DATABASE Sales SET RECOVERY BULK_LOGGED"),
                Sql("alpha", "ALTER DATABASE Sales SET RECOVERY FULL"),
            ],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            0,
            "it was, and the log has been backed up and restored since",
            &[
                Sql("alpha", "ALTER DATABASE Sales SET RECOVERY BULK_LOGGED"),
                Rows("alpha", 3),
                Sql("alpha", "ALTER DATABASE Sales SET RECOVERY FULL"),
                Sql("alpha", BACKUP_LOG),
                File(r"C:\backup\Sales2.trn", "alpha", "beta"),
                Sql("beta", RESTORE_LOG),
                WAITS,
            ],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1467,
            "the own copy is damaged",
            &[
                WAITS,
                Fault(
                    "1s",
                    r#"{ kind = "bit_rot", system = "alpha", file = "instances/alpha/sales.mdf", offset = 3 }"#,
                ),
                Fault("2s", r#"{ kind = "restart", instance = "alpha" }"#),
            ],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1468,
            "another recovery model, for a mirrored database",
            &[WAITS, BEGINS, SYNCHRONIZED],
            "alpha",
            "ALTER DATABASE Sales SET RECOVERY SIMPLE",
        ),
        row(
            5058,
            "a system database as a partner",
            &[],
            "alpha",
            "ALTER DATABASE master SET PARTNER = 'TCP://beta.lab.example:7022'",
        ),
        row(
            5058,
            "a system database with a witness",
            &[],
            "alpha",
            "ALTER DATABASE msdb SET WITNESS OFF",
        ),
        row(
            1463,
            "a partner in Express",
            &[
                Sql(
                    "gamma",
                    "ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (ROLE = WITNESS)",
                ),
                File(r"C:\backup\Sales.bak", "alpha", "gamma"),
                Sql(
                    "gamma",
                    r"RESTORE DATABASE Sales FROM DISK = 'C:\backup\Sales.bak' WITH NORECOVERY",
                ),
            ],
            "gamma",
            ON_MIRROR,
        )
        .with(&[("gamma", "edition = \"express\"")]),
        row(
            1473,
            "SAFETY OFF in Standard",
            &[WAITS, BEGINS, SYNCHRONIZED],
            "alpha",
            "ALTER DATABASE Sales SET PARTNER SAFETY OFF",
        )
        .with(&[
            ("alpha", "edition = \"standard\""),
            ("beta", "edition = \"standard\""),
        ]),
        row(
            0,
            "SAFETY FULL in Standard, where it is in force",
            &[WAITS, BEGINS, SYNCHRONIZED],
            "alpha",
            "ALTER DATABASE Sales SET PARTNER SAFETY FULL",
        )
        .with(&[
            ("alpha", "edition = \"standard\""),
            ("beta", "edition = \"standard\""),
        ]),
        row(
            1470,
            "SAFETY OFF in Standard, on the mirror",
            &[WAITS, BEGINS, SYNCHRONIZED],
            "beta",
            "ALTER DATABASE Sales SET PARTNER SAFETY OFF",
        )
        .with(&[
            ("alpha", "edition = \"standard\""),
            ("beta", "edition = \"standard\""),
        ]),
        row(0, "partners of two editions", &[WAITS], "alpha", ON_PRINCIPAL)
            .with(&[("beta", "edition = \"standard\"")]),
        row(
            41952,
            "the mirror is of a newer version",
            &[WAITS],
            "alpha",
            ON_PRINCIPAL,
        )
        .with(&[("beta", "version = 2019")]),
        row(
            3169,
            "a backup of a newer version",
            &[File(r"C:\backup\Sales.bak", "alpha", "gamma")],
            "gamma",
            r"RESTORE DATABASE Sales FROM DISK = 'C:\backup\Sales.bak' WITH NORECOVERY",
        )
        .with(&[("gamma", "version = 2014")]),
        row(
            0,
            "a witness in Express",
            &[
                WAITS,
                BEGINS,
                SYNCHRONIZED,
                Sql(
                    "gamma",
                    "ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (ROLE = WITNESS)",
                ),
            ],
            "alpha",
            WITNESS,
        )
        .with(&[("gamma", "edition = \"express\"")]),
        row(
            1427,
            "a witness of another version",
            &[WAITS, BEGINS, SYNCHRONIZED],
            "alpha",
            WITNESS,
        )
        .with(&[("gamma", "version = 2019")]),
        row(
            1427,
            "the witness's ROLE is PARTNER",
            &[
                WAITS,
                BEGINS,
                SYNCHRONIZED,
                Sql(
                    "gamma",
                    "ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (ROLE = PARTNER)",
                ),
            ],
            "alpha",
            WITNESS,
        ),
        row(
            1427,
            "the witness's endpoint is stopped",
            &[
                WAITS,
                BEGINS,
                SYNCHRONIZED,
                Sql("gamma", "ALTER ENDPOINT Mirroring STATE = STOPPED"),
            ],
            "alpha",
            WITNESS,
        ),
        row(
            1426,
            "the session is suspended",
            &[
                WAITS,
                BEGINS,
                SYNCHRONIZED,
                Sql("alpha", "ALTER DATABASE Sales SET PARTNER SUSPEND"),
            ],
            "alpha",
            WITNESS,
        ),
        row(
            1416,
            "a witness for a database that is not mirrored",
            &[],
            "alpha",
            WITNESS,
        ),
        row(
            1429,
            "the witness is the mirror",
            &[WAITS, BEGINS, SYNCHRONIZED],
            "alpha",
            "ALTER DATABASE Sales SET WITNESS = 'TCP://beta.lab.example:7022'",
        ),
        row(
            1429,
            "the witness is the principal",
            &[WAITS, BEGINS, SYNCHRONIZED],
            "alpha",
            "ALTER DATABASE Sales SET WITNESS = 'TCP://alpha.lab.example:7022'",
        ),
        row(
            1446,
            "the witness is set already",
            &[WAITS, BEGINS, SYNCHRONIZED, Sql("alpha", WITNESS)],
            "alpha",
            WITNESS,
        ),
    ]
}

impl Before {
    /// `nth` of the row, for keys of its own.
    fn toml(&self, nth: usize) -> String {
        match self {
            Sql(on, text) => format!("[[setup]]\non = \"{on}\"\nsql = '''{text};'''\n"),
            File(path, from, to) => {
                format!("[[setup]]\ncopy_file = {{ path = '{path}', from = \"{from}\", to = [\"{to}\"] }}\n")
            }
            Rows(on, count) => {
                let mut sql = "USE Sales;".to_owned();
                let first = 100_000 + 1_000 * nth as u32;
                for key in first..first + count {
                    write!(sql, " INSERT INTO Ledger VALUES ({key}, {nth});").expect("it fits");
                }
                format!("[[setup]]\non = \"{on}\"\nsql = '''{sql} USE master;'''\n")
            }
            Until(condition) => format!("[[setup]]\nwait = {condition}\n"),
            Fault(at, fault) => format!("[[step]]\nat = \"{at}\"\nfault = {fault}\n"),
        }
    }
}

/// Plays a world; what its statements answer, one after the other.
fn play(
    options: &[(&str, &str)],
    before: &[Before],
    statements: &[(&str, &str)],
) -> Vec<Result<(), SqlError>> {
    let mut library = Library::built_in();
    if !options.is_empty() {
        let shared = include_str!("../../scenarios/_shared/trio_endpoints.toml");
        let text = options.iter().fold(shared.to_owned(), |text, (who, option)| {
            text.replacen(
                &format!("name = \"{who}\"\n"),
                &format!("name = \"{who}\"\n{option}\n"),
                1,
            )
        });
        let text = options.iter().filter(|(_, o)| o.contains("express")).fold(text, |text, (who, _)| {
            // Express has no partner's endpoint, so it begins as a witness's.
            let own = format!("AUTHENTICATION = CERTIFICATE {who}_cert,\n        ENCRYPTION = REQUIRED ALGORITHM AES,\n        ROLE = ");
            text.replacen(&format!("{own}ALL"), &format!("{own}WITNESS"), 1)
        });
        library.insert("_shared/trio_endpoints", &text);
    }
    let (faults, set_up): (Vec<&Before>, Vec<&Before>) = before.iter().partition(|b| matches!(b, Fault(..)));
    let mut toml =
        "promise = \"Each precondition of mirroring has its number.\"\nrisk = \"One is not met.\"\n\
                    extends = \"trio_unmirrored\"\nuntil = \"60s\"\n"
            .to_owned();
    for (nth, step) in set_up.into_iter().enumerate() {
        toml.push_str(&step.toml(nth));
    }
    for fault in faults {
        toml.push_str(&fault.toml(0));
    }
    for (i, (on, text)) in statements.iter().enumerate() {
        let when = match i {
            0 => "at = \"10s\"".to_owned(),
            _ => "after = \"100ms\"".to_owned(),
        };
        write!(
            toml,
            "[[step]]\n{when}\non = \"{on}\"\nsql = '''{text};'''\nmay_fail = true\n"
        )
        .expect("it fits");
    }
    toml.push_str("[[expect]]\non = \"gamma\"\nalive = true\n");
    library.insert("quorum/precondition", &toml);
    let scenario = library
        .load("quorum/precondition")
        .unwrap_or_else(|error| panic!("{}\n{toml}", error.report()));
    let run = run(&launch::instances(), &scenario, 1);
    assert_eq!(run.verdict, Verdict::Pass, "{toml}\n{}", render::verdict(&run));
    let first = run.setup_end + Duration::from_secs(10);
    let answers = run
        .trace
        .events()
        .iter()
        .filter(|e| e.at >= first)
        .filter_map(|e| {
            let Event::Client(ClientEvent::Batch { reply, .. }) = &e.event else {
                return None;
            };
            let error = reply.items.iter().find_map(|item| match item {
                ReplyItem::Error(error) => Some(error.clone()),
                _ => None,
            });
            Some(error.map_or(Ok(()), Err))
        });
    answers.take(statements.len()).collect()
}

fn told(answer: &Result<(), SqlError>) -> String {
    match answer {
        Ok(()) => "succeeds".into(),
        Err(error) => format!("Msg {}, Level {}: {}", error.number, error.severity, error.text),
    }
}

fn compare(name: &str, text: &str) {
    insta::with_settings!({
        snapshot_path => format!("{}/snapshots/tables", env!("CARGO_MANIFEST_DIR")),
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn each_precondition_has_its_number() {
    let mut table = String::new();
    let mut wrong = String::new();
    for row in rows() {
        let answers = play(row.options, row.before, &[(row.on, row.statement)]);
        let answer = answers.first().map_or_else(|| "no answer".to_owned(), told);
        let number = answers
            .first()
            .and_then(|a| a.as_ref().err())
            .map_or(0, |e| e.number);
        if number != row.number || answers.len() != 1 {
            writeln!(wrong, "{}: {} expected, {answer}", row.situation, row.number).expect("it fits");
        }
        writeln!(
            table,
            "{}\n    {}: {}\n    {answer}",
            row.situation, row.on, row.statement
        )
        .expect("it fits");
    }
    assert!(wrong.is_empty(), "{wrong}");
    compare("preconditions", &table);
}

const OPTIONS: [&str; 11] = [
    "PARTNER FAILOVER",
    "PARTNER FORCE_SERVICE_ALLOW_DATA_LOSS",
    "PARTNER SUSPEND",
    "PARTNER RESUME",
    "PARTNER SAFETY FULL",
    "PARTNER SAFETY OFF",
    "PARTNER TIMEOUT 20",
    "PARTNER TIMEOUT 32768",
    "WITNESS OFF",
    "WITNESS = 'TCP://gamma.lab.example:7022'",
    "PARTNER OFF",
];

/// Where no partner of a running session is: the numbers of every option, one place after the other.
#[test]
fn options_where_there_is_no_session() {
    let session = [
        WAITS,
        Sql("alpha", ON_PRINCIPAL),
        SYNCHRONIZED,
        Sql("alpha", WITNESS),
    ];
    let places: [(&str, &[Before], &str, &str); 4] = [
        ("a database that is not mirrored", &[], "alpha", "Sales"),
        ("a mirror that waits for its principal", &[WAITS], "beta", "Sales"),
        ("the witness, which has no copy", &session, "gamma", "Sales"),
        ("a system database", &[], "alpha", "master"),
    ];
    let mut table = String::new();
    for (place, before, on, database) in places {
        let statements: Vec<String> = OPTIONS
            .iter()
            .map(|o| format!("ALTER DATABASE {database} SET {o}"))
            .collect();
        let statements: Vec<(&str, &str)> = statements.iter().map(|s| (on, s.as_str())).collect();
        let answers = play(&[], before, &statements);
        assert_eq!(answers.len(), OPTIONS.len(), "{place}");
        writeln!(table, "{place}").expect("it fits");
        for (option, answer) in OPTIONS.iter().zip(&answers) {
            writeln!(table, "    {option}: {}", told(answer)).expect("it fits");
        }
    }
    compare("options_without_a_session", &table);
}
