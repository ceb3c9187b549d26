//! Killed processes, lost power, disks.

use super::*;
use crate::driver::disk::{Disk, DiskFile};

#[test]
fn a_killed_process_closes_its_connections() {
    with_pair(1, async |pair| {
        spawn_client(&pair, pair.alpha, &[1]);
        pair.world.run_until(secs(10)).await;
        assert!(pair.world.is_alive(pair.server));
        assert!(pair.world.kill(pair.server));
        assert!(!pair.world.kill(pair.server));
        assert!(!pair.world.is_alive(pair.server));
        pair.world.run_until(secs(11)).await;
        assert!(pair.journal.time_of("end") <= secs(10) + millis(12));
        assert_eq!(pair.world.counters().processes_killed, 1);
    });
}

#[test]
fn a_process_killed_with_unread_input_resets_its_connections() {
    with_pair(2, async |pair| {
        let deaf = async |env: ProcessEnv| {
            let listener = env.net.listen(None, 9000).await.unwrap();
            let _stream = listener.accept().await.unwrap();
            std::future::pending::<()>().await;
        };
        let deaf = pair.world.spawn(pair.beta, "deaf", deaf).unwrap();
        let journal = pair.journal.clone();
        let client = async move |env: ProcessEnv| {
            let stream = env.net.connect(&ServerAddress::new("beta", 9000)).await.unwrap();
            let (mut read, mut write) = stream.into_split();
            write.write_all(b"unread").await.unwrap();
            journal.note(
                &env,
                format!("{:?}", read.read(&mut [0; 8]).await.map_err(|error| error.kind())),
            );
        };
        pair.world.spawn(pair.alpha, "client", client).unwrap();
        pair.world.run_until(secs(1)).await;
        pair.world.kill(deaf);
        pair.world.run_until(secs(2)).await;
        assert!(pair.journal.time_of("Err(ConnectionReset)") <= secs(1) + millis(12));
    });
}

#[test]
fn power_loss_is_silence_and_after_reboot_a_reset() {
    with_pair(3, async |pair| {
        spawn_client(&pair, pair.alpha, &[1, 20]);
        pair.world.run_until(secs(10)).await;
        assert!(pair.world.power_off(pair.beta));
        assert!(!pair.world.power_off(pair.beta));
        assert!(!pair.world.is_alive(pair.server));
        let refused = pair.world.spawn(pair.beta, "early", async |_| {});
        assert!(matches!(refused, Err(WorldError::NoPower { .. })));
        pair.world.run_until(secs(30)).await;
        assert!(!pair.journal.has("end"));
        assert!(!pair.journal.has("read: ConnectionReset"));
        assert!(pair.world.power_on(pair.beta));
        spawn_echo(&pair.world, pair.beta, &pair.journal);
        pair.world.run_until(secs(60)).await;
        let at = pair.journal.time_of("read: ConnectionReset");
        assert!(at > secs(30), "{at}");
        assert!(at <= secs(30) + RETRY_MOST + millis(22), "{at}");
        assert!(!pair.journal.has("listen: AddressInUse"));
        pair.journal.0.borrow_mut().clear();
        spawn_client(&pair, pair.alpha, &[70]);
        pair.world.run_until(secs(80)).await;
        pair.journal.time_of("answer: ping 0");
    });
}

#[test]
fn a_sender_gives_a_dead_system_up() {
    with_pair(4, async |pair| {
        spawn_client(&pair, pair.alpha, &[1, 20]);
        pair.world.run_until(secs(10)).await;
        pair.world.power_off(pair.beta);
        pair.world.run_until(secs(200)).await;
        assert!(pair.journal.time_of("read: ConnectionReset") >= secs(20) + GIVE_UP);
    });
}

#[test]
fn an_idle_peer_of_a_dead_system_notices_nothing() {
    with_pair(4, async |pair| {
        spawn_client(&pair, pair.alpha, &[1]);
        pair.world.run_until(secs(10)).await;
        pair.world.power_off(pair.beta);
        pair.world.run_until(secs(1_000)).await;
        assert!(!pair.journal.has("end"));
        assert!(!pair.journal.has("read: ConnectionReset"));
    });
}

