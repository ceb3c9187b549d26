//! Master key and certificate statements: each answers with the documented number, and changes nothing if that is an error.

use super::*;
use crate::crypto::certificate::{Generated, generate};
use crate::crypto::private_key::seal;

const KEY: &str = "CREATE MASTER KEY ENCRYPTION BY PASSWORD = 'p'";

/// Certificates of the tests, by number; the bench's clock stands at 1970.
fn made(seed: u8) -> Generated {
    let year = Duration::from_secs(365 * 24 * 3600);
    generate(
        &[seed; 32],
        "a peer",
        WallTime::default(),
        WallTime::default() + year,
    )
    .expect("made")
}

fn literal(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|b| format!("{b:02X}")).collect();
    format!("0x{digits}")
}

fn endpoint(certificate: &str) -> String {
    format!(
        "CREATE ENDPOINT m AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (AUTHENTICATION = CERTIFICATE \
         {certificate}, ROLE = ALL)"
    )
}

/// The numbers of the informational messages of the last answer.
fn infos(bench: &mut Bench, sql: &str) -> Vec<u32> {
    bench.begin(0, sql);
    bench.answer_all();
    let reply = bench.clients[0].replies.pop_front().expect("answered");
    assert_eq!(reply.error(), None, "{sql}");
    let info = |item: &ReplyItem| match item {
        ReplyItem::Info(info) => Some(info.number),
        _ => None,
    };
    reply.items.iter().filter_map(info).collect()
}

/// Runs each statement and compares the number it ends in; 0 is success.
fn numbers(bench: &mut Bench, steps: &[(&str, u32)]) {
    for (sql, number) in steps {
        assert_eq!(bench.run(0, sql), *number, "{sql}");
    }
}

/// As `begin`, with a file's content for the disk's answer.
fn with_file(bench: &mut Bench, sql: &str, content: Result<DiskReply, DiskError>) -> u32 {
    bench.begin(0, sql);
    bench.answer(content);
    bench.answer_all();
    bench.number(0).expect("answered")
}

#[test]
fn a_session_opens_a_master_key_that_does_not_open_by_itself() {
    let mut bench = Bench::with_clients(2);
    numbers(
        &mut bench,
        &[
            ("OPEN MASTER KEY DECRYPTION BY PASSWORD = 'p'", 15151),
            ("ALTER MASTER KEY ADD ENCRYPTION BY PASSWORD = 'q'", 15151),
            ("DROP MASTER KEY", 15151),
            ("CREATE CERTIFICATE c WITH SUBJECT = 's'", 15581),
            (KEY, 0),
            (KEY, 15578),
            ("CREATE CERTIFICATE c WITH SUBJECT = 's'", 0),
            ("DROP MASTER KEY", 15580),
            ("ALTER MASTER KEY DROP ENCRYPTION BY SERVICE MASTER KEY", 0),
            ("CREATE CERTIFICATE d WITH SUBJECT = 's'", 15581),
            ("CLOSE MASTER KEY", 15315),
            ("OPEN MASTER KEY DECRYPTION BY PASSWORD = 'q'", 15313),
            ("OPEN MASTER KEY DECRYPTION BY PASSWORD = 'p'", 0),
            ("CREATE CERTIFICATE d WITH SUBJECT = 's'", 0),
        ],
    );
    assert_eq!(
        bench.run(1, "CREATE CERTIFICATE e WITH SUBJECT = 's'"),
        15581,
        "another session"
    );
    numbers(
        &mut bench,
        &[
            ("ALTER MASTER KEY ADD ENCRYPTION BY PASSWORD = 'q'", 0),
            ("ALTER MASTER KEY DROP ENCRYPTION BY PASSWORD = 'x'", 15313),
            ("ALTER MASTER KEY DROP ENCRYPTION BY PASSWORD = 'p'", 0),
            ("ALTER MASTER KEY DROP ENCRYPTION BY PASSWORD = 'q'", 40517),
            ("CLOSE MASTER KEY", 0),
            ("OPEN MASTER KEY DECRYPTION BY PASSWORD = 'p'", 15313),
            (
                "ALTER MASTER KEY REGENERATE WITH ENCRYPTION BY PASSWORD = 'r'",
                15581,
            ),
            (
                "ALTER MASTER KEY FORCE REGENERATE WITH ENCRYPTION BY PASSWORD = 'r'",
                0,
            ),
            ("OPEN MASTER KEY DECRYPTION BY PASSWORD = 'r'", 0),
            ("ALTER MASTER KEY ADD ENCRYPTION BY SERVICE MASTER KEY", 0),
            ("CLOSE MASTER KEY", 0),
            ("CREATE CERTIFICATE e WITH SUBJECT = 's'", 0),
            ("DROP CERTIFICATE c DROP CERTIFICATE d DROP CERTIFICATE e", 0),
            ("DROP MASTER KEY", 0),
        ],
    );
}

