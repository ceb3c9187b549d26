//! The second opinion: the seams inside `turmoil::Sim`, which ticks every host every millisecond.
//!
//! Other people's scheduler and network, our disk. A system is a turmoil host and runs its processes side by side; the
//! root is a turmoil client. Coarser than [`World`](super::world::World): a kill is felt at the next tick; a short cut
//! holds packets back, a long one loses them, and a stream that lived through that stays silent for ever; a system that
//! lost its power is cut off from everybody, so its peers hear nothing even after it is back. A connect into silence
//! waits for its deadline, as it does in the world.

mod net;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, UNIX_EPOCH};

use tokio::sync::Notify;
use tokio::task::LocalSet;

use crate::driver::clock::Clock;
use crate::types::{Event, Now, Source, Stamped, Timestamp};

use super::kernel::{Kernel, Outage, Seams};
use super::world::{
    DeadSwitch, Effect, Names, ProcessId, SYSTEMS_MAX, SimEntropy, Streams, SystemConfig, SystemDisk,
    SystemId, WallClock, WorldConfig, WorldError, watched,
};

pub use net::{ReferenceListener, ReferenceNet, ReferenceRead, ReferenceStream, ReferenceWrite};

/// A handle of one simulation; clones are the same simulation.
#[derive(Clone)]
pub struct Reference(Rc<Inner>);

struct Inner {
    config: WorldConfig,
    systems: Vec<Host>,
    names: Names,
    processes: RefCell<Vec<Rc<Slot>>>,
    starts: RefCell<BTreeMap<String, u64>>,
    events: RefCell<Vec<Stamped>>,
    commands: RefCell<VecDeque<Command>>,
    /// The cuts in force, by number.
    silences: RefCell<BTreeMap<u64, Silence>>,
    next_silence: Cell<u64>,
    failure: RefCell<Option<WorldError>>,
    /// The time at the last step, for whoever asks from outside of every host.
    now: Cell<Timestamp>,
}

struct Host {
    name: String,
    up: Cell<bool>,
    disk: SystemDisk,
    clock: WallClock,
    arrivals: RefCell<VecDeque<Running>>,
    arrived: Notify,
}

/// What can only be done between two steps.
enum Command {
    Crash(SystemId),
    Bounce(SystemId),
}

/// A cut between two systems; it knows whether something was sent into it. Clones are the same cut.
#[derive(Debug, Clone)]
pub struct Silence {
    number: u64,
    /// The lower first.
    between: (SystemId, SystemId),
    outage: Outage,
    effect: Effect,
}

impl Silence {
    /// Whether one of the two systems sent something to the other.
    pub fn took_effect(&self) -> bool {
        self.effect.took_effect()
    }
}

/// What the simulation knows of a process.
struct Slot {
    name: String,
    system: SystemId,
    ended: Cell<bool>,
    paused: Cell<bool>,
    dead: DeadSwitch,
    waker: RefCell<Option<Waker>>,
}

/// A process as a task of its host: polls its own tasks until they end or it is killed.
struct Running {
    kernel: Reference,
    slot: Rc<Slot>,
    tasks: LocalSet,
    done: Rc<Cell<bool>>,
}

impl Kernel for Reference {
    type Net = ReferenceNet;
    type Clock = ReferenceClock;
    type Cut = Silence;

