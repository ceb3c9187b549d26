//! Every precondition of mirroring, broken once in a world of its own: situation, statement, answer.
//!
//! Each row carries the number that the reference gives for it (0: it succeeds), so a row that answers otherwise fails; the
//! snapshot adds the texts for a reviewer. Source: documented, *Prerequisites, Restrictions, and Recommendations for Database
//! Mirroring*, *Prepare a Mirror Database for Mirroring*, messages 1405 to 1488.

mod rows;

use std::fmt::Write as _;
use std::time::Duration;

use mirrorlab::error::SqlError;
use mirrorlab::sim::launch;
use mirrorlab::sim::render;
use mirrorlab::sim::runner::{Verdict, run};
use mirrorlab::sim::scenario::Library;
use mirrorlab::types::{ClientEvent, Event, ReplyItem};

use super::observe::compare;

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
use rows::{ON_PRINCIPAL, SYNCHRONIZED, WAITS, WITNESS, rows};

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

/// The shared set-up with one place of it replaced. A place that is not there, or there twice, would test something else.
fn replace_one(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "`{from}` in the shared set-up");
    text.replacen(from, to, 1)
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
            let name = format!("name = \"{who}\"\n");
            replace_one(&text, &name, &format!("{name}{option}\n"))
        });
        let text = options.iter().filter(|(_, o)| o.contains("express")).fold(text, |text, (who, _)| {
            // Express has no partner's endpoint, so it begins as a witness's.
            let own = format!("AUTHENTICATION = CERTIFICATE {who}_cert,\n        ENCRYPTION = REQUIRED ALGORITHM AES,\n        ROLE = ");
            replace_one(&text, &format!("{own}ALL"), &format!("{own}WITNESS"))
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

const OPTIONS: [&str; 13] = [
    "PARTNER FAILOVER",
    "PARTNER FORCE_SERVICE_ALLOW_DATA_LOSS",
    "PARTNER SUSPEND",
    "PARTNER RESUME",
    "PARTNER SAFETY FULL",
    "PARTNER SAFETY OFF",
    "PARTNER TIMEOUT 20",
    "PARTNER TIMEOUT 32768",
    "PARTNER REDO_QUEUE ( 3 MB )",
    "PARTNER REDO_QUEUE ( UNLIMITED )",
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
