//! The error log of an instance as its readers see it: the current one alone, from the start of the instance on.
//!
//! The last [`LINES_MAX`] entries are kept, in memory. Source: documented, *sp_readerrorlog*; that an entry above severity
//! 10 has a line with its number before it is third-party; the bound is ours.

use std::collections::VecDeque;

use crate::error::SqlError;
use crate::types::WallTime;

/// Entries that are kept; the oldest goes when one more comes.
pub const LINES_MAX: usize = 1_000;

#[derive(Debug, Default)]
pub struct ErrorLog {
    entries: VecDeque<(WallTime, SqlError)>,
}

/// One line as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub at: WallTime,
    pub text: String,
}

impl ErrorLog {
    pub fn push(&mut self, at: WallTime, error: SqlError) {
        if self.entries.len() == LINES_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back((at, error));
    }

    /// The lines, oldest first.
    pub fn lines(&self) -> impl Iterator<Item = Line> {
        self.entries.iter().flat_map(|(at, error)| {
            let head = (error.severity > 10).then(|| {
                let SqlError {
                    number,
                    severity,
                    state,
                    ..
                } = error;
                format!("Error: {number}, Severity: {severity}, State: {state}.")
            });
            head.into_iter()
                .chain([error.text.clone()])
                .map(|text| Line { at: *at, text })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::msg;

    #[test]
    fn the_number_stands_before_what_is_an_error() {
        let mut log = ErrorLog::default();
        let at = WallTime::from_unix_secs(1_767_225_600);
        log.push(at, msg::NOW_LISTENING.with(&[&7022]));
        log.push(at, msg::CANNOT_LISTEN_IN_USE.with(&[&7022]));
        let lines: Vec<String> = log.lines().map(|l| l.text).collect();
        assert_eq!(
            lines,
            [
                msg::NOW_LISTENING.with(&[&7022]).text,
                "Error: 9692, Severity: 16, State: 1.".to_owned(),
                msg::CANNOT_LISTEN_IN_USE.with(&[&7022]).text,
            ]
        );
    }

    #[test]
    fn the_oldest_entries_go_first() {
        let mut log = ErrorLog::default();
        for port in 0..LINES_MAX + 2 {
            log.push(WallTime::default(), msg::NOW_LISTENING.with(&[&port]));
        }
        assert_eq!(log.lines().count(), LINES_MAX);
        assert_eq!(
            log.lines().next().map(|l| l.text),
            Some(msg::NOW_LISTENING.with(&[&2]).text)
        );
    }
}
