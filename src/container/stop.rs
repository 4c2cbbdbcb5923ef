//! `stop` and `kill`: signals to a container's process 1, by descriptor.

use super::record::{Container, Status};
use crate::base::error::{Kind, fault};
use crate::base::signal;
use crate::engine::Engine;
use crate::sys::{proc, signals};
use anyhow::{Context, Result};
use std::os::fd::AsFd;

/// How long a killed container and its monitor may take to go, in milliseconds.
const PATIENCE: i64 = 10_000;

/// Ask a container to stop, and kill it after `timeout` seconds (`None`: its own; negative: never).
///
/// One that does not run is left alone. Returns when its end is recorded.
pub fn stop(engine: &Engine, container: &Container, timeout: Option<i64>) -> Result<()> {
    let deed = || format!("cannot stop container `{}`", container.config.name);
    let Status::Running(run) = container.status() else { return Ok(()) };
    engine.enter()?;
    let Some(pidfd) = proc::open(run.pid, run.pid_started) else { return settle(container) };
    let timeout = timeout.unwrap_or(container.config.stop_timeout.min(i64::MAX as u64) as i64);
    if timeout != 0 {
        signals::send(pidfd.as_fd(), container.config.stop_signal).or_else(gone_is_fine).with_context(deed)?;
        let patience = (timeout > 0).then(|| timeout.saturating_mul(1000));
        if proc::wait_gone(&pidfd, patience) {
            return settle(container);
        }
    }
    signals::send(pidfd.as_fd(), signal::SIGKILL).or_else(gone_is_fine).with_context(deed)?;
    if !proc::wait_gone(&pidfd, Some(PATIENCE)) {
        return Err(fault(Kind::Other, "its process does not end after SIGKILL").context(deed()));
    }
    settle(container)
}

/// Send a signal to a running container.
pub fn kill(engine: &Engine, container: &Container, signal: i32) -> Result<()> {
    let deed = || format!("cannot kill container `{}`", container.config.name);
    let run = container.running().with_context(deed)?;
    engine.enter()?;
    let pidfd = proc::open(run.pid, run.pid_started)
        .ok_or_else(|| fault(Kind::WrongState, "its process has ended").context(deed()))?;
    signals::send(pidfd.as_fd(), signal).with_context(deed)?;
    if signal == signal::SIGKILL && proc::wait_gone(&pidfd, Some(PATIENCE)) {
        settle(container)?;
    }
    Ok(())
}

fn gone_is_fine(error: std::io::Error) -> std::io::Result<()> {
    if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) { Ok(()) } else { Err(error) }
}

/// Wait until the monitor has recorded the end: it drops the lock last.
pub(super) fn settle(container: &Container) -> Result<()> {
    let Ok(socket) = crate::monitor::connect(&container.socket()) else { return unlocked(container) };
    let timeout = std::time::Duration::from_millis(PATIENCE as u64);
    let _ = crate::monitor::wait(&socket, Some(timeout))?;
    unlocked(container)
}

/// Wait for the lock, which the monitor holds until its last act.
fn unlocked(container: &Container) -> Result<()> {
    use crate::base::lock::{Lock, Share};
    if container.dir.exists()
        && let Err(error) = Lock::acquire(&container.lock_path(), Share::Shared)
    {
        // Removed meanwhile, as `--rm` does.
        return if container.dir.exists() { Err(error) } else { Ok(()) };
    }
    Ok(())
}
