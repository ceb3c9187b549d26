//! The database mirroring monitor: a history of each session's state and rates, warning thresholds, and the job that
//! refreshes them.
//!
//! Nothing is watched before a procedure asks for it, and the history is kept in memory: a restart begins a new one, with
//! neither job nor thresholds. Source: documented, *Monitoring Database Mirroring*, *sp_dbmmonitorupdate*,
//! *sp_dbmmonitorresults*, *Use Warning Thresholds and Alerts on Mirroring Performance Metrics*; where the history lives,
//! its bound, and how old unsent log is taken to be, are ours.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::Instance;
use super::database::Database;
use crate::error::{Message, SqlError, msg};
use crate::session::Partner;
use crate::types::{DatabaseName, LinkState, Lsn, PartnerRole, Timestamp, WallTime};

/// Two updates of one database are at least this far apart. Source: documented.
const UPDATE_INTERVAL_MIN: Duration = Duration::from_secs(15);
/// How long rows are kept unless the retention period says otherwise, in hours. Source: documented.
const RETENTION_HOURS: i64 = 7 * 24;
/// Rows kept of one database: a week of one update a minute.
const ROWS_MAX: usize = 7 * 24 * 60;
/// The job's period in minutes. Source: documented.
pub const PERIOD_MINUTES: i64 = 1;
pub const PERIOD_MINUTES_MAX: i64 = 120;
/// Under this name the job's next run is announced.
pub const MONITOR_JOB_NAME: &str = "mirroring monitor";

/// `alert_id`. Source: documented.
pub const OLDEST_UNSENT: i64 = 1;
pub const UNSENT_LOG: i64 = 2;
pub const UNRESTORED_LOG: i64 = 3;
pub const COMMIT_OVERHEAD: i64 = 4;
pub const RETENTION: i64 = 5;

#[derive(Debug, Default)]
pub struct Monitor {
    watched: BTreeMap<String, Watched>,
    job: Option<Job>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Job {
    period: i64,
    next: Timestamp,
}

#[derive(Debug, Default)]
struct Watched {
    /// Oldest first.
    rows: VecDeque<Status>,
    last: Option<Reading>,
    thresholds: BTreeMap<i64, Threshold>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// Minutes, KB, milliseconds or hours, by the alert.
    pub value: i64,
    pub enabled: bool,
}

/// One row of the status table. What the role has no value for is `None`; sizes are KB, delays ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub role: PartnerRole,
    pub state: Option<i64>,
    pub witness: LinkState,
    pub log_generation_rate: Option<i64>,
    pub unsent_log: Option<i64>,
    pub send_rate: Option<i64>,
    pub unrestored_log: Option<i64>,
    pub recovery_rate: Option<i64>,
    pub transaction_delay: Option<i64>,
    pub transactions_per_sec: Option<i64>,
    pub average_delay: Option<i64>,
    pub time_behind: Option<WallTime>,
    pub local_time: WallTime,
    /// How far the local log went, and how far both partners had it: for the times of later rows.
    pub end: Lsn,
    pub failover_lsn: Lsn,
}

/// What is compared with the next reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    at: Timestamp,
    role: PartnerRole,
    end: Lsn,
    sent: u64,
    redone: Lsn,
    commits: u64,
    delay: Duration,
}

impl Status {
    /// When the principal recorded the row; a mirror does not know the principal's clock.
    pub fn time_recorded(&self) -> Option<WallTime> {
        (self.role == PartnerRole::Principal).then_some(self.local_time)
    }
}

impl Monitor {
    /// Start the job, or change its period (in minutes).
    pub fn set_job(&mut self, now: Timestamp, period: i64) {
        let next = now + minutes(period);
        self.job = Some(Job { period, next });
    }

    /// Whether there was a job to stop.
    pub fn drop_job(&mut self) -> bool {
        self.job.take().is_some()
    }

    /// The job's period in minutes, if there is one.
    pub fn period(&self) -> Option<i64> {
        self.job.map(|job| job.period)
    }

    pub fn next_run(&self) -> Option<Timestamp> {
        self.job.map(|job| job.next)
    }

    /// Whether the job is due; if so its next run is a period away.
    fn take_due(&mut self, now: Timestamp) -> bool {
        match &mut self.job {
            Some(job) if job.next <= now => {
                job.next = now + minutes(job.period);
                true
            }
            _ => false,
        }
    }

