//! What runs and what has power: killing instances, pulling and restoring power, and saying so in the trace.
//!
//! Clones are the same: a process holds one, so that a fault may take it down from within. Source: ours.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::domains::Domains;
use super::playground::Playground;
use crate::sim::fault::Crash;
use crate::sim::topology::Topology;
use crate::sim::trace::Recorder;
use crate::sim::world::{ProcessId, SystemId};
use crate::types::{InstanceName, Source, WorldEvent};

#[derive(Clone)]
pub(super) struct Power<W> {
    pub(super) kernel: W,
    pub(super) topology: Rc<Topology>,
    pub(super) recorder: Recorder,
    pub(super) systems: Rc<BTreeMap<String, SystemId>>,
    /// Systems without power.
    dark: Rc<RefCell<BTreeSet<String>>>,
    processes: Rc<RefCell<BTreeMap<InstanceName, ProcessId>>>,
    pub(super) domains: Rc<Domains>,
}

impl<W: Playground> Power<W> {
    pub(super) fn new(
        kernel: W,
        topology: Topology,
        recorder: Recorder,
        systems: BTreeMap<String, SystemId>,
        domains: Domains,
    ) -> Self {
        Power {
            kernel,
            topology: Rc::new(topology),
            recorder,
            systems: Rc::new(systems),
            dark: Rc::default(),
            processes: Rc::default(),
            domains: Rc::new(domains),
        }
    }

    pub(super) fn tell(&self, event: WorldEvent) {
        self.recorder.record(self.kernel.now(), Source::World, event);
    }

    pub(super) fn system(&self, name: &str) -> Result<SystemId, String> {
        self.systems
            .get(name)
            .copied()
            .ok_or_else(|| format!("no system is called {name}"))
    }

    pub(super) fn is_dark(&self, system: &str) -> bool {
        self.dark.borrow().contains(system)
    }

    pub(super) fn process(&self, name: &InstanceName) -> Option<ProcessId> {
        self.processes.borrow().get(name).copied()
    }

    pub(super) fn started(&self, name: &InstanceName, process: ProcessId) {
        self.processes.borrow_mut().insert(name.clone(), process);
    }

    pub(super) fn is_alive(&self, name: &InstanceName) -> bool {
        self.process(name)
            .is_some_and(|process| self.kernel.runs(process))
    }

    /// The instances of one system, in the order of the scenario.
    pub(super) fn instances_of(&self, system: &str) -> Vec<InstanceName> {
        self.topology
            .instances
            .iter()
            .filter(|i| i.system == system)
            .map(|i| i.name.clone())
            .collect()
    }

    /// Whether it was alive.
    pub(super) fn kill(&self, name: &InstanceName) -> bool {
        let process = self.processes.borrow_mut().remove(name);
        let killed = process.is_some_and(|process| self.kernel.stop(process));
        if killed {
            self.tell(WorldEvent::ProcessKilled {
                instance: name.clone(),
            });
        }
        killed
    }

    /// Whether the system was up.
    pub(super) fn off(&self, system: &str) -> Result<bool, String> {
        let id = self.system(system)?;
        let alive: Vec<InstanceName> = self
            .instances_of(system)
            .into_iter()
            .filter(|i| self.is_alive(i))
            .collect();
        if !self.kernel.lose_power(id) {
            return Ok(false);
        }
        self.dark.borrow_mut().insert(system.to_owned());
        self.tell(WorldEvent::SystemDown {
            system: system.to_owned(),
        });
        for instance in alive {
            self.processes.borrow_mut().remove(&instance);
            self.tell(WorldEvent::ProcessKilled { instance });
        }
        for domain in self.domains.on(system) {
            if self.domains.process_of(&domain).is_some() {
                self.domains.runs_as(&domain, None);
                self.tell(WorldEvent::ControllerDown { domain });
            }
        }
        Ok(true)
    }

    /// Gives power back, with nothing running. Whether the system was down.
    pub(super) fn on(&self, system: &str) -> Result<bool, String> {
        let id = self.system(system)?;
        if !self.kernel.restore_power(id) {
            return Ok(false);
        }
        self.dark.borrow_mut().remove(system);
        self.tell(WorldEvent::SystemUp {
            system: system.to_owned(),
        });
        Ok(true)
    }

    /// An instance of `system` went down in the middle of a write.
    pub(super) fn crash(&self, instance: &InstanceName, system: &str, how: Crash) {
        match how {
            Crash::Kill => drop(self.kill(instance)),
            Crash::PowerLoss => {
                if let Err(error) = self.off(system) {
                    tracing::error!(system, error, "its power could not be cut");
                }
            }
        }
    }
}
