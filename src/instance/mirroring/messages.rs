//! Session messages on their way out and in: which connection carries one, and whose it is.

use crate::error::msg;
use crate::instance::Instance;
use crate::instance::counters::{is_page, log_bytes};
use crate::session::{PartnerInput, start};
use crate::types::{ConnectionId, DatabaseName, EndpointEvent, Guid};
use crate::wire::mirroring::{Body, Message};

impl Instance {
    pub(in crate::instance) fn tell_partner(&mut self, name: &DatabaseName, message: &Message) {
        let Some(database) = self.database(name.as_str()) else {
            return;
        };
        let via = database
            .links
            .partner
            .map(|(outbound, _)| outbound)
            .or(database.links.reply_via);
        if let Some(via) = via {
            self.say_of(name, via, message);
        }
    }

    pub(in crate::instance) fn tell_witness(&mut self, name: &DatabaseName, message: &Message) {
        let via = self.database(name.as_str()).and_then(|d| d.links.witness);
        if let Some(via) = via {
            self.say_of(name, via, message);
        }
    }

    pub(in crate::instance) fn tell_peer(&mut self, peer: Guid, message: &Message) {
        let via = self.endpoint.peers.inbound(peer);
        if let Some(via) = via {
            self.say(via, message);
        }
    }

    /// Send a message of a database's session, and count it.
    fn say_of(&mut self, name: &DatabaseName, connection: ConnectionId, message: &Message) {
        let bytes = self.try_say(connection, message);
        if let (Some(bytes), Some(database)) = (bytes, self.database_mut(name)) {
            database.counters.sent(bytes, log_bytes(&message.body));
            database.counters.pages_sent += u64::from(is_page(&message.body));
        }
    }

    pub(in crate::instance) fn say(&mut self, connection: ConnectionId, message: &Message) {
        self.try_say(connection, message);
    }

    /// Send a session message; its length. One that is beyond a limit of the protocol is not sent, and the log says so.
    fn try_say(&mut self, connection: ConnectionId, message: &Message) -> Option<usize> {
        match message.encode() {
            Ok(bytes) => {
                self.send_message(connection, &bytes);
                Some(bytes.len())
            }
            Err(error) => {
                let to = self
                    .peer_of(connection)
                    .map(|p| p.server_name.clone())
                    .unwrap_or_default();
                self.log_error(&msg::MESSAGE_NOT_SENT.with(&[&error, &to]));
                None
            }
        }
    }

    /// One session message came in over an online connection.
    pub(in crate::instance) fn on_message(&mut self, connection: ConnectionId, bytes: Vec<u8>) {
        let Some(peer) = self.peer_id_of(connection) else {
            return;
        };
        let message = match Message::decode(&bytes) {
            Ok(message) => message,
            Err(error) => {
                let from = self
                    .peer_of(connection)
                    .map(|p| p.server_name.clone())
                    .unwrap_or_default();
                let reason = msg::UNEXPECTED_MESSAGE.with(&[&error, &from]);
                self.log_error(&reason);
                return self.close_peer(connection, Some(reason));
            }
        };
        if self.witnesses.contains_key(&message.session) || matches!(message.body, Body::WitnessAttach(_)) {
            return self.message_for_witness(connection, peer, message);
        }
        let owner = self.databases.values().find(|d| {
            d.session
                .as_ref()
                .is_some_and(|s| s.record().session == message.session)
        });
        match owner {
            Some(database) => {
                let (name, links) = (database.name.clone(), database.links);
                let from_witness = links.witness == Some(connection);
                let on_link = links.partner.is_some() && self.partner_id(&name) == Some(peer);
                let reply_via = links.reply_via == Some(connection);
                let gone = message.body == Body::NoSession && self.is_to_partner(database, connection);
                match message.body {
                    Body::Probe => return,
                    Body::Unavailable if on_link => return self.partner_is_unavailable(&name),
                    // Whoever greets it on the next link is told again.
                    Body::Unavailable => return,
                    _ => {}
                }
                let counted = from_witness || on_link || reply_via || gone;
                if let Some(database) = self.database_mut(&name).filter(|_| counted) {
                    database.counters.received(bytes.len(), log_bytes(&message.body));
                }
                if from_witness {
                    self.session_traffic(connection, &name);
                    self.session_input(&name, PartnerInput::FromWitness(message));
                } else if on_link || reply_via || gone {
                    if on_link || reply_via {
                        self.session_traffic(connection, &name);
                    }
                    self.session_input(&name, PartnerInput::FromPartner(message));
                } else {
                    self.keep_early(connection, bytes);
                }
            }
            // A database that cannot be opened does not end its session: the partner keeps its side.
            None if self.is_recorded(message.session) => self.greeted_while_down(connection, &message),
            None => match &message.body {
                Body::Open(open) => {
                    let name = open.database.clone();
                    self.opened_by_partner(connection, &name, message);
                }
                _ => {
                    if let Some(answer) = start::no_session(&message) {
                        self.say(connection, &answer);
                    }
                }
            },
        }
    }

