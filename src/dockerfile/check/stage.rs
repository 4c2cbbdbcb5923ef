//! Checks of what a build would do: variables, bases, platforms, instructions that are given twice.

use super::super::command::Command;
use super::super::expand::Lexer;
use super::super::path::clean;
use super::super::ports;
use super::super::scope::{Globals, Scope};
use super::super::tree::{Argument, Dockerfile, Instruction, Op, Pair, Span, Stage};
use super::rules::*;
use super::{Asked, Base, Found, place, variable};
use crate::base::nearest::nearest_of;
use crate::oci::platform::Platform;
use crate::oci::reference::Reference;
use std::collections::BTreeSet;

/// Words in a variable's name that tell of a secret, and those that tell that it is none.
const SECRET: [&str; 10] =
    ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];
const NOT_SECRET: [&str; 3] = ["public", "file", "version"];

/// What is known at a place in a stage.
#[derive(Clone, Default)]
struct State {
    scope: Scope,
    /// Whether all variables are known.
    complete: bool,
    has_shell: bool,
    workdir_set: bool,
}

pub(super) fn check(dockerfile: &Dockerfile, asked: &Asked, found: &mut Found) {
    let escape = dockerfile.directives.escape;
    let mut globals = asked.globals.clone();
    default_bases(dockerfile, &globals, escape, found);
    let mut declared: Vec<String> = Vec::new();
    for instruction in &dockerfile.args {
        let Op::Arg(arguments) = &instruction.op else { continue };
        for argument in arguments {
            secret(dockerfile, "ARG", &argument.name, instruction.span, found);
            // What fails here fails the build: no warning is needed.
            let _ = globals.declare(argument, escape);
            declared.push(argument.name.clone());
        }
    }
    let names: BTreeSet<&str> = globals.names().chain(declared.iter().map(String::as_str)).collect();
    let bases: Vec<String> =
        dockerfile.stages.iter().map(|stage| base(dockerfile, stage, &globals, &names, found)).collect();
    let needed = asked.target.map(|target| dockerfile.needed(target, &bases));
    let mut states: Vec<State> = Vec::new();
    for (index, stage) in dockerfile.stages.iter().enumerate() {
        let mut state = match dockerfile.stage_named(&bases[index], index) {
            Some(parent) => states[parent].clone(),
            None => begin(index, stage, &bases[index], asked, &globals, needed.as_deref(), found),
        };
        state.workdir_set = false;
        if needed.as_ref().is_none_or(|needed| needed[index]) {
            Walk { dockerfile, asked, globals: &globals, state: &mut state, found }.stage(stage);
        }
        states.push(state);
    }
}

/// The state at the beginning of a stage that begins with an image.
fn begin(
    index: usize,
    stage: &Stage,
    name: &str,
    asked: &Asked,
    globals: &Globals,
    needed: Option<&[bool]>,
    found: &mut Found,
) -> State {
    if name == "scratch" {
        return State { scope: Scope::of_image(["PATH="]), complete: true, ..State::default() };
    }
    if needed.is_some_and(|needed| !needed[index]) {
        return State::default();
    }
    let Some(Base { environment, platform, has_shell }) = (asked.base)(index, name) else { return State::default() };
    let own = stage.platform.as_deref().and_then(|word| {
        let text = Lexer::new('\\').expand(word, &|name| globals.get(name)).ok()?.text;
        Platform::parse(&text).ok()
    });
    let expected = own.unwrap_or_else(|| asked.platform.clone());
    if let Some(actual) = platform
        && (actual.os != expected.os || actual.arch != expected.arch)
    {
        let message = format!(
            "Base image {name} was pulled with platform \"{actual}\", expected \"{expected}\" for current build"
        );
        found.add(INVALID_BASE_IMAGE_PLATFORM, stage.span, message);
    }
    let scope = Scope::of_image(std::iter::once("PATH=").chain(environment.iter().map(String::as_str)));
    State { scope, complete: true, has_shell, workdir_set: false }
}

/// Bases are to be images when no argument is given.
fn default_bases(dockerfile: &Dockerfile, automatic: &Globals, escape: char, found: &mut Found) {
    let mut globals = automatic.clone().without_given();
    for instruction in &dockerfile.args {
        let Op::Arg(arguments) = &instruction.op else { continue };
        for argument in arguments {
            if globals.declare(argument, escape).is_err() {
                return;
            }
        }
    }
    for stage in dockerfile.stages.iter().filter(|stage| stage.base.contains('$')) {
        let Ok(expansion) = Lexer::new(escape).expand(&stage.base, &|name| globals.get(name)) else { return };
        if Reference::parse(&expansion.text).is_err() {
            let message = format!("Default value for ARG {} results in empty or invalid base image name", stage.base);
            found.add(INVALID_DEFAULT_ARG_IN_FROM, place(dockerfile, stage.span, &stage.base), message);
        }
    }
}

