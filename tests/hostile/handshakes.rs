//! Offers weakened on the way, tokens sent back to whom they came from, old logins played again.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use mirrorlab::driver::net::{Net, NetListener, NetRead, NetStream, NetWrite};
use mirrorlab::endpoint::config::{Algorithms, Encryption, WindowsMethod};
use mirrorlab::types::ServerAddress;
use mirrorlab::wire::frame::{
    FrameDecoder, FrameType, HEADER_BYTES, LOGIN_PAYLOAD_BYTES_MAX, PREAMBLE_BYTES, Protocol, put_frame,
};
use mirrorlab::wire::login::{LevelCode, LoginMessage};

use crate::foe::{Deed, Foe, Plan};
use crate::rig::{ENDPOINT, Rig, with_trio, with_windows};

#[test]
fn the_honest_login_that_these_attacks_are_bent_from_succeeds() {
    with_trio(async |rig| {
        let report = rig
            .attack(
                rig.insider(),
                Plan::online(|_, _| b"enough of it, the connection may end".to_vec()),
            )
            .await;
        assert!(report.was_online, "{report:?}");
    });
    for (name, method) in [
        ("NTLM", WindowsMethod::Ntlm),
        ("KERBEROS", WindowsMethod::Kerberos),
    ] {
        with_windows(name, async |rig| {
            let report = rig
                .attack(
                    rig.windows(method),
                    Plan::online(|_, _| b"enough of it, it may end".to_vec()),
                )
                .await;
            assert!(report.was_online, "{report:?}");
        });
    }
}

#[test]
fn a_certificate_nobody_knows_gets_nowhere_and_its_owner_learns_nothing() {
    with_trio(async |rig| {
        let since = rig.world.now();
        let report = rig.attack(rig.outsider(), Plan::honest()).await;
        assert!(!report.was_online, "{report:?}");
        report.assert_ended("an outsider");
        assert_eq!(
            report.kinds(),
            [2, 3],
            "the offer, the endpoint's own token, and the end"
        );
        rig.assert_named(since, &report, 28035);
    });
}

/// The offer with another level and other algorithms.
fn weakened(offer: &[u8], level: LevelCode, algorithms: &[u8]) -> Vec<u8> {
    let payload = &offer[PREAMBLE_BYTES + HEADER_BYTES..];
    let message = LoginMessage::decode(FrameType::NEGOTIATE_OFFER, payload);
    let Ok(LoginMessage::Offer(mut offer)) = message else {
        panic!("an offer: {message:?}");
    };
    offer.level = level;
    offer.algorithms = algorithms
        .iter()
        .map(|a| mirrorlab::wire::login::AlgorithmCode(*a))
        .collect();
    let message = LoginMessage::Offer(offer);
    let mut bytes = Protocol::Mirroring.preamble().to_vec();
    put_frame(&mut bytes, message.kind(), 0, &message.payload());
    bytes
}

async fn weaken(rig: &Rig, make: impl Fn() -> Foe) {
    // Where both would accept what the attacker pretends, the proof sees that they did not see the same handshake.
    let cases: [(&str, LevelCode, &[u8], u32); 4] = [
        ("REQUIRED ALGORITHM AES", LevelCode::DISABLED, &[], 28027),
        ("REQUIRED ALGORITHM AES", LevelCode::REQUIRED, &[1], 28027),
        ("SUPPORTED ALGORITHM AES RC4", LevelCode::DISABLED, &[], 28038),
        ("SUPPORTED ALGORITHM AES RC4", LevelCode::SUPPORTED, &[1], 28038),
    ];
    for (own, level, algorithms, number) in cases {
        let sql = format!("ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (ENCRYPTION = {own});");
        rig.must("beta", &sql).await;
        rig.pass(Duration::from_secs(8)).await;
        let since = rig.world.now();
        let mut victim = make();
        // So that the victim takes the bait: it would accept what the attacker pretends it had offered.
        victim.local.config.encryption = Encryption::Supported(Algorithms::AesRc4);
        let plan = Plan {
            deed: Box::new(move |number, bytes| match number {
                0 => Deed::Changed(weakened(bytes, level, algorithms)),
                _ => Deed::Honest,
            }),
            online: None,
        };
        let report = rig.attack(victim, plan).await;
        assert!(!report.was_online, "{own}: {report:?}");
        assert_ne!(report.end, "open", "{own}: {report:?}");
        assert!(report.after < Duration::from_secs(1), "{own}: {report:?}");
        rig.assert_named(since, &report, number);
        rig.assert_served().await;
    }
}

#[test]
fn a_weakened_offer_is_noticed_whatever_was_agreed() {
    with_trio(async |rig| weaken(rig, || rig.insider()).await);
    with_windows("NTLM", async |rig| {
        weaken(rig, || rig.windows(WindowsMethod::Ntlm)).await
    });
    with_windows("KERBEROS", async |rig| {
        weaken(rig, || rig.windows(WindowsMethod::Kerberos)).await;
    });
}

