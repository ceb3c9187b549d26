//! What an instance reads from `master`, from files that statements name, and from its clients: a whole one, without a disk.

use std::collections::BTreeMap;

use mirrorlab::crypto::{certificate, private_key};
use mirrorlab::instance::io::{Core, DatabaseImage, DiskReply, DiskRequest, Input, Listener, Output};
use mirrorlab::instance::{Instance, InstanceConfig, InstanceOptions, Service};
use mirrorlab::session::{PartnerRecord, WitnessRecord};
use mirrorlab::types::{
    ConnectionId, DatabaseName, Event, Guid, InstanceEvent, InstanceName, Lsn, Now, PartnerRole, Reply,
    Safety, Timestamp, WallTime,
};
use mirrorlab::wire::client::{CLIENT_VERSION, ClientCodec, ClientHello, ClientRequest, ClientResponse};
use serde_json::{Value, json};

use super::{Seed, seed};

const CLIENT: ConnectionId = ConnectionId(2);

/// An instance whose disk always succeeds, and one client.
struct Desk {
    instance: Instance,
    client: ClientCodec,
    /// What every file holds that a statement reads.
    file: Vec<u8>,
    /// What was written to files, and to `master`.
    written: Vec<Vec<u8>>,
    master: Vec<(String, Vec<u8>)>,
    replies: Vec<Reply>,
    stopped: bool,
}

fn now() -> Now {
    Now {
        at: Timestamp::from_secs(1),
        wall: WallTime::from_unix_secs(1_767_225_600),
    }
}

impl Desk {
    fn start(master: Vec<(String, Vec<u8>)>, file: Vec<u8>) -> Desk {
        let config = InstanceConfig {
            name: InstanceName::new("alpha"),
            server_name: "ALPHA".into(),
            system: "alpha".into(),
            dns_suffix: "lab.example".into(),
            client_port: 1433,
            options: InstanceOptions::default(),
            service: Service::default(),
        };
        let mut desk = Desk {
            instance: Instance::new(config, [3; 32]),
            client: ClientCodec::new(),
            file,
            written: Vec::new(),
            master: Vec::new(),
            replies: Vec::new(),
            stopped: false,
        };
        desk.input(Input::Start { master });
        let hello = ClientHello {
            version: CLIENT_VERSION,
            login_name: "sa".into(),
            database: None,
            application: "entry".into(),
        };
        desk.input(Input::Accepted {
            connection: CLIENT,
            listener: Listener::Client,
            from: ([10, 0, 0, 1], 50_000).into(),
        });
        desk.say(&ClientRequest::Hello(hello));
        desk
    }

    fn say(&mut self, request: &ClientRequest) {
        if let Ok(bytes) = self.client.encode(request) {
            self.input(Input::Received {
                connection: CLIENT,
                bytes: &bytes,
            });
        }
    }

    /// The answer to a batch, if it has come.
    fn batch(&mut self, text: &str) -> Option<Reply> {
        self.say(&ClientRequest::Batch(text.to_owned()));
        self.replies.pop()
    }

    /// Whether a batch succeeds.
    fn succeeds(&mut self, text: &str) -> bool {
        self.batch(text).is_some_and(|reply| reply.error().is_none())
    }

    fn input(&mut self, input: Input<'_>) {
        self.instance.handle(now(), input);
        while let Some(output) = self.instance.poll() {
            let answer = match output {
                Output::Disk { ticket, request } => Some((ticket, self.carry_out(request))),
                Output::Listen { listener, .. } => {
                    self.instance.handle(now(), Input::Listening { listener });
                    None
                }
                Output::Send { bytes, .. } => {
                    self.client.push(&bytes);
                    while let Ok(Some(response)) = self.client.next_response() {
                        if let ClientResponse::Reply(reply) = response {
                            self.replies.push(reply);
                        }
                    }
                    None
                }
                Output::Emit(Event::Instance(InstanceEvent::Stopped { .. })) => {
                    self.stopped = true;
                    None
                }
                _ => None,
            };
            if let Some((ticket, reply)) = answer {
                let result = Ok(reply);
                self.instance.handle(now(), Input::DiskDone { ticket, result });
            }
        }
    }

