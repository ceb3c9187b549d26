//! Cutting a script into batches at `GO`.
//!
//! `GO` is the client's word, not the server's: it stands alone on its line, may be followed by a repeat count, a
//! semicolon or a comment, and means nothing inside a string, a delimited identifier or a block comment.
//! Source: documented, *SQL Server Utilities Statements - GO*.

use crate::error::{Span, SqlError};

/// One batch of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The text between two `GO`s.
    pub text: String,
    /// The line of the script on which it begins, from 1.
    pub first_line: u32,
    /// How many bytes of the script stand before it.
    pub offset: usize,
    /// How often it is to be run: the number behind its `GO`, else 1.
    pub count: u32,
}

impl Batch {
    /// The error with its place counted from the start of the script instead of the batch.
    pub fn in_script(&self, mut error: SqlError) -> SqlError {
        error.at = error.at.map(|at| Span {
            start: at.start + self.offset,
            end: at.end + self.offset,
            line: at.line + self.first_line - 1,
            column: at.column,
        });
        error
    }
}

/// The batches of `script`, those without any text left out. Never fails: a malformed `GO` line stays in its batch,
/// where `parse` reports it.
pub fn split_batches(script: &str) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut inside = Inside::Nothing;
    let (mut start, mut first_line, mut offset) = (0, 1, 0);
    for (number, line) in (1u32..).zip(script.split_inclusive('\n')) {
        let separator = match inside {
            Inside::Nothing => go_count(line),
            _ => None,
        };
        if let Some(count) = separator {
            push(&mut batches, &script[start..offset], first_line, start, count);
            start = offset + line.len();
            first_line = number + 1;
        } else {
            inside = inside.after(line);
        }
        offset += line.len();
    }
    push(&mut batches, &script[start..], first_line, start, 1);
    batches
}

fn push(batches: &mut Vec<Batch>, text: &str, first_line: u32, offset: usize, count: u32) {
    if !text.trim().is_empty() {
        batches.push(Batch {
            text: text.to_owned(),
            first_line,
            offset,
            count,
        });
    }
}

/// The repeat count if `line` is a `GO` line.
fn go_count(line: &str) -> Option<u32> {
    let line = line.trim();
    let rest = match line.get(..2) {
        Some(word) if word.eq_ignore_ascii_case("go") => &line[2..],
        _ => return None,
    };
    let rest = rest.split("--").next().unwrap_or_default();
    let count = rest.trim_end().trim_end_matches(';').trim_end();
    if count.is_empty() {
        return Some(1);
    }
    if !count.starts_with([' ', '\t']) {
        return None;
    }
    count.trim_start().parse().ok()
}

/// What the scanner is in the middle of at the end of a line.
#[derive(Clone, Copy)]
enum Inside {
    Nothing,
    /// A string or a delimited identifier that ends with this character, doubled inside.
    Quotes(char),
    /// Nested block comments, this many.
    Comments(usize),
}

impl Inside {
    fn after(self, line: &str) -> Inside {
        let mut inside = self;
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            let next = chars.peek().copied();
            inside = match (inside, c) {
                (Inside::Nothing, '\'' | '"') => Inside::Quotes(c),
                (Inside::Nothing, '[') => Inside::Quotes(']'),
                (Inside::Nothing, '-') if next == Some('-') => return Inside::Nothing,
                (Inside::Nothing, '/') if next == Some('*') => {
                    chars.next();
                    Inside::Comments(1)
                }
                (Inside::Quotes(end), c) if c == end => {
                    if next == Some(end) {
                        chars.next();
                        inside
                    } else {
                        Inside::Nothing
                    }
                }
                (Inside::Comments(depth), '/') if next == Some('*') => {
                    chars.next();
                    Inside::Comments(depth + 1)
                }
                (Inside::Comments(depth), '*') if next == Some('/') => {
                    chars.next();
                    if depth == 1 {
                        Inside::Nothing
                    } else {
                        Inside::Comments(depth - 1)
                    }
                }
                (inside, _) => inside,
            };
        }
        inside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(script: &str) -> Vec<(String, u32, u32)> {
        split_batches(script)
            .into_iter()
            .map(|b| (b.text.trim().to_owned(), b.first_line, b.count))
            .collect()
    }

    #[test]
    fn go_stands_alone_on_its_line() {
        assert_eq!(
            texts("USE master\nGO\nPRINT 'a'\n  go 3 -- thrice\n\nGO;\nPRINT 'GO'\n"),
            [
                ("USE master".into(), 1, 1),
                ("PRINT 'a'".into(), 3, 3),
                ("PRINT 'GO'".into(), 7, 1),
            ]
        );
    }

    #[test]
    fn go_inside_quotes_and_comments_is_text() {
        for script in [
            "PRINT 'a\nGO\nb'",
            "SELECT [a\nGO\n]]x\nGO\n]",
            "/* a /* b */\nGO\n*/ PRINT 'x'",
            "SELECT \"a\nGO\n\"",
            "GOTO x",
            "GO x",
        ] {
            assert_eq!(split_batches(script).len(), 1, "{script}");
        }
        assert_eq!(texts("PRINT 'it''s' -- don't\nGO\nPRINT 'b'").len(), 2);
    }

    #[test]
    fn a_place_can_be_counted_from_the_start_of_the_script() {
        let script = "PRINT 'a'\nGO\n\nPRINT b\n";
        let batch = &split_batches(script)[1];
        let error = crate::tsql::parse(&batch.text).unwrap_err();
        let at = batch.in_script(error).at.unwrap();
        assert_eq!((&script[at.start..at.end], at.line, at.column), ("b", 4, 7));
    }
}
