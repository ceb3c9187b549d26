//! The same instances and the same driver over real TCP and real files: a principal and a mirror on loopback.
//!
//! They are set up by T-SQL as in the scenarios, commit, fail over by hand, and one of them is started again from its
//! files. Nothing is timed: the test waits for what the views say, and gives up after `PATIENCE`.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use mirrorlab::driver::clock::Clock;
use mirrorlab::driver::entropy::Entropy;
use mirrorlab::driver::real::{OsEntropy, StdDisk, SystemClock, TokioNet};
use mirrorlab::driver::store::user_file;
use mirrorlab::driver::{Observer, run};
use mirrorlab::instance::{Instance, InstanceConfig};
use mirrorlab::sim::client::{BatchClient, ClientError};
use mirrorlab::tsql::split_batches;
use mirrorlab::types::{Reply, ServerAddress, Value};
use tokio::task::{JoinHandle, LocalSet};

/// For any one thing that is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[test]
fn two_instances_mirror_over_real_tcp_and_files() {
    let scratch = Scratch::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let [first_client, first_port, second_client, second_port] = free_ports();
        let mut left = Server::new("left", scratch.0.join("left"), first_client, first_port);
        let mut right = Server::new("right", scratch.0.join("right"), second_client, second_port);
        left.start();
        right.start();

        left.open_endpoint().await;
        right.open_endpoint().await;
        left.let_in(&right).await;
        right.let_in(&left).await;
        left.sql(
            "CREATE DATABASE Sales;\nGO\nUSE Sales; CREATE TABLE Ledger (id INT PRIMARY KEY, value INT);\nGO\n\
             BACKUP DATABASE Sales TO DISK = 'C:\\backup\\Sales.bak';\nBACKUP LOG Sales TO DISK = 'C:\\backup\\Sales.trn';",
        )
        .await;
        copy(&left, &right, r"C:\backup\Sales.bak");
        copy(&left, &right, r"C:\backup\Sales.trn");
        right
            .sql(
                "RESTORE DATABASE Sales FROM DISK = 'C:\\backup\\Sales.bak' WITH NORECOVERY;\n\
                 RESTORE LOG Sales FROM DISK = 'C:\\backup\\Sales.trn' WITH NORECOVERY;",
            )
            .await;
        right.set_partner(&left).await;
        left.set_partner(&right).await;
        left.comes_to("PRINCIPAL", "SYNCHRONIZED").await;
        right.comes_to("MIRROR", "SYNCHRONIZED").await;

        for id in 1..=20 {
            left.sql(&format!("USE Sales; INSERT INTO Ledger (id, value) VALUES ({id}, {});", id * 10))
                .await;
        }
        left.sql("USE Sales; BEGIN TRAN; UPDATE Ledger SET value = value - 5 WHERE id = 1; \
                  UPDATE Ledger SET value = value + 5 WHERE id = 2; COMMIT;")
            .await;
        let committed = left.ledger().await;
        assert_eq!(committed.len(), 20);
        assert_eq!(committed[..2], [[Value::Int(1), Value::Int(5)], [Value::Int(2), Value::Int(25)]]);

        left.sql("ALTER DATABASE Sales SET PARTNER FAILOVER;").await;
        right.comes_to("PRINCIPAL", "SYNCHRONIZED").await;
        left.comes_to("MIRROR", "SYNCHRONIZED").await;
        assert_eq!(right.ledger().await, committed);

        left.kill().await;
        right.comes_to("PRINCIPAL", "DISCONNECTED").await;
        right
            .sql("USE Sales; INSERT INTO Ledger (id, value) VALUES (21, 210);")
            .await;
        left.start();
        left.comes_to("MIRROR", "SYNCHRONIZED").await;
        right.comes_to("PRINCIPAL", "SYNCHRONIZED").await;

        // What it knows now came from its files and from the log its partner kept for it.
        right.sql("ALTER DATABASE Sales SET PARTNER FAILOVER;").await;
        left.comes_to("PRINCIPAL", "SYNCHRONIZED").await;
        let kept = left.ledger().await;
        assert_eq!(kept[..20], committed);
        assert_eq!(kept[20..], [[Value::Int(21), Value::Int(210)]]);
        left.kill().await;
        right.kill().await;
    });
}

/// One instance, and how to reach it.
struct Server {
    name: &'static str,
    files: PathBuf,
    client_port: u16,
    endpoint_port: u16,
    process: Option<JoinHandle<()>>,
}

impl Server {
    fn new(name: &'static str, files: PathBuf, client_port: u16, endpoint_port: u16) -> Server {
        Server {
            name,
            files,
            client_port,
            endpoint_port,
            process: None,
        }
    }

    fn start(&mut self) {
        let config = InstanceConfig::of_system(self.name, self.client_port);
        let core = Instance::new(config, OsEntropy.seed());
        let disk = StdDisk::new(&self.files).expect("the directory can be made");
        let name = self.name;
        let observer: Observer = Rc::new(move |at, event| {
            // Shown when the test fails.
            println!("{at} {name} {event:?}");
        });
        self.process = Some(tokio::task::spawn_local(async move {
            let exit = run(core, TokioNet, disk, SystemClock::new(), observer).await;
            panic!("{name} ended: {exit}");
        }));
    }

