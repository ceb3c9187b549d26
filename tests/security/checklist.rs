//! The nine conditions of a certificate login from an initiator to an acceptor, each broken once in each direction while a
//! session is up: the session stays, the next login is refused with the documented number on the documented side, and
//! undoing the damage heals the session.
//!
//! Condition 8 (the proof itself) needs a peer that lies, which no instance does: `endpoint::connection` has it in its
//! unit tests. Source: documented, *Transport Security* and the pages on certificates for inbound and outbound connections.

use std::time::Duration;

use mirrorlab::sim::world::ClockSetting;

use super::rig::{Outcome, Rig, with_rig};

/// Longer than the interval between two attempts to reach a partner.
const RETRIED_WITHIN: Duration = Duration::from_secs(12);

const DIRECTIONS: [(&str, &str); 2] = [("alpha", "beta"), ("beta", "alpha")];

const YEAR_MILLIS: i64 = 365 * 24 * 3_600_000;

/// Plays `test` on a synchronized pair of its own for each direction, as initiator and acceptor.
fn each_direction(test: impl AsyncFn(&Rig, &str, &str) + Copy + 'static) {
    for (initiator, acceptor) in DIRECTIONS {
        with_rig("pair", "", async move |rig| test(rig, initiator, acceptor).await);
    }
}

impl Rig {
    /// A session that is up takes no notice.
    async fn stays(&self) {
        self.pass(RETRIED_WITHIN).await;
        assert!(self.is_healed(), "a live session was disturbed");
    }

    /// Ends the connections between the two, so that both have to log in again, and gives them time to.
    async fn log_in_again(&self, restarted: &str) {
        let restart = "ALTER ENDPOINT Mirroring STATE = STOPPED; ALTER ENDPOINT Mirroring STATE = STARTED;";
        self.must(restarted, restart).await;
        // Those that the restart ended under way.
        self.forget_logins();
        self.pass(RETRIED_WITHIN).await;
    }

    async fn heals(&self) {
        self.pass(RETRIED_WITHIN).await;
        assert!(
            self.is_healed(),
            "the damage is undone and the session did not come back"
        );
    }

    /// How the login from `initiator` to `acceptor` ended, on either side.
    fn numbers(&self, initiator: &str, acceptor: &str) -> (u32, u32) {
        let number = |outcome| match outcome {
            Some(Outcome::Refused(number)) => number,
            Some(Outcome::Connected { .. }) => 0,
            None => panic!("nobody tried from {initiator} to {acceptor}"),
        };
        (
            number(self.login(initiator, false)),
            number(self.login(acceptor, true)),
        )
    }

    /// Whether a line with this number and this text is in the error log.
    fn logged(&self, on: &str, number: u32, text: &str) -> bool {
        let begins = format!("{number} ");
        let lines = self.log(on, Default::default());
        lines.iter().any(|l| l.starts_with(&begins) && l.contains(text))
    }

    fn set_clock(&self, system: &str, years: i64) {
        let id = self.world.find_system(system).expect("it is one of the three");
        let setting = ClockSetting {
            offset_millis: years * YEAR_MILLIS,
            ..ClockSetting::default()
        };
        self.world.set_clock(id, setting);
    }

    /// The initiator's own certificate cannot be used: it says why, as initiator and as acceptor.
    async fn own_certificate_fails(&self, initiator: &str, acceptor: &str, number: u32, reason: &str) {
        self.stays().await;
        self.log_in_again(acceptor).await;
        assert_eq!(self.numbers(initiator, acceptor).0, number, "{initiator} calls");
        assert_eq!(
            self.numbers(acceptor, initiator).1,
            number,
            "{initiator} is called"
        );
        assert!(
            self.logged(initiator, 28047, reason),
            "{:?}",
            self.log(initiator, Default::default())
        );
        assert!(
            !self.logged(acceptor, 28047, reason),
            "the peer learned the reason"
        );
    }

    /// The acceptor does not take the initiator's certificate.
    async fn is_refused(&self, initiator: &str, acceptor: &str, number: u32, reason: &str) {
        self.stays().await;
        self.log_in_again(initiator).await;
        assert_eq!(self.numbers(initiator, acceptor), (28028, number));
        // What it does not believe of who calls it, it does not believe of whom it calls; only a caller needs permission.
        let called = if number == 28034 { (0, 0) } else { (number, 28028) };
        assert_eq!(self.numbers(acceptor, initiator), called, "{acceptor} calls");
        let audit = if number == 28034 { 28048 } else { 28047 };
        assert!(
            self.logged(acceptor, audit, reason),
            "{:?}",
            self.log(acceptor, Default::default())
        );
        assert!(
            !self.logged(initiator, 9642, &number.to_string()),
            "the peer learned the reason"
        );
    }
}

