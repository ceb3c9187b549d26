//! What a mirroring session costs and how long a failover takes, in virtual time: the same on every machine, so a change
//! is a change of behaviour. Measures, never judges. Rows are medians over seeds; latencies between systems are the world's
//! 1 to 10 ms, disks answer at once.

use std::collections::BTreeMap;
use std::time::Duration;

use mirrorlab::sim::launch;
use mirrorlab::sim::runner::{Run, Verdict, run};
use mirrorlab::sim::scenario::{Library, Scenario};
use mirrorlab::types::{ClientEvent, Event, SessionEvent, Source, Stamped, Timestamp, WorldEvent};

const SEEDS: u64 = 5;

/// Applications of the throughput runs, each with one transaction at a time.
const APPLICATIONS: u32 = 16;

fn main() {
    println!("commits, one application at 20 a second: median and 99th of a hundred");
    for (name, base, setup) in MODES {
        latency(name, base, setup);
    }
    println!("\ncommits a second, {APPLICATIONS} applications without pause");
    for (name, base, setup) in MODES {
        throughput(name, base, setup);
    }
    println!(
        "\nfailover: from its cause until the new principal serves, and until a client is told of a commit again"
    );
    failover("automatic, hard error (process killed)", KILL);
    failover("automatic, soft error (power lost)", POWER);
    failover("manual", MANUAL);
}

/// Name, what the scenario extends, and the last of the set-up.
const MODES: [(&str, &str, &str); 3] = [
    ("not mirrored", "trio_unmirrored", ""),
    ("SAFETY FULL", "pair", ""),
    ("SAFETY FULL with witness", "trio", ""),
];

const KILL: &str = "fault = { kind = \"kill\", instance = \"alpha\" }";
const POWER: &str = "fault = { kind = \"power_loss\", system = \"alpha\" }";
const MANUAL: &str = "on = \"alpha\"\nsql = \"ALTER DATABASE Sales SET PARTNER FAILOVER;\"";

fn latency(name: &str, base: &str, setup: &str) {
    let scenario = scenario(base, setup, &client("app", 20), "");
    let mut took: Vec<Duration> = runs(&scenario).iter().flat_map(commit_times).collect();
    took.sort_unstable();
    let of = |percent: usize| millis(took[(took.len() - 1) * percent / 100]);
    println!("  {name:<44} {:>10} {:>10}", of(50), of(99));
}

fn throughput(name: &str, base: &str, setup: &str) {
    let clients: String = (1..=APPLICATIONS)
        .map(|n| client(&format!("app{n}"), 1_000))
        .collect();
    let scenario = scenario(base, setup, &clients, "");
    let lasts = scenario.until.as_secs_f64();
    let mut rates: Vec<f64> = runs(&scenario)
        .iter()
        .map(|run| commit_times(run).count() as f64 / lasts)
        .collect();
    rates.sort_unstable_by(f64::total_cmp);
    println!("  {name:<44} {:>10.0}", rates[rates.len() / 2]);
}

fn failover(name: &str, cause: &str) {
    let step = format!("[[step]]\nat = \"20s\"\n{cause}\n");
    let scenario = scenario("trio", "", &client("app", 20), &step);
    let (mut serves, mut told) = (Vec::new(), Vec::new());
    for run in runs(&scenario) {
        let cause = last_step(run.trace.events());
        let first = |is: &dyn Fn(&Stamped) -> bool| {
            let after = run.trace.events().iter().filter(|e| e.at >= cause);
            let found = after.into_iter().find(|e| is(e));
            found.map(|e| e.at).expect("the failover is complete in time")
        };
        let taken = first(&|e| matches!(e.event, Event::Session(SessionEvent::Takeover { .. })));
        let serving = first(&|e| {
            matches!(
                e.event,
                Event::Session(SessionEvent::Serving { serving: true, .. })
            ) && e.at >= taken
        });
        let acknowledged =
            first(&|e| matches!(e.event, Event::Client(ClientEvent::Acknowledged { .. })) && e.at > serving);
        serves.push(serving.since(cause));
        told.push(acknowledged.since(cause));
    }
    serves.sort_unstable();
    told.sort_unstable();
    let median = |times: &[Duration]| millis(times[times.len() / 2]);
    println!("  {name:<44} {:>10} {:>10}", median(&serves), median(&told));
}

/// When the last step of the scenario began.
fn last_step(events: &[Stamped]) -> Timestamp {
    let steps = events.iter().filter(|e| {
        matches!(
            &e.event,
            Event::World(WorldEvent::Step { .. } | WorldEvent::FaultFired { .. })
        )
    });
    steps.map(|e| e.at).next_back().expect("there is a step")
}

/// How long each acknowledged write took. Reads are no commits.
fn commit_times(run: &Run) -> impl Iterator<Item = Duration> {
    let mut submitted: BTreeMap<(&Source, u64), Timestamp> = BTreeMap::new();
    let mut took = Vec::new();
    for event in run.trace.events() {
        match &event.event {
            Event::Client(ClientEvent::Submitted {
                transaction,
                operation,
                ..
            }) if !operation.starts_with("read") => {
                submitted.insert((&event.source, *transaction), event.at);
            }
            Event::Client(ClientEvent::Acknowledged { transaction, .. }) => {
                let since = submitted.remove(&(&event.source, *transaction));
                took.extend(since.map(|since| event.at.since(since)));
            }
            _ => {}
        }
    }
    took.into_iter()
}

fn runs(scenario: &Scenario) -> Vec<Run> {
    let play = |seed| {
        let run = run(&launch::instances(), scenario, seed);
        assert!(run.verdict == Verdict::Pass, "seed {seed}: {:?}", run.failures);
        run
    };
    (1..=SEEDS).map(play).collect()
}

fn client(name: &str, rate: u32) -> String {
    format!(
        "[[client]]\nname = \"{name}\"\ninitial = \"alpha\"\nfailover_partner = \"beta\"\nrate = {rate}\n\n"
    )
}

fn scenario(base: &str, setup: &str, clients: &str, step: &str) -> Scenario {
    let text = format!(
        "promise = \"A session that is measured.\"\nrisk = \"None.\"\nsource = \"ours\"\nextends = \"{base}\"\nuntil = \"50s\"\n\n\
         {setup}{clients}{step}\n[[expect]]\non = \"gamma\"\nalive = true\n"
    );
    let mut library = Library::built_in();
    library.insert("bench", &text);
    library
        .load("bench")
        .unwrap_or_else(|error| panic!("{}\n{text}", error.report()))
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
