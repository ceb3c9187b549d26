//! Exploration: drawn fault plans over the trio with client load; the oracles judge, and the session must heal.
//!
//! The plans are the same in every run unless `MIRRORLAB_EXPLORE_SEED` (a number) or `MIRRORLAB_EXPLORE_PLANS` (how many,
//! 100 if absent) says otherwise. A failure is shrunk, printed as a complete scenario, and kept in a file that
//! `mirrorlab run` takes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mirrorlab::sim::fault::{Crash, Direction, Fault, FirewallFault, MiddleFault, PortSpec};
use mirrorlab::sim::launch;
use mirrorlab::sim::plan::{Deed, Encrypt, Plan, Statement, What};
use mirrorlab::sim::render;
use mirrorlab::sim::runner::{Run, Verdict, run};
use mirrorlab::sim::scenario::Library;
use mirrorlab::sim::world::Meddling;
use mirrorlab::types::InstanceName;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

const PLANS: u32 = 100;

/// How many tests share the plans, so that they run at the same time.
const SHARES: u32 = 2;

const TRIO: [&str; 3] = ["alpha", "beta", "gamma"];

#[test]
fn drawn_plans_break_no_promise_and_heal() {
    explore(0);
}

#[test]
fn other_drawn_plans_break_no_promise_and_heal() {
    explore(1);
}

fn explore(share: u64) {
    let seed = number_from("MIRRORLAB_EXPLORE_SEED").unwrap_or(0);
    let plans = number_from("MIRRORLAB_EXPLORE_PLANS")
        .unwrap_or(PLANS)
        .div_ceil(SHARES);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(u64::from(seed) * u64::from(SHARES) + share).to_le_bytes());
    let config = Config {
        cases: plans,
        failure_persistence: None,
        max_shrink_iters: 300,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let outcome = runner.run(&plan(), |plan| {
        let run = carry_out(&plan);
        match run.verdict {
            // A fault that met nothing to break is no news in a drawn plan.
            Verdict::Pass | Verdict::Vacuous => Ok(()),
            Verdict::Fail | Verdict::Nondeterministic => Err(TestCaseError::fail(reasons(&run))),
        }
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, plan)) => panic!("{}", told(&plan, &reason.to_string())),
        Err(TestError::Abort(reason)) => panic!("no plans could be drawn: {reason}"),
    }
}

/// The first failure of each kind.
fn reasons(run: &Run) -> String {
    let mut first = run.clone();
    let mut seen = std::collections::BTreeSet::new();
    first
        .failures
        .retain(|failure| seen.insert(failure.fingerprint.clone()));
    render::verdict(&first)
}

#[expect(
    clippy::disallowed_methods,
    reason = "how far to explore is up to whoever runs the tests; a plan, once drawn, knows nothing of it"
)]
fn number_from(variable: &str) -> Option<u32> {
    let text = std::env::var(variable).ok()?;
    match text.parse() {
        Ok(number) => Some(number),
        Err(_) => panic!("{variable} is '{text}', which is not a number"),
    }
}

fn carry_out(plan: &Plan) -> Run {
    let mut library = Library::built_in();
    library.insert("explore/plan", &plan.to_toml());
    let scenario = library
        .load("explore/plan")
        .unwrap_or_else(|error| panic!("{}\n{}", error.report(), plan.to_toml()));
    run(&launch::instances(), &scenario, plan.seed)
}

/// Keeps the scenario, and says how to see it again.
fn told(plan: &Plan, reason: &str) -> String {
    let toml = plan.to_toml();
    let file = format!("plan_{:016x}.toml", fingerprint(&toml));
    let path: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
    let kept = match std::fs::write(&path, &toml) {
        Ok(()) => format!("mirrorlab run {}", path.display()),
        Err(error) => format!("{} could not be written: {error}", path.display()),
    };
    format!("{reason}\n\n{toml}\nrepro     {kept}\n")
}

fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn plan() -> impl Strategy<Value = Plan> {
    (
        1..1_000_000u64,
        prop::collection::vec(deed(), 1..6),
        any::<bool>(),
    )
        .prop_map(|(seed, mut deeds, there_and_back)| {
            promise_no_more_than_clear_text_does(&mut deeds);
            Plan {
                seed,
                rate: 4,
                deeds,
                there_and_back,
            }
        })
}

/// Where endpoints may be told not to encrypt, a man in the middle who mends what he alters is not noticed: there he only
/// loses bytes.
fn promise_no_more_than_clear_text_does(deeds: &mut [Deed]) {
    let clear = |deed: &Deed| {
        matches!(
            deed.what,
            What::Sql {
                statement: Statement::Encrypt(Encrypt::Disabled),
                ..
            }
        )
    };
    if !deeds.iter().any(clear) {
        return;
    }
    for deed in deeds {
        if let What::Fault {
            fault: Fault::Meddle(middle),
            ..
        } = &mut deed.what
        {
            middle.how = Meddling::DropBytes;
        }
    }
}

fn deed() -> impl Strategy<Value = Deed> {
    let after = prop_oneof![
        1 => Just(Duration::ZERO),
        2 => (1..40u64).prop_map(|n| Duration::from_millis(n * 5)),
        4 => (1..25u64).prop_map(Duration::from_secs),
    ];
    (after, what()).prop_map(|(after, what)| Deed { after, what })
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        2 => (fault(), lasts()).prop_map(|(fault, lasts)| What::Fault {
            lasts: fault.lasts().then_some(lasts),
            fault,
        }),
        1 => (select(&TRIO[..]), statement()).prop_map(|(on, statement)| What::Sql {
            on: InstanceName::new(on),
            statement,
        }),
    ]
}