#[test]
fn checklist_1_the_initiators_endpoint_is_started() {
    each_direction(async |rig, initiator, acceptor| {
        rig.forget_logins();
        rig.must(initiator, "ALTER ENDPOINT Mirroring STATE = STOPPED;")
            .await;
        rig.pass(RETRIED_WITHIN).await;
        assert_eq!(rig.login(acceptor, true), None, "{initiator} called");
        assert!(rig.logged(acceptor, 1474, "refused by the other side"));
        rig.must(initiator, "ALTER ENDPOINT Mirroring STATE = STARTED;")
            .await;
        rig.heals().await;
    });
}

#[test]
fn checklist_2_the_own_certificate_is_found_with_its_key() {
    each_direction(async |rig, initiator, acceptor| {
        let kept = "(FILE = 'kept.key', ENCRYPTION BY PASSWORD = 'p')";
        let backup =
            format!("BACKUP CERTIFICATE {initiator}_cert TO FILE = 'kept.cer' WITH PRIVATE KEY {kept};");
        rig.must(initiator, &backup).await;
        rig.must(
            initiator,
            &format!("ALTER CERTIFICATE {initiator}_cert REMOVE PRIVATE KEY;"),
        )
        .await;
        rig.own_certificate_fails(initiator, acceptor, 28036, "9765")
            .await;
        let kept = "(FILE = 'kept.key', DECRYPTION BY PASSWORD = 'p')";
        rig.must(
            initiator,
            &format!("ALTER CERTIFICATE {initiator}_cert WITH PRIVATE KEY {kept};"),
        )
        .await;
        rig.heals().await;
    });
}

#[test]
fn checklist_3_the_private_key_opens() {
    each_direction(async |rig, initiator, acceptor| {
        rig.must(
            initiator,
            "ALTER MASTER KEY DROP ENCRYPTION BY SERVICE MASTER KEY;",
        )
        .await;
        rig.own_certificate_fails(initiator, acceptor, 28037, "15581")
            .await;
        rig.must(
            initiator,
            "OPEN MASTER KEY DECRYPTION BY PASSWORD = 'Str0ng!Passw0rd'; \
             ALTER MASTER KEY ADD ENCRYPTION BY SERVICE MASTER KEY;",
        )
        .await;
        rig.heals().await;
    });
}

#[test]
fn checklist_4_the_own_certificate_is_in_date() {
    each_direction(async |rig, initiator, acceptor| {
        for (years, reason) in [(12, "28023"), (-3, "28022")] {
            rig.set_clock(initiator, years);
            rig.own_certificate_fails(initiator, acceptor, 28036, reason)
                .await;
            rig.set_clock(initiator, 0);
            rig.heals().await;
        }
    });
}

#[test]
fn checklist_5_the_peers_certificate_is_imported() {
    each_direction(async |rig, initiator, acceptor| {
        rig.must(acceptor, &format!("DROP CERTIFICATE {initiator}_cert;"))
            .await;
        rig.is_refused(initiator, acceptor, 28035, "9762").await;
        let import = format!(
            "CREATE CERTIFICATE {initiator}_cert AUTHORIZATION {initiator}_user FROM FILE = 'C:\\certs\\{initiator}.cer';"
        );
        rig.must(acceptor, &import).await;
        rig.heals().await;
    });
}

#[test]
fn checklist_6_the_imported_certificate_is_in_date() {
    each_direction(async |rig, initiator, acceptor| {
        let dates = "START_DATE = '20250101', EXPIRY_DATE = '20270101'";
        rig.must(
            initiator,
            &format!(
                "CREATE CERTIFICATE short WITH SUBJECT = 'short', {dates}; \
                 BACKUP CERTIFICATE short TO FILE = 'short.cer';"
            ),
        )
        .await;
        rig.copy_file("short.cer", initiator, acceptor);
        let import =
            format!("CREATE CERTIFICATE short AUTHORIZATION {initiator}_user FROM FILE = 'short.cer';");
        rig.must(acceptor, &import).await;
        rig.show(initiator, "short").await;
        rig.set_clock(acceptor, 2);
        rig.is_refused(initiator, acceptor, 28035, "9763").await;
        rig.set_clock(acceptor, 0);
        rig.heals().await;
    });
}

