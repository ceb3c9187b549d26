//! Real runs: the stage over a simulation, with driver, instances and applications on it.
//!
//! The event-driven world plays every scenario; `turmoil::Sim` plays those whose faults it can do, as a second opinion.
//! Each instance is a process on its system, each client a process on a system of its own, and the scenario's batches come
//! from a system called `operator`. Instances of one system share its disk: each keeps its databases in a folder of its
//! own, while files that T-SQL names by path are the system's. Source: ours.

mod domains;
mod faults;
mod instance_disk;
mod playground;
mod power;
mod wiretap;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::client::{BatchClient, ClientError, ConnectionString};
use super::fault::Fault;
use super::kernel::Seams;
use super::oracle::CopyAtEnd;
use super::reference::Reference;
use super::runner::{Failure, Launch};
use super::scenario::{Action, Scenario};
use super::script::{CLIENT_TABLE, Played, play};
use super::stage::{BATCH_TIMEOUT, FaultId, Stage};
use super::topology::{ClientSpec, InstanceSpec, SystemSpec, Topology};
use super::trace::Recorder;
use super::workload::{Application, Mix, StopHandle, Workload};
use super::world::{
    ClockSetting, ProcessId, Streams, SystemConfig, SystemId, World, WorldConfig, WorldError,
};
use crate::driver::Observer;
use crate::driver::clock::Clock;
use crate::driver::disk::{Disk, DiskFile};
use crate::driver::entropy::Entropy;
use crate::driver::run::run as drive;
use crate::driver::store::{Store, user_file};
use crate::instance::io::{ConnectError, Core, DiskReply, DiskRequest};
use crate::instance::{Instance, InstanceConfig};
use crate::types::{
    DatabaseName, InstanceName, Reply, ReplyItem, ServerAddress, Source, Timestamp, WorldEvent,
};

use domains::{Domains, service};
use faults::Fired;
use instance_disk::InstanceDisk;
use playground::Playground;
use power::Power;

/// The system the scenario's own batches come from.
const OPERATOR: &str = "operator";

/// How long the operator tries an instance that runs and refuses: it has just been started and opens its files.
const START_PATIENCE: Duration = Duration::from_secs(1);

/// Between two of these attempts.
const START_RETRY: Duration = Duration::from_millis(10);

/// Transactions of one client, so that the numbers of two never meet.
const TRANSACTIONS_PER_CLIENT: u64 = 10_000_000;

/// How long a client waits for the answer to one transaction. Source: documented, the default command timeout.
const QUERY_TIMEOUT: Duration = Duration::from_secs(30);

/// Plays scenarios in the event-driven world. `K` is what an instance is made of.
#[derive(Debug, Clone, Copy)]
pub struct EventDriven<K> {
    /// Makes one instance for one start: everything there is, what it is, a fresh seed.
    pub boot: Boot<K>,
}

/// Makes an instance for one start.
pub type Boot<K> = fn(&Topology, &InstanceSpec, [u8; 32]) -> K;

/// Plays scenarios inside `turmoil::Sim`, those whose faults it can do.
#[derive(Debug, Clone, Copy)]
pub struct SecondOpinion<K> {
    /// As in [`EventDriven`].
    pub boot: Boot<K>,
}

