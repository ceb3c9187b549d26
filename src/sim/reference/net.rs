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

pub struct ReferenceListener {
    listener: TcpListener,
    at: ReferenceNet,
}

pub struct ReferenceStream {
    stream: TcpStream,
    /// Where it begins and where it ends.
    from: ReferenceNet,
    to: Option<SystemId>,
}

pub struct ReferenceRead(OwnedReadHalf);

pub struct ReferenceWrite {
    half: OwnedWriteHalf,
    from: ReferenceNet,
    to: Option<SystemId>,
}

impl ReferenceNet {
    /// Something leaves for `to`; a cut in the way feels it.
    fn send(&self, to: Option<SystemId>) {
        if let Some(to) = to {
            self.kernel.send(self.system, to);
        }
    }
}

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
            Ok(listener) => Ok(ReferenceListener {
                listener,
                at: self.clone(),
            }),
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
            self.send(Some(peer));
            let connecting = TcpStream::connect(SocketAddr::new(ip, address.port()));
            match tokio::time::timeout(CONNECT_DEADLINE, connecting).await {
                Ok(Ok(stream)) => {
                    return Ok(ReferenceStream {
                        stream,
                        from: self.clone(),
                        to: Some(peer),
                    });
                }
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
        let (stream, peer) = self.listener.accept().await?;
        let stream = ReferenceStream {
            stream,
            from: self.at.clone(),
            to: self.at.kernel.system_of(peer.ip()),
        };
        Ok((stream, peer))
    }
}

impl NetStream for ReferenceStream {
    type Read = ReferenceRead;
    type Write = ReferenceWrite;

    fn into_split(self) -> (ReferenceRead, ReferenceWrite) {
        let (read, half) = self.stream.into_split();
        let write = ReferenceWrite {
            half,
            from: self.from,
            to: self.to,
        };
        (ReferenceRead(read), write)
    }
}

impl NetRead for ReferenceRead {
    async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf).await
    }
}

impl NetWrite for ReferenceWrite {
    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.from.send(self.to);
        self.half.write_all(bytes).await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.half.shutdown().await
    }
}
