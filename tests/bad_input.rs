//! What no scenario says: bytes that are no protocol on both ports of a running instance, and damaged files at its restart.
//! The sender, the error log and the sessions beside it each get their answer.

use std::time::Duration;

use mirrorlab::driver::clock::Clock;
use mirrorlab::driver::disk::{Disk, DiskFile};
use mirrorlab::driver::net::{Net, NetRead, NetStream, NetWrite};
use mirrorlab::instance::Instance;
use mirrorlab::sim::launch::{self, WorldStage};
use mirrorlab::sim::oracle;
use mirrorlab::sim::scenario::{Library, Scenario};
use mirrorlab::sim::script::play;
use mirrorlab::sim::stage::Stage;
use mirrorlab::sim::trace::Recorder;
use mirrorlab::sim::world::{World, WorldConfig};
use mirrorlab::types::{DatabaseName, InstanceName, Reply, ServerAddress, Timestamp};
use mirrorlab::wire::frame::{FrameType, Protocol, put_frame};

const ENDPOINT: u16 = 7022;
const CLIENT: u16 = 1433;

/// Systems that belong to nobody.
const STRANGERS: [&str; 13] = [
    "http", "tls", "tds", "client", "oversize", "damaged", "early", "silent", "preamble", "half", "peer",
    "hello", "batch",
];

/// A synchronized pair with its witness, in a world that a test goes on with.
struct Rig {
    world: World,
    stage: WorldStage<Instance>,
    recorder: Recorder,
}

/// What became of a stranger's connection.
#[derive(Debug)]
struct Seen {
    /// How much was answered.
    bytes: usize,
    /// How it ended: `closed`, `reset`, `open`.
    end: &'static str,
    after: Duration,
}

fn with_rig(test: impl AsyncFnOnce(&Rig)) {
    let mut library = Library::built_in();
    library.insert(
        "test/rig",
        &format!(
            "promise = \"P.\"\nrisk = \"R.\"\nextends = \"trio\"\nuntil = \"1s\"\n{}\n[[expect]]\nhealed = true\n",
            STRANGERS.map(|name| format!("[[system]]\nname = \"{name}\"")).join("\n")
        ),
    );
    let scenario: Scenario = library
        .load("test/rig")
        .unwrap_or_else(|e| panic!("{}", e.report()));
    World::run(WorldConfig::new(5), async |world| {
        let recorder = Recorder::new(oracle::all());
        let boot = launch::boot;
        for system in launch::systems(&scenario.topology) {
            world.add_system(system).expect("names are unique");
        }
        let stage = WorldStage::new(
            world.clone(),
            5,
            scenario.topology.clone(),
            boot,
            recorder.clone(),
        )
        .expect("every system is there");
        let played = play(&scenario, &stage, &recorder).await;
        assert!(played.failures.is_empty(), "{:?}", played.failures);
        let rig = Rig {
            world,
            stage,
            recorder,
        };
        test(&rig).await;
        let (_, violations) = rig.recorder.finish(&played.end);
        assert!(violations.is_empty(), "{violations:?}");
    })
    .expect("the world holds");
}

impl Rig {
    /// The lines of an instance's error log since `since`.
    fn log(&self, on: &str, since: Timestamp) -> Vec<String> {
        self.recorder.model(|model| {
            let lines = model.error_log(&InstanceName::new(on), since);
            lines
                .iter()
                .map(|(number, text)| format!("{number} {text}"))
                .collect()
        })
    }

    async fn pass(&self, seconds: u64) {
        self.world.run_for(Duration::from_secs(seconds)).await;
    }

    fn assert_healed(&self) {
        self.recorder
            .model(|m| m.healed(&DatabaseName::new("Sales")))
            .unwrap_or_else(|is| panic!("{is}"));
    }

    /// Connects to a port of beta, says `bytes`, and waits for what comes of it.
    async fn strange(&self, name: &str, port: u16, bytes: Vec<u8>) -> Seen {
        let system = self.world.find_system(name).expect("one of the strangers");
        let (tell, told) = tokio::sync::oneshot::channel();
        self.world
            .spawn(system, name, move |env| async move {
                let begun = env.clock.now().at;
                let stream = env
                    .net
                    .connect(&ServerAddress::new("beta", port))
                    .await
                    .expect("beta listens");
                let (mut read, mut write) = stream.into_split();
                // A peer that has had enough resets the stream under a long message.
                let _ = write.write_all(&bytes).await;
                let (mut bytes, mut buffer) = (0, [0; 4096]);
                let deadline = begun + Duration::from_secs(120);
                let end = loop {
                    let got = tokio::select! {
                        biased;
                        got = read.read(&mut buffer) => got,
                        () = env.clock.sleep_until(deadline) => break "open",
                    };
                    match got {
                        Ok(0) => break "closed",
                        Ok(n) => bytes += n,
                        Err(_) => break "reset",
                    }
                };
                let after = env.clock.now().at.since(begun);
                let _ = tell.send(Seen { bytes, end, after });
            })
            .expect("its system is up");
        told.await.expect("the stranger ends")
    }
}

