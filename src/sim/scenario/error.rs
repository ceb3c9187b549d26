//! What can be wrong with a scenario file, with the place and a hint.

use std::fmt;

use miette::{Diagnostic, LabeledSpan, NamedSource, Severity, SourceCode, SourceSpan};
use thiserror::Error;

/// A fact about the file. Source: ours.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    #[error("cannot read it: {0}")]
    Unreadable(String),
    #[error("there is no such scenario")]
    NotFound,
    #[error("{0}")]
    Toml(String),
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("{what} `{name}` is not declared")]
    UnknownName { what: &'static str, name: String },
    #[error("{what} `{name}` is declared twice")]
    Duplicate { what: &'static str, name: String },
    #[error("`{0}` is not a duration")]
    BadDuration(String),
    #[error("`{0}` is not a list of seeds")]
    BadSeeds(String),
    #[error("`{value}` is not a {what}")]
    BadValue { what: &'static str, value: String },
    #[error("`{key}` does not belong to {owner}")]
    Misplaced { key: String, owner: String },
    #[error("{owner} says {count} things at once: {keys}")]
    TooMany {
        owner: &'static str,
        count: usize,
        keys: String,
    },
    #[error("{owner} says nothing")]
    Empty { owner: &'static str },
    #[error("this step begins at {at:?}, before the step above it at {previous:?}")]
    OutOfOrder {
        at: std::time::Duration,
        previous: std::time::Duration,
    },
    #[error("this happens at {at:?}, after the end of the scenario at {until:?}")]
    AfterEnd {
        at: std::time::Duration,
        until: std::time::Duration,
    },
    #[error("`extends` leads back to `{0}`")]
    Cycle(String),
    #[error("the scenario shows nothing: it has no [[expect]]")]
    NoExpectation,
}

/// A problem in a file. Prints as `file:line:column: problem`; as a `miette` diagnostic it shows the lines around it.
#[derive(Debug, Clone)]
pub struct ScenarioError(Box<Details>);

/// What a [`ScenarioError`] holds.
#[derive(Debug, Clone)]
pub struct Details {
    pub problem: Problem,
    pub file: String,
    /// Line and column, both from 1; absent if the file as a whole is meant.
    pub place: Option<(usize, usize)>,
    pub hint: Option<String>,
    snippet: Option<Snippet>,
}

#[derive(Debug, Clone)]
struct Snippet {
    source: NamedSource<String>,
    span: SourceSpan,
}

impl ScenarioError {
    /// About a file as a whole.
    pub fn whole(file: &str, problem: Problem, hint: Option<String>) -> ScenarioError {
        ScenarioError(Box::new(Details {
            problem,
            file: file.to_owned(),
            place: None,
            hint,
            snippet: None,
        }))
    }

    /// About the bytes `span` of `text`.
    pub fn at(
        file: &str,
        text: &str,
        span: std::ops::Range<usize>,
        problem: Problem,
        hint: Option<String>,
    ) -> ScenarioError {
        let start = floor_boundary(text, span.start);
        let end = floor_boundary(text, span.end.max(start));
        let line = text[..start].matches('\n').count() + 1;
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let column = text[line_start..start].chars().count() + 1;
        ScenarioError(Box::new(Details {
            problem,
            file: file.to_owned(),
            place: Some((line, column)),
            hint,
            snippet: Some(Snippet {
                source: NamedSource::new(file, text.to_owned()),
                span: (start, end - start).into(),
            }),
        }))
    }

    /// The whole report: problem, place, lines around it, hint. Plain characters, no colour.
    pub fn report(&self) -> String {
        let mut out = String::new();
        let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor())
            .with_width(110);
        if handler.render_report(&mut out, self).is_err() {
            return self.to_string();
        }
        // The drawing begins with the message, which stands above it already.
        let drawing = out.split_once('\n').map_or("", |(_, rest)| rest);
        format!("{self}\n{drawing}")
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.problem)?;
        match (&self.hint, &self.snippet) {
            (Some(hint), None) => write!(f, " ({hint})"),
            _ => Ok(()),
        }
    }
}

impl std::ops::Deref for ScenarioError {
    type Target = Details;

    fn deref(&self) -> &Details {
        &self.0
    }
}

impl std::error::Error for ScenarioError {}

impl Diagnostic for ScenarioError {
    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.hint
            .as_ref()
            .map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.snippet
            .as_ref()
            .map(|snippet| &snippet.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let snippet = self.snippet.as_ref()?;
        let label = LabeledSpan::new_with_span(Some("here".to_owned()), snippet.span);
        Some(Box::new(std::iter::once(label)))
    }
}

/// `did you mean …?` if one of `known` is close to `name`, otherwise the list of what there is.
pub(super) fn suggest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    match near(name, known.iter().copied()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None if known.is_empty() => None,
        None => Some(format!("there are: {}", known.join(", "))),
    }
}

/// The one of `known` that is closest to `name`, if it is close.
pub(super) fn near<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_ascii_lowercase();
    let (far, nearest) = known
        .into_iter()
        .map(|k| (distance(&wanted, &k.to_ascii_lowercase()), k))
        .min()?;
    (far <= 1 + wanted.chars().count() / 3).then_some(nearest)
}

/// Levenshtein distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_far_ones_listed() {
        assert_eq!(
            suggest("alhpa", ["alpha", "beta"]),
            Some("did you mean `alpha`?".into())
        );
        assert_eq!(suggest("omega", ["xy", "zz"]), Some("there are: xy, zz".into()));
        assert_eq!(suggest("omega", []), None);
    }

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let text = "a = 1\nü = äx\n";
        let at = text.find('x').unwrap_or_default();
        let error = ScenarioError::at("f.toml", text, at..at + 1, Problem::NotFound, None);
        assert_eq!(error.place, Some((2, 6)));
        assert_eq!(error.to_string(), "f.toml:2:6: there is no such scenario");
    }
}
