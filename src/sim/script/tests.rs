//! What happens by the clock while a step waits for its answer.

use std::time::Duration;

use crate::sim::launch;
use crate::sim::runner::{Run, Verdict, run};
use crate::sim::scenario::Library;
use crate::types::{Event, WorldEvent};

/// A statement whose own write takes the power away, until 6 s after the set-up.
fn waiting(more: &str) -> Run {
    let text = format!(
        r#"
promise = "A fault ends when it is to end."
risk = "A step waits for a statement that the fault cuts off."
source = "ours"
extends = "trio"
until = "20s"
settle = "60s"

[[step]]
at = "2s"
fault = {{ kind = "crash_at_write", system = "alpha", write = 1, kept = false, how = "power_loss", lasts = "4s" }}

[[step]]
at = "2s"
on = "alpha"
sql = "CREATE LOGIN late WITH PASSWORD = 'p4ssw0rd!';"
may_fail = true
{more}
[[expect]]
healed = true
"#
    );
    let mut library = Library::built_in();
    library.insert("script/waiting", &text);
    let scenario = library
        .load("script/waiting")
        .unwrap_or_else(|error| panic!("{}", error.report()));
    run(&launch::instances(), &scenario, 1)
}

/// When it happened, since the end of the set-up.
fn at(run: &Run, is: impl Fn(&Event) -> bool) -> Duration {
    let found = run.trace.events().iter().find(|e| is(&e.event));
    found.expect("it happened").at.since(run.setup_end)
}

#[test]
fn a_fault_ends_in_time_while_a_step_waits_for_its_answer() {
    let run = waiting("");
    assert_eq!(run.verdict, Verdict::Pass, "{:?}", run.failures);
    let ended = at(&run, |e| matches!(e, Event::World(WorldEvent::FaultEnded { .. })));
    assert_eq!(ended, Duration::from_secs(6));
}

#[test]
fn an_expectation_is_looked_at_in_time_while_a_step_waits_for_its_answer() {
    let more = "[[expect]]\nat = \"5s\"\non = \"alpha\"\nstate = \"SUSPENDED\"\n";
    let run = waiting(more);
    let [failure] = run.failures.as_slice() else {
        panic!("{:?}", run.failures)
    };
    assert_eq!(failure.check, "expectation");
    assert_eq!(failure.at.since(run.setup_end), Duration::from_secs(5));
}
