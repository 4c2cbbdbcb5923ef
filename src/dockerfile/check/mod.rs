//! The build checks: what is allowed, and probably not meant.
//!
//! BuildKit's 22 rules, with its names and words, so that what reads them can read ours:
//! <https://docs.docker.com/reference/build-checks/>; moby/buildkit `dockerfile2llb/validations.go`.

mod file;
pub mod rules;
mod stage;
#[cfg(test)]
mod tests;

use super::directives::CheckOptions;
use super::ignore::Patterns;
use super::scope::Globals;
use super::tree::{Dockerfile, Span};
use crate::oci::platform::Platform;
pub use rules::{RULES, Rule};

/// What a check found.
#[derive(Debug, Clone, PartialEq)]
pub struct Warning {
    /// The check.
    pub rule: &'static Rule,
    /// What it found, in BuildKit's words.
    pub message: String,
    /// Where.
    pub span: Span,
}

/// What is known of the image that a stage begins with.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Base {
    /// Its environment, `NAME=value`.
    pub environment: Vec<String>,
    /// The platform it is made for.
    pub platform: Option<Platform>,
    /// Whether it has a `SHELL` of its own.
    pub has_shell: bool,
}

/// What a build is asked for, as far as checks depend on it.
pub struct Asked<'a> {
    /// The automatic arguments and what was given; the file's own `ARG`s are declared by the checks.
    pub globals: Globals,
    /// The platform that the build is for.
    pub platform: Platform,
    /// The stage that is built: those that it does not need are not looked into. All of them if `None`.
    pub target: Option<usize>,
    /// The context's `.dockerignore`.
    pub ignore: Option<&'a Patterns>,
    /// The image of this name for a stage of this number; `None` if it is not known: then its variables are not
    /// checked.
    pub base: &'a dyn Fn(usize, &str) -> Option<Base>,
    /// Which checks are made.
    pub options: CheckOptions,
}

/// Check a Dockerfile. Warnings are in the order of their lines.
pub fn check(dockerfile: &Dockerfile, asked: &Asked) -> Vec<Warning> {
    let mut found = Found { options: &asked.options, warnings: Vec::new() };
    file::check(dockerfile, &mut found);
    stage::check(dockerfile, asked, &mut found);
    found.warnings.sort_by_key(|warning| (warning.span.line, warning.span.column));
    found.warnings
}

/// Gathers what is found by the checks that are made.
struct Found<'a> {
    options: &'a CheckOptions,
    warnings: Vec<Warning>,
}

impl Found<'_> {
    fn add(&mut self, rule: &'static Rule, span: Span, message: impl Into<String>) {
        let named = |names: &[String]| names.iter().any(|name| name == "all" || name.eq_ignore_ascii_case(rule.name));
        if named(&self.options.skip) || (rule.experimental && !named(&self.options.experimental)) {
            return;
        }
        self.warnings.push(Warning { rule, message: message.into(), span });
    }
}

/// Where a word stands in the lines of a span; all of the span if it is not there as it is.
fn place(dockerfile: &Dockerfile, span: Span, word: &str) -> Span {
    if word.is_empty() {
        return span;
    }
    for number in span.line..=span.last_line {
        let Some(line) = dockerfile.lines.get(number as usize - 1) else { break };
        for (at, _) in line.match_indices(word) {
            let part = |c: char| c.is_alphanumeric() || c == '_';
            let inside = line[..at].ends_with(part) && word.starts_with(part)
                || line[at + word.len()..].starts_with(part) && word.ends_with(part);
            if !inside {
                let column = line[..at].chars().count() as u32 + 1;
                return Span { line: number, column, width: word.chars().count() as u32, last_line: number };
            }
        }
    }
    span
}

/// Where a variable is used in a span.
fn variable(dockerfile: &Dockerfile, span: Span, name: &str) -> Span {
    let found = place(dockerfile, span, &format!("${name}"));
    if found != span { found } else { place(dockerfile, span, &format!("${{{name}")) }
}
