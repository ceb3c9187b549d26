//! Which login the instances of this instance's sessions logged in with.
//!
//! An instance id is only its bearer's word; the login is proved. So each session remembers, for each instance it has met,
//! the login that instance came with, and nobody comes under the id with another while that login may connect. There is
//! one for Windows and one for other logins, because an endpoint with two methods may meet a peer under either.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Catalog, Login, LoginKind};
use crate::types::Guid;

/// An instance as one session has met it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPeer {
    session: Guid,
    instance: Guid,
    /// The id of its login: one that was dropped and created again is another.
    login: u32,
    windows: bool,
}

impl Catalog {
    /// A session has met `instance` under `login`. Does nothing for a login that is not there.
    pub fn know_peer(&mut self, session: Guid, instance: Guid, login: &str) {
        let Some(login) = self.login(login) else { return };
        let known = KnownPeer {
            session,
            instance,
            login: login.id,
            windows: is_windows(login),
        };
        let kind = if known.windows { "windows" } else { "sql" };
        let key = format!("{session}/{instance}/{kind}");
        if self.known_peers.get(&key) != Some(&known) {
            self.save(format!("peer/{key}"), &known);
            self.known_peers.insert(key, known);
        }
    }

    /// The instances that were met as partners of a session.
    pub fn peers_of(&self, session: Guid) -> Vec<Guid> {
        let known = self.known_peers.values().filter(|k| k.session == session);
        known.map(|k| k.instance).collect()
    }

    /// The session is no more.
    pub fn forget_peers_of(&mut self, session: Guid) {
        let gone = self.known_peers.iter().filter(|(_, k)| k.session == session);
        let gone: Vec<String> = gone.map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.known_peers.remove(&key);
            self.remove(format!("peer/{key}"));
        }
    }

    /// The login `instance` is known under, if that is another than `login` and may still connect.
    pub fn known_otherwise(&self, instance: Guid, login: &str) -> Option<&str> {
        let comer = self.login(login)?;
        let of_kind = |k: &&KnownPeer| k.instance == instance && k.windows == is_windows(comer);
        let known = self.known_peers.values().filter(of_kind);
        let known: BTreeSet<u32> = known.map(|k| k.login).collect();
        if known.contains(&comer.id) {
            return None;
        }
        let others = self.logins().filter(|l| known.contains(&l.id));
        let names = others.map(|l| l.name.as_str());
        names.into_iter().find(|name| self.may_connect(name))
    }

    /// Whether `instance` may be a partner of `session`: there are two, and nobody takes the place of one that was met.
    pub fn may_be_of(&self, session: Guid, instance: Guid) -> bool {
        let prefix = format!("{session}/");
        let from_here = self.known_peers.range(prefix.clone()..);
        let of_session = from_here.take_while(|(key, _)| key.starts_with(&prefix));
        let met: BTreeSet<Guid> = of_session.map(|(_, known)| known.instance).collect();
        met.len() < 2 || met.contains(&instance)
    }

    /// How many of the sessions this instance is the witness of have an instance with this login.
    pub fn witnessed_for(&self, login: &str) -> usize {
        let Some(login) = self.login(login) else { return 0 };
        let sessions = self.known_peers.values().filter(|k| k.login == login.id);
        let sessions: BTreeSet<Guid> = sessions.map(|k| k.session).collect();
        self.witnesses().filter(|w| sessions.contains(&w.session)).count()
    }
}

fn is_windows(login: &Login) -> bool {
    login.kind == LoginKind::Windows
}

#[cfg(test)]
mod tests {
    use super::super::*;

    const ALPHA: Guid = Guid::from_bytes([1; 16]);
    const SESSION: Guid = Guid::from_bytes([9; 16]);