#[test]
fn power_lost_during_a_handshake_leaves_the_port_free() {
    for delay in 0..40 {
        with_pair(5, async |pair| {
            pair.world.run_until(secs(1)).await;
            spawn_client(&pair, pair.alpha, &[]);
            pair.world.run_for(millis(delay)).await;
            pair.world.power_off(pair.beta);
            pair.world.run_for(millis(100)).await;
            pair.world.power_on(pair.beta);
            spawn_echo(&pair.world, pair.beta, &pair.journal);
            pair.world.run_until(secs(5)).await;
            assert!(!pair.journal.has("listen: AddressInUse"), "after {delay} ms");
        });
    }
}

#[test]
fn a_connector_that_goes_away_during_the_handshake_leaves_the_port_free() {
    for delay in 0..40 {
        with_pair(6, async |pair| {
            pair.world.run_until(secs(1)).await;
            let client = spawn_client(&pair, pair.alpha, &[]);
            pair.world.run_for(millis(delay)).await;
            pair.world.kill(client);
            pair.world.run_for(millis(100)).await;
            pair.world.kill(pair.server);
            spawn_echo(&pair.world, pair.beta, &pair.journal);
            pair.world.run_until(secs(5)).await;
            assert!(!pair.journal.has("listen: AddressInUse"), "after {delay} ms");
        });
    }
}

#[test]
fn a_restarted_process_binds_its_port_though_its_peer_cannot_be_reached() {
    with_pair(7, async |pair| {
        spawn_client(&pair, pair.alpha, &[1]);
        pair.world.run_until(secs(10)).await;
        let cut = pair.world.cut(pair.alpha, pair.beta);
        pair.world.kill(pair.server);
        spawn_echo(&pair.world, pair.beta, &pair.journal);
        pair.world.run_until(secs(12)).await;
        assert!(!pair.journal.has("listen: AddressInUse"));
        pair.world.remove_rule(&cut);
        pair.world.run_until(secs(20)).await;
        pair.journal.time_of("end");
    });
}

#[test]
fn power_loss_undoes_unsynced_writes_and_killing_does_not() {
    with_pair(8, async |pair| {
        let writer = async |env: ProcessEnv| {
            let file = env.disk.create("log").unwrap();
            file.write_all_at(b"hard", 0).unwrap();
            file.sync().unwrap();
            env.disk.sync_dir().unwrap();
            file.write_all_at(b"soft", 4).unwrap();
            std::future::pending::<()>().await;
        };
        let first = pair.world.spawn(pair.beta, "writer", writer).unwrap();
        pair.world.run_for(millis(1)).await;
        pair.world.kill(first);
        assert_eq!(pair.world.disk(pair.beta).files(), [("log".to_owned(), 8)]);
        pair.world.power_off(pair.beta);
        assert_eq!(pair.world.disk(pair.beta).files(), [("log".to_owned(), 4)]);
        assert_eq!(pair.world.counters().disk_syncs, 2);
    });
}

/// Writes and syncs when dropped, as a store that closes itself does.
struct Closing(SimFile);

impl Drop for Closing {
    fn drop(&mut self) {
        let written = self.0.write_all_at(b"closed cleanly", 0);
        assert!(written.is_err(), "a dead disk takes nothing");
    }
}

#[test]
fn destructors_of_a_killed_process_do_not_reach_the_disk() {
    with_pair(9, async |pair| {
        let writer = async |env: ProcessEnv| {
            let _file = Closing(env.disk.create("store").unwrap());
            std::future::pending::<()>().await;
        };
        let process = pair.world.spawn(pair.beta, "writer", writer).unwrap();
        pair.world.run_for(millis(1)).await;
        pair.world.kill(process);
        assert_eq!(pair.world.disk(pair.beta).files(), [("store".to_owned(), 0)]);
    });
}

#[test]
fn disk_faults_are_counted_and_healed() {
    with_pair(10, async |pair| {
        let fault = pair
            .world
            .break_disk(
                pair.beta,
                DiskFault::FailSyncs {
                    count: 1,
                    file: String::new(),
                },
            )
            .unwrap();
        let journal = pair.journal.clone();
        let writer = async move |env: ProcessEnv| {
            let file = env.disk.create("a").unwrap();
            journal.note(&env, format!("first {}", file.sync().is_ok()));
            journal.note(&env, format!("second {}", file.sync().is_ok()));
        };
        pair.world.spawn(pair.beta, "writer", writer).unwrap();
        pair.world.run_for(millis(1)).await;
        pair.journal.time_of("first false");
        pair.journal.time_of("second true");
        assert!(fault.took_effect());
        pair.world.heal(&fault);
        assert_eq!(pair.world.counters().disk_faults, 1);
    });
}
