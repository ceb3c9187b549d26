//! Which connection is used, and who may come under which name: arbitration at the end of a login.
//!
//! Who a peer *is*, its login, was proved by then; which instance it is, is only its word. So whoever claims the id of an
//! instance that is connected under another login, or that a session knows under another, is refused (28032). The acceptor's
//! log names its login (28048), an initiator's the address (9642), and the audit has it as a failed authorization. Of two
//! connections that this instance initiated to one peer the first is used for both addresses. Source: documented for the
//! messages; ours for who loses.

use super::Instance;
use super::endpoint::Online;
use crate::endpoint::connection::{ArbitrationVerdict, PeerIdentity, Side};
use crate::error::msg;
use crate::types::{ConnectionId, Guid};

/// Sessions in which the instances with one login have this instance as their witness, at most; one more invitation is
/// refused (1427). Far more than the product's pages advise to mirror between two instances.
pub(super) const WITNESSED_OF_ONE_LOGIN_MAX: usize = 512;

impl Instance {
    pub(super) fn arbitrate(&mut self, id: ConnectionId, peer: PeerIdentity) {
        let Some(online) = self.endpoint.connections.get(&id) else {
            return;
        };
        let side = online.connection.side();
        let is_self = peer.arbitration_id == self.catalog.identity.arbitration_id;
        let is_taken = self.is_name_taken(side, &peer);
        let refused = is_self || is_taken;
        let first = (side == Side::Initiator && !refused)
            .then(|| self.initiated_before(id, &peer))
            .flatten();
        // Sharing first: the end of this connection must not look like a failed attempt to reach its address.
        let shared = first.filter(|first| self.endpoint.peers.share(id, *first));
        let verdict = match (is_taken, is_self || shared.is_some()) {
            (true, _) => ArbitrationVerdict::NameTaken,
            (false, true) => ArbitrationVerdict::LostToOlder,
            (false, false) => ArbitrationVerdict::Keep,
        };
        if let Some(online) = self.endpoint.connections.get_mut(&id) {
            online.kept = (verdict == ArbitrationVerdict::Keep).then_some(peer);
            online.connection.resolve_arbitration(self.now, verdict);
        }
        if let Some(first) = shared.filter(|first| self.peer_of(*first).is_some()) {
            self.on_link_gained(first);
        }
    }

    /// The connection this instance initiated to the same peer before, and decided to use.
    fn initiated_before(&self, id: ConnectionId, peer: &PeerIdentity) -> Option<ConnectionId> {
        let same = |kept: &PeerIdentity| {
            kept.arbitration_id == peer.arbitration_id && kept.principal == peer.principal
        };
        let leads_there = |online: &Online| {
            online.connection.side() == Side::Initiator && online.kept.as_ref().is_some_and(same)
        };
        let all = self.endpoint.connections.iter();
        let mut others = all.filter(|(other, _)| **other != id);
        others
            .find(|(_, online)| leads_there(online))
            .map(|(other, _)| *other)
    }

    /// Whether the instance this peer says it is comes, or came, under another login.
    fn is_name_taken(&self, side: Side, peer: &PeerIdentity) -> bool {
        let connected = self.endpoint.connections.values().any(|other| {
            let known = other.peer.as_ref();
            other.connection.side() == side
                && known
                    .is_some_and(|k| k.arbitration_id == peer.arbitration_id && k.principal != peer.principal)
        });
        let known = || self.catalog.known_otherwise(peer.arbitration_id, &peer.principal);
        connected || side == Side::Acceptor && known().is_some()
    }

    /// Whether the instances with this peer's login have as many sessions with this witness as they may.
    pub(super) fn has_used_up_witness(&self, connection: ConnectionId) -> bool {
        let peer = self.peer_of(connection);
        peer.is_none_or(|p| self.catalog.witnessed_for(&p.principal) >= WITNESSED_OF_ONE_LOGIN_MAX)
    }

    /// The log tells of an invitation that is one too many.
    pub(super) fn log_witness_used_up(&mut self, connection: ConnectionId) {
        self.log_refusal(connection, |login| {
            format!(
                "the instances that log in as '{login}' have {WITNESSED_OF_ONE_LOGIN_MAX} sessions with this witness, the bound is reached"
            )
        });
    }

    /// The log tells of a message of a witnessed session that is from neither of its partners.
    pub(super) fn log_no_partner(&mut self, connection: ConnectionId, session: Guid) {
        let number = msg::CANNOT_BE_WITNESS.number;
        self.log_refusal(connection, |login| {
            format!(
                "an instance that logs in as '{login}' is not one of the two partners of the session {session}, its message is refused ({number})"
            )
        });
    }

    fn log_refusal(&mut self, connection: ConnectionId, text: impl FnOnce(&str) -> String) {
        let Some(online) = self.endpoint.connections.get(&connection) else {
            return;
        };
        let login = online.peer.as_ref().map_or("", |p| p.principal.as_str());
        let (far, side) = (online.connection.far_address(), online.connection.side().desc());
        let error = msg::TRANSPORT_ERROR.with(&[&text(login), &1, &side, &far]);
        self.log_error(&error);
    }

    /// A session has met the peer at the other end of a connection that it came in by: from now on it is known under its
    /// login. Written with the next record of the session.
    pub(super) fn know_peer_of(&mut self, session: Guid, connection: ConnectionId) {
        if let Some(peer) = self.peer_of(connection).cloned().filter(|_| session != Guid::NIL) {
            self.catalog
                .know_peer(session, peer.arbitration_id, &peer.principal);
        }
    }
}
