//! One line for each budget of the design: `name measured budget met|missed`. Measures, never judges: it always exits 0.
//!
//! Rates are virtual seconds per second of processor time of one thread, the best of several seeds. The failover run and
//! the idle trio are measured from the end of the set-up on: a run that is only set up is timed beside each and taken
//! off. Two budgets cannot be measured from inside; `-- --tests` adds one of them (it runs `cargo test`).

use std::process::Command;
use std::time::{Duration, Instant};

use mirrorlab::sim::echo::echo_load;
use mirrorlab::sim::kernel::Kernel;
use mirrorlab::sim::launch;
use mirrorlab::sim::reference::Reference;
use mirrorlab::sim::runner::{Run, Verdict, run, run_many};
use mirrorlab::sim::scenario::{Library, Scenario};
use mirrorlab::sim::world::World;

const ECHO_LASTS: Duration = Duration::from_secs(600);
const ECHO_RATIO: f64 = 40.0;

const FAILOVER_RATE: f64 = 1_500.0;
const IDLE_RATE: f64 = 20_000.0;
const SEEDS: u64 = 5;

const MEMORY_MIB: f64 = 32.0;
/// The argument that makes this program measure the memory of one scenario.
const MEMORY_OF: &str = "--memory-of";
/// The name by which the memory of the hundred databases is asked for.
const HUNDRED: &str = "hundred databases";
const SUITE_THREADS: usize = 2;
const SUITE_SECONDS: f64 = 30.0;
const TESTS_SECONDS: f64 = 180.0;

/// Three systems, certificates, AES, 10 commits a second for 60 virtual seconds, one power loss with its return.
const FAILOVER: &str = r#"
promise = "The reference failover run of the budgets."
risk = "The principal loses power under load and comes back."
source = "ours"
extends = "trio"
until = "60s"

[[client]]
name = "app"
initial = "alpha"
failover_partner = "beta"
rate = 10

[[step]]
at = "10s"
fault = { kind = "power_loss", system = "alpha", lasts = "30s" }

[[expect]]
failover_to = "beta"
"#;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, name, ..] = &arguments[..]
        && first == MEMORY_OF
    {
        return memory_of(name);
    }
    let tests = arguments.iter().any(|argument| argument == "--tests");
    println!("{:<34} {:>22} {:>16}", "name", "measured", "budget");
    echo();
    failover();
    idle();
    hundred();
    memory();
    suite();
    cargo_test(tests);
    not_here(
        "cold build, release",
        "<= 240 s",
        "cargo clean; time cargo build --release",
    );
}

/// `measured` met `budget` or not, one line.
fn tell(name: &str, measured: String, budget: String, met: bool) {
    let met = if met { "met" } else { "missed" };
    println!("{name:<34} {measured:>22} {budget:>16} {met}");
}

fn not_here(name: &str, budget: &str, how: &str) {
    println!("{name:<34} {:>22} {budget:>16} not measured here: {how}", "-");
}

fn echo() {
    let world = echo_seconds::<World>();
    let reference = echo_seconds::<Reference>();
    let ratio = reference / world;
    let rate = ECHO_LASTS.as_secs_f64() / world;
    tell(
        "echo load, world / turmoil::Sim",
        format!("{ratio:.1} x ({rate:.0} v.s/s)"),
        format!(">= {ECHO_RATIO:.0} x"),
        ratio >= ECHO_RATIO,
    );
}

fn echo_seconds<K: Kernel>() -> f64 {
    best((1..=SEEDS).map(|seed| {
        let begin = Processor::now();
        let answers = echo_load::<K>(seed, ECHO_LASTS).expect("the load runs");
        let took = begin.seconds();
        assert!(
            answers > 9_000,
            "only {answers} answers: the load was not carried"
        );
        took
    }))
}

fn failover() {
    let loaded = scenario(FAILOVER);
    let setup = setup_seconds();
    let whole = best((1..=SEEDS).map(|seed| passing(&loaded, seed).1));
    let virtual_seconds = loaded.until.as_secs_f64();
    let rate = virtual_seconds / (whole - setup).max(1e-9);
    tell(
        "reference failover run",
        format!("{rate:.0} v.s/s"),
        format!(">= {FAILOVER_RATE:.0} v.s/s"),
        rate >= FAILOVER_RATE,
    );
    println!(
        "  (set-up {:.1} ms, the run after it {:.1} ms; with set-up {:.0} v.s/s)",
        setup * 1e3,
        (whole - setup) * 1e3,
        virtual_seconds / whole
    );
}

