use super::*;
use crate::sim::fault::{Crash, Direction, FirewallFault, MiddleFault, PortSpec};
use crate::sim::scenario::{Action, Begin, Expectation, Library, Must, Scenario};
use crate::sim::world::Meddling;

fn parsed(plan: &Plan) -> Scenario {
    let mut library = Library::built_in();
    library.insert("explore/plan", &plan.to_toml());
    library
        .load("explore/plan")
        .unwrap_or_else(|error| panic!("{}\n{}", error.report(), plan.to_toml()))
}

fn every_fault() -> Vec<Fault> {
    let rule = |port, peer: Option<&str>| FirewallFault {
        systems: vec!["alpha".into(), "gamma".into()],
        direction: Direction::Out,
        port,
        peer: peer.map(str::to_owned),
    };
    let (system, instance, latency) = (
        || "beta".to_owned(),
        || InstanceName::new("beta"),
        Duration::from_millis(40),
    );
    vec![
        Fault::Drop(rule(PortSpec::Any, None)),
        Fault::Reject(rule(PortSpec::Port(7022), Some("beta"))),
        Fault::Drop(rule(PortSpec::EndpointOf(instance()), None)),
        Fault::Cut {
            from: system(),
            to: vec!["alpha".into(), "gamma".into()],
        },
        Fault::SlowLink {
            from: system(),
            to: "gamma".into(),
            latency,
        },
        Fault::Meddle(MiddleFault {
            how: Meddling::DropBytes,
            from: system(),
            to: "gamma".into(),
            port: PortSpec::EndpointOf(instance()),
            count: 3,
        }),
        Fault::Kill { instance: instance() },
        Fault::Restart { instance: instance() },
        Fault::PowerLoss { system: system() },
        Fault::PowerOn { system: system() },
        Fault::Pause { instance: instance() },
        Fault::ClockStep {
            system: system(),
            by_millis: -90_000,
        },
        Fault::DiskFailSync {
            system: system(),
            file: String::new(),
        },
        Fault::DiskLie {
            system: system(),
            file: ".ldf".into(),
        },
        Fault::DiskIoError {
            system: system(),
            file: "master.mdf".into(),
        },
        Fault::DiskStuck {
            system: system(),
            file: String::new(),
        },
        Fault::DiskTorn {
            system: system(),
            file: ".mdf".into(),
            scattered: true,
        },
        Fault::BitRot {
            system: system(),
            file: "instances/beta/sales.mdf".into(),
            offset: 4096,
        },
        Fault::CrashAtWrite {
            system: system(),
            write: 3,
            kept: true,
            how: Crash::PowerLoss,
        },
        Fault::DiskSlow {
            system: system(),
            file: ".ldf".into(),
            latency,
        },
        Fault::DiskFull {
            system: system(),
            file: ".ldf".into(),
        },
        Fault::DnsLost { system: system() },
    ]
}

#[test]
fn what_is_written_is_what_is_read() {
    let faults = every_fault();
    let deeds = faults.iter().map(|fault| Deed {
        after: Duration::from_millis(1250),
        what: What::Fault {
            lasts: fault.lasts().then_some(Duration::from_secs(7)),
            fault: fault.clone(),
        },
    });
    let plan = Plan {
        seed: 77,
        rate: 3,
        deeds: deeds.collect(),
        there_and_back: false,
    };
    let scenario = parsed(&plan);
    assert_eq!(scenario.seeds, [77]);
    assert_eq!(scenario.topology.clients[0].rate, 3);
    for (deed, step) in plan.deeds.iter().zip(&scenario.steps) {
        let What::Fault { fault, lasts } = &deed.what else {
            panic!("only faults here")
        };
        assert_eq!(step.begin, Begin::After(deed.after));
        assert_eq!(
            step.action,
            Action::Fault {
                fault: fault.clone(),
                lasts: *lasts
            }
        );
    }
    assert!(scenario.steps.len() > plan.deeds.len());
    assert!(matches!(scenario.expects[0].what, Expectation::Healed(_)));
}

#[test]
fn statements_are_tried_and_endpoints_put_back() {
    let statements = [
        Statement::StopEndpoint,
        Statement::StartEndpoint,
        Statement::MoveEndpoint(7023),
        Statement::DropEndpoint,
        Statement::Encrypt(Encrypt::Disabled),
        Statement::Encrypt(Encrypt::SupportedAes),
        Statement::Encrypt(Encrypt::RequiredRc4),
        Statement::Encrypt(Encrypt::RequiredAesRc4),
        Statement::Encrypt(Encrypt::RequiredRc4Aes),
        Statement::DenyConnect("beta"),
        Statement::DisableLogin("gamma"),
        Statement::Failover,
        Statement::Force,
        Statement::Suspend,
        Statement::Resume,
        Statement::SafetyOff,
        Statement::SafetyFull,
        Statement::WitnessOff,
        Statement::WitnessOn,
        Statement::TimeoutSeconds(5),
        Statement::RedoQueue(Some(1)),
        Statement::RedoQueue(None),
    ];
    let deeds = statements.iter().map(|statement| Deed {
        after: Duration::from_secs(1),
        what: What::Sql {
            on: InstanceName::new("alpha"),
            statement: *statement,
        },
    });
    let plan = Plan {
        seed: 1,
        rate: 1,
        deeds: deeds.collect(),
        there_and_back: true,
    };
    let scenario = parsed(&plan);
    for (statement, step) in statements.iter().zip(&scenario.steps) {
        let (on, sql) = (InstanceName::new("alpha"), statement.to_string());
        crate::tsql::parse(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(
            step.action,
            Action::Sql {
                on,
                login: "sa".into(),
                sql,
                must: Must::End
            }
        );
    }
    let count = |text: &str, wanted: Must| {
        let has = |action: &Action| matches!(action, Action::Sql { sql, must, .. } if *must == wanted && sql.contains(text));
        scenario.steps.iter().filter(|s| has(&s.action)).count()
    };
    assert_eq!(count("CREATE ENDPOINT", Must::End), 1);
    assert_eq!(count("STATE = STARTED AS TCP", Must::Succeed), 1);
    assert_eq!(count("GRANT CONNECT", Must::Succeed), 2);
    assert_eq!(
        count("PARTNER RESUME", Must::End),
        3,
        "one tried and two at the end"
    );
    assert_eq!(count("SAFETY FULL", Must::End), 3, "one tried and two at the end");
}