/// A launch that this library has compiled whole. What uses it need not compile a world and its instances of its own.
#[derive(Clone, Copy)]
pub struct Built(&'static dyn Launch);

/// The launch of real runs: instances as they are, in the event-driven world.
pub fn instances() -> Built {
    static INSTANCES: EventDriven<Instance> = EventDriven { boot };
    Built(&INSTANCES)
}

/// The same instances inside `turmoil::Sim`.
pub fn second_opinion() -> Built {
    static INSTANCES: SecondOpinion<Instance> = SecondOpinion { boot };
    Built(&INSTANCES)
}

/// An instance as the topology declares it, for one start of its process.
pub fn boot(topology: &Topology, spec: &InstanceSpec, seed: [u8; 32]) -> Instance {
    let config = InstanceConfig {
        name: spec.name.clone(),
        server_name: spec.server_name(),
        system: spec.system.clone(),
        dns_suffix: topology.dns_suffix(&spec.system).unwrap_or_default().to_owned(),
        client_port: spec.client_port,
        options: spec.options.clone(),
        service: service(topology, spec).expect("the scenario parser lets no name be declared twice"),
    };
    Instance::new(config, seed)
}

impl Launch for Built {
    fn play(&self, scenario: &Scenario, seed: u64, recorder: &Recorder) -> Played {
        self.0.play(scenario, seed, recorder)
    }

    fn refusal(&self, scenario: &Scenario) -> Option<String> {
        self.0.refusal(scenario)
    }

    fn has_wire(&self) -> bool {
        self.0.has_wire()
    }

    fn repro_arguments(&self) -> &'static str {
        self.0.repro_arguments()
    }
}

impl<K: Core + 'static> Launch for EventDriven<K> {
    fn play(&self, scenario: &Scenario, seed: u64, recorder: &Recorder) -> Played {
        play_on::<World, K>(self.boot, scenario, seed, recorder)
    }
}

impl<K: Core + 'static> Launch for SecondOpinion<K> {
    fn play(&self, scenario: &Scenario, seed: u64, recorder: &Recorder) -> Played {
        play_on::<Reference, K>(self.boot, scenario, seed, recorder)
    }

    fn has_wire(&self) -> bool {
        false
    }

    fn repro_arguments(&self) -> &'static str {
        " --kernel turmoil"
    }

    fn refusal(&self, scenario: &Scenario) -> Option<String> {
        scenario.steps.iter().find_map(|step| {
            let Action::Fault { fault, .. } = &step.action else {
                return None;
            };
            let reason = <Reference as Playground>::cannot(fault)?;
            Some(format!(
                "the turmoil kernel cannot do its fault `{fault}`: {reason}"
            ))
        })
    }
}

fn play_on<W: Playground, K: Core + 'static>(
    boot: Boot<K>,
    scenario: &Scenario,
    seed: u64,
    recorder: &Recorder,
) -> Played {
    let systems = systems(&scenario.topology);
    let (scenario, recorder) = (scenario.clone(), recorder.clone());
    let result = W::play(WorldConfig::new(seed), systems, async move |kernel: W| {
        let topology = scenario.topology.clone();
        let stage = KernelStage::new(kernel, seed, topology, boot, recorder.clone())?;
        Ok(play(&scenario, &stage, &recorder).await)
    });
    match result.and_then(|played| played) {
        Ok(played) => played,
        Err(error) => broken(&error),
    }
}

/// The systems of the scenario, one for each client, and the operator's.
pub fn systems(topology: &Topology) -> Vec<SystemConfig> {
    let declared = topology.systems.iter().map(|spec| {
        let config = SystemConfig::new(spec.name.clone()).with_clock(clock_of(spec));
        match topology.dns_suffix(&spec.name) {
            Some(suffix) => config.with_dns_suffix(suffix),
            None => config,
        }
    });
    let clients = topology
        .clients
        .iter()
        .map(|client| SystemConfig::new(client.name.clone()));
    declared
        .chain(clients)
        .chain([SystemConfig::new(OPERATOR)])
        .collect()
}

fn clock_of(spec: &SystemSpec) -> ClockSetting {
    ClockSetting {
        offset_millis: spec.clock_offset_millis,
        drift_ppm: spec.clock_drift_ppm,
    }
}

/// A run that the world could not see through.
fn broken(error: &WorldError) -> Played {
    let (check, at) = match error {
        WorldError::Panicked { at, .. } => ("panic", *at),
        _ => ("world", Timestamp::ZERO),
    };
    let message = error.to_string();
    Played {
        failures: vec![Failure {
            check: check.to_owned(),
            fingerprint: format!("{check}/{}", message.lines().next().unwrap_or_default()),
            message,
            at,
        }],
        ..Played::default()
    }
}

