//! The medium: names and files with what is on it already and what a power loss would undo, and the faults in force.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use super::super::counters::Effect;
use super::content::{BLOCK, Content};
use super::{DiskFault, Torn, lock};
use crate::driver::disk::BadSector;
use crate::sim::fault::Crash;

/// The unit a medium writes whole or not at all.
pub const SECTOR: usize = 512;

/// No file grows beyond this; a write there is a mistake of the caller and fails.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 32;

pub(super) struct Volume {
    names: BTreeMap<String, Arc<Mutex<Inode>>>,
    durable_names: BTreeMap<String, Arc<Mutex<Inode>>>,
    faults: BTreeMap<u64, (DiskFault, Effect)>,
    next_fault: u64,
    /// Felt by faults that have ended.
    felt_before: u64,
    latency: (Duration, Duration),
    rng: ChaCha8Rng,
    pub(super) syncs: u64,
}

impl Volume {
    pub(super) fn new(latency: (Duration, Duration), rng: ChaCha8Rng) -> Self {
        Volume {
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            faults: BTreeMap::new(),
            next_fault: 0,
            felt_before: 0,
            latency,
            rng,
            syncs: 0,
        }
    }

    /// The same files as they are read now, all of them synced, without latency or faults.
    pub(super) fn copy(&self) -> Volume {
        let file = |(name, inode): (&String, &Arc<Mutex<Inode>>)| {
            let inode = lock(inode);
            let mut copy = Inode {
                view: inode.view.clone(),
                bad: inode.bad.clone(),
                ..Inode::default()
            };
            copy.harden();
            (name.clone(), Arc::new(Mutex::new(copy)))
        };
        let names: BTreeMap<_, _> = self.names.iter().map(file).collect();
        Volume {
            durable_names: names.clone(),
            names,
            ..Volume::new((Duration::ZERO, Duration::ZERO), self.rng.clone())
        }
    }

    pub(super) fn open(&self, name: &str) -> io::Result<Arc<Mutex<Inode>>> {
        self.names.get(name).cloned().ok_or_else(|| missing(name))
    }

    pub(super) fn create(&mut self, name: &str) -> io::Result<Arc<Mutex<Inode>>> {
        if self.names.contains_key(name) {
            let text = format!("{name}: a file of this name exists");
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        let inode = Arc::new(Mutex::new(Inode::default()));
        self.names.insert(name.to_owned(), inode.clone());
        Ok(inode)
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        self.names.remove(name).map(drop).ok_or_else(|| missing(name))
    }

    pub(super) fn sync_names(&mut self) {
        self.syncs += 1;
        if !self.lies("") {
            self.durable_names = self.names.clone();
        }
    }

    /// Whether the file is to be hardened; an error if this sync fails.
    pub(super) fn sync_file(&mut self, name: &str) -> io::Result<bool> {
        self.syncs += 1;
        for (fault, effect) in self.faults.values_mut() {
            if let DiskFault::FailSyncs { count, file } = fault
                && *count > 0
                && name.contains(file.as_str())
            {
                *count -= 1;
                effect.hit();
                return Err(io::Error::other(format!("{name}: sync failed (disk fault)")));
            }
        }
        Ok(!self.lies(name))
    }

    /// Counts a durable write; whether the process goes down in it, and how, and whether the write is kept.
    pub(super) fn crash_due(&mut self) -> Option<(bool, Crash)> {
        for (fault, effect) in self.faults.values_mut() {
            let DiskFault::CrashAt { write, kept, how } = fault else {
                continue;
            };
            *write = write.saturating_sub(1);
            if *write == 0 && !effect.took_effect() {
                effect.hit();
                return Some((*kept, *how));
            }
        }
        None
    }

    fn lies(&self, name: &str) -> bool {
        let lying = self.faults.values().find(
            |(fault, _)| matches!(fault, DiskFault::LyingSync { file } if name.contains(file.as_str())),
        );
        lying.inspect(|(_, effect)| effect.hit()).is_some()
    }

    /// Fails the operation on `name` if an I/O error is due.
    pub(super) fn strike(&mut self, name: &str) -> io::Result<()> {
        for (fault, effect) in self.faults.values_mut() {
            let DiskFault::IoErrors { count, file } = fault else {
                continue;
            };
            if *count == Some(0) || !name.contains(file.as_str()) {
                continue;
            }
            if let Some(count) = count {
                *count -= 1;
            }
            effect.hit();
            return Err(io::Error::other(format!("{name}: I/O error (disk fault)")));
        }
        Ok(())
    }

    /// Fails if `growth` more bytes do not fit.
    pub(super) fn reserve(&mut self, name: &str, growth: u64) -> io::Result<()> {
        if growth == 0 {
            return Ok(());
        }
        for (fault, effect) in self.faults.values() {
            let DiskFault::Full { capacity_bytes, file } = fault else {
                continue;
            };
            if !name.contains(file.as_str()) {
                continue;
            }
            let used: u64 = self.names.values().map(|inode| lock(inode).len()).sum();
            if used.saturating_add(growth) > *capacity_bytes {
                effect.hit();
                let text =
                    format!("{name}: {growth} more bytes do not fit, {used} of {capacity_bytes} are used");
                return Err(io::Error::new(io::ErrorKind::StorageFull, text));
            }
        }
        Ok(())
    }

    /// Between the two bounds, plus a microsecond for each KiB, plus what slowness adds.
    pub(super) fn latency(&mut self, name: impl FnOnce() -> String, bytes: usize) -> Duration {
        let (least, most) = self.latency;
        let width = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX);
        let drawn = if width == 0 {
            0
        } else {
            self.rng.next_u64() % width.saturating_add(1)
        };
        let mut latency = least + Duration::from_micros(drawn) + Duration::from_micros(bytes as u64 / 1024);
        let name = LazyCell::new(name);
        for (fault, effect) in self.faults.values() {
            if let DiskFault::Slow { extra, file } = fault
                && name.contains(file.as_str())
            {
                effect.hit();
                latency += *extra;
            }
        }
        latency
    }

