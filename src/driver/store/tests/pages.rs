//! Pages that rot, are restored, or are many.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::*;
use crate::types::{PageError, PageKey};

#[test]
fn a_flipped_bit_of_a_data_file_is_found_or_harmless() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    done(&mut store, create(0));
    for key in 2..400 {
        done(&mut store, redo(key, 5, false));
    }
    done(&mut store, redo(400, 5, true));
    let original = image(&mut store).unwrap();
    drop(store);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut pages, mut files) = (0, 0);
    for _ in 0..300 {
        let copy = disk.after_power_loss(|| true);
        let mut at = 0;
        copy.damage("sales.mdf", |bytes| {
            let used: Vec<usize> = (0..bytes.len()).filter(|i| bytes[*i] != 0).collect();
            at = used[rng.next_u64() as usize % used.len()];
            bytes[at] ^= 1 << (at % 8);
        });
        // A byte in free space harms nobody. Any other is found: the rows of its page are missing, and never a wrong row.
        let (mut store, _) = open(&copy);
        match image(&mut store) {
            Err(_) => files += 1,
            Ok(found) => {
                let lost = |key: i64| found.damaged.iter().any(|d| d.key == PageKey::of("t", key));
                let expected = original.rows.iter().filter(|(_, key, _)| !lost(*key));
                assert!(expected.eq(&found.rows), "byte {at}");
                pages += found.damaged.len();
                let _ = store.carry_out(redo(1, 6, true));
            }
        }
    }
    assert!(pages > 20 && files > 5, "{pages} pages, {files} files");
}

fn check_page(key: i64) -> DiskRequest {
    let page = PageKey::of("t", key);
    DiskRequest::CheckPage {
        database: sales(),
        page,
    }
}

/// A database whose page with row 1 rots while it is open; the page of row 100 is sound.
fn rotten() -> (MemoryDisk, Store<MemoryDisk>, DamagedPage) {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    done(&mut store, create(0));
    done(&mut store, redo(100, 5, true));
    done(&mut store, check_page(1));
    disk.damage("sales.mdf", |bytes| {
        let is_rows = |at: &usize| bytes[*at + 4] == 5;
        let at = (0..bytes.len())
            .step_by(page::PAGE_BYTES)
            .find(is_rows)
            .expect("there are rows");
        bytes[at + 5000] ^= 1;
    });
    let damaged = DamagedPage {
        page: 2,
        key: PageKey::of("t", 1),
        error: PageError::Checksum,
    };
    (disk, store, damaged)
}

#[test]
fn a_rotten_page_is_found_when_it_is_changed_and_the_others_are_changed_nevertheless() {
    let (disk, mut store, damaged) = rotten();
    let mut change = redo(2, 6, true);
    if let DiskRequest::Redo { changes, .. } = &mut change {
        changes.push(row(101, 7));
    }
    let found = store.carry_out(change);
    assert_eq!(found, Ok(DiskReply::Damaged(vec![damaged.clone()])));
    // Told once; and the page is not taken for sound again, whatever becomes of its bytes.
    done(&mut store, redo(3, 7, true));
    drop(store);
    disk.damage("sales.mdf", |bytes| {
        let at = damaged.page as usize * page::PAGE_BYTES + 5000;
        bytes[at] ^= 1;
    });
    let (mut store, _) = open(&disk);
    let image = image(&mut store).unwrap();
    let pending = DamagedPage {
        error: PageError::RestorePending,
        ..damaged
    };
    assert_eq!((image.applied, image.damaged), (Lsn::new(7), vec![pending]));
    assert_eq!(
        image.rows,
        [("t".to_owned(), 100, 1000), ("t".to_owned(), 101, 7)]
    );
}

#[test]
fn a_restored_page_has_its_new_content_and_what_waited_for_the_other_pages() {
    let (disk, mut store, damaged) = rotten();
    assert_eq!(
        store.carry_out(check_page(1)),
        Ok(DiskReply::Damaged(vec![damaged.clone()]))
    );
    done(&mut store, redo(2, 6, false));
    done(&mut store, redo(102, 7, false));
    let restore = DiskRequest::RestorePage {
        database: sales(),
        page: damaged.key,
        rows: vec![(1, 11), (2, 12)],
    };
    done(&mut store, restore);
    done(&mut store, check_page(1));
    let (mut store, _) = open(&disk.after_power_loss(|| false));
    let image = image(&mut store).unwrap();
    let rows = [(1, 11), (2, 12), (100, 1000), (102, 1020)].map(|(key, value)| ("t".to_owned(), key, value));
    assert_eq!((image.applied, image.damaged), (Lsn::new(7), vec![]));
    assert_eq!(image.rows, rows);
}

