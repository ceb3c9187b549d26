//! One test per scenario file: at each listed seed the oracles hold and the expectations are met; at the first seed it runs
//! twice with equal traces, and the transcript equals its snapshot under `snapshots/`.

use libtest_mimic::{Arguments, Failed, Trial};
use mirrorlab::sim::launch;
use mirrorlab::sim::render;
use mirrorlab::sim::runner::{Run, Verdict, run, run_twice};
use mirrorlab::sim::scenario::Library;

fn main() {
    let args = Arguments::from_args();
    let library = Library::built_in();
    let trials = library
        .names()
        .map(|name| {
            let name = name.to_owned();
            Trial::test(name.clone(), move || test(&name))
        })
        .collect();
    libtest_mimic::run(&args, trials).exit();
}

fn test(name: &str) -> Result<(), Failed> {
    let scenario = Library::built_in().load(name).map_err(|error| error.report())?;
    let launch = launch::instances();
    let mut problems = String::new();
    for (i, seed) in scenario.seeds.iter().enumerate() {
        let run = match i {
            0 => run_twice(&launch, &scenario, *seed),
            _ => run(&launch, &scenario, *seed),
        };
        if run.verdict != Verdict::Pass {
            problems.push_str(&told(&run));
        }
        if i == 0 {
            compare(name, &render::snapshot(&scenario, &run));
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(problems.into()),
    }
}

fn told(run: &Run) -> String {
    format!("{}\n{}\n", run.repro, render::verdict(run))
}

/// `failover/automatic_on_kill` has its snapshot in `snapshots/failover/automatic_on_kill.snap`.
fn compare(name: &str, text: &str) {
    let (area, behaviour) = name.rsplit_once('/').unwrap_or(("", name));
    insta::with_settings!({
        snapshot_path => format!("{}/snapshots/{area}", env!("CARGO_MANIFEST_DIR")),
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!(behaviour, text);
    });
}