/// The stage in the event-driven world, where tests may do what no scenario can say.
pub type WorldStage<K> = KernelStage<World, K>;

/// The stage over a kernel: [`play`] runs scenarios on it.
pub struct KernelStage<W: Playground, K> {
    power: Power<W>,
    streams: Streams,
    boot: Boot<K>,
    operator: SystemId,
    clients: RefCell<BTreeMap<String, RunningClient>>,
    clocks: RefCell<BTreeMap<String, ClockSetting>>,
    fired: RefCell<BTreeMap<FaultId, Fired<W::Broken>>>,
}

struct RunningClient {
    process: ProcessId,
    stop: Rc<RefCell<Option<StopHandle>>>,
}

impl<W: Playground, K: Core + 'static> KernelStage<W, K> {
    /// Nothing of `topology` runs yet but its [`systems`], which the kernel must have.
    ///
    /// # Errors
    /// If the kernel lacks one of them.
    pub fn new(
        kernel: W,
        seed: u64,
        topology: Topology,
        boot: Boot<K>,
        recorder: Recorder,
    ) -> Result<Self, WorldError> {
        let find = |name: &str| {
            let found = kernel.find(name);
            found.ok_or_else(|| WorldError::NoSuchName(name.to_owned()))
        };
        let declared = topology.systems.iter().map(|spec| &spec.name);
        let clients = topology.clients.iter().map(|client| &client.name);
        let systems = declared
            .chain(clients)
            .map(|name| Ok((name.clone(), find(name)?)))
            .collect::<Result<_, WorldError>>()?;
        let operator = find(OPERATOR)?;
        kernel.listen_in(&recorder);
        let clocks = topology
            .systems
            .iter()
            .map(|spec| (spec.name.clone(), clock_of(spec)));
        let clocks = RefCell::new(clocks.collect());
        let domains = Domains::new(&topology, &Streams::new(seed))
            .expect("the scenario parser lets no name be declared twice");
        Ok(KernelStage {
            power: Power::new(kernel, topology, recorder, systems, domains),
            streams: Streams::new(seed),
            boot,
            operator,
            clients: RefCell::default(),
            clocks,
            fired: RefCell::default(),
        })
    }

    fn system(&self, name: &str) -> Result<SystemId, String> {
        self.power.system(name)
    }

    fn spec(&self, name: &InstanceName) -> Result<&InstanceSpec, String> {
        self.power
            .topology
            .instances
            .iter()
            .find(|i| i.name == *name)
            .ok_or_else(|| format!("no instance is called {name}"))
    }

    /// Where clients reach an instance.
    fn client_address(&self, spec: &InstanceSpec) -> ServerAddress {
        ServerAddress::new(spec.system.clone(), spec.client_port)
    }

    fn has_power(&self, name: &InstanceName) -> Result<bool, String> {
        Ok(!self.power.is_dark(&self.spec(name)?.system))
    }

    fn is_alive(&self, name: &InstanceName) -> bool {
        self.power.is_alive(name)
    }

    /// Start an instance that is not running; its system must have power.
    ///
    /// # Errors
    /// If there is no such instance, or no power.
    pub fn start(&self, name: &InstanceName) -> Result<(), String> {
        let spec = self.spec(name)?.clone();
        let system = self.system(&spec.system)?;
        let topology = self.power.domains.name_accounts(&self.power.topology);
        let boot = self.boot;
        let power = self.power.clone();
        let recorder = self.power.recorder.clone();
        self.power.tell(WorldEvent::ProcessStarted {
            instance: name.clone(),
        });
        let process = self
            .power
            .kernel
            .start(system, name.as_str(), move |mut env: Seams<W>| async move {
                let core = boot(&topology, &spec, env.entropy.seed());
                let disk = InstanceDisk::new(env.disk.clone(), spec.name.as_str());
                let observer: Observer = {
                    let recorder = recorder.clone();
                    let source = Source::Instance(spec.name.clone());
                    Rc::new(move |at, event| recorder.record(at, source.clone(), event))
                };
                let driving = drive(core, env.net.clone(), disk, env.clock.clone(), observer);
                tokio::select! {
                    biased;
                    how = env.disk.crashed() => return power.crash(&spec.name, &spec.system, how),
                    _ = driving => {}
                }
                // It ended by itself, which it told as an event of its own.
                let ended = WorldEvent::ProcessKilled {
                    instance: spec.name.clone(),
                };
                recorder.record(env.clock.now().at, Source::World, ended);
            })
            .map_err(|e| e.to_string())?;
        self.power.started(name, process);
        Ok(())
    }

    /// Start a domain's controller unless it runs; without power it starts when its system does.
    fn start_controller(&self, domain: &str) -> Result<(), String> {
        let runs = self
            .power
            .domains
            .process_of(domain)
            .is_some_and(|p| self.power.kernel.runs(p));
        let system = self.power.domains.system_of(domain);
        let system = system.ok_or_else(|| format!("the domain {domain} has no controller"))?;
        if runs || self.power.is_dark(system) {
            return Ok(());
        }
        let name = format!("controller of {domain}");
        let main = self.power.domains.main::<W>(domain);
        let process = self.power.kernel.start(self.system(system)?, &name, main);
        self.power
            .domains
            .runs_as(domain, Some(process.map_err(|e| e.to_string())?));
        self.power.tell(WorldEvent::ControllerUp {
            domain: domain.to_owned(),
        });
        Ok(())
    }

    /// Whether it was alive.
    fn kill_controller(&self, domain: &str) -> bool {
        let killed = self
            .power
            .domains
            .process_of(domain)
            .is_some_and(|p| self.power.kernel.stop(p));
        self.power.domains.runs_as(domain, None);
        if killed {
            self.power.tell(WorldEvent::ControllerDown {
                domain: domain.to_owned(),
            });
        }
        killed
    }

    /// Whether it was alive.
    pub fn kill(&self, name: &InstanceName) -> bool {
        self.power.kill(name)
    }

    /// Whether the system was down.
    fn power_on(&self, system: &str) -> Result<bool, String> {
        let was_down = self.power.on(system)?;
        if was_down {
            let domains = self.power.domains.on(system);
            domains
                .iter()
                .try_for_each(|domain| self.start_controller(domain))?;
            self.power
                .instances_of(system)
                .iter()
                .try_for_each(|instance| self.start(instance))?;
        }
        Ok(was_down)
    }

    fn connection_string(&self, client: &ClientSpec) -> Option<ConnectionString> {
        let address = |name: &InstanceName| self.spec(name).ok().map(|spec| self.client_address(spec));
        Some(ConnectionString {
            initial: match client.port {
                Some(port) => ServerAddress::new(address(&client.initial)?.host(), port),
                None => address(&client.initial)?,
            },
            failover_partner: client.failover_partner.as_ref().and_then(address),
            database: Some(client.database.as_str().to_owned()),
            login: client.login.clone(),
            application: client.name.clone(),
            login_timeout: client.login_timeout,
            provider: client.provider,
            browser: self
                .power
                .topology
                .instances
                .iter()
                .map(|i| (i.server_name(), self.client_address(i)))
                .collect(),
        })
    }

    fn workload(&self, client: &ClientSpec) -> Option<Workload> {
        let index = self
            .power
            .topology
            .clients
            .iter()
            .position(|c| c.name == client.name)?;
        Some(Workload {
            connection: self.connection_string(client)?,
            table: CLIENT_TABLE.to_owned(),
            interval: Duration::from_secs(1) / client.rate.max(1),
            mix: Mix {
                insert: client.mix.insert,
                update: client.mix.update,
                transfer: client.mix.transfer,
                read: client.mix.read,
            },
            first_transaction: index as u64 * TRANSACTIONS_PER_CLIENT + 1,
            verify: client.verify,
            query_timeout: QUERY_TIMEOUT,
        })
    }

    /// What the files of an instance's copy of a database hold, read from a copy of its disk without any faults.
    fn recovered(&self, spec: &InstanceSpec, database: &DatabaseName) -> Option<CopyAtEnd> {
        let system = self.system(&spec.system).ok()?;
        let (disk, _) = self.power.kernel.disk_of(system).copy().handle();
        let (mut store, _) = Store::open(InstanceDisk::new(disk, spec.name.as_str())).ok()?;
        let request = DiskRequest::OpenDatabase {
            database: database.clone(),
        };
        let Ok(DiskReply::Database(image)) = store.carry_out(request) else {
            return None;
        };
        let (end, rows) = crate::instance::recover(&image).ok()?;
        Some(CopyAtEnd {
            end,
            rows: rows.into_iter().collect(),
        })
    }

    fn read_file(&self, system: SystemId, path: &str) -> io::Result<Vec<u8>> {
        let (disk, _) = self.power.kernel.disk_of(system).handle();
        let file = disk.open(&user_file(path))?;
        let length = usize::try_from(file.len()?).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    fn write_file(&self, system: SystemId, path: &str, bytes: &[u8]) -> io::Result<()> {
        let (disk, _) = self.power.kernel.disk_of(system).handle();
        let name = user_file(path);
        let file = match disk.create(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => disk.open(&name)?,
            other => other?,
        };
        file.set_len(0)?;
        file.write_all_at(bytes, 0)?;
        file.sync()?;
        disk.sync_dir()
    }
}

