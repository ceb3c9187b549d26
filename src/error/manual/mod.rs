//! The manual behind the catalogue: for every number what causes it, who sees it and what to check, in order.
//!
//! One file per area, one entry per number. A message added to the catalogue needs an entry here:
//!
//! ```text
//! 1418 Documented [Statement]
//!     "What causes it, in a sentence or two."
//!     ["What to look at first.", "What to look at next."];
//! ```
//!
//! The mark says where the tie between number and situation comes from. `states [21 "…", 22 "…"]` after the checks names
//! the places that raise a number with a state of their own. Numbers of the product that this project does not raise are
//! explained too; their entry ends with `not_raised <severity> <logged> "why"`.

mod certificates;
mod databases;
mod endpoint;
mod handshake;
mod listener;
mod mirroring;
mod principals;
mod statements;
mod transport;

use std::collections::BTreeSet;

use super::{Message, message};

/// Where a message shows up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SeenBy {
    /// The answer to a statement.
    Statement,
    /// An application that connects to a database.
    Client,
    /// The log of the instance that opened the connection.
    Initiator,
    /// The log of the instance that accepted the connection.
    Acceptor,
    Principal,
    Mirror,
    Witness,
    /// The log of the instance it is about.
    Instance,
}

impl SeenBy {
    pub const fn desc(self) -> &'static str {
        match self {
            SeenBy::Statement => "whoever runs the statement",
            SeenBy::Client => "applications",
            SeenBy::Initiator => "the initiator of a connection, in its error log",
            SeenBy::Acceptor => "the acceptor of a connection, in its error log",
            SeenBy::Principal => "the principal, in its error log",
            SeenBy::Mirror => "the mirror, in its error log",
            SeenBy::Witness => "the witness, in its error log",
            SeenBy::Instance => "the instance, in its error log",
        }
    }
}

/// Where the tie between a number and its situation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// The product's documentation ties them.
    Documented,
    /// They follow from what it says.
    Derived,
    /// People report it of real servers.
    ThirdParty,
    /// This project chose the number, or made the message.
    Ours,
}

impl Mark {
    pub const fn desc(self) -> &'static str {
        match self {
            Mark::Documented => "documented",
            Mark::Derived => "derived",
            Mark::ThirdParty => "third-party",
            Mark::Ours => "ours",
        }
    }
}

/// What the manual says of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub number: u32,
    pub mark: Mark,
    pub seen_by: &'static [SeenBy],
    pub cause: &'static str,
    /// In the order in which to look.
    pub check: &'static [&'static str],
    /// The states this project gives the number, and the place that raises each. A number without any has state 1.
    pub states: &'static [(u8, &'static str)],
    pub not_raised: Option<NotRaised>,
}

/// A number of the product that this project explains and does not raise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotRaised {
    pub severity: u8,
    pub logged: bool,
    pub why: &'static str,
}

/// The entries of one part of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// By which it is asked for.
    pub name: &'static str,
    pub title: &'static str,
    pub entries: &'static [Entry],
}

macro_rules! manual {
    ($(
        $number:literal $mark:ident [$($seen:ident),*]
            $cause:literal
            [$($check:literal),* $(,)?]
            $(states [$($state:literal $place:literal),* $(,)?])?
            $(not_raised $severity:literal $logged:literal $why:literal)?;
    )*) => {
        pub(super) const ENTRIES: &[$crate::error::manual::Entry] = &[$($crate::error::manual::Entry {
            number: $number,
            mark: $crate::error::manual::Mark::$mark,
            seen_by: &[$($crate::error::manual::SeenBy::$seen),*],
            cause: $cause,
            check: &[$($check),*],
            states: manual!(@states $([$($state $place),*])?),
            not_raised: manual!(@not_raised $($severity $logged $why)?),
        }),*];
    };
    (@states) => { &[] };
    (@states [$($state:literal $place:literal),*]) => { &[$(($state, $place)),*] };
    (@not_raised) => { None };
    (@not_raised $severity:literal $logged:literal $why:literal) => {
        Some($crate::error::manual::NotRaised { severity: $severity, logged: $logged, why: $why })
    };
}
use manual;

/// The whole manual.
pub const AREAS: &[Area] = &[
    Area {
        name: "statements",
        title: "Statements and queries",
        entries: statements::ENTRIES,
    },
    Area {
        name: "databases",
        title: "Databases, backups and disks",
        entries: databases::ENTRIES,
    },
    Area {
        name: "principals",
        title: "Logins, users and permissions",
        entries: principals::ENTRIES,
    },
    Area {
        name: "certificates",
        title: "Certificates and keys",
        entries: certificates::ENTRIES,
    },
    Area {
        name: "endpoint",
        title: "Endpoint statements",
        entries: endpoint::ENTRIES,
    },
    Area {
        name: "listener",
        title: "Listening",
        entries: listener::ENTRIES,
    },
    Area {
        name: "handshake",
        title: "The handshake between two endpoints",
        entries: handshake::ENTRIES,
    },
    Area {
        name: "transport",
        title: "Connections between endpoints",
        entries: transport::ENTRIES,
    },
    Area {
        name: "mirroring",
        title: "Mirroring sessions",
        entries: mirroring::ENTRIES,
    },
];

/// The entry of `number` and its area.
pub fn entry(number: u32) -> Option<(&'static Area, &'static Entry)> {
    AREAS
        .iter()
        .find_map(|area| Some((area, area.entries.iter().find(|e| e.number == number)?)))
}

