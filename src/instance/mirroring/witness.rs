//! The sessions this instance is the witness of: invited, restored, told, written down.

use std::collections::VecDeque;

use crate::instance::Instance;
use crate::instance::database::Database;
use crate::instance::io::{DiskRequest, DiskTicket};
use crate::instance::purpose::Purpose;
use crate::session::{Witness, WitnessInput, WitnessOutput, start};
use crate::types::{ConnectionId, Guid};
use crate::wire::mirroring::{Body, Message};

impl Instance {
    pub(super) fn message_for_witness(&mut self, connection: ConnectionId, peer: Guid, message: Message) {
        let session = message.session;
        let can = self.may_be_witness();
        if !self.witnesses.contains_key(&session) {
            if !Witness::is_invitation(&message) {
                if let Some(answer) = start::no_session(&message) {
                    self.say(connection, &answer);
                }
                return;
            }
            let own_version = self.config.options.version;
            let same_version = self.peer_of(connection).is_some_and(|p| p.version == own_version);
            let is_partner = |d: &Database| d.session.as_ref().is_some_and(|s| s.record().session == session);
            if !can || !same_version || self.databases.values().any(is_partner) {
                return self.say(connection, &Witness::refusal(&message));
            }
            if self.has_used_up_witness(connection) {
                self.log_witness_used_up(connection);
                return self.say(connection, &Witness::refusal(&message));
            }
            self.witnesses.insert(session, Witness::new(session));
            self.witness_since.insert(session, DiskTicket(self.next_ticket));
        } else if !can && message.body != Body::Removed {
            // The endpoint's ROLE was changed: the record stays, and nobody is answered until it is changed back.
            return;
        } else if !self.catalog.may_be_of(session, peer) {
            self.log_no_partner(connection, session);
            // Only what is never itself an answer is answered.
            if matches!(message.body, Body::WitnessAttach(_)) {
                self.say(connection, &Witness::refusal(&message));
            }
            return;
        }
        if let Body::WitnessAttach(attach) = &message.body {
            let known = self.witnesses.get(&session).and_then(Witness::record);
            if known.is_none_or(|r| r.database == attach.database) {
                self.session_traffic(connection, &attach.database);
            }
        }
        self.witness_input(session, WitnessInput::From { peer, message });
        if self.witnesses.get(&session).is_some_and(|w| w.record().is_none()) {
            self.witnesses.remove(&session);
            self.witness_since.remove(&session);
        }
    }

    pub(in crate::instance) fn restore_witnesses(&mut self) {
        let records: Vec<_> = self.catalog.witnesses().cloned().collect();
        for record in records {
            let session = record.session;
            let witness = Witness::restore(record);
            for event in witness.on_record() {
                self.emit(event);
            }
            self.witnesses.insert(session, witness);
        }
        self.endpoint.timeout.sessions_changed();
    }

    pub(super) fn witness_input(&mut self, session: Guid, input: WitnessInput) {
        let mut out = VecDeque::new();
        let introduction = match &input {
            WitnessInput::From { peer, message } => {
                matches!(message.body, Body::WitnessAttach(_)).then_some(*peer)
            }
            _ => None,
        };
        if let Some(witness) = self.witnesses.get_mut(&session) {
            let timeout = witness.timeout_in_force();
            witness.handle(input, &mut out);
            if timeout != witness.timeout_in_force() {
                self.endpoint.timeout.sessions_changed();
            }
            let introduced = introduction.filter(|peer| witness.is_introduced(*peer));
            if let Some(inbound) = introduced.and_then(|peer| self.endpoint.peers.inbound(peer)) {
                self.know_peer_of(session, inbound);
            }
        }
        while let Some(output) = out.pop_front() {
            match output {
                WitnessOutput::To { peer, message } => self.tell_peer(peer, &message),
                WitnessOutput::Persist { ticket, record } => {
                    self.catalog.put_witness(session, *record);
                    let writes = self.catalog.take_writes();
                    self.disk(
                        DiskRequest::Master { writes },
                        Purpose::WitnessRecord { session, ticket },
                    );
                }
                WitnessOutput::Removed => {
                    self.witnesses.remove(&session);
                    self.endpoint.timeout.sessions_changed();
                    self.witness_since.remove(&session);
                    self.catalog.drop_witness(session);
                    self.catalog.forget_peers_of(session);
                    let writes = self.catalog.take_writes();
                    self.disk(DiskRequest::Master { writes }, Purpose::Catalog);
                }
                WitnessOutput::Emit(event) => self.emit(event),
                WitnessOutput::ErrorLog(error) => self.log_error(&error),
            }
        }
    }

    /// A record is durable. One of a relationship that is no more says nothing to the one that followed it.
    pub(in crate::instance) fn on_witness_persisted(
        &mut self,
        session: Guid,
        asked: DiskTicket,
        ticket: u64,
    ) {
        if self
            .witness_since
            .get(&session)
            .is_some_and(|since| asked < *since)
        {
            return;
        }
        self.witness_input(session, WitnessInput::Persisted { ticket });
    }
}
