//! The client port: hello, one batch at a time, replies. Mirroring never comes through here.

use std::collections::VecDeque;

use super::Instance;
use super::batch::Running;
use super::catalog::LoginKind;
use super::io::{CloseHow, Output};
use crate::error::{SqlError, msg};
use crate::types::{ConnectionId, DatabaseName, InstanceEvent, Permission, Reply, ReplyItem};
use crate::wire::client::{
    CLIENT_VERSION, ClientHello, ClientRequest, ClientResponse, ServerCodec, ServerHello,
};

/// Batches a client may send ahead of their answers.
const BATCHES_AHEAD_MAX: usize = 16;

/// One client connection.
#[derive(Debug, Default)]
pub struct ClientSession {
    codec: ServerCodec,
    greeted: bool,
    /// The current database; `None` is `master`.
    pub database: Option<DatabaseName>,
    pub login: String,
    /// This session opened the master key with a password.
    pub master_key_open: bool,
    waiting: VecDeque<String>,
    pub running: Option<Running>,
}

impl Instance {
    pub(super) fn on_client_accepted(&mut self, connection: ConnectionId, from: String) {
        self.clients.insert(connection, ClientSession::default());
        self.await_hello(connection, from);
    }

    pub(super) fn on_client_received(&mut self, connection: ConnectionId, bytes: &[u8]) {
        if let Some(client) = self.clients.get_mut(&connection) {
            client.codec.push(bytes);
        }
        while let Some(client) = self.clients.get_mut(&connection) {
            match client.codec.next_request() {
                Ok(None) => return,
                Ok(Some(ClientRequest::Hello(hello))) if !client.greeted => self.greet(connection, &hello),
                Ok(Some(ClientRequest::Batch(text)))
                    if client.greeted && client.waiting.len() < BATCHES_AHEAD_MAX =>
                {
                    client.waiting.push_back(text);
                    self.next_batch(connection);
                }
                Ok(Some(_)) => {
                    self.refuse_client(connection, msg::PROTOCOL_ERROR.with(&[&"a message out of turn"]))
                }
                Err(error) => self.refuse_client(connection, msg::PROTOCOL_ERROR.with(&[&error])),
            }
        }
    }

    fn greet(&mut self, connection: ConnectionId, hello: &ClientHello) {
        if hello.version != CLIENT_VERSION {
            let reason = format!(
                "client version {} where {CLIENT_VERSION} is spoken",
                hello.version
            );
            return self.refuse_client(connection, msg::PROTOCOL_ERROR.with(&[&reason]));
        }
        let Some(login) = self.login_of_client(&hello.login_name) else {
            return self.refuse_client(connection, msg::LOGIN_FAILED.with(&[&hello.login_name]));
        };
        let own = self
            .catalog
            .login(&login)
            .and_then(|l| l.default_database.clone());
        let is_default = hello.database.is_none();
        let wanted = hello
            .database
            .clone()
            .or(own)
            .filter(|d| !d.eq_ignore_ascii_case("master"));
        let opened = wanted.as_deref().map(|d| {
            let denied = |_| msg::LOGIN_DATABASE.with(&[&d]);
            self.check_database_access(&login, d).map_err(denied)?;
            self.openable(d)
        });
        let opened = opened.map(|opened| match is_default {
            true => opened.map_err(|_| msg::LOGIN_DEFAULT_DATABASE.error()),
            false => opened,
        });
        let database = match opened.transpose() {
            Ok(database) => database,
            Err(error) => return self.refuse_client(connection, error),
        };
        let failover_partner = database.as_ref().and_then(|d| self.failover_partner(d));
        let answer = ServerHello {
            server_name: self.config.server_name.clone(),
            instance: self.config.name.as_str().to_owned(),
            failover_partner,
            database: database.as_ref().map(|d| d.as_str().to_owned()),
        };
        if let Some(client) = self.clients.get_mut(&connection) {
            client.greeted = true;
            client.codec.expect_batches();
            client.login = login;
            client.database.clone_from(&database);
        }
        self.strangers.remove(&connection);
        self.emit(InstanceEvent::ClientConnected { connection, database });
        self.send_client(connection, &ClientResponse::Hello(answer));
    }

    /// The login of this name, if a client may log in as it. Who it is, is the client's word: passwords are not kept.
    fn login_of_client(&self, name: &str) -> Option<String> {
        let login = self.catalog.login(name)?;
        // Logins of certificates are for signing code. Source: documented, *CREATE LOGIN*.
        let usable = !login.disabled
            && login.kind != LoginKind::Certificate
            && self.catalog.holds_on_server(name, Permission::ConnectSql);
        usable.then(|| login.name.clone())
    }

    fn refuse_client(&mut self, connection: ConnectionId, error: SqlError) {
        self.emit(InstanceEvent::ClientRefused {
            connection,
            number: error.number,
        });
        self.send_client(connection, &ClientResponse::Refused(error));
        self.clients.remove(&connection);
        self.strangers.remove(&connection);
        self.output(Output::Close {
            connection,
            how: CloseHow::Fin,
        });
    }

    fn send_client(&mut self, connection: ConnectionId, response: &ClientResponse) {
        let Some(client) = self.clients.get_mut(&connection) else {
            return;
        };
        let bytes = match client.codec.encode(response) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                let reply = Reply {
                    items: vec![ReplyItem::Error(error.to_sql())],
                };
                client.codec.encode(&ClientResponse::Reply(reply)).ok()
            }
        };
        if let Some(bytes) = bytes {
            self.output(Output::Send { connection, bytes });
        }
    }

    fn next_batch(&mut self, connection: ConnectionId) {
        let Some(client) = self.clients.get_mut(&connection) else {
            return;
        };
        if client.running.is_some() {
            return;
        }
        if let Some(text) = client.waiting.pop_front() {
            self.start_batch(connection, &text);
        }
    }

    pub(super) fn reply(&mut self, connection: ConnectionId, reply: Reply) {
        self.send_client(connection, &ClientResponse::Reply(reply));
        self.next_batch(connection);
    }

    pub(super) fn add_item(&mut self, connection: ConnectionId, item: ReplyItem) {
        let running = self.clients.get_mut(&connection).and_then(|c| c.running.as_mut());
        if let Some(running) = running {
            running.push_item(item);
        }
    }

    pub(super) fn on_client_closed(&mut self, connection: ConnectionId) {
        self.clients.remove(&connection);
        self.strangers.remove(&connection);
    }

    /// End every connection that uses `database`; what they wait for is never answered.
    pub(super) fn cut_clients(&mut self, database: &DatabaseName) {
        let uses = |client: &ClientSession| {
            let same = |d: &DatabaseName| d.as_str().eq_ignore_ascii_case(database.as_str());
            client.database.as_ref().is_some_and(same)
        };
        let cut: Vec<ConnectionId> = self
            .clients
            .iter()
            .filter(|(_, c)| uses(c))
            .map(|(id, _)| *id)
            .collect();
        for connection in cut {
            self.clients.remove(&connection);
            self.output(Output::Close {
                connection,
                how: CloseHow::Reset,
            });
        }
    }
}
