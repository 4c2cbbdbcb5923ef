//! A program beside a container that is its way out: slirp4netns or pasta.
//!
//! It is started by the monitor, as root of the user's namespace, in the host's network namespace, and ends with the
//! monitor in every case: by `PR_SET_PDEATHSIG`, and slirp4netns also by the exit descriptor, of which the monitor
//! alone holds the other end.

use crate::base::error::{Fault, Kind};
use crate::base::timing;
use crate::sys::process::{self, Ended};
use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountPropagationFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// It is ready after some milliseconds; a machine that needs longer than this has it stuck.
const READY_TIMEOUT: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };
/// More than it ever says.
const MESSAGE_LIMIT: usize = 4096;

/// A running program. Dropping this ends it, sooner or later; [`Program::stop`] does so at once.
#[derive(Debug)]
pub struct Program {
    /// Its process, a child of the caller.
    pub pid: i32,
    name: &'static str,
    explain: Explain,
    pidfd: OwnedFd,
    /// It writes here when the interface is up.
    ready: OwnedFd,
    /// What it complains about. The writing end does not block, so that nobody has to read.
    messages: OwnedFd,
    /// It ends when the last copy of this is closed.
    _exit: OwnedFd,
}

/// Says why a program has ended, from its last words, and what helps.
pub(super) type Explain = fn(&str, Option<Ended>) -> anyhow::Error;

/// What a program's arguments are made from: numbers of descriptors that it inherits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub(super) ready: i32,
    pub(super) exit: i32,
    pub(super) netns: i32,
}

/// Start `path` as `name`. The caller is single-threaded and root in the user namespace that owns `netns`.
pub(super) fn start(
    name: &'static str,
    path: &Path,
    arguments: impl FnOnce(Numbers) -> Vec<String>,
    netns: BorrowedFd<'_>,
    explain: Explain,
) -> Result<Program> {
    let deed = || format!("cannot start {name}");
    let path = CString::new(path.as_os_str().as_bytes()).with_context(deed)?;
    let (ready, ready_theirs) = pipe_with(PipeFlags::CLOEXEC).with_context(deed)?;
    let (exit_theirs, exit) = pipe_with(PipeFlags::CLOEXEC).with_context(deed)?;
    let (messages, messages_theirs) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).with_context(deed)?;
    let numbers = Numbers { ready: ready_theirs.as_raw_fd(), exit: exit_theirs.as_raw_fd(), netns: netns.as_raw_fd() };
    let words = std::iter::once(name.to_owned()).chain(arguments(numbers));
    let argv = words.map(CString::new).collect::<Result<Vec<CString>, _>>().with_context(deed)?;
    // Nothing of the caller's environment: LD_PRELOAD and its like must not reach it.
    let envp = [c"PATH=/usr/sbin:/usr/bin:/sbin:/bin".into(), c"LC_ALL=C".into()];
    match process::clone3(0, None).with_context(deed)? {
        Some(child) => Ok(Program { pid: child.pid, name, explain, pidfd: child.pidfd, ready, messages, _exit: exit }),
        None => {
            let error = become_program(&path, &argv, &envp, &messages_theirs, numbers);
            let text = format!("cannot execute `{}`: {error}", path.to_string_lossy());
            let _ = rustix::io::write(&messages_theirs, text.as_bytes());
            process::exit_now(127)
        }
    }
}

/// In the child: leave behind what is the monitor's, then execute. Returns only on failure.
fn become_program(
    path: &CString,
    argv: &[CString],
    envp: &[CString],
    messages: &OwnedFd,
    numbers: Numbers,
) -> std::io::Error {
    let prepare = || -> std::io::Result<()> {
        process::set_parent_death_signal(crate::base::signal::SIGKILL)?;
        keep_mounts_apart()?;
        // The monitor's blocked signals would be inherited.
        nix::sys::signal::SigSet::empty().thread_set_mask()?;
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(messages)?;
        process::close_on_exec_from(3)?;
        crate::sys::descriptors::keep_on_exec(&[numbers.ready, numbers.exit, numbers.netns])
    };
    match prepare() {
        Ok(()) => process::execve(path, argv, envp),
        Err(error) => error,
    }
}

/// Programs that lock themselves in unmount all that they have no use for. slirp4netns (1.2) leaves mounts below `/`
/// shared as it does so: for real root it would take `ip netns`'s names away from the host. Others' mounts are slaves.
fn keep_mounts_apart() -> std::io::Result<()> {
    if is_init_root() {
        crate::sys::namespace::unshare(nix::sched::CloneFlags::CLONE_NEWNS.bits())?;
        let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", slave)?;
    }
    Ok(())
}

