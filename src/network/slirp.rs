//! slirp4netns: a TCP/IP stack in user space between a namespace's tap device and the host's sockets.
//!
//! It is started by the monitor, as root of the user's namespace, in the host's network namespace. It ends with the
//! monitor in every case: by the exit descriptor, of which the monitor alone holds the other end, and by
//! `PR_SET_PDEATHSIG`. slirp4netns(1).

use crate::base::error::{Fault, Kind};
use crate::base::program;
use crate::sys::process::{self, Ended};
use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The largest packet that fits a tap device's buffers as slirp4netns has them; the default of 1500 halves the speed.
const MTU: &str = "--mtu=65520";
/// It is ready after some milliseconds; a machine that needs longer than this has it stuck.
const READY_TIMEOUT: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };
/// More than it ever says.
const MESSAGE_LIMIT: usize = 4096;

/// A running slirp4netns. Dropping this ends it, sooner or later; [`Slirp::stop`] does so at once.
#[derive(Debug)]
pub struct Slirp {
    /// Its process, a child of the caller.
    pub pid: i32,
    pidfd: OwnedFd,
    /// It writes a byte here when the interface is up.
    ready: OwnedFd,
    /// What it complains about. The writing end does not block, so that nobody has to read.
    messages: OwnedFd,
    /// It ends when the last copy of this is closed.
    _exit: OwnedFd,
}

/// Start slirp4netns for a network namespace. Returns at once; the network is there after [`Slirp::wait_ready`].
///
/// The caller is single-threaded and root in the user namespace that owns `netns` (or the real root). After its
/// death the same call brings the network back.
pub fn start_slirp(netns: BorrowedFd<'_>) -> Result<Slirp> {
    let program = find_program()?;
    let deed = "cannot start slirp4netns";
    let (ready, ready_theirs) = pipe_with(PipeFlags::CLOEXEC).context(deed)?;
    let (exit_theirs, exit) = pipe_with(PipeFlags::CLOEXEC).context(deed)?;
    let (messages, messages_theirs) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).context(deed)?;
    let argv = arguments(&ready_theirs, &exit_theirs, netns);
    // Nothing of the caller's environment: LD_PRELOAD and its like must not reach a helper.
    let envp = [c"PATH=/usr/sbin:/usr/bin:/sbin:/bin".into(), c"LC_ALL=C".into()];
    match process::clone3(0, None).context(deed)? {
        Some(child) => Ok(Slirp { pid: child.pid, pidfd: child.pidfd, ready, messages, _exit: exit }),
        None => {
            let error = become_slirp(
                &program,
                &argv,
                &envp,
                &messages_theirs,
                &[ready_theirs.as_raw_fd(), exit_theirs.as_raw_fd(), netns.as_raw_fd()],
            );
            let text = format!("cannot execute `{}`: {error}", program.to_string_lossy());
            let _ = rustix::io::write(&messages_theirs, text.as_bytes());
            process::exit_now(127)
        }
    }
}

fn arguments(ready: &OwnedFd, exit: &OwnedFd, netns: BorrowedFd<'_>) -> Vec<CString> {
    let list = [
        "slirp4netns".to_owned(),
        "--configure".to_owned(),
        MTU.to_owned(),
        "--disable-host-loopback".to_owned(),
        "--enable-sandbox".to_owned(),
        "--enable-seccomp".to_owned(),
        format!("--ready-fd={}", ready.as_raw_fd()),
        format!("--exit-fd={}", exit.as_raw_fd()),
        "--netns-type=path".to_owned(),
        format!("/proc/self/fd/{}", netns.as_raw_fd()),
        "tap0".to_owned(),
    ];
    // No argument holds a NUL.
    list.into_iter().filter_map(|argument| CString::new(argument).ok()).collect()
}

/// In the child: leave behind what is the monitor's, then execute. Returns only on failure.
fn become_slirp(
    program: &CString,
    argv: &[CString],
    envp: &[CString],
    messages: &OwnedFd,
    keep: &[i32],
) -> std::io::Error {
    let prepare = || -> std::io::Result<()> {
        process::set_parent_death_signal(crate::base::signal::SIGKILL)?;
        // The monitor's blocked signals would be inherited.
        nix::sys::signal::SigSet::empty().thread_set_mask()?;
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(messages)?;
        process::close_on_exec_from(3)?;
        crate::sys::descriptors::keep_on_exec(keep)
    };
    match prepare() {
        Ok(()) => process::execve(program, argv, envp),
        Err(error) => error,
    }
}

