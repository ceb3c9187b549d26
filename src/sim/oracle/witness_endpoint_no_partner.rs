//! An endpoint with ROLE = WITNESS never hosts a partner, and one with ROLE = PARTNER never acts as a witness.
//!
//! What counts is the ROLE either side had when the connection began: whoever changes it restarts the endpoint (E2 and E37
//! of the decisions), and what was on its way by then is no wrong. The other side's is judged only if it has been the same
//! since. Whoever is asked to be a partner has traffic before it has the session; so one without a session is a
//! witness once it has a record to show.
//! Source: documented, *ALTER DATABASE* (SET PARTNER, SET WITNESS), *CREATE ENDPOINT*, ROLE.

use std::collections::{BTreeMap, BTreeSet};

use super::endpoints::Endpoints;
use super::history::session_event;
use super::scene::gone;
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{
    ConnectionId, DatabaseName, EndpointEvent, EndpointSettings, Event, InstanceName, SessionEvent, Source,
    Stamped,
};

const NAME: &str = "witness-endpoint-no-partner";

/// Somebody acts as what its ROLE bars.
#[derive(Debug)]
struct Suspicion {
    /// On whose connection.
    on: (InstanceName, ConnectionId),
    as_witness: bool,
    message: String,
}

#[derive(Debug, Default)]
pub(super) struct WitnessEndpointNoPartner {
    endpoints: Endpoints,
    scene: SharedScene,
    /// Who has a witness's record of which database.
    witnesses: BTreeSet<(InstanceName, DatabaseName)>,
    /// Of instances with neither session nor record, until they have the one or the other.
    suspicions: BTreeMap<(InstanceName, DatabaseName), Suspicion>,
}

impl WitnessEndpointNoPartner {
    fn on_traffic(&mut self, who: &InstanceName, connection: ConnectionId, database: &DatabaseName) {
        let Some(stream) = self.endpoints.stream(who, connection) else {
            return;
        };
        let Some(peer) = stream.peer.and_then(|peer| self.endpoints.name(peer)) else {
            return;
        };
        let both = self.endpoints.both(who, connection);
        let sides = [(who, stream.own.as_ref()), (peer, both.map(|(_, theirs)| theirs))];
        let wrong = |(instance, settings): (&InstanceName, Option<&EndpointSettings>)| {
            let role = &settings?.role;
            let (acts, barred) = match self.scene.sessions.session(instance, database) {
                // Before the other has it too, the session may yet be refused.
                Some(_) if self.scene.sessions.partner(instance, database).is_none() => return None,
                Some(_) => ("a partner", "WITNESS"),
                None => ("a witness", "PARTNER"),
            };
            let message = format!(
                "{instance} acts as {acts} of {database} on {connection} of {who}, its ROLE is {role}"
            );
            let on = (who.clone(), connection);
            let as_witness = barred == "PARTNER";
            (role == barred).then(|| {
                let copy = (instance.clone(), database.clone());
                let suspicion = Suspicion {
                    on,
                    as_witness,
                    message,
                };
                (copy, suspicion)
            })
        };
        let found: Vec<_> = sides.into_iter().filter_map(wrong).collect();
        self.suspicions.extend(found);
    }

    /// The suspicions that have become certain.
    fn confirmed(&mut self) -> Vec<((InstanceName, DatabaseName), Suspicion)> {
        let (sessions, witnesses) = (&self.scene.sessions, &self.witnesses);
        let is_partner = |copy: &(InstanceName, DatabaseName)| sessions.session(&copy.0, &copy.1).is_some();
        let mut confirmed = Vec::new();
        for (copy, suspicion) in std::mem::take(&mut self.suspicions) {
            match suspicion.as_witness {
                false => confirmed.push((copy, suspicion)),
                true if is_partner(&copy) => {}
                true if witnesses.contains(&copy) => confirmed.push((copy, suspicion)),
                true => {
                    self.suspicions.insert(copy, suspicion);
                }
            }
        }
        confirmed
    }
}

impl Oracle for WitnessEndpointNoPartner {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.endpoints.observe(stamped);
        self.scene.observe(stamped);
        if let Some(who) = gone(stamped) {
            self.suspicions.retain(|_, suspicion| suspicion.on.0 != *who);
        }
        match session_event(stamped) {
            Some((who, SessionEvent::WitnessRecord { database, .. })) => {
                self.witnesses.insert((who.clone(), database.clone()));
            }
            Some((who, SessionEvent::Removed { database, .. })) => {
                self.witnesses.remove(&(who.clone(), database.clone()));
            }
            _ => {}
        }
        match (&stamped.source, &stamped.event) {
            (
                Source::Instance(who),
                Event::Endpoint(EndpointEvent::SessionTraffic { connection, database }),
            ) => self.on_traffic(who, *connection, database),
            (Source::Instance(who), Event::Endpoint(EndpointEvent::Closed { connection, .. })) => {
                let closed = (who.clone(), *connection);
                self.suspicions.retain(|_, suspicion| suspicion.on != closed);
            }
            _ => {}
        }
        for ((_, database), suspicion) in self.confirmed() {
            let who = &suspicion.on.0;
            out.push(Violation::of(
                NAME,
                &[who, &database],
                suspicion.message.clone(),
                stamped.at,
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_quiet, assert_red, db, on, pair, recorded};
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
        // It may yet become a partner.
        assert_quiet::<WitnessEndpointNoPartner>(&events);
        events.push(on(3, "alpha", recorded("BETA", 1, true)));
        assert_red::<WitnessEndpointNoPartner>(&events, NAME);
    }

    #[test]
    fn who_is_asked_to_be_a_partner_is_no_witness() {
        let mut events = history("PARTNER", "PARTNER");
        events.extend(login(1, EncryptionInUse::Aes));
        events.push(traffic());
        events.extend(pair());
        assert_quiet::<WitnessEndpointNoPartner>(&events);
    }
}
