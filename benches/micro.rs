//! The parts a run spends its time in, one by one: `cargo bench --bench micro [-- NAME]`. For comparing before with after.

use std::sync::Arc;
use std::time::Duration;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use mirrorlab::crypto::certificate::{self, Generated};
use mirrorlab::crypto::record::{RecordCipher, SECRET_BYTES};
use mirrorlab::domain::{AccountName, Controller, Directory, LogonSession};
use mirrorlab::driver::store::Store;
use mirrorlab::endpoint::auth::service_principal_name;
use mirrorlab::endpoint::config::{
    Authentication, Encryption, EndpointConfig, EndpointRole, EndpointState, ListenerIp, ListenerPort,
    Method, WindowsMethod,
};
use mirrorlab::endpoint::connection::{
    ArbitrationVerdict, Connection, ConnectionOutput, LocalEndpoint, OwnCertificate, TrustedCertificate,
    WindowsLogin, WindowsSide,
};
use mirrorlab::error::SqlError;
use mirrorlab::instance::InstanceOptions;
use mirrorlab::instance::io::DiskRequest;
use mirrorlab::instance::views::{Limits, QueryEngine, SystemViews, Table, View};
use mirrorlab::log::{LogBlock, LogRecord};
use mirrorlab::sim::echo::echo_load;
use mirrorlab::sim::world::{SystemConfig, World, WorldConfig};
use mirrorlab::tsql::{Statement, parse};
use mirrorlab::types::{
    ConnectionId, DatabaseName, EncryptionInUse, Guid, Lsn, Now, RowChange, Timestamp, TransactionId, Value,
    WallTime,
};
use mirrorlab::wire::frame::put_frame;
use mirrorlab::wire::{FrameDecoder, FrameType, Protocol};

/// 1 January 2026.
const EPOCH_SECS: i64 = 1_767_225_600;
const YEAR_SECS: i64 = 365 * 24 * 3600;
const SIZES: [usize; 2] = [64, 4096];

fn main() {
    divan::main();
}

/// How two endpoints authenticate.
const METHODS: [Method; 3] = [
    Method::Certificate,
    Method::Windows(WindowsMethod::Ntlm),
    Method::Windows(WindowsMethod::Kerberos),
];

/// Both sides, from the opened stream to online, with AES; the domain controller's part included. With Kerberos the
/// initiator has its ticket from before, as it has after a first login.
#[divan::bench(args = METHODS)]
fn handshake(bencher: Bencher<'_, '_>, method: Method) {
    let (a, b) = (own(1), own(2));
    let mut domain = Domain::new();
    let [mut initiator, mut acceptor] = [endpoint(1, &a, &b), endpoint(2, &b, &a)];
    for (id, side) in [(1, &mut initiator), (2, &mut acceptor)] {
        side.windows = domain.side(id);
        if let Method::Windows(windows) = method {
            side.config.authentication = Authentication::Windows(windows);
        }
    }
    let (initiator, acceptor) = (Arc::new(initiator), Arc::new(acceptor));
    bencher.bench_local(|| {
        let now = Now {
            at: Timestamp::ZERO,
            wall: WallTime::from_unix_secs(EPOCH_SECS + 1),
        };
        let mut sides = [
            Connection::initiate(
                ConnectionId(1),
                initiator.clone(),
                "TCP://host_2.lab.example:7022".into(),
                domain.seed(),
                now,
            ),
            Connection::accept(ConnectionId(2), acceptor.clone(), "a".into(), [2; 32], now),
        ];
        sides[0].on_connected(now);
        while (0..2).any(|side| exchange(&mut sides, side, &mut domain, now)) {}
        assert!(sides[0].is_online() && sides[1].is_online());
    });
}

/// Carries what one side has to say. Whether there was anything.
fn exchange(sides: &mut [Connection; 2], side: usize, domain: &mut Domain, now: Now) -> bool {
    let mut any = false;
    while let Some(output) = sides[side].poll() {
        any = true;
        match output {
            ConnectionOutput::Send(bytes) => sides[1 - side].receive(now, &bytes),
            ConnectionOutput::AskController(request) => {
                let answer = domain.answer(&request, now.wall);
                sides[side].on_controller(now, Ok(&answer));
            }
            ConnectionOutput::Arbitrate(_) => sides[side].resolve_arbitration(now, ArbitrationVerdict::Keep),
            _ => {}
        }
    }
    any
}

/// One domain, its controller, and the two service accounts.
struct Domain {
    directory: Directory,
    controller: Controller,
    rng: ChaCha20Rng,
}

