//! SET PARTNER on the mirror causes no traffic: it waits to be contacted. Once the principal has started the session, each
//! of the two has opened one connection to the other.
//!
//! Source: documented, *Troubleshoot Database Mirroring Configuration*, *ALTER DATABASE Database Mirroring*.

use std::collections::{BTreeMap, BTreeSet};

use super::history::session_event;
use super::scene::Scene;
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{
    DatabaseName, EndpointEvent, Event, Guid, InstanceName, MirroringState, PartnerRole, ServerAddress,
    SessionEvent, Source, Stamped,
};

const NAME: &str = "set-partner-order";

#[derive(Debug, Default)]
pub(super) struct SetPartnerOrder {
    scene: SharedScene,
    /// Mirrors that wait, each with the address it was told.
    waiting: BTreeMap<(InstanceName, DatabaseName), ServerAddress>,
    /// Addresses that an instance has a reason to connect to.
    wanted: BTreeSet<(InstanceName, ServerAddress)>,
}

impl SetPartnerOrder {
    fn on_session(
        &mut self,
        who: &InstanceName,
        event: &SessionEvent,
        stamped: &Stamped,
        out: &mut Vec<Violation>,
    ) {
        match event {
            SessionEvent::Configured {
                database,
                session,
                role,
                partner,
            } => {
                let key = (who.clone(), database.clone());
                if *role == PartnerRole::Mirror && *session == Guid::NIL {
                    self.waiting.insert(key, partner.clone());
                } else {
                    self.waiting.remove(&key);
                    self.wanted.insert((who.clone(), partner.clone()));
                }
            }
            SessionEvent::WitnessSet {
                witness: Some(witness),
                ..
            } => {
                self.wanted.insert((who.clone(), witness.clone()));
            }
            SessionEvent::State {
                database,
                to: MirroringState::Synchronized,
                ..
            } => {
                if let Some(partner) = self.scene.sessions.partner(who, database)
                    && !self.scene.has_link(database, who, partner)
                {
                    let message = format!(
                        "{database} on {who} is SYNCHRONIZED, but it and {partner} have not opened a connection each"
                    );
                    out.push(Violation::of(NAME, &[database, who], message, stamped.at));
                }
            }
            _ => {}
        }
    }
}

impl Oracle for SetPartnerOrder {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if Scene::concerns(stamped) {
            self.scene.observe(stamped);
        }
        if let Some((who, event)) = session_event(stamped) {
            self.on_session(who, event, stamped, out);
        }
        let (Source::Instance(who), Event::Endpoint(event)) = (&stamped.source, &stamped.event) else {
            return;
        };
        match event {
            // Contacted, a mirror may connect back.
            EndpointEvent::LoggedIn { accepted: true, .. } => {
                let waiting = self.waiting.iter().filter(|((of, _), _)| of == who);
                let addresses = waiting.map(|(_, address)| (who.clone(), address.clone()));
                self.wanted.extend(addresses);
            }
            // Over a connection that was there before, too.
            EndpointEvent::SessionTraffic { database, .. } => {
                let told = self.waiting.get(&(who.clone(), database.clone()));
                self.wanted
                    .extend(told.map(|address| (who.clone(), address.clone())));
            }
            EndpointEvent::Connecting { address, .. } => {
                let early = self
                    .waiting
                    .iter()
                    .any(|((of, _), told)| of == who && told == address)
                    && !self.wanted.contains(&(who.clone(), address.clone()));
                if early {
                    let message =
                        format!("{who} connects to {address}, though its mirror waits to be contacted");
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
    use super::*;
    use crate::types::ConnectionId;

    fn waits() -> Vec<Stamped> {
        let event = SessionEvent::Configured {
            database: db(),
            session: Guid::NIL,
            role: PartnerRole::Mirror,
            partner: ServerAddress::new("alpha", 7022),
        };
        vec![on(1, "beta", event)]
    }

    fn dials(second: u64) -> Stamped {
        let connection = ConnectionId(9);
        let address = ServerAddress::new("alpha", 7022);
        on(second, "beta", EndpointEvent::Connecting { connection, address })
    }

    #[test]
    fn a_mirror_that_was_contacted_connects_back() {
        let mut events = waits();
        events.extend([accepted(2, "beta", 7, "alpha"), dials(2)]);
        assert_quiet::<SetPartnerOrder>(&events);
        assert_quiet::<SetPartnerOrder>(&pair_connected());
    }

    #[test]
    fn a_mirror_that_dials_first_is_seen() {
        let mut events = waits();
        events.push(dials(2));
        assert_red::<SetPartnerOrder>(&events, NAME);
    }

    #[test]
    fn contacted_over_an_older_connection_a_mirror_may_connect_back() {
        let contact = |database| EndpointEvent::SessionTraffic {
            connection: ConnectionId(2),
            database,
        };
        let mut events = waits();
        events.extend([on(2, "beta", contact(db())), dials(3)]);
        assert_quiet::<SetPartnerOrder>(&events);
        let mut events = waits();
        events.extend([on(2, "beta", contact(DatabaseName::new("Other"))), dials(3)]);
        assert_red::<SetPartnerOrder>(&events, NAME);
    }

    #[test]
    fn a_session_over_one_connection_is_seen() {
        let mut events = pair();
        let all = pair_connected();
        // Everything but the connections that were accepted.
        let one_way = |event: &Stamped| {
            !matches!(
                &event.event,
                Event::Endpoint(EndpointEvent::LoggedIn { accepted: true, .. })
            )
        };
        let rest: Vec<_> = all.iter().filter(|event| one_way(event)).cloned().collect();
        events.extend(rest);
        events.retain(|event| {
            !matches!(
                &event.event,
                Event::Session(SessionEvent::State {
                    role: PartnerRole::Mirror,
                    ..
                })
            )
        });
        assert_red::<SetPartnerOrder>(&events, NAME);
    }
}
