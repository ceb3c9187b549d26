//! A disk in memory for tests: keeps what was synced and what was not apart, crashes, tears, fails.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::driver::disk::{BadSector, Disk, DiskFile};

/// The unit in which an unsynced write may survive a crash.
const SECTOR: usize = 512;

#[derive(Debug, Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<String, Arc<Mutex<Inode>>>,
    durable_names: BTreeMap<String, Arc<Mutex<Inode>>>,
    faults: Arc<Mutex<Faults>>,
    latency: Duration,
}

#[derive(Debug, Default)]
struct Faults {
    /// Operations that change something, until one "loses power": it and all after it fail.
    operations_left: Option<u64>,
    failing_syncs: u32,
    failing_writes: u32,
    full: bool,
    syncs: u64,
}

#[derive(Debug, Clone, Default)]
struct Inode {
    view: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
    /// Places that cannot be read until something is written there.
    bad: BTreeSet<usize>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl MemoryDisk {
    /// Wait this long before each operation.
    pub fn slow(&self, latency: Duration) {
        lock(&self.0).latency = latency;
    }

    pub fn fail_syncs(&self, count: u32) {
        self.faults(|f| f.failing_syncs = count);
    }

    pub fn fail_writes(&self, count: u32) {
        self.faults(|f| f.failing_writes = count);
    }

    pub fn fill_up(&self, full: bool) {
        self.faults(|f| f.full = full);
    }

    /// Lose power at the `n`th change from now.
    pub fn lose_power_after(&self, n: u64) {
        self.faults(|f| f.operations_left = Some(n));
    }

    pub fn has_lost_power(&self) -> bool {
        self.faults(|f| f.operations_left == Some(0))
    }

    pub fn syncs(&self) -> u64 {
        self.faults(|f| f.syncs)
    }

    /// The disk after a power loss: what was synced, and of everything else what `keep`, asked once for each, lets
    /// through: created and removed names, lengths, and the sectors of every write.
    pub fn after_power_loss(&self, mut keep: impl FnMut() -> bool) -> MemoryDisk {
        let state = lock(&self.0);
        let every_name: BTreeSet<&String> = state.names.keys().chain(state.durable_names.keys()).collect();
        let mut names = BTreeMap::new();
        for name in every_name {
            let (now, durable) = (state.names.get(name), state.durable_names.get(name));
            let unchanged = match (now, durable) {
                (Some(now), Some(durable)) => Arc::ptr_eq(now, durable),
                _ => false,
            };
            let survivor = if unchanged || !keep() { durable } else { now };
            if let Some(inode) = survivor {
                let mut inode = lock(inode).clone();
                inode.tear(&mut keep);
                names.insert(name.clone(), Arc::new(Mutex::new(inode)));
            }
        }
        MemoryDisk(Arc::new(Mutex::new(State {
            durable_names: names.clone(),
            names,
            ..State::default()
        })))
    }

    /// Change a file's bytes behind everybody's back.
    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let inode = lock(&self.0).names.get(name).cloned().expect(name);
        let mut inode = lock(&inode);
        change(&mut inode.view);
        inode.durable = inode.view.clone();
        inode.pending.clear();
    }

    /// The byte cannot be read until it is written anew.
    pub fn spoil(&self, name: &str, at: usize) {
        let inode = lock(&self.0).names.get(name).cloned().expect(name);
        lock(&inode).bad.insert(at);
    }

    pub fn length(&self, name: &str) -> usize {
        let inode = lock(&self.0).names.get(name).cloned().expect(name);
        lock(&inode).view.len()
    }

    pub fn names(&self) -> Vec<String> {
        lock(&self.0).names.keys().cloned().collect()
    }

    fn faults<T>(&self, act: impl FnOnce(&mut Faults) -> T) -> T {
        act(&mut lock(&lock(&self.0).faults))
    }

