use proptest::prelude::*;

use super::*;
use crate::driver::disk::is_bad_sector;
use crate::sim::world::streams::Streams;

fn disk() -> SystemDisk {
    SystemDisk::new((Duration::ZERO, Duration::ZERO), Streams::new(7).stream("disk"))
}

fn content(disk: &SimDisk, name: &str) -> Vec<u8> {
    let file = disk.open(name).expect("file exists");
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// A file with `durable` synced, in a synced directory.
fn with_file(name: &str, durable: &[u8]) -> (SystemDisk, SimDisk, SimFile) {
    let system = disk();
    let (handle, _) = system.handle();
    let file = handle.create(name).unwrap();
    file.write_all_at(durable, 0).unwrap();
    file.sync().unwrap();
    handle.sync_dir().unwrap();
    (system, handle, file)
}

#[test]
fn power_loss_keeps_what_was_synced_and_nothing_else() {
    let (system, handle, file) = with_file("a", b"hardened");
    file.write_all_at(b"SOFT", 2).unwrap();
    file.write_all_at(b"tail", 8).unwrap();
    assert_eq!(content(&handle, "a"), b"haSOFTedtail");
    handle.create("unsynced name").unwrap().sync().unwrap();
    system.lose_power();
    let (after, _) = system.handle();
    assert_eq!(content(&after, "a"), b"hardened");
    assert_eq!(
        after.open("unsynced name").unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
}

#[test]
fn a_removed_name_comes_back_unless_the_directory_was_synced() {
    let (system, handle, _) = with_file("a", b"old");
    handle.remove("a").unwrap();
    let new = handle.create("a").unwrap();
    assert!(new.is_empty().unwrap());
    system.lose_power();
    assert_eq!(content(&handle, "a"), b"old");
    handle.remove("a").unwrap();
    handle.sync_dir().unwrap();
    system.lose_power();
    assert!(handle.open("a").is_err());
}

#[test]
fn truncation_is_undone_and_never_shows_old_bytes() {
    let (system, handle, file) = with_file("a", b"0123456789");
    file.set_len(4).unwrap();
    file.set_len(8).unwrap();
    assert_eq!(content(&handle, "a"), b"0123\0\0\0\0");
    system.lose_power();
    assert_eq!(content(&handle, "a"), b"0123456789");
}

#[test]
fn a_killed_process_can_no_longer_touch_the_disk_but_its_writes_stay() {
    let system = disk();
    let (handle, dead) = system.handle();
    let file = handle.create("a").unwrap();
    file.write_all_at(b"cached", 0).unwrap();
    dead.kill();
    assert!(file.sync().is_err());
    assert!(file.write_all_at(b"x", 0).is_err());
    assert!(handle.open("a").is_err());
    assert!(handle.create("b").is_err());
    let (next, _) = system.handle();
    assert_eq!(content(&next, "a"), b"cached");
}

#[test]
fn failing_and_lying_syncs_harden_nothing() {
    let (system, handle, file) = with_file("a", b"1");
    let (id, effect) = system
        .inject(DiskFault::FailSyncs {
            count: 1,
            file: String::new(),
        })
        .unwrap();
    assert!(!effect.took_effect());
    file.write_all_at(b"2", 0).unwrap();
    assert!(file.sync().is_err());
    assert!(effect.took_effect());
    system.lose_power();
    assert_eq!(content(&handle, "a"), b"1");
    assert!(system.heal(id));
    assert!(!system.heal(id));

    let (id, effect) = system
        .inject(DiskFault::LyingSync { file: String::new() })
        .unwrap();
    let file = handle.open("a").unwrap();
    file.write_all_at(b"3", 0).unwrap();
    file.sync().unwrap();
    assert!(effect.took_effect());
    system.lose_power();
    assert_eq!(content(&handle, "a"), b"1");
    system.heal(id);
    file.write_all_at(b"4", 0).unwrap();
    file.sync().unwrap();
    system.lose_power();
    assert_eq!(content(&handle, "a"), b"4");
}

#[test]
fn a_torn_tail_ends_at_a_sector() {
    let (system, handle, file) = with_file("log", &[1; 700]);
    let (_, effect) = system
        .inject(DiskFault::TornWrites {
            keep: Torn::Prefix,
            file: String::new(),
        })
        .unwrap();
    file.write_all_at(&[2; 3_000], 700).unwrap();
    system.lose_power();
    let bytes = content(&handle, "log");
    assert!(effect.took_effect());
    assert!(bytes.len() > 700);
    assert!(bytes.len() < 3_700);
    assert_eq!(bytes.len() % SECTOR, 0);
    assert_eq!(bytes[..700], [1; 700]);
    assert!(bytes[700..].iter().all(|byte| *byte == 2));
}

#[test]
fn scattered_tearing_mixes_old_and_new_sectors() {
    let (system, handle, file) = with_file("data", &[1; 64 * SECTOR]);
    system
        .inject(DiskFault::TornWrites {
            keep: Torn::Scattered,
            file: String::new(),
        })
        .unwrap();
    file.write_all_at(&[2; 64 * SECTOR], 0).unwrap();
    system.lose_power();
    let bytes = content(&handle, "data");
    let new = bytes
        .chunks(SECTOR)
        .filter(|sector| sector.iter().all(|b| *b == 2))
        .count();
    let old = bytes
        .chunks(SECTOR)
        .filter(|sector| sector.iter().all(|b| *b == 1))
        .count();
    assert_eq!(old + new, 64);
    assert!(old > 0);
    assert!(new > 0);
}

#[test]
fn a_full_disk_refuses_growth_and_allows_overwriting() {
    let (system, _, file) = with_file("a", &[0; 100]);
    let (_, effect) = system
        .inject(DiskFault::Full {
            capacity_bytes: 120,
            file: String::new(),
        })
        .unwrap();
    file.write_all_at(&[1; 100], 0).unwrap();
    file.write_all_at(&[1; 20], 100).unwrap();
    assert!(!effect.took_effect());
    assert_eq!(
        file.write_all_at(&[1], 120).unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
    assert_eq!(file.set_len(121).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert!(effect.took_effect());
}

#[test]
fn rot_reaches_the_medium() {
    let (system, handle, file) = with_file("a", b"abc");
    file.write_all_at(b"z", 2).unwrap();
    system
        .inject(DiskFault::BitRot {
            file: "a".into(),
            offset: 1,
            mask: 0x01,
        })
        .unwrap();
    assert_eq!(content(&handle, "a"), b"acz");
    system.lose_power();
    assert_eq!(content(&handle, "a"), b"acc");
    let beyond = DiskFault::BitRot {
        file: "a".into(),
        offset: 3,
        mask: 1,
    };
    assert!(system.inject(beyond).is_err());
    assert_eq!(system.faults_felt(), 1);
}

#[test]
fn a_bad_sector_is_unreadable_until_it_is_written_whole() {
    let (system, handle, file) = with_file("a", &[1; 3 * SECTOR]);
    let bad = |offset| DiskFault::BadSector {
        file: "a".into(),
        offset,
    };
    let (id, effect) = system.inject(bad(SECTOR as u64 + 7)).unwrap();
    let mut sector = [0; SECTOR];
    file.read_exact_at(&mut sector, 0).unwrap();
    file.read_exact_at(&mut sector, 2 * SECTOR as u64).unwrap();
    assert!(!effect.took_effect());
    let unreadable = |offset: u64, len: usize| {
        let error = file.read_exact_at(&mut vec![0; len], offset).unwrap_err();
        assert!(is_bad_sector(&error), "{error}");
    };
    unreadable(SECTOR as u64, 1);
    unreadable(SECTOR as u64 - 1, SECTOR + 2);
    assert!(effect.took_effect());
    // Neither part of a sector, nor healing, nor a power loss mends it; a copy of the disk has it, too.
    file.write_all_at(&[2; SECTOR - 1], SECTOR as u64).unwrap();
    assert!(system.heal(id));
    system.lose_power();
    unreadable(SECTOR as u64 + 100, 1);
    let (copy, _) = system.copy().handle();
    let error = copy.open("a").unwrap().read_exact_at(&mut sector, SECTOR as u64);
    assert!(is_bad_sector(&error.unwrap_err()));
    file.write_all_at(&[3; 2 * SECTOR], SECTOR as u64).unwrap();
    assert_eq!(content(&handle, "a")[SECTOR..], [3; 2 * SECTOR]);
    assert!(system.inject(bad(3 * SECTOR as u64)).is_err());
    // Of the last sector, what the file has is all there is; and what is cut off is gone.
    system.inject(bad(3 * SECTOR as u64 - 1)).unwrap();
    file.set_len(2 * SECTOR as u64).unwrap();
    file.set_len(3 * SECTOR as u64).unwrap();
    file.read_exact_at(&mut sector, 2 * SECTOR as u64).unwrap();
}

/// What mends a bad sector is unsynced like any write: without power it is as bad as before.
#[test]
fn a_bad_sector_is_mended_for_good_once_its_writing_is_synced() {
    let bad = |sector: usize| DiskFault::BadSector {
        file: "a".into(),
        offset: (sector * SECTOR) as u64,
    };
    let is_bad = |file: &SimFile, sector: usize| {
        let read = file.read_exact_at(&mut [0; SECTOR], (sector * SECTOR) as u64);
        read.is_err_and(|error| is_bad_sector(&error))
    };
    let (system, _, file) = with_file("a", &[1; 3 * SECTOR]);
    system.inject(bad(1)).unwrap();
    system.inject(bad(2)).unwrap();
    file.write_all_at(&[2; SECTOR], SECTOR as u64).unwrap();
    file.set_len(2 * SECTOR as u64).unwrap();
    assert!(!is_bad(&file, 1));
    system.lose_power();
    assert!(is_bad(&file, 1));
    assert!(is_bad(&file, 2), "what was cut off is there again");
    file.write_all_at(&[2; 2 * SECTOR], SECTOR as u64).unwrap();
    file.sync().unwrap();
    system.lose_power();
    assert!(!is_bad(&file, 1) && !is_bad(&file, 2));
    // A sector that the file did not durably have is gone with it.
    file.write_all_at(&[3; SECTOR], 3 * SECTOR as u64).unwrap();
    system.inject(bad(3)).unwrap();
    system.lose_power();
    file.write_all_at(&[3; SECTOR], 3 * SECTOR as u64).unwrap();
    assert!(!is_bad(&file, 3));
}

#[test]
fn of_torn_writes_those_that_survive_mend_their_sectors() {
    let (mut mended, mut bad) = (0, 0);
    for seed in 0..20 {
        let system = SystemDisk::new(
            (Duration::ZERO, Duration::ZERO),
            Streams::new(seed).stream("disk"),
        );
        let (handle, _) = system.handle();
        let file = handle.create("a").unwrap();
        file.write_all_at(&[1; SECTOR], 0).unwrap();
        file.sync().unwrap();
        handle.sync_dir().unwrap();
        let (name, offset) = ("a".to_owned(), 0);
        system
            .inject(DiskFault::BadSector {
                file: name.clone(),
                offset,
            })
            .unwrap();
        let keep = Torn::Scattered;
        system.inject(DiskFault::TornWrites { keep, file: name }).unwrap();
        file.write_all_at(&[2; SECTOR], 0).unwrap();
        system.lose_power();
        let mut bytes = [0; SECTOR];
        match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => {
                assert_eq!(
                    bytes, [2; SECTOR],
                    "what was bad can have survived only as it was written"
                );
                mended += 1;
            }
            Err(error) => {
                assert!(is_bad_sector(&error), "{error}");
                bad += 1;
            }
        }
    }
    assert!(mended > 0 && bad > 0, "{mended} mended, {bad} bad");
}

#[test]
fn a_disk_without_a_slow_file_asks_for_no_name() {
    let (system, handle, _) = with_file("a", b"abc");
    let asked = || -> String { panic!("the name does not matter") };
    assert_eq!(handle.latency(asked, 0), Duration::ZERO);
    system
        .inject(DiskFault::FailSyncs {
            count: 1,
            file: "a".into(),
        })
        .unwrap();
    assert_eq!(handle.latency(asked, 0), Duration::ZERO);
}

#[test]
fn errors_and_slowness_strike_as_told() {
    let (system, handle, file) = with_file("data/a", b"abc");
    handle.create("log/a").unwrap();
    let fault = DiskFault::IoErrors {
        count: Some(1),
        file: "data/".into(),
    };
    system.inject(fault).unwrap();
    assert!(handle.open("log/a").is_ok());
    assert!(file.len().is_err());
    assert!(file.len().is_ok());
    assert_eq!(handle.latency(|| "a".into(), 0), Duration::ZERO);
    let (slow, _) = system
        .inject(DiskFault::Slow {
            extra: Duration::from_millis(30),
            file: String::new(),
        })
        .unwrap();
    assert_eq!(handle.latency(|| "a".into(), 2048), Duration::from_micros(30_002));
    system.heal(slow);
    assert_eq!(handle.latency(|| "a".into(), 0), Duration::ZERO);
}

#[test]
fn out_of_range_requests_are_errors() {
    let (_, _, file) = with_file("a", b"abc");
    let mut buf = [0; 4];
    assert_eq!(
        file.read_exact_at(&mut buf, 0).unwrap_err().kind(),
        io::ErrorKind::UnexpectedEof
    );
    assert_eq!(
        file.read_exact_at(&mut buf, u64::MAX).unwrap_err().kind(),
        io::ErrorKind::UnexpectedEof
    );
    assert_eq!(
        file.write_all_at(b"x", u64::MAX).unwrap_err().kind(),
        io::ErrorKind::FileTooLarge
    );
    assert_eq!(
        file.set_len(u64::MAX).unwrap_err().kind(),
        io::ErrorKind::FileTooLarge
    );
}

/// What the volume is to do with one file, spelled out: what is read, and what is on the medium.
#[derive(Default)]
struct Model {
    view: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Step {
    Write { at: usize, len: usize, byte: u8 },
    SetLen(usize),
    Sync,
    LosePower,
    TornPowerLoss,
}

fn step() -> impl Strategy<Value = Step> {
    let write = (0..20_000usize, 0..9_000usize, 1..=255u8);
    prop_oneof![
        6 => write.prop_map(|(at, len, byte)| Step::Write { at, len, byte }),
        2 => (0..20_000usize).prop_map(Step::SetLen),
        2 => Just(Step::Sync),
        1 => Just(Step::LosePower),
        1 => Just(Step::TornPowerLoss),
    ]
}

/// Each sector after a torn power loss is what it was on the medium or what was written, and nothing else.
fn check_torn(model: &Model, after: &[u8]) {
    assert!(after.len() <= model.view.len().max(model.durable.len()));
    let padded = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes.resize(after.len().max(bytes.len()), 0);
        bytes[..after.len()].to_vec()
    };
    let (old, new) = (padded(&model.durable), padded(&model.view));
    for (n, sector) in after.chunks(SECTOR).enumerate() {
        let range = n * SECTOR..n * SECTOR + sector.len();
        let mixed = sector.iter().zip(&new[range.clone()]).zip(&old[range.clone()]);
        let tail_of_old = mixed.into_iter().all(|((is, new), old)| is == new || is == old);
        assert!(
            sector == &old[range.clone()] || sector == &new[range] || tail_of_old,
            "sector {n}"
        );
    }
}

proptest! {
    #[test]
    fn a_file_behaves_as_two_copies_would(steps in proptest::collection::vec(step(), 1..40)) {
        let (system, handle, mut file) = with_file("a", b"");
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Write { at, len, byte } => {
                    file.write_all_at(&vec![byte; len], at as u64).unwrap();
                    if len > 0 {
                        let end = model.view.len().max(at + len);
                        model.view.resize(end, 0);
                        model.view[at..at + len].fill(byte);
                    }
                }
                Step::SetLen(len) => {
                    file.set_len(len as u64).unwrap();
                    model.view.resize(len, 0);
                }
                Step::Sync => {
                    file.sync().unwrap();
                    model.durable.clone_from(&model.view);
                }
                Step::LosePower => {
                    system.lose_power();
                    model.view.clone_from(&model.durable);
                }
                Step::TornPowerLoss => {
                    let (torn, _) = system.inject(DiskFault::TornWrites { keep: Torn::Scattered, file: String::new() }).unwrap();
                    system.lose_power();
                    system.heal(torn);
                    let after = content(&handle, "a");
                    check_torn(&model, &after);
                    model.view.clone_from(&after);
                    model.durable = after;
                }
            }
            file = handle.open("a").unwrap();
            prop_assert_eq!(content(&handle, "a"), &model.view[..]);
        }
    }
}
