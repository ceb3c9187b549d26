//! Users of `msdb` and the members of its role `dbm_monitor`.
//!
//! A user is a SID, as in the product: it goes with a login that is renamed, stays behind one that is dropped, and is
//! not that of another login of the old name. They are kept in `master`, where everything is that outlives the process.

use serde::{Deserialize, Serialize};

use super::{Catalog, fold};
use crate::types::WallTime;

/// The role whose members may look at the mirroring monitor's history. Source: documented, *sp_dbmmonitorresults*.
pub const DBM_MONITOR: &str = "dbm_monitor";
pub const DBM_MONITOR_ID: u32 = 5;

/// A user in `msdb`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MsdbUser {
    pub name: String,
    pub id: u32,
    /// Of the login it stands for, as the views print it.
    pub sid: String,
    pub created: WallTime,
    /// If not `dbo`.
    pub default_schema: Option<String>,
    /// It is a member of `dbm_monitor`.
    pub is_monitor: bool,
}

impl Catalog {
    pub fn msdb_user(&self, name: &str) -> Option<&MsdbUser> {
        self.msdb_users.get(&fold(name))
    }

    pub fn msdb_users(&self) -> impl Iterator<Item = &MsdbUser> {
        self.msdb_users.values()
    }

    /// The user a login is in `msdb`, if it has one of its own.
    pub fn msdb_user_of(&self, login: &str) -> Option<&MsdbUser> {
        let sid = self.sid_of(login)?;
        self.msdb_users().find(|user| user.sid == sid)
    }

    pub fn put_msdb_user(&mut self, user: MsdbUser) {
        let key = fold(&user.name);
        self.save(format!("msdbuser/{key}"), &user);
        self.msdb_users.insert(key, user);
    }

    pub fn drop_msdb_user(&mut self, name: &str) {
        let key = fold(name);
        self.msdb_users.remove(&key);
        self.remove(format!("msdbuser/{key}"));
    }

    /// Whether a login may look at the mirroring monitor's history.
    pub fn may_see_monitor(&self, login: &str) -> bool {
        self.is_sysadmin(login) || self.msdb_user_of(login).is_some_and(|user| user.is_monitor)
    }
}
