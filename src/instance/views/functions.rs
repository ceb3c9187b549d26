//! The functions SQLite lacks or does differently, and the default collation.
//!
//! Arithmetic that overflows, conversions that fail and divisions by zero are errors here, not silent zeros. An error
//! travels through SQLite as its JSON text and is read back by `carried_error`.

use std::cmp::Ordering;
use std::fmt;

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error};

use crate::error::{SqlError, msg};
use crate::tsql::parse_datetime;

/// The name of the collation every text column has.
pub(super) const COLLATION: &str = "tsql";

/// Makes the functions and the collation known to a connection.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    connection.create_collation(COLLATION, compare)?;
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    for (name, operation) in ARITHMETIC {
        connection.create_scalar_function(name, 2, flags, move |context| arithmetic(context, operation))?;
    }
    connection.create_scalar_function("tsql_int", 1, flags, to_int)?;
    connection.create_scalar_function("tsql_range", 4, flags, in_range)?;
    connection.create_scalar_function("tsql_text", 2, flags, to_text)?;
    connection.create_scalar_function("tsql_datetime", 1, flags, to_datetime)?;
    connection.create_scalar_function("tsql_len", 1, flags, |context| {
        Ok(text_of(context, 0)
            .map(|text| i64::try_from(text.trim_end_matches(' ').chars().count()).unwrap_or(i64::MAX)))
    })?;
    connection.create_scalar_function("tsql_like", 3, flags, |context| {
        let (Some(value), Some(pattern)) = (text_of(context, 0), text_of(context, 1)) else {
            return Ok(None);
        };
        let escape = text_of(context, 2).and_then(|text| text.chars().next());
        Ok(Some(like(&value, &pattern, escape)))
    })
}

/// The error a function raised, if `text` carries one.
pub(super) fn carried_error(text: &str) -> Option<SqlError> {
    serde_json::from_str(text).ok()
}

/// Case and trailing blanks do not count. Source: documented, the default collation and *= (String Comparison)*.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let fold = |text: &str| {
        text.trim_end_matches(' ')
            .chars()
            .flat_map(char::to_lowercase)
            .collect::<Vec<_>>()
    };
    let ascii = a.is_ascii() && b.is_ascii();
    if ascii {
        let lower = |text: &str| text.trim_end_matches(' ').len();
        let (a, b) = (&a[..lower(a)], &b[..lower(b)]);
        return a
            .bytes()
            .map(|c| c.to_ascii_lowercase())
            .cmp(b.bytes().map(|c| c.to_ascii_lowercase()));
    }
    fold(a).cmp(&fold(b))
}

type Operation = fn(i64, i64) -> Result<i64, SqlError>;

const ARITHMETIC: [(&str, Operation); 5] = [
    ("tsql_add", |a, b| a.checked_add(b).ok_or_else(overflow)),
    ("tsql_sub", |a, b| a.checked_sub(b).ok_or_else(overflow)),
    ("tsql_mul", |a, b| a.checked_mul(b).ok_or_else(overflow)),
    ("tsql_div", |a, b| match b {
        0 => Err(msg::DIVIDE_BY_ZERO.error()),
        b => a.checked_div(b).ok_or_else(overflow),
    }),
    ("tsql_mod", |a, b| match b {
        0 => Err(msg::DIVIDE_BY_ZERO.error()),
        b => Ok(a.wrapping_rem(b)),
    }),
];

fn overflow() -> SqlError {
    msg::ARITHMETIC_OVERFLOW.with(&[&"bigint"])
}

/// A `SqlError` on its way through SQLite.
#[derive(Debug)]
struct Carried(SqlError);

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match serde_json::to_string(&self.0) {
            Ok(json) => f.write_str(&json),
            Err(_) => self.0.fmt(f),
        }
    }
}

impl std::error::Error for Carried {}

fn raise(error: SqlError) -> Error {
    Error::UserFunctionError(Box::new(Carried(error)))
}

fn arithmetic(context: &Context<'_>, operation: Operation) -> rusqlite::Result<Option<i64>> {
    let (Some(a), Some(b)) = (int_of(context, 0)?, int_of(context, 1)?) else {
        return Ok(None);
    };
    operation(a, b).map(Some).map_err(raise)
}

fn to_int(context: &Context<'_>) -> rusqlite::Result<Option<i64>> {
    int_of(context, 0)
}

/// The number, if it is within the bounds of the type named last.
fn in_range(context: &Context<'_>) -> rusqlite::Result<Option<i64>> {
    let bounds = context.get::<i64>(1)?..=context.get::<i64>(2)?;
    match int_of(context, 0)? {
        Some(n) if !bounds.contains(&n) => {
            let target = context.get::<String>(3)?;
            Err(raise(msg::ARITHMETIC_OVERFLOW.with(&[&target])))
        }
        n => Ok(n),
    }
}

fn int_of(context: &Context<'_>, index: usize) -> rusqlite::Result<Option<i64>> {
    match context.get_raw(index) {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(n) => Ok(Some(n)),
        ValueRef::Real(_) => Err(raise(overflow())),
        ValueRef::Text(text) | ValueRef::Blob(text) => {
            let text = String::from_utf8_lossy(text);
            match text.trim() {
                "" => Ok(Some(0)),
                number => match number.parse() {
                    Ok(n) => Ok(Some(n)),
                    Err(_) => Err(raise(msg::CONVERSION.with(&[&text, &"int"]))),
                },
            }
        }
    }
}

