//! Whom the instance dials for its sessions, and which links that gives each of them.
//!
//! A link to a partner is up while both connections of the pair are online (the first one alone while a session starts), and
//! while the partner has not said over it that its database cannot be used; a link to the witness is the one connection this
//! instance initiated. When a link breaks, what is left of it is closed, so that the peer notices at once and nothing of the
//! old link arrives on the next.

use std::collections::BTreeSet;

use crate::endpoint::config::EndpointRole;
use crate::endpoint::connection::Side;
use crate::error::{SqlError, msg};
use crate::instance::Instance;
use crate::instance::database::{Database, Links};
use crate::session::{LinkLoss, Partner, PartnerInput, WitnessInput};
use crate::types::{ClosedBy, ConnectionId, DatabaseName, Guid, PartnerRole, ServerAddress};
use crate::wire::mirroring::{Body, Message};

impl Instance {
    fn wanted_dials(&self) -> BTreeSet<ServerAddress> {
        if !self.is_endpoint_started() || !self.may_be_partner() {
            return BTreeSet::new();
        }
        let sessions = self.databases.values().filter_map(|d| d.session.as_ref());
        sessions
            .flat_map(|s| dials_of(s).into_iter().flatten().cloned())
            .collect()
    }

    /// Look again at whom to dial if this session wants others than it did (with many sessions, looking at all of them
    /// after every message would be most of the work). Another session may have reached them already.
    pub(super) fn note_dials(&mut self, name: &DatabaseName) {
        let Some(database) = self.database_mut(name) else {
            return;
        };
        let Some(session) = &database.session else { return };
        let wanted = dials_of(session);
        let before = database.dials.each_ref().map(Option::as_ref);
        if wanted == before {
            return;
        }
        let gained = wanted
            .iter()
            .zip(before)
            .any(|(now, then)| now.is_some() && *now != then);
        database.dials = wanted.map(Option::<&ServerAddress>::cloned);
        self.dials_changed = true;
        if gained {
            self.update_links(name, LinkLoss::Hard);
        }
    }

    /// Dial what sessions want and close what none wants any more.
    pub(in crate::instance) fn settle_dials(&mut self) {
        if self.opening > 0 {
            return;
        }
        if std::mem::take(&mut self.dials_changed) {
            let wanted = self.wanted_dials();
            if self.is_endpoint_started() {
                self.endpoint.dial_errors.retain(|a, _| wanted.contains(a));
            }
            for connection in self.endpoint.peers.want(self.now.at, &wanted) {
                self.close_peer(connection, None);
            }
        }
        self.dial_due();
    }

    /// The endpoint was created, altered or dropped.
    pub(in crate::instance) fn endpoint_changed(&mut self) {
        self.dials_changed = true;
    }

    /// What a session's links are now.
    fn links_of(&self, database: &Database) -> Links {
        let Some(session) = &database.session else {
            return Links::default();
        };
        let peers = &self.endpoint.peers;
        let partner = &session.record().partner;
        let starting = !session.has_started() && session.role() == PartnerRole::Principal;
        if !self.may_be_partner() {
            let reply_via = database.links.reply_via;
            return Links {
                reply_via,
                ..Links::default()
            };
        }
        let partner_link = if starting {
            peers.outbound(partner).map(|(out, _)| (out, None))
        } else if session.dials_partner() {
            let link = peers.link(partner).map(|(out, inbound, _)| (out, inbound));
            let both = |(out, inbound): &(_, _)| {
                self.joins(*out, EndpointRole::can_be_partner)
                    && self.joins(*inbound, EndpointRole::can_be_partner)
            };
            let link = link.filter(both).map(|(out, inbound)| (out, Some(inbound)));
            link.filter(|link| database.silent != Some(*link))
        } else {
            None
        };
        let witness = session
            .witness_address()
            .and_then(|w| peers.outbound(w))
            .map(|(out, _)| out)
            // An instance that is asked to become the witness answers for itself.
            .filter(|out| {
                session.record().witness.is_none() || self.joins(*out, EndpointRole::can_be_witness)
            });
        Links {
            partner: partner_link,
            witness,
            reply_via: database.links.reply_via,
        }
    }

    pub(in crate::instance) fn update_links(&mut self, name: &DatabaseName, cause: LinkLoss) {
        let Some(database) = self.database(name.as_str()) else {
            return;
        };
        let (before, after) = (database.links, self.links_of(database));
        if before == after {
            return;
        }
        if let Some(database) = self.database_mut(name) {
            database.links = after;
        }
        if before.partner != after.partner {
            self.know_partner(name, after.partner.and_then(|(_, inbound)| inbound));
        }
        let grew = matches!((before.partner, after.partner), (Some((a, None)), Some((b, Some(_)))) if a == b);
        if before.partner != after.partner && !grew {
            if let Some((outbound, inbound)) = before.partner {
                // Nothing is wrong with the connections to a partner whose database is not available.
                let sound = self
                    .database(name.as_str())
                    .is_some_and(|d| d.silent == before.partner);
                self.session_input(name, PartnerInput::PartnerDown { cause });
                for left in [Some(outbound), inbound].into_iter().flatten() {
                    let kept = after.partner.is_some_and(|(o, i)| o == left || i == Some(left));
                    if !kept && !sound {
                        self.close_peer(left, None);
                    }
                }
            }
            if let Some((_, inbound)) = after.partner.filter(|_| self.has_links(name, &after)) {
                self.session_input(name, PartnerInput::PartnerUp);
                if let Some(inbound) = inbound {
                    self.replay_early(inbound);
                }
            }
        }
        if before.witness != after.witness {
            if before.witness.is_some() {
                self.session_input(name, PartnerInput::WitnessDown { cause });
            }
            if after.witness.is_some() && self.has_links(name, &after) {
                self.session_input(name, PartnerInput::WitnessUp);
            }
        }
    }