    /// The rows of a database, newest first.
    pub fn rows(&self, database: &DatabaseName) -> impl Iterator<Item = &Status> {
        let watched = self.watched.get(&fold(database));
        watched.into_iter().flat_map(|w| w.rows.iter().rev())
    }

    pub fn threshold(&self, database: &DatabaseName, alert: i64) -> Option<Threshold> {
        self.watched.get(&fold(database))?.thresholds.get(&alert).copied()
    }

    pub fn set_threshold(&mut self, database: &DatabaseName, alert: i64, threshold: Option<Threshold>) {
        let thresholds = &mut self.watched.entry(fold(database)).or_default().thresholds;
        match threshold {
            Some(threshold) => drop(thresholds.insert(alert, threshold)),
            None => drop(thresholds.remove(&alert)),
        }
    }

    /// The thresholds of a database go with it, and its history.
    pub fn forget(&mut self, database: &DatabaseName) {
        self.watched.remove(&fold(database));
    }
}

impl Watched {
    fn is_fresh(&self, now: Timestamp) -> bool {
        self.last
            .is_some_and(|last| now.since(last.at) < UPDATE_INTERVAL_MIN)
    }

    fn retention(&self) -> i64 {
        self.thresholds
            .get(&RETENTION)
            .map_or(RETENTION_HOURS, |t| t.value)
    }

    /// Rows older than the retention period go, and the oldest beyond the bound.
    fn add(&mut self, row: Status) {
        let oldest = row.local_time.unix_millis() - self.retention() * 3_600_000;
        self.rows.push_back(row);
        while let Some(first) = self.rows.front()
            && (first.local_time.unix_millis() < oldest || self.rows.len() > ROWS_MAX)
        {
            self.rows.pop_front();
        }
    }

    /// When the principal's log ended where its mirror's does in `row`, as far as older rows tell.
    fn time_behind(&self, row: &Status) -> Option<WallTime> {
        let caught_up = row.failover_lsn >= row.end;
        let before = || self.rows.iter().rev().find(|r| r.end <= row.failover_lsn);
        let at = if caught_up { Some(row) } else { before() };
        at.filter(|_| row.role == PartnerRole::Principal)
            .map(|r| r.local_time)
    }

    /// For how long there has been log that the mirror lacks in `row`, in minutes.
    fn unsent_minutes(&self, row: &Status) -> Option<i64> {
        let oldest = self.rows.iter().find(|r| r.end > row.failover_lsn)?;
        (row.role == PartnerRole::Principal)
            .then(|| (row.local_time.unix_secs() - oldest.local_time.unix_secs()) / 60)
    }

    /// The values of `row` that are above a threshold in force.
    fn exceeded(&self, row: &Status, unsent_minutes: Option<i64>) -> Vec<(&'static Message, i64, i64)> {
        let metrics = [
            (OLDEST_UNSENT, &msg::ALERT_OLDEST_UNSENT, unsent_minutes),
            (UNSENT_LOG, &msg::ALERT_UNSENT_LOG, row.unsent_log),
            (
                UNRESTORED_LOG,
                &msg::ALERT_UNRESTORED_LOG,
                row.unrestored_log.filter(|_| row.role == PartnerRole::Mirror),
            ),
            (COMMIT_OVERHEAD, &msg::ALERT_COMMIT_OVERHEAD, row.average_delay),
        ];
        metrics
            .into_iter()
            .filter_map(|(alert, message, value)| {
                let threshold = self.thresholds.get(&alert).filter(|t| t.enabled)?;
                let value = value.filter(|value| *value > threshold.value)?;
                Some((message, value, threshold.value))
            })
            .collect()
    }
}

impl Instance {
    /// Run the monitor's job if it is due.
    pub(super) fn run_monitor_job(&mut self) {
        if self.monitor.take_due(self.now.at) {
            self.update_monitor(None);
        }
    }

    /// Record the state of one mirrored database, or of all, unless that was done a moment ago; warn of what exceeds its
    /// threshold.
    pub(super) fn update_monitor(&mut self, only: Option<&DatabaseName>) {
        let names: Vec<DatabaseName> = self
            .databases
            .values()
            .filter(|d| d.session.as_ref().is_some_and(Partner::has_started))
            .filter(|d| only.is_none_or(|name| *name == d.name))
            .map(|d| d.name.clone())
            .collect();
        for name in names {
            for warning in self.record_status(&name) {
                self.log_error(&warning);
            }
        }
    }

