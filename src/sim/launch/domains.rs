//! The domains of a run: one directory, a controller for each domain that names a system, and what breaks in them.
//!
//! A controller is a process on its system that answers one question per connection; the directory is durable and outlives
//! it. A change of the directory is felt when a controller gives another answer than it would have given without it: both
//! are computed. Source: ours.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::domain::{
    Account, AccountName, Controller, Directory, DirectoryError, FrameReader, LogonSession, ServiceAccount,
    Sid, encode_frame,
};
use crate::driver::clock::Clock;
use crate::driver::entropy::Entropy;
use crate::driver::net::{Net, NetListener, NetRead, NetStream, NetWrite};
use crate::endpoint::auth::service_principal_name;
use crate::instance::Service;
use crate::sim::fault::Fault;
use crate::sim::kernel::{Kernel, Seams};
use crate::sim::topology::{AccountSpec, CONTROLLER_PORT, InstanceSpec, Topology};
use crate::sim::world::{ProcessId, Streams};
use crate::types::{InstanceName, WallTime};

/// What a password becomes that somebody changes and tells nobody.
const CHANGED_PASSWORD: &str = "changed meanwhile";

/// The domains of one run.
pub(super) struct Domains {
    shared: Rc<Shared>,
    /// Who the declared user accounts are, in the order of their declaration; their names may change.
    users: Vec<Option<Sid>>,
    /// By name of the domain.
    controllers: BTreeMap<String, Host>,
}

/// What all controllers work on.
struct Shared {
    directory: RefCell<Directory>,
    /// Changes that may still be undone, by their number.
    changes: RefCell<BTreeMap<u32, Changed>>,
    next: Cell<u32>,
}

/// Where a controller runs.
struct Host {
    system: String,
    process: Cell<Option<ProcessId>>,
    pace: Rc<Pace>,
}

/// How long a controller takes for an answer, and whether somebody had to wait for it.
#[derive(Default)]
struct Pace {
    latency: Cell<Duration>,
    felt: Cell<bool>,
}

struct Changed {
    undo: Vec<Change>,
    felt: Rc<Cell<bool>>,
}

/// One change of the directory.
#[derive(Debug, Clone)]
enum Change {
    Disabled(AccountName, bool),
    Locked(AccountName, bool),
    Password(AccountName, String),
    Name(AccountName, String),
    AddSpn(String, AccountName),
    RemoveSpn(String, AccountName),
    AddTrust(String, String),
    RemoveTrust(String, String),
}

impl Change {
    fn apply(&self, directory: &mut Directory) -> Result<(), DirectoryError> {
        match self {
            Change::Disabled(account, is) => directory.set_disabled(account, *is),
            Change::Locked(account, is) => directory.set_locked(account, *is),
            Change::Password(account, password) => directory.set_password(account, password),
            Change::Name(account, name) => directory.rename_account(account, name),
            Change::AddSpn(spn, account) => directory.add_spn(spn, account),
            Change::RemoveSpn(spn, account) => directory.remove_spn(spn, account),
            Change::AddTrust(trusting, trusted) => directory.add_trust(trusting, trusted),
            Change::RemoveTrust(trusting, trusted) => directory.remove_trust(trusting, trusted),
        }
    }
}

/// What a fault of a domain left behind: how to end it, and how to tell that it was felt.
pub(super) enum Broken {
    Directory { change: u32, felt: Rc<Cell<bool>> },
    Slow { domain: String, felt: Felt },
}

/// Asks whether a slow controller was waited for.
pub(super) struct Felt(Rc<Pace>);

impl Broken {
    pub(super) fn took_effect(&self) -> bool {
        match self {
            Broken::Directory { felt, .. } => felt.get(),
            Broken::Slow { felt, .. } => felt.0.felt.get(),
        }
    }
}

impl Domains {
    /// The domains as the scenario declares them.
    ///
    /// # Errors
    /// If two of their entries contradict each other.
    pub(super) fn new(topology: &Topology, streams: &Streams) -> Result<Self, DirectoryError> {
        let directory = directory(topology, streams.seed("domains"))?;
        let known = &directory;
        let users = topology.domains.iter().flat_map(|domain| {
            let name = |user: &AccountSpec| AccountName::new(&domain.name, &user.name);
            let sid = move |user| known.account(&name(user)).map(Account::sid);
            domain.accounts.iter().map(sid)
        });
        let users = users.collect();
        let shared = Shared {
            directory: RefCell::new(directory),
            changes: RefCell::default(),
            next: Cell::new(0),
        };
        let controllers = topology.domains.iter().filter_map(|domain| {
            let host = Host {
                system: domain.controller.clone()?,
                process: Cell::new(None),
                pace: Rc::default(),
            };
            Some((domain.name.clone(), host))
        });
        Ok(Domains {
            shared: Rc::new(shared),
            users,
            controllers: controllers.collect(),
        })
    }