fn frame(protocol: Protocol, kind: FrameType, payload: &[u8]) -> Vec<u8> {
    let mut bytes = protocol.preamble().to_vec();
    put_frame(&mut bytes, kind, 0, payload);
    bytes
}

/// A header that promises `length` bytes, and some of them.
fn promised(protocol: Protocol, kind: FrameType, length: u32) -> Vec<u8> {
    let mut bytes = protocol.preamble().to_vec();
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.push(kind.0);
    bytes.extend_from_slice(&[0; 13]);
    bytes.extend_from_slice(&[7; 100]);
    bytes
}

#[test]
fn the_endpoint_answers_no_stranger_and_says_why_in_its_log() {
    let damaged = || {
        let mut bytes = frame(Protocol::Mirroring, FrameType::NEGOTIATE_OFFER, b"offer");
        *bytes.last_mut().expect("a payload") ^= 1;
        bytes
    };
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    let strangers = [
        (
            "http",
            b"GET / HTTP/1.1\r\nHost: beta\r\n\r\n".to_vec(),
            "expected a database mirroring endpoint",
        ),
        ("tls", hello, "expected a database mirroring endpoint"),
        (
            "tds",
            b"\x12\x01\x00\x2f\x00\x00\x01\x00".to_vec(),
            "expected a database mirroring endpoint",
        ),
        (
            "client",
            frame(Protocol::Client, FrameType::CLIENT_HELLO, b"{}"),
            "speaks the protocol of a client",
        ),
        (
            "oversize",
            promised(Protocol::Mirroring, FrameType::NEGOTIATE_OFFER, u32::MAX),
            "is longer than",
        ),
        ("damaged", damaged(), "check value"),
        (
            "early",
            frame(Protocol::Mirroring, FrameType::SESSION, b"x"),
            "session message",
        ),
    ];
    with_rig(async |rig| {
        for (name, bytes, reason) in strangers {
            let since = rig.world.now();
            let seen = rig.strange(name, ENDPOINT, bytes).await;
            let lines = rig.log("beta", since);
            assert_ne!(seen.end, "open", "{name}: {seen:?}");
            assert!(seen.after < Duration::from_secs(1), "{name}: {seen:?}");
            assert!(seen.bytes <= 64, "{name} is told nothing: {seen:?}");
            assert!(lines.iter().any(|l| l.contains(reason)), "{name}: {lines:?}");
            rig.assert_healed();
        }
    });
}

#[test]
fn a_truncated_login_ends_at_the_login_deadline() {
    with_rig(async |rig| {
        for (name, bytes) in [
            ("silent", Vec::new()),
            ("preamble", Protocol::Mirroring.preamble().to_vec()),
            (
                "half",
                promised(Protocol::Mirroring, FrameType::NEGOTIATE_OFFER, 4096),
            ),
        ] {
            let since = rig.world.now();
            let seen = rig.strange(name, ENDPOINT, bytes).await;
            let lines = rig.log("beta", since);
            assert_ne!(seen.end, "open", "{name}: {seen:?}, {lines:?}");
            assert!(
                lines
                    .iter()
                    .any(|l| l.contains("the login did not complete within")),
                "{name}: {lines:?}"
            );
            rig.assert_healed();
        }
    });
}

#[test]
fn the_client_port_refuses_what_is_no_client() {
    let strangers = [
        ("http", b"GET / HTTP/1.1\r\nHost: beta\r\n\r\n".to_vec()),
        ("tds", b"\x12\x01\x00\x2f\x00\x00\x01\x00".to_vec()),
        (
            "peer",
            frame(Protocol::Mirroring, FrameType::NEGOTIATE_OFFER, b"offer"),
        ),
        (
            "oversize",
            promised(Protocol::Client, FrameType::CLIENT_HELLO, u32::MAX),
        ),
        (
            "hello",
            frame(Protocol::Client, FrameType::CLIENT_HELLO, b"{ \"version\": "),
        ),
        ("batch", frame(Protocol::Client, FrameType::BATCH, b"SELECT 1")),
    ];
    with_rig(async |rig| {
        for (name, bytes) in strangers {
            let seen = rig.strange(name, CLIENT, bytes).await;
            assert_ne!(seen.end, "open", "{name}: {seen:?}");
            assert!(seen.after < Duration::from_secs(1), "{name}: {seen:?}");
            rig.assert_healed();
        }
        let (replies, lost) = rig
            .stage
            .batches(&InstanceName::new("beta"), &["SELECT 1".to_owned()])
            .await;
        assert_eq!((replies.len(), lost), (1, None), "beta still answers");
    });
}