impl Domain {
    fn new() -> Self {
        let mut rng = ChaCha20Rng::from_seed([9; 32]);
        let mut directory = Directory::default();
        let domain = directory.add_domain("LAB", "lab.example", &mut rng);
        domain.expect("it is the first");
        for id in 1..=2 {
            for name in [Self::service(id), Self::computer(id)] {
                directory
                    .add_account(&name, &name.to_string())
                    .expect("names differ");
            }
            let spn = service_principal_name(&format!("host_{id}.lab.example"), 7022);
            directory.add_spn(&spn, &Self::service(id)).expect("a name");
        }
        Domain {
            directory,
            controller: Controller::new("LAB"),
            rng,
        }
    }

    fn service(id: u8) -> AccountName {
        AccountName::new("LAB", format!("sql_{id}"))
    }

    fn computer(id: u8) -> AccountName {
        AccountName::computer("LAB", &format!("host_{id}"))
    }

    fn side(&self, id: u8) -> WindowsSide {
        let credentials = |name: &AccountName| self.directory.credentials(name).expect("it was added");
        let peer = self
            .directory
            .account(&Self::service(3 - id))
            .expect("it was added");
        WindowsSide {
            account: Self::service(id).to_string(),
            session: Some(LogonSession::new(
                credentials(&Self::service(id)),
                credentials(&Self::computer(id)),
            )),
            dns_suffix: "lab.example".into(),
            logins: vec![WindowsLogin {
                name: peer.name().to_string(),
                sid: peer.sid().to_bytes().to_vec(),
                connect: true,
            }],
        }
    }

    /// Differs every time: an authenticator that repeats is refused.
    fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        seed
    }

    fn answer(&mut self, request: &[u8], now: WallTime) -> Vec<u8> {
        self.controller
            .answer(&mut self.directory, request, now, &mut self.rng)
    }
}

fn own(id: u8) -> Generated {
    let (from, to) = (EPOCH_SECS, EPOCH_SECS + YEAR_SECS);
    let (from, to) = (WallTime::from_unix_secs(from), WallTime::from_unix_secs(to));
    certificate::generate(&[id; 32], &format!("HOST_{id}"), from, to).expect("the dates are in order")
}

fn endpoint(id: u8, own: &Generated, peer: &Generated) -> LocalEndpoint {
    LocalEndpoint {
        config: EndpointConfig {
            name: "Mirroring".into(),
            state: EndpointState::Started,
            port: ListenerPort::try_from(7022).expect("a port"),
            ip: ListenerIp::All,
            authentication: Authentication::Certificate("own".into()),
            encryption: Encryption::default(),
            role: EndpointRole::All,
        },
        arbitration_id: Guid::from_bytes([id; 16]),
        server_name: format!("HOST_{id}"),
        version: InstanceOptions::default().version,
        address: None,
        own_certificate: Some(OwnCertificate {
            name: "own".into(),
            der: own.der.clone(),
            private_key_pkcs8: Some(own.private_key_pkcs8.clone()),
        }),
        master_key_open: true,
        fips_mode: false,
        trusted: vec![TrustedCertificate {
            certificate_id: 300,
            name: "peer".into(),
            der: peer.der.clone(),
            owner_user: "peer_user".into(),
            login: Some("peer_login".into()),
            connect: true,
        }],
        windows: WindowsSide::default(),
    }
}

#[divan::bench(args = SIZES)]
fn seal_and_open_aes(bencher: Bencher<'_, '_>, size: usize) {
    seal_and_open(bencher, size, EncryptionInUse::Aes);
}

#[divan::bench(args = SIZES)]
fn seal_and_open_rc4(bencher: Bencher<'_, '_>, size: usize) {
    seal_and_open(bencher, size, EncryptionInUse::Rc4);
}

fn seal_and_open(bencher: Bencher<'_, '_>, size: usize, encryption: EncryptionInUse) {
    let cipher = || RecordCipher::new(encryption, [7; SECRET_BYTES]).expect("encrypted");
    let (mut sender, mut receiver) = (cipher(), cipher());
    let mut record = vec![0; size];
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        let tag = sender.seal(1, b"header", &mut record);
        record.extend_from_slice(&tag);
        receiver
            .open(1, b"header", &mut record)
            .expect("what was sealed opens");
        record.truncate(size);
    });
}

#[divan::bench(args = SIZES)]
fn frame_decode(bencher: Bencher<'_, '_>, size: usize) {
    let mut bytes = Protocol::Mirroring.preamble().to_vec();
    put_frame(&mut bytes, FrameType::SESSION, 0, &vec![7; size]);
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        let mut decoder = FrameDecoder::new(Protocol::Mirroring, 1 << 16);
        decoder.push(black_box(&bytes));
        assert!(decoder.next_frame().expect("a good frame").is_some());
    });
}

