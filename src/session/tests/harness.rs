//! Two partners and a witness in memory: inboxes, disks that finish when told to, links that break and come back.
//!
//! Every step goes through [`Trio::settle`], which carries outputs out and then checks the promises on what clients were
//! told, which the harness remembers by itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::error::SqlError;
use crate::log::{Log, LogBlock, LogRecord};
use crate::session::principal::Gate;
use crate::session::{
    Command, Identity, LinkLoss, Outbox, Partner, PartnerInput, PartnerRecord, SessionOutput, Setting,
    Ticket, Witness, WitnessInput, WitnessOutput, WitnessRecord, start,
};
use crate::types::{
    DatabaseName, Event, Guid, LinkState, Lsn, MirroringState, PageError, PageKey, PartnerRole, RecoveryPath,
    RoleSequence, Safety, ServerAddress, SessionEvent, Timestamp, TransactionId,
};
use crate::wire::mirroring::{Body, Message};

pub const A: usize = 0;
pub const B: usize = 1;
/// The witness.
pub const W: usize = 2;

pub const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];
const SESSION: Guid = Guid::from_bytes(*b"session of sales");
const FAMILY: Guid = Guid::from_bytes(*b"family of sales!");

/// The three links, by the instances they join.
pub const LINKS: [(usize, usize); 3] = [(A, B), (A, W), (B, W)];

pub fn address(of: usize) -> ServerAddress {
    ServerAddress::new(NAMES[of], 7022)
}

fn peer(of: usize) -> Guid {
    Guid::from_bytes([of as u8 + 1; 16])
}

/// What reaches one end of a link, in order.
#[derive(Debug, Clone)]
enum Arrival {
    Up,
    Down,
    Message(Message),
}

#[derive(Debug, Default)]
struct Link {
    alive: bool,
    /// How many times it was made; an end that has seen fewer `Up`s lags behind.
    made: u64,
    ends: [End; 2],
}

#[derive(Debug, Default)]
struct End {
    inbox: VecDeque<Arrival>,
    /// The make this end has last seen come up, if it has not seen it go down.
    sees: Option<u64>,
    seen: u64,
}

#[derive(Debug)]
enum Task {
    Persist(Ticket, Box<PartnerRecord>),
    Harden(LogBlock),
    Redo(Lsn),
    Truncate(Lsn),
    ReadPage(u64, PageKey, Lsn),
    RestorePage(PageKey),
}

#[derive(Debug)]
pub struct Side {
    /// The process runs.
    alive: bool,
    /// Its session, unless it was removed.
    pub partner: Option<Partner>,
    pub log: Log,
    tasks: VecDeque<Task>,
    /// Its redo stands still; everything else of its disk goes on.
    pub redo_held: bool,
    /// No log is hardened there; everything else of its disk goes on.
    pub hardening_held: bool,
    disk: Vec<LogBlock>,
    disk_start: Lsn,
    disk_record: Option<PartnerRecord>,
    /// Pages of its data file that cannot be read.
    pub damaged_pages: BTreeSet<PageKey>,
    /// Commits whose clients wait, by where they end.
    waiting: Vec<(Lsn, u64)>,
    pub done: Vec<Result<(), u32>>,
    pub events: Vec<Event>,
    pub logged: Vec<SqlError>,
}

#[derive(Debug)]
pub struct Trio {
    pub now: Timestamp,
    pub sides: [Side; 2],
    pub witness: Option<Witness>,
    witness_up: bool,
    witness_disk: Option<WitnessRecord>,
    witness_tasks: VecDeque<(Ticket, Box<WitnessRecord>)>,
    witness_out: VecDeque<WitnessOutput>,
    links: [Link; 3],
    transactions: u64,
    /// Commits that clients were told of and that nobody may lose.
    acked: BTreeMap<u64, u32>,
    told: usize,
    /// A disk lost log that was hardened.
    rotten: bool,
    /// The role sequence of the last forced service.
    forced: RoleSequence,
    /// The partners whose introduction on the present link the witness was given.
    introduced: [bool; 2],
    ackers: BTreeMap<u32, usize>,
    highest_served: u32,
    pub trace: Vec<String>,
}

