//! Expectations: what a scenario says must be seen, held against the model of the trace or against a query's answer.

use super::Player;
use crate::sim::scenario::{Expect, Expectation};
use crate::sim::stage::Stage;
use crate::types::{Reply, Timestamp};

impl<S: Stage> Player<'_, S> {
    pub(super) async fn final_expectations(&mut self) {
        let clients: Vec<String> = self
            .scenario
            .topology
            .clients
            .iter()
            .map(|c| c.name.clone())
            .collect();
        for expect in self.scenario.expects.iter().filter(|e| e.at.is_none()) {
            self.expect(expect).await;
        }
        for client in clients {
            self.stage.stop_client(&client);
        }
    }

    pub(super) async fn expect(&mut self, expect: &Expect) {
        let checked = self.check(&expect.what).await;
        self.checked(expect, checked);
    }

    pub(super) fn checked(&mut self, expect: &Expect, checked: Result<(), String>) {
        if let Err(message) = checked {
            let fingerprint = format!("expect/{}", expect.what);
            self.fail("expectation", fingerprint, format!("{}: {message}", expect.what));
        }
    }

    pub(super) async fn check(&mut self, what: &Expectation) -> Result<(), String> {
        match what {
            Expectation::Rows {
                on,
                login,
                query,
                rows,
            } => {
                let reply = self.query(on, login, query).await?;
                if let Some(error) = reply.error() {
                    return Err(error.to_string());
                }
                let seen = printed(&reply);
                expect_that(are_as_expected(&seen, rows), || {
                    format!("it answered {seen:?}, not {rows:?}")
                })
            }
            Expectation::QueryError {
                on,
                login,
                query,
                number,
            } => {
                let reply = self.query(on, login, query).await?;
                match reply.error() {
                    Some(error) if error.number == *number => Ok(()),
                    Some(error) => Err(format!("it ended in {error}")),
                    None => Err("it succeeded".into()),
                }
            }
            other => self.check_now(other),
        }
    }

    pub(super) fn check_now(&self, what: &Expectation) -> Result<(), String> {
        self.recorder
            .model(|model| check_model(what, model, self.origin, self.stage.now()))
    }
}

fn check_model(
    what: &Expectation,
    model: &crate::sim::model::Model,
    origin: Timestamp,
    now: Timestamp,
) -> Result<(), String> {
    match what {
        Expectation::Condition(condition) => {
            expect_that(model.holds(condition, origin), || model.describe(condition))
        }
        Expectation::NotLogged { on, number } => {
            expect_that(!model.logged(on, *number, origin), || "it did".into())
        }
        Expectation::Client {
            name,
            outcome,
            at_least,
            at_most,
        } => {
            let count = model.client(name).map_or(0, |tally| tally.count(*outcome));
            let within = at_least.is_none_or(|low| count >= low) && at_most.is_none_or(|high| count <= high);
            expect_that(within, || format!("it was {count}"))
        }
        Expectation::Outage {
            client,
            at_least,
            at_most,
        } => {
            let outage = model.outage(client, now);
            let within =
                at_least.is_none_or(|low| outage >= low) && at_most.is_none_or(|high| outage <= high);
            expect_that(within, || format!("it was {outage:?}"))
        }
        Expectation::NoFailover => match model.switches().iter().find(|s| s.at >= origin) {
            None => Ok(()),
            Some(switch) => Err(format!("{} took {} over", switch.to, switch.database)),
        },
        Expectation::FailoverTo(instance) => match model.switches().iter().rfind(|s| s.at >= origin) {
            Some(switch) if switch.to == *instance => Ok(()),
            Some(switch) => Err(format!("the last one was to {}", switch.to)),
            None => Err("there was none".into()),
        },
        Expectation::Healed(database) => model.healed(database),
        // Answered by a query, not by the model.
        Expectation::Rows { .. } | Expectation::QueryError { .. } => Ok(()),
    }
}

/// Row by row and cell by cell; an expected `*` is any value that is not NULL.
fn are_as_expected(seen: &[Vec<String>], expected: &[Vec<String>]) -> bool {
    let cell = |(seen, expected): (&String, &String)| match expected.as_str() {
        "*" => seen != "NULL",
        expected => seen == expected,
    };
    let row = |(seen, expected): (&Vec<String>, &Vec<String>)| {
        seen.len() == expected.len() && seen.iter().zip(expected).all(cell)
    };
    seen.len() == expected.len() && seen.iter().zip(expected).all(row)
}

fn expect_that(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    match holds {
        true => Ok(()),
        false => Err(otherwise()),
    }
}

pub(super) fn printed(reply: &Reply) -> Vec<Vec<String>> {
    reply
        .rows()
        .map(|row| row.iter().map(ToString::to_string).collect())
        .collect()
}
