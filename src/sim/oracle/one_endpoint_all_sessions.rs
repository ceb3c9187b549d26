//! All sessions of an instance use its one endpoint: what takes that down disconnects all of them at once.
//!
//! Every connection is accepted by the endpoint's listener or opened while the endpoint is STARTED, and none that was up
//! outlives a change of the endpoint. Source: documented, *The Database Mirroring Endpoint*; that every change restarts it is
//! ours (E2 of the decisions).

use std::collections::{BTreeMap, BTreeSet};

use super::endpoints::Endpoints;
use super::{Oracle, Violation};
use crate::types::{EndpointEvent, EndpointSettings, Event, InstanceName, Source, Stamped, WorldEvent};

const NAME: &str = "one-endpoint-all-sessions";

#[derive(Debug, Default)]
pub(super) struct OneEndpointAllSessions {
    endpoints: Endpoints,
    listening: BTreeSet<InstanceName>,
    /// The endpoint before the last statement took effect.
    before: BTreeMap<InstanceName, EndpointSettings>,
}

impl OneEndpointAllSessions {
    fn on_endpoint(&mut self, who: &InstanceName, event: &EndpointEvent) -> Option<String> {
        match event {
            EndpointEvent::Listening { .. } => {
                self.listening.insert(who.clone());
                None
            }
            EndpointEvent::StoppedListening { .. } => {
                self.listening.remove(who);
                None
            }
            EndpointEvent::Accepted { connection, .. } => (!self.listening.contains(who))
                .then(|| format!("{who} accepted {connection}, and its endpoint does not listen")),
            EndpointEvent::Connecting { connection, .. } => self
                .endpoints
                .settings(who)
                .is_none()
                .then(|| format!("{who} opens {connection} and has no endpoint")),
            EndpointEvent::Configured { settings } => {
                let before = self.before.insert(who.clone(), (**settings).clone())?;
                (before != **settings).then(|| self.outlives(who)).flatten()
            }
            EndpointEvent::Dropped { .. } => {
                self.before.remove(who);
                self.outlives(who)
            }
            _ => None,
        }
    }

    fn outlives(&self, who: &InstanceName) -> Option<String> {
        let (kept, _) = self.endpoints.online(who).next()?;
        Some(format!("{kept} outlives the endpoint of {who} as it was"))
    }
}

impl Oracle for OneEndpointAllSessions {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.endpoints.observe(stamped);
        match (&stamped.source, &stamped.event) {
            (_, Event::World(WorldEvent::ProcessKilled { instance })) => {
                self.listening.remove(instance);
            }
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
    use super::super::testing::{assert_quiet, assert_red, on};
    use super::super::testing_endpoints::*;
    use super::*;
    use crate::types::{ConnectionId, EncryptionInUse};

    fn up() -> Vec<Stamped> {
        let mut events = endpoints(("REQUIRED", &["AES"]), ("REQUIRED", &["AES"]));
        events.extend(login(1, EncryptionInUse::Aes));
        events.extend(login_initiated(1, EncryptionInUse::Aes));
        events
    }

    fn on_another_port() -> EndpointSettings {
        EndpointSettings {
            port: 7033,
            ..with("REQUIRED", &["AES"])
        }
    }

    #[test]
    fn connections_that_all_end_with_a_restart_are_legal() {
        let mut events = up();
        events.extend([
            on(2, "alpha", EndpointEvent::StoppedListening { port: 7022 }),
            closed(2, ACCEPTED),
            closed(2, INITIATED),
            configured(2, "alpha", &on_another_port()),
            listening(2, "alpha", 7033),
            accepted(3, ACCEPTED),
        ]);
        assert_quiet::<OneEndpointAllSessions>(&events);
    }

    #[test]
    fn one_connection_that_stays_is_seen() {
        for stays in [ACCEPTED, INITIATED] {
            let ends = if stays == ACCEPTED { INITIATED } else { ACCEPTED };
            for changed in [on_another_port(), in_role("WITNESS")] {
                let mut events = up();
                events.extend([closed(2, ends), configured(2, "alpha", &changed)]);
                assert_red::<OneEndpointAllSessions>(&events, NAME);
            }
            let mut events = up();
            events.extend([closed(2, ends), dropped(2, "alpha")]);
            assert_red::<OneEndpointAllSessions>(&events, NAME);
        }
    }

    #[test]
    fn a_connection_beside_the_listener_is_seen() {
        let mut events = up();
        events.extend([
            on(2, "alpha", EndpointEvent::StoppedListening { port: 7022 }),
            accepted(3, ConnectionId(4)),
        ]);
        assert_red::<OneEndpointAllSessions>(&events, NAME);
    }

    #[test]
    fn a_connection_without_an_endpoint_is_seen() {
        assert_red::<OneEndpointAllSessions>(&[connecting(1, INITIATED)], NAME);
    }
}
