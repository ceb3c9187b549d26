//! Handles of what was broken in a world: each knows whether it was felt, and is what `World::heal` takes.

use super::counters::Effect;
use super::firewall::RuleHandle;
use super::system::SystemId;

/// Something broken on purpose. Dropping the handle heals nothing.
#[derive(Debug, Clone)]
pub struct FaultHandle {
    pub(super) what: Broken,
    pub(super) effect: Effect,
}

#[derive(Debug, Clone)]
pub(super) enum Broken {
    Rule(RuleHandle),
    Link(u64),
    Attack(u64),
    Name(String),
    Clock(SystemId),
    Disk(SystemId, u64),
}

impl FaultHandle {
    /// Whether anything in the world felt it: a packet, a lookup, a reading of the clock, an operation of the disk.
    pub fn took_effect(&self) -> bool {
        self.effect.took_effect()
    }

    /// How often it was felt.
    pub fn hits(&self) -> u64 {
        self.effect.hits()
    }
}

impl From<RuleHandle> for FaultHandle {
    fn from(rule: RuleHandle) -> FaultHandle {
        let effect = rule.effect.clone();
        FaultHandle {
            what: Broken::Rule(rule),
            effect,
        }
    }
}