#[test]
fn checklist_7_the_imported_certificate_is_the_one_that_is_shown() {
    each_direction(async |rig, initiator, acceptor| {
        let (issued, namesake) = (
            literal(include_bytes!("issued.cer")),
            literal(include_bytes!("namesake.cer")),
        );
        let key = literal(include_bytes!("issued.key"));
        rig.must(
            initiator,
            &format!("CREATE CERTIFICATE issued FROM BINARY = {issued} WITH PRIVATE KEY (BINARY = {key});"),
        )
        .await;
        let import = |name: &str, bytes: &str| {
            format!("CREATE CERTIFICATE {name} AUTHORIZATION {initiator}_user FROM BINARY = {bytes};")
        };
        rig.must(acceptor, &import("issued", &issued)).await;
        rig.show(initiator, "issued").await;
        rig.must(acceptor, "DROP CERTIFICATE issued;").await;
        rig.must(acceptor, &import("namesake", &namesake)).await;
        rig.is_refused(initiator, acceptor, 28045, "28045").await;
        rig.must(acceptor, &import("issued", &issued)).await;
        rig.heals().await;
    });
}

#[test]
fn checklist_9_the_owner_has_a_login_that_may_connect() {
    each_direction(async |rig, initiator, acceptor| {
        let grant = format!("GRANT CONNECT ON ENDPOINT::Mirroring TO {initiator}_login;");
        let (login, user) = (format!("{initiator}_login"), format!("{initiator}_user"));
        let cases = [
            (
                format!("ALTER LOGIN {login} DISABLE;"),
                &user,
                format!("ALTER LOGIN {login} ENABLE;"),
            ),
            (
                format!("REVOKE CONNECT ON ENDPOINT::Mirroring FROM {login};"),
                &login,
                grant.clone(),
            ),
            (
                format!("DENY CONNECT ON ENDPOINT::Mirroring TO {login};"),
                &login,
                grant.clone(),
            ),
            (
                format!("DROP LOGIN {login};"),
                &user,
                format!("CREATE LOGIN {login} WITH PASSWORD = 'p'; {grant}"),
            ),
        ];
        for (damage, named, repair) in cases {
            rig.must(acceptor, &damage).await;
            rig.is_refused(initiator, acceptor, 28034, named).await;
            rig.must(acceptor, &repair).await;
            rig.heals().await;
        }
    });
}

/// Who has no user named as its owner is the administrator, who may always connect.
#[test]
fn a_certificate_imported_for_nobody_in_particular_is_the_administrators() {
    each_direction(async |rig, initiator, acceptor| {
        rig.must(
            acceptor,
            &format!(
                "DROP CERTIFICATE {initiator}_cert; DROP USER {initiator}_user; DROP LOGIN {initiator}_login; \
                 CREATE CERTIFICATE {initiator}_cert FROM FILE = 'C:\\certs\\{initiator}.cer';"
            ),
        )
        .await;
        rig.stays().await;
        rig.log_in_again(acceptor).await;
        assert_eq!(rig.numbers(initiator, acceptor), (0, 0));
        assert!(rig.logged(acceptor, 28046, "'sa'"));
        rig.heals().await;
    });
}

/// As the pages for Linux do it: each instance holds the same certificate with its private key, and shows it.
#[test]
fn one_certificate_restored_on_both_is_an_exact_copy() {
    each_direction(async |rig, first, second| {
        let key = |verb: &str| format!("WITH PRIVATE KEY (FILE = 'shared.key', {verb} BY PASSWORD = 'p')");
        rig.must(
            first,
            &format!(
                "CREATE CERTIFICATE shared AUTHORIZATION {second}_user WITH SUBJECT = 'shared'; \
                 BACKUP CERTIFICATE shared TO FILE = 'shared.cer' {};",
                key("ENCRYPTION")
            ),
        )
        .await;
        rig.copy_file("shared.cer", first, second);
        rig.copy_file("shared.key", first, second);
        rig.must(
            second,
            &format!(
                "CREATE CERTIFICATE shared AUTHORIZATION {first}_user FROM FILE = 'shared.cer' {};",
                key("DECRYPTION")
            ),
        )
        .await;
        rig.show(first, "shared").await;
        rig.show(second, "shared").await;
        rig.must(first, &format!("DROP CERTIFICATE {second}_cert;")).await;
        rig.must(second, &format!("DROP CERTIFICATE {first}_cert;")).await;
        rig.log_in_again(second).await;
        assert_eq!(rig.numbers(first, second), (0, 0));
        rig.heals().await;
    });
}

impl Rig {
    /// Has the endpoint show another certificate, which restarts it, and waits for the session to come back.
    async fn show(&self, on: &str, certificate: &str) {
        let alter = format!(
            "ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (AUTHENTICATION = CERTIFICATE {certificate}, ROLE = ALL);"
        );
        self.must(on, &alter).await;
        self.heals().await;
    }
}

fn literal(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|b| format!("{b:02X}")).collect();
    format!("0x{digits}")
}
