//! The disk seam of a simulated system: files in memory that know what power loss would take away, and faults.
//!
//! Every system has one volume, shared by its processes through handles. A write changes what is read at once; until a
//! sync it can be undone, block by block. Losing power undoes what was not synced, names included, and may tear what was
//! being written. Killing a process makes its handle dead: the volume keeps everything, as an operating system's cache
//! does. Ours rather than `turmoil-fs`, which shows the old content of a file that was removed and created again, reads
//! back what was truncated, and cannot fail or fake a sync.

mod content;
mod volume;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use tokio::sync::Notify;

use crate::driver::disk::{Disk, DiskFile};

use super::counters::Effect;
use crate::sim::fault::Crash;
use volume::{Inode, Volume};

pub use volume::SECTOR;

/// What can go wrong with a system's disk. Each is injected by `World::break_disk` and lasts until it is healed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskFault {
    /// The next `count` syncs of files whose name contains `file` fail and harden nothing; what was written stays
    /// readable.
    FailSyncs { count: u32, file: String },
    /// Syncs of files whose name contains `file`, and, if it is empty, of names, report success and harden nothing.
    LyingSync { file: String },
    /// In the `write`th sync from now on (of files or of names, from 1) the handle that asked for it goes dead and its
    /// process must go down as `how` says; `kept` tells whether that sync hardens anything before.
    CrashAt { write: u32, kept: bool, how: Crash },
    /// The next `count` operations (every one, if `None`) on files whose name contains `file` fail; an empty text is
    /// part of every name.
    IoErrors { count: Option<u32>, file: String },
    /// Every operation on files whose name contains `file` takes this much longer.
    Slow { extra: Duration, file: String },
    /// Writes to files whose name contains `file` fail with `StorageFull` if they would take all files of the disk beyond
    /// this many bytes.
    Full { capacity_bytes: u64, file: String },
    /// The next power loss leaves part of each unsynced write to files whose name contains `file` behind, in whole sectors
    /// of `SECTOR` bytes.
    TornWrites { keep: Torn, file: String },
    /// The bits of `mask` in the byte at `offset` of `file` are flipped now, on the medium. Healing does not undo it.
    BitRot { file: String, offset: u64, mask: u8 },
    /// The sector of `SECTOR` bytes around `offset` of `file` cannot be read until something is written over all of it.
    /// Healing does not mend it.
    BadSector { file: String, offset: u64 },
}

/// Which of a file's unsynced sectors survive a torn power loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Torn {
    /// The first few, in file order: at least one and not all, if there are two or more.
    Prefix,
    /// Each by the toss of a coin: writes reach the medium out of order.
    Scattered,
}

/// A handle of one process on its system's disk. Dead after the process was killed: everything fails.
#[derive(Clone)]
pub struct SimDisk {
    volume: SystemDisk,
    dead: Arc<AtomicBool>,
    crash: Arc<Tripwire>,
}

/// Tells a process that it goes down in the middle of what it asked of its disk.
#[derive(Default)]
struct Tripwire {
    how: Mutex<Option<Crash>>,
    tripped: Notify,
}

/// An open file.
pub struct SimFile {
    disk: SimDisk,
    name: String,
    inode: Arc<Mutex<Inode>>,
}

impl Disk for SimDisk {
    type File = SimFile;

    fn open(&self, name: &str) -> io::Result<SimFile> {
        let inode = self.operate(name)?.open(name);
        self.file(name, inode)
    }

    fn create(&self, name: &str) -> io::Result<SimFile> {
        let inode = self.operate(name)?.create(name);
        self.file(name, inode)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.operate(name)?.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut volume = self.operate("")?;
        match volume.crash_due() {
            None => volume.sync_names(),
            Some((kept, how)) => {
                if kept {
                    volume.sync_names();
                }
                return Err(self.go_down(how));
            }
        }
        Ok(())
    }

    fn is_cut_off(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    fn latency(&self, name: impl FnOnce() -> String, bytes: usize) -> Duration {
        self.volume.lock().latency(name, bytes)
    }
}

impl SimDisk {
    /// Waits until a fault takes the process down in the middle of a write. It must not go on after that.
    pub async fn crashed(&self) -> Crash {
        loop {
            if let Some(how) = *lock(&self.crash.how) {
                return how;
            }
            self.crash.tripped.notified().await;
        }
    }

    /// The process goes down: its handle is dead from now on.
    fn go_down(&self, how: Crash) -> io::Error {
        self.dead.store(true, Ordering::Relaxed);
        *lock(&self.crash.how) = Some(how);
        self.crash.tripped.notify_one();
        io::Error::other("the process went down in this write")
    }

