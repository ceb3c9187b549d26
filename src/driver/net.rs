//! The network seam: listeners, streams and name resolution.

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::instance::io::{ConnectError, ListenError};
use crate::types::ServerAddress;

/// A TCP network. Implemented by the simulated world, by `turmoil::net` and by `tokio::net`.
///
/// Everything runs on one thread; futures need not be `Send`.
#[expect(
    async_fn_in_trait,
    reason = "single-threaded by design; no Send bound is wanted"
)]
pub trait Net: Clone + 'static {
    type Listener: NetListener<Stream = Self::Stream>;
    type Stream: NetStream;

    /// Bind and listen on `port` of `ip`, or of every local address.
    async fn listen(&self, ip: Option<IpAddr>, port: u16) -> Result<Self::Listener, ListenError>;

    /// Resolve the host and connect. Silence ends with `TimedOut` after 21 s.
    async fn connect(&self, address: &ServerAddress) -> Result<Self::Stream, ConnectError>;
}

/// A bound, listening port. Dropping it frees the port.
#[expect(
    async_fn_in_trait,
    reason = "single-threaded by design; no Send bound is wanted"
)]
pub trait NetListener: 'static {
    type Stream: NetStream;

    async fn accept(&self) -> io::Result<(Self::Stream, SocketAddr)>;
}

/// An established connection, split into its two directions. Dropping both halves with unread input resets it.
pub trait NetStream: 'static {
    type Read: NetRead;
    type Write: NetWrite;

    fn into_split(self) -> (Self::Read, Self::Write);
}

#[expect(
    async_fn_in_trait,
    reason = "single-threaded by design; no Send bound is wanted"
)]
pub trait NetRead: 'static {
    /// Bytes read into `buf`; zero at the end of the stream.
    async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize>;
}

#[expect(
    async_fn_in_trait,
    reason = "single-threaded by design; no Send bound is wanted"
)]
pub trait NetWrite: 'static {
    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Send FIN after everything written.
    async fn shutdown(&mut self) -> io::Result<()>;

    /// Give this half up so that the connection ends with RST once the other half is dropped too. A network that cannot
    /// do that sends FIN.
    fn abort(self)
    where
        Self: Sized,
    {
    }
}