    pub(super) fn lose_power(&mut self) {
        self.names = self.durable_names.clone();
        for (name, inode) in &self.names {
            let torn = self.faults.values().find_map(|(fault, effect)| match fault {
                DiskFault::TornWrites { keep, file } if name.contains(file.as_str()) => Some((*keep, effect)),
                _ => None,
            });
            let mut inode = lock(inode);
            match torn {
                Some((keep, effect)) => {
                    if inode.tear(keep, &mut self.rng) {
                        effect.hit();
                    }
                }
                None => inode.undo(),
            }
        }
    }

    pub(super) fn inject(&mut self, fault: DiskFault) -> io::Result<(u64, Effect)> {
        let effect = Effect::default();
        if let DiskFault::BitRot { file, offset, mask } = &fault {
            let inode = self.open(file)?;
            lock(&inode).rot(file, *offset, *mask)?;
            effect.hit();
        }
        if let DiskFault::BadSector { file, offset } = &fault {
            let inode = self.open(file)?;
            lock(&inode).spoil(file, *offset, effect.clone())?;
        }
        let id = self.next_fault;
        self.next_fault += 1;
        self.faults.insert(id, (fault, effect.clone()));
        Ok((id, effect))
    }

    pub(super) fn heal(&mut self, id: u64) -> bool {
        let healed = self.faults.remove(&id);
        self.felt_before += healed.as_ref().map_or(0, |(_, effect)| effect.hits());
        healed.is_some()
    }

    pub(super) fn faults_felt(&self) -> u64 {
        self.felt_before + self.faults.values().map(|(_, effect)| effect.hits()).sum::<u64>()
    }

    pub(super) fn files(&self) -> Vec<(String, u64)> {
        let file = |(name, inode): (&String, &Arc<Mutex<Inode>>)| (name.clone(), lock(inode).len());
        self.names.iter().map(file).collect()
    }
}

fn missing(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{name}: no such file"))
}

/// A file: what is read now, and how to return to what is on the medium.
#[derive(Default)]
pub(super) struct Inode {
    view: Content,
    /// The medium's length.
    durable_len: usize,
    /// The medium's content of every block that differs or may differ, by its number; cut off at the medium's end.
    undo: BTreeMap<usize, Vec<u8>>,
    /// Sectors that cannot be read, by number, and whom a read of them is counted for.
    bad: BTreeMap<u64, Effect>,
    /// Those that were written anew, or cut off, since the last sync: a power loss makes them bad again.
    mended: BTreeMap<u64, Effect>,
}

impl Inode {
    pub(super) fn len(&self) -> u64 {
        self.view.len() as u64
    }

    pub(super) fn read(&self, name: &str, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.checked_add(buf.len());
        if end.is_none_or(|end| end > self.view.len()) {
            let text = format!(
                "{name}: {} bytes at {offset} reach beyond its {}",
                buf.len(),
                self.view.len()
            );
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        let end = offset + buf.len() as u64;
        let mut bad = self
            .bad
            .range(offset / SECTOR as u64..end.div_ceil(SECTOR as u64));
        if let Some((_, effect)) = bad.next() {
            effect.hit();
            return Err(BadSector.into());
        }
        self.view.read(start, buf);
        Ok(())
    }

    /// The caller has checked `offset + bytes.len()` against `FILE_BYTES_MAX`.
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start + bytes.len();
        if bytes.is_empty() {
            return;
        }
        self.remember(start.min(self.view.len()), end);
        self.view.write(start, bytes);
        // The disk puts a sector that is written whole in another place; of the last one of a file the rest is nobody's.
        let behind = self.view.len();
        self.mend(|sector| {
            let from = usize::try_from(sector)
                .unwrap_or(usize::MAX)
                .saturating_mul(SECTOR);
            let to = from.saturating_add(SECTOR).min(behind);
            start <= from && to <= end
        });
    }

