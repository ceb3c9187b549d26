//! The three roles together, on an in-memory network and disk.

mod commands;
mod coverage;
mod damage;
mod data_file;
mod flow;
mod harness;
mod interruptions;
mod moves;
mod outcomes;
mod pages;
mod redo_queue;
mod reverting;
mod schedule;
mod suspension;
mod transitions;
mod turns;
mod unavailable;
