//! An endpoint with ROLE = WITNESS never hosts a partner, and one with ROLE = PARTNER never acts as a witness.
//!
//! A change of ROLE alone leaves the connections that are up alone (E2 of the decisions), so what counts is the ROLE either
//! side had when the connection began. The other side's is judged only if it has been the same since. Source: documented,
//! *ALTER DATABASE* (SET PARTNER, SET WITNESS), *CREATE ENDPOINT*, ROLE.

use super::endpoints::Endpoints;
use super::history::Sessions;
use super::{Oracle, Violation};
use crate::types::{
    ConnectionId, DatabaseName, EndpointEvent, EndpointSettings, Event, InstanceName, Source, Stamped,
};

const NAME: &str = "witness-endpoint-no-partner";

#[derive(Debug, Default)]
pub(super) struct WitnessEndpointNoPartner {
    endpoints: Endpoints,
    sessions: Sessions,
}

impl WitnessEndpointNoPartner {
    fn on_traffic(
        &self,
        who: &InstanceName,
        connection: ConnectionId,
        database: &DatabaseName,
    ) -> Option<String> {
        let stream = self.endpoints.stream(who, connection)?;
        let peer = self.endpoints.name(stream.peer?)?;
        let sides = [
            (who, stream.own.as_ref()),
            (
                peer,
                self.endpoints.both(who, connection).map(|(_, theirs)| theirs),
            ),
        ];
        let wrong = |(instance, settings): (&InstanceName, Option<&EndpointSettings>)| {
            let role = &settings?.role;
            let (acts, barred) = if self.sessions.session(instance, database).is_some() {
                ("a partner", "WITNESS")
            } else if self.is_neither_partner(instance, database) {
                ("a witness", "PARTNER")
            } else {
                return None;
            };
            (role == barred).then(|| {
                format!(
                    "{instance} acts as {acts} of {database} on {connection} of {who}, its ROLE is {role}"
                )
            })
        };
        sides.into_iter().find_map(wrong)
    }

    /// Whether both partners of the session are known, and this is another. Until a session has begun on both sides, an
    /// instance without it may be about to become a partner.
    fn is_neither_partner(&self, instance: &InstanceName, database: &DatabaseName) -> bool {
        let pairs = self.sessions.pairs();
        pairs
            .iter()
            .any(|(of, one, other)| of == database && one != instance && other != instance)
    }
}

impl Oracle for WitnessEndpointNoPartner {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.endpoints.observe(stamped);
        self.sessions.observe(stamped);
        if let (
            Source::Instance(who),
            Event::Endpoint(EndpointEvent::SessionTraffic { connection, database }),
        ) = (&stamped.source, &stamped.event)
            && let Some(message) = self.on_traffic(who, *connection, database)
        {
            out.push(Violation::of(NAME, &[who, database], message, stamped.at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_quiet, assert_red, db, on, pair};
    use super::super::testing_endpoints::*;
    use super::*;
    use crate::types::EncryptionInUse;

    fn history(alpha: &str, beta: &str) -> Vec<Stamped> {
        let mut events = endpoints(("REQUIRED", &["AES"]), ("REQUIRED", &["AES"]));
        events.push(configured(0, "alpha", &in_role(alpha)));
        events.push(configured(0, "beta", &in_role(beta)));
        events
    }

    fn traffic() -> Stamped {
        let event = EndpointEvent::SessionTraffic {
            connection: ACCEPTED,
            database: db(),
        };
        on(2, "alpha", event)
    }

    #[test]
    fn partners_among_partners_and_a_witness_of_its_own_role_are_legal() {
        for (alpha, beta) in [("PARTNER", "ALL"), ("ALL", "PARTNER")] {
            let mut events = history(alpha, beta);
            events.extend(pair());
            events.extend(login(1, EncryptionInUse::Aes));
            events.push(traffic());
            assert_quiet::<WitnessEndpointNoPartner>(&events);
        }
        // alpha is the witness, beta a partner.
        let mut events = history("WITNESS", "PARTNER");
        events.extend(pair().into_iter().filter(|e| e.source == on_beta()));
        events.extend(login(1, EncryptionInUse::Aes));
        events.push(traffic());
        assert_quiet::<WitnessEndpointNoPartner>(&events);
    }

    fn on_beta() -> Source {
        Source::Instance(InstanceName::new("beta"))
    }

    #[test]
    fn a_role_changed_under_a_connection_is_legal() {
        let mut events = history("ALL", "ALL");
        events.extend(pair());
        events.extend(login(1, EncryptionInUse::Aes));
        events.extend([configured(1, "alpha", &in_role("WITNESS")), traffic()]);
        assert_quiet::<WitnessEndpointNoPartner>(&events);
    }

    #[test]
    fn a_partner_on_a_witness_endpoint_is_seen() {
        for (alpha, beta) in [("WITNESS", "ALL"), ("ALL", "WITNESS")] {
            let mut events = history(alpha, beta);
            events.extend(pair());
            events.extend(login(1, EncryptionInUse::Aes));
            events.push(traffic());
            assert_red::<WitnessEndpointNoPartner>(&events, NAME);
        }
    }

    #[test]
    fn a_witness_on_a_partner_endpoint_is_seen() {
        let mut events = history("PARTNER", "ALL");
        events.extend(pair().into_iter().filter(|e| e.source == on_beta()));
        events.extend(login(1, EncryptionInUse::Aes));
        events.push(traffic());
        assert_red::<WitnessEndpointNoPartner>(&events, NAME);
    }
}
