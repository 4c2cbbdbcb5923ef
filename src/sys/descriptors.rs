//! The table of open descriptors, for a forked child that is to keep few of them: close_range(2), fcntl(2).

use std::io;
use std::os::fd::RawFd;

/// Close every descriptor from 3 on that is not in `keep`. Linux 5.9.
///
/// For a forked child that goes on with `keep` alone and leaves by `exit_now` or exec: whatever else its memory holds
/// descriptors of must be neither used nor dropped afterwards.
pub fn close_all_but(keep: &[RawFd]) -> io::Result<()> {
    let mut keep: Vec<u32> = keep.iter().filter_map(|descriptor| u32::try_from(*descriptor).ok()).collect();
    keep.sort_unstable();
    let mut first = 3;
    for kept in keep.into_iter().chain([u32::MAX]) {
        if kept > first {
            let last = if kept == u32::MAX { kept } else { kept - 1 };
            // SAFETY: the caller uses none of these any more (the contract above).
            if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == -1 {
                return Err(io::Error::last_os_error());
            }
        }
        first = first.max(kept.saturating_add(1));
    }
    Ok(())
}

/// Let these descriptors survive an exec (`F_SETFD`). For a child that is about to execute.
pub fn keep_on_exec(descriptors: &[RawFd]) -> io::Result<()> {
    for descriptor in descriptors {
        // SAFETY: changes a flag of a descriptor; a closed one gives EBADF.
        if unsafe { libc::fcntl(*descriptor, libc::F_SETFD, 0) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{self, Ended, Fork, exit_now, fork};

    #[test]
    fn a_child_keeps_what_it_names() {
        alone!();
        let (read, write) = rustix::pipe::pipe().unwrap();
        let (other, _end) = rustix::pipe::pipe().unwrap();
        use std::os::fd::AsRawFd;
        let keep = [write.as_raw_fd(), read.as_raw_fd()];
        match fork().unwrap() {
            Fork::Child => {
                let closed = close_all_but(&keep).is_ok();
                let works = rustix::io::write(&write, b"x") == Ok(1) && rustix::io::read(&read, &mut [0; 1]) == Ok(1);
                let gone = rustix::io::fcntl_getfd(&other).is_err();
                exit_now(i32::from(!(closed && works && gone)));
            }
            Fork::Parent(pid) => assert_eq!(process::wait(pid).unwrap(), Ended::Exited(0)),
        }
    }
}
