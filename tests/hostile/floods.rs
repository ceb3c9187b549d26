//! Many connections that lead nowhere: what is held is bounded, and who means business gets in.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use mirrorlab::driver::clock::Clock;
use mirrorlab::types::{ServerAddress, Timestamp};

use crate::foe::{self, Plan};
use crate::rig::{CLIENT, ENDPOINT, FOES, Rig, with_pair, with_trio};

/// What became of a flood.
#[derive(Clone, Default)]
struct Flood {
    /// When each connection ended.
    ended: Rc<RefCell<Vec<Timestamp>>>,
    never: Rc<Cell<usize>>,
    heard: Rc<Cell<usize>>,
}

/// From one system, `count` connections to beta, one each `pause` milliseconds, that say `words` and wait.
fn flood(
    rig: &Rig,
    from: &'static str,
    port: u16,
    (count, pause): (u64, u64),
    words: &'static [u8],
) -> Flood {
    let flood = Flood::default();
    let told = flood.clone();
    let system = rig.world.find_system(from).expect("one of his systems");
    let target = ServerAddress::new("beta", port);
    rig.world
        .spawn(system, from, move |env| async move {
            for _ in 0..count {
                let (task, target, told) = (env.clone(), target.clone(), told.clone());
                env.spawn_local(async move {
                    let (end, heard) = foe::speak(&task, &target, words).await;
                    told.heard.set(told.heard.get() + heard);
                    match end {
                        Some(at) => told.ended.borrow_mut().push(at),
                        None => told.never.set(told.never.get() + 1),
                    }
                });
                env.clock
                    .sleep_until(env.clock.now().at + Duration::from_millis(pause))
                    .await;
            }
            env.clock
                .sleep_until(env.clock.now().at + Duration::from_secs(100))
                .await;
        })
        .expect("its system is up");
    flood
}

const HALF_OPEN: &str =
    "SELECT COUNT(*) FROM sys.dm_db_mirroring_connections WHERE is_accept = 1 AND login_state <> 12";

#[test]
fn half_open_logins_are_bounded_and_a_real_one_gets_in_among_them() {
    with_pair("pair", async |rig| {
        let since = rig.world.now();
        let floods = FOES.map(|from| flood(rig, from, ENDPOINT, (2_000, 5), b"\xD3ML"));
        rig.pass(Duration::from_millis(1_500)).await;
        assert_eq!(rig.number("beta", HALF_OPEN).await, 64);
        rig.assert_served().await;
        // Their own partner has to log in anew in the middle of it, after its pause of 5 s.
        rig.must("alpha", "ALTER ENDPOINT Mirroring STATE = STOPPED;")
            .await;
        rig.must("alpha", "ALTER ENDPOINT Mirroring STATE = STARTED;")
            .await;
        rig.pass(Duration::from_secs(7)).await;
        assert_eq!(rig.number("beta", HALF_OPEN).await, 64, "the flood is not over");
        rig.assert_served().await;
        rig.pass(Duration::from_secs(25)).await;
        assert_eq!(rig.number("beta", HALF_OPEN).await, 0);
        for flood in &floods {
            assert_eq!(flood.ended.borrow().len(), 2_000);
            assert_eq!((flood.never.get(), flood.heard.get()), (0, 0));
        }
        let lines = rig.log("beta", since);
        let full = lines
            .iter()
            .filter(|l| l.starts_with("9642") && l.contains("64 logins are under way"));
        assert_eq!(full.count(), 4 * 2_000 - 64, "{:?}", lines.last());
    });
}

#[test]
fn one_address_crowds_out_itself_alone() {
    with_trio(async |rig| {
        // A slow caller from elsewhere has its login under way when the flood begins.
        let slow = rig.insider();
        let slow = rig.begin(slow, Plan::until(3, |_| Vec::new()));
        rig.pass(Duration::from_millis(50)).await;
        let flood = flood(rig, "fiend", ENDPOINT, (1_000, 1), b"");
        rig.pass(Duration::from_secs(15)).await;
        assert_eq!(
            flood.ended.borrow().len(),
            1_000 - 63,
            "all but the bound, less the slow caller"
        );
        let report = slow.await.expect("it lives");
        assert!(
            report.after >= Duration::from_secs(20),
            "it had its whole time: {report:?}"
        );
    });
}

#[test]
fn a_client_that_says_nothing_is_closed_and_others_are_served() {
    with_trio(async |rig| {
        let since = rig.world.now();
        let silent = flood(rig, "foe", CLIENT, (1, 1), b"");
        let preamble = flood(rig, "fiend", CLIENT, (1, 1), b"\xD3MLABC\x00\x01");
        rig.pass(Duration::from_secs(19)).await;
        assert!(silent.ended.borrow().is_empty() && preamble.ended.borrow().is_empty());
        rig.must("beta", "SELECT 1").await;
        rig.pass(Duration::from_secs(2)).await;
        for (flood, from) in [(&silent, "foe"), (&preamble, "fiend")] {
            assert_eq!(flood.ended.borrow().len(), 1, "{from}");
            assert_eq!(flood.heard.get(), 0, "{from}");
        }
        let lines = rig.log("beta", since);
        assert_eq!(
            lines.iter().filter(|l| l.starts_with("17830 ")).count(),
            2,
            "{lines:?}"
        );
    });
}

#[test]
fn a_client_that_has_logged_in_may_be_idle_for_ever() {
    let mut codec = mirrorlab::wire::client::ClientCodec::new();
    let hello = mirrorlab::wire::client::ClientHello {
        version: mirrorlab::wire::client::CLIENT_VERSION,
        login_name: "sa".into(),
        database: None,
        application: "idle".into(),
    };
    let hello = codec
        .encode(&mirrorlab::wire::client::ClientRequest::Hello(hello))
        .expect("it fits");
    with_trio(async move |rig| {
        let idle = flood(rig, "foe", CLIENT, (1, 1), hello.leak());
        rig.pass(Duration::from_secs(60)).await;
        assert!(idle.ended.borrow().is_empty());
    });
}

#[test]
fn clients_that_say_nothing_are_bounded_and_a_real_one_gets_in_among_them() {
    with_trio(async |rig| {
        let since = rig.world.now();
        let floods =
            ["foe", "fiend"].map(|from| flood(rig, from, CLIENT, (1_000, 1), b"\xD3MLABC\x00\x01half"));
        rig.pass(Duration::from_millis(900)).await;
        rig.must("beta", "SELECT 1").await;
        rig.pass(Duration::from_secs(5)).await;
        let open: usize = floods.iter().map(|f| 1_000 - f.ended.borrow().len()).sum();
        assert_eq!(open, 256);
        rig.pass(Duration::from_secs(20)).await;
        assert!(
            floods
                .iter()
                .all(|f| f.ended.borrow().len() == 1_000 && f.heard.get() == 0)
        );
        let lines = rig.log("beta", since);
        let count = |number: &str| lines.iter().filter(|l| l.starts_with(number)).count();
        assert_eq!((count("17809 "), count("17830 ")), (2_000 - 256, 256));
    });
}
