//! Every crash point of a commit, of each role switch and of the commands that are recorded: power loss and process death in
//! the middle of each durable write, on the principal, the mirror and the witness, with that write kept and with it lost.
//!
//! Each reference (`references.rs`) is a short client load over the trio in high-safety mode with automatic failover. For each
//! system the writes are crossed one by one until a run makes none that is left to crash in. In every run the oracles hold
//! (no acknowledged commit is lost, nobody hardens what was not generated, the session heals), and the table at the end
//! says how many points were crossed.

mod references;

use std::fmt::Write as _;

use mirrorlab::sim::launch;
use mirrorlab::sim::render;
use mirrorlab::sim::runner::{Run, Verdict, run_many};
use mirrorlab::sim::scenario::{Library, Scenario};
use mirrorlab::types::{ClientEvent, Event, InstanceName, SessionEvent, Source};
use references::{
    AUTOMATIC_FAILOVER, COMMIT, FORCED_SERVICE, MANUAL_FAILOVER, Reference, SAFETY, SUSPENSION, TRUNCATION,
    WITNESS,
};

const SYSTEMS: [&str; 3] = ["alpha", "beta", "gamma"];
const WAYS: [&str; 2] = ["kill", "power_loss"];

/// No reference makes more durable writes than this on one system.
const WRITES_MAX: u32 = 200;

/// Runs that are played at the same time.
const THREADS: usize = 2;

/// A short load from before the crash on; the session is left alone for long enough to heal.
fn point(reference: &Reference, system: &str, how: &str, kept: bool, write: u32) -> String {
    let Reference {
        risk,
        before,
        crash_at,
        until,
        steps,
        ..
    } = reference;
    let rows: Vec<String> = (1..=250).map(|id| format!("({id}, 0)")).collect();
    let steps = steps.replace("ROWS", &rows.join(", "));
    format!(
        r#"
promise = "No acknowledged commit is lost, and the session heals, whichever durable write is the last."
risk = "{risk}"
source = "ours"
extends = "trio"
until = "{until}"
settle = "50s"

[[client]]
name = "app"
initial = "alpha"
failover_partner = "beta"
rate = 4
mix = {{ insert = 2, update = 1, transfer = 1, read = 1 }}
until = "3s"

{before}
[[step]]
at = "{crash_at}"
fault = {{ kind = "crash_at_write", system = "{system}", write = {write}, kept = {kept}, how = "{how}", lasts = "12s" }}
{steps}
[[expect]]
healed = true
"#
    )
}

fn scenario(text: &str) -> Scenario {
    let mut library = Library::built_in();
    library.insert("crash_points/point", text);
    library
        .load("crash_points/point")
        .unwrap_or_else(|error| panic!("{}", error.report()))
}

/// What became of the points of one system, one way to go down and one outcome of the write.
#[derive(Default)]
struct Crossed {
    points: u32,
    acknowledged: u32,
    in_doubt: u32,
}

#[test]
fn no_crash_in_a_write_of_a_commit_loses_what_was_acknowledged() {
    enumerate(&COMMIT);
}

#[test]
fn no_crash_in_a_write_of_a_manual_failover_loses_what_was_acknowledged() {
    enumerate(&MANUAL_FAILOVER);
}

#[test]
fn no_crash_in_a_write_of_an_automatic_failover_loses_what_was_acknowledged() {
    enumerate(&AUTOMATIC_FAILOVER);
}

#[test]
fn no_crash_in_a_write_of_a_forced_service_loses_more_than_it_may() {
    enumerate(&FORCED_SERVICE);
}

#[test]
fn no_crash_in_a_write_of_a_suspension_loses_what_was_acknowledged() {
    enumerate(&SUSPENSION);
}

#[test]
fn no_crash_in_a_write_of_a_change_of_safety_loses_what_was_acknowledged() {
    enumerate(&SAFETY);
}

#[test]
fn no_crash_in_a_write_of_a_change_of_witness_loses_what_was_acknowledged() {
    enumerate(&WITNESS);
}

#[test]
fn no_crash_in_a_write_of_a_truncation_loses_what_was_acknowledged() {
    enumerate(&TRUNCATION);
    // Without any crash the principal gives log up, so the points above are those of a truncation.
    let undisturbed = scenario(&point(&TRUNCATION, "gamma", "kill", true, WRITES_MAX));
    let run = mirrorlab::sim::runner::run(&launch::instances(), &undisturbed, 1);
    let who = Source::Instance(InstanceName::new("alpha"));
    let gave_up = run
        .trace
        .events()
        .iter()
        .any(|e| e.source == who && matches!(e.event, Event::Session(SessionEvent::LogTruncated { .. })));
    assert!(gave_up, "alpha gave up no log");
}

/// Crosses every point of the reference; the table of what was crossed is a snapshot.
fn enumerate(reference: &Reference) {
    let mut table = String::from("system  goes down by  the write is  points  acknowledged  in doubt\n");
    let mut total = 0;
    for system in SYSTEMS {
        for how in WAYS {
            for kept in [false, true] {
                let crossed = cross(&|write| point(reference, system, how, kept, write));
                total += crossed.points;
                let outcome = if kept { "kept" } else { "lost" };
                writeln!(
                    table,
                    "{system:<6}  {how:<12}  {outcome:<12}  {:>6}  {:>12}  {:>8}",
                    crossed.points, crossed.acknowledged, crossed.in_doubt
                )
                .expect("a String takes everything");
            }
        }
    }
    writeln!(table, "{total} points crossed, no acknowledged commit lost")
        .expect("a String takes everything");
    insta::with_settings!({
        snapshot_path => format!("{}/snapshots/crash_points", env!("CARGO_MANIFEST_DIR")),
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!(reference.name, table);
    });
}

/// Crashes in write after write, until a run has made fewer than it should crash in.
fn cross(text: &dyn Fn(u32) -> String) -> Crossed {
    let mut crossed = Crossed::default();
    let mut next = 1;
    loop {
        assert!(next <= WRITES_MAX, "the reference never ends its writes");
        let points: Vec<Scenario> = (next..next + THREADS as u32)
            .map(|write| scenario(&text(write)))
            .collect();
        let jobs: Vec<(&Scenario, u64)> = points.iter().map(|point| (point, 1)).collect();
        let mut runs = Vec::new();
        run_many(&launch::instances(), &jobs, THREADS, false, &mut |run| {
            runs.push(run);
            true
        });
        for (run, write) in runs.iter().zip(next..) {
            match run.verdict {
                Verdict::Pass => crossed.count(run),
                // The reference made fewer writes: all points are crossed.
                Verdict::Vacuous => return crossed,
                Verdict::Fail | Verdict::Nondeterministic => {
                    panic!("{}\n{}", text(write), render::verdict(run));
                }
            }
        }
        next += THREADS as u32;
    }
}

impl Crossed {
    fn count(&mut self, run: &Run) {
        self.points += 1;
        for stamped in run.trace.events() {
            match &stamped.event {
                Event::Client(ClientEvent::Acknowledged { .. }) => self.acknowledged += 1,
                Event::Client(ClientEvent::InDoubt { .. }) => self.in_doubt += 1,
                _ => {}
            }
        }
    }
}
