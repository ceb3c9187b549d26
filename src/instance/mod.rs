//! One server instance: endpoint, sessions, log and catalog behind `handle()` and `poll()`.

pub mod io;
