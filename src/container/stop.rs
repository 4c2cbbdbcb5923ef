//! `stop` and `kill`: signals to a container's process 1, by descriptor.
//!
//! Stopping has two halves, so that many containers are asked at once and then waited for in turn.

use super::happened;
use super::record::{Container, Status};
use crate::base::error::{Kind, fault};
use crate::base::{signal, timing};
use crate::engine::Engine;
use crate::sys::{proc, signals};
use anyhow::{Context, Result};
use std::os::fd::{AsFd, OwnedFd};

/// How long a killed container and its monitor may take to go, in milliseconds.
const PATIENCE: i64 = 10_000;

/// How a container is to be stopped.
#[derive(Debug, Clone, Copy, Default)]
pub struct StopOptions {
    /// Seconds before SIGKILL; `None`: the container's own; negative: for ever.
    pub timeout: Option<i64>,
    /// The first signal; `None`: the container's own.
    pub signal: Option<i32>,
}

/// A container that has been asked to stop.
#[derive(Debug)]
pub struct Stopping {
    /// Process 1; `None` if it had gone before, or between two runs.
    pidfd: Option<OwnedFd>,
    /// When it is killed, on the clock of `timing::now`; `None`: never.
    deadline: Option<i64>,
}

/// Ask a container to stop, and kill it after the timeout. One that does not run is left alone. Returns when its end is
/// recorded.
pub fn stop(engine: &Engine, container: &Container, options: StopOptions) -> Result<()> {
    match ask(engine, container, options)? {
        Some(stopping) => stopped(engine, container, stopping),
        None => Ok(()),
    }
}

/// Ask a container to stop; `None` if it does not run.
pub fn ask(engine: &Engine, container: &Container, options: StopOptions) -> Result<Option<Stopping>> {
    let deed = || format!("cannot stop container `{}`", container.config.name);
    if let Status::Restarting(_) = container.status() {
        container.mark_stopped();
        wake(engine, container)?;
    }
    let run = match begun(container) {
        Status::Running(run) => run,
        Status::Restarting(_) | Status::Starting => return Ok(Some(Stopping { pidfd: None, deadline: None })),
        Status::Created | Status::Exited(_) => return Ok(None),
    };
    engine.enter()?;
    container.mark_stopped();
    let Some(pidfd) = proc::open(run.pid, run.pid_started) else {
        return Ok(Some(Stopping { pidfd: None, deadline: None }));
    };
    let timeout = options.timeout.unwrap_or(container.config.stop_timeout.min(i64::MAX as u64) as i64);
    let deadline = (timeout >= 0).then(|| timing::now().saturating_add(timeout.saturating_mul(1_000_000_000)));
    let number = if timeout == 0 { signal::SIGKILL } else { options.signal.unwrap_or(container.config.stop_signal) };
    signals::send(pidfd.as_fd(), number).or_else(gone_is_fine).with_context(deed)?;
    if let (true, Some(cgroup)) = (run.paused, &run.cgroup) {
        // Only now, so that the signal is the first that it hears.
        cgroup.thaw().with_context(deed)?;
    }
    Ok(Some(Stopping { pidfd: Some(pidfd), deadline }))
}

fn a_moment() {
    let two_milliseconds = rustix::event::Timespec { tv_sec: 0, tv_nsec: 2_000_000 };
    let _ = rustix::event::poll(&mut [], Some(&two_milliseconds));
}

/// What a container does, once its start is through.
fn begun(container: &Container) -> Status {
    let deadline = timing::now() + PATIENCE * 1_000_000;
    loop {
        match container.status() {
            Status::Starting if timing::now() < deadline && container.dir.exists() => {
                a_moment();
            }
            status => return status,
        }
    }
}

/// Have the monitor of a container that is between two runs end, and wait until it has, or the next run has begun.
pub(super) fn wake(engine: &Engine, container: &Container) -> Result<()> {
    engine.enter()?;
    while let Status::Restarting(run) = container.status() {
        let _ = signals::kill(run.monitor, signal::SIGTERM);
        a_moment();
    }
    begun(container);
    Ok(())
}

/// Wait until a container that was asked has stopped; kill it when its time is over.
pub fn stopped(engine: &Engine, container: &Container, stopping: Stopping) -> Result<()> {
    finish(container, stopping)?;
    happened::tell(&engine.dirs, container, &["stop"]);
    Ok(())
}

fn finish(container: &Container, stopping: Stopping) -> Result<()> {
    let deed = || format!("cannot stop container `{}`", container.config.name);
    let Stopping { pidfd: Some(pidfd), deadline } = stopping else { return settle(container) };
    let left = deadline.map(|at| at.saturating_sub(timing::now()).max(0) / 1_000_000);
    if !proc::wait_gone(&pidfd, left) {
        signals::send(pidfd.as_fd(), signal::SIGKILL).or_else(gone_is_fine).with_context(deed)?;
        if !proc::wait_gone(&pidfd, Some(PATIENCE)) {
            return Err(fault(Kind::Other, "its process does not end after SIGKILL").context(deed()));
        }
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
    // Whoever asks for its end wants no restart, as with docker.
    if signal == signal::SIGKILL || signal == container.config.stop_signal {
        container.mark_stopped();
    }
    // Before its end, which its monitor tells.
    happened::tell(&engine.dirs, container, &["kill"]);
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
