//! No client session is ever accepted on the endpoint, and no mirroring traffic on the client port.
//!
//! Source: documented, *The Database Mirroring Endpoint*: client connections do not use it.

use std::collections::BTreeMap;

use super::{Oracle, Violation};
use crate::types::{
    ConnectionId, EndpointEvent, Event, InstanceEvent, InstanceName, Source, Stamped, WorldEvent,
};

const NAME: &str = "clients-never-on-endpoint";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Endpoint,
    Client,
}

#[derive(Debug, Default)]
pub(super) struct ClientsNeverOnEndpoint {
    used: BTreeMap<(InstanceName, ConnectionId), Use>,
}

impl ClientsNeverOnEndpoint {
    /// The connection's use, and whether it was something else before.
    fn on_use(&mut self, who: &InstanceName, connection: ConnectionId, now: Use) -> bool {
        let before = self.used.entry((who.clone(), connection)).or_insert(now);
        *before != now
    }

    fn mixes(&mut self, who: &InstanceName, event: &Event) -> Option<ConnectionId> {
        let (connection, now) = match event {
            Event::Instance(InstanceEvent::ClientConnected { connection, .. }) => (connection, Use::Client),
            Event::Endpoint(
                EndpointEvent::Accepted { connection, .. }
                | EndpointEvent::Connecting { connection, .. }
                | EndpointEvent::LoggedIn { connection, .. }
                | EndpointEvent::SessionTraffic { connection, .. },
            ) => (connection, Use::Endpoint),
            Event::Endpoint(EndpointEvent::Closed { connection, .. }) => {
                self.used.remove(&(who.clone(), *connection));
                return None;
            }
            _ => return None,
        };
        self.on_use(who, *connection, now).then_some(*connection)
    }
}

impl Oracle for ClientsNeverOnEndpoint {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if let Event::World(WorldEvent::ProcessKilled { instance }) = &stamped.event {
            self.used.retain(|(who, _), _| who != instance);
        }
        let Source::Instance(who) = &stamped.source else {
            return;
        };
        if let Some(connection) = self.mixes(who, &stamped.event) {
            out.push(Violation {
                oracle: NAME,
                fingerprint: format!("{NAME}/{who}"),
                message: format!("{connection} of {who} was used by a client and by mirroring"),
                at: stamped.at,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn accepted(connection: u64) -> EndpointEvent {
        EndpointEvent::Accepted {
            connection: ConnectionId(connection),
            from: "10.0.0.9:5000".into(),
        }
    }

    fn client_connected(connection: u64) -> InstanceEvent {
        InstanceEvent::ClientConnected {
            connection: ConnectionId(connection),
            database: None,
        }
    }

    #[test]
    fn two_doors_two_connections() {
        assert_quiet::<ClientsNeverOnEndpoint>(&[
            on(1, "alpha", accepted(2)),
            on(2, "alpha", client_connected(4)),
            on(2, "beta", client_connected(2)),
        ]);
    }

    #[test]
    fn a_client_on_the_endpoint_is_seen() {
        let events = [on(1, "alpha", accepted(2)), on(2, "alpha", client_connected(2))];
        assert_red::<ClientsNeverOnEndpoint>(&events, NAME);
    }

    #[test]
    fn mirroring_on_the_client_port_is_seen() {
        let traffic = EndpointEvent::SessionTraffic {
            connection: ConnectionId(2),
            database: db(),
        };
        let events = [on(1, "alpha", client_connected(2)), on(2, "alpha", traffic)];
        assert_red::<ClientsNeverOnEndpoint>(&events, NAME);
    }
}
