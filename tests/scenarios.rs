//! One test per scenario file: at the first of its seeds the oracles hold, the expectations are met, and the transcript
//! equals its snapshot under `snapshots/`. All its seeds are what the main command plays, optimised.

use libtest_mimic::{Arguments, Failed, Trial};
use mirrorlab::sim::launch;
use mirrorlab::sim::render;
use mirrorlab::sim::runner::{Run, Verdict, run};
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
    let seed = scenario.seeds.first().ok_or("it lists no seed")?;
    let run = run(&launch::instances(), &scenario, *seed);
    compare(name, &render::snapshot(&scenario, &run));
    match run.verdict {
        Verdict::Pass => Ok(()),
        _ => Err(told(&run).into()),
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
