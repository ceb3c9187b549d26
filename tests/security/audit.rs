//! How the trace event *Audit Database Mirroring Login* classes the logins that fail, as a DBA reads it.
//!
//! Success (1) and a failed authorization (6) are in the scenario `security/login_without_connect`. Source: documented,
//! *Audit Database Mirroring Login Event Class*.

use mirrorlab::types::Value;

use super::rig::{Rig, set_partner, with_rig};

/// The one kind of failure that beta, which is called, has had: subclass, its name, error and method.
async fn failure(rig: &Rig) -> Vec<Value> {
    let query = "SELECT DISTINCT EventSubClass, subclass_name, Error, RoleName \
                 FROM sys.fn_trace_gettable(DEFAULT, DEFAULT) WHERE EventClass = 154 AND EventSubClass > 1";
    let mut rows = rig.rows("beta", query).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows.remove(0)
}

fn row(subclass: i64, name: &str, error: i64) -> Vec<Value> {
    let text = |text: &str| Value::Text(text.into());
    vec![
        Value::Int(subclass),
        text(name),
        Value::Int(error),
        text("target"),
    ]
}

async fn calls(rig: &Rig) {
    assert_eq!(rig.number("alpha", &set_partner("beta")).await, 1418);
}

#[test]
fn a_foreign_program_breaks_the_format() {
    with_rig("trio_unmirrored", "", async |rig| {
        rig.say("alpha", "beta", 7022, b"GET / HTTP/1.1\r\n\r\n").await;
        assert_eq!(failure(rig).await, row(3, "Message Format Error", 9757));
    });
}

#[test]
fn endpoints_without_a_common_method_fail_to_negotiate() {
    with_rig("trio_unmirrored", "", async |rig| {
        let windows = "ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (AUTHENTICATION = WINDOWS NEGOTIATE);";
        rig.must("beta", windows).await;
        calls(rig).await;
        assert_eq!(failure(rig).await, row(4, "Negotiate Failure", 28027));
    });
}

#[test]
fn a_private_key_that_does_not_open_fails_to_authenticate() {
    with_rig("trio_unmirrored", "", async |rig| {
        let closed = "ALTER MASTER KEY DROP ENCRYPTION BY SERVICE MASTER KEY;";
        rig.must("beta", closed).await;
        calls(rig).await;
        assert_eq!(failure(rig).await, row(5, "Authentication Failure", 28037));
    });
}