    fn play<T: 'static>(
        config: WorldConfig,
        systems: Vec<SystemConfig>,
        root: impl AsyncFnOnce(Reference) -> T + 'static,
    ) -> Result<T, WorldError> {
        if tokio::runtime::Handle::try_current().is_ok() {
            return Err(WorldError::Nested);
        }
        let mut sim = builder(&config).build();
        let kernel = Reference::new(config, systems)?;
        for index in 0..kernel.0.systems.len() {
            let kernel = kernel.clone();
            sim.host(system_at(index).ip(), move || kernel.clone().host_main(index));
        }
        let result = Rc::new(RefCell::new(None));
        let (slot, own) = (result.clone(), kernel.clone());
        sim.client(ROOT_IP, async move {
            let value = own.clone().watch("scenario", root(own)).await;
            *slot.borrow_mut() = Some(value);
            Ok(())
        });
        loop {
            let ended = sim.step().map_err(|error| kernel.failed(&error.to_string()))?;
            if let Some(error) = kernel.0.failure.take() {
                return Err(error);
            }
            kernel.0.now.set(Timestamp::ZERO + sim.elapsed());
            if ended && let Some(value) = result.borrow_mut().take() {
                return Ok(value);
            }
            while let Some(command) = kernel.next_command() {
                match command {
                    Command::Crash(system) => sim.crash(system.ip()),
                    Command::Bounce(system) => sim.bounce(system.ip()),
                }
            }
        }
    }

    fn find(&self, host: &str) -> Option<SystemId> {
        self.system_of(self.0.names.lookup(host)?)
    }

    fn start<F: Future<Output = ()> + 'static>(
        &self,
        system: SystemId,
        name: &str,
        main: impl FnOnce(Seams<Reference>) -> F + 'static,
    ) -> Result<ProcessId, WorldError> {
        let host = &self.0.systems[system.index()];
        if !host.up.get() {
            return Err(WorldError::NoPower {
                system: host.name.clone(),
                process: name.to_owned(),
            });
        }
        let (disk, dead) = host.disk.handle();
        let seams = Seams {
            name: name.to_owned(),
            system,
            net: ReferenceNet {
                kernel: self.clone(),
                system,
            },
            disk,
            clock: ReferenceClock {
                kernel: self.clone(),
                system,
            },
            entropy: self.next_entropy(name),
            kernel: self.clone(),
        };
        let slot = Rc::new(Slot {
            name: name.to_owned(),
            system,
            ended: Cell::new(false),
            paused: Cell::new(false),
            dead,
            waker: RefCell::default(),
        });
        let (tasks, done) = (LocalSet::new(), Rc::new(Cell::new(false)));
        let ended = done.clone();
        drop(tasks.spawn_local(async move {
            main(seams).await;
            ended.set(true);
        }));
        let running = Running {
            kernel: self.clone(),
            slot: slot.clone(),
            tasks,
            done,
        };
        host.arrivals.borrow_mut().push_back(running);
        host.arrived.notify_one();
        let mut processes = self.0.processes.borrow_mut();
        processes.push(slot);
        Ok(ProcessId(u32::try_from(processes.len() - 1).unwrap_or(u32::MAX)))
    }

    fn stop(&self, process: ProcessId) -> bool {
        let processes = self.0.processes.borrow();
        let slot = usize::try_from(process.0)
            .ok()
            .and_then(|index| processes.get(index));
        slot.is_some_and(|slot| slot.end())
    }

    fn runs(&self, process: ProcessId) -> bool {
        let processes = self.0.processes.borrow();
        let slot = usize::try_from(process.0)
            .ok()
            .and_then(|index| processes.get(index));
        slot.is_some_and(|slot| !slot.ended.get())
    }

    fn lose_power(&self, system: SystemId) -> bool {
        let host = &self.0.systems[system.index()];
        if !host.up.replace(false) {
            return false;
        }
        let processes = self.0.processes.borrow();
        for slot in processes.iter().filter(|slot| slot.system == system) {
            slot.dead.kill();
        }
        host.disk.lose_power();
        for slot in processes.iter().filter(|slot| slot.system == system) {
            slot.end();
        }
        host.arrivals.borrow_mut().clear();
        for other in self.others(system) {
            turmoil::partition(system.ip(), other.ip());
        }
        self.0.commands.borrow_mut().push_back(Command::Crash(system));
        true
    }

    fn restore_power(&self, system: SystemId) -> bool {
        if self.0.systems[system.index()].up.replace(true) {
            return false;
        }
        for other in self.others(system) {
            if !self.is_silent(system, other) {
                turmoil::repair(system.ip(), other.ip());
            }
        }
        self.0.commands.borrow_mut().push_back(Command::Bounce(system));
        true
    }

    fn separate(&self, a: SystemId, b: SystemId, outage: Outage) -> Silence {
        let number = self.0.next_silence.get();
        self.0.next_silence.set(number + 1);
        let silence = Silence {
            number,
            between: (a.min(b), a.max(b)),
            outage,
            effect: Effect::default(),
        };
        self.0.silences.borrow_mut().insert(number, silence.clone());
        match outage {
            Outage::Short => turmoil::hold(a.ip(), b.ip()),
            Outage::Long => turmoil::partition(a.ip(), b.ip()),
        }
        silence
    }

    fn mend(&self, silence: Silence) {
        let mended = self.0.silences.borrow_mut().remove(&silence.number);
        let (a, b) = silence.between;
        if mended.is_none() || self.is_silent(a, b) {
            return;
        }
        match silence.outage {
            Outage::Short => turmoil::release(a.ip(), b.ip()),
            Outage::Long => turmoil::repair(a.ip(), b.ip()),
        }
    }

    fn disk_of(&self, system: SystemId) -> SystemDisk {
        self.0.systems[system.index()].disk.clone()
    }

    fn emit(&self, source: Source, event: Event) {
        let at = self.now();
        self.0.events.borrow_mut().push(Stamped { at, source, event });
    }

    fn take_events(&self) -> Vec<Stamped> {
        self.0.events.take()
    }

    fn now(&self) -> Timestamp {
        turmoil::sim_elapsed().map_or(self.0.now.get(), |elapsed| Timestamp::ZERO + elapsed)
    }

    async fn sleep_until(&self, at: Timestamp) {
        let wait = at.since(self.now());
        if wait > Duration::ZERO {
            tokio::time::sleep(wait).await;
        }
    }
}

