//! What `/proc` tells of a process, read so that a reused pid is never taken for the old process.

use rustix::process::{Pid, PidfdFlags};
use std::os::fd::{AsFd, OwnedFd};

/// When a process started, in clock ticks since boot (proc_pid_stat(5), field 22). With the pid it names a process
/// for the time of one boot.
pub fn start_time(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, so fields are counted from the last one.
    stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

/// A descriptor for a process that started at that time; `None` if it has ended. pidfd_open(2), Linux 5.3.
pub fn open(pid: i32, started: u64) -> Option<OwnedFd> {
    let pidfd = rustix::process::pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    // Checked after the open: the descriptor stays with the process that had this pid now.
    (start_time(pid)? == started).then_some(pidfd)
}

/// The path of what is open, as this process sees it now; a file without one has ` (deleted)` at its end.
pub fn path_of(file: impl AsFd) -> std::io::Result<std::path::PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file.as_fd())))
}

/// This boot's id, which differs after each reboot.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// Kill a process by descriptor and wait until it is gone, at most `milliseconds`.
pub fn kill_and_wait(pidfd: &OwnedFd, milliseconds: i64) -> bool {
    let _ = super::signals::send(pidfd.as_fd(), crate::base::signal::SIGKILL);
    wait_gone(pidfd, Some(milliseconds))
}

/// Wait until a process has ended; `None`: as long as it takes. Returns false when the time is over first.
pub fn wait_gone(pidfd: &OwnedFd, milliseconds: Option<i64>) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let deadline = milliseconds.map(|ms| crate::base::timing::now() + ms.saturating_mul(1_000_000));
    loop {
        let left = deadline.map(|at| (at - crate::base::timing::now()).max(0));
        let timeout = left.map(|ns| Timespec { tv_sec: ns / 1_000_000_000, tv_nsec: ns % 1_000_000_000 });
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], timeout.as_ref()) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
