//! What the two kernels can break around processes, from a scenario's words.
//!
//! Processes and power are every [`Kernel`]'s; firewalls, links, names, clocks and disks are broken here. What `turmoil`
//! has no means for it refuses by name, before the run. Source: ours.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::sim::fault::{Direction, Fault, FirewallFault, MiddleFault, PortSpec};
use crate::sim::kernel::{Kernel, Outage};
use crate::sim::reference::{Reference, Silence};
use crate::sim::topology::Topology;
use crate::sim::trace::Recorder;
use crate::sim::world::{
    self, ClockSetting, DiskFault, Effect, FaultHandle, GIVE_UP, ProcessId, Rule, SystemId, Torn, World,
};
use crate::types::InstanceName;

use super::wiretap::wiretap;

/// A kernel that scenarios are played on.
pub trait Playground: Kernel {
    /// Something broken, until it is healed. Clones are the same.
    type Broken: Clone + 'static;

    /// Why this kernel cannot do the fault; `None` if it can.
    fn cannot(fault: &Fault) -> Option<&'static str>;

    /// Records what passes on the wire in clear; where there is no wire to listen on, nothing.
    fn listen_in(&self, recorder: &Recorder);

    /// Breaks what is around the processes; faults of processes and power are the stage's. The error says what is wrong.
    fn break_it(
        &self,
        fault: &Fault,
        lasts: Option<Duration>,
        places: &Places<'_>,
    ) -> Result<Vec<Self::Broken>, String>;

    /// Whether anything has felt it.
    fn took_effect(broken: &Self::Broken) -> bool;

    fn heal(&self, broken: Self::Broken);

    /// As `World::pause`.
    fn pause(&self, process: ProcessId) -> bool;

    /// As `World::resume`.
    fn resume(&self, process: ProcessId) -> bool;
}

/// What the names in a fault mean.
pub struct Places<'a> {
    pub(super) topology: &'a Topology,
    pub(super) systems: &'a BTreeMap<String, SystemId>,
    /// Wall clocks as they were last set.
    pub(super) clocks: &'a RefCell<BTreeMap<String, ClockSetting>>,
    pub(super) port_of: &'a dyn Fn(&InstanceName) -> Option<u16>,
}

impl Places<'_> {
    fn system(&self, name: &str) -> Result<SystemId, String> {
        let found = self.systems.get(name).copied();
        found.ok_or_else(|| format!("no system is called {name}"))
    }

    fn rule(&self, fault: &FirewallFault, action: world::Action) -> Result<Rule, String> {
        Ok(Rule {
            direction: match fault.direction {
                Direction::In => world::Direction::In,
                Direction::Out => world::Direction::Out,
                Direction::Both => world::Direction::Both,
            },
            port: self.port(&fault.port)?,
            peer: fault.peer.as_ref().map(|p| self.system(p)).transpose()?,
            action,
        })
    }

    fn port(&self, port: &PortSpec) -> Result<Option<u16>, String> {
        let listening = |instance: &InstanceName| {
            (self.port_of)(instance).ok_or_else(|| format!("the endpoint of {instance} is not listening"))
        };
        Ok(match port {
            PortSpec::Any => None,
            PortSpec::Port(port) => Some(*port),
            PortSpec::EndpointOf(instance) => Some(listening(instance)?),
        })
    }

    fn attack(&self, fault: &MiddleFault) -> Result<world::Attack, String> {
        Ok(world::Attack {
            how: fault.how,
            from: self.system(&fault.from)?,
            to: self.system(&fault.to)?,
            port: self.port(&fault.port)?,
            count: fault.count,
        })
    }

    /// The short name and the fully qualified one.
    fn names(&self, system: &str) -> Vec<String> {
        let qualified = self.topology.dns_suffix(system);
        let qualified = qualified.map(|suffix| format!("{system}.{suffix}"));
        [system.to_owned()].into_iter().chain(qualified).collect()
    }
}

