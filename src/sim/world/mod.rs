//! The event-driven world: systems on a simulated network, in virtual time, without ticks.
//!
//! One paused current-thread tokio runtime drives everything. [`World::run`] builds a world, runs a root future in it
//! (the scenario) and takes it down; the root adds systems, spawns processes, sleeps until its steps and breaks things.
//! Worlds may follow each other on a thread and run on several threads at once; the same seed gives the same run.
//!
//! * `scheduler` polls the root and the processes in the order they were woken, then moves packets on the `wire`.
//! * `power` ends and pauses processes and systems; `breaking` breaks and heals what is around them.
//! * `process` is one instance or client; `system` is what it runs on: `firewall`, `disk`, wall clock, power.
//! * `net`, `disk`, `clock` and `entropy` are the four seams of the driver; `streams` is all randomness there is.
//!
//! Time has microseconds, timers have milliseconds: whatever waits goes on at the next whole millisecond.

mod breaking;
mod clock;
mod counters;
mod disk;
mod entropy;
mod fault;
mod firewall;
mod names;
mod net;
mod power;
mod process;
mod scheduler;
mod shell;
mod streams;
mod system;
mod wire;

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use tokio::task::LocalSet;
use tokio::time::Instant;
use turmoil_net::{EnterGuard, KernelConfig};

use crate::types::{Event, Source, Stamped, Timestamp, WallTime};

pub use clock::SimClock;
pub use counters::{Counters, Effect};
pub use disk::{DeadSwitch, DiskFault, SECTOR, SimDisk, SimFile, SystemDisk, Torn};
pub use entropy::SimEntropy;
pub use fault::FaultHandle;
pub use firewall::{Action, Direction, Rule, RuleHandle};
pub use net::{CONNECT_DEADLINE, SimListener, SimNet, SimRead, SimStream, SimWrite};
pub use process::ProcessEnv;
pub use streams::Streams;
pub use system::{ClockSetting, SystemConfig, SystemId};
pub use wire::{Attack, Fate, GIVE_UP, LatencyRange, Meddling, RETRY_FIRST, RETRY_MOST, Tap, Tapped};

use firewall::Firewall;
pub(in crate::sim) use names::Names;
pub(in crate::sim) use process::watched;
use process::{Process, Ready, State, Wakeup};
use scheduler::Scheduler;
use system::System;
pub(in crate::sim) use system::WallClock;
use wire::Wire;

/// True time at the beginning of a run, unless it says otherwise: 1 January 2026 at midnight.
pub const EPOCH: WallTime = WallTime::from_unix_secs(1_767_225_600);

/// What a world starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorldConfig {
    pub seed: u64,
    /// Of each packet between two systems.
    pub latency: LatencyRange,
    /// Of each disk operation.
    pub disk_latency: LatencyRange,
    /// True time at the beginning of the run.
    pub epoch: WallTime,
}

impl WorldConfig {
    /// Latency 1 to 10 ms, disk latency 0.2 to 1 ms, 1 January 2026 at midnight.
    pub fn new(seed: u64) -> Self {
        WorldConfig {
            seed,
            latency: (Duration::from_millis(1), Duration::from_millis(10)),
            disk_latency: (Duration::from_micros(200), Duration::from_millis(1)),
            epoch: EPOCH,
        }
    }
}

/// Why a world could not be built or a run did not end well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorldError {
    #[error("a world needs a runtime of its own: call `World::run` outside of tokio and of another world")]
    Nested,
    #[error("the runtime cannot be built: {0}")]
    Runtime(String),
    #[error("system '{0}' exists already; names are compared without regard to case")]
    SystemExists(String),
    #[error("system '{0}' comes too late: add every system before the first process")]
    Started(String),
    #[error("system '{0}' is one too many: a world has at most {SYSTEMS_MAX}")]
    TooManySystems(String),
    #[error("system '{system}' has no power; process '{process}' cannot start there")]
    NoPower { system: String, process: String },
    #[error("no system is called '{0}'")]
    NoSuchName(String),
    #[error("process '{process}' panicked at {at}: {message}")]
    Panicked {
        process: String,
        at: Timestamp,
        message: String,
    },
}

/// A world has at most this many systems.
pub const SYSTEMS_MAX: usize = 250;

/// A process of one world, numbered in the order of `spawn`. A restarted process has another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessId(pub(in crate::sim) u32);

/// A cheap handle of one world; clones are the same world. Use it only inside the `run` that made it.
#[derive(Clone)]
pub struct World(Rc<Inner>);

struct Inner {
    config: WorldConfig,
    streams: Streams,
    start: Instant,
    over: Cell<bool>,
    kernels: RefCell<Kernels>,
    systems: RefCell<Vec<System>>,
    names: RefCell<Names>,
    clock_faults: RefCell<BTreeMap<SystemId, Effect>>,
    wire: RefCell<Wire>,
    counters: RefCell<Counters>,
    tap: RefCell<Option<Tap>>,
    processes: RefCell<Vec<Process>>,
    /// Starts so far of each process name.
    starts: RefCell<BTreeMap<String, u64>>,
    ready: Arc<Ready>,
    events: RefCell<Vec<Stamped>>,
    observer: RefCell<Option<Observer>>,
}

