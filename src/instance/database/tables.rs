//! The rows of one database: tables of integer rows, transactions laid over them, and the locks of commits not yet
//! acknowledged.
//!
//! A transaction reads through its own changes and touches the tables only when it commits. From then until its commit
//! is acknowledged its rows stay locked, so nobody reads what may still be undone. Source: ours (the product's storage
//! engine is not what this project models).

mod pages;

use std::collections::BTreeMap;

use crate::error::{SqlError, msg};
use crate::types::{Declaration, Lsn, PageKey, RowChange};

fn fold(name: &str) -> String {
    name.to_lowercase()
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Table {
    declaration: Declaration,
    rows: BTreeMap<i64, i64>,
}

/// All tables of one database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables {
    tables: BTreeMap<String, Table>,
    /// Rows of commits not yet acknowledged, with the end of the block that holds the commit.
    locks: BTreeMap<(String, i64), Lsn>,
    /// Tables that such commits created, likewise.
    created: BTreeMap<String, Lsn>,
    /// Pages whose rows are lost, and what who wants one is told.
    closed: BTreeMap<PageKey, SqlError>,
}

impl Tables {
    /// Tables with these declarations (in text form) and rows.
    pub fn load(declarations: &[String], rows: &[(String, i64, i64)]) -> Self {
        let mut tables = Tables::default();
        for declaration in declarations {
            tables.create(declaration);
        }
        for (table, key, value) in rows {
            tables.set(table, *key, Some(*value));
        }
        tables
    }

    /// Every declaration in text form.
    pub fn declarations(&self) -> Vec<String> {
        self.tables.values().map(|t| t.declaration.to_string()).collect()
    }

    pub fn declaration(&self, table: &str) -> Option<&Declaration> {
        self.tables.get(&fold(table)).map(|t| &t.declaration)
    }

    pub fn exists(&self, table: &str) -> bool {
        self.tables.contains_key(&fold(table))
    }

    /// Every row as `(table, key, value)`, in order.
    pub fn rows(&self) -> Vec<(String, i64, i64)> {
        self.tables
            .values()
            .flat_map(|t| t.rows.iter().map(|(k, v)| (t.declaration.name.clone(), *k, *v)))
            .collect()
    }

    /// The rows of one table; an error if it does not exist.
    pub fn scan(&self, table: &str) -> Option<&BTreeMap<i64, i64>> {
        self.tables.get(&fold(table)).map(|t| &t.rows)
    }

    fn get(&self, table: &str, key: i64) -> Option<i64> {
        self.tables
            .get(&fold(table))
            .and_then(|t| t.rows.get(&key).copied())
    }

    /// Redo the creation of a table, given its declaration in text form.
    pub fn create(&mut self, declaration: &str) {
        let declaration = Declaration::parse(declaration);
        let table = Table {
            declaration,
            rows: BTreeMap::new(),
        };
        self.tables.entry(fold(&table.declaration.name)).or_insert(table);
    }

    /// Undo the creation of a table.
    pub fn remove_table(&mut self, declaration: &str) {
        self.tables.remove(&fold(Declaration::name_of(declaration)));
    }

    fn set(&mut self, table: &str, key: i64, value: Option<i64>) {
        let Some(table) = self.tables.get_mut(&fold(table)) else {
            return;
        };
        match value {
            Some(value) => drop(table.rows.insert(key, value)),
            None => drop(table.rows.remove(&key)),
        }
    }

    /// Redo one change.
    pub fn apply(&mut self, change: &RowChange) {
        self.set(&change.table, change.key, change.after);
    }

    /// Undo one change by its before-image.
    pub fn undo(&mut self, change: &RowChange) {
        self.set(&change.table, change.key, change.before);
    }

    /// Hold the rows and tables of `work` until the log is acknowledged up to `until`.
    pub fn lock(&mut self, work: &Transaction, until: Lsn) {
        for change in &work.changes {
            self.locks.insert((fold(&change.table), change.key), until);
        }
        for table in &work.tables {
            self.created.insert(fold(&table.name), until);
        }
    }

    /// Let go of every row whose commit ends at or before `acknowledged`. Returns whether any was held.
    pub fn unlock(&mut self, acknowledged: Lsn) -> bool {
        let before = self.locks.len() + self.created.len();
        self.locks.retain(|_, until| *until > acknowledged);
        self.created.retain(|_, until| *until > acknowledged);
        before != self.locks.len() + self.created.len()
    }

    /// Let go of what was undone: everything whose commit ends beyond `to`.
    pub fn unlock_beyond(&mut self, to: Lsn) {
        self.locks.retain(|_, until| *until <= to);
        self.created.retain(|_, until| *until <= to);
    }