/// The disk fault a fault is, if it is one, and on which system.
fn disk_fault(fault: &Fault, lasts: Option<Duration>) -> Option<(&str, DiskFault)> {
    let (system, fault) = match fault {
        Fault::DiskFailSync { system, file } => {
            let (count, file) = (u32::MAX, file.clone());
            (system, DiskFault::FailSyncs { count, file })
        }
        Fault::DiskLie { system, file } => (system, DiskFault::LyingSync { file: file.clone() }),
        Fault::DiskIoError { system, file } => {
            let (count, file) = (None, file.clone());
            (system, DiskFault::IoErrors { count, file })
        }
        Fault::DiskSlow {
            system,
            file,
            latency,
        } => {
            let (extra, file) = (*latency, file.clone());
            (system, DiskFault::Slow { extra, file })
        }
        Fault::DiskStuck { system, file } => {
            let (extra, file) = (lasts.unwrap_or(STUCK_FOR_GOOD), file.clone());
            (system, DiskFault::Slow { extra, file })
        }
        // Whatever would make a file grow is too much.
        Fault::DiskFull { system, file } => {
            let (capacity_bytes, file) = (0, file.clone());
            (system, DiskFault::Full { capacity_bytes, file })
        }
        Fault::DiskTorn {
            system,
            file,
            scattered,
        } => {
            let keep = if *scattered { Torn::Scattered } else { Torn::Prefix };
            let file = file.clone();
            (system, DiskFault::TornWrites { keep, file })
        }
        Fault::BitRot { system, file, offset } => {
            let (file, offset, mask) = (file.clone(), *offset, ROT_MASK);
            (system, DiskFault::BitRot { file, offset, mask })
        }
        Fault::BadSector { system, file, offset } => {
            let (file, offset) = (file.clone(), *offset);
            (system, DiskFault::BadSector { file, offset })
        }
        Fault::CrashAtWrite {
            system,
            write,
            kept,
            how,
        } => {
            let (write, kept, how) = (*write, *kept, *how);
            (system, DiskFault::CrashAt { write, kept, how })
        }
        _ => return None,
    };
    Some((system, fault))
}

/// How long an operation takes on a disk that is stuck until the end of the run.
const STUCK_FOR_GOOD: Duration = Duration::from_secs(24 * 60 * 60);

/// The bits of a byte that rot.
const ROT_MASK: u8 = 0x10;

impl Playground for World {
    type Broken = FaultHandle;

    fn listen_in(&self, recorder: &Recorder) {
        self.tap(wiretap(recorder.clone()));
    }

    fn cannot(_: &Fault) -> Option<&'static str> {
        None
    }

    fn break_it(
        &self,
        fault: &Fault,
        lasts: Option<Duration>,
        places: &Places<'_>,
    ) -> Result<Vec<FaultHandle>, String> {
        let firewall = |fault: &FirewallFault, action| {
            let rule = places.rule(fault, action)?;
            let add = |system: &String| Ok(FaultHandle::from(self.add_rule(places.system(system)?, rule)));
            fault.systems.iter().map(add).collect()
        };
        if let Some((system, fault)) = disk_fault(fault, lasts) {
            let handle = self.break_disk(places.system(system)?, fault);
            return Ok(vec![handle.map_err(|error| error.to_string())?]);
        }
        match fault {
            Fault::Drop(rule) => firewall(rule, world::Action::Drop),
            Fault::Reject(rule) => firewall(rule, world::Action::Reject),
            Fault::Cut { from, to } => {
                let from = places.system(from)?;
                let cut = |to: &String| Ok(FaultHandle::from(self.cut(from, places.system(to)?)));
                to.iter().map(cut).collect()
            }
            Fault::SlowLink { from, to, latency } => {
                let (from, to) = (places.system(from)?, places.system(to)?);
                Ok(vec![self.slow_link(from, to, (*latency, *latency))])
            }
            Fault::Meddle(middle) => Ok(vec![World::attack(self, places.attack(middle)?)]),
            Fault::ClockStep { system, by_millis } => {
                let id = places.system(system)?;
                let mut clocks = places.clocks.borrow_mut();
                let setting = clocks.entry(system.clone()).or_default();
                setting.offset_millis = setting.offset_millis.saturating_add(*by_millis);
                Ok(vec![self.set_clock(id, *setting)])
            }
            Fault::DnsLost { system } => {
                let lose = |name: &String| self.remove_name(name).map_err(|error| error.to_string());
                places.names(system).iter().map(lose).collect()
            }
            _ => Ok(Vec::new()),
        }
    }

    fn took_effect(broken: &FaultHandle) -> bool {
        broken.took_effect()
    }

    fn heal(&self, broken: FaultHandle) {
        World::heal(self, &broken);
    }

    fn pause(&self, process: ProcessId) -> bool {
        World::pause(self, process)
    }

    fn resume(&self, process: ProcessId) -> bool {
        World::resume(self, process)
    }
}

