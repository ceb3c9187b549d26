//! `docs/errors.md` is written from the message catalogue and never by hand.

use std::fmt::Write as _;

use mirrorlab::error::msg;

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

fn page() -> String {
    let mut page = String::from(
        "# Errors\n\nEvery message this project raises, by number, written from the catalogue in `src/error.rs`. Numbers and\n\
         severities are the product's, the wording is ours; `{0}`, `{1}` … stand for what a message is about. *Logged*: marked in\n\
         the catalogue as going to the error log by itself.\n\n\
         | number | level | logged | text |\n| ---: | ---: | --- | --- |\n",
    );
    let mut messages = msg::ALL.to_vec();
    messages.sort_by_key(|m| m.number);
    for m in messages {
        let logged = if m.logged { "yes" } else { "" };
        let text = m.text.replace('|', "\\|");
        writeln!(page, "| {} | {} | {logged} | {text} |", m.number, m.severity)
            .expect("writing to a string never fails");
    }
    page
}
