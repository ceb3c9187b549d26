//! The network seam of a simulated system: sockets of its kernel, names of its world.
//!
//! Every operation first makes the socket's own system the current one, so that streams may be held and dropped
//! anywhere while their world lives.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil_net::HostId;
use turmoil_net::shim::tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use turmoil_net::shim::tokio::net::{TcpListener, TcpStream};

use crate::driver::net::{Net, NetListener, NetRead, NetStream, NetWrite};
use crate::instance::io::{ConnectError, ListenError};
use crate::types::ServerAddress;

use super::World;
use super::system::SystemId;

/// How long a connect waits through silence. Source: Windows (three SYNs: 3 s + 6 s + 12 s).
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(21);

/// The network as seen from one system.
#[derive(Clone)]
pub struct SimNet {
    pub(super) world: World,
    pub(super) system: SystemId,
}

impl Net for SimNet {
    type Listener = SimListener;
    type Stream = SimStream;

    async fn listen(&self, ip: Option<IpAddr>, port: u16) -> Result<SimListener, ListenError> {
        let address = SocketAddr::new(ip.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), port);
        let home = self.home();
        let mut bound = home.enter(|| bind(address));
        if matches!(&bound, Err(error) if error.kind() == io::ErrorKind::AddrInUse) {
            self.world.forget_lingering(self.system, port);
            bound = home.enter(|| bind(address));
        }
        match bound {
            Ok(listener) => Ok(SimListener {
                inner: Homed::new(home, listener),
            }),
            Err(error) => Err(listen_error(&error)),
        }
    }

    async fn connect(&self, address: &ServerAddress) -> Result<SimStream, ConnectError> {
        self.world.count(|counters| counters.connects_attempted += 1);
        let result = self.connect_inner(address).await;
        self.world.count(|counters| match &result {
            Ok(_) => counters.connects_succeeded += 1,
            Err(ConnectError::Refused) => counters.connects_refused += 1,
            Err(ConnectError::TimedOut) => counters.connects_timed_out += 1,
            Err(ConnectError::NameNotFound) => counters.names_not_found += 1,
            Err(ConnectError::Unreachable) => {}
        });
        result
    }
}

impl SimNet {
    fn home(&self) -> Home {
        Home {
            world: self.world.clone(),
            host: self.world.host(self.system),
        }
    }

    async fn connect_inner(&self, address: &ServerAddress) -> Result<SimStream, ConnectError> {
        let ip = self
            .world
            .lookup(address.host())
            .ok_or(ConnectError::NameNotFound)?;
        let peer = SocketAddr::new(ip, address.port());
        let home = self.home();
        let mut connecting = Homed::new(home.clone(), Box::pin(TcpStream::connect(peer)));
        let connected = poll_fn(|cx| connecting.with(|future| future.as_mut().poll(cx)));
        match tokio::time::timeout(CONNECT_DEADLINE, connected).await {
            Err(_) => Err(ConnectError::TimedOut),
            Ok(Ok(stream)) => Ok(SimStream {
                inner: Homed::new(home, stream),
            }),
            Ok(Err(error)) => Err(connect_error(&error)),
        }
    }
}

/// Binding never waits; the shim is async only in form.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let mut binding = std::pin::pin!(TcpListener::bind(address));
    match binding
        .as_mut()
        .poll(&mut Context::from_waker(std::task::Waker::noop()))
    {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::Error::other("binding a simulated port waits")),
    }
}

fn listen_error(error: &io::Error) -> ListenError {
    match error.kind() {
        io::ErrorKind::AddrInUse => ListenError::AddressInUse,
        io::ErrorKind::AddrNotAvailable => ListenError::AddressNotLocal,
        _ => ListenError::Other(error.to_string()),
    }
}

fn connect_error(error: &io::Error) -> ConnectError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => ConnectError::Refused,
        io::ErrorKind::TimedOut => ConnectError::TimedOut,
        _ => ConnectError::Unreachable,
    }
}

/// A listening port.
pub struct SimListener {
    inner: Homed<TcpListener>,
}

impl SimListener {
    /// The bound address; unspecified if it listens on every address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.with_ref(TcpListener::local_addr)
    }
}

impl NetListener for SimListener {
    type Stream = SimStream;

    async fn accept(&self) -> io::Result<(SimStream, SocketAddr)> {
        let (stream, from) = poll_fn(|cx| self.inner.with_ref(|listener| listener.poll_accept(cx))).await?;
        let inner = Homed::new(self.inner.home.clone(), stream);
        Ok((SimStream { inner }, from))
    }
}

/// An established connection.
pub struct SimStream {
    inner: Homed<TcpStream>,
}

impl SimStream {
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.with_ref(TcpStream::local_addr)
    }

    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.with_ref(TcpStream::peer_addr)
    }
}

impl NetStream for SimStream {
    type Read = SimRead;
    type Write = SimWrite;

    fn into_split(self) -> (SimRead, SimWrite) {
        let (home, stream) = self.inner.into_parts();
        let (read, write) = home.enter(|| stream.into_split());
        (
            SimRead {
                inner: Homed::new(home.clone(), read),
            },
            SimWrite {
                inner: Homed::new(home, write),
            },
        )
    }
}

/// The receiving direction.
pub struct SimRead {
    inner: Homed<OwnedReadHalf>,
}

impl NetRead for SimRead {
    async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| {
            let mut target = ReadBuf::new(buf);
            let polled = self.inner.with(|half| Pin::new(half).poll_read(cx, &mut target));
            polled.map_ok(|()| target.filled().len())
        })
        .await
    }
}

/// The sending direction. Dropping it sends FIN.
pub struct SimWrite {
    inner: Homed<OwnedWriteHalf>,
}

impl NetWrite for SimWrite {
    async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = poll_fn(|cx| self.inner.with(|half| Pin::new(half).poll_write(cx, bytes))).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[written..];
        }
        Ok(())
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.inner.with(|half| Pin::new(half).poll_shutdown(cx))).await
    }
}

/// Where a socket belongs.
#[derive(Clone)]
struct Home {
    world: World,
    host: HostId,
}

impl Home {
    fn enter<T>(&self, operation: impl FnOnce() -> T) -> T {
        turmoil_net::set_current(self.host);
        operation()
    }
}

/// A socket that is used and dropped with its own system current, and leaked if its world has ended.
struct Homed<T> {
    home: Home,
    /// `None` only after `into_parts`.
    socket: Option<T>,
}

impl<T> Homed<T> {
    fn new(home: Home, socket: T) -> Self {
        Homed {
            home,
            socket: Some(socket),
        }
    }

    fn with<R>(&mut self, operation: impl FnOnce(&mut T) -> R) -> R {
        let socket = self.socket.as_mut().expect("only `into_parts` takes the socket");
        self.home.enter(|| operation(socket))
    }

    fn with_ref<R>(&self, operation: impl FnOnce(&T) -> R) -> R {
        let socket = self.socket.as_ref().expect("only `into_parts` takes the socket");
        self.home.enter(|| operation(socket))
    }

    fn into_parts(mut self) -> (Home, T) {
        let socket = self.socket.take().expect("only `into_parts` takes the socket");
        (self.home.clone(), socket)
    }
}

impl<T> Drop for Homed<T> {
    fn drop(&mut self) {
        let Some(socket) = self.socket.take() else { return };
        if self.home.world.is_over() {
            std::mem::forget(socket);
        } else {
            self.home.enter(|| drop(socket));
        }
    }
}