#[test]
fn certificates_are_made_with_the_options_they_are_given() {
    let mut bench = Bench::with_clients(1);
    assert_eq!(bench.run(0, KEY), 0);
    let made = |options: &str| format!("CREATE CERTIFICATE c WITH SUBJECT = 's'{options} DROP CERTIFICATE c");
    assert!(infos(&mut bench, &made("")).is_empty());
    let backwards = made(", START_DATE = '1980-01-01', EXPIRY_DATE = '1979-01-01'");
    assert_eq!(infos(&mut bench, &backwards), [15213]);
    let expired = made(", START_DATE = '1960-01-01', EXPIRY_DATE = '1961-01-01'");
    assert_eq!(infos(&mut bench, &expired), [15214]);
    assert_eq!(infos(&mut bench, &made(", START_DATE = '1990-01-01'")), [15215]);
    let (longest, long) = ("s".repeat(128), "s".repeat(129));
    numbers(
        &mut bench,
        &[
            ("CREATE CERTIFICATE c WITH SUBJECT = ''", 15212),
            (&format!("CREATE CERTIFICATE c WITH SUBJECT = '{long}'"), 15212),
            (&format!("CREATE CERTIFICATE l WITH SUBJECT = '{longest}'"), 0),
            (
                "CREATE CERTIFICATE c AUTHORIZATION nobody WITH SUBJECT = 's'",
                15151,
            ),
            (
                "CREATE CERTIFICATE c WITH SUBJECT = 's' ACTIVE FOR BEGIN_DIALOG = OFF",
                0,
            ),
            ("CREATE CERTIFICATE C WITH SUBJECT = 's'", 15232),
            ("ALTER CERTIFICATE c WITH ACTIVE FOR BEGIN_DIALOG = ON", 0),
            ("ALTER CERTIFICATE x REMOVE PRIVATE KEY", 15151),
            ("ALTER AUTHORIZATION ON CERTIFICATE::c TO nobody", 15151),
            ("CREATE LOGIN l WITH PASSWORD = 'p' CREATE USER u FOR LOGIN l", 0),
            ("ALTER AUTHORIZATION ON CERTIFICATE::c TO u", 0),
            ("DROP USER u", 15141),
            ("ALTER AUTHORIZATION ON CERTIFICATE::c TO dbo", 0),
            ("DROP USER u", 0),
            ("DROP CERTIFICATE x", 15151),
        ],
    );
}

