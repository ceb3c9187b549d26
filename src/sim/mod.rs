//! The simulation shell: scenarios and seeds go in, traces and verdicts come out.
//!
//! `scenario` parses the files under `scenarios/`, `topology` and `fault` are their vocabulary, `script` plays one over a
//! `stage` (the simulated world, or a fake in tests), `trace` keeps what happened, `model` folds it into who is what,
//! `oracle` judges it, `render` writes it for people and `runner` joins all of that into `(scenario, seed) -> Run`.
//! `world` is the event-driven network, `client` and `workload` the applications on it. Source: ours.

pub mod client;
pub mod connection_string;
pub mod echo;
pub mod fault;
pub mod kernel;
mod last_look;
pub mod launch;
pub mod log;
pub mod model;
pub mod oracle;
pub mod pcap;
pub mod plan;
pub mod reference;
pub mod render;
pub mod runner;
pub mod scenario;
pub mod script;
pub mod stage;
pub mod topology;
pub mod trace;
pub mod workload;
pub mod world;
