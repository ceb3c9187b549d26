//! Name resolution: NetBIOS names and fully qualified names of systems, without regard to case.
//!
//! `localhost` and address literals resolve to themselves. A name can be removed, restored or pointed at another
//! system, as an administrator can do to DNS. Resolution takes no time. Source: ours.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use super::counters::Effect;
use super::system::SystemId;

/// The name table of one world.
#[derive(Debug, Default)]
pub(in crate::sim) struct Names {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    system: SystemId,
    /// Set while the name is removed; counts the lookups that failed because of it.
    removed: Option<Effect>,
}

impl Names {
    /// Points `name` at `system`, replacing what it pointed at.
    pub(in crate::sim) fn set(&mut self, name: &str, system: SystemId) {
        let entry = Entry {
            system,
            removed: None,
        };
        self.entries.insert(name.to_ascii_lowercase(), entry);
    }

    /// Makes `name` unknown until `restore`; `None` if it was never known.
    pub(in crate::sim) fn remove(&mut self, name: &str) -> Option<Effect> {
        let entry = self.entries.get_mut(&name.to_ascii_lowercase())?;
        Some(entry.removed.get_or_insert_with(Effect::default).clone())
    }

    pub(in crate::sim) fn restore(&mut self, name: &str) {
        if let Some(entry) = self.entries.get_mut(&name.to_ascii_lowercase()) {
            entry.removed = None;
        }
    }

    pub(in crate::sim) fn lookup(&self, host: &str) -> Option<IpAddr> {
        if host.eq_ignore_ascii_case("localhost") {
            return Some(Ipv4Addr::LOCALHOST.into());
        }
        if let Ok(ip) = host.parse() {
            return Some(ip);
        }
        let found = self.entries.get(&host.to_ascii_lowercase());
        match found {
            Some(Entry {
                system,
                removed: None,
            }) => return Some(system.ip().into()),
            Some(Entry {
                removed: Some(effect),
                ..
            }) => effect.hit(),
            None => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ignore_case_and_can_be_removed() {
        let mut names = Names::default();
        names.set("Alpha.Adventure-Works.com", SystemId(0));
        assert_eq!(
            names.lookup("ALPHA.adventure-works.COM"),
            Some(SystemId(0).ip().into())
        );
        let effect = names.remove("alpha.adventure-works.com").expect("known");
        assert_eq!(names.lookup("alpha.adventure-works.com"), None);
        assert!(effect.took_effect());
        names.restore("alpha.adventure-works.com");
        assert!(names.lookup("alpha.adventure-works.com").is_some());
        assert!(names.remove("beta").is_none());
        assert_eq!(names.lookup("10.0.0.9"), Some("10.0.0.9".parse().unwrap()));
    }
}