impl<W: Playground, K: Core + 'static> Stage for KernelStage<W, K> {
    fn now(&self) -> Timestamp {
        self.power.kernel.now()
    }

    async fn sleep_until(&self, at: Timestamp) {
        self.power.kernel.sleep_until(at).await;
    }

    fn start_instances(&self) -> Result<(), String> {
        let domains = self.power.domains.names();
        domains
            .iter()
            .try_for_each(|domain| self.start_controller(domain))?;
        let instances: Vec<InstanceName> = self
            .power
            .topology
            .instances
            .iter()
            .map(|i| i.name.clone())
            .collect();
        instances.iter().try_for_each(|i| self.start(i))
    }

    async fn batches_as(
        &self,
        on: &InstanceName,
        login: &str,
        batches: &[String],
    ) -> (Vec<Reply>, Option<String>) {
        let address = match self.spec(on) {
            Ok(spec) => self.client_address(spec),
            Err(error) => return (Vec::new(), Some(error)),
        };
        let (login, batches) = (login.to_owned(), batches.to_vec());
        let patience = match self.is_alive(on) {
            true => START_PATIENCE,
            false => Duration::ZERO,
        };
        let (answer, answered) = tokio::sync::oneshot::channel();
        let spawned = self
            .power
            .kernel
            .start(self.operator, OPERATOR, move |env| async move {
                let _ = answer.send(converse(env, address, login, batches, patience).await);
            });
        match spawned {
            Err(error) => (Vec::new(), Some(error.to_string())),
            Ok(_) => answered
                .await
                .unwrap_or_else(|_| (Vec::new(), Some("the operator's process ended".into()))),
        }
    }

    fn copy_file(&self, path: &str, from: &str, to: &str) -> Result<(), String> {
        let (source, target) = (self.system(from)?, self.system(to)?);
        let bytes = self
            .read_file(source, path)
            .map_err(|e| format!("reading it on {from}: {e}"))?;
        self.write_file(target, path, &bytes)
            .map_err(|e| format!("writing it on {to}: {e}"))
    }

    fn fire(
        &self,
        id: FaultId,
        fault: &Fault,
        lasts: Option<Duration>,
        port_of: &dyn Fn(&InstanceName) -> Option<u16>,
    ) -> Result<(), String> {
        let fired = self.break_it(fault, lasts, port_of)?;
        self.fired.borrow_mut().insert(id, fired);
        Ok(())
    }

    fn heal(&self, id: FaultId) -> Result<(), String> {
        let healed = match self.fired.borrow_mut().get_mut(&id) {
            Some(fired) => fired.healing(),
            None => return Ok(()),
        };
        self.mend(healed)
    }

    fn took_effect(&self, id: FaultId) -> bool {
        self.fired
            .borrow()
            .get(&id)
            .is_some_and(|fired| fired.took_effect())
    }

    fn copies(&self, database: &DatabaseName) -> BTreeMap<(InstanceName, DatabaseName), CopyAtEnd> {
        let instances = self.power.topology.instances.iter();
        instances
            .filter_map(|spec| {
                let copy = self.recovered(spec, database)?;
                Some(((spec.name.clone(), database.clone()), copy))
            })
            .collect()
    }

    fn start_client(&self, client: &ClientSpec) -> Result<(), String> {
        let system = self.system(&client.name)?;
        let workload = self
            .workload(client)
            .ok_or_else(|| format!("client {} names an unknown instance", client.name))?;
        let rng = self.streams.stream(&format!("client/{}", client.name));
        let stop: Rc<RefCell<Option<StopHandle>>> = Rc::default();
        let (recorder, handle, name) = (self.power.recorder.clone(), stop.clone(), client.name.clone());
        let process = self
            .power
            .kernel
            .start(system, &client.name, move |env| async move {
                let observer: Observer =
                    Rc::new(move |at, event| recorder.record(at, Source::Client(name.clone()), event));
                let application =
                    Application::new(workload, env.net.clone(), env.clock.clone(), rng, observer);
                *handle.borrow_mut() = Some(application.stop_handle());
                application.run().await;
            })
            .map_err(|e| e.to_string())?;
        let running = RunningClient { process, stop };
        if let Some(before) = self.clients.borrow_mut().insert(client.name.clone(), running) {
            self.power.kernel.stop(before.process);
        }
        Ok(())
    }

    fn stop_client(&self, name: &str) {
        if let Some(client) = self.clients.borrow().get(name)
            && let Some(stop) = &*client.stop.borrow()
        {
            stop.stop();
        }
    }
}

