//! The query that clients ask all the time: some columns of one row, by its key.
//!
//! Recognised by shape alone, so that the instance can answer it from the table without the query engine.

use sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, ObjectName, SelectItem, SetExpr, TableFactor, UnaryOperator, Value,
};

use crate::tsql::Select;

/// `SELECT column, … FROM [database.dbo.]table WHERE key_column = key`. Whether the names exist is not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointRead {
    pub database: Option<String>,
    pub table: String,
    /// As written; the answer's column names.
    pub columns: Vec<String>,
    pub key_column: String,
    pub key: i64,
}

/// `select` as a point read, if it is one and nothing else.
pub fn point_read(select: &Select) -> Option<PointRead> {
    let query = &select.query;
    let plain = query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && query.locks.is_empty()
        && query.for_clause.is_none()
        && query.settings.is_none()
        && query.format_clause.is_none()
        && query.pipe_operators.is_empty();
    let SetExpr::Select(body) = query.body.as_ref() else {
        return None;
    };
    let simple = body.distinct.is_none()
        && body.top.is_none()
        && body.into.is_none()
        && body.having.is_none()
        && body.exclude.is_none()
        && body.select_modifiers.is_none()
        && body.named_window.is_empty()
        && body.qualify.is_none()
        && matches!(&body.group_by, GroupByExpr::Expressions(list, more) if list.is_empty() && more.is_empty());
    if !plain || !simple {
        return None;
    }
    let [from] = body.from.as_slice() else {
        return None;
    };
    let TableFactor::Table {
        name,
        alias: None,
        args: None,
        with_hints,
        version: None,
        sample: None,
        ..
    } = &from.relation
    else {
        return None;
    };
    if !from.joins.is_empty() || !with_hints.is_empty() {
        return None;
    }
    let (database, table) = user_table(name)?;
    let columns = body.projection.iter().map(column).collect::<Option<Vec<_>>>()?;
    let Some(Expr::BinaryOp {
        left,
        op: BinaryOperator::Eq,
        right,
    }) = &body.selection
    else {
        return None;
    };
    let Expr::Identifier(key_column) = left.as_ref() else {
        return None;
    };
    Some(PointRead {
        database,
        table,
        columns,
        key_column: key_column.value.clone(),
        key: integer(right)?,
    })
}

fn user_table(name: &ObjectName) -> Option<(Option<String>, String)> {
    let parts = name
        .0
        .iter()
        .map(|part| part.as_ident().map(|ident| ident.value.as_str()))
        .collect::<Option<Vec<_>>>()?;
    let is_dbo = |schema: &str| schema.is_empty() || schema.eq_ignore_ascii_case("dbo");
    match parts.as_slice() {
        [table] => Some((None, (*table).to_owned())),
        [schema, table] if is_dbo(schema) => Some((None, (*table).to_owned())),
        [database, schema, table] if is_dbo(schema) => {
            Some((Some((*database).to_owned()), (*table).to_owned()))
        }
        _ => None,
    }
}

fn column(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) if !ident.value.starts_with('@') => {
            Some(ident.value.clone())
        }
        _ => None,
    }
}

fn integer(expr: &Expr) -> Option<i64> {
    let (sign, expr) = match expr {
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => ("-", expr.as_ref()),
        expr => ("", expr),
    };
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, false) => format!("{sign}{digits}").parse().ok(),
            _ => None,
        },
        _ => None,
    }
}
