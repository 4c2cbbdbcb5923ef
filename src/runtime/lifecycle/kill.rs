//! `kill`: signals to a container's init, by descriptor, or to all of its processes.

use super::{Container, processes};
use crate::base::error::{Kind, fault};
use crate::sys::{proc, signals};
use anyhow::{Context, Result};
use rustix::io::Errno;
use std::os::fd::AsFd;

/// Send a signal to the container's init, or (`all`) to each of its processes.
///
/// Errors: [`Kind::WrongState`] unless it is created, running or paused.
pub fn kill(container: &Container, signal: i32, all: bool) -> Result<()> {
    let deed = || format!("cannot kill container `{}`", container.id);
    if !all {
        let (_, pidfd) = container.alive().with_context(deed)?;
        return signals::send(pidfd.as_fd(), signal).with_context(deed);
    }
    // Also of a container whose init has ended, if the others do not end with it.
    let pids = match processes(container) {
        Ok(pids) => pids,
        Err(_) if container.alive().is_err() => Vec::new(),
        Err(error) => return Err(error.context(deed())),
    };
    for pid in pids {
        let Some(pidfd) = proc::start_time(pid).and_then(|started| proc::open(pid, started)) else { continue };
        match signals::send(pidfd.as_fd(), signal) {
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {}
            result => result.with_context(|| format!("cannot kill process {pid} of container `{}`", container.id))?,
        }
    }
    Ok(())
}

/// Kill init for good and wait for its end.
pub(super) fn end(container: &Container) -> Result<()> {
    let Ok((_, pidfd)) = container.alive() else { return Ok(()) };
    match proc::kill_and_wait(&pidfd, 10_000) {
        true => Ok(()),
        false => Err(fault(Kind::Other, "its process does not end after SIGKILL")),
    }
}
