//! Whom an endpoint lets in: every permission, role and ownership that a caller's login can have, as a login in the world.
//!
//! Source: documented, *GRANT Endpoint Permissions* (what implies CONNECT), *ALTER ENDPOINT* and *The Database Mirroring
//! Endpoint* (sysadmin and the owner need no grant); that a login which is disabled is refused is derived.

use mirrorlab::types::EncryptionInUse;

use super::rig::{Outcome, set_partner, with_rig};

/// What beta's administrator does about alpha's login, which holds nothing at first, and whether alpha then gets in.
const ROWS: [(&str, &str, bool); 22] = [
    ("nothing", "", false),
    (
        "CONNECT",
        "GRANT CONNECT ON ENDPOINT::Mirroring TO alpha_login",
        true,
    ),
    (
        "CONNECT to public",
        "GRANT CONNECT ON ENDPOINT::Mirroring TO public",
        true,
    ),
    (
        "CONNECT WITH GRANT OPTION",
        "GRANT CONNECT ON ENDPOINT::Mirroring TO alpha_login WITH GRANT OPTION",
        true,
    ),
    (
        "CONTROL",
        "GRANT CONTROL ON ENDPOINT::Mirroring TO alpha_login",
        true,
    ),
    ("CONTROL SERVER", "GRANT CONTROL SERVER TO alpha_login", true),
    (
        "sysadmin",
        "ALTER SERVER ROLE sysadmin ADD MEMBER alpha_login",
        true,
    ),
    (
        "owner",
        "ALTER AUTHORIZATION ON ENDPOINT::Mirroring TO alpha_login",
        true,
    ),
    (
        "ALTER",
        "GRANT ALTER ON ENDPOINT::Mirroring TO alpha_login",
        false,
    ),
    (
        "TAKE OWNERSHIP",
        "GRANT TAKE OWNERSHIP ON ENDPOINT::Mirroring TO alpha_login",
        false,
    ),
    (
        "VIEW DEFINITION",
        "GRANT VIEW DEFINITION ON ENDPOINT::Mirroring TO alpha_login",
        false,
    ),
    (
        "ALTER ANY ENDPOINT",
        "GRANT ALTER ANY ENDPOINT TO alpha_login",
        false,
    ),
    ("CREATE ENDPOINT", "GRANT CREATE ENDPOINT TO alpha_login", false),
    (
        "serveradmin",
        "ALTER SERVER ROLE serveradmin ADD MEMBER alpha_login",
        false,
    ),
    (
        "securityadmin",
        "ALTER SERVER ROLE securityadmin ADD MEMBER alpha_login",
        false,
    ),
    (
        "CONNECT, and CONNECT denied to public",
        "GRANT CONNECT ON ENDPOINT::Mirroring TO alpha_login; DENY CONNECT ON ENDPOINT::Mirroring TO public",
        false,
    ),
    (
        "CONTROL SERVER, and CONTROL denied",
        "GRANT CONTROL SERVER TO alpha_login; DENY CONTROL ON ENDPOINT::Mirroring TO alpha_login",
        false,
    ),
    (
        "sysadmin, and CONNECT denied to public",
        "ALTER SERVER ROLE sysadmin ADD MEMBER alpha_login; DENY CONNECT ON ENDPOINT::Mirroring TO public",
        true,
    ),
    (
        "owner, and CONNECT denied to public",
        "ALTER AUTHORIZATION ON ENDPOINT::Mirroring TO alpha_login; DENY CONNECT ON ENDPOINT::Mirroring TO public",
        true,
    ),
    (
        "CONNECT, and the login disabled",
        "GRANT CONNECT ON ENDPOINT::Mirroring TO alpha_login; ALTER LOGIN alpha_login DISABLE",
        false,
    ),
    (
        "sysadmin, and the login disabled",
        "ALTER SERVER ROLE sysadmin ADD MEMBER alpha_login; ALTER LOGIN alpha_login DISABLE",
        false,
    ),
    (
        "CONNECT, and no login of the user any more",
        "GRANT CONNECT ON ENDPOINT::Mirroring TO alpha_login; DROP LOGIN alpha_login",
        false,
    ),
];

#[test]
fn whoever_holds_connect_in_any_way_is_let_in_and_nobody_else() {
    for (row, statements, is_let_in) in ROWS {
        with_rig("trio_unmirrored", "", async move |rig| {
            rig.must("beta", "REVOKE CONNECT ON ENDPOINT::Mirroring FROM alpha_login;")
                .await;
            rig.must("beta", statements).await;
            rig.must("beta", &set_partner("alpha")).await;
            rig.forget_logins();
            let answer = rig.number("alpha", &set_partner("beta")).await;
            let expected = match is_let_in {
                true => Outcome::Connected {
                    method: "CERTIFICATE".to_owned(),
                    encryption: EncryptionInUse::Aes,
                },
                false => Outcome::Refused(28034),
            };
            assert_eq!(rig.login("beta", true), Some(expected), "{row}");
            assert_eq!(answer, if is_let_in { 0 } else { 1418 }, "{row}");
            let log = rig.log("beta", Default::default());
            let named = |line: &String| line.starts_with("28048 ") && line.contains("Error 28034, State 84");
            assert_eq!(log.iter().any(named), !is_let_in, "{row}: {log:?}");
        });
    }
}
