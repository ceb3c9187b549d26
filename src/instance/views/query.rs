//! Running a query: rows into an in-memory SQLite, the translated text through it, the answer out.
//!
//! The store of the views is attached as `sys`, user tables are in the main schema; both are filled anew for every query,
//! and only with what the query names. A query ends: by itself, or at a limit. Source: ours.

use std::collections::BTreeMap;
use std::fmt;

use rusqlite::limits::Limit;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};

use crate::error::{SqlError, msg};
use crate::tsql::Select;
use crate::types::{ReplyItem, Value};

use super::functions::{COLLATION, carried_error, register};
use super::scope::Kind;
use super::translate::{Translation, translate};
use super::{Column, SqlType, SystemViews, Table, View};

/// What a query may use at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rows of the answer.
    pub rows_max: usize,
    /// Bytes of text in the answer.
    pub bytes_max: usize,
    /// Steps of SQLite's machine, to the next thousand: a budget that, unlike time, is the same in every run.
    pub steps_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            rows_max: 100_000,
            bytes_max: 16 << 20,
            steps_max: 10_000_000,
        }
    }
}

/// The longest text a query may hold, in bytes.
const TEXT_BYTES_MAX: i32 = 64 << 10;

/// Answers queries. Keeps nothing between two of them but the empty tables; make one per instance.
#[derive(Default)]
pub struct QueryEngine {
    store: Option<Store>,
}

impl fmt::Debug for QueryEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueryEngine")
    }
}

impl QueryEngine {
    pub fn new() -> Self {
        QueryEngine::default()
    }

    /// The answer of `select`, a `ReplyItem::Rows`.
    ///
    /// Errors: 207, 208, 209 and 4104 names, 241 and 245 conversions, 8115 and 8134 arithmetic, 8622 a construct that is not
    /// supported or a limit; and what `SystemViews::table` says of the database.
    pub fn run(
        &mut self,
        select: &Select,
        views: &dyn SystemViews,
        limits: &Limits,
    ) -> Result<ReplyItem, SqlError> {
        self.answer(select, views, limits)
            .map_err(|error| match error.at {
                Some(_) => error,
                None => error.at(select.span),
            })
    }

    fn answer(
        &mut self,
        select: &Select,
        views: &dyn SystemViews,
        limits: &Limits,
    ) -> Result<ReplyItem, SqlError> {
        let translation = translate(select, views)?;
        let mut store = match self.store.take() {
            Some(store) => store,
            None => Store::open().map_err(|error| failed(&error))?,
        };
        let answer = store.answer(&translation, views, limits)?;
        // After an error the store is gone: it is not trusted with the next query.
        self.store = Some(store);
        Ok(answer)
    }
}

struct Store {
    connection: Connection,
    views: BTreeMap<View, String>,
}

