//! One session on its witness: it records who owns the principal role and whether the mirror is synchronized, and
//! decides between a principal that wants to run exposed and a mirror that wants to take over.
//!
//! Everything it says is on its disk first: an answer waits for the writes asked for before it. A partner counts as
//! connected from its introduction until its link drops, and only its latest introduction is listened to.

use std::collections::{BTreeMap, VecDeque};

use super::failover::{self, Claim};
use super::{Ticket, WitnessRecord};
use crate::error::{SqlError, msg};
use crate::types::{DatabaseName, Event, Guid, PartnerRole, RoleSequence, SessionEvent};
use crate::wire::mirroring::{Body, Denial, Message, WitnessAttach};

/// What happens to a witness. A peer is the instance GUID its endpoint connection proved.
#[derive(Debug, Clone, PartialEq)]
pub enum WitnessInput {
    /// A session message of `peer`.
    From { peer: Guid, message: Message },
    /// The link to `peer` was lost. (That it came up is known from its introduction.)
    Down { peer: Guid },
    /// The record of this ticket is durable.
    Persisted { ticket: Ticket },
}

/// What a witness asks for. Carried out in order.
#[derive(Debug, Clone, PartialEq)]
pub enum WitnessOutput {
    To {
        peer: Guid,
        message: Message,
    },
    /// Write the record durably, then `Persisted`.
    Persist {
        ticket: Ticket,
        record: Box<WitnessRecord>,
    },
    /// The relationship ended: forget the record and drop this object.
    Removed,
    Emit(Event),
    ErrorLog(SqlError),
}

/// One mirroring session on its witness.
#[derive(Debug)]
pub struct Witness {
    session: Guid,
    /// As last written or asked to be written.
    record: Option<WitnessRecord>,
    /// The partner timeout in force by the record that is durable, in seconds.
    timeout: Option<u16>,
    peers: BTreeMap<Guid, Peer>,
    /// Tickets asked for, and confirmed.
    asked: Ticket,
    done: Ticket,
    /// Each waits for the write of its ticket.
    waiting: VecDeque<(Ticket, WitnessOutput)>,
}

#[derive(Debug, Clone)]
struct Peer {
    name: String,
    link: u64,
}

impl Witness {
    /// A witness that is about to be invited. Until it has taken an invitation it has no record.
    pub fn new(session: Guid) -> Witness {
        Witness {
            session,
            record: None,
            timeout: None,
            peers: BTreeMap::new(),
            asked: 0,
            done: 0,
            waiting: VecDeque::new(),
        }
    }

    /// A witness as its record says, after a restart: connected to nobody.
    pub fn restore(record: WitnessRecord) -> Witness {
        let mut witness = Witness::new(record.session);
        witness.timeout = Some(record.timeout_in_force());
        witness.record = Some(record);
        witness
    }

    /// Whether `message` asks an instance that has no such session to become its witness.
    pub fn is_invitation(message: &Message) -> bool {
        matches!(&message.body, Body::WitnessAttach(attach) if attach.invite)
    }

    /// The answer of an instance that will not act as the witness of the session that `message` is of.
    pub fn refusal(message: &Message) -> Message {
        let number = msg::CANNOT_BE_WITNESS.number;
        Message {
            session: message.session,
            role_sequence: message.role_sequence,
            link: message.link,
            body: Body::WitnessRefused { number },
        }
    }

    /// The record as last asked to be written.
    pub fn record(&self) -> Option<&WitnessRecord> {
        self.record.as_ref()
    }

    /// The partner timeout in force, in seconds, as far as it is durable. None before there is a record.
    pub fn timeout_in_force(&self) -> Option<u16> {
        self.timeout
    }

    pub fn session(&self) -> Guid {
        self.session
    }

    /// Whether the partner of this server name is connected.
    pub fn sees(&self, name: &str) -> bool {
        self.peers.values().any(|p| p.name == name)
    }

    /// Whether `peer` was taken for a partner of this session and is connected.
    pub fn is_introduced(&self, peer: Guid) -> bool {
        self.peers.contains_key(&peer)
    }

    /// Takes one input and queues what follows from it.
    pub fn handle(&mut self, input: WitnessInput, out: &mut VecDeque<WitnessOutput>) {
        match input {
            WitnessInput::From { peer, message } if message.session == self.session => {
                self.on_message(peer, message, out);
            }
            WitnessInput::From { .. } => {}
            WitnessInput::Down { peer } => {
                self.peers.remove(&peer);
            }
            WitnessInput::Persisted { ticket } => {
                self.done = self.done.max(ticket);
                if self.done == self.asked {
                    self.timeout = self.record.as_ref().map(WitnessRecord::timeout_in_force);
                }
                while let Some((_, output)) = self.waiting.pop_front_if(|(t, _)| *t <= self.done) {
                    out.push_back(output);
                }
            }
        }
    }

