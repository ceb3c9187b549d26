//! What the store confirmed is there after a crash, whatever the crash tore; what it cannot read it names.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::*;
use crate::driver::memory_disk::MemoryDisk;
use crate::types::{PageError, PageKey};

fn sales() -> DatabaseName {
    DatabaseName::new("Sales")
}

fn open(disk: &MemoryDisk) -> (Store<MemoryDisk>, Entries) {
    Store::open(disk.clone()).expect("master opens")
}

fn row(key: i64, after: i64) -> RowChange {
    RowChange {
        table: "t".to_owned(),
        key,
        before: None,
        after: Some(after),
    }
}

fn create(start: u64) -> DiskRequest {
    DiskRequest::CreateDatabase {
        database: sales(),
        log_start: Lsn::new(start),
        tables: vec!["t".to_owned()],
        rows: vec![row(1, 10)],
    }
}

fn append(at: u64, bytes: &[u8]) -> DiskRequest {
    DiskRequest::AppendLog {
        database: sales(),
        at: Lsn::new(at),
        bytes: bytes.to_vec(),
    }
}

fn redo(key: i64, applied: u64, durable: bool) -> DiskRequest {
    DiskRequest::Redo {
        database: sales(),
        tables: vec![],
        dropped: vec![],
        changes: vec![row(key, key * 10)],
        applied: Lsn::new(applied),
        durable,
    }
}

fn change(changes: Vec<RowChange>, applied: u64) -> DiskRequest {
    DiskRequest::Redo {
        database: sales(),
        tables: vec![],
        dropped: vec![],
        changes,
        applied: Lsn::new(applied),
        durable: true,
    }
}

fn discard(before: u64) -> DiskRequest {
    DiskRequest::DiscardLog {
        database: sales(),
        before: Lsn::new(before),
    }
}

fn put_master(key: &str, value: &[u8]) -> DiskRequest {
    DiskRequest::Master {
        writes: vec![(key.to_owned(), Some(value.to_vec()))],
    }
}

fn done(store: &mut Store<MemoryDisk>, request: DiskRequest) {
    let text = format!("{request:?}");
    assert_eq!(store.carry_out(request), Ok(DiskReply::Done), "{text}");
}

fn image(store: &mut Store<MemoryDisk>) -> Result<DatabaseImage, DiskError> {
    let request = DiskRequest::OpenDatabase { database: sales() };
    store.carry_out(request).map(|reply| match reply {
        DiskReply::Database(image) => image,
        other => panic!("{other:?} does not answer an open"),
    })
}

fn refused(result: Result<DiskReply, DiskError>) -> String {
    result.expect_err("refused").to_string()
}

#[test]
fn a_database_comes_back_as_it_was_written() {
    let disk = MemoryDisk::default();
    let (mut store, entries) = open(&disk);
    assert_eq!(entries, vec![]);
    done(&mut store, put_master("login/sa", b"1"));
    done(&mut store, put_master("endpoint", b"2"));
    done(&mut store, create(100));
    done(&mut store, append(100, b"abc"));
    done(&mut store, redo(2, 103, true));
    drop(store);
    let (mut store, entries) = open(&disk);
    let expected = [("endpoint", b"2"), ("login/sa", b"1")];
    assert_eq!(
        entries,
        expected.map(|(k, v)| (k.to_owned(), v.to_vec())).to_vec()
    );
    let expected = DatabaseImage {
        tables: vec!["t".to_owned()],
        rows: vec![("t".to_owned(), 1, 10), ("t".to_owned(), 2, 20)],
        applied: Lsn::new(103),
        damaged: vec![],
        log_start: Lsn::new(100),
        log: b"abc".to_vec(),
    };
    assert_eq!(image(&mut store), Ok(expected.clone()));
    // Opening again, and under a name that differs in case, is the same database.
    assert_eq!(
        store.carry_out(DiskRequest::OpenDatabase {
            database: DatabaseName::new("SALES")
        }),
        Ok(DiskReply::Database(expected))
    );
}

