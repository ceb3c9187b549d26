//! Silence, refusal, slow links, names.

use super::*;

#[test]
fn an_echo_takes_two_latencies() {
    with_pair(1, async |pair| {
        spawn_client(&pair, pair.alpha, &[1]);
        pair.world.run_until(secs(2)).await;
        let took = pair.journal.time_of("answer: ping 0").since(secs(1));
        assert!(took >= millis(2), "{took:?}");
        assert!(took <= millis(22), "{took:?}");
        let counters = pair.world.counters();
        assert_eq!(counters.connects_succeeded, 1);
        assert_eq!(counters.payload_bytes_delivered, 12);
        assert_eq!(counters.packets_dropped, 0);
        assert_eq!(counters.packets_sent, counters.packets_delivered);
    });
}

#[test]
fn a_short_drop_makes_data_late_and_leaves_the_stream_intact() {
    with_pair(2, async |pair| {
        spawn_client(&pair, pair.alpha, &[1, 20, 21]);
        pair.world.run_until(secs(19)).await;
        let cut = pair.world.cut(pair.alpha, pair.beta);
        assert!(!cut.took_effect());
        pair.world.run_until(secs(28)).await;
        assert!(!pair.journal.has("server: ping 1"));
        assert!(cut.took_effect());
        pair.world.remove_rule(&cut);
        pair.world.run_until(secs(60)).await;
        let at = pair.journal.time_of("answer: ping 1");
        assert!(at >= secs(28));
        assert!(at <= secs(28) + RETRY_MOST + millis(22), "{at}");
        pair.journal.time_of("answer: ping 2");
        assert!(pair.world.counters().packets_retried > 0);
    });
}

#[test]
fn a_drop_longer_than_tcp_tries_resets_the_sender() {
    with_pair(3, async |pair| {
        spawn_client(&pair, pair.alpha, &[1, 20]);
        pair.world.run_until(secs(19)).await;
        pair.world.cut(pair.alpha, pair.beta);
        pair.world.run_until(secs(120)).await;
        let at = pair.journal.time_of("read: ConnectionReset");
        assert!(at >= secs(20) + GIVE_UP, "{at}");
        assert!(at <= secs(20) + GIVE_UP + RETRY_MOST + millis(22), "{at}");
        assert!(!pair.journal.has("server: ConnectionReset"));
        assert_eq!(pair.world.counters().connections_given_up, 1);
    });
}

#[test]
fn when_only_acknowledgements_are_dropped_the_sender_of_the_data_is_reset() {
    with_pair(3, async |pair| {
        spawn_client(&pair, pair.alpha, &[1, 20]);
        pair.world.run_until(secs(19)).await;
        let one_way = Rule {
            direction: Direction::Out,
            port: None,
            peer: None,
            action: Action::Drop,
        };
        pair.world.add_rule(pair.beta, one_way);
        pair.world.run_until(secs(120)).await;
        pair.journal.time_of("server: ping 1");
        let at = pair.journal.time_of("read: ConnectionReset");
        assert!(at >= secs(20) + GIVE_UP, "{at}");
    });
}

#[test]
fn a_dropped_connect_hangs_until_its_own_deadline() {
    with_pair(4, async |pair| {
        let rule = pair.world.add_rule(pair.beta, rule(Direction::In, Action::Drop));
        pair.world.run_until(secs(5)).await;
        spawn_client(&pair, pair.alpha, &[]);
        pair.world.run_until(secs(60)).await;
        assert_eq!(
            pair.journal.time_of("connect: TimedOut"),
            secs(5) + CONNECT_DEADLINE
        );
        assert_eq!(pair.world.counters().connects_timed_out, 1);
        let tries = rule.hits();
        assert!(tries >= 5);
        pair.world.remove_rule(&rule);
        pair.world.run_until(secs(120)).await;
        assert_eq!(
            rule.hits(),
            tries,
            "nobody tries on behalf of a connector that has gone"
        );
    });
}

#[test]
fn a_connect_gets_through_when_the_port_opens_in_time() {
    with_pair(4, async |pair| {
        let rule = pair.world.add_rule(pair.beta, rule(Direction::In, Action::Drop));
        spawn_client(&pair, pair.alpha, &[30]);
        pair.world.run_until(secs(15)).await;
        pair.world.remove_rule(&rule);
        pair.world.run_until(secs(60)).await;
        assert!(pair.journal.time_of("connected") <= secs(15) + RETRY_MOST + millis(40));
        pair.journal.time_of("answer: ping 0");
    });
}

