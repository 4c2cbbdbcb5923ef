//! Starting again: docker's back-off between the end of a run and the next, spent in the monitor.

use super::record::{Container, Exit, Run};
use crate::base::signal::SIGTERM;
use crate::base::timing;
use crate::sys::proc;
use crate::sys::signals::Caught;
use anyhow::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::AsFd;

/// The first pause, in nanoseconds; each further one is twice as long.
const FIRST: i64 = 100_000_000;
/// The longest.
const LONGEST: i64 = 60_000_000_000;
/// A run of this length counts as one that worked: the pauses begin anew.
const WORKED: i64 = 10_000_000_000;

/// How often and how soon a container starts again.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// How often it has.
    pub times: u32,
    pause: i64,
    caught: Option<Caught>,
}

impl Again {
    /// Catch all signals from here on if the policy may ever start it again: whoever stops a container between two runs
    /// wakes its monitor by SIGTERM, which must never find it unprepared.
    pub fn new(container: &Container) -> Self {
        Self { caught: if container.config.life.may_restart() { Caught::all().ok() } else { None }, ..Self::default() }
    }

    /// After a run: whether another one is wanted. `forced`: whatever the policy says.
    pub fn may_follow(&self, container: &Container, exit: &Exit, forced: bool) -> bool {
        // Without a policy at the start the signals are not caught, and all is as it was.
        self.caught.is_some()
            && !container.stopped_mark().exists()
            // The policy may have been changed since.
            && (forced || container.clone().with_updates().config.life.restart.wants(exit.code, self.times))
    }

    /// Wait for the next run; false if somebody stops the container meanwhile. The end of the run before is shown.
    pub fn follows(&mut self, container: &Container, exit: &Exit) -> bool {
        self.pause = pause_after(self.pause, exit.finished.saturating_sub(exit.started));
        let waiting = Run {
            monitor: rustix::process::getpid().as_raw_nonzero().get(),
            pid: 0,
            pid_started: 0,
            boot: proc::boot_id(),
            started: exit.started,
            ports: Vec::new(),
            restarts: self.times,
            waits: Some(exit.clone()),
            cgroup: None,
            paused: false,
        };
        if container.write_run(&waiting).is_err() || !self.sleep() || container.stopped_mark().exists() {
            return false;
        }
        self.times += 1;
        true
    }

    /// Sleep for the pause; false if somebody asked us to end.
    fn sleep(&self) -> bool {
        let Some(caught) = &self.caught else { return false };
        let until = timing::now().saturating_add(self.pause);
        loop {
            let left = until - timing::now();
            if left <= 0 {
                return true;
            }
            let timeout = Timespec { tv_sec: left / 1_000_000_000, tv_nsec: left % 1_000_000_000 };
            let _ = poll(&mut [PollFd::from_borrowed_fd(caught.as_fd(), PollFlags::IN)], Some(&timeout));
            while let Some((number, _)) = caught.next() {
                if number == SIGTERM {
                    return false;
                }
            }
        }
    }
}

/// The next pause, by the one before and the length of the run between.
fn pause_after(before: i64, ran: i64) -> i64 {
    match before {
        _ if ran >= WORKED => FIRST,
        0 => FIRST,
        before => before.saturating_mul(2).min(LONGEST),
    }
}

/// Nothing of an earlier life counts for a start by hand.
pub(super) fn forget(container: &Container) {
    if container.config.life.may_restart() {
        let _ = std::fs::remove_file(container.stopped_mark());
    }
    forget_health(container);
}

/// Each run begins with no result of a check.
pub(super) fn forget_health(container: &Container) {
    if container.config.life.health.is_some() {
        let _ = std::fs::remove_file(container.health_path());
    }
}

/// Write the pids where `--pidfile` and `--conmon-pidfile` want them.
pub(super) fn write_pids(container: &Container, pid: i32) -> Result<()> {
    let life = &container.config.life;
    let monitor = rustix::process::getpid().as_raw_nonzero().get();
    for (path, pid) in [(&life.pidfile, pid), (&life.monitor_pidfile, monitor)] {
        if let Some(path) = path {
            crate::base::fs::replace(path, pid.to_string().as_bytes(), crate::base::fs::Durability::Cached)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_begin_anew_after_a_run_that_worked() {
        let mut pause = 0;
        let mut pauses = Vec::new();
        for _ in 0..12 {
            pause = pause_after(pause, 0);
            pauses.push(pause / 1_000_000);
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000]);
        assert_eq!(pause_after(pause, WORKED), FIRST);
    }
}