    fn on_message(&mut self, peer: Guid, message: Message, out: &mut VecDeque<WitnessOutput>) {
        match message.body {
            Body::WitnessAttach(attach) => {
                self.on_attach(peer, message.role_sequence, message.link, &attach, out);
            }
            Body::Removed if self.peers.contains_key(&peer) || self.record.is_none() => {
                out.push_back(WitnessOutput::Emit(self.removed_event()));
                out.push_back(WitnessOutput::Removed);
            }
            body => {
                let known = self.peers.get(&peer).filter(|p| p.link == message.link);
                // As if its link had been lost: it introduces itself again when it can.
                if body == Body::Unavailable && known.is_some() {
                    self.peers.remove(&peer);
                } else if let Some(known) = known.cloned() {
                    self.on_request(peer, &known, message.role_sequence, body, out);
                }
            }
        }
    }

    fn on_attach(
        &mut self,
        peer: Guid,
        role_sequence: RoleSequence,
        link: u64,
        attach: &WitnessAttach,
        out: &mut VecDeque<WitnessOutput>,
    ) {
        let Some(record) = self.adopt(role_sequence, attach) else {
            let number = msg::CANNOT_BE_WITNESS.number;
            let refused = Body::WitnessRefused { number };
            return self.say(peer, link, refused, out);
        };
        self.peers.retain(|_, p| p.name != attach.name);
        let name = attach.name.clone();
        self.peers.insert(peer, Peer { name, link });
        let owner_changed = self
            .record
            .as_ref()
            .is_some_and(|r| r.owner != record.owner || r.role_sequence != record.role_sequence);
        self.write(record, out);
        self.report(peer, link, link, out);
        if owner_changed {
            self.tell_others(peer, out);
        }
    }

    /// The record after an introduction; `None` if it is not from a partner of this session.
    fn adopt(&self, role_sequence: RoleSequence, attach: &WitnessAttach) -> Option<WitnessRecord> {
        let principal = attach.role == PartnerRole::Principal;
        let offered = WitnessRecord {
            database: attach.database.clone(),
            session: self.session,
            family: attach.family,
            owner: if principal {
                &attach.name
            } else {
                &attach.partner_name
            }
            .clone(),
            mirror: if principal {
                &attach.partner_name
            } else {
                &attach.name
            }
            .clone(),
            role_sequence,
            safety: attach.safety,
            safety_sequence: attach.safety_sequence,
            timeout_seconds: attach.timeout_seconds,
            suspended: attach.suspended,
            suspend_sequence: attach.suspend_sequence,
            synchronized: principal && attach.synchronized && !attach.invite,
        };
        let Some(record) = &self.record else {
            return (attach.invite && principal).then_some(offered);
        };
        let partner = attach.name == record.owner || attach.name == record.mirror;
        if !partner || attach.name == attach.partner_name {
            return None;
        }
        let newer = role_sequence > record.role_sequence;
        let owner = role_sequence == record.role_sequence && principal && attach.name == record.owner;
        let mut adopted = if newer || owner { offered } else { record.clone() };
        keep_newer(&mut adopted, record, attach);
        Some(adopted)
    }

    fn on_request(
        &mut self,
        peer: Guid,
        known: &Peer,
        role_sequence: RoleSequence,
        body: Body,
        out: &mut VecDeque<WitnessOutput>,
    ) {
        let Some(record) = self.record.clone() else {
            return;
        };
        match body {
            Body::SyncState {
                request,
                synchronized,
            } => {
                if known.name == record.owner && role_sequence == record.role_sequence {
                    self.write(
                        WitnessRecord {
                            synchronized,
                            ..record
                        },
                        out,
                    );
                }
                self.report(peer, known.link, request, out);
            }
            Body::TakeoverRequest { request, to, forced } if role_sequence.checked_add(1) == Some(to) => {
                let claim = Claim {
                    requester: &known.name,
                    to,
                    forced,
                };
                self.on_takeover_request(peer, known.link, request, claim, record, out);
            }
            _ => {}
        }
    }

    fn on_takeover_request(
        &mut self,
        peer: Guid,
        link: u64,
        request: u64,
        claim: Claim<'_>,
        record: WitnessRecord,
        out: &mut VecDeque<WitnessOutput>,
    ) {
        let to = claim.to;
        if record.owner == claim.requester && record.role_sequence == to {
            return self.report(peer, link, request, out);
        }
        let verdict = failover::grant(&record, self.sees(&record.owner), claim);
        self.emit_verdict(&record.database, &claim, verdict, out);
        match verdict {
            Ok(()) => {
                let granted = WitnessRecord {
                    owner: record.mirror,
                    mirror: record.owner,
                    role_sequence: to,
                    synchronized: false,
                    ..record
                };
                self.write(granted, out);
                self.report(peer, link, request, out);
            }
            Err(denial) => {
                self.say(peer, link, Body::TakeoverDenied { request, denial }, out);
            }
        }
    }

