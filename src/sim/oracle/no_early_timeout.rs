//! No connection is closed for silence unless something could have silenced it for the partner timeout.
//!
//! What can silence a connection is known from the faults: lines cut or dropped, processes stopped or dead, machines
//! without power, slow lines and disks. So pings that arrive in time never end in a time-out either. Source: documented,
//! *Possible Failures During Database Mirroring*.

use std::collections::BTreeMap;
use std::time::Duration;

use super::scene::{PING, Scene};
use super::{Oracle, Violation};
use crate::types::{
    ClosedBy, ConnectionId, EndpointEvent, Event, InstanceName, Source, Stamped, Timestamp, WorldEvent,
};

const NAME: &str = "no-early-timeout";

/// The last ping before a fault may have been on its way, and the first after it waits for a TCP that has backed off.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
const BACKED_OFF: Duration = Duration::from_secs(5);

/// Faults that end a connection at once or leave it alone.
const LOUD: [&str; 4] = ["reject", "kill", "restart", "clock_step"];

#[derive(Debug, Default)]
pub(super) struct NoEarlyTimeout {
    scene: Scene,
    /// When each connection that is open was logged in.
    since: BTreeMap<(InstanceName, ConnectionId), Timestamp>,
    died: Vec<Timestamp>,
}

impl NoEarlyTimeout {
    fn problem(&self, since: Timestamp, at: Timestamp) -> Option<String> {
        let least = self.scene.timeouts.0;
        let age = at.since(since);
        if age < least {
            return Some(format!("for silence after {age:?}"));
        }
        let begun_by = |from: Timestamp| at.since(from) + PING + ON_ITS_WAY >= least;
        let faults = self.scene.faults.values();
        let silenced = faults
            .filter(|fault| !LOUD.contains(&fault.kind.as_str()))
            .any(|fault| begun_by(fault.from) && fault.to.is_none_or(|to| to + BACKED_OFF >= at));
        let died = self.died.iter().any(|died| begun_by(*died));
        (!silenced && !died).then(|| "for silence, though nothing had kept its pings away".to_owned())
    }
}

impl Oracle for NoEarlyTimeout {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if !Scene::concerns(stamped) {
            return;
        }
        if let Event::World(WorldEvent::ProcessKilled { instance }) = &stamped.event {
            self.died.push(stamped.at);
            self.since.retain(|(who, _), _| who != instance);
        }
        if let (Source::Instance(who), Event::Endpoint(event)) = (&stamped.source, &stamped.event) {
            match event {
                EndpointEvent::LoggedIn { connection, .. } => {
                    self.since.insert((who.clone(), *connection), stamped.at);
                }
                EndpointEvent::Closed { connection, by } => {
                    let since = self.since.remove(&(who.clone(), *connection));
                    if let (ClosedBy::Timeout, Some(since)) = (by, since)
                        && let Some(problem) = self.problem(since, stamped.at)
                    {
                        out.push(Violation::of(
                            NAME,
                            &[who],
                            format!("{who} closed {connection} {problem}"),
                            stamped.at,
                        ));
                    }
                }
                _ => {}
            }
        }
        self.scene.observe(stamped);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn timed_out(events: &[Stamped], at: u64) -> Vec<Stamped> {
        let mut all = trio();
        all.extend(events.iter().cloned());
        all.extend(parted_by(at, "alpha", "beta", ClosedBy::Timeout));
        all
    }

    #[test]
    fn a_cut_line_is_silent() {
        let cut = fault(5, 1, "cut", "cut alpha <-> beta");
        assert_quiet::<NoEarlyTimeout>(&timed_out(&[cut], 16));
        assert_quiet::<NoEarlyTimeout>(&timed_out(&[killed(5, "beta")], 16));
    }

    #[test]
    fn too_soon_or_without_a_reason_is_seen() {
        let cut = fault(5, 1, "cut", "cut alpha <-> beta");
        assert_red::<NoEarlyTimeout>(&timed_out(&[cut], 9), NAME);
        let cut = fault(15, 1, "cut", "cut alpha <-> beta");
        assert_red::<NoEarlyTimeout>(&timed_out(&[cut], 20), NAME);
        assert_red::<NoEarlyTimeout>(&timed_out(&[], 30), NAME);
    }

    #[test]
    fn the_operators_timeout_counts() {
        let command = world_step(1, "sql on alpha: ALTER DATABASE Sales SET PARTNER TIMEOUT 3");
        let cut = fault(5, 1, "cut", "cut alpha <-> beta");
        assert_quiet::<NoEarlyTimeout>(&timed_out(&[command.clone(), cut.clone()], 11));
        assert_red::<NoEarlyTimeout>(&timed_out(&[command, cut], 7), NAME);
    }
}
