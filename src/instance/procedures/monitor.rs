//! The procedures of the database mirroring monitor: refresh, history, job and thresholds.
//!
//! Source: documented, the page of each *sp_dbmmonitor…* procedure.

use super::answer;
use crate::error::{SqlError, msg};
use crate::instance::Instance;
use crate::instance::batch::{Outcome, StatementResult};
use crate::instance::monitor::{
    OLDEST_UNSENT, PERIOD_MINUTES, PERIOD_MINUTES_MAX, RETENTION, Status, Threshold,
};
use crate::instance::views::Table;
use crate::tsql::{Argument, Execute, MonitorProcedure};
use crate::types::{DatabaseName, Lsn, PartnerRole, Value, WallTime};

const RESULT_COLUMNS: [&str; 15] = [
    "database_name",
    "role",
    "mirroring_state",
    "witness_status",
    "log_generation_rate",
    "unsent_log",
    "send_rate",
    "unrestored_log",
    "recovery_rate",
    "transaction_delay",
    "transactions_per_sec",
    "average_delay",
    "time_recorded",
    "time_behind",
    "local_time",
];

/// Which rows a call of `sp_dbmmonitorresults` wants, the newest first.
enum Wanted {
    Last(usize),
    Hours(i64),
}

impl Wanted {
    /// `@mode`. Errors: 40518 there is no such mode.
    fn of(mode: i64) -> Result<Wanted, SqlError> {
        Ok(match mode {
            0 => Wanted::Last(1),
            1 => Wanted::Hours(2),
            2 => Wanted::Hours(4),
            3 => Wanted::Hours(8),
            4 => Wanted::Hours(24),
            5 => Wanted::Hours(48),
            6 => Wanted::Last(100),
            7 => Wanted::Last(500),
            8 => Wanted::Last(1_000),
            9 => Wanted::Last(1_000_000),
            other => return Err(out_of_range(other, "@mode", (0, 9))),
        })
    }

    fn among<'a>(self, rows: impl Iterator<Item = &'a Status>, now: WallTime) -> Vec<&'a Status> {
        match self {
            Wanted::Last(n) => rows.take(n).collect(),
            Wanted::Hours(hours) => rows
                .take_while(|s| now.unix_millis() - s.local_time.unix_millis() <= hours * 3_600_000)
                .collect(),
        }
    }
}

impl Instance {
    /// A call of somebody who may make it; who is no sysadmin refreshes nothing by it.
    pub(super) fn monitor_procedure(
        &mut self,
        procedure: MonitorProcedure,
        call: &Execute,
        is_admin: bool,
    ) -> StatementResult {
        let mut arguments = call.arguments.iter();
        let mut next = || arguments.next().unwrap_or(&Argument::Absent);
        match procedure {
            MonitorProcedure::Update => {
                let database = self.mirrored(next())?;
                self.update_monitor(database.as_ref());
                Ok(Outcome::Done)
            }
            MonitorProcedure::Results => {
                let (database, mode, update) = (next(), next(), next());
                let update = is_admin && update.int() == Some(1);
                self.monitor_results(call, database, mode, update)
            }
            MonitorProcedure::Add => {
                let period = next().int().unwrap_or(PERIOD_MINUTES);
                self.set_monitor_period(period, "@update_period")
            }
            MonitorProcedure::Change => match (next().int(), next().int()) {
                (Some(1), Some(period)) if self.monitor.period().is_some() => {
                    self.set_monitor_period(period, "@value")
                }
                (Some(1), _) => Err(msg::MONITOR_NO_JOB.with(&[&call.name])),
                (parameter, _) => Err(out_of_range(
                    parameter.unwrap_or_default(),
                    "@parameter_id",
                    (1, 1),
                )),
            },
            MonitorProcedure::Drop => match self.monitor.drop_job() {
                true => Ok(Outcome::Done),
                false => Err(msg::MONITOR_NO_JOB.with(&[&call.name])),
            },
            MonitorProcedure::Help => {
                let period = self.monitor.period();
                answer(
                    &["update_period"],
                    period.into_iter().map(|p| vec![p.into()]).collect(),
                )
            }
            MonitorProcedure::AlertChange => {
                let (database, alert, value, enabled) = (next(), next(), next(), next());
                self.change_alert(database, alert, value, enabled)
            }
            MonitorProcedure::AlertDrop => {
                let (database, alert) = (next(), next());
                let (database, alerts) = (self.mirrored(database)?, alerts(alert, RETENTION)?);
                for alert in alerts {
                    if let Some(database) = &database {
                        self.monitor.set_threshold(database, alert, None);
                    }
                }
                Ok(Outcome::Done)
            }
            MonitorProcedure::AlertHelp => {
                let (database, alert) = (next(), next());
                // All of them are the warnings alone.
                let (database, alerts) = (self.mirrored(database)?, alerts(alert, RETENTION - 1)?);
                let row = |alert: i64| -> Vec<Value> {
                    let set = database.as_ref().and_then(|d| self.monitor.threshold(d, alert));
                    vec![
                        alert.into(),
                        set.map(|t| t.value).into(),
                        set.map_or(alert == RETENTION, |t| t.enabled).into(),
                    ]
                };
                answer(&["alert_id", "threshold", "enabled"], alerts.map(row).collect())
            }
        }
    }

