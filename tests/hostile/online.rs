//! An attacker with a stolen certificate, logged in: his words reach no session, and end his connection alone.

use std::time::Duration;

use mirrorlab::endpoint::config::{Algorithms, Encryption};
use mirrorlab::endpoint::connection::Connection;
use mirrorlab::types::{DatabaseName, Guid, Now, PartnerRole, Safety, Value};
use mirrorlab::wire::frame::{FrameHeader, FrameType, put_frame};
use mirrorlab::wire::mirroring::{Body, Message, WitnessAttach};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::foe::Plan;
use crate::rig::{Rig, stolen, with_pair, with_trio};
use crate::samples;

/// Says `message` as a proper peer would, and waits for what comes of it.
fn says(message: Vec<u8>) -> Plan {
    Plan::online(move |connection: &mut Connection, now: Now| {
        connection.send(now, &message);
        Vec::new()
    })
}

async fn assert_ends(rig: &Rig, plan: Plan, what: &str, numbers: &[&str]) {
    let since = rig.world.now();
    let report = rig.attack(rig.insider(), plan).await;
    assert!(report.was_online, "{what}: {report:?}");
    assert_ne!(report.end, "open", "{what}: {report:?}");
    let lines = rig.log("beta", since);
    let named = |line: &&String| numbers.iter().any(|n| line.contains(n));
    assert!(lines.iter().any(|line| named(&line)), "{what}: {lines:?}");
    rig.assert_served().await;
}

#[test]
fn what_breaks_the_seal_or_the_frame_ends_the_connection() {
    with_trio(async |rig| {
        type Bend = fn(&mut Vec<u8>);
        let cases: [(&str, Bend, &str); 5] = [
            (
                "a flipped bit",
                |b| *b.last_mut().expect("a tag") ^= 1,
                "Error: 28061",
            ),
            ("a record twice", |b| b.extend_from_within(..), "Error: 28061"),
            ("a wrong check value", |b| b[17] ^= 1, "Error: 28040"),
            ("a length of 4 GiB", |b| b[..4].fill(0xff), "Error: 28040"),
            (
                "a frame in clear",
                |b| {
                    let header = b.first_chunk().expect("a header");
                    let sequence = FrameHeader::parse(header).0.sequence;
                    b.clear();
                    put_frame(b, FrameType::SESSION, sequence, b"in clear");
                },
                "Error: 28044",
            ),
        ];
        for (what, bend, number) in cases {
            // The first ping after the login.
            let plan = Plan::until(6, move |honest| {
                let mut bytes = honest.to_vec();
                bend(&mut bytes);
                bytes
            });
            assert_ends(rig, plan, what, &[number]).await;
        }
    });
}

#[test]
fn silence_after_the_login_ends_at_the_partner_timeout() {
    with_trio(async |rig| {
        rig.misleads("no-early-timeout");
        let report = rig.attack(rig.insider(), Plan::until(6, |_| Vec::new())).await;
        assert!(report.was_online && report.end != "open", "{report:?}");
        let bound = Duration::from_secs(9)..Duration::from_secs(13);
        assert!(bound.contains(&report.since_deed), "{report:?}");
    });
}

#[test]
fn messages_before_the_link_is_whole_are_bounded_in_number_and_in_bytes() {
    with_trio(async |rig| {
        let session = rig.session().await;
        for (count, bytes) in [(257, 100), (17, 1 << 20)] {
            // Random, so that it does not shrink on the way.
            let mut frame = vec![0; bytes];
            ChaCha8Rng::from_seed([1; 32]).fill_bytes(&mut frame);
            let message = Message {
                session,
                role_sequence: 1,
                link: 1,
                body: Body::Block { frame },
            };
            let message = message.encode().expect("it fits");
            let plan = |count| {
                let message = message.clone();
                Plan::online(move |connection, now| {
                    for _ in 0..count {
                        connection.send(now, &message);
                    }
                    Vec::new()
                })
            };
            let what = format!("{count} messages of {bytes} bytes");
            let few = rig.attack(rig.insider(), plan(count / 2)).await;
            assert_eq!(few.end, "open", "{what}: half of it is kept");
            assert_ends(rig, plan(count), &what, &["does not belong here: early"]).await;
        }
    });
}

