//! The attacker is called, and answers: with nothing, with the caller's own words, with another program's.

use std::time::Duration;

use mirrorlab::driver::net::{Net, NetListener, NetRead, NetStream, NetWrite};
use mirrorlab::sim::stage::Stage;
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

fn answer_calls(rig: &Rig, on: &str, answer: Answer) {
    let system = rig.world.find_system(on).expect("his");
    rig.world
        .spawn(system, "callee", move |env| async move {
            let listener = env.net.listen(None, ENDPOINT).await.expect("free");
            while let Ok((caller, _)) = listener.accept().await {
                let (mut read, mut write) = caller.into_split();
                env.spawn_local(async move {
                    if let Answer::Words(words) = answer {
                        drop(write.write_all(words).await);
                    }
                    let mut buffer = [0; 4096];
                    while let Ok(n @ 1..) = read.read(&mut buffer).await {
                        if matches!(answer, Answer::Echo) {
                            drop(write.write_all(&buffer[..n]).await);
                        }
                    }
                });
            }
        })
        .expect("its system is up");
}

#[test]
fn whatever_the_attacker_answers_the_caller_ends_it_and_goes_on() {
    with_trio(async |rig| {
        rig.must("alpha", "CREATE DATABASE Bait;").await;
        rig.must(
            "alpha",
            r"BACKUP DATABASE Bait TO DISK = 'C:\backup\Bait.bak'; BACKUP LOG Bait TO DISK = 'C:\backup\Bait.trn';",
        )
        .await;
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
            answer_calls(rig, foe, answer);
            let since = rig.world.now();
            let sql = format!("ALTER DATABASE Bait SET PARTNER = 'TCP://{foe}.lab.example:7022';");
            let (replies, lost) = rig.stage.batches(&InstanceName::new("alpha"), &[sql]).await;
            assert_eq!(lost, None);
            assert_eq!(
                replies[0].error().map(|e| e.number),
                Some(1418),
                "{foe}: {replies:?}"
            );
            assert!(rig.world.now().since(since) < Duration::from_secs(20), "{foe}");
            let lines = rig.log("alpha", since);
            let named = |n: &str| lines.iter().any(|l| l.contains(n) && l.contains(foe));
            assert!(number.is_none_or(named), "{foe}: {lines:?}");
            let open = "SELECT COUNT(*) FROM sys.dm_db_mirroring_connections WHERE login_state <> 12";
            assert_eq!(rig.number("alpha", open).await, 0, "{foe}");
            rig.assert_served().await;
        }
    });
}