#[test]
fn an_error_in_t_sql_reaches_the_client_with_its_place() {
    with_rig(async |rig| {
        let batch = "SELECT name FROM sys.databases;\nALTER DATABASE Sales SET PARTNER FAILOVR;".to_owned();
        let (replies, lost) = rig.stage.batches(&InstanceName::new("alpha"), &[batch]).await;
        assert_eq!(lost, None);
        let error = replies.first().and_then(Reply::error).expect("an error");
        insta::assert_snapshot!(format!("{error}\nat {:?}", error.at), @r"
        Msg 102, Level 15, State 1, Line 2: 'FAILOVR' does not fit here: '=' or FAILOVER, FORCE_SERVICE_ALLOW_DATA_LOSS, OFF, RESUME, SUSPEND, SAFETY, TIMEOUT or REDO_QUEUE is expected.
        at Some(Span { start: 65, end: 72, line: 2, column: 34 })
        ");
    });
}

/// Kills an instance, changes one of its files, and starts it again.
async fn restart_with(rig: &Rig, on: &str, file: &str, change: impl FnOnce(&mut Vec<u8>)) -> Vec<String> {
    let instance = InstanceName::new(on);
    assert!(rig.stage.kill(&instance));
    let system = rig.world.find_system(on).expect("a system of that name");
    let (disk, _) = rig.world.disk(system).handle();
    let file = disk
        .open(&format!("instances/{on}/{file}"))
        .expect("the file is there");
    let mut bytes = vec![0; usize::try_from(file.len().expect("its length")).expect("small")];
    file.read_exact_at(&mut bytes, 0).expect("readable");
    change(&mut bytes);
    file.set_len(0).expect("cut");
    file.write_all_at(&bytes, 0).expect("written");
    file.sync().expect("synced");
    let since = rig.world.now();
    rig.stage.start(&instance).expect("it starts");
    rig.pass(60).await;
    rig.log(on, since)
}

#[test]
fn a_torn_log_tail_is_reported_and_the_mirror_gets_the_log_again() {
    with_rig(async |rig| {
        let lines = restart_with(rig, "beta", "sales.ldf", |bytes| {
            bytes.extend_from_slice(b"MLB1 half a block");
        })
        .await;
        let line = lines
            .iter()
            .find(|l| l.starts_with("9004 "))
            .unwrap_or_else(|| panic!("{lines:?}"));
        insta::assert_snapshot!(line, @"9004 The log of database 'Sales' ends in 17 bytes behind LSN 58 (the log ends inside a block: 17 of 24 bytes), which are no log and are discarded. This is usual after a loss of power; otherwise check the disk.");
        rig.assert_healed();
    });
}

#[test]
fn a_data_file_beside_a_log_that_lacks_its_end_is_suspect_and_other_databases_are_not() {
    with_rig(async |rig| {
        let alpha = InstanceName::new("alpha");
        let (_, lost) = rig
            .stage
            .batches(&alpha, &["CREATE DATABASE Other".to_owned()])
            .await;
        assert_eq!(lost, None);
        let lines = restart_with(rig, "alpha", "sales.mdf", |bytes| bytes.truncate(bytes.len() / 2)).await;
        let line = lines
            .iter()
            .find(|l| l.starts_with("926 "))
            .unwrap_or_else(|| panic!("{lines:?}"));
        assert!(line.contains("'Sales' is suspect and cannot be used"), "{line}");
        let ask = |database: &str| vec![format!("USE {database}; SELECT 1")];
        let (replies, _) = rig.stage.batches(&alpha, &ask("Other")).await;
        assert!(replies[0].error().is_none(), "{replies:?}");
        let (replies, _) = rig.stage.batches(&alpha, &ask("Sales")).await;
        assert_eq!(replies[0].error().map(|e| e.number), Some(926), "{replies:?}");
    });
}

#[test]
fn a_damaged_master_stops_the_instance_and_the_partners_go_on() {
    with_rig(async |rig| {
        let lines = restart_with(rig, "beta", "master.mdf", |bytes| bytes.fill(0x5a)).await;
        assert!(
            lines
                .iter()
                .any(|l| l.starts_with("3411 The instance does not start: master.mdf is damaged")),
            "{lines:?}"
        );
        let beta = InstanceName::new("beta");
        let (_, lost) = rig.stage.batches(&beta, &["SELECT 1".to_owned()]).await;
        assert!(lost.is_some(), "an instance without master answers nobody");
        let (replies, lost) = rig
            .stage
            .batches(
                &InstanceName::new("alpha"),
                &["USE Sales; SELECT COUNT(*) FROM Ledger".to_owned()],
            )
            .await;
        assert_eq!((lost, replies.last().and_then(Reply::error)), (None, None));
    });
}