#[test]
fn a_new_database_replaces_the_old_one_and_a_dropped_one_is_gone() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    done(&mut store, create(0));
    done(&mut store, append(0, b"old"));
    done(&mut store, create(7));
    let found = image(&mut store).unwrap();
    assert_eq!((found.log_start, found.log.len()), (Lsn::new(7), 0));
    let drop_it = || DiskRequest::DropDatabase { database: sales() };
    done(&mut store, drop_it());
    assert_eq!(disk.names(), ["master.mdf"]);
    assert_eq!(
        image(&mut store),
        Err(DiskError::NotFound("sales.ldf".to_owned()))
    );
    assert_eq!(refused(store.carry_out(drop_it())), "sales.ldf does not exist");
    assert!(refused(store.carry_out(append(0, b"x"))).contains("database Sales is not open"));
}

#[test]
fn the_log_takes_bytes_at_its_end_only_and_can_be_cut_back() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    done(&mut store, create(10));
    done(&mut store, append(10, b"abcdef"));
    let gap = refused(store.carry_out(append(17, b"x")));
    assert!(
        gap.contains("append to sales.ldf: the log ends at 16, not at 17"),
        "{gap}"
    );
    let truncate = |to| DiskRequest::TruncateLog {
        database: sales(),
        to: Lsn::new(to),
    };
    assert!(refused(store.carry_out(truncate(9))).contains("it holds 10 to 16"));
    assert!(refused(store.carry_out(truncate(17))).contains("it holds 10 to 16"));
    done(&mut store, truncate(12));
    done(&mut store, append(12, b"X"));
    assert_eq!(image(&mut store).unwrap().log, b"abX");
}

#[test]
fn log_that_is_given_up_leaves_the_rest_in_place_and_the_file_short() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    done(&mut store, create(100));
    let block = [7; 3_000];
    for i in 0..10 {
        done(&mut store, append(100 + i * 3_000, &block));
    }
    done(&mut store, redo(2, 30_100, true));
    let longest = disk.length("sales.ldf");
    for before in [3_100, 6_100, 9_100, 24_100] {
        done(&mut store, discard(before));
        let image = image(&mut store).unwrap();
        assert_eq!(image.log_start, Lsn::new(before));
        assert!(image.log.starts_with(&vec![7; 30_100 - before as usize]));
    }
    assert!(disk.length("sales.ldf") < longest / 3);
    done(&mut store, append(30_100, b"more"));
    assert!(image(&mut store).unwrap().log.ends_with(b"more"));
    assert!(refused(store.carry_out(discard(24_099))).contains("it holds 24100 to"));
    assert!(refused(store.carry_out(discard(99_000))).contains("it holds 24100 to"));
}

#[test]
fn the_first_append_after_an_open_cuts_the_torn_tail_off_and_no_later_one_does() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    done(&mut store, create(10));
    done(&mut store, append(10, b"whole-torn"));
    assert_eq!(image(&mut store).unwrap().log, b"whole-torn");
    assert!(refused(store.carry_out(append(9, b"x"))).contains("the log ends at 20, not at 9"));
    assert_eq!(image(&mut store).unwrap().log, b"whole-torn");
    done(&mut store, append(15, b"+"));
    assert!(refused(store.carry_out(append(15, b"x"))).contains("the log ends at 16, not at 15"));
    let (mut store, _) = open(&disk.after_power_loss(|| false));
    assert_eq!(image(&mut store).unwrap().log, b"whole+");
}

#[test]
fn blocks_of_one_group_cost_one_sync_and_are_answered_one_by_one() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    done(&mut store, create(0));
    let syncs = disk.syncs();
    let block = |at, bytes: &[u8]| (Lsn::new(at), bytes.to_vec());
    let results = store.append(
        &sales(),
        &[block(0, b"ab"), block(2, b"c"), block(9, b"d"), block(10, b"e")],
    );
    assert_eq!(disk.syncs(), syncs + 1);
    assert!(
        matches!(results.as_slice(), [Ok(()), Ok(()), Err(_), Err(_)]),
        "{results:?}"
    );
    assert_eq!(image(&mut store).unwrap().log, b"abc");
}

