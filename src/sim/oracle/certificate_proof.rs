//! Certificate authentication succeeds only for who has the private key of the very certificate that is held for that login.
//!
//! Both sides of a connection prove themselves so. The certificate that was shown is compared by its thumbprint with those
//! either instance holds, as `master` has them at the time: this one must hold it for the login that came up, and the one
//! at the other end with its key. Source: documented, *Transport Security*, certificates.

use std::collections::BTreeMap;

use super::endpoints::Endpoints;
use super::{Oracle, Violation};
use crate::types::{
    ConnectionId, EndpointEvent, Event, Guid, HeldCertificate, InstanceEvent, InstanceName, Source, Stamped,
};

const NAME: &str = "certificate-proof";

#[derive(Debug, Default)]
pub(super) struct CertificateProof {
    endpoints: Endpoints,
    held: BTreeMap<InstanceName, Vec<HeldCertificate>>,
    /// What each instance held before the last change: a handshake takes a while.
    held_before: BTreeMap<InstanceName, Vec<HeldCertificate>>,
    shown: BTreeMap<(InstanceName, ConnectionId), String>,
}

impl CertificateProof {
    /// What an instance holds or held a moment ago under this thumbprint.
    fn held(&self, who: &InstanceName, thumbprint: &str) -> Vec<&HeldCertificate> {
        [&self.held, &self.held_before]
            .into_iter()
            .filter_map(|held| held.get(who))
            .flatten()
            .filter(|held| held.thumbprint == thumbprint)
            .collect()
    }

    fn has_key(&self, who: &InstanceName, thumbprint: &str) -> bool {
        let held = self.held(who, thumbprint);
        held.iter().any(|held| held.has_private_key)
    }

    /// A peer that is none of the instances may have a key that none of them has, but not the one of an instance.
    fn on_stranger(&self, who: &InstanceName, connection: ConnectionId, shown: &str) -> Option<String> {
        let owner = self.held.keys().find(|owner| self.has_key(owner, shown))?;
        Some(format!(
            "a stranger came up on {connection} of {who} with the certificate of {owner}, who alone has its private key"
        ))
    }

    fn on_login(
        &self,
        who: &InstanceName,
        connection: ConnectionId,
        peer: Guid,
        principal: &str,
    ) -> Option<String> {
        let Some(shown) = self.shown.get(&(who.clone(), connection)) else {
            return Some(format!(
                "{who} let {principal} in on {connection}, who showed no certificate"
            ));
        };
        let here = self.held(who, shown);
        let is_for_login = |held: &&HeldCertificate| {
            let login = held.login.as_deref();
            login.is_some_and(|l| l.eq_ignore_ascii_case(principal))
        };
        if here.is_empty() {
            return Some(format!(
                "{who} took a certificate on {connection} that it does not hold, as that of {principal}"
            ));
        }
        // The initiator may know the acceptor by a certificate whose owner has no login.
        if !here.iter().any(is_for_login) && self.endpoints.stream(who, connection)?.accepted {
            return Some(format!(
                "{who} holds the certificate shown on {connection} for another login than {principal}"
            ));
        }
        let Some(there) = self.endpoints.name(peer) else {
            return self.on_stranger(who, connection, shown);
        };
        (!self.has_key(there, shown)).then(|| {
            format!("{there} came up on {connection} of {who} with a certificate whose private key it lacks")
        })
    }
}

