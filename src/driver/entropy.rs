//! The entropy seam: one seed for each start of an instance. The core derives its streams from it.

/// Where seeds come from: the run's seed in a simulation, the operating system otherwise.
pub trait Entropy: 'static {
    /// A fresh seed for one start of one instance.
    fn seed(&mut self) -> [u8; 32];
}