/// Where the root runs; no system has this address.
const ROOT_IP: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 255, 255, 254);

fn builder(config: &WorldConfig) -> turmoil::Builder {
    let mut builder = turmoil::Builder::new();
    let epoch = u64::try_from(config.epoch.unix_millis()).unwrap_or_default();
    builder
        .rng_seed(config.seed)
        .tick_duration(Duration::from_millis(1))
        .simulation_duration(Duration::from_secs(u64::from(u32::MAX)))
        .min_message_latency(config.latency.0)
        .max_message_latency(config.latency.1)
        .tcp_capacity(65_536)
        .epoch(UNIX_EPOCH + Duration::from_millis(epoch));
    builder
}

fn system_at(index: usize) -> SystemId {
    SystemId(u16::try_from(index).unwrap_or(u16::MAX))
}

impl Reference {
    fn new(config: WorldConfig, configs: Vec<SystemConfig>) -> Result<Reference, WorldError> {
        let streams = Streams::new(config.seed);
        let (mut names, mut systems) = (Names::default(), Vec::<Host>::new());
        for system in configs {
            let id = system_at(systems.len());
            if systems
                .iter()
                .any(|host| host.name.eq_ignore_ascii_case(&system.name))
            {
                return Err(WorldError::SystemExists(system.name));
            }
            if systems.len() >= SYSTEMS_MAX {
                return Err(WorldError::TooManySystems(system.name));
            }
            names.set(&system.name, id);
            if let Some(suffix) = &system.dns_suffix {
                names.set(&format!("{}.{suffix}", system.name), id);
            }
            let rng = streams.stream(&format!("disk/{}", system.name.to_ascii_lowercase()));
            systems.push(Host {
                disk: SystemDisk::new(config.disk_latency, rng),
                clock: WallClock::new(system.clock, Timestamp::ZERO),
                name: system.name,
                up: Cell::new(true),
                arrivals: RefCell::default(),
                arrived: Notify::new(),
            });
        }
        Ok(Reference(Rc::new(Inner {
            config,
            systems,
            names,
            processes: RefCell::default(),
            starts: RefCell::default(),
            events: RefCell::default(),
            commands: RefCell::default(),
            silences: RefCell::default(),
            next_silence: Cell::default(),
            failure: RefCell::default(),
            now: Cell::default(),
        })))
    }

    /// The software of one host: starts what arrives.
    async fn host_main(self, index: usize) -> turmoil::Result {
        let host = &self.0.systems[index];
        loop {
            let arrival = host.arrivals.borrow_mut().pop_front();
            match arrival {
                Some(running) => drop(tokio::task::spawn_local(running)),
                None => host.arrived.notified().await,
            }
        }
    }

    fn next_command(&self) -> Option<Command> {
        self.0.commands.borrow_mut().pop_front()
    }