fn idle() {
    let lasts = 3_600;
    let idle = scenario(&idle_for(lasts));
    let setup = setup_seconds();
    let whole = best((1..=SEEDS).map(|seed| passing(&idle, seed).1));
    let rate = f64::from(lasts) / (whole - setup).max(1e-9);
    tell(
        "idle trio with witness",
        format!("{rate:.0} v.s/s"),
        format!(">= {IDLE_RATE:.0} v.s/s"),
        rate >= IDLE_RATE,
    );
}

/// A hundred mirrored databases are as cheap to leave alone as one, and one run of them stays within its memory.
fn hundred() {
    let (lasts, budget) = (3_600, format!(">= {IDLE_RATE:.0} v.s/s"));
    let cost = |seconds| {
        let loaded = scenario(&hundred_for(seconds));
        best((1..=SEEDS).map(|seed| passing(&loaded, seed).1))
    };
    let (setup, whole) = (cost(0), cost(lasts));
    let rate = f64::from(lasts) / (whole - setup).max(1e-9);
    tell(
        "idle, 100 databases",
        format!("{rate:.0} v.s/s"),
        budget,
        rate >= IDLE_RATE,
    );
    println!("  (set-up of the hundred {:.0} ms)", setup * 1e3);
    let budget = format!("<= {MEMORY_MIB:.0} MiB");
    match memory_needed(HUNDRED) {
        Some(mib) => tell(
            "memory, 100 databases",
            format!("{mib:.1} MiB"),
            budget,
            mib <= MEMORY_MIB,
        ),
        None => not_here("memory, 100 databases", &budget, "needs /proc/self/status"),
    }
}