#[divan::bench]
fn block_encode() -> LogBlock {
    LogBlock::new(Lsn::new(1), 1, records()).expect("a small block")
}

#[divan::bench]
fn block_decode(bencher: Bencher<'_, '_>) {
    let block = block_encode();
    bencher.bench_local(|| LogBlock::decode(black_box(block.encode())).expect("a good block"));
}

/// One transaction of two rows.
fn records() -> Vec<LogRecord> {
    let set = |key| LogRecord::Set(change(key));
    let commit = LogRecord::Commit {
        transaction: TransactionId(1),
    };
    vec![set(1), set(2), commit]
}

fn change(key: i64) -> RowChange {
    RowChange {
        table: "Ledger".into(),
        key,
        before: Some(1),
        after: Some(2),
    }
}

#[divan::bench]
fn parse_create_endpoint() {
    let text = "CREATE ENDPOINT Mirroring STATE = STARTED AS TCP (LISTENER_PORT = 7022, LISTENER_IP = ALL) FOR \
                DATABASE_MIRRORING (AUTHENTICATION = CERTIFICATE alpha_cert, ENCRYPTION = REQUIRED ALGORITHM AES, \
                ROLE = ALL);";
    assert_eq!(parse(black_box(text)).expect("it is correct").len(), 1);
}

#[divan::bench]
fn view_query(bencher: Bencher<'_, '_>) {
    let text =
        "SELECT DB_NAME(database_id), mirroring_state_desc FROM sys.database_mirroring WHERE database_id > 4";
    let mut statements = parse(text).expect("it is correct");
    let Some(Statement::Select(select)) = statements.pop().map(|statement| statement.node) else {
        panic!("it is a query");
    };
    let mut engine = QueryEngine::new();
    bencher.bench_local(|| {
        engine
            .run(&select, &OneRow, &Limits::default())
            .expect("an answer")
    });
}

/// Every view has one row, of NULLs.
struct OneRow;

impl SystemViews for OneRow {
    fn rows(&self, view: View) -> Result<Vec<Vec<Value>>, SqlError> {
        Ok(vec![vec![Value::Null; view.columns().len()]])
    }

    fn table(&self, _: Option<&str>, _: &str) -> Result<Option<Table>, SqlError> {
        Ok(None)
    }

    fn server_name(&self) -> &str {
        "ALPHA"
    }

    fn login_name(&self) -> &str {
        "sa"
    }

    fn edition(&self) -> String {
        InstanceOptions::default().edition.to_string()
    }

    fn product_version(&self) -> &'static str {
        InstanceOptions::default().product_version()
    }

    fn current_database(&self) -> &str {
        "master"
    }

    fn wall_time(&self) -> WallTime {
        WallTime::from_unix_secs(EPOCH_SECS)
    }
}

/// One row taken over by the data file: durably, or to wait for the next durable write.
#[divan::bench(args = [true, false])]
fn redo(bencher: Bencher<'_, '_>, durable: bool) {
    let done = World::run(WorldConfig::new(1), async |world| {
        let system = world
            .add_system(SystemConfig::new("alpha"))
            .expect("a first system");
        let (disk, _dead) = world.disk(system).handle();
        let (mut store, _) = Store::open(disk).expect("an empty disk");
        let database = DatabaseName::new("Sales");
        let create = DiskRequest::CreateDatabase {
            database: database.clone(),
            log_start: Lsn::ZERO,
            tables: vec!["Ledger".into()],
            rows: Vec::new(),
        };
        store.carry_out(create).expect("room for a database");
        let mut applied = 0;
        bencher.bench_local(|| {
            applied += 1;
            let request = DiskRequest::Redo {
                database: database.clone(),
                tables: Vec::new(),
                dropped: Vec::new(),
                changes: vec![change(i64::try_from(applied).expect("few") % 1_000)],
                applied: Lsn::new(applied),
                durable,
            };
            store.carry_out(request).expect("room for a row")
        });
    });
    done.expect("the world runs");
}

/// Requests of 64 bytes and their answers through the world: a minute of the echo load, counted by its answers.
#[divan::bench]
fn round_trips(bencher: Bencher<'_, '_>) {
    let minute = Duration::from_secs(60);
    let answers = echo_load::<World>(1, minute).expect("the load runs");
    bencher
        .counter(ItemsCount::new(answers))
        .bench_local(|| echo_load::<World>(1, minute).expect("the load runs"));
}