/// What is no message, and what of a genuine one has only the head, of a session that there is and of one there is not.
fn garbled(session: Guid) -> Vec<Vec<u8>> {
    let mut messages: Vec<Vec<u8>> = vec![Vec::new(), b"garbage".to_vec(), vec![0xff; 4096]];
    for session in [session, Guid::from_bytes([0xEE; 16])] {
        for kind in 0..64u8 {
            let mut bytes = encoded(session, 1, Body::Removed);
            let at = bytes.len() - 1;
            bytes[at] = kind;
            messages.push(bytes);
        }
    }
    messages
}

fn encoded(session: Guid, role_sequence: u32, body: Body) -> Vec<u8> {
    let message = Message {
        session,
        role_sequence,
        link: 1,
        body,
    };
    message.encode().expect("it fits")
}

#[test]
fn whatever_is_said_to_sessions_of_others_changes_nothing() {
    with_trio(async |rig| {
        rig.let_in("gamma", &stolen().der).await;
        let session = rig.session().await;
        let before = rig.session_at_all().await;
        let mut said: Vec<(&str, Vec<u8>)> = garbled(session).into_iter().map(|m| ("beta", m)).collect();
        for on in ["beta", "gamma"] {
            for (_, body) in samples::bodies() {
                said.push((on, encoded(session, 9, body)));
            }
        }
        for (n, (on, message)) in said.into_iter().enumerate() {
            drop(rig.begin(rig.insider_at(on), says(message)));
            if n % 16 == 0 {
                rig.pass(Duration::from_millis(50)).await;
                rig.assert_served().await;
            }
        }
        // The same under the session's own sequence, one after the other.
        for on in ["beta", "gamma"] {
            let all = samples::bodies().into_iter();
            let all: Vec<_> = all.map(|(_, body)| encoded(session, 1, body)).collect();
            let plan = Plan::online(move |connection: &mut Connection, now: Now| {
                all.iter().for_each(|message| connection.send(now, message));
                Vec::new()
            });
            drop(rig.begin(rig.insider_at(on), plan));
        }
        rig.pass(Duration::from_secs(2)).await;
        assert_eq!(rig.session_at_all().await, before);
    });
}

#[test]
fn a_peer_with_another_login_cannot_take_a_partners_name() {
    with_trio(async |rig| {
        let alpha = rig
            .must(
                "beta",
                "SELECT DISTINCT peer_arbitration_id FROM sys.dm_db_mirroring_connections WHERE principal_name = 'alpha_login'",
            )
            .await;
        let mut foe = rig.insider();
        foe.local.arbitration_id = Guid::parse(&alpha[0][0].to_string()).expect("a guid");
        let since = rig.world.now();
        let report = rig.attack(foe, Plan::honest()).await;
        assert!(!report.was_online, "{report:?}");
        rig.assert_named(since, &report, 28032);
        let refused = "SELECT EventClass, subclass_name, SessionLoginName FROM sys.fn_trace_gettable(DEFAULT, DEFAULT) \
                       WHERE Error = 28032 AND EventClass BETWEEN 151 AND 154 ORDER BY EventSequence";
        let text = |text: &str| Value::Text(text.into());
        assert_eq!(
            rig.must("beta", refused).await,
            [
                [Value::Int(154), text("Authorization Failure"), text("stolen")],
                [Value::Int(151), text("Closing"), Value::Null],
                [Value::Int(151), text("Closed"), Value::Null],
            ]
        );
        assert_eq!(
            rig.log("alpha", since),
            Vec::<String>::new(),
            "alpha has noticed nothing"
        );
        rig.assert_served().await;
    });
}

