//! The disk seam: named files with positioned reads and writes, sync that can fail, and a latency to wait out.

use std::fmt::Debug;
use std::io;
use std::time::Duration;

/// One directory of files on one system's disk. Names may hold `/`; they are created on demand.
///
/// Nothing survives power loss before `sync` of the file *and*, for new or removed names, `sync_dir` returned `Ok`.
pub trait Disk: Clone + Debug + 'static {
    type File: DiskFile;

    /// Open for reading and writing; `NotFound` if absent.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Create a new, empty file; `AlreadyExists` if present.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    fn remove(&self, name: &str) -> io::Result<()>;

    /// Make creations and removals durable.
    fn sync_dir(&self) -> io::Result<()>;

    /// How long the next operation of `bytes` on the file `name` takes, an empty one if it is about several; the driver waits it
    /// out before carrying the operation out. The name is asked for only where it matters.
    fn latency(&self, name: impl FnOnce() -> String, bytes: usize) -> Duration;

    /// Whether the process went down in the middle of an operation: its outcome must reach nobody.
    fn is_cut_off(&self) -> bool {
        false
    }
}

/// Why a read failed: the medium cannot give one of its sectors back. Anything else of the file can be read, and what is
/// written there anew can be, too.
///
/// Source: documented, message 823: operating system error 23, "Data error (cyclic redundancy check)".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("23(data error: cyclic redundancy check)")]
pub struct BadSector;

impl From<BadSector> for io::Error {
    fn from(error: BadSector) -> Self {
        io::Error::other(error)
    }
}

/// Whether an error is a [`BadSector`]. Elsewhere than on Windows an operating system does not tell it from other errors.
pub fn is_bad_sector(error: &io::Error) -> bool {
    let ours = error.get_ref().is_some_and(|inner| inner.is::<BadSector>());
    ours || cfg!(windows) && error.raw_os_error() == Some(23)
}

/// An open file. `Send + Sync` only because `redb` asks for it; used from one thread.
pub trait DiskFile: Debug + Send + Sync + 'static {
    fn len(&self) -> io::Result<u64>;

    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fill `buf` from `offset`; `UnexpectedEof` if the file ends before.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Make everything written so far durable.
    fn sync(&self) -> io::Result<()>;
}
