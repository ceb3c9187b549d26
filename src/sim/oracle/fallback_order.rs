//! The second authentication method is tried only after the first has failed, in the acceptor's order over what both list.
//!
//! The plan is computed here anew from the two lists as they were exchanged. Source: documented, *CREATE ENDPOINT*, *Audit
//! Database Mirroring Login*; which of the two orders counts is the recommended reading.

use std::collections::BTreeMap;

use super::{Oracle, Violation};
use crate::types::{ConnectionId, EndpointEvent, Event, InstanceName, Source, Stamped, WorldEvent};

const NAME: &str = "fallback-order";

#[derive(Debug, Default)]
pub(super) struct FallbackOrder {
    logins: BTreeMap<(InstanceName, ConnectionId), Login>,
}

/// One side's view of one login.
#[derive(Debug)]
struct Login {
    plan: Vec<String>,
    failed: usize,
}

impl FallbackOrder {
    fn on_endpoint(&mut self, who: &InstanceName, event: &EndpointEvent) -> Option<String> {
        let login = |connection: &ConnectionId| (who.clone(), *connection);
        match event {
            EndpointEvent::Negotiated {
                connection,
                accepted,
                local,
                remote,
            } => {
                let plan = match accepted {
                    true => plan(local, remote),
                    false => plan(remote, local),
                };
                self.logins.insert(login(connection), Login { plan, failed: 0 });
                None
            }
            EndpointEvent::MethodFailed {
                connection, method, ..
            } => {
                let known = self.logins.get_mut(&login(connection))?;
                let expected = known.plan.get(known.failed);
                let is_wrong = expected != Some(method) || known.failed + 1 >= known.plan.len();
                known.failed += 1;
                is_wrong.then(|| {
                    let plan = known.plan.join(", ");
                    format!("{who} went on from {method} on {connection}, but the plan is {plan}")
                })
            }
            EndpointEvent::LoginState { connection, state } if state.starts_with("TWO ") => {
                let known = self.logins.get(&login(connection))?;
                (known.failed == 0)
                    .then(|| format!("{who} is in {state} on {connection}, and no method has failed"))
            }
            EndpointEvent::LoggedIn {
                connection,
                authentication,
                ..
            } => {
                let known = self.logins.remove(&login(connection))?;
                let due = known.plan.get(known.failed);
                let is_due = due.is_some_and(|method| carries_out(method, authentication));
                (!is_due).then(|| {
                    let due = due.map_or("none", String::as_str);
                    format!("{who} logged in on {connection} by {authentication}, and {due} was due")
                })
            }
            EndpointEvent::Closed { connection, .. } => {
                self.logins.remove(&login(connection));
                None
            }
            _ => None,
        }
    }
}

/// The methods both list, in the acceptor's order.
fn plan(acceptor: &[String], initiator: &[String]) -> Vec<String> {
    let common = |a: &String| initiator.iter().find_map(|i| together(a, i));
    acceptor.iter().filter_map(common).collect()
}

fn together(a: &str, b: &str) -> Option<String> {
    match (a, b) {
        _ if a == b => Some(a.to_owned()),
        ("CERTIFICATE", _) | (_, "CERTIFICATE") => None,
        ("NEGOTIATE", pinned) | (pinned, "NEGOTIATE") => Some(pinned.to_owned()),
        _ => None,
    }
}

fn carries_out(method: &str, authentication: &str) -> bool {
    match method {
        "NEGOTIATE" => matches!(authentication, "NTLM" | "KERBEROS"),
        pinned => pinned == authentication,
    }
}

impl Oracle for FallbackOrder {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        match (&stamped.source, &stamped.event) {
            (_, Event::World(WorldEvent::ProcessKilled { instance })) => {
                self.logins.retain(|(who, _), _| who != instance);
            }
            (Source::Instance(who), Event::Endpoint(event)) => {
                if let Some(message) = self.on_endpoint(who, event) {
                    out.push(Violation {
                        oracle: NAME,
                        fingerprint: format!("{NAME}/{who}"),
                        message,
                        at: stamped.at,
                    });
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::types::{EncryptionInUse, Guid};

    const ID: ConnectionId = ConnectionId(2);

    fn lists(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    fn negotiated(accepted: bool, local: &[&str], remote: &[&str]) -> Stamped {
        let event = EndpointEvent::Negotiated {
            connection: ID,
            accepted,
            local: lists(local),
            remote: lists(remote),
        };
        on(1, "alpha", event)
    }

    fn failed(method: &str) -> Stamped {
        let event = EndpointEvent::MethodFailed {
            connection: ID,
            accepted: true,
            method: method.into(),
            number: 28031,
            text: String::new(),
        };
        on(2, "alpha", event)
    }

    fn second() -> Stamped {
        let event = EndpointEvent::LoginState {
            connection: ID,
            state: "TWO ASC".into(),
        };
        on(3, "alpha", event)
    }

    fn logged_in(authentication: &str) -> Stamped {
        let event = EndpointEvent::LoggedIn {
            connection: ID,
            peer: Guid::NIL,
            accepted: true,
            principal: "beta".into(),
            authentication: authentication.into(),
            encryption: EncryptionInUse::Aes,
            local_level: "REQUIRED".into(),
            connect_granted: true,
        };
        on(4, "alpha", event)
    }

    const WINDOWS_FIRST: &[&str] = &["NEGOTIATE", "CERTIFICATE"];
    const CERTIFICATE_FIRST: &[&str] = &["CERTIFICATE", "NTLM"];

    #[test]
    fn the_acceptors_first_method_and_its_second_after_a_failure_are_right() {
        assert_quiet::<FallbackOrder>(&[
            negotiated(true, WINDOWS_FIRST, CERTIFICATE_FIRST),
            logged_in("NTLM"),
        ]);
        assert_quiet::<FallbackOrder>(&[
            negotiated(false, WINDOWS_FIRST, CERTIFICATE_FIRST),
            failed("CERTIFICATE"),
            second(),
            logged_in("NTLM"),
        ]);
        assert_quiet::<FallbackOrder>(&[
            negotiated(true, &["NEGOTIATE"], &["NEGOTIATE"]),
            logged_in("KERBEROS"),
        ]);
    }

    #[test]
    fn the_initiators_order_is_seen() {
        let events = [
            negotiated(true, WINDOWS_FIRST, CERTIFICATE_FIRST),
            logged_in("CERTIFICATE"),
        ];
        assert_red::<FallbackOrder>(&events, NAME);
    }

    #[test]
    fn a_second_method_without_a_failure_is_seen() {
        let events = [negotiated(true, WINDOWS_FIRST, WINDOWS_FIRST), second()];
        assert_red::<FallbackOrder>(&events, NAME);
    }

    #[test]
    fn a_first_method_that_failed_and_is_used_is_seen() {
        let events = [
            negotiated(true, WINDOWS_FIRST, WINDOWS_FIRST),
            failed("NEGOTIATE"),
            logged_in("KERBEROS"),
        ];
        assert_red::<FallbackOrder>(&events, NAME);
    }

    #[test]
    fn going_on_where_nothing_follows_is_seen() {
        let events = [negotiated(true, &["NTLM"], &["NEGOTIATE"]), failed("NTLM")];
        assert_red::<FallbackOrder>(&events, NAME);
    }
}
