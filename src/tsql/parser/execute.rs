//! `EXEC`: calls of the system procedures there are.
//!
//! Source: documented, *EXECUTE (Transact-SQL)*; calls of anything else, of strings, and with variables are refused.

use sqlparser::tokenizer::Token;

use super::{Parsed, Parser};
use crate::error::msg;
use crate::tsql::ast::{Name, Statement};
use crate::tsql::procedure::{Argument, Execute, Procedure, Written};

impl Parser<'_> {
    pub(super) fn execute(&mut self) -> Parsed<Statement> {
        let start = self.at;
        self.next();
        let mut parts = vec![Some(self.procedure_part()?)];
        while self.eat(&Token::Period) {
            let omitted = self.peek() == Some(&Token::Period) && parts.len() == 1;
            parts.push(match omitted {
                true => None,
                false => Some(self.procedure_part()?),
            });
        }
        let (database, schema, name) = match parts.as_mut_slice() {
            [name] => (None, None, name.take()),
            [schema, name] => (None, schema.take(), name.take()),
            [database, schema, name] => (database.take(), schema.take(), name.take()),
            _ => return Err(self.unsupported_word("a procedure on another server")),
        };
        let Some(name) = name else {
            return Err(self.expected("a procedure"));
        };
        let is_system = |schema: &Name| ["dbo", "sys"].iter().any(|s| schema.text.eq_ignore_ascii_case(s));
        let known = Procedure::named(name.as_str()).filter(|_| schema.as_ref().is_none_or(is_system));
        let Some(procedure) = known else {
            let span = self.span_since(start);
            return Err(msg::NOT_SUPPORTED.with(&[&format!("EXEC {name}")]).at(span));
        };
        let written = self.arguments(procedure.arguments_max())?;
        let arguments = procedure.place(&name, written)?;
        Ok(Statement::Execute(Execute {
            procedure,
            name,
            database,
            arguments,
        }))
    }

    fn procedure_part(&mut self) -> Parsed<Name> {
        self.name("a procedure")
    }

    /// `[@name =] value, …`; at most one more than there are parameters is read, so that too many can be told.
    fn arguments(&mut self, max: usize) -> Parsed<Vec<Written>> {
        let mut written = Vec::new();
        if !self.at_argument() {
            return Ok(written);
        }
        loop {
            let start = self.at;
            let name = match self.word() {
                Some(word) if word.starts_with('@') => Some(word.to_owned()),
                _ => None,
            };
            if name.is_some() {
                self.next();
                self.expect(&Token::Eq)?;
            }
            let value = self.argument()?;
            let span = self.span_since(start);
            written.push(Written { name, value, span });
            if written.len() > max || !self.eat(&Token::Comma) {
                return Ok(written);
            }
        }
    }

    /// Whether what comes next can be an argument: a word that begins a statement is none.
    fn at_argument(&self) -> bool {
        match self.peek() {
            Some(Token::Word(word)) => {
                let bare = word.quote_style.is_none();
                let literal = ["NULL", "DEFAULT"]
                    .iter()
                    .any(|w| word.value.eq_ignore_ascii_case(w));
                !bare || literal || !crate::tsql::is_reserved(&word.value)
            }
            Some(
                Token::Number(..)
                | Token::Minus
                | Token::Plus
                | Token::SingleQuotedString(_)
                | Token::NationalStringLiteral(_),
            ) => true,
            _ => false,
        }
    }

    fn argument(&mut self) -> Parsed<Argument> {
        const WHAT: &str = "a number, a character string, a name, NULL or DEFAULT";
        if self.keyword("NULL") {
            return Ok(Argument::Null);
        }
        if self.keyword("DEFAULT") {
            return Ok(Argument::Absent);
        }
        match self.peek() {
            Some(Token::SingleQuotedString(_) | Token::NationalStringLiteral(_)) => {
                Ok(Argument::Text(self.text(WHAT)?.text))
            }
            Some(Token::Number(..) | Token::Minus | Token::Plus) => Ok(Argument::Int(self.integer(WHAT)?)),
            Some(Token::Word(word)) if word.quote_style.is_none() && word.value.starts_with('@') => {
                Err(self.unsupported_word("variables"))
            }
            // A bare name is its own text, as in the pages' examples.
            _ => Ok(Argument::Text(self.name(WHAT)?.text)),
        }
    }
}
