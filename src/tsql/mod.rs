//! T-SQL: a script to batches, a batch to statements.
//!
//! `split_batches` cuts a script at `GO`; `parse` turns one batch into statements with the places where they stand;
//! `render_error` draws an error into its script. Tokens and queries are `sqlparser`'s, the statements of this domain
//! are read by our own recursive descent. Knows no instance: whether a name exists is not asked here.

pub mod ast;
mod batch;
mod date;
mod parser;
mod print;
mod procedure;
mod render;
mod token;

pub use ast::*;
pub use batch::{Batch, split_batches};
pub use date::parse_datetime;
pub use parser::{LISTENER_PORT_MAX, LISTENER_PORT_MIN, QUERY_OPERATORS_MAX, parse};
pub use procedure::{Argument, Execute, MonitorProcedure, Procedure};
pub use render::render_error;
pub use token::{BATCH_BYTES_MAX, IDENTIFIER_CHARS_MAX, is_reserved};

#[cfg(test)]
mod tests;
