//! Row changes: what a log record says, what redo applies and what undo takes back.

use serde::{Deserialize, Serialize};

/// One change of one row. A row is an integer key and an integer value; `None` where it does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowChange {
    pub table: String,
    pub key: i64,
    pub before: Option<i64>,
    pub after: Option<i64>,
}
