//! Ports, shared systems, pausing, clocks, panics.

use super::*;
use crate::driver::disk::Disk;
use crate::driver::entropy::Entropy;

#[test]
fn a_second_bind_finds_the_address_in_use() {
    with_pair(1, async |pair| {
        spawn_client(&pair, pair.alpha, &[1]);
        pair.world.run_until(secs(2)).await;
        spawn_echo(&pair.world, pair.beta, &pair.journal);
        pair.world.run_until(secs(3)).await;
        pair.journal.time_of("listen: AddressInUse");
        let journal = pair.journal.clone();
        let other = async move |env: ProcessEnv| {
            let foreign = env.net.listen(Some("10.0.0.1".parse().unwrap()), 1).await;
            journal.note(&env, format!("{:?}", foreign.err()));
            assert!(env.net.listen(Some("10.0.0.2".parse().unwrap()), 1).await.is_ok());
        };
        pair.world.spawn(pair.beta, "other", other).unwrap();
        pair.world.run_until(secs(4)).await;
        let expected = Some(ListenError::AddressNotLocal);
        pair.journal.time_of(&format!("{expected:?}"));
    });
}

#[test]
fn two_processes_on_one_system_share_address_firewall_clock_and_disk() {
    with_pair(2, async |pair| {
        let second = async |env: ProcessEnv| {
            env.disk.create("shared").unwrap();
            let listener = env.net.listen(None, 7023).await.unwrap();
            loop {
                listener.accept().await.unwrap();
            }
        };
        pair.world.spawn(pair.beta, "second", second).unwrap();
        pair.world.set_clock(
            pair.beta,
            ClockSetting {
                offset_millis: 5_000,
                drift_ppm: 0,
            },
        );
        let journal = pair.journal.clone();
        let third = async move |env: ProcessEnv| {
            env.clock.sleep_until(secs(1)).await;
            assert!(env.disk.open("shared").is_ok());
            let wall = env.clock.now().wall.unix_millis();
            journal.note(
                &env,
                format!("{}", wall - WorldConfig::new(0).epoch.unix_millis()),
            );
            for port in [PORT, 7023] {
                let result = env.net.connect(&ServerAddress::new("beta", port)).await;
                assert!(
                    result.is_ok(),
                    "from within the system, and no firewall in between"
                );
            }
        };
        let peerless = Rule {
            direction: Direction::In,
            port: None,
            peer: None,
            action: Action::Reject,
        };
        let rule = pair.world.add_rule(pair.beta, peerless);
        pair.world.spawn(pair.beta, "third", third).unwrap();
        let journal = pair.journal.clone();
        let outsider = async move |env: ProcessEnv| {
            for port in [PORT, 7023] {
                let result = env.net.connect(&ServerAddress::new("beta", port)).await;
                journal.note(&env, format!("{port} {:?}", result.map(drop)));
            }
        };
        pair.world.spawn(pair.alpha, "outsider", outsider).unwrap();
        pair.world.run_until(secs(2)).await;
        pair.journal.time_of("6000");
        pair.journal.time_of("7022 Err(Refused)");
        pair.journal.time_of("7023 Err(Refused)");
        assert_eq!(rule.hits(), 2);
    });
}

#[test]
fn a_resumed_process_finds_its_timers_overdue() {
    with_pair(3, async |pair| {
        let journal = pair.journal.clone();
        let ticker = async move |env: ProcessEnv| {
            for second in 1..=4 {
                env.clock.sleep_until(secs(second)).await;
                journal.note(&env, format!("tick {second}"));
            }
        };
        let ticker = pair.world.spawn(pair.alpha, "ticker", ticker).unwrap();
        pair.world.run_until(Timestamp::from_millis(1_500)).await;
        assert!(pair.world.pause(ticker));
        assert!(!pair.world.pause(ticker));
        pair.world.run_until(Timestamp::from_millis(3_500)).await;
        assert!(pair.world.resume(ticker));
        assert!(!pair.world.resume(ticker));
        pair.world.run_until(secs(10)).await;
        assert_eq!(pair.journal.time_of("tick 1"), secs(1));
        assert_eq!(pair.journal.time_of("tick 2"), Timestamp::from_millis(3_500));
        assert_eq!(pair.journal.time_of("tick 3"), Timestamp::from_millis(3_500));
        assert_eq!(pair.journal.time_of("tick 4"), secs(4));
        assert!(!pair.world.is_alive(ticker));
    });
}

#[test]
fn a_paused_server_is_connected_to_but_does_not_answer() {
    with_pair(4, async |pair| {
        pair.world.run_until(secs(1)).await;
        pair.world.pause(pair.server);
        spawn_client(&pair, pair.alpha, &[2]);
        pair.world.run_until(secs(300)).await;
        pair.journal.time_of("connected");
        assert!(!pair.journal.has("answer: ping 0"));
        pair.world.resume(pair.server);
        pair.world.run_until(secs(301)).await;
        pair.journal.time_of("answer: ping 0");
    });
}

