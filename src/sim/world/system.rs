//! A system: name, address, firewall, wall clock, disk, power.

use std::net::{IpAddr, Ipv4Addr};

use crate::types::{Timestamp, WallTime};

use super::disk::SystemDisk;
use super::firewall::Firewall;

/// A system of one world, numbered in the order of `add_system`. Its address is 10.0.0.(n + 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SystemId(pub(in crate::sim) u16);

impl SystemId {
    /// Position in the order of `add_system`, from zero.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    pub fn ip(self) -> Ipv4Addr {
        Ipv4Addr::from(FIRST_IP + u32::from(self.0))
    }

    /// The system that would have `ip`, whether it exists or not.
    pub(in crate::sim) fn from_ip(ip: IpAddr) -> Option<SystemId> {
        let IpAddr::V4(ip) = ip else { return None };
        let index = u32::from(ip).checked_sub(FIRST_IP)?;
        u16::try_from(index).ok().map(SystemId)
    }
}

const FIRST_IP: u32 = u32::from_be_bytes([10, 0, 0, 1]);

/// What a system is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SystemConfig {
    /// NetBIOS name, unique in the world without regard to case.
    pub name: String,
    /// Appended to the name for the fully qualified name, which resolves too.
    pub dns_suffix: Option<String>,
    pub clock: ClockSetting,
}

impl SystemConfig {
    pub fn new(name: impl Into<String>) -> Self {
        SystemConfig {
            name: name.into(),
            ..SystemConfig::default()
        }
    }

    pub fn with_dns_suffix(mut self, suffix: impl Into<String>) -> Self {
        self.dns_suffix = Some(suffix.into());
        self
    }

    pub fn with_clock(mut self, clock: ClockSetting) -> Self {
        self.clock = clock;
        self
    }
}

/// How a wall clock differs from true time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClockSetting {
    /// Ahead of true time (or behind, if negative) at the moment it is set, in milliseconds.
    pub offset_millis: i64,
    /// Gains (or loses) this many microseconds in each second from then on.
    pub drift_ppm: i64,
}

/// A wall clock: true time, plus the offset it was set to, plus the drift since.
#[derive(Debug, Clone, Copy)]
pub(in crate::sim) struct WallClock {
    setting: ClockSetting,
    set_at: Timestamp,
}

impl WallClock {
    pub(in crate::sim) fn new(setting: ClockSetting, set_at: Timestamp) -> Self {
        WallClock { setting, set_at }
    }

    pub(in crate::sim) fn read(&self, epoch: WallTime, at: Timestamp) -> WallTime {
        let since = i128::from(at.as_micros()) - i128::from(self.set_at.as_micros());
        let drift_micros = since * i128::from(self.setting.drift_ppm) / 1_000_000;
        let millis = i128::from(epoch.unix_millis())
            + i128::from(self.setting.offset_millis)
            + (i128::from(at.as_micros()) + drift_micros).div_euclid(1_000);
        let clamped = millis.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        WallTime::from_unix_millis(i64::try_from(clamped).unwrap_or(i64::MAX))
    }
}

/// The state of one system.
pub(super) struct System {
    pub(super) name: String,
    pub(super) host: turmoil_net::HostId,
    pub(super) up: bool,
    pub(super) firewall: Firewall,
    pub(super) clock: WallClock,
    pub(super) disk: SystemDisk,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_follow_the_order() {
        assert_eq!(SystemId(0).ip(), Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(SystemId::from_ip(SystemId(7).ip().into()), Some(SystemId(7)));
        assert_eq!(SystemId::from_ip("9.255.255.255".parse().unwrap()), None);
        assert_eq!(SystemId::from_ip("::1".parse().unwrap()), None);
    }

    #[test]
    fn a_wall_clock_has_offset_and_drift() {
        let setting = ClockSetting {
            offset_millis: -2_000,
            drift_ppm: 100,
        };
        let clock = WallClock::new(setting, Timestamp::from_secs(10));
        let epoch = WallTime::from_unix_secs(1_000);
        assert_eq!(
            clock.read(epoch, Timestamp::from_secs(10)),
            WallTime::from_unix_millis(1_008_000)
        );
        assert_eq!(
            clock.read(epoch, Timestamp::from_secs(20)),
            WallTime::from_unix_millis(1_018_001)
        );
    }
}
