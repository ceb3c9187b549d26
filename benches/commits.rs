//! What a commit costs: latency in virtual time and throughput in both times, without mirroring and with SAFETY FULL.
//!
//! One line for each: `name commits latency(mean, 95 %) commits/s(virtual) µs/commit(this machine)`. A client whose next
//! transaction begins when the one before is acknowledged shows the throughput of one connection. Measures, never judges.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mirrorlab::sim::launch;
use mirrorlab::sim::runner::{Run, Verdict, run};
use mirrorlab::sim::scenario::{Library, Scenario};
use mirrorlab::types::{ClientEvent, Event, Timestamp};

const SECONDS: u64 = 60;

fn main() {
    println!(
        "{:<28} {:>8} {:>9} {:>9} {:>12} {:>10}",
        "name", "commits", "mean ms", "95 % ms", "commits/v.s", "us/commit"
    );
    for (name, base, rate) in [
        ("unmirrored, 10/s", "trio_unmirrored", 10),
        ("SAFETY FULL, 10/s", "pair", 10),
        ("SAFETY FULL, witness, 10/s", "trio", 10),
        ("unmirrored, back to back", "trio_unmirrored", 1_000),
        ("SAFETY FULL, back to back", "pair", 1_000),
    ] {
        tell(name, &scenario(base, rate));
    }
}

fn scenario(base: &str, rate: u32) -> Scenario {
    let text = format!(
        "promise = \"A load.\"\nrisk = \"None.\"\nextends = \"{base}\"\nuntil = \"{SECONDS}s\"\n\
         [[client]]\nname = \"app\"\ninitial = \"alpha\"\nrate = {rate}\n\
         mix = {{ insert = 1, update = 0, transfer = 0, read = 0 }}\n\
         [[expect]]\nclient = \"app\"\nacknowledged = {{ at_least = 1 }}\n"
    );
    let mut library = Library::built_in();
    library.insert("bench/commits", &text);
    library
        .load("bench/commits")
        .unwrap_or_else(|error| panic!("{}", error.report()))
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures this machine")]
fn tell(name: &str, scenario: &Scenario) {
    let begin = Instant::now();
    let run = run(&launch::instances(), scenario, 1);
    let wall = begin.elapsed();
    assert_eq!(run.verdict, Verdict::Pass, "{:?}", run.failures);
    let mut latencies = latencies(&run);
    latencies.sort_unstable();
    let commits = latencies.len().max(1);
    let total: Duration = latencies.iter().sum();
    let at = |percent: usize| {
        latencies
            .get(commits * percent / 100)
            .copied()
            .unwrap_or_default()
    };
    let millis = |time: Duration| time.as_secs_f64() * 1_000.0;
    println!(
        "{name:<28} {commits:>8} {:>9.2} {:>9.2} {:>12.1} {:>10.0}",
        millis(total) / commits as f64,
        millis(at(95)),
        commits as f64 / SECONDS as f64,
        wall.as_secs_f64() * 1e6 / commits as f64
    );
}

/// From each submission to its acknowledgement, in virtual time.
fn latencies(run: &Run) -> Vec<Duration> {
    let mut submitted: BTreeMap<u64, Timestamp> = BTreeMap::new();
    let mut latencies = Vec::new();
    for stamped in run.trace.events() {
        match &stamped.event {
            Event::Client(ClientEvent::Submitted { transaction, .. }) => {
                submitted.insert(*transaction, stamped.at);
            }
            Event::Client(ClientEvent::Acknowledged { transaction, .. }) => {
                latencies.extend(submitted.remove(transaction).map(|at| stamped.at.since(at)));
            }
            _ => {}
        }
    }
    latencies
}
