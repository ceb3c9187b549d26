//! A login without CONNECT on the endpoint never gets beyond the handshake: none of its session messages is acted on.
//!
//! Only the acceptor checks the permission. Source: documented, *The Database Mirroring Endpoint*; *CREATE ENDPOINT*.

use std::collections::BTreeSet;

use super::{Oracle, Violation};
use crate::types::{ConnectionId, EndpointEvent, Event, InstanceName, Source, Stamped, WorldEvent};

const NAME: &str = "no-connect-no-session";

#[derive(Debug, Default)]
pub(super) struct NoConnectNoSession {
    up: BTreeSet<(InstanceName, ConnectionId)>,
}

impl NoConnectNoSession {
    fn on_endpoint(&mut self, who: &InstanceName, event: &EndpointEvent) -> Option<String> {
        match event {
            EndpointEvent::LoggedIn {
                connection,
                accepted: true,
                connect_granted: false,
                principal,
                ..
            } => Some(format!(
                "{who} completed the handshake of {connection} for {principal}, which has no CONNECT permission"
            )),
            EndpointEvent::LoggedIn { connection, .. } => {
                self.up.insert((who.clone(), *connection));
                None
            }
            EndpointEvent::Closed { connection, .. } | EndpointEvent::LoginFailed { connection, .. } => {
                self.up.remove(&(who.clone(), *connection));
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
            }
            (Source::Instance(who), Event::Endpoint(event)) => {
                if let Some(message) = self.on_endpoint(who, event) {
                    out.push(Violation {
                        oracle: NAME,
                        fingerprint: format!("{NAME}/{who}"),
                        message,
                        at: stamped.at,
                    });
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::{EncryptionInUse, Guid};

    fn logged_in(accepted: bool, connect_granted: bool) -> EndpointEvent {
        EndpointEvent::LoggedIn {
            connection: ConnectionId(2),
            peer: Guid::NIL,
            accepted,
            principal: "beta_login".into(),
            authentication: "CERTIFICATE".into(),
            encryption: EncryptionInUse::Aes,
            local_level: "REQUIRED".into(),
            connect_granted,
        }
    }

    fn traffic() -> EndpointEvent {
        EndpointEvent::SessionTraffic {
            connection: ConnectionId(2),
            database: db(),
        }
    }

    #[test]
    fn a_login_with_the_permission_may_talk() {
        assert_quiet::<NoConnectNoSession>(&[
            on(1, "alpha", logged_in(true, true)),
            on(2, "alpha", traffic()),
            on(1, "beta", logged_in(false, false)),
            on(2, "beta", traffic()),
        ]);
    }

    #[test]
    fn an_acceptor_that_lets_a_login_without_it_in_is_seen() {
        assert_red::<NoConnectNoSession>(&[on(1, "alpha", logged_in(true, false))], NAME);
    }

    #[test]
    fn a_message_before_the_login_is_seen() {
        assert_red::<NoConnectNoSession>(&[on(2, "alpha", traffic())], NAME);
    }

    #[test]
    fn the_login_of_a_killed_process_counts_no_more() {
        let killed = WorldEvent::ProcessKilled {
            instance: InstanceName::new("alpha"),
        };
        let events = [
            on(1, "alpha", logged_in(true, true)),
            world(2, killed),
            on(3, "alpha", traffic()),
        ];
        assert_red::<NoConnectNoSession>(&events, NAME);
    }
}
