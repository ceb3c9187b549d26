//! Every way an endpoint statement goes wrong that the manual's failure map lists: situation, statement, answer.
//!
//! A reviewer holds the snapshot against the map row by row. Rows of the map that cannot occur are in
//! `src/error/manual/`, marked `not_raised` with the reason.

use std::fmt::Write as _;

use super::*;
use crate::instance::{Edition, ListenerFailure, PortRange};

const CREATE: &str = "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (ROLE = ALL)";
const OWN_CERTIFICATE: &[&str] = &[
    "CREATE MASTER KEY ENCRYPTION BY PASSWORD = 'p'",
    "CREATE CERTIFICATE k WITH SUBJECT = 's'",
];

/// A situation: what was done before, and the statement that goes wrong.
struct Row {
    situation: &'static str,
    before: &'static [&'static str],
    statement: &'static str,
    options: fn(&mut InstanceOptions),
}

const fn row(situation: &'static str, before: &'static [&'static str], statement: &'static str) -> Row {
    Row {
        situation,
        before,
        statement,
        options: |_| {},
    }
}

impl Row {
    const fn on(self, options: fn(&mut InstanceOptions)) -> Row {
        Row { options, ..self }
    }
}

fn rows() -> Vec<Row> {
    vec![
        row(
            "second DATABASE_MIRRORING endpoint",
            &[CREATE],
            "CREATE ENDPOINT f AS TCP (LISTENER_PORT = 7023) FOR DATABASE_MIRRORING (ROLE = ALL)",
        ),
        row(
            "the port is the instance's own client port",
            &[],
            "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 1433) FOR DATABASE_MIRRORING (ROLE = ALL)",
        ),
        row(
            "endpoint name already taken",
            &[CREATE],
            "CREATE ENDPOINT E AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (ROLE = ALL)",
        ),
        row(
            "endpoint name of a built-in endpoint",
            &[],
            "CREATE ENDPOINT [TSQL Default TCP] AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (ROLE = ALL)",
        ),
        row(
            "name begins with a reserved prefix",
            &[],
            "CREATE ENDPOINT [##MS_e] AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (ROLE = ALL)",
        ),
        row(
            "LISTENER_PORT missing",
            &[],
            "CREATE ENDPOINT e AS TCP (LISTENER_IP = ALL) FOR DATABASE_MIRRORING (ROLE = ALL)",
        ),
        row(
            "ROLE missing",
            &[],
            "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (ENCRYPTION = DISABLED)",
        ),
        row(
            "clause not usable in this statement",
            &[CREATE],
            "ALTER ENDPOINT e AUTHORIZATION sa STATE = STARTED",
        ),
        row(
            "port below the range",
            &[],
            "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 1023) FOR DATABASE_MIRRORING (ROLE = ALL)",
        ),
        row(
            "port above the range",
            &[],
            "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 55555) FOR DATABASE_MIRRORING (ROLE = ALL)",
        ),
        row(
            "port above the range, lenient instance",
            &[],
            "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 55555) FOR DATABASE_MIRRORING (ROLE = ALL)",
        )
        .on(|o| o.ports = PortRange::Lenient),
        row(
            "parameter given twice",
            &[CREATE],
            "ALTER ENDPOINT e AS TCP (LISTENER_PORT = 7022, LISTENER_PORT = 7023)",
        ),
        row("STATE given twice", &[CREATE], "ALTER ENDPOINT e STATE = STARTED STATE = STOPPED"),
        row("ALTER tries to change the transport", &[CREATE], "ALTER ENDPOINT e AS HTTP (PATH = '/')"),
        row("ALTER tries to change the payload", &[CREATE], "ALTER ENDPOINT e FOR TSQL ()"),
        row(
            "protocol does not fit payload",
            &[],
            "CREATE ENDPOINT e AS HTTP (PATH = '/') FOR DATABASE_MIRRORING (ROLE = ALL)",
        ),
        row("ALTER with nothing to change", &[CREATE], "ALTER ENDPOINT e"),
        row(
            "dedicated admin endpoint touched",
            &[],
            "ALTER ENDPOINT [Dedicated Admin Connection] STATE = STOPPED",
        ),
        row(
            "AFFINITY clause on this type",
            &[CREATE],
            "ALTER ENDPOINT e AFFINITY = ADMIN",
        ),
        row(
            "clause not valid for this endpoint type",
            &[CREATE],
            "ALTER ENDPOINT e FOR DATABASE_MIRRORING (MESSAGE_FORWARDING = ENABLED)",
        ),
        row("dropping a built-in endpoint", &[], "DROP ENDPOINT [TSQL Local Machine]"),
        row("partner's endpoint in Express", &[], CREATE).on(|o| o.edition = Edition::Express),
        row(
            "IPv6 address not in canonical form",
            &[],
            "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 7022, LISTENER_IP = ('0:0::1')) FOR DATABASE_MIRRORING (ROLE = ALL)",
        ),
        row(
            "IPv6 address not recognised",
            &[],
            "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 7022, LISTENER_IP = ('10.0.75.1')) FOR DATABASE_MIRRORING (ROLE = ALL)",
        ),
        row(
            "certificate missing",
            OWN_CERTIFICATE,
            "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (AUTHENTICATION = CERTIFICATE nowhere, ROLE = ALL)",
        ),
        row(
            "certificate outside its dates",
            &[
                "CREATE MASTER KEY ENCRYPTION BY PASSWORD = 'p'",
                "CREATE CERTIFICATE old WITH SUBJECT = 's', START_DATE = '19600101', EXPIRY_DATE = '19610101'",
            ],
            "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (AUTHENTICATION = CERTIFICATE old, ROLE = ALL)",
        ),
        row("endpoint missing", &[], "ALTER ENDPOINT e STATE = STARTED"),
        row("endpoint missing", &[], "DROP ENDPOINT e"),
        row(
            "login of GRANT missing",
            &[CREATE],
            "GRANT CONNECT ON ENDPOINT::e TO nobody",
        ),
        row(
            "login for AUTHORIZATION unknown",
            &[],
            "CREATE ENDPOINT e AUTHORIZATION nobody AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (ROLE = ALL)",
        ),
        row(
            "inside a user transaction",
            &[CREATE, "CREATE DATABASE Sales", "USE Sales"],
            "BEGIN TRAN ALTER ENDPOINT e STATE = STARTED",
        ),
        row(
            "GRANT outside master",
            &[CREATE, "CREATE DATABASE Sales", "CREATE LOGIN a WITH PASSWORD = 'p'", "USE Sales"],
            "GRANT CONNECT ON ENDPOINT::e TO a",
        ),
        row("syntax near a token", &[], "CREATE ENDPOINT e AS TCP [7022]"),
        row("syntax near a keyword", &[], "CREATE ENDPOINT select"),
        row(
            "same method twice",
            &[],
            "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (AUTHENTICATION = WINDOWS WINDOWS, ROLE = ALL)",
        ),
        row(
            "ALGORITHM after DISABLED",
            &[],
            "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (ENCRYPTION = DISABLED ALGORITHM AES, ROLE = ALL)",
        ),
        row(
            "RC4 under FIPS mode",
            &[],
            "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (ENCRYPTION = REQUIRED ALGORITHM AES RC4, ROLE = ALL)",
        )
        .on(|o| o.fips = true),
        row("RC4 by default under FIPS mode, 2014", &[], CREATE).on(|o| {
            o.fips = true;
            o.version = 2014;
        }),
        row(
            "DROP LOGIN of an endpoint owner",
            &[CREATE, "CREATE LOGIN a WITH PASSWORD = 'p'", "ALTER AUTHORIZATION ON ENDPOINT::e TO a"],
            "DROP LOGIN a",
        ),
        row(
            "DROP LOGIN of a grantor",
            &[
                CREATE,
                "CREATE LOGIN a WITH PASSWORD = 'p' CREATE LOGIN b WITH PASSWORD = 'p'",
                "GRANT CONNECT ON ENDPOINT::e TO a WITH GRANT OPTION",
                "GRANT CONNECT ON ENDPOINT::e TO b AS a",
            ],
            "DROP LOGIN a",
        ),
        row(
            "certificate name already present",
            OWN_CERTIFICATE,
            "CREATE CERTIFICATE K WITH SUBJECT = 't'",
        ),
        row(
            "certificate bound to an endpoint at DROP",
            &[
                "CREATE MASTER KEY ENCRYPTION BY PASSWORD = 'p' CREATE CERTIFICATE k WITH SUBJECT = 's'",
                "CREATE ENDPOINT e AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (AUTHENTICATION = CERTIFICATE k, ROLE = ALL)",
            ],
            "DROP CERTIFICATE k",
        ),
        row("no usable master key", &[], "CREATE CERTIFICATE k WITH SUBJECT = 's'"),
        row("master key exists", OWN_CERTIFICATE, "CREATE MASTER KEY ENCRYPTION BY PASSWORD = 'q'"),
    ]
}

#[test]
fn each_row_of_the_failure_map_ends_in_its_number() {
    let mut text = String::new();
    for row in rows() {
        let mut options = InstanceOptions::default();
        (row.options)(&mut options);
        let mut bench = Bench::start(options, BTreeMap::new());
        let client = bench.client_as("sa");
        for statement in row.before {
            assert_eq!(bench.run(client, statement), 0, "{}: {statement}", row.situation);
        }
        let before = bench.master.clone();
        bench.begin(client, row.statement);
        bench.answer_all();
        let reply = bench.clients[client].replies.pop_front().expect("it is answered");
        let answer = match reply.error() {
            None => "ok".to_owned(),
            Some(error) => {
                assert_eq!(bench.master, before, "{}: nothing changes", row.situation);
                format!("Msg {}, Level {}: {}", error.number, error.severity, error.text)
            }
        };
        writeln!(text, "{}\n   {}\n   {answer}", row.situation, row.statement)
            .expect("a string takes everything");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_strict_instance_waits_for_its_listener() {
    let strict = || InstanceOptions {
        listener: ListenerFailure::Raised,
        ..InstanceOptions::default()
    };
    let started = CREATE.replace("e AS", "e STATE = STARTED AS");
    let endpoint = Listener::Endpoint;
    for (error, number) in [(None, 0), (Some(ListenError::AddressInUse), 7890)] {
        let mut bench = Bench::start(strict(), BTreeMap::new());
        let client = bench.client_as("sa");
        bench.begin(client, &started);
        bench.answer_all();
        assert_eq!(bench.number(client), None, "the port is not bound yet");
        bench.input(match error {
            None => Input::Listening { listener: endpoint },
            Some(error) => Input::ListenFailed {
                listener: endpoint,
                error,
            },
        });
        assert_eq!(bench.number(client), Some(number));
        assert_eq!(
            bench.run(client, "ALTER ENDPOINT e STATE = STOPPED"),
            0,
            "the catalog has it"
        );
    }
    // Who stops it meanwhile lets the first statement go on.
    let mut bench = Bench::start(strict(), BTreeMap::new());
    let (one, other) = (bench.client_as("sa"), bench.client_as("sa"));
    bench.begin(one, &started);
    bench.answer_all();
    assert_eq!(bench.run(other, "DROP ENDPOINT e"), 0);
    assert_eq!(bench.number(one), Some(0));
}

#[test]
fn the_default_algorithm_is_the_versions() {
    for (version, code) in [(2008, 1), (2014, 1), (2016, 2), (2022, 2)] {
        let options = InstanceOptions {
            version,
            ..InstanceOptions::default()
        };
        let mut bench = Bench::start(options, BTreeMap::new());
        let client = bench.client_as("sa");
        let mut shown = |statement: &str| {
            assert_eq!(bench.run(client, statement), 0, "{statement}");
            bench.begin(
                client,
                "SELECT encryption_algorithm FROM sys.database_mirroring_endpoints",
            );
            let reply = bench.clients[client].replies.pop_front().expect("it is answered");
            reply.rows().next().expect("there is an endpoint")[0].to_string()
        };
        assert_eq!(shown(CREATE), code.to_string(), "{version}");
        let supported = "ALTER ENDPOINT e FOR DATABASE_MIRRORING (ENCRYPTION = SUPPORTED)";
        assert_eq!(shown(supported), (code + 2).to_string(), "{version}");
    }
}

#[test]
fn an_instance_in_fips_mode_says_so() {
    for fips in [true, false] {
        let options = InstanceOptions {
            fips,
            ..InstanceOptions::default()
        };
        let mut bench = Bench::start(options, BTreeMap::new());
        let client = bench.client_as("sa");
        let started = CREATE.replacen("AS TCP", "STATE = STARTED AS TCP", 1);
        bench.begin(client, &started);
        bench.answer_all();
        bench.input(Input::Listening {
            listener: Listener::Endpoint,
        });
        bench.begin(
            client,
            "SELECT COUNT(*) FROM sys.fn_trace_gettable(DEFAULT, DEFAULT) WHERE Error = 28077",
        );
        let reply = bench.clients[client].replies.pop_back().expect("it is answered");
        let said = reply.rows().next().expect("a count")[0].to_string();
        assert_eq!(said, i64::from(fips).to_string());
    }
}
