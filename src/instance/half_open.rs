//! Strangers who have connected and not logged in: how long each may stay, how many there may be, who goes first.
//!
//! Both ports follow one rule: at the bound the oldest half-open connection of the address that holds most of them ends,
//! so one address can only crowd out itself, and a caller that logs in at once gets in whoever else is waiting. Source: ours.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Instance;
use super::io::{CloseHow, Output};
use crate::endpoint::connection::Side;
use crate::error::{SqlError, msg};
use crate::types::{ConnectionId, InstanceEvent, Timestamp};

/// Half-open logins an endpoint holds at most.
pub(super) const LOGINS_MAX: usize = 64;

/// Connections to the client port that have not said hello.
const HELLOS_MAX: usize = 256;

/// How long a client may take to say hello.
const HELLO_DEADLINE: Duration = Duration::from_secs(20);

/// Under this name the end of a client's time is announced.
const HELLO_DEADLINE_NAME: &str = "client login deadline";

/// A client that has connected and said nothing whole yet.
#[derive(Debug)]
pub(super) struct Stranger {
    from: String,
    deadline: Timestamp,
}

/// The connections at the client port that have not logged in; ids ascend in time.
pub(super) type Strangers = BTreeMap<ConnectionId, Stranger>;

impl Instance {
    pub(super) fn await_hello(&mut self, connection: ConnectionId, from: String) {
        let deadline = self.now.at + HELLO_DEADLINE;
        self.strangers.insert(connection, Stranger { from, deadline });
        if self.strangers.len() <= HELLOS_MAX {
            return;
        }
        let held = self.strangers.iter().map(|(id, s)| (*id, s.from.as_str()));
        if let Some(id) = first_to_go(held) {
            self.close_stranger(id, |from| msg::CLIENT_LOGINS_FULL.with(&[&HELLOS_MAX, &from]));
        }
    }

    pub(super) fn wake_strangers(&mut self) {
        while let Some((id, stranger)) = self.strangers.first_key_value()
            && stranger.deadline <= self.now.at
        {
            let seconds = HELLO_DEADLINE.as_secs();
            self.close_stranger(*id, |from| msg::CLIENT_LOGIN_TIMED_OUT.with(&[&seconds, &from]));
        }
    }

    pub(super) fn next_stranger_deadline(&self) -> Option<(Timestamp, &'static str)> {
        let (_, stranger) = self.strangers.first_key_value()?;
        Some((stranger.deadline, HELLO_DEADLINE_NAME))
    }

    /// Ends it without a word; the reason is in the error log.
    fn close_stranger(&mut self, connection: ConnectionId, reason: impl FnOnce(&str) -> SqlError) {
        let Some(stranger) = self.strangers.remove(&connection) else {
            return;
        };
        let error = reason(&stranger.from);
        self.log_error(&error);
        self.emit(InstanceEvent::ClientRefused {
            connection,
            number: error.number,
        });
        self.clients.remove(&connection);
        self.output(Output::Close {
            connection,
            how: CloseHow::Fin,
        });
    }

    /// Makes room for one more login at the endpoint, if it is full.
    pub(super) fn make_room_for_login(&mut self) {
        let logins = || {
            let all = self.endpoint.connections.iter();
            all.filter(|(_, o)| o.connection.side() == Side::Acceptor && !o.connection.is_online())
        };
        if logins().count() < LOGINS_MAX {
            return;
        }
        let Some(id) = first_to_go(logins().map(|(id, o)| (*id, o.connection.far_address()))) else {
            return;
        };
        let from = self.endpoint.connections.get(&id);
        let from = from.map_or_else(String::new, |o| o.connection.far_address().to_owned());
        let text = format!("{LOGINS_MAX} logins are under way, the bound is reached");
        let error = msg::TRANSPORT_ERROR.with(&[&text, &1, &Side::Acceptor.desc(), &from]);
        self.log_error(&error);
        self.close_peer(id, Some(error));
    }
}

/// The oldest connection of the address that holds most; of addresses that hold as many, of the one that came first.
fn first_to_go<'a>(held: impl Iterator<Item = (ConnectionId, &'a str)>) -> Option<ConnectionId> {
    let mut by_address: BTreeMap<&str, (usize, ConnectionId)> = BTreeMap::new();
    for (id, from) in held {
        let address = from.rsplit_once(':').map_or(from, |(address, _)| address);
        let (count, oldest) = by_address.entry(address).or_insert((0, id));
        *count += 1;
        *oldest = id.min(*oldest);
    }
    let first = |(count, oldest): &(usize, ConnectionId)| (std::cmp::Reverse(*count), *oldest);
    by_address.into_values().min_by_key(first).map(|(_, id)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_most_loses_the_oldest() {
        let of = |held: &[(u64, &str)]| first_to_go(held.iter().map(|(id, from)| (ConnectionId(*id), *from)));
        assert_eq!(of(&[]), None);
        assert_eq!(
            of(&[
                (2, "10.0.0.9:1"),
                (4, "10.0.0.1:5"),
                (6, "10.0.0.1:6"),
                (8, "10.0.0.2:1")
            ]),
            Some(ConnectionId(4))
        );
        assert_eq!(
            of(&[(4, "10.0.0.1:5"), (2, "10.0.0.9:1")]),
            Some(ConnectionId(2)),
            "nobody holds more than another: the oldest of all"
        );
        assert_eq!(
            of(&[(2, "[fe80::1]:9"), (4, "[fe80::1]:10"), (6, "[fe80::2]:9")]),
            Some(ConnectionId(2))
        );
    }
}