    /// The mirrored database an argument names, if it names one.
    fn mirrored(&self, argument: &Argument) -> Result<Option<DatabaseName>, SqlError> {
        let Some(name) = argument.text() else {
            return Ok(None);
        };
        let entry = self
            .catalog
            .database(name)
            .ok_or_else(|| msg::DATABASE_MISSING.with(&[&name]))?;
        match self.database(name).is_some_and(|d| d.session.is_some()) {
            true => Ok(Some(entry.name.clone())),
            false => Err(msg::NOT_MIRRORED.with(&[&entry.name])),
        }
    }

    fn set_monitor_period(&mut self, minutes: i64, parameter: &'static str) -> StatementResult {
        if !(1..=PERIOD_MINUTES_MAX).contains(&minutes) {
            return Err(out_of_range(minutes, parameter, (1, PERIOD_MINUTES_MAX)));
        }
        self.monitor.set_job(self.now.at, minutes);
        Ok(Outcome::Done)
    }

    fn monitor_results(
        &mut self,
        call: &Execute,
        database: &Argument,
        mode: &Argument,
        update: bool,
    ) -> StatementResult {
        let wanted = Wanted::of(mode.int().unwrap_or(0))?;
        let Some(name) = self.mirrored(database)? else {
            return Err(msg::ARGUMENT_MISSING.with(&[&call.name, &"@database_name"]));
        };
        if update {
            self.update_monitor(Some(&name));
        }
        let rows = wanted.among(self.monitor.rows(&name), self.now.wall);
        answer(
            &RESULT_COLUMNS,
            rows.into_iter().map(|s| result_row(&name, s)).collect(),
        )
    }

    fn change_alert(
        &mut self,
        database: &Argument,
        alert: &Argument,
        value: &Argument,
        enabled: &Argument,
    ) -> StatementResult {
        let (alert, value) = (alert.int().unwrap_or_default(), value.int().unwrap_or_default());
        if !(OLDEST_UNSENT..=RETENTION).contains(&alert) {
            return Err(out_of_range(alert, "@alert_id", (OLDEST_UNSENT, RETENTION)));
        }
        let least = i64::from(alert == RETENTION);
        if !(least..=i64::from(i32::MAX)).contains(&value) {
            return Err(out_of_range(value, "@threshold", (least, i32::MAX.into())));
        }
        let enabled = match enabled.int().unwrap_or(1) {
            0 => alert == RETENTION,
            1 => true,
            other => return Err(out_of_range(other, "@enabled", (0, 1))),
        };
        if let Some(database) = self.mirrored(database)? {
            self.monitor
                .set_threshold(&database, alert, Some(Threshold { value, enabled }));
        }
        Ok(Outcome::Done)
    }
}

/// `msdb.dbo.dbm_monitor_data`. Source: third-party; `role` is a bit there, 1 for the mirror.
pub const STATUS_TABLE: &str = "dbm_monitor_data";
const STATUS_COLUMNS: [&str; 15] = [
    "database_id",
    "role",
    "status",
    "witness_status",
    "log_flush_rate",
    "send_queue_size",
    "send_rate",
    "redo_queue_size",
    "redo_rate",
    "transaction_delay",
    "transactions_per_sec",
    "time",
    "end_of_log_lsn",
    "failover_lsn",
    "local_time",
];

impl Instance {
    /// The status table as its readers see it, oldest row of each database first.
    ///
    /// Errors: 21089 who asks is in neither sysadmin nor `dbm_monitor`.
    pub fn monitor_status_table(&self, login: &str) -> Result<Table, SqlError> {
        self.check_monitor(login, &STATUS_TABLE)?;
        let lsn = |lsn: Lsn| Value::Int(i64::try_from(lsn.get()).unwrap_or(i64::MAX));
        let row = |id: u32, s: &Status| -> Vec<Value> {
            vec![
                i64::from(id).into(),
                (s.role == PartnerRole::Mirror).into(),
                s.state.into(),
                s.witness.code().into(),
                s.log_generation_rate.into(),
                s.unsent_log.into(),
                s.send_rate.into(),
                s.unrestored_log.into(),
                s.recovery_rate.into(),
                s.transaction_delay.into(),
                s.transactions_per_sec.into(),
                s.time_recorded().map(|t| t.to_string()).into(),
                lsn(s.end),
                lsn(s.failover_lsn),
                s.local_time.to_string().into(),
            ]
        };
        let mut rows = Vec::new();
        for entry in self.catalog.databases() {
            let newest_first: Vec<&Status> = self.monitor.rows(&entry.name).collect();
            rows.extend(newest_first.into_iter().rev().map(|s| row(entry.id, s)));
        }
        Ok(Table {
            columns: STATUS_COLUMNS.map(str::to_owned).to_vec(),
            rows,
        })
    }
}