    fn emit_verdict(
        &mut self,
        database: &DatabaseName,
        claim: &Claim<'_>,
        verdict: Result<(), Denial>,
        out: &mut VecDeque<WitnessOutput>,
    ) {
        let reason = match verdict {
            Ok(()) if claim.forced => "service is forced and the principal is not connected",
            Ok(()) => "the mirror is synchronized and the principal is not connected",
            Err(Denial::PrincipalConnected) => "the principal is connected",
            Err(Denial::NotSynchronized) => "the mirror is not synchronized",
            Err(Denial::OtherRecord) => "the record has another owner or role sequence",
        };
        let event = SessionEvent::WitnessVerdict {
            database: database.clone(),
            granted: verdict.is_ok(),
            role_sequence: claim.to,
            reason: reason.to_owned(),
        };
        out.push_back(WitnessOutput::Emit(event.into()));
    }

    /// Tells the other partner, if it is connected, what the record says now.
    fn tell_others(&mut self, than: Guid, out: &mut VecDeque<WitnessOutput>) {
        let others: Vec<(Guid, u64)> = self
            .peers
            .iter()
            .filter(|(peer, _)| **peer != than)
            .map(|(peer, p)| (*peer, p.link))
            .collect();
        for (peer, link) in others {
            self.report(peer, link, 0, out);
        }
    }

    fn report(&mut self, peer: Guid, link: u64, answers: u64, out: &mut VecDeque<WitnessOutput>) {
        if let Some(record) = &self.record {
            let report = Body::WitnessReport {
                answers,
                owner: record.owner.clone(),
                synchronized: record.synchronized,
            };
            self.say(peer, link, report, out);
        }
    }

    fn say(&mut self, peer: Guid, link: u64, body: Body, out: &mut VecDeque<WitnessOutput>) {
        let message = Message {
            session: self.session,
            role_sequence: self.record.as_ref().map_or(0, |r| r.role_sequence),
            link,
            body,
        };
        self.when_durable(WitnessOutput::To { peer, message }, out);
    }

    fn when_durable(&mut self, output: WitnessOutput, out: &mut VecDeque<WitnessOutput>) {
        if self.done == self.asked {
            out.push_back(output);
        } else {
            self.waiting.push_back((self.asked, output));
        }
    }

    fn write(&mut self, record: WitnessRecord, out: &mut VecDeque<WitnessOutput>) {
        if self.record.as_ref() == Some(&record) {
            return;
        }
        self.asked += 1;
        out.push_back(WitnessOutput::Persist {
            ticket: self.asked,
            record: Box::new(record.clone()),
        });
        self.record = Some(record);
        for event in self.on_record() {
            self.when_durable(WitnessOutput::Emit(event), out);
        }
    }

    /// What the trace is told of the record, when it is written and when an instance starts with it.
    pub fn on_record(&self) -> Vec<Event> {
        let Some(record) = &self.record else {
            return Vec::new();
        };
        let settings = SessionEvent::Settings {
            database: record.database.clone(),
            session: self.session,
            safety: record.safety,
            safety_sequence: record.safety_sequence,
            suspended: record.suspended,
            suspend_sequence: record.suspend_sequence,
            timeout_seconds: record.timeout_seconds,
            redo_queue_mb: None,
        };
        let roles = SessionEvent::WitnessRecord {
            database: record.database.clone(),
            session: self.session,
            owner: record.owner.clone(),
            role_sequence: record.role_sequence,
            synchronized: record.synchronized,
        };
        vec![settings.into(), roles.into()]
    }

    fn removed_event(&self) -> Event {
        let database = match &self.record {
            Some(record) => record.database.clone(),
            None => DatabaseName::new(""),
        };
        let session = self.session;
        SessionEvent::Removed { database, session }.into()
    }
}

/// What `record` and an introduction say of safety and suspension: the higher sequence is newer, whoever it is of; under
/// equal ones what `adopted` took over stands.
fn keep_newer(adopted: &mut WitnessRecord, record: &WitnessRecord, attach: &WitnessAttach) {
    if record.safety_sequence > adopted.safety_sequence {
        adopted.safety = record.safety;
        adopted.safety_sequence = record.safety_sequence;
    }
    for (suspended, sequence) in [
        (record.suspended, record.suspend_sequence),
        (attach.suspended, attach.suspend_sequence),
    ] {
        if sequence > adopted.suspend_sequence {
            adopted.suspended = suspended;
            adopted.suspend_sequence = sequence;
        }
    }
    adopted.synchronized &= !adopted.suspended;
}