/// A stage's base with values in it, and what is to be said of its words.
fn base(
    dockerfile: &Dockerfile,
    stage: &Stage,
    globals: &Globals,
    names: &BTreeSet<&str>,
    found: &mut Found,
) -> String {
    let lexer = Lexer::new(dockerfile.directives.escape);
    let mut undeclared = |undefined: &BTreeSet<String>| {
        for name in undefined.iter().filter(|name| !names.contains(name.as_str())) {
            let meant = nearest_of(name, names.iter().copied()).map(|name| format!(" (did you mean {name}?)"));
            let message = format!("FROM argument '{name}' is not declared{}", meant.unwrap_or_default());
            found.add(UNDEFINED_ARG_IN_FROM, variable(dockerfile, stage.span, name), message);
        }
    };
    let expansion = lexer.expand(&stage.base, &|name| globals.get(name)).unwrap_or_default();
    undeclared(&expansion.undefined);
    if let Some(word) = &stage.platform
        && let Ok(platform) = lexer.expand(word, &|name| globals.get(name))
    {
        undeclared(&platform.undefined);
        let span = place(dockerfile, stage.span, word);
        let only_target = platform.used.iter().map(String::as_str).eq(["TARGETPLATFORM"]);
        if only_target
            && platform.undefined.is_empty()
            && Some(&platform.text) == globals.get("TARGETPLATFORM").as_ref()
        {
            let message =
                format!("Setting platform to predefined {word} in FROM is redundant as this is the default behavior");
            found.add(REDUNDANT_TARGET_PLATFORM, span, message);
        }
        let name = stage.name.as_deref().unwrap_or_default();
        if platform.used.is_empty()
            && platform.undefined.is_empty()
            && let Ok(parsed) = Platform::parse(&platform.text)
            && !name.contains(&parsed.os)
            && !name.contains(&parsed.arch)
        {
            let message = format!("FROM --platform flag should not use constant value {:?}", platform.text);
            found.add(FROM_PLATFORM_FLAG_CONST_DISALLOWED, span, message);
        }
    }
    expansion.text
}

fn secret(dockerfile: &Dockerfile, keyword: &str, name: &str, span: Span, found: &mut Found) {
    // BuildKit looks for whole words between underscores.
    let holds = |words: &[&str]| name.split('_').any(|part| words.iter().any(|word| part.eq_ignore_ascii_case(word)));
    if holds(&SECRET) && !holds(&NOT_SECRET) {
        let message = format!("Do not use ARG or ENV instructions for sensitive data ({keyword} {name:?})");
        found.add(SECRETS_USED_IN_ARG_OR_ENV, place(dockerfile, span, name), message);
    }
}

/// A walk through a stage's instructions.
struct Walk<'a, 'b> {
    dockerfile: &'a Dockerfile,
    asked: &'a Asked<'a>,
    globals: &'a Globals,
    state: &'a mut State,
    found: &'a mut Found<'b>,
}

impl Walk<'_, '_> {
    fn stage(mut self, stage: &Stage) {
        let (mut cmd, mut entrypoint, mut health_check) = (None, None, None);
        for instruction in &stage.instructions {
            match &instruction.op {
                Op::Cmd(_) => self.once(instruction, &mut cmd),
                Op::Entrypoint(_) => self.once(instruction, &mut entrypoint),
                Op::HealthCheck(_) => self.once(instruction, &mut health_check),
                _ => {}
            }
            self.instruction(instruction);
        }
    }

    /// Of several the last one counts: the one before is told.
    fn once(&mut self, instruction: &Instruction, before: &mut Option<Span>) {
        if let Some(span) = before.replace(instruction.span) {
            let name = instruction.keyword();
            let message = format!(
                "Multiple {name} instructions should not be used in the same stage because only the last one will be used"
            );
            self.found.add(MULTIPLE_INSTRUCTIONS_DISALLOWED, span, message);
        }
    }

