//! The echo load on both kernels, and how much faster the event-driven world carries it.
//!
//! Prints virtual seconds per second for each and their ratio; the budget is 40. Measures, never judges.

use std::time::{Duration, Instant};

use mirrorlab::sim::echo::echo_load;
use mirrorlab::sim::kernel::Kernel;
use mirrorlab::sim::reference::Reference;
use mirrorlab::sim::world::World;

const VIRTUAL: Duration = Duration::from_secs(600);
const RUNS: u64 = 5;

fn main() {
    let world = fastest::<World>("event-driven world");
    let reference = fastest::<Reference>("turmoil::Sim");
    println!("{:<20} {:>10.1}", "ratio", reference / world);
}

/// The shortest of `RUNS` runs, in seconds.
fn fastest<K: Kernel>(name: &str) -> f64 {
    let best = (1..=RUNS).map(measure::<K>).fold(f64::INFINITY, f64::min);
    println!("{name:<20} {:>10.0} virtual s/s", VIRTUAL.as_secs_f64() / best);
    best
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn measure<K: Kernel>(seed: u64) -> f64 {
    let start = Instant::now();
    let answers = echo_load::<K>(seed, VIRTUAL).expect("the load runs");
    let took = start.elapsed().as_secs_f64();
    assert!(
        answers > 9_000,
        "only {answers} answers: the load was not carried"
    );
    took
}
