//! Tables and rows: `CREATE TABLE`, `INSERT`, `UPDATE`, `DELETE`, and transactions.
//!
//! A table has two integer columns, a key and a value: enough to see what a failover keeps and loses. Whatever goes
//! beyond is refused with 40517. Source: ours, within the product's syntax.

use sqlparser::tokenizer::Token;

use super::{Parsed, Parser};
use crate::error::{SqlError, msg};
use crate::tsql::ast::*;

impl Parser<'_> {
    pub(super) fn transaction(&mut self, verb: &str) -> Parsed<Statement> {
        let next = self.word_at(1).map(str::to_ascii_uppercase);
        let transaction = matches!(next.as_deref(), Some("TRAN" | "TRANSACTION"));
        if verb == "BEGIN" && !transaction {
            return Err(self.unsupported_word("BEGIN … END"));
        }
        self.next();
        if transaction || next.as_deref() == Some("WORK") {
            self.next();
            let named = match self.peek() {
                Some(Token::Word(word)) => word.quote_style.is_some() || !super::is_reserved(&word.value),
                _ => false,
            };
            if transaction && named {
                return Err(self.unsupported_word("a transaction name"));
            }
        }
        Ok(match verb {
            "BEGIN" => Statement::Begin,
            "COMMIT" => Statement::Commit,
            _ => Statement::Rollback,
        })
    }

    pub(super) fn create_table(&mut self) -> Parsed<Statement> {
        self.at += 2;
        let table = self.table_name()?;
        self.expect(&Token::LParen)?;
        let (key, key_is_primary) = self.column()?;
        if !self.eat(&Token::Comma) {
            return Err(self.two_columns());
        }
        let (value, value_is_primary) = self.column()?;
        if value_is_primary || !key_is_primary || self.peek() == Some(&Token::Comma) {
            return Err(self.two_columns());
        }
        self.expect(&Token::RParen)?;
        if key.name.text.eq_ignore_ascii_case(&value.name.text) {
            return Err(self.unsupported_word("two columns of the same name"));
        }
        Ok(Statement::CreateTable(CreateTable { table, key, value }))
    }

    fn two_columns(&self) -> SqlError {
        self.unsupported_word("a table other than (key INT or BIGINT PRIMARY KEY, value INT or BIGINT)")
    }

    /// A column, and whether it is the primary key.
    fn column(&mut self) -> Parsed<(Column, bool)> {
        if self.at_keyword("CONSTRAINT") || self.at_keyword("PRIMARY") {
            return Err(self.two_columns());
        }
        let name = self.name("a column name")?;
        let kind = if self.keyword("INT") || self.keyword("INTEGER") {
            ColumnKind::Int
        } else if self.keyword("BIGINT") {
            ColumnKind::BigInt
        } else if self.word().is_some() {
            return Err(self.two_columns());
        } else {
            return Err(self.expected("INT or BIGINT"));
        };
        let mut primary = false;
        loop {
            if self.keyword("PRIMARY") {
                self.expect_keywords(&["KEY"])?;
                self.keyword("CLUSTERED");
                primary = true;
            } else if self.keyword("NOT") {
                self.expect_keywords(&["NULL"])?;
            } else if self.word().is_some() {
                // NULL included: a value that may be missing cannot be kept.
                return Err(self.unsupported(1));
            } else {
                return Ok((Column { name, kind }, primary));
            }
        }
    }

    pub(super) fn insert(&mut self) -> Parsed<Statement> {
        self.next();
        self.keyword("INTO");
        let table = self.table_name()?;
        let mut columns = None;
        if self.eat(&Token::LParen) {
            columns = Some(self.names("a column name")?);
            self.expect(&Token::RParen)?;
        }
        if self.at_keyword("SELECT") || self.at_keyword("EXEC") || self.at_keyword("DEFAULT") {
            return Err(self.unsupported_word("INSERT without VALUES"));
        }
        self.expect_keywords(&["VALUES"])?;
        let mut rows: Vec<Vec<Option<i64>>> = Vec::new();
        loop {
            let start = self.at;
            let row = self.row()?;
            let width = columns
                .as_ref()
                .map_or_else(|| rows.first().map_or(row.len(), Vec::len), Vec::len);
            if row.len() != width {
                return Err(msg::COLUMN_COUNT.error().at(self.span_since(start)));
            }
            rows.push(row);
            if !self.eat(&Token::Comma) {
                return Ok(Statement::Insert(Insert { table, columns, rows }));
            }
        }
    }

    fn row(&mut self) -> Parsed<Vec<Option<i64>>> {
        self.expect(&Token::LParen)?;
        let mut row = Vec::with_capacity(2);
        loop {
            row.push(match self.keyword("NULL") {
                true => None,
                false => Some(self.integer("an integer or NULL")?),
            });
            if !self.eat(&Token::Comma) {
                self.expect(&Token::RParen)?;
                return Ok(row);
            }
        }
    }

    pub(super) fn update(&mut self) -> Parsed<Statement> {
        self.next();
        let table = self.table_name()?;
        self.expect_keywords(&["SET"])?;
        let column = self.name("a column name")?;
        let start = self.at;
        let added = match self.peek() {
            Some(Token::Plus) => Some(1),
            Some(Token::Minus) => Some(-1),
            _ => None,
        };
        if added.is_some() {
            self.next();
        }
        self.expect(&Token::Eq)?;
        let to = match added {
            Some(sign) => {
                let amount = self.integer("an integer")?;
                let plus = amount.checked_mul(sign).ok_or_else(|| self.overflow(start))?;
                NewValue::Column {
                    column: column.clone(),
                    plus,
                }
            }
            None => self.new_value()?,
        };
        if self.peek() == Some(&Token::Comma) {
            return Err(self.unsupported_word("an UPDATE of more than one column"));
        }
        let filter = match self.at_keyword("WHERE") {
            true => Some(self.key_filter()?),
            false => None,
        };
        Ok(Statement::Update(Update {
            table,
            column,
            to,
            filter,
        }))
    }

    /// An integer, a column, or a sum or difference of the two.
    fn new_value(&mut self) -> Parsed<NewValue> {
        let start = self.at;
        if self.keyword("NULL") {
            self.at = start;
            return Err(self.unsupported_word("NULL as the new value"));
        }
        let signed_or_number = matches!(self.peek(), Some(Token::Number(..) | Token::Minus | Token::Plus));
        let value = if signed_or_number {
            let number = self.integer("an integer or a column name")?;
            if self.eat(&Token::Plus) {
                NewValue::Column {
                    column: self.name("a column name")?,
                    plus: number,
                }
            } else {
                NewValue::Literal(number)
            }
        } else {
            let column = self.name("an integer or a column name")?;
            let plus = if self.eat(&Token::Minus) {
                let amount = self.integer("an integer")?;
                amount.checked_neg().ok_or_else(|| self.overflow(start))?
            } else if self.eat(&Token::Plus) {
                self.integer("an integer")?
            } else {
                0
            };
            NewValue::Column { column, plus }
        };
        match self.peek() {
            Some(Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::Mod | Token::LParen) => {
                Err(self.unsupported_word("an expression other than column, integer, or column ± integer"))
            }
            _ => Ok(value),
        }
    }

    fn overflow(&self, start: usize) -> SqlError {
        msg::ARITHMETIC_OVERFLOW
            .with(&[&"bigint"])
            .at(self.span_since(start))
    }

    pub(super) fn delete(&mut self) -> Parsed<Statement> {
        self.next();
        self.keyword("FROM");
        let table = self.table_name()?;
        if !self.at_keyword("WHERE") {
            return Err(self.unsupported_word("DELETE without WHERE key = integer"));
        }
        Ok(Statement::Delete(Delete {
            table,
            filter: self.key_filter()?,
        }))
    }

    /// `WHERE column = integer`.
    fn key_filter(&mut self) -> Parsed<KeyFilter> {
        self.expect_keywords(&["WHERE"])?;
        let column = self.name("the key column")?;
        if self.peek() != Some(&Token::Eq) {
            return Err(self.unsupported_word("a condition other than key = integer"));
        }
        self.next();
        let key = self.integer("an integer")?;
        let more = ["AND", "OR"].iter().any(|word| self.at_keyword(word));
        match self.peek() {
            Some(Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::Mod) => {}
            _ if more => {}
            _ => return Ok(KeyFilter { column, key }),
        }
        Err(self.unsupported_word("a condition other than key = integer"))
    }

    fn table_name(&mut self) -> Parsed<TableName> {
        let mut parts = vec![Some(self.name("a table name")?)];
        while self.eat(&Token::Period) {
            let omitted = self.peek() == Some(&Token::Period) && parts.len() == 1;
            parts.push(match omitted {
                true => None,
                false => Some(self.name("a table name")?),
            });
        }
        let (database, schema, name) = match parts.as_mut_slice() {
            [name] => (None, None, name.take()),
            [schema, name] => (None, schema.take(), name.take()),
            [database, schema, name] => (database.take(), schema.take(), name.take()),
            _ => return Err(self.unsupported_word("a table on another server")),
        };
        match (schema, name) {
            (Some(schema), _) if !schema.text.eq_ignore_ascii_case("dbo") => Err(msg::NOT_SUPPORTED
                .with(&[&"a schema other than dbo"])
                .at(schema.span)),
            (_, Some(name)) => Ok(TableName { database, name }),
            (_, None) => Err(self.expected("a table name")),
        }
    }
}
