//! What each fault of an endpoint, a network or a security setting shows when mirroring is started: the number the
//! caller of ALTER DATABASE gets, and what stands in which error log. Certificates and permissions are `checklist`'s.
//!
//! Source: documented, the message tables and MSSQLSERVER_1418; the assignment of faults to numbers is partly derived.

use std::time::Duration;

use mirrorlab::types::{Timestamp, Value};

use super::rig::{Rig, set_partner, with_rig};

/// A connect into silence has been given up by then; it takes 21 s.
const PATIENCE: Duration = Duration::from_secs(30);

/// Plays `test` with the endpoints up and beta waiting for its partner.
fn before_the_session(test: impl AsyncFnOnce(&Rig) + 'static) {
    with_rig("trio_unmirrored", "", async move |rig| {
        rig.must("beta", &set_partner("alpha")).await;
        test(rig).await;
    });
}

impl Rig {
    /// A line with this number in front and this text somewhere.
    fn says(&self, on: &str, number: u32, text: &str) -> bool {
        let begins = format!("{number} ");
        let lines = self.log(on, Timestamp::ZERO);
        lines.iter().any(|l| l.starts_with(&begins) && l.contains(text))
    }

    /// alpha's SET PARTNER ends in 1418, and its error log says why as far as it can know.
    async fn is_not_found(&self, statement: &str, alpha: (u32, &str)) {
        assert_eq!(self.number("alpha", statement).await, 1418, "{statement}");
        let (number, text) = alpha;
        assert!(
            self.says("alpha", number, text),
            "{:?}",
            self.log("alpha", Timestamp::ZERO)
        );
    }
}

fn endpoint(options: &str) -> String {
    format!("ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING ({options}, ROLE = ALL);")
}

#[test]
fn no_endpoint_on_the_acceptor() {
    before_the_session(async |rig| {
        rig.must("beta", "DROP ENDPOINT Mirroring;").await;
        rig.is_not_found(&set_partner("beta"), (1474, "refused by the other side"))
            .await;
    });
}

#[test]
fn acceptor_stopped() {
    before_the_session(async |rig| {
        rig.must("beta", "ALTER ENDPOINT Mirroring STATE = STOPPED;")
            .await;
        assert!(rig.says("beta", 9691, ""));
        rig.is_not_found(&set_partner("beta"), (1474, "refused by the other side"))
            .await;
    });
}

#[test]
fn acceptor_disabled() {
    before_the_session(async |rig| {
        rig.must("beta", "ALTER ENDPOINT Mirroring STATE = DISABLED;")
            .await;
        rig.is_not_found(&set_partner("beta"), (9642, "Error: 28028"))
            .await;
        assert!(
            rig.says("beta", 9666, ""),
            "{:?}",
            rig.log("beta", Timestamp::ZERO)
        );
        let query = "SELECT DISTINCT subclass_name, Error FROM sys.fn_trace_gettable(DEFAULT, DEFAULT) \
                     WHERE EventClass = 151 AND Error = 9666 ORDER BY subclass_name";
        let ends = ["Closed", "Closing"].map(|end| vec![Value::from(end), Value::Int(9666)]);
        assert_eq!(rig.rows("beta", query).await, ends, "what it accepts it closes");
    });
}

#[test]
fn own_endpoint_not_started() {
    for state in ["STOPPED", "DISABLED"] {
        before_the_session(async move |rig| {
            rig.must("alpha", &format!("ALTER ENDPOINT Mirroring STATE = {state};"))
                .await;
            rig.is_not_found(&set_partner("beta"), (1486, "")).await;
            assert_eq!(rig.login("beta", true), None, "{state}: it called nevertheless");
        });
    }
}

#[test]
fn no_endpoint_of_ones_own() {
    with_rig("pair", "", async |rig| {
        rig.must("beta", "DROP ENDPOINT Mirroring;").await;
        let query = "SELECT DISTINCT subclass_name FROM sys.fn_trace_gettable(DEFAULT, DEFAULT) \
                     WHERE EventClass = 151 AND Error = 28080 ORDER BY subclass_name";
        let ends = ["Closed", "Closing"].map(|end| vec![Value::from(end)]);
        assert_eq!(rig.rows("beta", query).await, ends, "what was up");
    });
    before_the_session(async |rig| {
        rig.must("alpha", "DROP ENDPOINT Mirroring;").await;
        rig.is_not_found(&set_partner("beta"), (28080, "")).await;
        assert!(!rig.says("alpha", 1486, ""), "there is none to be disabled");
    });
}

