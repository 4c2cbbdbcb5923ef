//! Health: one check of a container, its result, and what is known from the results before.
//!
//! A check is a process of its own between the container and whoever asks (the monitor's timer, `healthcheck run`): an
//! ordinary user who has changed his pid namespace for children cannot change it back, so whoever runs something in a
//! container must not need to fork afterwards.

use super::happened;
use super::life::{Healthcheck, LogDestination, OnFailure, Startup};
use super::record::{Container, Status};
use crate::base::dirs::Dirs;
use crate::base::error::{Kind, fault};
use crate::base::fs::{Durability, read_limited, replace};
use crate::base::{signal, time, timing};
use crate::engine::Engine;
use crate::events::{self, Event};
use crate::runtime::{self, ExecTarget, Stdio, hooks};
use crate::sys::process::{self, Fork};
use crate::sys::{proc, signals};
use anyhow::{Context, Result};
use oci_spec::runtime::Spec;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pipe::PipeFlags;
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// What is known of a container's health: `containers/<id>/health.json`, replaced at each check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `starting`, `healthy` or `unhealthy`.
    pub status: String,
    /// Failures in a row.
    pub streak: u32,
    /// The last results, oldest first.
    pub log: Vec<Checked>,
}

/// The result of one check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// When it began, in nanoseconds since 1970.
    pub start: i64,
    /// When it ended.
    pub end: i64,
    /// The command's code; -1 if it could not be run or took too long.
    pub code: i32,
    /// What it printed, cut.
    pub output: String,
}

/// More than the file ever holds.
const LIMIT: u64 = 16 << 20;
/// What a check may print at most where `--health-max-log-size 0` asks for all.
const ALL_OUTPUT: usize = 1 << 20;
/// The code of a process that checked: the container has just become unhealthy.
pub(super) const BECAME_UNHEALTHY: i32 = 3;
/// The same: a check of a container that comes up has failed.
const NOT_YET: i32 = 4;

impl Container {
    pub(super) fn health_path(&self) -> PathBuf {
        self.dir.join("health.json")
    }
}

/// The health of a container: `starting` before the first result.
pub fn read(container: &Container) -> Health {
    let bytes = read_limited(&container.health_path(), LIMIT).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_else(|_| Health { status: "starting".to_owned(), ..Health::default() })
}

/// The word for it.
pub fn status(container: &Container) -> &'static str {
    match read(container).status.as_str() {
        "healthy" => "healthy",
        "unhealthy" => "unhealthy",
        _ => "starting",
    }
}

/// What a check needs to know of a container that runs.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub container: &'a Container,
    pub dirs: &'a Dirs,
    /// Process 1.
    pub pidfd: BorrowedFd<'a>,
    pub spec: &'a Spec,
    /// Nanoseconds since the start, for the start period.
    pub age: i64,
}

/// Check once, and keep the result. What is known then, and whether the container has just become unhealthy.
fn check(target: Target<'_>, check: &Healthcheck) -> Result<(Health, bool)> {
    let start = time::now();
    let (code, output) = match run(target, check) {
        Ok(result) => result,
        Err(error) => (-1, format!("{error:#}")),
    };
    let before = read(target.container);
    let was = before.status.clone();
    let checked = Checked { start, end: time::now(), code, output };
    let health = judge(before, checked, check, target.age < check.start_period);
    let path = target.container.health_path();
    replace(&path, &serde_json::to_vec(&health)?, Durability::Cached)?;
    let mut event = Event { health: health.status.clone(), ..happened::event(target.container, "health_status") };
    match &check.log_destination {
        LogDestination::Local => {}
        LogDestination::Folder(folder) => {
            let path = folder.join(format!("{}-healthcheck.log", target.container.config.id));
            replace(&path, &serde_json::to_vec(&health)?, Durability::Cached)?;
        }
        LogDestination::Events => {
            let output = health.log.last().map(|last| last.output.clone()).unwrap_or_default();
            event.attributes.insert("health_log".to_owned(), output);
        }
    }
    if events::settings().health {
        events::record(target.dirs, &[event]);
    }
    let became = health.status == "unhealthy" && was != "unhealthy";
    Ok((health, became))
}

/// docker's rules: one success is health; failures count after the start period, or once it has been healthy.
fn judge(before: Health, checked: Checked, check: &Healthcheck, starting: bool) -> Health {
    let Health { mut status, mut streak, mut log } = before;
    if checked.code == 0 {
        (status, streak) = ("healthy".to_owned(), 0);
    } else if !(starting && status == "starting") {
        streak += 1;
        if streak >= check.retries {
            status = "unhealthy".to_owned();
        }
    }
    log.push(checked);
    if check.log_count > 0 {
        log.drain(..log.len().saturating_sub(check.log_count));
    }
    Health { status, streak, log }
}

