//! The frames of a connection on their way: sealed where encryption was agreed, clear where it was not.

use super::{Connection, ConnectionOutput};
use crate::crypto::record::{RecordCipher, TAG_BYTES};
use crate::endpoint::error::LoginError;
use crate::endpoint::login::RecordKeys;
use crate::types::Now;
use crate::wire::frame::{FLAG_SEALED, FrameHeader, FrameType, HEADER_BYTES, PREAMBLE_BYTES, Protocol};

/// The ciphers of both directions, where encryption was agreed.
#[derive(Debug)]
pub(super) struct Records {
    send: RecordCipher,
    receive: RecordCipher,
}

impl Records {
    /// None where nothing is encrypted.
    pub(super) fn new(keys: &RecordKeys) -> Option<Self> {
        Some(Records {
            send: RecordCipher::new(keys.encryption, keys.send)?,
            receive: RecordCipher::new(keys.encryption, keys.receive)?,
        })
    }
}

impl Connection {
    /// One frame to the peer, sealed where encryption was agreed; the preamble goes before the first.
    pub(super) fn send_frame(&mut self, now: Now, kind: FrameType, message: &[u8]) {
        let tag_bytes = if self.records.is_some() { TAG_BYTES } else { 0 };
        let header = FrameHeader {
            kind,
            flags: if self.records.is_some() { FLAG_SEALED } else { 0 },
            sequence: self.next_sequence,
            length: (message.len() + tag_bytes) as u32,
        };
        let mut out = Vec::with_capacity(PREAMBLE_BYTES + HEADER_BYTES + message.len() + tag_bytes);
        if self.next_sequence == 0 {
            out.extend_from_slice(&Protocol::Mirroring.preamble());
        }
        out.extend_from_slice(&header.bytes(message));
        let begin = out.len();
        out.extend_from_slice(message);
        if let Some(records) = &mut self.records {
            let tag = records
                .send
                .seal(header.sequence, &header.checked_bytes(), &mut out[begin..]);
            out.extend_from_slice(&tag);
        }
        self.next_sequence += 1;
        self.facts.frames_sent += 1;
        self.facts.sends += 1;
        self.facts.bytes_sent += out.len() as u64;
        self.facts.last_activity_time = Some(now.wall);
        self.outputs.push_back(ConnectionOutput::Send(out));
    }
}

/// The message of a frame: as it is where nothing is sealed, decrypted where everything must be.
pub(super) fn unseal<'a>(
    records: Option<&mut Records>,
    header: &FrameHeader,
    payload: &'a mut [u8],
) -> Result<&'a [u8], LoginError> {
    match (records, header.is_sealed()) {
        (None, false) => Ok(payload),
        (Some(records), true) => records
            .receive
            .open(header.sequence, &header.checked_bytes(), payload)
            .map(|message| &*message)
            .map_err(|_| LoginError::SealBroken),
        (None, true) | (Some(_), false) => Err(LoginError::NotSealed),
    }
}
