//! The application: seeded transactions at a rate, one at a time, with what it was told about each.
//!
//! Every transaction has a number that is unique in the run and serves as its row's key or its unique value, so that an
//! oracle can recompute from the trace alone which rows must exist. Two kinds of rows: *accounts*, which only transfers
//! change after their insert, so that their sum is kept; and *orders*, which updates overwrite. The application opens a
//! new connection after a loss and after any error. Whether an in-doubt transaction happened no driver tells: an application
//! that wants to know reads what it would have left behind, as its first transaction on the next connection.

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;
use tokio::sync::Notify;

use crate::driver::Observer;
use crate::driver::clock::Clock;
use crate::driver::net::Net;
use crate::sim::client::{ClientConnection, ClientError, ConnectionString, Connector};
use crate::types::{ClientEvent, InstanceName, Reply, ReplyItem, Timestamp, Value};

/// An application's first transactions open this many accounts.
pub const ACCOUNTS: usize = 4;

/// What an account holds when it is opened.
pub const OPENING_BALANCE: i64 = 1_000;

/// The most one transfer moves.
const TRANSFER_MAX: u64 = 10;

/// Orders an application keeps in mind, the newest.
const ORDERS_MAX: usize = 1_000;

/// Errors this severe end the connection and say nothing of what became of the transaction. Source: documented.
const FATAL_SEVERITY: u8 = 20;

/// After a login timeout without success ("reconnect pause").
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// How often each kind of transaction is drawn; only the proportions matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    pub insert: u32,
    pub update: u32,
    pub transfer: u32,
    pub read: u32,
}

impl Mix {
    fn total(&self) -> u64 {
        let weights = [self.insert, self.update, self.transfer, self.read];
        weights.into_iter().map(u64::from).sum()
    }
}

/// What an application does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    pub connection: ConnectionString,
    /// The table it writes: `(id INT PRIMARY KEY, value INT)`. Applications may share one.
    pub table: String,
    /// From the start of one transaction to the start of the next, unless that is late.
    pub interval: Duration,
    pub mix: Mix,
    /// Its transactions, and so its rows, are numbered from here; the ranges of two applications must not meet.
    pub first_transaction: u64,
    /// It finds out what became of an insert or update in doubt.
    pub verify: bool,
    /// How long it waits for an answer before it gives the connection up.
    pub query_timeout: Duration,
}

/// What one transaction does. Printed into, and parsed from, the `operation` of `ClientEvent::Submitted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// `insert 7 = 1000`
    Insert { id: i64, value: i64 },
    /// `update 7 = 12`
    Update { id: i64, value: i64 },
    /// `transfer 5 from 7 to 8`: both rows change or none does.
    Transfer { amount: i64, from: i64, to: i64 },
    /// `read 7`
    Read { id: i64 },
}

impl Operation {
    /// The batch that does it.
    pub fn batch(&self, table: &str) -> String {
        let table = format!("[{}]", table.replace(']', "]]"));
        match self {
            Operation::Insert { id, value } => {
                format!("INSERT INTO {table} (id, value) VALUES ({id}, {value});")
            }
            Operation::Update { id, value } => {
                format!("UPDATE {table} SET value = {value} WHERE id = {id};")
            }
            Operation::Transfer { amount, from, to } => format!(
                "BEGIN TRAN; UPDATE {table} SET value = value - {amount} WHERE id = {from}; \
                 UPDATE {table} SET value = value + {amount} WHERE id = {to}; COMMIT;"
            ),
            Operation::Read { id } => format!("SELECT value FROM {table} WHERE id = {id};"),
        }
    }

    /// The `values` of `ClientEvent::Acknowledged`: what a read returned, `None` for no row or NULL. A write has none,
    /// except a single `None` if a row it was to change was not there.
    fn values(&self, reply: &Reply) -> Vec<Option<i64>> {
        if let Operation::Read { .. } = self {
            let first = reply.rows().next().and_then(|row| row.first());
            return vec![match first {
                Some(Value::Int(n)) => Some(*n),
                _ => None,
            }];
        }
        let missed = |item: &ReplyItem| matches!(item, ReplyItem::Affected(0));
        if reply.items.iter().any(missed) {
            vec![None]
        } else {
            Vec::new()
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operation::Insert { id, value } => write!(f, "insert {id} = {value}"),
            Operation::Update { id, value } => write!(f, "update {id} = {value}"),
            Operation::Transfer { amount, from, to } => write!(f, "transfer {amount} from {from} to {to}"),
            Operation::Read { id } => write!(f, "read {id}"),
        }
    }
}

