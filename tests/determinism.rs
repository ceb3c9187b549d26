//! A run is a function of scenario and seed: alone, after other seeds, on several threads at once, in a second process.

use std::process::Command;

use mirrorlab::sim::launch;
use mirrorlab::sim::runner::{Run, first_difference, run, run_many};
use mirrorlab::sim::scenario::{Library, Scenario};

const NAME: &str = "failover/automatic_on_power_loss";
const SEED: u64 = 7;

fn scenario() -> Scenario {
    Library::built_in()
        .load(NAME)
        .unwrap_or_else(|error| panic!("{}", error.report()))
}

fn assert_same(one: &Run, other: &Run, circumstance: &str) {
    if let Some((line, a, b)) = first_difference(&one.trace, &other.trace) {
        panic!("{circumstance}: line {line} of the trace was\n  {a}\nand then\n  {b}");
    }
    assert_eq!(one.trace_hash, other.trace_hash, "{circumstance}");
}

#[test]
fn the_same_seed_gives_the_same_trace_alone_and_after_others() {
    let (launch, scenario) = (launch::instances(), scenario());
    let first = run(&launch, &scenario, SEED);
    assert!(first.trace.events().len() > 100, "{:?}", first.failures);
    assert_same(&first, &run(&launch, &scenario, SEED), "again");
    for other in [1, 2, 3] {
        run(&launch, &scenario, other);
    }
    assert_same(&first, &run(&launch, &scenario, SEED), "after other seeds");
}

#[test]
fn threads_do_not_see_each_other() {
    let (launch, scenario) = (launch::instances(), scenario());
    let alone = run(&launch, &scenario, SEED);
    let jobs: Vec<(&Scenario, u64)> = [SEED, 1, SEED, 2, SEED, 3, SEED, SEED]
        .into_iter()
        .map(|seed| (&scenario, seed))
        .collect();
    run_many(&launch, &jobs, 4, false, &mut |run| {
        if run.seed == SEED {
            assert_same(&alone, &run, "on one of four threads");
        }
        true
    });
}

#[test]
fn different_seeds_give_different_traces() {
    let (launch, scenario) = (launch::instances(), scenario());
    let hashes: std::collections::BTreeSet<String> = (1..=4)
        .map(|seed| run(&launch, &scenario, seed).trace_hash)
        .collect();
    assert_eq!(hashes.len(), 4);
}

#[test]
fn a_second_process_gives_the_same_trace() {
    let here = run(&launch::instances(), &scenario(), SEED);
    let seed = SEED.to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_mirrorlab"))
        .args(["run", NAME, "--seed", &seed, "--format", "json"])
        .output()
        .expect("the program runs");
    let line = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let there: serde_json::Value = serde_json::from_str(&line).expect(&line);
    assert_eq!(there["trace_hash"], here.trace_hash);
    assert_eq!(there["seed"], SEED);
}