    /// Ends it as the operating system would.
    async fn kill(&mut self) {
        let process = self.process.take().expect("it runs");
        process.abort();
        let ended = process.await.expect_err("nothing ends it but the abort");
        assert!(ended.is_cancelled(), "{ended}");
    }

    async fn open_endpoint(&self) {
        let (name, port) = (self.name, self.endpoint_port);
        self.sql(&format!(
            "CREATE MASTER KEY ENCRYPTION BY PASSWORD = 'Str0ng!Passw0rd';\nGO\n\
             CREATE CERTIFICATE {name}_cert WITH SUBJECT = '{name}', START_DATE = '20200101', EXPIRY_DATE = '20990101';\nGO\n\
             CREATE ENDPOINT Mirroring STATE = STARTED AS TCP (LISTENER_PORT = {port}) FOR DATABASE_MIRRORING \
             (AUTHENTICATION = CERTIFICATE {name}_cert, ENCRYPTION = REQUIRED ALGORITHM AES, ROLE = PARTNER);\nGO\n\
             BACKUP CERTIFICATE {name}_cert TO FILE = 'C:\\certs\\{name}.cer';"
        ))
        .await;
    }

    async fn let_in(&self, other: &Server) {
        let name = other.name;
        copy(other, self, &format!(r"C:\certs\{name}.cer"));
        self.sql(&format!(
            "CREATE LOGIN {name}_login WITH PASSWORD = 'Str0ng!Passw0rd';\nCREATE USER {name}_user FOR LOGIN {name}_login;\nGO\n\
             CREATE CERTIFICATE {name}_cert AUTHORIZATION {name}_user FROM FILE = 'C:\\certs\\{name}.cer';\nGO\n\
             GRANT CONNECT ON ENDPOINT::Mirroring TO {name}_login;"
        ))
        .await;
    }

    async fn set_partner(&self, other: &Server) {
        let port = other.endpoint_port;
        self.sql(&format!(
            "ALTER DATABASE Sales SET PARTNER = 'TCP://127.0.0.1:{port}';"
        ))
        .await;
    }

    /// Batches that must succeed; what the last one answered.
    async fn sql(&self, script: &str) -> Reply {
        let mut client = self.connect().await;
        let mut last = Reply::default();
        for batch in split_batches(script) {
            last = client
                .execute(&batch.text, PATIENCE)
                .await
                .unwrap_or_else(|error| panic!("`{}` on {}: {error}", batch.text, self.name));
            if let Some(error) = last.error() {
                panic!("`{}` on {}: {error}", batch.text, self.name);
            }
        }
        last
    }

    async fn connect(&self) -> BatchClient<TokioNet, SystemClock> {
        let clock = SystemClock::new();
        let address = ServerAddress::new("127.0.0.1", self.client_port);
        loop {
            match BatchClient::connect(&TokioNet, &clock, &address, PATIENCE).await {
                Ok(client) => return client,
                // It has just been started and does not listen yet.
                Err(ClientError::Connect { .. }) if clock.now().at.as_duration() < PATIENCE => {}
                Err(error) => panic!("{error}"),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until the view says so.
    async fn comes_to(&self, role: &str, state: &str) {
        let wanted = [Value::from(role), Value::from(state)];
        let clock = SystemClock::new();
        loop {
            let reply = self
                .sql(
                    "SELECT mirroring_role_desc, mirroring_state_desc FROM sys.database_mirroring \
                     WHERE mirroring_guid IS NOT NULL",
                )
                .await;
            if reply.rows().any(|row| *row == wanted) {
                return;
            }
            let is: Vec<_> = reply.rows().collect();
            let late = clock.now().at.as_duration() >= PATIENCE;
            assert!(!late, "{} did not come to {role}, {state}: {is:?}", self.name);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn ledger(&self) -> Vec<Vec<Value>> {
        let reply = self
            .sql("USE Sales; SELECT id, value FROM Ledger ORDER BY id")
            .await;
        reply.rows().cloned().collect()
    }
}

/// Carries a file that T-SQL calls `path` from one instance's directory to the other's.
fn copy(from: &Server, to: &Server, path: &str) {
    let name = user_file(path);
    let target = to.files.join(&name);
    fs::create_dir_all(target.parent().expect("it has a directory")).expect("the directory can be made");
    fs::copy(from.files.join(&name), target).unwrap_or_else(|error| panic!("{path}: {error}"));
}

/// Ports that nobody has, in the range an endpoint may listen on. Where the search begins differs between processes.
fn free_ports<const N: usize>() -> [u16; N] {
    // Neighbours in number, which are likely to run at one time, search far apart.
    let spread = u64::from(std::process::id()) * 7_919 % 20_000;
    let first = 10_000 + u16::try_from(spread).expect("below 20,000");
    let mut held = (first..=32_767)
        .chain(1_024..first)
        .filter_map(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).ok())
        .map(|listener| (listener.local_addr().expect("it is bound").port(), listener));
    // All are held until the last is found, so that they differ.
    let ports: Vec<_> = held.by_ref().take(N).collect();
    std::array::from_fn(|n| ports[n].0)
}

/// A directory of this test alone, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("loopback-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
