//! Recursive descent over the tokens of one batch.
//!
//! This file owns the cursor, the errors and the choice of the statement; the grammar of each family of statements is in
//! its own file. A batch that does not parse runs not at all. Nothing here recurses, so no input is too deep; queries
//! are bounded before `sqlparser` sees them. Source: documented, the statement pages; the texts after "expected" are ours.

mod data;
mod database;
mod endpoint;
mod execute;
mod login;
mod permission;
mod query;
mod security;

use sqlparser::tokenizer::{Token, Word};

use super::ast::{Name, Secret, Spanned, Statement, Text};
use super::token::{IDENTIFIER_CHARS_MAX, Lexeme, end_of, is_reserved, tokenize};
use crate::error::{Span, SqlError, msg};

pub use endpoint::{LISTENER_PORT_MAX, LISTENER_PORT_MIN};
pub use query::QUERY_OPERATORS_MAX;

/// The statements of one batch, in order.
///
/// Errors, all with a place: 102 and 156 syntax, 105 and 113 unclosed, 103 a name too long, 191 a query too deep, 241 a
/// date, 7801 to 7863 endpoint clauses, 8115 a number too large, 8631 the batch too long, 40517 a statement or an option
/// that exists in the product and not here.
pub fn parse(batch: &str) -> Result<Vec<Spanned<Statement>>, SqlError> {
    let lexemes = tokenize(batch)?;
    let mut parser = Parser {
        source: batch,
        lexemes: &lexemes,
        at: 0,
    };
    let mut statements = Vec::new();
    loop {
        while parser.eat(&Token::SemiColon) {}
        if parser.at == lexemes.len() {
            return Ok(statements);
        }
        let start = parser.at;
        let node = parser.statement()?;
        let span = parser.span_since(start);
        statements.push(Spanned { node, span });
    }
}

type Parsed<T> = Result<T, SqlError>;

struct Parser<'a> {
    source: &'a str,
    lexemes: &'a [Lexeme],
    at: usize,
}

