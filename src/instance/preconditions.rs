//! What must be so before a database is mirrored: the checks of `SET PARTNER = 'address'` on this instance, and what this
//! instance says to a principal that asks for a session. Each ends in the documented number. Source: documented,
//! *Prerequisites, Restrictions, and Recommendations for Database Mirroring* and the messages' own texts; which fact has
//! which number where several would do is ours.

use super::Instance;
use super::catalog::RecoveryModel;
use super::database::Database;
use super::options::Edition;
use crate::error::{SqlError, msg};
use crate::types::{ConnectionId, DatabaseName, PartnerRole, Safety, ServerAddress};
use crate::wire::mirroring::Open;

/// Databases that every instance has and nobody mirrors.
const SYSTEM_DATABASES: [&str; 4] = ["master", "model", "msdb", "tempdb"];

/// An option of `ALTER DATABASE` that no system database takes (5058).
pub(super) fn check_user_database(name: &str, option: &str) -> Result<(), SqlError> {
    match SYSTEM_DATABASES.iter().any(|s| s.eq_ignore_ascii_case(name)) {
        true => Err(msg::OPTION_NOT_IN_DATABASE.with(&[&option, &name])),
        false => Ok(()),
    }
}

impl Instance {
    /// Whether the endpoint's ROLE lets this instance be a partner: asked when a session begins, and again whenever one is
    /// to be connected.
    pub(super) fn may_be_partner(&self) -> bool {
        let endpoint = self.catalog.endpoint();
        endpoint.is_some_and(|e| e.config.role.can_be_partner())
    }

    /// Likewise for the witness.
    pub(super) fn may_be_witness(&self) -> bool {
        let endpoint = self.catalog.endpoint();
        endpoint.is_some_and(|e| e.config.role.can_be_witness())
    }

    /// Say that ROLE keeps sessions that are on record from being connected; nothing else would tell of it here.
    pub(super) fn advise_on_role(&mut self) {
        let is_partner = self.databases.values().any(Database::is_mirrored);
        let is_witness = self.catalog.witnesses().next().is_some();
        if is_partner && !self.may_be_partner() || is_witness && !self.may_be_witness() {
            self.log_error(&msg::TRANSPORT_DISABLED.error());
        }
    }

    /// What can be said about `SET PARTNER = 'address'` without asking anybody.
    pub(super) fn check_set_partner(
        &mut self,
        name: &DatabaseName,
        address: &ServerAddress,
    ) -> Result<(), SqlError> {
        if self.config.options.edition == Edition::Express {
            return Err(msg::EDITION_WITHOUT_MIRRORING.error());
        }
        if self.is_own_address(address) {
            return Err(msg::PARTNER_IS_SELF.error());
        }
        let Some(entry) = self.catalog.database(name.as_str()) else {
            return Err(msg::DATABASE_MISSING.with(&[name]));
        };
        let database = self.database(name.as_str());
        if database.is_some_and(Database::is_mirrored) {
            return Err(msg::ALREADY_MIRRORED.with(&[name]));
        }
        if database.is_none_or(|d| d.down.is_some()) {
            return Err(msg::SUSPECT_DATABASE.with(&[name]));
        }
        if entry.recovery != RecoveryModel::Full {
            return Err(msg::NOT_FULL_RECOVERY.with(&[name]));
        }
        if entry.bulk_since_log_backup {
            return Err(msg::BULK_LOGGED_CHANGES.with(&[name]));
        }
        if !self.is_endpoint_started() || !self.may_be_partner() {
            self.log_error(&match self.catalog.endpoint() {
                Some(_) => msg::TRANSPORT_DISABLED.error(),
                None => msg::ENDPOINT_NOT_CONFIGURED.error(),
            });
            return Err(msg::PARTNER_NOT_FOUND.with(&[address]));
        }
        Ok(())
    }

