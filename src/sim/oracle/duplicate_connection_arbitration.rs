//! Of several connections that one instance opens to another, one survives on either side.
//!
//! For a moment there may be two, while the login that completes takes the place of the other; no longer than that instant.
//! That one does survive is `heals-to-synchronized`, and that no log is lost or doubled meanwhile `log-prefix`. Source:
//! derived from the login state WAIT ARBITRATION (*sys.dm_db_mirroring_connections*) and messages 28032 and 28033.

use super::endpoints::Endpoints;
use super::{End, Oracle, Violation};
use crate::types::{EndpointEvent, Event, Guid, InstanceName, Source, Stamped, Timestamp};

const NAME: &str = "duplicate-connection-arbitration";

#[derive(Debug, Default)]
pub(super) struct DuplicateConnectionArbitration {
    endpoints: Endpoints,
    /// Logins of the present instant: on whose side, with whom, and whether it was accepted there.
    now: Vec<(InstanceName, Guid, bool)>,
    at: Timestamp,
}

impl DuplicateConnectionArbitration {
    /// The instant is over: what is double now stays so.
    fn settle(&mut self, out: &mut Vec<Violation>) {
        for (who, peer, accepted) in std::mem::take(&mut self.now) {
            let same_way = |s: &super::endpoints::Stream| s.peer == Some(peer) && s.accepted == accepted;
            let up: Vec<String> = self
                .endpoints
                .online(&who)
                .filter(|(_, s)| same_way(s))
                .map(|(connection, _)| connection.to_string())
                .collect();
            if up.len() > 1 {
                let way = if accepted { "accepted from" } else { "opened to" };
                let other = self.endpoints.name(peer).map_or("?", InstanceName::as_str);
                let message = format!("{who} keeps {}, all {way} {other}", up.join(" and "));
                out.push(Violation::of(NAME, &[&who, &other], message, self.at));
            }
        }
    }
}

impl Oracle for DuplicateConnectionArbitration {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        if stamped.at > self.at {
            self.settle(out);
            self.at = stamped.at;
        }
        self.endpoints.observe(stamped);
        if let (Source::Instance(who), Event::Endpoint(EndpointEvent::LoggedIn { peer, accepted, .. })) =
            (&stamped.source, &stamped.event)
        {
            self.now.push((who.clone(), *peer, *accepted));
        }
    }

    fn finish(&mut self, _: &End, out: &mut Vec<Violation>) {
        self.settle(out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_quiet, assert_red, world_step};
    use super::super::testing_endpoints::*;
    use super::*;
    use crate::types::{ConnectionId, EncryptionInUse};

    const AGAIN: ConnectionId = ConnectionId(4);

    fn one_each_way() -> Vec<Stamped> {
        let mut events = endpoints(("REQUIRED", &["AES"]), ("REQUIRED", &["AES"]));
        events.extend(login(1, EncryptionInUse::Aes));
        events.extend(login_initiated(1, EncryptionInUse::Aes));
        events
    }

    fn again() -> [Stamped; 2] {
        [
            accepted(2, AGAIN),
            logged_in(2, AGAIN, true, EncryptionInUse::Aes),
        ]
    }

    #[test]
    fn the_newer_in_place_of_the_older_is_legal() {
        let mut events = one_each_way();
        events.extend(again());
        events.extend([closed(2, ACCEPTED), world_step(3, "on")]);
        assert_quiet::<DuplicateConnectionArbitration>(&events);
    }

    #[test]
    fn two_that_stay_are_seen() {
        let mut events = one_each_way();
        events.extend(again());
        assert_red::<DuplicateConnectionArbitration>(&events, NAME);
        events.extend([world_step(3, "on"), closed(3, ACCEPTED)]);
        assert_red::<DuplicateConnectionArbitration>(&events, NAME);
    }
}
