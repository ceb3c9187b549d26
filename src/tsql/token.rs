//! Tokens with byte places: `sqlparser`'s tokenizer, its errors as messages, and the reserved words.
//!
//! The tokenizer counts lines and characters; places here also carry the byte range, which is what pointing at a place
//! in a text needs.

use sqlparser::dialect::MsSqlDialect;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, TokenizerError};

use crate::error::{Span, SqlError, msg};

/// The longest batch, in bytes. Source: ours (the product's limit depends on the packet size).
pub const BATCH_BYTES_MAX: usize = 1 << 20;

/// The longest identifier, in characters. Source: documented, *Database Identifiers*.
pub const IDENTIFIER_CHARS_MAX: usize = 128;

/// One token that is neither blank nor comment.
#[derive(Debug, Clone)]
pub struct Lexeme {
    pub token: TokenWithSpan,
    pub span: Span,
}

/// The tokens of a batch, blanks and comments left out.
///
/// Errors: 8631 too long, 105 unclosed quotation mark, 113 unclosed comment, 102 a character that begins nothing.
pub fn tokenize(batch: &str) -> Result<Vec<Lexeme>, SqlError> {
    if batch.len() > BATCH_BYTES_MAX {
        return Err(msg::BATCH_TOO_LARGE.with(&[&batch.len(), &BATCH_BYTES_MAX]));
    }
    let tokens = Tokenizer::new(&MsSqlDialect {}, batch)
        .tokenize_with_location()
        .map_err(|error| lexical_error(batch, &error))?;
    let mut cursor = Cursor::new(batch);
    let mut lexemes = Vec::with_capacity(tokens.len() / 2);
    for token in tokens {
        if matches!(token.token, Token::Whitespace(_)) {
            continue;
        }
        let start = cursor.seek(token.span.start);
        let end = cursor.seek(token.span.end).max(start);
        let span = Span {
            start,
            end,
            line: narrow(token.span.start.line),
            column: narrow(token.span.start.column),
        };
        lexemes.push(Lexeme { token, span });
    }
    Ok(lexemes)
}

/// The place of a line and column of a batch.
pub fn locate(batch: &str, start: Location, end: Location) -> Span {
    let mut cursor = Cursor::new(batch);
    let first = cursor.seek(start);
    Span {
        start: first,
        end: cursor.seek(end).max(first),
        line: narrow(start.line).max(1),
        column: narrow(start.column).max(1),
    }
}

impl super::ast::Select {
    /// The place in the batch of something in `query`; the whole query when its tree does not say.
    pub fn place(&self, span: sqlparser::tokenizer::Span) -> Span {
        if span.start.line == 0 {
            return self.span;
        }
        let mut cursor = Cursor {
            rest: self.text.chars(),
            at: self.span.start,
            line: self.span.line.into(),
            column: self.span.column.into(),
        };
        let start = cursor.seek(span.start);
        Span {
            start,
            end: cursor.seek(span.end).max(start),
            line: narrow(span.start.line),
            column: narrow(span.start.column),
        }
    }
}

/// The place just behind the last token, for "end of the batch".
pub fn end_of(batch: &str, lexemes: &[Lexeme]) -> Span {
    let end = lexemes.last().map_or(0, |last| last.span.end);
    let before = batch.get(..end).unwrap_or(batch);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Span {
        start: end,
        end,
        line: narrow(before.bytes().filter(|b| *b == b'\n').count() as u64 + 1),
        column: narrow(before[line_start..].chars().count() as u64 + 1),
    }
}

/// Whether a bare word cannot be an identifier. Source: documented, *Reserved Keywords (Transact-SQL)*.
pub fn is_reserved(word: &str) -> bool {
    word.len() <= 30
        && RESERVED
            .binary_search(&word.to_ascii_uppercase().as_str())
            .is_ok()
}

/// Walks a text forward once, from (line, column) to byte offsets.
struct Cursor<'a> {
    rest: std::str::Chars<'a>,
    at: usize,
    line: u64,
    column: u64,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str) -> Self {
        Cursor {
            rest: text.chars(),
            at: 0,
            line: 1,
            column: 1,
        }
    }

    /// The offset of `location`; where it lies behind, the place already reached.
    fn seek(&mut self, location: Location) -> usize {
        while (self.line, self.column) < (location.line, location.column) {
            let Some(c) = self.rest.next() else { break };
            self.at += c.len_utf8();
            if c == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.at
    }
}

