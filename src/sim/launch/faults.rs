//! From a scenario's fault to what breaks in the world, and back.

use super::WorldStage;
use crate::instance::io::Core;
use crate::sim::fault::{Direction, Fault, FirewallFault, PortSpec};
use crate::sim::world::{self, DiskFault, FaultHandle, Rule};
use crate::types::InstanceName;

/// What a fault left behind in the world.
pub(super) struct Fired {
    /// What was broken; each knows whether it was felt.
    handles: Vec<FaultHandle>,
    /// For faults that are felt by happening: whether it happened.
    happened: bool,
    mending: Mending,
}

/// What ends a fault.
#[derive(Debug, Clone)]
pub(super) enum Mending {
    Nothing,
    Heal(Vec<FaultHandle>),
    Start(InstanceName),
    PowerOn(String),
    Resume(InstanceName),
}

impl Fired {
    fn broken(handles: Vec<FaultHandle>) -> Fired {
        Fired {
            mending: Mending::Heal(handles.clone()),
            handles,
            happened: false,
        }
    }

    fn done(happened: bool, mending: Mending) -> Fired {
        Fired {
            handles: Vec::new(),
            happened,
            mending,
        }
    }

    /// Whether anything felt it.
    pub(super) fn took_effect(&self) -> bool {
        self.happened || self.handles.iter().any(FaultHandle::took_effect)
    }

    /// What to do to end it, once.
    pub(super) fn healing(&mut self) -> Mending {
        std::mem::replace(&mut self.mending, Mending::Nothing)
    }
}

impl<K: Core + 'static> WorldStage<K> {
    pub(super) fn break_it(
        &self,
        fault: &Fault,
        port_of: &dyn Fn(&InstanceName) -> Option<u16>,
    ) -> Result<Fired, String> {
        match fault {
            Fault::Drop(rule) => self.firewall(rule, world::Action::Drop, port_of),
            Fault::Reject(rule) => self.firewall(rule, world::Action::Reject, port_of),
            Fault::Cut { from, to } => {
                let from = self.system(from)?;
                let cut = |to: &String| Ok(FaultHandle::from(self.world.cut(from, self.system(to)?)));
                Ok(Fired::broken(to.iter().map(cut).collect::<Result<_, String>>()?))
            }
            Fault::SlowLink { from, to, latency } => {
                let (from, to) = (self.system(from)?, self.system(to)?);
                let handle = self.world.slow_link(from, to, (*latency, *latency));
                Ok(Fired::broken(vec![handle]))
            }
            Fault::Kill { instance } => {
                let mending = Mending::Start(instance.clone());
                Ok(Fired::done(self.kill(instance), mending))
            }
            Fault::Restart { instance } => {
                self.kill(instance);
                self.start(instance)?;
                Ok(Fired::done(true, Mending::Nothing))
            }
            Fault::PowerLoss { system } => {
                let mending = Mending::PowerOn(system.clone());
                Ok(Fired::done(self.power_off(system)?, mending))
            }
            Fault::PowerOn { system } => Ok(Fired::done(self.power_on(system)?, Mending::Nothing)),
            Fault::Pause { instance } => {
                let process = self.processes.borrow().get(instance).copied();
                let paused = process.is_some_and(|process| self.world.pause(process));
                Ok(Fired::done(paused, Mending::Resume(instance.clone())))
            }
            Fault::ClockStep { system, by_millis } => self.step_clock(system, *by_millis),
            Fault::DiskFailSync { system } => {
                self.break_disk(system, DiskFault::FailSyncs { count: u32::MAX })
            }
            Fault::DiskSlow { system, latency } => {
                self.break_disk(system, DiskFault::Slow { extra: *latency })
            }
            // Whatever would make a file grow is too much.
            Fault::DiskFull { system } => self.break_disk(system, DiskFault::Full { capacity_bytes: 0 }),
            Fault::DnsLost { system } => self.lose_name(system),
        }
    }

    pub(super) fn mend(&self, mending: Mending) -> Result<(), String> {
        match mending {
            Mending::Nothing => Ok(()),
            Mending::Heal(handles) => {
                handles.iter().for_each(|handle| self.world.heal(handle));
                Ok(())
            }
            Mending::Start(instance) => match self.is_alive(&instance) {
                true => Ok(()),
                false => self.start(&instance),
            },
            Mending::PowerOn(system) => self.power_on(&system).map(drop),
            Mending::Resume(instance) => {
                if let Some(process) = self.processes.borrow().get(&instance) {
                    self.world.resume(*process);
                }
                Ok(())
            }
        }
    }

    fn firewall(
        &self,
        fault: &FirewallFault,
        action: world::Action,
        port_of: &dyn Fn(&InstanceName) -> Option<u16>,
    ) -> Result<Fired, String> {
        let port = match &fault.port {
            PortSpec::Any => None,
            PortSpec::Port(port) => Some(*port),
            PortSpec::EndpointOf(instance) => Some(
                port_of(instance).ok_or_else(|| format!("the endpoint of {instance} is not listening"))?,
            ),
        };
        let peer = fault.peer.as_ref().map(|p| self.system(p)).transpose()?;
        let direction = match fault.direction {
            Direction::In => world::Direction::In,
            Direction::Out => world::Direction::Out,
            Direction::Both => world::Direction::Both,
        };
        let rule = Rule {
            direction,
            port,
            peer,
            action,
        };
        let add = |system: &String| Ok(FaultHandle::from(self.world.add_rule(self.system(system)?, rule)));
        let handles = fault.systems.iter().map(add).collect::<Result<_, String>>()?;
        Ok(Fired::broken(handles))
    }

    fn step_clock(&self, system: &str, by_millis: i64) -> Result<Fired, String> {
        let id = self.system(system)?;
        let mut clocks = self.clocks.borrow_mut();
        let setting = clocks.entry(system.to_owned()).or_default();
        setting.offset_millis = setting.offset_millis.saturating_add(by_millis);
        let handle = self.world.set_clock(id, *setting);
        Ok(Fired {
            handles: vec![handle],
            happened: false,
            mending: Mending::Nothing,
        })
    }

    fn break_disk(&self, system: &str, fault: DiskFault) -> Result<Fired, String> {
        let id = self.system(system)?;
        let handle = self.world.break_disk(id, fault).map_err(|e| e.to_string())?;
        Ok(Fired::broken(vec![handle]))
    }

    /// The short name and the fully qualified one.
    fn lose_name(&self, system: &str) -> Result<Fired, String> {
        let mut names = vec![system.to_owned()];
        if let Some(suffix) = self.topology.dns_suffix(system) {
            names.push(format!("{system}.{suffix}"));
        }
        let lose = |name: &String| self.world.remove_name(name).map_err(|e| e.to_string());
        Ok(Fired::broken(
            names.iter().map(lose).collect::<Result<_, String>>()?,
        ))
    }
}
