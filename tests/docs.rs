//! `docs/errors.md` is written from the message catalogue and its manual and never by hand.

use std::fmt::Write as _;

use mirrorlab::error::Message;
use mirrorlab::error::manual::{AREAS, Entry};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors.md");

/// Set it to rewrite the page instead of comparing it.
const REWRITE: &str = "MIRRORLAB_REWRITE_DOCS";

#[test]
fn the_page_of_errors_lists_the_catalogue() {
    let page = page();
    if std::env::var_os(REWRITE).is_some() {
        std::fs::write(PATH, &page).expect("docs/errors.md can be written");
    }
    let written = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(
        written == page,
        "docs/errors.md is stale; rewrite it with: {REWRITE}=1 cargo test --test docs"
    );
}

/// An id names one decision: tests and other rows refer to it.
#[test]
fn every_decision_has_an_id_of_its_own() {
    let page = include_str!("../docs/decisions.md");
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" |"));
    let mut ids: Vec<&str> = rows
        .map(|(id, _)| id)
        .filter(|id| !["id", "---"].contains(id))
        .collect();
    ids.sort_unstable();
    assert!(ids.len() > 100, "the page is read wrongly: {ids:?}");
    let twice: Vec<&[&str]> = ids.windows(2).filter(|two| two[0] == two[1]).collect();
    assert!(twice.is_empty(), "several rows: {twice:?}");
}

fn page() -> String {
    let mut page = String::from(
        "# Errors\n\nThe messages this project raises, written from the catalogue in `src/error.rs` and the manual in `src/error/manual/`.\n\
         Numbers and severities are the product's, the wording is ours; `{0}`, `{1}` … stand for what a message is about.\n\
         *Logged*: marked in the catalogue as going to the error log by itself; others get there when a logged one quotes them.\n\
         `mirrorlab errors 1418` prints an entry, `mirrorlab errors firewall` lists those that speak of a word.\n",
    );
    for area in AREAS {
        let mut line = |text: &str| {
            page.push_str(text);
            page.push('\n');
        };
        line(&format!("\n## {}", area.title));
        for entry in area.entries {
            if let Some(message) = entry.message() {
                line(&raised(entry, message));
            }
        }
        let absent: Vec<&Entry> = area.entries.iter().filter(|e| e.not_raised.is_some()).collect();
        if !absent.is_empty() {
            line(
                "\n### Not raised here\n\n| number | level | logged | what it says | why it is not raised |\n| ---: | ---: | --- | --- | --- |",
            );
        }
        for entry in absent {
            let Some(not_raised) = entry.not_raised else {
                continue;
            };
            let logged = if not_raised.logged { "yes" } else { "" };
            let (cause, why) = (cell(entry.cause), cell(not_raised.why));
            line(&format!(
                "| {} | {} | {logged} | {cause} | {why} |",
                entry.number, not_raised.severity
            ));
        }
    }
    page
}

fn raised(entry: &Entry, message: &Message) -> String {
    let mut out = format!("\n### {}\n\n> {}\n\n", entry.number, message.text);
    let logged = if message.logged {
        "logged"
    } else {
        "not logged by itself"
    };
    let seen: Vec<&str> = entry.seen_by.iter().map(|s| s.desc()).collect();
    let seen = seen.join("; ");
    write!(
        out,
        "Level {}, {logged}. Seen by {seen}. Source: {}.\n\n{}",
        message.severity,
        entry.source(),
        entry.cause
    )
    .expect("writing to a string never fails");
    if !entry.check.is_empty() {
        out.push_str("\n\n");
        let steps: Vec<String> = entry
            .check
            .iter()
            .enumerate()
            .map(|(i, text)| format!("{}. {text}", i + 1))
            .collect();
        out.push_str(&steps.join("\n"));
    }
    if !entry.states.is_empty() {
        let states: Vec<String> = entry
            .states
            .iter()
            .map(|(state, place)| format!("{state} {place}"))
            .collect();
        write!(out, "\n\nStates: {}.", states.join("; ")).expect("writing to a string never fails");
    }
    let related: Vec<String> = entry.related().iter().map(u32::to_string).collect();
    if !related.is_empty() {
        write!(out, "\n\nSee also {}.", related.join(", ")).expect("writing to a string never fails");
    }
    out
}

/// Text that stays in its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
