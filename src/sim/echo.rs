//! The echo load of the performance budget: three servers that ping each other once a virtual second, and one client
//! that asks the first ten times a second, 64 bytes each way. Written over [`Kernel`], so that both can carry it.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use crate::driver::clock::Clock;
use crate::driver::net::{Net, NetListener, NetRead, NetStream, NetWrite};
use crate::types::{ServerAddress, Timestamp};

use super::kernel::{Kernel, Seams};
use super::world::{SystemConfig, WorldConfig, WorldError};

const SERVERS: [&str; 3] = ["alpha", "beta", "gamma"];
const PORT: u16 = 7022;
const MESSAGE: [u8; 64] = [7; 64];

/// Carries the load for `duration`; how many answers of 64 bytes came back.
pub fn echo_load<K: Kernel>(seed: u64, duration: Duration) -> Result<u64, WorldError> {
    let systems = SERVERS
        .iter()
        .chain(&["client"])
        .map(|name| SystemConfig::new(*name))
        .collect();
    K::play(WorldConfig::new(seed), systems, async move |kernel: K| {
        let answers = Rc::new(Cell::new(0));
        for name in SERVERS {
            let (Some(system), count) = (kernel.find(name), answers.clone()) else {
                continue;
            };
            kernel.start(system, name, move |seams| server(seams, count))?;
        }
        if let Some(system) = kernel.find("client") {
            let count = answers.clone();
            kernel.start(system, "client", move |seams| {
                ask(seams, SERVERS[0].to_owned(), Duration::from_millis(100), count)
            })?;
        }
        kernel.sleep_until(Timestamp::ZERO + duration).await;
        Ok(answers.get())
    })?
}

async fn server<K: Kernel>(seams: Seams<K>, answers: Rc<Cell<u64>>) {
    for peer in SERVERS.iter().filter(|peer| **peer != seams.name) {
        let asking = ask(
            seams.clone(),
            (*peer).to_owned(),
            Duration::from_secs(1),
            answers.clone(),
        );
        seams.spawn_local(asking);
    }
    let Ok(listener) = seams.net.listen(None, PORT).await else {
        return;
    };
    while let Ok((stream, _)) = listener.accept().await {
        seams.spawn_local(async move {
            // The end of the stream is the end of the task.
            let _ended = echo(stream).await;
        });
    }
}

async fn echo(stream: impl NetStream) -> io::Result<()> {
    let (mut read, mut write) = stream.into_split();
    let mut buf = [0; 512];
    loop {
        let n = read.read(&mut buf).await?;
        if n == 0 {
            return Ok(());
        }
        write.write_all(&buf[..n]).await?;
    }
}

/// Asks `peer` once every `interval`, and counts the answers.
async fn ask<K: Kernel>(seams: Seams<K>, peer: String, interval: Duration, answers: Rc<Cell<u64>>) {
    let mut next = seams.clock.now().at + interval;
    seams.clock.sleep_until(next).await;
    let Ok(stream) = seams.net.connect(&ServerAddress::new(peer, PORT)).await else {
        return;
    };
    let (mut read, mut write) = stream.into_split();
    let mut buf = [0; 512];
    loop {
        if write.write_all(&MESSAGE).await.is_err() {
            return;
        }
        let mut got = 0;
        while got < MESSAGE.len() {
            match read.read(&mut buf).await {
                Ok(n @ 1..) => got += n,
                Ok(0) | Err(_) => return,
            }
        }
        answers.set(answers.get() + 1);
        next = next + interval;
        seams.clock.sleep_until(next).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::world::World;

    #[test]
    fn the_world_answers_every_request() {
        let answers = echo_load::<World>(1, Duration::from_secs(60)).unwrap();
        let (pings, requests) = (6 * 59, 10 * 60);
        assert!(answers >= pings + requests - 10, "{answers}");
        assert!(answers <= pings + requests + 6, "{answers}");
        assert_eq!(echo_load::<World>(1, Duration::from_secs(60)), Ok(answers));
    }
}