/// Connect, execute in order, stop at the first error. A refusal is not taken for an answer while `patience` lasts.
async fn converse<W: Playground>(
    env: Seams<W>,
    address: ServerAddress,
    login: String,
    batches: Vec<String>,
    patience: Duration,
) -> (Vec<Reply>, Option<String>) {
    let mut replies = Vec::new();
    let deadline = env.clock.now().at + patience;
    let mut client = loop {
        match BatchClient::connect_as(&env.net, &env.clock, &address, &login, BATCH_TIMEOUT).await {
            Ok(client) => break client,
            Err(ClientError::Connect {
                error: ConnectError::Refused,
                ..
            }) if env.clock.now().at < deadline => {}
            // A login that is refused is an answer.
            Err(ClientError::Refused { error, .. }) => {
                let items = vec![ReplyItem::Error(error)];
                return (vec![Reply { items }], None);
            }
            Err(error) => return (replies, Some(error.to_string())),
        }
        env.clock.sleep_until(env.clock.now().at + START_RETRY).await;
    };
    for batch in batches {
        match client.execute(&batch, BATCH_TIMEOUT).await {
            Ok(reply) => {
                let ended = reply.error().is_some();
                replies.push(reply);
                if ended {
                    break;
                }
            }
            Err(error) => return (replies, Some(error.to_string())),
        }
    }
    (replies, None)
}

#[cfg(test)]
mod tests;
