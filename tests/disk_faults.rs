//! What each disk fault does to each file of each role, as one table.
//!
//! A trio in high-safety mode with automatic failover works under load; one kind of file of one instance fails for a while,
//! while the partner timeout is changed and the mirror's process dies and returns, so that all three have something to
//! record; later the instance is restarted, and the session is left alone. The snapshot has a line for each: what the
//! instance logged, what it took out of use, who took over, what everybody is in the end, and which promises broke.
//! A log or `master` that is rotten or cannot be read may keep a session from healing, for it needs a restore; a page of rows
//! may not. What damages `master` is followed by a restart, for the next change would write the place anew. A torn write is
//! the first of the next few durable ones that is to the file; the principal's `master` is written for one statement alone,
//! which comes last and waits in vain. A fault is not felt where nothing meets it. A disk that lies
//! may lose with the power what it said to have hardened; no other fault may.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use mirrorlab::sim::launch;
use mirrorlab::sim::runner::{Run, run_many};
use mirrorlab::sim::scenario::{Library, Scenario};
use mirrorlab::types::{
    Event, InstanceEvent, InstanceName, MirroringState, PartnerRole, SessionEvent, Source, WorldEvent,
};

const THREADS: usize = 2;

/// A fault of one kind of file, and what follows it.
struct Case {
    fault: &'static str,
    /// What the step says of the fault, `{file}` being the file.
    keys: &'static str,
    /// Power is lost while the fault lasts, …
    power_loss: bool,
    /// … and in the middle of a durable write, so that there is something to tear.
    in_a_write: bool,
}

const CASES: [Case; 9] = [
    Case {
        fault: "sync fails",
        keys: r#"kind = "disk_fail_sync", file = "{file}", lasts = "8s""#,
        power_loss: false,
        in_a_write: false,
    },
    Case {
        fault: "sync lies",
        keys: r#"kind = "disk_lie", file = "{file}", lasts = "8s""#,
        power_loss: true,
        in_a_write: false,
    },
    Case {
        fault: "I/O error",
        keys: r#"kind = "disk_io_error", file = "{file}", lasts = "8s""#,
        power_loss: false,
        in_a_write: false,
    },
    Case {
        fault: "torn write",
        keys: r#"kind = "disk_torn", file = "{file}", scattered = true, lasts = "8s""#,
        power_loss: true,
        in_a_write: true,
    },
    Case {
        fault: "bit rot",
        keys: r#"kind = "bit_rot", file = "instances/{system}/{file}", offset = {offset}"#,
        power_loss: false,
        in_a_write: false,
    },
    Case {
        fault: "bad sector",
        keys: r#"kind = "bad_sector", file = "instances/{system}/{file}", offset = {offset}"#,
        power_loss: false,
        in_a_write: false,
    },
    Case {
        fault: "slow",
        keys: r#"kind = "disk_slow", file = "{file}", latency = "300ms", lasts = "8s""#,
        power_loss: false,
        in_a_write: false,
    },
    Case {
        fault: "stuck",
        keys: r#"kind = "disk_stuck", file = "{file}", lasts = "8s""#,
        power_loss: false,
        in_a_write: false,
    },
    Case {
        fault: "full",
        keys: r#"kind = "disk_full", file = "{file}", lasts = "8s""#,
        power_loss: false,
        in_a_write: false,
    },
];

const TIMEOUT: &str = "ALTER DATABASE Sales SET PARTNER TIMEOUT 12";

/// So many logins that `master` has to grow for them.
const LOGINS: u32 = 200;

/// Files by what they hold. The witness has `master` alone.
const FILES: [(&str, &str); 3] = [
    ("log", "sales.ldf"),
    ("data", "sales.mdf"),
    ("master", "master.mdf"),
];

const ROLES: [(&str, &str); 3] = [("principal", "alpha"), ("mirror", "beta"), ("witness", "gamma")];

/// So many rows that the data file has to grow for them.
const ROWS: u32 = 4_000;

/// A torn write is looked for among so many durable ones.
const WRITES_TRIED: u32 = 12;

/// When the instance is restarted, in seconds since the set-up.
const RESTARTED_AT: u64 = 20;

