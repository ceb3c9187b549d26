//! Every SET PARTNER and SET WITNESS ends, with success or an error, within the partner timeout, one ping interval and what
//! a login may take.
//!
//! Judged of scripts in which each batch is one such statement, by their answers; one whose server died, was paused or is
//! behind a firewall has none. What happens to its partner or witness is no excuse: that is what the bound is for. Source: derived from message 1421; the slack is S13.

use std::time::Duration;

use super::operator::instance_of;
use super::scene::{PING, SLACK, Scene};
use super::shared_scene::SharedScene;
use super::{End, Oracle, Violation};
use crate::types::{ClientEvent, Event, InstanceName, Stamped, Timestamp, WorldEvent};

const NAME: &str = "operator-command-terminates";

/// What a command may take beyond the partner timeout and a ping interval. Source: S13.
const LOGIN: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct OperatorCommandTerminates {
    scene: SharedScene,
    /// Where the command runs that was given last, and since when.
    waiting: Option<(InstanceName, Timestamp)>,
}

/// The instance on which a step runs one statement of mirroring.
fn command(text: &str) -> Option<InstanceName> {
    let (_, sql) = text.split_once(": ")?;
    let sql = sql.trim().trim_end_matches(';').to_ascii_uppercase();
    let one = !sql.contains(';') && sql.starts_with("ALTER DATABASE ");
    let mirroring = sql.contains(" SET PARTNER ") || sql.contains(" SET WITNESS ");
    instance_of(text).filter(|_| one && mirroring)
}

impl OperatorCommandTerminates {
    fn judge(&mut self, at: Timestamp, out: &mut Vec<Violation>) {
        let Some((on, since)) = &self.waiting else { return };
        let bound = self.scene.longest_timeout(at) + PING + LOGIN + SLACK;
        if at.since(*since) <= bound {
            return;
        }
        let (on, since) = (on.clone(), *since);
        self.waiting = None;
        let faults = self.scene.faults.values();
        // Between the operator and the server, or in the server.
        let disturbed = faults
            .filter(|fault| fault.to.is_none_or(|to| to + SLACK >= since) && fault.kind != "cut")
            .any(|fault| self.scene.touches(fault, &on));
        if !disturbed
            && self.scene.is_alive(&on)
            && !self.scene.is_rough_since(since, std::slice::from_ref(&on))
        {
            let message = format!("a statement on {on} has had no answer since {since}");
            out.push(Violation::of(NAME, &[&on], message, at));
        }
    }
}

impl Oracle for OperatorCommandTerminates {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if let Event::Client(ClientEvent::Batch { .. }) = &stamped.event {
            self.judge(stamped.at, out);
            self.waiting = None;
        }
        if !Scene::concerns(stamped) {
            return;
        }
        self.judge(stamped.at, out);
        self.scene.observe(stamped);
        match &stamped.event {
            Event::World(WorldEvent::Step { text }) => {
                self.waiting = command(text).map(|on| (on, stamped.at));
            }
            Event::World(WorldEvent::ProcessKilled { instance })
                if self.waiting.as_ref().is_some_and(|(on, _)| on == instance) =>
            {
                self.waiting = None;
            }
            _ => {}
        }
    }

    fn finish(&mut self, end: &End, out: &mut Vec<Violation>) {
        self.judge(end.at, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::Reply;

    fn answered(sql: &str, at: u64) -> Vec<Stamped> {
        let mut events = pair_connected();
        events.push(world_step(5, &format!("sql on alpha: {sql}")));
        let (on, reply) = (InstanceName::new("alpha"), Reply { items: Vec::new() });
        events.push(client(at, ClientEvent::Batch { on, reply }));
        events.push(world_step(90, "later"));
        events
    }

    const FAILOVER: &str = "ALTER DATABASE Sales SET PARTNER FAILOVER;";

    #[test]
    fn an_answer_in_time_is_right_and_other_statements_may_wait() {
        assert_quiet::<OperatorCommandTerminates>(&answered(FAILOVER, 20));
        assert_quiet::<OperatorCommandTerminates>(&answered("SELECT 1;", 60));
    }

    #[test]
    fn a_server_that_died_or_is_behind_a_firewall_owes_nothing() {
        let mut events = answered(FAILOVER, 60);
        events.insert(events.len() - 2, killed(6, "alpha"));
        assert_quiet::<OperatorCommandTerminates>(&events);
        let mut events = answered(FAILOVER, 60);
        events.insert(events.len() - 2, fault(6, 1, "drop", "drop alpha both ways"));
        assert_quiet::<OperatorCommandTerminates>(&events);
    }

    #[test]
    fn a_partner_that_hangs_is_no_excuse() {
        let mut events = answered(FAILOVER, 60);
        events.insert(events.len() - 2, fault(4, 1, "pause", "pause beta"));
        assert_red::<OperatorCommandTerminates>(&events, NAME);
        let mut events = answered(FAILOVER, 60);
        events.insert(events.len() - 2, fault(4, 1, "pause", "pause alpha"));
        assert_quiet::<OperatorCommandTerminates>(&events);
    }

    #[test]
    fn no_answer_is_seen() {
        assert_red::<OperatorCommandTerminates>(&answered(FAILOVER, 60), NAME);
    }

    #[test]
    fn a_clock_that_was_set_before_is_no_excuse() {
        let mut events = answered(FAILOVER, 60);
        events.insert(0, fault(0, 7, "clock_step", "clock_step alpha +500ms"));
        assert_red::<OperatorCommandTerminates>(&events, NAME);
    }
}
