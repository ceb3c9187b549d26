//! One direction of a connection: who it is, what is under way, and what kind of packet that is.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use turmoil_net::{Packet, TcpFlags, TcpSegment, Transport};

use crate::types::Timestamp;

use super::LatencyRange;
use crate::sim::world::streams::Streams;

/// Source address and port, destination address and port, in one comparable number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FlowKey(u128);

pub(super) struct Flow {
    seed: u64,
    drawn: u64,
    pub(super) last_due: Timestamp,
    /// The turn at which the head is scheduled; entries of other turns are stale.
    pub(super) turn: u64,
    pub(super) queue: VecDeque<Queued>,
}

pub(super) struct Queued {
    pub(super) packet: Packet,
    pub(super) due: Timestamp,
    /// When it first met silence, and the next wait.
    pub(super) silence: Option<(Timestamp, Duration)>,
}

impl Flow {
    pub(super) fn new(streams: &Streams, key: FlowKey) -> Self {
        Flow {
            seed: streams.number("latency", key.0),
            drawn: 0,
            last_due: Timestamp::ZERO,
            turn: 0,
            queue: VecDeque::new(),
        }
    }

    /// The latency of the next packet: a function of the flow's seed and the packet's number (SplitMix64).
    pub(super) fn draw(&mut self, (least, most): LatencyRange) -> Duration {
        self.drawn += 1;
        let mut z = self
            .seed
            .wrapping_add(self.drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let width = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX - 1);
        least + Duration::from_micros(z % width.saturating_add(1))
    }
}

impl FlowKey {
    pub(super) fn new(source: SocketAddr, destination: SocketAddr) -> Option<FlowKey> {
        Some(FlowKey((end(source)? << 48) | end(destination)?))
    }

    pub(super) fn reversed(self) -> FlowKey {
        FlowKey(((self.0 & END_MASK) << 48) | (self.0 >> 48))
    }

    pub(super) fn source(self) -> SocketAddr {
        address(self.0 >> 48)
    }

    pub(super) fn destination(self) -> SocketAddr {
        address(self.0 & END_MASK)
    }
}

const END_MASK: u128 = (1 << 48) - 1;

fn end(address: SocketAddr) -> Option<u128> {
    let SocketAddr::V4(address) = address else {
        return None;
    };
    Some((u128::from(u32::from(*address.ip())) << 16) | u128::from(address.port()))
}

fn address(end: u128) -> SocketAddr {
    let bytes = end.to_be_bytes();
    let ip = [bytes[10], bytes[11], bytes[12], bytes[13]];
    SocketAddr::new(IpAddr::from(ip), u16::from_be_bytes([bytes[14], bytes[15]]))
}

pub(super) fn flow_of(packet: &Packet) -> Option<(FlowKey, &TcpSegment)> {
    let Transport::Tcp(segment) = &packet.payload else {
        return None;
    };
    let source = SocketAddr::new(packet.src, segment.src_port);
    let destination = SocketAddr::new(packet.dst, segment.dst_port);
    Some((FlowKey::new(source, destination)?, segment))
}

pub(super) fn is_pure_ack(segment: &TcpSegment) -> bool {
    let flags = segment.flags;
    flags.ack && !flags.syn && !flags.fin && !flags.rst && segment.payload.is_empty()
}

pub(super) fn is_pure_ack_packet(packet: &Packet) -> bool {
    matches!(&packet.payload, Transport::Tcp(segment) if is_pure_ack(segment))
}

pub(super) fn is_syn(packet: &Packet) -> bool {
    matches!(&packet.payload, Transport::Tcp(segment) if segment.flags.syn && !segment.flags.ack)
}

/// A reset from `from` to `to`.
pub(in super::super) fn reset_packet(from: SocketAddr, to: SocketAddr) -> Packet {
    Packet {
        src: from.ip(),
        dst: to.ip(),
        ttl: 64,
        payload: Transport::Tcp(TcpSegment {
            src_port: from.port(),
            dst_port: to.port(),
            seq: 0,
            ack: 0,
            flags: TcpFlags {
                rst: true,
                ..TcpFlags::default()
            },
            window: 0,
            payload: Default::default(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_key_keeps_both_ends() {
        let a: SocketAddr = "10.0.0.1:50000".parse().unwrap();
        let b: SocketAddr = "10.0.0.2:7022".parse().unwrap();
        let key = FlowKey::new(a, b).unwrap();
        assert_eq!(key.source(), a);
        assert_eq!(key.destination(), b);
        assert_eq!(key.reversed(), FlowKey::new(b, a).unwrap());
        assert_eq!(FlowKey::new("[::1]:1".parse().unwrap(), b), None);
    }

    #[test]
    fn latencies_stay_in_their_range_and_depend_on_flow_and_seed() {
        let key = FlowKey::new("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap()).unwrap();
        let range = (Duration::from_millis(1), Duration::from_millis(10));
        let draws = |seed, key| {
            let mut flow = Flow::new(&Streams::new(seed), key);
            (0..100).map(|_| flow.draw(range)).collect::<Vec<_>>()
        };
        let first = draws(1, key);
        assert!(first.iter().all(|latency| (range.0..=range.1).contains(latency)));
        assert_eq!(first, draws(1, key));
        assert_ne!(first, draws(2, key));
        assert_ne!(first, draws(1, key.reversed()));
        let fixed = (range.0, range.0);
        assert_eq!(Flow::new(&Streams::new(1), key).draw(fixed), range.0);
    }
}
