//! `(scenario, seed) -> Run`: a verdict, a trace, and what made it so.
//!
//! How instances come to life is a [`Launch`]; this file catches panics, asks the oracles, weighs failures and faults into
//! one verdict, runs twice to find nondeterminism, and runs many on threads with the results in a fixed order.
//! Source: ours.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde::Serialize;

use super::oracle;
use super::scenario::Scenario;
use super::script::Played;
use super::trace::{Recorder, Trace};
use crate::types::{InstanceName, Timestamp};

/// Plays one scenario with one seed in a world of its own.
pub trait Launch: Sync {
    /// Build the world, play the scenario in it and return when it is over. Everything that happens goes to `recorder`;
    /// `packets` and the like are not part of a run. May panic; the runner makes a failure of it.
    fn play(&self, scenario: &Scenario, seed: u64, recorder: &Recorder) -> Played;

    /// Why it cannot play this scenario, if it cannot.
    fn refusal(&self, _scenario: &Scenario) -> Option<String> {
        None
    }

    /// Whether it has packets to capture.
    fn has_wire(&self) -> bool {
        true
    }

    /// How the command line calls it, if it is not the default: ` --kernel turmoil`.
    fn repro_arguments(&self) -> &'static str {
        ""
    }
}

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Pass,
    /// A fault did not fire or changed nothing: whatever was seen proves nothing.
    Vacuous,
    /// A promise broke or an expectation failed.
    Fail,
    /// The same scenario and seed gave two different traces.
    Nondeterministic,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Vacuous => "vacuous",
            Verdict::Fail => "fail",
            Verdict::Nondeterministic => "nondeterministic",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One thing that was not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The oracle's name, or `set-up`, `steps`, `expectation`, `panic`.
    pub check: String,
    /// The same for every occurrence of one mistake.
    pub fingerprint: String,
    pub message: String,
    pub at: Timestamp,
}

/// How often faults of one kind were fired, and how many of these changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct FaultCount {
    pub fired: u32,
    pub took_effect: u32,
}

/// What the views of one instance said at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalView {
    pub instance: InstanceName,
    pub lines: Vec<String>,
}

/// One run.
#[derive(Debug, Clone)]
pub struct Run {
    pub scenario: String,
    pub seed: u64,
    pub verdict: Verdict,
    pub failures: Vec<Failure>,
    pub trace: Trace,
    pub trace_hash: String,
    /// When the set-up was complete: zero of the scenario's times.
    pub setup_end: Timestamp,
    /// Virtual time at the end.
    pub end: Timestamp,
    /// How long the machine took. Not part of what a run *is*.
    pub wall: Duration,
    pub faults: BTreeMap<String, FaultCount>,
    pub views: Vec<FinalView>,
    /// The command that shows this run again.
    pub repro: String,
}

/// Runs `scenario` once with `seed`.
pub fn run(launch: &dyn Launch, scenario: &Scenario, seed: u64) -> Run {
    recorded(launch, scenario, seed, &Recorder::new(oracle::all()))
}

/// As [`run`], and the packets of the wire as a pcap file.
pub fn run_captured(launch: &dyn Launch, scenario: &Scenario, seed: u64) -> (Run, Vec<u8>) {
    let recorder = Recorder::capturing(oracle::all());
    let run = recorded(launch, scenario, seed, &recorder);
    (run, recorder.take_capture())
}