/// The text is not a printed [`Operation`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an operation")]
pub struct NotAnOperation(String);

impl FromStr for Operation {
    type Err = NotAnOperation;

    fn from_str(text: &str) -> Result<Self, NotAnOperation> {
        let wrong = || NotAnOperation(text.to_owned());
        let number = |word: &str| word.parse::<i64>().map_err(|_| wrong());
        let words: Vec<&str> = text.split(' ').collect();
        Ok(match words.as_slice() {
            ["insert", id, "=", value] => Operation::Insert {
                id: number(id)?,
                value: number(value)?,
            },
            ["update", id, "=", value] => Operation::Update {
                id: number(id)?,
                value: number(value)?,
            },
            ["transfer", amount, "from", from, "to", to] => Operation::Transfer {
                amount: number(amount)?,
                from: number(from)?,
                to: number(to)?,
            },
            ["read", id] => Operation::Read { id: number(id)? },
            _ => return Err(wrong()),
        })
    }
}

/// One application. Its events are `ClientEvent`s.
pub struct Application<N: Net, C: Clock> {
    workload: Workload,
    connector: Connector<N, C>,
    clock: C,
    rng: ChaCha8Rng,
    observer: Observer,
    stop: StopHandle,
    next_transaction: u64,
    next_start: Timestamp,
    /// Rows whose insert was acknowledged.
    accounts: Vec<i64>,
    orders: Vec<i64>,
    /// What it does not know the end of and will look for.
    in_doubt: Option<Operation>,
}

impl<N: Net, C: Clock> Application<N, C> {
    pub fn new(workload: Workload, net: N, clock: C, rng: ChaCha8Rng, observer: Observer) -> Self {
        Application {
            connector: Connector::new(net, clock.clone(), workload.connection.clone()),
            clock,
            rng,
            observer,
            stop: StopHandle::default(),
            next_transaction: workload.first_transaction,
            next_start: Timestamp::ZERO,
            accounts: Vec::new(),
            orders: Vec::new(),
            in_doubt: None,
            workload,
        }
    }

    /// Ends `run` once the transaction under way has its answer.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// Run until stopped, or until the future is dropped; a transaction under way then stays without an answer.
    pub async fn run(mut self) {
        let stop = self.stop.clone();
        while !stop.is_stopped() {
            let connected = tokio::select! {
                biased;
                connected = self.connector.connect() => connected,
                () = stop.stopped() => return,
            };
            match connected {
                Ok(connection) => self.converse(connection).await,
                Err(error) => {
                    self.emit(ClientEvent::ConnectFailed {
                        to: error.address().to_string(),
                        error: error.to_string(),
                    });
                    self.rest(self.clock.now().at + RECONNECT_PAUSE).await;
                }
            }
        }
    }

    /// Submit transactions over one connection until it is lost or answers with an error.
    async fn converse(&mut self, mut connection: ClientConnection<N, C>) {
        let to = connection.instance();
        self.emit(ClientEvent::Connected {
            to: to.clone(),
            failover_partner: connection.failover_partner().map(str::to_owned),
        });
        loop {
            // A server that lets everybody in and then refuses everything is not asked faster either.
            self.rest(self.next_start).await;
            if self.stop.is_stopped() {
                return;
            }
            self.next_start = self.clock.now().at + self.workload.interval;
            if !self.transact(&mut connection, &to).await {
                return;
            }
        }
    }

    /// Wait until `at`, or until stopped.
    async fn rest(&self, at: Timestamp) {
        tokio::select! {
            biased;
            () = self.stop.stopped() => {}
            () = self.clock.sleep_until(at) => {}
        }
    }

    /// One transaction; whether the connection is good for another.
    async fn transact(&mut self, connection: &mut ClientConnection<N, C>, to: &InstanceName) -> bool {
        let transaction = self.next_transaction;
        self.next_transaction += 1;
        let looked_for = self.in_doubt;
        let operation = match looked_for {
            Some(Operation::Insert { id, .. } | Operation::Update { id, .. }) => Operation::Read { id },
            _ => self.draw(transaction),
        };
        self.emit(ClientEvent::Submitted {
            transaction,
            to: to.clone(),
            operation: operation.to_string(),
        });
        let batch = operation.batch(&self.workload.table);
        let answer = connection.execute(&batch, self.workload.query_timeout).await;
        let outcome = outcome(transaction, &operation, &answer);
        self.find_out(&operation, &outcome);
        let acknowledged = matches!(outcome, ClientEvent::Acknowledged { .. });
        self.emit(outcome);
        if acknowledged {
            self.remember(&operation);
        }
        acknowledged
    }

