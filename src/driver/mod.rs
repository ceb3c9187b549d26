//! The only async code: it moves bytes, log writes and wake-ups between an `Instance` and the world.
//!
//! Written once over four seams: [`Net`](net::Net), [`Disk`](disk::Disk), [`Clock`](clock::Clock) and
//! [`Entropy`](entropy::Entropy). `run` is the loop; `store` carries out disk requests over `Disk`.

pub mod clock;
pub mod disk;
pub mod entropy;
#[cfg(test)]
pub(crate) mod memory_disk;
#[cfg(test)]
pub(crate) mod memory_net;
pub mod net;
pub mod real;
pub mod run;
pub mod store;

pub use run::{Exit, Observer, run};
