//! The wire: takes packets from the kernels of all systems, gives each a latency, and delivers them in time.
//!
//! A flow is one direction of a connection; its packets never overtake each other. TCP's reliability lives here, as the
//! kernels count calls instead of time: a packet met by silence stays at the head of its flow and is tried again, first
//! after `RETRY_FIRST`, doubling up to `RETRY_MOST`, until it gets through, its owner is gone, or `GIVE_UP` has passed;
//! then the end that waits for an acknowledgement is reset. Resets are never repeated. A pure acknowledgement that
//! nothing blocks takes no time: it means nothing to an application, and most of the traffic is that.

mod flow;
mod middle;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use turmoil_net::{EnterGuard, Packet, TcpSegment, Transport};

use crate::types::Timestamp;

use super::counters::{Counters, Effect};
use super::firewall::{Action, Passage};
use super::streams::Streams;
use super::system::{System, SystemId};

pub(super) use flow::reset_packet;
use flow::{Flow, FlowKey, Queued, flow_of, is_pure_ack, is_pure_ack_packet, is_syn};
use middle::Middle;
pub use middle::{Attack, Meddling};

/// The first wait before a packet met by silence is tried again. Source: Windows' minimum retransmission timeout.
pub const RETRY_FIRST: Duration = Duration::from_millis(300);

/// The longest wait between two tries. Ours, so that an opened firewall is noticed soon.
pub const RETRY_MOST: Duration = Duration::from_secs(4);

/// How long TCP tries before it gives a connection up with a reset. Ours; products range from 10 s to 15 minutes.
pub const GIVE_UP: Duration = Duration::from_secs(60);

/// What happened to a packet, for whoever taps the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Sent,
    Delivered,
    Dropped,
    Rejected,
    /// A reset the network made itself and hands to its receiver.
    Made,
}

/// A packet seen on the wire. `from` and `to` are `None` for addresses no system has.
#[derive(Debug)]
pub struct Tapped<'a> {
    pub at: Timestamp,
    pub from: Option<SystemId>,
    pub to: Option<SystemId>,
    pub fate: Fate,
    pub packet: &'a Packet,
}

/// Called for every packet sent, delivered, dropped or rejected. Must not call the world.
pub type Tap = Box<dyn FnMut(&Tapped<'_>)>;

/// Bounds of the latency of one packet.
pub type LatencyRange = (Duration, Duration);

/// What the wire may look at and change while it works.
pub(super) struct Surroundings<'a> {
    pub(super) now: Timestamp,
    pub(super) guard: &'a EnterGuard,
    pub(super) systems: &'a [System],
    pub(super) counters: &'a mut Counters,
    pub(super) tap: Option<&'a mut Tap>,
}

pub(super) struct Wire {
    streams: Streams,
    latency: LatencyRange,
    links: BTreeMap<(SystemId, SystemId), (u64, LatencyRange, Effect)>,
    next_link: u64,
    flows: BTreeMap<FlowKey, Flow>,
    due: BinaryHeap<Reverse<(Timestamp, u64, FlowKey)>>,
    next_turn: u64,
    /// Connections whose SYN-ACK has left (by the acceptor's flow) and whose handshake is not complete.
    half_open: BTreeSet<FlowKey>,
    /// Connections forgotten by one end so that its port can be bound again (by that end's flow).
    orphans: BTreeSet<FlowKey>,
    middle: Middle,
    scratch: Vec<Packet>,
    /// How many packets kernels were given.
    handed_over: u64,
}

enum Attempt {
    Delivered,
    Discarded,
    Silence,
}

impl Wire {
    pub(super) fn new(streams: Streams, latency: LatencyRange) -> Self {
        Wire {
            streams,
            latency,
            links: BTreeMap::new(),
            next_link: 0,
            flows: BTreeMap::new(),
            due: BinaryHeap::new(),
            next_turn: 0,
            half_open: BTreeSet::new(),
            orphans: BTreeSet::new(),
            middle: Middle::default(),
            scratch: Vec::new(),
            handed_over: 0,
        }
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.peek().map(|Reverse((at, _, _))| *at)
    }