#[test]
fn an_endpoint_takes_only_a_certificate_it_can_use_now() {
    let mut bench = Bench::with_clients(1);
    numbers(
        &mut bench,
        &[
            (KEY, 0),
            (&endpoint("c"), 15151),
            (
                "CREATE CERTIFICATE under_password ENCRYPTION BY PASSWORD = 'q' WITH SUBJECT = 's'",
                0,
            ),
            (&endpoint("under_password"), 28055),
            (
                "CREATE CERTIFICATE late WITH SUBJECT = 's', START_DATE = '1960-01-01', EXPIRY_DATE = '1961-01-01'",
                0,
            ),
            (&endpoint("late"), 28055),
            (
                "CREATE CERTIFICATE early WITH SUBJECT = 's', START_DATE = '1990-01-01'",
                0,
            ),
            (&endpoint("early"), 28055),
            (
                &format!("CREATE CERTIFICATE peers FROM BINARY = {}", literal(&made(1).der)),
                0,
            ),
            (&endpoint("peers"), 28055),
            // Under the master key it can be used.
            (
                "ALTER CERTIFICATE under_password WITH PRIVATE KEY (DECRYPTION BY PASSWORD = 'x')",
                15465,
            ),
            (
                "ALTER CERTIFICATE under_password WITH PRIVATE KEY (DECRYPTION BY PASSWORD = 'q')",
                0,
            ),
            (&endpoint("under_password"), 0),
            ("DROP CERTIFICATE under_password", 15352),
            ("CREATE CERTIFICATE good WITH SUBJECT = 's'", 0),
            (
                "ALTER ENDPOINT m FOR DATABASE_MIRRORING (AUTHENTICATION = CERTIFICATE late, ROLE = ALL)",
                28055,
            ),
            (
                "ALTER ENDPOINT m FOR DATABASE_MIRRORING (AUTHENTICATION = CERTIFICATE good, ROLE = ALL)",
                0,
            ),
            ("DROP CERTIFICATE under_password", 0),
            ("DROP CERTIFICATE good", 15352),
        ],
    );
}

#[test]
fn imported_data_is_checked_before_anything_is_entered() {
    let mut bench = Bench::with_clients(1);
    assert_eq!(bench.run(0, KEY), 0);
    let (good, other) = (made(1), made(2));
    let mut forged = good.der.clone();
    *forged.last_mut().unwrap() ^= 1;
    let sealed = seal(&good.private_key_pkcs8, "q", [3; 16]);
    let from = |der: &[u8], key: &str| format!("CREATE CERTIFICATE c FROM BINARY = {}{key}", literal(der));
    let key = |bytes: &[u8], more: &str| format!(" WITH PRIVATE KEY (BINARY = {}{more})", literal(bytes));
    numbers(
        &mut bench,
        &[
            (&from(b"rubbish", ""), 15297),
            (&from(&forged, ""), 15297),
            (&from(&good.der, &key(b"rubbish", "")), 15464),
            (&from(&good.der, &key(&other.private_key_pkcs8, "")), 15474),
            (&from(&good.der, &key(&sealed, "")), 15465),
            (
                &from(&good.der, &key(&sealed, ", DECRYPTION BY PASSWORD = 'x'")),
                15465,
            ),
            (
                &from(
                    &good.der,
                    &key(&good.private_key_pkcs8, ", DECRYPTION BY PASSWORD = 'x'"),
                ),
                9639,
            ),
            (
                &from(&good.der, &key(&sealed, ", DECRYPTION BY PASSWORD = 'q'")),
                0,
            ),
            (&endpoint("c"), 0),
            // The same bytes under another name.
            (
                &from(&good.der, "").replace("CERTIFICATE c", "CERTIFICATE d"),
                15232,
            ),
        ],
    );
    let read = "CREATE CERTIFICATE f FROM FILE = 'f.cer'";
    let missing = Err(DiskError::NotFound("f.cer".into()));
    assert_eq!(with_file(&mut bench, read, missing), 15208);
    assert_eq!(
        with_file(&mut bench, read, Ok(DiskReply::File(b"rubbish".to_vec()))),
        15208
    );
    assert_eq!(with_file(&mut bench, read, Ok(DiskReply::File(forged))), 15299);
    assert_eq!(
        with_file(&mut bench, read, Ok(DiskReply::File(other.der.clone()))),
        0
    );
    assert_eq!(
        bench.run(
            0,
            "BACKUP CERTIFICATE f TO FILE = 'x' WITH PRIVATE KEY (FILE = 'k', ENCRYPTION BY PASSWORD = 'p')"
        ),
        15246
    );
}

