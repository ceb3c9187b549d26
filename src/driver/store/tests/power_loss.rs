//! What the store confirmed is there after a power loss, whatever the loss tore.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::*;

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
