//! From a text to a [`Dockerfile`]: lines, heredocs, instructions, stages.

use super::directives::Directives;
use super::heredoc::{Heredoc, heredocs_of};
use super::instruction::{self, Parsed};
use super::lines::{Line, Lines};
use super::mistake::Mistake;
use super::tree::{Dockerfile, Instruction, Op, Span};
use super::words;
use crate::base::error::{Fault, Kind};
use anyhow::Result;

/// Parse a Dockerfile. `file` is what messages call it.
///
/// Errors: [`Kind::Usage`], with the file's name, line and column, what was expected, and the lines themselves.
pub fn parse(text: &[u8], file: &str) -> Result<Dockerfile> {
    let text = std::str::from_utf8(text).map_err(|error| {
        let line = text[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        Fault::new(Kind::Usage, format!("{file}:{line}: this is not UTF-8 text"))
    })?;
    let mut lines = Lines::new(text);
    let all = lines.all();
    let mut parser = Parser::new(file);
    loop {
        let next = lines.instruction(&mut parser.directives);
        let line = match next {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(mistake) => {
                let number = lines.read() as u32;
                return Err(mistake.fault(file, &all, Span { line: number, column: 1, width: 0, last_line: number }));
            }
        };
        if let Err(mistake) = parser.add(&line, &mut lines, &all) {
            let span = line.span(mistake.at, &all);
            return Err(mistake.fault(file, &all, span));
        }
    }
    parser.finish(all)
}

/// Parse one instruction, as `ONBUILD` keeps it in an image's config.
pub fn parse_trigger(text: &str) -> Result<Instruction, Mistake> {
    let mut lines = Lines::new(text);
    let all = lines.all();
    let mut directives = Directives::default();
    let wrong = || Mistake::new("a trigger of ONBUILD is one instruction");
    let line = lines.instruction(&mut directives)?.ok_or_else(wrong)?;
    let parsed = one(&line, &mut lines, &all, directives.escape)?;
    if lines.instruction(&mut directives)?.is_some() {
        return Err(wrong());
    }
    match parsed {
        Parsed::Instruction(Instruction { op: Op::OnBuild(_) | Op::Maintainer(_), .. }) | Parsed::Stage(_) => {
            Err(Mistake::new("ONBUILD, FROM and MAINTAINER are no triggers of ONBUILD"))
        }
        Parsed::Instruction(instruction) => Ok(instruction),
    }
}

struct Parser {
    file: String,
    directives: Directives,
    args: Vec<Instruction>,
    stages: Vec<super::tree::Stage>,
    empty_continuations: Vec<u32>,
}

impl Parser {
    fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            directives: Directives::default(),
            args: Vec::new(),
            stages: Vec::new(),
            empty_continuations: Vec::new(),
        }
    }

    /// Take the next instruction.
    fn add(&mut self, line: &Line, lines: &mut Lines, all: &[String]) -> Result<(), Mistake> {
        let parsed = one(line, lines, all, self.directives.escape)?;
        if line.empty_continuation {
            self.empty_continuations.push(line.last as u32);
        }
        match (parsed, self.stages.last_mut()) {
            (Parsed::Stage(stage), _) => self.stages.push(stage),
            (Parsed::Instruction(instruction), Some(stage)) => stage.instructions.push(instruction),
            (Parsed::Instruction(instruction), None) if matches!(instruction.op, Op::Arg(_)) => {
                self.args.push(instruction);
            }
            (Parsed::Instruction(instruction), None) => {
                let text = format!("{} stands before the first FROM: only ARG may", instruction.keyword());
                return Err(Mistake::new(text).hint("name the image to build on: FROM alpine"));
            }
        }
        Ok(())
    }

    fn finish(self, lines: Vec<String>) -> Result<Dockerfile> {
        let Self { file, directives, args, stages, empty_continuations } = self;
        if stages.is_empty() {
            let what = if args.is_empty() { "instruction" } else { "FROM" };
            let fault = Fault::new(Kind::Usage, format!("{file}: there is no {what}"));
            return Err(fault.hint("name the image to build on: FROM alpine").into());
        }
        Ok(Dockerfile { file, directives, args, stages, lines, empty_continuations })
    }
}

