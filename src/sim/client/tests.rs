//! The retry algorithm's timing, and what a connection makes of a server's behaviour.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::*;
use crate::driver::memory_net::{MemoryNet, PausedClock, on_paused_time};
use crate::driver::net::NetListener;
use crate::error::msg;
use crate::wire::client::ServerCodec;

const A: u16 = 1433;
const B: u16 = 1434;

/// What a server does about a request.
#[derive(Clone)]
pub enum Answer {
    Say(ClientResponse),
    Garbage,
    HangUp,
    Silence,
}

pub fn hello(instance: &str, failover_partner: Option<&str>) -> Answer {
    Answer::Say(ClientResponse::Hello(ServerHello {
        server_name: instance.to_uppercase(),
        instance: instance.to_owned(),
        failover_partner: failover_partner.map(str::to_owned),
        database: Some("Sales".to_owned()),
    }))
}

/// A server that answers by a closure.
pub async fn serve(net: &MemoryNet, port: u16, answer: impl FnMut(&ClientRequest) -> Answer + 'static) {
    let listener = net.listen(None, port).await.expect("the port is free");
    let answer = Rc::new(RefCell::new(answer));
    spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            spawn_local(converse(stream, answer.clone()));
        }
    });
}

async fn converse(mut stream: DuplexStream, answer: Rc<RefCell<impl FnMut(&ClientRequest) -> Answer>>) {
    let mut codec = ServerCodec::new();
    let mut buffer = [0; 4096];
    loop {
        while let Some(request) = codec.next_request().expect("clients speak properly") {
            let answer = answer.borrow_mut()(&request);
            match answer {
                Answer::Say(response) => {
                    let bytes = codec.encode(&response).expect("it fits");
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Answer::Garbage => stream
                    .write_all(b"HTTP/1.1 400 Bad Request\r\n")
                    .await
                    .expect("it reads"),
                Answer::HangUp => return,
                Answer::Silence => {}
            }
        }
        match stream.read(&mut buffer).await {
            Ok(n) if n > 0 => codec.push(&buffer[..n]),
            _ => return,
        }
    }
}

fn inactive() -> Answer {
    Answer::Say(ClientResponse::Refused(msg::LOGIN_DATABASE.with(&[&"Sales"])))
}

pub fn target(failover_partner: Option<u16>) -> ConnectionString {
    ConnectionString {
        initial: ServerAddress::new("alpha", A),
        failover_partner: failover_partner.map(|port| ServerAddress::new("beta", port)),
        database: Some("Sales".to_owned()),
        login: "app".to_owned(),
        application: "orders".to_owned(),
        login_timeout: LOGIN_TIMEOUT,
        provider: Provider::NativeClient,
        browser: BTreeMap::from([("BETA".to_owned(), ServerAddress::new("beta", B))]),
    }
}

#[test]
fn silent_partners_are_tried_in_growing_slices() {
    on_paused_time(async {
        let (net, clock) = (MemoryNet::default(), PausedClock::new());
        net.silence(A);
        net.silence(B);
        let error = Connector::new(net.clone(), clock.clone(), target(Some(B)))
            .connect()
            .await
            .err()
            .expect("nobody answers");
        let expected = [
            (0, A),
            (1_200, B),
            (2_400, A),
            (4_800, B),
            (7_200, A),
            (10_800, B),
            (14_400, A),
        ];
        assert_eq!(net.attempts(&clock), expected);
        assert_eq!(clock.now().at, Timestamp::from_secs(15));
        assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
    });
}

#[test]
fn inactive_partners_are_asked_again_after_growing_waits() {
    on_paused_time(async {
        let (net, clock) = (MemoryNet::default(), PausedClock::new());
        serve(&net, A, |_| inactive()).await;
        serve(&net, B, |_| inactive()).await;
        let error = Connector::new(net.clone(), clock.clone(), target(Some(B)))
            .connect()
            .await
            .err()
            .expect("nobody is active");
        let rounds: Vec<u128> = net
            .attempts(&clock)
            .chunks(2)
            .map(|pair| {
                assert_eq!([pair[0].1, pair[1].1], [A, B]);
                pair[0].0
            })
            .collect();
        assert_eq!(rounds[..7], [0, 100, 300, 700, 1_500, 2_500, 3_500]);
        assert_eq!(rounds.last(), Some(&14_500));
        assert!(matches!(error, ClientError::Refused { error, .. } if error.number == 4060));
    });
}

#[test]
fn a_silent_partner_and_an_inactive_one_mix_both_rules() {
    on_paused_time(async {
        let (net, clock) = (MemoryNet::default(), PausedClock::new());
        net.silence(A);
        serve(&net, B, |_| inactive()).await;
        let connected = Connector::new(net.clone(), clock.clone(), target(Some(B)))
            .connect()
            .await;
        assert!(connected.is_err());
        let expected = [
            (0, A),
            (1_200, B),
            (1_300, A),
            (3_700, B),
            (3_900, A),
            (7_500, B),
            (7_900, A),
            (12_700, B),
            (13_500, A),
        ];
        assert_eq!(net.attempts(&clock), expected);
        assert_eq!(clock.now().at, Timestamp::from_secs(15));
    });
}

#[test]
fn without_a_failover_partner_the_one_server_has_all_the_time() {
    on_paused_time(async {
        let (net, clock) = (MemoryNet::default(), PausedClock::new());
        let mut connector = Connector::new(net.clone(), clock.clone(), target(None));
        let refused = connector.connect().await.err().expect("nobody listens");
        assert_eq!(
            refused.to_string(),
            "cannot connect to TCP://alpha:1433: 10061(refused by the other side)"
        );
        let first: Vec<u128> = net.attempts(&clock).iter().map(|(at, _)| *at).collect();
        assert_eq!(first[..4], [0, 100, 300, 700]);
        net.silence(A);
        let before = clock.now().at;
        assert!(connector.connect().await.is_err());
        assert_eq!(clock.now().at.since(before), LOGIN_TIMEOUT);
    });
}

#[test]
fn the_server_names_the_failover_partner_from_then_on() {
    on_paused_time(async {
        let (net, clock) = (MemoryNet::default(), PausedClock::new());
        let partner = Rc::new(RefCell::new(Some("beta")));
        let told = partner.clone();
        serve(&net, A, move |_| hello("alpha", *told.borrow())).await;
        // The application's idea of the partner is wrong and is overwritten.
        let mut connector = Connector::new(net, clock, target(Some(9)));
        let connection = connector.connect().await.expect("alpha serves");
        assert_eq!(connection.instance(), InstanceName::new("alpha"));
        let beta = ServerAddress::new("beta", B);
        assert_eq!(connector.failover_partner(), Some(&beta));
        // Nothing known, or the initial partner's own name, leaves it as it is.
        for name in [None, Some("ALPHA,1433"), Some("not a name")] {
            partner.replace(name);
            connector.connect().await.expect("alpha serves");
            assert_eq!(connector.failover_partner(), Some(&beta), "{name:?}");
        }
        partner.replace(Some(r"gamma\second,7000"));
        connector.connect().await.expect("alpha serves");
        assert_eq!(
            connector.failover_partner(),
            Some(&ServerAddress::new("gamma", 7000))
        );
    });
}

#[test]
fn the_net_provider_learns_the_failover_partner_once() {
    on_paused_time(async {
        let (net, clock) = (MemoryNet::default(), PausedClock::new());
        let partner = Rc::new(RefCell::new(r"gamma,7000"));
        let told = partner.clone();
        serve(&net, A, move |_| hello("alpha", Some(*told.borrow()))).await;
        let mut target = target(Some(9));
        target.provider = Provider::SqlClient;
        let mut connector = Connector::new(net, clock, target);
        let gamma = ServerAddress::new("gamma", 7000);
        for name in ["gamma,7000", "beta", "ALPHA,1433"] {
            partner.replace(name);
            connector.connect().await.expect("alpha serves");
            assert_eq!(connector.failover_partner(), Some(&gamma), "{name}");
        }
    });
}

/// What the schedule of attempts is for each pair of partners and some login timeouts.
#[test]
fn the_schedule_of_attempts() {
    let mut table = String::new();
    for seconds in [5, 15, 30] {
        for (what, silent) in [
            ("both silent", [true, true]),
            ("initial silent, failover partner inactive", [true, false]),
            ("initial inactive, failover partner silent", [false, true]),
            ("both inactive", [false, false]),
        ] {
            let attempts = schedule(seconds, silent);
            table.push_str(&format!("login timeout {seconds} s, {what}\n"));
            for line in attempts.chunks(8) {
                let line: Vec<String> = line
                    .iter()
                    .map(|(at, port)| format!("{at:>6} {}", if *port == A { "initial" } else { "partner" }))
                    .collect();
                table.push_str(&format!("  {}\n", line.join("  ")));
            }
        }
    }
    insta::assert_snapshot!(table);
}

/// When (ms) which port is tried until the login timeout has passed.
fn schedule(login_timeout: u64, silent: [bool; 2]) -> Vec<(u128, u16)> {
    let attempts = Rc::new(RefCell::new(Vec::new()));
    let out = attempts.clone();
    on_paused_time(async move {
        let (net, clock) = (MemoryNet::default(), PausedClock::new());
        for (port, silent) in [A, B].into_iter().zip(silent) {
            match silent {
                true => net.silence(port),
                false => serve(&net, port, |_| inactive()).await,
            }
        }
        let mut target = target(Some(B));
        target.login_timeout = Duration::from_secs(login_timeout);
        let connected = Connector::new(net.clone(), clock.clone(), target).connect().await;
        assert!(connected.is_err());
        out.replace(net.attempts(&clock));
    });
    attempts.take()
}

#[test]
fn server_names_resolve_as_the_browser_and_the_default_port_say() {
    let target = target(None);
    let address = |name: &str| target.resolve(name).map(|a| a.to_string());
    assert_eq!(address("beta").as_deref(), Ok("TCP://beta:1434"));
    assert_eq!(address("gamma").as_deref(), Ok("TCP://gamma:1433"));
    assert_eq!(address("gamma, 99").as_deref(), Ok("TCP://gamma:99"));
    assert_eq!(address("tcp://gamma:98").as_deref(), Ok("TCP://gamma:98"));
    assert_eq!(address("a b"), Err("a b".to_owned()));
    assert_eq!(address("gamma,0"), Err("gamma,0".to_owned()));
}

#[test]
fn a_batch_is_answered_lost_late_or_gibberish() {
    on_paused_time(async {
        let (net, clock) = (MemoryNet::default(), PausedClock::new());
        serve(&net, A, |request| match request {
            ClientRequest::Hello(hello_of) => {
                assert_eq!(
                    (hello_of.login_name.as_str(), hello_of.database.as_deref()),
                    ("sa", Some("master"))
                );
                hello("alpha", None)
            }
            ClientRequest::Batch(text) => match text.as_str() {
                "lost" => Answer::HangUp,
                "late" => Answer::Silence,
                "gibberish" => Answer::Garbage,
                _ => Answer::Say(ClientResponse::Reply(Reply {
                    items: vec![ReplyItem::Affected(3)],
                })),
            },
        })
        .await;
        let address = ServerAddress::new("alpha", A);
        let second = Duration::from_secs(1);
        for (batch, expected) in [
            ("lost", "the connection to TCP://alpha:1433 was lost"),
            ("late", "TCP://alpha:1433 did not answer within 1000 ms"),
            ("gibberish", "TCP://alpha:1433 does not speak the client protocol"),
        ] {
            let mut client = BatchClient::connect(&net, &clock, &address, second)
                .await
                .expect("it serves");
            let good = client.execute("good", second).await.expect("it answers");
            assert_eq!(good.items, [ReplyItem::Affected(3)]);
            let error = client.execute(batch, second).await.expect_err(batch);
            assert!(error.to_string().starts_with(expected), "{error}");
        }
        let mut client = BatchClient::connect(&net, &clock, &address, second)
            .await
            .expect("it serves");
        let huge = client.execute(&"x".repeat(10_000_000), second).await;
        assert_eq!(huge.expect("a reply").error().map(|e| e.number), Some(8631));
        assert!(
            client.execute("good", second).await.is_ok(),
            "nothing was sent before"
        );
        sleep(second).await;
    });
}
