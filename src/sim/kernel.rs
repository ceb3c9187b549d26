//! What a run needs of the simulation under it, so that it can be played on either: the event-driven [`World`], or
//! `turmoil::Sim` as a second opinion ([`Reference`](super::reference::Reference)).
//!
//! Only what both can do. Faults that need single packets, wall clocks or names belong to `World` alone.

use std::time::Duration;

use crate::driver::clock::Clock;
use crate::driver::net::Net;
use crate::types::{Event, Source, Stamped, Timestamp};

use super::world::{
    ProcessEnv, ProcessId, RuleHandle, SimClock, SimDisk, SimEntropy, SimNet, SystemConfig, SystemDisk,
    SystemId, World, WorldConfig, WorldError,
};

/// What a process of any kernel is given: the four seams, and a way to tell what it does.
#[derive(Clone)]
pub struct Seams<K: Kernel> {
    pub name: String,
    pub system: SystemId,
    pub net: K::Net,
    pub disk: SimDisk,
    pub clock: K::Clock,
    /// Differs with every start of a process of this name.
    pub entropy: SimEntropy,
    pub kernel: K,
}

impl<K: Kernel> Seams<K> {
    /// Adds an event to the run's record, stamped with the kernel's time.
    pub fn emit(&self, source: Source, event: impl Into<Event>) {
        self.kernel.emit(source, event.into());
    }

    /// Starts another task of this process.
    pub fn spawn_local(&self, task: impl Future<Output = ()> + 'static) {
        drop(tokio::task::spawn_local(task));
    }
}

/// How long a cut is meant to last, for kernels that must know: `turmoil` can hold packets back or lose them for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// Mended before TCP gives up: streams survive, what was sent comes late.
    Short,
    /// Longer: what was sent is lost and streams with it.
    Long,
}

/// A simulation of systems, processes and a network, in virtual time. A handle; clones are the same simulation.
#[expect(
    async_fn_in_trait,
    reason = "single-threaded by design; no Send bound is wanted"
)]
pub trait Kernel: Clone + 'static {
    type Net: Net;
    type Clock: Clock;
    /// What `mend` takes back.
    type Cut;

    /// Builds the simulation with these systems, runs `root` in it to its end and takes everything down.
    ///
    /// Fails as `World::run` and `World::add_system` do.
    fn play<T: 'static>(
        config: WorldConfig,
        systems: Vec<SystemConfig>,
        root: impl AsyncFnOnce(Self) -> T + 'static,
    ) -> Result<T, WorldError>;

    /// The system a host name or address means now, if any.
    fn find(&self, host: &str) -> Option<SystemId>;

    /// Starts a process. Fails if the system has no power.
    fn start<F: Future<Output = ()> + 'static>(
        &self,
        system: SystemId,
        name: &str,
        main: impl FnOnce(Seams<Self>) -> F + 'static,
    ) -> Result<ProcessId, WorldError>;

    /// Ends a process, as `World::kill` does.
    fn stop(&self, process: ProcessId) -> bool;

    fn runs(&self, process: ProcessId) -> bool;

    /// As `World::power_off`.
    fn lose_power(&self, system: SystemId) -> bool;

    /// As `World::power_on`.
    fn restore_power(&self, system: SystemId) -> bool;

    /// Silence between two systems until `mend`.
    fn separate(&self, a: SystemId, b: SystemId, outage: Outage) -> Self::Cut;

    fn mend(&self, cut: Self::Cut);

    fn disk_of(&self, system: SystemId) -> SystemDisk;

    fn emit(&self, source: Source, event: Event);

    fn take_events(&self) -> Vec<Stamped>;

    fn now(&self) -> Timestamp;

    async fn sleep_until(&self, at: Timestamp);

    async fn sleep_for(&self, duration: Duration) {
        self.sleep_until(self.now() + duration).await;
    }
}

impl Kernel for World {
    type Net = SimNet;
    type Clock = SimClock;
    type Cut = RuleHandle;

    fn play<T: 'static>(
        config: WorldConfig,
        systems: Vec<SystemConfig>,
        root: impl AsyncFnOnce(World) -> T + 'static,
    ) -> Result<T, WorldError> {
        World::run(config, async |world| {
            for system in systems {
                world.add_system(system)?;
            }
            Ok(root(world).await)
        })?
    }

    fn find(&self, host: &str) -> Option<SystemId> {
        self.find_system(host)
    }

    fn start<F: Future<Output = ()> + 'static>(
        &self,
        system: SystemId,
        name: &str,
        main: impl FnOnce(Seams<World>) -> F + 'static,
    ) -> Result<ProcessId, WorldError> {
        let kernel = self.clone();
        self.spawn(system, name, move |env| {
            let ProcessEnv {
                name,
                system,
                net,
                disk,
                clock,
                entropy,
                ..
            } = env;
            main(Seams {
                name,
                system,
                net,
                disk,
                clock,
                entropy,
                kernel,
            })
        })
    }

    fn stop(&self, process: ProcessId) -> bool {
        self.kill(process)
    }

    fn runs(&self, process: ProcessId) -> bool {
        self.is_alive(process)
    }

    fn lose_power(&self, system: SystemId) -> bool {
        self.power_off(system)
    }

    fn restore_power(&self, system: SystemId) -> bool {
        self.power_on(system)
    }

    fn separate(&self, a: SystemId, b: SystemId, _: Outage) -> RuleHandle {
        self.cut(a, b)
    }

    fn mend(&self, cut: RuleHandle) {
        self.remove_rule(&cut);
    }

    fn disk_of(&self, system: SystemId) -> SystemDisk {
        self.disk(system)
    }

    fn emit(&self, source: Source, event: Event) {
        World::emit(self, source, event);
    }

    fn take_events(&self) -> Vec<Stamped> {
        World::take_events(self)
    }

    fn now(&self) -> Timestamp {
        World::now(self)
    }

    async fn sleep_until(&self, at: Timestamp) {
        self.run_until(at).await;
    }
}