    fn file(&self, inode: Arc<Mutex<Inode>>) -> MemoryFile {
        let faults = lock(&self.0).faults.clone();
        MemoryFile { inode, faults }
    }
}

impl Inode {
    fn tear(&mut self, keep: &mut impl FnMut() -> bool) {
        let mut bytes = std::mem::take(&mut self.durable);
        for change in self.pending.drain(..) {
            match change {
                Change::Length(length) if keep() => bytes.resize(length, 0),
                Change::Length(_) => {}
                Change::Write(offset, written) => {
                    for (i, sector) in written.chunks(SECTOR).enumerate() {
                        if keep() {
                            put(&mut bytes, offset + i * SECTOR, sector);
                        }
                    }
                }
            }
        }
        self.view = bytes.clone();
        self.durable = bytes;
    }
}

impl Faults {
    fn change(&mut self) -> io::Result<()> {
        match &mut self.operations_left {
            Some(0) => return Err(io::Error::other("the power is off")),
            Some(left) => *left -= 1,
            None => return Ok(()),
        }
        if self.operations_left == Some(0) {
            return Err(io::Error::other("the power went off"));
        }
        Ok(())
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn open(&self, name: &str) -> io::Result<MemoryFile> {
        let inode = lock(&self.0).names.get(name).cloned();
        inode
            .map(|inode| self.file(inode))
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create(&self, name: &str) -> io::Result<MemoryFile> {
        self.faults(Faults::change)?;
        let mut state = lock(&self.0);
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = Arc::<Mutex<Inode>>::default();
        state.names.insert(name.to_owned(), inode.clone());
        drop(state);
        Ok(self.file(inode))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.faults(Faults::change)?;
        let removed = lock(&self.0).names.remove(name);
        removed.map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.faults(Faults::change)?;
        let mut state = lock(&self.0);
        state.durable_names = state.names.clone();
        Ok(())
    }

    fn latency(&self, _name: impl FnOnce() -> String, _bytes: usize) -> Duration {
        lock(&self.0).latency
    }
}

#[derive(Debug)]
pub struct MemoryFile {
    inode: Arc<Mutex<Inode>>,
    faults: Arc<Mutex<Faults>>,
}

impl DiskFile for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.inode).view.len() as u64)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let inode = lock(&self.inode);
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        if inode.bad.iter().any(|at| (start..start + buf.len()).contains(at)) {
            return Err(BadSector.into());
        }
        let bytes = inode.view.get(start..start.saturating_add(buf.len()));
        buf.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut faults = lock(&self.faults);
        faults.change()?;
        let mut inode = lock(&self.inode);
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let mut written = bytes;
        let mut result = Ok(());
        if faults.full && offset + bytes.len() > inode.view.len() {
            // What a full disk does: a part may be written.
            written = &bytes[..bytes.len() / 2];
            result = Err(io::ErrorKind::StorageFull.into());
        } else if faults.failing_writes > 0 {
            faults.failing_writes -= 1;
            written = &bytes[..bytes.len() / 2];
            result = Err(io::Error::other("input/output error"));
        }
        let places = offset..offset + written.len();
        inode.bad.retain(|at| !places.contains(at));
        put(&mut inode.view, offset, written);
        inode.pending.push(Change::Write(offset, written.to_vec()));
        result
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        lock(&self.faults).change()?;
        let mut inode = lock(&self.inode);
        let length = usize::try_from(len).map_err(io::Error::other)?;
        inode.view.resize(length, 0);
        inode.pending.push(Change::Length(length));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut faults = lock(&self.faults);
        faults.change()?;
        faults.syncs += 1;
        if faults.failing_syncs > 0 {
            faults.failing_syncs -= 1;
            return Err(io::Error::other("input/output error"));
        }
        let mut inode = lock(&self.inode);
        inode.durable = inode.view.clone();
        inode.pending.clear();
        Ok(())
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    let end = offset + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(written);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
