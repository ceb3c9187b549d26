//! System procedures: who may call which, from where, and what they answer.
//!
//! Source: documented, the page of each procedure; see `tsql::Procedure`.

mod error_log;
mod monitor;

use super::Instance;
use super::batch::{Outcome, StatementResult};
use crate::error::msg;
use crate::tsql::{Execute, Procedure};
use crate::types::{ConnectionId, ReplyItem, Value};

pub use monitor::STATUS_TABLE;

/// The database in which the monitor's procedures are called.
pub const MSDB: &str = "msdb";

impl Instance {
    pub(super) fn execute_procedure(&mut self, connection: ConnectionId, call: &Execute) -> StatementResult {
        let login = self.caller(connection).to_owned();
        if !self.catalog.is_sysadmin(&login) {
            return Err(match call.procedure {
                Procedure::ReadErrorLog => msg::EXECUTE_DENIED.with(&[&call.name]),
                _ => msg::SYSADMIN_ONLY.with(&[&call.name]),
            });
        }
        if call.procedure == Procedure::ReadErrorLog {
            return self.read_error_log(&call.arguments);
        }
        let current = self.clients.get(&connection).and_then(|c| c.database.as_ref());
        let database = match &call.database {
            Some(name) => Some(name.as_str()),
            None => current.map(|d| d.as_str()),
        };
        if !database.is_some_and(|d| d.eq_ignore_ascii_case(MSDB)) {
            return Err(msg::MSDB_ONLY.with(&[&call.name]).at(call.name.span));
        }
        self.monitor_procedure(call)
    }
}

/// A row set as the answer of a procedure.
fn answer(columns: &[&str], rows: Vec<Vec<Value>>) -> StatementResult {
    Ok(Outcome::Item(ReplyItem::Rows {
        columns: columns.iter().map(|c| (*c).to_owned()).collect(),
        rows,
    }))
}
