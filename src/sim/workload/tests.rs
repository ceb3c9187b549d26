//! What an application submits, and what it makes of each answer.

use std::cell::RefCell;

use rand_core::SeedableRng;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::*;
use crate::driver::memory_net::{MemoryNet, PausedClock, on_paused_time};
use crate::error::msg;
use crate::sim::client::tests::{Answer, hello, serve, target};
use crate::types::Event;
use crate::wire::client::{ClientRequest, ClientResponse};

const MIX: Mix = Mix {
    insert: 4,
    update: 2,
    transfer: 2,
    read: 2,
};

fn say(items: Vec<ReplyItem>) -> Answer {
    Answer::Say(ClientResponse::Reply(Reply { items }))
}

fn fine(_: usize, _: &str) -> Answer {
    say(vec![ReplyItem::Affected(1)])
}

/// Run an application for 10 s against a server that answers its `n`th batch (from zero) by `answer`.
fn events(
    seed: u64,
    mix: Mix,
    mut answer: impl FnMut(usize, &str) -> Answer + 'static,
) -> Vec<(u64, ClientEvent)> {
    on_paused_time(async move {
        let (net, clock) = (MemoryNet::default(), PausedClock::new());
        let mut batches = 0;
        serve(&net, 1433, move |request| match request {
            ClientRequest::Hello(_) => hello("alpha", Some("BETA")),
            ClientRequest::Batch(text) => {
                batches += 1;
                answer(batches - 1, text)
            }
        })
        .await;
        let events = Rc::new(RefCell::new(Vec::new()));
        let seen = events.clone();
        let observer: Observer = Rc::new(move |at, event| match event {
            Event::Client(event) => seen.borrow_mut().push((at.as_micros() / 1_000, event)),
            other => panic!("{other:?}"),
        });
        let workload = Workload {
            connection: target(None),
            table: "orders".to_owned(),
            interval: Duration::from_millis(100),
            mix,
            first_transaction: 1_000,
            verify: false,
            query_timeout: Duration::from_secs(2),
        };
        let rng = ChaCha8Rng::seed_from_u64(seed);
        let application = Application::new(workload, net, clock, rng, observer);
        let stop = application.stop_handle();
        let task = spawn_local(application.run());
        sleep(Duration::from_secs(10)).await;
        stop.stop();
        task.await.expect("it ends when stopped");
        events.take()
    })
}

fn operations(events: &[(u64, ClientEvent)]) -> Vec<(u64, u64, Operation)> {
    let submitted = events.iter().filter_map(|(at, event)| match event {
        ClientEvent::Submitted {
            transaction,
            operation,
            ..
        } => Some((*at, *transaction, operation.parse().expect("it is an operation"))),
        _ => None,
    });
    submitted.collect()
}

#[test]
fn transactions_are_numbered_paced_and_about_rows_that_exist() {
    let events = events(7, MIX, fine);
    let operations = operations(&events);
    assert_eq!(operations.len(), 100);
    let mut rows: Vec<i64> = Vec::new();
    let mut kinds = [0; 4];
    for (n, (at, transaction, operation)) in operations.into_iter().enumerate() {
        assert_eq!((at, transaction), (n as u64 * 100, 1_000 + n as u64));
        let number = transaction as i64;
        match operation {
            Operation::Insert { id, value } => {
                assert_eq!(id, number);
                assert_eq!(value, if n < ACCOUNTS { OPENING_BALANCE } else { number });
                rows.push(id);
                kinds[0] += 1;
            }
            Operation::Update { id, value } => {
                assert!(rows[ACCOUNTS..].contains(&id), "only orders are updated");
                assert_eq!(value, number);
                kinds[1] += 1;
            }
            Operation::Transfer { amount, from, to } => {
                assert!(rows[..ACCOUNTS].contains(&from) && rows[..ACCOUNTS].contains(&to));
                assert!(from != to && amount > 0);
                kinds[2] += 1;
            }
            Operation::Read { id } => {
                assert!(rows.contains(&id));
                kinds[3] += 1;
            }
        }
    }
    assert!(kinds.iter().all(|n| *n > 5), "{kinds:?}");
}

#[test]
fn a_seed_decides_what_is_submitted() {
    assert_eq!(events(1, MIX, fine), events(1, MIX, fine));
    assert_ne!(events(1, MIX, fine), events(2, MIX, fine));
}

#[test]
fn every_answer_has_its_outcome_and_every_failure_a_new_connection() {
    let events = events(3, MIX, |n, _| match n {
        1 => say(vec![ReplyItem::Error(msg::DATABASE_NO_QUORUM.with(&[&"Sales"]))]),
        2 => Answer::HangUp,
        3 => Answer::Silence,
        4 => say(vec![ReplyItem::Error(msg::LOG_NOT_AVAILABLE.with(&[&"Sales"]))]),
        n => fine(n, ""),
    });
    let outcomes: Vec<String> = events
        .iter()
        .filter_map(|(at, event)| match event {
            ClientEvent::Connected { .. } => Some(format!("{at} connected")),
            ClientEvent::Acknowledged { transaction, .. } => Some(format!("{at} acknowledged {transaction}")),
            ClientEvent::Refused { transaction, number } => {
                Some(format!("{at} refused {transaction} {number}"))
            }
            ClientEvent::InDoubt { transaction } => Some(format!("{at} in doubt {transaction}")),
            _ => None,
        })
        .take(11)
        .collect();
    let expected = [
        "0 connected",
        "0 acknowledged 1000",
        "100 refused 1001 955",
        "100 connected",
        "200 in doubt 1002",
        "200 connected",
        "2300 in doubt 1003",
        "2300 connected",
        "2300 in doubt 1004",
        "2300 connected",
        "2400 acknowledged 1005",
    ];
    assert_eq!(outcomes, expected);
}

