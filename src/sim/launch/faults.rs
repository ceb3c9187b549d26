//! From a scenario's fault to what breaks in the world, and back.

use std::time::Duration;

use super::KernelStage;
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
    Resume(InstanceName),
}

impl<B> Fired<B> {
    /// Whether anything felt it.
    pub(super) fn took_effect(&self) -> bool {
        self.happened || self.broken.iter().any(self.felt)
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
                Ok(Self::done(self.power_off(system)?, mending))
            }
            Fault::PowerOn { system } => Ok(Self::done(self.power_on(system)?, Mending::Nothing)),
            Fault::Pause { instance } => {
                let process = self.processes.borrow().get(instance).copied();
                let paused = process.is_some_and(|process| self.kernel.pause(process));
                Ok(Self::done(paused, Mending::Resume(instance.clone())))
            }
            Fault::ClockStep { .. } => Ok(Fired {
                mending: Mending::Nothing,
                ..self.surroundings(fault, lasts, port_of)?
            }),
            Fault::Drop(_)
            | Fault::Reject(_)
            | Fault::Cut { .. }
            | Fault::SlowLink { .. }
            | Fault::DiskFailSync { .. }
            | Fault::DiskSlow { .. }
            | Fault::DiskFull { .. }
            | Fault::DnsLost { .. } => self.surroundings(fault, lasts, port_of),
        }
    }

    pub(super) fn mend(&self, mending: Mending<W::Broken>) -> Result<(), String> {
        match mending {
            Mending::Nothing => Ok(()),
            Mending::Heal(broken) => {
                broken.into_iter().for_each(|broken| self.kernel.heal(broken));
                Ok(())
            }
            // Without power it starts when its system does.
            Mending::Start(instance) => match self.is_alive(&instance) || !self.has_power(&instance)? {
                true => Ok(()),
                false => self.start(&instance),
            },
            Mending::PowerOn(system) => self.power_on(&system).map(drop),
            Mending::Resume(instance) => {
                if let Some(process) = self.processes.borrow().get(&instance) {
                    self.kernel.resume(*process);
                }
                Ok(())
            }
        }
    }

    fn done(happened: bool, mending: Mending<W::Broken>) -> Fired<W::Broken> {
        Fired {
            broken: Vec::new(),
            felt: W::took_effect,
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
            topology: &self.topology,
            systems: &self.systems,
            clocks: &self.clocks,
            port_of,
        };
        let broken = self.kernel.break_it(fault, lasts, &places)?;
        Ok(Fired {
            mending: Mending::Heal(broken.clone()),
            broken,
            felt: W::took_effect,
            happened: false,
        })
    }
}
