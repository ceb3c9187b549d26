//! Of the algorithms both endpoints name, the first in the acceptor's order is used.
//!
//! Who opened the connection has no say, so that the two connections of one pair may differ. Source: documented,
//! *Transport Security*; *CREATE ENDPOINT*, ALGORITHM.

use super::endpoints::Endpoints;
use super::{Oracle, Violation};
use crate::types::{
    ConnectionId, EncryptionInUse, EndpointEvent, EndpointSettings, Event, InstanceName, Source, Stamped,
};

const NAME: &str = "acceptor-preference-wins";

#[derive(Debug, Default)]
pub(super) struct AcceptorPreferenceWins {
    endpoints: Endpoints,
}

impl AcceptorPreferenceWins {
    fn on_cipher(&self, who: &InstanceName, connection: ConnectionId, cipher: &str) -> Option<String> {
        let stream = self.endpoints.stream(who, connection)?;
        let (own, theirs) = self.endpoints.both(who, connection)?;
        let (acceptor, initiator) = match stream.accepted {
            true => (own, theirs),
            false => (theirs, own),
        };
        let due = preferred(acceptor, initiator);
        (due != Some(cipher)).then(|| {
            format!(
                "{connection} of {who} uses {cipher}, the acceptor says {}, the initiator {}",
                acceptor.algorithms.join(" "),
                initiator.algorithms.join(" ")
            )
        })
    }
}

fn preferred<'a>(acceptor: &'a EndpointSettings, initiator: &EndpointSettings) -> Option<&'a str> {
    let mut listed = acceptor.algorithms.iter();
    let common = listed.find(|a| initiator.algorithms.contains(a));
    common.map(String::as_str)
}

impl Oracle for AcceptorPreferenceWins {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.endpoints.observe(stamped);
        if let (
            Source::Instance(who),
            Event::Endpoint(EndpointEvent::LoggedIn {
                connection,
                encryption,
                ..
            }),
        ) = (&stamped.source, &stamped.event)
        {
            let cipher = match encryption {
                // Whether anything is encrypted at all is another promise.
                EncryptionInUse::None => return,
                EncryptionInUse::Aes => "AES",
                EncryptionInUse::Rc4 => "RC4",
            };
            if let Some(message) = self.on_cipher(who, *connection, cipher) {
                out.push(Violation::of(NAME, &[who], message, stamped.at));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_quiet, assert_red};
    use super::super::testing_endpoints::*;
    use super::*;

    const AES_FIRST: &[&str] = &["AES", "RC4"];
    const RC4_FIRST: &[&str] = &["RC4", "AES"];

    #[test]
    fn the_acceptors_first_is_legal_on_both_sides() {
        let mut events = endpoints(("REQUIRED", AES_FIRST), ("REQUIRED", RC4_FIRST));
        events.extend(login(1, EncryptionInUse::Aes));
        events.extend(login_initiated(2, EncryptionInUse::Rc4));
        assert_quiet::<AcceptorPreferenceWins>(&events);
    }

    #[test]
    fn the_only_common_one_is_legal() {
        let mut events = endpoints(("REQUIRED", AES_FIRST), ("SUPPORTED", &["RC4"]));
        events.extend(login(1, EncryptionInUse::Rc4));
        assert_quiet::<AcceptorPreferenceWins>(&events);
    }

    #[test]
    fn the_initiators_first_is_seen_by_the_acceptor() {
        let mut events = endpoints(("REQUIRED", AES_FIRST), ("REQUIRED", RC4_FIRST));
        events.extend(login(1, EncryptionInUse::Rc4));
        assert_red::<AcceptorPreferenceWins>(&events, NAME);
    }

    #[test]
    fn the_initiators_first_is_seen_by_the_initiator() {
        let mut events = endpoints(("REQUIRED", AES_FIRST), ("REQUIRED", RC4_FIRST));
        events.extend(login_initiated(1, EncryptionInUse::Aes));
        assert_red::<AcceptorPreferenceWins>(&events, NAME);
    }

    #[test]
    fn a_cipher_only_one_side_names_is_seen() {
        let mut events = endpoints(("REQUIRED", &["AES"]), ("REQUIRED", &["RC4"]));
        events.extend(login(1, EncryptionInUse::Aes));
        assert_red::<AcceptorPreferenceWins>(&events, NAME);
    }
}
