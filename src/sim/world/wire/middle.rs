//! A man in the middle: alters the stream of a connection as whoever sits on the wire could, and keeps TCP content.
//!
//! He reads frame headers, which are never encrypted, and holds no keys. Where he changes the length of the stream he
//! numbers the sender's later packets, and the receiver's acknowledgements, anew, so that neither kernel notices. Frames
//! are looked for in packets that hold nothing but whole ones (most do); the bytes of any packet can be dropped.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use turmoil_net::{Packet, TcpSegment, Transport};

use super::super::counters::Effect;
use super::super::streams::Streams;
use super::super::system::SystemId;
use super::flow::FlowKey;
use crate::wire::frame::{FrameHeader, FrameType, HEADER_BYTES, PREAMBLE_BYTES, Protocol};

/// Most bytes he cuts off or drops at once.
const BYTES_MAX: usize = 16;

/// What is done to the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meddling {
    /// One bit of a frame's payload is flipped; a check value over it is mended.
    Tamper,
    /// A frame comes twice.
    Replay,
    /// The end of a frame's payload is cut off; its length, and a check value over it, are mended.
    Truncate,
    /// Two frames that follow each other change places.
    Reorder,
    /// Bytes are missing from the stream; nothing is mended.
    DropBytes,
}

impl Meddling {
    pub const ALL: [Meddling; 5] = [
        Meddling::Tamper,
        Meddling::Replay,
        Meddling::Truncate,
        Meddling::Reorder,
        Meddling::DropBytes,
    ];

    /// As scenarios write it.
    pub const fn name(self) -> &'static str {
        match self {
            Meddling::Tamper => "tamper",
            Meddling::Replay => "replay",
            Meddling::Truncate => "truncate",
            Meddling::Reorder => "reorder",
            Meddling::DropBytes => "drop_bytes",
        }
    }
}

impl fmt::Display for Meddling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whose stream is altered, how, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attack {
    pub how: Meddling,
    pub from: SystemId,
    pub to: SystemId,
    /// Only connections with this port at either end.
    pub port: Option<u16>,
    pub count: u32,
}

#[derive(Default)]
pub(super) struct Middle {
    attacks: Vec<Running>,
    next: u64,
    bends: BTreeMap<FlowKey, Vec<Bend>>,
    /// Packets whose frame is to come after the next one.
    held: BTreeMap<FlowKey, Packet>,
}

struct Running {
    id: u64,
    attack: Attack,
    left: u32,
    effect: Effect,
}

/// A place of a stream from which the receiver counts differently.
struct Bend {
    /// The receiver's number of the first byte after the place.
    at: u32,
    /// What is added to the sender's numbers, modulo 2^32.
    by: u32,
}

impl Middle {
    /// Nobody listens and no stream is bent.
    pub(super) fn is_idle(&self) -> bool {
        self.attacks.is_empty() && self.bends.is_empty() && self.held.is_empty()
    }

    pub(super) fn begin(&mut self, attack: Attack) -> (u64, Effect) {
        let id = self.next;
        self.next += 1;
        let effect = Effect::default();
        self.attacks.push(Running {
            id,
            attack,
            left: attack.count,
            effect: effect.clone(),
        });
        (id, effect)
    }

    /// Streams stay bent: their connections live on.
    pub(super) fn end(&mut self, id: u64) {
        self.attacks.retain(|running| running.id != id);
    }

    /// A connection begins or is gone.
    pub(super) fn forget(&mut self, key: FlowKey) {
        self.bends.remove(&key);
        self.held.remove(&key);
    }

    pub(super) fn forget_if(&mut self, gone: impl Fn(&FlowKey) -> bool) {
        self.bends.retain(|key, _| !gone(key));
        self.held.retain(|key, _| !gone(key));
    }

