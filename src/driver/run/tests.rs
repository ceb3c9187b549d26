//! The loop with scripted cores on paused time.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::sleep;

use super::*;
use crate::driver::memory_disk::MemoryDisk;
use crate::driver::memory_net::{MemoryNet, PausedClock, on_paused_time};
use crate::instance::io::{ConnectError, DiskRequest, DiskTicket, ListenError};
use crate::types::{DatabaseName, Lsn};

const PORT: u16 = 7022;

type Answer = dyn FnMut(Now, &Input<'_>) -> Vec<Output>;

/// A core that keeps a diary of its inputs and answers by a closure.
struct Script {
    diary: Rc<RefCell<Vec<String>>>,
    answer: Box<Answer>,
    outputs: VecDeque<Output>,
}

impl Core for Script {
    fn handle(&mut self, now: Now, input: Input<'_>) {
        let text = format!("{} {}", now.at.as_micros() / 1_000, describe(&input));
        self.diary.borrow_mut().push(text);
        self.outputs.extend((self.answer)(now, &input));
    }

    fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

fn describe(input: &Input<'_>) -> String {
    match input {
        Input::Start { master } => format!("start {}", master.len()),
        Input::Accepted { connection, .. } => format!("accepted {connection}"),
        Input::Connected { connection } => format!("connected {connection}"),
        Input::ConnectFailed { connection, error } => format!("failed {connection} {error:?}"),
        Input::Received { bytes, .. } => format!("received {}", String::from_utf8_lossy(bytes)),
        Input::Closed { connection, by } => format!("closed {connection} {by:?}"),
        Input::Listening { listener } => format!("listening {listener:?}"),
        Input::ListenFailed { error, .. } => format!("listen failed {error:?}"),
        Input::DiskDone { ticket, result } => format!("disk {} {}", ticket.0, result.is_ok()),
        Input::ControllerAnswered { ticket, answer } => match answer {
            Ok(answer) => format!("answer {} {}", ticket.0, String::from_utf8_lossy(answer)),
            Err(error) => format!("answer {} {error}", ticket.0),
        },
        Input::Wake => "wake".to_owned(),
    }
}

/// One scripted instance under test.
struct Bench {
    net: MemoryNet,
    disk: MemoryDisk,
    clock: PausedClock,
    diary: Rc<RefCell<Vec<String>>>,
    events: Rc<RefCell<Vec<Event>>>,
}

impl Bench {
    fn new() -> Self {
        Bench {
            net: MemoryNet::default(),
            disk: MemoryDisk::default(),
            clock: PausedClock::new(),
            diary: Rc::default(),
            events: Rc::default(),
        }
    }

    fn start(&self, answer: impl FnMut(Now, &Input<'_>) -> Vec<Output> + 'static) -> JoinHandle<Exit> {
        let core = Script {
            diary: self.diary.clone(),
            answer: Box::new(answer),
            outputs: VecDeque::new(),
        };
        let events = self.events.clone();
        let observer: Observer = Rc::new(move |_, event| events.borrow_mut().push(event));
        spawn_local(run(
            core,
            self.net.clone(),
            self.disk.clone(),
            self.clock.clone(),
            observer,
        ))
    }

    async fn connect(&self) -> DuplexStream {
        settle().await;
        self.net
            .connect(&ServerAddress::new("alpha", PORT))
            .await
            .expect("it listens")
    }

    fn diary(&self) -> Vec<String> {
        self.diary.borrow().clone()
    }
}

/// Let everything that can happen now happen.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

fn listen() -> Output {
    Output::Listen {
        listener: Listener::Endpoint,
        ip: None,
        port: PORT,
    }
}

fn send(connection: ConnectionId, bytes: &[u8]) -> Output {
    let bytes = bytes.to_vec();
    Output::Send { connection, bytes }
}

fn wake_at(millis: u64) -> Output {
    Output::WakeAt {
        at: Timestamp::from_millis(millis),
        deadline: "test",
    }
}

/// Listens and sends back what it receives.
fn echo(_: Now, input: &Input<'_>) -> Vec<Output> {
    match input {
        Input::Start { .. } => vec![listen()],
        Input::Received { connection, bytes } => vec![send(*connection, bytes)],
        _ => vec![],
    }
}

#[test]
fn an_echo_core_serves_connections_one_after_another() {
    on_paused_time(async {
        let bench = Bench::new();
        let _task = bench.start(echo);
        for _ in 0..2 {
            let mut stream = bench.connect().await;
            stream.write_all(b"ping").await.unwrap();
            let mut answer = [0; 4];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"ping");
        }
        settle().await;
        let expected = [
            "0 start 0",
            "0 listening Endpoint",
            "1 accepted conn#2",
            "1 received ping",
            "1 closed conn#2 Fin",
            "2 accepted conn#4",
            "2 received ping",
            "2 closed conn#4 Fin",
        ];
        assert_eq!(bench.diary(), expected);
    });
}

#[test]
fn the_disk_works_in_order_and_hardens_neighbours_together() {
    on_paused_time(async {
        let bench = Bench::new();
        bench.disk.slow(Duration::from_millis(10));
        let database = DatabaseName::new("Sales");
        let mut requests = vec![
            DiskRequest::Master {
                writes: vec![("a".to_owned(), Some(vec![1]))],
            },
            DiskRequest::CreateDatabase {
                database: database.clone(),
                log_start: Lsn::ZERO,
                tables: vec![],
                rows: vec![],
            },
        ];
        requests.extend((0..3).map(|at| DiskRequest::AppendLog {
            database: database.clone(),
            at: Lsn::new(at),
            bytes: vec![b'x'],
        }));
        requests.push(DiskRequest::ReadFile {
            path: "absent".to_owned(),
        });
        let outputs = |requests: Vec<DiskRequest>| {
            let numbered = requests.into_iter().zip(0..);
            numbered
                .map(|(request, n)| Output::Disk {
                    ticket: DiskTicket(n),
                    request,
                })
                .collect()
        };
        let _task = bench.start(move |_, input| match input {
            Input::Start { .. } => outputs(std::mem::take(&mut requests)),
            _ => vec![],
        });
        sleep(Duration::from_millis(25)).await;
        let syncs = bench.disk.syncs();
        sleep(Duration::from_millis(100)).await;
        let expected = [
            "10 start 0",
            "20 disk 0 true",
            "30 disk 1 true",
            "40 disk 2 true",
            "40 disk 3 true",
            "40 disk 4 true",
            "50 disk 5 false",
        ];
        assert_eq!(bench.diary(), expected);
        let create_alone = {
            let disk = MemoryDisk::default();
            let (mut store, _) = Store::open(disk.clone()).unwrap();
            let before = disk.syncs();
            store
                .carry_out(DiskRequest::CreateDatabase {
                    database,
                    log_start: Lsn::ZERO,
                    tables: vec![],
                    rows: vec![],
                })
                .unwrap();
            disk.syncs() - before
        };
        assert_eq!(bench.disk.syncs() - syncs, create_alone + 1);
    });
}

#[test]
fn requests_beyond_the_disk_queues_bound_fail_in_their_turn() {
    on_paused_time(async {
        let bench = Bench::new();
        bench.disk.slow(Duration::from_millis(10));
        let write = |n: u64, bytes: usize| Output::Disk {
            ticket: DiskTicket(n),
            request: DiskRequest::WriteFile {
                path: n.to_string(),
                bytes: vec![0; bytes],
            },
        };
        let _task = bench.start(move |_, input| match input {
            Input::Start { .. } => vec![
                write(0, 10),
                write(1, disk_queue::DISK_QUEUE_BYTES_MAX),
                write(2, 10),
            ],
            _ => vec![],
        });
        sleep(Duration::from_millis(100)).await;
        let expected = [
            "10 start 0",
            "20 disk 0 true",
            "30 disk 1 false",
            "40 disk 2 true",
        ];
        assert_eq!(bench.diary(), expected);
    });
}

#[test]
fn each_wake_supersedes_the_one_before() {
    on_paused_time(async {
        let bench = Bench::new();
        let mut wakes = 0;
        let _task = bench.start(move |_, input| match input {
            Input::Start { .. } => vec![wake_at(100), wake_at(300), wake_at(200)],
            Input::Wake => {
                wakes += 1;
                match wakes {
                    1 => vec![wake_at(0)],
                    2 => vec![wake_at(500), listen()],
                    _ => vec![],
                }
            }
            // Sooner than the timer is set for; then later than it is set for.
            Input::Listening { .. } => vec![wake_at(250)],
            Input::Accepted { .. } => vec![wake_at(400)],
            _ => vec![],
        });
        sleep(Duration::from_millis(210)).await;
        let _stream = bench.connect().await;
        sleep(Duration::from_millis(500)).await;
        let expected = [
            "0 start 0",
            "200 wake",
            "200 wake",
            "200 listening Endpoint",
            "211 accepted conn#2",
            "400 wake",
        ];
        assert_eq!(bench.diary(), expected);
    });
}

#[test]
fn a_peer_that_does_not_read_is_reset_at_the_bound() {
    on_paused_time(async {
        let bench = Bench::new();
        let _task = bench.start(|_, input| match input {
            Input::Start { .. } => vec![listen()],
            Input::Accepted { connection, .. } => {
                let chunk = vec![0; stream::SEND_QUEUE_BYTES_MAX / 8];
                (0..12).map(|_| send(*connection, &chunk)).collect()
            }
            _ => vec![],
        });
        let mut stream = bench.connect().await;
        settle().await;
        assert_eq!(bench.diary()[2..], ["1 accepted conn#2", "1 closed conn#2 Reset"]);
        match bench.events.borrow().as_slice() {
            [
                Event::Instance(InstanceEvent::ErrorLog {
                    number: 9642, text, ..
                }),
            ] => {
                assert!(text.contains("8388608 bytes are waiting to be sent"), "{text}");
            }
            other => panic!("{other:?}"),
        }
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert!(rest.len() < stream::SEND_QUEUE_BYTES_MAX);
    });
}

#[test]
fn a_close_with_fin_delivers_what_was_sent_and_a_reset_does_not_wait() {
    for (how, arrives) in [(CloseHow::Fin, 1_000_000), (CloseHow::Reset, 0)] {
        on_paused_time(async {
            let bench = Bench::new();
            let _task = bench.start(move |_, input| match input {
                Input::Start { .. } => vec![listen()],
                Input::Accepted { connection, .. } => vec![
                    send(*connection, &vec![7; 1_000_000]),
                    Output::Close {
                        connection: *connection,
                        how,
                    },
                    send(*connection, b"too late"),
                ],
                _ => vec![],
            });
            let mut stream = bench.connect().await;
            stream.write_all(b"unheard").await.unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.unwrap();
            assert_eq!(bytes.len(), arrives, "{how:?}");
            drop(stream);
            settle().await;
            // Neither what the peer sent nor its end follows the core's own close.
            assert_eq!(bench.diary()[2..], ["1 accepted conn#2"]);
        });
    }
}

#[test]
fn a_closed_connection_that_the_peer_keeps_open_ends_with_the_linger_deadline() {
    on_paused_time(async {
        let bench = Bench::new();
        let _task = bench.start(|_, input| match input {
            Input::Start { .. } => vec![listen()],
            Input::Accepted { connection, .. } => vec![
                send(*connection, &vec![7; 1_000_000]),
                Output::Close {
                    connection: *connection,
                    how: CloseHow::Fin,
                },
            ],
            _ => vec![],
        });
        let mut stream = bench.connect().await;
        sleep(stream::LINGER + Duration::from_millis(2)).await;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        assert!(bytes.len() < 1_000_000, "{} bytes", bytes.len());
        assert!(stream.write_all(b"x").await.is_err(), "both directions are gone");
    });
}

#[test]
fn connects_succeed_fail_and_can_be_taken_back() {
    on_paused_time(async {
        let bench = Bench::new();
        bench.net.silence(9);
        let connect = |id, host: &str, port| Output::Connect {
            connection: ConnectionId(id),
            address: ServerAddress::new(host, port),
        };
        let _task = bench.start(move |_, input| match input {
            Input::Start { .. } => vec![listen()],
            Input::Listening { .. } => vec![
                connect(1, "alpha", PORT),
                connect(3, "alpha", 8),
                connect(5, "unknown", PORT),
                connect(7, "alpha", 9),
                connect(9, "alpha", PORT),
                Output::Close {
                    connection: ConnectionId(9),
                    how: CloseHow::Reset,
                },
            ],
            _ => vec![],
        });
        sleep(Duration::from_secs(30)).await;
        let (refused, unknown) = (ConnectError::Refused, ConnectError::NameNotFound);
        let expected = [
            "0 connected conn#1".to_owned(),
            format!("0 failed conn#3 {refused:?}"),
            format!("0 failed conn#5 {unknown:?}"),
            "0 accepted conn#2".to_owned(),
            "21000 failed conn#7 TimedOut".to_owned(),
        ];
        assert_eq!(bench.diary()[2..], expected);
    });
}

#[test]
fn the_domain_controller_answers_or_not_by_its_deadline() {
    on_paused_time(async {
        let bench = Bench::new();
        bench.net.silence(9);
        let controller = bench.net.listen(None, 88).await.unwrap();
        spawn_local(async move {
            // The first caller is answered late but in time, the second only listened to, the third cut short.
            let (mut first, _) = controller.accept().await.unwrap();
            let (_second, _) = controller.accept().await.unwrap();
            let (third, _) = controller.accept().await.unwrap();
            drop(third);
            let mut asked = [0; 7];
            first.read_exact(&mut asked).await.unwrap();
            assert_eq!(&asked, b"\0\0\0\x03who");
            sleep(Duration::from_secs(4)).await;
            first.write_all(b"\0\0\0\x02").await.unwrap();
            first.write_all(b"me").await.unwrap();
            sleep(Duration::from_secs(60)).await;
        });
        let ask = |ticket, port| Output::AskController {
            ticket: ControllerTicket(ticket),
            controller: ServerAddress::new("dc", port),
            request: b"who".to_vec(),
        };
        let _task = bench.start(move |_, input| match input {
            Input::Start { .. } => vec![ask(1, 88), ask(2, 88), ask(3, 88), ask(4, 9), ask(5, 7)],
            _ => vec![],
        });
        sleep(Duration::from_secs(30)).await;
        let refused = ConnectError::Refused;
        let expected = [
            format!("0 answer 5 {refused}"),
            "0 answer 3 the connection ended before the answer: end of the stream".to_owned(),
            "4000 answer 1 me".to_owned(),
            "5000 answer 2 no answer within 5 s".to_owned(),
            "5000 answer 4 no answer within 5 s".to_owned(),
        ];
        assert_eq!(bench.diary()[1..], expected);
    });
}

/// A port in use is tried for 10 ms, in case it is this instance's own that is being let go.
#[test]
fn a_port_is_listened_on_once_and_again_after_a_stop() {
    on_paused_time(async {
        let bench = Bench::new();
        let taken = bench.net.listen(None, PORT).await.unwrap();
        let stop = || Output::StopListening {
            listener: Listener::Endpoint,
        };
        let _task = bench.start(move |_, input| match input {
            Input::Start { .. } => vec![listen(), wake_at(25)],
            Input::Wake => vec![listen(), wake_at(60), stop(), listen()],
            Input::Accepted { .. } => vec![stop()],
            _ => vec![],
        });
        sleep(Duration::from_millis(20)).await;
        drop(taken);
        sleep(Duration::from_millis(10)).await;
        let in_use = ListenError::AddressInUse;
        let expected = [
            "0 start 0".to_owned(),
            format!("10 listen failed {in_use:?}"),
            "25 wake".to_owned(),
            "25 listening Endpoint".to_owned(),
        ];
        assert_eq!(bench.diary(), expected);
        let _kept = bench.connect().await;
        settle().await;
        let refused = bench.net.connect(&ServerAddress::new("alpha", PORT)).await;
        assert_eq!(refused.unwrap_err(), ConnectError::Refused);
    });
}

#[test]
fn a_panic_of_the_core_comes_out_of_run() {
    on_paused_time(async {
        let bench = Bench::new();
        let task = bench.start(|_, input| match input {
            Input::Received { .. } => panic!("a bug"),
            other => echo(Now::default(), other),
        });
        let mut stream = bench.connect().await;
        stream.write_all(b"x").await.unwrap();
        let panic = task.await.expect_err("it panicked").into_panic();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"a bug"));
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "the instance is gone");
    });
}

