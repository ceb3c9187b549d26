//! CAST and CONVERT, and the conversions a comparison makes by itself.

use sqlparser::ast::{Expr, Spanned};

use super::{Sql, quote};
use crate::error::msg;
use crate::instance::views::scope::Kind;
use crate::instance::views::translate::{Translated, Translator};
use crate::tsql::parse_datetime;

impl Translator<'_> {
    pub(super) fn as_number(&self, value: Sql, node: &impl Spanned) -> Translated<Sql> {
        match &value.literal {
            Some(text) => match text.trim().parse::<i64>() {
                Ok(n) => Ok(Sql::new(n.to_string(), Kind::Int)),
                Err(_) => Err(msg::CONVERSION.with(&[text, &"int"]).at(self.place(node))),
            },
            None => Ok(Sql::new(format!("tsql_int({})", value.text), Kind::Int)),
        }
    }

    pub(super) fn as_datetime(&self, value: Sql, node: &impl Spanned) -> Translated<Sql> {
        match &value.literal {
            Some(text) => {
                let time = parse_datetime(text).map_err(|error| error.at(self.place(node)))?;
                Ok(Sql::new(quote(&time.to_string()), Kind::DateTime))
            }
            None => Ok(Sql::new(format!("tsql_datetime({})", value.text), Kind::DateTime)),
        }
    }

    /// `CAST` and `CONVERT`. `target` is the type as printed, such as `VARCHAR(20)`.
    pub(super) fn convert(
        &self,
        value: Sql,
        target: &str,
        style: Option<&str>,
        expr: &Expr,
    ) -> Translated<Sql> {
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
}