fn lasts() -> impl Strategy<Value = Duration> {
    prop_oneof![
        1 => (1..20u64).prop_map(|n| Duration::from_millis(n * 100)),
        3 => (1..40u64).prop_map(Duration::from_secs),
    ]
}

fn system() -> impl Strategy<Value = String> {
    select(&TRIO[..]).prop_map(str::to_owned)
}

/// Two different systems.
fn pair() -> impl Strategy<Value = (String, String)> {
    (0..3usize, 1..3usize).prop_map(|(one, other)| (TRIO[one].to_owned(), TRIO[(one + other) % 3].to_owned()))
}

fn firewall() -> impl Strategy<Value = FirewallFault> {
    let direction = select(&[Direction::In, Direction::Out, Direction::Both][..]);
    (pair(), direction, any::<bool>()).prop_map(|((system, peer), direction, one_peer)| FirewallFault {
        systems: vec![system],
        direction,
        port: PortSpec::Port(7022),
        peer: one_peer.then_some(peer),
    })
}

/// A man between two systems, on the way to the port of the endpoint of the second, be anybody there or not.
fn meddling() -> impl Strategy<Value = MiddleFault> {
    let how = select(&Meddling::ALL[..]);
    (pair(), how, 1..4u32).prop_map(|((from, to), how, count)| MiddleFault {
        how,
        from,
        port: PortSpec::Port(7022),
        to,
        count,
    })
}

const LOG_FILE: &str = "sales.ldf";

fn fault() -> impl Strategy<Value = Fault> {
    let instance = || select(&TRIO[..]).prop_map(InstanceName::new);
    let millis = |low: u64, high: u64| (low..high).prop_map(Duration::from_millis);
    // The whole disk, or the log alone: then the instance goes on without its database.
    let file = || select(&["", LOG_FILE][..]).prop_map(str::to_owned);
    prop_oneof![
        2 => firewall().prop_map(Fault::Drop),
        2 => firewall().prop_map(Fault::Reject),
        3 => pair().prop_map(|(from, to)| Fault::Cut { from, to: vec![to] }),
        1 => system().prop_map(|from| {
            let to = TRIO.iter().filter(|name| **name != from).map(|name| (*name).to_owned());
            Fault::Cut { to: to.collect(), from }
        }),
        1 => (pair(), millis(50, 3000)).prop_map(|((from, to), latency)| Fault::SlowLink { from, to, latency }),
        3 => instance().prop_map(|instance| Fault::Kill { instance }),
        2 => instance().prop_map(|instance| Fault::Restart { instance }),
        3 => system().prop_map(|system| Fault::PowerLoss { system }),
        2 => instance().prop_map(|instance| Fault::Pause { instance }),
        1 => (system(), -3_600_000..3_600_000i64).prop_map(|(system, by_millis)| Fault::ClockStep { system, by_millis }),
        1 => (system(), millis(1, 500)).prop_map(|(system, latency)| Fault::DiskSlow { system, file: String::new(), latency }),
        1 => (system(), file()).prop_map(|(system, file)| Fault::DiskFailSync { system, file }),
        1 => system().prop_map(|system| Fault::DiskIoError { system, file: LOG_FILE.to_owned() }),
        1 => system().prop_map(|system| Fault::DiskStuck { system, file: String::new() }),
        1 => (system(), file()).prop_map(|(system, file)| Fault::DiskFull { system, file }),
        1 => system().prop_map(|system| Fault::DnsLost { system }),
        1 => (system(), 1..40u32, any::<bool>(), select(&[Crash::Kill, Crash::PowerLoss][..]))
            .prop_map(|(system, write, kept, how)| Fault::CrashAtWrite { system, write, kept, how }),
        1 => meddling().prop_map(Fault::Meddle),
    ]
}

fn statement() -> impl Strategy<Value = Statement> {
    const ENCRYPTS: [Encrypt; 5] = [
        Encrypt::Disabled,
        Encrypt::SupportedAes,
        Encrypt::RequiredRc4,
        Encrypt::RequiredAesRc4,
        Encrypt::RequiredRc4Aes,
    ];
    prop_oneof![
        1 => Just(Statement::StopEndpoint),
        1 => Just(Statement::StartEndpoint),
        1 => (7023..7026u16).prop_map(Statement::MoveEndpoint),
        1 => Just(Statement::DropEndpoint),
        2 => select(&ENCRYPTS[..]).prop_map(Statement::Encrypt),
        1 => select(&TRIO[..]).prop_map(Statement::DenyConnect),
        1 => select(&TRIO[..]).prop_map(Statement::DisableLogin),
        3 => Just(Statement::Failover),
        2 => Just(Statement::Force),
        1 => Just(Statement::Suspend),
        1 => Just(Statement::Resume),
        1 => Just(Statement::SafetyOff),
        1 => Just(Statement::SafetyFull),
        1 => Just(Statement::WitnessOff),
        1 => Just(Statement::WitnessOn),
        1 => select(&[5u16, 7, 10][..]).prop_map(Statement::TimeoutSeconds),
        1 => select(&[None, Some(1), Some(2)][..]).prop_map(Statement::RedoQueue),
    ]
}