/// What can be broken around the processes of a reference simulation.
#[derive(Clone)]
pub enum ReferenceBroken {
    Silence(Silence),
    Disk(SystemId, u64, Effect),
}

impl Playground for Reference {
    type Broken = ReferenceBroken;

    fn listen_in(&self, _: &Recorder) {}

    fn cannot(fault: &Fault) -> Option<&'static str> {
        match fault {
            Fault::Drop(_) | Fault::Reject(_) => Some("it has no firewalls, only cuts between systems"),
            Fault::Meddle(_) => Some("nobody can sit on its wire"),
            Fault::SlowLink { .. } => Some("it cannot make a slow link fast again"),
            Fault::ClockStep { .. } => Some("its wall clocks cannot be set"),
            Fault::DnsLost { .. } => Some("its names cannot be lost"),
            Fault::Cut { .. }
            | Fault::Kill { .. }
            | Fault::Restart { .. }
            | Fault::PowerLoss { .. }
            | Fault::PowerOn { .. }
            | Fault::Pause { .. }
            | Fault::PauseSystem { .. }
            | Fault::DiskFailSync { .. }
            | Fault::DiskLie { .. }
            | Fault::DiskIoError { .. }
            | Fault::DiskSlow { .. }
            | Fault::DiskStuck { .. }
            | Fault::DiskFull { .. }
            | Fault::DiskTorn { .. }
            | Fault::BitRot { .. }
            | Fault::BadSector { .. }
            | Fault::CrashAtWrite { .. }
            | Fault::AccountDisabled { .. }
            | Fault::AccountLocked { .. }
            | Fault::PasswordChanged { .. }
            | Fault::AccountRenamed { .. }
            | Fault::SpnRemoved { .. }
            | Fault::SpnDuplicated { .. }
            | Fault::TrustRemoved { .. }
            | Fault::ControllerDown { .. }
            | Fault::ControllerSlow { .. } => None,
        }
    }

    fn break_it(
        &self,
        fault: &Fault,
        lasts: Option<Duration>,
        places: &Places<'_>,
    ) -> Result<Vec<ReferenceBroken>, String> {
        if let Some((system, fault)) = disk_fault(fault, lasts) {
            let id = places.system(system)?;
            let (number, effect) = self
                .disk_of(id)
                .inject(fault)
                .map_err(|error| error.to_string())?;
            return Ok(vec![ReferenceBroken::Disk(id, number, effect)]);
        }
        let Fault::Cut { from, to } = fault else {
            return Ok(Vec::new());
        };
        let outage = match lasts {
            Some(lasts) if lasts < GIVE_UP => Outage::Short,
            _ => Outage::Long,
        };
        let from = places.system(from)?;
        let cut = |to: &String| {
            let cut = self.separate(from, places.system(to)?, outage);
            Ok(ReferenceBroken::Silence(cut))
        };
        to.iter().map(cut).collect()
    }

    fn took_effect(broken: &ReferenceBroken) -> bool {
        match broken {
            ReferenceBroken::Silence(silence) => silence.took_effect(),
            ReferenceBroken::Disk(_, _, effect) => effect.took_effect(),
        }
    }

    fn heal(&self, broken: ReferenceBroken) {
        match broken {
            ReferenceBroken::Silence(silence) => self.mend(silence),
            ReferenceBroken::Disk(system, number, _) => {
                self.disk_of(system).heal(number);
            }
        }
    }

    fn pause(&self, process: ProcessId) -> bool {
        self.set_paused(process, true)
    }

    fn resume(&self, process: ProcessId) -> bool {
        self.set_paused(process, false)
    }
}