/// Whether we are root of the whole host, not of a user namespace: the map of the first one has all ids.
pub(super) fn is_init_root() -> bool {
    std::fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| map.split_ascii_whitespace().nth(2) == Some("4294967295"))
}

impl Program {
    /// What it is called.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Wait until the interface is up. On failure it is gone, and the error says why and what helps.
    pub fn wait_ready(&mut self) -> Result<()> {
        let mut fds = [PollFd::new(&self.ready, PollFlags::IN)];
        let ready = loop {
            match poll(&mut fds, Some(&READY_TIMEOUT)) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).with_context(|| format!("cannot wait for {}", self.name)),
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
            None => Fault::new(Kind::Host, format!("{} does not get ready", self.name)).into(),
            Some(_) => (self.explain)(&message, ended),
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

/// A helper that lives shorter than this, in nanoseconds, did not work at all.
const QUICK_DEATH: i64 = 1_000_000_000;
/// After so many of those in a row the next ones wait a little, so that no processor is busy with starting them.
const QUICK_DEATHS: u32 = 5;
/// How long, in nanoseconds; what was started is back within a second all the same.
const PAUSE: i64 = 250_000_000;
/// The longest pause before one is tried that could not be started: twice the one before, up to this.
const LONGEST_PAUSE: i64 = 30_000_000_000;

/// How often helpers have died, to know how soon the next ones are started.
#[derive(Debug, Default)]
pub struct Deaths {
    last: i64,
    quick: u32,
    failed: u32,
}

impl Deaths {
    /// One that worked has died: nanoseconds to wait before another is started.
    pub fn died(&mut self) -> i64 {
        let now = timing::now();
        self.quick = if now - self.last < QUICK_DEATH { self.quick.saturating_add(1) } else { 0 };
        (self.last, self.failed) = (now, 0);
        if self.quick <= QUICK_DEATHS { 0 } else { PAUSE }
    }

    /// One could not be started: nanoseconds to wait before it is tried again.
    pub fn failed(&mut self) -> i64 {
        let pause = PAUSE.saturating_mul(1 << self.failed.min(16)).min(LONGEST_PAUSE);
        self.failed = self.failed.saturating_add(1);
        pause
    }
}

/// The way out that is left where a program does not work.
pub(super) const WITHOUT: &str = "or run without a network: `--network none`";

/// Why a program ended, from its last words and from the state of the tap device's node, which each of them needs.
pub(super) fn failure(name: &str, message: &str, ended: Option<Ended>, tun: &Path) -> anyhow::Error {
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
        return fault.hint(fix).hint(WITHOUT).because(errno);
    }
    // The last line is the most particular one.
    let line = message.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let reason = match (line.trim(), ended) {
        ("", Some(Ended::Exited(code))) => format!("it ended with code {code}"),
        ("", Some(Ended::Signaled(signal))) => format!("it was ended by {}", crate::base::signal::name(signal)),
        ("", None) => "it ended".to_owned(),
        (line, _) => line.escape_debug().to_string(),
    };
    Fault::new(Kind::Host, format!("{name} cannot set up the network: {reason}")).hint(WITHOUT).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dies_is_back_within_a_second_and_what_cannot_start_is_tried_ever_less() {
        let mut deaths = Deaths::default();
        assert!((0..100).all(|round| deaths.died() <= if round < 5 { 0 } else { PAUSE }));
        let pauses: Vec<i64> = (0..9).map(|_| deaths.failed() / 1_000_000).collect();
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        deaths.died();
        assert_eq!(deaths.failed(), PAUSE);
    }

    #[test]
    fn failures_name_their_fix() {
        for (message, ended, tun, text, hint) in [
            ("", Some(Ended::Exited(1)), "/dev/null", "it ended with code 1", "--network none"),
            ("", Some(Ended::Signaled(31)), "/dev/null", "it was ended by SIGSYS", "--network none"),
            ("WARNING: x\ncannot mount\n", None, "/dev/null", "up the network: cannot mount", "--network none"),
            ("open: no such file", None, "/nonexistent/tun", "`/nonexistent/tun`, which cannot", "sudo modprobe tun"),
        ] {
            let error = failure("slirp4netns", message, ended, Path::new(tun));
            let fault = error.downcast_ref::<Fault>().unwrap();
            assert!(fault.text.contains(text), "{message:?}: {error:#}");
            assert!(fault.hints.iter().any(|line| line.contains(hint)), "{message:?}: {:?}", fault.hints);
            assert_eq!(fault.kind, Kind::Host);
        }
    }
}
