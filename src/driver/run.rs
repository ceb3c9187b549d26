//! The loop that runs one core over the four seams.
//!
//! Every source of inputs (a connection's reader, a listener, a connect, the disk, the timer) is a local task that
//! hands its input to the `Engine` itself: the core handles it and its outputs are carried out before the task goes
//! on, so that a ping costs no queue and no allocation. Sends go to a buffer of the connection and disk requests to the
//! disk's queue; tasks of their own empty these. Everything runs on one thread and nothing is re-entered: carrying out an
//! output never feeds an input. Dropping the future of [`run`] ends all tasks.

mod controller;
mod disk_queue;
mod stream;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::driver::clock::Clock;
use crate::driver::disk::Disk;
use crate::driver::net::{Net, NetListener};
use crate::driver::store::Store;
use crate::error::msg;
use crate::instance::io::{
    CloseHow, ControllerTicket, Core, DiskError, Input, ListenError, Listener, Output, StreamEnd,
};
use crate::types::{ConnectionId, Event, InstanceEvent, Now, ServerAddress, Timestamp};

use disk_queue::DiskQueue;
use stream::Stream;

/// Where the core's events go, in the order they were emitted, with the time they were emitted at.
///
/// Called while the core is at work: it may record and wake, not call back.
pub type Observer = Rc<dyn Fn(Timestamp, Event)>;

/// Why `run` returned. A core runs until its future is dropped; it ends by itself only if it cannot begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Exit {
    #[error("the instance cannot start because its master database cannot be opened: {0}")]
    Master(DiskError),
}

/// Open connections of one instance; one more is closed as soon as it is accepted. Source: documented, the limit of
/// *user connections*.
const CONNECTIONS_MAX: usize = 32_767;

/// How often, and after what pause, a port in use is tried again ("listen retry"): long enough for an endpoint that
/// restarts to let go of its own.
const LISTEN_RETRIES: u32 = 10;
const LISTEN_RETRY: Duration = Duration::from_millis(1);

/// Pause after the network failed to accept a connection ("accept retry").
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Open `master`, start `core` and carry inputs and outputs between it and the world.
///
/// Must be polled inside a `tokio::task::LocalSet`. Dropping the future is killing the process: nothing more is read,
/// written or sent on its behalf (the stores are closed when the tasks are dropped, which may write; see [`Store`]).
/// A panic of the core or of the disk comes out of this future, whichever task it happened in.
pub async fn run<N: Net, D: Disk, C: Clock, K: Core + 'static>(
    core: K,
    net: N,
    disk: D,
    clock: C,
    observer: Observer,
) -> Exit {
    wait(&clock, disk.latency(String::new, 0)).await;
    let (store, master) = match Store::open(disk.clone()) {
        Ok(opened) => opened,
        Err(_) if disk.is_cut_off() => std::future::pending().await,
        Err(error) => {
            let event = InstanceEvent::DiskError {
                request: "open master".to_owned(),
                error: error.to_string(),
            };
            observer(clock.now().at, event.into());
            let line = msg::MASTER_DAMAGED.with(&[&error]);
            let event = InstanceEvent::ErrorLog {
                number: line.number,
                severity: line.severity,
                state: line.state,
                text: line.text,
            };
            observer(clock.now().at, event.into());
            return Exit::Master(error);
        }
    };
    let engine = Rc::new(Engine::new(core, net, clock, observer));
    let _shutdown = Shutdown(engine.clone());
    let _disk = Task::spawn(disk_queue::work(engine.clone(), disk, store));
    engine.input(Input::Start { master });
    engine.keep_time().await
}

/// What the tasks of one running instance share.
struct Engine<N: Net, C: Clock, K: Core> {
    core: RefCell<K>,
    net: N,
    clock: C,
    observer: Observer,
    listeners: RefCell<BTreeMap<Listener, ListenTask>>,
    connects: RefCell<BTreeMap<ConnectionId, Task>>,
    /// Questions the domain controller has not answered yet.
    asked: RefCell<BTreeMap<ControllerTicket, Task>>,
    streams: RefCell<BTreeMap<ConnectionId, Stream>>,
    /// Closed by the core, still sending what was sent before.
    lingering: RefCell<BTreeMap<ConnectionId, (Stream, Task)>>,
    /// Connections the driver had to reset while outputs were carried out; the core hears of them next.
    reset: RefCell<VecDeque<ConnectionId>>,
    disk: DiskQueue,
    last_accepted: Cell<u64>,
    /// When the core wants to be woken, and until when the timer sleeps.
    wake: Cell<Option<Timestamp>>,
    armed: Cell<Option<Timestamp>>,
    /// The timer must look again: it has to fire earlier, or a task panicked.
    attention: Notify,
    panic: RefCell<Option<Box<dyn Any + Send>>>,
    stopped: Cell<bool>,
}

