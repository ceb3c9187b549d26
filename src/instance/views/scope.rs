//! What names mean inside a query: relations, their columns and types.

use crate::error::{Span, SqlError, msg};

use super::SqlType;

/// The type of an expression, as far as the translation needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A bare NULL, which goes with everything.
    Null,
    Bit,
    Int,
    Text,
    DateTime,
}

/// A column that a relation offers or a query answers.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub name: String,
    pub kind: Kind,
}

/// One thing in a FROM clause.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    /// The alias, or the last part of the name.
    pub name: String,
    /// The parts of the name before the last, where there is no alias.
    pub qualifiers: Vec<String>,
    /// What it is called in the translation.
    pub handle: String,
    /// The columns, and what each is called in the translation.
    pub fields: Vec<(Field, String)>,
}

/// The relations a part of a query sees, innermost query last.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    levels: Vec<Vec<Relation>>,
}

/// A column found: the text that reads it, and its type.
pub(super) struct Found {
    pub text: String,
    pub kind: Kind,
}

impl From<SqlType> for Kind {
    fn from(kind: SqlType) -> Kind {
        match kind {
            SqlType::Bit => Kind::Bit,
            SqlType::TinyInt | SqlType::SmallInt | SqlType::Int | SqlType::BigInt | SqlType::Numeric25 => {
                Kind::Int
            }
            SqlType::DateTime => Kind::DateTime,
            SqlType::Char(_)
            | SqlType::NVarChar(_)
            | SqlType::SysName
            | SqlType::VarBinary(_)
            | SqlType::UniqueIdentifier => Kind::Text,
        }
    }
}

impl Relation {
    /// The columns as `*` lists them.
    pub fn all(&self) -> impl Iterator<Item = (Field, String)> {
        let handle = &self.handle;
        self.fields
            .iter()
            .map(move |(field, column)| (field.clone(), format!("{handle}.\"{column}\"")))
    }

    fn is_called(&self, parts: &[&str]) -> bool {
        let Some((last, before)) = parts.split_last() else {
            return false;
        };
        let qualifiers = self.qualifiers.iter().rev();
        self.name.eq_ignore_ascii_case(last)
            && before.len() <= self.qualifiers.len()
            && before
                .iter()
                .rev()
                .zip(qualifiers)
                .all(|(part, own)| own.eq_ignore_ascii_case(part))
    }
}

impl Scopes {
    pub fn enter(&mut self) {
        self.levels.push(Vec::new());
    }

    pub fn leave(&mut self) {
        self.levels.pop();
    }

    pub fn add(&mut self, relation: Relation) {
        if let Some(level) = self.levels.last_mut() {
            level.push(relation);
        }
    }

    /// The relations of the innermost query.
    pub fn innermost(&self) -> &[Relation] {
        self.levels.last().map_or(&[], Vec::as_slice)
    }

    /// The relations of the innermost query called `parts`.
    pub fn called<'a>(&'a self, parts: &'a [&'a str]) -> impl Iterator<Item = &'a Relation> {
        self.innermost()
            .iter()
            .filter(move |relation| relation.is_called(parts))
    }

    /// The column called `parts`, the innermost query first.
    ///
    /// Errors: 207 no such column, 209 several, 4104 no relation of that name.
    pub fn find(&self, parts: &[&str], at: Span) -> Result<Found, SqlError> {
        let Some((column, relation)) = parts.split_last() else {
            return Err(msg::INVALID_COLUMN.with(&[&""]).at(at));
        };
        let mut known_relation = relation.is_empty();
        for level in self.levels.iter().rev() {
            let mut found = None;
            for candidate in level {
                if !relation.is_empty() && !candidate.is_called(relation) {
                    continue;
                }
                known_relation = true;
                for (field, name) in &candidate.fields {
                    if !field.name.eq_ignore_ascii_case(column) {
                        continue;
                    }
                    let text = format!("{}.\"{name}\"", candidate.handle);
                    let here = Found {
                        text,
                        kind: field.kind,
                    };
                    if found.replace(here).is_some() {
                        return Err(msg::AMBIGUOUS_COLUMN.with(&[column]).at(at));
                    }
                }
            }
            if let Some(found) = found {
                return Ok(found);
            }
        }
        Err(match known_relation {
            true => msg::INVALID_COLUMN.with(&[column]),
            false => msg::MULTI_PART.with(&[&parts.join(".")]),
        }
        .at(at))
    }
}
