//! Every way to alter or drop an endpoint that is in use, on every role, with and without a witness, under load.
//!
//! The reviewed table says who noticed and how, whether there was a failover, and who served afterwards. What must hold in
//! each row (no acknowledged commit lost, the session heals once the endpoint is as it was) is the oracles' business.
//! Source: documented, *The Database Mirroring Endpoint*, *Add a Database Mirroring Witness*.

use std::fmt::Write as _;
use std::time::Duration;

use mirrorlab::sim::runner::Run;
use mirrorlab::types::{ClosedBy, EndpointEvent, Event, InstanceName, SessionEvent, Source};

use super::links::sql;
use super::observe::{Seen, compare, look_at, play};

/// When the statement is executed, when the rows are looked at, and when the endpoint is put back as it was.
const DONE_AT: u64 = 5;
const LOOK_AT: u64 = 22;
const BACK_AT: u64 = 30;

/// When service is forced, in the rows where it is, and when what that or SAFETY OFF left is undone.
const FORCED_AT: u64 = 15;
const SET_AT: u64 = 46;

const STATEMENTS: [(&str, &str); 8] = [
    ("STATE = STOPPED", "ALTER ENDPOINT Mirroring STATE = STOPPED;"),
    ("STATE = DISABLED", "ALTER ENDPOINT Mirroring STATE = DISABLED;"),
    (
        "another port",
        "ALTER ENDPOINT Mirroring AS TCP (LISTENER_PORT = 7099) FOR DATABASE_MIRRORING (ROLE = ALL);",
    ),
    (
        "AUTHENTICATION again",
        "ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (AUTHENTICATION = CERTIFICATE {who}_cert);",
    ),
    (
        "ENCRYPTION = DISABLED",
        "ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (ENCRYPTION = DISABLED);",
    ),
    (
        "ENCRYPTION = SUPPORTED",
        "ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (ENCRYPTION = SUPPORTED ALGORITHM AES);",
    ),
    (
        "ROLE alone",
        "ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (ROLE = {role});",
    ),
    ("DROP", "DROP ENDPOINT Mirroring;"),
];

/// Changes of what the peers must agree with or find it by.
const TERMS: [(&str, &str); 4] = [
    (
        "LISTENER_IP alone",
        "ALTER ENDPOINT Mirroring AS TCP (LISTENER_IP = ({ip})) FOR DATABASE_MIRRORING (ROLE = ALL);",
    ),
    (
        "another certificate",
        "CREATE CERTIFICATE other WITH SUBJECT = 'other'; \
         ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (AUTHENTICATION = CERTIFICATE other);",
    ),
    (
        "AUTHENTICATION = WINDOWS",
        "ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (AUTHENTICATION = WINDOWS NEGOTIATE);",
    ),
    (
        "ALGORITHM RC4",
        "ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (ENCRYPTION = REQUIRED ALGORITHM RC4);",
    ),
];

/// What else is done in a row: before the statement, after it, and once the endpoint is back.
#[derive(Debug, Default)]
struct Around {
    before: String,
    between: String,
    after: String,
}

fn toml(mode: &str, who: &str, statement: &str, around: &Around) -> String {
    let role = if who == "gamma" { "WITNESS" } else { "PARTNER" };
    let ip = match who {
        "alpha" => "10.0.0.1",
        "beta" => "10.0.0.2",
        _ => "10.0.0.3",
    };
    let sql = statement
        .replace("{who}", who)
        .replace("{role}", role)
        .replace("{ip}", ip);
    let definition = format!(
        "STATE = STARTED AS TCP (LISTENER_PORT = 7022, LISTENER_IP = ALL) FOR DATABASE_MIRRORING \
         (AUTHENTICATION = CERTIFICATE {who}_cert, ENCRYPTION = REQUIRED ALGORITHM AES, ROLE = ALL);"
    );
    let back = match statement.starts_with("DROP") {
        false => format!("ALTER ENDPOINT Mirroring {definition}"),
        true => {
            let others = ["alpha", "beta", "gamma"]
                .into_iter()
                .filter(|other| *other != who);
            let grants: String = others
                .map(|other| format!(" GRANT CONNECT ON ENDPOINT::Mirroring TO {other}_login;"))
                .collect();
            format!("CREATE ENDPOINT Mirroring {definition}{grants}")
        }
    };
    let Around {
        before,
        between,
        after,
    } = around;
    format!(
        r#"
promise = "Altering or dropping an endpoint in use may disconnect, fail over or stop service, but loses nothing."
risk = "{sql} on {who} under load."
source = "documented, The Database Mirroring Endpoint"
extends = "{mode}"
until = "{}s"
settle = "50s"

[[client]]
name = "app"
initial = "alpha"
failover_partner = "beta"
rate = 4

{before}[[step]]
at = "{DONE_AT}s"
on = "{who}"
sql = "{sql}"

{between}[[step]]
at = "{BACK_AT}s"
on = "{who}"
sql = "{back}"

{after}[[expect]]
healed = true
"#,
        if after.is_empty() { BACK_AT + 1 } else { SET_AT + 4 }
    )
}