impl Oracle for CertificateProof {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.endpoints.observe(stamped);
        let Source::Instance(who) = &stamped.source else {
            return;
        };
        match &stamped.event {
            Event::Instance(InstanceEvent::CertificatesHeld { certificates }) => {
                if let Some(before) = self.held.insert(who.clone(), certificates.clone()) {
                    self.held_before.insert(who.clone(), before);
                }
            }
            Event::Endpoint(EndpointEvent::CertificateShown {
                connection,
                thumbprint,
            }) => {
                self.shown.insert((who.clone(), *connection), thumbprint.clone());
            }
            Event::Endpoint(EndpointEvent::LoggedIn {
                connection,
                peer,
                principal,
                authentication,
                ..
            }) => {
                if authentication == "CERTIFICATE"
                    && let Some(message) = self.on_login(who, *connection, *peer, principal)
                {
                    out.push(Violation::of(NAME, &[who], message, stamped.at));
                }
                self.shown.remove(&(who.clone(), *connection));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_quiet, assert_red, identity, on};
    use super::super::testing_endpoints::*;
    use super::*;
    use crate::types::EncryptionInUse;

    const OWN: (&str, bool, &str) = ("aa", true, "sa");
    const THEIRS: (&str, bool, &str) = ("bb", true, "sa");
    const COPY: (&str, bool, &str) = ("bb", false, "beta_login");

    fn shown(thumbprint: &str) -> Stamped {
        let event = EndpointEvent::CertificateShown {
            connection: ACCEPTED,
            thumbprint: thumbprint.into(),
        };
        on(2, "alpha", event)
    }

    fn history(
        alpha: &[(&str, bool, &str)],
        beta: &[(&str, bool, &str)],
        thumbprint: Option<&str>,
    ) -> Vec<Stamped> {
        let mut events = endpoints(("REQUIRED", &["AES"]), ("REQUIRED", &["AES"]));
        events.extend([holds(0, "alpha", alpha), holds(0, "beta", beta)]);
        let [begun, ended] = login(2, EncryptionInUse::Aes);
        events.push(begun);
        events.extend(thumbprint.map(shown));
        events.push(ended);
        events
    }

    #[test]
    fn the_exact_copy_of_what_the_peer_has_the_key_of_is_legal() {
        assert_quiet::<CertificateProof>(&history(&[OWN, COPY], &[THEIRS], Some("bb")));
    }

    #[test]
    fn a_certificate_dropped_while_the_login_went_on_is_legal() {
        let mut events = history(&[OWN, COPY], &[THEIRS], Some("bb"));
        let last = events.pop().expect("a login");
        events.extend([holds(2, "alpha", &[OWN]), last]);
        assert_quiet::<CertificateProof>(&events);
    }

    #[test]
    fn a_certificate_that_is_not_held_is_seen() {
        let namesake = ("cc", true, "sa");
        let events = history(&[OWN, COPY], &[THEIRS, namesake], Some("cc"));
        assert_red::<CertificateProof>(&events, NAME);
    }

    #[test]
    fn a_peer_without_the_private_key_is_seen() {
        let public = ("bb", false, "sa");
        assert_red::<CertificateProof>(&history(&[OWN, COPY], &[public], Some("bb")), NAME);
        assert_red::<CertificateProof>(&history(&[OWN, COPY], &[], Some("bb")), NAME);
    }

    /// The history up to the login, which is that of a peer who is no instance.
    fn by_a_stranger(beta: &[(&str, bool, &str)]) -> Vec<Stamped> {
        let mut events = history(&[OWN, COPY], beta, Some("bb"));
        let login = events.last_mut().map(|login| &mut login.event);
        let Some(Event::Endpoint(EndpointEvent::LoggedIn { peer, .. })) = login else {
            panic!("a login");
        };
        *peer = identity("stranger");
        events
    }

    #[test]
    fn a_stranger_with_the_certificate_of_an_instance_is_seen() {
        assert_red::<CertificateProof>(&by_a_stranger(&[THEIRS]), NAME);
    }

    #[test]
    fn a_stranger_with_a_key_of_his_own_is_legal() {
        assert_quiet::<CertificateProof>(&by_a_stranger(&[]));
    }

    #[test]
    fn the_certificate_of_another_login_is_seen() {
        let anothers = ("bb", false, "gamma_login");
        let events = history(&[OWN, anothers], &[THEIRS], Some("bb"));
        assert_red::<CertificateProof>(&events, NAME);
    }

    #[test]
    fn no_certificate_at_all_is_seen() {
        assert_red::<CertificateProof>(&history(&[OWN, COPY], &[THEIRS], None), NAME);
    }
}
