//! A network in memory for tests, on tokio's paused time, and a clock to go with it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::{Mutex, mpsc};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::driver::clock::Clock;
use crate::driver::net::{Net, NetListener, NetRead, NetStream, NetWrite};
use crate::instance::io::{ConnectError, ListenError};
use crate::types::{Now, ServerAddress, Timestamp, WallTime};

/// Run `test` on paused time inside a `LocalSet`.
pub fn on_paused_time<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, test)
}

/// The runtime's paused time, from the creation of the clock.
#[derive(Debug, Clone)]
pub struct PausedClock(Instant);

impl PausedClock {
    pub fn new() -> Self {
        PausedClock(Instant::now())
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Now {
        let at = Timestamp::ZERO + self.0.elapsed();
        let wall = WallTime::from_unix_secs(0) + self.0.elapsed();
        Now { at, wall }
    }

    async fn sleep_until(&self, at: Timestamp) {
        sleep_until(self.0 + at.as_duration()).await;
    }
}

/// Ports of one machine under any host name but `unknown`. Nothing takes time; a port in `silent` never answers.
#[derive(Clone, Default)]
pub struct MemoryNet(Rc<RefCell<Ports>>);

#[derive(Default)]
struct Ports {
    listening: BTreeMap<u16, mpsc::UnboundedSender<DuplexStream>>,
    silent: BTreeSet<u16>,
    attempts: Vec<(Instant, u16)>,
}

impl MemoryNet {
    pub fn silence(&self, port: u16) {
        self.0.borrow_mut().silent.insert(port);
    }

    /// When which port was tried, in milliseconds of `clock`.
    pub fn attempts(&self, clock: &PausedClock) -> Vec<(u128, u16)> {
        let ports = self.0.borrow();
        let attempts = ports.attempts.iter();
        attempts
            .map(|(at, port)| (at.duration_since(clock.0).as_millis(), *port))
            .collect()
    }
}

impl Net for MemoryNet {
    type Listener = MemoryListener;
    type Stream = DuplexStream;

    async fn listen(&self, _ip: Option<IpAddr>, port: u16) -> Result<MemoryListener, ListenError> {
        let mut ports = self.0.borrow_mut();
        if ports.listening.contains_key(&port) {
            return Err(ListenError::AddressInUse);
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        ports.listening.insert(port, sender);
        Ok(MemoryListener {
            net: self.clone(),
            port,
            incoming: Mutex::new(receiver),
        })
    }

    async fn connect(&self, address: &ServerAddress) -> Result<DuplexStream, ConnectError> {
        let attempt = (Instant::now(), address.port());
        self.0.borrow_mut().attempts.push(attempt);
        if address.host() == "unknown" {
            return Err(ConnectError::NameNotFound);
        }
        if self.0.borrow().silent.contains(&address.port()) {
            sleep(Duration::from_secs(21)).await;
            return Err(ConnectError::TimedOut);
        }
        let (near, far) = tokio::io::duplex(64 * 1024);
        let ports = self.0.borrow();
        let listener = ports
            .listening
            .get(&address.port())
            .ok_or(ConnectError::Refused)?;
        listener.send(far).map_err(|_| ConnectError::Refused)?;
        Ok(near)
    }
}

pub struct MemoryListener {
    net: MemoryNet,
    port: u16,
    incoming: Mutex<mpsc::UnboundedReceiver<DuplexStream>>,
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        self.net.0.borrow_mut().listening.remove(&self.port);
    }
}

impl NetListener for MemoryListener {
    type Stream = DuplexStream;

    async fn accept(&self) -> io::Result<(DuplexStream, SocketAddr)> {
        let stream = self.incoming.lock().await.recv().await;
        let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000));
        stream
            .map(|stream| (stream, from))
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl NetStream for DuplexStream {
    type Read = ReadHalf<DuplexStream>;
    type Write = WriteHalf<DuplexStream>;

    fn into_split(self) -> (Self::Read, Self::Write) {
        tokio::io::split(self)
    }
}

impl NetRead for ReadHalf<DuplexStream> {
    async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        AsyncReadExt::read(self, buf).await
    }
}

impl NetWrite for WriteHalf<DuplexStream> {
    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        AsyncWriteExt::write_all(self, bytes).await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        AsyncWriteExt::shutdown(self).await
    }
}
