//! One instance's part of its system's disk: a folder for what is its own, the rest shared.

use std::io;
use std::time::Duration;

use crate::driver::disk::Disk;
use crate::sim::world::{SimDisk, SimFile};

/// Names that T-SQL gave as paths; `driver::store` keeps them here.
const SHARED: &str = "files/";

/// A disk that keeps names other than T-SQL's paths in a folder of the instance.
#[derive(Debug, Clone)]
pub(super) struct InstanceDisk {
    disk: SimDisk,
    folder: String,
}

impl InstanceDisk {
    pub(super) fn new(disk: SimDisk, instance: &str) -> Self {
        InstanceDisk {
            disk,
            folder: format!("instances/{}", instance.to_lowercase()),
        }
    }

    fn name(&self, name: &str) -> String {
        match name.starts_with(SHARED) {
            true => name.to_owned(),
            false => format!("{}/{name}", self.folder),
        }
    }
}

impl Disk for InstanceDisk {
    type File = SimFile;

    fn open(&self, name: &str) -> io::Result<SimFile> {
        self.disk.open(&self.name(name))
    }

    fn create(&self, name: &str) -> io::Result<SimFile> {
        self.disk.create(&self.name(name))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(&self.name(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir()
    }

    fn latency(&self, name: impl FnOnce() -> String, bytes: usize) -> Duration {
        self.disk.latency(|| self.name(&name()), bytes)
    }

    fn is_cut_off(&self) -> bool {
        self.disk.is_cut_off()
    }
}
