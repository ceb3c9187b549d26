//! Where one side says ENCRYPTION = REQUIRED, no session byte after the handshake is ever in clear.
//!
//! Two endpoints that say DISABLED or SUPPORTED × DISABLED talk in clear, and may. Source: documented, *Transport
//! Security*; *CREATE ENDPOINT*, ENCRYPTION.

use std::collections::BTreeMap;

use super::{Oracle, Violation};
use crate::types::{
    ConnectionId, EncryptionInUse, EndpointEvent, Event, InstanceName, Source, Stamped, WorldEvent,
};

const NAME: &str = "required-never-clear";

#[derive(Debug, Default)]
pub(super) struct RequiredNeverClear {
    /// Connections that are clear by agreement; while there is one, clear bytes on the wire may be its.
    clear: BTreeMap<(InstanceName, ConnectionId), ()>,
}

impl RequiredNeverClear {
    fn on_endpoint(&mut self, who: &InstanceName, event: &EndpointEvent) -> Option<String> {
        match event {
            EndpointEvent::LoggedIn {
                connection,
                encryption: EncryptionInUse::None,
                local_level,
                ..
            } => {
                if local_level.eq_ignore_ascii_case("REQUIRED") {
                    return Some(format!(
                        "{who} says REQUIRED and let {connection} come up without encryption"
                    ));
                }
                self.clear.insert((who.clone(), *connection), ());
            }
            EndpointEvent::Closed { connection, .. } => {
                self.clear.remove(&(who.clone(), *connection));
            }
            _ => {}
        }
        None
    }

    fn on_world(&mut self, event: &WorldEvent) -> Option<String> {
        match event {
            WorldEvent::ClearSessionMessage { from, to } if self.clear.is_empty() => Some(format!(
                "a session message went in clear from {from} to {to}, and no connection is clear by agreement"
            )),
            WorldEvent::ProcessKilled { instance } => {
                self.clear.retain(|(who, _), ()| who != instance);
                None
            }
            _ => None,
        }
    }
}

impl Oracle for RequiredNeverClear {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        let message = match (&stamped.source, &stamped.event) {
            (Source::Instance(who), Event::Endpoint(event)) => self.on_endpoint(who, event),
            (_, Event::World(event)) => self.on_world(event),
            _ => None,
        };
        if let Some(message) = message {
            let who = match &stamped.source {
                Source::Instance(who) => who.to_string(),
                Source::World | Source::Client(_) => "wire".into(),
            };
            out.push(Violation {
                oracle: NAME,
                fingerprint: format!("{NAME}/{who}"),
                message,
                at: stamped.at,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::Guid;

    fn logged_in(level: &str, encryption: EncryptionInUse) -> EndpointEvent {
        EndpointEvent::LoggedIn {
            connection: ConnectionId(1),
            peer: Guid::NIL,
            accepted: false,
            principal: "beta_login".into(),
            authentication: "CERTIFICATE".into(),
            encryption,
            local_level: level.into(),
            connect_granted: true,
        }
    }

    fn clear_bytes() -> WorldEvent {
        WorldEvent::ClearSessionMessage {
            from: "10.0.0.1:7022".into(),
            to: "10.0.0.2:5000".into(),
        }
    }

    #[test]
    fn clear_by_agreement_is_legal() {
        assert_quiet::<RequiredNeverClear>(&[
            on(1, "alpha", logged_in("SUPPORTED", EncryptionInUse::None)),
            world(2, clear_bytes()),
        ]);
    }

    #[test]
    fn encrypted_is_legal() {
        assert_quiet::<RequiredNeverClear>(&[on(1, "alpha", logged_in("REQUIRED", EncryptionInUse::Aes))]);
    }

    #[test]
    fn falling_back_to_clear_is_seen() {
        let events = [on(1, "alpha", logged_in("REQUIRED", EncryptionInUse::None))];
        assert_red::<RequiredNeverClear>(&events, NAME);
    }

    #[test]
    fn clear_bytes_on_the_wire_are_seen() {
        let events = [
            on(1, "alpha", logged_in("REQUIRED", EncryptionInUse::Aes)),
            world(2, clear_bytes()),
        ];
        assert_red::<RequiredNeverClear>(&events, NAME);
    }

    #[test]
    fn a_clear_connection_that_closed_excuses_nothing() {
        let closed = EndpointEvent::Closed {
            connection: ConnectionId(1),
            by: crate::types::ClosedBy::Peer,
        };
        let events = [
            on(1, "alpha", logged_in("DISABLED", EncryptionInUse::None)),
            on(2, "alpha", closed),
            world(3, clear_bytes()),
        ];
        assert_red::<RequiredNeverClear>(&events, NAME);
    }
}
