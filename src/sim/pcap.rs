//! A capture of the simulated wire, as Wireshark and tcpdump read it.
//!
//! Every packet as its sender put it on the cable, with Ethernet, IPv4 and TCP headers and their checksums, stamped with
//! virtual time from the world's epoch on. A packet that a firewall drops stands there without an answer; a reset the
//! network makes itself stands there when it is handed over. Traffic within one system never reaches the wire. Source:
//! ours; the format is libpcap's, microseconds, link type Ethernet.

use std::net::IpAddr;

use etherparse::PacketBuilder;
use turmoil_net::{Packet, Transport};

use super::world::{EPOCH, Fate, Tapped};
use crate::types::Timestamp;

const MAGIC: u32 = 0xa1b2_c3d4;
const VERSION: (u16, u16) = (2, 4);
const PACKET_BYTES_MAX: u32 = 1 << 18;
const LINK_ETHERNET: u32 = 1;

/// The packets of one run, in the order they were seen.
#[derive(Debug)]
pub struct Capture {
    bytes: Vec<u8>,
}

impl Default for Capture {
    fn default() -> Self {
        Self::new()
    }
}

impl Capture {
    pub fn new() -> Self {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&MAGIC.to_le_bytes());
        bytes.extend_from_slice(&VERSION.0.to_le_bytes());
        bytes.extend_from_slice(&VERSION.1.to_le_bytes());
        // Zone and accuracy: both zero, as everywhere.
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&PACKET_BYTES_MAX.to_le_bytes());
        bytes.extend_from_slice(&LINK_ETHERNET.to_le_bytes());
        Capture { bytes }
    }

    /// Takes a packet down if this is how it got on the wire.
    pub fn packet(&mut self, tapped: &Tapped<'_>) {
        if matches!(tapped.fate, Fate::Sent | Fate::Made)
            && let Some(packet) = encode(tapped.packet)
        {
            self.put(tapped.at, &packet);
        }
    }

    /// The file.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn put(&mut self, at: Timestamp, packet: &[u8]) {
        let since_1970 = EPOCH.unix_millis().unsigned_abs() * 1_000 + at.as_micros();
        let length = packet.len() as u32;
        for number in [
            (since_1970 / 1_000_000) as u32,
            (since_1970 % 1_000_000) as u32,
            length,
            length,
        ] {
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
        self.bytes.extend_from_slice(packet);
    }
}

/// The packet as it would be on an Ethernet; nothing but TCP over IPv4 is on ours.
fn encode(packet: &Packet) -> Option<Vec<u8>> {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (packet.src, packet.dst) else {
        return None;
    };
    let Transport::Tcp(segment) = &packet.payload else {
        return None;
    };
    let mut step = PacketBuilder::ethernet2(adapter(from.octets()), adapter(to.octets()))
        .ipv4(from.octets(), to.octets(), packet.ttl)
        .tcp(segment.src_port, segment.dst_port, segment.seq, segment.window);
    let flags = segment.flags;
    if flags.syn {
        step = step.syn();
    }
    if flags.ack {
        step = step.ack(segment.ack);
    }
    if flags.fin {
        step = step.fin();
    }
    if flags.rst {
        step = step.rst();
    }
    if flags.psh {
        step = step.psh();
    }
    let mut bytes = Vec::with_capacity(step.size(segment.payload.len()));
    // Only a payload beyond 64 KiB is refused, and segments are bounded by the MTU.
    step.write_to_vec(&mut bytes, &segment.payload).ok()?;
    Some(bytes)
}

/// A locally administered hardware address, made of the system's address.
fn adapter([a, b, c, d]: [u8; 4]) -> [u8; 6] {
    [0x02, 0x00, a, b, c, d]
}
