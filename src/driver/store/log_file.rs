//! A database's log file: a checked header that says where the log begins, then the log's bytes.
//!
//! What the bytes mean is the core's business. The header fills a sector of its own, so that no append rewrites it and a
//! rewrite is whole or not at all: `"MLABLOG"` and a zero, version `u32`, first LSN `u64`, the LSN that would stand right
//! behind the header `u64`, zeros, CRC-32C of all before it, integers little-endian.
//!
//! Log that is discarded leaves room in front. Once that is larger than what follows, the log is copied to the front and
//! the file becomes short again: no byte of the log is overwritten while the header still points at it.

use std::io;

use crate::driver::disk::{Disk, DiskFile};
use crate::instance::io::DiskError;
use crate::types::Lsn;

use super::{disk_error, read_range};

const HEADER_BYTES: usize = 512;
const MAGIC: &[u8; 8] = b"MLABLOG\0";
const VERSION: u32 = 2;
/// Less room than this in front is not worth a copy.
const ROOM_BYTES_MIN: u64 = 4096;

/// An open log file.
///
/// Invariant: every byte from `start` to `end` has been synced.
///
/// Right after `open` it is not known how much of that the core could read. Its first append or truncation says so: an
/// append before `end` cuts the torn tail off. From then on the log grows at its end only.
pub struct LogFile<F> {
    file: F,
    name: String,
    start: Lsn,
    end: Lsn,
    /// The LSN that would stand right behind the header.
    origin: Lsn,
    /// Opened, and nothing appended or cut since.
    just_opened: bool,
    /// A sync failed: what is on the disk is unknown until the file is opened and read again.
    stopped: bool,
}

impl<F: DiskFile> LogFile<F> {
    /// Create an empty log that begins at `start`, with its header durable; its name is not before `sync_dir`.
    pub fn create<D: Disk<File = F>>(disk: &D, name: &str, start: Lsn) -> Result<Self, DiskError> {
        let failed = |e| disk_error("create", name, &e);
        let file = disk.create(name).map_err(failed)?;
        file.write_all_at(&header(start, start), 0).map_err(failed)?;
        file.sync().map_err(failed)?;
        Ok(LogFile {
            file,
            name: name.to_owned(),
            start,
            end: start,
            origin: start,
            just_opened: false,
            stopped: false,
        })
    }

    /// Open a log and read all of it, a torn tail included.
    ///
    /// It is synced first: bytes that only the operating system's cache holds must not be believed.
    pub fn open<D: Disk<File = F>>(disk: &D, name: &str) -> Result<(Self, Vec<u8>), DiskError> {
        let failed = |e| disk_error("open", name, &e);
        let file = disk.open(name).map_err(failed)?;
        file.sync().map_err(failed)?;
        let length = file.len().map_err(failed)?;
        let damaged = |text| {
            DiskError::Damaged(
                name.to_owned(),
                format!("{text}; restore the database from a backup"),
            )
        };
        if length < HEADER_BYTES as u64 {
            let text = format!("its header is cut short ({length} of {HEADER_BYTES} bytes)");
            return Err(damaged(text));
        }
        let header = read_range(&file, 0, HEADER_BYTES as u64).map_err(failed)?;
        let (start, origin) = parse_header(&header).map_err(damaged)?;
        let offset = start.bytes_since(origin).saturating_add(HEADER_BYTES as u64);
        let Some(log_bytes) = length.checked_sub(offset) else {
            let text = format!("it is {length} bytes long, but its log begins at byte {offset}");
            return Err(damaged(text));
        };
        let bytes = read_range(&file, offset, log_bytes).map_err(failed)?;
        let log = LogFile {
            file,
            name: name.to_owned(),
            start,
            end: start.advance(log_bytes),
            origin,
            just_opened: true,
            stopped: false,
        };
        Ok((log, bytes))
    }

    pub fn start(&self) -> Lsn {
        self.start
    }

    /// Append blocks and harden them with one sync. One result for each, in order; after the first that failed all fail.
    pub fn append(&mut self, blocks: &[(Lsn, Vec<u8>)]) -> Vec<Result<(), DiskError>> {
        self.cut_torn_tail(blocks);
        let (written, mut error) = self.write(blocks);
        let mut hardened = 0;
        if written > 0 {
            match self.file.sync() {
                Ok(()) => {
                    hardened = written;
                    self.end = blocks[..written]
                        .iter()
                        .fold(self.end, |end, (_, bytes)| end.advance(bytes.len() as u64));
                }
                Err(e) => {
                    self.stopped = true;
                    error = Some(disk_error("sync", &self.name, &e));
                }
            }
        }
        if error.is_some() {
            self.cut_to_end();
        }
        let mut results = vec![Ok(()); hardened];
        if let Some(error) = error {
            results.resize(blocks.len(), Err(error));
        }
        results
    }

    fn cut_torn_tail(&mut self, blocks: &[(Lsn, Vec<u8>)]) {
        let Some((at, _)) = blocks.first() else {
            return;
        };
        if self.just_opened && self.start <= *at && *at < self.end {
            self.end = *at;
            self.cut_to_end();
        }
        self.just_opened = false;
    }

