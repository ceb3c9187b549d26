//! The partner timeout in force: one for all connections of the instance, the shortest of the sessions that they carry.
//!
//! A partner's session counts once it has started, a witness's once its record is durable; without any it is the default.
//! Who changes a session's record says so, and the shortest is looked for once, when the input is dealt with: with many
//! sessions, looking at all of them after every message would be most of the work. Source: ours (S12 of the decisions).

use std::time::Duration;

use super::Instance;
use crate::endpoint::connection::PARTNER_TIMEOUT_DEFAULT;
use crate::session::{Partner, PartnerRecord, Witness};
use crate::types::ConnectionId;

/// What every connection that is online was told.
#[derive(Debug)]
pub struct TimeoutInForce {
    timeout: Duration,
    /// A session may ask for another than when they were last looked at.
    stale: bool,
}

impl Default for TimeoutInForce {
    fn default() -> Self {
        TimeoutInForce {
            timeout: PARTNER_TIMEOUT_DEFAULT,
            stale: false,
        }
    }
}

impl TimeoutInForce {
    /// A session began, ended, or is on record with other settings.
    pub fn sessions_changed(&mut self) {
        self.stale = true;
    }
}

impl Instance {
    /// Tell all connections the shortest timeout there is now, if it is another.
    pub(super) fn settle_timeout(&mut self) {
        if !std::mem::take(&mut self.endpoint.timeout.stale) {
            return;
        }
        let partners = self.databases.values().filter_map(|d| d.session.as_ref());
        let partners = partners.filter_map(asked_for);
        let witnesses = self.witnesses.values().filter_map(Witness::timeout_in_force);
        let shortest = partners.chain(witnesses).chain(self.of_down()).min();
        let timeout = shortest.map_or(PARTNER_TIMEOUT_DEFAULT, |seconds| {
            Duration::from_secs(u64::from(seconds))
        });
        if timeout == self.endpoint.timeout.timeout {
            return;
        }
        self.endpoint.timeout.timeout = timeout;
        for online in self.endpoint.connections.values_mut() {
            online.connection.set_timeout(timeout);
        }
    }

    /// What the sessions ask for whose database is down here: they are on record, too.
    fn of_down(&self) -> impl Iterator<Item = u16> {
        let down = self.databases.values().filter(|d| d.down.is_some());
        let entries = down.filter_map(|d| self.catalog.database(d.name.as_str()));
        let records = entries.filter_map(|e| e.mirroring.as_ref());
        records.filter(|r| r.started).map(PartnerRecord::timeout_in_force)
    }

    /// A connection that came online takes the timeout in force.
    pub(super) fn take_timeout(&mut self, connection: ConnectionId) {
        let timeout = self.endpoint.timeout.timeout;
        if let Some(online) = self.endpoint.connections.get_mut(&connection) {
            online.connection.set_timeout(timeout);
        }
    }
}

/// The partner timeout, in seconds, that a session asks for, once it is on record.
pub(super) fn asked_for(session: &Partner) -> Option<u16> {
    session.has_started().then(|| session.record().timeout_in_force())
}