/// What somebody recorded of a login, played to the same endpoint later, message by message.
async fn replay(rig: &Rig, make: impl Fn() -> Foe, number: u32) {
    let heard = rig
        .attack(
            make(),
            Plan::online(|_, _| b"enough of it, the connection may end".to_vec()),
        )
        .await;
    assert!(heard.was_online, "{heard:?}");
    let recorded = heard.said.clone();
    let since = rig.world.now();
    let plan = Plan {
        deed: Box::new(move |number, _| Deed::Changed(recorded.get(number).cloned().unwrap_or_default())),
        online: None,
    };
    let mut again = make();
    again.seed = [200; 32];
    let report = rig.attack(again, plan).await;
    assert!(!report.was_online, "{report:?}");
    assert_ne!(report.end, "open", "{report:?}");
    rig.assert_named(since, &report, number);
    rig.assert_served().await;
}

#[test]
fn a_recorded_certificate_login_opens_nothing() {
    with_trio(async |rig| replay(rig, || rig.insider(), 28038).await);
}

#[test]
fn a_recorded_ntlm_login_opens_nothing() {
    with_windows("NTLM", async |rig| {
        replay(rig, || rig.windows(WindowsMethod::Ntlm), 28031).await
    });
}

#[test]
fn a_recorded_kerberos_login_opens_nothing() {
    with_windows("KERBEROS", async |rig| {
        replay(rig, || rig.windows(WindowsMethod::Kerberos), 28031).await;
    });
}

/// In the place of each token of the attacker: the one that the endpoint sent him last.
async fn send_back(rig: &Rig, make: impl Fn() -> Foe, tokens: usize, number: u32) {
    // What the endpoint answers to the first token does not depend on who asks.
    let first = rig.attack(make(), Plan::until(2, |_| Vec::new())).await;
    let mut decoder = FrameDecoder::new(Protocol::Mirroring, LOGIN_PAYLOAD_BYTES_MAX);
    decoder.push(&first.heard);
    let payload = loop {
        let frame = decoder.next_frame().expect("an honest endpoint");
        let (header, payload) = frame.expect("a token is among them");
        if header.kind == FrameType::TOKEN {
            break payload.to_vec();
        }
    };
    for step in 1..=tokens {
        let since = rig.world.now();
        let mut bytes = Vec::new();
        put_frame(&mut bytes, FrameType::TOKEN, step as u64, &payload);
        let report = rig
            .attack(make(), Plan::until(step, move |_| bytes.clone()))
            .await;
        report.assert_refused("a token that came back");
        rig.assert_named(since, &report, number);
    }
    rig.assert_served().await;
}

#[test]
fn an_endpoints_own_tokens_are_nobodys_proof() {
    with_trio(async |rig| send_back(rig, || rig.insider(), 2, 28038).await);
    with_windows("NTLM", async |rig| {
        send_back(rig, || rig.windows(WindowsMethod::Ntlm), 2, 28079).await
    });
    with_windows("KERBEROS", async |rig| {
        send_back(rig, || rig.windows(WindowsMethod::Kerberos), 1, 28079).await;
    });
}

/// Carries bytes from one stream to the other until one of them ends.
async fn carry(mut from: impl NetRead, mut to: impl NetWrite, seen: Rc<RefCell<usize>>) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        *seen.borrow_mut() += n;
        if to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
    drop(to.shutdown().await);
}

/// Whoever calls the attacker is connected with its own endpoint.
fn hold_up_a_looking_glass(rig: &Rig, port: u16, to: &'static str) -> Rc<RefCell<usize>> {
    let seen = Rc::new(RefCell::new(0));
    let told = seen.clone();
    let system = rig.world.find_system("foe").expect("his");
    rig.world
        .spawn(system, "looking glass", move |env| async move {
            let listener = env.net.listen(None, port).await.expect("free");
            while let Ok((caller, _)) = listener.accept().await {
                let target = ServerAddress::new(to, ENDPOINT);
                let Ok(callee) = env.net.connect(&target).await else {
                    continue;
                };
                let ((a, b), (c, d)) = (caller.into_split(), callee.into_split());
                env.spawn_local(carry(a, d, told.clone()));
                env.spawn_local(carry(c, b, told.clone()));
            }
        })
        .expect("its system is up");
    seen
}

async fn reflect(rig: &Rig) {
    let seen = hold_up_a_looking_glass(rig, ENDPOINT, "alpha");
    rig.must("alpha", "CREATE DATABASE Bait;").await;
    rig.must("alpha", r"BACKUP DATABASE Bait TO DISK = 'C:\backup\Bait.bak'; BACKUP LOG Bait TO DISK = 'C:\backup\Bait.trn';")
        .await;
    let alpha = mirrorlab::types::InstanceName::new("alpha");
    let sql = "ALTER DATABASE Bait SET PARTNER = 'TCP://foe.lab.example:7022';".to_owned();
    let since = rig.world.now();
    let (replies, lost) = mirrorlab::sim::stage::Stage::batches(&rig.stage, &alpha, &[sql]).await;
    assert_eq!(lost, None);
    assert_eq!(replies[0].error().map(|e| e.number), Some(1418), "{replies:?}");
    assert!(*seen.borrow() > 0, "it has talked to itself");
    let lines = rig.log("alpha", since);
    assert!(
        lines
            .iter()
            .any(|l| l.starts_with("1474 ") && l.contains("foe.lab.example")),
        "{lines:?}"
    );
    rig.assert_served().await;
}

#[test]
fn an_instance_that_is_led_to_itself_does_not_become_its_own_partner() {
    with_trio(async |rig| reflect(rig).await);
    with_windows("NTLM", async |rig| reflect(rig).await);
    with_windows("KERBEROS", async |rig| reflect(rig).await);
}