impl Slirp {
    /// Wait until the interface is up. On failure it is gone, and the error says why and what helps.
    pub fn wait_ready(&mut self) -> Result<()> {
        let mut fds = [PollFd::new(&self.ready, PollFlags::IN)];
        let ready = loop {
            match poll(&mut fds, Some(&READY_TIMEOUT)) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("cannot wait for slirp4netns"),
                Ok(0) => break None,
                // Nothing to read at the end of the file: all copies of the other end are closed, it has ended.
                Ok(_) => break Some(matches!(rustix::io::read(&self.ready, &mut [0; 1]), Ok(1))),
            }
        };
        if ready == Some(true) {
            return Ok(());
        }
        let ended = self.end();
        let message = self.messages();
        Err(match ready {
            None => Fault::new(Kind::Host, "slirp4netns does not get ready").into(),
            Some(_) => failure(&message, ended, Path::new("/dev/net/tun")),
        })
    }

    /// What it has written to its standard error since this was last asked.
    pub fn messages(&mut self) -> String {
        let mut buffer = [0; MESSAGE_LIMIT];
        let length = rustix::io::read(&self.messages, &mut buffer).unwrap_or(0);
        String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned()
    }

    /// End it at once and wait for its end.
    pub fn stop(mut self) {
        self.end();
    }

    /// End it without waiting: the kernel takes some 20 ms to take a tap device away. For a monitor that exits next,
    /// whose orphans init reaps.
    pub fn kill(self) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, rustix::process::Signal::KILL);
    }

    fn end(&mut self) -> Option<Ended> {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, rustix::process::Signal::KILL);
        process::wait(self.pid).ok()
    }
}

fn find_program() -> Result<CString> {
    let path = program::find("slirp4netns").ok_or_else(missing_program)?;
    CString::new(path.as_os_str().as_bytes()).context("cannot use slirp4netns")
}

fn missing_program() -> anyhow::Error {
    Fault::new(Kind::Host, "the network needs slirp4netns, which is not installed")
        .hint(program::how_to_install("slirp4netns", &[]))
        .hint("or run without a network: `--network none`")
        .into()
}

/// Why it ended, from its last words and from the state of the tap device's node.
fn failure(message: &str, ended: Option<Ended>, tun: &Path) -> anyhow::Error {
    let without = "or run without a network: `--network none`";
    let tun_error = rustix::fs::open(tun, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).err();
    let node = tun.display();
    if let Some(errno) = tun_error {
        let fault = Fault::new(Kind::Host, format!("the network needs `{node}`, which cannot be opened"));
        let fix = match errno {
            Errno::ACCESS | Errno::PERM => format!("sudo chmod 666 {node}"),
            Errno::NOENT => format!(
                "sudo modprobe tun; in a container or machine without udev also: sudo mkdir -p /dev/net && \
                 sudo mknod -m 666 {node} c 10 200"
            ),
            _ => "sudo modprobe tun".to_owned(),
        };
        return fault.hint(fix).hint(without).because(errno);
    }
    if message.contains("unrecognized option") || message.contains("invalid option") {
        return Fault::new(Kind::Host, "slirp4netns is too old: it cannot lock itself in (0.4.0 and later can)")
            .hint("update the package slirp4netns")
            .hint(without)
            .into();
    }
    // The last line is the most particular one.
    let line = message.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let reason = match (line.trim(), ended) {
        ("", Some(Ended::Exited(code))) => format!("it ended with code {code}"),
        ("", Some(Ended::Signaled(signal))) => format!("it was ended by {}", crate::base::signal::name(signal)),
        ("", None) => "it ended".to_owned(),
        (line, _) => line.escape_debug().to_string(),
    };
    Fault::new(Kind::Host, format!("slirp4netns cannot set up the network: {reason}")).hint(without).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_name_their_fix() {
        for (message, ended, tun, text, hint) in [
            ("", Some(Ended::Exited(1)), "/dev/null", "it ended with code 1", "--network none"),
            ("", Some(Ended::Signaled(31)), "/dev/null", "it was ended by SIGSYS", "--network none"),
            ("WARNING: x\ncannot mount\n", None, "/dev/null", "up the network: cannot mount", "--network none"),
            ("slirp4netns: unrecognized option '--x'", None, "/dev/null", "is too old", "update"),
            ("open: no such file", None, "/nonexistent/tun", "`/nonexistent/tun`, which cannot", "sudo modprobe tun"),
        ] {
            let error = failure(message, ended, Path::new(tun));
            let fault = error.downcast_ref::<Fault>().unwrap();
            assert!(fault.text.contains(text), "{message:?}: {error:#}");
            assert!(fault.hints.iter().any(|line| line.contains(hint)), "{message:?}: {:?}", fault.hints);
            assert_eq!(fault.kind, Kind::Host);
        }
    }

    #[test]
    fn a_missing_program_names_the_package() {
        let error = missing_program();
        assert!(error.downcast_ref::<Fault>().unwrap().hints[0].contains("slirp4netns"));
    }
}
