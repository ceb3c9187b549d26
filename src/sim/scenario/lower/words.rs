//! The words of a file: durations, numbers, choices and names, each read with the place it stands at.

use std::ops::Range;
use std::time::Duration;

use super::{Lowered, Lowering, Names};
use crate::domain::AccountName;
use crate::sim::client::ADMINISTRATOR;
use crate::sim::scenario::error::{Problem, ScenarioError, suggest};
use crate::sim::scenario::raw::*;
use crate::sim::scenario::units::{parse_duration, parse_seeds};
use crate::types::{DatabaseName, InstanceName};

/// Longest a condition is waited for unless `within` says otherwise.
const WITHIN_DEFAULT: Duration = Duration::from_secs(60);

impl Lowering<'_> {
    pub(super) fn error(&self, span: Range<usize>, problem: Problem, hint: Option<String>) -> ScenarioError {
        ScenarioError::at(self.file, self.text, span, problem, hint)
    }

    pub(super) fn misplaced(&self, span: Range<usize>, key: &str, owner: &str) -> ScenarioError {
        self.error(
            span,
            Problem::Misplaced {
                key: key.to_owned(),
                owner: owner.to_owned(),
            },
            None,
        )
    }

    pub(super) fn bad(
        &self,
        span: Range<usize>,
        what: &'static str,
        value: &str,
        hint: Option<String>,
    ) -> ScenarioError {
        self.error(
            span,
            Problem::BadValue {
                what,
                value: value.to_owned(),
            },
            hint,
        )
    }

    pub(super) fn duration(&self, text: &Text) -> Lowered<Duration> {
        parse_duration(text.get_ref()).ok_or_else(|| {
            self.error(
                text.span(),
                Problem::BadDuration(text.get_ref().clone()),
                Some("write a number with a unit: 250ms, 12s, 1.5s, 2m, 1m30s".into()),
            )
        })
    }

    /// A duration that may be negative.
    pub(super) fn signed_millis(&self, text: &Text) -> Lowered<i64> {
        let written = text.get_ref().trim();
        let (negative, magnitude) = match written.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, written.strip_prefix('+').unwrap_or(written)),
        };
        let millis = parse_duration(magnitude).and_then(|d| i64::try_from(d.as_millis()).ok());
        match millis {
            Some(millis) => Ok(if negative { -millis } else { millis }),
            None => Err(self.error(
                text.span(),
                Problem::BadDuration(text.get_ref().clone()),
                Some("write a signed number with a unit: -90s, +2h".into()),
            )),
        }
    }

    pub(super) fn within(&self, within: &Option<Text>) -> Lowered<Duration> {
        within.as_ref().map_or(Ok(WITHIN_DEFAULT), |w| self.duration(w))
    }

    pub(super) fn seeds(&self, text: &Text) -> Lowered<Vec<u64>> {
        parse_seeds(text.get_ref()).ok_or_else(|| {
            self.error(
                text.span(),
                Problem::BadSeeds(text.get_ref().clone()),
                Some("write 7, 1..3 (both ends included) or 1..3,7".into()),
            )
        })
    }

    pub(super) fn port(&self, number: &Number) -> Lowered<u16> {
        u16::try_from(*number.get_ref())
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| {
                self.bad(
                    number.span(),
                    "port from 1 to 65535",
                    &number.get_ref().to_string(),
                    None,
                )
            })
    }

    pub(super) fn unsigned<T: TryFrom<i64>>(&self, number: &Number, what: &'static str) -> Lowered<T> {
        let value = *number.get_ref();
        T::try_from(value).map_err(|_| self.bad(number.span(), what, &value.to_string(), None))
    }

    pub(super) fn message_number(&self, number: &Number) -> Lowered<u32> {
        let value = *number.get_ref();
        let bad = |hint: &str| {
            self.bad(
                number.span(),
                "message number of the catalogue",
                &value.to_string(),
                Some(hint.to_owned()),
            )
        };
        let known = u32::try_from(value).map_err(|_| bad("a message number is positive"))?;
        match crate::error::message(known) {
            Some(_) => Ok(known),
            None => Err(bad("no message with this number can ever be raised here")),
        }
    }

    pub(super) fn choice<T: Copy>(
        &self,
        text: &Text,
        what: &'static str,
        choices: &[(&str, T)],
    ) -> Lowered<T> {
        choices
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text.get_ref()))
            .map(|(_, value)| *value)
            .ok_or_else(|| {
                self.bad(
                    text.span(),
                    what,
                    text.get_ref(),
                    suggest(text.get_ref(), choices.iter().map(|(name, _)| *name)),
                )
            })
    }

    pub(super) fn exactly_one(&self, owner: &'static str, said: &[&str], span: Range<usize>) -> Lowered<()> {
        match said.len() {
            0 => Err(self.error(span, Problem::Empty { owner }, None)),
            1 => Ok(()),
            count => Err(self.error(
                span,
                Problem::TooMany {
                    owner,
                    count,
                    keys: said.join(", "),
                },
                None,
            )),
        }
    }

    /// The declared spelling of a name.
    pub(super) fn name(&self, what: &'static str, text: &Text, known: &[String]) -> Lowered<String> {
        known
            .iter()
            .find(|name| name.eq_ignore_ascii_case(text.get_ref()))
            .cloned()
            .ok_or_else(|| {
                self.error(
                    text.span(),
                    Problem::UnknownName {
                        what,
                        name: text.get_ref().clone(),
                    },
                    suggest(text.get_ref(), known.iter().map(String::as_str)),
                )
            })
    }

    pub(super) fn instance(&self, text: &Text, names: &Names) -> Lowered<InstanceName> {
        Ok(InstanceName::new(self.name(
            "instance",
            text,
            &names.instances,
        )?))
    }

    pub(super) fn system(&self, text: &Text, names: &Names) -> Lowered<String> {
        self.name("system", text, &names.systems)
    }

    /// An account as it is declared.
    pub(super) fn account(&self, text: &Text, names: &Names) -> Lowered<AccountName> {
        let known = self.name("account", text, &names.accounts)?;
        AccountName::parse(&known)
            .ok_or_else(|| self.bad(text.span(), "account (`DOMAIN\\\\name`)", text.get_ref(), None))
    }

    pub(super) fn database(
        &self,
        written: &Option<String>,
        names: &Names,
        span: Range<usize>,
    ) -> Lowered<DatabaseName> {
        match written.as_ref().or(names.database.as_ref()) {
            Some(database) => Ok(DatabaseName::new(database.clone())),
            None => Err(self.error(
                span,
                Problem::Missing("database"),
                Some("name it here, or for the whole file with a top-level `database = \"…\"`".into()),
            )),
        }
    }

    pub(super) fn unique(&self, what: &'static str, text: &Text, known: &[String]) -> Lowered<()> {
        if text.get_ref().trim().is_empty() {
            return Err(self.bad(text.span(), "name", text.get_ref(), None));
        }
        match known.iter().any(|k| k.eq_ignore_ascii_case(text.get_ref())) {
            true => Err(self.error(
                text.span(),
                Problem::Duplicate {
                    what,
                    name: text.get_ref().clone(),
                },
                None,
            )),
            false => Ok(()),
        }
    }
}

/// The login named by `as`; the administrator if there is none.
pub(super) fn login_of(written: Option<&Text>) -> String {
    written.map_or_else(|| ADMINISTRATOR.to_owned(), |login| login.get_ref().clone())
}