impl Trio {
    /// A started session, SYNCHRONIZED, with or without witness.
    pub fn started(with_witness: bool) -> Trio {
        let mut trio = Trio::waiting();
        trio.run_start();
        assert_eq!(trio.sides[A].done, [Ok(())]);
        if with_witness {
            trio.command(A, Command::SetWitness { address: address(W) });
            trio.calm();
            assert_eq!(trio.sides[A].done, [Ok(()), Ok(())], "{:#?}", trio.trace);
        }
        trio.assert_healthy();
        trio
    }

    /// Both statements given, nothing delivered.
    pub fn waiting() -> Trio {
        let side = |of: usize| {
            let identity = Identity {
                name: NAMES[of].into(),
            };
            let setting = Setting {
                database: DatabaseName::new("sales"),
                family: FAMILY,
                partner: address(1 - of),
                last_epoch: 1,
                path: RecoveryPath::default(),
                backed_up: Lsn::ZERO,
            };
            let partner = match of {
                A => Partner::starting_principal(identity, setting, SESSION),
                _ => Partner::waiting_mirror(identity, setting),
            };
            let disk_record = (of == B).then(|| partner.record().clone());
            Side {
                alive: true,
                partner: Some(partner),
                log: Log::new(Lsn::new(100)),
                tasks: VecDeque::new(),
                redo_held: false,
                hardening_held: false,
                disk: Vec::new(),
                disk_start: Lsn::new(100),
                disk_record,
                damaged_pages: BTreeSet::new(),
                waiting: Vec::new(),
                done: Vec::new(),
                events: Vec::new(),
                logged: Vec::new(),
            }
        };
        let mut trio = Trio {
            now: Timestamp::from_millis(1),
            sides: [side(A), side(B)],
            witness: None,
            witness_up: true,
            witness_disk: None,
            witness_tasks: VecDeque::new(),
            witness_out: VecDeque::new(),
            links: Default::default(),
            transactions: 0,
            acked: BTreeMap::new(),
            told: 0,
            rotten: false,
            forced: 0,
            introduced: [false; 2],
            ackers: BTreeMap::new(),
            highest_served: 0,
            trace: Vec::new(),
        };
        for of in [A, B] {
            trio.begin(of);
        }
        trio
    }

    fn run_start(&mut self) {
        self.calm();
    }

    fn begin(&mut self, of: usize) {
        let mut out = Outbox::new();
        let side = &mut self.sides[of];
        if let Some(partner) = &mut side.partner {
            partner.begin(self.now, &mut side.log, &mut out);
        }
        self.settle(of, out);
    }

    // What a schedule does

    pub fn partner(&self, of: usize) -> &Partner {
        self.sides[of].partner.as_ref().expect("the instance is up")
    }

    pub fn input(&mut self, of: usize, input: PartnerInput) {
        let mut out = Outbox::new();
        let side = &mut self.sides[of];
        if let Some(partner) = &mut side.partner {
            partner.handle(self.now, input, &mut side.log, &mut out);
        }
        self.settle(of, out);
    }

    pub fn command(&mut self, of: usize, command: Command) {
        self.trace.push(format!("{} {command:?}", NAMES[of]));
        self.input(of, PartnerInput::Command(command));
    }

    /// A client commits on `of`, if it serves.
    pub fn append(&mut self, of: usize) {
        self.append_with(of, Vec::new());
    }

    /// The same, of a transaction that makes these records first.
    pub fn append_with(&mut self, of: usize, mut records: Vec<LogRecord>) {
        let side = &mut self.sides[of];
        let Some(partner) = side.partner.as_ref().filter(|p| p.is_serving()) else {
            return;
        };
        self.transactions += 1;
        let transaction = TransactionId(self.transactions);
        records.push(LogRecord::Commit { transaction });
        let block = side.log.append(partner.epoch(), records).expect("room").clone();
        side.waiting.push((block.end(), self.transactions));
        side.tasks.push_back(Task::Harden(block));
        self.trace
            .push(format!("{} commits {}", NAMES[of], self.transactions));
        self.input(of, PartnerInput::Appended);
    }