/// How each of the others lost its first connection to `who` after the statement, and how soon.
fn noticed(run: &Run, who: &str) -> String {
    let done = run.setup_end + Duration::from_secs(DONE_AT);
    let until = run.setup_end + Duration::from_secs(LOOK_AT);
    let mut told = Vec::new();
    for other in ["alpha", "beta", "gamma"]
        .into_iter()
        .filter(|other| *other != who)
    {
        let first = run.trace.events().iter().find_map(|stamped| {
            let in_time = stamped.at >= done && stamped.at <= until;
            match (&stamped.source, &stamped.event) {
                (Source::Instance(name), Event::Endpoint(EndpointEvent::Closed { by, .. }))
                    if in_time && name.as_str() == other =>
                {
                    Some((*by, stamped.at.since(done)))
                }
                _ => None,
            }
        });
        if let Some((by, after)) = first {
            let how = match by {
                ClosedBy::Local => "closed it",
                ClosedBy::Peer => "saw it closed",
                ClosedBy::Reset => "saw it reset",
                ClosedBy::Timeout => "timed out",
            };
            let soon = match after.as_secs() {
                0 => "at once".to_owned(),
                seconds => format!("after {seconds} s"),
            };
            told.push(format!("{other} {how} {soon}"));
        }
    }
    match told.is_empty() {
        true => "nobody noticed".into(),
        false => told.join(", "),
    }
}

/// Whether the statement was carried out under load, so that the oracles of ownership and durability had commits to judge: some
/// before it, and some after it, up to `by`.
fn is_judged(run: &Run, who: &str, by: u64) -> bool {
    let done = run.setup_end + Duration::from_secs(DONE_AT);
    let by = run.setup_end + Duration::from_secs(by);
    let events = run.trace.events();
    let carried_out = events.iter().find(|stamped| {
        let is_change = matches!(stamped.event, Event::Endpoint(EndpointEvent::Altered { .. }));
        is_change && stamped.at >= done && stamped.source == Source::Instance(InstanceName::new(who))
    });
    let acknowledged = |from, to| {
        events.iter().any(|stamped| {
            let is_commit = matches!(
                stamped.event,
                Event::Session(SessionEvent::CommitAcknowledged { .. })
            );
            is_commit && stamped.at > from && stamped.at < to
        })
    };
    carried_out.is_some_and(|change| acknowledged(run.setup_end, change.at) && acknowledged(change.at, by))
}

/// One row of a table.
fn entry(text: &mut String, name: &str, who: &str, toml: &str, by: u64) {
    let run = play("reconfigure", toml);
    assert!(is_judged(&run, who, by), "{name}: no commit to judge");
    let Seen {
        alpha,
        beta,
        gamma,
        outcome,
    } = look_at(&run, Duration::from_secs(LOOK_AT));
    writeln!(
        text,
        "{name}\n    {}; {outcome}\n    alpha {alpha}\n    beta  {beta}\n    gamma {gamma}",
        noticed(&run, who)
    )
    .expect("a String takes everything");
}