    pub(super) fn set_latency(&mut self, latency: LatencyRange) {
        self.latency = latency;
    }

    /// Another latency between two systems, in both directions.
    pub(super) fn set_link(&mut self, a: SystemId, b: SystemId, latency: LatencyRange) -> (u64, Effect) {
        let id = self.next_link;
        self.next_link += 1;
        let effect = Effect::default();
        self.links
            .insert((a.min(b), a.max(b)), (id, latency, effect.clone()));
        (id, effect)
    }

    pub(super) fn remove_link(&mut self, id: u64) {
        self.links.retain(|_, (other, _, _)| *other != id);
    }

    /// A man in the middle begins his work.
    pub(super) fn begin_attack(&mut self, attack: Attack) -> (u64, Effect) {
        self.middle.begin(attack)
    }

    pub(super) fn end_attack(&mut self, id: u64) {
        self.middle.end(id);
    }

    /// Packets from a system that loses its power vanish.
    pub(super) fn forget_system(&mut self, system: SystemId) {
        let from = |key: &FlowKey| SystemId::from_ip(key.source().ip()) == Some(system);
        self.flows.retain(|key, _| !from(key));
        self.half_open.retain(|key| !from(key));
        self.orphans.retain(|key| !from(key));
        self.middle.forget_if(from);
    }

    /// Acknowledgements to this end meet no answer from now on, so that its peer still sees the FIN already sent.
    pub(super) fn orphan(&mut self, local: SocketAddr, peer: SocketAddr) {
        if let Some(key) = FlowKey::new(local, peer) {
            self.orphans.insert(key);
        }
    }

    /// Takes all that the kernels have to send. Whether some of it was handed over, so that there may be more.
    pub(super) fn collect(&mut self, around: &mut Surroundings<'_>) -> bool {
        let mut packets = std::mem::take(&mut self.scratch);
        around.guard.egress_all(&mut packets);
        let before = self.handed_over;
        for packet in packets.drain(..) {
            self.submit(packet, around);
        }
        self.scratch = packets;
        self.handed_over != before
    }

    /// Delivers what is due. Whether anything was.
    pub(super) fn deliver_due(&mut self, around: &mut Surroundings<'_>) -> bool {
        let mut any = false;
        while let Some(Reverse((at, _, _))) = self.due.peek()
            && *at <= around.now
        {
            let Some(Reverse((_, turn, key))) = self.due.pop() else {
                break;
            };
            if self.flows.get(&key).is_some_and(|flow| flow.turn == turn) {
                any = true;
                self.advance(key, around);
            }
        }
        any
    }

    fn submit(&mut self, packet: Packet, around: &mut Surroundings<'_>) {
        let Some((key, segment)) = flow_of(&packet) else {
            return;
        };
        let from = system_at(around.systems, packet.src);
        if from.is_none_or(|id| !around.systems[id.index()].up) {
            return;
        }
        let flags = segment.flags;
        if flags.syn {
            self.orphans.remove(&key);
            self.middle.forget(key);
            if flags.ack {
                self.half_open.insert(key);
            } else {
                self.flows.remove(&key);
            }
        }
        around.counters.packets_sent += 1;
        tap(around, &packet, Fate::Sent);
        if self.middle.is_idle() {
            return self.forward(key, packet, around);
        }
        let ends = (from, system_at(around.systems, packet.dst));
        let streams = self.streams;
        for packet in self.middle.pass(&streams, key, ends, packet) {
            self.forward(key, packet, around);
        }
    }

