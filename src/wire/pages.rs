//! What partners say to each other of a damaged page: who asks for it, its content, and that the session may go on.
//!
//! A page is named by what it holds, for the two files number their pages each for itself. The content is the rows, not
//! the bytes of the file: those carry a number and a checksum of their own. Source: what is said is documented, *Automatic
//! Page Repair*; the bytes are ours.

use super::mirroring::{MessageError, TEXT_BYTES_MAX};
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
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), MessageError> {
        match self {
            PageMessage::Request { request, page, at } => {
                out.push(1);
                out.extend(request.to_le_bytes());
                let length = within("a text", page.table.len(), TEXT_BYTES_MAX)?;
                out.extend(length.to_le_bytes());
                out.extend(page.table.as_bytes());
                out.extend(page.range.to_le_bytes());
                out.extend(at.get().to_le_bytes());
            }
            PageMessage::Image { request, lsn, rows } => {
                out.push(2);
                out.extend(request.to_le_bytes());
                out.extend(lsn.get().to_le_bytes());
                out.extend(within("a page", rows.len(), ROWS_MAX)?.to_le_bytes());
                for (key, value) in rows {
                    out.extend(key.to_le_bytes());
                    out.extend(value.to_le_bytes());
                }
            }
            PageMessage::Failed { request } => {
                out.push(3);
                out.extend(request.to_le_bytes());
            }
            PageMessage::AllHere { suspend_sequence } => {
                out.push(4);
                out.extend(suspend_sequence.to_le_bytes());
            }
        }
        Ok(())
    }

    /// Reads a message that fills `bytes`. Never panics; allocates no more than a page.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, MessageError> {
        let rest = &mut bytes;
        let [kind] = take(rest)?;
        let message = match kind {
            1 => PageMessage::Request {
                request: u64::from_le_bytes(take(rest)?),
                page: page(rest)?,
                at: Lsn::new(u64::from_le_bytes(take(rest)?)),
            },
            2 => PageMessage::Image {
                request: u64::from_le_bytes(take(rest)?),
                lsn: Lsn::new(u64::from_le_bytes(take(rest)?)),
                rows: rows(rest)?,
            },
            3 => PageMessage::Failed {
                request: u64::from_le_bytes(take(rest)?),
            },
            4 => PageMessage::AllHere {
                suspend_sequence: u32::from_le_bytes(take(rest)?),
            },
            value => {
                let what = "message about a page";
                return Err(MessageError::Unknown { what, value });
            }
        };
        match rest.len() {
            0 => Ok(message),
            extra => Err(MessageError::Trailing(extra)),
        }
    }
}

fn page(rest: &mut &[u8]) -> Result<PageKey, MessageError> {
    let length = usize::from(u16::from_le_bytes(take(rest)?));
    within("a text", length, TEXT_BYTES_MAX)?;
    let (text, after) = rest.split_at_checked(length).ok_or(MessageError::Short)?;
    *rest = after;
    let table = std::str::from_utf8(text)
        .map_err(|_| MessageError::Text)?
        .to_owned();
    let range = i64::from_le_bytes(take(rest)?);
    Ok(PageKey { table, range })
}

fn rows(rest: &mut &[u8]) -> Result<Vec<(i64, i64)>, MessageError> {
    let count = usize::from(u16::from_le_bytes(take(rest)?));
    within("a page", count, ROWS_MAX)?;
    let row = |_| Ok((i64::from_le_bytes(take(rest)?), i64::from_le_bytes(take(rest)?)));
    (0..count).map(row).collect()
}

fn within(what: &'static str, length: usize, limit: usize) -> Result<u16, MessageError> {
    match u16::try_from(length) {
        Ok(short) if length <= limit => Ok(short),
        _ => Err(MessageError::TooLong { what, length, limit }),
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], MessageError> {
    let (head, after) = rest.split_first_chunk().ok_or(MessageError::Short)?;
    *rest = after;
    Ok(*head)
}
