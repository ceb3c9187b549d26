//! Pages and the log, and what becomes of damaged ones.

use proptest::prelude::*;

use super::*;
use crate::instance::InstanceConfig;
use crate::instance::database::tables::{Tables, Transaction};
use crate::log::Log;
use crate::session::{Identity, Partner, Setting};
use crate::types::{Guid, RecoveryPath};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// Whatever the changes: a page taken back from the end of the log to any block is that of the log up to there,
    /// and redone from there it is that of the end.
    #[test]
    fn a_page_taken_back_and_redone_is_that_of_the_log(
        changes in prop::collection::vec((0i64..130, prop::option::of(0i64..9)), 1..40),
        back_to in any::<prop::sample::Index>(),
    ) {
        let (mut rows, mut log, mut history) = (BTreeMap::new(), Log::new(Lsn::ZERO), Vec::new());
        let page = PageKey::of("T", 70);
        let of_page = |rows: &BTreeMap<i64, i64>| rows.range(page.keys()).map(|(k, v)| (*k, *v)).collect::<Vec<_>>();
        history.push((Lsn::ZERO, of_page(&rows)));
        for (key, after) in changes {
            let before = rows.get(&key).copied();
            let change = RowChange { table: "T".into(), key, before, after };
            match after {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
            let end = log.append(1, vec![LogRecord::Set(change)]).unwrap().end();
            history.push((end, of_page(&rows)));
        }
        let (lsn, then) = &history[back_to.index(history.len())];
        let blocks = log.blocks_from(*lsn);
        prop_assert_eq!(&undo_on(&page, &of_page(&rows), blocks), then);
        prop_assert_eq!(redo_on(&page, then, blocks), of_page(&rows));
    }
}

const TABLE: &str = "New(id,value)";

/// An instance with one database: a mirror whose log creates a table with a row, and both are redone.
fn instance() -> (Instance, DatabaseName) {
    let mut instance = Instance::new(InstanceConfig::of_system("alpha", 1433), [7; 32]);
    let name = DatabaseName::new("Sales");
    let tables = Tables::load(&["Old(id,value)".into(), TABLE.into()], &[]);
    let mut database = Database::new(name.clone(), Lsn::ZERO, tables);
    let change = row(1, None, Some(2));
    database.tables.apply(&change);
    let create = LogRecord::CreateTable { table: TABLE.into() };
    let records = vec![create, LogRecord::Set(change)];
    let end = database.log.append(1, records).unwrap().end();
    (database.tables_at, database.redo_asked) = (end, end);
    let identity = Identity { name: "ALPHA".into() };
    let setting = Setting {
        database: name.clone(),
        family: Guid::NIL,
        partner: "TCP://beta:5022".parse().unwrap(),
        last_epoch: 1,
        path: RecoveryPath::default(),
        backed_up: Lsn::ZERO,
    };
    database.session = Some(Partner::waiting_mirror(identity, setting));
    instance.databases.insert("sales".into(), database);
    (instance, name)
}

fn row(key: i64, before: Option<i64>, after: Option<i64>) -> RowChange {
    let table = "New".into();
    RowChange {
        table,
        key,
        before,
        after,
    }
}

fn damaged(table: &str, page: u32, error: PageError) -> DamagedPage {
    let key = PageKey::of(table, 1);
    DamagedPage { page, key, error }
}

#[test]
fn the_damaged_pages_of_a_table_whose_creation_is_undone_are_forgotten() {
    let (mut instance, name) = instance();
    instance.page_damaged(&name, damaged("New", 3, PageError::Checksum));
    instance.page_damaged(&name, damaged("Old", 4, PageError::Checksum));
    let undone = instance.databases["sales"].log.blocks().to_vec();
    instance.revert(&name, Lsn::ZERO, &undone);
    // The disk comes upon it once more before it has undone the table.
    instance.page_damaged(&name, damaged("New", 3, PageError::RestorePending));
    let of_old = damaged("Old", 4, PageError::Checksum);
    let known = |instance: &Instance| instance.databases["sales"].pages.damaged.clone();
    assert!(known(&instance).into_values().eq([of_old.clone()]));
    instance.on_page_restored(&name, of_old.key);
    assert!(known(&instance).is_empty());
    let database = instance.database_mut(&name).unwrap();
    assert!(!database.session.as_ref().unwrap().has_damaged_pages());
    // A table of that name, created later, has all its pages.
    database.tables.create(TABLE);
    database.tables.apply(&row(1, None, Some(3)));
    let work = Transaction::default();
    assert_eq!(work.read(&database.tables, "New", 1), Ok(Some(3)));
}

#[test]
fn a_page_that_still_waits_at_the_next_start_is_the_same_damage() {
    let (mut instance, name) = instance();
    let noted = |instance: &Instance| {
        let pages = instance.catalog.suspect_pages();
        Vec::from_iter(pages.map(|page| (page.page, page.event_type, page.error_count)))
    };
    let found_again = |instance: &mut Instance, number: u32| {
        let pages = &mut instance.database_mut(&name).unwrap().pages;
        pages.damaged.clear();
        instance.page_damaged(&name, damaged("New", number, PageError::RestorePending));
    };
    instance.page_damaged(&name, damaged("New", 3, PageError::WrongPage));
    found_again(&mut instance, 3);
    assert_eq!(noted(&instance), [(3, 1, 1)]);
    // Nothing is noted yet of this one, and of that one only that it was restored.
    found_again(&mut instance, 5);
    assert_eq!(noted(&instance), [(3, 1, 1), (5, 2, 1)]);
    instance.note_suspect(&name, 3, RESTORED);
    found_again(&mut instance, 3);
    assert_eq!(noted(&instance), [(3, 2, 1), (5, 2, 1)]);
}

/// Source: documented, *Automatic Page Repair*.
#[test]
fn of_the_attempts_to_repair_a_page_the_last_hundred_are_kept() {
    let (mut instance, name) = instance();
    let mut attempt = |page, status| {
        let damaged = damaged("New", page, PageError::Checksum);
        instance.note_repair(&name, &damaged.key, &damaged, status);
    };
    (1..=102).for_each(|page| attempt(page, RepairStatus::Queued));
    attempt(3, RepairStatus::Failed);
    let repairs = &instance.databases["sales"].pages.repairs;
    let kept: Vec<(u32, i64)> = repairs.iter().map(|r| (r.page, r.status as i64)).collect();
    let expected: Vec<(u32, i64)> = (3..=102)
        .map(|page| (page, if page == 3 { 6 } else { 2 }))
        .collect();
    assert_eq!(kept, expected);
}