    /// The partner's own connection is part of the link.
    pub(super) fn know_partner(&mut self, name: &DatabaseName, inbound: Option<ConnectionId>) {
        let session = self.database(name.as_str()).and_then(|d| d.session.as_ref());
        if let (Some(session), Some(inbound)) = (session.map(|s| s.record().session), inbound) {
            self.know_peer_of(session, inbound);
        }
    }

    /// Whether `links` are still what was last found: what a loss brought about may have changed them again.
    fn has_links(&self, name: &DatabaseName, links: &Links) -> bool {
        self.database(name.as_str()).is_some_and(|d| d.links == *links)
    }

    /// Whether the ROLEs of both endpoints, as they were at the login, let this instance have a partner or a witness there.
    pub(in crate::instance) fn joins(
        &self,
        connection: ConnectionId,
        role: fn(EndpointRole) -> bool,
    ) -> bool {
        self.endpoint.connections.get(&connection).is_some_and(|online| {
            online.connection.local_role().can_be_partner()
                && online.peer.as_ref().is_some_and(|p| role(p.role))
        })
    }

    fn update_all_links(&mut self, cause: LinkLoss) {
        let names: Vec<DatabaseName> = self
            .databases
            .values()
            .filter(|d| d.is_mirrored())
            .map(|d| d.name.clone())
            .collect();
        for name in names {
            self.update_links(&name, cause);
        }
    }

    pub(in crate::instance) fn on_link_gained(&mut self, connection: ConnectionId) {
        self.take_timeout(connection);
        self.update_all_links(LinkLoss::Hard);
        self.probe_partners(connection);
    }

    /// A partner that was removed from the session does not connect back: ask it over the connection that reached it.
    fn probe_partners(&mut self, connection: ConnectionId) {
        let probes: Vec<Message> = self
            .databases
            .values()
            .filter(|d| d.links.partner.is_none() && self.is_to_partner(d, connection))
            .filter_map(|d| d.session.as_ref().filter(|s| s.has_started()))
            .map(|session| Message {
                session: session.record().session,
                role_sequence: session.role_sequence(),
                link: 0,
                body: Body::Probe,
            })
            .collect();
        probes.iter().for_each(|probe| self.say(connection, probe));
    }

    /// Whether this instance opened `connection` to reach the partner of `database`.
    pub(super) fn is_to_partner(&self, database: &Database, connection: ConnectionId) -> bool {
        let partner = database.session.as_ref().map(|s| &s.record().partner);
        let reached = partner.and_then(|p| self.endpoint.peers.outbound(p));
        reached.is_some_and(|(outbound, _)| outbound == connection)
    }

    pub(in crate::instance) fn on_link_lost(&mut self, connection: ConnectionId, peer: Guid, by: ClosedBy) {
        let cause = if by == ClosedBy::Timeout {
            LinkLoss::Soft
        } else {
            LinkLoss::Hard
        };
        if by == ClosedBy::Timeout {
            self.log_timeouts(connection);
        }
        for database in self.databases.values_mut() {
            if database.links.reply_via == Some(connection) {
                database.links.reply_via = None;
            }
        }
        self.update_all_links(cause);
        let still_there = self.endpoint.connections.values().any(|o| {
            o.connection.side() == Side::Acceptor && o.peer.as_ref().is_some_and(|p| p.arbitration_id == peer)
        });
        if !still_there {
            self.witnesses_lose(peer);
        }
        self.dials_changed = true;
    }

    /// The connection over which a peer introduced itself is no more. Over another one it introduces itself again, for every
    /// session that it still has.
    pub(in crate::instance) fn witnesses_lose(&mut self, peer: Guid) {
        let sessions: Vec<Guid> = self.witnesses.keys().copied().collect();
        for session in sessions {
            self.witness_input(session, WitnessInput::Down { peer });
        }
    }

    /// 1479 for every session the silent connection carried.
    fn log_timeouts(&mut self, connection: ConnectionId) {
        let lines: Vec<SqlError> = self
            .databases
            .values()
            .filter_map(|d| {
                let session = d.session.as_ref()?;
                let seconds = session.record().timeout_in_force();
                let at = if d.links.witness == Some(connection) {
                    session.witness_address()?.clone()
                } else {
                    let (outbound, inbound) = d.links.partner?;
                    (outbound == connection || inbound == Some(connection))
                        .then(|| session.record().partner.clone())?
                };
                Some(msg::CONNECTION_TIMED_OUT.with(&[&at, &d.name, &seconds]))
            })
            .collect();
        lines.iter().for_each(|line| self.log_error(line));
    }

    /// An attempt to reach `address` failed; sessions that start, and witnesses being set, must know.
    pub(in crate::instance) fn on_dial_failed(&mut self, address: &ServerAddress) {
        let concerned: Vec<(DatabaseName, bool)> = self
            .databases
            .values()
            .filter_map(|d| {
                let session = d.session.as_ref()?;
                let partner = session.record().partner == *address && !session.has_started();
                let witness = session.witness_address() == Some(address);
                (partner || witness).then(|| (d.name.clone(), partner))
            })
            .collect();
        for (name, partner) in concerned {
            let cause = LinkLoss::Hard;
            let input = if partner {
                PartnerInput::PartnerDown { cause }
            } else {
                PartnerInput::WitnessDown { cause }
            };
            self.session_input(&name, input);
        }
    }
}

/// Whom a session wants dialled: its partner and its witness.
fn dials_of(session: &Partner) -> [Option<&ServerAddress>; 2] {
    let partner = session.dials_partner().then(|| &session.record().partner);
    [partner, session.witness_address()]
}
