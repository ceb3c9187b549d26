//! Steps: when each begins, what it does, how its batch must end.

use std::time::Duration;

use toml::Spanned;

use super::words::login_of;
use super::{Lowered, Lowering, Names};
use crate::sim::scenario::error::Problem;
use crate::sim::scenario::raw::*;
use crate::sim::scenario::{Action, Begin, Must, Step};
use crate::sim::topology::Topology;

impl Lowering<'_> {
    pub(super) fn steps(&self, raw: &RawScenario, names: &Names, until: Duration) -> Lowered<Vec<Step>> {
        let mut steps = Vec::new();
        let mut previous = Duration::ZERO;
        for step in &raw.step {
            let lowered = self.step(step, names)?;
            if let (Begin::At(at), Some(written)) = (&lowered.begin, &step.get_ref().at) {
                if *at < previous {
                    let problem = Problem::OutOfOrder { at: *at, previous };
                    let hint = Some("steps run in the order they are written: move it up".into());
                    return Err(self.error(written.span(), problem, hint));
                }
                if *at > until {
                    return Err(self.error(written.span(), Problem::AfterEnd { at: *at, until }, None));
                }
                previous = *at;
            }
            steps.push(lowered);
        }
        Ok(steps)
    }

    fn step(&self, raw: &Spanned<RawStep>, names: &Names) -> Lowered<Step> {
        let step = raw.get_ref();
        let begins: Vec<&str> = [
            ("at", step.at.is_some()),
            ("after", step.after.is_some()),
            ("when", step.when.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, there)| there.then_some(key))
        .collect();
        if begins.is_empty() {
            let hint = Some("say when it begins: `at = \"12s\"`, `after = \"1s\"` or `when = { … }`".into());
            return Err(self.error(raw.span(), Problem::Missing("at"), hint));
        }
        self.exactly_one("the beginning of a [[step]]", &begins, raw.span())?;
        let begin = match (&step.at, &step.after, &step.when) {
            (Some(at), ..) => Begin::At(self.duration(at)?),
            (_, Some(after), _) => Begin::After(self.duration(after)?),
            (_, _, Some(when)) => Begin::When {
                condition: self.condition(when, names)?,
                within: self.within(&step.within)?,
            },
            (None, None, None) => return Err(self.error(raw.span(), Problem::Missing("at"), None)),
        };
        if let (Some(within), None) = (&step.within, &step.when) {
            return Err(self.misplaced(within.span(), "within", "a step without `when`"));
        }
        Ok(Step {
            begin,
            action: self.action(raw, names)?,
        })
    }

    fn action(&self, raw: &Spanned<RawStep>, names: &Names) -> Lowered<Action> {
        let step = raw.get_ref();
        let said: Vec<&str> = [
            ("sql", step.sql.is_some()),
            ("fault", step.fault.is_some()),
            ("start_client", step.start_client.is_some()),
            ("stop_client", step.stop_client.is_some()),
            ("heal_all", step.heal_all.is_some()),
            ("wait", step.wait.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, there)| there.then_some(key))
        .collect();
        self.exactly_one("a [[step]]", &said, raw.span())?;
        if step.sql.is_none() {
            let stray = step
                .on
                .as_ref()
                .map(|on| ("on", on.span()))
                .or(step.login.as_ref().map(|l| ("as", l.span())))
                .or(step.expect_error.as_ref().map(|e| ("expect_error", e.span())))
                .or(step.may_fail.as_ref().map(|m| ("may_fail", m.span())));
            if let Some((key, span)) = stray {
                return Err(self.misplaced(span, key, "a step without `sql`"));
            }
        }
        if let Some(sql) = &step.sql {
            let Some(on) = &step.on else {
                return Err(self.error(sql.span(), Problem::Missing("on"), None));
            };
            return Ok(Action::Sql {
                on: self.instance(on, names)?,
                login: login_of(step.login.as_ref()),
                sql: sql.get_ref().clone(),
                must: self.must(step)?,
            });
        }
        if let Some(fault) = &step.fault {
            return self.fault(fault, names);
        }
        if let Some(client) = &step.start_client {
            return Ok(Action::StartClient(self.name(
                "client",
                client,
                &names.clients,
            )?));
        }
        if let Some(client) = &step.stop_client {
            return Ok(Action::StopClient(self.name("client", client, &names.clients)?));
        }
        if let Some(wait) = &step.wait {
            return Ok(Action::Wait(self.duration(wait)?));
        }
        match &step.heal_all {
            Some(flag) if !*flag.get_ref() => {
                Err(self.bad(flag.span(), "thing to do (`heal_all = true`)", "false", None))
            }
            _ => Ok(Action::HealAll),
        }
    }

    fn must(&self, step: &RawStep) -> Lowered<Must> {
        match (&step.expect_error, &step.may_fail) {
            (Some(_), Some(may_fail)) => {
                Err(self.misplaced(may_fail.span(), "may_fail", "a step that has an `expect_error`"))
            }
            (Some(number), None) => Ok(Must::Fail(self.message_number(number)?)),
            (None, Some(may_fail)) if *may_fail.get_ref() => Ok(Must::End),
            (None, _) => Ok(Must::Succeed),
        }
    }

    /// A client that a step starts does not start by itself; every other one starts with the scenario.
    pub(super) fn start_by_step(&self, topology: &mut Topology, raw: &RawScenario, steps: &[Step]) {
        for client in &mut topology.clients {
            let by_step = steps
                .iter()
                .any(|s| matches!(&s.action, Action::StartClient(name) if *name == client.name));
            if client.from.is_none() && !by_step {
                client.from = Some(Duration::ZERO);
            }
        }
        debug_assert!(raw.step.len() == steps.len());
    }
}
