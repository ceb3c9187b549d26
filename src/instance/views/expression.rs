//! Expressions of a query to SQLite's dialect: operators, comparisons, CASE, conversions and functions.
//!
//! Types are followed far enough to tell `+` on texts from `+` on numbers, and to convert a text that is compared with a
//! date or a number. A mixture the product would refuse at run time is refused here.

mod calls;
mod conversions;

use calls::substring;
use recursive::recursive;
use sqlparser::ast::{BinaryOperator, CaseWhen, Expr, Spanned, UnaryOperator, Value};

use super::functions::COLLATION;
use super::scope::Kind;
use super::translate::{Translated, Translator};
use crate::error::{SqlError, msg};

/// An expression in SQLite's dialect.
#[derive(Debug, Clone)]
pub(super) struct Sql {
    pub text: String,
    pub kind: Kind,
    /// The value of a character string constant.
    literal: Option<String>,
}

impl Sql {
    fn new(text: impl Into<String>, kind: Kind) -> Self {
        Sql {
            text: text.into(),
            kind,
            literal: None,
        }
    }

    fn string(value: &str) -> Self {
        Sql {
            text: quote(value),
            kind: Kind::Text,
            literal: Some(value.to_owned()),
        }
    }
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl Translator<'_> {
    /// A condition: what stands behind WHERE, ON, HAVING and WHEN. However long it is, the stack grows with it.
    #[recursive]
    pub(super) fn condition(&mut self, expr: &Expr) -> Translated<String> {
        match expr {
            Expr::Nested(inner) => Ok(format!("({})", self.condition(inner)?)),
            Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr,
            } => Ok(format!("NOT ({})", self.condition(expr)?)),
            Expr::BinaryOp {
                left,
                op: op @ (BinaryOperator::And | BinaryOperator::Or),
                right,
            } => {
                let (left, right) = (self.condition(left)?, self.condition(right)?);
                Ok(format!("({left} {op} {right})"))
            }
            Expr::BinaryOp { left, op, right } if comparison(op).is_some() => {
                let (a, b) = (self.expr(left)?, self.expr(right)?);
                self.compare(a, comparison(op).unwrap_or("="), b, expr)
            }
            Expr::IsNull(inner) => Ok(format!("({} IS NULL)", self.expr(inner)?.text)),
            Expr::IsNotNull(inner) => Ok(format!("({} IS NOT NULL)", self.expr(inner)?.text)),
            Expr::Between {
                expr: value,
                negated,
                low,
                high,
            } => {
                let value = self.expr(value)?;
                let (low, high) = (self.expr(low)?, self.expr(high)?);
                let from = self.compare(value.clone(), ">=", low, expr)?;
                let to = self.compare(value, "<=", high, expr)?;
                Ok(format!("{}({from} AND {to})", not(*negated)))
            }
            Expr::InList {
                expr: value,
                list,
                negated,
            } => self.in_list(value, list, *negated),
            Expr::InSubquery {
                expr: value,
                subquery,
                negated,
            } => {
                let value = self.expr(value)?;
                let (text, fields) = self.query(subquery)?;
                let [field] = fields.as_slice() else {
                    return Err(self.unsupported(expr, "IN with a query of more than one column"));
                };
                let numbers = |kind| matches!(kind, Kind::Int | Kind::Bit);
                if field.kind != value.kind && !(numbers(field.kind) && numbers(value.kind)) {
                    return Err(self.mixed(expr));
                }
                let value = super::translate::collated(&value.text, value.kind);
                Ok(format!("({value} {}IN ({text}))", not(*negated)))
            }
            Expr::Exists { subquery, negated } => {
                let (text, _) = self.query(subquery)?;
                Ok(format!("{}EXISTS ({text})", not(*negated)))
            }
            Expr::Like {
                negated,
                any: false,
                expr: value,
                pattern,
                escape_char,
            } => {
                let (value, pattern) = (self.expr(value)?, self.expr(pattern)?);
                let escape = match escape_char {
                    Some(escape) => self.expr(escape)?.text,
                    None => "NULL".to_owned(),
                };
                Ok(format!(
                    "{}tsql_like({}, {}, {escape})",
                    not(*negated),
                    value.text,
                    pattern.text
                ))
            }
            other => Err(self.unsupported(other, "this as a condition")),
        }
    }

    #[recursive]
    pub(super) fn expr(&mut self, expr: &Expr) -> Translated<Sql> {
        match expr {
            Expr::Identifier(ident) => match ident.value.strip_prefix('@') {
                Some(variable) if ident.quote_style.is_none() => self.variable(variable, expr),
                _ => self.column(&[&ident.value], expr),
            },
            Expr::CompoundIdentifier(parts) => {
                let parts: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
                self.column(&parts, expr)
            }
            Expr::Nested(inner) => {
                let mut inner = self.expr(inner)?;
                inner.text = format!("({})", inner.text);
                Ok(inner)
            }
            Expr::Value(value) => self.constant(&value.value, expr),
            Expr::UnaryOp { op, expr: inner } => self.unary(*op, inner, expr),
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right, expr),
            Expr::Case {
                operand,
                conditions,
                else_result,
                ..
            } => self.case(operand.as_deref(), conditions, else_result.as_deref()),
            Expr::Subquery(query) => {
                let (text, fields) = self.query(query)?;
                match fields.as_slice() {
                    [field] => Ok(Sql::new(format!("({text})"), field.kind)),
                    _ => Err(self.unsupported(expr, "a query of more than one column as a value")),
                }
            }
            Expr::Cast {
                expr: inner,
                data_type,
                format: None,
                kind: sqlparser::ast::CastKind::Cast,
                ..
            } => {
                let value = self.expr(inner)?;
                self.convert(value, &data_type.to_string(), None, expr)
            }
            Expr::Convert {
                is_try: false,
                expr: inner,
                data_type: Some(data_type),
                charset: None,
                styles,
                ..
            } => {
                let value = self.expr(inner)?;
                let style = match styles.as_slice() {
                    [] => None,
                    [style] => Some(style.to_string()),
                    _ => return Err(self.unsupported(expr, "more than one style")),
                };
                self.convert(value, &data_type.to_string(), style.as_deref(), expr)
            }
            Expr::Collate {
                expr: inner,
                collation,
            } => {
                let named = collation.to_string().to_ascii_uppercase();
                match named.contains("_CI_") || named == "DATABASE_DEFAULT" {
                    true => self.expr(inner),
                    false => Err(self.unsupported(expr, "a collation that minds case")),
                }
            }
            Expr::Substring {
                expr: value,
                substring_from: Some(from),
                substring_for: Some(length),
                ..
            } => {
                let (value, from, length) = (self.expr(value)?, self.expr(from)?, self.expr(length)?);
                Ok(substring(&value, &from, &length))
            }
            Expr::Trim {
                expr: value,
                trim_where: None,
                trim_what: None,
                trim_characters: None,
            } => {
                let value = self.expr(value)?;
                Ok(Sql::new(format!("trim({})", value.text), Kind::Text))
            }
            Expr::Function(function) => self.function(function, expr),
            other => Err(self.unsupported(other, "this expression")),
        }
    }

    fn column(&mut self, parts: &[&str], expr: &Expr) -> Translated<Sql> {
        let found = self.scopes.find(parts, self.place(expr))?;
        Ok(Sql::new(found.text, found.kind))
    }

    fn variable(&self, name: &str, expr: &Expr) -> Translated<Sql> {
        match name.to_ascii_uppercase().as_str() {
            "@SERVERNAME" => Ok(Sql::string(self.system.server_name())),
            _ => Err(self.unsupported(expr, &format!("the variable @{name}"))),
        }
    }

    fn constant(&self, value: &Value, expr: &Expr) -> Translated<Sql> {
        match value {
            Value::Null => Ok(Sql::new("NULL", Kind::Null)),
            Value::SingleQuotedString(text) | Value::NationalStringLiteral(text) => Ok(Sql::string(text)),
            Value::Number(digits, false) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                match digits.parse::<i64>() {
                    Ok(n) => Ok(Sql::new(n.to_string(), Kind::Int)),
                    Err(_) => Err(msg::ARITHMETIC_OVERFLOW.with(&[&"bigint"]).at(self.place(expr))),
                }
            }
            Value::HexStringLiteral(digits) => Ok(Sql::string(&format!("0x{}", digits.to_ascii_uppercase()))),
            _ => Err(self.unsupported(expr, "this kind of constant")),
        }
    }

    fn unary(&mut self, op: UnaryOperator, inner: &Expr, expr: &Expr) -> Translated<Sql> {
        let value = self.expr(inner)?;
        match (op, value.kind) {
            (UnaryOperator::Plus, _) => Ok(value),
            (UnaryOperator::Minus, Kind::Int | Kind::Bit | Kind::Null) => {
                Ok(Sql::new(format!("tsql_sub(0, {})", value.text), Kind::Int))
            }
            _ => Err(self.unsupported(expr, "this operator")),
        }
    }

    fn binary(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr, expr: &Expr) -> Translated<Sql> {
        let function = match op {
            BinaryOperator::Plus => "tsql_add",
            BinaryOperator::Minus => "tsql_sub",
            BinaryOperator::Multiply => "tsql_mul",
            BinaryOperator::Divide => "tsql_div",
            BinaryOperator::Modulo => "tsql_mod",
            _ => return Err(self.unsupported(expr, "this operator as a value")),
        };
        let (a, b) = (self.expr(left)?, self.expr(right)?);
        match (a.kind, b.kind) {
            (Kind::Int | Kind::Bit | Kind::Null, Kind::Int | Kind::Bit | Kind::Null) => {
                Ok(Sql::new(format!("{function}({}, {})", a.text, b.text), Kind::Int))
            }
            (Kind::Text, Kind::Text | Kind::Null) | (Kind::Null, Kind::Text) if function == "tsql_add" => {
                Ok(Sql::new(format!("({} || {})", a.text, b.text), Kind::Text))
            }
            _ => Err(self.mixed(expr)),
        }
    }

    fn case(
        &mut self,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        otherwise: Option<&Expr>,
    ) -> Translated<Sql> {
        let operand = operand.map(|operand| self.expr(operand)).transpose()?;
        let mut text = String::from("CASE");
        let mut kind = Kind::Null;
        for branch in conditions {
            let condition = match &operand {
                Some(operand) => {
                    let value = self.expr(&branch.condition)?;
                    self.compare(operand.clone(), "=", value, &branch.condition)?
                }
                None => self.condition(&branch.condition)?,
            };
            let result = self.expr(&branch.result)?;
            kind = self.unify(kind, result.kind, &branch.result)?;
            text.push_str(&format!(" WHEN {condition} THEN {}", result.text));
        }
        if let Some(otherwise) = otherwise {
            let result = self.expr(otherwise)?;
            kind = self.unify(kind, result.kind, otherwise)?;
            text.push_str(&format!(" ELSE {}", result.text));
        }
        text.push_str(" END");
        Ok(Sql::new(text, kind))
    }

    /// The type of a value that is one or the other.
    pub(super) fn unify(&self, a: Kind, b: Kind, node: &impl Spanned) -> Translated<Kind> {
        match (a, b) {
            (a, b) if a == b => Ok(a),
            (Kind::Null, other) | (other, Kind::Null) => Ok(other),
            (Kind::Bit, Kind::Int) | (Kind::Int, Kind::Bit) => Ok(Kind::Int),
            _ => Err(self.mixed(node)),
        }
    }

    fn mixed(&self, node: &impl Spanned) -> SqlError {
        let reason = "texts, numbers and dates are mixed; say which with CAST or CONVERT";
        msg::QUERY_FAILED.with(&[&reason]).at(self.place(node))
    }

    /// `a operator b`, with a text converted to what it is compared with.
    fn compare(&self, a: Sql, operator: &str, b: Sql, node: &impl Spanned) -> Translated<String> {
        let (a, b) = match (a.kind, b.kind) {
            (Kind::Text, Kind::Int | Kind::Bit) => (self.as_number(a, node)?, b),
            (Kind::Int | Kind::Bit, Kind::Text) => (a, self.as_number(b, node)?),
            (Kind::Text, Kind::DateTime) => (self.as_datetime(a, node)?, b),
            (Kind::DateTime, Kind::Text) => (a, self.as_datetime(b, node)?),
            (Kind::DateTime, Kind::Int | Kind::Bit) | (Kind::Int | Kind::Bit, Kind::DateTime) => {
                return Err(self.mixed(node));
            }
            _ => (a, b),
        };
        let collate = match (a.kind, b.kind) {
            (Kind::Text, _) | (_, Kind::Text) => format!(" COLLATE {COLLATION}"),
            _ => String::new(),
        };
        Ok(format!("({} {operator} {}{collate})", a.text, b.text))
    }

    fn in_list(&mut self, value: &Expr, list: &[Expr], negated: bool) -> Translated<String> {
        let mut left = self.expr(value)?;
        let mut items = Vec::with_capacity(list.len());
        for item in list {
            items.push((self.expr(item)?, item));
        }
        let numbers = items
            .iter()
            .any(|(item, _)| matches!(item.kind, Kind::Int | Kind::Bit));
        if left.kind == Kind::Text && numbers {
            left = self.as_number(left, value)?;
        }
        let mut texts = Vec::with_capacity(items.len());
        for (item, node) in items {
            let item = match (left.kind, item.kind) {
                (Kind::Int | Kind::Bit, Kind::Text) => self.as_number(item, node)?,
                (Kind::DateTime, Kind::Text) => self.as_datetime(item, node)?,
                (Kind::DateTime, Kind::Int | Kind::Bit) | (Kind::Int | Kind::Bit, Kind::DateTime) => {
                    return Err(self.mixed(node));
                }
                _ => item,
            };
            texts.push(item.text);
        }
        let left = super::translate::collated(&left.text, left.kind);
        Ok(format!("({left} {}IN ({}))", not(negated), texts.join(", ")))
    }
}

fn comparison(op: &BinaryOperator) -> Option<&'static str> {
    Some(match op {
        BinaryOperator::Eq => "=",
        BinaryOperator::NotEq => "<>",
        BinaryOperator::Lt => "<",
        BinaryOperator::LtEq => "<=",
        BinaryOperator::Gt => ">",
        BinaryOperator::GtEq => ">=",
        _ => return None,
    })
}

fn not(negated: bool) -> &'static str {
    if negated { "NOT " } else { "" }
}
