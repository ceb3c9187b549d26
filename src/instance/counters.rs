//! What an instance counts about each mirrored database, for `sys.dm_os_performance_counters` and the mirroring monitor.
//!
//! Totals run from the start of the instance, so that a reader takes the difference over time; times are those of the
//! last whole second. Counting changes nothing and needs no deadline. Source: documented, *SQL Server, Database Mirroring
//! object*; where a counter's page is silent about what begins and ends a wait, the field says it, and that is ours.

use std::collections::VecDeque;
use std::time::Duration;

use super::Instance;
use crate::types::{Event, LinkState, Lsn, MirroringState, SessionEvent, Timestamp};
use crate::wire::mirroring::Body;
use crate::wire::pages::PageMessage;

const SECOND: u64 = 1_000_000;

/// The counters of one database.
#[derive(Debug, Default)]
pub struct Counters {
    /// Session messages to partner and witness, and from them, in bytes of the message.
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub sends: u64,
    /// Pages sent to the partner that asked for them.
    pub pages_sent: u64,
    pub receives: u64,
    /// Log blocks, in bytes of log.
    pub log_bytes_sent: u64,
    pub log_bytes_received: u64,
    /// The same, in bytes of the messages that carried them.
    pub log_compressed_sent: u64,
    pub log_compressed_received: u64,
    /// Log a mirror has redone, in bytes.
    pub redo_bytes: u64,
    /// Log a new mirror takes back: still to do, and done, in bytes; both 0 once it is over.
    pub undo_remaining: u64,
    pub undo_scanned: u64,
    /// Commits that were acknowledged, and those of them that the mirror had to harden first.
    pub commits: u64,
    pub mirrored_commits: u64,
    /// How long commits waited for their acknowledgement after they were hardened here, since the start.
    pub commit_delay: Duration,
    /// From the request to harden a block until it is hardened.
    hardening: Waits,
    /// On the principal, from sending log until the mirror has confirmed it.
    confirming: Waits,
    /// Commits hardened here that are not acknowledged yet.
    unacknowledged: VecDeque<(Lsn, Timestamp)>,
    flow_control: Stopwatch,
}

impl Counters {
    pub fn sent(&mut self, message_bytes: usize, log_bytes: Option<usize>) {
        self.sends += 1;
        self.bytes_sent += message_bytes as u64;
        if let Some(log_bytes) = log_bytes {
            self.log_bytes_sent += log_bytes as u64;
            self.log_compressed_sent += message_bytes as u64;
        }
    }

    pub fn received(&mut self, message_bytes: usize, log_bytes: Option<usize>) {
        self.receives += 1;
        self.bytes_received += message_bytes as u64;
        if let Some(log_bytes) = log_bytes {
            self.log_bytes_received += log_bytes as u64;
            self.log_compressed_received += message_bytes as u64;
        }
    }

    pub fn harden_asked(&mut self, now: Timestamp, end: Lsn) {
        self.hardening.begin(now, end);
    }

    pub fn hardened(&mut self, now: Timestamp, to: Lsn) {
        self.hardening.end(now, to);
    }

    pub fn log_sent(&mut self, now: Timestamp, to: Lsn) {
        self.confirming.begin(now, to);
    }

    pub fn log_confirmed(&mut self, now: Timestamp, to: Lsn) {
        self.confirming.end(now, to);
    }

    /// A commit is hardened here; from now on it waits for the mirror alone.
    pub fn commit_hardened(&mut self, now: Timestamp, end: Lsn) {
        self.unacknowledged.push_back((end, now));
    }

    pub fn commit_acknowledged(&mut self, now: Timestamp, end: Lsn, by_mirror: bool) {
        self.commits += 1;
        self.mirrored_commits += u64::from(by_mirror);
        while let Some((_, since)) = self.unacknowledged.pop_front_if(|(lsn, _)| *lsn <= end) {
            self.commit_delay += now.since(since);
        }
    }

    /// The database stopped serving: nobody waits any more.
    pub fn forget_commits(&mut self) {
        self.unacknowledged.clear();
    }

    /// Log beyond `to` is taken back.
    pub fn forget_beyond(&mut self, to: Lsn) {
        self.unacknowledged.retain(|(end, _)| *end <= to);
        self.hardening.forget_beyond(to);
        self.confirming.forget_beyond(to);
    }

    /// The link to the mirror is gone: nothing that was sent will be confirmed.
    pub fn link_lost(&mut self) {
        self.confirming.waiting.clear();
    }