#[test]
fn wall_clocks_have_offset_and_drift() {
    with_pair(5, async |pair| {
        let epoch = WorldConfig::new(0).epoch;
        let clock = pair.world.clock(pair.beta);
        pair.world.run_until(secs(10)).await;
        assert_eq!(clock.now().wall, epoch + Duration::from_secs(10));
        let set = pair.world.set_clock(
            pair.beta,
            ClockSetting {
                offset_millis: -60_000,
                drift_ppm: 1_000,
            },
        );
        assert!(!set.took_effect());
        pair.world.run_until(secs(1_010)).await;
        let expected = WallTime::from_unix_millis(epoch.unix_millis() + 1_010_000 - 60_000 + 1_000);
        assert_eq!(clock.now().wall, expected);
        assert_eq!(clock.now().at, secs(1_010));
        assert!(set.took_effect());
        assert_eq!(
            pair.world.clock(pair.alpha).now().wall,
            epoch + Duration::from_secs(1_010)
        );
        pair.world.heal(&set);
        assert_eq!(clock.now().wall, epoch + Duration::from_secs(1_010));
    });
}

#[test]
fn a_panic_in_any_task_fails_the_run() {
    let spawned = World::run(WorldConfig::new(1), async |world| {
        let system = world.add_system(SystemConfig::new("alpha")).unwrap();
        let careless = async |env: ProcessEnv| {
            let clock = env.clock.clone();
            env.spawn_local(async move {
                clock.sleep_until(secs(3)).await;
                panic!("deliberate");
            });
            std::future::pending::<()>().await;
        };
        world.spawn(system, "careless", careless).unwrap();
        world.run_until(secs(10)).await;
    });
    let Err(WorldError::Panicked { process, at, message }) = spawned else {
        panic!("{spawned:?}")
    };
    assert_eq!((process.as_str(), at), ("careless", secs(3)));
    assert!(message.contains("deliberate"));

    let of_root = World::run(WorldConfig::new(1), async |world| {
        tokio::task::spawn_local(async { panic!("deliberate") });
        world.run_until(secs(10)).await;
    });
    assert!(matches!(of_root, Err(WorldError::Panicked { .. })));
}

#[test]
fn a_process_may_kill_itself() {
    with_pair(6, async |pair| {
        let own: Rc<Cell<Option<ProcessId>>> = Rc::default();
        let (world, id) = (pair.world.clone(), own.clone());
        let suicidal = async move |env: ProcessEnv| {
            let _listener = env.net.listen(None, 9000).await.unwrap();
            world.kill(id.get().expect("set below"));
            env.clock.sleep_until(secs(5)).await;
            unreachable!("it is dead");
        };
        let process = pair.world.spawn(pair.alpha, "suicidal", suicidal).unwrap();
        own.set(Some(process));
        pair.world.run_until(secs(10)).await;
        assert!(!pair.world.is_alive(process));
    });
}

#[test]
fn systems_are_checked_when_added() {
    World::run(WorldConfig::new(1), async |world| {
        world.add_system(SystemConfig::new("alpha")).unwrap();
        let again = world.add_system(SystemConfig::new("ALPHA"));
        assert_eq!(again, Err(WorldError::SystemExists("ALPHA".into())));
        let nested = World::run(WorldConfig::new(1), async |_| {});
        assert_eq!(nested, Err(WorldError::Nested));
        let alpha = world.find_system("Alpha").unwrap();
        world.spawn(alpha, "p", async |_| {}).unwrap();
        assert_eq!(
            world.add_system(SystemConfig::new("late")),
            Err(WorldError::Started("late".into()))
        );
    })
    .unwrap();
}

#[test]
fn entropy_differs_by_start_and_repeats_by_seed() {
    let seeds = |seed| {
        World::run(WorldConfig::new(seed), async |world| {
            let system = world.add_system(SystemConfig::new("alpha")).unwrap();
            let seeds: Rc<RefCell<Vec<[u8; 32]>>> = Rc::default();
            for _ in 0..2 {
                let log = seeds.clone();
                let draw = async move |mut env: ProcessEnv| {
                    let drawn = [env.entropy.seed(), env.entropy.seed()];
                    log.borrow_mut().extend(drawn);
                };
                world.spawn(system, "instance", draw).unwrap();
            }
            world.run_for(millis(1)).await;
            seeds.take()
        })
        .unwrap()
    };
    let mut drawn = seeds(1);
    assert_eq!(drawn, seeds(1));
    assert_ne!(drawn, seeds(2));
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), 4);
}

#[test]
fn sockets_outlive_their_process_and_even_their_world() {
    let kept: Rc<RefCell<Option<SimListener>>> = Rc::default();
    let slot = kept.clone();
    with_pair(7, async move |pair| {
        let keeper = async move |env: ProcessEnv| {
            *slot.borrow_mut() = Some(env.net.listen(None, 9000).await.unwrap());
        };
        pair.world.spawn(pair.alpha, "keeper", keeper).unwrap();
        pair.world.run_for(millis(1)).await;
    });
    assert!(kept.take().is_some());
}
