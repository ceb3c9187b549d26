//! The network seam over `turmoil::net`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use turmoil::net::{TcpListener, TcpStream};

use crate::driver::net::{Net, NetListener, NetRead, NetStream, NetWrite};
use crate::instance::io::{ConnectError, ListenError};
use crate::sim::kernel::Kernel;
use crate::sim::world::{CONNECT_DEADLINE, SystemId};
use crate::types::ServerAddress;

use super::Reference;

/// The network as seen from one system.
#[derive(Clone)]
pub struct ReferenceNet {
    pub(super) kernel: Reference,
    pub(super) system: SystemId,
}

pub struct ReferenceListener(TcpListener);

pub struct ReferenceStream(TcpStream);

pub struct ReferenceRead(OwnedReadHalf);

pub struct ReferenceWrite(OwnedWriteHalf);

impl Net for ReferenceNet {
    type Listener = ReferenceListener;
    type Stream = ReferenceStream;

    async fn listen(&self, ip: Option<IpAddr>, port: u16) -> Result<ReferenceListener, ListenError> {
        let local = |ip: IpAddr| ip.is_unspecified() || ip == IpAddr::from(self.system.ip());
        if !ip.is_none_or(local) {
            return Err(ListenError::AddressNotLocal);
        }
        // turmoil binds every address or none.
        match TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await {
            Ok(listener) => Ok(ReferenceListener(listener)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(ListenError::AddressInUse),
            Err(error) => Err(ListenError::Other(error.to_string())),
        }
    }

    async fn connect(&self, address: &ServerAddress) -> Result<ReferenceStream, ConnectError> {
        let deadline = self.kernel.now() + CONNECT_DEADLINE;
        let ip = self
            .kernel
            .0
            .names
            .lookup(address.host())
            .ok_or(ConnectError::NameNotFound)?;
        if !ip.is_ipv4() {
            return Err(ConnectError::Unreachable);
        }
        let peer = if ip.is_loopback() {
            Some(self.system)
        } else {
            self.kernel.system_of(ip)
        };
        if let Some(peer) = peer {
            let connecting = TcpStream::connect(SocketAddr::new(ip, address.port()));
            match tokio::time::timeout(CONNECT_DEADLINE, connecting).await {
                Ok(Ok(stream)) => return Ok(ReferenceStream(stream)),
                // turmoil answers a connect into a partition with a refusal; on a network nobody would.
                Ok(Err(_)) if !self.kernel.is_silent(self.system, peer) => return Err(ConnectError::Refused),
                Ok(Err(_)) | Err(_) => {}
            }
        }
        self.kernel.sleep_until(deadline).await;
        Err(ConnectError::TimedOut)
    }
}

impl NetListener for ReferenceListener {
    type Stream = ReferenceStream;

    async fn accept(&self) -> io::Result<(ReferenceStream, SocketAddr)> {
        let (stream, from) = self.0.accept().await?;
        Ok((ReferenceStream(stream), from))
    }
}

impl NetStream for ReferenceStream {
    type Read = ReferenceRead;
    type Write = ReferenceWrite;

    fn into_split(self) -> (ReferenceRead, ReferenceWrite) {
        let (read, write) = self.0.into_split();
        (ReferenceRead(read), ReferenceWrite(write))
    }
}

impl NetRead for ReferenceRead {
    async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf).await
    }
}

impl NetWrite for ReferenceWrite {
    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }
}