/// While the fault lasts: at its beginning; behind the step from which durable writes are counted, before the mirror dies; and
/// when it is back.
const EARLY: &str = "6s";
const IN_A_WRITE: &str = "6810ms";
const LATE: &str = "7800ms";

/// Just before the statement that nobody will answer, since its own write takes the power away.
const ARMED_LATE: &str = "7790ms";

/// What is recorded while the fault lasts, if the load and the mirror's death are not enough: when, on whom, what. What hangs
/// comes last.
fn record(fault: &str, file: &str, system: &str) -> Option<(&'static str, String, String)> {
    let (at, on, sql) = match (file, fault) {
        ("master.mdf", "full") => {
            let logins = (0..LOGINS).map(|n| format!("CREATE LOGIN l{n} WITH PASSWORD = 'Pa55word{n}';\n"));
            (LATE, system, logins.collect())
        }
        ("sales.mdf", "full") if system == "alpha" => {
            let rows: Vec<String> = (0..ROWS).map(|id| format!("({id}, 0)")).collect();
            let table = "USE Sales;\nCREATE TABLE Big (id INT PRIMARY KEY, value INT);";
            let sql = format!(
                "{table}\nINSERT INTO Big VALUES {};\nCHECKPOINT;\n",
                rows.join(", ")
            );
            (LATE, system, sql)
        }
        ("master.mdf", "torn write") if system == "beta" => (IN_A_WRITE, "alpha", TIMEOUT.to_owned()),
        ("master.mdf", "stuck" | "torn write") if system == "alpha" => (LATE, system, TIMEOUT.to_owned()),
        ("master.mdf", _) if system == "alpha" => (EARLY, system, TIMEOUT.to_owned()),
        _ => return None,
    };
    Some((at, on.to_owned(), sql))
}

fn scenario(case: &Case, file: &str, system: &str, write: u32) -> Scenario {
    // Behind the header of the log; in the first page of rows; in the first bytes of master, by which it is known.
    let offset = match file {
        "sales.ldf" => "700",
        "sales.mdf" => "24700",
        _ => "4",
    };
    let keys = case
        .keys
        .replace("{file}", file)
        .replace("{system}", system)
        .replace("{offset}", offset);
    let record = record(case.fault, file, system);
    let recorded = |when: &str| match &record {
        Some((at, on, sql)) if *at == when => {
            format!("[[step]]\nat = \"{at}\"\non = \"{on}\"\nsql = \"\"\"\n{sql}\"\"\"\nmay_fail = true\n")
        }
        _ => String::new(),
    };
    let (early, in_between, late) = (recorded(EARLY), recorded(IN_A_WRITE), recorded(LATE));
    // Found at the start, before the next change writes the place anew.
    let master = file == "master.mdf";
    let restart = match master && ["bit rot", "bad sector"].contains(&case.fault) {
        true => {
            format!("[[step]]\nat = \"5100ms\"\nfault = {{ kind = \"restart\", instance = \"{system}\" }}\n")
        }
        false => String::new(),
    };
    // The principal's master is written for the statement alone, which waits for its answer until it gives up.
    let hangs = case.in_a_write && master && system == "alpha";
    let loss = match (case.power_loss, case.in_a_write) {
        (false, _) => String::new(),
        (true, false) => format!(
            "[[step]]\nat = \"9s\"\nfault = {{ kind = \"power_loss\", system = \"{system}\", lasts = \"4s\" }}\n"
        ),
        // The witness records something when the mirror is lost, the partners at any time.
        (true, true) => format!(
            "[[step]]\nat = \"{}\"\nfault = {{ kind = \"crash_at_write\", system = \"{system}\", write = {write}, kept = false, how = \"power_loss\", lasts = \"4s\" }}\n",
            if hangs { ARMED_LATE } else { "6800ms" }
        ),
    };
    let (in_a_write, armed_late, power_loss) = match (case.in_a_write, hangs) {
        (true, true) => (String::new(), loss, String::new()),
        (true, false) => (loss, String::new(), String::new()),
        (false, _) => (String::new(), String::new(), loss),
    };
    let restarted = match hangs {
        // By the power.
        true => String::new(),
        false => {
            format!(
                "[[step]]\nat = \"{RESTARTED_AT}s\"\nfault = {{ kind = \"restart\", instance = \"{system}\" }}\n"
            )
        }
    };
    let text = format!(
        r#"
promise = "A disk fault is healed, refused or suspends; it never loses what was acknowledged."
risk = "One disk fails for a while, and its instance is restarted later."
source = "ours"
extends = "trio"
until = "30s"
settle = "60s"

[[client]]
name = "app"
initial = "alpha"
failover_partner = "beta"
rate = 30
until = "28s"

[[step]]
at = "4s"
on = "alpha"
sql = "USE Sales; CHECKPOINT"

[[step]]
at = "5s"
fault = {{ system = "{system}", {keys} }}

{restart}{early}{in_a_write}{in_between}
[[step]]
at = "7s"
fault = {{ kind = "kill", instance = "beta", lasts = "500ms" }}

{armed_late}{late}{power_loss}{restarted}
[[expect]]
client = "app"
acknowledged = {{ at_least = 1 }}
"#
    );
    let mut library = Library::built_in();
    library.insert("disk_faults/case", &text);
    library
        .load("disk_faults/case")
        .unwrap_or_else(|error| panic!("{}", error.report()))
}

