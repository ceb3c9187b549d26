//! What a logon session remembers of Kerberos: tickets it holds and requests it has accepted.
//!
//! With a ticket in hand an initiator needs no controller for the ticket's ten hours, whatever has become of its account.
//! A ticket that was shown and has not led to an answer is doubtful (the acceptor may have a new password, and tells
//! nobody): it is used again only if the controller cannot be asked for another. Source: caching documented (Windows'
//! ticket cache); the doubt ours.

use std::collections::BTreeMap;

use super::SKEW_MAX;
use super::crypto::Key;
use super::message::Ticket;
use crate::types::WallTime;

/// Requests remembered at most; beyond that the oldest are forgotten.
const SEEN_MAX: usize = 4_096;
/// Tickets for services at most; beyond that the first to expire goes.
const SERVICES_MAX: usize = 256;

/// A ticket and the key that goes with it.
#[derive(Clone, PartialEq, Eq)]
pub struct Held {
    pub ticket: Ticket,
    pub session_key: Key,
    pub end: WallTime,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Held({} until {})", self.ticket.service.text(), self.end)
    }
}

/// Whether a ticket may be used without asking for a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Good,
    Doubtful,
}

/// One logon session's memory.
#[derive(Debug, Default)]
pub struct Cache {
    /// For the ticket-granting service.
    pub granting: Option<Held>,
    /// By service principal name.
    services: BTreeMap<String, (Held, Standing)>,
    /// Digests of accepted authenticators, with their times.
    seen: BTreeMap<[u8; 32], WallTime>,
}

impl Cache {
    /// The ticket-granting ticket, if it is valid at `now`.
    pub fn granting(&self, now: WallTime) -> Option<&Held> {
        self.granting.as_ref().filter(|held| held.end > now)
    }

    /// The ticket for a service, if it is valid at `now`.
    pub fn service(&self, spn: &str, now: WallTime) -> Option<(Held, Standing)> {
        let found = self.services.get(spn).filter(|(held, _)| held.end > now);
        found.cloned()
    }

    /// Remembers a ticket that is shown now and nobody has answered yet.
    pub fn show(&mut self, spn: &str, held: &Held) {
        if self.services.len() >= SERVICES_MAX && !self.services.contains_key(spn) {
            let first = self.services.iter().min_by_key(|(_, (held, _))| held.end);
            if let Some(first) = first.map(|(spn, _)| spn.clone()) {
                self.services.remove(&first);
            }
        }
        self.services
            .insert(spn.to_owned(), (held.clone(), Standing::Doubtful));
    }

    /// The service answered to this ticket.
    pub fn confirm(&mut self, spn: &str, held: &Held) {
        self.services
            .insert(spn.to_owned(), (held.clone(), Standing::Good));
    }

    /// Notes an accepted authenticator; false if it was seen before.
    pub fn note(&mut self, digest: [u8; 32], time: WallTime, now: WallTime) -> bool {
        self.seen.retain(|_, time| *time + 2 * SKEW_MAX >= now);
        if self.seen.len() >= SEEN_MAX {
            let oldest = self.seen.iter().min_by_key(|(_, time)| **time);
            if let Some(oldest) = oldest.map(|(digest, _)| *digest) {
                self.seen.remove(&oldest);
            }
        }
        self.seen.insert(digest, time).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_seen_while_their_time_would_be_accepted() {
        let mut cache = Cache::default();
        let at = |secs| WallTime::from_unix_secs(secs);
        assert!(cache.note([1; 32], at(1_000), at(1_000)));
        assert!(!cache.note([1; 32], at(1_000), at(1_300)));
        assert!(cache.note([2; 32], at(1_000), at(1_300)));
        assert!(
            cache.note([1; 32], at(1_000), at(1_601)),
            "too old to be accepted anyway"
        );
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut cache = Cache::default();
        let now = WallTime::from_unix_secs(1_000);
        for n in 0..SEEN_MAX as u32 + 10 {
            let mut digest = [0; 32];
            digest[..4].copy_from_slice(&n.to_be_bytes());
            assert!(cache.note(digest, now, now));
        }
        assert_eq!(cache.seen.len(), SEEN_MAX);
    }
}
