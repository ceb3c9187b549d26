//! A login's new name, everywhere the catalog has it.

use super::{Catalog, Securable};

impl Catalog {
    /// Call the login `old` by `new`, which no other login has. Its id stays, and all that goes by it: SID, roles and
    /// the peers known under it.
    pub fn rename_login(&mut self, old: &str, new: &str) {
        let Some(mut login) = self.login(old).cloned() else {
            return;
        };
        self.drop_login(old);
        new.clone_into(&mut login.name);
        self.put_login(login);
        let renamed = |name: &mut String| {
            let is = name.eq_ignore_ascii_case(old);
            if is {
                new.clone_into(name);
            }
            is
        };
        let users: Vec<_> = self.users().cloned().collect();
        for mut user in users {
            if renamed(&mut user.login) {
                self.put_user(user);
            }
        }
        let rows: Vec<_> = self.permissions().cloned().collect();
        for before in rows {
            let mut row = before.clone();
            let grantee = renamed(&mut row.grantee);
            let grantor = renamed(&mut row.grantor);
            let on = match &mut row.on {
                Securable::Login(name) => renamed(name),
                Securable::Server | Securable::Endpoint => false,
            };
            if grantee || grantor || on {
                self.drop_permissions(|p| *p == before);
                self.put_permission(row);
            }
        }
        if let Some(mut endpoint) = self.endpoint().cloned()
            && renamed(&mut endpoint.owner)
        {
            self.put_endpoint(endpoint);
        }
    }
}