/// Run the command; its code and output. The caller forks nothing afterwards.
fn run(target: Target<'_>, check: &Healthcheck) -> Result<(i32, String)> {
    let mut process = target.spec.process().clone().context("the specification has no process")?;
    process.set_args(Some(check.command())).set_terminal(Some(false));
    let (reading, writing) =
        rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).context("cannot make a pipe")?;
    // The command's end blocks, as programs expect.
    rustix::fs::fcntl_setfl(&writing, OFlags::empty())?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let stdio = Stdio::Pipes { stdin: null, stdout: writing.try_clone()?, stderr: writing };
    let filter = super::rights::filter(&target.container.config);
    let owner = hooks::Owner { id: target.container.config.id.as_str(), bundle: &target.container.dir };
    // Within the container's limits, as every other process of it.
    let cgroup = match target.container.status() {
        Status::Running(run) => run.cgroup.as_ref().map(|cgroup| cgroup.of_process(run.pid)),
        _ => None,
    };
    let exec = ExecTarget { pidfd: target.pidfd, cgroup: cgroup.as_ref(), filter, owner, preserved: &[] };
    let child = runtime::exec(exec, &process, target.spec, stdio)?;
    let limit = if check.log_size == 0 { ALL_OUTPUT } else { check.log_size };
    let deadline = timing::now().saturating_add(if check.timeout > 0 { check.timeout } else { i64::MAX / 2 });
    let mut output = Output { bytes: Vec::new(), limit };
    loop {
        let left = deadline - timing::now();
        if left <= 0 {
            let _ = signals::send(child.pidfd.as_fd(), signal::SIGKILL);
            let _ = process::wait(child.pid);
            return Ok((-1, format!("the check took longer than {}", time::format_duration(check.timeout))));
        }
        let timeout = Timespec { tv_sec: left / 1_000_000_000, tv_nsec: left % 1_000_000_000 };
        let mut set = [PollFd::new(&child.pidfd, PollFlags::IN), PollFd::new(&reading, PollFlags::IN)];
        let set = if output.ended() { &mut set[..1] } else { &mut set[..] };
        match poll(set, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for the check"),
        }
        let ended = !set[0].revents().is_empty();
        output.read(&reading);
        if ended {
            let code = process::wait(child.pid).context("cannot wait for the check")?.code();
            return Ok((code, output.text()));
        }
    }
}

/// What a check prints, up to a limit.
struct Output {
    bytes: Vec<u8>,
    limit: usize,
}

impl Output {
    /// Read what is there; what is too much is read and forgotten.
    fn read(&mut self, from: &OwnedFd) {
        let mut buffer = [0; 4096];
        while let Ok(count) = rustix::io::read(from, &mut buffer) {
            if count == 0 {
                // Everybody has closed it: nothing more to wait for.
                self.limit = self.bytes.len();
                return;
            }
            let room = self.limit.saturating_sub(self.bytes.len());
            self.bytes.extend_from_slice(&buffer[..count.min(room)]);
            if room == 0 && count < buffer.len() {
                return;
            }
        }
    }

    fn ended(&self) -> bool {
        self.limit == self.bytes.len()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// `healthcheck run`: check a container now; what is known then, this result last.
///
/// Errors: [`Kind::WrongState`] if it does not run or has no check.
pub fn check_now(engine: &Engine, container: &Container) -> Result<Health> {
    let deed = || format!("cannot check the health of container `{}`", container.config.name);
    let Some(how) = &container.config.life.health else {
        return Err(fault(Kind::WrongState, "it has no health check").context(deed()));
    };
    let run = container.running().with_context(deed)?;
    engine.enter()?;
    let pidfd = proc::open(run.pid, run.pid_started)
        .ok_or_else(|| fault(Kind::WrongState, "its process has ended").context(deed()))?;
    let mut config = container.config.clone();
    super::rights::as_running(&mut config, run.pid);
    let facts = super::host::facts(engine, &container.dir, &config, super::mounts::Lent::default())?;
    let spec = super::spec::spec(&config, &facts)?;
    let age = time::now().saturating_sub(run.started);
    let target = Target { container, dirs: &engine.dirs, pidfd: pidfd.as_fd(), spec: &spec, age };
    check(target, how).map(|(health, _)| health).with_context(deed)
}

/// The monitor's timers for one run: health checks, and the time after which the container is killed.
pub(super) struct Watch<'a> {
    target: Target<'a>,
    check: Option<&'a Healthcheck>,
    /// What is checked first, and how often that has succeeded and failed.
    startup: Option<(&'a Startup, u32, u32)>,
    /// When the run began, on the clock of `timing::now`, as all moments here.
    begun: i64,
    next_check: Option<i64>,
    checker: Option<i32>,
    kill_at: Option<i64>,
    /// It is to be started anew though no policy says so.
    pub restart: bool,
}

impl<'a> Watch<'a> {
    /// The timers of a run that begins now.
    pub fn new(target: Target<'a>) -> Self {
        let life = &target.container.config.life;
        let begun = timing::now();
        let kill_at = life.timeout.map(|seconds| begun.saturating_add((seconds as i64).saturating_mul(1_000_000_000)));
        let mut watch = Self {
            target,
            check: life.health.as_ref(),
            startup: life.health.as_ref().and_then(|check| Some((check.startup.as_deref()?, 0, 0))),
            begun,
            next_check: None,
            checker: None,
            kill_at,
            restart: false,
        };
        watch.plan();
        watch
    }

    /// Whose timers they are.
    pub fn container(&self) -> &'a Container {
        self.target.container
    }

    /// When the next check is due: an interval from now.
    fn plan(&mut self) {
        let now = timing::now();
        if let Some((startup, ..)) = self.startup {
            self.next_check = Some(now.saturating_add(startup.check.interval.max(1_000_000)));
            return;
        }
        let Some(check) = self.check.filter(|check| check.interval > 0) else { return };
        let starting = now - self.begun < check.start_period && status(self.target.container) == "starting";
        let interval = if starting { check.start_interval.min(check.interval) } else { check.interval };
        self.next_check = Some(now.saturating_add(interval.max(1_000_000)));
    }

    /// Do what is due; nanoseconds until the next time, if there is one.
    pub fn tick(&mut self) -> Option<i64> {
        if self.next_check.is_none() && self.kill_at.is_none() {
            return None;
        }
        let now = timing::now();
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill_at = None;
            let _ = signals::send(self.target.pidfd, signal::SIGKILL);
        }
        if self.next_check.is_some_and(|at| at <= now) {
            self.next_check = None;
            self.begin_check();
        }
        [self.next_check, self.kill_at].into_iter().flatten().min().map(|at| (at - timing::now()).max(0))
    }