    /// Finishes the oldest disk task of an instance; whether there was one.
    pub fn finish_task(&mut self, of: usize) -> bool {
        if of == W {
            let Some((ticket, record)) = self.witness_tasks.pop_front() else {
                return false;
            };
            self.witness_disk = Some(*record);
            self.witness_input(WitnessInput::Persisted { ticket });
            return true;
        }
        let side = &mut self.sides[of];
        let held = |task: &Task| match task {
            Task::Redo(_) => side.redo_held,
            Task::Harden(_) => side.hardening_held,
            _ => false,
        };
        let Some(next) = side.tasks.iter().position(|task| !held(task)) else {
            return false;
        };
        let task = side.tasks.remove(next).expect("it is there");
        let input = self.carry_out(of, task);
        self.input(of, input);
        true
    }

    /// Delivers the next arrival at one end of a link; whether there was one.
    pub fn deliver(&mut self, link: usize, end: usize) -> bool {
        let Some(arrival) = self.links[link].ends[end].inbox.pop_front() else {
            return false;
        };
        let (to, from) = match (LINKS[link], end) {
            ((a, b), 0) => (a, b),
            ((a, b), _) => (b, a),
        };
        let state = &mut self.links[link].ends[end];
        match &arrival {
            Arrival::Up => {
                state.seen += 1;
                state.sees = Some(state.seen);
            }
            Arrival::Down => state.sees = None,
            Arrival::Message(_) => {}
        }
        self.trace
            .push(format!("{} <- {}: {}", NAMES[to], NAMES[from], brief(&arrival)));
        if to == W {
            self.arrive_at_witness(from, arrival);
        } else if self.sides[to].partner.is_none() {
            self.answer_without_session(to, from, &arrival);
        } else {
            self.input(to, partner_input(from, arrival));
        }
        true
    }

    /// Breaks a link: of what is in flight to each end, only the first `kept` arrive.
    pub fn cut(&mut self, link: usize, kept: usize) {
        let (a, b) = LINKS[link];
        let link = &mut self.links[link];
        if !link.alive {
            return;
        }
        link.alive = false;
        self.trace.push(format!("cut {}-{}", NAMES[a], NAMES[b]));
        for end in &mut link.ends {
            let mut in_flight = 0;
            end.inbox.retain(|arrival| match arrival {
                Arrival::Message(_) => {
                    in_flight += 1;
                    in_flight <= kept
                }
                _ => true,
            });
            end.inbox.push_back(Arrival::Down);
        }
    }

    /// Makes a link, if both its ends are up and want it.
    pub fn connect(&mut self, link: usize) {
        let (a, b) = LINKS[link];
        let partner = |of: usize| self.sides[of].partner.as_ref();
        let wanted = match b {
            W => partner(a).is_some_and(|p| p.witness_address().is_some()),
            _ => [a, b].into_iter().filter_map(partner).any(Partner::dials_partner),
        };
        let wanted = wanted && self.is_up(a) && self.is_up(b);
        let link = &mut self.links[link];
        if link.alive || !wanted {
            return;
        }
        self.trace.push(format!("connect {}-{}", NAMES[a], NAMES[b]));
        link.alive = true;
        link.made += 1;
        for end in &mut link.ends {
            end.inbox.push_back(Arrival::Up);
        }
    }

    pub fn is_up(&self, of: usize) -> bool {
        match of {
            W => self.witness_up,
            _ => self.sides[of].alive,
        }
    }

    /// Whether the session was removed here.
    pub fn is_removed(&self, of: usize) -> bool {
        self.sides[of].alive && self.sides[of].partner.is_none()
    }

    /// The process dies; of its disk tasks the first `written` are on disk, though nobody was told.
    pub fn crash(&mut self, of: usize, written: usize) {
        if !self.is_up(of) {
            return;
        }
        self.trace.push(format!("crash {}", NAMES[of]));
        for (link, ends) in LINKS.iter().enumerate() {
            if ends.0 == of || ends.1 == of {
                self.cut(link, usize::MAX);
                let end = usize::from(ends.1 == of);
                let made = self.links[link].made;
                let end = &mut self.links[link].ends[end];
                *end = End {
                    seen: made,
                    ..End::default()
                };
            }
        }
        if of == W {
            for (_, record) in self.witness_tasks.drain(..).take(written) {
                self.witness_disk = Some(*record);
            }
            self.witness_tasks.clear();
            self.witness = None;
            self.witness_up = false;
            self.introduced = [false; 2];
            return;
        }
        for _ in 0..written.min(self.sides[of].tasks.len()) {
            if let Some(task) = self.sides[of].tasks.pop_front() {
                self.carry_out(of, task);
            }
        }
        let side = &mut self.sides[of];
        side.tasks.clear();
        side.waiting.clear();
        side.partner = None;
        side.alive = false;
    }

