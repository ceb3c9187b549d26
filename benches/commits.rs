//! What a commit costs: latency in virtual time and throughput in both times, unmirrored, with SAFETY OFF and with SAFETY FULL.
//!
//! One line for each: `name commits latency(median, 99 %) commits/s(virtual) µs/commit(this machine)`. Latencies between
//! systems are the world's 1 to 10 ms, disks answer at once; an application begins its next transaction when the one before
//! is acknowledged. What is virtual is the same on every machine, so a change of it is a change of behaviour. Measures,
//! never judges.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mirrorlab::sim::launch;
use mirrorlab::sim::runner::{Run, Verdict, run};
use mirrorlab::sim::scenario::{Library, Scenario};
use mirrorlab::types::{ClientEvent, Event, Source, Timestamp};

const SECONDS: u64 = 60;

/// Name, what the scenario extends, and the last of the set-up.
const MODES: [(&str, &str, &str); 4] = [
    ("not mirrored", "trio_unmirrored", ""),
    ("SAFETY OFF", "pair", SAFETY_OFF),
    ("SAFETY FULL", "pair", ""),
    ("SAFETY FULL, witness", "trio", ""),
];

const SAFETY_OFF: &str = "[[setup]]\non = \"alpha\"\nsql = \"ALTER DATABASE Sales SET PARTNER SAFETY OFF;\"\n\n\
     [[setup]]\nwait = { on = \"beta\", state = \"SYNCHRONIZING\" }\n\n";

/// Name, how many applications, and the transactions a second of each.
const LOADS: [(&str, u32, u32); 3] = [
    ("1 application, 20/s", 1, 20),
    ("1 application, back to back", 1, 1_000),
    ("16 applications, back to back", 16, 1_000),
];

fn main() {
    println!(
        "{:<52} {:>8} {:>10} {:>9} {:>12} {:>10}",
        "mode and load", "commits", "median ms", "99 % ms", "commits/v.s", "us/commit"
    );
    for (load, applications, rate) in LOADS {
        for (mode, base, setup) in MODES {
            tell(
                &format!("{mode}, {load}"),
                &scenario(base, setup, applications, rate),
            );
        }
    }
}

fn scenario(base: &str, setup: &str, applications: u32, rate: u32) -> Scenario {
    let clients: String = (1..=applications).map(|n| client(n, rate)).collect();
    let text = format!(
        "promise = \"A load.\"\nrisk = \"None.\"\nsource = \"ours\"\nextends = \"{base}\"\nuntil = \"{SECONDS}s\"\n\n\
         {setup}{clients}[[expect]]\nclient = \"app1\"\nacknowledged = {{ at_least = 1 }}\n"
    );
    let mut library = Library::built_in();
    library.insert("bench/commits", &text);
    library
        .load("bench/commits")
        .unwrap_or_else(|error| panic!("{}\n{text}", error.report()))
}

fn client(number: u32, rate: u32) -> String {
    format!(
        "[[client]]\nname = \"app{number}\"\ninitial = \"alpha\"\nfailover_partner = \"beta\"\nrate = {rate}\n\
         mix = {{ insert = 1, update = 0, transfer = 0, read = 0 }}\n\n"
    )
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures this machine")]
fn tell(name: &str, scenario: &Scenario) {
    let begin = Instant::now();
    let run = run(&launch::instances(), scenario, 1);
    let wall = begin.elapsed();
    assert_eq!(run.verdict, Verdict::Pass, "{:?}", run.failures);
    let mut latencies = latencies(&run);
    latencies.sort_unstable();
    let commits = latencies.len();
    let millis = |percent: usize| latencies[(commits - 1) * percent / 100].as_secs_f64() * 1e3;
    println!(
        "{name:<52} {commits:>8} {:>10.2} {:>9.2} {:>12.1} {:>10.0}",
        millis(50),
        millis(99),
        commits as f64 / SECONDS as f64,
        wall.as_secs_f64() * 1e6 / commits as f64
    );
}

/// From each submission to its acknowledgement, in virtual time; at least one, as the scenario demands.
fn latencies(run: &Run) -> Vec<Duration> {
    let mut submitted: BTreeMap<(&Source, u64), Timestamp> = BTreeMap::new();
    let mut latencies = Vec::new();
    for stamped in run.trace.events() {
        match &stamped.event {
            Event::Client(ClientEvent::Submitted { transaction, .. }) => {
                submitted.insert((&stamped.source, *transaction), stamped.at);
            }
            Event::Client(ClientEvent::Acknowledged { transaction, .. }) => {
                let since = submitted.remove(&(&stamped.source, *transaction));
                latencies.extend(since.map(|since| stamped.at.since(since)));
            }
            _ => {}
        }
    }
    latencies
}
