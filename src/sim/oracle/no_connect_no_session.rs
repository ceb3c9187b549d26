//! A login without CONNECT on the endpoint never gets beyond the handshake: none of its session messages is acted on.
//!
//! Only the acceptor checks the permission. Who has it is asked of the permissions in `master` as they are told when they
//! change, not of the endpoint; a login may have met any of them that were in force since its connection began. Source:
//! documented, *The Database Mirroring Endpoint*; *CREATE ENDPOINT*.

use std::collections::{BTreeMap, BTreeSet};

use super::{Oracle, Violation};
use crate::types::{
    ConnectionId, EndpointEvent, Event, InstanceEvent, InstanceName, Source, Stamped, WorldEvent,
};

const NAME: &str = "no-connect-no-session";

/// Names of logins, folded.
type Logins = BTreeSet<String>;

#[derive(Debug, Default)]
pub(super) struct NoConnectNoSession {
    up: BTreeSet<(InstanceName, ConnectionId)>,
    /// Who may connect to each instance now.
    may: BTreeMap<InstanceName, Logins>,
    /// Who could at any time since an accepted connection began that is not logged in yet.
    could: BTreeMap<(InstanceName, ConnectionId), Logins>,
}

impl NoConnectNoSession {
    fn on_instance(&mut self, who: &InstanceName, event: &InstanceEvent) {
        match event {
            InstanceEvent::Started { .. } => {
                self.may.remove(who);
            }
            InstanceEvent::MayConnect { logins } => {
                let logins: Logins = logins.iter().map(|login| login.to_lowercase()).collect();
                let pending = self.could.iter_mut().filter(|((w, _), _)| w == who);
                pending.for_each(|(_, could)| could.extend(logins.iter().cloned()));
                self.may.insert(who.clone(), logins);
            }
            _ => {}
        }
    }

    fn on_endpoint(&mut self, who: &InstanceName, event: &EndpointEvent) -> Option<String> {
        match event {
            EndpointEvent::Accepted { connection, .. } => {
                let may = self.may.get(who).cloned().unwrap_or_default();
                self.could.insert((who.clone(), *connection), may);
                None
            }
            EndpointEvent::LoggedIn {
                connection,
                accepted,
                principal,
                ..
            } => {
                self.up.insert((who.clone(), *connection));
                let could = self.could.remove(&(who.clone(), *connection));
                let could = could.is_some_and(|logins| logins.contains(&principal.to_lowercase()));
                (*accepted && !could).then(|| {
                    format!(
                        "{who} completed the handshake of {connection} for {principal}, which has no CONNECT permission"
                    )
                })
            }
            EndpointEvent::Closed { connection, .. } | EndpointEvent::LoginFailed { connection, .. } => {
                self.up.remove(&(who.clone(), *connection));
                self.could.remove(&(who.clone(), *connection));
                None
            }
            EndpointEvent::SessionTraffic { connection, database }
                if !self.up.contains(&(who.clone(), *connection)) =>
            {
                Some(format!(
                    "{who} acted on a session message for {database} on {connection}, which never logged in"
                ))
            }
            _ => None,
        }
    }
}

impl Oracle for NoConnectNoSession {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        match (&stamped.source, &stamped.event) {
            (_, Event::World(WorldEvent::ProcessKilled { instance })) => {
                self.up.retain(|(who, _)| who != instance);
                self.could.retain(|(who, _), _| who != instance);
            }
            (Source::Instance(who), Event::Instance(event)) => self.on_instance(who, event),
            (Source::Instance(who), Event::Endpoint(event)) => {
                if let Some(message) = self.on_endpoint(who, event) {
                    out.push(Violation::of(NAME, &[who], message, stamped.at));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::super::testing_endpoints::{ACCEPTED, connecting, logged_in, login};
    use super::*;
    use crate::types::EncryptionInUse;

    fn may(second: u64, logins: &[&str]) -> Stamped {
        let logins = logins.iter().map(|login| (*login).to_owned()).collect();
        on(second, "alpha", InstanceEvent::MayConnect { logins })
    }

    fn traffic(second: u64) -> Stamped {
        let event = EndpointEvent::SessionTraffic {
            connection: ACCEPTED,
            database: db(),
        };
        on(second, "alpha", event)
    }

    #[test]
    fn a_login_with_the_permission_may_talk() {
        let mut events = vec![may(0, &["sa", "Beta_Login"])];
        events.extend(login(1, EncryptionInUse::Aes));
        events.push(traffic(2));
        assert_quiet::<NoConnectNoSession>(&events);
    }

    #[test]
    fn the_initiator_asks_nobody_for_permission() {
        assert_quiet::<NoConnectNoSession>(&[
            may(0, &["sa"]),
            connecting(1, ACCEPTED),
            logged_in(2, ACCEPTED, false, EncryptionInUse::Aes),
            traffic(3),
        ]);
    }

    #[test]
    fn a_permission_that_changed_while_the_login_went_on_is_not_judged() {
        let [begun, ended] = login(1, EncryptionInUse::Aes);
        for (before, since) in [(&["beta_login"][..], &[][..]), (&[], &["beta_login"])] {
            let events = [may(0, before), begun.clone(), may(1, since), ended.clone()];
            assert_quiet::<NoConnectNoSession>(&events);
        }
    }

    /// The endpoint says itself that it was granted.
    #[test]
    fn a_login_whose_permission_was_revoked_before_is_seen() {
        let mut events = vec![may(0, &["sa", "beta_login"]), may(1, &["sa"])];
        events.extend(login(2, EncryptionInUse::Aes));
        assert_red::<NoConnectNoSession>(&events, NAME);
    }

    #[test]
    fn what_was_granted_before_a_restart_is_told_again_or_is_not() {
        let mut events = vec![may(0, &["beta_login"]), started(1, "alpha")];
        events.extend(login(2, EncryptionInUse::Aes));
        assert_red::<NoConnectNoSession>(&events, NAME);
    }

    #[test]
    fn a_message_before_the_login_is_seen() {
        assert_red::<NoConnectNoSession>(&[traffic(2)], NAME);
    }

    #[test]
    fn the_login_of_a_killed_process_counts_no_more() {
        let instance = InstanceName::new("alpha");
        let mut events = vec![may(0, &["beta_login"])];
        events.extend(login(1, EncryptionInUse::Aes));
        events.extend([world(2, WorldEvent::ProcessKilled { instance }), traffic(3)]);
        assert_red::<NoConnectNoSession>(&events, NAME);
    }
}
