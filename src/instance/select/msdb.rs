//! Rows about the users of `msdb` and its role.
//!
//! A login sees itself, `dbo` and the role; who may see any definition sees all. That `dbm_monitor` is no fixed role in
//! the view's sense is its page's list of them.

use crate::instance::Instance;
use crate::instance::catalog::{DBM_MONITOR, DBM_MONITOR_ID, MsdbUser};
use crate::instance::views::{Coded, DatabasePrincipalRow, DatabaseRoleMemberRow};

use super::principals::BUILT_IN_CREATED;

impl Instance {
    pub(super) fn msdb_user_rows(&self, login: &str) -> Vec<DatabasePrincipalRow> {
        let users = self.seen_msdb_users(login).map(|u| {
            let login = self.catalog.logins().find(|l| self.catalog.shown_sid(l) == u.sid);
            DatabasePrincipalRow {
                sid: Some(u.sid.clone()),
                ..self.user_row(&u.name, u.id, login, u.created, u.default_schema.as_ref())
            }
        });
        let role = DatabasePrincipalRow {
            kind: "R",
            type_desc: "DATABASE_ROLE",
            default_schema_name: None,
            owning_principal_id: Some(1),
            authentication_type: Coded::new(0, "NONE"),
            ..self.user_row(DBM_MONITOR, DBM_MONITOR_ID, None, BUILT_IN_CREATED, None)
        };
        let mut rows: Vec<DatabasePrincipalRow> = [self.dbo_row(), role].into_iter().chain(users).collect();
        rows.sort_by_key(|r| r.principal_id);
        rows
    }

    pub(super) fn role_member_rows(&self, login: &str) -> Vec<DatabaseRoleMemberRow> {
        let members = self.seen_msdb_users(login).filter(|u| u.is_monitor);
        let mut rows: Vec<DatabaseRoleMemberRow> = members
            .map(|u| DatabaseRoleMemberRow {
                role_principal_id: i64::from(DBM_MONITOR_ID),
                member_principal_id: i64::from(u.id),
            })
            .collect();
        rows.sort_by_key(|r| r.member_principal_id);
        rows
    }

    fn seen_msdb_users<'a>(&'a self, login: &str) -> impl Iterator<Item = &'a MsdbUser> {
        let everyone = self.sees_every_definition(login);
        let own = self.catalog.sid_of(login);
        self.catalog
            .msdb_users()
            .filter(move |u| everyone || Some(&u.sid) == own.as_ref())
    }
}
