//! `docs/oracles.md` names every promise and what judges it; this holds the page against the sources, and judges the one
//! promise that is the parser's.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use mirrorlab::tsql::parse;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The promises that are not judged by an oracle of their own, but by these.
const ELSEWHERE: [(&str, &str); 2] = [
    ("one-option-per-statement", "tests/promises.rs"),
    ("reconfigure-never-loses-data", "tests/quorum/reconfigure.rs"),
];

/// Promise and file of each row of the page.
fn rows() -> Vec<(String, String)> {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/oracles.md")).expect("the page is there");
    let named = |cell: &str| Some(cell.trim().strip_prefix('`')?.strip_suffix('`')?.to_owned());
    page.lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
            let (first, last) = (cells.first()?, cells.last()?);
            Some((named(first)?, named(last)?))
        })
        .collect()
}

/// The names that the oracles of a source file judge under: its constants of text that are in small letters and hyphens.
fn promises(source: &str) -> BTreeSet<String> {
    let of_line = |line: &str| {
        let (_, text) = line.trim().strip_prefix("const ")?.split_once(": &str = \"")?;
        let name = text.strip_suffix("\";")?;
        let plain = |c: char| c.is_ascii_lowercase() || c == '-';
        (name.contains(|c| c != '-') && name.chars().all(plain)).then(|| name.to_owned())
    };
    source.lines().filter_map(of_line).collect()
}

#[test]
fn every_promise_of_the_page_is_judged_where_it_says() {
    let mut seen = BTreeSet::new();
    for (promise, path) in rows() {
        assert!(seen.insert(promise.clone()), "{promise} is there twice");
        let source = fs::read_to_string(Path::new(ROOT).join(&path))
            .unwrap_or_else(|error| panic!("{promise}: {path}: {error}"));
        match ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == promise) {
            Some((_, other)) => assert_eq!(path, *other),
            None => assert!(
                promises(&source).contains(&promise),
                "{path} does not judge {promise}"
            ),
        }
    }
    for (promise, _) in ELSEWHERE {
        assert!(seen.contains(promise), "{promise} is not on the page");
    }
}

#[test]
fn every_promise_that_is_judged_is_on_the_page_and_in_every_run() {
    let page: BTreeSet<(String, String)> = rows().into_iter().collect();
    let oracles = Path::new(ROOT).join("src/sim/oracle");
    let all = fs::read_to_string(oracles.join("mod.rs")).expect("the list of oracles is there");
    let files = fs::read_dir(&oracles).expect("oracles are there");
    let mut judged = 0;
    for file in files.map(|entry| entry.expect("an entry").file_name()) {
        let file = file.to_str().expect("names are UTF-8");
        let source = fs::read_to_string(oracles.join(file)).expect("sources are UTF-8");
        let found = promises(&source);
        if !found.is_empty() {
            let module = file.trim_end_matches(".rs");
            assert!(all.contains(&format!("Box::<{module}::")), "{file} judges no run");
        }
        judged += found.len();
        for promise in found {
            let row = (promise, format!("src/sim/oracle/{file}"));
            assert!(page.contains(&row), "not on the page: {row:?}");
        }
    }
    assert_eq!(judged + ELSEWHERE.len(), page.len());
}

/// Source: documented, *ALTER DATABASE Database Mirroring* (one-option-per-statement).
#[test]
fn a_statement_has_one_option_of_the_partner_or_the_witness() {
    let options = [
        "PARTNER SUSPEND",
        "PARTNER RESUME",
        "PARTNER FAILOVER",
        "PARTNER FORCE_SERVICE_ALLOW_DATA_LOSS",
        "PARTNER OFF",
        "PARTNER SAFETY FULL",
        "PARTNER SAFETY OFF",
        "PARTNER TIMEOUT 20",
        "PARTNER REDO_QUEUE ( 3 MB )",
        "PARTNER REDO_QUEUE ( UNLIMITED )",
        "PARTNER = 'TCP://beta:7022'",
        "WITNESS OFF",
        "WITNESS = 'TCP://gamma:7022'",
    ];
    for one in options {
        let alone = format!("ALTER DATABASE sales SET {one}");
        assert_eq!(parse(&alone).map(|statements| statements.len()), Ok(1), "{alone}");
        for other in options {
            let short = other.split_once(' ').map_or(other, |(_, option)| option);
            for two in [
                format!("{one}, {other}"),
                format!("{one}, {short}"),
                format!("{one} {other}"),
                format!("{one} SET {other}"),
            ] {
                let batch = format!("ALTER DATABASE sales SET {two}");
                assert!(parse(&batch).is_err(), "{batch}");
            }
        }
    }
}
