//! Quorum, cell by cell: every pattern of lost links and lost processes in every mode, played in the simulated world and
//! held against the manual.
//!
//! `observe` plays a row and tells who is what at one instant, `expected` is the reference as data, `links` draws the rows
//! and keeps the tables as snapshots; a row that differs from the reference fails the test. `modes` adds the rows of
//! SAFETY OFF and of forced service. `reconfigure` does the same for endpoints that are altered in use, `preconditions`
//! for every way a session cannot begin.

mod expected;
mod links;
mod modes;
mod observe;
mod preconditions;
mod reconfigure;
