//! Expressions of a query to SQLite's dialect: operators, comparisons, CASE, conversions and functions.
//!
//! Types are followed far enough to tell `+` on texts from `+` on numbers, and to convert a text that is compared with a
//! date or a number. A mixture the product would refuse at run time is refused here.

use sqlparser::ast::{
    BinaryOperator, CaseWhen, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Spanned, UnaryOperator, Value,
};

use crate::error::{SqlError, msg};
use crate::tsql::parse_datetime;

use super::View;
use super::functions::COLLATION;
use super::scope::Kind;
use super::translate::{Translated, Translator};

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
    /// A condition: what stands behind WHERE, ON, HAVING and WHEN.
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

    fn as_number(&self, value: Sql, node: &impl Spanned) -> Translated<Sql> {
        match &value.literal {
            Some(text) => match text.trim().parse::<i64>() {
                Ok(n) => Ok(Sql::new(n.to_string(), Kind::Int)),
                Err(_) => Err(msg::CONVERSION.with(&[text, &"int"]).at(self.place(node))),
            },
            None => Ok(Sql::new(format!("tsql_int({})", value.text), Kind::Int)),
        }
    }

    fn as_datetime(&self, value: Sql, node: &impl Spanned) -> Translated<Sql> {
        match &value.literal {
            Some(text) => {
                let time = parse_datetime(text).map_err(|error| error.at(self.place(node)))?;
                Ok(Sql::new(quote(&time.to_string()), Kind::DateTime))
            }
            None => Ok(Sql::new(format!("tsql_datetime({})", value.text), Kind::DateTime)),
        }
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

    /// `CAST` and `CONVERT`. `target` is the type as printed, such as `VARCHAR(20)`.
    fn convert(&self, value: Sql, target: &str, style: Option<&str>, expr: &Expr) -> Translated<Sql> {
        let target = target.to_ascii_uppercase();
        let (name, width) = match target.split_once('(') {
            Some((name, rest)) => (name.trim(), rest.trim_end_matches(')').trim()),
            None => (target.as_str(), ""),
        };
        match name.trim_matches(['[', ']']) {
            "INT" | "INTEGER" | "BIGINT" | "SMALLINT" | "TINYINT" if value.kind != Kind::DateTime => {
                self.as_integer(value, name, expr)
            }
            "NUMERIC" | "DECIMAL"
                if value.kind != Kind::DateTime
                    && (width.is_empty()
                        || !width.contains(',')
                        || width.ends_with(",0")
                        || width.ends_with(", 0")) =>
            {
                self.as_integer(value, "BIGINT", expr)
            }
            "BIT" if value.kind != Kind::DateTime => {
                let number = self.as_integer(value, "INT", expr)?;
                Ok(Sql::new(format!("({} <> 0)", number.text), Kind::Bit))
            }
            "VARCHAR" | "NVARCHAR" | "CHAR" | "NCHAR" | "SYSNAME" | "CHARACTER VARYING" => {
                let width = match (width, name) {
                    ("MAX", _) => 1 << 20,
                    ("", "SYSNAME") => 128,
                    ("", _) => 30,
                    (digits, _) => digits
                        .parse::<u32>()
                        .map_err(|_| self.unsupported(expr, "this width"))?,
                };
                let text = match value.kind {
                    Kind::DateTime => self.styled_date(&value.text, style, expr)?,
                    _ => value.text,
                };
                Ok(Sql::new(format!("tsql_text({text}, {width})"), Kind::Text))
            }
            "DATETIME" | "DATETIME2" | "SMALLDATETIME"
                if matches!(value.kind, Kind::Text | Kind::Null | Kind::DateTime) =>
            {
                match value.kind {
                    Kind::Text => self.as_datetime(value, expr),
                    _ => Ok(Sql::new(value.text, Kind::DateTime)),
                }
            }
            "UNIQUEIDENTIFIER" if matches!(value.kind, Kind::Text | Kind::Null) => {
                Ok(Sql::new(format!("upper({})", value.text), Kind::Text))
            }
            _ => Err(self.unsupported(expr, &format!("a conversion to {target}"))),
        }
    }

    fn as_integer(&self, value: Sql, target: &str, expr: &Expr) -> Translated<Sql> {
        let number = match value.kind {
            Kind::Text => self.as_number(value, expr)?,
            _ => value,
        };
        let (low, high) = match target {
            "BIGINT" => return Ok(Sql::new(number.text, Kind::Int)),
            "SMALLINT" => (i64::from(i16::MIN), i64::from(i16::MAX)),
            "TINYINT" => (0, 255),
            _ => (i64::from(i32::MIN), i64::from(i32::MAX)),
        };
        let name = quote(&target.to_ascii_lowercase());
        Ok(Sql::new(
            format!("tsql_range({}, {low}, {high}, {name})", number.text),
            Kind::Int,
        ))
    }

    /// Source: documented, *CAST and CONVERT*, date and time styles.
    fn styled_date(&self, text: &str, style: Option<&str>, expr: &Expr) -> Translated<String> {
        match style {
            Some("20" | "120") => Ok(format!("substr({text}, 1, 19)")),
            Some("21" | "25" | "121") => Ok(text.to_owned()),
            Some("23") => Ok(format!("substr({text}, 1, 10)")),
            Some("112") => Ok(format!("replace(substr({text}, 1, 10), '-', '')")),
            Some("8" | "108") => Ok(format!("substr({text}, 12, 8)")),
            Some("126") => Ok(format!("replace({text}, ' ', 'T')")),
            _ => Err(self.unsupported(
                expr,
                "a date as text without CONVERT and style 20, 21, 23, 108, 112, 120, 121 or 126",
            )),
        }
    }

    fn function(&mut self, function: &Function, expr: &Expr) -> Translated<Sql> {
        let name = function.name.to_string().to_ascii_uppercase();
        if function.over.is_some() || function.filter.is_some() || !function.within_group.is_empty() {
            return Err(self.unsupported(expr, "OVER"));
        }
        let (arguments, distinct) = self.arguments(&function.args, expr)?;
        if let Some(aggregate) = self.aggregate(&name, &arguments, distinct, expr)? {
            return Ok(aggregate);
        }
        if distinct {
            return Err(self.unsupported(expr, "DISTINCT in this function"));
        }
        match (name.as_str(), arguments.as_slice()) {
            ("DATEDIFF" | "DATEADD" | "DATEPART", [unit, rest @ ..]) => {
                let unit = unit.map(Expr::to_string).unwrap_or_default();
                self.date_function(&name, &unit, rest, expr)
            }
            ("IIF", [Some(condition), Some(yes), Some(no)]) => {
                let condition = self.condition(condition)?;
                let (yes, no) = (self.expr(yes)?, self.expr(no)?);
                let kind = self.unify(yes.kind, no.kind, expr)?;
                let text = format!("CASE WHEN {condition} THEN {} ELSE {} END", yes.text, no.text);
                Ok(Sql::new(text, kind))
            }
            _ => {
                let mut values = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    let Some(argument) = argument else {
                        return Err(self.unsupported(expr, "* in this function"));
                    };
                    values.push(self.expr(argument)?);
                }
                self.scalar(&name, &values, expr)
            }
        }
    }

    /// The arguments, `None` for `*`, and whether DISTINCT stands before them.
    fn arguments<'e>(
        &self,
        args: &'e FunctionArguments,
        expr: &Expr,
    ) -> Translated<(Vec<Option<&'e Expr>>, bool)> {
        let list = match args {
            FunctionArguments::None => return Ok((Vec::new(), false)),
            FunctionArguments::Subquery(_) => return Err(self.unsupported(expr, "a query as an argument")),
            FunctionArguments::List(list) => list,
        };
        if !list.clauses.is_empty() {
            return Err(self.unsupported(expr, "this clause in a function"));
        }
        let mut arguments = Vec::with_capacity(list.args.len());
        for argument in &list.args {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) => arguments.push(Some(argument)),
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => arguments.push(None),
                _ => return Err(self.unsupported(expr, "this kind of argument")),
            }
        }
        Ok((
            arguments,
            list.duplicate_treatment == Some(DuplicateTreatment::Distinct),
        ))
    }

    fn aggregate(
        &mut self,
        name: &str,
        arguments: &[Option<&Expr>],
        distinct: bool,
        expr: &Expr,
    ) -> Translated<Option<Sql>> {
        let distinct = if distinct { "DISTINCT " } else { "" };
        match (name, arguments) {
            ("COUNT" | "COUNT_BIG", [None]) => Ok(Some(Sql::new("count(*)", Kind::Int))),
            ("COUNT" | "COUNT_BIG" | "MIN" | "MAX" | "SUM" | "AVG", [Some(argument)]) => {
                let value = self.expr(argument)?;
                let text = super::translate::collated(&value.text, value.kind);
                let (text, kind) = match (name, value.kind) {
                    ("COUNT" | "COUNT_BIG", _) => (format!("count({distinct}{text})"), Kind::Int),
                    ("MIN", kind) => (format!("min({distinct}{text})"), kind),
                    ("MAX", kind) => (format!("max({distinct}{text})"), kind),
                    ("SUM", Kind::Int) => (format!("sum({distinct}{text})"), Kind::Int),
                    ("AVG", Kind::Int) => {
                        let text = format!("(sum({distinct}{text}) / nullif(count({distinct}{text}), 0))");
                        (text, Kind::Int)
                    }
                    _ => return Err(self.unsupported(expr, "this function of a value that is no number")),
                };
                Ok(Some(Sql::new(text, kind)))
            }
            _ => Ok(None),
        }
    }

    fn scalar(&mut self, name: &str, values: &[Sql], expr: &Expr) -> Translated<Sql> {
        match (name, values) {
            ("ISNULL", [_, _]) | ("COALESCE", [_, _, ..]) => {
                let mut kind = Kind::Null;
                for value in values {
                    kind = self.unify(kind, value.kind, expr)?;
                }
                let list: Vec<&str> = values.iter().map(|value| value.text.as_str()).collect();
                Ok(Sql::new(format!("coalesce({})", list.join(", ")), kind))
            }
            ("NULLIF", [a, b]) => {
                let same = self.compare(a.clone(), "=", b.clone(), expr)?;
                let text = format!("CASE WHEN {same} THEN NULL ELSE {} END", a.text);
                Ok(Sql::new(text, a.kind))
            }
            ("LEN", [a]) => Ok(Sql::new(format!("tsql_len({})", a.text), Kind::Int)),
            ("UPPER" | "LOWER" | "LTRIM" | "RTRIM" | "TRIM", [a]) => {
                let text = format!("{}({})", name.to_ascii_lowercase(), a.text);
                Ok(Sql::new(text, Kind::Text))
            }
            ("ABS", [a]) if a.kind == Kind::Int => {
                let text = format!("CASE WHEN {0} < 0 THEN tsql_sub(0, {0}) ELSE {0} END", a.text);
                Ok(Sql::new(text, Kind::Int))
            }
            ("SUBSTRING", [a, from, length]) => Ok(substring(a, from, length)),
            ("LEFT", [a, length]) => Ok(Sql::new(
                format!("substr({}, 1, max(0, {}))", a.text, length.text),
                Kind::Text,
            )),
            ("RIGHT", [a, length]) => {
                let text = format!(
                    "substr({0}, max(1, length({0}) - {1} + 1), max(0, {1}))",
                    a.text, length.text
                );
                Ok(Sql::new(text, Kind::Text))
            }
            ("REPLACE", [a, from, to]) => Ok(Sql::new(
                format!("replace({}, {}, {})", a.text, from.text, to.text),
                Kind::Text,
            )),
            ("CHARINDEX", [what, a]) => {
                let text = format!("instr(lower({}), lower({}))", a.text, what.text);
                Ok(Sql::new(text, Kind::Int))
            }
            ("CONCAT", [_, _, ..]) => {
                let mut list = Vec::with_capacity(values.len());
                for value in values {
                    if value.kind == Kind::DateTime {
                        return Err(self.mixed(expr));
                    }
                    list.push(format!("coalesce({}, '')", value.text));
                }
                Ok(Sql::new(format!("({})", list.join(" || ")), Kind::Text))
            }
            ("QUOTENAME", [a]) => {
                let text = format!("('[' || replace({}, ']', ']]') || ']')", a.text);
                Ok(Sql::new(text, Kind::Text))
            }
            _ => self.system_function(name, values, expr),
        }
    }

    /// Functions that ask the instance.
    fn system_function(&mut self, name: &str, values: &[Sql], expr: &Expr) -> Translated<Sql> {
        match (name, values) {
            ("GETUTCDATE" | "GETDATE" | "SYSUTCDATETIME" | "SYSDATETIME" | "CURRENT_TIMESTAMP", []) => Ok(
                Sql::new(quote(&self.system.wall_time().to_string()), Kind::DateTime),
            ),
            ("DB_NAME", []) => Ok(Sql::string(self.system.current_database())),
            ("DB_NAME", [id]) => Ok(self.lookup(View::Databases, "name", "database_id", id, Kind::Text)),
            ("DB_ID", []) => {
                let current = Sql::string(self.system.current_database());
                Ok(self.lookup(View::Databases, "database_id", "name", &current, Kind::Int))
            }
            ("DB_ID", [id]) => Ok(self.lookup(View::Databases, "database_id", "name", id, Kind::Int)),
            ("SUSER_SNAME" | "SUSER_NAME" | "SYSTEM_USER" | "ORIGINAL_LOGIN", []) => {
                Ok(Sql::string(self.system.login_name()))
            }
            ("SUSER_SNAME", [sid]) => Ok(self.lookup(View::ServerPrincipals, "name", "sid", sid, Kind::Text)),
            ("SUSER_NAME", [id]) => {
                Ok(self.lookup(View::ServerPrincipals, "name", "principal_id", id, Kind::Text))
            }
            ("USER_NAME", [id]) => {
                Ok(self.lookup(View::DatabasePrincipals, "name", "principal_id", id, Kind::Text))
            }
            ("SERVERPROPERTY", [property]) => {
                let Some(property) = &property.literal else {
                    return Err(self.unsupported(expr, "SERVERPROPERTY of something that is not a constant"));
                };
                Ok(match self.system.server_property(property) {
                    Some(crate::types::Value::Text(text)) => Sql::string(&text),
                    Some(crate::types::Value::Int(n)) => Sql::new(n.to_string(), Kind::Int),
                    Some(crate::types::Value::Bool(bit)) => Sql::new(i32::from(bit).to_string(), Kind::Int),
                    Some(crate::types::Value::Null) | None => Sql::new("NULL", Kind::Null),
                })
            }
            _ => Err(self.unsupported(
                expr,
                &format!("the function {name} with {} arguments", values.len()),
            )),
        }
    }

    /// The value of one view's column where another one has a value.
    fn lookup(&mut self, view: View, wanted: &str, known: &str, value: &Sql, kind: Kind) -> Sql {
        self.views.insert(view);
        let text = format!(
            "(SELECT \"{wanted}\" FROM sys.\"{}\" WHERE \"{known}\" = {} COLLATE {COLLATION})",
            view.name(),
            value.text
        );
        Sql::new(text, kind)
    }

    fn date_function(
        &mut self,
        name: &str,
        unit: &str,
        rest: &[Option<&Expr>],
        expr: &Expr,
    ) -> Translated<Sql> {
        let seconds = match unit.to_ascii_lowercase().as_str() {
            "second" | "ss" | "s" => 1,
            "minute" | "mi" | "n" => 60,
            "hour" | "hh" => 3_600,
            "day" | "dd" | "d" => 86_400,
            _ => return Err(self.unsupported(expr, "a date unit other than second, minute, hour or day")),
        };
        let mut values = Vec::with_capacity(rest.len());
        for value in rest.iter().flatten() {
            values.push(self.expr(value)?);
        }
        match (name, values.as_slice()) {
            ("DATEDIFF", [from, to]) => {
                let from = self.moment(from.clone(), expr)?;
                let to = self.moment(to.clone(), expr)?;
                let text = format!("(unixepoch({to}) / {seconds} - unixepoch({from}) / {seconds})");
                Ok(Sql::new(text, Kind::Int))
            }
            ("DATEADD", [amount, from]) => {
                let from = self.moment(from.clone(), expr)?;
                let amount = format!("tsql_mul({}, {seconds})", amount.text);
                let text = format!("strftime('%Y-%m-%d %H:%M:%f', {from}, {amount} || ' seconds')");
                Ok(Sql::new(text, Kind::DateTime))
            }
            _ => Err(self.unsupported(expr, &format!("the function {name} with these arguments"))),
        }
    }

    fn moment(&self, value: Sql, expr: &Expr) -> Translated<String> {
        match value.kind {
            Kind::DateTime | Kind::Null => Ok(value.text),
            Kind::Text => Ok(self.as_datetime(value, expr)?.text),
            _ => Err(self.mixed(expr)),
        }
    }
}

/// `SUBSTRING` counts from 1 and lets positions before the text use up length.
fn substring(value: &Sql, from: &Sql, length: &Sql) -> Sql {
    let text = format!(
        "substr({}, max(1, {1}), max(0, {2} + min(0, {1} - 1)))",
        value.text, from.text, length.text
    );
    Sql::new(text, Kind::Text)
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