    /// What goes on in place of `packet`, in order. `ends` are the systems it goes from and to.
    pub(super) fn pass(
        &mut self,
        streams: &Streams,
        key: FlowKey,
        ends: (Option<SystemId>, Option<SystemId>),
        packet: Packet,
    ) -> Vec<Packet> {
        let mut out = Vec::new();
        let flags = match &packet.payload {
            Transport::Tcp(segment) => segment.flags,
            Transport::Udp(_) => return vec![packet],
        };
        if flags.rst {
            self.forget(key);
            return vec![packet];
        }
        let is_data = tcp(&packet).is_some_and(|segment| !segment.payload.is_empty());
        if let Some(mut held) = self.held.remove(&key) {
            if is_data
                && let Some(mut swapped) = swap(&held, &packet)
                && let Some(running) = self.matching(key, ends, Meddling::Reorder)
            {
                running.left -= 1;
                running.effect.hit();
                self.straighten(key, &mut swapped);
                return vec![swapped];
            }
            if !is_data && !flags.fin {
                // An acknowledgement overtakes what is held; it says nothing about it.
                self.held.insert(key, held);
            } else {
                self.straighten(key, &mut held);
                out.push(held);
            }
        }
        let mut packet = packet;
        match self.attack_on(key, ends, &packet) {
            Some((Meddling::Reorder, _)) if !swap_within(&mut packet) => {
                self.held.insert(key, packet);
                return out;
            }
            Some((how, index)) => {
                let running = &mut self.attacks[index];
                let draw = streams.number(
                    "middle",
                    (u128::from(running.id) << 64) | u128::from(running.left),
                );
                running.left -= 1;
                running.effect.hit();
                let before = payload_bytes(&packet);
                if how != Meddling::Reorder {
                    alter(how, draw, &mut packet);
                }
                let change = (payload_bytes(&packet).wrapping_sub(before)) as u32;
                self.straighten(key, &mut packet);
                if change != 0 {
                    let at = tcp(&packet).map_or(0, |s| s.seq.wrapping_add(s.payload.len() as u32));
                    self.bends.entry(key).or_default().push(Bend { at, by: change });
                }
            }
            None => self.straighten(key, &mut packet),
        }
        out.push(packet);
        out
    }

    fn matching(
        &mut self,
        key: FlowKey,
        ends: (Option<SystemId>, Option<SystemId>),
        how: Meddling,
    ) -> Option<&mut Running> {
        self.attacks
            .iter_mut()
            .find(|running| running.attack.how == how && running.is_about(key, ends))
    }

    /// The first attack that this packet gives occasion to.
    fn attack_on(
        &self,
        key: FlowKey,
        ends: (Option<SystemId>, Option<SystemId>),
        packet: &Packet,
    ) -> Option<(Meddling, usize)> {
        let payload = &tcp(packet)?.payload;
        let fits = |how| match how {
            Meddling::DropBytes => !payload.is_empty(),
            Meddling::Replay | Meddling::Reorder => frames(payload).is_some(),
            Meddling::Tamper | Meddling::Truncate => {
                frames(payload).is_some_and(|frames| last_with_payload(&frames).is_some())
            }
        };
        self.attacks
            .iter()
            .position(|running| running.is_about(key, ends) && fits(running.attack.how))
            .map(|index| (self.attacks[index].attack.how, index))
    }

    /// Numbers a packet, and what it acknowledges, as its receiver counts.
    fn straighten(&self, key: FlowKey, packet: &mut Packet) {
        let Transport::Tcp(segment) = &mut packet.payload else {
            return;
        };
        for bend in self.bends.get(&key).into_iter().flatten() {
            segment.seq = segment.seq.wrapping_add(bend.by);
        }
        for bend in self.bends.get(&key.reversed()).into_iter().flatten().rev() {
            let is_after = segment.ack.wrapping_sub(bend.at) < 1 << 31;
            if is_after {
                segment.ack = segment.ack.wrapping_sub(bend.by);
            }
        }
    }
}

impl Running {
    fn is_about(&self, key: FlowKey, (from, to): (Option<SystemId>, Option<SystemId>)) -> bool {
        let has_port = |port| key.source().port() == port || key.destination().port() == port;
        self.left > 0
            && from == Some(self.attack.from)
            && to == Some(self.attack.to)
            && self.attack.port.is_none_or(has_port)
    }
}

/// A frame in a packet's payload.
#[derive(Debug)]
struct Frame {
    header: FrameHeader,
    at: Range<usize>,
}

impl Frame {
    fn payload(&self) -> Range<usize> {
        self.at.start + HEADER_BYTES..self.at.end
    }
}

