//! The rows of one page of the data file, and pages that may not be touched because they are damaged there.

use super::{Tables, fold};
use crate::error::SqlError;
use crate::types::PageKey;

impl Tables {
    /// The rows of a page are lost: whoever wants them gets `error`.
    pub fn close_page(&mut self, page: &PageKey, error: SqlError) {
        self.set_page(page, &[]);
        self.closed.insert(page.clone(), error);
    }

    pub fn open_page(&mut self, page: &PageKey) {
        self.closed.remove(page);
    }

    /// The keys and values of a page, in order.
    pub fn page(&self, page: &PageKey) -> Vec<(i64, i64)> {
        let rows = self.scan(&page.table).into_iter();
        rows.flat_map(|rows| rows.range(page.keys()))
            .map(|(key, value)| (*key, *value))
            .collect()
    }

    /// Replace the rows of a page.
    pub fn set_page(&mut self, page: &PageKey, rows: &[(i64, i64)]) {
        for (key, _) in self.page(page) {
            self.set(&page.table, key, None);
        }
        for (key, value) in rows {
            self.set(&page.table, *key, Some(*value));
        }
    }

    /// 829 if the row lies on a closed page.
    pub(super) fn check_row(&self, table: &str, key: i64) -> Result<(), SqlError> {
        match self.closed.is_empty() {
            true => Ok(()),
            false => self
                .closed
                .get(&PageKey::of(table, key))
                .cloned()
                .map_or(Ok(()), Err),
        }
    }

    /// 829 if some page of the table is closed.
    pub(super) fn check_table(&self, table: &str) -> Result<(), SqlError> {
        let table = fold(table);
        let closed = self.closed.iter().find(|(page, _)| page.table == table);
        closed.map_or(Ok(()), |(_, error)| Err(error.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Blocked, Transaction};
    use super::*;
    use crate::error::msg;

    #[test]
    fn a_closed_page_has_no_rows_and_takes_none_and_the_others_do() {
        let rows = [(1, 10), (63, 11), (64, 12)].map(|(key, value)| ("T".to_owned(), key, value));
        let mut tables = Tables::load(&["T(id,value)".into()], &rows);
        let page = PageKey::of("t", 5);
        assert_eq!(tables.page(&page), [(1, 10), (63, 11)]);
        let error = msg::PAGE_RESTORE_PENDING.with(&[&5, &2]);
        tables.close_page(&page, error.clone());
        let refused = Err(Blocked::Error(error));
        let mut work = Transaction::default();
        assert_eq!(work.read(&tables, "T", 1), refused);
        assert_eq!(work.insert(&tables, "t", 2, 0), refused.clone().map(drop));
        assert_eq!(work.keys(&tables, "T").map(drop), refused.map(drop));
        assert_eq!(work.read(&tables, "T", 64), Ok(Some(12)));
        tables.set_page(&page, &[(7, 70)]);
        tables.open_page(&page);
        assert_eq!(work.keys(&tables, "T"), Ok(vec![7, 64]));
    }
}
