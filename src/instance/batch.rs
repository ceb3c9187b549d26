//! Batches at work: statements one after another, each done at once or waiting for the disk, a commit, a partner or a
//! row lock.
//!
//! A batch ends at its first error; what it did before stands, except an open transaction, which is rolled back. A
//! transaction that meets a locked row starts again from its `BEGIN` when the lock is gone, so no two transactions wait
//! for each other. A transaction does not outlive its batch.

use super::Instance;
use super::catalog::DatabaseEntry;
use super::client::ClientSession;
use super::database::Database;
use super::database::down::RestoredLog;
use super::database::tables::{Blocked, Transaction};
use super::ddl::CertificateStep;
use super::io::{ControllerTicket, DiskError, DiskReply, DiskTicket};
use crate::error::{SqlError, msg};
use crate::log::BackupPoint;
use crate::tsql::ast::{self, Spanned, Statement};
use crate::types::{ConnectionId, DatabaseName, InstanceEvent, Lsn, Reply, ReplyItem};

/// One batch being executed.
#[derive(Debug)]
pub struct Running {
    statements: Vec<Spanned<Statement>>,
    next: usize,
    items: Vec<ReplyItem>,
    transaction: Option<OpenTransaction>,
    /// A statement was in error: the batch ends.
    failed: bool,
    pub wait: Option<Wait>,
}

#[derive(Debug)]
struct OpenTransaction {
    database: DatabaseName,
    work: Transaction,
    began_at: usize,
    items_before: usize,
}

impl Running {
    pub(super) fn push_item(&mut self, item: ReplyItem) {
        self.items.push(item);
    }
}

/// What a statement waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    Disk(DiskTicket),
    /// The commit that ends at `lsn` to be acknowledged.
    Commit {
        database: DatabaseName,
        lsn: Lsn,
    },
    /// The endpoint to listen, or not to.
    Listener,
    /// The outcome of a mirroring command on this database.
    Command {
        database: DatabaseName,
    },
    /// A row lock of this database to go.
    Lock {
        database: DatabaseName,
    },
    /// What the domain controller says.
    Controller(ControllerTicket),
}

/// What a statement came to.
#[derive(Debug)]
pub(super) enum Outcome {
    Done,
    Item(ReplyItem),
    Wait(Wait),
}

pub(super) type StatementResult = Result<Outcome, SqlError>;

/// What to do with the batch when the disk has answered.
#[derive(Debug)]
pub(super) enum Then {
    /// The statement is done.
    Finish,
    /// The catalog is durable; go on with what is inside.
    Durable(Box<Then>),
    /// The endpoint changed; apply it, restarting it if `restart`.
    Endpoint {
        restart: Option<SqlError>,
    },
    /// Logins or permissions changed.
    Security,
    Certificate(Box<CertificateStep>),
    /// The files of a database are there; enter it.
    Created(Box<NewDatabase>),
    Dropped,
    Backup {
        pages: u64,
        /// What the database is to remember of it.
        record: Option<(DatabaseName, BackupPoint)>,
        /// Whose log was backed up, if it was a log backup.
        log_of: Option<DatabaseName>,
    },
    RestoreRead(ast::Restore),
    /// The last block that `RESTORE LOG` brought is hardened, and all before it.
    LogRestored(Box<RestoredLog>),
}

/// A database whose files are being created; it is not in the catalog before they are there.
#[derive(Debug)]
pub(super) struct NewDatabase {
    pub entry: DatabaseEntry,
    pub database: Database,
}

impl Instance {
    /// Begin a batch of this client, or answer at once what is wrong with it.
    pub(super) fn start_batch(&mut self, connection: ConnectionId, text: &str) {
        let (statements, items) = match crate::tsql::parse(text) {
            Ok(statements) => (statements, Vec::new()),
            Err(error) => (Vec::new(), vec![ReplyItem::Error(error)]),
        };
        let failed = !items.is_empty();
        let running = Running {
            statements,
            next: 0,
            items,
            transaction: None,
            failed,
            wait: None,
        };
        if let Some(client) = self.clients.get_mut(&connection) {
            client.running = Some(running);
        }
        self.advance(connection);
    }

    /// Execute statements until one waits or the batch ends.
    pub(super) fn advance(&mut self, connection: ConnectionId) {
        loop {
            let Some(running) = self.running(connection) else {
                return;
            };
            if running.wait.is_some() {
                return;
            }
            if running.failed || running.next >= running.statements.len() {
                return self.finish_batch(connection);
            }
            let statement = running.statements[running.next].clone();
            running.next += 1;
            let result = self.execute(connection, &statement);
            self.settle_statement(connection, result);
        }
    }

