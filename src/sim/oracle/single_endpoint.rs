//! An instance has at most one database mirroring endpoint, none until one is created, and one listener at most.
//!
//! A second one is told apart by its identity, not by its name: uniqueness is of the payload's kind. That a new endpoint is
//! STOPPED unless its statement says otherwise is seen in that one which was not STARTED never listens. Source: documented,
//! *CREATE ENDPOINT*, *The Database Mirroring Endpoint*.

use std::collections::BTreeMap;

use super::{Oracle, Violation};
use crate::types::{EndpointEvent, EndpointSettings, Event, InstanceName, Source, Stamped, WorldEvent};

const NAME: &str = "single-endpoint";

#[derive(Debug, Default)]
pub(super) struct SingleEndpoint {
    endpoints: BTreeMap<InstanceName, EndpointSettings>,
    listening: BTreeMap<InstanceName, u16>,
}

impl SingleEndpoint {
    fn on_endpoint(&mut self, who: &InstanceName, event: &EndpointEvent) -> Option<String> {
        match event {
            EndpointEvent::Configured { settings } => {
                let before = self.endpoints.insert(who.clone(), (**settings).clone())?;
                (before.id != settings.id).then(|| {
                    let (one, other) = (&before.name, &settings.name);
                    format!("{who} has two endpoints for database mirroring: {one} and {other}")
                })
            }
            EndpointEvent::Dropped { .. } => {
                self.endpoints.remove(who);
                None
            }
            EndpointEvent::Listening { port } => self.on_listening(who, *port),
            EndpointEvent::StoppedListening { .. } => {
                self.listening.remove(who);
                None
            }
            _ => None,
        }
    }

    fn on_listening(&mut self, who: &InstanceName, port: u16) -> Option<String> {
        let other = self.listening.insert(who.clone(), port);
        match (other, self.endpoints.get(who)) {
            (Some(other), _) => Some(format!("{who} listens on {port}, and on {other} already")),
            (None, None) => Some(format!("{who} listens on {port} and has no endpoint")),
            (None, Some(endpoint)) if endpoint.state == "STOPPED" => {
                Some(format!("{who} listens on {port}, its endpoint is STOPPED"))
            }
            (None, Some(endpoint)) => (endpoint.port != port).then(|| {
                format!(
                    "{who} listens on {port}, its endpoint's port is {}",
                    endpoint.port
                )
            }),
        }
    }
}

impl Oracle for SingleEndpoint {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
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
    use super::super::testing::{assert_quiet, assert_red, killed, on};
    use super::super::testing_endpoints::*;
    use super::*;

    fn other(id: u32) -> EndpointSettings {
        EndpointSettings {
            id,
            name: "Other".into(),
            ..in_state("STARTED")
        }
    }

    #[test]
    fn created_altered_dropped_and_created_again_is_legal() {
        let stopped = EndpointEvent::StoppedListening { port: 7022 };
        assert_quiet::<SingleEndpoint>(&[
            configured(1, "alpha", &in_state("STOPPED")),
            configured(2, "alpha", &in_state("STARTED")),
            listening(2, "alpha", 7022),
            on(3, "alpha", stopped),
            dropped(3, "alpha"),
            configured(4, "alpha", &other(65_537)),
            listening(4, "alpha", 7022),
            killed(5, "alpha"),
            configured(6, "alpha", &other(65_537)),
            listening(6, "alpha", 7022),
        ]);
    }

    #[test]
    fn a_second_endpoint_is_seen_whatever_its_name() {
        for name in ["Other", "Mirroring"] {
            let second = EndpointSettings {
                name: name.into(),
                ..other(65_537)
            };
            let events = [
                configured(1, "alpha", &in_state("STARTED")),
                configured(2, "alpha", &second),
            ];
            assert_red::<SingleEndpoint>(&events, NAME);
        }
    }

    #[test]
    fn listening_without_an_endpoint_is_seen() {
        assert_red::<SingleEndpoint>(&[listening(1, "alpha", 7022)], NAME);
    }

    #[test]
    fn listening_while_stopped_is_seen() {
        let events = [
            configured(1, "alpha", &in_state("STOPPED")),
            listening(2, "alpha", 7022),
        ];
        assert_red::<SingleEndpoint>(&events, NAME);
    }

    #[test]
    fn a_second_listener_is_seen() {
        let events = [
            configured(1, "alpha", &in_state("STARTED")),
            listening(1, "alpha", 7022),
            listening(2, "alpha", 7022),
        ];
        assert_red::<SingleEndpoint>(&events, NAME);
    }

    #[test]
    fn another_port_than_the_endpoints_is_seen() {
        let events = [
            configured(1, "alpha", &in_state("STARTED")),
            listening(2, "alpha", 7033),
        ];
        assert_red::<SingleEndpoint>(&events, NAME);
    }
}
