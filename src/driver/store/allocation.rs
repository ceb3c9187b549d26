//! Which page of a data file is used for what, and which of the map pages that say so differ from those on the disk.
//!
//! Pages are taken lowest number first. Knows no bytes but those of the maps, and no file. Source: ours.

use std::collections::{BTreeMap, BTreeSet};

use super::page::{self, BOOT_PAGE, HEADER_PAGE, Image, MAP_INTERVAL, Use};
use crate::types::Lsn;

/// The pages of one data file.
#[derive(Debug, Default)]
pub struct Allocation {
    /// By page number.
    uses: Vec<Use>,
    /// The data pages by table number and range.
    data: BTreeMap<(u32, i64), u32>,
    free: BTreeSet<u32>,
    /// Map pages to be written.
    changed: BTreeSet<u32>,
}

impl Allocation {
    /// Of a new file: no map is written yet.
    pub fn new() -> Self {
        let mut uses = vec![Use::Free; BOOT_PAGE as usize + 1];
        for system in [HEADER_PAGE, page::map_of(HEADER_PAGE), BOOT_PAGE] {
            uses[system as usize] = Use::System;
        }
        let mut new = Allocation::of(uses);
        new.changed.insert(page::map_of(HEADER_PAGE));
        new
    }

    /// Of a file whose maps say this, by page number.
    pub fn of(uses: Vec<Use>) -> Self {
        let mut pages = Allocation {
            uses,
            ..Allocation::default()
        };
        for (number, place) in (0..).zip(&pages.uses) {
            match place {
                Use::Data { table, range, .. } => drop(pages.data.insert((*table, *range), number)),
                Use::Free => drop(pages.free.insert(number)),
                Use::System | Use::Catalog { .. } => {}
            }
        }
        pages
    }

    /// How many pages there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.uses.len()).expect("a data file has fewer pages than a file may have bytes")
    }

    /// What the page is used for; there must be such a page.
    pub fn get(&self, number: u32) -> Use {
        self.uses[number as usize]
    }

    /// The data page of this range of the table, if it has one.
    pub fn find(&self, table: u32, range: i64) -> Option<u32> {
        self.data.get(&(table, range)).copied()
    }

    /// The pages of the list of tables, in its order.
    pub fn catalog(&self) -> Vec<u32> {
        let part = |number: &u32| match self.get(*number) {
            Use::Catalog { part } => Some(part),
            _ => None,
        };
        let mut pages: Vec<u32> = (0..self.count()).filter(|n| part(n).is_some()).collect();
        pages.sort_by_key(part);
        pages
    }

    /// The first free page, or a new one, is used for this from now on.
    pub fn take(&mut self, r#use: Use) -> u32 {
        let number = match self.free.pop_first() {
            Some(number) => number,
            None => self.grow(),
        };
        if let Use::Data { table, range, .. } = r#use {
            self.data.insert((table, range), number);
        }
        self.set(number, r#use);
        number
    }

    /// Whether the data page is restore-pending. No other kind of page ever is.
    pub fn set_pending(&mut self, number: u32, wanted: bool) {
        if let Use::Data {
            table,
            range,
            pending,
        } = self.get(number)
            && pending != wanted
        {
            let pending = wanted;
            self.set(
                number,
                Use::Data {
                    table,
                    range,
                    pending,
                },
            );
        }
    }

    /// The pages of the table are free.
    pub fn release(&mut self, table: u32) {
        let of_it = self
            .data
            .extract_if((table, i64::MIN)..=(table, i64::MAX), |_, _| true);
        for (_, number) in Vec::from_iter(of_it) {
            self.free.insert(number);
            self.set(number, Use::Free);
        }
    }

    /// The map pages that differ from those on the disk, by number. Asked once: they are to be written now.
    pub fn take_changed_maps(&mut self, lsn: Lsn) -> BTreeMap<u32, Image> {
        let changed = std::mem::take(&mut self.changed);
        let image = |number: u32| {
            let first = (number - 1) as usize;
            let end = self.uses.len().min(first + MAP_INTERVAL as usize);
            (number, page::map(number, &self.uses[first..end], lsn))
        };
        changed.into_iter().map(image).collect()
    }

    fn grow(&mut self) -> u32 {
        if self.count().is_multiple_of(MAP_INTERVAL) {
            // An interval opens with a page that is not used, as the first one does with the header, and its map.
            self.uses.extend([Use::System, Use::System]);
        }
        self.uses.push(Use::Free);
        self.count() - 1
    }

    fn set(&mut self, number: u32, r#use: Use) {
        self.uses[number as usize] = r#use;
        self.changed.insert(page::map_of(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(table: u32, range: i64) -> Use {
        let pending = false;
        Use::Data {
            table,
            range,
            pending,
        }
    }

    fn changed(pages: &mut Allocation) -> Vec<u32> {
        pages.take_changed_maps(Lsn::ZERO).into_keys().collect()
    }

    #[test]
    fn a_map_is_written_when_what_it_says_changes_and_only_then() {
        let mut pages = Allocation::new();
        assert_eq!(changed(&mut pages), [1]);
        assert!(changed(&mut pages).is_empty());
        for range in 0..MAP_INTERVAL.into() {
            pages.take(rows(1, range));
        }
        assert_eq!(changed(&mut pages), [1, 501]);
        let (low, high) = (pages.find(1, 0).unwrap(), pages.find(1, 499).unwrap());
        assert!(low < MAP_INTERVAL && high > MAP_INTERVAL, "{low} {high}");
        for (page, map) in [(low, 1), (high, 501)] {
            pages.set_pending(page, true);
            assert_eq!(changed(&mut pages), [map]);
            pages.set_pending(page, true);
            assert!(changed(&mut pages).is_empty());
        }
        pages.set_pending(1, true);
        assert_eq!(pages.get(1), Use::System);
        pages.take(rows(2, 7));
        assert_eq!(changed(&mut pages), [501]);
        pages.release(2);
        assert_eq!(changed(&mut pages), [501]);
        pages.release(1);
        assert_eq!(changed(&mut pages), [1, 501]);
        assert_eq!((pages.find(1, 0), pages.take(rows(3, 0))), (None, 2));
    }

    #[test]
    fn the_maps_say_all_that_is_known() {
        let mut pages = Allocation::new();
        let mut on_disk: BTreeMap<u32, Image> = pages.take_changed_maps(Lsn::ZERO);
        let mut random = 1u64;
        for step in 0..3000u32 {
            random = random
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let number = (random >> 33) as u32 % pages.count();
            match random >> 60 {
                0..10 => drop(pages.take(rows(step % 7, step.into()))),
                10..12 => pages.set_pending(number, true),
                12..14 => pages.set_pending(number, false),
                14 => drop(pages.take(Use::Catalog { part: step })),
                _ => pages.release(step % 100),
            }
            on_disk.extend(pages.take_changed_maps(Lsn::ZERO));
        }
        assert!(pages.count() > MAP_INTERVAL, "{}", pages.count());
        let read = |number: u32| {
            let map = &on_disk[&page::map_of(number)];
            page::read_map(&map[..], (number % MAP_INTERVAL) as usize)
        };
        let read = Allocation::of((0..pages.count()).map(read).collect());
        assert_eq!(read.uses, pages.uses);
        assert_eq!((read.data, read.free), (pages.data, pages.free));
    }
}
