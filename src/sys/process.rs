//! Making processes and setting what they are: fork(2), clone3(2), prctl(2), close_range(2), waitid(2).
//!
//! box forks, so it is single-threaded until the monitor is away; every function here that forks says so.

use rustix::io::Errno;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Which side of a fork we are on.
#[derive(Debug)]
pub enum Fork {
    /// The parent, with the child's pid.
    Parent(i32),
    /// The child.
    Child,
}

/// fork(2). The caller must be single-threaded: the child goes on using the allocator.
pub fn fork() -> io::Result<Fork> {
    #[cfg(test)]
    assert!(crate::base::alone::is_alone(), "a test that forks begins with `alone!()`");
    // SAFETY: the process is single-threaded (the contract above), so the child's heap and locks are consistent.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid)),
    }
}

/// A child made by [`clone3`].
#[derive(Debug)]
pub struct Cloned {
    /// Its pid in our pid namespace.
    pub pid: i32,
    /// A descriptor that stands for it, close-on-exec; readable when it ends.
    pub pidfd: OwnedFd,
}

/// clone3(2) as a fork into new namespaces (`CLONE_NEW…` flags), optionally into a cgroup (`CLONE_INTO_CGROUP`).
///
/// With `CLONE_PARENT` among the flags, the child is our parent's, who gets the same signal of its end as of ours.
/// Returns `None` in the child. Linux 5.3 (5.7 for `cgroup`). The caller must be single-threaded, as for [`fork`].
pub fn clone3(namespaces: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Option<Cloned>> {
    #[cfg(test)]
    assert!(crate::base::alone::is_alone(), "a test that forks begins with `alone!()`");
    let mut pidfd: RawFd = -1;
    // SAFETY: `clone_args` is plain integers, for which zero is the documented default.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = namespaces | libc::CLONE_PIDFD as u64;
    args.pidfd = &raw mut pidfd as u64;
    if namespaces & libc::CLONE_PARENT as u64 == 0 {
        args.exit_signal = libc::SIGCHLD as u64;
    }
    if let Some(cgroup) = cgroup {
        args.flags |= 0x2_0000_0000; // CLONE_INTO_CGROUP, which libc still declares as an int that overflows
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: `args` and `pidfd` outlive the call; without CLONE_VM the child has a copy of everything, and the
    // process is single-threaded, so that copy is consistent.
    match unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>()) } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        // SAFETY: the kernel has stored a fresh descriptor in `pidfd`, which nobody else owns.
        pid => Ok(Some(Cloned { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } })),
    }
}

/// `_exit(2)`: end at once, without flushing or destructors. For forked children.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` takes any integer and does not return.
    unsafe { libc::_exit(code) }
}

/// `execve(2)` by path. Returns only on failure.
pub fn execve(path: &std::ffi::CStr, argv: &[std::ffi::CString], envp: &[std::ffi::CString]) -> io::Error {
    let pointers = |list: &[std::ffi::CString]| -> Vec<*const libc::c_char> {
        list.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, envp) = (pointers(argv), pointers(envp));
    // SAFETY: both lists end with a null pointer, and all strings outlive the call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    io::Error::last_os_error()
}

/// `execveat(2)` of an open file (`AT_EMPTY_PATH`), as for a sealed memfd. Returns only on failure.
pub fn fexecve(file: BorrowedFd<'_>, argv: &[std::ffi::CString], envp: &[std::ffi::CString]) -> io::Error {
    let pointers = |list: &[std::ffi::CString]| -> Vec<*const libc::c_char> {
        list.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, envp) = (pointers(argv), pointers(envp));
    // SAFETY: both lists end with a null pointer; all strings and the descriptor outlive the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    io::Error::last_os_error()
}

fn prctl(option: libc::c_int, value: libc::c_ulong) -> io::Result<()> {
    // SAFETY: only called below with options that take one integer.
    match unsafe { libc::prctl(option, value, 0, 0, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// `PR_SET_PDEATHSIG`: this signal comes when our parent ends; 0 for none. Cleared by a change of ids.
pub fn set_parent_death_signal(signal: i32) -> io::Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, signal as libc::c_ulong)
}

/// `PR_SET_CHILD_SUBREAPER`: orphans below us become our children.
pub fn set_child_subreaper() -> io::Result<()> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, 1)
}

/// `PR_SET_DUMPABLE`: whether others of our uid may trace us and open our `/proc` files (CVE-2016-9962).
pub fn set_dumpable(on: bool) -> io::Result<()> {
    prctl(libc::PR_SET_DUMPABLE, libc::c_ulong::from(on))
}

