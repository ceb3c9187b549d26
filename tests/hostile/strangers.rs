//! Programs that came to the wrong door, whole and half, on both ports.

use std::time::Duration;

use mirrorlab::driver::clock::Clock;
use mirrorlab::types::ServerAddress;

use crate::foe;
use crate::rig::{CLIENT, ENDPOINT, FOES, Rig, with_trio};

/// What they say, and what the endpoint's log calls them.
fn strangers() -> Vec<(Vec<u8>, &'static str)> {
    let hello = [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], &[0x5a; 501]].concat();
    vec![
        (
            b"GET /wls-wsat/CoordinatorPortType HTTP/1.1\r\nHost: beta\r\n\r\n".to_vec(),
            "HTTP",
        ),
        (b"CONNECT alpha:7022 HTTP/1.1\r\n\r\n".to_vec(), "HTTP"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), "HTTP"),
        (hello, "TLS"),
        (b"\x16\x03\x03\x00\x00\x00\x00\x00".to_vec(), "TLS"),
        (
            b"\x12\x01\x00\x2f\x00\x00\x01\x00\x00\x00\x1a\x00\x06".to_vec(),
            "TDS",
        ),
        (b"\x10\x01\x00\xd4\x00\x00\x01\x00".to_vec(), "TDS"),
        (b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(), "SSH"),
        (
            b"\x00\x00\x00\x85\xffSMBr\x00\x00\x00\x00".to_vec(),
            "unknown protocol",
        ),
        (
            b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00".to_vec(),
            "unknown protocol",
        ),
        (vec![0; 4096], "unknown protocol"),
        (vec![0xff; 4096], "unknown protocol"),
        (b"\xD3MLABM\x00\xff".to_vec(), "version 255"),
        (b"\xD3MLABX\x00\x01".to_vec(), "unknown protocol"),
    ]
}

/// Says it from one of the attacker's systems; how long it took until the end, and how much was answered.
async fn speak(rig: &Rig, from: &'static str, port: u16, words: Vec<u8>) -> (Option<Duration>, usize) {
    let (tell, told) = tokio::sync::oneshot::channel();
    let system = rig.world.find_system(from).expect("his");
    rig.world
        .spawn(system, from, move |env| async move {
            let begun = env.clock.now().at;
            let (end, heard) = foe::speak(&env, &ServerAddress::new("beta", port), &words).await;
            tell.send((end.map(|at| at.since(begun)), heard))
                .expect("awaited");
        })
        .expect("its system is up");
    told.await.expect("it ends")
}

#[test]
fn the_endpoint_answers_no_other_program_and_names_it() {
    with_trio(async |rig| {
        for (n, (words, name)) in strangers().into_iter().enumerate() {
            let since = rig.world.now();
            let (end, heard) = speak(rig, FOES[n % FOES.len()], ENDPOINT, words.clone()).await;
            assert!(
                end.is_some_and(|after| after < Duration::from_secs(1)),
                "{words:?}: {end:?}"
            );
            assert_eq!(heard, 0, "{words:?}");
            let lines = rig.log("beta", since);
            let named = |l: &String| l.starts_with("28047 ") && l.contains("Error 9757") && l.contains(name);
            assert!(lines.iter().any(named), "{words:?}: {lines:?}");
        }
    });
}

#[test]
fn the_client_port_says_no_more_than_that_it_is_none() {
    with_trio(async |rig| {
        for (n, (words, _)) in strangers().into_iter().enumerate() {
            let (end, heard) = speak(rig, FOES[n % FOES.len()], CLIENT, words.clone()).await;
            assert!(
                end.is_some_and(|after| after < Duration::from_secs(1)),
                "{words:?}: {end:?}"
            );
            assert!(heard < 512, "{words:?}: {heard} bytes");
        }
    });
}
