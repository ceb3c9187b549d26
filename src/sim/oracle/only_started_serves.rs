//! An endpoint that is not STARTED completes no handshake and keeps no connection.
//!
//! Whether one that is STOPPED or DISABLED still accepts TCP is not judged: the pages contradict each other. Connections
//! that were up end with the statement that takes the state away, before it is told to have taken effect. Source:
//! documented, *sys.endpoints*, *CREATE ENDPOINT*, extended event 35204.

use std::collections::BTreeSet;

use super::endpoints::Endpoints;
use super::{Oracle, Violation};
use crate::types::{EndpointEvent, Event, InstanceName, Source, Stamped};

const NAME: &str = "only-started-serves";

const STARTED: &str = "STARTED";

#[derive(Debug, Default)]
pub(super) struct OnlyStartedServes {
    endpoints: Endpoints,
    /// Where a statement says STARTED and has not taken effect yet: what it does may be under way.
    starting: BTreeSet<InstanceName>,
}

impl OnlyStartedServes {
    fn on_endpoint(&mut self, who: &InstanceName, event: &EndpointEvent) -> Option<String> {
        let state = self.endpoints.settings(who).map(|s| s.state.as_str());
        let shown = state.unwrap_or("not there");
        match event {
            EndpointEvent::Altered { change, .. } => {
                if change.contains("STATE = STARTED") {
                    self.starting.insert(who.clone());
                }
                None
            }
            EndpointEvent::LoggedIn { connection, .. } => (state != Some(STARTED)
                && !self.starting.contains(who))
            .then(|| format!("{who} completed the handshake of {connection}, its endpoint is {shown}")),
            EndpointEvent::Configured { .. } | EndpointEvent::Dropped { .. } => {
                self.starting.remove(who);
                let (kept, _) = self.endpoints.online(who).next()?;
                (state != Some(STARTED))
                    .then(|| format!("{who} keeps {kept} although its endpoint is {shown}"))
            }
            EndpointEvent::SessionTraffic { connection, .. } | EndpointEvent::PingReceived { connection } => {
                (state.is_some_and(|s| s != STARTED) && !self.starting.contains(who))
                    .then(|| format!("{who} acted on a message of {connection}, its endpoint is {shown}"))
            }
            _ => None,
        }
    }
}

impl Oracle for OnlyStartedServes {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.endpoints.observe(stamped);
        if let (Source::Instance(who), Event::Endpoint(event)) = (&stamped.source, &stamped.event)
            && let Some(message) = self.on_endpoint(who, event)
        {
            out.push(Violation::of(NAME, &[who], message, stamped.at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_quiet, assert_red, db, on};
    use super::super::testing_endpoints::*;
    use super::*;
    use crate::types::EncryptionInUse;

    fn up() -> Vec<Stamped> {
        let mut events = endpoints(("REQUIRED", &["AES"]), ("REQUIRED", &["AES"]));
        events.extend(login(1, EncryptionInUse::Aes));
        events
    }

    fn altered(second: u64, change: &str) -> Stamped {
        let change = change.into();
        let event = EndpointEvent::Altered {
            change,
            restarted: true,
        };
        on(second, "alpha", event)
    }

    #[test]
    fn connections_that_end_with_the_state_are_legal() {
        let mut events = up();
        events.extend([
            closed(2, ACCEPTED),
            configured(2, "alpha", &in_state("STOPPED")),
            altered(3, "STATE = STARTED"),
        ]);
        // The statement is not durable yet, and a first connection is quick.
        events.extend(login(3, EncryptionInUse::Aes));
        events.push(closed(3, ACCEPTED));
        events.push(configured(3, "alpha", &in_state("STARTED")));
        events.extend(login(4, EncryptionInUse::Aes));
        assert_quiet::<OnlyStartedServes>(&events);
    }

    #[test]
    fn a_connection_that_outlives_stopped_is_seen() {
        for state in ["STOPPED", "DISABLED"] {
            let mut events = up();
            events.push(configured(2, "alpha", &in_state(state)));
            assert_red::<OnlyStartedServes>(&events, NAME);
        }
    }

    #[test]
    fn a_connection_that_outlives_the_endpoint_is_seen() {
        let mut events = up();
        events.push(dropped(2, "alpha"));
        assert_red::<OnlyStartedServes>(&events, NAME);
    }

    #[test]
    fn a_login_to_a_disabled_endpoint_is_seen() {
        let mut events = endpoints(("REQUIRED", &["AES"]), ("REQUIRED", &["AES"]));
        events.push(configured(1, "alpha", &in_state("DISABLED")));
        events.extend(login(2, EncryptionInUse::Aes));
        assert_red::<OnlyStartedServes>(&events, NAME);
    }

    #[test]
    fn traffic_on_a_stopped_endpoint_is_seen() {
        let mut events = endpoints(("REQUIRED", &["AES"]), ("REQUIRED", &["AES"]));
        let traffic = EndpointEvent::SessionTraffic {
            connection: ACCEPTED,
            database: db(),
        };
        events.extend([
            configured(1, "alpha", &in_state("STOPPED")),
            on(2, "alpha", traffic),
        ]);
        assert_red::<OnlyStartedServes>(&events, NAME);
    }
}