#[test]
fn dropping_the_future_ends_everything() {
    on_paused_time(async {
        let bench = Bench::new();
        let task = bench.start(echo);
        let mut stream = bench.connect().await;
        settle().await;
        let before = bench.diary();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        settle().await;
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        let refused = bench.net.connect(&ServerAddress::new("alpha", PORT)).await;
        assert_eq!(refused.unwrap_err(), ConnectError::Refused);
        assert_eq!(bench.diary(), before);
        assert_eq!(Rc::strong_count(&bench.diary), 1, "no task is left");
    });
}

#[test]
fn an_instance_without_its_master_does_not_start() {
    on_paused_time(async {
        let bench = Bench::new();
        drop(Store::open(bench.disk.clone()).unwrap());
        bench.disk.damage("master.mdf", Vec::clear);
        let exit = bench.start(echo).await.unwrap();
        assert_eq!(
            exit.to_string(),
            "the instance cannot start because its master database cannot be opened: master.mdf is damaged: it is empty"
        );
        assert_eq!(bench.diary(), Vec::<String>::new());
        assert!(matches!(
            bench.events.borrow().as_slice(),
            [
                Event::Instance(InstanceEvent::DiskError { .. }),
                Event::Instance(InstanceEvent::ErrorLog { number: 3411, .. })
            ]
        ));
    });
}
