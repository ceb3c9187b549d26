//! Client connections as an application's driver makes them: one connection, and the documented algorithm that finds the
//! principal among two partners.
//!
//! Clients talk to the client port of an instance and never to its endpoint; the witness is never involved. A lost
//! connection is not opened again by the driver. Source: documented, *Connect Clients to a Database Mirroring Session*.

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::driver::clock::Clock;
use crate::driver::net::{Net, NetRead, NetStream, NetWrite};
use crate::error::SqlError;
use crate::instance::io::ConnectError;
use crate::sim::connection_string::Provider;
use crate::types::{InstanceName, Reply, ReplyItem, ServerAddress, Timestamp};
use crate::wire::client::{
    CLIENT_VERSION, ClientCodec, ClientHello, ClientRequest, ClientResponse, ServerHello,
};

/// The default login timeout. Source: documented.
pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(15);

/// The port of a default instance. Source: documented.
pub const DEFAULT_PORT: u16 = 1433;

/// The wait after the first round of attempts that were answered; it doubles up to [`RETRY_WAIT_MAX`].
/// Source: documented, "Retry Delays During Failover".
const RETRY_WAIT_FIRST: Duration = Duration::from_millis(100);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(1);

const READ_BYTES: usize = 4 * 1024;

/// What an application's connection string says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionString {
    /// The initial partner's client port. Never changed.
    pub initial: ServerAddress,
    /// The failover partner the application supplies; replaced by the one the server names.
    pub failover_partner: Option<ServerAddress>,
    pub database: Option<String>,
    pub login: String,
    pub application: String,
    /// For the whole of one `Connector::connect`. Default [`LOGIN_TIMEOUT`]; at least 5 s advised.
    pub login_timeout: Duration,
    pub provider: Provider,
    /// Client ports by server name (`SYSTEM\INSTANCE`, as `@@SERVERNAME` says; any case): what the SQL Server Browser
    /// would be asked for. A name that is not here is `host`, `host,port` or `TCP://host:port`.
    pub browser: BTreeMap<String, ServerAddress>,
}

impl ConnectionString {
    /// The address behind a server's name.
    ///
    /// # Errors
    /// The text, if it is not a name.
    pub fn resolve(&self, server_name: &str) -> Result<ServerAddress, String> {
        let known = self
            .browser
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(server_name));
        if let Some((_, address)) = known {
            return Ok(address.clone());
        }
        if let Ok(address) = server_name.parse() {
            return Ok(address);
        }
        let (host, port) = match server_name.split_once(',') {
            Some((host, port)) => (host.trim(), port.trim().to_owned()),
            None => (server_name.trim(), DEFAULT_PORT.to_string()),
        };
        // The named instance's part tells ports apart, which is the browser's business.
        let host = host.split('\\').next().unwrap_or(host);
        format!("TCP://{host}:{port}")
            .parse()
            .map_err(|_| server_name.to_owned())
    }

    fn hello(&self) -> ClientHello {
        ClientHello {
            version: CLIENT_VERSION,
            login_name: self.login.clone(),
            database: self.database.clone(),
            application: self.application.clone(),
        }
    }
}

/// Why a connection could not be made, or was lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    #[error("cannot connect to {address}: {error}")]
    Connect {
        address: ServerAddress,
        error: ConnectError,
    },
    /// The server answered and refused the login; a partner that does not serve the database does.
    #[error("{address} refused the login: {error}")]
    Refused { address: ServerAddress, error: SqlError },
    #[error("{address} did not answer within {} ms", .timeout.as_millis())]
    TimedOut {
        address: ServerAddress,
        timeout: Duration,
    },
    #[error("the connection to {address} was lost")]
    Lost { address: ServerAddress },
    #[error("{address} does not speak the client protocol: {error}")]
    Protocol { address: ServerAddress, error: String },
}

impl ClientError {
    /// Which server it is about.
    pub fn address(&self) -> &ServerAddress {
        match self {
            ClientError::Connect { address, .. }
            | ClientError::Refused { address, .. }
            | ClientError::TimedOut { address, .. }
            | ClientError::Lost { address }
            | ClientError::Protocol { address, .. } => address,
        }
    }
}

/// An open, logged-in connection. Dropping it closes it.
pub struct ClientConnection<N: Net, C: Clock> {
    address: ServerAddress,
    server: ServerHello,
    wire: Wire<N>,
    clock: C,
}