#[test]
fn a_failed_sync_confirms_nothing_and_stops_the_log_until_it_is_read_again() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    done(&mut store, create(0));
    done(&mut store, append(0, b"safe"));
    disk.fail_syncs(1);
    assert_eq!(
        refused(store.carry_out(append(4, b"lost"))),
        "sync sales.ldf: input/output error"
    );
    assert!(refused(store.carry_out(append(4, b"more"))).contains("open the database again"));
    assert_eq!(image(&mut store).unwrap().log, b"safe");
    done(&mut store, append(4, b"more"));
    let (mut store, _) = open(&disk.after_power_loss(|| false));
    assert_eq!(image(&mut store).unwrap().log, b"safemore");
}

#[test]
fn a_failed_write_leaves_no_half_block() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    done(&mut store, create(0));
    disk.fail_writes(1);
    assert!(refused(store.carry_out(append(0, b"block"))).starts_with("append to sales.ldf"));
    disk.fill_up(true);
    assert_eq!(
        refused(store.carry_out(append(0, b"block"))),
        "the disk is full: append to sales.ldf"
    );
    disk.fill_up(false);
    done(&mut store, append(0, b"ok"));
    assert_eq!(image(&mut store).unwrap().log, b"ok");
}

#[test]
fn master_and_data_go_on_after_a_failed_sync() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    done(&mut store, create(0));
    done(&mut store, put_master("a", b"1"));
    disk.fail_syncs(1);
    let error = refused(store.carry_out(put_master("b", b"2")));
    assert!(error.starts_with("write master.mdf"), "{error}");
    done(&mut store, put_master("c", b"3"));
    disk.fail_syncs(1);
    assert!(refused(store.carry_out(redo(2, 5, true))).starts_with("write sales.mdf"));
    done(&mut store, redo(3, 6, true));
    let (mut store, entries) = open(&disk.after_power_loss(|| false));
    let keys: Vec<&str> = entries.iter().map(|(key, _)| key.as_str()).collect();
    assert!(keys == ["a", "c"] || keys == ["a", "b", "c"], "{keys:?}");
    assert_eq!(image(&mut store).unwrap().applied, Lsn::new(6));
}

#[test]
fn files_are_written_once_and_found_by_any_spelling() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    let write = |path: &str| DiskRequest::WriteFile {
        path: path.to_owned(),
        bytes: b"cert".to_vec(),
    };
    let read = |path: &str| DiskRequest::ReadFile {
        path: path.to_owned(),
    };
    done(&mut store, write(r"C:\certs\A.cer"));
    assert_eq!(
        store.carry_out(read("c:/certs/a.cer")),
        Ok(DiskReply::File(b"cert".to_vec()))
    );
    assert_eq!(
        store.carry_out(write("C:/certs/a.cer")),
        Err(DiskError::AlreadyExists("C:/certs/a.cer".to_owned()))
    );
    assert_eq!(
        store.carry_out(read("C:\\b.cer")),
        Err(DiskError::NotFound("C:\\b.cer".to_owned()))
    );
    disk.fill_up(true);
    assert_eq!(
        refused(store.carry_out(write("C:\\b.cer"))),
        "the disk is full: write C:\\b.cer"
    );
    assert_eq!(disk.names().len(), 2, "no half file is left");
    let (mut store, _) = open(&disk.after_power_loss(|| false));
    assert_eq!(
        store.carry_out(read("c:\\certs\\a.cer")),
        Ok(DiskReply::File(b"cert".to_vec()))
    );
}