    fn record_status(&mut self, name: &DatabaseName) -> Vec<SqlError> {
        let now = self.now;
        let Some(database) = self.databases.get(&fold(name)) else {
            return Vec::new();
        };
        let Some(session) = &database.session else {
            return Vec::new();
        };
        let watched = self.monitor.watched.entry(fold(name)).or_default();
        if watched.is_fresh(now.at) {
            return Vec::new();
        }
        let reading = read(database, session, now.at);
        let mut row = status(database, session, watched.last, reading, now.wall);
        row.time_behind = watched.time_behind(&row);
        watched.last = Some(reading);
        let exceeded = watched.exceeded(&row, watched.unsent_minutes(&row));
        watched.add(row);
        exceeded
            .into_iter()
            .map(|(message, value, threshold)| message.with(&[name, &value, &threshold]))
            .collect()
    }
}

fn read(database: &Database, session: &Partner, at: Timestamp) -> Reading {
    let counters = &database.counters;
    let role = session.role();
    Reading {
        at,
        role,
        end: database.log.hardened(),
        sent: counters.log_bytes_sent,
        redone: match role {
            PartnerRole::Principal => session.redone_by_mirror(),
            PartnerRole::Mirror => database.log.redone(),
        },
        commits: counters.commits,
        delay: counters.commit_delay + counters.transaction_delay(at),
    }
}

/// The row of a reading; rates are averages since `last`, if the role is the same.
fn status(
    database: &Database,
    session: &Partner,
    last: Option<Reading>,
    reading: Reading,
    wall: WallTime,
) -> Status {
    let role = session.role();
    let (unsent, unrestored) = session.queues(&database.log);
    let last = last.filter(|l| l.role == role && l.at < reading.at);
    let kb = |bytes: u64| i64::try_from(bytes.div_ceil(1024)).unwrap_or(i64::MAX);
    let rate = |of: fn(&Reading, &Reading) -> u64| {
        last.map(|l| per_second(of(&reading, &l), reading.at.since(l.at)))
    };
    let kb_rate = |of| rate(of).map(kb);
    let delay = last.map(|l| reading.delay.saturating_sub(l.delay));
    let commits = last.map(|l| reading.commits - l.commits);
    let principal = role == PartnerRole::Principal;
    Status {
        role,
        state: session.state().map(|s| s.code()),
        witness: session.witness_state().unwrap_or(LinkState::Unknown),
        log_generation_rate: kb_rate(|now, last| now.end.bytes_since(last.end.min(now.end)))
            .filter(|_| principal),
        unsent_log: principal.then(|| kb(unsent)),
        send_rate: kb_rate(|now, last| now.sent - last.sent).filter(|_| principal),
        unrestored_log: Some(kb(unrestored)),
        recovery_rate: kb_rate(|now, last| now.redone.bytes_since(last.redone.min(now.redone))),
        transaction_delay: delay.map(millis).filter(|_| principal),
        transactions_per_sec: rate(|now, last| now.commits - last.commits)
            .and_then(|n| i64::try_from(n).ok())
            .filter(|_| principal),
        average_delay: delay
            .zip(commits)
            .map(|(delay, commits)| millis(delay) / i64::try_from(commits.max(1)).unwrap_or(i64::MAX))
            .filter(|_| principal),
        time_behind: None,
        local_time: wall,
        end: reading.end,
        failover_lsn: session.failover_lsn(),
    }
}

