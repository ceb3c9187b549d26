//! Every option of an endpoint altered while it is in use: what both sides' error logs say of it within seconds.
//!
//! Source: documented, *ALTER ENDPOINT* (it might restart, which peers take for an error) and the message tables; that every
//! change restarts is decision E2, the numbers of lost connections in the log E58.

use std::collections::BTreeSet;
use std::time::Duration;

use super::rig::{Rig, with_rig};

/// Longer than a login takes, and than the first reconnect.
const SETTLED: Duration = Duration::from_secs(8);

/// The numbers of these lines, each with the numbers that are quoted in it.
fn numbers(lines: &[String]) -> String {
    let told: BTreeSet<String> = lines.iter().map(|line| number(line)).collect();
    told.into_iter().collect::<Vec<_>>().join(", ")
}

/// `28047 (28027)` of a line that begins with 28047 and quotes `Error 28027, State 21`.
fn number(line: &str) -> String {
    let (own, text) = line.split_once(' ').expect("a number and a text");
    let quoted = ["Error ", "Error: ", "error "].iter().find_map(|head| {
        let digits = text.split_once(head)?.1;
        let end = digits.find(|c: char| !c.is_ascii_digit())?;
        (end > 0).then(|| digits[..end].to_owned())
    });
    match quoted {
        Some(quoted) => format!("{own} ({quoted})"),
        None => own.to_owned(),
    }
}

/// alpha's log and beta's after a statement on beta, whose endpoint is alpha's partner's.
async fn told(rig: &Rig, statement: &str) -> [String; 2] {
    let since = rig.world.now();
    rig.must("beta", statement).await;
    rig.pass(SETTLED).await;
    ["alpha", "beta"].map(|on| numbers(&rig.log(on, since)))
}

#[test]
fn both_logs_tell_of_every_change_of_an_endpoint_in_use() {
    let mirroring = |options: &str| format!("ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING ({options});");
    let rows = [
        // Nothing changes, so nothing restarts.
        ("ALTER ENDPOINT Mirroring STATE = STARTED;".to_owned(), ["", ""]),
        (mirroring("AUTHENTICATION = CERTIFICATE beta_cert"), ["", ""]),
        // Nobody is let in, or nobody listens any more.
        (
            "ALTER ENDPOINT Mirroring STATE = STOPPED;".to_owned(),
            ["1474 (9754)", "9691"],
        ),
        (
            "ALTER ENDPOINT Mirroring STATE = DISABLED;".to_owned(),
            ["1474 (28028), 9642 (28028)", "9666, 9690, 9691"],
        ),
        ("DROP ENDPOINT Mirroring;".to_owned(), ["1474 (9754)", "9691"]),
        // It listens elsewhere, or nowhere, and goes on calling its peers.
        (
            "ALTER ENDPOINT Mirroring AS TCP (LISTENER_PORT = 7099);".to_owned(),
            ["1474 (9754), 28046", "9690, 9691"],
        ),
        (
            "ALTER ENDPOINT Mirroring AS TCP (LISTENER_IP = (10.0.0.77));".to_owned(),
            ["1474 (9754), 28046", "26024, 9691, 9693"],
        ),
        // The peers connect again as soon as it listens.
        (
            "ALTER ENDPOINT Mirroring AS TCP (LISTENER_IP = (10.0.0.2));".to_owned(),
            ["28046", "28046, 9690, 9691"],
        ),
        (
            mirroring("AUTHENTICATION = CERTIFICATE beta_cert WINDOWS NTLM"),
            ["28046", "28046, 28190, 9690, 9691"],
        ),
        (
            mirroring("ENCRYPTION = SUPPORTED"),
            ["28046", "28046, 9690, 9691"],
        ),
        (
            mirroring("ENCRYPTION = REQUIRED ALGORITHM RC4 AES"),
            ["28046", "28046, 33128, 9690, 9691"],
        ),
        (mirroring("ROLE = PARTNER"), ["28046", "28046, 9690, 9691"]),
        // The peers have nothing in common with it any more; each direction is refused by the side that accepts.
        (
            mirroring("AUTHENTICATION = WINDOWS NEGOTIATE"),
            [
                "1474 (28028), 28047 (28027), 9642 (28028)",
                "1474 (28028), 28047 (28027), 28190, 9642 (28028), 9690, 9691",
            ],
        ),
        (
            mirroring("ENCRYPTION = DISABLED"),
            [
                "1474 (28028), 28047 (28027), 9642 (28028)",
                "1474 (28028), 28047 (28027), 9642 (28028), 9690, 9691",
            ],
        ),
        (
            mirroring("ENCRYPTION = REQUIRED ALGORITHM RC4"),
            [
                "1474 (28028), 28047 (28027), 9642 (28028)",
                "1474 (28028), 28047 (28027), 33128, 9642 (28028), 9690, 9691",
            ],
        ),
        // The peer is let in and heard as no partner; this side calls nobody.
        (mirroring("ROLE = WITNESS"), ["", "1486, 28046, 9690, 9691"]),
    ];
    let mut wrong = Vec::new();
    for (statement, expected) in rows {
        let shown = statement.clone();
        let told = with_rig("pair", "", async move |rig| told(rig, &statement).await);
        if told != expected {
            wrong.push(format!("{shown}: {told:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
