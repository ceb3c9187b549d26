//! Statements against a disk that answers when the test says so: what is told to a client must be durable by then.

mod certificates;
mod failure_map;
mod logins;
mod monitor_role;
mod permissions;
mod procedures;
mod views;
mod visibility;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::instance::io::{
    Core, DiskError, DiskReply, DiskRequest, DiskTicket, Input, ListenError, Listener, Output,
};
use crate::instance::{Instance, InstanceConfig, InstanceOptions};
use crate::types::Event;
use crate::types::{ConnectionId, InstanceEvent, Now, Reply, ReplyItem, Timestamp, WallTime};
use crate::wire::client::{CLIENT_VERSION, ClientCodec, ClientHello, ClientRequest, ClientResponse};

struct Client {
    codec: ClientCodec,
    replies: VecDeque<Reply>,
    /// The number of the error its login ended in.
    refused: Option<u32>,
}

/// An instance, its clients, and the disk requests it waits for.
struct Bench {
    instance: Instance,
    asked: VecDeque<(DiskTicket, DiskRequest)>,
    clients: Vec<Client>,
    listens: Vec<bool>,
    stopped: bool,
    /// What the store of `master` holds.
    master: BTreeMap<String, Vec<u8>>,
    at: Timestamp,
}

impl Bench {
    /// A started instance with this many clients of the administrator.
    fn with_clients(clients: usize) -> Bench {
        let mut bench = Bench::start(InstanceOptions::default(), BTreeMap::new());
        for _ in 0..clients {
            bench.connect("sa");
        }
        bench
    }

    fn start(options: InstanceOptions, master: BTreeMap<String, Vec<u8>>) -> Bench {
        let config = InstanceConfig {
            options,
            ..InstanceConfig::of_system("alpha", 1433)
        };
        let mut bench = Bench {
            instance: Instance::new(config, [7; 32]),
            asked: VecDeque::new(),
            clients: Vec::new(),
            listens: Vec::new(),
            stopped: false,
            master: master.clone(),
            at: Timestamp::ZERO,
        };
        bench.input(Input::Start {
            master: master.into_iter().collect(),
        });
        bench.answer_all();
        bench
    }

    /// The instance once more, from what its store holds.
    fn restarted(self) -> Bench {
        Bench::start(InstanceOptions::default(), self.master)
    }

    fn connect(&mut self, login: &str) {
        let n = self.clients.len();
        self.clients.push(Client {
            codec: ClientCodec::new(),
            replies: VecDeque::new(),
            refused: None,
        });
        let from = ([127, 0, 0, 1], 5000).into();
        let listener = Listener::Client;
        self.input(Input::Accepted {
            connection: id(n),
            listener,
            from,
        });
        self.send(
            n,
            &ClientRequest::Hello(ClientHello {
                version: CLIENT_VERSION,
                login_name: login.into(),
                database: None,
                application: String::new(),
            }),
        );
    }

    /// The number of the error a login of this name ends in.
    fn refused(&mut self, login: &str) -> Option<u32> {
        self.connect(login);
        self.clients.last().and_then(|c| c.refused)
    }

    fn input(&mut self, input: Input<'_>) {
        let now = Now {
            at: self.at,
            wall: WallTime::default(),
        };
        self.instance.handle(now, input);
        while let Some(output) = self.instance.poll() {
            match output {
                Output::Disk { ticket, request } => self.asked.push_back((ticket, request)),
                Output::Send { connection, bytes } => self.receive(connection, &bytes),
                Output::Listen {
                    listener: Listener::Endpoint,
                    ..
                } => self.listens.push(true),
                Output::StopListening {
                    listener: Listener::Endpoint,
                } => self.listens.push(false),
                Output::Emit(Event::Instance(InstanceEvent::Stopped { .. })) => self.stopped = true,
                _ => {}
            }
        }
    }

