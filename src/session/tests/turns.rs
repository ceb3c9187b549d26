//! The rows of the reference's transition table, T1 to T18, each played: what either partner showed before and after, and
//! which events of the class *Database Mirroring State Change* it told on the way.
//!
//! The first line of a cell is what the reference says, the second what was seen where that differs; a difference is either
//! explained by a row of docs/decisions.md or fails the test. Source: documented, *Mirroring States*, *Role Switching*,
//! *Database Mirroring State Change Event Class*.

mod rows;

use std::collections::BTreeSet;
use std::fmt::Write;

use super::harness::{A, B, Trio};
use crate::session::Command;
use crate::types::{Event, MirroringState, SessionEvent};

const PM: usize = 0;

/// What a partner shows before and after, and the events it tells.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cell {
    before: String,
    after: String,
    events: Vec<u8>,
}

struct Row {
    name: &'static str,
    what: &'static str,
    before: fn() -> Trio,
    act: fn(&mut Trio),
    /// Of the principal at first, and of its mirror.
    expected: [Cell; 2],
    /// Why it may differ: a row of docs/decisions.md.
    explained: Option<&'static str>,
}

fn cell(before: &str, after: &str, events: &[u8]) -> Cell {
    Cell {
        before: before.into(),
        after: after.into(),
        events: events.to_vec(),
    }
}

fn row(
    name: &'static str,
    what: &'static str,
    before: fn() -> Trio,
    act: fn(&mut Trio),
    principal: (&str, &str, &[u8]),
    mirror: (&str, &str, &[u8]),
) -> Row {
    Row {
        name,
        what,
        before,
        act,
        expected: [principal, mirror].map(|(before, after, events)| cell(before, after, events)),
        explained: None,
    }
}

impl Row {
    fn explained(self, by: &'static str) -> Row {
        Row {
            explained: Some(by),
            ..self
        }
    }
}

fn shows(trio: &Trio, of: usize) -> String {
    let partner = (!trio.is_removed(of)).then(|| trio.partner(of));
    let Some((partner, state)) = partner.and_then(|p| p.state().map(|state| (p, state))) else {
        return "none".into();
    };
    let serves = if partner.is_serving() { ", serves" } else { "" };
    format!("{} {}{serves}", partner.role(), state.desc())
}

fn told(trio: &Trio, of: usize) -> Vec<u8> {
    let events = trio.sides[of].events.iter();
    events
        .filter_map(|event| match event {
            Event::Session(SessionEvent::State { trace_id, .. }) => *trace_id,
            _ => None,
        })
        .collect()
}

fn play(row: &Row) -> [Cell; 2] {
    let mut trio = (row.before)();
    let before = [A, B].map(|of| (shows(&trio, of), told(&trio, of).len()));
    (row.act)(&mut trio);
    [A, B].map(|of| {
        let (before, told_before) = before[of].clone();
        Cell {
            before,
            after: shows(&trio, of),
            events: told(&trio, of).split_off(told_before),
        }
    })
}

/// Lets it run until this partner shows this state.
fn until(trio: &mut Trio, of: usize, state: MirroringState) {
    while trio.partner(of).state() != Some(state) {
        assert!(trio.advance(), "{state} is never shown: {:#?}", trio.last_steps());
    }
}

fn synchronizing(trio: &mut Trio) {
    trio.connect(PM);
    until(trio, A, MirroringState::Synchronizing);
    until(trio, B, MirroringState::Synchronizing);
}

fn cut(trio: &mut Trio, links: &[usize]) {
    links.iter().for_each(|link| trio.cut(*link, 0));
    trio.drain();
}

fn command(trio: &mut Trio, of: usize, command: Command) {
    trio.command(of, command);
    trio.drain();
    assert_eq!(
        trio.sides[of].done.last(),
        Some(&Ok(())),
        "{:#?}",
        trio.last_steps()
    );
}

#[test]
fn every_turn_of_the_transition_table_is_as_the_reference_says() {
    let decisions = include_str!("../../../docs/decisions.md");
    let mut table = String::new();
    let mut differ = Vec::new();
    let mut ids = BTreeSet::new();
    for row in rows::rows() {
        writeln!(table, "{}: {}", row.name, row.what).unwrap();
        let seen = play(&row);
        let agrees = row.expected.iter().eq(&seen);
        assert!(
            row.explained.is_none() || !agrees,
            "{}: nothing to explain",
            row.name
        );
        for ((who, expected), seen) in ["principal", "mirror"].iter().zip(&row.expected).zip(&seen) {
            ids.extend(seen.events.iter().copied());
            writeln!(table, "    {who:<9}  {expected}").unwrap();
            if expected == seen {
                continue;
            }
            let explained = row
                .explained
                .filter(|id| decisions.contains(&format!("| {id} |")));
            writeln!(table, "    {:<9}  {seen}", explained.unwrap_or("DIFFERS")).unwrap();
            if explained.is_none() {
                differ.push(format!(
                    "{} {}, {who}: expected {expected}, is {seen}",
                    row.name, row.what
                ));
            }
        }
    }
    insta::assert_snapshot!(table);
    assert!(differ.is_empty(), "{differ:#?}");
    assert!(
        ids.iter().copied().eq(0..=13),
        "events of these ids alone: {ids:?}"
    );
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} -> {}", self.before, self.after)?;
        match self.events.is_empty() {
            true => write!(f, "; no event"),
            false => write!(
                f,
                "; events {}",
                self.events
                    .iter()
                    .map(u8::to_string)
                    .collect::<Vec<_>>()
                    .join(" ")
            ),
        }
    }
}