    fn settle_statement(&mut self, connection: ConnectionId, result: StatementResult) {
        let Some(running) = self.running(connection) else {
            return;
        };
        match result {
            Ok(Outcome::Done) => {}
            Ok(Outcome::Item(item)) => running.items.push(item),
            Ok(Outcome::Wait(wait)) => running.wait = Some(wait),
            Err(error) => {
                running.failed = true;
                running.items.push(ReplyItem::Error(error));
            }
        }
    }

    fn finish_batch(&mut self, connection: ConnectionId) {
        let Some(client) = self.clients.get_mut(&connection) else {
            return;
        };
        let Some(mut running) = client.running.take() else {
            return;
        };
        let open = running.transaction.take().is_some();
        if open && !running.failed {
            running
                .items
                .push(ReplyItem::Error(msg::UNCOMMITTED_AT_END_OF_BATCH.error()));
        }
        let reply = Reply { items: running.items };
        let error = reply.error().map(|e| e.number);
        self.emit(InstanceEvent::BatchDone { connection, error });
        self.reply(connection, reply);
    }

    fn running(&mut self, connection: ConnectionId) -> Option<&mut Running> {
        self.clients.get_mut(&connection).and_then(|c| c.running.as_mut())
    }

    fn execute(&mut self, connection: ConnectionId, statement: &Spanned<Statement>) -> StatementResult {
        let in_transaction = self.running(connection).is_some_and(|r| r.transaction.is_some());
        if in_transaction && !is_transactional(&statement.node) {
            return Err(msg::NOT_IN_TRANSACTION
                .with(&[&statement.node.title()])
                .at(statement.span));
        }
        let result = match &statement.node {
            Statement::Begin => self.begin(connection),
            Statement::Commit => self.commit(connection),
            Statement::Rollback => self.rollback(connection),
            Statement::CreateTable(_)
            | Statement::Insert(_)
            | Statement::Update(_)
            | Statement::Delete(_) => self.in_transaction(connection, &statement.node),
            Statement::Select(select) => self.select(connection, select),
            Statement::Print(text) => Ok(Outcome::Item(ReplyItem::Info(print_message(text.as_str())))),
            Statement::Execute(call) => self.execute_procedure(connection, call),
            Statement::Use(name) => self.use_database(connection, name.as_str()),
            other => self.execute_ddl(connection, other),
        };
        result.map_err(|e| if e.at.is_none() { e.at(statement.span) } else { e })
    }

    fn begin(&mut self, connection: ConnectionId) -> StatementResult {
        let database = self.current_database(connection)?;
        let Some(running) = self.running(connection) else {
            return Ok(Outcome::Done);
        };
        if running.transaction.is_some() {
            return Err(msg::NOT_SUPPORTED.with(&[&"nested BEGIN TRANSACTION"]));
        }
        running.transaction = Some(OpenTransaction {
            database,
            work: Transaction::default(),
            began_at: running.next - 1,
            items_before: running.items.len(),
        });
        Ok(Outcome::Done)
    }

    fn commit(&mut self, connection: ConnectionId) -> StatementResult {
        let open = self.running(connection).and_then(|r| r.transaction.take());
        let open = open.ok_or_else(|| msg::NO_BEGIN_TRANSACTION.error())?;
        self.commit_transaction(&open.database, open.work)
    }

    fn rollback(&mut self, connection: ConnectionId) -> StatementResult {
        let open = self.running(connection).and_then(|r| r.transaction.take());
        open.map(|_| Outcome::Done)
            .ok_or_else(|| msg::NO_BEGIN_TRANSACTION_ROLLBACK.error())
    }

    fn commit_transaction(&mut self, database: &DatabaseName, work: Transaction) -> StatementResult {
        if work.is_empty() {
            return Ok(Outcome::Done);
        }
        let lsn = self.append_transaction(database, work)?;
        Ok(Outcome::Wait(Wait::Commit {
            database: database.clone(),
            lsn,
        }))
    }