/// Write over the words that we were started with, which `/proc/PID/cmdline` shows: in a container they would tell of
/// the host. Cut to the room that there is.
pub fn set_title(title: &str) {
    // Fields 48 and 49 of proc_pid_stat(5): where the words begin and end.
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return };
    let Some((_, fields)) = stat.rsplit_once(") ") else { return };
    let mut fields = fields.split(' ').skip(45).map(|field| field.trim().parse::<usize>().unwrap_or(0));
    let (Some(start), Some(end)) = (fields.next(), fields.next()) else { return };
    if start == 0 || end <= start {
        return;
    }
    // SAFETY: the kernel put the words into this range of our own stack when it executed us; it stays mapped and
    // writable for good. Rust has copied what it keeps of them (std::env::args), and nothing else refers to them.
    let words = unsafe { std::slice::from_raw_parts_mut(start as *mut u8, end - start) };
    words.fill(0);
    for (to, from) in words.iter_mut().zip(title.bytes()) {
        *to = from;
    }
}

/// close_range(2) with `CLOSE_RANGE_CLOEXEC`: every descriptor from `first` on is closed by exec. Linux 5.11.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: marks descriptors close-on-exec; no descriptor is closed, so none that Rust owns becomes invalid.
    match unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// fcntl(2), `F_SETFD`: exec does not close these descriptors, which the caller of box has handed on.
pub fn survive_exec(numbers: &[RawFd]) -> io::Result<()> {
    for number in numbers {
        // SAFETY: changes a flag of a descriptor; none is closed, so none that Rust owns becomes invalid.
        if unsafe { libc::fcntl(*number, libc::F_SETFD, 0) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// dup2(2): make `number` a copy of this descriptor that exec does not close. For children about to exec, which own
/// no descriptor of that number in a Rust object any more.
pub fn place_at(file: BorrowedFd<'_>, number: RawFd) {
    if file.as_raw_fd() == number {
        let _ = rustix::io::fcntl_setfd(file, rustix::io::FdFlags::empty());
        return;
    }
    // SAFETY: replaces whatever was at `number`, which by the contract above no Rust object uses any more.
    unsafe { libc::dup2(file.as_raw_fd(), number) };
}

/// close_range(2): close every descriptor from `first` on. For a process that owns none of them any more, or never
/// returns to code that does.
pub fn close_from(first: u32) {
    // SAFETY: the contract above: no owner of a descriptor is run after this.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// `exit(code)`.
    Exited(i32),
    /// Killed by this signal.
    Signaled(i32),
}

impl Ended {
    /// The code that a shell shows: the command's own, or 128 and the signal's number.
    pub fn code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Signaled(signal) => 128 + signal,
        }
    }
}

/// waitpid(2) for one child, retried on EINTR.
pub fn wait(pid: i32) -> io::Result<Ended> {
    loop {
        match wait_flags(pid, 0) {
            Ok(Some((_, ended))) => return Ok(ended),
            Ok(None) => {}
            Err(error) if error.raw_os_error() == Some(Errno::INTR.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
    }
}

/// One child that has ended (`pid` -1: any), without waiting; `None` if none has.
pub fn reap(pid: i32) -> io::Result<Option<(i32, Ended)>> {
    wait_flags(pid, libc::WNOHANG)
}

fn wait_flags(pid: i32, flags: i32) -> io::Result<Option<(i32, Ended)>> {
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    match unsafe { libc::waitpid(pid, &raw mut status, flags) } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        pid if libc::WIFSIGNALED(status) => Ok(Some((pid, Ended::Signaled(libc::WTERMSIG(status))))),
        pid => Ok(Some((pid, Ended::Exited(libc::WEXITSTATUS(status))))),
    }
}

/// Restore the default action of SIGPIPE, which Rust's start-up code ignores: `box ps | head -1` ends quietly.
pub fn default_sigpipe() {
    // SAFETY: SIG_DFL is no handler; nothing of ours runs in signal context.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cloned_child_has_a_pidfd_and_a_status() {
        alone!();
        match clone3(0, None).unwrap() {
            None => exit_now(7),
            Some(child) => {
                assert_eq!(wait(child.pid).unwrap(), Ended::Exited(7));
                drop(child.pidfd);
            }
        }
    }

    #[test]
    fn signals_count_from_128() {
        assert_eq!(Ended::Signaled(9).code(), 137);
        assert_eq!(Ended::Exited(3).code(), 3);
    }
}