    fn next_entropy(&self, name: &str) -> SimEntropy {
        let mut starts = self.0.starts.borrow_mut();
        let start = starts.entry(name.to_owned()).or_default();
        let entropy = SimEntropy::new(&Streams::new(self.0.config.seed), name, *start);
        *start += 1;
        entropy
    }

    fn system_of(&self, ip: IpAddr) -> Option<SystemId> {
        SystemId::from_ip(ip).filter(|id| id.index() < self.0.systems.len())
    }

    fn others(&self, system: SystemId) -> impl Iterator<Item = SystemId> + use<> {
        (0..self.0.systems.len())
            .map(system_at)
            .filter(move |other| *other != system)
    }

    /// Whether nothing passes between two systems: cut, or one without power.
    fn is_silent(&self, a: SystemId, b: SystemId) -> bool {
        let up = |id: SystemId| self.0.systems[id.index()].up.get();
        !up(a) || !up(b) || self.cuts(a, b).next().is_some()
    }

    /// What is sent from `a` to `b` now meets the cuts between them.
    fn send(&self, a: SystemId, b: SystemId) {
        self.cuts(a, b).for_each(|silence| silence.effect.hit());
    }

    fn cuts(&self, a: SystemId, b: SystemId) -> impl Iterator<Item = Silence> + use<> {
        let pair = (a.min(b), a.max(b));
        let silences = self.0.silences.borrow();
        let found: Vec<Silence> = silences
            .values()
            .filter(|silence| silence.between == pair)
            .cloned()
            .collect();
        found.into_iter()
    }

    /// Stops polling a process, or goes on; whether that was a change.
    pub(in crate::sim) fn set_paused(&self, process: ProcessId, paused: bool) -> bool {
        let processes = self.0.processes.borrow();
        let slot = usize::try_from(process.0)
            .ok()
            .and_then(|index| processes.get(index));
        slot.is_some_and(|slot| slot.set_paused(paused))
    }

    /// The failure that ended a step: a panic that was watched, or turmoil's own word.
    fn failed(&self, text: &str) -> WorldError {
        self.0
            .failure
            .take()
            .unwrap_or_else(|| WorldError::Runtime(text.to_owned()))
    }

    fn note_panic(&self, process: &str, message: String) {
        let at = self.now();
        let panicked = WorldError::Panicked {
            process: process.to_owned(),
            at,
            message,
        };
        self.0.failure.borrow_mut().get_or_insert(panicked);
    }

    /// Polls `future` and notes a panic in it before it is swallowed.
    async fn watch<F: Future>(self, process: &str, future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| {
            let (polled, panic) = watched(|| {
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| future.as_mut().poll(cx)))
            });
            if let Some(message) = panic {
                self.note_panic(process, message);
            }
            polled.unwrap_or(Poll::Pending)
        })
        .await
    }
}

impl Slot {
    /// Marks the process as ended and wakes it so that it notices; whether it was running.
    fn end(&self) -> bool {
        self.dead.kill();
        if self.ended.replace(true) {
            return false;
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        true
    }

    fn set_paused(&self, paused: bool) -> bool {
        if self.ended.get() || self.paused.replace(paused) == paused {
            return false;
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        true
    }
}

impl Future for Running {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.slot.ended.get() {
            return Poll::Ready(());
        }
        *this.slot.waker.borrow_mut() = Some(cx.waker().clone());
        if this.slot.paused.get() {
            return Poll::Pending;
        }
        let (polled, panic) = watched(|| Pin::new(&mut this.tasks).poll(cx));
        if let Some(message) = panic {
            this.kernel.note_panic(&this.slot.name, message);
        }
        if polled.is_ready() || this.done.get() {
            this.slot.end();
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

/// Both clocks of one system; timers go off at the next tick.
#[derive(Clone)]
pub struct ReferenceClock {
    kernel: Reference,
    system: SystemId,
}

impl Clock for ReferenceClock {
    fn now(&self) -> Now {
        let at = self.kernel.now();
        let clock = &self.kernel.0.systems[self.system.index()].clock;
        Now {
            at,
            wall: clock.read(self.kernel.0.config.epoch, at),
        }
    }

    async fn sleep_until(&self, at: Timestamp) {
        self.kernel.sleep_until(at).await;
    }
}

#[cfg(test)]
mod tests;
