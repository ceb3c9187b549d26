//! Expectations: rows, conditions, and what clients were told.

use std::time::Duration;

use toml::Spanned;

use super::words::login_of;
use super::{Lowered, Lowering, Names};
use crate::sim::scenario::error::Problem;
use crate::sim::scenario::raw::*;
use crate::sim::scenario::{Condition, Expect, Expectation, Outcome};
use crate::types::InstanceName;

impl Lowering<'_> {
    pub(super) fn expect(
        &self,
        raw: &Spanned<RawExpect>,
        names: &Names,
        until: Duration,
    ) -> Lowered<Vec<Expect>> {
        let e = raw.get_ref();
        let at = e.at.as_ref().map(|at| self.duration(at)).transpose()?;
        if let (Some(at), Some(written)) = (at, &e.at)
            && at > until
        {
            return Err(self.error(written.span(), Problem::AfterEnd { at, until }, None));
        }
        let condition = e.role.is_some()
            || e.state.is_some()
            || e.serving.is_some()
            || e.witness.is_some()
            || e.alive.is_some();
        let counts = e.acknowledged.is_some() || e.refused.is_some() || e.in_doubt.is_some();
        let said: Vec<&str> = [
            ("query", e.query.is_some()),
            (
                "role/state/serving/witness/alive/error_log/log_text",
                condition || e.error_log.is_some() || e.log_text.is_some(),
            ),
            ("not_logged", e.not_logged.is_some()),
            (
                "acknowledged/refused/in_doubt/outage",
                counts || e.outage.is_some(),
            ),
            ("no_failover", e.no_failover.is_some()),
            ("failover_to", e.failover_to.is_some()),
            ("healed", e.healed.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, there)| there.then_some(key))
        .collect();
        self.exactly_one("an [[expect]]", &said, raw.span())?;
        self.expect_strays(raw)?;
        let on = || match &e.on {
            Some(on) => self.instance(on, names),
            None => Err(self.error(raw.span(), Problem::Missing("on"), None)),
        };
        let what = if let Some(query) = &e.query {
            vec![self.expect_query(raw, query, on()?)?]
        } else if let Some(number) = &e.not_logged {
            vec![Expectation::NotLogged {
                on: on()?,
                number: self.message_number(number)?,
            }]
        } else if let Some(flag) = &e.no_failover {
            match flag.get_ref() {
                true => vec![Expectation::NoFailover],
                false => {
                    return Err(self.bad(flag.span(), "expectation (`no_failover = true`)", "false", None));
                }
            }
        } else if let Some(flag) = &e.healed {
            match flag.get_ref() {
                true => vec![Expectation::Healed(self.database(
                    &e.database,
                    names,
                    raw.span(),
                )?)],
                false => return Err(self.bad(flag.span(), "expectation (`healed = true`)", "false", None)),
            }
        } else if let Some(to) = &e.failover_to {
            vec![Expectation::FailoverTo(self.instance(to, names)?)]
        } else if counts || e.outage.is_some() {
            self.expect_client(raw, names)?
        } else {
            let about_database =
                e.role.is_some() || e.state.is_some() || e.serving.is_some() || e.witness.is_some();
            vec![Expectation::Condition(Condition {
                on: on()?,
                database: match about_database {
                    true => Some(self.database(&e.database, names, raw.span())?),
                    false => None,
                },
                role: e.role.as_ref().map(|r| self.role(r)).transpose()?,
                state: e.state.as_ref().map(|s| self.state(s)).transpose()?,
                serving: e.serving,
                witness: e.witness.as_ref().map(|w| self.link(w)).transpose()?,
                error_log: e.error_log.as_ref().map(|n| self.message_number(n)).transpose()?,
                log_text: e.log_text.clone(),
                alive: e.alive,
            })]
        };
        Ok(what.into_iter().map(|what| Expect { at, what }).collect())
    }

    /// Keys that mean something only beside others.
    fn expect_strays(&self, raw: &Spanned<RawExpect>) -> Lowered<()> {
        let e = raw.get_ref();
        let needs_on = e.query.is_some()
            || e.not_logged.is_some()
            || e.error_log.is_some()
            || e.log_text.is_some()
            || e.role.is_some()
            || e.state.is_some()
            || e.serving.is_some()
            || e.witness.is_some()
            || e.alive.is_some();
        match (&e.on, &e.client) {
            (Some(on), _) if !needs_on => {
                return Err(self.misplaced(on.span(), "on", "an expectation that names no instance"));
            }
            (_, Some(client)) if needs_on => {
                return Err(self.misplaced(client.span(), "client", "an expectation about an instance"));
            }
            _ => {}
        }
        if let (None, Some(login)) = (&e.query, &e.login) {
            return Err(self.misplaced(login.span(), "as", "an expectation without `query`"));
        }
        if e.query.is_none() && (e.rows.is_some() || e.error.is_some()) {
            return Err(self.misplaced(raw.span(), "rows/error", "an expectation without `query`"));
        }
        Ok(())
    }

    fn expect_query(&self, raw: &Spanned<RawExpect>, query: &Text, on: InstanceName) -> Lowered<Expectation> {
        let e = raw.get_ref();
        let query_text = query.get_ref().clone();
        match (&e.rows, &e.error) {
            (Some(rows), None) => Ok(Expectation::Rows {
                on,
                login: login_of(e.login.as_ref()),
                query: query_text,
                rows: rows.iter().map(|row| row.iter().map(printed).collect()).collect(),
            }),
            (None, Some(number)) => Ok(Expectation::QueryError {
                on,
                login: login_of(e.login.as_ref()),
                query: query_text,
                number: self.message_number(number)?,
            }),
            _ => Err(self.error(
                raw.span(),
                Problem::Missing("rows"),
                Some("a query needs either `rows` or `error`".into()),
            )),
        }
    }

    fn expect_client(&self, raw: &Spanned<RawExpect>, names: &Names) -> Lowered<Vec<Expectation>> {
        let e = raw.get_ref();
        let Some(client) = &e.client else {
            return Err(self.error(raw.span(), Problem::Missing("client"), None));
        };
        let name = self.name("client", client, &names.clients)?;
        let mut out = Vec::new();
        for (outcome, bounds) in [
            (Outcome::Acknowledged, &e.acknowledged),
            (Outcome::Refused, &e.refused),
            (Outcome::InDoubt, &e.in_doubt),
        ] {
            let Some(written) = bounds else { continue };
            let RawBounds { at_least, at_most } = *written.get_ref();
            if at_least.is_none() && at_most.is_none() {
                let owner = "a bound (at_least, at_most)";
                return Err(self.error(written.span(), Problem::Empty { owner }, None));
            }
            out.push(Expectation::Client {
                name: name.clone(),
                outcome,
                at_least,
                at_most,
            });
        }
        if let Some(times) = &e.outage {
            let bound = |t: &Option<Text>| t.as_ref().map(|t| self.duration(t)).transpose();
            let (at_least, at_most) = (
                bound(&times.get_ref().at_least)?,
                bound(&times.get_ref().at_most)?,
            );
            if at_least.is_none() && at_most.is_none() {
                let owner = "a bound (at_least, at_most)";
                return Err(self.error(times.span(), Problem::Empty { owner }, None));
            }
            out.push(Expectation::Outage {
                client: name,
                at_least,
                at_most,
            });
        }
        Ok(out)
    }
}

/// A value as a reply prints it.
fn printed(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Boolean(bit) => if *bit { "1" } else { "0" }.to_owned(),
        other => other.to_string(),
    }
}