#[test]
fn a_peer_with_another_login_cannot_take_the_name_of_an_absent_partner() {
    with_pair("pair", async |rig| {
        let alpha = rig
            .must(
                "beta",
                "SELECT DISTINCT peer_arbitration_id FROM sys.dm_db_mirroring_connections WHERE principal_name = 'alpha_login'",
            )
            .await;
        let alpha = Guid::parse(&alpha[0][0].to_string()).expect("a guid");
        rig.must("alpha", "ALTER ENDPOINT Mirroring STATE = STOPPED;")
            .await;
        rig.pass(Duration::from_secs(1)).await;
        let connected =
            "SELECT COUNT(*) FROM sys.dm_db_mirroring_connections WHERE principal_name = 'alpha_login'";
        assert_eq!(rig.number("beta", connected).await, 0, "alpha is away");

        let since = rig.world.now();
        let mut foe = rig.insider();
        foe.local.arbitration_id = alpha;
        let report = rig.attack(foe, Plan::honest()).await;
        assert!(!report.was_online, "{:?}", rig.log("beta", since));
        rig.assert_named(since, &report, 28032);
        let known = |line: &String| line.starts_with("28048 ") && line.contains("'stolen'");
        assert!(rig.log("beta", since).iter().any(known));

        rig.must("alpha", "ALTER ENDPOINT Mirroring STATE = STARTED;")
            .await;
        rig.pass(Duration::from_secs(15)).await;
    });
}

#[test]
fn what_a_peer_can_leave_with_a_witness_is_bounded() {
    with_trio(async |rig| {
        const SHARE: i64 = 512;
        let invite = |n: u16| {
            let [high, low] = n.to_be_bytes();
            let mut session = [0xA5; 16];
            (session[0], session[1]) = (high, low);
            let attach = WitnessAttach {
                invite: true,
                database: DatabaseName::new(format!("Bait{n}")),
                family: Guid::from_bytes([3; 16]),
                name: "FOE".into(),
                partner_name: "FIEND".into(),
                role: PartnerRole::Principal,
                safety: Safety::Full,
                safety_sequence: 1,
                timeout_seconds: 10,
                suspended: false,
                suspend_sequence: 0,
                synchronized: false,
            };
            let message = Message {
                session: Guid::from_bytes(session),
                role_sequence: 1,
                link: 1,
                body: Body::WitnessAttach(Box::new(attach)),
            };
            message.encode().expect("it fits")
        };
        let since = rig.world.now();
        let inviter = || {
            let mut foe = rig.insider();
            // Only an instance of the same version is a witness.
            foe.local.version = 2016;
            foe
        };
        drop(rig.begin(
            inviter(),
            Plan::online(move |connection: &mut Connection, now: Now| {
                for n in 0..600 {
                    connection.send(now, &invite(n));
                }
                Vec::new()
            }),
        ));
        rig.pass(Duration::from_secs(10)).await;
        let count = "SELECT COUNT(*) FROM sys.database_mirroring_witnesses";
        let lines = rig.log("beta", since);
        assert_eq!(rig.number("beta", count).await, SHARE, "{lines:?}");
        let named = |line: &&String| line.contains("'stolen'") && line.contains("the bound is reached");
        assert_eq!(
            lines.iter().filter(named).count(),
            600 - 512,
            "each one that was refused"
        );

        // Another identity is no other login.
        drop(rig.begin(inviter(), says(invite(1000))));
        rig.pass(Duration::from_secs(2)).await;
        assert_eq!(rig.number("beta", count).await, SHARE);
    });
}

#[test]
fn in_clear_and_under_rc4_garbage_ends_the_connection_too() {
    for (pair, encryption) in [
        ("pair_clear", Encryption::Disabled),
        ("pair_rc4", Encryption::Required(Algorithms::Rc4)),
    ] {
        with_pair(pair, async move |rig| {
            for (what, at) in [
                ("the first byte of a header", 0),
                ("its kind", 4),
                ("its number", 13),
            ] {
                let since = rig.world.now();
                let mut foe = rig.insider();
                foe.local.config.encryption = encryption;
                let plan = Plan::until(6, move |honest| {
                    let mut bytes = honest.to_vec();
                    bytes[at] ^= 0x40;
                    bytes
                });
                let report = rig.attack(foe, plan).await;
                assert!(report.was_online, "{pair}, {what}: {report:?}");
                report.assert_ended(what);
                rig.assert_named(since, &report, 28040);
            }
            rig.assert_served().await;
        });
    }
}