impl Entry {
    /// The message, if this project raises it.
    pub fn message(&self) -> Option<&'static Message> {
        message(self.number)
    }

    pub fn severity(&self) -> Option<u8> {
        match (self.message(), self.not_raised) {
            (Some(message), _) => Some(message.severity),
            (None, not_raised) => not_raised.map(|n| n.severity),
        }
    }

    /// Whether the message table marks it as written to the error log by itself.
    pub fn is_logged(&self) -> bool {
        match (self.message(), self.not_raised) {
            (Some(message), _) => message.logged,
            (None, not_raised) => not_raised.is_some_and(|n| n.logged),
        }
    }

    /// The numbers this entry speaks of and those that speak of it, in order.
    pub fn related(&self) -> BTreeSet<u32> {
        let mut related = self.mentions();
        let others = AREAS.iter().flat_map(|area| area.entries);
        related.extend(
            others
                .filter(|e| e.mentions().contains(&self.number))
                .map(|e| e.number),
        );
        related.remove(&self.number);
        related
    }

    fn mentions(&self) -> BTreeSet<u32> {
        let texts = std::iter::once(&self.cause).chain(self.check);
        texts
            .flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric()))
            .filter_map(|word| word.parse().ok())
            .filter(|number| entry(*number).is_some())
            .collect()
    }

    /// The mark, and the page it stands on where there is one.
    pub fn source(&self) -> String {
        match self.mark {
            Mark::Documented | Mark::Derived => format!("{}, {}", self.mark.desc(), page(self.number)),
            Mark::ThirdParty | Mark::Ours => self.mark.desc().to_owned(),
        }
    }
}

/// The page of the product's documentation that lists a number.
fn page(number: u32) -> String {
    match number {
        1401 | 1406 | 1418 | 9692 => format!("MSSQLSERVER_{number}"),
        0..1000 => "Database Engine events and errors 0 to 999".into(),
        26000..28000 => "Database Engine events and errors 26000 to 27999".into(),
        28000..31000 => "Database Engine events and errors 28000 to 30999".into(),
        31000..41400 => "Database Engine events and errors 31000 to 41399".into(),
        _ => {
            let first = number / 1000 * 1000;
            format!("Database Engine events and errors {first} to {}", first + 999)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::msg;

    fn all() -> impl Iterator<Item = &'static Entry> {
        AREAS.iter().flat_map(|area| area.entries)
    }

    #[test]
    fn every_message_has_its_entry() {
        let missing: Vec<u32> = msg::ALL
            .iter()
            .map(|m| m.number)
            .filter(|number| entry(*number).is_none())
            .collect();
        assert!(
            missing.is_empty(),
            "messages without a manual entry: {missing:?}\n\
             Add each to the file of its area in src/error/manual/, in the order of the numbers:\n\n    \
             {} Documented [Statement]\n        \
             \"What causes it, in a sentence or two.\"\n        \
             [\"What to look at first.\", \"What to look at next.\"];\n\n\
             Marks and places are listed in src/error/manual/mod.rs. Then: \
             MIRRORLAB_REWRITE_DOCS=1 cargo test --test docs",
            missing[0]
        );
    }

    #[test]
    fn no_entry_is_orphaned() {
        for e in all() {
            let number = e.number;
            match (e.message(), e.not_raised) {
                (Some(_), Some(_)) => panic!("{number} is raised now: delete `not_raised …` from its entry"),
                (None, None) => panic!(
                    "{number} has an entry and is in no catalogue: add the message to src/error.rs, delete the entry, \
                     or end it with `not_raised <severity> <logged> \"why\"`"
                ),
                _ => {}
            }
        }
    }

    #[test]
    fn entries_are_unique_and_in_order() {
        let mut seen = BTreeSet::new();
        for area in AREAS {
            assert!(
                area.entries.is_sorted_by_key(|e| e.number),
                "{} is not in the order of its numbers",
                area.name
            );
            for e in area.entries {
                assert!(seen.insert(e.number), "{} has two entries", e.number);
            }
        }
    }

    #[test]
    fn every_entry_says_something() {
        for e in all() {
            let number = e.number;
            assert!(!e.seen_by.is_empty(), "{number} is seen by nobody");
            for text in std::iter::once(&e.cause).chain(e.check) {
                assert!(
                    text.ends_with(['.', '?']) && text.contains(' '),
                    "{number}: not a sentence: {text:?}"
                );
            }
            // Good news need no check; what went wrong does.
            let informs = e.severity().is_some_and(|s| s <= 10);
            assert!(informs || !e.check.is_empty(), "{number}: nothing to check");
            let mut states = BTreeSet::new();
            for (state, place) in e.states {
                assert!(
                    *state > 0 && states.insert(state),
                    "{number}: state {state} twice"
                );
                assert!(!place.is_empty(), "{number}: state {state} has no place");
            }
        }
    }

    #[test]
    fn related_numbers_are_found_both_ways() {
        let (_, unreachable) = entry(1418).expect("it is there");
        assert!(
            unreachable.related().contains(&9692),
            "{:?}",
            unreachable.related()
        );
        let (_, busy) = entry(9692).expect("it is there");
        assert!(busy.related().contains(&1418), "{:?}", busy.related());
        assert!(!busy.related().contains(&9692));
    }
}