#[test]
fn a_rejected_connect_is_refused_at_once() {
    with_pair(5, async |pair| {
        pair.world
            .add_rule(pair.beta, rule(Direction::In, Action::Reject));
        pair.world.run_until(secs(5)).await;
        spawn_client(&pair, pair.alpha, &[]);
        pair.world.run_until(secs(6)).await;
        assert!(pair.journal.time_of("connect: Refused") <= secs(5) + millis(22));
        assert_eq!(pair.world.counters().packets_rejected, 1);
    });
}

#[test]
fn a_port_nobody_listens_on_refuses() {
    with_pair(5, async |pair| {
        pair.world.kill(pair.server);
        spawn_client(&pair, pair.alpha, &[]);
        pair.world.run_until(secs(1)).await;
        assert!(pair.journal.time_of("connect: Refused") <= Timestamp::from_millis(30));
    });
}

#[test]
fn rejecting_resets_an_established_stream_at_its_next_packet() {
    with_pair(6, async |pair| {
        spawn_client(&pair, pair.alpha, &[1, 20]);
        pair.world.run_until(secs(10)).await;
        let rule = pair
            .world
            .add_rule(pair.beta, rule(Direction::Both, Action::Reject));
        pair.world.run_until(secs(19)).await;
        assert!(!rule.took_effect());
        pair.world.run_until(secs(21)).await;
        assert!(pair.journal.time_of("read: ConnectionReset") <= secs(20) + millis(22));
    });
}

#[test]
fn a_rule_for_one_peer_leaves_the_others_alone() {
    with_pair(7, async |pair| {
        let rule = Rule {
            peer: Some(pair.beta),
            ..rule(Direction::In, Action::Drop)
        };
        pair.world.add_rule(pair.beta, rule);
        spawn_client(&pair, pair.alpha, &[1]);
        pair.world.run_until(secs(2)).await;
        pair.journal.time_of("answer: ping 0");
    });
}

#[test]
fn a_slow_link_is_slow_until_healed() {
    with_pair(8, async |pair| {
        spawn_client(&pair, pair.alpha, &[1, 10, 20]);
        pair.world.run_until(secs(5)).await;
        let slow = pair
            .world
            .slow_link(pair.alpha, pair.beta, (millis(400), millis(500)));
        pair.world.run_until(secs(15)).await;
        assert!(slow.took_effect());
        let took = pair.journal.time_of("answer: ping 1").since(secs(10));
        assert!(took >= millis(800), "{took:?}");
        pair.world.heal(&slow);
        pair.world.run_until(secs(25)).await;
        assert!(pair.journal.time_of("answer: ping 2").since(secs(20)) <= millis(22));
    });
}

#[test]
fn names_resolve_in_any_case_until_removed() {
    with_pair(9, async |pair| {
        let journal = pair.journal.clone();
        let world = pair.world.clone();
        let removed = world.remove_name("beta.adventure-works.com").unwrap();
        let client = async move |env: ProcessEnv| {
            for host in ["Beta", "BETA.ADVENTURE-WORKS.COM", "10.0.0.2", "gamma"] {
                let result = env.net.connect(&ServerAddress::new(host, PORT)).await;
                journal.note(&env, format!("{host}: {:?}", result.map(drop)));
            }
        };
        world.spawn(pair.alpha, "client", client).unwrap();
        world.run_until(secs(1)).await;
        let journal = &pair.journal;
        journal.time_of("Beta: Ok(())");
        journal.time_of("BETA.ADVENTURE-WORKS.COM: Err(NameNotFound)");
        journal.time_of("10.0.0.2: Ok(())");
        journal.time_of("gamma: Err(NameNotFound)");
        assert!(removed.took_effect());
        assert_eq!(world.counters().names_not_found, 2);
        world.heal(&removed);
        assert_eq!(world.find_system("beta.Adventure-Works.com"), Some(pair.beta));
        assert!(matches!(
            world.remove_name("gamma"),
            Err(WorldError::NoSuchName(_))
        ));
    });
}

