//! An endpoint without authentication does not start, and nobody comes up on one without a method and a name.
//!
//! Source: documented, extended event 28091; *Transport Security*, connections between endpoints are authenticated.

use super::endpoints::Endpoints;
use super::{Oracle, Violation};
use crate::types::{ConnectionId, EndpointEvent, Event, InstanceName, Source, Stamped};

const NAME: &str = "no-anonymous-endpoint";

#[derive(Debug, Default)]
pub(super) struct NoAnonymousEndpoint {
    endpoints: Endpoints,
}

impl NoAnonymousEndpoint {
    fn on_endpoint(&self, who: &InstanceName, event: &EndpointEvent) -> Option<String> {
        match event {
            EndpointEvent::Configured { settings } => (settings.state == "STARTED"
                && settings.methods.is_empty())
            .then(|| format!("{who} started {} without authentication", settings.name)),
            EndpointEvent::LoggedIn {
                connection,
                accepted,
                principal,
                authentication,
                ..
            } => match *accepted && principal.is_empty() {
                true => Some(format!("{who} let nobody in on {connection}")),
                false => self.on_method(who, *connection, authentication),
            },
            _ => None,
        }
    }

    fn on_method(&self, who: &InstanceName, connection: ConnectionId, method: &str) -> Option<String> {
        let own = self.endpoints.stream(who, connection)?.own.as_ref()?;
        let lists = |listed: &String| match listed.as_str() {
            "NEGOTIATE" => matches!(method, "NTLM" | "KERBEROS"),
            pinned => pinned == method,
        };
        (!own.methods.iter().any(lists)).then(|| {
            let listed = own.methods.join(", ");
            format!("{connection} of {who} came up by {method}, its endpoint lists {listed}")
        })
    }
}

impl Oracle for NoAnonymousEndpoint {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        self.endpoints.observe(stamped);
        if let (Source::Instance(who), Event::Endpoint(event)) = (&stamped.source, &stamped.event)
            && let Some(message) = self.on_endpoint(who, event)
        {
            out.push(Violation::of(NAME, &[who], message, stamped.at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_quiet, assert_red};
    use super::super::testing_endpoints::*;
    use super::*;
    use crate::types::{EncryptionInUse, EndpointSettings};

    fn listing(state: &str, methods: &[&str]) -> EndpointSettings {
        EndpointSettings {
            methods: methods.iter().map(|m| (*m).to_owned()).collect(),
            ..in_state(state)
        }
    }

    fn login_by(own: &[&str], method: &str, name: &str) -> Vec<Stamped> {
        let [begun, mut ended] = login(2, EncryptionInUse::Aes);
        if let Event::Endpoint(EndpointEvent::LoggedIn {
            authentication,
            principal,
            ..
        }) = &mut ended.event
        {
            (*authentication, *principal) = (method.into(), name.into());
        }
        vec![configured(1, "alpha", &listing("STARTED", own)), begun, ended]
    }

    #[test]
    fn listed_methods_are_legal() {
        assert_quiet::<NoAnonymousEndpoint>(&login_by(&["CERTIFICATE"], "CERTIFICATE", "beta_login"));
        assert_quiet::<NoAnonymousEndpoint>(&login_by(&["NEGOTIATE"], "NTLM", "LAB\\sql"));
        assert_quiet::<NoAnonymousEndpoint>(&[configured(1, "alpha", &listing("STOPPED", &[]))]);
    }

    #[test]
    fn starting_without_authentication_is_seen() {
        let events = [configured(1, "alpha", &listing("STARTED", &[]))];
        assert_red::<NoAnonymousEndpoint>(&events, NAME);
    }

    #[test]
    fn a_method_that_is_not_listed_is_seen() {
        for (own, used) in [("CERTIFICATE", "NTLM"), ("KERBEROS", "NTLM"), ("NTLM", "")] {
            let events = login_by(&[own], used, "beta_login");
            assert_red::<NoAnonymousEndpoint>(&events, NAME);
        }
    }

    #[test]
    fn nobody_is_seen() {
        let events = login_by(&["CERTIFICATE"], "CERTIFICATE", "");
        assert_red::<NoAnonymousEndpoint>(&events, NAME);
    }
}
