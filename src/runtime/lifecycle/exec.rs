//! `exec`: one more process in a container.

use super::create::own_streams;
use super::{Container, Status, console};
use crate::base::error::{Kind, fault};
use crate::base::fs::{Durability, replace};
use crate::runtime::hooks::Owner;
use crate::runtime::{self, ExecChild, ExecTarget, Filter, Stdio};
use anyhow::{Context, Result};
use oci_spec::runtime::{ContainerState, Process};
use std::os::fd::AsFd;
use std::path::PathBuf;

/// What an exec can be told, beside the process.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    /// Where the terminal's master goes; only for a process with a terminal.
    pub console_socket: Option<PathBuf>,
    /// Where the process's pid is written.
    pub pid_file: Option<PathBuf>,
    /// See [`super::CreateOptions::preserve_fds`].
    pub preserve_fds: u32,
    /// The caller stays with the process, and takes the terminal itself if there is no console socket.
    pub foreground: bool,
}

/// The process of a container's config.json, from which one more takes what it is not told.
pub fn process_of_container(container: &Container) -> Result<Process> {
    let spec = container.spec()?;
    spec.process().clone().ok_or_else(|| fault(Kind::Usage, "config.json: `process` is missing"))
}

/// Run a process in a container that is created or running. It is our child.
pub fn exec(container: &Container, process: &Process, options: &ExecOptions) -> Result<ExecChild> {
    let deed = || format!("cannot run a command in container `{}`", container.id);
    match container.status() {
        Status::Is(ContainerState::Running | ContainerState::Created) => {}
        other => return Err(container.is_instead(other, "running").context(deed())),
    }
    let (state, pidfd) = container.alive().with_context(deed)?;
    // An init that manages cgroups itself has moved below its first.
    let cgroup = state.cgroup.as_ref().map(|cgroup| cgroup.of_process(state.pid));
    let spec = container.spec()?;
    let terminal = process.terminal() == Some(true);
    let socket = match (terminal, &options.console_socket) {
        (true, Some(path)) => Some(console::connect(path)?),
        (true, None) if !options.foreground => {
            return Err(fault(Kind::Usage, "a process with a terminal needs --console-socket").context(deed()));
        }
        (false, Some(_)) => {
            return Err(fault(Kind::Usage, "--console-socket needs a process with a terminal").context(deed()));
        }
        (_, None) => None,
    };
    let stdio = if terminal { Stdio::Terminal { size: None } } else { own_streams()? };
    let owner = Owner { id: &container.id, bundle: &state.bundle };
    let preserved: Vec<_> = (3..3 + options.preserve_fds.cast_signed()).collect();
    let target = ExecTarget {
        pidfd: pidfd.as_fd(),
        cgroup: cgroup.as_ref(),
        owner,
        filter: Filter::Spec,
        preserved: &preserved,
    };
    let mut child = runtime::exec(target, process, &spec, stdio).with_context(deed)?;
    if let (Some(socket), Some(master)) = (&socket, child.master.take_if(|_| socket.is_some())) {
        console::send(socket, master)?;
    }
    if let Some(path) = &options.pid_file {
        replace(path, child.pid.to_string().as_bytes(), Durability::Cached)?;
    }
    Ok(child)
}
