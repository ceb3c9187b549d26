//! The fault vocabulary: faults are data, in the words of whoever will see them.
//!
//! A fault is parsed, recorded, fired, seen to take effect, and healed; how it is done is the stage's business. A
//! firewall that drops is silence, one that rejects is refusal: different errors on different clocks, so never the same
//! fault. Source: ours.

use std::fmt;
use std::time::Duration;

use super::world::Meddling;
use crate::domain::AccountName;
use crate::types::InstanceName;

/// One fault and its target. Its duration belongs to the step that fires it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Firewall rules that swallow packets.
    Drop(FirewallFault),
    /// Firewall rules that answer with a reset.
    Reject(FirewallFault),
    /// Every packet between `from` and each of `to` is swallowed, both ways.
    Cut { from: String, to: Vec<String> },
    /// Packets between two systems take this long.
    SlowLink {
        from: String,
        to: String,
        latency: Duration,
    },
    /// A man in the middle alters a stream.
    Meddle(MiddleFault),
    /// The process dies; the system lives and closes its connections.
    Kill { instance: InstanceName },
    /// The process is killed if alive, and started.
    Restart { instance: InstanceName },
    /// The machine goes dark; what was not synced is gone.
    PowerLoss { system: String },
    /// The machine and its instances start.
    PowerOn { system: String },
    /// The process is not scheduled.
    Pause { instance: InstanceName },
    /// No process of an instance on the system is scheduled. Of the kind `pause`, too.
    PauseSystem { system: String },
    /// The system's wall clock jumps.
    ClockStep { system: String, by_millis: i64 },
    /// Syncs fail.
    DiskFailSync { system: String, file: FilePart },
    /// Syncs report success and harden nothing.
    DiskLie { system: String, file: FilePart },
    /// Every operation fails.
    DiskIoError { system: String, file: FilePart },
    /// Each disk operation takes this long.
    DiskSlow {
        system: String,
        file: FilePart,
        latency: Duration,
    },
    /// A disk operation that begins while this lasts does not end before it does.
    DiskStuck { system: String, file: FilePart },
    /// Nothing more can be written.
    DiskFull { system: String, file: FilePart },
    /// What was written and not synced when power is lost survives in part, sector by sector.
    DiskTorn {
        system: String,
        file: FilePart,
        scattered: bool,
    },
    /// A byte of a file changes on the medium.
    BitRot {
        system: String,
        file: String,
        offset: u64,
    },
    /// A sector of a file cannot be read until it is written anew.
    BadSector {
        system: String,
        file: String,
        offset: u64,
    },
    /// The process or its machine goes down in the middle of the `write`th durable write from now on (from 1).
    CrashAtWrite {
        system: String,
        write: u32,
        /// Whether that write reaches the medium before.
        kept: bool,
        how: Crash,
    },
    /// A system's name no longer resolves.
    DnsLost { system: String },
    /// An account of a domain is disabled, until it is enabled.
    AccountDisabled { account: AccountName },
    /// An account is locked out, until it is unlocked.
    AccountLocked { account: AccountName },
    /// An account has another password than its services were started with, until it is changed back.
    PasswordChanged { account: AccountName },
    /// An account has another name in its domain, until it has the old one again; a service is given the new one when it is
    /// started.
    AccountRenamed { account: AccountName, name: String },
    /// The service principal name of an instance's endpoint is registered to nobody.
    SpnRemoved { instance: InstanceName },
    /// The service principal name of an instance's endpoint is registered to this account as well.
    SpnDuplicated {
        instance: InstanceName,
        account: AccountName,
    },
    /// A domain no longer accepts the accounts of another.
    TrustRemoved { domain: String, trusted: String },
    /// The process of a domain's controller dies.
    ControllerDown { domain: String },
    /// A domain's controller takes this long for each answer.
    ControllerSlow { domain: String, latency: Duration },
}

/// Which files a disk fault is about: those whose name contains this; all if it is empty.
pub type FilePart = String;

/// How a process goes down in the middle of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    Kill,
    PowerLoss,
}

/// Which packets a firewall fault is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirewallFault {
    /// The systems whose firewall gets the rule.
    pub systems: Vec<String>,
    pub direction: Direction,
    pub port: PortSpec,
    /// Only packets from or to this system.
    pub peer: Option<String>,
}

