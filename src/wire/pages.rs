//! What partners say to each other of a damaged page: who asks for it, its content, and that the session may go on.
//!
//! A page is named by what it holds, for the two files number their pages each for itself. The content is the rows, not
//! the bytes of the file: those carry a number and a checksum of their own. Source: what is said is documented, *Automatic
//! Page Repair*; the bytes are ours.

use super::mirroring::{MessageError, Reader, Writer, limit};
use crate::types::{Lsn, PageKey, ROWS_PER_PAGE};

/// The largest number of rows on a page.
pub const ROWS_MAX: usize = ROWS_PER_PAGE as usize;

/// A message about a page. `request` is the number the asking partner gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageMessage {
    /// Send me this page once you have redone the log up to `at`, where mine is hardened to.
    Request { request: u64, page: PageKey, at: Lsn },
    /// The rows of the page, keys ascending, as the log up to `lsn` makes them.
    Image {
        request: u64,
        lsn: Lsn,
        rows: Vec<(i64, i64)>,
    },
    /// It cannot be read here either.
    Failed { request: u64 },
    /// Mirror to principal: every page I suspended the session for (with this sequence) is here; resume it.
    AllHere { suspend_sequence: u32 },
}

impl PageMessage {
    /// Appends the bytes of this message. Fails with `TooLong` for a name or rows beyond their limits.
    pub(super) fn write(&self, to: &mut Writer) -> Result<(), MessageError> {
        match self {
            PageMessage::Request { request, page, at } => {
                to.u8(1);
                to.u64(*request);
                to.text(&page.table)?;
                to.i64(page.range);
                to.u64(at.get());
            }
            PageMessage::Image { request, lsn, rows } => {
                to.u8(2);
                to.u64(*request);
                to.u64(lsn.get());
                limit("a page", rows.len(), ROWS_MAX)?;
                to.u16(rows.len() as u16);
                for (key, value) in rows {
                    to.i64(*key);
                    to.i64(*value);
                }
            }
            PageMessage::Failed { request } => {
                to.u8(3);
                to.u64(*request);
            }
            PageMessage::AllHere { suspend_sequence } => {
                to.u8(4);
                to.u32(*suspend_sequence);
            }
        }
        Ok(())
    }

    /// Reads a message. Never panics; allocates no more than a page.
    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, MessageError> {
        Ok(match from.u8()? {
            1 => PageMessage::Request {
                request: from.u64()?,
                page: PageKey {
                    table: from.text()?,
                    range: from.i64()?,
                },
                at: from.lsn()?,
            },
            2 => PageMessage::Image {
                request: from.u64()?,
                lsn: from.lsn()?,
                rows: rows(from)?,
            },
            3 => PageMessage::Failed { request: from.u64()? },
            4 => PageMessage::AllHere {
                suspend_sequence: from.u32()?,
            },
            value => {
                let what = "message about a page";
                return Err(MessageError::Unknown { what, value });
            }
        })
    }
}

fn rows(from: &mut Reader<'_>) -> Result<Vec<(i64, i64)>, MessageError> {
    let count = usize::from(from.u16()?);
    limit("a page", count, ROWS_MAX)?;
    (0..count).map(|_| Ok((from.i64()?, from.i64()?))).collect()
}
