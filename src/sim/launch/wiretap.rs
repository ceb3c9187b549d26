//! An ear on the wire: says when a session message passes in clear, and shows every packet to the capture.
//!
//! Every session message begins with the same eight bytes, which no encryption leaves as they are; so a packet that holds
//! them carries a message anybody can read. The oracle `required-never-clear` decides whether that was agreed. Source: ours.

use crate::sim::trace::Recorder;
use crate::sim::world::{Fate, Tap, Tapped};
use crate::types::{Source, WorldEvent};
use crate::wire::mirroring::MAGIC;

/// A tap that records a `ClearSessionMessage` for every packet in which a session message begins in clear.
pub(super) fn wiretap(recorder: Recorder) -> Tap {
    Box::new(move |tapped: &Tapped<'_>| {
        recorder.packet(tapped);
        if tapped.fate == Fate::Sent
            && let Some((from, to)) = clear_message(tapped)
        {
            recorder.record(
                tapped.at,
                Source::World,
                WorldEvent::ClearSessionMessage { from, to },
            );
        }
    })
}

fn clear_message(tapped: &Tapped<'_>) -> Option<(String, String)> {
    let (from, to, payload) = tapped.tcp()?;
    let begins = |at: usize| payload[at..].starts_with(&MAGIC);
    let found = payload
        .iter()
        .enumerate()
        .any(|(at, byte)| *byte == MAGIC[0] && begins(at));
    found.then(|| (from.to_string(), to.to_string()))
}
