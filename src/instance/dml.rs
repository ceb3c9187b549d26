//! Statements that change rows, laid over a transaction. Pure: tables and transaction in, rows affected out.

use super::database::tables::{Blocked, Tables, Transaction};
use crate::error::{SqlError, msg};
use crate::tsql::ast::{CreateTable, Insert, KeyFilter, Name, NewValue, Statement, Update};
use crate::types::Declaration;

/// Carry out `statement` in `work`. Returns the number of rows affected.
pub(super) fn change_rows(
    statement: &Statement,
    tables: &Tables,
    work: &mut Transaction,
) -> Result<u64, Blocked> {
    match statement {
        Statement::CreateTable(create) => create_table(create, tables, work),
        Statement::Insert(insert_) => insert(insert_, tables, work),
        Statement::Update(update_) => update(update_, tables, work),
        Statement::Delete(delete) => {
            let table = delete.table.name.as_str();
            let declared = work.declared(tables, table)?.clone();
            check_key_column(&declared, &delete.filter)?;
            work.delete(tables, &declared.name, delete.filter.key)
        }
        _ => Err(msg::NOT_SUPPORTED.with(&[&statement.title()]).into()),
    }
}

fn create_table(create: &CreateTable, tables: &Tables, work: &mut Transaction) -> Result<u64, Blocked> {
    let declaration = Declaration {
        name: create.table.name.text.clone(),
        key: create.key.name.text.clone(),
        value: create.value.name.text.clone(),
    };
    let plain = |name: &str| !name.contains(['(', ')', ',']);
    if ![&declaration.name, &declaration.key, &declaration.value]
        .into_iter()
        .all(|n| plain(n))
    {
        return Err(msg::NOT_SUPPORTED
            .with(&[&"a table or column name with parentheses or commas"])
            .into());
    }
    work.create_table(tables, declaration)?;
    Ok(0)
}

fn insert(insert: &Insert, tables: &Tables, work: &mut Transaction) -> Result<u64, Blocked> {
    let declared = work.declared(tables, insert.table.name.as_str())?.clone();
    let swapped = match insert.columns.as_deref() {
        None => false,
        Some([first, second]) => {
            if is(first, &declared.key) && is(second, &declared.value) {
                false
            } else if is(first, &declared.value) && is(second, &declared.key) {
                true
            } else {
                let unknown = [first, second]
                    .into_iter()
                    .find(|n| !is(n, &declared.key) && !is(n, &declared.value));
                return Err(msg::INVALID_COLUMN.with(&[unknown.unwrap_or(first)]).into());
            }
        }
        Some(_) => return Err(msg::COLUMN_COUNT.error().into()),
    };
    for row in &insert.rows {
        let [first, second] = row.as_slice() else {
            return Err(msg::COLUMN_COUNT.error().into());
        };
        let (key, value) = if swapped { (second, first) } else { (first, second) };
        let key = key.ok_or_else(|| msg::NO_COLUMN_NULL.with(&[&declared.key]))?;
        let value = value.ok_or_else(|| msg::NO_COLUMN_NULL.with(&[&declared.value]))?;
        work.insert(tables, &declared.name, key, value)?;
    }
    Ok(insert.rows.len() as u64)
}

fn update(update: &Update, tables: &Tables, work: &mut Transaction) -> Result<u64, Blocked> {
    let declared = work.declared(tables, update.table.name.as_str())?.clone();
    check_value_column(&declared, &update.column)?;
    if let NewValue::Column { column, .. } = &update.to {
        check_value_column(&declared, column)?;
    }
    let new = |old: i64| match &update.to {
        NewValue::Literal(value) => Some(*value),
        NewValue::Column { plus, .. } => old.checked_add(*plus),
    };
    match &update.filter {
        Some(filter) => {
            check_key_column(&declared, filter)?;
            work.update(tables, &declared.name, filter.key, new)
        }
        None => {
            let mut affected = 0;
            for key in work.keys(tables, &declared.name)? {
                affected += work.update(tables, &declared.name, key, new)?;
            }
            Ok(affected)
        }
    }
}

fn is(name: &Name, column: &str) -> bool {
    name.as_str().eq_ignore_ascii_case(column)
}

fn check_key_column(declared: &Declaration, filter: &KeyFilter) -> Result<(), SqlError> {
    if is(&filter.column, &declared.key) {
        Ok(())
    } else if is(&filter.column, &declared.value) {
        Err(msg::NOT_SUPPORTED
            .with(&[&"a WHERE clause on a column that is not the primary key"])
            .at(filter.column.span))
    } else {
        Err(msg::INVALID_COLUMN.with(&[&filter.column]).at(filter.column.span))
    }
}

fn check_value_column(declared: &Declaration, column: &Name) -> Result<(), SqlError> {
    if is(column, &declared.value) {
        Ok(())
    } else if is(column, &declared.key) {
        Err(msg::NOT_SUPPORTED
            .with(&[&"changing a primary key"])
            .at(column.span))
    } else {
        Err(msg::INVALID_COLUMN.with(&[column]).at(column.span))
    }
}
