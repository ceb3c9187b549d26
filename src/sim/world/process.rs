//! Processes: a `LocalSet` each, polled with its system current, watched for panics.
//!
//! A process ends when its main future ends, when it is killed, or with its system's power. Use `spawn_local` inside a
//! process, never `tokio::spawn`. A panic in any of its tasks fails the run, even one that was caught.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::task::{Wake, Waker};

use tokio::task::LocalSet;

use crate::types::{Event, Source};

use super::clock::SimClock;
use super::disk::{DeadSwitch, SimDisk};
use super::entropy::SimEntropy;
use super::net::SimNet;
use super::system::SystemId;
use super::{ProcessId, World};

/// What a process is given: the four seams of its system, and a way to tell what it does.
#[derive(Clone)]
pub struct ProcessEnv {
    pub name: String,
    pub system: SystemId,
    pub net: SimNet,
    pub disk: SimDisk,
    pub clock: SimClock,
    /// Differs with every start of a process of this name.
    pub entropy: SimEntropy,
    pub(super) world: World,
}

impl ProcessEnv {
    /// Adds an event to the run's record, stamped with the world's time.
    pub fn emit(&self, source: Source, event: impl Into<Event>) {
        self.world.emit(source, event);
    }

    /// Starts another task of this process.
    pub fn spawn_local(&self, task: impl Future<Output = ()> + 'static) {
        drop(tokio::task::spawn_local(task));
    }
}

pub(super) struct Process {
    pub(super) name: String,
    pub(super) system: SystemId,
    pub(super) state: State,
    /// Absent while it is polled and after it ended.
    pub(super) tasks: Option<LocalSet>,
    pub(super) wakeup: Arc<Wakeup>,
    pub(super) waker: Waker,
    pub(super) dead: DeadSwitch,
    /// Set by the main future when it ends.
    pub(super) done: Rc<Cell<bool>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Running,
    Paused,
    Ended,
}

/// Who waits to be polled, in the order of waking; the root is `ROOT`.
#[derive(Default)]
pub(super) struct Ready {
    queue: Mutex<VecDeque<ProcessId>>,
    root: Mutex<Option<Waker>>,
    /// Set while the scheduler runs and will see the queue anyway.
    running: AtomicBool,
}

pub(super) const ROOT: ProcessId = ProcessId(u32::MAX);

impl Ready {
    pub(super) fn pop(&self) -> Option<ProcessId> {
        self.queue().pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue().is_empty()
    }

    pub(super) fn begin(&self, waker: &Waker) {
        self.running.store(true, Ordering::Relaxed);
        let mut root = self.root.lock().unwrap_or_else(PoisonError::into_inner);
        if !root.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *root = Some(waker.clone());
        }
    }

    pub(super) fn end(&self) {
        self.running.store(false, Ordering::Relaxed);
    }

    fn push(&self, id: ProcessId) {
        self.queue().push_back(id);
        if !self.running.load(Ordering::Relaxed)
            && let Some(root) = &*self.root.lock().unwrap_or_else(PoisonError::into_inner)
        {
            root.wake_by_ref();
        }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<ProcessId>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes one process by queueing it, once until it is taken.
pub(super) struct Wakeup {
    id: ProcessId,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wakeup {
    pub(super) fn new(id: ProcessId, ready: Arc<Ready>) -> Arc<Wakeup> {
        Arc::new(Wakeup {
            id,
            queued: AtomicBool::new(false),
            ready,
        })
    }

    /// To be called when the process was taken from the queue, before it is polled.
    pub(super) fn taken(&self) {
        self.queued.store(false, Ordering::Relaxed);
    }

    pub(super) fn queue(&self) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.push(self.id);
        }
    }
}

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        self.queue();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.queue();
    }
}

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `poll` and returns the message of the first panic that happened in it, which a task's `JoinHandle` would hide.
pub(in crate::sim) fn watched<T>(poll: impl FnOnce() -> T) -> (T, Option<String>) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if WATCHED.get() {
                PANIC.with_borrow_mut(|first| {
                    first.get_or_insert_with(|| info.to_string());
                });
            }
            previous(info);
        }));
    });
    let _watch = Watch::begin();
    let value = poll();
    (value, PANIC.take())
}

/// Ends the watch even when the panic is not caught.
struct Watch;

impl Watch {
    fn begin() -> Watch {
        PANIC.take();
        WATCHED.set(true);
        Watch
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHED.set(false);
    }
}
