//! How long a failover takes, in virtual time: from its cause until the new principal serves, and until an application is
//! told of a commit again.
//!
//! One line for each cause: the median and the longest of both over the seeds. The same on every machine, so a change is
//! a change of behaviour. Latencies between systems are the world's 1 to 10 ms, disks answer at once, the partner time-out
//! is the default of 10 s. Measures, never judges.

use std::time::Duration;

use mirrorlab::sim::launch;
use mirrorlab::sim::runner::{Verdict, run};
use mirrorlab::sim::scenario::{Library, Scenario};
use mirrorlab::types::{ClientEvent, Event, SessionEvent, Stamped, Timestamp, WorldEvent};

const SEEDS: u64 = 9;

/// Name, what the scenario extends, and the fields of the steps: the last is the cause.
const CAUSES: [(&str, &str, &[&str]); 6] = [
    ("manual", "trio", &[MANUAL]),
    ("automatic, process killed", "trio", &[KILL]),
    ("automatic, endpoint stopped", "trio", &[STOP]),
    ("automatic, cable pulled", "trio", &[CABLE]),
    ("automatic, power lost", "trio", &[POWER]),
    ("forced 20 s after power loss", "pair", &[POWER, FORCE]),
];

const MANUAL: &str = "on = \"alpha\"\nsql = \"ALTER DATABASE Sales SET PARTNER FAILOVER;\"";
const KILL: &str = "fault = { kind = \"kill\", instance = \"alpha\" }";
const STOP: &str = "on = \"alpha\"\nsql = \"ALTER ENDPOINT Mirroring STATE = STOPPED;\"";
const CABLE: &str = "fault = { kind = \"cut\", from = \"alpha\", to = [\"beta\", \"gamma\"] }";
const POWER: &str = "fault = { kind = \"power_loss\", system = \"alpha\" }";
const FORCE: &str =
    "on = \"beta\"\nsql = \"ALTER DATABASE Sales SET PARTNER FORCE_SERVICE_ALLOW_DATA_LOSS;\"";

fn main() {
    println!(
        "{:<34} {:>12} {:>12} {:>14} {:>14}",
        "cause", "serves", "at most", "told again", "at most"
    );
    for (name, base, steps) in CAUSES {
        tell(name, &scenario(base, steps));
    }
}

fn tell(name: &str, scenario: &Scenario) {
    let (mut serves, mut told): (Vec<Duration>, Vec<Duration>) =
        (1..=SEEDS).map(|seed| times(scenario, seed)).unzip();
    serves.sort_unstable();
    told.sort_unstable();
    let median = |times: &[Duration]| millis(times[times.len() / 2]);
    let most = |times: &[Duration]| millis(times[times.len() - 1]);
    println!(
        "{name:<34} {:>12} {:>12} {:>14} {:>14}",
        median(&serves),
        most(&serves),
        median(&told),
        most(&told)
    );
}

/// From the cause to the first service of the new principal, and to the next commit a client is told of.
fn times(scenario: &Scenario, seed: u64) -> (Duration, Duration) {
    let run = run(&launch::instances(), scenario, seed);
    assert!(run.verdict == Verdict::Pass, "seed {seed}: {:?}", run.failures);
    let events = run.trace.events();
    let cause = cause(events);
    let first = |after: Timestamp, is: fn(&Event) -> bool| {
        let found = events.iter().find(|e| e.at >= after && is(&e.event));
        found.map(|e| e.at).expect("the scenario expects a failover")
    };
    let serves = first(cause, |e| {
        matches!(e, Event::Session(SessionEvent::Serving { serving: true, .. }))
    });
    let told = first(serves, |e| {
        matches!(e, Event::Client(ClientEvent::Acknowledged { .. }))
    });
    (serves.since(cause), told.since(cause))
}

/// When the last step of the scenario began.
fn cause(events: &[Stamped]) -> Timestamp {
    let steps = events.iter().filter(|e| {
        matches!(
            &e.event,
            Event::World(WorldEvent::Step { .. } | WorldEvent::FaultFired { .. })
        )
    });
    steps.map(|e| e.at).next_back().expect("there is a step")
}

fn scenario(base: &str, steps: &[&str]) -> Scenario {
    let steps: String = (1u32..)
        .zip(steps)
        .map(|(n, step)| format!("[[step]]\nat = \"{}s\"\n{step}\n\n", 20 * n))
        .collect();
    let text = format!(
        "promise = \"A failover that is measured.\"\nrisk = \"None.\"\nsource = \"ours\"\nextends = \"{base}\"\nuntil = \"80s\"\n\n\
         [[client]]\nname = \"app\"\ninitial = \"alpha\"\nfailover_partner = \"beta\"\nrate = 20\n\n\
         {steps}[[expect]]\nfailover_to = \"beta\"\n"
    );
    let mut library = Library::built_in();
    library.insert("bench/failovers", &text);
    library
        .load("bench/failovers")
        .unwrap_or_else(|error| panic!("{}\n{text}", error.report()))
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
