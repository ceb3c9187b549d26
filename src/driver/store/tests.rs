//! What the store confirmed can be read again; what it cannot read or write it names.

mod pages;
mod power_loss;

use super::*;
use crate::driver::memory_disk::MemoryDisk;

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