impl<N: Net, C: Clock, K: Core + 'static> Engine<N, C, K> {
    fn new(core: K, net: N, clock: C, observer: Observer) -> Self {
        Engine {
            core: RefCell::new(core),
            net,
            clock,
            observer,
            listeners: RefCell::default(),
            connects: RefCell::default(),
            asked: RefCell::default(),
            streams: RefCell::default(),
            lingering: RefCell::default(),
            reset: RefCell::default(),
            disk: DiskQueue::default(),
            last_accepted: Cell::new(0),
            wake: Cell::new(None),
            armed: Cell::new(None),
            attention: Notify::new(),
            panic: RefCell::default(),
            stopped: Cell::new(false),
        }
    }

    /// Fire the timer until a task panics.
    async fn keep_time(self: &Rc<Self>) -> Exit {
        loop {
            if let Some(panic) = self.panic.take() {
                resume_unwind(panic);
            }
            let wake = self.wake.get();
            self.armed.set(wake);
            match wake {
                None => self.attention.notified().await,
                Some(at) if at <= self.clock.now().at => {
                    self.wake.set(None);
                    self.input(Input::Wake);
                }
                Some(at) => tokio::select! {
                    biased;
                    () = self.attention.notified() => {}
                    () = self.clock.sleep_until(at) => {}
                },
            }
        }
    }

    /// Let the core handle one input and carry out all it asks for.
    fn input(self: &Rc<Self>, input: Input<'_>) {
        self.guard(|| {
            let now = self.clock.now();
            self.core.borrow_mut().handle(now, input);
            self.drain(now);
            while let Some(connection) = self.next_reset() {
                let by = StreamEnd::Reset;
                self.core
                    .borrow_mut()
                    .handle(now, Input::Closed { connection, by });
                self.drain(now);
            }
        });
    }

    /// Run `act` unless the instance has ended; end it with `act`'s panic.
    ///
    /// tokio keeps a local task's panic to itself, and an instance without one of its tasks is a silent wreck.
    fn guard<T>(&self, act: impl FnOnce() -> T) -> Option<T> {
        if self.stopped.get() {
            return None;
        }
        catch_unwind(AssertUnwindSafe(act))
            .map_err(|panic| {
                self.stopped.set(true);
                self.panic.replace(Some(panic));
                self.attention.notify_one();
            })
            .ok()
    }

    fn next_reset(&self) -> Option<ConnectionId> {
        self.reset.borrow_mut().pop_front()
    }

    fn drain(self: &Rc<Self>, now: Now) {
        loop {
            let Some(output) = self.core.borrow_mut().poll() else {
                return;
            };
            self.carry_out(now, output);
        }
    }

    fn carry_out(self: &Rc<Self>, now: Now, output: Output) {
        match output {
            Output::Listen { listener, ip, port } => self.listen(listener, ip, port),
            Output::StopListening { listener } => drop(self.listeners.borrow_mut().remove(&listener)),
            Output::Connect { connection, address } => {
                let task = Task::spawn(self.clone().connect(connection, address));
                self.connects.borrow_mut().insert(connection, task);
            }
            Output::Send { connection, bytes } => self.send(now, connection, &bytes),
            Output::Close { connection, how } => self.close(now, connection, how),
            Output::Disk { ticket, request } => self.disk.push(ticket, request),
            Output::AskController {
                ticket,
                controller,
                request,
            } => {
                let task = Task::spawn(self.clone().ask_controller(ticket, controller, request));
                self.asked.borrow_mut().insert(ticket, task);
            }
            Output::Emit(event) => (self.observer)(now.at, event),
            Output::WakeAt { at, .. } => {
                self.wake.set(Some(at));
                // A later time needs no attention: the timer fires as armed, sees it and sleeps on.
                if self.armed.get().is_none_or(|armed| at < armed) {
                    self.attention.notify_one();
                }
            }
        }
    }

    fn listen(self: &Rc<Self>, listener: Listener, ip: Option<IpAddr>, port: u16) {
        let open = Rc::new(Cell::new(true));
        let task = Task::spawn(self.clone().serve(listener, ip, port, open.clone()));
        let before = self
            .listeners
            .borrow_mut()
            .insert(listener, ListenTask { open, _task: task });
        debug_assert!(before.is_none(), "{listener:?} listens already; stop it first");
    }

    async fn serve(self: Rc<Self>, listener: Listener, ip: Option<IpAddr>, port: u16, open: Rc<Cell<bool>>) {
        let mut bound = self.net.listen(ip, port).await;
        // The tasks that held this port may not have been dropped yet.
        for _ in 0..LISTEN_RETRIES {
            if !open.get() || !matches!(bound, Err(ListenError::AddressInUse)) {
                break;
            }
            wait(&self.clock, LISTEN_RETRY).await;
            bound = self.net.listen(ip, port).await;
        }
        if !open.get() {
            return;
        }
        let socket = match bound {
            Ok(socket) => socket,
            Err(error) => {
                self.listeners.borrow_mut().remove(&listener);
                return self.input(Input::ListenFailed { listener, error });
            }
        };
        self.input(Input::Listening { listener });
        while open.get() {
            match socket.accept().await {
                Ok(_) if !open.get() => return,
                Ok((stream, from)) => self.accepted(listener, stream, from),
                Err(error) => {
                    tracing::warn!(?listener, %error, "a connection could not be accepted");
                    wait(&self.clock, ACCEPT_RETRY).await;
                }
            }
        }
    }

    fn accepted(self: &Rc<Self>, listener: Listener, stream: N::Stream, from: SocketAddr) {
        if self.streams.borrow().len() >= CONNECTIONS_MAX {
            tracing::warn!(%from, limit = CONNECTIONS_MAX, "too many connections; one more was closed");
            return;
        }
        self.last_accepted.set(self.last_accepted.get() + 2);
        let connection = ConnectionId(self.last_accepted.get());
        self.open(connection, stream, from.to_string());
        self.input(Input::Accepted {
            connection,
            listener,
            from,
        });
    }

    async fn connect(self: Rc<Self>, connection: ConnectionId, address: ServerAddress) {
        let result = self.net.connect(&address).await;
        if self.connects.borrow_mut().remove(&connection).is_none() {
            return; // the core closed it meanwhile
        }
        match result {
            Ok(stream) => {
                self.open(connection, stream, address.to_string());
                self.input(Input::Connected { connection });
            }
            Err(error) => self.input(Input::ConnectFailed { connection, error }),
        }
    }

    async fn ask_controller(
        self: Rc<Self>,
        ticket: ControllerTicket,
        controller: ServerAddress,
        request: Vec<u8>,
    ) {
        let answer = controller::ask(&self.net, &self.clock, &controller, &request).await;
        self.asked.borrow_mut().remove(&ticket);
        self.input(Input::ControllerAnswered { ticket, answer });
    }

    fn open(self: &Rc<Self>, connection: ConnectionId, stream: N::Stream, far_address: String) {
        let stream = Stream::start(self, connection, stream, far_address);
        self.streams.borrow_mut().insert(connection, stream);
    }

    fn send(&self, now: Now, connection: ConnectionId, bytes: &[u8]) {
        let mut streams = self.streams.borrow_mut();
        // It may have just been reset, and the core be about to hear of it.
        let Some(stream) = streams.get(&connection) else {
            return;
        };
        if stream.outbox.push(bytes) {
            return;
        }
        let error = msg::TRANSPORT_ERROR.with(&[
            &format!(
                "{} bytes are waiting to be sent, the bound is reached",
                stream.outbox.len()
            ),
            &1,
            &if connection.0.is_multiple_of(2) {
                "Accept"
            } else {
                "Connect"
            },
            &stream.far_address,
        ]);
        streams.remove(&connection);
        self.reset.borrow_mut().push_back(connection);
        let event = InstanceEvent::ErrorLog {
            number: error.number,
            severity: error.severity,
            state: error.state,
            text: error.text,
        };
        (self.observer)(now.at, event.into());
    }

    fn close(self: &Rc<Self>, now: Now, connection: ConnectionId, how: CloseHow) {
        self.connects.borrow_mut().remove(&connection);
        let Some(stream) = self.streams.borrow_mut().remove(&connection) else {
            return;
        };
        stream.outbox.close(how);
        let deadline = now.at + stream::LINGER;
        let task = Task::spawn(stream::linger(
            self.clone(),
            connection,
            stream.outbox.clone(),
            deadline,
        ));
        self.lingering.borrow_mut().insert(connection, (stream, task));
    }

    fn received(self: &Rc<Self>, connection: ConnectionId, bytes: &[u8]) {
        if self.streams.borrow().contains_key(&connection) {
            self.input(Input::Received { connection, bytes });
        }
    }

    fn ended(self: &Rc<Self>, connection: ConnectionId, by: StreamEnd) {
        let stream = self.streams.borrow_mut().remove(&connection);
        if stream.is_some() {
            self.input(Input::Closed { connection, by });
        }
    }
}

/// A listener's task. `open` tells it that it was stopped even where cancelling it comes too late.
struct ListenTask {
    open: Rc<Cell<bool>>,
    _task: Task,
}

impl Drop for ListenTask {
    fn drop(&mut self) {
        self.open.set(false);
    }
}

/// A local task that ends when this is dropped; at its next wait, if it is the one that drops it.
struct Task(AbortHandle);

impl Task {
    fn spawn(future: impl Future<Output = ()> + 'static) -> Self {
        Task(tokio::task::spawn_local(future).abort_handle())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Ends the tasks when `run` ends, however it ends.
struct Shutdown<N: Net, C: Clock, K: Core>(Rc<Engine<N, C, K>>);

impl<N: Net, C: Clock, K: Core> Drop for Shutdown<N, C, K> {
    fn drop(&mut self) {
        self.0.stopped.set(true);
        self.0.listeners.take();
        self.0.connects.take();
        self.0.asked.take();
        self.0.streams.take();
        self.0.lingering.take();
    }
}

async fn wait(clock: &impl Clock, time: Duration) {
    if !time.is_zero() {
        clock.sleep_until(clock.now().at + time).await;
    }
}
