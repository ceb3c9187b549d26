//! Seeded randomness: one ChaCha8 stream per purpose, derived by name.
//!
//! A new consumer takes a new name and moves nothing else. Names may carry detail (`"disk/alpha"`), so that one
//! system's draws do not move another's. Source: ours.

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use sha2::{Digest, Sha256};

/// The root of all randomness of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    seed: u64,
}

impl Streams {
    pub const fn new(seed: u64) -> Self {
        Streams { seed }
    }

    /// The stream of one purpose, from its beginning.
    pub fn stream(&self, purpose: &str) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(self.seed(purpose))
    }

    /// The 32-byte seed of one purpose: SHA-256 over the run's seed and the name.
    pub fn seed(&self, purpose: &str) -> [u8; 32] {
        Sha256::new()
            .chain_update(b"mirrorlab stream\0")
            .chain_update(self.seed.to_le_bytes())
            .chain_update(purpose.as_bytes())
            .finalize()
            .into()
    }

    /// A 64-bit seed of one member of a numbered family, such as one flow of the wire.
    pub(super) fn number(&self, purpose: &str, member: u128) -> u64 {
        let digest = Sha256::new()
            .chain_update(self.seed(purpose))
            .chain_update(member.to_le_bytes())
            .finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        u64::from_le_bytes(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::Rng;

    #[test]
    fn purposes_are_independent_and_repeatable() {
        let first = |seed, purpose| Streams::new(seed).stream(purpose).next_u64();
        assert_eq!(first(1, "workload"), first(1, "workload"));
        assert_ne!(first(1, "workload"), first(1, "faults"));
        assert_ne!(first(1, "workload"), first(2, "workload"));
    }
}
