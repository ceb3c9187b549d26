//! `SELECT`: where it ends, and its tree by `sqlparser`.
//!
//! A query is cut out of the batch before `sqlparser` sees it: at a semicolon, or at a word that only begins statements.
//! Operators are counted first, because a long chain of them makes a deep tree, and deep trees are dropped recursively.

use sqlparser::dialect::MsSqlDialect;
use sqlparser::parser::{Parser as QueryParser, ParserError};
use sqlparser::tokenizer::{Location, Token};

use super::{Parsed, Parser, shorten};
use crate::error::{Span, SqlError, msg};
use crate::tsql::ast::{Select, Statement};
use crate::tsql::token::{is_reserved, locate};

/// Operators, keywords and parentheses of one query at most; more is 191. Source: ours.
pub const QUERY_OPERATORS_MAX: usize = 500;

impl Parser<'_> {
    pub(super) fn select(&mut self) -> Parsed<Statement> {
        let start = self.at;
        let end = self.query_end()?;
        let tokens = self.lexemes[start..end]
            .iter()
            .map(|lexeme| lexeme.token.clone())
            .collect();
        let dialect = MsSqlDialect {};
        let mut parser = QueryParser::new(&dialect).with_tokens_with_locations(tokens);
        let parsed = parser.parse_query();
        let read = parser.index().min(end - start);
        let query = parsed.map_err(|error| self.query_error(start, end, &error))?;
        self.at = start + read;
        if read < end - start {
            return Err(self.expected("the end of the query"));
        }
        let span = self.span_since(start);
        Ok(Statement::Select(Select {
            text: self
                .source
                .get(span.start..span.end)
                .unwrap_or_default()
                .to_owned(),
            query,
            span,
        }))
    }

    /// The index behind the query's last token.
    fn query_end(&self) -> Parsed<usize> {
        let common_table = self.at_keyword("WITH");
        let (mut depth, mut operators, mut selects) = (0usize, 0usize, 0usize);
        let mut previous = "";
        for (index, lexeme) in self.lexemes.iter().enumerate().skip(self.at) {
            match &lexeme.token.token {
                Token::SemiColon if depth == 0 => return Ok(index),
                Token::Word(word) if word.quote_style.is_none() => {
                    let upper = word.value.as_str();
                    if depth == 0 && index > self.at && begins_statement(upper) {
                        return Ok(index);
                    }
                    if depth == 0 && upper.eq_ignore_ascii_case("SELECT") {
                        let joined = ["UNION", "ALL", "EXCEPT", "INTERSECT"]
                            .iter()
                            .any(|word| previous.eq_ignore_ascii_case(word));
                        let first = selects == 0 && (common_table || index == self.at);
                        if !joined && !first {
                            return Ok(index);
                        }
                        selects += 1;
                    }
                    if is_reserved(upper) {
                        operators += 1;
                    }
                    previous = upper;
                    continue;
                }
                Token::LParen => {
                    depth += 1;
                    operators += 1;
                }
                Token::RParen => depth = depth.saturating_sub(1),
                Token::Comma | Token::Period | Token::Word(_) | Token::Number(..) => {}
                Token::SingleQuotedString(_) | Token::NationalStringLiteral(_) => {}
                _ => operators += 1,
            }
            previous = "";
            if operators > QUERY_OPERATORS_MAX {
                return Err(msg::QUERY_TOO_DEEP.error().at(lexeme.span));
            }
        }
        if operators > QUERY_OPERATORS_MAX {
            return Err(msg::QUERY_TOO_DEEP.error().at(self.span()));
        }
        Ok(self.lexemes.len())
    }

    /// `sqlparser` says what it expected and where, in one string.
    fn query_error(&self, start: usize, end: usize, error: &ParserError) -> SqlError {
        let text = match error {
            ParserError::RecursionLimitExceeded => {
                let at = self
                    .lexemes
                    .get(start)
                    .map_or_else(|| self.span(), |first| first.span);
                return msg::QUERY_TOO_DEEP.error().at(at);
            }
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
        };
        let span = error_place(text)
            .map(|location| locate(self.source, location, location))
            .and_then(|place| {
                let lexemes = &self.lexemes[start..end];
                lexemes
                    .iter()
                    .map(|lexeme| lexeme.span)
                    .find(|span| span.start == place.start)
            });
        let expected = text
            .split_once("Expected: ")
            .map_or(text.as_str(), |(_, rest)| rest)
            .split(", found:")
            .next()
            .unwrap_or("something else")
            .trim_end_matches('.');
        let expected = expected.split(" at Line:").next().unwrap_or(expected);
        let expected = expected.strip_prefix("Expected ").unwrap_or(expected);
        let (near, at): (String, Span) = match span {
            Some(span) => (
                shorten(self.source.get(span.start..span.end).unwrap_or_default()),
                span,
            ),
            None => {
                let behind = Parser {
                    source: self.source,
                    lexemes: &self.lexemes[..end],
                    at: end,
                };
                ("end of the query".to_owned(), behind.span())
            }
        };
        let message = if is_reserved(&near) {
            msg::SYNTAX_NEAR_KEYWORD
        } else {
            msg::SYNTAX_NEAR
        };
        message.with(&[&near, &shorten(expected)]).at(at)
    }
}

/// `… at Line: 1, Column: 9`.
fn error_place(text: &str) -> Option<Location> {
    let (_, place) = text.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    Some(Location {
        line: line.trim().parse().ok()?,
        column: column.trim().parse().ok()?,
    })
}

/// Reserved words that begin a statement and occur nowhere inside a query at its top level.
fn begins_statement(word: &str) -> bool {
    const BEGINNINGS: &[&str] = &[
        "ALTER",
        "BACKUP",
        "BEGIN",
        "CHECKPOINT",
        "COMMIT",
        "CREATE",
        "DBCC",
        "DECLARE",
        "DELETE",
        "DENY",
        "DROP",
        "EXEC",
        "EXECUTE",
        "GOTO",
        "GRANT",
        "IF",
        "INSERT",
        "KILL",
        "MERGE",
        "PRINT",
        "RAISERROR",
        "RECONFIGURE",
        "RESTORE",
        "RETURN",
        "REVERT",
        "REVOKE",
        "ROLLBACK",
        "SAVE",
        "SET",
        "SHUTDOWN",
        "TRUNCATE",
        "UPDATE",
        "USE",
        "WAITFOR",
        "WHILE",
    ];
    BEGINNINGS
        .iter()
        .any(|beginning| word.eq_ignore_ascii_case(beginning))
}