#[test]
fn reads_report_values_and_writes_report_rows_that_were_missing() {
    let rows = |rows| {
        say(vec![ReplyItem::Rows {
            columns: vec!["value".to_owned()],
            rows,
        }])
    };
    let only = |update, transfer, read| Mix {
        insert: 1,
        update,
        transfer,
        read,
    };
    let value_of = |mix: Mix, kind: fn(&Operation) -> bool, answer: Answer| -> Vec<Option<i64>> {
        let events = events(5, mix, move |n, text| match text.starts_with("INSERT") {
            true => fine(n, text),
            false => answer.clone(),
        });
        let (_, number, _) = operations(&events)
            .into_iter()
            .find(|(_, _, operation)| kind(operation))
            .expect("one is drawn");
        let acknowledged = events.into_iter().find_map(|(_, event)| match event {
            ClientEvent::Acknowledged { transaction, values } if transaction == number => Some(values),
            _ => None,
        });
        acknowledged.expect("it was acknowledged")
    };
    let read: fn(&Operation) -> bool = |o| matches!(o, Operation::Read { .. });
    assert_eq!(
        value_of(only(0, 0, 9), read, rows(vec![vec![Value::Int(5)]])),
        [Some(5)]
    );
    assert_eq!(value_of(only(0, 0, 9), read, rows(vec![])), [None]);
    let transfer: fn(&Operation) -> bool = |o| matches!(o, Operation::Transfer { .. });
    let halves = |first, second| say(vec![ReplyItem::Affected(first), ReplyItem::Affected(second)]);
    assert_eq!(value_of(only(0, 9, 0), transfer, halves(1, 1)), []);
    assert_eq!(value_of(only(0, 9, 0), transfer, halves(1, 0)), [None]);
}

#[test]
fn an_application_that_finds_no_server_says_so_and_stops_when_told() {
    on_paused_time(async {
        let (net, clock) = (MemoryNet::default(), PausedClock::new());
        let events = Rc::new(RefCell::new(Vec::new()));
        let seen = events.clone();
        let observer: Observer =
            Rc::new(move |at: Timestamp, event| seen.borrow_mut().push((at.to_string(), event)));
        let workload = Workload {
            connection: target(None),
            table: "orders".to_owned(),
            interval: Duration::from_millis(100),
            mix: MIX,
            first_transaction: 1,
            verify: false,
            query_timeout: Duration::from_secs(2),
        };
        let application = Application::new(workload, net, clock, ChaCha8Rng::seed_from_u64(1), observer);
        let stop = application.stop_handle();
        let task = spawn_local(application.run());
        sleep(Duration::from_secs(20)).await;
        stop.stop();
        task.await.expect("it ends when stopped");
        match events.borrow().as_slice() {
            [(at, Event::Client(ClientEvent::ConnectFailed { to, error }))] => {
                assert_eq!((at.as_str(), to.as_str()), ("+14.500s", "TCP://alpha:1433"));
                assert!(error.contains("10061"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn batches_are_quoted_and_operations_parse_back() {
    let operations = [
        Operation::Insert { id: 7, value: 1000 },
        Operation::Update { id: 7, value: -12 },
        Operation::Transfer {
            amount: 5,
            from: 7,
            to: 8,
        },
        Operation::Read { id: 7 },
    ];
    for operation in operations {
        assert_eq!(operation.to_string().parse(), Ok(operation));
        assert!(operation.batch("a]b").contains("[a]]b]"));
    }
    let wrong = "transfer 5 to 7".parse::<Operation>();
    assert_eq!(
        wrong.unwrap_err().to_string(),
        "'transfer 5 to 7' is not an operation"
    );
    assert_eq!(
        Operation::Transfer {
            amount: 5,
            from: 7,
            to: 8
        }
        .batch("t"),
        "BEGIN TRAN; UPDATE [t] SET value = value - 5 WHERE id = 7; \
         UPDATE [t] SET value = value + 5 WHERE id = 8; COMMIT;"
    );
}

/// The instance name in the trace is the one the server gave.
#[test]
fn the_trace_names_the_instance_that_was_asked() {
    let named = events(1, MIX, fine).into_iter().all(|(_, event)| match event {
        ClientEvent::Submitted { to, .. } | ClientEvent::Connected { to, .. } => {
            to == InstanceName::new("alpha")
        }
        _ => true,
    });
    assert!(named);
}
