//! What the verbs share: opening the engine, finding what was named, going through many names.

use super::args::Globals;
use super::errors;
use crate::base::error::{Fault, Kind};
use crate::container::{self, Container, Terminal};
use crate::engine::Engine;
use anyhow::Result;
use std::os::fd::AsFd;

/// Open the engine and put right what killed processes have left.
pub fn open(globals: &Globals) -> Result<Engine> {
    container::open(globals.root.clone(), globals.storage_driver.clone(), errors::warn)
}

/// The container made last.
pub fn latest(engine: &Engine) -> Result<Container> {
    let none = || Fault::new(Kind::NotFound, "there is no container yet").hint("box run -d IMAGE");
    container::all(engine).into_iter().next().ok_or_else(|| none().into())
}

/// A container, and what to call it in the output: what the user typed, or its id.
pub type Named = (String, Result<Container>);

/// The containers that were named, or the latest.
pub fn named(engine: &Engine, names: &[String], use_latest: bool) -> Vec<Named> {
    if use_latest {
        let container = latest(engine);
        let id = container.as_ref().map(|container| container.config.id.to_string()).unwrap_or_default();
        return vec![(id, container)];
    }
    names.iter().map(|name| (name.clone(), container::find(engine, name))).collect()
}

/// All containers for which `wanted` is true.
pub fn all(engine: &Engine, wanted: impl Fn(&Container) -> bool) -> Vec<Named> {
    let all = container::all(engine).into_iter().filter(wanted);
    all.map(|container| (container.config.id.to_string(), Ok(container))).collect()
}

/// Do the deed to each, print what was typed for each, report each failure. The kinds of the failures come back.
pub fn each(named: Vec<Named>, mut deed: impl FnMut(&Container) -> Result<()>) -> Result<Vec<Kind>> {
    let mut failures = Vec::new();
    for (name, container) in named {
        match container.and_then(|container| deed(&container)) {
            Ok(()) => super::output::print_line(&name)?,
            Err(error) => {
                errors::report(&error);
                failures.push(crate::base::error::kind(&error));
            }
        }
    }
    Ok(failures)
}

/// 0, or 125 if anything failed.
pub fn code(failures: &[Kind]) -> u8 {
    if failures.is_empty() { 0 } else { 125 }
}

/// Leave out those that do not exist, for `--ignore`.
pub fn ignore_missing(named: Vec<Named>) -> Vec<Named> {
    let missing = |error: &anyhow::Error| crate::base::error::kind(error) == Kind::NotFound;
    named.into_iter().filter(|(_, container)| !container.as_ref().is_err_and(missing)).collect()
}

/// Call `f` with our own streams.
pub fn with_terminal<T>(f: impl FnOnce(Terminal<'_>) -> T) -> T {
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    f(Terminal { stdin: stdin.as_fd(), stdout: stdout.as_fd(), stderr: stderr.as_fd() })
}

/// An exit code of a command as ours.
pub fn exit_code(code: i32) -> u8 {
    u8::try_from(code & 0xff).unwrap_or(255)
}
