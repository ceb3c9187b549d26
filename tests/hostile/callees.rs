//! The attacker is called, and answers: with nothing, with the caller's own words, with another program's.

use std::time::Duration;

use mirrorlab::driver::net::{Net, NetListener, NetRead, NetStream, NetWrite};
use mirrorlab::sim::stage::Stage;
use mirrorlab::sim::world::{SimClock, SimRead, SimWrite};
use mirrorlab::types::InstanceName;

use crate::rig::{ENDPOINT, Rig, with_trio};

/// What whoever calls hears.
#[derive(Clone, Copy)]
enum Answer {
    Nothing,
    /// His own bytes.
    Echo,
    Words(&'static [u8]),
}

/// Answers every call to the endpoint's port of one of his systems, each for itself.
pub fn answer_calls<F>(rig: &Rig, on: &str, answer: impl Fn(SimRead, SimWrite, SimClock) -> F + 'static)
where
    F: Future<Output = ()> + 'static,
{
    let system = rig.world.find_system(on).expect("his");
    rig.world
        .spawn(system, "callee", move |env| async move {
            let listener = env.net.listen(None, ENDPOINT).await.expect("free");
            while let Ok((caller, _)) = listener.accept().await {
                let (read, write) = caller.into_split();
                env.spawn_local(answer(read, write, env.clock.clone()));
            }
        })
        .expect("its system is up");
}

/// Alpha has a database that a session could be set up with.
pub async fn lay_bait(rig: &Rig) {
    rig.must("alpha", "CREATE DATABASE Bait;").await;
    let backups = r"BACKUP DATABASE Bait TO DISK = 'C:\backup\Bait.bak'; BACKUP LOG Bait TO DISK = 'C:\backup\Bait.trn';";
    rig.must("alpha", backups).await;
}

/// Alpha is told that its partner is there, and its statement ends in 1418.
pub async fn calls(rig: &Rig, foe: &str) {
    let sql = format!("ALTER DATABASE Bait SET PARTNER = 'TCP://{foe}.lab.example:7022';");
    let (replies, lost) = rig.stage.batches(&InstanceName::new("alpha"), &[sql]).await;
    let error = replies[0].error().map(|e| e.number);
    assert_eq!((lost, error), (None, Some(1418)), "{foe}: {replies:?}");
}

/// No login of alpha's is under way any more.
pub async fn assert_none_open(rig: &Rig, foe: &str) {
    let open = "SELECT COUNT(*) FROM sys.dm_db_mirroring_connections WHERE login_state <> 12";
    assert_eq!(rig.number("alpha", open).await, 0, "{foe}");
}

async fn say(answer: Answer, mut read: SimRead, mut write: SimWrite) {
    if let Answer::Words(words) = answer {
        drop(write.write_all(words).await);
    }
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = read.read(&mut buffer).await {
        if matches!(answer, Answer::Echo) {
            drop(write.write_all(&buffer[..n]).await);
        }
    }
}

#[test]
fn whatever_the_attacker_answers_the_caller_ends_it_and_goes_on() {
    with_trio(async |rig| {
        lay_bait(rig).await;
        let cases = [
            ("foe", Answer::Nothing, None),
            ("fiend", Answer::Echo, Some("28029")),
            (
                "rogue",
                Answer::Words(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
                Some("9757"),
            ),
            ("villain", Answer::Words(&[0xff; 4096]), Some("9757")),
        ];
        for (foe, answer, number) in cases {
            answer_calls(rig, foe, move |read, write, _| say(answer, read, write));
            let since = rig.world.now();
            calls(rig, foe).await;
            assert!(rig.world.now().since(since) < Duration::from_secs(20), "{foe}");
            let lines = rig.log("alpha", since);
            let named = |n: &str| lines.iter().any(|l| l.contains(n) && l.contains(foe));
            assert!(number.is_none_or(named), "{foe}: {lines:?}");
            assert_none_open(rig, foe).await;
            rig.assert_served().await;
        }
    });
}
