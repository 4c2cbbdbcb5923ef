//! `oci create` and `oci run`.

use super::log::Log;
use crate::base::env;
use crate::base::error::{Fault, Kind};
use crate::cli::args::oci::{Making, Run};
use crate::cli::session;
use crate::monitor::{self, AttachOptions, Streams};
use crate::runtime::lifecycle::{self, Bundle, CgroupManager, Container, CreateOptions, Created, Home};
use crate::sys::{process, signals};
use anyhow::{Context, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// What is the same for each container that is made.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// How many descriptors the command inherits.
    pub preserve_fds: u32,
    /// Who makes the cgroup.
    pub cgroup_manager: CgroupManager,
    /// Where warnings go.
    pub log: &'a Log,
}

/// Delete a container; hooks that fail after it are warned of.
pub fn delete(container: &Container, force: bool, log: &Log) -> Result<()> {
    for error in lifecycle::delete(container, force)? {
        log.warn(&Fault::new(Kind::Other, format!("{error:#}")));
    }
    Ok(())
}

/// `box oci create`.
pub fn create(home: &Home, args: Making, given: Given<'_>) -> Result<()> {
    make(home, args, given, false).map(drop)
}

fn make(
    home: &Home,
    args: Making,
    Given { preserve_fds, cgroup_manager, log }: Given<'_>,
    foreground: bool,
) -> Result<Created> {
    let mut bundle = Bundle::read(args.bundle.as_deref().unwrap_or(Path::new(".")))?;
    for warning in &bundle.warnings {
        log.warn(&Fault::new(Kind::BadData, warning));
    }
    if let Some(process) = bundle.spec.process_mut() {
        pass_listeners(process.env_mut());
    }
    let options = CreateOptions {
        console_socket: args.ends.console_socket,
        pid_file: args.ends.pid_file,
        preserve_fds,
        no_pivot: args.no_pivot,
        no_new_keyring: args.no_new_keyring,
        cgroup_manager,
        foreground,
    };
    lifecycle::create(home, &args.id, &bundle, &options)
}

/// Sockets handed on in the way of sd_listen_fds(3): the command is told how many.
pub fn pass_listeners(variables: &mut Option<Vec<String>>) {
    let count = env::listen_fds();
    if count > 0 {
        let variables = variables.get_or_insert_default();
        variables.extend([format!("LISTEN_FDS={count}"), "LISTEN_PID=1".to_owned()]);
    }
}

/// `box oci run`: the command's own exit code.
pub fn run(home: &Home, args: Run, given: Given<'_>) -> Result<u8> {
    let created = make(home, args.making, given, !args.detach)?;
    if !args.detach && created.master.is_none() {
        // A signal that comes before we can pass it on waits, in place of leaving a container behind.
        signals::block_all()?;
    }
    let container = created.container;
    let started = container.start();
    if args.detach && started.is_ok() {
        return Ok(0);
    }
    let result = started.and_then(|()| accompany(created.pid, created.pidfd.as_fd(), created.master));
    if !args.keep {
        delete(&container, true, given.log)?;
    }
    result
}

/// Stay with a child until it ends, as its terminal or passing on signals: its exit code.
pub fn accompany(pid: i32, pidfd: BorrowedFd<'_>, master: Option<OwnedFd>) -> Result<u8> {
    match master {
        Some(master) => {
            let options = AttachOptions {
                stdin: true,
                stdout: true,
                stderr: true,
                tty: true,
                detach_keys: Vec::new(),
                sig_proxy: false,
            };
            session::with_terminal(|terminal| {
                let (stdin, stdout, stderr) = (terminal.stdin, terminal.stdout, terminal.stderr);
                monitor::terminal::pump(Streams::Terminal(master), pidfd, &options, stdin, stdout, stderr)
            })?;
        }
        None => monitor::terminal::escort(pidfd)?,
    }
    let ended = process::wait(pid).context("cannot wait for the command")?;
    Ok(session::exit_code(ended.code()))
}