    fn receive(&mut self, connection: ConnectionId, bytes: &[u8]) {
        let client = self
            .clients
            .iter_mut()
            .enumerate()
            .find(|(n, _)| id(*n) == connection);
        let Some((_, client)) = client else { return };
        client.codec.push(bytes);
        while let Ok(Some(response)) = client.codec.next_response() {
            match response {
                ClientResponse::Reply(reply) => client.replies.push_back(reply),
                ClientResponse::Refused(error) => client.refused = Some(error.number),
                ClientResponse::Hello(_) => {}
            }
        }
    }

    fn send(&mut self, client: usize, request: &ClientRequest) {
        let bytes = self.clients[client].codec.encode(request).unwrap();
        self.input(Input::Received {
            connection: id(client),
            bytes: &bytes,
        });
    }

    fn begin(&mut self, client: usize, sql: &str) {
        self.send(client, &ClientRequest::Batch(sql.to_owned()));
    }

    /// The disk carries out its oldest request.
    fn answer(&mut self, result: Result<DiskReply, DiskError>) -> DiskRequest {
        let (ticket, request) = self.asked.pop_front().expect("the disk was asked for something");
        if let (DiskRequest::Master { writes }, Ok(_)) = (&request, &result) {
            for (key, value) in writes {
                match value {
                    Some(value) => drop(self.master.insert(key.clone(), value.clone())),
                    None => drop(self.master.remove(key)),
                }
            }
        }
        self.input(Input::DiskDone { ticket, result });
        request
    }

    fn answer_all(&mut self) {
        while !self.asked.is_empty() {
            self.answer(Ok(DiskReply::Done));
        }
    }

    /// The number of the error a client's batch ended in, once the disk has done everything; 0 if in none.
    fn run(&mut self, client: usize, sql: &str) -> u32 {
        self.begin(client, sql);
        self.answer_all();
        self.number(client).expect("the batch is answered")
    }

    fn number(&mut self, client: usize) -> Option<u32> {
        let reply = self.clients[client].replies.pop_front()?;
        Some(reply.error().map_or(0, |e| e.number))
    }
}

fn id(client: usize) -> ConnectionId {
    ConnectionId(2 * client as u64 + 2)
}

fn full() -> Result<DiskReply, DiskError> {
    Err(DiskError::Full("write".into()))
}

#[test]
fn create_database_is_answered_when_its_entry_is_durable() {
    let mut bench = Bench::with_clients(1);
    bench.begin(0, "CREATE DATABASE Sales");
    let first = bench.answer(Ok(DiskReply::Done));
    assert!(matches!(first, DiskRequest::CreateDatabase { .. }), "{first:?}");
    assert_eq!(bench.number(0), None);
    let second = bench.answer(Ok(DiskReply::Done));
    assert!(matches!(second, DiskRequest::Master { .. }), "{second:?}");
    assert_eq!(bench.number(0), Some(0));
}

#[test]
fn a_name_is_taken_while_its_files_are_created_and_free_if_they_cannot_be() {
    let mut bench = Bench::with_clients(2);
    bench.begin(0, "CREATE DATABASE Sales");
    bench.begin(1, "CREATE DATABASE SALES");
    assert_eq!(bench.number(1), Some(1801));
    bench.begin(1, "USE Sales");
    assert_eq!(bench.number(1), Some(911));
    bench.answer(full());
    assert_eq!(bench.number(0), Some(823));
    assert!(bench.asked.is_empty(), "nothing is entered: {:?}", bench.asked);
    assert_eq!(bench.run(1, "CREATE DATABASE Sales"), 0);
}

#[test]
fn a_database_in_use_is_not_dropped() {
    let mut bench = Bench::with_clients(2);
    assert_eq!(bench.run(0, "CREATE DATABASE Sales"), 0);
    assert_eq!(bench.run(1, "USE Sales"), 0);
    assert_eq!(bench.run(0, "DROP DATABASE Sales"), 3702);
    assert_eq!(bench.run(1, "DROP DATABASE Sales"), 3702);
    assert_eq!(bench.run(1, "USE master DROP DATABASE Sales"), 0);
    assert_eq!(bench.run(0, "USE Sales"), 911);
}

