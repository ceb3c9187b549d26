//! Pings that are sent and delivered keep a connection: it ends in a time-out only if something could have silenced it.
//!
//! What can silence a connection is known from the faults at either end of it: lines cut or dropped, processes stopped or
//! dead, machines without power, slow lines and disks. A firewall that rejects one way is among them: the end whose packets
//! it rejects is reset, and the other end hears nothing of that either. Source: documented,
//! *Possible Failures During Database Mirroring*.

use std::time::Duration;

use super::scene::{PING, Scene, gone};
use super::shared_scene::SharedScene;
use super::{Oracle, Violation};
use crate::types::{ClosedBy, ConnectionId, EndpointEvent, Event, InstanceName, Source, Stamped, Timestamp};

const NAME: &str = "healthy-stays-connected";

/// The last ping before a fault may have been on its way, and the first after it waits for a TCP that has backed off.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
const BACKED_OFF: Duration = Duration::from_secs(5);

/// Faults that end a connection at once or leave it alone.
const LOUD: [&str; 3] = ["kill", "restart", "clock_step"];

#[derive(Debug, Default)]
pub(super) struct HealthyStaysConnected {
    scene: SharedScene,
    died: Vec<(InstanceName, Timestamp)>,
}

impl HealthyStaysConnected {
    /// Whether pings to `who` may have been kept away before `at`.
    fn is_excused(&self, who: &InstanceName, connection: ConnectionId, at: Timestamp) -> bool {
        // A login that takes too long has a deadline of its own.
        let Some(peer) = self.scene.peer_of(who, connection) else {
            return true;
        };
        let timeout = self.scene.timeout(who);
        let begun_by = |from: Timestamp| at.since(from) + PING + ON_ITS_WAY >= timeout;
        let faults = self.scene.faults.values();
        let silenced = faults
            .filter(|fault| !LOUD.contains(&fault.kind.as_str()))
            .filter(|fault| self.scene.touches(fault, who) || self.scene.touches(fault, peer))
            .any(|fault| begun_by(fault.from) && fault.to.is_none_or(|to| to + BACKED_OFF >= at));
        // Who rose again has made new connections by then.
        let noticed = self.scene.longest_timeout(at) + PING + BACKED_OFF;
        let died = self
            .died
            .iter()
            .any(|(dead, when)| dead == peer && begun_by(*when) && at.since(*when) <= noticed);
        silenced || died
    }
}

impl Oracle for HealthyStaysConnected {
    fn share(&mut self, scene: &SharedScene) {
        self.scene = scene.clone();
    }

    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if !Scene::concerns(stamped) {
            return;
        }
        if let Some(instance) = gone(stamped) {
            self.died.push((instance.clone(), stamped.at));
        }
        if let (Source::Instance(who), Event::Endpoint(EndpointEvent::Closed { connection, by, .. })) =
            (&stamped.source, &stamped.event)
            && *by == ClosedBy::Timeout
            && !self.is_excused(who, *connection, stamped.at)
        {
            let message =
                format!("{who} closed {connection} for silence, though nothing had kept its pings away");
            out.push(Violation::of(NAME, &[who], message, stamped.at));
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
        assert_quiet::<HealthyStaysConnected>(&timed_out(&[cut], 16));
        assert_quiet::<HealthyStaysConnected>(&timed_out(&[killed(5, "beta")], 16));
    }

    #[test]
    fn a_firewall_that_rejects_one_way_silences_the_other_end() {
        let reject = fault(5, 1, "reject", "reject alpha in port 7022 for 30s");
        assert_quiet::<HealthyStaysConnected>(&timed_out(&[reject], 16));
    }

    #[test]
    fn a_death_excuses_the_time_outs_that_follow_it_and_no_more() {
        let died = [killed(5, "beta")].into_iter();
        let again: Vec<_> = died.chain(rejoined(20, "alpha", "beta")).collect();
        assert_quiet::<HealthyStaysConnected>(&timed_out(&again[..1], 16));
        assert_red::<HealthyStaysConnected>(&timed_out(&again, 60), NAME);
    }

    #[test]
    fn a_page_that_rotted_keeps_no_ping_away() {
        let rot = fault(5, 1, "bit_rot", "bit_rot beta Sales.mdf byte 7");
        assert_red::<HealthyStaysConnected>(&timed_out(&[rot], 16), NAME);
    }

    #[test]
    fn silence_without_a_reason_is_seen() {
        let late = fault(15, 1, "cut", "cut alpha <-> beta");
        assert_red::<HealthyStaysConnected>(&timed_out(&[late], 20), NAME);
        let elsewhere = fault(5, 1, "pause", "pause gamma for 60s");
        assert_red::<HealthyStaysConnected>(&timed_out(&[elsewhere], 20), NAME);
        assert_red::<HealthyStaysConnected>(&timed_out(&[killed(5, "gamma")], 20), NAME);
        assert_red::<HealthyStaysConnected>(&timed_out(&[], 30), NAME);
    }
}
