//! What the seams and the scheduler need of a world; nothing here is for the root or the processes.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::Instant;
use turmoil_net::HostId;

use crate::types::{Timestamp, WallTime};

use super::counters::Counters;
use super::process::{Ready, State, watched};
use super::system::SystemId;
use super::wire::{Surroundings, Wire};
use super::{Kernels, ProcessId, World, WorldError};

impl World {
    pub(super) fn ready(&self) -> Arc<Ready> {
        self.0.ready.clone()
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.over.get()
    }

    pub(super) fn host(&self, system: SystemId) -> HostId {
        self.0.systems.borrow()[system.index()].host
    }

    pub(super) fn lookup(&self, host: &str) -> Option<IpAddr> {
        self.0.names.borrow().lookup(host)
    }

    pub(super) fn wall(&self, system: SystemId) -> WallTime {
        if let Some(effect) = self.0.clock_faults.borrow().get(&system) {
            effect.hit();
        }
        self.0.systems.borrow()[system.index()]
            .clock
            .read(self.0.config.epoch, self.now())
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.0.counters.borrow_mut());
    }

    /// The runtime's instant of `at`, at the next whole millisecond.
    pub(super) fn instant(&self, at: Timestamp) -> Instant {
        self.0.start + at.as_duration()
    }

    pub(super) fn panicked(&self, process: &str, message: String) -> WorldError {
        WorldError::Panicked {
            process: process.to_owned(),
            at: self.now(),
            message,
        }
    }

    /// Polls a process that was woken, unless it is paused or has ended.
    pub(super) fn poll_process(&self, id: ProcessId) -> Result<(), WorldError> {
        let (mut tasks, waker, host) = {
            let mut processes = self.0.processes.borrow_mut();
            let process = &mut processes[id.index()];
            process.wakeup.taken();
            if process.state != State::Running {
                return Ok(());
            }
            let Some(tasks) = process.tasks.take() else {
                return Ok(());
            };
            (tasks, process.waker.clone(), self.host(process.system))
        };
        turmoil_net::set_current(host);
        let mut cx = Context::from_waker(&waker);
        let (polled, panic) = watched(|| Pin::new(&mut tasks).poll(&mut cx));
        let killed = {
            let mut processes = self.0.processes.borrow_mut();
            let process = &mut processes[id.index()];
            if let Some(message) = panic {
                return Err(self.panicked(&process.name, message));
            }
            if polled == Poll::Ready(()) || process.done.get() {
                process.state = State::Ended;
                process.dead.kill();
            }
            let ended = process.state == State::Ended;
            if !ended {
                process.tasks = Some(tasks);
                return Ok(());
            }
            tasks
        };
        turmoil_net::set_current(host);
        drop(killed);
        Ok(())
    }

    pub(super) fn collect(&self) -> bool {
        self.with_wire(|wire, around| wire.collect(around))
    }

    pub(super) fn deliver_due(&self) -> bool {
        self.with_wire(|wire, around| wire.deliver_due(around))
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.0.wire.borrow().next_due()
    }

    pub(super) fn with_wire(&self, work: impl FnOnce(&mut Wire, &mut Surroundings<'_>) -> bool) -> bool {
        let kernels = self.0.kernels.borrow();
        let Kernels::InForce(guard) = &*kernels else {
            return false;
        };
        let systems = self.0.systems.borrow();
        let mut counters = self.0.counters.borrow_mut();
        let mut tap = self.0.tap.borrow_mut();
        let mut around = Surroundings {
            now: self.now(),
            guard,
            systems: &systems,
            counters: &mut counters,
            tap: tap.as_mut(),
        };
        work(&mut self.0.wire.borrow_mut(), &mut around)
    }
}
