//! What the verbs share: opening the engine, finding what was named, going through many names.

use super::args::Globals;
use super::args::containers::Chosen;
use super::errors;
use crate::base::error::{Fault, Kind};
use crate::base::time;
use crate::container::filter::Filters;
use crate::container::{self, Container, Status, Terminal};
use crate::engine::Engine;
use crate::image::{self, Image};
use crate::monitor::End;
use crate::oci::platform::Platform;
use anyhow::Result;
use std::os::fd::AsFd;
use std::path::Path;

/// Open the engine and put right what killed processes have left.
pub fn open(globals: &Globals) -> Result<Engine> {
    container::open(globals.root.clone(), globals.storage_driver.clone(), errors::warn)
}

/// The image of a name or id.
pub fn image(engine: &Engine, name: &str) -> Result<Image> {
    image::find(&engine.store, name)?.ok_or_else(|| image::missing(&engine.store, name))
}

/// The same, of this platform if one is asked for.
pub fn image_for(engine: &Engine, name: &str, platform: Option<&str>) -> Result<Image> {
    match platform {
        Some(platform) => image::of_platform(&engine.store, name, &Platform::parse(platform)?),
        None => image(engine, name),
    }
}

/// When an image was made, in nanoseconds since 1970; 0 where it does not say.
pub fn created(image: &Image) -> i64 {
    image.config.created.as_deref().and_then(time::parse_rfc3339).unwrap_or(0)
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

/// What was chosen: by name, id, file, state, or all. `wanted` says which of `--all` and `--filter` make sense.
pub fn chosen(engine: &Engine, chosen: &Chosen, wanted: impl Fn(&Status) -> bool) -> Result<Vec<Named>> {
    if chosen.all || !chosen.filter.is_empty() {
        return filtered(engine, &chosen.filter, wanted);
    }
    let mut named = named(engine, &chosen.names, chosen.latest);
    for path in &chosen.cidfile {
        named.push((path.display().to_string(), from_file(engine, path)));
    }
    Ok(named)
}

/// All containers that fit the filters, and for which `wanted` is true.
pub fn filtered(engine: &Engine, filters: &[String], wanted: impl Fn(&Status) -> bool) -> Result<Vec<Named>> {
    let filters = Filters::parse(filters)?.resolve(engine)?;
    let rows = container::list(engine).into_iter().filter(|row| wanted(&row.status) && filters.fit(row));
    Ok(rows.map(|row| (row.container.config.id.to_string(), Ok(row.container))).collect())
}

/// The container whose id a file holds. Errors: [`Kind::NotFound`] for a file that is not there, too.
pub fn from_file(engine: &Engine, path: &Path) -> Result<Container> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let kind = if error.kind() == std::io::ErrorKind::NotFound { Kind::NotFound } else { Kind::Other };
        Fault::new(kind, format!("cannot read the container id file `{}`", path.display())).because(error)
    })?;
    container::find(engine, text.trim())
}

/// Do the deed to each, print what was typed for each, report each failure. The kinds of the failures come back.
pub fn each(named: Vec<Named>, mut deed: impl FnMut(&Container) -> Result<()>) -> Result<Vec<Kind>> {
    each_in_turn(named, |_| Ok(()), |container, ()| deed(container))
}

/// The same in two halves: `begin` is done to all of them before `finish` is done to the first.
pub fn each_in_turn<T>(
    named: Vec<Named>,
    mut begin: impl FnMut(&Container) -> Result<T>,
    mut finish: impl FnMut(&Container, T) -> Result<()>,
) -> Result<Vec<Kind>> {
    let begun: Vec<_> = named
        .into_iter()
        .map(|(name, container)| {
            let begun = container.and_then(|container| begin(&container).map(|begun| (container, begun)));
            (name, begun)
        })
        .collect();
    let mut failures = Vec::new();
    for (name, begun) in begun {
        match begun.and_then(|(container, begun)| finish(&container, begun)) {
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

/// Ask on stderr before something that cannot be undone. Errors: nobody answers.
pub fn confirm(question: &str) -> Result<bool> {
    use std::io::{BufRead, Write};
    let mut out = std::io::stderr().lock();
    out.write_all(format!("{question} [y/N] ").as_bytes()).and_then(|()| out.flush())?;
    let mut answer = String::new();
    if std::io::stdin().lock().read_line(&mut answer)? == 0 {
        let _ = writeln!(out);
        return Err(Fault::new(Kind::Usage, "nobody answers on stdin").hint("do not ask: add `-f`").into());
    }
    Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
}

/// Call `f` with our own streams.
pub fn with_terminal<T>(f: impl FnOnce(Terminal<'_>) -> T) -> T {
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    f(Terminal { stdin: stdin.as_fd(), stdout: stdout.as_fd(), stderr: stderr.as_fd(), preserved: &[] })
}

/// The end of a container that we were attached to: its code as ours, and why, if the kernel killed it.
pub fn ended(container: &Container, end: End) -> u8 {
    if end.out_of_memory && end.code == 128 + crate::base::signal::SIGKILL {
        let name = &container.config.name;
        let text = match container.config.limits.resources.memory.and_then(|limit| u64::try_from(limit).ok()) {
            Some(limit) => {
                let limit = crate::base::units::binary_size(limit);
                format!("container `{name}` ran out of memory: the kernel killed it at its limit of {limit}")
            }
            None => format!("container `{name}` was killed by the kernel: the host ran out of memory"),
        };
        errors::warn(&Fault::new(Kind::Other, text));
    }
    exit_code(end.code)
}

/// An exit code of a command as ours.
pub fn exit_code(code: i32) -> u8 {
    u8::try_from(code & 0xff).unwrap_or(255)
}