const TRIO: [(&str, &str); 3] = [("alpha", "principal"), ("beta", "mirror"), ("gamma", "witness")];
const PAIR: [(&str, &str); 2] = [("alpha", "principal"), ("beta", "mirror")];

/// A table: these statements on these roles, one after the other. `by` is when there must have been service again.
fn table<'a>(
    name: &str,
    mode: &str,
    roles: &[(&str, &str)],
    statements: impl Iterator<Item = &'a (&'a str, &'a str)> + Clone,
    (around, suffix, by): (&Around, &str, u64),
) {
    let mut text = String::new();
    for (who, role) in roles {
        for (name, statement) in statements.clone() {
            let toml = toml(mode, who, statement, around);
            entry(
                &mut text,
                &format!("{name} on the {role}{suffix}"),
                who,
                &toml,
                by,
            );
        }
    }
    compare(name, &text);
}

#[test]
fn endpoints_in_use_with_a_witness() {
    let plain = (&Around::default(), "", BACK_AT);
    table("reconfiguration_trio", "trio", &TRIO, STATEMENTS.iter(), plain);
}

#[test]
fn endpoints_in_use_without_a_witness() {
    let plain = (&Around::default(), "", BACK_AT);
    table("reconfiguration_pair", "pair", &PAIR, STATEMENTS.iter(), plain);
}

#[test]
fn endpoints_in_use_on_other_terms() {
    let plain = (&Around::default(), "", BACK_AT);
    table("reconfiguration_terms", "trio", &TRIO, TERMS.iter(), plain);
    table("reconfiguration_terms_pair", "pair", &PAIR, TERMS.iter(), plain);
}

/// With SAFETY OFF nobody takes over by itself, whatever becomes of the principal's endpoint.
fn safety_off<'a>(
    name: &str,
    mode: &str,
    roles: &[(&str, &str)],
    statements: impl Iterator<Item = &'a (&'a str, &'a str)> + Clone,
) {
    let around = Around {
        before: sql(1, "alpha", "SAFETY OFF"),
        after: sql(SET_AT, "alpha", "SAFETY FULL"),
        ..Around::default()
    };
    // With a witness there may be no service until the endpoint is back.
    table(name, mode, roles, statements, (&around, ", SAFETY OFF", SET_AT));
}

#[test]
fn endpoints_in_use_with_safety_off() {
    let all = STATEMENTS.iter().chain(&TERMS);
    safety_off("reconfiguration_safety_off", "trio", &TRIO, all);
}

#[test]
fn endpoints_in_use_with_safety_off_without_a_witness() {
    let all = STATEMENTS.iter().chain(&TERMS);
    safety_off("reconfiguration_safety_off_pair", "pair", &PAIR, all);
}

/// A suspended session stays so, whoever is lost and comes back, and nobody takes over.
#[test]
fn endpoints_in_use_while_suspended() {
    let around = Around {
        before: sql(1, "alpha", "SUSPEND"),
        after: sql(SET_AT, "alpha", "RESUME"),
        ..Around::default()
    };
    let all = STATEMENTS.iter().chain(&TERMS);
    let name = "reconfiguration_suspended";
    table(name, "trio", &TRIO, all, (&around, ", SUSPENDED", SET_AT));
}

/// Service is forced while the principal's endpoint is away: it is gone for the mirror and for the witness.
#[test]
fn endpoints_in_use_and_forced_service() {
    let around = Around {
        before: sql(1, "alpha", "SAFETY OFF"),
        between: sql(FORCED_AT, "beta", "FORCE_SERVICE_ALLOW_DATA_LOSS"),
        after: format!(
            "{}{}",
            sql(SET_AT, "beta", "RESUME"),
            sql(SET_AT + 2, "beta", "SAFETY FULL")
        ),
    };
    let mut text = String::new();
    for (name, statement) in [STATEMENTS[0], STATEMENTS[7]] {
        let toml = toml("trio", "alpha", statement, &around);
        let name = format!("{name} on the principal, SAFETY OFF, then FORCE on the mirror");
        entry(&mut text, &name, "alpha", &toml, BACK_AT);
    }
    compare("reconfiguration_forced", &text);
}
