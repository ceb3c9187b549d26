//! One page of a data file as bytes: 8 KiB with a checksum over all of it, and the contents the kinds of pages have.
//!
//! Page 0 is the file header, page 1 and every 500th after it a *map* of what the pages of its interval hold (what PFS, GAM
//! and SGAM pages are to the product), page 9 the boot page. All other pages hold rows, or the names of the tables.
//! Layout: checksum (CRC-32C of the rest), kind, page number, LSN, content. Source: the places of header and boot page are
//! the product's, the rest is ours.

use crate::types::{Lsn, PageError, ROWS_PER_PAGE};

pub const PAGE_BYTES: usize = 8192;
pub const HEADER_PAGE: u32 = 0;
pub const BOOT_PAGE: u32 = 9;
/// Pages that one map page describes.
pub const MAP_INTERVAL: u32 = 500;

const HEAD_BYTES: usize = 32;
const ENTRY_BYTES: usize = 16;
const SLOTS: usize = ROWS_PER_PAGE as usize;
const BITMAP_AT: usize = HEAD_BYTES + 16;
const VALUES_AT: usize = BITMAP_AT + SLOTS / 8;

/// What the content of catalog pages may take.
pub const CATALOG_BYTES: usize = PAGE_BYTES - HEAD_BYTES;

pub type Image = Box<[u8; PAGE_BYTES]>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Header = 1,
    Map = 2,
    Boot = 3,
    Catalog = 4,
    Data = 5,
    /// The last page of a journal.
    Journal = 6,
}

/// What a page is used for, as its map page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Free,
    /// Header, boot and map pages.
    System,
    /// The `part`th piece of the list of tables.
    Catalog {
        part: u32,
    },
    /// A range of rows of a table. With `pending` it was found damaged and is not restored.
    Data {
        table: u32,
        range: i64,
        pending: bool,
    },
}

/// The map page that describes `page`.
pub fn map_of(page: u32) -> u32 {
    page - page % MAP_INTERVAL + 1
}

/// A page without content.
fn blank(kind: Kind, page: u32, lsn: Lsn) -> Image {
    let mut image = Box::new([0; PAGE_BYTES]);
    image[4] = kind as u8;
    put(&mut image[..], 8, &page.to_le_bytes());
    put(&mut image[..], 16, &lsn.get().to_le_bytes());
    image
}

fn seal(mut image: Image) -> Image {
    let crc = crc32c::crc32c(&image[4..]);
    put(&mut image[..], 0, &crc.to_le_bytes());
    image
}

/// The content of a page that is what it should be.
pub fn check(bytes: &[u8], kind: Kind, page: u32) -> Result<(), PageError> {
    if bytes.len() != PAGE_BYTES || u32_at(bytes, 0) != crc32c::crc32c(&bytes[4..]) {
        Err(PageError::Checksum)
    } else if bytes[4] != kind as u8 || u32_at(bytes, 8) != page {
        Err(PageError::WrongPage)
    } else {
        Ok(())
    }
}

const MAGIC: &[u8; 8] = b"MLABMDF1";

pub fn header() -> Image {
    let mut image = blank(Kind::Header, HEADER_PAGE, Lsn::ZERO);
    put(&mut image[..], HEAD_BYTES, MAGIC);
    seal(image)
}

/// Whether the file begins as ours do.
pub fn has_magic(bytes: &[u8]) -> bool {
    bytes.get(HEAD_BYTES..HEAD_BYTES + MAGIC.len()) == Some(MAGIC)
}

/// The boot page: how far the log is applied, and how many pages the file has.
pub fn boot(applied: Lsn, pages: u32) -> Image {
    let mut image = blank(Kind::Boot, BOOT_PAGE, applied);
    put(&mut image[..], HEAD_BYTES, &pages.to_le_bytes());
    seal(image)
}

pub fn read_boot(bytes: &[u8]) -> (Lsn, u32) {
    (Lsn::new(u64_at(bytes, 16)), u32_at(bytes, HEAD_BYTES))
}

/// The map page `page`, which describes the pages of `uses` from the beginning of its interval.
pub fn map(page: u32, uses: &[Use], lsn: Lsn) -> Image {
    let mut image = blank(Kind::Map, page, lsn);
    for (at, r#use) in uses.iter().enumerate() {
        let (kind, pending, table, range) = match *r#use {
            Use::Free => (0, false, 0, 0),
            Use::System => (1, false, 0, 0),
            Use::Catalog { part } => (2, false, part, 0),
            Use::Data {
                table,
                range,
                pending,
            } => (3, pending, table, range),
        };
        let at = HEAD_BYTES + at * ENTRY_BYTES;
        image[at] = kind;
        image[at + 1] = u8::from(pending);
        put(&mut image[..], at + 4, &table.to_le_bytes());
        put(&mut image[..], at + 8, &range.to_le_bytes());
    }
    seal(image)
}

/// What the `at`th page of a map page's interval is used for.
pub fn read_map(bytes: &[u8], at: usize) -> Use {
    let at = HEAD_BYTES + at * ENTRY_BYTES;
    let (table, range) = (u32_at(bytes, at + 4), u64_at(bytes, at + 8).cast_signed());
    match bytes[at] {
        1 => Use::System,
        2 => Use::Catalog { part: table },
        3 => Use::Data {
            table,
            range,
            pending: bytes[at + 1] != 0,
        },
        _ => Use::Free,
    }
}

