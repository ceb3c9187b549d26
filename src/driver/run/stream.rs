//! One open connection: a task that reads, a task that writes, and the buffer between the core and the writer.

use std::cell::{Cell, RefCell};
use std::mem;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::driver::clock::Clock;
use crate::driver::net::{Net, NetRead, NetStream, NetWrite};
use crate::instance::io::{CloseHow, Core, StreamEnd};
use crate::types::{ConnectionId, Timestamp};

use super::{Engine, Task};

/// Bytes of one connection that wait to be sent. At the bound the connection is reset: a peer that reads this slowly is
/// as good as gone, and the sessions bound what they have in flight far below it.
pub const SEND_QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How long a connection closed with `Fin` may take to send its rest and to hear the peer's FIN ("linger").
pub const LINGER: Duration = Duration::from_secs(5);

const READ_BYTES: usize = 16 * 1024;

/// A buffer that grew beyond this for one large message gives the memory back.
const KEEP_BYTES: usize = 64 * 1024;

/// An open connection's tasks; dropping it drops both directions.
pub struct Stream {
    pub outbox: Rc<Outbox>,
    pub far_address: String,
    _reader: Task,
    _writer: Task,
}

impl Stream {
    pub fn start<N: Net, C: Clock, K: Core + 'static>(
        engine: &Rc<Engine<N, C, K>>,
        connection: ConnectionId,
        stream: N::Stream,
        far_address: String,
    ) -> Self {
        let outbox = Rc::new(Outbox::default());
        let (read_half, write_half) = stream.into_split();
        Stream {
            _reader: Task::spawn(read(engine.clone(), connection, outbox.clone(), read_half)),
            _writer: Task::spawn(write(engine.clone(), connection, outbox.clone(), write_half)),
            outbox,
            far_address,
        }
    }
}

/// What waits to be sent, and how the connection is to end.
#[derive(Default)]
pub struct Outbox {
    bytes: RefCell<Vec<u8>>,
    /// Taken by the writer, not yet with the network.
    in_flight: Cell<usize>,
    close: Cell<Option<CloseHow>>,
    ready: Notify,
    read_ended: Cell<bool>,
    write_ended: Cell<bool>,
    ended: Notify,
}

impl Outbox {
    /// Queue `bytes`; `false`, with nothing queued, if that would pass the bound.
    pub fn push(&self, bytes: &[u8]) -> bool {
        if self.len() + bytes.len() > SEND_QUEUE_BYTES_MAX {
            return false;
        }
        let mut queue = self.bytes.borrow_mut();
        // A writer that has a queue left looks at it before it waits.
        if queue.is_empty() {
            self.ready.notify_one();
        }
        queue.extend_from_slice(bytes);
        true
    }

    pub fn len(&self) -> usize {
        self.bytes.borrow().len() + self.in_flight.get()
    }

    pub fn close(&self, how: CloseHow) {
        self.close.set(Some(how));
        self.ready.notify_one();
    }

    fn is_reset(&self) -> bool {
        self.close.get() == Some(CloseHow::Reset)
    }

    async fn reset(&self) {
        while !self.is_reset() {
            self.ready.notified().await;
        }
    }
}

async fn read<N: Net, C: Clock, K: Core + 'static>(
    engine: Rc<Engine<N, C, K>>,
    connection: ConnectionId,
    outbox: Rc<Outbox>,
    mut half: impl NetRead,
) {
    let mut buffer = vec![0; READ_BYTES];
    let end = loop {
        match half.read(&mut buffer).await {
            Ok(0) => break StreamEnd::Fin,
            Ok(n) => engine.received(connection, &buffer[..n]),
            Err(_) => break StreamEnd::Reset,
        }
    };
    outbox.read_ended.set(true);
    outbox.ended.notify_one();
    engine.ended(connection, end);
}

async fn write<N: Net, C: Clock, K: Core + 'static>(
    engine: Rc<Engine<N, C, K>>,
    connection: ConnectionId,
    outbox: Rc<Outbox>,
    mut half: impl NetWrite,
) {
    let mut batch = Vec::new();
    while !outbox.is_reset() {
        mem::swap(&mut batch, &mut outbox.bytes.borrow_mut());
        if batch.is_empty() {
            if outbox.close.get() == Some(CloseHow::Fin) {
                // Whether the peer still hears it changes nothing for us.
                let _ = half.shutdown().await;
                break;
            }
            outbox.ready.notified().await;
            continue;
        }
        outbox.in_flight.set(batch.len());
        let written = tokio::select! {
            biased;
            written = half.write_all(&batch) => written,
            () = outbox.reset() => break,
        };
        if written.is_err() {
            engine.ended(connection, StreamEnd::Reset);
            break;
        }
        outbox.in_flight.set(0);
        batch.clear();
        batch.shrink_to(KEEP_BYTES);
    }
    if outbox.is_reset() {
        half.abort();
    } else {
        drop(half);
    }
    outbox.write_ended.set(true);
    outbox.ended.notify_one();
}

/// Keep a closed connection until both directions have ended: what was sent before the close arrives, and what the peer
/// sent meanwhile is read, lest it answer with a reset that overtakes. A reset waits for the writer only.
pub async fn linger<N: Net, C: Clock, K: Core + 'static>(
    engine: Rc<Engine<N, C, K>>,
    connection: ConnectionId,
    outbox: Rc<Outbox>,
    deadline: Timestamp,
) {
    while !(outbox.write_ended.get() && (outbox.read_ended.get() || outbox.is_reset())) {
        tokio::select! {
            biased;
            () = outbox.ended.notified() => {}
            () = engine.clock.sleep_until(deadline) => break,
        }
    }
    engine.lingering.borrow_mut().remove(&connection);
}
