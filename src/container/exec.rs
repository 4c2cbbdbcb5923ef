//! `exec`: one more process in a container that runs. No monitor: the caller is its parent.

use super::happened;
use super::pause::refuse_paused;
use super::record::Container;
use super::start::Terminal;
use super::{environment, host, rights, secrets, spec};
use crate::base::error::{Kind, fault};
use crate::base::timing;
use crate::engine::Engine;
use crate::monitor::{self, AttachOptions, Streams};
use crate::runtime::{self, ExecChild, ExecTarget, Stdio, hooks};
use crate::sys::{proc, process};
use anyhow::{Context, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;

/// Everything that `exec` can ask for.
#[derive(Debug, Clone, Default)]
pub struct ExecRequest {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// `-e`.
    pub env: Vec<String>,
    /// `--env-file`, before `env`.
    pub env_files: Vec<PathBuf>,
    /// `-u`; `None`: the container's.
    pub user: Option<String>,
    /// `-w`; `None`: the container's.
    pub workdir: Option<String>,
    /// `-t`.
    pub tty: bool,
    /// `-i`.
    pub interactive: bool,
    /// `-d`: do not wait.
    pub detach: bool,
    /// `--privileged`: all capabilities, no filter.
    pub privileged: bool,
    /// `--detach-keys`, parsed.
    pub detach_keys: Vec<u8>,
    /// `--preserve-fds`, `--preserve-fd`: descriptors that go along.
    pub preserved: Vec<RawFd>,
}

/// Run a command in a running container; its exit code, or 0 when detached.
pub fn exec(engine: &Engine, container: &Container, request: ExecRequest, terminal: Terminal<'_>) -> Result<i32> {
    let deed = || format!("cannot run a command in container `{}`", container.config.name);
    let run = container.running().with_context(deed)?;
    refuse_paused(container, &run).with_context(deed)?;
    let mut config = container.config.clone();
    if request.command.first().is_none_or(String::is_empty) {
        return Err(fault(Kind::Usage, "there is no command to run"));
    }
    config.args.clone_from(&request.command);
    config.tty = request.tty;
    if let Some(user) = &request.user {
        config.user.clone_from(user);
    }
    if let Some(workdir) = &request.workdir {
        if !workdir.starts_with('/') || workdir.chars().any(char::is_control) {
            return Err(fault(
                Kind::Usage,
                format!("the working folder `{}` is not an absolute path", workdir.escape_debug()),
            ));
        }
        config.workdir.clone_from(workdir);
    }
    if request.privileged {
        config.privileged = true;
        config.capabilities = runtime::capabilities::possible().map(|capability| format!("CAP_{capability}")).collect();
    }
    environment::extend(&mut config.env, &request.env_files, &request.env)?;
    let secrets = secrets::read(engine, &config.secrets)?;
    engine.enter()?;
    rights::as_running(&mut config, run.pid);
    let pidfd = proc::open(run.pid, run.pid_started)
        .ok_or_else(|| fault(Kind::WrongState, "its process has ended").context(deed()))?;
    let facts = host::facts(engine, &container.dir, &config, super::mounts::Lent::default())?;
    let mut spec = spec::spec(&config, &facts)?;
    secrets::add_variables(&secrets, &mut spec)?;
    let command = spec.process().as_ref().context("the specification has no process")?;
    let filter = rights::filter(&config);
    let (stdio, streams) = stdio(&request, terminal)?;
    timing::phase("prepare");
    let cgroup = run.cgroup.as_ref().map(|cgroup| cgroup.of_process(run.pid));
    let owner = hooks::Owner { id: config.id.as_str(), bundle: &container.dir };
    let target =
        ExecTarget { pidfd: pidfd.as_fd(), cgroup: cgroup.as_ref(), filter, owner, preserved: &request.preserved };
    if request.detach {
        // Somebody has to wait for it: until then it holds the container's process namespace, and the init that would
        // adopt it need not be one that reaps.
        let mut connection =
            monitor::fork_with(&request.preserved, |connection| match runtime::exec(target, command, &spec, stdio) {
                Ok(child) => {
                    monitor::report_started(&connection);
                    drop(connection);
                    crate::sys::detached::close_inherited(&[]);
                    crate::sys::detached::give_back_memory();
                    process::wait(child.pid).map_or(1, |ended| ended.code())
                }
                Err(error) => {
                    monitor::report_failed(&connection, &error);
                    1
                }
            })?;
        monitor::await_started(&mut connection).with_context(deed)?;
        happened::tell(&engine.dirs, container, &["exec"]);
        return Ok(0);
    }
    let child = runtime::exec(target, command, &spec, stdio).with_context(deed)?;
    timing::phase("exec");
    happened::tell(&engine.dirs, container, &["exec"]);
    let code = accompany(child, streams, &request, terminal)?;
    happened::exec_died(&engine.dirs, container, code);
    Ok(code)
}

/// The process's end of its streams. Without a terminal anywhere the caller's own files and pipes go in as they are,
/// so that nothing is copied; a terminal of the caller's never does (TIOCSTI, CVE-2017-5226).
fn stdio(request: &ExecRequest, terminal: Terminal<'_>) -> Result<(Stdio, Option<Streams>)> {
    if request.detach {
        let (stdin, stdout, stderr) = (null()?, null()?, null()?);
        return Ok((Stdio::Pipes { stdin, stdout, stderr }, None));
    }
    if request.tty {
        return Ok((
            Stdio::Terminal { size: crate::sys::tty::size(terminal.stdout).map(|size| (size.rows, size.cols)) },
            None,
        ));
    }
    let is_terminal = |fd: BorrowedFd<'_>| rustix::termios::isatty(fd);
    if (request.interactive && is_terminal(terminal.stdin))
        || is_terminal(terminal.stdout)
        || is_terminal(terminal.stderr)
    {
        let (theirs, ours) = monitor::pipes(request.interactive)?;
        return Ok((Stdio::Pipes { stdin: theirs.stdin, stdout: theirs.stdout, stderr: theirs.stderr }, Some(ours)));
    }
    let own = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().context("cannot hand on a stream");
    let stdin = if request.interactive { own(terminal.stdin)? } else { null()? };
    Ok((Stdio::Pipes { stdin, stdout: own(terminal.stdout)?, stderr: own(terminal.stderr)? }, None))
}

fn null() -> Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).context("cannot open `/dev/null`")
}

/// Stay with the process until it ends.
fn accompany(child: ExecChild, streams: Option<Streams>, request: &ExecRequest, terminal: Terminal<'_>) -> Result<i32> {
    let streams = child.master.map(Streams::Terminal).or(streams);
    if let Some(streams) = streams {
        let options = AttachOptions {
            stdin: request.interactive,
            stdout: true,
            stderr: true,
            tty: request.tty,
            detach_keys: request.detach_keys.clone(),
            sig_proxy: !request.tty,
        };
        let pumped = monitor::terminal::pump(
            streams,
            child.pidfd.as_fd(),
            &options,
            terminal.stdin,
            terminal.stdout,
            terminal.stderr,
        )?;
        if pumped == monitor::terminal::Pumped::Detached {
            return Ok(0);
        }
    } else {
        monitor::terminal::escort(child.pidfd.as_fd())?;
    }
    let ended = process::wait(child.pid).context("cannot wait for the command")?;
    timing::phase("ended");
    Ok(ended.code())
}
