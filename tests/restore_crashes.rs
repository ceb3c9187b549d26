//! Every crash point of a restore: power loss and process death in the middle of each durable write of a full, a log and a
//! last `RESTORE`, with that write kept and with it lost.
//!
//! What is found afterwards is the database as it was before, none, or the copy as one of its backups' transactions leaves
//! it; never half of one. And whatever is found, the restore can be begun again from its beginning.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use mirrorlab::sim::launch;
use mirrorlab::sim::runner::{Run, run_many};
use mirrorlab::sim::scenario::{Library, Scenario};

/// No restore makes more durable writes than this.
const WRITES_MAX: u32 = 200;
const THREADS: usize = 2;

/// Rows of the full backup, and of each of the five transactions in the log backup.
const FULL: u32 = 200;
const STEP: u32 = 10;

/// What may be found, by the number of rows.
fn counts() -> impl Iterator<Item = u32> {
    std::iter::once(0).chain((0..=5).map(|n| FULL + n * STEP))
}

fn rows(from: u32, count: u32) -> String {
    let rows: Vec<String> = (from..from + count).map(|id| format!("({id}, {id})")).collect();
    format!("INSERT INTO Ledger VALUES {};", rows.join(", "))
}

fn scenario(how: &str, kept: bool, write: u32) -> Scenario {
    let transactions: Vec<String> = (0..5).map(|n| rows(1 + FULL + n * STEP, STEP)).collect();
    let mut text = format!(
        r#"
promise = "A restore that is cut short leaves no half database."
risk = "The instance or its machine goes down in the middle of one durable write of the restore."
source = "ours"
extends = "trio_unmirrored"
until = "110s"

[[setup]]
on = "alpha"
sql = '''
USE Sales; {}
GO
USE master; BACKUP DATABASE Sales TO DISK = 'C:\backup\full.bak';
GO
USE Sales; {}
GO
USE master; BACKUP LOG Sales TO DISK = 'C:\backup\log.trn';
'''

[[setup]]
copy_file = {{ path = 'C:\backup\full.bak', from = "alpha", to = ["beta"] }}

[[setup]]
copy_file = {{ path = 'C:\backup\log.trn', from = "alpha", to = ["beta"] }}

[[step]]
at = "1s"
fault = {{ kind = "crash_at_write", system = "beta", write = {write}, kept = {kept}, how = "{how}", lasts = "10s" }}

[[step]]
at = "1s"
on = "beta"
sql = '''{RESTORE}'''
may_fail = true

[[step]]
at = "75s"
on = "beta"
sql = "RESTORE DATABASE Sales WITH RECOVERY;"
may_fail = true

[[step]]
at = "85s"
on = "beta"
sql = '''{RESTORE}'''

[[expect]]
at = "80s"
on = "beta"
query = "USE Sales"
error = 911

[[expect]]
on = "beta"
query = "USE Sales; SELECT COUNT(*), SUM(value) AS whole FROM Ledger"
rows = [["{}", "{}"]]
"#,
        rows(1, FULL),
        transactions.join("\nGO\nUSE Sales; "),
        FULL + 5 * STEP,
        sum(FULL + 5 * STEP),
    );
    for count in counts() {
        let sum = match count {
            0 => "NULL".to_owned(),
            count => sum(count).to_string(),
        };
        write!(
            text,
            "\n[[expect]]\nat = \"80s\"\non = \"beta\"\nquery = \"USE Sales; SELECT COUNT(*), SUM(value) AS of_{count} FROM Ledger\"\nrows = [[\"{count}\", \"{sum}\"]]\n"
        )
        .expect("a String takes everything");
    }
    let mut library = Library::built_in();
    library.insert("restore_crashes/point", &text);
    library
        .load("restore_crashes/point")
        .unwrap_or_else(|error| panic!("{}", error.report()))
}

fn sum(count: u32) -> u32 {
    count * (count + 1) / 2
}

const RESTORE: &str = r"
RESTORE DATABASE Sales FROM DISK = 'C:\backup\full.bak' WITH NORECOVERY, REPLACE;
GO
RESTORE LOG Sales FROM DISK = 'C:\backup\log.trn' WITH NORECOVERY;
GO
RESTORE DATABASE Sales WITH RECOVERY;
";

/// The write the run crashed in came, and was felt.
fn crashed(run: &Run) -> bool {
    run.faults.values().any(|count| count.took_effect > 0)
}

/// What was found after the crash: of all that may be, the one expectation of 80 s that held.
fn found(run: &Run, write: u32) -> String {
    assert!(
        run.failures.iter().all(|f| f.check == "expectation"),
        "write {write}: {:#?}",
        run.failures
    );
    let failed: Vec<&str> = run.failures.iter().map(|f| f.message.as_str()).collect();
    let wrong = |what: &str| failed.iter().any(|message| message.contains(what));
    assert!(
        !wrong("AS whole"),
        "write {write}: the restore cannot be begun again: {failed:#?}"
    );
    let held: Vec<String> = counts()
        .map(|count| count.to_string())
        .filter(|count| !wrong(&format!("AS of_{count} ")))
        .chain((!wrong("`USE Sales`")).then(|| "none".to_owned()))
        .collect();
    assert_eq!(held.len(), 1, "write {write}: {held:?} held: {failed:#?}");
    held.concat()
}

#[test]
fn no_crash_in_a_write_of_a_restore_leaves_half_a_database() {
    let mut table = String::from("goes down by  the write is  points  found afterwards: how often\n");
    for how in ["kill", "power_loss"] {
        for kept in [false, true] {
            let (points, found) = cross(how, kept);
            let outcome = if kept { "kept" } else { "lost" };
            let found: Vec<String> = found
                .iter()
                .map(|(what, times)| format!("{what}: {times}"))
                .collect();
            writeln!(
                table,
                "{how:<12}  {outcome:<12}  {points:>6}  {}",
                found.join(", ")
            )
            .expect("a String takes everything");
        }
    }
    insta::with_settings!({
        snapshot_path => format!("{}/snapshots/crash_points", env!("CARGO_MANIFEST_DIR")),
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!("restore", table);
    });
}

/// Crashes in write after write, until the restore is over before it.
fn cross(how: &str, kept: bool) -> (u32, BTreeMap<String, u32>) {
    let mut tally = BTreeMap::new();
    let mut next = 1;
    loop {
        assert!(next <= WRITES_MAX, "the restore never ends its writes");
        let points: Vec<Scenario> = (next..next + THREADS as u32)
            .map(|write| scenario(how, kept, write))
            .collect();
        let jobs: Vec<(&Scenario, u64)> = points.iter().map(|point| (point, 1)).collect();
        let mut runs = Vec::new();
        run_many(&launch::instances(), &jobs, THREADS, false, &mut |run| {
            runs.push(run);
            true
        });
        for (run, write) in runs.iter().zip(next..) {
            if !crashed(run) {
                return (write - 1, tally);
            }
            *tally.entry(found(run, write)).or_insert(0) += 1;
        }
        next += THREADS as u32;
    }
}
