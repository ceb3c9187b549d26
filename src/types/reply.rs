//! What a batch answers: row sets, row counts, informational messages and errors, in order.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::SqlError;

/// One value of a row. `Bit` prints as 0 or 1, `Guid` and `DateTime` travel as their printed text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Self {
        Value::Int(n)
    }
}

impl From<bool> for Value {
    fn from(bit: bool) -> Self {
        Value::Bool(bit)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.pad("NULL"),
            Value::Bool(bit) => f.pad(if *bit { "1" } else { "0" }),
            Value::Int(n) => f.pad(&n.to_string()),
            Value::Text(text) => f.pad(text),
        }
    }
}

/// One piece of a batch's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyItem {
    Rows {
        columns: Vec<String>,
        rows: Vec<Vec<Value>>,
    },
    Affected(u64),
    Info(SqlError),
    Error(SqlError),
}

/// The answer to one batch. A batch ends at its first error.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reply {
    pub items: Vec<ReplyItem>,
}

impl Reply {
    pub fn error(&self) -> Option<&SqlError> {
        self.items.iter().find_map(|item| match item {
            ReplyItem::Error(error) => Some(error),
            _ => None,
        })
    }

    pub fn rows(&self) -> impl Iterator<Item = &Vec<Value>> {
        self.items.iter().flat_map(|item| match item {
            ReplyItem::Rows { rows, .. } => rows.as_slice(),
            _ => &[],
        })
    }
}