/// The frames of a payload that holds whole frames and nothing else but perhaps the preamble before them.
fn frames(payload: &[u8]) -> Option<Vec<Frame>> {
    let mut at = match payload.starts_with(&Protocol::Mirroring.preamble()) {
        true => PREAMBLE_BYTES,
        false => 0,
    };
    let mut frames = Vec::new();
    while at < payload.len() {
        let bytes = payload[at..].first_chunk::<HEADER_BYTES>()?;
        let (header, _) = FrameHeader::parse(bytes);
        let end = at.checked_add(HEADER_BYTES + header.length as usize)?;
        let body = payload.get(at + HEADER_BYTES..end)?;
        if header.bytes(body) != *bytes || header.kind.0 >= FrameType::CLIENT_HELLO.0 {
            return None;
        }
        frames.push(Frame { header, at: at..end });
        at = end;
    }
    (!frames.is_empty()).then_some(frames)
}

fn last_with_payload(frames: &[Frame]) -> Option<&Frame> {
    frames.iter().rev().find(|frame| frame.header.length > 0)
}

/// Alters a packet that gives occasion to it.
fn alter(how: Meddling, draw: u64, packet: &mut Packet) {
    let Transport::Tcp(segment) = &mut packet.payload else {
        return;
    };
    let mut bytes = segment.payload.to_vec();
    let pick = |bound: usize| usize::try_from(draw % bound as u64).unwrap_or(0);
    match (how, frames(&bytes)) {
        (Meddling::DropBytes, _) => {
            let count = (1 + pick(BYTES_MAX)).min(bytes.len());
            let from = pick(bytes.len() - count + 1);
            bytes.drain(from..from + count);
        }
        (Meddling::Replay, Some(frames)) => {
            if let Some(last) = frames.last() {
                bytes.extend_from_within(last.at.clone());
            }
        }
        (Meddling::Tamper, Some(frames)) => {
            if let Some(frame) = last_with_payload(&frames) {
                let bit = pick(8 * frame.header.length as usize);
                bytes[frame.payload().start + bit / 8] ^= 1 << (bit % 8);
                let header = frame.header.bytes(&bytes[frame.payload()]);
                bytes[frame.at.start..][..HEADER_BYTES].copy_from_slice(&header);
            }
        }
        (Meddling::Truncate, Some(frames)) => {
            if let Some(frame) = last_with_payload(&frames) {
                let cut = 1 + pick(BYTES_MAX.min(frame.header.length as usize));
                let rest = frame.payload().start..frame.at.end - cut;
                let header = FrameHeader {
                    length: rest.len() as u32,
                    ..frame.header
                };
                let header = header.bytes(&bytes[rest.clone()]);
                bytes[frame.at.start..][..HEADER_BYTES].copy_from_slice(&header);
                bytes.drain(rest.end..frame.at.end);
            }
        }
        (Meddling::Reorder, _) | (_, None) => {}
    }
    segment.payload = bytes.into();
}

/// Changes the places of the first two frames of one packet, if it has two.
fn swap_within(packet: &mut Packet) -> bool {
    let Transport::Tcp(segment) = &mut packet.payload else {
        return false;
    };
    let frames = frames(&segment.payload).unwrap_or_default();
    let [one, two, ..] = frames.as_slice() else {
        return false;
    };
    let payload = &segment.payload;
    let parts = [
        &payload[..one.at.start],
        &payload[two.at.clone()],
        &payload[one.at.clone()],
        &payload[two.at.end..],
    ];
    segment.payload = parts.concat().into();
    true
}

/// The frames of `later` before those of `earlier`, in the place of both; none if `later` is not whole frames.
fn swap(earlier: &Packet, later: &Packet) -> Option<Packet> {
    let (first, second) = (tcp(earlier)?, tcp(later)?);
    frames(&second.payload)?;
    let mut packet = later.clone();
    if let Transport::Tcp(segment) = &mut packet.payload {
        segment.seq = first.seq;
        segment.payload = [&second.payload[..], &first.payload[..]].concat().into();
    }
    Some(packet)
}

fn tcp(packet: &Packet) -> Option<&TcpSegment> {
    match &packet.payload {
        Transport::Tcp(segment) => Some(segment),
        Transport::Udp(_) => None,
    }
}

fn payload_bytes(packet: &Packet) -> usize {
    tcp(packet).map_or(0, |segment| segment.payload.len())
}
