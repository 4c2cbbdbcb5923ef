//! The container's standard streams: who holds which end.

use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use rustix::pipe::PipeFlags;
use std::os::fd::{AsFd, OwnedFd};

/// What the container gets.
#[derive(Debug)]
pub struct PipesForContainer {
    /// The read end of a pipe, or `/dev/null`.
    pub stdin: OwnedFd,
    /// A write end.
    pub stdout: OwnedFd,
    /// A write end.
    pub stderr: OwnedFd,
}

/// What the monitor keeps. All are non-blocking; the container's ends are not, as programs expect.
#[derive(Debug)]
pub enum Streams {
    /// Without a terminal.
    Pipes {
        /// The write end of the container's standard input, if it has one.
        stdin: Option<OwnedFd>,
        /// The read end of its output.
        stdout: OwnedFd,
        /// The read end of its errors.
        stderr: OwnedFd,
    },
    /// The master of its terminal.
    Terminal(OwnedFd),
    /// None: the container has streams of somebody else's.
    Passed,
}

/// Make the pipes of a container without a terminal.
pub fn pipes(keep_stdin: bool) -> Result<(PipesForContainer, Streams)> {
    let deed = "cannot make the container's pipes";
    let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC).context(deed);
    let (container_stdin, stdin) = if keep_stdin {
        let (read, write) = pipe()?;
        set_nonblocking(&write).context(deed)?;
        (read, Some(write))
    } else {
        let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        (null.context("cannot open `/dev/null`")?, None)
    };
    let (stdout, container_stdout) = pipe()?;
    let (stderr, container_stderr) = pipe()?;
    set_nonblocking(&stdout).context(deed)?;
    set_nonblocking(&stderr).context(deed)?;
    let container = PipesForContainer { stdin: container_stdin, stdout: container_stdout, stderr: container_stderr };
    Ok((container, Streams::Pipes { stdin, stdout, stderr }))
}

/// `O_NONBLOCK`, which belongs to the open file: only for ends that nobody else uses.
pub(super) fn set_nonblocking(fd: impl AsFd) -> rustix::io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(&fd)?;
    rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK)
}
