//! A run is a function of its seed: alone, after others, and beside others.

use super::*;

/// A busy run with faults; its event log as bytes.
fn run(seed: u64) -> Vec<u8> {
    World::run(WorldConfig::new(seed), async |world| {
        let systems: Vec<SystemId> = ["a", "b", "c"]
            .map(|name| world.add_system(SystemConfig::new(name)).unwrap())
            .to_vec();
        let mut servers = Vec::new();
        for system in &systems {
            servers.push(world.spawn(*system, "server", serve).unwrap());
        }
        for system in &systems {
            world.spawn(*system, "client", chatter).unwrap();
        }
        world.run_until(secs(5)).await;
        let cut = world.cut(systems[0], systems[1]);
        world.run_until(secs(9)).await;
        world.remove_rule(&cut);
        world.kill(servers[2]);
        world.run_until(secs(12)).await;
        world.power_off(systems[1]);
        world.run_until(secs(15)).await;
        world.power_on(systems[1]);
        world.spawn(systems[1], "server", serve).unwrap();
        world.run_until(secs(40)).await;
        serde_json::to_vec(&(world.take_events(), world.counters())).expect("events serialise")
    })
    .unwrap()
}

fn tell(env: &ProcessEnv, text: String) {
    env.emit(Source::Client(env.name.clone()), WorldEvent::Step { text });
}

async fn serve(env: ProcessEnv) {
    let listener = env.net.listen(None, PORT).await.expect("the port is free");
    loop {
        let Ok((stream, from)) = listener.accept().await else {
            return;
        };
        tell(&env, format!("accepted {from}"));
        env.spawn_local(async move {
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

async fn chatter(env: ProcessEnv) {
    for peer in ["a", "b", "c"] {
        let env = env.clone();
        env.clone().spawn_local(async move {
            loop {
                if let Err(error) = talk(&env, peer).await {
                    tell(&env, format!("to {peer}: {error}"));
                }
                env.clock.sleep_until(env.clock.now().at + millis(500)).await;
            }
        });
    }
    std::future::pending().await
}

async fn talk(env: &ProcessEnv, peer: &str) -> Result<(), String> {
    let address = ServerAddress::new(peer, PORT);
    let stream = env
        .net
        .connect(&address)
        .await
        .map_err(|error: ConnectError| error.to_string())?;
    let (mut read, mut write) = stream.into_split();
    let mut buf = [0; 64];
    loop {
        write
            .write_all(&[7; 64])
            .await
            .map_err(|error| error.to_string())?;
        let n = read.read(&mut buf).await.map_err(|error| error.to_string())?;
        tell(env, format!("{n} bytes from {peer}"));
        if n == 0 {
            return Err("end".to_owned());
        }
        env.clock.sleep_until(env.clock.now().at + millis(250)).await;
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_after_other_seeds() {
    let first = run(1);
    assert!(first.len() > 10_000);
    assert_ne!(first, run(2));
    assert_ne!(first, run(3));
    assert_eq!(first, run(1));
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "worlds on several threads at once are what is tested"
)]
fn the_same_seed_gives_the_same_bytes_on_several_threads() {
    let first = run(1);
    let threads: Vec<_> = (0..4u64)
        .map(|n| std::thread::spawn(move || run(1 + n % 2)))
        .collect();
    let results: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(results[0], first);
    assert_eq!(results[2], first);
    assert_eq!(results[1], results[3]);
    assert_ne!(results[1], first);
}