impl Store {
    fn open() -> rusqlite::Result<Self> {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch(
            "ATTACH ':memory:' AS sys; PRAGMA temp_store = MEMORY; PRAGMA journal_mode = OFF; PRAGMA sys.journal_mode = OFF;",
        )?;
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, TEXT_BYTES_MAX)?;
        connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1)?;
        register(&connection)?;
        Ok(Store {
            connection,
            views: BTreeMap::new(),
        })
    }

    fn answer(
        &mut self,
        translation: &Translation,
        views: &dyn SystemViews,
        limits: &Limits,
    ) -> Result<ReplyItem, SqlError> {
        self.connection
            .execute_batch("BEGIN")
            .map_err(|error| failed(&error))?;
        for view in &translation.views {
            self.fill_view(*view, &views.rows(*view)?)?;
        }
        for (index, table) in translation.tables.iter().enumerate() {
            self.fill_table(index, table)?;
        }
        self.connection
            .execute_batch("COMMIT")
            .map_err(|error| failed(&error))?;
        let answer = self.read(translation, limits);
        for index in 0..translation.tables.len() {
            let drop = format!("DROP TABLE main.t{index}");
            self.connection
                .execute_batch(&drop)
                .map_err(|error| failed(&error))?;
        }
        answer
    }

    fn fill_view(&mut self, view: View, rows: &[Vec<Value>]) -> Result<(), SqlError> {
        let name = format!("sys.\"{}\"", view.name());
        if let std::collections::btree_map::Entry::Vacant(entry) = self.views.entry(view) {
            let columns: Vec<String> = view.columns().iter().map(column_definition).collect();
            let create = format!("CREATE TABLE {name} ({})", columns.join(", "));
            self.connection
                .execute_batch(&create)
                .map_err(|error| failed(&error))?;
            entry.insert(name.clone());
        } else {
            let clear = format!("DELETE FROM {name}");
            self.connection
                .execute_batch(&clear)
                .map_err(|error| failed(&error))?;
        }
        self.insert(&name, view.columns().len(), rows)
    }

    fn fill_table(&mut self, index: usize, table: &Table) -> Result<(), SqlError> {
        let name = format!("main.t{index}");
        let columns: Vec<String> = (0..table.columns.len())
            .map(|n| format!("c{n} COLLATE {COLLATION}"))
            .collect();
        let create = format!("CREATE TABLE {name} ({})", columns.join(", "));
        self.connection
            .execute_batch(&create)
            .map_err(|error| failed(&error))?;
        self.insert(&name, table.columns.len(), &table.rows)
    }

    fn insert(&self, name: &str, width: usize, rows: &[Vec<Value>]) -> Result<(), SqlError> {
        let marks = vec!["?"; width].join(", ");
        let insert = format!("INSERT INTO {name} VALUES ({marks})");
        let mut statement = self
            .connection
            .prepare_cached(&insert)
            .map_err(|error| failed(&error))?;
        for row in rows {
            let cells = row.iter().map(Cell);
            statement
                .execute(params_from_iter(cells))
                .map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    fn read(&self, translation: &Translation, limits: &Limits) -> Result<ReplyItem, SqlError> {
        let mut statement = self
            .connection
            .prepare(&translation.text)
            .map_err(|error| failed(&error))?;
        if !statement.readonly() {
            return Err(msg::QUERY_FAILED.with(&[&"it would change something"]));
        }
        let mut calls = limits.steps_max / 1_000;
        let budget = move || match calls.checked_sub(1) {
            Some(left) => {
                calls = left;
                false
            }
            None => true,
        };
        self.connection
            .progress_handler(1_000, Some(budget))
            .map_err(|error| failed(&error))?;
        let rows = rows(&mut statement, translation, limits);
        self.connection
            .progress_handler(0, None::<fn() -> bool>)
            .map_err(|error| failed(&error))?;
        Ok(ReplyItem::Rows {
            columns: translation
                .fields
                .iter()
                .map(|field| field.name.clone())
                .collect(),
            rows: rows?,
        })
    }
}

fn rows(
    statement: &mut rusqlite::Statement<'_>,
    translation: &Translation,
    limits: &Limits,
) -> Result<Vec<Vec<Value>>, SqlError> {
    let too_large = || {
        let reason = format!(
            "the result has more than {} rows or {} bytes of text; ask for less with TOP or WHERE",
            limits.rows_max, limits.bytes_max
        );
        msg::QUERY_FAILED.with(&[&reason])
    };
    let too_long = |error: &rusqlite::Error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::OperationInterrupted) => {
            let reason = format!("it takes more than {} steps", limits.steps_max);
            msg::QUERY_FAILED.with(&[&reason])
        }
        _ => failed(error),
    };
    let mut answer = Vec::new();
    let mut bytes = 0;
    let mut cursor = statement.query([]).map_err(|error| failed(&error))?;
    while let Some(row) = cursor.next().map_err(|error| too_long(&error))? {
        let mut values = Vec::with_capacity(translation.fields.len());
        for (index, field) in translation.fields.iter().enumerate() {
            let value = row.get_ref(index).map_err(|error| failed(&error))?;
            values.push(match value {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(n) if field.kind == Kind::Bit => Value::Bool(n != 0),
                ValueRef::Integer(n) => Value::Int(n),
                ValueRef::Real(_) => return Err(msg::ARITHMETIC_OVERFLOW.with(&[&"bigint"])),
                ValueRef::Text(text) | ValueRef::Blob(text) => {
                    bytes += text.len();
                    Value::Text(String::from_utf8_lossy(text).into_owned())
                }
            });
        }
        answer.push(values);
        if answer.len() > limits.rows_max || bytes > limits.bytes_max {
            return Err(too_large());
        }
    }
    Ok(answer)
}

fn column_definition(column: &Column) -> String {
    let affinity = match column.kind {
        SqlType::Bit
        | SqlType::TinyInt
        | SqlType::SmallInt
        | SqlType::Int
        | SqlType::BigInt
        | SqlType::Numeric25 => "INTEGER",
        _ => "TEXT",
    };
    format!("\"{}\" {affinity} COLLATE {COLLATION}", column.name)
}

/// The error SQLite reports: one of ours that travelled through it, or 8622 with its reason.
fn failed(error: &rusqlite::Error) -> SqlError {
    let reason = match error {
        rusqlite::Error::SqliteFailure(_, Some(text)) => text.clone(),
        error => error.to_string(),
    };
    if let Some(carried) = carried_error(&reason) {
        return carried;
    }
    if reason.contains("integer overflow") {
        return msg::ARITHMETIC_OVERFLOW.with(&[&"bigint"]);
    }
    msg::QUERY_FAILED.with(&[&reason])
}

struct Cell<'a>(&'a Value);

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Bool(bit) => ValueRef::Integer((*bit).into()),
            Value::Int(n) => ValueRef::Integer(*n),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}
