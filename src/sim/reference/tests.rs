use super::*;
use crate::driver::disk::{Disk, DiskFile};
use crate::driver::net::{Net, NetListener, NetRead, NetStream, NetWrite};
use crate::sim::echo::echo_load;
use crate::sim::world::World;
use crate::types::{ServerAddress, WorldEvent};

fn secs(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn pair() -> Vec<SystemConfig> {
    vec![SystemConfig::new("alpha"), SystemConfig::new("beta")]
}

fn tell<K: Kernel>(seams: &Seams<K>, text: impl Into<String>) {
    seams.emit(Source::World, WorldEvent::Step { text: text.into() });
}

fn told(events: &[Stamped]) -> Vec<String> {
    let text = |stamped: &Stamped| match &stamped.event {
        Event::World(WorldEvent::Step { text }) => Some(text.clone()),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

async fn echo<K: Kernel>(seams: Seams<K>) {
    let listener = seams.net.listen(None, 7022).await.expect("the port is free");
    while let Ok((stream, _)) = listener.accept().await {
        seams.spawn_local(async move {
            let (mut read, mut write) = stream.into_split();
            let mut buf = [0; 64];
            while let Ok(n @ 1..) = read.read(&mut buf).await {
                if write.write_all(&buf[..n]).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// Connects, asks every second and tells what it sees; connects again after an end.
async fn ask<K: Kernel>(seams: Seams<K>) {
    let mut asked = 0;
    loop {
        match seams.net.connect(&ServerAddress::new("BETA", 7022)).await {
            Err(error) => tell(&seams, format!("{error:?}")),
            Ok(stream) => {
                tell(&seams, "connected");
                let (mut read, mut write) = stream.into_split();
                let mut buf = [0; 64];
                let ending = loop {
                    if write.write_all(b"ping").await.is_err() {
                        break "cannot write";
                    }
                    match tokio::time::timeout(Duration::from_secs(10), read.read(&mut buf)).await {
                        Ok(Ok(1..)) => asked += 1,
                        Ok(_) if asked > 0 => break "ended",
                        Ok(_) => break "never answered",
                        Err(_) => break "no answer",
                    }
                    seams.kernel.sleep_for(Duration::from_secs(1)).await;
                };
                tell(&seams, ending);
            }
        }
        seams.kernel.sleep_for(Duration::from_secs(1)).await;
    }
}

/// A kill, a short cut and a power loss, as one client sees them. Only the world tries a SYN again, so the number of
/// attempts that time out differs and repetitions are left out.
fn troubles<K: Kernel>(seed: u64) -> Result<Vec<String>, WorldError> {
    K::play(WorldConfig::new(seed), pair(), async |kernel: K| {
        let (Some(alpha), Some(beta)) = (kernel.find("alpha"), kernel.find("beta")) else {
            return Vec::new();
        };
        let server = kernel.start(beta, "server", echo).expect("beta is up");
        kernel.start(alpha, "client", ask).expect("alpha is up");
        kernel.sleep_until(secs(10)).await;
        let cut = kernel.separate(alpha, beta, Outage::Short);
        kernel.sleep_until(secs(14)).await;
        kernel.mend(cut);
        kernel.sleep_until(secs(30)).await;
        assert!(kernel.runs(server));
        assert!(kernel.stop(server));
        assert!(!kernel.stop(server));
        assert!(!kernel.runs(server));
        kernel.sleep_for(Duration::from_millis(500)).await;
        kernel.start(beta, "server", echo).expect("beta is up");
        kernel.sleep_until(secs(50)).await;
        assert!(kernel.lose_power(beta));
        assert!(!kernel.lose_power(beta));
        assert!(kernel.start(beta, "server", echo).is_err());
        kernel.sleep_until(secs(90)).await;
        assert!(kernel.restore_power(beta));
        assert!(!kernel.restore_power(beta));
        kernel.start(beta, "server", echo).expect("beta is up again");
        kernel.sleep_until(secs(150)).await;
        let mut lines = told(&kernel.take_events());
        lines.dedup();
        lines
    })
}

#[test]
fn both_kernels_show_a_client_the_same_troubles() {
    let reference = troubles::<Reference>(1).unwrap();
    let expected = [
        "connected",
        "ended",
        "connected",
        "no answer",
        "TimedOut",
        "connected",
    ];
    assert_eq!(reference, expected);
    assert_eq!(troubles::<World>(1).unwrap(), expected);
    assert_eq!(troubles::<Reference>(1).unwrap(), reference);
}

#[test]
fn both_kernels_carry_the_echo_load() {
    let duration = Duration::from_secs(20);
    let world = echo_load::<World>(1, duration).unwrap();
    let reference = echo_load::<Reference>(1, duration).unwrap();
    assert!(world.abs_diff(reference) <= 10, "{world} and {reference}");
}

#[test]
fn power_loss_undoes_unsynced_writes() {
    let files = Reference::play(WorldConfig::new(1), pair(), async |kernel: Reference| {
        let beta = kernel.find("beta").unwrap();
        let writer = async |seams: Seams<Reference>| {
            let file = seams.disk.create("log").unwrap();
            file.write_all_at(b"hard", 0).unwrap();
            file.sync().unwrap();
            seams.disk.sync_dir().unwrap();
            file.write_all_at(b"soft", 4).unwrap();
            std::future::pending::<()>().await;
        };
        kernel.start(beta, "writer", writer).unwrap();
        kernel.sleep_until(secs(1)).await;
        let before = kernel.disk_of(beta).files();
        kernel.lose_power(beta);
        (before, kernel.disk_of(beta).files())
    });
    let file = |len| vec![("log".to_owned(), len)];
    assert_eq!(files.unwrap(), (file(8), file(4)));
}

#[test]
fn a_long_cut_refuses_nobody_and_an_unknown_name_is_not_found() {
    let lines = Reference::play(WorldConfig::new(1), pair(), async |kernel: Reference| {
        let (alpha, beta) = (kernel.find("alpha").unwrap(), kernel.find("beta").unwrap());
        kernel.separate(alpha, beta, Outage::Long);
        let client = async |seams: Seams<Reference>| {
            for host in ["beta", "gamma", "10.0.0.99"] {
                let result = seams.net.connect(&ServerAddress::new(host, 7022)).await.map(drop);
                tell(&seams, format!("{host} {result:?}"));
            }
        };
        kernel.start(alpha, "client", client).unwrap();
        kernel.sleep_until(secs(60)).await;
        told(&kernel.take_events())
    });
    let expected = [
        "beta Err(TimedOut)",
        "gamma Err(NameNotFound)",
        "10.0.0.99 Err(TimedOut)",
    ];
    assert_eq!(lines.unwrap(), expected);
}

#[test]
fn a_panic_in_any_task_fails_the_run() {
    let outcome = Reference::play(WorldConfig::new(1), pair(), async |kernel: Reference| {
        let alpha = kernel.find("alpha").unwrap();
        let careless = async |seams: Seams<Reference>| {
            seams.spawn_local(async { panic!("deliberate") });
            std::future::pending::<()>().await;
        };
        kernel.start(alpha, "careless", careless).unwrap();
        kernel.sleep_until(secs(10)).await;
    });
    assert!(matches!(outcome, Err(WorldError::Panicked { process, .. }) if process == "careless"));
    let of_root = Reference::play(WorldConfig::new(1), pair(), async |_: Reference| {
        panic!("deliberate")
    });
    let of_root: Result<(), _> = of_root;
    assert!(matches!(of_root, Err(WorldError::Panicked { process, .. }) if process == "scenario"));
}