impl<N: Net, C: Clock> ClientConnection<N, C> {
    /// Connect and log in within `timeout`.
    pub async fn open(
        net: &N,
        clock: &C,
        address: &ServerAddress,
        hello: ClientHello,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        let login = async {
            let stream = net.connect(address).await.map_err(|error| ClientError::Connect {
                address: address.clone(),
                error,
            })?;
            let mut wire = Wire::<N>::new(stream);
            let answer = wire.ask(address, &ClientRequest::Hello(hello)).await?;
            match answer {
                ClientResponse::Hello(server) => Ok((server, wire)),
                ClientResponse::Refused(error) => Err(ClientError::Refused {
                    address: address.clone(),
                    error,
                }),
                ClientResponse::Reply(_) => Err(out_of_turn(address, "a reply before its hello")),
            }
        };
        let (server, wire) = within(clock, address, timeout, login).await?;
        Ok(ClientConnection {
            address: address.clone(),
            server,
            wire,
            clock: clock.clone(),
        })
    }

    /// The instance at the other end.
    pub fn instance(&self) -> InstanceName {
        InstanceName::new(self.server.instance.as_str())
    }

    /// The database's failover partner as of the login.
    pub fn failover_partner(&self) -> Option<&str> {
        self.server.failover_partner.as_deref()
    }

    /// Execute one batch and wait for its answer.
    ///
    /// # Errors
    /// An error *of the batch* is in the `Reply`. `Err` says that the connection is spent, and whether the batch was
    /// executed is unknown.
    pub async fn execute(&mut self, batch: &str, timeout: Duration) -> Result<Reply, ClientError> {
        let request = ClientRequest::Batch(batch.to_owned());
        let answer = self.wire.ask(&self.address, &request);
        match within(&self.clock, &self.address, timeout, answer).await? {
            ClientResponse::Reply(reply) => Ok(reply),
            ClientResponse::Hello(_) => Err(out_of_turn(&self.address, "a second hello")),
            ClientResponse::Refused(error) => Err(ClientError::Refused {
                address: self.address.clone(),
                error,
            }),
        }
    }
}

/// The administrator every instance is born with.
pub const ADMINISTRATOR: &str = "sa";

/// A client of one instance for a scenario's own batches, in database `master`.
pub struct BatchClient<N: Net, C: Clock>(ClientConnection<N, C>);

impl<N: Net, C: Clock> BatchClient<N, C> {
    /// Connect and log in as the administrator within `timeout`.
    pub async fn connect(
        net: &N,
        clock: &C,
        address: &ServerAddress,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        Self::connect_as(net, clock, address, ADMINISTRATOR, timeout).await
    }

    /// Connect and log in as `login` within `timeout`.
    pub async fn connect_as(
        net: &N,
        clock: &C,
        address: &ServerAddress,
        login: &str,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        let hello = ClientHello {
            version: CLIENT_VERSION,
            login_name: login.to_owned(),
            database: Some("master".to_owned()),
            application: "mirrorlab".to_owned(),
        };
        ClientConnection::open(net, clock, address, hello, timeout)
            .await
            .map(BatchClient)
    }

    pub fn instance(&self) -> InstanceName {
        self.0.instance()
    }

    /// See [`ClientConnection::execute`].
    pub async fn execute(&mut self, batch: &str, timeout: Duration) -> Result<Reply, ClientError> {
        self.0.execute(batch, timeout).await
    }
}

/// Finds the partner that serves the database.
///
/// Rounds of one attempt at the initial partner and one at the failover partner. In round *k* an attempt may take
/// *k* × 8 % of the login timeout. After a round in which a partner answered (refused the connection or the login)
/// the connector waits 100, 200, 400, 800 ms, then 1 s; silence has used up the time by itself. Without a failover
/// partner an attempt may take all the time that is left. Source: documented.
///
/// A connection tells the name of the current failover partner. The first successful one replaces what the application
/// supplied; a later one replaces it again with the native client and never with the .NET provider. Never by the initial
/// partner itself: after a failover the two names stay two. Source: documented; the exception is ours.
pub struct Connector<N: Net, C: Clock> {
    net: N,
    clock: C,
    target: ConnectionString,
    failover_partner: Option<ServerAddress>,
    /// A connection was made before.
    connected: bool,
}

impl<N: Net, C: Clock> Connector<N, C> {
    pub fn new(net: N, clock: C, target: ConnectionString) -> Self {
        Connector {
            net,
            clock,
            failover_partner: target.failover_partner.clone(),
            target,
            connected: false,
        }
    }