    pub fn undo_begins(&mut self, bytes: u64) {
        self.undo_remaining += bytes;
    }

    /// The data file is taken back; the log is cut next.
    pub fn undo_scanned(&mut self) {
        self.undo_scanned += std::mem::take(&mut self.undo_remaining);
    }

    pub fn undo_ends(&mut self) {
        self.undo_remaining = 0;
        self.undo_scanned = 0;
    }

    /// Whether log is held back by the send window from now on.
    pub fn flow_controlled(&mut self, now: Timestamp, held: bool) {
        self.flow_control.set(now, held);
    }

    /// How long commits wait by now for acknowledgements that have not come yet, summed up.
    pub fn transaction_delay(&self, now: Timestamp) -> Duration {
        self.unacknowledged
            .iter()
            .map(|(_, since)| now.since(*since))
            .sum()
    }

    pub fn harden_time(&self, now: Timestamp) -> Duration {
        self.hardening.time.last(now)
    }

    pub fn ack_time(&self, now: Timestamp) -> Duration {
        self.confirming.time.last(now)
    }

    pub fn flow_control_time(&self, now: Timestamp) -> Duration {
        self.flow_control.last(now)
    }
}

/// How much log a message carries, in bytes.
pub(super) fn log_bytes(body: &Body) -> Option<usize> {
    match body {
        Body::Block { frame } => Some(frame.len()),
        _ => None,
    }
}

/// Whether a message brings the partner a page that it asked for.
pub(super) fn is_page(body: &Body) -> bool {
    matches!(body, Body::Page(PageMessage::Image { .. }))
}

impl Instance {
    /// Count what an event tells.
    pub(super) fn count(&mut self, event: &Event) {
        let Event::Session(event) = event else { return };
        let now = self.now.at;
        let (SessionEvent::LogSent { database, .. }
        | SessionEvent::FailoverLsn { database, .. }
        | SessionEvent::CommitAcknowledged { database, .. }
        | SessionEvent::Links { database, .. }) = event
        else {
            return;
        };
        let Some(database) = self.database_mut(database) else {
            return;
        };
        let counters = &mut database.counters;
        match event {
            SessionEvent::LogSent { to, .. } => counters.log_sent(now, *to),
            SessionEvent::FailoverLsn { lsn, .. } => counters.log_confirmed(now, *lsn),
            SessionEvent::CommitAcknowledged { lsn, state, .. } => {
                let by_mirror = *state == Some(MirroringState::Synchronized);
                counters.commit_acknowledged(now, *lsn, by_mirror);
            }
            SessionEvent::Links { partner, .. } if *partner != LinkState::Connected => counters.link_lost(),
            _ => {}
        }
    }
}

/// Things that wait for a point of the log to be reached, in its order.
#[derive(Debug, Default)]
struct Waits {
    waiting: VecDeque<(Lsn, Timestamp)>,
    time: LastSecond,
}

impl Waits {
    fn begin(&mut self, now: Timestamp, until: Lsn) {
        self.waiting.push_back((until, now));
    }

    fn end(&mut self, now: Timestamp, reached: Lsn) {
        while let Some((_, since)) = self.waiting.pop_front_if(|(lsn, _)| *lsn <= reached) {
            self.time.add(since, now);
        }
    }

    fn forget_beyond(&mut self, to: Lsn) {
        self.waiting.retain(|(until, _)| *until <= to);
    }
}

/// How long something has been so.
#[derive(Debug, Default)]
struct Stopwatch {
    since: Option<Timestamp>,
    time: LastSecond,
}

impl Stopwatch {
    fn set(&mut self, now: Timestamp, runs: bool) {
        match (self.since, runs) {
            (None, true) => self.since = Some(now),
            (Some(since), false) => {
                self.time.add(since, now);
                self.since = None;
            }
            _ => {}
        }
    }

    fn last(&self, now: Timestamp) -> Duration {
        let mut time = self.time.clone();
        if let Some(since) = self.since {
            time.add(since, now);
        }
        time.last(now)
    }
}

/// Time summed up over whole seconds of the run; only this second and the one before are kept.
#[derive(Debug, Clone, Default)]
struct LastSecond {
    second: u64,
    /// Microseconds that fall into `second`, and into the one before it.
    current: u64,
    before: u64,
}