    /// Keep in mind what is in doubt, until a read of its row says whether it happened.
    fn find_out(&mut self, operation: &Operation, outcome: &ClientEvent) {
        match (operation, outcome) {
            (Operation::Read { .. }, ClientEvent::Acknowledged { values, .. }) => {
                if let Some(insert @ Operation::Insert { value, .. }) = self.in_doubt.take()
                    && values.first() == Some(&Some(value))
                {
                    self.remember(&insert);
                }
            }
            (Operation::Insert { .. } | Operation::Update { .. }, ClientEvent::InDoubt { .. })
                if self.workload.verify =>
            {
                self.in_doubt = Some(*operation);
            }
            _ => {}
        }
    }

    fn draw(&mut self, transaction: u64) -> Operation {
        let id = i64::try_from(transaction).unwrap_or(i64::MAX);
        if self.accounts.len() < ACCOUNTS {
            let value = OPENING_BALANCE;
            return Operation::Insert { id, value };
        }
        let insert = Operation::Insert { id, value: id };
        let Mix {
            insert: _,
            update,
            transfer,
            read,
        } = self.workload.mix;
        let drawn = below(self.workload.mix.total(), self.rng.next_u64());
        let (update, transfer, read) = (u64::from(update), u64::from(transfer), u64::from(read));
        if drawn < update {
            // Without an order to update, there has to be one.
            match pick(&self.orders, self.rng.next_u64()) {
                Some(row) => Operation::Update { id: row, value: id },
                None => insert,
            }
        } else if drawn < update + transfer {
            self.draw_transfer().unwrap_or(insert)
        } else if drawn < update + transfer + read {
            let rows = (self.accounts.len() + self.orders.len()) as u64;
            let index = usize::try_from(below(rows, self.rng.next_u64())).unwrap_or(0);
            let row = self.accounts.iter().chain(&self.orders).nth(index);
            row.map_or(insert, |id| Operation::Read { id: *id })
        } else {
            insert
        }
    }

    fn draw_transfer(&mut self) -> Option<Operation> {
        let from = pick(&self.accounts, self.rng.next_u64())?;
        let mut others = self.accounts.clone();
        others.retain(|id| *id != from);
        let to = pick(&others, self.rng.next_u64())?;
        let amount = 1 + i64::try_from(below(TRANSFER_MAX, self.rng.next_u64())).ok()?;
        Some(Operation::Transfer { amount, from, to })
    }

    fn remember(&mut self, operation: &Operation) {
        match operation {
            Operation::Insert { id, .. } if self.accounts.len() < ACCOUNTS => self.accounts.push(*id),
            Operation::Insert { id, .. } => {
                if self.orders.len() >= ORDERS_MAX {
                    self.orders.remove(0);
                }
                self.orders.push(*id);
            }
            Operation::Update { .. } | Operation::Transfer { .. } | Operation::Read { .. } => {}
        }
    }

    fn emit(&self, event: ClientEvent) {
        (self.observer)(self.clock.now().at, event.into());
    }
}

fn pick(rows: &[i64], drawn: u64) -> Option<i64> {
    let index = below(rows.len() as u64, drawn);
    rows.get(usize::try_from(index).ok()?).copied()
}

/// A number below `bound` (zero if that is zero). The bias of the remainder is far below what a run can show.
fn below(bound: u64, drawn: u64) -> u64 {
    drawn.checked_rem(bound).unwrap_or(0)
}

fn outcome(transaction: u64, operation: &Operation, answer: &Result<Reply, ClientError>) -> ClientEvent {
    let Ok(reply) = answer else {
        return ClientEvent::InDoubt { transaction };
    };
    match reply.error() {
        None => ClientEvent::Acknowledged {
            transaction,
            values: operation.values(reply),
        },
        Some(error) if error.severity >= FATAL_SEVERITY => ClientEvent::InDoubt { transaction },
        Some(error) => ClientEvent::Refused {
            transaction,
            number: error.number,
        },
    }
}

/// Ends an application in order.
#[derive(Debug, Clone, Default)]
pub struct StopHandle(Rc<StopState>);

#[derive(Debug, Default)]
struct StopState {
    stopped: Cell<bool>,
    changed: Notify,
}

impl StopHandle {
    pub fn stop(&self) {
        self.0.stopped.set(true);
        self.0.changed.notify_one();
    }

    fn is_stopped(&self) -> bool {
        self.0.stopped.get()
    }

    async fn stopped(&self) {
        while !self.is_stopped() {
            self.0.changed.notified().await;
        }
    }
}