fn narrow(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn lexical_error(batch: &str, error: &TokenizerError) -> SqlError {
    if error.message.contains("multi-line comment") {
        let at = locate(batch, error.location, error.location);
        return msg::MISSING_END_COMMENT.error().at(at);
    }
    if error.message.contains("string literal") || error.message.contains("close delimiter") {
        let mut at = locate(batch, error.location, error.location);
        let opening = batch[at.start..].chars().next().map_or(0, char::len_utf8);
        at.end = at.start + opening;
        let text: String = batch[at.end..].chars().take(IDENTIFIER_CHARS_MAX).collect();
        return msg::UNCLOSED_QUOTE.with(&[&text]).at(at);
    }
    let mut at = locate(batch, error.location, error.location);
    let near = batch[at.start..].chars().next();
    at.end = at.start + near.map_or(0, char::len_utf8);
    let near = near.map_or_else(|| "end of the batch".to_owned(), String::from);
    msg::SYNTAX_NEAR
        .with(&[&near, &"a word, a number or a string"])
        .at(at)
}

/// In ascending order.
const RESERVED: &[&str] = &[
    "ADD",
    "ALL",
    "ALTER",
    "AND",
    "ANY",
    "AS",
    "ASC",
    "AUTHORIZATION",
    "BACKUP",
    "BEGIN",
    "BETWEEN",
    "BREAK",
    "BROWSE",
    "BULK",
    "BY",
    "CASCADE",
    "CASE",
    "CHECK",
    "CHECKPOINT",
    "CLOSE",
    "CLUSTERED",
    "COALESCE",
    "COLLATE",
    "COLUMN",
    "COMMIT",
    "COMPUTE",
    "CONSTRAINT",
    "CONTAINS",
    "CONTAINSTABLE",
    "CONTINUE",
    "CONVERT",
    "CREATE",
    "CROSS",
    "CURRENT",
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
    "CURSOR",
    "DATABASE",
    "DBCC",
    "DEALLOCATE",
    "DECLARE",
    "DEFAULT",
    "DELETE",
    "DENY",
    "DESC",
    "DISK",
    "DISTINCT",
    "DISTRIBUTED",
    "DOUBLE",
    "DROP",
    "DUMP",
    "ELSE",
    "END",
    "ERRLVL",
    "ESCAPE",
    "EXCEPT",
    "EXEC",
    "EXECUTE",
    "EXISTS",
    "EXIT",
    "EXTERNAL",
    "FETCH",
    "FILE",
    "FILLFACTOR",
    "FOR",
    "FOREIGN",
    "FREETEXT",
    "FREETEXTTABLE",
    "FROM",
    "FULL",
    "FUNCTION",
    "GOTO",
    "GRANT",
    "GROUP",
    "HAVING",
    "HOLDLOCK",
    "IDENTITY",
    "IDENTITYCOL",
    "IDENTITY_INSERT",
    "IF",
    "IN",
    "INDEX",
    "INNER",
    "INSERT",
    "INTERSECT",
    "INTO",
    "IS",
    "JOIN",
    "KEY",
    "KILL",
    "LEFT",
    "LIKE",
    "LINENO",
    "LOAD",
    "MERGE",
    "NATIONAL",
    "NOCHECK",
    "NONCLUSTERED",
    "NOT",
    "NULL",
    "NULLIF",
    "OF",
    "OFF",
    "OFFSETS",
    "ON",
    "OPEN",
    "OPENDATASOURCE",
    "OPENQUERY",
    "OPENROWSET",
    "OPENXML",
    "OPTION",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PERCENT",
    "PIVOT",
    "PLAN",
    "PRECISION",
    "PRIMARY",
    "PRINT",
    "PROC",
    "PROCEDURE",
    "PUBLIC",
    "RAISERROR",
    "READ",
    "READTEXT",
    "RECONFIGURE",
    "REFERENCES",
    "REPLICATION",
    "RESTORE",
    "RESTRICT",
    "RETURN",
    "REVERT",
    "REVOKE",
    "RIGHT",
    "ROLLBACK",
    "ROWCOUNT",
    "ROWGUIDCOL",
    "RULE",
    "SAVE",
    "SCHEMA",
    "SECURITYAUDIT",
    "SELECT",
    "SEMANTICKEYPHRASETABLE",
    "SEMANTICSIMILARITYDETAILSTABLE",
    "SEMANTICSIMILARITYTABLE",
    "SESSION_USER",
    "SET",
    "SETUSER",
    "SHUTDOWN",
    "SOME",
    "STATISTICS",
    "SYSTEM_USER",
    "TABLE",
    "TABLESAMPLE",
    "TEXTSIZE",
    "THEN",
    "TO",
    "TOP",
    "TRAN",
    "TRANSACTION",
    "TRIGGER",
    "TRUNCATE",
    "TRY_CONVERT",
    "TSEQUAL",
    "UNION",
    "UNIQUE",
    "UNPIVOT",
    "UPDATE",
    "UPDATETEXT",
    "USE",
    "USER",
    "VALUES",
    "VARYING",
    "VIEW",
    "WAITFOR",
    "WHEN",
    "WHERE",
    "WHILE",
    "WITH",
    "WITHIN",
    "WRITETEXT",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_bytes_lines_and_characters() {
        let text = "PRINT N'é'\n  [a]]b]";
        let lexemes = tokenize(text).unwrap();
        let last = lexemes.last().unwrap();
        assert_eq!(&text[last.span.start..last.span.end], "[a]]b]");
        assert_eq!((last.span.line, last.span.column), (2, 3));
    }

    #[test]
    fn reserved_words_are_in_order() {
        assert!(RESERVED.is_sorted());
        assert!(is_reserved("select"));
        assert!(!is_reserved("endpoint"));
    }
}