#[test]
fn damage_is_named_with_its_file() {
    type Damage = fn(&mut Vec<u8>);
    let cases: [(&str, Damage, &str); 10] = [
        (
            "sales.ldf",
            |b| b.truncate(100),
            "header is cut short (100 of 512 bytes)",
        ),
        ("sales.ldf", |b| b.clear(), "header is cut short (0 of 512 bytes)"),
        ("sales.ldf", |b| b[13] ^= 1, "check value of its header is wrong"),
        ("sales.mdf", |b| b.clear(), "it is empty"),
        (
            "sales.mdf",
            |b| b[0] ^= 1,
            "page (1:0), its file header: its checksum is wrong",
        ),
        (
            "sales.mdf",
            |b| b[page::PAGE_BYTES + 700] ^= 1,
            "page (1:1), its allocation page: its checksum is wrong",
        ),
        (
            "sales.mdf",
            |b| b.copy_within(0..page::PAGE_BYTES, 9 * page::PAGE_BYTES),
            "page (1:9), its boot page: another page is in its place",
        ),
        ("sales.mdf", |b| b.truncate(5000), "it ends before page (1:0)"),
        (
            "sales.mdf",
            |b| b.truncate(page::PAGE_BYTES * 4),
            "it ends before page (1:9)",
        ),
        ("sales.mdf", |b| b[4096..].fill(0xA5), "its checksum is wrong"),
    ];
    for (file, damage, says) in cases {
        let disk = MemoryDisk::default();
        let (mut store, _) = open(&disk);
        done(&mut store, create(0));
        done(&mut store, redo(2, 5, true));
        drop(store);
        disk.damage(file, damage);
        let (mut store, _) = open(&disk);
        match image(&mut store) {
            Err(DiskError::Damaged(name, text)) => {
                assert_eq!(name, file);
                assert!(text.contains(says), "{file}: {text}");
            }
            other => panic!("{file}: {other:?}"),
        }
        // A damaged database can be replaced.
        done(&mut store, create(0));
    }
}

#[test]
fn a_damaged_master_is_an_error_and_never_a_fresh_start() {
    let damages: [fn(&mut Vec<u8>); 3] = [Vec::clear, |b| b[0] = 0, |b| b.truncate(5000)];
    for damage in damages {
        let disk = MemoryDisk::default();
        done(&mut open(&disk).0, put_master("a", b"1"));
        disk.damage("master.mdf", damage);
        let error = Store::open(disk).map(|(_, entries)| entries);
        assert!(
            matches!(&error, Err(DiskError::Damaged(name, _)) if name == "master.mdf"),
            "{error:?}"
        );
    }
}

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

/// What the model of the crash test knows to be confirmed.
#[derive(Debug, Default, Clone)]
struct Confirmed {
    master: BTreeMap<String, u64>,
    created: bool,
    /// From LSN 0 on, what was given up included.
    log: Vec<u8>,
    applied: u64,
    rows: BTreeMap<i64, i64>,
    /// Where the log begins.
    start: u64,
}

/// The power is lost again and again, at times in the middle of what the open after the last loss makes good.
#[test]
fn no_crash_loses_what_was_confirmed() {
    for seed in 0..400 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut disk = MemoryDisk::default();
        let mut found = Confirmed::default();
        for crash in 0..4 {
            let soon = crash > 0 && rng.next_u32() & 1 == 0;
            disk.lose_power_after(1 + rng.next_u64() % if soon { 12 } else { 160 });
            let (confirmed, begun) = work_until_power_loss(&disk, &mut rng, found, crash * 1000);
            assert!(
                disk.has_lost_power(),
                "seed {seed}, crash {crash}: the power stayed on"
            );
            disk = disk.after_power_loss(|| rng.next_u32() & 1 == 0);
            // Nothing is in flight: this is a copy, and what the open makes good there is to be made good again.
            let copy = disk.after_power_loss(|| true);
            found = check(&copy, &confirmed, &begun, seed);
        }
    }
}

