//! A fault plan: what is done to a mirrored pair and its witness under load, drawn by an explorer and printed as a scenario.
//!
//! A plan is data, small enough to shrink; [`Plan::to_toml`] writes the complete scenario that carries it out, ends every
//! fault, puts the endpoints back and expects the session to heal. What finds a bug is therefore a file to keep.
//! Source: ours.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::time::Duration;

use super::fault::{Crash, Direction, Fault, FirewallFault, PortSpec};
use crate::types::InstanceName;

/// The port of every endpoint of the shared trio.
const ENDPOINT_PORT: u16 = 7022;

/// After everything is healed, before anything is asked of a session: instances start, connections come back.
const RESTORED_WITHIN: Duration = Duration::from_secs(5);

/// Longer than a session takes to heal, so that a switch asked for then is not refused.
const HEALED_WITHIN: Duration = Duration::from_secs(45);

/// What is done to alpha, beta and gamma of `scenarios/_shared/trio.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The seed the scenario runs with.
    pub seed: u64,
    /// Transactions a second of the one client.
    pub rate: u32,
    pub deeds: Vec<Deed>,
    /// Once healed, switch by hand to the other partner and back, so that both copies are read.
    pub there_and_back: bool,
}

/// One thing that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Since the deed before it was done.
    pub after: Duration,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Fault { fault: Fault, lasts: Option<Duration> },
    Sql { on: InstanceName, statement: Statement },
}

/// What an operator may try in the middle of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statement {
    StopEndpoint,
    StartEndpoint,
    /// The endpoint listens elsewhere, where nobody looks for it.
    MoveEndpoint(u16),
    Failover,
    WitnessOff,
    WitnessOn,
    TimeoutSeconds(u16),
}

impl Statement {
    fn touches_endpoint(self) -> bool {
        matches!(
            self,
            Statement::StopEndpoint | Statement::StartEndpoint | Statement::MoveEndpoint(_)
        )
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Statement::StopEndpoint => f.write_str("ALTER ENDPOINT Mirroring STATE = STOPPED;"),
            Statement::StartEndpoint => f.write_str("ALTER ENDPOINT Mirroring STATE = STARTED;"),
            Statement::MoveEndpoint(port) => write!(
                f,
                "ALTER ENDPOINT Mirroring AS TCP (LISTENER_PORT = {port}) FOR DATABASE_MIRRORING (ROLE = ALL);"
            ),
            Statement::Failover => f.write_str("ALTER DATABASE Sales SET PARTNER FAILOVER;"),
            Statement::WitnessOff => f.write_str("ALTER DATABASE Sales SET WITNESS OFF;"),
            Statement::WitnessOn => {
                write!(
                    f,
                    "ALTER DATABASE Sales SET WITNESS = 'TCP://gamma.lab.example:{ENDPOINT_PORT}';"
                )
            }
            Statement::TimeoutSeconds(seconds) => {
                write!(f, "ALTER DATABASE Sales SET PARTNER TIMEOUT {seconds};")
            }
        }
    }
}

impl Plan {
    /// The scenario that carries this plan out. It can be kept under `scenarios/` as it is.
    pub fn to_toml(&self) -> String {
        let mut steps = String::new();
        let mut until = Duration::from_secs(2);
        let mut step = |after: Duration, body: String| {
            until += after;
            let _ = write!(steps, "\n[[step]]\nafter = {}\n{body}\n", time(after));
        };
        for deed in &self.deeds {
            step(deed.after, deed.what.to_toml());
        }
        step(self.longest_fault(), "heal_all = true".into());
        for instance in self.broken_disks() {
            let restart = format!(
                "fault = {{ kind = \"restart\", instance = {} }}",
                quoted(&instance)
            );
            step(Duration::ZERO, restart);
        }
        for instance in self.touched_endpoints() {
            let sql = format!(
                "ALTER ENDPOINT Mirroring STATE = STARTED AS TCP (LISTENER_PORT = {ENDPOINT_PORT}) FOR DATABASE_MIRRORING (ROLE = ALL);"
            );
            step(
                RESTORED_WITHIN,
                format!("on = {}\nsql = {}", quoted(&instance), quoted(&sql)),
            );
        }
        if self.there_and_back {
            let mut pause = HEALED_WITHIN;
            for instance in ["alpha", "beta", "alpha"] {
                let statement = Statement::Failover;
                let what = What::Sql {
                    on: InstanceName::new(instance),
                    statement,
                };
                step(std::mem::replace(&mut pause, RESTORED_WITHIN), what.to_toml());
            }
        }
        format!(
            "promise = \"Whatever is done to the three of them, the oracles hold, and the session heals once it is over.\"\n\
             risk = \"A drawn plan of {} deeds under client load.\"\n\
             seeds = \"{}\"\nextends = \"trio\"\nuntil = {}\nsettle = \"60s\"\n\n\
             [[client]]\nname = \"app\"\ninitial = \"alpha\"\nfailover_partner = \"beta\"\nrate = {}\n\
             {steps}\n[[expect]]\nhealed = true\n",
            self.deeds.len(),
            self.seed,
            time(until),
            self.rate
        )
    }

    fn longest_fault(&self) -> Duration {
        let lasts = self.deeds.iter().filter_map(|deed| match &deed.what {
            What::Fault { lasts, .. } => *lasts,
            What::Sql { .. } => None,
        });
        lasts.max().unwrap_or_default()
    }

    /// Instances that gave up because their disk did, which is no fault that ends.
    fn broken_disks(&self) -> BTreeSet<String> {
        let broken = self.deeds.iter().filter_map(|deed| match &deed.what {
            What::Fault {
                fault: Fault::DiskFailSync { system, .. } | Fault::DiskFull { system },
                ..
            } => Some(system.clone()),
            _ => None,
        });
        broken.collect()
    }

