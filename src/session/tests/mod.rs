//! The three roles together, on an in-memory network and disk.

mod coverage;
mod harness;
mod outcomes;
mod schedule;
mod transitions;
