//! Verdicts, panics, nondeterminism and the order of results, with a launch that plays no world at all.

use std::cell::Cell;
use std::sync::Mutex;

use super::*;
use crate::sim::scenario::Library;
use crate::types::{Source, WorldEvent};

/// Records one step whose text is made of the scenario and the seed, then does as it is told.
struct Puppet<F: Fn(u64) -> Played + Sync>(F);

impl<F: Fn(u64) -> Played + Sync> Launch for Puppet<F> {
    fn play(&self, scenario: &Scenario, seed: u64, recorder: &Recorder) -> Played {
        let text = format!("{} {seed}", scenario.name);
        recorder.record(Timestamp::from_secs(1), Source::World, WorldEvent::Step { text });
        (self.0)(seed)
    }
}

fn scenario() -> Scenario {
    let library = Library::built_in();
    let name = library.names().next().map(str::to_owned).unwrap_or_default();
    library.load(&name).unwrap_or_else(|e| panic!("{}", e.report()))
}

fn with_fault(took_effect: u32) -> Played {
    Played {
        faults: BTreeMap::from([(
            "kill".to_owned(),
            FaultCount {
                fired: 1,
                took_effect,
            },
        )]),
        ..Played::default()
    }
}

#[test]
fn a_fault_that_changed_nothing_makes_a_run_vacuous() {
    let scenario = scenario();
    let verdict = |took_effect| run(&Puppet(|_| with_fault(took_effect)), &scenario, 1).verdict;
    assert_eq!(verdict(1), Verdict::Pass);
    assert_eq!(verdict(0), Verdict::Vacuous);
}

#[test]
fn a_failure_outweighs_vacuity() {
    let failing = Puppet(|_| Played {
        failures: vec![Failure {
            check: "steps".into(),
            fingerprint: "steps/x".into(),
            message: "x".into(),
            at: Timestamp::ZERO,
        }],
        ..with_fault(0)
    });
    assert_eq!(run(&failing, &scenario(), 1).verdict, Verdict::Fail);
}

#[test]
fn a_panic_becomes_a_failure_and_the_trace_is_kept() {
    let panicking = Puppet(|seed| panic!("seed {seed} is unlucky"));
    let run = run(&panicking, &scenario(), 7);
    assert_eq!(run.verdict, Verdict::Fail);
    assert_eq!(run.trace.events().len(), 1);
    let [failure] = run.failures.as_slice() else {
        panic!("{:?}", run.failures)
    };
    assert_eq!(failure.check, "panic");
    assert_eq!(failure.message, "seed 7 is unlucky");
}

#[test]
fn a_run_says_how_to_see_it_again() {
    let run = run(&Puppet(|_| Played::default()), &scenario(), 7);
    assert_eq!(run.repro, format!("mirrorlab repro {}@7", run.scenario));
}

/// Says something else each time.
struct Fickle(Mutex<u64>);

impl Launch for Fickle {
    fn play(&self, _: &Scenario, _: u64, recorder: &Recorder) -> Played {
        let mut times = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *times += 1;
        let text = times.to_string();
        recorder.record(Timestamp::ZERO, Source::World, WorldEvent::Step { text });
        Played::default()
    }
}

#[test]
fn two_traces_of_one_seed_are_nondeterminism() {
    let run = run_twice(&Fickle(Mutex::new(0)), &scenario(), 1);
    assert_eq!(run.verdict, Verdict::Nondeterministic);
    assert!(
        run.failures
            .iter()
            .any(|f| f.message.starts_with("line 1 of the trace"))
    );
    let same = run_twice(&Puppet(|_| Played::default()), &scenario(), 1);
    assert_eq!(same.verdict, Verdict::Pass);
}

#[test]
fn results_come_in_the_order_of_the_jobs_whatever_the_threads_do() {
    let scenario = scenario();
    let jobs: Vec<(&Scenario, u64)> = (0..40).map(|seed| (&scenario, seed)).collect();
    for threads in [1, 4] {
        let mut seeds = Vec::new();
        run_many(
            &Puppet(|_| Played::default()),
            &jobs,
            threads,
            false,
            &mut |run| {
                seeds.push(run.seed);
                true
            },
        );
        assert_eq!(seeds, (0..40).collect::<Vec<_>>());
    }
}

#[test]
fn nothing_more_is_handed_out_after_a_refusal() {
    let scenario = scenario();
    let jobs: Vec<(&Scenario, u64)> = (0..40).map(|seed| (&scenario, seed)).collect();
    let told = Cell::new(0);
    let mut count = 0;
    run_many(&Puppet(|_| Played::default()), &jobs, 4, false, &mut |_| {
        count += 1;
        count < 3
    });
    told.set(count);
    assert_eq!(told.get(), 3);
}
