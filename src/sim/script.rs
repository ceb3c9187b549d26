//! Plays one scenario over a stage: set-up, steps, expectations, healing, settling, last looks.
//!
//! Everything runs in one task: between two steps it sleeps until the next thing that is due (a step, a timed
//! expectation, the end of a fault, a client's start or stop). While a step waits for its answer, faults end in their
//! time, and what the trace alone can answer is looked at; queries, and clients, wait for the step. Source: ours.

mod expectations;

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use expectations::printed;

use super::client::ADMINISTRATOR;
use super::fault::Fault;
use super::last_look;
use super::oracle::End;
use super::runner::{Failure, FaultCount, FinalView};
use super::scenario::{Action, Begin, Condition, Expect, Expectation, Must, Scenario, Setup, Step, caller};
use super::stage::{FaultId, Stage};
use super::topology::ClientSpec;
use super::trace::Recorder;
use crate::error::SqlError;
use crate::tsql::split_batches;
use crate::types::{ClientEvent, DatabaseName, InstanceName, Reply, Source, Timestamp, Value, WorldEvent};

/// The table the clients write, in every database they use.
pub const CLIENT_TABLE: &str = "Ledger";

/// The name of the scenario's own client in the trace.
const OPERATOR: &str = "operator";

/// How often a condition is looked at while it is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What playing a scenario yields beside its trace.
#[derive(Debug, Clone, Default)]
pub struct Played {
    pub failures: Vec<Failure>,
    pub faults: BTreeMap<String, FaultCount>,
    /// When the set-up was complete; `None` if it failed.
    pub setup_end: Option<Timestamp>,
    pub views: Vec<FinalView>,
    pub end: End,
}

/// Play `scenario` to its end. Never fails as such: what went wrong is among the failures.
pub async fn play<S: Stage>(scenario: &Scenario, stage: &S, recorder: &Recorder) -> Played {
    let mut player = Player {
        scenario,
        stage,
        recorder,
        played: Played::default(),
        origin: Timestamp::ZERO,
        since: Timestamp::ZERO,
        open: BTreeMap::new(),
        kinds: BTreeMap::new(),
        next_fault: 1,
        due: Vec::new(),
    };
    if player.set_up().await {
        player.run_steps().await;
        player.settle().await;
        player.final_expectations().await;
        player.last_looks().await;
    }
    player.count_faults();
    player.played.end.databases = scenario
        .topology
        .clients
        .iter()
        .map(|c| (c.name.clone(), c.database.clone()))
        .collect();
    player.played.end.named = last_look::keys_named(scenario);
    player.played.end.at = stage.now();
    player.played
}

struct Player<'a, S> {
    scenario: &'a Scenario,
    stage: &'a S,
    recorder: &'a Recorder,
    played: Played,
    /// The end of the set-up: zero of the scenario's times.
    origin: Timestamp,
    /// When the last step was done.
    since: Timestamp,
    /// Faults that go on, with their text.
    open: BTreeMap<FaultId, Fault>,
    /// Every fault that was fired.
    kinds: BTreeMap<FaultId, (&'static str, bool)>,
    next_fault: FaultId,
    /// What happens by the clock beside the steps, earliest first.
    due: Vec<(Timestamp, Due)>,
}

#[derive(Debug, Clone)]
enum Due {
    StartClient(ClientSpec),
    StopClient(String),
    Expect(Expect),
    EndFault(FaultId),
}

impl Due {
    /// Whether it may happen while a step waits for its answer: it asks nobody, and is no step itself.
    fn needs_no_operator(&self) -> bool {
        match self {
            Due::EndFault(_) => true,
            Due::Expect(expect) => !matches!(
                expect.what,
                Expectation::Rows { .. } | Expectation::QueryError { .. }
            ),
            Due::StartClient(_) | Due::StopClient(_) => false,
        }
    }
}

