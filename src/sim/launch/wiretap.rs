//! An ear on the wire: says when a session message passes in clear, and shows every packet to the capture.
//!
//! Every session message begins with the same eight bytes, which no encryption leaves as they are; so a packet that holds
//! them carries a message anybody can read. The oracle `required-never-clear` decides whether that was agreed. Source: ours.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use turmoil_net::Transport;

use crate::sim::trace::Recorder;
use crate::sim::world::{Fate, Tap, Tapped};
use crate::types::{Source, WorldEvent};
use crate::wire::mirroring::MAGIC;

/// A tap that records a `ClearSessionMessage` for each direction of a connection in which a session message begins in clear.
pub(super) fn wiretap(recorder: Recorder) -> Tap {
    let mut told: BTreeSet<(SocketAddr, SocketAddr)> = BTreeSet::new();
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
        }
        if holds_message(&segment.payload) && told.insert(way) {
            let event = WorldEvent::ClearSessionMessage {
                from: way.0.to_string(),
                to: way.1.to_string(),
            };
            recorder.record(tapped.at, Source::World, event);
        }
    })
}

fn holds_message(payload: &[u8]) -> bool {
    let begins = |at: usize| payload[at..].starts_with(&MAGIC);
    payload
        .iter()
        .enumerate()
        .any(|(at, byte)| *byte == MAGIC[0] && begins(at))
}
