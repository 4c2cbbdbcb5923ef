//! Hooks: programs that a specification has run at points of a container's life (config.md, POSIX-platform Hooks).
//!
//! Each gets the container's state on its stdin and no variable that the specification does not give it: nothing of
//! the image or of box's own environment reaches it (CVE-2025-23266). `prestart`, `createRuntime`, `poststart` and
//! `poststop` run where the maker is; `createContainer` and `startContainer` are run by init, in the container's
//! namespaces, the first before and the second after the root was entered.

use crate::base::error::{Kind, fault};
use crate::base::{program, timing};
use crate::sys::{process, signals};
use anyhow::{Context, Result};
use oci_spec::runtime::{ContainerState, Hook, Hooks, Spec, State};
use rustix::event::{PollFd, PollFlags, Timespec};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};

/// How much of what a failing hook has written is told.
const MAX_TOLD: usize = 2048;

/// A point of a container's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// In the maker's namespaces, before the root is entered (deprecated).
    Prestart,
    /// The same, after the former.
    CreateRuntime,
    /// In the container's namespaces, before the root is entered.
    CreateContainer,
    /// In the container, before its program is executed.
    StartContainer,
    /// In the maker's namespaces, when the program runs.
    Poststart,
    /// In the maker's namespaces, when the container is gone.
    Poststop,
}

impl Point {
    /// Its property's name.
    fn name(self) -> &'static str {
        match self {
            Self::Prestart => "prestart",
            Self::CreateRuntime => "createRuntime",
            Self::CreateContainer => "createContainer",
            Self::StartContainer => "startContainer",
            Self::Poststart => "poststart",
            Self::Poststop => "poststop",
        }
    }

    /// The container's status at this point.
    fn status(self) -> ContainerState {
        match self {
            Self::Prestart | Self::CreateRuntime | Self::CreateContainer => ContainerState::Creating,
            Self::StartContainer => ContainerState::Created,
            Self::Poststart => ContainerState::Running,
            Self::Poststop => ContainerState::Stopped,
        }
    }

    fn of(self, hooks: &Hooks) -> &[Hook] {
        let list = match self {
            Self::Prestart => hooks.prestart(),
            Self::CreateRuntime => hooks.create_runtime(),
            Self::CreateContainer => hooks.create_container(),
            Self::StartContainer => hooks.start_container(),
            Self::Poststart => hooks.poststart(),
            Self::Poststop => hooks.poststop(),
        };
        list.as_deref().unwrap_or_default()
    }
}

/// Whose hooks they are: what the state tells besides the specification.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Its bundle's folder.
    pub bundle: &'a Path,
}

/// Whether the specification has hooks for this point.
pub fn are_given(spec: &Spec, point: Point) -> bool {
    spec.hooks().as_ref().is_some_and(|hooks| !point.of(hooks).is_empty())
}

/// Run the hooks of a point, one after the other; the first that fails is the error.
///
/// `pid` is the container's init, as the hooks see it; `None` when there is none any more. What a failure means for
/// the container the specification says (runtime.md, Lifecycle): up to `poststart` it is the end; that of a `poststop`
/// hook is only told, and the others run ([`run_all`]).
pub fn run(spec: &Spec, owner: Owner<'_>, point: Point, pid: Option<i32>) -> Result<()> {
    each(spec, owner, point, pid).find(Result::is_err).unwrap_or(Ok(()))
}

/// As [`run`], but none is left out because another fails. Returns the failures.
pub fn run_all(spec: &Spec, owner: Owner<'_>, point: Point, pid: Option<i32>) -> Vec<anyhow::Error> {
    each(spec, owner, point, pid).filter_map(Result::err).collect()
}

fn each<'a>(spec: &'a Spec, owner: Owner<'a>, point: Point, pid: Option<i32>) -> impl Iterator<Item = Result<()>> + 'a {
    let hooks = spec.hooks().as_ref().map(|hooks| point.of(hooks)).unwrap_or_default();
    hooks.iter().enumerate().map(move |(index, hook)| {
        let state = state(spec, owner, point.status(), pid)?;
        run_one(hook, &state)
            .with_context(|| format!("hook `hooks.{}[{index}]` (`{}`) failed", point.name(), hook.path().display()))
    })
}