/// An instruction with its heredocs, which are read.
fn one(line: &Line, lines: &mut Lines, all: &[String], escape: char) -> Result<Parsed, Mistake> {
    let mut heredocs = heredocs_in(&line.text, 0);
    for heredoc in &mut heredocs {
        if !lines.heredoc(heredoc) {
            return Err(not_ended(heredoc, &line.text));
        }
    }
    let span = Span { last_line: lines.read() as u32, ..line.span(None, all) };
    instruction::parse(&line.text, span, &line.comments, escape, heredocs)
}

/// The heredocs that the instruction at `at` opens.
fn heredocs_in(line: &str, at: usize) -> Vec<Heredoc> {
    let (keyword, rest) = instruction::split(line, at);
    let (_, args) = words::flags(line, rest);
    match keyword.text.to_ascii_uppercase().as_str() {
        "ONBUILD" if at == 0 => heredocs_in(line, args),
        "RUN" | "COPY" | "ADD" => {
            let args = line.get(args..).unwrap_or_default().trim();
            if matches!(words::json(args), Ok(Some(_))) { Vec::new() } else { heredocs_of(args) }
        }
        _ => Vec::new(),
    }
}

fn not_ended(heredoc: &Heredoc, line: &str) -> Mistake {
    let mut mistake = Mistake::new(format!("the heredoc `{0}` has no end: a line with `{0}` alone", heredoc.name));
    mistake.at = line.find("<<").map(|at| (at, line[at..].find(words::is_blank).unwrap_or(line.len() - at)));
    mistake
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::kind;

    fn read(text: &str) -> Dockerfile {
        parse(text.as_bytes(), "Dockerfile").unwrap_or_else(|error| panic!("{error:#}"))
    }

    #[test]
    fn places_are_those_in_the_text() {
        let read = read("\u{feff}# x\nFROM alpine AS a\n\n  RUN echo \\\n b\nRUN <<E\nx\nE\n");
        let spans: Vec<_> =
            read.stages[0].instructions.iter().map(|i| (i.span.line, i.span.column, i.span.last_line)).collect();
        assert_eq!((read.stages[0].span.line, spans), (2, vec![(4, 3, 5), (6, 1, 8)]));
        assert_eq!(read.stages[0].instructions[0].source, "RUN echo  b");
        assert_eq!(read.lines.len(), 8);
    }

    #[test]
    fn text_that_is_none() {
        let error = parse(b"FROM alpine\nRUN \xff", "Dockerfile").unwrap_err();
        assert_eq!((kind(&error), error.to_string().as_str()), (Kind::Usage, "Dockerfile:2: this is not UTF-8 text"));
    }

    #[test]
    fn lines_may_be_long() {
        let long = "x".repeat(200_000);
        let read = read(&format!("FROM alpine\nRUN echo {long}\n"));
        assert_eq!(read.stages[0].instructions[0].source.len(), 9 + long.len());
    }

    #[test]
    fn triggers_are_one_instruction() {
        let trigger = parse_trigger("RUN <<E\nx\nE").unwrap();
        assert!(matches!(trigger.op, Op::Run(_)));
        for wrong in ["", "RUN a\nRUN b", "ONBUILD RUN a", "FROM x", "MAINTAINER x", "RNU a"] {
            assert!(parse_trigger(wrong).is_err(), "{wrong}");
        }
        // What `ONBUILD` keeps is what it takes.
        let read = read("FROM alpine\nONBUILD RUN cat <<-E \\\n  | sh\n\techo\n\tE\n");
        let Op::OnBuild(kept) = &read.stages[0].instructions[0].op else { panic!() };
        assert_eq!(parse_trigger(&kept.text).unwrap().op, kept.instruction.op);
    }
}
