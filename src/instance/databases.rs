//! The databases of an instance, and when the first of their sessions wants to be woken.
//!
//! Most inputs are pings, and touch no database: with many of them, asking each when it wants to be woken is more work
//! than the rest of what the instance does for a ping. So they are asked again only after somebody had hold of one.

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

#[cfg(test)]
mod tests {
    use super::super::database::tables::Tables;
    use super::*;
    use crate::session::{Identity, Outbox, Setting};
    use crate::types::{DatabaseName, Guid, Lsn, RecoveryPath};

    /// A database whose session has yet to begin; once it has, it waits for its partner, and not for ever.
    fn database() -> Database {
        let name = DatabaseName::new("Sales");
        let mut database = Database::new(name.clone(), Lsn::ZERO, Tables::default());
        let identity = Identity { name: "ALPHA".into() };
        let setting = Setting {
            database: name,
            family: Guid::NIL,
            partner: "TCP://beta:5022".parse().unwrap(),
            last_epoch: 1,
            path: RecoveryPath::default(),
            backed_up: Lsn::ZERO,
        };
        database.session = Some(Partner::starting_principal(identity, setting, Guid::NIL));
        database
    }

    fn begin(database: &mut Database, at: Timestamp) {
        let session = database.session.as_mut().expect("it has one");
        session.begin(at, &mut database.log, &mut Outbox::new());
    }

    #[test]
    fn whatever_changes_a_database_changes_when_the_first_is_woken() {
        let mut databases = Databases::default();
        assert_eq!(databases.next_wake(), None);
        databases.insert("sales".into(), database());
        assert_eq!(databases.next_wake(), None);
        begin(databases.get_mut("sales").unwrap(), Timestamp::from_secs(20));
        let first = databases.next_wake().expect("it waits");
        let mut earlier = database();
        begin(&mut earlier, Timestamp::from_secs(10));
        databases.insert("orders".into(), earlier);
        assert!(databases.next_wake().expect("both wait") < first);
        databases.remove("orders");
        assert_eq!(databases.next_wake(), Some(first));
        databases
            .values_mut()
            .for_each(|database| database.session = None);
        assert_eq!(databases.next_wake(), None);
    }
}