#[test]
fn an_address_nobody_has_is_silent() {
    with_pair(10, async |pair| {
        let journal = pair.journal.clone();
        let client = async move |env: ProcessEnv| {
            let result = env.net.connect(&ServerAddress::new("10.0.0.77", PORT)).await;
            journal.note(&env, format!("{:?}", result.map(drop)));
            let result = env.net.connect(&ServerAddress::new("fe80::1", PORT)).await;
            journal.note(&env, format!("{:?}", result.map(drop)));
        };
        pair.world.spawn(pair.alpha, "client", client).unwrap();
        pair.world.run_until(secs(60)).await;
        assert_eq!(
            pair.journal.time_of("Err(TimedOut)"),
            Timestamp::ZERO + CONNECT_DEADLINE
        );
        pair.journal.time_of("Err(Unreachable)");
    });
}

#[test]
fn flows_never_reorder_and_large_transfers_complete() {
    with_pair(11, async |pair| {
        let (journal, log) = (pair.journal.clone(), pair.journal.clone());
        let sink = async move |env: ProcessEnv| {
            let listener = env.net.listen(None, 9000).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let (mut read, _write) = stream.into_split();
            let (mut expected, mut buf) = (0u64, vec![0; 100_000]);
            loop {
                let n = read.read(&mut buf).await.unwrap();
                if n == 0 {
                    return journal.note(&env, format!("received {expected}"));
                }
                for byte in &buf[..n] {
                    assert_eq!(u64::from(*byte), expected % 251);
                    expected += 1;
                }
            }
        };
        let source = async move |env: ProcessEnv| {
            let stream = env.net.connect(&ServerAddress::new("beta", 9000)).await.unwrap();
            let (_read, mut write) = stream.into_split();
            let bytes: Vec<u8> = (0..1_000_000u64)
                .map(|n| u8::try_from(n % 251).unwrap())
                .collect();
            for chunk in bytes.chunks(7_777) {
                write.write_all(chunk).await.unwrap();
            }
            write.shutdown().await.unwrap();
            log.note(&env, "sent");
            env.clock.sleep_until(secs(100)).await;
        };
        pair.world.spawn(pair.beta, "sink", sink).unwrap();
        pair.world.spawn(pair.alpha, "source", source).unwrap();
        pair.world.run_until(secs(1)).await;
        let cut = pair.world.cut(pair.alpha, pair.beta);
        pair.world.run_until(secs(4)).await;
        pair.world.remove_rule(&cut);
        pair.world.run_until(secs(99)).await;
        pair.journal.time_of("received 1000000");
    });
}

#[test]
fn the_tap_sees_every_packet_and_its_fate() {
    with_pair(12, async |pair| {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let log = seen.clone();
        pair.world.tap(Box::new(move |tapped| {
            log.borrow_mut().push((tapped.fate, tapped.from))
        }));
        spawn_client(&pair, pair.alpha, &[1]);
        pair.world.run_until(secs(2)).await;
        let cut = pair.world.cut(pair.alpha, pair.beta);
        spawn_client(&pair, pair.alpha, &[]);
        pair.world.run_until(secs(3)).await;
        let seen = seen.borrow();
        let counters = pair.world.counters();
        let count = |fate| seen.iter().filter(|(other, _)| *other == fate).count() as u64;
        assert_eq!(count(Fate::Sent), counters.packets_sent);
        assert_eq!(count(Fate::Delivered), counters.packets_delivered);
        assert_eq!(count(Fate::Dropped), cut.hits());
        assert!(cut.hits() > 0);
        assert_eq!(seen[0], (Fate::Sent, Some(pair.alpha)));
    });
}

#[test]
fn a_name_can_be_pointed_at_another_system() {
    with_pair(13, async |pair| {
        pair.world.set_name("Beta", pair.alpha);
        spawn_client(&pair, pair.alpha, &[]);
        pair.world.run_until(secs(1)).await;
        pair.journal.time_of("connect: Refused");
        assert_eq!(pair.world.find_system("beta"), Some(pair.alpha));
    });
}

#[test]
fn a_system_may_forbid_its_own_connects() {
    with_pair(14, async |pair| {
        let outward = pair
            .world
            .add_rule(pair.alpha, rule(Direction::Out, Action::Reject));
        let inward = pair.world.add_rule(pair.alpha, rule(Direction::In, Action::Drop));
        spawn_client(&pair, pair.alpha, &[]);
        pair.world.run_until(secs(1)).await;
        pair.journal.time_of("connect: Refused");
        assert!(outward.took_effect());
        assert!(!inward.took_effect(), "the port is not local to alpha");
    });
}
