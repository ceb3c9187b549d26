//! Breaking and healing: firewalls, links, names, clocks, disks.

use super::counters::Effect;
use super::disk::DiskFault;
use super::fault::{Broken, FaultHandle};
use super::firewall::{Action, Direction, Rule, RuleHandle};
use super::system::{ClockSetting, SystemId, WallClock};
use super::wire::{Attack, LatencyRange};
use super::{World, WorldError};

impl World {
    pub fn add_rule(&self, system: SystemId, rule: Rule) -> RuleHandle {
        self.0.systems.borrow_mut()[system.index()]
            .firewall
            .add(system, rule)
    }

    /// Whether the rule was in force.
    pub fn remove_rule(&self, rule: &RuleHandle) -> bool {
        self.0.systems.borrow_mut()[rule.system.index()]
            .firewall
            .remove(rule.id)
    }

    /// Silence between two systems, both ways.
    pub fn cut(&self, a: SystemId, b: SystemId) -> RuleHandle {
        self.add_rule(
            a,
            Rule {
                direction: Direction::Both,
                port: None,
                peer: Some(b),
                action: Action::Drop,
            },
        )
    }

    /// Another latency for every packet that leaves from now on, except on slow links.
    pub fn set_latency(&self, latency: LatencyRange) {
        self.0.wire.borrow_mut().set_latency(latency);
    }

    /// Another latency between two systems, both ways, until healed.
    pub fn slow_link(&self, a: SystemId, b: SystemId, latency: LatencyRange) -> FaultHandle {
        let (id, effect) = self.0.wire.borrow_mut().set_link(a, b, latency);
        FaultHandle {
            what: Broken::Link(id),
            effect,
        }
    }

    /// A man in the middle alters a stream, so often or until healed. Felt when bytes were changed.
    pub fn attack(&self, attack: Attack) -> FaultHandle {
        let (id, effect) = self.0.wire.borrow_mut().begin_attack(attack);
        FaultHandle {
            what: Broken::Attack(id),
            effect,
        }
    }

    /// Makes a name unknown until healed. Fails if it is unknown already.
    pub fn remove_name(&self, name: &str) -> Result<FaultHandle, WorldError> {
        match self.0.names.borrow_mut().remove(name) {
            Some(effect) => Ok(FaultHandle {
                what: Broken::Name(name.to_owned()),
                effect,
            }),
            None => Err(WorldError::NoSuchName(name.to_owned())),
        }
    }

    /// Points a name at a system, as a changed DNS record would.
    pub fn set_name(&self, name: &str, system: SystemId) {
        self.0.names.borrow_mut().set(name, system);
    }

    /// Sets a wall clock; healing sets it right again. Felt when it is read.
    pub fn set_clock(&self, system: SystemId, setting: ClockSetting) -> FaultHandle {
        self.0.systems.borrow_mut()[system.index()].clock = WallClock::new(setting, self.now());
        let effect = Effect::default();
        self.0.clock_faults.borrow_mut().insert(system, effect.clone());
        FaultHandle {
            what: Broken::Clock(system),
            effect,
        }
    }

    /// Breaks a disk until healed. Fails only for bits that are not there to rot.
    pub fn break_disk(&self, system: SystemId, fault: DiskFault) -> std::io::Result<FaultHandle> {
        let (id, effect) = self.disk(system).inject(fault)?;
        Ok(FaultHandle {
            what: Broken::Disk(system, id),
            effect,
        })
    }

    /// Ends a fault; one that has ended already stays so.
    pub fn heal(&self, fault: &FaultHandle) {
        match &fault.what {
            Broken::Rule(rule) => {
                self.remove_rule(rule);
            }
            Broken::Link(id) => self.0.wire.borrow_mut().remove_link(*id),
            Broken::Attack(id) => self.0.wire.borrow_mut().end_attack(*id),
            Broken::Name(name) => self.0.names.borrow_mut().restore(name),
            Broken::Clock(system) => {
                self.0.systems.borrow_mut()[system.index()].clock =
                    WallClock::new(ClockSetting::default(), self.now());
                self.0.clock_faults.borrow_mut().remove(system);
            }
            Broken::Disk(system, id) => {
                self.disk(*system).heal(*id);
            }
        }
    }
}