    pub fn restart(&mut self, of: usize) {
        if self.is_up(of) {
            return;
        }
        self.trace.push(format!("restart {}", NAMES[of]));
        if of == W {
            self.witness_up = true;
            self.witness = self.witness_disk.clone().map(Witness::restore);
            return;
        }
        let side = &mut self.sides[of];
        side.alive = true;
        let Some(record) = side.disk_record.clone() else {
            return;
        };
        let log = Log::from_blocks(side.disk_start, side.disk.clone(), side.disk_start);
        side.log = log.expect("the disk holds a log");
        let identity = Identity {
            name: NAMES[of].into(),
        };
        side.partner = Some(Partner::restore(identity, record));
        self.begin(of);
        for page in self.sides[of].damaged_pages.clone() {
            let error = PageError::RestorePending;
            self.input(of, PartnerInput::PageDamaged { page, error });
        }
    }

    pub fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        for of in [A, B] {
            let due = self.sides[of].partner.as_ref().and_then(Partner::next_wake);
            if due.is_some_and(|(at, _)| at <= self.now) {
                self.input(of, PartnerInput::Wake);
            }
        }
    }

    /// Heals everything and lets it run until nothing moves.
    pub fn calm(&mut self) {
        for of in [A, B, W] {
            self.restart(of);
        }
        for round in 0.. {
            for link in 0..3 {
                self.connect(link);
            }
            if !self.drain() && round > 3 {
                break;
            }
            self.pass(Duration::from_millis(300));
            assert!(round < 200, "it never comes to rest: {:#?}", self.last_steps());
        }
    }

    /// Delivers and finishes all there is, in a fixed order, the links staying as they are; whether there was anything.
    pub fn drain(&mut self) -> bool {
        let mut any = false;
        for step in 0.. {
            let mut moved = false;
            for link in 0..3 {
                moved |= self.deliver(link, 0) | self.deliver(link, 1);
            }
            for of in [A, B, W] {
                moved |= self.finish_task(of);
            }
            any |= moved;
            if !moved {
                return any;
            }
            assert!(step < 10_000, "it goes on for ever: {:#?}", self.last_steps());
        }
        any
    }

    /// The first of all deliveries and disk tasks that can be made, in a fixed order; whether there was one.
    pub fn advance(&mut self) -> bool {
        for link in 0..3 {
            if self.deliver(link, 0) || self.deliver(link, 1) {
                return true;
            }
        }
        [A, B, W].into_iter().any(|of| self.finish_task(of))
    }

    /// The last blocks on the disk of an instance that is down cannot be read any more.
    pub fn rot(&mut self, of: usize, blocks: usize) {
        let disk = &mut self.sides[of].disk;
        disk.truncate(disk.len().saturating_sub(blocks));
        self.rotten = true;
    }

    /// A page of this copy's data file is found damaged; never one that is damaged on the other as well.
    pub fn damage_page(&mut self, of: usize) {
        self.damage(of, PageKey::of("t", i64::try_from(of).unwrap_or(0) * 1000));
    }

    /// The same page is found damaged on both.
    pub fn damage_same_page(&mut self) {
        [A, B]
            .into_iter()
            .for_each(|of| self.damage(of, PageKey::of("t", 5000)));
    }

    fn damage(&mut self, of: usize, page: PageKey) {
        self.damage_by(of, page, PageError::Checksum);
    }

    /// As the disk tells it.
    pub fn damage_by(&mut self, of: usize, page: PageKey, error: PageError) {
        self.trace.push(format!("damage {} {page}", NAMES[of]));
        self.sides[of].damaged_pages.insert(page.clone());
        self.input(of, PartnerInput::PageDamaged { page, error });
    }

    /// What was acknowledged so far may be lost.
    pub fn expect_loss(&mut self) {
        self.acked.clear();
    }

    pub fn last_steps(&self) -> &[String] {
        &self.trace[self.trace.len().saturating_sub(200)..]
    }

    // What must hold

    /// After healing: one principal that serves, one mirror, both SYNCHRONIZED, equal logs, the witness agreeing.
    pub fn assert_healthy(&self) {
        let steps = self.last_steps();
        let (a, b) = (self.partner(A), self.partner(B));
        let (p, m) = match a.role() {
            PartnerRole::Principal => (a, b),
            PartnerRole::Mirror => (b, a),
        };
        assert_eq!(p.role(), PartnerRole::Principal, "{steps:#?}");
        assert_eq!(m.role(), PartnerRole::Mirror, "{steps:#?}");
        assert!(p.is_serving(), "nobody serves: {steps:#?}");
        assert!(!m.is_serving(), "{steps:#?}");
        for partner in [p, m] {
            assert_eq!(partner.state(), Some(MirroringState::Synchronized), "{steps:#?}");
            assert!(!partner.has_damaged_pages(), "{steps:#?}");
        }
        assert_eq!(p.role_sequence(), m.role_sequence(), "{steps:#?}");
        assert_eq!(
            p.record().configuration(),
            m.record().configuration(),
            "{steps:#?}"
        );
        let (la, lb) = (&self.sides[A].log, &self.sides[B].log);
        assert_eq!(la.blocks(), lb.blocks(), "{steps:#?}");
        assert_eq!(la.hardened(), la.end(), "{steps:#?}");
        assert_eq!(lb.hardened(), lb.end(), "{steps:#?}");
        if p.record().witness.is_some() {
            let owner = if a.role() == PartnerRole::Principal { A } else { B };
            let record = self.witness.as_ref().and_then(Witness::record).expect("a record");
            assert_eq!(record.owner, NAMES[owner], "{steps:#?}");
            assert_eq!(record.role_sequence, p.role_sequence(), "{steps:#?}");
            assert!(record.synchronized, "{steps:#?}");
            let configuration = p.record().configuration();
            assert_eq!(
                (record.suspended, record.suspend_sequence),
                (configuration.suspended, configuration.suspend_sequence),
                "{steps:#?}"
            );
            assert_eq!(
                (record.safety, record.safety_sequence),
                (configuration.safety, configuration.safety_sequence),
                "{steps:#?}"
            );
        }
    }

    /// After healing, what an operator would do to have the session whole again: RESUME if it is suspended (which it must
    /// still be), SAFETY FULL if it is OFF. `false` if the session was removed.
    pub fn restore_to_full(&mut self) -> bool {
        if self.is_removed(A) || self.is_removed(B) {
            let steps = self.last_steps();
            assert!(
                self.is_removed(A) && self.is_removed(B),
                "removed on one side: {steps:#?}"
            );
            return false;
        }
        let of = usize::from(self.partner(A).role() == PartnerRole::Mirror);
        if self.partner(of).record().suspended {
            for side in [A, B] {
                assert_eq!(
                    self.partner(side).state(),
                    Some(MirroringState::Suspended),
                    "{:#?}",
                    self.last_steps()
                );
                assert_eq!(
                    self.partner(side).partner_state(),
                    LinkState::Connected,
                    "{:#?}",
                    self.last_steps()
                );
            }
            self.succeed(of, Command::Resume);
        }
        if self.partner(of).record().safety == Safety::Off {
            for side in [A, B] {
                assert_eq!(
                    self.partner(side).state(),
                    Some(MirroringState::Synchronizing),
                    "{:#?}",
                    self.last_steps()
                );
            }
            assert_eq!(self.sides[A].log.blocks(), self.sides[B].log.blocks());
            self.succeed(of, Command::Safety { safety: Safety::Full });
        }
        true
    }

    fn succeed(&mut self, of: usize, command: Command) {
        if self.partner(of).has_command() {
            // It waits for an answer that was lost, and ends at its deadline.
            self.pass(Duration::from_secs(30));
            self.calm();
        }
        self.command(of, command);
        self.calm();
        assert_eq!(
            self.sides[of].done.last(),
            Some(&Ok(())),
            "{:#?}",
            self.last_steps()
        );
    }

    fn check(&mut self) {
        self.acknowledge();
        let open = |side: &Side| {
            let partner = side.partner.as_ref();
            partner.is_some_and(|p| p.is_serving() && p.gate == Gate::Open)
        };
        let both = open(&self.sides[A]) && open(&self.sides[B]);
        let sequence = |of: usize| self.sides[of].partner.as_ref().map(Partner::role_sequence);
        assert!(
            !both || sequence(A).min(sequence(B)) < Some(self.forced),
            "two partners confirm commits alone: {:#?}",
            self.last_steps()
        );
        for of in [A, B] {
            let Some(partner) = self.sides[of].partner.as_ref() else {
                continue;
            };
            let log = &self.sides[of].log;
            assert!(self.rotten || partner.failover_lsn() <= log.end());
            // Who serves under a sequence that was forced away need not hold what the other promises now.
            let current = self.highest_served.max(self.forced);
            if partner.is_serving() && partner.role_sequence() >= current {
                self.highest_served = partner.role_sequence();
                self.assert_holds_acknowledged(of);
            }
        }
    }

    fn acknowledge(&mut self) {
        for of in [A, B] {
            let side = &mut self.sides[of];
            let Some(partner) = &side.partner else {
                continue;
            };
            let upto = partner.acknowledgeable(&side.log);
            let role_sequence = partner.role_sequence();
            let told: Vec<u64> = side
                .waiting
                .iter()
                .filter(|(end, _)| *end <= upto)
                .map(|w| w.1)
                .collect();
            side.waiting.retain(|(end, _)| *end > upto);
            for transaction in told {
                self.trace
                    .push(format!("{} acknowledges {transaction}", NAMES[of]));
                self.told += 1;
                if role_sequence >= self.forced {
                    self.acked.insert(transaction, role_sequence);
                }
                let acker = *self.ackers.entry(role_sequence).or_insert(of);
                assert_eq!(
                    acker,
                    of,
                    "two ackers of one role sequence: {:#?}",
                    self.last_steps()
                );
            }
        }
    }

    fn assert_holds_acknowledged(&self, of: usize) {
        let held: BTreeSet<u64> = self.sides[of]
            .log
            .blocks()
            .iter()
            .flat_map(|b| b.records())
            .filter_map(|r| match r {
                LogRecord::Commit { transaction } => Some(transaction.0),
                _ => None,
            })
            .collect();
        for transaction in self.acked.keys() {
            assert!(
                held.contains(transaction),
                "{} lost the acknowledged {transaction}: {:#?}",
                NAMES[of],
                self.last_steps()
            );
        }
    }

    /// How many commits were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.told
    }

    fn carry_out(&mut self, of: usize, task: Task) -> PartnerInput {
        let was_mirror = |side: &Side| {
            side.disk_record
                .as_ref()
                .is_some_and(|r| r.role == PartnerRole::Mirror)
        };
        let mirror = was_mirror(&self.sides[of]);
        let input = self.sides[of].carry_out(task);
        if let Some(record) = &self.sides[of].disk_record
            && mirror
            && record.role == PartnerRole::Principal
            && record.suspended
        {
            self.on_forced_service(of, record.role_sequence);
        }
        input
    }

    /// What an operator accepted to lose is no loss any more; what the copy held that now serves must not be lost.
    fn on_forced_service(&mut self, of: usize, role_sequence: RoleSequence) {
        self.forced = self.forced.max(role_sequence);
        let held = self.sides[of].log.blocks().iter().flat_map(|b| b.records());
        let held = held.filter_map(|record| match record {
            LogRecord::Commit { transaction } => Some((transaction.0, role_sequence)),
            _ => None,
        });
        self.acked = held.collect();
    }

    /// Each state follows the one before, by a transition of the table.
    fn check_transition(&mut self, of: usize, event: &Event) {
        let Event::Session(SessionEvent::State { role, from, to, .. }) = event else {
            return;
        };
        if (*role, *to) == (PartnerRole::Mirror, MirroringState::Synchronized) {
            let damaged = self.partner(of).has_damaged_pages();
            assert!(!damaged, "synchronized without a page: {:#?}", self.last_steps());
        }
        let last = self.sides[of].events.iter().rev().find_map(|event| match event {
            Event::Session(SessionEvent::State { to, .. }) => Some(*to),
            _ => None,
        });
        // A process that starts has shown nothing yet.
        assert!(
            *from == last || from.is_none(),
            "{from:?} after {last:?}: {:#?}",
            self.last_steps()
        );
        assert!(
            crate::types::is_legal_transition(*role, *from, *to),
            "{role}: {from:?} to {to:?}: {:#?}",
            self.last_steps()
        );
    }

    // How outputs are carried out

    fn settle(&mut self, of: usize, mut out: Outbox) {
        while let Some(output) = out.pop() {
            let side = &mut self.sides[of];
            match output {
                SessionOutput::ToPartner(message) => self.send(of, 1 - of, message),
                SessionOutput::ToWitness(message) => self.send(of, W, message),
                SessionOutput::Persist { ticket, record } => {
                    side.tasks.push_back(Task::Persist(ticket, record));
                }
                SessionOutput::Harden(block) => side.tasks.push_back(Task::Harden(block)),
                SessionOutput::Redo(block) => side.tasks.push_back(Task::Redo(block.end())),
                SessionOutput::Truncate { to, undone } => {
                    assert!(undone.windows(2).all(|w| w[0].start() == w[1].end()));
                    side.tasks.push_back(Task::Truncate(to));
                }
                SessionOutput::ReadPage { request, page, at } => {
                    assert!(
                        at <= side.log.redone(),
                        "read before it is redone: {:#?}",
                        self.last_steps()
                    );
                    side.tasks.push_back(Task::ReadPage(request, page, at));
                }
                SessionOutput::RestorePage { page, image } => {
                    assert!(
                        image.0 <= side.log.redone(),
                        "restored before redo: {:#?}",
                        self.last_steps()
                    );
                    side.tasks.push_back(Task::RestorePage(page));
                }
                SessionOutput::PageRepair { page, status } => {
                    self.trace
                        .push(format!("{} repair of {page}: {status:?}", NAMES[of]));
                }
                SessionOutput::CutClients { .. } => side.waiting.clear(),
                SessionOutput::Serve(serving) => {
                    self.trace.push(format!("{} serves: {serving}", NAMES[of]));
                }
                SessionOutput::CommandDone(result) => {
                    self.trace.push(format!("{} done: {result:?}", NAMES[of]));
                    side.done.push(result.map_err(|e| e.number));
                }
                SessionOutput::Removed => {
                    self.trace.push(format!("{} removed", NAMES[of]));
                    side.disk_record = None;
                    side.partner = None;
                }
                SessionOutput::Emit(event) => {
                    self.trace.push(format!("{} {event:?}", NAMES[of]));
                    self.check_transition(of, &event);
                    let side = &mut self.sides[of];
                    side.events.push(event);
                }
                SessionOutput::ErrorLog(line) => side.logged.push(line),
            }
        }
        self.hang_up(of);
        self.check();
    }

    /// As an instance does: a link that the session does not want any more is closed.
    fn hang_up(&mut self, of: usize) {
        let wants = |p: &Partner| p.witness_address().is_some();
        if self.is_removed(A) && self.is_removed(B) {
            self.cut(0, usize::MAX);
        }
        if !self.sides[of].partner.as_ref().is_some_and(wants) {
            self.cut(1 + of, usize::MAX);
        }
    }

    fn send(&mut self, from: usize, to: usize, message: Message) {
        let (low, high) = (from.min(to), from.max(to));
        let index = LINKS.iter().position(|l| *l == (low, high)).expect("a link");
        let link = &mut self.links[index];
        let mine = usize::from(from == high);
        if link.alive && link.ends[mine].sees == Some(link.made) {
            link.ends[1 - mine].inbox.push_back(Arrival::Message(message));
        }
    }

    fn arrive_at_witness(&mut self, from: usize, arrival: Arrival) {
        match arrival {
            Arrival::Up => {}
            Arrival::Down => {
                self.introduced[from] = false;
                self.witness_input(WitnessInput::Down { peer: peer(from) });
            }
            Arrival::Message(message) => {
                if self.witness.is_none() && Witness::is_invitation(&message) {
                    self.witness = Some(Witness::new(message.session));
                }
                if self.witness.is_none() {
                    if let Some(answer) = start::no_session(&message) {
                        self.send(W, from, answer);
                    }
                    return;
                }
                self.introduced[from] |= matches!(message.body, Body::WitnessAttach(_));
                let asked = matches!(message.body, Body::TakeoverRequest { .. });
                let owner = |trio: &Trio| Some(trio.witness.as_ref()?.record()?.owner.clone());
                let before = owner(self);
                let peer = peer(from);
                self.witness_input(WitnessInput::From { peer, message });
                let granted = asked && owner(self) != before;
                assert!(
                    !granted || !self.introduced[1 - from],
                    "granted while the witness sees the principal: {:#?}",
                    self.last_steps()
                );
            }
        }
    }

    /// An instance that has no such session says so.
    fn answer_without_session(&mut self, of: usize, to: usize, arrival: &Arrival) {
        if let Arrival::Message(message) = arrival
            && let Some(answer) = start::no_session(message)
        {
            self.send(of, to, answer);
        }
    }

    fn witness_input(&mut self, input: WitnessInput) {
        if let Some(witness) = &mut self.witness {
            witness.handle(input, &mut self.witness_out);
        }
        while let Some(output) = self.witness_out.pop_front() {
            match output {
                WitnessOutput::To { peer: to, message } => {
                    let to = if to == peer(A) { A } else { B };
                    self.send(W, to, message);
                }
                WitnessOutput::Persist { ticket, record } => self.witness_tasks.push_back((ticket, record)),
                WitnessOutput::Removed => {
                    self.witness = None;
                    self.witness_disk = None;
                    self.witness_tasks.clear();
                }
                WitnessOutput::Emit(event) => self.trace.push(format!("gamma {event:?}")),
                WitnessOutput::ErrorLog(_) => {}
            }
        }
        self.check();
    }
}

