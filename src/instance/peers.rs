//! Who this instance is connected to: the connections it initiates, the ones it accepted, and the links they form.
//!
//! A partner pair holds two connections, one initiated by each side; the link between partners is up while both are
//! online. A partner reaches its witness over the one connection it initiated. Several addresses may lead to one peer: they
//! share the connection that was there first. A lost connection is dialled again at once and then every 5 s. Source: documented for the two connections (*Troubleshoot Database Mirroring
//! Configuration*); the interval and the single connection to the witness are ours.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::types::{ConnectionId, Guid, ServerAddress, Timestamp};

/// Between two attempts to reach the same address, after the first one that follows a loss.
pub const RECONNECT_INTERVAL: Duration = Duration::from_secs(5);

/// Who the instance at the other end says it is, once authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub arbitration_id: Guid,
    pub server_name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Dial {
    Idle { next_attempt: Timestamp },
    Connecting { connection: ConnectionId },
    Online { connection: ConnectionId, peer: Peer },
}

#[derive(Debug, Default)]
pub struct Peers {
    dials: BTreeMap<ServerAddress, Dial>,
    /// The surviving accepted connection of each peer.
    inbound: BTreeMap<Guid, ConnectionId>,
}

impl Peers {
    /// Dial exactly `wanted`. Returns the connections that are no longer wanted.
    pub fn want(&mut self, now: Timestamp, wanted: &BTreeSet<ServerAddress>) -> Vec<ConnectionId> {
        let unwanted: Vec<ServerAddress> = self
            .dials
            .keys()
            .filter(|a| !wanted.contains(*a))
            .cloned()
            .collect();
        let dropped = unwanted
            .iter()
            .filter_map(|a| self.dials.remove(a))
            .filter_map(|d| d.connection());
        let mut dropped: Vec<ConnectionId> = dropped.collect();
        dropped.sort_unstable();
        dropped.dedup();
        dropped.retain(|c| self.address_of(*c).is_none());
        for address in wanted {
            self.dials
                .entry(address.clone())
                .or_insert(Dial::Idle { next_attempt: now });
        }
        dropped
    }

    /// The surviving accepted connection of a peer.
    pub fn inbound(&self, peer: Guid) -> Option<ConnectionId> {
        self.inbound.get(&peer).copied()
    }

    /// The addresses whose next attempt is due.
    pub fn due(&self, now: Timestamp) -> Vec<ServerAddress> {
        let is_due = |dial: &Dial| matches!(dial, Dial::Idle { next_attempt } if *next_attempt <= now);
        self.dials
            .iter()
            .filter(|(_, d)| is_due(d))
            .map(|(a, _)| a.clone())
            .collect()
    }

    /// When the next attempt is due, if one is.
    pub fn next_attempt(&self) -> Option<Timestamp> {
        let attempt = |dial: &Dial| match dial {
            Dial::Idle { next_attempt } => Some(*next_attempt),
            _ => None,
        };
        self.dials.values().filter_map(attempt).min()
    }

    /// Try `address` again at once, whatever its interval says.
    pub fn hurry(&mut self, now: Timestamp, address: &ServerAddress) {
        if let Some(Dial::Idle { next_attempt }) = self.dials.get_mut(address) {
            *next_attempt = now;
        }
    }

    pub fn connecting(&mut self, address: &ServerAddress, connection: ConnectionId) {
        self.dials
            .insert(address.clone(), Dial::Connecting { connection });
    }

    /// The address `connection` was or is being initiated to; the first of those that share it.
    pub fn address_of(&self, connection: ConnectionId) -> Option<&ServerAddress> {
        self.dials
            .iter()
            .find(|(_, d)| d.connection() == Some(connection))
            .map(|(a, _)| a)
    }

    /// Every address that `connection` is to reach, or reaches.
    pub fn addresses_of(&self, connection: ConnectionId) -> Vec<ServerAddress> {
        self.dials
            .iter()
            .filter(|(_, d)| d.connection() == Some(connection))
            .map(|(a, _)| a.clone())
            .collect()
    }

    /// `connection` has met a peer that `other` leads to as well: what it was initiated to is reached over `other` from now
    /// on. False, and nothing done, if nobody wants `other` any more.
    pub fn share(&mut self, connection: ConnectionId, other: ConnectionId) -> bool {
        let dial = self.dials.values().find(|d| d.connection() == Some(other));
        let Some(dial) = dial.cloned() else { return false };
        for address in self.addresses_of(connection) {
            self.dials.insert(address, dial.clone());
        }
        true
    }

    pub fn online_outbound(&mut self, connection: ConnectionId, peer: &Peer) {
        for address in self.addresses_of(connection) {
            let peer = peer.clone();
            self.dials.insert(address, Dial::Online { connection, peer });
        }
    }

    /// Make `connection` the accepted connection of this peer; returns the one it displaces.
    pub fn online_inbound(&mut self, connection: ConnectionId, peer: Guid) -> Option<ConnectionId> {
        self.inbound
            .insert(peer, connection)
            .filter(|old| *old != connection)
    }

    /// A connection ended. An initiated one is dialled again: at once if it had been online, else after the interval.
    pub fn closed(&mut self, now: Timestamp, connection: ConnectionId) {
        self.inbound.retain(|_, c| *c != connection);
        for dial in self
            .dials
            .values_mut()
            .filter(|d| d.connection() == Some(connection))
        {
            let next_attempt = match dial {
                Dial::Online { .. } => now,
                _ => now + RECONNECT_INTERVAL,
            };
            *dial = Dial::Idle { next_attempt };
        }
    }

