//! A fault as the keys of an inline table, as a scenario file has it.

use std::time::Duration;

use crate::sim::fault::{Crash, Direction, Fault, FirewallFault, PortSpec};

/// `key = value`, one for each field of the fault but its kind.
pub(super) fn fault_keys(fault: &Fault) -> Vec<String> {
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
        | Fault::PauseSystem { system }
        | Fault::DnsLost { system } => vec![key("system", system)],
        Fault::DiskFailSync { system, file }
        | Fault::DiskLie { system, file }
        | Fault::DiskIoError { system, file }
        | Fault::DiskStuck { system, file }
        | Fault::DiskFull { system, file } => disk(system, file),
        Fault::DiskTorn {
            system,
            file,
            scattered,
        } => {
            let mut keys = disk(system, file);
            keys.push(format!("scattered = {scattered}"));
            keys
        }
        Fault::BitRot { system, file, offset } | Fault::BadSector { system, file, offset } => vec![
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
        Fault::DiskSlow {
            system,
            file,
            latency,
        } => {
            let mut keys = disk(system, file);
            keys.push(format!("latency = {}", time(*latency)));
            keys
        }
        Fault::AccountDisabled { account }
        | Fault::AccountLocked { account }
        | Fault::PasswordChanged { account } => vec![key("account", &account.to_string())],
        Fault::AccountRenamed { account, name } => {
            vec![key("account", &account.to_string()), key("name", name)]
        }
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

/// A string of TOML.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A duration as a scenario file has it.
pub(super) fn time(time: Duration) -> String {
    format!("\"{}ms\"", time.as_millis())
}

/// A disk, or one kind of file on it.
fn disk(system: &str, file: &str) -> Vec<String> {
    let mut keys = vec![format!("system = {}", quoted(system))];
    keys.extend((!file.is_empty()).then(|| format!("file = {}", quoted(file))));
    keys
}
