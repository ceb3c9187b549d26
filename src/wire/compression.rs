//! The log stream is compressed: a block's frame is sent as LZ4 if that makes it smaller by an eighth, otherwise as it is.
//!
//! The length it will have is sent along and checked against the limit before anything is allocated. Source: documented,
//! *Database Mirroring (SQL Server)*, compression of the log stream, sent compressed only if it saves at least 12.5 %;
//! the format of the compressed block is LZ4's.

/// Frames below this are sent as they are, in bytes. Source: ours.
const COMPRESSED_BYTES_MIN: usize = 256;

/// A frame as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Packed<'a> {
    AsItIs(&'a [u8]),
    Compressed {
        /// How long the frame is.
        length: usize,
        bytes: Vec<u8>,
    },
}

pub(super) fn pack(frame: &[u8]) -> Packed<'_> {
    if frame.len() < COMPRESSED_BYTES_MIN {
        return Packed::AsItIs(frame);
    }
    let bytes = lz4_flex::block::compress(frame);
    match bytes.len() <= frame.len() - frame.len() / 8 {
        true => Packed::Compressed {
            length: frame.len(),
            bytes,
        },
        false => Packed::AsItIs(frame),
    }
}

/// The frame of `length` bytes that was compressed to `bytes`; `None` if it was not. The caller has checked `length`.
pub(super) fn unpack(length: usize, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut frame = vec![0; length];
    let written = lz4_flex::block::decompress_into(bytes, &mut frame).ok()?;
    (written == length).then_some(frame)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_saves_less_than_an_eighth_is_sent_as_it_is() {
        let mut state = 1_u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(4_096)
        .collect();
        assert_eq!(pack(&noise), Packed::AsItIs(&noise));
        assert_eq!(
            pack(&[0; COMPRESSED_BYTES_MIN - 1]),
            Packed::AsItIs(&[0; COMPRESSED_BYTES_MIN - 1])
        );
        assert!(
            matches!(pack(&[0; 4_096]), Packed::Compressed { length: 4_096, bytes } if bytes.len() < 100)
        );
    }

    proptest! {
        #[test]
        fn a_frame_is_unpacked_as_it_was_packed(
            words in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 1..6),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..200),
        ) {
            let frame: Vec<u8> = order.iter().flat_map(|i| i.get(&words).clone()).collect();
            match pack(&frame) {
                Packed::AsItIs(same) => prop_assert_eq!(same, &frame[..]),
                Packed::Compressed { length, bytes } => {
                    prop_assert!(bytes.len() < length);
                    prop_assert_eq!(unpack(length, &bytes), Some(frame.clone()));
                    prop_assert_eq!(unpack(length + 1, &bytes), None);
                    prop_assert_eq!(unpack(length - 1, &bytes), None);
                }
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(length in 0..2_000usize, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = unpack(length, &bytes);
        }
    }
}