#[test]
fn a_certificate_travels_with_its_private_key() {
    let mut bench = Bench::with_clients(1);
    numbers(
        &mut bench,
        &[(KEY, 0), ("CREATE CERTIFICATE c WITH SUBJECT = 's'", 0)],
    );
    let written = |request| match request {
        DiskRequest::WriteFile { bytes, .. } => bytes,
        other => panic!("{other:?}"),
    };
    bench.begin(
        0,
        "BACKUP CERTIFICATE c TO FILE = 'c.cer' WITH PRIVATE KEY (FILE = 'c.key', ENCRYPTION BY PASSWORD = 'q')",
    );
    let der = written(bench.answer(Ok(DiskReply::Done)));
    assert_eq!(bench.number(0), None, "the key is not written yet");
    let key = written(bench.answer(Ok(DiskReply::Done)));
    assert_eq!(bench.number(0), None, "when it was exported is not written yet");
    bench.answer_all();
    assert_eq!(bench.number(0), Some(0));

    let taken = Err(DiskError::AlreadyExists("c.cer".into()));
    assert_eq!(
        with_file(&mut bench, "BACKUP CERTIFICATE c TO FILE = 'c.cer'", taken),
        15240
    );

    // The key alone, put back where it was removed.
    assert_eq!(bench.run(0, "ALTER CERTIFICATE c REMOVE PRIVATE KEY"), 0);
    assert_eq!(bench.run(0, "ALTER CERTIFICATE c REMOVE PRIVATE KEY"), 15246);
    assert_eq!(bench.run(0, &endpoint("c")), 28055);
    let import = "ALTER CERTIFICATE c WITH PRIVATE KEY (FILE = 'c.key', DECRYPTION BY PASSWORD = 'q')";
    assert_eq!(with_file(&mut bench, import, Ok(DiskReply::File(key.clone()))), 0);
    // Both, on an instance that has neither.
    assert_eq!(bench.run(0, "DROP CERTIFICATE c"), 0);
    bench.begin(
        0,
        "CREATE CERTIFICATE c FROM FILE = 'c.cer' WITH PRIVATE KEY (FILE = 'c.key', DECRYPTION BY PASSWORD = 'q')",
    );
    bench.answer(Ok(DiskReply::File(der)));
    bench.answer(Ok(DiskReply::File(key)));
    bench.answer_all();
    assert_eq!(bench.number(0), Some(0));
    assert_eq!(bench.run(0, &endpoint("c")), 0);
}

#[test]
fn a_certificate_with_a_login_stays_and_such_a_login_owns_none() {
    let mut bench = Bench::with_clients(1);
    for statement in [
        "CREATE MASTER KEY ENCRYPTION BY PASSWORD = 'p'",
        "CREATE CERTIFICATE c WITH SUBJECT = 's'",
        "CREATE LOGIN signer FROM CERTIFICATE c",
        "CREATE USER signer",
        "CREATE LOGIN plain WITH PASSWORD = 'p'",
        "CREATE USER plain",
    ] {
        assert_eq!(bench.run(0, statement), 0, "{statement}");
    }
    for owner in ["signer", "public", "db_owner"] {
        let create = format!("CREATE CERTIFICATE d AUTHORIZATION [{owner}] WITH SUBJECT = 's'");
        assert_eq!(bench.run(0, &create), 15345, "{owner}");
        let change = format!("ALTER AUTHORIZATION ON CERTIFICATE::c TO [{owner}]");
        assert_eq!(bench.run(0, &change), 15345, "{owner}");
    }
    assert_eq!(bench.run(0, "ALTER AUTHORIZATION ON CERTIFICATE::c TO plain"), 0);
    assert_eq!(bench.run(0, "DROP CERTIFICATE c"), 15559);
    let mut bench = bench.restarted();
    bench.answer_all();
    bench.connect("sa");
    assert_eq!(bench.run(0, "DROP CERTIFICATE c"), 15559, "the tie is in master");
    for statement in ["DROP USER signer", "DROP LOGIN signer", "DROP CERTIFICATE c"] {
        assert_eq!(bench.run(0, statement), 0, "{statement}");
    }
}
