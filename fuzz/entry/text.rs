//! Text: T-SQL, scenarios, and the words that have a form of their own.

use std::cell::OnceCell;

use mirrorlab::domain::{AccountName, ServiceAccount, Sid};
use mirrorlab::sim::connection_string::ConnectionText;
use mirrorlab::sim::scenario::{Library, parse_duration, parse_seeds};
use mirrorlab::sim::trace::Trace;
use mirrorlab::tsql::{Statement, parse, parse_datetime, render_error, split_batches};
use mirrorlab::types::{Guid, ServerAddress};

use super::instance::SET_UP;
use super::{Seed, seed};

pub fn statements(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let mut understood = true;
    for batch in split_batches(&text) {
        match parse(&batch.text) {
            Ok(statements) => statements.iter().for_each(|s| reads_back(&s.node)),
            Err(error) => {
                understood = false;
                if let Some(at) = error.at {
                    assert!(at.start <= at.end && at.end <= batch.text.len(), "{at:?}");
                }
                assert!(!render_error(&batch.text, &error).is_empty());
            }
        }
    }
    understood
}

/// A statement about an endpoint is printed so that it reads back as itself.
fn reads_back(statement: &Statement) {
    let text = match statement {
        Statement::CreateEndpoint(create) => create.to_string(),
        Statement::AlterEndpoint(alter) => alter.to_string(),
        _ => return,
    };
    let again = parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let printed = match &again[0].node {
        Statement::CreateEndpoint(create) => create.to_string(),
        Statement::AlterEndpoint(alter) => alter.to_string(),
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(printed, text);
}

pub fn statement_seeds() -> Vec<Seed> {
    vec![
        seed("set_up", SET_UP.join("\nGO\n")),
        seed("nested", format!("SELECT {}1{}", "(".repeat(20), ")".repeat(20))),
        seed(
            "comments",
            "/* a /* b */ c */ SELECT 'it''s' -- end\nGO 1\nSELECT [a]]b] FROM [x].[y]",
        ),
    ]
}

pub fn batch_seeds() -> Vec<Seed> {
    vec![
        seed(
            "ledger",
            "USE Sales; BEGIN TRAN; INSERT INTO Ledger (id, value) VALUES (2, 20); UPDATE Ledger SET value = value - 5 \
             WHERE id = 1; COMMIT;\nGO\nUSE Sales; SELECT id, value FROM Ledger WHERE value > 3 ORDER BY id DESC",
        ),
        seed(
            "views",
            "SELECT e.name, m.role_desc FROM sys.endpoints AS e JOIN sys.database_mirroring_endpoints AS m ON \
             e.endpoint_id = m.endpoint_id WHERE e.name LIKE 'M%'",
        ),
        seed(
            "endpoint",
            "ALTER ENDPOINT Mirroring STATE = STOPPED;\nGO\nALTER ENDPOINT Mirroring STATE = STARTED AS TCP (LISTENER_PORT = 7033)",
        ),
    ]
}

pub fn scenarios(bytes: &[u8]) -> bool {
    thread_local!(static BUILT_IN: OnceCell<Library> = const { OnceCell::new() });
    let mut library = BUILT_IN.with(|l| l.get_or_init(Library::built_in).clone());
    library.insert("test/entry", &String::from_utf8_lossy(bytes));
    match library.load("test/entry") {
        Ok(scenario) => {
            drop(scenario.numbers());
            true
        }
        Err(error) => {
            assert!(!error.report().is_empty());
            false
        }
    }
}

pub fn scenario_seeds() -> Vec<Seed> {
    vec![seed(
        "small",
        r#"promise = "The pair heals."
risk = "The principal is killed under load."
extends = "trio"
until = "30s"
settle = "60s"

[[client]]
name = "app"
initial = "alpha"
failover_partner = "beta"
rate = 5

[[step]]
at = "5s"
fault = { kind = "kill", instance = "alpha", lasts = "10s" }

[[step]]
at = "20s"
on = "beta"
sql = "SELECT 1"

[[expect]]
healed = true
"#,
    )]
}

/// Words with a form of their own; each reader that takes one gives it back when it is printed and read again.
pub fn words(bytes: &[u8]) -> bool {
    let text = &*String::from_utf8_lossy(bytes);
    let mut understood = false;
    if let Ok(address) = text.parse::<ServerAddress>() {
        understood = true;
        assert_eq!(address.to_string().parse(), Ok(address));
    }
    if let Some(guid) = Guid::parse(text) {
        understood = true;
        assert_eq!(Guid::parse(&guid.to_string()), Some(guid));
    }
    if let Some(account) = AccountName::parse(text) {
        understood = true;
        assert_eq!(AccountName::parse(&account.to_string()), Some(account));
    }
    understood |= Sid::from_bytes(bytes).is_some_and(|sid| sid.to_bytes()[..] == *bytes);
    understood |= text.parse::<ConnectionText>().is_ok();
    understood |= ServiceAccount::parse(text).is_ok();
    understood |= parse_datetime(text).is_ok();
    understood |= parse_duration(text).is_some();
    understood |= parse_seeds(text).is_some_and(|seeds| !seeds.is_empty());
    if let Ok(trace) = Trace::from_json_lines(text) {
        let again = Trace::from_json_lines(&trace.to_json_lines()).expect("what was written can be read");
        assert_eq!(again.events(), trace.events());
        understood |= !trace.events().is_empty();
    }
    understood
}

pub fn word_seeds() -> Vec<Seed> {
    [
        ("address", "TCP://beta.lab.example:7022"),
        ("address_6", "tcp://[2001:db8::1]:7022"),
        ("guid", "{6F9619FF-8B86-D011-B42D-00C04FC964FF}"),
        ("account", "LAB\\sql"),
        ("service", "NT AUTHORITY\\NETWORK SERVICE"),
        (
            "connection",
            "Data Source=alpha;Failover Partner=beta;Initial Catalog=Sales;Connect Timeout=15",
        ),
        ("datetime", "2026-01-31T23:59:59.5"),
        ("duration", "1m 30s"),
        ("seeds", "1,3..7"),
    ]
    .map(|(name, text)| seed(name, text))
    .to_vec()
}
