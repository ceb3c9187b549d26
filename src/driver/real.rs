//! The four seams over the real world: `tokio::net`, `std::fs`, the system's clocks and its randomness.
//!
//! [`StdDisk`] works on the calling thread. The stores above it are synchronous and belong to one instance, so an
//! instance that waits for its disk waits as a whole; run instances that must not wait for each other on threads of
//! their own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep_until, timeout};

use crate::driver::clock::Clock;
use crate::driver::disk::{Disk, DiskFile};
use crate::driver::entropy::Entropy;
use crate::driver::net::{Net, NetListener, NetRead, NetStream, NetWrite};
use crate::instance::io::{ConnectError, ListenError};
use crate::types::{Now, ServerAddress, Timestamp, WallTime};

/// When a connect without an answer is given up: what Windows' three SYNs take. Source: third-party.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(21);

/// TCP as the operating system does it.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioNet;

impl Net for TokioNet {
    type Listener = TcpListener;
    type Stream = TcpStream;

    async fn listen(&self, ip: Option<IpAddr>, port: u16) -> Result<TcpListener, ListenError> {
        let ip = ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        TcpListener::bind((ip, port))
            .await
            .map_err(|error| match error.kind() {
                io::ErrorKind::AddrInUse => ListenError::AddressInUse,
                io::ErrorKind::AddrNotAvailable => ListenError::AddressNotLocal,
                _ => ListenError::Other(format!("cannot listen on {ip}, port {port}: {error}")),
            })
    }

    async fn connect(&self, address: &ServerAddress) -> Result<TcpStream, ConnectError> {
        let connect = async {
            let found = tokio::net::lookup_host((address.host(), address.port()))
                .await
                .map_err(|_| ConnectError::NameNotFound)?;
            let mut last = ConnectError::NameNotFound;
            for address in found {
                match TcpStream::connect(address).await {
                    Ok(stream) => {
                        // Small messages that are waited for: Nagle's algorithm would only delay them.
                        let _ = stream.set_nodelay(true);
                        return Ok(stream);
                    }
                    Err(error) => last = connect_error(&error),
                }
            }
            Err(last)
        };
        timeout(CONNECT_TIMEOUT, connect)
            .await
            .unwrap_or(Err(ConnectError::TimedOut))
    }
}

fn connect_error(error: &io::Error) -> ConnectError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => ConnectError::Refused,
        io::ErrorKind::TimedOut => ConnectError::TimedOut,
        _ => ConnectError::Unreachable,
    }
}

impl NetListener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, from) = TcpListener::accept(self).await?;
        let _ = stream.set_nodelay(true);
        Ok((stream, from))
    }
}

impl NetStream for TcpStream {
    type Read = OwnedReadHalf;
    type Write = OwnedWriteHalf;

    fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        TcpStream::into_split(self)
    }
}

impl NetRead for OwnedReadHalf {
    async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        AsyncReadExt::read(self, buf).await
    }
}

impl NetWrite for OwnedWriteHalf {
    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        AsyncWriteExt::write_all(self, bytes).await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        AsyncWriteExt::shutdown(self).await
    }

    fn abort(self) {
        // A socket that refuses it is closed with FIN instead, which the peer takes for an end just as well.
        let _ = self.as_ref().set_zero_linger();
        // Dropping it would send a FIN first.
        self.forget();
    }
}

/// A directory of the real file system.
#[derive(Debug, Clone)]
pub struct StdDisk {
    root: PathBuf,
}

impl StdDisk {
    /// The files under `root`, which is created if absent.
    pub fn new(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        fs::create_dir_all(&root)?;
        Ok(StdDisk { root })
    }

    fn path(&self, name: &str) -> PathBuf {
        // `join` would let an absolute name out of the root.
        name.split('/')
            .filter(|part| !part.is_empty() && *part != "." && *part != "..")
            .fold(self.root.clone(), |path, part| path.join(part))
    }
}

impl Disk for StdDisk {
    type File = StdFile;

    fn open(&self, name: &str) -> io::Result<StdFile> {
        let file = OpenOptions::new().read(true).write(true).open(self.path(name))?;
        Ok(StdFile(Mutex::new(file)))
    }