impl LastSecond {
    /// Add the time from `from` to `to`, which is now.
    fn add(&mut self, from: Timestamp, to: Timestamp) {
        self.roll(to);
        self.current += overlap(from, to, self.second);
        if let Some(before) = self.second.checked_sub(1) {
            self.before += overlap(from, to, before);
        }
    }

    fn roll(&mut self, now: Timestamp) {
        let second = now.as_micros() / SECOND;
        self.before = match second - self.second.min(second) {
            0 => self.before,
            1 => self.current,
            _ => 0,
        };
        if second > self.second {
            self.current = 0;
        }
        self.second = second;
    }

    /// The sum of the last whole second.
    fn last(&self, now: Timestamp) -> Duration {
        let mut rolled = self.clone();
        rolled.roll(now);
        Duration::from_micros(rolled.before)
    }
}

/// Microseconds of `from` to `to` within a second of the run.
fn overlap(from: Timestamp, to: Timestamp, second: u64) -> u64 {
    let begin = from.as_micros().max(second * SECOND);
    let end = to.as_micros().min((second + 1) * SECOND);
    end.saturating_sub(begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_time_is_that_of_the_last_whole_second() {
        let mut counters = Counters::default();
        counters.harden_asked(at(900), Lsn::new(10));
        counters.harden_asked(at(1_100), Lsn::new(20));
        counters.hardened(at(1_300), Lsn::new(20));
        assert_eq!(
            counters.harden_time(at(1_300)),
            ms(100),
            "what fell into second 0"
        );
        assert_eq!(counters.harden_time(at(1_999)), ms(100));
        assert_eq!(counters.harden_time(at(2_000)), ms(300 + 200), "second 1");
        assert_eq!(counters.harden_time(at(3_000)), Duration::ZERO);
        counters.hardened(at(5_000), Lsn::new(20));
        assert_eq!(counters.harden_time(at(5_500)), Duration::ZERO, "each block once");
    }

    #[test]
    fn flow_control_counts_while_it_lasts() {
        let mut counters = Counters::default();
        counters.flow_controlled(at(500), true);
        counters.flow_controlled(at(800), true);
        assert_eq!(counters.flow_control_time(at(1_200)), ms(500));
        assert_eq!(
            counters.flow_control_time(at(4_200)),
            ms(1_000),
            "a whole second of it"
        );
        counters.flow_controlled(at(4_250), false);
        assert_eq!(counters.flow_control_time(at(4_900)), ms(1_000));
        assert_eq!(counters.flow_control_time(at(5_100)), ms(250));
        assert_eq!(counters.flow_control_time(at(6_100)), Duration::ZERO);
    }

    #[test]
    fn a_commit_waits_from_its_own_hardening_to_its_acknowledgement() {
        let mut counters = Counters::default();
        counters.commit_hardened(at(10), Lsn::new(1));
        counters.commit_hardened(at(20), Lsn::new(2));
        assert_eq!(counters.transaction_delay(at(30)), ms(20 + 10));
        counters.commit_acknowledged(at(40), Lsn::new(1), true);
        assert_eq!(counters.transaction_delay(at(50)), ms(30));
        assert_eq!(counters.commit_delay, ms(30));
        counters.forget_beyond(Lsn::new(1));
        assert_eq!(counters.transaction_delay(at(60)), Duration::ZERO);
        assert_eq!((counters.commits, counters.mirrored_commits), (1, 1));
    }

    #[test]
    fn undo_is_counted_down_and_gone() {
        let mut counters = Counters::default();
        counters.undo_begins(4_096);
        assert_eq!((counters.undo_remaining, counters.undo_scanned), (4_096, 0));
        counters.undo_scanned();
        assert_eq!((counters.undo_remaining, counters.undo_scanned), (0, 4_096));
        counters.undo_ends();
        assert_eq!((counters.undo_remaining, counters.undo_scanned), (0, 0));
    }

    #[test]
    fn log_counts_twice_as_log_and_as_what_carried_it() {
        let mut counters = Counters::default();
        counters.sent(60, Some(100));
        counters.sent(20, None);
        counters.received(30, Some(40));
        assert_eq!((counters.bytes_sent, counters.sends), (80, 2));
        assert_eq!((counters.log_bytes_sent, counters.log_compressed_sent), (100, 60));
        assert_eq!((counters.bytes_received, counters.receives), (30, 1));
        assert_eq!(
            (counters.log_bytes_received, counters.log_compressed_received),
            (40, 30)
        );
    }
}
