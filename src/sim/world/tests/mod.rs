//! What a process on this network sees, and when: one file per kind of trouble.

mod determinism;
mod firewall;
mod power;
mod processes;

use std::cell::RefCell;
use std::rc::Rc;

use super::*;
use crate::driver::clock::Clock;
use crate::driver::net::{Net, NetListener, NetRead, NetStream, NetWrite};
use crate::instance::io::{ConnectError, ListenError};
use crate::types::{ServerAddress, WorldEvent};

const PORT: u16 = 7022;

/// Lines with their times, shared between the processes of a test and its root.
#[derive(Clone, Default)]
struct Journal(Rc<RefCell<Vec<(Timestamp, String)>>>);

impl Journal {
    fn note(&self, env: &ProcessEnv, text: impl Into<String>) {
        self.0.borrow_mut().push((env.clock.now().at, text.into()));
    }

    /// The only time `text` was noted.
    fn time_of(&self, text: &str) -> Timestamp {
        let entries = self.0.borrow();
        let times: Vec<_> = entries.iter().filter(|(_, line)| line == text).collect();
        assert_eq!(times.len(), 1, "'{text}' in {entries:?}");
        times[0].0
    }

    fn has(&self, text: &str) -> bool {
        self.0.borrow().iter().any(|(_, line)| line == text)
    }
}

/// Two systems, `alpha` and `beta`, with an echo server on `beta`.
struct Pair {
    world: World,
    alpha: SystemId,
    beta: SystemId,
    server: ProcessId,
    journal: Journal,
}

fn with_pair<T>(seed: u64, test: impl AsyncFnOnce(Pair) -> T) -> T {
    let outcome = World::run(WorldConfig::new(seed), async |world| {
        let journal = Journal::default();
        let alpha = world.add_system(SystemConfig::new("alpha")).unwrap();
        let beta = world
            .add_system(SystemConfig::new("BETA").with_dns_suffix("Adventure-Works.com"))
            .unwrap();
        let server = spawn_echo(&world, beta, &journal);
        test(Pair {
            world,
            alpha,
            beta,
            server,
            journal,
        })
        .await
    });
    outcome.expect("no process panics")
}

fn spawn_echo(world: &World, system: SystemId, journal: &Journal) -> ProcessId {
    let journal = journal.clone();
    world
        .spawn(system, "echo", async move |env| echo_server(env, journal).await)
        .expect("system is up")
}

async fn echo_server(env: ProcessEnv, journal: Journal) {
    let listener = match env.net.listen(None, PORT).await {
        Ok(listener) => listener,
        Err(error) => return journal.note(&env, format!("listen: {error:?}")),
    };
    journal.note(&env, "listening");
    while let Ok((stream, _)) = listener.accept().await {
        let (journal, task_env) = (journal.clone(), env.clone());
        env.spawn_local(async move {
            let (mut read, mut write) = stream.into_split();
            let mut buf = [0; 256];
            loop {
                match read.read(&mut buf).await {
                    Ok(0) => return journal.note(&task_env, "server: end"),
                    Ok(n) => {
                        journal.note(
                            &task_env,
                            format!("server: {}", String::from_utf8_lossy(&buf[..n])),
                        );
                        if write.write_all(&buf[..n]).await.is_err() {
                            return journal.note(&task_env, "server: cannot write");
                        }
                    }
                    Err(error) => return journal.note(&task_env, format!("server: {:?}", error.kind())),
                }
            }
        });
    }
}

fn beta() -> ServerAddress {
    ServerAddress::new("beta", PORT)
}

/// A client on `system` that connects and then, at each of `times`, sends `ping <n>` and waits for the answer.
fn spawn_client(pair: &Pair, system: SystemId, times: &'static [u64]) -> ProcessId {
    let journal = pair.journal.clone();
    let client = async move |env: ProcessEnv| {
        let stream = match env.net.connect(&beta()).await {
            Ok(stream) => stream,
            Err(error) => return journal.note(&env, format!("connect: {error:?}")),
        };
        journal.note(&env, "connected");
        let (mut read, mut write) = stream.into_split();
        let mut buf = [0; 256];
        for (n, at) in times.iter().enumerate() {
            env.clock.sleep_until(Timestamp::from_secs(*at)).await;
            if let Err(error) = write.write_all(format!("ping {n}").as_bytes()).await {
                return journal.note(&env, format!("write: {:?}", error.kind()));
            }
            match read.read(&mut buf).await {
                Ok(0) => return journal.note(&env, "end"),
                Ok(n) => journal.note(&env, format!("answer: {}", String::from_utf8_lossy(&buf[..n]))),
                Err(error) => return journal.note(&env, format!("read: {:?}", error.kind())),
            }
        }
        match read.read(&mut buf).await {
            Ok(0) => journal.note(&env, "end"),
            Ok(_) => journal.note(&env, "more"),
            Err(error) => journal.note(&env, format!("read: {:?}", error.kind())),
        }
    };
    pair.world.spawn(system, "client", client).expect("system is up")
}

fn secs(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn rule(direction: Direction, action: Action) -> Rule {
    Rule {
        direction,
        port: Some(PORT),
        peer: None,
        action,
    }
}