    fn instruction(&mut self, instruction: &Instruction) {
        let (span, escape) = (instruction.span, self.dockerfile.directives.escape);
        if let Op::Arg(arguments) = &instruction.op {
            arguments.iter().for_each(|argument| self.argument(instruction, argument));
            return;
        }
        let Ok(resolved) = instruction.expand(escape, &|name| self.state.scope.get(name)) else { return };
        self.undefined(instruction, &resolved.undefined);
        match &resolved.op {
            Op::Env(pairs) => {
                for pair in pairs {
                    self.legacy(instruction, pair);
                    secret(self.dockerfile, "ENV", &pair.name, span, self.found);
                    self.state.scope.set(&pair.name, &pair.value);
                }
            }
            Op::Label(pairs) => pairs.iter().for_each(|pair| self.legacy(instruction, pair)),
            Op::Cmd(Command::Shell(_)) | Op::Entrypoint(Command::Shell(_)) if !self.state.has_shell => {
                let message = format!(
                    "JSON arguments recommended for {} to prevent unintended behavior related to OS signals",
                    instruction.keyword()
                );
                self.found.add(JSON_ARGS_RECOMMENDED, span, message);
            }
            Op::Shell(_) => self.state.has_shell = true,
            Op::Workdir(folder) => self.workdir(span, folder),
            Op::Expose(words) => words.iter().for_each(|word| self.port(span, word)),
            Op::Copy(copy) if copy.from.is_none() => self.ignored(span, "Copy", &copy.sources),
            Op::Add(add) => self.ignored(span, "Add", &add.sources),
            _ => {}
        }
    }

    fn argument(&mut self, instruction: &Instruction, argument: &Argument) {
        secret(self.dockerfile, "ARG", &argument.name, instruction.span, self.found);
        let declared = self.state.scope.declare(argument, self.globals, self.dockerfile.directives.escape);
        self.undefined(instruction, &declared.unwrap_or_default().undefined);
    }

    fn undefined(&mut self, instruction: &Instruction, names: &BTreeSet<String>) {
        if !self.state.complete {
            return;
        }
        let declared = |name: &str| self.state.scope.arguments().iter().any(|(own, _)| own == name);
        for name in names.iter().filter(|name| !declared(name)) {
            let known = self.state.scope.environment().iter().map(|(own, _)| own.as_str());
            let meant = nearest_of(name, known).map(|name| format!(" (did you mean ${name}?)")).unwrap_or_default();
            let message = format!("Usage of undefined variable '${name}'{meant}");
            self.found.add(UNDEFINED_VAR, variable(self.dockerfile, instruction.span, name), message);
        }
    }

    fn legacy(&mut self, instruction: &Instruction, pair: &Pair) {
        if pair.legacy {
            let name = instruction.keyword();
            let message = format!("\"{name} key=value\" should be used instead of legacy \"{name} key value\" format");
            self.found.add(LEGACY_KEY_VALUE_FORMAT, instruction.span, message);
        }
    }

    /// The first one is to be absolute: the others follow from it.
    fn workdir(&mut self, span: Span, folder: &str) {
        let first = !std::mem::replace(&mut self.state.workdir_set, true);
        if first && !folder.starts_with('/') {
            let message = format!("Relative workdir {folder:?} can have unexpected results if the base image changes");
            self.found.add(WORKDIR_RELATIVE_PATH, span, message);
        }
    }

    fn port(&mut self, span: Span, word: &str) {
        let Ok(exposed) = ports::parse(word) else { return };
        let span = place(self.dockerfile, span, word);
        if exposed.protocol.is_some_and(|protocol| protocol.bytes().any(|b| b.is_ascii_uppercase())) {
            let message = format!("Defined protocol '{word}' in EXPOSE instruction should be lowercase");
            self.found.add(EXPOSE_PROTO_CASING, span, message);
        }
        if exposed.mapping {
            let message =
                format!("EXPOSE instruction should not define an IP address or host-port mapping, found '{word}'");
            self.found.add(EXPOSE_INVALID_FORMAT, span, message);
        }
    }

    /// With lines that take back it cannot be told from the words.
    fn ignored(&mut self, span: Span, verb: &str, sources: &[String]) {
        let Some(patterns) = self.asked.ignore.filter(|patterns| !patterns.takes_back()) else { return };
        for source in sources.iter().filter(|source| !source.contains("://")) {
            let path = clean(source);
            if patterns.ignores(path.trim_start_matches('/')) {
                let message = format!("Attempting to {verb} file {path:?} that is excluded by .dockerignore");
                self.found.add(COPY_IGNORED_FILE, place(self.dockerfile, span, source), message);
            }
        }
    }
}