/// The state of a container as hooks and seccomp agents get it (runtime.md, State), in JSON.
pub fn state(spec: &Spec, owner: Owner<'_>, status: ContainerState, pid: Option<i32>) -> Result<Vec<u8>> {
    let mut state = State::default();
    state
        .set_version(spec.version().clone())
        .set_id(owner.id.to_owned())
        .set_status(status)
        .set_pid(pid)
        .set_bundle(owner.bundle.to_owned())
        .set_annotations(spec.annotations().clone());
    Ok(serde_json::to_vec(&state)?)
}

fn run_one(hook: &Hook, state: &[u8]) -> Result<()> {
    let (reader, writer) = std::io::pipe()?;
    let args = hook.args().as_deref().unwrap_or_default();
    let mut command = Command::new(hook.path());
    if let Some((name, rest)) = args.split_first() {
        command.arg0(name).args(rest);
    }
    command.env_clear();
    for entry in hook.env().iter().flatten() {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        command.env(name, value);
    }
    command.stdin(program::input(state)?).stdout(writer.try_clone()?).stderr(writer).process_group(0);
    let child = command.spawn().map_err(|error| fault(Kind::Host, format!("it cannot be run: {error}")))?;
    // Else its copies of the pipe's end would keep us waiting.
    drop(command);
    let limit = hook.timeout().map(|seconds| seconds.saturating_mul(1_000_000_000));
    await_end(child, reader.into(), limit)
}

/// Take what the hook writes until it ends, or until its nanoseconds are over.
fn await_end(mut child: Child, output: OwnedFd, limit: Option<i64>) -> Result<()> {
    let pid = i32::try_from(child.id())?;
    let pidfd = rustix::process::pidfd_open(
        rustix::process::Pid::from_raw(pid).context("a child has a number")?,
        rustix::process::PidfdFlags::empty(),
    )?;
    let deadline = limit.map(|limit| timing::now().saturating_add(limit));
    let mut output = File::from(output);
    let (mut told, mut is_open) = (Vec::new(), true);
    loop {
        let left = deadline.map(|at| (at - timing::now()).max(0));
        if left == Some(0) {
            // With all that it has started.
            let _ = signals::kill(-pid, crate::base::signal::SIGKILL);
            let _ = child.wait();
            let seconds = limit.unwrap_or_default() / 1_000_000_000;
            return Err(fault(Kind::Other, format!("it did not end within {seconds} s")));
        }
        let timeout = left.map(|ns| Timespec { tv_sec: ns / 1_000_000_000, tv_nsec: ns % 1_000_000_000 });
        let mut wanted = [PollFd::new(&pidfd, PollFlags::IN), PollFd::new(&output, PollFlags::IN)];
        let wanted = if is_open { &mut wanted[..] } else { &mut wanted[..1] };
        match rustix::event::poll(wanted, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let has_ended = !wanted[0].revents().is_empty();
        let has_written = wanted.get(1).is_some_and(|output| !output.revents().is_empty());
        if has_written {
            let mut buffer = [0; 4096];
            let length = output.read(&mut buffer)?;
            is_open = length > 0;
            told.extend(buffer[..length].iter().take(MAX_TOLD - told.len().min(MAX_TOLD)));
        }
        // What it wrote last is there with its end; a process that it has left behind does not keep us.
        if has_ended && !has_written {
            return ended(process::wait(pid)?, &told);
        }
    }
}

fn ended(status: process::Ended, told: &[u8]) -> Result<()> {
    let how = match status {
        process::Ended::Exited(0) => return Ok(()),
        process::Ended::Exited(code) => format!("code {code}"),
        process::Ended::Signaled(signal) => crate::base::signal::name(signal).to_string(),
    };
    let told = String::from_utf8_lossy(told);
    let told = told.trim();
    let told = if told.is_empty() { String::new() } else { format!(": {}", told.escape_debug()) };
    Err(fault(Kind::Other, format!("it ended with {how}{told}")))
}
