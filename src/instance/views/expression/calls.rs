//! Calls of functions: aggregates, scalar functions, system functions and dates.

use sqlparser::ast::{DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::{Sql, quote};
use crate::instance::views::View;
use crate::instance::views::functions::COLLATION;
use crate::instance::views::scope::Kind;
use crate::instance::views::translate::{self, Translated, Translator};

impl Translator<'_> {
    pub(super) fn function(&mut self, function: &Function, expr: &Expr) -> Translated<Sql> {
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
                let text = translate::collated(&value.text, value.kind);
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
pub(super) fn substring(value: &Sql, from: &Sql, length: &Sql) -> Sql {
    let text = format!(
        "substr({}, max(1, {1}), max(0, {2} + min(0, {1} - 1)))",
        value.text, from.text, length.text
    );
    Sql::new(text, Kind::Text)
}