    /// The domains whose controllers run on this system.
    pub(super) fn on(&self, system: &str) -> Vec<String> {
        let there = self.controllers.iter().filter(|(_, host)| host.system == system);
        there.map(|(domain, _)| domain.clone()).collect()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.controllers.keys().cloned().collect()
    }

    /// The system a controller runs on.
    pub(super) fn system_of(&self, domain: &str) -> Option<&str> {
        self.controllers.get(domain).map(|host| host.system.as_str())
    }

    pub(super) fn process_of(&self, domain: &str) -> Option<ProcessId> {
        self.controllers.get(domain)?.process.get()
    }

    pub(super) fn runs_as(&self, domain: &str, process: Option<ProcessId>) {
        if let Some(host) = self.controllers.get(domain) {
            host.process.set(process);
        }
    }

    /// The topology with the names that its accounts have now, for a service that is started.
    pub(super) fn name_accounts(&self, topology: &Topology) -> Topology {
        let mut topology = topology.clone();
        let directory = self.shared.directory.borrow();
        let declared = topology.domains.iter_mut().flat_map(|d| &mut d.accounts);
        for (user, sid) in declared.zip(&self.users) {
            let now = sid.and_then(|sid| directory.account_by_sid(sid));
            let now = now.map(|account| account.name().name());
            user.renamed = now.filter(|name| *name != user.name).map(str::to_owned);
        }
        topology
    }

    /// What the process of a domain's controller does.
    pub(super) fn main<K: Kernel>(
        &self,
        domain: &str,
    ) -> impl FnOnce(Seams<K>) -> std::pin::Pin<Box<dyn Future<Output = ()>>> + 'static {
        let shared = self.shared.clone();
        let pace = self.controllers.get(domain).map(|host| host.pace.clone());
        let controller = Controller::new(domain);
        move |mut env| {
            let desk = Desk {
                shared,
                pace: pace.unwrap_or_default(),
                controller: RefCell::new(controller),
                rng: RefCell::new(ChaCha20Rng::from_seed(env.entropy.seed())),
            };
            Box::pin(serve(env, Rc::new(desk)))
        }
    }

    /// Change the directory, or slow a controller down.
    ///
    /// # Errors
    /// If there is nothing of the kind; the text says what.
    pub(super) fn break_it(
        &self,
        topology: &Topology,
        fault: &Fault,
        port_of: &dyn Fn(&InstanceName) -> Option<u16>,
    ) -> Result<Broken, String> {
        if let Fault::ControllerSlow { domain, latency } = fault {
            let host = self.controllers.get(domain);
            let host = host.ok_or_else(|| format!("the domain {domain} has no controller"))?;
            host.pace.latency.set(*latency);
            host.pace.felt.set(false);
            return Ok(Broken::Slow {
                domain: domain.clone(),
                felt: Felt(host.pace.clone()),
            });
        }
        let (changes, undo) = self.changes(topology, fault, port_of)?;
        let mut directory = self.shared.directory.borrow_mut();
        for change in &changes {
            change.apply(&mut directory).map_err(|error| error.to_string())?;
        }
        let (number, felt) = (self.shared.next.get(), Rc::new(Cell::new(false)));
        self.shared.next.set(number + 1);
        let changed = Changed {
            undo,
            felt: felt.clone(),
        };
        self.shared.changes.borrow_mut().insert(number, changed);
        Ok(Broken::Directory { change: number, felt })
    }

    /// What a fault changes, and what takes it back.
    fn changes(
        &self,
        topology: &Topology,
        fault: &Fault,
        port_of: &dyn Fn(&InstanceName) -> Option<u16>,
    ) -> Result<(Vec<Change>, Vec<Change>), String> {
        let spn = |instance: &InstanceName| spn_of(topology, instance, port_of);
        Ok(match fault {
            Fault::AccountDisabled { account } => (
                vec![Change::Disabled(account.clone(), true)],
                vec![Change::Disabled(account.clone(), false)],
            ),
            Fault::AccountLocked { account } => (
                vec![Change::Locked(account.clone(), true)],
                vec![Change::Locked(account.clone(), false)],
            ),
            Fault::PasswordChanged { account } => (
                vec![Change::Password(account.clone(), CHANGED_PASSWORD.to_owned())],
                vec![Change::Password(account.clone(), password(topology, account))],
            ),
            Fault::AccountRenamed { account, name } => {
                let renamed = AccountName::new(account.domain(), name.clone());
                (
                    vec![Change::Name(account.clone(), name.clone())],
                    vec![Change::Name(renamed, account.name().to_owned())],
                )
            }
            Fault::SpnRemoved { instance } => {
                let spn = spn(instance)?;
                let directory = self.shared.directory.borrow();
                let holders: Vec<AccountName> = directory.spn_accounts(&spn).cloned().collect();
                if holders.is_empty() {
                    return Err(format!("{spn} is not registered"));
                }
                let each = |change: fn(String, AccountName) -> Change| {
                    holders.iter().map(|h| change(spn.clone(), h.clone())).collect()
                };
                (each(Change::RemoveSpn), each(Change::AddSpn))
            }
            Fault::SpnDuplicated { instance, account } => {
                let spn = spn(instance)?;
                (
                    vec![Change::AddSpn(spn.clone(), account.clone())],
                    vec![Change::RemoveSpn(spn, account.clone())],
                )
            }
            Fault::TrustRemoved { domain, trusted } => (
                vec![Change::RemoveTrust(domain.clone(), trusted.clone())],
                vec![Change::AddTrust(domain.clone(), trusted.clone())],
            ),
            other => return Err(format!("`{other}` is no change of a directory")),
        })
    }

    pub(super) fn mend(&self, broken: &Mended) -> Result<(), String> {
        match broken {
            Mended::Slow(domain) => {
                if let Some(host) = self.controllers.get(domain) {
                    host.pace.latency.set(Duration::ZERO);
                }
                Ok(())
            }
            Mended::Directory(number) => {
                let Some(changed) = self.shared.changes.borrow_mut().remove(number) else {
                    return Ok(());
                };
                let mut directory = self.shared.directory.borrow_mut();
                let mut undo = changed.undo.iter();
                undo.try_for_each(|change| change.apply(&mut directory))
                    .map_err(|error| error.to_string())
            }
        }
    }
}