#[test]
fn a_dropped_database_leaves_the_catalog_before_its_files_go() {
    let mut bench = Bench::with_clients(1);
    assert_eq!(bench.run(0, "CREATE DATABASE Sales"), 0);
    bench.begin(0, "DROP DATABASE Sales");
    let first = bench.answer(Ok(DiskReply::Done));
    assert!(matches!(first, DiskRequest::Master { .. }), "{first:?}");
    assert_eq!(bench.number(0), None);
    let second = bench.answer(Ok(DiskReply::Done));
    assert!(matches!(second, DiskRequest::DropDatabase { .. }), "{second:?}");
    assert_eq!(bench.number(0), Some(0));
}

#[test]
fn a_statement_goes_on_when_its_client_is_gone() {
    let mut bench = Bench::with_clients(2);
    bench.begin(0, "CREATE DATABASE Sales");
    let by = crate::instance::io::StreamEnd::Reset;
    bench.input(Input::Closed {
        connection: id(0),
        by,
    });
    bench.answer_all();
    assert_eq!(bench.run(1, "USE Sales"), 0);
}

#[test]
fn an_instance_whose_catalog_cannot_be_written_stops() {
    let mut bench = Bench::with_clients(1);
    bench.begin(0, "CREATE LOGIN l WITH PASSWORD = 'p'");
    bench.answer(full());
    assert!(bench.stopped);
    assert_eq!(bench.number(0), None);
}

#[test]
fn a_restored_copy_is_entered_once_its_files_are_there() {
    let mut bench = Bench::with_clients(1);
    assert_eq!(bench.run(0, "CREATE DATABASE Sales"), 0);
    bench.begin(0, "BACKUP DATABASE Sales TO DISK = 'sales.bak'");
    let DiskRequest::WriteFile { bytes, .. } = bench.answer(Ok(DiskReply::Done)) else {
        panic!("the backup is written");
    };
    assert_eq!(bench.number(0), Some(0));
    let restore = "RESTORE DATABASE Sales FROM DISK = 'sales.bak' WITH NORECOVERY";
    bench.begin(0, restore);
    bench.answer(Ok(DiskReply::File(bytes.clone())));
    assert_eq!(bench.number(0), Some(3159), "it is not restoring");
    bench.begin(0, &format!("{restore}, REPLACE"));
    bench.answer(Ok(DiskReply::File(bytes)));
    let order = [(); 3].map(|()| bench.answer(Ok(DiskReply::Done)));
    assert!(
        matches!(
            order,
            [
                DiskRequest::Master { .. },
                DiskRequest::CreateDatabase { .. },
                DiskRequest::Master { .. }
            ]
        ),
        "{order:?}"
    );
    assert_eq!(bench.number(0), Some(0));
    assert_eq!(bench.run(0, "USE Sales"), 927);
}

/// A backup of the whole database or of its log, as the disk was given it.
fn backup(bench: &mut Bench, what: &str) -> Vec<u8> {
    bench.begin(0, &format!("BACKUP {what} Sales TO DISK = 'sales.bak'"));
    let DiskRequest::WriteFile { bytes, .. } = bench.answer(Ok(DiskReply::Done)) else {
        panic!("the backup is written");
    };
    bench.answer_all();
    assert_eq!(bench.number(0), Some(0));
    bytes
}