    fn is_locked(&self, table: &str, key: i64) -> bool {
        self.is_new(table) || !self.locks.is_empty() && self.locks.contains_key(&(fold(table), key))
    }

    /// Whether the commit that created this table is not yet acknowledged.
    fn is_new(&self, table: &str) -> bool {
        !self.created.is_empty() && self.created.contains_key(&fold(table))
    }

    pub fn is_table_locked(&self, table: &str) -> bool {
        let table = fold(table);
        let first = (table.clone(), i64::MIN);
        let row = self.locks.range(first..).next();
        self.is_new(&table) || row.is_some_and(|((locked, _), _)| *locked == table)
    }
}

/// Changes not yet committed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    pub tables: Vec<Declaration>,
    pub changes: Vec<RowChange>,
}

/// Why a statement did not run: its rows are locked, or it is in error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blocked {
    Locked,
    Error(SqlError),
}

impl From<SqlError> for Blocked {
    fn from(error: SqlError) -> Self {
        Blocked::Error(error)
    }
}

impl Transaction {
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.changes.is_empty()
    }

    fn check_table(&self, tables: &Tables, table: &str) -> Result<(), SqlError> {
        let created = self.declaration(table).is_some();
        if created || tables.exists(table) {
            Ok(())
        } else {
            Err(msg::INVALID_OBJECT.with(&[&table]))
        }
    }

    /// The value of a row as this transaction sees it.
    pub fn read(&self, tables: &Tables, table: &str, key: i64) -> Result<Option<i64>, Blocked> {
        self.check_table(tables, table)?;
        let own = self
            .changes
            .iter()
            .rev()
            .find(|c| c.key == key && fold(&c.table) == fold(table));
        match own {
            Some(change) => Ok(change.after),
            None if tables.is_locked(table, key) => Err(Blocked::Locked),
            None => {
                tables.check_row(table, key)?;
                Ok(tables.get(table, key))
            }
        }
    }

    fn declaration(&self, table: &str) -> Option<&Declaration> {
        self.tables.iter().find(|d| fold(&d.name) == fold(table))
    }

    /// The declaration of a table as this transaction sees it; 208 if there is none.
    pub fn declared<'a>(&'a self, tables: &'a Tables, table: &str) -> Result<&'a Declaration, SqlError> {
        let found = self.declaration(table).or_else(|| tables.declaration(table));
        found.ok_or_else(|| msg::INVALID_OBJECT.with(&[&table]))
    }

    pub fn create_table(&mut self, tables: &Tables, declaration: Declaration) -> Result<(), Blocked> {
        if tables.is_new(&declaration.name) {
            return Err(Blocked::Locked);
        }
        if self.check_table(tables, &declaration.name).is_ok() {
            return Err(msg::TABLE_EXISTS.with(&[&declaration.name]).into());
        }
        self.tables.push(declaration);
        Ok(())
    }

    pub fn insert(&mut self, tables: &Tables, table: &str, key: i64, value: i64) -> Result<(), Blocked> {
        if self.read(tables, table, key)?.is_some() {
            return Err(msg::DUPLICATE_KEY.with(&[&key, &table]).into());
        }
        self.change(table, key, None, Some(value));
        Ok(())
    }

    /// Every key of `table` as this transaction sees it, for statements without `WHERE`.
    pub fn keys(&self, tables: &Tables, table: &str) -> Result<Vec<i64>, Blocked> {
        self.check_table(tables, table)?;
        if tables.is_table_locked(table) {
            return Err(Blocked::Locked);
        }
        tables.check_table(table)?;
        let mut keys: std::collections::BTreeSet<i64> = tables
            .scan(table)
            .map(|rows| rows.keys().copied().collect())
            .unwrap_or_default();
        for change in self.changes.iter().filter(|c| fold(&c.table) == fold(table)) {
            match change.after {
                Some(_) => keys.insert(change.key),
                None => keys.remove(&change.key),
            };
        }
        Ok(keys.into_iter().collect())
    }

    /// Set a row to `value(old)`. Returns the number of rows changed: 0 or 1.
    pub fn update(
        &mut self,
        tables: &Tables,
        table: &str,
        key: i64,
        value: impl FnOnce(i64) -> Option<i64>,
    ) -> Result<u64, Blocked> {
        let Some(old) = self.read(tables, table, key)? else {
            return Ok(0);
        };
        let new = value(old).ok_or_else(|| msg::ARITHMETIC_OVERFLOW.with(&[&"bigint"]))?;
        self.change(table, key, Some(old), Some(new));
        Ok(1)
    }

    pub fn delete(&mut self, tables: &Tables, table: &str, key: i64) -> Result<u64, Blocked> {
        let Some(old) = self.read(tables, table, key)? else {
            return Ok(0);
        };
        self.change(table, key, Some(old), None);
        Ok(1)
    }

    fn change(&mut self, table: &str, key: i64, before: Option<i64>, after: Option<i64>) {
        self.changes.push(RowChange {
            table: table.to_owned(),
            key,
            before,
            after,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> Tables {
        Tables::load(
            &["Accounts(id,balance)".into()],
            &[("Accounts".into(), 1, 100), ("Accounts".into(), 2, 50)],
        )
    }

    #[test]
    fn a_transaction_reads_its_own_changes_and_leaves_the_tables_alone() {
        let tables = tables();
        let mut t = Transaction::default();
        assert_eq!(t.update(&tables, "accounts", 1, |v| v.checked_sub(30)), Ok(1));
        assert_eq!(t.read(&tables, "ACCOUNTS", 1), Ok(Some(70)));
        assert_eq!(Transaction::default().read(&tables, "Accounts", 1), Ok(Some(100)));
        assert_eq!(t.delete(&tables, "Accounts", 1), Ok(1));
        assert_eq!(t.keys(&tables, "Accounts"), Ok(vec![2]));
    }

    #[test]
    fn applied_and_undone_changes_cancel() {
        let before = tables();
        let mut after = before.clone();
        let mut t = Transaction::default();
        t.insert(&before, "Accounts", 3, 7).unwrap();
        t.update(&before, "Accounts", 3, |v| v.checked_add(1)).unwrap();
        t.changes.iter().for_each(|c| after.apply(c));
        assert_ne!(before, after);
        t.changes.iter().rev().for_each(|c| after.undo(c));
        assert_eq!(before, after);
    }

    #[test]
    fn rows_of_an_unacknowledged_commit_are_locked_until_it_is() {
        let mut tables = tables();
        let mut t = Transaction::default();
        t.update(&tables, "Accounts", 1, |_| Some(1)).unwrap();
        tables.lock(&t, Lsn::new(10));
        assert_eq!(
            Transaction::default().read(&tables, "Accounts", 1),
            Err(Blocked::Locked)
        );
        assert_eq!(Transaction::default().read(&tables, "Accounts", 2), Ok(Some(50)));
        assert!(!tables.unlock(Lsn::new(9)));
        assert!(tables.unlock(Lsn::new(10)));
        assert_eq!(Transaction::default().read(&tables, "Accounts", 1), Ok(Some(100)));
    }

    #[test]
    fn a_table_of_an_unacknowledged_commit_is_locked_until_it_is() {
        let mut tables = tables();
        let mut t = Transaction::default();
        t.create_table(&tables, Declaration::parse("New(id,value)"))
            .unwrap();
        tables.create("New(id,value)");
        tables.lock(&t, Lsn::new(10));
        let mut other = Transaction::default();
        assert_eq!(other.keys(&tables, "new"), Err(Blocked::Locked));
        assert_eq!(other.insert(&tables, "New", 1, 1), Err(Blocked::Locked));
        let again = other.create_table(&tables, Declaration::parse("NEW(id,value)"));
        assert_eq!(again, Err(Blocked::Locked));
        assert!(tables.unlock(Lsn::new(10)));
        assert_eq!(other.insert(&tables, "New", 1, 1), Ok(()));
    }

    #[test]
    fn what_is_undone_is_unlocked_and_the_rest_stays_locked() {
        let mut tables = tables();
        for (key, until) in [(1, 10), (2, 20)] {
            let mut t = Transaction::default();
            t.update(&tables, "Accounts", key, |_| Some(1)).unwrap();
            tables.lock(&t, Lsn::new(until));
        }
        tables.unlock_beyond(Lsn::new(10));
        let reader = Transaction::default();
        assert_eq!(reader.read(&tables, "Accounts", 1), Err(Blocked::Locked));
        assert_eq!(reader.read(&tables, "Accounts", 2), Ok(Some(50)));
        assert!(tables.is_table_locked("ACCOUNTS"));
    }

    #[test]
    fn mistakes_have_the_products_numbers() {
        let tables = tables();
        let mut t = Transaction::default();
        let number = |r: Result<(), Blocked>| match r {
            Err(Blocked::Error(error)) => error.number,
            other => panic!("expected an error, got {other:?}"),
        };
        assert_eq!(number(t.insert(&tables, "Accounts", 1, 1)), 2627);
        assert_eq!(number(t.insert(&tables, "Nowhere", 1, 1)), 208);
        assert_eq!(
            number(
                t.update(&tables, "Accounts", 1, |v| v.checked_add(i64::MAX))
                    .map(drop)
            ),
            8115
        );
    }
}