/// What to take back.
#[derive(Debug, Clone)]
pub(super) enum Mended {
    Directory(u32),
    Slow(String),
}

impl Broken {
    pub(super) fn mended(&self) -> Mended {
        match self {
            Broken::Directory { change, .. } => Mended::Directory(*change),
            Broken::Slow { domain, .. } => Mended::Slow(domain.clone()),
        }
    }
}

/// One controller at work.
struct Desk {
    shared: Rc<Shared>,
    pace: Rc<Pace>,
    controller: RefCell<Controller>,
    rng: RefCell<ChaCha20Rng>,
}

impl Desk {
    fn answer(&self, request: &[u8], now: WallTime) -> Vec<u8> {
        let before = (
            self.controller.borrow().clone(),
            self.shared.directory.borrow().clone(),
            self.rng.borrow().clone(),
        );
        let answer = self.controller.borrow_mut().answer(
            &mut self.shared.directory.borrow_mut(),
            request,
            now,
            &mut self.rng.borrow_mut(),
        );
        for changed in self.shared.changes.borrow().values() {
            let (mut controller, mut directory, mut rng) = before.clone();
            let undone = changed.undo.iter().all(|c| c.apply(&mut directory).is_ok());
            if undone && controller.answer(&mut directory, request, now, &mut rng) != answer {
                changed.felt.set(true);
            }
        }
        answer
    }
}

async fn serve<K: Kernel>(env: Seams<K>, desk: Rc<Desk>) {
    let Ok(listener) = env.net.listen(None, CONTROLLER_PORT).await else {
        tracing::error!(system = %env.name, "the domain controller's port is taken");
        return;
    };
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            env.spawn_local(attend(env.clone(), desk.clone(), stream));
        }
    }
}

/// Answers one question; a caller that says nothing whole gets nothing.
async fn attend<K: Kernel>(env: Seams<K>, desk: Rc<Desk>, stream: <K::Net as Net>::Stream) {
    let (mut read, mut write) = stream.into_split();
    let mut frames = FrameReader::default();
    let mut buffer = vec![0; 4 << 10];
    let request = loop {
        match read.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => frames.push(&buffer[..count]),
        }
        match frames.next() {
            Ok(Some(request)) => break request,
            Ok(None) => {}
            Err(_) => return,
        }
    };
    let latency = desk.pace.latency.get();
    if !latency.is_zero() {
        desk.pace.felt.set(true);
        env.clock.sleep_until(env.clock.now().at + latency).await;
    }
    let answer = desk.answer(&request, env.clock.now().wall);
    // A caller that has gone meanwhile misses its answer, and nothing else depends on it.
    if write.write_all(&encode_frame(&answer)).await.is_ok() {
        drop(write.shutdown().await);
    }
}

