//! Where one side says ENCRYPTION = REQUIRED, no session byte after the handshake is ever in clear.
//!
//! Judged for each connection by what both endpoints are configured to do: two that say DISABLED, or SUPPORTED × DISABLED,
//! talk in clear, and may; that excuses nobody else. Source: documented, *Transport Security*; *CREATE ENDPOINT*,
//! ENCRYPTION.

use std::collections::BTreeSet;

use super::endpoints::Endpoints;
use super::{Oracle, Violation};
use crate::types::{
    ConnectionId, EncryptionInUse, EndpointEvent, Event, InstanceName, Source, Stamped, WorldEvent,
};

const NAME: &str = "required-never-clear";
const REQUIRED: &str = "REQUIRED";

#[derive(Debug, Default)]
pub(super) struct RequiredNeverClear {
    endpoints: Endpoints,
    /// Connections that either side says are clear: only they excuse clear bytes of a connection nobody has logged in.
    clear: BTreeSet<(InstanceName, ConnectionId)>,
}

impl RequiredNeverClear {
    /// Whether one side of a logged in connection says REQUIRED, as far as it is certain.
    fn is_required(&self, who: &InstanceName, connection: ConnectionId) -> bool {
        let stream = self.endpoints.stream(who, connection);
        let own = stream.and_then(|stream| stream.own.as_ref());
        let theirs = self.endpoints.both(who, connection).map(|(_, theirs)| theirs);
        [own, theirs]
            .iter()
            .flatten()
            .any(|settings| settings.level == REQUIRED)
    }

    fn on_endpoint(&mut self, who: &InstanceName, event: &EndpointEvent) -> Option<String> {
        match event {
            EndpointEvent::LoggedIn {
                connection,
                encryption: EncryptionInUse::None,
                ..
            } => {
                if self.is_required(who, *connection) {
                    return Some(format!(
                        "{connection} of {who} came up without encryption, and one of its sides says REQUIRED"
                    ));
                }
                self.clear.insert((who.clone(), *connection));
            }
            EndpointEvent::Closed { connection, .. } => {
                self.clear.remove(&(who.clone(), *connection));
            }
            _ => {}
        }
        None
    }

    fn on_clear(&self, from: &str, to: &str) -> Option<String> {
        let why = match self.endpoints.between(from, to) {
            Some((who, connection)) => self
                .is_required(who, connection)
                .then(|| format!("one side of {connection} of {who} says REQUIRED")),
            None => self
                .clear
                .is_empty()
                .then(|| "no connection is clear by agreement".to_owned()),
        };
        why.map(|why| format!("a session message went in clear from {from} to {to}, and {why}"))
    }
}

impl Oracle for RequiredNeverClear {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.endpoints.observe(stamped);
        match (&stamped.source, &stamped.event) {
            (Source::Instance(who), Event::Endpoint(event)) => {
                if let Some(message) = self.on_endpoint(who, event) {
                    out.push(Violation::of(NAME, &[who], message, stamped.at));
                }
            }
            (_, Event::World(WorldEvent::ClearSessionMessage { from, to })) => {
                out.extend(self.on_clear(from, to).map(|message| Violation {
                    oracle: NAME,
                    fingerprint: format!("{NAME}/wire"),
                    message,
                    at: stamped.at,
                }));
            }
            (_, Event::World(WorldEvent::ProcessKilled { instance })) => {
                self.clear.retain(|(who, _)| who != instance);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_quiet, assert_red, on, started, world};
    use super::super::testing_endpoints::*;
    use super::*;

    fn both(alpha: &str, beta: &str) -> Vec<Stamped> {
        endpoints((alpha, &["AES"]), (beta, &["AES"]))
    }

    #[test]
    fn clear_by_agreement_is_legal() {
        for (alpha, beta) in [
            ("DISABLED", "DISABLED"),
            ("DISABLED", "SUPPORTED"),
            ("SUPPORTED", "DISABLED"),
        ] {
            let mut events = both(alpha, beta);
            events.extend(login(1, EncryptionInUse::None));
            events.push(clear_on_the_wire(2));
            assert_quiet::<RequiredNeverClear>(&events);
        }
    }

    #[test]
    fn encrypted_is_legal() {
        let mut events = both("REQUIRED", "SUPPORTED");
        events.extend(login(1, EncryptionInUse::Aes));
        events.push(sealed_on_the_wire(2));
        assert_quiet::<RequiredNeverClear>(&events);
    }

    #[test]
    fn falling_back_to_clear_is_seen() {
        for (alpha, beta) in [("REQUIRED", "DISABLED"), ("SUPPORTED", "REQUIRED")] {
            let mut events = both(alpha, beta);
            events.extend(login(1, EncryptionInUse::None));
            assert_red::<RequiredNeverClear>(&events, NAME);
        }
    }

    #[test]
    fn clear_bytes_on_the_wire_are_seen() {
        let mut events = both("SUPPORTED", "REQUIRED");
        events.extend(login(1, EncryptionInUse::Aes));
        events.push(clear_on_the_wire(2));
        assert_red::<RequiredNeverClear>(&events, NAME);
    }

    #[test]
    fn a_clear_connection_of_others_excuses_nothing() {
        let gamma = "10.0.0.3:5001".to_owned();
        let mut events = both("SUPPORTED", "DISABLED");
        events.extend([
            started(0, "gamma"),
            configured(0, "gamma", &with("REQUIRED", &["AES"])),
        ]);
        events.extend(login(1, EncryptionInUse::None));
        let connection = ConnectionId(4);
        let accepted = EndpointEvent::Accepted {
            connection,
            from: gamma.clone(),
        };
        events.push(on(2, "alpha", accepted));
        events.push(logged_in_as(2, connection, true, EncryptionInUse::Aes, "gamma"));
        let to = "10.0.0.1:7022".to_owned();
        let clear = WorldEvent::ClearSessionMessage { from: gamma, to };
        events.push(world(3, clear));
        assert_red::<RequiredNeverClear>(&events, NAME);
    }

    #[test]
    fn a_clear_connection_that_closed_excuses_nothing() {
        let mut events = both("DISABLED", "SUPPORTED");
        events.extend(login(1, EncryptionInUse::None));
        events.extend([closed(2, ACCEPTED), clear_on_the_wire(3)]);
        assert_red::<RequiredNeverClear>(&events, NAME);
    }
}