    /// A process of its own checks, and keeps the result.
    fn begin_check(&mut self) {
        let Some(how) = self.check else { return };
        // Frozen, the check would be born frozen, and fail for no fault of the container's.
        if matches!(self.target.container.status(), Status::Running(run) if run.paused) {
            return self.plan();
        }
        match process::fork() {
            Ok(Fork::Child) => {
                // It shares the container's lock, so it must not outlive the monitor.
                let _ = process::set_parent_death_signal(signal::SIGKILL);
                let _ = signals::reset();
                let age = timing::now() - self.begun;
                let target = Target { age, ..self.target };
                let code = match self.startup {
                    Some((startup, ..)) => match run(target, &startup.check) {
                        Ok((0, _)) => 0,
                        _ => NOT_YET,
                    },
                    None => match check(target, how) {
                        Ok((_, true)) => BECAME_UNHEALTHY,
                        _ => 0,
                    },
                };
                process::exit_now(code)
            }
            Ok(Fork::Parent(pid)) => self.checker = Some(pid),
            Err(_) => self.plan(),
        }
    }

    /// A child has ended: if it has checked, act on the result and plan the next check. Whether it was ours.
    pub fn child_ended(&mut self, pid: i32, code: i32) -> bool {
        if self.checker != Some(pid) {
            return false;
        }
        self.checker = None;
        if let Some((startup, succeeded, failed)) = &mut self.startup {
            *(if code == 0 { &mut *succeeded } else { &mut *failed }) += 1;
            let (is_up, gives_up) =
                (*succeeded >= startup.successes, startup.check.retries > 0 && *failed >= startup.check.retries);
            if is_up {
                self.startup = None;
            }
            self.plan();
            if gives_up && !is_up {
                self.act(OnFailure::Restart);
            }
            return true;
        }
        self.plan();
        if code == BECAME_UNHEALTHY {
            self.act(self.check.map(|check| check.on_failure).unwrap_or_default());
        }
        true
    }

    /// Do what is to follow on bad health.
    fn act(&mut self, on_failure: OnFailure) {
        if on_failure != OnFailure::None {
            let container = self.target.container;
            let number = match on_failure {
                OnFailure::Kill => signal::SIGKILL,
                _ => container.config.stop_signal,
            };
            self.restart = on_failure == OnFailure::Restart;
            if on_failure == OnFailure::Stop {
                container.mark_stopped();
            }
            let _ = signals::send(self.target.pidfd, number);
            let patience = (container.config.stop_timeout as i64).saturating_mul(1_000_000_000);
            self.kill_at = Some(timing::now().saturating_add(patience));
            self.next_check = None;
        }
    }

    /// The container has ended: nobody waits for a check that still runs.
    pub fn end(&mut self) {
        if let Some(pid) = self.checker.take() {
            let _ = signals::kill(pid, signal::SIGKILL);
            let _ = process::wait(pid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_results_mean() {
        let words = super::super::life::HealthWords { cmd: Some("x".into()), retries: Some(2), ..Default::default() };
        let mut check = Healthcheck::decide(None, &words).unwrap().unwrap();
        check.log_count = 2;
        let mut health = Health { status: "starting".into(), ..Health::default() };
        let mut after = |code: i32, starting: bool| {
            health = judge(health.clone(), Checked { code, ..Checked::default() }, &check, starting);
            (health.status.clone(), health.streak, health.log.len())
        };
        assert_eq!(after(1, true), ("starting".into(), 0, 1));
        assert_eq!(after(1, false), ("starting".into(), 1, 2));
        assert_eq!(after(0, true), ("healthy".into(), 0, 2));
        // It has been healthy: failures count, whatever the period.
        assert_eq!(after(1, true), ("healthy".into(), 1, 2));
        assert_eq!(after(1, false), ("unhealthy".into(), 2, 2));
        assert_eq!(after(0, false), ("healthy".into(), 0, 2));
    }
}