/// The alert named, or all up to `last`.
fn alerts(argument: &Argument, last: i64) -> Result<std::ops::RangeInclusive<i64>, SqlError> {
    match argument.int() {
        None => Ok(OLDEST_UNSENT..=last),
        Some(alert) if (OLDEST_UNSENT..=RETENTION).contains(&alert) => Ok(alert..=alert),
        Some(alert) => Err(out_of_range(alert, "@alert_id", (OLDEST_UNSENT, RETENTION))),
    }
}

fn out_of_range(value: i64, parameter: &str, (least, most): (i64, i64)) -> SqlError {
    msg::ARGUMENT_RANGE.with(&[&value, &parameter, &least, &most])
}

fn result_row(name: &DatabaseName, s: &Status) -> Vec<Value> {
    let time = |at: Option<WallTime>| -> Value { at.map(|t| t.to_string()).into() };
    vec![
        name.as_str().into(),
        s.role.code().into(),
        s.state.into(),
        s.witness.code().into(),
        s.log_generation_rate.into(),
        s.unsent_log.into(),
        s.send_rate.into(),
        s.unrestored_log.into(),
        s.recovery_rate.into(),
        s.transaction_delay.into(),
        s.transactions_per_sec.into(),
        s.average_delay.into(),
        time(s.time_recorded()),
        time(s.time_behind),
        time(Some(s.local_time)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::LinkState;

    const MINUTE: i64 = 60;

    fn status(at: i64) -> Status {
        Status {
            role: PartnerRole::Principal,
            state: Some(2),
            witness: LinkState::Disconnected,
            log_generation_rate: Some(11),
            unsent_log: Some(12),
            send_rate: Some(13),
            unrestored_log: Some(14),
            recovery_rate: Some(15),
            transaction_delay: Some(160),
            transactions_per_sec: Some(17),
            average_delay: Some(18),
            time_behind: Some(WallTime::from_unix_secs(at - 90)),
            local_time: WallTime::from_unix_secs(at),
            end: Lsn::ZERO,
            failover_lsn: Lsn::ZERO,
        }
    }

    /// A row a minute for three days; the newest is as old as the question.
    #[test]
    fn each_mode_has_its_rows_the_newest_first() {
        let last = 3 * 24 * 60;
        let rows: Vec<Status> = (1..=last).rev().map(|n| status(n * MINUTE)).collect();
        let now = WallTime::from_unix_secs(last * MINUTE);
        for (mode, count) in [
            (0, 1),
            (1, 2 * 60 + 1),
            (2, 4 * 60 + 1),
            (3, 8 * 60 + 1),
            (4, 24 * 60 + 1),
            (5, 48 * 60 + 1),
            (6, 100),
            (7, 500),
            (8, 1_000),
            (9, rows.len()),
        ] {
            let wanted = Wanted::of(mode).expect("there is such a mode");
            let got = wanted.among(rows.iter(), now);
            assert_eq!(got.len(), count, "mode {mode}");
            let newest: Vec<&Status> = rows.iter().take(count).collect();
            assert_eq!(got, newest, "mode {mode}");
        }
        assert_eq!(Wanted::of(10).err().map(|e| e.number), Some(40518));
    }

    #[test]
    fn a_row_says_each_value_under_its_column() {
        let name = DatabaseName::new("Sales");
        let row = result_row(&name, &status(3_600));
        let shown: Vec<String> = RESULT_COLUMNS
            .iter()
            .zip(&row)
            .map(|(column, value)| format!("{column} {value}"))
            .collect();
        assert_eq!(
            shown,
            [
                "database_name Sales",
                "role 1",
                "mirroring_state 2",
                "witness_status 2",
                "log_generation_rate 11",
                "unsent_log 12",
                "send_rate 13",
                "unrestored_log 14",
                "recovery_rate 15",
                "transaction_delay 160",
                "transactions_per_sec 17",
                "average_delay 18",
                "time_recorded 1970-01-01 01:00:00.000",
                "time_behind 1970-01-01 00:58:30.000",
                "local_time 1970-01-01 01:00:00.000",
            ]
        );
        // A mirror does not know its principal's clock.
        let mirror = Status {
            role: PartnerRole::Mirror,
            time_behind: None,
            average_delay: None,
            ..status(3_600)
        };
        let row = result_row(&name, &mirror);
        assert_eq!(row[1], Value::Int(2));
        assert_eq!(row[11..14], [Value::Null, Value::Null, Value::Null]);
    }
}
