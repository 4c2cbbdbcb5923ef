//! `oci`: box as an OCI runtime. A file per verb that is more than a call.
//!
//! Whoever drives a runtime reads its words: errors go to stderr and, one a line, to the file of `--log`.

mod events;
mod exec;
mod list;
mod log;
mod ps;
mod run;
mod spec;
mod update;

use super::args::Globals;
use super::args::oci::{Ends, Oci, OciVerb};
use super::errors;
use super::output::print_json;
use crate::base::error::{Fault, Kind, fault, kind};
use crate::base::{env, signal};
use crate::runtime::lifecycle::{self, CgroupManager, Home};
use anyhow::Result;
use log::Log;
use std::ffi::OsString;
use std::path::Path;

/// The name of a link to box that is `box oci`.
const NAME: &str = "box-oci";

/// The words of `box oci`, if the program was called by the name that means it.
pub fn by_name(mut words: Vec<OsString>) -> Vec<OsString> {
    let name = words.first().and_then(|word| Path::new(word).file_name());
    if name.is_some_and(|name| name == NAME) {
        words.insert(1, "oci".into());
    }
    words
}

/// `box oci`.
pub fn oci(args: Oci, globals: &Globals) -> Result<u8> {
    let log = Log::new(args.log.clone(), args.log_format.as_deref(), args.debug);
    let passes_codes = matches!(args.verb, OciVerb::Run(_) | OciVerb::Exec(_));
    log.debug(&args.verb);
    match dispatch(args, globals, &log) {
        Ok(code) => Ok(code),
        Err(error) => {
            let error = for_engines(&error);
            log.error(&error);
            let code = errors::report(&error);
            // Only of these do callers tell 126 and 127 from other failures.
            Ok(if passes_codes && code != 125 { code } else { 1 })
        }
    }
}

fn dispatch(args: Oci, globals: &Globals, log: &Log) -> Result<u8> {
    let preserve_fds = match &args.verb {
        OciVerb::Create(create) => preserved(&create.making.ends)?,
        OciVerb::Run(run) => preserved(&run.making.ends)?,
        OciVerb::Exec(exec) => preserved(&exec.ends)?,
        _ => 0,
    };
    let cgroup_manager = match args.cgroup_manager.as_deref() {
        Some("disabled") => CgroupManager::Disabled,
        Some("systemd") => CgroupManager::Systemd,
        _ if args.systemd_cgroup => CgroupManager::Systemd,
        _ => CgroupManager::Cgroupfs,
    };
    let given = run::Given { preserve_fds, cgroup_manager, log };
    let home = Home::new(globals.root.as_deref())?;
    match args.verb {
        OciVerb::Create(create) => run::create(&home, create.making, given)?,
        OciVerb::Start(start) => home.find(&start.id)?.start()?,
        OciVerb::Run(args) => return run::run(&home, args, given),
        OciVerb::State(state) => print_json(&home.find(&state.id)?.spec_state())?,
        OciVerb::Kill(kill) => {
            let signal = signal::parse(&kill.signal)?;
            lifecycle::kill(&home.find(&kill.id)?, signal, kill.all)?;
        }
        OciVerb::Delete(delete) => match home.find(&delete.id) {
            Err(error) if delete.force && kind(&error) == Kind::NotFound => {}
            container => run::delete(&container?, delete.force, log)?,
        },
        OciVerb::Exec(args) => return exec::exec(&home, args, preserve_fds),
        OciVerb::Pause(pause) => lifecycle::pause(&home.find(&pause.id)?)?,
        OciVerb::Resume(resume) => lifecycle::resume(&home.find(&resume.id)?)?,
        OciVerb::Update(args) => update::update(&home, &args)?,
        OciVerb::Events(args) => events::events(&home, &args)?,
        OciVerb::Ps(args) => ps::ps(&home, &args)?,
        OciVerb::List(args) => list::list(&home, &args)?,
        OciVerb::Spec(args) => spec::spec(&args)?,
        OciVerb::Features => print_json(&crate::runtime::features())?,
        OciVerb::Checkpoint(_) => return Err(no_checkpoints("saved")),
        OciVerb::Restore(_) => return Err(no_checkpoints("restored")),
    }
    Ok(0)
}

/// How many descriptors the command inherits. Asked before anything is opened.
fn preserved(ends: &Ends) -> Result<u32> {
    let count = u32::from(ends.preserve_fds.unwrap_or(0)) + env::listen_fds();
    lifecycle::check_preserved(count)?;
    Ok(count)
}

fn no_checkpoints(what: &str) -> anyhow::Error {
    let text = format!("a running container cannot be {what}: box does not drive criu");
    Fault::new(Kind::Host, text).hint("use a runtime that does, as `podman --runtime runc`").into()
}

/// Errors as other engines understand them: these look for words in the text to tell why a command did not run.
fn for_engines(error: &anyhow::Error) -> anyhow::Error {
    let words = match kind(error) {
        Kind::CommandNotFound => "executable file not found in $PATH: no such file or directory",
        Kind::CommandNotExecutable => "permission denied",
        _ => "",
    };
    let mut text = format!("{error:#}");
    if !words.is_empty() && !text.contains(words) {
        text = format!("{text} ({words})");
    }
    let mut told = Fault::new(kind(error), text);
    told.hints = error.downcast_ref::<Fault>().map(|fault| fault.hints.clone()).unwrap_or_default();
    told.into()
}

/// `UID[:GID]`.
fn ids(text: &str) -> Result<(u32, Option<u32>)> {
    let parse = |text: &str| {
        let none = || fault(Kind::Usage, format!("`{}` is not a number of a user or group", text.escape_debug()));
        text.parse::<u32>().map_err(|_| none())
    };
    match text.split_once(':') {
        Some((uid, gid)) => Ok((parse(uid)?, Some(parse(gid)?))),
        None => Ok((parse(text)?, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_command() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(by_name(words("/x/box-oci list")), words("/x/box-oci oci list"));
        assert_eq!(by_name(words("box oci list")), words("box oci list"));
        assert_eq!(by_name(Vec::new()), Vec::<OsString>::new());
    }

    #[test]
    fn engines_find_their_words() {
        let told = |kind| format!("{:#}", for_engines(&fault(kind, "cannot run `x`")));
        assert_eq!(
            told(Kind::CommandNotFound),
            "cannot run `x` (executable file not found in $PATH: no such file or directory)"
        );
        assert_eq!(told(Kind::CommandNotExecutable), "cannot run `x` (permission denied)");
        assert_eq!(told(Kind::Other), "cannot run `x`");
    }

    #[test]
    fn users_are_numbers() {
        assert_eq!(ids("5").unwrap(), (5, None));
        assert_eq!(ids("5:6").unwrap(), (5, Some(6)));
        for text in ["", "root", "5:", ":6", "-1", "4294967296", "1:2:3"] {
            assert!(ids(text).is_err(), "{text}");
        }
    }
}