    /// Whether a database of the catalog is a partner of this session.
    fn is_recorded(&self, session: Guid) -> bool {
        let recorded = self.catalog.databases().filter_map(|d| d.mirroring.as_ref());
        session != Guid::NIL && recorded.into_iter().any(|r| r.session == session)
    }

    /// Who the partner of a database turned out to be, while this instance is connected to it.
    fn partner_id(&self, name: &DatabaseName) -> Option<Guid> {
        let session = self.database(name.as_str())?.session.as_ref()?;
        let (_, peer) = self.endpoint.peers.outbound(&session.record().partner)?;
        Some(peer.arbitration_id)
    }

    pub(in crate::instance) fn replay_early(&mut self, connection: ConnectionId) {
        for bytes in self.take_early(connection) {
            self.on_message(connection, bytes);
        }
    }

    pub(super) fn session_traffic(&mut self, connection: ConnectionId, name: &DatabaseName) {
        if self
            .traffic_seen
            .insert((connection, name.as_str().to_lowercase()))
        {
            self.emit(EndpointEvent::SessionTraffic {
                connection,
                database: name.clone(),
            });
        }
    }

    /// A principal asks for a session: the mirror that waits for it answers, or the instance says why there is none.
    fn opened_by_partner(&mut self, connection: ConnectionId, name: &DatabaseName, message: Message) {
        let Body::Open(open) = &message.body else {
            return;
        };
        let refusal = self.refusal_of(connection, open);
        match refusal {
            Some(number) => self.say(connection, &start::refuse(&message, number)),
            None => {
                let name = match self.database_mut(name) {
                    Some(database) => {
                        database.links.reply_via = Some(connection);
                        database.joining = Some(open.path.before(database.log.end()));
                        database.name.clone()
                    }
                    None => return,
                };
                self.session_traffic(connection, &name);
                self.session_input(&name, PartnerInput::FromPartner(message));
                self.dials_changed = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::InstanceConfig;
    use crate::types::Guid;
    use crate::wire::mirroring::TEXT_BYTES_MAX;

    fn report(bytes: usize) -> Message {
        Message {
            session: Guid::NIL,
            role_sequence: 1,
            link: 1,
            body: Body::WitnessReport {
                answers: 1,
                owner: "A".repeat(bytes),
                synchronized: true,
            },
        }
    }

    #[test]
    fn a_message_beyond_a_limit_is_not_sent_and_the_log_says_so() {
        let mut instance = Instance::new(InstanceConfig::of_system("alpha", 1433), [7; 32]);
        let connection = ConnectionId(1);
        let length = instance.try_say(connection, &report(TEXT_BYTES_MAX));
        assert!(length.is_some_and(|length| length > TEXT_BYTES_MAX));
        assert_eq!(instance.error_log.lines().count(), 0);
        assert_eq!(instance.try_say(connection, &report(TEXT_BYTES_MAX + 1)), None);
        let told: Vec<String> = instance.error_log.lines().map(|line| line.text).collect();
        assert!(told[0].starts_with("Error: 1437,"), "{told:?}");
        assert!(told[1].contains("1025 exceeds the limit of 1024"), "{told:?}");
    }
}