    /// Delivers at once or queues what a kernel has sent.
    fn forward(&mut self, key: FlowKey, packet: Packet, around: &mut Surroundings<'_>) {
        let Transport::Tcp(segment) = &packet.payload else {
            return;
        };
        let pure_ack = is_pure_ack(segment) && !self.half_open.contains(&key.reversed());
        let idle = self.flows.get(&key).is_none_or(|flow| flow.queue.is_empty());
        if pure_ack && idle {
            if let Attempt::Silence = self.attempt(&packet, key, around) {
                let silence = Some((around.now, RETRY_FIRST));
                self.enqueue(
                    key,
                    Queued {
                        packet,
                        due: around.now + RETRY_FIRST,
                        silence,
                    },
                );
            }
            return;
        }
        let streams = self.streams;
        let flow = self.flows.entry(key).or_insert_with(|| Flow::new(&streams, key));
        if pure_ack {
            // Cumulative: a newer one says all that an older one said.
            if flow
                .queue
                .back()
                .is_some_and(|last| is_pure_ack_packet(&last.packet))
            {
                if let Some(last) = flow.queue.back_mut() {
                    last.packet = packet;
                }
                return;
            }
            let due = flow.last_due.max(around.now);
            self.enqueue(
                key,
                Queued {
                    packet,
                    due,
                    silence: None,
                },
            );
            return;
        }
        let range = self.range(&packet, around);
        let Some(flow) = self.flows.get_mut(&key) else {
            return;
        };
        let due = (around.now + flow.draw(range)).max(flow.last_due);
        self.enqueue(
            key,
            Queued {
                packet,
                due,
                silence: None,
            },
        );
    }

    fn range(&self, packet: &Packet, around: &Surroundings<'_>) -> LatencyRange {
        if self.links.is_empty() {
            return self.latency;
        }
        let ends = (
            system_at(around.systems, packet.src),
            system_at(around.systems, packet.dst),
        );
        let (Some(a), Some(b)) = ends else {
            return self.latency;
        };
        match self.links.get(&(a.min(b), a.max(b))) {
            Some((_, range, effect)) => {
                effect.hit();
                *range
            }
            None => self.latency,
        }
    }

    /// Appends to a flow, and schedules it if the packet is its head.
    fn enqueue(&mut self, key: FlowKey, queued: Queued) {
        let streams = self.streams;
        let flow = self.flows.entry(key).or_insert_with(|| Flow::new(&streams, key));
        let due = queued.due;
        flow.last_due = due.max(flow.last_due);
        flow.queue.push_back(queued);
        if flow.queue.len() == 1 {
            self.schedule(key, due);
        }
    }

    fn schedule(&mut self, key: FlowKey, due: Timestamp) {
        self.next_turn += 1;
        let turn = self.next_turn;
        if let Some(flow) = self.flows.get_mut(&key) {
            flow.turn = turn;
        }
        self.due.push(Reverse((due, turn, key)));
    }

    /// Tries the head of a flow that is due, and what is due behind it.
    fn advance(&mut self, key: FlowKey, around: &mut Surroundings<'_>) {
        loop {
            let Some(flow) = self.flows.get_mut(&key) else {
                return;
            };
            let Some(head) = flow.queue.front() else { return };
            if head.due > around.now {
                let due = head.due;
                self.schedule(key, due);
                return;
            }
            let Some(mut head) = flow.queue.pop_front() else {
                return;
            };
            if head.silence.is_some() {
                around.counters.packets_retried += 1;
            }
            match self.attempt(&head.packet, key, around) {
                Attempt::Delivered | Attempt::Discarded => {}
                Attempt::Silence => {
                    let (since, wait) = head.silence.unwrap_or((around.now, RETRY_FIRST));
                    if around.now.since(since) >= GIVE_UP {
                        self.give_up(&head.packet, key, around);
                        return;
                    }
                    if is_syn(&head.packet) && !owned(&head.packet, around) {
                        continue;
                    }
                    head.due = around.now + wait;
                    head.silence = Some((since, (wait * 2).min(RETRY_MOST)));
                    let due = head.due;
                    if let Some(flow) = self.flows.get_mut(&key) {
                        flow.queue.push_front(head);
                        self.schedule(key, due);
                    }
                    return;
                }
            }
        }
    }

    fn attempt(&mut self, packet: &Packet, key: FlowKey, around: &mut Surroundings<'_>) -> Attempt {
        let Transport::Tcp(segment) = &packet.payload else {
            return Attempt::Discarded;
        };
        match verdict(packet, segment, around) {
            Some(Action::Drop) => {
                around.counters.packets_dropped += 1;
                tap(around, packet, Fate::Dropped);
                if segment.flags.rst {
                    Attempt::Discarded
                } else {
                    Attempt::Silence
                }
            }
            Some(Action::Reject) => {
                around.counters.packets_rejected += 1;
                tap(around, packet, Fate::Rejected);
                if !segment.flags.rst {
                    self.reset(key, around);
                }
                Attempt::Discarded
            }
            None => {
                self.hand_over(packet, segment, key, around);
                Attempt::Delivered
            }
        }
    }

