//! System procedures: who may call which, from where, and what they answer.
//!
//! Source: documented, the page of each procedure; see `tsql::Procedure`.

mod error_log;
mod monitor;

use std::fmt;

use super::Instance;
use super::batch::{Outcome, StatementResult};
use crate::error::{SqlError, msg};
use crate::tsql::{Execute, MonitorProcedure, Procedure};
use crate::types::{ConnectionId, ReplyItem, Value};

pub use monitor::STATUS_TABLE;

/// The database in which the monitor's procedures are called.
pub const MSDB: &str = "msdb";

impl Instance {
    pub(super) fn execute_procedure(&mut self, connection: ConnectionId, call: &Execute) -> StatementResult {
        let caller = self.caller(connection);
        let is_admin = self.catalog.is_sysadmin(caller);
        match call.procedure {
            Procedure::ReadErrorLog if is_admin => self.read_error_log(&call.arguments),
            Procedure::ReadErrorLog => Err(msg::EXECUTE_DENIED.with(&[&call.name])),
            Procedure::RoleMember { add } => self.role_member_procedure(connection, call, add),
            Procedure::Monitor(procedure) => {
                match procedure {
                    MonitorProcedure::Results => self.check_monitor(caller, &call.name)?,
                    _ if is_admin => {}
                    _ => return Err(msg::MEMBERS_ONLY.with(&[&call.name, &"sysadmin"])),
                }
                self.check_in_msdb(connection, call)?;
                self.monitor_procedure(procedure, call, is_admin)
            }
        }
    }

    /// The history is for sysadmin and `dbm_monitor` (21089).
    fn check_monitor(&self, login: &str, what: &dyn fmt::Display) -> Result<(), SqlError> {
        match self.catalog.may_see_monitor(login) {
            true => Ok(()),
            false => Err(msg::MEMBERS_ONLY.with(&[what, &"sysadmin, or of dbm_monitor in msdb"])),
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
