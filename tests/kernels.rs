//! The second opinion: scenarios end the same inside `turmoil::Sim` as in the event-driven world.
//!
//! Packets, latencies and timers differ, so times and the number of transactions differ. Roles, states, role sequences,
//! witness states, the errors in each log, the errors of T-SQL and the data must not. Beside the scenario's own clients,
//! rows with negative keys are written at fixed places, so that the data of both can be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use mirrorlab::sim::launch;
use mirrorlab::sim::runner::{Launch, Run, Verdict, run, run_twice};
use mirrorlab::sim::scenario::{Action, Begin, Expect, Expectation, Library, Must, Scenario, Step};
use mirrorlab::types::{ClientEvent, Event, InstanceEvent, InstanceName, Source};

const SEED: u64 = 1;

#[test]
fn automatic_failover_after_a_kill() {
    same_with_data("failover/automatic_on_kill", "alpha", "beta");
}

#[test]
fn automatic_failover_after_the_endpoint_was_stopped() {
    same_with_data("failover/automatic_on_endpoint_stopped", "alpha", "beta");
}

#[test]
fn automatic_failover_after_power_loss() {
    same_with_data("failover/automatic_on_power_loss", "alpha", "beta");
}

#[test]
fn manual_failover_and_back_under_load() {
    same_with_data("failover/manual_and_back_under_load", "alpha", "alpha");
}

#[test]
fn partners_cut_apart_while_both_see_the_witness() {
    same_with_data("quorum/partners_cut_apart_witness_sees_both", "alpha", "alpha");
}

#[test]
fn a_login_without_connect() {
    let scenario = load("security/login_without_connect");
    let [world, reference] = both(&scenario);
    assert_eq!(outcome(&world), outcome(&reference));
    let batches = batch_errors(&world);
    assert_eq!(batches, [("alpha".to_owned(), 1418)]);
    assert_eq!(batch_errors(&reference), batches);
}

#[test]
fn the_reference_is_deterministic_too() {
    let scenario = load("failover/automatic_on_kill");
    let run = run_twice(&launch::second_opinion(), &scenario, 2);
    assert_eq!(run.verdict, Verdict::Pass, "{:?}", run.failures);
}

#[test]
fn the_command_line_selects_the_kernel_and_names_faults_it_cannot_do() {
    let mirrorlab = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_mirrorlab"))
            .args(args)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("the program runs");
        let text = |bytes| String::from_utf8(bytes).expect("messages are UTF-8");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let name = "security/login_without_connect";
    let (code, out, err) = mirrorlab(&[
        "run", name, "--seed", "1", "--kernel", "turmoil", "--format", "json",
    ]);
    assert_eq!(code, Some(0), "{out}{err}");
    let repro = format!("mirrorlab repro {name}@1 --kernel turmoil");
    assert!(out.contains(&repro), "{out}");
    let trace_of = |kernel: &str| mirrorlab(&["repro", &format!("{name}@1"), "--kernel", kernel]).1;
    assert_ne!(trace_of("event"), trace_of("turmoil"));

    let firewall = "firewall/both_ways_dropped_longer_than_timeout";
    for command in [
        vec!["run", firewall],
        vec!["repro", "firewall/both_ways_dropped_longer_than_timeout@1"],
    ] {
        let (code, out, err) = mirrorlab(&[command.as_slice(), &["--kernel", "turmoil"]].concat());
        assert_eq!(code, Some(2), "{out}{err}");
        assert_eq!(out, "");
        assert!(err.contains(firewall), "{err}");
        assert!(
            err.contains("the turmoil kernel cannot do its fault `drop alpha both ways"),
            "{err}"
        );
        assert!(err.contains("--kernel event"), "{err}");
    }
}

/// Runs a scenario about database Sales on both kernels and compares everything that does not depend on time.
fn same_with_data(name: &str, first_principal: &str, last_principal: &str) {
    let mut scenario = load(name);
    let first_step = at_of(&scenario);
    write_at_fixed_places(&mut scenario, first_principal, last_principal);
    let [world, reference] = both(&scenario);
    assert_eq!(outcome(&world), outcome(&reference), "{name}");
    let (one, other) = (submitted(&world, first_step), submitted(&reference, first_step));
    let shared = one.len().min(other.len());
    assert!(
        shared > 50,
        "{name}: {} and {} transactions",
        one.len(),
        other.len()
    );
    assert_eq!(one[..shared], other[..shared], "{name}");
}