impl Parser<'_> {
    fn statement(&mut self) -> Parsed<Statement> {
        let Some(first) = self.word() else {
            return Err(self.expected("a statement"));
        };
        let first = first.to_ascii_uppercase();
        match first.as_str() {
            "CREATE" | "ALTER" | "DROP" => self.definition(&first),
            "USE" => {
                self.next();
                Ok(Statement::Use(self.name("a database name")?))
            }
            "GRANT" | "DENY" | "REVOKE" => self.permission(&first),
            "OPEN" | "CLOSE" if self.word_at(1).is_some_and(|w| w.eq_ignore_ascii_case("MASTER")) => {
                self.master_key(&first)
            }
            "BACKUP" => self.backup(),
            "RESTORE" => self.restore(),
            "CHECKPOINT" => {
                self.next();
                Ok(Statement::Checkpoint)
            }
            "BEGIN" | "COMMIT" | "ROLLBACK" => self.transaction(&first),
            "INSERT" => self.insert(),
            "UPDATE" => self.update(),
            "DELETE" => self.delete(),
            "SELECT" | "WITH" => self.select(),
            "EXEC" | "EXECUTE" => self.execute(),
            "PRINT" => {
                self.next();
                Ok(Statement::Print(self.text("a character string")?))
            }
            word if UNSUPPORTED.contains(&word) => Err(self.unsupported(1)),
            _ => Err(self.expected("a statement")),
        }
    }

    fn definition(&mut self, verb: &str) -> Parsed<Statement> {
        let Some(object) = self.word_at(1) else {
            self.next();
            return Err(self.expected("what to create, alter or drop"));
        };
        let object = object.to_ascii_uppercase();
        let start = self.at;
        match (verb, object.as_str()) {
            ("CREATE" | "ALTER" | "DROP", "MASTER") => self.master_key(verb),
            ("CREATE", "CERTIFICATE") => self.create_certificate(),
            ("ALTER", "CERTIFICATE") => self.alter_certificate(),
            ("CREATE", "LOGIN") => self.create_login(),
            ("ALTER", "LOGIN") => self.alter_login(),
            ("CREATE", "USER") => self.create_user(),
            ("ALTER", "SERVER") if self.word_at(2).is_some_and(|w| w.eq_ignore_ascii_case("ROLE")) => {
                self.alter_server_role()
            }
            ("ALTER", "ROLE") => self.alter_role(),
            ("ALTER", "AUTHORIZATION") => self.alter_authorization(),
            ("CREATE", "ENDPOINT") => self.create_endpoint(),
            ("ALTER", "ENDPOINT") => self.alter_endpoint(),
            ("CREATE", "DATABASE") => self.create_database(),
            ("ALTER", "DATABASE") => self.alter_database(),
            ("CREATE", "TABLE") => self.create_table(),
            ("DROP", "CERTIFICATE" | "LOGIN" | "USER" | "ENDPOINT" | "DATABASE") => {
                self.at += 2;
                if self.keyword("IF") {
                    self.at -= 1;
                    return Err(self.unsupported_word("IF EXISTS"));
                }
                let name = self.name("a name")?;
                Ok(match object.as_str() {
                    "CERTIFICATE" => Statement::DropCertificate(name),
                    "LOGIN" => Statement::DropLogin(name),
                    "USER" => Statement::DropUser(name),
                    "ENDPOINT" => Statement::DropEndpoint(name),
                    _ => Statement::DropDatabase(name),
                })
            }
            (_, word) if OBJECTS.contains(&word) => {
                self.at = start;
                Err(self.unsupported(if word == "AVAILABILITY" { 3 } else { 2 }))
            }
            _ => {
                self.next();
                Err(self.expected("what to create, alter or drop"))
            }
        }
    }

    fn peek(&self) -> Option<&Token> {
        self.lexemes.get(self.at).map(|lexeme| &lexeme.token.token)
    }

    fn next(&mut self) {
        self.at = (self.at + 1).min(self.lexemes.len());
    }

    /// The place of the next token, or the end of the batch.
    fn span(&self) -> Span {
        match self.lexemes.get(self.at) {
            Some(lexeme) => lexeme.span,
            None => end_of(self.source, self.lexemes),
        }
    }

    /// From the token at index `start` to the last one read.
    fn span_since(&self, start: usize) -> Span {
        let mut span = self
            .lexemes
            .get(start)
            .map_or_else(|| self.span(), |first| first.span);
        if self.at > start {
            span.end = self.lexemes[self.at - 1].span.end;
        }
        span
    }

    /// The next token's text if it is a bare word.
    fn word(&self) -> Option<&str> {
        self.word_at(0)
    }

    fn word_at(&self, ahead: usize) -> Option<&str> {
        match self
            .lexemes
            .get(self.at + ahead)
            .map(|lexeme| &lexeme.token.token)
        {
            Some(Token::Word(Word {
                value,
                quote_style: None,
                ..
            })) => Some(value),
            _ => None,
        }
    }

    fn at_keyword(&self, keyword: &str) -> bool {
        self.word().is_some_and(|word| word.eq_ignore_ascii_case(keyword))
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let found = self.at_keyword(keyword);
        if found {
            self.next();
        }
        found
    }

    fn expect_keywords(&mut self, keywords: &[&str]) -> Parsed<()> {
        for keyword in keywords {
            if !self.keyword(keyword) {
                return Err(self.expected(keyword));
            }
        }
        Ok(())
    }

    /// One of `words`, by its index.
    fn one_of(&mut self, words: &[&str]) -> Parsed<usize> {
        match words.iter().position(|word| self.at_keyword(word)) {
            Some(index) => {
                self.next();
                Ok(index)
            }
            None => Err(self.expected(&alternatives(words))),
        }
    }

    fn eat(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        if found {
            self.next();
        }
        found
    }

    fn expect(&mut self, token: &Token) -> Parsed<()> {
        if self.eat(token) {
            Ok(())
        } else {
            Err(self.expected(&format!("'{token}'")))
        }
    }

    fn name(&mut self, what: &str) -> Parsed<Name> {
        let span = self.span();
        let text = match self.peek() {
            Some(Token::Word(word)) => {
                let variable = word.quote_style.is_none() && word.value.starts_with(['@', '#']);
                let reserved = word.quote_style.is_none() && is_reserved(&word.value);
                if word.value.is_empty() || variable || reserved {
                    return Err(self.expected(what));
                }
                word.value.clone()
            }
            _ => return Err(self.expected(what)),
        };
        if text.chars().count() > IDENTIFIER_CHARS_MAX {
            let beginning: String = text.chars().take(IDENTIFIER_CHARS_MAX).collect();
            let error = msg::TOO_LONG.with(&[&"identifier", &beginning, &IDENTIFIER_CHARS_MAX]);
            return Err(error.at(span));
        }
        self.next();
        Ok(Name { text, span })
    }

    fn names(&mut self, what: &str) -> Parsed<Vec<Name>> {
        let mut names = vec![self.name(what)?];
        while self.eat(&Token::Comma) {
            names.push(self.name(what)?);
        }
        Ok(names)
    }

    fn text(&mut self, what: &str) -> Parsed<Text> {
        let span = self.span();
        let text = match self.peek() {
            Some(Token::SingleQuotedString(text) | Token::NationalStringLiteral(text)) => text.clone(),
            _ => return Err(self.expected(what)),
        };
        self.next();
        Ok(Text { text, span })
    }

    fn secret(&mut self) -> Parsed<Secret> {
        Ok(Secret::new(self.text("a password in quotation marks")?.text))
    }

    /// `PASSWORD = '…'`.
    fn password(&mut self) -> Parsed<Secret> {
        self.expect_keywords(&["PASSWORD"])?;
        self.expect(&Token::Eq)?;
        self.secret()
    }

    fn on_off(&mut self) -> Parsed<bool> {
        Ok(self.one_of(&["ON", "OFF"])? == 0)
    }

    fn binary(&mut self) -> Parsed<Vec<u8>> {
        let digits = match self.peek() {
            Some(Token::HexStringLiteral(digits)) => digits.clone(),
            _ => return Err(self.expected("a binary constant such as 0x1F")),
        };
        let padded = if digits.len() % 2 == 1 {
            format!("0{digits}")
        } else {
            digits
        };
        let bytes = padded
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect::<Option<Vec<u8>>>();
        match bytes {
            Some(bytes) => {
                self.next();
                Ok(bytes)
            }
            None => Err(self.expected("a binary constant such as 0x1F")),
        }
    }

    /// An integer with an optional sign. Errors: 8115 beyond `bigint`.
    fn integer(&mut self, what: &str) -> Parsed<i64> {
        let start = self.at;
        let negative = self.eat(&Token::Minus);
        if !negative {
            self.eat(&Token::Plus);
        }
        let Some(Token::Number(digits, false)) = self.peek() else {
            self.at = start;
            return Err(self.expected(what));
        };
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(self.expected(what));
        }
        let signed = format!("{}{digits}", if negative { "-" } else { "" });
        self.next();
        signed.parse().map_err(|_| {
            let at = self.span_since(start);
            msg::ARITHMETIC_OVERFLOW.with(&[&"bigint"]).at(at)
        })
    }

    /// 102 or 156 at the next token.
    fn expected(&self, what: &str) -> SqlError {
        let span = self.span();
        let near = match self.lexemes.get(self.at) {
            Some(_) => self.source.get(span.start..span.end).unwrap_or_default(),
            None => "end of the batch",
        };
        let near = shorten(near);
        match self.word() {
            Some(word) if is_reserved(word) => msg::SYNTAX_NEAR_KEYWORD.with(&[&near, &what]),
            _ => msg::SYNTAX_NEAR.with(&[&near, &what]),
        }
        .at(span)
    }

    /// 40517 naming the next `words` words.
    fn unsupported(&self, words: usize) -> SqlError {
        let named: Vec<String> = (0..words)
            .map_while(|ahead| self.word_at(ahead))
            .map(str::to_ascii_uppercase)
            .collect();
        self.unsupported_word(&named.join(" "))
    }

    /// 40517 at the next token.
    fn unsupported_word(&self, word: &str) -> SqlError {
        msg::NOT_SUPPORTED.with(&[&shorten(word)]).at(self.span())
    }
}