    /// `SAFETY` where the edition has but one level. What changes nothing, or is refused anyway, is not looked at.
    pub(super) fn check_safety(&self, name: &DatabaseName, safety: Safety) -> Result<(), SqlError> {
        let session = self.database(name.as_str()).and_then(|d| d.session.as_ref());
        let changes =
            session.is_some_and(|s| s.role() == PartnerRole::Principal && s.record().safety != safety);
        match changes && self.config.options.edition != Edition::Enterprise {
            true => Err(msg::EDITION_CANNOT_CHANGE_SAFETY.error()),
            false => Ok(()),
        }
    }

    /// Why the copy here cannot become the mirror of what `open` describes, by the number of the message that the
    /// principal's statement ends with. What both logs hold is the session's question.
    pub(super) fn refusal_of(&mut self, connection: ConnectionId, open: &Open) -> Option<u32> {
        let peer = self.peer_of(connection).cloned();
        let own_version = self.config.options.version;
        if !self.may_be_partner() {
            return Some(msg::PARTNER_NOT_FOUND.number);
        }
        if let Some(peer) = peer.as_ref().filter(|p| p.version != own_version) {
            let line = msg::PARTNER_OF_OTHER_VERSION.with(&[&open.database, &peer.server_name]);
            self.log_error(&line);
            return Some(msg::PARTNER_OF_OTHER_VERSION.number);
        }
        let name = open.database.as_str();
        let Some(entry) = self.catalog.database(name) else {
            return Some(msg::REMOTE_MISSING.number);
        };
        let Some(database) = self.database(name).filter(|d| d.down.is_none()) else {
            return Some(msg::REMOTE_NOT_RESTORING.number);
        };
        let Some(session) = &database.session else {
            return Some(match entry.restoring {
                true => msg::NOT_MIRRORED.number,
                false => msg::REMOTE_NOT_RECOVERING.number,
            });
        };
        let caller = peer.as_ref().and_then(|p| p.address.as_ref());
        if session.has_started() {
            return Some(msg::REMOTE_ALREADY_MIRRORED.number);
        }
        if session.role() == PartnerRole::Principal {
            return Some(msg::REMOTE_NOT_RECOVERING.number);
        }
        if caller.is_none_or(|caller| !may_be_same(caller, &session.record().partner)) {
            return Some(msg::REMOTE_MIRRORED_ELSEWHERE.number);
        }
        let related = entry.family == open.family;
        if related && !database.path(&entry.path).agrees(&open.path, database.log.end()) {
            return Some(msg::REMOTE_NOT_IN_RANGE.number);
        }
        None
    }
}

/// Whether two addresses can be one endpoint's: the port is the same, and so is the host, be it written in full or not.
/// What an IP address stands for is not known here, nor `localhost`.
fn may_be_same(one: &ServerAddress, other: &ServerAddress) -> bool {
    let (a, b) = (one.host().to_lowercase(), other.host().to_lowercase());
    let is_open = |host: &str| host == "localhost" || host.parse::<std::net::IpAddr>().is_ok();
    let begins = |long: &str, short: &str| !short.contains('.') && long.split('.').next() == Some(short);
    one.port() == other.port() && (is_open(&a) || is_open(&b) || a == b || begins(&a, &b) || begins(&b, &a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_may_be_written_in_full_or_not() {
        let same = |a: &str, b: &str| may_be_same(&a.parse().unwrap(), &b.parse().unwrap());
        assert!(same("TCP://alpha:7022", "TCP://ALPHA.lab.example:7022"));
        assert!(same("TCP://alpha.lab.example:7022", "TCP://10.0.0.1:7022"));
        assert!(!same("TCP://alpha:7022", "TCP://alpha:7023"));
        assert!(!same("TCP://alpha:7022", "TCP://alphabet.lab.example:7022"));
        assert!(!same(
            "TCP://alpha.lab.example:7022",
            "TCP://alpha.other.example:7022"
        ));
    }
}
