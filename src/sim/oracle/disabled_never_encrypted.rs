//! Where one side says ENCRYPTION = DISABLED the connection is in clear, or refused because the other says REQUIRED.
//!
//! Judged by what both endpoints are configured to do, by what either side says of the login, and by the wire: a sealed
//! session message between the two is as wrong as a cipher that is named. Source: documented, *Transport Security*.

use super::endpoints::Endpoints;
use super::{Oracle, Violation};
use crate::types::{
    ConnectionId, EncryptionInUse, EndpointEvent, Event, InstanceName, Source, Stamped, WorldEvent,
};

const NAME: &str = "disabled-never-encrypted";

#[derive(Debug, Default)]
pub(super) struct DisabledNeverEncrypted {
    endpoints: Endpoints,
}

impl DisabledNeverEncrypted {
    /// The level of the other side, if one says DISABLED.
    fn against(&self, who: &InstanceName, connection: ConnectionId) -> Option<&str> {
        let (own, theirs) = self.endpoints.both(who, connection)?;
        match (own.level.as_str(), theirs.level.as_str()) {
            ("DISABLED", other) | (other, "DISABLED") => Some(other),
            _ => None,
        }
    }

    fn on_login(
        &self,
        who: &InstanceName,
        connection: ConnectionId,
        encryption: EncryptionInUse,
    ) -> Option<String> {
        match (self.against(who, connection)?, encryption) {
            ("REQUIRED", _) => Some(format!(
                "{connection} of {who} came up between DISABLED and REQUIRED"
            )),
            (_, EncryptionInUse::None) => None,
            (other, cipher) => Some(format!(
                "{connection} of {who} uses {} between DISABLED and {other}",
                cipher.desc()
            )),
        }
    }
}

impl Oracle for DisabledNeverEncrypted {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.endpoints.observe(stamped);
        let found = match (&stamped.source, &stamped.event) {
            (
                Source::Instance(who),
                Event::Endpoint(EndpointEvent::LoggedIn {
                    connection,
                    encryption,
                    ..
                }),
            ) => self.on_login(who, *connection, *encryption).map(|m| (who, m)),
            (_, Event::World(WorldEvent::SealedSessionMessage { from, to })) => {
                self.endpoints.between(from, to).and_then(|(who, connection)| {
                    let other = self.against(who, connection)?;
                    let message =
                        format!("{connection} of {who} carries sealed messages between DISABLED and {other}");
                    Some((who, message))
                })
            }
            _ => None,
        };
        if let Some((who, message)) = found {
            out.push(Violation::of(NAME, &[who], message, stamped.at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_quiet, assert_red};
    use super::super::testing_endpoints::*;
    use super::*;

    #[test]
    fn clear_with_disabled_is_legal() {
        for other in ["DISABLED", "SUPPORTED"] {
            let mut events = endpoints(("DISABLED", &[]), (other, &["AES"]));
            events.extend(login(1, EncryptionInUse::None));
            events.push(clear_on_the_wire(2));
            assert_quiet::<DisabledNeverEncrypted>(&events);
        }
    }

    #[test]
    fn sealed_between_two_that_encrypt_is_legal() {
        let mut events = endpoints(("SUPPORTED", &["AES"]), ("SUPPORTED", &["AES"]));
        events.extend(login(1, EncryptionInUse::Aes));
        events.push(sealed_on_the_wire(2));
        assert_quiet::<DisabledNeverEncrypted>(&events);
    }

    #[test]
    fn a_cipher_is_seen() {
        let mut events = endpoints(("SUPPORTED", &["AES"]), ("DISABLED", &[]));
        events.extend(login(1, EncryptionInUse::Aes));
        assert_red::<DisabledNeverEncrypted>(&events, NAME);
    }

    #[test]
    fn coming_up_against_required_is_seen() {
        let mut events = endpoints(("REQUIRED", &["AES"]), ("DISABLED", &[]));
        events.extend(login(1, EncryptionInUse::None));
        assert_red::<DisabledNeverEncrypted>(&events, NAME);
    }

    #[test]
    fn sealed_messages_on_a_connection_said_to_be_clear_are_seen() {
        let mut events = endpoints(("DISABLED", &[]), ("SUPPORTED", &["AES"]));
        events.extend(login(1, EncryptionInUse::None));
        events.push(sealed_on_the_wire(2));
        assert_red::<DisabledNeverEncrypted>(&events, NAME);
    }

    #[test]
    fn an_endpoint_that_was_altered_meanwhile_is_not_judged() {
        let mut events = endpoints(("SUPPORTED", &["AES"]), ("SUPPORTED", &["AES"]));
        let [begun, logged_in] = login(1, EncryptionInUse::Aes);
        events.extend([begun, configured(1, "beta", &with("DISABLED", &[])), logged_in]);
        assert_quiet::<DisabledNeverEncrypted>(&events);
    }
}