/// Whose stream a man in the middle alters, how, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MiddleFault {
    pub how: Meddling,
    pub from: String,
    pub to: String,
    /// Only connections with this port at either end.
    pub port: PortSpec,
    pub count: u32,
}

/// From the point of view of the system that has the firewall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    In,
    Out,
    Both,
}

/// Which port a rule is about: the local one inbound, the remote one outbound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortSpec {
    Any,
    Port(u16),
    /// The port an instance's endpoint listens on when the fault fires.
    EndpointOf(InstanceName),
}

/// The names of the kinds, as scenarios and results write them.
pub const KINDS: [&str; 35] = [
    "drop",
    "reject",
    "cut",
    "slow_link",
    "tamper",
    "replay",
    "truncate",
    "reorder",
    "drop_bytes",
    "kill",
    "restart",
    "power_loss",
    "power_on",
    "pause",
    "clock_step",
    "disk_fail_sync",
    "disk_lie",
    "disk_io_error",
    "disk_slow",
    "disk_stuck",
    "disk_full",
    "disk_torn",
    "bit_rot",
    "bad_sector",
    "crash_at_write",
    "dns_lost",
    "account_disabled",
    "account_locked",
    "password_changed",
    "account_renamed",
    "spn_removed",
    "spn_duplicated",
    "trust_removed",
    "controller_down",
    "controller_slow",
];

/// The kinds after which a disk may not hold what was written to it: some of it can be refused for ever.
pub const DAMAGING: [&str; 4] = ["disk_lie", "disk_torn", "bit_rot", "bad_sector"];

/// The kinds that are over as soon as they have happened: nothing heals them, and no line of a trace ends them.
pub const MOMENTARY: [&str; 5] = ["restart", "power_on", "clock_step", "bit_rot", "bad_sector"];

impl Fault {
    /// One of [`KINDS`].
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Drop(_) => "drop",
            Fault::Reject(_) => "reject",
            Fault::Cut { .. } => "cut",
            Fault::SlowLink { .. } => "slow_link",
            Fault::Meddle(middle) => middle.how.name(),
            Fault::Kill { .. } => "kill",
            Fault::Restart { .. } => "restart",
            Fault::PowerLoss { .. } => "power_loss",
            Fault::PowerOn { .. } => "power_on",
            Fault::Pause { .. } | Fault::PauseSystem { .. } => "pause",
            Fault::ClockStep { .. } => "clock_step",
            Fault::DiskFailSync { .. } => "disk_fail_sync",
            Fault::DiskLie { .. } => "disk_lie",
            Fault::DiskIoError { .. } => "disk_io_error",
            Fault::DiskSlow { .. } => "disk_slow",
            Fault::DiskStuck { .. } => "disk_stuck",
            Fault::DiskFull { .. } => "disk_full",
            Fault::DiskTorn { .. } => "disk_torn",
            Fault::BitRot { .. } => "bit_rot",
            Fault::BadSector { .. } => "bad_sector",
            Fault::CrashAtWrite { .. } => "crash_at_write",
            Fault::DnsLost { .. } => "dns_lost",
            Fault::AccountDisabled { .. } => "account_disabled",
            Fault::AccountLocked { .. } => "account_locked",
            Fault::PasswordChanged { .. } => "password_changed",
            Fault::AccountRenamed { .. } => "account_renamed",
            Fault::SpnRemoved { .. } => "spn_removed",
            Fault::SpnDuplicated { .. } => "spn_duplicated",
            Fault::TrustRemoved { .. } => "trust_removed",
            Fault::ControllerDown { .. } => "controller_down",
            Fault::ControllerSlow { .. } => "controller_slow",
        }
    }

    /// Whether it lasts until healed, as all but the [`MOMENTARY`] do.
    pub fn lasts(&self) -> bool {
        !MOMENTARY.contains(&self.kind())
    }
}

/// A system's disk, or one kind of file on it.
fn of(system: &str, file: &str) -> String {
    match file.is_empty() {
        true => system.to_owned(),
        false => format!("{system} {file}"),
    }
}

