//! The databases of an instance, and when the first of their sessions wants to be woken.
//!
//! Most inputs are pings, and touch no database: with many of them, asking each when it wants to be woken would be most of
//! the work of a ping. So they are asked again only after somebody had hold of one.

use std::collections::BTreeMap;
use std::ops::Deref;

use super::database::Database;
use crate::session::Partner;
use crate::types::Timestamp;

/// By lower-case name. Whatever changes a database goes through a method of this type.
#[derive(Debug, Default)]
pub struct Databases {
    databases: BTreeMap<String, Database>,
    next_wake: Option<(Timestamp, &'static str)>,
    /// A session may want to be woken at another time than when they were last asked.
    stale: bool,
}

impl Databases {
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Database> {
        self.stale = true;
        self.databases.get_mut(key)
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Database> {
        self.stale = true;
        self.databases.values_mut()
    }

    pub fn insert(&mut self, key: String, database: Database) {
        self.stale = true;
        self.databases.insert(key, database);
    }

    pub fn remove(&mut self, key: &str) {
        self.stale = true;
        self.databases.remove(key);
    }

    /// The earliest time at which a session wants to be woken, and why.
    pub fn next_wake(&mut self) -> Option<(Timestamp, &'static str)> {
        if std::mem::take(&mut self.stale) {
            let sessions = self.databases.values().filter_map(|d| d.session.as_ref());
            self.next_wake = sessions.filter_map(Partner::next_wake).min();
        }
        self.next_wake
    }
}

impl Deref for Databases {
    type Target = BTreeMap<String, Database>;

    fn deref(&self) -> &Self::Target {
        &self.databases
    }
}