    /// The initiated connection to `address`, if it is online, and who is there.
    pub fn outbound(&self, address: &ServerAddress) -> Option<(ConnectionId, &Peer)> {
        match self.dials.get(address) {
            Some(Dial::Online { connection, peer }) => Some((*connection, peer)),
            _ => None,
        }
    }

    /// Both connections of the link to the partner at `address`: initiated and accepted.
    pub fn link(&self, address: &ServerAddress) -> Option<(ConnectionId, ConnectionId, &Peer)> {
        let (outbound, peer) = self.outbound(address)?;
        let inbound = self.inbound.get(&peer.arbitration_id)?;
        Some((outbound, *inbound, peer))
    }
}

impl Dial {
    fn connection(&self) -> Option<ConnectionId> {
        match self {
            Dial::Idle { .. } => None,
            Dial::Connecting { connection } | Dial::Online { connection, .. } => Some(*connection),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> Peer {
        Peer {
            arbitration_id: Guid::from_bytes([1; 16]),
            server_name: "BETA".into(),
        }
    }

    fn wanting(address: &ServerAddress) -> Peers {
        let mut peers = Peers::default();
        assert!(
            peers
                .want(Timestamp::ZERO, &BTreeSet::from([address.clone()]))
                .is_empty()
        );
        peers
    }

    #[test]
    fn a_link_needs_both_directions() {
        let beta = ServerAddress::new("beta", 7022);
        let mut peers = wanting(&beta);
        peers.connecting(&beta, ConnectionId(1));
        peers.online_outbound(ConnectionId(1), &peer());
        assert_eq!(peers.link(&beta), None);
        assert_eq!(peers.online_inbound(ConnectionId(2), peer().arbitration_id), None);
        assert_eq!(
            peers.link(&beta),
            Some((ConnectionId(1), ConnectionId(2), &peer()))
        );
        assert_eq!(
            peers.online_inbound(ConnectionId(4), peer().arbitration_id),
            Some(ConnectionId(2))
        );
        peers.closed(Timestamp::ZERO, ConnectionId(4));
        assert_eq!(peers.link(&beta), None);
    }

    #[test]
    fn a_lost_connection_is_dialled_at_once_a_failed_attempt_after_the_interval() {
        let beta = ServerAddress::new("beta", 7022);
        let mut peers = wanting(&beta);
        assert_eq!(peers.due(Timestamp::ZERO), vec![beta.clone()]);
        peers.connecting(&beta, ConnectionId(1));
        peers.closed(Timestamp::from_secs(1), ConnectionId(1));
        assert_eq!(peers.next_attempt(), Some(Timestamp::from_secs(6)));
        peers.connecting(&beta, ConnectionId(3));
        peers.online_outbound(ConnectionId(3), &peer());
        peers.closed(Timestamp::from_secs(9), ConnectionId(3));
        assert_eq!(peers.next_attempt(), Some(Timestamp::from_secs(9)));
    }

    #[test]
    fn an_unwanted_connection_is_given_back() {
        let beta = ServerAddress::new("beta", 7022);
        let mut peers = wanting(&beta);
        peers.connecting(&beta, ConnectionId(1));
        assert_eq!(
            peers.want(Timestamp::ZERO, &BTreeSet::new()),
            vec![ConnectionId(1)]
        );
        assert_eq!(peers.next_attempt(), None);
    }

    #[test]
    fn two_addresses_of_one_peer_share_a_connection_until_it_ends() {
        let (short, full) = (
            ServerAddress::new("beta", 7022),
            ServerAddress::new("beta.lab.example", 7022),
        );
        let mut peers = Peers::default();
        let both = BTreeSet::from([short.clone(), full.clone()]);
        assert!(peers.want(Timestamp::ZERO, &both).is_empty());
        peers.connecting(&short, ConnectionId(1));
        peers.connecting(&full, ConnectionId(3));
        assert!(peers.share(ConnectionId(3), ConnectionId(1)));
        assert!(
            !peers.share(ConnectionId(1), ConnectionId(9)),
            "nobody wants that one"
        );
        peers.online_outbound(ConnectionId(1), &peer());
        assert_eq!(peers.outbound(&short), Some((ConnectionId(1), &peer())));
        assert_eq!(peers.outbound(&full), Some((ConnectionId(1), &peer())));

        let left = BTreeSet::from([full.clone()]);
        assert!(
            peers.want(Timestamp::ZERO, &left).is_empty(),
            "it is still wanted"
        );
        assert!(peers.want(Timestamp::ZERO, &both).is_empty());
        peers.connecting(&short, ConnectionId(5));
        assert!(peers.share(ConnectionId(5), ConnectionId(1)));
        peers.closed(Timestamp::from_secs(1), ConnectionId(1));
        assert_eq!(
            peers.due(Timestamp::from_secs(1)),
            vec![short.clone(), full.clone()]
        );
        peers.connecting(&short, ConnectionId(7));
        assert!(peers.share(ConnectionId(7), ConnectionId(7)));
        assert_eq!(
            peers.want(Timestamp::ZERO, &BTreeSet::new()),
            vec![ConnectionId(7)]
        );
    }
}