/// One line: `drop alpha in port 7022`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        match self {
            Fault::Drop(rule) | Fault::Reject(rule) => write!(f, " {rule}"),
            Fault::Cut { from, to } => write!(f, " {from} <-> {}", to.join(", ")),
            Fault::SlowLink { from, to, latency } => write!(f, " {from} <-> {to} {latency:?}"),
            Fault::Meddle(middle) => write!(f, " {middle}"),
            Fault::Kill { instance } | Fault::Restart { instance } | Fault::Pause { instance } => {
                write!(f, " {instance}")
            }
            Fault::PowerLoss { system }
            | Fault::PowerOn { system }
            | Fault::PauseSystem { system }
            | Fault::DnsLost { system } => write!(f, " {system}"),
            Fault::DiskFailSync { system, file }
            | Fault::DiskLie { system, file }
            | Fault::DiskIoError { system, file }
            | Fault::DiskStuck { system, file }
            | Fault::DiskFull { system, file } => write!(f, " {}", of(system, file)),
            Fault::DiskTorn {
                system,
                file,
                scattered,
            } => {
                let how = if *scattered { " scattered" } else { "" };
                write!(f, " {}{how}", of(system, file))
            }
            Fault::BitRot { system, file, offset } | Fault::BadSector { system, file, offset } => {
                write!(f, " {system} {file} byte {offset}")
            }
            Fault::CrashAtWrite {
                system,
                write,
                kept,
                how,
            } => {
                let how = match how {
                    Crash::Kill => "killed",
                    Crash::PowerLoss => "without power",
                };
                let outcome = if *kept { "kept" } else { "lost" };
                write!(f, " {system} {how} in write {write}, {outcome}")
            }
            Fault::ClockStep { system, by_millis } => write!(f, " {system} {by_millis:+}ms"),
            Fault::DiskSlow {
                system,
                file,
                latency,
            } => write!(f, " {} {latency:?}", of(system, file)),
            Fault::AccountDisabled { account }
            | Fault::AccountLocked { account }
            | Fault::PasswordChanged { account } => write!(f, " {account}"),
            Fault::AccountRenamed { account, name } => write!(f, " {account} {name}"),
            Fault::SpnRemoved { instance } => write!(f, " {instance}"),
            Fault::SpnDuplicated { instance, account } => write!(f, " {instance} {account}"),
            Fault::TrustRemoved { domain, trusted } => write!(f, " {domain} in {trusted}"),
            Fault::ControllerDown { domain } => write!(f, " {domain}"),
            Fault::ControllerSlow { domain, latency } => write!(f, " {domain} {latency:?}"),
        }
    }
}

impl fmt::Display for FirewallFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            Direction::In => "in",
            Direction::Out => "out",
            Direction::Both => "both ways",
        };
        write!(f, "{} {direction}{}", self.systems.join(", "), self.port)?;
        match &self.peer {
            Some(peer) => write!(f, " peer {peer}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for MiddleFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}{}", self.from, self.to, self.port)?;
        match self.count {
            1 => Ok(()),
            count => write!(f, " {count} times"),
        }
    }
}

/// With a blank before it; nothing for any port.
impl fmt::Display for PortSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PortSpec::Any => Ok(()),
            PortSpec::Port(port) => write!(f, " port {port}"),
            PortSpec::EndpointOf(instance) => write!(f, " endpoint of {instance}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_reads_as_one_line() {
        let fault = Fault::Drop(FirewallFault {
            systems: vec!["alpha".into()],
            direction: Direction::In,
            port: PortSpec::Port(7022),
            peer: None,
        });
        assert_eq!(fault.to_string(), "drop alpha in port 7022");
        assert!(KINDS.contains(&fault.kind()));
    }

    #[test]
    fn what_is_over_at_once_does_not_last() {
        let instance = InstanceName::new("alpha");
        let restart = Fault::Restart {
            instance: instance.clone(),
        };
        assert!(!restart.lasts());
        assert!(Fault::Kill { instance }.lasts());
        let named = MOMENTARY.iter().chain(&DAMAGING);
        assert!(named.into_iter().all(|kind| KINDS.contains(kind)));
    }
}
