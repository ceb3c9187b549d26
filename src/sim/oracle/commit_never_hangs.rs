//! A transaction under SAFETY FULL has its answer, or its connection is cut, within the partner timeout, one ping interval
//! and the witness's word.
//!
//! Not judged while machines, processes or disks are stopped or slow, or while a firewall may be between the client and
//! its server: then the client waits for reasons of its own. Source: derived from *Possible Failures During Database
//! Mirroring*, *Database Mirroring Operating Modes*.

use std::collections::BTreeMap;
use std::time::Duration;

use super::scene::{PING, SLACK, Scene};
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{ClientEvent, Event, InstanceName, Source, Stamped, Timestamp, WorldEvent};

const NAME: &str = "commit-never-hangs";

/// Asking the witness, and telling the client.
const ROUND_TRIPS: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct CommitNeverHangs {
    scene: SharedScene,
    waiting: BTreeMap<(String, u64), (Timestamp, InstanceName)>,
    /// When a machine last lost its power, or a firewall last stood between a client and its server.
    excused: Option<Timestamp>,
}

impl CommitNeverHangs {
    fn judge(&mut self, client: &str, transaction: u64, at: Timestamp, out: &mut Vec<Violation>) {
        let Some((since, to)) = self.waiting.remove(&(client.to_owned(), transaction)) else {
            return;
        };
        let bound = self.scene.longest_timeout(at) + PING + SLACK + ROUND_TRIPS;
        let between = self.excused.is_some_and(|excused| excused + bound >= since);
        if at.since(since) > bound && !between && !self.scene.is_rough_since(since, &self.scene.company(&to))
        {
            let took = at.since(since);
            out.push(Violation::of(
                NAME,
                &[&client, &to],
                format!("transaction {transaction} of {client} on {to} had no answer for {took:?}"),
                at,
            ));
        }
    }
}

impl Oracle for CommitNeverHangs {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if let Event::World(WorldEvent::FaultFired { fault, .. } | WorldEvent::FaultEnded { fault, .. }) =
            &stamped.event
            && matches!(fault.as_str(), "power_loss" | "drop" | "reject")
        {
            self.excused = Some(stamped.at);
        }
        if Scene::concerns(stamped) {
            self.scene.observe(stamped);
        }
        let (Source::Client(client), Event::Client(event)) = (&stamped.source, &stamped.event) else {
            return;
        };
        match event {
            ClientEvent::Submitted { transaction, to, .. } => {
                let waits = (stamped.at, to.clone());
                self.waiting.insert((client.clone(), *transaction), waits);
            }
            ClientEvent::Acknowledged { transaction, .. }
            | ClientEvent::Refused { transaction, .. }
            | ClientEvent::InDoubt { transaction } => self.judge(client, *transaction, stamped.at, out),
            ClientEvent::Connected { .. } | ClientEvent::ConnectFailed { .. } | ClientEvent::Batch { .. } => {
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn answered(at: u64) -> Vec<Stamped> {
        let submitted = ClientEvent::Submitted {
            transaction: 1,
            to: InstanceName::new("alpha"),
            operation: "insert 1 = 1".into(),
        };
        let values = Vec::new();
        vec![
            client(10, submitted),
            client(
                at,
                ClientEvent::Acknowledged {
                    transaction: 1,
                    values,
                },
            ),
        ]
    }

    #[test]
    fn an_answer_after_the_partner_timeout_is_right() {
        assert_quiet::<CommitNeverHangs>(&answered(21));
    }

    #[test]
    fn a_stopped_mirror_is_no_ones_fault_and_neither_is_a_dead_machine() {
        for kind in ["disk_stuck", "power_loss"] {
            let mut events = vec![fault(9, 1, kind, kind)];
            events.extend(answered(40));
            assert_quiet::<CommitNeverHangs>(&events);
        }
    }

    #[test]
    fn waiting_for_ever_is_seen() {
        assert_red::<CommitNeverHangs>(&answered(40), NAME);
    }
}
