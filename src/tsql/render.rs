//! Drawing an error into the text it is about.

use std::fmt;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode};

use crate::error::SqlError;

/// The error as text, with the place pointed at when it has one. `script` is the text its place counts from: the batch,
/// or the whole script after `Batch::in_script`. No colour, no terminal width.
pub fn render_error(script: &str, error: &SqlError) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(110)
        .with_links(false);
    let mut text = String::new();
    match handler.render_report(&mut text, &Located { script, error }) {
        Ok(()) => text,
        Err(fmt::Error) => error.to_string(),
    }
}

#[derive(Debug)]
struct Located<'a> {
    script: &'a str,
    error: &'a SqlError,
}

impl fmt::Display for Located<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Located<'_> {}

impl Diagnostic for Located<'_> {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.error.at.map(|_| &self.script as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let at = self.error.at?;
        let mut start = at.start.min(self.script.len());
        let end = at.end.clamp(start, self.script.len());
        if start == end {
            // An empty place is not drawn at the end of a text: point at the character before it.
            let before = self.script.get(..start).and_then(|text| text.chars().next_back());
            start -= before.map_or(0, char::len_utf8);
        }
        // What is expected there is said in the text.
        let label = LabeledSpan::new(Some("here".to_owned()), start, end - start);
        Some(Box::new(std::iter::once(label)))
    }
}
