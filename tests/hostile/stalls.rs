//! A peer that falls silent in each state of a login: the login deadline ends it, and nobody else waits.

use std::collections::BTreeSet;
use std::time::Duration;

use mirrorlab::endpoint::config::WindowsMethod;
use mirrorlab::types::Value;

use crate::foe::{Foe, Plan};
use crate::rig::{Rig, with_trio, with_windows};

/// Login states of accepted connections that are not online, by their documented numbers.
async fn states(rig: &Rig) -> BTreeSet<i64> {
    let rows = rig
        .must(
            "beta",
            "SELECT login_state FROM sys.dm_db_mirroring_connections WHERE is_accept = 1 AND login_state <> 12",
        )
        .await;
    let number = |row: &Vec<Value>| match row[0] {
        Value::Int(number) => number,
        ref other => panic!("{other:?}"),
    };
    rows.iter().map(number).collect()
}

/// One attacker for each of the first `messages` messages, who sends `part` of it and falls silent; all at once.
async fn stall(rig: &Rig, make: impl Fn() -> Foe, messages: usize, part: fn(&[u8]) -> Vec<u8>, seen: &[i64]) {
    let since = rig.world.now();
    let attacks: Vec<_> = (0..messages)
        .map(|step| rig.begin(make(), Plan::until(step, part)))
        .collect();
    rig.pass(Duration::from_secs(10)).await;
    rig.assert_served().await;
    assert_eq!(states(rig).await, seen.iter().copied().collect());
    for (step, attack) in attacks.into_iter().enumerate() {
        let report = attack.await.expect("the attacker lives");
        assert_ne!(report.end, "open", "{step}: {report:?}");
        let bound = Duration::from_secs(20)..Duration::from_secs(21);
        assert!(bound.contains(&report.after), "{step}: {report:?}");
        assert_eq!(report.heard_late, 0, "{step}: {report:?}");
        rig.assert_named(since, &report, 9760);
    }
    assert_eq!(states(rig).await, BTreeSet::new());
}

fn nothing(_: &[u8]) -> Vec<u8> {
    Vec::new()
}

fn half(message: &[u8]) -> Vec<u8> {
    message[..message.len() / 2].to_vec()
}

fn all_but_one(message: &[u8]) -> Vec<u8> {
    message[..message.len() - 1].to_vec()
}

#[test]
fn silence_in_any_state_of_a_certificate_login_ends_at_the_login_deadline() {
    with_trio(async |rig| {
        for part in [nothing, half, all_but_one] {
            stall(rig, || rig.insider(), 6, part, &[1, 3, 6, 10, 11]).await;
        }
    });
}

#[test]
fn silence_in_any_state_of_an_ntlm_login_ends_at_the_login_deadline() {
    with_windows("NTLM", async |rig| {
        stall(
            rig,
            || rig.windows(WindowsMethod::Ntlm),
            6,
            nothing,
            &[1, 3, 6, 10, 11],
        )
        .await;
    });
}

#[test]
fn silence_in_any_state_of_a_kerberos_login_ends_at_the_login_deadline() {
    with_windows("KERBEROS", async |rig| {
        stall(
            rig,
            || rig.windows(WindowsMethod::Kerberos),
            5,
            half,
            &[1, 3, 10, 11],
        )
        .await;
    });
}
