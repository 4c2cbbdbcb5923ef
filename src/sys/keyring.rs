//! Kernel keyrings: keyctl(2).

use std::io;

/// `KEYCTL_JOIN_SESSION_KEYRING` of keyctl(2).
const JOIN_SESSION_KEYRING: libc::c_long = 1;

/// Give this process a new session keyring of that name, so that it does not possess its caller's keys.
///
/// ENOSYS: the kernel has no keyrings, or a system call filter forbids them; EPERM or EDQUOT: no room for one more.
pub fn join_session(name: &std::ffi::CStr) -> io::Result<()> {
    // SAFETY: `name` is a string that outlives the call.
    match unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, name.as_ptr()) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