fn per_second(amount: u64, time: Duration) -> u64 {
    let per_second = u128::from(amount) * 1_000_000 / time.as_micros().max(1);
    u64::try_from(per_second).unwrap_or(u64::MAX)
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn minutes(n: i64) -> Duration {
    Duration::from_secs(60 * n.unsigned_abs())
}

fn fold(name: &DatabaseName) -> String {
    name.as_str().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(secs: i64) -> Status {
        Status {
            role: PartnerRole::Principal,
            state: Some(4),
            witness: LinkState::Unknown,
            log_generation_rate: None,
            unsent_log: Some(12),
            send_rate: None,
            unrestored_log: Some(900),
            recovery_rate: None,
            transaction_delay: None,
            transactions_per_sec: None,
            average_delay: Some(7),
            time_behind: None,
            local_time: WallTime::from_unix_secs(secs),
            end: Lsn::ZERO,
            failover_lsn: Lsn::ZERO,
        }
    }

    #[test]
    fn rows_live_as_long_as_the_retention_period() {
        let mut watched = Watched::default();
        watched.thresholds.insert(
            RETENTION,
            Threshold {
                value: 1,
                enabled: true,
            },
        );
        for secs in [0, 1_800, 3_600, 3_601] {
            watched.add(row(secs));
        }
        let kept: Vec<i64> = watched.rows.iter().map(|r| r.local_time.unix_secs()).collect();
        assert_eq!(kept, [1_800, 3_600, 3_601]);
    }

    #[test]
    fn rows_are_kept_for_a_week_by_default() {
        let hour = 3_600;
        let mut watched = Watched::default();
        for hours in [0, 1, 24, 7 * 24, 7 * 24 + 1] {
            watched.add(row(hours * hour));
        }
        let kept: Vec<i64> = watched
            .rows
            .iter()
            .map(|r| r.local_time.unix_secs() / hour)
            .collect();
        assert_eq!(kept, [1, 24, 7 * 24, 7 * 24 + 1]);
    }

    #[test]
    fn how_far_the_mirror_is_behind_is_when_the_log_ended_where_the_mirrors_does() {
        let at = |secs: i64, end: u64, both: u64| Status {
            end: Lsn::new(end),
            failover_lsn: Lsn::new(both),
            ..row(secs)
        };
        let mut watched = Watched::default();
        let tells = |watched: &Watched, row: &Status| {
            let behind = watched.time_behind(row).map(WallTime::unix_secs);
            (behind, watched.unsent_minutes(row))
        };
        assert_eq!(
            tells(&watched, &at(60, 10, 5)),
            (None, None),
            "nothing to compare with"
        );
        for (secs, end) in [(60, 10), (120, 20), (180, 30)] {
            watched.add(at(secs, end, end));
        }
        assert_eq!(tells(&watched, &at(240, 40, 40)), (Some(240), None), "caught up");
        assert_eq!(tells(&watched, &at(240, 40, 30)), (Some(180), None));
        assert_eq!(tells(&watched, &at(240, 40, 29)), (Some(120), Some(1)));
        assert_eq!(tells(&watched, &at(241, 40, 10)), (Some(60), Some(2)));
        assert_eq!(tells(&watched, &at(240, 40, 9)), (None, Some(3)));
        let mirror = Status {
            role: PartnerRole::Mirror,
            ..at(240, 40, 9)
        };
        assert_eq!(tells(&watched, &mirror), (None, None));
    }

    #[test]
    fn rows_are_bounded_whatever_the_retention_period() {
        let mut watched = Watched::default();
        for secs in 0..i64::try_from(ROWS_MAX).unwrap() + 2 {
            watched.add(row(secs));
        }
        assert_eq!(watched.rows.len(), ROWS_MAX);
        assert_eq!(watched.rows[0].local_time.unix_secs(), 2);
    }

    #[test]
    fn only_a_value_above_an_enabled_threshold_is_told() {
        let mut watched = Watched::default();
        let mut set = |alert, value, enabled| watched.thresholds.insert(alert, Threshold { value, enabled });
        set(OLDEST_UNSENT, 4, true);
        set(UNSENT_LOG, 12, true);
        set(UNRESTORED_LOG, 1, true);
        set(COMMIT_OVERHEAD, 1, false);
        let told = |watched: &Watched| -> Vec<u32> {
            let told = watched.exceeded(&row(60), Some(5));
            told.iter().map(|(message, ..)| message.number).collect()
        };
        assert_eq!(
            told(&watched),
            [32040],
            "not what equals it, nor the mirror's, nor what is disabled"
        );
        watched.thresholds.insert(
            COMMIT_OVERHEAD,
            Threshold {
                value: 6,
                enabled: true,
            },
        );
        watched.thresholds.insert(
            UNSENT_LOG,
            Threshold {
                value: 11,
                enabled: true,
            },
        );
        assert_eq!(told(&watched), [32040, 32042, 32044]);
    }

    #[test]
    fn the_job_runs_once_a_period() {
        let mut monitor = Monitor::default();
        let at = Timestamp::from_secs;
        assert!(!monitor.take_due(at(0)));
        monitor.set_job(at(5), 2);
        assert_eq!((monitor.period(), monitor.next_run()), (Some(2), Some(at(125))));
        assert!(!monitor.take_due(at(124)));
        assert!(monitor.take_due(at(130)));
        assert_eq!(monitor.next_run(), Some(at(250)));
        assert!(monitor.drop_job());
        assert!(!monitor.drop_job());
        assert_eq!(monitor.next_run(), None);
    }
}