/// Called with every event instead of keeping it. Must not emit events itself.
pub type Observer = Box<dyn FnMut(Stamped)>;

/// The kernels of all systems; a kernel cannot be added once they are in force.
enum Kernels {
    Planned(Box<turmoil_net::Net>),
    InForce(EnterGuard),
    Gone,
}

/// Running and building.
impl World {
    /// Builds a world, runs `root` in it to its end, ends every process and takes the world down.
    ///
    /// Fails if called inside a tokio runtime, or if a task of a process (or one spawned by the root) panicked. A panic
    /// of the root itself goes on to the caller.
    pub fn run<T>(config: WorldConfig, root: impl AsyncFnOnce(World) -> T) -> Result<T, WorldError> {
        if tokio::runtime::Handle::try_current().is_ok() {
            return Err(WorldError::Nested);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .map_err(|error| WorldError::Runtime(error.to_string()))?;
        let _inside = runtime.enter();
        let world = World::new(config);
        let _teardown = Teardown(world.clone());
        let tasks = LocalSet::new();
        let root = tokio::task::unconstrained(tasks.run_until(root(world.clone())));
        runtime.block_on(Scheduler::new(world, root))
    }

    /// Adds a system; its name, and its name with the suffix, resolve from now on.
    ///
    /// Fails for a name that is taken, after the first process was spawned, and beyond `SYSTEMS_MAX`.
    pub fn add_system(&self, config: SystemConfig) -> Result<SystemId, WorldError> {
        let mut systems = self.0.systems.borrow_mut();
        if systems
            .iter()
            .any(|system| system.name.eq_ignore_ascii_case(&config.name))
        {
            return Err(WorldError::SystemExists(config.name));
        }
        if systems.len() >= SYSTEMS_MAX {
            return Err(WorldError::TooManySystems(config.name));
        }
        let Kernels::Planned(net) = &mut *self.0.kernels.borrow_mut() else {
            return Err(WorldError::Started(config.name));
        };
        let id = SystemId(u16::try_from(systems.len()).unwrap_or(u16::MAX));
        let host = net.add_host(IpAddr::from(id.ip()));
        let mut names = self.0.names.borrow_mut();
        names.set(&config.name, id);
        if let Some(suffix) = &config.dns_suffix {
            names.set(&format!("{}.{suffix}", config.name), id);
        }
        let rng = self
            .0
            .streams
            .stream(&format!("disk/{}", config.name.to_ascii_lowercase()));
        systems.push(System {
            disk: SystemDisk::new(self.0.config.disk_latency, rng),
            name: config.name,
            host,
            up: true,
            firewall: Firewall::default(),
            clock: WallClock::new(config.clock, self.now()),
        });
        Ok(id)
    }

    /// Starts a process on a system. Several processes of one system share its address, firewall, clock and disk.
    ///
    /// `main` is called when the process is first polled. Fails if the system has no power.
    pub fn spawn<F>(
        &self,
        system: SystemId,
        name: &str,
        main: impl FnOnce(ProcessEnv) -> F + 'static,
    ) -> Result<ProcessId, WorldError>
    where
        F: Future<Output = ()> + 'static,
    {
        self.put_in_force();
        let (disk, dead) = {
            let systems = self.0.systems.borrow();
            let home = &systems[system.index()];
            if !home.up {
                return Err(WorldError::NoPower {
                    system: home.name.clone(),
                    process: name.to_owned(),
                });
            }
            home.disk.handle()
        };
        let env = ProcessEnv {
            name: name.to_owned(),
            system,
            net: SimNet {
                world: self.clone(),
                system,
            },
            disk,
            clock: self.clock(system),
            entropy: self.next_entropy(name),
            world: self.clone(),
        };
        let done = Rc::new(Cell::new(false));
        let tasks = LocalSet::new();
        let ended = done.clone();
        drop(tasks.spawn_local(async move {
            main(env).await;
            ended.set(true);
        }));
        let mut processes = self.0.processes.borrow_mut();
        let id = ProcessId(u32::try_from(processes.len()).unwrap_or(u32::MAX - 1));
        let wakeup = Wakeup::new(id, self.0.ready.clone());
        wakeup.queue();
        processes.push(Process {
            name: name.to_owned(),
            system,
            state: State::Running,
            tasks: Some(tasks),
            waker: Waker::from(wakeup.clone()),
            wakeup,
            dead,
            done,
        });
        self.count(|counters| counters.processes_started += 1);
        Ok(id)
    }

    fn new(config: WorldConfig) -> World {
        let streams = Streams::new(config.seed);
        // Buffers are large because a full one can leave a closed window for ever; queues are bounded in the protocol.
        let kernel = KernelConfig::default()
            .retx_threshold(u32::MAX)
            .default_backlog(usize::from(u16::MAX))
            .send_buf_cap(SEND_BYTES_MAX)
            .recv_buf_cap(RECEIVE_BYTES_MAX);
        World(Rc::new(Inner {
            streams,
            start: Instant::now(),
            over: Cell::new(false),
            kernels: RefCell::new(Kernels::Planned(Box::new(turmoil_net::Net::with_config(kernel)))),
            systems: RefCell::default(),
            names: RefCell::default(),
            clock_faults: RefCell::default(),
            wire: RefCell::new(Wire::new(streams, config.latency)),
            counters: RefCell::default(),
            tap: RefCell::default(),
            processes: RefCell::default(),
            starts: RefCell::default(),
            ready: Arc::default(),
            events: RefCell::default(),
            observer: RefCell::default(),
            config,
        }))
    }

    fn put_in_force(&self) {
        let mut kernels = self.0.kernels.borrow_mut();
        *kernels = match std::mem::replace(&mut *kernels, Kernels::Gone) {
            Kernels::Planned(net) => Kernels::InForce(net.enter()),
            other => other,
        };
    }

    fn next_entropy(&self, name: &str) -> SimEntropy {
        let mut starts = self.0.starts.borrow_mut();
        let start = starts.entry(name.to_owned()).or_default();
        let entropy = SimEntropy::new(&self.0.streams, name, *start);
        *start += 1;
        entropy
    }
}

/// A writer waits while this much is unacknowledged.
const SEND_BYTES_MAX: usize = 4 << 20;

/// What a receiver that reads nothing (a paused process) may collect; a connection that reaches it stays blocked.
const RECEIVE_BYTES_MAX: usize = 64 << 20;

/// Looking.
impl World {
    pub fn now(&self) -> Timestamp {
        Timestamp::ZERO + (Instant::now() - self.0.start)
    }