    fn create(&self, name: &str) -> io::Result<StdFile> {
        let path = self.path(name);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        Ok(StdFile(Mutex::new(file)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        sync_tree(&self.root)
    }

    /// Real disks take their time by themselves.
    fn latency(&self, _name: impl FnOnce() -> String, _bytes: usize) -> Duration {
        Duration::ZERO
    }
}

/// Sync a directory and those below it; there are few.
fn sync_tree(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        }
    }
    // Windows opens no directories and needs no sync of them.
    if cfg!(unix) {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

/// An open file of the real file system. The lock pairs each seek with its read or write.
#[derive(Debug)]
pub struct StdFile(Mutex<File>);

impl StdFile {
    fn with<T>(&self, act: impl FnOnce(&mut File) -> io::Result<T>) -> io::Result<T> {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl DiskFile for StdFile {
    fn len(&self) -> io::Result<u64> {
        self.with(|file| Ok(file.metadata()?.len()))
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.with(|file| {
            file.seek(SeekFrom::Start(offset))?;
            file.read_exact(buf)
        })
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(|file| {
            file.seek(SeekFrom::Start(offset))?;
            file.write_all(bytes)
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|file| file.set_len(len))
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|file| file.sync_all())
    }
}

/// The system's clocks; monotonic time counts from its creation.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the seam to the real clock")]
    #[expect(clippy::new_without_default, reason = "two of them differ")]
    pub fn new() -> Self {
        SystemClock {
            started: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the seam to the real clock")]
    fn now(&self) -> Now {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            at: Timestamp::ZERO + self.started.elapsed(),
            wall: WallTime::from_unix_millis(0) + since_epoch,
        }
    }

    async fn sleep_until(&self, at: Timestamp) {
        match self.started.checked_add(at.as_duration()) {
            Some(instant) => sleep_until(instant.into()).await,
            None => std::future::pending().await,
        }
    }
}

/// The operating system's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    /// # Panics
    /// If the operating system has no randomness to give: going on with a guessable seed would be worse.
    fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        rustls::crypto::ring::default_provider()
            .secure_random
            .fill(&mut seed)
            .expect("the operating system gives randomness");
        seed
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;

    use super::*;

    /// A directory of this test alone, removed at the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("mirrorlab-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn block_on<T>(test: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, test)
    }

    #[test]
    fn files_round_trip_and_stay_inside_the_root() {
        let scratch = Scratch::new("disk");
        let disk = StdDisk::new(&scratch.0).unwrap();
        let file = disk.create("a/b.ldf").unwrap();
        file.write_all_at(b"log", 4).unwrap();
        file.sync().unwrap();
        disk.sync_dir().unwrap();
        assert_eq!(
            disk.create("a/b.ldf").unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        let again = disk.open("a/b.ldf").unwrap();
        let mut bytes = [9; 7];
        again.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"\0\0\0\0log");
        let beyond = again.read_exact_at(&mut bytes, 1).unwrap_err();
        assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof);
        again.set_len(5).unwrap();
        assert_eq!(file.len().unwrap(), 5);
        assert_eq!(disk.path("../../etc/passwd"), scratch.0.join("etc/passwd"));
        disk.remove("a/b.ldf").unwrap();
        assert_eq!(disk.open("a/b.ldf").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn loopback_carries_bytes_and_names_its_errors() {
        block_on(async {
            let localhost = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
            let listener = TokioNet.listen(localhost, 0).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let taken = TokioNet.listen(localhost, port).await;
            assert_eq!(taken.unwrap_err(), ListenError::AddressInUse);

            let address = ServerAddress::new("127.0.0.1", port);
            let connected = TokioNet.connect(&address).await.unwrap();
            let (accepted, _) = NetListener::accept(&listener).await.unwrap();
            let (mut near_read, mut near_write) = NetStream::into_split(connected);
            let (mut far_read, far_write) = NetStream::into_split(accepted);
            NetWrite::write_all(&mut near_write, b"ping").await.unwrap();
            let mut buffer = [0; 16];
            assert_eq!(NetRead::read(&mut far_read, &mut buffer).await.unwrap(), 4);
            far_write.abort();
            drop(far_read);
            let reset = NetRead::read(&mut near_read, &mut buffer).await;
            assert_eq!(reset.unwrap_err().kind(), io::ErrorKind::ConnectionReset);

            drop(listener);
            assert_eq!(
                TokioNet.connect(&address).await.unwrap_err(),
                ConnectError::Refused
            );
            let nowhere = ServerAddress::new("no-such-system.invalid", 1);
            assert_eq!(
                TokioNet.connect(&nowhere).await.unwrap_err(),
                ConnectError::NameNotFound
            );
        });
    }

    #[test]
    fn clocks_advance_and_seeds_differ() {
        block_on(async {
            let clock = SystemClock::new();
            let before = clock.now();
            clock.sleep_until(before.at + Duration::from_millis(5)).await;
            assert!(clock.now().at.since(before.at) >= Duration::from_millis(5));
            assert!(before.wall > WallTime::from_unix_secs(1_700_000_000));
        });
        assert_ne!(OsEntropy.seed(), OsEntropy.seed());
    }
}
