//! `docs/symptoms.md` against what there is: every row of the two tables names a proof, and every proof exists.

use std::path::Path;

const PAGE: &str = include_str!("../../docs/symptoms.md");

/// The faults of the reference, as the page calls them.
const FAULTS: [&str; 23] = [
    "no endpoint on acceptor",
    "acceptor STOPPED",
    "acceptor DISABLED",
    "own endpoint not STARTED",
    "no endpoint of one's own",
    "wrong port, foreign program",
    "DNS failure",
    "firewall drops",
    "no common authentication",
    "no common encryption",
    "Windows logon refused",
    "login missing on acceptor",
    "CONNECT missing",
    "peer certificate not imported",
    "peer certificate expired",
    "own certificate expired",
    "master key cannot open",
    "wrong ROLE (witness)",
    "wrong ROLE (partner)",
    "bad URL syntax",
    "partner = self",
    "port busy at start",
    "duplicate connection",
];

const CONDITIONS: [&str; 9] = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// The cells of the rows of each table, without heads.
fn tables(page: &str) -> Vec<Vec<Vec<&str>>> {
    let mut tables: Vec<Vec<Vec<&str>>> = Vec::new();
    let mut is_inside = false;
    for line in page.lines() {
        let Some(row) = line.strip_prefix('|') else {
            is_inside = false;
            continue;
        };
        if !std::mem::replace(&mut is_inside, true) {
            tables.push(Vec::new());
        } else if let Some(table) = tables.last_mut()
            && !row.starts_with(" ---")
        {
            table.push(row.trim_end_matches('|').split('|').map(str::trim).collect());
        }
    }
    tables
}

/// What is wrong with a cell such as ``scenario `a/b`; test `file` `function` ``; nothing if every proof exists.
fn problems(cell: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let proofs = cell.split(';').map(str::trim).filter(|p| !p.is_empty());
    let mut problems = Vec::new();
    let mut count = 0;
    for proof in proofs {
        count += 1;
        let names: Vec<&str> = proof.split('`').skip(1).step_by(2).collect();
        let holds = match (proof.split(' ').next(), names.as_slice()) {
            (Some("scenario"), [scenario]) => root.join(format!("scenarios/{scenario}.toml")).is_file(),
            (Some("test"), [file, function]) => {
                let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
                text.contains(&format!("#[test]\nfn {function}()"))
            }
            _ => false,
        };
        if !holds {
            problems.push(format!("there is no {proof}"));
        }
    }
    if count == 0 {
        problems.push("nothing shows it".to_owned());
    }
    problems
}

fn check(table: &[Vec<&str>], rows: &[&str], name_of: impl Fn(&str) -> String) {
    let names: Vec<String> = table.iter().map(|row| name_of(row[0])).collect();
    assert_eq!(names, rows, "the rows of docs/symptoms.md");
    for row in table {
        let proofs = row.last().copied().unwrap_or_default();
        assert_eq!(problems(proofs), [] as [String; 0], "{}", row[0]);
    }
}

#[test]
fn every_fault_is_shown() {
    check(&tables(PAGE)[0], &FAULTS, str::to_owned);
}

#[test]
fn every_condition_of_a_certificate_login_is_shown() {
    check(&tables(PAGE)[1], &CONDITIONS, |cell| {
        cell.split(' ').next().unwrap_or_default().to_owned()
    });
}

#[test]
fn a_proof_that_does_not_exist_is_noticed() {
    assert_eq!(problems("").len(), 1);
    assert_eq!(problems("scenario `security/nowhere`").len(), 1);
    assert_eq!(problems("test `tests/security/matrix.rs` `nothing`").len(), 1);
    assert_eq!(problems("hearsay").len(), 1);
    assert_eq!(
        problems("test `tests/security/matrix.rs` `every_fault_is_shown`"),
        [] as [String; 0]
    );
}