    /// Where it would try the failover partner now.
    pub fn failover_partner(&self) -> Option<&ServerAddress> {
        self.failover_partner.as_ref()
    }

    /// Connect within the login timeout. The error is the last attempt's.
    pub async fn connect(&mut self) -> Result<ClientConnection<N, C>, ClientError> {
        let timeout = self.target.login_timeout;
        let deadline = self.clock.now().at + timeout;
        let mut wait = RETRY_WAIT_FIRST;
        let mut last_error = ClientError::TimedOut {
            address: self.target.initial.clone(),
            timeout,
        };
        for round in 1.. {
            let mut answered = false;
            for address in self.partners() {
                let left = deadline.since(self.clock.now().at);
                if left.is_zero() {
                    return Err(last_error);
                }
                let budget = left.min(self.budget(round));
                match self.attempt(&address, budget).await {
                    Ok(connection) => return Ok(connection),
                    Err(error) => {
                        answered |= !matches!(error, ClientError::TimedOut { .. });
                        last_error = error;
                    }
                }
            }
            if answered {
                if self.clock.now().at + wait >= deadline {
                    return Err(last_error);
                }
                self.clock.sleep_until(self.clock.now().at + wait).await;
                wait = (wait * 2).min(RETRY_WAIT_MAX);
            }
        }
        Err(last_error)
    }

    fn partners(&self) -> Vec<ServerAddress> {
        let initial = Some(self.target.initial.clone());
        initial.into_iter().chain(self.failover_partner.clone()).collect()
    }

    fn budget(&self, round: u32) -> Duration {
        match self.failover_partner {
            Some(_) => (self.target.login_timeout * 8 / 100).saturating_mul(round),
            None => self.target.login_timeout,
        }
    }

    async fn attempt(
        &mut self,
        address: &ServerAddress,
        budget: Duration,
    ) -> Result<ClientConnection<N, C>, ClientError> {
        let hello = self.target.hello();
        let connection = ClientConnection::open(&self.net, &self.clock, address, hello, budget).await?;
        let before = std::mem::replace(&mut self.connected, true);
        if before && self.target.provider == Provider::SqlClient {
            return Ok(connection);
        }
        let named = connection
            .failover_partner()
            .and_then(|name| self.target.resolve(name).ok());
        if named.is_some() && named.as_ref() != Some(&self.target.initial) {
            self.failover_partner = named;
        }
        Ok(connection)
    }
}

/// The two directions of a connection and its codec.
struct Wire<N: Net> {
    read: <N::Stream as NetStream>::Read,
    write: <N::Stream as NetStream>::Write,
    codec: ClientCodec,
}

impl<N: Net> Wire<N> {
    fn new(stream: N::Stream) -> Self {
        let (read, write) = stream.into_split();
        Wire {
            read,
            write,
            codec: ClientCodec::new(),
        }
    }

    async fn ask(
        &mut self,
        address: &ServerAddress,
        request: &ClientRequest,
    ) -> Result<ClientResponse, ClientError> {
        let lost = |_| ClientError::Lost {
            address: address.clone(),
        };
        let bytes = match self.codec.encode(request) {
            Ok(bytes) => bytes,
            // Nothing was sent, and the connection is as good as before.
            Err(error) => {
                let items = vec![ReplyItem::Error(error.to_sql())];
                return Ok(ClientResponse::Reply(Reply { items }));
            }
        };
        self.write.write_all(&bytes).await.map_err(lost)?;
        let mut buffer = [0; READ_BYTES];
        loop {
            let response = self.codec.next_response();
            let response = response.map_err(|error| ClientError::Protocol {
                address: address.clone(),
                error: error.to_string(),
            })?;
            if let Some(response) = response {
                return Ok(response);
            }
            match self.read.read(&mut buffer).await.map_err(lost)? {
                0 => {
                    return Err(ClientError::Lost {
                        address: address.clone(),
                    });
                }
                n => self.codec.push(&buffer[..n]),
            }
        }
    }
}

async fn within<T>(
    clock: &impl Clock,
    address: &ServerAddress,
    timeout: Duration,
    act: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    let deadline: Timestamp = clock.now().at + timeout;
    tokio::select! {
        biased;
        result = act => result,
        () = clock.sleep_until(deadline) => Err(ClientError::TimedOut { address: address.clone(), timeout }),
    }
}

fn out_of_turn(address: &ServerAddress, what: &str) -> ClientError {
    ClientError::Protocol {
        address: address.clone(),
        error: format!("it sent {what}"),
    }
}