#[test]
fn wrong_port_with_a_foreign_program() {
    before_the_session(async |rig| {
        rig.put_web_server("beta", 8080);
        for port in [1433, 8080] {
            let statement = set_partner("beta").replace(":7022", &format!(":{port}"));
            rig.is_not_found(&statement, (9642, "9757")).await;
            assert!(rig.says("alpha", 9642, &format!(":{port}")), "{port}");
        }
    });
}

#[test]
fn port_busy_at_start() {
    before_the_session(async |rig| {
        rig.must("beta", "ALTER ENDPOINT Mirroring STATE = STOPPED;")
            .await;
        rig.put_web_server("beta", 7022);
        rig.pass(Duration::from_secs(1)).await;
        rig.must("beta", "ALTER ENDPOINT Mirroring STATE = STARTED;")
            .await;
        rig.is_not_found(&set_partner("beta"), (9642, "9757")).await;
        for number in [26023, 9692] {
            assert!(rig.says("beta", number, ""), "{number}");
        }
    });
}

#[test]
fn dns_failure() {
    before_the_session(async |rig| {
        rig.is_not_found(&set_partner("nowhere"), (1474, "9783")).await;
    });
}

#[test]
fn firewall_drops() {
    before_the_session(async |rig| {
        let system = |name| rig.world.find_system(name).expect("it is one of the three");
        let cut = rig.world.cut(system("alpha"), system("beta"));
        // Given up before the operating system gives up the connect.
        assert_eq!(rig.number("alpha", &set_partner("beta")).await, 1418);
        assert_eq!(rig.login("beta", true), None);
        rig.world.heal(&cut.into());
        rig.pass(PATIENCE).await;
        rig.must("alpha", &set_partner("beta")).await;
    });
}

#[test]
fn no_common_authentication() {
    before_the_session(async |rig| {
        rig.must("beta", &endpoint("AUTHENTICATION = WINDOWS NEGOTIATE"))
            .await;
        rig.is_not_found(&set_partner("beta"), (9642, "Error: 28028"))
            .await;
        assert!(
            rig.says("beta", 28047, "28027"),
            "{:?}",
            rig.log("beta", Timestamp::ZERO)
        );
        assert!(rig.says("beta", 28047, "authentication protocol"));
    });
}

#[test]
fn no_common_encryption() {
    before_the_session(async |rig| {
        for encryption in ["DISABLED", "SUPPORTED ALGORITHM RC4", "REQUIRED ALGORITHM RC4"] {
            rig.must("beta", &endpoint(&format!("ENCRYPTION = {encryption}")))
                .await;
            rig.is_not_found(&set_partner("beta"), (9642, "Error: 28028"))
                .await;
        }
        for text in ["encryption level", "encryption algorithm"] {
            assert!(
                rig.says("beta", 28047, text),
                "{:?}",
                rig.log("beta", Timestamp::ZERO)
            );
        }
    });
}

#[test]
fn wrong_role_of_the_witness() {
    with_rig("pair", "", async |rig| {
        let role = "ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (ROLE = PARTNER);";
        rig.must("gamma", role).await;
        let witness = "ALTER DATABASE Sales SET WITNESS = 'TCP://gamma.lab.example:7022';";
        assert_eq!(rig.number("alpha", witness).await, 1427);
        assert!(rig.is_healed(), "the session goes on without");
    });
}

#[test]
fn bad_address() {
    before_the_session(async |rig| {
        for address in [
            "beta.lab.example:7022",
            "TCP://beta.lab.example",
            "TCP://beta:99999",
            "UDP://beta:7022",
        ] {
            let statement = format!("ALTER DATABASE Sales SET PARTNER = '{address}';");
            assert_eq!(rig.number("alpha", &statement).await, 1449, "{address}");
        }
    });
}

#[test]
fn partner_is_the_instance_itself() {
    before_the_session(async |rig| {
        assert_eq!(rig.number("alpha", &set_partner("alpha")).await, 1452);
    });
}
