//! The second opinion on the simulated disk: `turmoil-fs`, where both promise the same.
//!
//! Both run the same sequences of create, write, sync, sync of the directory and power loss. Removing and truncating are
//! left out, because there `turmoil-fs` differs from any real file system: it shows the old content of a file that was
//! removed and created again, and reads back what was truncated. Faults are left out because only ours has them.

#![cfg(unix)]

use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mirrorlab::driver::disk::{Disk, DiskFile};
use mirrorlab::sim::world::{SimDisk, Streams, SystemDisk};
use proptest::prelude::*;
use turmoil_fs::Fs;
use turmoil_fs::shim::std::fs as other;

const NAMES: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
enum Step {
    Create(usize),
    Write {
        file: usize,
        at: u64,
        len: usize,
        byte: u8,
    },
    Sync(usize),
    SyncDirectory,
    LosePower,
}

fn step() -> impl Strategy<Value = Step> {
    let file = 0..NAMES.len();
    let write = (file.clone(), 0..9_000u64, 1..5_000usize, 1..=255u8);
    prop_oneof![
        3 => file.clone().prop_map(Step::Create),
        6 => write.prop_map(|(file, at, len, byte)| Step::Write { file, at, len, byte }),
        3 => file.prop_map(Step::Sync),
        2 => Just(Step::SyncDirectory),
        2 => Just(Step::LosePower),
    ]
}

/// What each name holds; `None` is no such file.
type Files = Vec<Option<Vec<u8>>>;

trait Opinion {
    fn create(&self, name: &str) -> io::Result<()>;
    fn write(&self, name: &str, bytes: &[u8], at: u64) -> io::Result<()>;
    fn sync(&self, name: &str) -> io::Result<()>;
    fn sync_directory(&self) -> io::Result<()>;
    fn lose_power(&self);
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Carries a step out; the kind of the error it ended in.
    fn carry_out(&self, step: &Step) -> Result<(), io::ErrorKind> {
        let done = match *step {
            Step::Create(file) => self.create(NAMES[file]),
            Step::Write { file, at, len, byte } => self.write(NAMES[file], &vec![byte; len], at),
            Step::Sync(file) => self.sync(NAMES[file]),
            Step::SyncDirectory => self.sync_directory(),
            Step::LosePower => {
                self.lose_power();
                Ok(())
            }
        };
        done.map_err(|error| error.kind())
    }

    fn files(&self) -> Files {
        let read = |name: &&str| match self.read(name) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => panic!("reading {name}: {error}"),
        };
        NAMES.iter().map(read).collect()
    }
}

struct Ours {
    system: SystemDisk,
    disk: SimDisk,
}

impl Ours {
    fn new() -> Ours {
        let system = SystemDisk::new((Duration::ZERO, Duration::ZERO), Streams::new(7).stream("disk"));
        let (disk, _) = system.handle();
        Ours { system, disk }
    }
}

impl Opinion for Ours {
    fn create(&self, name: &str) -> io::Result<()> {
        self.disk.create(name).map(drop)
    }

    fn write(&self, name: &str, bytes: &[u8], at: u64) -> io::Result<()> {
        self.disk.open(name)?.write_all_at(bytes, at)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.disk.open(name)?.sync()
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.disk.sync_dir()
    }

    fn lose_power(&self) {
        self.system.lose_power();
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let file = self.disk.open(name)?;
        let length = usize::try_from(file.len()?).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}

struct Theirs(Fs);

impl Theirs {
    fn new() -> Theirs {
        let theirs = Theirs(Fs::builder().seed(7).build());
        let _current = theirs.0.enter();
        other::create_dir_all(FOLDER).expect("a new file system takes a folder");
        other::sync_dir("/").expect("its root can be synced");
        theirs
    }

    fn open(&self, name: &str) -> io::Result<other::File> {
        other::OpenOptions::new().read(true).write(true).open(path(name))
    }
}

const FOLDER: &str = "/disk";

fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

impl Opinion for Theirs {
    fn create(&self, name: &str) -> io::Result<()> {
        let _current = self.0.enter();
        let mut options = other::OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create_new(true)
            .open(path(name))
            .map(drop)
    }

    fn write(&self, name: &str, bytes: &[u8], at: u64) -> io::Result<()> {
        let _current = self.0.enter();
        self.open(name)?.write_all_at(bytes, at)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        let _current = self.0.enter();
        self.open(name)?.sync_all()
    }

    fn sync_directory(&self) -> io::Result<()> {
        let _current = self.0.enter();
        other::sync_dir(FOLDER)
    }

    fn lose_power(&self) {
        self.0.crash();
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let _current = self.0.enter();
        other::read(path(name))
    }
}

proptest! {
    #[test]
    fn both_disks_keep_the_same(steps in proptest::collection::vec(step(), 1..60)) {
        let (ours, theirs) = (Ours::new(), Theirs::new());
        for (n, step) in steps.iter().enumerate() {
            prop_assert_eq!(ours.carry_out(step), theirs.carry_out(step), "step {}: {:?}", n, step);
            prop_assert_eq!(ours.files(), theirs.files(), "after step {}: {:?}", n, step);
        }
    }
}

#[test]
fn both_disks_keep_what_was_synced_and_lose_the_rest() {
    let write = |file, at, byte| Step::Write {
        file,
        at,
        len: 4,
        byte,
    };
    let steps = [
        Step::Create(0),
        write(0, 0, 1),
        Step::Sync(0),
        Step::SyncDirectory,
        write(0, 2, 2),
        Step::Create(1),
        write(1, 0, 3),
        Step::Sync(1),
        Step::Create(0),
        Step::Sync(2),
    ];
    let opinions: [&dyn Opinion; 2] = [&Ours::new(), &Theirs::new()];
    for opinion in opinions {
        let outcomes: Vec<_> = steps.iter().map(|step| opinion.carry_out(step)).collect();
        assert_eq!(outcomes[..8], [Ok(()); 8]);
        assert_eq!(
            outcomes[8..],
            [Err(io::ErrorKind::AlreadyExists), Err(io::ErrorKind::NotFound)]
        );
        assert_eq!(
            opinion.files(),
            [Some(vec![1, 1, 2, 2, 2, 2]), Some(vec![3; 4]), None]
        );
        opinion.lose_power();
        assert_eq!(opinion.files(), [Some(vec![1; 4]), None, None]);
    }
}
