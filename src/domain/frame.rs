//! Requests to a domain controller and its answers on a byte stream: a length of four bytes, then the message.
//!
//! One answer for each request, in order. Source: documented for Kerberos over TCP (RFC 4120 7.2.2); that the other
//! requests share the stream is ours.

use thiserror::Error;

/// Bytes of one request or answer.
pub const CONTROLLER_MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// What arrived is no frame; the stream is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a message of {0} bytes announced; at most {CONTROLLER_MESSAGE_BYTES_MAX} are taken")]
pub struct FrameError(pub u32);

/// The message behind its length. One longer than [`CONTROLLER_MESSAGE_BYTES_MAX`] is cut, so that the reader refuses
/// what it says; none that this layer makes is.
pub fn encode_frame(message: &[u8]) -> Vec<u8> {
    let kept = &message[..message.len().min(CONTROLLER_MESSAGE_BYTES_MAX)];
    let count = u32::try_from(kept.len()).unwrap_or(u32::MAX);
    [&count.to_be_bytes(), kept].concat()
}

/// Collects bytes as they come and gives whole messages.
#[derive(Debug, Default)]
pub struct FrameReader {
    pending: Vec<u8>,
}

impl FrameReader {
    /// Takes what arrived. Call [`next`](FrameReader::next) until it gives nothing.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next whole message, if it is there. Fails as soon as a length is beyond the limit.
    #[expect(clippy::should_implement_trait, reason = "an iterator could not fail")]
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        let Some((length, rest)) = self.pending.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let announced = u32::from_be_bytes(*length);
        let count = usize::try_from(announced).map_err(|_| FrameError(announced))?;
        if count > CONTROLLER_MESSAGE_BYTES_MAX {
            return Err(FrameError(announced));
        }
        let Some(message) = rest.get(..count).map(<[u8]>::to_vec) else {
            return Ok(None);
        };
        self.pending.drain(..4 + count);
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn messages_survive_any_cutting(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..5),
            cut in 1usize..20,
        ) {
            let bytes: Vec<u8> = messages.iter().flat_map(|m| encode_frame(m)).collect();
            let mut reader = FrameReader::default();
            let mut seen = Vec::new();
            for piece in bytes.chunks(cut) {
                reader.push(piece);
                while let Some(message) = reader.next().expect("well formed") {
                    seen.push(message);
                }
            }
            prop_assert_eq!(seen, messages);
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_its_bytes_arrive() {
        let mut reader = FrameReader::default();
        reader.push(&[0, 1, 0, 0]);
        assert_eq!(reader.next(), Err(FrameError(0x1_0000)));
    }
}
