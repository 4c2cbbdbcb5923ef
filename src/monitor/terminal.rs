//! The caller's stdio and a process that is not a container's init: `exec`.

use super::attach::{Copier, Other, Terminal, catch, catch_all, run};
use super::copy::{Input, Output};
use super::stdio::set_nonblocking;
use super::{AttachOptions, Outcome, Streams};
use crate::sys::{signals, tty};
use anyhow::{Context, Result};
use std::os::fd::BorrowedFd;

/// How a pump ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pumped {
    /// The process has ended (reap it for its code), and all its output is written.
    Ended,
    /// The user typed the detach keys, or our terminal has gone.
    Detached,
}

/// Stay with a child that has our own streams, passing our signals on, until it has ended.
pub fn escort(pidfd: BorrowedFd<'_>) -> Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    let caught = catch_all()?;
    loop {
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN), PollFd::new(&caught, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for the command"),
        }
        if !fds[0].revents().is_empty() {
            return Ok(());
        }
        while let Some((number, _)) = caught.next() {
            // It may have ended meanwhile.
            let _ = signals::send(pidfd, number);
        }
    }
}

/// Copy between our stdio and a child's streams until it ends, as [`super::attach`] does with a container's.
///
/// The process is known by its pidfd; it gets our signals (`sig_proxy`) and our window's size, also at the beginning.
pub fn pump(
    streams: Streams,
    pidfd: BorrowedFd<'_>,
    options: &AttachOptions,
    stdin: BorrowedFd<'_>,
    stdout: BorrowedFd<'_>,
    stderr: BorrowedFd<'_>,
) -> Result<Pumped> {
    let terminal = Terminal::find(options, stdin, stdout);
    let caught = catch(options, terminal.takes_keys)?;
    let (to, outputs, master) = match streams {
        Streams::Pipes { stdin, stdout: out, stderr: err } => {
            (stdin, [Some(Output::new(out, stdout)), Some(Output::new(err, stderr))], None)
        }
        Streams::Terminal(master) => {
            let deed = "cannot use the terminal of the command";
            set_nonblocking(&master).context(deed)?;
            if let Some(size) = terminal.size_now() {
                // It may have changed since the terminal was made.
                let _ = tty::set_size(std::os::fd::AsFd::as_fd(&master), size);
            }
            let again = || master.try_clone().context(deed);
            (Some(again()?), [Some(Output::new(again()?, stdout)), None], Some(master))
        }
        Streams::Passed => (None, [None, None], None),
    };
    let keys = options.tty.then_some(options.detach_keys.as_slice());
    let input = to.filter(|_| options.stdin).map(|to| Input::new(stdin, to, keys));
    let copier = Copier { input, outputs, caught, terminal, sig_proxy: options.proxies() };
    Ok(match run(copier, Other::Child(pidfd, master))? {
        Outcome::Detached => Pumped::Detached,
        Outcome::Exited(_) | Outcome::MonitorGone => Pumped::Ended,
    })
}
