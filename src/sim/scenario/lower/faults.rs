//! Faults: each kind with the keys that belong to it, and no others.

use toml::Spanned;

use super::{Lowered, Lowering, Names};
use crate::domain::AccountName;
use crate::sim::fault::{Crash, Direction, Fault, FirewallFault, KINDS, MiddleFault, PortSpec};
use crate::sim::scenario::Action;
use crate::sim::scenario::error::Problem;
use crate::sim::scenario::raw::*;
use crate::sim::world::Meddling;

impl Lowering<'_> {
    pub(super) fn fault(&self, raw: &Spanned<RawFault>, names: &Names) -> Lowered<Action> {
        let f = raw.get_ref();
        let kinds = KINDS.map(|k| (k, k));
        let kind = self.choice(&f.kind, "kind of fault", &kinds)?;
        self.only_keys_of(kind, f)?;
        let missing = |key| self.error(raw.span(), Problem::Missing(key), None);
        let instance = || match &f.instance {
            Some(i) => self.instance(i, names),
            None => Err(missing("instance")),
        };
        let system = || match &f.system {
            Some(s) => self.system(s, names),
            None => Err(missing("system")),
        };
        let latency = || match &f.latency {
            Some(l) => self.duration(l),
            None => Err(missing("latency")),
        };
        let file = || {
            f.file
                .as_ref()
                .map(|file| file.get_ref().clone())
                .unwrap_or_default()
        };
        let account = || match &f.account {
            Some(account) => self.account(account, names),
            None => Err(missing("account")),
        };
        let domain = |key, written: &Option<Text>| match written {
            Some(domain) => self.name("domain", domain, &names.domains),
            None => Err(missing(key)),
        };
        let pair = || -> Lowered<(String, Vec<String>)> {
            let from = f.from.as_ref().ok_or_else(|| missing("from"))?;
            let to = f.to.as_ref().ok_or_else(|| missing("to"))?;
            let to_names = to
                .get_ref()
                .iter()
                .map(|t| self.system(t, names))
                .collect::<Lowered<Vec<_>>>()?;
            let from = self.system(from, names)?;
            match to_names.is_empty() || to_names.contains(&from) {
                true => Err(self.bad(to.span(), "list of other systems", "to", None)),
                false => Ok((from, to_names)),
            }
        };
        let fault = match kind {
            "drop" => Fault::Drop(self.firewall(raw, names)?),
            "reject" => Fault::Reject(self.firewall(raw, names)?),
            "cut" => {
                let (from, to) = pair()?;
                Fault::Cut { from, to }
            }
            "slow_link" => {
                let (from, mut to) = pair()?;
                match (to.pop(), to.is_empty()) {
                    (Some(to), true) => Fault::SlowLink {
                        from,
                        to,
                        latency: latency()?,
                    },
                    _ => return Err(self.bad(raw.span(), "link between two systems", "to", None)),
                }
            }
            "tamper" => self.meddling(Meddling::Tamper, raw, pair()?, names)?,
            "replay" => self.meddling(Meddling::Replay, raw, pair()?, names)?,
            "truncate" => self.meddling(Meddling::Truncate, raw, pair()?, names)?,
            "reorder" => self.meddling(Meddling::Reorder, raw, pair()?, names)?,
            "drop_bytes" => self.meddling(Meddling::DropBytes, raw, pair()?, names)?,
            "kill" => Fault::Kill {
                instance: instance()?,
            },
            "restart" => Fault::Restart {
                instance: instance()?,
            },
            "pause" if f.system.is_some() => Fault::PauseSystem { system: system()? },
            "pause" => Fault::Pause {
                instance: instance()?,
            },
            "power_loss" => Fault::PowerLoss { system: system()? },
            "power_on" => Fault::PowerOn { system: system()? },
            "clock_step" => Fault::ClockStep {
                system: system()?,
                by_millis: match &f.by {
                    Some(by) => self.signed_millis(by)?,
                    None => return Err(missing("by")),
                },
            },
            "disk_fail_sync" => Fault::DiskFailSync {
                system: system()?,
                file: file(),
            },
            "disk_lie" => Fault::DiskLie {
                system: system()?,
                file: file(),
            },
            "disk_io_error" => Fault::DiskIoError {
                system: system()?,
                file: file(),
            },
            "disk_stuck" => Fault::DiskStuck {
                system: system()?,
                file: file(),
            },
            "disk_torn" => Fault::DiskTorn {
                system: system()?,
                file: file(),
                scattered: f.scattered.as_ref().is_some_and(|s| *s.get_ref()),
            },
            "bit_rot" | "bad_sector" => {
                let system = system()?;
                let file = f.file.as_ref().ok_or_else(|| missing("file"))?.get_ref().clone();
                let offset = f.offset.as_ref().ok_or_else(|| missing("offset"))?;
                let offset = self.unsigned(offset, "offset")?;
                match kind {
                    "bit_rot" => Fault::BitRot { system, file, offset },
                    _ => Fault::BadSector { system, file, offset },
                }
            }
            "crash_at_write" => Fault::CrashAtWrite {
                system: system()?,
                write: match &f.write {
                    Some(write) => self.unsigned(write, "number of a write")?,
                    None => return Err(missing("write")),
                },
                kept: f.kept.as_ref().is_some_and(|k| *k.get_ref()),
                how: match &f.how {
                    Some(how) => self.choice(
                        how,
                        "way to go down",
                        &[("kill", Crash::Kill), ("power_loss", Crash::PowerLoss)],
                    )?,
                    None => Crash::PowerLoss,
                },
            },
            "disk_slow" => Fault::DiskSlow {
                system: system()?,
                file: file(),
                latency: latency()?,
            },
            "disk_full" => Fault::DiskFull {
                system: system()?,
                file: file(),
            },
            "account_disabled" => Fault::AccountDisabled { account: account()? },
            "account_locked" => Fault::AccountLocked { account: account()? },
            "password_changed" => Fault::PasswordChanged { account: account()? },
            "account_renamed" => {
                self.renamed(account()?, f.name.as_ref().ok_or_else(|| missing("name"))?, names)?
            }
            "spn_removed" => Fault::SpnRemoved {
                instance: instance()?,
            },
            "spn_duplicated" => Fault::SpnDuplicated {
                instance: instance()?,
                account: account()?,
            },
            "trust_removed" => Fault::TrustRemoved {
                domain: domain("domain", &f.domain)?,
                trusted: domain("trusted", &f.trusted)?,
            },
            "controller_down" => Fault::ControllerDown {
                domain: domain("domain", &f.domain)?,
            },
            "controller_slow" => Fault::ControllerSlow {
                domain: domain("domain", &f.domain)?,
                latency: latency()?,
            },
            _ => Fault::DnsLost { system: system()? },
        };
        let lasts = match &f.lasts {
            Some(written) if !fault.lasts() => {
                return Err(self.misplaced(
                    written.span(),
                    "lasts",
                    &format!("`{kind}`: it is over as soon as it has happened"),
                ));
            }
            Some(written) => Some(self.duration(written)?),
            None => None,
        };
        Ok(Action::Fault { fault, lasts })
    }

    fn only_keys_of(&self, kind: &str, f: &RawFault) -> Lowered<()> {
        let allowed: &[&str] = match kind {
            "drop" | "reject" => &["system", "systems", "direction", "port", "endpoint_of", "peer"],
            "cut" => &["from", "to"],
            "slow_link" => &["from", "to", "latency"],
            "tamper" | "replay" | "truncate" | "reorder" | "drop_bytes" => {
                &["from", "to", "port", "endpoint_of", "count"]
            }
            "pause" if f.system.is_some() => &["system"],
            "kill" | "restart" | "pause" => &["instance"],
            "clock_step" => &["system", "by"],
            "disk_slow" => &["system", "file", "latency"],
            "disk_fail_sync" | "disk_lie" | "disk_io_error" | "disk_stuck" | "disk_full" => {
                &["system", "file"]
            }
            "disk_torn" => &["system", "file", "scattered"],
            "bit_rot" | "bad_sector" => &["system", "file", "offset"],
            "crash_at_write" => &["system", "write", "kept", "how"],
            "account_disabled" | "account_locked" | "password_changed" => &["account"],
            "account_renamed" => &["account", "name"],
            "spn_removed" => &["instance"],
            "spn_duplicated" => &["instance", "account"],
            "trust_removed" => &["domain", "trusted"],
            "controller_down" => &["domain"],
            "controller_slow" => &["domain", "latency"],
            _ => &["system"],
        };
        let given = [
            ("system", f.system.as_ref().map(Spanned::span)),
            ("systems", f.systems.as_ref().map(Spanned::span)),
            ("instance", f.instance.as_ref().map(Spanned::span)),
            ("direction", f.direction.as_ref().map(Spanned::span)),
            ("port", f.port.as_ref().map(Spanned::span)),
            ("endpoint_of", f.endpoint_of.as_ref().map(Spanned::span)),
            ("peer", f.peer.as_ref().map(Spanned::span)),
            ("from", f.from.as_ref().map(Spanned::span)),
            ("to", f.to.as_ref().map(Spanned::span)),
            ("latency", f.latency.as_ref().map(Spanned::span)),
            ("by", f.by.as_ref().map(Spanned::span)),
            ("file", f.file.as_ref().map(Spanned::span)),
            ("offset", f.offset.as_ref().map(Spanned::span)),
            ("scattered", f.scattered.as_ref().map(Spanned::span)),
            ("write", f.write.as_ref().map(Spanned::span)),
            ("kept", f.kept.as_ref().map(Spanned::span)),
            ("how", f.how.as_ref().map(Spanned::span)),
            ("count", f.count.as_ref().map(Spanned::span)),
            ("account", f.account.as_ref().map(Spanned::span)),
            ("name", f.name.as_ref().map(Spanned::span)),
            ("domain", f.domain.as_ref().map(Spanned::span)),
            ("trusted", f.trusted.as_ref().map(Spanned::span)),
        ];
        for (key, span) in given {
            if let Some(span) = span
                && !allowed.contains(&key)
            {
                let owner = format!("a fault of kind `{kind}`, which takes {}", allowed.join(", "));
                return Err(self.misplaced(span, key, &owner));
            }
        }
        Ok(())
    }

    /// A computer keeps its name, which is also its system's.
    fn renamed(&self, account: AccountName, name: &Text, names: &Names) -> Lowered<Fault> {
        let to = name.get_ref();
        let hint = if account.is_computer() {
            "only a user's account is renamed"
        } else if to.is_empty() || to.contains(['\\', '$']) {
            "without the domain"
        } else if names.accounts.iter().any(|known| {
            AccountName::parse(known).is_some_and(|known| known == AccountName::new(account.domain(), to))
        }) {
            "this account exists"
        } else {
            return Ok(Fault::AccountRenamed {
                account,
                name: to.clone(),
            });
        };
        Err(self.bad(name.span(), "new name of an account", to, Some(hint.into())))
    }

    fn firewall(&self, raw: &Spanned<RawFault>, names: &Names) -> Lowered<FirewallFault> {
        let f = raw.get_ref();
        let written: Vec<&Text> = match (&f.system, &f.systems) {
            (Some(one), None) => vec![one],
            (None, Some(many)) => many.get_ref().iter().collect(),
            _ => Vec::new(),
        };
        if written.is_empty() {
            let hint = Some("name one `system` or a list of `systems`".into());
            return Err(self.error(raw.span(), Problem::Missing("system"), hint));
        }
        let port = self.port_spec(f, names)?;
        let directions = [
            ("in", Direction::In),
            ("out", Direction::Out),
            ("both", Direction::Both),
        ];
        Ok(FirewallFault {
            systems: written
                .into_iter()
                .map(|s| self.system(s, names))
                .collect::<Lowered<_>>()?,
            direction: f
                .direction
                .as_ref()
                .map_or(Ok(Direction::Both), |d| self.choice(d, "direction", &directions))?,
            port,
            peer: f.peer.as_ref().map(|p| self.system(p, names)).transpose()?,
        })
    }

    fn port_spec(&self, f: &RawFault, names: &Names) -> Lowered<PortSpec> {
        match (&f.port, &f.endpoint_of) {
            (Some(port), None) => Ok(PortSpec::Port(self.port(port)?)),
            (None, Some(instance)) => Ok(PortSpec::EndpointOf(self.instance(instance, names)?)),
            (None, None) => Ok(PortSpec::Any),
            (Some(_), Some(of)) => Err(self.misplaced(of.span(), "endpoint_of", "a fault that has a `port`")),
        }
    }

    fn meddling(
        &self,
        how: Meddling,
        raw: &Spanned<RawFault>,
        (from, mut to): (String, Vec<String>),
        names: &Names,
    ) -> Lowered<Fault> {
        let f = raw.get_ref();
        let (Some(to), true) = (to.pop(), to.is_empty()) else {
            return Err(self.bad(raw.span(), "stream from one system to one other", "to", None));
        };
        let count = match &f.count {
            None => 1,
            Some(count) => match u32::try_from(*count.get_ref()) {
                Ok(count) if count > 0 => count,
                _ => {
                    let written = count.get_ref().to_string();
                    return Err(self.bad(count.span(), "count of one or more", &written, None));
                }
            },
        };
        Ok(Fault::Meddle(MiddleFault {
            how,
            from,
            to,
            port: self.port_spec(f, names)?,
            count,
        }))
    }
}