    fn carry_out(&mut self, request: DiskRequest) -> DiskReply {
        match request {
            DiskRequest::OpenDatabase { .. } => DiskReply::Database(DatabaseImage::default()),
            DiskRequest::ReadFile { .. } => DiskReply::File(self.file.clone()),
            DiskRequest::WriteFile { bytes, .. } => {
                self.written.push(bytes);
                DiskReply::Done
            }
            DiskRequest::Master { writes } => {
                self.master
                    .extend(writes.into_iter().filter_map(|(key, value)| Some((key, value?))));
                DiskReply::Done
            }
            _ => DiskReply::Done,
        }
    }
}

/// What an operator sets up, a batch a line.
pub const SET_UP: [&str; 9] = [
    "CREATE MASTER KEY ENCRYPTION BY PASSWORD = 'Str0ng!Passw0rd';",
    "CREATE CERTIFICATE alpha_cert WITH SUBJECT = 'alpha', START_DATE = '20250101', EXPIRY_DATE = '20350101';",
    "CREATE ENDPOINT Mirroring STATE = STARTED AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING \
     (AUTHENTICATION = CERTIFICATE alpha_cert, ENCRYPTION = REQUIRED ALGORITHM AES, ROLE = ALL);",
    "CREATE LOGIN beta_login WITH PASSWORD = 'Str0ng!Passw0rd'; CREATE USER beta_user FOR LOGIN beta_login;",
    "GRANT CONNECT ON ENDPOINT::Mirroring TO beta_login;",
    "CREATE DATABASE Sales;",
    "USE Sales; CREATE TABLE Ledger (id INT PRIMARY KEY, value INT); INSERT INTO Ledger (id, value) VALUES (1, 10);",
    r"BACKUP DATABASE Sales TO DISK = 'C:\backup\Sales.bak';",
    r"BACKUP LOG Sales TO DISK = 'C:\backup\Sales.trn';",
];

fn set_up() -> Desk {
    let mut desk = Desk::start(Vec::new(), Vec::new());
    for batch in SET_UP {
        let reply = desk.batch(batch);
        let error = reply.as_ref().map(Reply::error);
        assert_eq!(error, Some(None), "{batch}");
    }
    desk
}

/// Views over everything a catalog holds.
const LOOK: &str = "SELECT * FROM sys.endpoints; SELECT * FROM sys.database_mirroring_endpoints; \
    SELECT * FROM sys.certificates; SELECT * FROM sys.server_principals; SELECT * FROM sys.server_permissions; \
    SELECT * FROM sys.databases; SELECT * FROM sys.database_mirroring; SELECT * FROM sys.database_mirroring_witnesses; \
    SELECT * FROM msdb.dbo.suspect_pages;";

/// Entries of `master`: lines of a key, a tab and a value.
pub fn catalog(bytes: &[u8]) -> bool {
    let entries = bytes
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            let at = line.iter().position(|b| *b == b'\t').unwrap_or(line.len());
            let value = line.get(at + 1..).unwrap_or_default();
            (String::from_utf8_lossy(&line[..at]).into_owned(), value.to_vec())
        });
    let mut desk = Desk::start(entries.collect(), Vec::new());
    drop(desk.batch(LOOK));
    !desk.stopped
}

type Entries = BTreeMap<String, Vec<u8>>;

pub fn catalog_seeds() -> Vec<Seed> {
    let set_up: Entries = set_up().master.into_iter().collect();
    let line = |(key, value): (&String, &Vec<u8>)| [key.as_bytes(), b"\t", value, b"\n"].concat();
    let lines = |entries: &Entries| entries.iter().flat_map(line).collect::<Vec<u8>>();
    let mut endpoint = set_up.clone();
    endpoint.retain(|key, _| key.starts_with("endpoint"));
    let mut seeds = vec![seed("set_up", lines(&set_up)), seed("endpoint", lines(&endpoint))];
    for role in [PartnerRole::Principal, PartnerRole::Mirror] {
        let entries = mirrored(set_up.clone(), role);
        let name = format!("session_of_a_{}", role.to_string().to_lowercase());
        seeds.push(seed(name, lines(&entries)));
    }
    seeds
}