#[test]
fn a_restored_log_that_cannot_be_hardened_is_no_success_and_takes_its_database_alone() {
    let mut bench = Bench::with_clients(2);
    assert_eq!(bench.run(0, "CREATE DATABASE Other"), 0);
    assert_eq!(bench.run(1, "USE Other"), 0);
    assert_eq!(bench.run(0, "CREATE DATABASE Sales"), 0);
    let full_backup = backup(&mut bench, "DATABASE");
    for table in ["A", "B"] {
        let create = format!("USE Sales; CREATE TABLE {table} (id INT PRIMARY KEY, value INT); USE master");
        assert_eq!(bench.run(0, &create), 0);
    }
    let log_backup = backup(&mut bench, "LOG");
    bench.begin(
        0,
        "RESTORE DATABASE Sales FROM DISK = 'sales.bak' WITH NORECOVERY, REPLACE",
    );
    bench.answer(Ok(DiskReply::File(full_backup)));
    bench.answer_all();
    assert_eq!(bench.number(0), Some(0));

    bench.begin(0, "RESTORE LOG Sales FROM DISK = 'sales.bak' WITH RECOVERY");
    bench.answer(Ok(DiskReply::File(log_backup)));
    let asked = bench.asked.iter().map(|(_, request)| request);
    assert!(
        asked
            .clone()
            .all(|request| matches!(request, DiskRequest::AppendLog { .. })),
        "{:?}",
        bench.asked
    );
    for meanwhile in [
        "DROP DATABASE Sales",
        "RESTORE DATABASE Sales WITH RECOVERY",
        "ALTER DATABASE Sales SET RECOVERY SIMPLE",
        "ALTER DATABASE Sales SET PARTNER = 'TCP://beta:7022'",
    ] {
        bench.begin(1, &format!("USE master; {meanwhile}"));
        assert_eq!(bench.number(1), Some(3702), "{meanwhile}");
    }
    while bench.number(0).is_none() {
        bench.answer(full());
    }
    bench.answer_all();
    assert!(!bench.stopped);
    assert_eq!(bench.run(1, "USE Other"), 0);
    assert_eq!(bench.run(0, "USE Sales"), 945);
    assert_eq!(bench.run(0, "RESTORE DATABASE Sales WITH RECOVERY"), 945);
    let table = "CREATE TABLE T (id INT PRIMARY KEY, value INT)";
    assert_eq!(bench.run(1, table), 0, "the other database goes on");
}

#[test]
fn nobody_sees_a_row_or_table_before_its_commit_is_hardened() {
    let mut bench = Bench::with_clients(3);
    assert_eq!(bench.run(0, "CREATE DATABASE Sales"), 0);
    assert_eq!(bench.run(0, "USE Sales"), 0);
    assert_eq!(bench.run(1, "USE Sales"), 0);
    bench.begin(0, "CREATE TABLE T (id INT PRIMARY KEY, value INT)");
    bench.begin(1, "SELECT value FROM T WHERE id = 1");
    bench.begin(2, "SELECT value FROM Sales.dbo.T");
    assert_eq!(
        (bench.number(0), bench.number(1), bench.number(2)),
        (None, None, None)
    );
    bench.answer(Ok(DiskReply::Done));
    assert_eq!(
        (bench.number(0), bench.number(1), bench.number(2)),
        (Some(0), Some(0), Some(0))
    );
}

#[test]
fn a_listener_that_is_not_bound_yet_is_given_up_too() {
    let mut bench = Bench::with_clients(1);
    let create =
        "CREATE ENDPOINT m STATE = STARTED AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (ROLE = ALL)";
    assert_eq!(bench.run(0, create), 0);
    assert_eq!(bench.listens, [true]);
    assert_eq!(bench.run(0, "ALTER ENDPOINT m STATE = STOPPED"), 0);
    assert_eq!(bench.listens, [true, false]);
}