/// By how many MiB a process of its own grows that runs one scenario.
fn memory_needed(name: &str) -> Option<f64> {
    let run = Command::new(std::env::current_exe().ok()?)
        .args([MEMORY_OF, name])
        .output()
        .ok()?;
    let kib: f64 = String::from_utf8(run.stdout).ok()?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

/// What a synchronized trio costs until its set-up is complete.
fn setup_seconds() -> f64 {
    let only = scenario(&idle_for(0));
    best((1..=SEEDS).map(|seed| passing(&only, seed).1))
}

/// The most memory one run needs beyond what its process had before it, SQLite's and code read in included; over all
/// scenarios at their first seeds, each in a process of its own.
fn memory() {
    let name = "memory of one run";
    let budget = format!("<= {MEMORY_MIB:.0} MiB");
    let needs = |scenario: Scenario| Some((memory_needed(&scenario.name)?, scenario.name));
    let Some(needs) = built_in().into_iter().map(needs).collect::<Option<Vec<_>>>() else {
        return not_here(name, &budget, "needs /proc/self/status");
    };
    let most = needs.into_iter().max_by(|a, b| a.0.total_cmp(&b.0));
    let (mib, whose) = most.expect("there are scenarios");
    tell(name, format!("{mib:.1} MiB"), budget, mib <= MEMORY_MIB);
    println!("  (the most, over all scenarios: {whose})");
}

/// Runs one scenario and prints by how many KiB the process grew at most.
fn memory_of(name: &str) {
    let scenario = match name {
        HUNDRED => scenario(&hundred_for(60)),
        name => Library::built_in()
            .load(name)
            .expect("the caller took a built-in name"),
    };
    let launch = launch::instances();
    let before = status("VmRSS:");
    let run = run(&launch, &scenario, scenario.seeds[0]);
    if let (Some(before), Some(most)) = (before, status("VmHWM:")) {
        println!("{}", most.saturating_sub(before));
    }
    drop(run);
}

/// One line of this process' status, in KiB. Source: documented, Linux, *The /proc Filesystem*.
fn status(key: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

fn suite() {
    let scenarios = built_in();
    let jobs: Vec<(&Scenario, u64)> = scenarios
        .iter()
        .flat_map(|s| s.seeds.iter().map(move |seed| (s, *seed)))
        .collect();
    let (mut failed, mut virtual_seconds) = (0, 0.0);
    let begin = wall();
    run_many(
        &launch::instances(),
        &jobs,
        SUITE_THREADS,
        false,
        &mut |run: Run| {
            failed += u32::from(run.verdict != Verdict::Pass);
            virtual_seconds += run.end.as_duration().as_secs_f64();
            true
        },
    );
    let seconds = begin.elapsed().as_secs_f64();
    tell(
        "scenario suite, 2 threads",
        format!("{seconds:.1} s"),
        format!("<= {SUITE_SECONDS:.0} s"),
        seconds <= SUITE_SECONDS && failed == 0,
    );
    println!(
        "  ({} runs, {failed} failed, {virtual_seconds:.0} virtual seconds)",
        jobs.len()
    );
}

fn cargo_test(wanted: bool) {
    let name = "cargo test after build";
    let budget = format!("<= {TESTS_SECONDS:.0} s");
    if !wanted {
        return not_here(name, &budget, "cargo bench --bench budgets -- --tests");
    }
    let cargo = |arguments: &[&str]| {
        let status = Command::new(env!("CARGO")).args(arguments).status();
        status.is_ok_and(|status| status.success())
    };
    let built = cargo(&["test", "--quiet", "--no-run"]);
    let begin = wall();
    let passed = built && cargo(&["test", "--quiet"]);
    let seconds = begin.elapsed().as_secs_f64();
    tell(
        name,
        format!("{seconds:.0} s"),
        budget,
        passed && seconds <= TESTS_SECONDS,
    );
}

fn idle_for(seconds: u32) -> String {
    format!(
        "promise = \"A synchronized trio stays as it is.\"\nrisk = \"Nothing happens.\"\nsource = \"ours\"\n\
         extends = \"trio\"\nuntil = \"{seconds}s\"\n\n[[expect]]\nno_failover = true\n"
    )
}

fn hundred_for(seconds: u32) -> String {
    format!(
        "promise = \"A hundred synchronized databases stay as they are.\"\nrisk = \"Nothing happens.\"\nsource = \"ours\"\n\
         extends = \"trio_endpoints\"\nuntil = \"{seconds}s\"\n\n[[setup]]\n\
         mirror = {{ databases = 100, principal = \"alpha\", mirror = \"beta\", witness = \"gamma\" }}\n\n\
         [[expect]]\nno_failover = true\n"
    )
}

fn scenario(text: &str) -> Scenario {
    let mut library = Library::built_in();
    library.insert("budget", text);
    library
        .load("budget")
        .unwrap_or_else(|error| panic!("{}", error.report()))
}

fn built_in() -> Vec<Scenario> {
    let library = Library::built_in();
    let load = |name| {
        library
            .load(name)
            .unwrap_or_else(|error| panic!("{}", error.report()))
    };
    library.names().map(load).collect()
}

/// A run that must pass, and the processor seconds it took.
fn passing(scenario: &Scenario, seed: u64) -> (Run, f64) {
    let begin = Processor::now();
    let run = run(&launch::instances(), scenario, seed);
    let took = begin.seconds();
    assert!(run.verdict == Verdict::Pass, "seed {seed}: {:?}", run.failures);
    (run, took)
}

fn best(seconds: impl Iterator<Item = f64>) -> f64 {
    seconds.fold(f64::INFINITY, f64::min)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn wall() -> Instant {
    Instant::now()
}

/// Processor time of this thread, so that a busy machine disturbs less; wall time where the system does not tell.
struct Processor {
    wall: Instant,
    used: Option<u64>,
}

impl Processor {
    fn now() -> Self {
        Processor {
            wall: wall(),
            used: Self::used(),
        }
    }

    fn seconds(&self) -> f64 {
        match (self.used, Self::used()) {
            (Some(begin), Some(end)) => (end - begin) as f64 / 1e9,
            _ => self.wall.elapsed().as_secs_f64(),
        }
    }

    /// Nanoseconds so far. Source: documented, Linux, *Scheduler Statistics*.
    fn used() -> Option<u64> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split_whitespace().next()?.parse().ok()
    }
}
