//! **mirrorlab**: a deterministic simulation testbed for SQL Server's database mirroring endpoint.
//!
//! Reading order: `instance`, then a scenario under `scenarios/` and its snapshot under `snapshots/`.
//!
//! Layers, each using only those above it: `types`, `error` → `wire`, `crypto` → `domain` → `endpoint`, `log` → `session`
//! → `tsql` → `instance` → `driver` → `sim` → `cli`. In the layers before `driver` there is no async, socket, file, thread,
//! clock, environment variable, ambient randomness or iteration over a hash map; `tests/tidy.rs` holds that.

pub mod cli;
pub mod crypto;
pub mod domain;
pub mod driver;
pub mod endpoint;
pub mod error;
pub mod instance;
pub mod log;
pub mod session;
pub mod sim;
pub mod tsql;
pub mod types;
pub mod wire;