    /// The volume, unless the handle is dead or an I/O error strikes the operation.
    fn operate(&self, name: &str) -> io::Result<MutexGuard<'_, Volume>> {
        if self.dead.load(Ordering::Relaxed) {
            return Err(io::Error::other(format!(
                "{name}: the process that held this disk was killed"
            )));
        }
        let mut volume = self.volume.lock();
        volume.strike(name)?;
        Ok(volume)
    }

    fn file(&self, name: &str, inode: io::Result<Arc<Mutex<Inode>>>) -> io::Result<SimFile> {
        inode.map(|inode| SimFile {
            disk: self.clone(),
            name: name.to_owned(),
            inode,
        })
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        let _volume = self.disk.operate(&self.name)?;
        Ok(lock(&self.inode).len())
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let _volume = self.disk.operate(&self.name)?;
        lock(&self.inode).read(&self.name, buf, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut volume = self.disk.operate(&self.name)?;
        let end = offset
            .checked_add(bytes.len() as u64)
            .filter(|end| *end <= volume::FILE_BYTES_MAX);
        let end = end.ok_or_else(|| too_large(&self.name))?;
        let mut inode = lock(&self.inode);
        let growth = end.saturating_sub(inode.len());
        drop(inode);
        volume.reserve(&self.name, growth)?;
        inode = lock(&self.inode);
        inode.write(bytes, offset);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut volume = self.disk.operate(&self.name)?;
        if len > volume::FILE_BYTES_MAX {
            return Err(too_large(&self.name));
        }
        let growth = len.saturating_sub(lock(&self.inode).len());
        volume.reserve(&self.name, growth)?;
        lock(&self.inode).set_len(len);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut volume = self.disk.operate(&self.name)?;
        let crash = volume.crash_due();
        if crash.is_none_or(|(kept, _)| kept) && volume.sync_file(&self.name)? {
            lock(&self.inode).harden();
        }
        match crash {
            None => Ok(()),
            Some((_, how)) => Err(self.disk.go_down(how)),
        }
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk")
            .field("dead", &self.dead)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The disk of one system, as the world holds it.
#[derive(Clone)]
pub struct SystemDisk(Arc<Mutex<Volume>>);

impl SystemDisk {
    /// An empty disk whose operations take between `latency.0` and `latency.1`, drawn from `rng`.
    pub fn new(latency: (Duration, Duration), rng: ChaCha8Rng) -> Self {
        SystemDisk(Arc::new(Mutex::new(Volume::new(latency, rng))))
    }

    /// A disk with the same files as they can be read now, without latency or faults.
    pub fn copy(&self) -> SystemDisk {
        SystemDisk(Arc::new(Mutex::new(self.lock().copy())))
    }

    /// A handle, and the switch that makes it dead.
    pub fn handle(&self) -> (SimDisk, DeadSwitch) {
        let dead = Arc::new(AtomicBool::new(false));
        let disk = SimDisk {
            volume: self.clone(),
            dead: dead.clone(),
            crash: Arc::default(),
        };
        (disk, DeadSwitch(dead))
    }

    /// Power is lost: what was not hardened is undone, and torn where a fault says so.
    pub fn lose_power(&self) {
        self.lock().lose_power();
    }

    /// Puts a fault into force; its number, for `heal`. Flipping a bit fails if the file has no such byte.
    pub fn inject(&self, fault: DiskFault) -> io::Result<(u64, Effect)> {
        self.lock().inject(fault)
    }

    /// Ends a fault; whether it was in force.
    pub fn heal(&self, id: u64) -> bool {
        self.lock().heal(id)
    }

    /// Names and lengths of the files, in order of name.
    pub fn files(&self) -> Vec<(String, u64)> {
        self.lock().files()
    }

    pub(super) fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    pub(super) fn faults_felt(&self) -> u64 {
        self.lock().faults_felt()
    }

    fn lock(&self) -> MutexGuard<'_, Volume> {
        lock(&self.0)
    }
}

/// Makes the handle it came with dead, for ever.
#[derive(Debug, Clone)]
pub struct DeadSwitch(Arc<AtomicBool>);

impl DeadSwitch {
    pub fn kill(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn too_large(name: &str) -> io::Error {
    let limit = volume::FILE_BYTES_MAX;
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        format!("{name}: a file holds at most {limit} bytes"),
    )
}

/// Locks in spite of poison: a panic elsewhere has failed the run already, and teardown must not panic again.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
