//! Namespaces: unshare(2), setns(2), and what ioctl_ns(2) tells of them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// `NS_GET_NSTYPE` of ioctl_ns(2), Linux 4.11.
const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
/// `NS_GET_OWNER_UID` of ioctl_ns(2), Linux 4.11.
const NS_GET_OWNER_UID: libc::c_ulong = 0xb704;

/// unshare(2) of the given `CLONE_NEW…` namespaces. The caller must be single-threaded for `CLONE_NEWUSER`.
pub fn unshare(flags: i32) -> io::Result<()> {
    // SAFETY: takes an integer; CLONE_FILES and CLONE_VM are not among what callers pass.
    match unsafe { libc::unshare(flags) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// setns(2) by a namespace file or, with several flags, by a pidfd (Linux 5.8).
pub fn setns(target: BorrowedFd<'_>, flags: i32) -> io::Result<()> {
    // SAFETY: takes a descriptor that is open and an integer.
    match unsafe { libc::setns(target.as_raw_fd(), flags) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Do something in another network namespace, in a thread that joins it and ends: a thread may, and its caller stays
/// where it is, as an ordinary user could not come back. Sockets that are made there stay of that namespace.
///
/// Errors: the namespace may not be joined, or there is no thread to be had.
pub fn inside<T: Send>(netns: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    in_thread(|| setns(netns, libc::CLONE_NEWNET).map(|()| work()))
}

/// A new network namespace of the user namespace that we are in, with nothing but a loopback that is down.
pub fn new_network() -> io::Result<OwnedFd> {
    in_thread(|| {
        unshare(libc::CLONE_NEWNET)?;
        std::fs::File::open("/proc/thread-self/ns/net").map(OwnedFd::from)
    })
}

fn in_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(128 << 10).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
    })
}

/// The kind of a namespace: the flag that clone(2) has for it.
///
/// Errors: of ioctl_ns(2); a file that is no namespace is `ENOTTY`.
pub fn kind(namespace: impl AsFd) -> io::Result<u64> {
    // SAFETY: it takes no argument and touches no memory of ours.
    match unsafe { libc::ioctl(namespace.as_fd().as_raw_fd(), NS_GET_NSTYPE as _) } {
        -1 => Err(io::Error::last_os_error()),
        flag => Ok(u64::from(flag.unsigned_abs())),
    }
}

/// Who made a user namespace: the owner's uid, as seen from ours.
pub fn owner_uid(namespace: impl AsFd) -> io::Result<u32> {
    let mut uid: libc::uid_t = 0;
    // SAFETY: this request stores one uid_t, and `uid` outlives the call.
    match unsafe { libc::ioctl(namespace.as_fd().as_raw_fd(), NS_GET_OWNER_UID as _, &raw mut uid) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(uid),
    }
}

/// Become these ids, real, effective and saved: setresgid(2), then setresuid(2), of this process alone.
///
/// glibc's functions signal all threads; the system calls do not, and callers are single-threaded.
pub fn set_ids(uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: takes integers.
    let result = unsafe {
        match libc::syscall(libc::SYS_setresgid, gid, gid, gid) {
            -1 => -1,
            _ => libc::syscall(libc::SYS_setresuid, uid, uid, uid),
        }
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
