//! What a scenario needs of the world it is played in: processes, faults, batches, clients, time.
//!
//! The simulated world implements it for real runs, a fake for the tests of `script`. Events go to the `Recorder` the
//! stage was made with; a stage emits `ProcessStarted`, `ProcessKilled`, `SystemDown` and `SystemUp` itself, and whatever
//! instances and clients observe. Source: ours.

use std::collections::BTreeMap;
use std::time::Duration;

use super::client::ADMINISTRATOR;
use super::fault::Fault;
use super::oracle::CopyAtEnd;
use super::topology::ClientSpec;
use crate::types::{DatabaseName, InstanceName, Reply, Timestamp};

/// A fault that was fired, by its number in the run.
pub type FaultId = u32;

/// Longest a scenario's own batch may take before the run counts it as failed.
pub const BATCH_TIMEOUT: Duration = Duration::from_secs(60);

/// The world of one run. One thread; futures need not be `Send`.
#[expect(
    async_fn_in_trait,
    reason = "single-threaded by design; no Send bound is wanted"
)]
pub trait Stage {
    fn now(&self) -> Timestamp;

    async fn sleep_until(&self, at: Timestamp);

    /// Start the processes of all instances.
    ///
    /// # Errors
    /// If one cannot be started.
    fn start_instances(&self) -> Result<(), String>;

    /// Connect to an instance as its administrator, and execute batches as `batches_as` does.
    async fn batches(&self, on: &InstanceName, batches: &[String]) -> (Vec<Reply>, Option<String>) {
        self.batches_as(on, ADMINISTRATOR, batches).await
    }

    /// Connect to an instance as `login`, in `master`, and execute batches in order, up to the first that ends in an
    /// error (a refused login is one): the replies, and why the remaining ones have none (not connected, connection lost,
    /// timed out).
    async fn batches_as(
        &self,
        on: &InstanceName,
        login: &str,
        batches: &[String],
    ) -> (Vec<Reply>, Option<String>);

    /// Copy a file from the disk of one system to that of another, under the same path, durably.
    ///
    /// # Errors
    /// If there is no such file or it cannot be written.
    fn copy_file(&self, path: &str, from: &str, to: &str) -> Result<(), String>;

    /// Begin a fault that will last so long; `None` is until it is healed. `port_of` tells the port an instance's endpoint listens on.
    ///
    /// # Errors
    /// If it cannot be done in this world or at this time; the text says why.
    fn fire(
        &self,
        id: FaultId,
        fault: &Fault,
        lasts: Option<Duration>,
        port_of: &dyn Fn(&InstanceName) -> Option<u16>,
    ) -> Result<(), String>;

    /// Undo what is left of a fault: remove its rules, start what it stopped. Nothing for faults that are over.
    ///
    /// # Errors
    /// If what it stopped cannot be started.
    fn heal(&self, id: FaultId) -> Result<(), String>;

    /// Whether the fault has been seen to change something.
    fn took_effect(&self, id: FaultId) -> bool;

    /// What the files of each copy of a database hold, as a restart would find them; copies that cannot be read are
    /// left out.
    fn copies(&self, database: &DatabaseName) -> BTreeMap<(InstanceName, DatabaseName), CopyAtEnd>;

    /// Begin a client's load; one that runs is begun anew.
    ///
    /// # Errors
    /// If its process cannot be started.
    fn start_client(&self, client: &ClientSpec) -> Result<(), String>;

    /// End a client's load after the transaction under way; nothing if it does not run.
    fn stop_client(&self, name: &str);
}
