//! What is told when a build has ended: the step that failed with its last lines, the Dockerfile's lines that it came
//! from, marked, and warnings.

use super::lines::{Splitter, Tail, clean, stamp};
use crate::build::{Event, Excerpt, StepId};
use crate::cli::errors::escape;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Instant;

/// So many last lines of the step that failed.
const LAST: usize = 8;

/// Gathers what may have to be told.
#[derive(Debug, Default)]
pub struct Report {
    steps: HashMap<StepId, Step>,
    failures: Vec<(StepId, Option<Excerpt>)>,
    warnings: Vec<(String, Option<Excerpt>)>,
}

#[derive(Debug)]
struct Step {
    name: String,
    began: Instant,
    splitter: Splitter,
    tail: Tail,
}

impl Report {
    /// Note an event.
    pub fn note(&mut self, now: Instant, event: &Event<'_>) {
        match *event {
            Event::Began { step, name } => {
                let (splitter, tail) = (Splitter::default(), Tail::new(LAST));
                self.steps.insert(step, Step { name: name.to_owned(), began: now, splitter, tail });
            }
            Event::Output { step, bytes, .. } => {
                let Some(step) = self.steps.get_mut(&step) else { return };
                let at = stamp(now.duration_since(step.began).as_secs_f64());
                step.splitter.push(bytes, |line| step.tail.push(format!("{at} {}", clean(line))));
            }
            Event::Done { step, .. } | Event::Cancelled { step } => drop(self.steps.remove(&step)),
            Event::Failed { step, excerpt, .. } => self.failures.push((step, excerpt.cloned())),
            Event::Warning { text, excerpt } => self.warnings.push((text.to_owned(), excerpt.cloned())),
            Event::Cached { .. } | Event::Progress { .. } => {}
        }
    }

    /// The warnings, as a list; nothing where there are none.
    pub fn warnings(&self) -> String {
        let mut out = String::new();
        let count = self.warnings.len();
        if count > 0 {
            let _ = writeln!(out, "\n {count} warning{} found:", if count == 1 { "" } else { "s" });
        }
        for (text, excerpt) in &self.warnings {
            let place = excerpt.as_ref().map(place).map(|place| format!(" ({place})")).unwrap_or_default();
            let _ = writeln!(out, " - {}{place}", escape(text));
        }
        out
    }

    /// The steps that failed; nothing where none did.
    pub fn failures(&mut self) -> String {
        let mut out = String::new();
        for (step, excerpt) in std::mem::take(&mut self.failures) {
            if let Some(step) = self.steps.get_mut(&step) {
                if let Some(rest) = step.splitter.rest() {
                    step.tail.push(clean(&rest));
                }
                if step.tail.lines().next().is_some() {
                    let _ = writeln!(out, "------\n > {}:", escape(&step.name));
                    step.tail.lines().for_each(|line| out.extend([line.as_str(), "\n"]));
                    out.push_str("------\n");
                }
            }
            out.push_str(&excerpt.as_ref().map(marked).unwrap_or_default());
        }
        out
    }
}

/// `Dockerfile:3`.
fn place(excerpt: &Excerpt) -> String {
    let line = excerpt.lines.iter().find(|(_, _, meant)| *meant).or(excerpt.lines.first()).map_or(1, |line| line.0);
    format!("{}:{line}", escape(&excerpt.file))
}

/// Lines of the Dockerfile with `>>>` before those that are meant, in BuildKit's form.
pub fn marked(excerpt: &Excerpt) -> String {
    let mut out = format!("{}\n--------------------\n", place(excerpt));
    for (number, text, meant) in &excerpt.lines {
        let mark = if *meant { ">>>" } else { "   " };
        let _ = writeln!(out, " {number:3} | {mark} {}", clean(text.as_bytes()));
    }
    out.push_str("--------------------\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::Stream;

    #[test]
    fn the_step_that_failed_is_shown_with_its_lines() {
        let mut report = Report::default();
        let now = Instant::now();
        let step = StepId(4);
        let file = "Dockerfile".to_owned();
        let lines = vec![(1, "FROM a".to_owned(), false), (2, "RUN false".to_owned(), true)];
        let excerpt = Excerpt { file, lines };
        report.note(now, &Event::Began { step, name: "[2/2] RUN false" });
        report.note(now, &Event::Output { step, stream: Stream::Out, bytes: b"one\n\x1b[31mtwo\x1b[0m\nthree" });
        report.note(now, &Event::Failed { step, error: "exit code 1", excerpt: Some(&excerpt) });
        report.note(now, &Event::Warning { text: "X: y", excerpt: Some(&excerpt) });
        let expected = "------\n > [2/2] RUN false:\n0.000 one\n0.000 two\nthree\n------\nDockerfile:2\n\
                        --------------------\n   1 |     FROM a\n   2 | >>> RUN false\n--------------------\n";
        assert_eq!(report.failures(), expected);
        assert_eq!(report.failures(), "");
        report.note(now, &Event::Began { step: StepId(5), name: "[internal] load build context" });
        report.note(now, &Event::Failed { step: StepId(5), error: "no", excerpt: None });
        assert_eq!(report.failures(), "", "there is nothing more to say");
        assert_eq!(report.warnings(), "\n 1 warning found:\n - X: y (Dockerfile:2)\n");
    }
}
