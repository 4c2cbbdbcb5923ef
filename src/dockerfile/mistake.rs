//! What is wrong in a Dockerfile, and the lines that show where.

use super::tree::{Dockerfile, Span};
use crate::base::error::{Fault, Kind};
use std::fmt;

/// Something wrong in an instruction.
#[derive(Debug, Clone, PartialEq)]
pub struct Mistake {
    /// What is wrong, and what was expected.
    pub text: String,
    /// Where in the instruction's joined line it begins, in bytes, and how many it takes; `None` for all of it.
    pub at: Option<(usize, usize)>,
    /// What the user can do.
    pub hints: Vec<String>,
}

impl Mistake {
    /// A mistake somewhere in the instruction.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), at: None, hints: Vec::new() }
    }

    /// It is at this word, if its place is not known yet.
    pub fn at(mut self, word: &super::words::Word) -> Self {
        self.at.get_or_insert((word.at, word.text.len()));
        self
    }

    /// Add a line of advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Suggest the name that is nearest to a wrong one, if one is near.
    pub fn did_you_mean<'a>(self, wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Self {
        match crate::base::nearest::nearest_of(wrong, names.into_iter()) {
            Some(name) => self.hint(format!("did you mean `{name}`?")),
            None => self,
        }
    }

    /// As an error at a place in a file: with its name, line and column, and the lines themselves.
    pub fn fault(self, file: &str, lines: &[String], span: Span) -> anyhow::Error {
        let text = format!("{file}:{}:{}: {}", span.line, span.column, self.text);
        let mut fault = Fault::new(Kind::Usage, text);
        fault.shown = excerpt(lines, span);
        fault.hints = self.hints;
        fault.into()
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Mistake {}

impl Dockerfile {
    /// A mistake as an error at this place in the file.
    pub fn fault(&self, span: Span, mistake: Mistake) -> anyhow::Error {
        mistake.fault(&self.file, &self.lines, span)
    }
}

/// The lines of a span as messages show them: numbered, a part of a line marked by carets under it.
///
/// Of more than eight lines the first six and the last are shown.
pub fn excerpt(lines: &[String], span: Span) -> Vec<String> {
    let last = (span.last_line.max(span.line) as usize).min(lines.len());
    let first = (span.line as usize).clamp(1, last.max(1));
    let width = last.to_string().len().max(3);
    let mut shown = Vec::new();
    for number in first..=last {
        let left_out = last - first >= 8 && number > first + 5 && number < last;
        if left_out {
            if number == first + 6 {
                shown.push(format!("{:>width$} | …", ""));
            }
            continue;
        }
        // A tab would move what stands under it.
        let line = lines[number - 1].replace('\t', " ");
        shown.push(format!("{number:>width$} | {line}").trim_end().to_owned());
        if span.width > 0 && number == first {
            let blanks = " ".repeat(span.column.saturating_sub(1) as usize);
            shown.push(format!("{:>width$} | {blanks}{}", "", "^".repeat(span.width as usize)));
        }
    }
    shown
}