#[test]
fn a_page_of_a_table_that_is_gone_does_not_bring_it_back() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    done(&mut store, create(0));
    let page = PageKey::of("gone", 1);
    let rows = vec![(1, 1)];
    let database = sales();
    done(&mut store, DiskRequest::RestorePage { database, page, rows });
    let table = "gone".to_owned();
    let of_it = RowChange { table, ..row(1, 1) };
    done(&mut store, change(vec![of_it, row(2, 20)], 5));
    let expected = image(&mut store).unwrap();
    assert_eq!(expected.tables, ["t"]);
    assert_eq!(
        expected.rows,
        [(1, 10), (2, 20)].map(|(k, v)| ("t".to_owned(), k, v))
    );
    drop(store);
    assert_eq!(image(&mut open(&disk).0), Ok(expected));
}

#[test]
fn tables_and_pages_beyond_one_map_come_back() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    done(&mut store, create(0));
    let tables: Vec<String> = (0..900).map(|n| format!("table_{n}(id,value)")).collect();
    let changes: Vec<RowChange> = (0..1200).map(|page| row(page * 64 - 3000, page)).collect();
    done(
        &mut store,
        DiskRequest::Redo {
            database: sales(),
            tables: tables.clone(),
            dropped: vec![],
            changes: changes.clone(),
            applied: Lsn::new(9),
            durable: true,
        },
    );
    done(
        &mut store,
        DiskRequest::Redo {
            database: sales(),
            tables: vec![],
            dropped: tables[..450].to_vec(),
            changes: vec![],
            applied: Lsn::new(10),
            durable: true,
        },
    );
    drop(store);
    let found = image(&mut open(&disk).0).unwrap();
    assert_eq!(found.damaged, vec![]);
    assert_eq!(found.tables.len(), 451);
    let mut rows: Vec<(String, i64, i64)> = changes
        .iter()
        .map(|c| ("t".to_owned(), c.key, c.after.unwrap()))
        .collect();
    rows.retain(|(_, key, _)| *key != 1);
    rows.push(("t".to_owned(), 1, 10));
    rows.sort();
    assert_eq!(found.rows, rows);
}

/// A database with rows 1 and 100 on pages of their own; the place of byte `at` of page `page` cannot be read.
fn spoilt(page: usize, at: usize) -> (MemoryDisk, Store<MemoryDisk>) {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    done(&mut store, create(0));
    done(&mut store, redo(100, 5, true));
    disk.spoil("sales.mdf", page * page::PAGE_BYTES + at);
    (disk, store)
}

fn unreadable() -> DamagedPage {
    DamagedPage {
        page: 2,
        key: PageKey::of("t", 1),
        error: PageError::Unreadable,
    }
}

#[test]
fn a_page_with_a_bad_sector_is_found_like_a_rotten_one_until_it_is_written_anew() {
    let (disk, mut store) = spoilt(2, 5000);
    let found = store.carry_out(change(vec![row(2, 20), row(101, 7)], 6));
    assert_eq!(found, Ok(DiskReply::Damaged(vec![unreadable()])));
    let restore = DiskRequest::RestorePage {
        database: sales(),
        page: PageKey::of("t", 1),
        rows: vec![(1, 11), (2, 20)],
    };
    done(&mut store, restore);
    done(&mut store, check_page(1));
    drop(store);
    let image = image(&mut open(&disk).0).unwrap();
    let rows = [(1, 11), (2, 20), (100, 1000), (101, 7)].map(|(key, value)| ("t".to_owned(), key, value));
    assert_eq!((image.damaged, image.rows), (vec![], rows.to_vec()));
}

#[test]
fn a_bad_sector_that_the_open_comes_upon_costs_its_page_or_the_file() {
    let (disk, store) = spoilt(2, 5000);
    drop(store);
    let found = image(&mut open(&disk).0).unwrap();
    assert_eq!(found.damaged, [unreadable()]);
    assert_eq!(found.rows, [("t".to_owned(), 100, 1000)]);
    // Header, boot page, and what may be a journal that has to be carried out again.
    let (disk, store) = spoilt(2, 5000);
    drop(store);
    let pages = disk.length("sales.mdf") / page::PAGE_BYTES;
    for number in [0, 9, pages - 1] {
        let (disk, store) = spoilt(number, 100);
        drop(store);
        let error = image(&mut open(&disk).0).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("page (1:{number})")), "{text}");
        assert!(text.contains("error 23"), "{text}");
    }
}
