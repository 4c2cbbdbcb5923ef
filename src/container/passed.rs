//! `--log-driver passthrough` and `--preserve-fds`: the caller's own streams and descriptors, which the container gets as
//! they are.

use super::config::Config;
use super::life::RestartPolicy;
use super::request::LogDriver;
use super::start::Terminal;
use crate::base::error::{Fault, Kind, fault};
use crate::runtime::Stdio;
use anyhow::{Context, Result};
use std::fs::OpenOptions;
use std::os::fd::{AsFd, OwnedFd, RawFd};

/// Stdin, stdout and stderr on their way to a container.
#[derive(Debug)]
pub(super) struct Passed([OwnedFd; 3]);

impl Passed {
    /// The caller's, where the driver wants them. Without `-i`, stdin is empty.
    ///
    /// Errors: one is a terminal, into which the command could type what our shell then reads (TIOCSTI,
    /// CVE-2017-5226), and nobody has allowed that.
    pub(super) fn of(config: &Config, terminal: Terminal<'_>) -> Result<Option<Self>> {
        if !config.log_driver.passes() {
            return Ok(None);
        }
        let own = [terminal.stdin, terminal.stdout, terminal.stderr];
        if config.log_driver == LogDriver::Passthrough && own.iter().any(rustix::termios::isatty) {
            let text = "`--log-driver passthrough` hands on the terminal, into which the command could type";
            return Err(Fault::new(Kind::Usage, text).hint("allow it: --log-driver passthrough-tty").into());
        }
        let deed = "cannot hand on a stream";
        let [stdin, stdout, stderr] = own;
        let stdin = match config.interactive {
            true => stdin.try_clone_to_owned().context(deed)?,
            false => OpenOptions::new().read(true).open("/dev/null").context(deed)?.into(),
        };
        let own = |fd: std::os::fd::BorrowedFd<'_>| fd.try_clone_to_owned().context(deed);
        Ok(Some(Self([stdin, own(stdout)?, own(stderr)?])))
    }

    /// The same once more, for another run.
    pub(super) fn again(&self) -> Result<Self> {
        let [stdin, stdout, stderr] = &self.0;
        let own = |fd: &OwnedFd| fd.as_fd().try_clone_to_owned().context("cannot hand on a stream");
        Ok(Self([own(stdin)?, own(stdout)?, own(stderr)?]))
    }

    /// As the runtime takes them.
    pub(super) fn into_stdio(self) -> Stdio {
        let [stdin, stdout, stderr] = self.0;
        Stdio::Pipes { stdin, stdout, stderr }
    }
}

/// Descriptors go along with a run that the caller of box has started, by box itself.
pub(super) fn check_preserved(config: &Config, preserved: &[RawFd]) -> Result<()> {
    if preserved.is_empty() {
        return Ok(());
    }
    if config.life.restart != RestartPolicy::No {
        let text = format!("`--preserve-fds` and `--restart {}` do not go together", config.life.restart.word());
        return Err(Fault::new(Kind::Usage, text).hint("the descriptors are of the first run alone").into());
    }
    match &config.runtime {
        Some(_) => Err(fault(Kind::Usage, "`--preserve-fds` and `--runtime` do not go together")),
        None => Ok(()),
    }
}
