//! Checks of a file by its words alone: cases, names, descriptions, empty lines.

use super::super::tree::{Dockerfile, Instruction, Op, Span, Stage, keyword};
use super::super::words;
use super::rules::*;
use super::{Found, place};
use std::collections::BTreeSet;

/// Names that mean something else.
const RESERVED: [&str; 2] = ["context", "scratch"];

pub(super) fn check(dockerfile: &Dockerfile, found: &mut Found) {
    for line in &dockerfile.empty_continuations {
        let span = Span { line: *line, column: 1, width: 0, last_line: *line };
        found.add(NO_EMPTY_CONTINUATION, span, "Empty continuation line");
    }
    stage_names(dockerfile, found);
    casing(dockerfile, found);
    for stage in &dockerfile.stages {
        from_as(dockerfile, stage, found);
        description("FROM", stage.name.as_slice(), &stage.comments, stage.span, found);
    }
    let in_stages = dockerfile.stages.iter().flat_map(|stage| &stage.instructions);
    for instruction in dockerfile.args.iter().chain(in_stages) {
        match &instruction.op {
            Op::Arg(arguments) => {
                let names: Vec<String> = arguments.iter().map(|argument| argument.name.clone()).collect();
                description("ARG", &names, &instruction.comments, instruction.span, found);
            }
            Op::Maintainer(_) => {
                let message = "Maintainer instruction is deprecated in favor of using label";
                found.add(MAINTAINER_DEPRECATED, instruction.span, message);
            }
            _ => {}
        }
    }
}

fn stage_names(dockerfile: &Dockerfile, found: &mut Found) {
    let mut seen = BTreeSet::new();
    for stage in &dockerfile.stages {
        let Some(name) = stage.name.as_deref() else { continue };
        let written = words::plain(&stage.source, 0).pop().map(|word| word.text).unwrap_or_default();
        let span = place(dockerfile, stage.span, &written);
        if written != name {
            found.add(STAGE_NAME_CASING, span, format!("Stage name '{written}' should be lowercase"));
        }
        if RESERVED.contains(&name) {
            let message = format!("Stage name should not use the same name as reserved stage {name:?}");
            found.add(RESERVED_STAGE_NAME, span, message);
        }
        if !seen.insert(name) {
            let message = format!("Duplicate stage name {name:?}, stage names should be unique");
            found.add(DUPLICATE_STAGE_NAME, span, message);
        }
    }
}

/// Whether a word is all in one case, and that one lower.
fn case(word: &str) -> Option<bool> {
    match word {
        _ if word.bytes().all(|b| b.is_ascii_lowercase()) => Some(true),
        _ if word.bytes().all(|b| b.is_ascii_uppercase()) => Some(false),
        _ => None,
    }
}

/// All instructions are to be in the case that most are in.
fn casing(dockerfile: &Dockerfile, found: &mut Found) {
    let of = |instruction: &Instruction| (instruction.keyword().to_owned(), instruction.span);
    let all: Vec<(String, Span)> = dockerfile
        .stages
        .iter()
        .flat_map(|stage| {
            let from = (keyword(&stage.source).to_owned(), stage.span);
            std::iter::once(from).chain(stage.instructions.iter().map(of))
        })
        .collect();
    let count = |lower: bool| all.iter().filter(|(word, _)| case(word) == Some(lower)).count();
    let lower = count(true) > count(false);
    let name = if lower { "lowercase" } else { "uppercase" };
    for (word, span) in all.iter().filter(|(word, _)| case(word) != Some(lower)) {
        let message = format!("Command '{word}' should match the case of the command majority ({name})");
        found.add(CONSISTENT_INSTRUCTION_CASING, place(dockerfile, *span, word), message);
    }
}

fn from_as(dockerfile: &Dockerfile, stage: &Stage, found: &mut Found) {
    let words = words::plain(&stage.source, 0);
    let [.., as_word, _] = words.as_slice() else { return };
    let from = keyword(&stage.source);
    let Some(lower) = case(from).filter(|_| stage.name.is_some()) else { return };
    if case(&as_word.text) != Some(lower) {
        let message = format!("'{}' and '{from}' keywords' casing do not match", as_word.text);
        found.add(FROM_AS_CASING, place(dockerfile, stage.span, &as_word.text), message);
    }
}

/// The comment directly above a definition is to begin with its name.
fn description(instruction: &str, names: &[String], comments: &[String], span: Span, found: &mut Found) {
    let (Some(comment), Some(first)) = (comments.last(), names.first()) else { return };
    let begins = comment.split(' ').next().unwrap_or_default();
    if names.iter().any(|name| name == begins) {
        return;
    }
    let example = if names.len() > 1 { "<arg_key>" } else { first };
    let message = format!("Comment for {instruction} should follow the format: `# {example} <description>`");
    found.add(INVALID_DEFINITION_DESCRIPTION, span, message);
}