    fn catalog() -> Catalog {
        let mut catalog = Catalog::new(Guid::NIL, WallTime::default());
        let kinds = [
            ("old", LoginKind::Sql),
            ("new", LoginKind::Sql),
            (r"LAB\sql", LoginKind::Windows),
        ];
        for (n, (name, kind)) in (300..).zip(kinds) {
            let login = catalog.login(SA).expect("born with it").clone();
            catalog.put_login(Login {
                name: name.to_owned(),
                id: n,
                kind,
                ..login
            });
        }
        let config = crate::endpoint::config::EndpointConfig {
            name: "m".into(),
            state: crate::endpoint::config::EndpointState::Started,
            port: 7022.try_into().expect("in range"),
            ip: crate::endpoint::config::ListenerIp::All,
            authentication: crate::endpoint::config::Authentication::Certificate("c".into()),
            encryption: crate::endpoint::config::Encryption::default(),
            role: crate::endpoint::config::EndpointRole::All,
        };
        let (id, owner) = (FIRST_ENDPOINT_ID, SA.to_owned());
        catalog.put_endpoint(Endpoint { id, owner, config });
        catalog
    }

    #[test]
    fn an_instance_is_known_until_its_login_may_not_connect_or_the_session_ends() {
        let mut catalog = catalog();
        assert_eq!(catalog.known_otherwise(ALPHA, "new"), None, "nobody has met it");
        catalog.know_peer(SESSION, ALPHA, "old");
        assert_eq!(catalog.known_otherwise(ALPHA, "new"), Some("old"));
        assert_eq!(catalog.known_otherwise(ALPHA, "OLD"), None);
        assert_eq!(catalog.known_otherwise(SESSION, "new"), None, "another instance");
        assert_eq!(
            catalog.known_otherwise(ALPHA, r"LAB\sql"),
            None,
            "another kind of login"
        );

        let mut old = catalog.login("old").expect("there").clone();
        old.disabled = true;
        catalog.put_login(old.clone());
        assert_eq!(catalog.known_otherwise(ALPHA, "new"), None);
        old.disabled = false;
        catalog.put_login(old);
        assert_eq!(catalog.known_otherwise(ALPHA, "new"), Some("old"));

        catalog.forget_peers_of(SESSION);
        assert_eq!(catalog.known_otherwise(ALPHA, "new"), None);
    }

    #[test]
    fn a_session_has_no_third_partner() {
        const BETA: Guid = Guid::from_bytes([2; 16]);
        const FOE: Guid = Guid::from_bytes([3; 16]);
        let mut catalog = catalog();
        assert!(catalog.may_be_of(SESSION, FOE), "it has met nobody");
        // One instance under logins of both kinds is one instance.
        catalog.know_peer(SESSION, ALPHA, "old");
        catalog.know_peer(SESSION, ALPHA, r"LAB\sql");
        assert!(catalog.may_be_of(SESSION, BETA));
        catalog.know_peer(SESSION, BETA, "new");
        let may = |catalog: &Catalog| [ALPHA, BETA, FOE].map(|peer| catalog.may_be_of(SESSION, peer));
        assert_eq!(may(&catalog), [true, true, false]);
        let another = Guid::from_bytes([10; 16]);
        assert!(catalog.may_be_of(another, FOE), "another session");
        catalog.forget_peers_of(SESSION);
        assert_eq!(may(&catalog), [true; 3]);
    }

    #[test]
    fn it_is_read_back_and_written_only_when_it_changes() {
        let mut catalog = catalog();
        catalog.know_peer(SESSION, ALPHA, "old");
        let entries: BTreeMap<_, _> = catalog.take_writes().into_iter().collect();
        catalog.know_peer(SESSION, ALPHA, "old");
        assert!(catalog.take_writes().is_empty());
        let entries: Vec<_> = entries.into_iter().filter_map(|(k, v)| Some((k, v?))).collect();
        let again = Catalog::load(&entries, Guid::NIL, WallTime::default()).expect("readable");
        assert_eq!(again.known_otherwise(ALPHA, "new"), Some("old"));
    }
}
