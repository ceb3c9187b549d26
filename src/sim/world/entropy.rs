//! The entropy seam: seeds from the run's seed, the process's name and how often it has been started.

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use crate::driver::entropy::Entropy;

use super::streams::Streams;

/// Seeds for one start of one process.
#[derive(Debug, Clone)]
pub struct SimEntropy(ChaCha8Rng);

impl SimEntropy {
    /// `start` counts the starts of the process of this name, from zero.
    pub fn new(streams: &Streams, name: &str, start: u64) -> Self {
        SimEntropy(streams.stream(&format!("entropy/{name}/{start}")))
    }
}

impl Entropy for SimEntropy {
    fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        seed
    }
}