/// At most as many characters as an identifier may have.
fn shorten(text: &str) -> String {
    text.chars().take(IDENTIFIER_CHARS_MAX).collect()
}

/// `A`, `A or B`, `A, B or C`.
fn alternatives(words: &[&str]) -> String {
    match words {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        words => words.concat(),
    }
}

/// Statements of the product that do not exist here.
const UNSUPPORTED: &[&str] = &[
    "BREAK",
    "BULK",
    "CLOSE",
    "CONTINUE",
    "DBCC",
    "DEALLOCATE",
    "DECLARE",
    "DISABLE",
    "ENABLE",
    "END",
    "FETCH",
    "GOTO",
    "IF",
    "KILL",
    "MERGE",
    "OPEN",
    "RAISERROR",
    "RECONFIGURE",
    "RETURN",
    "REVERT",
    "SAVE",
    "SET",
    "SHUTDOWN",
    "THROW",
    "TRUNCATE",
    "WAITFOR",
    "WHILE",
];

/// Objects of the product that cannot be created, altered or dropped here.
const OBJECTS: &[&str] = &[
    "AGGREGATE",
    "APPLICATION",
    "ASSEMBLY",
    "ASYMMETRIC",
    "AUTHORIZATION",
    "AVAILABILITY",
    "CERTIFICATE",
    "COLUMN",
    "CONTRACT",
    "CREDENTIAL",
    "CRYPTOGRAPHIC",
    "DEFAULT",
    "EVENT",
    "EXTERNAL",
    "FULLTEXT",
    "FUNCTION",
    "INDEX",
    "LOGIN",
    "MASTER",
    "MESSAGE",
    "OR",
    "PARTITION",
    "PROC",
    "PROCEDURE",
    "QUEUE",
    "REMOTE",
    "RESOURCE",
    "ROLE",
    "ROUTE",
    "RULE",
    "SCHEMA",
    "SECURITY",
    "SEQUENCE",
    "SERVER",
    "SERVICE",
    "SIGNATURE",
    "STATISTICS",
    "SYMMETRIC",
    "SYNONYM",
    "TABLE",
    "TRIGGER",
    "TYPE",
    "UNIQUE",
    "USER",
    "VIEW",
    "WORKLOAD",
    "XML",
    "CLUSTERED",
    "NONCLUSTERED",
    "DATABASE",
    "ENDPOINT",
];
