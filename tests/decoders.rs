//! Every decoder against whatever bytes: arbitrary ones, mutated and cut genuine ones. None panics, none asks for memory
//! out of proportion to its input, and what is read can be written and read again (the entry points say so).
//!
//! The seeds under `fuzz/corpus` are the genuine input: each is as it would be made today, and is understood.

#[path = "../fuzz/entry/mod.rs"]
mod entry;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use entry::Decoder;

/// Set it to rewrite the seeds instead of comparing them.
const REWRITE: &str = "MIRRORLAB_REWRITE_CORPUS";

/// Memory that a decoder may hold at once, whatever its input, and for each byte of it. The largest genuine need is a
/// frame's buffer and an instance; a length that is believed asks for gigabytes.
const HELD_BYTES_MAX: usize = 48 << 20;
const HELD_PER_BYTE_MAX: usize = 512;

/// Counts what each thread holds.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    // A thread that is being taken down counts no more.
    let held = HELD.try_with(|held| {
        held.set(held.get() + change);
        held.get()
    });
    if let Ok(held) = held {
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held)));
    }
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs one input within its bound of memory.
fn run(decoder: &Decoder, bytes: &[u8]) -> bool {
    let before = HELD.get();
    PEAK.set(before);
    let understood = (decoder.run)(bytes);
    let asked = usize::try_from(PEAK.get() - before).unwrap_or(0);
    let bound = HELD_BYTES_MAX + HELD_PER_BYTE_MAX * bytes.len();
    assert!(
        asked <= bound,
        "{}: {asked} bytes of memory for {} of input",
        decoder.name,
        bytes.len()
    );
    understood
}

fn folder(decoder: &Decoder) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(decoder.name)
}

/// The committed seeds are those that would be made today, and are understood.
fn seeds(decoder: &Decoder) -> Vec<Vec<u8>> {
    let folder = folder(decoder);
    let seeds = (decoder.seeds)();
    assert!(!seeds.is_empty(), "{}", decoder.name);
    if std::env::var_os(REWRITE).is_some() {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        for (name, bytes) in &seeds {
            std::fs::write(folder.join(name), bytes).expect("the seed can be written");
        }
    }
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .map(|files| {
            files
                .filter_map(|f| f.ok()?.file_name().into_string().ok())
                .collect()
        })
        .unwrap_or_default();
    names.sort();
    let mut expected: Vec<String> = seeds.iter().map(|(name, _)| name.clone()).collect();
    expected.sort();
    let stale = format!(
        "{} is stale; rewrite it with: {REWRITE}=1 cargo test --test decoders",
        folder.display()
    );
    assert_eq!(names, expected, "{stale}");
    for (name, bytes) in &seeds {
        assert!(
            std::fs::read(folder.join(name)).ok().as_ref() == Some(bytes),
            "{name}: {stale}"
        );
        assert!(
            run(decoder, bytes),
            "{}: the seed {name} is not understood",
            decoder.name
        );
    }
    seeds.into_iter().map(|(_, bytes)| bytes).collect()
}

/// One change of a genuine input; places and lengths are taken modulo its length.
#[derive(Debug, Clone)]
enum Change {
    Flip(usize, u8),
    Set(usize, u8),
    Word(usize, u32, bool),
    Cut(usize),
    Remove(usize, usize),
    Repeat(usize, usize),
    Insert(usize, Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    let extreme = prop_oneof![
        Just(u32::MAX),
        Just(u32::MAX - 1),
        Just(i32::MAX as u32),
        Just(0),
        Just(1 << 20),
        any::<u32>()
    ];
    prop_oneof![
        3 => (any::<usize>(), 0u8..8).prop_map(|(at, bit)| Change::Flip(at, 1 << bit)),
        3 => (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        2 => (any::<usize>(), extreme, any::<bool>()).prop_map(|(at, word, big)| Change::Word(at, word, big)),
        1 => any::<usize>().prop_map(Change::Cut),
        1 => (any::<usize>(), 1usize..16).prop_map(|(at, count)| Change::Remove(at, count)),
        1 => (any::<usize>(), 1usize..64).prop_map(|(at, count)| Change::Repeat(at, count)),
        1 => (any::<usize>(), prop::collection::vec(any::<u8>(), 1..24)).prop_map(|(at, b)| Change::Insert(at, b)),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let length = bytes.len();
        if length == 0 {
            return bytes;
        }
        match change {
            Change::Flip(at, bit) => bytes[at % length] ^= bit,
            Change::Set(at, byte) => bytes[at % length] = *byte,
            Change::Word(at, word, big) => {
                let word = if *big {
                    word.to_be_bytes()
                } else {
                    word.to_le_bytes()
                };
                let at = at % length;
                let end = (at + 4).min(length);
                bytes[at..end].copy_from_slice(&word[..end - at]);
            }
            Change::Cut(at) => bytes.truncate(at % length),
            Change::Remove(at, count) => drop(bytes.drain(at % length..(at % length + count).min(length))),
            Change::Repeat(at, count) => {
                let part = bytes[at % length..(at % length + count).min(length)].to_vec();
                bytes.splice(at % length..at % length, part);
            }
            Change::Insert(at, inserted) => drop(bytes.splice(at % length..at % length, inserted.clone())),
        }
    }
    bytes
}

/// Fixed, so that a check fails for everybody or for nobody; the fuzzing targets look further.
fn runner(cases: u32) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[11; 32]))
}

fn check(name: &str) {
    let decoder = entry::ALL.iter().find(|d| d.name == name).expect("in the table");
    let seeds = seeds(decoder);
    for seed in &seeds {
        // Every length of a short one, a hundred of a long one.
        let step = seed.len() / 100 + 1;
        for end in (0..seed.len()).step_by(step * (2_000 / decoder.cases.min(2_000)).max(1) as usize) {
            run(decoder, &seed[..end]);
        }
    }
    let arbitrary = prop::collection::vec(any::<u8>(), 0..300);
    runner(decoder.cases / 2)
        .run(&arbitrary, |bytes| {
            run(decoder, &bytes);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{name}: {failure}"));
    let mutated = (prop::sample::select(seeds), prop::collection::vec(change(), 1..6));
    runner(decoder.cases)
        .run(&mutated, |(seed, changes)| {
            run(decoder, &changed(seed, &changes));
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{name}: {failure}"));
}

macro_rules! decoders {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*

        #[test]
        fn every_decoder_has_its_test_and_its_fuzzing_target() {
            let tested = [$(stringify!($name)),*];
            let listed: Vec<&str> = entry::ALL.iter().map(|d| d.name).collect();
            assert_eq!(listed, tested);
            let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz");
            let manifest = std::fs::read_to_string(root.join("Cargo.toml")).expect("the manifest is there");
            for name in tested {
                let target = format!("fuzz_targets/{name}.rs");
                let text = std::fs::read_to_string(root.join(&target)).unwrap_or_default();
                assert!(text.contains(&format!("entry::run(\"{name}\", bytes)")), "{target}");
                assert!(manifest.contains(&target), "{target} is not in fuzz/Cargo.toml");
            }
        }
    };
}

decoders! {
    frames client_requests client_responses login_messages session_messages records controller_frames controller ntlm
    kerberos log_blocks log_files data_files catalog backups certificates private_keys statements batches scenarios words
}
