//! Two endpoints that both say ENCRYPTION = SUPPORTED encrypt what they send each other.
//!
//! The word sounds like "if somebody asks for it"; it is not. A session message in clear on the wire between the two is
//! seen, whatever either side says of its login. Source: documented, *CREATE ENDPOINT*, ENCRYPTION.

use super::endpoints::Endpoints;
use super::{Oracle, Violation};
use crate::types::{
    ConnectionId, EncryptionInUse, EndpointEvent, Event, InstanceName, Source, Stamped, WorldEvent,
};

const NAME: &str = "supported-encrypts-with-supported";

#[derive(Debug, Default)]
pub(super) struct SupportedEncryptsWithSupported {
    endpoints: Endpoints,
}

impl SupportedEncryptsWithSupported {
    fn both_support(&self, who: &InstanceName, connection: ConnectionId) -> bool {
        let both = self.endpoints.both(who, connection);
        both.is_some_and(|(own, theirs)| own.level == "SUPPORTED" && theirs.level == "SUPPORTED")
    }
}

impl Oracle for SupportedEncryptsWithSupported {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.endpoints.observe(stamped);
        let clear = match (&stamped.source, &stamped.event) {
            (
                Source::Instance(who),
                Event::Endpoint(EndpointEvent::LoggedIn {
                    connection,
                    encryption: EncryptionInUse::None,
                    ..
                }),
            ) => Some((who, *connection)),
            (_, Event::World(WorldEvent::ClearSessionMessage { from, to })) => {
                self.endpoints.between(from, to)
            }
            _ => None,
        };
        if let Some((who, connection)) = clear.filter(|(who, c)| self.both_support(who, *c)) {
            let message = format!("{connection} of {who} is in clear between SUPPORTED and SUPPORTED");
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
    fn encrypted_is_legal() {
        let mut events = endpoints(("SUPPORTED", &["AES"]), ("SUPPORTED", &["RC4", "AES"]));
        events.extend(login(1, EncryptionInUse::Aes));
        events.push(sealed_on_the_wire(2));
        assert_quiet::<SupportedEncryptsWithSupported>(&events);
    }

    #[test]
    fn clear_with_disabled_is_legal() {
        let mut events = endpoints(("SUPPORTED", &["AES"]), ("DISABLED", &[]));
        events.extend(login(1, EncryptionInUse::None));
        events.push(clear_on_the_wire(2));
        assert_quiet::<SupportedEncryptsWithSupported>(&events);
    }

    #[test]
    fn a_login_in_clear_is_seen() {
        let mut events = endpoints(("SUPPORTED", &["AES"]), ("SUPPORTED", &["AES"]));
        events.extend(login(1, EncryptionInUse::None));
        assert_red::<SupportedEncryptsWithSupported>(&events, NAME);
    }

    #[test]
    fn clear_bytes_under_a_cipher_that_is_named_are_seen() {
        let mut events = endpoints(("SUPPORTED", &["AES"]), ("SUPPORTED", &["AES"]));
        events.extend(login(1, EncryptionInUse::Aes));
        events.push(clear_on_the_wire(2));
        assert_red::<SupportedEncryptsWithSupported>(&events, NAME);
    }
}