/// A catalog page with a piece of the list of tables, at most [`CATALOG_BYTES`].
pub fn catalog(page: u32, piece: &[u8], lsn: Lsn) -> Image {
    let mut image = blank(Kind::Catalog, page, lsn);
    put(&mut image[..], HEAD_BYTES, piece);
    seal(image)
}

pub fn read_catalog(bytes: &[u8]) -> &[u8] {
    &bytes[HEAD_BYTES..]
}

/// The rows of a data page: a value or nothing for each key of its range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows(pub [Option<i64>; SLOTS]);

impl Default for Rows {
    fn default() -> Self {
        Rows([None; SLOTS])
    }
}

impl Rows {
    pub fn set(&mut self, key: i64, value: Option<i64>) {
        let slot = usize::try_from(key.rem_euclid(ROWS_PER_PAGE)).expect("a remainder is not negative");
        self.0[slot] = value;
    }

    /// Keys and values, in order, of the page of this range.
    pub fn of(&self, range: i64) -> impl Iterator<Item = (i64, i64)> + '_ {
        let first = range.saturating_mul(ROWS_PER_PAGE);
        let rows = (0i64..).zip(self.0.iter());
        rows.filter_map(move |(slot, value)| Some((first.saturating_add(slot), (*value)?)))
    }
}

pub fn data(page: u32, table: u32, range: i64, rows: &Rows, lsn: Lsn) -> Image {
    let mut image = blank(Kind::Data, page, lsn);
    put(&mut image[..], HEAD_BYTES, &table.to_le_bytes());
    put(&mut image[..], HEAD_BYTES + 8, &range.to_le_bytes());
    for (slot, value) in rows.0.iter().enumerate() {
        if let Some(value) = value {
            image[BITMAP_AT + slot / 8] |= 1 << (slot % 8);
            put(&mut image[..], VALUES_AT + slot * 8, &value.to_le_bytes());
        }
    }
    seal(image)
}

/// The rows of the data page `page`, which should hold this range of this table.
pub fn read_data(bytes: &[u8], page: u32, table: u32, range: i64) -> Result<Rows, PageError> {
    check(bytes, Kind::Data, page)?;
    let place = (
        u32_at(bytes, HEAD_BYTES),
        u64_at(bytes, HEAD_BYTES + 8).cast_signed(),
    );
    if place != (table, range) {
        return Err(PageError::WrongPage);
    }
    let mut rows = Rows::default();
    for (slot, value) in rows.0.iter_mut().enumerate() {
        if bytes[BITMAP_AT + slot / 8] & (1 << (slot % 8)) != 0 {
            *value = Some(u64_at(bytes, VALUES_AT + slot * 8).cast_signed());
        }
    }
    Ok(rows)
}

/// The last page of a journal of `images` pages with this checksum over all of them.
pub fn journal(images: u32, crc: u32) -> Image {
    let mut image = blank(Kind::Journal, images, Lsn::ZERO);
    put(&mut image[..], HEAD_BYTES, &crc.to_le_bytes());
    seal(image)
}

/// How many pages the journal has that ends with this page, and their checksum; `None` if it is no journal's end.
pub fn read_journal(bytes: &[u8]) -> Option<(u32, u32)> {
    let images = u32_at(bytes, 8);
    check(bytes, Kind::Journal, images).ok()?;
    Some((images, u32_at(bytes, HEAD_BYTES)))
}

/// The number that a page of a journal carries.
pub fn number(bytes: &[u8]) -> u32 {
    u32_at(bytes, 8)
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::PageKey;

    #[test]
    fn rows_come_back_and_every_flipped_bit_is_found() {
        let mut rows = Rows::default();
        rows.set(-1, Some(i64::MIN));
        rows.set(-64, Some(7));
        let image = data(12, 3, -1, &rows, Lsn::new(5));
        let read = read_data(&image[..], 12, 3, -1).unwrap();
        assert_eq!(read.of(-1).collect::<Vec<_>>(), [(-64, 7), (-1, i64::MIN)]);
        for bit in 0..PAGE_BYTES * 8 {
            let mut rotten = image.clone();
            rotten[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read_data(&rotten[..], 12, 3, -1), Err(PageError::Checksum));
        }
    }

    #[test]
    fn the_first_key_and_the_last_have_pages() {
        for (key, neighbour) in [(i64::MIN, i64::MIN + 63), (i64::MAX, i64::MAX - 63)] {
            let page = PageKey::of("t", key);
            assert_eq!(page, PageKey::of("t", neighbour));
            let mut rows = Rows::default();
            rows.set(key, Some(1));
            rows.set(neighbour, Some(2));
            let mut expected = [(key, 1), (neighbour, 2)];
            expected.sort_unstable();
            assert_eq!(rows.of(page.range).collect::<Vec<_>>(), expected);
            assert_eq!(
                (*page.keys().start(), *page.keys().end()),
                (expected[0].0, expected[1].0)
            );
        }
    }

    #[test]
    fn a_sound_page_in_the_wrong_place_is_found() {
        let image = data(12, 3, 0, &Rows::default(), Lsn::ZERO);
        for (page, table, range) in [(13, 3, 0), (12, 4, 0), (12, 3, 1)] {
            assert_eq!(
                read_data(&image[..], page, table, range),
                Err(PageError::WrongPage)
            );
        }
    }
}