    fn hand_over(
        &mut self,
        packet: &Packet,
        segment: &TcpSegment,
        key: FlowKey,
        around: &mut Surroundings<'_>,
    ) {
        let back = key.reversed();
        around.counters.packets_delivered += 1;
        around.counters.payload_bytes_delivered += segment.payload.len() as u64;
        tap(around, packet, Fate::Delivered);
        if segment.flags.rst {
            self.orphans.remove(&key);
            self.orphans.remove(&back);
            // A kernel that aborts a half-open connection keeps its port for ever; one that hears nothing frees it with
            // the listener.
            if self.half_open.contains(&back) {
                return;
            }
            self.flows.remove(&back);
        } else if !self.half_open.is_empty() && segment.flags.ack && !segment.flags.syn {
            self.half_open.remove(&back);
        }
        if !self.orphans.is_empty() && self.orphans.contains(&back) && is_pure_ack(segment) {
            return;
        }
        self.handed_over += 1;
        around.guard.deliver(packet.clone());
    }

    /// The end that waits for an acknowledgement learns that none will come.
    fn give_up(&mut self, packet: &Packet, key: FlowKey, around: &mut Surroundings<'_>) {
        around.counters.connections_given_up += 1;
        self.flows.remove(&key);
        if is_pure_ack_packet(packet) {
            self.reset(key.reversed(), around);
        } else {
            self.reset(key, around);
        }
    }

    /// Hands the sender of a flow a reset, as from its peer, and forgets what it had under way.
    fn reset(&mut self, key: FlowKey, around: &mut Surroundings<'_>) {
        self.flows.remove(&key);
        if self.half_open.contains(&key) {
            return;
        }
        self.orphans.remove(&key);
        if system_at(around.systems, key.source().ip()).is_some_and(|id| around.systems[id.index()].up) {
            let reset = reset_packet(key.destination(), key.source());
            tap(around, &reset, Fate::Made);
            self.handed_over += 1;
            around.guard.deliver(reset);
        }
    }
}

/// Whether the sender still has the connection a packet belongs to.
fn owned(packet: &Packet, around: &Surroundings<'_>) -> bool {
    let Some((key, _)) = flow_of(packet) else {
        return false;
    };
    if system_at(around.systems, packet.src).is_none() {
        return false;
    }
    let (local, peer) = (key.source(), key.destination());
    let entries = turmoil_net::netstat(packet.src).entries;
    entries
        .iter()
        .any(|entry| entry.local == local && entry.peer == Some(peer))
}

fn system_at(systems: &[System], ip: IpAddr) -> Option<SystemId> {
    SystemId::from_ip(ip).filter(|id| id.index() < systems.len())
}

/// What both ends' firewalls, and the power, make of a packet; `None` lets it pass.
fn verdict(packet: &Packet, segment: &TcpSegment, around: &Surroundings<'_>) -> Option<Action> {
    let from = system_at(around.systems, packet.src);
    let to = system_at(around.systems, packet.dst);
    let passage = |inbound, peer| Passage {
        inbound,
        source_port: segment.src_port,
        destination_port: segment.dst_port,
        peer,
    };
    if let Some(from) = from {
        let outward = around.systems[from.index()].firewall.verdict(passage(false, to));
        if outward.is_some() {
            return outward;
        }
    }
    let Some(to) = to else { return Some(Action::Drop) };
    let receiver = &around.systems[to.index()];
    if !receiver.up {
        return Some(Action::Drop);
    }
    receiver.firewall.verdict(passage(true, from))
}

fn tap(around: &mut Surroundings<'_>, packet: &Packet, fate: Fate) {
    if let Some(tap) = &mut around.tap {
        let from = system_at(around.systems, packet.src);
        let to = system_at(around.systems, packet.dst);
        tap(&Tapped {
            at: around.now,
            from,
            to,
            fate,
            packet,
        });
    }
}