/// What Windows gives an instance at its start.
///
/// # Errors
/// If the declared domains contradict each other.
pub(super) fn service(topology: &Topology, spec: &InstanceSpec) -> Result<Service, DirectoryError> {
    let known = directory(topology, [0; 32])?;
    let domain = topology.domain_of(&spec.system);
    let computer = domain.map(|domain| AccountName::computer(&domain.name, &spec.system));
    let computer = computer.and_then(|name| known.credentials(&name));
    let account = match &spec.service_account {
        ServiceAccount::Domain(account) => ServiceAccount::Domain(present_name(topology, account)),
        other => other.clone(),
    };
    let name = account.on_the_network(domain.map(|d| d.name.as_str()), &spec.system);
    let session = match (name.as_ref().and_then(|n| known.credentials(n)), &computer) {
        (Some(service), Some(computer)) => Some(LogonSession::new(service, computer.clone())),
        _ => None,
    };
    Ok(Service {
        sid: session
            .as_ref()
            .and_then(|s| known.account(&s.service().account))
            .map(|a| a.sid()),
        account,
        session,
        computer,
        controller: domain.and_then(|domain| topology.controller_address(domain)),
    })
}

fn directory(topology: &Topology, seed: [u8; 32]) -> Result<Directory, DirectoryError> {
    let mut directory = Directory::default();
    let mut rng = ChaCha20Rng::from_seed(seed);
    for domain in &topology.domains {
        directory.add_domain(&domain.name, &domain.dns, &mut rng)?;
    }
    for domain in &topology.domains {
        for user in &domain.accounts {
            let name = AccountName::new(&domain.name, &user.name);
            directory.add_account(&name, &user.password)?;
            directory.set_disabled(&name, user.disabled)?;
            directory.set_locked(&name, user.locked)?;
            directory.set_may_register_spns(&name, user.registers_spn)?;
        }
        let is_member = |member: &Option<String>| member.as_deref() == Some(domain.name.as_str());
        for system in topology.systems.iter().filter(|s| is_member(&s.domain)) {
            let name = AccountName::computer(&domain.name, &system.name);
            directory.add_account(&name, &password(topology, &name))?;
        }
        for trusted in &domain.trusts {
            directory.add_trust(&domain.name, trusted)?;
        }
        for (spn, account) in &domain.spns {
            directory.add_spn(spn, &AccountName::new(&domain.name, account))?;
        }
        for user in &domain.accounts {
            if let Some(renamed) = &user.renamed {
                directory.rename_account(&AccountName::new(&domain.name, &user.name), renamed)?;
            }
        }
    }
    Ok(directory)
}

/// What a declared account is called now.
fn present_name(topology: &Topology, account: &AccountName) -> AccountName {
    let mut users = topology
        .domain(account.domain())
        .into_iter()
        .flat_map(|domain| &domain.accounts);
    let user = users.find(|user| user.name.eq_ignore_ascii_case(account.name()));
    match user.and_then(|user| user.renamed.clone()) {
        Some(renamed) => AccountName::new(account.domain(), renamed),
        None => account.clone(),
    }
}

/// The password of a user account as the scenario says; a computer's is its own business and nobody's to know.
fn password(topology: &Topology, account: &AccountName) -> String {
    let users = topology.domain(account.domain()).map(|d| d.accounts.as_slice());
    users
        .unwrap_or_default()
        .iter()
        .find(|user| user.name.eq_ignore_ascii_case(account.name()))
        .map_or_else(
            || format!("computer account {account}"),
            |user| user.password.clone(),
        )
}

/// The name an instance's endpoint is registered by.
fn spn_of(
    topology: &Topology,
    instance: &InstanceName,
    port_of: &dyn Fn(&InstanceName) -> Option<u16>,
) -> Result<String, String> {
    let spec = topology.instances.iter().find(|i| i.name == *instance);
    let spec = spec.ok_or_else(|| format!("no instance is called {instance}"))?;
    let port = port_of(instance).ok_or_else(|| format!("the endpoint of {instance} is not listening"))?;
    let host = match topology.dns_suffix(&spec.system) {
        Some(suffix) => format!("{}.{suffix}", spec.system),
        None => spec.system.clone(),
    };
    Ok(service_principal_name(&host, port))
}
