//! The bytes of a file, of which only blocks that were written take room: most of a fresh data file is zeros.

use std::sync::Arc;

/// What takes room at once, in bytes.
pub(super) const BLOCK: usize = 1024;

/// Shared with the copies of the file until one of them writes to it.
type Block = Arc<[u8; BLOCK]>;

fn zeros() -> Block {
    Arc::new([0; BLOCK])
}

/// `len` bytes; a block that is absent reads as zeros. Beyond `len` every byte of the last block is zero.
#[derive(Clone, Default)]
pub(super) struct Content {
    blocks: Vec<Option<Block>>,
    len: usize,
}

impl Content {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Cut off at the end, or filled up with zeros.
    pub(super) fn resize(&mut self, len: usize) {
        self.blocks.resize(len.div_ceil(BLOCK), None);
        if len < self.len
            && let Some(Some(last)) = self.blocks.get_mut(len / BLOCK)
        {
            Arc::make_mut(last)[len % BLOCK..].fill(0);
        }
        self.len = len;
    }

    /// Fills `into` from `at`. The caller has seen that the end is not passed.
    pub(super) fn read(&self, at: usize, into: &mut [u8]) {
        debug_assert!(at + into.len() <= self.len);
        for (number, within, part) in pieces(at, into.len()) {
            match &self.blocks[number] {
                Some(block) => into[part].copy_from_slice(&block[within]),
                None => into[part].fill(0),
            }
        }
    }

    /// The bytes of a range within the file.
    pub(super) fn bytes(&self, from: usize, to: usize) -> Vec<u8> {
        let mut bytes = vec![0; to - from];
        self.read(from, &mut bytes);
        bytes
    }

    /// Puts `bytes` at `at`; the file grows if they reach beyond its end.
    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        if at + bytes.len() > self.len {
            self.resize(at + bytes.len());
        }
        for (number, within, part) in pieces(at, bytes.len()) {
            let (bytes, place) = (&bytes[part], &mut self.blocks[number]);
            if place.is_none() && bytes.iter().all(|byte| *byte == 0) {
                continue;
            }
            Arc::make_mut(place.get_or_insert_with(zeros))[within].copy_from_slice(bytes);
        }
    }

    /// Flips bits of one byte; `None` where the file has none.
    pub(super) fn flip(&mut self, at: usize, mask: u8) -> Option<()> {
        if at >= self.len {
            return None;
        }
        let block = self.blocks[at / BLOCK].get_or_insert_with(zeros);
        Arc::make_mut(block)[at % BLOCK] ^= mask;
        Some(())
    }
}

/// A range cut at the borders of blocks: number of the block, range within it, range within the whole.
fn pieces(
    at: usize,
    len: usize,
) -> impl Iterator<Item = (usize, std::ops::Range<usize>, std::ops::Range<usize>)> {
    let end = at + len;
    let numbers = if len == 0 {
        0..0
    } else {
        at / BLOCK..(end - 1) / BLOCK + 1
    };
    numbers.map(move |number| {
        let first = number * BLOCK;
        let (from, to) = (at.max(first), end.min(first + BLOCK));
        (number, from - first..to - first, from - at..to - at)
    })
}