#[test]
fn every_disk_fault_on_every_file_of_every_role() {
    let mut rows = Vec::new();
    for case in &CASES {
        for (role, system) in ROLES {
            for (kind, file) in FILES {
                if system != "gamma" || kind == "master" {
                    rows.push((case, role, system, kind, file));
                }
            }
        }
    }
    let runs = play(
        rows.iter()
            .map(|(case, _, system, _, file)| scenario(case, file, system, 1)),
    );
    let again = |(i, run): (usize, Run)| -> Run {
        let (case, _, system, _, file) = rows[i];
        if !case.in_a_write || felt(&run) {
            return run;
        }
        let tries = play((2..=WRITES_TRIED).map(|write| scenario(case, file, system, write)));
        tries.into_iter().find(felt).unwrap_or(run)
    };
    let runs: Vec<Run> = runs.into_iter().enumerate().map(again).collect();
    let mut table = format!(
        "{:<10}  {:<6}  {:<9}  {:<6}  {:<8}  {:<9}  {:<56}  {}\n",
        "fault", "file", "role", "felt", "down", "took over", "in the end", "logged by it; promises broken"
    );
    for ((case, role, system, kind, _), run) in rows.iter().zip(&runs) {
        let broken = broken(run);
        let allowed = |check: &String| match case.fault {
            "sync lies" => true,
            "bit rot" | "bad sector" if *kind != "data" => {
                ["heals-to-synchronized", "expectation"].contains(&check.as_str())
            }
            _ => false,
        };
        assert!(
            broken.iter().all(allowed),
            "{} of {kind} on the {role}: {:?}",
            case.fault,
            run.failures
        );
        let line = format!(
            "{:<10}  {kind:<6}  {role:<9}  {:<6}  {:<8}  {:<9}  {:<56}  {}",
            case.fault,
            if felt(run) { "yes" } else { "no" },
            went_down(run, system),
            took_over(run),
            at_the_end(run),
            [numbers(run, system), broken].concat().join(" "),
        );
        writeln!(table, "{}", line.trim_end()).expect("a String takes everything");
    }
    insta::with_settings!({
        snapshot_path => format!("{}/snapshots/disk_faults", env!("CARGO_MANIFEST_DIR")),
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!("table", table);
    });
}

fn play(scenarios: impl Iterator<Item = Scenario>) -> Vec<Run> {
    let scenarios: Vec<Scenario> = scenarios.collect();
    let jobs: Vec<(&Scenario, u64)> = scenarios.iter().map(|scenario| (scenario, 1)).collect();
    let mut runs = Vec::new();
    run_many(&launch::instances(), &jobs, THREADS, false, &mut |run| {
        runs.push(run);
        true
    });
    assert_eq!(runs.len(), scenarios.len());
    runs
}