/// Two pages get rows, as the `n`th change.
fn two_pages(n: i64) -> DiskRequest {
    change(vec![row(2, n), row(100, n)], 5 + n.cast_unsigned())
}

/// A full disk, or a crash, leaves half a page at the end of a file that was to grow. What is written then is as safe.
#[test]
fn a_change_after_a_growth_that_was_cut_short_is_all_or_nothing() {
    let (mut halves, mut old, mut new) = (0, 0, 0);
    for seed in 0..40 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let disk = MemoryDisk::default();
        let (mut store, _) = open(&disk);
        done(&mut store, create(0));
        match seed % 2 {
            0 => disk.fill_up(true),
            // The journal is written and not synced.
            _ => disk.lose_power_after(2),
        }
        assert!(store.carry_out(two_pages(1)).is_err());
        let disk = disk.after_power_loss(|| seed % 2 == 0 || rng.next_u32() & 1 == 0);
        halves += usize::from(!disk.length("sales.mdf").is_multiple_of(page::PAGE_BYTES));
        for operations in 1.. {
            let disk = disk.after_power_loss(|| true);
            let (mut store, _) = open(&disk);
            let before = image(&mut store).unwrap();
            assert_eq!(before.rows.len(), 1, "seed {seed}");
            disk.lose_power_after(operations);
            let result = store.carry_out(two_pages(2));
            if !disk.has_lost_power() {
                assert_eq!(result, Ok(DiskReply::Done));
                break;
            }
            let disk = disk.after_power_loss(|| rng.next_u32() & 1 == 0);
            let found = image(&mut open(&disk).0).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            assert_eq!(found.damaged, vec![], "seed {seed}, {operations} operations");
            match found == before {
                true => old += 1,
                false => {
                    let rows = [(1, 10), (2, 2), (100, 2)].map(|(key, value)| ("t".to_owned(), key, value));
                    assert_eq!((found.applied, found.rows), (Lsn::new(7), rows.to_vec()));
                    new += 1;
                }
            }
        }
    }
    assert!(halves > 20 && old > 40 && new > 40, "{halves} {old} {new}");
}

/// Issue requests until one fails. What was confirmed, and what the failed request would have made of it.
fn work_until_power_loss(
    disk: &MemoryDisk,
    rng: &mut ChaCha8Rng,
    found: Confirmed,
    first: u64,
) -> (Confirmed, Confirmed) {
    let mut confirmed = found.clone();
    let mut begun = found;
    let Ok((mut store, _)) = Store::open(disk.clone()) else {
        return (confirmed, begun);
    };
    if begun.created && image(&mut store).is_err() {
        return (confirmed, begun);
    }
    for step in first..u64::MAX {
        let request = if !confirmed.created {
            begun.created = true;
            begun.rows.insert(1, 10);
            create(0)
        } else {
            match rng.next_u32() % 4 {
                3 => {
                    let applied = begun.applied;
                    begun.start += u64::from(rng.next_u32()) % (1 + applied - begun.start);
                    discard(begun.start)
                }
                0 => {
                    begun.master.insert(format!("k{}", step % 5), step);
                    put_master(&format!("k{}", step % 5), &step.to_le_bytes())
                }
                1 => {
                    let block = vec![step as u8; 1 + rng.next_u32() as usize % 1500];
                    let at = begun.log.len() as u64;
                    begun.log.extend_from_slice(&block);
                    append(at, &block)
                }
                _ => {
                    begun.applied = begun.log.len() as u64;
                    // Of the pages with these rows, several sectors change.
                    let keys = [step % 300, step % 300 + 40].map(|key| key as i64);
                    let changes = keys.map(|key| row(key, step as i64));
                    begun.rows.extend(keys.map(|key| (key, step as i64)));
                    change(changes.to_vec(), begun.applied)
                }
            }
        };
        if store.carry_out(request).is_err() {
            break;
        }
        confirmed = begun.clone();
    }
    (confirmed, begun)
}

