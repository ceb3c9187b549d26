//! The firewall of one system: rules by direction, port, peer and action. The first rule that matches decides.
//!
//! A packet passes the sender's firewall (as *out*) and the receiver's (as *in*), both at the moment it would arrive.
//! Dropping is silence: a connect hangs until its own deadline, an open stream is retried as TCP does. Rejecting answers
//! the sender with a reset: a connect is refused at once, an open stream is reset by its next packet. Traffic within a
//! system passes no firewall. Source: ours, after Windows' inbound and outbound rules (without connection tracking).

use super::counters::Effect;
use super::system::SystemId;

/// Which packets a rule looks at, seen from the system that has the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Arriving packets; `port` is the local (destination) port.
    In,
    /// Leaving packets; `port` is the remote (destination) port.
    Out,
    /// Both ways of every connection in which either end has `port`.
    Both,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Drop,
    Reject,
}

/// One rule; `None` matches every port or every peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub direction: Direction,
    pub port: Option<u16>,
    pub peer: Option<SystemId>,
    pub action: Action,
}

/// A rule in force: names it for removal and tells whether it has matched a packet.
#[derive(Debug, Clone)]
pub struct RuleHandle {
    pub(super) system: SystemId,
    pub(super) id: u64,
    pub(super) effect: Effect,
}

impl RuleHandle {
    pub fn system(&self) -> SystemId {
        self.system
    }

    /// Whether any packet matched.
    pub fn took_effect(&self) -> bool {
        self.effect.took_effect()
    }

    /// Packets matched, retries included.
    pub fn hits(&self) -> u64 {
        self.effect.hits()
    }
}

/// One packet as a firewall sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passage {
    pub(super) inbound: bool,
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) peer: Option<SystemId>,
}

#[derive(Debug, Default)]
pub(super) struct Firewall {
    rules: Vec<(u64, Rule, Effect)>,
    next: u64,
}

impl Firewall {
    pub(super) fn add(&mut self, system: SystemId, rule: Rule) -> RuleHandle {
        let effect = Effect::default();
        let id = self.next;
        self.next += 1;
        self.rules.push((id, rule, effect.clone()));
        RuleHandle { system, id, effect }
    }

    /// Whether the rule was in force.
    pub(super) fn remove(&mut self, id: u64) -> bool {
        let before = self.rules.len();
        self.rules.retain(|(other, _, _)| *other != id);
        self.rules.len() < before
    }

    /// What happens to a packet; `None` lets it pass. Counts the rule as felt.
    pub(super) fn verdict(&self, passage: Passage) -> Option<Action> {
        let (_, rule, effect) = self.rules.iter().find(|(_, rule, _)| matches(rule, passage))?;
        effect.hit();
        Some(rule.action)
    }
}

fn matches(rule: &Rule, passage: Passage) -> bool {
    let port = |port| match rule.direction {
        Direction::In | Direction::Out => passage.destination_port == port,
        Direction::Both => passage.destination_port == port || passage.source_port == port,
    };
    let direction = match rule.direction {
        Direction::In => passage.inbound,
        Direction::Out => !passage.inbound,
        Direction::Both => true,
    };
    direction && rule.port.is_none_or(port) && rule.peer.is_none_or(|peer| passage.peer == Some(peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(inbound: bool, source_port: u16, destination_port: u16) -> Passage {
        Passage {
            inbound,
            source_port,
            destination_port,
            peer: Some(SystemId(1)),
        }
    }

    fn decide(rule: Rule, passage: Passage) -> Option<Action> {
        let mut firewall = Firewall::default();
        firewall.add(SystemId(0), rule);
        firewall.verdict(passage)
    }

    #[test]
    fn inbound_rules_look_at_the_local_port() {
        let rule = Rule {
            direction: Direction::In,
            port: Some(7022),
            peer: None,
            action: Action::Drop,
        };
        assert_eq!(decide(rule, passage(true, 50_000, 7022)), Some(Action::Drop));
        assert_eq!(decide(rule, passage(true, 7022, 50_000)), None);
        assert_eq!(decide(rule, passage(false, 50_000, 7022)), None);
    }

    #[test]
    fn both_covers_the_answers_too() {
        let rule = Rule {
            direction: Direction::Both,
            port: Some(7022),
            peer: None,
            action: Action::Reject,
        };
        assert_eq!(decide(rule, passage(false, 7022, 50_000)), Some(Action::Reject));
        assert_eq!(decide(rule, passage(true, 50_000, 7022)), Some(Action::Reject));
        assert_eq!(decide(rule, passage(true, 50_000, 7023)), None);
    }

    #[test]
    fn a_peer_rule_leaves_others_alone_and_the_first_match_decides() {
        let mut firewall = Firewall::default();
        let other = Rule {
            direction: Direction::Both,
            port: None,
            peer: Some(SystemId(2)),
            action: Action::Drop,
        };
        let any = Rule {
            direction: Direction::In,
            port: None,
            peer: None,
            action: Action::Reject,
        };
        let felt = firewall.add(SystemId(0), other);
        let handle = firewall.add(SystemId(0), any);
        assert_eq!(firewall.verdict(passage(true, 1, 2)), Some(Action::Reject));
        assert!(!felt.took_effect());
        assert!(handle.took_effect());
        assert!(firewall.remove(handle.id));
        assert!(!firewall.remove(handle.id));
        assert_eq!(firewall.verdict(passage(true, 1, 2)), None);
    }
}
