//! Time as an argument: `Timestamp` orders what happens in a run, `WallTime` is what a system's clock shows.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The ping interval π: how often each side of an online connection sends a ping, and how often a mirror that waits for
/// the witness asks again. Fixed. Source: S1, ours (the manual gives no length).
pub const PING_INTERVAL: Duration = Duration::from_secs(1);

/// A monotonic instant in microseconds since the run began. Printed as `+12.345s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    pub const ZERO: Timestamp = Timestamp(0);

    pub const fn from_micros(micros: u64) -> Self {
        Timestamp(micros)
    }

    pub const fn from_millis(millis: u64) -> Self {
        Timestamp(millis * 1_000)
    }

    pub const fn from_secs(secs: u64) -> Self {
        Timestamp(secs * 1_000_000)
    }

    pub const fn as_micros(self) -> u64 {
        self.0
    }

    pub fn as_duration(self) -> Duration {
        Duration::from_micros(self.0)
    }

    /// Time passed since `earlier`; zero if `earlier` is not earlier.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;

    fn add(self, rhs: Duration) -> Timestamp {
        let micros = u64::try_from(rhs.as_micros()).unwrap_or(u64::MAX);
        Timestamp(self.0.saturating_add(micros))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0 / 1_000;
        f.pad(&format!("+{}.{:03}s", millis / 1_000, millis % 1_000))
    }
}

/// What a system's wall clock shows: milliseconds since the Unix epoch, UTC. Certificates live by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallTime(i64);

impl WallTime {
    pub const fn from_unix_millis(millis: i64) -> Self {
        WallTime(millis)
    }

    pub const fn from_unix_secs(secs: i64) -> Self {
        WallTime(secs * 1_000)
    }

    pub const fn unix_millis(self) -> i64 {
        self.0
    }

    pub const fn unix_secs(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// The UTC date and time. Values outside the years -9999 to 9999 are clamped to the epoch.
    pub fn to_utc(self) -> time::OffsetDateTime {
        time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
    }
}

impl Add<Duration> for WallTime {
    type Output = WallTime;

    fn add(self, rhs: Duration) -> WallTime {
        let millis = i64::try_from(rhs.as_millis()).unwrap_or(i64::MAX);
        WallTime(self.0.saturating_add(millis))
    }
}

/// `2026-01-31 12:00:00.000`, the way `datetime` columns print.
impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.to_utc();
        let text = format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03}",
            t.year(),
            u8::from(t.month()),
            t.day(),
            t.hour(),
            t.minute(),
            t.second(),
            t.millisecond()
        );
        f.pad(&text)
    }
}

/// Both clocks at one instant, handed to the core with every input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    pub at: Timestamp,
    pub wall: WallTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_print_seconds_and_milliseconds() {
        assert_eq!(Timestamp::from_micros(22_001_999).to_string(), "+22.001s");
    }

    #[test]
    fn wall_time_prints_as_datetime() {
        assert_eq!(
            WallTime::from_unix_secs(1_767_225_600).to_string(),
            "2026-01-01 00:00:00.000"
        );
        assert_eq!(
            WallTime::from_unix_millis(-1).to_string(),
            "1969-12-31 23:59:59.999"
        );
    }
}