fn text_of(context: &Context<'_>, index: usize) -> Option<String> {
    match context.get_raw(index) {
        ValueRef::Null => None,
        ValueRef::Integer(n) => Some(n.to_string()),
        ValueRef::Real(n) => Some(n.to_string()),
        ValueRef::Text(text) | ValueRef::Blob(text) => Some(String::from_utf8_lossy(text).into_owned()),
    }
}

/// `CAST(… AS varchar(n))`: text is cut, a number that does not fit is an error.
fn to_text(context: &Context<'_>) -> rusqlite::Result<Option<String>> {
    let width = usize::try_from(context.get::<i64>(1)?).unwrap_or(usize::MAX);
    let is_number = matches!(context.get_raw(0), ValueRef::Integer(_));
    let Some(text) = text_of(context, 0) else {
        return Ok(None);
    };
    if text.chars().count() <= width {
        return Ok(Some(text));
    }
    match is_number {
        true => Err(raise(msg::ARITHMETIC_OVERFLOW.with(&[&"varchar"]))),
        false => Ok(Some(text.chars().take(width).collect())),
    }
}

fn to_datetime(context: &Context<'_>) -> rusqlite::Result<Option<String>> {
    match text_of(context, 0) {
        Some(text) => match parse_datetime(&text) {
            Ok(time) => Ok(Some(time.to_string())),
            Err(error) => Err(raise(error)),
        },
        None => Ok(None),
    }
}

/// One element of a `LIKE` pattern.
enum Element {
    /// `%`
    Any,
    /// `_`
    One,
    Literal(char),
    /// `[a-f]`, `[^a-f]`
    Set {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// Source: documented, *LIKE*. Steps at most value × pattern.
fn like(value: &str, pattern: &str, escape: Option<char>) -> bool {
    let value: Vec<char> = value.chars().flat_map(char::to_lowercase).collect();
    let lower: String = pattern.chars().flat_map(char::to_lowercase).collect();
    let elements = elements(&lower, escape.map(|c| c.to_lowercase().next().unwrap_or(c)));
    let (mut at, mut element) = (0, 0);
    let mut last_any: Option<(usize, usize)> = None;
    while at < value.len() {
        match elements.get(element) {
            Some(Element::Any) => {
                last_any = Some((element, at));
                element += 1;
                continue;
            }
            Some(one) if one.matches(value[at]) => {
                at += 1;
                element += 1;
                continue;
            }
            _ => {}
        }
        let Some((any, from)) = last_any else {
            // Blanks at the end of the value do not count once the pattern is used up.
            return element == elements.len() && value[at..].iter().all(|c| *c == ' ');
        };
        last_any = Some((any, from + 1));
        at = from + 1;
        element = any + 1;
    }
    elements[element..]
        .iter()
        .all(|element| matches!(element, Element::Any))
}

impl Element {
    fn matches(&self, c: char) -> bool {
        match self {
            Element::Any => false,
            Element::One => true,
            Element::Literal(own) => *own == c,
            Element::Set { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
        }
    }
}

fn elements(pattern: &str, escape: Option<char>) -> Vec<Element> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut elements = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        at += 1;
        elements.push(match c {
            c if Some(c) == escape => match chars.get(at) {
                Some(&escaped) => {
                    at += 1;
                    Element::Literal(escaped)
                }
                None => Element::Literal(c),
            },
            '%' => Element::Any,
            '_' => Element::One,
            '[' => match chars[at..].iter().skip(1).position(|c| *c == ']') {
                Some(length) => {
                    let inside = &chars[at..=at + length];
                    at += length + 2;
                    set(inside)
                }
                None => Element::Literal('['),
            },
            c => Element::Literal(c),
        });
    }
    elements
}

fn set(inside: &[char]) -> Element {
    let (negated, inside) = match inside {
        ['^', rest @ ..] if !rest.is_empty() => (true, rest),
        inside => (false, inside),
    };
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < inside.len() {
        match inside[at..] {
            [low, '-', high, ..] => {
                ranges.push((low, high));
                at += 3;
            }
            _ => {
                ranges.push((inside[at], inside[at]));
                at += 1;
            }
        }
    }
    Element::Set { negated, ranges }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_trailing_blanks_do_not_count() {
        assert_eq!(compare("CO  ", "co"), Ordering::Equal);
        assert_eq!(compare("É ", "é"), Ordering::Equal);
        assert_eq!(compare(" a", "a"), Ordering::Less);
        assert_eq!(compare("a", "B"), Ordering::Less);
    }

    #[test]
    fn like_knows_wildcards_sets_and_escapes() {
        for (value, pattern, escape, expected) in [
            ("SYNCHRONIZED", "sync%", None, true),
            ("SYNCHRONIZED", "%n_z%", None, true),
            ("SYNCHRONIZED", "sync", None, false),
            ("CO  ", "CO", None, true),
            ("beta", "[a-c]eta", None, true),
            ("beta", "[^a-c]eta", None, false),
            ("[x]", "[[]x]", None, true),
            ("50%", "50!%", Some('!'), true),
            ("500", "50!%", Some('!'), false),
            ("", "%", None, true),
            ("", "_", None, false),
            ("a[", "a[", None, true),
        ] {
            assert_eq!(like(value, pattern, escape), expected, "{value} LIKE {pattern}");
        }
        let slow = "a".repeat(5_000);
        assert!(!like(&slow, &format!("{}b", "%a".repeat(50)), None));
    }
}
