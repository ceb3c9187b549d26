//! System procedures: who may call which, from where, and what they answer.
//!
//! Source: documented, the page of each procedure; see `tsql::Procedure`.

mod error_log;
mod monitor;

use super::Instance;
use super::batch::{Outcome, StatementResult};
use crate::error::{SqlError, msg};
use crate::tsql::{Execute, Procedure};
use crate::types::{ConnectionId, ReplyItem, Value};

pub use monitor::STATUS_TABLE;

/// The database in which the monitor's procedures are called.
pub const MSDB: &str = "msdb";

impl Instance {
    pub(super) fn execute_procedure(&mut self, connection: ConnectionId, call: &Execute) -> StatementResult {
        let is_admin = self.catalog.is_sysadmin(self.caller(connection));
        match call.procedure {
            Procedure::ReadErrorLog if is_admin => self.read_error_log(&call.arguments),
            Procedure::ReadErrorLog => Err(msg::EXECUTE_DENIED.with(&[&call.name])),
            Procedure::Monitor(_) if !is_admin => Err(msg::SYSADMIN_ONLY.with(&[&call.name])),
            Procedure::Monitor(procedure) => {
                self.check_in_msdb(connection, call)?;
                self.monitor_procedure(procedure, call)
            }
        }
    }

    /// The procedures of the monitor are called in `msdb` (40520): the database that is named, or the one in use.
    fn check_in_msdb(&self, connection: ConnectionId, call: &Execute) -> Result<(), SqlError> {
        let current = self.clients.get(&connection).and_then(|c| c.database.as_ref());
        let database = match &call.database {
            Some(name) => Some(name.as_str()),
            None => current.map(|d| d.as_str()),
        };
        match database.is_some_and(|d| d.eq_ignore_ascii_case(MSDB)) {
            true => Ok(()),
            false => Err(msg::MSDB_ONLY.with(&[&call.name]).at(call.name.span)),
        }
    }
}

/// A row set as the answer of a procedure.
fn answer(columns: &[&str], rows: Vec<Vec<Value>>) -> StatementResult {
    Ok(Outcome::Item(ReplyItem::Rows {
        columns: columns.iter().map(|c| (*c).to_owned()).collect(),
        rows,
    }))
}