#[test]
fn endpoint_mistakes_have_the_products_numbers() {
    let mut bench = Bench::with_clients(1);
    let create = |name: &str, port: u16| {
        format!("CREATE ENDPOINT {name} AS TCP (LISTENER_PORT = {port}) FOR DATABASE_MIRRORING (ROLE = ALL)")
    };
    assert_eq!(bench.run(0, &create("m", 1433)), 7874);
    assert_eq!(bench.run(0, &create("m", 7022)), 0);
    assert_eq!(bench.run(0, &create("n", 7023)), 7862);
    assert_eq!(bench.run(0, "ALTER ENDPOINT m FOR TSQL ()"), 7860);
    assert_eq!(
        bench.run(0, "ALTER ENDPOINT m FOR SERVICE_BROKER (ENCRYPTION = DISABLED)"),
        7860
    );
    assert_eq!(bench.run(0, "DROP ENDPOINT n"), 15151);
    assert_eq!(bench.run(0, "CREATE LOGIN l WITH PASSWORD = 'p'"), 0);
    assert_eq!(bench.run(0, "CREATE DATABASE Sales"), 0);
    assert_eq!(bench.run(0, "USE Sales GRANT CONNECT ON ENDPOINT::m TO l"), 4621);
    assert_eq!(bench.run(0, "USE master GRANT CONNECT ON ENDPOINT::m TO l"), 0);
}

/// An instance with a restoring copy that waits to become a mirror.
fn waiting_mirror(clients: usize) -> Bench {
    let mut bench = Bench::with_clients(clients);
    let endpoint =
        "CREATE ENDPOINT m STATE = STARTED AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (ROLE = ALL)";
    assert_eq!(bench.run(0, endpoint), 0);
    assert_eq!(bench.run(0, "CREATE DATABASE Sales"), 0);
    bench.begin(0, "BACKUP DATABASE Sales TO DISK = 'sales.bak'");
    let DiskRequest::WriteFile { bytes, .. } = bench.answer(Ok(DiskReply::Done)) else {
        panic!("the backup is written");
    };
    bench.begin(
        0,
        "RESTORE DATABASE Sales FROM DISK = 'sales.bak' WITH NORECOVERY, REPLACE",
    );
    bench.answer(Ok(DiskReply::File(bytes)));
    bench.answer_all();
    bench.clients[0].replies.clear();
    bench
}

const SET_PARTNER: &str = "ALTER DATABASE Sales SET PARTNER = 'TCP://beta:7022'";
const PARTNER_OFF: &str = "ALTER DATABASE Sales SET PARTNER OFF";

#[test]
fn a_mirror_that_waits_is_recorded_before_the_statement_is_answered() {
    let mut bench = waiting_mirror(1);
    for statement in [SET_PARTNER, PARTNER_OFF] {
        bench.begin(0, statement);
        assert_eq!(bench.number(0), None, "{statement}");
        let request = bench.answer(Ok(DiskReply::Done));
        assert!(matches!(request, DiskRequest::Master { .. }), "{request:?}");
        assert_eq!(bench.number(0), Some(0), "{statement}");
    }
}

#[test]
fn of_two_commands_on_one_database_each_client_gets_its_own_answer() {
    let mut bench = Bench::with_clients(3);
    let endpoint =
        "CREATE ENDPOINT m STATE = STARTED AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (ROLE = ALL)";
    assert_eq!(bench.run(0, endpoint), 0);
    assert_eq!(bench.run(0, "CREATE DATABASE Sales"), 0);
    bench.begin(0, SET_PARTNER);
    assert_eq!(bench.number(0), None, "beta is being dialled");
    bench.begin(1, "ALTER DATABASE Sales SET PARTNER TIMEOUT 20");
    assert_eq!((bench.number(0), bench.number(1)), (None, Some(1404)));
    bench.begin(2, PARTNER_OFF);
    bench.answer_all();
    assert_eq!((bench.number(0), bench.number(2)), (Some(1421), Some(0)));
}

#[test]
fn a_batch_ends_at_its_first_error() {
    let mut bench = Bench::with_clients(1);
    bench.begin(0, "PRINT 'a' USE Nowhere PRINT 'b'");
    let reply = bench.clients[0].replies.pop_front().unwrap();
    let kinds: Vec<bool> = reply
        .items
        .iter()
        .map(|i| matches!(i, ReplyItem::Error(_)))
        .collect();
    assert_eq!(kinds, [false, true]);
}