impl<S: Stage> Player<'_, S> {
    fn tell(&self, event: WorldEvent) {
        self.recorder.record(self.stage.now(), Source::World, event);
    }

    fn step_text(&self, text: String) {
        self.tell(WorldEvent::Step { text });
    }

    fn fail(&mut self, what: &str, fingerprint: String, message: String) {
        self.played.failures.push(Failure {
            check: what.to_owned(),
            fingerprint,
            message,
            at: self.stage.now(),
        });
    }

    // ---- set-up --------------------------------------------------------------------------------------------------

    async fn set_up(&mut self) -> bool {
        self.step_text("set-up".into());
        if let Err(message) = self.stage.start_instances() {
            self.fail("set-up", "set-up/start".into(), message);
            return false;
        }
        for (i, piece) in self.scenario.setup.iter().enumerate() {
            if let Err(message) = self.set_up_piece(piece).await {
                self.fail("set-up", format!("set-up/{}", i + 1), message);
                return false;
            }
        }
        self.step_text("set-up complete".into());
        self.origin = self.stage.now();
        self.since = self.origin;
        self.played.setup_end = Some(self.origin);
        self.plan();
        true
    }

    async fn set_up_piece(&mut self, piece: &Setup) -> Result<(), String> {
        match piece {
            Setup::Sql { on, sql } => self
                .batches(on, ADMINISTRATOR, sql)
                .await?
                .map_or(Ok(()), |error| Err(format!("on {on}: {error}"))),
            Setup::CopyFile { path, from, to } => to
                .iter()
                .try_for_each(|to| self.stage.copy_file(path, from, to))
                .map_err(|e| format!("copying {path} from {from}: {e}")),
            Setup::Wait { condition, within } => {
                let deadline = self.stage.now() + *within;
                self.wait_for(condition, deadline).await
            }
        }
    }

    /// Executes a script; the error it ended in, if any.
    ///
    /// # Errors
    /// Why there was no answer.
    async fn batches(
        &mut self,
        on: &InstanceName,
        login: &str,
        sql: &str,
    ) -> Result<Option<SqlError>, String> {
        let mut batches = Vec::new();
        for batch in split_batches(sql) {
            batches.extend((0..batch.count).map(|_| batch.text.clone()));
        }
        let replies = self.ask(on, login, &batches).await?;
        Ok(replies.iter().find_map(|reply| reply.error().cloned()))
    }

    async fn ask(
        &mut self,
        on: &InstanceName,
        login: &str,
        batches: &[String],
    ) -> Result<Vec<Reply>, String> {
        let stage = self.stage;
        let mut answer = pin!(stage.batches_as(on, login, batches));
        let (replies, lost) = loop {
            let Some(next) = self.due.iter().position(|(_, due)| due.needs_no_operator()) else {
                break answer.await;
            };
            let (at, _) = self.due[next];
            tokio::select! {
                biased;
                answered = &mut answer => break answered,
                () = stage.sleep_until(at) => {
                    let (_, due) = self.due.remove(next);
                    self.do_beside(due);
                }
            }
        };
        for reply in &replies {
            let event = ClientEvent::Batch {
                on: on.clone(),
                reply: reply.clone(),
            };
            let source = Source::Client(OPERATOR.into());
            self.recorder.record(self.stage.now(), source, event);
        }
        match lost {
            Some(error) => Err(format!("no answer from {on}: {error}")),
            None => Ok(replies),
        }
    }

    /// One query's reply.
    ///
    /// # Errors
    /// Why there was none.
    async fn query(&mut self, on: &InstanceName, login: &str, query: &str) -> Result<Reply, String> {
        let replies = self.ask(on, login, &[query.to_owned()]).await?;
        replies
            .into_iter()
            .next()
            .ok_or_else(|| "there was no query".to_owned())
    }

    // ---- time ----------------------------------------------------------------------------------------------------

    /// Write down what the clock will do.
    fn plan(&mut self) {
        for client in &self.scenario.topology.clients {
            if let Some(from) = client.from {
                self.due
                    .push((self.origin + from, Due::StartClient(client.clone())));
            }
            if let Some(until) = client.until {
                self.due
                    .push((self.origin + until, Due::StopClient(client.name.clone())));
            }
        }
        for expect in &self.scenario.expects {
            if let Some(at) = expect.at {
                self.due.push((self.origin + at, Due::Expect(expect.clone())));
            }
        }
        self.due.sort_by_key(|(at, _)| *at);
    }

    /// Let time pass until `at`, doing what falls due before it.
    async fn pass(&mut self, at: Timestamp) {
        while let Some(next) = self.due.first().map(|(t, _)| *t).filter(|t| *t < at) {
            self.stage.sleep_until(next).await;
            let (_, due) = self.due.remove(0);
            self.do_due(due).await;
        }
        self.stage.sleep_until(at).await;
    }

    async fn do_due(&mut self, due: Due) {
        match due {
            Due::StartClient(client) => self.start_client(&client),
            Due::StopClient(name) => self.stop_client(&name),
            Due::Expect(expect) => self.expect(&expect).await,
            Due::EndFault(id) => self.heal(id),
        }
    }

    /// The same for what needs no operator.
    fn do_beside(&mut self, due: Due) {
        match due {
            Due::EndFault(id) => self.heal(id),
            Due::Expect(expect) => {
                let checked = self.check_now(&expect.what);
                self.checked(&expect, checked);
            }
            Due::StartClient(_) | Due::StopClient(_) => {
                unreachable!("only what needs no operator is chosen while a step waits")
            }
        }
    }

    /// # Errors
    /// If the condition does not hold by `deadline`; the text says what is the case instead.
    async fn wait_for(&mut self, condition: &Condition, deadline: Timestamp) -> Result<(), String> {
        loop {
            if self.recorder.model(|m| m.holds(condition, self.since)) {
                return Ok(());
            }
            let now = self.stage.now();
            if now >= deadline {
                let is = self.recorder.model(|m| m.describe(condition));
                return Err(format!("`{condition}` did not come true in time: {is}"));
            }
            self.pass((now + LOOK_EVERY).min(deadline)).await;
        }
    }

    // ---- steps ---------------------------------------------------------------------------------------------------

    async fn run_steps(&mut self) {
        for step in &self.scenario.steps {
            if !self.begin(step).await {
                return;
            }
            self.act(&step.action).await;
            self.since = self.stage.now();
        }
        let end = self.origin + self.scenario.until;
        let tries = |s: &Step| matches!(&s.action, Action::Sql { must: Must::End, .. });
        if self.stage.now() > end && !self.scenario.steps.iter().any(tries) {
            let late = self.stage.now().since(end);
            let message = format!("the steps ended {late:?} after the scenario's `until`");
            self.fail("steps", "steps/late".into(), message);
        }
        self.pass(end).await;
        while self.due.first().is_some_and(|(at, _)| *at <= end) {
            let (_, due) = self.due.remove(0);
            self.do_due(due).await;
        }
    }

    /// Wait until the step may begin; false ends the steps.
    async fn begin(&mut self, step: &Step) -> bool {
        match &step.begin {
            Begin::At(at) => {
                let at = self.origin + *at;
                let now = self.stage.now();
                if now > at {
                    let late = now.since(at);
                    let message = format!(
                        "`{}` began {late:?} late: the step above it took longer",
                        step.action
                    );
                    self.fail("steps", "steps/late".into(), message);
                }
                self.pass(at).await;
                true
            }
            Begin::After(time) => {
                self.pass(self.since + *time).await;
                true
            }
            Begin::When { condition, within } => {
                let deadline = self.stage.now() + *within;
                match self.wait_for(condition, deadline).await {
                    Ok(()) => true,
                    Err(message) => {
                        self.fail("steps", format!("steps/when {condition}"), message);
                        false
                    }
                }
            }
        }
    }

    async fn act(&mut self, action: &Action) {
        match action {
            Action::Sql { on, login, sql, must } => self.sql(on, login, sql, *must).await,
            Action::Fault { fault, lasts } => self.fault(fault, *lasts),
            Action::StartClient(name) => {
                let clients = &self.scenario.topology.clients;
                if let Some(client) = clients.iter().find(|c| c.name == *name) {
                    self.start_client(client);
                }
            }
            Action::StopClient(name) => self.stop_client(name),
            Action::HealAll => {
                self.step_text("heal all".into());
                self.heal_all();
            }
            Action::Wait(time) => {
                let until = self.stage.now() + *time;
                self.pass(until).await;
            }
        }
    }

    async fn sql(&mut self, on: &InstanceName, login: &str, sql: &str, must: Must) {
        let squeezed = sql.split_whitespace().collect::<Vec<_>>().join(" ");
        self.step_text(format!("sql on {on}{}: {squeezed}", caller(login)));
        let check = format!("steps/sql on {on}");
        let answered = self.batches(on, login, sql).await;
        let problem = match (answered, must) {
            (_, Must::End) | (Ok(None), Must::Succeed) => None,
            (Err(message), _) => Some(message),
            (Ok(Some(error)), Must::Succeed) => Some(format!("{error}")),
            (Ok(None), Must::Fail(number)) => Some(format!("it succeeded, but error {number} was expected")),
            (Ok(Some(error)), Must::Fail(number)) if error.number != number => {
                Some(format!("error {number} was expected, not {error}"))
            }
            (Ok(Some(_)), Must::Fail(_)) => None,
        };
        if let Some(problem) = problem {
            let message = format!("`{}` on {on}: {problem}", super::scenario::one_line(sql));
            self.fail("steps", check, message);
        }
    }

    fn start_client(&mut self, client: &ClientSpec) {
        self.step_text(format!("client {} starts, {}/s", client.name, client.rate));
        if let Err(message) = self.stage.start_client(client) {
            self.fail("steps", format!("steps/start {}", client.name), message);
        }
    }

    fn stop_client(&mut self, name: &str) {
        self.step_text(format!("client {name} stops"));
        self.stage.stop_client(name);
        self.recorder.client_stopped(name, self.stage.now());
    }

    // ---- faults --------------------------------------------------------------------------------------------------

    fn fault(&mut self, fault: &Fault, lasts: Option<Duration>) {
        let id = self.next_fault;
        self.next_fault += 1;
        let text = match lasts {
            Some(lasts) => format!("{fault} for {lasts:?}"),
            None => fault.to_string(),
        };
        self.tell(WorldEvent::FaultFired {
            id,
            fault: fault.kind().to_owned(),
            text,
        });
        let port_of = |instance: &InstanceName| self.recorder.model(|m| m.endpoint_port(instance));
        match self.stage.fire(id, fault, lasts, &port_of) {
            Ok(()) => {
                self.kinds.insert(id, (fault.kind(), false));
                if fault.lasts() {
                    self.open.insert(id, fault.clone());
                }
                if let Some(lasts) = lasts {
                    let at = self.stage.now() + lasts;
                    let place = self.due.partition_point(|(t, _)| *t <= at);
                    self.due.insert(place, (at, Due::EndFault(id)));
                }
            }
            Err(message) => {
                let check = format!("steps/fault {}", fault.kind());
                self.fail("steps", check, format!("`{fault}` could not be fired: {message}"));
            }
        }
    }

    fn heal(&mut self, id: FaultId) {
        let Some(fault) = self.open.remove(&id) else {
            return;
        };
        self.note_effect(id);
        if let Err(message) = self.stage.heal(id) {
            let check = format!("steps/heal {}", fault.kind());
            self.fail(
                "steps",
                check,
                format!("`{fault}` could not be healed: {message}"),
            );
        }
        self.tell(WorldEvent::FaultEnded {
            id,
            fault: fault.kind().to_owned(),
            text: fault.to_string(),
        });
    }

    fn heal_all(&mut self) {
        let open: Vec<FaultId> = self.open.keys().copied().collect();
        for id in open {
            self.heal(id);
        }
        self.due.retain(|(_, due)| !matches!(due, Due::EndFault(_)));
    }

    /// The effect is asked for when the fault ends, and told once.
    fn note_effect(&mut self, id: FaultId) {
        if let Some((_, seen)) = self.kinds.get_mut(&id)
            && !*seen
            && self.stage.took_effect(id)
        {
            *seen = true;
            self.tell(WorldEvent::FaultTookEffect { id });
        }
    }

    fn count_faults(&mut self) {
        let fired: Vec<FaultId> = self.kinds.keys().copied().collect();
        for id in fired {
            self.note_effect(id);
        }
        for (kind, took_effect) in self.kinds.values() {
            let count = self.played.faults.entry((*kind).to_owned()).or_default();
            count.fired += 1;
            count.took_effect += u32::from(*took_effect);
        }
    }

    // ---- the end -------------------------------------------------------------------------------------------------

    async fn settle(&mut self) {
        let Some(settle) = self.scenario.settle else {
            return;
        };
        self.step_text("heal all and settle".into());
        self.heal_all();
        self.tell(WorldEvent::Quiet);
        let until = self.stage.now() + settle;
        self.pass(until).await;
    }

    /// Read the clients' tables from the serving principals, and the views a reader wants to see.
    async fn last_looks(&mut self) {
        let databases: std::collections::BTreeSet<DatabaseName> = self
            .scenario
            .topology
            .clients
            .iter()
            .map(|c| c.database.clone())
            .collect();
        for database in &databases {
            self.played.end.copies.extend(self.stage.copies(database));
        }
        for database in databases {
            let Some(on) = self.recorder.model(|m| m.serving(&database).cloned()) else {
                continue;
            };
            let query = format!("USE [{database}]; SELECT id, value FROM {CLIENT_TABLE}");
            let (replies, lost) = self.stage.batches(&on, &[query]).await;
            let error = lost.or_else(|| replies.iter().find_map(|r| r.error().map(ToString::to_string)));
            let fired = self.kinds.values().map(|(kind, _)| *kind);
            let refused = replies.iter().find_map(Reply::error);
            let damaged = refused.is_some_and(|e| last_look::may_refuse(e.number, fired));
            match error {
                Some(_) if damaged => {}
                None => {
                    let rows = replies.iter().flat_map(Reply::rows);
                    let table = rows.filter_map(|row| pair(row)).collect();
                    self.played.end.tables.insert(database, table);
                }
                Some(error) => {
                    let message = format!(
                        "{on} says it serves {database}, but a read of {CLIENT_TABLE} fails: {error}"
                    );
                    self.fail("last look", format!("last look/{database}"), message);
                }
            }
        }
        for instance in &self.scenario.topology.instances {
            let view = self.final_view(&instance.name).await;
            self.played.views.push(view);
        }
    }

    async fn final_view(&self, on: &InstanceName) -> FinalView {
        let mut view = FinalView {
            instance: on.clone(),
            lines: Vec::new(),
        };
        if !self.recorder.model(|m| m.is_alive(on)) {
            view.lines.push("not running".into());
            return view;
        }
        for (name, query) in FINAL_QUERIES {
            let (replies, lost) = self.stage.batches(on, &[query.to_owned()]).await;
            let mut lines: Vec<String> = lost.into_iter().collect();
            for reply in &replies {
                lines.extend(reply.error().map(ToString::to_string));
                lines.extend(printed(reply).iter().map(|row| row.join("  ")));
            }
            view.lines
                .extend(lines.into_iter().map(|line| format!("{name}  {line}")));
        }
        view
    }
}

/// What a snapshot shows of each instance at the end.
const FINAL_QUERIES: [(&str, &str); 3] = [
    (
        "sys.database_mirroring_endpoints",
        "SELECT name, state_desc, role_desc, connection_auth_desc, encryption_algorithm_desc FROM sys.database_mirroring_endpoints",
    ),
    (
        "sys.database_mirroring",
        "SELECT DB_NAME(database_id), mirroring_role_desc, mirroring_state_desc, mirroring_safety_level_desc, mirroring_role_sequence, mirroring_witness_state_desc FROM sys.database_mirroring WHERE mirroring_guid IS NOT NULL",
    ),
    (
        "sys.database_mirroring_witnesses",
        "SELECT database_name, principal_server_name, mirror_server_name, safety_level_desc, role_sequence_number, partner_sync_state_desc FROM sys.database_mirroring_witnesses",
    ),
];

fn pair(row: &[Value]) -> Option<(i64, i64)> {
    match row {
        [Value::Int(key), Value::Int(value)] => Some((*key, *value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