fn recorded(launch: &dyn Launch, scenario: &Scenario, seed: u64, recorder: &Recorder) -> Run {
    let clock = wall_clock();
    let played = catch_unwind(AssertUnwindSafe(|| launch.play(scenario, seed, recorder)));
    let (mut played, panic) = match played {
        Ok(played) => (played, None),
        Err(payload) => (Played::default(), Some(panic_text(payload.as_ref()))),
    };
    let (trace, violations) = recorder.finish(&played.end);
    let last = trace.events().last().map_or(Timestamp::ZERO, |e| e.at);
    if let Some(message) = panic {
        played.failures.push(Failure {
            check: "panic".into(),
            fingerprint: format!("panic/{}", message.lines().next().unwrap_or_default()),
            message,
            at: last,
        });
    }
    played.failures.extend(violations.into_iter().map(|v| Failure {
        check: v.oracle.to_owned(),
        fingerprint: v.fingerprint,
        message: v.message,
        at: v.at,
    }));
    let idle = played.faults.values().any(|c| c.took_effect < c.fired);
    let verdict = match (played.failures.is_empty(), idle) {
        (false, _) => Verdict::Fail,
        (true, true) => Verdict::Vacuous,
        (true, false) => Verdict::Pass,
    };
    Run {
        scenario: scenario.name.clone(),
        seed,
        verdict,
        failures: played.failures,
        trace_hash: trace.hash(),
        trace,
        setup_end: played.setup_end.unwrap_or_default(),
        end: played.end.at.max(last),
        wall: clock(),
        faults: played.faults,
        views: played.views,
        repro: format!(
            "mirrorlab repro {}@{seed}{}",
            scenario.call,
            launch.repro_arguments()
        ),
    }
}

/// Runs `scenario` twice with `seed`; a difference between the traces is its own verdict.
pub fn run_twice(launch: &dyn Launch, scenario: &Scenario, seed: u64) -> Run {
    let mut first = run(launch, scenario, seed);
    let second = run(launch, scenario, seed);
    first.wall += second.wall;
    if first.trace_hash != second.trace_hash {
        let message = match first_difference(&first.trace, &second.trace) {
            Some((line, one, other)) => {
                format!("line {line} of the trace was\n  {one}\nand then\n  {other}")
            }
            None => "the traces differ in their bytes only".into(),
        };
        first.verdict = Verdict::Nondeterministic;
        first.failures.push(Failure {
            check: "determinism".into(),
            fingerprint: "determinism/traces differ".into(),
            message,
            at: first.end,
        });
    }
    first
}

/// Runs each job on one of `threads` threads and hands the results to `done` in the order of the jobs.
///
/// `done` is called on the calling thread's behalf, one call at a time, as soon as all jobs before have been handed out;
/// if it answers false the jobs that have not begun are not run.
pub fn run_many(
    launch: &dyn Launch,
    jobs: &[(&Scenario, u64)],
    threads: usize,
    twice: bool,
    done: &mut (dyn FnMut(Run) -> bool + Send),
) {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let hand_out = Mutex::new((0, BTreeMap::new(), done));
    let work = || {
        while !stop.load(Ordering::SeqCst) {
            let index = next.fetch_add(1, Ordering::SeqCst);
            let Some((scenario, seed)) = jobs.get(index) else {
                return;
            };
            let run = match twice {
                true => run_twice(launch, scenario, *seed),
                false => run(launch, scenario, *seed),
            };
            let Ok(mut guard) = hand_out.lock() else { return };
            let (expected, ready, done) = &mut *guard;
            ready.insert(index, run);
            while let Some(run) = ready.remove(expected) {
                *expected += 1;
                if !stop.load(Ordering::SeqCst) && !done(run) {
                    stop.store(true, Ordering::SeqCst);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.clamp(1, jobs.len().max(1)) {
            scope.spawn(work);
        }
        work();
    });
}

/// The first line in which two traces differ, counted from 1, and what each says there.
pub fn first_difference(one: &Trace, other: &Trace) -> Option<(usize, String, String)> {
    let (one, other) = (one.to_json_lines(), other.to_json_lines());
    let (mut a, mut b) = (one.lines(), other.lines());
    let mut line = 0;
    loop {
        line += 1;
        match (a.next(), b.next()) {
            (None, None) => return None,
            (x, y) if x == y => {}
            (x, y) => {
                let text = |t: Option<&str>| t.unwrap_or("(the end)").to_owned();
                return Some((line, text(x), text(y)));
            }
        }
    }
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).to_owned()))
        .unwrap_or_else(|| "a panic without a message".into())
}

/// Starts measuring; the result tells the time since.
#[expect(
    clippy::disallowed_methods,
    reason = "how long a run took is told to people and reaches no trace"
)]
fn wall_clock() -> impl FnOnce() -> Duration {
    let started = std::time::Instant::now();
    move || started.elapsed()
}

#[cfg(test)]
mod tests;