    fn touched_endpoints(&self) -> BTreeSet<String> {
        let touched = self.deeds.iter().filter_map(|deed| match &deed.what {
            What::Sql { on, statement } if statement.touches_endpoint() => Some(on.as_str().to_owned()),
            _ => None,
        });
        touched.collect()
    }
}

impl What {
    fn to_toml(&self) -> String {
        match self {
            What::Sql { on, statement } => format!(
                "on = {}\nsql = {}\nmay_fail = true",
                quoted(on.as_str()),
                quoted(&statement.to_string())
            ),
            What::Fault { fault, lasts } => {
                let mut keys = vec![format!("kind = {}", quoted(fault.kind()))];
                keys.extend(fault_keys(fault));
                keys.extend(lasts.map(|lasts| format!("lasts = {}", time(lasts))));
                format!("fault = {{ {} }}", keys.join(", "))
            }
        }
    }
}

fn fault_keys(fault: &Fault) -> Vec<String> {
    let key = |key: &str, value: &str| format!("{key} = {}", quoted(value));
    let list = |names: &[String]| names.iter().map(|n| quoted(n)).collect::<Vec<_>>().join(", ");
    match fault {
        Fault::Drop(rule) | Fault::Reject(rule) => firewall_keys(rule),
        Fault::Cut { from, to } => vec![key("from", from), format!("to = [{}]", list(to))],
        Fault::SlowLink { from, to, latency } => vec![
            key("from", from),
            format!("to = [{}]", quoted(to)),
            format!("latency = {}", time(*latency)),
        ],
        Fault::Meddle(middle) => {
            let mut keys = vec![
                key("from", &middle.from),
                format!("to = [{}]", quoted(&middle.to)),
                format!("count = {}", middle.count),
            ];
            keys.extend(port_key(&middle.port));
            keys
        }
        Fault::Kill { instance } | Fault::Restart { instance } | Fault::Pause { instance } => {
            vec![key("instance", instance.as_str())]
        }
        Fault::PowerLoss { system }
        | Fault::PowerOn { system }
        | Fault::DiskStuck { system }
        | Fault::DiskFull { system }
        | Fault::DnsLost { system } => vec![key("system", system)],
        Fault::DiskFailSync { system, file }
        | Fault::DiskLie { system, file }
        | Fault::DiskIoError { system, file } => {
            let mut keys = vec![key("system", system)];
            keys.extend((!file.is_empty()).then(|| key("file", file)));
            keys
        }
        Fault::DiskTorn { system, scattered } => {
            vec![key("system", system), format!("scattered = {scattered}")]
        }
        Fault::BitRot { system, file, offset } => vec![
            key("system", system),
            key("file", file),
            format!("offset = {offset}"),
        ],
        Fault::CrashAtWrite {
            system,
            write,
            kept,
            how,
        } => vec![
            key("system", system),
            format!("write = {write}"),
            format!("kept = {kept}"),
            key(
                "how",
                match how {
                    Crash::Kill => "kill",
                    Crash::PowerLoss => "power_loss",
                },
            ),
        ],
        Fault::ClockStep { system, by_millis } => {
            vec![key("system", system), format!("by = \"{by_millis:+}ms\"")]
        }
        Fault::DiskSlow { system, latency } => {
            vec![key("system", system), format!("latency = {}", time(*latency))]
        }
        Fault::AccountDisabled { account }
        | Fault::AccountLocked { account }
        | Fault::PasswordChanged { account } => vec![key("account", &account.to_string())],
        Fault::SpnRemoved { instance } => vec![key("instance", instance.as_str())],
        Fault::SpnDuplicated { instance, account } => vec![
            key("instance", instance.as_str()),
            key("account", &account.to_string()),
        ],
        Fault::TrustRemoved { domain, trusted } => vec![key("domain", domain), key("trusted", trusted)],
        Fault::ControllerDown { domain } => vec![key("domain", domain)],
        Fault::ControllerSlow { domain, latency } => {
            vec![key("domain", domain), format!("latency = {}", time(*latency))]
        }
    }
}

fn firewall_keys(rule: &FirewallFault) -> Vec<String> {
    let systems: Vec<String> = rule.systems.iter().map(|s| quoted(s)).collect();
    let direction = match rule.direction {
        Direction::In => "in",
        Direction::Out => "out",
        Direction::Both => "both",
    };
    let mut keys = vec![
        format!("systems = [{}]", systems.join(", ")),
        format!("direction = {}", quoted(direction)),
    ];
    keys.extend(port_key(&rule.port));
    keys.extend(rule.peer.as_ref().map(|peer| format!("peer = {}", quoted(peer))));
    keys
}

fn port_key(port: &PortSpec) -> Option<String> {
    match port {
        PortSpec::Any => None,
        PortSpec::Port(port) => Some(format!("port = {port}")),
        PortSpec::EndpointOf(instance) => Some(format!("endpoint_of = {}", quoted(instance.as_str()))),
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn time(time: Duration) -> String {
    format!("\"{}ms\"", time.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::fault::MiddleFault;
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
            Fault::DiskStuck { system: system() },
            Fault::DiskTorn {
                system: system(),
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
                latency,
            },
            Fault::DiskFull { system: system() },
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
            Statement::Failover,
            Statement::WitnessOff,
            Statement::WitnessOn,
            Statement::TimeoutSeconds(5),
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
        let restores = |action: &Action| matches!(action, Action::Sql { sql, must: Must::Succeed, .. } if sql.contains("STATE = STARTED AS TCP"));
        assert_eq!(scenario.steps.iter().filter(|s| restores(&s.action)).count(), 1);
    }
}