    /// Returns at `at`, at once if it has passed. Everything else goes on meanwhile.
    pub async fn run_until(&self, at: Timestamp) {
        if at > self.now() {
            tokio::time::sleep_until(self.instant(at)).await;
        }
    }

    pub async fn run_for(&self, duration: Duration) {
        self.run_until(self.now() + duration).await;
    }

    /// The run's randomness, for whoever wants a stream of its own.
    pub fn streams(&self) -> Streams {
        self.0.streams
    }

    pub fn clock(&self, system: SystemId) -> SimClock {
        SimClock {
            world: self.clone(),
            system,
        }
    }

    pub fn system_name(&self, system: SystemId) -> String {
        self.0.systems.borrow()[system.index()].name.clone()
    }

    /// The system a host name or address means now, if any.
    pub fn find_system(&self, host: &str) -> Option<SystemId> {
        let id = SystemId::from_ip(self.lookup(host)?)?;
        (id.index() < self.0.systems.borrow().len()).then_some(id)
    }

    pub fn is_alive(&self, process: ProcessId) -> bool {
        matches!(self.state(process), Some(State::Running | State::Paused))
    }

    pub fn is_up(&self, system: SystemId) -> bool {
        self.0.systems.borrow()[system.index()].up
    }

    pub fn counters(&self) -> Counters {
        let mut counters = *self.0.counters.borrow();
        for system in self.0.systems.borrow().iter() {
            counters.disk_syncs += system.disk.syncs();
            counters.disk_faults += system.disk.faults_felt();
        }
        counters
    }

    /// The disk of a system, for looking at files and for faults beyond `break_disk`.
    pub fn disk(&self, system: SystemId) -> SystemDisk {
        self.0.systems.borrow()[system.index()].disk.clone()
    }

    /// Adds an event to the run's record, stamped with the world's time.
    pub fn emit(&self, source: Source, event: impl Into<Event>) {
        let stamped = Stamped {
            at: self.now(),
            source,
            event: event.into(),
        };
        match &mut *self.0.observer.borrow_mut() {
            Some(observer) => observer(stamped),
            None => self.0.events.borrow_mut().push(stamped),
        }
    }

    /// Takes the events kept so far.
    pub fn take_events(&self) -> Vec<Stamped> {
        self.0.events.take()
    }

    /// Hands every further event to `observer` instead of keeping it.
    pub fn observe(&self, observer: Observer) {
        *self.0.observer.borrow_mut() = Some(observer);
    }

    /// Shows every further packet to `tap`, in place of an earlier one.
    pub fn tap(&self, tap: Tap) {
        *self.0.tap.borrow_mut() = Some(tap);
    }
}

impl ProcessId {
    fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Ends every process and takes the kernels down, also when the root panics.
struct Teardown(World);

impl Drop for Teardown {
    fn drop(&mut self) {
        let world = &self.0;
        let count = world.0.processes.borrow().len();
        for index in 0..count {
            world.kill(ProcessId(u32::try_from(index).unwrap_or(u32::MAX)));
        }
        world.0.over.set(true);
        *world.0.tap.borrow_mut() = None;
        *world.0.observer.borrow_mut() = None;
        *world.0.kernels.borrow_mut() = Kernels::Gone;
    }
}