/// The same once Sales is mirrored, a page of it was found damaged, and the instance is the witness of another session.
fn mirrored(mut entries: Entries, role: PartnerRole) -> Entries {
    let (own, watched) = (Guid::from_bytes([5; 16]), Guid::from_bytes([8; 16]));
    let mut sales: Value = serde_json::from_slice(&entries["database/sales"]).expect("it was written");
    sales["mirroring"] = json!(partner(own, role));
    sales["restoring"] = json!(role == PartnerRole::Mirror);
    let peer = |session: Guid, instance: u8| {
        let instance = Guid::from_bytes([instance; 16]);
        let known = json!({ "session": session, "instance": instance, "login": 258, "windows": false });
        (format!("peer/{session}/{instance}/sql"), known)
    };
    let page = json!({ "database_id": 5, "page": 2, "event_type": 2, "error_count": 1, "updated": 1_767_225_600_000_i64 });
    let more = [
        ("database/sales".to_owned(), sales),
        (
            format!("witness/{watched}").to_lowercase(),
            json!(witness(watched)),
        ),
        peer(own, 1),
        peer(watched, 1),
        peer(watched, 2),
        ("suspect/0000000005/0000000002".to_owned(), page),
    ];
    entries.extend(more.map(|(key, value)| (key, value.to_string().into_bytes())));
    let mut desk = Desk::start(entries.clone().into_iter().collect(), Vec::new());
    for there in [
        "sys.database_mirroring WHERE mirroring_guid IS NOT NULL",
        "sys.database_mirroring_witnesses",
        "msdb.dbo.suspect_pages",
    ] {
        let reply = desk.batch(&format!("SELECT COUNT(*) FROM {there}"));
        let count = reply.and_then(|r| r.rows().next().cloned());
        assert_eq!(count, Some(vec![1_i64.into()]), "{there}");
    }
    entries
}

fn partner(session: Guid, role: PartnerRole) -> PartnerRecord {
    let mirror = role == PartnerRole::Mirror;
    PartnerRecord {
        database: DatabaseName::new("Sales"),
        session,
        family: Guid::from_bytes([6; 16]),
        started: true,
        role,
        role_sequence: 3,
        owner_since: 2,
        owner_by: None,
        epoch_base: 1,
        partner: "TCP://beta.lab.example:7022".parse().expect("an address"),
        partner_name: "BETA".into(),
        witness: Some("TCP://gamma.lab.example:7022".parse().expect("an address")),
        safety: Safety::Full,
        safety_sequence: 1,
        timeout_seconds: 10,
        redo_queue_mb: None,
        suspended: false,
        suspend_sequence: 2,
        suspended_here: false,
        configuration_sequence: 4,
        failover_lsn: Lsn::new(77),
        synchronized: mirror,
        takeover_pending: mirror.then_some(4),
        takeover_forced: false,
        reverting: false,
        failover_pending: !mirror,
    }
}

fn witness(session: Guid) -> WitnessRecord {
    WitnessRecord {
        database: DatabaseName::new("Orders"),
        session,
        family: Guid::from_bytes([9; 16]),
        owner: "BETA".into(),
        mirror: "GAMMA".into(),
        role_sequence: 1,
        safety: Safety::Full,
        safety_sequence: 1,
        timeout_seconds: 10,
        suspended: true,
        suspend_sequence: 1,
        synchronized: false,
    }
}