impl Side {
    fn carry_out(&mut self, task: Task) -> PartnerInput {
        match task {
            Task::Persist(ticket, record) => {
                self.disk_record = Some(*record);
                PartnerInput::Persisted { ticket }
            }
            Task::Harden(block) => {
                let to = block.end();
                assert_eq!(
                    self.disk.last().map_or(self.disk_start, LogBlock::end),
                    block.start()
                );
                self.disk.push(block);
                PartnerInput::Hardened { to }
            }
            Task::Redo(to) => PartnerInput::Redone { to },
            Task::ReadPage(request, page, at) => {
                let readable = !self.damaged_pages.contains(&page);
                let image = readable.then(|| (self.log.redone(), Vec::new()));
                PartnerInput::PageRead {
                    request,
                    page,
                    at,
                    image,
                }
            }
            Task::RestorePage(page) => {
                self.damaged_pages.remove(&page);
                let restored = true;
                PartnerInput::PageRestored { page, restored }
            }
            Task::Truncate(to) => {
                self.disk.retain(|b| b.end() <= to);
                PartnerInput::Truncated { to }
            }
        }
    }
}

fn partner_input(from: usize, arrival: Arrival) -> PartnerInput {
    let cause = LinkLoss::Hard;
    match (from, arrival) {
        (W, Arrival::Up) => PartnerInput::WitnessUp,
        (W, Arrival::Down) => PartnerInput::WitnessDown { cause },
        (W, Arrival::Message(message)) => PartnerInput::FromWitness(message),
        (_, Arrival::Up) => PartnerInput::PartnerUp,
        (_, Arrival::Down) => PartnerInput::PartnerDown { cause },
        (_, Arrival::Message(message)) => PartnerInput::FromPartner(message),
    }
}

fn brief(arrival: &Arrival) -> String {
    match arrival {
        Arrival::Message(Message {
            role_sequence, body, ..
        }) => match body {
            Body::Block { frame } => format!("Block of {} bytes seq={role_sequence}", frame.len()),
            body => format!("{body:?} seq={role_sequence}"),
        },
        other => format!("{other:?}"),
    }
}
