//! `mirrorlab errors`: a page of the manual for each number, or a list of what speaks of some words.
//!
//! Reads the catalogue and its manual, and looks in the scenarios for those that expect a number. Source: ours.

use std::io::{self, Write};

use serde::Serialize;

use super::{CLEAN, CliError, Format, library};
use crate::error::manual::{AREAS, Area, Entry, entry};
use crate::sim::scenario::{Library, Scenario};

/// Text is wrapped to this many columns.
const WIDTH: usize = 100;

/// Pages for numbers; otherwise the list of entries in which every word is found, of all if there is none.
pub(super) fn errors(what: &[String], format: Format) -> Result<u8, CliError> {
    if what.iter().any(|word| word.trim().is_empty()) {
        return Err(CliError::EmptyWord);
    }
    let numbers: Option<Vec<u32>> = what.iter().map(|w| w.parse().ok()).collect();
    let text = match numbers.filter(|n| !n.is_empty()) {
        Some(numbers) => {
            let found = numbers.into_iter().map(find).collect::<Result<Vec<_>, _>>()?;
            let scenarios = scenarios();
            let pages: Vec<Page> = found.iter().map(|e| Page::new(e.0, e.1, &scenarios)).collect();
            match format {
                Format::Pretty => pages.iter().map(Page::text).collect::<Vec<_>>().join("\n"),
                Format::Json => lines(&pages)?,
            }
        }
        None => list(what, format)?,
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(CLEAN)
}

fn find(number: u32) -> Result<(&'static Area, &'static Entry), CliError> {
    entry(number).ok_or_else(|| CliError::UnknownNumber {
        number,
        near: near(number),
    })
}

/// The four known numbers that lie nearest, in order.
fn near(number: u32) -> String {
    let mut known: Vec<u32> = AREAS.iter().flat_map(|a| a.entries).map(|e| e.number).collect();
    known.sort_by_key(|n| (n.abs_diff(number), *n));
    known.truncate(4);
    known.sort_unstable();
    known.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

/// The scenarios that can be read; a page is no place to complain of one that cannot.
fn scenarios() -> Vec<Scenario> {
    let library = library().unwrap_or_else(|_| Library::built_in());
    library
        .names()
        .filter_map(|name| library.load(name).ok())
        .collect()
}

/// One entry as it is shown.
#[derive(Serialize)]
struct Page {
    number: u32,
    severity: Option<u8>,
    logged: bool,
    area: &'static str,
    /// `{0}`, `{1}` … stand for what the message is about. Absent where this project does not raise the number.
    text: Option<&'static str>,
    cause: &'static str,
    check: &'static [&'static str],
    seen_by: Vec<&'static str>,
    states: Vec<State>,
    related: Vec<u32>,
    scenarios: Vec<String>,
    source: String,
    not_raised: Option<&'static str>,
}

#[derive(Serialize)]
struct State {
    state: u8,
    place: &'static str,
}

impl Page {
    fn new(area: &Area, entry: &Entry, scenarios: &[Scenario]) -> Page {
        let shows = |s: &&Scenario| s.numbers().contains(&entry.number);
        Page {
            number: entry.number,
            severity: entry.severity(),
            logged: entry.is_logged(),
            area: area.name,
            text: entry.message().map(|m| m.text),
            cause: entry.cause,
            check: entry.check,
            seen_by: entry.seen_by.iter().map(|s| s.desc()).collect(),
            states: entry
                .states
                .iter()
                .map(|&(state, place)| State { state, place })
                .collect(),
            related: entry.related().into_iter().collect(),
            scenarios: scenarios.iter().filter(shows).map(|s| s.name.clone()).collect(),
            source: entry.source(),
            not_raised: entry.not_raised.map(|n| n.why),
        }
    }

    fn text(&self) -> String {
        let level = self.severity.map_or(String::new(), |s| format!("level {s}, "));
        let logged = if self.logged {
            "written to the error log"
        } else {
            "not written to the error log by itself"
        };
        let mut out = format!("{}  {level}{logged}\n", self.number);
        if let Some(text) = self.text {
            out.push_str(&format!("\n{}", wrapped(text, "    ", "    ")));
        }
        section(&mut out, "What it means", &[self.cause.to_owned()]);
        section(
            &mut out,
            "Why mirrorlab does not raise it",
            &self
                .not_raised
                .iter()
                .map(|w| (*w).to_owned())
                .collect::<Vec<_>>(),
        );
        if !self.check.is_empty() {
            out.push_str("\nWhat to check, in order\n");
            for (i, text) in self.check.iter().enumerate() {
                out.push_str(&wrapped(text, &format!("{:>4}. ", i + 1), "      "));
            }
        }
        section(
            &mut out,
            "Who sees it",
            &self.seen_by.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>(),
        );
        let states: Vec<String> = self
            .states
            .iter()
            .map(|s| format!("{:>3}  {}", s.state, s.place))
            .collect();
        section(&mut out, "States", &states);
        let related: Vec<String> = self
            .related
            .iter()
            .filter_map(|n| Some(format!("{n}  {}", first_sentence(entry(*n)?.1.cause))))
            .collect();
        section(&mut out, "See also", &related);
        section(&mut out, "Scenarios that show it", &self.scenarios);
        section(&mut out, "Source", std::slice::from_ref(&self.source));
        out
    }
}

/// A heading and its lines; nothing if there are none.
fn section(out: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    out.push_str(&format!("\n{title}\n"));
    for line in lines {
        out.push_str(&wrapped(line, "    ", "      "));
    }
}

/// The list: one line an entry, under the title of its area.
fn list(words: &[String], format: Format) -> Result<String, CliError> {
    let words: Vec<String> = words.iter().map(|w| w.to_lowercase()).collect();
    let mut out = String::new();
    let mut pages = Vec::new();
    for area in AREAS {
        let found: Vec<&Entry> = area.entries.iter().filter(|e| speaks(area, e, &words)).collect();
        if format == Format::Json {
            pages.extend(found.iter().map(|e| Page::new(area, e, &[])));
        } else if !found.is_empty() {
            let gap = if out.is_empty() { "" } else { "\n" };
            out.push_str(&format!("{gap}{} ({})\n", area.title, area.name));
            for e in found {
                let mark = if e.not_raised.is_some() { '-' } else { ' ' };
                let text = format!("{:>7} {mark} {}", e.number, first_sentence(e.cause));
                out.push_str(&wrapped(&text, "", "          "));
            }
        }
    }
    if format == Format::Json {
        out = lines(&pages)?;
    }
    if out.is_empty() {
        let areas: Vec<&str> = AREAS.iter().map(|a| a.name).collect();
        return Err(CliError::NothingSpeaks {
            words: words.join(" "),
            areas: areas.join(", "),
        });
    }
    if format == Format::Pretty {
        out.push_str(
            "\n`mirrorlab errors NUMBER` explains one; those marked - are not raised by mirrorlab.\n",
        );
    }
    Ok(out)
}

/// Whether every word is the area's name, or stands somewhere in the entry.
fn speaks(area: &Area, entry: &Entry, words: &[String]) -> bool {
    let mut all = format!("{} {} {}", entry.number, area.name, entry.cause);
    for text in entry
        .check
        .iter()
        .copied()
        .chain(entry.message().map(|m| m.text))
        .chain(entry.not_raised.map(|n| n.why))
    {
        all.push(' ');
        all.push_str(text);
    }
    let all = all.to_lowercase();
    words.iter().all(|word| all.contains(word))
}

/// JSON Lines.
fn lines(pages: &[Page]) -> Result<String, CliError> {
    let mut out = String::new();
    for page in pages {
        out.push_str(&serde_json::to_string(page).map_err(io::Error::other)?);
        out.push('\n');
    }
    Ok(out)
}

fn first_sentence(text: &str) -> &str {
    text.split_inclusive(". ").next().unwrap_or(text).trim_end()
}

/// `text` in lines of at most [`WIDTH`] columns, the first after `first`, the others after `next`.
fn wrapped(text: &str, first: &str, next: &str) -> String {
    let mut out = String::new();
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split(' ') {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            out.push_str(line.trim_end());
            out.push('\n');
            line = next.to_owned();
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_and_indented() {
        let text = "word ".repeat(40);
        for (i, line) in wrapped(text.trim(), "  - ", "    ").lines().enumerate() {
            assert!(line.len() <= WIDTH, "{line}");
            assert!(
                line.starts_with(if i == 0 { "  - word" } else { "    word" }),
                "{line}"
            );
        }
    }

    #[test]
    fn an_unknown_number_gets_its_neighbours() {
        assert_eq!(near(28050), "28045, 28046, 28047, 28048");
        assert_eq!(near(1), "102, 103, 105, 113");
    }
}