fn load(name: &str) -> Scenario {
    Library::built_in()
        .load(name)
        .unwrap_or_else(|error| panic!("{}", error.report()))
}

/// When the scenario's first step begins.
fn at_of(scenario: &Scenario) -> Duration {
    match scenario.steps.first().map(|step| &step.begin) {
        Some(Begin::At(at)) => *at,
        other => panic!("{}: the first step begins {other:?}", scenario.name),
    }
}

/// Rows are inserted before the first step and after the last, and read at the very end.
fn write_at_fixed_places(scenario: &mut Scenario, first_principal: &str, last_principal: &str) {
    let sql = |begin, on: &str, sql: &str| Step {
        begin,
        action: Action::Sql {
            on: InstanceName::new(on),
            login: "sa".to_owned(),
            sql: format!("USE Sales; {sql}"),
            must: Must::Succeed,
        },
    };
    let before =
        "INSERT INTO Ledger (id, value) VALUES (-1, 10); INSERT INTO Ledger (id, value) VALUES (-2, 20);";
    let after = "INSERT INTO Ledger (id, value) VALUES (-3, 30); UPDATE Ledger SET value = 11 WHERE id = -1;";
    let end = Begin::At(scenario.until - Duration::from_secs(1));
    scenario
        .steps
        .insert(0, sql(Begin::At(Duration::from_secs(5)), first_principal, before));
    scenario.steps.push(sql(end, last_principal, after));
    let row = |id: &str, value: &str| vec![id.to_owned(), value.to_owned()];
    scenario.expects.push(Expect {
        at: None,
        what: Expectation::Rows {
            login: "sa".to_owned(),
            on: InstanceName::new(last_principal),
            query: "USE Sales; SELECT id, value FROM Ledger WHERE id < 0 ORDER BY id DESC".to_owned(),
            rows: vec![row("-1", "11"), row("-2", "20"), row("-3", "30")],
        },
    });
}

/// The run in the event-driven world and the one inside `turmoil::Sim`; both must pass.
fn both(scenario: &Scenario) -> [Run; 2] {
    let launches: [&dyn Launch; 2] = [&launch::instances(), &launch::second_opinion()];
    launches.map(|launch| {
        let run = run(launch, scenario, SEED);
        assert_eq!(run.verdict, Verdict::Pass, "{}: {:#?}", run.repro, run.failures);
        run
    })
}

/// What must not depend on the kernel.
#[derive(Debug, PartialEq)]
struct Outcome {
    /// Roles, states, role sequences, witness states: what the views of each instance say at the end.
    views: BTreeMap<String, Vec<String>>,
    /// The numbers in each instance's error log.
    logged: BTreeSet<(String, u32)>,
    /// What the scenario's own batches ended in.
    batches: Vec<(String, u32)>,
    faults: BTreeMap<String, (u32, u32)>,
}

fn outcome(run: &Run) -> Outcome {
    let views = run.views.iter();
    let faults = run.faults.iter();
    Outcome {
        views: views
            .map(|view| (view.instance.to_string(), view.lines.clone()))
            .collect(),
        logged: run.trace.events().iter().filter_map(logged).collect(),
        batches: batch_errors(run),
        faults: faults
            .map(|(kind, count)| (kind.clone(), (count.fired, count.took_effect)))
            .collect(),
    }
}

fn logged(stamped: &mirrorlab::types::Stamped) -> Option<(String, u32)> {
    match (&stamped.source, &stamped.event) {
        (Source::Instance(name), Event::Instance(InstanceEvent::ErrorLog { number, .. })) => {
            Some((name.to_string(), *number))
        }
        _ => None,
    }
}

fn batch_errors(run: &Run) -> Vec<(String, u32)> {
    let error = |event: &Event| match event {
        Event::Client(ClientEvent::Batch { on, reply }) => Some((on.to_string(), reply.error()?.number)),
        _ => None,
    };
    run.trace
        .events()
        .iter()
        .filter_map(|e| error(&e.event))
        .collect()
}

/// What the clients asked for before the scenario's first step.
fn submitted(run: &Run, before: Duration) -> Vec<String> {
    let end = run.setup_end + before;
    let text = |event: &Event| match event {
        Event::Client(ClientEvent::Submitted { operation, .. }) => Some(operation.clone()),
        _ => None,
    };
    let events = run.trace.events().iter();
    events
        .filter(|e| e.at < end)
        .filter_map(|e| text(&e.event))
        .collect()
}