/// What is found is what was confirmed, or what was begun.
fn check(disk: &MemoryDisk, confirmed: &Confirmed, begun: &Confirmed, seed: u64) -> Confirmed {
    let (mut store, entries) = Store::open(disk.clone()).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    let entries: BTreeMap<String, u64> = entries
        .into_iter()
        .map(|(key, value)| (key, u64::from_le_bytes(value.try_into().unwrap())))
        .collect();
    assert!(
        entries == confirmed.master || entries == begun.master,
        "seed {seed}: {entries:?}"
    );
    let mut found = Confirmed {
        master: entries,
        ..Confirmed::default()
    };
    match image(&mut store) {
        Ok(image) => {
            let start = image.log_start.get();
            assert!(
                start == confirmed.start || start == begun.start,
                "seed {seed}: start {start}"
            );
            let kept = &confirmed.log[usize::try_from(start).unwrap().min(confirmed.log.len())..];
            assert!(image.log.starts_with(kept), "seed {seed}: log");
            let applied = image.applied.get();
            assert!(
                applied == confirmed.applied || applied == begun.applied,
                "seed {seed}: applied {applied}"
            );
            assert_eq!(image.damaged, [], "seed {seed}");
            let rows: BTreeMap<i64, i64> = image.rows.iter().map(|(_, key, value)| (*key, *value)).collect();
            assert!(
                applied == confirmed.applied && rows == confirmed.rows || rows == begun.rows,
                "seed {seed}: rows {rows:?}"
            );
            found.created = true;
            found.log.clone_from(&confirmed.log);
            (found.applied, found.rows, found.start) = (applied, rows, start);
        }
        Err(error) => {
            assert!(!confirmed.created, "seed {seed}: {error}");
            // A creation that was cut short left no log file, or none that could be taken for one.
            let named = match &error {
                DiskError::NotFound(name) | DiskError::Damaged(name, _) => name.as_str(),
                _ => "",
            };
            assert_eq!(named, "sales.ldf", "seed {seed}: {error}");
        }
    }
    // Whatever the crash left, the instance goes on.
    done(&mut store, create(0));
    done(&mut store, append(0, b"next"));
    found
}

#[test]
fn a_redo_that_is_not_durable_may_be_lost_but_not_torn() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    done(&mut store, create(0));
    done(&mut store, redo(2, 5, false));
    done(&mut store, redo(3, 6, false));
    let (mut after, _) = open(&disk.after_power_loss(|| false));
    let lost = image(&mut after).unwrap();
    assert_eq!((lost.applied, lost.rows.len()), (Lsn::ZERO, 1));
    done(&mut store, redo(4, 7, true));
    let (mut after, _) = open(&disk.after_power_loss(|| false));
    let kept = image(&mut after).unwrap();
    assert_eq!((kept.applied, kept.rows.len()), (Lsn::new(7), 4));
}

#[test]
fn redo_that_waits_outlives_a_failed_write_and_a_reopening() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    done(&mut store, create(0));
    done(&mut store, redo(2, 5, false));
    disk.fail_syncs(1);
    assert!(refused(store.carry_out(redo(3, 6, true))).starts_with("write sales.mdf"));
    done(&mut store, redo(4, 7, true));
    done(&mut store, redo(5, 8, false));
    let reopened = image(&mut store).unwrap();
    assert_eq!(reopened.applied, Lsn::new(8));
    let keys: Vec<i64> = reopened.rows.iter().map(|(_, key, _)| *key).collect();
    assert!([2, 3, 4, 5].iter().all(|key| keys.contains(key)), "{keys:?}");
}

#[test]
fn an_empty_database_is_small() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    done(&mut store, create(0));
    for file in ["master.mdf", "sales.mdf", "sales.ldf"] {
        let length = disk.length(file);
        assert!(length <= 256 * 1024, "{file} has {length} bytes");
    }
}
