//! What is read from disk: blocks of log, log files, data files.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mirrorlab::driver::disk::{Disk, DiskFile};
use mirrorlab::driver::store::Store;
use mirrorlab::instance::io::DiskRequest;
use mirrorlab::log::{LogBlock, recover};
use mirrorlab::types::{DatabaseName, Lsn, RowChange};

use super::samples::block;
use super::{Seed, seed};

/// A block, with the check value made right so that its content is looked at; and the log file that it would begin.
pub fn log_blocks(bytes: &[u8]) -> bool {
    let mut bytes = bytes.to_vec();
    if bytes.len() >= 12 {
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..8]), &bytes[12..]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    }
    let recovered = recover(Lsn::new(1), &bytes);
    let length: usize = recovered.blocks.iter().map(|b| b.encode().len()).sum();
    assert!(
        bytes.starts_with(
            &recovered
                .blocks
                .iter()
                .flat_map(|b| b.encode().to_vec())
                .collect::<Vec<u8>>()
        )
    );
    assert!(recovered.torn.is_some() || length == bytes.len());
    let Ok(block) = LogBlock::decode(&bytes) else {
        return false;
    };
    assert_eq!(block.encode(), bytes);
    let again = LogBlock::new(block.start(), block.role_sequence(), block.records());
    assert_eq!(
        again.as_ref().map(LogBlock::encode),
        Ok(block.encode()),
        "there is one way to write a block"
    );
    true
}

pub fn log_block_seeds() -> Vec<Seed> {
    vec![
        seed("small", block(1).encode().to_vec()),
        seed("larger", block(30).encode().to_vec()),
    ]
}

/// Files in memory, as a process without power loss sees them.
#[derive(Debug, Clone, Default)]
struct Ram(Arc<Mutex<BTreeMap<String, RamFile>>>);

#[derive(Debug, Clone, Default)]
struct RamFile(Arc<Mutex<Vec<u8>>>);

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ram {
    /// A disk of its own with the same content.
    fn copy(&self) -> Ram {
        let files = held(&self.0);
        let copies = files
            .iter()
            .map(|(name, file)| (name.clone(), RamFile(Arc::new(Mutex::new(held(&file.0).clone())))));
        Ram(Arc::new(Mutex::new(copies.collect())))
    }
}

impl Disk for Ram {
    type File = RamFile;

    fn open(&self, name: &str) -> io::Result<RamFile> {
        held(&self.0)
            .get(name)
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create(&self, name: &str) -> io::Result<RamFile> {
        let mut files = held(&self.0);
        if files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(files.entry(name.to_owned()).or_default().clone())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let removed = held(&self.0).remove(name);
        removed.map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }

    fn latency(&self, _name: impl FnOnce() -> String, _bytes: usize) -> Duration {
        Duration::ZERO
    }
}

impl DiskFile for RamFile {
    fn len(&self) -> io::Result<u64> {
        Ok(held(&self.0).len() as u64)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let bytes = held(&self.0);
        let begin = usize::try_from(offset).unwrap_or(usize::MAX);
        let part = begin.checked_add(buf.len()).and_then(|end| bytes.get(begin..end));
        buf.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&self, written: &[u8], offset: u64) -> io::Result<()> {
        let mut bytes = held(&self.0);
        let begin = usize::try_from(offset).map_err(io::Error::other)?;
        let end = begin
            .checked_add(written.len())
            .ok_or(io::ErrorKind::StorageFull)?;
        if end > FILE_BYTES_MAX {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[begin..end].copy_from_slice(written);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        if len > FILE_BYTES_MAX {
            return Err(io::ErrorKind::StorageFull.into());
        }
        held(&self.0).resize(len, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

const FILE_BYTES_MAX: usize = 64 << 20;

/// The files of an instance with one database.
fn disk() -> Ram {
    thread_local!(static MADE: OnceCell<Ram> = const { OnceCell::new() });
    let make = || {
        let ram = Ram::default();
        let (mut store, _) = Store::open(ram.clone()).expect("new");
        let database = DatabaseName::new("Sales");
        let row = |key| RowChange {
            table: "Ledger".into(),
            key,
            before: None,
            after: Some(key),
        };
        let requests = [
            DiskRequest::Master {
                writes: vec![("login/sa".into(), Some(b"{}".to_vec()))],
            },
            DiskRequest::CreateDatabase {
                database: database.clone(),
                log_start: Lsn::new(1),
                tables: vec!["Ledger".into()],
                rows: (0..20).map(row).collect(),
            },
            DiskRequest::AppendLog {
                database,
                at: Lsn::new(1),
                bytes: block(5).encode().to_vec(),
            },
        ];
        for request in requests {
            store.carry_out(request).expect("carried out");
        }
        drop(store);
        ram
    };
    MADE.with(|made| made.get_or_init(make).copy())
}

/// Changes of a genuine file: at most this many, of a place (32 bits, modulo its length) and a byte that is xored; or, of
/// a zero byte, the file's end.
const CHANGE_BYTES: usize = 5;
const CHANGES_MAX: usize = 64;

/// The genuine file under `changes`, or, if they begin with 0xff, what follows in its place.
fn changed(file: &RamFile, changes: &[u8]) {
    let mut bytes = held(&file.0);
    if let Some(whole) = changes.strip_prefix(&[0xff]) {
        *bytes = whole.to_vec();
        return;
    }
    for change in changes.chunks_exact(CHANGE_BYTES).take(CHANGES_MAX) {
        let place = u32::from_be_bytes([change[0], change[1], change[2], change[3]]) as usize;
        let length = bytes.len();
        match (place.checked_rem(length), change[4]) {
            (None, _) => {}
            (Some(place), 0) => bytes.truncate(place),
            (Some(place), flip) => bytes[place] ^= flip,
        }
    }
}

fn open(disk: &Ram) -> bool {
    let Ok((mut store, _)) = Store::open(disk.clone()) else {
        return false;
    };
    let database = DatabaseName::new("Sales");
    let opened = store.carry_out(DiskRequest::OpenDatabase {
        database: database.clone(),
    });
    let append = DiskRequest::AppendLog {
        database,
        at: Lsn::new(1),
        bytes: block(1).encode().to_vec(),
    };
    // Whatever was found there, a further request ends in an answer.
    drop(store.carry_out(append));
    opened.is_ok()
}

pub fn log_files(bytes: &[u8]) -> bool {
    let disk = disk();
    changed(&disk.open("sales.ldf").expect("made"), bytes);
    open(&disk)
}

pub fn log_file_seeds() -> Vec<Seed> {
    vec![seed("genuine", b""), seed("torn", [0, 0, 2, 18, 0])]
}

/// The first byte says which: the database's, or `master`.
pub fn data_files(bytes: &[u8]) -> bool {
    let Some((which, changes)) = bytes.split_first() else {
        return false;
    };
    let disk = disk();
    let name = if which % 2 == 0 { "sales.mdf" } else { "master.mdf" };
    changed(&disk.open(name).expect("made"), changes);
    open(&disk)
}

pub fn data_file_seeds() -> Vec<Seed> {
    vec![seed("database", [0]), seed("master", [1])]
}