    /// Run a statement that changes rows, in the open transaction or in one of its own.
    fn in_transaction(&mut self, connection: ConnectionId, statement: &Statement) -> StatementResult {
        let database = self.current_database(connection)?;
        let open = self.running(connection).and_then(|r| r.transaction.take());
        let autocommit = open.is_none();
        let mut work = open.as_ref().map(|o| o.work.clone()).unwrap_or_default();
        let (began_at, items_before) = match (&open, self.running(connection)) {
            (Some(open), _) => (open.began_at, open.items_before),
            (None, Some(running)) => (running.next - 1, running.items.len()),
            (None, None) => return Ok(Outcome::Done),
        };
        let tables = self.tables(&database)?;
        match super::dml::change_rows(statement, tables, &mut work) {
            Ok(affected) => {
                let item = ReplyItem::Affected(affected);
                if autocommit {
                    if let Some(running) = self.running(connection) {
                        running.items.push(item);
                    }
                    return self.commit_transaction(&database, work);
                }
                if let Some(running) = self.running(connection) {
                    running.transaction = Some(OpenTransaction {
                        database,
                        work,
                        began_at,
                        items_before,
                    });
                }
                Ok(Outcome::Item(item))
            }
            Err(Blocked::Error(error)) => {
                self.page_wanted(&database, &error);
                Err(error)
            }
            Err(Blocked::Locked) => self.start_over(connection, database, began_at, items_before),
        }
    }

    fn start_over(
        &mut self,
        connection: ConnectionId,
        database: DatabaseName,
        began_at: usize,
        items_before: usize,
    ) -> StatementResult {
        if let Some(running) = self.running(connection) {
            running.next = began_at;
            running.items.truncate(items_before);
            running.transaction = None;
        }
        Ok(Outcome::Wait(Wait::Lock { database }))
    }

    fn select(&mut self, connection: ConnectionId, select: &ast::Select) -> StatementResult {
        let database = self.clients.get(&connection).and_then(|c| c.database.clone());
        let open = self
            .running(connection)
            .and_then(|r| r.transaction.as_ref())
            .map(|o| (o.work.clone(), o.began_at, o.items_before));
        let work = open.as_ref().map(|o| o.0.clone()).unwrap_or_default();
        let mut locked = None;
        match self.run_select(connection, select, &work, &mut locked) {
            Ok(item) => Ok(Outcome::Item(item)),
            Err(Blocked::Error(error)) => {
                if let Some(database) = &database {
                    self.page_wanted(database, &error);
                }
                Err(error)
            }
            Err(Blocked::Locked) => {
                let database = locked.or(database).unwrap_or_else(|| DatabaseName::new("master"));
                let here = self
                    .running(connection)
                    .map(|r| (r.next - 1, r.items.len()))
                    .unwrap_or_default();
                let (began_at, items_before) = open.map_or(here, |o| (o.1, o.2));
                self.start_over(connection, database, began_at, items_before)
            }
        }
    }

    /// Let go on every batch that waits for `wait`, once the input that is being handled is dealt with: what a batch
    /// does next must not come in between.
    pub(super) fn resume(&mut self, wait: &Wait) {
        self.resume_with(wait, &Ok(()));
    }

    /// The same, with what their statement came to.
    pub(super) fn resume_with(&mut self, wait: &Wait, result: &Result<(), SqlError>) {
        let waits = |client: &ClientSession| {
            client
                .running
                .as_ref()
                .is_some_and(|r| r.wait.as_ref() == Some(wait))
        };
        let waiting = self.clients.iter().filter(|(_, c)| waits(c));
        self.resumed
            .extend(waiting.map(|(id, _)| (*id, wait.clone(), result.clone())));
    }

    /// Carry on with the batches that were let go on. They may let go on others.
    pub(super) fn run_resumed(&mut self) {
        while let Some((connection, wait, result)) = self.resumed.pop_front() {
            match self.running(connection) {
                Some(running) if running.wait.as_ref() == Some(&wait) => running.wait = None,
                _ => continue,
            }
            self.settle_statement(connection, result.map(|()| Outcome::Done));
            self.advance(connection);
        }
    }

    /// The disk has answered a statement.
    pub(super) fn statement_disk_done(
        &mut self,
        connection: ConnectionId,
        then: Then,
        result: Result<DiskReply, DiskError>,
    ) {
        let outcome = self.after_disk(connection, then, result);
        self.statement_answered(connection, outcome);
    }

    /// What a statement waited for outside the instance is there.
    pub(super) fn statement_answered(&mut self, connection: ConnectionId, outcome: StatementResult) {
        let Some(running) = self.running(connection) else {
            return;
        };
        running.wait = None;
        self.settle_statement(connection, outcome);
        self.advance(connection);
    }
}

fn is_transactional(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Begin
            | Statement::Commit
            | Statement::Rollback
            | Statement::CreateTable(_)
            | Statement::Insert(_)
            | Statement::Update(_)
            | Statement::Delete(_)
            | Statement::Select(_)
            | Statement::Print(_)
    )
}

fn print_message(text: &str) -> SqlError {
    SqlError {
        number: 0,
        severity: 0,
        state: 1,
        text: text.to_owned(),
        at: None,
    }
}
