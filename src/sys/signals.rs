//! Signals: as descriptors (signalfd(2), pidfd_send_signal(2)), blocked or waited for, reset for exec, dying of one.

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Signals that are read instead of delivered. The mask of before comes back on drop.
#[derive(Debug)]
pub struct Caught {
    fd: SignalFd,
    before: SigSet,
}

impl Caught {
    /// Catch exactly these.
    pub fn these(signals: &[Signal]) -> io::Result<Self> {
        Self::set(signals.iter().copied().collect())
    }

    /// Catch all signals that can be caught. Faults of our own (SIGSEGV, …) kill all the same.
    pub fn all() -> io::Result<Self> {
        Self::set(SigSet::all())
    }

    /// Catch all that can be caught but these.
    pub fn all_but(signals: &[Signal]) -> io::Result<Self> {
        let mut set = SigSet::all();
        signals.iter().for_each(|signal| set.remove(*signal));
        Self::set(set)
    }

    fn set(set: SigSet) -> io::Result<Self> {
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let before = set.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        Ok(Self { fd, before })
    }

    /// The next one: its number and the process that sent it (0: the kernel); `None` if there is none now.
    pub fn next(&self) -> Option<(i32, u32)> {
        let info = self.fd.read_signal().ok().flatten()?;
        Some((info.ssi_signo as i32, info.ssi_pid))
    }
}

impl std::os::fd::AsFd for Caught {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Caught {
    fn drop(&mut self) {
        let _ = self.before.thread_set_mask();
    }
}

/// pidfd_send_signal(2), for any number including the real-time ones. Linux 5.1.
pub fn send(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let none: *const libc::siginfo_t = std::ptr::null();
    // SAFETY: a null siginfo is documented to mean what kill(2) would send; the descriptor is borrowed, so open.
    match unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, none, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Stop ourselves, as SIGTSTP would have done. Returns when continued.
pub fn stop_self() {
    let _ = nix::sys::signal::raise(Signal::SIGSTOP);
}

/// All actions to their defaults, and nothing blocked: what a fresh program expects. Handlers are reset by exec, but
/// ignored and blocked signals are inherited.
pub fn reset() -> io::Result<()> {
    // The kernel's struct sigaction: no handler, no flags, no restorer, an empty mask. glibc's own call would leave out
    // the two signals that it keeps for itself, which a caller may have handed down ignored all the same.
    let default = [0u64; 5];
    // SAFETY: the kernel reads at most the 40 bytes of `default`; SIG_DFL is no handler. SIGKILL and SIGSTOP are
    // refused, which has no effect. The set is initialised by sigemptyset.
    unsafe {
        for number in 1..=64 {
            let none: *const u64 = std::ptr::null();
            libc::syscall(libc::SYS_rt_sigaction, number, default.as_ptr(), none, 8);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        match libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}

/// Let all signals in, as a child of a process that holds some back.
pub fn unblock_all() -> io::Result<()> {
    Ok(SigSet::empty().thread_set_mask()?)
}

/// Block every signal, so that [`wait`] takes them in turn.
pub fn block_all() -> io::Result<()> {
    // SAFETY: the set is initialised by sigfillset and outlives the call.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        match libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut()) {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}

/// Wait for the next blocked signal: its number.
pub fn wait() -> io::Result<i32> {
    // SAFETY: the set is initialised by sigfillset; a null info is allowed.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        loop {
            match libc::sigwaitinfo(&raw const all, std::ptr::null_mut()) {
                -1 => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        return Err(error);
                    }
                }
                number => return Ok(number),
            }
        }
    }
}

/// kill(2).
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: takes two integers.
    match unsafe { libc::kill(pid, signal) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caught_signal_is_read_and_the_mask_comes_back() {
        let caught = Caught::these(&[Signal::SIGUSR2]).unwrap();
        assert_eq!(caught.next(), None);
        nix::sys::signal::raise(Signal::SIGUSR2).unwrap();
        let (number, sender) = caught.next().unwrap();
        assert_eq!((number, sender), (12, std::process::id()));
        drop(caught);
        assert!(!SigSet::thread_get_mask().unwrap().contains(Signal::SIGUSR2));
    }
}