fn broken(run: &Run) -> Vec<String> {
    let checks: BTreeSet<&str> = run.failures.iter().map(|f| f.check.as_str()).collect();
    checks.into_iter().map(str::to_owned).collect()
}

fn felt(run: &Run) -> bool {
    run.faults
        .iter()
        .filter(|(kind, _)| kind.starts_with("disk") || ["bit_rot", "bad_sector"].contains(&kind.as_str()))
        .all(|(_, count)| count.took_effect == count.fired)
}

/// Events since the end of the set-up.
fn events(run: &Run) -> impl Iterator<Item = (&Source, &Event)> {
    let begin = run.setup_end;
    let stamped = run.trace.events().iter().filter(move |e| e.at >= begin);
    stamped.map(|e| (&e.source, &e.event))
}

/// What it took out of use by itself while it ran: all of it, or the database.
fn went_down(run: &Run, system: &str) -> &'static str {
    let who = Source::Instance(InstanceName::new(system));
    let told =
        |wanted: fn(&Event) -> bool| events(run).any(|(source, event)| *source == who && wanted(event));
    let stopped = |event: &Event| matches!(event, Event::Instance(InstanceEvent::Stopped { .. }));
    let log_failed = |event: &Event| {
        matches!(
            event,
            Event::Instance(InstanceEvent::ErrorLog { number: 9001, .. })
        )
    };
    match (told(stopped), told(log_failed)) {
        (true, _) => "instance",
        (false, true) => "database",
        (false, false) => "no",
    }
}

/// Who took over before the restart, and whether anybody did from then on.
fn took_over(run: &Run) -> String {
    let restarted = run.setup_end + Duration::from_secs(RESTARTED_AT);
    let takeovers = run.trace.events().iter().filter(|e| e.at >= run.setup_end);
    let mut told = Vec::new();
    for stamped in takeovers {
        if let (Source::Instance(who), Event::Session(SessionEvent::Takeover { .. })) =
            (&stamped.source, &stamped.event)
        {
            told.push(match stamped.at < restarted {
                true => who.to_string(),
                false => "later".to_owned(),
            });
        }
    }
    told.join(" ")
}

/// The last role and state each partner told of, or that it does not run.
fn at_the_end(run: &Run) -> String {
    let partner = |name: &str| {
        let who = InstanceName::new(name);
        let (mut role, mut state, mut alive): (Option<PartnerRole>, Option<MirroringState>, bool) =
            (None, None, true);
        for stamped in run.trace.events() {
            match (&stamped.source, &stamped.event) {
                (Source::Instance(source), Event::Session(SessionEvent::Role { to, .. }))
                    if *source == who =>
                {
                    role = Some(*to);
                }
                (Source::Instance(source), Event::Session(SessionEvent::State { to, .. }))
                    if *source == who =>
                {
                    state = Some(*to);
                }
                (_, Event::World(WorldEvent::ProcessKilled { instance })) if *instance == who => {
                    alive = false
                }
                (_, Event::World(WorldEvent::ProcessStarted { instance })) if *instance == who => {
                    alive = true;
                    (role, state) = (None, None);
                }
                _ => {}
            }
        }
        match (alive, role, state) {
            (false, ..) => format!("{name} down"),
            (true, Some(role), Some(state)) => format!("{name} {role} {state}"),
            (true, Some(role), None) => format!("{name} {role}"),
            (true, None, _) => format!("{name} without session"),
        }
    };
    [partner("alpha"), partner("beta")].join(", ")
}

/// The numbers that tell of disks and databases in its error log.
fn numbers(run: &Run, system: &str) -> Vec<String> {
    const TOLD: [u32; 16] = [
        823, 824, 829, 926, 955, 1101, 1432, 1453, 1454, 1458, 1461, 1481, 3411, 9001, 9002, 9004,
    ];
    let who = Source::Instance(InstanceName::new(system));
    let mut seen = Vec::new();
    for (source, event) in events(run) {
        if *source == who
            && let Event::Instance(InstanceEvent::ErrorLog { number, .. }) = event
            && TOLD.contains(number)
            && !seen.contains(&number.to_string())
        {
            seen.push(number.to_string());
        }
    }
    seen
}