    /// Sectors that are written anew or cut off are bad no longer; on the medium they are until the next sync.
    fn mend(&mut self, is: impl Fn(u64) -> bool) {
        self.mended
            .extend(self.bad.extract_if(.., |sector, _| is(*sector)));
    }

    pub(super) fn set_len(&mut self, len: u64) {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.remember(len.min(self.view.len()), self.view.len());
        self.view.resize(len);
        self.mend(|sector| sector >= len.div_ceil(SECTOR) as u64);
    }

    /// Everything written is on the medium.
    pub(super) fn harden(&mut self) {
        self.undo.clear();
        self.mended.clear();
        self.durable_len = self.view.len();
    }

    /// Back to what is on the medium.
    pub(super) fn undo(&mut self) {
        self.view.resize(self.durable_len);
        for (block, bytes) in std::mem::take(&mut self.undo) {
            self.view.write(block * BLOCK, &bytes);
        }
        self.bad.append(&mut self.mended);
        let end = self.durable_len.div_ceil(SECTOR) as u64;
        self.bad.retain(|sector, _| *sector < end);
    }

    /// Back to what is on the medium, except for some of the unsynced sectors. Whether any survived or was lost.
    pub(super) fn tear(&mut self, keep: Torn, rng: &mut ChaCha8Rng) -> bool {
        let sectors = self.unsynced_sectors();
        let (written, bad) = (self.view.clone(), self.bad.clone());
        self.undo();
        let kept: Vec<usize> = match keep {
            Torn::Prefix => sectors[..prefix(sectors.len(), rng)].to_vec(),
            Torn::Scattered => sectors
                .iter()
                .copied()
                .filter(|_| rng.next_u32() & 1 == 0)
                .collect(),
        };
        for sector in kept {
            let start = sector * SECTOR;
            let end = (start + SECTOR).min(written.len());
            self.view.write(start, &written.bytes(start, end));
            if !bad.contains_key(&(sector as u64)) {
                self.bad.remove(&(sector as u64));
            }
        }
        self.harden();
        !sectors.is_empty()
    }

    /// Flips bits on the medium and in what is read from it.
    pub(super) fn rot(&mut self, name: &str, offset: u64, mask: u8) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let len = self.view.len();
        self.view.flip(at, mask).ok_or_else(|| {
            let text = format!("{name}: there is no byte at {offset} to rot, it has {len}");
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })?;
        if let Some(byte) = self
            .undo
            .get_mut(&(at / BLOCK))
            .and_then(|block| block.get_mut(at % BLOCK))
        {
            *byte ^= mask;
        }
        Ok(())
    }

    /// The sector around `offset` cannot be read from now on.
    pub(super) fn spoil(&mut self, name: &str, offset: u64, effect: Effect) -> io::Result<()> {
        let len = self.len();
        if offset >= len {
            let text = format!("{name}: there is no byte at {offset} to spoil, it has {len}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        self.bad.insert(offset / SECTOR as u64, effect);
        Ok(())
    }

    /// Saves the medium's content of the blocks from `start` to `end` before they change.
    fn remember(&mut self, start: usize, end: usize) {
        let end = end.min(self.durable_len);
        if start >= end {
            return;
        }
        for block in start / BLOCK..=(end - 1) / BLOCK {
            let from = block * BLOCK;
            let to = (from + BLOCK).min(self.durable_len);
            let view = &self.view;
            self.undo.entry(block).or_insert_with(|| view.bytes(from, to));
        }
    }

    /// Sectors of what is read now that differ from the medium, in file order.
    fn unsynced_sectors(&self) -> Vec<usize> {
        let count = self.view.len().div_ceil(SECTOR);
        (0..count).filter(|sector| self.is_unsynced(*sector)).collect()
    }

    fn is_unsynced(&self, sector: usize) -> bool {
        let start = sector * SECTOR;
        let end = (start + SECTOR).min(self.view.len());
        if end > self.durable_len {
            return true;
        }
        let Some(block) = self.undo.get(&(start / BLOCK)) else {
            return false;
        };
        let within = start % BLOCK;
        block.get(within..within + (end - start)) != Some(&self.view.bytes(start, end)[..])
    }
}

/// How many of `count` leading sectors survive: some, not all; of a single one, by the toss of a coin.
fn prefix(count: usize, rng: &mut ChaCha8Rng) -> usize {
    match count {
        0 => 0,
        1 => usize::from(rng.next_u32() & 1 == 0),
        _ => 1 + usize::try_from(rng.next_u64() % (count as u64 - 1)).unwrap_or(0),
    }
}
