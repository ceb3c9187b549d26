//! `sp_readerrorlog` and `xp_readerrorlog`.

use super::answer;
use crate::error::{SqlError, msg};
use crate::instance::Instance;
use crate::instance::batch::StatementResult;
use crate::instance::error_log::Line;
use crate::tsql::{Argument, parse_datetime};
use crate::types::{Value, WallTime};

/// Of whom a line is said to come; nothing here runs in threads of its own.
const PROCESS: &str = "Server";

impl Instance {
    /// The lines with both texts, between two times, in either order.
    ///
    /// Errors: 22004 there is no such log, 241 a time that is none, 8114 neither `asc` nor `desc`.
    pub(super) fn read_error_log(&self, arguments: &[Argument]) -> StatementResult {
        let [log, product, find, and, from, to, order] = arguments else {
            return Err(
                msg::NO_SUCH_ERROR_LOG.with(&[&"the call has other arguments than there are parameters"])
            );
        };
        match (log.int().unwrap_or(0), product.int().unwrap_or(1)) {
            (0, 1) => {}
            (log, 1) => {
                let why = format!("only the current log, 0, is kept, and {log} is asked for");
                return Err(msg::NO_SUCH_ERROR_LOG.with(&[&why]));
            }
            (_, product) => {
                let why = format!("the server's own log is 1, and there is no product {product}");
                return Err(msg::NO_SUCH_ERROR_LOG.with(&[&why]));
            }
        }
        let time = |argument: &Argument| argument.text().map(parse_datetime).transpose();
        let (from, to) = (time(from)?, time(to)?);
        let newest_first = is_descending(order)?;
        let texts: Vec<String> = [find, and]
            .into_iter()
            .filter_map(|a| a.text())
            .map(str::to_lowercase)
            .collect();
        let wanted = |line: &Line| {
            let text = line.text.to_lowercase();
            texts.iter().all(|t| text.contains(t.as_str())) && is_between(line.at, from, to)
        };
        let mut rows: Vec<Vec<Value>> = self
            .error_log
            .lines()
            .filter(wanted)
            .map(|line| vec![line.at.to_string().into(), PROCESS.into(), line.text.into()])
            .collect();
        if newest_first {
            rows.reverse();
        }
        answer(&["LogDate", "ProcessInfo", "Text"], rows)
    }
}

fn is_between(at: WallTime, from: Option<WallTime>, to: Option<WallTime>) -> bool {
    from.is_none_or(|from| at >= from) && to.is_none_or(|to| at <= to)
}

fn is_descending(order: &Argument) -> Result<bool, SqlError> {
    match order.text() {
        None => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("asc") => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("desc") => Ok(true),
        Some(text) => Err(msg::ARGUMENT_TYPE.with(&[&text, &"@p7", &"asc or desc"])),
    }
}