/// A backup file, with the check value made right so that its content is looked at; the first byte says whether a full
/// one is restored, or a backup of the log behind the genuine full one.
pub fn backups(bytes: &[u8]) -> bool {
    let Some((which, file)) = bytes.split_first() else {
        return false;
    };
    let mut file = file.to_vec();
    if file.len() >= 16 {
        let crc = crc32c::crc32c(&file[16..]);
        file[8..12].copy_from_slice(&crc.to_le_bytes());
    }
    if which % 2 == 0 {
        let mut desk = Desk::start(Vec::new(), file);
        return desk.succeeds(r"RESTORE DATABASE Sales FROM DISK = 'C:\a.bak' WITH NORECOVERY;");
    }
    let mut desk = Desk::start(Vec::new(), genuine_backups().swap_remove(0));
    assert!(desk.succeeds(r"RESTORE DATABASE Sales FROM DISK = 'C:\a.bak' WITH NORECOVERY;"));
    desk.file = file;
    let restored = desk.succeeds(r"RESTORE LOG Sales FROM DISK = 'C:\a.trn' WITH NORECOVERY;");
    drop(desk.batch("RESTORE DATABASE Sales WITH RECOVERY; USE Sales; SELECT * FROM Ledger;"));
    restored
}

/// The full one and the one of the log.
fn genuine_backups() -> Vec<Vec<u8>> {
    thread_local!(static MADE: std::cell::OnceCell<Vec<Vec<u8>>> = const { std::cell::OnceCell::new() });
    MADE.with(|made| made.get_or_init(|| set_up().written).clone())
}

pub fn backup_seeds() -> Vec<Seed> {
    let backups = genuine_backups();
    assert_eq!(backups.len(), 2);
    let of = |which: u8| [&[which][..], &backups[usize::from(which)]].concat();
    vec![seed("full", of(0)), seed("log", of(1))]
}

/// A certificate file, for the parser and for a statement.
pub fn certificates(bytes: &[u8]) -> bool {
    let parsed = certificate::parse(bytes);
    // Each decides for itself; none may rely on another having been asked before.
    drop(certificate::check_signature(bytes));
    drop(certificate::check_key(
        bytes,
        &genuine_certificate().private_key_pkcs8,
    ));
    if let Ok(facts) = &parsed {
        let _ = facts.check_dates(now().wall);
    }
    let mut desk = Desk::start(Vec::new(), bytes.to_vec());
    let created = desk.succeeds(r"CREATE CERTIFICATE c FROM FILE = 'C:\c.cer';");
    assert!(
        parsed.is_ok() || !created,
        "what is no certificate is none to a statement either"
    );
    drop(desk.batch("SELECT * FROM sys.certificates"));
    created
}

fn genuine_certificate() -> certificate::Generated {
    let (from, to) = (
        WallTime::from_unix_secs(1_735_689_600),
        WallTime::from_unix_secs(2_051_222_400),
    );
    certificate::generate(&[6; 32], "alpha endpoint", from, to).expect("made")
}

pub fn certificate_seeds() -> Vec<Seed> {
    vec![seed("ed25519", genuine_certificate().der)]
}

const PASSWORD: &str = "Str0ng!Passw0rd";

pub fn private_keys(bytes: &[u8]) -> bool {
    let certificate = genuine_certificate().der;
    let bare = private_key::unseal(bytes, None);
    let sealed = private_key::unseal(bytes, Some(PASSWORD));
    assert!(bare.is_err() || sealed.is_err(), "a key is sealed or it is not");
    bare.into_iter()
        .chain(sealed)
        .any(|key| certificate::check_key(&certificate, &key).is_ok())
}

pub fn private_key_seeds() -> Vec<Seed> {
    let key = genuine_certificate().private_key_pkcs8;
    let sealed = private_key::seal(&key, PASSWORD, [9; private_key::SALT_BYTES]);
    vec![seed("bare", key), seed("sealed", sealed)]
}

/// Batches for an instance that is set up; understood is what succeeds.
pub fn batches(bytes: &[u8]) -> bool {
    let mut desk = set_up();
    let text = String::from_utf8_lossy(bytes);
    let mut understood = true;
    for batch in mirrorlab::tsql::split_batches(&text) {
        understood &= desk.succeeds(&batch.text);
        if desk.stopped {
            return false;
        }
    }
    assert!(!understood || desk.succeeds("SELECT 1"), "it still answers");
    understood
}
