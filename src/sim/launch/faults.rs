//! From a scenario's fault to what breaks in the world, and back.

use std::time::Duration;

use super::KernelStage;
use super::domains;
use super::playground::{Places, Playground};
use crate::instance::io::Core;
use crate::sim::fault::Fault;
use crate::types::InstanceName;

/// What a fault left behind in the simulation.
pub(super) struct Fired<B> {
    /// What was broken; the kernel knows whether it was felt.
    broken: Vec<B>,
    /// Asks the kernel.
    felt: fn(&B) -> bool,
    /// What was changed in a domain; it knows itself whether it was felt.
    domain: Option<domains::Broken>,
    /// For faults that are felt by happening: whether it happened.
    happened: bool,
    mending: Mending<B>,
}

/// What ends a fault.
#[derive(Debug, Clone)]
pub(super) enum Mending<B> {
    Nothing,
    Heal(Vec<B>),
    Start(InstanceName),
    PowerOn(String),
    /// Heals the disk, then brings back what went down in a write.
    Recover {
        system: String,
        broken: Vec<B>,
    },
    Resume(Vec<InstanceName>),
    StartController(String),
    Domain(domains::Mended),
}

impl<B> Fired<B> {
    /// Whether anything felt it.
    pub(super) fn took_effect(&self) -> bool {
        self.happened
            || self.broken.iter().any(self.felt)
            || self.domain.as_ref().is_some_and(domains::Broken::took_effect)
    }

    /// What to do to end it, once.
    pub(super) fn healing(&mut self) -> Mending<B> {
        std::mem::replace(&mut self.mending, Mending::Nothing)
    }
}

impl<W: Playground, K: Core + 'static> KernelStage<W, K> {
    pub(super) fn break_it(
        &self,
        fault: &Fault,
        lasts: Option<Duration>,
        port_of: &dyn Fn(&InstanceName) -> Option<u16>,
    ) -> Result<Fired<W::Broken>, String> {
        if let Some(reason) = W::cannot(fault) {
            return Err(reason.to_owned());
        }
        match fault {
            Fault::Kill { instance } => {
                let mending = Mending::Start(instance.clone());
                Ok(Self::done(self.kill(instance), mending))
            }
            Fault::Restart { instance } => {
                self.kill(instance);
                let powered = self.has_power(instance)?;
                if powered {
                    self.start(instance)?;
                }
                Ok(Self::done(powered, Mending::Nothing))
            }
            Fault::PowerLoss { system } => {
                let mending = Mending::PowerOn(system.clone());
                Ok(Self::done(self.power.off(system)?, mending))
            }
            Fault::PowerOn { system } => Ok(Self::done(self.power_on(system)?, Mending::Nothing)),
            Fault::Pause { instance } => {
                let paused = self.pause(instance);
                Ok(Self::done(paused, Mending::Resume(vec![instance.clone()])))
            }
            Fault::PauseSystem { system } => {
                let mut instances = self.power.instances_of(system);
                instances.retain(|instance| self.pause(instance));
                Ok(Self::done(!instances.is_empty(), Mending::Resume(instances)))
            }
            Fault::ClockStep { .. } | Fault::BitRot { .. } | Fault::BadSector { .. } => Ok(Fired {
                mending: Mending::Nothing,
                ..self.surroundings(fault, lasts, port_of)?
            }),
            Fault::Drop(_)
            | Fault::Reject(_)
            | Fault::Cut { .. }
            | Fault::SlowLink { .. }
            | Fault::Meddle(_)
            | Fault::DiskFailSync { .. }
            | Fault::DiskLie { .. }
            | Fault::DiskIoError { .. }
            | Fault::DiskSlow { .. }
            | Fault::DiskStuck { .. }
            | Fault::DiskFull { .. }
            | Fault::DiskTorn { .. }
            | Fault::DnsLost { .. } => self.surroundings(fault, lasts, port_of),
            Fault::CrashAtWrite { system, .. } => {
                let fired = self.surroundings(fault, lasts, port_of)?;
                let mending = Mending::Recover {
                    system: system.clone(),
                    broken: fired.broken.clone(),
                };
                Ok(Fired { mending, ..fired })
            }
            Fault::ControllerDown { domain } => {
                let mending = Mending::StartController(domain.clone());
                Ok(Self::done(self.kill_controller(domain), mending))
            }
            Fault::AccountDisabled { .. }
            | Fault::AccountLocked { .. }
            | Fault::PasswordChanged { .. }
            | Fault::AccountRenamed { .. }
            | Fault::SpnRemoved { .. }
            | Fault::SpnDuplicated { .. }
            | Fault::TrustRemoved { .. }
            | Fault::ControllerSlow { .. } => {
                let broken = self
                    .power
                    .domains
                    .break_it(&self.power.topology, fault, port_of)?;
                Ok(Fired {
                    mending: Mending::Domain(broken.mended()),
                    domain: Some(broken),
                    ..Self::done(false, Mending::Nothing)
                })
            }
        }
    }

    pub(super) fn mend(&self, mending: Mending<W::Broken>) -> Result<(), String> {
        match mending {
            Mending::Nothing => Ok(()),
            Mending::Heal(broken) => {
                broken
                    .into_iter()
                    .for_each(|broken| self.power.kernel.heal(broken));
                Ok(())
            }
            // Without power it starts when its system does.
            Mending::Start(instance) => match self.is_alive(&instance) || !self.has_power(&instance)? {
                true => Ok(()),
                false => self.start(&instance),
            },
            Mending::PowerOn(system) => self.power_on(&system).map(drop),
            Mending::Recover { system, broken } => {
                broken
                    .into_iter()
                    .for_each(|broken| self.power.kernel.heal(broken));
                if self.power_on(&system)? {
                    return Ok(());
                }
                let down = self.power.instances_of(&system).into_iter();
                down.filter(|instance| !self.is_alive(instance))
                    .try_for_each(|instance| self.start(&instance))
            }
            Mending::StartController(domain) => self.start_controller(&domain),
            Mending::Domain(mended) => self.power.domains.mend(&mended),
            Mending::Resume(instances) => {
                for process in instances.iter().filter_map(|one| self.power.process(one)) {
                    self.power.kernel.resume(process);
                }
                Ok(())
            }
        }
    }

    /// Whether its process ran until now.
    fn pause(&self, instance: &InstanceName) -> bool {
        let process = self.power.process(instance);
        process.is_some_and(|process| self.power.kernel.pause(process))
    }

    fn done(happened: bool, mending: Mending<W::Broken>) -> Fired<W::Broken> {
        Fired {
            broken: Vec::new(),
            felt: W::took_effect,
            domain: None,
            happened,
            mending,
        }
    }

    /// Breaks what is around the processes.
    fn surroundings(
        &self,
        fault: &Fault,
        lasts: Option<Duration>,
        port_of: &dyn Fn(&InstanceName) -> Option<u16>,
    ) -> Result<Fired<W::Broken>, String> {
        let places = Places {
            topology: &self.power.topology,
            systems: &self.power.systems,
            clocks: &self.clocks,
            port_of,
        };
        let broken = self.power.kernel.break_it(fault, lasts, &places)?;
        Ok(Fired {
            mending: Mending::Heal(broken.clone()),
            broken,
            felt: W::took_effect,
            domain: None,
            happened: false,
        })
    }
}
