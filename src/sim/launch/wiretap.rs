//! An ear on the wire: says when a session message passes, in clear or sealed, and shows every packet to the capture.
//!
//! Every session message begins with the same eight bytes, which no encryption leaves as they are; so a packet that holds
//! them carries a message anybody can read. The oracle `required-never-clear` decides whether that was agreed. Source: ours.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use turmoil_net::Transport;

use crate::sim::trace::Recorder;
use crate::sim::world::{Fate, Tap, Tapped};
use crate::types::{Source, WorldEvent};
use crate::wire::frame::{FLAG_SEALED, FrameType, HEADER_BYTES, HEADER_CHECKED_BYTES};
use crate::wire::mirroring::MAGIC;

/// A tap that records a `ClearSessionMessage` for each direction of a connection in which a session message begins in clear,
/// and a `SealedSessionMessage` for each in which one begins sealed.
pub(super) fn wiretap(recorder: Recorder) -> Tap {
    let mut told: BTreeSet<(SocketAddr, SocketAddr)> = BTreeSet::new();
    let mut told_sealed: BTreeSet<(SocketAddr, SocketAddr)> = BTreeSet::new();
    Box::new(move |tapped: &Tapped<'_>| {
        recorder.packet(tapped);
        let Transport::Tcp(segment) = &tapped.packet.payload else {
            return;
        };
        if tapped.fate != Fate::Sent {
            return;
        }
        let way = (
            SocketAddr::new(tapped.packet.src, segment.src_port),
            SocketAddr::new(tapped.packet.dst, segment.dst_port),
        );
        if segment.flags.syn {
            told.remove(&way);
            told_sealed.remove(&way);
        }
        if holds_message(&segment.payload) && told.insert(way) {
            let event = WorldEvent::ClearSessionMessage {
                from: way.0.to_string(),
                to: way.1.to_string(),
            };
            recorder.record(tapped.at, Source::World, event);
        }
        if begins_sealed(&segment.payload) && told_sealed.insert(way) {
            let event = WorldEvent::SealedSessionMessage {
                from: way.0.to_string(),
                to: way.1.to_string(),
            };
            recorder.record(tapped.at, Source::World, event);
        }
    })
}

/// Whether the packet begins with the frame of a sealed session message. The header's own check value tells a frame from
/// bytes that look like one.
fn begins_sealed(payload: &[u8]) -> bool {
    let Some(header) = payload.first_chunk::<HEADER_BYTES>() else {
        return false;
    };
    let (checked, check) = header.split_at(HEADER_CHECKED_BYTES);
    (checked[4], checked[5]) == (FrameType::SESSION.0, FLAG_SEALED)
        && crc32c::crc32c(checked).to_be_bytes() == *check
}

fn holds_message(payload: &[u8]) -> bool {
    let begins = |at: usize| payload[at..].starts_with(&MAGIC);
    payload
        .iter()
        .enumerate()
        .any(|(at, byte)| *byte == MAGIC[0] && begins(at))
}
