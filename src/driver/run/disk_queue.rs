//! The disk requests of one instance: carried out strictly in order, each after the disk's latency.
//!
//! Appends to one database's log that wait next to each other are hardened by one sync (group commit). They are still
//! answered one by one, in order.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::Notify;

use crate::driver::clock::Clock;
use crate::driver::disk::Disk;
use crate::driver::net::Net;
use crate::driver::store::{self, Store};
use crate::instance::io::{Core, DiskError, DiskReply, DiskRequest, DiskTicket, Input};

use super::{Engine, wait};

/// Bytes of requests that may wait. A request beyond it is not carried out; it is answered, in its turn, with an error.
pub const DISK_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

#[derive(Default)]
pub struct DiskQueue {
    requests: RefCell<VecDeque<Queued>>,
    bytes: Cell<usize>,
    ready: Notify,
}

struct Queued {
    ticket: DiskTicket,
    /// `None` if the queue was full.
    request: Option<DiskRequest>,
}

type Answer = (DiskTicket, Result<DiskReply, DiskError>);

impl DiskQueue {
    pub fn push(&self, ticket: DiskTicket, request: DiskRequest) {
        let bytes = self.bytes.get() + size(&request);
        let fits = bytes <= DISK_QUEUE_BYTES_MAX;
        if fits {
            self.bytes.set(bytes);
        }
        let request = fits.then_some(request);
        self.requests.borrow_mut().push_back(Queued { ticket, request });
        self.ready.notify_one();
    }

    /// The next request, with the appends to the same log that follow it directly.
    fn take(&self) -> Vec<Queued> {
        let mut queue = self.requests.borrow_mut();
        let mut group: Vec<Queued> = queue.pop_front().into_iter().collect();
        while let Some(next) = queue.front()
            && let Some(first) = group.first()
            && appends_alike(first, next)
        {
            group.extend(queue.pop_front());
        }
        group
    }
}

fn appends_alike(a: &Queued, b: &Queued) -> bool {
    match (&a.request, &b.request) {
        (
            Some(DiskRequest::AppendLog { database: a, .. }),
            Some(DiskRequest::AppendLog { database: b, .. }),
        ) => a == b,
        _ => false,
    }
}

/// Carry out requests for ever.
pub async fn work<N: Net, D: Disk, C: Clock, K: Core + 'static>(
    engine: Rc<Engine<N, C, K>>,
    disk: D,
    mut store: Store<D>,
) {
    loop {
        let group = engine.disk.take();
        if group.is_empty() {
            engine.disk.ready.notified().await;
            continue;
        }
        let bytes = group
            .iter()
            .filter_map(|queued| queued.request.as_ref())
            .map(size)
            .sum();
        // A group is of one log.
        let first = group.first().and_then(|queued| queued.request.as_ref());
        let file = || first.map(file_of).unwrap_or_default();
        wait(&engine.clock, disk.latency(file, bytes)).await;
        engine.disk.bytes.set(engine.disk.bytes.get() - bytes);
        let Some(answers) = engine.guard(|| carry_out(&mut store, group)) else {
            return;
        };
        if disk.is_cut_off() {
            return std::future::pending().await;
        }
        for (ticket, result) in answers {
            engine.input(Input::DiskDone { ticket, result });
        }
    }
}

fn carry_out<D: Disk>(store: &mut Store<D>, group: Vec<Queued>) -> Vec<Answer> {
    let mut tickets = Vec::with_capacity(group.len());
    let mut blocks = Vec::with_capacity(group.len());
    let mut log_of = None;
    for Queued { ticket, request } in group {
        match request {
            Some(DiskRequest::AppendLog { database, at, bytes }) => {
                tickets.push(ticket);
                blocks.push((at, bytes));
                log_of = Some(database);
            }
            Some(request) => return vec![(ticket, store.carry_out(request))],
            None => return vec![(ticket, Err(queue_full()))],
        }
    }
    let results = log_of.map_or(Vec::new(), |database| store.append(&database, &blocks));
    let replies = results.into_iter().map(|result| result.map(|()| DiskReply::Done));
    tickets.into_iter().zip(replies).collect()
}

fn queue_full() -> DiskError {
    DiskError::Io(format!(
        "{DISK_QUEUE_BYTES_MAX} bytes of disk requests are waiting; the disk is too slow for what is asked of it"
    ))
}

/// The file that a request is about; empty if it is about several, or about one of the user's.
fn file_of(request: &DiskRequest) -> String {
    match request {
        DiskRequest::Master { .. } => store::MASTER.to_owned(),
        DiskRequest::AppendLog { database, .. }
        | DiskRequest::TruncateLog { database, .. }
        | DiskRequest::DiscardLog { database, .. } => store::log_file_of(database),
        DiskRequest::Redo { database, .. }
        | DiskRequest::RestorePage { database, .. }
        | DiskRequest::CheckPage { database, .. } => store::data_file_of(database),
        DiskRequest::CreateDatabase { .. }
        | DiskRequest::OpenDatabase { .. }
        | DiskRequest::DropDatabase { .. }
        | DiskRequest::WriteFile { .. }
        | DiskRequest::ReadFile { .. } => String::new(),
    }
}

/// About how many bytes a request moves; at least one.
fn size(request: &DiskRequest) -> usize {
    const ROW: usize = 40;
    1 + match request {
        DiskRequest::Master { writes } => writes
            .iter()
            .map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len))
            .sum(),
        DiskRequest::CreateDatabase { rows, .. } => rows.len() * ROW,
        DiskRequest::Redo { changes, .. } => changes.len() * ROW,
        DiskRequest::RestorePage { rows, .. } => rows.len() * ROW,
        DiskRequest::AppendLog { bytes, .. } | DiskRequest::WriteFile { bytes, .. } => bytes.len(),
        DiskRequest::OpenDatabase { .. }
        | DiskRequest::DropDatabase { .. }
        | DiskRequest::TruncateLog { .. }
        | DiskRequest::DiscardLog { .. }
        | DiskRequest::CheckPage { .. }
        | DiskRequest::ReadFile { .. } => 0,
    }
}