    /// Make the file end at `end`, durably: leftovers behind it could pass for blocks once something fills the gap.
    fn cut_to_end(&mut self) {
        let end = self.offset(self.end);
        let cut = self.file.len().and_then(|length| {
            if length == end {
                return Ok(()); // refused before anything was written
            }
            self.file.set_len(end)?;
            self.file.sync()
        });
        self.stopped |= cut.is_err();
    }

    /// Write blocks without a sync: how many were written, and what stopped the next one.
    fn write(&self, blocks: &[(Lsn, Vec<u8>)]) -> (usize, Option<DiskError>) {
        let mut end = self.end;
        for (i, (at, bytes)) in blocks.iter().enumerate() {
            let written = self.check(*at, end).and_then(|()| {
                self.file
                    .write_all_at(bytes, self.offset(*at))
                    .map_err(|e| disk_error("append to", &self.name, &e))
            });
            match written {
                Ok(()) => end = end.advance(bytes.len() as u64),
                Err(error) => return (i, Some(error)),
            }
        }
        (blocks.len(), None)
    }

    fn check(&self, at: Lsn, end: Lsn) -> Result<(), DiskError> {
        if self.stopped {
            return Err(self.stopped_error("append to"));
        }
        if at != end {
            let text = format!(
                "append to {}: the log ends at {end}, not at {at}; cut it back first",
                self.name
            );
            return Err(DiskError::Io(text));
        }
        Ok(())
    }

    /// Cut the log back to `to`, durably.
    pub fn truncate(&mut self, to: Lsn) -> Result<(), DiskError> {
        if self.stopped {
            return Err(self.stopped_error("truncate"));
        }
        if to < self.start || to > self.end {
            let text = format!(
                "truncate {} to {to}: it holds {} to {}",
                self.name, self.start, self.end
            );
            return Err(DiskError::Io(text));
        }
        let cut = self.file.set_len(self.offset(to)).and_then(|()| self.file.sync());
        if let Err(e) = cut {
            self.stopped = true;
            return Err(disk_error("truncate", &self.name, &e));
        }
        self.end = to;
        self.just_opened = false;
        Ok(())
    }

    /// Give up the log before `before`, durably.
    pub fn discard(&mut self, before: Lsn) -> Result<(), DiskError> {
        if self.stopped {
            return Err(self.stopped_error("discard log of"));
        }
        if before < self.start || before > self.end {
            let text = format!(
                "discard log of {} before {before}: it holds {} to {}",
                self.name, self.start, self.end
            );
            return Err(DiskError::Io(text));
        }
        self.try_discard(before).map_err(|e| {
            self.stopped = true;
            disk_error("discard log of", &self.name, &e)
        })
    }

    fn try_discard(&mut self, before: Lsn) -> io::Result<()> {
        self.write_header(before, self.origin)?;
        self.start = before;
        let (room, live) = (before.bytes_since(self.origin), self.end.bytes_since(before));
        if room < live.max(ROOM_BYTES_MIN) {
            return Ok(());
        }
        let bytes = read_range(&self.file, self.offset(before), live)?;
        self.file.write_all_at(&bytes, HEADER_BYTES as u64)?;
        self.file.sync()?;
        self.write_header(before, before)?;
        self.origin = before;
        self.file.set_len(self.offset(self.end))?;
        self.file.sync()
    }

    fn write_header(&self, start: Lsn, origin: Lsn) -> io::Result<()> {
        self.file.write_all_at(&header(start, origin), 0)?;
        self.file.sync()
    }

    fn stopped_error(&self, operation: &str) -> DiskError {
        DiskError::Io(format!(
            "{operation} {}: an earlier write to it failed; open the database again",
            self.name
        ))
    }

    fn offset(&self, lsn: Lsn) -> u64 {
        lsn.bytes_since(self.origin).saturating_add(HEADER_BYTES as u64)
    }
}

fn header(start: Lsn, origin: Lsn) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..20].copy_from_slice(&start.get().to_le_bytes());
    bytes[20..28].copy_from_slice(&origin.get().to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..HEADER_BYTES - 4]);
    bytes[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Where the log starts, and its origin.
fn parse_header(bytes: &[u8]) -> Result<(Lsn, Lsn), String> {
    let (body, crc) = bytes.split_last_chunk::<4>().ok_or("its header is cut short")?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        return Err("the check value of its header is wrong".to_owned());
    }
    let (magic, rest) = body.split_first_chunk::<8>().ok_or("its header is cut short")?;
    let (version, rest) = rest.split_first_chunk::<4>().ok_or("its header is cut short")?;
    let (start, rest) = rest.split_first_chunk::<8>().ok_or("its header is cut short")?;
    let (origin, _) = rest.split_first_chunk::<8>().ok_or("its header is cut short")?;
    if magic != MAGIC {
        return Err("it is not a log file".to_owned());
    }
    match u32::from_le_bytes(*version) {
        VERSION => {
            let lsn = |bytes: &[u8; 8]| Lsn::new(u64::from_le_bytes(*bytes));
            match (lsn(start), lsn(origin)) {
                (start, origin) if origin <= start => Ok((start, origin)),
                (start, origin) => Err(format!("its header says that {start} lies before {origin}")),
            }
        }
        other => Err(format!(
            "it has version {other}, this program reads version {VERSION}"
        )),
    }
}
